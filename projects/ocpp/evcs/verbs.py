"""The verbs of the simulator: run some here, or start and stop them on the server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gway import access, gw, live
from gway.projects.ocpp.evcs.kinds import Repeat, Row, Rows
from gway.prompts import ask_hidden
from gway.settings import Setting

if TYPE_CHECKING:
    from gway.projects.ocpp.evcs.plan import Plan
    from gway.projects.ocpp.evcs.runner import Runner
    from gway.projects.ocpp.evcs.simulators import Simulators

PASSWORD = Setting(
    "EVCS_PASSWORD",
    None,
    str,
    "password (AuthorizationKey) of simulated charge points",
    secret=True,
)


FOR_PEOPLE = {
    "simulate": (
        "charger",
        "transaction_id",
        "id_tag",
        "started",
        "stopped",
        "energy_kwh",
        "reason",
    ),
    "list": ("charger_id", "link", "status", "transaction_id", "energy_wh", "power_w", "sessions"),
}


def _columns(verb: str) -> Callable[[Rows], Rows]:
    """Leave out, for people's eyes, what makes a table wider than a terminal."""

    def shape(rows: Rows) -> Rows:
        chosen = [{name: row[name] for name in FOR_PEOPLE[verb]} for row in rows]
        for row in chosen:
            for name in ("started", "stopped"):
                if name in row:
                    row[name] = f"{row[name]:%H:%M:%S}Z"
        return chosen

    return shape


def simulators() -> Simulators:
    """Give the simulators of this process."""
    from gway.projects.ocpp.evcs.simulators import Simulators

    return gw.service(Simulators)


def simulate(
    *,
    host: str = "127.0.0.1",
    ws_port: int = 9000,
    cp_path: str = "ocpp/csms/CPX",
    rfid: str = "FFFFFFFF",
    duration: float = 600.0,
    interval: int = 10,
    kwh_min: float = 30.0,
    kwh_max: float = 60.0,
    pre_charge_delay: float = 2.0,
    repeat: Repeat = 1,
    threads: int = 1,
    username: str = "",
    password: str | None = None,
    ws_url: str | None = None,
    tls: bool = False,
    ca: Path | None = None,
    seed: int | None = None,
    link: str = "",
    link_seed: int | None = None,
) -> Rows:
    """Simulate charge points until their sessions are done; a row for each session.

    :param host: name or address of the central system
    :param ws_port: its port for WebSockets
    :param cp_path: path there; its last part is the charge point's id
    :param rfid: the driver's tag
    :param duration: seconds that a session takes
    :param interval: seconds between two meter samples
    :param kwh_min: least energy of a session, kWh
    :param kwh_max: most energy of a session, kWh
    :param pre_charge_delay: seconds before a session begins
    :param repeat: number of sessions, or forever
    :param threads: number of charge points: CPX, CPX2, CPX3 ...
    :param username: for Basic authentication; the charge point's id if not given
    :param password: better in GWAY_EVCS_PASSWORD; asked for if only --username is given
    :param ws_url: whole address in the place of host, port and path
    :param tls: connect with wss
    :param ca: certificates to trust, PEM; the system's if not given
    :param seed: makes energies and batteries the same each time
    :param link: makes the link bad, such as cut=0.02,delay=0.5,duplicate=0.01,reorder=0.01:
        chances per frame, and up to how many seconds each takes longer
    :param link_seed: makes the bad luck of the link the same each time
    """
    plan = _planned(locals())
    from gway.projects.ocpp.evcs.foreground import run

    return [msgspec.structs.asdict(row) for row in run(plan)]


simulate.__gway_people__ = _columns("simulate")  # type: ignore[attr-defined]


