"""What a charge point sends, and what it is answered (SPEC 6, SEC 5)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gway.projects.ocpp.messages.shapes import (
    AcceptedRejected,
    ConnectorId,
    DateTime,
    IdTagInfo,
    IdToken,
    Integer,
    Maybe,
    MeterValue,
    Payload,
    String20,
    String25,
    String50,
    String255,
    String5500,
)


class Authorize(Payload):
    id_tag: IdToken


class AuthorizeConf(Payload):
    id_tag_info: IdTagInfo


class BootNotification(Payload):
    charge_point_vendor: String20
    charge_point_model: String20
    charge_point_serial_number: Maybe[String25] = None
    charge_box_serial_number: Maybe[String25] = None
    firmware_version: Maybe[String50] = None
    iccid: Maybe[String20] = None
    imsi: Maybe[String20] = None
    meter_type: Maybe[String25] = None
    meter_serial_number: Maybe[String25] = None


class BootNotificationConf(Payload):
    status: Literal["Accepted", "Pending", "Rejected"]
    current_time: DateTime
    interval: Integer


class DataTransfer(Payload):
    """Sent by either side."""

    vendor_id: String255
    message_id: Maybe[String50] = None
    data: Maybe[str] = None


class DataTransferConf(Payload):
    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
    data: Maybe[str] = None


class DiagnosticsStatusNotification(Payload):
    status: Literal["Idle", "Uploaded", "UploadFailed", "Uploading"]


class DiagnosticsStatusNotificationConf(Payload):
    pass


class FirmwareStatusNotification(Payload):
    status: Literal[
        "Downloaded",
        "DownloadFailed",
        "Downloading",
        "Idle",
        "InstallationFailed",
        "Installing",
        "Installed",
    ]


class FirmwareStatusNotificationConf(Payload):
    pass


class Heartbeat(Payload):
    pass


class HeartbeatConf(Payload):
    current_time: DateTime


class MeterValues(Payload):
    connector_id: ConnectorId
    meter_value: Annotated[list[MeterValue], Meta(min_length=1)]
    transaction_id: Maybe[Integer] = None


class MeterValuesConf(Payload):
    pass


class StartTransaction(Payload):
    connector_id: ConnectorId
    id_tag: IdToken
    meter_start: Integer
    timestamp: DateTime
    reservation_id: Maybe[Integer] = None


class StartTransactionConf(Payload):
    id_tag_info: IdTagInfo
    transaction_id: Integer


class StatusNotification(Payload):
    connector_id: ConnectorId
    error_code: Literal[
        "ConnectorLockFailure",
        "EVCommunicationError",
        "GroundFailure",
        "HighTemperature",
        "InternalError",
        "LocalListConflict",
        "NoError",
        "OtherError",
        "OverCurrentFailure",
        "PowerMeterFailure",
        "PowerSwitchFailure",
        "ReaderFailure",
        "ResetFailure",
        "UnderVoltage",
        "OverVoltage",
        "WeakSignal",
    ]
    status: Literal[
        "Available",
        "Preparing",
        "Charging",
        "SuspendedEVSE",
        "SuspendedEV",
        "Finishing",
        "Reserved",
        "Unavailable",
        "Faulted",
    ]
    info: Maybe[String50] = None
    timestamp: Maybe[DateTime] = None
    vendor_id: Maybe[String255] = None
    vendor_error_code: Maybe[String50] = None


class StatusNotificationConf(Payload):
    pass


class StopTransaction(Payload):
    meter_stop: Integer
    timestamp: DateTime
    transaction_id: Integer
    id_tag: Maybe[IdToken] = None
    reason: Maybe[
        Literal[
            "EmergencyStop",
            "EVDisconnected",
            "HardReset",
            "Local",
            "Other",
            "PowerLoss",
            "Reboot",
            "Remote",
            "SoftReset",
            "UnlockCommand",
            "DeAuthorized",
        ]
    ] = None
    transaction_data: Maybe[list[MeterValue]] = None


class StopTransactionConf(Payload):
    id_tag_info: Maybe[IdTagInfo] = None


class LogStatusNotification(Payload):
    status: Literal[
        "BadMessage",
        "Idle",
        "NotSupportedOperation",
        "PermissionDenied",
        "Uploaded",
        "UploadFailure",
        "Uploading",
    ]
    request_id: Maybe[Integer] = None


class LogStatusNotificationConf(Payload):
    pass


class SecurityEventNotification(Payload):
    type: String50
    timestamp: DateTime
    tech_info: Maybe[String255] = None


class SecurityEventNotificationConf(Payload):
    pass


class SignCertificate(Payload):
    csr: String5500


class SignCertificateConf(Payload):
    status: AcceptedRejected


class SignedFirmwareStatusNotification(Payload):
    status: Literal[
        "Downloaded",
        "DownloadFailed",
        "Downloading",
        "DownloadScheduled",
        "DownloadPaused",
        "Idle",
        "InstallationFailed",
        "Installing",
        "Installed",
        "InstallRebooting",
        "InstallScheduled",
        "InstallVerificationFailed",
        "InvalidSignature",
        "SignatureVerified",
    ]
    request_id: Maybe[Integer] = None


class SignedFirmwareStatusNotificationConf(Payload):
    pass
