"""A user's own projects: the very examples of projects/README.md, in a folder of their own."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import websockets
from ocpp.v16 import ChargePoint, call

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "projects" / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
START_TIMEOUT_S = 30


def write_examples(folder: Path) -> list[str]:
    """Write the files that the README shows; give the Python that is no file."""
    loose = []
    for block in BLOCK.finditer(README):
        before = README[: block.start()].rstrip()
        named = re.findall(r"`([\w./]+\.(?:py|html|gwr))`", before.rpartition("\n\n")[2])
        if named and before.endswith(":"):
            file = folder / named[-1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block[2], encoding="utf-8")
        elif block[1] == "python":
            loose.append(block[2])
    return loose


@dataclass
class Site:
    """A workspace with the examples, and the server process that runs its recipe."""

    folder: Path
    process: subprocess.Popen[str]
    state: dict[str, Any] = field(default_factory=dict)

    def ask(self, path: str, body: Any = None) -> tuple[int, str, str]:
        """Give status, type and text of an answer; a body is posted with the token."""
        parts = urlsplit(self.state["url"])
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.state['token']}"} if body is not None else {}
        if isinstance(body, dict):
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        elif body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.getheader("Content-Type", ""), text


def gway(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_python(folder, "-m", "gway", *words)


def run_python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=clean(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def clean() -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GWAY_")}


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Site]:
    """Run a gway command line that serves on free ports; it must end in good order."""
    command = [sys.executable, "-m", "gway", *words, "--port", "0", "--ws-port", "0"]
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=clean(), stderr=output, text=True)
    try:
        yield Site(folder, process, wait_for_state(folder, process))
        process.terminate()
        assert process.wait(15) == 143
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The README's recipe as a server."""
    folder = tmp_path_factory.mktemp("corner")
    write_examples(folder)
    with serving(folder, "run", "corner") as site:
        yield site


def wait_for_state(folder: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "output.txt").read_text()
        with suppress(FileNotFoundError):
            state: dict[str, Any] = json.loads((folder / "work" / "server.json").read_text())
            return state
        time.sleep(0.02)
    raise AssertionError("the server did not start in time")


# --- a verb ------------------------------------------------------------------


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    write_examples(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("hello", "greet", "--name", "Ada"),
        ("hello", "greet", "Ada"),
        ("hello.greet", "Ada", "--times", "1"),
        ("hello", "view-greet", "Ada"),
    ],
)
def test_a_file_of_ones_own_is_a_command(examples: Path, words: tuple[str, ...]) -> None:
    done = gway(examples, *words)
    assert (done.stdout, done.stderr, done.returncode) == ("Hello Ada!\n", "", 0)


def test_a_command_has_help_from_its_docstring(examples: Path) -> None:
    shown = gway(examples, "help", "hello", "greet").stdout
    assert shown.startswith("Greet somebody.")
    assert "--times INT" in shown
    assert "how often (default: 1)" in shown


def test_the_python_of_the_readme_runs(examples: Path) -> None:
    loose = write_examples(examples)
    assert len(loose) == 2
    for code in loose:
        done = run_python(examples, "-c", code)
        assert done.returncode == 0, done.stderr
    assert run_python(examples, "-c", loose[0]).stdout == "Hello Ada! Hello Ada!\n"


# --- on the web --------------------------------------------------------------


def test_a_function_of_ones_own_is_a_page_and_an_api_call(corner: Site) -> None:
    status, kind, page = corner.ask("/hello/greet?name=Ada&times=2")
    assert (status, kind.partition(";")[0]) == (200, "text/html")
    assert "Hello Ada! Hello Ada!" in page
    status, kind, answer = corner.ask("/api/hello/greet?name=Ada")
    assert (status, kind.partition(";")[0]) == (200, "application/json")
    assert json.loads(answer) == "Hello Ada!"
    assert corner.ask("/api/hello/greet?name=Ada&times=often")[0] == 400


