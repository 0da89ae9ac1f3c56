"""Count who is connected, and say who may come in."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

from gway.web.throttle import address_key


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server grants to those who connect.

    :param connections: connections in all, on both ports together
    :param per_address: connections of one address, with IPv6 of one network of /64
    :param per_loopback_address: connections of one address of this machine, where reverse
        proxies and load tests live; None for no limit of their own
    :param refusals: connections over a limit that are still told so by an HTTP status;
        more are hung up on
    :param head_timeout_s: time to send the head of a request
    :param idle_timeout_s: time without a request on a kept connection
    :param tls_handshake_timeout_s: time for the TLS handshake
    :param stall_timeout_s: time a peer may neither send nor take a byte inside a request
    :param body_timeout_s: time in all to send the body of a request
    :param head_bytes: size of a request's head
    """

    connections: int = 12_000
    per_address: int = 1_000
    per_loopback_address: int | None = None
    refusals: int = 64
    head_timeout_s: float = 5.0
    idle_timeout_s: float = 60.0
    tls_handshake_timeout_s: float = 10.0
    stall_timeout_s: float = 30.0
    body_timeout_s: float = 60.0
    head_bytes: int = 16 * 1024


class Door:
    """The connections of a server by address.

    :param on_empty: called whenever the last connection has left
    """

    def __init__(self, limits: Limits, on_empty: Callable[[], None] = lambda: None) -> None:
        self.limits = limits
        self.count = 0
        self.refused = 0  # over a limit since the start
        self._refusing = 0
        self._by_address: dict[str, int] = {}
        # Below both limits nobody need ask what kind of address it is, which is not cheap.
        loopback = limits.per_loopback_address
        self._never_refused = min(
            limits.per_address, limits.per_address if loopback is None else loopback
        )
        self._on_empty = on_empty

    def enter(self, address: str) -> Ticket | None:
        """Let a connection in; None if it is to be hung up on at once."""
        key = address
        if ":" in address:  # whoever has one address of IPv6 has all of its network
            key = address_key(address)
        status = self._status(key, address)
        if status:
            self.refused += 1
            if self._refusing >= self.limits.refusals:
                return None
            self._refusing += 1
        else:
            self._by_address[key] = self._by_address.get(key, 0) + 1
        self.count += 1
        return Ticket(self, address, status, key)

    def _status(self, key: str, address: str) -> int:
        if self.count - self._refusing >= self.limits.connections:
            return 503
        held = self._by_address.get(key, 0)
        if held < self._never_refused:
            return 0
        limit = (
            self.limits.per_loopback_address if is_loopback(address) else self.limits.per_address
        )
        return 429 if limit is not None and held >= limit else 0

    def leave(self, ticket: Ticket) -> None:
        """Take back the ticket of a connection that is closed."""
        self.count -= 1
        if ticket.refused:
            self._refusing -= 1
        else:
            left = self._by_address[ticket.key] - 1
            if left:
                self._by_address[ticket.key] = left
            else:
                del self._by_address[ticket.key]
        if not self.count:
            self._on_empty()


class Ticket:
    """One connection's place.

    :param refused: the HTTP status it is to be sent away with, or 0
    :param key: what it is counted by
    """

    __slots__ = ("_door", "address", "key", "refused")

    def __init__(self, door: Door, address: str, refused: int, key: str) -> None:
        self._door: Door | None = door
        self.address = address
        self.refused = refused
        self.key = key

    def give_back(self) -> None:
        """Leave; a second time does nothing."""
        door, self._door = self._door, None
        if door is not None:
            door.leave(self)


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's own."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
