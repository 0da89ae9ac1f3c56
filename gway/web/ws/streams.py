"""Non-blocking sockets as a connection sees them: plain and encrypted alike."""

from __future__ import annotations

import _socket
import ssl
from typing import TYPE_CHECKING, Protocol

from gevent.ssl import SSLSocket

if TYPE_CHECKING:
    from gevent.socket import socket as GeventSocket


class Stream(Protocol):
    """What a connection needs of a socket; `recv` and `send` may raise BlockingIOError."""

    def recv(self, size: int, /) -> bytes:
        """Return what has come, or b"" at the end."""

    def send(self, data: bytes, /) -> int:
        """Return how many bytes were taken."""

    def shutdown(self, how: int, /) -> None:
        """Say that nothing more will be sent."""

    def fileno(self) -> int:
        """Return the file descriptor."""

    def close(self) -> None:
        """Close the socket."""


class TlsStream:
    """An encrypted socket that raises BlockingIOError where a plain one does."""

    __slots__ = ("_tls",)

    def __init__(self, tls: SSLSocket) -> None:
        tls.settimeout(0)
        self._tls = tls

    def recv(self, size: int, /) -> bytes:
        """Return what has come, or b"" at the end."""
        try:
            return self._tls.recv(size)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLWantWriteError:
            # Only a peer that asks for new keys and does not read gets here: waiting for
            # it would spin, because its socket stays readable.
            raise ConnectionAbortedError("peer does not read while it changes keys") from None

    def send(self, data: bytes, /) -> int:
        """Return how many bytes were taken; 0 when none could be."""
        return self._tls.send(data)

    def shutdown(self, how: int, /) -> None:
        """Send the TLS farewell, then the one of TCP."""
        self._tls.unwrap()  # without a timeout it does not wait for the peer's
        self._tls.shutdown(how)

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._tls.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._tls.close()


def take_over(sock: GeventSocket | SSLSocket) -> Stream:
    """Take a socket out of gevent's hands: it costs a tenth of the memory then.

    An encrypted one stays what it is, because the cipher's state cannot be moved.
    """
    if isinstance(sock, SSLSocket):
        return TlsStream(sock)
    family, kind, proto = sock.family, sock.type, sock.proto
    plain = _socket.socket(family, kind, proto, sock.detach())
    plain.setblocking(False)
    return plain
