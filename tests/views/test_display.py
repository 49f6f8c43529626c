"""What results show of themselves: HTML tables with the tables' own columns, short texts, and pictures on given axes."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from builders import data, scenario

from rollout_sim import Scenario, compare, recommend, simulate, sweep
from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.errors import ScenarioError
from rollout_sim.study.grid import written_axes
from rollout_sim.views.cells import Text
from rollout_sim.views.explorer import Explorer, Setting
from rollout_sim.views.plots.style import styled
from rollout_sim.views.plots.sweep import trend
from rollout_sim.views.plots.traffic import STATES, alarm_states, each_invocation
from rollout_sim.views.tables import (
    Column,
    Table,
    comparison_table,
    contender_table,
    run_table,
    scenario_table,
    sweep_table,
)

DOCUMENT = YamlDocument(data=data(), lines={}, path=Path("test.yaml"))


def cells(html: str) -> list[list[str]]:
    """The rows of all tables in `html`, as text."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [[unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def test_nothing_in_a_table_is_markup() -> None:
    columns = (Column(title="<b>name</b>", names=True), Column(title="two\nlines"))
    table = Table(columns=columns, rows=((Text("a & b"), Text("<script>")),), caption="> 5")
    html = table.html("<i>")
    assert "<script>" not in html
    assert "<i>" not in html
    assert "two<br>lines" in html
    assert html.count("text-align:left") == html.count("text-align:right") == 2
    assert "<p><b>&lt;i&gt;</b></p>" in html
    assert "<p>&gt; 5</p>" in html
    assert cells(html)[1] == ["a & b", "<script>"]


def shows(result: Any, table: Table) -> None:
    """The result shows the table's rows under its own one-line text."""
    html = result._repr_html_()
    rows = cells(html)
    assert rows[0] == [heading.replace("\n", "<br>") for heading in table.headings]
    assert rows[1 : len(table.rows) + 1] == [list(row) for row in table.texts]
    assert repr(result) in unescape(html)
    assert len(repr(result)) < 500


@pytest.mark.slow
def test_results_show_the_tables_of_the_terminal() -> None:
    given = scenario()
    shows(run := simulate(given, "canary"), run_table([run]))
    shows(compared := compare(given, 50), comparison_table(compared))
    shows(swept := sweep(DOCUMENT, ["percent=1,10", "severity=0%,20%"], 20), sweep_table(swept, "its .frame"))
    shows(found := recommend(given, keep_alarms=True), contender_table(found))


def test_a_long_sweep_says_where_the_rest_is() -> None:
    swept = sweep(DOCUMENT, ["percent=" + ",".join(map(str, range(1, 46))), "severity=20%"], 2)
    assert "5 more rows in its .table" in swept._repr_html_()


def test_a_scenario_shows_its_parts_in_the_words_of_its_file() -> None:
    given = scenario(description="5 < 6")
    rows = cells(given._repr_html_())
    assert rows[1:] == [list(row) for row in scenario_table(given).texts]
    assert ["strategy", "canary", "type: canary, percent: 10%, interval: 5 min"] in rows
    assert ["alias", "prod", "1"] in rows
    assert "small: 5 &lt; 6 (20 min, seed 1)" in given._repr_html_()


def test_axes_may_be_written_as_texts() -> None:
    _, axes = written_axes(DOCUMENT, ["horizon=20 min,30 min", "severity=0%,1%", "percent=5"])
    assert [one.name for one in axes] == ["percent", "severity", "horizon"]
    swept = sweep(DOCUMENT, ["horizon=20 min,30 min"], 5, ["linear"])
    assert {row["strategy"] for row in swept.rows} == {"linear"}
    with pytest.raises(ScenarioError, match="--axis: alarms has no 'eror'"):
        sweep(DOCUMENT, ["alarms.eror.lag=0 s"])


def test_a_sweep_draws_what_its_axes_allow() -> None:
    swept = sweep(DOCUMENT, ["percent=1,10", "interval=1m,5m", "severity=0%,20%"], 20)
    _, ax = plt.subplots()
    assert swept.plot(ax, interval="5m") is ax
    assert ax.get_xlabel() == "severity: error rate of the fault"
    assert swept.plot(severity="0%").get_ylabel() == "percent"
    assert swept.plot(severity="0%", percent="1").get_xlabel() == "interval"
    with pytest.raises(ValueError, match="say which severity; allowed 0%, 20%"):
        swept.plot()
    with pytest.raises(ValueError, match="there is no interval '7m'; allowed 1m, 5m"):
        swept.plot(interval="7m")
    plt.close("all")


def test_a_trend_shows_the_means_in_the_order_of_the_axis() -> None:
    swept = sweep(DOCUMENT, ["severity=20%,0%", "percent=10,1"], 50)
    ax = trend(swept, "stopped", "severity", "percent", {})
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["20%", "0%"]
    frame = swept.frame.query("estimate == 'stopped'").set_index(["percent", "severity"])["mean"]
    drawn = [line.get_ydata().tolist() for line in ax.get_lines() if len(line.get_xdata()) == 2]
    assert [frame["10"][["20%", "0%"]].tolist(), frame["1"][["20%", "0%"]].tolist()] == drawn[::3][:2]
    plt.close("all")


def test_figures_that_show_themselves_go_on_doing_so_after_the_first() -> None:
    """The first figure of a notebook loads its backend, which turns that on while our style is in place."""
    before = mpl.is_interactive()
    try:
        with styled():
            mpl.interactive(True)
        assert mpl.is_interactive()
        assert mpl.rcParams["axes.spines.top"]
    finally:
        mpl.interactive(before)


