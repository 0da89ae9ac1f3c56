"""The pages of the proxy: how the remote is reached, what waits, and both sides compared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from gway import access
from gway.projects.ocpp.messages.times import parse_time
from gway.projects.ocpp.proxy import verbs
from gway.projects.ocpp.proxy.pages_letters import PAGES, all_findings, dead_letters, has_remote
from gway.web import formats
from gway.web.page import Page
from gway.web.tables import Column, Table, table_of

Row = dict[str, Any]
Wanted = tuple[str, str, int, int | None]  # q, sort, page, per_page of a table


def _sessions(row: Mapping[str, Any]) -> str:
    """Show the ids of running sessions, here and there."""
    told = ((one["local_tx"], one["remote_tx"]) for one in row["sessions"])
    arrow = " \N{RIGHTWARDS ARROW} "
    pairs = (f"{here}{arrow}{there or 'not told yet'}" for here, there in told)
    return ", ".join(pairs)


CHARGERS = (
    Column("charger_id", "Charger"),
    Column("connected", "Here", show=lambda row: "connected" if row["connected"] else "away"),
    Column("link", "Remote", kind="status"),
    Column("pending", "Waiting", kind="number"),
    Column("oldest_age_s", "Since", kind="duration"),
    Column("dead", kind="number", hint="messages that the remote does not have"),
    Column("possible_duplicates", "Sent again", kind="number", hint="their answer was lost"),
    Column("skew_s", "Clocks apart", kind="number", unit="s", hint="the remote's before ours"),
    Column("sessions", "Sessions here and there", sortable=False, show=_sessions),
    Column("last_error", "Last trouble"),
)
SIDES = (
    Column("charger_id", "Charger"),
    Column("local_tx", "Id here", kind="number", show=lambda row: formats.plain(row["local_tx"])),
    Column(
        "remote_tx", "Id there", kind="number", show=lambda row: formats.plain(row["remote_tx"])
    ),
    Column("id_tag", "Tag"),
    Column("start_time", "Start", kind="time"),
    Column("local_wh", "Wh here", kind="number"),
    Column("remote_wh", "Wh there", kind="number"),
    Column("difference_wh", "Wh apart", kind="number"),
    Column("verdict"),
)
GOOD = ("equal", "open", "answered")


def view_index() -> Page:
    """Show how the remote is reached and what waits for it."""
    return view_remote()


def view_remote(
    *,
    q: str = "",
    sort: str = "charger_id",
    page: int = 1,
    per_page: int | None = None,
    dead_q: str = "",
    dead_sort: str = "sequence",
    dead_page: int = 1,
    dead_per_page: int | None = None,
    findings_q: str = "",
    findings_sort: str = "-at",
    findings_page: int = 1,
    findings_per_page: int | None = None,
) -> Page:
    """Show how the remote is reached, what waits for it since when, and dead letters.

    :param q: words that a charger must have in its columns
    :param sort: name of a column, with "-" before it for descending
    :param page: from 1
    :param per_page: chargers on a page, at most 1000
    :param dead_q: words that a dead letter must have in its columns
    :param dead_sort: a column of the dead letters, with "-" before it for descending
    :param dead_page: of the dead letters, from 1
    :param dead_per_page: dead letters on a page, at most 1000
    :param findings_q: words that a finding must have in its columns
    :param findings_sort: a column of the findings, with "-" before it for descending
    :param findings_page: of the findings, from 1
    :param findings_per_page: findings on a page, at most 1000
    """
    values = _values(
        (q, sort, page, per_page),
        (dead_q, dead_sort, dead_page, dead_per_page),
        (findings_q, findings_sort, findings_page, findings_per_page),
    )
    return PAGES("remote", title="Remote", styles=("proxy.css",), **values)


def render_remote(
    *,
    q: str = "",
    sort: str = "charger_id",
    page: int = 1,
    per_page: int | None = None,
    dead_q: str = "",
    dead_sort: str = "sequence",
    dead_page: int = 1,
    dead_per_page: int | None = None,
    findings_q: str = "",
    findings_sort: str = "-at",
    findings_page: int = 1,
    findings_per_page: int | None = None,
) -> Page:
    """Give the part of the page that changes by itself.

    :param q: words that a charger must have in its columns
    :param sort: name of a column, with "-" before it for descending
    :param page: from 1
    :param per_page: chargers on a page, at most 1000
    :param dead_q: words that a dead letter must have in its columns
    :param dead_sort: a column of the dead letters, with "-" before it for descending
    :param dead_page: of the dead letters, from 1
    :param dead_per_page: dead letters on a page, at most 1000
    :param findings_q: words that a finding must have in its columns
    :param findings_sort: a column of the findings, with "-" before it for descending
    :param findings_page: of the findings, from 1
    :param findings_per_page: findings on a page, at most 1000
    """
    values = _values(
        (q, sort, page, per_page),
        (dead_q, dead_sort, dead_page, dead_per_page),
        (findings_q, findings_sort, findings_page, findings_per_page),
    )
    return PAGES.fragment("remote_state", **values)


def view_reconcile(
    charger_id: str | None = None,
    *,
    since: date | datetime | None = None,
    q: str = "",
    sort: str = "-start_time",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Compare what is stored here with what the remote has, in Wh for each transaction.

    :param charger_id: only this charger's
    :param since: only those begun at this time or later; the last 30 days if not given
    :param q: words that a transaction must have in its columns
    :param sort: name of a column, with "-" before it for descending
    :param page: from 1
    :param per_page: transactions on a page, at most 1000
    """
    values = _both_sides(charger_id, since, q, sort, page, per_page)
    return PAGES("reconcile", title="Local against remote", styles=("proxy.css",), **values)


