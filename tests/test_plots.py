"""Plots: what is drawn is what came out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from builders import data, scenario, steady
from matplotlib.colors import to_hex

mpl.use("Agg")

from rollout_sim import comparison_plots, plots, sweep_plots
from rollout_sim.axes import chosen_axes
from rollout_sim.comparison import compare
from rollout_sim.document import Document
from rollout_sim.result import RunResult
from rollout_sim.simulation import simulate, simulate_each
from rollout_sim.sweeps import Sweep, sweep


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def results() -> list[RunResult]:
    return list(simulate_each(scenario()))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    path = tmp_path_factory.mktemp("sweep") / "small.yaml"
    document, axes = chosen_axes(
        Document(data=data(), lines={}, path=path), percent="5,25", interval="2m,5m", severity="0%,2%,20%"
    )
    return sweep(document, axes, 100)


def test_each_budget_line_ends_at_what_is_left(results: list[RunResult]) -> None:
    ax = plots.error_budget(results)
    lines = {str(line.get_label()): line for line in ax.lines}
    for result in results:
        line = lines[f"{result.strategy} ({result.outcome_text})"]
        assert float(np.asarray(line.get_ydata())[-1]) == pytest.approx(
            1 - result.budget(result.scenario.slos[0]).spent
        )
        assert float(np.asarray(line.get_xdata())[-1]) == 15


def test_the_rollback_is_marked_where_it_happened(results: list[RunResult]) -> None:
    canary = next(result for result in results if result.strategy == "canary")
    assert canary.outcome == "rolled_back"
    ax = plots.error_budget([canary])
    crosses = [float(np.asarray(line.get_xdata())[0]) for line in ax.lines if line.get_marker() == "X"]
    assert crosses == [(canary.time_to_rollback_s or 0) / 60]


def test_below_zero_is_in_the_picture() -> None:
    given = scenario(slos=[{"name": "availability", "objective": "99%", "window": "1 h"}], rollout__alarms=[])
    result = simulate(given, "instant")
    left = result.budget(given.slos[0]).remaining
    assert left.min() < 0
    ax = plots.error_budget([result])
    assert ax.get_ylim()[0] < left.min()
    assert "overspent" in [text.get_text().strip() for text in ax.texts]


def test_a_strategy_has_the_same_colour_everywhere(results: list[RunResult]) -> None:
    for draw in (plots.error_budget, plots.burn_rate):
        for chosen in (results, results[1:2]):
            lines = {str(line.get_label()).split(" (")[0]: to_hex(line.get_color()) for line in draw(chosen).lines}
            assert lines["canary"].upper() == plots.COLOURS[1]


@pytest.mark.parametrize("rate", ["20/s", "1/min"])
def test_bins_conserve_the_invocations(rate: str) -> None:
    given = scenario(
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": rate}}], horizon="3 h", rollout__alarms=[]
    )
    result = simulate(given, "linear")
    panel = plots.traffic([result]).axes[1]
    seconds = {"second": 1, "minute": 60, "hour": 3600}[panel.get_title(loc="left").split()[2].rstrip(",")]
    assert seconds == (1 if rate == "20/s" else 3600)
    drawn = 0.0
    for patch in panel.patches:
        values, edges, baseline = patch.get_data()  # type: ignore[attr-defined]
        drawn += float(((values - (0 if baseline is None else baseline)) * np.diff(edges * 60)).sum()) / seconds
    assert drawn == pytest.approx(result.metrics.invocations.sum())
    if rate == "1/min":
        assert "in bins of 15 min" in panel.get_title(loc="left")


def test_a_steady_run_has_a_picture() -> None:
    assert len(plots.traffic([simulate(steady(horizon="5 min"))]).axes) == 3


def test_the_stopping_picture_shows_estimates_and_their_intervals() -> None:
    compared = compare(scenario(), 200)
    assert compared.twin is not None
    ax = comparison_plots.stopping(compared)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["instant", "canary", "linear"]
    for container, one in zip(ax.containers, (compared, compared.twin), strict=True):
        means = np.asarray(container[0].get_xdata())
        assert means == pytest.approx([e.mean for name in one.columns if (e := one.estimates(name)["stopped"])])


def test_budget_curves_fall_from_all_to_none() -> None:
    compared = compare(scenario(), 50, twin=False)
    for line in comparison_plots.budgets(compared).lines:
        heights = np.asarray(line.get_ydata(), float)
        assert heights[0] == 1
        assert (np.diff(heights) < 0).all()


def test_heat_maps_hold_the_numbers(swept: Sweep) -> None:
    where = {"severity": "20%"}
    ax = sweep_plots.heat_map(swept, "stopped", where, "interval", "percent")
    frame = swept.frame
    chosen = frame[(frame["estimate"] == "stopped") & (frame["severity"] == "20%")]
    means = chosen.set_index(["percent", "interval"])["mean"].unstack()[["2m", "5m"]].loc[["5", "25"]].to_numpy()
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), means)
    assert len(ax.texts) == 4


def test_power_curves_have_the_closed_form_over_them(swept: Sweep) -> None:
    ax = sweep_plots.power_curve(swept, "percent", {"interval": "5m", "percent": "25"})
    assert [line.get_linestyle() for line in ax.lines].count("--") >= 1
    assert sweep_plots.power_figure(swept) is not None
    assert sweep_plots.heat_map_figure(swept) is not None


def test_a_sweep_of_one_axis_has_no_heat_map() -> None:
    document, axes = chosen_axes(Document(data=data(), lines={}, path=Path("x")), percent="5,9")
    alone = sweep(document, axes, 20)
    assert sweep_plots.heat_map_figure(alone) is None
    assert sweep_plots.power_figure(alone) is None
