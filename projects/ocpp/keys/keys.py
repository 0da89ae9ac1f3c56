"""Keys of chargers: the password by which a charger proves who it is.

OCPP calls it AuthorizationKey; the charger sends it as Basic authentication, with its
id as user name. Only a salted hash is kept. A charger with a key is let in with that
key alone; one without is left to the other rules, unless keys are required.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gway import access, gw, hookimpl, live
from gway.errors import UnknownName, UsageError
from gway.projects.ocpp.csms.admission import BadId, charger_id_of
from gway.projects.ocpp.facts import Admission, Knock
from gway.projects.ocpp.keys.hashing import check_key, new_key
from gway.projects.ocpp.keys.keyring import REQUIRED, Keyring
from gway.projects.ocpp.keys.store import KeyDates
from gway.prompts import ask_twice

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "api_change_key",
    "api_delete_key",
    "api_list",
    "api_set_key",
    "change_key",
    "configure",
    "delete_key",
    "list",
    "set_key",
    "setup_app",
]

SETTINGS = (REQUIRED,)
PAGE = 1000

Row = dict[str, Any]


def _keyring() -> Keyring:
    return gw.service(Keyring)


@hookimpl(trylast=True)
def ocpp_admit(knock: Knock, at: datetime) -> Admission | None:
    """Answer after all plugins of the operator's own, which may know better."""
    return _keyring().admit(knock)


def setup_app(*, required: bool | None = None) -> None:
    """Prepare the check of passwords.

    :param required: turn chargers away for which no key is set
    """
    _keyring().open()
    if required is not None:
        configure(required=required)


def configure(*, required: bool) -> None:
    """Say from now on whether a charger needs a key.

    :param required: turn chargers away for which no key is set
    """
    _keyring().required = required


# --- verbs -------------------------------------------------------------------


def set_key(charger_id: str, *, generate: bool = False) -> Row:
    """Set the key of a charger, which is asked for, or read from standard input.

    It counts from the charger's next connection on. 40 hex digits stand for 20 bytes.

    :param charger_id: as in its address
    :param generate: make a random key and show it this once
    """
    charger_id = _checked(charger_id)
    if generate:
        return _generated(charger_id)
    _keyring().put(charger_id, check_key(_asked(charger_id)))
    return {"charger_id": charger_id, "key": "set"}


@live
def change_key(charger_id: str, *, wait_s: float | None = None) -> Row:
    """Make a random key, give it to a connected charger and expect it from then on.

    The answer tells whether the key is `changed`, `unchanged` or `open`: then the
    charger did not answer in time, and the old and the new one are both right.

    :param charger_id: as in its address
    :param wait_s: how long to wait for the answer; the charger's time limit if not given
    """
    charger_id = _checked(charger_id)

    def send(key: str) -> Row:
        words = {"key": "AuthorizationKey", "value": key}
        sent: Row = gw.ocpp.csms.send(charger_id, "ChangeConfiguration", words, wait_s=wait_s)
        return sent

    outcome = _keyring().change(charger_id, new_key(), send)
    return {"charger_id": charger_id, "key": outcome}


def delete_key(charger_id: str) -> str:
    """Remove the key of a charger; it is then a charger that never had one.

    :param charger_id: as in its address
    """
    if not _keyring().store.delete(charger_id):
        raise UnknownName(f"no key is set for {charger_id!r}", "see `gway ocpp.keys list`")
    return f"the key of {charger_id} is deleted"


def _checked(charger_id: str) -> str:
    """Return an id that a charger can connect by; raise UsageError for others."""
    try:
        return charger_id_of(quote(charger_id, safe=""))
    except BadId as why:
        raise UsageError(f"{charger_id!r}: {why}") from None


def _generated(charger_id: str) -> Row:
    key = new_key()
    _keyring().put(charger_id, key.encode())
    return {"charger_id": charger_id, "key": key}


def _asked(charger_id: str) -> str:
    if gw.serving:
        raise UsageError("a server cannot ask for a key", "set it from another terminal")
    if not sys.stdin.isatty():
        key = sys.stdin.readline().strip()
        if not key:
            raise UsageError("there is no key on standard input", "or use --generate")
        return key
    return ask_twice(f"Key of {charger_id}: ", "keys")


# --- API ---------------------------------------------------------------------


@access(role="admin", method="POST")
def api_set_key(charger_id: str, *, key: str | None = None) -> Row:
    """Set the key of a charger; a generated one is in the answer, this once.

    :param charger_id: as in its address
    :param key: 8 to 40 characters; a random one is made if not given
    """
    from gway.web.request import CURRENT

    charger_id = _checked(charger_id)
    if key is None:
        return _generated(charger_id)
    if CURRENT.get() is None:
        raise UsageError(
            "a key does not belong on a command line", "use `gway ocpp.keys set-key`, which asks"
        )
    _keyring().put(charger_id, check_key(key))
    return {"charger_id": charger_id, "key": "set"}


@access(role="admin", method="POST")
def api_change_key(charger_id: str, *, wait_s: float | None = None) -> Row:
    """Make a random key, give it to a connected charger and expect it from then on."""
    return change_key(charger_id, wait_s=wait_s)


@access(role="admin")
def api_delete_key(charger_id: str) -> Row:
    """Remove the key of a charger; 404 when there is none."""
    delete_key(charger_id)
    return {"deleted": charger_id}


@access(role="operator")
def api_list(*, limit: int = PAGE, after: str = "") -> Sequence[KeyDates]:
    """List the chargers that have a key, with dates; 1000 at most."""
    return list(limit=min(limit, PAGE), after=after)


# Last in the file: below it the builtin of this name is out of reach.
def list(*, limit: int = PAGE, after: str = "") -> Sequence[KeyDates]:
    """List the chargers that have a key, and when it was set.

    :param limit: at most so many
    :param after: only those after this charger, to read on
    """
    return _keyring().store.dates(max(1, limit), after)
