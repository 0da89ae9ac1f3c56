"""A hypothesis state machine that drives a central system with its store on disk.

The model knows each start and the first stop of it; what else may be in the file follows
from section 4 of OCPP and its errata. Whoever looks into it is a connection of its own, so
only what was committed counts, and it looks at the moment an answer goes out.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gway.projects.sql.sql import Databases
from gway.resolver import Gateway, install

CHARGERS = st.sampled_from(["CPA", "CPB"])
CONNECTORS = st.sampled_from([1, 2])
TAGS = st.sampled_from(["ADA", "ada", "BOB"])
STOP_TAGS = st.sampled_from([None, None, "ADA", "BOB"])
METERS = st.sampled_from([1_000, 1_001, 4_500])
STOP_METERS = st.sampled_from([999, 4_500, 9_999])
NAMED = st.sampled_from(["own", "open", "lost", "lost", "other", "unknown"])
PICKS = st.integers(0, 1_000)
HEARD = st.sampled_from([True, True, True, False])  # False: the line breaks before the answer
PASSED = st.sampled_from([0, 0, 1, 60, 1_200])  # seconds since the last message
HOURS = st.sampled_from([-48, -5, -1, 1, 5, 48])
CLOCKS = HOURS | st.sampled_from(["", "yesterday", "+02:00", "early", "late"])
STATUSES = st.sampled_from(["Available", "Preparing", "Faulted", "Boot"])
BREAKS = st.sampled_from(["stopped", "killed", "line lost", "second line"])

Words = dict[str, Any]
Key = tuple[str, int, str, int, str]


@dataclass
class Session:
    """What the model keeps of a start, and the first stop of it."""

    key: Key
    time: datetime | None  # None as well when it was told before it was that late
    stop: tuple[int, str] | None = None

    @property
    def charger_id(self) -> str:
        return self.key[0]


@dataclass
class File:
    """What has been committed."""

    transactions: dict[int, Words]
    readings: list[tuple[Any, ...]]
    orphans: list[tuple[Any, ...]]

    def changed_since(self, before: File) -> set[int]:
        return {
            key for key, row in self.transactions.items() if before.transactions.get(key) != row
        }


@dataclass
class Told:
    """One message: its answer (None if nobody heard it), and the file before and after."""

    answer: Words | None
    before: File
    after: File

    @property
    def changed(self) -> set[int]:
        return self.after.changed_since(self.before)

    @property
    def more(self) -> tuple[int, int]:
        """How many readings and orphans were added."""
        before, after = self.before, self.after
        assert after.readings[: len(before.readings)] == before.readings
        assert after.orphans[: len(before.orphans)] == before.orphans
        return len(after.readings) - len(before.readings), len(after.orphans) - len(before.orphans)


class Chargers(RuleBasedStateMachine):
    """Two chargers with two connectors each, a central system, and time."""

    def __init__(self, make_site: Callable[..., Any], folder: Path) -> None:
        super().__init__()
        (folder / "projects").mkdir(parents=True)
        self.make_site = make_site
        self.folder = folder
        self.now = datetime(2024, 5, 17, 12, tzinfo=UTC)
        self.lies: dict[str, str] = {}
        self.lines: dict[str, Any] = {}
        self.message_ids = (f"m{number}" for number in itertools.count())
        self.sessions: dict[int, Session] = {}
        self.starts: dict[Key, int] = {}
        self.told: list[tuple[str, str, str, Words]] = []  # money messages, to be told again
        self.begin()
        self.witness = sqlite3.connect(folder / "work" / "ocpp.sqlite")

    # --- the server -----------------------------------------------------------

    def begin(self) -> None:
        self.gateway = Gateway(self.folder, now=lambda: self.now)
        install(self.gateway)
        self.site = self.make_site(self.gateway, lambda: self.now, on_disk=True)
        self.gateway.plugins.emit(
            "gway_server_started", host="127.0.0.1", port=0, ws_port=0, at=self.now
        )
        self.site.knock("warm")  # opens the database

    def end(self, killed: bool = False) -> None:
        if killed:
            self.gateway.service(Databases).close()
        else:
            self.site.central.close()
            self.gateway.close()
        install(None)

    def teardown(self) -> None:
        self.witness.close()
        self.end()

    def file(self) -> File:
        def rows(sql: str) -> list[tuple[Any, ...]]:
            return self.witness.execute(sql).fetchall()

        with closing(self.witness.execute("SELECT * FROM transactions ORDER BY sequence")) as found:
            names = [column[0] for column in found.description]
            transactions = [dict(zip(names, row, strict=True)) for row in found]
        return File(
            {row["transaction_id"]: row for row in transactions},
            rows(
                "SELECT sequence, transaction_id, charger_id, connector_id, raw FROM readings"
                " ORDER BY sequence"
            ),
            rows("SELECT orphan_id, charger_id, action, payload FROM orphans ORDER BY 1"),
        )

    # --- the chargers ---------------------------------------------------------

    def line(self, charger_id: str) -> Any:
        line = self.lines.get(charger_id)
        if line is None or not line.open:
            line = self.lines[charger_id] = self.site.line(charger_id)
            line.asked = []
        return line

    def time(self, charger_id: str, later: int) -> str:
        """Let time pass, and tell it as a charger does that may lie."""
        self.now += timedelta(seconds=later)
        lie = self.lies.get(charger_id, "")
        if lie == "yesterday":
            return lie
        if lie == "+02:00":
            return (self.now + timedelta(hours=2)).replace(tzinfo=None).isoformat() + lie
        shift_days = {"early": -2, "late": 2}.get(lie, 0)
        return (self.now + timedelta(days=shift_days)).isoformat()

    def tell(
        self, charger_id: str, action: str, words: Words, heard: bool = True, message_id: str = ""
    ) -> Told:
        """Send a CALL; every answer is right behind what it depends on."""
        line, before = self.line(charger_id), self.file()
        message_id = message_id or next(self.message_ids)
        at_answer: list[File] = []
        line.before_send = lambda frame: at_answer.append(self.file())
        text = line.frame(action, words, message_id)
        if heard:
            line.asked.append(message_id)
            frames = line.say(text)
        else:
            self.site.runtime.paused = deque()
            frames = line.say(text)
            line.close()
            self.site.runtime.go_on()
        after = self.file()
        if not heard:
            assert frames == at_answer == []
            return Told(None, before, after)
        assert [frame[:2] for frame in frames] == [[3, message_id]], "not answered once"
        assert at_answer == [after], "answered before it was stored"
        return Told(frames[0][2], before, after)

    def money(self, charger_id: str, action: str, words: Words, **how: Any) -> Told:
        """Send a money message that may be told again later."""
        message_id = how.pop("message_id", "") or next(self.message_ids)
        self.told.append((charger_id, action, message_id, words))
        return self.tell(charger_id, action, words, message_id=message_id, **how)

    def named(self, charger_id: str, name: str, pick: int) -> int:
        """Find a transaction id to name."""
        if name == "lost":
            return -1  # errata 3.18: the answer to the start never came
        if name != "unknown":
            fitting = [
                key
                for key, one in self.sessions.items()
                if (one.charger_id == charger_id) == (name != "other")
                and (one.stop is None or name != "open")
            ]
            if fitting:
                return fitting[pick % len(fitting)]
        # The id that will be given next, or one that is far away.
        return max(self.sessions, default=0) + 1 if pick % 2 else 777_777

    # --- what chargers do -----------------------------------------------------

    @initialize(tag=TAGS, meter=METERS, heard=HEARD)
    def first_starts(self, tag: str, meter: int, heard: bool) -> None:
        for charger_id in ("CPA", "CPB"):
            self.start(charger_id, 1, tag, meter, later=1, heard=heard)

    @rule(
        charger_id=CHARGERS,
        connector=CONNECTORS,
        tag=TAGS,
        meter=METERS,
        later=PASSED,
        heard=HEARD,
    )
    def start(
        self, charger_id: str, connector: int, tag: str, meter: int, later: int, heard: bool
    ) -> None:
        words = {"connectorId": connector, "idTag": tag, "meterStart": meter}
        words["timestamp"] = self.time(charger_id, later)
        self.check_start(charger_id, words, heard=heard)

    @rule(
        charger_id=CHARGERS,
        name=NAMED,
        pick=PICKS,
        meter=STOP_METERS,
        tag=STOP_TAGS,
        later=PASSED,
        heard=HEARD,
    )
    def stop(
        self, charger_id: str, name: str, pick: int, meter: int, tag: str | None, **how: Any
    ) -> None:
        words: Words = {"transactionId": self.named(charger_id, name, pick), "meterStop": meter}
        words["timestamp"] = self.time(charger_id, how.pop("later"))
        self.check_stop(charger_id, words | ({"idTag": tag} if tag else {}), **how)

    @rule(
        charger_id=CHARGERS,
        name=NAMED | st.just(""),
        pick=PICKS,
        connector=st.integers(0, 2),
        meter=METERS,
        later=PASSED,
        heard=HEARD,
    )
    def meter_values(
        self, charger_id: str, name: str, pick: int, connector: int, meter: int, **how: Any
    ) -> None:
        raw = self.time(charger_id, how.pop("later"))
        sample = {"timestamp": raw, "sampledValue": [{"value": str(meter)}]}
        words: Words = {"connectorId": connector, "meterValue": [sample]}
        if name:
            words["transactionId"] = self.named(charger_id, name, pick)
        self.check_meter(charger_id, words, **how)

    @precondition(lambda self: self.told)
    @rule(back=st.sampled_from([1, 1, 2, 3, 8, 20]), same_id=st.booleans(), heard=HEARD)
    def again(self, back: int, same_id: bool, heard: bool) -> None:
        """Repeat a message, as those do who had no answer; with the same id or another."""
        charger_id, action, message_id, words = self.told[-min(back, len(self.told))]
        line = self.line(charger_id)
        repeated = same_id and message_id in line.asked[-4:]  # so lately that it is remembered
        how = {"heard": heard, "message_id": message_id if repeated else ""}
        if repeated:
            told = self.tell(charger_id, action, words, **how)
            assert told.changed == set()
            assert told.more == (0, 0)
        elif action == "StartTransaction":
            self.check_start(charger_id, words, **how)
        elif action == "StopTransaction":
            self.check_stop(charger_id, words, **how)
        else:
            self.check_meter(charger_id, words, **how)

    @rule(charger_id=CHARGERS, connector=CONNECTORS, status=STATUSES)
    def status(self, charger_id: str, connector: int, status: str) -> None:
        if status == "Boot":  # many do so on every reconnect: nothing is over by that
            words: Words = {"chargePointVendor": "Acme", "chargePointModel": "One"}
            told = self.tell(charger_id, "BootNotification", words)
            assert (told.changed, told.more) == (set(), (0, 0))
            return
        words = {"connectorId": connector, "status": status, "errorCode": "NoError"}
        words["timestamp"] = self.now.isoformat()
        told = self.tell(charger_id, "StatusNotification", words)
        assert told.more == (0, 0)
        self.check_closed(told, charger_id, connector)
        if status == "Available":
            left = self.open_rows(told.after, charger_id, connector)
            assert not [row for row in left if self.began_before(row, self.now)]

    @rule(charger_id=CHARGERS, clock=CLOCKS)
    def clock_is_wrong(self, charger_id: str, clock: str | int) -> None:
        """Let the server's clock jump, or a charger's be wrong from now on."""
        if isinstance(clock, int):
            self.now += timedelta(hours=clock)
        else:
            self.lies[charger_id] = clock

    @rule(charger_id=CHARGERS, what=BREAKS)
    def interrupt(self, charger_id: str, what: str) -> None:
        """Restart the server, or break a line; nothing that is kept changes."""
        before = self.file()
        old = self.line(charger_id)
        if what == "line lost":
            old.close()
        elif what == "second line":  # the first is dead, but does not know it
            old.answers_pings = False
            del self.lines[charger_id]
            self.line(charger_id)
            assert old.closed == (1008, "replaced")
        else:
            self.end(killed=what == "killed")
            self.lines.clear()
            self.begin()
        assert self.file() == before

    # --- what the model says of it --------------------------------------------

    def check_start(self, charger_id: str, words: Words, **how: Any) -> None:
        tag, raw = words["idTag"], words["timestamp"]
        connector, meter = words["connectorId"], words["meterStart"]
        key = (charger_id, connector, tag.casefold(), meter, raw)
        told = self.money(charger_id, "StartTransaction", words, **how)
        assert told.more == (0, 0)
        known = self.starts.get(key)
        if known is None:
            (known,) = set(told.after.transactions) - set(told.before.transactions)
            assert known not in self.sessions, "an id was given twice"
            assert 0 < known < 2**31
            self.starts[key] = known
            began = parsed(raw)
            ahead = began is not None and began - self.now > timedelta(minutes=15)
            self.sessions[known] = Session(key, None if ahead else began)
            assert told.after.transactions[known]["state"] == "open"
            self.check_closed(told, charger_id, connector, but=known)
        else:
            assert told.changed == set(), "a repeated start changed something"
        if told.answer is not None:
            assert told.answer["transactionId"] == known
            assert told.answer["idTagInfo"]["status"] == "Accepted"

    def check_stop(self, charger_id: str, words: Words, **how: Any) -> None:
        named, stop = words["transactionId"], (words["meterStop"], words["timestamp"])
        told = self.money(charger_id, "StopTransaction", words, **how)
        if named == -1:
            target = self.match(told.before, charger_id, words)
        else:
            session = self.sessions.get(named)
            own = session is not None and session.charger_id == charger_id
            target = named if own else None
        if target is None:
            assert (told.changed, told.more) == (set(), (0, 1)), "to be kept as an orphan"
            assert told.after.orphans[-1][1:3] == (charger_id, "StopTransaction")
            assert json.loads(told.after.orphans[-1][3]) == words
            return
        session = self.sessions[target]
        if session.stop == stop:
            assert (told.changed, told.more) == (set(), (0, 0)), "a repeated stop did something"
        elif session.stop is None:
            session.stop = stop
            assert (told.changed, told.more) == ({target}, (0, 0))
        else:
            assert told.changed <= {target}
            assert told.more == (0, 1)
            assert "conflicting-stop" in told.after.transactions[target]["flags"]

    def match(self, file: File, charger_id: str, words: Words) -> int | None:
        """Find what a stop without an id ends: what it ended before, or all that fits."""
        stop = (words["meterStop"], words["timestamp"])
        for key, one in self.sessions.items():
            if one.charger_id == charger_id and one.stop == stop:
                return key
        time = parsed(words["timestamp"])
        fitting = [
            row["transaction_id"]
            for row in self.open_rows(file, charger_id)
            if self.began_before(row, time)
            and row["meter_start_wh"] <= words["meterStop"]
            and words.get("idTag", row["id_tag"]).casefold() == row["id_tag"].casefold()
        ]
        return fitting[0] if len(fitting) == 1 else None

    def check_meter(self, charger_id: str, words: Words, **how: Any) -> None:
        named, connector = words.get("transactionId"), words["connectorId"]
        told = self.money(charger_id, "MeterValues", words, **how)
        if named in (None, -1):
            time = parsed(words["meterValue"][0]["timestamp"])
            rows = self.open_rows(told.before, charger_id, connector)
            fitting = {r["transaction_id"] for r in rows if self.began_before(r, time)}
            fitting = fitting or ({None} if named is None else set())
        else:
            session = self.sessions.get(named)
            own = session is not None and session.charger_id == charger_id
            fitting = {named} if own else set()
        if not fitting:
            assert (told.changed, told.more) == (set(), (0, 1)), "to be kept as an orphan"
            assert told.after.orphans[-1][1:3] == (charger_id, "MeterValues")
            return
        said = (charger_id, connector, json.dumps(words["meterValue"]))
        latest = {one[1]: one[2:] for one in told.before.readings}
        if said in (latest.get(key) for key in fitting - {None}):
            # Of several open transactions of a connector any may be the one that was meant.
            assert told.more == (0, 0) or len(fitting) > 1, "a repeated reading"
        else:
            assert told.more == (1, 0)
            assert told.after.readings[-1][1] in fitting
            assert told.after.readings[-1][2:] == said
        assert told.changed <= fitting
        for key in told.changed:  # what we had given up still charges
            assert told.before.transactions[key]["state"] == "inferred"

    def check_closed(
        self, told: Told, charger_id: str, connector: int, but: int | None = None
    ) -> None:
        """Nothing changed but that transactions of one connector were found to be over."""
        for key in told.changed - {but}:
            row = told.after.transactions[key]
            assert (row["charger_id"], row["connector_id"]) == (charger_id, connector)
            assert (told.before.transactions[key]["state"], row["state"]) == ("open", "inferred")

    def open_rows(self, file: File, charger_id: str, connector: int | None = None) -> list[Words]:
        return [
            row
            for row in file.transactions.values()
            if (row["charger_id"], row["state"]) == (charger_id, "open")
            and connector in (None, row["connector_id"])
        ]

    def began_before(self, row: Words, time: datetime | None) -> bool:
        began = self.sessions[row["transaction_id"]].time
        return began is None or time is None or began <= time

    # --- what always holds ----------------------------------------------------

    @invariant()
    def what_is_kept_is_right(self) -> None:
        file = self.file()
        self.check_rows(file.transactions)
        for numbers in (
            [row["sequence"] for row in file.transactions.values()],
            [reading[0] for reading in file.readings],
        ):
            assert numbers == list(range(1, len(numbers) + 1)), "a number is missing"
        for line in self.lines.values():
            answered = Counter(frame[1] for frame in line.sent if frame[0] in (3, 4))
            assert answered == Counter(line.asked), "each call is answered once"

    def check_rows(self, rows: dict[int, Words]) -> None:
        """Each start has one row, and each row the first stop and what that cost."""
        assert list(rows) == list(self.sessions)
        for key, session in self.sessions.items():
            row = rows[key]
            charger_id, connector, tag, meter, raw = session.key
            assert (row["charger_id"], row["connector_id"]) == (charger_id, connector)
            assert (row["id_tag"].casefold(), row["meter_start_wh"]) == (tag, meter)
            assert row["start_time_raw"] == raw
            if session.stop is None:
                assert row["state"] in ("open", "inferred")
                continue
            assert row["state"] == "stopped"
            assert (row["meter_stop_wh"], row["stop_time_raw"]) == session.stop
            difference = row["meter_stop_wh"] - meter
            if difference >= 0:
                assert row["energy_wh"] == difference
            else:
                assert "meter-backwards" in row["flags"].split()
                assert row["energy_source"] != "registers"


def parsed(raw: str) -> datetime | None:
    return None if raw == "yesterday" else datetime.fromisoformat(raw).astimezone(UTC)
