"""Verbs that run on a server: found in `work/server.json`, or named by `--at URL`."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from gway.errors import GwayError, UsageError
from gway.loader import PACKAGE, mount
from gway.marks import access_of, web_name
from gway.site import RECORD

if TYPE_CHECKING:
    from gway.resolver import Gateway

MAX_ANSWER_BYTES = 64 << 20
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Server(NamedTuple):
    """A server that runs verbs; `token` may be empty."""

    url: str
    token: str
    pid: int = 0


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
) -> Any:
    """Run a verb on a server through its `api_` function, and give the decoded answer."""
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
    method, path = twin(gateway, fn)
    return request(gateway, server, method, path, values)


def twin(gateway: Gateway, fn: Callable[..., Any]) -> tuple[str, str]:
    """Give the method and path of the function that does on a server what `fn` does here."""
    project = project_of(fn)
    functions = gateway.load(project)._functions()
    name = fn.__name__
    twin_name = name if web_name(name) else f"api_{name}"
    found = functions.get(twin_name)
    kind = web_name(twin_name)
    if found is None or kind is None:
        raise UsageError(
            f"'{name}' of {project} does not run on a server", f"it has no '{twin_name}'"
        )
    address = f"/{project.replace('.', '/')}/{kind[1]}"
    paths = {"api": f"/api{address}", "view": f"{address}.json", "render": f"/render{address}"}
    return access_of(found).method or "GET", paths[kind[0]]


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


def at(gateway: Gateway, url: str) -> Server:
    """Give the server of `--at URL`, with the token that fits."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--at: {url!r} is no http address", "such as http://127.0.0.1:8888")
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    known = recorded(gateway)
    token = gateway.settings.get("TOKEN")
    if token is None and known is not None and known.url.rstrip("/") == base:
        token = known.token
    if token and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise UsageError(f"--at: a token is not sent in the clear to {base}", "use https")
    return Server(base, token or "")


def request(
    gateway: Gateway, server: Server, method: str, path: str, values: Mapping[str, Any]
) -> Any:
    """Send one request and give the decoded answer; every failure is one sentence."""
    url = server.url.rstrip("/") + path
    headers = {"Accept": "application/json"}
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
        with _opener(server.url).open(asked, timeout=timeout_s) as answer:
            return _decode(answer.read(MAX_ANSWER_BYTES + 1), server)
    except HTTPError as error:
        raise _refused(error, server) from None
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        hint = "is it running?" if "refused" in str(reason) else None
        raise GwayError(f"{server.url} does not answer: {reason}", hint) from None


def _opener(url: str) -> OpenerDirector:
    handlers: list[Any] = [_NoRedirects]
    if urlsplit(url).hostname in LOOPBACK:
        handlers.append(ProxyHandler({}))
    return build_opener(*handlers)


def _decode(data: bytes, server: Server) -> Any:
    if len(data) > MAX_ANSWER_BYTES:
        raise GwayError(f"{server.url} answered with more than {MAX_ANSWER_BYTES >> 20} MiB")
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        raise GwayError(f"{server.url} did not answer with JSON", "is it a GWAY server?") from None


def _refused(error: HTTPError, server: Server) -> GwayError:
    """Make an error of a status, with the server's own words where it gave some."""
    with error:
        try:
            told = json.loads(error.read(1 << 16))
        except (ValueError, OSError):
            told = {}
    if not isinstance(told, dict):
        told = {}
    said = told.get("error") or told.get("message") or error.reason
    if isinstance(said, dict):
        said = said.get("message") or error.reason
    hint = told.get("hint")
    if error.code in (401, 403):
        hint = "set GWAY_TOKEN to the token of that server, which is in its work/server.json"
    if error.code == 404 and not hint and str(said).startswith("there is nothing at "):
        hint = "the recipe of that server has to set the project up: `web app setup-app PROJECT`"
    if 300 <= error.code < 400:
        said = f"it sends us on to {error.headers.get('Location')}"
    return GwayError(f"{server.url}: {said} ({error.code})", str(hint) if hint else None)


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
