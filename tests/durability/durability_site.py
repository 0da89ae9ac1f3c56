"""A central system as a process of its own, that can be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

START_TIMEOUT_S = 20.0
PLANTS = Path(__file__).with_name("durability_plants.py")
COMMAND = (
    *("web", "app", "setup-app", "ocpp.csms", "-"),
    *("web", "app", "setup-app", "ocpp.data", "-"),
    *("web", "server", "start-app", "--port", "0", "--ws-port", "0"),
)


@dataclass
class Site:
    """One workspace and the `gway` process that serves it.

    :param plants: bugs to plant in the process (see durability_plants)
    :param wrapper: a command to run it under, such as strace
    """

    folder: Path
    plants: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()
    up: threading.Event = field(default_factory=threading.Event)
    ws_port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it takes connections."""
        (self.folder / "projects").mkdir(parents=True, exist_ok=True)
        program = ["-m", "gway"] if not self.plants else [str(PLANTS), ",".join(self.plants)]
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, *program, *COMMAND],
                cwd=self.folder,
                env=os.environ | {"GWAY_WORKSPACE": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.ws_port = self._wait_for_port()
        self.up.set()

    def kill(self) -> None:
        """End the process as a power cut would: no handler of its own runs."""
        self.up.clear()
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End the process if it runs."""
        self.up.clear()
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    @property
    def database(self) -> Path:
        return self.folder / "work" / "ocpp.sqlite"

    def rows(self, sql: str, *params: object) -> list[dict[str, object]]:
        """Read the database from outside."""
        with closing(sqlite3.connect(self.database, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, params)]

    def url(self, charger_id: str) -> str:
        return f"ws://127.0.0.1:{self.ws_port}/ocpp/csms/{charger_id}"

    def _wait_for_port(self) -> int:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended at once:\n{self.output()}")
            port = self._recorded_port()
            if port and _is_open(port):
                return port
            time.sleep(0.01)
        raise AssertionError(f"the server did not start in time:\n{self.output()}")

    def _recorded_port(self) -> int:
        """Read the port that this very process has written down, 0 until then."""
        try:
            record = json.loads((self.folder / "work" / "server.json").read_text())
        except (FileNotFoundError, ValueError):
            return 0
        if not _descends(int(record["pid"]), self.process.pid if self.process else 0):
            return 0
        return int(record["ws_url"].rpartition(":")[2].strip("/"))


def _descends(pid: int, ancestor: int) -> bool:
    """Tell whether a process is another one or a child of it (as under strace)."""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])
    return False


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
