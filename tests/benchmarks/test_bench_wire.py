"""What the load generator writes, read by other people's parsers."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
from websockets.protocol import SERVER, State
from websockets.server import ServerProtocol

from benchmarks import wire


def payload_of(frame: bytes | bytearray) -> bytes:
    """Let the websockets package read a client's frame."""
    server = ServerProtocol(state=State.OPEN)
    assert server.side is SERVER
    server.receive_data(bytes(frame))
    (read,) = server.events_received()
    return bytes(read.data)  # type: ignore[union-attr]


def test_a_heartbeat_is_57_bytes_and_a_meter_values_1024():
    assert len(payload_of(wire.heartbeats(1).messages[0].frame)) == 57
    for transaction_id in (1, 1_234_567):
        frame = wire.meter_values([transaction_id]).messages[0].frame
        assert len(payload_of(frame)) == 1024


def test_the_meter_values_are_legal_and_belong_to_the_transaction():
    frame = wire.meter_values([1_234_567]).messages[0].frame
    _, _, action, payload = json.loads(payload_of(frame))
    assert (action, payload["transactionId"]) == ("MeterValues", 1_234_567)
    schemas = resources.files("ocpp") / "v16" / "schemas"
    schema = json.loads((schemas / "MeterValues.json").read_text(encoding="utf-8-sig"))
    jsonschema.validate(payload, schema)


def test_each_step_changes_the_id_the_time_and_the_register_and_nothing_else():
    script = wire.meter_values([1])
    message = script.messages[0]
    before = json.loads(payload_of(message.frame))
    for slot, word in zip(message.slots, script.step(41), strict=True):
        message.frame[slot] = word
    after = json.loads(payload_of(message.frame))
    assert after[1] == "00000000-0000-4000-8000-00000000002a"
    (old,), (new,) = before[3].pop("meterValue"), after[3].pop("meterValue")
    assert new["timestamp"] > old["timestamp"]
    assert new["sampledValue"][0]["value"] == "10000042"
    assert new["sampledValue"][1:] == old["sampledValue"][1:]
    assert after[2:] == before[2:]


def test_the_chargers_of_a_fleet_never_share_a_message_id():
    ids = {json.loads(payload_of(m.frame))[1] for m in wire.heartbeats(300).messages}
    assert len(ids) == 300


def test_a_header_that_is_not_whole_has_no_size_yet():
    assert wire.frame_size(b"\x81") == (0, 0)
    assert wire.frame_size(b"\x81\x7e\x04") == (0, 0)
    assert wire.frame_size(b"\x81\x7e\x04\x00") == (4, 1024)
    assert wire.frame_size(b"\x81\x05hello") == (2, 5)
