"""Our calls to chargers: one at a time each, first in first out, followed to their effect."""

from __future__ import annotations

import itertools
import logging
import secrets
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from gway.errors import UsageError, did_you_mean
from gway.projects.ocpp.csms.charger import PENDING, REJECTED, Charger
from gway.projects.ocpp.csms.effects import EFFECTS, Event, effect_of
from gway.projects.ocpp.facts import Command, CommandState
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS
from gway.projects.ocpp.messages.codec import decode_response, encode_call
from gway.projects.ocpp.messages.faults import Violation
from gway.projects.ocpp.messages.framing import CallError, CallResult
from gway.projects.ocpp.messages.hiding import hide_value, may_hold_secret

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem
    from gway.projects.ocpp.csms.configuration import Configuration
    from gway.projects.ocpp.csms.runtime import Flag
    from gway.projects.ocpp.csms.session import Session

log = logging.getLogger("ocpp.csms")

HISTORY = 20
LATE = 8
QUEUE = 100
EXPECTING = 16
EFFECT_WITHIN = timedelta(minutes=15)
REFUSED_STATUSES = frozenset({"Rejected", "NotSupported", "NotImplemented"})


class Commands:
    """The queues of all chargers.

    :param central: whose chargers these are
    """

    def __init__(self, central: CentralSystem) -> None:
        self._central = central
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._flags: dict[str, Flag] = {}

    # --- asking ---

    def submit(self, charger_id: str, action: str, payload: Mapping[str, Any]) -> Command:
        """Queue a command, or refuse it before anything is sent; see its state.

        An action that no central system sends is an error and no command.
        """
        if action not in CENTRAL_SYSTEM_ACTIONS:
            hint = did_you_mean(action, set(CENTRAL_SYSTEM_ACTIONS))
            raise UsageError(
                f"{action!r} is no action that a central system sends",
                hint or "see `gway ocpp.messages actions`",
            )
        central = self._central
        command = Command(
            command_id=f"{self._prefix}-{next(self._numbers)}",
            charger_id=charger_id,
            action=action,
            payload=dict(payload),
            queued_at=central.now(),
        )
        charger = central.chargers.get(charger_id)
        try:
            text = encode_call(command.command_id, action, command.payload)
            check_ready(charger, action)
        except (Violation, _Refused, TypeError) as why:
            command.state = CommandState.REFUSED
            command.error = str(why)
            command.payload = hide_value(command.payload)
            return command
        assert charger is not None
        if may_hold_secret(text.decode("utf-8", "replace")):
            command.payload = hide_value(command.payload)
        if charger.history is None:
            charger.history = deque(maxlen=HISTORY)
        charger.history.append(command)
        if charger.queue is None:
            charger.queue = deque()
        charger.queue.append((command, text))
        self._changed(charger, command)
        self.pump(charger)
        return command

    def wait(self, command: Command, wait_s: float) -> None:
        """Wait until a command is over, or for `wait_s`."""
        if is_over(command):
            return
        flag = self._flags.get(command.command_id)
        if flag is None:
            flag = self._flags[command.command_id] = self._central.runtime.flag()
        flag.wait(wait_s)

    def pump(self, charger: Charger) -> None:
        """Send the next command if none is under way (SPEC-J 4.1.1)."""
        session = charger.session
        queue = charger.queue
        if session is None or session.pending is not None or not queue:
            return
        if not session.connection.open:
            return
        command, text = queue.popleft()
        if not queue:
            charger.queue = None
        central = self._central
        session.pending = command
        command.state = CommandState.SENT
        command.sent_at = central.now()
        if command.action in EFFECTS:
            expecting = [*(charger.expecting or ()), command]
            charger.expecting = expecting[-EXPECTING:]
        timeout_s = charger.call_timeout_s or central.options.call_timeout_s
        session.timer = central.runtime.later(
            timeout_s, partial(self._timed_out, session, command, timeout_s)
        )
        session.send_call(text, command)
        self._changed(charger, command)

    # --- hearing ---

    def answered(self, session: Session, frame: CallResult | CallError, at: datetime) -> None:
        """Take the answer to a command, in time or late."""
        command = session.pending
        if command is not None and command.command_id == frame.message_id:
            self._end_pending(session)
        else:
            command = (session.late or {}).pop(frame.message_id, None)
            if command is None:
                self._central.counters.unsolicited += 1
                return
            command.late = True
        charger = session.charger
        command.answered_at = at
        if isinstance(frame, CallError):
            self._failed(command, frame)
        else:
            self._succeeded(command, frame)
            self._note_configuration(charger, command, at)
        if command.state is CommandState.FAILED or command.status in REFUSED_STATUSES:
            self._forget(charger, command)
        self._changed(charger, command)
        self.pump(charger)

    def _succeeded(self, command: Command, result: CallResult) -> None:
        try:
            decode_response(command.action, result.payload)
        except Violation as violation:
            command.error = f"the answer breaks OCPP: {violation.description}"
        try:
            answer = msgspec.json.decode(result.payload)
        except msgspec.DecodeError:
            answer = None
        command.answer = hide_value(answer) if isinstance(answer, dict) else {}
        command.status = str(command.answer.get("status", ""))
        if not command.late:
            command.state = CommandState.ANSWERED

    def _note_configuration(self, charger: Charger, command: Command, at: datetime) -> None:
        """Keep what an answer says of the configuration longer than the command itself is kept."""
        if command.action not in ("GetConfiguration", "ChangeConfiguration"):
            return
        configuration = self._central.configuration(charger)
        if charger.configuration is None and not (
            command.action == "GetConfiguration" and not command.payload.get("key")
        ):
            # The store could not tell what it has: one key must not take the place of all.
            log.warning(
                "%s: what it answered to %s is not kept, as its configuration cannot be read;"
                " read all its keys again",
                charger.charger_id,
                command.action,
            )
            return
        if configuration.hear(command):
            self._tell_configuration(charger, configuration, at)

    def note_restart(self, charger: Charger, at: datetime) -> None:
        """Take the values that waited for a charger's restart, which a BootNotification tells."""
        held = charger.configuration
        configuration = self._central.configuration(charger)
        if configuration.restarted():
            self._tell_configuration(charger, configuration, at)
        else:
            charger.configuration = held  # of chargers that nobody looks at none is held

    def _tell_configuration(
        self, charger: Charger, configuration: Configuration, at: datetime
    ) -> None:
        charger.configuration = configuration
        self._central.emit(
            "ocpp_configuration_told",
            charger_id=charger.charger_id,
            configuration=configuration.told(),
            at=at,
        )

    def _failed(self, command: Command, error: CallError) -> None:
        command.error_code = error.code
        command.error = error.description or error.code
        if not command.late:
            command.state = CommandState.FAILED

    def _timed_out(self, session: Session, command: Command, timeout_s: float) -> None:
        if session.pending is not command:
            return
        session.pending = session.timer = None
        command.state = CommandState.TIMED_OUT
        command.error = f"no answer within {timeout_s:g} s"
        late = session.late = session.late or {}
        late[command.command_id] = command
        if len(late) > LATE:
            del late[next(iter(late))]
        self._changed(session.charger, command)
        self.pump(session.charger)

    def _end_pending(self, session: Session) -> None:
        session.pending = None
        if session.timer is not None:
            session.timer.stop()
            session.timer = None

    def connection_lost(self, session: Session) -> None:
        """Settle what a connection leaves behind: whether a sent call arrived is unknown."""
        charger = session.charger
        command = session.pending
        if command is not None:
            self._end_pending(session)
            command.state = CommandState.UNCERTAIN
            command.error = "the connection ended before the answer"
            self._changed(charger, command)
        if charger.session is None and charger.queue is not None:
            queue, charger.queue = charger.queue, None
            for queued, _ in queue:
                queued.state = CommandState.FAILED
                queued.error = "the connection ended before it was sent"
                self._changed(charger, queued)

    # --- effects ---

    def observe(self, charger: Charger, event: Event, at: datetime) -> None:
        """See whether something that a charger did is the effect of a command."""
        if charger.expecting is None:
            return
        for command in tuple(charger.expecting):
            effect = effect_of(command.action, command.payload, event)
            if effect is None:
                if at - command.queued_at > EFFECT_WITHIN:
                    self._forget(charger, command)
                continue
            command.effect = effect.text
            command.effect_at = at
            if effect.final:
                self._forget(charger, command)
            self._changed(charger, command)
            return

    def _forget(self, charger: Charger, command: Command) -> None:
        expecting = [one for one in charger.expecting or () if one is not command]
        charger.expecting = expecting or None

    def _changed(self, charger: Charger, command: Command) -> None:
        central = self._central
        central.emit("ocpp_command_changed", command=command, at=central.now())
        central.changed(charger, command.action)
        if is_over(command):
            flag = self._flags.pop(command.command_id, None)
            if flag is not None:
                flag.set()


class _Refused(Exception):
    """Why a command is not even sent."""


def check_ready(charger: Charger | None, action: str) -> None:
    """Refuse what a charger cannot be asked now."""
    if charger is None or not charger.connected:
        raise _Refused("the charger is not connected")
    remote = action in ("RemoteStartTransaction", "RemoteStopTransaction")
    if remote and charger.registration in (PENDING, REJECTED):  # SPEC 4.2
        raise _Refused(f"the charger is {charger.registration.lower()}, not accepted")
    if len(charger.queue or ()) >= QUEUE:
        raise _Refused(f"{QUEUE} commands wait already")


def is_over(command: Command) -> bool:
    """Tell whether a command's state is its last one."""
    return command.state not in (CommandState.QUEUED, CommandState.SENT)
