"""The event topics that pages of chargers listen to."""

from __future__ import annotations


def topic_of(charger_id: str) -> str:
    """Give the topic of one charger; pages list topics with spaces between them."""
    return "ocpp:" + charger_id.replace(" ", "%20")
