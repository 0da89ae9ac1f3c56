"""What is asked of an endpoint before a WebSocket opens, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gway.web.ws.connection import Connection


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A well-formed wish to open a WebSocket, before anything is answered.

    :param path: raw path without the query, still percent-encoded ("/ocpp/csms/CPX")
    :param rest: the part of the path after the endpoint's mount ("CPX")
    :param query: raw query string
    :param headers: names in lower case
    :param remote_addr: address of the peer, without port; behind a trusted proxy, of who
        called the proxy
    :param tls: whether the connection is encrypted, by us or by a trusted proxy
    :param offered: subprotocols, spelled as offered
    :param passed_on: whether a proxy says that it passed this on, trusted or not: then an
        address of this machine tells nothing about who asks
    """

    path: str
    rest: str
    query: str
    headers: Mapping[str, str]
    remote_addr: str
    tls: bool
    offered: tuple[str, ...]
    passed_on: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """No: answer with an HTTP status and a short plain text, and do not upgrade.

    :param status: HTTP status, 400 to 599
    :param reason: one sentence for the peer
    :param headers: more headers of the answer (WWW-Authenticate, Retry-After)
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Accept:
    """Yes: upgrade, and hand the connection to `on_open`.

    :param subprotocol: one of those offered, or None to agree on none
    :param on_open: sets the callbacks of the connection; runs once, after the 101 went
        out and before anything is read; never called when the peer has gone by then
    """

    subprotocol: str | None
    on_open: Callable[[Connection], None]


Endpoint: TypeAlias = Callable[[Upgrade], Accept | Refuse]
