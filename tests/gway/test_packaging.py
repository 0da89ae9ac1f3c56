"""The wheel, built from a copy of this checkout and used somewhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.flag("wheel")

SKIPPED = shutil.ignore_patterns(
    "__pycache__", ".git", ".venv", "venv", "build", "dist", "*.egg-info", "work", "node_modules"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, request):
    """Build the wheel as a release does."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(request.config.rootpath, source, ignore=SKIPPED)
    # What an interpreter leaves behind in a used checkout must not be shipped.
    cache = source / "projects" / "__pycache__"
    cache.mkdir()
    (cache / "cdv.cpython-311.pyc").write_bytes(b"old")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    (found,) = folder.glob("gway-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install it into a fresh environment, which borrows our packages but not this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, timeout=120)
    (site,) = (folder / "lib").glob("python3*/site-packages")
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    return folder / "bin" / "gway"


@pytest.fixture
def elsewhere(installed, tmp_path):
    """Run the installed `gway` in a folder that knows nothing of this checkout."""

    def call(*words):
        env = {key: value for key, value in os.environ.items() if not key.startswith("GWAY_")}
        env.pop("PYTHONPATH", None)
        return subprocess.run(
            [installed, *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return call


@pytest.mark.parametrize("kind", ["projects", "recipes"])
def test_the_wheel_has_every_file_of_projects_and_recipes(wheel, request, kind):
    root = request.config.rootpath / kind
    wanted = {
        f"gway/{kind}/{path.relative_to(root).as_posix()}"
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wanted
    assert wanted <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_wheel_has_the_frameworks_views_and_static_files(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "gway/py.typed" in names
    assert any(name.startswith("gway/web/views/") for name in names)
    assert any(name.startswith("gway/web/static/vendor/") for name in names)


def test_an_installed_gway_runs_from_anywhere(elsewhere):
    done = elsewhere("ocpp", "--help")
    assert (done.returncode, "ocpp.csms" in done.stdout) == (0, True), done.stderr
    rows = elsewhere("projects", "--csv").stdout
    assert Path(__file__).parents[2].as_posix() not in rows
    assert "site-packages/gway/projects/cdv.py" in rows


def test_an_installed_gway_finds_its_recipes(elsewhere):
    done = elsewhere("run", "etron/local", "--check")
    assert done.returncode == 0, done.stderr
    assert "can run" in done.stdout


def test_an_installed_gway_takes_a_users_project(elsewhere, tmp_path):
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "hello.py").write_text("def greet(name): return f'Hello {name}!'")
    assert elsewhere("hello", "greet", "--name", "Ada").stdout == "Hello Ada!\n"
