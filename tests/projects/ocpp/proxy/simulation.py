"""The seeded scheduler, and the oracle that judges how a run ended.

A run is a pure function of its seed. `Run(seed).go()` gives the faults found, with
`events` to read what happened.
"""

from __future__ import annotations

from collections import deque
from random import Random

import msgspec

from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.outlet import Outlet
from gway.projects.ocpp.proxy.ports import CommandAnswer, Options
from tests.projects.ocpp.proxy.site import Charger, Local, Plan
from tests.projects.ocpp.proxy.world import Disk, FakeClock, MemoryStore, Remote

STEPS = 80
CALM_STEPS = 4_000
TRANSIENT = ("InternalError", "GenericError", "SecurityError")
_decode = msgspec.json.decode


class Wire:
    """One connection: frames under way in both directions."""

    __slots__ = (
        "charger_id",
        "number",
        "seen",
        "silent",
        "to_local",
        "to_remote",
        "unanswered",
    )

    def __init__(self, charger_id: str, number: int) -> None:
        self.charger_id = charger_id
        self.number = number
        self.silent = False
        self.to_remote: deque[bytes] = deque()
        self.to_local: deque[tuple[str, bytes]] = deque()
        self.unanswered = ""
        self.seen: set[str] = set()


class Run:
    """One seed: builds a world, disturbs it, lets it calm down, judges it.

    :param outlet: the class of the core; a planted bug puts its own here
    """

    outlet_class: type[Outlet] = Outlet
    store_class: type[MemoryStore] = MemoryStore
    local_class: type[Local] = Local
    remote_deduplicates = True

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.clock = FakeClock()
        self.disk = Disk()
        self.store = self.make_store()
        self.local = self.local_class(self.store, self.disk)
        chance = self.chance
        self.remote = Remote(chance.randrange(1, 5), deduplicates=self.remote_deduplicates)
        self.events: list[str] = []
        self.faults: list[str] = []
        many = chance.random() < 0.2
        self.chargers = {
            name: Charger(Plan(name, chance)) for name in (("CP1", "CP2") if many else ("CP1",))
        }
        self.poison = ""
        if chance.random() < 0.15:
            self.poison_something()
        if chance.random() < 0.2:
            self.remote.refused.add("TAG1")
        self.options = Options(
            boot="always" if chance.random() < 0.1 else "when-changed",
            window=chance.choice((1, 2, 8)),
        )
        self.wires: dict[str, Wire] = {}
        self.ghosts: list[tuple[str, int, bytes]] = []
        self.alarms: dict[str, float] = {}
        self.outlets: dict[str, Outlet] = {}
        self.opening: list[Wire] = []
        self.life = 0
        self.calm = False
        self.stopped: set[int] = set()
        self.said: dict[str, str] = {}
        self.commands: dict[str, int | None] = {}
        self.start_local()

    def make_store(self) -> MemoryStore:
        return self.store_class(self.disk)

    def poison_something(self) -> None:
        charger = self.chance.choice(list(self.chargers.values()))
        action, number, payload = self.chance.choice(charger.plan.steps)
        if action == "MeterValues":
            self.poison = payload["meterValue"][0]["timestamp"]
        else:
            self.poison = payload["timestamp"]
        self.poisoned = (charger.charger_id, action, number)
        if len(self.chargers) > 1:
            self.poison = ""  # the other charger uses the same times
        else:
            self.remote.poison.add(self.poison)

    # --- the driver of the core ---

    def start_local(self) -> None:
        self.life += 1
        self.governor = Governor()
        self.begin_all()

    def begin_all(self) -> None:
        self.alarms.clear()
        for name in self.chargers:
            outlet = self.outlets[name] = self.outlet_class(
                name,
                store=self.store,
                driver=self,
                clock=self.clock,
                governor=self.governor,
                options=self.options,
                chance=Random(self.seed),
            )
            self.store.put_latest(name, "Boot", "BootNotification", b'{"chargePointVendor":"v"}')
            outlet.begin()
            outlet.charger_online()

    def connect(self, charger_id: str, connection: int) -> None:
        self.opening.append(Wire(charger_id, connection))

    def send(self, charger_id: str, connection: int, text: bytes) -> None:
        wire = self.wires.get(charger_id)
        if wire is not None and wire.number == connection:
            wire.to_remote.append(text)

    def close(self, charger_id: str, connection: int, why: str) -> None:
        self.opening = [
            wire
            for wire in self.opening
            if (wire.charger_id, wire.number) != (charger_id, connection)
        ]
        wire = self.wires.get(charger_id)
        if wire is not None and wire.number == connection:
            self.tear(wire)

    def wake(self, charger_id: str, at: float) -> None:
        self.alarms[charger_id] = at

    def command(self, charger_id: str, token: int, action: str, payload: bytes) -> None:
        """Be the charger: take any command, and check whose transaction it names."""
        outlet, life = self.outlets[charger_id], self.life
        named = _decode(payload).get("transactionId")
        self.stopped.add(named)
        if named not in self.local.transactions:
            self.faults.append(f"a command names {named}, which is no transaction here")

        def done(error: BaseException | None) -> None:
            if life == self.life:
                outlet.command_answered(token, CommandAnswer(b'{"status":"Accepted"}'))

        self.disk.submit(lambda: None, done)

    def drop_charger(self, charger_id: str, why: str) -> None:
        raise AssertionError("not in this mode")

    # --- what happens ---

    def tear(self, wire: Wire) -> None:
        """End a connection; answers under way may still come to light later."""
        self.wires.pop(wire.charger_id, None)
        self.ghosts.extend((wire.charger_id, wire.number, text) for _, text in wire.to_local)

    def do_charger(self) -> None:
        charger = self.chance.choice([c for c in self.chargers.values() if not c.done])
        if charger.asked and self.chance.random() < 0.7:
            return  # it waits; now and then it loses patience and repeats
        action, _, payload = charger.message()
        charger.asked = True
        position, life = charger.position, self.life
        outlet = self.outlets[charger.charger_id]

        def done(transaction_id: int | None) -> None:
            if life != self.life:
                return
            if action == "StopTransaction":
                self.put_status(charger.charger_id, payload["timestamp"])
            outlet.look()
            if not self.calm and self.chance.random() < 0.25:
                charger.asked = False  # the answer is lost on its way: it will repeat
            else:
                charger.take_answer(position, transaction_id)

        self.local.take(charger.charger_id, action, payload, done)

    def put_status(self, charger_id: str, time: str) -> None:
        """Let a connector be free again, right after what freed it."""
        self.said[charger_id] = time
        status = {"connectorId": 1, "status": "Available", "timestamp": time}
        text = msgspec.json.encode(status)
        self.store.put_latest(charger_id, "Status/1", "StatusNotification", text)

    def do_commit(self) -> None:
        self.disk.commit()

    def do_open(self) -> None:
        wire = self.opening.pop(0)
        if not self.calm and self.chance.random() < 0.1:
            self.outlets[wire.charger_id].refused(wire.number, 503, "busy")
            return
        self.wires[wire.charger_id] = wire
        if not self.calm and self.chance.random() < 0.1:
            wire.silent = True
        self.outlets[wire.charger_id].connected(wire.number)

    def do_deliver(self) -> None:
        ways = []
        for wire in self.wires.values():
            if not wire.silent:
                if wire.to_remote:
                    ways.append((wire, True))
                if wire.to_local:
                    ways.append((wire, False))
        wire, to_remote = self.chance.choice(ways) if len(ways) > 1 else ways[0]
        if to_remote:
            self.at_remote(wire, wire.to_remote.popleft())
        else:
            message_id, text = wire.to_local.popleft()
            if message_id == wire.unanswered:
                wire.unanswered = ""
            self.outlets[wire.charger_id].received(wire.number, text)

    def at_remote(self, wire: Wire, text: bytes) -> None:
        frame = _decode(text, type=list[msgspec.Raw])
        if bytes(frame[0]) != b"2":
            self.command_answered(_decode(frame[1]), text)
            return
        message_id, action = _decode(frame[1]), _decode(frame[2])
        if message_id in wire.seen:
            self.remote.faults.append(f"{message_id} twice on one connection")
        wire.seen.add(message_id)
        if wire.unanswered:
            self.remote.faults.append(f"{action} before the last call was answered")
        wire.unanswered = message_id
        if not self.calm and self.chance.random() < 0.08:
            code = self.chance.choice(TRANSIENT)
            if code == "SecurityError":
                self.remote.booted.discard(wire.charger_id)
            wire.to_local.append((message_id, self.remote.error(message_id, code)))
            return
        answer = self.remote.answer(wire.charger_id, message_id, action, bytes(frame[3]))
        wire.to_local.append((message_id, answer))
        if not self.calm and self.chance.random() < 0.25:
            wire.to_local.append(wire.to_local[-1])  # told twice
        if not self.calm and self.chance.random() < 0.05:
            self.cut(wire)  # after the remote's commit, before we have its answer

    def command_answered(self, message_id: str, text: bytes) -> None:
        remote_tx = self.commands.pop(message_id)
        known = any(self.store.local_tx(name, remote_tx) for name in self.chargers)
        status = _decode(text)[2]
        if not known and status != {"status": "Rejected"}:
            self.faults.append(f"a stop of {remote_tx}, which is not mapped, got {status}")

    def do_remote_stop(self) -> None:
        """Let the remote stop something, which it may just have made up."""
        wires = [wire for wire in self.wires.values() if not wire.silent]
        if not wires:
            return
        wire = self.chance.choice(wires)
        remote_tx = self.chance.randrange(1, self.remote.next_id + 2)
        message_id = f"r{len(self.events)}"
        self.commands[message_id] = remote_tx
        payload = {"transactionId": remote_tx}
        text = msgspec.json.encode([2, message_id, "RemoteStopTransaction", payload])
        wire.to_local.append(("", text))

    def do_ghost(self) -> None:
        latest = self.chance.random() < 0.7
        which = -1 if latest else self.chance.randrange(len(self.ghosts))
        charger_id, number, text = self.ghosts.pop(which)
        self.outlets[charger_id].received(number, text)

    def do_cut(self) -> None:
        self.cut(self.chance.choice(list(self.wires.values())))

    def cut(self, wire: Wire) -> None:
        self.tear(wire)
        self.outlets[wire.charger_id].lost(wire.number, "cut")

    def do_kill_local(self) -> None:
        self.disk.kill()
        self.ghosts.clear()
        self.wires.clear()
        self.opening.clear()
        for charger in self.chargers.values():
            charger.asked = False
        self.restart_store()
        self.local.next_id = max(self.local.transactions, default=0) + 1 + self.life
        self.start_local()

    def restart_store(self) -> None:
        """Forget what is not durable; in this model nothing but what waits."""

    def do_kill_remote(self) -> None:
        for wire in list(self.wires.values()):
            self.tear(wire)
            self.outlets[wire.charger_id].lost(wire.number, "the remote died")
        if self.chance.random() < 0.3:
            self.remote.booted.clear()

    def do_time(self) -> None:
        at = min(self.alarms.values())
        self.clock.now = max(self.clock.now, at)
        for charger_id, due in list(self.alarms.items()):
            if due <= self.clock.now:
                del self.alarms[charger_id]
                self.outlets[charger_id].tick()

    def do_disk_full(self) -> None:
        self.disk.full = not self.disk.full
        if self.disk.full:
            return
        for charger in self.chargers.values():
            charger.asked = False

    # --- scheduling ---

    def possible(self) -> list[tuple[str, int]]:
        chances = []
        if any(not charger.done for charger in self.chargers.values()):
            chances.append(("charger", 6))
        if self.disk.waiting:
            chances.append(("commit", 9))
        if self.opening:
            chances.append(("open", 6))
        if any(not w.silent and (w.to_remote or w.to_local) for w in self.wires.values()):
            chances.append(("deliver", 14))
        if self.alarms:
            chances.append(("time", 2))
        if self.ghosts:
            chances.append(("ghost", self.ghost_weight()))
        if not self.calm:
            chances.append(("kill_local", 1))
            chances.append(("disk_full", 1))
            if self.wires:
                chances.extend((("cut", 1), ("kill_remote", 1), ("remote_stop", 1)))
        return chances

    def ghost_weight(self) -> int:
        """Bring the past up when it can do harm: while the same call waits for its answer."""
        waiting = {o.in_flight.message_id for o in self.outlets.values() if o.in_flight}
        return 60 if self.ghosts and _decode(self.ghosts[-1][2])[1] in waiting else 3

    def step(self) -> bool:
        chances = self.possible()
        if not chances:
            return False
        name = self.pick(chances)
        self.events.append(name)
        getattr(self, "do_" + name)()
        return True

    def pick(self, chances: list[tuple[str, int]]) -> str:
        left = self.chance.random() * sum([weight for _, weight in chances])
        for name, weight in chances:
            left -= weight
            if left < 0:
                return name
        return chances[-1][0]

    def go(self) -> list[str]:
        """Run to the end; give what was wrong."""
        for _ in range(STEPS):
            self.step()
        self.heal()
        for _ in range(CALM_STEPS):
            if self.is_quiet():
                break
            self.calm_step()
        self.judge()
        return self.faults

    def heal(self) -> None:
        self.events.append("heal")
        self.calm = True
        if self.disk.full:
            self.do_disk_full()
        for charger in self.chargers.values():
            charger.asked = False
        for wire in self.wires.values():
            wire.silent = False

    def calm_step(self) -> None:
        """Do what lies ahead; let time pass when nothing does."""
        if self.disk.waiting:
            name = "commit"
        elif self.opening:
            name = "open"
        elif any(wire.to_remote or wire.to_local for wire in self.wires.values()):
            name = "deliver"
        elif self.ghosts:
            name = "ghost"
        elif any(not c.done and not c.asked for c in self.chargers.values()):
            name = "charger"
        elif self.alarms:
            name = "time"
        else:
            name = "charger"
        self.events.append(name)
        getattr(self, "do_" + name)()

    def is_quiet(self) -> bool:
        return (
            all(charger.done for charger in self.chargers.values())
            and not self.disk.waiting
            and not self.waiting()
            and not self.untold()
            and not any(wire.to_remote or wire.to_local for wire in self.wires.values())
        )

    def waiting(self) -> bool:
        return bool(self.store.waiting())

    def untold(self) -> list[str]:
        """List the chargers of which the remote does not know the newest status."""
        return [
            name
            for name in self.chargers
            if any(one.kind != "Boot" for one in self.store.latest(name))
        ]

    # --- the oracle ---

    def judge(self) -> None:
        self.faults.extend(self.remote.faults)
        for charger in self.chargers.values():
            if not charger.done:
                self.faults.append(f"{charger.charger_id} never came to its end")
        if self.waiting():
            self.faults.append(f"still queued: {self.store.waiting()}")
        if self.remote.statuses != self.said and not self.poison:
            self.faults.append(f"statuses {self.remote.statuses}, the chargers told {self.said}")
        told = sorted(one for charger in self.chargers.values() for one in charger.plan.expected)
        if self.local.ledger() != told:
            self.faults.append(f"local has {self.local.ledger()}, the chargers told {told}")
        there = self.remote.ledger()
        if self.poison:
            told, there = self.without_poison(told), self.without_poison(there)
        elif self.dead():
            self.faults.append(f"dead letters: {self.dead()}")
        if there != told:
            self.faults.append(f"the remote has {there}, the chargers told {told}")
        elif energy(there) != energy(told):
            self.faults.append("the sums differ")

    def dead(self) -> list[object]:
        return list(self.store.dead.values())

    def without_poison(self, ledger: list[tuple]) -> list[tuple]:
        """Take what the remote will not have out of both sides, and look where it is."""
        _, action, number = self.poisoned
        plan = self.chargers["CP1"].plan
        lost = {}
        for step, of, payload in plan.steps:
            if of == number and (action == "StartTransaction" or step == action):
                text = str(payload.get("meterValue", payload.get("timestamp")))
                if action == "StartTransaction" or self.poison in text:
                    lost[text] = step
        found = sorted(row.action for row in self.store.dead.values())
        if found != sorted(lost.values()):
            self.faults.append(f"dead letters {found}, expected {sorted(lost.values())}")
        if action == "StartTransaction":
            start = plan.expected[number][:5]
            return [one for one in ledger if one[:5] != start]
        stripped = []
        for one in ledger:
            samples = tuple(sample for sample in one[5] if self.poison not in sample)
            stop = None if one[6] and self.poison in one[6] else one[6]
            stripped.append((*one[:5], samples, stop))
        return stripped


def energy(ledger: list[tuple]) -> int:
    """Sum what was charged, in Wh."""
    return sum(one[6][0] - one[3] for one in ledger if one[6] is not None)
