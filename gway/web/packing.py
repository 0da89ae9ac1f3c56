"""Compression of what is sent, where that pays and the client takes it.

How long a compressed text is depends on what repeats in it. Whoever has words of theirs
shown on a page, beside something secret, and sees how long it gets, guesses the secret letter
by letter (BREACH). So the token of a page is another one in each answer (`masks`), and
what another site made a browser ask for is never compressed.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from gway.native import in_thread
from gway.web.page import Page

if TYPE_CHECKING:
    from gway.web.reply import Reply
    from gway.web.request import Request

LEVEL = 3  # 0.25 ms for 70 KiB; the highest saves another eighth and takes five times as long
LEAST_BYTES = 1024  # what is shorter goes into one packet anyway
INLINE_BYTES = 128 * 1024  # what is longer would hold up all others for half a millisecond
VARY = ("Vary", "Accept-Encoding")
GZIPPED = ("Content-Encoding", "gzip")
_TEXTS = ("text/", "application/json", "application/manifest+json", "image/svg+xml")
_FOREIGN = ("cross-site", "same-site")  # the latter: another port of this host, say


class SharedPage(Page):
    """A fragment that is the same for everybody who may see it, compressed once for all.

    A dashboard's cards are 100 KiB, of which a change alters some digits, and two hundred
    pages ask for them in the same moment.
    """

    @classmethod
    def of(cls, page: Page) -> SharedPage:
        """Give a fragment as one that is shared; there is no token of a visitor in it."""
        shared = cls(str(page), title=page.title, name=page.name, status=page.status)
        assert isinstance(shared, SharedPage)
        return shared

    @cached_property
    def plain(self) -> bytes:
        """The fragment as it is sent."""
        return self.encode()

    @cached_property
    def gzipped(self) -> bytes:
        """The fragment, compressed."""
        return gzip.compress(self.plain, LEVEL, mtime=0)


def packed(request: Request, reply: Reply) -> tuple[bytes | Iterable[bytes], list[tuple[str, str]]]:
    """Return a reply's body as it is sent, and the headers that say how.

    Streams, and what is compressed already, stay as they are.
    """
    shared = reply.body if isinstance(reply.body, SharedPage) else None
    if shared is not None:
        body: bytes | Iterable[bytes] = shared.plain
    else:
        body = reply.body.encode() if isinstance(reply.body, str) else reply.body
    if not isinstance(body, bytes) or not pays(reply.content_type, len(body)):
        return body, []
    if any(name.lower() == "content-encoding" for name, _ in reply.headers):
        return body, []
    if not takes_gzip(request) or request.header("Sec-Fetch-Site") in _FOREIGN:
        return body, [VARY]
    return (shared.gzipped if shared is not None else _compressed(body)), [VARY, GZIPPED]


def pays(content_type: str, size: int) -> bool:
    """Tell whether compressing is worth it: pictures and fonts are compressed already."""
    return size >= LEAST_BYTES and content_type.startswith(_TEXTS)


def takes_gzip(request: Request) -> bool:
    """Tell whether a request names gzip as what it takes, and not as what it refuses."""
    for part in request.header("Accept-Encoding").lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "").rstrip("0.") != "q="
    return False


def _compressed(content: bytes) -> bytes:
    if len(content) <= INLINE_BYTES:
        return gzip.compress(content, LEVEL, mtime=0)
    from gevent import get_hub

    return in_thread(get_hub(), lambda: gzip.compress(content, LEVEL, mtime=0))
