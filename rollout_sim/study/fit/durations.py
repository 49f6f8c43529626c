"""Durations: a distribution from the percentiles of each period, or from single invocations.

A percentile of few invocations is an order statistic, and lies beside the distribution's own on average. It is taken for what
it is: the k-th of n, with the mean and the variance that it has on the scale of the normal distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.statistics import Estimate, normal_z, student_t
from rollout_sim.study.fit.goodness import Goodness, Verdict, estimate

SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_Z99: Final = 2.3263478740408408
"""The standard normal distribution's 99th percentile."""
_FAIR, _POOR = 0.1, 0.3
"""How far a quantile may be off, as a share of it."""
_FAIR_DISTANCE, _POOR_DISTANCE = 0.05, 0.1
"""How far the distribution function of single invocations may be off (Kolmogorov's distance)."""
_BLOCK: Final = 60
"""Periods that vary together: the interval takes their sums as what varies."""
_LEAST_BLOCKS: Final = 10
"""How many blocks there are at least, where there are as many periods; the fewer, the wider the interval."""
_FEW_BLOCKS: Final = 5
"""Of fewer blocks nothing is said of how they vary."""
_MANY: Final = 1000
"""Invocations beyond which a percentile's score and variance are taken from formulas for large samples."""
_NODES: Final = 128
"""Quantiles of a rank over which its normal score is averaged."""
_WAVES: Final = 0.02
"""The variance of the logarithm of a period's median, beyond chance, above which durations change over time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationFit:
    """A distribution of durations (s).

    `parameters` are its figures with intervals, as the scenario calls them. `quantiles` compares the measured and the fitted
    figure (s) of each of `p50`, `p90`, `p99`, `average`. `varies` says that durations change over time, which one distribution
    for all cannot say.
    """

    distribution: Distribution
    parameters: Mapping[str, Estimate]
    quantiles: Mapping[str, tuple[float, float]]
    source: Literal["percentiles", "invocations"]
    goodness: Goodness
    varies: bool = False


def fit_percentiles(
    invocations: IntArray, percentiles: Mapping[str, FloatArray], average: FloatArray
) -> DurationFit | None:
    """A lognormal distribution by the `percentiles` (s, by the keys of `SHARES`) of periods, all of shape (periods,).

    The logarithm of each percentile is regressed on the normal score of its order statistic. NaN is not known. None where
    less than two percentiles are.
    """
    together = max(1, min(_BLOCK, invocations.size // _LEAST_BLOCKS))
    known_shares: list[str] = []
    rows: list[tuple[FloatArray, FloatArray, FloatArray, IntArray]] = []
    for name, share in SHARES.items():
        values = percentiles.get(name)
        if values is None:
            continue
        used = ~np.isnan(values) & (values > 0) & (invocations * (1 - share) >= 1) & (invocations >= 3)
        if not used.any():
            continue
        scores, variances = _order_statistics(invocations[used], share)
        rows.append((scores, np.log(values[used]), 1 / variances, np.flatnonzero(used) // together))
        known_shares.append(name)
    if len(rows) < 2:
        return None
    z, y, w, block = (np.concatenate(part) for part in zip(*rows, strict=True))
    middle, sigma, covariance = _line(z, y, w, block)
    if sigma <= 0 or not np.isfinite(covariance).all():
        return None
    tail_of = np.array([1.0, _Z99])
    errors = math.sqrt(covariance[0, 0]), math.sqrt(max(float(tail_of @ covariance @ tail_of), 0.0))
    tail = middle + sigma * _Z99
    parameters = {
        "median": _of_log(middle, errors[0], y.size),
        "p99": _of_log(tail, errors[1], y.size),
    }
    distribution = Distribution("lognormal", (math.exp(middle), math.exp(tail)))
    quantiles = {}
    for name, (scores, logs, weights, _) in zip(known_shares, rows, strict=True):
        measured = float(np.average(logs - sigma * scores, weights=weights)) + sigma * float(
            _normal(np.array(SHARES[name]))
        )
        quantiles[name] = (math.exp(measured), float(distribution.ppf(np.array([SHARES[name]]))[0]))
    known = ~np.isnan(average) & (invocations > 0)
    if known.any():
        quantiles["average"] = (float(np.average(average[known], weights=invocations[known])), distribution.mean)
    scores, logs, weights, _ = rows[0]
    residual = logs - middle - sigma * scores
    beyond = float(np.average((residual - residual.mean()) ** 2, weights=weights)) - sigma**2 * scores.size / float(
        weights.sum()
    )
    return DurationFit(
        distribution=distribution, parameters=parameters, quantiles=quantiles, source="percentiles",
        goodness=_by_quantiles(quantiles), varies=beyond > _WAVES,
    )  # fmt: skip


def fit_samples(samples: FloatArray) -> DurationFit | None:
    """A lognormal distribution by maximum likelihood of single durations or inits (s); None for fewer than ten or equal ones."""
    values = samples[samples > 0]
    if values.size < 10 or np.ptp(values) == 0:
        return None
    logs = np.log(values)
    middle, sigma, n = float(logs.mean()), float(logs.std(ddof=1)), values.size
    tail = middle + _Z99 * sigma
    distribution = Distribution("lognormal", (math.exp(middle), math.exp(tail)))
    error = sigma / math.sqrt(n)
    parameters = {
        "median": _of_log(middle, error, n),
        "p99": _of_log(tail, error * math.sqrt(1 + _Z99**2 / 2), n),
    }
    quantiles = {
        name: (float(np.quantile(values, share)), float(distribution.ppf(np.array([share]))[0]))
        for name, share in SHARES.items()
    }
    quantiles["average"] = (float(values.mean()), distribution.mean)
    return DurationFit(
        distribution=distribution, parameters=parameters, quantiles=quantiles, source="invocations",
        goodness=_by_distance(np.sort(values), distribution),
    )  # fmt: skip


def _order_statistics(n: IntArray, share: float) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of the nearest-rank percentile of n normal variates, elementwise.

    The rank is Beta distributed; its normal score is averaged over quantiles of it. Of more than `_MANY` the variance of the
    sample quantile and Blom's score (k - 3/8) / (n + 1/4) are right to far more than is asked.
    """
    k = np.ceil(n * share - 1e-9)
    scores = _normal((k - 0.375) / (n + 0.25))
    density = np.exp(-(scores**2) / 2) / math.sqrt(2 * math.pi)
    variances = share * (1 - share) / (n * density**2)
    few = n <= _MANY
    sizes, of = np.unique(n[few], return_inverse=True)
    if sizes.size:
        drawn = np.array([_order_statistic(int(size), share) for size in sizes])
        scores[few], variances[few] = drawn[of].T
    return scores, variances


