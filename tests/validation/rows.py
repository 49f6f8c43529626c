"""A row of VALIDATION.md: an expected figure, ours with its interval, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout_sim.core.statistics import mean_of, share_of

SIGMAS = 4.0
"""A row is met within so many standard errors: a right simulator misses one of fifty rows with a chance of 0.3%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """Our figure: exact (no interval), or an estimate with its 95% interval and its standard error."""

    value: float
    low: float | None = None
    high: float | None = None
    error: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the page: what, the expected figure, and ours.

    `decimals` is how many the figure was published with, `tolerance` its own published uncertainty; `at_most` makes it
    a limit.
    """

    group: str
    what: str
    expected: float
    decimals: int | None
    ours: Callable[[], Ours]
    plane: str = "closed form"
    tolerance: float = 0.0
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether ours agrees with the expected figure."""
        ours = self.ours()
        if math.isinf(self.expected):
            return ours.value == self.expected
        if self.at_most:
            return ours.value <= self.expected
        room = 0.5000001 * 10.0**-self.decimals if self.decimals is not None else 1e-9 * abs(self.expected)
        return abs(ours.value - self.expected) <= SIGMAS * ours.error + room + self.tolerance


def exact(value: float) -> Callable[[], Ours]:
    return lambda: Ours(value=value)


def share(hits: Callable[[], NDArray[np.bool_]], expected: float) -> Callable[[], Ours]:
    """A share of replications; its standard error is the expected share's."""

    def ours() -> Ours:
        found = hits()
        estimate = share_of(found)
        error = math.sqrt(expected * (1 - expected) / found.size)
        return Ours(value=estimate.mean, low=estimate.low, high=estimate.high, error=error)

    return ours


def mean(values: Callable[[], NDArray[np.float64]]) -> Callable[[], Ours]:
    def ours() -> Ours:
        found = values()
        estimate = mean_of(found)
        assert estimate is not None
        error = float(np.nanstd(found, ddof=1)) / math.sqrt(estimate.n)
        return Ours(value=estimate.mean, low=estimate.low, high=estimate.high, error=error)

    return ours
