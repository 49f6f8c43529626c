"""Recommendations from recorded minutes: the search sees the first days alone, and what it recommends is played on the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from study.test_backtest import START, drawn, given, record

from rollout_sim.cli.main import app
from rollout_sim.core.minutes import DAY, moment_of
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.function.error_rates import Dispersed
from rollout_sim.function.recorded import RecordedDurations, RecordedErrors
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.scenario.goals import AtMost, Catch, Goal, LogUniform, Severity
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.backtest import recorded
from rollout_sim.study.recommend import shortlist
from rollout_sim.study.recommend.recorded import on_recorded, prepare_recorded
from rollout_sim.views.backtest import confirmation_json, confirmed

GOAL = Goal(catch=Catch(of=Severity(error_rate=LogUniform(0.3, 0.3))), false_rollback=AtMost(at_most=0.2))


def test_the_search_has_the_rate_and_the_errors_of_the_first_days(tmp_path: Path) -> None:
    record(
        tmp_path,
        drawn(Dispersed(mean=0.01, dispersion=0.01), 2880)
        + drawn(Dispersed(mean=0.2, dispersion=0.01), 1440, mean=300),
    )
    scenario = given(tmp_path)
    learnt = on_recorded(scenario, recorded(scenario, tmp_path), tmp_path, START + 2 * DAY)
    assert learnt.rates["prod"] * 60 == pytest.approx(60, rel=0.02)
    for version in learnt.function.versions.values():
        assert isinstance(version.error_rate, RecordedErrors)
        assert version.error_rate.recording.size == 2880
        assert version.error_rate.mean == pytest.approx(0.01, rel=0.1)


def test_traffic_throttles_and_durations_are_those_of_the_same_hours(tmp_path: Path) -> None:
    """Throttles where they are others' doing, durations where anything reads them."""
    record(tmp_path, [(60, 1)] * 4320)
    path = tmp_path / "minutes.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",60,1,0,", ",60,1,4,"), encoding="utf-8")

    def learnt(**changes: Any) -> Scenario:
        scenario = given(tmp_path, **{"slos": None, **changes})
        return on_recorded(scenario, recorded(scenario, tmp_path), tmp_path, START + 2 * DAY)

    plain = learnt()
    (source,) = plain.traffic
    assert source.arrivals.trace is not None
    assert source.arrivals.trace.draw == "blocks"
    assert source.arrivals.trace.recording.per_period.tolist() == [64] * 2880
    assert plain.function.mean_throttled == 4 / 64
    assert plain.function.versions["1"].duration == given(tmp_path).function.versions["1"].duration
    assert learnt(function__reserved_concurrency=20).function.throttled == 0
    assert learnt(function__managed={"concurrency": 4}).function.throttled == 0
    slow = {"metric": "duration", "statistic": "p90", "threshold": "> 1 s"}
    versions = learnt(alarms={"errors": slow}, function__versions__2={"like": "1", "duration": "1 s"}).function.versions
    assert isinstance(versions["1"].duration, RecordedDurations)
    assert not isinstance(versions["2"].duration, RecordedDurations)


@pytest.mark.slow
def test_the_winner_is_played_on_days_that_the_search_has_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are worse than those that it has seen, and that is said."""
    every = shortlist.strategies
    monkeypatch.setattr(shortlist, "strategies", lambda *args, **named: every(*args, **named)[:3])
    good, bad = drawn(Dispersed(mean=0.001, dispersion=0.001), 2880), drawn(Dispersed(mean=0.1, dispersion=0.05), 1440)
    record(tmp_path, good + bad)
    scenario = replace(given(tmp_path), goal=GOAL, on_call=None)
    prepared = prepare_recorded(scenario, tmp_path)
    prepared.search.sizes = replace(prepared.search.sizes, work=0.5)
    found, confirmation = prepared.recommend(keep_alarms=True)
    assert found.winner is not None
    assert confirmation is not None
    assert moment_of(confirmation.until) == START + 2 * DAY
    assert (confirmation.played.begins >= START + 2 * DAY).all()
    assert np.unique(confirmation.played.days).tolist() == [2]
    assert found.chosen_scenario.function.versions["1"].error_rate == 0.01
    assert any("recorded before 2" in note and "drawn by chance" in note for note in found.notes)
    (limit,) = [limit for limit in confirmation.limits(GOAL) if limit.name == "false_rollback"]
    assert limit.kept == "no"
    assert any(
        "limits of the goal on those days: broken: false rollback" in line for line in confirmed(confirmation, GOAL)
    )
    assert confirmation_json(confirmation, GOAL)["stopped_for_nothing"]["mean"] > 0.2


def test_the_command_tells_the_plane_of_what_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded durations need every invocation, those of the file do not."""
    record(tmp_path, [(60, 1)] * 4320)
    slow = {"metric": "duration", "statistic": "p90", "of": "new_version", "threshold": "> 1 s"}
    path = tmp_path / "s.yaml"
    path.write_text(to_yaml(given(tmp_path, alarms={"errors": slow}, on_call=None).dump()), encoding="utf-8")
    told = []

    def studying(_: Scenario, *planes: EngineChoice) -> None:
        told.extend(plane.engine for plane in planes)
        raise ScenarioError(["enough"])

    monkeypatch.setattr("rollout_sim.cli.console.studying", studying)
    done = CliRunner().invoke(app, ["recommend", str(path), "--data", str(tmp_path), "--out", str(tmp_path / "o")])
    assert "enough" in str(done.exception)
    assert choose_engine(Scenario.load(path)).engine == "aggregate"
    assert told == [prepare_recorded(Scenario.load(path), tmp_path).search.plane.engine] != ["aggregate"]


def test_two_days_are_too_few(tmp_path: Path) -> None:
    record(tmp_path, [(60, 0)] * 2880)
    with pytest.raises(ScenarioError, match="2 days were recorded; at least 3 are needed"):
        prepare_recorded(given(tmp_path), tmp_path)
