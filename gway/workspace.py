"""The folder that a person works in, and the one place that running code writes to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gway.errors import GwayError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MARKS = ("projects", "recipes", "work")


def find_root(given: str | os.PathLike[str] | None, env: Mapping[str, str], cwd: str) -> str:
    """Find the workspace: as given, `GWAY_WORKSPACE`, the nearest parent, or here.

    :param given: what `--workspace` said
    :param cwd: where the search among the parents begins
    """
    named = os.fspath(given) if given is not None else env.get("GWAY_WORKSPACE", "")
    if named:
        root = os.path.abspath(os.path.join(cwd, os.path.expanduser(named)))
        if not os.path.isdir(root):
            raise GwayError(f"the workspace {root} is not a folder", "create it first")
        return root
    here = folder = os.path.abspath(cwd)
    # The root of the file system is never one: many machines have a /work of their own.
    while (parent := os.path.dirname(folder)) != folder:
        if any(_is_mark(os.path.join(folder, mark), folder == here) for mark in MARKS):
            return folder
        folder = parent
    return here


def _is_mark(path: str, trusted: bool) -> bool:
    """Say whether a folder marks a workspace; code found by searching must be ours or root's.

    Otherwise whoever may write to /tmp could have their `projects/` run by all who work below it.
    """
    try:
        found = os.stat(path)
    except OSError:
        return False
    owners = (os.geteuid(), 0)
    return stat.S_ISDIR(found.st_mode) and (trusted or found.st_uid in owners)


class Workspace:
    """A folder with `projects/`, `recipes/` and, once something ran, `work/`."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def work(self, *parts: str, parents: bool = True) -> Path:
        """Give a path below `work/`; with `parents` its folders are made, for us alone.

        :param parts: path segments; leaving `work/` by them is an error
        """
        base = self.root / "work"
        path = base.joinpath(*parts)
        if ".." in path.parts or base not in (path, *path.parents):
            raise GwayError(f"{os.path.join(*parts)!r} is not inside {base}")
        if parents:
            folder = path if path == base else path.parent
            missing: list[Path] = []
            while not folder.is_dir():
                missing.append(folder)
                folder = folder.parent
            for each in reversed(missing):
                each.mkdir(mode=0o700, exist_ok=True)
        return path

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"
