"""Recipes: files of command lines that furnish a whole site.

A line is a command; `\\` joins lines; `#` begins a comment outside quotes. A line that
ends with `:` begins a block: each indented item below it, beginning with `-` or
`--option`, is run as the block's words followed by its own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gway.catalog import find_recipe_folders, recipe_names
from gway.errors import GwayError, UnknownName, UsageError, did_you_mean
from gway.loader import bundled
from gway.runner import sentence
from gway.sigils import sigils_in

if TYPE_CHECKING:
    from gway.runner import Runner

TAB = 8


class Line(NamedTuple):
    """One command of a recipe, the words of its blocks in front."""

    number: int
    words: list[str]


# `--host HOST  address to listen on`: a name or several, perhaps a word, two spaces, what it is.
_VALUE = re.compile(r"(--[\w-]+(?:, --[\w-]+)*)(?: \S+)?\s{2,}(\S.*)")


class Recipe(NamedTuple):
    """A parsed recipe; `label` is how errors call it, `doc` its opening comment."""

    path: Path
    label: str
    lines: list[Line]
    doc: str

    def names(self) -> dict[str, str | None]:
        """Give the names that may be filled in, with their defaults."""
        found: dict[str, str | None] = {}
        for line in self.lines:
            for word in line.words:
                for name, default in sigils_in(word):
                    if found.get(name) is None:
                        found[name] = default
        return found

    @property
    def about(self) -> str:
        """Give the opening comment up to where it explains single values."""
        lines = self.doc.splitlines()
        ends = (number for number, line in enumerate(lines) if _VALUE.match(line))
        return "\n".join(lines[: next(ends, len(lines))]).strip()

    def meanings(self) -> dict[str, str]:
        """Give what the opening comment says of each value: lines such as `--port N  which`."""
        found: dict[str, str] = {}
        names: list[str] = []
        for line in self.doc.splitlines():
            opens = _VALUE.match(line)
            if opens:
                names = [word.strip()[2:].replace("-", "_") for word in opens[1].split(",")]
                found |= dict.fromkeys(names, opens[2])
            elif line and names:
                found |= {name: f"{found[name]} {line}" for name in names}
            else:
                names = []
        return found


class RecipeError(GwayError):
    """An error in a line of a recipe; the message begins with `file:line:`."""

    def __init__(self, label: str, number: int, error: GwayError) -> None:
        super().__init__(f"{label}:{number}: {error.message}", error.hint)
        self.exit_code = error.exit_code


class _Logical(NamedTuple):
    number: int
    indent: int
    text: str


class _Block(NamedTuple):
    indent: int
    words: list[str]
    number: int


# --- finding -----------------------------------------------------------------


def find(name: str, root: Path, beside: Path | None = None) -> Path:
    """Find a recipe by any spelling: a path, `etron/local`, with or without `.gwr`.

    :param root: the workspace
    :param beside: the folder of the recipe that asks
    """
    spellings = [name] if name.endswith(".gwr") else [f"{name}.gwr", name]
    bare = name.removeprefix("recipes/")
    inside = [bare] if bare.endswith(".gwr") else [f"{bare}.gwr"]
    folders = find_recipe_folders(root)
    candidates = [Path(each).expanduser() for each in spellings]
    if beside is not None:
        candidates = [beside / each for each in spellings] + candidates
    candidates += [root / each for each in spellings]
    candidates += [folder / each for folder in folders for each in inside]
    dashes = [each.replace("-", "_") for each in inside] + [
        each.replace("_", "-") for each in inside
    ]
    candidates += [folder / each for folder in folders for each in dashes]
    for path in candidates:
        if path.is_file():
            return path.absolute()
    hint = did_you_mean(bare.removesuffix(".gwr"), list(recipe_names(root)))
    raise UnknownName(f"no recipe '{name}'", hint or "recipes are .gwr files below recipes/")


def load(path: Path) -> Recipe:
    """Read and parse a recipe."""
    label = _label(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GwayError(f"{label} cannot be read: {error}") from None
    doc: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        doc.append(line[1:].strip())
    return Recipe(path, label, list(_commands(text, label)), "\n".join(doc).strip())


def _label(path: Path) -> str:
    """Name a recipe as people call it: seen from here, or from where the bundled ones are."""
    for base in (Path.cwd(), Path(bundled("recipes")).parent):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return str(path)


# --- parsing -----------------------------------------------------------------


def _commands(text: str, label: str) -> Iterator[Line]:
    """Give the commands of a recipe, blocks unrolled."""
    blocks: list[_Block] = []
    empty: _Block | None = None
    for line in _logical_lines(text):
        try:
            if empty is not None and line.indent <= empty.indent:
                _no_items(empty, label)
            while blocks and line.indent <= blocks[-1].indent:
                blocks.pop()
            words = _split(line.text)
            if line.indent and not blocks:
                raise UsageError(
                    "this line is indented, but no block is open", "end the line above it with ':'"
                )
            own = [*blocks[-1].words, *_item(words)] if blocks else words
            empty = None
            if _opens_block(line.text):
                own[-1] = own[-1][:-1]
                own = own if own[-1] else own[:-1]
                empty = _Block(line.indent, own, line.number)
                blocks.append(empty)
            else:
                yield Line(line.number, own)
        except GwayError as error:
            if isinstance(error, RecipeError):
                raise
            raise RecipeError(label, line.number, error) from None
    if empty is not None:
        _no_items(empty, label)


def _no_items(block: _Block, label: str) -> None:
    error = UsageError("this block has no items", "indent its items and begin each with '- '")
    raise RecipeError(label, block.number, error)


def _item(words: list[str]) -> list[str]:
    if words[0] == "-":
        if len(words) == 1:
            raise UsageError("this item is empty")
        return words[1:]
    if words[0].startswith("--"):
        return words
    raise UsageError(f"an item of a block begins with '- ', not with {words[0]!r}")


def _logical_lines(text: str) -> Iterator[_Logical]:
    """Join lines, drop comments and blank lines."""
    begun: _Logical | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        code = _without_comment(raw).rstrip()
        if not code.strip():
            continue
        indent = len(raw.expandtabs(TAB)) - len(raw.expandtabs(TAB).lstrip())
        joins = code.endswith("\\") and not code.endswith("\\\\")
        part = (code[:-1] if joins else code).strip()
        if begun is None:
            begun = _Logical(number, indent, part)
        else:
            begun = begun._replace(text=f"{begun.text} {part}")
        if not joins:
            yield begun
            begun = None
    if begun is not None:
        yield begun


def _without_comment(line: str) -> str:
    quote = ""
    escaped = False
    for at, char in enumerate(line):
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#":
            return line[:at]
    return line


def _opens_block(text: str) -> bool:
    return text.endswith(":") and not text.endswith("\\:")


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"{str(error).lower()}: {text}", "close the quote on the same line"
        ) from None


# --- running -----------------------------------------------------------------


class RecipeRunner:
    """Runs recipes line by line, and the recipes that they run."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._open: list[Path] = []

    def load(self, name: str) -> Recipe:
        """Find and parse a recipe; one that is running already is an error."""
        beside = self._open[-1].parent if self._open else None
        path = find(name, self._runner.gateway.workspace.root, beside)
        if path in self._open:
            raise UsageError(f"{_label(path)} would run itself")
        return load(path)

    def run(self, recipe: Recipe, values: Mapping[str, Any]) -> None:
        """Run a recipe; the first error ends it."""
        self._open.append(recipe.path)
        try:
            for line in recipe.lines:
                try:
                    self._runner.run_chain(line.words, values)
                except BrokenPipeError:
                    raise
                except Exception as error:
                    raise located(recipe, line, error) from error
        finally:
            self._open.pop()

    def check(
        self, recipe: Recipe, values: Mapping[str, Any], nouns: set[str]
    ) -> list[RecipeError]:
        """Resolve every line without running any; give all that is wrong."""
        errors: list[RecipeError] = []
        self._open.append(recipe.path)
        try:
            for line in recipe.lines:
                try:
                    self._runner.check_chain(line.words, values, nouns)
                except RecipeErrors as several:
                    errors.extend(several.errors)
                except GwayError as error:
                    errors.append(located(recipe, line, error))
        finally:
            self._open.pop()
        return errors

    def names(self, recipe: Recipe) -> dict[str, str | None]:
        """Give what may be filled in, in a recipe and in those it runs."""
        found = recipe.names()
        self._open.append(recipe.path)
        try:
            for line in recipe.lines:
                if line.words[0] == "run" and len(line.words) > 1 and "[" not in line.words[1]:
                    try:
                        inner = self.names(self.load(line.words[1]))
                    except GwayError as error:
                        raise located(recipe, line, error) from None
                    found = {**inner, **found}
        finally:
            self._open.pop()
        return found


def located(recipe: Recipe, line: Line, error: Exception) -> RecipeError:
    """Make an error one that names file and line; an inner recipe has done so already."""
    if isinstance(error, RecipeError):
        return error
    return RecipeError(recipe.label, line.number, sentence(error))


class RecipeErrors(UsageError):
    """All that is wrong in a recipe that was checked."""

    def __init__(self, label: str, errors: list[RecipeError]) -> None:
        super().__init__(f"{label}: {len(errors)} lines cannot run")
        self.errors = errors
        self.exit_code = max(error.exit_code for error in errors)
