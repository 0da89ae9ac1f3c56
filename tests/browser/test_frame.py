"""In a real browser: the frame around every page, at all sizes, by mouse and by keys."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.flag("browser")

FLEET = {
    "fleet/fleet.py": '''
        """A fleet of things to look at."""
        from itertools import count
        from gway import gw
        from gway.web.page import PageMaker
        from gway.web.tables import Column, table_of

        PAGES = PageMaker(__file__)
        COLUMNS = (
            Column("name", link=lambda row: PAGES.url("one", name=row["name"])),
            Column("energy_wh", "Energy", kind="energy"),
            Column("state", kind="status"),
            *(Column(f"column_{n}") for n in range(8)),
        )

        class Count:
            def __init__(self, gateway):
                self.asked = count(1)
                self.broken = False

        def view_list(*, q: str = "", sort: str = "name", page: int = 1,
                      per_page: int | None = None):
            """Show all of the fleet."""
            rows = [{"name": f"CP{n}", "energy_wh": n * 1000,
                     "state": "faulted" if n == 7 else "available",
                     **{f"column_{m}": "some words" for m in range(8)}} for n in range(1, 124)]
            table = table_of(rows, COLUMNS, q=q, sort=sort, page=page, per_page=per_page)
            return PAGES("list", title="Fleet", table=table)

        def view_cards():
            return PAGES("cards")

        def view_live():
            return PAGES("live", n=next(gw.service(Count).asked))

        def view_one(name: str):
            return name

        def view_empty(*, q: str = "", sort: str = "", page: int = 1):
            return PAGES("list", title="Empty", table=table_of([], ["a"], q=q, sort=sort))

        def render_figures():
            counter = gw.service(Count)
            if counter.broken:
                raise RuntimeError("broken")
            return PAGES.fragment("figures", n=next(counter.asked))

        def api_post_break(broken: bool = True):
            gw.service(Count).broken = broken
    ''',
    "fleet/views/list.html": "<h1>{{title}}</h1>\n% include('gway/table', table=table)\n",
    "fleet/views/cards.html": """
        <h1>Cards</h1>
        <ul class="cards">
        % for n in range(1, 9):
          <li class="card"><a class="cover" href="{{url('one', name=n)}}">Card {{n}}</a></li>
        % end
        </ul>
    """,
    "fleet/views/live.html": """
        <h1>Live</h1>
        <section gw-render="figures" gw-refresh="0.25" id="part">
        % include('figures')
        </section>
        <input id="note" aria-label="Note"><p id="below">below</p>
        % for n in range(40):
        <p>more {{n}}</p>
        % end
    """,
    "fleet/views/figures.html": """
        <p class="stat"><b id="n">{{n}}</b> asked</p>
        <details id="panel"><summary>Panel</summary><p>inside</p></details>
        <input id="typed" aria-label="Typed"><p id="words">words that stay selected</p>
        <ul id="list" class="log" tabindex="0" aria-label="Lines">
        % for line in range(100):
          <li>line {{line}}</li>
        % end
        </ul>
    """,
}
CARET = "field => [field.selectionStart, field.selectionEnd, field.selectionDirection]"
SHIFTS = """
    window.shifted = 0;
    new PerformanceObserver(list => {
      for (const entry of list.getEntries()) window.shifted += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture
def fleet(serve: Any) -> Any:
    return serve("fleet", files=FLEET)


def post(page: Any, fleet: Any, path: str, **values: Any) -> None:
    answer = page.request.post(
        f"{fleet.url}{path}", data=values, headers={"Authorization": f"Bearer {fleet.token}"}
    )
    assert answer.ok, answer.text()


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim()"))


@pytest.mark.parametrize("path", ["/", "/fleet/list", "/fleet/cards", "/fleet/empty", "/fleet"])
def test_the_frame_is_sound_at_every_size_in_light_and_dark(
    fleet: Any, sweep: Any, path: str
) -> None:
    assert sweep(fleet.url + path) == []


def test_a_chosen_theme_is_remembered_and_there_before_the_first_paint(
    page: Any, fleet: Any
) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{fleet.url}/fleet/list")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    button = page.locator("#gway-theme")
    assert button.text_content() == "Theme: system"
    button.click()
    button.click()
    assert button.text_content() == "Theme: dark"
    dark = page.evaluate(ground)
    assert dark != light
    page.route("**/gway.js*", lambda route: route.abort())
    page.route("**/frame.js*", lambda route: route.abort())
    page.reload()
    assert page.evaluate(ground) == dark
    page.unroute("**/frame.js*")
    page.reload()
    button.click()
    assert page.evaluate(ground) == light


def test_on_a_small_screen_all_pages_are_behind_one_button(page: Any, fleet: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{fleet.url}/fleet/list")
    link = page.locator(".bar nav").get_by_text("Cards")
    assert not link.is_visible()
    page.locator("#gway-menu").click()
    assert page.locator("#gway-menu").get_attribute("aria-expanded") == "true"
    link.click()
    page.wait_for_url("**/fleet/cards")


def test_a_table_that_is_too_wide_says_so(page: Any, fleet: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{fleet.url}/fleet/list")
    page.get_by_text("More columns: scroll the table sideways").wait_for()
    page.set_viewport_size({"width": 1900, "height": 740})
    page.get_by_text("More columns").wait_for(state="detached")


def test_a_filter_sorting_and_paging_stay_on_the_page(page: Any, fleet: Any) -> None:
    page.goto(f"{fleet.url}/fleet/list")
    page.keyboard.press("/")
    page.keyboard.type("faul")
    page.wait_for_url("**/fleet/list?q=faul")
    page.locator("tbody tr").nth(1).wait_for(state="detached")
    assert page.evaluate("document.activeElement.value") == "faul"
    page.goto(f"{fleet.url}/fleet/list")
    page.evaluate("window.stayed = true")
    page.locator("thead").get_by_text("Energy").click()
    page.locator("th[aria-sort=ascending]").get_by_text("Energy").wait_for()
    page.get_by_text("Next").click()
    page.get_by_text("51\N{EN DASH}100 of 123").wait_for()
    assert page.url.endswith("?sort=energy_wh&page=2")
    page.go_back()
    page.get_by_text("1\N{EN DASH}50 of 123").wait_for()
    assert page.evaluate("window.stayed")


def test_keys_move_open_and_explain_but_not_while_typing(page: Any, fleet: Any) -> None:
    page.goto(f"{fleet.url}/fleet/cards")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "Card 1"
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Card 2"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert focused(page) != "Card 1"
    page.keyboard.press("?")
    page.locator("#gway-keys").get_by_text("Filter this page").wait_for()
    page.keyboard.press("Escape")
    page.locator("#gway-keys").wait_for(state="hidden")
    page.locator(".cards a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/fleet/one?name=1")
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url(re.compile("/fleet/l"))
    page.goto(f"{fleet.url}/fleet/list")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "CP2"
    page.keyboard.press("/")
    page.keyboard.type("?gc/")
    assert page.locator("[data-filter]").input_value() == "?gc/"
    assert not page.locator("#gway-keys").is_visible()


def test_from_the_filter_the_first_hit_is_one_key_away(page: Any, fleet: Any) -> None:
    page.goto(f"{fleet.url}/fleet/list")
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "CP1"
    page.keyboard.press("/")
    page.keyboard.type("CP77")
    page.keyboard.press("Enter")  # before the moment after typing is over
    page.locator("a:focus", has_text="CP77").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/fleet/one?name=CP77")


def until_asked(page: Any, more: int) -> None:
    page.wait_for_function(
        "than => Number(document.querySelector('#n').textContent) >= than",
        arg=int(page.locator("#n").text_content()) + more,
        timeout=40_000,
    )


def test_fifty_refreshes_lose_nothing_and_move_nothing(page: Any, fleet: Any) -> None:
    page.goto(f"{fleet.url}/fleet/live")
    page.locator("#panel summary").click()
    page.locator("#typed").fill("half a wo")
    page.locator("#list").evaluate("list => { list.scrollTop = 321 }")
    page.evaluate("window.scrollTo(0, 40)")
    page.locator("#typed").evaluate("field => field.setSelectionRange(2, 5, 'backward')")
    page.evaluate(SHIFTS)
    first = page.evaluate("window.shifted")
    until_asked(page, 25)
    assert page.locator("#typed").evaluate(CARET) == [2, 5, "backward"]
    page.locator("#words").evaluate("text => getSelection().selectAllChildren(text)")
    until_asked(page, 25)
    assert page.evaluate("getSelection().toString()") == "words that stay selected"
    assert page.locator("#panel").evaluate("panel => panel.open")
    assert page.locator("#typed").input_value() == "half a wo"
    assert page.evaluate("document.activeElement.id") == "typed"
    assert page.evaluate("window.scrollY") == 40
    assert page.locator("#list").evaluate("list => list.scrollTop") == 321
    assert page.evaluate("window.shifted") - first < 0.001


def test_a_broken_part_says_so_with_an_id_and_can_be_tried_again(page: Any, fleet: Any) -> None:
    page.goto(f"{fleet.url}/fleet/live")
    post(page, fleet, "/api/fleet/break", broken=True)
    line = page.locator("p.stale")
    line.wait_for()
    assert re.match(r"Not current: the server answers 500, id [0-9a-f]{8}\.", line.text_content())
    page.locator("#part").evaluate("part => part.removeAttribute('gw-refresh')")
    post(page, fleet, "/api/fleet/break", broken=False)
    line.get_by_text("Try again").click()
    line.wait_for(state="detached")


def test_a_wrong_address_leads_to_the_nearest_and_home(page: Any, fleet: Any) -> None:
    answer = page.goto(f"{fleet.url}/fleet/lisst")
    assert answer.status == 404
    page.get_by_text("did you mean '/fleet/list'").wait_for()
    page.get_by_text("To the first page").click()
    page.get_by_role("heading", name="Projects").wait_for()
