"""Goodness of fit: one figure, what it would be if the model were true, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rollout_sim.core.statistics import Estimate

Verdict = Literal["good", "fair", "poor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodness:
    """How well a model describes the data.

    `figure` is in words what is compared; `value` is what was measured of it, `low` and `high` hold 95% of what the model
    itself gives.
    """

    verdict: Verdict
    figure: str
    value: float
    low: float | None = None
    high: float | None = None


def estimate(value: float, low: float, high: float, n: int) -> Estimate:
    """A fitted parameter with its 95% interval, from `n` periods or samples."""
    return Estimate(n=n, mean=value, low=low, high=high, quantiles={})
