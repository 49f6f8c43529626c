"""A request of the compiled plane between its attempts: whose it is, what follows a failure, when it is answered."""

from __future__ import annotations

import numpy as np

from rollout_sim.core import units
from rollout_sim.function.faults import FAILED_RESPONSE, OK, REFUSED, THROTTLED
from rollout_sim.planes.base import RETRY
from rollout_sim.planes.compiled.environments import identity_of, micros
from rollout_sim.planes.compiled.jit import inlined, with_names
from rollout_sim.planes.compiled.queue import push_event
from rollout_sim.planes.compiled.state import FREE, LOGGED, PENDING, START_AT, Index, State
from rollout_sim.planes.exposure import ABSENT, ACTIVE, AFFECTED, SPLIT, SPLIT_ACTIVE
from rollout_sim.traffic.delivery import FOR_GOOD, SPREAD

seconds = with_names(units.seconds)
tick = with_names(units.tick)


@inlined
def log(s: State, r: int, t: float) -> None:
    """Keeps an attempt as a row of the events."""
    row = s.n[LOGGED]
    s.n[LOGGED] += 1
    request = s.requests[r]
    s.log[row, 0], s.log[row, 1], s.log[row, 2], s.log[row, 3] = (
        request.source,
        request.block,
        request.index,
        request.attempt,
    )
    s.log[row, 4], s.log[row, 5], s.log[row, 6], s.log[row, 7] = (
        request.version,
        request.env,
        request.cold,
        request.outcome,
    )
    s.log[row, 8] = request.user
    if request.env >= 0:
        s.log[row, 5] = identity_of(s, request.env)
    s.log_times[row, 0], s.log_times[row, 1], s.log_times[row, 2] = t, request.init, request.duration


@inlined
def serves(s: State, source: int, t: float) -> bool:
    """Whether a source's users count and the new version takes part in their traffic."""
    return bool(s.sources[source].users > 0 and s.sources[source].service != ABSENT and t >= s.x[START_AT])


@inlined
def mark_active(s: State, user: int, served: int) -> None:
    """`UserExposure.active`."""
    s.marks[ACTIVE, user] = 1
    if served == SPLIT:
        s.marks[SPLIT_ACTIVE, user] = 1


@inlined
def _answer(s: State, r: int, t: float) -> None:
    """The request's last attempt is over at `t`: it is good or bad, for each objective."""
    source, user, arrived = Index(s.requests[r].source), s.requests[r].user, s.requests[r].arrived
    failed = s.requests[r].outcome != OK
    count_index = Index(s.first_counts[source, Index(s.requests[r].version)] + s.requests[r].first_period)
    s.n[PENDING] -= 1
    s.asked[count_index] += 1
    bad = failed
    for k in range(s.latencies.shape[1]):
        latency = s.latencies[source, k]  # NaN: not judged by this objective; infinite: failures only
        if not np.isnan(latency) and (failed or (latency < np.inf and t > tick(arrived + latency))):
            s.bad_by[k, count_index] += 1
            bad = True
    if bad:
        s.bad[count_index] += 1
    if bad and s.sources[source].users > 0 and s.requests[r].served > 0:
        s.marks[AFFECTED, user] = 1
    s.free[Index(s.n[FREE])] = r
    s.n[FREE] += 1


@inlined
def after(s: State, r: int, t: float) -> None:
    """What follows an attempt that is over at `t`: the answer, or another attempt."""
    source, outcome = Index(s.requests[r].source), s.requests[r].outcome
    if outcome == OK:
        _answer(s, r, t)
        return
    if s.sources[source].synchronous == 1:
        attempt = s.requests[r].attempt
        tried = s.sources[source].on_error
        if outcome == THROTTLED:
            tried = s.sources[source].on_throttle
        elif outcome == FAILED_RESPONSE:
            tried = s.sources[source].on_failed_response
        if attempt >= s.sources[source].attempts or tried == 0:
            _answer(s, r, t)
            return
        delay = s.waits[source, attempt]
        if s.sources[source].full_jitter == 1:
            delay = delay * s.requests[r].jitter
    else:
        if outcome == FAILED_RESPONSE:
            _answer(s, r, t)
            return
        longest = s.sources[source].max_age
        if outcome == REFUSED:
            attempt, spread = s.requests[r].attempt, s.requests[r].jitter
            if spread == FOR_GOOD or attempt > s.sources[source].delivery_retries:
                _answer(s, r, t)
                return
            wait = s.async_waits[Index(s.sources[source].delivery), min(attempt, s.async_waits.shape[1] - 1)]
            delay = wait * (1.0 - SPREAD + 2.0 * SPREAD * spread)
            longest = s.sources[source].delivery_age
        elif outcome == THROTTLED:
            s.requests[r].throttles += 1
            delay = s.async_waits[1, min(s.requests[r].throttles, s.async_waits.shape[1] - 1)]
        else:
            s.requests[r].errors += 1
            if s.requests[r].errors > s.sources[source].async_retries:
                _answer(s, r, t)
                return
            delay = s.async_waits[0, s.requests[r].errors]
        if tick(t + delay) > tick(s.requests[r].arrived + longest):
            _answer(s, r, t)
            return
    s.requests[r].attempt += 1
    push_event(s, micros(t + delay), np.int64(RETRY), r)
