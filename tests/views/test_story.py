"""The story of a run: in the order of time, with what the alarm saw and why it ended so."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import scenario

from rollout_sim import Scenario, simulate
from rollout_sim.views.story import story

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def test_a_rollback_is_told_with_what_the_alarm_saw() -> None:
    result = simulate(scenario(), "canary")
    lines = story(result)
    assert len(lines) <= 12
    assert lines[0].startswith("canary: version 2 of f behind the alias prod")
    assert "errors > 2 of the new version, 2 of 2" in lines[1]
    assert any("version 2 gets 10% of the traffic" in line for line in lines)
    (fired,) = [line for line in lines if "alarm errors fires" in line]
    start, fell = result.scenario.start, next(at for at, _, _, state in result.alarm_log if state == "ALARM")
    first, stop = (round((at) / result.metrics.resolution) for at in (fell - 120, fell))
    new = [k for k, target in enumerate(result.metrics.targets) if target.version == "2"]
    errors = int(result.metrics.errors[0, new, first:stop].sum())
    assert f"in the 2 min before, {errors:,} errors in" in fired
    assert fell > start
    assert any("rolled back: errors in ALARM" in line for line in lines)
    assert lines[-2].startswith("outcome: rolled back")
    assert "verdict: bad version caught" in lines[-2]


def test_many_steps_share_a_line() -> None:
    given = scenario(rollout__alarms=[], strategies={"linear": {"type": "linear", "percent": 10, "interval": "1 min"}})
    lines = story(simulate(given, "linear"))
    assert sum("version 2 gets" in line for line in lines) == 1
    assert "in 10 steps: 10%, 20%" in "\n".join(lines)
    assert "no alarm watches it" in lines


@pytest.mark.slow
@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_every_shipped_run_can_be_told_in_some_ten_lines(path: Path) -> None:
    given = Scenario.load(path)
    for strategy in list(given.strategies)[-2:]:
        assert len(story(simulate(given, strategy))) <= 14


def test_alarms_that_hold_the_weight_are_told_so() -> None:
    given = scenario(rollout__hold={"every": "1 min", "failures": 2})
    lines = story(simulate(given, "canary"))
    assert lines[2] == "they hold the weight, looked at every 1 min; look 2 that finds one in ALARM rolls back"
    assert any("rolled back: errors in ALARM, look 2 that finds it" in line for line in lines)
