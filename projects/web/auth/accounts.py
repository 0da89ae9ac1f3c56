"""Who has an account here and who is signed in: what the gate asks at every request.

Everything is held in memory and read again when its revision in the database changes, so
that a `gway web.auth passwd` in another terminal counts within half a second.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from gway.errors import GwayError, UsageError
from gway.projects.web.auth.basic import Basic
from gway.projects.web.auth.guard import Guard
from gway.projects.web.auth.passwords import Hasher, check_password, hash_password
from gway.projects.web.auth.store import (
    Session,
    Snapshot,
    Store,
    Token,
    User,
    expiry_of,
    name_taken,
    unknown_user,
)
from gway.settings import Setting
from gway.web.auth import COOKIE_BYTES, Gate, Visitor, bearer_of, session_name
from gway.web.reply import Problem
from gway.web.request import SAFE_METHODS, Request
from gway.web.sse import Events

if TYPE_CHECKING:
    from gway.resolver import Gateway
    from gway.web.routes import Site

T = TypeVar("T")

PROJECT = "web.auth"
DATABASE = "accounts.sqlite"
IDLE = Setting("WEB_SESSION_IDLE_S", 12 * 3600.0, float, "a session unused for so long is over")
LONGEST = Setting("WEB_SESSION_MAX_S", 7 * 86400.0, float, "how long a session lasts at most")
LOOK_S = 0.5
NOTED_S = 60.0
AGENT_LENGTH = 200
TOKEN_PREFIX = "gway_"
TOKEN_BYTES = 32

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")

log = logging.getLogger("gway.web.auth")


class Accounts:
    """The accounts, sessions and tokens of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._store: Store | None = None
        self._snapshot = Snapshot()
        self._look_at = 0.0
        self._idle = timedelta(seconds=gateway.settings.get(IDLE))
        self._longest = timedelta(seconds=gateway.settings.get(LONGEST))
        self.hasher = Hasher()
        self.guard = Guard(self.hasher)
        self.basic = Basic(self.guard)

    @property
    def path(self) -> Path:
        """The database; it comes into being with the first account."""
        return self._gateway.workspace.work(DATABASE, parents=False)

    def watch(self, site: Site) -> None:
        """Let the gate of a site ask here, and put the sign-in on the site."""
        gate: Gate = self._gateway.service(Gate)
        self.refresh()  # a damaged database stops the start
        if not any(mount.project == PROJECT for mount in site.mounts.values()):
            site.mount(PROJECT)
        gate.accounts = self
        gate.login_path = f"{site.path_of(PROJECT)}/login"

    # --- what the gate asks ---

    def exist(self) -> bool:
        """Tell whether any account was made."""
        self._look()
        return bool(self._snapshot.users)

    def visitor(self, request: Request) -> Visitor | None:
        """Return who asks, by API token, password or session."""
        self._look()
        bearer = bearer_of(request)
        if bearer is not None:
            return self._by_token(bearer)
        credentials = self.basic.credentials(request)
        if credentials is not None:
            user = self.basic.user(credentials, self._snapshot.users, request.remote_addr)
            return Visitor(user.name, user.role, "basic")
        session = self.session(request)
        if session is None:
            return None
        user = self._snapshot.users[session.user]
        return Visitor(user.name, user.role, "account")

    def session(self, request: Request) -> Session | None:
        """Return the session of a request, if it goes on."""
        cookie = request.cookie(session_name(request))
        if not cookie:
            return None
        session = self._snapshot.sessions.get(digest_of(cookie))
        now = self._gateway.now()
        if session is None or self._is_over(session, now):
            return None
        if (now - session.seen_at).total_seconds() >= NOTED_S and not _is_background(request):
            session.seen_at = now
            self.store.note_seen(session.digest, now)
        return session

    def _is_over(self, session: Session, now: datetime) -> bool:
        return (
            session.user not in self._snapshot.users
            or now - session.seen_at > self._idle
            or now - session.created_at > self._longest
        )

    def _by_token(self, text: str) -> Visitor | None:
        token = self._snapshot.tokens.get(digest_of(text))
        now = self._gateway.now()
        if token is None or (token.expires_at is not None and now >= token.expires_at):
            return None
        if token.used_at is None or (now - token.used_at).total_seconds() >= NOTED_S:
            token.used_at = now
            self.store.note_used(token.digest, now)
        return Visitor(token.name, token.role, "token")

    # --- reading ---

    @property
    def store(self) -> Store:
        """The tables, made at first use."""
        return self._store or self._open()

    def _open(self) -> Store:
        self._store = Store(self._gateway.sql.open(DATABASE))
        return self._store

    def refresh(self) -> Snapshot:
        """Read what is stored now."""
        self._look_at = monotonic() + LOOK_S
        if self._store is None:
            if not self.path.exists():
                return self._snapshot
            self._open()
        if self.store.revision() != self._snapshot.revision:
            self._take(self.store.snapshot())
        return self._snapshot

    def _look(self) -> None:
        """Read again if it is time to, and if anything changed."""
        if monotonic() < self._look_at:
            return
        try:
            self.refresh()
        except (sqlite3.Error, GwayError) as error:
            log.error("the accounts cannot be read, what was known of them counts: %s", error)
            if not self._snapshot.users:  # nobody knows whether there are any: nobody comes in
                self._look_at = 0.0
                raise Problem(
                    503, "the accounts cannot be read now", hint="the log says why"
                ) from None

    def _take(self, fresh: Snapshot) -> None:
        if fresh.revision <= self._snapshot.revision:
            return  # somebody else was faster
        for digest, session in fresh.sessions.items():
            known = self._snapshot.sessions.get(digest)
            if known is not None:
                session.seen_at = max(session.seen_at, known.seen_at)
            self.guard.trust(session.user, session.address)
        self._snapshot = fresh
        if self._gateway.has_service(Events):  # pages that show accounts ask for them anew
            self._gateway.service(Events).publish(PROJECT, {})

    def _changed(self, function: Callable[[Store], T]) -> T:
        result = function(self.store)
        self.refresh()
        return result

    # --- signing in and out ---

    def sign_in(self, request: Request, name: str, password: str) -> Visitor:
        """Begin a session, with a cookie of its own; a Problem says why not."""
        user = self.guard.check(self.refresh().users, name, password, request.remote_addr)
        self.begin_session(request, user)
        if user.hashed.cost != self.guard.cost:
            self._rehash(user, password)
        log.info("%s signed in from %s", user.name, request.remote_addr)
        return Visitor(user.name, user.role, "account")

    def _rehash(self, user: User, password: str) -> None:
        try:
            hashed = self.hasher.run(lambda: hash_password(password, self.guard.cost))
        except Problem as error:  # the sign-in itself is done
            log.info("the password of %s is hashed anew another time: %s", user.name, error)
        else:
            self.store.rehash(user, hashed)

    def begin_session(self, request: Request, user: User) -> None:
        """Begin a session in the place of the one that this browser had.

        :param user: as the account was when its password was right
        """
        now = self._gateway.now()
        secret = secrets.token_urlsafe(COOKIE_BYTES)
        session = Session(
            digest_of(secret), user.name, now, now, request.remote_addr, _agent_of(request)
        )
        replaced = digest_of(request.cookie(session_name(request)))
        oldest = now - self._longest
        self._changed(lambda store: store.begin_session(session, user, replaced, oldest))
        request.new_session = secret

    def sign_out(self, request: Request) -> None:
        """End the session of a request, here and in its browser."""
        session = self.session(request)
        if session is not None:
            self._changed(lambda store: store.end_session(session.digest))
            log.info("%s signed out", session.user)
        request.new_session = ""

    def sessions(self, user: str = "") -> list[Session]:
        """List the sessions that go on, the one used last first.

        :param user: of this user; of all if empty
        """
        now = self._gateway.now()
        found = [
            session
            for session in self.refresh().sessions.values()
            if user in ("", session.user) and not self._is_over(session, now)
        ]
        return sorted(found, key=lambda session: session.seen_at, reverse=True)

    def end_session(self, user: str, session_id: str) -> None:
        """End one session of a user.

        :param session_id: as `sessions` gives it
        """
        found = [each.digest for each in self.sessions(user) if each.id == session_id]
        if not found:
            raise UsageError("this session is over already", "reload the page")
        self._changed(lambda store: store.end_session(found[0]))

    def end_sessions(self, user: str, but: bytes = b"") -> int:
        """End the sessions of a user; gives how many there were.

        :param but: the digest of one that goes on
        """
        self.user(user)
        return self._changed(lambda store: store.end_sessions(user, but))

    # --- accounts ---

    def users(self) -> list[User]:
        """List the accounts by name."""
        return list(self.refresh().users.values())

    def user(self, name: str) -> User:
        """Give an account; UnknownName when there is none."""
        found = self.refresh().users.get(name.lower())
        if found is None:
            raise unknown_user(name)
        return found

    def check_new(self, name: str) -> None:
        """Refuse a name that is none, or that an account has already."""
        name = checked_name(name)
        if name in self.refresh().users:
            raise name_taken(name)

    def create(self, name: str, password: str, role: str | None = None) -> str:
        """Make an account; gives its role."""
        name = checked_name(name)
        hashed = self._hashed(name, password)
        now = self._gateway.now()
        given = self._changed(lambda store: store.create(name, role, hashed, now))
        log.info("account %s was made: %s", name, given)
        return given

    def set_password(self, name: str, password: str, known: User | None = None) -> None:
        """Give an account another password, and end its sessions.

        :param known: the account as it was when its password was right, if that was asked for
        """
        user = self.user(name)
        hashed = self._hashed(user.name, password)
        now = self._gateway.now()
        self._changed(lambda store: store.set_password(user.name, hashed, now, known))
        log.info("the password of %s was changed", user.name)

    def set_role(self, name: str, role: str, *, force: bool = False) -> None:
        """Give an account another role."""
        name = self.user(name).name
        self._changed(lambda store: store.set_role(name, role, force=force))
        log.info("%s is %s from now on", name, role)

    def delete(self, name: str, *, force: bool = False) -> None:
        """Delete an account and end its sessions."""
        name = self.user(name).name
        self._changed(lambda store: store.delete(name, force=force))
        log.info("account %s was deleted", name)

    def _hashed(self, name: str, password: str) -> Any:
        check_password(password, name)
        return self.hasher.run(lambda: hash_password(password, self.guard.cost))

    # --- API tokens ---

    def tokens(self) -> list[Token]:
        """List the tokens by name."""
        return sorted(self.refresh().tokens.values(), key=lambda token: token.name)

    def create_token(self, name: str, role: str, days: float | None = None) -> tuple[str, Token]:
        """Make a token; gives its text, which is not kept, and what is."""
        name = checked_name(name)
        text = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        now = self._gateway.now()
        token = Token(name, digest_of(text), role, now, expiry_of(days, now), None)
        self._changed(lambda store: store.create_token(token))
        log.info("token %s was made: %s", name, role)
        return text, token

    def revoke_token(self, name: str) -> None:
        """Remove a token; it is refused from now on."""
        self._changed(lambda store: store.revoke_token(name.lower()))
        log.info("token %s was revoked", name.lower())


def checked_name(name: str) -> str:
    """Give a name as it is kept; UsageError for what is none."""
    folded = name.strip().lower()
    if not _NAME.fullmatch(folded):
        raise UsageError(
            f"{name!r} cannot be a name",
            "1 to 64 of a-z, 0-9 and . _ @ + -, with a letter or a digit at both ends",
        )
    return folded


def digest_of(secret: str) -> bytes:
    """Give what is kept of a random secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _agent_of(request: Request) -> str:
    words = request.header("User-Agent").encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(c for c in words if c.isprintable())[:AGENT_LENGTH]


def _is_background(request: Request) -> bool:
    """Tell whether a page asked by itself: an open window alone is nobody who uses it."""
    return request.method in SAFE_METHODS and (
        request.wants_fragment or request.path in ("/events", "/healthz")
    )
