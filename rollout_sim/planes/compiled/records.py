"""Records of queues and streams on the compiled plane: what `simpy_plane` does with them, from their arrival to their fate."""

from __future__ import annotations

from typing import Final

import numpy as np

from rollout_sim.core.streams import BLOCK
from rollout_sim.function import faults
from rollout_sim.function.faults import ERROR, OK, THROTTLED
from rollout_sim.planes import polling
from rollout_sim.planes.base import COMPLETION
from rollout_sim.planes.compiled.environments import micros, take
from rollout_sim.planes.compiled.invocations import (
    begin,
    error_rate_of,
    failure_shares,
    intensity,
    jitter_of,
    later_slot,
    needs,
    outcome_of,
    period_of,
    refused,
    service_of,
)
from rollout_sim.planes.compiled.jit import inlined, with_names
from rollout_sim.planes.compiled.pollers import (
    add,
    done,
    due_at,
    enter,
    fate_if_old,
    is_over,
    next_batch,
    next_of_lane,
    plan,
    settle,
)
from rollout_sim.planes.compiled.polls import (
    ENDING,
    KEPT,
    NOW,
    OVER,
    POLLING,
    RECORD_FREE,
    SAMPLE_AT,
    SAMPLE_STEP,
    SAMPLE_UNTIL,
    SAMPLES,
    WAKER,
    Polls,
)
from rollout_sim.planes.compiled.queue import push_event
from rollout_sim.planes.compiled.requests import log, mark_active, seconds, serves, tick
from rollout_sim.planes.compiled.state import (
    ARRIVAL_SEQUENCE,
    DONE,
    ENV_FREE,
    FREE,
    FULL_ENVIRONMENTS,
    FULL_LOG,
    FULL_RECORDS,
    FULL_REQUESTS,
    LOGGED,
    NEED_ALL_DRAWS,
    NEED_DRAWS,
    NEVER,
    PENDING,
    RESOLUTION,
    SEQUENCE,
    Index,
    State,
)
from rollout_sim.planes.draws import FAULT, NO_USER_QUANTILE, ROUTE, SLOW
from rollout_sim.planes.exposure import AFFECTED, EXPOSED, SPLIT, SPLIT_EXPOSED
from rollout_sim.planes.polling import AGAIN
from rollout_sim.traffic.pollers import DEAD_LETTER, PASSED_OVER, WRONG

BATCH: Final = 2
"""What `test` says of a request that is the invocation of a batch, the first record of which is its `lead`."""
_age_bin = with_names(polling.age_bin)
_is_poison = with_names(faults.is_poison, intensity=intensity)


