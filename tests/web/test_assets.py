"""Static files come with the hash of their content, and from their folder only."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def art(project: Any, site: Any) -> Any:
    folder = project(
        "art.board",
        "from gway.web.page import PageMaker\nPAGES = PageMaker(__file__)\n"
        "def view_one(): return PAGES('one', scripts=['app.js'], styles=['sub/app.css'])",
        views={"one": "{{static('pic.svg')}}"},
        static={"app.js": "1", "sub/app.css": "a{}", "pic.svg": "<svg/>", ".hidden": "no"},
    )
    (folder.parent / "static").mkdir()
    (folder.parent / "static" / "shared.js").write_text("2")
    (folder / "secret.txt").write_text("no")
    site.mount("art.board")
    return folder


def address(text: str, file: str) -> str:
    start = text.index(f"/static/art/board/{file}")
    return text[start : text.index('"', start)]


def test_the_address_of_a_file_has_its_hash_and_may_be_kept_for_ever(art: Any, client: Any) -> None:
    url = address(client.get("/art/board/one").text, "app.js")
    answer = client.get(url)
    assert answer.body == b"1"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


def test_another_content_has_another_address(art: Any, client: Any) -> None:
    before = address(client.get("/art/board/one").text, "app.js")
    (art / "static" / "app.js").write_text("12")
    after = address(client.get("/art/board/one").text, "app.js")
    assert before != after
    # The old address still works, but nobody may keep the new content under it.
    assert client.get(before).headers["cache-control"] == "no-cache"


def test_a_file_without_hash_is_asked_for_again_by_its_tag(art: Any, client: Any) -> None:
    first = client.get("/static/art/board/sub/app.css")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/static/art/board/sub/app.css", IF_NONE_MATCH=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert "content-length" not in again.headers


def test_a_namespace_has_static_files_for_all_its_projects(art: Any, client: Any) -> None:
    assert client.get("/static/art/shared.js").body == b"2"


def test_the_frameworks_own_files_are_there(client: Any) -> None:
    for file in ("gway.js", "gway.css", "favicon.svg", "vendor/idiomorph.min.js",
                 "vendor/idiomorph.LICENSE.txt"):  # fmt: skip
        assert client.get(f"/static/gway/{file}").status == 200, file
    assert client.get("/favicon.ico").headers["location"] == "/static/gway/favicon.svg"


@pytest.mark.parametrize(
    "file",
    ["../board.py", "../secret.txt", "sub/../../secret.txt", ".hidden", "sub", "sub/", "",
     "//etc/passwd", "/etc/passwd", "..%2fsecret.txt", "a\x00.js", "nothing.js", "..\\secret.txt"],
)  # fmt: skip
def test_nothing_outside_or_hidden_is_served(art: Any, client: Any, file: str) -> None:
    assert client.get(f"/static/art/board/{file}").status == 404


def test_a_link_that_leads_outside_is_not_followed(art: Any, client: Any) -> None:
    (art / "static" / "link.txt").symlink_to(art / "secret.txt")
    assert client.get("/static/art/board/link.txt").status == 404


def test_a_static_file_that_is_missing_is_an_error_where_it_is_named(
    project: Any, site: Any, client: Any
) -> None:
    project(
        "p",
        "from gway.web.page import PageMaker\nPAGES = PageMaker(__file__)\n"
        "def view_one(): return PAGES('one')",
        views={"one": "{{static('nowhere.js')}}"},
    )
    site.mount("p")
    assert client.get("/p/one").status == 500
