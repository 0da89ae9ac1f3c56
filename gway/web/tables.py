"""Tables that every page sorts, filters and pages in the same way, by its address.

A view declares the four parameters of a table and hands its rows over:

    COLUMNS = (
        Column("charger_id", "Charger", link=lambda row: PAGES.url("detail", id=row["charger_id"])),
        Column("energy_wh", "Energy", kind="energy"),
        Column("last_seen_at", "Last seen", kind="ago"),
    )

    def view_chargers(
        *, q: str = "", sort: str = "charger_id", page: int = 1, per_page: int | None = None
    ) -> Page:
        table = table_of(all_rows, COLUMNS, q=q, sort=sort, page=page, per_page=per_page)
        return PAGES("chargers", table=table)

and its template says where: `% include('gway/table', table=table)`. That is the filter's field,
the links in the head, the pager and the links to the CSV and JSON twins; all of them keep the
other parameters of the address.

Where there are more than some thousand rows, SQL does the work. `window` says which rows are
wanted, `order` by which column, and `table_from` takes what was found:

    by, descending = order(sort, COLUMNS)
    wanted = window(page, per_page)
    rows, total = found(like=q, by=by, descending=descending, wanted.limit, wanted.offset)
    table = table_from(rows, COLUMNS, total=total, q=q, sort=sort, page=page, per_page=per_page)

Without `per_page` a page shows 50 rows, while its twins, the command line and Python get all
that match, 10,000 at most (`X-GWAY-Total` in a twin's head says how many there are). Rows stay
raw in the twins: `kind`, `unit` and `show` are for people. A second table of a page gets a
`prefix`, such as "samples_", for its own four parameters, and a part that renews itself names
the `view` whose twins it links to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, TypeVar

from gway.errors import UsageError, did_you_mean
from gway.web import formats
from gway.web.request import CURRENT
from gway.web.rights import may

Row = Mapping[str, Any]
Kind = Literal[
    "auto", "text", "code", "number", "energy", "power", "duration", "time", "ago", "status"
]
T = TypeVar("T")

PER_PAGE = 50
MOST_PER_PAGE = 1000
ALL_ROWS = 10_000
"""How many rows the twins, the command line and Python get when no `per_page` is given."""
_MANY = 500  # rows; sorting and filtering more of them takes over 5 ms
_NUMERIC = frozenset({"number", "energy", "power", "duration"})
_DIGITS = re.compile(r"(\d{1,18})")  # int() refuses thousands of them


class Note(NamedTuple):
    """What stands small below a cell's value: text, and a time behind it."""

    text: str
    moment: datetime | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: where its values are and how they look.

    :param name: key of the rows and name for `sort`
    :param label: its heading; default: the name in words
    :param kind: `energy` takes Wh, `power` W, `duration` seconds; `time` and `ago` are times;
        `status` is a badge; `auto` goes by each value
    :param unit: stands behind each number of a column of kind `number`
    :param digits: after the decimal point of a number; default: as many as it has
    :param sortable: whether its heading sorts
    :param link: where a row's cell leads to; None for nowhere
    :param show: a row's text in this column instead of the plain value
    :param note: what stands small below the value
    :param rank: what a row is sorted by in this column instead of the plain value
    :param part: template of the project that draws the cell, given `row`, such as a button
    :param hint: explains the heading
    :param needs: project and name of the view that its part posts to (`ocpp.csms/approve`);
        the column is not drawn for who may not
    """

    name: str
    label: str = ""
    kind: Kind = "auto"
    unit: str = ""
    digits: int | None = None
    sortable: bool = True
    link: Callable[[Row], str | None] | None = None
    show: Callable[[Row], str] | None = None
    note: Callable[[Row], Note | None] | None = None
    rank: Callable[[Row], Any] | None = None
    part: str = ""
    hint: str = ""
    needs: str = ""

    @property
    def heading(self) -> str:
        """The label, or the name in words."""
        return self.label or formats.label(self.name)


class Cell(NamedTuple):
    """A cell as the template draws it."""

    column: Column
    text: str
    unit: str = ""
    number: bool = False
    moment: datetime | None = None
    status: str = ""
    href: str | None = None
    note: Note | None = None


class Window(NamedTuple):
    """Which of the rows that match are wanted."""

    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one page of a table, and what led to them.

    :param rows: those that are shown, or that the twin has
    :param total: how many match
    :param status: a row's `data-status`, such as "bad"; None for none
    :param key: a row's `id` in the document, by which a renewed table finds it again
    :param caption: what the table shows, for those who hear it
    :param empty: what to do when there is nothing
    :param prefix: of its parameters' names
    :param view: name of the view that has the twins; default: the page itself
    :param controls: whether it can be filtered, sorted and paged at all
    """

    columns: tuple[Column, ...]
    rows: Sequence[Row]
    total: int
    q: str = ""
    sort: str = ""
    page: int = 1
    per_page: int | None = None
    status: Callable[[Row], str | None] | None = None
    key: Callable[[Row], str] | None = None
    caption: str = ""
    empty: str = "Nothing here yet."
    prefix: str = ""
    view: str = ""
    controls: bool = True
    names: tuple[str, ...] = field(init=False)
    # What this visitor sees: without columns of buttons that are not for them.
    drawn: tuple[Column, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(column.name for column in self.columns))
        drawn = (one for one in self.columns if not one.needs or may(*one.needs.rsplit("/", 1)))
        object.__setattr__(self, "drawn", tuple(drawn))

    @property
    def size(self) -> int:
        """How many rows a page has."""
        return self.per_page or PER_PAGE

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.size))

    @property
    def span(self) -> str:
        """Which rows are shown: `51-100 of 1 234`, with thin groups of thousands."""
        total = formats.number(self.total)
        if not self.rows:
            return f"0 of {total}"
        first = (self.page - 1) * self.size + 1
        last = first + len(self.rows) - 1
        if first == 1 and last == self.total:
            return f"{total} row{'' if self.total == 1 else 's'}"
        return f"{formats.number(first)}\N{EN DASH}{formats.number(last)} of {total}"

    def parameter(self, name: str) -> str:
        """Return the name that one of `q`, `sort`, `page`, `per_page` has in the address."""
        return self.prefix + name

    def direction(self, column: Column) -> str | None:
        """Return how a column is sorted, in the words of `aria-sort`; None: it is not."""
        name = self.sort.removeprefix("-")
        if name != column.name:
            return None
        return "descending" if self.sort.startswith("-") else "ascending"

    def next_sort(self, column: Column) -> str:
        """Return the `sort` that a click on a heading asks for."""
        return f"-{column.name}" if self.direction(column) == "ascending" else column.name

    def is_number(self, column: Column) -> bool:
        """Tell whether a column stands right: it holds numbers."""
        if column.kind != "auto":
            return column.kind in _NUMERIC
        values = (row.get(column.name) for row in self.rows)
        return _is_number(next((value for value in values if value is not None), None))

    def cells(self, row: Row) -> list[Cell]:
        """Return a row as the template draws it."""
        return [cell(column, row) for column in self.drawn]


