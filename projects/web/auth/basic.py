"""Name and password sent along with each request, for programs; off unless configured."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from time import monotonic

from gway.projects.web.auth.guard import Guard, WrongPassword
from gway.projects.web.auth.store import User
from gway.web.reply import Problem
from gway.web.request import Request

REMEMBERED = 1_000

Credentials = tuple[str, str]


class Basic:
    """Reads and judges `Authorization: Basic`.

    What was right is remembered for a while, as a keyed hash: hashing the password anew takes
    a fifth of a second.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.on = False
        self.realm = "GWAY"
        self.remember_s = 60.0
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._turns: dict[bytes, Lock] = {}

    def credentials(self, request: Request) -> Credentials | None:
        """Return the name and password of a request; None if it has none."""
        scheme, _, encoded = request.header("Authorization").partition(" ")
        if scheme.lower() != "basic":
            return None
        if not self.on:
            raise Problem(
                401,
                "this site does not take a password with each request",
                hint="use an API token (`gway web.auth token NAME`), or put `web auth "
                "config-basic` into the recipe",
            )
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
            if colon:
                return name.decode(), password.decode()
        except (binascii.Error, UnicodeDecodeError):
            pass  # said below
        raise Problem(400, "the Authorization header cannot be read")

    def user(self, given: Credentials, users: Mapping[str, User], address: str) -> User:
        """Return whose name and password these are; a Problem says why not."""
        name, password = given
        user = users.get(name.strip().lower())
        proof = self._proof(name, user, password)
        turn = self._turns.setdefault(proof, Lock())
        try:
            with turn:  # of many requests that begin together one does the work
                if user is not None and self._is_remembered(proof):
                    return user
                found = self._guard.check(users, name, password, address)
                self._remember(proof)
                return found
        except WrongPassword as error:
            challenge = f'Basic realm="{self.realm}", charset="UTF-8"'
            raise Problem(401, error.message, headers=[("WWW-Authenticate", challenge)]) from None
        finally:
            self._turns.pop(proof, None)

    def _proof(self, name: str, user: User | None, password: str) -> bytes:
        """Give what is remembered; the stored hash is in it: a new password voids it."""
        known = name.encode() if user is None else user.name.encode() + user.hashed.digest
        return hmac.digest(self._secret, known + b"\0" + password.encode(), "sha256")

    def _is_remembered(self, proof: bytes) -> bool:
        return self._right.get(proof, 0.0) > monotonic()

    def _remember(self, proof: bytes) -> None:
        self._right[proof] = monotonic() + self.remember_s
        self._right.move_to_end(proof)
        if len(self._right) > REMEMBERED:
            self._right.popitem(last=False)
