"""Fixtures for all tests: a workspace of one's own, a gateway on it, a clock, a shell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from gway import resolver
from gway.native import is_patched
from gway.resolver import Gateway

ROOT = Path(__file__).resolve().parent.parent


# --- test flags --------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose flag is not on, and say so."""
    on = {name.strip() for name in os.environ.get("GWAY_TEST_FLAGS", "").split(",")}
    kept: list[pytest.Item] = []
    off: list[pytest.Item] = []
    missing: set[str] = set()
    for item in items:
        wanted = {str(mark.args[0]) for mark in item.iter_markers("flag")}
        if "all" in on or wanted <= on:
            kept.append(item)
        else:
            off.append(item)
            missing |= wanted - on
    if off:
        config.hook.pytest_deselected(items=off)
        items[:] = kept
        config.stash[_OFF] = f"{len(off)} tests need: gway test --flags {','.join(sorted(missing))}"


_OFF = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the flags that would run what was left out."""
    reason = terminalreporter.config.stash.get(_OFF, None)
    if reason:
        terminalreporter.write_line(f"deselected: {reason}")


# --- gateway -----------------------------------------------------------------


@pytest.fixture(autouse=True)
def _unpatched() -> Iterator[None]:
    """Let no test patch this process: that cannot be taken back, and changes all later ones."""
    yield
    assert not is_patched(), "this test patched the process of the tests with gevent"


class Clock:
    """A clock that stands until it is told to move."""

    def __init__(self) -> None:
        self.at = datetime(2024, 5, 17, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    now = __call__

    def advance(self, seconds: float = 0.0, **more: float) -> datetime:
        """Move on; `more` as `timedelta` takes it (minutes=5)."""
        self.at += timedelta(seconds=seconds, **more)
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace that is the current folder; no GWAY_ variable is set."""
    for name in list(os.environ):
        if name.startswith("GWAY_"):
            monkeypatch.delenv(name)
    root = tmp_path / "workspace"
    (root / "projects").mkdir(parents=True)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def gw(workspace: Path) -> Iterator[Gateway]:
    """A fresh gateway on the temporary workspace, closed at the end."""
    gateway = Gateway(workspace)
    with resolver.use(gateway):
        try:
            yield gateway
        finally:
            gateway.close()


# --- waiting and running -----------------------------------------------------


class Eventually(Protocol):
    def __call__(self, condition: Callable[[], object], timeout_s: float = 20.0) -> object: ...


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """Wait until a condition holds and give its value; fail after `timeout_s`."""

    def wait(condition: Callable[[], object], timeout_s: float = 20.0) -> object:
        deadline = time.monotonic() + timeout_s
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s} s: {condition}")
            time.sleep(0.01)

    return wait


@dataclass
class Ran:
    """What a command did."""

    code: int
    stdout: str
    stderr: str
    words: tuple[str, ...] = field(repr=False, default=())


class Run(Protocol):
    def __call__(
        self,
        *words: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        timeout_s: float = 30.0,
        stdin: str = "",
    ) -> Ran: ...


def clean_env(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment for a subprocess: no GWAY_ variables but those given."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GWAY_")}
    return {**env, "PYTHONWARNINGS": "error::ResourceWarning", **(extra or {})}


@pytest.fixture
def run(workspace: Path) -> Run:
    """Run `gway ...` as a process of its own in the workspace."""

    def call(
        *words: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        timeout_s: float = 30.0,
        stdin: str = "",
    ) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "gway", *words],
            cwd=cwd or workspace,
            env=clean_env(env),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, words)

    return call