def test_a_page_with_a_template_shows_its_data_in_every_form(corner: Site) -> None:
    form = urlencode({"name": "<Ada>", "words": "was here"})
    assert corner.ask("/guests/sign", form)[0] == 303
    status, _, page = corner.ask("/guests/book")
    assert status == 200
    assert "<b>&lt;Ada&gt;</b> was here" in page
    assert "<b>&lt;Ada&gt;</b>" in corner.ask("/render/guests/entries")[2]
    rows = json.loads(corner.ask("/guests/book.json")[2])
    assert (rows[0]["name"], rows[0]["words"]) == ("<Ada>", "was here")
    assert corner.ask("/guests/book.csv")[2].startswith("name,words,at\r\n<Ada>,was here,")


def test_a_live_verb_runs_on_the_server_of_the_workspace(corner: Site) -> None:
    signed = gway(corner.folder, "guests", "sign", "Bea", "--words", "hello there", "--json")
    assert json.loads(signed.stdout)["words"] == "hello there"
    assert json.loads(corner.ask("/api/guests/entries")[2])[0]["name"] == "Bea"
    assert "Bea" in gway(corner.folder, "guests", "view-book").stdout


def test_a_setting_of_ones_own_is_listed_and_set(examples: Path) -> None:
    (examples / ".env").write_text("GWAY_GUESTS_KEPT=5\n")
    rows = json.loads(gway(examples, "settings", "--json").stdout)
    (row,) = [row for row in rows if row["setting"] == "GWAY_GUESTS_KEPT"]
    assert (row["value"], row["source"]) == (5, ".env")
    assert row["help"] == "how many entries the guest book keeps"


# --- hooks -------------------------------------------------------------------


async def charge(url: str, energy_wh: int) -> int:
    """Run a session with the PyPI package `ocpp` as the charger."""
    async with websockets.connect(url, subprotocols=["ocpp1.6"]) as connection:  # type: ignore[list-item]
        charger = ChargePoint(url.rpartition("/")[2], connection, response_timeout=15)
        listening = asyncio.create_task(charger.start())
        now = datetime.now(UTC).isoformat()
        await charger.call(call.BootNotification("Model", "Vendor"))
        started = await charger.call(call.StartTransaction(1, "ADA", 1_000, now))
        await charger.call(call.StopTransaction(1_000 + energy_wh, now, started.transaction_id))
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
    return int(started.transaction_id)


def test_a_project_in_the_folder_of_ocpp_hears_a_real_session(corner: Site) -> None:
    transaction_id = asyncio.run(charge(f"{corner.state['ws_url']}/ocpp/csms/CP7", 10_000))
    wanted = {"transaction_id": transaction_id, "id_tag": "ADA", "cent": 390}
    # The charger has its answer, so the bill is on disk: nothing to wait for.
    assert json.loads(corner.ask("/api/ocpp/tariff/bills")[2]) == [wanted]
    assert json.loads(gway(corner.folder, "ocpp.tariff", "bills", "--json").stdout) == [wanted]
    transactions = gway(corner.folder, "ocpp.data", "transactions", "CP7", "--json").stdout
    assert json.loads(transactions)[0]["energy_wh"] == 10_000


LISTENER = """
from gway import gw, hookimpl

@hookimpl
def ocpp_charger_connected(link):
    gw.workspace.work("heard.txt").write_text(link.charger_id)
"""


def test_it_joins_without_being_named(tmp_path: Path) -> None:
    (tmp_path / "projects" / "ocpp").mkdir(parents=True)
    (tmp_path / "projects" / "ocpp" / "listener.py").write_text(LISTENER)
    words = ("web.app", "setup-app", "ocpp.csms", "-", "web.server", "start-app")
    with serving(tmp_path, *words) as site:
        asyncio.run(charge(f"{site.state['ws_url']}/ocpp/csms/CP8", 1))
        assert (tmp_path / "work" / "heard.txt").read_text() == "CP8"


def test_a_misspelt_hook_is_an_error_that_names_it(examples: Path) -> None:
    tariff = examples / "projects" / "ocpp" / "tariff.py"
    tariff.write_text(
        tariff.read_text().replace("ocpp_transaction_stopped", "ocpp_transaction_stoped")
    )
    for words in (("run", "corner", "--port", "0", "--ws-port", "0"), ("ocpp.tariff", "bills")):
        done = gway(examples, *words)
        assert done.returncode == 1
        assert "ocpp.tariff: there is no hook 'ocpp_transaction_stoped'" in done.stderr
        assert "did you mean 'ocpp_transaction_stopped'" in done.stderr
        assert "Traceback" not in done.stderr
