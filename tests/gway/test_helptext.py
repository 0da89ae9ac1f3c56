from __future__ import annotations

import pytest

SHOP = '''
"""Sell things.

With care.
"""

from __future__ import annotations
from datetime import datetime
from typing import Literal
from gway import access

__serves__ = ("sell",)

def sell(
    what: str,
    size: Literal["S", "L"] = "S",
    *labels: str,
    price_eur: float = 2.5,
    gift: bool = False,
    wrap: bool = True,
    until: datetime | None = None,
    to: str,
    **more: str,
) -> None:
    """Sell something.

    gway shop sell tea --to Ada

    :param what: what it is, in words that are long enough that the line must be folded somewhere
    :param price_eur: how much
    :param gift: wrap it nicely
    :param more: anything else
    """

def view_stock(): "Show what is there."

@access(role="admin")
def api_put_stock(n: int): "Set what is there."

def ws_connect(upgrade): ...
'''


@pytest.fixture
def shop(write):
    return write("projects/shop.py", SHOP)


def test_general_help_has_projects_commands_and_options(cli, shop):
    text = cli("--help").stdout
    assert "  shop " in text
    assert "Sell things" in text
    assert "  run RECIPE " in text
    assert "--workspace" in text
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize(
    "words", [("help", "shop"), ("shop", "--help"), ("shop", "-h"), ("--help", "shop")]
)
def test_a_projects_help_lists_verbs_pages_and_api(cli, shop, words):
    assert cli(*words).stdout == (
        "shop: Sell things\n"
        "\n"
        "Verbs\n"
        "  sell  Sell something.\n"
        "\n"
        "Pages\n"
        "  view-stock  Show what is there.\n"
        "\n"
        "API\n"
        "  PUT /api/shop/stock  Set what is there.\n"
        "\n"
        "See `gway help shop sell` for one of them.\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("help", "shop", "sell"),
        ("help", "shop.sell"),
        ("shop", "sell", "--help"),
        ("shop.sell", "-h"),
    ],
)
def test_a_verbs_help_shows_usage_arguments_and_defaults(cli, shop, words):
    text = cli(*words).stdout
    assert text.startswith("Sell something.\n\ngway shop sell tea --to Ada\n")
    assert "gway shop sell WHAT [SIZE] [--price-eur NUMBER] [--gift] [--no-wrap]" in text
    assert "SIZE    (one of S, L) (default: S)" in text
    assert "--price-eur NUMBER  how much (default: 2.5)" in text
    assert "--gift              wrap it nicely\n" in text
    assert "--until TIME\n" in text
    assert "--to TEXT           (required)" in text
    assert "--key value         anything else" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_a_web_functions_help_says_where_it_answers(cli, shop):
    assert "On the web: GET /shop/stock (role viewer)" in cli("help", "shop", "view-stock").stdout
    text = cli("help", "shop", "api-put-stock").stdout
    assert "On the web: PUT /api/shop/stock (role admin)" in text


def test_a_namespaces_help_lists_its_projects(cli, write):
    write("projects/energy/meter.py", '"""Read meters."""\ndef read(): ...')
    write("projects/energy/README.md", "# All about energy\n")
    text = cli("help", "energy").stdout
    assert text.startswith("energy: All about energy\n")
    assert "  energy.meter  Read meters\n" in text


def test_a_built_in_verb_has_help_too(cli):
    assert "gway until [--done] [--forever] [--minutes NUMBER]" in cli("until", "--help").stdout
    assert "gway every --seconds N [--times N] VERB ..." in cli("help", "every").stdout
    assert "gway test [--flags a,b] [pytest arguments]" in cli("test", "--help").stdout
    assert "gway run RECIPE" in cli("run", "--help").stdout


def test_a_recipes_help_shows_its_comment_and_its_values(cli, write):
    write(
        "recipes/etron/site.gwr",
        "# One site.\n# With all.\nprojects [port|8888] [host]\n",
    )
    text = cli("help", "etron/site").stdout
    assert "One site.\nWith all.\n" in text
    assert "gway run etron/site [--key value ...]" in text
    assert "--port  (default: 8888)" in text
    assert "--host  (required)" in text


def test_help_of_nothing_known_is_an_error(cli, shop):
    done = cli("help", "shopp")
    assert (done.code, "did you mean 'shop'" in done.stderr) == (2, True)
    assert cli("help", "shop", "sel").code == 2
