"""An echo on the gevent-websocket package as it comes: a greenlet per connection."""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import json  # noqa: E402
from collections.abc import Iterable  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402
from geventwebsocket.handler import WebSocketHandler  # type: ignore[import-untyped]  # noqa: E402

from benchmarks.servers.side_channel import Ticker, answer_until_closed  # noqa: E402


def echo(environ: dict[str, object], _start_response: object) -> Iterable[bytes]:
    """Send every message back."""
    websocket = environ["wsgi.websocket"]
    while (message := websocket.receive()) is not None:  # type: ignore[attr-defined]
        websocket.send(message)  # type: ignore[attr-defined]
    return []


def main() -> None:
    """Serve until standard input is closed."""
    server = WSGIServer(("127.0.0.1", 0), echo, handler_class=WebSocketHandler, log=None)
    server.backlog = 1024
    server.start()
    print(json.dumps({"ws_port": server.server_port}), flush=True)
    ticker = Ticker()
    answer_until_closed({"stall": lambda _: {"stall_ms": ticker.take_ms()}})


if __name__ == "__main__":
    main()
