from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from gway import hookimpl
from gway.errors import DecisionFailed, GwayError
from gway.projects.ocpp.facts import Purpose, TagDecision, TagStatus
from gway.projects.ocpp.rfid import rfid
from gway.projects.ocpp.rfid.authority import Authority
from gway.resolver import Gateway

NOON = datetime(2024, 1, 1, 12, 0, tzinfo=UTC)
Ask = Callable[..., TagDecision]


@pytest.fixture
def ask(gw: Gateway) -> Ask:
    """Ask for the decision as the central system does."""
    gw.load("ocpp.rfid")

    def decide(id_tag: str, purpose: Purpose = Purpose.AUTHORIZE) -> TagDecision:
        answer = gw.plugins.decide(
            "ocpp_authorize", charger_id="CPX", id_tag=id_tag, purpose=purpose, at=NOON
        )
        assert isinstance(answer, TagDecision)
        return answer

    return decide


@pytest.fixture
def allow(gw: Gateway, workspace: Path) -> Callable[[str], Path]:
    """Configure an allow list with these lines."""

    def write(text: str) -> Path:
        path = workspace / "allowed.cdv"
        path.write_text(text, encoding="utf-8")
        rfid.setup_app(allow=path)
        return path

    return write


def test_without_a_list_unknown_tags_are_accepted(ask: Ask) -> None:
    decision = ask("ANYTHING")
    assert (decision.status, decision.source) == (TagStatus.ACCEPTED, "policy")


def test_with_a_list_unknown_tags_are_invalid(ask: Ask, allow: Callable[[str], Path]) -> None:
    allow("AABB\n")
    decision = ask("CCDD")
    assert (decision.status, decision.source) == (TagStatus.INVALID, "policy")
    assert ask("AABB").status is TagStatus.ACCEPTED


def test_an_empty_list_accepts_nobody(ask: Ask, allow: Callable[[str], Path]) -> None:
    allow("")
    assert ask("AABB").status is TagStatus.INVALID


def test_a_tag_blocked_in_the_store_is_blocked_though_the_list_allows_it(
    ask: Ask, allow: Callable[[str], Path]
) -> None:
    allow("AABB\n")
    rfid.block("AABB")
    assert (ask("AABB").status, ask("AABB").source) == (TagStatus.BLOCKED, "store")
    rfid.unblock("AABB")
    assert (ask("AABB").status, ask("AABB").source) == (TagStatus.ACCEPTED, "allow list")


def test_a_tag_expired_in_the_store_is_expired_though_the_list_allows_it(
    ask: Ask, allow: Callable[[str], Path]
) -> None:
    allow("AABB\n")
    rfid.put_tag("AABB", expiry=NOON)
    assert (ask("AABB").status, ask("AABB").source) == (TagStatus.EXPIRED, "store")
    rfid.put_tag("AABB", expiry=NOON + timedelta(seconds=1))
    assert ask("AABB").status is TagStatus.ACCEPTED


def test_the_list_goes_before_the_store(ask: Ask, allow: Callable[[str], Path]) -> None:
    allow("AABB:allowed=no\n")
    rfid.put_tag("AABB")
    assert (ask("AABB").status, ask("AABB").source) == (TagStatus.BLOCKED, "allow list")


def test_a_tag_of_the_store_is_accepted_though_the_list_does_not_know_it(
    ask: Ask, allow: Callable[[str], Path]
) -> None:
    allow("AABB\n")
    rfid.put_tag("CCDD")
    assert (ask("CCDD").status, ask("CCDD").source) == (TagStatus.ACCEPTED, "store")


@pytest.mark.parametrize(
    "content", [b"AABB:allowed=perhaps\n", b"AABB:nonsense\n", b"\xff\xfe", b"A\na\n"]
)
def test_a_broken_list_refuses_all_and_says_where(
    ask: Ask, allow: Callable[[str], Path], content: bytes
) -> None:
    allow("").write_bytes(content)
    rfid.put_tag("CCDD")
    for tag in ("AABB", "CCDD", "EEFF"):
        decision = ask(tag)
        assert (decision.status, decision.source) == (TagStatus.INVALID, "allow list")
        assert "allowed.cdv:" in decision.reason


def test_a_list_that_vanished_refuses(ask: Ask, allow: Callable[[str], Path]) -> None:
    allow("AABB\n").unlink()
    assert ask("AABB").status is TagStatus.INVALID


