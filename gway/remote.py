"""Verbs that run on a server: found in `work/server.json`, or named by `--at URL`.

A token goes to the server that was named and to no other: redirects are not followed,
certificates are checked, and without TLS it stays on this machine unless that was asked for.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import ssl
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from http.client import HTTPException, HTTPMessage
from ipaddress import ip_address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from gway import credentials
from gway.errors import GwayError, UsageError
from gway.loader import PACKAGE, mount
from gway.marks import Told, access_of, web_name
from gway.refusals import Refused, refused, unreachable
from gway.site import RECORD

if TYPE_CHECKING:
    from gway.output import Format
    from gway.resolver import Gateway
    from gway.web.page import Page

MAX_ANSWER_BYTES = 64 << 20
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
JSON = "application/json"
ACCEPT = {"csv": "text/csv", "html": "text/html"}


class Server(NamedTuple):
    """A server that runs verbs; `token` may be empty, and `asked` for when it is missed."""

    url: str
    token: str
    pid: int = 0
    asked: bool = False
    plain: bool = False

    @property
    def in_the_clear(self) -> bool:
        """Whether what goes there can be read on the way."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not is_loopback(parts.hostname)


class _NoRedirects(HTTPRedirectHandler):
    """Follows nothing: the token is meant for the server that was named."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def forward(
    gateway: Gateway, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run a live verb on the server that this workspace's `work/server.json` names."""
    server = recorded(gateway)
    if server is None:
        raise GwayError(
            f"'{fn.__name__}' needs a running server, and none runs in {gateway.workspace.root}",
            "start one in another terminal with `gway run RECIPE`, or name one with --at URL",
        )
    return call(gateway, server, fn, args, kwargs)


def call(
    gateway: Gateway,
    server: Server,
    fn: Callable[..., Any],
    args: tuple[Any, ...] | list[Any],
    kwargs: Mapping[str, Any],
    format: Format = "text",
) -> Any:
    """Run a verb on a server through its `api_` function, and give the decoded answer.

    A page comes as one that carries the server's own text for `csv` and `html`.

    :param format: what the result will be shown as
    """
    bound = inspect.signature(fn).bind(*args, **kwargs).arguments
    extra = next(
        (
            name
            for name, each in inspect.signature(fn).parameters.items()
            if each.kind is each.VAR_KEYWORD
        ),
        "",
    )
    values = {**bound, **bound.get(extra, {})} if extra else dict(bound)
    values.pop(extra, None)
    told = told_of(fn)
    if told is not None:
        values = {told.rename.get(name, name): value for name, value in values.items()}
    method, path = twin(gateway, fn)
    if path.endswith(".json"):
        if format in ACCEPT:
            path = path.removesuffix(".json") + (".csv" if format == "csv" else "")
        answer = _ask(gateway, server, method, path, values, ACCEPT.get(format, JSON))
        return _page(answer, server, fn.__name__, format)
    given = request(gateway, server, method, path, values)
    given = _revived(given) if format != "json" else given
    return given if told is None else told.give(given)


def twin(gateway: Gateway, fn: Callable[..., Any]) -> tuple[str, str]:
    """Give the method and path of the function that does on a server what `fn` does here."""
    project = project_of(fn)
    functions = gateway.load(project)._functions()
    name = fn.__name__
    told = told_of(fn)
    twin_name = told.api if told is not None else name if web_name(name) else f"api_{name}"
    found = functions.get(twin_name)
    kind = web_name(twin_name)
    if found is None or kind is None:
        raise UsageError(
            f"'{name}' of {project} does not run on a server", f"it has no '{twin_name}'"
        )
    address = f"/{project.replace('.', '/')}/{kind[1]}"
    paths = {"api": f"/api{address}", "view": f"{address}.json", "render": f"/render{address}"}
    return access_of(found).method or "GET", paths[kind[0]]


def told_of(fn: Callable[..., Any]) -> Told | None:
    """Give what a verb says of its API function, if it says anything."""
    told: Told | None = getattr(fn, "__gway_told__", None)
    return told


def project_of(fn: Callable[..., Any]) -> str:
    """Give the dotted name of the project that a function belongs to."""
    parts = fn.__module__.removeprefix(PACKAGE + ".").split(".")
    while len(parts) > 1 and mount().locate(".".join(parts)) is None:
        parts.pop()  # a face, or a part of the project
    return ".".join(parts)


