"""Chargers followed in a terminal: a table that renews itself, or lines where nobody looks.

It asks the running server as `chargers` does, again whenever the server's events tell
of a change, and now and then without: an event may be lost, a duration never is one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from gway.errors import GwayError
from gway.output import Styled, is_terminal
from gway.projects.ocpp.csms import terminal
from gway.redaction import one_line

if TYPE_CHECKING:
    from gway.remote import Server
    from gway.resolver import Gateway

Row = dict[str, Any]
Ask = Callable[[], list[Row]]

EVENTS = "/events?topic=ocpp"
GAP_S = 1.0  # between two questions, however much happens
QUIET_S = 5.0  # without an event
AGAIN_S = 2.0  # before a stream of events that broke is asked for again
STREAM_TIMEOUT_S = 60.0  # the server says every 15 s that it is still there
TOLD = ("status", "connectors", "power", "energy", "faults")
AROUND = 7  # lines of a screen that are no chargers
COLUMNS = ("charger_id", "status", "connectors", "power", "energy", "duration", "last_seen")
LEFT_OUT = ("duration", "energy", "power")  # in this order, where a screen is very narrow
LEAST_CONNECTORS = 10  # letters, where an id wants all of a narrow screen


class Stirring:
    """Knows whether something happened at the server since it was asked last.

    :param open_stream: opens the stream of events, to be read line by line
    """

    def __init__(self, open_stream: Callable[[], Any]) -> None:
        self._open = open_stream
        self._happened = threading.Event()
        threading.Thread(target=self._listen, name="events", daemon=True).start()

    def wait(self, timeout_s: float) -> None:
        """Wait until something happens, or for so long."""
        self._happened.wait(timeout_s)
        self._happened.clear()

    def _listen(self) -> None:
        while True:
            try:
                with self._open() as stream:
                    for line in stream:
                        if line.startswith(b"data:"):
                            self._happened.set()
            except (OSError, ValueError, GwayError):
                pass  # the next question says what is wrong, where it is seen
            time.sleep(AGAIN_S)


def events_of(gateway: Gateway, server: Server) -> Callable[[], Any]:
    """Give a function that opens the events of all chargers of a server."""
    from gway import remote

    return lambda: remote.stream(gateway, server, EVENTS, STREAM_TIMEOUT_S)


def follow(ask: Ask, stirring: Stirring, where: str, out: TextIO | None = None) -> None:
    """Show the chargers until somebody stops it.

    :param ask: gives the rows; what it raises at first is raised, later it is shown
    :param where: the server, for the heading
    """
    out = out or sys.stdout
    rows = ask()
    view = Screen(where, out) if is_terminal(out) else Lines(out)
    with view:
        view.show(rows, "")
        while True:
            stirring.wait(QUIET_S)
            try:
                rows, trouble = ask(), ""
            except GwayError as error:
                trouble = error.message
            view.show(rows, trouble)
            time.sleep(GAP_S)


class Lines:
    """Writes a line for each charger that changed."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told: dict[str, str] = {}
        self._trouble = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.flush()

    def show(self, rows: Sequence[Row], trouble: str) -> None:
        """Write what is new."""
        at = datetime.now().astimezone().strftime("%H:%M:%S")
        if trouble != self._trouble:
            self._trouble = trouble
            self._say(f"{at}  {trouble or 'the server answers again'}")
        for row in terminal.chargers(rows):
            words = [str(row[name]) for name in TOLD]
            text = "  ".join(word for word in words if word)
            if self._told.get(row["charger_id"]) != text:
                self._told[row["charger_id"]] = text
                self._say(f"{at}  {row['charger_id']}  {text}")
        for charger_id in self._told.keys() - {row["charger_id"] for row in rows}:
            del self._told[charger_id]
            self._say(f"{at}  {charger_id}  is not listed any more")

    def _say(self, line: str) -> None:
        self._out.write(one_line(line) + "\n")
        self._out.flush()


class Screen:
    """Draws a table on a screen of its own, which leaves the terminal as it was."""

    def __init__(self, where: str, out: TextIO) -> None:
        import os

        from rich.console import Console
        from rich.live import Live

        plain = bool(os.environ.get("NO_COLOR"))
        self._where = where
        self._console = Console(file=out, color_system=None if plain else "auto")
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, rows: Sequence[Row], trouble: str) -> None:
        """Draw the chargers that fit on the screen, those with a fault first."""
        self._live.update(self.drawn(rows, trouble), refresh=True)

    def drawn(self, rows: Sequence[Row], trouble: str) -> Any:
        """Make the picture."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        size = self._console.size
        room = max(1, size.height - AROUND)
        shown = [_line(row) for row in terminal.chargers(rows[:room])]
        table = Table(expand=True, box=None, pad_edge=False, padding=(0, 1, 0, 0))
        wide = _widths(shown, size.width)
        for name, width in wide.items():
            table.add_column(
                _heading(name),
                header_style="bold",
                justify="right" if name in ("power", "energy", "duration") else "left",
                no_wrap=True,
                overflow="ellipsis",
                max_width=width,
            )
        for line in shown:
            table.add_row(*(Text(line[name], line[name].style) for name in wide))
        at = datetime.now().astimezone().strftime("%H:%M:%S")
        head = Text.assemble((f"{len(rows)} chargers", "bold"), f"  {self._where}  {at}")
        more = f"and {len(rows) - room} more" if len(rows) > room else ""
        ends = Text(f"{more}  Ctrl-C ends this".strip(), "dim")
        foot = Text(one_line(trouble), "red") if trouble else ends
        return Group(head, Text(""), table, Text(""), foot)


def _line(row: Row) -> dict[str, Styled]:
    """Make the cells of a charger; a fault stands in the place of its connectors."""
    # rich lets escape sequences through, and chargers write what they like.
    line = {name: Styled(one_line(row[name]), getattr(row[name], "style", "")) for name in COLUMNS}
    if row["faults"]:
        line["connectors"] = Styled(one_line(row["faults"]), "red")
    return line


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _widths(lines: Sequence[Mapping[str, str]], room: int) -> dict[str, int]:
    """Say how wide each column may be: on a narrow screen ids and faults are cut, no status is.

    :param room: of the screen, in letters
    """
    from rich.cells import cell_len

    wide = {
        name: max(cell_len(text) for text in (_heading(name), *(line[name] for line in lines)))
        for name in COLUMNS
    }
    for name in LEFT_OUT:
        if _left(wide, room) < 2 * LEAST_CONNECTORS:
            del wide[name]
    left = _left(wide, room)
    least = min(wide["connectors"], LEAST_CONNECTORS)
    wide["charger_id"] = max(least, min(wide["charger_id"], left - least))
    wide["connectors"] = max(least, min(wide["connectors"], left - wide["charger_id"]))
    return wide


def _left(wide: Mapping[str, int], room: int) -> int:
    """Count the letters that a line has for the two columns that can be cut."""
    others = sum(width for name, width in wide.items() if name not in ("charger_id", "connectors"))
    return room - others - len(wide)
