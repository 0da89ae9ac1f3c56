"""Nonsense that a seed makes again: JSON that is odd, OCPP messages that are nearly right."""

from __future__ import annotations

import json
from random import Random
from typing import Any

NOON = "2024-01-01T12:00:00Z"
SAMPLE = {"timestamp": NOON, "sampledValue": [{"value": "12", "unit": "kWh"}]}
SOUND: dict[str, dict[str, Any]] = {
    "Authorize": {"idTag": "ADA"},
    "BootNotification": {"chargePointVendor": "Acme", "chargePointModel": "One"},
    "DataTransfer": {"vendorId": "acme", "data": "x"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "Heartbeat": {},
    "MeterValues": {"connectorId": 1, "transactionId": 1, "meterValue": [SAMPLE]},
    "StartTransaction": {"connectorId": 1, "idTag": "ADA", "meterStart": 0, "timestamp": NOON},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Charging"},
    "StopTransaction": {
        "transactionId": 1,
        "meterStop": 10,
        "timestamp": NOON,
        "transactionData": [SAMPLE],
    },
}
ACTIONS = [*SOUND, "Reset", "SignCertificate", "heartbeat", "__init__", ""]
NAMES = ["connectorId", "idTag", "timestamp", "transactionId", "meterValue", "value", "extra"]
# JSON text, so that it may be what no encoder writes.
ODD_TEXTS = [
    *("NaN", "-Infinity", "1e400", "1e-400", "-0", "-0.0", "01", "0x10", ".5", "1" + "0" * 5_000),
    *(str(2**31), str(-(2**63)), str(2**64), str(10**18), "1.5", "true", "null", "[]", "{}"),
    *(r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'"\x"', '"\t"', '"' + "x" * 10_000 + '"'),
    *('"NaN"', '"1e400"', '"-1"', '"1_0"', '"0.0001"', '"\\uff11"', '""', '"[HOME]"', '"../.."'),
    *('"1970-01-01T00:00:00Z"', '"9999-12-31T23:59:59-14:00"', '"0001-01-01T00:00:00+14:00"'),
    *('"2024-02-30T00:00:00Z"', '"2016-12-31T23:59:60Z"', '"2024-01-01T24:00"', '"yesterday"'),
    *("[" * 900 + "]" * 900, '{"a":' * 5_000 + "1" + "}" * 5_000, "[" * 50_000, '{"a":1,"a":2}'),
]


class Text(str):
    """A value that is JSON text already."""

    __slots__ = ()


def odd(random: Random) -> Any:
    """Give a value that a charger should not send."""
    return Text(random.choice(ODD_TEXTS))


def spoiled(random: Random, value: Any, chance: float) -> Any:
    """Change a value here and there: left out, doubled, of another type, with more in it."""
    if isinstance(value, dict):
        kept = {name: spoiled(random, one, chance) for name, one in value.items()}
        kept = {name: one for name, one in kept.items() if random.random() > chance / 4}
        if random.random() < chance:
            kept[random.choice(NAMES)] = odd(random)
        return kept
    if isinstance(value, list):
        return [spoiled(random, one, chance) for one in value * random.choice([0, 1, 1, 2])]
    return odd(random) if random.random() < chance else value


def written(value: Any) -> str:
    """Write a value as JSON, but for what is JSON text already."""
    if isinstance(value, Text):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def frame(random: Random, message_id: str) -> str:
    """Write a frame: mostly a CALL with faults in its payload, sometimes something worse."""
    action = random.choice(ACTIONS)
    payload = spoiled(random, SOUND.get(action, {}), random.choice([0.05, 0.2, 0.5]))
    call: list[Any] = [2, message_id, action, payload]
    match random.randrange(12):
        case 0:
            return bytes(random.randrange(256) for _ in range(40)).decode("latin-1")
        case 1:
            return written(odd(random))
        case 2:
            call[random.randrange(4)] = odd(random)
        case 3:
            call = [*call, odd(random)][: random.randrange(6)]
        case 4:
            call = [3, message_id, payload]
        case 5:
            call = [4, message_id, odd(random), odd(random), payload][: random.randrange(2, 6)]
        case 6:
            text = written(call)
            at = random.randrange(len(text))
            return text[:at] + random.choice('"{}[],\\\0é') + text[at + random.randrange(3) :]
    return written(call)


def answered_id(text: str) -> str | None:
    """Give the id of a frame that has to be answered once; None of one that must not be.

    Errors: ValueError of a frame that no parser reads: its id may be readable, or not.
    """
    try:
        read = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(read, list) or len(read) < 2 or type(read[0]) is not int or read[0] != 2:
        return None
    message_id = read[1]
    if not isinstance(message_id, str) or not message_id:
        return None
    whole = all(not "\ud800" <= character <= "\udfff" for character in message_id)
    return message_id if whole else None
