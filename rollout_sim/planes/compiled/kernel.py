"""The compiled plane's kernel: requests arrive, are routed, run, fail or succeed, retry and are answered.

Event by event what `simpy_plane` does, in the same order and with the same arithmetic, so that the results are equal to
the last bit. The fault rules are compiled from `faults` itself.
"""

from __future__ import annotations

import numpy as np

from rollout_sim.core import curves, streams, units
from rollout_sim.core.streams import BLOCK
from rollout_sim.function import environments, faults, spec
from rollout_sim.function.faults import ERROR, FAILED_RESPONSE, OK, REFUSED, THROTTLED
from rollout_sim.planes import base, draws, exposure, polling
from rollout_sim.planes.base import ARRIVAL, COMPLETION
from rollout_sim.planes.compiled import environments as array_environments
from rollout_sim.planes.compiled import invocations, jit, pollers, polls, queue, records, requests, state
from rollout_sim.planes.compiled.environments import add_provisioned, leave, micros, next_warm, take
from rollout_sim.planes.compiled.invocations import jitter_of, later_slot, needs, period_of, refused, run
from rollout_sim.planes.compiled.jit import by_reference, compiled_before, inlined, kept, with_names
from rollout_sim.planes.compiled.polls import NOW, WAKE, Polls
from rollout_sim.planes.compiled.queue import find_event, pop_event, push_event
from rollout_sim.planes.compiled.records import (
    BATCH,
    arrive_record,
    batch_over,
    full_heap,
    go_on,
    looks_on,
    next_stop,
    record_needs,
    wake,
)
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
    FULL_RECORDS,
    FULL_REQUESTS,
    FULL_SAMPLES,
    LAST_DUE,
    LOGGED,
    MOST_PENDING,
    NEED_BLOCK,
    NEVER,
    PENDING,
    SAMPLED,
    SEQUENCE,
    SLICE,
    START_AT,
    TESTED,
    TOO_MANY,
    Index,
    State,
)
from rollout_sim.planes.draws import FAULT, NO_USER_QUANTILE, ROUTE, SLOW
from rollout_sim.planes.exposure import ABSENT, EXPOSED, SPLIT, SPLIT_EXPOSED
from rollout_sim.traffic import delivery
from rollout_sim.traffic import pollers as laws
from rollout_sim.traffic.delivery import TAKEN

__all__ = ["add_from_python", "advance", "advance_polled", "push_from_python", "ready"]
_refusal = with_names(delivery.refusal)
first_micro = with_names(units.first_micro, micros=micros, seconds=seconds)


@inlined
def _start(
    s: State, r: int, t: float, source: int, j: int, slot: int, v: int, env: Index, warm: bool, user: int
) -> None:
    """Starts an attempt of request `r` at `t` on version `v`: `slot`, `v`, `env` and `warm` are what `needs` says."""
    period = period_of(s, t)
    s.requests[r].version, s.requests[r].period = v, period
    if s.sources[source].full_jitter == 1:
        s.requests[r].jitter = jitter_of(s.uniforms[slot, ROUTE, j])
    if s.sources[source].delivery > 0 and s.requests[r].errors + s.requests[r].throttles == 0:
        permitted = s.sources[source].permitted == 1 or t < s.x[START_AT] or s.sources[source].service == ABSENT
        refusal = _refusal(
            jitter_of(s.uniforms[slot, ROUTE, j]), t, permitted, s.sources[source].refused,
            s.sources[source].refused_from, s.sources[source].refused_until,
        )  # fmt: skip
        if refusal != TAKEN:
            s.requests[r].outcome, s.requests[r].env, s.requests[r].cold = REFUSED, -1, 0
            s.requests[r].init, s.requests[r].duration, s.requests[r].jitter = 0.0, 0.0, refusal
            if s.log.shape[0] > 0:
                log(s, r, t)
            after(s, r, t)
            return
    if refused(s, slot, j, t) or not take(s, v, t, r, env, warm):
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
    run(s, r, v, t, u, u_slow, s.services[slot, v, j], s.inits[slot, v, j], user_quantile)


