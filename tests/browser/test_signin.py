"""Signing in with a real browser: the first time, wrongly, back to the page, out, too late."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.visitors import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.flag("browser")

BOARD = {
    "board/board.py": """
        from gway.web.page import Page, PageMaker

        PAGES = PageMaker(__file__)
        COUNT = []

        def view_news(topic: str = "all") -> Page:
            return PAGES("news", topic=topic)

        def render_count() -> Page:
            COUNT.append(1)
            return PAGES.fragment("count", count=len(COUNT))

        def view_post_say(words: str) -> None:
            COUNT.append(1)
        """,
    "board/views/news.html": """
        <h1>News of {{topic}}</h1>
        <p id="count" gw-render="count" gw-refresh="0.5" gw-topic="board">0</p>
        <form method="post" action="{{url('say')}}" gw-form>
          <input type="hidden" name="csrf" value="{{csrf()}}">
          <input name="words"><button>Say</button>
        </form>
        """,
    "board/views/count.html": "<b>{{count}}</b>",
}


def auth(workspace: Path, *words: str, stdin: str = "") -> None:
    command = [sys.executable, "-m", "gway", "web.auth", *words]
    subprocess.run(command, cwd=workspace, input=stdin, text=True, check=True, capture_output=True)


@pytest.fixture
def board(serve: Any, workspace: Path) -> Any:
    auth(workspace, "create-user", "ada", "--stdin", stdin=PASSWORD + "\n")
    return serve("board", files=BOARD)


def fill_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/board/news")
    fill_in(page, "ada", PASSWORD)
    page.wait_for_url("**/board/news")


def test_signing_in_and_out_works_at_a_name_without_tls(
    page: Page, serve: Any, workspace: Path
) -> None:
    (workspace / ".env").write_text("GWAY_WEB_HOSTS=gate.test\n")
    auth(workspace, "create-user", "ada", "--stdin", stdin=PASSWORD + "\n")
    port = serve("board", files=BOARD).url.rpartition(":")[2]
    sign_in(page, f"http://gate.test:{port}")
    page.get_by_role("button", name="Sign out").first.click()
    page.get_by_label("Password").wait_for()
    page.goto(f"http://gate.test:{port}/board/news")
    page.get_by_label("Password").wait_for()


def test_the_first_account_is_made_in_the_browser_and_signs_in(page: Page, serve: Any) -> None:
    served = serve("board", files=BOARD)
    page.goto(f"{served.url}/web/auth/account")
    page.get_by_role("link", name="make an account").click()
    page.get_by_label("Name").fill("ada")
    page.get_by_role("button", name="Make it").click()
    password = page.locator(".auth-secret").inner_text()
    page.goto(f"{served.url}/board/news")
    fill_in(page, "ada", password)
    page.wait_for_url("**/board/news")
    assert page.get_by_role("heading", name="News of all").is_visible()


def test_a_wrong_password_is_told_and_the_right_one_leads_to_the_page_asked_for(
    page: Page, board: Any
) -> None:
    page.goto(f"{board.url}/board/news?topic=energy")
    assert page.title() == "Sign in · GWAY"
    assert page.locator("nav").count() == 0
    fill_in(page, "ada", "not this one")
    told = page.get_by_role("alert")
    assert told.inner_text() == "Name or password is wrong."
    assert page.get_by_label("Name").input_value() == "ada"
    assert page.get_by_label("Password").input_value() == ""
    assert page.evaluate("document.activeElement.name") == "password"
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/board/news?topic=energy")
    assert page.get_by_role("heading", name="News of energy").is_visible()
    assert page.evaluate("document.cookie") == ""


def test_who_signs_out_sees_nothing_any_more_not_even_by_going_back(page: Page, board: Any) -> None:
    sign_in(page, board.url)
    page.goto(f"{board.url}/web/auth/account")
    page.locator("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/web/auth/login")
    page.go_back()
    page.wait_for_url(re.compile("/web/auth/login"))
    page.goto(f"{board.url}/board/news")
    assert page.get_by_role("heading", name="Sign in").is_visible()


def test_an_open_page_whose_session_ended_says_so_and_leads_back(
    page: Page, board: Any, workspace: Path
) -> None:
    sign_in(page, board.url)
    page.goto(f"{board.url}/board/news?topic=sun")
    count = page.locator("#count b")
    count.wait_for()
    auth(workspace, "sign-out", "ada")
    bar = page.locator("#gway-offline")
    bar.wait_for()
    assert "You are signed out" in bar.inner_text()
    assert count.is_visible()  # what was there stays, and no error page comes in its place
    page.locator("main").get_by_role("button", name="Say").click()
    note = page.locator("#gway-note")
    note.wait_for()
    assert note.inner_text() == "Not sent: you are signed out."
    bar.get_by_role("link", name="sign in again").click()
    fill_in(page, "ada", PASSWORD)
    page.wait_for_url("**/board/news?topic=sun")
    assert bar.is_hidden()
    page.locator("#count b").wait_for()


def test_a_link_from_another_site_finds_the_visitor_signed_in(
    chromium: Browser, board: Any
) -> None:
    context = chromium.new_context()
    page = context.new_page()
    sign_in(page, board.url)
    link = f'<a href="{board.url}/board/news?topic=mail">news</a>'
    page.route("**/elsewhere", lambda route: route.fulfill(content_type="text/html", body=link))
    fetched: list[str | None] = []
    page.on("request", lambda request: fetched.append(request.all_headers().get("sec-fetch-site")))
    page.goto("http://another.example/elsewhere")
    page.get_by_role("link", name="news").click()
    page.wait_for_url("**/board/news?topic=mail")
    assert page.get_by_role("heading", name="News of mail").is_visible()
    assert "cross-site" in fetched
    context.close()


@pytest.mark.parametrize("width", [360, 1440])
def test_the_account_pages_fit_on_a_phone(page: Page, board: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(f"{board.url}/web/auth/login")
    pages = ["/web/auth/account", "/web/auth/users", "/web/auth/user?name=ada", "/web/auth/tokens"]
    seen = [page.evaluate("document.documentElement.scrollWidth")]
    fill_in(page, "ada", PASSWORD)
    page.wait_for_url(f"{board.url}/")
    for path in pages:
        page.goto(board.url + path)
        seen.append(page.evaluate("document.documentElement.scrollWidth"))
    assert seen == [width] * 5
