"""Building blocks of the payloads: constrained types and the classes they share.

The structs here and in the `payloads_*` files are the one description of all
messages. What a constraint cannot say in msgspec's own terms stands in `extra`
and is checked after decoding: `format: date-time` and `decimals: 1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from typing import TypeVar, Union

    _T = TypeVar("_T")
    Maybe = Union[_T, None]  # noqa: UP007 (a generic alias)
else:

    class Maybe:
        """An optional property: absent is None in Python, but null on the wire is a fault."""

        def __class_getitem__(cls, item: object) -> object:
            return item


class Payload(
    msgspec.Struct,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """A payload or a part of one; properties are snake_case here, camelCase on the wire."""


String20 = Annotated[str, Meta(max_length=20)]
String25 = Annotated[str, Meta(max_length=25)]
String40 = Annotated[str, Meta(max_length=40)]
String50 = Annotated[str, Meta(max_length=50)]
String128 = Annotated[str, Meta(max_length=128)]
String255 = Annotated[str, Meta(max_length=255)]
String500 = Annotated[str, Meta(max_length=500)]
String512 = Annotated[str, Meta(max_length=512)]
String800 = Annotated[str, Meta(max_length=800)]
String5500 = Annotated[str, Meta(max_length=5500)]
String10000 = Annotated[str, Meta(max_length=10000)]
IdToken = String20  # SPEC 7.28
DateTime = Annotated[str, Meta(extra={"format": "date-time"})]
OneDecimal = Annotated[float, Meta(extra={"decimals": 1})]  # SPEC 7.13, 7.14
# OCPP gives integers no width; more than 64 bits fit no meter and no database.
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
ConnectorId = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # SPEC 6.31, 6.47: >= 0

AcceptedRejected = Literal["Accepted", "Rejected"]
AuthorizationStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
ChargingRateUnit = Literal["A", "W"]
ProfilePurpose = Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]
CertificateUse = Literal["CentralSystemRootCertificate", "ManufacturerRootCertificate"]
ReadingContext = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
    "Other",
]
Measurand = Literal[
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "Power.Factor",
    "Current.Import",
    "Current.Export",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
    "SoC",
    "RPM",
]
Phase = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
Location = Literal["Cable", "EV", "Inlet", "Outlet", "Body"]
# "Celcius" is how 1.6 first spelled it; "Hertz" came with the errata.
Unit = Literal[
    "Wh",
    "kWh",
    "varh",
    "kvarh",
    "W",
    "kW",
    "VA",
    "kVA",
    "var",
    "kvar",
    "A",
    "V",
    "K",
    "Celcius",
    "Celsius",
    "Fahrenheit",
    "Percent",
    "Hertz",
]


class IdTagInfo(Payload):
    """SPEC 7.27."""

    status: AuthorizationStatus
    expiry_date: Maybe[DateTime] = None
    parent_id_tag: Maybe[IdToken] = None


class AuthorizationData(Payload):
    """SPEC 7.1; in a differential update no `id_tag_info` removes the tag."""

    id_tag: IdToken
    id_tag_info: Maybe[IdTagInfo] = None


class SampledValue(Payload):
    """SPEC 7.43."""

    value: str
    context: Maybe[ReadingContext] = None
    format: Maybe[Literal["Raw", "SignedData"]] = None
    measurand: Maybe[Measurand] = None
    phase: Maybe[Phase] = None
    location: Maybe[Location] = None
    unit: Maybe[Unit] = None


class MeterValue(Payload):
    """SPEC 7.33: one or more values of one moment."""

    timestamp: DateTime
    sampled_value: Annotated[list[SampledValue], Meta(min_length=1)]


class ChargingSchedulePeriod(Payload):
    """SPEC 7.14."""

    start_period: Integer
    limit: OneDecimal
    number_phases: Maybe[Integer] = None


class ChargingSchedule(Payload):
    """SPEC 7.13."""

    charging_rate_unit: ChargingRateUnit
    charging_schedule_period: list[ChargingSchedulePeriod]
    duration: Maybe[Integer] = None
    start_schedule: Maybe[DateTime] = None
    min_charging_rate: Maybe[OneDecimal] = None


class ChargingProfile(Payload):
    """SPEC 7.8."""

    charging_profile_id: Integer
    stack_level: Integer
    charging_profile_purpose: ProfilePurpose
    charging_profile_kind: Literal["Absolute", "Recurring", "Relative"]
    charging_schedule: ChargingSchedule
    transaction_id: Maybe[Integer] = None
    recurrency_kind: Maybe[Literal["Daily", "Weekly"]] = None
    valid_from: Maybe[DateTime] = None
    valid_to: Maybe[DateTime] = None


class KeyValue(Payload):
    """SPEC 7.29."""

    key: String50
    readonly: bool
    value: Maybe[String500] = None


class CertificateHashData(Payload):
    """SEC 6: which certificate is meant."""

    hash_algorithm: Literal["SHA256", "SHA384", "SHA512"]
    issuer_name_hash: String128
    issuer_key_hash: String128
    serial_number: String40


class LogParameters(Payload):
    """SEC 6: where a log goes to, and from when to when."""

    remote_location: String512
    oldest_timestamp: Maybe[DateTime] = None
    latest_timestamp: Maybe[DateTime] = None


class Firmware(Payload):
    """SEC 6: a firmware image and what proves it."""

    location: String512
    retrieve_date_time: DateTime
    signing_certificate: String5500
    signature: String800
    install_date_time: Maybe[DateTime] = None
