"""The reference: every verb, page, API call, hook, setting, metric and recipe, read from the code.

It is what `gway help` knows, all at once and as Markdown; a test compares the copy that is kept
in the tree with what this module writes, so the two cannot part.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gway import helptext
from gway.loader import HOOKSPECS, PACKAGE, Place, mount
from gway.marks import access_of, web_name
from gway.output import cell
from gway.scan import scan
from gway.signature import Signature, read_named

if TYPE_CHECKING:
    from types import ModuleType

    from gway.resolver import Gateway
    from gway.runner import Runner

Functions = Mapping[str, Callable[..., Any]]

USAGE_WIDTH = 92


class Hook(NamedTuple):
    """One hook: its call, whether it is a question, and its sentence."""

    name: str
    arguments: str
    decides: bool
    sentence: str


def write(runner: Runner) -> str:
    """Give the whole reference as Markdown.

    :param runner: whose gateway finds the projects; all of them are loaded
    """
    gateway = runner.gateway
    parts = [
        "# Reference\n",
        "Made from the code by `gway reference`; `gway help NAME` shows one entry.\n",
        _contents(),
        "## Commands\n",
        "`gway [options] PROJECT VERB [arguments]` runs a verb; these belong to no project.\n",
        _table(
            ("command", "what it does"),
            ((f"`gway {form}`", meaning) for form, meaning in helptext.COMMANDS),
        ),
        "## Options\n",
        "Before the project's name; `--json`, `--csv`, `--html`, `--debug` and `--help` also"
        " after the verb.\n",
        _table(
            ("option", "what it does"),
            ((f"`{form}`", meaning) for form, meaning in helptext.OPTIONS),
        ),
        *_projects(gateway),
        "## Hooks\n",
        "Facts are told to all subscribers, decisions go to the first that answers.\n",
        *_hooks(),
        "## Settings\n",
        "`gway --set NAME=VALUE` counts before the environment, that before the workspace's"
        " `.env`; `gway settings` shows where each value came from.\n",
        _table(("setting", "default", "what it does"), _settings(gateway)),
        "## Metrics\n",
        "At `/metrics`, in the text format of Prometheus, beside those of the process. A project"
        " may have more of them once it is set up.\n",
        _table(("metric", "kind", "what it counts"), _metrics(gateway)),
        "## Recipes\n",
        "`gway run NAME --key value` fills in what a recipe leaves open.\n",
        *_recipes(runner),
    ]
    return "\n".join(parts)


# --- verbs, pages, API -------------------------------------------------------


def _contents() -> str:
    names = [place.name for place in mount().projects() if scan(place).has_verbs]
    heads = ["Commands", "Options", *names, "Hooks", "Settings", "Metrics", "Recipes"]
    return ", ".join(f"[{head}](#{head.lower().replace('.', '')})" for head in heads) + ".\n"


def _projects(gateway: Gateway) -> Iterator[str]:
    for place in mount().projects():
        functions = gateway.load(place.name)._functions()
        if functions:
            yield from _project(place, functions)


def _project(place: Place, functions: Functions) -> Iterator[str]:
    from gway.runner import is_verb

    yield f"## {place.name}\n"
    summary = scan(place).summary
    if summary:
        yield f"{summary.rstrip('.')}.\n"
    for name in functions:
        if is_verb(name):
            yield from _verb(place.name, name, functions)
    rows = [
        (f"`{method} {address}`", role, summary)
        for method, address, role, summary in _addresses(place.name, functions)
    ]
    if rows:
        yield f"### {place.name} on the web\n"
        yield _table(("address", "role", "what it does"), rows)


def _verb(project: str, name: str, functions: Functions) -> Iterator[str]:
    signature = read_named(name, functions)
    shown = name.replace("_", "-")
    yield f"### {project} {shown}\n"
    yield f"{signature.summary}\n"
    words = helptext.usage_words(f"{project} {shown}", signature)
    yield helptext.fold(words, " " * 4, " " * 8, USAGE_WIDTH)
    rows = [(f"`{form}`", text) for form, text in _parameters(signature)]
    if rows:
        yield _table(("parameter", "meaning"), rows)


def _parameters(signature: Signature) -> Iterator[tuple[str, str]]:
    named = [each for each in signature.params if each.positional]
    yield from helptext.parameter_rows(named, lambda each: each.name.upper())
    if signature.many is not None:
        yield f"{signature.many.name.upper()} ...", signature.many.help
    options = [each for each in signature.params if not each.positional]
    yield from helptext.parameter_rows(options, helptext.option_form)
    if signature.extra is not None:
        yield "--key value", signature.extra.help


def _addresses(project: str, functions: Functions) -> Iterator[tuple[str, str, str, str]]:
    named = ((web_name(name), name, function) for name, function in functions.items())
    answering = [(found, name, function) for found, name, function in named if found is not None]
    order = ("view", "ws", "api", "render")
    for (kind, page), name, function in sorted(answering, key=lambda each: order.index(each[0][0])):
        path = f"/{project.replace('.', '/')}"
        if (kind, page) != ("view", "index"):
            path += f"/{page.replace('_', '-')}"
        allowed = access_of(function)
        address = path if kind == "view" else f"/{kind}{path}"
        yield str(allowed.method), address, allowed.role, read_named(name, functions).summary


# --- hooks, settings, metrics ------------------------------------------------


def hooks_of(module: ModuleType) -> list[Hook]:
    """List the hooks that a module declares, in its order."""
    found = []
    for name, function in vars(module).items():
        marks = getattr(function, "gway_spec", None)
        if marks is not None:
            arguments = ", ".join(inspect.signature(function).parameters)
            sentence = (inspect.getdoc(function) or "").replace("\n", " ")
            found.append(Hook(name, arguments, bool(marks["firstresult"]), sentence))
    return found


def _hooks() -> Iterator[str]:
    from importlib import import_module

    yield from _hook_tables("gway", import_module("gway.hookspecs"))
    names = (place.name.split(".") for place in mount().projects())
    folders = {".".join(name[:depth]) for name in names for depth in range(1, len(name))}
    for folder in sorted(folders):
        module = f"{PACKAGE}.{folder}.{HOOKSPECS}"
        if mount().find_spec(module) is not None:
            yield from _hook_tables(folder, import_module(module))


def _hook_tables(owner: str, module: ModuleType) -> Iterator[str]:
    yield f"### Hooks of {owner}\n"
    yield _table(
        ("hook", "kind", "meaning"),
        (
            (f"`{hook.name}({hook.arguments})`", _kind_of(hook), hook.sentence)
            for hook in hooks_of(module)
        ),
    )


def _kind_of(hook: Hook) -> str:
    return "decision" if hook.decides else "fact"


def _settings(gateway: Gateway) -> Iterator[tuple[str, str, str]]:
    from gway.catalog import declare_all

    declare_all(gateway)
    for setting in gateway.settings.declared():
        default = cell(setting.default)
        yield f"`GWAY_{setting.name}`", f"`{default}`" if default else "", setting.help


def _metrics(gateway: Gateway) -> Iterator[tuple[str, str, str]]:
    from gway.web.metrics import Metrics

    metrics = gateway.service(Metrics)
    metrics.render()  # the first rendering asks the projects for theirs
    for family in sorted(metrics.registry.collect(), key=lambda each: str(each.name)):
        if not family.name.startswith(("process_", "python_")):
            counts = "_total" if family.type == "counter" else ""
            yield f"`{family.name}{counts}`", family.type, family.documentation


# --- recipes -----------------------------------------------------------------


def _recipes(runner: Runner) -> Iterator[str]:
    from gway.catalog import recipe_names
    from gway.recipes import RecipeRunner

    recipes = RecipeRunner(runner)
    for name, path in recipe_names(str(runner.gateway.workspace.root)).items():
        recipe = recipes.load(str(path))
        yield f"### {name}\n"
        about = recipe.about.partition("\ngway run ")[0]
        if about:
            yield f"{about}\n"
        meanings = recipe.meanings()
        rows = [
            (f"`--{key.replace('_', '-')}`", _filled(default), meanings.get(key, ""))
            for key, default in recipes.names(recipe).items()
        ]
        if rows:
            yield _table(("value", "default", "what it is"), rows)


def _filled(default: str | None) -> str:
    return "required" if default is None else f"`{default}`" if default else "left out"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(_cell(each) for each in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())
