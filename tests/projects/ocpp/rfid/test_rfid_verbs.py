from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

import pytest

from gway.errors import GwayError, UnknownName, UsageError
from gway.marks import access_of
from gway.projects.ocpp.facts import Purpose
from gway.projects.ocpp.rfid import rfid
from gway.resolver import Gateway


class Ran(Protocol):
    code: int
    stdout: str
    stderr: str


Run = Callable[..., Ran]
PAST = datetime(2020, 1, 1, tzinfo=UTC)


def test_putting_a_tag_replaces_what_was_known_of_it(gw: Gateway) -> None:
    rfid.put_tag("AABB", user="Ada", balance=5)
    rfid.put_tag("aabb", user="Bob")
    (tag,) = rfid.list_tags()
    assert (tag.id_tag, tag.user, tag.balance) == ("aabb", "Bob", None)


def test_an_expiry_may_lie_in_the_past_and_is_kept_as_utc(gw: Gateway) -> None:
    rfid.put_tag("AABB", expiry=PAST)
    rfid.put_tag("CCDD", expiry=PAST.astimezone(timezone(timedelta(hours=2))))
    rfid.put_tag("EEFF", expiry=PAST.replace(tzinfo=None))
    assert [tag.expiry for tag in rfid.list_tags()] == [PAST] * 3


def test_a_day_is_still_valid_as_in_an_allow_list(gw: Gateway) -> None:
    rfid.put_tag("AABB", expiry=date(2024, 5, 17))
    rfid.put_tag("CCDD", expiry=date.max)
    ends = [tag.expiry for tag in rfid.list_tags()]
    assert [f"{end:%Y-%m-%d %H:%M:%S}" for end in ends if end] == [
        "2024-05-17 23:59:59",
        "9999-12-31 23:59:59",
    ]


@pytest.mark.parametrize("id_tag", ["", "  ", "x" * 21, "a\nb", "a\x00"])
def test_what_no_charger_can_send_is_no_tag(gw: Gateway, id_tag: str) -> None:
    with pytest.raises(UsageError):
        rfid.put_tag(id_tag)
    assert rfid.list_tags() == []


def test_tags_are_listed_by_page_and_found_by_any_part(gw: Gateway) -> None:
    for id_tag, user in (("C3", "Ada"), ("a1", None), ("B2", "Bob")):
        rfid.put_tag(id_tag, user=user, parent="Fleet7")
    assert [tag.id_tag for tag in rfid.list_tags(limit=2)] == ["a1", "B2"]
    assert [tag.id_tag for tag in rfid.list_tags(after="B2")] == ["C3"]
    assert [tag.id_tag for tag in rfid.list_tags(find="ADA")] == ["C3"]
    assert [tag.id_tag for tag in rfid.list_tags(find="A")] == ["a1", "C3"]
    assert len(rfid.list_tags(find="fleet")) == 3
    assert rfid.list_tags(find="%") == []


def test_deleting_a_tag_that_is_not_there_is_not_found(gw: Gateway) -> None:
    rfid.put_tag("AABB")
    rfid.delete_tag("aabb")
    assert rfid.list_tags() == []
    for verb in (rfid.delete_tag, rfid.api_delete_tag, rfid.unblock):
        with pytest.raises(UnknownName, match="AABB"):
            verb("AABB")


def test_blocking_keeps_what_is_known_and_adds_an_unknown_tag(gw: Gateway) -> None:
    rfid.put_tag("AABB", user="Ada", expiry=PAST)
    assert rfid.block("AABB").user == "Ada"
    assert rfid.block("CCDD").blocked
    assert [tag.blocked for tag in rfid.list_tags()] == [True, True]
    assert not rfid.unblock("aabb").blocked


def test_check_names_the_rule_that_decides(gw: Gateway, workspace: Path) -> None:
    (workspace / "tags.cdv").write_text("AABB\n", encoding="utf-8")

    def deciding(id_tag: str, purpose: Purpose = Purpose.START) -> list[tuple[str, str]]:
        steps = rfid.check(id_tag, purpose=purpose)
        return [(step.rule, step.answer) for step in steps if step.decides]

    assert deciding("AABB") == [("policy for unknown tags", "Accepted")]
    rfid.configure(allow=Path("tags.cdv"))
    assert deciding("AABB") == [("allow list", "Accepted")]
    assert deciding("CCDD") == [("policy for unknown tags", "Invalid")]
    rfid.put_tag("CCDD", balance=0)
    assert deciding("CCDD") == [("store", "Blocked")]
    assert deciding("CCDD", purpose=Purpose.STOP) == [("store", "Accepted")]
    rfid.block("CCDD")
    assert deciding("CCDD") == [("store: blocked or expired", "Blocked")]
    assert rfid.api_check("CCDD") == rfid.check("CCDD")


def test_a_list_is_imported_whole_or_not_at_all(gw: Gateway, workspace: Path) -> None:
    rfid.put_tag("OLD")
    file = workspace / "tags.cdv"
    file.write_text("AABB:parent=G1\nCCDD:allowed=no\n", encoding="utf-8")
    assert rfid.import_list(file).tags == 2
    assert [(t.id_tag, t.blocked) for t in rfid.list_tags()] == [
        ("AABB", False),
        ("CCDD", True),
        ("OLD", False),
    ]
    file.write_text("EEFF\nGGHH:balance=x\n", encoding="utf-8")
    with pytest.raises(GwayError, match="balance=x"):
        rfid.import_list(file, replace=True)
    assert len(rfid.list_tags()) == 3
    file.write_text("EEFF\n", encoding="utf-8")
    rfid.import_list(file, replace=True)
    assert [tag.id_tag for tag in rfid.list_tags()] == ["EEFF"]


def test_tags_survive_the_process(run: Run) -> None:
    assert run("ocpp.rfid", "put-tag", "AaBB", "--expiry", "2020-01-01T00:00:00Z").code == 0
    listed = run("ocpp.rfid", "list-tags", "--json")
    assert [row["id_tag"] for row in json.loads(listed.stdout)] == ["AaBB"]
    steps = json.loads(run("ocpp.rfid", "check", "aabb", "--json").stdout)
    assert [(s["rule"], s["answer"]) for s in steps if s["decides"]] == [
        ("store: blocked or expired", "Expired")
    ]
    missing = run("ocpp.rfid", "delete-tag", "CCDD")
    assert (missing.code, missing.stdout) == (2, "")
    assert "CCDD" in missing.stderr


def test_the_api_changes_tags_for_operators_only() -> None:
    assert (access_of(rfid.api_tags).role, access_of(rfid.api_tags).method) == ("viewer", "GET")
    assert (access_of(rfid.api_put_tag).role, access_of(rfid.api_put_tag).method) == (
        "operator",
        "PUT",
    )
    assert access_of(rfid.api_delete_tag).method == "DELETE"
    assert access_of(rfid.api_delete_tag).role == "operator"


def test_the_api_puts_lists_and_deletes(gw: Gateway) -> None:
    put = rfid.api_put_tag("AABB", expiry=PAST, parent="G", blocked=True, user="Ada")
    assert rfid.api_tags(limit=10**9) == [put]
    assert rfid.api_delete_tag("aabb") == {"deleted": "aabb"}
    assert rfid.api_tags() == []
