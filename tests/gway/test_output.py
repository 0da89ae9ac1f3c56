from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from gway.errors import UsageError
from gway.output import Styled, progress, show
from gway.web.page import Page

AT = datetime(2024, 5, 17, 12, tzinfo=UTC)


class Charger(msgspec.Struct):
    charger_id: str
    power_w: float | None = None


@dataclass
class Tag:
    tag: str
    since: datetime


class Point(NamedTuple):
    x: int


class Kind(Enum):
    SOFT = "Soft"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(value, format="text", out=None):
    out = out or io.StringIO()
    show(value, format, out)
    return out.getvalue()


HOSTILE = "\x1b]0;x\x07\x9b31m\u202e\u200f"


def drives(text):
    """Give what of a text drives a terminal, but for our own colours."""
    left = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return set(left) & set("\x1b\x07\x9b\u202e\u200f")


def test_nothing_that_a_charger_says_drives_a_terminal():
    told = {"status": "Accepted", f"key{HOSTILE}": f"v{HOSTILE}", "in": {HOSTILE: [HOSTILE]}}
    rows = [{"a": told, HOSTILE: HOSTILE}]
    for format in ("text", "json", "csv"):
        for value in (told, rows, iter(rows), HOSTILE):
            text = shown(value, format, Terminal())
            assert drives(text) == set(), (format, text)
    for value in (told, rows, HOSTILE):
        assert drives(shown(value)) == set()


def test_a_program_gets_json_as_it_is():
    assert json.loads(shown({"a": HOSTILE}, "json")) == {"a": HOSTILE}


def test_rows_become_aligned_columns_numbers_to_the_right():
    rows = [Charger("CP1", 7.5), Charger("CHARGER2", 11000)]
    assert shown(rows).splitlines() == [
        "charger_id  power_w",
        "CP1             7.5",
        "CHARGER2      11000",
    ]


def test_rows_inside_a_value_become_a_table_below_it():
    value = {"faults": [{"path": "type", "rule": "enum"}], "verdict": "refused"}
    assert shown(value).splitlines() == [
        "verdict  refused",
        "",
        "faults",
        "path  rule",
        "type  enum",
    ]


def test_rows_with_different_keys_have_all_columns():
    assert shown([{"a": 1}, {"b": "x"}]).splitlines() == ["a  b", "1", "   x"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain\ttext", "plain\\ttext\n"),
        ("two\nlines\n", "two\nlines\n"),
        (3, "3\n"),
        (0.1 + 0.2, "0.3\n"),
        (True, "yes\n"),
        (AT, "2024-05-17T12:00:00Z\n"),
        (Kind.SOFT, "Soft\n"),
        (["a", "b"], "a\nb\n"),
        ([], ""),
        ({"id": "CP1", "tags": ["a", "b"]}, "id    CP1\ntags  a, b\n"),
        (Point(3), "x  3\n"),
        (None, ""),
        (object(), ""),
    ],
)
def test_a_value_is_written_for_people(value, text):
    assert shown(value) == text


def test_control_characters_in_data_do_not_reach_the_terminal():
    assert "\x1b" not in shown([{"id": "\x1b[2J"}]) + shown("\x1b[2J") + shown({"a": "\x1b"})


def test_json_has_times_enums_paths_structs_and_dataclasses():
    value = {
        "at": AT,
        "kind": Kind.SOFT,
        "path": Path("/x"),
        "c": Charger("CP1"),
        "t": Tag("A", AT),
    }
    assert json.loads(shown(value, "json")) == {
        "at": "2024-05-17T12:00:00Z",
        "kind": "Soft",
        "path": "/x",
        "c": {"charger_id": "CP1", "power_w": None},
        "t": {"tag": "A", "since": "2024-05-17T12:00:00Z"},
    }


def test_csv_has_a_header_and_no_formulas():
    rows = [{"id": "=cmd()", "n": -5}, {"id": "-12.5", "n": None}, {"id": "a,b", "n": 1}]
    assert list(csv.reader(io.StringIO(shown(rows, "csv")))) == [
        ["id", "n"],
        ["'=cmd()", "-5"],
        ["-12.5", ""],
        ["a,b", "1"],
    ]


def test_only_pages_have_html():
    assert shown(Page("<p>x</p>"), "html") == "<p>x</p>\n"
    with pytest.raises(UsageError, match="no page"):
        shown([1], "html")


def test_a_page_shows_its_data_in_every_form():
    page = Page("<p>", title="Chargers", data={"total": 2}, rows=[{"id": "CP1"}])
    assert shown(page) == "total  2\n\nid\nCP1\n"
    assert json.loads(shown(page, "json")) == {"total": 2, "rows": [{"id": "CP1"}]}
    assert shown(page, "csv").splitlines() == ["id", "CP1"]


