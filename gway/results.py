"""What verbs returned, for the verbs after them."""

from __future__ import annotations

from gway.marks import WEB_PREFIXES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MISSING: Any = object()


def noun_of(verb: str) -> str:
    """Give the name a result is kept under: `find_awg` is `awg`, `simulate` itself."""
    for prefix in WEB_PREFIXES:
        if verb.startswith(prefix):
            return verb[len(prefix) :]
    _, _, noun = verb.partition("_")
    return noun or verb


class Results:
    """Return values by noun and by full name; the latest wins."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def put(self, project: str, verb: str, value: Any) -> None:
        """Keep the result of a verb; None is not kept."""
        if value is not None:
            self._values[noun_of(verb)] = value
            self._values[f"{project}.{verb}" if project else verb] = value

    def get(self, name: str, default: Any = None) -> Any:
        """Give a result by noun or full name."""
        return self._values.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def names(self) -> list[str]:
        """List the names that have a result."""
        return sorted(self._values)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
