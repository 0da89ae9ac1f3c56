"""What the remote will not take, and what somebody should look at: tables of the remote's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gway.projects.ocpp.proxy import verbs
from gway.web import formats
from gway.web.page import Page, PageMaker
from gway.web.tables import Column, Table, table_of

PAGES = PageMaker(__file__)

DEAD_PREFIX = "dead_"
FINDINGS_PREFIX = "findings_"


def _transaction(row: Mapping[str, Any]) -> str:
    """Show the id here of a dead letter's transaction; -1 is none."""
    return "" if row["local_tx"] in (None, -1) else formats.plain(row["local_tx"])


DEAD = (
    Column("sequence", "No.", kind="number", show=lambda row: formats.plain(row["sequence"])),
    Column("charger_id", "Charger"),
    Column("local_tx", "Transaction", kind="number", show=_transaction),
    Column("action", "Message"),
    Column("error", "Why"),
    Column("at", "When", kind="time"),
    Column("payload", "Content", sortable=False, show=lambda row: "", part="letter"),
    Column(
        "to_do",
        "What to do",
        sortable=False,
        show=lambda row: "",
        part="letter_buttons",
        needs="ocpp.proxy/retry",
    ),
)
DEAD_TWIN = ("sequence", "charger_id", "local_tx", "action", "payload", "error", "at")
FINDINGS = (
    Column("at", "When", kind="time"),
    Column("charger_id", "Charger"),
    Column("kind"),
    Column("text", "What"),
)


def view_dead_letters(
    *,
    dead_q: str = "",
    dead_sort: str = "sequence",
    dead_page: int = 1,
    dead_per_page: int | None = None,
) -> Page:
    """Show the messages that the remote will not take, with its reasons.

    :param dead_q: words that a dead letter must have in its columns
    :param dead_sort: a column of the dead letters, with "-" before it for descending
    :param dead_page: of the dead letters, from 1
    :param dead_per_page: dead letters on a page, at most 1000
    """
    table = dead_letters(dead_q, dead_sort, dead_page, dead_per_page)
    return PAGES(
        "dead_letters_page",
        title="Dead letters",
        styles=("proxy.css",),
        table=table,
        columns=DEAD_TWIN,
    )


def view_findings(
    *,
    findings_q: str = "",
    findings_sort: str = "-at",
    findings_page: int = 1,
    findings_per_page: int | None = None,
) -> Page:
    """Show what somebody should look at, such as ids that were given twice.

    :param findings_q: words that a finding must have in its columns
    :param findings_sort: a column of the findings, with "-" before it for descending
    :param findings_page: of the findings, from 1
    :param findings_per_page: findings on a page, at most 1000
    """
    table = all_findings(findings_q, findings_sort, findings_page, findings_per_page)
    return PAGES("findings_page", title="To look at", table=table)


def dead_letters(q: str, sort: str, page: int, per_page: int | None) -> Table:
    return table_of(
        verbs.dead() if has_remote() else (),
        DEAD,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        prefix=DEAD_PREFIX,
        view="dead_letters",
        caption="Dead letters",
        empty="There is no dead letter: the remote took everything.",
        key=lambda row: f"letter-{row['sequence']}",
    )


def all_findings(q: str, sort: str, page: int, per_page: int | None) -> Table:
    return table_of(
        verbs.findings() if has_remote() else (),
        FINDINGS,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        prefix=FINDINGS_PREFIX,
        view="findings",
        caption="To look at",
        empty="There is nothing to look at.",
        key=lambda row: f"finding-{row['finding_id']}",
    )


def has_remote() -> bool:
    return verbs.proxy().forwarder is not None
