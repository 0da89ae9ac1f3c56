"""What a central system sends, and what it is answered (SPEC 6, SEC 5).

What OCPP lets the charge point judge, such as a connector that does not exist,
is no fault of the payload.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gway.projects.ocpp.messages.shapes import (
    AcceptedRejected,
    AuthorizationData,
    CertificateHashData,
    CertificateUse,
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ConnectorId,
    DateTime,
    Firmware,
    IdToken,
    Integer,
    KeyValue,
    LogParameters,
    Maybe,
    Payload,
    ProfilePurpose,
    String50,
    String255,
    String500,
    String5500,
    String10000,
)

TriggerStatus = Literal["Accepted", "Rejected", "NotImplemented"]


class CancelReservation(Payload):
    reservation_id: Integer


class CancelReservationConf(Payload):
    status: AcceptedRejected


class CertificateSigned(Payload):
    certificate_chain: String10000


class CertificateSignedConf(Payload):
    status: AcceptedRejected


class ChangeAvailability(Payload):
    connector_id: ConnectorId
    type: Literal["Inoperative", "Operative"]


class ChangeAvailabilityConf(Payload):
    status: Literal["Accepted", "Rejected", "Scheduled"]


class ChangeConfiguration(Payload):
    key: String50
    value: String500


class ChangeConfigurationConf(Payload):
    status: Literal["Accepted", "Rejected", "RebootRequired", "NotSupported"]


class ClearCache(Payload):
    pass


class ClearCacheConf(Payload):
    status: AcceptedRejected


class ClearChargingProfile(Payload):
    id: Maybe[Integer] = None
    connector_id: Maybe[ConnectorId] = None
    charging_profile_purpose: Maybe[ProfilePurpose] = None
    stack_level: Maybe[Integer] = None


class ClearChargingProfileConf(Payload):
    status: Literal["Accepted", "Unknown"]


class DeleteCertificate(Payload):
    certificate_hash_data: CertificateHashData


class DeleteCertificateConf(Payload):
    status: Literal["Accepted", "Failed", "NotFound"]


class ExtendedTriggerMessage(Payload):
    requested_message: Literal[
        "BootNotification",
        "LogStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "SignChargePointCertificate",
        "StatusNotification",
    ]
    connector_id: Maybe[ConnectorId] = None


class ExtendedTriggerMessageConf(Payload):
    status: TriggerStatus


class GetCompositeSchedule(Payload):
    connector_id: ConnectorId
    duration: Integer
    charging_rate_unit: Maybe[ChargingRateUnit] = None


class GetCompositeScheduleConf(Payload):
    status: AcceptedRejected
    connector_id: Maybe[ConnectorId] = None
    schedule_start: Maybe[DateTime] = None
    charging_schedule: Maybe[ChargingSchedule] = None


class GetConfiguration(Payload):
    key: Maybe[list[String50]] = None


class GetConfigurationConf(Payload):
    configuration_key: Maybe[list[KeyValue]] = None
    unknown_key: Maybe[list[String50]] = None


class GetDiagnostics(Payload):
    location: str
    retries: Maybe[Integer] = None
    retry_interval: Maybe[Integer] = None
    start_time: Maybe[DateTime] = None
    stop_time: Maybe[DateTime] = None


class GetDiagnosticsConf(Payload):
    file_name: Maybe[String255] = None


class GetInstalledCertificateIds(Payload):
    certificate_type: CertificateUse


class GetInstalledCertificateIdsConf(Payload):
    status: Literal["Accepted", "NotFound"]
    certificate_hash_data: Maybe[Annotated[list[CertificateHashData], Meta(min_length=1)]] = None


class GetLocalListVersion(Payload):
    pass


class GetLocalListVersionConf(Payload):
    list_version: Integer


class GetLog(Payload):
    log: LogParameters
    log_type: Literal["DiagnosticsLog", "SecurityLog"]
    request_id: Integer
    retries: Maybe[Integer] = None
    retry_interval: Maybe[Integer] = None


class GetLogConf(Payload):
    status: Literal["Accepted", "Rejected", "AcceptedCanceled"]
    filename: Maybe[String255] = None


class InstallCertificate(Payload):
    certificate_type: CertificateUse
    certificate: String5500


class InstallCertificateConf(Payload):
    status: Literal["Accepted", "Failed", "Rejected"]


class RemoteStartTransaction(Payload):
    id_tag: IdToken
    connector_id: Maybe[ConnectorId] = None
    charging_profile: Maybe[ChargingProfile] = None


class RemoteStartTransactionConf(Payload):
    status: AcceptedRejected


class RemoteStopTransaction(Payload):
    transaction_id: Integer


class RemoteStopTransactionConf(Payload):
    status: AcceptedRejected


class ReserveNow(Payload):
    connector_id: ConnectorId
    expiry_date: DateTime
    id_tag: IdToken
    reservation_id: Integer
    parent_id_tag: Maybe[IdToken] = None


class ReserveNowConf(Payload):
    status: Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"]


class Reset(Payload):
    type: Literal["Hard", "Soft"]


class ResetConf(Payload):
    status: AcceptedRejected


class SendLocalList(Payload):
    list_version: Integer
    update_type: Literal["Differential", "Full"]
    local_authorization_list: Maybe[list[AuthorizationData]] = None


class SendLocalListConf(Payload):
    status: Literal["Accepted", "Failed", "NotSupported", "VersionMismatch"]


class SetChargingProfile(Payload):
    connector_id: ConnectorId
    cs_charging_profiles: ChargingProfile


class SetChargingProfileConf(Payload):
    status: Literal["Accepted", "Rejected", "NotSupported"]


class SignedUpdateFirmware(Payload):
    request_id: Integer
    firmware: Firmware
    retries: Maybe[Integer] = None
    retry_interval: Maybe[Integer] = None


class SignedUpdateFirmwareConf(Payload):
    status: Literal[
        "Accepted", "Rejected", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate"
    ]


class TriggerMessage(Payload):
    requested_message: Literal[
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "StatusNotification",
    ]
    connector_id: Maybe[ConnectorId] = None


class TriggerMessageConf(Payload):
    status: TriggerStatus


class UnlockConnector(Payload):
    connector_id: ConnectorId


class UnlockConnectorConf(Payload):
    status: Literal["Unlocked", "UnlockFailed", "NotSupported"]


class UpdateFirmware(Payload):
    location: str
    retrieve_date: DateTime
    retries: Maybe[Integer] = None
    retry_interval: Maybe[Integer] = None


class UpdateFirmwareConf(Payload):
    pass
