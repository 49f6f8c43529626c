"""The compiled plane's queue of events: what SimPy's heap does, as a calendar of buckets (Brown, 1988).

An event belongs to one request, which waits for one at a time. A bucket holds the events of one slice of time, and
of the slices a whole turn of the calendar later, sorted; slices are about as long as the time between two events.
"""

from __future__ import annotations

from rollout_sim.planes.arrays import (
    CURSOR,
    EVENTS,
    PER_SECOND,
    R_CLASS,
    R_NEXT,
    R_SEQUENCE,
    SEQUENCE,
    T_DUE,
    State,
)
from rollout_sim.planes.compiler import inlined


@inlined
def push_event(s: State, t: float, kind: int, r: int) -> None:
    """Places the event of request `r` at `t` (s), not before now: after all those of its time and class."""
    s.requests[r, R_CLASS], s.requests[r, R_SEQUENCE], s.times[r, T_DUE] = kind, s.n[SEQUENCE], t
    s.n[SEQUENCE] += 1
    s.n[EVENTS] += 1
    bucket = int(t * s.x[PER_SECOND]) & (s.buckets.size - 1)
    before, after = -1, s.buckets[bucket]
    while after >= 0 and (
        s.times[after, T_DUE] < t or (s.times[after, T_DUE] == t and s.requests[after, R_CLASS] <= kind)
    ):
        before, after = after, s.requests[after, R_NEXT]
    s.requests[r, R_NEXT] = after
    if before < 0:
        s.buckets[bucket] = r
    else:
        s.requests[before, R_NEXT] = r


@inlined
def first_event(s: State, limit: float) -> int:
    """The request whose event is first; -1 where none is left in the slice of time of `limit` (s), or before."""
    if s.n[EVENTS] == 0:
        return -1
    per_second, mask = s.x[PER_SECOND], s.buckets.size - 1
    cursor, last = s.n[CURSOR], int(limit * per_second)
    while cursor <= last:
        r = s.buckets[cursor & mask]
        if r >= 0 and int(s.times[r, T_DUE] * per_second) == cursor:
            s.n[CURSOR] = cursor
            return int(r)
        cursor += 1
    s.n[CURSOR] = last  # not behind it: what is placed next may fall into this very slice
    return -1


@inlined
def pop_event(s: State, r: int) -> None:
    """Takes out the first event, which is that of request `r`."""
    s.buckets[int(s.times[r, T_DUE] * s.x[PER_SECOND]) & (s.buckets.size - 1)] = s.requests[r, R_NEXT]
    s.n[EVENTS] -= 1
