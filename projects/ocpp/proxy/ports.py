"""What the core of the proxy is given, and what it asks for; no I/O, no clock, no wire.

`Outlet` (outlet.py) is the core, one per charger: the virtual charge point towards the
remote. A driver owns sockets and timers and speaks with it in two directions:

* it tells an outlet what happened: `begin`, `connected`, `lost`, `refused`, `received`,
  `tick`, `look`, `charger_online`, `charger_offline`, `command_answered`, `authorize`;
* the outlet asks of it what :class:`Driver` lists, and of a :class:`Store` that rows are
  read and changes committed.

All of it happens in one thread, never two calls into one outlet at a time. A driver may
call back from within a call (a store that commits at once does).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

EVERY_STATUS = "Status/*"
DEAD_START = "its start is a dead letter"

Done = Callable[[BaseException | None], None]
Mode = Literal["standin", "transparent"]


# --- what is stored -----------------------------------------------------------


class Row(msgspec.Struct, frozen=True, gc=False):
    """One message that waits for the remote.

    `sequence` is the order of sending within a charger. `payload` is what the charger
    sent, byte for byte. `message_id` is its id on the wire for ever, whatever the
    connection. `local_tx` is the transaction as the charger knows it, None for a message
    of none. `attempts` counts the CALLERRORs that say it will never be taken.
    """

    sequence: int
    charger_id: str
    local_tx: int | None
    action: str
    payload: bytes
    message_id: str
    attempts: int = 0
    last_error: str = ""


class Latest(msgspec.Struct, frozen=True, gc=False):
    """A message of which only the newest counts: the Boot, the status of each connector.

    `kind` is "Boot" or "Status/<connector>". `after` is the sequence of the charger's
    last queued row when it came: it is sent when no row up to it waits any more, so that
    the remote hears of a free connector after the stop that freed it. `version` grows
    with each change; delivering an old one leaves a newer one to be sent.
    """

    kind: str
    action: str
    payload: bytes
    version: int
    after: int = 0


class Registration(msgspec.Struct, frozen=True, gc=False):
    """What the remote knows of a charger: the Boot that it accepted, and its interval.

    `sent` is the row that went out last, while it has no answer; 0 none.
    """

    boot_digest: str = ""
    interval_s: int = 300
    sent: int = 0


class Unstorable(Exception):
    """What is to be stored never can be: another try is of no use."""


# --- what is committed --------------------------------------------------------


class Delivered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The remote has a row: it leaves the queue; a start takes its map along.

    `stop_wanted` says that the remote refused the tag and the charger is to be stopped.
    """

    row: Row
    remote_tx: int | None = None
    stop_wanted: bool = False


