"""Plots: what is drawn is what came out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from builders import data, scenario, steady
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from numpy.typing import NDArray

mpl.use("Agg")

from rollout_sim.control.slo import budget_events
from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate, simulate_each
from rollout_sim.study.comparison import compare
from rollout_sim.study.grid import chosen_axes
from rollout_sim.study.recommend.recommendation import Recommendation
from rollout_sim.study.recommend.search import recommend
from rollout_sim.study.sweep import Sweep, sweep
from rollout_sim.views.plots import budget as plots
from rollout_sim.views.plots import comparison as comparison_plots
from rollout_sim.views.plots import recommendation as recommendation_plots
from rollout_sim.views.plots import sweep as sweep_plots
from rollout_sim.views.plots import traffic as traffic_plots
from rollout_sim.views.plots.style import COLOURS, SLIDE, look, place_names, styled
from rollout_sim.views.plots.traffic import bin_edges, bin_periods

SLOW = {"source": "http", "alias": "prod", "arrivals": {"poisson": "6/min"}}


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
        YamlDocument(data=data(), lines={}, path=path), percent="5,25", interval="2m,5m", severity="0%,2%,20%"
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
    assert crosses == [(canary.time_to_rollback_s or 0) / 60] * 2  # on the line, and in the lane above


def test_each_shift_is_marked_in_its_strategys_lane(results: list[RunResult]) -> None:
    ax = plots.error_budget(results)
    for k, result in enumerate(results):
        colour = COLOURS[k]
        ticks = [line for line in ax.lines if line.get_marker() == "|" and to_hex(line.get_color()).upper() == colour]
        shifts = [(shift.at - result.scenario.start) / 60 for shift in result.shifts if shift.weight > shift.before]
        assert [float(np.asarray(line.get_xdata())[0]) for line in ticks] == shifts
    heights = [line.get_transform().transform((0, 1))[1] for line in ax.lines if line.get_marker() == "|"]
    assert heights == sorted(heights, reverse=True)  # in the legend's order, from the top
    assert min(heights) > ax.get_window_extent().y1


def test_a_rollback_by_on_call_is_marked_and_named() -> None:
    given = scenario(
        horizon="1 h",
        slos=[{"name": "availability", "objective": "99%"}],
        alarms__page={
            "metric": "burn_rate",
            "slo": "availability",
            "long": "10 min",
            "short": "5 min",
            "threshold": "> 3",
        },
        rollout__alarms=[],
        on_call={"alarms": ["page"], "response": "5 min"},
    )
    result = simulate(given, "canary")
    assert result.on_call_rollback_s is not None
    ax = plots.error_budget([result])
    crosses = [float(np.asarray(line.get_xdata())[0]) for line in ax.lines if line.get_marker() == "X"]
    assert crosses == pytest.approx([result.on_call_rollback_s / 60] * 2)
    assert "canary (promoted, then on-call)" in [line.get_label() for line in ax.lines]
    assert "alarm page,\nover 10 min and 5 min" in [text.get_text() for text in plots.burn_rate([result]).texts]


def test_the_right_axis_counts_the_bad_requests(results: list[RunResult]) -> None:
    ax = plots.error_budget(results)
    ax.figure.canvas.draw()
    worst = max(results, key=lambda result: result.bad_requests)
    left = 1 - worst.budget(worst.scenario.slos[0]).spent
    (count,) = ax.child_axes
    place = count.transData.transform((0, worst.bad_requests))[1]
    assert place == pytest.approx(ax.transData.transform((0, left))[1])


def test_a_budget_that_nobody_touches_keeps_a_readable_axis() -> None:
    given = scenario(function__versions__1={"duration": "100 ms"}, function__versions__2={"like": "1"})
    ax = plots.error_budget([simulate(given, "canary")])
    ax.figure.canvas.draw()
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(set(labels)) == len(labels)
    assert "100%" in labels


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
            assert lines["canary"].upper() == COLOURS[1]


def quiet(**changes: Any) -> RunResult:
    """A service with one request a minute for three hours, rolled out linearly to the end."""
    changes = {"horizon": "3 h", "rollout__alarms": [], **changes}
    return simulate(
        scenario(traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "1/min"}}], **changes), "linear"
    )


def steps(ax: Axes) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Heights and edges of each stack drawn."""
    found = []
    for patch in ax.patches:
        assert isinstance(patch, StepPatch)
        values, edges, baseline = patch.get_data()
        found.append((np.asarray(values) - np.asarray(baseline), np.asarray(edges)))
    return found


