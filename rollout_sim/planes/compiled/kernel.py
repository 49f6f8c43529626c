"""The compiled plane's kernel: requests arrive, are routed, run, fail or succeed, retry and are answered.

Event by event what `simpy_plane` does, in the same order and with the same arithmetic, so that the results are equal to
the last bit. The fault rules are compiled from `faults` itself.
"""

from __future__ import annotations

import numpy as np

from rollout_sim.core import curves, streams, units
from rollout_sim.core.streams import BLOCK
from rollout_sim.function import environments, faults, spec
from rollout_sim.function.faults import ERROR, FAILED_RESPONSE, OK, THROTTLED
from rollout_sim.function.spec import INIT_LIMIT
from rollout_sim.planes import base, draws, exposure
from rollout_sim.planes.base import ARRIVAL, COMPLETION
from rollout_sim.planes.compiled import environments as array_environments
from rollout_sim.planes.compiled import jit, queue, requests, state
from rollout_sim.planes.compiled.environments import leave, micros, next_idle, take
from rollout_sim.planes.compiled.jit import compiled_before, inlined, kept, with_names
from rollout_sim.planes.compiled.queue import find_event, pop_event, push_event
from rollout_sim.planes.compiled.requests import after, log, mark_active, seconds, serves, tick
from rollout_sim.planes.compiled.state import (
    ARRIVAL_SEQUENCE,
    DONE,
    ENV_FREE,
    FIRST,
    FIRST_DUE,
    FREE,
    FULL_ENVIRONMENTS,
    FULL_LOG,
    FULL_REQUESTS,
    FULL_SAMPLES,
    HORIZON,
    KEEP_ALIVE,
    LOGGED,
    MOST_PENDING,
    NEED_ALL_DRAWS,
    NEED_BLOCK,
    NEED_DRAWS,
    NEED_INITS,
    NEED_TIMES,
    NEVER,
    PENDING,
    PERIOD,
    PERIOD_END,
    RESOLUTION,
    RUNNING,
    SAMPLED,
    SEQUENCE,
    SLICE,
    TESTED,
    THROTTLED_STEP,
    TIMEOUT,
    TOO_MANY,
    Index,
    State,
)
from rollout_sim.planes.draws import FAULT, NO_USER_QUANTILE, ROUTE, SERVICE, SLOW, jitter
from rollout_sim.planes.exposure import EXPOSED, SPLIT, SPLIT_EXPOSED

__all__ = ["add_from_python", "advance", "compiled_before", "push_from_python"]
_intensity = with_names(faults.intensity)
_failure_shares = with_names(faults.failure_shares, intensity=_intensity)
_slowdown = with_names(faults.slowdown, intensity=_intensity)
_outcome_of = with_names(faults.outcome_of)
_jitter = with_names(jitter)
_is_refused = with_names(draws.is_refused, jitter=_jitter)
_duration_at = with_names(curves.duration_at, tick=tick)
_resolve_invocation = with_names(
    faults.resolve_invocation, tick=tick, failure_shares=_failure_shares, slowdown=_slowdown, outcome_of=_outcome_of
)


@inlined
def _slot(s: State, source: int, attempt: int, block: int) -> int:
    """Where the draws of a block's attempt are; -1: not loaded."""
    if attempt == 1:
        return int(s.sources[source].slot)
    for slot in range(s.arrivals.shape[0], s.keys.shape[0]):
        if s.keys[slot, 0] == source and s.keys[slot, 1] == attempt and s.keys[slot, 2] == block:
            s.keys[slot, 3] = 1
            return slot
    return -1


@inlined
def _version_of(s: State, source: int, u: float) -> int:
    """The alias's routing rule."""
    additional = s.sources[source].additional
    return int(s.sources[source].primary if additional < 0 or u >= s.sources[source].weight else additional)


