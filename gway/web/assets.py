"""Static files: an address that changes with the content, and caching to match."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from gway.web.reply import Reply
from gway.web.request import Request

FRAMEWORK_STATIC = Path(__file__).parent / "static"
_FOREVER = "public, max-age=31536000, immutable"
_ASK = "no-cache"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


@dataclass(slots=True)
class Fingerprints:
    """The content hashes of files, each computed again when the file changes."""

    _known: dict[Path, tuple[int, int, str]] = field(default_factory=dict)

    def of(self, path: Path) -> str:
        """Return the first 12 hex digits of a file's SHA-256."""
        stat = path.stat()
        known = self._known.get(path)
        if known is not None and known[:2] == (stat.st_mtime_ns, stat.st_size):
            return known[2]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        self._known[path] = (stat.st_mtime_ns, stat.st_size, digest)
        return digest

    def url(self, project_path: str, folder: Path, file: str) -> str:
        """Return the address of a static file, with its content hash.

        :param project_path: the project's path, such as `ocpp/csms`
        :param folder: the project's `static` folder
        :param file: path of the file in that folder
        """
        path = folder / file
        if not path.is_file():
            raise FileNotFoundError(f"no static file {path}")
        return f"/static/{project_path}/{file}?v={self.of(path)}"


def serve(request: Request, folder: Path, file: str, fingerprints: Fingerprints) -> Reply | None:
    """Answer a request for a static file; None when there is none.

    :param folder: the folder that the file must lie in
    :param file: path of the file in that folder, as the browser sent it
    """
    path = _inside(folder, file)
    if path is None:
        return None
    digest = fingerprints.of(path)
    etag = f'"{digest}"'
    headers = [
        ("ETag", etag),
        ("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True)),
    ]
    cache = _FOREVER if request.query.get("v") == [digest] else _ASK
    if request.header("If-None-Match") == etag:
        return Reply(b"", 304, "", headers, cache)
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    return Reply(path.read_bytes(), 200, kind or "application/octet-stream", headers, cache)


def _inside(folder: Path, file: str) -> Path | None:
    """Return a file of a folder; None for anything outside, hidden or missing."""
    parts = file.split("/")
    if "\x00" in file or any(part.startswith(".") or not part for part in parts):
        return None
    base = folder.resolve()
    path = (base / file).resolve()
    if not path.is_relative_to(base) or not path.is_file():
        return None
    return path