@inlined
def _judge(s: State, p: Polls, source: int, i: Index, t: float, fate: int) -> None:
    """`PeriodCounts.judge` for a record with that fate at `t`, without one where it is negative."""
    if p.records[i].first < 0:
        p.records[i].first = s.first_counts[source, Index(s.sources[source].primary)]
    arrived = p.records[i].arrived
    count_index = Index(p.records[i].first + int(arrived // s.x[RESOLUTION]))
    if fate >= 0:
        s.asked[count_index] += 1
    failed = fate > WRONG or (fate == WRONG and p.sources[source].wrong_is_bad == 1)
    bad = failed
    for k in range(s.latencies.shape[1]):
        latency = s.latencies[source, k]
        if np.isnan(latency) or (fate == WRONG and p.strict[source, k] == 0):
            continue
        if failed or (latency < np.inf and t > tick(arrived + latency)):
            s.bad_by[k, count_index] += 1
            bad = True
    if bad:
        s.bad[count_index] += 1
        p.sources[source].bad += 1
        if s.sources[source].users > 0 and p.records[i].served > 0:
            s.marks[AFFECTED, p.records[i].user] = 1


@inlined
def _count_over(s: State, p: Polls, t: float) -> None:
    """Counts the records that met their fates at `t`, and forgets them."""
    while p.n[OVER] >= 0:
        i = Index(p.n[OVER])
        p.n[OVER] = p.records[i].next
        source, fate = Index(p.records[i].source), p.records[i].fate
        s.n[PENDING] -= 1
        p.fates[source, Index(fate)] += 1
        if fate <= WRONG:
            age = micros(t) - micros(p.records[i].arrived)
            p.ages[source, Index(_age_bin(age))] += 1
            p.sources[source].age_sum += age
        _judge(s, p, source, i, t, fate)
        older, newer = p.records[i].older, p.records[i].newer
        if older < 0:
            p.sources[source].oldest = newer
        else:
            p.records[Index(older)].newer = newer
        if newer < 0:
            p.sources[source].newest = older
        else:
            p.records[Index(newer)].older = older
        p.free[Index(p.n[RECORD_FREE])] = i
        p.n[RECORD_FREE] += 1


@inlined
def wake(p: Polls) -> None:
    """The poller that is due is to be asked."""
    p.n[POLLING] = p.n[WAKER]
    p.sources[Index(p.n[WAKER])].wake = NEVER


@inlined
def record_needs(s: State, p: Polls, source: Index) -> int:
    """What has to be there before the next record of a source can come, DONE if nothing."""
    slot = Index(s.sources[source].slot)
    if p.n[RECORD_FREE] == 0 or p.sources[source].entries + 2 > p.heap.shape[1]:
        return FULL_RECORDS
    if p.sources[source].stream == 1 and p.sources[source].keys < 0 and s.loaded[slot, 0] == 0:
        s.want[3] = slot
        return NEED_ALL_DRAWS
    return DONE


@inlined
def arrive_record(s: State, p: Polls, source: Index, t: float) -> None:
    """The next record of a source comes, of which everything is there that it needs."""
    slot, j, user = Index(s.sources[source].slot), Index(s.sources[source].position), np.int64(-1)
    s.sources[source].position += 1
    s.n[PENDING] += 1
    s.n[ARRIVAL_SEQUENCE] = s.n[SEQUENCE]
    s.n[SEQUENCE] += 1
    p.n[RECORD_FREE] -= 1
    i = Index(p.free[Index(p.n[RECORD_FREE])])
    p.records[i].source, p.records[i].number, p.records[i].receives = source, s.sources[source].block * BLOCK + j, 0
    p.records[i].first, p.records[i].served, p.records[i].arrived = -1, 0, t
    p.records[i].fault, p.records[i].trait = s.uniforms[slot, FAULT, j], jitter_of(s.uniforms[slot, ROUTE, j])
    if s.sources[source].users > 0:
        user = s.users[slot, j]
        if serves(s, source, t):
            p.records[i].served = s.sources[source].service
            mark_active(s, user, s.sources[source].service)
    p.records[i].user = user
    place = np.int64(0)
    if p.sources[source].stream == 1:
        if p.sources[source].keys >= 0:
            place = np.int64(p.lanes[Index(p.sources[source].keys + user)])
        else:
            lanes = p.sources[source].lanes
            place = min(np.int64(jitter_of(s.uniforms[slot, SLOW, j]) * lanes), lanes - 1)
    elif p.sources[source].groups > 0:
        place = user
    p.records[i].place = p.sources[source].place + place
    newest = p.sources[source].newest
    p.records[i].older, p.records[i].newer, p.sources[source].newest = newest, -1, i
    if newest < 0:
        p.sources[source].oldest = i
    else:
        p.records[Index(newest)].newer = i
    p.sources[source].arrived += 1
    if p.sources[source].stream == 1:
        enter(p, source, t, i)
    else:
        settle(p, source, t)
        add(p, source, i)
        if p.sources[source].rising == 0:
            p.sources[source].changed = micros(t)
    if due_at(p, source) <= micros(t):
        p.n[POLLING] = source
    else:
        plan(p, source)


@inlined
def _poll(s: State, p: Polls, t: float) -> int:
    """`SimpyPlane._poll` for the source whose poller is at work; comes back early when it needs something."""
    source = Index(p.n[POLLING])
    while True:
        if p.sources[source].lead < 0:
            if s.n[FREE] == 0:
                return FULL_REQUESTS
            if s.n[ENV_FREE] == 0:
                return FULL_ENVIRONMENTS
            if s.log.shape[0] > 0 and s.n[LOGGED] >= s.log.shape[0]:
                return FULL_LOG
            if p.sources[source].entries + 1 > p.heap.shape[1]:
                return FULL_RECORDS
            if p.sources[source].stream == 1:
                p.sources[source].lead = next_of_lane(p, source, t)
            else:
                settle(p, source, t)
                p.sources[source].lead = next_batch(p, source, t)
            if p.sources[source].lead < 0:
                break
        code = _hand_over(s, p, source, t)
        if code != DONE:
            return int(code)
        p.sources[source].lead = -1
        if p.sources[source].stream == 0 and p.sources[source].waiting == 0:
            break  # the poller would say so, and change nothing
    p.n[POLLING] = -1
    plan(p, source)
    return DONE


@inlined
def _first_slot(s: State, p: Polls, source: Index, block: int) -> int:
    """Where the draws of a block's first attempts are, not only of the latest block; -1: not loaded."""
    current = s.sources[source].block
    if block == current or (block < current and (p.n[KEPT] == 1 or block == current - 1)):
        held = s.arrivals.shape[0] // s.sources.shape[0]
        return int(source + s.sources.shape[0] * (block % held))
    return int(later_slot(s, source, np.int64(1), block))


@inlined
def _again_draw(s: State, p: Polls, source: Index) -> float:
    """The next fault draw that nothing was handed over again with; its block is loaded."""
    draw = p.sources[source].again
    p.sources[source].again += 1
    return float(s.uniforms[Index(later_slot(s, source, AGAIN, draw // BLOCK)), FAULT, Index(draw % BLOCK)])


@inlined
def _hand_over(s: State, p: Polls, source: Index, t: float) -> int:
    """`SimpyPlane._hand_over` for the batch that was taken; what has to be loaded before, DONE if nothing."""
    lead = Index(p.sources[source].lead)
    attempt, draw = np.int64(1), p.records[lead].number
    repeats, size = p.records[lead].repeats, p.records[lead].size
    if p.records[lead].receives > 1:
        attempt, draw = np.int64(AGAIN), p.sources[source].again
    block, j = draw // BLOCK, Index(draw % BLOCK)
    loaded = _first_slot(s, p, source, block) if attempt == 1 else later_slot(s, source, attempt, block)
    code, slot, v, env, warm = needs(s, source, loaded, block, j, attempt, t)
    if code != DONE:
        return int(code)
    if repeats > 0:
        again = p.sources[source].again
        for needed in range(again // BLOCK, (again + repeats) // BLOCK + 1):
            if later_slot(s, source, np.int64(AGAIN), needed) < 0:
                s.want[0], s.want[1], s.want[2] = source, AGAIN, needed
                return NEED_DRAWS
    p.sources[source].again += attempt != 1
    period, first, last = period_of(s, t), s.first_counts[source, v], lead
    after = np.int64(lead)
    while after >= 0:
        last = Index(after)
        p.records[last].first = first
        after = p.records[last].next
    count_index = Index(first + period)
    s.n[FREE] -= 1
    r = Index(s.free[Index(s.n[FREE])])
    number = p.records[lead].number
    s.requests[r].source, s.requests[r].block, s.requests[r].index = source, number // BLOCK, number % BLOCK
    s.requests[r].attempt, s.requests[r].user, s.requests[r].version = p.records[lead].receives, p.records[lead].user, v
    if refused(s, slot, j, t) or not take(s, v, t, r, env, warm):
        s.throttles[count_index] += 1
        if s.log.shape[0] > 0:
            s.requests[r].outcome, s.requests[r].env, s.requests[r].cold = THROTTLED, -1, 0
            s.requests[r].init, s.requests[r].duration = 0.0, 0.0
            log(s, r, t)
        s.n[FREE] += 1
        done(p, source, lead, t, True, True)
        return DONE
    if p.sources[source].stream == 1:
        age = t - p.records[last].arrived
        p.iterator_batches[count_index] += 1
        p.iterator_age_sum[count_index] += age
        p.iterator_age_max[count_index] = max(p.iterator_age_max[count_index], age)
    if s.versions[v].new == 1 and serves(s, source, t):
        _expose(s, p, source, lead)
    s.requests[r].test, s.requests[r].lead, s.requests[r].period = BATCH, lead, period
    more, u_slow = size * p.versions[v].per_record, 0.0
    service, init = service_of(s, v, t, s.services[slot, v, j]), s.inits[slot, v, j]
    if s.versions[v].cold_kind == 2 and s.requests[r].cold == 1:
        init = tick(init + more)
    else:
        service = tick(service + more)
    if s.versions[v].slow == 1:
        u_slow = s.uniforms[slot, SLOW, j]
    begin(
        s, r, v, t, p.invocation_rows[v, : p.versions[v].of_invocations], 0.0, 0.0,
        jitter_of(s.uniforms[slot, FAULT, j]), u_slow, service, init, NO_USER_QUANTILE,
    )  # fmt: skip
    if s.requests[r].outcome == OK and _outcomes(s, p, source, lead, v, t) and p.sources[source].partial == 0:
        s.requests[r].outcome = ERROR
    if s.log.shape[0] > 0:
        log(s, r, t)
    push_event(s, micros(t + s.requests[r].init + s.requests[r].duration), np.int64(COMPLETION), r)
    return DONE


@inlined
def _expose(s: State, p: Polls, source: Index, lead: Index) -> None:
    """The new version serves the users of a batch."""
    after = np.int64(lead)
    while after >= 0:
        i = Index(after)
        user, after = p.records[i].user, p.records[i].next
        p.records[i].served = s.sources[source].service
        mark_active(s, user, s.sources[source].service)
        s.marks[EXPOSED, user] = 1
        if s.sources[source].service == SPLIT:
            s.marks[SPLIT_EXPOSED, user] = 1


@inlined
def _outcomes(s: State, p: Polls, source: Index, lead: Index, v: Index, t: float) -> bool:
    """`SimpyPlane._outcomes`; whether one of them is an error."""
    rows = p.record_rows[v, : p.versions[v].of_records]
    error_rate, failed_responses = error_rate_of(s, v, t), s.versions[v].failed_responses
    init, hang, crash, error, response = 0.0, 0.0, 0.0, error_rate, failed_responses
    after, errors, known = np.int64(lead), False, rows.shape[0] == 0
    while after >= 0:
        i = Index(after)
        after = p.records[i].next
        if not known:
            user_quantile = (
                s.user_quantiles[Index(p.records[i].user)] if s.sources[source].users > 0 else NO_USER_QUANTILE
            )
            init, hang, crash, error, response = failure_shares(
                rows, error_rate, failed_responses, t, False, 0.0, 0, user_quantile
            )
            known = p.versions[v].alike == 1
        u = p.records[i].fault if p.records[i].receives == 1 else _again_draw(s, p, source)
        outcome = outcome_of(u, init, hang, crash, error, response)
        if p.versions[v].poisoned == 1 and _is_poison(rows, t, p.records[i].trait):
            outcome = ERROR
        p.records[i].outcome = outcome
        errors = errors or outcome == ERROR
    return errors


@inlined
def batch_over(s: State, p: Polls, r: Index, t: float) -> None:
    """The invocation of a batch has ended: its records are over, or the poller's again."""
    source = Index(s.requests[r].source)
    done(p, source, Index(s.requests[r].lead), t, s.requests[r].outcome != OK, False)
    s.requests[r].test = 0
    s.free[Index(s.n[FREE])] = r
    s.n[FREE] += 1
    plan(p, source)


@inlined
def _sample(s: State, p: Polls, t: float) -> None:
    """`SimpyPlane._sample`."""
    look = p.n[SAMPLES]
    p.n[SAMPLES] += 1
    p.n[SAMPLE_AT] += p.n[SAMPLE_STEP]
    for k in range(p.sources.shape[0]):
        source = Index(k)
        if p.sources[source].polled == 0:
            continue
        settle(p, source, t)
        _count_over(s, p, t)
        oldest, queue = p.sources[source].oldest, p.sources[source].queue
        p.backlog[source, look] = p.sources[source].arrived
        for fate in range(p.fates.shape[1]):
            p.backlog[source, look] -= p.fates[source, fate]
        p.oldest[source, look] = t - p.records[Index(oldest)].arrived if oldest >= 0 else 0.0
        if look > 0 and t % s.x[RESOLUTION] == 0 and queue >= 0:
            period = round(t / s.x[RESOLUTION]) - 1
            if period < p.gauges.shape[2]:
                p.gauges[0, queue, period] = p.sources[source].waiting
                while (
                    oldest >= 0 and p.sources[source].groups == 0 and p.records[Index(oldest)].receives >= PASSED_OVER
                ):
                    oldest = p.records[Index(oldest)].newer
                p.gauges[1, queue, period] = t - p.records[Index(oldest)].arrived if oldest >= 0 else 0.0
                p.gauges[2, queue, period] = p.fates[source, DEAD_LETTER]


@inlined
def _expire(p: Polls, source: Index, first: int, t: float) -> None:
    """Loses the records of the list that begins with `first` that are too old at `t`."""
    after = first
    while after >= 0:
        i = Index(after)
        after = p.records[i].next
        fate = fate_if_old(p, source, i, t)
        if fate >= 0:
            is_over(p, i, fate)


@inlined
def _end(s: State, p: Polls, t: float) -> None:
    """The end of the run at `t`: first all that waits and is too old is lost (`Poller.close`), then what has no fate is judged."""
    for k in range(p.sources.shape[0]):
        source = Index(k)
        if p.n[ENDING] == 2:
            after = p.sources[source].oldest if p.sources[source].polled == 1 else np.int64(-1)
            while after >= 0:
                i = Index(after)
                after = p.records[i].newer
                _judge(s, p, source, i, t, -1)
            continue
        settle(p, source, t)
        for place in range(p.sources[source].place, p.sources[source].place + p.sources[source].places):
            if p.places[Index(place)].waiting > 0:
                _expire(p, source, p.places[Index(place)].head, t)
            again = p.places[Index(place)].again
            while again >= 0:
                batch, again = again, p.records[Index(again)].again
                _expire(p, source, batch, t)
        _count_over(s, p, t)


@inlined
def go_on(s: State, p: Polls) -> int:
    """Lets the poller that is at work go on, and counts what is over; what is needed for that, DONE if nothing."""
    if p.n[POLLING] >= 0:
        code = _poll(s, p, seconds(p.n[NOW]))
        if code != DONE:
            return int(code)
    if p.n[OVER] >= 0:
        _count_over(s, p, seconds(p.n[NOW]))
    return DONE


@inlined
def full_heap(s: State, p: Polls, r: Index) -> bool:
    """Whether there is no room for what follows the end of request `r`, a batch."""
    if s.requests[r].test != BATCH:
        return False
    source = Index(s.requests[r].source)
    return bool(p.sources[source].stream == 1 and p.sources[source].entries + 1 > p.heap.shape[1])


@inlined
def next_stop(p: Polls, end: int) -> int:
    """When the backlogs are looked at next (us), `end` if not before."""
    return int(min(end, p.n[SAMPLE_AT]) if p.n[SAMPLE_AT] <= p.n[SAMPLE_UNTIL] else end)


@inlined
def looks_on(s: State, p: Polls, until: float) -> bool:
    """Looks at the backlogs, if that is to be done now; otherwise nothing comes before `until` any more."""
    if p.n[SAMPLE_AT] <= p.n[SAMPLE_UNTIL]:
        _sample(s, p, seconds(p.n[SAMPLE_AT]))
        return True
    if p.n[ENDING] > 0:
        _end(s, p, until)
    return False