@inlined
def _needs(s: State, source: Index, block: int, j: Index, attempt: int, t: float) -> tuple[int, Index, Index]:
    """What has to be loaded before an attempt can start, DONE if nothing; where its draws are; its version."""
    loaded, v, code = _slot(s, source, attempt, block), Index(0), DONE
    slot = Index(loaded)
    if loaded < 0:
        code = NEED_DRAWS
    else:
        v = Index(_version_of(s, source, s.uniforms[slot, ROUTE, j]))
        if s.loaded[slot, 0] == 0 and s.versions[v].slow == 1:
            code = NEED_ALL_DRAWS
        elif s.loaded[slot, Index(1 + v)] == 0:
            code = NEED_TIMES
        elif (
            s.versions[v].cold_kind > 0
            and s.loaded[slot, Index(1 + s.versions.shape[0] + v)] == 0
            and (s.versions[v].idle == 0 or s.environments[next_idle(s, v)].since + s.x[KEEP_ALIVE] < t)
        ):
            code = NEED_INITS
    if code != DONE:
        s.want[0], s.want[1], s.want[2], s.want[3], s.want[4] = source, attempt, block, loaded, v
    return code, slot, v


@inlined
def _run(
    s: State, r: int, v: int, t: float, u: float, u_slow: float, service: float, init: float, user_quantile: float
) -> None:
    """Lets request `r`, which has its environment, run from `t` on."""
    cold = s.requests[r].cold == 1
    duration = service
    if s.versions[v].step > 0.0:
        duration = _duration_at(s.curves[Index(v), Index(t // s.versions[v].step)], service)
    if cold and s.versions[v].cold_kind == 2:
        duration, init = init, 0.0
    elif not cold:
        init = 0.0
    error_rate = s.versions[v].error_rate
    if s.versions[v].span > 0.0:
        error_rate = s.error_rates[Index(v), Index(t // s.versions[v].span)]
    outcome, init, duration = _resolve_invocation(
        s.rows[v, : s.versions[v].rows], error_rate, s.versions[v].failed_responses,
        s.x[TIMEOUT], INIT_LIMIT, u, u_slow, t,
        cold, t - s.environments[Index(s.requests[r].env)].created, s.n[RUNNING], user_quantile, duration, init,
    )  # fmt: skip
    s.requests[r].outcome = outcome
    s.requests[r].began, s.requests[r].init, s.requests[r].duration = t, init, duration
    if s.log.shape[0] > 0:
        log(s, r, t)
    push_event(s, micros(t + init + duration), np.int64(COMPLETION), r)


@inlined
def _period(s: State, t: float) -> int:
    """The period that contains `t`; attempts start in the order of time, so it is nearly always the last one's."""
    if t >= s.x[PERIOD_END]:
        s.n[PERIOD] = int(t // s.x[RESOLUTION])
        s.x[PERIOD_END] = (s.n[PERIOD] + 1) * s.x[RESOLUTION]
    return int(s.n[PERIOD])


@inlined
def _refused(s: State, slot: int, j: int, t: float) -> bool:
    """Whether an attempt at `t` is throttled because others use up the account's concurrency."""
    step = s.x[THROTTLED_STEP]
    return bool(step > 0.0 and _is_refused(s.throttled[Index(t // step)], s.uniforms[slot, SERVICE, j]))


@inlined
def _start(s: State, r: int, t: float, source: int, j: int, slot: int, v: int, user: int) -> None:
    """Starts an attempt of request `r` at `t` on version `v`; everything that it needs is loaded, its draws in `slot`."""
    period = _period(s, t)
    s.requests[r].version, s.requests[r].period = v, period
    if s.sources[source].full_jitter == 1:
        s.requests[r].jitter = _jitter(s.uniforms[slot, ROUTE, j])
    if _refused(s, slot, j, t) or not take(s, v, t, r):
        s.throttles[Index(s.first_counts[source, v] + period)] += 1
        s.requests[r].outcome, s.requests[r].env, s.requests[r].cold = THROTTLED, -1, 0
        s.requests[r].init, s.requests[r].duration = 0.0, 0.0
        if s.log.shape[0] > 0:
            log(s, r, t)
        after(s, r, t)
        return
    user_quantile = s.user_quantiles[Index(user)] if s.sources[source].users > 0 else NO_USER_QUANTILE
    if s.versions[v].new == 1 and serves(s, source, t):
        s.requests[r].served = s.sources[source].service
        mark_active(s, user, s.sources[source].service)
        s.marks[EXPOSED, user] = 1
        if s.sources[source].service == SPLIT:
            s.marks[SPLIT_EXPOSED, user] = 1
    u, u_slow = s.uniforms[slot, FAULT, j], 0.0
    if s.versions[v].slow == 1:
        u_slow = s.uniforms[slot, SLOW, j]
    _run(s, r, v, t, u, u_slow, s.services[slot, v, j], s.inits[slot, v, j], user_quantile)


@inlined
def _end_test(s: State, r: int) -> None:
    s.requests[r].test = 0
    s.free[Index(s.n[FREE])] = r
    s.n[FREE] += 1


@inlined
def _start_test(s: State, r: int, t: float) -> None:
    """Starts a hook's test: straight to its version, in nobody's alias metrics."""
    v = Index(s.requests[r].version)
    if not take(s, v, t, r):
        if s.log.shape[0] > 0:
            s.requests[r].outcome, s.requests[r].env, s.requests[r].cold = THROTTLED, -1, 0
            log(s, r, t)
        s.versions[v].answered = max(s.versions[v].answered, micros(t))
        _end_test(s, r)
        return
    u = s.tests[s.n[TESTED]]
    s.n[TESTED] += 1
    _run(s, r, v, t, u[0], u[1], u[2], u[3], NO_USER_QUANTILE)
    s.versions[v].answered = max(s.versions[v].answered, s.requests[r].due)
    if s.requests[r].outcome == OK:
        s.versions[v].good += 1


@inlined
def _complete(s: State, r: int, t: float) -> None:
    """The invocation of request `r` ends at `t`."""
    v, outcome = Index(s.requests[r].version), s.requests[r].outcome
    leave(s, r, t)
    s.versions[v].invocations += 1
    if outcome >= ERROR:
        s.versions[v].errors += 1
    if s.requests[r].cold == 1:
        s.versions[v].cold += 1
    if s.requests[r].test == 1:
        _end_test(s, r)
        return
    count_index, duration = (
        Index(s.first_counts[Index(s.requests[r].source), v] + s.requests[r].period),
        s.requests[r].duration,
    )
    s.invocations[count_index] += 1
    s.durations[count_index] += duration
    latency = duration
    if s.requests[r].init > 0.0:
        latency = tick(s.requests[r].init + duration)
    s.latency_sums[count_index] += latency
    if outcome >= ERROR:
        s.errors[count_index] += 1
    elif outcome == FAILED_RESPONSE:
        s.failed_responses[count_index] += 1
    if s.requests[r].cold == 1:
        s.cold_starts[count_index] += 1
    for k in range(s.slow_limits.size):
        if duration > s.slow_limits[k]:
            s.slow[k, count_index] += 1
    if s.samples.size > 0:
        s.sample_indices[s.n[SAMPLED]], s.samples[s.n[SAMPLED]] = count_index, duration
        s.latency_samples[s.n[SAMPLED]] = latency
        s.n[SAMPLED] += 1
    after(s, r, t)


@inlined
def _next_arrival(s: State) -> tuple[int, int]:
    """The source whose request comes next and when (µs); -1 without one, -2 where `want` says which source has to be loaded."""
    source, earliest = -1, np.inf
    for k in range(s.sources.shape[0]):
        position = s.sources[Index(k)].position
        if position == s.sources[Index(k)].length:
            if position == BLOCK:
                s.want[0] = k
                return -2, 0
            continue
        comes = s.arrivals[Index(s.sources[Index(k)].slot), Index(position)]
        if comes < earliest:
            source, earliest = k, comes
    return (source, micros(earliest)) if earliest < s.x[HORIZON] else (-1, NEVER)


@inlined
def _arrive(s: State, source: int, t: float, slot: int, v: int) -> None:
    """The next request of a source comes, and goes to version `v`; its draws are in `slot`."""
    s.n[FREE] -= 1
    r, j, user = Index(s.free[Index(s.n[FREE])]), Index(s.sources[source].position), -1
    s.sources[source].position += 1
    s.n[PENDING] += 1
    s.n[ARRIVAL_SEQUENCE] = s.n[SEQUENCE]
    s.n[SEQUENCE] += 1
    s.requests[r].source, s.requests[r].block, s.requests[r].index = source, s.sources[source].block, j
    s.requests[r].attempt = 1
    if s.sources[source].synchronous == 0:
        s.requests[r].errors, s.requests[r].throttles = 0, 0
    if s.sources[source].users > 0:
        user = s.users[slot, j]
        s.requests[r].served = 0
        if serves(s, source, t):
            s.requests[r].served = s.sources[source].service
            mark_active(s, user, s.sources[source].service)
    s.requests[r].user = user
    s.requests[r].arrived, s.requests[r].first_period = t, _period(s, t)
    _start(s, r, t, source, j, slot, v, user)


@inlined
def _before_arrival(s: State) -> bool:
    """Whether the first event comes before an arrival at the same time."""
    r = Index(s.n[FIRST])
    kind = s.requests[r].kind
    return bool(kind < ARRIVAL or (kind == ARRIVAL and s.requests[r].sequence < s.n[ARRIVAL_SEQUENCE]))


def _advance(s: State, until: float) -> int:
    """Everything before `until` (s), and the completions at it; comes back early when it needs something."""
    end = micros(until)
    if seconds(end) < until:
        end += 1
    closed = seconds(end) == until
    source, arrival = _next_arrival(s)
    while True:
        if source == -2:
            return NEED_BLOCK
        if s.n[FIRST] < 0 and s.n[FIRST_DUE] <= min(arrival, end):
            find_event(s, min(arrival, end) >> s.n[SLICE])
        due, kind, r = arrival, ARRIVAL, -1
        if s.n[FIRST] >= 0 and (s.n[FIRST_DUE] < due or (s.n[FIRST_DUE] == due and _before_arrival(s))):
            due, r = s.n[FIRST_DUE], s.n[FIRST]
            kind = s.requests[Index(r)].kind
        if due >= end and not (due == end and closed and kind == COMPLETION):
            return DONE
        t = seconds(due)
        if kind == COMPLETION:
            if s.samples.size > 0 and s.n[SAMPLED] >= s.samples.size:
                return FULL_SAMPLES
            pop_event(s)
            _complete(s, Index(r), t)
            continue
        if s.n[ENV_FREE] == 0:
            return FULL_ENVIRONMENTS
        if s.log.shape[0] > 0 and s.n[LOGGED] >= s.log.shape[0]:
            return FULL_LOG
        if r < 0:
            if s.n[FREE] == 0:
                return FULL_REQUESTS
            new = Index(source)
            code, slot, v = _needs(s, new, s.sources[new].block, Index(s.sources[new].position), np.int64(1), t)
            if code != DONE:
                return int(code)
            _arrive(s, new, t, slot, v)
            if s.n[PENDING] > s.n[MOST_PENDING]:
                s.want[0] = due
                return TOO_MANY
            source, arrival = _next_arrival(s)
        elif s.requests[Index(r)].test == 1:
            pop_event(s)
            _start_test(s, Index(r), t)
        else:
            owner, j = Index(s.requests[Index(r)].source), Index(s.requests[Index(r)].index)
            code, slot, v = _needs(s, owner, s.requests[Index(r)].block, j, s.requests[Index(r)].attempt, t)
            if code != DONE:
                return int(code)
            pop_event(s)
            _start(s, Index(r), t, owner, j, slot, v, s.requests[Index(r)].user)


_SOURCES = (
    units, curves, faults, draws, base, spec, streams, state, queue, array_environments, requests, exposure, jit, environments,
)  # fmt: skip
advance = kept(_advance, *_SOURCES)
add_from_python = kept(array_environments.add_provisioned, *_SOURCES)
push_from_python = kept(push_event, *_SOURCES)
