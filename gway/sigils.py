"""`[NAME]`, `[NAME.key]` and `[NAME|default]` in the words of a command line or recipe.

They resolve once, from results, then the recipe's values, then the environment. What
they stand for is not looked at again, so data never becomes a sigil.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gway.conversion import UNKNOWN
from gway.errors import UsageError, did_you_mean
from gway.results import MISSING, Results

_NAME = r"[A-Za-z_][\w.-]*"
SIGIL = re.compile(
    rf"\[(?P<kept>\[{_NAME}(?:\|[^\[\]]*)?\])\]|\[(?P<name>{_NAME})(?:\|(?P<default>[^\[\]]*))?\]"
)
_OPTION = re.compile(r"--[A-Za-z][\w-]*")
LITERALS = frozenset({"true", "false", "null"})


class Context:
    """Where sigils find their values."""

    def __init__(self, results: Results, values: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self.results = results
        self.values = values
        self.env = env

    def find(self, name: str) -> Any:
        """Give the value of a name, or `MISSING`."""
        folded = name.replace("-", "_")
        for place in (self.results, self.values, self.env):
            for spelling in (name, folded):
                if spelling in place:
                    return place[spelling]
        head, _, key = name.rpartition(".")
        owner = self.find(head) if head else MISSING
        return MISSING if owner is MISSING else _member(owner, key)

    def names(self) -> list[str]:
        """List what could have been meant."""
        return [*self.results.names(), *self.values]


def resolve(word: Any, context: Context) -> Any:
    """Replace the sigils of one word; a word that is one sigil becomes the object itself.

    `[[NAME]]` stands for the text `[NAME]`.
    """
    if not isinstance(word, str) or "[" not in word:
        return word
    whole = SIGIL.fullmatch(word)
    if whole is not None and _is_sigil(whole):
        return _value(whole, context)

    def put(match: re.Match[str]) -> str:
        if _is_sigil(match):
            return str(_value(match, context))
        kept: str | None = match["kept"]
        return match[0] if kept is None or kept[1:-1] in LITERALS else kept

    return SIGIL.sub(put, word)


def resolve_all(words: Sequence[Any], put: Callable[[Any], Any]) -> list[Any]:
    """Replace the sigils of a command's words; `[NAME|]` that stands for nothing vanishes.

    So does the option before it: `--allow [allow|]` and `--allow=[allow|]` are there only
    when there is something to allow.

    :param put: replaces the sigils of one word, such as `resolve`
    """
    done: list[Any] = []
    option = False
    for word in words:
        head, given = _optional(word)
        value = put(given) if given else put(word)
        if given and (value is None or value == ""):
            if not head and option:
                done.pop()
            option = False
            continue
        if given and head and value is UNKNOWN:
            done.append(head[:-1])
        done.append(f"{head}{value}" if given and head and value is not UNKNOWN else value)
        option = not given and isinstance(word, str) and _OPTION.fullmatch(word) is not None
    return done


def _optional(word: Any) -> tuple[str, str]:
    """Split `--allow=[allow|]` into what is before the sigil and the sigil; "" if it is none."""
    if not isinstance(word, str) or not word.endswith("|]"):
        return "", ""
    head, equals, rest = word.partition("=")
    if not (equals and _OPTION.fullmatch(head)):
        head, equals, rest = "", "", word
    whole = SIGIL.fullmatch(rest)
    if whole is None or not _is_sigil(whole):
        return "", ""
    return head + equals, rest


def sigils_in(word: str) -> list[tuple[str, str | None]]:
    """List the sigils of a word: name, and default if it has one."""
    return [(match["name"], match["default"]) for match in SIGIL.finditer(word) if _is_sigil(match)]


def _is_sigil(match: re.Match[str]) -> bool:
    return match["name"] is not None and match["name"] not in LITERALS


def _value(match: re.Match[str], context: Context) -> Any:
    name, default = match["name"], match["default"]
    value = context.find(name)
    if value is not MISSING:
        return value
    if default is not None:
        return default
    hint = did_you_mean(name, context.names()) or f"give it a default: [{name}|...]"
    raise UsageError(f"nothing is known for {match[0]}", hint)


def _member(owner: Any, key: str) -> Any:
    if isinstance(owner, Mapping):
        return owner.get(key, MISSING)
    if isinstance(owner, (list, tuple)) and key.isdigit():
        return owner[int(key)] if int(key) < len(owner) else MISSING
    return MISSING if key.startswith("_") else getattr(owner, key, MISSING)
