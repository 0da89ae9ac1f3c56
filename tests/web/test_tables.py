"""Tables filter, sort and page by the address, and their twins have all that matches."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from gway.errors import UsageError
from gway.web.tables import Column, order, sorted_by, table_of, window

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = [
    {"id": "CP10", "energy_wh": 12_345, "at": AT, "note": None},
    {"id": "CP2", "energy_wh": 500, "at": None, "note": "Broken lid"},
    {"id": "cp1", "energy_wh": None, "at": AT, "note": "fine"},
]
COLUMNS = (Column("id"), Column("energy_wh", "Energy", kind="energy"), Column("at"), Column("note"))

FLEET = """
    from gway.web.page import Page, PageMaker
    from gway.web.tables import Column, table_of

    PAGES = PageMaker(__file__)
    COLUMNS = (
        Column("n", "No.", kind="number", link=lambda row: PAGES.url("one", n=row["n"])),
        Column("energy_wh", "Energy", kind="energy"),
        Column("state", kind="status"),
    )

    def view_list(kind: str = "", *, q: str = "", sort: str = "n", page: int = 1,
                  per_page: int | None = None):
        rows = [{"n": n, "energy_wh": n * 1000, "state": "faulted" if n == 7 else "<ok>"}
                for n in range(1, 1235)]
        table = table_of(rows, COLUMNS, q=q, sort=sort, page=page, per_page=per_page,
                         status=lambda row: "bad" if row["n"] == 7 else None)
        return PAGES("list", table=table)

    def view_one(n: int):
        return str(n)
