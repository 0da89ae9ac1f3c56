"""Loggers and central systems as real servers, and chargers made of the `ocpp` package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

START_TIMEOUT_S = 20.0
Json = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GWAY_")}
    return {**kept, **more}


@dataclass
class Server:
    """A `gway` process that serves, in a workspace of its own."""

    folder: Path
    words: tuple[str, ...]
    process: subprocess.Popen[bytes] = field(init=False)
    url: str = ""
    ws_url: str = ""
    token: str = ""

    def start(self) -> None:
        """Start and wait until it listens."""
        (self.folder / "work").mkdir(parents=True, exist_ok=True)
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gway", *self.words],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.output()
            with suppress(FileNotFoundError, ValueError):
                record = json.loads((self.folder / "work" / "server.json").read_text())
                if record["pid"] == self.process.pid:
                    self.url, self.ws_url = record["url"], record["ws_url"]
                    self.token = record["token"]
                    return
            time.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{self.output()}")

    def stop(self) -> int:
        """End it as an operator does."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    def get(self, path: str) -> str:
        request = Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    # --- what a logger wrote -----------------------------------------------------------

    @property
    def log(self) -> Path:
        return self.folder / "work" / "ocpp" / "sink" / "sink.jsonl"

    def entries(self, **wanted: Any) -> list[Json]:
        """The lines of the log whose members are as wanted."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if all(row[key] == wanted[key] for key in wanted)]


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers: `serve("sink", "ocpp.sink", "--forward", url)`."""
    started: list[Server] = []

    def start(name: str, project: str, *options: str, more: tuple[str, ...] = ()) -> Server:
        words = ["web", "app", "setup-app", project, *options, "-", *more]
        words += ["web", "server", "start-app", "--port", "0", "--ws-port", "0"]
        server = Server(tmp_path / name, tuple(words))
        started.append(server)
        server.start()
        return server

    yield start
    for server in reversed(started):
        server.stop()


@pytest.fixture
def sink(serve: Serve) -> Server:
    """A logger that answers by itself."""
    return serve("sink", "ocpp.sink")
