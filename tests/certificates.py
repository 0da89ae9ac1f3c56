"""A certificate authority of one's own, as a small company has one."""

from __future__ import annotations

import subprocess
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*words: str | Path) -> None:
    """Run openssl; what it says is shown when it fails."""
    ran = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


class Authority:
    """Issues certificates that are trusted where `pem` is.

    :param folder: where its files go
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.pem = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        words = ("-keyout", self._key, "-out", self.pem, "-days", "2", "-subj", f"/CN={name}")
        openssl("req", "-x509", *KEY, *words)

    def issue(self, name: str) -> tuple[Path, Path]:
        """Give certificate and key of a server.

        :param name: such as DNS:cloud.example or IP:127.0.0.1
        """
        stem = name.replace(":", "-")
        request, key = self._folder / f"{stem}.csr", self._folder / f"{stem}.key"
        certificate, more = self._folder / f"{stem}.pem", self._folder / f"{stem}.ext"
        more.write_text(f"subjectAltName={name}\n")
        openssl("req", *KEY, "-keyout", key, "-out", request, "-subj", "/CN=server")
        signed = ("-CA", self.pem, "-CAkey", self._key, "-CAcreateserial", "-days", "2")
        openssl("x509", "-req", "-in", request, "-out", certificate, *signed, "-extfile", more)
        return certificate, key
