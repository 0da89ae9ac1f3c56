"""What somebody wants simulated, checked: where to, how many, which sessions."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from gway.errors import UsageError
from gway.projects.ocpp.evcs.badlink import BadLink, Faults, Weather
from gway.projects.ocpp.evcs.chargepoint import MAX_TAG, ChargePoint, Need
from gway.projects.ocpp.evcs.driver import Driver
from gway.projects.ocpp.evcs.keeper import Link
from gway.projects.ocpp.evcs.kinds import Repeat
from gway.projects.ocpp.evcs.link import Target, WebSocketLink
from gway.projects.ocpp.evcs.registration import Identity
from gway.projects.ocpp.evcs.runner import Runner, Watch

MAX_THREADS = 1000
HEX_KEY = 40
"""Characters of an AuthorizationKey that is 20 bytes in hex (SEC 2)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of `simulate` and `start`; raises UsageError for what cannot be."""

    host: str = "127.0.0.1"
    ws_port: int = 9000
    cp_path: str = "ocpp/csms/CPX"
    rfid: str = "FFFFFFFF"
    duration: float = 600.0
    interval: int = 10
    kwh_min: float = 30.0
    kwh_max: float = 60.0
    pre_charge_delay: float = 2.0
    repeat: Repeat = 1
    threads: int = 1
    username: str = ""
    password: str | None = None
    ws_url: str | None = None
    tls: bool = False
    ca: Path | None = None
    seed: int | None = None
    link: str = ""
    link_seed: int | None = None

    def __post_init__(self) -> None:
        low, high = self.kwh_min, self.kwh_max
        many = self.repeat == "forever" or self.repeat >= 0
        rules = (
            (0 < len(self.rfid) <= MAX_TAG, f"--rfid: a tag has 1 to {MAX_TAG} characters"),
            (1 <= self.duration <= 10**7, "--duration: between 1 and 10000000 seconds"),
            (1 <= self.interval <= 10**6, "--interval: between 1 and 1000000 seconds"),
            (0 < low <= high <= 10**6, f"--kwh-min {low:g} and --kwh-max {high:g} are no range"),
            (0 <= self.pre_charge_delay <= 10**7, "--pre-charge-delay: 0 seconds or more"),
            (many, "--repeat: a number of sessions, or forever"),
            (1 <= self.threads <= MAX_THREADS, f"--threads: between 1 and {MAX_THREADS}"),
            (0 <= self.ws_port < 2**16, f"--ws-port {self.ws_port} is no port"),
        )
        for holds, message in rules:
            if not holds:
                raise UsageError(message)
        self._check_addresses()
        Faults.parse(self.link)

    def _check_addresses(self) -> None:
        parts = urlsplit(self.ws_url or "ws://x/x")
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise UsageError(f"--ws-url: {self.ws_url!r} is no ws:// or wss:// address")
        if parts.username or parts.password:
            raise UsageError(
                "--ws-url: no user and password in an address",
                "give --username, and the password in GWAY_EVCS_PASSWORD",
            )
        if not self.target(0).charger_id:
            raise UsageError("--cp-path ends with the charge point's id, such as ocpp/csms/CPX")

    @property
    def address(self) -> str:
        """The address of the first charge point."""
        if self.ws_url is not None:
            return self.ws_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        # What is percent-encoded already stays as it is.
        path = quote(self.cp_path.strip("/"), safe="/%:@!$&'()*+,;=~-._")
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.ws_port}/{path}"

    def target(self, index: int, key: Callable[[], str | None] = lambda: None) -> Target:
        """Say where a charge point connects: CPX, CPX2, CPX3 ...

        :param key: gives the AuthorizationKey that the charge point was told, if any
        """
        url = self.address.rstrip("/") + (str(index + 1) if index else "")

        def password() -> bytes | None:
            secret = key() or self.password
            return None if secret is None else _secret_bytes(secret)

        return Target(url, self.username, password, self.ca)

    def make(self, index: int, *, leave: bool = False, watch: Watch | None = None) -> Runner:
        """Make one of the charge points, ready to start."""
        rng = random.Random(None if self.seed is None else self.seed + index)
        count = None if self.repeat == "forever" else self.repeat
        person = Driver(self.rfid, repeat=count, pause_s=self.pre_charge_delay)
        need = Need(self.kwh_min, self.kwh_max, self.duration, self.interval)
        charger_id = self.target(index).charger_id
        point = ChargePoint(Identity(charger_id), need, rng=rng, person=person)
        target = self.target(index, lambda: point.authorization_key)
        return Runner(point, target, leave=leave, watch=watch, dial=self._dial(index, target))

    def _dial(self, index: int, target: Target) -> Callable[[], Link] | None:
        """Say how a link is opened that is bad on purpose; None for a good one."""
        faults = Faults.parse(self.link)
        if not faults:
            return None
        weather = Weather(faults, None if self.link_seed is None else self.link_seed + index)
        return lambda: BadLink(WebSocketLink(target), weather)


def _secret_bytes(secret: str) -> bytes:
    """Give the bytes of a key: 20 bytes in hex are meant as bytes, all else as text."""
    if len(secret) == HEX_KEY:
        try:
            return bytes.fromhex(secret)
        except ValueError:
            return secret.encode()
    return secret.encode()
