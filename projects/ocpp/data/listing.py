"""Rows of a table as the address asks for them: those that fit, in order, one page of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gway.errors import UsageError
from gway.projects.ocpp.data.samples import number
from gway.web.formats import plain

LARGEST = 1_000  # rows on a page


class Slice(NamedTuple):
    """One page of a table, and where it lies."""

    rows: Sequence[Mapping[str, Any]]
    page: int
    pages: int
    total: int


def arranged(
    rows: list[dict[str, Any]], columns: Sequence[str], q: str | None, sort: str
) -> list[dict[str, Any]]:
    """Filter and sort rows; those without a value come last either way.

    :param q: text that one of the columns has to hold, in any case
    :param sort: a column's name, with "-" before it for descending
    Errors: UsageError for a column that there is not.
    """
    name = sort.removeprefix("-")
    if name not in columns:
        raise UsageError(f"this table has no order {sort!r}", hint=", ".join(columns))
    if q:
        wanted = q.casefold()
        rows = [row for row in rows if any(wanted in plain(row[c]).casefold() for c in columns)]
    known = [row for row in rows if row[name] not in (None, "")]
    known.sort(key=lambda row: _rank(row[name]), reverse=sort.startswith("-"))
    return known + [row for row in rows if row[name] in (None, "")]


def _rank(value: Any) -> Any:
    """Sort texts that are numbers by their value, before all others."""
    if not isinstance(value, str):
        return (0, value, "")
    read = number(value)
    return (1, 0, value.casefold()) if read is None else (0, read, "")


def cut(rows: Sequence[Mapping[str, Any]], page: int, per_page: int) -> Slice:
    """Take one page; beyond the last it is the last.

    Errors: UsageError for a page that cannot be.
    """
    if page < 1 or not 1 <= per_page <= LARGEST:
        raise UsageError(f"page is 1 or more, per_page 1 to {LARGEST}")
    pages = max(1, -(-len(rows) // per_page))
    page = min(page, pages)
    return Slice(rows[(page - 1) * per_page : page * per_page], page, pages, len(rows))
