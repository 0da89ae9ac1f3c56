"""Brings the remote's commands to the charger, and its answers back (P12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gway.errors import UsageError
from gway.projects.ocpp.facts import Command, CommandState
from gway.projects.ocpp.messages.faults import FORMATION, GENERIC, NOT_IMPLEMENTED
from gway.projects.ocpp.proxy.ports import CommandAnswer

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

REJECTED = CommandAnswer(payload=b'{"status":"Rejected"}')
WAIT_S = 30.0
GOING_AWAY = 1001


class Orders:
    """What the remote has of the central system here.

    :param central: whose chargers these are
    """

    def __init__(self, central: CentralSystem) -> None:
        self._central = central

    def carry_out(self, charger_id: str, action: str, payload: bytes) -> CommandAnswer:
        """Send a command to a charger and wait for its answer; blocks its greenlet."""
        from gway.projects.ocpp.csms.commands import is_over

        try:
            words = msgspec.json.decode(payload)
        except msgspec.DecodeError:
            words = None
        if not isinstance(words, dict):
            return CommandAnswer(code=FORMATION, description="the payload is not a JSON object")
        if action == "ChangeConfiguration" and _is_password(words.get("key")):
            # It means the key of the virtual charge point; the charger's is between it and us.
            return REJECTED
        commands = self._central.commands
        try:
            command = commands.submit(charger_id, action, words)
        except UsageError as unknown:
            return CommandAnswer(code=NOT_IMPLEMENTED, description=unknown.message)
        while not is_over(command):
            commands.wait(command, WAIT_S)
        return _answer(command)

    def is_connected(self, charger_id: str) -> bool:
        """Tell whether a charger has a connection to us."""
        charger = self._central.chargers.get(charger_id)
        return charger is not None and charger.connected

    def connected(self) -> list[str]:
        """List the chargers that are connected and let in."""
        known = tuple(self._central.chargers)
        return [one for one in known if self.is_served(one)]

    def is_served(self, charger_id: str) -> bool:
        """Tell whether a charger has a connection to us and may use it."""
        return self.is_connected(charger_id) and self.is_let_in(charger_id)

    def is_let_in(self, charger_id: str) -> bool:
        """Tell whether a charger neither waits for approval nor was rejected."""
        charger = self._central.chargers.get(charger_id)
        return charger is None or charger.registration not in ("Pending", "Rejected")

    def drop(self, charger_id: str, why: str) -> None:
        """Close a charger's own connection."""
        charger = self._central.chargers.get(charger_id)
        if charger is not None and charger.session is not None:
            charger.session.connection.close(GOING_AWAY, why[:100])


def _is_password(key: object) -> bool:
    return str(key).lower() == "authorizationkey"  # SEC 2.2


def _answer(command: Command) -> CommandAnswer:
    if command.state is CommandState.ANSWERED:
        return CommandAnswer(payload=msgspec.json.encode(command.answer or {}))
    code = command.error_code if command.state is CommandState.FAILED else ""
    return CommandAnswer(code=code or GENERIC, description=command.error[:255])
