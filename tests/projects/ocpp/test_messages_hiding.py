"""Secrets do not reach the log, and what is no secret stays as it was."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from gway.projects.ocpp.messages.hiding import hide, hide_cut, hide_value, is_secret

KEY = {"key": "X", "readonly": False, "value": "1"}
SECRETS: list[Any] = [
    [2, "a", "ChangeConfiguration", {"key": "AuthorizationKey", "value": "geheim"}],
    [2, "a", "ChangeConfiguration", {"value": "geheim", "key": "authorizationkey"}],
    [2, "a", "ChangeConfiguration", {"key": "WifiPassword", "value": "geheim"}],
    [3, "a", {"configurationKey": [KEY, {**KEY, "key": "AuthorizationKey", "value": "geheim"}]}],
    [2, "a", "GetDiagnostics", {"location": "ftp://user:geheim@host/x"}],
    [2, "a", "DataTransfer", {"vendorId": "V", "data": '{"password": "geheim", "a": 1}'}],
    [2, "a", "DataTransfer", {"vendorId": "V", "data": "password=geheim"}],
    [2, "a", "DataTransfer", {"vendorId": "V", "data": "Authorization: Basic geheimgeheim"}],
    [2, "a", "DataTransfer", {"vendorId": "V", "data": json.dumps([{"apiKey": "geheim"}])}],
    [2, "a", "DataTransfer", {"data": {"Key": "AuthorizationKey", "Value": "geheim"}}],
    {"token": "geheim"},
]  # fmt: skip


@pytest.mark.parametrize("frame", SECRETS)
@pytest.mark.parametrize("spaced", [True, False])
def test_a_secret_is_hidden_and_the_frame_stays_json(frame: Any, spaced: bool) -> None:
    text = json.dumps(frame, separators=(", ", " : ") if spaced else (",", ":"))
    hidden, found = hide(text)
    assert found
    assert "geheim" not in hidden
    assert "***" in hidden
    assert type(json.loads(hidden)) is type(frame)


def test_a_secret_written_with_escapes_is_hidden() -> None:
    words = '{"k\\u0065y":"Authorization\\u004bey","v\\u0061lue":"ge\\"heim"}'
    text = f'[2,"a","ChangeConfiguration",{words}]'
    hidden, found = hide(text)
    assert found
    assert "heim" not in hidden


def test_a_secret_that_the_same_name_covers_again_is_hidden() -> None:
    words = '{"value":"geheim","value":"","key":"AuthorizationKey"}'
    for text in (f'[2,"a","ChangeConfiguration",{words}]', json.dumps([2, "a", "X", words])):
        hidden, found = hide(text)
        assert found
        assert "geheim" not in hidden


def test_half_a_surrogate_pair_beside_a_secret_can_be_written() -> None:
    hidden, found = hide('[2,"a","DataTransfer",{"data":"\\ud800","password":"geheim"}]')
    assert found
    assert hidden.encode() == b'[2,"a","DataTransfer",{"data":"\\ud800","password":"***"}]'


def test_a_secret_in_what_is_no_json_is_hidden() -> None:
    text = '[2,"a","ChangeConfiguration",{"key":"AuthorizationKey","value":"geheim"'
    assert "geheim" not in hide(text)[0]
    assert hide(text)[1]


@pytest.mark.parametrize(
    "text",
    [
        '[2, "a",  "Authorize", {"idTag": "ADA"}]',
        '[2,"a","Heartbeat",{}]',
        "\\u0041 no JSON",
        '[2,"\\u0041","Heartbeat", {}]',
        '[2,"a","ChangeConfiguration",{"key":"HeartbeatInterval","value":"60"}]',
        '[3,"a",{"configurationKey":[{"key":"AuthorizeRemoteTxRequests","value":"true"}]}]',
        '[2,"a","ChangeConfiguration",{"key":"AuthorizationKey","value":""}]',
        '[2,"a","GetDiagnostics",{"location":"ftp://host/x"}]',
        '[2,"a","RemoteStartTransaction",{"idToken":"ADA"}]',
    ],
)
def test_a_frame_without_a_secret_stays_as_it_was(text: str) -> None:
    assert hide(text) == (text, False)


@pytest.mark.parametrize("depth", [100, 500, 900, 5_000])
def test_deep_nesting_hides_no_secret(depth: int) -> None:
    text = "[" * depth + '{"password": "geheim"}' + "]" * depth
    hidden, found = hide(text)
    assert found
    assert "geheim" not in hidden


@pytest.mark.flag("timing")
@pytest.mark.parametrize("piece", ['"AuthorizationKey"', '"value":"x" ', "token:", "w-", "a://"])
def test_a_hostile_frame_of_a_megabyte_is_looked_through_quickly(piece: str) -> None:
    filler = piece * (1_000_000 // len(piece))
    text = json.dumps([2, "a", "DataTransfer", {"vendorId": filler, "data": "password=geheim"}])
    began = time.perf_counter()
    hidden, _ = hide(text)
    assert time.perf_counter() - began < 2
    assert "geheim" not in hidden


def test_tags_are_hidden_when_that_is_asked_for() -> None:
    text = '[2,"a","Authorize",{"idTag":"ADA"}]'
    assert hide(text, tags=True) == ('[2,"a","Authorize",{"idTag":"***"}]', True)
    answer = '[3,"a",{"idTagInfo":{"status":"Accepted","parentIdTag":"ADA"}}]'
    assert "ADA" not in hide(answer, tags=True)[0]
    assert "Accepted" in hide(answer, tags=True)[0]
    assert "ADA" not in hide('broken {"idTag": "ADA"', tags=True)[0]


@pytest.mark.parametrize(
    "told",
    [
        '[3,"1",{"configurationKey":[{"value":"hunter2","key":"AuthorizationKey"}]}]',
        '[3,"1",{"configurationKey":[{"key":"AuthorizationKey","value":"hunter2"},{"key":"A"}]}]',
        r'[3,"1",{"configurationKey":[{"key":"Authorization\u004bey","value":"hunter2"},{"key":1}]}]',
        '[2,"1","GetDiagnostics",{"location":"ftp://me:hunter2@host/"},{"key":"A"}]',
    ],
)
def test_a_secret_is_hidden_however_the_frame_was_cut(told: str) -> None:
    for length in range(len(told)):
        assert "hunter2" not in hide_cut(told[:length]), length


def test_what_was_cut_and_holds_no_secret_is_shown() -> None:
    told = '[2,"1","DataTransfer",{"vendorId":"V","data":"' + "x" * 50
    assert hide_cut(told) == told


def test_standard_keys_are_no_secrets() -> None:
    for name in (
        "AuthorizationCacheEnabled",
        "localAuthorizationList",
        "LocalAuthListEnabled",
        "idToken",
        "AuthorizeX",
    ):
        assert not is_secret(name)
    for name in ("AuthorizationKey", "authorizationkey", "BackendPassword", "ApiKey"):
        assert is_secret(name)
    assert hide_value({"location": "ftp://me:hunter2@host/", "retries": 2}) == {
        "location": "ftp://me:***@host/",
        "retries": 2,
    }
