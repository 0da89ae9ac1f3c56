"""A form for each command of OCPP 1.6: its function says which fields it has.

What a form asks for is read from the signature and the docstring of the function that
sends it, so that a field cannot be there without being sent, nor be sent without a form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec

from gway import access
from gway.conversion import choices_of, without_none
from gway.errors import UsageError
from gway.projects.ocpp.csms import buttons
from gway.projects.ocpp.csms.buttons import sent_form
from gway.projects.ocpp.messages.times import format_time
from gway.signature import read
from gway.web import formats
from gway.web.page import Page

Row = dict[str, Any]

UpdateType = Literal["Full", "Differential"]
Purpose = Literal["TxProfile", "TxDefaultProfile", "ChargePointMaxProfile"]
ProfileKind = Literal["Absolute", "Recurring", "Relative"]
Recurrency = Literal["Daily", "Weekly"]
Unit = Literal["A", "W"]
LogType = Literal["DiagnosticsLog", "SecurityLog"]
CertificateUse = Literal["CentralSystemRootCertificate", "ManufacturerRootCertificate"]
HashAlgorithm = Literal["SHA256", "SHA384", "SHA512"]
ExtendedTrigger = Literal[
    "BootNotification",
    "LogStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "SignChargePointCertificate",
    "StatusNotification",
]


class Field(msgspec.Struct, frozen=True):
    """One field of a form; `kind` is "text", "number", "choice", "time", "lines" or "connector"."""

    name: str
    label: str
    kind: str
    value: str
    required: bool
    choices: tuple[str, ...] = ()


class Form(msgspec.Struct, frozen=True):
    """One command as a form."""

    name: str
    title: str
    about: str
    fields: tuple[Field, ...]


def payload_of(**values: Any) -> Row:
    """Make a payload of the values that were given; times as OCPP writes them."""
    return {
        name: format_time(value) if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None and value != ""
    }


# --- tags, data ------------------------------------------------------------------


@access(role="operator")
def view_post_clear_cache(charger_id: str) -> Page:
    """Have a charger forget the tags that it has remembered by itself.

    :param charger_id: as in its address
    """
    return sent_form(charger_id, "ClearCache", {})


@access(role="operator")
def view_post_get_local_list_version(charger_id: str) -> Page:
    """Ask for the version of the list of tags on the charger.

    :param charger_id: as in its address
    """
    return sent_form(charger_id, "GetLocalListVersion", {})


@access(role="operator")
def view_post_send_local_list(
    charger_id: str, list_version: int, update_type: UpdateType = "Full", tags: str = ""
) -> Page:
    """Give a charger tags that may charge while we cannot be reached.

    :param charger_id: as in its address
    :param list_version: its new version, above the one it has
    :param update_type: Full replaces the list, Differential changes it
    :param tags: one a line; with a minus in front it is taken out of the list
    """
    entries: list[Row] = []
    for line in filter(None, map(str.strip, tags.splitlines())):
        if line.startswith("-"):
            entries.append({"idTag": line[1:].strip()})
        else:
            entries.append({"idTag": line, "idTagInfo": {"status": "Accepted"}})
    payload = payload_of(
        listVersion=list_version, updateType=update_type, localAuthorizationList=entries or None
    )
    return sent_form(charger_id, "SendLocalList", payload)


@access(role="operator")
def view_post_data_transfer(
    charger_id: str, vendor_id: str, message_id: str = "", data: str = ""
) -> Page:
    """Send a charger something that only its vendor understands.

    :param charger_id: as in its address
    :param vendor_id: whose extension it is
    :param message_id: which message of it
    :param data: text
    """
    payload = payload_of(vendorId=vendor_id, messageId=message_id, data=data)
    return sent_form(charger_id, "DataTransfer", payload)


# --- reservations ----------------------------------------------------------------


@access(role="operator")
def view_post_reserve_now(
    charger_id: str,
    reservation_id: int,
    id_tag: str,
    expiry_date: datetime,
    connector_id: int = 0,
    parent_id_tag: str = "",
) -> Page:
    """Keep a connector free for a tag.

    :param charger_id: as in its address
    :param reservation_id: a number of yours; a known one changes that reservation
    :param id_tag: for whom
    :param expiry_date: until when
    :param connector_id: which; 0 for any
    :param parent_id_tag: group that may use it, too
    """
    payload = payload_of(
        connectorId=connector_id,
        expiryDate=expiry_date,
        idTag=id_tag,
        parentIdTag=parent_id_tag,
        reservationId=reservation_id,
    )
    return sent_form(charger_id, "ReserveNow", payload)


@access(role="operator")
def view_post_cancel_reservation(charger_id: str, reservation_id: int) -> Page:
    """Give a reserved connector free again.

    :param charger_id: as in its address
    :param reservation_id: the number it was made with
    """
    return sent_form(charger_id, "CancelReservation", {"reservationId": reservation_id})


# --- smart charging --------------------------------------------------------------


@access(role="operator")
def view_post_set_charging_profile(
    charger_id: str,
    connector_id: int = 0,
    purpose: Purpose = "TxDefaultProfile",
    periods: str = "0:16",
    unit: Unit = "A",
    profile_id: int = 1,
    stack_level: int = 0,
    kind: ProfileKind = "Absolute",
    recurrency: Recurrency | None = None,
    start_schedule: datetime | None = None,
    duration_s: int | None = None,
    transaction_id: int | None = None,
) -> Page:
    """Limit what a charger or a session may draw.

    :param charger_id: as in its address
    :param connector_id: which
    :param purpose: what it limits
    :param periods: second:limit, such as 0:16, 3600:32
    :param unit: of the limits
    :param profile_id: a number of yours
    :param stack_level: of two, the higher one holds
    :param kind: how its times count
    :param recurrency: for a recurring one
    :param start_schedule: from when the seconds count
    :param duration_s: how long the schedule holds
    :param transaction_id: needed for a TxProfile
    """
    schedule = payload_of(
        duration=duration_s,
        startSchedule=start_schedule,
        chargingRateUnit=unit,
        chargingSchedulePeriod=_periods(periods),
    )
    profile = payload_of(
        chargingProfileId=profile_id,
        transactionId=transaction_id,
        stackLevel=stack_level,
        chargingProfilePurpose=purpose,
        chargingProfileKind=kind,
        recurrencyKind=recurrency,
        chargingSchedule=schedule,
    )
    payload = {"connectorId": connector_id, "csChargingProfiles": profile}
    return sent_form(charger_id, "SetChargingProfile", payload)


def _periods(text: str) -> list[Row]:
    try:
        pairs = [one.split(":") for one in text.replace(",", " ").split()]
        return [{"startPeriod": int(start), "limit": float(limit)} for start, limit in pairs]
    except ValueError:
        raise UsageError(
            f"periods: {text[:60]!r} is no list of second:limit", "such as 0:16, 3600:32"
        ) from None


@access(role="operator")
def view_post_clear_charging_profile(
    charger_id: str,
    profile_id: int | None = None,
    connector_id: int | None = None,
    purpose: Purpose | None = None,
    stack_level: int | None = None,
) -> Page:
    """Take profiles away: those that fit all that is given; without anything, all.

    :param charger_id: as in its address
    :param profile_id: a number of yours
    :param connector_id: which
    :param purpose: what it limits
    :param stack_level: of two, the higher one holds
    """
    payload = payload_of(
        id=profile_id,
        connectorId=connector_id,
        chargingProfilePurpose=purpose,
        stackLevel=stack_level,
    )
    return sent_form(charger_id, "ClearChargingProfile", payload)


@access(role="operator")
def view_post_get_composite_schedule(
    charger_id: str, connector_id: int = 0, duration_s: int = 3600, unit: Unit | None = None
) -> Page:
    """Ask what all profiles together come to.

    :param charger_id: as in its address
    :param connector_id: which
    :param duration_s: how far to look ahead
    :param unit: of the answer
    """
    payload = payload_of(connectorId=connector_id, duration=duration_s, chargingRateUnit=unit)
    return sent_form(charger_id, "GetCompositeSchedule", payload)


# --- firmware and logs -----------------------------------------------------------


@access(role="operator")
def view_post_get_diagnostics(
    charger_id: str,
    location: str,
    start_time: datetime | None = None,
    stop_time: datetime | None = None,
    retries: int | None = None,
    retry_interval_s: int | None = None,
) -> Page:
    """Have a charger upload its diagnostics.

    :param charger_id: as in its address
    :param location: folder to upload to, ftp://... or http://...
    :param start_time: entries from this time on
    :param stop_time: entries up to this time
    :param retries: how often it tries again
    :param retry_interval_s: between two tries
    """
    payload = payload_of(
        location=location,
        startTime=start_time,
        stopTime=stop_time,
        retries=retries,
        retryInterval=retry_interval_s,
    )
    return sent_form(charger_id, "GetDiagnostics", payload)


@access(role="operator")
def view_post_update_firmware(
    charger_id: str,
    location: str,
    retrieve_date: datetime,
    retries: int | None = None,
    retry_interval_s: int | None = None,
) -> Page:
    """Have a charger fetch and install firmware.

    :param charger_id: as in its address
    :param location: address of the file
    :param retrieve_date: from when it may fetch it
    :param retries: how often it tries again
    :param retry_interval_s: between two tries
    """
    payload = payload_of(
        location=location,
        retries=retries,
        retrieveDate=retrieve_date,
        retryInterval=retry_interval_s,
    )
    return sent_form(charger_id, "UpdateFirmware", payload)


# --- security --------------------------------------------------------------------


@access(role="operator")
def view_post_get_log(
    charger_id: str,
    location: str,
    log_type: LogType = "SecurityLog",
    request_id: int = 1,
    oldest: datetime | None = None,
    latest: datetime | None = None,
) -> Page:
    """Have a charger upload a log (security extension).

    :param charger_id: as in its address
    :param location: folder to upload to
    :param log_type: which log
    :param request_id: a number of yours
    :param oldest: entries from this time on
    :param latest: entries up to this time
    """
    log = payload_of(remoteLocation=location, oldestTimestamp=oldest, latestTimestamp=latest)
    return sent_form(
        charger_id, "GetLog", {"logType": log_type, "requestId": request_id, "log": log}
    )


@access(role="operator")
def view_post_signed_update_firmware(
    charger_id: str,
    location: str,
    retrieve_time: datetime,
    signing_certificate: str,
    signature: str,
    request_id: int = 1,
    install_time: datetime | None = None,
) -> Page:
    """Have a charger fetch and install signed firmware (security extension).

    :param charger_id: as in its address
    :param location: address of the file
    :param retrieve_time: from when it may fetch it
    :param signing_certificate: PEM
    :param signature: base64
    :param request_id: a number of yours
    :param install_time: from when it may install it
    """
    firmware = payload_of(
        location=location,
        retrieveDateTime=retrieve_time,
        installDateTime=install_time,
        signingCertificate=signing_certificate,
        signature=signature,
    )
    payload = {"requestId": request_id, "firmware": firmware}
    return sent_form(charger_id, "SignedUpdateFirmware", payload)


@access(role="operator")
def view_post_extended_trigger_message(
    charger_id: str, message: ExtendedTrigger, connector_id: int | None = None
) -> Page:
    """Ask a charger to send a message now (security extension).

    :param charger_id: as in its address
    :param message: which
    :param connector_id: which
    """
    payload = payload_of(requestedMessage=message, connectorId=connector_id)
    return sent_form(charger_id, "ExtendedTriggerMessage", payload)


@access(role="operator")
def view_post_certificate_signed(charger_id: str, certificate_chain: str) -> Page:
    """Give a charger the certificate that it asked for.

    :param charger_id: as in its address
    :param certificate_chain: PEM, its own first
    """
    return sent_form(charger_id, "CertificateSigned", {"certificateChain": certificate_chain})


@access(role="operator")
def view_post_install_certificate(
    charger_id: str, certificate: str, certificate_type: CertificateUse
) -> Page:
    """Install a root certificate on a charger.

    :param charger_id: as in its address
    :param certificate: PEM
    :param certificate_type: of which kind
    """
    payload = {"certificateType": certificate_type, "certificate": certificate}
    return sent_form(charger_id, "InstallCertificate", payload)


@access(role="operator")
def view_post_get_installed_certificate_ids(
    charger_id: str, certificate_type: CertificateUse
) -> Page:
    """Ask which root certificates a charger has.

    :param charger_id: as in its address
    :param certificate_type: of which kind
    """
    payload = {"certificateType": certificate_type}
    return sent_form(charger_id, "GetInstalledCertificateIds", payload)


@access(role="operator")
def view_post_delete_certificate(
    charger_id: str,
    serial_number: str,
    issuer_name_hash: str,
    issuer_key_hash: str,
    hash_algorithm: HashAlgorithm = "SHA256",
) -> Page:
    """Take a root certificate off a charger.

    :param charger_id: as in its address
    :param serial_number: as the charger tells it
    :param issuer_name_hash: of the issuer's name
    :param issuer_key_hash: of the issuer's key
    :param hash_algorithm: of both hashes
    """
    data = {
        "hashAlgorithm": hash_algorithm,
        "issuerNameHash": issuer_name_hash,
        "issuerKeyHash": issuer_key_hash,
        "serialNumber": serial_number,
    }
    return sent_form(charger_id, "DeleteCertificate", {"certificateHashData": data})


# --- as forms ----------------------------------------------------------------------

_GROUPS: Mapping[str, tuple[tuple[str, Callable[..., Any]], ...]] = {
    "Session": (
        ("Start", buttons.view_post_remote_start),
        ("Stop by id", buttons.view_post_remote_stop),
        ("Unlock", buttons.view_post_unlock_connector),
    ),
    "Availability and messages": (
        ("Change availability", buttons.view_post_change_availability),
        ("Trigger", buttons.view_post_trigger_message),
        ("Transfer data", view_post_data_transfer),
    ),
    "Smart charging": (
        ("Set profile", view_post_set_charging_profile),
        ("Clear profiles", view_post_clear_charging_profile),
        ("Get schedule", view_post_get_composite_schedule),
    ),
    "Reservations": (
        ("Reserve", view_post_reserve_now),
        ("Cancel reservation", view_post_cancel_reservation),
    ),
    "Tags on the charger": (
        ("Send list", view_post_send_local_list),
        ("Get version of list", view_post_get_local_list_version),
        ("Clear cache", view_post_clear_cache),
    ),
    "Firmware and diagnostics": (
        ("Update firmware", view_post_update_firmware),
        ("Get diagnostics", view_post_get_diagnostics),
    ),
    "Security": (
        ("Get log", view_post_get_log),
        ("Update signed firmware", view_post_signed_update_firmware),
        ("Trigger extended", view_post_extended_trigger_message),
        ("Get certificates", view_post_get_installed_certificate_ids),
        ("Install certificate", view_post_install_certificate),
        ("Delete certificate", view_post_delete_certificate),
        ("Send signed certificate", view_post_certificate_signed),
    ),
    "Any command": (("Send", buttons.view_post_send),),
}
_LINES = frozenset({"tags", "certificate", "certificate_chain", "signing_certificate", "payload"})


@lru_cache(maxsize=1)
def groups() -> Mapping[str, tuple[Form, ...]]:
    """Give all forms by the heading they stand under."""
    return {
        heading: tuple(_form(title, function) for title, function in functions)
        for heading, functions in _GROUPS.items()
    }


def _form(title: str, function: Callable[..., Any]) -> Form:
    signature = read(function)
    return Form(
        name=function.__name__.removeprefix("view_post_"),
        title=title,
        about=signature.summary,
        fields=tuple(_field(param) for param in signature.params if param.name != "charger_id"),
    )


def _field(param: Any) -> Field:
    bare = without_none(param.annotation)
    choices = tuple(choices_of(param.annotation))
    kind = "text"
    if param.name == "connector_id":
        kind = "connector"
    elif choices:
        kind = "choice"
    elif param.name in _LINES:
        kind = "lines"
    elif bare is int:
        kind = "number"
    elif bare is datetime:
        kind = "time"
    default = None if param.required else param.default
    if param.name == "payload":
        default = "{}"
    plain = kind in ("connector", "choice") or param.help in ("", "which")
    about = "" if plain else f" ({param.help})"
    return Field(
        name=param.name,
        label=_label(param.name) + about,
        kind=kind,
        value="" if default is None else str(default),
        required=bool(param.required),
        choices=choices if param.required or default is not None else ("", *choices),
    )


def _label(name: str) -> str:
    bare = name.removesuffix("_s")
    return formats.label(bare) + (" in seconds" if bare != name else "")
