"""Estimates: published intervals, and coverage at the stated rate."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import stdtrit

from rollout_sim.core.statistics import (
    binomial_quantile,
    difference,
    mean_of,
    poisson_beyond,
    quantile,
    ratio_in_blocks,
    share_difference,
    share_in_blocks,
    share_of,
    weighted_mean,
    wilson,
)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_meets_newcombe_1998(hits: int, n: int, low: float, high: float) -> None:
    """Table I of Newcombe, Statistics in Medicine 17 (1998), method 3."""
    assert wilson(hits, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_wilson_never_leaves_the_unit_interval() -> None:
    assert wilson(0, 1)[0] == 0
    assert wilson(1, 1)[1] == 1
    assert share_of(np.array([True, False])).mean == 0.5


def test_the_mean_of_a_normal_sample_by_hand() -> None:
    """t(0.975, 4) = 2.776445; the sample 1..5 has the standard error sqrt(2.5 / 5)."""
    estimate = mean_of(np.array([1.0, 2, 3, 4, 5, math.nan]))
    assert estimate is not None
    assert (estimate.n, estimate.mean) == (5, 3)
    assert estimate.high == pytest.approx(3 + 2.776445 * math.sqrt(0.5), abs=1e-5)
    assert estimate.low == pytest.approx(3 - 2.776445 * math.sqrt(0.5), abs=1e-5)
    assert mean_of(np.array([math.nan])) is None


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_quantile_intervals_cover_at_their_rate(share: float) -> None:
    """4,000 samples of 400: coverage between 93.5% and 98%; a right test fails with a chance below 1e-4."""
    rng = np.random.default_rng(1)
    truth = -math.log(1 - share)
    samples = np.sort(rng.standard_exponential((4000, 400)), axis=1)
    found = [quantile(one, share) for one in samples]
    covered = np.mean([low is not None and high is not None and low <= truth <= high for _, low, high in found])
    assert 0.935 < covered < 0.98


def test_a_tail_that_few_replications_cannot_bound_has_no_bound() -> None:
    value, low, high = quantile(np.arange(1.0, 21.0), 0.95)
    assert (value, high) == (19, None)
    assert low is not None
    assert quantile(np.array([4.0]), 0.5) == (4, None, None)


def test_paired_differences_use_the_pairs() -> None:
    """Noise that both share cancels: the interval is that of the difference alone."""
    rng = np.random.default_rng(2)
    shared = rng.normal(size=500) * 100
    found = difference(shared + 1 + rng.normal(size=500) * 0.1, shared)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1 < found.high
    assert found.high - found.low < 0.03


def test_a_difference_that_never_varied_is_not_called_certain() -> None:
    found = difference(np.ones(100), np.zeros(100))
    assert found is not None
    assert (found.mean, found.low) == (1, pytest.approx(1 - wilson(0, 100)[1]))


def test_a_difference_of_shares_is_newcombes() -> None:
    """The example of Altman, Machin, Bryant and Gardner, Statistics with Confidence (2000), table 6.2: 0.011 to 0.226."""
    first = np.repeat([True, True, False, False], [14, 5, 0, 22])
    second = np.repeat([True, False, True, False], [14, 5, 0, 22])
    estimate = share_difference(first, second)
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((0.122, 0.011, 0.226), abs=5e-4)


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_intervals_of_differences_of_shares_hold_the_truth_and_stay_within_one(shared: float) -> None:
    """1,500 times 20 pairs, of which a share is the same in both: fixed seed, 3 standard errors around 95% are 93.3% to 96.7%."""
    rng = np.random.default_rng(6)
    held, ends = [], []
    for _ in range(1500):
        same, first, second = rng.random(20) < shared, rng.random(20) < 0.9, rng.random(20) < 0.5
        estimate = share_difference(first, np.where(same, first, second))
        assert estimate.low is not None
        assert estimate.high is not None
        held.append(estimate.low <= 0.4 * (1 - shared) <= estimate.high)
        ends += [estimate.low, estimate.high]
    assert np.mean(held) > 0.933
    assert -1 <= min(ends) <= max(ends) <= 1


def _rare(rng: np.random.Generator, runs: int, n: int) -> np.ndarray:
    """Bad requests as rollouts have them: none in most replications, many in some. The mean is 75."""
    return rng.standard_exponential((runs, n)) * 375 * (rng.random((runs, n)) < 0.2)


def _exponential(rng: np.random.Generator, runs: int, n: int) -> np.ndarray:
    return rng.standard_exponential((runs, n)) * 75


@pytest.mark.parametrize("draw", [_rare, _exponential])
@pytest.mark.parametrize("n", [10, 20, 40, 300])
def test_intervals_of_skewed_means_stay_above_zero_and_cover(draw, n: int) -> None:
    """3,000 samples: at least 88% of the intervals hold the mean, more than Student's t does, and none is below zero.

    Samples that are all zero say nothing of how large a value may be, and are left out.
    """
    samples = draw(np.random.default_rng(5), 3000, n)
    found = [mean_of(values) for values in samples if values.any()]
    bounds = [(one.low, one.high) for one in found if one is not None]
    assert min(low for low, _ in bounds) > 0
    covered = np.mean([low <= 75 <= high for low, high in bounds])
    half = [stdtrit(n - 1, 0.975) * values.std(ddof=1) / math.sqrt(n) for values in samples if values.any()]
    student = np.mean([abs(one.mean - 75) <= h for one, h in zip(found, half, strict=True) if one is not None])
    assert covered >= max(0.88, student - 0.005)


def test_an_even_sample_has_students_t() -> None:
    values = np.random.default_rng(6).normal(100, 10, 1000)
    estimate = mean_of(values)
    assert estimate is not None
    assert estimate.high - estimate.mean == pytest.approx(estimate.mean - estimate.low)


def test_what_never_happened_may_yet_happen() -> None:
    """No bad request in 20 replications: by Wilson up to 16% of the replications may have one. A fixed time is certain."""
    none = mean_of(np.zeros(20), unit=1.0)
    assert none is not None
    assert (none.mean, none.low) == (0, 0)
    assert none.high == pytest.approx(0.1611, abs=5e-5)
    always = mean_of(np.full(20, 7.0), unit=1.0)
    assert always is not None
    assert (always.low, always.high) == (pytest.approx(6.8389, abs=5e-5), pytest.approx(7.1611, abs=5e-5))
    fixed = mean_of(np.full(20, 0.1))
    assert fixed is not None
    assert (fixed.mean, fixed.low, fixed.high) == (0.1, 0.1, 0.1)


def test_differences_may_be_of_either_sign() -> None:
    found = difference(np.array([0.0, 0, 0, 0, 300]), np.zeros(5))
    assert found is not None
    assert found.low is not None
    assert found.low < 0 < found.mean


def test_a_mixture_of_few_has_an_interval_for_few() -> None:
    """One part of two values: t with one degree of freedom, 12.7062; a part without a bad request may yet have one."""
    found = weighted_mean([np.array([1.0, 3.0]), np.array([5.0, 5.0])], [0.5, 0.5])
    assert (found.mean, found.high) == (3.5, pytest.approx(3.5 + 12.7062 * 0.5, abs=1e-3))
    none = weighted_mean([np.zeros(4), np.zeros(4)], [0.9, 0.1], unit=1.0)
    assert (none.mean, none.high) == (0, pytest.approx(wilson(0, 4)[1]))


def test_intervals_of_blocks_hold_the_truth_where_values_of_a_block_depend_on_one_another() -> None:
    """Fifteen days whose shares scatter: at least 91% of 400 intervals hold the mean, where Wilson's of all values hold few."""
    rng = np.random.default_rng(5)
    blocks = np.repeat(np.arange(15), 100)
    held = naive = 0
    for _ in range(400):
        hits = rng.random(1500) < np.repeat(rng.beta(2, 8, 15), 100)
        estimate, alone = share_in_blocks(hits, blocks, 100), share_of(hits)
        assert estimate.low is not None
        assert estimate.high is not None
        assert alone.low is not None
        assert alone.high is not None
        held += estimate.low <= 0.2 <= estimate.high
        naive += alone.low <= 0.2 <= alone.high
    assert held >= 0.91 * 400
    assert naive < 0.7 * 400


