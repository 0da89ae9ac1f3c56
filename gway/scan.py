"""What can be said of a project's file without importing it: fast, and nothing runs."""

from __future__ import annotations

from gway.loader import Place, mount

HOOKS = ("@hookimpl", "@hookspec", "@plugins.hook")


class Source:
    """A project's file as its text tells.

    `functions` are the names of functions that may be verbs; `listed` says that the
    file has an `__all__`, so that only an import tells which.
    """

    __slots__ = ("functions", "listed", "serves", "summary")

    def __init__(
        self, summary: str, functions: list[str], listed: bool, serves: tuple[str, ...]
    ) -> None:
        self.summary = summary
        self.functions = functions
        self.listed = listed
        self.serves = serves

    @property
    def has_verbs(self) -> bool:
        """Whether the project belongs into a listing."""
        return self.listed or any(not name.startswith("ws_") for name in self.functions)


def scan(place: Place) -> Source:
    """Read a project's file; a namespace is told by the first line of its README.md."""
    if not place.is_project:
        return Source(_readme_title(place), [], False, ())
    try:
        # A file that Python cannot read still has a name; help must not fail because of it.
        with open(place.file, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        return Source(f"cannot be read: {error.strerror}", [], True, ())
    serves = _serves(text, place.file) if "__serves__" in text else ()
    return Source(summary_of(text), _functions(text), _has_all(text), serves)


def has_verbs(place: Place) -> bool:
    """Tell whether a project, or any in a namespace, has something that can be said of it."""
    if place.is_project:
        return scan(place).has_verbs
    return any(has_verbs(child) for child in mount().children(place))


def summary_of(text: str) -> str:
    """Give the first sentence of a module's docstring, without its last dot."""
    for quote in ('"""', "'''"):
        head, opened, rest = text.partition(quote)
        code = [line for line in head.splitlines() if line.strip() and not line.startswith("#")]
        if opened and not any(code):
            paragraph = rest.partition(quote)[0].strip().partition("\n\n")[0]
            return " ".join(paragraph.split()).removesuffix(".")
    return ""


def _functions(text: str) -> list[str]:
    found: list[str] = []
    hooked = False
    for line in text.splitlines():
        if line.startswith("@"):
            hooked = hooked or line.startswith(HOOKS)
        elif line.startswith(("def ", "async def ")):
            name = line.partition("def ")[2].partition("(")[0].strip()
            if not hooked and not name.startswith("_") and name not in found:
                found.append(name)
            hooked = False
    return found


def _has_all(text: str) -> bool:
    return "\n__all__" in f"\n{text}"


def _serves(text: str, file: str) -> tuple[str, ...]:
    import ast

    for node in ast.parse(text, file).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(each, ast.Name) and each.id == "__serves__" for each in targets):
            assert isinstance(node, ast.Assign)
            names = ast.literal_eval(node.value)
            return (names,) if isinstance(names, str) else tuple(names)
    return ()


def _readme_title(place: Place) -> str:
    for folder in place.folders:
        try:
            with open(f"{folder}/README.md", encoding="utf-8") as file:
                for line in file:
                    if line.strip():
                        return line.lstrip("# ").strip()
        except OSError:
            continue
    return ""
