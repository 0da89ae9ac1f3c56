"""The table: which floor holds, and what is kept of a run."""

from __future__ import annotations

import json

import pytest

from benchmarks.__main__ import main
from benchmarks.report import Report, number


@pytest.fixture
def report() -> Report:
    made = Report()
    made.begin("Echo")
    made.add("ours", 59_000, "msg/s", "p99 2 ms")
    return made


def test_a_minimum_and_a_maximum_fail_on_their_own_side(report):
    report.at_least("rate", 5.9, 6)
    report.at_least("rate", 6.0, 6)
    report.at_most("stall", 20.0, 20, "ms")
    report.at_most("stall", 20.1, 20, "ms")
    assert [floor.passed for floor in report.floors] == [False, True, True, False]
    assert report.floors[0].line().startswith("FAIL")
    assert not report.passed


def test_the_file_keeps_figures_floors_and_the_machine(report, tmp_path):
    report.at_least("rate", 7.0, 6)
    report.write(tmp_path / "run.json")
    kept = json.loads((tmp_path / "run.json").read_text())
    assert kept["figures"][0]["value"] == 59_000
    assert kept["floors"][0]["passed"] is True
    assert kept["machine"]["cores"] >= 1


def test_numbers_are_written_with_the_precision_they_have():
    assert [number(value) for value in (59_123.4, 12.34, 0.456)] == ["59,123", "12.3", "0.46"]


def test_an_unknown_measure_is_a_usage_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["heartbeats"])
    assert "no measure 'heartbeats'" in capsys.readouterr().err
