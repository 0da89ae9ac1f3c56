"""Judges the password of a charger that knocks, without holding up the others."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from gway.errors import GwayError
from gway.native import in_thread, is_patched
from gway.projects.ocpp.database import DATABASE
from gway.projects.ocpp.facts import Admission, Knock, Verdict
from gway.projects.ocpp.keys.hashing import LONGEST, Hashed, hash_key, is_key
from gway.projects.ocpp.keys.store import KeyRow, KeyStore
from gway.settings import Setting

if TYPE_CHECKING:
    from gway.resolver import Gateway

T = TypeVar("T")

REQUIRED = Setting("OCPP_KEYS_REQUIRED", False, bool, "turn chargers away for which no key is set")
REMEMBERED = 4_096
AT_A_TIME = 2  # the threads are also those in which stored data is read
WAIT_S = 20.0

_TAKEN = frozenset({"Accepted", "RebootRequired"})
_OPEN = frozenset({"queued", "sent", "timed out", "uncertain"})


class Busy(GwayError):
    """Too many passwords wait to be hashed."""


class Keyring:
    """The keys of all chargers of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._store: KeyStore | None = None
        self._turns: Any = None
        self._secret = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self.required: bool = gateway.settings.get(REQUIRED)
        self._changing: set[str] = set()
        if is_patched():
            from gevent.lock import BoundedSemaphore

            self._turns = BoundedSemaphore(AT_A_TIME)

    @property
    def store(self) -> KeyStore:
        """The keys in the database, which is opened at first use."""
        return self._store or self.open()

    def open(self) -> KeyStore:
        """Open the database now: a damaged one then stops the start."""
        if self._store is None:
            self._store = KeyStore(self._gateway.sql.open(self._gateway.settings.get(DATABASE)))
        return self._store

    # --- judging ---

    def admit(self, knock: Knock) -> Admission | None:
        """Decide by the password; None when there is no key to compare it with."""
        rows = self.store.find(knock.charger_id)
        try:
            right = self._fitting(rows, knock.password)
        except Busy as why:
            return Admission(Verdict.REJECT, status=503, reason=why.message)
        if right is not None:
            if right.offered:  # the charger shows that it took the new key
                self.store.take(right)
            return Admission(Verdict.ACCEPT, authenticated=True)
        if any(not row.offered for row in rows):
            wrong = "a password is needed" if knock.password is None else "wrong password"
            return Admission(Verdict.REJECT, status=401, reason=wrong)
        if self.required:
            return Admission(Verdict.REJECT, status=401, reason="no key is set for this charger")
        return None

    def _fitting(self, rows: list[KeyRow], password: bytes | None) -> KeyRow | None:
        if password is None or len(password) > LONGEST:
            return None
        for row in rows:
            if self._fits(row.hashed, password):
                return row
        return None

    def _fits(self, hashed: Hashed, password: bytes) -> bool:
        # The stored hash is part of what is remembered: with a new key all of it is void.
        proof = hmac.digest(self._secret, hashed.salt + hashed.digest + password, "sha256")
        if proof in self._remembered:
            self._remembered.move_to_end(proof)
            return True
        if not self._off_hub(lambda: is_key(password, hashed)):
            return False
        self._remembered[proof] = None
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return True

    def _off_hub(self, function: Callable[[], T]) -> T:
        """Run in the thread pool in a process that serves; raise Busy after a long wait."""
        if self._turns is None:
            return function()
        import gevent

        if not self._turns.acquire(timeout=WAIT_S):
            raise Busy("too many chargers log in now")
        try:
            return in_thread(gevent.get_hub(), function)
        finally:
            self._turns.release()

    # --- changing ---

    def put(self, charger_id: str, key: bytes) -> None:
        """Put a key in force at once."""
        hashed = self._off_hub(lambda: hash_key(key))
        self.store.put(charger_id, hashed, self._gateway.now())

    def change(self, charger_id: str, key: str, send: Callable[[str], dict[str, Any]]) -> str:
        """Give a charger another key, and say what became of that.

        The new key is stored before it is sent. While it is open whether the charger
        took it, both are right; the first login with the new one settles it.

        :param key: printable
        :param send: sends it and gives the command with its answer
        """
        if charger_id in self._changing:
            raise GwayError(f"the key of {charger_id} is being changed already")
        self._changing.add(charger_id)
        try:
            return self._change(charger_id, key, send)
        finally:
            self._changing.remove(charger_id)

    def _change(self, charger_id: str, key: str, send: Callable[[str], dict[str, Any]]) -> str:
        hashed = self._off_hub(lambda: hash_key(key.encode()))
        self.store.offer(charger_id, hashed, self._gateway.now())
        row = KeyRow(charger_id, True, hashed)
        command = send(key)
        if command["status"] in _TAKEN:
            self.store.take(row)
            return "changed"
        if command["state"] in _OPEN:
            return "open"
        self.store.withdraw(row)
        return "unchanged"
