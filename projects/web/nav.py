"""The site's navigation."""

from __future__ import annotations

from gway import gw
from gway.web.page import Page, PageMaker
from gway.web.tables import Column, table_of

PAGES = PageMaker(__file__)

__all__ = ["add", "view_site_map"]


def add(path: str, title: str) -> None:
    """Add a link to the navigation of every page.

    :param path: an address of this site, such as /ocpp/data/summary
    :param title: what the link says
    """
    from gway.web.routes import Site

    site: Site = gw.service(Site)
    site.add_link(path, title)


def view_site_map(
    *, q: str = "", sort: str = "", page: int = 1, per_page: int | None = None
) -> Page:
    """List the pages that open by themselves.

    :param q: only pages with these words
    :param sort: title or path, with "-" before it for descending; default: as in the bar
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000
    """
    from gway.web.routes import Site

    site: Site = gw.service(Site)
    rows = [{"title": link["title"], "path": link["path"]} for link in site.navigation()]
    columns = (Column("title", "Page", link=lambda row: row["path"]), Column("path", "Address"))
    table = table_of(
        rows, columns, q=q, sort=sort, page=page, per_page=per_page,
        caption="Pages", empty="No project with pages is set up yet.",
    )  # fmt: skip
    return PAGES("gway/table-page", title="Site map", table=table)
