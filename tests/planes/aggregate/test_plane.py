"""The aggregate plane: into which intervals it cuts the time, and what its counts come to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import scenario

from rollout_sim.core.streams import Streams
from rollout_sim.planes.aggregate.plane import AggregatePlane, SharedTraffic
from rollout_sim.run.wiring import build_metrics
from rollout_sim.scenario.scenario import Scenario

SIZE = 200
CHANGES: dict[str, Any] = {
    "horizon": "1 h",
    "function__timeout": "10 s",
    "function__versions__2": {"like": "1", "faults": [{"errors": "20%", "onset": "150 s"}]},  # at 450 s
}


def plane(given: Scenario, window: tuple[float, float], strategy: str = "canary") -> AggregatePlane:
    traffic = SharedTraffic(given, Streams(seed=3), replications=SIZE, resolution=given.resolution)
    return AggregatePlane(
        traffic,
        np.random.default_rng(5),
        build_metrics(given, replications=SIZE),
        plan=given.strategies[strategy].plan,
        reads=tuple(given.alarms.values()),
        window=window,
        pairs=np.random.default_rng(6),
    )


def test_time_is_cut_where_the_alarms_read_and_a_timeout_before_the_horizon() -> None:
    """The example of `_spans`."""
    spans = list(plane(scenario(**CHANGES), (300.0, 600.0))._spans(0, 0.0, 3600.0))
    assert [start for start, _ in spans] == [0, 300, 360, 420, 480, 540, 600, 3540]
    assert [end for _, end in spans] == [300, 360, 420, 480, 540, 600, 3540, 3600]


def test_where_nothing_is_read_a_change_of_a_fault_cuts() -> None:
    spans = list(plane(scenario(**CHANGES), (0.0, 0.0))._spans(0, 0.0, 3600.0))
    assert spans == [(0.0, 420.0), (420.0, 480.0), (480.0, 3540.0), (3540.0, 3600.0)]


def test_everything_that_arrives_is_answered_or_pending_whatever_is_read() -> None:
    """Arrivals are shared, so the numbers of requests are equal to the last one; what becomes of them is drawn anew."""
    totals = []
    for window in ((0.0, 0.0), (200.0, 900.0)):
        counting = plane(scenario(**CHANGES), window)
        for until, weight in ((300.0, 0.0), (600.0, 0.25), (3600.0, 1.0)):
            counting.advance(until, np.full(SIZE, weight))
        totals.append(counting.finish())
    for counted in totals:
        np.testing.assert_array_equal(counted.requests + counted.pending, totals[0].requests + totals[0].pending)
        assert (counted.bad_new_version <= counted.bad).all()
        assert (counted.bad <= counted.requests).all()
        assert counted.requests.mean() == pytest.approx(18_000, rel=0.002)
        # 5/s: a quarter for 150 s and all for 3,000 s at 1 - 0.99 x 0.8, a quarter for 150 s at 1%
        bad = 5 * (0.25 * 150 * 0.01 + (0.25 * 150 + 3000) * (1 - 0.99 * 0.8))
        assert counted.bad_new_version.mean() == pytest.approx(bad, rel=0.005)


def test_intervals_of_a_microsecond_are_served_like_any_other() -> None:
    """On-call may answer at any microsecond; what comes then was left out, and the next interval met a gap."""
    totals = []
    for instants in ((600.0, 1200.0), (600.0, 600.000001, 600.000002, 600.000005, 1200.0)):
        counting = plane(scenario(horizon="20 min"), (0.0, 1200.0))
        for until in instants:
            counting.advance(until, np.full(SIZE, 0.0))
        totals.append(counting.finish())
    np.testing.assert_array_equal(*(counted.requests + counted.pending for counted in totals))


def test_tests_find_provisioned_environments_warm_where_they_were_provisioned() -> None:
    """A cold test is answered 3 s later than a warm one; a test waits for an environment that is busy."""
    given = scenario(
        function__versions={"1": {"duration": "1 s", "cold_start": "3 s", "error_rate": "0%"}, "2": {"like": "1"}},
        strategies={"bg": {"type": "blue_green", "provisioned": 2, "allocation": "1 min", "hooks": {
            "before_allow_traffic": {"invocations": 1, "over": "6 s"}, "after_allow_traffic": {"invocations": 1, "over": "5 s"}}}},
    )  # fmt: skip
    counting = plane(given, (0.0, 0.0), "bg")
    hooks = given.strategies["bg"].plan
    some = np.arange(SIZE) < 50
    counting.advance(400.0, np.zeros(SIZE))
    counting.provision(2, some)
    assert hooks.before is not None
    assert hooks.after is not None
    everywhere = np.ones(SIZE, bool)
    failed, at = counting.test(hooks.before, everywhere)()
    assert not failed.any()
    np.testing.assert_array_equal(at, np.where(some, 404.0, 407.0))
    np.testing.assert_array_equal(counting.test(hooks.after, everywhere)()[1], np.full(SIZE, 403.5))
    np.testing.assert_array_equal(counting.test(hooks.before, some)()[1][some], np.full(50, 404.0))


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ({"like": "1", "faults": [{"errors": "20%"}]}, 0.99 * 0.2),  # of what the old version's 1% would have left good
        ({"like": "1"}, 0.0),
        ({"like": "1", "error_rate": "0.4%"}, -0.006),
    ],
)
def test_what_the_rollout_adds_is_paired_request_by_request(version: dict[str, Any], expected: float) -> None:
    """As in two runs on the same draws: a good version adds exactly nothing, whatever the old version's errors are.

    Thinned Poisson counts are Poisson: the variance is the mean (of a version that mends, likewise).
    """
    counting = plane(scenario(**{**CHANGES, "function__versions__2": version}), (300.0, 900.0), "instant")
    counting.advance(300.0, np.zeros(SIZE))
    counting.advance(3600.0, np.ones(SIZE))
    totals = counting.finish()
    assert totals.added is not None
    mean = 5.0 * 3300 * expected
    if expected == 0:
        assert not totals.added.any()
    else:
        assert totals.added.mean() == pytest.approx(mean, abs=4 * np.sqrt(abs(mean) / SIZE))
        assert totals.added.var() == pytest.approx(abs(mean), rel=0.4)
        assert (np.abs(totals.added) <= np.maximum(totals.bad_new_version, totals.requests)).all()
    np.testing.assert_array_equal(totals.added, totals.added_by[0])


def test_a_slow_version_adds_what_the_objective_calls_too_slow() -> None:
    slow = {"like": "1", "faults": [{"latency": "3x"}]}
    slos = [
        {"name": "availability", "objective": "99.9%"},
        {"name": "fast", "sli": {"latency": "400 ms"}, "objective": "95%"},
    ]
    counting = plane(
        scenario(**{**CHANGES, "function__versions__2": slow, "function__versions__1__cold_start": None, "slos": slos}),
        (0.0, 0.0), "instant",
    )  # fmt: skip
    counting.advance(300.0, np.zeros(SIZE))
    counting.advance(3600.0, np.ones(SIZE))
    totals = counting.finish()
    assert totals.added is not None
    assert not totals.added_by[0].any()
    # Of exponential durations of 100 ms: exp(-4) before, exp(-4/3) with the fault; not where the error comes first.
    expected = 5.0 * 3300 * 0.99 * (np.exp(-4 / 3) - np.exp(-4.0))
    assert totals.added_by[1].mean() == pytest.approx(expected, rel=0.02)
    np.testing.assert_array_equal(totals.added, totals.added_by[1])
