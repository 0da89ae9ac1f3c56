from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import pytest

from gway.conversion import UNKNOWN, convert, describe, is_flag, is_list
from gway.errors import BadValue

ChargerId = NewType("ChargerId", str)


class Kind(Enum):
    SOFT = "Soft"
    HARD = "Hard reset"


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("7", int, 7),
        ("-7", int, -7),
        ("2.5", float, 2.5),
        ("a b", str, "a b"),
        ("yes", bool, True),
        ("off", bool, False),
        ("~", Path, Path("~").expanduser()),
        ("Soft", Literal["Soft", "Hard"], "Soft"),
        ("2", Literal[1, 2], 2),
        ("soft", Kind, Kind.SOFT),
        ("hard-reset", Kind, Kind.HARD),
        ("HARD", Kind, Kind.HARD),
        ("a,b", list[str], ["a", "b"]),
        ("1,2", tuple[int, ...], (1, 2)),
        ("1,x", tuple[int, str], (1, "x")),
        ("1,2,2", set[int], {1, 2}),
        ("", list[str], []),
        ("3", Sequence[int], [3]),
        ("", int | None, None),
        ("4", int | None, 4),
        ("4", int | str, 4),
        ("x", int | str, "x"),
        ("CP1", ChargerId, "CP1"),
        ("5", Annotated[int, "seconds"], 5),
        ("1.50", Decimal, Decimal("1.50")),
        ("2024-05-17", date, date(2024, 5, 17)),
        ("2024-05-17T12:00:00+02:00", datetime, datetime(2024, 5, 17, 10, tzinfo=UTC)),
        ("2024-05-17 12:00", datetime, datetime(2024, 5, 17, 12, tzinfo=UTC)),
        ('{"a": 1}', dict[str, object], {"a": 1}),
        ("x", Any, "x"),
        ("x", bytes, b"x"),
    ],
)
def test_a_text_becomes_what_the_annotation_asks_for(text, annotation, value):
    found = convert(text, annotation, "x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation", "message"),
    [
        ("x", int, "x: 'x' is not an int"),
        ("1.5", int, "is not an int"),
        ("\u0664", int, "is not an int"),
        ("nan", float, "is not a number"),
        ("inf", float, "is not a number"),
        ("maybe", bool, "is not a yes|no"),
        ("Sof", Literal["Soft", "Hard"], "not among its choices"),
        ("nope", Kind, "not among its choices"),
        ("1,x", list[int], "'x' is not an int"),
        ("1", tuple[int, int], "takes 2 values, not 1"),
        ("yesterday", datetime, "is not a time"),
        ("17.5.2024", date, "is not a date"),
        ("[1]", dict[str, object], "not a JSON object"),
        ("{", dict[str, object], "is not JSON"),
        ("", int, "is not an int"),
        ("x", int | float, "is not an int"),
    ],
)
def test_a_text_that_does_not_fit_is_named(text, annotation, message):
    with pytest.raises(BadValue) as caught:
        convert(text, annotation, "x")
    assert message in caught.value.message
    assert caught.value.parameter == "x"


def test_a_wrong_choice_suggests_the_closest():
    with pytest.raises(BadValue) as caught:
        convert("Sof", Literal["Soft", "Hard"], "type")
    assert caught.value.hint == "did you mean 'Soft'?"


@pytest.mark.parametrize(
    ("value", "annotation", "result"),
    [
        (1, float, 1.0),
        (2.0, int, 2),
        (5, str, "5"),
        ({"a": 1}, dict[str, Any], {"a": 1}),
        (["1", 2], list[int], [1, 2]),
        (None, int | None, None),
        (True, bool, True),
        (Kind.SOFT, Kind, Kind.SOFT),
        (UNKNOWN, int, UNKNOWN),
    ],
)
def test_values_from_json_are_taken_as_they_are(value, annotation, result):
    assert convert(value, annotation, "x") == result


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (True, int),
        (1.5, int),
        ([1], str),
        ({}, list[int]),
        (None, int),
        (3, Literal["a"]),
        (1, bool),
    ],
)
def test_values_from_json_of_another_type_are_refused(value, annotation):
    with pytest.raises(BadValue):
        convert(value, annotation, "x")


def test_kinds_are_named_in_a_word():
    assert describe(int | None) == "int"
    assert describe(Literal["a", "b"]) == "a|b"
    assert describe(list[Path]) == "path ..."
    assert describe(int | str) == "int or text"
    assert describe(dict[str, int]) == "json"


def test_flags_and_lists_are_told_through_none():
    assert is_flag(bool | None)
    assert not is_flag(bool | int)
    assert is_list(list[int] | None)
    assert not is_list(str)
