"""Estimates: a mean with its interval, and quantiles where a mean hides the tail.

All intervals are at `LEVEL`: Wilson's for shares, Newcombe's for their differences, Student's t for means (on the logarithm of the
mean where the values are too skewed for it), order statistics for quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray

LEVEL: Final = 0.95
EVEN: Final = 25.0
"""Cochran's rule: a normal interval fits the mean of n values where n is above this times their squared skewness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over replications, with its interval at `LEVEL`."""

    n: int
    """How many replications have the value."""
    mean: float
    """Their mean, in the unit of the value (a share is a fraction)."""
    low: float | None
    """The lower end of the mean's interval, which belongs to it; None where a single replication gives none."""
    high: float | None
    """The upper end, likewise."""
    quantiles: dict[str, tuple[float, float | None, float | None]]
    """By name (`p50`, `p95`) a quantile and the ends of its interval, None where there are too few replications for one."""

    def to_json(self) -> dict[str, float | None]:
        """`mean`, `low`, `high`, and for each quantile `p50`, `p50_low`, `p50_high`: the keys of the command line's JSON."""
        flat: dict[str, float | None] = {"mean": self.mean, "low": self.low, "high": self.high}
        for name, (value, low, high) in self.quantiles.items():
            flat |= {name: value, f"{name}_low": low, f"{name}_high": high}
        return flat


def share_of(hits: BoolArray) -> Estimate:
    """The share of the replications (`hits`, of shape (replications,)) that are true, with Wilson's interval."""
    n, k = hits.size, int(hits.sum())
    low, high = wilson(k, n)
    return Estimate(n=n, mean=k / n, low=low, high=high, quantiles={})


def mean_of(values: FloatArray, *, tail: bool = True, unit: float = 0.0) -> Estimate | None:
    """The mean of those `values` (of shape (replications,)) that are not NaN, with its interval; None where all are NaN.

    Student's t; where the values are at least zero and too skewed for it, t on the logarithm of the mean, whose interval
    never reaches below zero. `unit` is the least by which two values can differ, such as one request: where all are the
    same, one more or less may be what a share of the replications has that is too small to be seen, by Wilson. With 0,
    values that are all the same are taken to be certain. With `tail` the median and the 95th percentile as well. A
    single value has no interval.
    """
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return None
    mean = float(known.mean())
    low = high = None
    if known[0] == known[-1] and known.size > 1:
        mean, width = float(known[0]), unit * wilson(0, known.size)[1]
        low, high = mean - width if mean < 0 else max(mean - width, 0.0), mean + width
    elif known.size > 1:
        half = student_t(known.size - 1) * float(known.std(ddof=1)) / math.sqrt(known.size)
        low, high = mean - half, mean + half
        if known[0] >= 0 and (low < 0 or known.size < EVEN * _skewness(known) ** 2):
            low, high = mean * math.exp(-half / mean), mean * math.exp(half / mean)
    shares = {"p50": 0.5, "p95": 0.95} if tail else {}
    quantiles = {name: quantile(known, share) for name, share in shares.items()}
    return Estimate(n=known.size, mean=mean, low=low, high=high, quantiles=quantiles)


