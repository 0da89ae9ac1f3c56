"""The bare echo on our own engine: what the transport alone can do."""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import gc  # noqa: E402
import json  # noqa: E402

from benchmarks.servers.side_channel import Ticker, answer_until_closed  # noqa: E402
from gway.web.server import Server  # noqa: E402
from gway.web.ws import Accept, Connection, Upgrade  # noqa: E402


def accept(_upgrade: Upgrade) -> Accept:
    return Accept(None, echo)


def echo(connection: Connection) -> None:
    connection.on_text = connection.send


def main() -> None:
    """Serve until standard input is closed."""
    server = Server(None, {"/": accept}, port=None, ws_port=0)
    server.start()
    gc.freeze()
    print(json.dumps({"ws_port": server.ws_port}), flush=True)
    ticker = Ticker()
    answer_until_closed({"stall": lambda _: {"stall_ms": ticker.take_ms()}})
    server.stop()


if __name__ == "__main__":
    main()
