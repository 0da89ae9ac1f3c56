from __future__ import annotations

import pytest

from gway import access, live
from gway.errors import GwayError
from gway.marks import Access, access_of, web_name


def named(name, mark=None):
    def fn(): ...

    fn.__name__ = name
    return mark(fn) if mark else fn


@pytest.mark.parametrize(
    ("name", "role", "method"),
    [
        ("view_chargers", "viewer", "GET"),
        ("view_get_chargers", "viewer", "GET"),
        ("view_post_charger", "operator", "POST"),
        ("api_put_tag", "operator", "PUT"),
        ("api_delete_tag", "operator", "DELETE"),
        ("api_post", "viewer", "GET"),
        ("render_row", "viewer", "GET"),
    ],
)
def test_the_name_says_who_may_call_and_how(name, role, method):
    assert access_of(named(name)) == Access(role, method)


def test_the_decorator_has_the_last_word():
    assert access_of(named("api_send", access(role="operator", method="POST"))) == Access(
        "operator", "POST"
    )
    assert access_of(named("api_post_x", access(role="admin"))) == Access("admin", "POST")


def test_a_misspelt_role_or_method_is_an_error_at_once():
    with pytest.raises(ValueError, match="boss"):
        access(role="boss")
    with pytest.raises(ValueError, match="PATSCH"):
        access(method="PATSCH")


def test_a_web_name_has_kind_and_address():
    assert web_name("api_put_tag") == ("api", "tag")
    assert web_name("view_active_chargers") == ("view", "active_chargers")
    assert web_name("api_post") == ("api", "post")
    assert web_name("simulate") is None
    assert web_name("view_") is None


def test_a_live_verb_runs_here_when_this_process_serves(gw):
    @live
    def reset(charger_id):
        """Restart."""
        return charger_id

    gw.serving = True
    assert reset("CP1") == "CP1"
    assert reset.__doc__ == "Restart."


def test_a_live_verb_without_a_server_says_how_to_start_one(gw):
    @live
    def reset(charger_id): ...

    with pytest.raises(GwayError, match="'reset' needs a running server") as caught:
        reset("CP1")
    assert caught.value.exit_code == 1
    assert "gway run" in (caught.value.hint or "")
