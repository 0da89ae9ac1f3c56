"""One connection of a charger as the logger sees it: every frame is judged and noted here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gway.projects.ocpp.facts import Direction
from gway.projects.ocpp.messages.hiding import hide
from gway.projects.ocpp.sink.judge import Conversation
from gway.projects.ocpp.sink.verdicts import UNJUDGED, Entry, Finding, Kind, verdict_of

if TYPE_CHECKING:
    from gway.projects.ocpp.sink.service import Sink

LONGEST_NOTED = 255  # characters of an action or a message id in the log


def stamp(at: datetime) -> str:
    """Write a time as the log has it: UTC, milliseconds, Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class Tap:
    """Judges and notes the frames of one connection.

    :param number: of the connection, counted from 1 since the start
    """

    def __init__(self, sink: Sink, charger: str, number: int, *, ocpp16: bool = True) -> None:
        self.charger = charger
        self.number = number
        self._sink = sink
        self.conversation = Conversation(
            sink.library.of(charger), late_after_s=sink.options.late_after_s, ocpp16=ocpp16
        )

    def frame(
        self, data: bytes, direction: Direction, leg: str = "", at: datetime | None = None
    ) -> None:
        """Judge and note a frame; a large one is read beside the loop, which goes on.

        :param direction: "in" from the charger, "out" to it
        :param leg: who sent it, when frames are passed on: "charger" or "central"
        :param at: when it came; now if not given
        """
        sink = self._sink
        entry = sink.runtime.aside(
            len(data), self._look, data, direction, leg, sink.now() if at is None else at
        )
        sink.note(entry)

    def _look(self, data: bytes, direction: Direction, leg: str, at: datetime) -> Entry:
        judged = self.conversation.judge(data, direction, at)
        text, redacted = hide(data.decode("utf-8", "replace"), tags=self._sink.options.redact_tags)
        return Entry(
            time=stamp(at),
            direction=direction,
            leg=leg,
            charger=self.charger,
            connection=self.number,
            type=judged.type,
            action=judged.action,
            message_id=judged.message_id[:LONGEST_NOTED],
            latency_ms=judged.latency_ms,
            size=len(data),
            verdict=verdict_of(judged.findings),
            violations=self._shown(judged.findings),
            frame=text,
            redacted=redacted,
            note=judged.code,
        )

    def event(self, kind: Kind, note: str, findings: Sequence[Finding] = (), leg: str = "") -> None:
        """Note what is no frame: that the connection opened, or ended."""
        found = list(findings)
        self._sink.note(
            Entry(
                time=stamp(self._sink.now()),
                direction="",
                leg=leg,
                charger=self.charger,
                connection=self.number,
                type=kind,
                verdict=verdict_of(found) if found else UNJUDGED,
                violations=found,
                note=note,
            )
        )

    def _shown(self, findings: list[Finding]) -> list[Finding]:
        """Take secrets out of what findings quote."""
        if not findings:
            return findings
        tags = self._sink.options.redact_tags
        return [
            Finding(each.rule, each.paragraph, hide(each.text, tags=tags)[0], each.path)
            for each in findings
        ]