def table_of(
    rows: Iterable[Row],
    columns: Iterable[Column | str] | None = None,
    *,
    q: str = "",
    sort: str = "",
    page: int = 1,
    per_page: int | None = None,
    **more: Any,
) -> Table:
    """Filter, sort and page rows that are all in memory, some thousand at most.

    :param columns: default: the keys of the rows
    :param q: words that must all be in a row, in any case, in any column
    :param sort: a column's name, "-" before it for descending; rows without a value come last
    :param page: from 1
    :param per_page: rows on a page, 1 to 1000
    :param more: further fields of `Table`, such as `status`
    :raises UsageError: 400 that names the columns, or the bounds
    """
    given = list(rows)
    known = columns_of(given, columns)
    wanted = window(page, per_page, prefix=more.get("prefix", ""))
    by, descending = order(sort, known)

    def found() -> list[Row]:
        kept = [row for row in given if matches(row, known, q)] if q.strip() else given
        return sorted_by(kept, by, descending, ranks.get(by)) if by else kept

    ranks = {column.name: column.rank for column in known}
    matching = aside(found, len(given))
    shown = matching[wanted.offset : wanted.offset + wanted.limit]
    return table_from(
        shown, known, total=len(matching), q=q, sort=sort, page=page, per_page=per_page, **more
    )


def table_from(
    rows: Iterable[Row],
    columns: Iterable[Column | str] | None = None,
    *,
    total: int,
    q: str = "",
    sort: str = "",
    page: int = 1,
    per_page: int | None = None,
    **more: Any,
) -> Table:
    """Make a table of rows that were filtered, sorted and cut already.

    :param total: how many rows match
    :raises UsageError: 400 that names the columns, or the bounds
    """
    shown = list(rows)
    known = columns_of(shown, columns)
    order(sort, known)
    window(page, per_page, prefix=more.get("prefix", ""))
    request = CURRENT.get()
    if request is not None and request.wants_twin:
        request.reply_headers.append(("X-GWAY-Total", str(total)))
    return Table(known, shown, total, q, sort, page, per_page, **more)


