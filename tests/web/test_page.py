"""A page is its markup and still knows its data."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gway.errors import GwayError
from gway.web.page import Page, PageMaker, project_of

ROWS = [{"id": 1, "at": datetime(2026, 3, 1, 12, tzinfo=UTC)}, {"id": 2, "note": "x,y"}]


def maker(tmp_path: Path, **views: str) -> PageMaker:
    folder = tmp_path / "projects" / "p" / "q"
    (folder / "views").mkdir(parents=True)
    (folder / "q.py").touch()
    for name, text in views.items():
        (folder / "views" / f"{name}.html").write_text(text)
    return PageMaker(str(folder / "q.py"))


def test_a_page_is_its_markup(tmp_path: Path) -> None:
    pages = maker(tmp_path, status="<p>{{word}} {{n}}</p>")
    page = pages("status", data={"word": "a<b"}, n=3)
    assert page == "<p>a&lt;b 3</p>"
    assert isinstance(page, str)
    assert (page.title, page.data, page.rows) == ("Status", {"word": "a<b"}, None)


def test_json_is_the_data_the_rows_or_both() -> None:
    assert json.loads(Page(data={"a": 1}).to_json()) == {"a": 1}
    assert json.loads(Page(rows=[{"a": 1}]).to_json()) == [{"a": 1}]
    assert json.loads(Page(data={"a": 1}, rows=[]).to_json()) == {"a": 1, "rows": []}


def test_csv_has_the_columns_of_all_rows_unless_told_which() -> None:
    assert Page(rows=ROWS).to_csv() == ('id,at,note\r\n1,2026-03-01T12:00:00.000Z,\r\n2,,"x,y"\r\n')
    assert Page(rows=ROWS, columns=["note", "id"]).to_csv() == 'note,id\r\n,1\r\n"x,y",2\r\n'


def test_csv_without_rows_is_names_and_values() -> None:
    assert Page(data={"a": True, "b": None}).to_csv() == "name,value\r\na,yes\r\nb,\r\n"


@pytest.mark.parametrize("formula", ["=1+1", "+1+1", "-cmd", "@x", "\tx", "\rx"])
def test_csv_defuses_what_a_spreadsheet_would_run(formula: str) -> None:
    assert "'" + formula in Page(rows=[{"a": formula}]).to_csv()


def test_csv_leaves_numbers_alone() -> None:
    assert Page(rows=[{"a": -1, "b": "-1.5"}]).to_csv() == "a,b\r\n-1,-1.5\r\n"


def test_text_is_aligned() -> None:
    assert Page(data={"total": 2}, rows=[{"id": "CPX", "n": 1}]).to_text() == (
        "total  2\n\nid   n\nCPX  1"
    )


def test_a_template_that_changed_is_read_again(tmp_path: Path) -> None:
    pages = maker(tmp_path, two="before")
    assert pages("two") == "before"
    path = pages.folder / "views" / "two.html"
    path.write_text("after")
    os.utime(path, ns=(1, 1))
    assert pages("two") == "after"


def test_an_included_template_that_changed_is_read_again(tmp_path: Path) -> None:
    pages = maker(tmp_path, outer="% include('inner')\n", inner="before")
    assert pages("outer").strip() == "before"
    path = pages.folder / "views" / "inner.html"
    path.write_text("after")
    os.utime(path, ns=(1, 1))
    assert pages("outer").strip() == "after"


def test_a_missing_template_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GwayError, match=r"no template .*nowhere\.html"):
        maker(tmp_path)("nowhere")


def test_links_and_times_in_templates(tmp_path: Path) -> None:
    pages = maker(
        tmp_path,
        a="{{url('detail_page', charger_id='CP 1', empty=None)}} {{url('x.y/z')}} {{url()}} "
        "{{query(page=2)}} {{iso(at)}} {{utc(at)}} {{csrf()}}|",
    )
    at = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
    assert pages("a", at=at) == (
        "/p/q/detail-page?charger_id=CP+1 /x/y/z /p/q ?page=2 "
        "2026-03-01T12:00:07.000Z 2026-03-01 12:00:07 UTC |"
    )


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    naive = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="without a zone"):
        maker(tmp_path, a="{{iso(at)}}")("a", at=naive)


@pytest.mark.parametrize(
    ("file", "project"),
    [("hello.py", "hello"), ("ocpp/csms/csms.py", "ocpp.csms"), ("ocpp/csms/pages.py", "ocpp.csms"),
     ("ocpp/tariff.py", "ocpp.tariff")],
)  # fmt: skip
def test_a_module_knows_its_project_by_its_place(tmp_path: Path, file: str, project: str) -> None:
    (tmp_path / "projects/ocpp/csms").mkdir(parents=True)
    (tmp_path / "projects/ocpp/csms/csms.py").touch()
    assert project_of(tmp_path / "projects" / file) == project


@pytest.mark.parametrize(
    ("call", "text"),
    [(("energy", 12_345), "12.35 kWh"), (("energy", None), "–"), (("power", 999), "999 W"),  # noqa: RUF001
     (("power", 7_400), "7.4 kW"), (("duration", 59.4), "59 s"), (("duration", 65), "1 min 05 s"),
     (("duration", 3_900), "1 h 05 min"), (("duration", 90_000), "1 d 01 h"),
     (("number", 1234567), "1\u202f234\u202f567"), (("label", "charger_id"), "Charger id")],
)  # fmt: skip
def test_how_values_look(call: tuple[str, Any], text: str) -> None:
    from gway.web import formats

    name, value = call
    assert getattr(formats, name)(value) == text


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("there is no charger 'CPY'", "There is no charger 'CPY'."),
        ("did you mean 'CPX'?", "Did you mean 'CPX'?"),
        ("row: a value is needed", "Row: a value is needed."),
        ("per_page 1 to 200", "per_page 1 to 200."),
        ("cp-1 is connected", "cp-1 is connected."),
        ("see `gway ocpp.csms chargers`", "See `gway ocpp.csms chargers`."),
        ("such as https://cloud.example", "Such as https://cloud.example"),
        ("Something went wrong.", "Something went wrong."),
        ("", ""),
    ],
)
def test_an_error_is_a_sentence_on_a_page_and_names_in_it_stay(told: str, shown: str) -> None:
    from gway.web import formats

    assert formats.sentence(told) == shown
