"""An attempt of the compiled plane as it begins: its draws, its version, how long it runs and what becomes of it."""

from __future__ import annotations

import numpy as np

from rollout_sim.core import curves
from rollout_sim.core.arrays import FloatArray
from rollout_sim.function import faults
from rollout_sim.function.spec import INIT_LIMIT
from rollout_sim.planes import draws
from rollout_sim.planes.base import COMPLETION
from rollout_sim.planes.compiled.environments import micros, next_warm
from rollout_sim.planes.compiled.jit import inlined, with_names
from rollout_sim.planes.compiled.queue import push_event
from rollout_sim.planes.compiled.requests import log, tick
from rollout_sim.planes.compiled.state import (
    DONE,
    NEED_ALL_DRAWS,
    NEED_DRAWS,
    NEED_INITS,
    NEED_TIMES,
    PERIOD,
    PERIOD_END,
    RESOLUTION,
    RUNNING,
    THROTTLED_STEP,
    TIMEOUT,
    Index,
    State,
)
from rollout_sim.planes.draws import ROUTE, SERVICE, jitter

intensity = with_names(faults.intensity)
failure_shares = with_names(faults.failure_shares, intensity=intensity)
_slowdown = with_names(faults.slowdown, intensity=intensity)
outcome_of = with_names(faults.outcome_of)
jitter_of = with_names(jitter)
_is_refused = with_names(draws.is_refused, jitter=jitter_of)
_duration_at = with_names(curves.duration_at, tick=tick)
resolve_invocation = with_names(
    faults.resolve_invocation, tick=tick, failure_shares=failure_shares, slowdown=_slowdown, outcome_of=outcome_of
)


@inlined
def later_slot(s: State, source: int, attempt: int, block: int) -> int:
    """Where those of another block than a source's latest are, or of another attempt than the first; -1: not loaded."""
    for slot in range(s.arrivals.shape[0], s.keys.shape[0]):
        if s.keys[slot, 0] == source and s.keys[slot, 1] == attempt and s.keys[slot, 2] == block:
            s.keys[slot, 3] = 1
            return slot
    return -1


@inlined
def version_of(s: State, source: int, u: float) -> int:
    """The alias's routing rule."""
    additional = s.sources[source].additional
    return int(s.sources[source].primary if additional < 0 or u >= s.sources[source].weight else additional)


@inlined
def needs(
    s: State, source: Index, loaded: int, block: int, j: Index, attempt: int, t: float
) -> tuple[int, Index, Index, Index, bool]:
    """What has to be loaded before an attempt can start, DONE if nothing; where its draws are; its version; its `next_warm`.

    Its draws are in the slot `loaded`, -1 where they are in none.
    """
    v, code, slot, env, warm = Index(0), DONE, Index(loaded), Index(0), False
    if loaded < 0:
        code = NEED_DRAWS
    else:
        v = Index(version_of(s, source, s.uniforms[slot, ROUTE, j]))
        env, warm = next_warm(s, v, t)
        if s.loaded[slot, 0] == 0 and s.versions[v].slow == 1:
            code = NEED_ALL_DRAWS
        elif s.loaded[slot, Index(1 + v)] == 0:
            code = NEED_TIMES
        elif not warm and s.versions[v].cold_kind > 0 and s.loaded[slot, Index(1 + s.versions.shape[0] + v)] == 0:
            code = NEED_INITS
    if code != DONE:
        s.want[0], s.want[1], s.want[2], s.want[3], s.want[4] = source, attempt, block, loaded, v
    return code, slot, v, env, warm


@inlined
def error_rate_of(s: State, v: int, t: float) -> float:
    """The share of errors of version `v` at `t`."""
    if s.versions[v].span > 0.0:
        return float(s.error_rates[Index(v), Index(t // s.versions[v].span)])
    return float(s.versions[v].error_rate)


@inlined
def service_of(s: State, v: int, t: float, drawn: float) -> float:
    """Seconds that an invocation of version `v` takes which starts at `t`, before faults, by the `drawn` service time."""
    if s.versions[v].step > 0.0:
        return float(_duration_at(s.curves[Index(v), Index(t // s.versions[v].step)], drawn))
    return drawn


@inlined
def refused(s: State, slot: int, j: int, t: float) -> bool:
    """Whether an attempt at `t` is throttled because others use up the account's concurrency."""
    step = s.x[THROTTLED_STEP]
    return bool(step > 0.0 and _is_refused(s.throttled[Index(t // step)], s.uniforms[slot, SERVICE, j]))


@inlined
def begin(
    s: State, r: int, v: int, t: float, rows: FloatArray, error_rate: float, failed_responses: float, u: float,
    u_slow: float, service: float, init: float, user_quantile: float,
) -> None:  # fmt: skip
    """What becomes of request `r`, which has its environment and runs from `t` on."""
    cold = s.requests[r].cold == 1
    duration = service
    if cold and s.versions[v].cold_kind == 2:
        duration, init = init, 0.0
    elif not cold:
        init = 0.0
    outcome, init, duration = resolve_invocation(
        rows, error_rate, failed_responses, s.x[TIMEOUT], INIT_LIMIT, u, u_slow, t, cold,
        t - s.environments[Index(s.requests[r].env)].created, s.n[RUNNING], user_quantile, duration, init,
    )  # fmt: skip
    s.requests[r].outcome = outcome
    s.requests[r].began, s.requests[r].init, s.requests[r].duration = t, init, duration


@inlined
def run(
    s: State, r: int, v: int, t: float, u: float, u_slow: float, service: float, init: float, user_quantile: float
) -> None:
    """Lets request `r`, which has its environment, run from `t` on."""
    rows, rate, failed_responses = (
        s.rows[v, : s.versions[v].rows],
        error_rate_of(s, v, t),
        s.versions[v].failed_responses,
    )
    begin(s, r, v, t, rows, rate, failed_responses, u, u_slow, service_of(s, v, t, service), init, user_quantile)
    if s.log.shape[0] > 0:
        log(s, r, t)
    push_event(s, micros(t + s.requests[r].init + s.requests[r].duration), np.int64(COMPLETION), r)


@inlined
def period_of(s: State, t: float) -> int:
    """The period that contains `t`; attempts start in the order of time, so it is nearly always the last one's."""
    if t >= s.x[PERIOD_END]:
        s.n[PERIOD] = int(t // s.x[RESOLUTION])
        s.x[PERIOD_END] = (s.n[PERIOD] + 1) * s.x[RESOLUTION]
    return int(s.n[PERIOD])
