"""Completion in shells: verbs, options, their choices, recipes, files, what projects offer.

A shell asks at every press of a key, so what the text of a file tells is not imported. For
values that only a project knows, a `completions.py` beside it or above it has a function of
the parameter's name: `charger_id(gateway)` gives what may stand for every `charger_id`.
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gway.front import FORMATS, OPTIONS, OUTER, SEPARATORS, VALUED, Front, read_front
from gway.loader import COMPLETIONS, find_roots, mount
from gway.outline import Outlined, names_of, outline
from gway.scan import has_verbs, scan
from gway.site import LOCK
from gway.workspace import find_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from gway.loader import Followed, Place
    from gway.recipes import Recipe
    from gway.resolver import Gateway
    from gway.runner import Runner

WEB_ONLY = ("api_", "render_", "view_post_")
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
    try:
        front, left = _front(words)
        if front.words and left is None:
            return _value_of_front(front.words[0], prefix)
        root = find_root(front.workspace, os.environ, os.getcwd())
        mount().set_roots(find_roots(root, os.environ))
        with _Line(root, front, _last_verb(left or []), prefix) as line:
            found = line.candidates()
    except Exception:
        # Whoever types must not be told what is wrong with a line that is not finished.
        logging.getLogger("gway.completion").debug("no completion", exc_info=True)
        return []
    return sorted({each for each in found if each.startswith(prefix)})


def _front(words: list[str]) -> tuple[Front, list[str] | None]:
    """Read the options before the verb; None for the rest when one of them lacks its value."""
    if words and words[-1] in VALUED:
        front = read_front(words[:-1])
        if not front.words:
            front.words = words[-1:]
            return front, None
    front = read_front(words)
    return front, front.words


def _value_of_front(option: str, prefix: str) -> list[str]:
    if option in ("-r", "--run"):
        root = find_root(None, os.environ, os.getcwd())
        return [each for each in _recipes(root, prefix) if each.startswith(prefix)]
    if option in ("-w", "--workspace", "--token-file"):
        return files(prefix)
    if option == "--site":
        work = os.path.join(find_root(None, os.environ, os.getcwd()), "work")
        names = [each for each in _listed(work) if os.path.exists(f"{work}/{each}/{LOCK}")]
        return [each for each in names if each.startswith(prefix)]
    return []


def _last_verb(words: list[str]) -> list[str]:
    """Give the words of the verb that is being written."""
    left = list(words)
    for separator in SEPARATORS:
        if separator in left:
            left = left[len(left) - left[::-1].index(separator) :]
    return left


def files(prefix: str) -> list[str]:
    """Give the files and folders that a path may go on with."""
    folder, slash, name = prefix.rpartition("/")
    place = os.path.expanduser(folder + slash) or "."
    return [
        f"{folder}{slash}{each}{'/' if os.path.isdir(os.path.join(place, each)) else ''}"
        for each in _listed(place)
        if each.startswith(name) and (name.startswith(".") or not each.startswith("."))
    ]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


class _Line:
    """A line that is being written: the words of its verb, and the beginning of the next."""

    def __init__(self, root: str, front: Front, words: list[str], prefix: str) -> None:
        self.root = root
        self.front = front
        self.words = words
        self.prefix = prefix
        self._gateways = ExitStack()

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *error: object) -> None:
        self._gateways.close()

    def candidates(self) -> list[str]:
        """Give what may come, whatever it begins with."""
        words, prefix = self.words, self.prefix
        if words[:1] == ["run"] and len(words) == 1 and not prefix.startswith("-"):
            return _recipes(self.root, prefix)
        if words[:1] == ["help"]:
            words = words[1:]
        way = mount().follow(words)
        if way.place is not None and way.place.is_project and way.verb:
            return [] if words is not self.words else self._of_verb(way)
        if way.place is None and words:
            return [] if words is not self.words else self._of_verb(None)
        if way.unknown:
            return []
        if way.place is None:
            return _first_words(prefix)
        if not way.place.is_project:
            return [name.rpartition(".")[2] for name in _inside(way.place)]
        return [_dashed(name) for name in verbs_of(way.place, prefix)]

    # --- of a verb -----------------------------------------------------------

    def _of_verb(self, way: Followed | None) -> list[str]:
        params: list[Outlined] | None = None
        place = way.place if way is not None else None
        if way is not None and place is not None:
            params = outline(place, way.verb)
            before = self.words[way.used :]
        if params is None:
            params, before = self._read()
        option, equals, _ = self.prefix.partition("=")
        if equals and option.startswith("--"):
            values = self._values(_named(params, option), place)
            return [f"{option}={value}" for value in values]
        if before and before[-1].startswith("--") and "=" not in before[-1]:
            param = _named(params, before[-1])
            if param is not None and not param.is_flag:
                return self._values(param, place)
        if self.prefix.startswith("-"):
            own = [name for param in params for name in _forms(param) if name not in before]
            return [*own, *(f"--{_dashed(each)}" for each in OUTER if len(each) > 1)]
        return self._values(_positional(params, before), place)

    def _read(self) -> tuple[list[Outlined], list[str]]:
        """Import the verb, and tell what it takes."""
        from gway.runner import Runner

        runner = Runner(self._gateway(), self.front)
        found = runner.find(self.words)
        before = [str(word) for word in found.rest]
        if self.words[0] == "run" and before:
            from gway.recipes import RecipeRunner

            recipes = RecipeRunner(runner)
            names = recipes.names(recipe := recipes.load(before[0]))
            filled = [Outlined(name, frozenset(), (), False) for name in names]
            if not self.prefix.startswith("-") or "=" in self.prefix:
                filled = _filled(runner, recipe, filled)
            return [*filled, *_imported(found.function)], before
        params = _imported(found.function)
        own = getattr(found.function, "__gway_own__", None)
        if own is not None and before and not before[0].startswith("-"):
            project = own(before[0])
            params += [] if project is None else _imported(project)
        return params, before

    def _values(self, param: Outlined | None, place: Place | None) -> list[str]:
        if param is None:
            return []
        if param.choices is None:
            known, _ = self._read()
            param = _named(known, f"--{param.name}") or param
        if param.choices:
            return list(param.choices)
        if param.is_flag:
            return ["yes", "no"]
        offered = self._offered(param.name, place)
        return [*offered, *(files(self._begun()) if param.is_path else ())]

    def _begun(self) -> str:
        _, equals, value = self.prefix.partition("=")
        return value if equals and self.prefix.startswith("--") else self.prefix

    def _offered(self, name: str, place: Place | None) -> list[str]:
        """Ask the `completions.py` beside a project, or above it, for values of a parameter."""
        parts = place.module.split(".") if place is not None else []
        for depth in range(len(parts), 2, -1):
            module = ".".join([*parts[: depth - 1], COMPLETIONS])
            if mount().find_spec(module) is None:
                continue
            offer = getattr(import_module(module), name, None)
            if offer is not None:
                return [str(each) for each in offer(self._gateway())]
        return []

    def _gateway(self) -> Gateway:
        from gway.resolver import Gateway, use

        gateway = Gateway(self.root)
        if self.front.site is not None:
            gateway.settings.override("SITE", self.front.site)
        return self._gateways.enter_context(use(gateway))


def _first_words(prefix: str) -> list[str]:
    from gway.commands import NAMES

    if prefix.startswith("-"):
        return [*OPTIONS, *(f"--{each}" for each in FORMATS)]
    head, dot, _ = prefix.rpartition(".")
    way = mount().follow([head]) if dot else None
    if way is None:
        return [*NAMES, *_inside(None)]
    if way.place is None or way.unknown:
        return []
    if way.place.is_project:
        return [f"{head}.{_dashed(name)}" for name in verbs_of(way.place, prefix[len(head) + 1 :])]
    return _inside(way.place)


def _inside(place: Place | None) -> list[str]:
    """List what has verbs in a namespace (None: the top); other modules lie beside it."""
    return [child.name for child in mount().children(place) if has_verbs(child)]


def verbs_of(place: Place, prefix: str) -> list[str]:
    """List what can be said of a project, without importing it.

    What is for the web alone is offered when its prefix is typed.
    """
    source = scan(place)
    names = names_of(place) if source.listed else None
    found = source.functions if names is None else names
    typed = prefix.replace("-", "_")
    hidden = [each for each in WEB_ONLY if not typed.startswith(each[:-1])]
    return [name for name in found if not name.startswith(("ws_", "_", *hidden))]


def _named(params: list[Outlined], option: str) -> Outlined | None:
    name = option.lstrip("-").replace("-", "_")
    return next((param for param in params if param.name == name), None)


def _positional(params: list[Outlined], before: list[str]) -> Outlined | None:
    """Give the parameter that the next word is for, if it is not an option's value."""
    left = [param for param in params if param.positional]
    words = list(before)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            left = left[1:]
            continue
        name, equals, _ = word.partition("=")
        param = _named(params, name)
        left = [each for each in left if each != param]
        if param is not None and not param.is_flag and not equals:
            words = words[1:]
    return left[0] if left else None


