"""The pages of the proxy: how the remote is reached, what waits, and both sides compared."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from gway import access
from gway.projects.ocpp.data.listing import arranged, cut
from gway.projects.ocpp.proxy import verbs
from gway.web.page import Page, PageMaker

PAGES = PageMaker(__file__)

Row = dict[str, Any]

PER_PAGE = 50
COLUMNS = (
    "charger_id",
    "connected",
    "link",
    "pending",
    "oldest_age_s",
    "dead",
    "possible_duplicates",
    "skew_s",
    "last_error",
)
SIDES = (
    "charger_id",
    "local_tx",
    "remote_tx",
    "id_tag",
    "start_time",
    "local_wh",
    "remote_wh",
    "difference_wh",
    "verdict",
)
GOOD = ("equal", "open", "answered")


def view_index() -> Page:
    """Show how the remote is reached and what waits for it."""
    return view_remote()


def view_remote(
    *, q: str = "", sort: str = "-pending", page: int = 1, per_page: int = PER_PAGE
) -> Page:
    """Show how the remote is reached, what waits for it since when, and dead letters.

    :param q: only chargers with this in their id, link or last error
    :param sort: name of a column, with "-" before it for descending
    :param page: from 1
    :param per_page: chargers on a page, at most 1000
    """
    values = _values(q, sort, page, per_page)
    return PAGES(
        "remote",
        title="Remote",
        rows=values["all_rows"],
        columns=COLUMNS,
        styles=("proxy.css",),
        **values,
    )


def render_remote(
    *, q: str = "", sort: str = "-pending", page: int = 1, per_page: int = PER_PAGE
) -> Page:
    """Give the part of the page that changes by itself."""
    return PAGES.fragment("remote_state", **_values(q, sort, page, per_page))


def view_reconcile(
    charger_id: str | None = None,
    *,
    since: date | datetime | None = None,
    q: str = "",
    sort: str = "-start_time",
    page: int = 1,
    per_page: int = PER_PAGE,
) -> Page:
    """Compare what is stored here with what the remote has, in Wh for each transaction.

    :param charger_id: only this charger's
    :param since: only those begun at this time or later; the last 30 days if not given
    :param q: only those with this in charger, tag or verdict
    :param sort: name of a column, with "-" before it for descending
    :param page: from 1
    :param per_page: transactions on a page, at most 1000
    """
    known = verbs.proxy().forwarder is not None
    found = verbs.reconcile(charger_id or None, since=since) if known else {"transactions": []}
    rows = arranged(found["transactions"], SIDES, q, sort)
    return PAGES(
        "reconcile",
        title="Local against remote",
        rows=rows,
        columns=SIDES,
        styles=("proxy.css",),
        found=found,
        good=GOOD,
        charger_id=charger_id or "",
        since=f"{since:%Y-%m-%d}" if since is not None else "",
        q=q,
        sort=sort,
        per_page=per_page,
        slice=cut(rows, page, per_page),
    )


# --- acting -------------------------------------------------------------------


@access(role="operator")
def view_post_sync_now() -> Page:
    """Try at once to reach the remote, and show how it stands."""
    verbs.sync_now()
    return render_remote()


@access(role="operator")
def view_post_pause() -> Page:
    """Send nothing to the remote for now, and show how it stands."""
    verbs.pause()
    return render_remote()


@access(role="operator")
def view_post_resume() -> Page:
    """Send to the remote again, and show how it stands."""
    verbs.resume()
    return render_remote()


@access(role="operator")
def view_post_retry(sequence: int) -> Page:
    """Send a dead letter again, and show how it stands."""
    verbs.retry(sequence)
    return render_remote()


@access(role="operator")
def view_post_drop(sequence: int) -> Page:
    """Forget a dead letter, and show how it stands."""
    verbs.drop(sequence)
    return render_remote()


# --- what is shown ------------------------------------------------------------


def _values(q: str, sort: str, page: int, per_page: int) -> Row:
    known = verbs.proxy().forwarder is not None
    told = verbs.status()
    rows = arranged(told["chargers"], COLUMNS, q, sort)
    return {
        "told": told,
        "dead": verbs.dead() if known else [],
        "findings": verbs.proxy().desk.findings(PER_PAGE) if known else [],
        "all_rows": rows,
        "q": q,
        "sort": sort,
        "per_page": per_page,
        "slice": cut(rows, page, per_page),
    }
