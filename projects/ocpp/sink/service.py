"""The logger of one gateway: who may connect, what becomes of frames, what pages see."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import msgspec

from gway.errors import UsageError
from gway.projects.ocpp.csms.admission import SUBPROTOCOL, BadCredentials, parse_basic
from gway.projects.ocpp.csms.runtime import GeventRuntime
from gway.projects.ocpp.evcs.link import LinkError, WebSocketLink
from gway.projects.ocpp.sink.alone import Alone, Session
from gway.projects.ocpp.sink.answers import TransactionIds
from gway.projects.ocpp.sink.book import Library
from gway.projects.ocpp.sink.recorder import LogFile, Recorder
from gway.projects.ocpp.sink.relay import (
    Relay,
    Upstream,
    address_for,
    checked_ca,
    checked_forward,
    is_basic,
)
from gway.projects.ocpp.sink.tally import Tallies
from gway.projects.ocpp.sink.tap import Tap, stamp
from gway.projects.ocpp.sink.verdicts import (
    Entry,
    Finding,
    encode_entry,
    finding,
)
from gway.redaction import redact
from gway.web.sse import Events
from gway.web.ws import Accept, Refuse, Upgrade

if TYPE_CHECKING:
    from gway.resolver import Gateway
    from gway.web.ws import Connection

log = logging.getLogger("ocpp.sink")

TOPIC = "ocpp.sink"
SHOWN = 1_000  # frames kept in memory for the page
SHOWN_CHARS = 4_096  # of each
LONGEST_ID = 255
MOUNT_S = 10.0
STOP_S = 2.0
CHALLENGE = (("WWW-Authenticate", 'Basic realm="OCPP", charset="UTF-8"'),)
PASSED_ON = frozenset({400, 401, 403, 404, 429, 503})  # refusals that mean the same to a charger


class Options(msgspec.Struct, frozen=True):
    """How a logger works; see `setup_app`."""

    forward: str = ""
    forward_credentials: bool = False
    ca: Path | None = None
    to: Path | None = None
    max_mb: float = 64.0
    max_hours: float = 24.0
    keep: int = 10
    interval_s: int = 300
    late_after_s: float = 30.0
    redact_tags: bool = False


class Sink:
    """Logs the messages of all chargers that connect to it."""

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw
        self.now: Callable[[], datetime] = gw.now
        self.options = Options()
        self.library = Library()
        self.tallies = Tallies()
        self.latest: deque[Entry] = deque(maxlen=SHOWN)
        self.ids = TransactionIds(gw.now)
        self.closing = False
        self.screen: Callable[[list[bytes]], None] | None = None
        self.sessions: set[Session] = set()
        self._numbers = itertools.count(1)
        self._events: Events = gw.service(Events)
        self._recorder: Recorder | None = None
        self._runtime: GeventRuntime[tuple[Session, bytes | None]] | None = None

    def configure(self, options: Options) -> None:
        """Say from now on how to work, and open the log."""
        if options.forward:
            checked_forward(options.forward)
        if options.ca is not None:
            checked_ca(options.ca)
        for name in ("max_mb", "max_hours", "keep", "interval_s", "late_after_s"):
            if getattr(options, name) < 0:
                raise UsageError(
                    f"{getattr(options, name):g} is less than nothing", f"{name}: 0 or more"
                )
        self.options = options
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None
        self.recorder  # noqa: B018 (says at once that a log cannot be written)

    @property
    def forward(self) -> str:
        """Where frames are passed on to, for people's eyes; empty for nowhere."""
        return redact(self.options.forward)

    @property
    def log(self) -> Path:
        """The file of the log."""
        return log_path(self._gw, self.options.to)

    @property
    def trouble(self) -> str:
        """Why the log cannot be written now; empty if it can."""
        return "" if self._recorder is None else self._recorder.trouble

    @property
    def lost(self) -> int:
        """Lines of the log that found no room."""
        return 0 if self._recorder is None else self._recorder.lost

    @property
    def recorder(self) -> Recorder:
        """What writes the log."""
        if self._recorder is None:
            options = self.options
            file = LogFile(
                self.log,
                max_bytes=round(options.max_mb * 1024 * 1024),
                max_age_s=options.max_hours * 3600,
                keep=options.keep,
            )
            self._recorder = Recorder(file, self._lost_line, self.screen)
        return self._recorder

    @property
    def runtime(self) -> GeventRuntime[tuple[Session, bytes | None]]:
        """Where messages are served."""
        if self._runtime is None:
            self._runtime = GeventRuntime(_serve)
        return self._runtime

    # --- what is noted ---------------------------------------------------------------

    def note(self, entry: Entry) -> None:
        """Write a line of the log, count it and keep it for the page; on the hub."""
        self.recorder.put(encode_entry(entry) + b"\n")
        self.tallies.add(entry)
        shown = entry
        if len(entry.frame) > SHOWN_CHARS:
            shown = msgspec.structs.replace(entry, frame=entry.frame[:SHOWN_CHARS] + "…")
        self.latest.append(shown)

    def tell(self) -> None:
        """Let pages know that something is new; in a greenlet of the serving thread."""
        if self._events.listens(TOPIC):
            self._events.publish(TOPIC, {"frames": self.tallies.frames})

    def _lost_line(self, count: int) -> bytes:
        note = f"{count} lines before this one are lost: they could not be written in time"
        entry = Entry(
            time=stamp(self.now()), direction="", charger="", connection=0, type="note", note=note
        )
        return encode_entry(entry) + b"\n"

    # --- who connects ------------------------------------------------------------------

    def connect(self, upgrade: Upgrade) -> Accept | Refuse:
        """Let a charger in, and where frames are passed on, only if the other side does."""
        if self.closing:
            return Refuse(503, "the message logger is about to stop", (("Retry-After", "10"),))
        charger_id, found = charger_of(upgrade.rest)
        tap_name = charger_id or f"unnamed@{upgrade.remote_addr}"
        found += _judge_credentials(upgrade, charger_id)
        if not upgrade.offered:
            found.append(finding("no-subprotocol", "no subprotocol was offered"))
        elif SUBPROTOCOL not in upgrade.offered:
            offered = ", ".join(upgrade.offered)[:200]
            text = f"offered was {offered}, and not {SUBPROTOCOL}"
            found.append(finding("wrong-subprotocol", text))
        if self.options.forward:
            return self._pass_on(upgrade, charger_id, tap_name, found)
        if upgrade.offered and SUBPROTOCOL not in upgrade.offered:
            return self._refuse(
                tap_name,
                400,
                f"this message logger answers {SUBPROTOCOL} alone; with --forward it passes on any",
                found,
            )
        subprotocol = SUBPROTOCOL if upgrade.offered else None
        tap = Tap(self, tap_name, next(self._numbers))

        def on_open(connection: Connection) -> None:
            self._opened(tap, upgrade, subprotocol, found)
            self.sessions.add(Alone(self, tap, connection))

        return Accept(subprotocol, on_open)

    def _pass_on(
        self, upgrade: Upgrade, charger_id: str, name: str, found: list[Finding]
    ) -> Accept | Refuse:
        """Connect to the central system first: only its answer says which subprotocol holds."""
        given = upgrade.headers.get("authorization", "")
        passed = given if self.options.forward_credentials and is_basic(given) else ""
        target = Upstream(
            address_for(self.options.forward, charger_id),
            ca=self.options.ca,
            subprotocols=upgrade.offered,
            authorization=passed,
        )
        try:
            link = WebSocketLink(target)
        except LinkError as error:
            status = error.status if error.status in PASSED_ON else 502
            return self._refuse(name, status, f"the central system: {error}", found)
        chosen = next(
            (each for each in upgrade.offered if each.lower() == link.subprotocol.lower()), None
        )
        tap = Tap(self, name, next(self._numbers), ocpp16=chosen in (None, SUBPROTOCOL))
        taken: list[Relay] = []

        def on_open(connection: Connection) -> None:
            self._opened(tap, upgrade, chosen, found)
            taken.append(Relay(self, tap, connection, link))
            self.sessions.add(taken[0])

        def forsaken() -> None:
            if not taken:  # the charger has gone during the handshake
                link.drop()
                link.release()

        self.runtime.later(MOUNT_S, forsaken)
        return Accept(chosen, on_open)

    def _opened(
        self, tap: Tap, upgrade: Upgrade, subprotocol: str | None, found: list[Finding]
    ) -> None:
        words = [f"from {upgrade.remote_addr}", f"path {upgrade.path}"]
        words.append(f"subprotocol {subprotocol}" if subprotocol else "no subprotocol")
        if "authorization" in upgrade.headers:
            words.append("with credentials")
        if self.options.forward:
            words.append(f"passed on to {self.forward}")
        tap.event("open", ", ".join(words), found)
        self.tell()

    def _refuse(self, name: str, status: int, reason: str, found: list[Finding]) -> Refuse:
        Tap(self, name, next(self._numbers)).event("refused", f"HTTP {status}: {reason}", found)
        self.tell()
        return Refuse(status, reason, CHALLENGE if status == 401 else ())

    def left(self, session: Session) -> None:
        """Forget a connection that has ended."""
        self.sessions.discard(session)
        self.tell()

    # --- ending --------------------------------------------------------------------------

    def stop(self) -> None:
        """Let nobody in any more."""
        self.closing = True

    def close(self) -> None:
        """Wait a moment for what is passed on, and write the rest of the log."""
        relays = [session for session in self.sessions if isinstance(session, Relay)]
        if relays:
            import gevent

            gevent.joinall([each for relay in relays for each in relay.greenlets], STOP_S)
        if self._recorder is not None:
            self._recorder.close()


