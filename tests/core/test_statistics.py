"""Estimates: published intervals, and coverage at the stated rate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rollout_sim.core.statistics import difference, mean_of, quantile, share_of, wilson


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
