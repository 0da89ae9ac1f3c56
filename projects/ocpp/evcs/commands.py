"""What a simulated charge point answers to the central system; one function per action.

Each takes the charge point, the validated request and the time, and returns the
answer. What follows from a command is queued and goes out after the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from gway.projects.ocpp.evcs import upkeep
from gway.projects.ocpp.evcs.connector import Connector, Reservation
from gway.projects.ocpp.evcs.sessions import tag_info
from gway.projects.ocpp.messages import payloads_central as central
from gway.projects.ocpp.messages import payloads_charger as charger
from gway.projects.ocpp.messages.shapes import ChargingProfile, Payload
from gway.projects.ocpp.messages.times import format_time, parse_time

if TYPE_CHECKING:
    from gway.projects.ocpp.evcs.chargepoint import ChargePoint


def _yes(condition: bool) -> Any:
    return "Accepted" if condition else "Rejected"


# --- sessions --------------------------------------------------------------------


def remote_start(
    point: ChargePoint, request: central.RemoteStartTransaction, now: datetime
) -> Payload:
    """Begin a session for a tag (SPEC 5.11)."""
    connector = _free_connector(point, request.connector_id, request.id_tag)
    profile = request.charging_profile
    possible = connector is not None and point.accepted and not point.resetting
    if profile is not None:
        # ERR 3.41: for this transaction, whose id nobody knows yet.
        fits = profile.charging_profile_purpose == "TxProfile" and profile.transaction_id is None
        possible = possible and fits and _profile_fits(point, profile)
    if not possible or connector is None:
        return central.RemoteStartTransactionConf(status="Rejected")
    if profile is not None:
        point.profiles.add(connector.connector_id, profile, point.clock(now))
    connector.refused = ""
    if point.configuration.flag("AuthorizeRemoteTxRequests"):
        point.sessions.authorize(connector, request.id_tag, now)
    else:
        point.sessions.grant(connector, request.id_tag, now)
    return central.RemoteStartTransactionConf(status="Accepted")


def _free_connector(point: ChargePoint, wanted: int | None, id_tag: str) -> Connector | None:
    for connector in point.connectors.values():
        if wanted is not None and connector.connector_id != wanted:
            continue
        reservation = connector.reservation
        reserved = reservation is not None and not point.tags.same_group(reservation.id_tag, id_tag)
        if connector.startable and connector.authorized is None and not reserved:
            return connector
    return None


def remote_stop(
    point: ChargePoint, request: central.RemoteStopTransaction, now: datetime
) -> Payload:
    """End the session with this transaction id (SPEC 5.12)."""
    for connector in point.connectors.values():
        session = connector.session
        if session is not None and session.transaction_id == request.transaction_id:
            point.sessions.stop(connector, "Remote", now)
            return central.RemoteStopTransactionConf(status="Accepted")
    return central.RemoteStopTransactionConf(status="Rejected")


def reset(point: ChargePoint, request: central.Reset, now: datetime) -> Payload:
    """Reboot, softly or at once (SPEC 5.14)."""
    point.reset(request.type, now)
    return central.ResetConf(status="Accepted")


def unlock_connector(
    point: ChargePoint, request: central.UnlockConnector, now: datetime
) -> Payload:
    """Let go of the cable, which ends a session (SPEC 5.18)."""
    connector = point.connectors.get(request.connector_id)
    if connector is None:
        return central.UnlockConnectorConf(status="NotSupported")
    point.sessions.stop(connector, "UnlockCommand", now)
    point.report(now)
    point.do_unplug(request.connector_id, now)
    return central.UnlockConnectorConf(status="Unlocked")


def change_availability(
    point: ChargePoint, request: central.ChangeAvailability, now: datetime
) -> Payload:
    """Take connectors out of service or back; after the session, if one runs (SPEC 5.2)."""
    number, operative = request.connector_id, request.type == "Operative"
    if number != 0 and number not in point.connectors:
        return central.ChangeAvailabilityConf(status="Rejected")
    scheduled = False
    for connector in point.connectors.values():
        if number not in (0, connector.connector_id):
            continue
        connector.scheduled = None
        if connector.session is not None and not operative:
            connector.scheduled, scheduled = False, True
        else:
            connector.operative = operative
    if number == 0:
        point.whole.operative = operative
    return central.ChangeAvailabilityConf(status="Scheduled" if scheduled else "Accepted")


# --- configuration, triggers, data ------------------------------------------------


def get_configuration(
    point: ChargePoint, request: central.GetConfiguration, now: datetime
) -> Payload:
    """Tell configuration keys (SPEC 5.8)."""
    answer = point.configuration.describe(request.key)
    return msgspec.convert(answer, central.GetConfigurationConf)


def change_configuration(
    point: ChargePoint, request: central.ChangeConfiguration, now: datetime
) -> Payload:
    """Set a configuration key and let it take effect (SPEC 5.3)."""
    status: Any = point.configuration.change(request.key, request.value)
    key = request.key.lower()
    if status == "Accepted" and key == "heartbeatinterval" and point.accepted:
        point.registration.plan_heartbeat(now)
    elif status == "Accepted" and key == "metervaluesampleinterval":
        for connector in point.connectors.values():
            point.sessions.plan_sample(connector, now)
    elif status == "Accepted" and key == "clockaligneddatainterval":
        point.plan_clock_sample(now)
    elif status == "Accepted" and key == "authorizationkey":
        # SEC A00.FR.205: the new key is used from the next connection on, which is now.
        point.authorization_key = request.value
        point.hang_up(now, 0.0)
    return central.ChangeConfigurationConf(status=status)


def trigger_message(point: ChargePoint, request: Any, now: datetime) -> Payload:
    """Send a message that is asked for (SPEC 5.17, SEC 5)."""
    extended = isinstance(request, central.ExtendedTriggerMessage)
    conf: Any = central.ExtendedTriggerMessageConf if extended else central.TriggerMessageConf
    wanted, number = request.requested_message, request.connector_id
    if wanted == "SignChargePointCertificate":
        return _conf(conf, "NotImplemented")
    concerned = [point.whole, *point.connectors.values()]
    if number is not None:
        concerned = [one for one in concerned if one.connector_id == number]
        if not concerned and wanted in ("MeterValues", "StatusNotification"):
            return _conf(conf, "Rejected")
    if wanted == "BootNotification":
        point.registration.boot(now)
    elif wanted == "Heartbeat":
        point.registration.heartbeat(any_time=True)
    elif wanted == "StatusNotification":
        for connector in concerned:
            point.tell_status(connector, now, any_time=True)
    elif wanted == "MeterValues":
        words = point.configuration.words("MeterValuesSampledData")
        for connector in concerned:
            if connector.connector_id:
                point.sessions.send_values(connector, now, "Trigger", words, asked=True)
    else:
        upkeep.tell_job(point, wanted, point.jobs.get(wanted, "Idle"), None, any_time=True)
    return _conf(conf, "Accepted")


def _conf(conf: Any, status: str) -> Payload:
    payload: Payload = conf(status=status)
    return payload


def data_transfer(point: ChargePoint, request: charger.DataTransfer, now: datetime) -> Payload:
    """Know no vendor's extensions (SPEC 5.6)."""
    return charger.DataTransferConf(status="UnknownVendorId")


