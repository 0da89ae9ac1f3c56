"""Where the remote is, and by what our virtual charge points are known there."""

from __future__ import annotations

import base64
import os

import pytest

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.proxy.remote import Remote, checked


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("ws://cloud:9001/ocpp/csms/", "ws://cloud:9001/ocpp/csms"),
        ("wss://Cloud.example/a b", "wss://cloud.example/a%20b"),
        ("ws://[::1]:80/x", "ws://[::1]:80/x"),
        ("ws://cloud", "ws://cloud"),
    ],
)
def test_an_address_has_one_spelling(given, url):
    assert checked(given) == url


@pytest.mark.parametrize(
    "given",
    ["http://cloud/x", "cloud", "", "ws://", "ws://u:p@cloud/x", "ws://cloud/x?id=1", "ws://c:x/"],
)
def test_what_is_no_address_is_a_usage_error(given):
    with pytest.raises(UsageError, match="--remote"):
        checked(given)


def test_ids_are_percent_encoded_whole():
    target = Remote("ws://cloud/ocpp").target("CP 1#ä")
    assert target.url == "ws://cloud/ocpp/CP%201%23%C3%A4"
    assert target.charger_id == "CP 1#ä"
    assert target.headers() == [], "no credentials unless they are given for the remote"


def test_each_charger_has_its_own_password_or_that_of_all(tmp_path):
    keys = tmp_path / "keys.cdv"
    keys.write_text("CP1:key=first-word-1\nCP2:key=" + "ab" * 20 + "\n")
    remote = Remote("ws://cloud/ocpp", password="for-all", keys=keys)

    def sent(charger_id: str) -> bytes:
        (header,) = remote.target(charger_id).headers()
        return base64.b64decode(header.removeprefix("Authorization: Basic "))

    assert sent("CP1") == b"CP1:first-word-1"
    assert sent("CP2") == b"CP2:" + b"\xab" * 20
    assert sent("CP3") == b"CP3:for-all"
    assert remote.in_the_clear
    keys.write_text("CP1:key=second-word\n")
    os.utime(keys, (1, 1))
    assert sent("CP1") == b"CP1:second-word", "the file is read again when it changes"
    keys.unlink()
    assert sent("CP1") == b"CP1:second-word", "while it is replaced, what was read last stays"


def test_passwords_are_in_the_clear_only_beyond_this_machine_without_tls():
    assert not Remote("ws://127.0.0.1/x", password="p").in_the_clear
    assert not Remote("wss://cloud/x", password="p").in_the_clear
    assert not Remote("ws://cloud/x").in_the_clear


def test_a_file_that_is_not_there_is_told_at_once(tmp_path):
    with pytest.raises(GwayError, match=r"none\.cdv cannot be read"):
        Remote("ws://cloud/x", keys=tmp_path / "none.cdv")
    with pytest.raises(GwayError, match="holds no certificates"):
        Remote("wss://cloud/x", ca=tmp_path / "none.pem")
