"""The pollers' laws, by hand: how many batches run at once, who is in them, and what becomes of records that fail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rollout_sim.core.units import tick
from rollout_sim.traffic.pollers import (
    DEAD_LETTER,
    DISCARDED,
    EXPIRED,
    BatchOfRecords,
    Poller,
    QueuePoller,
    Record,
    Scaling,
    StreamPoller,
)
from rollout_sim.traffic.polling import DAY, Mapping, ProvisionedPollers

QUEUE = Mapping(stream=False, size=10, window=0.0, partial_failures=False, retention=4 * DAY, visibility_timeout=60.0)
STREAM = Mapping(stream=True, size=3, window=0.0, partial_failures=False, retention=DAY)
ODD = 1.096
"""A time (s) to which 60 s are added inexactly: the sum lies above the microsecond that it stands for."""


def arrive(poller: Poller, number: int, t: float = 0.0, *, first: int = 0, place: int = 0) -> list[Record]:
    """So many records that come at `t`."""
    records = [Record(number=first + k, arrived=t, place=place) for k in range(number)]
    for record in records:
        poller.arrive(t, record)
    return records


def take_all(poller: Poller, t: float) -> list[BatchOfRecords]:
    """All batches that go at `t`."""
    batches = []
    while (batch := poller.take(t)) is not None:
        batches.append(batch)
    return batches


def numbers(batch: BatchOfRecords | None) -> list[int]:
    """Which records are in a batch."""
    return [] if batch is None else [record.number for record in batch.records]


def fates(poller: Poller) -> list[tuple[int, int]]:
    """Which records were lost, and how, since this was last asked."""
    lost, poller.fates = [(record.number, fate) for record, fate in poller.fates], []
    return lost


class TestScaling:
    """How many batches of a queue run at once."""

    def test_starts_with_five_and_adds_300_a_minute_up_to_1250(self) -> None:
        scaling = Scaling.of(QUEUE)
        assert scaling.advance(0.0) == 5
        scaling.rising = True
        assert [scaling.advance(t) for t in (0.199, 0.2, 1.0, 60.0, 248.8, 249.0, 10_000.0)] == [
            5,
            6,
            10,
            305,
            1249,
            1250,
            1250,
        ]
        assert scaling.next_rise() == math.inf

    def test_says_when_there_is_one_more(self) -> None:
        scaling = Scaling.of(QUEUE)
        scaling.advance(1.5)
        scaling.rising = True
        scaling.advance(1.6)
        assert scaling.next_rise() == 1.7

    def test_falls_as_fast_when_nothing_waits_and_not_below_five(self) -> None:
        scaling = Scaling.of(QUEUE)
        scaling.rising = True
        scaling.advance(60.0)
        scaling.rising = False
        assert [scaling.advance(t) for t in (60.0, 90.0, 500.0)] == [305, 155, 5]

    def test_maximum_concurrency_caps_it(self) -> None:
        scaling = Scaling.of(replace(QUEUE, concurrency=2))
        scaling.rising = True
        assert scaling.advance(0.0) == scaling.advance(600.0) == 2

    def test_provisioned_pollers_hold_ten_batches_each_and_add_1000_a_minute(self) -> None:
        scaling = Scaling.of(replace(QUEUE, provisioned=ProvisionedPollers(minimum=2, maximum=2000)))
        scaling.rising = True
        assert [scaling.advance(t) for t in (0.0, 60.0, 6000.0)] == [20, 1020, 20_000]


class TestQueues:
    """SQS."""

    def test_five_batches_go_and_one_more_each_fifth_of_a_second(self) -> None:
        poller = QueuePoller(QUEUE)
        arrive(poller, 100)
        assert [len(batch.records) for batch in take_all(poller, 0.0)] == [10] * 5
        assert poller.wake() == 0.2
        assert take_all(poller, 0.1) == []
        assert len(take_all(poller, 0.2)) == 1

    def test_a_place_that_is_free_is_taken_at_once(self) -> None:
        poller = QueuePoller(QUEUE)
        arrive(poller, 100)
        first = take_all(poller, 0.0)[0]
        poller.done(0.05, first, [False] * 10)
        assert numbers(poller.take(0.05)) == list(range(50, 60))

    def test_a_window_gathers_until_it_ends_or_the_batch_is_full(self) -> None:
        poller = QueuePoller(replace(QUEUE, window=2.0))
        arrive(poller, 4, 1.0)
        assert poller.take(1.0) is None
        assert poller.wake() == 3.0
        arrive(poller, 5, 2.0, first=4)
        assert poller.take(2.0) is None
        assert len(numbers(poller.take(3.0))) == 9
        arrive(poller, 9, 4.0)
        assert poller.take(4.0) is None
        arrive(poller, 1, 4.5)
        assert len(numbers(poller.take(4.5))) == 10

    def test_a_failed_batch_comes_back_as_a_whole_and_goes_to_the_dead_letter_queue_after_its_last_receive(
        self,
    ) -> None:
        poller = QueuePoller(replace(QUEUE, max_receives=2))
        arrive(poller, 2)
        for t in (0.0, 60.0):
            batch = poller.take(t)
            assert batch is not None
            poller.done(t + 1.0, batch, [True, True])
            assert poller.take(t + 59.9) is None
            assert poller.wake() == t + 60.0
        assert poller.take(120.0) is None
        assert fates(poller) == [(0, DEAD_LETTER), (1, DEAD_LETTER)]
        assert poller.wake() == math.inf

    def test_of_partial_failures_only_the_failed_come_back(self) -> None:
        poller = QueuePoller(replace(QUEUE, partial_failures=True))
        records = arrive(poller, 3)
        batch = poller.take(0.0)
        assert batch is not None
        poller.done(1.0, batch, [False, True, False])
        assert [record.over for record in records] == [True, False, True]
        assert numbers(poller.take(60.0)) == [1]

    def test_throttles_use_up_receives(self) -> None:
        poller = QueuePoller(replace(QUEUE, max_receives=1))
        arrive(poller, 1)
        batch = poller.take(0.0)
        assert batch is not None
        poller.done(0.0, batch, None)
        assert poller.take(60.0) is None
        assert fates(poller) == [(0, DEAD_LETTER)]

    def test_without_a_dead_letter_queue_a_message_returns_until_its_retention_ends(self) -> None:
        poller = QueuePoller(replace(QUEUE, retention=150.0))
        arrive(poller, 1)
        for t in (0.0, 60.0, 120.0):
            batch = poller.take(t)
            assert batch is not None
            poller.done(t, batch, [True])
        assert poller.take(180.0) is None
        assert fates(poller) == [(0, EXPIRED)]

    def test_a_message_that_comes_back_as_its_retention_ends_is_lost(self) -> None:
        poller = QueuePoller(replace(QUEUE, retention=60.0))
        arrive(poller, 1, ODD)
        batch = poller.take(ODD)
        assert batch is not None
        poller.done(ODD, batch, None)
        assert poller.take(tick(ODD + 60.0)) is None
        assert fates(poller) == [(0, EXPIRED)]

    @pytest.mark.parametrize("looked_at", [False, True])
    def test_a_message_that_comes_back_goes_before_one_that_arrives_at_that_moment(self, looked_at: bool) -> None:
        """Also where the backlog is looked at then: a look changes nothing."""
        poller = QueuePoller(replace(QUEUE, size=1))
        arrive(poller, 1)
        batch = poller.take(0.0)
        assert batch is not None
        poller.done(0.1, batch, [True])
        if looked_at:
            poller.settle(60.0)
        arrive(poller, 1, 60.0, first=1)
        assert poller.wake() == 60.0
        assert [numbers(batch) for batch in take_all(poller, 60.0)] == [[0], [1]]

    def test_a_window_that_ends_while_no_place_is_free_asks_for_no_wake_in_the_past(self) -> None:
        poller = QueuePoller(replace(QUEUE, window=1.0, concurrency=2))
        arrive(poller, 20)
        assert len(take_all(poller, 0.0)) == 2
        arrive(poller, 1, 0.5, first=20)
        assert poller.take(0.5) is None
        assert poller.wake() == math.inf


class TestFifo:
    """FIFO queues."""

    FIFO = replace(QUEUE, groups=2)

    def test_a_group_in_flight_holds_its_later_messages_back(self) -> None:
        poller = QueuePoller(self.FIFO)
        arrive(poller, 1, place=0)
        first = poller.take(0.0)
        arrive(poller, 1, first=1, place=0)
        arrive(poller, 1, first=2, place=1)
        assert [numbers(batch) for batch in take_all(poller, 0.0)] == [[2]]
        assert first is not None
        poller.done(0.1, first, [False])
        assert numbers(poller.take(0.1)) == [1]

    def test_a_failing_message_blocks_its_group_until_it_comes_back_in_order(self) -> None:
        poller = QueuePoller(self.FIFO)
        arrive(poller, 2)
        batch = poller.take(0.0)
        assert batch is not None
        poller.done(0.1, batch, [True, True])
        arrive(poller, 1, 1.0, first=2)
        assert poller.take(1.0) is None
        assert poller.visible() == 0
        assert numbers(poller.take(60.0)) == [0, 1, 2]

    def test_with_partial_failures_what_follows_a_failure_in_its_group_goes_back_too(self) -> None:
        poller = QueuePoller(replace(self.FIFO, partial_failures=True))
        poller.arrive(0.0, Record(number=0, arrived=0.0, place=0))
        poller.arrive(0.0, Record(number=1, arrived=0.0, place=0))
        poller.arrive(0.0, Record(number=2, arrived=0.0, place=1))
        batch = poller.take(0.0)
        assert numbers(batch) == [0, 1, 2]
        assert batch is not None
        poller.done(0.1, batch, [True, False, False])
        assert numbers(poller.take(60.0)) == [0, 1]

    def test_a_dead_letter_frees_its_group(self) -> None:
        poller = QueuePoller(replace(self.FIFO, size=1, max_receives=1))
        arrive(poller, 2)
        batch = poller.take(0.0)
        assert batch is not None
        poller.done(0.1, batch, [True])
        assert numbers(poller.take(60.0)) == [1]
        assert fates(poller) == [(0, DEAD_LETTER)]


class TestStreams:
    """Kinesis and DynamoDB streams."""

    def fail(self, poller: StreamPoller, t: float, failed: Sequence[int], took: float = 0.1) -> list[int]:
        """The batch that goes at `t`, of which the records with these numbers fail `took` seconds later."""
        batch = poller.take(t)
        assert batch is not None
        poller.done(tick(t + took), batch, [record.number in failed for record in batch.records])
        return numbers(batch)

    def test_a_shard_at_rest_is_polled_on_the_second_and_goes_on_until_it_caught_up(self) -> None:
        poller = StreamPoller(STREAM)
        arrive(poller, 5, 0.3)
        assert poller.take(0.3) is None
        assert poller.wake() == 1.0
        assert self.fail(poller, 1.0, []) == [0, 1, 2]
        assert self.fail(poller, 1.1, []) == [3, 4]
        assert poller.wake() == math.inf

    def test_one_batch_of_a_lane_at_once(self) -> None:
        poller = StreamPoller(replace(STREAM, shards=2))
        arrive(poller, 6, place=0)
        arrive(poller, 1, first=6, place=1)
        assert sorted(numbers(batch)[0] for batch in take_all(poller, 1.0)) == [0, 6]

    def test_a_failing_batch_is_tried_again_at_once_before_what_came_later(self) -> None:
        poller = StreamPoller(STREAM)
        arrive(poller, 4)
        assert self.fail(poller, 1.0, [1]) == [0, 1, 2]
        assert self.fail(poller, 1.1, []) == [0, 1, 2]
        assert self.fail(poller, 1.2, []) == [3]

    def test_retries_are_used_up(self) -> None:
        poller = StreamPoller(replace(STREAM, attempts=2))
        arrive(poller, 3)
        for t in (1.0, 1.1, 1.2):
            assert self.fail(poller, t, [1]) == [0, 1, 2]
        assert fates(poller) == [(0, DISCARDED), (1, DISCARDED), (2, DISCARDED)]
        assert poller.take(1.3) is None

    def test_bisection_finds_the_bad_record_and_uses_up_no_retry(self) -> None:
        poller = StreamPoller(replace(STREAM, size=4, attempts=0, bisect=True, destination=True))
        arrive(poller, 4)
        went = [self.fail(poller, t, [2]) for t in (1.0, 1.1, 1.2, 1.3, 1.4)]
        assert went == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]]
        assert fates(poller) == [(2, DEAD_LETTER)]

    def test_partial_failures_go_on_from_the_lowest_failed_record(self) -> None:
        poller = StreamPoller(replace(STREAM, partial_failures=True))
        records = arrive(poller, 3)
        assert self.fail(poller, 1.0, [1]) == [0, 1, 2]
        assert [record.over for record in records] == [True, False, False]
        assert self.fail(poller, 1.1, [1]) == [1, 2]

    def test_a_blocked_shard_loses_what_is_too_old(self) -> None:
        poller = StreamPoller(replace(STREAM, max_age=60.0))
        arrive(poller, 1)
        arrive(poller, 1, 59.5, first=1)
        t = 1.0
        while t < 60.0:
            assert self.fail(poller, t, [0], took=1.0) in ([0], [0, 1])
            t += 1.0
        batch = poller.take(60.0)
        assert numbers(batch) == [1]
        assert fates(poller) == [(0, DISCARDED)]

    def test_the_retention_ends_without_a_limit_on_the_age(self) -> None:
        poller = StreamPoller(STREAM)
        arrive(poller, 1)
        self.fail(poller, 1.0, [0], took=DAY)
        assert poller.take(DAY + 1.0) is None
        assert fates(poller) == [(0, EXPIRED)]

    def test_a_record_that_is_looked_at_as_it_reaches_its_age_is_lost(self) -> None:
        poller = StreamPoller(replace(STREAM, max_age=60.0))
        arrive(poller, 1, ODD)
        self.fail(poller, 2.0, [0], took=tick(ODD + 58.0))
        assert poller.take(tick(ODD + 60.0)) is None
        assert fates(poller) == [(0, DISCARDED)]

    def test_a_throttle_is_tried_again_after_a_second_and_uses_up_no_retry(self) -> None:
        poller = StreamPoller(replace(STREAM, attempts=0))
        arrive(poller, 1)
        batch = poller.take(1.0)
        assert batch is not None
        poller.done(1.0, batch, None)
        assert poller.wake() == 2.0
        assert self.fail(poller, 2.0, []) == [0]

    def test_a_window_gathers_from_the_first_poll_on(self) -> None:
        poller = StreamPoller(replace(STREAM, window=5.0))
        arrive(poller, 1, 0.5)
        assert poller.wake() == 6.0
        arrive(poller, 2, 1.5, first=1)  # full now
        assert poller.wake() == 2.0
        assert numbers(poller.take(2.0)) == [0, 1, 2]


def test_the_end_loses_what_is_too_old_and_was_not_looked_at() -> None:
    queue = QueuePoller(replace(QUEUE, retention=60.0, concurrency=2))
    arrive(queue, 30)
    take_all(queue, 0.0)
    arrive(queue, 1, 5.0, first=30)
    queue.close(61.0)
    assert fates(queue) == [(number, EXPIRED) for number in range(20, 30)]
    fifo = QueuePoller(replace(QUEUE, retention=60.0, groups=2))
    arrive(fifo, 11)
    take_all(fifo, 0.0)
    fifo.close(61.0)
    assert fates(fifo) == [(10, EXPIRED)]
    stream = StreamPoller(replace(STREAM, max_age=60.0))
    arrive(stream, 4)
    take_all(stream, 1.0)
    arrive(stream, 1, 5.0, first=4)
    stream.close(61.0)
    assert fates(stream) == [(3, DISCARDED)]
    halves = StreamPoller(replace(STREAM, max_age=60.0, bisect=True))
    arrive(halves, 2)
    (batch,) = take_all(halves, 1.0)
    halves.done(59.0, batch, [True, True])
    assert numbers(halves.take(59.0)) == [0]
    halves.close(61.0)
    assert fates(halves) == [(1, DISCARDED)]  # it waited for the other half


@pytest.mark.parametrize("mapping", [QUEUE, replace(QUEUE, groups=3), replace(STREAM, shards=2)])
def test_a_poller_at_rest_asks_for_nothing(mapping: Mapping) -> None:
    poller: Poller = StreamPoller(mapping) if mapping.stream else QueuePoller(mapping)
    assert poller.take(5.0) is None
    assert poller.wake() == math.inf
    assert poller.visible() == 0
