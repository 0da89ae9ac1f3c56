"""The page of one charger: its state, commands, messages and transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gway import gw
from gway.projects.ocpp.csms.pages import PAGES, session_shown
from gway.projects.ocpp.csms.pages_commands import shown_commands
from gway.projects.ocpp.csms.pages_keys import configuration
from gway.projects.ocpp.csms.pages_messages import Way, message_row, messages
from gway.projects.ocpp.csms.period import Moment, has_pages, period
from gway.projects.ocpp.csms.topics import topic_of
from gway.web import formats
from gway.web.page import Page

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]

IN_STEP_S = 2.0  # a clock that is off by less tells nothing: messages take time themselves
FAR_OFF_S = 60.0
IN_STATE = frozenset({"vendor", "model", "firmware"})


def _central() -> CentralSystem:
    from gway.projects.ocpp.csms.central import CentralSystem

    return gw.service(CentralSystem)


def view_charger_detail(
    charger_id: str,
    *,
    since: Moment = None,
    until: Moment = None,
    direction: Way = "",
    action: str = "",
    errors: bool = False,
    q: str = "",
    tx_q: str = "",
    tx_sort: str = "-started_at",
    tx_page: int = 1,
    tx_per_page: int | None = None,
    config_q: str = "",
    config_sort: str = "key",
    config_page: int = 1,
    config_per_page: int | None = None,
) -> Page:
    """Show one charger: state, commands, messages and transactions.

    :param charger_id: as in its address
    :param since: transactions begun at this time or later; 24 hours ago when left out
    :param until: transactions begun before this time; now when left out
    :param direction: messages that the charger began (in), or we (out)
    :param action: messages of this action
    :param errors: only errors and what is not OCPP
    :param q: messages with this text
    :param tx_q: transactions with these words
    :param tx_sort: a column of the transactions, with "-" before it for descending
    :param tx_page: of the transactions, from 1
    :param tx_per_page: transactions on a page, 50 when left out, at most 1000
    :param config_q: configuration keys with these words
    :param config_sort: key or value, with "-" before it for descending
    :param config_page: of the configuration keys, from 1
    :param config_per_page: configuration keys on a page, 50 when left out, at most 1000
    """
    from gway.projects.ocpp.csms.forms import groups
    from gway.projects.ocpp.data.reports import field

    seen = _central().snapshot(charger_id)
    log = messages(seen.pop("frames"), direction, action, errors, q)
    told = seen["configuration"]
    return PAGES(
        "charger_detail",
        title=charger_id,
        data={**seen, "messages": [message_row(one) for one in log["fitting"]]},
        styles=("csms.css",),
        scripts=("csms.js",),
        charger=_state(seen),
        commands=shown_commands(seen["commands"]),
        groups=groups(),
        boot=_boot(seen),
        since=field(since),
        until=field(until, end=True),
        chosen=_chosen(
            tx_q=tx_q,
            tx_sort=tx_sort.removeprefix("-started_at"),
            tx_per_page=tx_per_page,
            config_q=config_q,
            config_sort=config_sort.removeprefix("key"),
            config_per_page=config_per_page,
        ),
        **configuration(charger_id, config_q, config_sort, config_page, config_per_page, told),
        **log,
        **period(charger_id, since, until, tx_q, tx_sort, tx_page, tx_per_page),
    )


def _chosen(**values: str | int | None) -> Row:
    """Give what the page's tables are asked for, which the page's forms send along."""
    return {name: value or "" for name, value in values.items()}


def render_charger_state(charger_id: str) -> Page:
    """Give what a charger does now, for its page.

    :param charger_id: as in its address
    """
    return PAGES.fragment("charger_state", charger=_state(_central().snapshot(charger_id)))


# --- state ---------------------------------------------------------------------


def _state(seen: Row) -> Row:
    central = _central()
    boot = seen["boot"] or {}
    words = [boot.get("vendor"), boot.get("model")]
    connectors = [
        {**one, "transaction": session_shown(central, one["transaction"]), "fault": _fault(one)}
        for one in seen["connectors"]
        if one["connector_id"] or one["transaction"]
    ]
    return {
        **seen,
        "connectors": connectors,
        "make": " ".join(word for word in words if word),
        "firmware": boot.get("firmware") or "",
        "drift": _drift(seen["drift_s"]),
        "linked": has_pages("ocpp.data"),
        "topic": topic_of(seen["charger_id"]),
    }


def _fault(connector: Row) -> str:
    words = [connector["error_code"], connector["vendor_error_code"], connector["info"]]
    return ", ".join(word for word in words if word and word != "NoError")


def _drift(drift_s: float | None) -> Row:
    """Say in a word how far a charger's clock is off; its messages take a moment themselves."""
    if drift_s is None:
        return {"words": "not told yet", "tone": "off"}
    if abs(drift_s) < IN_STEP_S:
        return {"words": "in step", "tone": "ok"}
    way = "behind" if drift_s > 0 else "ahead"
    off = (
        formats.number(abs(drift_s), 1) + " s"
        if abs(drift_s) < 60
        else formats.duration(abs(drift_s))
    )
    return {"words": f"{off} {way}", "tone": "warn" if abs(drift_s) < FAR_OFF_S else "bad"}


def _boot(seen: Row) -> list[tuple[str, str]]:
    """Give what a charger told of itself at its last boot, but for what its state says."""
    boot = seen["boot"] or {}
    return [
        (formats.label(name), str(value))
        for name, value in boot.items()
        if value and name not in IN_STATE
    ]