@inlined
def _end_test(s: State, r: int) -> None:
    s.requests[r].test = 0
    s.free[Index(s.n[FREE])] = r
    s.n[FREE] += 1


@inlined
def _start_test(s: State, r: int, t: float) -> None:
    """Starts a hook's test: straight to its version, in nobody's alias metrics."""
    v = Index(s.requests[r].version)
    env, warm = next_warm(s, v, t)
    if not take(s, v, t, r, env, warm):
        if s.log.shape[0] > 0:
            s.requests[r].outcome, s.requests[r].env, s.requests[r].cold = THROTTLED, -1, 0
            log(s, r, t)
        s.versions[v].answered = max(s.versions[v].answered, micros(t))
        _end_test(s, r)
        return
    u = s.tests[s.n[TESTED]]
    s.n[TESTED] += 1
    run(s, r, v, t, u[0], u[1], u[2], u[3], NO_USER_QUANTILE)
    s.versions[v].answered = max(s.versions[v].answered, s.requests[r].due)
    if s.requests[r].outcome == OK:
        s.versions[v].good += 1


@inlined
def _complete(s: State, r: int, t: float) -> None:
    """The invocation of request `r`, which may be a hook's test or a batch, ends at `t`."""
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
    if s.requests[r].test == 0:
        after(s, r, t)


@inlined
def _next_arrival(s: State) -> tuple[int, int]:
    """The source whose request comes next and when (µs); -1 without one, -2 where `want` says which source has to be loaded."""
    source, earliest = -1, NEVER
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
    return (source, earliest) if earliest < s.n[LAST_DUE] else (-1, NEVER)


@inlined
def _arrive(s: State, source: int, t: float, j: int, slot: int, v: int, env: Index, warm: bool) -> None:
    """The request of a source that is the `j`-th of its block comes; the others are what `needs` says."""
    s.n[FREE] -= 1
    r, user = Index(s.free[Index(s.n[FREE])]), -1
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
    s.requests[r].arrived, s.requests[r].first_period = t, period_of(s, t)
    _start(s, r, t, source, j, slot, v, env, warm, user)


@inlined
def _full(s: State) -> int:
    """What has no room for another attempt, DONE if nothing."""
    if s.n[ENV_FREE] == 0:
        return FULL_ENVIRONMENTS
    if s.log.shape[0] > 0 and s.n[LOGGED] >= s.log.shape[0]:
        return FULL_LOG
    return DONE


@inlined
def _before_arrival(s: State) -> bool:
    """Whether the first event comes before an arrival at the same time."""
    r = Index(s.n[FIRST])
    kind = s.requests[r].kind
    return bool(kind < ARRIVAL or (kind == ARRIVAL and s.requests[r].sequence < s.n[ARRIVAL_SEQUENCE]))


