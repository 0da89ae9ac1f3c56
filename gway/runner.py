"""Runs command lines: finds the verb, fills in its arguments, calls it, shows the result."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gway.conversion import UNKNOWN
from gway.errors import BadValue, GwayError, UnknownName, UsageError, did_you_mean, in_words
from gway.front import FORMATS, OUTER, Front, split_chain
from gway.loader import Place, mount
from gway.marks import WEB_PREFIXES
from gway.output import Format, show
from gway.resolver import find_function, unknown_verb
from gway.results import MISSING, noun_of
from gway.sigils import Context, resolve, resolve_all, sigils_in
from gway.signature import ArgumentError, Parsed, Signature, parse, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from gway.resolver import Gateway

ANYWHERE = ("help", "until")  # verbs of gway itself that may stand beside --at


class Found(NamedTuple):
    """A verb that words led to, and the words after it; `raw` verbs read those themselves."""

    label: str
    project: str
    verb: str
    function: Callable[..., Any]
    rest: list[Any]
    raw: bool = False


class Runner:
    """Runs command lines on one gateway.

    :param front: the options of gway itself
    """

    def __init__(self, gateway: Gateway, front: Front) -> None:
        from gway.commands import Commands

        self.gateway = gateway
        self.front = front
        self._format = front.format
        self._at_insecure = front.at_insecure
        self.commands = Commands(self)

    # --- running -------------------------------------------------------------

    def run(self, words: Sequence[Any]) -> int:
        """Run a command line and show its last result; give the exit code."""
        result = self.run_chain(list(words), {}, last_only=True)
        return int(result) if isinstance(result, ExitCode) else 0

    def run_chain(
        self, words: list[Any], values: Mapping[str, Any], *, last_only: bool = False
    ) -> Any:
        """Run the verbs of one line.

        :param values: what a recipe was given, for sigils
        :param last_only: the line is the whole command: its last result is shown as it comes
        """
        parts = split_chain(words)
        result: Any = None
        for number, part in enumerate(parts, start=1):
            last = number == len(parts)
            result = self.run_part(part, values, shown=last, kept=not (last and last_only))
        return result

    def run_part(
        self, words: list[Any], values: Mapping[str, Any], *, shown: bool, kept: bool = True
    ) -> Any:
        """Run one verb.

        :param shown: write its result to stdout
        :param kept: a later verb may want the result, so a generator's items are collected
        """
        found = self.find(words)
        context = Context(self.gateway.results, values, self.gateway.env)
        if found.raw and found.rest[:1] not in (["--help"], ["-h"]):
            return found.function(found.rest, values)
        if found.raw:
            show(self.commands.help(found.label))
            return None
        signature = read(found.function)
        rest = resolve_all(found.rest, partial(resolve, context=context))
        parsed = self._parse(found, signature, rest)
        if "help" in parsed.outer or "h" in parsed.outer:
            show(self.commands.help(found.label))
            return None
        signature.fill(parsed, self.gateway.results)
        args, kwargs = self._arguments(found, signature, parsed)
        at = parsed.outer.get("at", self.front.at)
        self._at_insecure = "at_insecure" in parsed.outer or self.front.at_insecure
        if "token_file" in parsed.outer:
            self.gateway.settings.override("TOKEN_FILE", str(parsed.outer["token_file"]))
        if found.function == self.commands.run:
            return self.commands.run_recipe(args, kwargs, values)
        self._format = next((each for each in parsed.outer if each in FORMATS), self.front.format)
        result = finish(self._call(found, at, args, kwargs))
        if isinstance(result, Iterator) and (kept or not shown):
            result = list(result)
        if shown:
            self._show(found.function, result)
        if not isinstance(result, (Iterator, ExitCode)):
            self.gateway.results.put(found.project, found.verb, result)
        return result

    def _show(self, function: Callable[..., Any], result: Any) -> None:
        """Show a result; a verb may bring a function that shapes it for people's eyes."""
        people: Callable[[Any], Any] | None = getattr(function, "__gway_people__", None)
        if people is not None and self._format == "text":
            result = people(result)
        show(result, cast("Format", self._format))

    def _call(self, found: Found, at: str | None, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if at is not None and not found.project and found.verb not in ANYWHERE:
            raise UsageError(
                f"'{found.label}' is about this machine and does not run at {at}",
                "leave --at out; what runs there are the verbs of projects",
            )
        if at is None or not found.project:
            return self._call_here(found, args, kwargs)
        from gway import remote

        server = remote.at(self.gateway, at, plain=self._at_insecure)
        if getattr(found.function, "__gway_asks__", False):
            self.gateway.at = server
            try:
                return self._call_here(found, args, kwargs)
            finally:
                self.gateway.at = None
        return remote.call(
            self.gateway, server, found.function, args, kwargs, cast("Format", self._format)
        )

    def _call_here(self, found: Found, args: list[Any], kwargs: dict[str, Any]) -> Any:
        gateway = self.gateway
        gateway.renders = (
            gateway.serving or self._format == "html" or not found.verb.startswith("view_")
        )
        try:
            return found.function(*args, **kwargs)
        finally:
            gateway.renders = True

    # --- finding -------------------------------------------------------------

    def find(self, words: Sequence[Any]) -> Found:
        """Find the verb that words name, in any of its spellings."""
        first = str(words[0])
        builtin = self.commands.find(first)
        if builtin is not None:
            return Found(first, "", builtin.__name__, builtin, list(words[1:]), is_raw(builtin))
        way = mount().follow(words)
        if way.place is None or (way.unknown and not way.place.is_project):
            raise self._unknown(way.place, way.unknown or first)
        if not way.verb:
            if {"--help", "-h"} & set(words[way.used :]):
                return Found(way.place.name, "", "help", self._help_of(way.place.name), [])
            raise UsageError(
                f"a verb of {way.place.name} is missing", f"see `gway help {way.place.name}`"
            )
        project = way.place.name
        functions = self.gateway.load(project)._functions()
        functions = {k: v for k, v in functions.items() if not k.startswith("ws_")}
        function = find_function(functions, way.verb)
        if way.unknown or function is None:
            error = unknown_verb(way.unknown or way.verb, project, functions)
            if not (error.hint or "").startswith("did you mean"):
                error.hint = misplaced(way.unknown or way.verb) or error.hint
            raise error
        label = " ".join(str(word) for word in words[: way.used])
        return Found(label, project, function.__name__, function, list(words[way.used :]))

    def _help_of(self, name: str) -> Callable[[], str]:
        def help() -> str:
            return self.commands.help(name)

        return help

    def _unknown(self, place: Place | None, name: str) -> UnknownName:
        known = [child.name.rpartition(".")[2] for child in mount().children(place)]
        if place is None:
            known += self.commands.names()
        hint = did_you_mean(name, known)
        if place is None:
            hint = self._recipe_hint(name) or misplaced(name) or hint
        where = f"no project '{name}' in {place.name}" if place else f"no project or verb '{name}'"
        return UnknownName(where, hint or misplaced(name) or "see `gway projects`")

    def _recipe_hint(self, name: str) -> str | None:
        from gway.catalog import recipe_names

        bare = name.removeprefix("recipes/").removesuffix(".gwr").replace("-", "_")
        for known in recipe_names(self.gateway.workspace.root):
            if bare in (folded := known.replace("-", "_"), folded.rpartition("/")[2]):
                return f"recipes are run with `gway run {known}`"
        return f"recipes are run with `gway run {name}`" if name.endswith(".gwr") else None

    # --- checking ------------------------------------------------------------

    def check_chain(self, words: list[Any], values: Mapping[str, Any], nouns: set[str]) -> None:
        """Resolve everything of a line without running it.

        :param nouns: results that earlier lines will have; this line's are added
        """
        for part in split_chain(words):
            found = self.find(part)
            if found.raw:
                self.commands.check_raw(found.function, found.rest, values, nouns)
                continue
            signature = read(found.function)
            rest = resolve_all(found.rest, partial(self._check_word, values=values, nouns=nouns))
            parsed = self._parse(found, signature, rest)
            for param in signature.params:
                if param.name in nouns:
                    parsed.values.setdefault(param.name, UNKNOWN)
            args, kwargs = self._arguments(found, signature, parsed)
            if found.function == self.commands.run:
                self.commands.check_recipe(args, kwargs, values, nouns)
                continue
            check = getattr(found.function, "__gway_check__", None)
            if check is not None:
                try:
                    check(*args, **kwargs)
                except ArgumentError as error:
                    raise UsageError(f"'{found.label}' {error.message}", error.hint) from None
            nouns |= {noun_of(found.verb), f"{found.project}.{found.verb}"}

    def _check_word(self, word: Any, values: Mapping[str, Any], nouns: set[str]) -> Any:
        if not isinstance(word, str) or not sigils_in(word):
            return word
        context = Context(self.gateway.results, values, self.gateway.env)
        for name, default in sigils_in(word):
            parts = name.split(".")
            heads = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
            if heads & nouns:
                return UNKNOWN
            if default is None and context.find(name) is MISSING:
                hint = did_you_mean(name, [*nouns, *values]) or f"give it as --{name}"
                raise UsageError(f"nothing is known for [{name}]", hint)
        return resolve(word, context)

    # --- arguments -----------------------------------------------------------

    def _parse(self, found: Found, signature: Signature, rest: list[Any]) -> Parsed:
        outer = {key: takes for key, takes in OUTER.items() if signature.find(key) is None}
        try:
            return parse(signature, rest, outer)
        except ArgumentError as error:
            hint = error.hint or f"usage: {self._usage(found, signature)}"
            raise UsageError(f"'{found.label}' {error.message}", hint) from None
        except BadValue as error:
            raise UsageError(f"'{found.label}': {error.message}", error.hint) from None

    def _arguments(
        self, found: Found, signature: Signature, parsed: Parsed
    ) -> tuple[list[Any], dict[str, Any]]:
        try:
            return signature.arguments(parsed)
        except ArgumentError as error:
            hint = f"usage: {self._usage(found, signature)}"
            raise UsageError(f"'{found.label}' {error.message}", hint) from None

    def _usage(self, found: Found, signature: Signature) -> str:
        from gway.helptext import usage

        return usage(found.label, signature)


def misplaced(name: str) -> str | None:
    """Say where a name is found that was looked for in the wrong place, if anywhere."""
    from difflib import get_close_matches

    from gway.completion import verbs_of

    wanted = name.replace("-", "_")
    found: list[str] = []
    nearly: list[str] = []
    for place in mount().projects():
        if place.name.rpartition(".")[2] == wanted and "." in place.name:
            found.insert(0, place.name)
        for verb in verbs_of(place, wanted):
            if verb in (wanted, f"{wanted}_app", f"view_{wanted}"):
                found.append(f"{place.name}.{verb.replace('_', '-') if is_verb(verb) else verb}")
            elif is_verb(verb):
                nearly.append(f"{place.name}.{verb.replace('_', '-')}")
    if not found:
        close = get_close_matches(wanted, [each.rpartition(".")[2] for each in nearly], 1, 0.8)
        found = [each for each in nearly if each.rpartition(".")[2] in close]
    if not found:
        return None
    return "did you mean " + " or ".join(f"`gway {each}`" for each in found[:3]) + "?"


class ExitCode(int):
    """The result of a verb that is the exit code of the process, and nothing to show."""


def is_raw(function: Callable[..., Any]) -> bool:
    """Say whether a built-in verb reads its words itself."""
    return bool(getattr(function, "__gway_raw__", False))


def finish(result: Any) -> Any:
    """Run a coroutine to its end; make an async generator a plain one."""
    if inspect.iscoroutine(result):
        import asyncio

        return asyncio.run(result)
    if inspect.isasyncgen(result):
        return _plain_generator(result)
    return result


def _plain_generator(items: Any) -> Iterator[Any]:
    import asyncio

    with asyncio.Runner() as runner:
        try:
            while True:
                yield runner.run(_next(items))
        except StopAsyncIteration:
            return
        finally:
            runner.run(items.aclose())


async def _next(items: Any) -> Any:
    return await anext(items)


def is_verb(name: str) -> bool:
    """Say whether a function's name is a plain verb, not a page or an API call."""
    return not name.startswith((*WEB_PREFIXES, "ws_"))


def sentence(error: Exception) -> GwayError:
    """Make any error one that a person can read."""
    if isinstance(error, GwayError):
        return error
    return GwayError(in_words(error))
