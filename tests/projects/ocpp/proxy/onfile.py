"""The same world over the real store: an SQLite file that is closed and opened at each kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gway.projects.ocpp.proxy.ports import Change, Done, Row
from gway.projects.ocpp.proxy.store import Store, open_store
from gway.projects.sql.database import Database
from tests.projects.ocpp.proxy.simulation import Run
from tests.projects.ocpp.proxy.world import EPOCH, Disk

URL = "ws://remote.example/ocpp"


class HeldStore:
    """The real store behind a disk whose commits wait to be let through."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path = path
        self.disk = disk
        self.reopen()

    def reopen(self) -> None:
        # Nothing here survives a power cut; what is killed is the process.
        self.database = Database(self.path, pragmas=("synchronous = OFF",))
        self.real: Store = open_store(self.database, URL)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    def put(self, charger_id: str, local_tx: int | None, action: str, payload: bytes) -> None:
        unit = self.database.unit()
        self.real.put(unit, charger_id, local_tx, action, payload, EPOCH)
        self.database.wait_for(unit)

    def put_latest(self, charger_id: str, kind: str, action: str, payload: bytes) -> None:
        unit = self.database.unit()
        self.real.put_latest(unit, charger_id, kind, action, payload)
        self.database.wait_for(unit)

    def commit(self, charger_id: str, changes: Sequence[Change], done: Done) -> None:
        def fail(error: BaseException | None) -> None:
            if error is not None:
                raise error

        self.disk.submit(lambda: self.real.commit(charger_id, changes, fail), done)

    def waiting(self) -> list[Row]:
        return self.of_state(0)

    @property
    def dead(self) -> dict[int, Row]:
        return {row.sequence: row for row in self.of_state(1)}

    def of_state(self, state: int) -> list[Row]:
        found = self.database.query(
            "SELECT sequence, charger_id, local_tx, action, payload, '' AS message_id"
            " FROM outbox WHERE state = ? ORDER BY sequence",
            (state,),
        )
        return [Row(**one) for one in found]


class FileRun(Run):
    """A run whose store is a file."""

    folder: Path

    def make_store(self) -> HeldStore:
        return HeldStore(self.folder / f"{self.seed}.sqlite", self.disk)

    def restart_store(self) -> None:
        self.store.database.close()
        self.store.reopen()

    def go(self) -> list[str]:
        try:
            return super().go()
        finally:
            self.store.database.close()
            for path in self.folder.glob(f"{self.seed}.sqlite*"):
                path.unlink()
