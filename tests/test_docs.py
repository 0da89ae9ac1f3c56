"""What is written about GWAY is held to what GWAY is: help, hooks, settings, the READMEs."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest

from gway import hookspecs as framework_hooks
from gway.catalog import declare_all, settings_rows
from gway.errors import GwayError
from gway.front import read_front
from gway.helptext import explain
from gway.loader import mount
from gway.projects.ocpp import hookspecs as ocpp_hooks
from gway.recipes import RecipeRunner
from gway.resolver import Gateway
from gway.runner import Runner
from gway.signature import read_named
from gway.web.openapi import document
from gway.web.routes import Site

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("gway", "projects", "recipes", "tests", "benchmarks", ".ci")
READMES = [ROOT / "README.md"] + [
    readme for folder in ("projects", "recipes") for readme in sorted((ROOT / folder).rglob("*.md"))
]
RECIPES = sorted((ROOT / "recipes").rglob("*.gwr"))
SHELLS = ("bash", "sh", "console")
ENDS_OF_COMMANDS = set("|&;<>()")

Functions = Mapping[str, Callable[..., Any]]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- reading READMEs ---------------------------------------------------------


class Block(NamedTuple):
    """A code block of a README; `file` is what the paragraph before it says it is."""

    where: str
    language: str
    text: str
    file: str


def blocks_of(markdown: str, name: str) -> Iterator[Block]:
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE):
        before = markdown[: match.start()].rstrip()
        paragraph = before.rpartition("\n\n")[2]
        files = re.findall(r"`([\w./-]+\.(?:py|gwr|cdv|html))`", paragraph)
        file = files[-1] if files and before.endswith(":") else ""
        line = markdown.count("\n", 0, match.start()) + 1
        yield Block(f"{name}:{line}", match[1], match[2], file)


def shell_commands(text: str) -> Iterator[list[str]]:
    """Give the words of each command, without redirections, comments and pipes."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= ENDS_OF_COMMANDS:
                if words:
                    yield words
                words = []
            elif word.startswith("$(") and word.endswith(")"):
                yield from shell_commands(word[2:-1])
            elif words or not re.match(r"[A-Z_]+=", word):
                words.append(word)


def commands_of(block: Block, program: str) -> list[list[str]]:
    if block.language not in SHELLS:
        return []
    text = block.text
    for name, value in re.findall(r"^([A-Z]+)=(\S+)$", text, re.MULTILINE):
        text = text.replace(f"${name}", value)
    found = shell_commands(text)
    return [words[1:] for words in found if Path(words[0]).name == program]


def furnish(readme: Path, workspace: Path) -> list[Block]:
    """Write the files that a README shows into a workspace; give all its blocks."""
    blocks = list(blocks_of(readme.read_text(encoding="utf-8"), name_of(readme)))
    for block in blocks:
        if block.file:
            file = workspace / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
    return blocks


def command_problem(gateway: Gateway, words: list[str]) -> str:
    """Say why a command line cannot run, by the same check as `gway run RECIPE --check`."""
    try:
        front = read_front(words)
        runner = Runner(gateway, front)
        if front.words[:1] == ["help"]:
            explain(runner, front.words[1:])
        elif front.words:
            runner.check_chain(front.words, {}, set())
    except GwayError as error:
        return f"gway {shlex.join(words)}: {error.message} ({error.hint})"
    return ""


def curl_problem(paths: Mapping[str, Any], words: list[str]) -> str:
    """Say why a `curl` of the API would be refused, by what `/openapi.json` describes."""
    options = dict(pairwise(words))
    data = options.get("-d") or options.get("--data") or options.get("--json")
    method = options.get("-X", "POST" if data is not None else "GET").lower()
    url = urlsplit(next(word for word in words if word.startswith("http")))
    operation = paths.get(url.path.replace("_", "-"), {}).get(method)
    if operation is None:
        return f"curl: nothing answers {method.upper()} {url.path}"
    given = {name.replace("-", "_") for name, _ in parse_qsl(url.query)}
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        given |= set(json.loads(data or "{}"))
        known, needed = set(schema["properties"]), set(schema["required"])
    else:
        known = {each["name"] for each in operation.get("parameters", [])}
        needed = {each["name"] for each in operation.get("parameters", []) if each["required"]}
    if given - known or needed - given:
        return f"curl {url.path}: unknown {given - known}, missing {needed - given}"
    return ""


# --- functions ---------------------------------------------------------------


def bundled_functions(gateway: Gateway) -> Iterator[tuple[str, Functions]]:
    for place in mount().projects():
        yield place.name, gateway.load(place.name)._functions()


