"""What verbs return, as tables for people and as JSON, CSV or HTML for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO, cast

from gway.errors import UsageError
from gway.redaction import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    class Advance(Protocol):
        def __call__(self, done: float, text: str = "") -> None: ...


Format = Literal["text", "json", "csv", "html"]
Row = Mapping[str, Any]

# A spreadsheet runs a cell that begins with one of these as a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Styled(str):
    """A text of our own, with escape sequences that are meant for the terminal; or a coloured one.

    :param text: the text
    :param style: its colour in tables and fields on a terminal, as rich names it, such as
        "red" or "bold green"; the text is data then, and has no escape sequences
    """

    style: str

    def __new__(cls, text: str, style: str = "") -> Styled:
        styled = super().__new__(cls, text)
        styled.style = style
        return styled


def show(value: Any, format: Format = "text", out: TextIO | None = None) -> None:
    """Write a verb's result; None and objects that are no data write nothing.

    :param value: text, number, mapping, sequence of those, struct, dataclass, page, generator
    """
    out = out or sys.stdout
    if value is None:
        return
    if format != "text" and out.isatty():
        out = cast("TextIO", _Harmless(out))
    if hasattr(value, "to_json") and isinstance(value, str):
        _show_page(value, format, out)
    elif format == "html":
        raise UsageError("this result is no page", "use --json or --csv")
    elif isinstance(value, Iterator):
        _show_stream(value, format, out)
    elif is_data(value):
        {"json": _show_json, "csv": _show_csv, "text": _show_text}[format](value, out)


class _Harmless:
    """A terminal that is shown a form for programs: nothing in it drives the terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.flush = out.flush
        self.isatty = out.isatty

    def write(self, text: str) -> int:
        lines = text.replace("\r\n", "\n").split("\n")
        return self._out.write("\n".join(map(one_line, lines)))


def is_data(value: Any) -> bool:
    """Say whether a value is something to show, and not an object to work with."""
    plain = (str, int, float, bytes, Mapping, Sequence, set, frozenset, date, Path, Enum)
    return isinstance(value, plain) or fields_of(value) is not None


def fields_of(value: Any) -> dict[str, Any] | None:
    """Give the fields of a mapping, a struct, a dataclass or a named tuple, else None."""
    if isinstance(value, Mapping):
        return {one_line(str(key)): each for key, each in value.items()}
    if isinstance(value, type):
        return None
    names: Iterable[str] | None = getattr(value, "__struct_fields__", None)
    if names is None:
        names = getattr(value, "__dataclass_fields__", None)
    if names is None and isinstance(value, tuple):
        names = getattr(value, "_fields", None)
    return None if names is None else {name: getattr(value, name) for name in names}


