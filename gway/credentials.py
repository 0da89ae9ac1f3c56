"""The token that a command sends with `--at URL`: where it comes from, and who may see it.

A command line is read by everybody on the machine (`ps`, the shell's history), so no token
is ever taken from one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gway.errors import GwayError, UsageError
from gway.site import records

if TYPE_CHECKING:
    from gway.resolver import Gateway

MAX_LENGTH = 4096
WAYS = "set GWAY_TOKEN, or name a file with --token-file FILE"


def find_token(gateway: Gateway, base: str) -> str:
    """Give the token for a server; empty when none is known.

    It is that of `--token-file`, `GWAY_TOKEN` (environment or `.env`) or
    `GWAY_TOKEN_FILE`, else the one of a server of this workspace for its own address.

    :param base: scheme, host and port, and path if it has one
    """
    settings = gateway.settings
    file = settings.get("TOKEN_FILE")
    if file and settings.source("TOKEN_FILE") == "flag":
        return read_token(Path(file))
    token = settings.get("TOKEN")
    if token:
        return checked_token(token, f"GWAY_TOKEN ({settings.source('TOKEN')})")
    if file:
        return read_token(Path(file))
    for record in records(gateway.workspace.root):
        if _same(str(record.get("url", "")), base):
            return str(record.get("token") or "")
    return ""


def read_token(path: Path) -> str:
    """Read a token from a file that only its owner may read."""
    path = path.expanduser()
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_LENGTH + 2)
    except (OSError, UnicodeDecodeError) as error:
        raise GwayError(f"--token-file: {path} cannot be read: {error}") from None
    if mode & 0o077:
        raise GwayError(f"--token-file: others may read {path}", f"chmod 600 {path}")
    return checked_token(text.strip(), str(path))


def checked_token(token: str, source: str) -> str:
    """Give a token that can stand in a header; an error never shows it."""
    fits = token.isascii() and token.isprintable() and " " not in token
    if not token or not fits or len(token) > MAX_LENGTH:
        raise UsageError(f"{source}: this is no token", "one line of letters, digits and - . _")
    return token


def ask_token(base: str) -> str:
    """Ask the person in front for a token, unseen; empty when nobody is there."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    from gway.prompts import ask_hidden

    token = ask_hidden(f"Token of {base}: ", sys.stderr).strip()
    return checked_token(token, "the token") if token else ""


def _same(url: str, base: str) -> bool:
    def plain(text: str) -> str:
        return text.rstrip("/").replace("//localhost:", "//127.0.0.1:")

    return plain(url) == plain(base)
