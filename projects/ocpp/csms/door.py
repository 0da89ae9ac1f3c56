"""Opens connections, or says why not: the handshake from its first check to its last."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from gway.errors import DecisionFailed
from gway.projects.ocpp.csms.admission import (
    SUBPROTOCOL,
    BadCredentials,
    BadId,
    Failures,
    Refused,
    RefusedList,
    charger_id_of,
    parse_basic,
)
from gway.projects.ocpp.csms.charger import ACCEPTED, PENDING, Charger, Registration
from gway.projects.ocpp.facts import Admission, Knock, Verdict
from gway.web.ws import Accept, Refuse, Upgrade

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem
    from gway.web.ws import Connection

log = logging.getLogger("ocpp.csms")

PROBE_S = 5.0
CHALLENGE = (("WWW-Authenticate", 'Basic realm="OCPP", charset="UTF-8"'),)
RETRY = (("Retry-After", "10"),)
SHOWN = 80  # characters of an address in the list of those turned away
_KINDS = {401: "key", 404: "unknown"}
TOO_MANY = Refuse(429, "too many failed logins", (("Retry-After", "60"),))


class Door:
    """Decides about every handshake; runs in its greenlet and may block there."""

    def __init__(self, central: CentralSystem) -> None:
        self._central = central
        self.failures = Failures(central.runtime.clock)
        self.refused = RefusedList()

    def answer(self, upgrade: Upgrade) -> Accept | Refuse:
        """Let a charger in, or refuse it with an HTTP status."""
        central = self._central
        if central.closing or not central.gate.lets_in():
            return Refuse(503, "the central system takes no connections now", RETRY)
        try:
            charger_id = charger_id_of(upgrade.rest)
        except BadId as why:
            return self._refuse_path(upgrade, 400, str(why), "id")
        knock = Knock(
            charger_id=charger_id,
            remote_addr=upgrade.remote_addr,
            tls=upgrade.tls,
            passed_on=upgrade.passed_on,
        )
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in upgrade.offered else None
        lenient = central.options.lenient_subprotocol and not upgrade.offered
        if subprotocol is None and not lenient:
            lacks = f"the subprotocol {SUBPROTOCOL} has to be offered"
            return self._refuse(knock, 400, lacks, "subprotocol")
        keys = (f"address {upgrade.remote_addr}", f"id {charger_id}")
        if self.failures.blocks(*keys):
            self._note(knock, TOO_MANY.status, TOO_MANY.reason, "tries")
            return TOO_MANY
        try:
            credentials = parse_basic(upgrade.headers.get("authorization"))
            if credentials is not None and credentials[0] != charger_id:
                raise BadCredentials("the user name is not the charger id")
        except BadCredentials as why:
            self.failures.add(*keys)
            return self._refuse(knock, 401, str(why), "key")
        if credentials is not None:
            user, password = credentials
            knock = msgspec.structs.replace(knock, user=user, password=password)
        return self._decide(knock, subprotocol, keys)

    def _decide(
        self, knock: Knock, subprotocol: str | None, keys: tuple[str, ...]
    ) -> Accept | Refuse:
        central = self._central
        try:
            admission: Admission | None = central.plugins.decide(
                "ocpp_admit", knock=knock, at=central.now()
            )
            # Passwords that are tried all at once learn no more than one by one.
            if knock.password is not None and self.failures.blocks(*keys):
                return TOO_MANY
            charger = central.charger(knock.charger_id)
        except DecisionFailed as error:
            log.warning("%s was refused: %s", knock.charger_id, error)
            return Refuse(503, "the central system cannot decide now", RETRY)
        if admission is None:
            admission = self._by_policy(charger, knock)
        if admission.verdict is Verdict.REJECT:
            kind = _KINDS.get(admission.status, "")
            if kind == "key":
                self.failures.add(*keys)
            return self._refuse(knock, admission.status, admission.reason or "not known here", kind)
        if not admission.authenticated and self._old_one_lives(charger):
            return self._refuse(knock, 403, "this charger is connected already", "taken")
        accepted = admission.verdict is Verdict.ACCEPT
        registration: Registration = ACCEPTED if accepted else PENDING

        def on_open(connection: Connection) -> None:
            central.opened(charger, connection, subprotocol or "", registration)

        return Accept(subprotocol, on_open)

    def _by_policy(self, charger: Charger, knock: Knock) -> Admission:
        """Judge a charger about which no plugin has an opinion."""
        if charger.registration == ACCEPTED:
            return Admission(verdict=Verdict.ACCEPT)
        policy = self._central.options.unknown
        if policy == "auto":
            here = is_loopback(knock.remote_addr) and not knock.passed_on
            policy = "accept" if here else "pending"
        if policy == "accept":
            return Admission(verdict=Verdict.ACCEPT)
        if policy == "pending":
            return Admission(verdict=Verdict.PENDING)
        return Admission(verdict=Verdict.REJECT, status=404, reason="not known here")

    def _old_one_lives(self, charger: Charger) -> bool:
        """Ask a connected charger whether it still is, so that nobody takes its place."""
        session = charger.session
        if session is None or not session.connection.open:
            return False
        flag = self._central.runtime.flag()
        alive: list[bool] = []

        def done(answered: bool) -> None:
            alive.append(answered)
            flag.set()

        session.connection.probe(PROBE_S, done)
        flag.wait(PROBE_S + 1)
        return alive == [True]

    def stray(self, upgrade: Upgrade) -> Refuse:
        """Refuse a charger whose address leads nowhere, and show it to the operator."""
        return self._refuse_path(upgrade, 404, "Nothing is served at this path.", "path")

    def _refuse_path(self, upgrade: Upgrade, status: int, reason: str, kind: str) -> Refuse:
        segment = unquote(upgrade.path.rstrip("/").rpartition("/")[2], errors="replace")
        knock = Knock(charger_id=_shown(segment), remote_addr=upgrade.remote_addr, tls=upgrade.tls)
        if any(one.lower().startswith("ocpp") for one in upgrade.offered):
            self._note(knock, status, reason, kind, _shown(upgrade.path))
        return Refuse(status, reason)

    def _note(self, knock: Knock, status: int, reason: str, kind: str, path: str = "") -> None:
        """Put a charger into the list of those turned away, where operators see it."""
        central = self._central
        self.refused.add(
            Refused(
                charger_id=knock.charger_id,
                remote_addr=knock.remote_addr,
                status=status,
                reason=reason,
                at=central.now(),
                kind=kind,
                path=path,
            )
        )
        central.teller.tell(knock.charger_id, "turned away")

    def _refuse(self, knock: Knock, status: int, reason: str, kind: str) -> Refuse:
        central = self._central
        at = central.now()
        self._note(knock, status, reason, kind)
        central.drop_stranger(knock.charger_id)
        shown = Knock(charger_id=knock.charger_id, remote_addr=knock.remote_addr, tls=knock.tls)
        central.emit("ocpp_charger_refused", knock=shown, status=status, reason=reason, at=at)
        return Refuse(status, reason, CHALLENGE if status == 401 else ())


def _shown(text: str) -> str:
    """Cut what a stranger sent to what a list shows of it."""
    return "".join(
        one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text[:SHOWN]
    )


def is_loopback(address: str) -> bool:
    """Tell whether a connection comes from this machine."""
    return address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1", "localhost")
