"""Server processes under measurement: started, pinned, asked and weighed."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import subprocess
import sys
import time
from pathlib import Path

SERVER_CORE, GENERATOR_CORE = 0, 1
PATIENCE_S = 60.0
CHECKOUT = Path(__file__).resolve().parent.parent
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ServerError(Exception):
    """A server under measurement did not start, or fell over."""


def cores() -> tuple[int, int]:
    """Name the server's core and the generator's; one and the same if there is but one."""
    available = sorted(os.sched_getaffinity(0))
    return available[SERVER_CORE], available[min(GENERATOR_CORE, len(available) - 1)]


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us have; tell how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Weighed:
    """A process that can be weighed from outside.

    :param process: runs
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def rss_bytes(self) -> int:
        """Read the memory that the process holds."""
        fields = Path(f"/proc/{self._process.pid}/statm").read_text().split()
        return int(fields[1]) * PAGE_BYTES

    def cpu_s(self) -> float:
        """Read the processor time that the process has used, threads and kernel included."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS_PER_S

    def descriptors(self) -> int:
        """Count the files and sockets that the process has open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))


class RecipeProcess(Weighed):
    """A site as an operator runs it: `gway run RECIPE`, pinned to a core of its own.

    :param workspace: a folder; its address is known once the server listens
    """

    def __init__(self, workspace: Path, recipe: str, *arguments: str, core: int) -> None:
        command = [sys.executable, "-m", "gway", "run", recipe, "--port", "0", "--ws-port", "0"]
        super().__init__(
            subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=workspace,
                env=os.environ | {"PYTHONPATH": str(CHECKOUT), "GWAY_WORKSPACE": str(workspace)},
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        )
        record = workspace / "work" / "server.json"
        deadline = time.monotonic() + PATIENCE_S
        while not record.exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise ServerError(f"{recipe} did not start; it ended with {self._process.poll()}")
            time.sleep(0.05)
        told = json.loads(record.read_text())
        self.port, self.ws_port = (
            int(told[name].rpartition(":")[2].strip("/")) for name in ("url", "ws_url")
        )

    def __enter__(self) -> RecipeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> float:
        """End it by SIGTERM; tell the seconds until it was gone."""
        began = time.perf_counter()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return time.perf_counter() - began


class ServerProcess(Weighed):
    """A server of `benchmarks.servers`, pinned to a core of its own.

    :param module: its name, such as "echo"
    """

    def __init__(
        self, module: str, *arguments: str, core: int, env: dict[str, str] | None = None
    ) -> None:
        self.name = module
        environment = (
            os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"} | (env or {})
        )
        super().__init__(
            subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.servers.{module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=CHECKOUT,
                env=environment,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        )
        self.ports = self._read_line()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ws_port(self) -> int:
        return int(str(self.ports["ws_port"]))

    def _read_line(self) -> dict[str, object]:
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            line = stdout.readline() if selector.select(PATIENCE_S) else b""
        if not line:
            self.stop()
            raise ServerError(f"{self.name} said nothing; it ended with {self._process.returncode}")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def ask(self, question: str) -> dict[str, object]:
        """Ask the server something over the side channel."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(question.encode() + b"\n")
        stdin.flush()
        return self._read_line()

    def stop(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def run_seconds(command: list[str], *, core: int, cwd: Path, env: dict[str, str]) -> float:
    """Time one whole run of a command, from its start to its end.

    Its bytecode is cached in `cwd`, as that of an installed program is, whatever this
    process was told about that.
    """
    environment = os.environ | env | {"PYTHONPYCACHEPREFIX": str(cwd / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        check=False,
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise ServerError(f"{command} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return took
