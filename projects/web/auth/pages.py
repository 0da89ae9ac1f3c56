"""The pages about accounts: signing in and out, one's own account, everybody's for admins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gway import access
from gway.errors import GwayError, UsageError
from gway.projects.web.auth.accounts import PROJECT
from gway.projects.web.auth.passwords import SHORTEST
from gway.projects.web.auth.verbs import book
from gway.projects.web.auth.wayback import local_path
from gway.web.auth import Visitor
from gway.web.page import Page, PageMaker
from gway.web.reply import Problem, Redirect
from gway.web.request import CURRENT, Request
from gway.web.tables import Column, table_of

PAGES = PageMaker(__file__)
STYLES = ("auth.css",)
SESSIONS = (
    Column("address"),
    Column("browser", show=lambda row: row["browser"] or "Unknown browser"),
    Column("signed_in_at", "Since", kind="time"),
    Column("used_at", "Last used", kind="ago"),
    Column("this", "Sign out", sortable=False, show=lambda row: "", part="session_end"),
)


# --- signing in and out ------------------------------------------------------


def view_login(next: str = "") -> Page | Redirect:
    """Sign in.

    :param next: address of the page to go to afterwards
    """
    request = asked()
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
    request, back = asked(), _way_back(next)
    try:
        book().sign_in(request, name, password)
    except Problem as problem:
        request.reply_headers.extend(problem.headers)
        return _login(back, name=name, error=problem, status=problem.status)
    return Redirect(back)


@access(role="viewer", method="POST")
def view_post_logout() -> Redirect:
    """Sign out."""
    book().sign_out(asked())
    return Redirect(f"{base()}/login")


def _login(back: str, *, name: str = "", error: GwayError | None = None, status: int = 200) -> Page:
    # A link from another site comes without the cookie of who is signed in; the page's own
    # second request has it.
    again = error is None and asked().header("Sec-Fetch-Site") == "cross-site"
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
    return Redirect(f"{base()}/account")


def view_account(
    *, q: str = "", sort: str = "-used_at", page: int = 1, per_page: int | None = None
) -> Page:
    """Show one's own account and where it is signed in.

    :param q: only sessions that hold these words
    :param sort: a column's name, "-" before it for descending
    :param page: from 1
    :param per_page: sessions on a page
    """
    return _account(wanted={"q": q, "sort": sort, "page": page, "per_page": per_page})


@access(role="viewer", method="POST")
def view_post_password(current: str, new: str, again: str) -> Page | Redirect:
    """Change one's own password, and sign out everywhere else.

    :param current: the password until now
    :param new: the new one
    :param again: the new one once more
    """
    request, visitor = asked(), _own()
    try:
        if new != again:
            raise UsageError("these were two different passwords")
        users = {user.name: user for user in book().users()}
        known = book().guard.check(users, visitor.name, current, request.remote_addr)
        book().set_password(visitor.name, new, known)
    except GwayError as error:
        return told(_account, error)
    book().begin_session(request, book().user(visitor.name))
    return _account(done="The password is changed. You are signed out everywhere else.")


@access(role="viewer", method="POST")
def view_post_end_session(session: str) -> Redirect:
    """Sign out in another browser.

    :param session: which one
    """
    book().end_session(_own().name, session)
    return Redirect(f"{base()}/account")


@access(role="viewer", method="POST")
def view_post_end_others() -> Redirect:
    """Sign out everywhere else."""
    own = book().session(asked())
    book().end_sessions(_own().name, b"" if own is None else own.digest)
    return Redirect(f"{base()}/account")


def _account(
    error: GwayError | None = None,
    done: str = "",
    status: int = 200,
    wanted: Mapping[str, Any] | None = None,
) -> Page:
    request = asked()
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
    table = table_of(
        rows, SESSIONS, caption="Signed in", view="account", **wanted or {"sort": "-used_at"}
    )
    more: dict[str, Any] = {"error": error, "done": done, "shortest": SHORTEST}
    return PAGES(
        "account",
        title="Your account",
        data={"name": visitor.name, "role": visitor.role, "via": visitor.via},
        table=table,
        others=len(rows) > 1,
        styles=STYLES,
        status=status,
        **more,
    )


# --- inner -------------------------------------------------------------------


def told(page: Callable[..., Page], error: GwayError) -> Page:
    """Show a page again with what went wrong."""
    if not isinstance(error, Problem):
        return page(error=error, status=400)
    asked().reply_headers.extend(error.headers)
    # A 401 would tell the page's script that the session is over.
    return page(error=error, status=403 if error.status == 401 else error.status)


def asked() -> Request:
    """Return the request that is answered; UsageError outside one."""
    request = CURRENT.get()
    if request is None:
        raise UsageError("this page is for browsers", "see `gway help web.auth`")
    return request


def _own() -> Visitor:
    visitor = asked().visitor
    if visitor is None or visitor.via != "account":
        raise Problem(403, "you came in without an account", hint="sign in with one")
    return visitor


def base() -> str:
    """Return where this project is on the site."""
    return asked().site.path_of(PROJECT)


def _way_back(text: str) -> str:
    return local_path(text, never=(f"{base()}/login", f"{base()}/logout"))
