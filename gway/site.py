"""Sites: each running server has a folder of its own below `work/`, and holds it alone.

Two servers that write into one database would each think that they alone number its
transactions. So whoever serves locks its folder, and a workspace that is to hold several
servers gives all but one a name: `work/NAME/` is the site NAME, `work/` itself has none.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from gway.errors import GwayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gway.resolver import Gateway

LOCK = "server.lock"
RECORD = "server.json"
UNNAMED = "."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Claim:
    """The hold that one server has on its site; it ends with the process, however that ends."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._file: int | None = None

    def take(self) -> None:
        """Hold the site; an error names the server that has it."""
        import fcntl

        if self._file is not None:
            return
        path = self._gateway.workspace.work(LOCK)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise _taken(path.parent) from None
        except OSError as error:
            os.close(file)
            raise GwayError(f"{path} cannot be locked: {error.strerror}") from None
        self._file = file

    def close(self) -> None:
        """Let go of the site; the file stays, as others may be about to lock it."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def checked(name: str) -> str:
    """Give the folder's name for a site's name; `.` is `work/` itself."""
    if name in ("", UNNAMED):
        return ""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a site", "letters, digits, '_' and '-'")
    return name


def choose(root: Path) -> str:
    """Choose the site that a command is for which names none.

    It is the one that runs; when none or several do, `work/` itself if a server ever
    had it, else the only other one.
    """
    sites = dict(_sites(root))
    if set(sites) <= {""}:
        return ""
    running = [name for name, folder in sites.items() if is_running(folder)]
    if len(running) == 1:
        return running[0]
    if "" in sites:
        return ""
    left = running or list(sites)
    if len(left) == 1:
        return left[0]
    state = "run here" if running else "are here"
    raise UsageError(f"several sites {state}: {', '.join(left)}", "name one with --site NAME")


def records(root: Path) -> list[dict[str, Any]]:
    """Give what the servers of a workspace that run say of themselves."""
    found: list[dict[str, Any]] = []
    for _, folder in _sites(root):
        if is_running(folder):
            try:
                found.append(_record(folder))
            except (OSError, ValueError):
                continue  # it ended meanwhile
    return found


def _record(folder: Path) -> dict[str, Any]:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError(f"{folder / RECORD} holds no object")
    return record


def is_running(folder: Path) -> bool:
    """Say whether the server that a folder's record tells of is alive."""
    try:
        os.kill(int(_record(folder)["pid"]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _sites(root: Path) -> Iterator[tuple[str, Path]]:
    """Give the sites that a server has ever had: names and folders."""
    work = root / "work"
    if (work / LOCK).exists() or (work / RECORD).exists():
        yield "", work
    for lock in sorted(work.glob(f"*/{LOCK}")):
        if _NAME.fullmatch(lock.parent.name):
            yield lock.parent.name, lock.parent


def _taken(folder: Path) -> GwayError:
    try:
        state = _record(folder)
        who = f"the server at {state['url']} (process {int(state['pid'])})"
    except (OSError, ValueError, KeyError, TypeError):
        who = "a server that is starting or stopping"
    return GwayError(
        f"{who} keeps its files in {folder}; two would spoil each other's",
        "stop it, or give this one a folder of its own: gway --site NAME ...",
    )
