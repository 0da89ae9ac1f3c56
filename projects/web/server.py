"""Serve the site."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gway import gw
from gway.errors import GwayError
from gway.native import is_patched

if TYPE_CHECKING:
    from gway.web.routes import Site
    from gway.web.running import Running

__all__ = ["start_app"]
__serves__ = ("start_app",)

log = logging.getLogger("gway.web")


def start_app(
    *,
    host: str = "127.0.0.1",
    port: int = 8888,
    ws_port: int = 9000,
    proxy: str | None = None,
    insecure: bool = False,
    tls_cert: list[Path] | None = None,
    tls_key: list[Path] | None = None,
) -> None:
    """Serve all projects that were set up: pages on one port, WebSockets on another.

    :param host: address to listen on; one that the network reaches needs an account
        (`gway web.auth create-user`)
    :param port: port of the pages, 0 for any free one
    :param ws_port: port of the WebSockets, 0 for any free one
    :param proxy: web address of another gateway that is asked for pages not known here
    :param insecure: let everybody who reaches the address do everything, as long as there are
        no accounts
    :param tls_cert: certificate chain files, PEM; RSA and ECDSA may stand side by side
    :param tls_key: the key file of each certificate
    """
    if not is_patched():
        raise GwayError(
            "a server needs gevent's patches from the very start of the process",
            "run it with `gway`, or begin with `from gevent import monkey; monkey.patch_all()`",
        )
    from gway.web.forward import CA, TOKEN, Forward
    from gway.web.routes import Site
    from gway.web.running import Running, warning_about

    site: Site = gw.service(Site)
    signed_in = _watch_accounts(site)
    if proxy is not None:
        site.fallback = Forward(proxy, gw.settings.get(TOKEN), gw.settings.get(CA))
    warning = warning_about(host, signed_in=signed_in, insecure=insecure, tls=bool(tls_cert))
    if warning is not None:
        print(warning, file=sys.stderr)
    running: Running = gw.service(Running)
    running.start(
        host=host,
        port=port,
        ws_port=ws_port,
        insecure=insecure,
        tls=_pairs(tls_cert or [], tls_key or []),
    )
    if warning is not None:
        log.info(warning)  # for the log file, which is open by now; it was said aloud above
    if tls_cert:
        import gevent

        gevent.signal_handler(signal.SIGHUP, _reload_tls, running)
    # What exists by now stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    print(f"GWAY is running: {running.url}{site.home or '/'}", file=sys.stderr)
    print(f"WebSockets: {running.ws_url}", file=sys.stderr, flush=True)


def _watch_accounts(site: Site) -> bool:
    """Put the sign-in on the site; tell whether anybody has an account."""
    gw.load("web.auth")
    from gway.projects.web.auth.accounts import Accounts

    accounts: Accounts = gw.service(Accounts)
    accounts.watch(site)
    return accounts.exist()


def _reload_tls(running: Running) -> None:
    try:
        running.server.reload_tls()
    except OSError as error:  # what ssl raises, too
        log.error("the certificates cannot be read, those from before stay: %s", error)
    else:
        log.info("the certificates were read again")


def _pairs(certificates: list[Path], keys: list[Path]) -> list[tuple[str, str]]:
    if len(certificates) != len(keys):
        raise GwayError(
            f"{len(certificates)} certificates and {len(keys)} keys were given",
            "give --tls-key once for each --tls-cert",
        )
    for file in (*certificates, *keys):
        if not file.is_file():
            raise GwayError(f"there is no file {file}")
    return [(str(cert), str(key)) for cert, key in zip(certificates, keys, strict=True)]
