"""Compares passwords: slowly, in the same time for every name, and not too often."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic

from gway.projects.web.auth.passwords import COST, LONGEST, NOBODY, Hasher, is_password
from gway.projects.web.auth.store import User
from gway.web.reply import Problem
from gway.web.throttle import Throttle, address_key, retry_after

log = logging.getLogger("gway.web.auth")

ADDRESS_TRIES, ADDRESS_S = 5, 60.0
# All addresses together: a guesser with many of them gets ten guesses a minute at a name.
# Its owner waits six seconds at most between two of those, and not at all at an address
# that the owner signed in from before.
NAME_TRIES, NAME_S = 10, 60.0
TRUSTED = 10_000


class WrongPassword(Problem):
    """The name or the password is wrong; which of them is not said."""

    def __init__(self) -> None:
        super().__init__(401, "name or password is wrong")


class Guard:
    """Judges names with passwords, whoever asks.

    :param hasher: where hashing is done
    """

    def __init__(self, hasher: Hasher) -> None:
        self.cost = COST
        self._hasher = hasher
        self._by_address = Throttle(ADDRESS_TRIES, ADDRESS_S, monotonic)
        self._by_name = Throttle(NAME_TRIES, NAME_S, monotonic)
        self._trusted: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, users: Mapping[str, User], name: str, password: str, address: str) -> User:
        """Give the account that name and password are of.

        :raises Problem: 401 when they are none, 429 after too many wrong ones
        """
        name, address = name.strip().lower()[:64], address_key(address)
        keys = self._take(name, address)
        user = users.get(name)
        hashed = NOBODY if user is None else user.hashed
        try:
            right = self._hasher.run(lambda: is_password(password, hashed))
        except Problem:
            self._give_back(keys)  # nothing was tried
            raise
        if user is None or not right or len(password) > 2 * LONGEST:
            # People type passwords in the place of names: one that is none is not logged.
            log.warning(
                "wrong password for %s from %s", name if user else "an unknown name", address
            )
            raise WrongPassword
        self._give_back(keys)
        self.trust(name, address)
        return user

    def _take(self, name: str, address: str) -> list[tuple[Throttle, str]]:
        keys = [(self._by_address, address)]
        if (name, address) not in self._trusted:
            keys.append((self._by_name, name))
        for taken, (throttle, key) in enumerate(keys):
            wait_s = throttle.take(key)
            if wait_s:
                self._give_back(keys[:taken])
                raise Problem(
                    429,
                    "too many wrong passwords",
                    hint=f"try again in {max(1, round(wait_s))} s",
                    headers=[retry_after(wait_s)],
                )
        return keys

    def _give_back(self, keys: list[tuple[Throttle, str]]) -> None:
        for throttle, key in keys:
            throttle.give_back(key)

    def trust(self, name: str, address: str) -> None:
        """Let nobody elsewhere keep a user from signing in at this address."""
        address = address_key(address)
        self._trusted[name, address] = None
        self._trusted.move_to_end((name, address))
        if len(self._trusted) > TRUSTED:
            self._trusted.popitem(last=False)
