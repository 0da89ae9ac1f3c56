"""The page of the tags that the remote refused, with what takes such a refusal back."""

from __future__ import annotations

from gway import access
from gway.projects.ocpp.proxy import verbs
from gway.web.page import Page, PageMaker
from gway.web.tables import Column, Table, table_of

PAGES = PageMaker(__file__)

TAGS = (
    Column("id_tag", "Tag"),
    Column("status", "What the remote says"),
    Column("at", "Since", kind="time"),
    Column(
        "to_do",
        "What to do",
        sortable=False,
        show=lambda row: "",
        part="refused_tag_button",
        needs="ocpp.proxy/allow_tag",
    ),
)
TWIN = ("id_tag", "status", "at")


def view_refused_tags(
    *, q: str = "", sort: str = "-at", page: int = 1, per_page: int | None = None
) -> Page:
    """Show the tags that the remote refused, which are refused here for it.

    :param q: words that a tag must have in its columns
    :param sort: name of a column, with "-" before it for descending
    :param page: from 1
    :param per_page: tags on a page, at most 1000
    """
    table = _table(q, sort, page, per_page)
    return PAGES("refused_tags_page", title="Refused tags", table=table, columns=TWIN)


@access(role="operator")
def view_post_allow_tag(id_tag: str) -> Page:
    """Refuse a tag no longer because the remote did, and show those that are left."""
    verbs.allow_tag(id_tag)
    return view_refused_tags()


def _table(q: str, sort: str, page: int, per_page: int | None) -> Table:
    has_remote = verbs.proxy().forwarder is not None
    return table_of(
        verbs.refused_tags() if has_remote else (),
        TAGS,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        view="refused_tags",
        caption="Tags that the remote refused",
        empty="The remote has refused no tag.",
        key=lambda row: f"tag-{row['id_tag']}",
    )
