"""Fixtures for the framework's own tests."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from gway import cli as command_line


class Done(NamedTuple):
    """What a command line did in this process."""

    code: int
    stdout: str
    stderr: str


class Cli(Protocol):
    def __call__(self, *words: str) -> Done: ...


Write = Callable[[str, str], Path]


@pytest.fixture
def write(workspace: Path) -> Write:
    """Write a file of the workspace, the text without its indentation."""

    def call(name: str, text: str) -> Path:
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return call


@pytest.fixture
def cli(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    """Run a command line in this process, which is fast."""
    # gevent's patches cannot be taken back: they would change every later test.
    monkeypatch.setattr(command_line, "will_serve", lambda front, mounted: False)

    def call(*words: str) -> Done:
        capsys.readouterr()
        code = command_line.run(list(words))
        out = capsys.readouterr()
        return Done(code, out.out, out.err)

    return call


@pytest.fixture
def hello(write: Write) -> Path:
    """The newcomer's first project."""
    return write(
        "projects/hello.py",
        '''
        """Greetings."""

        from __future__ import annotations


        def greet(name: str = "World", *, times: int = 1) -> str:
            """Greet somebody.

            :param name: who
            :param times: how often
            """
            return " ".join([f"Hello {name}!"] * times)
        ''',
    )
