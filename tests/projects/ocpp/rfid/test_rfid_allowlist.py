from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from gway.projects.ocpp.rfid import allowlist
from gway.projects.ocpp.rfid.allowlist import AllowList, BrokenList


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tags.cdv"
    path.write_text("AABB:user=Ada\n", encoding="utf-8")
    return path


@pytest.fixture
def tags(file: Path, seconds: Seconds) -> AllowList:
    # The files seem old, so that their state is taken to be settled.
    return AllowList(file, seconds, lambda: file.stat().st_mtime + 60)


def rewrite(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    reads: list[Path] = []
    read_list = allowlist.read_list

    def counted(path: Path, breathe: object = None) -> object:
        reads.append(path)
        return read_list(path)

    monkeypatch.setattr(allowlist, "read_list", counted)
    return reads


def test_a_changed_list_is_in_force_within_a_second(
    tags: AllowList, file: Path, seconds: Seconds
) -> None:
    assert tags.find("aabb") is not None
    rewrite(file, "CCDD\n")
    seconds.now += 0.9
    assert tags.find("AABB") is not None
    seconds.now += 0.2
    assert tags.find("AABB") is None
    assert tags.find("CCDD") is not None


def test_an_unchanged_list_is_not_read_again(
    tags: AllowList, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = count_reads(monkeypatch)
    for _ in range(5):
        tags.find("AABB")
        seconds.now += 2
    assert len(reads) == 1


def test_the_file_is_looked_at_once_a_second_at_most(
    file: Path, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    stat = Path.stat

    def counted(self: Path, **options: bool) -> os.stat_result:
        looks.append(self)
        return stat(self, **options)

    tags = AllowList(file, seconds, lambda: 4e9)
    monkeypatch.setattr(Path, "stat", counted)
    for _ in range(100):
        tags.find("AABB")
        seconds.now += 0.009
    assert len(looks) == 1


def test_a_change_that_leaves_size_and_time_alone_is_seen_by_the_inode(
    tags: AllowList, file: Path, seconds: Seconds
) -> None:
    tags.find("AABB")
    before = file.stat()
    rewrite(file, "AABC:user=Ada\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    seconds.now += 2
    assert tags.find("AABB") is None


def test_a_file_that_has_just_changed_is_read_again_until_it_rests(
    file: Path, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = count_reads(monkeypatch)
    age = [0.5]
    tags = AllowList(file, seconds, lambda: file.stat().st_mtime + age[0])
    for age[0] in (0.5, 1.5, 2.5, 3.5):
        tags.find("AABB")
        seconds.now += 1.1
    assert len(reads) == 3


def test_a_broken_list_works_again_when_it_is_mended(
    tags: AllowList, file: Path, seconds: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    assert tags.find("AABB") is not None
    rewrite(file, "AABB\nCCDD:balance=lots\n")
    seconds.now += 2
    with caplog.at_level(logging.INFO, "ocpp.rfid"):
        for _ in range(3):
            with pytest.raises(BrokenList, match=r"tags\.cdv:2: balance=lots"):
                tags.find("AABB")
            seconds.now += 2
        rewrite(file, "AABB\n")
        assert tags.find("AABB") is not None
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("AABB:expiry=soon", "expiry=soon"),
        ("AABB:expiry=2024-13-01", "expiry=2024-13-01"),
        ("AABB:balance=nan", "balance=nan"),
        ("AABB:limit=two", "limit=two"),
        ("AABB:limit=-1", "limit=-1"),
        ("AABB:allowed=maybe", "allowed=maybe"),
        (":allowed=yes", "id is missing"),
        ("ok:user=x", "twice"),
    ],
)
def test_a_line_that_cannot_be_relied_on_breaks_the_list(
    file: Path, line: str, complaint: str
) -> None:
    rewrite(file, f"# comment\n\nOK\n{line}\n")
    with pytest.raises(BrokenList, match=complaint) as caught:
        allowlist.read_list(file)
    assert "tags.cdv:4: " in str(caught.value)


def test_a_byte_order_mark_and_crlf_are_no_part_of_a_tag(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfAABB\r\nCCDD:parent=G%3A1\r\n")
    tags = allowlist.read_list(file)
    assert list(tags) == ["aabb", "ccdd"]
    assert tags["ccdd"].parent_id_tag == "G:1"


def test_a_long_list_is_read_off_the_hub_with_breaks(
    file: Path, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(file, "".join(f"TAG{n:07d}:allowed=yes\n" for n in range(3000)))
    tags = AllowList(file, seconds, lambda: 4e9)
    breaks: list[int] = []
    threads: list[int] = []

    def in_a_thread(function: object) -> object:
        outcome: list[object] = []
        assert callable(function)
        thread = threading.Thread(target=lambda: outcome.append(function()))
        thread.start()
        threads.append(thread.ident or 0)
        thread.join()
        return outcome[0]

    monkeypatch.setattr(allowlist, "_off_hub", in_a_thread)
    monkeypatch.setattr(allowlist, "_breathe", lambda: breaks.append(threading.get_ident()))
    assert tags.find("tag0002999") is not None
    assert len(breaks) == 3000 // allowlist.CHUNK
    assert set(breaks) == set(threads[:1])
