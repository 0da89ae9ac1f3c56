"""Writes what is stored to files that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TextIO, get_args

from gway.errors import UsageError
from gway.output import spreadsheet_safe
from gway.projects.ocpp.data import queries, reports
from gway.projects.ocpp.data.queries import Filter
from gway.projects.sql.database import Database

Format = Literal["csv", "json", "jsonl"]
PAGE = 500


def transactions(database: Database, wanted: Filter, now: datetime) -> Iterator[dict[str, Any]]:
    """Give all transactions that fit, the oldest first, a few hundred in memory at a time."""
    where, params = wanted.where()
    where += " AND sequence > ? ORDER BY sequence LIMIT ?"
    after = 0
    while True:
        values = [*params, after, PAGE]
        rows = database.read(partial(queries.transactions, where=where, params=values))
        for row in rows:
            yield _plain(reports.public_transaction(row, now))
        if len(rows) < PAGE:
            return
        after = rows[-1]["sequence"]


def format_of(to: Path) -> Format:
    """Tell the format by the ending of a file's name.

    Errors: UsageError for an ending that says nothing of one.
    """
    ending = to.suffix.lstrip(".").lower()
    for known in get_args(Format):
        if ending == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(
        f"{to.name}: its ending names no format of an export",
        hint="end it in .csv (which spreadsheets open), .json or .jsonl, or add --format",
    )


def write(rows: Iterator[dict[str, Any]], to: Path, format: Format) -> int:
    """Write rows into a file, whole or not at all; gives their number."""
    draft = to.with_name(f".{to.name}.partial")
    try:
        with draft.open("w", encoding="utf-8", newline="") as sink:
            count = {"csv": _csv, "json": _json, "jsonl": _lines}[format](rows, sink)
        draft.replace(to)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _csv(rows: Iterator[dict[str, Any]], sink: TextIO) -> int:
    count = 0
    writer = csv.writer(sink)
    for row in rows:
        if count == 0:
            writer.writerow(row)
        writer.writerow(_cell(value) for value in row.values())
        count += 1
    return count


def _json(rows: Iterator[dict[str, Any]], sink: TextIO) -> int:
    count = 0
    sink.write("[")
    for row in rows:
        sink.write(",\n" if count else "\n")
        json.dump(row, sink, ensure_ascii=False)
        count += 1
    sink.write("\n]\n")
    return count


def _lines(rows: Iterator[dict[str, Any]], sink: TextIO) -> int:
    count = 0
    for row in rows:
        sink.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = " ".join(value)
    return spreadsheet_safe(value) if isinstance(value, str) else value
