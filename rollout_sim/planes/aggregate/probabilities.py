"""How likely each outcome is of an invocation that starts some time in an interval: what counts are drawn from.

The probabilities come from the same fault rules (`faults.failure_shares`, `faults.slowdown`) that decide the invocations
of the other planes one by one, averaged over when the invocation starts. With the arrivals' density f over the interval,
the probability of a class c is the integral of f(t) P(c | start at t) dt, where P follows from the distribution function of
the duration: that an invocation from t is over by the instant s, and lasts at most b, has the probability
F(min(s - t, b)) apart from slowdowns and the timeout.

The integral is computed by Gauss-Legendre quadrature with five nodes, which is exact for polynomials up to degree 9
(Abramowitz and Stegun, Handbook of Mathematical Functions, 25.4.29). It converges so fast only where the integrand is
smooth, so the interval is cut first wherever it bends: where a fault sets in, has risen or ends, and where s - t passes
the timeout or a quantile of the duration at which F turns (a jump, for a constant or an empirical one).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np

from rollout_sim.control.strategies import Hook
from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.units import TICK, ticks
from rollout_sim.function import faults
from rollout_sim.function.faults import ERROR, OK
from rollout_sim.function.spec import VersionSpec
from rollout_sim.planes.draws import NO_USER_QUANTILE

_NODES: Final = np.polynomial.legendre.leggauss(5)
_QUANTILES: Final = np.concatenate(
    [[0.0, 1e-4, 1e-3, 0.01], np.linspace(0.05, 0.95, 19), 1 - 10.0 ** -np.arange(2, 13)]
)
_MAX_STEPS: Final = 2000
NEGLIGIBLE: Final = 1e-15
"""Probabilities below it are not drawn: they would not show in a thousand runs of a billion invocations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionBehaviour:
    """How the invocations of one version go, on warm environments: duration, failures, and when they count as slow.

    `edges` (s, rising) cut the durations into bins: the k-th holds those above `edges[k - 1]` up to `edges[k]`.
    """

    duration: Distribution
    error_rate: float
    timeout: float
    failed_responses: float = 0.0
    rows: tuple[faults.FaultRow, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def ends(self) -> list[float]:
        """Seconds after which an invocation ends whatever its duration: the timeout, and a crash where there are any."""
        return [self.timeout, *([self.crash] if any(row[0] == faults.CRASH for row in self.rows) else [])]

    @property
    def crash(self) -> float:
        """Seconds that an invocation takes which crashes."""
        return min(faults.CRASH_DURATION, self.timeout)

    def steady_between(self, start: float, end: float) -> bool:
        """Whether the faults are the same throughout [start, end)."""
        return not any(start < t < end for t in self.instants()) and not any(
            row[2] > 0 and row[1] <= start < row[1] + row[2] for row in self.rows
        )

    def instants(self) -> list[float]:
        """The times (s) at which a fault sets in, has risen, or ends."""
        return sorted({t for row in self.rows for t in (row[1], row[1] + row[2], row[3]) if math.isfinite(t)})

    @property
    def outcomes(self) -> int:
        """How many outcomes are told apart: succeeded, failed, and, where there are any, failed responses."""
        return 3 if self.failed_responses > 0 or any(row[0] == faults.RESPONSES for row in self.rows) else 2

    def strength(self, t: float) -> tuple[float, ...]:
        """How far each fault has set in at `t`."""
        return tuple(faults.intensity(t, *row[1:4]) for row in self.rows)


def outcome_probabilities(
    behaviour: VersionBehaviour,
    start: float,
    end: float,
    seen: tuple[float, ...] = (),
    density: Callable[[FloatArray], FloatArray] | None = None,
) -> FloatArray:
    """The probabilities of an invocation that starts in [start, end) (s): shape (outcomes, bins, len(seen) + 1); they sum to 1.

    First axis: succeeded, failed, and where there are any failed responses.
    Last: over by the instant `seen[0]` (not before `end`), by `seen[1]`, ..., later.
    `density` is proportional to the arrivals' rate at times (s), by default the same everywhere.
    """
    points = {start, end, *(t for t in behaviour.instants() if start < t < end)}
    for t in tuple(points):
        slowdowns = {pair for _, pair in _slowdowns(behaviour, t)}
        for factor, add in slowdowns:
            bends = np.append(_bends(behaviour.duration) * factor + add, behaviour.ends)
            for instant in seen:
                cuts = instant - bends
                points.update(cuts[(cuts > start) & (cuts < end)].tolist())
    edges = np.array(sorted(points))
    half = np.diff(edges)[:, None] / 2
    nodes: FloatArray = (edges[:-1, None] + half + half * _NODES[0]).ravel()
    weights: FloatArray = (half * _NODES[1]).ravel()
    if density is not None:
        weights = weights * density(nodes)
    weights /= weights.sum()
    return _mean(behaviour, nodes, weights, seen)


@lru_cache(maxsize=4096)
def even_probabilities(
    behaviour: VersionBehaviour, start: float, end: float, seen: tuple[float, ...] = ()
) -> FloatArray:
    """`outcome_probabilities` where the arrivals' rate is the same everywhere, once for all batches of a study; not to be changed."""
    probabilities = outcome_probabilities(behaviour, start, end, seen)
    probabilities.setflags(write=False)
    return probabilities


def _bends(duration: Distribution) -> FloatArray:
    """Durations (s) between which the distribution function is smooth enough to integrate."""
    if duration.kind == "empirical" and len(duration.samples) <= _MAX_STEPS:
        return np.unique(duration.samples)
    return duration.ppf(_QUANTILES)


def _mean(behaviour: VersionBehaviour, nodes: FloatArray, weights: FloatArray, seen: tuple[float, ...]) -> FloatArray:
    """The probabilities averaged over starts at `nodes` (s) with `weights`, which sum to 1."""
    timeout, bins = behaviour.timeout, len(behaviour.edges) + 1
    probabilities = np.zeros((behaviour.outcomes, bins, len(seen) + 1))
    upper = np.append(behaviour.edges, math.inf)
    stuck = int(np.searchsorted(behaviour.edges, timeout))  # the bin of an invocation that runs into the timeout
    gone = int(np.searchsorted(behaviour.edges, behaviour.crash))  # and of one that crashes
    rest = np.append(seen, math.inf)
    half = TICK / 2  # durations are rounded to whole microseconds
    for state in _alike(behaviour, nodes):
        t = nodes[state[0]]
        weight = weights[state[0]]
        _, hang, crash, error, response = faults.failure_shares(
            behaviour.rows, behaviour.error_rate, behaviour.failed_responses, t[0], False, 0.0, 0, NO_USER_QUANTILE
        )
        left = rest[:, None] - t  # seconds until each instant, shape (classes, nodes)
        in_time = np.diff((left >= timeout).astype(float), axis=0, prepend=0.0) @ weight
        crashed = np.diff((left >= behaviour.crash).astype(float), axis=0, prepend=0.0) @ weight
        runs = (1 - hang) * (1 - crash)
        for part, (factor, add) in _slowdowns(behaviour, t[0]):
            # P(duration <= min(bin's end, seconds left), and below the timeout), of shape (classes, bins, nodes)
            limit = np.minimum(np.minimum(upper[None, :, None] + half, left[:, None, :]), timeout - half)
            below = behaviour.duration.cdf((limit - add) / factor) if factor > 0 else (limit >= add).astype(float)
            done = np.diff(np.diff(below, axis=0, prepend=0.0), axis=1, prepend=0.0) @ weight
            probabilities[0] += part * runs * (1 - error) * (1 - response) * done.T
            probabilities[1] += part * runs * error * done.T
            if response > 0:
                probabilities[2] += part * runs * (1 - error) * response * done.T
            probabilities[1, stuck] += part * runs * in_time * (1 - float(below[-1, -1, 0]))
        probabilities[1, stuck] += hang * in_time
        probabilities[1, gone] += (1 - hang) * crash * crashed
    return np.maximum(probabilities, 0.0)


def _alike(behaviour: VersionBehaviour, nodes: FloatArray) -> list[tuple[IntArray]]:
    """The nodes in groups at which the faults are equally strong."""
    groups: dict[tuple[float, ...], list[int]] = {}
    for i, t in enumerate(nodes.tolist()):
        groups.setdefault(behaviour.strength(t), []).append(i)
    return [(np.array(members),) for members in groups.values()]


def _slowdowns(behaviour: VersionBehaviour, t: float) -> list[tuple[float, tuple[float, float]]]:
    """The slowdowns (factor, seconds) of invocations that start at `t`, each with the share of them that it hits."""
    cuts = sorted({0.0, 1.0, *(row[4] for row in behaviour.rows if row[0] == faults.LATENCY)})
    return [
        (high - low, faults.slowdown(behaviour.rows, t, 0.0, 0, (low + high) / 2)[:2]) for low, high in pairwise(cuts)
    ]


def test_answers(
    spec: VersionSpec,
    behaviour: VersionBehaviour,
    hook: Hook,
    now: float,
    *,
    warm: FloatArray,
    rng: np.random.Generator,
    error_rate: Callable[[float], FloatArray],
) -> tuple[IntArray, FloatArray]:
    """How many of the hook's tests, which begins at `now` (s), fail, and when the last one is answered: shape (replications,).

    `error_rate` is the version's own share of errors at a time (s), shape (replications,).
    A test is cold where no environment is idle, starting from `warm` (replications,) idle ones (infinite: traffic keeps
    them warm). Exact as long as tests come more often than idle environments expire.
    """
    replications = warm.size
    n, gap = hook.invocations, hook.over / hook.invocations
    starts: FloatArray = np.array(hook.starts(now))
    answered = np.zeros(replications)
    # Which tests end before the k-th begins is noted when they begin, in a ring: longer ago than this, and a test is over.
    slots = min(math.ceil((behaviour.timeout + 10.0) / gap) + 2, n + 1)
    ending = np.zeros((slots, replications), np.int64)
    destroyed = np.zeros((slots, replications), np.int64)
    everyone = np.arange(replications)
    running = np.zeros(replications, np.int64)
    alive = warm.copy()
    good = np.zeros(replications, np.int64)
    for k in range(n):
        at, slot = float(starts[k]), k % slots
        running -= ending[slot]
        alive -= destroyed[slot]
        ending[slot] = destroyed[slot] = 0
        cold = alive - running <= 0
        alive += cold
        took, outcome = _resolve_invocation(spec, behaviour, at, cold, rng.random((4, replications)), error_rate(at))
        # No test finds an environment that one takes back at its own start or later, the first of which is:
        gone = np.minimum(np.maximum(np.searchsorted(starts, at + took), k + 1), k + slots - 1) % slots
        ending[gone, everyone] += 1
        destroyed[gone, everyone] += outcome > ERROR
        running += 1
        good += outcome == OK
        answered = np.maximum(answered, at + took)
    return n - good, ticks(answered)


def _resolve_invocation(
    spec: VersionSpec, behaviour: VersionBehaviour, at: float, cold: BoolArray, u: FloatArray, error_rates: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Seconds and outcome of tests that start at `at`; `u` decides duration, init, slowness and failure."""
    duration = spec.duration.ppf(u[0])
    init = np.zeros(cold.size)
    if spec.cold_start is not None:
        init = np.where(cold, spec.cold_start.ppf(u[1]), 0.0)
    if spec.cold_duration is not None:
        duration = np.where(cold, spec.cold_duration.ppf(u[1]), duration)
    result = duration
    for share in sorted({1.0, *(row[4] for row in behaviour.rows if row[0] == faults.LATENCY)}, reverse=True):
        factor, add, *_ = faults.slowdown(behaviour.rows, at, 0.0, 0, math.nextafter(share, 0.0))
        slowed = duration * factor + add
        result = np.where(u[2] < share, slowed, result)
    outcome = np.zeros(cold.size, np.int64)
    for rate in np.unique(error_rates).tolist():
        probabilities = faults.failure_shares(
            behaviour.rows, rate, behaviour.failed_responses, at, False, 0.0, 0, NO_USER_QUANTILE
        )
        alike = error_rates == rate
        outcome[alike] = [faults.outcome_of(draw, *probabilities) for draw in u[3][alike].tolist()]
    gone = outcome == faults.CRASHED
    stuck = ~gone & ((outcome == faults.TIMED_OUT) | (result >= behaviour.timeout))
    outcome[stuck] = faults.TIMED_OUT
    return init + np.where(gone, behaviour.crash, np.where(stuck, behaviour.timeout, result)), outcome
