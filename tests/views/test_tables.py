"""Tables: every number can be read at any width of the terminal."""

from __future__ import annotations

import io

import pytest
from builders import scenario
from rich.console import Console

from rollout_sim.run.simulate import simulate_each
from rollout_sim.views.tables import Sheet, run_sheet, version_sheet


@pytest.fixture(scope="module")
def sheets() -> list[Sheet]:
    results = list(simulate_each(scenario(horizon="8 min")))
    return [run_sheet(results), version_sheet(results)]


@pytest.mark.parametrize("width", [40, 50, 80, 120, 300])
def test_nothing_is_cut_at_any_width(sheets: list[Sheet], width: int) -> None:
    for sheet in sheets:
        text = io.StringIO()
        console = Console(file=text, width=width)
        for table in sheet.tables(width):
            console.print(table)
        shown = text.getvalue()
        assert "…" not in shown
        for cell in {cell for row in sheet.rows for cell in row}:
            assert cell in shown
        assert max(map(len, shown.splitlines())) <= width


def test_the_rollouts_own_share_of_the_budget_is_shown(sheets: list[Sheet]) -> None:
    assert "of it by\nrollout" in sheets[0].headings
