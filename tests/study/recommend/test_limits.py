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


@pytest.mark.parametrize("bound", [0.01, 0.05, 0.3])
def test_the_fewest_replications_that_can_keep_a_limit(bound: float) -> None:
    """One fewer, even without a single hit, leaves it open."""
    fewest = Limit(name="false_rollback", estimate=share(0, 1), at_most=bound).fewest
    assert Limit(name="false_rollback", estimate=share(0, fewest), at_most=bound).kept == "yes"
    assert Limit(name="false_rollback", estimate=share(0, fewest - 1), at_most=bound).kept == "open"
    least = Limit(name="catch", estimate=share(fewest, fewest), at_least=1 - bound)
    assert (least.fewest, least.kept) == (fewest, "yes")
    assert Limit(name="budget", estimate=share(0, 1), at_most=bound).fewest == 0


def test_a_precision_wants_more_than_a_decision() -> None:
    limit = Limit(name="false_rollback", estimate=share(5, 2_000), at_most=0.01)
    assert limit.settled()
    assert not limit.settled(0.001)
    needed = limit.needed(0.001)
    assert Limit(
        name="false_rollback", estimate=share(round(0.0025 * needed * 1.1), round(1.1 * needed)), at_most=0.01
    ).settled(0.001)


def share(hits: int, n: int) -> Estimate:
    low, high = wilson(hits, n)
    return Estimate(n=n, mean=hits / n, low=low, high=high, quantiles={})


@pytest.mark.parametrize(("bound", "hits"), [({"at_least": 1.0}, 5_000), ({"at_most": 0.0}, 0)])
def test_all_or_none_is_broken_by_one_and_shown_by_no_number(bound: dict[str, float], hits: int) -> None:
    limit = Limit(name="catch", estimate=share(hits, 5_000), **bound)
    assert (limit.kept, limit.undecidable, limit.enough) == ("open", True, None)
    assert limit.settled()  # more replications are no use
    assert not limit.settled(1e-5)
    one_errs = Limit(name="catch", estimate=share(abs(hits - 1), 5_000), **bound)
    assert one_errs.kept == "no"
    almost = Limit(name="catch", estimate=share(5_000, 5_000), at_least=0.99)
    assert (almost.undecidable, almost.kept) == (False, "yes")
