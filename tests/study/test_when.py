"""When to deploy: the hour with few requests and the one with many are found, and nothing is made of noise."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import data, scenario
from click.testing import CliRunner
from rich.console import Console

from rollout_sim.cli.main import app
from rollout_sim.core.minutes import stamp_of
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.when import HOURS, Hours, prepare, when
from rollout_sim.views.when import answers, when_table

DAILY: dict[str, Any] = {"diurnal": {"mean": "3/s", "amplitude": "90%", "peak": "14 h"}}
MONDAY = 1_763_337_600  # 2025-11-17, 00:00 UTC


def given(**changes: Any) -> Any:
    base: dict[str, Any] = {
        "function__versions__1__cold_start": None,
        "traffic": [{"source": "http", "alias": "prod", "arrivals": DAILY}],
    }
    return scenario(**{**base, **changes})


@pytest.fixture(scope="module")
def hours() -> Hours:
    return when(given(), ["instant", "canary"], replications=40)


def test_bad_requests_are_fewest_at_night_and_faults_are_found_soonest_at_the_peak(hours: Hours) -> None:
    bad = hours.extremes("instant", "bad_requests_added")
    time = hours.extremes("canary", "time_to_stop_s")
    assert bad is not None
    assert time is not None
    assert abs((bad[0][0] - 2 + 12) % 24 - 12) <= 5  # about 02:00, twelve hours off the peak
    assert bad[0][1].mean < bad[1][1].mean
    assert abs(time[0][0] - 14) <= 4
    assert hours.told_apart("canary", "time_to_stop_s")
    assert all(estimate is not None for estimate in hours.estimates("canary", "bad_requests_added"))
    assert "the fault is found soonest at" in answers(hours)[1]
    assert len(hours.to_json()["strategies"][0]["time_to_stop_s"]["by_hour"]) == HOURS
    assert any("no `lag` is given for errors" in note for note in hours.to_json()["approximations"])
    assert when_table(hours).rows[1][0].text == "canary"
    assert all("[" in when_table(hours).rows[1][column].text for column in (1, 3, 5, 7))  # each with its interval


def test_the_table_is_one_table_at_80_columns(hours: Hours) -> None:
    """An hour stands below what it is about, not in another part of the table."""
    table, *_ = when_table(hours).for_terminal(80)
    assert len(table.columns) == 5
    text = io.StringIO()
    Console(file=text, width=80).print(table)
    both = ("bad_requests_added", "time_to_stop_s")
    ends = [hours.extremes(strategy, measure) or () for strategy in ("instant", "canary") for measure in both]
    assert sorted(re.findall(r"at (\d\d):00", text.getvalue())) == sorted(
        f"{hour:02}" for end in ends for hour, _ in end
    )


def test_hours_that_do_not_differ_are_not_told_apart() -> None:
    flat = {"diurnal": {"mean": "5/s", "amplitude": "0%"}}
    result = when(given(traffic=[{"source": "http", "alias": "prod", "arrivals": flat}]), ["canary"], replications=12)
    assert not result.told_apart("canary", "bad_requests_added")
    assert answers(result)[0].startswith("canary: no hour is better than another")


@pytest.mark.parametrize("start", ["10 min", "0 s"])
def test_recorded_errors_have_hours_without_a_trace(tmp_path: Path, start: str) -> None:
    rows = [f"{stamp_of(MONDAY + 60 * k)},function,60,{0 if k < 720 else 6}\n" for k in range(1440)]
    (tmp_path / "minutes.csv").write_text("time,of,invocations,errors\n" + "".join(rows), encoding="utf-8")
    content = data(
        function__versions__1__cold_start=None,
        function__versions__1__error_rate={"minutes": "minutes.csv"},
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "6/min"}}],
        rollout__start=start,
        horizon="30 min",
    )
    result = when(Scenario.from_dict(content, path=tmp_path / "s.yaml"), ["instant"], replications=2)
    assert set(result.days) == {1}


def test_without_a_clock_or_a_fault_there_is_no_best_hour() -> None:
    with pytest.raises(ScenarioError, match="no moment differs from another"):
        when(scenario())
    with pytest.raises(ScenarioError, match="nothing bad happens at any hour"):
        when(given(function__versions__2={"like": "1"}))


def test_the_plane_that_is_told_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's own fault links invocations, the goal's does not; what runs is decided once, for all moments."""
    leak, catch = {"leak": {"per": "10 min", "errors": "20%"}}, {"of": {"error_rate": "30%"}, "at_least": "50%"}
    begun = prepare(given(function__versions__2={"like": "1", "faults": [leak]}, goal={"catch": catch}), ["canary"])
    assert choose_engine(begun.scenario).engine != "aggregate"
    assert begun.plane.engine == "aggregate"
    assert [len(moments) for moments in begun.by_hour] == [1] * HOURS
    told = []

    def compared(*_: Any, plane: EngineChoice, **__: Any) -> None:
        told.append(plane)
        raise ScenarioError(["enough"])

    monkeypatch.setattr("rollout_sim.study.when.compare", compared)
    with pytest.raises(ScenarioError, match="enough"):
        begun.run()
    assert told == [begun.plane]


def test_the_engine_that_is_asked_for_is_in_the_recipe_and_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("rollout_sim.study.when.HOURS", 2)
    monkeypatch.chdir(tmp_path)
    plain = data(
        function__versions__1__cold_start=None, horizon="8 min", strategies={"instant": {"type": "all_at_once"}},
        traffic=[{"source": "http", "alias": "prod", "arrivals": DAILY}],
    )  # fmt: skip
    Path("s.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    words = [["s.yaml", "--replications", "2", "--engine", "simpy"], ["--recipe", "a/when_recipe.json"]]
    engines = []
    for folder, arguments in zip("ab", words, strict=True):
        done = CliRunner().invoke(app, ["when", *arguments, "--json", "--out", folder], catch_exceptions=False)
        engines.append(json.loads(done.stdout)["engine"])
    assert engines == ["simpy", "simpy"]
    assert json.loads(Path("b/when_recipe.json").read_text())["engine"] == "simpy"


def test_a_schedule_that_comes_at_another_hour_is_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hours that are looked at move the begin of its clock."""

    def begun(*_: Any, **__: Any) -> Hours:
        raise ScenarioError(["begun"])

    monkeypatch.setattr("rollout_sim.study.when.prepare", begun)
    nine = {"source": "schedule", "alias": "prod", "arrivals": {"cron": "0 9 * * ? *"}}
    path = tmp_path / "nine.yaml"
    path.write_text(yaml.safe_dump(data(traffic=[nine])), encoding="utf-8")
    assert "schedule" in [warning.name for warning in Scenario.load(path).warnings()]
    result = CliRunner().invoke(app, ["when", str(path), "--out", str(tmp_path)])
    assert "begun" in str(result.exception)
    assert "schedule" not in result.stderr
