"""What is known of a tag, and what that makes of it; no I/O."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import msgspec

from gway.errors import UsageError
from gway.projects.ocpp.facts import Purpose, TagDecision, TagStatus

MAX_LENGTH = 20  # SPEC 7.28: an IdToken is a CiString20


class Tag(msgspec.Struct, frozen=True, gc=False):
    """A tag as an allow list or the store knows it.

    `balance` is what its holder may still spend, in whatever the operator counts;
    None means that nobody counts. `concurrent_limit` is how many transactions it may
    have at a time, None any number.
    """

    id_tag: str
    blocked: bool = False
    expiry: datetime | None = None
    parent_id_tag: str | None = None
    concurrent_limit: int | None = None
    balance: float | None = None
    user: str | None = None


def tag_key(id_tag: str) -> str:
    """Give the form in which tags are compared: without case (SPEC 7.28)."""
    return id_tag.casefold()


def end_of(day: date) -> datetime:
    """Give the moment at which a tag expires whose last day is named."""
    return datetime.combine(day, time.max, UTC)


def check_id_tag(id_tag: str) -> str:
    """Return a tag that a charger can send, edges trimmed; raise UsageError for others."""
    id_tag = id_tag.strip()
    if not id_tag or not id_tag.isprintable():
        raise UsageError(f"{id_tag!r} is no tag", "a tag has 1 to 20 printable characters")
    if len(id_tag) > MAX_LENGTH:
        raise UsageError(f"the tag {id_tag!r} has {len(id_tag)} characters, OCPP allows 20")
    return id_tag


def forbids(tag: Tag, at: datetime) -> TagDecision | None:
    """Refuse a tag that is blocked or whose time is over; None when it is neither."""
    if tag.blocked:
        return _decide(tag, TagStatus.BLOCKED, "blocked")
    if tag.expiry is not None and tag.expiry <= at:
        return _decide(tag, TagStatus.EXPIRED, f"expired {tag.expiry:%Y-%m-%d %H:%M} UTC")
    return None


def judge(tag: Tag, purpose: Purpose, at: datetime) -> TagDecision:
    """Decide what a known tag may do.

    A spent balance ends no transaction's right to be stopped, it only begins none.
    """
    refused = forbids(tag, at)
    if refused is not None:
        return refused
    if purpose is not Purpose.STOP and tag.balance is not None and tag.balance <= 0:
        return _decide(tag, TagStatus.BLOCKED, f"no balance left ({tag.balance:g})")
    return _decide(tag, TagStatus.ACCEPTED, "known")


def _decide(tag: Tag, status: TagStatus, reason: str) -> TagDecision:
    return TagDecision(
        status,
        reason,
        expiry=tag.expiry,
        parent_id_tag=tag.parent_id_tag,
        concurrent_limit=tag.concurrent_limit,
    )
