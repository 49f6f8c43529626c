"""How errors clump in recorded minutes, beyond chance: within a minute, from minute to minute, by the hour of the day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.formatting import share
from rollout_sim.core.minutes import DAY, HOUR, Minutes
from rollout_sim.core.statistics import Estimate, ratio_in_blocks
from rollout_sim.function.error_rates import Dispersed, Spells
from rollout_sim.function.recorded import RecordedErrors
from rollout_sim.scenario.scenario import Scenario

_HOURLY: Final = 2.0
"""How many times the mean an hour's share of errors must be, with its whole interval, to be told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clumping:
    """What a recording says of its errors; intervals are those of whole days."""

    rate: Estimate
    """Invocations per second."""
    errors: Estimate
    """The share of invocations that ended in an error."""
    within: Estimate | None
    """The correlation of two invocations of one minute: a beta-binomial's dispersion. None where there are no errors."""
    between: Estimate | None
    """The correlation of two invocations of neighbouring minutes: above 0 where bad minutes follow one another."""
    worst_hour: tuple[int, Estimate] | None
    """The hour of the day (UTC) with the largest share of errors, and how many times the overall share that is."""

    def against(self, scenario: Scenario) -> tuple[str, ...]:
        """In what the recording differs from a scenario, as far as it bears on alarms: a sentence each."""
        spec, sentences = scenario.function.versions[scenario.old], []
        rate = scenario.rates.get(scenario.alias, 0.0)
        if _outside(rate, self.rate):
            sentences.append(
                f"{_written(self.rate, _number)} requests per second were recorded; the scenario has {rate:.3g}"
            )
        if _outside(spec.mean_error_rate, self.errors):
            sentences.append(
                f"{_written(self.errors, share)} of them failed; in the scenario {share(spec.mean_error_rate)}"
            )
        rate_of_errors = spec.error_rate
        assumed = rate_of_errors.dispersion if isinstance(rate_of_errors, Dispersed) else 0.0
        follows = isinstance(rate_of_errors, Spells | RecordedErrors)
        if self.within is not None and not follows and _outside(assumed, self.within):
            has = f"a dispersion of {assumed:.2g}" if assumed else "errors that are even"
            sentences.append(
                f"errors clump within a minute, with a dispersion of {_written(self.within, _number)}; the scenario has {has}"
            )
        if self.between is not None and not follows and (self.between.low or 0.0) > 0:
            sentences.append(
                f"bad minutes follow one another: a correlation of {_written(self.between, _number)} from one to the next; "
                "the scenario's minutes are independent, so `spells` or recorded minutes fit better"
            )
        if self.worst_hour is not None and not isinstance(rate_of_errors, RecordedErrors):
            hour, times = self.worst_hour
            if (times.low or 0.0) > _HOURLY:
                sentences.append(
                    f"errors have their hours: {_written(times, _number)} times the mean from {hour:02}:00 UTC on; "
                    "the scenario has none"
                )
        return tuple(sentences)


def clumping(recording: Minutes) -> Clumping:
    """What a recording says of how its errors clump.

    The correlations are estimated by moments: for a minute with n invocations and e errors the expectation of (e - np)^2 is
    np(1 - p)(1 + (n - 1) dispersion), and of two minutes' product of e - np it is n n' p (1 - p) times their correlation.
    """
    n, errors = recording.invocations, recording.errors
    moments: FloatArray = np.asarray(recording.start + np.arange(recording.size) * recording.period, np.float64)
    days = np.floor((moments - moments[0]) / DAY).astype(np.int64)
    seconds = np.full(recording.size, recording.period)
    p = recording.error_share
    within = between = None
    if 0 < p < 1:
        rest, scale = errors - n * p, p * (1 - p)
        within = ratio_in_blocks(rest**2 / scale - n, n * (n - 1), days)
        between = ratio_in_blocks(rest[1:] * rest[:-1] / scale, n[1:] * n[:-1], days[1:])
    return Clumping(
        rate=_always(ratio_in_blocks(n, seconds, days)), errors=_always(ratio_in_blocks(errors, n, days)),
        within=within, between=between, worst_hour=_worst_hour(moments, n, errors, days, p),
    )  # fmt: skip


def _always(estimate: Estimate | None) -> Estimate:
    """The estimate, or where there is none 0 without an interval."""
    return estimate if estimate is not None else Estimate(n=0, mean=0.0, low=None, high=None, quantiles={})


def _worst_hour(
    moments: FloatArray, n: FloatArray, errors: FloatArray, days: IntArray, p: float
) -> tuple[int, Estimate] | None:
    """The hour with the largest share of errors, if every hour was recorded on several days."""
    if p == 0:
        return None
    hours: IntArray = (moments % DAY // HOUR).astype(np.int64)
    served = np.bincount(hours, weights=n, minlength=24)
    if (served == 0).any() or np.unique(days).size < 3:
        return None
    hour = int(np.argmax(np.bincount(hours, weights=errors, minlength=24) / served))
    here = hours == hour
    parts = (errors * here).astype(np.float64), (n * here).astype(np.float64)
    estimate = ratio_in_blocks(parts[0], parts[1], days, base=(errors, n), largest_of=24)
    return None if estimate is None else (hour, estimate)


def _outside(value: float, estimate: Estimate) -> bool:
    """Whether a value lies outside an interval that is known."""
    return estimate.low is not None and estimate.high is not None and not estimate.low <= value <= estimate.high


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _written(estimate: Estimate, write: Callable[[float], str]) -> str:
    """An estimate with its interval, as text."""
    assert estimate.low is not None
    assert estimate.high is not None
    return f"{write(estimate.mean)} [{write(estimate.low)} to {write(estimate.high)}]"
