"""What must not be read in logs, and how a record stays on one line."""

from __future__ import annotations

import re

HIDDEN = "***"

_NAMES = (
    r"authorization(?!key)|proxy-authorization|set-cookie|cookie|password|passwd|secret|token"
    r"|access_token|api[_-]?key|authorizationkey"
)
# name: value, name=value, "name": "value", also with the quotes escaped once more.
_PAIR = re.compile(
    rf"""(?ix)
    (?P<head> (?<![\w-]) (?!id_?token) [\w-]{{0,40}}? (?:{_NAMES}) \\?["']? \s* [:=] \s* )
    (?: (?P<quote>\\?["']) (?P<quoted>.*?) (?P=quote)
      | (?P<bare> (?:(?:basic|bearer|digest)\s+)? [^\s,;&"'}}\]\\]+ ) )
    """
)
# OCPP 1.6 ChangeConfiguration and GetConfiguration: {"key": "AuthorizationKey", "value": "..."}
_KEY_VALUE = re.compile(
    r"""(?ix)
    (?P<head> \\?["']AuthorizationKey\\?["'] [^{}]{0,400}? \\?["']value\\?["'] \s* : \s* )
    (?P<quote>\\?["']) .*? (?P=quote)
    """
)
_VALUE_KEY = re.compile(
    r"""(?ix)
    (?P<head> \\?["']value\\?["'] \s* : \s* ) (?P<quote>\\?["']) [^"'{}]*? (?P=quote)
    (?P<tail> [^{}]{0,400}? \\?["']AuthorizationKey\\?["'] )
    """
)
# A header as it is on the wire: everything to the end of the line is its value.
_HEADER = re.compile(r"(?i)(?P<head>\b(?:authorization|(?:set-)?cookie):[ \t]*)[^\s][^\r\n]*")
_USERINFO = re.compile(r"(?i)(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@")
_SCHEME = re.compile(r"(?i)\b(?P<head>basic|bearer)\s+[A-Za-z0-9._~+/=-]{6,}")
_HINTS = re.compile(r"(?i)auth|cookie|passw|secret|token|api.?key|://|basic|bearer")

_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{ord(char): f"\\{name}" for char, name in (("\n", "n"), ("\r", "r"), ("\t", "t"))},
    # Line separators, and marks that turn the direction of what follows.
    **{code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F))},
    **{code: f"\\u{code:04x}" for code in range(0x2066, 0x206A)},
}


def redact(text: str) -> str:
    """Hide the values of passwords, keys, tokens and cookies in a text."""
    if not _HINTS.search(text):
        return text
    text = _KEY_VALUE.sub(rf"\g<head>\g<quote>{HIDDEN}\g<quote>", text)
    text = _VALUE_KEY.sub(rf"\g<head>\g<quote>{HIDDEN}\g<quote>\g<tail>", text)
    text = _HEADER.sub(rf"\g<head>{HIDDEN}", text)
    text = _PAIR.sub(_hide, text)
    text = _USERINFO.sub(rf"\g<head>:{HIDDEN}@", text)
    return _SCHEME.sub(rf"\g<head> {HIDDEN}", text)


def one_line(text: str) -> str:
    """Escape control characters, line ends among them."""
    return text.translate(_ESCAPES)


def _hide(match: re.Match[str]) -> str:
    quote = match["quote"] or ""
    return f"{match['head']}{quote}{HIDDEN}{quote}"
