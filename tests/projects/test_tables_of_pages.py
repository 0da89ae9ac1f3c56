"""Every table of a page is `gway/table`, which sorts, filters and pages it by its address."""

from __future__ import annotations

from pathlib import Path

import gway

ROOT = Path(gway.__file__).resolve().parents[1]
OWN = {"projects/ocpp/data/views/transaction.html": "both clocks of a transaction, side by side"}


def test_no_template_of_a_project_draws_a_table_of_rows_itself() -> None:
    templates = sorted((ROOT / "projects").rglob("views/*.html"))
    found = [str(one.relative_to(ROOT)) for one in templates if "<table" in one.read_text()]
    assert found == [*OWN]
    assert templates
