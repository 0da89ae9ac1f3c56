"""Tables and fields as they look on a terminal, however narrow it is.

Columns that hold nothing are left out and named below; times are short; texts are wrapped, and
long ones end in an ellipsis where the table would not fit otherwise. What still does not fit
becomes a block of lines for each row. A last line says what is not shown as it is.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from gway.output import Styled, brief, is_numeric

GAP = 3  # what rich puts between columns of this kind of table
NARROWEST = 12  # a column of words is not made narrower than this
WIDEST = 200
MOST_LINES = 3  # of a text in a table that is short of room
LONG_WORD = 40
FOLDED = 24
DEFAULT_WIDTH = 80
TIMES_NOTE = "times are UTC"

Row = Mapping[str, Any]


def write_table(rows: Sequence[Row], columns: Sequence[str], out: TextIO) -> None:
    """Write rows as a table if they fit, with texts cut if need be, else as blocks."""
    now = datetime.now(UTC)
    cells = {column: [short_of(row.get(column), now) for row in rows] for column in columns}
    filled = [column for column in columns if any(cells[column])] or list(columns)
    notes = []
    if left_out := [_words(column) for column in columns if column not in filled]:
        notes.append(f"empty and left out: {', '.join(left_out)}")
    width = width_of(out)
    widths = fitted({column: [_words(column), *cells[column]] for column in filled}, width)
    if widths is None:
        widths, was_cut = _cut_to_fit(rows, filled, cells, width)
        notes += ["long texts are cut"] if was_cut else []
    if widths is None:
        for number, row in enumerate(rows):
            if number:
                out.write("\n")
            write_fields({column: row.get(column) for column in filled}, out)
    else:
        _write_rich(rows, cells, dict(zip(filled, widths, strict=True)), width, out)
        if any(_is_time(row.get(column)) for row in rows for column in filled):
            notes.insert(0, TIMES_NOTE)
    _write_notes(notes, width, out)


def _cut_to_fit(
    rows: Sequence[Row], filled: Sequence[str], cells: dict[str, list[str]], width: int
) -> tuple[list[int] | None, bool]:
    """Cut texts in their cells until all columns fit; gives the widths, and whether any was cut.

    The first column stays: it says what a row is about, and is there to be copied.
    """
    soft = [column for column in filled[1:] if _is_soft(rows, column)]
    texts = {column: [_words(column), *cells[column]] for column in filled}
    widths = fitted(texts, width, soft)
    was_cut = False
    for column, wide in zip(filled, widths or (), strict=False):
        if column in soft:
            cut = [shortened(text, wide) for text in cells[column]]
            was_cut |= any(
                len(short) < len(text) for short, text in zip(cut, cells[column], strict=True)
            )
            cells[column] = cut
    return widths, was_cut


def _write_notes(notes: Sequence[str], width: int, out: TextIO) -> None:
    if not notes:
        return
    hint = "" if list(notes) == [TIMES_NOTE] else " (--json has all)"
    for line in textwrap.wrap("; ".join(notes) + hint, width):
        out.write(coloured(line, "dim", out) + "\n")


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _is_soft(rows: Sequence[Row], column: str) -> bool:
    """Say whether a column holds texts, which may be cut; numbers and times may not."""
    hard = any(isinstance(row.get(column), datetime) for row in rows)
    return not hard and not is_numeric(rows, column)


def short_of(value: Any, now: datetime) -> str:
    """Give a value as a table has it: of today the time of day, else date and minute, in UTC."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        return text_of(value)
    value = value.astimezone(UTC)
    return f"{value:%H:%M:%S}" if value.date() == now.date() else f"{value:%Y-%m-%d %H:%M}"


def shortened(text: str, width: int) -> str:
    """Give as much of a text as a few lines of this width hold, with an ellipsis for the rest."""
    lines = textwrap.wrap(text, width, break_on_hyphens=False)
    if len(lines) <= MOST_LINES:
        return "\n".join(lines)
    last = lines[MOST_LINES - 1][: width - 1]
    return "\n".join([*lines[: MOST_LINES - 1], f"{last}…"])


def write_fields(named: Mapping[str, Any], out: TextIO) -> None:
    """Write names and values, one below the other; long values go on below their beginning."""
    left = max(map(len, named), default=0)
    room = width_of(out) - left - 2
    for key, value in named.items():
        text = text_of(value)
        lines = [text]
        if room >= NARROWEST and len(text) > room:
            lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        first = lines[0]
        if isinstance(value, Styled) and value.style:
            first = coloured(first, value.style, out)
        out.write(f"{bold(key.ljust(left), out)}  {first}".rstrip() + "\n")
        out.writelines(f"{'':{left + 2}}{line}\n" for line in lines[1:])


def text_of(value: Any) -> str:
    """Give a value as a person reads it: times to the second, what is nested in short."""
    if isinstance(value, datetime):
        value = value.replace(microsecond=0)
    text = brief(value)
    # A long list without a space could not be wrapped.
    return text.replace(",", ", ") if len(text) > LONG_WORD and " " not in text else text


def fitted(
    texts: Mapping[str, Sequence[str]], width: int, soft: Sequence[str] = ()
) -> list[int] | None:
    """Give the widths of columns so that all fit; None when words would have to be broken.

    :param texts: of each column, its heading first
    :param soft: columns whose words may be broken
    """
    natural: list[int] = []
    least: list[int] = []
    for column, (heading, *cells) in texts.items():
        words = max(_length(word) for word in [*heading.split(), ""])
        widest = min(max([_length(heading), *map(_length, cells)]), WIDEST)
        longest = max((_length(word) for cell in cells for word in cell.split()), default=0)
        natural.append(widest)
        widest_cell = max(map(_length, cells), default=0)
        if column in soft:
            longest = min(longest, NARROWEST)
        least.append(max(words, longest, min(widest_cell, NARROWEST)))
    room = width - GAP * (len(natural) - 1)
    if sum(least) > room:
        least[-1] = min(least[-1], FOLDED)  # a long word at the end may go on below itself
    if sum(least) > room:
        return None
    while sum(natural) > room:
        at = max(range(len(natural)), key=lambda index: natural[index] - least[index])
        natural[at] -= 1
    return natural


def width_of(out: TextIO) -> int:
    """Give the number of columns of a terminal."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(out.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):
        return DEFAULT_WIDTH


def bold(text: str, out: TextIO) -> str:
    """Make a text stand out where that can be seen."""
    if out.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR"):
        return f"\x1b[1m{text}\x1b[0m"
    return text


def coloured(text: str, style: str, out: TextIO) -> str:
    """Give a text a style as rich names it, where that can be seen."""
    from rich.style import Style

    return Style.parse(style).render(text) if bold("", out) else text


def _write_rich(
    rows: Sequence[Row],
    cells: Mapping[str, Sequence[str]],
    widths: Mapping[str, int],
    width: int,
    out: TextIO,
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(file=out, width=width, color_system=None if plain else "auto")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column, wide in widths.items():
        right = is_numeric(rows, column)
        table.add_column(
            _words(column), justify="right" if right else "left", width=wide, overflow="fold"
        )
    for number in range(len(rows)):
        # Text, not str: brackets in data are no markup.
        table.add_row(
            *(
                Text(cells[column][number], style=getattr(rows[number].get(column), "style", ""))
                for column in widths
            )
        )
    console.print(table)


def _words(column: str) -> str:
    return column.replace("_", " ")


def _length(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
