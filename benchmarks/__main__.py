"""Run the benchmarks: `python -m benchmarks [--quick] [--json FILE] [MEASURE ...]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.measures import ALL
from benchmarks.processes import raise_file_limit
from benchmarks.stage import QUICK, Bench, Plan


def main(arguments: list[str] | None = None) -> int:
    """Run all measures, or those named, and print their table.

    :return: 0 when every floor holds; a quick run only shows them
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(ALL)}")
    parser.add_argument("--quick", action="store_true", help="small and short, floors not judged")
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="soak for so long; 10 if that is named alone"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.measures if name not in ALL]
    if unknown:
        parser.error(f"no measure {unknown[0]!r}; there are {', '.join(ALL)}")
    bench = Bench(QUICK if options.quick else Plan(), options.minutes)
    needed = max(bench.plan.idle_sizes) + 1000
    if raise_file_limit() < needed:
        parser.error(f"this needs {needed} open files: raise the limit (ulimit -Hn)")
    named = options.measures or [name for name in ALL if name != "soak" or options.minutes]
    for name in named:
        ALL[name](bench)
    bench.report.print_floors()
    if options.json:
        bench.report.write(options.json)
    return 0 if options.quick or bench.report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
