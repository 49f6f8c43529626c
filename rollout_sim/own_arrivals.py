"""Own arrivals: what a class of other people's has to say about when requests come, and how it is held to it.

Two protocols: an expected count, which makes a Poisson process, or the times themselves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rollout_sim.errors import ScenarioError
from rollout_sim.streams import BLOCK
from rollout_sim.units import ticks

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_CHECKED = 10_000
"""Times up to the horizon at which an expected count is looked at before it is used."""
_ROUNDING = 1e-9


class ExpectedArrivals(Protocol):
    """Own arrivals whose rate changes in time as it likes: a Poisson process, given by its expected count.

    `mean_rate` (1/s) is the rate in the long run, from which the budget of a whole SLO window is forecast.
    """

    mean_rate: float

    def expected(self, t: Floats) -> Floats:
        """Expected arrivals in [0, t) at times `t` (s) of any shape: 0 at 0, never falling, the rate's integral."""
        ...


class ArrivalTimes(Protocol):
    """Own arrivals of any other kind, one after the other. `mean_rate` is that of `ExpectedArrivals`."""

    mean_rate: float

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """The times (s) at which requests come, never falling; asked until the horizon, random by `rng` alone."""
        ...


def check_own_arrivals(own: Any) -> None:
    """Raises ValueError unless the rate in the long run is one."""
    if not 0 < own.mean_rate < math.inf:
        raise ValueError(f"`mean_rate` of {own.type} must be a rate above 0, got {own.mean_rate:g}/s")


def check_expected(own: Any, horizon: float) -> None:
    """Raises ValueError unless `expected` begins at 0 and rises over the times up to `horizon` (s)."""
    times = np.linspace(0.0, horizon, _CHECKED)
    counts = np.asarray(own.expected(times), np.float64)
    name = f"expected() of {own.type}"
    if counts.shape != times.shape:
        got = f"got the shape {counts.shape} for times of the shape {times.shape}"
        raise ValueError(f"{name} returns a count for each time, {got}; use numpy's functions, such as np.clip")
    if counts[0] != 0 or not np.isfinite(counts).all():
        raise ValueError(f"{name} must be 0 at 0 s and finite, got {counts[0]:g} to {counts[-1]:g}")
    falls = np.diff(counts) < -_ROUNDING * max(float(counts[-1]), 1.0)
    if falls.any():
        raise ValueError(f"{name} must never fall, got a fall after {times[int(np.argmax(falls))]:g} s")


class Expected:
    """Own arrivals by their expected count, inverted by bisection to a nanosecond; those after the horizon are at it."""

    def __init__(self, own: Any, horizon: float) -> None:
        self.own = own
        self.rate = float(own.mean_rate)
        self.horizon = horizon

    def count(self, t: float) -> float:
        """Expected arrivals in [0, t)."""
        return float(self.own.expected(np.array([t]))[0])

    def inverse(self, counts: Floats) -> Floats:
        """When so many are expected (s); the horizon, where that is later."""
        low, high = np.zeros(counts.shape), np.full(counts.shape, self.horizon)
        for _ in range(math.ceil(math.log2(self.horizon / 1e-9 + 2))):
            middle = (low + high) / 2
            below = self.own.expected(middle) < counts
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.maximum.accumulate(high)


class Listed:
    """Own arrivals as their generator gives them."""

    def __init__(self, own: Any, rng: np.random.Generator, horizon: float) -> None:
        self.name = own.type
        self.long_run_rate = float(own.mean_rate)
        self._times = itertools.takewhile(lambda t: t < horizon, own.times(rng))
        self._last = 0.0

    def block(self, number: int) -> Floats:
        """As `ArrivalProcess` has it; raises ScenarioError for times that fall."""
        del number  # asked in order
        times = np.fromiter(itertools.islice(self._times, BLOCK), np.float64)
        steps = np.diff(times, prepend=self._last)
        if not (steps >= 0).all():
            late = int(np.argmin(steps >= 0))
            before = self._last if late == 0 else times[late - 1]
            problem = f"times() of {self.name} must never fall, got {times[late]:g} s after {before:g} s"
            raise ScenarioError([f"traffic: arrivals.own: {problem}"])
        self._last = float(times[-1]) if times.size else self._last
        return ticks(times)

    def mean_count(self, start: float, end: float) -> float:
        """By the rate in the long run, which is all that is known."""
        return self.long_run_rate * (end - start)

    def counts(self, edges: Floats, replications: int, rng: np.random.Generator) -> Counts:
        """Not to be had: raises ValueError."""
        del edges, replications, rng
        raise ValueError(f"{self.name} gives its arrivals one by one")
