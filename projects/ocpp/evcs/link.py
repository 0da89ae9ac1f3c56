"""The WebSocket of a simulated charge point: websocket-client, held on a short lead.

Ten seconds for everything, no redirects, certificates checked, messages of at most
1 MiB, one sender at a time. Works with threads and with gevent's patches; who floods it
holds up no other greenlet.
"""

from __future__ import annotations

import base64
import logging
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from websocket import (
    ABNF,
    WebSocket,
    WebSocketException,
    WebSocketPayloadException,
    WebSocketTimeoutException,
)
from websocket._abnf import continuous_frame, frame_buffer

log = logging.getLogger("ocpp.evcs")

SUBPROTOCOL = "ocpp1.6"
TIMEOUT_S = 10.0
MAX_MESSAGE = 1 << 20
MAX_HEAD = 16 << 10
"""Bytes of the answer to a handshake, with the page that may come with a refusal."""
TURN = 32
BREATH_S = 0.001
"""After that many reads others are let on: gevent's `recv` goes on as long as bytes are there."""
FRAMES_PER_S = 1_000.0
FRAMES_AT_ONCE = 2_000.0
BYTES_PER_FRAME = 4_096
"""A longer frame counts as several."""
NO_UTF8_CHECK = True
"""The library's own takes 0.2 s for 1 MiB, as it is in Python; see `_checked`."""
BINARY_REFUSED = 1003
NO_UTF8 = 1007
TOO_MANY = 1008
TOO_LONG = 1009
NO_STATUS = 1005
ABNORMAL = 1006
_STATUS = re.compile(rb"HTTP/1\.\d ([3-5]\d\d)\b")
_MOVED = "it sends on to another address, which is not followed"
_REFUSALS = {
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),
    400: "the path or the subprotocol is not what it expects",
    401: "user name or password is wrong",
    403: "access is forbidden",
    404: "it knows no such charge point or path",
    429: "too many tries",
    503: "it cannot take charge points now",
}


class LinkError(Exception):
    """A link that could not be made, or that ended; says why in words.

    :param status: HTTP status of a refusal; 0 for another end
    :param code: close code of the other side; 1006 when it said none
    :param reason: what it said with the code
    """

    def __init__(
        self, words: str, *, status: int = 0, code: int = ABNORMAL, reason: str = ""
    ) -> None:
        super().__init__(words)
        self.status = status
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """Where a charge point connects to.

    :param password: called for each connection: an AuthorizationKey may have changed
    :param ca: file with the certificates to trust; None trusts the system's
    :param subprotocols: what is offered
    :param tls: what is trusted, in the place of `ca`; to make it takes long
    """

    url: str
    username: str = ""
    password: Callable[[], bytes | None] = lambda: None
    ca: Path | None = None
    subprotocols: tuple[str, ...] = (SUBPROTOCOL,)
    tls: ssl.SSLContext | None = None

    @property
    def charger_id(self) -> str:
        """The identity in the address: its last segment, decoded once (SPEC-J 3.1.1)."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    def headers(self) -> list[str]:
        """Give the request headers beyond the usual ones."""
        password = self.password()
        if password is None:
            return []
        user = (self.username or self.charger_id).encode()
        return ["Authorization: Basic " + base64.b64encode(user + b":" + password).decode()]


class TooLong(WebSocketPayloadException):
    """A message beyond the limit."""


class TooMany(WebSocketPayloadException):
    """More frames in a short time than OCPP can need."""


class _Frames(frame_buffer):
    """Refuses a frame by its announced length, before a byte of it is read.

    :param wary: refuses a flood of frames, too; all count here, those too of which the
        library tells nobody: parts of a message without end, pings
    """

    def __init__(self, recv: Callable[[int], bytes], wary: bool) -> None:
        super().__init__(recv, NO_UTF8_CHECK)
        self._wary = wary
        self._left = FRAMES_AT_ONCE
        self._at = time.monotonic()

    def recv_length(self) -> None:
        super().recv_length()
        length = self.length or 0
        if length > MAX_MESSAGE:
            raise TooLong(f"a frame of {length} bytes is too long")
        if self._wary:
            self._count(1 + length // BYTES_PER_FRAME)

    def _count(self, frames: int) -> None:
        now = time.monotonic()
        self._left = min(FRAMES_AT_ONCE, self._left + (now - self._at) * FRAMES_PER_S)
        self._at = now
        self._left -= frames
        if self._left < 0:
            raise TooMany("it sends more messages than can be meant")


class _Fragments(continuous_frame):
    """Refuses a message whose fragments grow beyond the limit."""

    def add(self, frame: ABNF) -> None:
        held = len(self.cont_data[1]) if self.cont_data else 0
        if held + len(frame.data) > MAX_MESSAGE:
            raise TooLong("a message is too long")
        super().add(frame)


class _Guard:
    """A socket that lets others on between its reads, and reads no endless handshake."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._reads = 0
        self._until = time.monotonic() + TIMEOUT_S
        self._head: bytearray | None = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """Read; during the handshake no more, and no longer, than one may take."""
        self._reads += 1
        if self._reads % TURN == 0:
            time.sleep(BREATH_S)
        if self._head is None:
            return bytes(self._sock.recv(size))
        left = MAX_HEAD - len(self._head)
        if left <= 0:
            raise TooLong("its answer to the handshake does not end")
        if time.monotonic() > self._until:
            raise WebSocketTimeoutException("it does not finish its handshake")
        data = bytes(self._sock.recv(min(size, left)))
        self._head += data
        return data

    def handshake_is_done(self) -> None:
        """Read freely from now on."""
        self._head = None

    @property
    def status(self) -> int:
        """The HTTP status of a refusal, however the rest of it ended; 0 for none."""
        found = _STATUS.match(self._head or b"")
        return int(found[1]) if found is not None else 0


