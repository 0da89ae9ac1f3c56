"""Static files: an address that changes with the content, and caching to match."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections import OrderedDict
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from gway.native import in_thread
from gway.web.packing import GZIPPED, VARY, pays, takes_gzip
from gway.web.reply import Reply
from gway.web.request import Request

FRAMEWORK_STATIC = Path(__file__).parent / "static"
KEPT_BYTES = 4 * 1024 * 1024
LARGEST_BYTES = 8 * 1024 * 1024
_FOREVER = "public, max-age=31536000, immutable"
_ASK = "no-cache"
_ANYTHING = "application/octet-stream"
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


class Packed:
    """Compressed files by the hash of their content: those asked for last, up to a size."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def of(self, path: Path, digest: str) -> bytes:
        """Return a file's content compressed as far as it goes, once for each content.

        :param digest: the hash that its content had
        """
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
            return found
        from gevent import get_hub

        compressed, made_of = in_thread(get_hub(), lambda: _compressed(path))
        if made_of == digest:  # or the file was changed since
            self._keep(digest, compressed)
        return compressed

    def _keep(self, digest: str, compressed: bytes) -> None:
        if digest in self._kept or len(compressed) > self._most_bytes:
            return
        self._kept[digest] = compressed
        self._size += len(compressed)
        while self._size > self._most_bytes:
            self._size -= len(self._kept.popitem(last=False)[1])


@dataclass(slots=True)
class Fingerprints:
    """The content hashes of files, each computed again when the file changes.

    :param packed: the same files, compressed
    """

    _known: dict[Path, tuple[int, int, str]] = field(default_factory=dict)
    packed: Packed = field(default_factory=Packed)

    def of(self, path: Path) -> str:
        """Return the first 12 hex digits of a file's SHA-256."""
        stat = path.stat()
        known = self._known.get(path)
        if known is not None and known[:2] == (stat.st_mtime_ns, stat.st_size):
            return known[2]
        digest = _digest(path.read_bytes())
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
    digest, stat = fingerprints.of(path), path.stat()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or _ANYTHING
    packable = pays(kind, stat.st_size) and stat.st_size <= LARGEST_BYTES
    packs = packable and takes_gzip(request)
    tag = f'"{digest}-gzip"' if packs else f'"{digest}"'  # other bytes, another tag
    headers = [("ETag", tag), ("Last-Modified", formatdate(stat.st_mtime, usegmt=True))]
    if packable:
        headers.append(VARY)
    cache = _FOREVER if request.query.get("v") == [digest] else _ASK
    if _has(request, tag):
        return Reply(b"", 304, "", headers, cache)
    if packs:
        return Reply(fingerprints.packed.of(path, digest), 200, kind, [*headers, GZIPPED], cache)
    return Reply(path.read_bytes(), 200, kind, headers, cache)


def _has(request: Request, tag: str) -> bool:
    """Tell whether the browser names a content as one that it has."""
    named = [each.strip() for each in request.header("If-None-Match").split(",")]
    return any(each.removeprefix("W/") == tag or each == "*" for each in named)


def _compressed(path: Path) -> tuple[bytes, str]:
    """Return a file's content compressed, and its hash."""
    content = path.read_bytes()
    return gzip.compress(content, 9, mtime=0), _digest(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


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
