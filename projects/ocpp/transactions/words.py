"""What a charger said in a money message, and what the ledger made of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

import msgspec

from gway.projects.ocpp.facts import Reading, Transaction
from gway.projects.ocpp.transactions.rules import Why


class StartWords(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The content of a StartTransaction; `time` is None when it could not be read."""

    connector_id: int
    id_tag: str
    meter_start_wh: int
    time: datetime | None
    time_raw: str
    reservation_id: int | None = None
    flags: tuple[str, ...] = ()


class MeterWords(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The content of a MeterValues, or of the transactionData of a stop.

    `time` is that of the latest sample; the figures are the latest of each.
    """

    connector_id: int
    transaction_id: int | None
    raw: bytes
    time: datetime | None
    energy_wh: int | None = None
    power_w: float | None = None
    soc_percent: float | None = None
    flags: tuple[str, ...] = ()


class StopWords(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The content of a StopTransaction; `reason` is None when it was left out."""

    transaction_id: int
    meter_stop_wh: int
    time: datetime | None
    time_raw: str
    id_tag: str | None = None
    reason: str | None = None
    data: MeterWords | None = None
    flags: tuple[str, ...] = ()


class Closing(msgspec.Struct, frozen=True, gc=False):
    """A transaction that was closed without the charger's word."""

    transaction: Transaction
    why: Why


class Started(msgspec.Struct, frozen=True, gc=False):
    """A new transaction, and those that its start proved to be over."""

    transaction: Transaction
    closed: tuple[Closing, ...] = ()


class Metered(msgspec.Struct, frozen=True, gc=False):
    """Where meter values belong; `orphan` says why they belong nowhere.

    `revised` says that they changed a transaction that we had closed.
    """

    reading: Reading
    transaction: Transaction | None = None
    orphan: str = ""
    revised: bool = False


class StopKind(StrEnum):
    """What a StopTransaction turned out to be."""

    STOPPED = "stopped"
    REPEAT = "repeat"
    CONFLICT = "conflict"
    ORPHAN = "orphan"


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """What a stop did; `reason` explains a conflict or an orphan."""

    kind: StopKind
    transaction: Transaction | None = None
    reading: Reading | None = None
    reason: str = ""


def _nothing(*_words: object) -> None:
    return None


class Recall(msgspec.Struct, frozen=True):
    """How the ledger asks the store for what it does not hold itself.

    `transaction(id)` finds one of any charger, `start(charger_id, words)` the one
    that these very words began, `stop(charger_id, words)` the one that they ended.
    """

    transaction: Callable[[int], Transaction | None] = _nothing
    start: Callable[[str, StartWords], Transaction | None] = _nothing
    stop: Callable[[str, StopWords], Transaction | None] = _nothing
