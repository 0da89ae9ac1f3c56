"""How values look: on pages, in CSV cells, in JSON and in plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86400
_NONE = "\N{EN DASH}"


def label(name: str) -> str:
    """Return a name in words: `charger_id` and `charger-id` become `Charger id`."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]


def sentence(text: str) -> str:
    """Return a text, such as an error's, as a sentence: a capital first and a full stop last.

    A first word that is no plain word may be a name, and an address would be another with a
    full stop: they stay as they are.
    """
    first, _, _ = text.partition(" ")
    _, _, last = text.rpartition(" ")
    if first.rstrip(",;:").isalpha():
        text = text[:1].upper() + text[1:]
    ended = not text or text.endswith((".", "!", "?", ":", "…")) or "://" in last
    return text if ended else f"{text}."


def iso(moment: datetime | None) -> str:
    """Return a time as ISO 8601 in UTC with `Z`, as `<time datetime="...">` wants it."""
    if moment is None:
        return ""
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {moment!r}")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(moment: datetime | None) -> str:
    """Return a time as people read it, in UTC: `2026-03-01 12:03:07 UTC`."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float | None) -> str:
    """Return a length of time with its two largest units: `1 h 05 min`."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S:02} h"


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with thin groups of thousands, or a dash for none."""
    return (
        _NONE if value is None else f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    )


def energy(energy_wh: float | None) -> str:
    """Return an amount of energy, given in Wh, in kWh."""
    return _NONE if energy_wh is None else f"{number(energy_wh / 1000, 2)} kWh"


def power(power_w: float | None) -> str:
    """Return a power, given in W, in W or kW."""
    if power_w is None:
        return _NONE
    return f"{number(power_w)} W" if abs(power_w) < 1000 else f"{number(power_w / 1000, 1)} kW"


def plain(value: Any) -> str:
    """Return a value as one line of text, for a cell."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case datetime():
            return iso(value)
        case date() | Path():
            return str(value)
        case Enum():
            return str(value.value)
        case float():
            return f"{value:.12g}"
        case int():
            return str(value)
        case _:
            return to_json(value)


def to_json(value: Any, *, indent: int = 2) -> str:
    """Return a value as JSON text; times, enums, paths, dataclasses and structs included.

    :param indent: spaces per level; 0 for the compact form
    """
    import msgspec

    encoded = msgspec.json.encode(value, enc_hook=_simpler)
    return msgspec.json.format(encoded, indent=indent or -1).decode()


def to_json_bytes(value: Any) -> bytes:
    """Return a value as compact JSON in UTF-8."""
    import msgspec

    return msgspec.json.encode(value, enc_hook=_simpler)


def to_text_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, header: bool = True
) -> str:
    """Return rows as aligned columns of plain text."""
    lines = [list(columns)] if header else []
    lines += [[plain(row.get(column)) for column in columns] for row in rows]
    widths = [max((len(line[index]) for line in lines), default=0) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _simpler(value: Any) -> Any:
    """Turn what the JSON encoder does not know into what it knows."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):  # subclasses, such as pages
        return str.__str__(value)
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    try:
        return list(value)
    except TypeError:
        raise NotImplementedError(f"no JSON for {type(value).__name__}") from None
