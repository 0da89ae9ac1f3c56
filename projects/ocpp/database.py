"""Where the projects of this folder keep what they store."""

from __future__ import annotations

from gway.settings import Setting

DATABASE = Setting(
    "OCPP_DB", "ocpp.sqlite", str, help="database of the chargers, below the work folder"
)
