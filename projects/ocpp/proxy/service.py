"""The proxy of one gateway: none, until it is told of a remote."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gway.errors import GwayError
from gway.native import is_patched
from gway.projects.ocpp.database import DATABASE
from gway.projects.ocpp.proxy.desk import Desk, age_s
from gway.projects.ocpp.proxy.hooks import Subscription
from gway.projects.ocpp.proxy.intake import Intake
from gway.projects.ocpp.proxy.options import ALARM
from gway.projects.ocpp.proxy.ports import LinkState, Options
from gway.projects.ocpp.proxy.remote import Remote
from gway.projects.ocpp.proxy.store import open_store
from gway.projects.ocpp.proxy.thinning import percent_used
from gway.projects.sql.sql import Databases

if TYPE_CHECKING:
    from gway.projects.ocpp.proxy.forwarder import Forwarder
    from gway.projects.ocpp.proxy.line import Line
    from gway.resolver import Gateway

log = logging.getLogger("ocpp.proxy")

DISK_ALARM_PERCENT = 80.0
NO_REMOTE = "this server has no remote"

Row = dict[str, Any]


class Proxy:
    """Everything of the proxy in one process; a service."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.forwarder: Forwarder | None = None
        self.web = ""
        self._desk: Desk | None = None
        self._serving = False

    # --- set up ----------------------------------------------------------------------

    def forward(
        self,
        remote: Remote,
        options: Options,
        *,
        keep_queue: bool = False,
        also: frozenset[str] = frozenset(),
        web: str = "",
    ) -> None:
        """Forward to a remote from now on.

        Errors: GwayError when messages wait for another remote, or nothing serves here.
        """
        if not is_patched():
            raise GwayError(
                "the proxy runs in the process that serves the chargers",
                "set it up in a recipe before `web server start-app`",
            )
        from gway.projects.ocpp.proxy.forwarder import Forwarder

        gateway = self._gateway
        database = gateway.service(Databases).open(str(gateway.settings.get(DATABASE)))
        store = open_store(database, remote.url, keep_queue=keep_queue)
        if web:  # a GWAY: it knows again what it was told (P11)
            options = replace(options, remote_deduplicates=True)
        if self.forwarder is not None:
            self.forwarder.end()
        if remote.in_the_clear:
            log.warning("the passwords for %s travel in the clear: use wss://", remote.url)
        self.forwarder = Forwarder(gateway, remote, options, store)
        self._desk = Desk(store)
        self.web = web
        intake = Intake(store, also)
        intake.told = self.forwarder.look
        intake.forgotten = self.forwarder.charger_forgotten
        intake.admits = self.forwarder.orders.is_let_in
        intake.ask = self.forwarder.authorize
        self.forwarder.trusts = intake.trust
        store.settled = partial(self._settled, intake)
        gateway.service(Subscription).intake = intake
        if self._serving:
            self.began()

    def began(self) -> None:
        """Go on with what waits: the server listens."""
        self._serving = True
        if self.forwarder is not None and self._desk is not None:
            self.forwarder.begin(self._desk.waiting())
            self.forwarder.meet_all()
            store = self.forwarder.store
            for charger_id in tuple(store.leaving):
                store.settled(charger_id)

    def close(self) -> None:
        """Close the connections; what waits is kept."""
        if self.forwarder is not None:
            self.forwarder.end()

    # --- seen ------------------------------------------------------------------------

    @property
    def running(self) -> Forwarder:
        """The forwarder; an error when there is no remote."""
        if self.forwarder is None:
            raise GwayError(NO_REMOTE, "give one with `ocpp.proxy forward --remote ws://...`")
        return self.forwarder

    @property
    def desk(self) -> Desk:
        """What the operator does with the queue; an error when there is no remote."""
        if self._desk is None:
            raise GwayError(NO_REMOTE, "give one with `ocpp.proxy forward --remote ws://...`")
        return self._desk

    def status(self) -> Row:
        """Tell how it stands: the remote, what waits, alarms, and a row for each charger."""
        if self.forwarder is None or self._desk is None:
            return {"remote": "", "link": "none", "pending": 0, "chargers": [], "alarms": []}
        forwarder = self.forwarder
        now = self._gateway.now()
        waiting, dead, duplicates, sessions = self._desk.figures()
        names = sorted({*forwarder.lines, *waiting, *dead, *sessions, *duplicates})
        chargers = [
            {
                "charger_id": name,
                "connected": forwarder.orders.is_connected(name),
                **_line_row(forwarder.lines.get(name)),
                "pending": waiting.get(name, {}).get("pending", 0),
                "oldest_age_s": age_s(waiting.get(name, {}).get("oldest_at"), now),
                "dead": dead.get(name, 0),
                "possible_duplicates": duplicates.get(name, 0),
                "sessions": [
                    {"local_tx": one["transaction_id"], "remote_tx": one["remote_tx"]}
                    for one in sessions.get(name, ())
                ],
            }
            for name in names
        ]
        oldest = max((row["oldest_age_s"] or 0.0 for row in chargers), default=0.0)
        disk = self.disk_percent()
        return {
            "remote": forwarder.remote.url,
            "link": self._link(chargers),
            "mode": forwarder.options.mode,
            "read_only": forwarder.options.read_only,
            "pending": sum(row["pending"] for row in chargers),
            "oldest_age_s": oldest,
            "dead": sum(row["dead"] for row in chargers),
            "possible_duplicates": sum(row["possible_duplicates"] for row in chargers),
            "disk_percent": disk,
            "alarms": self._alarms(oldest, disk, sum(row["dead"] for row in chargers)),
            "chargers": chargers,
        }

    def _link(self, chargers: list[Row]) -> str:
        """Put the links of all chargers into one word."""
        forwarder = self.running
        if forwarder.paused:
            return "paused"
        states = {row["link"] for row in chargers}
        for state in (LinkState.ONLINE, LinkState.BOOTING, LinkState.CONNECTING, LinkState.WAITING):
            if state in states:
                return "away" if state is LinkState.WAITING else str(state)
        return "idle"

    def _alarms(self, oldest_s: float, disk: float, dead: int) -> list[str]:
        """Say in sentences what the operator should not overlook."""
        found = []
        limit_s = float(self._gateway.settings.get(ALARM))
        if oldest_s > limit_s:
            waited = _duration(oldest_s)
            found.append(f"A message has waited for {waited}: the remote is away, or refuses it.")
        if disk > DISK_ALARM_PERCENT:
            found.append(f"The disk is {disk:.0f} % full: what waits needs room on it.")
        if dead:
            messages = "a message" if dead == 1 else f"{dead} messages"
            found.append(f"The remote does not have {messages}: see the dead letters.")
        return found

    def disk_percent(self) -> float:
        """Tell how full the disk of the database is."""
        return round(percent_used(self.running.store.database.path.parent), 1)

    # --- told ------------------------------------------------------------------------

    def charger_came(self, charger_id: str) -> None:
        """Bring up a virtual charge point for a charger that was let in.

        One that is let in no more is away for the remote, which commands it no more.
        """
        forwarder = self.forwarder
        if forwarder is None:
            return
        if forwarder.orders.is_served(charger_id):
            forwarder.store.stays(charger_id)
            forwarder.charger_online(charger_id)
        else:
            forwarder.charger_offline(charger_id)

    @staticmethod
    def _settled(intake: Intake, charger_id: str) -> None:
        """Forget a charger that is to be forgotten, if now all of it is told.

        In a greenlet: the loop says so, which must not wait for the writer.
        """
        import gevent

        gevent.spawn(intake.forget_if_told, charger_id)

    def charger_left(self, charger_id: str) -> None:
        """Let the remote know by and by that a charger is away."""
        if self.forwarder is not None:
            self.forwarder.charger_offline(charger_id)


def _line_row(line: Line | None) -> Row:
    """Show the connection of one charger."""
    if line is None:
        return {"link": str(LinkState.IDLE), "last_error": "", "in_flight": "", "skew_s": None}
    outlet = line.outlet
    flight = outlet.in_flight
    is_well = outlet.state in (LinkState.ONLINE, LinkState.IDLE)
    return {
        "link": str(outlet.state),
        "last_error": "" if is_well else outlet.last_error,
        "in_flight": flight.action if flight is not None else "",
        "skew_s": None if outlet.skew_s is None else round(outlet.skew_s, 1) + 0.0,
    }


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min"
