"""Requests that wait at the horizon: bad where they have waited longer than a latency objective allows, on every plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import scenario

from rollout_sim.planes import compiled
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.batch import Batch, run_batch
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario

SINGLE = [
    "simpy",
    pytest.param("compiled", marks=pytest.mark.skipif(bool(compiled.SPEC.missing()), reason="Numba is not installed")),
]


def waiting(**changes: Any) -> Scenario:
    """Every request takes 100 s, and 2 s are good; one comes every second, and 60 s after the rollout all is over."""
    given: dict[str, Any] = {
        "horizon": "90 s", "rollout__start": "30 s", "rollout__alarms": [], "alarms": None,
        "function__timeout": "2 min", "function__versions": {"1": {"duration": "100 s"}, "2": {"like": "1"}},
        "slos": [{"name": "availability", "objective": "99%"},
                 {"name": "fast", "sli": {"latency": "2 s"}, "objective": "99%"},
                 {"name": "in time", "sli": {"latency": "30 s"}, "objective": "99%"}],
        "strategies": {"instant": {"type": "all_at_once"}},
        "traffic": [{"source": "http", "alias": "prod", "arrivals": {"fixed": "1 s"}, "users": {"count": 10}}],
    }  # fmt: skip
    return scenario(**given | changes)


@pytest.mark.parametrize("engine", SINGLE)
def test_what_has_waited_too_long_is_bad(engine: Any) -> None:
    """90 requests, of second 0 to 89: those before second 88 have waited longer than 2 s, those before 60 than 30 s."""
    result = simulate(waiting(engine=engine), "instant")
    assert (result.requests, result.pending) == (88, 2)
    assert [int(bad.sum()) for bad in result.counts.bad_by] == [0, 88, 60]
    judged = [int(result.budget(slo).requests.sum()) for slo in result.scenario.slos]
    assert judged == [0, 88, 60]
    assert result.bad_requests == 88
    assert result.bad_requests_new_version == 88 - 30
    assert result.users_affected == 1.0


@pytest.mark.parametrize("engine", SINGLE)
def test_a_request_that_waits_for_its_retry_counts(engine: Any) -> None:
    retry = {"attempts": 2, "base": "5 min", "cap": "5 min", "jitter": "none"}
    given = waiting(
        engine=engine,
        function__versions={"1": {"duration": "10 ms", "error_rate": "100%"}, "2": {"like": "1"}},
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"fixed": "1 s"}, "retry": retry}],
    )
    result = simulate(given, "instant")
    assert (result.requests, result.pending, result.bad_requests) == (88, 2, 88)


def test_the_aggregate_plane_counts_the_same() -> None:
    given = waiting(traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "2/s"}}])
    plane = choose_engine(given, "aggregate")
    counted = run_batch(
        Batch(scenario=given, strategies=("instant",), plane=plane, seed=5, first=0, count=plane.batch)
    )["instant"]
    np.testing.assert_array_equal(counted["requests"], counted["bad_requests"])
    error = 4 / np.sqrt(plane.batch)
    assert counted["pending"].mean() == pytest.approx(4, abs=error * np.sqrt(4))
    assert counted["bad_requests"].mean() == pytest.approx(176, abs=error * np.sqrt(176))
    assert counted["bad_requests_new_version"].mean() == pytest.approx(116, abs=error * np.sqrt(116))
