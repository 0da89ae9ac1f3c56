"""What an operator may choose about the proxy: options of its verbs, settings behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gway.errors import UsageError, did_you_mean
from gway.projects.ocpp.proxy import ports, remote
from gway.projects.ocpp.proxy.intake import OPTIONAL
from gway.projects.ocpp.proxy.remote import Remote
from gway.settings import Setting, Settings

Reject = Literal["stop", "continue"]
Boot = Literal["when-changed", "always"]

MODE = Setting(
    "OCPP_PROXY_MODE",
    "standin",
    ports.Mode,
    "standin serves chargers while the remote is away; transparent lets them wait",
)
WEB = Setting("OCPP_REMOTE_WEB", None, str, "web address of the remote, if it is a GWAY: http...")
TOKEN = Setting(
    "OCPP_REMOTE_TOKEN", None, str, "API token of the remote, if it is a GWAY", secret=True
)
ALARM = Setting(
    "OCPP_PROXY_ALARM_S", 3600.0, float, "age of a waiting message at which there is an alarm"
)
SETTINGS = (remote.URL, remote.PASSWORD, remote.KEYS, remote.CA, MODE, WEB, TOKEN, ALARM)


def the_remote(
    settings: Settings, address: str | None, keys: Path | None, ca: Path | None
) -> Remote:
    """Put together what the options and the settings say of the remote.

    Errors: UsageError when there is no address.
    """
    url = address or settings.get(remote.URL)
    if not url:
        raise UsageError(
            "there is no remote to forward to",
            f"give --remote ws://HOST:PORT/PATH, or set GWAY_{remote.URL.name}",
        )
    return Remote(
        url,
        password=settings.get(remote.PASSWORD),
        keys=keys or _path(settings.get(remote.KEYS)),
        ca=ca or _path(settings.get(remote.CA)),
    )


def the_options(
    settings: Settings,
    mode: ports.Mode | None,
    boot: Boot,
    read_only: bool,
    on_remote_reject: Reject,
    on_remote_concurrent: Reject,
) -> ports.Options:
    """Put together how the core behaves."""
    return ports.Options(
        mode=mode or settings.get(MODE),
        boot=boot,
        read_only=read_only,
        on_remote_reject="stop" if on_remote_reject == "stop" else "go-on",
        on_remote_concurrent="stop" if on_remote_concurrent == "stop" else "go-on",
    )


def further(names: list[str]) -> frozenset[str]:
    """Check the names of messages that are queued beyond those about transactions."""
    for name in names:
        if name not in OPTIONAL:
            hint = did_you_mean(name, set(OPTIONAL)) or "there are " + ", ".join(sorted(OPTIONAL))
            raise UsageError(f"--also {name!r} is no message that may be queued", hint)
    return frozenset(names)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
