"""One charger's virtual charge point towards the remote: the core of the proxy.

It holds no queue: what waits is in the store, of which it reads a few rows at a time.
Rules are numbered as in the proxy's design: P3 Boot policy, P4 one CALL in flight,
P6 ids, P8 no answer, P9 pace, P10 errors, P12 commands.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from gway.projects.ocpp.messages.codec import encode_error
from gway.projects.ocpp.messages.faults import FORMATION, PROTOCOL, SECURITY
from gway.projects.ocpp.messages.framing import Call, CallError, CallResult, Junk, parse_frame
from gway.projects.ocpp.proxy import answers, payloads
from gway.projects.ocpp.proxy.commands import Commands
from gway.projects.ocpp.proxy.dial import Dial
from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.ports import (
    BootAccepted,
    Change,
    Clock,
    CommandAnswer,
    Dead,
    Delivered,
    Done,
    Driver,
    Failed,
    Finding,
    Latest,
    LatestDelivered,
    LinkState,
    Options,
    Row,
    Store,
    TagWord,
)

START = "StartTransaction"
COMMIT_RETRY_S = 1.0
BOOT_RETRY_S = 60.0
NO_START = "no-start: it began before the proxy, or its start never came"
DEAD_START = "its start is a dead letter"
NO_ID = "the answer gives no transaction id"


class Flight(msgspec.Struct, gc=False):
    """The one CALL that waits for its answer (SPEC-J 4.1.1).

    `settled` says that the answer came; what follows from it is being stored.
    """

    kind: str
    message_id: str
    action: str
    connection: int
    sent_at: float
    row: Row | None = None
    latest: Latest | None = None
    tag: str = ""
    settled: bool = False


class Ask(msgspec.Struct, gc=False):
    """A tag that somebody wants the remote's word about, for a short time."""

    id_tag: str
    done: Callable[[TagWord | None], None]
    until: float


