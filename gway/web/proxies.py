"""Who really asks, when a reverse proxy that we trust stands in between."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from gway.errors import UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

VIA = "1.1 gway"
"""What a gateway that forwards a request says of itself."""
FORWARDED = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_FORWARDED",
    "HTTP_X_REAL_IP",
    "HTTP_CF_CONNECTING_IP",
    "HTTP_TRUE_CLIENT_IP",
)


class Proxies:
    """The proxies whose word about an address counts.

    :param networks: addresses or networks, such as `127.0.0.1` or `10.0.0.0/8`
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        for text in networks:
            try:
                self._networks.append(ipaddress.ip_network(text, strict=False))
            except ValueError:
                raise UsageError(
                    f"GWAY_WEB_TRUSTED_PROXIES: {text!r} is no address",
                    "such as 127.0.0.1 or 10.0.0.0/8, separated by commas",
                ) from None

    def correct(self, environ: dict[str, Any]) -> None:
        """Put the visitor's address and scheme in the place of the proxy's.

        X-Forwarded-For is read from the right: what stands left of the first address that
        is no proxy of ours is what that visitor wrote.
        """
        if not self._networks or not self._trusts(str(environ.get("REMOTE_ADDR", ""))):
            return
        hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        for hop in reversed([hop for hop in hops if hop]):
            address = _parsed(hop)
            if address is None:
                break
            environ["REMOTE_ADDR"] = str(address)
            if not self._trusts(str(address)):
                break
        if environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower() == "https":
            environ["wsgi.url_scheme"] = "https"

    def _trusts(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in network for network in self._networks)


def came_through_a_proxy(environ: Mapping[str, Any]) -> bool:
    """Tell whether a proxy says that it passed this request on, trusted or not."""
    if any(environ.get(name) for name in FORWARDED):
        return True
    return environ.get("HTTP_VIA", "") not in ("", VIA)


def came_through_a_gateway(environ: Mapping[str, Any]) -> bool:
    """Tell whether another gateway shows this answer to its own visitors, whoever they are."""
    return bool(environ.get("HTTP_VIA") == VIA)


def _parsed(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
