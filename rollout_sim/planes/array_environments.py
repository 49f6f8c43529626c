"""The compiled plane's events and environments: what SimPy's queue and `environments` do, over arrays.

In the same order and with the same arithmetic, heapq's included, so that sums of times agree to the last bit.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rollout_sim.faults import ERROR
from rollout_sim.planes.arrays import (
    BUSY,
    EVENTS,
    KEEP_ALIVE,
    LAST,
    LIMIT,
    MADE,
    MOST,
    R_BEGAN,
    R_CLASS,
    R_COLD,
    R_CREATED,
    R_IDENTITY,
    R_OUTCOME,
    R_PRIORITY,
    R_SEQUENCE,
    R_VERSION,
    REFILL,
    RUNNING,
    SCALE_UP,
    SEQUENCE,
    TOKENS,
    V_BUSY,
    V_CREATED_BUSY,
    V_IDLE,
    V_LIVED,
    V_RETURNS,
    V_STARTED_BUSY,
    V_SWEEP_AT,
    V_WORKED,
    State,
)
from rollout_sim.planes.compiler import inlined
from rollout_sim.planes.environments import SWEEP

PROVISIONED: Final = -(1 << 62)


@inlined
def _before(s: State, t: float, r: int, place: int) -> bool:
    """Whether the event of request `r` at `t` comes before the one at `place`: by time, then class, then age."""
    if t != s.event_time[place]:
        return bool(t < s.event_time[place])
    other = s.event_request[place]
    if s.requests[r, R_CLASS] != s.requests[other, R_CLASS]:
        return bool(s.requests[r, R_CLASS] < s.requests[other, R_CLASS])
    return bool(s.requests[r, R_SEQUENCE] < s.requests[other, R_SEQUENCE])


@inlined
def push_event(s: State, t: float, kind: int, r: int) -> None:
    """Places the event of request `r`, its only one; there is room."""
    s.requests[r, R_CLASS], s.requests[r, R_SEQUENCE] = kind, s.n[SEQUENCE]
    s.n[SEQUENCE] += 1
    place = s.n[EVENTS]
    s.n[EVENTS] += 1
    while place > 0:
        parent = (place - 1) >> 1
        if not _before(s, t, r, parent):
            break
        s.event_time[place], s.event_request[place] = s.event_time[parent], s.event_request[parent]
        place = parent
    s.event_time[place], s.event_request[place] = t, r


@inlined
def pop_event(s: State) -> None:
    """Takes the first event out."""
    last = s.n[EVENTS] - 1
    s.n[EVENTS] = last
    t, r = s.event_time[last], s.event_request[last]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= last:
            break
        if child + 1 < last and _before(s, s.event_time[child + 1], s.event_request[child + 1], child):
            child += 1
        if _before(s, t, r, child):
            break
        s.event_time[place], s.event_request[place] = s.event_time[child], s.event_request[child]
        place = child
    s.event_time[place], s.event_request[place] = t, r


@inlined
def _move_idle(s: State, v: int, to: int, source: int) -> None:
    s.idle_priority[v, to] = s.idle_priority[v, source]
    s.idle_created[v, to] = s.idle_created[v, source]
    s.idle_identity[v, to] = s.idle_identity[v, source]
    s.idle_since[v, to] = s.idle_since[v, source]


@inlined
def _rise(s: State, v: int, start: int, place: int) -> None:
    """Heapq's sift towards the root, of the environment at `place`."""
    priority, created = s.idle_priority[v, place], s.idle_created[v, place]
    identity, since = s.idle_identity[v, place], s.idle_since[v, place]
    while place > start:
        parent = (place - 1) >> 1
        if not priority < s.idle_priority[v, parent]:
            break
        _move_idle(s, v, place, parent)
        place = parent
    s.idle_priority[v, place], s.idle_created[v, place] = priority, created
    s.idle_identity[v, place], s.idle_since[v, place] = identity, since


@inlined
def _sink(s: State, v: int, place: int) -> None:
    """Heapq's sift to a leaf and back up, of the environment at `place`."""
    size, start = s.versions[v, V_IDLE], place
    priority, created = s.idle_priority[v, place], s.idle_created[v, place]
    identity, since = s.idle_identity[v, place], s.idle_since[v, place]
    child = 2 * place + 1
    while child < size:
        if child + 1 < size and not s.idle_priority[v, child] < s.idle_priority[v, child + 1]:
            child += 1
        _move_idle(s, v, place, child)
        place = child
        child = 2 * place + 1
    s.idle_priority[v, place], s.idle_created[v, place] = priority, created
    s.idle_identity[v, place], s.idle_since[v, place] = identity, since
    _rise(s, v, start, place)


@inlined
def push_idle(s: State, v: int, priority: int, created: float, identity: int, since: float) -> None:
    """An environment of version `v` is idle; there is room."""
    place = s.versions[v, V_IDLE]
    s.versions[v, V_IDLE] += 1
    s.idle_priority[v, place], s.idle_created[v, place] = priority, created
    s.idle_identity[v, place], s.idle_since[v, place] = identity, since
    _rise(s, v, 0, place)


