"""What a shell offers for the parameters of OCPP verbs: chargers and tags that were seen.

A shell waits for this, so it reads the database beside everybody else and gives up at once
when that cannot be read.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from gway.projects.ocpp.database import DATABASE

if TYPE_CHECKING:
    from gway.resolver import Gateway

log = logging.getLogger("ocpp")

MOST = 500
WAIT_S = 0.05


def charger_id(gateway: Gateway) -> list[str]:
    """Offer the chargers that were seen, the latest first."""
    return _column(gateway, "SELECT charger_id FROM chargers ORDER BY last_seen_at DESC")


def id_tag(gateway: Gateway) -> list[str]:
    """Offer the tags in the store."""
    return _column(gateway, "SELECT id_tag FROM rfid_tag ORDER BY id_tag")


def _column(gateway: Gateway, query: str) -> list[str]:
    name = Path(str(gateway.settings.get(DATABASE)).removeprefix("sqlite:///"))
    path = name if name.is_absolute() else gateway.workspace.work(*name.parts, parents=False)
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", WAIT_S, uri=True)) as database:
            return [str(row[0]) for row in database.execute(f"{query} LIMIT {MOST}")]
    except sqlite3.Error as error:
        log.debug("%s: %s", path, error)
        return []