def _student(values: FloatArray) -> Estimate | None:
    """The mean of values of either sign that are not NaN, with Student's t; None where all are NaN."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    mean, half = float(known.mean()), math.nan
    if known.size > 1:
        half = student_t(known.size - 1) * float(known.std(ddof=1)) / math.sqrt(known.size)
    ends = (None, None) if math.isnan(half) else (mean - half, mean + half)
    return Estimate(n=known.size, mean=mean, low=ends[0], high=ends[1], quantiles={})


def _skewness(values: FloatArray) -> float:
    """The third standardised moment of values that are not all the same."""
    return float((((values - values.mean()) / values.std()) ** 3).mean())


def difference(values: FloatArray, others: FloatArray, unit: float = 1.0) -> Estimate | None:
    """The mean of the paired differences `values` - `others`, both of shape (replications,); pairs with a NaN are left out.

    None where no pair is left. Where all pairs differ alike, which Student's t would call certain, the interval is
    widened by Wilson's for an event that was never seen: the share of pairs that might differ by one `unit` more.
    """
    estimate = _student(values - others)
    if estimate is None or estimate.low is None or estimate.low < estimate.mean:
        return estimate
    width = unit * wilson(0, estimate.n)[1]
    return Estimate(
        n=estimate.n, mean=estimate.mean, low=estimate.mean - width, high=estimate.mean + width, quantiles={}
    )


def share_difference(hits: BoolArray, others: BoolArray) -> Estimate:
    """By how much larger the share of the replications is that `hits` have than the one that `others` have, pair by pair.

    Both of shape (replications,). Newcombe's interval for paired shares (1998, method 10): how far each share is from the ends of
    its own interval (Wilson's), added as two correlated errors are; so it never reaches beyond -1 or 1.
    """
    n = hits.size
    both, first, second = (int(part.sum()) for part in (hits & others, hits & ~others, ~hits & others))
    neither = n - both - first - second
    share, other = (both + first) / n, (both + second) / n
    below, above = (abs(share - end) for end in wilson(both + first, n))
    other_below, other_above = (abs(other - end) for end in wilson(both + second, n))
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    agreement = float(both * neither - first * second)
    if agreement > 0:
        agreement = max(agreement - n / 2, 0.0)  # corrected for continuity
    correlation = agreement / math.sqrt(margins) if margins else 0.0

    def combined(distance: float, other_distance: float) -> float:
        return math.sqrt(max(distance**2 - 2 * correlation * distance * other_distance + other_distance**2, 0.0))

    mean = share - other
    low, high = mean - combined(below, other_above), mean + combined(above, other_below)
    return Estimate(n=n, mean=mean, low=low, high=high, quantiles={})


def wilson(hits: float, n: float) -> tuple[float, float]:
    """Wilson's score interval for the share behind `hits` of `n` (1927)."""
    z, share = normal_z(), hits / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (0.0 if hits == 0 else middle - half, 1.0 if hits == n else middle + half)


def quantile(ordered: FloatArray, share: float) -> tuple[float, float | None, float | None]:
    """The nearest-rank quantile of rising values, between the two order statistics that hold it with `LEVEL`.

    A bound is None where even the first or the last of the values does not bound it with that confidence.
    """
    n = ordered.size
    value = float(ordered[max(math.ceil(share * n - 1e-9), 1) - 1])
    # The number of values at or below the quantile is Binomial(n, share).
    below = binomial_quantile((1 - LEVEL) / 2, n, share)
    above = binomial_quantile((1 + LEVEL) / 2, n, share) + 1
    return (
        value,
        float(ordered[below - 1]) if below >= 1 else None,
        float(ordered[above - 1]) if above <= n else None,
    )


def binomial_quantile(level: float, n: int, share: float) -> int:
    """The least k with P(Binomial(`n`, `share`) <= k) >= `level`; `scipy.stats`, whose import takes half a second, has the same."""
    from scipy.special import bdtr

    return _least(lambda k: float(bdtr(k, n, share)) >= level, n)


def poisson_beyond(chance: float, mean: float) -> int:
    """The least k with P(Poisson(`mean`) > k) <= `chance`, above 0; likewise."""
    from scipy.special import pdtrc

    most = 1
    while pdtrc(most, mean) > chance:
        most *= 2
    return _least(lambda k: float(pdtrc(k, mean)) <= chance, most)


def _least(holds: Callable[[int], bool], most: int) -> int:
    """The least whole number from 0 to `most` for which something holds that holds for all above it, and for `most`."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


_RESAMPLES: Final = 2000


def ratio_in_blocks(
    parts: FloatArray, wholes: FloatArray, blocks: IntArray, *,
    base: tuple[FloatArray, FloatArray] | None = None, largest_of: int = 1,
) -> Estimate | None:  # fmt: skip
    """The sum of `parts` over the sum of `wholes`, of values that depend on one another within blocks, such as days.

    All of shape (values,); `blocks` says which one each belongs to. With a `base`, other parts and wholes, it is divided by their
    ratio. One that was chosen as the `largest_of` so many has the interval that all of them have at once (Bonferroni). The interval
    is that of a bootstrap of whole blocks, with the percentiles widened to those of Student's t, since few blocks scatter less than
    they should (Hesterberg 2015, section 4.2). None where the wholes are 0; no interval with a single block.
    """
    from scipy.special import ndtr

    _, place = np.unique(blocks, return_inverse=True)
    size = int(place.max()) + 1 if place.size else 0
    # times the wholes of the base, over its parts
    sums = np.array(
        [np.bincount(place, weights=values, minlength=size) for values in (parts, wholes, *(base or ())[::-1])]
    )
    total = _products(sums.sum(axis=1)[None, :])[0]
    if not total[1]:
        return None
    low = high = None
    if size > 1:
        counts = np.random.default_rng(size).multinomial(size, np.full(size, 1 / size), _RESAMPLES)
        drawn = _products(counts @ sums.T)
        ratios = drawn[drawn[:, 1] != 0]
        tail = float(ndtr(-math.sqrt(size / (size - 1)) * student_t(size - 1, largest_of)))
        low, high = (float(end) for end in np.quantile(ratios[:, 0] / ratios[:, 1], [tail, 1 - tail]))
    mean = float(total[0] / total[1])
    return Estimate(
        n=place.size, mean=mean, low=None if low is None else min(low, mean), high=None if high is None else max(high, mean),
        quantiles={},
    )  # fmt: skip


def _products(sums: FloatArray) -> FloatArray:
    """What is divided by what, from sums of shape (..., 2 or 4): shape (..., 2)."""
    return np.asarray(sums.reshape(len(sums), -1, 2).prod(axis=1))


def share_in_blocks(hits: BoolArray, blocks: IntArray, independent: float) -> Estimate:
    """The share of `hits` that are true, of shape (values,), where values depend on one another within blocks, such as days.

    The interval is that of `ratio_in_blocks`, and at least Wilson's for so many `independent` values: what was never seen, or
    on one day alone, is not certain.
    """
    estimate = ratio_in_blocks(hits.astype(float), np.ones(hits.size), blocks)
    assert estimate is not None
    low, high = wilson(estimate.mean * independent, independent)
    ends = (
        low if estimate.low is None else min(low, estimate.low),
        high if estimate.high is None else max(high, estimate.high),
    )
    return Estimate(n=estimate.n, mean=estimate.mean, low=max(ends[0], 0.0), high=min(ends[1], 1.0), quantiles={})


def student_t(freedom: float, intervals: int = 1) -> float:
    """How many standard errors an interval reaches to either side; with several `intervals`, so that all hold at once."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - (1 - LEVEL) / 2 / intervals))


@cache
def normal_z() -> float:
    """The same for a standard error that is known."""
    from scipy.special import ndtri

    return float(ndtri((1 + LEVEL) / 2))


def weighted_mean(parts: Sequence[FloatArray], weights: Sequence[float], *, unit: float = 0.0) -> Estimate:
    """The mean of a mixture from samples of its parts, with Student's t after Welch.

    A part is of shape (replications,), or of (draws, replications) where the replications of a draw have something drawn in
    common, such as a severity: then the draws are what varies. `weights` are the parts' probabilities. A part whose values
    are all the same may differ by `unit` in a share of its replications that is too small to be seen, as in `mean_of`.
    """
    units = [part if part.ndim == 1 else part.mean(axis=1) for part in parts]
    mean = math.fsum(weight * float(part.mean()) for part, weight in zip(units, weights, strict=True))
    # The means of draws that are all the same differ by rounding, which is no variance.
    variances = [
        w**2 * float(part.var(ddof=1)) / part.size if np.ptp(part) else 0.0
        for part, w in zip(units, weights, strict=True)
    ]
    variance = math.fsum(variances)
    half = 0.0
    if variance:
        terms = (v**2 / (part.size - 1) for v, part in zip(variances, units, strict=True) if v)
        half = student_t(variance**2 / math.fsum(terms)) * math.sqrt(variance)
    same = (w * wilson(0, part.size)[1] for part, w in zip(parts, weights, strict=True) if not np.ptp(part))
    half += unit * math.fsum(same)
    return Estimate(n=sum(part.size for part in parts), mean=mean, low=mean - half, high=mean + half, quantiles={})


def weighted_quantile(parts: Sequence[FloatArray], weights: Sequence[float], share: float) -> Estimate:
    """The quantile at `share` of a mixture from samples of its parts, whose shapes are those of `weighted_mean`.

    `weights` are the parts' probabilities. The interval follows from the variance of the share of the mixture that lies
    below the quantile, which is the weighted variance of the parts' own shares; where replications have a draw in common, it
    reaches further by a draw, for the quantile may lie anywhere between two of them. Where it reaches beyond the largest value,
    it has no upper end.
    """
    from scipy.special import ndtri

    values = np.concatenate([part.ravel() for part in parts])
    mass = np.concatenate([np.full(part.size, w / part.size) for part, w in zip(parts, weights, strict=True)])
    order = np.argsort(values, kind="stable")
    values, below = values[order], np.cumsum(mass[order]) / math.fsum(weights)
    value = float(values[min(int(np.searchsorted(below, share - 1e-12)), values.size - 1)])
    variance = step = 0.0
    for part, weight in zip(parts, weights, strict=True):
        inside = part <= value
        if part.ndim == 1 or part.shape[0] == 1:
            variance += weight**2 * float(inside.mean() * (1 - inside.mean())) / part.size
            step = max(step, weight if part.ndim == 2 else 0.0)
        else:
            variance += weight**2 * float(inside.mean(axis=1).var(ddof=1)) / part.shape[0]
            step = max(step, weight / part.shape[0])
    half = float(ndtri((1 + LEVEL) / 2)) * math.sqrt(variance) + step / math.fsum(weights)
    ends = [min(int(np.searchsorted(below, x - 1e-12)), values.size - 1) for x in (share - half, share + half)]
    low, high = (float(values[end]) for end in ends)
    # Beyond the largest value nothing is known, unless all are the same.
    known = share + half <= 1 or values[0] == values[-1]
    return Estimate(n=values.size, mean=value, low=low, high=high if known else None, quantiles={})
