"""Limits: kept, broken or open by the interval, never by the mean."""

from __future__ import annotations

import pytest

from rollout_sim.core.statistics import Estimate, wilson
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
        "replications_needed": None,
    }  # fmt: skip


@pytest.mark.parametrize(("hits", "n"), [(8, 1_000), (330, 40_000), (12, 1_000)])
def test_an_open_limit_says_how_many_replications_would_decide_it(hits: int, n: int) -> None:
    """With as many, and the same share, it is decided; with a tenth of them it is not."""
    limit = Limit(name="false_rollback", estimate=share(hits, n), at_most=0.01)
    enough = limit.enough if limit.enough is not None else n
    more = share(round(hits / n * 1.1 * enough), round(1.1 * enough))
    assert Limit(name="false_rollback", estimate=more, at_most=0.01).kept == ("yes" if hits / n < 0.01 else "no")
    if limit.enough is not None:
        assert limit.kept == "open"
        few = share(round(hits / n * enough / 10), round(enough / 10))
        assert Limit(name="false_rollback", estimate=few, at_most=0.01).kept == "open"


def share(hits: int, n: int) -> Estimate:
    low, high = wilson(hits, n)
    return Estimate(n=n, mean=hits / n, low=low, high=high, quantiles={})