def _forms(param: Outlined) -> list[str]:
    option = f"--{_dashed(param.name)}"
    return [option, f"--no-{option[2:]}"] if param.is_flag else [option]


def _imported(function: Callable[..., Any]) -> list[Outlined]:
    from gway.conversion import alternatives, choices_of
    from gway.signature import read

    found: list[Outlined] = []
    for param in read(function).params:
        kinds = (
            "None" if each is type(None) else getattr(each, "__name__", "")
            for each in alternatives(param.annotation)
        )
        choices = tuple(choices_of(param.annotation))
        found.append(Outlined(param.name, frozenset(kinds), choices, param.positional))
    return found


def _filled(runner: Runner, recipe: Recipe, names: list[Outlined]) -> list[Outlined]:
    """Tell what a recipe takes: what the options take that it fills."""
    found = {param.name: param for param in names}
    for line in recipe.lines:
        for before, word in pairwise([*line.words[:1], *line.words]):
            option, equals, rest = word.partition("=")
            option, sigil = (option, rest) if equals else (before, word)
            name = sigil[1:].partition("|")[0].rstrip("]").replace("-", "_")
            if sigil.startswith("[") and name in found and option.startswith("--"):
                verb = runner.find(line.words)
                own = getattr(verb.function, "__gway_own__", None)
                params = _imported(verb.function)
                params += _imported(own(verb.rest[0])) if own and own(verb.rest[0]) else []
                param = _named(params, option)
                if param is not None:
                    found[name] = param._replace(name=name, positional=False)
    return list(found.values())


def _recipes(root: str, prefix: str) -> list[str]:
    from gway.catalog import recipe_names

    names = recipe_names(root)
    if prefix.startswith("recipes/"):
        return [f"recipes/{name}.gwr" for name in names]
    return list(names)


def _dashed(name: str) -> str:
    return name.replace("_", "-") if not name.startswith("view_") else name
