"""Read and write .cdv files: one record a line, `id:key=value:key=value`.

Values (and ids) are percent-encoded, so they may hold colons, equal signs and line
ends; `#` begins a comment line. The same id twice is an error.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote

from gway.errors import GwayError, UnknownName, did_you_mean

__all__ = ["find", "load", "save"]

Records = dict[str, dict[str, str]]


def load(file: Path) -> Records:
    """Read all records of a .cdv file.

    :param file: the file; an error names it and the line
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GwayError(f"{file} cannot be read: {error}") from None
    records: Records = {}
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            key, fields = read_line(line)
            if key in records:
                raise ValueError(f"the id {key!r} is there twice")
        except ValueError as error:
            raise GwayError(
                f"{file}:{number}: {error}", "a line is id:key=value:key=value"
            ) from None
        records[key] = fields
    return records


def find(file: Path, id: str) -> dict[str, str]:
    """Read one record of a .cdv file.

    :param file: the file
    :param id: its id, exactly or in another case
    """
    records = load(file)
    if id in records:
        return records[id]
    folded = [fields for key, fields in records.items() if key.casefold() == id.casefold()]
    if len(folded) == 1:
        return folded[0]
    error = UnknownName(f"{file} has no record '{id}'", did_you_mean(id, list(records)))
    error.exit_code = 1
    raise error


def save(file: Path, records: Records) -> None:
    """Write records to a .cdv file, replacing it whole.

    :param file: the file; it is never seen half written
    :param records: fields by id
    """
    lines = [_write(key, fields) for key, fields in records.items()]
    half = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        with half.open("w", encoding="utf-8") as out:
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
        half.replace(file)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise GwayError(f"{file} cannot be written: {error}") from None


def read_line(line: str) -> tuple[str, dict[str, str]]:
    """Read one record; raise ValueError for what is none.

    For lists too long to be read in one go; comments and blank lines are the caller's.
    """
    key, *parts = line.split(":")
    fields: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ValueError(f"{part!r} is not key=value")
        if name in fields:
            raise ValueError(f"the key {name!r} is there twice")
        fields[_decode(name)] = _decode(value.strip())
    key = _decode(key.strip())
    if not key:
        raise ValueError("the id is missing")
    return key, fields


def _write(key: str, fields: dict[str, str]) -> str:
    if not key:
        raise GwayError("a record without an id cannot be written")
    parts = [_encode(key), *(f"{_encode(name)}={_encode(str(v))}" for name, v in fields.items())]
    return ":".join(parts) + "\n"


def _decode(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"{text!r} does not decode to UTF-8") from None


def _encode(text: str) -> str:
    # What may stand for itself stays readable; everything that means something is encoded.
    return quote(text, safe=" +-_.,;@/()*!?'\"<>[]{}&$|~^`").replace(" ", "%20")