def test_what_was_never_seen_in_blocks_is_not_certain() -> None:
    estimate = share_in_blocks(np.zeros(1000, bool), np.repeat(np.arange(10), 100), 50)
    assert (estimate.mean, estimate.low) == (0, 0)
    assert estimate.high == pytest.approx(wilson(0, 50)[1])
    assert ratio_in_blocks(np.ones(4), np.zeros(4), np.arange(4)) is None


def test_discrete_quantiles_are_those_of_scipy() -> None:
    for n in (1, 2, 7, 40, 400, 10_000):
        for share in (0.05, 0.5, 0.95):
            for level in (0.025, 0.975):
                assert binomial_quantile(level, n, share) == stats.binom.ppf(level, n, share)
    for mean in (0.0, 0.3, 7.0, 150.0, 40_000.0):
        for chance in (0.5, 0.01, 1e-9):
            assert poisson_beyond(chance, mean) == stats.poisson.isf(chance, mean)


def test_a_comparison_does_without_scipy_stats() -> None:
    """Its import takes as long as a thousand replications of a small scenario."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from builders import scenario; from rollout_sim import compare; "
        "compare(scenario(), 40).estimates('canary'); print('scipy.stats' in sys.modules)"
    )
    tests = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code, tests], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_largest_of_many_ratios_has_an_interval_that_all_of_them_have_at_once() -> None:
    """The worst of 24 hours that are alike: how often its interval begins above the mean."""
    days, hours = np.repeat(np.arange(14), 24), np.tile(np.arange(24), 14)
    wrong = {1: 0, 24: 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = np.full(days.size, 3600.0)
        errors = rng.binomial(3600, rng.beta(1.0, 99.0, days.size)).astype(float)
        worst = int(np.argmax(np.bincount(hours, weights=errors)))
        here = hours == worst
        for largest_of in wrong:
            estimate = ratio_in_blocks(errors * here, n * here, days, base=(errors, n), largest_of=largest_of)
            assert estimate is not None
            assert estimate.low is not None
            assert estimate.mean == pytest.approx(errors[here].mean() / errors.mean())
            wrong[largest_of] += estimate.low > 1
    assert wrong[24] <= 6
    assert wrong[1] > 8
