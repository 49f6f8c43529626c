"""The compiled plane's kernel: requests arrive, are routed, run, fail or succeed, retry and are answered.

Event by event what `simpy_plane` does, in the same order and with the same arithmetic, so that the results are equal to
the last bit. The fault rules are compiled from `faults` itself.
"""

from __future__ import annotations

import numpy as np

from rollout_sim.core import streams, units
from rollout_sim.core.streams import BLOCK
from rollout_sim.function import environments, faults, spec
from rollout_sim.function.faults import OK, THROTTLED
from rollout_sim.function.spec import INIT_LIMIT
from rollout_sim.planes import base, draws, exposure
from rollout_sim.planes.base import ARRIVAL, COMPLETION
from rollout_sim.planes.compiled import environments as array_environments
from rollout_sim.planes.compiled import jit, queue, requests, state
from rollout_sim.planes.compiled.environments import leave, next_idle, take
from rollout_sim.planes.compiled.jit import compiled_before, inlined, kept, with_names
from rollout_sim.planes.compiled.queue import find_event, pop_event, push_event
from rollout_sim.planes.compiled.requests import after, log, meet, micros, seconds, serves, tick
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
    TIMEOUT,
    TOO_MANY,
    Place,
    State,
    at,
)
from rollout_sim.planes.draws import FAULT, NO_USER_QUANTILE, ROUTE, SLOW, jitter
from rollout_sim.planes.exposure import SPLIT

__all__ = ["advance", "compiled_before"]
_intensity = with_names(faults.intensity)
_failure_shares = with_names(faults.failure_shares, intensity=_intensity)
_slowdown = with_names(faults.slowdown, intensity=_intensity)
_outcome_of = with_names(faults.outcome_of)
_jitter = with_names(jitter)
_resolve_invocation = with_names(
    faults.resolve_invocation, tick=tick, failure_shares=_failure_shares, slowdown=_slowdown, outcome_of=_outcome_of
)


@inlined
def _slot(s: State, lane: int, attempt: int, block: int) -> int:
    """Where the draws of a block's attempt are; -1: not loaded."""
    if attempt == 1:
        return int(s.lanes[lane].slot)
    for slot in range(s.arrivals.shape[0], s.keys.shape[0]):
        if s.keys[slot, 0] == lane and s.keys[slot, 1] == attempt and s.keys[slot, 2] == block:
            s.keys[slot, 3] = 1
            return slot
    return -1


@inlined
def _version_of(s: State, lane: int, u: float) -> int:
    """The alias's routing rule."""
    additional = s.lanes[lane].additional
    return int(s.lanes[lane].primary if additional < 0 or u >= s.lanes[lane].weight else additional)


@inlined
def _needs(s: State, lane: Place, block: int, j: Place, attempt: int, t: float) -> tuple[int, Place, Place]:
    """What has to be loaded before an attempt can start, DONE if nothing; where its draws are; its version."""
    found, v, code = _slot(s, lane, attempt, block), at(0), DONE
    slot = at(found)
    if found < 0:
        code = NEED_DRAWS
    else:
        v = at(_version_of(s, lane, s.uniforms[slot, ROUTE, j]))
        if s.loaded[slot, 0] == 0 and s.versions[v].slow == 1:
            code = NEED_ALL_DRAWS
        elif s.loaded[slot, at(1 + v)] == 0:
            code = NEED_TIMES
        elif (
            s.versions[v].cold_kind > 0
            and s.loaded[slot, at(1 + s.versions.shape[0] + v)] == 0
            and (s.versions[v].idle == 0 or s.environments[next_idle(s, v)].since + s.x[KEEP_ALIVE] < t)
        ):
            code = NEED_INITS
    if code != DONE:
        s.want[0], s.want[1], s.want[2], s.want[3], s.want[4] = lane, attempt, block, found, v
    return code, slot, v


@inlined
def _run(
    s: State, r: int, v: int, t: float, u: float, u_slow: float, service: float, init: float, user_quantile: float
) -> None:
    """Lets request `r`, which has its environment, run from `t` on."""
    cold = s.requests[r].cold == 1
    duration = service
    if cold and s.versions[v].cold_kind == 2:
        duration, init = init, 0.0
    elif not cold:
        init = 0.0
    outcome, init, duration = _resolve_invocation(
        s.rows[v, : s.versions[v].rows], s.versions[v].error_rate, s.x[TIMEOUT], INIT_LIMIT, u, u_slow, t,
        cold, t - s.environments[at(s.requests[r].env)].created, s.n[RUNNING], user_quantile, duration, init,
    )  # fmt: skip
    s.requests[r].outcome = outcome
    s.requests[r].began, s.requests[r].init, s.requests[r].duration = t, init, duration
    if s.log.shape[0] > 0:
        log(s, r, t)
    push_event(s, micros(t + init + duration), COMPLETION, r)


