from __future__ import annotations

import json
import os

import pytest

from gway.errors import GwayError, UsageError
from gway.resolver import Gateway
from gway.site import Claim, checked, choose

DEAD = 2**22 + 1


@pytest.fixture
def site(workspace):
    """Make the folder of a site as a server leaves it, or has it while it runs."""

    def make(name, pid=None):
        folder = workspace / "work" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.lock").touch()
        if pid is not None:
            record = {"url": "http://127.0.0.1:1", "pid": pid}
            (folder / "server.json").write_text(json.dumps(record))

    return make


def test_a_workspace_without_servers_has_one_unnamed_site(workspace):
    (workspace / "work" / "logs").mkdir(parents=True)
    assert choose(workspace) == ""
    assert Gateway(workspace).workspace.work("x", parents=False) == workspace / "work" / "x"


@pytest.mark.parametrize(
    ("sites", "chosen"),
    [
        ({"": None}, ""),
        ({"a": None}, "a"),
        ({"": None, "a": None}, ""),
        ({"": DEAD, "a": os.getpid()}, "a"),
        ({"": os.getpid(), "a": os.getpid()}, ""),
        ({"a": None, "b": os.getpid()}, "b"),
    ],
)
def test_a_command_is_for_the_site_that_runs_or_the_only_one(workspace, site, sites, chosen):
    for name, pid in sites.items():
        site(name, pid)
    assert choose(workspace) == chosen


def test_which_of_several_is_meant_must_be_said(workspace, site):
    site("a", os.getpid())
    site("b", os.getpid())
    with pytest.raises(UsageError, match="several sites run here: a, b"):
        Gateway(workspace).workspace.work("x")
    gateway = Gateway(workspace, env={"GWAY_SITE": "b"})
    assert gateway.workspace.work("x") == workspace / "work" / "b" / "x"


@pytest.mark.parametrize("name", ["..", "a/b", "/etc", "-a", "a b", "a" * 65])
def test_a_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(UsageError, match="no name for a site"):
        checked(name)


def test_a_site_is_held_by_one_server_until_it_lets_go(workspace):
    first, second = Gateway(workspace), Gateway(workspace)
    first.service(Claim).take()
    first.service(Claim).take()
    with pytest.raises(GwayError, match="a server that is starting or stopping keeps its files"):
        second.service(Claim).take()
    first.close()
    second.service(Claim).take()
    second.close()


def test_what_is_in_use_cannot_change_its_site(gw):
    gw.workspace.work("x")
    gw.workspace.settle("")
    with pytest.raises(UsageError, match="in use already"):
        gw.workspace.settle("other")
