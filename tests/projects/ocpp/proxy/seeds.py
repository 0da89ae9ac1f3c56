"""Runs seeds of the simulation: `python -m tests.projects.ocpp.proxy.seeds FIRST COUNT`.

Every seed that fails prints itself, what was wrong and its events.
"""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

from tests.projects.ocpp.proxy.simulation import Run

ROOT = Path(__file__).resolve().parents[4]
MODULE = "tests.projects.ocpp.proxy.seeds"


def failure_of(run_class: type[Run], seed: int) -> str:
    """Run one seed; give what to print about it, "" when all was well."""
    run = run_class(seed)
    try:
        faults = run.go()
    except Exception:  # noqa: BLE001 - it is what is reported
        faults = [traceback.format_exc()]
    if not faults:
        return ""
    told = "\n  ".join(str(fault) for fault in faults)
    return f"seed {seed} of {run_class.__name__}:\n  {told}\nevents: {' '.join(run.events)}"


def failures(run_class: type[Run], first: int, count: int, *, most: int = 3) -> list[str]:
    """Run seeds from `first`; give what to print about those that failed."""
    found: list[str] = []
    for seed in range(first, first + count):
        told = failure_of(run_class, seed)
        if told:
            found.append(told)
            if len(found) == most:
                break
    return found


def failures_of_many(first: int, count: int, processes: int = 2) -> list[str]:
    """Run seeds in several processes at once."""
    share = -(-count // processes)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", MODULE, str(begin), str(min(share, first + count - begin))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        for begin in range(first, first + count, share)
    ]
    outputs = [process.communicate()[0] for process in running]
    return [
        output
        for output, process in zip(outputs, running, strict=True)
        if process.returncode or not output.endswith("well\n")
    ]


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    told = failures(Run, first, count)
    print("\n\n".join(told) if told else f"{count} seeds from {first}: all well")
    sys.exit(bool(told))
