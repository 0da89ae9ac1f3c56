"""Reads what strace wrote: in which order a process stored, synced and answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = "fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg"
COMMAND = ("strace", "-f", "-qq", "-y", "-s", "8192", "-e", f"trace={CALLS}", "-o")

LINE = re.compile(r"^(?P<pid>\d+) +(?P<text>.*)$")
CALL = re.compile(r"^(?P<name>\w+)\(\d+<(?P<target>[^>]*)>(?P<rest>.*)$", re.DOTALL)


@dataclass(frozen=True)
class Syscall:
    """A call, with the lines of the trace on which it began and was done."""

    name: str
    target: str
    text: str
    began: int
    done: int


def read_trace(path: Path) -> list[Syscall]:
    """Put the halves of interrupted calls together."""
    return sorted(_calls(path.read_text(errors="replace")), key=lambda call: call.began)


def _calls(text: str) -> Iterator[Syscall]:
    open_calls: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.splitlines()):
        if not (found := LINE.match(line)):
            continue
        pid, said = found["pid"], found["text"]
        began = number
        if said.endswith("<unfinished ...>"):
            open_calls[pid] = number, said.removesuffix("<unfinished ...>")
            continue
        if said.startswith("<... "):
            if pid not in open_calls:
                continue
            began, first = open_calls.pop(pid)
            said = first + said.partition("resumed>")[2]
        if call := CALL.match(said):
            yield Syscall(call["name"], call["target"], call["rest"], began, number)


def answered_after_sync(calls: list[Syscall], words: str, message_id: str) -> bool:
    """Tell whether the log with `words` in it was synced before the answer was sent.

    :param words: something that only this message's row has
    :param message_id: what the answer carries
    """
    answer = next(
        call
        for call in calls
        if call.name in ("sendto", "sendmsg", "write", "writev")
        and f'[3,\\"{message_id}\\"' in call.text
    )
    written = [
        call
        for call in calls
        if call.name == "pwrite64" and call.target.endswith("-wal") and words in call.text
    ]
    return bool(written) and any(
        sync.name in ("fdatasync", "fsync")
        and sync.target == written[0].target
        and sync.text.rstrip().endswith("= 0")
        and written[0].done < sync.began
        and sync.done < answer.began
        for sync in calls
    )
