from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from gway import resolver
from gway.loader import find_roots, mount
from gway.resolver import Gateway


def test_a_file_in_the_workspace_is_a_project(gw, write):
    write("projects/hello.py", "def greet(): return 'hi'")
    assert gw.hello.greet() == "hi"


def test_a_project_is_importable_and_is_one_module_whoever_asks(gw, write):
    write("projects/hello.py", "def greet(): return 'hi'")
    module = import_module("gway.projects.hello")
    assert gw.hello.greet is module.greet
    assert gw.load("hello")._module is module


def test_folders_of_one_name_merge_and_the_first_file_wins(tmp_path, workspace, write, monkeypatch):
    other = tmp_path / "other"
    (other / "energy").mkdir(parents=True)
    (other / "energy" / "meter.py").write_text("def read(): return 'other'")
    (other / "energy" / "price.py").write_text("def read(): return 'price'")
    write("projects/energy/meter.py", "def read(): return 'mine'")
    monkeypatch.setenv("GWAY_PATH", str(other))
    with resolver.use(Gateway(workspace)) as gw:
        assert gw.energy.meter.read() == "mine"
        assert gw.energy.price.read() == "price"


def test_a_folder_wins_over_a_file_of_a_later_root(tmp_path, workspace, write, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "energy.py").write_text("def read(): return 'file'")
    write("projects/energy/meter.py", "def read(): return 'folder'")
    monkeypatch.setenv("GWAY_PATH", str(other))
    with resolver.use(Gateway(workspace)) as gw:
        assert gw.energy.meter.read() == "folder"
        with pytest.raises(AttributeError):
            gw.energy.read  # noqa: B018


def test_a_folder_with_a_face_is_one_project_and_its_other_files_are_parts(gw, write):
    write(
        "projects/engine/engine.py", "from gway.projects.engine.parts import N\ndef run(): return N"
    )
    write("projects/engine/parts.py", "N = 7\ndef hidden(): pass")
    assert gw.engine.run() == 7
    assert mount().locate("engine.parts") is None
    assert [place.name for place in mount().projects() if place.name.startswith("engine")] == [
        "engine"
    ]


@pytest.mark.parametrize("name", ["hookspecs", "_secret", "views", "static"])
def test_some_names_are_never_projects(gw, write, name):
    write(f"projects/energy/{name}.py", "def f(): pass")
    write("projects/energy/meter.py", "def f(): pass")
    assert [place.name for place in mount().children(mount().locate("energy"))] == ["energy.meter"]


def test_a_folder_without_projects_is_no_namespace(gw, write):
    write("projects/assets/logo.txt", "x")
    assert mount().locate("assets") is None


def test_bundled_and_user_projects_share_a_namespace(gw, write):
    write("projects/ocpp/tariff.py", "def price(): return 30")
    assert gw.ocpp.tariff.price() == 30
    assert gw.load("ocpp.facts")._module is import_module("gway.projects.ocpp.facts")


def test_another_workspace_does_not_see_modules_of_the_first(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "projects").mkdir(parents=True)
        (tmp_path / name / "projects" / "where.py").write_text(f"def am_i(): return {name!r}")
    kept = import_module("gway.projects.ocpp.facts")
    for name in ("one", "two"):
        with resolver.use(Gateway(tmp_path / name, env={})) as gw:
            assert gw.where.am_i() == name
    assert "gway.projects.where" not in sys.modules
    assert sys.modules["gway.projects.ocpp.facts"] is kept


def test_an_installed_package_may_bring_projects(tmp_path, workspace, monkeypatch):
    site = tmp_path / "site"
    (site / "acme" / "projects").mkdir(parents=True)
    (site / "acme" / "__init__.py").write_text("")
    (site / "acme" / "projects" / "acme_meter.py").write_text("def read(): return 5")
    info = site / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gway.projects]\nacme = acme.projects\n")
    monkeypatch.syspath_prepend(str(site))
    with resolver.use(Gateway(workspace)) as gw:
        assert gw.acme_meter.read() == 5


def test_roots_come_workspace_first_and_bundled_last(tmp_path):
    own = tmp_path / "projects"
    extra = tmp_path / "extra"
    own.mkdir()
    extra.mkdir()
    roots = find_roots(str(tmp_path), {"GWAY_PATH": f"{extra}:{tmp_path / 'missing'}"})
    assert roots[:2] == (str(own), str(extra))
    assert (Path(roots[-1]) / "ocpp" / "hookspecs.py").is_file()


@pytest.mark.parametrize(
    ("words", "place", "verb", "used"),
    [
        (["ocpp.energy", "read"], "ocpp.energy", "read", 2),
        (["ocpp.energy.read", "x"], "ocpp.energy", "read", 1),
        (["ocpp", "energy", "read", "--x"], "ocpp.energy", "read", 3),
        (["ocpp", "--help"], "ocpp", "", 1),
    ],
)
def test_words_are_followed_in_all_spellings(gw, write, words, place, verb, used):
    write("projects/ocpp/energy.py", "def read(): pass")
    way = mount().follow(words)
    assert way.place is not None
    assert (way.place.name, way.verb, way.used, way.unknown) == (place, verb, used, "")


def test_words_that_lead_nowhere_are_named(gw):
    way = mount().follow(["ocpp", "nothing", "here"])
    assert way.place is not None
    assert (way.place.name, way.unknown) == ("ocpp", "nothing")
