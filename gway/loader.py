"""Where projects are found, and how `gway.projects` is made of several folders.

`gway.projects` has no file. It is mounted with a search path of roots (workspace,
`$GWAY_PATH`, installed packages, bundled); folders of one name merge, the first file
of a name wins. A folder `x/` that holds `x/x.py` has that file as its face: it is the
project, and the other files are its parts. A folder without a face is a namespace.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

PACKAGE = "gway.projects"
HOOKSPECS = "hookspecs"
COMPLETIONS = "completions"
NOT_PROJECTS = frozenset({HOOKSPECS, COMPLETIONS, "static", "views", "templates", "tests"})


class Place:
    """What a dotted name stands for; `file` is "" for a namespace.

    `module` is what to import; `folders` are the merged folders of a namespace or of
    a project that has a face.
    """

    __slots__ = ("file", "folders", "module", "name")

    def __init__(self, name: str, module: str, file: str, folders: tuple[str, ...]) -> None:
        self.name = name
        self.module = module
        self.file = file
        self.folders = folders

    @property
    def is_project(self) -> bool:
        """Whether this has functions of its own, or only projects inside."""
        return bool(self.file)

    def __repr__(self) -> str:
        return f"Place({self.name!r}, {self.file or self.folders!r})"


class Followed:
    """How far words lead: to a place, and to the name of a verb in it.

    `used` is the number of words taken, `unknown` the first piece that leads nowhere.
    """

    __slots__ = ("place", "unknown", "used", "verb")

    def __init__(self) -> None:
        self.place: Place | None = None
        self.verb = ""
        self.unknown = ""
        self.used = 0


class SearchPath:
    """The `__path__` of `gway.projects` or a folder in it, always as the roots are now."""

    def __init__(self, mounted: Mount, inside: str = "") -> None:
        self._mounted = mounted
        self._inside = inside

    def _folders(self) -> list[str]:
        found = (os.path.join(root, self._inside) for root in self._mounted.roots)
        return [folder.rstrip(os.sep) for folder in found if os.path.isdir(folder)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders())

    def __len__(self) -> int:
        return len(self._folders())

    def __getitem__(self, index: int) -> str:
        return self._folders()[index]

    def __contains__(self, folder: object) -> bool:
        return folder in self._folders()

    def __repr__(self) -> str:
        return f"SearchPath({self._folders()!r})"


class Mount:
    """Imports everything below `gway.projects`; one per process, in `sys.meta_path`."""

    def __init__(self) -> None:
        self._roots: tuple[str, ...] | None = None

    @property
    def roots(self) -> tuple[str, ...]:
        """The folders that hold projects, first hit wins."""
        if self._roots is None:
            from gway.workspace import find_root

            self._roots = find_roots(find_root(None, os.environ, os.getcwd()), os.environ)
        return self._roots

    def set_roots(self, roots: tuple[str, ...] | None) -> None:
        """Search these folders from now on, and forget modules that they do not hold.

        :param roots: None for those of the current folder
        """
        if roots == self._roots:
            return
        before, self._roots = self._roots, roots
        if before is None:
            return
        for name in sorted(name for name in sys.modules if name.startswith(PACKAGE + ".")):
            spec = self.find_spec(name)
            loaded = getattr(sys.modules[name], "__file__", None)
            if spec is None or spec.origin != loaded:
                _forget(name)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a module of a project (the protocol of `sys.meta_path`)."""
        if not fullname.startswith("gway.projects."):
            return None
        inside = fullname[len(PACKAGE) + 1 :].replace(".", os.sep)
        folders = 0
        for root in self.roots:
            candidate = os.path.join(root, inside)
            if not folders and os.path.isfile(candidate + ".py"):
                file = candidate + ".py"
                spec = ModuleSpec(fullname, SourceFileLoader(fullname, file), origin=file)
                spec.has_location = True
                return spec
            folders += os.path.isdir(candidate)
        if not folders:
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = SearchPath(self, inside)  # type: ignore[assignment]
        return spec

    def locate(self, name: str) -> Place | None:
        """Find the project or namespace of a dotted name such as "ocpp.csms"."""
        place = Place("", PACKAGE, "", self.roots)
        for part in name.split("."):
            inner = None if place.is_project else self._inside(place, part)
            if inner is None:
                return None
            place = inner
        return place

    def children(self, place: Place | None = None) -> list[Place]:
        """List what a namespace holds (None: the top), sorted by name."""
        place = place or Place("", PACKAGE, "", self.roots)
        if place.is_project:
            return []
        parts: set[str] = set()
        for folder in place.folders:
            for entry in _entries(folder):
                part = entry.removesuffix(".py")
                if entry != part or os.path.isdir(os.path.join(folder, entry)):
                    parts.add(part)
        found = (self._inside(place, part) for part in sorted(parts))
        return [child for child in found if child is not None]

    def projects(self, place: Place | None = None) -> Iterator[Place]:
        """List the projects inside a namespace (None: all), at any depth."""
        for child in self.children(place):
            if child.is_project:
                yield child
            else:
                yield from self.projects(child)

    def follow(self, words: Sequence[object]) -> Followed:
        """Follow words such as `ocpp evcs simulate` or `ocpp.evcs.simulate`, importing nothing."""
        way = Followed()
        for word in words:
            if not isinstance(word, str) or word.startswith("-") or way.verb:
                break
            for piece in word.split("."):
                if way.verb:
                    way.unknown = piece
                    return way
                if way.place is not None and way.place.is_project:
                    way.verb = piece
                    continue
                name = piece.replace("-", "_")
                inner = self.locate(f"{way.place.name}.{name}" if way.place else name)
                if inner is None:
                    way.unknown = piece
                    return way
                way.place = inner
            way.used += 1
        return way

    def _inside(self, place: Place, part: str) -> Place | None:
        if not part.isidentifier() or part.startswith("_") or part in NOT_PROJECTS:
            return None
        name = f"{place.name}.{part}" if place.name else part
        module = f"{place.module}.{part}"
        folders: list[str] = []
        for folder in place.folders:
            candidate = os.path.join(folder, part)
            if not folders and os.path.isfile(candidate + ".py"):
                return Place(name, module, candidate + ".py", ())
            if os.path.isdir(candidate):
                folders.append(candidate)
        for folder in folders:
            face = os.path.join(folder, part + ".py")
            if os.path.isfile(face):
                return Place(name, f"{module}.{part}", face, tuple(folders))
        inner = Place(name, module, "", tuple(folders))
        return inner if folders and self.children(inner) else None


