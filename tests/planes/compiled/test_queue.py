"""The calendar queue against a heap: the same events in the same order, near and far, at equal times too."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from builders import steady

from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.core.streams import Streams

pytest.importorskip("numba", reason="the extra `compiled` is not installed")


from rollout_sim.planes.base import ARRIVAL, COMPLETION, RETRY
from rollout_sim.planes.compiled import queue
from rollout_sim.planes.compiled.jit import kept
from rollout_sim.planes.compiled.queue import RAREST, slice_of
from rollout_sim.planes.compiled.state import FIRST, FIRST_DUE, FREE, SLICE, State, laid_out

find_event, pop_event, push_event = kept(queue.find_event), kept(queue.pop_event), kept(queue.push_event)


def empty(bits: int) -> State:
    metrics = Metrics(replications=1, targets=(), resolution=60.0, horizon=60.0)
    requests = RequestCounts.empty(replications=1, targets=0, periods=1, objectives=1)
    state = laid_out(steady(), metrics, requests, Streams(seed=1), events=False)
    state.n[SLICE] = bits
    return state


def first(s: State, last: int) -> int:
    """The request whose event comes first, at `last` (us) or before; -1 where there is none."""
    if s.n[FIRST] < 0:
        find_event(s, last >> int(s.n[SLICE]))
    return int(s.n[FIRST])


@pytest.mark.parametrize(("rate", "share"), [(50.0, 1 / 8), (0.01, 1 / 8), (3000.0, 1 / 8)])
def test_a_slice_is_shorter_than_the_time_between_two_requests(rate: float, share: float) -> None:
    lasting = (1 << slice_of(rate)) / 1e6
    assert share / 2 < lasting * rate <= share


def test_without_requests_there_are_slices_as_with_few() -> None:
    assert slice_of(0.0) == slice_of(1e-12) == slice_of(RAREST)


@pytest.mark.parametrize(
    ("bits", "spread"),
    [(0, 50), (4, 100_000), (10, 5_000_000), (16, 40_000_000_000)],
    ids=["ties", "several turns", "less than a turn", "many turns"],
)
def test_events_come_out_as_from_a_heap(bits: int, spread: int) -> None:
    """Pushes and pops by turns; a new event is never before the last one that was taken."""
    rng = np.random.default_rng(bits * 7 + spread)
    s, heap, now = empty(bits), [], 0
    free = s.free[: int(s.n[FREE])].tolist()
    for step in range(3000):
        if heap and (rng.random() < 0.45 or not free):
            due, kind, _, r = heapq.heappop(heap)
            assert first(s, due) == r
            assert (s.requests[r]["due"], s.requests[r]["kind"], s.n[FIRST_DUE]) == (due, kind, due)
            pop_event(s)
            free.append(r)
            now = due
        else:
            r, kind = free.pop(), int(rng.choice([COMPLETION, ARRIVAL, RETRY]))
            due = now + int(rng.integers(0, spread) ** rng.choice([1, 0.5]))
            push_event(s, due, kind, r)
            heapq.heappush(heap, (due, kind, step, r))
    assert len(heap) > 50
    while heap:
        now, _, _, r = heapq.heappop(heap)
        assert first(s, now) == r
        pop_event(s)
    assert first(s, now + spread) < 0


def test_nothing_is_looked_for_beyond_the_last_slice() -> None:
    s = empty(10)
    push_event(s, 9_000_000, RETRY, 3)
    s.n[FIRST] = -1  # as after a pop that found nothing near
    s.n[FIRST_DUE] = 0
    find_event(s, 100)
    assert s.n[FIRST] < 0
    assert 100 << 10 < s.n[FIRST_DUE] <= 9_000_000
    assert first(s, 9_000_000) == 3
