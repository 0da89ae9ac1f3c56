"""Decorators that say who may call a function, and where its state lives."""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

ROLES = ("viewer", "operator", "admin")
METHODS = ("GET", "POST", "PUT", "DELETE")
WEB_PREFIXES = ("view_", "api_", "render_")


class Access:
    """Who may call a web function, and with which HTTP method (None: by its name)."""

    __slots__ = ("method", "role")

    def __init__(self, role: str = "viewer", method: str | None = None) -> None:
        if role not in ROLES:
            raise ValueError(f"role {role!r} is none of {', '.join(ROLES)}")
        if method is not None and method not in METHODS:
            raise ValueError(f"method {method!r} is none of {', '.join(METHODS)}")
        self.role = role
        self.method = method

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Access):
            return NotImplemented
        return (self.role, self.method) == (other.role, other.method)

    def __hash__(self) -> int:
        return hash((self.role, self.method))

    def __repr__(self) -> str:
        return f"Access(role={self.role!r}, method={self.method!r})"


def access(*, role: str = "viewer", method: str | None = None) -> Callable[[F], F]:
    """Set the role a function needs on the web, and its HTTP method.

    :param role: "viewer", "operator" or "admin"
    :param method: "GET", "POST", "PUT" or "DELETE"; None leaves it to the name
    """
    wanted = Access(role, method)

    def mark(fn: F) -> F:
        fn.__gway_access__ = wanted  # type: ignore[attr-defined]
        return fn

    return mark


def access_of(fn: Callable[..., Any]) -> Access:
    """Say who may call a web function and how; `method` is never None.

    `view_x`, `api_x` and `render_x` are GET for viewers, `api_post_x` and the like
    are that method for operators; `@access` has the last word.
    """
    _, _, rest = fn.__name__.partition("_")
    word, _, bare = rest.partition("_")
    method = word.upper() if bare and word.upper() in METHODS else "GET"
    role = "viewer" if method == "GET" else "operator"
    marked: Access | None = getattr(fn, "__gway_access__", None)
    if marked is None:
        return Access(role, method)
    return Access(marked.role, marked.method or method)


def web_name(function: str) -> tuple[str, str] | None:
    """Split a function's name into kind and address: `api_put_tag` is ("api", "tag")."""
    for prefix in WEB_PREFIXES:
        rest = function.removeprefix(prefix)
        if rest and rest != function:
            word, _, bare = rest.partition("_")
            return prefix[:-1], bare if bare and word.upper() in METHODS else rest
    return None


def shown_as(people: Callable[[Any], Any]) -> Callable[[F], F]:
    """Make a verb's result readable where a person reads it; programs get it whole.

    :param people: makes of the result what its text form shows; decoded JSON, too, as
        verbs that run on a server give it
    """

    def mark(fn: F) -> F:
        fn.__gway_people__ = people  # type: ignore[attr-defined]
        return fn

    return mark


class Told(NamedTuple):
    """How a server answers for a verb; see `told_by`."""

    api: str
    rename: Mapping[str, str]
    give: Callable[[Any], Any]


def told_by(
    api: str, give: Callable[[Any], Any], *, rename: Mapping[str, str] | None = None
) -> Callable[[F], F]:
    """Name the API function that answers for a verb with `--at URL`, if not that of its name.

    :param api: a function of the verb's project, such as "api_tags"
    :param give: makes of its decoded answer what the verb gives
    :param rename: parameters of the verb that are called otherwise there
    """

    def mark(fn: F) -> F:
        fn.__gway_told__ = Told(api, rename or {}, give)  # type: ignore[attr-defined]
        return fn

    return mark


def asks_by_itself(fn: F) -> F:
    """Run a verb here with `--at URL`, too: it asks the server itself, which is `gateway.at`.

    For what goes on, such as a table that follows what happens there.
    """
    fn.__gway_asks__ = True  # type: ignore[attr-defined]
    return fn


def live(fn: F) -> F:
    """Run a verb in the process that serves: here when it is this one, else there.

    Its project needs an `api_` function of the same name, which the call is
    forwarded to. The arguments must be plain values.
    """
    from functools import wraps

    @wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        from gway.resolver import current

        gateway = current()
        if gateway.serving:
            return fn(*args, **kwargs)
        from gway.remote import forward

        return forward(gateway, fn, args, kwargs)

    call.__gway_live__ = True  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]
