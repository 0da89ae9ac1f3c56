"""The pages for admins: everybody's accounts and the API tokens of programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gway import access
from gway.errors import GwayError, UnknownName
from gway.projects.web.auth import verbs
from gway.projects.web.auth.pages import PAGES, STYLES, asked, base, told
from gway.projects.web.auth.passwords import SHORTEST, new_password
from gway.projects.web.auth.verbs import Role, book
from gway.web.auth import ROLES
from gway.web.page import Page
from gway.web.reply import Redirect
from gway.web.tables import Column, table_of

USERS = (
    Column("name", link=lambda row: PAGES.url("user", name=row["name"])),
    Column("role"),
    Column("signed_in_at", "Last signed in", kind="time"),
    Column("sessions", kind="number"),
    Column("created_at", "Made", kind="time"),
)
TOKENS = (
    Column("name", link=lambda row: PAGES.url("token", name=row["name"])),
    Column("role"),
    Column("created_at", "Made", kind="time"),
    Column("expires_at", "Expires", kind="time"),
    Column("used_at", "Last used", kind="time"),
    Column("state", kind="status"),
)


# --- everybody's -------------------------------------------------------------


@access(role="admin")
def view_users(
    *, q: str = "", sort: str = "name", page: int = 1, per_page: int | None = None
) -> Page:
    """List the accounts.

    :param q: only those that hold these words
    :param sort: a column's name, "-" before it for descending
    :param page: from 1
    :param per_page: rows on a page
    """
    return _users(wanted={"q": q, "sort": sort, "page": page, "per_page": per_page})


@access(role="admin", method="POST")
def view_post_create_user(name: str, role: Role | None = None, password: str = "") -> Page:
    """Make an account.

    :param name: a-z, 0-9 and . _ @ + -
    :param role: what it may do
    :param password: empty for one that is made and shown this once
    """
    asked()  # a password does not belong on a command line
    given = password or new_password()
    try:
        kind = book().create(name, given, role)
    except GwayError as error:
        return told(_users, error)
    if password:
        return _users(done=f"{name.strip().lower()} is {kind} from now on.")
    return _users(secret=("The password of " + name.strip().lower(), given))


@access(role="admin")
def view_user(name: str) -> Page:
    """Show one account and what can be changed.

    :param name: of the account
    """
    return _user(name)


@access(role="admin", method="POST")
def view_post_set_role(name: str, role: Role) -> Page | Redirect:
    """Give an account another role.

    :param name: of the account
    :param role: what it may do
    """
    return _changed(name, lambda: book().set_role(book().user(name).name, role))


@access(role="admin", method="POST")
def view_post_set_password(name: str, password: str = "") -> Page:
    """Give an account another password, and sign it out everywhere.

    :param name: of the account
    :param password: empty for one that is made and shown this once
    """
    asked()  # a password does not belong on a command line
    given = password or new_password()
    try:
        book().set_password(name, given)
    except GwayError as error:
        return told(lambda **told: _user(name, **told), error)
    if password:
        return _user(name, done="The password is changed.")
    return _user(name, secret=(f"The password of {name.lower()}", given))


@access(role="admin", method="POST")
def view_post_sign_out_user(name: str) -> Page | Redirect:
    """Sign an account out everywhere.

    :param name: of the account
    """
    return _changed(name, lambda: book().end_sessions(book().user(name).name))


@access(role="admin", method="POST")
def view_post_delete_user(name: str) -> Page | Redirect:
    """Delete an account.

    :param name: of the account
    """
    try:
        book().delete(name)
    except GwayError as error:
        return told(lambda **told: _user(name, **told), error)
    return Redirect(f"{base()}/users")


def _users(
    error: GwayError | None = None,
    done: str = "",
    secret: tuple[str, str] | None = None,
    status: int = 200,
    wanted: Mapping[str, Any] | None = None,
) -> Page:
    rows = [msgspec.structs.asdict(row) for row in verbs.list()]
    table = table_of(rows, USERS, caption="Accounts", view="users", **wanted or {"sort": "name"})
    more: dict[str, Any] = {
        "error": error,
        "done": done,
        "secret": secret,
        "roles": ROLES,
        "shortest": SHORTEST,
    }
    return PAGES("users", title="Accounts", table=table, styles=STYLES, status=status, **more)


def _user(
    name: str,
    error: GwayError | None = None,
    done: str = "",
    secret: tuple[str, str] | None = None,
    status: int = 200,
) -> Page:
    user = book().user(name)
    data = {
        "name": user.name,
        "role": user.role,
        "created_at": user.created_at,
        "password_at": user.changed_at,
        "signed_in_at": user.signed_in_at,
    }
    rows = [msgspec.structs.asdict(row) for row in verbs.sessions(user.name)]
    more: dict[str, Any] = {
        "error": error,
        "done": done,
        "secret": secret,
        "roles": ROLES,
        "shortest": SHORTEST,
    }
    return PAGES(
        "user", title=user.name, data=data, rows=rows, styles=STYLES, status=status, **more
    )


def _changed(name: str, change: Callable[[], object]) -> Page | Redirect:
    try:
        change()
    except GwayError as error:
        return told(lambda **told: _user(name, **told), error)
    return Redirect(f"{base()}/user?name={book().user(name).name.replace('+', '%2B')}")


# --- API tokens --------------------------------------------------------------


@access(role="admin")
def view_tokens(
    *, q: str = "", sort: str = "name", page: int = 1, per_page: int | None = None
) -> Page:
    """List the API tokens.

    :param q: only those that hold these words
    :param sort: a column's name, "-" before it for descending
    :param page: from 1
    :param per_page: rows on a page
    """
    return _tokens(wanted={"q": q, "sort": sort, "page": page, "per_page": per_page})


@access(role="admin")
def view_token(name: str) -> Page:
    """Show one API token and how to revoke it.

    :param name: of the token
    """
    return _token(name)


@access(role="admin", method="POST")
def view_post_create_token(name: str, role: Role = "viewer", expires: float | None = None) -> Page:
    """Make an API token.

    :param name: what it is for
    :param role: what it may do
    :param expires: after so many days
    """
    try:
        text, made = book().create_token(name, role, expires)
    except GwayError as error:
        return told(_tokens, error)
    return _tokens(secret=(f"The token {made.name}", text))


@access(role="admin", method="POST")
def view_post_revoke_token(name: str) -> Page | Redirect:
    """Remove an API token.

    :param name: of the token
    """
    try:
        book().revoke_token(name)
    except GwayError as error:
        return told(_tokens, error)
    return Redirect(f"{base()}/tokens")


def _tokens(
    error: GwayError | None = None,
    secret: tuple[str, str] | None = None,
    status: int = 200,
    wanted: Mapping[str, Any] | None = None,
) -> Page:
    rows = [msgspec.structs.asdict(row) for row in verbs.tokens()]
    table = table_of(
        rows, TOKENS, caption="API tokens", view="tokens", **wanted or {"sort": "name"}
    )
    more: dict[str, Any] = {"error": error, "done": "", "secret": secret, "roles": ROLES}
    return PAGES("tokens", title="API tokens", table=table, styles=STYLES, status=status, **more)


def _token(name: str) -> Page:
    found = [row for row in verbs.tokens() if row.name == name.lower()]
    if not found:
        raise UnknownName(f"there is no token {name!r}", "see the list of tokens")
    data = msgspec.structs.asdict(found[0])
    return PAGES("token", title=found[0].name, data=data, styles=STYLES)
