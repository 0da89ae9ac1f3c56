"""Our central system as a site has it: store, tags and pages, each by its hooks.

It serves the workspace that `GWAY_WORKSPACE` names, and forwards to a remote if one is given.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import argparse  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from wsgiref.util import setup_testing_defaults  # noqa: E402

from benchmarks.servers.side_channel import Ticker, answer_until_closed  # noqa: E402
from gway import gw, hookimpl  # noqa: E402
from gway.projects.ocpp.facts import Frame  # noqa: E402
from gway.web.routes import Site  # noqa: E402

PROJECTS = ("ocpp.csms", "ocpp.data", "ocpp.rfid", "ocpp.keys")


class FrameCounter:
    """Stands for a plugin's message log: hears of every frame and does next to nothing."""

    def __init__(self) -> None:
        self.frames = 0

    def subscribe(self, arguments: list[str]) -> dict[str, object]:
        """Begin or end to listen ("on" or "off")."""
        (gw.plugins.register if arguments == ["on"] else gw.plugins.unregister)(self)
        return {"frames": self.frames}

    @hookimpl
    def ocpp_frame(self, frame: Frame) -> None:
        self.frames += 1


def page_ms(arguments: list[str]) -> dict[str, object]:
    """Time a page inside the server, without a socket: its own work.

    :param arguments: its path, and how often to build it
    """
    path, times = arguments[0], int(arguments[1])
    application = gw.service(Site).wsgi_app
    took = []
    for _ in range(times):
        environ: dict[str, object] = {"PATH_INFO": path, "wsgi.input": io.BytesIO()}
        setup_testing_defaults(environ)
        environ["REMOTE_ADDR"] = "127.0.0.1"
        began = time.perf_counter()
        list(application(environ, lambda *_: None))
        took.append(time.perf_counter() - began)
    return {"page_ms": statistics.median(took) * 1000}


def queued(_: list[str]) -> dict[str, object]:
    """Tell what waits for the remote."""
    status = gw.ocpp.proxy.status()
    return {"pending": status["pending"], "dead": status["dead"], "link": status["link"]}


def hurry(_: list[str]) -> dict[str, object]:
    """Try at once to reach the remote."""
    return dict(gw.ocpp.proxy.sync_now())


def main() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ws-port", type=int, default=0)
    parser.add_argument("--remote")
    parser.add_argument("--also", nargs="*", default=(), help="further projects to set up")
    options = parser.parse_args()
    # What is printed for people must not be mixed with the side channel.
    answers, sys.stdout = sys.stdout, sys.stderr
    for name in (*PROJECTS, *options.also):
        gw.web.app.setup_app(name)
    if options.remote:
        gw.ocpp.proxy.setup_app(remote=options.remote)
        gw.web.app.setup_app("ocpp.proxy")
    gw.web.server.start_app(host="127.0.0.1", port=0, ws_port=options.ws_port)
    sys.stdout = answers
    record = json.loads(gw.workspace.work("server.json").read_text())
    ports = {name: int(record[name].rpartition(":")[2].strip("/")) for name in ("url", "ws_url")}
    print(json.dumps({"port": ports["url"], "ws_port": ports["ws_url"]}), flush=True)
    ticker = Ticker()
    answer_until_closed(
        {
            "stall": lambda _: {"stall_ms": ticker.take_ms()},
            "page": page_ms,
            "frames": FrameCounter().subscribe,
            "queued": queued,
            "hurry": hurry,
        }
    )
    gw.close()


if __name__ == "__main__":
    main()
