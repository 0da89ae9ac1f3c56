"""What is kept of a password, and whether a text is that password; hashed off the hub."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from gway.errors import UsageError
from gway.native import in_thread, is_patched
from gway.web.reply import Problem

T = TypeVar("T")

SHORTEST, LONGEST = 12, 256
GENERATED_BYTES = 15
AT_A_TIME = 2  # 16 MiB each; the threads are also those in which stored data is read
WAITING = 24
WAIT_S = 10.0


class Cost(msgspec.Struct, frozen=True):
    """The parameters of scrypt: 128 * n * r bytes of memory, p times."""

    n: int
    r: int
    p: int


# One of the equal choices of OWASP's password storage recommendations, the one that takes
# the least memory at a time; about 0.2 s.
COST = Cost(2**14, 8, 5)


class Hashed(msgspec.Struct, frozen=True):
    """A password as it is stored."""

    salt: bytes
    digest: bytes
    cost: Cost


# A name that nobody has is compared with this, so that it takes as long as any other.
NOBODY = Hashed(bytes(16), bytes(32), COST)


def check_password(password: str, name: str) -> str:
    """Give a password as it is; raise UsageError, which does not show it, for a weak one.

    Length is what counts, and no rule about its characters (NIST SP 800-63B, 3.1.1).

    :param name: of its account, which it must not be
    """
    length = len(_normal(password))
    if length < SHORTEST:
        raise UsageError(
            f"a password has {SHORTEST} characters at least, this one {length}",
            "several words make a good one",
        )
    if length > LONGEST:
        raise UsageError(f"a password has {LONGEST} characters at most, this one {length}")
    letters = _normal(password).casefold()
    if not letters.replace(name.casefold(), "") or len(set(letters)) < 3:
        raise UsageError("this password is easily guessed", "several words make a good one")
    return password


def new_password() -> str:
    """Make a password: 20 random characters."""
    return secrets.token_urlsafe(GENERATED_BYTES)


def hash_password(password: str, cost: Cost = COST) -> Hashed:
    """Hash a password with a new salt; takes some tenths of a second."""
    salt = secrets.token_bytes(16)
    return Hashed(salt, _scrypt(password, salt, cost), cost)


def is_password(password: str, hashed: Hashed) -> bool:
    """Compare a text with a hashed password; takes some tenths of a second."""
    return hmac.compare_digest(_scrypt(password, hashed.salt, hashed.cost), hashed.digest)


def _normal(password: str) -> str:
    """Give the spelling that all keyboards agree on."""
    return unicodedata.normalize("NFKC", password)


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    return hashlib.scrypt(
        _normal(password[: 2 * LONGEST]).encode("utf-8", "surrogatepass"),
        salt=salt,
        n=cost.n,
        r=cost.r,
        p=cost.p,
        maxmem=256 * cost.n * cost.r,
        dklen=32,
    )


class Hasher:
    """Runs what takes long in the thread pool, a few at a time and a few more in a queue."""

    def __init__(self) -> None:
        self._turns: Any = None
        self._waiting = 0
        if is_patched():
            from gevent.lock import BoundedSemaphore

            self._turns = BoundedSemaphore(AT_A_TIME)

    def run(self, function: Callable[[], T]) -> T:
        """Run a function; 503 when too many wait for their turn."""
        if self._turns is None:
            return function()
        if self._waiting >= WAITING:
            raise _busy()
        self._waiting += 1
        try:
            got = self._turns.acquire(timeout=WAIT_S)
        finally:
            self._waiting -= 1
        if not got:
            raise _busy()
        import gevent

        try:
            return in_thread(gevent.get_hub(), function)
        finally:
            self._turns.release()


def _busy() -> Problem:
    return Problem(
        503, "too many people sign in now", hint="try again", headers=[("Retry-After", "5")]
    )
