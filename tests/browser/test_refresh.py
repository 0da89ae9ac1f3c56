"""In a real browser: elements renew themselves and leave alone what the reader is doing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

pytestmark = pytest.mark.flag("browser")

BOARD = {
    "board/board.py": '''
        """A board that counts how often it was asked for."""
        from itertools import count
        from datetime import UTC, datetime
        from gway import gw
        from gway.web.page import PageMaker
        from gway.web.sse import Events

        PAGES = PageMaker(__file__)

        class Count:
            def __init__(self, gateway):
                self.asked = count(1)
                self.sent = []

        def values():
            counter = gw.service(Count)
            return {"n": next(counter.asked), "sent": list(counter.sent),
                    "at": datetime(2026, 3, 1, 12, 3, 7, tzinfo=UTC)}

        def view_board(refresh: str = "", topic: str = "", q: str = "", since: str = ""):
            given = {"refresh": refresh, "topic": topic, "q": q, "since": since}
            return PAGES("board", data=values(), **given)

        def view_whole():
            return PAGES("whole", data=values())

        def view_still():
            return "nothing here renews itself"

        def render_part(fail: bool = False):
            if fail:
                raise RuntimeError("no part")
            return PAGES.fragment("part", **values())

        def render_hint(word: str = "none"):
            return PAGES.fragment("hint", word=word)

        def view_post_order(item: str = ""):
            gw.service(Count).sent.append(item)
            return PAGES.fragment("hint", word="ordered " + item)

        def api_asked():
            return next(gw.service(Count).asked)

        def api_post_publish(topic: str):
            gw.service(Events).publish(topic, {"topic": topic})
    ''',
    "board/views/board.html": """
        <h1>Board</h1>
        <form method="post" action="{{url('order')}}" id="plain">
          <input type="hidden" name="csrf" value="{{csrf()}}">
          <input name="item" id="plain-item"><button id="plain-send">Order plainly</button>
        </form>
        <form gw-form gw-target="#outcome" method="post" action="{{url('order')}}" id="order">
          <input name="item" id="item"><button id="send">Order</button>
        </form>
        <div id="outcome"></div>
        <form gw-form="change" gw-target="#part" id="filter">
          <input name="q" id="q" value="{{q}}">
          <input type="datetime-local" gw-utc name="since" id="since" value="{{since}}">
        </form>
        <button id="ask" gw-click="hint" gw-params="word=clicked" gw-target="#answer">Ask</button>
        <p id="answer"></p>
        <div id="late" gw-render="hint" gw-params="word=loaded" gw-on-load></div>
        <section id="part" gw-render="part" gw-refresh="{{refresh}}" gw-topic="{{topic}}">
        % include('part')
        </section>
    """,
    "board/views/part.html": """
        <p>asked <b id="n">{{n}}</b> times</p>
        <time id="at" datetime="{{iso(at)}}">{{utc(at)}}</time>
        <details id="panel"><summary>Panel</summary><p>inside {{n}}</p></details>
        <input id="typed" name="typed" value=""><input type="checkbox" id="tick">
        <select id="choice"><option>a</option><option>b</option></select>
        <p id="text">some words that stay selected</p>
        <ul id="list" class="log">
        % for each in range(200):
          <li>line {{each}}</li>
        % end
        </ul>
        % for each in sent:
        <p class="sent">{{each}}</p>
        % end
    """,
    "board/views/whole.html": """
        <h1>Whole</h1>
        <p>Above</p>
        <section id="whole" gw-render="whole" gw-refresh="0.25"><b id="count">{{n}}</b></section>
    """,
    "board/views/hint.html": "<p>hint {{word}}</p>",
}


@pytest.fixture
def board(serve: Any) -> Any:
    return serve("board", files=BOARD)


def shown(page: Any) -> int:
    return int(page.locator("#n").text_content())


def until_more(page: Any, than: int) -> None:
    page.wait_for_function(
        "than => Number(document.querySelector('#n').textContent) > than", arg=than
    )


def publish(page: Any, board: Any, topic: str) -> None:
    answer = page.request.post(
        f"{board.url}/api/board/publish",
        data={"topic": topic},
        headers={"Authorization": f"Bearer {board.token}"},
    )
    assert answer.ok, answer.text()


def asked(page: Any, board: Any) -> int:
    return int(page.request.get(f"{board.url}/api/board/asked").text())


def until_listening(page: Any, board: Any, eventually: Any) -> None:
    """Wait until the page's event stream is open, as the server counts it."""
    metrics = f"{board.url}/metrics"
    eventually(lambda: "gway_event_listeners 1.0" in page.request.get(metrics).text())