# --- tags, reservations -------------------------------------------------------------


def clear_cache(point: ChargePoint, request: central.ClearCache, now: datetime) -> Payload:
    """Forget all cached tags (SPEC 5.4)."""
    enabled = point.configuration.flag("AuthorizationCacheEnabled")
    point.tags.cached.clear()
    return central.ClearCacheConf(status=_yes(enabled))


def get_local_list_version(
    point: ChargePoint, request: central.GetLocalListVersion, now: datetime
) -> Payload:
    """Tell the version of the local list; -1 says that there is none (SPEC 5.10)."""
    enabled = point.configuration.flag("LocalAuthListEnabled")
    return central.GetLocalListVersionConf(list_version=point.tags.version if enabled else -1)


def send_local_list(point: ChargePoint, request: central.SendLocalList, now: datetime) -> Payload:
    """Replace or change the local list (SPEC 5.15)."""
    entries = [
        (one.id_tag, None if one.id_tag_info is None else tag_info(one.id_tag_info))
        for one in request.local_authorization_list or []
    ]
    full = request.update_type == "Full"
    status: Any = point.tags.update(request.list_version, full, entries)
    return central.SendLocalListConf(status=status)


def reserve_now(point: ChargePoint, request: central.ReserveNow, now: datetime) -> Payload:
    """Keep a connector free for a tag (SPEC 5.13)."""
    connector = point.connectors.get(request.connector_id)
    expires = parse_time(request.expiry_date)
    if connector is None or expires is None:
        # ReserveConnectorZeroSupported is false.
        return central.ReserveNowConf(status="Rejected")
    held = connector.reservation
    if connector.status == "Faulted":
        return central.ReserveNowConf(status="Faulted")
    if connector.status == "Unavailable":
        return central.ReserveNowConf(status="Unavailable")
    renewed = held is not None and held.reservation_id == request.reservation_id
    if connector.status != "Available" and not renewed:
        return central.ReserveNowConf(status="Occupied")
    seconds = (expires - point.clock(now)).total_seconds()
    if seconds <= 0:
        return central.ReserveNowConf(status="Rejected")
    _drop_reservation(point, request.reservation_id)
    connector.reservation = Reservation(
        request.reservation_id, request.id_tag, expires, request.parent_id_tag
    )

    def over(at: datetime) -> None:
        connector.reservation = None

    point.timers.set(f"reservation:{connector.connector_id}", now, seconds, over)
    return central.ReserveNowConf(status="Accepted")


