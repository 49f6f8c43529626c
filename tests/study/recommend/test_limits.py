"""Limits: kept, broken or open by the interval, never by the mean."""

from __future__ import annotations

import pytest

from rollout_sim.core.statistics import Estimate
from rollout_sim.study.recommend.limits import Limit, names


def estimate(low: float | None, high: float | None) -> Estimate:
    return Estimate(n=40, mean=0.01, low=low, high=high, quantiles={})


@pytest.mark.parametrize(
    ("low", "high", "at_most", "at_least"),
    [
        (0.0, 0.009, "yes", "no"),
        (0.0, 0.01, "yes", "open"),
        (0.005, 0.02, "open", "open"),
        (0.01, 0.02, "open", "yes"),
        (0.011, 0.02, "no", "yes"),
        (0.0, None, "open", "open"),
        (None, 0.009, "yes", "no"),
        (None, None, "open", "open"),
    ],
)
def test_the_interval_decides(low: float | None, high: float | None, at_most: str, at_least: str) -> None:
    most = Limit(name="false_rollback", estimate=estimate(low, high), at_most=0.01)
    least = Limit(name="catch", estimate=estimate(low, high), at_least=0.01)
    assert (most.kept, least.kept) == (at_most, at_least)
    assert names([most, least], "open") == [limit.name for limit in (most, least) if limit.kept == "open"]
    assert most.to_json() == {
        "limit": "false_rollback", "at_most": 0.01, "estimate": most.estimate.to_json(), "kept": at_most,
    }  # fmt: skip