def mount() -> Mount:
    """Put `gway.projects` into place (once) and give its finder."""
    for finder in sys.meta_path:
        if isinstance(finder, Mount):
            return finder
    mounted = Mount()
    sys.meta_path.insert(0, mounted)
    spec = ModuleSpec(PACKAGE, None, is_package=True)
    spec.submodule_search_locations = SearchPath(mounted)  # type: ignore[assignment]
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    sys.modules[PACKAGE] = module
    sys.modules["gway"].projects = module  # type: ignore[attr-defined]
    return mounted


def bundled(kind: str) -> str:
    """Give the folder of the `projects` or `recipes` that come with GWAY."""
    here = os.path.dirname(os.path.abspath(__file__))
    installed = os.path.join(here, kind)
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(here), kind)


def find_roots(workspace: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """List the folders that may hold projects, in the order they are searched.

    :param workspace: the workspace's folder
    :param env: `GWAY_PATH` in it names more roots, separated like `PATH`
    """
    wanted = [os.path.join(workspace, "projects")]
    for entry in env.get("GWAY_PATH", "").split(os.pathsep):
        if entry:
            root = os.path.abspath(os.path.expanduser(entry))
            inner = os.path.join(root, "projects")
            wanted.append(inner if os.path.isdir(inner) else root)
    wanted.extend(_installed_roots())
    wanted.append(bundled("projects"))
    roots: list[str] = []
    for root in wanted:
        if root not in roots and os.path.isdir(root):
            roots.append(root)
    return tuple(roots)


def _installed_roots() -> list[str]:
    # Reading metadata properly costs more than everything else together, so look
    # first whether any installed package has the entry point group at all.
    if not any(_mentions_group(folder) for folder in sys.path if folder):
        return []
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    roots: list[str] = []
    for point in sorted(entry_points(group=PACKAGE), key=lambda point: point.name):
        spec = find_spec(point.module)
        if spec is not None and spec.submodule_search_locations:
            roots.extend(spec.submodule_search_locations)
    return roots


def _mentions_group(folder: str) -> bool:
    for entry in _entries(folder):
        if entry.endswith((".dist-info", ".egg-info")):
            try:
                with open(os.path.join(folder, entry, "entry_points.txt"), "rb") as file:
                    if b"[gway.projects]" in file.read():
                        return True
            except OSError:
                continue
    return False


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _forget(name: str) -> None:
    sys.modules.pop(name, None)
    parent, _, last = name.rpartition(".")
    holder = sys.modules.get(parent)
    if holder is not None and hasattr(holder, last):
        delattr(holder, last)
