"""A site with a shop, a clock that is moved by hand, and accounts whose hashes are cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gway import resolver
from gway.projects.web.auth import accounts as accounts_module
from gway.projects.web.auth.accounts import Accounts
from gway.projects.web.auth.passwords import Cost
from gway.resolver import Gateway
from gway.web.auth import Gate
from gway.web.routes import Site
from tests.visitors import PASSWORD, Browser

SHOP = """
from gway import access

def view_shelf(): return "shelf"
def view_post_order(item: str): return item
def api_items(): return ["pen"]
def api_post_item(item: str): return item
def render_shelf(): return "shelf"

@access(role="admin")
def view_safe(): return "money"
"""
CHEAP = Cost(2**4, 8, 1)


@pytest.fixture
def gw(workspace: Path, clock: Callable[[], object]) -> Iterator[Gateway]:
    gateway = Gateway(workspace, now=clock)  # type: ignore[arg-type]
    with resolver.use(gateway):
        try:
            yield gateway
        finally:
            gateway.close()


@pytest.fixture
def site(gw: Gateway, workspace: Path) -> Site:
    (workspace / "projects/shop.py").write_text(SHOP)
    site = gw.service(Site)
    site.mount("shop")
    return site


@pytest.fixture
def accounts(gw: Gateway, site: Site, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    """The accounts of the site; none is made yet, and changes elsewhere are seen at once."""
    monkeypatch.setattr(accounts_module, "LOOK_S", 0.0)
    gw.load("web.auth")
    accounts = gw.service(Accounts)
    accounts.guard.cost = CHEAP
    accounts.watch(site)
    gw.service(Gate).bind("127.0.0.1", token="t0ken")
    return accounts


@pytest.fixture
def people(accounts: Accounts) -> Accounts:
    """Ada, an admin; Olga, an operator; Vito, a viewer."""
    for name, role in (("ada", "admin"), ("olga", "operator"), ("vito", "viewer")):
        accounts.create(name, PASSWORD, role)
    return accounts


@pytest.fixture
def browser(site: Site) -> Browser:
    return Browser(site)
