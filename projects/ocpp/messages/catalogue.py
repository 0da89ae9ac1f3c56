"""The actions of OCPP 1.6 and its security extension: names, directions, payloads."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gway.projects.ocpp.messages import payloads_central as central
from gway.projects.ocpp.messages import payloads_charger as charger
from gway.projects.ocpp.messages.shapes import Payload

Sender = Literal["charge point", "central system", "both"]


class Action(NamedTuple):
    """An action, who may call it, and the structs of its request and response."""

    name: str
    profile: str
    sender: Sender
    request: type[Payload]
    response: type[Payload]


def _both(profile: str, name: str) -> Action:
    return Action(name, profile, "both", *_pair(charger, name))


def _from_charger(profile: str, *names: str) -> list[Action]:
    return [Action(name, profile, "charge point", *_pair(charger, name)) for name in names]


def _from_central(profile: str, *names: str) -> list[Action]:
    return [Action(name, profile, "central system", *_pair(central, name)) for name in names]


def _pair(module: object, name: str) -> tuple[type[Payload], type[Payload]]:
    return getattr(module, name), getattr(module, name + "Conf")


ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        *_from_charger(
            "Core",
            "Authorize",
            "BootNotification",
            "Heartbeat",
            "MeterValues",
            "StartTransaction",
            "StatusNotification",
            "StopTransaction",
        ),
        _both("Core", "DataTransfer"),
        *_from_central(
            "Core",
            "ChangeAvailability",
            "ChangeConfiguration",
            "ClearCache",
            "GetConfiguration",
            "RemoteStartTransaction",
            "RemoteStopTransaction",
            "Reset",
            "UnlockConnector",
        ),
        *_from_charger(
            "FirmwareManagement", "DiagnosticsStatusNotification", "FirmwareStatusNotification"
        ),
        *_from_central("FirmwareManagement", "GetDiagnostics", "UpdateFirmware"),
        *_from_central("LocalAuthListManagement", "GetLocalListVersion", "SendLocalList"),
        *_from_central("Reservation", "ReserveNow", "CancelReservation"),
        *_from_central(
            "SmartCharging", "SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule"
        ),
        *_from_central("RemoteTrigger", "TriggerMessage"),
        *_from_charger(
            "Security",
            "SecurityEventNotification",
            "SignCertificate",
            "LogStatusNotification",
            "SignedFirmwareStatusNotification",
        ),
        *_from_central(
            "Security",
            "CertificateSigned",
            "InstallCertificate",
            "DeleteCertificate",
            "GetInstalledCertificateIds",
            "GetLog",
            "SignedUpdateFirmware",
            "ExtendedTriggerMessage",
        ),
    )
}

#: What a charge point may call.
CHARGE_POINT_ACTIONS = frozenset(a.name for a in ACTIONS.values() if a.sender != "central system")
#: What a central system may call.
CENTRAL_SYSTEM_ACTIONS = frozenset(a.name for a in ACTIONS.values() if a.sender != "charge point")
#: What our central system serves; the rest of the actions is answered NotSupported.
SERVED = CHARGE_POINT_ACTIONS - {"SignCertificate"}  # nobody here signs certificates
#: Money: always stored and answered when the required fields are there (SPEC 4.7, 4.8, 4.10).
MONEY_ACTIONS = frozenset({"MeterValues", "StartTransaction", "StopTransaction"})
#: Answered when it is on disk: money, and what an auditor asks for (SEC A04).
DURABLE_ACTIONS = MONEY_ACTIONS | {"SecurityEventNotification"}
