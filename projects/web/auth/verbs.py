"""The verbs about accounts; they work whether or not a server runs."""

from __future__ import annotations

import builtins
import sys
from datetime import datetime
from typing import Literal

import msgspec

from gway import gw
from gway.errors import UsageError
from gway.projects.web.auth.accounts import Accounts
from gway.projects.web.auth.passwords import new_password
from gway.prompts import ask_twice
from gway.web.auth import Gate

Role = Literal["viewer", "operator", "admin"]


class AccountRow(msgspec.Struct):
    """An account as it is listed."""

    name: str
    role: str
    created_at: datetime
    password_at: datetime
    signed_in_at: datetime | None
    sessions: int


class SessionRow(msgspec.Struct):
    """A session as it is listed."""

    user: str
    signed_in_at: datetime
    used_at: datetime
    address: str
    browser: str


class NewToken(msgspec.Struct):
    """A token that was made; its text is told this once."""

    name: str
    role: str
    expires_at: datetime | None
    token: str


class TokenRow(msgspec.Struct):
    """A token as it is listed."""

    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    state: Literal["valid", "expired"]


def book() -> Accounts:
    """Give the accounts of this gateway."""
    found: Accounts = gw.service(Accounts)
    return found


# --- accounts ----------------------------------------------------------------


def create_user(name: str, *, role: Role | None = None, stdin: bool = False) -> dict[str, str]:
    """Make an account; its password is asked for on a terminal, else made and shown once.

    :param name: a-z, 0-9 and . _ @ + -
    :param role: a viewer looks, an operator commands chargers, an admin also manages accounts,
        keys and settings; the first account is an admin's
    :param stdin: read the password from standard input
    """
    book().check_new(name)  # before anybody thinks of a password
    password, made = _password(name, stdin)
    given = book().create(name, password, role)
    return _told(name.strip().lower(), given, password if made else None)


def passwd(name: str, *, stdin: bool = False) -> dict[str, str]:
    """Give an account another password, and sign it out everywhere.

    :param name: of the account
    :param stdin: read the password from standard input
    """
    user = book().user(name)
    password, made = _password(user.name, stdin)
    book().set_password(user.name, password)
    return _told(user.name, user.role, password if made else None)


def role(name: str, role: Role, *, force: bool = False) -> dict[str, str]:
    """Give an account another role; it counts at once.

    :param name: of the account
    :param role: viewer, operator or admin
    :param force: even if no admin is left
    """
    user = book().user(name)
    book().set_role(user.name, role, force=force)
    return _told(user.name, role, None)


def delete(name: str, *, force: bool = False) -> str:
    """Delete an account and sign it out everywhere.

    :param name: of the account
    :param force: even if no admin is left
    """
    book().delete(name, force=force)
    return f"the account {name.lower()} is deleted"


def _told(name: str, role: str, password: str | None) -> dict[str, str]:
    """Give what is said of an account; a password that was made up is told this once."""
    return {"name": name, "role": role, **({} if password is None else {"password": password})}


def _password(name: str, stdin: bool) -> tuple[str, bool]:
    """Give a password, and whether it was made up here."""
    if stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise UsageError("there is no password on standard input")
        return password, False
    if gw.serving or not sys.stdin.isatty():
        return new_password(), True
    password = ask_twice(f"Password of {name} (empty: make one): ", "passwords")
    return (password, False) if password else (new_password(), True)


# --- sessions ----------------------------------------------------------------


def sessions(name: str = "") -> builtins.list[SessionRow]:
    """List who is signed in, where and since when.

    :param name: of this account only
    """
    user = book().user(name).name if name else ""
    return [
        SessionRow(each.user, each.created_at, each.seen_at, each.address, each.agent)
        for each in book().sessions(user)
    ]


def sign_out(name: str) -> str:
    """Sign an account out everywhere.

    :param name: of the account
    """
    count = book().end_sessions(book().user(name).name)
    return f"{name.lower()} is signed out everywhere ({count} sessions)"


# --- API tokens --------------------------------------------------------------


def token(name: str, *, role: Role = "viewer", expires: float | None = None) -> NewToken:
    """Make an API token for a program, shown this once: `Authorization: Bearer TOKEN`.

    :param name: what it is for
    :param role: what it may do
    :param expires: after so many days; never if not given
    """
    text, made = book().create_token(name, role, expires)
    return NewToken(made.name, made.role, made.expires_at, text)


def tokens() -> builtins.list[TokenRow]:
    """List the API tokens, without their text, which is kept nowhere."""
    now = gw.now()
    return [
        TokenRow(
            each.name,
            each.role,
            each.created_at,
            each.expires_at,
            each.used_at,
            "expired" if each.expires_at is not None and each.expires_at <= now else "valid",
        )
        for each in book().tokens()
    ]


def revoke_token(name: str) -> str:
    """Remove an API token; it is refused at once.

    :param name: of the token
    """
    book().revoke_token(name)
    return f"the token {name.lower()} is revoked"


# --- for recipes -------------------------------------------------------------


def config_basic(*, realm: str = "GWAY", remember_s: float = 60.0) -> None:
    """Require a sign-in on this site, and let programs send name and password along.

    For recipes, before `web server start-app`. From then on even this machine has to sign in:
    people on the login page, programs by an API token or by HTTP Basic with the name and the
    password of an account. Without any account the server does not start.

    :param realm: what programs are told that the password is for
    :param remember_s: how long a right password is not hashed again
    """
    if not realm.isascii() or not realm.isprintable() or '"' in realm or "\\" in realm:
        raise UsageError(f"{realm!r} cannot be a realm", "ASCII without quotes, such as GWAY")
    basic = book().basic
    basic.on, basic.realm, basic.remember_s = True, realm, remember_s
    gate: Gate = gw.service(Gate)
    gate.login_required, gate.basic_realm = True, realm


# Last in the file: below it the builtin of this name is out of reach.
def list() -> builtins.list[AccountRow]:
    """List the accounts."""
    signed_in = [session.user for session in book().sessions()]
    return [
        AccountRow(
            user.name,
            user.role,
            user.created_at,
            user.changed_at,
            user.signed_in_at,
            signed_in.count(user.name),
        )
        for user in book().users()
    ]