def function_problems(project: str, functions: Functions) -> Iterator[str]:
    """Say what the docstrings of functions lack.

    A page or an API call may leave a parameter to the verb of its name; help and
    `/openapi.json` then show what that says. WebSocket endpoints are called by no person.
    """
    for name, function in functions.items():
        label = f"{project}.{name}"
        first, _, rest = (inspect.getdoc(function) or "").partition("\n")
        if not first.endswith(".") or ". " in first or not (rest == "" or rest[0] == "\n"):
            yield f"{label}: its docstring does not begin with one sentence on one line"
        if name.startswith("ws_"):
            continue
        signature = read_named(name, functions)
        for param in (*signature.params, signature.many, signature.extra):
            if param is not None and not param.help:
                yield f"{label}: nothing is said of '{param.name}'"


def test_every_public_function_says_what_it_does_and_what_it_takes(gw: Gateway) -> None:
    problems: list[str] = []
    seen = 0
    for project, functions in bundled_functions(gw):
        seen += len(functions)
        problems += function_problems(project, functions)
    assert problems == []
    assert seen > 100


def test_the_guard_of_docstrings_notices_what_is_missing() -> None:
    def silent() -> None: ...

    def chatty() -> None:
        """Do this. Do that."""

    def reset(charger_id: str, type: str = "Soft") -> None:
        """Restart a charger.

        :param charger_id: which
        """

    def api_reset(charger_id: str, type: str = "Soft") -> None:
        """Restart a charger."""

    functions = {each.__name__: each for each in (silent, chatty, reset, api_reset)}
    assert list(function_problems("p", functions)) == [
        "p.silent: its docstring does not begin with one sentence on one line",
        "p.chatty: its docstring does not begin with one sentence on one line",
        "p.reset: nothing is said of 'type'",
        "p.api_reset: nothing is said of 'type'",
    ]


@pytest.fixture
def api(gw: Gateway) -> Mapping[str, Any]:
    """`paths` of the OpenAPI document with all bundled projects on the site."""
    site: Site = gw.service(Site)
    for project, _ in bundled_functions(gw):
        site.mount(project)
    paths: Mapping[str, Any] = document(site)["paths"]
    return paths


def test_the_api_document_describes_every_value_that_it_takes(api: Mapping[str, Any]) -> None:
    mute = []
    for path, operations in api.items():
        for method, operation in operations.items():
            fields = {each["name"]: each for each in operation.get("parameters", [])}
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                fields |= content["schema"]["properties"]
            mute += [
                f"{method} {path} {name}"
                for name, field in fields.items()
                if not field.get("description")
            ]
    assert mute == []
    assert "post" in api["/api/ocpp/csms/send"]


# --- hooks and settings ------------------------------------------------------


def hooks_of(module: Any) -> dict[str, Callable[..., Any]]:
    return {name: value for name, value in vars(module).items() if hasattr(value, "gway_spec")}


HOOKS = {**hooks_of(framework_hooks), **hooks_of(ocpp_hooks)}
CALLS = {True: {"decide", "ask"}, False: {"emit", "collect"}}


