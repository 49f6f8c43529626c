"""A hook's test invocations, for a batch of replications at once: which are cold, how they go, whether in time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rollout_sim import faults
from rollout_sim.faults import ERROR, OK
from rollout_sim.planes.draws import NO_USER_TRAIT
from rollout_sim.planes.outcome_shares import Behaviour
from rollout_sim.specs import VersionSpec
from rollout_sim.strategies import Hook

Counts = NDArray[np.int64]


def failed_tests(
    spec: VersionSpec,
    behaviour: Behaviour,
    hook: Hook,
    now: float,
    *,
    warm: float,
    replications: int,
    rng: np.random.Generator,
) -> Counts:
    """How many of the hook's tests fail, or are not over when it ends: shape (replications,).

    A test is cold where no environment is idle, starting from `warm` idle ones (infinite: a pool that traffic keeps
    warm). Exact as long as tests come more often than idle environments expire.
    """
    n, gap, deadline = hook.invocations, hook.over / hook.invocations, now + hook.over
    # Longer ago than this, and a test is over.
    window = math.ceil((behaviour.timeout + 10.0) / gap) + 1
    ends = np.full((replications, min(window, n)), -np.inf)
    destroys = np.zeros(ends.shape, np.bool_)
    alive = np.full(replications, float(warm))
    good = np.zeros(replications, np.int64)
    for k in range(n):
        at, place = now + (k + 0.5) * gap, k % ends.shape[1]
        over = destroys & (ends <= at)
        alive -= over.sum(axis=1)
        destroys &= ~over
        cold = alive - (ends > at).sum(axis=1) <= 0
        alive += cold
        u = rng.random((4, replications))
        took, outcome = _went(spec, behaviour, at, cold, u)
        ends[:, place], destroys[:, place] = at + took, outcome > ERROR
        good += (outcome == OK) & (at + took <= deadline)
    return n - good


def _went(
    spec: VersionSpec, behaviour: Behaviour, at: float, cold: NDArray[np.bool_], u: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
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
    shares = faults.failure_shares(behaviour.rows, behaviour.error_rate, at, False, 0.0, 0, NO_USER_TRAIT)
    outcome = np.array([faults.outcome_of(one, *shares) for one in u[3].tolist()], np.int64)
    stuck = (outcome == faults.CRASHED) | (result >= behaviour.timeout)
    outcome[stuck & (outcome != faults.CRASHED)] = faults.TIMED_OUT
    return init + np.where(stuck, behaviour.timeout, result), outcome
