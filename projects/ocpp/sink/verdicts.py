"""What a frame is found guilty of: the rules by name, and the paragraphs they come from.

SPEC is OCPP 1.6 edition 2, SPEC-J is OCPP-J 1.6, ERR its errata, SEC the security whitepaper.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gway.errors import UsageError, did_you_mean
from gway.projects.ocpp.messages.catalogue import ACTIONS

OK = "ok"
UNJUDGED = "-"  # what is no frame: a connection that opens or closes, a note

Kind = Literal["call", "result", "error", "junk", "open", "close", "refused", "note"]

#: Each rule with its paragraph; "schema" rules have that of their action, see `paragraph_of`.
RULES = {
    "charger-id": "SPEC-J 3.1.1",
    "no-subprotocol": "SPEC-J 3.1.2",
    "wrong-subprotocol": "SPEC-J 3.1.2",
    "credentials": "SEC 2.2",
    "framing": "SPEC-J 4.2",
    "message-id-length": "SPEC-J 4.1.4",
    "duplicate-id": "SPEC-J 4.1.4",
    "call-in-flight": "SPEC-J 4.1.1",
    "late-answer": "SPEC-J 4.1.1",
    "answer-without-call": "SPEC-J 4.2.2",
    "answered-twice": "SPEC-J 4.2.2",
    "unknown-action": "SPEC-J 4.2.1",
    "wrong-side": "SPEC 3.4",
    "error-code": "SPEC-J 4.2.3",
    "boot-first": "SPEC 4.2",
    "not-accepted": "SPEC 4.2",
    "time-zone": "SPEC 3.14",
    "time-notation": "SPEC 3.15",
    "clock-ahead": "SPEC 4.6",
    "status-of-whole": "SPEC 4.9",
    "start-on-whole": "SPEC 6.45",
    "start-while-open": "SPEC 4.8",
    "unknown-transaction": "SPEC 4.10",
    "ended-transaction": "SPEC 3.7",
    "wrong-connector": "SPEC 4.7",
    "stop-twice": "SPEC 4.10",
    "meter-backwards": "SPEC 6.49",
    "time-order": "SPEC 3.7",
}

#: What a payload can have wrong; told as "schema.missing" and so on.
SCHEMA_RULES = (
    "json",
    "object",
    "type",
    "missing",
    "unknown",
    "items",
    "odd-items",
    "length",
    "date-time",
    "enum",
    "range",
    "decimals",
)

# Chapter 6 of SPEC describes the messages of OCPP 1.6 in the order of the alphabet, request
# and answer in turn; those of the security extension are in chapter 5 of SEC.
_NUMBERED = {
    name: 2 * index + 1
    for index, name in enumerate(
        sorted(name for name, action in ACTIONS.items() if action.profile != "Security")
    )
}


class Finding(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One broken rule: its name, the paragraph, a sentence, and the place in the payload."""

    rule: str
    paragraph: str
    text: str
    path: str = ""


def finding(rule: str, text: str, path: str = "") -> Finding:
    """Make a finding of one of `RULES`."""
    return Finding(rule, RULES[rule], text, path)


def known_rule(name: str) -> str:
    """Give the name of a rule back.

    Errors: UsageError for a name that no rule has: nothing would ever break it.
    """
    names = (*RULES, *(f"schema.{rule}" for rule in SCHEMA_RULES))
    if name not in names:
        raise UsageError(
            f"no rule is called {name!r}", did_you_mean(name, names) or f"one of {', '.join(names)}"
        )
    return name


def paragraph_of(action: str, *, answer: bool) -> str:
    """Name the paragraph that describes a payload."""
    number = _NUMBERED.get(action)
    return "SEC 5" if number is None else f"SPEC 6.{number + answer}"


def verdict_of(findings: list[Finding]) -> str:
    """Give the verdict of a frame: "ok", or the first rule that it breaks."""
    return findings[0].rule if findings else OK


class Entry(msgspec.Struct, gc=False, kw_only=True):
    """One line of the log.

    `direction` is "in" from the charger and "out" to it, empty for what is no frame; `leg`
    says, when frames are passed on, who sent it: "charger" or "central". `time` is UTC, ISO
    8601 with milliseconds. `frame` is the text as it was on the wire, unless `redacted`; `note`
    is the code of a CALLERROR, or tells of what is no frame.
    """

    time: str
    direction: str
    leg: str = ""
    charger: str
    connection: int
    type: Kind
    action: str = ""
    message_id: str = ""
    latency_ms: float | None = None
    size: int = 0
    verdict: str = UNJUDGED
    violations: list[Finding] = []
    frame: str = ""
    redacted: bool = False
    note: str = ""


encode_entry = msgspec.json.Encoder().encode
decode_entry = msgspec.json.Decoder(Entry).decode
