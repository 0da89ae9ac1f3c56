"""A browser without a window: it keeps cookies, sends an Origin and asks for pages."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from gway.web.routes import Site

PASSWORD = "correct horse battery"
ORIGIN = "http://127.0.0.1:8888"


@dataclass
class Answer:
    """What a request got back; names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return self.headers.get("location", "")


@dataclass
class Browser:
    """A visitor of a site in this process."""

    site: Site
    address: str = "127.0.0.1"
    accept: str = "text/html,*/*;q=0.8"
    scheme: str = "http"
    origin: str | None = ORIGIN
    jar: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, values: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """Post a form with the token of this browser's session."""
        form = {"csrf": self.token(), **(values or {})}
        body = urlencode(form, doseq=True).encode()
        return self.send("POST", path, body, "application/x-www-form-urlencoded", headers)

    def token(self) -> str:
        """Give the CSRF token that a page of this session has."""
        for page in ("/web/auth/login", "/web/auth/account"):
            found = re.search(r'name="csrf" value="(\w+)"', self.get(page).text)
            if found is not None:
                return found[1]
        found = re.search(r'name="gway-csrf" content="(\w+)"', self.get("/").text)
        return "" if found is None else found[1]

    def sign_in(self, name: str, password: str = PASSWORD, next: str = "/") -> Answer:
        values = {"name": name, "password": password, "next": next}
        return self.post("/web/auth/login", values)

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        path, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path.encode().decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8888",
            "REMOTE_ADDR": self.address,
            "HTTP_HOST": "127.0.0.1:8888",
            "HTTP_ACCEPT": self.accept,
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in self.jar.items()),
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": self.scheme,
        }
        if self.origin is not None and method not in ("GET", "HEAD"):
            environ["HTTP_ORIGIN"] = self.origin.replace("http:", f"{self.scheme}:")
        for name, value in (headers or {}).items():
            environ[f"HTTP_{name.upper()}"] = value
        started: list[tuple[str, list[tuple[str, str]]]] = []
        parts = self.site.wsgi_app(environ, lambda status, got: started.append((status, got)))
        status, got = started[0]
        cookies = [value for name, value in got if name == "Set-Cookie"]
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            if "Max-Age=0" in cookie:
                self.jar.pop(name, None)
            else:
                self.jar[name] = value
        names = {name.lower(): value for name, value in got}
        content = b"" if names.get("content-type") == "text/event-stream" else b"".join(parts)
        close = getattr(parts, "close", None)
        if close is not None:
            close()
        return Answer(int(status.split()[0]), names, cookies, content)


def bearer(token: str) -> dict[str, str]:
    """Give the header of a program that has a token."""
    return {"AUTHORIZATION": f"Bearer {token}"}


def returning(path: str) -> str:
    """Give the address of the sign-in that leads back to a page."""
    return f"/web/auth/login?next={quote(path, safe='')}"
