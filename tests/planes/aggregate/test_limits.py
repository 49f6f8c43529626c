"""What environments share: the bound on throttles lies above what every invocation simulated meets, and not far above."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import pytest
from builders import scenario

from rollout_sim.core.streams import Streams
from rollout_sim.function.environments import EnvironmentPool, Fleet
from rollout_sim.function.faults import Fault, Slowdown
from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.planes.aggregate.limits import Demand, demand_of
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.processes import arrival_process

ARRIVALS = 400_000


def http(arrivals: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"source": "http", "alias": "prod", "arrivals": arrivals}]


def loaded(rate: str, limit: int, **changes: Any) -> Scenario:
    """120 ms in the median with a tail of 2 s, and an init of 500 ms."""
    version = {
        "duration": {"lognormal": {"median": "120 ms", "p99": "2 s"}},
        "cold_start": "490 ms",
        "error_rate": "1%",
    }
    return scenario(
        horizon="1 h", traffic=http({"poisson": rate}), function__reserved_concurrency=limit,
        function__versions={"1": version, "2": {"like": "1", "faults": [{"errors": "4%"}]}}, **changes,
    )  # fmt: skip


def demand(given: Scenario) -> Demand:
    streams = Streams(seed=0)
    return demand_of(given, [arrival_process(source.arrivals, streams, "traffic") for source in given.traffic])


def running(rate: float, shape: float, mean: float, init: float, keep_alive: float, *, arrivals: int) -> list[int]:
    """How many invocations each of these arrivals at one version finds running, without a limit, from a cold start on."""
    rng = np.random.default_rng(17)
    pool = EnvironmentPool(Fleet(10**6, 10**6), keep_alive, most_recent=False)
    times = np.cumsum(rng.exponential(1 / rate, arrivals)).tolist()
    durations = rng.gamma(shape, mean / shape, arrivals).tolist()
    ends: list[Any] = []
    found = []
    for k, (t, duration) in enumerate(zip(times, durations, strict=True)):
        while ends and ends[0][0] <= t:
            end, _, environment, started = heapq.heappop(ends)
            pool.give_back(environment, started, end)
        found.append(len(ends))
        environment = pool.take(t)
        assert environment is not None
        heapq.heappush(ends, (t + duration + (init if environment[3] < 0 else 0.0), k, environment, t))
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("rate", "shape", "mean", "init", "keep_alive"),
    [
        (30.0, 0.4, 0.27, 0.49, 600.0),  # README's kind: 8.1 run, all cold 22.8
        (30.0, 1.0, 0.27, 0.49, 20.0),
        (20.0, 4.0, 0.05, 1.0, 60.0),
        (5.0, 1.0, 0.1, 3.0, 5.0),
        (2.0, 1.0, 0.3, 2.0, 1.0),
        (0.5, 0.4, 1.0, 8.0, 600.0),
    ],
)
def test_the_bound_lies_above_what_is_simulated(
    rate: float, shape: float, mean: float, init: float, keep_alive: float
) -> None:
    """For every limit, once the version has had two mean cold invocations' time to warm up."""
    given = Demand(
        rate=rate, arrivals=ARRIVALS, warm=mean, cold=mean + init, destroying=0.0, keep_alive=keep_alive, even=True
    )
    settled = int(2 * rate * (mean + init))
    found = np.array(running(rate, shape, mean, init, keep_alive, arrivals=ARRIVALS)[settled:])
    for limit in range(1, int(found.max()) + 1):
        share = float((found >= limit).mean())
        # An excursion counts as one event: as many arrivals as come within two cold invocations see the same one.
        noise = 4 * np.sqrt(share * 2 * rate * (mean + init) / found.size)
        assert share - noise <= given.blocked(limit), f"limit {limit}"


def test_a_limit_that_never_binds_leaves_the_counts_alone() -> None:
    assert inexactness(loaded("30/s", 50)) == ()
    assert demand(loaded("30/s", 50)).rate * demand(loaded("30/s", 50)).cold > 20


@pytest.mark.parametrize("limit", [10, 20, 30])
def test_a_limit_that_can_bind_does_not(limit: int) -> None:
    (reason,) = inexactness(loaded("30/s", limit))
    assert reason.startswith(f"the concurrency of {limit} can bind (up to 22.2 would run on average)")


def test_the_cold_share_is_what_keep_alive_allows() -> None:
    assert demand(loaded("30/s", 50)).cold_share < 0.01
    assert demand(loaded("30/s", 50, function__keep_alive="1 s")).cold_share == 1
    crashing = loaded("30/s", 50)
    crashing = crashing.with_faults("2", [Fault(crash=0.3)])
    assert demand(crashing).cold_share > 0.3


def test_a_slow_fault_counts_as_what_runs_into_the_timeout() -> None:
    slow = loaded("30/s", 50).with_faults("2", [Fault(latency=Slowdown(factor=50.0))])
    assert demand(slow).destroying > 0.5


@pytest.mark.parametrize(
    ("arrivals", "rate"),
    [
        ({"poisson": "5/s"}, 5.0),
        ({"diurnal": {"mean": "10/s", "amplitude": "40%", "period": "1 min"}}, 14.0),
        ({"bursty": {"low": "1/s", "high": "9/s", "stay_low": "1 min", "stay_high": "1 min"}}, 9.0),
        ({"fixed": "2 s"}, 0.5),
    ],
)
def test_the_highest_rate(arrivals: dict[str, Any], rate: float) -> None:
    assert demand(scenario(traffic=http(arrivals))).rate == pytest.approx(rate)
