from __future__ import annotations

import time

import pytest

from gway.redaction import one_line, redact

SECRET = "hunter2secret"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Basic {SECRET}",
        f'Authorization: Digest username="{SECRET}", response="{SECRET}"',
        f'{{"authorization": "Bearer {SECRET}"}}',
        f"{{'Authorization': 'Basic {SECRET}'}}",
        f"Cookie: a={SECRET}; b={SECRET}",
        f"Set-Cookie: sid={SECRET}; Path=/",
        f'headers {{"cookie": "sid={SECRET}; x=1"}}',
        f"password={SECRET}&x=1",
        f'{{"user": "a", "password": "{SECRET}"}}',
        f'"{{\\"password\\": \\"{SECRET}\\"}}"',
        f"GWAY_TOKEN={SECRET}",
        f'"access_token":"{SECRET}"',
        f'[2,"1","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{SECRET}"}}]',
        f'[2,"1","ChangeConfiguration",{{"value":"{SECRET}","key":"AuthorizationKey"}}]',
        f'{{"key":"AuthorizationKey","readonly":false,"value":"{SECRET}"}}',
        f"ws://user:{SECRET}@host/path",
        f"asked with Bearer {SECRET}",
    ],
)
def test_secrets_are_hidden(text):
    hidden = redact(text)
    assert SECRET not in hidden
    assert "***" in hidden


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","StartTransaction",{"idTag":"TAG1","connectorId":1}]',
        '{"idToken": "ABC"}',
        "tokens were read from tags.cdv",
        '{"key":"HeartbeatInterval","value":"300"}',
        "ws://127.0.0.1:9000/ocpp/csms/CP1",
        "author: Bob",
    ],
)
def test_other_texts_are_left_alone(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    "text", ["1" * 50_000 + "password", 'password:"' * 5000, "a:" * 20_000 + "token"]
)
def test_a_hostile_text_takes_no_long_time(text):
    begun = time.perf_counter()
    redact(text)
    assert time.perf_counter() - begun < 1.0


def test_control_characters_and_line_ends_are_escaped():
    assert (
        one_line("a\nb\r\x1b[0m\x00\u2028\u202e\x85é")
        == "a\\nb\\r\\x1b[0m\\x00\\u2028\\u202e\\x85é"
    )
