"""A charger's connection that is passed on to a real central system, byte for byte.

Two greenlets for each: one sends what the charger said, in its order, one reads what comes
back. A side that does not keep up makes the other one wait; an end of one ends the other.
"""

from __future__ import annotations

import base64
import logging
import ssl
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from gway.errors import UsageError
from gway.projects.ocpp.evcs.link import LinkError, Target, WebSocketLink
from gway.projects.ocpp.sink.alone import Session
from gway.projects.ocpp.sink.tap import Tap

if TYPE_CHECKING:
    from gway.projects.ocpp.sink.service import Sink
    from gway.web.ws import Connection

log = logging.getLogger("ocpp.sink")

BAD_GATEWAY = 1014  # registered for a gateway whose server failed it
NO_STATUS = 1005
ABNORMAL = 1006
GOING_AWAY = 1001
QUIET_TURNS = 3  # of ten seconds each without a sign of life, pings notwithstanding
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Upstream(Target):
    """The central system that frames are passed on to, for one charger.

    :param authorization: the charger's own header, passed on only when that was asked for
    """

    authorization: str = ""

    def headers(self) -> list[str]:
        """Give the request headers beyond the usual ones."""
        return [f"Authorization: {self.authorization}"] if self.authorization else []


def checked_forward(url: str) -> str:
    """Give an address back if frames can be passed on to it; raise UsageError otherwise."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise UsageError(f"{url!r} is no WebSocket address", "such as ws://127.0.0.1:9000/ocpp")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "credentials do not belong into --forward",
            "chargers have their own; --forward-credentials passes them on",
        )
    return url


def checked_ca(file: Path) -> Path:
    """Give a file of certificates back if it can be used; raise UsageError otherwise."""
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # what ssl raises is one, too
        raise UsageError(
            f"cannot use the certificates of {file}: {error.strerror or error}", "a file in PEM"
        ) from None
    return file


def address_for(forward: str, charger_id: str) -> str:
    """Append a charger id to the address of a central system (SPEC-J 3.1.1)."""
    parts = urlsplit(forward)
    path = parts.path.rstrip("/")
    if charger_id:
        path = f"{path}/{quote(charger_id, safe='')}"
    return urlunsplit(parts._replace(path=path or "/", fragment=""))


def is_basic(header: str) -> bool:
    """Tell whether a header is Basic credentials, the only ones that OCPP knows."""
    scheme, _, encoded = header.partition(" ")
    try:
        base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        return False
    return scheme.lower() == "basic"


class Relay(Session):
    """Passes frames on, both ways.

    :param link: the open connection to the central system
    """

    def __init__(self, sink: Sink, tap: Tap, connection: Connection, link: WebSocketLink) -> None:
        super().__init__(sink, tap, connection)
        import gevent
        from gevent.event import Event
        from gevent.lock import RLock

        self._link = link
        self._queue: deque[tuple[bytes | None, datetime]] = deque()
        self._filled = Event()
        self._lock = RLock()  # a large frame is judged in a thread: one at a time
        self._over = False
        self._lost = 0  # frames of the charger that nobody took
        self.greenlets: list[Any] = [gevent.spawn(self._send_up), gevent.spawn(self._read_down)]

    # --- towards the central system ----------------------------------------------------

    def put(self, data: bytes | None) -> None:
        """Queue a message for the central system, or the end of the connection (None)."""
        self._queue.append((data, self.sink.now()))
        self._filled.set()

    def _send_up(self) -> None:
        try:
            while self._send_waiting():
                self._filled.wait()
                self._filled.clear()
        except Exception:
            log.exception("%s: passing on failed", self.tap.charger)
            self._link.drop()  # the reader learns of it and tells the charger
            self.sink.left(self)

    def _send_waiting(self) -> bool:
        """Send what waits; False when the charger has gone."""
        while self._queue:
            data, at = self._queue.popleft()
            if data is None:
                self.left("charger")
                self._hang_up()
                return False
            self._pass_on(data, at)
        return True

    def _pass_on(self, data: bytes, at: datetime) -> None:
        with self._lock:
            self.tap.frame(data, "in", "charger", at)
        try:
            if self._over:
                self._lost += 1
            else:
                self._link.send(data)
        except LinkError as error:
            log.info("%s: the central system takes no more: %s", self.tap.charger, error)
            self._lost += 1
            self._link.drop()  # the reader learns of it and tells the charger
        finally:
            self.done_with(data)
        self.sink.tell()

    def _hang_up(self) -> None:
        """End the other side as the charger ended this one."""
        code, reason = self.ended or (ABNORMAL, "")
        if self._lost:
            self.tap.event("note", f"{self._lost} frames of the charger were not passed on")
        if self._over:
            return
        self._over = True
        if code == ABNORMAL:
            code, reason = GOING_AWAY, "the charger was lost"
        self._link.hang_up(1000 if code == NO_STATUS else code, reason)

    # --- towards the charger ---------------------------------------------------------------

    def _read_down(self) -> None:
        code, reason = BAD_GATEWAY, ""
        try:
            self._read()
        except LinkError as error:
            code, reason = error.code, error.reason
            if code == ABNORMAL:
                code, reason = BAD_GATEWAY, f"central system lost: {error}"
        except Exception:
            log.exception("%s: reading for it failed", self.tap.charger)
            reason = "the message logger failed"
        finally:
            self._link.release()
            self._end_charger(code, reason)

    def _read(self) -> None:
        quiet = 0
        while True:
            data = self._link.receive()
            if data is None:
                quiet += 1
                if quiet >= QUIET_TURNS:
                    raise LinkError("no sign of life")
                self._link.ping()
                continue
            quiet = 0
            if data and self.connection.open:
                with self._lock:
                    self.tap.frame(data, "out", "central")
                    self.connection.send(data)
                self.sink.tell()
                self._wait_for_charger()

    def _wait_for_charger(self) -> None:
        """Read no more for a charger that does not; its connection gives it ten seconds."""
        from gevent import sleep

        while self.connection.open and self.connection.waiting_bytes:
            sleep(LOOK_S)

    def _end_charger(self, code: int, reason: str) -> None:
        """End the charger's side as the central system ended its own."""
        if self._over:
            return
        self._over = True
        note = f"the charger is closed with {code}; {reason}".rstrip("; ")
        self.tap.event("close", note, (), "central")
        if self.connection.open:
            self.connection.close(code, reason)