@pytest.mark.parametrize("per", [1, 4, 7])
def test_bins_conserve_each_versions_invocations(results: list[RunResult], per: int) -> None:
    for result in results:
        drawn = [
            float((heights * np.diff(edges)).sum())
            for heights, edges in steps(traffic_plots.invocations(result, per, 60.0))
        ]
        assert drawn == pytest.approx([result.versions[number].invocations for number in ("1", "2")])


def test_bins_are_wide_enough_for_a_quiet_service_and_say_so() -> None:
    result = quiet()
    assert bin_periods(result) == 15
    titles = [text.get_text() for ax in traffic_plots.traffic([result]).axes for text in ax.texts]
    assert "Invocations per hour\nby version, in bins of 15 min" in titles
    (_, edges), *_ = steps(traffic_plots.invocations(result))
    assert 0 in edges  # so that no bin mixes the time before the rollout with the time after
    assert edges[0] == -5


@pytest.mark.parametrize("horizon", ["20 min", "5 h", "7 h", "2 d"])
def test_bins_are_at_most_a_hundred_and_twenty_and_whole_periods(horizon: str) -> None:
    result = simulate(scenario(horizon=horizon, traffic=[SLOW]), "instant")
    per = bin_periods(result)
    widths = np.diff(bin_edges(result, per))[1:-1]
    assert result.metrics.periods / per <= 120
    assert widths == pytest.approx(per * result.metrics.resolution)


def test_error_rates_have_points_only_where_something_was_attempted(results: list[RunResult]) -> None:
    canary = next(result for result in results if result.strategy == "canary")
    _, new = traffic_plots.error_rates(canary, 1).lines[:2]
    shown = np.isfinite(np.asarray(new.get_ydata(), float))
    target = [(one.alias, one.version) for one in canary.metrics.targets].index(("prod", "2"))
    attempted = canary.metrics.invocations[0, target] > 0
    assert 0 < shown.sum() < 10
    np.testing.assert_array_equal(shown, attempted)
    rates = canary.metrics.errors[0, target][attempted] / canary.metrics.invocations[0, target][attempted]
    np.testing.assert_allclose(np.asarray(new.get_ydata(), float)[attempted], rates)


def test_the_weight_that_is_drawn_is_the_aliass(results: list[RunResult]) -> None:
    for result in results:
        values, edges, _ = traffic_plots.weight(result).patches[0].get_data()  # type: ignore[attr-defined]
        middles = (np.asarray(edges)[1:] + np.asarray(edges)[:-1]) / 2 * 60 + result.scenario.start
        np.testing.assert_allclose(values, result.weights(middles))


def test_burn_rates_of_a_quiet_service_are_taken_over_longer_windows() -> None:
    result = quiet(horizon="12 h")
    slo = result.scenario.slos[0]
    assert plots.burn_window(result, slo) == 1800
    (line,) = [line for line in plots.burn_rate([result]).lines if str(line.get_label()).startswith("linear")]
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), result.budget(slo).burn_rate(30))
    assert plots.burn_window(simulate(scenario(), "canary"), slo) == 300


def test_names_are_readable_however_long() -> None:
    long = {f"strategy {k} with a name that goes on and on and on": {"type": "all_at_once"} for k in range(8)}
    figure = plots.error_budget_figure(list(simulate_each(scenario(strategies=long))))
    figure.canvas.draw()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][8:] == ["fault sets in"]
    box, whole = legend.get_window_extent(), figure.bbox
    assert box.x0 >= 0
    assert box.x1 <= whole.width
    assert figure.axes[0].get_window_extent().height > 2.1 * figure.dpi


