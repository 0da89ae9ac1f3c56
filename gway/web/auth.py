"""The gate: who asks, what they may do, and whether the request is their own wish.

Every routed request passes `allow` once. Nothing is open by itself: a visitor is known by a
bearer token, later by an account, or, as long as no accounts exist, by sitting on the machine
that the server is bound to. Whoever is not known gets nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from gway.web.door import is_loopback as is_loopback_address
from gway.web.reply import Problem
from gway.web.request import SAFE_METHODS, Request

if TYPE_CHECKING:
    from gway.marks import Access
    from gway.resolver import Gateway

ROLES = ("viewer", "operator", "admin")
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})
_COOKIE_BYTES = 32
_HOST = re.compile(r"(?:\[([^\]@]+)\]|([^:@]+))(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks.

    :param name: shown in logs and pages
    :param role: `viewer`, `operator` or `admin`
    :param via: how we know: `token`, `account`, `loopback` or `insecure`
    """

    name: str
    role: str
    via: str


class Accounts(Protocol):
    """What the gate needs of a store of user accounts."""

    def exist(self) -> bool:
        """Tell whether any account was made."""

    def visitor(self, request: Request) -> Visitor | None:
        """Return who is signed in."""


class Gate:
    """Decides on every request of one gateway."""

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw
        self._secret = secrets.token_bytes(32)
        self._token_digest: bytes | None = None
        self._names: frozenset[str] = frozenset()
        self.host = "127.0.0.1"
        self.insecure = False
        self.accounts: Accounts | None = None

    def bind(
        self,
        host: str,
        *,
        token: str | None = None,
        insecure: bool = False,
        names: Iterable[str] = (),
    ) -> None:
        """Say where the server listens and which token opens it for programs.

        :param host: the address that the server binds
        :param token: the bearer token of this run
        :param insecure: whether everybody who reaches the address may do everything
        :param names: further host names by which browsers may call the server
        """
        if not (is_loopback(host) or insecure or self.has_accounts):
            raise Problem(
                403,
                f"{host} can be reached from the network and no user account exists",
                hint="bind 127.0.0.1, or add --insecure to let everybody in",
            )
        self.host = host
        self.insecure = insecure
        self._names = frozenset(name.lower() for name in names if name)
        self._token_digest = None if token is None else _digest(token)

    @property
    def has_accounts(self) -> bool:
        """Whether visitors have to sign in."""
        return self.accounts is not None and self.accounts.exist()

    def enter(self, request: Request) -> Visitor:
        """Say who asks, or raise the problem that answers somebody who is not known."""
        if request.visitor is not None:
            return request.visitor
        visitor = self._by_token(request)
        if visitor is None:
            self._check_host(request)
            visitor = self._by_account(request) or self._by_place(request)
        if visitor is None:
            raise _needs_token("this needs a sign-in")
        request.visitor = visitor
        return visitor

    def allow(self, request: Request, access: Access) -> Visitor:
        """Let a request in or raise the problem that answers it.

        :param access: what the function asks for
        """
        visitor = self.enter(request)
        if ROLES.index(visitor.role) < ROLES.index(access.role):
            raise Problem(403, f"this needs the role {access.role}, you are {visitor.role}")
        if visitor.via != "token" and request.method not in SAFE_METHODS:
            self._check_intent(request)
        return visitor

    def csrf_token(self, request: Request) -> str:
        """Return the token that unsafe requests of this browser session must carry."""
        session = request.cookie(cookie_name(request)) or request.new_cookie
        if not session:
            session = request.new_cookie = secrets.token_urlsafe(_COOKIE_BYTES)
        return self._csrf_for(session)

    def cookie_header(self, request: Request) -> tuple[str, str] | None:
        """Return the header that starts a browser session, if this request began one."""
        if request.new_cookie is None:
            return None
        secure = "; Secure" if request.scheme == "https" else ""
        value = f"{cookie_name(request)}={request.new_cookie}"
        return "Set-Cookie", f"{value}; Path=/; HttpOnly; SameSite=Strict{secure}"

    def _csrf_for(self, session: str) -> str:
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()

    def _by_token(self, request: Request) -> Visitor | None:
        scheme, _, token = request.header("Authorization").partition(" ")
        if scheme.lower() != "bearer":
            return None
        expected = self._token_digest
        if expected is None or not hmac.compare_digest(expected, _digest(token.strip())):
            raise Problem(
                401,
                "this token is not known",
                hint="the token of a running server is in work/server.json",
                headers=[("WWW-Authenticate", 'Bearer realm="gway", error="invalid_token"')],
            )
        return Visitor("program", "admin", "token")

    def _by_account(self, request: Request) -> Visitor | None:
        return None if self.accounts is None else self.accounts.visitor(request)

    def _by_place(self, request: Request) -> Visitor | None:
        if self.has_accounts:
            return None
        if is_loopback(self.host) and is_loopback(request.remote_addr):
            return Visitor("local", "admin", "loopback")
        return Visitor("anybody", "admin", "insecure") if self.insecure else None

    def _check_host(self, request: Request) -> None:
        """Refuse names that somebody else's DNS may have pointed at us."""
        name = _host_name(request.host)
        if name in _LOOPBACK_NAMES or name == self.host.lower() or name in self._names:
            return
        if is_loopback(name):
            return
        if not is_loopback(self.host) and (_is_address(name) or name in _own_names()):
            return
        raise Problem(
            403,
            f"this server does not go by the name {name!r}",
            hint="use its address, or add the name to GWAY_WEB_HOSTS",
        )

    def _check_intent(self, request: Request) -> None:
        """Refuse a change that another site wrote, or that nobody here asked for."""
        origin = request.header("Origin")
        fetch_site = request.header("Sec-Fetch-Site")
        if not origin and not fetch_site and not request.cookie(cookie_name(request)):
            raise _needs_token("a program that changes something must send its token")
        if fetch_site not in ("", "same-origin") or not _own_origin(request, origin, fetch_site):
            raise Problem(403, "another site asked for this change")
        session = request.cookie(cookie_name(request))
        sent = request.header("X-CSRF-Token") or _first(request.body_values.get("csrf"))
        if not session or not hmac.compare_digest(
            self._csrf_for(session).encode(), sent.encode("utf-8", "replace")
        ):
            raise Problem(
                403,
                "this page is out of date, nothing was changed",
                hint="reload the page and try again",
                headers=[("X-GWAY-Stale", "csrf")],
            )


