from __future__ import annotations


def test_the_reference_has_what_a_project_of_ones_own_offers(cli, write):
    write(
        "projects/shop/till.py",
        '''
        """Sell things"""
        from gway import Setting, access

        SETTINGS = (Setting("SHOP_TAX", 19.0, float, "tax in percent"),)


        def sell(thing: str, *, times: int = 1) -> str:
            """Sell a thing.

            :param thing: what
            :param times: how often
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
        "# The corner shop. Small.\nshop till sell [thing] --times [times|2]\n",
    )
    done = cli("reference")
    assert done.code == 0, done.stderr
    for line in (
        "    gway shop.till sell THING [--times INT]",
        "| `--times INT` | how often (default: 1) |",
        "| `POST /api/shop/till/sell` | admin | Sell a thing. |",
        "| `shop_sold(thing, at)` | fact | A thing was sold. |",
        "| `shop_price(thing)` | decision | Say what a thing costs. |",
        "| `GWAY_SHOP_TAX` | `19.0` | tax in percent |",
        "| `--thing` | required |",
        "| `--times` | `2` |",
        "The corner shop.",
        "| `gway_http_requests_total` | counter | Requests answered. |",
    ):
        assert f"{line}\n" in done.stdout, line


def test_the_reference_is_written_to_a_file(cli, workspace):
    done = cli("reference", "--to", "all.md")
    assert (done.code, done.stdout) == (0, "")
    assert (workspace / "all.md").read_text(encoding="utf-8").startswith("# Reference\n")
