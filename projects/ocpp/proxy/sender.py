"""What an outlet sends next: the Boot first, then what waits, each in its turn (P3, P4, P9).

It holds no queue: what waits is in the store, of which it reads a few rows at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from gway.projects.ocpp.proxy import payloads
from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.ports import (
    DEAD_START,
    Change,
    Clock,
    Dead,
    Delivered,
    Driver,
    Failed,
    Finding,
    Latest,
    LatestDelivered,
    LinkState,
    Options,
    Row,
    Sent,
    Store,
    TagWord,
)
from gway.projects.ocpp.proxy.uplink import Flight, Uplink

START = "StartTransaction"
NO_START = "no-start: it began before the proxy, or its start never came"
NO_BOOT = "no Boot of this charger is known, and the remote takes nothing before one"
LATEST_RETRY_S = 60.0
BOOT_WAIT_S = 60.0
"""What a charger has time to boot by itself, and once more when it was asked to."""


class Ask(msgspec.Struct, gc=False):
    """A tag that somebody wants the remote's word about, for a short time."""

    id_tag: str
    done: Callable[[TagWord | None], None]
    until: float


class Sender(Uplink):
    """Chooses what goes out, and takes it from the queue when it is settled."""

    def __init__(
        self,
        charger_id: str,
        store: Store,
        driver: Driver,
        clock: Clock,
        governor: Governor,
        options: Options,
        chance: Random,
    ) -> None:
        super().__init__(charger_id, store, driver, clock, governor, options, chance)
        self._rows: deque[Row] = deque()
        self._more = True  # rows may wait in the store beyond those read
        self._latest: list[Latest] = []
        self._sent_dead: set[int] = set()  # on this connection
        self._aside: dict[str, tuple[int, float]] = {}  # by kind: a version, and until when
        self._boot: Latest | None = None
        self._stale = True  # what is latest must be read again
        self._registered = store.registration(charger_id)
        self._sent_before = self._registered.sent  # by a process that ended before the answer
        self._booted = False  # on this connection
        self._boot_at = 0.0
        self._boots_missed = 0
        self._stop_at: float | None = None  # when what the remote refused is to be stopped again
        self._beat_at = 0.0
        self._pace_at = 0.0
        self._turn: float | None = None
        self._linger_until = 0.0
        self._asks: deque[Ask] = deque()

    def succeed(self) -> None:
        """Take the place of another outlet of this process, which counted what it sent."""
        self._sent_before = 0

    def _after_begin(self, now: float) -> None:
        self._booted = False
        self._sent_dead.clear()
        self._boot_at = self._beat_at = now
        self._more = self._stale = True

    def _after_end(self) -> None:
        self._rows.clear()
        self._more = True
        self._turn = None
        while self._asks:
            self._asks.popleft().done(None)

    def _wanted(self, now: float) -> bool:
        """Tell whether there is a reason to be connected."""
        return (
            self._commands.charger_online
            or now < self._linger_until
            or self._options.mode == "transparent"
            or self._unsettled is not None
            or bool(self._rows or self._store.window(self.charger_id, 1))
        )

    def _step_open(self, now: float) -> None:
        if not self._is_booted(now):
            self._send_boot(now)
        elif self._asks:
            self._send_ask(now)
        elif not self._wanted(now):
            self._hang_up("the charger is away")
            self._dial.again(now, self._options.first_retry_s)
        elif self._commands.beat_wanted or (
            not self._send_waiting(now) and now >= self._beat_at + self._registered.interval_s
        ):
            self._send_beat()

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
        self._registered = self._store.registration(self.charger_id)
        if not self._registered.boot_digest:
            self._booted = False  # the charger booted because the remote asked for it
        self._latest = sorted(
            (one for one in known if one.kind != "Boot"), key=lambda one: (one.after, one.kind)
        )

    def _send_boot(self, now: float) -> None:
        self.state = LinkState.BOOTING
        boot = self._boot
        if boot is None:
            self._miss_boot(now)
        elif now >= self._boot_at:
            name = f"b{self.connection}-{self.counts['sent']}"
            self._send("boot", name, boot.action, boot.payload, latest=boot)

    def _miss_boot(self, now: float) -> None:
        """Do something about a charger of which no Boot was ever seen, or say so."""
        if now < self._boot_at + BOOT_WAIT_S or self._boots_missed > 1:
            return
        self._boot_at = now
        self._boots_missed += 1
        if self._boots_missed == 1 and self._commands.charger_online:
            self._commands.ask_boot()
        else:
            self._boots_missed = 2
            self.last_error = NO_BOOT
            self._note([Finding("no-boot", NO_BOOT)], None)

    def _send_beat(self) -> None:
        self._commands.beat_wanted = False
        name = f"h{self.connection}-{self.counts['sent']}"
        self._send("heartbeat", name, "Heartbeat", b"{}")

    def _send_ask(self, now: float) -> None:
        name = f"a{self.connection}-{self.counts['sent']}"
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
        latest = self._next_latest(now)
        if latest is not None and row is not None and latest.after >= row.sequence:
            latest = None
        if row is None and latest is None:
            return False
        if not self._is_turn(now):
            return True
        if latest is not None:
            name = f"l{self.connection}-{self.counts['sent']}"
            self._send("latest", name, latest.action, latest.payload, latest=latest)
        elif row is not None:
            self._send_row(row)
        return True

    def _next_latest(self, now: float) -> Latest | None:
        """Give the first latest message, but for those that were refused a moment ago."""
        for latest in self._latest:
            version, until = self._aside.get(latest.kind, (0, now))
            if version != latest.version or now >= until:
                return latest
        return None

    def _set_aside(self, latest: Latest, *, at_once: bool) -> None:
        """Tell it later: money waits for no status that the remote does not take (P10).

        :param at_once: it may be told on the next connection, if that is the first refusal
        """
        now = self._clock.monotonic()
        is_first = self._aside.get(latest.kind, (0, 0.0))[0] != latest.version
        wait_s = 0.0 if at_once and is_first else LATEST_RETRY_S
        self._aside[latest.kind] = (latest.version, now + wait_s)

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
        if row.sequence in self._sent_dead:
            # An operator let it wait again; its message id was used on this connection (P8).
            self._hang_up("a dead letter is sent again")
            self._dial.again(self._clock.monotonic(), self._options.first_retry_s)
            return
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
        if not self._options.remote_deduplicates:
            self._mark_sent(row)
        self._send("row", row.message_id, row.action, payload, row=row)

    def _mark_sent(self, row: Row) -> None:
        """Let a process after this one know that the remote may have a row (P11).

        Nothing waits for that: in the worst case a duplicate is not counted.
        """
        changes: list[Change] = [Sent(row.sequence)]
        if row.sequence == self._sent_before:
            self.counts["resent"] += 1
            failed = Failed(row.sequence, row.attempts, "this process ended", resent=True)
            changes.insert(0, failed)
        self._sent_before = 0
        self._note(changes, None)

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

    # --- out of the queue ---------------------------------------------------------

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
        self._aside.pop(latest.kind, None)
        self._settle([LatestDelivered(latest.kind, latest.version)])

    def _forget(self, row: Row) -> None:
        if self._rows and self._rows[0].sequence == row.sequence:
            self._rows.popleft()

    def _bury(self, row: Row, why: str, *, followers: bool) -> None:
        if self.in_flight is not None:
            self._sent_dead.add(row.sequence)

        def buried() -> None:
            self.counts["dead"] += 1
            self._rows.clear()
            self._more = True

        self._settle([Dead(row, why, followers)], buried)

    # --- time ---------------------------------------------------------------------

    def _end_asks(self, now: float) -> None:
        while self._asks and now >= self._asks[0].until:
            self._asks.popleft().done(None)

    def _end_ask(self, id_tag: str, word: TagWord | None) -> None:
        """Tell who waits for the remote's word about a tag, if somebody still does."""
        if self._asks and self._asks[0].id_tag == id_tag:
            self._asks.popleft().done(word)

    def _times(self) -> list[float]:
        times = [ask.until for ask in self._asks]
        if self._stop_at is not None:
            times.append(self._stop_at)
        if self.up_since is None or self.in_flight is not None:
            return times
        if not self._booted:
            if self._boot is not None:
                return [*times, self._boot_at]
            return times if self._boots_missed > 1 else [*times, self._boot_at + BOOT_WAIT_S]
        if self._rows or self._next_latest(self._clock.monotonic()) is not None:
            return [*times, self._pace_at if self._turn is None else self._turn]
        times.extend(self._aside[one.kind][1] for one in self._latest)
        times.append(self._beat_at + self._registered.interval_s)
        if not self.charger_is_online and self._options.mode == "standin":
            times.append(self._linger_until)
        return times


def boot_digest(boot: Latest) -> str:
    """Give a word by which a Boot of the same content is known again, however it is spelled."""
    try:
        content = msgspec.json.encode(msgspec.json.decode(boot.payload), order="sorted")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        content = boot.payload
    return f"{payloads.digest(boot.action, content):x}"