@live
def start(
    *,
    host: str = "127.0.0.1",
    ws_port: int = 9000,
    cp_path: str = "ocpp/csms/CPX",
    rfid: str = "FFFFFFFF",
    duration: float = 600.0,
    interval: int = 10,
    kwh_min: float = 30.0,
    kwh_max: float = 60.0,
    pre_charge_delay: float = 2.0,
    repeat: Repeat = 1,
    threads: int = 1,
    username: str = "",
    password: str | None = None,
    ws_url: str | None = None,
    tls: bool = False,
    ca: Path | None = None,
    seed: int | None = None,
    link: str = "",
    link_seed: int | None = None,
) -> Rows:
    """Start simulated charge points on the server and leave them running.

    They stay connected after their sessions, so that they can be commanded.

    :param host: name or address of the central system
    :param ws_port: its port for WebSockets; 0 is that of the server itself
    :param cp_path: path there; its last part is the charge point's id
    :param rfid: the driver's tag
    :param duration: seconds that a session takes
    :param interval: seconds between two meter samples
    :param kwh_min: least energy of a session, kWh
    :param kwh_max: most energy of a session, kWh
    :param pre_charge_delay: seconds before a session begins
    :param repeat: number of sessions, or forever
    :param threads: number of charge points: CPX, CPX2, CPX3 ...
    :param username: for Basic authentication; the charge point's id if not given
    :param password: better in GWAY_EVCS_PASSWORD of the server
    :param ws_url: whole address in the place of host, port and path
    :param tls: connect with wss
    :param ca: certificates to trust, PEM; the system's if not given
    :param seed: makes energies and batteries the same each time
    :param link: makes the link bad, such as cut=0.02,delay=0.5,duplicate=0.01,reorder=0.01:
        chances per frame, and up to how many seconds each takes longer
    :param link_seed: makes the bad luck of the link the same each time
    """
    runners = simulators().start(_planned(locals()))
    return [{"charger_id": one.charger_id, "url": one.target.url} for one in runners]


def _planned(options: dict[str, Any]) -> Plan:
    """Check the options of a verb; a password that was not given is looked for."""
    from gway.projects.ocpp.evcs.plan import Plan

    if options["password"] is None:
        options = {**options, "password": _password(options["username"])}
    return Plan(**options)


def _password(username: str) -> str | None:
    known: str | None = gw.settings.get(PASSWORD)
    if known is None and username and not gw.serving and sys.stdin.isatty():
        return ask_hidden(f"Password of {username}: ")
    return known


@live
def stop(charger_id: str | None = None) -> Rows:
    """Stop a simulated charge point that was started on the server, or all.

    :param charger_id: which one; all if not given
    """
    return [{"charger_id": name, "link": "stopped"} for name in simulators().stop(charger_id)]


@live
def start_session(charger_id: str) -> Row:
    """Send the next car to a simulated charge point, now.

    :param charger_id: which one
    """
    runner = simulators().get(charger_id)
    runner.start_session()
    return _row(runner)


@live
def stop_session(charger_id: str) -> Row:
    """End the session of a simulated charge point, which stays connected.

    :param charger_id: which one
    """
    runner = simulators().get(charger_id)
    runner.stop_session()
    return _row(runner)


@access(role="operator", method="POST")
def api_start(
    *,
    host: str = "127.0.0.1",
    ws_port: int = 9000,
    cp_path: str = "ocpp/csms/CPX",
    rfid: str = "FFFFFFFF",
    duration: float = 600.0,
    interval: int = 10,
    kwh_min: float = 30.0,
    kwh_max: float = 60.0,
    pre_charge_delay: float = 2.0,
    repeat: Repeat = 1,
    threads: int = 1,
    username: str = "",
    password: str | None = None,
    ws_url: str | None = None,
    tls: bool = False,
    ca: Path | None = None,
    seed: int | None = None,
    link: str = "",
    link_seed: int | None = None,
) -> Rows:
    """Start simulated charge points and leave them running."""
    return start(**locals())


@access(role="operator", method="POST")
def api_stop(charger_id: str | None = None) -> Rows:
    """Stop a simulated charge point, or all.

    :param charger_id: which one; all if not given
    """
    return stop(charger_id)


@access(role="operator", method="POST")
def api_start_session(charger_id: str) -> Row:
    """Send the next car to a simulated charge point, now.

    :param charger_id: which one
    """
    return start_session(charger_id)


@access(role="operator", method="POST")
def api_stop_session(charger_id: str) -> Row:
    """End the session of a simulated charge point, which stays connected.

    :param charger_id: which one
    """
    return stop_session(charger_id)


def api_list() -> Rows:
    """List the simulated charge points that run on the server."""
    return api_simulators()


def api_simulators() -> Rows:
    """List the simulated charge points that run on the server."""
    return [_row(runner) for runner in simulators().all()]


def _row(runner: Runner) -> Row:
    from gway.projects.ocpp.evcs.view import flat

    return flat(runner.view)


# Last in the file: below it the builtin of this name is out of reach.
@live
def list() -> Rows:
    """List the simulated charge points that run on the server."""
    return api_simulators()


list.__gway_people__ = _columns("list")  # type: ignore[attr-defined]
