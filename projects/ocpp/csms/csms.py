"""The central system: chargers connect to it, operators watch and command them.

Chargers reach it at ws://HOST:WS_PORT/ocpp/csms/CHARGER_ID with OCPP 1.6-J.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gway import access, gw, hookimpl, live
from gway.errors import GwayError, UnknownName, UsageError
from gway.hookspecs import HealthCheck
from gway.marks import asks_by_itself, shown_as
from gway.projects.ocpp.csms import terminal
from gway.projects.ocpp.csms.admission import BadId, checked_id
from gway.projects.ocpp.csms.buttons import (
    render_command_answer,
    view_post_approve,
    view_post_change_availability,
    view_post_change_configuration,
    view_post_close_transactions,
    view_post_forget,
    view_post_get_configuration,
    view_post_remote_start,
    view_post_remote_stop,
    view_post_reset,
    view_post_send,
    view_post_trigger_message,
    view_post_unlock_connector,
)
from gway.projects.ocpp.csms.detail import (
    render_charger_state,
    view_charger_detail,
)
from gway.projects.ocpp.csms.forms import (
    view_post_cancel_reservation,
    view_post_certificate_signed,
    view_post_clear_cache,
    view_post_clear_charging_profile,
    view_post_data_transfer,
    view_post_delete_certificate,
    view_post_extended_trigger_message,
    view_post_get_composite_schedule,
    view_post_get_diagnostics,
    view_post_get_installed_certificate_ids,
    view_post_get_local_list_version,
    view_post_get_log,
    view_post_install_certificate,
    view_post_reserve_now,
    view_post_send_local_list,
    view_post_set_charging_profile,
    view_post_signed_update_firmware,
    view_post_update_firmware,
)
from gway.projects.ocpp.csms.options import SETTINGS as SETTINGS
from gway.projects.ocpp.csms.options import Unknown
from gway.projects.ocpp.csms.orders import (
    api_change_availability,
    api_change_configuration,
    api_get_configuration,
    api_remote_start,
    api_remote_stop,
    api_reset,
    api_send,
    api_trigger_message,
    api_unlock_connector,
    change_availability,
    change_configuration,
    get_configuration,
    remote_start,
    remote_stop,
    reset,
    send,
    trigger_message,
    unlock_connector,
)
from gway.projects.ocpp.csms.pages import (
    render_charger_cards,
    view_active_chargers,
    view_charger_status,
)
from gway.projects.ocpp.csms.pages_commands import (
    render_command_log,
    view_charger_commands,
)
from gway.projects.ocpp.csms.pages_keys import (
    render_configuration,
    view_charger_configuration,
)
from gway.projects.ocpp.csms.pages_messages import (
    render_message_log,
    view_charger_messages,
)
from gway.projects.ocpp.csms.pages_refused import view_refused_chargers
from gway.projects.ocpp.csms.period import view_charger_transactions
from gway.projects.ocpp.csms.readmodel import Sort, Status

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem
    from gway.web.ws import Accept, Refuse, Upgrade

__all__ = [
    "api_approve",
    "api_change_availability",
    "api_change_configuration",
    "api_charger",
    "api_chargers",
    "api_close_transactions",
    "api_commands",
    "api_counters",
    "api_forget",
    "api_get_configuration",
    "api_refused",
    "api_remote_start",
    "api_remote_stop",
    "api_reset",
    "api_send",
    "api_trigger_message",
    "api_tune",
    "api_unlock_connector",
    "approve",
    "change_availability",
    "change_configuration",
    "charger",
    "chargers",
    "close_transactions",
    "commands",
    "counters",
    "forget",
    "get_configuration",
    "refused",
    "remote_start",
    "remote_stop",
    "render_charger_cards",
    "render_charger_state",
    "render_command_answer",
    "render_command_log",
    "render_configuration",
    "render_message_log",
    "reset",
    "send",
    "setup_app",
    "trigger_message",
    "tune",
    "unlock_connector",
    "view_active_chargers",
    "view_charger_commands",
    "view_charger_configuration",
    "view_charger_detail",
    "view_charger_messages",
    "view_charger_status",
    "view_charger_transactions",
    "view_post_approve",
    "view_post_cancel_reservation",
    "view_post_certificate_signed",
    "view_post_change_availability",
    "view_post_change_configuration",
    "view_post_clear_cache",
    "view_post_clear_charging_profile",
    "view_post_close_transactions",
    "view_post_data_transfer",
    "view_post_delete_certificate",
    "view_post_extended_trigger_message",
    "view_post_forget",
    "view_post_get_composite_schedule",
    "view_post_get_configuration",
    "view_post_get_diagnostics",
    "view_post_get_installed_certificate_ids",
    "view_post_get_local_list_version",
    "view_post_get_log",
    "view_post_install_certificate",
    "view_post_remote_start",
    "view_post_remote_stop",
    "view_post_reserve_now",
    "view_post_reset",
    "view_post_send",
    "view_post_send_local_list",
    "view_post_set_charging_profile",
    "view_post_signed_update_firmware",
    "view_post_trigger_message",
    "view_post_unlock_connector",
    "view_post_update_firmware",
    "view_refused_chargers",
    "watch",
    "ws_connect",
]

DAY_S = 86_400
NAV = {"charger-status": "Chargers"}  # what the site's navigation shows

Row = dict[str, Any]
Registration = Literal["Accepted", "Pending", "Rejected"]


def _central() -> CentralSystem:
    from gway.projects.ocpp.csms.central import CentralSystem

    return gw.service(CentralSystem)


# --- serving -----------------------------------------------------------------


def setup_app(
    *,
    allow: Path | None = None,
    unknown: Unknown | None = None,
    lenient_subprotocol: bool | None = None,
    call_timeout_s: float | None = None,
    heartbeat_s: int | None = None,
    require_keys: bool | None = None,
    store: bool = True,
) -> None:
    """Prepare the central system: storage, tags, keys, and what becomes of unknown chargers.

    :param allow: RFID allow list, a .cdv file
    :param unknown: auto accepts unknown chargers on this machine and lets others wait for
        approval; accept, pending and reject do the same with all
    :param lenient_subprotocol: let chargers in that offer no subprotocol
    :param call_timeout_s: how long a charger may take to answer a command
    :param heartbeat_s: heartbeat interval that chargers are told
    :param require_keys: turn chargers away for which no key is set; see ocpp.keys
    :param store: keep transactions with ocpp.data; with --no-store nothing is kept
    """
    gw.load("ocpp.csms")
    if store:
        gw.load("ocpp.data")
    gw.load("ocpp.rfid")
    gw.load("ocpp.keys")
    gw.ocpp.keys.setup_app(required=require_keys)
    if allow is not None:
        gw.ocpp.rfid.configure(allow=allow)
    given = {
        "unknown": unknown,
        "lenient_subprotocol": lenient_subprotocol,
        "call_timeout_s": call_timeout_s,
        "heartbeat_s": heartbeat_s,
    }
    _central().configure(**{name: value for name, value in given.items() if value is not None})
    _hear_strays()


def ws_connect(upgrade: Upgrade) -> Accept | Refuse:
    """Let a charger in, or refuse it before the upgrade."""
    return _central().connect(upgrade)


@hookimpl
def gway_server_started() -> None:
    _hear_strays()


def _hear_strays() -> None:
    """Hear of chargers whose address leads to nothing, which no other project could tell of."""
    from gway.web.routes import Site

    if gw.has_service(Site):
        site: Site = gw.service(Site)
        if any(mount.project == "ocpp.csms" for mount in site.mounts.values()):
            site.ws_routes.setdefault("/", _central().door.stray)


@hookimpl
def gway_server_stopping(at: datetime) -> None:
    from gway.projects.ocpp.csms.central import CentralSystem

    if gw.has_service(CentralSystem):
        _central().close()


@hookimpl
def gway_health() -> list[HealthCheck]:
    from gway.projects.ocpp.csms.central import CentralSystem

    if not gw.has_service(CentralSystem):
        return []
    gate = _central().gate
    return [HealthCheck("ocpp.storage", gate.is_open(), gate.reason)]


@hookimpl
def gway_register_metrics(registry: Any) -> None:
    from gway.projects.ocpp.csms.measures import Measures

    registry.register(Measures(gw))


# --- looking -----------------------------------------------------------------


@shown_as(terminal.chargers)
@live
def chargers(
    *, status: Status | None = None, faulted: bool = False, q: str = "", sort: Sort = "alarms"
) -> list[Row]:
    """List the known chargers, those with faults first.

    :param status: only chargers with this status, or with a connector in it
    :param faulted: only chargers with a fault
    :param q: only chargers with this in their id, or in their vendor's or model's name
    :param sort: alarms, id, power, energy or last_seen; with a minus the other way round
    """
    return _central().list_chargers(search=q, status=status, faulted=faulted, sort=sort)


def api_chargers(
    *, status: Status | None = None, faulted: bool = False, q: str = "", sort: Sort = "alarms"
) -> list[Row]:
    """List the known chargers, those with faults first.

    :param status: only chargers with this status, or with a connector in it
    :param faulted: only chargers with a fault
    :param q: only chargers with this in their id, or in their vendor's or model's name
    :param sort: alarms, id, power, energy or last_seen; with a minus the other way round
    """
    return chargers(status=status, faulted=faulted, q=q, sort=sort)


@asks_by_itself
def watch(
    *,
    status: Status | None = None,
    faulted: bool = False,
    q: str = "",
    sort: Sort = "alarms",
    url: str | None = None,
) -> None:
    """Follow the chargers of a running server in the terminal until Ctrl-C.

    :param status: only chargers with this status, or with a connector in it
    :param faulted: only chargers with a fault
    :param q: only chargers with this in their id, or in their vendor's or model's name
    :param sort: alarms, id, power, energy or last_seen; with a minus the other way round
    :param url: of the server, as `--at URL`; that of this workspace if not given
    """
    from gway import remote
    from gway.projects.ocpp.csms import watch as watching
    from gway.resolver import current

    gateway = current()
    if url is not None:
        server: remote.Server | None = remote.at(gateway, url)
    else:
        server = gateway.at or remote.recorded(gateway)
    if server is None:
        raise GwayError(
            f"no server runs in {gateway.workspace.root}",
            "start one in another terminal with `gway run RECIPE`, or name one with --at URL",
        )
    wanted = {"status": status, "faulted": faulted, "q": q, "sort": sort}

    def ask() -> list[Row]:
        path = "/api/ocpp/csms/chargers"
        rows: list[Row] = remote.request(gateway, server, "GET", path, wanted)
        return rows

    stirring = watching.Stirring(watching.events_of(gateway, server))
    watching.follow(ask, stirring, server.url)


@shown_as(terminal.charger)
@live
def charger(charger_id: str) -> Row:
    """Show one charger: connectors, transactions, commands, last frames.

    :param charger_id: as in its address
    """
    return _central().snapshot(charger_id)


def api_charger(charger_id: str) -> Row:
    """Show one charger: connectors, transactions, commands, last frames.

    :param charger_id: as in its address
    """
    return charger(charger_id)


@shown_as(terminal.commands)
@live
def commands(charger_id: str) -> list[Row]:
    """List the latest commands to a charger, with answers and effects.

    :param charger_id: as in its address
    """
    rows: list[Row] = _central().snapshot(charger_id)["commands"]
    return rows


def api_commands(charger_id: str) -> list[Row]:
    """List the latest commands to a charger, with answers and effects.

    :param charger_id: as in its address
    """
    return commands(charger_id)


@live
def refused() -> list[Row]:
    """List the chargers that were turned away, the latest first; see `approve`."""
    return [msgspec.structs.asdict(row) for row in _central().door.refused.rows()]


def api_refused() -> list[Row]:
    """List the chargers that were turned away, the latest first."""
    return refused()


@live
def counters() -> Row:
    """Show what was counted since the start: messages, junk, refusals, repetitions."""
    return _central().counters.as_dict()


def api_counters() -> Row:
    """Show what was counted since the start: messages, junk, refusals, repetitions."""
    return counters()


# --- deciding ----------------------------------------------------------------


@live
def close_transactions(charger_id: str) -> list[Row]:
    """Close the open transactions of a charger with the best register seen.

    A stop that the charger still sends corrects them.

    :param charger_id: as in its address
    """
    from gway.projects.ocpp.csms.readmodel import transaction_row

    central = _central()
    now = central.now()
    return [transaction_row(one, now) for one in central.close_transactions(charger_id)]


@access(role="operator", method="POST")
def api_close_transactions(charger_id: str) -> list[Row]:
    """Close the open transactions of a charger with the best register seen."""
    return close_transactions(charger_id)


@live
def approve(
    charger_id: str, *, registration: Registration = "Accepted", force: bool = False
) -> Row:
    """Accept a charger that waits for approval; it learns so at its next Boot.

    :param charger_id: as in its address
    :param registration: Accepted, or Pending or Rejected to take it back
    :param force: also one that has not come yet
    """
    central = _central()
    try:
        checked_id(charger_id)
    except BadId as why:
        raise UsageError(f"no charger can have the id {charger_id[:60]!r}", str(why)) from None
    if not force and not central.door.refused.has(charger_id):
        try:
            central.known(charger_id)
        except UnknownName as error:
            raise UnknownName(
                f"no charger {charger_id!r} has come yet",
                f"{error.hint}; --force approves one before it comes",
            ) from None
    central.register(charger_id, registration)
    return central.snapshot(charger_id)


@access(role="operator", method="POST")
def api_approve(
    charger_id: str, *, registration: Registration = "Accepted", force: bool = False
) -> Row:
    """Accept a charger that waits for approval; it learns so at its next Boot.

    :param charger_id: as in its address
    :param registration: Accepted, or Pending or Rejected to take it back
    :param force: also one that has not come yet
    """
    return approve(charger_id, registration=registration, force=force)


@live
def forget(charger_id: str) -> Row:
    """Take a charger that is gone for good out of the list; its history stays.

    It must not be connected, and have no open transactions. When it comes again it is
    as unknown as any other.

    :param charger_id: as in its address
    """
    _central().forget(charger_id)
    return {"charger_id": charger_id, "forgotten": True}


@access(role="admin", method="POST")
def api_forget(charger_id: str) -> Row:
    """Take a charger that is gone for good out of the list; its history stays."""
    return forget(charger_id)


@live
def tune(
    charger_id: str, *, call_timeout_s: float | None = None, ping_interval_s: float | None = None
) -> Row:
    """Set time limits of one charger, until the server restarts.

    :param charger_id: as in its address
    :param call_timeout_s: how long it may take to answer a command
    :param ping_interval_s: time between pings of its connection; 0 sends none
    """
    central = _central()
    known = central.known(charger_id)
    for seconds in (call_timeout_s, ping_interval_s):
        if seconds is not None and not 0 <= seconds <= DAY_S:
            raise UsageError(f"{seconds:g} s is no time limit", hint=f"0 to {DAY_S} s")
    if call_timeout_s is not None:
        known.call_timeout_s = call_timeout_s
    if ping_interval_s is not None:
        known.ping_interval_s = ping_interval_s
        if known.session is not None:
            known.session.connection.ping_interval_s = ping_interval_s
    return central.snapshot(charger_id)


@access(role="operator", method="POST")
def api_tune(
    charger_id: str, *, call_timeout_s: float | None = None, ping_interval_s: float | None = None
) -> Row:
    """Set time limits of one charger, until the server restarts."""
    return tune(charger_id, call_timeout_s=call_timeout_s, ping_interval_s=ping_interval_s)
