"""The central system: all chargers of this process, and what they share."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from gway.errors import DecisionFailed, GwayError, UnknownName, did_you_mean
from gway.projects.ocpp.csms import readmodel
from gway.projects.ocpp.csms.charger import PENDING, REJECTED, Charger, Registration
from gway.projects.ocpp.csms.commands import Commands
from gway.projects.ocpp.csms.configuration import Configuration
from gway.projects.ocpp.csms.decisions import Decisions
from gway.projects.ocpp.csms.door import Door
from gway.projects.ocpp.csms.effects import Event
from gway.projects.ocpp.csms.framelog import FrameLog
from gway.projects.ocpp.csms.handlers import Handlers
from gway.projects.ocpp.csms.money import StorageGate
from gway.projects.ocpp.csms.options import Options
from gway.projects.ocpp.csms.powers import PowerTraces
from gway.projects.ocpp.csms.runtime import Flag, GeventRuntime, Runtime
from gway.projects.ocpp.csms.session import Session
from gway.projects.ocpp.csms.shared import Shared
from gway.projects.ocpp.csms.topics import Teller
from gway.projects.ocpp.facts import (
    ChargerMemory,
    Link,
    Transaction,
)
from gway.projects.ocpp.transactions.ledger import Ledger
from gway.projects.ocpp.transactions.rules import Why
from gway.projects.ocpp.transactions.words import Closing, Recall
from gway.web.sse import Events

if TYPE_CHECKING:
    from gway.resolver import Gateway
    from gway.web.ws import Accept, Connection, Refuse, Upgrade

log = logging.getLogger("ocpp.csms")

Item = tuple[Session, bytes | None]
TELL_SEEN_EVERY = timedelta(seconds=10)
KEPT_AWAY = 10_000  # chargers that are not connected but stay in memory
BROUGHT_AT_ONCE = 200  # chargers that come from the store before others have their turn
RECALL_TURN_S = 1.0
COMPARED = 500  # chargers among which a misspelt id is looked for
GOING_AWAY = 1001
OUR_COMPLAINTS = frozenset({1002, 1003, 1007, 1009, 1011})  # what the peer did to be closed
POLICY = 1008


class Counters:
    """What was counted since the start."""

    __slots__ = (
        "junk",
        "long_ids",
        "received",
        "refused",
        "repeated",
        "replaced",
        "sent",
        "unsolicited",
    )

    def __init__(self) -> None:
        self.received = self.sent = self.junk = self.refused = 0
        self.repeated = self.replaced = self.long_ids = self.unsolicited = 0

    def as_dict(self) -> dict[str, int]:
        """Give all counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class CentralSystem:
    """Serves the chargers of one gateway.

    It stores nothing: it tells facts and asks for decisions, and answers a money
    message when those who keep it say that it is on disk.
    """

    def __init__(self, gateway: Gateway, runtime: Runtime[Item] | None = None) -> None:
        self.gateway = gateway
        self.plugins = gateway.plugins
        self.emit = self.plugins.emit
        self.tells = self.plugins.has
        self.now = gateway.now
        self.options = Options.read(gateway.settings)
        self.runtime: Runtime[Item] = runtime or GeventRuntime(self.serve)
        self.decisions = Decisions(self)
        self.gate = StorageGate(
            self.decisions.store_ready, self.runtime.clock, self.options.store_retry_s
        )
        self.chargers: dict[str, Charger] = {}
        self.counters = Counters()
        self.frames = FrameLog()
        self.commands = Commands(self)
        self.handlers = Handlers(self)
        self.door = Door(self)
        self.closing = False
        self.powers = PowerTraces()
        self.shared = Shared(self.runtime.clock, self.runtime.flag)
        self.teller = Teller(gateway.service(Events), self.runtime.later, self.runtime.clock)
        self._link_ids = itertools.count(1)
        ask = self.decisions
        self._recall = Recall(ask.recall_transaction, ask.recall_start, ask.recall_stop)
        self._recalled_all = False
        self._recalling: Flag | None = None
        self._sessions = 0

    def close(self) -> None:
        """Answer what is under way, close all connections, and tell that they ended."""
        if self.closing:
            return
        self.closing = True
        deadline = self.runtime.clock() + self.options.drain_s
        self._wait_while(self._under_way, deadline)
        for charger in tuple(self.chargers.values()):
            if charger.session is not None:
                charger.session.connection.close(GOING_AWAY, "the central system stops")
        self._wait_while(lambda: self._sessions > 0, deadline + 1)

    def _wait_while(self, condition: Callable[[], bool], deadline: float) -> None:
        pause = self.runtime.flag()
        while condition() and self.runtime.clock() < deadline:
            pause.wait(0.01)

    def _under_way(self) -> bool:
        return any(one.busy or one.settling or one.backlog for one in self.chargers.values())

    # --- connections ----------------------------------------------------------

    def connect(self, upgrade: Upgrade) -> Accept | Refuse:
        """Answer a handshake."""
        return self.door.answer(upgrade)

    def charger(self, charger_id: str) -> Charger:
        """Give a charger, with what the store remembers of it when it is new here."""
        charger = self.chargers.get(charger_id)
        if charger is None or charger.ledger is None:
            memory: ChargerMemory | None = self.plugins.decide(
                "ocpp_recall_charger", charger_id=charger_id
            )
            charger = self.chargers.get(charger_id)  # another handshake may have been faster
            if charger is None:
                charger = self.chargers[charger_id] = Charger(charger_id)
            if charger.ledger is None:
                charger.remember(memory)
                held = memory.open_transactions if memory is not None else ()
                charger.ledger = Ledger(charger_id, held, self._recall)
        return charger

    def ledger(self, charger: Charger) -> Ledger:
        """Give the transactions of a charger; asks the store after a failure of it."""
        ledger = charger.ledger
        if ledger is None:
            ledger = charger.ledger = self.charger(charger.charger_id).ledger
        assert ledger is not None
        return ledger

    def configuration(self, charger: Charger) -> Configuration:
        """Give what a charger told of its configuration; the first time the store is asked.

        What the store could not tell is asked again at the next time.
        """
        if charger.configuration is None:
            try:
                kept = self.decisions.recall_configuration(charger.charger_id)
            except DecisionFailed:
                return Configuration()
            charger.configuration = charger.configuration or Configuration(kept)
        return charger.configuration

    def opened(
        self,
        charger: Charger,
        connection: Connection,
        subprotocol: str,
        registration: Registration,
    ) -> None:
        """Take over an open connection; it replaces the one that the charger had."""
        at = self.now()
        charger = self.chargers.setdefault(charger.charger_id, charger)
        link = Link(
            link_id=next(self._link_ids),
            charger_id=charger.charger_id,
            remote_addr=connection.remote_addr,
            subprotocol=subprotocol,
            connected_at=at,
        )
        session = Session(self, charger, connection, link)
        connection.on_text = session.on_text
        connection.on_close = session.on_close
        self._sessions += 1
        if charger.ping_interval_s is not None:
            connection.ping_interval_s = charger.ping_interval_s
        # What an operator rejected stays so; an accepted charger may skip the Boot (SPEC-J 5.4).
        if charger.registration != REJECTED and PENDING in (registration, charger.registration):
            charger.registration = registration
        old, charger.session = charger.session, session
        charger.last_at = at
        if old is not None:
            self.counters.replaced += 1
            old.connection.close(POLICY, "replaced")
        self.door.refused.remove(charger.charger_id)
        log.info("%s: connection %d from %s", charger.charger_id, link.link_id, link.remote_addr)
        self.emit("ocpp_charger_connected", link=link, at=at)
        self.commands.pump(charger)
        self.changed(charger, "connected")

    def left(self, session: Session) -> None:
        """Clean up after a connection, whoever holds its charger's id now."""
        charger = session.charger
        self._sessions -= 1
        code, reason = session.ended or (1006, "")
        log.log(
            logging.WARNING if code in OUR_COMPLAINTS else logging.INFO,
            "%s: connection %d from %s ended with %d %s",
            charger.charger_id,
            session.link.link_id,
            session.link.remote_addr,
            code,
            reason,
        )
        self.commands.connection_lost(session)
        session.answers = None
        at = self.now()
        self.emit("ocpp_charger_disconnected", link=session.link, code=code, reason=reason, at=at)
        self.changed(charger, "disconnected")
        self.drop_stranger(charger.charger_id)
        # What is being recalled may be older than what a charger did since: none is dropped now.
        if charger.session is None and len(self.chargers) > KEPT_AWAY and self._recalling is None:
            self._drop_away()

    def drop_stranger(self, charger_id: str) -> None:
        """Forget a charger that never said anything worth remembering."""
        charger = self.chargers.get(charger_id)
        if charger is not None and charger.session is None and not charger.spoke:
            del self.chargers[charger_id]
            self.frames.forget(charger_id)

    def _drop_away(self) -> None:
        for charger_id, charger in tuple(self.chargers.items()):
            if charger.session is None and not charger.settling and not charger.busy:
                del self.chargers[charger_id]
                self.frames.forget(charger_id)
                return

    # --- work -----------------------------------------------------------------

    def serve(self, item: Item) -> None:
        """Serve a message, and what came for the same charger while that took its time."""
        session, data = item
        charger = session.charger
        if charger.busy or charger.held:
            if charger.backlog is None:
                charger.backlog = deque()
            charger.backlog.append(item)
            return
        charger.busy = True
        try:
            session.take(data)
            if charger.backlog is not None:
                self._drain(charger)
        finally:
            charger.busy = False

    def _drain(self, charger: Charger) -> None:
        backlog = charger.backlog
        while backlog and not charger.held:
            session, data = backlog.popleft()
            try:
                session.take(data)
            except Exception:
                log.exception("%s: a message could not be served", charger.charger_id)
        if not backlog:
            charger.backlog = None

    def release(self, charger: Charger) -> None:
        """Serve a charger again whose money message was held; callable from the loop."""
        charger.held -= 1
        if not charger.held and charger.backlog:
            self.runtime.spawn(partial(self._resume, charger))

    def _resume(self, charger: Charger) -> None:
        if not charger.busy:
            charger.busy = True
            try:
                self._drain(charger)
            finally:
                charger.busy = False

    # --- facts ----------------------------------------------------------------

    def seen(self, charger: Charger, at: datetime) -> None:
        """Tell now and then that a charger spoke, with its clock if it told that too."""
        told_at = charger.told_at
        if told_at is None or at - told_at >= TELL_SEEN_EVERY:
            charger.told_at = at
            time = charger.clock_time if charger.clocked_at is at else None
            self.emit("ocpp_charger_seen", charger_id=charger.charger_id, charger_time=time, at=at)

    def observe(self, charger: Charger, event: Event, at: datetime) -> None:
        """See whether this is the effect of a command; a failure of it changes no answer."""
        try:
            self.commands.observe(charger, event, at)
        except Exception:
            log.exception("%s: effects of commands were not found", charger.charger_id)

    def tell_closed(self, closing: Closing, at: datetime) -> None:
        """Tell that a transaction was closed without its charger's word."""
        self.powers.drop(closing.transaction.transaction_id)
        self.emit(
            "ocpp_transaction_closed", transaction=closing.transaction, why=str(closing.why), at=at
        )

    def changed(self, charger: Charger, what: str) -> None:
        """Let pages that show this charger know."""
        self.teller.tell(charger.charger_id, what)

    # --- what operators see and do --------------------------------------------

    def list_chargers(self, **wanted: Any) -> list[dict[str, Any]]:
        """List known chargers as `readmodel.list_chargers` does."""
        return readmodel.list_chargers(self, **wanted)

    def snapshot(self, charger_id: str) -> dict[str, Any]:
        """Say everything about one charger; an error names one that is not known."""
        return readmodel.snapshot(self, self.known(charger_id))

    def known(self, charger_id: str) -> Charger:
        """Give a charger that is known here or to the store; an error names it."""
        charger = self.chargers.get(charger_id)
        if charger is not None:
            return charger
        self.recall_all()
        if charger_id not in self.chargers:
            raise UnknownName(f"there is no charger {charger_id!r}", self._similar(charger_id))
        return self.charger(charger_id)

    def _similar(self, charger_id: str) -> str:
        """Hint at what was meant; with thousands of chargers that would take too long."""
        known = set(self.chargers) if len(self.chargers) <= COMPARED else set()
        return did_you_mean(charger_id, known) or "see `gway ocpp.csms chargers`"

    def recall_all(self) -> None:
        """Bring the chargers that the store knows into the list, once; others wait for it."""
        while not self._recalled_all:
            if self._recalling is not None:
                self._recalling.wait(RECALL_TURN_S)
                continue
            done = self._recalling = self.runtime.flag()
            try:
                self._bring_back()
                self._recalled_all = True
            finally:
                self._recalling = None
                done.set()

    def _bring_back(self) -> None:
        memories: list[ChargerMemory] = (
            self.plugins.decide("ocpp_recall_chargers", limit=KEPT_AWAY) or []
        )
        for number, memory in enumerate(memories, start=1):
            if memory.charger_id not in self.chargers:
                charger = self.chargers[memory.charger_id] = Charger(memory.charger_id)
                charger.remember(memory)
                charger.ledger = Ledger(memory.charger_id, memory.open_transactions, self._recall)
            if not number % BROUGHT_AT_ONCE:
                self.runtime.breathe()

    def close_transactions(self, charger_id: str) -> list[Transaction]:
        """Close the open transactions of a charger, as an operator who knows better."""
        charger = self.known(charger_id)
        at = self.now()
        closings = self.ledger(charger).close_open(at, Why.OPERATOR)
        for closing in closings:
            self.tell_closed(closing, at)
        if closings:
            self.changed(charger, "transactions closed")
        return [closing.transaction for closing in closings]

    def register(self, charger_id: str, registration: Registration) -> Charger:
        """Accept or reject a charger; it is told at its next Boot."""
        charger = self.chargers.get(charger_id) or self.charger(charger_id)
        charger.registration = registration
        charger.spoke = True
        self.door.refused.remove(charger_id)
        self.shared.clear()
        self.emit(
            "ocpp_registration_changed",
            charger_id=charger_id,
            registration=registration,
            at=self.now(),
        )
        self.changed(charger, "registration")
        return charger

    def forget(self, charger_id: str) -> None:
        """Take a charger out of the list; what is stored of its transactions stays."""
        charger = self.known(charger_id)
        if charger.connected:
            raise GwayError(f"{charger_id} is connected", "one that is there is not forgotten")
        if self.ledger(charger):
            raise GwayError(
                f"{charger_id} has open transactions", "see `gway ocpp.csms close-transactions`"
            )
        self.plugins.decide("ocpp_forget_charger", charger_id=charger_id)
        if charger.connected:
            return  # it came meanwhile, and is noted anew
        self.chargers.pop(charger_id, None)
        self.frames.forget(charger_id)
        self.door.refused.remove(charger_id)
        self.shared.clear()
        self.changed(charger, "forgotten")

    def configure(self, **changes: Any) -> None:
        """Set options from now on."""
        self.options = msgspec.structs.replace(self.options, **changes)
