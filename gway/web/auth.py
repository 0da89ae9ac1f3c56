"""The gate: who asks, what they may do, and whether the request is their own wish.

Every routed request passes `allow` once. Nothing is open by itself: a visitor is known by the
token of this run, by an account (a session, an API token, a password sent along), or, as long
as no accounts exist, by sitting on the machine that the server is bound to. Whoever is not
known gets nothing but the way to the sign-in.
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

from gway.settings import Setting
from gway.web.door import is_loopback as is_loopback_address
from gway.web.masks import masked, unmasked
from gway.web.proxies import Proxies, came_through_a_gateway, came_through_a_proxy
from gway.web.reply import Problem
from gway.web.request import SAFE_METHODS, Request

if TYPE_CHECKING:
    from gway.marks import Access
    from gway.resolver import Gateway

ROLES = ("viewer", "operator", "admin")
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})
COOKIE_BYTES = 32
TRUSTED_PROXIES = Setting(
    "WEB_TRUSTED_PROXIES", "", str, "reverse proxies whose X-Forwarded-For counts, by address"
)
_HOST = re.compile(r"(?:\[([^\]@%]+)\]|([^:@%]+))(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks.

    :param name: shown in logs and pages
    :param role: `viewer`, `operator` or `admin`
    :param via: how we know: `token`, `account` (a session), `basic` (a password sent along),
        `loopback`, `insecure`, or `nobody` for who is about to sign in
    """

    name: str
    role: str
    via: str


class Accounts(Protocol):
    """What the gate needs of a store of user accounts."""

    def exist(self) -> bool:
        """Tell whether any account was made; asked at every request."""

    def visitor(self, request: Request) -> Visitor | None:
        """Return who asks, by session, API token or password; a Problem for wrong ones."""


