"""An echo server for tests that weigh a server's memory; ids other than `known` are refused.

`echo_server.py [--per-address COUNT] [--tls CERTIFICATE KEY]`
"""

from __future__ import annotations

import argparse

import gevent

from gway.web.door import Limits
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
    words = argparse.ArgumentParser()
    words.add_argument("--per-address", type=int)
    words.add_argument("--tls", nargs=2, action="append", default=[])
    asked = words.parse_args()
    server = Server(
        None,
        {"/": echo},
        port=None,
        ws_port=0,
        tls=asked.tls,
        limits=Limits(per_loopback_address=asked.per_address),
    )
    server.start()
    print(server.ws_port, flush=True)
    gevent.get_hub().join()
