from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.messages import messages


def test_the_table_of_actions_can_be_narrowed_to_a_profile() -> None:
    assert len(messages.actions()) == 39
    rows = messages.actions(profile="reservation")
    assert [row.action for row in rows] == ["ReserveNow", "CancelReservation"]
    assert {row.sender for row in rows} == {"central system"}
    assert not any(row.served for row in rows)


def test_a_valid_payload_is_called_valid() -> None:
    report = messages.validate("Reset", '{"type":"Soft"}')
    assert (report.verdict, report.answer, report.faults) == ("valid", "CALLRESULT", [])
    assert messages.validate("Reset", '{"status":"Accepted"}', response=True).verdict == "valid"


def test_a_report_lists_every_fault_and_the_answer() -> None:
    report = messages.validate("Reset", '{"type":"soft","now":true}')
    assert (report.verdict, report.answer) == ("refused", "FormationViolation")
    assert [(fault.path, fault.rule) for fault in report.faults] == [
        ("now", "unknown"),
        ("type", "enum"),
    ]


def test_an_odd_money_message_is_reported_as_stored_all_the_same() -> None:
    start = '{"connectorId":1,"idTag":"x","meterStart":0,"timestamp":"%s"}'
    report = messages.validate("StartTransaction", start % "now")
    assert (report.answer, len(report.faults)) == ("CALLRESULT", 1)
    report = messages.validate("StartTransaction", '{"connectorId":1}')
    assert report.answer == "OccurenceConstraintViolation"


def test_what_is_no_json_is_reported_and_not_raised() -> None:
    report = messages.validate("Reset", "{")
    assert (report.answer, report.faults[0].rule) == ("FormationViolation", "json")


def test_a_payload_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"type":"Hard"}', encoding="utf-8")
    assert messages.validate("Reset", f"@{file}").verdict == "valid"
    with pytest.raises(GwayError, match=r"file .*absent\.json: No such file"):
        messages.validate("Reset", f"@{tmp_path / 'absent.json'}")


@pytest.mark.parametrize(("time", "faults"), [("2024-05-17T12:00:00Z", 0), ("now", 1)])
def test_a_payload_from_standard_input_is_read_once_whatever_its_faults(
    monkeypatch: pytest.MonkeyPatch, time: str, faults: int
) -> None:
    start = f'{{"connectorId":1,"idTag":"x","meterStart":0,"timestamp":"{time}"}}'
    monkeypatch.setattr("sys.stdin", StringIO(start))
    report = messages.validate("StartTransaction", "@-")
    assert (report.answer, len(report.faults)) == ("CALLRESULT", faults)


def test_an_unknown_action_comes_with_the_closest_name() -> None:
    with pytest.raises(UsageError) as caught:
        messages.validate("resett", "{}")
    assert caught.value.hint == "did you mean 'Reset'?"
