"""Fills a database as a site does in a year: the same for the same seed.

Through the schema and the statements of `ocpp.data`, in the order of time, so that the
rows lie in the file as a year of service would leave them.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from gway.projects.ocpp.data import codec, history, hours, notes, schema, store
from gway.projects.ocpp.facts import Boot, ConnectorStatus, ErrorReport, Transaction
from gway.projects.sql import migrations

READINGS_EACH = 10
SAMPLES_EACH = 5  # energy, power, state of charge, current, voltage
TAGS = 400
DAYS = 365
END = datetime(2026, 6, 30, tzinfo=UTC)
MICROS = 1_000_000


@dataclass(frozen=True)
class Volume:
    """How much a database holds.

    :param name: what the chargers are called, before their number
    """

    chargers: int = 200
    transactions: int = 100_000
    name: str = "VOLUME"
    seed: int = 1
    end: datetime = END

    @property
    def readings(self) -> int:
        return self.transactions * READINGS_EACH

    @property
    def samples(self) -> int:
        return self.readings * SAMPLES_EACH

    def charger_id(self, index: int) -> str:
        return f"{self.name}-{index}"


class Session(NamedTuple):
    """A session as it is thought up."""

    began: int
    length: int
    charger: int
    connector_id: int
    id_tag: str
    register_wh: int
    power_w: int

    @property
    def energy_wh(self) -> int:
        return self.register(READINGS_EACH + 1) - self.register_wh

    def time(self, step: int) -> int:
        """When reading number `step` was taken; 0 is the start, the last the stop."""
        return self.began + self.length * step // (READINGS_EACH + 1)

    def register(self, step: int) -> int:
        hours_charged = (self.time(step) - self.began) / MICROS / 3600
        return self.register_wh + round(self.power_w * hours_charged)


def fill(path: Path, volume: Volume) -> None:
    """Make a database; it holds what a site of this size stored in a year.

    :param path: of the file, which must not exist
    """
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -400000"):
        connection.execute(f"PRAGMA {pragma}")
    migrations.migrate(connection, str(path), schema.COMPONENT, schema.STEPS)
    connection.execute("BEGIN")
    thought_up = sessions(volume)
    transactions = [_transaction(volume, *each) for each in enumerate(thought_up, 1)]
    connection.executemany(
        codec.INSERT_TRANSACTION, (codec.transaction_params(each) for each in transactions)
    )
    connection.executemany(codec.INSERT_READING, _readings(volume, thought_up))
    connection.execute(
        "INSERT INTO counters (name, next) VALUES ('transaction_id', ?)", (len(transactions) + 1,)
    )
    hours.rebuild(connection)
    _others(connection, volume, thought_up)
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def sessions(volume: Volume) -> list[Session]:
    """Think up all sessions, in the order in which they begin."""
    chance = random.Random(volume.seed)
    year = DAYS * 86_400 * MICROS
    first = (codec.micros(volume.end) or 0) - year
    each = -(-volume.transactions // volume.chargers)
    slot = year // each
    found = []
    for charger in range(volume.chargers):
        register_wh = 1_000 * charger
        for number in range(min(each, volume.transactions - charger * each)):
            length = int(slot * chance.uniform(0.05, 0.6))
            began = first + number * slot + int((slot - length) * chance.random())
            power_w = chance.choice((3_700, 7_400, 11_000, 22_000)) // 4
            tag = f"TAG{chance.randrange(TAGS):05}"
            connector_id = 1 + chance.randrange(2)
            one = Session(began, length, charger, connector_id, tag, register_wh, power_w)
            register_wh += one.energy_wh
            found.append(one)
    return sorted(found)


def _transaction(volume: Volume, transaction_id: int, session: Session) -> Transaction:
    began, ended = codec.when(session.began), codec.when(session.began + session.length)
    assert began is not None
    assert ended is not None
    last = READINGS_EACH
    return Transaction(
        transaction_id=transaction_id,
        charger_id=volume.charger_id(session.charger),
        connector_id=session.connector_id,
        id_tag=session.id_tag,
        meter_start_wh=session.register_wh,
        start_time=began,
        start_time_raw=codec.iso(session.began) or "",
        started_at=began + timedelta(milliseconds=180),
        state="stopped",
        last_energy_wh=session.register(last),
        power_w=float(session.power_w),
        soc_percent=80.0,
        last_sample_at=codec.when(session.time(last)),
        last_sample_time=codec.when(session.time(last)),
        stop_id_tag=session.id_tag,
        meter_stop_wh=session.register_wh + session.energy_wh,
        stop_time=ended,
        stop_time_raw=codec.iso(session.began + session.length) or "",
        stopped_at=ended + timedelta(milliseconds=180),
        stop_reason=("Local", "EVDisconnected", "Remote")[transaction_id % 3],
        energy_wh=session.energy_wh,
        energy_source="registers",
    )


def _readings(volume: Volume, thought_up: list[Session]) -> Iterator[codec.Params]:
    order = sorted(
        (session.time(step), number, step)
        for number, session in enumerate(thought_up)
        for step in range(1, READINGS_EACH + 1)
    )
    for time, number, step in order:
        session = thought_up[number]
        energy_wh, soc = session.register(step), 20 + 6 * step
        figures = (energy_wh, float(session.power_w), float(soc))
        yield (
            volume.charger_id(session.charger),
            session.connector_id,
            number + 1,
            0,
            "MeterValues",
            time + 150_000,
            time,
            *figures,
            *figures,
            time,
            "",
            _raw(time, energy_wh, session.power_w, soc),
        )


def _raw(time: int, energy_wh: int, power_w: int, soc: int) -> str:
    return (
        f'[{{"timestamp":"{codec.iso(time)}","sampledValue":['
        f'{{"value":"{energy_wh}","context":"Sample.Periodic",'
        '"measurand":"Energy.Active.Import.Register","unit":"Wh"},'
        f'{{"value":"{power_w}","context":"Sample.Periodic",'
        '"measurand":"Power.Active.Import","unit":"W"},'
        f'{{"value":"{soc}","context":"Sample.Periodic","measurand":"SoC","unit":"Percent"}},'
        f'{{"value":"{power_w / 230:.2f}","context":"Sample.Periodic",'
        '"measurand":"Current.Import","unit":"A","phase":"L1"},'
        f'{{"value":"230.{soc % 10}","context":"Sample.Periodic",'
        '"measurand":"Voltage","unit":"V","phase":"L1"}]}]'
    )


# --- everything else -------------------------------------------------------------


def _others(connection: sqlite3.Connection, volume: Volume, thought_up: list[Session]) -> None:
    run = connection.executemany
    run(notes.STORE_CHARGER, _chargers(volume))
    run(history.INSERT_STATUS, _statuses(volume, thought_up))
    run(store.INSERT_ERROR, _errors(volume, thought_up))
    run(store.INSERT_TAG_CHECK, _tag_checks(volume, thought_up))
    run(store.INSERT_CONNECTION, _connections(volume))
    connection.execute(
        "UPDATE connections SET disconnected_at = connected_at + 86400000000, code = 1006"
    )


def _chargers(volume: Volume) -> Iterable[codec.Params]:
    boot = codec.boot_json(Boot("GWAY", "Volume"))
    end = codec.micros(volume.end) or 0
    for index in range(volume.chargers):
        yield (volume.charger_id(index), "Accepted", boot, end, end - index * MICROS, 120)


def _statuses(volume: Volume, thought_up: list[Session]) -> Iterator[codec.Params]:
    for session in thought_up:
        for status, shift_s in (("Preparing", -30), ("Charging", 1)):
            at = codec.when(session.began + shift_s * MICROS)
            said = ConnectorStatus(session.connector_id, status, time=at)
            yield history.status_params(volume.charger_id(session.charger), said, at)
        for status, shift_s in (("Finishing", 1), ("Available", 60)):
            at = codec.when(session.began + session.length + shift_s * MICROS)
            said = ConnectorStatus(session.connector_id, status, time=at)
            yield history.status_params(volume.charger_id(session.charger), said, at)


def _errors(volume: Volume, thought_up: list[Session]) -> Iterator[codec.Params]:
    for session in thought_up[::20]:
        at = codec.when(session.began)
        assert at is not None
        charger_id = volume.charger_id(session.charger)
        yield codec.error_params(
            ErrorReport(charger_id, 1, "GroundFailure", "Faulted", None, None, None, at, at)
        )


def _tag_checks(volume: Volume, thought_up: list[Session]) -> Iterator[codec.Params]:
    for session in thought_up:
        charger_id, tag = volume.charger_id(session.charger), session.id_tag
        key = codec.tag_key(tag)
        yield (charger_id, tag, key, "start", "Accepted", "", "policy", session.began)


def _connections(volume: Volume) -> Iterator[codec.Params]:
    first = (codec.micros(volume.end) or 0) - DAYS * 86_400 * MICROS
    for day in range(0, DAYS, 3):
        for index in range(volume.chargers):
            at = first + day * 86_400 * MICROS + index * MICROS
            yield (volume.charger_id(index), day, "192.0.2.7:4711", "ocpp1.6", at)
