"""Fixtures for what must survive a killed server, a locked file and a slow disk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from durability_site import Site  # noqa: E402

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Start sites, each a `gway` process on a workspace of its own."""
    with ExitStack() as stack:

        def make(name: str = "site", **options: object) -> Site:
            site = Site(tmp_path / name, **options)  # type: ignore[arg-type]
            stack.callback(site.stop)
            site.start()
            return site

        yield make
