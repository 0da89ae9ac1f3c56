"""Simulated chargers, a local site and its remote, and a seed that breaks everything.

Both sites are processes with files; they are killed with -9, cut off, left in a black
hole, half closed and slowed down while sessions go on. At the end both databases must
tell the same story, and the one that the chargers tell.

    python -m tests.projects.ocpp.proxy.chaos --seed 1 --transactions 300 --kills 60 --partitions 60

With `--most-seconds` it breaks nothing more after that time, and ends as always.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from gway.projects.ocpp.evcs.chargepoint import Actions, ChargePoint, Need
from gway.projects.ocpp.evcs.driver import Driver
from gway.projects.ocpp.evcs.keeper import Backoff
from gway.projects.ocpp.evcs.link import Target
from gway.projects.ocpp.evcs.registration import Identity
from gway.projects.ocpp.evcs.runner import Runner
from gway.projects.ocpp.messages.times import format_time
from tests.fault_proxy import FaultProxy
from tests.projects.ocpp.proxy.conftest import Pair, story

KILLS = ("kill local", "kill remote")
PARTITIONS = ("partition", "black hole", "half close", "cut")
OTHERS = ("delay",)
END_S = 240.0


class Quick(Backoff):
    """Comes back soon: how long a charger waits is not what is tried here."""

    def pause_s(self, held_s: float) -> float:
        return min(super().pause_s(held_s), 0.5)


@dataclass
class Outcome:
    """What a run came to."""

    seed: int
    seconds: float
    events: Counter[str]
    transactions: int
    samples: int
    lost: int
    duplicated: int
    apart_wh: int
    cut_short: bool
    unknown_here: list[tuple[str, str, int]]
    dead: int
    resent: int
    history: list[str] = field(repr=False)

    @property
    def kills(self) -> int:
        return sum(self.events[name] for name in KILLS)

    @property
    def partitions(self) -> int:
        return sum(self.events[name] for name in PARTITIONS)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.transactions} transactions with {self.samples} samples,"
            f" {self.kills} kills, {self.partitions} partitions in {self.seconds:.0f} s"
            f"{', when the time was over' if self.cut_short else ''};"
            f" lost {self.lost}, duplicated {self.duplicated}, {self.apart_wh} Wh apart,"
            f" {len(self.unknown_here)} unknown here, {self.dead} dead, {self.resent} sent again"
        )


class Chaos:
    """One run.

    :param chargers: simulated at the same time
    :param most_seconds: after which nothing more is broken, however little there was of it;
        what is under way is still ended and compared
    """

    def __init__(self, folder: Path, seed: int, chargers: int, most_seconds: float = 1e9) -> None:
        self.seed = seed
        self.cut_short = False
        self._most_seconds = most_seconds
        self._began = time.monotonic()
        self.chance = Random(seed)
        self.pair = Pair(folder, "", None)
        self.front = FaultProxy(self.pair.local.ws_port)
        self.runners = [self._runner(number) for number in range(chargers)]
        self.events: Counter[str] = Counter()
        self.history: list[str] = []
        self._pause = threading.Event()

    def _runner(self, number: int) -> Runner:
        rng = Random(f"{self.seed} {number}")
        driver = Driver("TAG", repeat=None, pause_s=0.2, step_s=0.05)
        point = ChargePoint(Identity(f"CHAOS{number}"), Need(5, 20, 1.5, 1), rng=rng, person=driver)
        point.configuration.put("MeterValueSampleInterval", "1")
        point.configuration.put("TransactionMessageAttempts", "1000")
        point.configuration.put("TransactionMessageRetryInterval", "1")
        target = Target(f"ws://127.0.0.1:{self.front.port}/ocpp/csms/CHAOS{number}")
        return Runner(point, target, backoff=Quick(rng, first_s=0.05))

    def run(self, transactions: int, kills: int, partitions: int) -> Outcome:
        """Break things until there was enough of each, then look at both sides."""
        self._began = time.monotonic()
        for runner in self.runners:
            runner.start()
        while self._wants_more(transactions, kills, partitions):
            self._pause.wait(self.chance.uniform(0.1, 0.8))
            self._break(kills, partitions)
        self._calm_down()
        return self._judge(time.monotonic() - self._began)

    def _wants_more(self, transactions: int, kills: int, partitions: int) -> bool:
        if any(runner.error for runner in self.runners):
            raise AssertionError([runner.error for runner in self.runners])
        done = sum(len(runner.finished) for runner in self.runners)
        wants = (
            done < transactions
            or sum(self.events[name] for name in KILLS) < kills
            or sum(self.events[name] for name in PARTITIONS) < partitions
        )
        self.cut_short = wants and time.monotonic() - self._began > self._most_seconds
        return wants and not self.cut_short

    def _break(self, kills: int, partitions: int) -> None:
        killed = sum(self.events[name] for name in KILLS)
        parted = sum(self.events[name] for name in PARTITIONS)
        # Beyond what was asked for, give the sessions time to get done.
        names = [
            *(KILLS if killed < kills else ()),
            *(PARTITIONS if parted < partitions else ()),
            *OTHERS,
        ]
        name = self.chance.choice(names)
        self.events[name] += 1
        self.history.append(name)
        between = self.pair.between
        if name == "kill local":
            self.pair.local.kill()
            self.pair.local.start()
            self.front.to_port = self.pair.local.ws_port
        elif name == "kill remote":
            self.pair.remote.kill()
            self._pause.wait(self.chance.uniform(0, 0.5))
            self.pair.restart_remote()
        elif name == "half close":
            between.half_close(self.chance.choice(("up", "down")))
        elif name == "cut":
            between.cut()
        else:
            if name == "partition":
                between.partition()
            elif name == "black hole":
                between.black_hole()
            else:
                between.delay_s = self.chance.uniform(0, 0.05)
            self._pause.wait(self.chance.uniform(0.2, 1.5))
            between.heal()
        if self.chance.random() < 0.5:
            self.pair.sync()

    def _calm_down(self) -> None:
        """Let all sessions end and all of it arrive."""
        self.pair.between.heal()
        for runner in self.runners:
            runner.do(partial(_send_home, runner.point))
        self._wait_until(lambda: all(map(_is_home, self.runners)), "sessions end")
        for runner in self.runners:
            runner.stop()
            assert runner.wait(30), f"{runner.charger_id} does not end"
            assert runner.error is None

        def drained() -> bool:
            self.pair.sync()
            return self.pair.drained()

        self._wait_until(drained, f"the queue drains: {self.pair.status()}")

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + END_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {END_S} s: {what}")
            self._pause.wait(0.5)

    def _judge(self, seconds: float) -> Outcome:
        here, there = (Counter(story(side)) for side in (self.pair.local, self.pair.remote))
        lost, more = here - there, there - here
        told = {
            (row.charger, format_time(row.started), round(row.energy_kwh * 1000))
            for one in self.runners
            for row in one.finished
        }
        known = {(row[0], row[4], row[8]) for row in here}
        status = self.pair.status()
        return Outcome(
            seed=self.seed,
            seconds=seconds,
            events=self.events,
            transactions=sum(here.values()),
            samples=sum(len(row[-1]) for row in here.elements()),
            lost=sum(lost.values()),
            duplicated=sum(more.values()),
            cut_short=self.cut_short,
            apart_wh=abs(_energy(here) - _energy(there)),
            unknown_here=sorted(told - known),
            dead=status["dead"],
            resent=status["possible_duplicates"],
            history=self.history,
        )

    def close(self) -> None:
        """End everything."""
        for runner in self.runners:
            runner.stop(grace_s=0)
        self.front.close()
        for runner in self.runners:
            runner.wait(15)
        self.pair.close()


def _send_home(point: ChargePoint, now: datetime) -> Actions:
    """End all sessions and let nobody begin another; the charger stays."""
    point.person = None
    return point.stop_all("Local", now)


def _is_home(runner: Runner) -> bool:
    return runner.point.person is None and runner.point.told


def _energy(rows: Counter[tuple[Any, ...]]) -> int:
    return sum((row[8] or 0) * count for row, count in rows.items())


def chaos(
    folder: Path,
    seed: int,
    *,
    chargers: int,
    transactions: int,
    kills: int,
    partitions: int,
    most_seconds: float = 1e9,
) -> Outcome:
    """Do one run in a folder of its own."""
    run = Chaos(folder, seed, chargers, most_seconds)
    try:
        return run.run(transactions, kills, partitions)
    finally:
        run.close()


def main() -> None:
    """Do one run and print what it came to; the exit code tells whether all is equal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chargers", type=int, default=10)
    parser.add_argument("--transactions", type=int, default=300)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--partitions", type=int, default=60)
    help_text = "after which nothing more is broken, and what is under way is ended and compared"
    parser.add_argument("--most-seconds", type=float, default=1e9, help=help_text)
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        outcome = chaos(Path(folder), **given)
    print(outcome)
    print(", ".join(f"{name} {count}" for name, count in outcome.events.most_common()))
    bad = outcome.lost or outcome.duplicated or outcome.apart_wh or outcome.unknown_here
    sys.exit(bool(bad or outcome.dead))


if __name__ == "__main__":
    main()