@inlined
def _run_until(s: State, p: Polls | None, until: float) -> int:
    """Everything before `until` (s), and the completions at it; comes back early when it needs something.

    What is about queues and streams is compiled only where there are some (`p`).
    """
    end = first_micro(until)
    closed = seconds(end) == until
    source, arrival = _next_arrival(s)
    while True:
        stop, poll_due = end, NEVER
        if p is not None:
            code = go_on(s, p)
            if code != DONE:
                return int(code)
            poll_due, stop = p.n[WAKE], next_stop(p, end)
        if source == -2:
            return NEED_BLOCK
        soonest = min(arrival, poll_due, stop)
        if s.n[FIRST] < 0 and s.n[FIRST_DUE] <= soonest:
            find_event(s, soonest >> s.n[SLICE])
        comes_first = s.n[FIRST] >= 0 and (
            s.n[FIRST_DUE] < arrival or (s.n[FIRST_DUE] == arrival and _before_arrival(s))
        )
        due = s.n[FIRST_DUE] if comes_first else arrival
        if p is not None and poll_due < due:
            if poll_due < stop:
                p.n[NOW] = poll_due
                wake(p)
                continue
            if looks_on(s, p, until):
                continue
            return DONE
        if comes_first:  # some lines stand in both branches: one way out for the two takes a twentieth more of the time
            r = Index(s.n[FIRST])
            kind = s.requests[r].kind
            if due >= stop and not (due == stop and kind == COMPLETION and (closed or stop < end)):
                if p is not None and looks_on(s, p, until):
                    continue
                return DONE
            t = seconds(due)
            if p is not None:
                p.n[NOW] = due
            if kind == COMPLETION:
                if s.samples.size > 0 and s.n[SAMPLED] >= s.samples.size:
                    return FULL_SAMPLES
                if p is not None and full_heap(s, p, r):
                    return FULL_RECORDS
                pop_event(s)
                _complete(s, r, t)
                if p is not None and s.requests[r].test == BATCH:
                    batch_over(s, p, r, t)
                continue
            code = _full(s)
            if code != DONE:
                return int(code)
            if s.requests[r].test == 1:
                pop_event(s)
                _start_test(s, r, t)
                continue
            owner, j = Index(s.requests[r].source), Index(s.requests[r].index)
            block, attempt = s.requests[r].block, s.requests[r].attempt
            code, slot, v, env, warm = needs(s, owner, later_slot(s, owner, attempt, block), block, j, attempt, t)
            if code != DONE:
                return int(code)
            pop_event(s)
            _start(s, r, t, owner, j, slot, v, env, warm, s.requests[r].user)
            continue
        if due >= stop:
            if p is not None and looks_on(s, p, until):
                continue
            return DONE
        t = seconds(due)
        if p is not None:
            p.n[NOW] = due
        code = _full(s)
        if code != DONE:
            return int(code)
        if p is not None and p.sources[Index(source)].polled == 1:
            code = record_needs(s, p, Index(source))
            if code != DONE:
                return int(code)
            arrive_record(s, p, Index(source), t)
            source, arrival = _next_arrival(s)
        else:
            if s.n[FREE] == 0:
                return FULL_REQUESTS
            new = Index(source)
            its = s.sources[new]
            j = Index(its.position)
            code, slot, v, env, warm = needs(s, new, its.slot, its.block, j, np.int64(1), t)
            if code != DONE:
                return int(code)
            s.sources[new].position += 1
            source, arrival = _next_arrival(s)  # first of all: whether it comes next can be worked out meanwhile
            _arrive(s, new, t, j, slot, v, env, warm)
        if s.n[PENDING] > s.n[MOST_PENDING]:
            s.want[0] = due
            return TOO_MANY


def _advance(state: State, polls: None, until: float) -> int:
    """`_run_until` where nothing is polled."""
    return int(_run_until(by_reference(state), polls, until))


def _advance_polled(state: State, polls: Polls, until: float) -> int:
    """`_run_until` with queues or streams."""
    return int(_run_until(by_reference(state), by_reference(polls), until))


def _add(state: State, v: int, t: float) -> None:
    add_provisioned(by_reference(state), v, t)


def _push(state: State, due: int, kind: int, r: int) -> None:
    push_event(by_reference(state), due, kind, r)


_SOURCES = (
    units, curves, faults, draws, base, spec, streams, state, queue, array_environments, requests, exposure, jit, environments,
    invocations, delivery,
)  # fmt: skip
advance = kept(_advance, *_SOURCES)
advance_polled = kept(_advance_polled, *_SOURCES, polls, pollers, records, polling, laws)
add_from_python = kept(_add, *_SOURCES)
push_from_python = kept(_push, *_SOURCES)


def ready(*, polled: bool) -> bool:
    """Whether the kernel is compiled already: that for queues and streams as well, or the one without."""
    return compiled_before(advance_polled if polled else advance)
