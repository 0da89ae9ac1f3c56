from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from gway import recipes
from gway.errors import GwayError

NOTES = '''
from __future__ import annotations
from gway import gw

class Notes:
    def __init__(self, gateway):
        self.told = []

    def close(self):
        (gw.workspace.root / "notes.txt").write_text("\\n".join([*self.told, "closed"]))

def note(*words: str, mark: str = ""):
    """Write something down."""
    gw.service(Notes).told.append(" ".join(words) + (f" {mark}" if mark else ""))

def make_price(n: int):
    return {"n": n}

def fail(code: int = 1):
    from gway.errors import GwayError
    error = GwayError("it broke", "mend it")
    error.exit_code = code
    raise error

def crash():
    raise KeyError("x")
'''


@pytest.fixture
def told(write, workspace, cli):
    """Run a recipe of this text; give what it noted, with the outcome."""
    write("projects/pad.py", NOTES)

    def call(text: str, *words: str, name: str = "site"):
        write(f"recipes/{name}.gwr", text)
        (workspace / "notes.txt").unlink(missing_ok=True)
        done = cli("run", name, *words)
        path = workspace / "notes.txt"
        return path.read_text().splitlines() if path.exists() else [], done

    return call


def commands(text: str) -> list[list[str]]:
    return [line.words for line in recipes._commands(textwrap.dedent(text), "x.gwr")]


# --- parsing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b 'c d' \"e # f\"", [["a", "b", "c d", "e # f"]]),
        ("a b # comment 'unclosed", [["a", "b"]]),
        ("a b# comment", [["a", "b"]]),
        (r"a b\#c", [["a", "b#c"]]),
        ("a \\\n  --b 1 \\\n\n  # between\n  --c 2\n", [["a", "--b", "1", "--c", "2"]]),
        ("a \\ # why\n --b", [["a", "--b"]]),
        ("\n# only\n\n", []),
        ("\ufeffa".lstrip("\ufeff"), [["a"]]),
        ("a - b ; c", [["a", "-", "b", ";", "c"]]),
    ],
)
def test_lines_are_read_as_a_shell_reads_them(text, words):
    assert commands(text) == words


def test_a_block_puts_its_words_before_each_item():
    text = """
        web app setup-app:
            - ocpp.csms --home status   # one

            # nothing
            - ocpp.evcs
            --project ocpp.data
        web server start-app
    """
    head = ["web", "app", "setup-app"]
    assert commands(text) == [
        [*head, "ocpp.csms", "--home", "status"],
        [*head, "ocpp.evcs"],
        [*head, "--project", "ocpp.data"],
        ["web", "server", "start-app"],
    ]