def plain_table(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    """Make a table that shows rows and can do nothing else."""
    return Table(columns_of(rows, columns), rows, len(rows), per_page=len(rows), controls=False)


def window(page: int, per_page: int | None, *, prefix: str = "") -> Window:
    """Return which rows are wanted: a page, or for twins and programs all, up to a bound.

    :raises UsageError: 400 that names the bounds
    """
    if page < 1 or (per_page is not None and not 1 <= per_page <= MOST_PER_PAGE):
        raise UsageError(
            f"there is no page {page} of {PER_PAGE if per_page is None else per_page} rows",
            hint=f"{prefix}page is 1 or more, {prefix}per_page 1 to {MOST_PER_PAGE}",
        )
    if _wants_all(page, per_page, prefix):
        return Window(ALL_ROWS, 0)
    size = per_page or PER_PAGE
    return Window(size, (page - 1) * size)


def order(sort: str, columns: Iterable[Column]) -> tuple[str, bool]:
    """Return by which column to sort, empty for none, and whether descending.

    :raises UsageError: 400 that names the columns
    """
    name = sort.removeprefix("-")
    possible = [column.name for column in columns if column.sortable]
    if name and name not in possible:
        raise UsageError(
            f"no column to sort by is called {name!r}",
            hint=did_you_mean(name, possible) or f"sort by one of {', '.join(possible)}",
        )
    return name, sort.startswith("-")


def columns_of(
    rows: Iterable[Row], columns: Iterable[Column | str] | None = None
) -> tuple[Column, ...]:
    """Return columns for names, those of the rows when none are given."""
    if columns is None:
        seen: dict[str, None] = {}
        for row in rows:
            seen.update(dict.fromkeys(row))
        columns = seen
    return tuple(one if isinstance(one, Column) else Column(str(one)) for one in columns)


def matches(row: Row, columns: Iterable[Column], q: str) -> bool:
    """Tell whether each word of a filter is in some column, raw or as it is shown."""
    text = "\n".join(_sought(column, row) for column in columns).casefold()
    return all(word in text for word in q.casefold().split())


def sorted_by(
    rows: Sequence[Row],
    name: str,
    descending: bool = False,
    rank: Callable[[Row], Any] | None = None,
) -> list[Row]:
    """Sort rows by a column, equal ones as they came, those without a value last.

    Text is sorted as people count: CP2 comes before CP10.

    :param rank: gives what a row is sorted by, if that is not its value
    """
    valued = [(row, row.get(name) if rank is None else rank(row)) for row in rows]
    filled = [(row, _rank(value)) for row, value in valued if value is not None]
    filled.sort(key=lambda pair: pair[1], reverse=descending)
    return [row for row, _ in filled] + [row for row, value in valued if value is None]


def cell(column: Column, row: Row) -> Cell:
    """Return a row's cell in a column, as the template draws it."""
    made = _cell(column, row)
    return made if column.note is None else made._replace(note=column.note(row))


def _cell(column: Column, row: Row) -> Cell:
    value = row.get(column.name)
    href = column.link(row) if column.link is not None else None
    if column.show is not None:
        text = column.show(row)
        status = formats.plain(value) if column.kind == "status" else ""
        return Cell(column, text, number=column.kind in _NUMERIC, status=status, href=href)
    if value is None:
        return Cell(column, "", number=column.kind in _NUMERIC)
    if isinstance(value, datetime):
        return Cell(column, formats.utc(value), moment=value, href=href)
    if column.kind == "status":
        return Cell(column, formats.plain(value), status=formats.plain(value), href=href)
    number = column.kind in _NUMERIC or (column.kind == "auto" and _is_number(value))
    text, unit = _words(column, value)
    return Cell(column, text, unit, number, href=href)


def _words(column: Column, value: Any) -> tuple[str, str]:
    """Return a value as text and its unit."""
    if not _is_number(value):
        return formats.plain(value), ""
    if column.kind == "duration":
        return formats.duration(value), ""
    if column.kind in ("energy", "power"):
        text, _, unit = (formats.energy if column.kind == "energy" else formats.power)(
            value
        ).rpartition(" ")
        return text, unit
    if column.digits is not None:
        return formats.number(value, column.digits), column.unit
    if column.kind == "number" and isinstance(value, int):
        return formats.number(value), column.unit
    return formats.plain(value), column.unit


def _sought(column: Column, row: Row) -> str:
    value = row.get(column.name)
    if column.show is not None:
        return f"{formats.plain(value)}\n{column.show(row)}"
    if value is None or isinstance(value, str):
        return value or ""
    text, unit = _words(column, value)
    return f"{formats.plain(value)}\n{text.replace(_THIN, '')} {unit}"


_THIN = "\N{NARROW NO-BREAK SPACE}"


def _rank(value: Any) -> tuple[int, Any]:
    """Return a key that orders values of one kind, and kinds among themselves."""
    if isinstance(value, (int, float)):
        return 0, value
    if isinstance(value, datetime):
        return 1, value
    if isinstance(value, date):
        return 2, value
    parts = _DIGITS.split(formats.plain(value).casefold())
    return 3, [(int(part) if at % 2 else 0, part) for at, part in enumerate(parts)]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _wants_all(page: int, per_page: int | None, prefix: str) -> bool:
    """Tell whether all rows are wanted, because nobody named a page of them."""
    request = CURRENT.get()
    if request is None:
        return page == 1 and per_page is None
    named = any(request.query.get(prefix + name) for name in ("page", "per_page"))
    return request.wants_twin and not named


def aside(work: Callable[[], T], rows: int) -> T:
    """Do work on many rows in a native thread, so that other requests go on meanwhile.

    :param rows: how many; few are done at once
    """
    if rows <= _MANY or CURRENT.get() is None:
        return work()
    from gevent import get_hub

    from gway.native import in_thread

    return in_thread(get_hub(), work)