def test_a_steady_run_shows_its_only_version() -> None:
    figure = traffic_plots.traffic([simulate(steady(horizon="5 min"))])
    assert len(figure.axes) == 2  # a weight would say nothing
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["version 1"]
    assert figure.axes[0].get_xlabel() == "minutes"
    assert len(plots.error_budget([simulate(steady(horizon="5 min"))]).lines) == 1


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
    lines = comparison_plots.budgets(compared).lines
    assert [line.get_label() for line in lines] == ["instant", "canary", "linear"]
    for line in lines:
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
    document, axes = chosen_axes(YamlDocument(data=data(), lines={}, path=Path("x")), percent="5,9")
    alone = sweep(document, axes, 20)
    assert sweep_plots.heat_map_figure(alone) is None
    assert sweep_plots.power_figure(alone) is None
    figure = sweep_plots.trend_figure(alone)
    assert figure is not None
    assert [ax.get_xlabel() for ax in figure.axes] == ["percent"] * 3


def test_an_axis_of_words_has_points_and_no_line() -> None:
    axes = ["alarms.errors.missing=missing,not_breaching"]
    swept = sweep(YamlDocument(data=data(), lines={}, path=Path("x")), axes, 4, ["canary"])
    assert {
        line.get_linestyle() for line in sweep_plots.trend(swept, "stopped", "alarms.errors.missing", None, {}).lines
    } == {"None"}


def test_lines_that_are_the_same_are_drawn_once_and_say_so() -> None:
    """Rolled back before they differ, or never different at all."""
    twins = {name: {"type": "canary", "percent": 10, "interval": "5 min"} for name in ("one", "other")}
    given = scenario(strategies=twins)
    labels = {
        str(line.get_label()): len(np.asarray(line.get_xdata()))
        for line in plots.error_budget(list(simulate_each(given))).lines
    }
    assert labels["one (rolled back)"] > 2
    assert labels["other (rolled back): line of one"] == 0
    ax = comparison_plots.budgets(compare(given, 20))
    assert "one line: one = other" in [text.get_text() for text in ax.texts]
    assert [len(np.asarray(line.get_xdata())) for line in ax.lines] == [20, 0]


def test_a_budget_that_is_hardly_touched_looks_like_it() -> None:
    given = scenario(
        function__versions__2={"like": "1"},
        function__versions__1__error_rate="0.1%",
        strategies={"linear": data()["strategies"]["linear"]},
    )
    (result,) = simulate_each(given)
    ax = plots.error_budget([result])
    assert 0 < result.budget(given.slos[0]).spent < 0.01
    assert ax.get_ylim()[1] - ax.get_ylim()[0] > 0.01


def test_a_strategy_that_never_rolls_back_is_named() -> None:
    never = {"canary": {"type": "canary", "percent": 10, "interval": "5 min"}, "blind": {"type": "all_at_once"}}
    ax = comparison_plots.price(compare(scenario(strategies=never), 20))
    assert "never rolled back: blind" in [text.get_text() for text in ax.texts]


def test_every_slo_has_its_curves_and_a_slowdown_its_durations() -> None:
    slos = [
        {"name": "availability", "objective": "99.9%"},
        {"name": "fast", "sli": {"latency": "400 ms"}, "objective": "99%"},
    ]
    given = scenario(slos=slos, function__versions__2={"like": "1", "faults": [{"latency": "3x"}]})
    titles = [ax.get_title(loc="left") for ax in comparison_plots.comparison_figure(compare(given, 10)).axes]
    assert [title for title in titles if "cost" in title] == [
        "What does it cost? (availability)",
        "What does it cost? (fast)",
    ]
    figure = traffic_plots.traffic([simulate(given, "canary")])
    assert len(figure.axes) == 4
    slowest = max(
        float(np.nanmax(np.asarray(line.get_ydata(), float)))
        for line in figure.axes[3].lines
        if line.get_label() == "version 2 (new)"
    )
    assert slowest > 0.2  # seconds; the old version takes 0.1


