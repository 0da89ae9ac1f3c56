from __future__ import annotations

import os

import pytest

from gway.errors import GwayError
from gway.workspace import Workspace, find_root


def test_the_nearest_parent_that_looks_like_a_workspace_is_one(tmp_path):
    (tmp_path / "recipes").mkdir()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_root(None, {}, str(inner)) == str(tmp_path)
    (tmp_path / "a" / "work").mkdir()
    assert find_root(None, {}, str(inner)) == str(tmp_path / "a")


def test_the_root_of_the_file_system_is_no_workspace(tmp_path, monkeypatch):
    monkeypatch.setattr("gway.workspace._is_mark", lambda path, trusted: path.startswith("/work"))
    assert find_root(None, {}, str(tmp_path)) == str(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_parent_that_somebody_else_owns_is_no_workspace(tmp_path, monkeypatch):
    (tmp_path / "projects").mkdir()
    inner = tmp_path / "a"
    inner.mkdir()
    os.chown(tmp_path / "projects", 12345, -1)
    assert find_root(None, {}, str(inner)) == str(inner)
    assert find_root(None, {}, str(tmp_path)) == str(tmp_path)


def test_the_variable_comes_before_the_search_and_the_flag_before_both(tmp_path):
    for name in ("flag", "variable", "here"):
        (tmp_path / name / "projects").mkdir(parents=True)
    env = {"GWAY_WORKSPACE": str(tmp_path / "variable")}
    here = str(tmp_path / "here")
    assert find_root(None, env, here) == str(tmp_path / "variable")
    assert find_root("../flag", env, here) == str(tmp_path / "flag")


def test_a_workspace_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(GwayError, match="is not a folder"):
        find_root(tmp_path / "none", {}, str(tmp_path))


def test_folders_are_made_on_first_write_for_us_alone(tmp_path):
    before = os.umask(0o022)
    try:
        path = Workspace(tmp_path).work("ocpp", "records", "CP1", "1_2.dat")
    finally:
        os.umask(before)
    assert path == tmp_path / "work" / "ocpp" / "records" / "CP1" / "1_2.dat"
    assert not path.exists()
    for folder in (path.parent, path.parent.parent, tmp_path / "work"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_asking_where_something_is_makes_nothing(tmp_path):
    Workspace(tmp_path).work("server.json", parents=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parts", [("..", "x"), ("/etc/passwd",), ("a", "..", "..", "b")])
def test_nothing_leaves_the_work_folder(tmp_path, parts):
    with pytest.raises(GwayError, match="is not inside"):
        Workspace(tmp_path).work(*parts)
