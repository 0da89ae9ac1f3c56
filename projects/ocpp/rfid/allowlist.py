"""The allow list: a `.cdv` file of tags that is read again when it changes.

Fields that count: `allowed` (yes or no; yes when absent), `expiry` (a time, or a date,
which is still valid), `balance`, `parent`, `user`, `limit` (transactions at a time);
others are the operator's own.
"""

from __future__ import annotations

import codecs
import io
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from gway.native import in_thread, is_patched, original
from gway.projects import cdv
from gway.projects.ocpp.messages.times import parse_time
from gway.projects.ocpp.rfid.tags import Tag, end_of, tag_key

T = TypeVar("T")
log = logging.getLogger("ocpp.rfid")

LOOK_EVERY_S = 1.0
CHUNK = 250  # lines or tags handled without a break: some milliseconds
# A file that changed so short a time ago may change again within one tick of its clock.
SETTLED_AFTER_S = 2.0
SMALL_BYTES = 32 * 1024  # parsed on the spot: takes some milliseconds

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})


class BrokenList(ValueError):
    """An allow list that cannot be relied on; the message names the file and the place."""


class Signature(NamedTuple):
    """What tells one state of a file from another."""

    mtime_ns: int
    size: int
    inode: int
    device: int


class AllowList:
    """One `.cdv` file, always as it is on disk, give or take a second.

    :param path: the file
    :param clock: seconds that only go forward
    :param wall: seconds as files have them
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._next_look = -math.inf
        self._signature: Signature | None = None
        self._tags: dict[str, Tag] = {}
        self._broken = "not read yet"

    def find(self, id_tag: str) -> Tag | None:
        """Find a tag; raise BrokenList when the list cannot be relied on."""
        self._refresh()
        if self._broken:
            raise BrokenList(self._broken)
        return self._tags.get(tag_key(id_tag))

    def tags(self) -> list[Tag]:
        """List all tags in the order of the file; raise BrokenList as `find` does."""
        self._refresh()
        if self._broken:
            raise BrokenList(self._broken)
        return list(self._tags.values())

    def _refresh(self) -> None:
        if self._clock() < self._next_look:
            return
        with self._lock:  # whoever waits here finds the list fresh
            if self._clock() < self._next_look:
                return
            self._look()
            self._next_look = self._clock() + LOOK_EVERY_S

    def _look(self) -> None:
        try:
            signature = _sign(self.path.stat())
        except OSError as error:
            self._keep({}, f"{self.path}: cannot be read: {error.strerror}", None)
            return
        if signature == self._signature:
            return
        old = self._tags
        try:
            if signature.size > SMALL_BYTES:
                tags = _off_hub(lambda: read_list(self.path, breathe=_breathe))
            else:
                tags = read_list(self.path)
            self._keep(tags, "", signature)
        except BrokenList as error:
            self._keep({}, str(error), signature)
        if len(old) > CHUNK:
            _off_hub(lambda: _drain(old))

    def _keep(self, tags: dict[str, Tag], broken: str, signature: Signature | None) -> None:
        news = broken != self._broken or len(tags) != len(self._tags)
        self._tags, self._broken = tags, broken
        settled = signature is not None and (
            self._wall() - signature.mtime_ns / 1e9 > SETTLED_AFTER_S
        )
        self._signature = signature if settled else None
        if news and broken:
            log.error("%s: all tags that the store does not refuse are refused now", broken)
        elif news:
            log.info("%s: %d tags", self.path, len(tags))


def _sign(status: os.stat_result) -> Signature:
    return Signature(status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)


def _breathe() -> None:
    """Let the hub run, for which a thread that only computes must really wait."""
    original("time", "sleep")(0.0005)


def _drain(tags: dict[str, Tag]) -> None:
    """Free tags one by one: all at once would hold the interpreter for long."""
    while tags:
        tags.popitem()


def _off_hub(function: Callable[[], T]) -> T:
    if not is_patched():
        return function()
    import gevent

    hub = gevent.get_hub()
    if gevent.getcurrent() is hub:
        return function()
    return in_thread(hub, function)


def read_list(path: Path, breathe: Callable[[], None] | None = None) -> dict[str, Tag]:
    """Read a whole list as tags by their key; raise BrokenList if it cannot be relied on.

    The file is read in one piece: a thread that reads on every few milliseconds gets
    the interpreter back each time before the hub wakes, and starves it.

    :param breathe: called after every few hundred lines
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenList(f"{path}: cannot be read: {error.strerror}") from None
    tags: dict[str, Tag] = {}
    for number, raw in enumerate(io.BytesIO(content.removeprefix(codecs.BOM_UTF8)), 1):
        try:
            line = raw.decode("utf-8").strip()
            if not line or line.startswith("#"):
                continue
            tag = _read_tag(*cdv.read_line(line))
        except ValueError as error:
            raise BrokenList(f"{path}:{number}: {error}") from None
        if tags.setdefault(tag_key(tag.id_tag), tag) is not tag:
            raise BrokenList(f"{path}:{number}: {tag.id_tag} is there twice")
        if breathe is not None and number % CHUNK == 0:
            breathe()
    return tags


def _read_tag(id_tag: str, fields: dict[str, str]) -> Tag:
    return Tag(
        id_tag,
        blocked=not _yes(fields.get("allowed", "")),
        expiry=_expiry(fields.get("expiry", "")),
        parent_id_tag=fields.get("parent") or None,
        concurrent_limit=_limit(fields.get("limit", "")),
        balance=_balance(fields.get("balance", "")),
        user=fields.get("user") or None,
    )


def _yes(text: str) -> bool:
    if not text or text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError(f"allowed={text} is neither yes nor no")


def _expiry(text: str) -> datetime | None:
    if not text:
        return None
    try:
        if len(text) == 10:
            return end_of(date.fromisoformat(text))
    except ValueError:
        raise ValueError(f"expiry={text} is no date") from None
    time = parse_time(text)
    if time is None:
        raise ValueError(f"expiry={text} is no date or time")
    return time


def _balance(text: str) -> float | None:
    if not text:
        return None
    try:
        balance = float(text)
    except ValueError:
        balance = math.nan
    if not math.isfinite(balance):
        raise ValueError(f"balance={text} is no number")
    return balance


def _limit(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"limit={text} is no number of transactions")
    return int(text)
