from __future__ import annotations

import pytest

from gway.loader import mount
from gway.scan import scan


@pytest.fixture
def source(gw, write):
    def call(text):
        write("projects/thing.py", text)
        place = mount().locate("thing")
        assert place is not None
        return scan(place)

    return call


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ('"""One thing.\n\nMore."""', "One thing"),
        ('# note\n\n"""One\nthing."""\n', "One thing"),
        ("'''One thing'''", "One thing"),
        ('X = """not it"""', ""),
        ("", ""),
    ],
)
def test_the_summary_is_the_docstrings_first_sentence(source, text, summary):
    assert source(text).summary == summary


def test_functions_are_those_that_an_import_would_show(source, gw):
    found = source(
        """
        from gway import access, hookimpl

        @hookimpl
        def gway_health(): return []

        @access(role="admin")
        def api_stock(): ...

        async def later(): ...

        def _hidden(): ...

        class Shelf:
            def inner(self): ...
        """
    )
    assert found.functions == ["api_stock", "later"] == list(gw.load("thing")._functions())


def test_a_project_that_only_takes_websockets_is_not_listed(source):
    assert not source("def ws_connect(upgrade): ...").has_verbs
    assert source("from y import x\n__all__ = ['x']").has_verbs
    assert source("__all__ = ['x']").has_verbs


def test_what_serves_is_read_without_running_anything(source):
    assert source("__serves__ = ('a', 'b')\nraise RuntimeError").serves == ("a", "b")
    assert source("__serves__ = 'a'").serves == ("a",)
    assert source("print('__serves__')").serves == ()


def test_a_file_that_is_no_python_does_not_break_the_help(cli, workspace, hello):
    (workspace / "projects" / "odd.py").write_bytes(b"\xff\xfe\x00def x(): ...")
    done = cli("--help")
    assert (done.code, "hello" in done.stdout) == (0, True)


def test_a_syntax_error_is_named_with_its_file_when_the_project_is_used(cli, write, hello):
    write("projects/bad.py", "__serves__ = ('go',)\ndef go(:\n")
    assert cli("hello", "greet").code == 0
    done = cli("bad", "go")
    assert done.code == 1
    assert "bad.py, line 2" in done.stderr