def allow(request: Request, access: Access) -> Visitor:
    """Let a request in or raise the problem that answers it: the one place that decides."""
    return request.site.gate.allow(request, access)


def is_loopback(host: str) -> bool:
    """Tell whether an address or name can only mean this machine."""
    return host.lower() in _LOOPBACK_NAMES or is_loopback_address(host.strip("[]"))


def cookie_name(request: Request) -> str:
    """Return the session cookie's name; with the port, which cookies do not tell apart."""
    return f"gway_{request.environ.get('SERVER_PORT', '')}"


def _needs_token(message: str) -> Problem:
    return Problem(
        401,
        message,
        hint="send 'Authorization: Bearer <token>'; the token is in work/server.json",
        headers=[("WWW-Authenticate", 'Bearer realm="gway"')],
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _host_name(host: str) -> str:
    """Return the name of a Host header, without its port."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).rstrip(".") if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> frozenset[str]:
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return frozenset({name, short, f"{short}.local"})


def _own_origin(request: Request, origin: str, fetch_site: str) -> bool:
    """Tell whether a request comes from one of our pages.

    A form of a page with the policy no-referrer sends the origin `null`; then only the
    browser's own word in Sec-Fetch-Site counts, which no page can write.
    """
    if origin in ("", "null"):
        return fetch_site == "same-origin" or not origin
    parts = urlsplit(origin)
    return parts.scheme == request.scheme and parts.netloc.lower() == request.host


def _first(value: object) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return value if isinstance(value, str) else ""
