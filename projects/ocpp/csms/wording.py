"""Between the words of OCPP 1.6 messages and those of transactions and facts."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gway.projects.ocpp.facts import Boot, ConnectorStatus, TagDecision, TagStatus, Transaction
from gway.projects.ocpp.messages.meters import cut_samples, read_meter_values
from gway.projects.ocpp.messages.payloads_charger import (
    BootNotification,
    MeterValues,
    StartTransaction,
    StatusNotification,
    StopTransaction,
)
from gway.projects.ocpp.messages.shapes import IdTagInfo
from gway.projects.ocpp.messages.times import format_time, parse_time
from gway.projects.ocpp.transactions.words import MeterWords, StartWords, StopWords

ID_TOKEN_LENGTH = 20  # SPEC 7.28
LONGEST = 255  # characters kept of a text of a transaction, which pages show again and again


def start_words(start: StartTransaction, flags: tuple[str, ...]) -> StartWords:
    """Read a StartTransaction."""
    return StartWords(
        connector_id=start.connector_id,
        id_tag=start.id_tag[:LONGEST],
        meter_start_wh=start.meter_start,
        time=parse_time(start.timestamp),
        time_raw=start.timestamp[:LONGEST],
        reservation_id=start.reservation_id,
        flags=flags,
    )


def meter_words(
    meter: MeterValues, raw: msgspec.Raw, flags: tuple[str, ...], at: datetime
) -> MeterWords:
    """Read a MeterValues."""
    summary = read_meter_values(meter.meter_value, at)
    return MeterWords(
        connector_id=meter.connector_id,
        transaction_id=meter.transaction_id,
        raw=cut_samples(raw),
        time=summary.samples_time,
        energy_wh=summary.energy_wh,
        power_w=summary.power_w,
        soc_percent=summary.soc_percent,
        flags=flags + summary.flags if summary.flags else flags,
    )


def stop_words(
    stop: StopTransaction, raw: msgspec.Raw, flags: tuple[str, ...], at: datetime
) -> StopWords:
    """Read a StopTransaction."""
    data = None
    if stop.transaction_data:
        summary = read_meter_values(stop.transaction_data, at)
        data = MeterWords(
            connector_id=0,
            transaction_id=stop.transaction_id,
            raw=cut_samples(raw),
            time=summary.samples_time,
            energy_wh=summary.energy_wh,
            power_w=summary.power_w,
            soc_percent=summary.soc_percent,
            flags=summary.flags,
        )
    return StopWords(
        transaction_id=stop.transaction_id,
        meter_stop_wh=stop.meter_stop,
        time=parse_time(stop.timestamp),
        time_raw=stop.timestamp[:LONGEST],
        id_tag=None if stop.id_tag is None else stop.id_tag[:LONGEST],
        reason=None if stop.reason is None else stop.reason[:LONGEST],
        data=data,
        flags=flags,
    )


def boot_of(boot: BootNotification) -> Boot:
    """Read a BootNotification."""
    return Boot(
        vendor=boot.charge_point_vendor,
        model=boot.charge_point_model,
        serial=boot.charge_point_serial_number or boot.charge_box_serial_number,
        firmware=boot.firmware_version,
        iccid=boot.iccid,
        imsi=boot.imsi,
        meter_type=boot.meter_type,
        meter_serial=boot.meter_serial_number,
    )


def connector_status(status: StatusNotification, at: datetime) -> ConnectorStatus:
    """Read a StatusNotification."""
    return ConnectorStatus(
        connector_id=status.connector_id,
        status=status.status,
        error_code=status.error_code,
        info=status.info,
        vendor_id=status.vendor_id,
        vendor_error_code=status.vendor_error_code,
        time=None if status.timestamp is None else parse_time(status.timestamp),
        at=at,
    )


def tag_info(decision: TagDecision) -> IdTagInfo:
    """Word a decision about a tag; a parent that OCPP cannot carry is left out."""
    parent = decision.parent_id_tag
    return IdTagInfo(
        status=decision.status.value,
        expiry_date=None if decision.expiry is None else format_time(decision.expiry),
        parent_id_tag=parent if parent and len(parent) <= ID_TOKEN_LENGTH else None,
    )


def tag_info_of(transaction: Transaction) -> IdTagInfo:
    """Word again what was decided about the tag of a transaction when it began."""
    return tag_info(
        TagDecision(TagStatus(transaction.tag_status), parent_id_tag=transaction.parent_id_tag)
    )
