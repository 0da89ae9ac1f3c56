"""Fragments that many open pages show, compressed once for all of them.

A dashboard's cards are 100 KiB, of which a change alters some digits, and two hundred pages ask
for them in the same moment: sending them took longer than making them. What is compressed
holds nothing of a visitor's own, so its length tells a stranger nothing.
"""

from __future__ import annotations

import gzip
from functools import cached_property
from typing import TYPE_CHECKING

from gway.web.page import Page
from gway.web.reply import Reply

if TYPE_CHECKING:
    from gway.web.request import Request

LEVEL = 1  # a millisecond for 100 KiB; the highest saves another third and takes ten


class SharedPage(Page):
    """A fragment that is the same for everybody who may see it."""

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


def fragment_reply(request: Request, page: Page) -> Reply:
    """Answer with a fragment, compressed if it is shared and the browser takes that."""
    if not isinstance(page, SharedPage):
        return Reply(str(page), page.status)
    vary = ("Vary", "Accept-Encoding")
    if not takes_gzip(request.header("Accept-Encoding")):
        return Reply(page.plain, page.status, headers=[vary])
    return Reply(page.gzipped, page.status, headers=[("Content-Encoding", "gzip"), vary])


def takes_gzip(accepted: str) -> bool:
    """Tell whether the header Accept-Encoding names gzip, and not as what is refused."""
    for part in accepted.lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() == "gzip":
            return quality.replace(" ", "").rstrip("0.") != "q="
    return False
