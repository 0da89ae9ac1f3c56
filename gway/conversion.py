"""Texts from a command line, a recipe or a form become what an annotation asks for."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from gway.errors import BadValue, did_you_mean

TRUE = frozenset({"1", "true", "yes", "on", "y"})
FALSE = frozenset({"0", "false", "no", "off", "n"})
LISTS = (list, tuple, set, frozenset)

UNKNOWN: Any = object()
"""Stands for a value that is known only when a recipe runs; it fits everywhere."""


class Unreadable:
    """An annotation that names something its module does not hold at run time."""

    def __init__(self, text: str) -> None:
        self.text = text


def convert(value: Any, annotation: Any, name: str) -> Any:
    """Turn a text (or a value from JSON) into what an annotation asks for.

    :param annotation: a type such as `int`, `Literal["a", "b"]`, `datetime | None`
    :param name: the parameter's name, for the error
    """
    if value is UNKNOWN:
        return value
    annotation = _plain(annotation)
    if isinstance(annotation, Unreadable):
        raise BadValue(name, f"{name}: its type {annotation.text!r} cannot be read at run time")
    choices = alternatives(annotation)
    if len(choices) > 1 or NoneType in choices:
        return _convert_union(value, choices, name)
    if get_origin(annotation) in LISTS or annotation in LISTS:
        return _convert_list(value, annotation, name)
    if isinstance(value, str):
        return _convert_text(value, annotation, name)
    return _accept(value, annotation, name)


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """List the members of a union; any other annotation is alone."""
    annotation = _plain(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def without_none(annotation: Any) -> Any:
    """Give X of `X | None`; unions of more than one X stay as they are."""
    members = [each for each in alternatives(annotation) if each is not NoneType]
    return _plain(members[0]) if len(members) == 1 else annotation


def is_list(annotation: Any) -> bool:
    """Say whether several values belong into one parameter."""
    bare = without_none(annotation)
    return bare in LISTS or get_origin(bare) in LISTS


def is_flag(annotation: Any) -> bool:
    """Say whether a parameter is written `--x` or `--no-x`."""
    return without_none(annotation) is bool


def takes_spaces(annotation: Any) -> bool:
    """Say whether the words after an option are one value with spaces."""
    return any(
        each in (str, Path, Any, object, bytes) or _is_mapping(each) or _words_in_choices(each)
        for each in map(_plain, alternatives(annotation))
    )


def choices_of(annotation: Any) -> list[str]:
    """List the texts that a parameter takes, when they can be listed."""
    found: list[str] = []
    for each in map(_plain, alternatives(annotation)):
        item = _plain(get_args(each)[0]) if is_list(each) and get_args(each) else each
        if get_origin(item) is Literal:
            found.extend(str(choice) for choice in get_args(item))
        elif isinstance(item, type) and issubclass(item, Enum):
            found.extend(str(member.value) for member in item)
    return found


def describe(annotation: Any) -> str:
    """Name the kind of value in a word or two, for help and errors."""
    if isinstance(annotation, Unreadable):
        return annotation.text
    bare = without_none(annotation)
    if is_list(bare):
        inner = get_args(bare)
        return f"{describe(inner[0]) if inner else 'text'} ..."
    members = [each for each in alternatives(bare) if each is not NoneType]
    if len(members) > 1:
        return " or ".join(dict.fromkeys(describe(each) for each in members))
    if choices_of(bare):
        return "|".join(choices_of(bare))
    names = {
        str: "text",
        int: "int",
        float: "number",
        bool: "yes|no",
        Path: "path",
        datetime: "time",
        date: "date",
        bytes: "text",
    }
    if _is_mapping(bare):
        return "json"
    if bare in (Any, object):
        return "value"
    return names.get(bare) or str(getattr(bare, "__name__", bare)).lower()


def _plain(annotation: Any) -> Any:
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            origin = get_origin(annotation)
            if isinstance(origin, type) and origin not in LISTS and _is_sequence(origin):
                return list[get_args(annotation)[0]]  # type: ignore[misc]
            return annotation


def _is_sequence(origin: type) -> bool:
    return issubclass(origin, Iterable) and not issubclass(origin, (str, bytes, Mapping))


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _words_in_choices(annotation: Any) -> bool:
    return any(" " in choice for choice in choices_of(annotation))


def _convert_union(value: Any, members: tuple[Any, ...], name: str) -> Any:
    if NoneType in members and (value is None or value == ""):
        return None
    # `str` takes anything, so it is asked last.
    ordered = sorted((each for each in members if each is not NoneType), key=lambda x: x is str)
    problem: BadValue | None = None
    for member in ordered:
        try:
            return convert(value, member, name)
        except BadValue as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _convert_list(value: Any, annotation: Any, name: str) -> Any:
    kind = get_origin(annotation) or annotation
    inner = [each for each in get_args(annotation) if each is not Ellipsis]
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if value else []
    elif not isinstance(value, (list, tuple, set, frozenset)):
        raise _bad(value, annotation, name)
    if kind is tuple and len(inner) > 1:
        if len(value) != len(inner):
            raise BadValue(name, f"{name} takes {len(inner)} values, not {len(value)}")
        return tuple(convert(each, one, name) for each, one in zip(value, inner, strict=True))
    item = inner[0] if inner else str
    return kind(convert(each, item, name) for each in value)


def _convert_text(text: str, annotation: Any, name: str) -> Any:
    if annotation in (str, Any, object):
        return text
    if annotation is bool:
        return _to_bool(text, name)
    if get_origin(annotation) is Literal:
        for choice in get_args(annotation):
            if str(choice) == text:
                return choice
        raise _bad_choice(text, annotation, name)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _to_enum(text, annotation, name)
    if _is_mapping(annotation):
        return _to_mapping(text, name)
    readers: dict[Any, Any] = {
        int: _to_int,
        float: _to_float,
        Path: lambda given: Path(given).expanduser(),
        datetime: _to_time,
        date: date.fromisoformat,
        bytes: str.encode,
    }
    read = _to_decimal if _is_decimal(annotation) else readers.get(annotation)
    if read is None:
        raise BadValue(name, f"{name}: a text cannot become {describe(annotation)}")
    try:
        return read(text.strip())
    except (ValueError, ArithmeticError):
        raise _bad(text, annotation, name) from None


def _accept(value: Any, annotation: Any, name: str) -> Any:
    """Take a value that is no text: from JSON, or from an earlier verb."""
    if annotation in (Any, object):
        return value
    if isinstance(value, bool) and annotation in (int, float):
        raise _bad(value, annotation, name)
    if annotation is float and isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            raise _bad(value, annotation, name) from None
    if annotation is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if annotation is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if get_origin(annotation) is Literal:
        if value in get_args(annotation):
            return value
        raise _bad_choice(value, annotation, name)
    kind = get_origin(annotation) or annotation
    fits = isinstance(kind, type) and isinstance(value, kind)
    # Objects handed on from verb to verb are theirs to judge; JSON values are not.
    if not fits and (value is None or isinstance(value, (bool, int, float, list, dict))):
        raise _bad(value, annotation, name)
    return value


def _to_bool(text: str, name: str) -> bool:
    folded = text.strip().lower()
    if folded in TRUE or folded in FALSE:
        return folded in TRUE
    raise _bad(text, bool, name)


def _to_int(text: str) -> int:
    if not text.removeprefix("-").removeprefix("+").isascii():
        raise ValueError(text)
    return int(text)


def _to_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _is_decimal(annotation: Any) -> bool:
    # Whoever asks for one has imported it; all others need not.
    decimal = sys.modules.get("decimal")
    return decimal is not None and annotation is decimal.Decimal


def _to_decimal(text: str) -> Any:
    from decimal import Decimal

    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    return number


def _to_time(text: str) -> datetime:
    """Read ISO 8601; a time without a zone is UTC."""
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _to_enum(text: str, kind: type[Enum], name: str) -> Enum:
    folded = text.strip().lower().replace("-", "_").replace(" ", "_")
    for member in kind:
        spellings = (str(member.value), member.name)
        if text in spellings or folded in (
            each.lower().replace("-", "_").replace(" ", "_") for each in spellings
        ):
            return member
    raise _bad_choice(text, kind, name)


def _to_mapping(text: str, name: str) -> dict[str, Any]:
    import json

    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadValue(name, f"{name}: {text!r} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadValue(name, f"{name}: {text!r} is not a JSON object")
    return found


def _bad(value: Any, annotation: Any, name: str) -> BadValue:
    hints = {
        datetime: "such as 2024-05-17T12:00:00Z",
        date: "such as 2024-05-17",
        bool: "yes or no",
    }
    bare = without_none(annotation)
    return BadValue(name, f"{name}: {value!r} is not {_article(describe(bare))}", hints.get(bare))


def _bad_choice(value: Any, annotation: Any, name: str) -> BadValue:
    choices = choices_of(annotation)
    hint = did_you_mean(str(value), choices) or "one of " + ", ".join(choices)
    return BadValue(name, f"{name}: {value!r} is not among its choices", hint)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeio" else f"a {noun}"
