"""Help for a terminal: what there is, how it is called, what it means."""

from __future__ import annotations

import os
import sys

from gway.loader import Mount, Place, mount
from gway.scan import has_verbs, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from gway.runner import Runner
    from gway.signature import Param, Signature

COMMANDS = (
    ("run RECIPE", "Run a recipe (.gwr); --check only tries its names and options"),
    ("site NAME", "In a recipe: keep what this run writes apart, in work/NAME"),
    ("until ...", "In a recipe: keep going until --done, --forever, --minutes N, --file PATH"),
    ("every ...", "Run a verb again and again: every --seconds N VERB"),
    ("help [NAME]", "Explain a project, a verb or a recipe"),
    ("projects", "List the projects and where they come from"),
    ("settings", "List the settings, their values and where those come from"),
    ("test [--flags a,b]", "Run the tests with pytest"),
    ("reference [--to FILE]", "Write all of this, of every project, as one Markdown page"),
    ("completion SHELL", "Print the code for completion in bash, zsh or fish"),
)
OPTIONS = (
    ("-w, --workspace DIR", "folder with projects/, recipes/ and work/"),
    ("--site NAME", "which server of the workspace: its folder below work/"),
    ("--at URL", "run the verb on that server instead of here"),
    ("--token-file FILE", "the token for --at, if GWAY_TOKEN has none; else it is asked for"),
    ("--at-insecure", "send that token even where it is not encrypted"),
    ("--json --csv --html", "write the result in this form"),
    ("--set NAME=VALUE", "set a setting for this run"),
    ("--debug", "show where an error happened"),
    ("-V, --version", "print the version"),
    ("-h, --help", "this, or the help of what follows"),
)
EXAMPLES = (
    "gway run etron/local",
    "gway help ocpp.evcs simulate",
    "gway ocpp.data view_charger_summary --json",
)
MAX_WIDTH = 100
LONGEST_CHOICE = 28
"""Characters of `a|b|c` in a usage; longer ones are listed with the option's meaning."""
MIN_WIDTH = 50


def general(mounted: Mount, root: str) -> str:
    """Give the help of gway itself, without importing any project."""
    sources = ((place.name, scan(place)) for place in mounted.projects())
    rows = [(name, source.summary) for name, source in sources if source.has_verbs]
    parts = [
        f"{bold('gway')}: every public function of a project is a verb, a page or an API call.\n",
        section("Usage"),
        "  gway [options] PROJECT VERB [arguments] [- VERB ...]\n",
        "  gway run RECIPE [--key value ...]\n",
        section("Projects"),
        table(rows),
        section("Commands"),
        table(COMMANDS),
        section("Options"),
        table(OPTIONS),
        section("Examples"),
        *(f"  {example}\n" for example in EXAMPLES),
        f"\nWorkspace: {root}\n",
    ]
    return "".join(parts)


def explain(runner: Runner, words: list[str]) -> str:
    """Give the help of what words name: a project, a verb, a built-in verb, a recipe."""
    words = [piece for word in words for piece in word.split()]
    if not words:
        return general(mount(), str(runner.gateway.workspace.root))
    if runner.commands.find(words[0]) is not None:
        return _verb_help(runner, words[:1])
    way = mount().follow(words)
    if way.place is not None and not way.unknown and not way.verb:
        return _place_help(runner, way.place)
    if way.place is None:
        from gway.errors import UnknownName

        try:
            return _recipe_help(runner, words[0])
        except UnknownName:
            runner.find(words)
    return _verb_help(runner, words)


def usage(label: str, signature: Signature) -> str:
    """Give the one-line form of a verb, such as `gway cdv find FILE ID [--field TEXT]`."""
    return " ".join(usage_words(label, signature))


def usage_words(label: str, signature: Signature) -> list[str]:
    """Give the form of a verb in pieces that stay whole on a line."""
    words = [f"gway {label}"]
    words.extend(_usage_of(param) for param in signature.params)
    if signature.many is not None:
        words.append(f"[{signature.many.name.upper()} ...]")
    if signature.extra is not None:
        words.append("[--key value ...]")
    return words


