"""Templates: bottle's SimpleTemplate with escaping, a lookup per project, and helpers.

A project's templates lie in `views/` beside its module; `include('gway/table')` reaches
those of the framework. Everything between `{{ }}` is escaped; `{{!x}}` is for markup that
another template made.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottle import SimpleTemplate  # type: ignore[import-untyped]  # no types in bottle

from gway.errors import GwayError

FRAMEWORK_VIEWS = Path(__file__).parent / "views"
_PREFIX = "gway/"


class _Template(SimpleTemplate):  # type: ignore[misc]  # bottle has no types
    """A template whose includes go through the same shelf, so they reload as well."""

    shelf: Shelf

    def _include(self, _env: dict[str, Any], _name: str = "", **kwargs: Any) -> Any:
        env = _env.copy()
        env.update(kwargs)
        return self.shelf.template(_name).execute(env["_stdout"], env)


class Shelf:
    """The templates of one folder, compiled once and again when a file changes."""

    def __init__(self, folder: Path, helpers: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self._helpers = dict(helpers or {})
        self._compiled: dict[str, tuple[int, _Template]] = {}
        self._lock = threading.Lock()

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Render a template.

        :param name: file name without `.html`; `gway/...` for the framework's own
        :param values: names that the template may use
        Errors: GwayError for a value with the name of a helper: it would fail far from here.
        """
        taken = self._helpers.keys() & values.keys()
        if taken:
            raise GwayError(
                f"a value for {self.folder / name}.html is called {', '.join(sorted(taken))},"
                " as a helper of all templates is",
                hint="give it another name",
            )
        rendered: str = self.template(name).render(self._helpers, values)
        return rendered

    def template(self, name: str) -> _Template:
        """Return the compiled template of that name."""
        path = self._path(name)
        try:
            changed = path.stat().st_mtime_ns
        except FileNotFoundError:
            raise GwayError(f"no template {path}", hint="templates end in .html") from None
        kept = self._compiled.get(name)
        if kept is not None and kept[0] == changed:
            return kept[1]
        with self._lock:
            template = _Template(path.read_text(encoding="utf-8"), name=name)
            template.filename = str(path)
            template.shelf = self
            self._compiled[name] = (changed, template)
        return template

    def _path(self, name: str) -> Path:
        if name.startswith(_PREFIX):
            return FRAMEWORK_VIEWS / f"{name.removeprefix(_PREFIX)}.html"
        return self.folder / f"{name}.html"