"""


@pytest.fixture
def fleet(client: Any, site: Any, project: Any) -> Any:
    project("fleet", FLEET, views={"list": "% include('gway/table', table=table)"})
    site.mount("fleet")
    return client


def names(table: Any) -> list[str]:
    return [row["id"] for row in table.rows]


@pytest.mark.parametrize(
    ("q", "found"),
    [("cp", 3), ("broken", 1), ("LID brok", 1), ("12.35", 1), ("12345", 1), ("cp10 lid", 0),
     ("2026-03-01", 2), ("", 3), ("  ", 3)],
)  # fmt: skip
def test_a_filter_finds_its_words_in_any_column_and_any_case(q: str, found: int) -> None:
    assert table_of(ROWS, COLUMNS, q=q).total == found


def test_text_is_sorted_as_people_count_and_nothing_comes_last_both_ways() -> None:
    assert names(table_of(ROWS, COLUMNS, sort="id")) == ["cp1", "CP2", "CP10"]
    assert names(table_of(ROWS, COLUMNS, sort="-id")) == ["CP10", "CP2", "cp1"]
    assert names(table_of(ROWS, COLUMNS, sort="energy_wh")) == ["CP2", "CP10", "cp1"]
    assert names(table_of(ROWS, COLUMNS, sort="-energy_wh")) == ["CP10", "CP2", "cp1"]


def test_equal_rows_stay_as_they_came_both_ways() -> None:
    rows = [{"n": n, "same": 1} for n in range(5)]
    for descending in (False, True):
        assert sorted_by(rows, "same", descending) == rows


def test_values_of_several_kinds_can_be_sorted() -> None:
    rows = [{"a": "text"}, {"a": 3}, {"a": AT}, {"a": AT.date()}, {"a": None}, {"a": True}]
    assert [row["a"] for row in sorted_by(rows, "a")] == [True, 3, AT, AT.date(), "text", None]


def test_an_unknown_column_is_refused_and_the_others_are_named() -> None:
    with pytest.raises(UsageError, match="no column to sort by is called 'colour'") as raised:
        order("-colour", (*COLUMNS, Column("secret", sortable=False)))
    assert raised.value.hint == "sort by one of id, energy_wh, at, note"


@pytest.mark.parametrize(("page", "per_page"), [(0, 50), (1, 0), (1, 1001), (-1, None)])
def test_pages_have_bounds(page: int, per_page: int | None) -> None:
    with pytest.raises(UsageError, match="there is no page") as raised:
        window(page, per_page)
    assert raised.value.hint == "page is 1 or more, per_page 1 to 1000"


def test_outside_a_request_all_rows_are_there_unless_a_page_is_named() -> None:
    rows = [{"n": n} for n in range(120)]
    assert len(table_of(rows).rows) == 120
    assert len(table_of(rows, page=3).rows) == 20
    assert len(table_of(rows, per_page=7).rows) == 7
    assert len(table_of([{"n": 0}] * 12_000).rows) == 10_000


def test_a_page_has_fifty_rows_and_links_to_the_others(fleet: Any) -> None:
    text = fleet.get("/fleet/list?kind=a+b&page=2").text
    assert text.count("<tr") == 51
    assert "51\N{EN DASH}100 of 1\u202f234" in text
    for href in ("?kind=a+b", "?kind=a+b&amp;page=3", "?kind=a+b&amp;page=25"):
        assert f'href="{href}"' in text
    assert '<input type="hidden" name="kind" value="a b">' in text
    assert 'name="page"' not in text


def test_headings_sort_and_say_how_they_do(fleet: Any) -> None:
    text = fleet.get("/fleet/list?sort=-energy_wh&page=2").text
    assert 'aria-sort="descending"' in text
    assert 'href="?sort=energy_wh"' in text
    assert 'href="?sort=n"' in text
    assert text.index("1\u202f184.00") < text.index("1\u202f183.00")


def test_cells_have_links_units_badges_and_rows_a_status(fleet: Any) -> None:
    text = fleet.get("/fleet/list?q=faulted").text
    assert '<tr data-status="bad">' in text
    assert 'href="/fleet/one?n=7"' in text
    assert '7.00 <span class="unit">kWh</span>' in text
    assert '<span class="badge" data-status="faulted">faulted</span>' in text
    assert "<ok>" not in fleet.get("/fleet/list").text


def test_twins_have_all_that_matches_and_links_keep_the_filter(fleet: Any) -> None:
    text = fleet.get("/fleet/list?q=12&sort=-n&page=2&per_page=3").text
    assert 'href="/fleet/list.csv?q=12&amp;sort=-n"' in text
    assert 'href="/fleet/list.json?q=12&amp;sort=-n"' in text
    answer = fleet.get("/fleet/list.csv?q=12&sort=-n")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    expected = [n for n in range(1234, 0, -1) if "12" in str(n)]
    assert [int(row["n"]) for row in rows] == expected
    assert rows[0]["energy_wh"] == "1234000"
    assert answer.headers["x-gway-total"] == str(len(expected))
    assert len(fleet.get("/fleet/list.json").json) == 1234


def test_a_program_may_read_a_twin_page_by_page(fleet: Any) -> None:
    assert [row["n"] for row in fleet.get("/fleet/list.json?page=2&per_page=3").json] == [4, 5, 6]
    assert fleet.get("/fleet/list.json?page=500&per_page=3").json == []


@pytest.mark.parametrize("query", ["sort=nothing", "page=0", "per_page=1001", "per_page=x"])
def test_what_makes_no_sense_is_refused(fleet: Any, query: str) -> None:
    assert fleet.get(f"/fleet/list?{query}").status == 400


def test_nothing_found_and_too_far_lead_back(fleet: Any) -> None:
    text = fleet.get("/fleet/list?q=%3Cb%3E&sort=n").text
    assert "Nothing matches “&lt;b&gt;”" in text
    assert 'href="?sort=n"' in text
    assert "There is no page 99, the last is 25." in fleet.get("/fleet/list?page=99").text


def test_a_plain_list_of_rows_needs_no_parameters(client: Any, site: Any, project: Any) -> None:
    project("plain", "def view_rows():\n    return [{'a': 1, 'b': None}, {'a': 2, 'b': 'x<'}]\n")
    site.mount("plain")
    text = client.get("/plain/rows").text
    assert text.count("<tr") == 3
    assert "x&lt;" in text
    assert "data-filter" not in text


# --- what a project puts into a table -------------------------------------------------

GARAGE = """
    from datetime import UTC, datetime
    from gway.web.page import PageMaker
    from gway.web.tables import Column, Note, table_of

    PAGES = PageMaker(__file__)
    AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
    COLUMNS = (
        Column("id", note=lambda row: Note("<by> its clock", AT) if row["id"] == "A" else None),
        Column("do", "", sortable=False, part="button"),
    )

    def view_list(*, q: str = "", sort: str = "id", page: int = 1, per_page: int | None = None):
        rows = [{"id": name, "do": None} for name in ("A", "<B>")]
        table = table_of(rows, COLUMNS, q=q, sort=sort, page=page, per_page=per_page,
                         key=lambda row: f"row-{row['id']}")
        return PAGES("list", table=table)
"""


@pytest.fixture
def garage(client: Any, site: Any, project: Any) -> Any:
    views = {
        "list": "% include('gway/table', table=table)",
        "button": "<button>Open {{row['id']}}</button>",
    }
    folder = project("garage", GARAGE, views=views)
    site.mount("garage")
    client.folder = folder
    return client


def test_a_cell_has_a_note_below_it_and_a_template_may_draw_one(garage: Any) -> None:
    text = garage.get("/garage/list").text
    assert '<tr id="row-A"' in text
    assert '<tr id="row-&lt;B&gt;"' in text
    assert text.count("&lt;by&gt; its clock") == 1
    assert '<time datetime="2026-03-01T12:00:00' in text
    assert "<button>Open A</button>" in text
    assert "<button>Open &lt;B&gt;</button>" in text


def test_a_twin_is_made_without_the_markup_that_nobody_would_see(garage: Any) -> None:
    (garage.folder / "views" / "list.html").write_text("{{1 / 0}}")
    assert garage.get("/garage/list").status == 500
    assert garage.get("/garage/list.json").json == [
        {"id": "<B>", "do": None},
        {"id": "A", "do": None},
    ]
    assert garage.get("/garage/list.csv").text.splitlines() == ["id,do", "<B>,", "A,"]
