"""The handshake: who may open a connection, decided before the upgrade."""

from __future__ import annotations

import base64
import binascii
import re
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime
from urllib.parse import unquote_to_bytes

import msgspec

MAX_ID_LENGTH = 48
_FORBIDDEN = frozenset("/\\<>\"'&%=(){};:|")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

FAILURES_PER_MINUTE = 10
WINDOW_S = 60.0
WATCHED = 2_000
REFUSED_KEPT = 100
SUBPROTOCOL = "ocpp1.6"


class BadId(ValueError):
    """A charger id that cannot be one; the text says why."""


class BadCredentials(ValueError):
    """An Authorization header that is no Basic auth."""


def charger_id_of(path: str) -> str:
    """Read the charger id from a raw request path: split first, decoded once.

    :param path: still percent-encoded, without the query; a trailing slash is ignored
    """
    segment = path.rstrip("/").rpartition("/")[2]
    if _BROKEN_ESCAPE.search(segment):
        raise BadId("the charger id has a broken percent escape")
    try:
        text = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise BadId("the charger id is not UTF-8") from None
    if not text:
        raise BadId("the path ends without a charger id")
    return checked_id(text)


def checked_id(text: str) -> str:
    """Give a charger id back if a charger can have it; raise BadId otherwise."""
    if not text:
        raise BadId("the charger id is empty")
    if len(text) > MAX_ID_LENGTH:
        raise BadId(f"the charger id has more than {MAX_ID_LENGTH} characters")
    if not text.isprintable() or _FORBIDDEN & set(text):
        raise BadId("the charger id has a character that is not allowed")
    if text.startswith(".") or text != text.strip():
        raise BadId("the charger id begins with a dot, or begins or ends with a space")
    return text


def parse_basic(header: str | None) -> tuple[str, bytes] | None:
    """Read user and password of a Basic Authorization header; None when there is none.

    The password is bytes: an AuthorizationKey need not be text (SEC 2.2).
    """
    if header is None:
        return None
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        raise BadCredentials("the Authorization header is not Basic")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
        user, colon, password = decoded.partition(b":")
        if not colon:
            raise BadCredentials("the Authorization header has no password")
        return user.decode("utf-8"), password
    except (binascii.Error, UnicodeDecodeError):
        raise BadCredentials("the Authorization header cannot be read") from None


class Failures:
    """Counts failed credentials by address and id, in bounded memory.

    :param clock: seconds that never jump
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, *keys: str) -> None:
        """Note a failure under each key."""
        now = self._clock()
        for key in keys:
            times = self._times.pop(key, None) or deque(maxlen=FAILURES_PER_MINUTE)
            times.append(now)
            self._times[key] = times
        while len(self._times) > WATCHED:
            self._times.popitem(last=False)

    def blocks(self, *keys: str) -> bool:
        """Tell whether any key had its failures for this minute."""
        since = self._clock() - WINDOW_S
        return any(
            len(times) == FAILURES_PER_MINUTE and times[0] > since
            for key in keys
            if (times := self._times.get(key)) is not None
        )


class Refused(msgspec.Struct):
    """A charger that was turned away, for the operator to approve or to mend.

    `kind` is "path", "id", "subprotocol", "unknown", "key", "taken" or "tries". `path` is
    the address that was asked for when it leads to no charger; then `charger_id` is what
    the charger seems to be called.
    """

    charger_id: str
    remote_addr: str
    status: int
    reason: str
    at: datetime
    times: int = 1
    kind: str = ""
    path: str = ""

    @property
    def key(self) -> str:
        """What tells it from the others: an address leads to no charger, whatever is in it."""
        return self.path or self.charger_id


class RefusedList:
    """The last chargers that were turned away, each once."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, Refused] = OrderedDict()

    def add(self, row: Refused) -> None:
        """Note a charger; the one seen least recently is forgotten."""
        before = self._rows.pop(row.key, None)
        if before is not None:
            row.times = before.times + 1
        self._rows[row.key] = row
        if len(self._rows) > REFUSED_KEPT:
            self._rows.popitem(last=False)

    def rows(self) -> list[Refused]:
        """List them, the latest first."""
        return list(reversed(self._rows.values()))

    def has(self, charger_id: str) -> bool:
        """Tell whether a charger is in the list."""
        return charger_id in self._rows

    def remove(self, charger_id: str) -> None:
        """Forget a charger: it was let in, or is not wanted in the list."""
        for key in [key for key, row in self._rows.items() if row.charger_id == charger_id]:
            del self._rows[key]