# --- kinds of help -----------------------------------------------------------


def _place_help(runner: Runner, place: Place) -> str:
    source = scan(place)
    parts = [f"{bold(place.name)}" + (f": {source.summary}\n" if source.summary else "\n")]
    if not place.is_project:
        rows = [
            (child.name, scan(child).summary)
            for child in mount().children(place)
            if has_verbs(child)
        ]
        parts += [section("Projects"), table(rows)]
        parts.append(f"\nSee `gway help {rows[0][0]}`.\n" if rows else "\n")
        return "".join(parts)
    from gway.runner import is_verb
    from gway.signature import read

    functions = runner.gateway.load(place.name)._functions()
    groups: dict[str, list[tuple[str, str]]] = {"Verbs": [], "Pages": [], "API": []}
    for name, fn in functions.items():
        summary = read(fn).summary
        answers = _address(place.name, name, fn)
        if is_verb(name):
            groups["Verbs"].append((_shown(name), summary))
        elif name.startswith("view_") and answers.startswith("GET"):
            groups["Pages"].append((_shown(name), summary))
        elif name.startswith("api_"):
            groups["API"].append((answers, summary))
    for title, rows in groups.items():
        if rows:
            parts += [section(title), table(rows)]
    first = next(iter(sorted(functions, key=lambda name: not is_verb(name))), None)
    if first:
        parts.append(f"\nSee `gway help {place.name} {_shown(first)}` for one of them.\n")
    return "".join(parts)


def _verb_help(runner: Runner, words: list[str]) -> str:
    from gway.signature import read, read_named

    found = runner.find(words)
    if found.project and not found.raw:
        functions = runner.gateway.load(found.project)._functions()
        signature = read_named(found.verb, {found.verb: found.function, **functions})
    else:
        signature = read(found.function)
    name = f"{found.project} {_shown(found.verb)}" if found.project else found.verb
    if found.raw:
        summary, _, form = signature.summary.partition(": ")
        return f"{bold(summary)}\n{section('Usage')}  gway {form.split(';')[0]}\n"
    parts = [f"{bold(signature.summary or name)}\n"]
    if signature.text:
        parts.append(f"\n{signature.text}\n")
    parts += [section("Usage"), fold(usage_words(name, signature), "  ", "      ")]
    values = [param for param in signature.params if param.positional]
    if signature.many is not None:
        values.append(signature.many)
    options = [param for param in signature.params if not param.positional]
    if values:
        parts += [
            section("Arguments"),
            table(parameter_rows(values, lambda each: each.name.upper())),
        ]
    rows = parameter_rows(options, option_form)
    if signature.extra is not None:
        rows.append(("--key value", signature.extra.help or "any further option"))
    if rows:
        parts += [section("Options"), table(rows)]
    parts.append(_web_note(found.project, found.verb, found.function))
    return "".join(parts)


def _recipe_help(runner: Runner, name: str) -> str:
    from gway.recipes import RecipeRunner

    recipes = RecipeRunner(runner)
    recipe = recipes.load(name)
    parts = [f"{bold(recipe.label)}\n"]
    if recipe.about:
        parts.append(f"\n{recipe.about}\n")
    shown = recipe.label.removeprefix("recipes/").removesuffix(".gwr")
    names = recipes.names(recipe)
    parts += [section("Usage"), f"  gway run {shown}{' [--key value ...]' if names else ''}\n"]
    if names:
        meanings = recipe.meanings()
        rows = [
            (f"--{_shown(key)}", f"{meanings.get(key, '')} {_filled_note(default)}".strip())
            for key, default in names.items()
        ]
        parts += [section("Values"), table(rows)]
    return "".join(parts)


def _filled_note(default: str | None) -> str:
    if default is None:
        return "(required)"
    return f"(default: {default})" if default else ""


# --- pieces ------------------------------------------------------------------


