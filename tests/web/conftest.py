"""Fixtures for the web: a site in this process, and projects to put on it."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlencode

import pytest

from gway.resolver import Gateway
from gway.web.routes import Site


@dataclass
class Answer:
    """What a request got back; `headers` have lower-case names, cookies are a list."""

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


class Client:
    """Sends requests to a site's WSGI application without a socket.

    It behaves as a browser on this machine: it keeps its cookie and sends an Origin.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookie = ""
        self.origin: str | None = "http://127.0.0.1:8888"
        self.environ: dict[str, Any] = {}

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, values: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """Post a form, with the token of this browser session."""
        form = {"csrf": self.token(), **(values or {})}
        return self.send(
            "POST",
            path,
            urlencode(form, doseq=True).encode(),
            "application/x-www-form-urlencoded",
            headers,
        )

    def post_json(self, path: str, value: Any, method: str = "POST", **headers: str) -> Answer:
        """Send JSON as the page's script does."""
        headers = {"X_CSRF_Token": self.token(), **headers}
        return self.send(method, path, json.dumps(value).encode(), "application/json", headers)

    def token(self) -> str:
        """Begin a browser session and give its token."""
        page = self.get("/").text
        return page.partition('name="gway-csrf" content="')[2].partition('"')[0]

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
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "127.0.0.1:8888",
            "HTTP_COOKIE": self.cookie,
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            **self.environ,
        }
        if self.origin is not None and method not in ("GET", "HEAD"):
            environ["HTTP_ORIGIN"] = self.origin
        for name, value in (headers or {}).items():
            environ[f"HTTP_{name.upper()}"] = value
        started: list[tuple[str, list[tuple[str, str]]]] = []
        body_parts = self.site.wsgi_app(environ, lambda status, got: started.append((status, got)))
        status, got = started[0]
        cookies = [value for name, value in got if name == "Set-Cookie"]
        if cookies:
            self.cookie = cookies[0].partition(";")[0]
        names = {name.lower(): value for name, value in got}
        return Answer(int(status.split()[0]), names, cookies, b"".join(body_parts))


@pytest.fixture
def site(gw: Gateway) -> Site:
    return gw.service(Site)


@pytest.fixture
def client(site: Site) -> Client:
    """A browser on the site of the test's gateway."""
    return Client(site)


WriteProject = Callable[..., Path]


@pytest.fixture
def project(workspace: Path) -> WriteProject:
    """Write a project of the workspace: `project("hello", source, views={name: template})`."""

    def write(
        name: str,
        source: str,
        views: Mapping[str, str] | None = None,
        static: Mapping[str, str] | None = None,
    ) -> Path:
        folder = workspace / "projects" / name.replace(".", "/")
        files = {f"{folder.name}.py": source}
        files |= {f"views/{view}.html": text for view, text in (views or {}).items()}
        files |= {f"static/{file}": text for file, text in (static or {}).items()}
        for file, text in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip("\n"))
        return folder

    return write


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Make an RSA and an ECDSA certificate for this machine."""
    folder = tmp_path_factory.mktemp("tls")
    kinds = {"RSA": ["rsa:2048"], "ECDSA": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]}
    made: dict[str, tuple[str, str]] = {}
    for kind, key_options in kinds.items():
        made[kind] = (str(folder / f"{kind}.crt"), str(folder / f"{kind}.key"))
        command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", *key_options]
        command += ["-subj", f"/CN={kind}", "-out", made[kind][0], "-keyout", made[kind][1]]
        subprocess.run(command, check=True, capture_output=True)
    return made
