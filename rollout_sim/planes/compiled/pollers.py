"""The compiled plane's pollers: what `traffic.pollers` does, over arrays, in the same order and with the same arithmetic.

And what `simpy_plane` does with them, from the arrival of a record to its fate. A list of records is linked through `next`. A
record that has met its fate is entered in one more list (`OVER`), from which `_count_over` takes it: the rest of its life is
the same whatever ends it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rollout_sim.core.streams import BLOCK
from rollout_sim.function import faults
from rollout_sim.function.faults import ERROR, FAILED_RESPONSE, OK, THROTTLED
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
    WAKE,
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
from rollout_sim.traffic import pollers
from rollout_sim.traffic.pollers import DEAD_LETTER, EXPIRED, GOOD, ROUND_TRIP, THROTTLED_AGAIN, WRONG

BATCH: Final = 2
"""What `test` says of a request that is the invocation of a batch, the first record of which is its `lead`."""
_credit = with_names(pollers.credit)
_next_look = with_names(pollers.next_look, tick=tick)
_age_bin = with_names(polling.age_bin)
_is_poison = with_names(faults.is_poison, intensity=intensity)


# What is due: a heap for each source


@inlined
def _push(p: Polls, source: int, due: int, order: int, item: int) -> None:
    """A message or lane is due then, after all that are due before or in a lower order."""
    k = p.sources[source].entries
    p.sources[source].entries = k + 1
    while k > 0:
        above = (k - 1) >> 1
        if p.heap[source, above, 0] < due or (p.heap[source, above, 0] == due and p.heap[source, above, 1] <= order):
            break
        for column in range(3):
            p.heap[source, k, column] = p.heap[source, above, column]
        k = above
    p.heap[source, k, 0], p.heap[source, k, 1], p.heap[source, k, 2] = due, order, item


@inlined
def _pop(p: Polls, source: int) -> int:
    """Takes out what is due first; there is something."""
    item, last = p.heap[source, 0, 2], p.sources[source].entries - 1
    p.sources[source].entries = last
    due, order, moved = p.heap[source, last, 0], p.heap[source, last, 1], p.heap[source, last, 2]
    k, below = 0, 1
    while below < last:
        if below + 1 < last and (
            p.heap[source, below + 1, 0] < p.heap[source, below, 0]
            or (
                p.heap[source, below + 1, 0] == p.heap[source, below, 0]
                and p.heap[source, below + 1, 1] < p.heap[source, below, 1]
            )
        ):
            below += 1
        if p.heap[source, below, 0] > due or (p.heap[source, below, 0] == due and p.heap[source, below, 1] >= order):
            break
        for column in range(3):
            p.heap[source, k, column] = p.heap[source, below, column]
        k, below = below, 2 * below + 1
    p.heap[source, k, 0], p.heap[source, k, 1], p.heap[source, k, 2] = due, order, moved
    return int(item)


# Fates


@inlined
def _is_over(p: Polls, i: Index, fate: int) -> None:
    """A record that is in no list any more has met its fate."""
    p.records[i].fate, p.records[i].next = fate, p.n[OVER]
    p.n[OVER] = i


@inlined
def _lost(p: Polls, source: int, i: Index, fate: int) -> None:
    """A record that was out is lost."""
    _finished(p, source, p.records[i].place)
    _is_over(p, i, fate)


@inlined
def _fate_if_old(p: Polls, source: int, i: Index, t: float) -> int:
    """The fate of a record that is too old at `t`, -1 where it is not."""
    arrived = p.records[i].arrived
    if t >= arrived + p.sources[source].retention:
        return EXPIRED
    if t >= arrived + p.sources[source].limit:
        return int(p.sources[source].given_up)
    return -1


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


# The messages of a queue that wait (`_Standard`, `_Fifo`)


@inlined
def _append(p: Polls, place: Index, i: Index) -> None:
    """A record comes to the end of its group or lane."""
    p.records[i].next = -1
    if p.places[place].waiting == 0:
        p.places[place].head = i
    else:
        p.records[Index(p.places[place].tail)].next = i
    p.places[place].tail = i
    p.places[place].waiting += 1


@inlined
def _cut(p: Polls, place: Index, count: int) -> tuple[int, Index]:
    """Takes the first `count` records out of a group or lane, one at least: the first and the last of them."""
    head = p.places[place].head
    i = Index(head)
    for _ in range(count - 1):
        i = Index(p.records[i].next)
    p.places[place].head = p.records[i].next
    p.places[place].waiting -= count
    p.records[i].next = -1
    return int(head), i


@inlined
def _ready(p: Polls, source: int, place: Index) -> None:
    """The messages of a group can be fetched, after those of the groups for which this is so already."""
    p.places[place].next = -1
    if p.sources[source].head < 0:
        p.sources[source].head = place
    else:
        p.places[Index(p.sources[source].tail)].next = place
    p.sources[source].tail = place
    p.places[place].ready = 1


@inlined
def _add(p: Polls, source: int, i: Index) -> None:
    """A message becomes visible at the end of its group."""
    place = Index(p.records[i].place)
    _append(p, place, i)
    if p.sources[source].groups == 0:
        p.sources[source].waiting += 1
    elif p.places[place].out == 0:
        p.sources[source].waiting += 1
        if p.places[place].ready == 0:
            _ready(p, source, place)


@inlined
def _finished(p: Polls, source: int, place: Index) -> None:
    """A message that was out is out no more."""
    if p.sources[source].groups > 0:
        p.places[place].out -= 1
        if p.places[place].out == 0 and p.places[place].waiting > 0:
            p.sources[source].waiting += p.places[place].waiting
            _ready(p, source, place)


@inlined
def _put_back(p: Polls, source: int, i: Index) -> None:
    """A message that was out is visible again; in a group at its place."""
    place = Index(p.records[i].place)
    if p.sources[source].groups == 0:
        _add(p, source, i)
        return
    before, after = -1, p.places[place].head if p.places[place].waiting > 0 else -1
    while after >= 0 and p.records[Index(after)].number < p.records[i].number:
        before, after = after, p.records[Index(after)].next
    p.records[i].next = after
    if before < 0:
        p.places[place].head = i
    else:
        p.records[Index(before)].next = i
    if after < 0:
        p.places[place].tail = i
    p.places[place].waiting += 1
    _finished(p, source, place)


# The poller of a queue


@inlined
def _settle(p: Polls, source: int, t: float) -> None:
    """`QueuePoller.settle`; of a stream nothing."""
    now = micros(t)
    while p.sources[source].stream == 0 and p.sources[source].entries > 0 and p.heap[source, 0, 0] <= now:
        i = Index(_pop(p, source))
        fate = _fate_if_old(p, source, i, t)
        if 0 <= p.sources[source].max_receives <= p.records[i].receives:
            fate = DEAD_LETTER
        if fate >= 0:
            _lost(p, source, i, fate)
        else:
            _put_back(p, source, i)


@inlined
def _places(p: Polls, source: int, now: int) -> int:
    """`Scaling.advance`."""
    its = p.sources[source]
    most = (its.most - its.first) * its.interval
    credit = _credit(its.credit, now - its.at, its.rising == 1, most)
    p.sources[source].credit, p.sources[source].at = credit, now
    return int(its.first + (credit // its.interval if credit > 0 else 0))


@inlined
def _gathering(p: Polls, source: int, t: float) -> bool:
    """`QueuePoller._gathering`."""
    if p.sources[source].window == 0.0 or p.sources[source].waiting >= p.sources[source].size:
        return False
    if p.sources[source].deadline == NEVER:
        p.sources[source].deadline = micros(t + p.sources[source].window)
    return bool(micros(t) < p.sources[source].deadline)


@inlined
def _next_messages(p: Polls, source: int) -> int:
    """The first of the messages that go next, which are out from then on; one at least waits."""
    head, tail, count = -1, Index(0), 0
    while count < p.sources[source].size and p.sources[source].waiting > 0:
        place = Index(p.sources[source].place)
        if p.sources[source].groups > 0:
            place = Index(p.sources[source].head)
            p.sources[source].head = p.places[place].next
            p.places[place].ready = 0
        chosen = min(p.sources[source].size - count, p.places[place].waiting)
        if p.sources[source].groups > 0:
            p.sources[source].waiting -= p.places[place].waiting
            p.places[place].out = chosen
        else:
            p.sources[source].waiting -= chosen
        first, last = _cut(p, place, chosen)
        if head < 0:
            head = first
        else:
            p.records[tail].next = first
        tail = last
        count += chosen
    return int(head)


@inlined
def _handed_over(p: Polls, source: int, first: int, t: float, attempts: int) -> int:
    """The first of the records that are not too old, of the list that begins with `first`: they are a batch; -1 without any."""
    i, head, tail, size, repeats = first, -1, Index(0), 0, 0
    while i >= 0:
        record, after = Index(i), p.records[Index(i)].next
        fate = _fate_if_old(p, source, record, t)
        if fate >= 0:
            _lost(p, source, record, fate)
        else:
            p.records[record].receives += 1
            repeats += p.records[record].receives > 1
            if head < 0:
                head = i
            else:
                p.records[tail].next = i
            tail = record
            size += 1
        i = after
    if head >= 0:
        p.records[tail].next = -1
        lead = Index(head)
        p.records[lead].size, p.records[lead].repeats, p.records[lead].attempts = size, repeats, attempts
        p.records[lead].taken = t
    return int(head)


@inlined
def _next_batch(p: Polls, source: int, t: float) -> int:
    """`QueuePoller.take`: the first message of the batch, -1 where there is none."""
    p.sources[source].changed = NEVER
    places = _places(p, source, micros(t))
    while p.sources[source].waiting > 0 and p.sources[source].in_flight < places and not _gathering(p, source, t):
        p.sources[source].deadline = NEVER
        lead = _handed_over(p, source, _next_messages(p, source), t, 0)
        if lead >= 0:
            p.sources[source].in_flight += 1
            p.sources[source].rising = 0
            return int(lead)
    full = p.sources[source].in_flight >= places
    p.sources[source].rising = p.sources[source].waiting > 0 and full
    if p.sources[source].waiting == 0 or full:
        p.sources[source].deadline = NEVER
    return -1


@inlined
def _fails(p: Polls, i: Index, whole: bool) -> bool:
    """Whether a record failed, alone or with the whole batch."""
    return bool(whole or p.records[i].outcome == ERROR)


@inlined
def _handled(p: Polls, i: Index) -> None:
    """A record is over that did not fail."""
    _is_over(p, i, WRONG if p.records[i].outcome == FAILED_RESPONSE else GOOD)


@inlined
def _messages_done(p: Polls, source: int, lead: Index, t: float, whole: bool) -> None:
    """`QueuePoller.done`."""
    p.sources[source].in_flight -= 1
    p.sources[source].done += 1
    due = max(micros(t), micros(p.records[lead].taken + p.sources[source].visibility))
    after = np.int64(lead)
    while after >= 0:
        i = Index(after)
        after, place = p.records[i].next, Index(p.records[i].place)
        if _fails(p, i, whole) or p.places[place].held == p.sources[source].done:
            if p.sources[source].groups > 0:
                p.places[place].held = p.sources[source].done
            _push(p, source, due, p.sources[source].order, np.int64(i))
            p.sources[source].order += 1
        else:
            _finished(p, source, place)
            _handled(p, i)
    if p.sources[source].waiting > 0:
        p.sources[source].changed = micros(t)


# The poller of a stream


@inlined
def _plan_lane(p: Polls, source: int, place: Index, due: int) -> None:
    """A lane goes on at `due` (us)."""
    p.places[place].due = due
    _push(p, source, due, np.int64(place), np.int64(place))


@inlined
def _entry(p: Polls, source: int, t: float, i: Index) -> None:
    """`StreamPoller.arrive`."""
    place = Index(p.records[i].place)
    _append(p, place, i)
    p.sources[source].waiting += 1
    if p.places[place].out > 0 or p.places[place].again >= 0:
        return
    polled, window = _next_look(t), p.sources[source].window
    due = np.int64(-1)
    if p.places[place].due == NEVER:
        due = micros(polled + window)
    if window > 0.0 and p.places[place].waiting >= p.sources[source].size:
        before = p.places[place].due if due < 0 else due
        if micros(polled) < before:
            due = micros(polled)
    if due >= 0:
        _plan_lane(p, source, place, due)


@inlined
def _next_of_lane(p: Polls, source: int, t: float) -> int:
    """`StreamPoller.take`: the first entry of the next batch of a lane that is due, -1 where there is none."""
    now = micros(t)
    while p.sources[source].entries > 0 and p.heap[source, 0, 0] <= now:
        due = p.heap[source, 0, 0]
        place = Index(_pop(p, source))
        if p.places[place].out > 0 or p.places[place].due != due:
            continue
        p.places[place].due = NEVER
        while p.places[place].again >= 0 or p.places[place].waiting > 0:
            first, attempts = p.places[place].again, np.int64(0)
            if first >= 0:
                attempts = p.records[Index(first)].attempts
                p.places[place].again = p.records[Index(first)].again
            else:
                size = min(p.sources[source].size, p.places[place].waiting)
                p.sources[source].waiting -= size
                first, _ = _cut(p, place, size)
            lead = _handed_over(p, source, first, t, attempts)
            if lead >= 0:
                p.places[place].out = 1
                return int(lead)
    return -1


@inlined
def _try_again(p: Polls, place: Index, first: int, size: int, attempts: int) -> None:
    """A batch of a lane, the first entry of which is given, goes before all others."""
    lead = Index(first)
    p.records[lead].size, p.records[lead].attempts = size, attempts
    p.records[lead].again = p.places[place].again
    p.places[place].again = first


@inlined
def _entries_done(p: Polls, source: int, lead: Index, t: float, whole: bool, throttled: bool) -> None:
    """`StreamPoller.done`."""
    place = Index(p.records[lead].place)
    p.places[place].out = 0
    size, attempts, partial = p.records[lead].size, p.records[lead].attempts, p.sources[source].partial == 1
    again_at = max(micros(t), micros(p.records[lead].taken + ROUND_TRIP))
    if throttled:
        _try_again(p, place, np.int64(lead), size, attempts)
        _plan_lane(p, source, place, micros(t + THROTTLED_AGAIN))
        return
    first, good = np.int64(lead), 0
    while first >= 0 and not _fails(p, Index(first), whole):
        first, good = p.records[Index(first)].next, good + 1
    if first >= 0 and not partial:
        first, good = np.int64(lead), 0
    after = np.int64(lead)
    for _ in range(good):
        i = Index(after)
        after = p.records[i].next
        _handled(p, i)
    size -= good
    if first >= 0 and good == 0 and p.sources[source].bisect == 1 and size > 1:
        half = size // 2
        i = Index(first)
        for _ in range(half - 1):
            i = Index(p.records[i].next)
        second = p.records[i].next
        p.records[i].next = -1
        _try_again(p, place, second, size - half, attempts)
        _try_again(p, place, first, half, attempts)
    elif first >= 0:
        if good > 0:
            attempts = np.int64(0)
        if 0 <= p.sources[source].attempts <= attempts:
            while first >= 0:
                i = Index(first)
                first = p.records[i].next
                _is_over(p, i, p.sources[source].given_up)
        else:
            _try_again(p, place, first, size, attempts + 1)
    if p.places[place].again >= 0:
        _plan_lane(p, source, place, again_at)
    elif p.places[place].waiting > 0:
        full = p.places[place].waiting >= p.sources[source].size
        _plan_lane(p, source, place, micros(t) if full else micros(t + p.sources[source].window))


# Both


@inlined
def _done(p: Polls, source: int, lead: Index, t: float, whole: bool, throttled: bool) -> None:
    """The batch came back at `t`; it failed as a `whole`, or its records did as their outcomes say."""
    if p.sources[source].stream == 1:
        _entries_done(p, source, lead, t, whole, throttled)
    else:
        _messages_done(p, source, lead, t, whole)


@inlined
def _due(p: Polls, source: int) -> int:
    """`Poller.wake` (us)."""
    due = p.heap[source, 0, 0] if p.sources[source].entries > 0 else NEVER
    if p.sources[source].stream == 1:
        return int(due)
    due = min(due, p.sources[source].changed, p.sources[source].deadline)
    most = (p.sources[source].most - p.sources[source].first) * p.sources[source].interval
    if p.sources[source].rising == 1 and p.sources[source].credit < most:
        into = p.sources[source].credit % p.sources[source].interval
        due = min(due, p.sources[source].at + p.sources[source].interval - into)
    return int(due)


@inlined
def _plan(p: Polls, source: int) -> None:
    """`SimpyPlane._plan`."""
    p.sources[source].wake = min(p.sources[source].wake, _due(p, source))
    p.n[WAKE] = NEVER
    for k in range(p.sources.shape[0]):
        if p.sources[Index(k)].polled == 1 and p.sources[Index(k)].wake < p.n[WAKE]:
            p.n[WAKE], p.n[WAKER] = p.sources[Index(k)].wake, k


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
        _entry(p, source, t, i)
    else:
        _add(p, source, i)
        if p.sources[source].rising == 0:
            p.sources[source].changed = micros(t)
    if _due(p, source) <= micros(t):
        p.n[POLLING] = source
    else:
        _plan(p, source)


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
                p.sources[source].lead = _next_of_lane(p, source, t)
            else:
                _settle(p, source, t)
                p.sources[source].lead = _next_batch(p, source, t)
            if p.sources[source].lead < 0:
                break
        code = _hand_over(s, p, source, t)
        if code != DONE:
            return int(code)
        p.sources[source].lead = -1
        if p.sources[source].stream == 0 and p.sources[source].waiting == 0:
            break  # the poller would say so, and change nothing
    p.n[POLLING] = -1
    _plan(p, source)
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
    code, slot, v = needs(s, source, loaded, block, j, attempt, t)
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
    if refused(s, slot, j, t) or not take(s, v, t, r):
        s.throttles[count_index] += 1
        if s.log.shape[0] > 0:
            s.requests[r].outcome, s.requests[r].env, s.requests[r].cold = THROTTLED, -1, 0
            s.requests[r].init, s.requests[r].duration = 0.0, 0.0
            log(s, r, t)
        s.n[FREE] += 1
        _done(p, source, lead, t, True, True)
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
    _done(p, source, Index(s.requests[r].lead), t, s.requests[r].outcome != OK, False)
    s.requests[r].test = 0
    s.free[Index(s.n[FREE])] = r
    s.n[FREE] += 1
    _plan(p, source)


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
        _settle(p, source, t)
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
                p.gauges[1, queue, period] = p.oldest[source, look]
                p.gauges[2, queue, period] = p.fates[source, DEAD_LETTER]


@inlined
def _expire(p: Polls, source: Index, first: int, t: float) -> None:
    """Loses the records of the list that begins with `first` that are too old at `t`."""
    after = first
    while after >= 0:
        i = Index(after)
        after = p.records[i].next
        fate = _fate_if_old(p, source, i, t)
        if fate >= 0:
            _is_over(p, i, fate)


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
        _settle(p, source, t)
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
