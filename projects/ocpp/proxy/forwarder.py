"""Drives the core of the proxy: opens connections, sets timers, brings commands around.

The core (outlet.py) decides, this acts. It runs on the hub of the process that serves
the chargers, and nothing here is waited for by an answer to a charger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from gway.projects.ocpp.proxy.answers import tag_of
from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.line import InTurn, Line
from gway.projects.ocpp.proxy.orders import Orders
from gway.projects.ocpp.proxy.outlet import Outlet
from gway.projects.ocpp.proxy.ports import LinkState, Options, TagWord
from gway.projects.ocpp.proxy.remote import Remote
from gway.projects.ocpp.proxy.store import Store
from gway.projects.ocpp.proxy.wire import Wire

if TYPE_CHECKING:
    from gway.resolver import Gateway

log = logging.getLogger("ocpp.proxy")

AWAY = "the remote is away, and this site passes on no more than it can"


class Now:
    """The clock of the core."""

    def __init__(self, utc: Callable[[], datetime]) -> None:
        self.utc = utc
        self.monotonic = monotonic


class Forwarder:
    """The virtual charge points of one site towards one remote; a :class:`ports.Driver`.

    :param remote: where they connect
    """

    def __init__(self, gateway: Gateway, remote: Remote, options: Options, store: Store) -> None:
        from gevent import get_hub

        from gway.projects.ocpp.csms.central import CentralSystem

        self.remote = remote
        self.options = options
        self.store = store
        self.orders = Orders(gateway.service(CentralSystem))
        self.governor = Governor(total_rate=options.total_rate)
        self.lines: dict[str, Line] = {}
        self.paused = False
        self.closed = False
        self.trusts: Callable[[str], None] | None = None
        self._clock = Now(gateway.now)
        self._hub: Any = get_hub()
        self._chance = Random()
        self._looks: set[str] = set()

    # --- the outlets ---------------------------------------------------------------

    def line(self, charger_id: str) -> Line:
        """Give a charger's line, made at first use."""
        line = self.lines.get(charger_id)
        if line is None:
            line = self.lines[charger_id] = Line(charger_id, self._hub)
            self._furnish(line)
        return line

    def _furnish(self, line: Line) -> None:
        line.furnish(
            Outlet(
                line.charger_id,
                store=InTurn(self.store, line),
                driver=self,
                clock=self._clock,
                governor=self.governor,
                options=self.options,
                chance=self._chance,
            )
        )
        if self.paused or self.closed:
            return
        line.tell(line.outlet.begin)
        if self.orders.is_served(line.charger_id):
            line.tell(line.outlet.charger_online)

    def begin(self, chargers: Iterable[str]) -> None:
        """Go on with what an earlier process left.

        :param chargers: those of which something waits
        """
        for charger_id in chargers:
            self.line(charger_id)

    def meet_all(self) -> None:
        """Bring up the chargers that are connected already."""
        for charger_id in self.orders.connected():
            self.charger_online(charger_id)

    def end(self) -> None:
        """Close all connections; what waits stays in the store."""
        self.closed = True
        for line in self.lines.values():
            line.tell(line.outlet.end)
            line.still()

    def pause(self) -> None:
        """Send nothing more until `resume`; what happens is queued."""
        self.paused = True
        for line in tuple(self.lines.values()):
            line.tell(line.outlet.end)
            line.still()

    def resume(self) -> None:
        """Go on after `pause`."""
        if self.paused:
            self.paused = False
            for line in tuple(self.lines.values()):
                self._furnish(line)

    def hurry(self) -> int:
        """Try at once where a try would come later; give how many lines that were."""
        late = [
            line
            for line in tuple(self.lines.values())
            if line.outlet.state is LinkState.WAITING and not self.paused
        ]
        for line in late:
            line.tell(line.outlet.end)
            line.still()
            self._furnish(line)
        self.look_at_all()
        return len(late)

    def look(self, charger_id: str) -> None:
        """Let an outlet see that something new waits; callable from the loop."""
        self._looks.add(charger_id)
        if len(self._looks) == 1:
            import gevent

            gevent.spawn(self._look)  # one greenlet for all commits of this turn

    def look_at_all(self) -> None:
        """Let all outlets see what waits."""
        for charger_id in tuple(self.lines):
            self.look(charger_id)

    def _look(self) -> None:
        looks, self._looks = self._looks, set()
        for charger_id in looks:
            if charger_id not in self.lines and not self.orders.is_let_in(charger_id):
                continue  # a stranger does not become known to the remote
            line = self.line(charger_id)
            if not self.paused and not self.closed:
                line.tell(line.outlet.look)

    # --- told by the central system --------------------------------------------------

    def charger_online(self, charger_id: str) -> None:
        """Bring up the virtual charge point of a charger that was let in."""
        if charger_id not in self.lines:
            self.line(charger_id)  # sees by itself that the charger is there
        elif not self.paused and not self.closed:
            line = self.lines[charger_id]
            line.tell(line.outlet.charger_online)

    def charger_offline(self, charger_id: str) -> None:
        """Let a virtual charge point know that its charger left, or is not let in any more."""
        line = self.lines.get(charger_id)
        if line is not None and not self.orders.is_served(charger_id):
            line.tell(line.outlet.charger_offline)

    def charger_forgotten(self, charger_id: str) -> None:
        """Have no virtual charge point for a charger any more."""
        line = self.lines.get(charger_id)
        if line is not None:
            line.still()
            line.tell(line.outlet.end)
            line.tell(self._let_go, charger_id)  # only then: the outlet's end needs it

    def _let_go(self, charger_id: str) -> None:
        self.lines.pop(charger_id, None)

    def admits(self, charger_id: str) -> bool:
        """Tell whether a charger may connect; only in mode transparent it may not."""
        if self.options.mode != "transparent" or not self.orders.is_let_in(charger_id):
            return True
        if charger_id not in self.lines and not self.store.latest(charger_id):
            return True  # nobody knows it yet: a stranger's knock must not reach the remote
        outlet = self.line(charger_id).outlet
        if outlet.admits():
            return True
        # It has first to say what the remote wants to hear of it.
        return outlet.state is LinkState.BOOTING and not any(
            one.kind == "Boot" for one in self.store.latest(charger_id)
        )

    def authorize(self, charger_id: str, id_tag: str) -> TagWord | None:
        """Ask the remote about a tag for at most `authorize_s`; blocks its greenlet."""
        from gevent.event import AsyncResult

        line = self.lines.get(charger_id)
        if line is None or line.outlet.state is not LinkState.ONLINE:
            return None
        answer: Any = AsyncResult()
        line.tell(line.outlet.authorize, id_tag, answer.set)
        word: TagWord | None = answer.wait(timeout=self.options.authorize_s)
        return word

    # --- asked by the core -------------------------------------------------------------

    def connect(self, charger_id: str, connection: int) -> None:
        """Open a connection."""
        line = self.lines[charger_id]
        outlet = line.outlet
        wire = Wire(
            self.remote.target(charger_id),
            opened=partial(line.tell, outlet.connected, connection),
            refused=partial(line.tell, outlet.refused, connection),
            heard=partial(line.tell, outlet.received, connection),
            ended=partial(line.tell, outlet.lost, connection),
        )
        line.wire, line.number = wire, connection
        wire.start()

    def send(self, charger_id: str, connection: int, text: bytes) -> None:
        """Send a frame."""
        line = self.lines[charger_id]
        if line.wire is not None and line.number == connection:
            line.wire.send(text)

    def close(self, charger_id: str, connection: int, why: str) -> None:
        """Close a connection, or give up opening it."""
        line = self.lines[charger_id]
        if line.wire is not None and line.number == connection:
            line.wire.close(why)

    def wake(self, charger_id: str, at: float) -> None:
        """Let an outlet look at the clock at a time of it."""
        if not self.closed and not self.paused:
            self.lines[charger_id].wake(at - monotonic())

    def command(self, charger_id: str, token: int, action: str, payload: bytes) -> None:
        """Bring a command to the charger."""
        import gevent

        gevent.spawn(self._command, self.lines[charger_id], token, action, payload)

    def _command(self, line: Line, token: int, action: str, payload: bytes) -> None:
        outlet = line.outlet
        if action == "RemoteStartTransaction" and self.trusts is not None:
            id_tag = tag_of(payload)
            if id_tag:
                self.trusts(id_tag)  # with AuthorizeRemoteTxRequests off nobody asks again
        answer = self.orders.carry_out(line.charger_id, action, payload)
        line.tell(outlet.command_answered, token, answer)

    def drop_charger(self, charger_id: str, why: str) -> None:
        """Close a charger's own connection to us."""
        self.orders.drop(charger_id, why or AWAY)
