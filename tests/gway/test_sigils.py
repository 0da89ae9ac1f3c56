from __future__ import annotations

import pytest

from gway.errors import UsageError
from gway.results import Results
from gway.sigils import Context, resolve, resolve_all, sigils_in


@pytest.fixture
def context():
    results = Results()
    results.put("shop.awg", "find_awg", {"size": "8", "runs": [{"m": 3}]})
    return Context(results, {"port": "9999", "ws-port": "1"}, {"HOME": "/srv/ada", "host": "env"})


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("[port]", "9999"),
        ("http://[host]:[port]/", "http://env:9999/"),
        ("[none|8888]", "8888"),
        ("[none|]", ""),
        ("[port|1]", "9999"),
        ("[awg.size]", "8"),
        ("[shop.awg.find_awg.size]", "8"),
        ("[awg.runs]", [{"m": 3}]),
        ("[HOME]/x", "/srv/ada/x"),
        ("[[port]]", "[port]"),
        ('{"type": ["a"], "n": [1, 2], "b": [true], "m": [[1]]}',) * 2,
        ("plain", "plain"),
        (7, 7),
    ],
)
def test_sigils_become_values(context, word, value):
    assert resolve(word, context) == value


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--port", "[port|]", "a"], ["--port", "9999", "a"]),
        (["--allow", "[allow|]", "a"], ["a"]),
        (["--allow=[allow|]", "a"], ["a"]),
        (["--port=[port|]"], ["--port=9999"]),
        (["a", "[allow|]", "b"], ["a", "b"]),
        (["--loud", "a", "[allow|]"], ["--loud", "a"]),
        (["--a", "[x|]", "[y|]"], []),
        (["--a", "x[none|]"], ["--a", "x"]),
        (["--a", ""], ["--a", ""]),
        (["--a=[[port|]]"], ["--a=[port|]"]),
    ],
)
def test_an_option_whose_value_is_absent_vanishes(context, words, left):
    assert resolve_all(words, lambda word: resolve(word, context)) == left


def test_results_come_before_values_and_those_before_the_environment():
    results = Results()
    results.put("p", "get_a", "result")
    context = Context(results, {"a": "value", "b": "value"}, {"a": "env", "b": "env", "c": "env"})
    assert [resolve(f"[{name}]", context) for name in "abc"] == ["result", "value", "env"]


def test_the_environment_is_asked_by_exact_name_so_that_host_is_not_hostname(context):
    assert resolve("[home|/]", context) == "/"


def test_a_sigil_without_value_is_an_error_with_a_hint(context):
    with pytest.raises(UsageError, match=r"nothing is known for \[prot\]") as caught:
        resolve("[prot]", context)
    assert caught.value.hint == "did you mean 'port'?"


def test_what_a_sigil_stands_for_is_not_looked_at_again(context):
    context.values["evil"] = "[HOME]"
    assert resolve("[evil] x", context) == "[HOME] x"
    assert resolve("[evil]", context) == "[HOME]"


def test_private_members_are_not_reached(context):
    with pytest.raises(UsageError):
        resolve("[port.__class__]", context)


def test_sigils_are_listed_with_their_defaults():
    assert sigils_in("[a] [b|2] [[c]] [true]") == [("a", None), ("b", "2")]
