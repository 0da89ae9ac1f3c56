"""What the remote wants of the charger: passed on at once, its ids put into ours (P12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS
from gway.projects.ocpp.messages.codec import encode_error
from gway.projects.ocpp.messages.faults import (
    GENERIC,
    INTERNAL,
    NOT_IMPLEMENTED,
    PROTOCOL,
    SECURITY,
    Violation,
)
from gway.projects.ocpp.messages.framing import Call
from gway.projects.ocpp.proxy import answers
from gway.projects.ocpp.proxy.payloads import Unmapped, asked_for, command_for_charger
from gway.projects.ocpp.proxy.ports import (
    EVERY_STATUS,
    Change,
    CommandAnswer,
    Done,
    Driver,
    Expected,
    Options,
    ReservationGiven,
    StopAsked,
    Store,
)

REMEMBERED = 16  # answers kept for a command that is sent again
MOST_WAITING = 64

HEARTBEAT = "Heartbeat"

_REJECTED = b'{"status":"Rejected"}'


class _Asked(msgspec.Struct, gc=False):
    """A command under way: whose answer it is, or which transaction it stops for us.

    One of ours has no `message_id`.

    `expects` is the kind of message that it makes the charger say, "" none.
    """

    connection: int
    message_id: str
    stops: int | None = None
    expects: str = ""


class Commands:
    """The commands of the remote to one charger, and ours for it.

    :param note: commits changes that nothing waits for, except the callback
    :ivar beat_wanted: the remote asked for a heartbeat, and the charger would send one
    """

    def __init__(
        self,
        charger_id: str,
        store: Store,
        driver: Driver,
        options: Options,
        counts: Counter[str],
        note: Callable[[Sequence[Change], Done | None], None],
    ) -> None:
        self._charger_id = charger_id
        self._store = store
        self._driver = driver
        self._options = options
        self._counts = counts
        self._note = note
        self._connection = 0
        self._answers: dict[str, tuple[int, bytes | None]] = {}
        self._asked: dict[int, _Asked] = {}
        self._token = 0
        self.charger_online = False
        self.beat_wanted = False

    def begin(self, connection: int) -> None:
        """Start anew: answers go to the connection that asked or nowhere."""
        self._connection = connection
        self._answers.clear()
        self.beat_wanted = False

    def take(self, call: Call, text: bytes) -> None:
        """Pass a command on, or answer it."""
        self._counts["commands"] += 1
        message_id = call.message_id
        known = self._answers.get(message_id)
        if known is not None:
            if known[0] != hash(text):
                self._send(encode_error(message_id, PROTOCOL, "this message id was used before"))
            elif known[1] is not None:
                self._send(known[1])
            return
        self._answers[message_id] = (hash(text), None)
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
        connection = self._connection
        try:
            self._pass_on(connection, call)
        except Unmapped as unknown:
            # Never a guess: a wrong transaction must not be stopped.
            self._counts["not mapped"] += 1
            self._result(connection, message_id, _REJECTED, f"{unknown} is not known here")
        except Violation as fault:
            self._refuse(connection, message_id, fault.code, fault.description)

    def _pass_on(self, connection: int, call: Call) -> None:
        if self._options.read_only:
            raise Violation(SECURITY, "this charger is shown, not controlled, here", "read-only")
        if call.action not in CENTRAL_SYSTEM_ACTIONS:
            raise Violation(NOT_IMPLEMENTED, "no command of OCPP 1.6", "action")
        if not self.charger_online:
            raise Violation(GENERIC, "the charger is not connected", "away")
        if len(self._asked) >= MOST_WAITING:
            raise Violation(INTERNAL, "too many commands wait for this charger", "busy")
        given: list[Change] = []
        reservation = partial(self._reservation, call.action, given)
        payload = command_for_charger(call.action, bytes(call.payload), self._local_tx, reservation)
        asked = _Asked(connection, call.message_id, expects=_expected(call))
        if asked.expects and asked.expects != HEARTBEAT:
            given.append(Expected(asked.expects))  # first: the charger may be quick
        if given:
            self._note(given, partial(self._reserved, asked, call.action, payload))
        else:
            self._forward(asked, call.action, payload)

    def _local_tx(self, remote_tx: int) -> int | None:
        return self._store.local_tx(self._charger_id, remote_tx)

    def _reservation(self, action: str, given: list[Change], remote_id: int) -> int | None:
        local_id = self._store.local_reservation(self._charger_id, remote_id)
        if local_id is None and action == "ReserveNow":
            local_id = self._store.next_reservation(self._charger_id)
            given.append(ReservationGiven(remote_id, local_id))
        return local_id

    def _reserved(
        self, asked: _Asked, action: str, payload: bytes, error: BaseException | None
    ) -> None:
        if error is None:
            self._forward(asked, action, payload)
        else:
            self._refuse(asked.connection, asked.message_id, INTERNAL, "it could not be stored")

    def _forward(self, asked: _Asked, action: str, payload: bytes) -> None:
        self._token += 1
        self._asked[self._token] = asked
        self._driver.command(self._charger_id, self._token, action, payload)

    def stop_refused(self) -> None:
        """Stop what charges although the remote refuses its tag; once for each."""
        if not self.charger_online:
            return
        under_way = {asked.stops for asked in self._asked.values()}
        for local_tx in self._store.stops_wanted(self._charger_id):
            if local_tx not in under_way:
                asked = _Asked(0, "", local_tx)
                payload = b'{"transactionId":%d}' % local_tx
                self._forward(asked, "RemoteStopTransaction", payload)

    def ask_boot(self) -> None:
        """Have the charger introduce itself (SPEC 5.17)."""
        self._forward(_Asked(0, ""), "TriggerMessage", b'{"requestedMessage":"BootNotification"}')

    def answered(self, token: int, answer: CommandAnswer) -> bool:
        """Bring an answer back to the connection that asked.

        Tells whether a stop of ours went unanswered, and is due again some time.
        """
        asked = self._asked.pop(token, None)
        if asked is None:
            return False
        if asked.expects == HEARTBEAT:
            self.beat_wanted = answers.accepted(answer.payload)
        elif asked.expects and not answers.accepted(answer.payload):
            self._note([Expected(asked.expects, expected=False)], None)
        if asked.stops is not None:
            if answer.code == GENERIC:  # it was away, or did not answer in time
                return True
            self._note([StopAsked(asked.stops)], None)
        elif not asked.message_id:
            pass  # nobody waits for that
        elif answer.payload is not None:
            self._result(asked.connection, asked.message_id, answer.payload)
        else:
            code, words = answer.code or GENERIC, answer.description
            self._refuse(asked.connection, asked.message_id, code, words)
        return False

    def _result(self, connection: int, message_id: str, payload: bytes, why: str = "") -> None:
        self._reply(connection, message_id, b"[3,%b,%b]" % (_encode(message_id), payload))

    def _refuse(self, connection: int, message_id: str, code: str, words: str) -> None:
        self._reply(connection, message_id, encode_error(message_id, code, words))

    def _reply(self, connection: int, message_id: str, text: bytes) -> None:
        if connection != self._connection:
            self._counts["late answers"] += 1
            return
        known = self._answers.get(message_id)
        if known is not None:
            self._answers[message_id] = (known[0], text)
        self._send(text)

    def _send(self, text: bytes) -> None:
        self._driver.send(self._charger_id, self._connection, text)


def _expected(call: Call) -> str:
    """Tell what the charger will say at a command's bidding, which the remote waits for."""
    action, connector = asked_for(call.action, bytes(call.payload))
    if action == "StatusNotification":
        return EVERY_STATUS if connector is None else f"Status/{connector}"
    return {"BootNotification": "Boot", HEARTBEAT: HEARTBEAT}.get(action, "")


_encode = msgspec.json.encode