def test_every_invocation_is_a_point() -> None:
    result = simulate(scenario(), "canary", events=True)
    _, ax = plt.subplots()
    assert each_invocation(result, (0, 120), ax=ax) is ax
    there = result.events[result.events["start_s"].between(0, 120)]
    points = {line.get_label(): len(line.get_xdata()) for line in ax.get_lines()}
    failed = there["outcome"] != "ok"
    assert points["failed"] == failed.sum() > 0
    assert points["cold start"] == there["cold"].sum() > 0
    assert points["version 1 (old)"] + points["version 2 (new)"] == (~failed).sum()
    with pytest.raises(ValueError, match="simulate with events=True"):
        each_invocation(replace(result, events=None))
    plt.close("all")


def test_an_alarm_is_in_one_state_at_every_time() -> None:
    result = simulate(scenario(), "canary")
    ax = alarm_states(result)
    bars = [one for one in ax.patches if one.get_width() > 0]
    assert sum(one.get_width() for one in bars) == pytest.approx(20)  # minutes
    red = [one for one in bars if mpl.colors.same_color(one.get_facecolor(), STATES["ALARM"])]
    fired = result.alarms.query("to_state == 'ALARM'").time_s.tolist()
    assert [one.get_x() * 60 for one in red] == pytest.approx(fired)
    assert fired
    plt.close("all")


# The explorer


def test_the_explorer_simulates_where_its_sliders_are() -> None:
    explorer = Explorer(scenario=scenario())
    setting = Setting(rate=4.0, severity=0.2, percent=0.25, interval=240.0)
    at = explorer.at(setting, 0.2)
    assert (at.traffic[0].arrivals.poisson, at.function.versions["2"].faults[0].errors) == (4.0, 0.2)
    assert (at.strategies["canary"].percent, at.strategies["canary"].interval) == (0.25, 240.0)
    assert not explorer.at(setting, 0.0).function.versions["2"].faults
    assert explorer.estimates(setting, 0.2)["stopped"].mean > 0.9 > explorer.estimates(setting, 0.0)["stopped"].mean
    figure = explorer.figure(setting)
    for ax, name in zip(figure.axes, ("stopped", "bad_requests"), strict=True):
        (marked,) = [line for line in ax.get_lines() if line.get_marker() == "o"]
        assert marked.get_xydata().tolist() == [[0.2, explorer.estimates(setting, 0.2)[name].mean]]
    assert "4/s, canary 25% for 4 min: 20% errors are stopped in" in figure.get_suptitle()
    plt.close("all")


@pytest.mark.slow
def test_a_slider_that_moves_makes_another_picture() -> None:
    widget = Explorer(scenario=scenario()).widget()
    sliders, picture = widget.children
    before = bytes(picture.value)
    assert before.startswith(b"\x89PNG")
    assert not plt.get_fignums()
    for box in sliders.children:
        for slider in box.children:
            slider.value = slider.options[-1] if hasattr(slider, "options") else 10**slider.max
            assert bytes(picture.value) != before
            before = bytes(picture.value)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_explorer_takes_every_shipped_scenario_and_its_alarm(path: Path) -> None:
    given = Scenario.load(path)
    if given.rollout is None:
        return
    explorer = Explorer(scenario=given)
    assert explorer.start.rate == pytest.approx(sum(given.rates.values()))
    at = explorer.at(replace(explorer.start, rate=2 * explorer.start.rate), 0.1)
    assert sum(at.rates.values()) == pytest.approx(2 * explorer.start.rate)
    _, replications, severities = explorer.effort(explorer.start)
    assert 10 <= replications <= 400
    assert len(severities) >= 4
    if explorer.alarm is not None:
        keener = replace(explorer.start, threshold="> 0", datapoints="1 of 1")
        if given.alarms[explorer.alarm].metric == "errors":
            assert explorer.at(keener, 0.1).alarms[explorer.alarm].limit == 0


@pytest.mark.slow
def test_the_explorer_runs_what_is_simulated_one_by_one_with_fewer_points() -> None:
    retried = [{"source": "http", "alias": "prod", "arrivals": {"fixed": "250 ms"}, "retry": {"attempts": 2}}]
    explorer = Explorer(scenario=scenario(horizon="8 min", traffic=retried, function__reserved_concurrency=40))
    assert "replications, 95% intervals" in explorer.figure().get_suptitle()
    plt.close("all")


def test_the_explorer_refuses_what_it_cannot_vary() -> None:
    with pytest.raises(ScenarioError, match="the explorer needs a rollout"):
        Explorer(scenario=scenario(rollout=None, strategies=None, alarms=None))


def test_the_table_that_is_shown_is_a_data_frame_of_values() -> None:
    compared = compare(scenario(), 50)
    table = compared.table
    assert list(table.index) == list(compared.scenario.strategies)
    estimate = compared.estimates("canary")["stopped"]
    assert estimate is not None
    row = table.loc["canary"]
    assert (row["stopped"], row["stopped low"], row["stopped high"]) == (estimate.mean, estimate.low, estimate.high)
    back = compared.estimates("canary")["time_to_rollback_s"]
    assert back is not None
    assert row["rolled back after p50"] == back.quantiles["p50"][0]
    run = simulate(scenario(), "canary")
    assert run.table.loc[("canary", run.outcome_text), "requests"] == run.requests
    swept = sweep(scenario(), {"percent": range(1, 50), "interval": ["5 min"]}, 10)
    assert len(sweep_table(swept).rows) < len(swept.table) == 49
    assert scenario().table.loc[("alias", "prod")].tolist() == ["1"]
