"""OCPP 1.6-J messages: frames, payloads and their validation; pure, no I/O.

Other code imports the re-exported names; the verbs show the same rules to a person.
"""

from __future__ import annotations

import contextlib
import difflib
import sys
from pathlib import Path

import msgspec

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.messages.catalogue import ACTIONS as ACTIONS
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS as CENTRAL_SYSTEM_ACTIONS
from gway.projects.ocpp.messages.catalogue import CHARGE_POINT_ACTIONS as CHARGE_POINT_ACTIONS
from gway.projects.ocpp.messages.catalogue import MONEY_ACTIONS as MONEY_ACTIONS
from gway.projects.ocpp.messages.catalogue import SERVED as SERVED
from gway.projects.ocpp.messages.codec import REQUESTS, RESPONSES, judge
from gway.projects.ocpp.messages.codec import decode_request as decode_request
from gway.projects.ocpp.messages.codec import decode_response as decode_response
from gway.projects.ocpp.messages.codec import encode_call as encode_call
from gway.projects.ocpp.messages.codec import encode_error as encode_error
from gway.projects.ocpp.messages.codec import encode_result as encode_result
from gway.projects.ocpp.messages.codec import salvage as salvage
from gway.projects.ocpp.messages.faults import Violation as Violation
from gway.projects.ocpp.messages.framing import Call as Call
from gway.projects.ocpp.messages.framing import CallError as CallError
from gway.projects.ocpp.messages.framing import CallResult as CallResult
from gway.projects.ocpp.messages.framing import Junk as Junk
from gway.projects.ocpp.messages.framing import parse_frame as parse_frame
from gway.projects.ocpp.messages.times import format_time as format_time
from gway.projects.ocpp.messages.times import parse_time as parse_time

__all__ = ["actions", "validate"]


class ActionRow(msgspec.Struct):
    """One line of the table of actions."""

    action: str
    sender: str
    profile: str
    served: bool


class FaultRow(msgspec.Struct):
    """One fault of a payload."""

    path: str
    rule: str
    code: str
    fault: str


class Report(msgspec.Struct):
    """What `validate` says of a payload."""

    verdict: str
    answer: str
    faults: list[FaultRow]


def actions(*, profile: str | None = None) -> list[ActionRow]:
    """List the actions of OCPP 1.6 and its security extension.

    :param profile: only those of one profile, such as SmartCharging
    """
    wanted = profile.lower() if profile else None
    return [
        ActionRow(a.name, a.sender, a.profile, a.name in SERVED)
        for a in ACTIONS.values()
        if wanted is None or a.profile.lower() == wanted
    ]


def validate(action: str, payload: str, *, response: bool = False) -> Report:
    """Check a payload against the rules of an action, and say what would be answered.

    :param action: such as StatusNotification
    :param payload: JSON text, `@FILE`, or `@-` for standard input
    :param response: check it as the answer to the action
    """
    codecs = RESPONSES if response else REQUESTS
    codec = codecs.get(action)
    if codec is None:
        near = difflib.get_close_matches(action, ACTIONS, 1, 0.5)
        hint = f"did you mean '{near[0]}'?" if near else "see `gway ocpp.messages actions`"
        raise UsageError(f"{action!r} is no action of OCPP 1.6: NotImplemented", hint)
    text = _read_payload(payload)
    try:
        faults = codec.examine(text)[1]
    except Violation as violation:
        row = FaultRow("", violation.rule, violation.code, violation.description)
        return Report("refused", violation.code, [row])
    if not faults:
        return Report("valid", "CALLRESULT", [])
    answer, verdict = judge(faults).code, "refused"
    if action in MONEY_ACTIONS and not response:
        with contextlib.suppress(Violation):
            salvage(action, text)
            answer, verdict = "CALLRESULT", "odd, but stored and answered (SPEC 4.7, 4.8, 4.10)"
    return Report(verdict, answer, [FaultRow(f.path, f.rule, f.code, f.text) for f in faults])


def _read_payload(payload: str) -> str:
    if payload in ("@-", "-"):  # on a command line a lone - begins the next verb
        return sys.stdin.read()
    if not payload.startswith("@"):
        return payload
    try:
        return Path(payload[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise GwayError(
            f"the payload cannot be read from the file {payload[1:]}: {why}",
            "@FILE takes the payload from a file, @- from standard input; or give JSON text itself",
        ) from error