def _serve(item: tuple[Session, bytes | None]) -> None:
    session, data = item
    session.take(data)
    session.sink.tell()


def charger_of(rest: str) -> tuple[str, list[Finding]]:
    """Read the charger id from a path, whatever it is; "" if there is none.

    :param rest: the path, still percent-encoded
    """
    segment = rest.rstrip("/").rpartition("/")[2]
    raw = unquote_to_bytes(segment)
    text = raw.decode("utf-8", "backslashreplace")
    found: list[Finding] = []
    if not text:
        found.append(finding("charger-id", "the path ends without a charger id"))
    elif "\\x" in text and b"\\x" not in raw:
        found.append(finding("charger-id", "the charger id is not UTF-8"))
    elif len(text) > LONGEST_ID:
        found.append(finding("charger-id", f"the charger id has {len(text)} characters"))
    return text[:LONGEST_ID], found


def _judge_credentials(upgrade: Upgrade, charger_id: str) -> list[Finding]:
    """Say whether Basic credentials are as SEC wants them; they are not checked, nor noted."""
    try:
        given = parse_basic(upgrade.headers.get("authorization"))
    except BadCredentials as why:
        return [finding("credentials", str(why))]
    if given is not None and given[0] != charger_id:
        return [finding("credentials", "the user name is not the charger id")]
    return []


def log_path(gw: Any, name: Path | None) -> Path:
    """Give the file of a log: relative names are below `work/ocpp/sink/`."""
    if name is not None and name.is_absolute():
        return name
    path: Path = gw.workspace.work("ocpp", "sink", *(name or Path("sink.jsonl")).parts)
    return path
