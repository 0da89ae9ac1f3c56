"""A function's signature is its command line: parameters, options, help."""

from __future__ import annotations

import datetime as _datetime
import enum
import inspect
import pathlib
import typing
from collections import abc
from typing import Any, NamedTuple

from gway.conversion import UNKNOWN, Unreadable, convert, is_flag, is_list, takes_spaces
from gway.errors import BadValue, UsageError, did_you_mean
from gway.marks import web_name
from gway.results import MISSING, Results

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class ArgumentError(UsageError):
    """Words that do not fit a function; the message goes on after the verb's name."""


class Param(NamedTuple):
    """One parameter; `positional` says that it need not be named."""

    name: str
    annotation: Any
    default: Any
    positional: bool
    help: str = ""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING

    @property
    def option(self) -> str:
        """How it is written on a command line."""
        return "--" + self.name.replace("_", "-")


class Parsed:
    """The arguments of one call as far as the command line gave them."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.many: list[Any] = []
        self.extra: dict[str, Any] = {}
        self.outer: dict[str, Any] = {}


class Signature(NamedTuple):
    """What a function takes, and what its docstring says."""

    function: Callable[..., Any]
    params: tuple[Param, ...]
    many: Param | None
    extra: Param | None
    summary: str
    text: str

    def find(self, name: str) -> Param | None:
        """Find a parameter by name."""
        return next((param for param in self.params if param.name == name), None)

    def option_names(self) -> list[str]:
        """List the options, `--no-x` of flags included."""
        names: list[str] = []
        for param in self.params:
            names.append(param.option)
            if is_flag(param.annotation):
                names.append("--no-" + param.option[2:])
        return names

    def fill(self, parsed: Parsed, results: Results) -> None:
        """Hand results of earlier verbs to parameters of their name that were left alone."""
        for param in self.params:
            if param.name not in parsed.values and param.name in results:
                parsed.values[param.name] = results[param.name]

    def missing(self, parsed: Parsed) -> list[Param]:
        """List the parameters that have neither value nor default."""
        return [p for p in self.params if p.required and p.name not in parsed.values]

    def arguments(self, parsed: Parsed) -> tuple[list[Any], dict[str, Any]]:
        """Give what to call the function with; a missing value is a usage error."""
        missing = self.missing(parsed)
        if missing:
            names = " and ".join(_missing_name(param) for param in missing)
            raise ArgumentError(f"needs {names}")
        args: list[Any] = []
        kwargs = dict(parsed.values)
        if parsed.many:
            for param in self.params:
                if param.positional:
                    args.append(kwargs.pop(param.name, param.default))
            args.extend(parsed.many)
        else:
            for name in _positional_only(self.function):
                if name in kwargs:
                    args.append(kwargs.pop(name))
        return args, {**kwargs, **parsed.extra}


def read(function: Callable[..., Any]) -> Signature:
    """Read a function's parameters and docstring."""
    summary, text, notes = split_doc(inspect.getdoc(function) or "")
    params: list[Param] = []
    many: Param | None = None
    extra: Param | None = None
    inner = inspect.unwrap(function)
    for each in inspect.signature(function).parameters.values():
        annotation = _annotation(each.annotation, getattr(inner, "__globals__", {}))
        default = MISSING if each.default is each.empty else each.default
        note = notes.get(each.name, "")
        if each.kind is each.VAR_POSITIONAL:
            many = Param(each.name, annotation, MISSING, True, note)
        elif each.kind is each.VAR_KEYWORD:
            extra = Param(each.name, annotation, MISSING, False, note)
        else:
            params.append(
                Param(each.name, annotation, default, each.kind is not each.KEYWORD_ONLY, note)
            )
    return Signature(function, tuple(params), many, extra, summary, text)


def read_named(name: str, functions: Mapping[str, Callable[..., Any]]) -> Signature:
    """Read a function of a project by its name.

    What a page or an API call leaves unsaid of a parameter is taken from the verb that
    it stands for: `api_reset` and `view_post_reset` from `reset`.

    :param functions: all of the project
    """
    signature = read(functions[name])
    web = web_name(name)
    if web is None:
        return signature
    verb = functions.get(web[1]) or functions.get(name.removeprefix(f"{web[0]}_"))
    if verb is None:
        return signature
    notes = {param.name: param.help for param in read(verb).params}
    params = (p if p.help else p._replace(help=notes.get(p.name, "")) for p in signature.params)
    return signature._replace(params=tuple(params))


def split_doc(doc: str) -> tuple[str, str, dict[str, str]]:
    """Split a docstring into its first sentence, the text after it, and `:param:` notes."""
    notes: dict[str, str] = {}
    rest: list[str] = []
    current: str | None = None
    for line in doc.splitlines():
        stripped = line.strip()
        if stripped.startswith(":"):
            field, _, note = stripped[1:].partition(":")
            word, _, name = field.partition(" ")
            current = name.strip().lstrip("*") if word == "param" else None
            if current:
                notes[current] = note.strip()
            else:
                current = ""
        elif current is not None and stripped and line[:1] == " ":
            if current:
                notes[current] += " " + stripped
        else:
            current = None
            rest.append(line)
    paragraphs = "\n".join(rest).strip().split("\n\n")
    summary = " ".join(paragraphs[0].split())
    return summary, "\n\n".join(paragraphs[1:]).strip(), notes


def is_option(word: Any) -> bool:
    """Say whether a word is an option: a dash before anything but a number."""
    if not isinstance(word, str) or len(word) < 2 or word[0] != "-":
        return False
    return not (word[1].isdigit() or (word[1] == "." and word[2:3].isdigit()))