def sources() -> Iterator[Path]:
    for folder in ("gway", "projects"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def calls_by_name() -> dict[str, set[str]]:
    """Give, for each text that is the first argument of a call, the methods so called."""
    found: dict[str, set[str]] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                found.setdefault(str(node.args[0].value), set()).add(node.func.attr.lstrip("_"))
    return found


def test_every_hook_is_one_sentence() -> None:
    docs = {name: inspect.getdoc(hook) or "" for name, hook in HOOKS.items()}
    bad = [name for name, doc in docs.items() if not doc.endswith(".") or re.search(r"\.\s", doc)]
    assert bad == []
    assert len(docs) > 25


def test_every_hook_is_called_as_what_it_is() -> None:
    called = calls_by_name()
    silent = [
        name
        for name, hook in HOOKS.items()
        if not called.get(name, set()) & CALLS[bool(hook.gway_spec["firstresult"])]  # type: ignore[attr-defined]
    ]
    assert silent == []


def test_every_hook_has_its_place_in_a_readme() -> None:
    for module, readme in ((framework_hooks, "README.md"), (ocpp_hooks, "ocpp/README.md")):
        text = (ROOT / "projects" / readme).read_text(encoding="utf-8")
        assert [name for name in hooks_of(module) if f"`{name}`" not in text] == []


def declared_in_source() -> set[str]:
    """Give the names of all settings that any file makes."""
    found = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Setting":
                name = node.args[0] if node.args else node.keywords[0].value
                if isinstance(name, ast.Constant):
                    found.add(f"GWAY_{name.value}")
    return found


def test_gway_settings_lists_and_explains_every_setting(gw: Gateway) -> None:
    assert declare_all(gw) == []
    rows = {row["setting"]: row for row in settings_rows(gw)}
    assert declared_in_source() == set(rows)
    assert [name for name, row in rows.items() if not row["help"]] == []
    assert len(rows) > 15


# --- READMEs and recipes -----------------------------------------------------


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_every_command_of_a_readme_resolves(readme: Path, gw: Gateway, workspace: Path) -> None:
    blocks = furnish(readme, workspace)
    problems = [
        f"{block.where}: {problem}"
        for block in blocks
        for words in commands_of(block, "gway")
        if (problem := command_problem(gw, words))
    ]
    assert problems == []


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_every_curl_of_a_readme_is_answered(readme: Path, api: Mapping[str, Any]) -> None:
    blocks = blocks_of(readme.read_text(encoding="utf-8"), name_of(readme))
    problems = [
        f"{block.where}: {problem}"
        for block in blocks
        for words in commands_of(block, "curl")
        if (problem := curl_problem(api, words))
    ]
    assert problems == []


def test_the_readers_of_commands_notice_what_is_wrong(gw: Gateway, api: Mapping[str, Any]) -> None:
    text = """Try `projects/hello.py`:

```bash
X=1 gway ocpp.csms sendd CPX Reset | gway ocpp.csms reset CPX --tpye Hard > file   # no
echo "$(gway help ocpp.nothing)" && gway run etron/nowhere
gway ocpp.csms reset CPX \\
    --type Soft
curl -d '{"charger": "CPX"}' "http://127.0.0.1:8888/api/ocpp/csms/reset"
API=http://127.0.0.1:8888/api
curl "$API/ocpp/csms/reset?charger_id=CPX"
```
"""
    (block,) = blocks_of(text, "x")
    assert (block.where, block.language, block.file) == ("x:3", "bash", "projects/hello.py")
    told = [command_problem(gw, words) for words in commands_of(block, "gway")]
    assert [bool(each) for each in told] == [True, True, True, True, False]
    assert "did you mean 'send'" in told[0]
    assert [curl_problem(api, words) for words in commands_of(block, "curl")] == [
        "curl /api/ocpp/csms/reset: unknown {'charger'}, missing {'charger_id'}",
        "curl: nothing answers GET /api/ocpp/csms/reset",
    ]


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_every_recipe_shown_in_a_readme_can_run(readme: Path, gw: Gateway, workspace: Path) -> None:
    for number, block in enumerate(furnish(readme, workspace)):
        if block.language == "" and "setup-app" in block.text:
            recipe = workspace / f"{number}.gwr"
            recipe.write_text(block.text, encoding="utf-8")
            assert recipe_problems(gw, recipe) == [], block.where


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_every_recipe_passes_its_check(recipe: Path, gw: Gateway) -> None:
    assert recipe_problems(gw, recipe) == []


def test_the_first_recipe_serves_every_api_call_of_ocpp(gw: Gateway) -> None:
    text = (ROOT / "recipes" / "etron" / "local.gwr").read_text(encoding="utf-8")
    served = {project for project, _ in bundled_functions(gw) if f"    - {project}" in text}
    calls = {
        project
        for project, functions in bundled_functions(gw)
        if project.startswith("ocpp.") and any(name.startswith("api_") for name in functions)
    }
    assert calls >= {"ocpp.csms", "ocpp.data", "ocpp.rfid"}
    # The message logger and the proxy have recipes of their own.
    assert calls - served == {"ocpp.sink", "ocpp.proxy"}


def recipe_problems(gateway: Gateway, path: Path) -> list[str]:
    recipes = RecipeRunner(Runner(gateway, read_front([])))
    errors = recipes.check(recipes.load(str(path)), {}, set())
    return [f"{error.message} ({error.hint})" for error in errors]


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_every_link_of_a_readme_leads_somewhere(readme: Path) -> None:
    text = re.sub(r"```.*?```", "", readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    near = [link for link in links if "://" not in link]
    assert [link for link in near if not (readme.parent / link).exists()] == []


# --- the reference -------------------------------------------------------------


def test_the_reference_in_the_tree_is_what_the_code_says(workspace: Path) -> None:
    """`gway reference --to projects/REFERENCE.md` writes it anew."""
    command = [sys.executable, "-m", "gway", "--workspace", str(workspace), "reference"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GWAY_")}
    made = subprocess.run(command, env=clean, capture_output=True, text=True, check=True).stdout
    kept = (ROOT / "projects" / "REFERENCE.md").read_text(encoding="utf-8")
    assert made.splitlines() == kept.splitlines()
    assert "`POST /api/ocpp/csms/reset`" in kept


# --- what belongs to one machine ---------------------------------------------


def test_no_file_knows_this_machine_or_a_package_registry() -> None:
    strange = re.compile(
        r"(?<![\w.\]}*-])/(work|tmp|root|home)/\w+/|pypi\.org|pythonhosted|npmjs\.|index-url"
    )
    here = (str(ROOT) + "/", sys.prefix + "/", tempfile.gettempdir() + "/")
    found = []
    for path in project_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        if path != Path(__file__) and (strange.search(text) or any(each in text for each in here)):
            found.append(name_of(path))
    assert found == []


def project_files() -> Iterator[Path]:
    yield from (each for each in ROOT.iterdir() if each.is_file())
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
