"""The chargers of the simulation and the central system that serves them.

The central system is what the proxy sees of it: domain rows and queue rows that stand or
fall together, and an answer after the commit.
"""

from __future__ import annotations

from random import Random

import msgspec

from tests.projects.ocpp.proxy.world import Disk, MemoryStore


class Plan:
    """What one charger will do: its messages in order, the ids filled in when known."""

    def __init__(self, charger_id: str, chance: Random) -> None:
        self.charger_id = charger_id
        self.steps: list[tuple[str, int, dict[str, object]]] = []
        self.expected: list[tuple[object, ...]] = []
        clock = 0
        meter = chance.randrange(1000)
        for number in range(chance.choice((1, 1, 2, 3))):
            tag = f"TAG{chance.randrange(3)}"
            time = f"2027-01-01T00:{clock:02d}:00Z"
            start = {"connectorId": 1, "idTag": tag, "meterStart": meter, "timestamp": time}
            self.steps.append(("StartTransaction", number, start))
            samples = []
            for _ in range(chance.randrange(4)):
                clock += 1
                meter += chance.randrange(1, 500)
                sampled = [{"value": str(meter)}]
                value = [{"timestamp": f"2027-01-01T00:{clock:02d}:00Z", "sampledValue": sampled}]
                samples.append(str(value))
                self.steps.append(("MeterValues", number, {"connectorId": 1, "meterValue": value}))
            clock += 1
            meter += chance.randrange(500)
            ended = f"2027-01-01T00:{clock:02d}:00Z"
            clock += 1  # no two messages of a charger share a time
            stop = {"meterStop": meter, "timestamp": ended}
            self.steps.append(("StopTransaction", number, stop))
            key = (charger_id, 1, tag.lower(), start["meterStart"], time)
            self.expected.append((*key, tuple(samples), (meter, ended)))


class Charger:
    """A charger that repeats a message until it is answered, then says the next one."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.charger_id = plan.charger_id
        self.position = 0
        self.asked = False
        self.ids: dict[int, int] = {}
        self.answered = 0

    @property
    def done(self) -> bool:
        return self.position == len(self.plan.steps)

    def message(self) -> tuple[str, int, dict[str, object]]:
        action, number, payload = self.plan.steps[self.position]
        if action != "StartTransaction":
            payload = {**payload, "transactionId": self.ids[number]}
        return action, number, payload

    def take_answer(self, position: int, transaction_id: int | None) -> None:
        if position != self.position:
            return
        _, number, _ = self.plan.steps[position]
        if transaction_id is not None:
            self.ids[number] = transaction_id
        self.position += 1
        self.answered += 1
        self.asked = False


class Local:
    """The central system as far as the proxy sees it: domain rows and one disk."""

    def __init__(self, store: MemoryStore, disk: Disk) -> None:
        self.store = store
        self.disk = disk
        self.starts: dict[tuple[object, ...], int] = {}
        self.transactions: dict[int, dict[str, object]] = {}
        self.next_id = 1

    def take(self, charger_id: str, action: str, payload: dict, done) -> None:
        """Store what a charger says, and tell it when it is durable."""
        text = msgspec.json.encode(payload)
        getattr(self, "on_" + action)(charger_id, payload, text, done)

    def on_StartTransaction(self, charger_id: str, start: dict, text: bytes, done) -> None:
        key = (charger_id, 1, start["idTag"].lower(), start["meterStart"], start["timestamp"])
        known = self.starts.get(key)
        if known is not None:
            self.answer_after_commit(done, known)
            return
        local_tx, self.next_id = self.next_id, self.next_id + 1

        def apply() -> None:
            if key not in self.starts:
                self.starts[key] = local_tx
                self.transactions[local_tx] = {"start": key, "samples": [], "stop": None}
                self.enqueue(charger_id, local_tx, "StartTransaction", text)

        self.store_unit(apply, lambda: done(self.starts[key]))

    def on_MeterValues(self, charger_id: str, meter: dict, text: bytes, done) -> None:
        local_tx = meter["transactionId"]

        def apply() -> None:
            samples = self.transactions[local_tx]["samples"]
            sample = str(meter["meterValue"])
            if sample not in samples:
                samples.append(sample)
            self.enqueue(charger_id, local_tx, "MeterValues", text)  # told again: no second row

        self.store_unit(apply, lambda: done(None))

    def on_StopTransaction(self, charger_id: str, stop: dict, text: bytes, done) -> None:
        local_tx = stop["transactionId"]
        transaction = self.transactions[local_tx]
        if transaction["stop"] is not None:
            self.answer_after_commit(done, None)
            return

        def apply() -> None:
            transaction["stop"] = (stop["meterStop"], stop["timestamp"])
            self.enqueue(charger_id, local_tx, "StopTransaction", text)

        self.store_unit(apply, lambda: done(None))

    def enqueue(self, charger_id: str, local_tx: int, action: str, text: bytes) -> None:
        self.store.put(charger_id, local_tx, action, text)

    def store_unit(self, apply, done) -> None:
        self.disk.submit(apply, lambda error: None if error else done())

    def answer_after_commit(self, done, transaction_id: int | None) -> None:
        self.disk.submit(lambda: None, lambda error: None if error else done(transaction_id))

    def ledger(self) -> list[tuple[object, ...]]:
        return sorted(
            (*one["start"], tuple(one["samples"]), one["stop"])
            for one in self.transactions.values()
        )