def parse(
    signature: Signature, words: Sequence[Any], outer: Mapping[str, bool] | None = None
) -> Parsed:
    """Read a command line's words into arguments.

    :param words: texts, and objects that stood in sigils
    :param outer: options that the caller takes when the function does not; True if with a value
    """
    return _Reader(signature, words, outer or {}).read()


class _Reader:
    """Walks over the words of one command."""

    def __init__(
        self, signature: Signature, words: Sequence[Any], outer: Mapping[str, bool]
    ) -> None:
        self.signature = signature
        self.words = list(words)
        self.outer = outer
        self.at = 0
        self.parsed = Parsed()
        self.loose: list[Any] = []
        self.lists: dict[str, list[Any]] = {}

    def read(self) -> Parsed:
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            if word == "--" and isinstance(word, str):
                self.loose.extend(self.words[self.at :])
                break
            if is_option(word):
                self._option(word)
            else:
                self.loose.append(word)
        for name, values in self.lists.items():
            param = self.signature.find(name)
            assert param is not None
            given = values[0] if len(values) == 1 else values
            self.parsed.values[name] = convert(given, param.annotation, param.option)
        self._positionals()
        return self.parsed

    def _option(self, word: str) -> None:
        name, equals, text = word.partition("=")
        key = name.lstrip("-").replace("-", "_") if name.startswith("--") else ""
        param = self.signature.find(key)
        if param is None and key.startswith("no_"):
            flag = self.signature.find(key[3:])
            if flag is not None and is_flag(flag.annotation) and not equals:
                self.parsed.values[flag.name] = False
                return
        if param is not None:
            self._named(param, text if equals else None)
        elif (key or name.lstrip("-")) in self.outer:
            self._outer(key or name.lstrip("-"), text if equals else None)
        elif self.signature.extra is not None and key.isidentifier():
            values = [text] if equals else self._take()
            value = _joined(values) if values else True
            if value is not True:
                value = convert(value, self.signature.extra.annotation, name)
            self.parsed.extra[key] = value
        else:
            known = [*self.signature.option_names(), *(f"--{each}" for each in self.outer)]
            raise ArgumentError(f"has no option '{name}'", did_you_mean(name, known))

    def _named(self, param: Param, text: str | None) -> None:
        if is_flag(param.annotation):
            given: Any = True if text is None else convert(text, param.annotation, param.option)
            self.parsed.values[param.name] = given
            return
        values = [text] if text is not None else self._take(param)
        if not values:
            raise BadValue(param.name, f"{param.option} needs a value")
        if is_list(param.annotation):
            self.lists.setdefault(param.name, []).extend(values)
        else:
            value = _joined(values)
            self.parsed.values[param.name] = convert(value, param.annotation, param.option)

    def _outer(self, key: str, text: str | None) -> None:
        if not self.outer[key]:
            self.parsed.outer[key] = True
            return
        if text is None:
            if self.at >= len(self.words):
                raise BadValue(key, f"--{key} needs a value")
            text = self.words[self.at]
            self.at += 1
        self.parsed.outer[key] = text

    def _take(self, param: Param | None = None) -> list[Any]:
        """Take the words of an option's value: up to the next option, or one."""
        end = self.at
        while end < len(self.words) and not is_option(self.words[end]):
            end += 1
        several = param is None or is_list(param.annotation) or takes_spaces(param.annotation)
        if not several:
            end = min(end, self.at + 1)
        taken = self.words[self.at : end]
        self.at = end
        return taken

    def _positionals(self) -> None:
        loose = self.loose
        for param in self.signature.params:
            if not loose:
                return
            if not param.positional or param.name in self.parsed.values:
                continue
            value: Any = loose.pop(0)
            if is_list(param.annotation) and self.signature.many is None and loose:
                value = [value, *loose]
                loose.clear()
            self.parsed.values[param.name] = convert(value, param.annotation, _shout(param))
        if loose and self.signature.many is not None:
            many = self.signature.many
            self.parsed.many = [convert(each, many.annotation, _shout(many)) for each in loose]
        elif loose:
            raise ArgumentError(f"takes no further value: {loose[0]!r}")


def _joined(values: list[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    if UNKNOWN in values:
        return UNKNOWN
    return " ".join(str(value) for value in values)


def _shout(param: Param) -> str:
    return param.name.upper()


def _missing_name(param: Param) -> str:
    return _shout(param) if param.positional else param.option


def _positional_only(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind is each.POSITIONAL_ONLY]


# Names that a module may have imported for the type checker only.
_COMMON: dict[str, Any] = {
    **{name: getattr(typing, name) for name in ("Any", "Literal", "Optional", "Union")},
    **{name: getattr(abc, name) for name in ("Iterable", "Mapping", "Sequence")},
    "Path": pathlib.Path,
    "Enum": enum.Enum,
    "date": _datetime.date,
    "datetime": _datetime.datetime,
}


class _Names(dict[str, Any]):
    """The names an annotation may use: its module's, then the common ones."""

    def __missing__(self, name: str) -> Any:
        return _COMMON[name]


def _annotation(annotation: Any, names: dict[str, Any]) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    if annotation is None:
        return type(None)
    if not isinstance(annotation, str):
        return annotation
    try:
        # The text stands in the source of the very function that is to be called.
        return eval(annotation, {"__builtins__": __builtins__}, _Names(names))
    except (NameError, KeyError, AttributeError, TypeError):
        return Unreadable(annotation)
