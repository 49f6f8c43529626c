"""Planted truth: recordings of known parameters, fitted, and whether the intervals hold what was planted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rollout_sim.core.distributions import Distribution
from rollout_sim.core.statistics import Estimate
from rollout_sim.study.fit.arrivals import dispersion
from rollout_sim.study.fit.durations import SHARES, fit_percentiles, fit_samples
from rollout_sim.study.fit.error_rates import Scattered, Spells, fit_scattered, fit_spells
from rollout_sim.study.fit.releases import posterior

SEEDS = 200
MINUTES = 1440
PLACES = np.arange(MINUTES)
DURATION = Distribution("lognormal", (0.08, 0.6))


def _scattered(rng: np.random.Generator) -> dict[str, tuple[float, Estimate]]:
    truth = Scattered(mean=0.01, dispersion=0.01, span=1)
    n = rng.poisson(150, MINUTES)
    fitted = fit_scattered(PLACES, n, rng.binomial(n, truth.draw(n, PLACES, rng, 1)[0]))
    assert fitted is not None
    return {name: (getattr(truth, name), fitted[2][name]) for name in ("mean", "dispersion")}


def _spells(rng: np.random.Generator) -> dict[str, tuple[float, Estimate]]:
    truth = Spells(calm=0.003, bad=0.06, spell=8, every=60)
    n = rng.poisson(150, MINUTES)
    fitted = fit_spells(PLACES, n, rng.binomial(n, truth.draw(n, PLACES, rng, 1)[0]))
    assert fitted is not None
    return {name: (getattr(truth, name), fitted[2][name]) for name in ("calm", "bad", "spell", "every")}


def _percentiles(rng: np.random.Generator) -> dict[str, tuple[float, Estimate]]:
    n = rng.poisson(120, 360)
    drawn = DURATION.ppf(rng.random((n.size, int(n.max()))))
    drawn = np.sort(np.where(np.arange(drawn.shape[1]) < n[:, None], drawn, np.inf), axis=1)
    percentiles = {
        name: drawn[np.arange(n.size), np.ceil(n * share - 1e-9).astype(int) - 1] for name, share in SHARES.items()
    }
    average = np.where(np.isfinite(drawn), drawn, 0.0).sum(axis=1) / n
    fitted = fit_percentiles(n, percentiles, average)
    assert fitted is not None
    return dict(zip(("median", "p99"), zip(DURATION.parameters, fitted.parameters.values(), strict=True), strict=True))


def _samples(rng: np.random.Generator) -> dict[str, tuple[float, Estimate]]:
    fitted = fit_samples(DURATION.ppf(rng.random(300)))
    assert fitted is not None
    return dict(zip(("median", "p99"), zip(DURATION.parameters, fitted.parameters.values(), strict=True), strict=True))


def _arrivals(rng: np.random.Generator) -> dict[str, tuple[float, Estimate]]:
    return {"dispersion": (1.0, dispersion(rng.poisson(40 + 0.02 * PLACES).astype(float)))}


def _releases(rng: np.random.Generator) -> dict[str, tuple[float, Estimate]]:
    """The prior itself draws the share, so that the posterior's interval holds it with its own probability."""
    share = float(rng.beta(0.5, 0.5))
    return {"p_bad": (share, posterior(int(rng.binomial(40, share)), 40))}


PLANTED: dict[str, Callable[[np.random.Generator], dict[str, tuple[float, Estimate]]]] = {
    "errors, scattered": _scattered,
    "errors, spells": _spells,
    "durations, percentiles": _percentiles,
    "durations, invocations": _samples,
    "arrivals, Poisson": _arrivals,
    "releases": _releases,
}
"""What is planted; each gives, of one recording, the true and the fitted parameters by name."""


def coverage(name: str) -> dict[str, np.ndarray]:
    """Whether each parameter's interval holds the truth, by parameter: shape (SEEDS,)."""
    hits: dict[str, list[bool]] = {}
    for seed in range(SEEDS):
        for parameter, (truth, fitted) in PLANTED[name](np.random.default_rng([seed, 18])).items():
            hits.setdefault(parameter, []).append(fitted.low <= truth <= fitted.high)
    return {parameter: np.array(held) for parameter, held in hits.items()}
