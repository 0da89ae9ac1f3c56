"""What must not be read in logs, and how a record stays on one line."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

HIDDEN = "***"

_NAMES = (
    r"authorization(?!key)|proxy-authorization|set-cookie|cookie|password|passwd|secret|token"
    r"|access_token|api[_-]?key|authorizationkey"
)
# name: value, name=value, "name": "value", also with the quotes escaped once more.
_PAIR = rf"""(?ix)
    (?P<head> (?<![\w-]) (?!id_?token) [\w-]{{0,40}}? (?:{_NAMES}) \\?["']? \s* [:=] \s* )
    (?: (?P<quote>\\?["']) (?P<quoted>.*?) (?P=quote)
      | (?P<bare> (?:(?:basic|bearer|digest)\s+)? [^\s,;&"'}}\]\\]+ ) )
    """
# OCPP 1.6 ChangeConfiguration and GetConfiguration: {"key": "AuthorizationKey", "value": "..."}
_KEY_VALUE = r"""(?ix)
    (?P<head> \\?["']AuthorizationKey\\?["'] [^{}]{0,400}? \\?["']value\\?["'] \s* : \s* )
    (?P<quote>\\?["']) .*? (?P=quote)
    """
_VALUE_KEY = r"""(?ix)
    (?P<head> \\?["']value\\?["'] \s* : \s* ) (?P<quote>\\?["']) [^"'{}]*? (?P=quote)
    (?P<tail> [^{}]{0,400}? \\?["']AuthorizationKey\\?["'] )
    """
# A header as it is on the wire: everything to the end of the line is its value.
_HEADER = r"(?i)(?P<head>\b(?:authorization|(?:set-)?cookie):[ \t]*)[^\s][^\r\n]*"
_USERINFO = r"(?i)(?P<head>\b[a-z][a-z0-9+.-]{0,20}://[^\s:/@]*):[^\s/@]+@"
_SCHEME = r"(?i)\b(?P<head>basic|bearer)\s+[A-Za-z0-9._~+/=-]{6,}"
_HINTS = r"(?i)auth|cookie|passw|secret|token|api.?key|://|basic|bearer"

_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{ord(char): f"\\{name}" for char, name in (("\n", "n"), ("\r", "r"), ("\t", "t"))},
    # Line separators, and marks that turn the direction of what follows.
    **{code: f"\\u{code:04x}" for code in (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F))},
    **{code: f"\\u{code:04x}" for code in range(0x2066, 0x206A)},
}


class _Rules(NamedTuple):
    hints: re.Pattern[str]
    hidden: tuple[tuple[re.Pattern[str], str], ...]


@cache
def _rules() -> _Rules:
    """Compile the patterns at first use: most commands log nothing."""
    quoted = rf"\g<head>\g<quote>{HIDDEN}\g<quote>"
    return _Rules(
        re.compile(_HINTS),
        (
            (re.compile(_KEY_VALUE), quoted),
            (re.compile(_VALUE_KEY), rf"{quoted}\g<tail>"),
            (re.compile(_HEADER), rf"\g<head>{HIDDEN}"),
            (re.compile(_PAIR), rf"\g<head>\g<quote>{HIDDEN}\g<quote>"),
            (re.compile(_USERINFO), rf"\g<head>:{HIDDEN}@"),
            (re.compile(_SCHEME), rf"\g<head> {HIDDEN}"),
        ),
    )


def redact(text: str) -> str:
    """Hide the values of passwords, keys, tokens and cookies in a text."""
    rules = _rules()
    if not rules.hints.search(text):
        return text
    for pattern, instead in rules.hidden:
        text = pattern.sub(instead, text)
    return text


def one_line(text: str) -> str:
    """Escape control characters, line ends among them."""
    return text.translate(_ESCAPES)
