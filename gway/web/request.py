"""A request: its path, its values, its cookies, with a cap on what is read."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from gway.web.reply import Problem

if TYPE_CHECKING:
    from gway.web.auth import Visitor
    from gway.web.routes import Site

BODY_LIMIT = 1024 * 1024
STRANGERS_LIMIT = 16 * 1024  # a sign-in is short
AT_ONCE = 16 * 1024  # bytes of a form; more take their time, beside the hub
SAFE_METHODS = frozenset({"GET", "HEAD"})
_MAX_FIELDS = 1000
_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
T = TypeVar("T")

# Set for the length of a request, so that templates can ask for its token and its path.
CURRENT: ContextVar[Request | None] = ContextVar("gway_request", default=None)


class Texts(list[str]):
    """The values of one name in a query or a form; JSON has values of its own types."""


class Request:
    """One request, read lazily.

    :param environ: the WSGI environment
    :param site: the site that answers it
    """

    def __init__(self, environ: dict[str, Any], site: Site) -> None:
        self.environ = environ
        self.site = site
        self.method: str = environ["REQUEST_METHOD"].upper()
        self.visitor: Visitor | None = None
        self.new_cookie: str | None = None
        self.new_session: str | None = None
        """A session that begins with the answer; empty: it ends."""
        self.reply_headers: list[tuple[str, str]] = []
        """Headers that a view adds to the answer."""
        self.label = "other"

    @cached_property
    def path(self) -> str:
        """The decoded path, always with a leading slash."""
        raw: str = self.environ.get("PATH_INFO", "")
        # What is no UTF-8 is the path of nothing here: it is shown as such and not found.
        return "/" + raw.encode("latin-1", "replace").decode("utf-8", "replace").lstrip("/")

    @property
    def wants_twin(self) -> bool:
        """Whether the CSV or JSON form of a page is wanted."""
        return self.path.endswith((".csv", ".json"))

    @property
    def wants_json(self) -> bool:
        """Whether a problem is told as JSON instead of a page."""
        return self.path.startswith("/api/") or self.path.endswith(".json")

    @property
    def wants_page(self) -> bool:
        """Whether a person looks at the answer: a browser asks for a whole page."""
        return (
            not self.wants_json
            and not self.wants_fragment
            and "text/html" in self.header("Accept")
            and not self.header("Authorization")
        )

    @property
    def wants_fragment(self) -> bool:
        """Whether only a page's content is wanted, without the layout around it."""
        return self.path.startswith("/render/") or bool(self.header("X-GWAY-Fragment"))

    @property
    def query_string(self) -> str:
        """The raw query."""
        return str(self.environ.get("QUERY_STRING", ""))

    @property
    def remote_addr(self) -> str:
        """The peer's address, as the socket says."""
        return str(self.environ.get("REMOTE_ADDR", ""))

    @property
    def host(self) -> str:
        """The Host header, lower case, with its port."""
        return str(self.environ.get("HTTP_HOST", "")).lower()

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return str(self.environ.get("wsgi.url_scheme", "http"))

    def header(self, name: str) -> str:
        """Return a header's value, empty when absent."""
        return str(self.environ.get("HTTP_" + name.upper().replace("-", "_"), ""))

    def cookie(self, name: str) -> str:
        """Return a cookie's value, empty when absent."""
        return self._cookies.get(name, "")

    @cached_property
    def _cookies(self) -> dict[str, str]:
        """The cookies by name.

        Other servers of this host share the header, whatever their port; what they write
        may be no cookie to the letter and must not hide ours.
        """
        pairs = (part.partition("=") for part in self.header("Cookie").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}

    @cached_property
    def pad(self) -> bytes:
        """Random bytes that make the token of the answer look like no other."""
        return secrets.token_bytes(32)

    @cached_property
    def query(self) -> dict[str, Texts]:
        """The values of the query, each name with all its values."""
        return _fields(self.query_string)

    @cached_property
    def body_values(self) -> dict[str, Any]:
        """The values of a JSON object or a form in the body; texts for forms."""
        body = self._read()
        if not body:
            return {}
        kind = self.environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower()
        if kind == "application/json":
            return _json_object(body)
        if kind == _URLENCODED:
            return _beside_hub(lambda: dict(_fields(body.decode("latin-1"))), len(body))
        if kind == _MULTIPART:
            return _beside_hub(lambda: self._multipart(body), len(body))
        raise Problem(
            415,
            f"cannot read a body of type {kind or 'unknown'}",
            hint="send application/json or a form",
        )

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """All values by name; those of the body win over those of the query."""
        return {**self.query, **self.body_values}

    def _read(self) -> bytes:
        length = str(self.environ.get("CONTENT_LENGTH") or "0")
        if not (length.isascii() and length.isdecimal()):
            raise Problem(400, "Content-Length is not a number")
        declared = int(length[:20])
        limit = STRANGERS_LIMIT if self.visitor is None else BODY_LIMIT
        if declared > limit:
            raise _too_large(limit)
        chunked = bool(self.header("Transfer-Encoding"))
        if not declared and not chunked:
            return b""
        # The server takes chunks apart itself; one byte over the limit tells that there is more.
        try:
            body: bytes = self.environ["wsgi.input"].read(limit + 1 if chunked else declared)
        except OSError as error:  # what pywsgi raises about chunks, too
            raise Problem(
                400, f"the body cannot be read: {error}", headers=[("Connection", "close")]
            ) from None
        if len(body) > limit:
            raise _too_large(limit)
        if len(body) < declared:
            raise Problem(400, f"the body ended after {len(body)} of {declared} bytes")
        return body

    def _multipart(self, body: bytes) -> dict[str, Any]:
        if body.count(b"\n--") > _MAX_FIELDS:  # before the parser, which takes its time
            raise Problem(400, f"more than {_MAX_FIELDS} values")
        from bottle import BaseRequest, HTTPError  # type: ignore[import-untyped]

        class _Form(BaseRequest):  # type: ignore[misc]  # bottle has no types
            MEMFILE_MAX = BODY_LIMIT

        environ = {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": self.environ["CONTENT_TYPE"],
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        try:
            forms = _Form(environ).forms.decode("utf-8")
        except HTTPError as error:
            raise Problem(error.status_code, f"cannot read the form: {error.body}") from None
        except UnicodeError:
            raise Problem(400, "a value of the form is not UTF-8") from None
        return {name: Texts(forms.getall(name)) for name in forms}


def _json_object(body: bytes) -> dict[str, Any]:
    import msgspec

    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # or a number of 5000 digits
        raise Problem(400, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Problem(400, "the body is not a JSON object", hint='send {"name": value, ...}')
    return value


def _fields(encoded: str) -> dict[str, Texts]:
    """Return the fields of a query or a simple form, each name with all its values."""
    try:
        pairs = parse_qsl(
            encoded, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except UnicodeError:
        raise Problem(400, "a value is not UTF-8") from None
    except ValueError:
        raise Problem(400, f"more than {_MAX_FIELDS} values") from None
    fields: dict[str, Texts] = {}
    for name, value in pairs:
        fields.setdefault(name, Texts()).append(value)
    return fields


def _beside_hub(work: Callable[[], T], size: int) -> T:
    """Read a large form in a native thread: chargers are served meanwhile."""
    if size <= AT_ONCE:
        return work()
    from gevent import get_hub

    from gway.native import in_thread

    return in_thread(get_hub(), work)


def _too_large(limit: int) -> Problem:
    return Problem(
        413,
        f"the body is over {limit // 1024} KiB",
        hint="send it in parts",
        headers=[("Connection", "close")],
    )