def test_a_tag_the_store_blocks_stays_blocked_under_a_broken_list(
    ask: Ask, allow: Callable[[str], Path]
) -> None:
    allow("::\n")
    rfid.block("AABB")
    assert ask("AABB").status is TagStatus.BLOCKED


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("AABB", TagStatus.ACCEPTED),
        ("AABB:allowed=True", TagStatus.ACCEPTED),
        ("AABB:allowed=0", TagStatus.BLOCKED),
        ("AABB:expiry=2024-01-01T12%3A00%3A00Z", TagStatus.EXPIRED),
        ("AABB:expiry=2024-01-01T12%3A00%3A01Z", TagStatus.ACCEPTED),
        ("AABB:expiry=2024-01-01", TagStatus.ACCEPTED),
        ("AABB:expiry=2023-12-31", TagStatus.EXPIRED),
        ("AABB:balance=0.01", TagStatus.ACCEPTED),
        ("AABB:balance=0", TagStatus.BLOCKED),
        ("AABB:balance=-5", TagStatus.BLOCKED),
        ("AABB:colour=red:note=a%3Db", TagStatus.ACCEPTED),
    ],
)
def test_the_fields_of_a_line_decide(
    ask: Ask, allow: Callable[[str], Path], line: str, status: TagStatus
) -> None:
    allow(line + "\n")
    decision = ask("AABB")
    assert (decision.status, decision.source) == (status, "allow list")


def test_tags_are_compared_without_case_and_stored_as_spelled(
    ask: Ask, allow: Callable[[str], Path]
) -> None:
    allow("AaBb:allowed=no\n")
    assert ask("aABB").status is TagStatus.BLOCKED
    rfid.put_tag("DeadBeef", parent="Group1")
    assert ask("deadBEEF").parent_id_tag == "Group1"
    rfid.block("DEADBEEF")
    (tag,) = rfid.list_tags()
    assert (tag.id_tag, tag.blocked, tag.parent_id_tag) == ("DeadBeef", True, "Group1")


def test_an_accepted_tag_brings_its_group_its_end_and_its_limit(ask: Ask) -> None:
    end = NOON + timedelta(days=1)
    rfid.put_tag("AABB", parent="GRP", expiry=end, concurrent_limit=2)
    decision = ask("AABB", Purpose.START)
    assert decision.status is TagStatus.ACCEPTED
    assert (decision.parent_id_tag, decision.expiry, decision.concurrent_limit) == ("GRP", end, 2)


def test_the_store_can_hold_a_listed_tag_shorter_but_not_longer(
    ask: Ask, allow: Callable[[str], Path]
) -> None:
    allow("AABB:expiry=2024-06-01:limit=2:parent=LIST\n")
    rfid.put_tag("AABB", expiry=NOON + timedelta(days=1), concurrent_limit=5, parent="STORE")
    decision = ask("AABB")
    assert decision.expiry == NOON + timedelta(days=1)
    assert (decision.concurrent_limit, decision.parent_id_tag) == (2, "LIST")


def test_a_spent_balance_starts_nothing_but_stops(ask: Ask) -> None:
    rfid.put_tag("AABB", balance=0)
    assert ask("AABB", Purpose.START).status is TagStatus.BLOCKED
    assert ask("AABB", Purpose.STOP).status is TagStatus.ACCEPTED


def test_a_plugin_of_the_operator_answers_first_and_a_failing_one_refuses(
    gw: Gateway, ask: Ask
) -> None:
    @hookimpl
    def ocpp_authorize(id_tag: str) -> TagDecision | None:
        if id_tag == "FAIL":
            raise RuntimeError("no answer from the tariff server")
        return TagDecision(TagStatus.EXPIRED) if id_tag == "MINE" else None

    gw.plugins.register(SimpleNamespace(ocpp_authorize=ocpp_authorize), "tariff")
    assert ask("MINE").status is TagStatus.EXPIRED
    assert ask("OTHER").status is TagStatus.ACCEPTED
    with pytest.raises(DecisionFailed):
        ask("FAIL")


def test_an_allow_list_that_is_not_there_is_an_error_at_set_up(gw: Gateway) -> None:
    with pytest.raises(GwayError, match=r"absent\.cdv"):
        rfid.setup_app(allow=Path("absent.cdv"))
    assert gw.service(Authority).allow_list is None


def test_a_relative_list_is_found_in_the_workspace_and_configure_takes_it_away(
    gw: Gateway, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    (workspace / "tags.cdv").write_text("AABB\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    rfid.configure(allow=Path("tags.cdv"))
    assert ask("CCDD").status is TagStatus.INVALID
    rfid.configure(allow=None)
    assert ask("CCDD").status is TagStatus.ACCEPTED


def test_the_list_can_come_from_a_setting(
    workspace: Path, gw: Gateway, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "tags.cdv").write_text("AABB\n", encoding="utf-8")
    monkeypatch.setenv("GWAY_OCPP_ALLOW", "tags.cdv")
    assert ask("CCDD").status is TagStatus.INVALID
