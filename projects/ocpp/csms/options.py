"""The settings of the central system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from gway.settings import Setting

if TYPE_CHECKING:
    from gway.settings import Settings

Unknown = Literal["auto", "accept", "pending", "reject"]

SETTINGS = (
    Setting("OCPP_CALL_TIMEOUT_S", 30.0, float, "how long a charger may take to answer a command"),
    Setting("OCPP_HEARTBEAT_S", 300, int, "heartbeat interval that chargers are told"),
    Setting("OCPP_PENDING_RETRY_S", 60, int, "when a charger that is not accepted may ask again"),
    Setting("OCPP_STORE_RETRY_S", 5.0, float, "how long storing a transaction is tried"),
    Setting("OCPP_DRAIN_S", 3.0, float, "how long a shutdown waits for answers under way"),
    Setting("OCPP_LENIENT_SUBPROTOCOL", False, bool, "let chargers in that offer no subprotocol"),
)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The settings as the central system uses them.

    `unknown` says what becomes of chargers nobody knows; "auto" accepts those on
    this machine and lets others wait for approval.
    """

    call_timeout_s: float = 30.0
    heartbeat_s: int = 300
    pending_retry_s: int = 60
    store_retry_s: float = 5.0
    drain_s: float = 3.0
    lenient_subprotocol: bool = False
    unknown: Unknown = "auto"

    @classmethod
    def read(cls, settings: Settings) -> Options:
        """Read all settings."""
        values = {
            setting.name.removeprefix("OCPP_").lower(): settings.get(setting)
            for setting in SETTINGS
        }
        return cls(**values)
