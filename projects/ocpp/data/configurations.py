"""The configuration that each charger told last: kept soon after, found again after a restart."""

from __future__ import annotations

import msgspec

from gway.projects.ocpp.data.codec import Params, clean, micros, to_json, when
from gway.projects.ocpp.facts import ChargerConfiguration, ConfigurationKey
from gway.projects.ocpp.messages.hiding import hide_value
from gway.projects.sql.database import Database

KEEP = "INSERT OR REPLACE INTO configurations (charger_id, keys, read_at) VALUES (?, ?, ?)"
FIND = "SELECT keys, read_at FROM configurations WHERE charger_id = ?"


def params(charger_id: str, configuration: ChargerConfiguration) -> Params:
    """Give the values for `KEEP`; no secret is in them, whoever told the configuration."""
    keys = [
        ConfigurationKey(
            clean(key.name) or "",
            _hidden(key.name, key.value),
            key.readonly,
            None if key.pending is None else _hidden(key.name, key.pending),
        )
        for key in configuration.keys
    ]
    return charger_id, to_json(keys), micros(configuration.read_at)


def _hidden(name: str, value: str) -> str:
    return clean(str(hide_value({"key": name, "value": value})["value"])) or ""


def recall(database: Database, charger_id: str) -> ChargerConfiguration | None:
    """Find what a charger told; None: nothing."""
    row = database.peek(lambda connection: connection.execute(FIND, (charger_id,)).fetchone())
    if row is None:
        return None
    text, read_at = row
    keys = msgspec.json.decode(text, type=tuple[ConfigurationKey, ...])
    return ChargerConfiguration(keys, when(read_at))