class NotSignedIn(Problem):
    """Nobody knows who asks: browsers are shown to the sign-in, programs get a 401."""


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
        self.login_path: str | None = None
        """The one page that is there for whoever is not known."""
        self.login_required = False
        """Whether even this machine has to sign in, accounts or not."""
        self.basic_realm: str | None = None
        """What programs may send name and password for; None: they may not."""
        networks = str(gw.settings.get(TRUSTED_PROXIES)).replace(",", " ").split()
        self.proxies = Proxies(networks)

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
        if self.login_required and not self.has_accounts:
            raise Problem(
                403,
                "this site requires a sign-in and no user account exists",
                hint=f"make one: `{self._create_user}`",
            )
        if not (is_loopback(host) or insecure or self.has_accounts):
            raise Problem(
                403,
                f"{host} can be reached from the network and no user account exists",
                hint=f"make one: `{self._create_user}`; or bind 127.0.0.1, or add --insecure to "
                "let everybody in",
            )
        self.host = host
        self.insecure = insecure
        self._names = frozenset(name.lower() for name in names if name)
        self._token_digest = None if token is None else _digest(token)

    @property
    def _create_user(self) -> str:
        site = self._gw.workspace.site
        return f"gway {f'--site {site} ' if site else ''}web.auth create-user NAME"

    @property
    def has_accounts(self) -> bool:
        """Whether visitors have to sign in."""
        return self.accounts is not None and self.accounts.exist()

    def enter(self, request: Request) -> Visitor:
        """Say who asks, or raise the problem that answers somebody who is not known."""
        if request.visitor is not None:
            return request.visitor
        visitor = self._known(request)
        if visitor is None:
            raise self._stranger(request, "this needs a sign-in")
        request.visitor = visitor
        return visitor

    def is_login(self, request: Request) -> bool:
        """Tell whether a request is for the page that is open to strangers."""
        return self.login_path is not None and request.path == self.login_path

    def still_in(self, request: Request) -> bool:
        """Tell whether who was let in would be let in again, for answers that go on and on."""
        try:
            return self._known(request) is not None
        except Problem:
            return False

    def allow(self, request: Request, access: Access) -> Visitor:
        """Let a request in or raise the problem that answers it.

        :param access: what the function asks for
        """
        visitor = self._at_the_door(request) if self.is_login(request) else self.enter(request)
        if not _reaches(visitor, access):
            raise Problem(403, f"this needs the role {access.role}, you are {visitor.role}")
        if visitor.via != "token" and request.method not in SAFE_METHODS:
            self._check_intent(request, visitor)
        return visitor

    def may(self, request: Request, access: Access) -> bool:
        """Tell whether the visitor of a request has the role for something else, too.

        :param access: what that asks for
        """
        return request.visitor is not None and _reaches(request.visitor, access)

    def csrf_token(self, request: Request) -> str:
        """Return the token that unsafe requests of this browser session must carry.

        It is masked anew for each answer, so that no two that are compressed tell about it.
        """
        browser = request.new_session or _browser(request) or request.new_cookie
        if not browser:
            browser = request.new_cookie = secrets.token_urlsafe(COOKIE_BYTES)
        return masked(self._csrf_for(browser), request.pad)

    def cookie_headers(self, request: Request) -> list[tuple[str, str]]:
        """Return the headers that begin or end a browser session, if this request did."""
        secure = "; Secure" if request.scheme == "https" else ""
        rules = f"Path=/; HttpOnly; SameSite=Strict{secure}"
        cookies = []
        if request.new_cookie is not None:
            cookies.append(f"{cookie_name(request)}={request.new_cookie}; {rules}")
        if request.new_session is not None:
            ends = "" if request.new_session else "Max-Age=0; "
            cookies.append(f"{session_name(request)}={request.new_session}; {ends}{rules}")
        return [("Set-Cookie", cookie) for cookie in cookies]

    def _csrf_for(self, session: str) -> bytes:
        return hmac.digest(self._secret, session.encode(), "sha256")

    def _stranger(self, request: Request, message: str) -> NotSignedIn:
        challenges = ['Bearer realm="gway"']
        # A browser would ask for name and password in a window of its own.
        if self.basic_realm is not None and not request.header("Sec-Fetch-Site"):
            challenges.append(f'Basic realm="{self.basic_realm}", charset="UTF-8"')
        return NotSignedIn(
            401,
            message,
            hint="sign in, or send 'Authorization: Bearer <token>'; that of a running server is in "
            "work/server.json",
            headers=[("WWW-Authenticate", challenge) for challenge in challenges],
        )

    def _known(self, request: Request) -> Visitor | None:
        visitor = self._by_token(request)
        if visitor is None:
            self._check_host(request)
            visitor = self._by_account(request) or self._by_place(request)
        return visitor

    def _at_the_door(self, request: Request) -> Visitor:
        """Let anybody see the sign-in; who is signed in already stays who they are."""
        self._check_host(request)
        known = self._by_account(request)
        if known is not None:
            request.visitor = known
        return known or Visitor("", "viewer", "nobody")

    def _by_token(self, request: Request) -> Visitor | None:
        token = bearer_of(request)
        if token is None:
            return None
        expected = self._token_digest
        if expected is not None and hmac.compare_digest(expected, _digest(token)):
            return Visitor("program", "admin", "token")
        visitor = self._by_account(request)
        if visitor is None or visitor.via != "token":
            raise Problem(
                401,
                "this token is not known, or no longer valid",
                hint="the token of a running server is in work/server.json; `gway web.auth token` "
                "makes others",
                headers=[("WWW-Authenticate", 'Bearer realm="gway", error="invalid_token"')],
            )
        return visitor

    def _by_account(self, request: Request) -> Visitor | None:
        return None if self.accounts is None else self.accounts.visitor(request)

    def _by_place(self, request: Request) -> Visitor | None:
        if self.login_required or self.has_accounts:
            return None
        # What a proxy on this machine passes on may come from anywhere.
        here = is_loopback(request.remote_addr) and not came_through_a_proxy(request.environ)
        if is_loopback(self.host) and here:
            # A gateway beside this one shows these pages to its visitors, to be looked at.
            role = "viewer" if came_through_a_gateway(request.environ) else "admin"
            return Visitor("local", role, "loopback")
        return Visitor("anybody", "admin", "insecure") if self.insecure else None

    def _check_host(self, request: Request) -> None:
        """Refuse names that somebody else's DNS may have pointed at us."""
        if not self.goes_by(request.host):
            raise Problem(
                403,
                f"this server does not go by the name {_host_name(request.host)!r}",
                hint="use its address, or add the name to GWAY_WEB_HOSTS",
            )

    def goes_by(self, host: str) -> bool:
        """Tell whether a name can only mean this server, whatever anybody's DNS says.

        :param host: as in the header Host, with or without a port
        """
        name = _host_name(host.lower())
        if name in _LOOPBACK_NAMES or name == self.host.lower() or name in self._names:
            return True
        if is_loopback(name):
            return True
        return not is_loopback(self.host) and (_is_address(name) or name in _own_names())

    def _check_intent(self, request: Request, visitor: Visitor) -> None:
        """Refuse a change that another site wrote, or that nobody here asked for."""
        origin = request.header("Origin")
        fetch_site = request.header("Sec-Fetch-Site")
        session = _browser(request)
        if not origin and not fetch_site and not session:  # no browser
            if visitor.via == "basic":
                return
            raise self._stranger(request, "a program that changes something must send its token")
        if fetch_site not in ("", "same-origin") or not _own_origin(request, origin, fetch_site):
            raise Problem(403, "another site asked for this change")
        sent = request.header("X-CSRF-Token") or _first(request.body_values.get("csrf"))
        if not session or not hmac.compare_digest(self._csrf_for(session), unmasked(sent)):
            raise Problem(
                403,
                "this page is out of date, nothing was changed",
                hint="reload the page and try again",
                headers=[("X-GWAY-Stale", "csrf")],
            )


