"""What an operator tells a charger to do: verbs, each with its API twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gway import access, gw, live
from gway.errors import GwayError
from gway.marks import shown_as
from gway.projects.ocpp.csms import terminal

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]
ResetType = Literal["Soft", "Hard"]
Action = Literal[
    "CancelReservation",
    "CertificateSigned",
    "ChangeAvailability",
    "ChangeConfiguration",
    "ClearCache",
    "ClearChargingProfile",
    "DataTransfer",
    "DeleteCertificate",
    "ExtendedTriggerMessage",
    "GetCompositeSchedule",
    "GetConfiguration",
    "GetDiagnostics",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "GetLog",
    "InstallCertificate",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "ReserveNow",
    "Reset",
    "SendLocalList",
    "SetChargingProfile",
    "SignedUpdateFirmware",
    "TriggerMessage",
    "UnlockConnector",
    "UpdateFirmware",
]
AvailabilityType = Literal["Operative", "Inoperative"]
Trigger = Literal[
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StatusNotification",
]


def _central() -> CentralSystem:
    from gway.projects.ocpp.csms.central import CentralSystem

    return gw.service(CentralSystem)


def _send(charger_id: str, action: str, payload: Row, wait_s: float | None) -> Row:
    from gway.projects.ocpp.csms.readmodel import command_row

    central = _central()
    # One that is away is answered with a refused command; an id that nobody has is a mistake.
    charger = central.known(charger_id)
    command = central.commands.submit(charger_id, action, payload)
    patience_s = charger.call_timeout_s or central.options.call_timeout_s
    central.commands.wait(command, patience_s + 1 if wait_s is None else wait_s)
    return command_row(command)


def _without_none(**values: Any) -> Row:
    return {name: value for name, value in values.items() if value is not None}


@shown_as(terminal.command)
@live
def send(
    charger_id: str,
    action: Action,
    payload: dict[str, Any] | None = None,
    *,
    wait_s: float | None = None,
) -> Row:
    """Send any command of a central system to a charger, and show its answer.

    :param charger_id: as in its address
    :param action: one that a central system sends, such as Reset
    :param payload: JSON object, sent with its members in this order
    :param wait_s: how long to wait for the answer; the charger's time limit if not given
    """
    return _send(charger_id, action, payload or {}, wait_s)


@access(role="operator", method="POST")
def api_send(
    charger_id: str,
    action: Action,
    payload: dict[str, Any] | None = None,
    *,
    wait_s: float | None = None,
) -> Row:
    """Send any command of a central system to a charger, and give its answer.

    :param charger_id: as in its address
    :param action: one that a central system sends, such as Reset
    :param payload: JSON object, sent with its members in this order
    :param wait_s: how long to wait for the answer; the charger's time limit if not given
    """
    return send(charger_id, action, payload, wait_s=wait_s)


@shown_as(terminal.command)
@live
def remote_start(
    charger_id: str, id_tag: str, *, connector_id: int | None = None, wait_s: float | None = None
) -> Row:
    """Ask a charger to start a transaction.

    :param charger_id: as in its address
    :param id_tag: the tag to charge with
    :param connector_id: where; the charger chooses if not given
    :param wait_s: how long to wait for the answer
    """
    payload = _without_none(connectorId=connector_id, idTag=id_tag)
    return _send(charger_id, "RemoteStartTransaction", payload, wait_s)


@access(role="operator", method="POST")
def api_remote_start(
    charger_id: str, id_tag: str, *, connector_id: int | None = None, wait_s: float | None = None
) -> Row:
    """Ask a charger to start a transaction."""
    return remote_start(charger_id, id_tag, connector_id=connector_id, wait_s=wait_s)


@shown_as(terminal.command)
@live
def remote_stop(
    charger_id: str, transaction_id: int | None = None, *, wait_s: float | None = None
) -> Row:
    """Ask a charger to stop a transaction.

    :param charger_id: as in its address
    :param transaction_id: which; its only open one if not given
    :param wait_s: how long to wait for the answer
    """
    if transaction_id is None:
        central = _central()
        transaction_id = _only_transaction(central, charger_id)
    return _send(charger_id, "RemoteStopTransaction", {"transactionId": transaction_id}, wait_s)


def _only_transaction(central: CentralSystem, charger_id: str) -> int:
    held = [one.transaction_id for one in central.ledger(central.known(charger_id))]
    if len(held) == 1:
        return held[0]
    if not held:
        raise GwayError(
            f"{charger_id} has no open transaction",
            "one that only the charger knows of is stopped by its id",
        )
    named = ", ".join(map(str, held))
    raise GwayError(
        f"{charger_id} has {len(held)} open transactions: {named}", "say which with its id"
    )


@access(role="operator", method="POST")
def api_remote_stop(
    charger_id: str, transaction_id: int | None = None, *, wait_s: float | None = None
) -> Row:
    """Ask a charger to stop a transaction."""
    return remote_stop(charger_id, transaction_id, wait_s=wait_s)


@shown_as(terminal.command)
@live
def reset(charger_id: str, *, type: ResetType = "Soft", wait_s: float | None = None) -> Row:
    """Restart a charger.

    :param charger_id: as in its address
    :param type: Soft stops transactions first, Hard does not
    :param wait_s: how long to wait for the answer
    """
    return _send(charger_id, "Reset", {"type": type}, wait_s)


@access(role="operator", method="POST")
def api_reset(charger_id: str, *, type: ResetType = "Soft", wait_s: float | None = None) -> Row:
    """Restart a charger."""
    return reset(charger_id, type=type, wait_s=wait_s)


@shown_as(terminal.command)
@live
def unlock_connector(charger_id: str, connector_id: int, *, wait_s: float | None = None) -> Row:
    """Unlock the plug of a connector.

    :param charger_id: as in its address
    :param connector_id: which, from 1
    :param wait_s: how long to wait for the answer
    """
    return _send(charger_id, "UnlockConnector", {"connectorId": connector_id}, wait_s)


@access(role="operator", method="POST")
def api_unlock_connector(charger_id: str, connector_id: int, *, wait_s: float | None = None) -> Row:
    """Unlock the plug of a connector."""
    return unlock_connector(charger_id, connector_id, wait_s=wait_s)


@shown_as(terminal.command)
@live
def change_availability(
    charger_id: str,
    type: AvailabilityType,
    *,
    connector_id: int = 0,
    wait_s: float | None = None,
) -> Row:
    """Take a connector out of service, or put it back.

    :param charger_id: as in its address
    :param type: Inoperative or Operative
    :param connector_id: which; 0 for the whole charger
    :param wait_s: how long to wait for the answer
    """
    payload = {"connectorId": connector_id, "type": type}
    return _send(charger_id, "ChangeAvailability", payload, wait_s)


@access(role="operator", method="POST")
def api_change_availability(
    charger_id: str,
    type: AvailabilityType,
    *,
    connector_id: int = 0,
    wait_s: float | None = None,
) -> Row:
    """Take a connector out of service, or put it back."""
    return change_availability(charger_id, type, connector_id=connector_id, wait_s=wait_s)


@shown_as(terminal.command)
@live
def trigger_message(
    charger_id: str,
    message: Trigger,
    *,
    connector_id: int | None = None,
    wait_s: float | None = None,
) -> Row:
    """Ask a charger to send a message now.

    :param charger_id: as in its address
    :param message: which
    :param connector_id: of which connector; all if not given
    :param wait_s: how long to wait for the answer
    """
    payload = _without_none(requestedMessage=message, connectorId=connector_id)
    return _send(charger_id, "TriggerMessage", payload, wait_s)


@access(role="operator", method="POST")
def api_trigger_message(
    charger_id: str,
    message: Trigger,
    *,
    connector_id: int | None = None,
    wait_s: float | None = None,
) -> Row:
    """Ask a charger to send a message now."""
    return trigger_message(charger_id, message, connector_id=connector_id, wait_s=wait_s)


@shown_as(terminal.command)
@live
def get_configuration(
    charger_id: str, keys: list[str] | None = None, *, wait_s: float | None = None
) -> Row:
    """Read the configuration of a charger, in as many calls as it needs.

    :param charger_id: as in its address
    :param keys: which keys; all if not given
    :param wait_s: how long to wait for each answer
    """
    from gway.projects.ocpp.csms.configuration import read_configuration

    return read_configuration(_central(), charger_id, keys or [], _send, wait_s)


@access(role="operator", method="POST")
def api_get_configuration(
    charger_id: str, keys: list[str] | None = None, *, wait_s: float | None = None
) -> Row:
    """Read the configuration of a charger, in as many calls as it needs."""
    return get_configuration(charger_id, keys, wait_s=wait_s)


@shown_as(terminal.command)
@live
def change_configuration(
    charger_id: str, key: str, value: str, *, wait_s: float | None = None
) -> Row:
    """Set a configuration key of a charger.

    :param charger_id: as in its address
    :param key: such as HeartbeatInterval
    :param value: its new value, as text
    :param wait_s: how long to wait for the answer
    """
    return _send(charger_id, "ChangeConfiguration", {"key": key, "value": value}, wait_s)


@access(role="operator", method="POST")
def api_change_configuration(
    charger_id: str, key: str, value: str, *, wait_s: float | None = None
) -> Row:
    """Set a configuration key of a charger."""
    return change_configuration(charger_id, key, value, wait_s=wait_s)
