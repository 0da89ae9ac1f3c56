"""What a command asks for and brings about: pure rules that tell an effect from a coincidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gway.projects.ocpp.transactions.rules import same_tag

GIST_LENGTH = 60


class Event(msgspec.Struct, frozen=True):
    """Something a charger did that may be the effect of a command.

    `kind` is "started", "stopped", "booted", "status", "message" or "job".
    """

    kind: str
    action: str = ""
    connector_id: int | None = None
    transaction_id: int | None = None
    id_tag: str = ""
    status: str = ""


class Effect(msgspec.Struct, frozen=True):
    """What followed a command; a job's effect goes on until `final`."""

    text: str
    final: bool = True


Payload = Mapping[str, object]
_JOBS_DONE = frozenset(
    {
        *("Uploaded", "UploadFailed", "Installed", "InstallationFailed", "DownloadFailed"),
        # of logs and signed firmware
        *("UploadFailure", "BadMessage", "NotSupportedOperation", "PermissionDenied"),
        *("InvalidSignature", "InstallVerificationFailed"),
    }
)


def _remote_start(payload: Payload, event: Event) -> Effect | None:
    wanted = payload.get("connectorId")
    if event.kind != "started" or not same_tag(str(payload.get("idTag")), event.id_tag):
        return None
    if wanted is not None and wanted != event.connector_id:
        return None
    return Effect(f"transaction {event.transaction_id} started")


def _remote_stop(payload: Payload, event: Event) -> Effect | None:
    if event.kind != "stopped" or payload.get("transactionId") != event.transaction_id:
        return None
    return Effect(f"transaction {event.transaction_id} stopped ({event.status})")


def _reset(payload: Payload, event: Event) -> Effect | None:
    return Effect("the charger booted") if event.kind == "booted" else None


def _trigger(payload: Payload, event: Event) -> Effect | None:
    wanted = payload.get("connectorId")
    if event.kind != "message" or payload.get("requestedMessage") != event.action:
        return None
    if wanted is not None and event.connector_id not in (wanted, None):
        return None
    return Effect(f"{event.action} was sent")


def _availability(payload: Payload, event: Event) -> Effect | None:
    wanted = payload.get("connectorId")
    if event.kind != "status" or (wanted != 0 and wanted != event.connector_id):
        return None
    off = event.status == "Unavailable"
    if off is not (payload.get("type") == "Inoperative") or event.status == "Faulted":
        return None
    return Effect(f"connector {event.connector_id} is {event.status}")


def _job(told_by: str) -> Callable[[Payload, Event], Effect | None]:
    def progress(payload: Payload, event: Event) -> Effect | None:
        if event.kind != "job" or event.action != told_by:
            return None
        return Effect(event.status, final=event.status in _JOBS_DONE)

    return progress


EFFECTS: Mapping[str, Callable[[Payload, Event], Effect | None]] = {
    "RemoteStartTransaction": _remote_start,
    "RemoteStopTransaction": _remote_stop,
    "Reset": _reset,
    "TriggerMessage": _trigger,
    "ExtendedTriggerMessage": _trigger,
    "ChangeAvailability": _availability,
    "UpdateFirmware": _job("FirmwareStatusNotification"),
    "GetDiagnostics": _job("DiagnosticsStatusNotification"),
    "SignedUpdateFirmware": _job("SignedFirmwareStatusNotification"),
    "GetLog": _job("LogStatusNotification"),
}


def effect_of(action: str, payload: Payload, event: Event) -> Effect | None:
    """Tell what an event has to do with a command that was sent before it."""
    rule = EFFECTS.get(action)
    return None if rule is None else rule(payload, event)


def gist(payload: Mapping[str, Any]) -> str:
    """Say in a few words what a command asks for: `ConnectionTimeOut=45`, `type Soft`.

    :param payload: as it is shown, without secrets
    """
    if "key" in payload and "value" in payload:
        words = f"{payload['key']}={payload['value']}"
    else:
        words = ", ".join(
            f"{name} {value}" for name, value in payload.items() if isinstance(value, (str, int))
        )
    if len(words) <= GIST_LENGTH:
        return words
    return f"{words[: GIST_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"