@inlined
def _pop_idle(s: State, v: int) -> None:
    """Takes the first idle environment out, leaving it behind the last place."""
    last = s.versions[v, V_IDLE] - 1
    s.versions[v, V_IDLE] = last
    priority, created = s.idle_priority[v, 0], s.idle_created[v, 0]
    identity, since = s.idle_identity[v, 0], s.idle_since[v, 0]
    if last > 0:
        _move_idle(s, v, 0, last)
        _sink(s, v, 0)
    s.idle_priority[v, last], s.idle_created[v, last] = priority, created
    s.idle_identity[v, last], s.idle_since[v, last] = identity, since


@inlined
def add_provisioned(s: State, v: int, t: float) -> None:
    """One more environment of version `v` that is kept warm."""
    identity = s.n[MADE]
    s.n[MADE] += 1
    push_idle(s, v, PROVISIONED + identity, t, identity, np.inf)


@inlined
def _sweep(s: State, v: int, t: float) -> None:
    kept, keep_alive = 0, s.x[KEEP_ALIVE]
    for place in range(s.versions[v, V_IDLE]):
        if s.idle_since[v, place] + keep_alive >= t:
            _move_idle(s, v, kept, place)
            kept += 1
        else:
            s.version_times[v, V_LIVED] += s.idle_since[v, place] + keep_alive - s.idle_created[v, place]
    s.versions[v, V_IDLE] = kept
    for place in range(kept // 2 - 1, -1, -1):
        _sink(s, v, place)
    s.versions[v, V_SWEEP_AT] = max(SWEEP, 2 * kept)


@inlined
def _may_start(s: State, t: float) -> bool:
    tokens = s.x[TOKENS] + (t - s.x[LAST]) * s.x[REFILL]
    tokens = min(tokens, s.x[SCALE_UP])
    s.x[LAST] = t
    if tokens < 1.0:
        s.x[TOKENS] = tokens
        return False
    s.x[TOKENS] = tokens - 1.0
    return True


@inlined
def take(s: State, v: int, t: float, r: int) -> bool:
    """Gives request `r` an environment of version `v`; False: throttled."""
    provisioned = s.versions[v, V_IDLE] > 0 and s.idle_priority[v, 0] < PROVISIONED // 2
    if s.n[BUSY] >= s.n[LIMIT] and not provisioned:
        return False
    found = False
    while s.versions[v, V_IDLE] > 0:
        _pop_idle(s, v)
        place = s.versions[v, V_IDLE]
        if s.idle_since[v, place] + s.x[KEEP_ALIVE] >= t:
            found = True
            priority, created, identity = s.idle_priority[v, place], s.idle_created[v, place], s.idle_identity[v, place]
            break
        s.version_times[v, V_LIVED] += s.idle_since[v, place] + s.x[KEEP_ALIVE] - s.idle_created[v, place]
    if not found:
        if not _may_start(s, t):
            return False
        identity = s.n[MADE]
        s.n[MADE] += 1
        priority, created = -identity, t
    if priority >= PROVISIONED // 2:
        s.n[BUSY] += 1
    s.n[RUNNING] += 1
    s.versions[v, V_BUSY] += 1
    s.version_times[v, V_CREATED_BUSY] += created
    s.version_times[v, V_STARTED_BUSY] += t
    s.requests[r, R_PRIORITY], s.requests[r, R_IDENTITY], s.requests[r, R_COLD] = priority, identity, not found
    s.request_times[r, R_CREATED] = created
    return True


@inlined
def leave(s: State, r: int, t: float) -> None:
    """The environment of request `r`, which began at its `R_BEGAN`, is idle or destroyed from `t` on."""
    v, priority = s.requests[r, R_VERSION], s.requests[r, R_PRIORITY]
    created, began = s.request_times[r, R_CREATED], s.request_times[r, R_BEGAN]
    if priority >= PROVISIONED // 2:
        s.n[BUSY] -= 1
    s.n[RUNNING] -= 1
    s.versions[v, V_BUSY] -= 1
    s.version_times[v, V_CREATED_BUSY] -= created
    s.version_times[v, V_STARTED_BUSY] -= began
    s.version_times[v, V_WORKED] += t - began
    if s.requests[r, R_OUTCOME] > ERROR:
        s.version_times[v, V_LIVED] += t - created
        if priority < PROVISIONED // 2:
            add_provisioned(s, v, t)
        return
    since = t
    if priority < PROVISIONED // 2:
        since = np.inf
    elif s.n[MOST] == 1:
        s.versions[v, V_RETURNS] += 1
        priority = -s.versions[v, V_RETURNS]
    push_idle(s, v, priority, created, s.requests[r, R_IDENTITY], since)
    if s.versions[v, V_IDLE] > s.versions[v, V_SWEEP_AT]:
        _sweep(s, v, t)
