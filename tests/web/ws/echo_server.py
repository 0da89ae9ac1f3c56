"""An echo server for tests that weigh a server's memory; ids other than `known` are refused."""

from __future__ import annotations

import gevent

from gway.web.server import Server
from gway.web.ws import Accept, Connection, Refuse, Upgrade


def echo(upgrade: Upgrade) -> Accept | Refuse:
    """Take chargers called known..., refuse the rest."""
    if not upgrade.rest.startswith("known"):
        return Refuse(404, "Unknown charger.")

    def on_open(connection: Connection) -> None:
        connection.on_text = connection.send

    return Accept(None, on_open)


if __name__ == "__main__":
    server = Server(None, {"/": echo}, port=None, ws_port=0)
    server.start()
    print(server.ws_port, flush=True)
    gevent.get_hub().join()
