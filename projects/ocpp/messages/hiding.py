"""Takes secrets out of frames and payloads before anybody can read them on a page or in a log.

A frame without secrets stays as it was on the wire, to the byte. One with a secret is
written again, because to hide a value inside a text by pattern would miss odd spellings.
"""

from __future__ import annotations

import json
import re
from typing import Any

from gway.projects.ocpp.messages.examine import load_json
from gway.redaction import HIDDEN, redact

_SECRET = re.compile(
    r"(?i)(?<!local)authori[sz]ation(?!cache)|password|passwd|passphrase|secret|(?<!id)(?<!id_)token|api.?key|credential"
)
# What may announce a secret: its name, an address with a user in it, a scheme, an escape.
# Looked for one by one in lower case, which is many times faster than one pattern for all.
_HINTS = (
    *("authorization", "authorisation", "passw", "passphrase", "secret", "token", "api"),
    *("credential", "://", "basic", "bearer", "\\u"),
)
_ESCAPE = re.compile(r"\\u00([0-9a-fA-F]{2})")
_TAG_HINTS = ("idtag", "\\u")
_TAGS = frozenset({"idtag", "parentidtag"})
_COMPACT = (",", ":")
# Characters of a frame that are looked through by pattern, which is slow for hostile ones;
# texts beyond, if they may hold a secret at all, are cut off.
MOST_LOOKED_AT = 16_384
CUT = f"{HIDDEN} (the rest of this text was too long to be looked through for secrets)"
_KEYS = ("key", "variable", "name")  # OCPP 1.6 configuration, and what vendors put in its place


def hide(text: str, *, tags: bool = False) -> tuple[str, bool]:
    """Give a frame without its secrets, and whether any was in it.

    :param tags: hide the tags of people, too
    """
    if not _may_hold(text, tags):
        return text, False
    hider = _Hider(tags)
    try:
        value = hider.value(hider.load(text))
        cleaned = json.dumps(value, ensure_ascii=False, separators=_COMPACT)
    except (ValueError, RecursionError):
        hidden = hider.words(text)
        return hidden, hidden != text
    if not hider.found:
        return text, False
    return cleaned.encode("utf-8", "backslashreplace").decode(), True  # half a pair has no UTF-8


def hide_value(value: Any) -> Any:
    """Give decoded JSON without its secrets."""
    return _Hider(tags=False).value(value)


def may_hold_secret(text: str) -> bool:
    """Tell, at little cost, whether a text may hold a secret at all."""
    return _may_hold(text, tags=False)


def is_secret(name: str) -> bool:
    """Tell whether a name, such as a configuration key's, is that of a secret (SEC 2.2)."""
    return _SECRET.search(name) is not None


def hide_cut(text: str) -> str:
    """Give a frame whose end is missing without its secrets.

    A value whose object was not closed is left out: the name that would tell that it is a
    secret may be in what is missing. A name that is spelled with escapes, which no pattern
    finds, ends the text, too.
    """
    begun = text.rfind("{")
    open_object = text[begun:] if begun >= 0 else ""
    doubtful = '"value"' in open_object.lower() or may_hold_secret(open_object)
    whole = text[:begun] if doubtful else text
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), whole)
    if plain != whole and _SECRET.search(plain):
        return HIDDEN
    shown = hide(whole)[0]
    return f"{shown} {HIDDEN}" if doubtful else shown


def _may_hold(text: str, tags: bool) -> bool:
    lowered = text.lower()
    hints = (*_HINTS, *_TAG_HINTS) if tags else _HINTS
    return any(hint in lowered for hint in hints)


def _hide_words(text: str, tags: bool) -> str:
    """Hide what looks like a secret in a text that is no JSON."""
    text = redact(text)
    if tags:
        text = re.sub(r'(?i)((?:parent)?idTag"\s*:\s*")[^"]*', rf"\g<1>{HIDDEN}", text)
    return text


class _Hider:
    def __init__(self, tags: bool) -> None:
        self._tags = tags
        self._left = MOST_LOOKED_AT
        self.found = False

    def load(self, text: str) -> Any:
        return load_json(text, pairs=self._only_once)

    def _only_once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Make an object; a name that is there twice hides what stood there first."""
        made = dict(pairs)
        self.found = self.found or len(made) < len(pairs)
        return made

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, str):
            return self._text(value)
        return value

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        named = any(
            key.casefold() in _KEYS and isinstance(each, str) and _SECRET.search(each)
            for key, each in value.items()
        )
        return {
            key: self._gone(each)
            if (named and key.casefold() == "value") or self._is_secret(key, each)
            else self.value(each)
            for key, each in value.items()
        }

    def _is_secret(self, key: str, value: Any) -> bool:
        if self._tags and key.casefold() in _TAGS:
            return isinstance(value, str)
        return _SECRET.search(key) is not None and not isinstance(value, bool | None)

    def _gone(self, value: Any) -> Any:
        if value in ("", None):
            return value
        self.found = True
        return HIDDEN

    def _text(self, text: str) -> str:
        """Hide what a text holds: an address with a password, JSON inside a DataTransfer."""
        if text[:1] in ("{", "["):
            try:
                inner = json.dumps(
                    self.value(self.load(text)), ensure_ascii=False, separators=_COMPACT
                )
            except (ValueError, RecursionError):
                inner = None
            if inner is not None:
                return inner
        hidden = self.words(text)
        self.found = self.found or hidden != text
        return hidden

    def words(self, text: str) -> str:
        """Hide what looks like a secret in a text that is no JSON, within bounds."""
        if not _may_hold(text, self._tags):
            return text
        looked, rest = text[: self._left], text[self._left :]
        self._left -= len(looked)
        hidden = _hide_words(looked, self._tags)
        return hidden + CUT if rest else hidden
