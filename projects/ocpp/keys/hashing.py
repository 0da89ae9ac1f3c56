"""What is kept of a key, and whether a password is that key; no I/O."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

import msgspec

from gway.errors import UsageError

SHORTEST, LONGEST = 8, 40  # SEC A00.FR.205 wants 16 at least; older chargers have less room
GENERATED_BYTES = 20
# 1 MiB and a few ms. Keys are random and tries are limited, so that no dictionary helps
# against them; a thousand chargers that come back at once have to be let in soon.
COST = 2**10
BLOCK_SIZE = 8

_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){8,20}")


class Hashed(msgspec.Struct, frozen=True):
    """A key as it is stored; `cost` is the n of scrypt."""

    salt: bytes
    digest: bytes
    cost: int


def key_bytes(text: bytes) -> bytes:
    """Give the bytes that a key or a password stands for.

    A key of 20 bytes is configured as 40 hex digits (SEC 2.2); chargers send the
    bytes or the digits, so that both stand for the same. Applied until nothing
    changes, because those bytes may in turn look like digits.
    """
    while _HEX.fullmatch(text):
        text = bytes.fromhex(text.decode("ascii"))
    return text


def check_key(key: str) -> bytes:
    """Return a key as bytes; raise UsageError, which does not show it, for what is none."""
    encoded = key.encode("utf-8", "surrogateescape")
    if not SHORTEST <= len(encoded) <= LONGEST:
        raise UsageError(
            f"a key has {SHORTEST} to {LONGEST} characters, this one {len(encoded)}",
            "OCPP asks for 16 or more; --generate makes a good one",
        )
    if not key.isprintable():
        raise UsageError(
            "the key has characters that are not printable", "write its bytes as hex digits"
        )
    return encoded


def new_key() -> str:
    """Make a key: 20 random bytes, as 40 hex digits."""
    return secrets.token_hex(GENERATED_BYTES)


def hash_key(key: bytes) -> Hashed:
    """Hash a key with a new salt; takes some milliseconds."""
    salt = secrets.token_bytes(16)
    return Hashed(salt, _scrypt(key, salt, COST), COST)


def is_key(password: bytes, hashed: Hashed) -> bool:
    """Compare a password with a hashed key, as bytes; takes some milliseconds."""
    return hmac.compare_digest(_scrypt(password, hashed.salt, hashed.cost), hashed.digest)


def _scrypt(key: bytes, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(key_bytes(key), salt=salt, n=cost, r=BLOCK_SIZE, p=1, dklen=32)
