"""Fixtures for the browser: headless Chromium, and a server that it visits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chargers import Chargers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP gate.test 127.0.0.1",  # a name that is not this machine's own
]


# Not for the session: while playwright is open, its event loop counts as running in this
# thread, and no other test could start one of its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium for the tests of a file: that of the system, or playwright's own."""
    from playwright.sync_api import sync_playwright

    system = "/usr/bin/chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=system if os.path.exists(system) else None, args=ARGS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh tab; the test fails if a script failed or anything left the machine."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    tab = context.new_page()
    tab.set_default_timeout(20_000)
    failed: list[str] = []
    tab.on("pageerror", lambda error: failed.append(str(error)))
    tab.on("request", lambda request: failed.append(request.url) if _leaves(request.url) else None)
    tab.on("console", lambda said: failed.append(said.text) if _is_refusal(said.text) else None)
    yield tab
    context.close()
    assert failed == []


def _is_refusal(text: str) -> bool:
    return "Content Security Policy" in text or "Refused to" in text


def _leaves(url: str) -> bool:
    return not url.startswith(
        ("http://127.0.0.1:", "http://gate.test:", "data:", "blob:", "about:")
    )


SIZES = ((360, 740), (768, 1024), (1440, 900))
WALL = (1920, 1080)  # a screen that nobody sits at
FIND = "axe.run({ resultTypes: ['violations'] }).then(result => result.violations)"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"


class Swept:
    """Opens pages at every size in light and dark and collects what is wrong with them."""

    def __init__(self, browser: Browser, **context: Any) -> None:
        self._faults: list[str] = []
        self.forgiven: tuple[str, ...] = ()  # what may be said on the console
        self.context = browser.new_context(
            bypass_csp=True,  # axe is put into the page; the policy has tests of its own
            reduced_motion="reduce",  # no colour is on its way to another
            **context,
        )
        self.tab = tab = self.context.new_page()
        tab.on("pageerror", lambda error: self._faults.append(f"script: {error}"))
        tab.on("console", self._heard)
        tab.on("request", lambda ask: self._faults.append(ask.url) if _leaves(ask.url) else None)

    def sweep(
        self,
        url: str,
        sizes: Iterable[tuple[int, int]] = SIZES,
        prepare: Callable[[Page], object] | None = None,
        status: int = 200,
    ) -> list[str]:
        """Return what is wrong with a page: one line per fault, none for a good page.

        Errors on the console, requests that leave the machine, a page wider than the screen,
        and what axe-core finds.

        :param prepare: what is done to the page before it is looked at
        :param status: what the server is to answer
        """
        faults: list[str] = []
        for width, height in sizes:
            self.tab.set_viewport_size({"width": width, "height": height})
            if status != 200:
                self.forgiven = (f"status of {status}",)
            if self._open(url) != status:
                faults.append(f"{url} {width}: the status is not {status}")
            if prepare is not None:
                prepare(self.tab)
            faults += self.look(f"{url} {width}")
        if status != 200:
            self.forgiven = ()
        return faults

    def look(self, what: str) -> list[str]:
        """Return what is wrong with the page that is open, in light and dark."""
        self.tab.evaluate(AXE.read_text(encoding="utf-8"))
        return [
            f"{what} {scheme}: {fault}"
            for scheme in ("light", "dark")
            for fault in self._look(scheme)
        ]

    def _heard(self, said: ConsoleMessage) -> None:
        if said.type == "error" and not any(words in said.text for words in self.forgiven):
            self._faults.append(said.text)

    def _open(self, url: str) -> int:
        answer = self.tab.goto(url)
        self.tab.wait_for_function("document.querySelectorAll('[aria-busy]').length === 0")
        return 0 if answer is None else answer.status

    def _look(self, scheme: Any) -> list[str]:
        self.tab.emulate_media(color_scheme=scheme)
        wide, room = self.tab.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        if wide > room:
            self._faults.append(f"the page is {wide} px wide and has {room}")
        for found in self.tab.evaluate(FIND):
            nodes = "; ".join(node["html"][:120] for node in found["nodes"][:3])
            self._faults.append(f"axe {found['id']}: {found['help']}: {nodes}")
        faults, self._faults = self._faults, []
        return faults


@pytest.fixture
def sweep(chromium: Browser) -> Iterator[Callable[..., list[str]]]:
    """Look at a page at every size, light and dark: `assert sweep(url) == []`."""
    swept = Swept(chromium)
    yield swept.sweep
    swept.context.close()


@dataclass
class Served:
    """A server in a process of its own; `port` stays the same over a restart."""

    words: tuple[str, ...]
    workspace: Path
    process: subprocess.Popen[bytes]
    url: str
    token: str
    ws_url: str = ""

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(10) == 143

    def start_again(self, wait: Callable[..., Any]) -> None:
        """Serve again at the same address."""
        port = self.url.rpartition(":")[2]
        again = begin(self.workspace, self.words, port, wait)
        self.process, self.token = again.process, again.token


ServeProjects = Callable[..., Served]


@pytest.fixture
def chargers() -> Iterator[Chargers]:
    """Charge points of the PyPI package `ocpp`, in a thread of their own."""
    chargers = Chargers()
    yield chargers
    chargers.close()


@pytest.fixture
def site(serve: ServeProjects) -> Served:
    """A central system that keeps what happens."""
    return serve("ocpp.csms", "ocpp.data")


@pytest.fixture
def serve(workspace: Path, eventually: Any) -> Iterator[ServeProjects]:
    """Serve projects, those that a test wrote, too: `serve("board", files={...})`.

    Options of a project's set-up stand after its name: `serve("ocpp.csms --unknown reject")`.
    """
    started: list[Served] = []

    def start(*projects: str, files: Mapping[str, str] | None = None) -> Served:
        for name, text in (files or {}).items():
            path = workspace / "projects" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip("\n"))
        words: list[str] = []
        for project in projects:
            words += ["web.app", "setup-app", *project.split(), "-"]
        served = begin(workspace, tuple(words), "0", eventually)
        started.append(served)
        return served

    yield start
    for served in started:
        if served.process.poll() is None:
            served.stop()


def begin(workspace: Path, words: tuple[str, ...], port: str, wait: Callable[..., Any]) -> Served:
    """Start a server in a process, and wait until it listens."""
    state = workspace / "work" / "server.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "gway", *words, "web.server", "start-app",
         "--port", port, "--ws-port", "0"],
        cwd=workspace,
        env={key: value for key, value in os.environ.items() if not key.startswith("GWAY_")},
    )  # fmt: skip

    def written() -> bool:
        assert process.poll() is None, "the server ended"
        return state.exists() and json.loads(state.read_text())["pid"] == process.pid

    wait(written, 20)
    found = json.loads(state.read_text())
    return Served(words, workspace, process, found["url"], found["token"], found["ws_url"])
