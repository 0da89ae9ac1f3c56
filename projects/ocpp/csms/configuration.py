"""A charger's configuration: read in calls that it can answer, and kept as it was told last."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gway.projects.ocpp.facts import ChargerConfiguration, Command, ConfigurationKey
from gway.projects.ocpp.messages.hiding import is_secret
from gway.redaction import HIDDEN

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]
Send = Callable[[str, str, Row, float | None], Row]
MAX_KEYS = "GetConfigurationMaxKeys"
KEPT_KEYS = 500  # of a charger, which may make us remember no more than that
LONGEST_KEY = 50  # as OCPP has it for KeyValue
LONGEST_VALUE = 500
REBOOT_REQUIRED = "RebootRequired"
CHANGED = ("Accepted", REBOOT_REQUIRED)


class Configuration:
    """The keys that a charger told last, with the values that it accepted since.

    What a change needs a restart for is pending until the charger's next BootNotification.
    Kept with the charger and not read from its latest commands, which are only so many.
    A password is never in it (SEC 2.2).

    :param kept: what the store remembers
    """

    __slots__ = ("_keys", "read_at")

    def __init__(self, kept: ChargerConfiguration | None = None) -> None:
        kept = kept or ChargerConfiguration()
        self._keys = {key.name: key for key in kept.keys}
        self.read_at = kept.read_at

    def hear(self, command: Command) -> bool:
        """Take what the answer to a command says of the configuration; False: nothing."""
        if command.action == "GetConfiguration" and command.answer is not None:
            self._read(command.payload, command.answer)
            if not command.payload.get("key"):
                self.read_at = command.answered_at
            return True
        if command.action == "ChangeConfiguration" and command.status in CHANGED:
            name, value = (str(command.payload.get(each, "")) for each in ("key", "value"))
            known = self._keys.get(name[:LONGEST_KEY]) or ConfigurationKey(name, "")
            if command.status == REBOOT_REQUIRED:  # SPEC 5.3: its value until then is the old one
                self._set(name, known.value, readonly=known.readonly, pending=value)
            else:
                self._set(name, value, readonly=known.readonly)
            return True
        return False

    def restarted(self) -> bool:
        """Take the values that waited for the charger's restart; False: none did."""
        waiting = [key for key in self._keys.values() if key.pending is not None]
        for key in waiting:
            self._keys[key.name] = ConfigurationKey(key.name, key.pending or "", key.readonly)
        return bool(waiting)

    def told(self) -> ChargerConfiguration:
        """Give all that is known, for the store."""
        return ChargerConfiguration(tuple(self._keys.values()), self.read_at)

    def rows(self) -> list[Row]:
        """List the keys by name; of a password only that there is one."""
        return [
            {
                "key": key.name,
                "value": key.value,
                "pending": key.pending,
                "readonly": key.readonly,
                "secret": is_secret(key.name),
            }
            for key in sorted(self._keys.values(), key=lambda key: key.name.lower())
        ]

    def _read(self, asked: Row, answer: Row) -> None:
        before = dict(self._keys)
        if not asked.get("key"):  # all of them were asked for
            self._keys.clear()
        for name in _listed(answer.get("unknownKey")):
            self._keys.pop(str(name)[:LONGEST_KEY], None)
        for told in _listed(answer.get("configurationKey")):
            if isinstance(told, dict):
                value = told.get("value")
                name, text = str(told.get("key", "")), "" if value is None else str(value)
                known = before.get(name[:LONGEST_KEY])
                pending = None if known is None or known.pending == text else known.pending
                self._set(name, text, readonly=bool(told.get("readonly")), pending=pending)

    def _set(self, name: str, value: str, *, readonly: bool, pending: str | None = None) -> None:
        value = _shown(name, value)
        pending = None if pending is None else _shown(name, pending)
        name = name[:LONGEST_KEY]
        if name in self._keys or len(self._keys) < KEPT_KEYS:
            self._keys[name] = ConfigurationKey(name, value, readonly, pending)


def _shown(name: str, value: str) -> str:
    return HIDDEN if is_secret(name) else value[:LONGEST_VALUE]


def _listed(told: Any) -> Iterable[Any]:
    """Give a list that a charger sent, whatever it sent in its place."""
    return told if isinstance(told, list) else ()


def read_configuration(
    central: CentralSystem, charger_id: str, keys: list[str], send: Send, wait_s: float | None
) -> Row:
    """Ask for keys in portions of GetConfigurationMaxKeys (SPEC 9.1.7).

    The result is that of the last call, with the answers of all put together.
    """
    portion = _portion(central, charger_id, keys, send, wait_s)
    row: Row = {}
    found: list[Row] = []
    unknown: list[str] = []
    for begin in range(0, max(len(keys), 1), portion):
        some = keys[begin : begin + portion]
        row = send(charger_id, "GetConfiguration", {"key": some} if some else {}, wait_s)
        answer = row["answer"]
        if answer is None:
            return row
        found += answer.get("configurationKey") or []
        unknown += answer.get("unknownKey") or []
    row["answer"] = {"configurationKey": found, "unknownKey": unknown}
    return row


def _portion(
    central: CentralSystem, charger_id: str, keys: list[str], send: Send, wait_s: float | None
) -> int:
    charger = central.chargers.get(charger_id)
    if len(keys) < 2 or charger is None:
        return max(len(keys), 1)
    if charger.max_keys is None:
        answer = send(charger_id, "GetConfiguration", {"key": [MAX_KEYS]}, wait_s)["answer"]
        values = (answer or {}).get("configurationKey") or [{}]
        text = str(values[0].get("value") or "")
        charger.max_keys = int(text) if text.isascii() and text.isdigit() else 0
    return charger.max_keys or len(keys)
