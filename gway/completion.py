"""Completion in shells: verbs, options, their choices, recipes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gway.errors import GwayError
from gway.front import FORMATS, OPTIONS, OUTER, Front
from gway.loader import find_roots, mount
from gway.scan import scan
from gway.workspace import find_root

if TYPE_CHECKING:
    from gway.runner import Runner
    from gway.signature import Param, Signature

ANSWER_FD = 8  # where argcomplete's shell code reads


def shell_code(shell: str) -> str:
    """Give the code that a shell evaluates to ask us."""
    from argcomplete.shell_integration import shellcode

    return str(shellcode(["gway"], shell=shell))


def answer() -> int:
    """Answer the shell, which asks through argcomplete's variables."""
    from argcomplete.finders import CompletionFinder
    from argcomplete.lexers import split_line

    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    # The shell counts bytes.
    before = len(line.encode()[:point].decode(errors="ignore"))
    prequote, prefix, _, words, last_wordbreak = split_line(line, before)
    found = complete([str(word) for word in words[1:]], prefix)
    finder = CompletionFinder()
    quoted = finder.quote_completions(found, prequote, last_wordbreak)
    separator = os.environ.get("_ARGCOMPLETE_IFS", "\013")
    out = os.environ.get("_ARGCOMPLETE_STDOUT_FILENAME")
    text = separator.join(quoted).encode()
    if out:
        with open(out, "wb") as file:
            file.write(text)
    else:
        os.write(ANSWER_FD, text)
    return 0


def complete(words: list[str], prefix: str) -> list[str]:
    """Give what may stand in place of `prefix` after these words (without `gway`)."""
    root = find_root(None, os.environ, os.getcwd())
    mount().set_roots(find_roots(root, os.environ))
    try:
        found = _candidates(_last_verb(words), prefix, root)
    except GwayError:
        return []  # a line that makes no sense has no completion
    return sorted({each for each in found if each.startswith(prefix)})


def _last_verb(words: list[str]) -> list[str]:
    """Give the words of the verb that is being written."""
    left = list(words)
    for separator in ("-", ";"):
        if separator in left:
            left = left[len(left) - left[::-1].index(separator) :]
    while left and left[0].startswith("-"):
        takes = left[0] in ("-w", "--workspace", "--site", "--at", "--token-file", "--set")
        if left[0] in ("-r", "--run"):
            return ["run", *left[1:]]
        left = left[2:] if takes else left[1:]
    return left


def _candidates(words: list[str], prefix: str, root: str) -> list[str]:
    if words[:1] == ["run"] and not prefix.startswith("-"):
        return _recipes(root, prefix) if len(words) == 1 else []
    if words[:1] == ["help"]:
        words = words[1:]
    way = mount().follow(words)
    if way.place is not None and way.place.is_project and way.verb:
        return _of_verb(words, prefix)
    if way.place is None and words:
        return _of_verb(words, prefix) if words[0] != "help" else []
    if way.unknown:
        return []
    if way.place is None:
        return _first_words(prefix)
    if not way.place.is_project:
        return [child.name.rpartition(".")[2] for child in mount().children(way.place)]
    return [_dashed(name) for name in scan(way.place).functions if not name.startswith("ws_")]


def _first_words(prefix: str) -> list[str]:
    from gway.commands import NAMES

    if prefix.startswith("-"):
        return [*OPTIONS, *(f"--{each}" for each in FORMATS)]
    head, dot, _ = prefix.rpartition(".")
    way = mount().follow([head]) if dot else None
    if way is None:
        return [*NAMES, *(child.name for child in mount().children())]
    if way.place is None or way.unknown:
        return []
    if way.place.is_project:
        return [f"{head}.{_dashed(name)}" for name in scan(way.place).functions]
    return [child.name for child in mount().children(way.place)]


def _of_verb(words: list[str], prefix: str) -> list[str]:
    from gway.resolver import current
    from gway.runner import Runner
    from gway.signature import read

    runner = Runner(current(), Front())
    found = runner.find(words)
    signature = read(found.function)
    before = [str(word) for word in found.rest]
    if before and before[-1].startswith("--"):
        param = signature.find(before[-1][2:].replace("-", "_"))
        if param is not None and _values(param):
            return _values(param)
    if prefix.startswith("-"):
        own = [*signature.option_names(), *_filled(runner, words)]
        return [*own, *(f"--{_dashed(each)}" for each in OUTER if len(each) > 1)]
    return _positional_values(signature, before)


def _positional_values(signature: Signature, before: list[str]) -> list[str]:
    given = sum(1 for word in before if not word.startswith("-"))
    values = [param for param in signature.params if param.positional]
    return _values(values[given]) if given < len(values) else []


def _values(param: Param) -> list[str]:
    from gway.conversion import choices_of

    return choices_of(param.annotation)


def _filled(runner: Runner, words: list[str]) -> list[str]:
    """List the options that a recipe on the line takes."""
    if len(words) < 2 or words[0] != "run":
        return []
    from gway.recipes import RecipeRunner

    recipes = RecipeRunner(runner)
    return [f"--{_dashed(name)}" for name in recipes.names(recipes.load(words[1]))]


def _recipes(root: str, prefix: str) -> list[str]:
    from gway.catalog import recipe_names

    names = recipe_names(root)
    if prefix.startswith("recipes/"):
        return [f"recipes/{name}.gwr" for name in names]
    return list(names)


def _dashed(name: str) -> str:
    return name.replace("_", "-") if not name.startswith("view_") else name
