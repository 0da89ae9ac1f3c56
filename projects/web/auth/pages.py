"""The pages about accounts: signing in and out, one's own account, everybody's for admins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gway import access
from gway.errors import GwayError, UsageError
from gway.projects.web.auth import verbs
from gway.projects.web.auth.accounts import PROJECT
from gway.projects.web.auth.passwords import SHORTEST, new_password
from gway.projects.web.auth.verbs import Role, book
from gway.projects.web.auth.wayback import local_path
from gway.web.auth import ROLES, Visitor
from gway.web.page import Page, PageMaker
from gway.web.reply import Problem, Redirect
from gway.web.request import CURRENT, Request

PAGES = PageMaker(__file__)
STYLES = ("auth.css",)


# --- signing in and out ------------------------------------------------------


def view_login(next: str = "") -> Page | Redirect:
    """Sign in.

    :param next: address of the page to go to afterwards
    """
    request = _request()
    back = _way_back(next)
    if request.visitor is not None:
        return Redirect(back)
    return _login(back)


@access(role="viewer", method="POST")
def view_post_login(name: str = "", password: str = "", next: str = "") -> Page | Redirect:
    """Sign in and go to a page of this site.

    :param name: of the account
    :param password: its password
    :param next: address of the page to go to
    """
    request, back = _request(), _way_back(next)
    try:
        book().sign_in(request, name, password)
    except Problem as problem:
        request.reply_headers.extend(problem.headers)
        return _login(back, name=name, error=problem, status=problem.status)
    return Redirect(back)


@access(role="viewer", method="POST")
def view_post_logout() -> Redirect:
    """Sign out."""
    book().sign_out(_request())
    return Redirect(f"{_base()}/login")


def _login(back: str, *, name: str = "", error: GwayError | None = None, status: int = 200) -> Page:
    # A link from another site comes without the cookie of who is signed in; the page's own
    # second request has it.
    again = error is None and _request().header("Sec-Fetch-Site") == "cross-site"
    return PAGES(
        "login",
        title="Sign in",
        styles=STYLES,
        status=status,
        next=back,
        name=name if book().exist() else "",
        error=error,
        again=again,
        anybody=book().exist(),
    )


# --- one's own account -------------------------------------------------------


def view_index() -> Redirect:
    """Show who is signed in."""
    return Redirect(f"{_base()}/account")


def view_account() -> Page:
    """Show one's own account and where it is signed in."""
    return _account()


@access(role="viewer", method="POST")
def view_post_password(current: str, new: str, again: str) -> Page | Redirect:
    """Change one's own password, and sign out everywhere else.

    :param current: the password until now
    :param new: the new one
    :param again: the new one once more
    """
    request, visitor = _request(), _own()
    try:
        if new != again:
            raise UsageError("these were two different passwords")
        users = {user.name: user for user in book().users()}
        book().guard.check(users, visitor.name, current, request.remote_addr)
        book().set_password(visitor.name, new)
    except GwayError as error:
        return _told(_account, error)
    book().begin_session(request, visitor.name)
    return _account(done="The password is changed. You are signed out everywhere else.")


@access(role="viewer", method="POST")
def view_post_end_session(session: str) -> Redirect:
    """Sign out in another browser.

    :param session: which one
    """
    book().end_session(_own().name, session)
    return Redirect(f"{_base()}/account")


@access(role="viewer", method="POST")
def view_post_end_others() -> Redirect:
    """Sign out everywhere else."""
    own = book().session(_request())
    book().end_sessions(_own().name, b"" if own is None else own.digest)
    return Redirect(f"{_base()}/account")


