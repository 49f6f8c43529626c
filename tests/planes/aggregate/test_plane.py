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
    """A cold test is too late here and a warm one is not; a test waits for an environment that is busy."""
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
    np.testing.assert_array_equal(counting.test(hooks.before, everywhere)(), np.where(some, 0, 1))
    assert counting.test(hooks.after, everywhere)().sum() == 0
    np.testing.assert_array_equal(counting.test(hooks.before, some)(), np.zeros(SIZE))
