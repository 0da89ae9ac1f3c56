"""Ask another gateway for the pages that are not known here.

What comes from there is shown under our own address, so it must not act as ours: nothing
of the visitor goes out (no cookies, no credentials), and nothing of the answer may run a
script, send a form or lead the browser on. It is there to be looked at. A remote that wants
a sign-in can give this gateway an API token of its own, best one of a viewer: whoever may look
at pages here then sees what that token may see.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from urllib.parse import quote, urlsplit

from gway.errors import GwayError, UsageError
from gway.remote import is_loopback
from gway.settings import Setting
from gway.web.proxies import VIA
from gway.web.reply import Reply, json_reply, problem_body
from gway.web.request import SAFE_METHODS, Request

log = logging.getLogger("gway.web.forward")

TOKEN = Setting(
    "WEB_PROXY_TOKEN",
    None,
    str,
    "API token that the remote of `--proxy` gave this site, best a viewer's",
    secret=True,
)
CA = Setting("WEB_PROXY_CA", None, str, "PEM file of certificates to trust for `--proxy`")
SETTINGS = (TOKEN, CA)

CONNECT_S = 2.0
WHOLE_S = 10.0
SIZE_LIMIT = 8 * 1024 * 1024
AT_ONCE = 8  # questions under way; each may hold SIZE_LIMIT in memory
RETRY_S = 10
_TITLES = {
    404: "There is nothing here",
    405: "Only to be looked at",
    502: "This page is not shown here",
    503: "Not known here, and the remote is away",
}
_HINT = "Chargers, and the pages of this site, do not need it."
_CHUNK = 65_536
_PASSED_ON = ("Accept", "Accept-Language")
_KEPT = ("Content-Disposition", "Content-Encoding", "Content-Language", "Last-Modified")
_SCRIPTS = ("javascript", "ecmascript", "jscript", "livescript")
# Beside our own policy, which a browser then enforces as well. In the sandbox no page leads the
# browser on by itself; it stays of our origin, as its style sheets are asked for with our cookie.
_LOOK_ONLY = (
    "Content-Security-Policy",
    "script-src 'none'; connect-src 'none'; worker-src 'none'; form-action 'none';"
    " sandbox allow-same-origin allow-downloads",
)


class TooSlow(Exception):
    """The whole time for an answer is over."""


class Forward:
    """Forwards requests that look at something to a remote web address.

    :param remote: such as `https://cloud.example`
    :param token: an API token that the remote gave; it goes nowhere else, and not in the clear
    :param ca: PEM file of certificates to trust in the place of the system's
    """

    def __init__(self, remote: str, token: str | None = None, ca: str | None = None) -> None:
        try:
            parts = urlsplit(remote if "//" in remote else f"http://{remote}")
            self._port = parts.port
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsageError(f"{remote!r} is no web address", hint="such as https://cloud.example")
        if token and parts.scheme == "http" and not is_loopback(parts.hostname):
            raise UsageError(
                f"{remote} would get {TOKEN.name} over the network for all to read",
                hint=f"use https, or unset GWAY_{TOKEN.name}",
            )
        self.remote = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._token = token
        self._host = parts.hostname
        self._base = parts.path.rstrip("/")
        # Made here, as reading the certificates of all authorities takes long.
        self._tls = _trusted(ca) if parts.scheme == "https" else None
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def __call__(self, request: Request) -> Reply | None:
        """Answer a request with what the remote says to it; None if only we can answer it."""
        if VIA in request.header("Via"):
            return None  # two gateways that ask each other would never stop
        if request.wants_fragment:
            return None  # it would become a part of a page of ours, where scripts and forms work
        if "\\" in request.path or not {".", ".."}.isdisjoint(request.path.split("/")):
            return self._told(request, 404, "there is nothing at {path}")  # nor above our base
        if request.method not in SAFE_METHODS:
            return self._told(request, 405, "pages of {remote} can only be looked at here")
        if not self._free.acquire(blocking=False):
            return self._told(request, 503, "{remote} has been asked for many pages just now")
        try:
            with _deadline(WHOLE_S):
                return self._asked(request)
        except ssl.SSLCertVerificationError as error:
            log.warning("the certificate of %s: %s", self.remote, error.verify_message)
            return self._told(request, 502, "{remote} has no certificate that is trusted here")
        except (OSError, http.client.HTTPException, TooSlow) as error:
            log.info("%s cannot be asked: %s", self.remote, error or "too slow")
            return self._told(request, 503, "{path} is not known here, and {remote} is away")
        finally:
            self._free.release()

    def _asked(self, request: Request) -> Reply:
        connection = self._connect()
        try:
            connection.request(
                request.method, self._target(request), headers=self._headers(request)
            )
            answer = connection.getresponse()
            body = _read(answer) if 200 <= answer.status < 300 else b""
        finally:
            connection.close()
        if len(body) > SIZE_LIMIT:
            limit = f"{SIZE_LIMIT >> 20} MiB"
            return self._told(request, 502, f"what {{remote}} has at {{path}} is over {limit}")
        if not 200 <= answer.status < 300:
            return self._refused(request, answer.status)
        kind = _clean(answer.getheader("Content-Type")) or "application/octet-stream"
        if any(each in kind.lower() for each in _SCRIPTS):
            return self._told(request, 502, "scripts of {remote} are not run here")
        kept = [(name, value) for name in _KEPT if (value := _clean(answer.getheader(name)))]
        marks = [("Via", VIA), ("X-GWAY-Remote", self.remote), _LOOK_ONLY]
        return Reply(body, answer.status, kind, [*kept, *marks])

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_S)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=CONNECT_S, context=self._tls
            )
        connection.connect()
        connection.sock.settimeout(WHOLE_S)
        return connection

    def _headers(self, request: Request) -> dict[str, str]:
        passed = {name: request.header(name) for name in _PASSED_ON if request.header(name)}
        ours = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {**passed, **ours, "User-Agent": "gway", "Via": VIA}

    def _target(self, request: Request) -> str:
        raw = request.query_string.encode("latin-1", "replace")
        query = f"?{quote(raw, safe='%&=+;,/:@!$()*~?[]')}" if raw else ""
        return self._base + quote(request.path) + query

    # --- answers of our own --------------------------------------------------

    def _refused(self, request: Request, status: int) -> Reply:
        """Say in our own words what another status of the remote means for the visitor."""
        if status in (404, 410):
            return self._told(request, 404, "there is nothing at {path}, neither here nor there")
        if status in (401, 403):
            said = "{remote} wants a sign-in for {path}"
            hint = f"a token that it made for this site belongs into GWAY_{TOKEN.name}"
            return self._told(request, 502, said, hint)
        if 300 <= status < 400:
            # Most likely to its sign-in, at an address that would be ours in the browser.
            said = "{remote} sends on from {path}, most likely to its sign-in; that is not followed"
            return self._told(request, 502, said)
        if status in (429, 503):
            return self._told(request, 503, "{remote} has too much to do")
        return self._told(request, 502, f"{{remote}} answers {{path}} with {status}")

    def _told(self, request: Request, status: int, message: str, hint: str = _HINT) -> Reply:
        message = message.replace("{remote}", self.remote).replace("{path}", request.path)
        again = status == 503
        if request.wants_json:
            reply = json_reply(problem_body(status, message, hint), status)
        else:
            there = self.remote + quote(request.path)
            values = {"message": message, "hint": hint, "again": again, "there": there}
            renderer = request.site.renderer
            page = renderer.remote(status, _TITLES[status], path=quote(request.path), **values)
            reply = renderer.document(request, page)
        if again:
            reply.headers.append(("Retry-After", str(RETRY_S)))
        if status == 405:
            reply.headers.append(("Allow", ", ".join(sorted(SAFE_METHODS))))
        return reply


def _trusted(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise GwayError(
            f"{ca} holds no certificates that can be read: {error}", f"see GWAY_{CA.name}"
        ) from None


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise TooSlow after a time, however slowly the bytes drip in; for greenlets."""
    from gevent import Timeout

    with Timeout(seconds, TooSlow()):
        yield


def _read(answer: http.client.HTTPResponse) -> bytes:
    """Read a body up to the limit and a byte more, and no longer than the whole time."""
    until = monotonic() + WHOLE_S
    parts: list[bytes] = []
    size = 0
    while size <= SIZE_LIMIT and (part := answer.read(_CHUNK)):
        parts.append(part)
        size += len(part)
        if monotonic() > until:
            raise TooSlow
    return b"".join(parts)


def _clean(value: str | None) -> str:
    """Give a header's value, or nothing when it could not stand in one line."""
    return value if value and value.isprintable() else ""