def test_an_element_renews_itself_and_nothing_the_reader_did_is_lost(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/board?refresh=0.25")
    page.locator("#panel summary").click()
    page.locator("#tick").check()
    page.locator("#choice").select_option("b")
    page.locator("#list").evaluate("list => { list.scrollTop = 321 }")
    page.locator("#typed").fill("half a wo")
    page.locator("#typed").evaluate("field => field.setSelectionRange(2, 5)")
    page.locator("#text").evaluate("text => getSelection().selectAllChildren(text)")
    page.locator("#typed").evaluate("field => { field.focus(); field.setSelectionRange(2, 5) }")
    page.evaluate("window.scrollTo(0, 40)")
    assert page.evaluate("window.scrollY") == 40
    for _ in range(4):
        until_more(page, shown(page))
    assert page.locator("#panel").evaluate("panel => panel.open")
    assert page.locator("#tick").is_checked()
    assert page.locator("#choice").input_value() == "b"
    assert page.locator("#typed").input_value() == "half a wo"
    assert page.locator("#typed").evaluate(
        "field => [document.activeElement === field, field.selectionStart, field.selectionEnd]"
    ) == [True, 2, 5]
    assert page.locator("#list").evaluate("list => list.scrollTop") == 321
    assert page.evaluate("window.scrollY") == 40
    assert page.locator("#panel p").text_content() == f"inside {shown(page)}"


def test_selected_text_stays_selected_over_refreshes(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/board?refresh=0.25")
    page.locator("#text").evaluate("text => getSelection().selectAllChildren(text)")
    until_more(page, shown(page) + 1)
    assert page.evaluate("getSelection().toString()") == "some words that stay selected"


def test_taking_gw_refresh_away_stops_the_timer_and_the_events(
    page: Any, board: Any, eventually: Any
) -> None:
    page.goto(f"{board.url}/board/board?refresh=0.25&topic=news")
    until_more(page, shown(page))
    until_listening(page, board, eventually)
    page.locator("#part").evaluate("part => part.removeAttribute('gw-refresh')")
    before = asked(page, board)
    publish(page, board, "news")
    # Three rounds of the page's own clock, in which a refresh would have asked the server.
    page.evaluate(
        "() => new Promise(done => { let left = 3;"
        " const id = setInterval(() => { if (!--left) { clearInterval(id); done() } }, 300) })"
    )
    assert asked(page, board) == before + 1


def test_an_answer_that_comes_after_gw_refresh_was_taken_away_is_dropped(
    page: Any, board: Any
) -> None:
    held: list[Any] = []
    page.route("**/render/board/part*", lambda route: held.append(route))
    page.goto(f"{board.url}/board/board")
    before = shown(page)
    with page.expect_request("**/render/board/part*") as asked_for:
        page.locator("#part").evaluate("part => part.setAttribute('gw-refresh', '0.25')")
    page.locator("#part").evaluate("part => part.removeAttribute('gw-refresh')")
    # The element below is asked for and filled later, so the held answer was dealt with by then.
    held[0].continue_()
    asked_for.value.response().finished()
    page.locator("#ask").click()
    page.locator("#answer").get_by_text("hint clicked").wait_for()
    assert shown(page) == before


def test_gw_refresh_that_is_put_back_works_again(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/board?refresh=0.25")
    page.locator("#part").evaluate("part => part.removeAttribute('gw-refresh')")
    page.locator("#part").evaluate("part => part.setAttribute('gw-refresh', '0.25')")
    until_more(page, shown(page))


def test_an_event_renews_an_element_at_once(page: Any, board: Any, eventually: Any) -> None:
    page.goto(f"{board.url}/board/board?refresh=&topic=news+other")
    until_listening(page, board, eventually)
    before = shown(page)
    publish(page, board, "elsewhere")
    publish(page, board, "news")
    until_more(page, before)


def test_events_renew_an_element_no_oftener_than_its_gap(
    page: Any, board: Any, eventually: Any
) -> None:
    page.clock.install()
    page.goto(f"{board.url}/board/board?refresh=&topic=news")
    page.evaluate(
        "() => { document.querySelector('#part').setAttribute('gw-gap', '30'); window.heard = 0;"
        " document.addEventListener('gw:event', () => { window.heard += 1 }) }"
    )
    page.clock.run_for(500)
    until_listening(page, board, eventually)
    first = shown(page)
    publish(page, board, "news")
    until_more(page, first)
    once = shown(page)
    publish(page, board, "news")
    page.wait_for_function("() => window.heard === 2")
    page.clock.run_for(28_000)
    assert asked(page, board) == once + 1, "nothing but this asked meanwhile"
    page.clock.run_for(3_000)
    until_more(page, once + 1)


def test_a_page_is_the_fragment_of_a_part_of_it(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/whole")
    first = page.locator("#count").text_content()
    page.wait_for_function(
        "first => document.querySelector('#count').textContent !== first", arg=first
    )
    assert page.locator("h1").count() == 1
    assert page.locator("#whole #whole").count() == 0


def test_a_failing_refresh_is_shown_and_the_old_content_stays(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/board?refresh=0.25&fail=yes")
    page.wait_for_selector("#part[data-gw-error='500']")
    assert page.locator("#typed").count() == 1


def test_offline_is_said_with_the_time_and_ends_by_itself(
    page: Any, board: Any, eventually: Any
) -> None:
    page.goto(f"{board.url}/board/board?refresh=0.25&topic=news")
    until_more(page, shown(page))
    board.stop()
    bar = page.locator("#gway-offline")
    bar.wait_for(state="visible")
    assert re.fullmatch(r"Offline since \d\d:\d\d, trying again", bar.text_content())
    board.start_again(eventually)
    bar.wait_for(state="hidden", timeout=10_000)
    until_more(page, 1)
    # The new server has new tokens; the page has learned the one that holds now.
    page.locator("#item").fill("pen")
    page.locator("#send").click()
    page.get_by_text("hint ordered pen").wait_for()


def test_a_page_that_renews_nothing_notices_an_outage_and_its_end(
    page: Any, board: Any, eventually: Any
) -> None:
    page.clock.install()
    page.goto(f"{board.url}/board/still")
    bar = page.locator("#gway-offline")
    page.clock.run_for(9_000)
    assert bar.is_hidden()
    board.stop()
    page.clock.run_for(2_000)
    bar.wait_for(state="visible")
    assert re.fullmatch(r"Offline since \d\d:\d\d, trying again", bar.text_content())
    board.start_again(eventually)
    page.clock.run_for(10_000)
    bar.wait_for(state="hidden")


def test_a_page_that_is_looked_at_again_asks_at_once_and_a_hidden_one_never(
    page: Any, board: Any
) -> None:
    page.clock.install()
    page.goto(f"{board.url}/board/still")
    probes: list[str] = []
    page.on("request", lambda ask: probes.append(ask.url) if "healthz" in ask.url else None)
    look_away = "away => { Object.defineProperty(document, 'hidden', { value: away,"
    look_away += " configurable: true }); document.dispatchEvent(new Event('visibilitychange')) }"
    page.evaluate(look_away, True)
    page.clock.run_for(60_000)
    assert probes == []
    with page.expect_request("**/healthz"):
        page.evaluate(look_away, False)
        page.clock.run_for(300)


def test_what_happened_before_the_event_stream_opened_is_shown(page: Any, board: Any) -> None:
    held: list[Any] = []
    page.route("**/events?*", lambda route: held.append(route))
    with page.expect_request("**/events?*"):
        page.goto(f"{board.url}/board/board?refresh=&topic=news")
    before = shown(page)
    publish(page, board, "news")  # nobody hears it
    page.wait_for_function("() => performance.now() > 600")
    assert shown(page) == before
    held[0].continue_()
    until_more(page, before)


def test_a_form_is_sent_without_leaving_the_page(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/board?refresh=0.25")
    page.locator("#item").fill("<b>tea</b>")
    page.locator("#send").click()
    page.locator("#outcome").get_by_text("hint ordered <b>tea</b>").wait_for()
    page.locator(".sent").get_by_text("<b>tea</b>").wait_for()
    assert page.url.endswith("?refresh=0.25")


def test_a_plain_form_works_without_the_script(chromium: Any, board: Any) -> None:
    """With the policy no-referrer the browser sends `Origin: null`; the token must do."""
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{board.url}/board/board")
    tab.locator("#plain-item").fill("ink")
    tab.locator("#plain-send").click()
    tab.get_by_text("hint ordered ink").wait_for()
    context.close()


def test_a_filter_form_becomes_the_pages_address(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/board")
    before = shown(page)
    page.locator("#q").fill("CP1")
    page.locator("#q").blur()
    until_more(page, before)
    assert page.url == f"{board.url}/board/board?q=CP1"


def test_a_click_puts_a_fragment_into_its_target(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/board")
    page.locator("#ask").click()
    page.locator("#answer").get_by_text("hint clicked").wait_for()


def test_an_element_with_gw_on_load_is_filled(page: Any, board: Any) -> None:
    page.goto(f"{board.url}/board/board")
    page.locator("#late").get_by_text("hint loaded").wait_for()


def test_times_are_local_with_utc_on_hover(chromium: Any, board: Any) -> None:
    context = chromium.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    tab = context.new_page()
    tab.goto(f"{board.url}/board/board")
    time = tab.locator("#at")
    assert time.get_attribute("title") == "2026-03-01 12:03:07 UTC"
    assert time.text_content() == "2026-03-01 21:03:07"
    context.close()


def test_a_utc_field_is_local_on_the_page_and_utc_on_the_wire(chromium: Any, board: Any) -> None:
    context = chromium.new_context(timezone_id="Asia/Tokyo")
    tab = context.new_page()
    tab.goto(f"{board.url}/board/board?since=2026-03-01T12:00:00Z")
    assert tab.locator("#since").input_value() == "2026-03-01T21:00"
    tab.locator("#since").fill("2026-03-02T09:30")
    tab.locator("#since").blur()
    tab.wait_for_url("**/board/board?since=2026-03-02T00%3A30%3A00.000Z")
    context.close()


class Foreign(BaseHTTPRequestHandler):
    """A site of somebody else, with a page that does nothing by itself."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Foreign</title><p>Win a prize")

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def foreign_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


# To a browser the first is the same site, as ports do not count: it sends the cookie along.
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_foreign_page_changes_nothing(
    chromium: Any, board: Any, foreign_port: int, host: str
) -> None:
    context = chromium.new_context()
    tab = context.new_page()
    tab.goto(f"{board.url}/board/board")
    tab.locator("#plain-item").fill("ink")
    tab.locator("#plain-send").click()  # the reader's own order goes through
    tab.get_by_text("hint ordered ink").wait_for()
    tab.goto(f"http://{host}:{foreign_port}/")
    tab.evaluate(
        """url => { const form = document.createElement("form"); form.method = "post";
        form.action = url; form.append(document.createElement("input"));
        form.firstChild.name = "item"; form.firstChild.value = "stolen";
        document.body.append(form); form.submit() }""",
        f"{board.url}/board/order",
    )
    tab.get_by_text("403 Forbidden").or_(tab.get_by_text("401 Unauthorized")).wait_for()
    sent = tab.request.get(f"{board.url}/board/board.json").json()["sent"]
    assert sent == ["ink"]
    context.close()
