"""The compiled plane's queue of events: what SimPy's heap does, as a calendar queue.

R. Brown, "Calendar queues: a fast O(1) priority queue implementation for the simulation event set problem", Communications
of the ACM 31(10), 1988. Like a desk calendar, which has a page for each day and is used again the year after: time is cut
into slices, slice k belongs to bucket k modulo the number of buckets, and a bucket is a sorted list of the events of its
slices, linked through the requests (`next`). To enter an event is to insert it into a short list; to take the first one is
to look at the buckets in turn, from the slice of the last one on (`CURSOR`). Both take constant time on average as long as
few events share a bucket, where a heap takes the logarithm of their number.

An event belongs to one request, which waits for one at a time, so the queue needs no memory of its own. Times are whole
microseconds and a slice is a power of two of them, so that slice and bucket are shifts and masks. Slices are shorter than
the time between two arrivals (`slice_of`); most buckets are then empty, and one bit for each (`filled`) lets a search pass
64 of them at a time. Example: slices of 1,024 us and 8,192 buckets make a turn of 8.4 s; events at 5 ms and at 8.393608 s
are those of slices 4 and 8,196, share bucket 4, and the first search passes the second one, because its slice is later.

The first event is found ahead of time if it is near, and otherwise no sooner than something else would come after it:
while few invocations run at a time and many retries wait far off, looking further would pass all of those each time.
Equal times are kept in the order of an instant (`planes.base`): by kind, then in the order in which they were entered.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from rollout_sim.planes.compiled.jit import inlined, trailing_zeros
from rollout_sim.planes.compiled.state import CURSOR, FIRST, FIRST_DUE, SEQUENCE, SLICE, WORD, Index, State

RAREST: Final = 0.005
"""Requests per second with which a slice is as long as it gets (17 s)."""
_ONE: Final = np.uint64(1)
_LAST_BIT: Final = np.uint64(WORD - 1)


def slice_of(rate: float) -> int:
    """How many bits of a time are below its slice, with `rate` requests per second: a slice sees an eighth of one.

    It is never longer than with `RAREST`: without requests there are tests, and thousands of them in one list take long.
    """
    return max(0, math.floor(math.log2(125_000 / max(rate, RAREST))))


@inlined
def push_event(s: State, due: int, kind: int, r: int) -> None:
    """Places the event of request `r` at `due` (µs), not before now: after all those of its time and class."""
    bucket = Index((due >> s.n[SLICE]) & (s.buckets.size - 1))
    before, after = -1, s.buckets[bucket]
    while after >= 0 and (
        s.requests[Index(after)].due < due
        or (s.requests[Index(after)].due == due and s.requests[Index(after)].kind <= kind)
    ):
        before, after = after, s.requests[Index(after)].next
    if before < 0:
        s.buckets[bucket] = r
        s.filled[bucket // WORD] |= _ONE << np.uint64(bucket % WORD)
        if due <= s.n[FIRST_DUE]:
            s.n[FIRST], s.n[FIRST_DUE], s.n[CURSOR] = r, due, due >> s.n[SLICE]
    else:
        s.requests[Index(before)].next = r
    s.requests[r].kind, s.requests[r].sequence, s.requests[r].due = kind, s.n[SEQUENCE], due
    s.requests[r].next = after
    s.n[SEQUENCE] += 1


@inlined
def find_event(s: State, last: int) -> None:
    """Finds the first event, if it is in the slice of time `last` or before; else nothing is due before `FIRST_DUE`."""
    mask, bits, cursor = s.buckets.size - 1, s.n[SLICE], s.n[CURSOR]
    while cursor <= last:
        bucket = Index(cursor & mask)
        word, bit = bucket // WORD, np.uint64(bucket % WORD)
        following = s.filled[Index((word + 1) & (s.filled.size - 1))] << _ONE
        window = (s.filled[word] >> bit) | (following << (_LAST_BIT - bit))
        if window == 0:
            cursor += WORD
            continue
        cursor += trailing_zeros(window)
        r = s.buckets[Index(cursor & mask)]
        due = s.requests[Index(r)].due
        if due >> bits == cursor:
            s.n[FIRST], s.n[FIRST_DUE], s.n[CURSOR] = r, due, cursor
            return
        cursor += 1
    s.n[CURSOR], s.n[FIRST_DUE] = cursor, cursor << bits


@inlined
def pop_event(s: State) -> None:
    """Takes out the first event, which is known, and finds the next one if that is near."""
    bucket = Index(s.n[CURSOR] & (s.buckets.size - 1))
    after = s.requests[Index(s.n[FIRST])].next
    s.buckets[bucket] = after
    s.filled[bucket // WORD] ^= np.uint64(after < 0) << np.uint64(bucket % WORD)
    s.n[FIRST] = -1
    find_event(s, s.n[CURSOR] + WORD)