class Sent(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A row is on its way; its answer, or that there is none, takes the mark off."""

    sequence: int


class Failed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A row was refused or not answered; it stays where it is.

    `resent` says that it will be on the wire once more although the remote may have it.
    """

    sequence: int
    attempts: int
    error: str
    resent: bool = False


class Dead(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A row becomes a dead letter; `followers`: so do the waiting rows of its transaction."""

    row: Row
    error: str
    followers: bool = False

    @property
    def error_of_followers(self) -> str:
        """Why the others are dead: what the remote said was said of the first."""
        return DEAD_START if self.row.action == "StartTransaction" else self.error


class LatestDelivered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The remote knows this version of a latest-only message."""

    kind: str
    version: int


class Expected(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The remote wants to hear the next message of a kind, also if it says nothing new.

    `kind` is one of :class:`Latest`, or `EVERY_STATUS`; not `expected`: no more.
    """

    kind: str
    expected: bool = True


class BootAccepted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The remote accepted a Boot with this digest; "" forgets it."""

    digest: str
    interval_s: int


class TagWord(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What the remote said of a tag: an idTagInfo status; Accepted takes a refusal back."""

    id_tag: str
    status: str


class StopAsked(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The charger was told to stop a transaction that the remote refused."""

    local_tx: int


class ReservationGiven(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A reservation of the remote is known to the charger under an id of ours."""

    remote_id: int
    local_id: int


class Finding(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Something the operator must see; `kind` is a word, `text` a sentence."""

    kind: str
    text: str
    local_tx: int | None = None


Change = (
    Delivered
    | Sent
    | Failed
    | Dead
    | LatestDelivered
    | Expected
    | BootAccepted
    | TagWord
    | StopAsked
    | ReservationGiven
    | Finding
)


class Store(Protocol):
    """The memory of the proxy, for one remote.

    Reads are quick (some rows by an index). `commit` stores all changes or none and tells
    `done` when they are durable, or why they are not: :class:`Unstorable` when it is not for
    the storage. Commits of a charger take effect in
    order. What was not committed when the process dies never was.
    """

    def window(self, charger_id: str, limit: int) -> list[Row]:
        """Give the first rows that wait, oldest first."""

    def latest(self, charger_id: str) -> list[Latest]:
        """Give the Boot, and what else of the latest the remote does not know yet."""

    def registration(self, charger_id: str) -> Registration:
        """Tell which Boot the remote accepted."""

    def remote_tx(self, charger_id: str, local_tx: int) -> int | None:
        """Give the remote's id of a transaction."""

    def local_tx(self, charger_id: str, remote_tx: int) -> int | None:
        """Give our id of a transaction of the remote; one not above 0 only if it is unique."""

    def start_is_dead(self, charger_id: str, local_tx: int) -> bool:
        """Tell whether the start of a transaction is a dead letter."""

    def stops_wanted(self, charger_id: str) -> list[int]:
        """List the transactions that the remote refused and that still charge, by our ids."""

    def local_reservation(self, charger_id: str, remote_id: int) -> int | None:
        """Give our id of a reservation of the remote."""

    def remote_reservation(self, charger_id: str, local_id: int) -> int | None:
        """Give the remote's id of a reservation."""

    def next_reservation(self, charger_id: str) -> int:
        """Give an id for a reservation that this charger was never given."""

    def commit(self, charger_id: str, changes: Sequence[Change], done: Done) -> None:
        """Store all of `changes` or none."""


# --- the driver ---------------------------------------------------------------


class Clock(Protocol):
    """The time, in two kinds."""

    def monotonic(self) -> float:
        """Give seconds that never jump."""

    def utc(self) -> datetime:
        """Give the time of day."""


class Driver(Protocol):
    """Sockets and timers of the proxy. None of these may block or raise.

    A connection has the number that `connect` was given; the driver tells its end with
    `Outlet.lost` exactly once, also after `close`. It pings every 20 s by itself and
    ends a connection that misses two pongs, offers only `ocpp1.6`, follows no redirect.
    """

    def connect(self, charger_id: str, connection: int) -> None:
        """Open connection number `connection`: then tell `connected`, or `refused`."""

    def send(self, charger_id: str, connection: int, text: bytes) -> None:
        """Send a frame; on a connection that has ended, do nothing."""

    def close(self, charger_id: str, connection: int, why: str) -> None:
        """Close a connection, or give up opening it; then tell `lost`."""

    def wake(self, charger_id: str, at: float) -> None:
        """Call `tick` at `at` of the clock or soon after; replaces an earlier wish."""

    def command(self, charger_id: str, token: int, action: str, payload: bytes) -> None:
        """Send a CALL to the charger and tell `command_answered(token, ...)` once."""

    def drop_charger(self, charger_id: str, why: str) -> None:
        """Close the charger's own socket (mode transparent)."""


class CommandAnswer(msgspec.Struct, frozen=True, gc=False):
    """What a charger answered: a payload, or an error code with words.

    No answer (timed out, the charger left) is the error "GenericError".
    """

    payload: bytes | None = None
    code: str = ""
    description: str = ""


class LinkState(StrEnum):
    """Where the virtual charge point stands towards the remote."""

    IDLE = "idle"  # nothing to say: its charger is away and nothing waits
    WAITING = "waiting"  # for the time of the next try
    CONNECTING = "connecting"
    BOOTING = "booting"  # the remote has not accepted the Boot yet
    ONLINE = "online"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the proxy behaves; times in seconds, rates in messages per second."""

    mode: Mode = "standin"
    boot: Literal["when-changed", "always"] = "when-changed"
    read_only: bool = False
    on_remote_reject: Literal["stop", "go-on"] = "stop"
    on_remote_concurrent: Literal["stop", "go-on"] = "go-on"
    remote_deduplicates: bool = False
    answer_s: float = 30.0
    authorize_s: float = 2.0
    linger_s: float = 30.0
    first_retry_s: float = 1.0
    longest_retry_s: float = 60.0
    refused_retry_s: float = 60.0
    jitter: float = 0.2
    steady_s: float = 60.0
    charger_rate: float = 50.0
    total_rate: float = 200.0
    connects: int = 20
    connects_within_s: float = 300.0
    tries: int = 3
    window: int = 8
