"""Many who hear of an event: some in each turn, none of an event that is over."""

from __future__ import annotations

import gevent

from gway.web.waves import AT_ONCE, Waves


class Page:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def offer(self, event: str) -> None:
        self.heard.append(event)


def test_few_are_told_at_once_and_many_in_turns():
    waves: Waves[str] = Waves()
    pages = [Page() for _ in range(3 * AT_ONCE)]
    waves.tell("few", "one", pages[:AT_ONCE])
    assert all(page.heard == ["one"] for page in pages[:AT_ONCE])
    waves.tell("many", "two", pages)
    assert sum("two" in page.heard for page in pages) == AT_ONCE
    gevent.wait(timeout=5)
    assert all(page.heard[-1:] == ["two"] for page in pages)


def test_a_later_event_overtakes_and_is_the_last_that_everyone_hears():
    waves: Waves[int] = Waves()
    pages = [Page() for _ in range(5 * AT_ONCE)]
    waves.tell("topic", 1, pages)
    waves.tell("topic", 2, pages)
    waves.tell("other", 9, pages[-1:])
    gevent.wait(timeout=5)
    assert all(page.heard[-1] == 2 for page in pages[:-1])
    assert pages[0].heard == [1, 2]
    assert pages[-1].heard == [9, 2], "it never hears the earlier one"
    waves.tell("topic", 3, pages)
    gevent.wait(timeout=5)
    assert all(page.heard[-1] == 3 for page in pages)
