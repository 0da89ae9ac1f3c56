"""Tables and fields as they look on a terminal, however narrow it is.

Columns that hold nothing are left out; texts of several words are wrapped; what still does
not fit becomes a block of lines for each row. Nothing is ever cut off.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from gway.output import Styled, brief, is_numeric

# More columns than this are a block per row: a table would be all line breaks.
MAX_COLUMNS = 10
GAP = 3  # what rich puts between columns of this kind of table
NARROWEST = 12  # a column of words is not made narrower than this
WIDEST = 200
LONG_WORD = 40
FOLDED = 24
DEFAULT_WIDTH = 80

Row = Mapping[str, Any]


def write_table(rows: Sequence[Row], columns: Sequence[str], out: TextIO) -> None:
    """Write rows as a table if they fit, else as blocks."""
    cells = {column: [text_of(row.get(column)) for row in rows] for column in columns}
    filled = [column for column in columns if any(cells[column])] or list(columns)
    width = width_of(out)
    widths = fitted({column: [_words(column), *cells[column]] for column in filled}, width)
    if widths is None or len(filled) > MAX_COLUMNS:
        for number, row in enumerate(rows):
            if number:
                out.write("\n")
            write_fields({column: row.get(column) for column in filled}, out)
        return
    _write_rich(rows, cells, dict(zip(filled, widths, strict=True)), width, out)


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


def fitted(texts: Mapping[str, Sequence[str]], width: int) -> list[int] | None:
    """Give the widths of columns so that all fit; None when words would have to be broken.

    :param texts: of each column, its heading first
    """
    natural: list[int] = []
    least: list[int] = []
    for heading, *cells in texts.values():
        words = max(_length(word) for word in [*heading.split(), ""])
        widest = min(max([_length(heading), *map(_length, cells)]), WIDEST)
        longest = max((_length(word) for cell in cells for word in cell.split()), default=0)
        natural.append(widest)
        widest_cell = max(map(_length, cells), default=0)
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