def _account(error: GwayError | None = None, done: str = "", status: int = 200) -> Page:
    request = _request()
    visitor = request.visitor or Visitor("", "viewer", "nobody")
    own = book().session(request) if visitor.via == "account" else None
    rows = [
        {
            "id": each.id,
            "this": own is not None and own.digest == each.digest,
            "signed_in_at": each.created_at,
            "used_at": each.seen_at,
            "address": each.address,
            "browser": each.agent,
        }
        for each in (book().sessions(visitor.name) if own is not None else ())
    ]
    return PAGES(
        "account",
        title="Your account",
        data={"name": visitor.name, "role": visitor.role, "via": visitor.via},
        rows=rows,
        styles=STYLES,
        status=status,
        error=error,
        done=done,
        shortest=SHORTEST,
    )


# --- everybody's -------------------------------------------------------------


@access(role="admin")
def view_users() -> Page:
    """List the accounts."""
    return _users()


@access(role="admin", method="POST")
def view_post_create_user(name: str, role: Role | None = None, password: str = "") -> Page:
    """Make an account.

    :param name: a-z, 0-9 and . _ @ + -
    :param role: what it may do
    :param password: empty for one that is made and shown this once
    """
    _request()  # a password does not belong on a command line
    given = password or new_password()
    try:
        kind = book().create(name, given, role)
    except GwayError as error:
        return _told(_users, error)
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
    _request()  # a password does not belong on a command line
    given = password or new_password()
    try:
        book().set_password(name, given)
    except GwayError as error:
        return _told(lambda **told: _user(name, **told), error)
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
        return _told(lambda **told: _user(name, **told), error)
    return Redirect(f"{_base()}/users")


def _users(
    error: GwayError | None = None,
    done: str = "",
    secret: tuple[str, str] | None = None,
    status: int = 200,
) -> Page:
    rows = [msgspec.structs.asdict(row) for row in verbs.list()]
    more: dict[str, Any] = {
        "error": error,
        "done": done,
        "secret": secret,
        "roles": ROLES,
        "shortest": SHORTEST,
    }
    return PAGES("users", title="Accounts", rows=rows, styles=STYLES, status=status, **more)


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
        return _told(lambda **told: _user(name, **told), error)
    return Redirect(f"{_base()}/user?name={book().user(name).name.replace('+', '%2B')}")


# --- API tokens --------------------------------------------------------------


@access(role="admin")
def view_tokens() -> Page:
    """List the API tokens."""
    return _tokens()


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
        return _told(_tokens, error)
    return _tokens(secret=(f"The token {made.name}", text))


@access(role="admin", method="POST")
def view_post_revoke_token(name: str) -> Page | Redirect:
    """Remove an API token.

    :param name: of the token
    """
    try:
        book().revoke_token(name)
    except GwayError as error:
        return _told(_tokens, error)
    return Redirect(f"{_base()}/tokens")


def _tokens(
    error: GwayError | None = None, secret: tuple[str, str] | None = None, status: int = 200
) -> Page:
    rows = [msgspec.structs.asdict(row) for row in verbs.tokens()]
    more: dict[str, Any] = {"error": error, "done": "", "secret": secret, "roles": ROLES}
    return PAGES("tokens", title="API tokens", rows=rows, styles=STYLES, status=status, **more)


# --- inner -------------------------------------------------------------------


def _told(page: Callable[..., Page], error: GwayError) -> Page:
    """Show a page again with what went wrong."""
    if not isinstance(error, Problem):
        return page(error=error, status=400)
    _request().reply_headers.extend(error.headers)
    # A 401 would tell the page's script that the session is over.
    return page(error=error, status=403 if error.status == 401 else error.status)


def _request() -> Request:
    request = CURRENT.get()
    if request is None:
        raise UsageError("this page is for browsers", "see `gway help web.auth`")
    return request


def _own() -> Visitor:
    visitor = _request().visitor
    if visitor is None or visitor.via != "account":
        raise Problem(403, "you came in without an account", hint="sign in with one")
    return visitor


def _base() -> str:
    return _request().site.path_of(PROJECT)


def _way_back(text: str) -> str:
    return local_path(text, never=(f"{_base()}/login", f"{_base()}/logout"))
