"""Thirty kills under load, and the comparison of what was answered with what is stored."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from durability_charger import Charger, Session
from durability_site import Site

CALM_S = 10.0
OUT_OF_STEP_S = 0.06


@dataclass
class Ordeal:
    """What a run of kills was like."""

    chargers: list[Charger]
    kills: int
    seconds: float

    @property
    def answered(self) -> int:
        return sum(charger.answered for charger in self.chargers)

    @property
    def repeats(self) -> int:
        return sum(charger.repeats for charger in self.chargers)

    @property
    def sessions(self) -> list[Session]:
        return [session for charger in self.chargers for session in charger.sessions]

    @property
    def failures(self) -> list[str]:
        return [str(charger.failure) for charger in self.chargers if charger.failure]


@contextmanager
def charging(site: Site, count: int, seed: int) -> Iterator[list[Charger]]:
    """Let chargers charge; at the end of the block each finishes its sessions."""
    chargers = [Charger(f"CP{index}", site, seed=seed + index) for index in range(count)]
    for charger in chargers:
        charger.start()
    try:
        yield chargers
    finally:
        for charger in chargers:
            charger.finish.set()
        for charger in chargers:
            charger.join(CALM_S * 6)


def kill_often(site: Site, *, kills: int, seed: int, chargers: int = 6) -> Ordeal:
    """Kill the server again and again, each time after some more answers."""
    chance = random.Random(seed)
    began = time.monotonic()
    with charging(site, chargers, seed) as fleet:
        for _ in range(kills):
            _wait_for_answers(fleet, chance.randint(5, 120))
            # Any moment will do but that of an answer, when nothing is half done.
            fleet[0].finish.wait(chance.uniform(0, OUT_OF_STEP_S))
            site.kill()
            site.start()
        seconds = time.monotonic() - began
    return Ordeal(fleet, kills, seconds)


def _wait_for_answers(fleet: list[Charger], more: int) -> None:
    goal = sum(charger.answered for charger in fleet) + more
    deadline = time.monotonic() + CALM_S
    while sum(charger.answered for charger in fleet) < goal:
        if all(not charger.is_alive() for charger in fleet) or time.monotonic() > deadline:
            return
        time.sleep(0.001)


def stored_transactions(site: Site) -> dict[int, dict[str, object]]:
    rows = site.rows("SELECT * FROM transactions")
    return {int(str(row["transaction_id"])): row for row in rows}


def stored_samples(site: Site) -> dict[int, list[tuple[str, int]]]:
    """Read the samples by transaction, from the text that the chargers sent."""
    samples: dict[int, list[tuple[str, int]]] = {}
    for row in site.rows("SELECT transaction_id, raw FROM readings WHERE transaction_id > 0"):
        kept = samples.setdefault(int(str(row["transaction_id"])), [])
        for value in json.loads(str(row["raw"])):
            kept += [(value["timestamp"], int(one["value"])) for one in value["sampledValue"]]
    return samples


def losses(site: Site, ordeal: Ordeal) -> list[str]:
    """Compare each answered message with the store; every difference is one line."""
    stored, samples = stored_transactions(site), stored_samples(site)
    found = [f"charger gave up: {failure}" for failure in ordeal.failures]
    answered = [session for session in ordeal.sessions if session.transaction_id]
    for transaction_id, times in Counter(s.transaction_id for s in answered).items():
        if times > 1:
            found.append(f"transaction id {transaction_id} was given {times} times")
    for session in answered:
        row = stored.pop(session.transaction_id, None)
        if row is None:
            found.append(f"lost: the start of {session.transaction_id} was answered")
            continue
        found += _differences(session, row)
        found += _sample_differences(session, samples.get(session.transaction_id, []))
    found += [
        f"doubled: {row['charger_id']} has a row nobody knows, {row}" for row in stored.values()
    ]
    return found


def _differences(session: Session, row: dict[str, object]) -> list[str]:
    wanted: dict[str, object] = {
        "charger_id": session.charger_id,
        "connector_id": session.connector_id,
        "id_tag": session.id_tag,
        "meter_start_wh": session.meter_start_wh,
    }
    if session.meter_stop_wh is not None:
        wanted |= {
            "state": "stopped",
            "meter_stop_wh": session.meter_stop_wh,
            "energy_wh": session.meter_stop_wh - session.meter_start_wh,
        }
    return [
        f"wrong: {name} of {session.transaction_id} is {row[name]!r}, not {value!r}"
        for name, value in wanted.items()
        if row[name] != value
    ]


def _sample_differences(session: Session, stored: list[tuple[str, int]]) -> list[str]:
    wanted, got = Counter(session.samples), Counter(stored)
    lost = [f"lost: sample {one} of {session.transaction_id}" for one in wanted - got]
    doubled = [f"doubled: sample {one} of {session.transaction_id}" for one in got - wanted]
    return lost + doubled