class Outlet:
    """Forwards what one charger did, and brings it what the remote wants.

    :param governor: shared by all outlets of a process
    :param chance: for the jitter of the back-off

    For reading: `state`, `connection` (its number, 0 when there is none), `up_since`,
    `skew_s` (remote's clock minus ours, None unknown), `in_flight`, `next_try_at`,
    `last_error`, `counts` (sent, delivered, dead, timeouts, resent, stray, junk, commands,
    connects, ...).
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
        self.charger_id = charger_id
        self.state = LinkState.IDLE
        self.connection = 0
        self.up_since: float | None = None
        self.skew_s: float | None = None
        self.in_flight: Flight | None = None
        self.last_error = ""
        self.counts: Counter[str] = Counter()
        self._store = store
        self._driver = driver
        self._clock = clock
        self._governor = governor
        self._options = options
        self._dial = Dial(options, governor, chance)
        self._commands = Commands(charger_id, store, driver, options, self.counts, self._note)
        self._rows: deque[Row] = deque()
        self._more = True  # rows may wait in the store beyond those read
        self._latest: list[Latest] = []
        self._boot: Latest | None = None
        self._stale = True  # what is latest must be read again
        self._registered = store.registration(charger_id)
        self._booted = False  # on this connection
        self._boot_at = 0.0
        self._beat_at = 0.0
        self._dialled_at = 0.0
        self._pace_at = 0.0
        self._turn: float | None = None
        self._linger_until = 0.0
        self._asks: deque[Ask] = deque()
        self._unsettled: tuple[Sequence[Change], Callable[[], None]] | None = None
        self._commit_at: float | None = None
        self._serial = 0
        self._pumping = self._again = self._over = False

    @property
    def next_try_at(self) -> float:
        """The moment of the clock at which it may connect again."""
        return self._dial.at

    @property
    def charger_is_online(self) -> bool:
        """Whether the charger itself is connected to us."""
        return self._commands.charger_online

    # --- told by the driver -----------------------------------------------------

    def begin(self) -> None:
        """Look what waits, and connect if there is a reason to."""
        self._pump()

    def end(self) -> None:
        """Close the connection for good: the process ends or the charger is not proxied."""
        self._over = True
        if self.connection:
            self._hang_up("the proxy ends")

    def connected(self, connection: int) -> None:
        """A connection is open."""
        if connection != self.connection or self.state is not LinkState.CONNECTING:
            return
        now = self._clock.monotonic()
        self.up_since = self._beat_at = now
        self.state = LinkState.BOOTING
        self._booted = False
        self._boot_at = now
        self._more = self._stale = True
        self._commands.begin(connection)
        self._pump()

    def refused(self, connection: int, status: int, why: str) -> None:
        """A connection could not be opened; `status` is HTTP's, 0 when there was none."""
        if connection == self.connection:
            self._ended(why, status)
            self._pump()

    def lost(self, connection: int, why: str) -> None:
        """A connection ended, by whomever."""
        if connection == self.connection:
            self._ended(why or "the connection was lost")
            self._pump()

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
        self._end_asks(now)
        flight = self.in_flight
        if self.connection and self._answer_late(flight, now):
            self.counts["timeouts"] += 1
            self._hang_up(f"no answer in {self._options.answer_s:g} s")
        self._pump()

    def look(self) -> None:
        """Something new was committed for this charger: a row, or a latest message."""
        self._more = self._stale = True
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
        self._commands.answered(token, answer)

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

    # --- connecting -------------------------------------------------------------

    def _wanted(self, now: float) -> bool:
        """Tell whether there is a reason to be connected."""
        return (
            self._commands.charger_online
            or now < self._linger_until
            or self._options.mode == "transparent"
            or self._unsettled is not None
            or bool(self._rows or self._store.window(self.charger_id, 1))
        )

    def _connect(self, now: float) -> None:
        if not self._wanted(now):
            self.state = LinkState.IDLE
            return
        if self._dial.due(now) > now:
            self.state = LinkState.WAITING
            return
        self._dial.tried(now)
        self.counts["connects"] += 1
        self._serial += 1
        self.connection = self._serial
        self.state = LinkState.CONNECTING
        self._dialled_at = now
        self._driver.connect(self.charger_id, self.connection)

    def _hang_up(self, why: str) -> None:
        connection = self.connection
        self._ended(why)
        self._driver.close(self.charger_id, connection, why)

    def _ended(self, why: str, status: int = 0) -> None:
        """Clean up after a connection; what was in flight will be sent again, the same."""
        now = self._clock.monotonic()
        was_online = self.state is LinkState.ONLINE
        self._dial.failed(now, self.up_since, status)
        self.connection = 0
        self.up_since = None
        self.state = LinkState.WAITING
        self.last_error = why
        self._commands.begin(0)
        self._rows.clear()
        self._more = True
        self._turn = None
        flight = self.in_flight
        if flight is not None and not flight.settled:
            self.in_flight = None
            if flight.row is not None:
                self.counts["resent"] += 1
                row = flight.row
                self._note([Failed(row.sequence, row.attempts, why, resent=True)], None)
        while self._asks:
            self._asks.popleft().done(None)
        if was_online and self._options.mode == "transparent" and self.charger_is_online:
            self._driver.drop_charger(self.charger_id, "the remote is away")

    def _answer_late(self, flight: Flight | None, now: float) -> bool:
        if self.up_since is None:
            return now >= self._dialled_at + self._options.answer_s
        if flight is None or flight.settled:
            return False
        return now >= flight.sent_at + self._options.answer_s

    # --- what is sent next --------------------------------------------------------

    def _pump(self) -> None:
        """Do what can be done now, then ask to be woken for the rest."""
        if self._pumping:
            self._again = True
            return
        self._pumping = True
        try:
            self._again = True
            while self._again and not self._over:
                self._again = False
                self._step(self._clock.monotonic())
        except BaseException:
            self._driver.wake(self.charger_id, self._clock.monotonic() + COMMIT_RETRY_S)
            raise
        finally:
            self._pumping = False
        self._set_alarm()

    def _step(self, now: float) -> None:
        if not self.connection:
            self._connect(now)
        elif self.up_since is None or self.in_flight is not None or self._unsettled is not None:
            return
        elif not self._is_booted(now):
            self._send_boot(now)
        elif self._asks:
            self._send_ask(now)
        elif not self._wanted(now):
            self._hang_up("the charger is away")
            self._dial.again(now, self._options.first_retry_s)
        elif not self._send_waiting(now) and now >= self._beat_at + self._registered.interval_s:
            self._send("heartbeat", f"h{self._serial}-{self.counts['sent']}", "Heartbeat", b"{}")

    def _is_booted(self, now: float) -> bool:
        """Tell whether the remote has accepted who we are (P3)."""
        if self._stale:
            self._read_latest()
        if self._booted:
            return True
        known = self._registered.boot_digest
        if (
            self._options.boot != "always"
            and known
            and (self._boot is None or boot_digest(self._boot) == known)
        ):
            self._accepted()
        return self._booted

    def _accepted(self) -> None:
        self._booted = True
        self.state = LinkState.ONLINE

    def _read_latest(self) -> None:
        self._stale = False
        known = self._store.latest(self.charger_id)
        before, self._boot = self._boot, next((one for one in known if one.kind == "Boot"), None)
        if self._booted and before is not None and self._boot is not None:
            self._booted = before.payload == self._boot.payload
        self._latest = sorted(
            (one for one in known if one.kind != "Boot"), key=lambda one: (one.after, one.kind)
        )

    def _send_boot(self, now: float) -> None:
        self.state = LinkState.BOOTING
        boot = self._boot
        if boot is not None and now >= self._boot_at:
            name = f"b{self._serial}-{self.counts['sent']}"
            self._send("boot", name, boot.action, boot.payload, latest=boot)

    def _send_ask(self, now: float) -> None:
        name = f"a{self._serial}-{self.counts['sent']}"
        payload = msgspec.json.encode({"idTag": self._asks[0].id_tag})
        self._send("authorize", name, "Authorize", payload, tag=self._asks[0].id_tag)

    def _head(self) -> Row | None:
        """Give the oldest row that waits."""
        if not self._rows and self._more:
            self._rows.extend(self._store.window(self.charger_id, self._options.window))
            self._more = len(self._rows) == self._options.window
        return self._rows[0] if self._rows else None

    def _send_waiting(self, now: float) -> bool:
        """Send the next row or latest message when it is its turn; False: none waits."""
        row = self._head()
        latest = self._latest[0] if self._latest else None
        if latest is not None and row is not None and latest.after >= row.sequence:
            latest = None
        if row is None and latest is None:
            return False
        if not self._is_turn(now):
            return True
        if latest is not None:
            name = f"l{self._serial}-{self.counts['sent']}"
            self._send("latest", name, latest.action, latest.payload, latest=latest)
        elif row is not None:
            self._send_row(row)
        return True

    def _is_turn(self, now: float) -> bool:
        """Keep the pace of this charger, and of all (P9)."""
        if now < self._pace_at:
            return False
        if self._turn is None:
            self._turn = self._governor.messages.take(now)
        if now < self._turn:
            return False
        self._turn = None
        spacing_s = 1.0 / self._options.charger_rate
        self._pace_at = max(self._pace_at, now - spacing_s) + spacing_s
        return True

    def _send_row(self, row: Row) -> None:
        payload = row.payload
        if row.action == START:
            payload = payloads.with_reservation(payload, self._remote_reservation)
        elif row.local_tx is not None:
            remote_tx = self._store.remote_tx(self.charger_id, row.local_tx)
            if remote_tx is None:
                is_dead = self._store.start_is_dead(self.charger_id, row.local_tx)
                self._bury(row, DEAD_START if is_dead else NO_START, followers=True)
                return
            payload = payloads.with_transaction(payload, remote_tx)
        self._send("row", row.message_id, row.action, payload, row=row)

    def _remote_reservation(self, local_id: int) -> int | None:
        return self._store.remote_reservation(self.charger_id, local_id)

    def _send(
        self,
        kind: str,
        message_id: str,
        action: str,
        payload: bytes,
        row: Row | None = None,
        latest: Latest | None = None,
        tag: str = "",
    ) -> None:
        now = self._clock.monotonic()
        self.in_flight = Flight(kind, message_id, action, self.connection, now, row, latest, tag)
        self._beat_at = now
        self.counts["sent"] += 1
        text = payloads.frame_text(message_id, action, payload)
        self._driver.send(self.charger_id, self.connection, text)

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
        if known is not None and known != row.local_tx:
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

    def _deliver(
        self,
        row: Row,
        remote_tx: int | None = None,
        stop: bool = False,
        changes: Sequence[Change] = (),
    ) -> None:
        def delivered() -> None:
            self.counts["delivered"] += 1
            self._forget(row)
            if stop:
                self._commands.stop_refused()

        self._settle([Delivered(row, remote_tx, stop), *changes], delivered)

    def _told(self, latest: Latest) -> None:
        self._stale = True
        self._settle([LatestDelivered(latest.kind, latest.version)])

    def _forget(self, row: Row) -> None:
        if self._rows and self._rows[0].sequence == row.sequence:
            self._rows.popleft()

    def _bury(self, row: Row, why: str, *, followers: bool) -> None:
        def buried() -> None:
            self.counts["dead"] += 1
            self._rows.clear()
            self._more = True

        self._settle([Dead(row, why, followers)], buried)

    def _take_error(self, flight: Flight, code: str, words: str) -> None:
        """Sort an error into those that pass and those that stay (P10)."""
        why = f"{code}: {words}" if words else code
        self.last_error = why
        self.counts["errors"] += 1
        row = flight.row
        if row is not None:
            self._take_row_error(row, code, why)
        elif flight.kind == "boot":
            self.in_flight = None
            self._boot_at = self._clock.monotonic() + BOOT_RETRY_S
        elif flight.latest is not None:
            self._told(flight.latest)  # no money: the next status will tell more
        else:
            self.in_flight = None
            if flight.kind == "authorize" and self._asks:
                self._asks.popleft().done(None)

    def _take_row_error(self, row: Row, code: str, why: str) -> None:
        """Give a row up after three tries, else send it again: never twice on a connection."""
        permanent = code in answers.PERMANENT
        attempts = row.attempts + permanent
        if attempts >= self._options.tries:
            self._bury(row, why, followers=row.action == START)
            return
        changes: list[Change] = [Failed(row.sequence, attempts, why)]
        if code == SECURITY:
            changes.append(BootAccepted("", self._registered.interval_s))

        def again() -> None:
            if code == SECURITY:
                self._registered = self._store.registration(self.charger_id)
            if not self.connection:
                return
            self._hang_up(why)
            if permanent:  # the remote is well: a poisoned message need not wait long
                delay_s = self._options.first_retry_s * 2 ** (attempts - 1)
                self._dial.again(self._clock.monotonic(), delay_s)

        self._settle(changes, again)

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
        if self._asks and self._asks[0].id_tag == flight.tag:
            self._asks.popleft().done(word)

    def _end_asks(self, now: float) -> None:
        while self._asks and now >= self._asks[0].until:
            self._asks.popleft().done(None)

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

    # --- storing ------------------------------------------------------------------

    def _settle(self, changes: Sequence[Change], then: Callable[[], None] | None = None) -> None:
        """Store what an answer means; nothing else is sent before that is done (P6)."""
        if self.in_flight is not None:
            self.in_flight.settled = True

        def stored() -> None:
            self.in_flight = None
            if then is not None:
                then()

        self._unsettled = (changes, stored)
        self._submit()

    def _submit(self) -> None:
        self._commit_at = None
        if self._unsettled is not None:
            self._store.commit(self.charger_id, self._unsettled[0], self._stored)

    def _stored(self, error: BaseException | None) -> None:
        if error is not None:
            self.counts["commit failures"] += 1
            self.last_error = f"not stored: {error}"
            self._commit_at = self._clock.monotonic() + COMMIT_RETRY_S
            self._set_alarm()
            return
        settled, self._unsettled = self._unsettled, None
        if settled is not None:
            settled[1]()
        self._pump()

    def _note(self, changes: Sequence[Change], done: Done | None) -> None:
        """Store what nothing waits for."""

        def noted(error: BaseException | None) -> None:
            if error is not None:
                self.counts["commit failures"] += 1
            if done is not None:
                done(error)

        self._store.commit(self.charger_id, changes, noted)

    # --- time ---------------------------------------------------------------------

    def _set_alarm(self) -> None:
        if self._over:
            return
        times = [] if self._commit_at is None else [self._commit_at]
        times.extend(ask.until for ask in self._asks)
        if self.state is LinkState.WAITING:
            times.append(max(self._dial.at, self._dial.due(self._clock.monotonic())))
        elif self.connection:
            times.extend(self._connected_times())
        if times:
            self._driver.wake(self.charger_id, min(times))

    def _connected_times(self) -> list[float]:
        flight, options = self.in_flight, self._options
        if self.up_since is None:
            return [self._dialled_at + options.answer_s]
        if flight is not None:
            return [] if flight.settled else [flight.sent_at + options.answer_s]
        if not self._booted:
            return [] if self._boot is None else [self._boot_at]
        if self._rows or self._latest:
            return [self._turn if self._turn is not None else self._pace_at]
        times = [self._beat_at + self._registered.interval_s]
        if not self.charger_is_online and self._options.mode == "standin":
            times.append(self._linger_until)
        return times


def boot_digest(boot: Latest) -> str:
    """Give a word by which a Boot of the same content is known again."""
    return f"{payloads.digest(boot.action, boot.payload):x}"
