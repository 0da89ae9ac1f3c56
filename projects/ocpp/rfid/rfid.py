"""RFID tags: who may charge, and why.

The answer is the first of: a tag that the store has blocked or expired, the allow
list, the store, the policy for unknown tags (accepted without an allow list, Invalid
with one). A broken allow list refuses.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from gway import gw, hookimpl
from gway.errors import GwayError, UnknownName, UsageError
from gway.marks import told_by
from gway.projects.ocpp.facts import Purpose, TagDecision
from gway.projects.ocpp.rfid.allowlist import BrokenList, read_list
from gway.projects.ocpp.rfid.authority import ALLOW, Authority, Step
from gway.projects.ocpp.rfid.tags import Tag, check_id_tag, end_of, tag_key

__all__ = [
    "api_check",
    "api_delete_tag",
    "api_put_tag",
    "api_tags",
    "block",
    "check",
    "configure",
    "delete_tag",
    "import_list",
    "list_tags",
    "put_tag",
    "setup_app",
    "unblock",
]

SETTINGS = (ALLOW,)
PAGE = 1000


class Imported(msgspec.Struct):
    """What an import did."""

    file: str
    tags: int
    replaced_all: bool


def _end(expiry: date | datetime) -> datetime:
    """Give the moment at which a tag expires; a day is still valid, as in an allow list."""
    if not isinstance(expiry, datetime):
        return end_of(expiry)
    return expiry.replace(tzinfo=UTC) if expiry.tzinfo is None else expiry


def _authority() -> Authority:
    return gw.service(Authority)


@hookimpl(trylast=True)
def ocpp_authorize(charger_id: str, id_tag: str, purpose: Purpose, at: datetime) -> TagDecision:
    """Answer after all plugins of the operator's own, which may know better."""
    return _authority().decide(id_tag, purpose, at)


def setup_app(*, allow: Path | None = None) -> None:
    """Prepare the decision about tags.

    :param allow: allow list, a .cdv file; read again when it changes
    """
    if allow is not None:
        configure(allow=allow)


def configure(*, allow: Path | None = None) -> None:
    """Use another allow list from now on, or none.

    :param allow: a .cdv file; without it unknown tags are accepted
    """
    _authority().use_list(None if allow is None else Path(allow))


# --- verbs -------------------------------------------------------------------


@told_by("api_tags", list)
def list_tags(*, find: str = "", limit: int = PAGE, after: str = "") -> list[Tag]:
    """List the tags in the store.

    :param find: only tags whose id, user or parent contains this
    :param limit: at most so many
    :param after: only those after this tag, to read on
    """
    return _authority().store.list(find, max(1, limit), after)


def put_tag(
    id_tag: str,
    *,
    expiry: date | datetime | None = None,
    parent: str | None = None,
    blocked: bool = False,
    concurrent_limit: int | None = None,
    balance: float | None = None,
    user: str | None = None,
) -> Tag:
    """Store a tag as given; what was known of it before is replaced.

    :param id_tag: the tag, at most 20 characters; kept as spelled, compared without case
    :param expiry: its last day, or the time from when on it is Expired; may lie in the past
    :param parent: parentIdTag of its group
    :param blocked: refuse it
    :param concurrent_limit: transactions it may have at a time
    :param balance: what is left to spend; at 0 or less it starts nothing
    :param user: whose it is
    """
    if concurrent_limit is not None and concurrent_limit < 0:
        raise UsageError(f"a limit of {concurrent_limit} transactions cannot be kept")
    tag = Tag(
        check_id_tag(id_tag),
        blocked,
        None if expiry is None else _end(expiry),
        check_id_tag(parent) if parent else None,
        concurrent_limit,
        balance,
        user or None,
    )
    _authority().store.put([tag], gw.now())
    return tag


def delete_tag(id_tag: str) -> str:
    """Remove a tag from the store; a blocked one is then unknown again.

    :param id_tag: the tag, in any case
    """
    if not _authority().store.delete(id_tag.strip()):
        raise UnknownName(
            f"there is no tag {id_tag!r} in the store", "see `gway ocpp.rfid list-tags`"
        )
    return f"{id_tag.strip()} is no longer in the store"


def block(id_tag: str) -> Tag:
    """Block a tag, known or not, and keep all else that is known of it.

    :param id_tag: the tag, in any case
    """
    return _authority().store.set_blocked(check_id_tag(id_tag), True, gw.now())


def unblock(id_tag: str) -> Tag:
    """Unblock a tag in the store.

    :param id_tag: the tag, in any case
    """
    if _authority().store.find(check_id_tag(id_tag)) is None:
        raise UnknownName(
            f"there is no tag {id_tag!r} in the store", "see `gway ocpp.rfid list-tags`"
        )
    return _authority().store.set_blocked(check_id_tag(id_tag), False, gw.now())


def check(
    id_tag: str, *, purpose: Purpose = Purpose.AUTHORIZE, allow: Path | None = None
) -> list[Step]:
    """Tell why a tag is accepted or refused: what each rule says, and which one decides.

    :param id_tag: the tag as a charger would send it
    :param purpose: what it is asked for
    :param allow: look into this allow list instead of the configured one
    """
    if allow is not None:
        configure(allow=allow)
    return _authority().explain(id_tag, purpose, gw.now())


def import_list(file: Path, *, replace: bool = False) -> Imported:
    """Copy the tags of a .cdv file into the store, all or none.

    :param file: the list
    :param replace: remove all other tags from the store
    """
    try:
        tags = list(read_list(file).values())
        for tag in tags:
            check_id_tag(tag.id_tag)
    except BrokenList as error:
        raise GwayError(str(error), "nothing was imported") from error
    store = _authority().store
    count = (store.replace if replace else store.put)(tags, gw.now())
    return Imported(str(file), count, replace)


# --- API ---------------------------------------------------------------------


def api_tags(*, find: str = "", limit: int = PAGE, after: str = "") -> list[Tag]:
    """List the tags in the store.

    :param find: only tags whose id, user or parent contains this
    :param limit: at most so many, 1000 when larger
    :param after: only those after this tag, to read on
    """
    return list_tags(find=find, limit=min(limit, PAGE), after=after)


def api_check(id_tag: str, *, purpose: Purpose = Purpose.AUTHORIZE) -> list[Step]:
    """Tell why a tag is accepted or refused here.

    :param id_tag: the tag as a charger would send it
    :param purpose: what it is asked for
    """
    return _authority().explain(id_tag, purpose, gw.now())


def api_put_tag(
    id_tag: str,
    *,
    expiry: date | datetime | None = None,
    parent: str | None = None,
    blocked: bool = False,
    concurrent_limit: int | None = None,
    balance: float | None = None,
    user: str | None = None,
) -> Tag:
    """Store a tag as given; what was known of it before is replaced.

    :param id_tag: the tag, at most 20 characters; kept as spelled, compared without case
    :param expiry: its last day, or the time from when on it is Expired; may lie in the past
    :param parent: parentIdTag of its group
    :param blocked: refuse it
    :param concurrent_limit: transactions it may have at a time
    :param balance: what is left to spend; at 0 or less it starts nothing
    :param user: whose it is
    """
    return put_tag(
        id_tag,
        expiry=expiry,
        parent=parent,
        blocked=blocked,
        concurrent_limit=concurrent_limit,
        balance=balance,
        user=user,
    )


def api_delete_tag(id_tag: str) -> dict[str, str]:
    """Remove a tag from the store; 404 when it is not there.

    :param id_tag: the tag, in any case
    """
    delete_tag(id_tag)
    return {"deleted": tag_key(id_tag.strip())}