def test_the_fault_and_the_alarm_are_marked_when_they_come() -> None:
    result = simulate(
        scenario(function__versions__2={"like": "1", "faults": [{"errors": "20%", "onset": "1 min"}]}), "canary"
    )
    assert result.alarm_log
    fired = next(at for at, _, _, state in result.alarm_log if state == "ALARM") - result.scenario.start
    for ax in (plots.error_budget([result]), traffic_plots.traffic([result]).axes[0]):
        (onset,) = [line for line in ax.lines if line.get_label() == "fault sets in"]
        assert np.asarray(onset.get_xdata())[0] == 1
        (alarm,) = [line for line in ax.lines if line.get_marker() == "v"]
        assert float(np.asarray(alarm.get_xdata())[0]) == pytest.approx(fired / 60)


def test_a_strategy_has_its_colour_whatever_else_is_drawn() -> None:
    """The third of the file keeps the third colour where it is the only one."""
    given = scenario()
    alone = compare(given, 40, ["linear"], twin=False)
    expected = COLOURS[2]
    (run,) = simulate_each(given, ["linear"])
    drawn = [
        plots.burn_rate([run]).lines[0],
        comparison_plots.budgets(alone).lines[0],
        next(line for line in comparison_plots.price(alone).lines if line.get_label() == "linear"),
    ]
    document, axes = chosen_axes(YamlDocument(data=data(), lines={}, path=Path("x")), severity="0%,20%")
    swept = sweep(document, axes, 20, ["linear"])
    drawn += [line for line in sweep_plots.power_curve(swept, "strategy", {}).lines if line.get_linestyle() == "--"][:1]
    assert [to_hex(line.get_color()).upper() for line in drawn] == [expected] * 4


def test_no_two_looks_are_alike() -> None:
    looks = [look(k) for k in range(64)]
    assert len({(one["color"], one["linestyle"]) for one in looks}) == 64


def test_pictures_fit_a_slide_and_none_of_their_panels_is_empty(results: list[RunResult], swept: Sweep) -> None:
    width, height = SLIDE
    for figure, panels in (
        (traffic_plots.traffic(results), 9),
        (plots.error_budget_figure(results), 1),
        (plots.burn_rate_figure(results), 1),
        (comparison_plots.comparison_figure(compare(scenario(), 20)), 3),
        (sweep_plots.heat_map_figure(swept), 12),  # a scale of colours for each of three estimates
        (sweep_plots.power_figure(swept), 2),
    ):
        assert figure is not None
        assert figure.get_figwidth() <= width + 1e-9
        estimates = 3 if panels == 12 else 2  # a block of heat maps for each: a slide holds two
        assert figure.get_figheight() <= height * estimates / 2 + 1e-9
        drawn = [ax.has_data() for ax in figure.axes if ax.get_visible()]
        assert drawn == [True] * panels


@pytest.fixture(scope="module")
def recommendation() -> Recommendation:
    return recommend(scenario(), keep_alarms=True)


@pytest.mark.slow
def test_every_candidate_is_a_point_of_its_costs(recommendation: Recommendation) -> None:
    ax = recommendation_plots.pareto(recommendation)
    fresh = {evaluation.candidate.label for evaluation in recommendation.confirmed}
    contenders = [point for point in recommendation.contenders if point.candidate.label not in fresh]
    every = [*recommendation.explored, *contenders, *recommendation.confirmed]
    slo = recommendation.scenario.slos[0]
    whole = budget_events(slo.objective, 5.0, slo.window)
    expected = [(point.time_to_full / 60, point.bad.mean / whole) for point in every]
    points = [tuple(point) for cloud in ax.collections for point in np.asarray(cloud.get_offsets())]
    np.testing.assert_allclose(sorted(points), sorted(expected))
    named = {text.get_text().replace("\n", " ").removesuffix(" (recommended)") for text in ax.texts}
    assert named == {evaluation.candidate.name for evaluation in recommendation.confirmed}
    stars = [line for line in ax.lines if line.get_marker() == "*"]
    assert len(stars) == (recommendation.winner is not None)


