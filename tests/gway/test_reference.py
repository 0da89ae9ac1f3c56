from __future__ import annotations


def test_the_reference_has_what_a_project_of_ones_own_offers(cli, write):
    write(
        "projects/shop/till.py",
        '''
        """Sell things"""
        from typing import Literal

        from gway import Setting, access

        SETTINGS = (Setting("SHOP_TAX", 19.0, float, "tax in percent"),)


        def sell(
            thing: str,
            *,
            times: int = 1,
            note: str = "",
            colour: Literal["yellow", "orange", "red", "purple", "blue", "ultramarine"] = "red",
            wrapping: Literal["paper", "none"] = "none",
        ) -> str:
            """Sell a thing.

            :param thing: what
            :param times: how often
            :param note: what is written on it
            :param colour: of the bag
            :param wrapping: of the thing
            """


        @access(role="admin", method="POST")
        def api_sell(thing: str) -> str:
            """Sell a thing."""
        ''',
    )
    write(
        "projects/shop/hookspecs.py",
        '''
        """Hooks of the shop."""
        from gway.plugins import hookspec


        @hookspec
        def shop_sold(thing, at):
            """A thing was sold."""


        @hookspec(firstresult=True)
        def shop_price(thing):
            """Say what a thing costs."""
        ''',
    )
    write(
        "recipes/corner.gwr",
        "# The corner shop. Small.\n# gway run corner --thing apple\n#\n"
        "# --thing WORD    what is sold;\n#                 one of it\n#\n# More.\n"
        "shop till sell [thing] --times [times|2] --note [note|]\n",
    )
    done = cli("reference")
    assert done.code == 0, done.stderr
    for line in (
        "    gway shop.till sell THING [--times INT] [--note TEXT] [--colour WORD]"
        "\n        [--wrapping paper|none]",
        "| `--colour WORD` | of the bag (one of yellow, orange, red, purple, blue, ultramarine)"
        " (default: red) |",
        "| `--wrapping paper\\|none` | of the thing (default: none) |",
        "| `--times INT` | how often (default: 1) |",
        "| `POST /api/shop/till/sell` | admin | Sell a thing. |",
        "| `shop_sold(thing, at)` | fact | A thing was sold. |",
        "| `shop_price(thing)` | decision | Say what a thing costs. |",
        "| `GWAY_SHOP_TAX` | `19` | tax in percent |",
        "| `--thing` | required | what is sold; one of it |",
        "| `--times` | `2` |  |",
        "| `--note` | left out |  |",
        "The corner shop. Small.",
        "| `gway_http_requests_total` | counter | Requests answered. |",
    ):
        assert f"{line}\n" in done.stdout, line


def test_the_reference_is_written_to_a_file(cli, workspace):
    done = cli("reference", "--to", "all.md")
    assert (done.code, done.stdout) == (0, "")
    assert (workspace / "all.md").read_text(encoding="utf-8").startswith("# Reference\n")
