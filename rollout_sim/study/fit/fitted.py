"""All fits of one scope of a recording, for the scenario that is written and for the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray
from rollout_sim.study.fit.arrivals import ArrivalFit, fit_arrivals
from rollout_sim.study.fit.durations import SHARES, DurationFit, fit_percentiles, fit_samples
from rollout_sim.study.fit.error_rates import ErrorFit, fit_errors
from rollout_sim.study.fit.releases import Release, ReleaseFit, fit_releases

FEW: Final = 200
"""Single invocations from which on they tell more of the durations than the percentiles of the periods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What was measured of one scope: periods of `period` s that begin at `times` (s since 1970, rising), all of shape (n,).

    Durations are in seconds, NaN where they are not known; `percentiles` are by the keys of `durations.SHARES`. `samples` and
    `inits` are those of single invocations, and may be empty.
    """

    of: str
    period: int
    times: IntArray
    invocations: IntArray
    errors: IntArray
    percentiles: Mapping[str, FloatArray]
    average: FloatArray
    samples: FloatArray
    inits: FloatArray
    releases: tuple[Release, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The fits; None where nothing was measured of a part."""

    observed: Observations
    arrivals: ArrivalFit
    errors: ErrorFit | None
    durations: DurationFit | None
    cold_starts: DurationFit | None
    releases: ReleaseFit | None
    left_out: int
    """Periods of bad deployments, whose errors and durations are no part of the ordinary ones."""


def fit(observed: Observations) -> Fitted:
    """Every part that was measured; errors and durations without what bad deployments did, which is their risk.

    Raises ValueError for a recording without a single invocation.
    """
    if not observed.invocations.sum():
        raise ValueError(f"nothing was invoked: the invocations of {observed.of} are 0 everywhere")
    ordinary = _ordinary(observed)
    durations = None
    if observed.samples.size >= FEW:
        durations = fit_samples(observed.samples)
    if durations is None:
        known = {name: values[ordinary] for name, values in observed.percentiles.items() if name in SHARES}
        durations = fit_percentiles(observed.invocations[ordinary], known, observed.average[ordinary])
    return Fitted(
        observed=observed,
        arrivals=fit_arrivals(observed.times, observed.invocations, observed.period),
        errors=fit_errors(
            observed.times[ordinary], observed.invocations[ordinary], observed.errors[ordinary], observed.period
        ),
        durations=durations,
        cold_starts=fit_samples(observed.inits),
        releases=fit_releases(observed.releases, observed.times, observed.invocations, observed.errors),
        left_out=int((~ordinary).sum()),
    )


def _ordinary(observed: Observations) -> BoolArray:
    """The periods in which no bad deployment was under way; all of them where nothing else would be left."""
    ordinary = np.ones(observed.times.size, bool)
    for release in observed.releases:
        if release.bad:
            ordinary &= (observed.times + observed.period <= release.start) | (observed.times > release.lasted)
    return ordinary if observed.invocations[ordinary].any() else np.ones(observed.times.size, bool)
