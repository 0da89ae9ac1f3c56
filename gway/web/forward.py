"""Ask another gateway for the pages that are not known here."""

from __future__ import annotations

import http.client
import logging
import ssl
from urllib.parse import quote, urlsplit

from gway.errors import UsageError
from gway.web.reply import Problem, Redirect, Reply
from gway.web.request import Request

log = logging.getLogger("gway.web.forward")

TIMEOUT_S = 10.0
VIA = "1.1 gway"
SIZE_LIMIT = 16 * 1024 * 1024
_PASSED_ON = ("Accept", "Accept-Language", "X-GWAY-Fragment")
_KEPT = ("Content-Disposition", "ETag", "Last-Modified")


class Forward:
    """Forwards requests to a remote web address.

    Only what can be looked at goes there, without cookies or credentials; redirects are
    handed on when they stay on the same server, and never followed.

    :param remote: such as `https://cloud.example`
    """

    def __init__(self, remote: str) -> None:
        parts = urlsplit(remote if "//" in remote else f"http://{remote}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsageError(f"{remote!r} is no web address", hint="such as https://cloud.example")
        self.remote = f"{parts.scheme}://{parts.netloc}"
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._base = parts.path.rstrip("/")

    def __call__(self, request: Request) -> Reply | None:
        """Answer a request with what the remote says to it; None if it came from a gateway."""
        if VIA in request.header("Via"):
            return None  # two gateways that ask each other would never stop
        connection = self._connect()
        try:
            connection.request(request.method, self._target(request), headers=_headers(request))
            answer = connection.getresponse()
            body = answer.read(SIZE_LIMIT + 1)
        except (OSError, http.client.HTTPException) as error:
            log.info("%s cannot be asked: %s", self.remote, error)
            raise Problem(
                502,
                f"there is nothing at {request.path} here, and {self.remote} cannot be asked",
                hint="it may be offline; what is local goes on",
            ) from None
        finally:
            connection.close()
        if len(body) > SIZE_LIMIT:
            raise Problem(502, f"the answer of {self.remote} is too large")
        return self._reply(answer, body)

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)

    def _target(self, request: Request) -> str:
        query = f"?{request.query_string}" if request.query_string else ""
        return self._base + quote(request.path) + query

    def _reply(self, answer: http.client.HTTPResponse, body: bytes) -> Reply:
        headers = [(name, value) for name in _KEPT if (value := answer.getheader(name))]
        headers.append(("Via", VIA))
        kind = answer.getheader("Content-Type", "application/octet-stream")
        if answer.status in (301, 302, 303, 307, 308):
            try:
                headers.append(("Location", Redirect(answer.getheader("Location", "")).path))
            except ValueError:
                raise Problem(502, f"{self.remote} sends the browser elsewhere") from None
        status = answer.status if answer.status >= 200 else 502
        return Reply(body, status, kind, headers)


def _headers(request: Request) -> dict[str, str]:
    passed = {name: request.header(name) for name in _PASSED_ON if request.header(name)}
    return {**passed, "User-Agent": "gway", "Via": VIA}
