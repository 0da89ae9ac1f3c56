"""What goes back to a browser or a program, and the problems that end a request early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from gway.errors import GwayError
from gway.web import formats
from gway.web.headers import NO_STORE, SECURITY_HEADERS


@dataclass(slots=True)
class Reply:
    """A response: status, body and the headers that are its own.

    :param body: text, bytes, or an iterable of bytes for a stream
    :param cache: value of Cache-Control; data is never stored
    """

    body: str | bytes | Iterable[bytes] = b""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: list[tuple[str, str]] = field(default_factory=list)
    cache: str = NO_STORE

    @property
    def status_line(self) -> str:
        """The status as WSGI wants it."""
        return f"{self.status} {reason_of(self.status)}"

    def all_headers(self) -> list[tuple[str, str]]:
        """Return the headers with the type, the caching rule and the security headers."""
        own = [*self.headers, ("Cache-Control", self.cache), *SECURITY_HEADERS]
        if self.content_type:
            own.append(("Content-Type", self.content_type))
        return own


class Problem(GwayError):
    """End a request with a status and a sentence.

    :param status: HTTP status, 400 or more
    :param message: what happened, with the value, and why
    :param hint: what to do
    :param headers: further headers of the answer
    """

    def __init__(
        self,
        status: int,
        message: str,
        hint: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.headers = tuple(headers)


@dataclass(frozen=True, slots=True)
class Redirect:
    """A view's answer "look there instead": 303, within this server only.

    :param path: an absolute path of this server, such as `/ocpp/csms/charger-status`
    """

    path: str

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or self.path.startswith(("//", "/\\")):
            raise ValueError(f"not a path of this server: {self.path!r}")
        if any(ord(character) < 32 for character in self.path):
            raise ValueError("a path holds no control characters")


def reason_of(status: int) -> str:
    """Return the standard words for a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # another server's own invention, handed on
        return "Unknown"


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a reply with a value as JSON."""
    return Reply(formats.to_json_bytes(value), status, "application/json")


def problem_body(
    status: int, message: str, hint: str | None = None, error_id: str | None = None
) -> Mapping[str, Any]:
    """Return the JSON form of a problem, the same for every API function."""
    body: dict[str, Any] = {"status": status, "error": message}
    if hint:
        body["hint"] = hint
    if error_id:
        body["id"] = error_id
    return body


def redirect(path: str, status: int = 303) -> Reply:
    """Return a reply that sends the browser to another path of this server."""
    return Reply(b"", status, headers=[("Location", Redirect(path).path)])