@inlined
def _period(s: State, t: float) -> int:
    """The period that contains `t`; attempts start in the order of time, so it is nearly always the last one's."""
    if t >= s.x[PERIOD_END]:
        s.n[PERIOD] = int(t // s.x[RESOLUTION])
        s.x[PERIOD_END] = (s.n[PERIOD] + 1) * s.x[RESOLUTION]
    return int(s.n[PERIOD])


@inlined
def _start(s: State, r: int, t: float, lane: int, j: int, slot: int, v: int, user: int) -> None:
    """Starts an attempt of request `r` at `t` on version `v`; everything that it needs is loaded, its draws in `slot`."""
    period = _period(s, t)
    s.requests[r].version, s.requests[r].period = v, period
    if s.lanes[lane].full_jitter == 1:
        s.requests[r].jitter = _jitter(s.uniforms[slot, ROUTE, j])
    if not take(s, v, t, r):
        s.throttles[at(s.bases[lane, v] + period)] += 1
        s.requests[r].outcome, s.requests[r].env, s.requests[r].cold = THROTTLED, -1, 0
        s.requests[r].init, s.requests[r].duration = 0.0, 0.0
        if s.log.shape[0] > 0:
            log(s, r, t)
        after(s, r, t)
        return
    user_quantile = s.user_quantiles[at(user)] if s.lanes[lane].users > 0 else NO_USER_QUANTILE
    if s.versions[v].new == 1 and serves(s, lane, t):
        meet(s, user, s.lanes[lane].service)
        s.marks[1, user] = 1
        if s.lanes[lane].service == SPLIT:
            s.marks[4, user] = 1
    u, u_slow = s.uniforms[slot, FAULT, j], 0.0
    if s.versions[v].slow == 1:
        u_slow = s.uniforms[slot, SLOW, j]
    _run(s, r, v, t, u, u_slow, s.services[slot, v, j], s.inits[slot, v, j], user_quantile)


@inlined
def _end_test(s: State, r: int) -> None:
    s.requests[r].test = 0
    s.free[at(s.n[FREE])] = r
    s.n[FREE] += 1


@inlined
def _start_test(s: State, r: int, t: float) -> None:
    """Starts a hook's test: straight to its version, in nobody's alias metrics."""
    v = at(s.requests[r].version)
    if not take(s, v, t, r):
        if s.log.shape[0] > 0:
            s.requests[r].outcome, s.requests[r].env, s.requests[r].cold = THROTTLED, -1, 0
            log(s, r, t)
        _end_test(s, r)
        return
    u = s.tests[s.n[TESTED]]
    s.n[TESTED] += 1
    _run(s, r, v, t, u[0], u[1], u[2], u[3], NO_USER_QUANTILE)


@inlined
def _complete(s: State, r: int, t: float) -> None:
    """The invocation of request `r` ends at `t`."""
    v, outcome = at(s.requests[r].version), s.requests[r].outcome
    leave(s, r, t)
    s.versions[v].invocations += 1
    if outcome != OK:
        s.versions[v].errors += 1
    if s.requests[r].cold == 1:
        s.versions[v].cold += 1
    if s.requests[r].test == 1:
        if outcome == OK and t <= s.requests[r].jitter:
            s.versions[v].good += 1
        _end_test(s, r)
        return
    place, duration = at(s.bases[at(s.requests[r].lane), v] + s.requests[r].period), s.requests[r].duration
    s.invocations[place] += 1
    s.durations[place] += duration
    if outcome != OK:
        s.errors[place] += 1
    if s.requests[r].cold == 1:
        s.cold_starts[place] += 1
    for k in range(s.slow_limits.size):
        if duration > s.slow_limits[k]:
            s.slow[k, place] += 1
    if s.samples.size > 0:
        s.sample_places[s.n[SAMPLED]], s.samples[s.n[SAMPLED]] = place, duration
        s.n[SAMPLED] += 1
    after(s, r, t)


@inlined
def _next_arrival(s: State) -> tuple[int, int]:
    """The lane whose request comes next and when (µs); -1 without one, -2 where `want` says which lane has to be loaded."""
    lane, earliest = -1, np.inf
    for one in range(s.lanes.shape[0]):
        position = s.lanes[at(one)].position
        if position == s.lanes[at(one)].length:
            if position == BLOCK:
                s.want[0] = one
                return -2, 0
            continue
        comes = s.arrivals[at(s.lanes[at(one)].slot), at(position)]
        if comes < earliest:
            lane, earliest = one, comes
    return (lane, micros(earliest)) if earliest < s.x[HORIZON] else (-1, NEVER)


@inlined
def _arrive(s: State, lane: int, t: float, slot: int, v: int) -> None:
    """The next request of a lane comes, and goes to version `v`; its draws are in `slot`."""
    s.n[FREE] -= 1
    r, j, user = at(s.free[at(s.n[FREE])]), at(s.lanes[lane].position), -1
    s.lanes[lane].position += 1
    s.n[PENDING] += 1
    s.n[ARRIVAL_SEQUENCE] = s.n[SEQUENCE]
    s.n[SEQUENCE] += 1
    s.requests[r].lane, s.requests[r].block, s.requests[r].place = lane, s.lanes[lane].block, j
    s.requests[r].attempt = 1
    if s.lanes[lane].synchronous == 0:
        s.requests[r].errors, s.requests[r].throttles = 0, 0
    if s.lanes[lane].users > 0:
        user = s.users[slot, j]
        s.requests[r].served = 0
        if serves(s, lane, t):
            s.requests[r].served = s.lanes[lane].service
            meet(s, user, s.lanes[lane].service)
    s.requests[r].user = user
    s.requests[r].arrived, s.requests[r].first_period = t, _period(s, t)
    _start(s, r, t, lane, j, slot, v, user)


@inlined
def _before_arrival(s: State) -> bool:
    """Whether the first event comes before an arrival at the same time."""
    r = at(s.n[FIRST])
    kind = s.requests[r].kind
    return bool(kind < ARRIVAL or (kind == ARRIVAL and s.requests[r].sequence < s.n[ARRIVAL_SEQUENCE]))


def _advance(s: State, until: float, closed: bool) -> int:
    """Everything before `until` (s), and with `closed` the completions at it; comes back early when it needs something."""
    end = micros(until)
    if seconds(end) < until:
        end += 1
    closed = closed and seconds(end) == until
    lane, arrival = _next_arrival(s)
    while True:
        if lane == -2:
            return NEED_BLOCK
        if s.n[FIRST] < 0 and s.n[FIRST_DUE] <= min(arrival, end):
            find_event(s, min(arrival, end) >> s.n[SLICE])
        due, kind, r = arrival, ARRIVAL, -1
        if s.n[FIRST] >= 0 and (s.n[FIRST_DUE] < due or (s.n[FIRST_DUE] == due and _before_arrival(s))):
            due, r = s.n[FIRST_DUE], s.n[FIRST]
            kind = s.requests[at(r)].kind
        if due >= end and not (due == end and closed and kind == COMPLETION):
            return DONE
        t = seconds(due)
        if kind == COMPLETION:
            if s.samples.size > 0 and s.n[SAMPLED] >= s.samples.size:
                return FULL_SAMPLES
            pop_event(s)
            _complete(s, at(r), t)
            continue
        if s.n[ENV_FREE] == 0:
            return FULL_ENVIRONMENTS
        if s.log.shape[0] > 0 and s.n[LOGGED] >= s.log.shape[0]:
            return FULL_LOG
        if r < 0:
            if s.n[FREE] == 0:
                return FULL_REQUESTS
            one = at(lane)
            code, slot, v = _needs(s, one, s.lanes[one].block, at(s.lanes[one].position), 1, t)
            if code != DONE:
                return int(code)
            _arrive(s, one, t, slot, v)
            if s.n[PENDING] > s.n[MOST_PENDING]:
                s.want[0] = due
                return TOO_MANY
            lane, arrival = _next_arrival(s)
        elif s.requests[at(r)].test == 1:
            pop_event(s)
            _start_test(s, at(r), t)
        else:
            its_lane, j = at(s.requests[at(r)].lane), at(s.requests[at(r)].place)
            code, slot, v = _needs(s, its_lane, s.requests[at(r)].block, j, s.requests[at(r)].attempt, t)
            if code != DONE:
                return int(code)
            pop_event(s)
            _start(s, at(r), t, its_lane, j, slot, v, s.requests[at(r)].user)


advance = kept(
    _advance, units, faults, draws, base, spec, streams, state, queue, array_environments, requests,
    exposure, jit, environments,
)  # fmt: skip
