"""Mistakes that a proxy can be built with; the oracle must see every one of them.

Each is the whole machine with one thing wrong, as a class of runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gway.projects.ocpp.proxy import outlet as core
from gway.projects.ocpp.proxy import payloads
from gway.projects.ocpp.proxy.outlet import Flight, Outlet
from gway.projects.ocpp.proxy.ports import (
    Change,
    Dead,
    Delivered,
    Failed,
    Latest,
    LatestDelivered,
    Row,
)
from tests.projects.ocpp.proxy.simulation import Run
from tests.projects.ocpp.proxy.site import Local
from tests.projects.ocpp.proxy.world import MemoryStore

BUGS: dict[str, type[Run]] = {}


def planted(run: type[Run]) -> type[Run]:
    """Enter a bug under its own words."""
    BUGS[run.__doc__ or run.__name__] = run
    return run


# --- the queue ---


class _DeletesOnSend(Outlet):
    def _send_row(self, row: Row) -> None:
        super()._send_row(row)
        self._note([Delivered(row)], None)


@planted
class DeletedOnSend(Run):
    """a row is deleted when it is sent"""

    outlet_class = _DeletesOnSend


@planted
class QueueInMemory(Run):
    """the queue is in memory"""

    def restart_store(self) -> None:
        self.store.rows.clear()


@planted
class InFlightForgotten(Run):
    """what was in flight is not queued again after a kill"""

    def do_kill_local(self) -> None:
        for outlet in self.outlets.values():
            if outlet.in_flight is not None and outlet.in_flight.row is not None:
                row = outlet.in_flight.row
                self.store.rows[row.charger_id].pop(row.sequence, None)
        super().do_kill_local()


class _QueuesLater(Local):
    def enqueue(self, charger_id: str, local_tx: int, action: str, text: bytes) -> None:
        def put() -> None:
            self.store.put(charger_id, local_tx, action, text)

        self.disk.submit(put, lambda error: None)


@planted
class TwoCommits(Run):
    """what happened and what is queued are two commits"""

    local_class = _QueuesLater


class _PutsAgain(MemoryStore):
    def put(self, charger_id: str, local_tx: int | None, action: str, payload: bytes) -> None:
        self.digests.clear()
        super().put(charger_id, local_tx, action, payload)


@planted
class NoLocalDeduplication(Run):
    """a message that is told again makes a second row"""

    store_class = _PutsAgain


class _ForgetsNewest(MemoryStore):
    def delivered(self, charger_id: str, change: Delivered) -> None:
        super().delivered(charger_id, change)
        self.digests = {k: v for k, v in self.digests.items() if v != change.row.sequence}


@planted
class NewestForgotten(Run):
    """a message that is told again after its delivery makes a second row"""

    store_class = _ForgetsNewest


# --- the map ---


@planted
class MapInMemory(Run):
    """the map of transaction ids is in memory"""

    def restart_store(self) -> None:
        self.store.maps.clear()
        self.store.back.clear()


class _MapsLater(Outlet):
    def _settle(self, changes: Sequence[Change], then=None) -> None:
        first = changes[0]
        if isinstance(first, Delivered) and first.remote_tx is not None:
            changes = [replace(first, remote_tx=None), *changes[1:]]
            after = then

            def then() -> None:
                super(_MapsLater, self)._settle([first], after)  # a second commit

        super()._settle(changes, then)


@planted
class MapInSecondCommit(Run):
    """the map is stored after the start has left the queue"""

    outlet_class = _MapsLater


class _GuessesId(Outlet):
    def _send_row(self, row: Row) -> None:
        self._send("row", row.message_id, row.action, row.payload, row=row)


@planted
class NotMapped(Run):
    """local ids are sent to the remote"""

    outlet_class = _GuessesId


class _DoesNotWait(Outlet):
    """Sends on as soon as the answer is there, with ids that are not stored yet."""

    def _deliver(self, row, remote_tx=None, stop=False, changes=()) -> None:
        self._note([Delivered(row, remote_tx, stop), *changes], None)
        self.in_flight = None
        self._forget(row)
        self._more = False


@planted
class NoWaitForTheMap(Run):
    """later messages do not wait until the map is stored"""

    outlet_class = _DoesNotWait


# --- on the wire ---


class _Pipelines(Outlet):
    def _send_row(self, row: Row) -> None:
        super()._send_row(row)
        if len(self._rows) > 1 and self.in_flight is not None:
            self._rows.rotate(-1)
            following = self._rows[0]
            self._rows.rotate(1)
            text = payloads.frame_text(following.message_id, following.action, following.payload)
            self._driver.send(self.charger_id, self.connection, text)


@planted
class Pipelining(Run):
    """two calls are under way at a time"""

    outlet_class = _Pipelines


class _SendsStopFirst(MemoryStore):
    def window(self, charger_id: str, limit: int) -> list[Row]:
        rows = super().window(charger_id, 100)
        mapped = [row for row in rows if (charger_id, row.local_tx) in self.maps]
        stops = [row for row in mapped if row.action == "StopTransaction"]
        return (stops + [row for row in rows if row not in stops])[:limit]


@planted
class StopBeforeSamples(Run):
    """a stop goes before the samples that wait"""

    store_class = _SendsStopFirst


class _TellsStatusFirst(Outlet):
    def _read_latest(self) -> None:
        super()._read_latest()
        self._latest = [replace(one, after=0) for one in self._latest]


@planted
class StatusOvertakes(Run):
    """a status overtakes the stop that it follows"""

    outlet_class = _TellsStatusFirst


class _TakesAnyConnection(Outlet):
    def received(self, connection: int, text: bytes) -> None:
        super().received(self.connection or connection, text)


@planted
class OldConnections(Run):
    """answers of an old connection count"""

    outlet_class = _TakesAnyConnection


class _TakesAnyAnswer(Outlet):
    def _answers_to(self, flight: Flight, message_id: str) -> bool:
        return not flight.settled


@planted
class AnyAnswer(Run):
    """an answer counts for whatever waits for one"""

    outlet_class = _TakesAnyAnswer


class _RenamesOnResend(Outlet):
    def _send_row(self, row: Row) -> None:
        super()._send_row(replace(row, message_id=f"{row.message_id}-{self.connection}"))


@planted
class NewMessageId(Run):
    """a message that is sent again has another message id"""

    outlet_class = _RenamesOnResend


class _StampsOnSend(Outlet):
    def _send_row(self, row: Row) -> None:
        changed = row.payload.replace(b":00Z", b":%02dZ" % (self.connection % 60))
        super()._send_row(replace(row, payload=changed))


@planted
class NewTimes(Run):
    """a message that is sent again has other times"""

    outlet_class = _StampsOnSend


class _SendsOnTheSame(Outlet):
    def _hang_up(self, why: str) -> None:
        self.in_flight = None


@planted
class TwiceOnOneConnection(Run):
    """a message is sent again on the connection that did not answer"""

    outlet_class = _SendsOnTheSame


class _NeverBoots(Outlet):
    def _is_booted(self, now: float) -> bool:
        self._accepted()
        return True


@planted
class NotBooted(Run):
    """messages are sent before the boot is accepted"""

    outlet_class = _NeverBoots


# --- errors ---


class _DropsOnTimeout(Outlet):
    def tick(self) -> None:
        flight = self.in_flight
        if (
            flight is not None
            and flight.row is not None
            and self._answer_late(flight, self._clock.monotonic())
        ):
            self._note([Delivered(flight.row)], None)
        super().tick()


@planted
class DroppedAfterTimeout(Run):
    """a message without an answer is dropped"""

    outlet_class = _DropsOnTimeout


class _DropsOnError(Outlet):
    def _take_row_error(self, row: Row, code: str, why: str) -> None:
        self._bury(row, why, followers=row.action == core.START)


@planted
class EveryErrorIsFinal(Run):
    """every error makes a dead letter"""

    outlet_class = _DropsOnError


class _TriesForEver(Outlet):
    def _take_row_error(self, row: Row, code: str, why: str) -> None:
        super()._take_row_error(row, "GenericError", why)


@planted
class NoDeadLetters(Run):
    """a poisoned message blocks the queue for ever"""

    outlet_class = _TriesForEver


class _LeavesFollowers(Outlet):
    def _settle(self, changes: Sequence[Change], then=None) -> None:
        first = changes[0]
        if isinstance(first, Dead):
            changes = [replace(first, followers=False)]
        super()._settle(changes, then)

    def _send_row(self, row: Row) -> None:
        known = self._store.remote_tx(self.charger_id, row.local_tx or 0)
        if row.action != core.START and known is None:
            self._send("row", row.message_id, row.action, row.payload, row=row)
        else:
            super()._send_row(row)


@planted
class FollowersOfTheDead(Run):
    """a dead start leaves its later messages to be sent"""

    outlet_class = _LeavesFollowers


class _TakesErrorForAnswer(Outlet):
    def _set_aside(self, latest: Latest, *, at_once: bool) -> None:
        self._note([LatestDelivered(latest.kind, latest.version)], None)
        self._stale = True


@planted
class StatusForgotten(Run):
    """a status that meets a passing error is never told"""

    outlet_class = _TakesErrorForAnswer


class _CountsInMemory(MemoryStore):
    def apply_one(self, charger_id: str, change: Change) -> None:
        if not isinstance(change, Failed):
            super().apply_one(charger_id, change)


@planted
class TriesNotCounted(Run):
    """tries are not counted over connections"""

    store_class = _CountsInMemory


# --- the others ---


@planted
class NoRemoteDeduplication(Run):
    """the remote does not deduplicate"""

    remote_deduplicates = False


class _AnswersSamplesEarly(Local):
    def on_MeterValues(self, charger_id, meter, text, done) -> None:
        super().on_MeterValues(charger_id, meter, text, lambda transaction_id: None)
        done(None)


@planted
class AnsweredBeforeStored(Run):
    """a charger is answered before the commit"""

    local_class = _AnswersSamplesEarly


class _MapsWrong(MemoryStore):
    def local_tx(self, charger_id: str, remote_tx: int) -> int | None:
        return super().local_tx(charger_id, remote_tx) or remote_tx


@planted
class StopGuessed(Run):
    """a remote stop of an unknown transaction is passed on with the same number"""

    store_class = _MapsWrong
