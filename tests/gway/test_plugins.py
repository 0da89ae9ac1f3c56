from __future__ import annotations

import types

import pytest

from gway import hookimpl
from gway.errors import DecisionFailed, GwayError
from gway.plugins import PluginHost, hookspec


class Specs:
    @hookspec
    def shop_sold(what, price):
        """Something was sold."""

    @hookspec(firstresult=True)
    def shop_price(what):
        """Decide a price."""


@pytest.fixture
def host():
    host = PluginHost()
    host.add_hookspecs(module_of("shop", Specs))
    return host


def module_of(name, holder):
    module = types.ModuleType(name)
    for key, value in vars(holder).items():
        if not key.startswith("__"):
            setattr(module, key, value)
    return module


class Seller:
    def __init__(self):
        self.sold = []

    @hookimpl
    def shop_sold(self, what):
        self.sold.append(what)


class Broken:
    @hookimpl
    def shop_sold(self, what):
        raise ZeroDivisionError("till")

    @hookimpl
    def shop_price(self, what):
        raise KeyError(what)


def test_a_fact_reaches_all_and_a_failing_subscriber_harms_none(host, caplog):
    seller, other = Seller(), Seller()
    host.register(seller)
    host.register(Broken(), "broken")
    host.register(other)
    assert host.emit("shop_sold", what="tea", price=3) == 1
    assert seller.sold == other.sold == ["tea"]
    assert host.failures["shop_sold"] == 1
    assert "broken failed in shop_sold" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("call", ["emit", "collect"])
def test_a_call_that_leaves_something_out_is_an_error_before_anybody_hears_it(host, call):
    seller = Seller()
    host.register(seller)
    with pytest.raises(GwayError, match="'shop_sold' was called without 'price'"):
        getattr(host, call)("shop_sold", what="tea")
    assert seller.sold == []
    assert host.failures["shop_sold"] == 0


def test_a_subscriber_that_always_fails_does_not_fill_the_log(host, caplog):
    host.register(Broken(), "broken")
    for _ in range(1000):
        host.emit("shop_sold", what="tea", price=3)
    assert host.failures["shop_sold"] == 1000
    assert len(caplog.records) == 11


def test_the_first_answer_decides_and_none_passes_on(host):
    class Passes:
        @hookimpl
        def shop_price(self, what):
            return None

    class Answers:
        @hookimpl
        def shop_price(self, what):
            return 4

    host.register(Answers())
    host.register(Passes())
    assert host.decide("shop_price", what="tea") == 4


def test_nobody_decides_none(host):
    assert host.decide("shop_price", what="tea") is None


def test_a_decision_fails_closed(host, caplog):
    host.register(Broken(), "broken")
    with pytest.raises(DecisionFailed, match="shop_price"):
        host.decide("shop_price", what="tea")
    assert host.failures["shop_price"] == 1
    assert "test_plugins failed in shop_price" in caplog.text


def test_has_follows_registrations(host):
    seller = Seller()
    assert not host.has("shop_sold")
    host.register(seller)
    assert host.has("shop_sold")
    host.unregister(seller)
    assert not host.has("shop_sold")
    assert host.emit("shop_sold", what="tea", price=3) == 0
    assert seller.sold == []


def test_registering_twice_subscribes_once(host):
    seller = Seller()
    host.register(seller)
    host.register(seller)
    host.emit("shop_sold", what="tea", price=3)
    assert seller.sold == ["tea"]


def test_an_undeclared_hook_cannot_be_called(host):
    with pytest.raises(GwayError, match="no hook 'shop_solt'") as caught:
        host.emit("shop_solt", what="tea")
    assert caught.value.hint == "did you mean 'shop_sold'?"


def test_an_undeclared_subscription_is_found(host):
    class Typo:
        @hookimpl
        def shop_soldd(self, what): ...

    host.register(Typo(), "typo")
    with pytest.raises(GwayError, match="typo: there is no hook 'shop_soldd'"):
        host.check()


def test_a_subscriber_with_unknown_arguments_is_refused(host):
    class Wrong:
        @hookimpl
        def shop_sold(self, colour): ...

    with pytest.raises(GwayError, match="colour"):
        host.register(Wrong())


def test_a_fact_takes_no_wrapper(host):
    class Wrapper:
        @hookimpl(wrapper=True)
        def shop_sold(self, what):
            return (yield)

    with pytest.raises(GwayError, match="takes no wrapper"):
        host.register(Wrapper())
    assert not host.has("shop_sold")


def test_collect_gives_the_answers_of_those_that_do_not_fail(host, caplog):
    class Well:
        @hookimpl
        def gway_health(self):
            return ["well"]

    class Ill:
        @hookimpl
        def gway_health(self):
            raise OSError("ill")

    host.register(Well())
    host.register(Ill(), "ill")
    assert host.collect("gway_health") == [["well"]]
    assert "ill failed in gway_health" in caplog.text


def test_calls_can_be_traced():
    lines = []
    host = PluginHost(trace=lines.append)
    host.add_hookspecs(module_of("shop", Specs))
    host.register(Seller())
    host.emit("shop_sold", what="tea\n", price=3)
    host.decide("shop_price", what="tea")
    assert lines == [
        "hook shop_sold(what='tea\\n', price=3) -> 1 told, 0 failed",
        "hook shop_price(what='tea') -> None",
    ]


def test_tracing_is_a_setting(run, write):
    write(
        "projects/hello.py",
        "from gway import gw\ndef go(): gw.plugins.emit('gway_project_loaded', name='x')",
    )
    done = run("hello", "go", env={"GWAY_TRACE": "hooks"})
    assert "hook gway_project_loaded(name='x') -> 0 told, 0 failed" in done.stderr
    assert run("hello", "go").stderr == ""
