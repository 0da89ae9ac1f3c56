"""The accounts, sessions and API tokens in their database; of secrets only hashes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from gway.errors import UnknownName, UsageError
from gway.projects.sql.database import Database
from gway.projects.web.auth.passwords import Cost, Hashed
from gway.web.reply import Problem

T = TypeVar("T")

MIGRATIONS = [
    """
    CREATE TABLE users (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        salt BLOB NOT NULL,
        digest BLOB NOT NULL,
        cost_n INTEGER NOT NULL,
        cost_r INTEGER NOT NULL,
        cost_p INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        changed_at TEXT NOT NULL,
        signed_in_at TEXT
    ) WITHOUT ROWID;
    CREATE TABLE sessions (
        digest BLOB PRIMARY KEY,
        user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
        created_at TEXT NOT NULL,
        seen_at TEXT NOT NULL,
        address TEXT NOT NULL,
        agent TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sessions_by_user ON sessions (user, seen_at);
    CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        role TEXT NOT NULL,
        created_at TEXT NOT NULL,
        expires_at TEXT,
        used_at TEXT
    ) WITHOUT ROWID;
    CREATE TABLE revision (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
    INSERT INTO revision VALUES (1, 1);
    """,
]
SESSIONS_EACH = 20


class User(msgspec.Struct, frozen=True):
    """An account."""

    name: str
    role: str
    hashed: Hashed
    created_at: datetime
    changed_at: datetime
    signed_in_at: datetime | None


class Session(msgspec.Struct):
    """Somebody signed in with one browser."""

    digest: bytes
    user: str
    created_at: datetime
    seen_at: datetime
    address: str
    agent: str

    @property
    def id(self) -> str:
        """What names it in pages; nobody can sign in with that."""
        return self.digest[:6].hex()


class Token(msgspec.Struct):
    """What a program shows instead of a password."""

    name: str
    digest: bytes
    role: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


class Snapshot(msgspec.Struct):
    """All that is stored, at one revision."""

    revision: int = 0
    users: dict[str, User] = {}
    sessions: dict[bytes, Session] = {}
    tokens: dict[bytes, Token] = {}


class Store:
    """Reads and changes the tables; every change counts the revision up.

    :param database: a small file of its own
    """

    def __init__(self, database: Database) -> None:
        database.migrate("accounts", MIGRATIONS)
        self._database = database

    # --- reading ---

    def revision(self) -> int:
        """Give the number that every change counts up, whichever process makes it."""
        return int(self._database.query("SELECT value FROM revision")[0]["value"])

    def snapshot(self) -> Snapshot:
        """Read everything."""
        return self._database.read(_snapshot)

    # --- accounts ---

    def create(self, name: str, role: str | None, hashed: Hashed, at: datetime) -> str:
        """Make an account; the first has to be an admin's. Gives its role.

        :param role: None for an admin if there is none, else a viewer
        """

        def write(connection: sqlite3.Connection) -> str:
            if connection.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone():
                raise name_taken(name)
            alone = _admins_but(connection, "") == 0
            if alone and role not in (None, "admin"):
                raise UsageError(
                    f"{name!r} would be the first account, and no admin", "make an admin first"
                )
            given = role or ("admin" if alone else "viewer")
            connection.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (name, given, *_columns(hashed), at.isoformat(), at.isoformat()),
            )
            return given

        return self._change(write)

    def set_password(
        self, name: str, hashed: Hashed, at: datetime, known: User | None = None
    ) -> None:
        """Give an account another password and end its sessions.

        :param known: the account as it was when its password was shown, if one had to be
        """

        def write(connection: sqlite3.Connection) -> None:
            if known is not None:
                _check_same(connection, known)
            _update(connection, name, "changed_at = ?", at.isoformat())
            _put_hash(connection, name, hashed)
            connection.execute("DELETE FROM sessions WHERE user = ?", (name,))

        self._change(write)

    def rehash(self, user: User, hashed: Hashed) -> None:
        """Store the same password at another cost, unless it was changed meanwhile."""

        def write(connection: sqlite3.Connection) -> None:
            _put_hash(connection, user.name, hashed, unless_changed=user.hashed.digest)

        self._change(write)

    def set_role(self, name: str, role: str, *, force: bool) -> None:
        """Give an account another role.

        :param force: even if no admin is left
        """

        def write(connection: sqlite3.Connection) -> None:
            if role != "admin":
                _check_admin_left(connection, name, force)
            _update(connection, name, "role = ?", role)

        self._change(write)

    def delete(self, name: str, *, force: bool) -> None:
        """Delete an account and end its sessions.

        :param force: even if no admin is left
        """

        def write(connection: sqlite3.Connection) -> None:
            _check_admin_left(connection, name, force)
            if not connection.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount:
                raise unknown_user(name)

        self._change(write)

    # --- sessions ---

    def begin_session(
        self, session: Session, known: User, replaced: bytes, oldest: datetime
    ) -> None:
        """Store a session; its user's oldest go when there are too many.

        :param known: the account as it was when its password was right
        :param replaced: the session that this browser had
        :param oldest: sessions that began before are over
        """

        def write(connection: sqlite3.Connection) -> None:
            _check_same(connection, known)
            at = session.created_at.isoformat()
            connection.execute("DELETE FROM sessions WHERE digest = ?", (replaced,))
            connection.execute("DELETE FROM sessions WHERE created_at < ?", (oldest.isoformat(),))
            connection.execute(
                "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE user = ?"
                " ORDER BY seen_at DESC LIMIT -1 OFFSET ?)",
                (session.user, SESSIONS_EACH - 1),
            )
            _update(connection, session.user, "signed_in_at = ?", at)
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
                (session.digest, session.user, at, at, session.address, session.agent),
            )

        self._change(write)

    def end_session(self, digest: bytes) -> None:
        """Forget a session."""
        self._change(lambda connection: _delete_session(connection, digest))

    def end_sessions(self, user: str, but: bytes = b"") -> int:
        """Forget the sessions of a user; gives how many there were.

        :param but: one that goes on
        """
        sql = "DELETE FROM sessions WHERE user = ? AND digest <> ?"
        return self._change(lambda connection: connection.execute(sql, (user, but)).rowcount)

    def note_seen(self, digest: bytes, at: datetime) -> None:
        """Note that a session was used; nobody waits for it."""
        self._note("UPDATE sessions SET seen_at = ? WHERE digest = ?", at.isoformat(), digest)

    # --- API tokens ---

    def create_token(self, token: Token) -> None:
        """Store a token of a new name."""

        def write(connection: sqlite3.Connection) -> None:
            found = "SELECT 1 FROM tokens WHERE name = ?"
            if connection.execute(found, (token.name,)).fetchone():
                raise UsageError(
                    f"there is a token {token.name!r} already",
                    f"`gway web.auth revoke-token {token.name}` removes it",
                )
            connection.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, NULL)",
                (
                    token.name,
                    token.digest,
                    token.role,
                    token.created_at.isoformat(),
                    token.expires_at.isoformat() if token.expires_at else None,
                ),
            )

        self._change(write)

    def revoke_token(self, name: str) -> None:
        """Remove a token."""

        def write(connection: sqlite3.Connection) -> None:
            if not connection.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount:
                raise UnknownName(f"there is no token {name!r}", "see `gway web.auth tokens`")

        self._change(write)

    def note_used(self, digest: bytes, at: datetime) -> None:
        """Note that a token was used; nobody waits for it."""
        self._note("UPDATE tokens SET used_at = ? WHERE digest = ?", at.isoformat(), digest)

    # --- inner ---

    def _change(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def write(connection: sqlite3.Connection) -> T:
            connection.execute("UPDATE revision SET value = value + 1")
            return function(connection)

        return self._database.transact(write)

    def _note(self, sql: str, *params: object) -> None:
        unit = self._database.unit()
        unit.execute(sql, params)
        unit.submit(_forget)


def _forget(error: BaseException | None) -> None:
    """Hear that a note was stored or not: the next one will do (the writer logs failures)."""


def _snapshot(connection: sqlite3.Connection) -> Snapshot:
    users = connection.execute(
        "SELECT name, role, salt, digest, cost_n, cost_r, cost_p, created_at, changed_at,"
        " signed_in_at FROM users ORDER BY name"
    )
    sessions = connection.execute(
        "SELECT digest, user, created_at, seen_at, address, agent FROM sessions"
    )
    tokens = connection.execute(
        "SELECT name, digest, role, created_at, expires_at, used_at FROM tokens ORDER BY name"
    )
    return Snapshot(
        connection.execute("SELECT value FROM revision").fetchone()[0],
        {row[0]: _user(row) for row in users},
        {row[0]: Session(row[0], row[1], _at(row[2]), _at(row[3]), *row[4:]) for row in sessions},
        {row[1]: _token(row) for row in tokens},
    )


def _user(row: tuple[str, ...]) -> User:
    name, role, salt, digest, n, r, p, created, changed, signed_in = row
    hashed = Hashed(salt, digest, Cost(n, r, p))  # type: ignore[arg-type]  # as the columns are
    return User(name, role, hashed, _at(created), _at(changed), _maybe(signed_in))


def _token(row: tuple[str, ...]) -> Token:
    name, digest, role, created, expires, used = row
    return Token(name, digest, role, _at(created), _maybe(expires), _maybe(used))  # type: ignore[arg-type]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else _at(text)


def _columns(hashed: Hashed) -> tuple[bytes, bytes, int, int, int]:
    cost = hashed.cost
    return hashed.salt, hashed.digest, cost.n, cost.r, cost.p


def _put_hash(
    connection: sqlite3.Connection, name: str, hashed: Hashed, unless_changed: bytes | None = None
) -> None:
    connection.execute(
        "UPDATE users SET salt = ?, digest = ?, cost_n = ?, cost_r = ?, cost_p = ?"
        " WHERE name = ? AND digest = coalesce(?, digest)",
        (*_columns(hashed), name, unless_changed),
    )


def _update(connection: sqlite3.Connection, name: str, what: str, value: object) -> None:
    if not connection.execute(
        f"UPDATE users SET {what} WHERE name = ?",
        (value, name),
    ).rowcount:
        raise unknown_user(name)


def _check_same(connection: sqlite3.Connection, known: User) -> None:
    """Refuse what an old password was right for: comparing one takes a while.

    The hash tells, and not a time: it is salted anew whenever a password is given.
    """
    sql = "SELECT 1 FROM users WHERE name = ? AND digest = ?"
    if connection.execute(sql, (known.name, known.hashed.digest)).fetchone() is None:
        raise Problem(
            409,
            "the password of this account was changed at this very moment",
            hint="try again with the new one",
        )


def _delete_session(connection: sqlite3.Connection, digest: bytes) -> None:
    connection.execute("DELETE FROM sessions WHERE digest = ?", (digest,))


def _admins_but(connection: sqlite3.Connection, name: str) -> int:
    sql = "SELECT count(*) FROM users WHERE role = 'admin' AND name <> ?"
    return int(connection.execute(sql, (name,)).fetchone()[0])


def _check_admin_left(connection: sqlite3.Connection, name: str, force: bool) -> None:
    found = connection.execute("SELECT role FROM users WHERE name = ?", (name,)).fetchone()
    if found is None:
        raise unknown_user(name)
    if found[0] == "admin" and not _admins_but(connection, name) and not force:
        raise UsageError(
            f"{name!r} is the last admin", "make another one first, or insist with --force"
        )


def name_taken(name: str) -> UsageError:
    return UsageError(f"there is an account {name!r} already", "choose another name")


def unknown_user(name: str) -> UnknownName:
    """Make the error for an account that does not exist."""
    return UnknownName(f"there is no account {name!r}", "see `gway web.auth list`")


def expiry_of(days: float | None, at: datetime) -> datetime | None:
    """Give when a token expires; None for never."""
    if days is None:
        return None
    if not 0 < days <= 36_500:
        raise UsageError(f"a token cannot expire in {days} days", "0 < days <= 36500")
    return at + timedelta(days=days)
