"""The folder that a person works in, and the one place that running code writes to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gway.errors import GwayError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    """A folder with `projects/`, `recipes/` and, once something ran, `work/`.

    :param choose: names the site at first use, as `gway.site` has it; "" is `work/` itself
    """

    def __init__(
        self, root: str | os.PathLike[str], choose: Callable[[], str] | None = None
    ) -> None:
        self.root = Path(root)
        self._choose = choose
        self._site: str | None = None

    @property
    def site(self) -> str:
        """The site that this process works on; it stays the same from the first use on."""
        if self._site is None:
            self._site = self._choose() if self._choose is not None else ""
        return self._site

    def settle(self, site: str) -> None:
        """Work on this site from now on; files of another one must not be in use."""
        if self._site is not None and self._site != site:
            raise UsageError(
                f"files in {self.folder} are in use already", "name the site before all else"
            )
        self._site = site

    @property
    def folder(self) -> Path:
        """The folder of the site; all that runs write goes below it."""
        return self.root / "work" / self.site

    def work(self, *parts: str, parents: bool = True) -> Path:
        """Give a path below the site's folder; with `parents` folders are made, for us alone.

        :param parts: path segments; leaving the folder by them is an error
        """
        base = self.folder
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
