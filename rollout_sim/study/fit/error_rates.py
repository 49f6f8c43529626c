"""Error rates: how errors clump, from the counts of each minute.

Three kinds of descriptions are fitted by maximum likelihood, and the one with the least BIC is taken:

    constant     every invocation fails with the same probability
    scattered    each span of time has a probability of its own, from a Beta distribution: beta-binomial counts
    spells       a hidden Markov chain of two states, calm and spell, that changes at whole periods

An alarm's rate of false alarms follows from how errors clump, at the time scale of its periods: `dispersions` compares the
variance of the counts over 1, 5, 15 and 60 periods with what the chosen description gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.statistics import Estimate, normal_z, wilson
from rollout_sim.study.fit.goodness import Goodness, Verdict, estimate

SPANS: Final = (1, 5, 15, 60)
"""Periods for which a scattered rate may hold, and over which dispersions are compared."""
SIMULATED: Final = 400
"""Recordings that are drawn from a fit to see what it gives."""
_FAIR, _POOR = 0.2, 0.5
"""How far a figure may be off, as a share of what the description gives, beyond what chance explains."""
_ENOUGH: Final = 10
"""Periods with so many errors from which on their number is compared. By two roots of it one of many levels is off by chance."""
_SMALLEST: Final = 1e-12
"""The share of errors at least that the likelihood of a state takes, and 1 less that at most."""
_BOTH_WAYS: Final = np.array([-1.0, 1.0])
"""From an estimate to the ends of its interval."""
Kind = Literal["constant", "scattered", "spells"]


class _Description(Protocol):
    """What draws counts of errors, given the invocations."""

    def draw(self, invocations: IntArray, places: IntArray, rng: np.random.Generator, number: int) -> FloatArray:
        """The share of each period in each of `number` recordings: shape (number, periods)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Every invocation fails with the probability `mean`."""

    mean: float

    def draw(self, invocations: IntArray, places: IntArray, rng: np.random.Generator, number: int) -> FloatArray:  # noqa: ARG002
        """The same share everywhere."""
        return np.full((number, invocations.size), self.mean)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scattered:
    """Each `span` periods have a probability from a Beta distribution of the mean and intra-class correlation."""

    mean: float
    dispersion: float
    span: int

    def draw(self, invocations: IntArray, places: IntArray, rng: np.random.Generator, number: int) -> FloatArray:  # noqa: ARG002
        """One share for each span."""
        weight = 1 / self.dispersion - 1
        spans, of = np.unique(places // self.span, return_inverse=True)
        shares: FloatArray = rng.beta(self.mean * weight, (1 - self.mean) * weight, (number, spans.size))[:, of]
        return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Spells:
    """Two states with the shares `calm` and `bad`, of mean lengths `every` and `spell` (periods)."""

    calm: float
    bad: float
    spell: float
    every: float

    @property
    def mean(self) -> float:
        """The share in the long run, where periods are alike."""
        inside = self.spell / (self.spell + self.every)
        return self.calm * (1 - inside) + self.bad * inside

    def draw(self, invocations: IntArray, places: IntArray, rng: np.random.Generator, number: int) -> FloatArray:  # noqa: ARG002
        """The share of the state of each period."""
        total = int(places[-1] - places[0]) + 1
        inside = np.empty((number, total), bool)
        for row in inside:
            state, at = bool(rng.random() < self.spell / (self.spell + self.every)), 0
            while at < total:
                stay = int(rng.geometric(min(1 / (self.spell if state else self.every), 1.0)))
                row[at : at + stay] = state
                state, at = not state, at + stay
        return np.where(inside[:, places - places[0]], self.bad, self.calm)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFit:
    """The description of a recording's errors that was chosen.

    `parameters` are its figures with intervals: `mean`, and `dispersion`, or `calm`, `bad` (shares), `spell`, `every` (s).
    `bic` is that of each description that was fitted; `dispersions` the measured index of dispersion (1 without any clumping)
    over so many periods, with the 95% range of what the description gives.
    """

    kind: Kind
    description: Constant | Scattered | Spells
    period: int
    parameters: Mapping[str, Estimate]
    bic: Mapping[str, float]
    dispersions: Mapping[int, tuple[float, float, float]]
    goodness: Goodness
    exceeded: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
    """Shares, and how often a period's is at or above them: measured, and the 95% range of the description."""

    @property
    def reason(self) -> str:
        """Why this one, in words."""
        others = sorted(
            (value - self.bic[self._chosen], name) for name, value in self.bic.items() if name != self._chosen
        )
        if not others:
            return "there is nothing to choose between"
        difference, name = others[0]
        return f"BIC {difference:,.1f} below {name}"

    @property
    def _chosen(self) -> str:
        return min(self.bic, key=lambda name: self.bic[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """One of the descriptions that are fitted: `bic` says how well."""

    kind: Kind
    description: Constant | Scattered | Spells
    bic: float
    parameters: Mapping[str, Estimate]


def fit_errors(times: IntArray, invocations: IntArray, errors: IntArray, period: int) -> ErrorFit:
    """The best description of `errors` of `invocations` in periods of `period` s that begin at `times` (rising; all (n,)).

    Periods without invocations say nothing. Raises ValueError where there is none with any.
    """
    used = invocations > 0
    times, invocations = times[used], invocations[used]
    errors = np.minimum(errors[used], invocations)
    if not times.size:
        raise ValueError("no period has invocations")
    places = times // period
    total, failed = int(invocations.sum()), int(errors.sum())
    low, high = wilson(failed, total)
    mean = failed / total
    fits = {
        "constant": _Candidate(
            kind="constant",
            description=Constant(mean=mean),
            bic=_bic(_binomial(invocations, errors, mean), 1, times.size),
            parameters={"mean": estimate(mean, low, high, total)},
        )
    }
    if 0 < failed < total and times.size >= 2 * SPANS[-1]:
        for span in SPANS:
            scattered = fit_scattered(places, invocations, errors, span)
            if scattered is not None:
                scattering, likelihood, parameters = scattered
                name = "scattered" if span == 1 else f"scattered over {span * period // 60} min"
                fits[name] = _Candidate(
                    kind="scattered", description=scattering, bic=_bic(likelihood, 2, times.size), parameters=parameters
                )
        spells = fit_spells(places, invocations, errors)
        if spells is not None:
            spelled, likelihood, parameters = spells
            in_seconds = {
                key: _in_seconds(value, period) if key in ("spell", "every") else value
                for key, value in parameters.items()
            }
            fits["spells"] = _Candidate(
                kind="spells", description=spelled, bic=_bic(likelihood, 4, times.size), parameters=in_seconds
            )
    best = min(fits.values(), key=lambda fit: fit.bic)
    dispersions, exceeded = _compared(best.description, places, invocations, errors)
    return ErrorFit(
        kind=best.kind, description=best.description, period=period, parameters=best.parameters,
        bic={name: fit.bic for name, fit in fits.items()}, dispersions=dispersions,
        goodness=_goodness(dispersions, exceeded, times.size, period), exceeded=exceeded,
    )  # fmt: skip


# --- scattered ----------------------------------------------------------------------------------------------------------


def fit_scattered(
    places: IntArray, invocations: IntArray, errors: IntArray, span: int = 1
) -> tuple[Scattered, float, Mapping[str, Estimate]] | None:
    """Beta-binomial counts over spans of `span` periods, by maximum likelihood: the description, its logarithm, intervals.

    The likelihood is that of every period, those of a span having one probability, so that different spans compare. None
    where the counts scatter no more than chance.
    """
    from scipy.special import betaln, expit, logit

    number, of = np.unique(places // span, return_inverse=True)
    n = np.bincount(of, invocations, number.size)
    k = np.bincount(of, errors, number.size)
    share = float(k.sum() / n.sum())
    if not 0 < share < 1:
        return None
    pairs, weights = np.unique(np.stack([n, k]), axis=1, return_counts=True)
    n, k = pairs

    def minus(theta: FloatArray) -> float:
        mean, dispersion = expit(theta[0]), expit(theta[1])
        weight = 1 / dispersion - 1
        a, b = mean * weight, (1 - mean) * weight
        return -float(weights @ (betaln(k + a, n - k + b) - betaln(a, b)))

    excess = _index(n, k, share, weights) - 1
    typical = float((n**2 * weights).sum() / (n * weights).sum())
    start = np.array([logit(share), logit(min(max(excess / max(typical - 1, 1.0), 1e-6), 0.5))])
    maximum = _maximum(minus, start)
    if maximum is None:
        return None
    theta, error = maximum
    if theta[1] < logit(1e-7):
        return None
    mean, dispersion = float(expit(theta[0])), float(expit(theta[1]))
    periods = int(weights.sum())
    ends = expit(theta[:, None] + error[:, None] * _BOTH_WAYS * normal_z())
    parameters = {
        "mean": estimate(mean, float(ends[0, 0]), float(ends[0, 1]), periods),
        "dispersion": estimate(dispersion, float(ends[1, 0]), float(ends[1, 1]), periods),
    }
    return Scattered(mean=mean, dispersion=dispersion, span=span), -minus(theta), parameters


# --- spells -------------------------------------------------------------------------------------------------------------


def fit_spells(
    places: IntArray, invocations: IntArray, errors: IntArray
) -> tuple[Spells, float, Mapping[str, Estimate]] | None:
    """A hidden Markov chain of two states by maximum likelihood: the description, the logarithm, and intervals (in periods).

    Over periods that are missing the chain goes on unseen. None where no two states are found.
    """
    from scipy.special import expit, logit

    likelihood = _chain(places, invocations, errors)

    def minus(theta: FloatArray) -> float:
        calm, bad = expit(theta[0]), expit(theta[1])
        spell, every = 1 + np.exp(np.minimum(theta[2:], 25.0))
        return -likelihood(calm, bad, spell, every)

    smooth = np.convolve(errors, np.ones(5), "same") / np.maximum(np.convolve(invocations, np.ones(5), "same"), 1)
    starts = []
    order = np.argsort(smooth)
    for part in (0.003, 0.02, 0.1, 0.3):
        cut = max(int(order.size * (1 - part)), 1)
        lower, upper = order[:cut], order[cut:]
        if not upper.size:
            continue
        calm, bad = (max(float(errors[side].sum()), 0.5) / float(invocations[side].sum()) for side in (lower, upper))
        if bad > calm:
            starts.append(np.array([logit(calm), logit(min(bad, 0.99)), math.log(4.0), math.log(5.0 / part)]))
    if not starts:
        return None
    start = min(starts, key=minus)
    maximum = _maximum(minus, start)
    if maximum is None:
        return None
    theta, error = maximum
    calm, bad = (float(value) for value in expit(theta[:2]))
    if bad <= calm:
        return None
    spell, every = (float(value) for value in 1 + np.exp(theta[2:]))
    periods = int(places.size)
    if every > 10 * periods or spell > 10 * periods:
        return None
    shares = expit(theta[:2, None] + error[:2, None] * _BOTH_WAYS * normal_z())
    lengths = 1 + np.exp(np.minimum(theta[2:, None] + error[2:, None] * _BOTH_WAYS * normal_z(), 50.0))
    parameters = {
        "calm": estimate(calm, float(shares[0, 0]), float(shares[0, 1]), periods),
        "bad": estimate(bad, float(shares[1, 0]), float(shares[1, 1]), periods),
        "spell": estimate(spell, float(lengths[0, 0]), float(lengths[0, 1]), periods),
        "every": estimate(every, float(lengths[1, 0]), float(lengths[1, 1]), periods),
    }
    return Spells(calm=calm, bad=bad, spell=spell, every=every), -minus(theta), parameters


def _chain(places: IntArray, invocations: IntArray, errors: IntArray) -> Callable[[float, float, float, float], float]:
    """The log-likelihood of a two-state chain, without the terms that no parameter changes.

    The forward algorithm is a product of 2 x 2 matrices, one a period; they are multiplied pairwise, so that a recording takes
    as many steps as its length has binary digits.
    """
    gaps = np.diff(places, prepend=places[0])
    longer = np.flatnonzero(gaps > 1)
    passed = errors.astype(float), (invocations - errors).astype(float)

    def likelihood(calm: float, bad: float, spell: float, every: float) -> float:
        calm, bad = (min(max(share, _SMALLEST), 1 - _SMALLEST) for share in (calm, bad))
        logs = np.stack([passed[0] * math.log(p) + passed[1] * math.log1p(-p) for p in (calm, bad)])
        largest = logs.max(axis=0)
        seen = np.exp(logs - largest)
        begins, ends = 1 / every, 1 / spell
        inside = begins / (begins + ends)
        stay = 1 - begins - ends
        a = np.array([[1 - begins, begins], [ends, 1 - ends]])
        # matrices[t][i, j]: from the state i before the period to the state j in it
        matrices = a[:, :, None] * seen[None, :, :]
        for t in longer:
            kept = stay ** int(gaps[t])
            jumped = np.array([[1 - inside, inside]] * 2) * (1 - kept) + np.eye(2) * kept
            matrices[:, :, t] = jumped * seen[None, :, t]
        matrices[:, :, 0] = np.array([[1 - inside, inside]] * 2) * seen[None, :, 0]
        scale = 0.0
        while matrices.shape[2] > 1:
            if matrices.shape[2] % 2:
                matrices = np.concatenate([matrices, np.eye(2)[:, :, None]], axis=2)
            left, right = matrices[:, :, ::2], matrices[:, :, 1::2]
            matrices = np.stack(
                [[left[i, 0] * right[0, j] + left[i, 1] * right[1, j] for j in range(2)] for i in range(2)]
            )
            norms = np.maximum(matrices.max(axis=(0, 1)), 1e-300)
            matrices = matrices / norms
            scale += float(np.log(norms).sum())
        return float(largest.sum()) + scale + math.log(max(float(matrices[0, :, 0].sum()), 1e-300))

    return likelihood


# --- what they have in common -------------------------------------------------------------------------------------------


def _maximum(minus: Callable[[FloatArray], float], start: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Where `minus` is least, and the standard errors of the parameters there by its curvature; None where it has none."""
    from scipy.optimize import minimize

    theta = np.asarray(minimize(minus, start, method="BFGS", options={"gtol": 1e-4, "maxiter": 200}).x, float)
    if not np.isfinite(theta).all():
        return None
    size = theta.size
    steps = np.full(size, 1e-3)
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(i, size):
            corners = []
            for first, second in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                moved = theta.copy()
                moved[i] += first * steps[i]
                moved[j] += second * steps[j]
                corners.append(minus(moved))
            hessian[i, j] = hessian[j, i] = (corners[0] - corners[1] - corners[2] + corners[3]) / (
                4 * steps[i] * steps[j]
            )
    try:
        variances = np.diag(np.linalg.inv(hessian))
    except np.linalg.LinAlgError:
        return None
    if not (np.isfinite(variances) & (variances > 0)).all():
        return None
    return theta, np.sqrt(variances)


def _binomial(invocations: IntArray, errors: IntArray, mean: float) -> float:
    """The log-likelihood of errors that all come with the same probability, without the terms that do not depend on it."""
    if not 0 < mean < 1:
        return 0.0
    failed = float(errors.sum())
    return failed * math.log(mean) + (float(invocations.sum()) - failed) * math.log1p(-mean)


def _bic(likelihood: float, parameters: int, n: int) -> float:
    """The Bayesian information criterion, the less the better: of a log-likelihood of `n` periods by so many `parameters`."""
    return parameters * math.log(n) - 2 * likelihood


def _in_seconds(value: Estimate, period: int) -> Estimate:
    """An estimate in periods of `period` s, in seconds."""
    assert value.low is not None
    assert value.high is not None
    return estimate(value.mean * period, value.low * period, value.high * period, value.n)


def _index(
    n: FloatArray | IntArray, k: FloatArray | IntArray, share: float, weights: FloatArray | IntArray | float = 1.0
) -> float:
    """The index of dispersion: squared deviations of counts over their binomial variance, both summed."""
    if not 0 < share < 1:
        return 1.0
    return float((weights * (k - n * share) ** 2).sum() / (weights * n * share * (1 - share)).sum())


def _compared(
    description: _Description, places: IntArray, invocations: IntArray, errors: IntArray
) -> tuple[dict[int, tuple[float, float, float]], tuple[FloatArray, FloatArray, FloatArray, FloatArray]]:
    """The dispersion over spans, and how often shares are exceeded: measured and as the description gives them.

    The drawn recordings have the same invocations. Their chance is that of a fixed seed: the same data give the same figures.
    """
    rng = np.random.default_rng(0)
    number = max(40, min(SIMULATED, 4_000_000 // invocations.size))
    drawn = rng.binomial(invocations, description.draw(invocations, places, rng, number))
    dispersions = {}
    for span in SPANS:
        spans, of = np.unique(places // span, return_inverse=True)
        if spans.size < 20:
            break
        n = np.bincount(of, invocations, spans.size).astype(float)
        starts = np.flatnonzero(np.diff(of, prepend=-1))
        given = np.add.reduceat(drawn, starts, axis=1).astype(float)
        share = float(errors.sum() / invocations.sum())
        measured = _index(n, np.bincount(of, errors, spans.size).astype(float), share)
        shares = given.sum(axis=1) / n.sum()
        own = [_index(n, row, float(value)) for row, value in zip(given, shares, strict=True)]
        low, high = np.quantile(own, [0.025, 0.975])
        dispersions[span] = (measured, float(low), float(high))
    rates = errors / invocations
    levels = np.unique(np.quantile(rates, 1 - np.geomspace(1, max(1 / rates.size, 1e-4), 40)))
    levels = levels[levels > 0] if (levels > 0).any() else np.array([1.0])
    others = drawn / invocations
    above = np.stack([(others >= level).mean(axis=1) for level in levels])
    low_end, high_end = np.quantile(above, [0.025, 0.975], axis=1)
    return dispersions, (levels, np.array([(rates >= level).mean() for level in levels]), low_end, high_end)


def _goodness(
    dispersions: Mapping[int, tuple[float, float, float]],
    exceeded: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    periods: int,
    period: int,
) -> Goodness:
    """Whether the variance over each span, and how often shares are exceeded, are what the description gives: the worst of them."""
    if not dispersions:
        return Goodness(verdict="fair", figure="too few periods to tell", value=math.nan)
    compared = {f"dispersion over {span * period // 60} min": figures for span, figures in dispersions.items()}
    levels, *shares = exceeded
    for level, measured, low, high in zip(levels, *shares, strict=True):
        beyond = max(measured - high, low - measured) * periods
        if max(measured, low) * periods >= _ENOUGH and beyond > 2 * math.sqrt(max(measured, low) * periods):
            compared[f"periods with {level * 100:.2g}% errors or more"] = (float(measured), float(low), float(high))
    off = {
        name: max(measured / max(high, 1 / periods) - 1, low / max(measured, 1 / periods) - 1, 0.0)
        for name, (measured, low, high) in compared.items()
    }
    worst = max(off, key=lambda name: off[name])
    measured, low, high = compared[worst]
    verdict: Verdict = "poor" if off[worst] > _POOR else "fair" if off[worst] > _FAIR else "good"
    return Goodness(verdict=verdict, figure=worst, value=measured, low=low, high=high)
