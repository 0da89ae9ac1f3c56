"""What a verb takes, told by the text of its file: no import, so a shell can wait for it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from gway.loader import PACKAGE, mount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gway.loader import Place

# Annotations that say all there is to say about their values.
_PLAIN = frozenset({"str", "int", "float", "bool", "Path", "date", "datetime", "None"})


class Outlined(NamedTuple):
    """One parameter; `choices` are None when only an import could tell them."""

    name: str
    kinds: frozenset[str]
    choices: tuple[str, ...] | None
    positional: bool

    @property
    def is_flag(self) -> bool:
        """Whether it is written `--x` or `--no-x`."""
        return self.kinds - {"None"} == {"bool"}

    @property
    def is_path(self) -> bool:
        """Whether it names a file."""
        return "Path" in self.kinds


def names_of(place: Place) -> list[str] | None:
    """List what a project's `__all__` names; None when it has none, or makes it up."""
    tree = _parsed(place.file)
    for node in tree.body if tree is not None else ():
        targets = node.targets if isinstance(node, ast.Assign) else ()
        if any(isinstance(each, ast.Name) and each.id == "__all__" for each in targets):
            assert isinstance(node, ast.Assign)
            try:
                return [str(name) for name in ast.literal_eval(node.value)]
            except ValueError:
                return None
    return None


def outline(place: Place, verb: str) -> list[Outlined] | None:
    """Give the parameters of a verb; None when the text alone does not tell them."""
    name = verb.replace("-", "_")
    for each in (name, f"{name}_app"):
        function = _function(place.file, each)
        if function is not None:
            taken = function.args
            if taken.vararg or taken.kwarg or taken.posonlyargs:
                return None
            return [
                *(_outlined(arg, True) for arg in taken.args),
                *(_outlined(arg, False) for arg in taken.kwonlyargs),
            ]
    return None


def _function(file: str, name: str, depth: int = 2) -> ast.FunctionDef | None:
    """Find a function in a file, or in the file that it is imported from."""
    tree = _parsed(file)
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and depth and node.module and not node.level:
            if not node.module.startswith(PACKAGE):
                continue
            if any(alias.name == name and alias.asname is None for alias in node.names):
                spec = mount().find_spec(node.module)
                if spec is not None and spec.origin:
                    return _function(spec.origin, name, depth - 1)
    return None


def _parsed(file: str) -> ast.Module | None:
    try:
        with open(file, encoding="utf-8") as source:
            return ast.parse(source.read(), file)
    except (OSError, SyntaxError, ValueError):
        return None


def _outlined(arg: ast.arg, positional: bool) -> Outlined:
    kinds: set[str] = set()
    choices: list[str] = []
    known = arg.annotation is None or _read(arg.annotation, kinds, choices)
    return Outlined(arg.arg, frozenset(kinds), tuple(choices) if known else None, positional)


def _read(node: ast.expr, kinds: set[str], choices: list[str]) -> bool:
    """Read an annotation; False when it names something that is defined elsewhere."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _read(node.left, kinds, choices) & _read(node.right, kinds, choices)
    if isinstance(node, ast.Name):
        kinds.add(node.id)
        return node.id in _PLAIN
    if isinstance(node, ast.Constant):
        kinds.add(str(node.value))
        return node.value is None
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        inside = list(_members(node.slice))
        if node.value.id == "Literal":
            choices.extend(str(each.value) for each in inside if isinstance(each, ast.Constant))
            return all(isinstance(each, ast.Constant) for each in inside)
        if node.value.id == "list":
            known = [_read(each, kinds, choices) for each in inside]
            return all(known)
    return False


def _members(node: ast.expr) -> Iterator[ast.expr]:
    yield from node.elts if isinstance(node, ast.Tuple) else (node,)
