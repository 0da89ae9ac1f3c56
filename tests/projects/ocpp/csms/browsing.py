"""Asks a site for its pages as a browser does, without sockets."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from gway.web.routes import Site as WebSite

BASE = "/ocpp/csms"


@dataclass
class Answer:
    status: int
    text: str

    @property
    def words(self) -> str:
        """The text that a reader sees, on one line."""
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", self.text))


class Browser:
    """Asks the site as a browser on this machine does."""

    def __init__(self, web: WebSite) -> None:
        self.web = web
        self.cookie = ""

    def get(self, path: str, **more: str) -> Answer:
        return self._ask("GET", path, more=more)

    def post(self, name: str, *, scripted: bool = False, csrf: str = "", **form: str) -> Answer:
        """Send a form of a charger's page; `scripted` as the page's script does."""
        page = self.get(f"{BASE}/charger-status").text
        token = page.partition('name="gway-csrf" content="')[2].partition('"')[0]
        values = {"csrf": csrf or token, "charger_id": "CPX", **form}
        more = {"HTTP_X_GWAY_FRAGMENT": "1"} if scripted else {}
        return self._ask("POST", f"{BASE}/{name}", urlencode(values).encode(), more)

    def _ask(self, method: str, path: str, body: bytes = b"", more: Any = None) -> Answer:
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_PORT": "8888",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1:8888",
            "HTTP_ORIGIN": "http://127.0.0.1:8888",
            "HTTP_COOKIE": self.cookie,
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            **(more or {}),
        }
        got: list[Any] = []
        parts = self.web.wsgi_app(environ, lambda status, headers: got.extend((status, headers)))
        self.cookie = dict(got[1]).get("Set-Cookie", self.cookie).partition(";")[0]
        return Answer(int(got[0].split()[0]), b"".join(parts).decode())
