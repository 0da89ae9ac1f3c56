"""Where the remote central system is, and by what our virtual charge points are known there.

A charger's own password never goes to the remote: it is ours to check and not ours to
use. What the remote wants comes from a setting, or from a file with a line for each.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit

from gway.errors import GwayError, UsageError
from gway.projects.cdv import load
from gway.projects.ocpp.evcs.link import Target
from gway.settings import Setting

URL = Setting("OCPP_REMOTE", None, str, "address of the remote central system, ws:// or wss://")
PASSWORD = Setting(
    "OCPP_REMOTE_PASSWORD", None, str, "password of all chargers at the remote", secret=True
)
KEYS = Setting("OCPP_REMOTE_KEYS", None, str, "passwords at the remote, a .cdv file: ID:key=WORD")
CA = Setting("OCPP_REMOTE_CA", None, str, "PEM file of certificates to trust for the remote")

HEX_KEY = 40
"""Characters of an AuthorizationKey that is 20 bytes in hex (SEC 2)."""


class Remote:
    """The remote of one gateway.

    :param url: address up to the charger's id, such as wss://cloud.example/ocpp/csms
    :param password: what all chargers use that have none of their own
    :param keys: .cdv file with `ID:key=WORD`; read again when it changes
    :param ca: certificates to trust in the place of the system's
    """

    def __init__(
        self,
        url: str,
        *,
        password: str | None = None,
        keys: Path | None = None,
        ca: Path | None = None,
    ) -> None:
        self.url = checked(url)
        self._password = password
        self._keys_file = keys
        self._keys: dict[str, str] = {}
        self._read_at = 0
        self.ca = ca
        self._tls = trusted(ca) if self.url.startswith("wss:") else None
        self._read_keys()

    def target(self, charger_id: str) -> Target:
        """Say where a charger's virtual charge point connects, and as whom."""
        return Target(
            f"{self.url}/{quote(charger_id, safe='')}",
            username=charger_id,
            password=lambda: self._secret(charger_id),
            tls=self._tls,
        )

    @property
    def in_the_clear(self) -> bool:
        """Whether a password would travel unencrypted."""
        host = urlsplit(self.url).hostname or ""
        near = host == "localhost" or host.startswith("127.") or host == "::1"
        has_secrets = self._password is not None or bool(self._keys)
        return has_secrets and self._tls is None and not near

    def _secret(self, charger_id: str) -> bytes | None:
        self._read_keys()
        secret = self._keys.get(charger_id, self._password)
        if secret is None:
            return None
        if len(secret) == HEX_KEY:
            try:
                return bytes.fromhex(secret)
            except ValueError:
                return secret.encode()
        return secret.encode()

    def _read_keys(self) -> None:
        if self._keys_file is None:
            return
        try:
            changed = self._keys_file.stat().st_mtime_ns
        except OSError as error:
            if self._read_at:
                return  # being replaced: what was read last stays
            raise GwayError(f"{self._keys_file} cannot be read: {error.strerror}") from None
        if changed == self._read_at:
            return
        found = load(self._keys_file)
        self._keys = {name: row["key"] for name, row in found.items() if row.get("key")}
        self._read_at = changed


def checked(url: str) -> str:
    """Give an address in its one spelling; raises UsageError for what cannot be one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise UsageError(
            f"--remote {url!r} is no ws:// or wss:// address", "such as wss://cloud/ocpp/csms"
        )
    if parts.username or parts.password:
        raise UsageError(
            "--remote: no user and password in an address",
            f"give the password in GWAY_{PASSWORD.name}, or a file in GWAY_{KEYS.name}",
        )
    if parts.query or parts.fragment:
        raise UsageError("--remote ends with a path: the charger's id is put behind it")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port is None else f"{host}:{port}"
    return f"{parts.scheme}://{place}{quote(parts.path.rstrip('/'), safe='/%:@!$&+,;=~-._')}"


def trusted(ca: Path | None) -> ssl.SSLContext:
    """Give what says whom to trust; to be made once, as to read all certificates takes long.

    :param ca: PEM file of certificates to trust in the place of the system's
    Errors: GwayError when it cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise GwayError(f"{ca} holds no certificates that can be read: {error}") from None