class _Socket(WebSocket):
    """Reads through a guard: the library sets its socket before it speaks with the other side."""

    guard: _Guard | None = None
    """While there is no connection: it stays when the library forgets its socket."""

    @property
    def sock(self) -> Any:
        return self._sock

    @sock.setter
    def sock(self, sock: Any) -> None:
        self._sock = None if sock is None else _Guard(sock)
        self.guard = self._sock or self.guard

    def handshake_is_done(self) -> None:
        """Read freely from now on, and keep no socket beyond the library's time."""
        if self.guard is not None:
            self.guard.handshake_is_done()
            self.guard = None


def _new_socket(options: dict[str, Any]) -> Any:
    """Make a socket, typed as Any: some of its methods have no annotations."""
    return _Socket(enable_multithread=True, sslopt=options)


class WebSocketLink:
    """One open connection. Any thread may send and hang up; one reads and releases.

    :param wary: leave who sends more messages than OCPP can need, rather than make it wait
    """

    def __init__(self, target: Target, *, wary: bool = False) -> None:
        self._leaving = False
        options: dict[str, Any] = {}
        if target.url.startswith("wss:"):
            options["context"] = target.tls or ssl.create_default_context(cafile=target.ca)
        self._socket = _new_socket(options)
        self._socket.frame_buffer = _Frames(self._socket._recv, wary)
        self._socket.cont_frame = _Fragments(False, NO_UTF8_CHECK)
        try:
            self._socket.connect(
                target.url,
                timeout=TIMEOUT_S,
                redirect_limit=0,
                subprotocols=list(target.subprotocols) or None,
                header=target.headers(),
            )
        except (WebSocketException, OSError, ValueError) as error:
            guard = self._socket.guard
            raise _refused(error, guard.status if guard is not None else 0) from None
        self._socket.handshake_is_done()

    @property
    def subprotocol(self) -> str:
        """What was agreed on, in lower case; empty for none."""
        return self._socket.subprotocol or ""

    def send(self, frame: bytes) -> None:
        """Send one text message."""
        try:
            self._socket.send(frame, ABNF.OPCODE_TEXT)
        except (WebSocketException, OSError) as error:
            raise LinkError(_words(error)) from None

    def ping(self) -> None:
        """Ask for a sign of life."""
        try:
            self._socket.ping()
        except (WebSocketException, OSError) as error:
            raise LinkError(_words(error)) from None

    def receive(self) -> bytes | None:
        """Wait for a message; empty for any other sign of life, None after ten quiet seconds."""
        try:
            opcode, frame = self._socket.recv_data_frame(control_frame=True)
        except WebSocketTimeoutException:
            if self._leaving:
                raise LinkError("left") from None
            return None
        except (TooLong, TooMany) as error:
            self.hang_up(TOO_LONG if isinstance(error, TooLong) else TOO_MANY)
            raise LinkError(str(error)) from None
        except (WebSocketException, OSError, ValueError, AttributeError) as error:
            # A socket that is shut down under a reader shows itself in any of these ways.
            raise LinkError("left" if self._leaving else _words(error)) from None
        if opcode == ABNF.OPCODE_CLOSE:
            raise _closed(frame.data)
        if opcode == ABNF.OPCODE_BINARY:
            self.hang_up(BINARY_REFUSED, "OCPP is text")
            raise LinkError("binary message received")
        return self._checked(bytes(frame.data)) if opcode == ABNF.OPCODE_TEXT else b""

    def _checked(self, text: bytes) -> bytes:
        try:
            text.decode()
        except UnicodeDecodeError:
            self.hang_up(NO_UTF8)
            raise LinkError("a message is not UTF-8") from None
        return text

    def hang_up(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; the reader ends when the other side does the same, or is silent.

        Cutting at once could destroy what was sent last and is still on its way.
        """
        self._leaving = True
        try:
            self._socket.send_close(code, reason)
        except (WebSocketException, OSError) as error:
            log.debug("no goodbye: %s", error)
            self.drop()

    def drop(self) -> None:
        """Cut the connection, under a reader that waits, too."""
        self._leaving = True
        self._socket.connected = True  # or `abort` would do nothing after a goodbye
        self._socket.abort()

    def release(self) -> None:
        """Give the socket back; by the reader, after its last `receive`."""
        self._socket.shutdown()


def _refused(error: Exception, status: int) -> LinkError:
    if not status:
        return LinkError(_words(error))
    reason = _REFUSALS.get(status, "")
    tail = f": {reason}" if reason else ""
    return LinkError(f"refused with HTTP {status}{tail}", status=status)


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).split("\n", 1)[0][:200] or type(error).__name__


def _closed(data: bytes) -> LinkError:
    if len(data) < 2:
        return LinkError("closed", code=NO_STATUS)
    code, reason = int.from_bytes(data[:2], "big"), data[2:].decode("utf-8", "replace")
    return LinkError(f"closed with {code} {reason}".rstrip(), code=code, reason=reason)
