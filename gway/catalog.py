"""Everything there is: projects, settings, recipes, listed without running any of it."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gway.loader import Place, bundled, mount
from gway.scan import scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gway.resolver import Gateway


# A project defines its settings itself, or takes them over from one of its parts.
_SETTINGS = re.compile(r"^SETTINGS\b *[:=]|^from .* import .*\bSETTINGS$", re.MULTILINE)


def listed_projects() -> Iterator[tuple[Place, str]]:
    """Give each project that has functions, and its summary."""
    for place in mount().projects():
        source = scan(place)
        if source.has_verbs:
            yield place, source.summary


def declare_all(gateway: Gateway) -> list[tuple[str, Exception]]:
    """Declare the settings of all projects, loaded or not; give those that cannot be read."""
    problems: list[tuple[str, Exception]] = []
    for module in sorted(_modules_with_settings()):
        try:
            gateway.settings.declare(*getattr(import_module(module), "SETTINGS", ()))
        except Exception as error:
            import logging

            logging.getLogger("gway").debug("cannot read %s", module, exc_info=True)
            problems.append((module, error))
    return problems


def settings_rows(gateway: Gateway) -> list[dict[str, Any]]:
    """Give each declared setting with its value and where that came from."""
    rows: list[dict[str, Any]] = []
    for setting in gateway.settings.declared():
        value = gateway.settings.get(setting.name)
        hidden = setting.secret and value not in (None, "")
        rows.append(
            {
                "setting": f"GWAY_{setting.name}",
                "value": "***" if hidden else value,
                "source": gateway.settings.source(setting.name),
                "help": setting.help,
            }
        )
    return rows


def find_recipe_folders(root: str | os.PathLike[str]) -> list[Path]:
    """List the folders that recipes are found in, the workspace's first."""
    folders = [Path(root) / "recipes", Path(bundled("recipes"))]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def recipe_names(root: str | os.PathLike[str]) -> dict[str, Path]:
    """List the recipes by name, such as `etron/local`; the workspace's hide the bundled."""
    found: dict[str, Path] = {}
    for folder in find_recipe_folders(root):
        for path in sorted(folder.rglob("*.gwr")):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return found


def _modules_with_settings() -> Iterator[str]:
    for place in mount().projects():
        if _has_settings(Path(place.file)):
            yield place.module
    package = Path(__file__).parent
    for path in package.rglob("*.py"):
        if path.name != "settings.py" and _has_settings(path):
            relative = path.relative_to(package.parent).with_suffix("")
            if relative.parts[:2] != ("gway", "projects"):
                yield ".".join(relative.parts)


def _has_settings(path: Path) -> bool:
    return _SETTINGS.search(path.read_text(encoding="utf-8")) is not None
