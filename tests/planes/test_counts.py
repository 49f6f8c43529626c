"""What a per-invocation plane counts, and the durations that it keeps for percentiles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rollout_sim.control.metrics import Metrics, Percentile, RequestCounts, Target
from rollout_sim.function.faults import ERROR, OK
from rollout_sim.planes.counts import KeptDurations, PeriodCounts

P90 = Percentile("alias", 0.9, 120.0)


def metrics(*, slow: tuple[float, ...] = (), percentiles: tuple[Percentile, ...] = (P90,)) -> Metrics:
    """Two targets, ten periods of a minute, by default a 90th percentile of two minutes over both targets."""
    return Metrics(
        replications=1, targets=(Target("prod", "1"), Target("prod", "2")), resolution=60.0, horizon=600.0,
        scopes={"alias": (0, 1)}, percentiles=percentiles, slow_thresholds=slow,
    )  # fmt: skip


def counts(shown: Metrics, *, objectives: int = 0, keep: float = 1000.0) -> PeriodCounts:
    requests = RequestCounts.empty(replications=1, targets=2, periods=10, objectives=objectives)
    return PeriodCounts(shown, requests, keep)


def test_metrics_show_what_was_handed_over_and_nothing_of_later_periods() -> None:
    shown = metrics(slow=(1.0,))
    counted = counts(shown)
    counted.invocation(10, 2, 0.5, 1.5, outcome=ERROR, cold=True)
    counted.invocation(10, 3, 0.5, 1.0, outcome=OK, cold=False)
    counted.throttle(0, 2)
    assert shown.invocations.sum() == 0
    counted.hand_over(150.0)
    assert (shown.invocations[0, 1, 2], shown.invocations[0, 1, 3]) == (1, 0)
    assert (shown.errors[0, 1, 2], shown.cold_starts[0, 1, 2], shown.throttles[0, 0, 2]) == (1, 1, 1)
    assert (shown.duration_sum[0, 1, 2], shown.slow[0][0, 1, 2]) == (1.5, 1)
    counted.finish(600.0)
    assert shown.invocations[0, 1, 3] == 1
    assert shown.slow[0].sum() == 1, "one second is not more than one second"


def test_a_late_end_fills_an_earlier_period() -> None:
    shown = metrics()
    counted = counts(shown)
    counted.invocation(0, 5, 0.5, 0.1, outcome=OK, cold=False)
    counted.hand_over(400.0)
    counted.invocation(0, 1, 0.5, 290.0, outcome=OK, cold=False)
    counted.hand_over(420.0)
    assert shown.invocations[0, 0].tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("t", "failed", "bad", "bad_by"),
    [(101.0, False, 0, [0, 0]), (101.000001, False, 1, [0, 1]), (100.5, True, 1, [1, 1])],
)
def test_a_request_is_bad_for_the_objectives_that_judge_it(t: float, failed: bool, bad: int, bad_by: list[int]) -> None:
    counted = counts(metrics(), objectives=2)
    counted.answer(10, 100.0)
    assert counted.judge(10, 100.0, t, failed, [(0, None), (1, 1.0)]) == bool(bad)
    counted.finish(600.0)
    assert counted.requests.requests[0, 1, 1] == 1
    assert counted.requests.bad[0, 1, 1] == bad
    assert [by[0, 1, 1] for by in counted.requests.bad_by] == bad_by


def test_percentiles_are_nearest_ranks_over_targets_and_periods() -> None:
    """The 9th of ten durations, whichever target and minute they are of; NaN where there is none."""
    shown = metrics()
    kept = KeptDurations(shown, 1000.0)
    for k in range(10):
        kept.add(10 * (k % 2) + 2 + k % 2, float(10 - k))
    kept.hand_over(250.0)
    assert shown.percentiles[P90][0, 1] == 9.0
    assert math.isnan(shown.percentiles[P90][0, 0])


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(3)
    indices, durations = rng.integers(0, 20, 500), rng.random(500)
    tables = []
    for together in (False, True):
        shown = metrics()
        kept = KeptDurations(shown, 1000.0)
        if together:
            kept.add_all(indices, durations)
        else:
            for index, duration in zip(indices.tolist(), durations.tolist(), strict=True):
                kept.add(index, duration)
        kept.hand_over(600.0)
        tables.append(shown.percentiles[P90])
    np.testing.assert_array_equal(*tables)
    assert np.isfinite(tables[0]).all()


def test_a_late_duration_is_in_a_percentile_whose_period_began_before_time_zero() -> None:
    early = Percentile("alias", 0.9, 180.0, step=60.0)
    shown = metrics(percentiles=(early,))
    kept = KeptDurations(shown, 1000.0)
    kept.hand_over(60.0)
    assert np.isnan(shown.percentiles[early]).all()
    kept.add(0, 100.0)
    kept.hand_over(120.0)
    np.testing.assert_array_equal(shown.percentiles[early][0, :3], [100.0, 100.0, math.nan])


def test_what_no_alarm_can_look_at_any_more_is_forgotten() -> None:
    shown = metrics()
    kept = KeptDurations(shown, 120.0)
    kept.add(0, 1.0)
    kept.hand_over(300.0)
    kept.add(0, 99.0)
    kept.hand_over(310.0)
    assert shown.percentiles[P90][0, 0] == 1.0
    assert not kept._samples, "neither what was there nor what came late takes memory"
