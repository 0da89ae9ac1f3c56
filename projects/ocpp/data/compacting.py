"""The steps of `gway ocpp.data compact`, and what they tell."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from gway.errors import GwayError, UsageError
from gway.output import progress
from gway.projects.ocpp.data import reports
from gway.projects.ocpp.data.codec import iso, micros
from gway.projects.ocpp.data.compact import HISTORY, Compaction
from gway.projects.ocpp.data.store import Store
from gway.remote import recorded
from gway.resolver import current

MICROS_A_DAY = 86_400 * 1_000_000


def cutoff(before: date | datetime | None, older_than: int | None, now: datetime) -> datetime:
    """Give the time before which a transaction must have ended to be thinned.

    Errors: UsageError when none is given, both are, or it is still to come.
    """
    if (before is None) == (older_than is None):
        raise UsageError(
            "which transactions are to be thinned?", hint="--before DATE or --older-than DAYS"
        )
    if older_than is not None:
        if not 0 <= older_than <= (now - datetime.min.replace(tzinfo=now.tzinfo)).days:
            raise UsageError(f"--older-than {older_than} is no number of days", hint="such as 90")
        return now - timedelta(days=older_than)
    given = reports.moment(before)
    assert given is not None
    if given > now:
        raise UsageError(f"--before {given:%F} is still to come", hint="name a day in the past")
    return given


def run(
    store: Store,
    before: datetime,
    *,
    keep_every_min: int,
    history_days: int,
    dry_run: bool,
    vacuum: bool,
    now: datetime,
) -> list[dict[str, Any]]:
    """Thin samples, drop history, and tell what went.

    Errors: UsageError for numbers below 0; GwayError for `vacuum` while a server runs.
    """
    if keep_every_min < 0 or history_days < 0:
        raise UsageError("--keep-every and --history-days are 0 or more")
    if vacuum and not dry_run and recorded(current()) is not None:
        raise GwayError(
            "a server runs here, and could store nothing while the file is written anew",
            hint="stop it first, or leave out --vacuum: free space is used again anyhow",
        )
    at, ended = micros(now) or 0, micros(before) or 0
    work = Compaction(store.database, store.records, at, dry_run=dry_run)
    free = work.free_bytes()
    rows = [_thin(work, ended, keep_every_min * 60)]
    if history_days:
        rows += _prune(work, at - history_days * MICROS_A_DAY)
    if dry_run:
        return rows
    rows.append(_told("bytes free in the file, used again by what comes", work.free_bytes() - free))
    if vacuum:
        rows.append(_told("bytes given back to the disk", store.database.vacuum()))
    return rows


def _thin(work: Compaction, ended: int, keep_every_s: int) -> dict[str, Any]:
    looked_at = 0
    with progress("thinning transactions", work.count(ended, keep_every_s)) as advance:

        def more(count: int) -> None:
            nonlocal looked_at
            looked_at += count
            advance(looked_at, f"{looked_at} transactions")

        thinned = work.thin(ended, keep_every_s, more)
    return _told(
        "MeterValues messages of ended transactions",
        thinned.removed,
        ended,
        f"of {thinned.transactions} transactions, {thinned.text_bytes} bytes of text",
    )


def _prune(work: Compaction, before: int) -> list[dict[str, Any]]:
    return [_told(kind.what, work.prune(kind, before), before) for kind in HISTORY]


def _told(what: str, count: int, before: int | None = None, note: str = "") -> dict[str, Any]:
    return {"what": what, "count": count, "before": iso(before), "note": note}