def _drop_reservation(point: ChargePoint, reservation_id: int) -> bool:
    for connector in point.connectors.values():
        held = connector.reservation
        if held is not None and held.reservation_id == reservation_id:
            connector.reservation = None
            point.timers.cancel(f"reservation:{connector.connector_id}")
            return True
    return False


def cancel_reservation(
    point: ChargePoint, request: central.CancelReservation, now: datetime
) -> Payload:
    """Give a reserved connector free (SPEC 5.1)."""
    dropped = _drop_reservation(point, request.reservation_id)
    return central.CancelReservationConf(status=_yes(dropped))


# --- smart charging -------------------------------------------------------------------


def set_charging_profile(
    point: ChargePoint, request: central.SetChargingProfile, now: datetime
) -> Payload:
    """Keep a charging profile and obey it (SPEC 5.16)."""
    profile, number = request.cs_charging_profiles, request.connector_id
    purpose = profile.charging_profile_purpose
    connector = point.connectors.get(number)
    fits = _profile_fits(point, profile) and (number == 0 or connector is not None)
    if purpose == "ChargePointMaxProfile":
        fits = fits and number == 0
    elif purpose == "TxProfile":
        session = connector.session if connector is not None else None
        told = profile.transaction_id
        fits = fits and session is not None and told in (None, session.transaction_id)
    if fits:
        point.profiles.add(number, profile, point.clock(now))
    return central.SetChargingProfileConf(status=_yes(fits))


def _profile_fits(point: ChargePoint, profile: ChargingProfile) -> bool:
    number = point.configuration.number
    periods = profile.charging_schedule.charging_schedule_period
    starts = [period.start_period for period in periods]
    ids = {one.profile.charging_profile_id for one in point.profiles.installed}
    room = len(ids | {profile.charging_profile_id}) <= number("MaxChargingProfilesInstalled")
    return (
        room
        and 0 <= profile.stack_level <= number("ChargeProfileMaxStackLevel")
        and 0 < len(periods) <= number("ChargingScheduleMaxPeriods")
        and starts[0] == 0
        and starts == sorted(starts)
        and starts[-1] < 10**9
        and 0 <= (profile.charging_schedule.duration or 0) < 10**9
        and all(0 <= period.limit < 10**12 for period in periods)
        and (profile.charging_profile_kind == "Recurring") == (profile.recurrency_kind is not None)
    )


def clear_charging_profile(
    point: ChargePoint, request: central.ClearChargingProfile, now: datetime
) -> Payload:
    """Forget the profiles that match all given fields (SPEC 5.5)."""
    cleared = point.profiles.clear(request)
    return central.ClearChargingProfileConf(status="Accepted" if cleared else "Unknown")


def get_composite_schedule(
    point: ChargePoint, request: central.GetCompositeSchedule, now: datetime
) -> Payload:
    """Tell the schedule that all profiles together make (SPEC 5.7)."""
    number = request.connector_id
    connector = point.connectors.get(number)
    if (connector is None and number != 0) or not 0 <= request.duration < 10**9:
        return central.GetCompositeScheduleConf(status="Rejected")
    session = connector.session if connector is not None else None
    time = point.clock(now)
    schedule = point.profiles.composite(
        number,
        time,
        request.duration,
        request.charging_rate_unit or "W",
        session.started if session is not None else None,
    )
    return central.GetCompositeScheduleConf(
        status="Accepted",
        connector_id=number,
        schedule_start=format_time(time),
        charging_schedule=schedule,
    )


HANDLERS: dict[str, Callable[[Any, Any, datetime], Payload]] = {
    "CancelReservation": cancel_reservation,
    "CertificateSigned": upkeep.certificate_signed,
    "ChangeAvailability": change_availability,
    "ChangeConfiguration": change_configuration,
    "ClearCache": clear_cache,
    "ClearChargingProfile": clear_charging_profile,
    "DataTransfer": data_transfer,
    "DeleteCertificate": upkeep.delete_certificate,
    "ExtendedTriggerMessage": trigger_message,
    "GetCompositeSchedule": get_composite_schedule,
    "GetConfiguration": get_configuration,
    "GetDiagnostics": upkeep.get_diagnostics,
    "GetInstalledCertificateIds": upkeep.get_installed_certificate_ids,
    "GetLocalListVersion": get_local_list_version,
    "GetLog": upkeep.get_log,
    "InstallCertificate": upkeep.install_certificate,
    "RemoteStartTransaction": remote_start,
    "RemoteStopTransaction": remote_stop,
    "ReserveNow": reserve_now,
    "Reset": reset,
    "SendLocalList": send_local_list,
    "SetChargingProfile": set_charging_profile,
    "SignedUpdateFirmware": upkeep.signed_update_firmware,
    "TriggerMessage": trigger_message,
    "UnlockConnector": unlock_connector,
    "UpdateFirmware": upkeep.update_firmware,
}