def test_a_generator_is_written_as_it_comes_and_closed():
    out = io.StringIO()
    seen = []
    closed = []

    def items():
        try:
            for number in range(3):
                seen.append(out.getvalue())
                yield {"n": number}
        finally:
            closed.append(True)

    show(items(), "csv", out)
    assert seen == ["", "n\n0\n", "n\n0\n1\n"]
    assert closed == [True]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_generator_as_json_is_one_array(count):
    assert json.loads(shown(iter(range(count)), "json")) == list(range(count))


def test_a_terminal_gets_a_table_without_markup_from_data(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown([{"charger_id": "[red]CP1"}], out=Terminal())
    assert "[red]CP1" in text
    assert "charger id" in text


@pytest.fixture
def screen(monkeypatch):
    """Show a value on a terminal of so many columns, without colour."""

    def call(value, width):
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(width))
        text = shown(value, out=Terminal())
        assert max(map(len, text.splitlines())) <= width
        return text

    return call


@pytest.mark.parametrize("width", [34, 40, 60])
def test_a_table_whose_words_do_not_fit_is_a_block_for_each_row(screen, width):
    text = screen([{"charger_id": "CP1", "at": AT, "until": AT}] * 2, width)
    assert text.count("2024-05-17") == 4
    assert text.count("charger_id  CP1") == (0 if width > 34 else 2)
    assert ("charger id   at" in text) == (width == 60)


def test_a_narrow_terminal_wraps_texts_and_leaves_out_what_is_empty(screen):
    rows = [{"id": "CP1", "fault": None, "what": "the connector lock failed twice", "n": 12_345}]
    text = screen(rows, 30)
    assert text.endswith("\nempty and left out: fault\n(--json has all)\n")
    assert "12345" in text
    assert " ".join(text.split()).count("the connector") == 1
    assert len(text.splitlines()) == 7
    assert len(screen(rows, 60).splitlines()) == 4


def test_a_long_text_is_cut_and_the_table_stays_a_table(screen):
    rows = [{"id": "CP1", "fault": "f" * 300, "n": 1}, {"id": "CP2", "fault": "", "n": 2}]
    text = screen(rows, 60)
    assert "…" in text
    assert "f" * 300 not in text
    assert text.splitlines()[0].split() == ["id", "fault", "n"]
    assert text.endswith("long texts are cut (--json has all)\n")
    assert "f" * 300 in shown(rows), "a program gets all"


def test_a_table_of_a_dozen_columns_is_a_table_where_it_fits(screen):
    text = screen([{f"c{number}": number for number in range(12)}] * 2, 120)
    assert len(text.splitlines()) == 4


def test_a_time_of_today_is_its_time_of_day_in_a_table(screen):
    today = datetime.now(UTC)
    text = screen([{"at": today.replace(microsecond=0)}, {"at": AT}], 60)
    assert f"{today:%H:%M:%S}" in text
    assert f"{today:%Y-%m-%d}" not in text
    assert "2024-05-17 12:00" in text
    assert text.endswith("times are UTC\n")


def test_a_long_value_goes_on_below_its_beginning(screen):
    text = screen({"id": "CP1", "words": "one two three four five six"}, 24)
    assert text == "id     CP1\nwords  one two three\n       four five six\n"
    assert "x" * 17 in screen({"words": "x" * 100}, 24)


def test_rows_inside_a_value_are_a_table_of_their_own(screen):
    answer = {"keys": [{"key": "Heartbeat", "value": "300"}], "unknown": []}
    text = screen({"status": "ok", "answer": answer}, 40)
    assert "{" not in text
    assert (
        text.index("status") < text.index("answer") < text.index("keys") < text.index("Heartbeat")
    )
    assert shown({"answer": answer}).count("\n") == 1, "a program finds it on one line"


def test_times_are_to_the_second_for_people_and_whole_for_programs(screen):
    at = AT.replace(microsecond=123_456)
    assert "2024-05-17T12:00:00Z" in screen({"at": at}, 80)
    assert "2024-05-17T12:00:00.123Z" in shown({"at": at})


def test_a_person_is_told_that_there_is_nothing_and_a_program_gets_nothing(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert shown([], out=Terminal()) == "none\n"
    assert (shown([]), shown([], "json", Terminal())) == ("", "[]\n")


def test_no_color_is_obeyed(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1m" in shown({"a": 1}, out=Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown({"a": 1}, out=Terminal()) + shown([{"a": 1}], out=Terminal())


def test_progress_is_silent_where_nobody_looks(capsys):
    with progress("work", total=2) as advance:
        advance(1, "half")
    assert capsys.readouterr() == ("", "")


def test_a_value_has_a_colour_on_a_terminal_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    rows = [{"status": Styled("Faulted", "red")}]
    for value in (rows, rows[0]):
        assert "\x1b[31mFaulted" in shown(value, out=Terminal())
        assert "\x1b" not in shown(value)
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b" not in shown(value, out=Terminal())
        monkeypatch.delenv("NO_COLOR")
    assert "\x1b" not in shown(Styled("\x1b[2J", "red"))
