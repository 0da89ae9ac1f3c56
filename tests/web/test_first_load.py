"""What a browser fetches to show a page for the first time stays small over a slow line."""

from __future__ import annotations

import re
from typing import Any

import pytest

GZIP = {"ACCEPT_ENCODING": "gzip"}
MOST_BYTES = 150_000
FRAME_BYTES = 60_000  # of an empty site: most of the room is for what a page has to show
FILES = re.compile(r'<(?:script src|link [^>]*href)="([^"]+)"')


def fetched(client: Any, path: str) -> dict[str, int]:
    """Return how many bytes a page and each file that it names are."""
    named = FILES.findall(client.get(path).text)
    answers = {each: client.get(each, **GZIP) for each in (path, *named)}
    assert {answer.status for answer in answers.values()} == {200}
    return {each: len(answer.body) for each, answer in answers.items()}


@pytest.mark.parametrize(
    ("project", "view"),
    [("ocpp.csms", "charger-status"), ("ocpp.data", "time-series"),
     ("ocpp.data", "charger-details"), ("ocpp.evcs", "cp-simulator")],
)  # fmt: skip
def test_the_first_load_of_a_page_leaves_room_for_what_it_shows(
    client: Any, site: Any, project: str, view: str
) -> None:
    site.mount(project)
    sizes = fetched(client, f"{site.path_of(project)}/{view}")
    assert len(sizes) > 5
    assert sum(sizes.values()) < FRAME_BYTES, sizes


def test_a_long_page_is_within_what_a_first_load_may_be(
    client: Any, site: Any, project: Any
) -> None:
    project(
        "wide",
        "def view_rows():\n"
        "    return [{f'column {n}': f'{row * 7919 % 10007} Wh' for n in range(12)}"
        " for row in range(1000)]\n",
    )
    site.mount("wide")
    assert len(client.get("/wide/rows").body) > 3 * MOST_BYTES
    assert sum(fetched(client, "/wide/rows").values()) < MOST_BYTES
