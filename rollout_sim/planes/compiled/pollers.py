"""The compiled plane's pollers: what `traffic.pollers` does, over arrays, in the same order and with the same arithmetic.

A list of records is linked through `next`. A record that has met its fate is entered in one more list (`polls.OVER`): what
follows is the same whatever ends it.
"""

from __future__ import annotations

import numpy as np

from rollout_sim.function.faults import ERROR, FAILED_RESPONSE
from rollout_sim.planes.compiled.environments import micros
from rollout_sim.planes.compiled.jit import inlined, with_names
from rollout_sim.planes.compiled.polls import OVER, WAKE, WAKER, Polls
from rollout_sim.planes.compiled.requests import tick
from rollout_sim.planes.compiled.state import NEVER, Index
from rollout_sim.traffic import pollers
from rollout_sim.traffic.pollers import DEAD_LETTER, EXPIRED, GOOD, ROUND_TRIP, THROTTLED_AGAIN, WRONG

_credit = with_names(pollers.credit)
_next_look = with_names(pollers.next_look, tick=tick)


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
def is_over(p: Polls, i: Index, fate: int) -> None:
    """A record that is in no list any more has met its fate."""
    p.records[i].fate, p.records[i].next = fate, p.n[OVER]
    p.n[OVER] = i


@inlined
def _lost(p: Polls, source: int, i: Index, fate: int) -> None:
    """A record that was out is lost."""
    _finished(p, source, p.records[i].place)
    is_over(p, i, fate)


@inlined
def fate_if_old(p: Polls, source: int, i: Index, t: float) -> int:
    """The fate of a record that is too old at `t`, -1 where it is not."""
    arrived = p.records[i].arrived
    if t >= tick(arrived + p.sources[source].retention):
        return EXPIRED
    if t >= tick(arrived + p.sources[source].limit):
        return int(p.sources[source].given_up)
    return -1


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
def add(p: Polls, source: int, i: Index) -> None:
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
        add(p, source, i)
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
def settle(p: Polls, source: int, t: float) -> None:
    """`QueuePoller.settle`; of a stream nothing."""
    now = micros(t)
    while p.sources[source].stream == 0 and p.sources[source].entries > 0 and p.heap[source, 0, 0] <= now:
        i = Index(_pop(p, source))
        p.sources[source].changed = now
        fate = fate_if_old(p, source, i, t)
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
        fate = fate_if_old(p, source, record, t)
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
def next_batch(p: Polls, source: int, t: float) -> int:
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
    is_over(p, i, WRONG if p.records[i].outcome == FAILED_RESPONSE else GOOD)


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
def enter(p: Polls, source: int, t: float, i: Index) -> None:
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
def next_of_lane(p: Polls, source: int, t: float) -> int:
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
                is_over(p, i, p.sources[source].given_up)
        else:
            _try_again(p, place, first, size, attempts + 1)
    if p.places[place].again >= 0:
        _plan_lane(p, source, place, again_at)
    elif p.places[place].waiting > 0:
        full = p.places[place].waiting >= p.sources[source].size
        _plan_lane(p, source, place, micros(t) if full else micros(t + p.sources[source].window))


# Both


@inlined
def done(p: Polls, source: int, lead: Index, t: float, whole: bool, throttled: bool) -> None:
    """The batch came back at `t`; it failed as a `whole`, or its records did as their outcomes say."""
    if p.sources[source].stream == 1:
        _entries_done(p, source, lead, t, whole, throttled)
    else:
        _messages_done(p, source, lead, t, whole)


@inlined
def due_at(p: Polls, source: int) -> int:
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
def plan(p: Polls, source: int) -> None:
    """`SimpyPlane._plan`."""
    p.sources[source].wake = min(p.sources[source].wake, due_at(p, source))
    p.n[WAKE] = NEVER
    for k in range(p.sources.shape[0]):
        if p.sources[Index(k)].polled == 1 and p.sources[Index(k)].wake < p.n[WAKE]:
            p.n[WAKE], p.n[WAKER] = p.sources[Index(k)].wake, k
