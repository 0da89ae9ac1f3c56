"""Masks for secrets on pages that are compressed, so that their length tells nothing of them."""

from __future__ import annotations


def masked(secret: bytes, pad: bytes) -> str:
    """Write a secret so that it looks different with each pad.

    :param pad: random bytes, as many as the secret has
    """
    return (pad + _xor(secret, pad)).hex()


def unmasked(text: str) -> bytes:
    """Read a secret that was masked; empty for what is none."""
    try:
        both = bytes.fromhex(text)
    except ValueError:
        return b""
    half, odd = divmod(len(both), 2)
    return b"" if odd else _xor(both[:half], both[half:])


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
