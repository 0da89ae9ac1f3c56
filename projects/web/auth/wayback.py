"""The way back after signing in: to a page of this server and nowhere else."""

from __future__ import annotations

from urllib.parse import unquote

HOME = "/"
LONGEST = 2_000


def local_path(text: str, *, never: tuple[str, ...] = ()) -> str:
    """Give an address of this server as it came, or `/` for anything else.

    Browsers take `//evil`, `/\\evil` and `/<tab>/evil` for other hosts, and some servers
    in between decode once more than we do.

    :param never: paths that make no sense as the way back
    """
    path = text.partition("?")[0]
    for _ in range(3):
        path = unquote(path)
    harmless = text.isascii() and text.isprintable() and " " not in text and len(text) <= LONGEST
    if not harmless or not text.startswith("/") or not path.isprintable():
        return HOME
    if "//" in path or "\\" in path or "\\" in text or path.rstrip("/") in never:
        return HOME
    return text