@pytest.mark.slow
def test_the_front_is_of_those_that_were_simulated_closely(recommendation: Recommendation) -> None:
    """A brief simulation is noisy: what it promises is no point that the recommended one would have to beat."""
    ax = recommendation_plots.pareto(recommendation)
    front = next(line for line in ax.lines if line.get_label() == "Pareto front").get_xydata()
    whole = budget_events(0.999, 5.0, recommendation.scenario.slos[0].window)
    closely = [*recommendation.contenders, *recommendation.confirmed]
    points = {(point.time_to_full / 60, point.spent.mean) for point in closely}
    assert {tuple(point) for point in np.asarray(front).tolist()} <= points
    assert all(point.spent.mean == pytest.approx(point.bad.mean / whole) for point in closely)


@pytest.mark.parametrize("added", [-3.0, 0.0])
@pytest.mark.slow
def test_releases_that_save_budget_can_be_drawn(recommendation: Recommendation, added: float) -> None:
    """All of them, or all but one: without a warning, each at its own value."""
    spent = added / budget_events(0.999, 5.0, recommendation.scenario.slos[0].window)
    estimate = replace(recommendation.confirmed[0].spent, mean=spent, low=spent, high=spent)
    saving = replace(recommendation.confirmed[0], spent=estimate)
    for others in ((), recommendation.contenders):
        changed = replace(recommendation, explored=(), contenders=others, confirmed=(saving,))
        ax = recommendation_plots.pareto(changed)
        ax.figure.canvas.draw()
        points = [tuple(point) for cloud in ax.collections for point in np.asarray(cloud.get_offsets())]
        assert min(points, key=lambda point: point[1])[1] == pytest.approx(spent)


@pytest.mark.slow
def test_the_power_of_the_confirmed_is_drawn_over_the_severities(recommendation: Recommendation) -> None:
    ax = recommendation_plots.power(recommendation)
    lines = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(lines) == len(recommendation.confirmed) >= 2
    for line, evaluation in zip(lines, recommendation.confirmed, strict=True):
        severities, estimates = zip(*evaluation.power, strict=True)
        np.testing.assert_array_equal(np.asarray(line.get_xdata(), float), severities)
        np.testing.assert_array_equal(np.asarray(line.get_ydata(), float), [estimate.mean for estimate in estimates])
    good = [float(np.asarray(line.get_ydata())[0]) for line in ax.lines if line.get_marker() == "s"]
    assert good == [evaluation.false_rollback.mean for evaluation in recommendation.confirmed]
    assert ax.xaxis.get_major_formatter().format_ticks(ax.get_xticks())[0] == "a good\nversion"


def test_the_price_of_a_strategy_is_a_point_per_rollback() -> None:
    compared = compare(scenario(), 40, ["canary"], twin=False)
    columns = compared.columns["canary"]
    back = ~np.isnan(columns["time_to_rollback_s"])
    assert back.any()
    cloud, middle = comparison_plots.price(compared).lines
    np.testing.assert_allclose(np.asarray(cloud.get_xdata(), float), columns["time_to_rollback_s"][back] / 60)
    np.testing.assert_array_equal(np.asarray(cloud.get_ydata(), float), columns["bad_requests"][back])
    assert float(np.asarray(middle.get_ydata())[0]) == np.median(columns["bad_requests"][back])


def test_a_power_curve_says_where_no_closed_form_exists() -> None:
    """A period that slides makes no chain of independent periods."""
    canary = {"canary": {"type": "canary", "percent": 25, "interval": "5 min"}}
    for period, said in (("1 min", "closed form"), ("2 min", "no closed form")):
        small = data(alarms__errors__period=period, strategies=canary)
        document, axes = chosen_axes(YamlDocument(data=small, lines={}, path=Path("x")), severity="0%,20%")
        ax = sweep_plots.power_curve(sweep(document, axes, 20), None, {})
        labels = [text for text in ax.get_legend_handles_labels()[1] if "closed form" in text]
        assert labels == [said]