def recorded(gateway: Gateway) -> Server | None:
    """Read where the server of this workspace listens; None when none runs."""
    path = gateway.workspace.work(RECORD, parents=False)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        server = Server(str(found["url"]), str(found.get("token") or ""), int(found["pid"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GwayError(f"{path} cannot be read: {error}", "remove it and restart it") from None
    return server if _runs(server.pid) else None


def at(gateway: Gateway, url: str, *, plain: bool = False) -> Server:
    """Give the server of `--at URL`, with the token that fits.

    :param plain: send a token even where others could read it on its way
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise UsageError(f"--at: {url!r} is no http address", "such as http://127.0.0.1:8888")
    if "@" in parts.netloc:
        raise UsageError(
            "--at: an address with a password in it can be read by others", credentials.WAYS
        )
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    server = Server(base, credentials.find_token(gateway, base), asked=True, plain=plain)
    return _guarded(server)


def _guarded(server: Server) -> Server:
    """Give a server back, unless its token would travel where others can read it."""
    if server.token and server.in_the_clear and not server.plain:
        raise UsageError(
            f"--at: a token is not sent in the clear to {server.url}",
            "use https, or add --at-insecure if nobody can listen on the way",
        )
    return server


def is_loopback(host: str | None) -> bool:
    """Say whether a host can only be this machine."""
    if host in LOOPBACK:
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


class Answer(NamedTuple):
    """What a server answered; `columns` are those of the table of a page's JSON."""

    data: bytes
    kind: str
    columns: list[str] | None


def request(
    gateway: Gateway, server: Server, method: str, path: str, values: Mapping[str, Any]
) -> Any:
    """Send one request and give the decoded answer; every failure is one sentence.

    Where a token is missing, a person on a terminal is asked for one.
    """
    return _decode(_ask(gateway, server, method, path, values).data, server)


def _ask(
    gateway: Gateway,
    server: Server,
    method: str,
    path: str,
    values: Mapping[str, Any],
    accept: str = JSON,
) -> Answer:
    try:
        return _send(gateway, server, method, path, values, accept)
    except Refused as error:
        if error.status != 401 or server.token or not server.asked:
            raise
        if server.in_the_clear and not server.plain:
            raise
        token = credentials.ask_token(server.url)
        if not token:
            raise
        return _send(gateway, server._replace(token=token), method, path, values, accept)


def _send(
    gateway: Gateway,
    server: Server,
    method: str,
    path: str,
    values: Mapping[str, Any],
    accept: str,
) -> Answer:
    url = server.url.rstrip("/") + path
    headers = {"Accept": accept}
    body: bytes | None = None
    if server.token:
        headers["Authorization"] = f"Bearer {server.token}"
    if method in ("GET", "DELETE"):
        query = urlencode({k: _text(v) for k, v in values.items() if v is not None}, doseq=True)
        url += f"?{query}" if query else ""
    else:
        body = json.dumps(values, default=_plain).encode()
        headers["Content-Type"] = "application/json"
    timeout_s = float(gateway.settings.get("REMOTE_TIMEOUT_S"))
    asked = Request(url, body, headers, method=method)
    try:
        opener = _opener(server.url, str(gateway.settings.get("REMOTE_CA")))
        with opener.open(asked, timeout=timeout_s) as answer:
            data = answer.read(MAX_ANSWER_BYTES + 1)
            found = Answer(data, answer.headers.get_content_type(), _columns(answer.headers))
    except HTTPError as error:
        raise refused(error, server) from None
    except (URLError, HTTPException, OSError) as error:
        raise unreachable(error, server) from None
    if len(data) > MAX_ANSWER_BYTES:
        raise GwayError(f"{server.url} answered with more than {MAX_ANSWER_BYTES >> 20} MiB")
    return found


def stream(gateway: Gateway, server: Server, path: str, timeout_s: float) -> Any:
    """Open something that a server goes on telling, such as `/events?topic=...`.

    Raises OSError when it cannot be opened; reading it raises that, too, when it falls silent.

    :param timeout_s: how long the server may say nothing
    """
    headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
    asked = Request(server.url.rstrip("/") + path, headers=headers)
    opener = _opener(server.url, str(gateway.settings.get("REMOTE_CA")))
    return opener.open(asked, timeout=timeout_s)


def _columns(headers: HTTPMessage) -> list[str] | None:
    try:
        return [str(each) for each in json.loads(headers["X-GWAY-Columns"])]
    except (TypeError, ValueError):
        return None


def _opener(url: str, authorities: str) -> OpenerDirector:
    parts = urlsplit(url)
    handlers: list[Any] = [_NoRedirects]
    if is_loopback(parts.hostname):
        handlers.append(ProxyHandler({}))
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if authorities:
            try:
                context.load_verify_locations(os.path.expanduser(authorities))
            except OSError as error:
                raise GwayError(f"GWAY_REMOTE_CA: {authorities} cannot be used: {error}") from None
        handlers.append(HTTPSHandler(context=context))
    return build_opener(*handlers)


def _decode(data: bytes, server: Server) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        raise GwayError(f"{server.url} did not answer with JSON", "is it a GWAY server?") from None


def _page(answer: Answer, server: Server, name: str, format: Format) -> Page:
    """Make a page of what a server told of one, so that it is shown as one from here."""
    from gway.web.page import Page

    if format in ACCEPT:
        if answer.kind != ACCEPT[format]:
            raise GwayError(f"{server.url} did not answer with {ACCEPT[format]} but {answer.kind}")
        text = answer.data.decode("utf-8", "replace")

        class Told(Page):
            def to_csv(self) -> str:
                return text

        return Told(text)
    content = _decode(answer.data, server)
    content = _revived(content) if format != "json" else content
    if isinstance(content, list):
        return Page(title=name, name=name, rows=content, columns=answer.columns)
    data = dict(content) if isinstance(content, dict) else {"value": content}
    rows = data.pop("rows", None)
    return Page(title=name, name=name, rows=rows, data=data, columns=answer.columns)


# --- values ------------------------------------------------------------------


def _revived(value: Any) -> Any:
    """Make times of texts that our encoder made of times, so that they are shown as such."""
    if isinstance(value, dict):
        # What a charger wrote is shown as it wrote it.
        return {k: v if k.endswith("_raw") else _revived(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_revived(each) for each in value]
    if isinstance(value, str) and TIME.fullmatch(value):
        return datetime.fromisoformat(value)
    return value


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _text(value: Any) -> Any:
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_text(each) for each in value]
    if isinstance(value, dict):
        return json.dumps(value, default=_plain)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _plain(value) if isinstance(value, (datetime, date, Enum, Path)) else value


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    raise UsageError(f"{value!r} cannot be sent to a server")
