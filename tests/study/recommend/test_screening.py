"""Screening: the closed forms against sums by hand and against plain draws, and what they do not know."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import scenario
from scipy.stats import binom, poisson

from rollout_sim.control.alarms import Alarm
from rollout_sim.core.files import FileReader
from rollout_sim.core.minutes import stamp_of
from rollout_sim.core.streams import Streams
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.function.error_rates import paths_of
from rollout_sim.function.faults import Fault, Slowdown
from rollout_sim.function.recorded import RecordedDurations
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.recommend.candidates import Candidate, alarms, strategies, with_candidates
from rollout_sim.study.recommend.screening import Screen, screenable

QUIET = {
    "horizon": "60 min",
    "rollout__start": "0 s",
    "function__versions": {"1": {"duration": "1 ms", "error_rate": "1%"}, "2": {"like": "1", "error_rate": "6%"}},
    "strategies": {"c": {"type": "canary", "percent": 50, "interval": "15 min"}},
}
RATE = 0.5


def stopped(alarm: Alarm) -> float:
    """P(the canary is stopped) under it."""
    given = scenario(**QUIET)
    return float(Screen([given], [alarm], RATE, found_after=900.0).screen(given.strategies["c"].plan).stopped[0, 0])


@pytest.mark.parametrize(("of", "threshold"), [("new_version", 5), ("new_version", 7), ("alias", 8)])
def test_a_period_that_slides_is_screened_as_plain_draws_have_it(of: str, threshold: int) -> None:
    """40,000 times 15 minutes; minutes taken as independent periods would be off by far more than the tolerance."""
    rng = np.random.default_rng(3)
    old = rng.poisson(RATE * 60 * np.array([1.0] * 5 + [0.5] * 15) * 0.01, (40_000, 20)) if of == "alias" else 0
    errors = old + rng.poisson(RATE * 60 * np.array([0.0] * 5 + [0.5] * 15) * 0.06, (40_000, 20))
    sums = np.lib.stride_tricks.sliding_window_view(errors, 5, axis=1).sum(axis=2)[:, 1:]
    drawn = float((sums > threshold).any(axis=1).mean())
    alarm = Alarm(metric="errors", of=of, threshold=f"> {threshold}", period=300.0)
    assert stopped(alarm) == pytest.approx(drawn, abs=0.03)
    alone = 1 - float((sums[:, 4::5] <= threshold).all(axis=1).mean())
    assert abs(alone - drawn) > 0.06


@pytest.mark.parametrize(("threshold", "datapoints"), [(3, "2 of 2"), (0, "1 of 1")])
def test_errors_that_clump_are_screened_in_spells(threshold: int, datapoints: str) -> None:
    """8,000 canaries that meet the spells as they come; with the mean of the errors none would be stopped by two datapoints."""
    rate = {"calm": "0.1%", "spells": "30%", "spell": "20 min", "every": "5 h"}
    versions = {"1": {"duration": "1 ms", "error_rate": rate}, "2": {"like": "1"}}
    given = scenario(**QUIET | {"function__versions": versions})
    alarm = Alarm(metric="errors", of="new_version", threshold=f"> {threshold}", datapoints=datapoints)
    screened = Screen([given, given], [alarm], RATE, found_after=900.0).screen(given.strategies["c"].plan).stopped
    shares = paths_of(given.function.versions["1"].error_rate, Streams(seed=1), 900.0, 8000)
    breached = np.random.default_rng(2).poisson(RATE * 60 * 0.5 * shares) > threshold
    drawn = float((breached[:, 1:] & breached[:, :-1] if datapoints == "2 of 2" else breached).any(axis=1).mean())
    assert screened.shape == (1, 2)
    assert screened[0] == pytest.approx(drawn, abs=0.03)
    assert drawn > 0.03


def test_scattered_minutes_are_screened_one_by_one() -> None:
    rate = {"mean": "1%", "dispersion": 0.05}
    versions = {"1": {"duration": "1 ms", "error_rate": rate}, "2": {"like": "1"}}
    given = scenario(**QUIET | {"function__versions": versions})
    alarm = Alarm(metric="errors", of="new_version", threshold="> 1", datapoints="2 of 2")
    screened = Screen([given], [alarm], RATE, found_after=900.0).screen(given.strategies["c"].plan).stopped[0, 0]
    shares = paths_of(given.function.versions["1"].error_rate, Streams(seed=1), 900.0, 20_000)
    breached = np.random.default_rng(2).poisson(RATE * 60 * 0.5 * shares) > 1
    assert screened == pytest.approx(float((breached[:, 1:] & breached[:, :-1]).any(axis=1).mean()), abs=0.005)


@pytest.mark.parametrize("least", [0, 12, 20])
def test_few_requests_vary_in_number(least: int) -> None:
    """A share of a Poisson number of requests, in each of fifteen minutes: by hand, term by term."""
    guard = {"at_least": f"{least} requests"} if least else {}
    alarm = Alarm(metric="error_rate", of="new_version", threshold="> 10%", missing="not_breaching", **guard)
    breach = math.fsum(
        float(poisson.pmf(n, 15.0) * binom.sf(math.floor(0.1 * n + 1e-9), n, 0.06)) for n in range(max(least, 1), 100)
    )
    assert stopped(alarm) == pytest.approx(1 - (1 - breach) ** 15, abs=1e-6)


def test_where_a_minute_has_few_requests_periods_and_guards_are_tried() -> None:
    given = scenario(**QUIET)
    many, few = (alarms(given, latency=False, few=few) for few in (False, True))
    assert {(alarm.period, alarm.least) for alarm in many} == {(60.0, 0)}
    assert {(alarm.period, alarm.least) for alarm in few} == {
        (period, least) for period in (60.0, 300.0) for least in (0, 20, 100)
    }
    assert set(map(repr, many)) < set(map(repr, few))
    assert all(screenable(alarm) for alarm in few)


def test_a_scenario_with_a_long_period_and_a_guard_is_read_back() -> None:
    given = scenario(**QUIET)
    alarm = next(one for one in alarms(given, latency=False, few=True) if one.period > 60 and one.least)
    chosen: Candidate = strategies(given)[0].watched_by(alarm)
    written = with_candidates(given, [chosen])
    assert Scenario.from_dict(written.dump()) == written
    assert "at_least: 20 requests" in to_yaml(written.dump())
    assert "from 20 requests on" in chosen.alarm_text


@pytest.mark.parametrize(
    "changes",
    [
        {"statistic": "maximum"}, {"metric": "invocations"}, {"datapoints": "2 of 2", "period": 300.0}, {"period": 10.0},
        {"period": 300.0, "window": "wall_clock"}, {"of": "function"}, {"threshold": "< 3"},
    ],
)  # fmt: skip
def test_what_the_closed_forms_do_not_know(changes: dict[str, object]) -> None:
    alarm = Alarm(metric="errors", of="new_version", threshold="> 3")
    assert screenable(alarm)
    assert not screenable(replace(alarm, **changes))


def test_durations_that_follow_the_time_of_day_are_screened_by_their_levels(tmp_path: Path) -> None:
    """A version that is three times as slow is found at hours that are slow anyway, not whenever the whole day's p99 is beyond."""
    hours = np.repeat(np.tile(np.exp(0.7 * np.sin(2 * np.pi * np.arange(24) / 24)), 3), 60)
    rows = [f"{stamp_of(60 * k)}:00,function,600,0,{80 * at:.1f},{400 * at:.1f}\n" for k, at in enumerate(hours)]
    head = "time,of,invocations,errors,duration_p50_ms,duration_p99_ms\n"
    (tmp_path / "minutes.csv").write_text(head + "".join(rows), encoding="utf-8")
    recorded = RecordedDurations(minutes="minutes.csv", draw="blocks").with_files(tmp_path, FileReader())
    given = scenario(**QUIET)
    versions = {name: replace(spec, duration=recorded) for name, spec in given.function.versions.items()}
    given = replace(given, function=replace(given.function, versions=versions))
    slow = given.with_faults("2", [Fault(latency=Slowdown(factor=3.0))])
    good = given.with_faults("2", [])
    limit = 0.9
    alarm = Alarm(metric="duration", statistic="p99", of="new_version", threshold=f"> {limit} s", datapoints="2 of 2")
    stopped = Screen([slow, good], [alarm], 10.0, found_after=900.0).screen(given.strategies["c"].plan).stopped[0]
    seen = float((3 * 0.4 * hours > limit).mean())
    assert stopped[0] == pytest.approx(seen, abs=0.1)
    assert 0.5 < seen < 0.9
    assert stopped[1] < 0.1
