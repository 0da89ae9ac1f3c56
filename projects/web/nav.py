"""The site's navigation."""

from __future__ import annotations

from gway import gw

__all__ = ["add", "view_site_map"]


def add(path: str, title: str) -> None:
    """Add a link to the navigation of every page.

    :param path: an address of this site, such as /ocpp/data/summary
    :param title: what the link says
    """
    from gway.web.routes import Site

    site: Site = gw.service(Site)
    site.add_link(path, title)


def view_site_map() -> list[dict[str, str]]:
    """List the pages that open by themselves."""
    from gway.web.routes import Site

    site: Site = gw.service(Site)
    return [{"title": link["title"], "path": link["path"]} for link in site.navigation()]
