"""Keeps passwords out of what is shown and logged: the AuthorizationKey of a charger.

A charger is told it in a ChangeConfiguration, and some tell it themselves when their
configuration is read, which they should not (SEC 2.2).
"""

from __future__ import annotations

from typing import Any

import msgspec

HIDDEN = "***"
_NAME = "authorizationkey"


def is_secret(key: object) -> bool:
    """Tell whether a configuration key holds a password (SEC 2.2)."""
    return str(key).lower() == _NAME


def without_secrets(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Hide a password that a command sets."""
    if action == "ChangeConfiguration" and is_secret(payload.get("key")):
        return {**payload, "value": HIDDEN}
    return payload


def hide_secrets(value: Any) -> Any:
    """Give decoded JSON with the value of each password in it hidden."""
    if isinstance(value, dict):
        shown = {name: hide_secrets(each) for name, each in value.items()}
        if is_secret(value.get("key")) and "value" in value:
            shown["value"] = HIDDEN
        return shown
    if isinstance(value, list):
        return [hide_secrets(each) for each in value]
    return value


def hide_in_text(text: str) -> str:
    """Give a frame with the passwords in it hidden; what was cut ends before the first."""
    if _NAME not in text.lower():
        return text
    try:
        return msgspec.json.encode(hide_secrets(msgspec.json.decode(text))).decode()
    except msgspec.DecodeError:
        before = text[: text.lower().index(_NAME)]
        return before[: before.rfind("{")] + " " + HIDDEN