def cell(value: Any) -> str:
    """Give a value as one line of text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return cell(value.value)
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, datetime):
        text = value.isoformat(timespec="milliseconds" if value.microsecond else "seconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, bytes):
        return one_line(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, (list, tuple, set, frozenset)) and fields_of(value) is None:
        return ", ".join(cell(each) for each in value)
    if fields_of(value) is not None:
        return one_line(to_json(value, indent=0))
    return one_line(str(value))


def brief(value: Any) -> str:
    """Give a value as a person reads it in a table: what is nested is counted, or one line."""
    if isinstance(value, (list, tuple, set, frozenset)) and fields_of(value) is None:
        if any(_is_nested(each) for each in value):
            return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
        return cell(value)
    named = fields_of(value)
    if named is None or any(_is_nested(each) for each in named.values()):
        return cell(value)
    return ", ".join(f"{key}={cell(each)}" for key, each in named.items())


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) or fields_of(value) is not None


def to_json(value: Any, indent: int = 2) -> str:
    """Give a value as JSON; times, enums, paths, structs and dataclasses included."""
    from gway.web.formats import to_json as encode

    return encode(value, indent=indent)


# --- one format each ---------------------------------------------------------


def _show_page(page: Any, format: Format, out: TextIO) -> None:
    texts: dict[Format, Callable[[], str]] = {
        "json": page.to_json,
        "csv": page.to_csv,
        "html": page.__str__,
    }
    if format != "text":
        text = texts[format]()
        out.write(text if text.endswith("\n") else text + "\n")
        return
    rows = getattr(page, "rows", None)
    if page.data:
        _show_text(dict(page.data), out)
    if page.data and rows:
        out.write("\n")
    if rows:
        _write_table([dict(row) for row in rows], list(page.columns), out)
    elif rows is not None and not page.data:
        print(f"{page.title or 'no rows'}: nothing yet", file=sys.stderr)


def _show_json(value: Any, out: TextIO) -> None:
    out.write(to_json(value) + "\n")


def _show_csv(value: Any, out: TextIO) -> None:
    import csv

    rows = rows_of(value)
    writer = csv.writer(out, lineterminator="\n")
    columns = columns_of(rows)
    writer.writerow(columns)
    writer.writerows([csv_cell(row.get(column)) for column in columns] for row in rows)


def _show_text(value: Any, out: TextIO) -> None:
    if isinstance(value, str):
        lines = value.split("\n")
        ours = isinstance(value, Styled) and not value.style
        text = value if ours else "\n".join(map(one_line, lines))
        out.write(text if text.endswith("\n") else text + "\n")
        return
    if isinstance(value, (list, tuple, set, frozenset)) and fields_of(value) is None:
        items = list(value)
        if items and all(fields_of(each) is not None for each in items):
            rows = rows_of(items)
            _write_table(rows, columns_of(rows), out)
        elif not items and is_terminal(out):
            out.write("none\n")  # a person would wonder about silence; a program counts lines
        else:
            out.writelines(cell(each) + "\n" for each in items)
        return
    named = fields_of(value)
    if named is None:
        out.write(cell(value) + "\n")
        return
    _show_named(named, out)


def _show_named(named: Mapping[str, Any], out: TextIO) -> None:
    """Write what is single, then each table below it; on a terminal also tables in what is named.

    A program that reads lines finds each value on one line, whatever is in it.
    """
    below = {key: each for key, each in named.items() if _is_table(each)}
    if is_terminal(out):
        below |= {key: each for key, each in named.items() if _holds_table(each)}
    _write_fields({key: each for key, each in named.items() if key not in below}, out)
    for key, each in below.items():
        out.write(f"\n{_bold(key.replace('_', ' '), out)}\n")
        if _is_table(each):
            rows = rows_of(each)
            _write_table(rows, columns_of(rows), out)
        else:
            _show_named(fields_of(each) or {}, out)


def _holds_table(value: Any) -> bool:
    named = fields_of(value)
    return named is not None and any(_is_table(each) for each in named.values())


def _bold(text: str, out: TextIO) -> str:
    from gway.screen import bold

    return bold(text, out)


def _is_table(value: Any) -> bool:
    """Say whether a value is rows, which a person wants to see below what is single."""
    if not isinstance(value, (list, tuple)) or fields_of(value) is not None:
        return False
    return bool(value) and all(fields_of(each) is not None for each in value)


def _write_fields(named: Mapping[str, Any], out: TextIO) -> None:
    if is_terminal(out):
        from gway.screen import write_fields

        write_fields(named, out)
        return
    width = max(map(len, named), default=0)
    out.writelines(f"{key.ljust(width)}  {brief(each)}\n" for key, each in named.items())


def _show_stream(items: Iterator[Any], format: Format, out: TextIO) -> None:
    """Write the items of a generator as they come; JSON is one array in the end."""
    import csv

    columns: list[str] | None = None
    writer = csv.writer(out, lineterminator="\n")
    count = 0
    try:
        for item in items:
            count += 1
            if format == "json":
                out.write(("[\n" if count == 1 else ",\n") + to_json(item, indent=0))
            elif format == "csv":
                row = fields_of(item) or {"value": item}
                if columns is None:
                    columns = list(row)
                    writer.writerow(columns)
                writer.writerow([csv_cell(row.get(column)) for column in columns])
            else:
                if count > 1 and fields_of(item) is not None:
                    out.write("\n")  # else nobody sees where one ends
                _show_text(item, out)
            out.flush()
    finally:
        if isinstance(items, Generator):
            items.close()
        if format == "json":
            out.write("\n]\n" if count else "[]\n")


# --- rows and tables ---------------------------------------------------------


def rows_of(value: Any) -> list[dict[str, Any]]:
    """Give a value as rows of a table."""
    if isinstance(value, (list, tuple, set, frozenset)) and fields_of(value) is None:
        return [fields_of(each) or {"value": each} for each in value]
    named = fields_of(value)
    return [{"value": value}] if named is None else [named]


def columns_of(rows: Sequence[Row]) -> list[str]:
    """List the columns of all rows, in the order they appear."""
    return list(dict.fromkeys(key for row in rows for key in row))


def csv_cell(value: Any) -> str:
    """Give a value as CSV has it."""
    return spreadsheet_safe(value) if isinstance(value, str) else cell(value)


def spreadsheet_safe(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run; numbers stay."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not _is_number(text) else text


def is_terminal(out: TextIO) -> bool:
    """Say whether a person looks at this."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _write_table(rows: Sequence[Row], columns: list[str], out: TextIO) -> None:
    if is_terminal(out):
        from gway.screen import write_table

        write_table(rows, columns, out)
        return
    lines = [columns, *([brief(row.get(column)) for column in columns] for row in rows)]
    right = [is_numeric(rows, column) for column in columns]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        texts = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        )
        out.write("  ".join(texts).rstrip() + "\n")


def is_numeric(rows: Sequence[Row], column: str) -> bool:
    """Say whether a column holds numbers, which are aligned at their end."""
    values = [row.get(column) for row in rows if row.get(column) is not None]
    return bool(values) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
    )


# --- progress ----------------------------------------------------------------


@contextmanager
def progress(label: str, total: float | None = None) -> Iterator[Advance]:
    """Show how far something is, on a terminal only; call what you get with (done, text).

    :param total: what `done` is when all is done; None when nobody knows
    """
    if not is_terminal(sys.stderr):

        def ignore(done: float, text: str = "") -> None:
            pass

        yield ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task(label, total=total, text="")

        def advance(done: float, text: str = "") -> None:
            bar.update(task, completed=done, text=text)

        yield advance
