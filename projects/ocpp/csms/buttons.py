"""What the buttons and forms of a charger's page do: send a command, say what became of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from gway import access, gw
from gway.projects.ocpp.csms import orders
from gway.projects.ocpp.csms.orders import Action, AvailabilityType, ResetType, Trigger
from gway.projects.ocpp.csms.pages import PAGES
from gway.projects.ocpp.csms.pages_commands import shown_commands
from gway.projects.ocpp.csms.readmodel import transaction_row
from gway.projects.ocpp.csms.topics import topic_of
from gway.web.page import Page
from gway.web.reply import Redirect
from gway.web.request import CURRENT

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

PATIENCE_S = 5.0  # how long a page without script waits for the charger's answer

Row = dict[str, Any]


@access(role="operator")
def view_post_remote_start(charger_id: str, id_tag: str, connector_id: int | None = None) -> Page:
    """Ask a charger to start a transaction.

    :param charger_id: as in its address
    :param id_tag: at most 20 characters
    :param connector_id: which
    """
    order = partial(orders.remote_start, charger_id, id_tag, connector_id=connector_id)
    return _pressed(charger_id, order)


@access(role="operator")
def view_post_remote_stop(charger_id: str, transaction_id: int) -> Page:
    """Ask a charger to stop a transaction.

    :param charger_id: as in its address
    :param transaction_id: which
    """
    return _pressed(charger_id, partial(orders.remote_stop, charger_id, transaction_id))


@access(role="operator")
def view_post_reset(charger_id: str, type: ResetType) -> Page:
    """Restart a charger.

    :param charger_id: as in its address
    :param type: which kind
    """
    return _pressed(charger_id, partial(orders.reset, charger_id, type=type))


@access(role="operator")
def view_post_unlock_connector(charger_id: str, connector_id: int) -> Page:
    """Unlock the plug of a connector.

    :param charger_id: as in its address
    :param connector_id: which
    """
    return _pressed(charger_id, partial(orders.unlock_connector, charger_id, connector_id))


@access(role="operator")
def view_post_change_availability(
    charger_id: str, type: AvailabilityType, connector_id: int = 0
) -> Page:
    """Take a connector out of service or put it back.

    :param charger_id: as in its address
    :param type: which kind
    :param connector_id: which
    """
    order = partial(orders.change_availability, charger_id, type, connector_id=connector_id)
    return _pressed(charger_id, order)


@access(role="operator")
def view_post_trigger_message(
    charger_id: str, message: Trigger, connector_id: int | None = None
) -> Page:
    """Ask a charger to send a message now.

    :param charger_id: as in its address
    :param message: which
    :param connector_id: which
    """
    order = partial(orders.trigger_message, charger_id, message, connector_id=connector_id)
    return _pressed(charger_id, order)


@access(role="operator")
def view_post_get_configuration(charger_id: str) -> Page:
    """Read the configuration of a charger.

    :param charger_id: as in its address
    """
    return _pressed(charger_id, partial(orders.send, charger_id, "GetConfiguration", {}))


@access(role="operator")
def view_post_change_configuration(charger_id: str, key: str, value: str = "") -> Page:
    """Set a configuration key of a charger.

    :param charger_id: as in its address
    """
    return _pressed(charger_id, partial(orders.change_configuration, charger_id, key, value))


@access(role="operator")
def view_post_send(charger_id: str, action: Action, payload: dict[str, Any]) -> Page:
    """Send any command of a central system with a payload of your own.

    :param charger_id: as in its address
    :param action: one that a central system sends
    :param payload: JSON, sent with its members in this order
    """
    return _pressed(charger_id, partial(orders.send, charger_id, action, payload))


@access(role="operator")
def view_post_approve(
    charger_id: str, registration: Literal["Accepted", "Rejected"] = "Accepted"
) -> Page:
    """Accept a charger that waits for approval, or reject it; it learns so at its next Boot.

    :param charger_id: as in its address
    :param registration: Accepted or Rejected
    """
    central = _central()
    if not central.door.refused.has(charger_id):
        central.known(charger_id)
    central.register(charger_id, registration)
    return PAGES(
        "registered",
        title=charger_id,
        data={"charger_id": charger_id, "registration": registration},
        styles=("csms.css",),
    )


@access(role="operator")
def view_post_close_transactions(charger_id: str) -> Page:
    """Close the open transactions of a charger with the best register seen.

    :param charger_id: as in its address
    """
    central = _central()
    now = central.now()
    closed = [transaction_row(one, now) for one in central.close_transactions(charger_id)]
    values: Row = {"charger_id": charger_id, "closed": closed}
    request = CURRENT.get()
    if request is not None and request.wants_fragment:
        return PAGES.fragment("transactions_closed", **values, alone=False)
    return PAGES(
        "transactions_closed", title=charger_id, data=values, styles=("csms.css",), alone=True
    )


@access(role="admin")
def view_post_forget(charger_id: str) -> Redirect:
    """Take a charger that is gone for good out of the list.

    :param charger_id: as in its address
    """
    _central().forget(charger_id)
    request = CURRENT.get()
    base = request.site.path_of("ocpp.csms") if request is not None else "/ocpp/csms"
    return Redirect(f"{base}/charger-status")


def render_command_answer(charger_id: str, command_id: str) -> Page:
    """Give what became of a command, for the place where it was given.

    :param charger_id: as in its address
    :param command_id: one of the charger's latest
    """
    rows = [
        row
        for row in _central().snapshot(charger_id)["commands"]
        if row["command_id"] == command_id
    ]
    return _answer(rows[0]) if rows else Page("")


def sent_form(charger_id: str, action: Action, payload: Row) -> Page:
    """Send the command of a form and say what became of it."""
    return _pressed(charger_id, partial(orders.send, charger_id, action, payload))


def _pressed(charger_id: str, order: Callable[..., Row]) -> Page:
    """Send a command and say what became of it.

    The page's script gets words that follow what happens; a browser without script
    gets a page, with the charger's answer if it is quick.
    """
    _central().known(charger_id)
    request = CURRENT.get()
    if request is not None and request.wants_fragment:
        return _answer(order(wait_s=0))
    row = order(wait_s=PATIENCE_S)
    (command,) = shown_commands([row])
    return PAGES("command_sent", title=charger_id, data=row, styles=("csms.css",), command=command)


def _answer(row: Row) -> Page:
    (command,) = shown_commands([row])
    return PAGES.fragment("command_answer", command=command, topic=topic_of(row["charger_id"]))


def _central() -> CentralSystem:
    from gway.projects.ocpp.csms.central import CentralSystem

    return gw.service(CentralSystem)