def test_blocks_nest():
    text = """
        a:
            - b:
                - c 1
                - c 2
            - d
        e
    """
    assert commands(text) == [["a", "b", "c", "1"], ["a", "b", "c", "2"], ["a", "d"], ["e"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ok\na 'b\n", "x.gwr:2: no closing quotation"),
        ("ok\n  - a\n", "x.gwr:2: this line is indented"),
        ("a:\nb\n", "x.gwr:1: this block has no items"),
        ("b\na:\n", "x.gwr:2: this block has no items"),
        ("a:\n  b\n", "x.gwr:2: an item of a block begins with '- ', not with 'b'"),
        ("a:\n  -\n", "x.gwr:2: this item is empty"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(text, message):
    with pytest.raises(GwayError) as caught:
        commands(text)
    assert caught.value.message.startswith(message)
    assert caught.value.exit_code == 2


# --- finding -----------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "recipes/etron/site.gwr",
        "recipes/etron/site",
        "etron/site.gwr",
        "etron/site",
        "./recipes/etron/site.gwr",
    ],
)
def test_a_recipe_is_found_by_any_spelling(workspace, write, name):
    path = write("recipes/etron/site.gwr", "projects\n")
    assert recipes.find(name, workspace) == path
    assert recipes.find(str(path), workspace) == path


def test_dashes_and_underscores_do_not_matter(workspace, write):
    path = write("recipes/local_proxy.gwr", "projects\n")
    assert recipes.find("local-proxy", workspace) == path


def test_an_unknown_recipe_names_the_closest(cli, write):
    write("recipes/etron/site.gwr", "projects\n")
    done = cli("run", "etron/sit")
    assert (done.code, "did you mean 'etron/site'" in done.stderr) == (2, True)


# --- running -----------------------------------------------------------------


def test_the_lines_run_in_order_and_services_close_at_the_end(told):
    notes, done = told("pad note a\npad note:\n  - b c\n  - --mark d\n")
    assert (notes, done.code) == (["a", "b c", " d", "closed"], 0)


def test_values_of_the_command_line_fill_the_recipe(told):
    text = "pad note [port|8888] [host]\n"
    assert told(text, "--host", "h")[0][0] == "8888 h"
    assert told(text, "--host", "h", "--port", "1")[0][0] == "1 h"


def test_an_option_is_there_only_when_the_recipe_is_given_its_value(told):
    text = "pad note a --mark [mark|]\npad note b --mark=[mark|]\n"
    assert told(text)[0][:2] == ["a", "b"]
    assert told(text, "--mark", "m n")[0][:2] == ["a m n", "b m n"]
    assert told(text, "--mark", "")[0][:2] == ["a", "b"]
    assert told(text, "--check")[1].code == 0
    assert told("pad make-price [n|]\n", "--check")[1].code == 2


def test_a_recipe_names_the_site_that_its_files_lie_in(told, write, workspace, cli):
    write(
        "projects/place.py",
        """
        from gway import gw
        def show():
            return str(gw.workspace.work("x").relative_to(gw.workspace.root))
        """,
    )
    assert told("site corner\nplace show\n")[1].stdout == "work/corner/x\n"
    assert cli("--site", "other", "run", "site").stdout == "work/other/x\n"
    assert cli("--site", ".", "run", "site").stdout == "work/x\n"
    assert cli("--site", "../up", "run", "site").code == 2
    _, done = told("place show\nsite corner\n")
    assert (done.code, "in use already" in done.stderr) == (2, True)


def test_a_value_that_the_recipe_does_not_know_is_an_error(told):
    notes, done = told("pad note [port|8888]\n", "--prot", "1")
    assert (notes, done.code) == ([], 2)
    assert "has no [prot] to fill" in done.stderr
    assert "did you mean '--port'?" in done.stderr


def test_results_reach_later_lines(told):
    assert told("pad make-price 3\npad note [price.n]\n")[0][0] == "3"


def test_a_recipe_runs_another_beside_it_with_its_values(told, write):
    write("recipes/inner.gwr", "pad note inner [a] [b|2]\n")
    assert told("run inner.gwr --b 5\npad note [a]\n", "--a", "1")[0][:2] == ["inner 1 5", "1"]


def test_a_recipe_that_runs_itself_is_an_error(told, write):
    write("recipes/inner.gwr", "run site\n")
    _, done = told("run inner\n")
    assert done.code == 2
    assert "recipes/site.gwr would run itself" in done.stderr


@pytest.mark.parametrize("code", [1, 2])
def test_an_error_names_file_line_and_cause_and_ends_the_recipe(told, code):
    notes, done = told(f"pad note a\n\npad fail \\\n  {code}\npad note never\n")
    assert notes == ["a", "closed"]
    assert done.code == code
    assert done.stderr == "gway: recipes/site.gwr:3: it broke\nhint: mend it\n"


def test_an_error_of_an_inner_recipe_names_the_inner_line(told, write):
    write("recipes/inner.gwr", "\npad fail\n")
    assert told("run inner\n")[1].stderr.startswith("gway: recipes/inner.gwr:2: it broke")


def test_an_unforeseen_error_is_named_too(told):
    _, done = told("pad crash\n")
    assert (done.code, done.stderr.splitlines()[0]) == (
        1,
        "gway: recipes/site.gwr:1: KeyError: 'x'",
    )


def test_an_unknown_option_names_the_line_and_the_closest(told):
    _, done = told("pad note a --mrk b\n")
    assert done.stderr == (
        "gway: recipes/site.gwr:1: 'pad note' has no option '--mrk'\nhint: did you mean '--mark'?\n"
    )


def test_each_line_shows_its_result(told):
    _, done = told("pad make-price 1\npad make-price 2\n")
    assert done.stdout == "n  1\nn  2\n"


# --- checking ----------------------------------------------------------------


def test_a_check_runs_nothing(told):
    notes, done = told("pad make-price 1\npad note [price.n] [port|1]\n", "--check")
    assert (notes, done.code) == ([], 0)
    assert done.stdout == "recipes/site.gwr: all 2 commands can run\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pad nte a", "no verb 'nte' in pad"),
        ("pads note a", "no project or verb 'pads'"),
        ("pad note --mrk a", "has no option '--mrk'"),
        ("pad make-price", "needs N"),
        ("pad make-price x", "N: 'x' is not an int"),
        ("pad note [nothing]", "nothing is known for [nothing]"),
        ("run elsewhere", "no recipe 'elsewhere'"),
        ("until --dnoe", "has no option '--dnoe'"),
        ("every --seconds 5 pad nte", "no verb 'nte' in pad"),
        ("pad note a -", "a verb is missing"),
    ],
)
def test_a_check_finds_what_would_fail(told, line, message):
    notes, done = told(f"pad note fine\n{line}\n", "--check")
    assert (notes, done.code) == ([], 2)
    assert done.stderr.startswith("gway: recipes/site.gwr:2: ")
    assert message in done.stderr


def test_a_check_tells_all_that_is_wrong_in_inner_recipes_too(told, write):
    write("recipes/inner.gwr", "pad one\npad two\n")
    _, done = told("run inner\npad three\n", "--check")
    assert [
        line.split(": ")[1]
        for line in done.stderr.splitlines()
        if "pad" in line and "gway:" in line
    ][:3] == ["recipes/inner.gwr:1", "recipes/inner.gwr:2", "recipes/site.gwr:2"]
    assert "3 lines cannot run" in done.stderr


def test_a_verb_may_check_what_its_signature_does_not_say(told, write):
    write(
        "projects/deep.py",
        """
        from gway.errors import UsageError

        def setup_app(project, **options): raise AssertionError("was run")

        def _check(project, **options):
            if "home" not in options:
                raise UsageError("home is missing")

        setup_app.__gway_check__ = _check
        """,
    )
    assert told("deep setup x --home y\n", "--check")[1].code == 0
    assert "home is missing" in told("deep setup x\n", "--check")[1].stderr


def test_a_bundled_recipe_is_found_from_anywhere(cli, monkeypatch, tmp_path):
    bundled = tmp_path / "bundled"
    (bundled / "etron").mkdir(parents=True)
    (bundled / "etron" / "far.gwr").write_text("projects --json\n")
    monkeypatch.setattr("gway.catalog.bundled", lambda kind: str(bundled))
    done = cli("run", "etron/far")
    assert (done.code, isinstance(json.loads(done.stdout), list)) == (0, True)


def test_the_workspaces_recipe_hides_the_bundled_one(workspace, write, monkeypatch, tmp_path):
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    (bundled / "x.gwr").write_text("projects\n")
    monkeypatch.setattr("gway.catalog.bundled", lambda kind: str(bundled))
    assert recipes.find("x", Path(workspace)) == bundled / "x.gwr"
    own = write("recipes/x.gwr", "projects\n")
    assert recipes.find("x", Path(workspace)) == own
