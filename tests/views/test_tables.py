"""Tables: values until the last moment, and every number can be read at any width of the terminal."""

from __future__ import annotations

import io

import pytest
from builders import scenario
from rich.console import Console

from rollout_sim.core.statistics import Estimate
from rollout_sim.run.simulate import simulate_each
from rollout_sim.study.comparison import compare
from rollout_sim.views.cells import (
    Average,
    Cell,
    Count,
    Duration,
    EstimatedNumber,
    EstimatedShare,
    MedianDuration,
    Share,
    Text,
)
from rollout_sim.views.tables import Column, Table, comparison_table, run_table, version_table


def estimate(
    mean: float, low: float | None, high: float | None, **quantiles: tuple[float, float | None, float | None]
) -> Estimate:
    return Estimate(n=9, mean=mean, low=low, high=high, quantiles=quantiles)


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    results = list(simulate_each(scenario(horizon="8 min")))
    return [run_table(results), version_table(results)]


@pytest.mark.parametrize("width", [40, 50, 80, 120, 300])
def test_nothing_is_cut_at_any_width(tables: list[Table], width: int) -> None:
    for table in tables:
        text = io.StringIO()
        console = Console(file=text, width=width)
        for part in table.for_terminal(width):
            console.print(part)
        shown = text.getvalue()
        assert "…" not in shown
        for cell in {cell for row in table.texts for cell in row}:
            assert cell in shown
        assert max(map(len, shown.splitlines())) <= width


def test_the_rollouts_own_share_of_the_budget_is_shown(tables: list[Table]) -> None:
    assert "of it by\nrollout" in tables[0].headings


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        (Text("a / b [c, d]"), ("a / b [c, d]",)),
        (Count(12345), ("12,345",)),
        (Count(None), ("-",)),
        (Average(1.23456), ("1.235",)),
        (Share(0.99999), ("99.999%",)),
        (Duration(90.0), ("1.5 min",)),
        (EstimatedShare(estimate(0.25, 0.2, 1.0)), ("25%", "20–100%")),
        (EstimatedShare(estimate(0.25, None, None)), ("25%", "-–-")),
        (EstimatedNumber(estimate(1234.5, -3.0, 2500.0)), ("1,234", "-3–2,500")),
        (EstimatedNumber(None), ("-",)),
        (MedianDuration(estimate(9, 9, 9, p50=(240.0, None, None), p95=(600.0, None, None))), ("4 min", "10 min")),
        (MedianDuration(None), ("-",)),
    ],
)
def test_a_page_has_a_cells_parts_below_each_other(cell: Cell, lines: tuple[str, ...]) -> None:
    assert cell.lines == lines


def test_a_table_has_a_cells_parts_on_one_line() -> None:
    assert EstimatedShare(estimate(0.25, 0.2, 0.3)).text == "25% [20%, 30%]"
    assert EstimatedNumber(estimate(1234.5, -3.0, 2500.0)).text == "1,234 [-3, 2,500]"
    back = estimate(9, 9, 9, p50=(240.0, None, None), p95=(600.0, None, None))
    assert MedianDuration(back).text == "4 min / 10 min"


def test_a_comparison_hands_over_its_own_estimates() -> None:
    compared = compare(scenario(), 60)
    assert compared.twin is not None
    table = comparison_table(compared)
    for name, row in zip(compared.columns, table.rows, strict=True):
        estimates, good = compared.estimates(name), compared.twin.estimates(name)
        budget = estimates["budget_spent.availability"]
        assert budget is not None
        assert row == (
            Text(name),
            EstimatedShare(estimates["stopped"]),
            EstimatedShare(good["stopped"]),
            MedianDuration(estimates["time_to_rollback_s"]),
            EstimatedNumber(estimates["bad_requests"]),
            EstimatedShare(budget),
            Share(budget.quantiles["p95"][0]),
        )


def test_a_page_has_no_column_for_what_stands_below() -> None:
    table = Table(
        columns=(Column(title="budget\nmean", interval=True), Column(title="budget\np95", below="p95")),
        rows=((EstimatedShare(estimate(0.25, 0.2, 0.3)), Share(0.5)),),
    )
    assert table.headings == ("budget\nmean [95%]", "budget\np95")
    assert table.page_columns == ("budget mean",)
    assert table.page_rows == ((("25%", "20–30%", "p95 50%"),),)
