from __future__ import annotations

import pytest

from gway import Setting
from gway.errors import UnknownName, UsageError
from gway.resolver import Gateway
from gway.settings import Settings, read_env_file

LIMIT = Setting("SHOP_LIMIT_S", 3.0, float, "how long")


@pytest.fixture
def settings_of(tmp_path):
    def make(env=None, file=""):
        (tmp_path / ".env").write_text(file)
        settings = Settings(env or {}, tmp_path)
        settings.declare(LIMIT)
        return settings

    return make


def test_a_flag_comes_before_the_environment_the_file_and_the_default(settings_of):
    settings = settings_of()
    assert (settings.get("SHOP_LIMIT_S"), settings.source("SHOP_LIMIT_S")) == (3.0, "default")
    settings = settings_of(file="GWAY_SHOP_LIMIT_S=4")
    assert (settings.get("SHOP_LIMIT_S"), settings.source("SHOP_LIMIT_S")) == (4.0, ".env")
    settings = settings_of({"GWAY_SHOP_LIMIT_S": "5"}, "GWAY_SHOP_LIMIT_S=4")
    assert (settings.get("SHOP_LIMIT_S"), settings.source("SHOP_LIMIT_S")) == (5.0, "environment")
    settings.override("SHOP_LIMIT_S", "6")
    assert (settings.get("SHOP_LIMIT_S"), settings.source("SHOP_LIMIT_S")) == (6.0, "flag")


def test_a_name_may_carry_the_prefix_of_its_variable(settings_of):
    assert settings_of().get("GWAY_SHOP_LIMIT_S") == 3.0


def test_a_setting_itself_may_be_asked_for(tmp_path):
    settings = Settings({"GWAY_NEW": "7"}, tmp_path)
    assert settings.get(Setting("NEW", 1, int)) == 7


def test_an_unknown_setting_names_the_closest(settings_of):
    with pytest.raises(UnknownName) as caught:
        settings_of().get("SHOP_LIMIT")
    assert caught.value.hint == "did you mean 'SHOP_LIMIT_S'?"


def test_a_value_that_does_not_fit_names_variable_and_source(settings_of):
    with pytest.raises(UsageError, match=r"GWAY_SHOP_LIMIT_S \(environment\): 'soon'"):
        settings_of({"GWAY_SHOP_LIMIT_S": "soon"}).get("SHOP_LIMIT_S")


def test_a_secret_that_does_not_fit_is_not_repeated(tmp_path):
    settings = Settings({"GWAY_PIN": "hunter2"}, tmp_path)
    with pytest.raises(UsageError) as caught:
        settings.get(Setting("PIN", None, int, secret=True))
    assert "hunter2" not in caught.value.message + (caught.value.hint or "")


def test_an_env_file_reads_like_a_shell_would(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# a comment\n\nexport GWAY_A=1 # one\nGWAY_B='two # words'\nGWAY_C=\"x=y\"\n")
    assert read_env_file(str(path)) == {"GWAY_A": "1", "GWAY_B": "two # words", "GWAY_C": "x=y"}
    assert read_env_file(str(tmp_path / "none")) == {}


def test_a_bad_line_of_an_env_file_is_named(tmp_path):
    path = tmp_path / ".env"
    path.write_text("GWAY_A=1\nnonsense\n")
    with pytest.raises(UsageError, match=r"\.env:2: not a KEY=value line"):
        read_env_file(str(path))


def test_a_projects_settings_are_known_once_it_is_loaded(gw, write):
    write(
        "projects/shop.py",
        "from gway import Setting\nSETTINGS = (Setting('SHOP_SIZE', 9, int),)\ndef go(): pass",
    )
    gw.load("shop")
    assert gw.settings.get("SHOP_SIZE") == 9


def test_the_workspaces_env_file_counts(workspace):
    (workspace / ".env").write_text("GWAY_LOG_KEEP=2\n")
    assert Gateway(workspace, env={}).settings.get("LOG_KEEP") == 2
