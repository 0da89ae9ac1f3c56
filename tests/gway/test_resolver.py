from __future__ import annotations

import sys
import threading

import pytest

import gway
from gway import resolver
from gway.errors import GwayError, UnknownName
from gway.resolver import Gateway


def test_gw_stands_for_the_gateway_in_use(gw, hello):
    assert gway.gw.hello.greet("Ada") == "Hello Ada!"
    gway.gw.serving = True
    assert gw.serving


def test_only_functions_of_the_module_itself_are_verbs(gw, write):
    write(
        "projects/tool.py",
        """
        from os.path import join
        from gway import hookimpl

        LIMIT = 3

        def _hidden(): pass

        @hookimpl
        def gway_health(): return []

        def visible(): pass
        """,
    )
    assert list(gw.load("tool")._functions()) == ["visible"]


def test_a_list_of_names_may_offer_functions_of_parts(gw, write):
    write(
        "projects/tool/tool.py",
        "from gway.projects.tool.parts import a, b\n__all__ = ['a']\ndef c(): pass",
    )
    write("projects/tool/parts.py", "def a(): return 1\ndef b(): return 2")
    assert gw.tool.a() == 1
    with pytest.raises(UnknownName):
        gw.tool.c  # noqa: B018


def test_touching_a_project_does_not_import_it_or_its_siblings(gw, write):
    write("projects/energy/meter.py", "def read(): return 1")
    write("projects/energy/heavy.py", "raise RuntimeError('loaded')")
    assert "namespace energy" in repr(gw.energy)
    assert gw.energy.meter.read() == 1
    assert "gway.projects.energy.heavy" not in sys.modules


def test_dashes_and_setup_reach_the_same_function(gw, write):
    write("projects/site.py", "def setup_app(): return 1\ndef view_big_table(): return 2")
    assert getattr(gw.site, "view-big-table")() == 2
    assert gw.site.setup() == gw.site.setup_app() == 1


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("ocp", "no project 'ocp'", "'ocpp'"),
        ("ocpp.fact", "no project 'fact' in ocpp", "'facts'"),
        ("nothing.at.all", "no project 'nothing'", "gway projects"),
    ],
)
def test_an_unknown_project_names_the_closest(gw, name, message, hint):
    with pytest.raises(UnknownName, match=message) as caught:
        gw.load(name)
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_an_unknown_verb_names_the_closest_and_is_an_attribute_error(gw, hello):
    with pytest.raises(UnknownName, match="no verb 'gret' in hello") as caught:
        gw.hello.gret("x")
    assert caught.value.hint == "did you mean 'greet'?"
    assert not hasattr(gw.hello, "gret")


def test_a_service_is_made_once_and_closed_latest_first(gw):
    closed = []

    class First:
        def __init__(self, gateway):
            self.gateway = gateway

        def close(self):
            closed.append("first")

    class Second(First):
        def close(self):
            closed.append("second")

    assert gw.service(First) is gw.service(First)
    assert gw.service(First).gateway is gw
    assert not gw.has_service(Second)
    gw.service(Second)
    gw.close()
    gw.close()
    assert closed == ["second", "first"]


def test_threads_that_ask_at_once_get_one_service(gw):
    made = []
    gate = threading.Barrier(4)

    class Slow:
        def __init__(self, gateway):
            made.append(self)

    def ask():
        gate.wait(5)
        gw.service(Slow)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(made) == 1


def test_a_service_that_fails_to_close_is_logged_and_spares_the_others(gw, caplog):
    closed = []

    class Good:
        def __init__(self, gateway): ...

        def close(self):
            closed.append("good")

    class Bad(Good):
        def close(self):
            raise OSError("stuck")

    gw.service(Good)
    gw.service(Bad)
    gw.close()
    assert closed == ["good"]
    assert "closing Bad failed" in caplog.text


def test_a_closed_gateway_makes_no_services(gw):
    gw.close()
    with pytest.raises(GwayError, match="closed"):
        gw.service(list)


def test_the_clock_can_be_handed_in(workspace, clock):
    gateway = Gateway(workspace, now=clock)
    clock.advance(minutes=2)
    assert gateway.now() == clock.at
    assert Gateway(workspace).now().tzinfo is not None


def test_use_gives_the_gateway_before_back(workspace):
    outer, inner = Gateway(workspace), Gateway(workspace)
    with resolver.use(outer):
        with resolver.use(inner):
            assert resolver.current() is inner
        assert resolver.current() is outer


def test_siblings_are_the_users_projects_of_the_namespace(gw, write):
    write("projects/ocpp/tariff.py", "def price(): pass")
    write("projects/hello.py", "def greet(): pass")
    assert [repr(node) for node in gw.load_siblings("ocpp.facts")] == ["<gway project ocpp.tariff>"]
    assert gw.load_siblings("hello") == []


def test_a_users_project_hears_the_hooks_of_the_namespace_it_joins(gw, write):
    write(
        "projects/ocpp/tariff.py",
        """
        from gway import gw, hookimpl

        @hookimpl
        def ocpp_charger_seen(charger_id):
            gw.results.put("tariff", "seen", charger_id)
        """,
    )
    gw.load_siblings("ocpp")
    assert gw.plugins.emit("ocpp_charger_seen", charger_id="CP1", charger_time=None, at=None) == 0
    assert gw.results["seen"] == "CP1"


def test_a_misspelt_hook_is_an_error_at_load_with_the_closest_name(gw, write):
    write(
        "projects/ocpp/tariff.py",
        "from gway import hookimpl\n@hookimpl\ndef ocpp_charger_sen(charger_id): pass",
    )
    with pytest.raises(
        GwayError, match=r"ocpp\.tariff: there is no hook 'ocpp_charger_sen'"
    ) as caught:
        gw.load("ocpp.tariff")
    assert caught.value.hint is not None
    assert "ocpp_charger_seen" in caught.value.hint


def test_loading_tells_those_who_want_to_know(gw, write):
    heard = []

    class Listener:
        @gway.hookimpl
        def gway_project_loaded(self, name):
            heard.append(name)

    gw.plugins.register(Listener())
    write("projects/hello.py", "def greet(): pass")
    gw.load("hello")
    gw.load("hello")
    assert heard == ["hello"]
