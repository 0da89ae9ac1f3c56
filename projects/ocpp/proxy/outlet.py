"""One charger's virtual charge point towards the remote: the core of the proxy.

In three layers, each in its module: `Uplink` connects, stores and keeps time, `Sender`
chooses what goes out, `Outlet` understands what comes in. Rules are numbered as in the
proxy's design: P3 Boot policy, P4 one CALL in flight, P6 ids, P8 no answer, P9 pace,
P10 errors, P12 commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from gway.projects.ocpp.messages.codec import encode_error
from gway.projects.ocpp.messages.faults import FORMATION, PROTOCOL, SECURITY
from gway.projects.ocpp.messages.framing import Call, CallError, CallResult, Junk, parse_frame
from gway.projects.ocpp.proxy import answers
from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.ports import (
    BootAccepted,
    Change,
    Clock,
    CommandAnswer,
    Driver,
    Failed,
    Finding,
    LatestDelivered,
    LinkState,
    Options,
    Row,
    Store,
    TagWord,
)
from gway.projects.ocpp.proxy.sender import START, Ask, Sender, boot_digest
from gway.projects.ocpp.proxy.uplink import LONGEST_ERROR, Flight

BOOT_RETRY_S = 60.0
STOP_RETRY_S = 60.0
NO_ID = "the answer gives no transaction id"


class Outlet(Sender):
    """Forwards what one charger did, and brings it what the remote wants.

    :param governor: shared by all outlets of a process
    :param chance: for the jitter of the back-off

    For reading, beyond what :class:`Uplink` names: `skew_s` (remote's clock minus ours,
    None unknown).
    """

    def __init__(
        self,
        charger_id: str,
        *,
        store: Store,
        driver: Driver,
        clock: Clock,
        governor: Governor,
        options: Options,
        chance: Random,
    ) -> None:
        super().__init__(charger_id, store, driver, clock, governor, options, chance)
        self.skew_s: float | None = None

    # --- told by the driver -----------------------------------------------------

    def received(self, connection: int, text: bytes) -> None:
        """A frame arrived."""
        if connection != self.connection or self.up_since is None:
            self.counts["stray"] += 1  # an answer counts only where it was asked for (P8)
            return
        frame = parse_frame(text)
        if isinstance(frame, CallResult | CallError):
            self._take_answer(frame)
        elif isinstance(frame, Call):
            self._commands.take(frame, text)
        else:
            self._take_junk(frame)
        self._pump()

    def tick(self) -> None:
        """The time asked for with `Driver.wake` has come."""
        now = self._clock.monotonic()
        if self._commit_at is not None and now >= self._commit_at:
            self._submit()
        if self._stop_at is not None and now >= self._stop_at:
            self._stop_at = None
            self._commands.stop_refused()
        self._end_asks(now)
        flight = self.in_flight
        if self.connection and self._answer_late(flight, now):
            self.counts["timeouts"] += 1
            self._hang_up(f"no answer in {self._options.answer_s:g} s")
        self._pump()

    def look(self) -> None:
        """Something new was committed for this charger: a row, or a latest message."""
        self._more = self._stale = True
        flight = self.in_flight
        kept = 0 if flight is None or flight.row is None else 1
        while len(self._rows) > kept:  # an operator may have put something before them
            self._rows.pop()
        self._pump()

    def charger_online(self) -> None:
        """The charger connected to us."""
        self._commands.charger_online = True
        self._commands.stop_refused()
        self._pump()

    def charger_offline(self) -> None:
        """The charger's connection to us ended."""
        self._commands.charger_online = False
        self._linger_until = self._clock.monotonic() + self._options.linger_s
        self._pump()

    def command_answered(self, token: int, answer: CommandAnswer) -> None:
        """The charger answered what `Driver.command` sent, or did not."""
        if self._commands.answered(token, answer):
            self._stop_at = self._clock.monotonic() + STOP_RETRY_S
        self._pump()

    def authorize(self, id_tag: str, done: Callable[[TagWord | None], None]) -> None:
        """Ask the remote about a tag; `done` gets None when it is away or too slow (P1)."""
        if self.state is not LinkState.ONLINE:
            done(None)
            return
        until = self._clock.monotonic() + self._options.authorize_s
        self._asks.append(Ask(id_tag, done, until))
        self._pump()

    def admits(self) -> bool:
        """Tell whether the charger may connect: not while a transparent remote is away."""
        return self._options.mode == "standin" or self.state is LinkState.ONLINE

    # --- what was answered --------------------------------------------------------

    def _take_answer(self, frame: CallResult | CallError) -> None:
        flight = self.in_flight
        if flight is None or not self._answers_to(flight, frame.message_id):
            self.counts["stray"] += 1
            return
        if isinstance(frame, CallError):
            self._take_error(flight, frame.code, frame.description)
        elif flight.row is not None:
            self._take_row_result(flight, flight.row, bytes(frame.payload))
        elif flight.kind == "boot":
            self._take_boot(flight, bytes(frame.payload))
        elif flight.latest is not None:
            self._told(flight.latest)
        elif flight.kind == "authorize":
            self._take_authorize(flight, bytes(frame.payload))
        else:
            self.in_flight = None
            self._note_skew(flight, bytes(frame.payload))

    def _answers_to(self, flight: Flight, message_id: str) -> bool:
        return (
            not flight.settled
            and flight.connection == self.connection
            and flight.message_id == message_id
        )

    def _take_row_result(self, flight: Flight, row: Row, payload: bytes) -> None:
        if row.action != START:
            self._deliver(row)
            return
        conf = answers.started(payload)
        if conf is None:
            self._take_error(flight, PROTOCOL, NO_ID)
            return
        status = answers.ACCEPTED if conf.id_tag_info is None else conf.id_tag_info.status
        changes: list[Change] = []
        known = self._store.local_tx(self.charger_id, conf.transaction_id)
        if conf.transaction_id > 0 and known is not None and known != row.local_tx:
            text = f"the remote gave id {conf.transaction_id} again, which was transaction {known}"
            changes.append(Finding("remote-restored", text, known))
        tag = answers.tag_of(row.payload)
        if tag and status != answers.CONCURRENT:
            changes.append(TagWord(tag, status))
        self._deliver(row, conf.transaction_id, self._is_to_stop(status), changes)

    def _is_to_stop(self, status: str) -> bool:
        if status == answers.ACCEPTED:
            return False
        if status == answers.CONCURRENT:
            return self._options.on_remote_concurrent == "stop"
        return self._options.on_remote_reject == "stop"

    def _take_error(self, flight: Flight, code: str, words: str) -> None:
        """Sort an error into those that pass and those that stay (P10)."""
        why = (f"{code}: {words}" if words else code)[:LONGEST_ERROR]
        self.last_error = why
        self.counts["errors"] += 1
        if flight.kind == "authorize":
            self._end_ask(flight.tag, None)
        if flight.row is not None:
            self._take_row_error(flight.row, code, why)
        elif flight.kind == "boot":
            self.in_flight = None
            self._boot_at = self._clock.monotonic() + BOOT_RETRY_S
        elif flight.latest is not None and code in answers.PERMANENT:
            self._told(flight.latest)  # no money: the next status will tell more
        else:
            if flight.latest is not None:
                self._set_aside(flight.latest, at_once=code == SECURITY)
            if code == SECURITY:
                self._boot_anew(why)
            else:
                self.in_flight = None

    def _take_row_error(self, row: Row, code: str, why: str) -> None:
        """Give a row up after three tries, else send it again: never twice on a connection."""
        permanent = code in answers.PERMANENT
        attempts = row.attempts + permanent
        if attempts >= self._options.tries:
            self._bury(row, why, followers=row.action == START)
            return
        failed = Failed(row.sequence, attempts, why)
        if code == SECURITY:
            self._boot_anew(why, [failed])
            return

        def again() -> None:
            if not self.connection:
                return
            self._hang_up(why)
            if permanent:  # the remote is well: a poisoned message need not wait long
                delay_s = self._options.first_retry_s * 2 ** (attempts - 1)
                self._dial.again(self._clock.monotonic(), delay_s)

        self._settle([failed], again)

    def _boot_anew(self, why: str, changes: Sequence[Change] = ()) -> None:
        """Introduce the charger again on another connection: the remote forgot it (P3)."""

        def forgotten() -> None:
            self._registered = self._store.registration(self.charger_id)
            if self.connection:
                self._hang_up(why)

        self._settle([*changes, BootAccepted("", self._registered.interval_s)], forgotten)

    def _take_boot(self, flight: Flight, payload: bytes) -> None:
        conf = answers.booted(payload)
        self._note_skew(flight, payload)
        if conf is None or conf.status != answers.ACCEPTED:
            self.in_flight = None
            wait_s = conf.interval if conf is not None and conf.interval > 0 else BOOT_RETRY_S
            self._boot_at = self._clock.monotonic() + wait_s
            return
        interval_s = conf.interval if conf.interval > 0 else self._registered.interval_s
        digest = "" if flight.latest is None else boot_digest(flight.latest)

        def booted() -> None:
            self._registered = self._store.registration(self.charger_id)
            if self.connection == flight.connection:
                self._accepted()

        changes: list[Change] = [BootAccepted(digest, interval_s)]
        if flight.latest is not None:
            changes.append(LatestDelivered(flight.latest.kind, flight.latest.version))
        self._settle(changes, booted)

    def _take_authorize(self, flight: Flight, payload: bytes) -> None:
        self.in_flight = None
        status = answers.authorized(payload)
        word = TagWord(flight.tag, status) if status else None
        if word is not None and status != answers.CONCURRENT:
            self._note([word], None)
        self._end_ask(flight.tag, word)

    def _note_skew(self, flight: Flight, payload: bytes) -> None:
        told = answers.remote_time(payload)
        if told is not None:
            took_s = self._clock.monotonic() - flight.sent_at
            self.skew_s = (told - self._clock.utc()).total_seconds() + took_s / 2

    def _take_junk(self, junk: Junk) -> None:
        self.counts["junk"] += 1
        flight = self.in_flight
        if junk.message_id is not None:
            text = encode_error(junk.message_id, junk.code, junk.rule)
            self._driver.send(self.charger_id, self.connection, text)
        elif flight is not None and junk.reply_to and self._answers_to(flight, junk.reply_to):
            self._hang_up(f"a broken answer ({FORMATION}): {junk.rule}")
