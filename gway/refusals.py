"""What a server's refusal, or its silence, means for the person at the command line."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING
from urllib.error import HTTPError

from gway.credentials import WAYS
from gway.errors import GwayError

if TYPE_CHECKING:
    from gway.remote import Server


class Refused(GwayError):
    """A server's refusal, with its status."""

    def __init__(self, message: str, hint: str | None, status: int) -> None:
        super().__init__(message, hint)
        self.status = status


def refused(error: HTTPError, server: Server) -> Refused:
    """Make an error of a status, with the server's own words where it gave some."""
    with error:
        try:
            told = json.loads(error.read(1 << 16))
        except (ValueError, OSError):
            told = {}
    if not isinstance(told, dict):
        told = {}
    said = told.get("error") or told.get("message") or error.reason
    if isinstance(said, dict):
        said = said.get("message") or error.reason
    if 300 <= error.code < 400:
        said = f"it sends us on to {error.headers.get('Location')}, where no token goes"
    hint = _hint(error, server, str(said)) or told.get("hint")
    return Refused(f"{server.url}: {said} ({error.code})", hint and str(hint), error.code)


def _hint(error: HTTPError, server: Server, said: str) -> str | None:
    """Say what helps on a command line; None leaves it to the server."""
    if error.code == 401 and server.token:
        return "it may have expired; on that server `gway web.auth token NAME` makes another"
    if error.code == 401:
        return f"{WAYS}; on that server `gway web.auth token NAME` makes one"
    if error.code == 403 and "needs the role" in said:
        return "on that server `gway web.auth token NAME --role ROLE` makes a token that may"
    if error.code in (429, 503) and (after := error.headers.get("Retry-After", "")).isdigit():
        return f"try again in {after} s"
    if error.code == 404 and said.startswith("there is nothing at "):
        return "the recipe of that server has to set the project up: `web app setup-app PROJECT`"
    return None


def unreachable(error: Exception, server: Server) -> GwayError:
    """Make an error of a connection that did not come about, or broke."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return GwayError(
            f"{server.url} has no certificate that is trusted here: {reason.verify_message}",
            "GWAY_REMOTE_CA=FILE names certificates to trust, too",
        )
    if isinstance(reason, ssl.SSLError):
        return GwayError(f"{server.url} does not speak TLS as it should: {reason.reason}")
    if isinstance(reason, ConnectionRefusedError):
        hint = "is the server running, and is this its port? it says so where it was started"
        return GwayError(f"nothing answers at {server.url}", hint)
    why = getattr(reason, "strerror", None) or reason
    return GwayError(f"{server.url} does not answer: {why}")