@lru_cache(maxsize=8 * _MANY)
def _order_statistic(n: int, share: float) -> tuple[float, float]:
    """`_order_statistics` of one n."""
    from scipy.special import betaincinv

    rank = math.ceil(n * share - 1e-9)
    drawn = _normal(betaincinv(rank, n - rank + 1, (np.arange(_NODES) + 0.5) / _NODES))
    return float(drawn.mean()), float(drawn.var())


def _line(z: FloatArray, y: FloatArray, w: FloatArray, block: IntArray) -> tuple[float, float, FloatArray]:
    """Weighted least squares of y on z, and the covariance of intercept and slope, with blocks as what varies together."""
    design = np.stack([np.ones(z.size), z])
    bread = np.linalg.inv((design * w) @ design.T)
    beta = bread @ ((design * w) @ y)
    residual = w * (y - beta @ design)
    _, of = np.unique(block, return_inverse=True)
    blocks = int(of.max()) + 1
    scores = np.stack([np.bincount(of, row * residual, blocks) for row in design])
    if blocks < _FEW_BLOCKS:
        # Too few to see how they vary: by the order statistics alone, as if all those of a period were one.
        return float(beta[0]), float(beta[1]), np.asarray(bread * beta[1] ** 2 * len(SHARES), float)
    few = blocks / (blocks - 1)
    inflated = (student_t(blocks - 1) / normal_z()) ** 2
    covariance = bread @ (scores @ scores.T) @ bread * few * inflated
    return float(beta[0]), float(beta[1]), np.asarray(covariance, float)


def _normal(share: FloatArray) -> FloatArray:
    """The standard normal distribution's quantiles at these shares."""
    from scipy.special import ndtri

    return np.asarray(ndtri(share), float)


def _of_log(middle: float, error: float, n: int) -> Estimate:
    """What has the logarithm `middle`, which has that standard `error`."""
    half = normal_z() * error
    return estimate(math.exp(middle), math.exp(middle - half), math.exp(middle + half), n)


def _by_quantiles(quantiles: Mapping[str, tuple[float, float]]) -> Goodness:
    """The worst of the quantiles: how far the fitted one is off."""
    name = max(quantiles, key=lambda name: abs(math.log(quantiles[name][1] / quantiles[name][0])))
    measured, fitted = quantiles[name]
    off = abs(math.log(fitted / measured))
    verdict: Verdict = "poor" if off > math.log1p(_POOR) else "fair" if off > math.log1p(_FAIR) else "good"
    return Goodness(verdict=verdict, figure=f"fitted / measured {name}", value=fitted / measured)


def _by_distance(ordered: FloatArray, distribution: Distribution) -> Goodness:
    """Kolmogorov's distance, beside what chance gives where the distribution is right."""
    n = ordered.size
    below = distribution.cdf(ordered)
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - below).max(), (below - steps[:-1]).max()))
    chance = 1.358 / math.sqrt(n)
    off = max(distance - chance, 0.0)
    verdict: Verdict = "poor" if off > _POOR_DISTANCE else "fair" if off > _FAIR_DISTANCE else "good"
    return Goodness(verdict=verdict, figure="Kolmogorov's distance", value=distance, low=0.0, high=chance)