def test_a_power_curve_needs_severities() -> None:
    document, axes = chosen_axes(YamlDocument(data=data(), lines={}, path=Path("x")), percent="5,9")
    with pytest.raises(ValueError, match="needs severities; the axes are percent"):
        sweep_plots.power_curve(sweep(document, axes, 2), "percent", {})


def test_names_stand_over_no_point_where_there_is_room() -> None:
    """In a crowd the nearest places are taken; what was measured stays in sight."""
    with styled():
        figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
    crowd = np.random.default_rng(1).uniform([0, 0], [10, 2], (60, 2))
    ax.scatter(*crowd.T, s=30)
    ax.plot([5], [1], marker="*", markersize=20, linestyle="none")
    ax.set_ylim(-0.5, 8)
    place_names(ax, [("a name of some length", (5.0, 1.0)), ("another", (5.2, 1.2)), ("at the edge", (9.9, 0.5))])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [Text.get_window_extent(text, canvas.get_renderer()) for text in ax.texts]
    pixels = ax.transData.transform([*crowd, (5, 1)])
    assert [int(box.count_contains(pixels)) for box in boxes] == [0, 0, 0]
    assert not any(box.overlaps(other) for box, other in itertools.combinations(boxes, 2))
    assert max(text.get_zorder() for text in ax.texts) < min(mark.get_zorder() for mark in (*ax.collections, *ax.lines))


def test_a_trade_off_has_a_point_for_each_cell_and_strategy_with_its_intervals() -> None:
    goal = {
        "catch": {"at_least": "90%", "of": {"error_rate": "20%"}}, "false_rollback": {"at_most": "2%"},
    }  # fmt: skip
    axes = ["alarms.errors.threshold=> 0,> 1", "severity=0%,5%,20%"]
    swept = sweep(YamlDocument(data=data(goal=goal), lines={}, path=Path("x")), axes, 30, ["canary", "linear"])
    figure = sweep_plots.trade_off_figure(swept)
    assert figure is not None
    assert [ax.get_title("left") for ax in figure.axes] == [
        "severity 5%",
        "severity 20%",
    ]  # there is nothing to catch with 0%
    means = swept.frame.pivot(
        index=["severity", "alarms.errors.threshold", "strategy"], columns="estimate", values=["mean", "low", "high"]
    )
    for ax, severity in zip(figure.axes, ("5%", "20%"), strict=True):
        points = [
            tuple(point)
            for cloud in ax.collections
            if isinstance(cloud, PathCollection)
            for point in cloud.get_offsets()
        ]
        expected = means.loc[severity]
        pairs = zip(expected["mean", "good_version_stopped"], expected["mean", "stopped"], strict=True)
        np.testing.assert_allclose(sorted(points), sorted(pairs))
        bars = [bar for cloud in ax.collections if isinstance(cloud, LineCollection) for bar in cloud.get_segments()]
        ends = {round(float(x), 9) for bar in bars for x in bar[:, 0]}
        assert {round(high, 9) for high in expected["high", "good_version_stopped"]} <= ends
        (most,), (least,) = (
            [line for line in ax.lines if line.get_label().startswith(f"goal: at {word}")] for word in ("most", "least")
        )
        assert (most.get_xdata()[0], least.get_ydata()[0]) == (0.02, 0.9)
        named = " ".join(text.get_text() for text in ax.texts)
        assert "linear, > 1" in named or "canary, > 1" in named


def test_a_trade_off_needs_something_to_choose_and_a_good_version() -> None:
    document = YamlDocument(data=data(), lines={}, path=Path("x"))
    assert sweep_plots.trade_off_figure(sweep(document, ["severity=1%,20%"], 4, ["canary"])) is None
    assert sweep_plots.trade_off_figure(sweep(document, ["percent=5,20"], 4, twin=False)) is None
    assert sweep_plots.trade_off_figure(sweep(document, ["percent=5"], 4)) is None
    with pytest.raises(ValueError, match="no cell has a bad version"):
        sweep_plots.trade_off(sweep(document, ["severity=0%"], 4, ["canary"]), {})