def allow(request: Request, access: Access) -> Visitor:
    """Let a request in or raise the problem that answers it: the one place that decides."""
    return request.site.gate.allow(request, access)


def _reaches(visitor: Visitor, access: Access) -> bool:
    return ROLES.index(visitor.role) >= ROLES.index(access.role)


def is_loopback(host: str) -> bool:
    """Tell whether an address or name can only mean this machine."""
    return host.lower() in _LOOPBACK_NAMES or is_loopback_address(host.strip("[]"))


def cookie_name(request: Request) -> str:
    """Return the browser cookie's name; with the port, which cookies do not tell apart."""
    prefix = "__Host-" if request.scheme == "https" else ""  # no other host may have set it
    return f"{prefix}gway_{request.environ.get('SERVER_PORT', '')}"


def session_name(request: Request) -> str:
    """Return the name of the cookie of who signed in.

    It is another one than the browser's: a link from another site comes without both, as they
    are SameSite=Strict, and the new browser cookie of that answer must not end the session.
    """
    return f"{cookie_name(request)}_session"


def bearer_of(request: Request) -> str | None:
    """Return the bearer token of a request, None if it has none."""
    scheme, _, token = request.header("Authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _browser(request: Request) -> str:
    """Return what the CSRF token is bound to: the session, before it the browser's cookie."""
    return request.cookie(session_name(request)) or request.cookie(cookie_name(request))


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

    A form of a page with the policy no-referrer sends the origin `null`; then the browser's own
    word in Sec-Fetch-Site counts, which no page can write. Without TLS a browser says that of
    this machine only; then the form's token has to do, which is bound to a cookie that no
    other site can bring along.
    """
    if origin in ("", "null"):
        told = request.scheme == "https" or is_loopback(_host_name(request.host))
        return fetch_site == "same-origin" or not origin or not (fetch_site or told)
    parts = urlsplit(origin)
    return parts.scheme == request.scheme and parts.netloc.lower() == request.host


def _first(value: object) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return value if isinstance(value, str) else ""
