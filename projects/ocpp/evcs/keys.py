"""The configuration keys of a simulated charge point: values, limits, what may be written.

Pure: no I/O. Names compare without case (they are CiString50, SPEC 5.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MEASURANDS = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "SoC",
)
ENERGY = MEASURANDS[0]

Kind = Literal["int", "bool", "measurands", "text"]


@dataclass(frozen=True, slots=True)
class Key:
    """One configuration key; `low` and `high` bound numbers, or the length of a text."""

    name: str
    default: str
    kind: Kind = "int"
    writable: bool = True
    readable: bool = True
    low: int = 0
    high: int = 2**31 - 1
    reboot: bool = False

    def accepts(self, value: str) -> bool:
        """Tell whether `value` is one that this key can hold."""
        if self.kind == "int":
            # ASCII digits only: int() alone would also take "1_0", " 7" and "٣".
            return value.isascii() and value.isdigit() and self.low <= int(value) <= self.high
        if self.kind == "bool":
            return value.lower() in ("true", "false")
        if self.kind == "measurands":
            return all(word in MEASURANDS for word in _words(value))
        return self.low <= len(value) <= self.high


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def _fixed(name: str, default: str, kind: Kind = "int") -> Key:
    return Key(name, default, kind, writable=False)


KEYS: tuple[Key, ...] = (
    # Core profile, SPEC 9.1
    Key("AllowOfflineTxForUnknownId", "true", "bool"),
    Key("AuthorizationCacheEnabled", "true", "bool"),
    Key("AuthorizeRemoteTxRequests", "false", "bool"),
    Key("ClockAlignedDataInterval", "0"),
    Key("ConnectionTimeOut", "60", low=1),
    _fixed("ConnectorPhaseRotation", "NotApplicable", "text"),
    _fixed("GetConfigurationMaxKeys", "100"),
    Key("HeartbeatInterval", "300", low=1),
    Key("LocalAuthorizeOffline", "true", "bool"),
    Key("LocalPreAuthorize", "false", "bool"),
    Key("MeterValuesAlignedData", ENERGY, "measurands"),
    Key("MeterValuesSampledData", ",".join(MEASURANDS), "measurands"),
    Key("MeterValueSampleInterval", "60"),
    _fixed("NumberOfConnectors", "1"),
    Key("ResetRetries", "1"),
    Key("StopTransactionOnEVSideDisconnect", "true", "bool"),
    Key("StopTransactionOnInvalidId", "true", "bool"),
    Key("StopTxnAlignedData", "", "measurands"),
    Key("StopTxnSampledData", ENERGY, "measurands"),
    _fixed(
        "SupportedFeatureProfiles",
        "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger",
        "text",
    ),
    Key("TransactionMessageAttempts", "3", low=1, high=1000),
    Key("TransactionMessageRetryInterval", "10"),
    Key("UnlockConnectorOnEVSideDisconnect", "true", "bool"),
    Key("WebSocketPingInterval", "60"),
    # Local authorization list, SPEC 9.2
    Key("LocalAuthListEnabled", "true", "bool"),
    _fixed("LocalAuthListMaxLength", "1000"),
    _fixed("SendLocalListMaxLength", "200"),
    # Reservation, SPEC 9.3
    _fixed("ReserveConnectorZeroSupported", "false", "bool"),
    # Smart charging, SPEC 9.4
    _fixed("ChargeProfileMaxStackLevel", "10"),
    _fixed("ChargingScheduleAllowedChargingRateUnit", "Current,Power", "text"),
    _fixed("ChargingScheduleMaxPeriods", "100"),
    _fixed("ConnectorSwitch3to1PhaseSupported", "false", "bool"),
    _fixed("MaxChargingProfilesInstalled", "20"),
    # Security, SEC 2: the key can be set but never be read back
    Key("AuthorizationKey", "", "text", readable=False, low=16, high=40),
    Key("CpoName", "", "text", high=500),
    _fixed("SecurityProfile", "0"),
)


class Configuration:
    """The key table of one charge point; changes survive reconnects and reboots."""

    def __init__(self, **overrides: str) -> None:
        self._keys = {key.name.lower(): key for key in KEYS}
        self._values = {key.name.lower(): key.default for key in KEYS}
        for name, value in overrides.items():
            if name.lower() not in self._keys:
                raise KeyError(name)
            self._values[name.lower()] = value

    def text(self, name: str) -> str:
        """Give a value as it is written."""
        return self._values[name.lower()]

    def number(self, name: str) -> int:
        """Give the value of a numeric key."""
        return int(self.text(name))

    def flag(self, name: str) -> bool:
        """Give the value of a boolean key."""
        return self.text(name).lower() == "true"

    def words(self, name: str) -> list[str]:
        """Give the members of a comma separated list, in their order."""
        return _words(self.text(name))

    def put(self, name: str, value: str) -> None:
        """Set a value from inside the charge point, read-only or not."""
        self._values[name.lower()] = value

    def change(self, name: str, value: str) -> str:
        """Set a value as the central system asks, and say what OCPP calls the outcome."""
        key = self._keys.get(name.lower())
        if key is None:
            return "NotSupported"
        if not key.writable or not key.accepts(value):
            return "Rejected"
        self._values[name.lower()] = value
        return "RebootRequired" if key.reboot else "Accepted"

    def describe(self, names: list[str] | None) -> dict[str, object]:
        """Build the answer to GetConfiguration: all keys, or those that are asked for."""
        unknown: list[str] = []
        chosen: list[Key] = []
        if not names:
            chosen = [key for key in self._keys.values() if key.readable]
        else:
            for name in names:
                key = self._keys.get(name.lower())
                if key is None or not key.readable:
                    unknown.append(name)
                elif key not in chosen:
                    chosen.append(key)
        answer: dict[str, object] = {
            "configurationKey": [
                {"key": key.name, "readonly": not key.writable, "value": self.text(key.name)}
                for key in chosen
            ]
        }
        if unknown:
            answer["unknownKey"] = unknown
        return answer
