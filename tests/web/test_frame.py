"""The frame around pages: who is signed in, folders of projects, wrong addresses."""

from __future__ import annotations

from typing import Any

import pytest

from gway.web.auth import Visitor


@pytest.mark.parametrize("via", ["account", "loopback"])
def test_who_came_by_an_account_sees_its_name_and_signs_out(
    client: Any, site: Any, monkeypatch: pytest.MonkeyPatch, via: str
) -> None:
    visitor = Visitor("Ada <b>", "viewer", via)
    monkeypatch.setattr(site.gate, "_by_account", lambda request: visitor)
    text = client.get("/").text
    assert ("Ada &lt;b&gt;" in text) == (via == "account")
    assert ('<form method="post" action="/web/auth/logout">' in text) == (via == "account")
    assert "<b>" not in text


def test_a_folder_of_projects_lists_those_in_it(client: Any, site: Any, project: Any) -> None:
    for name in ("power.north", "power.south", "other"):
        project(name, '"""Some project."""\n\ndef view_all():\n    return "all"\n')
        site.mount(name)
    answer = client.get("/power")
    assert answer.status == 200
    assert 'href="/power/north"' in answer.text
    assert 'href="/power/south"' in answer.text
    assert '<a class="cover" href="/other"' not in answer.text
    assert client.get("/api/power").status == 404
    assert client.get("/pow").status == 404


def test_a_wrong_address_names_the_nearest_and_leads_home(
    client: Any, site: Any, project: Any
) -> None:
    project("board", "def view_list():\n    return 'x'\n")
    site.mount("board")
    answer = client.get("/board/lisst")
    assert answer.status == 404
    assert "Did you mean &#039;/board/list&#039;?" in answer.text
    assert '<a class="button" href="/">' in answer.text
