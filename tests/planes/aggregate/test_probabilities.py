"""A hook's tests drawn for a batch, against the SimPy plane's, where cold starts and deadlines decide."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from builders import scenario
from scipy import stats

from rollout_sim.control.strategies import Hook
from rollout_sim.core.distributions import Constant
from rollout_sim.function.spec import VersionSpec
from rollout_sim.planes.aggregate.probabilities import VersionBehaviour
from rollout_sim.planes.aggregate.probabilities import test_answers as answers_of
from rollout_sim.study.comparison import compare

pytestmark = pytest.mark.long

HOOK: dict[str, Any] = {"invocations": 6, "over": "12 s", "max_failures": 1}
CASES: dict[str, dict[str, Any]] = {
    "overlapping and late": {
        "duration": {"uniform": {"low": "0 s", "high": "5 s"}},
        "cold_start": "1500 ms",
        "error_rate": "20%",
    },
    "overlapping": {"duration": {"exponential": {"mean": "3 s"}}, "cold_start": {"exponential": {"mean": "300 ms"}}},
    "hanging": {"duration": "100 ms", "cold_start": "950 ms", "faults": [{"hang": "30%"}]},
    "crashes": {"duration": "100 ms", "cold_start": "950 ms", "failed_responses": "5%", "faults": [{"crash": "30%"}]},
    "slow for some": {"duration": "600 ms", "faults": [{"latency": "2x", "share": "50%"}, {"errors": "8%"}]},
}


@pytest.mark.parametrize("name", CASES)
def test_as_many_fail_as_on_the_simpy_plane(name: str) -> None:
    """300 replications against 5,000: each comparison at 1e-4."""
    given = scenario(
        horizon="40 s",
        rollout__start="5 s",
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "0.2/s"}}],
        rollout__alarms=[],
        alarms=None,
        function__timeout="8 s",
        function__versions={"1": {"duration": "10 ms"}, "2": CASES[name]},
        strategies={"tested": {"type": "blue_green", "hooks": {"before_allow_traffic": HOOK}}},
    )
    columns = [
        compare(given, count, engine=engine, twin=False).columns["tested"]
        for engine, count in (("simpy", 300), ("aggregate", 5000))
    ]
    failed = [column["outcome"] == 3 for column in columns]
    full = [column["time_to_full_s"][~np.isnan(column["time_to_full_s"])] for column in columns]
    assert stats.ks_2samp(*full).pvalue > 1e-4, "a hook waits for its answers as long"
    table = np.array([[one.sum(), one.size - one.sum()] for one in failed])
    assert 0.02 < failed[1].mean() < 0.98, "this case decides nothing"
    assert stats.fisher_exact(table).pvalue > 1e-4


def test_tests_cost_time_in_proportion_to_their_number() -> None:
    """Eight times as many tests that overlap take at most 24 times as long: by the square of their number it would be 64."""
    spec = VersionSpec(duration=Constant(5.0))
    behaviour = VersionBehaviour(duration=spec.duration, error_rate=0.0, timeout=8.0)
    took = []
    for count in (500, 4000):
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            hook, rng = Hook(invocations=count, over=10.0), np.random.default_rng(3)
            answers_of(spec, behaviour, hook, 0.0, warm=np.zeros(8), rng=rng, error_rate=lambda _: np.zeros(8))
            best = min(best, time.process_time() - began)
        took.append(best)
    assert took[1] < 24 * took[0]