def render_reconcile(
    charger_id: str | None = None,
    *,
    since: date | datetime | None = None,
    q: str = "",
    sort: str = "-start_time",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Give the comparison with the remote, for a page that renews it.

    :param charger_id: only this charger's
    :param since: only those begun at this time or later; the last 30 days if not given
    :param q: words that a transaction must have in its columns
    :param sort: name of a column, with "-" before it for descending
    :param page: from 1
    :param per_page: transactions on a page, at most 1000
    """
    values = _both_sides(charger_id, since, q, sort, page, per_page)
    return PAGES.fragment("both_sides", **values)


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


def _moment(text: str) -> datetime | str:
    """Read a charger's time; what it wrote if that cannot be read."""
    return parse_time(text) or text


# --- what is shown ------------------------------------------------------------


def _values(chargers: Wanted, dead: Wanted, findings: Wanted) -> Row:
    told = verbs.status()
    return {
        "told": told,
        "table": _chargers(told["chargers"], *chargers),
        "dead": dead_letters(*dead),
        "findings": all_findings(*findings),
    }


def _chargers(rows: list[Row], q: str, sort: str, page: int, per_page: int | None) -> Table:
    return table_of(
        rows,
        CHARGERS,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        status=lambda row: "bad" if row["dead"] else None,
        caption="Chargers",
        empty="No charger has been here yet.",
        view="remote",
    )


def _both_sides(
    charger_id: str | None,
    since: date | datetime | None,
    q: str,
    sort: str,
    page: int,
    per_page: int | None,
) -> Row:
    found: Row = {"transactions": []}
    if has_remote():
        found = verbs.reconcile(charger_id or None, since=since)
    table = table_of(
        [{**row, "start_time": _moment(row["start_time"])} for row in found["transactions"]],
        SIDES,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        view="reconcile",
        status=lambda row: None if row["verdict"] in GOOD else "bad",
        caption="Transactions on both sides",
        empty="No transaction fits.",
    )
    return {
        "table": table,
        "found": found,
        "charger_id": charger_id or "",
        "since": f"{since:%Y-%m-%d}" if since is not None else "",
    }
