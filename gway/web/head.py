"""The header fields of a request, read strictly and at a tenth of the usual cost.

pywsgi parses a head with the standard library's email parser, which takes longer than
the rest of a WebSocket's handshake and forgives what no HTTP client sends.
"""

from __future__ import annotations

import re
from typing import Any

_ODD = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, 5.5: some take a CR for a line's end
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2: a token


class RequestHead:
    """The fields of one request, in the shape pywsgi asks for.

    :param rfile: the stream, behind the request line
    :param limit: bytes that the fields may have together

    Errors: ValueError for what is no field, ConnectionAbortedError when it is cut off.
    """

    __slots__ = ("_values", "headers")

    status = ""  # pywsgi refuses the request if this says anything

    def __init__(self, rfile: Any, limit: int) -> None:
        self.headers: list[str] = []
        self._values: dict[str, str] = {}
        while True:
            line: bytes = rfile.readline(limit + 1)
            limit -= len(line)
            if limit < 0:
                raise ValueError("request head too large")
            if not line.endswith(b"\n"):
                raise ConnectionAbortedError("request head cut off")
            if line in (b"\r\n", b"\n"):
                self._check()
                return
            self._add(line)

    def _add(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        # A folded line (RFC 9112, 5.2) begins with a space, which no name has.
        if not colon or not _NAME.fullmatch(name):
            raise ValueError("not a header field")
        if _ODD.search(value[:-1].removesuffix(b"\r")):
            raise ValueError("a control character in a header field")
        text = value.strip().decode("latin-1")
        self.headers.append(f"{name.decode('ascii')}: {text}")
        key = name.decode("ascii").lower()
        if key == "transfer-encoding" and (key in self._values or text.lower() != "chunked"):
            # Who stands in front may have gone by another of them, or by the last.
            raise ValueError("an encoding that is not read here")
        first = self._values.setdefault(key, text)
        if first != text and key == "content-length":
            raise ValueError("two different lengths")

    def _check(self) -> None:
        """Refuse what two servers in a row could take for two different lengths."""
        length = self._values.get("content-length")
        if length is None:
            return
        if not (length.isascii() and length.isdecimal()):
            raise ValueError("the length is not a number")
        if "transfer-encoding" in self._values:
            raise ValueError("a length, and chunks")

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a field."""
        return self._values.get(name.lower(), default)

    getheader = get

    def __delitem__(self, name: str) -> None:
        """Forget the value of a field."""
        del self._values[name.lower()]

    @property
    def typeheader(self) -> str | None:
        """The content type."""
        return self.get("content-type")