def _shown(verb: str) -> str:
    return verb.replace("_", "-")


def _usage_of(param: Param) -> str:
    if param.positional:
        name = param.name.upper()
        return name if param.required else f"[{name}]"
    form = option_form(param)
    return form if param.required else f"[{form}]"


def option_form(param: Param) -> str:
    """Give how a parameter is written as an option, such as `--times INT`."""
    from gway.conversion import alternatives, choices_of, describe, is_flag

    if is_flag(param.annotation):
        opposite = f"--no-{param.option[2:]}"
        if param.required:
            return f"{param.option}|{opposite}"
        return opposite if param.default is True else param.option
    members = (each for each in alternatives(param.annotation) if each is not type(None))
    kinds = (describe(each) if choices_of(each) else describe(each).upper() for each in members)
    form = "|".join(dict.fromkeys(kinds))
    return f"{param.option} {form if len(form) <= LONGEST_CHOICE else 'WORD'}"


def parameter_rows(params: Iterable[Param], form: Callable[[Param], str]) -> list[tuple[str, str]]:
    """Give each parameter in a form, and what is to be said of it."""
    from gway.conversion import choices_of, is_flag
    from gway.output import cell
    from gway.results import MISSING

    rows: list[tuple[str, str]] = []
    for param in params:
        notes = [param.help] if param.help else []
        choices = choices_of(param.annotation)
        if choices and (param.positional or "|" not in option_form(param)):
            notes.append(f"(one of {', '.join(choices)})")
        if param.default is MISSING:
            if not param.positional:
                notes.append("(required)")
        elif param.default not in (None, "", (), [], {}) and not is_flag(param.annotation):
            notes.append(f"(default: {cell(param.default)})")
        rows.append((form(param), " ".join(notes)))
    return rows


def _web_note(project: str, verb: str, function: Callable[..., Any]) -> str:
    from gway.marks import access_of

    answers = _address(project, verb, function)
    return f"\nOn the web: {answers} (role {access_of(function).role})\n" if answers else ""


def _address(project: str, verb: str, function: Callable[..., Any]) -> str:
    """Say where a function answers, such as `GET /api/ocpp/csms/chargers`."""
    from gway.marks import access_of, web_name

    found = web_name(verb)
    if found is None:
        return ""
    kind, name = found
    address = f"/{project.replace('.', '/')}/{_shown(name)}"
    return f"{access_of(function).method} {address if kind == 'view' else f'/{kind}{address}'}"


def section(title: str) -> str:
    """Give a heading."""
    return f"\n{bold(title)}\n"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Give two aligned columns, the second folded to the width of the terminal."""
    rows = list(rows)
    width = min(max((len(left) for left, _ in rows), default=0), 45)
    lines: list[str] = []
    for left, right in rows:
        if not right:
            lines.append(f"  {left}\n")
        elif len(left) > width:
            lines.append(
                f"  {left}\n" + fold(right.split(" "), " " * (width + 4), " " * (width + 4))
            )
        else:
            lines.append(fold(right.split(" "), f"  {left.ljust(width)}  ", " " * (width + 4)))
    return "".join(lines)


def fold(words: list[str], first: str, later: str, limit: int = 0) -> str:
    """Put words on lines that fit, with what stands before the first and the later ones.

    :param limit: columns; those of the terminal if 0
    """
    limit = limit or _columns()
    lines: list[str] = []
    line = first
    filled = False
    for word in words:
        if filled and len(line) + 1 + len(word) > limit:
            lines.append(line.rstrip())
            line, filled = later, False
        line += f" {word}" if filled else word
        filled = True
    lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def bold(text: str) -> str:
    """Make a text stand out on a terminal that may show it."""
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        return f"\x1b[1m{text}\x1b[0m"
    return text


def _columns() -> int:
    try:
        columns = os.get_terminal_size(1).columns
    except OSError:
        columns = MAX_WIDTH
    return max(MIN_WIDTH, min(columns or MAX_WIDTH, MAX_WIDTH))
