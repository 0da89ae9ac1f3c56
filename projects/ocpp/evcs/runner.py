"""Runs a simulated charge point in real time: a clock, a link and a thread for it.

All of the state machine happens in one thread; everybody else puts a note into its
inbox. Under gevent's patches the threads are greenlets.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

from gway.projects.ocpp.evcs.chargepoint import Actions, ChargePoint
from gway.projects.ocpp.evcs.connector import SessionRow
from gway.projects.ocpp.evcs.driver import Driver
from gway.projects.ocpp.evcs.keeper import Backoff, Keeper, Link
from gway.projects.ocpp.evcs.link import LinkError, Target, WebSocketLink
from gway.projects.ocpp.evcs.view import View, look

log = logging.getLogger("ocpp.evcs")

LOOK_S = 1.0
"""While a car charges, its figures are renewed at least this often."""
PONG_S = 10.0
"""A ping that is not followed by anything for so long means that the link is dead."""
GRACE_S = 3.0
"""How long a stop waits for what is still to be told."""

Do = Callable[[datetime], Actions | None]
Watch = Callable[["Runner", list[str]], None]


class Runner:
    """One simulated charge point that runs.

    :param leave: end by itself when all is done; else stay connected
    :param watch: told after every event, with what there is to say
    :param dial: opens a link; for tests and for links that are bad on purpose
    """

    def __init__(
        self,
        point: ChargePoint,
        target: Target,
        *,
        leave: bool = False,
        watch: Watch | None = None,
        dial: Callable[[], Link] | None = None,
        backoff: Backoff | None = None,
        start_at: datetime | None = None,
    ) -> None:
        self.point = point
        self.target = target
        self.driver = point.person if isinstance(point.person, Driver) else None
        self.error: BaseException | None = None
        self._watch = watch
        self._leave = leave
        self._inbox: queue.Queue[Do] = queue.Queue()
        self._link: Link | None = None
        self._keeper = Keeper(dial or (lambda: WebSocketLink(target)), self, backoff)
        # Steps of the machine's clock must not disturb a session: time runs by `monotonic`.
        self._base = (start_at or datetime.now(UTC)) - timedelta(seconds=monotonic())
        self._wake_at: datetime | None = None
        self._heard = self._pinged = monotonic()
        self._quit_at: float | None = None
        self._done = threading.Event()
        self._trouble = ""
        self.view: View = look(point, self.now(), target.url, "connecting", "")
        self._thread = threading.Thread(
            target=self._run, name=f"evcs {point.identity.charger_id}", daemon=True
        )

    # --- from outside ----------------------------------------------------------

    @property
    def charger_id(self) -> str:
        """The charge point's name."""
        return self.point.identity.charger_id

    @property
    def finished(self) -> list[SessionRow]:
        """The sessions that have ended so far."""
        return list(self.point.finished)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Say whether it still runs."""
        return self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; tell whether it came."""
        return self._done.wait(timeout_s)

    def stop(self, reason: str = "Local", grace_s: float = GRACE_S) -> None:
        """End all sessions, tell so if somebody listens, and hang up; does not wait."""

        def stop(now: datetime) -> Actions:
            self._quit_at = monotonic() + grace_s
            self.point.person = None
            return self.point.stop_all(reason, now)

        self.do(stop)

    def close(self, timeout_s: float = GRACE_S + 1) -> None:
        """Stop and wait."""
        self.stop()
        self.wait(timeout_s)

    def do(self, step: Do) -> None:
        """Let something happen in the charge point's own thread."""
        self._inbox.put(step)

    def start_session(self) -> None:
        """Send the next car now."""

        def begin(now: datetime) -> Actions:
            if self.driver is not None:
                self.driver.want_session(now)
            return self.point.tick(now)

        self.do(begin)

    def stop_session(self, reason: str = "Local") -> None:
        """End the running sessions; the charge point stays."""
        self.do(lambda now: self.point.stop_all(reason, now))

    def now(self) -> datetime:
        """Give the time as this charge point counts it."""
        return self._base + timedelta(seconds=monotonic())

    # --- what the keeper tells, in its thread ------------------------------------

    def link_up(self, link: Link) -> None:
        def up(now: datetime) -> Actions:
            self._link, self._trouble = link, ""
            self._heard = self._pinged = monotonic()
            return self.point.connected(now)

        self.do(up)

    def link_heard(self, link: Link, message: bytes | None) -> None:
        def heard(now: datetime) -> Actions | None:
            if link is not self._link or message is None:
                return None
            self._heard = monotonic()
            return self.point.received(message, now) if message else None

        self.do(heard)

    def link_down(self, link: Link | None, reason: str, pause_s: float) -> None:
        def down(now: datetime) -> Actions | None:
            if link is not None and link is not self._link:
                return None
            self._link = None
            self._trouble = reason
            actions = self.point.disconnected(now)
            if self._quit_at is None:
                actions.notes.append(f"link: {reason}; next try in {pause_s:.0f} s")
            return actions

        self.do(down)

    # --- the loop -------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keeper.start()
            self._apply(self.point.tick(self.now()))
            while not self._over():
                self._turn()
        except Exception as error:
            # The thread has nobody to raise to: the error is kept for who waits.
            self.error = error
            log.exception("simulator %s failed", self.charger_id)
        finally:
            self._end()

    def _end(self) -> None:
        try:
            self._keeper.stop(self._link)
            self._keeper.join(GRACE_S)
            untold = self.point.outbox.money_waiting
            self._show("stopped", [f"{untold} messages were not told"] if untold else [])
        finally:
            self._done.set()

    def _turn(self) -> None:
        try:
            step = self._inbox.get(timeout=self._patience_s())
        except queue.Empty:
            self._apply(self.point.tick(self.now()))
            self._mind_the_link()
            return
        actions = step(self.now())
        if actions is not None:
            self._apply(actions)

    def _patience_s(self) -> float:
        limits = [LOOK_S if self.view.active or self._quit_at else 30.0]
        if self._wake_at is not None:
            limits.append((self._wake_at - self.now()).total_seconds())
        ping_s = self.point.configuration.number("WebSocketPingInterval")
        if self._link is not None and ping_s:
            limits.append(max(self._heard, self._pinged) + ping_s - monotonic())
        return max(0.001, min(limits))

    def _apply(self, actions: Actions) -> None:
        self._wake_at = actions.wake_at
        link = self._link
        if link is not None:
            try:
                for frame in actions.frames:
                    link.send(frame)
            except LinkError as error:
                log.info("%s: cannot send: %s", self.charger_id, error)
                link.drop()
        if actions.hang_up_s is not None and link is not None:
            self._link = None
            self._keeper.redial(link, actions.hang_up_s)
        self._show("online" if self._link is not None else "offline", actions.notes)

    def _mind_the_link(self) -> None:
        """Ping when it was quiet for long; hang up when that brings nothing."""
        link, ping_s = self._link, self.point.configuration.number("WebSocketPingInterval")
        if link is None or not ping_s:
            return
        now = monotonic()
        if self._pinged > self._heard and now - self._pinged >= PONG_S:
            log.info("%s: no answer to a ping", self.charger_id)
            link.drop()
        elif now - max(self._heard, self._pinged) >= ping_s:
            self._pinged = now
            try:
                link.ping()
            except LinkError as error:
                log.info("%s: cannot ping: %s", self.charger_id, error)
                link.drop()

    def _over(self) -> bool:
        if self._quit_at is not None:
            return self.point.told or self._link is None or monotonic() >= self._quit_at
        return self._leave and self.point.deserted

    def _show(self, link: str, notes: list[str]) -> None:
        self.view = look(self.point, self.now(), self.target.url, link, self._trouble)
        if self._watch is not None:
            self._watch(self, notes)
