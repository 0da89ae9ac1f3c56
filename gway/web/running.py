"""A server that runs: its ports, its token, and the file by which others find it."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gway.errors import GwayError
from gway.site import RECORD, Claim
from gway.web.auth import Gate, is_loopback
from gway.web.metrics import Metrics
from gway.web.routes import Site
from gway.web.server import Server
from gway.web.sse import Events

if TYPE_CHECKING:
    from gway.resolver import Gateway

log = logging.getLogger("gway.web")

STOP_TIMEOUT_S = 4.0


class Running:
    """The server of one gateway."""

    closes_first = True

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw
        self._site: Site = gw.service(Site)
        self._events: Events = gw.service(Events)
        gw.service(Metrics)
        self._server: Server | None = None
        self._state: Path | None = None
        self.host = ""
        self.token = ""

    def start(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 8888,
        ws_port: int | None = 9000,
        insecure: bool = False,
        tls: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Listen and say so to the plugins and in `work/server.json`.

        :param port: for pages; 0 picks a free one
        :param ws_port: for WebSockets; 0 picks a free one, None takes that of the pages
        :param insecure: let everybody in who reaches a public address
        :param tls: certificate chain and key files
        """
        if self._server is not None:
            raise GwayError(f"a server runs already at {self.url}", "stop it first")
        claim: Claim = self._gw.service(Claim)
        claim.take()
        gate: Gate = self._gw.service(Gate)
        token = secrets.token_urlsafe(32)
        names = str(self._gw.settings.get("WEB_HOSTS")).replace(",", " ").split()
        gate.bind(host, token=token, insecure=insecure, names=names)
        server = Server(
            self._site.wsgi_app,
            self._site.ws_routes,
            host=host,
            port=port,
            ws_port=ws_port,
            tls=tls,
            goes_by=gate.goes_by,
            proxies=gate.proxies,
        )
        server.start()
        self._server, self.host, self.token = server, host, token
        self._gw.serving = True
        self._write_state()
        self._gw.plugins.emit(
            "gway_server_started",
            host=host,
            port=server.port,
            ws_port=server.ws_port,
            at=self._gw.now(),
        )

    @property
    def server(self) -> Server:
        """The server, once started."""
        if self._server is None:
            raise GwayError("no server was started", "gway web server start-app")
        return self._server

    @property
    def url(self) -> str:
        """The address of the pages, as this machine reaches them."""
        return f"{'https' if self.server.tls else 'http'}://{self._reach}:{self.server.port}"

    @property
    def ws_url(self) -> str:
        """The address of the WebSockets, as this machine reaches them."""
        return f"{'wss' if self.server.tls else 'ws'}://{self._reach}:{self.server.ws_port}"

    @property
    def _reach(self) -> str:
        everywhere = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
        host = everywhere.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host

    def close(self) -> None:
        """Finish what is in flight, within five seconds, and stop."""
        server = self._server
        if server is None:
            return
        self._gw.plugins.emit("gway_server_stopping", at=self._gw.now())
        server.stop_accepting()
        self._events.close()
        server.stop(STOP_TIMEOUT_S)
        self._server = None
        self._gw.serving = False
        self._remove_state()

    def _write_state(self) -> None:
        state = {
            "url": self.url,
            "ws_url": self.ws_url,
            "pid": os.getpid(),
            "token": self.token,
        }
        path = self._gw.workspace.work(RECORD)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(state, stream, indent=2)
        fresh.replace(path)
        self._state = path

    def _remove_state(self) -> None:
        """Remove the file, unless it is not this server's own."""
        path, self._state = self._state, None
        if path is None:
            return
        try:
            if json.loads(path.read_text(encoding="utf-8")).get("token") != self.token:
                return
            path.unlink()
        except (FileNotFoundError, ValueError) as error:
            log.debug("%s: %s", path, error)


def warning_about(host: str, *, signed_in: bool, insecure: bool, tls: bool) -> str | None:
    """Return what to shout about an address that the network reaches; None if all is well.

    :param signed_in: whether there are accounts, so that everybody has to sign in
    :param insecure: whether everybody may do everything as long as there are none
    :param tls: whether what travels is encrypted
    """
    if is_loopback(host):
        return None
    if signed_in:
        if tls:
            return None
        return (
            f"WARNING: passwords travel to {host} in the clear. Add --tls-cert and --tls-key, or "
            "let a reverse proxy encrypt them."
        )
    if not insecure:
        return None  # it will not start
    return (
        f"WARNING: {host} is open to the network and nobody has to sign in. "
        "Everybody who reaches it can stop sessions and reset chargers."
    )
