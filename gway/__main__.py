"""The command `gway`: gevent patched first where something serves, then the command line."""

from __future__ import annotations

import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Run a command line and give its exit code."""
    words = sys.argv[1:] if argv is None else argv
    if "_ARGCOMPLETE" in os.environ:
        from gway.completion import answer

        return answer()
    from gway.cli import run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
