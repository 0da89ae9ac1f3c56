"""What a shell offers for the parameters of the site's verbs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gway.catalog import listed_projects

if TYPE_CHECKING:
    from gway.resolver import Gateway


def project(gateway: Gateway) -> Iterator[str]:
    """Offer the projects that there are."""
    return (place.name for place, _ in listed_projects())
