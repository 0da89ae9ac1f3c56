"""The configuration of one charger: a part of its page, and a table of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gway import gw
from gway.projects.ocpp.csms.pages import PAGES
from gway.projects.ocpp.csms.topics import topic_of
from gway.web.page import Page
from gway.web.tables import Column, Note, table_of
from gway.web.tables import Row as Shown

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]

PREFIX = "config_"


def _pending(row: Shown) -> Note | None:
    if row["pending"] is None:
        return None
    value = "A new value" if row["secret"] else row["pending"] or "Empty"
    return Note(f"{value} after its restart")


COLUMNS = (
    Column("key", "Key", note=lambda row: Note("read only") if row["readonly"] else None),
    Column("value", "Value", show=lambda row: "", note=_pending, part="configuration_value"),
)


def view_charger_configuration(
    charger_id: str,
    *,
    config_q: str = "",
    config_sort: str = "key",
    config_page: int = 1,
    config_per_page: int | None = None,
) -> Page:
    """Show the configuration that a charger told last, with what it accepted since.

    :param charger_id: as in its address
    :param config_q: only keys with these words in name or value
    :param config_sort: key or value, with "-" before it for descending
    :param config_page: from 1
    :param config_per_page: keys on a page, 50 when left out, at most 1000; the JSON and CSV
        twins then have all
    """
    values = configuration(
        charger_id, config_q, config_sort, config_page, config_per_page, _told(charger_id)
    )
    return PAGES(
        "configuration_page",
        title=f"Configuration of {charger_id}",
        columns=("key", "value", "readonly", "pending"),
        styles=("csms.css",),
        topic=topic_of(charger_id),
        charger_id=charger_id,
        table=values["keys_table"],
        **values,
    )


def render_configuration(
    charger_id: str,
    *,
    config_q: str = "",
    config_sort: str = "key",
    config_page: int = 1,
    config_per_page: int | None = None,
) -> Page:
    """Give the configuration that a charger told last, for its page.

    :param charger_id: as in its address
    :param config_q: only keys with these words in name or value
    :param config_sort: key or value, with "-" before it for descending
    :param config_page: from 1
    :param config_per_page: keys on a page, 50 when left out, at most 1000
    """
    values = configuration(
        charger_id, config_q, config_sort, config_page, config_per_page, _told(charger_id)
    )
    return PAGES.fragment("configuration", charger_id=charger_id, **values)


def configuration(
    charger_id: str, q: str, sort: str, page: int, per_page: int | None, told: Row
) -> Row:
    """Give the table of a charger's keys.

    :param told: `configuration` of a snapshot
    """
    table = table_of(
        told["keys"],
        COLUMNS,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        prefix=PREFIX,
        view="charger_configuration",
        caption="Keys of the charger",
        empty="Not read yet.",
        key=lambda row: f"key-{row['key']}",
    )
    return {
        "keys_table": table,
        "read_at": told["read_at"],
        "known_keys": len(told["keys"]),
        # A key may hold what no selector can: its answer is found by its place.
        "places": {row["key"]: place for place, row in enumerate(told["keys"])},
    }


def _told(charger_id: str) -> Row:
    from gway.projects.ocpp.csms.central import CentralSystem

    central: CentralSystem = gw.service(CentralSystem)
    told: Row = central.snapshot(charger_id)["configuration"]
    return told
