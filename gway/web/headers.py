"""The headers that every answer has, those of the transport's own errors included."""

from __future__ import annotations

SECURITY_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
NO_STORE = "no-store"
PLAIN_HEADERS = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Cache-Control", NO_STORE),
    *SECURITY_HEADERS,
)
"""Of a short text that ends a connection."""


def plain_bytes(status_line: str, text: str) -> bytes:
    """Write a whole answer, for a request that could not even be read.

    :param status_line: such as "400 Bad Request"
    :param text: its body, one line
    """
    body = f"{text}\n"
    fields = [*PLAIN_HEADERS, ("Content-Length", str(len(body))), ("Connection", "close")]
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status_line}\r\n{head}\r\n{body}".encode("latin-1")
