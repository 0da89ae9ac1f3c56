"""The verbs of the stored data: look, take away, check, put right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from gway import gw
from gway.errors import GwayError, UsageError
from gway.marks import told_by
from gway.projects.ocpp.data import api, reports
from gway.projects.ocpp.data.codec import micros
from gway.projects.ocpp.data.export import Format
from gway.projects.ocpp.data.queries import Filter, State
from gway.projects.ocpp.data.store import Store

LISTED = (
    "transaction_id",
    "charger_id",
    "connector_id",
    "id_tag",
    "state",
    "started_at",
    "stopped_at",
    "energy_wh",
    "reason",
)


def _listed(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in LISTED} for row in found["transactions"]]


@told_by("api_transactions", _listed, rename={"limit": "per_page"})
def transactions(
    charger_id: str | None = None,
    *,
    state: State | None = None,
    id_tag: str | None = None,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    sort: str = "newest",
    limit: int = 50,
) -> list[dict[str, Any]]:
    """List transactions.

    :param charger_id: only this charger's
    :param state: only open, stopped or inferred ones
    :param id_tag: only those begun with this tag
    :param since: only those begun at this time or later; a day is UTC
    :param until: only those begun before this time; a day is included
    :param sort: name of a column, with "-" before it for descending; or newest, oldest,
        most-energy, least-energy
    :param limit: at most so many, 1 to 1000
    """
    found = api.api_transactions(
        charger_id,
        state=state,
        id_tag=id_tag,
        since=since,
        until=until,
        sort=sort,
        per_page=limit,
    )
    return _listed(found)


@told_by("api_errors", itemgetter("errors"))
def errors(
    charger_id: str | None = None, *, since: date | datetime | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """List the faults that chargers reported, the latest first.

    :param charger_id: only this charger's
    :param since: only those reported at this time or later; a day is UTC
    :param limit: at most so many
    """
    found: list[dict[str, Any]] = api.api_errors(charger_id, since=since, limit=limit)["errors"]
    return found


@told_by("api_security_events", itemgetter("events"))
def security_events(
    charger_id: str | None = None, *, since: date | datetime | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """List the events of their security that chargers reported, the latest first.

    :param charger_id: only this charger's
    :param since: only those reported at this time or later; a day is UTC
    :param limit: at most so many
    """
    from gway.projects.ocpp.data.security import api_security_events

    found: list[dict[str, Any]] = api_security_events(charger_id, since=since, limit=limit)[
        "events"
    ]
    return found


def export(
    *,
    to: Path | None = None,
    format: Format | None = None,
    charger_id: str | None = None,
    state: State | None = None,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
) -> Iterator[dict[str, Any]] | str:
    """Give all transactions, the oldest first, on the terminal or into a file.

    :param to: file to write; without it they are printed (see --csv and --json)
    :param format: of the file; needed when its ending is none of .csv, .json, .jsonl
    :param charger_id: only this charger's
    :param state: only open, stopped or inferred ones
    :param since: only those begun at this time or later; a day is UTC
    :param until: only those begun before this time; a day is included
    """
    from gway.projects.ocpp.data import export as exporting

    wanted = Filter(
        charger_id=charger_id,
        state=state,
        since=micros(reports.moment(since)),
        before=micros(reports.moment(until, end=True)),
    )
    rows = exporting.transactions(gw.service(Store).database, wanted, gw.now())
    if to is None:
        if format is not None:
            raise UsageError("--format is for files", hint="add --to FILE, or use --csv or --json")
        return rows
    try:
        count = exporting.write(rows, to, format or exporting.format_of(to))
    except OSError as error:
        raise GwayError(f"{to} could not be written: {error.strerror}") from error
    return f"{count} transactions in {to}"


def check() -> list[dict[str, str]]:
    """Check the database, the rules its rows follow, and the records.

    Errors: GwayError (exit 1) when something is bad; the table comes first.
    """
    from gway.projects.ocpp.data.check import findings

    found = [finding._asdict() for finding in findings(gw.service(Store))]
    bad = [each for each in found if each["result"] == "bad"]
    if bad:
        listed = "; ".join(f"{each['check']}: {each['found']}" for each in bad)
        raise GwayError(
            f"{len(bad)} of {len(found)} checks failed: {listed}",
            hint="missing records: `gway ocpp.data records --rebuild`; a damaged file: a backup",
        )
    return found


def backup(to: Path) -> str:
    """Copy the database into a new file while everything goes on.

    :param to: the file; it must not exist
    """
    size = gw.service(Store).database.backup(to)
    return f"{size} bytes in {to}"


def compact(
    *,
    before: date | datetime | None = None,
    older_than: int | None = None,
    keep_every: int = 15,
    history_days: int = 365,
    dry_run: bool = False,
    vacuum: bool = False,
) -> list[dict[str, Any]]:
    """Thin the samples of transactions that ended long ago, and drop old history.

    A server may run meanwhile. Of each transaction stay the first and the last message,
    those with a sample of another kind than Sample.Periodic, the highest power, and its
    record with all of them. Energy, stops, corrections and orphans are never touched.

    :param before: thin transactions that ended before this time; a day is UTC
    :param older_than: thin transactions that ended more than so many days ago
    :param keep_every: minutes; one message stays in each time of this length, 0 keeps none
    :param history_days: drop connections, boots, tag checks, commands, status changes, faults
        and values of no transaction that are older than so many days; 0 keeps all
    :param dry_run: only tell what would go
    :param vacuum: give the free space in the file back to the disk; needs a stopped server
    """
    from gway.projects.ocpp.data import compacting

    return compacting.run(
        gw.service(Store),
        compacting.cutoff(before, older_than, gw.now()),
        keep_every_min=keep_every,
        history_days=history_days,
        dry_run=dry_run,
        vacuum=vacuum,
        now=gw.now(),
    )


def records(*, rebuild: bool = False) -> str:
    """Count the `.dat` records of completed transactions, or write them again.

    :param rebuild: write all of them anew from the database
    """
    store = gw.service(Store)
    if rebuild:
        return f"{store.records.rebuild()} records written below {store.records.base}"
    missing = store.records.missing()
    present = sum(1 for _ in store.records.base.glob("*/*.dat"))
    return f"{present} records below {store.records.base}, {len(missing)} missing"
