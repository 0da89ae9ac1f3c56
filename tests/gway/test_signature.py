from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from gway.conversion import UNKNOWN
from gway.errors import BadValue, UsageError
from gway.results import Results
from gway.signature import is_option, parse, read, split_doc

if TYPE_CHECKING:
    from datetime import datetime
    from fractions import Fraction


def reset(
    charger_id: str,
    kind: Literal["Soft", "Hard"] = "Soft",
    *,
    wait_s: float = 5.0,
    force: bool = False,
    tags: list[str] | None = None,
    note: str | None = None,
    since: datetime | None = None,
):
    """Restart a charger."""
    return locals()


def call(function, *words, outer=None, results=None):
    signature = read(function)
    parsed = parse(signature, words, outer)
    signature.fill(parsed, results or Results())
    args, kwargs = signature.arguments(parsed)
    return function(*args, **kwargs)


def test_values_are_given_by_position_or_by_name():
    assert call(reset, "CP1", "Hard")["kind"] == "Hard"
    assert call(reset, "--kind", "Hard", "--charger-id", "CP1")["charger_id"] == "CP1"
    assert call(reset, "--charger_id=CP1")["charger_id"] == "CP1"


def test_keyword_only_parameters_must_be_named():
    with pytest.raises(UsageError, match=r"takes no further value: '7'"):
        call(reset, "CP1", "Hard", "7")


def test_a_text_may_have_spaces_up_to_the_next_option():
    found = call(reset, "CP1", "--note", "bay", "3", "left", "--wait-s", "2")
    assert (found["note"], found["wait_s"]) == ("bay 3 left", 2.0)


def test_a_number_takes_one_word_so_that_values_may_follow():
    found = call(reset, "--wait-s", "2", "CP1")
    assert (found["wait_s"], found["charger_id"]) == (2.0, "CP1")


def test_a_flag_takes_no_word():
    assert call(reset, "--force", "CP1")["force"] is True
    assert call(reset, "--no-force", "CP1")["force"] is False
    assert call(reset, "CP1", "--force=no")["force"] is False


def test_a_list_takes_several_words_or_repeats_or_commas():
    for words in (["--tags", "a", "b"], ["--tags", "a", "--tags", "b"], ["--tags", "a,b"]):
        assert call(reset, "CP1", *words)["tags"] == ["a", "b"]


def test_negative_numbers_are_values():
    assert call(reset, "CP1", "--wait-s", "-1.5")["wait_s"] == -1.5
    assert not is_option("-1")
    assert not is_option("-.5")
    assert is_option("-x")


def test_after_two_dashes_everything_is_a_value():
    assert call(reset, "--", "--CP")["charger_id"] == "--CP"


def test_an_unknown_option_suggests_the_closest():
    with pytest.raises(UsageError, match="has no option '--fource'") as caught:
        call(reset, "CP1", "--fource")
    assert caught.value.hint == "did you mean '--force' or '--no-force'?"


def test_an_option_without_value_is_an_error():
    with pytest.raises(BadValue, match="--wait-s needs a value"):
        call(reset, "CP1", "--wait-s")


def test_missing_values_are_named_as_they_are_written():
    def two(first, *, second): ...

    with pytest.raises(UsageError, match="needs FIRST and --second"):
        call(two)


def test_a_result_fills_a_parameter_left_alone():
    results = Results()
    results.put("ocpp.csms", "find_charger_id", "CP9")
    assert call(reset, results=results)["charger_id"] == "CP9"
    assert call(reset, "CP1", results=results)["charger_id"] == "CP1"


def test_unknown_options_reach_a_function_that_takes_any():
    def setup(project, **options):
        return options

    assert call(setup, "p", "--home", "status", "--allow-all", "--x", "a", "b") == {
        "home": "status",
        "allow_all": True,
        "x": "a b",
    }


def test_values_of_any_number_are_converted_one_by_one():
    def add(first: int, *rest: int):
        return first + sum(rest)

    assert call(add, "1", "2", "-3") == 0
    with pytest.raises(BadValue, match="REST: 'x'"):
        call(add, "1", "x")


def test_positional_only_parameters_are_given_by_position():
    def f(a: int, /, b: int = 2):
        return (a, b)

    assert call(f, "1", "--b", "3") == (1, 3)


def test_options_of_the_caller_are_taken_unless_the_function_has_them():
    signature = read(reset)
    parsed = parse(signature, ["CP1", "--json", "--at", "http://x"], {"json": False, "at": True})
    assert parsed.outer == {"json": True, "at": "http://x"}


def test_names_for_the_type_checker_are_read_if_they_are_common_ones():
    assert call(reset, "CP1", "--since", "2024-05-17")["since"].year == 2024


def test_an_unreadable_annotation_is_an_error_only_when_a_value_is_given():
    def odd(share: Fraction | None = None):
        return share

    assert call(odd) is None
    with pytest.raises(BadValue, match="cannot be read at run time"):
        call(odd, "1/2")


def test_objects_pass_through_as_they_are():
    def use(thing: Any, other: str = ""):
        return thing

    thing = object()
    assert call(use, thing) is thing
    assert call(reset, "CP1", "--note", "a", UNKNOWN)["note"] is UNKNOWN


def test_a_docstring_is_summary_text_and_notes():
    summary, text, notes = split_doc(
        "Do a\nthing.\n\nMore of it.\n\n:param a: first\n    goes on\n:returns: never\n    shown\n"
    )
    assert (summary, text, notes) == ("Do a thing.", "More of it.", {"a": "first goes on"})
