"""Pollers: the laws by which Lambda hands the records of a queue or stream over in batches, and what becomes of records that fail.

A poller is told what happens (`arrive`, `done`) and asked what to do: `take` gives the next batch that goes at an instant,
`wake` says when to ask again. It knows no data plane and draws nothing. Times are in seconds at whole microseconds.

AWS does not document all of it. Assumed here: a mapping gathers one batch at a time; a message never is in two batches, also
where an invocation outlasts the visibility timeout; the number of concurrent batches of a queue falls as fast as it rises
when nothing waits; a shard at rest is polled once a second, on the second; throttled batches of a stream are tried again
after a second.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, Protocol

from rollout_sim.core.units import micros, seconds, tick
from rollout_sim.traffic.polling import Mapping

FIRST_BATCHES: Final = 5
"""Batches of a queue that run at once in the beginning."""
MORE_PER_MINUTE: Final = 300
"""How many more of them a minute there may be, as long as messages wait."""
MOST_BATCHES: Final = 1250
"""How many there are at most."""
BATCHES_PER_POLLER: Final = 10
"""Batches that one poller of the provisioned mode hands over at once."""
PROVISIONED_PER_MINUTE: Final = 1000
"""How many more batches a minute may run at once in provisioned mode."""
STREAM_POLL: Final = 1.0
"""Seconds from one look at a shard at rest to the next."""
THROTTLED_AGAIN: Final = 1.0
"""Seconds until a throttled batch of a stream is tried again."""
ROUND_TRIP: Final = 0.001
"""Seconds that a batch of a stream takes at least before it is tried again, so that failing takes time."""

GOOD, WRONG, DEAD_LETTER, EXPIRED, DISCARDED = range(5)
FATES: Final = ("good", "wrong", "dead_letter", "expired", "discarded")
"""What becomes of a record: handled; handled with a wrong result; put aside in a dead-letter queue or on-failure destination; too
old for its queue or stream; given up by the mapping. The last three are lost."""
LOST: Final = FATES[DEAD_LETTER:]
PASSED_OVER: Final = 3
"""Receives from which on the age of a standard queue's oldest message passes over it: SQS moves it to the back."""


@dataclass(slots=True, eq=False, kw_only=True)
class Record:
    """One message of a queue or entry of a stream: which one of its source, when it arrived (s), and its place.

    `place` is its message group, or its lane: its shard and the part of it that runs beside others.
    """

    number: int
    arrived: float
    place: int = 0
    receives: int = 0
    """How often it was handed over."""
    over: bool = False
    """Whether it has met its fate."""


@dataclass(slots=True, eq=False, kw_only=True)
class BatchOfRecords:
    """Records that go to one invocation together, `taken` at a time (s); `attempts` counts the failures of this very batch."""

    records: list[Record]
    taken: float = 0.0
    attempts: int = 0


class Poller(Protocol):
    """One event source mapping at work."""

    fates: list[tuple[Record, int]]
    """Records that were lost since this list was last emptied, each with its fate; those that were handled are not among them."""

    def arrive(self, t: float, record: Record) -> None:
        """A record comes at `t`; `take` is to be asked then only where `wake` says so."""
        ...

    def take(self, t: float) -> BatchOfRecords | None:
        """The next batch that is handed over at `t`; None where there is none any more. To be asked until then."""
        ...

    def done(self, t: float, batch: BatchOfRecords, failed: Sequence[bool] | None) -> None:
        """The batch came back at `t`: which of its records failed (all of them without partial failures), None for a throttle."""
        ...

    def wake(self) -> float:
        """When `take` is to be asked next if nothing happens before; infinite where never."""
        ...

    def settle(self, t: float) -> None:
        """Lets records that are due by `t` come back or be lost."""
        ...

    def visible(self) -> int:
        """Records that wait and that a poller could fetch."""
        ...

    def close(self, t: float) -> None:
        """Loses everything that is too old at `t`, the end, also what nobody has looked at since."""
        ...


def poller_of(mapping: Mapping) -> Poller:
    """The poller of a mapping, at rest at time 0."""
    return StreamPoller(mapping) if mapping.stream else QueuePoller(mapping)


class Scaling:
    """How many batches of a queue may run at once: `first`, one more every `interval` (us) while messages wait, up to `most`.

    When none wait the number falls as fast, not below `first`. Whole microseconds, so that no plane rounds another way.
    """

    __slots__ = ("_at", "_credit", "first", "interval", "most", "rising")

    def __init__(self, first: int, most: int, per_minute: int) -> None:
        self.first = first
        self.most = most
        self.interval = 60_000_000 // per_minute
        self.rising = False
        """Whether messages wait for a place since `advance` was last called."""
        self._credit = 0
        self._at = 0

    @classmethod
    def of(cls, mapping: Mapping) -> Scaling:
        """Lambda's own law, or that of the provisioned mode, under the mapping's maximum."""
        provisioned = mapping.provisioned
        if provisioned is not None:
            most = provisioned.maximum * BATCHES_PER_POLLER
            return cls(provisioned.minimum * BATCHES_PER_POLLER, most, PROVISIONED_PER_MINUTE)
        most = MOST_BATCHES if mapping.concurrency is None else min(mapping.concurrency, MOST_BATCHES)
        return cls(min(FIRST_BATCHES, most), most, MORE_PER_MINUTE)

    def advance(self, t: float) -> int:
        """Batches that may run at once at `t` (s)."""
        now = micros(t)
        self._credit = credit(self._credit, now - self._at, self.rising, (self.most - self.first) * self.interval)
        self._at = now
        return self.first + self._credit // self.interval

    def next_rise(self) -> float:
        """When there may be one more (s), after the last `advance`; infinite where that is not to come."""
        if not self.rising or self._credit >= (self.most - self.first) * self.interval:
            return math.inf
        return seconds(self._at + self.interval - self._credit % self.interval)


def credit(before: int, passed: int, rising: bool, most: int) -> int:
    """For how long (us) the number of batches has risen, less how long it has fallen, after so many more microseconds."""
    return min(max(before + passed if rising else before - passed, 0), most)


def longest_age(mapping: Mapping) -> float:
    """The age (s) from which records are lost, at the latest when they expire."""
    return min(mapping.retention, mapping.max_age or math.inf)


def given_up(mapping: Mapping) -> int:
    """The fate of records of a stream that the mapping gives up."""
    return DEAD_LETTER if mapping.destination else DISCARDED


def next_look(t: float) -> float:
    """When a shard at rest is polled after `t` (s)."""
    return tick((math.floor(t / STREAM_POLL) + 1) * STREAM_POLL)


class _Standard:
    """The messages of a standard queue that wait: they go in the order in which they became visible."""

    def __init__(self) -> None:
        self._waiting: deque[Record] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, record: Record) -> None:
        """A message becomes visible."""
        self._waiting.append(record)

    put_back = add

    def finished(self, record: Record) -> None:
        """The message is over; nobody waits for it."""

    def waiting(self) -> list[Record]:
        """All of them."""
        return list(self._waiting)

    def next(self, most: int) -> list[Record]:
        """The messages that go next, up to `most`; they are out from then on."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]


class _Group:
    """A message group: what waits in it, in order, and how many of its messages are out."""

    __slots__ = ("out", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Record] = deque()
        self.out = 0


class _Fifo:
    """The messages of a FIFO queue that wait: a group with messages out, in flight or invisible, holds its later ones back."""

    def __init__(self) -> None:
        self._groups: dict[int, _Group] = {}
        self._ready: dict[int, None] = {}  # groups with messages to fetch, in the order in which they became so
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, record: Record) -> None:
        """A message comes to the end of its group."""
        group = self._groups.setdefault(record.place, _Group())
        group.waiting.append(record)
        if not group.out:
            self._ready[record.place] = None
            self._count += 1

    def put_back(self, record: Record) -> None:
        """A message that was out is visible again, at its place in the group."""
        waiting = self._groups[record.place].waiting
        position = 0
        while position < len(waiting) and waiting[position].number < record.number:
            position += 1
        waiting.insert(position, record)
        self.finished(record)

    def finished(self, record: Record) -> None:
        """A message that was out is out no more."""
        group = self._groups[record.place]
        group.out -= 1
        if group.out:
            return
        if group.waiting:
            self._ready[record.place] = None
            self._count += len(group.waiting)
        else:
            del self._groups[record.place]

    def waiting(self) -> list[Record]:
        """All of them, those that are held back as well."""
        return [record for group in self._groups.values() for record in group.waiting]

    def next(self, most: int) -> list[Record]:
        """The messages that go next, up to `most`, in order; they are out from then on."""
        chosen: list[Record] = []
        while self._ready and len(chosen) < most:
            place = next(iter(self._ready))
            del self._ready[place]
            group = self._groups[place]
            self._count -= len(group.waiting)
            group.out = min(most - len(chosen), len(group.waiting))
            chosen += [group.waiting.popleft() for _ in range(group.out)]
        return chosen


class QueuePoller:
    """The poller of an SQS queue.

    A message that is handed over is invisible until its visibility timeout ends; if it is not deleted by then it comes back, or
    goes to the dead-letter queue once it was handed over `max_receives` times. Throttles count as receives, too.
    """

    def __init__(self, mapping: Mapping) -> None:
        self.fates: list[tuple[Record, int]] = []
        self.scaling = Scaling.of(mapping)
        self.in_flight = 0
        """Batches that run now."""
        self._mapping = mapping
        self._backlog: _Standard | _Fifo = _Fifo() if mapping.groups else _Standard()
        self._invisible: list[tuple[float, int, Record]] = []  # until when, in which order, which
        self._order = 0
        self._deadline = math.inf  # when the batch that is being gathered goes at the latest
        self._changed = math.inf  # since when there may be a batch that `take` was not asked for

    def arrive(self, t: float, record: Record) -> None:
        """A message comes, after those that come back just now; where others wait for a place already it waits with them."""
        self.settle(t)
        self._backlog.add(record)
        if not self.scaling.rising:
            self._changed = t

    def take(self, t: float) -> BatchOfRecords | None:
        """The next batch that goes, where there is a place for it and it is full or gathered long enough."""
        self.settle(t)
        self._changed = math.inf
        places = self.scaling.advance(t)
        while len(self._backlog) and self.in_flight < places:
            if self._gathering(t):
                break
            batch = self._filled(t)
            if batch is not None:
                self.scaling.rising = False
                return batch
        self.scaling.rising = bool(len(self._backlog)) and self.in_flight >= places
        if not len(self._backlog) or self.in_flight >= places:
            self._deadline = math.inf
        return None

    def _gathering(self, t: float) -> bool:
        """Whether the batch waits for more messages."""
        if not self._mapping.window or len(self._backlog) >= self._mapping.size:
            return False
        if self._deadline == math.inf:
            self._deadline = tick(t + self._mapping.window)
        return t < self._deadline

    def _filled(self, t: float) -> BatchOfRecords | None:
        """A batch of messages that are not too old, None where all were."""
        self._deadline = math.inf
        records = []
        for record in self._backlog.next(self._mapping.size):
            if self._too_old(record, t):
                self._lost(record, EXPIRED)
            else:
                record.receives += 1
                records.append(record)
        if not records:
            return None
        self.in_flight += 1
        return BatchOfRecords(records=records, taken=t)

    def done(self, t: float, batch: BatchOfRecords, failed: Sequence[bool] | None) -> None:
        """The messages that failed stay invisible until their timeout ends; the others are deleted."""
        self.in_flight -= 1
        due = max(t, tick(batch.taken + self._mapping.visibility_timeout))
        held: set[int] = set()
        for position, record in enumerate(batch.records):
            if failed is None or failed[position] or record.place in held:
                if self._mapping.groups:
                    held.add(record.place)  # what comes after it in its group goes back with it
                heappush(self._invisible, (due, self._order, record))
                self._order += 1
            else:
                record.over = True
                self._backlog.finished(record)
        if len(self._backlog):
            self._changed = t

    def settle(self, t: float) -> None:
        """Messages whose visibility timeout is over come back."""
        while self._invisible and self._invisible[0][0] <= t:
            record, self._changed = heappop(self._invisible)[2], t
            if self._mapping.max_receives is not None and record.receives >= self._mapping.max_receives:
                self._lost(record, DEAD_LETTER)
            elif self._too_old(record, t):
                self._lost(record, EXPIRED)
            else:
                self._backlog.put_back(record)

    def wake(self) -> float:
        """When a message comes back, a batch was gathered long enough, or there is one more place; at once after a change."""
        comes_back = self._invisible[0][0] if self._invisible else math.inf
        return min(self._changed, comes_back, self._deadline, self.scaling.next_rise())

    def visible(self) -> int:
        """Messages that could be fetched; those of a FIFO group that is held back could not."""
        return len(self._backlog)

    def close(self, t: float) -> None:
        """Loses the messages that wait and are too old; nothing goes on afterwards."""
        self.settle(t)
        for record in self._backlog.waiting():
            if self._too_old(record, t):
                record.over = True
                self.fates.append((record, EXPIRED))

    def _too_old(self, record: Record, t: float) -> bool:
        return t >= tick(record.arrived + self._mapping.retention)

    def _lost(self, record: Record, fate: int) -> None:
        record.over = True
        self._backlog.finished(record)
        self.fates.append((record, fate))


@dataclass(slots=True, eq=False)
class _Lane:
    """What runs one batch at a time, in order: a shard, or a part of one."""

    records: deque[Record] = field(default_factory=deque)
    again: list[BatchOfRecords] = field(default_factory=list)
    """Batches that failed, the next one last."""
    busy: bool = False
    due: float = math.inf
    """When it goes on (s)."""


class StreamPoller:
    """The poller of a Kinesis or DynamoDB stream: one batch in flight for each lane, in order.

    A batch that fails is tried again at once, and its lane waits, until it succeeds, its retries are used up or its records are
    too old. Throttles use up no retries.
    """

    def __init__(self, mapping: Mapping) -> None:
        self.fates: list[tuple[Record, int]] = []
        self._mapping = mapping
        self._lanes = [_Lane() for _ in range(mapping.lanes)]
        self._ready: list[tuple[float, int]] = []
        self._limit = longest_age(mapping)
        self._given_up = given_up(mapping)
        self._waiting = 0

    def arrive(self, t: float, record: Record) -> None:
        """A record comes to the end of its lane; one at rest sees it when it is polled next."""
        lane = self._lanes[record.place]
        lane.records.append(record)
        self._waiting += 1
        if lane.busy or lane.again:
            return
        polled = next_look(t)
        if lane.due == math.inf:
            self._plan(record.place, tick(polled + self._mapping.window))
        if self._mapping.window and len(lane.records) >= self._mapping.size and polled < lane.due:
            self._plan(record.place, polled)

    def take(self, t: float) -> BatchOfRecords | None:
        """The next batch of a lane that is due."""
        while self._ready and self._ready[0][0] <= t:
            due, place = heappop(self._ready)
            lane = self._lanes[place]
            if lane.busy or lane.due != due:
                continue  # planned anew since then
            lane.due = math.inf
            batch = self._next(lane, t)
            if batch is not None:
                lane.busy = True
                return batch
        return None

    def _next(self, lane: _Lane, t: float) -> BatchOfRecords | None:
        """A batch that failed before any others; without the records that are too old, None where there is nothing else."""
        while lane.again or lane.records:
            if lane.again:
                batch = lane.again.pop()
            else:
                size = min(self._mapping.size, len(lane.records))
                batch = BatchOfRecords(records=[lane.records.popleft() for _ in range(size)])
                self._waiting -= size
            young = []
            for record in batch.records:
                if not self._lost_if_old(record, t):
                    record.receives += 1
                    young.append(record)
            if young:
                return BatchOfRecords(records=young, taken=t, attempts=batch.attempts)
        return None

    def done(self, t: float, batch: BatchOfRecords, failed: Sequence[bool] | None) -> None:
        """The lane goes on: with what failed if it may be tried again, else with what came after it."""
        place = batch.records[0].place
        lane = self._lanes[place]
        lane.busy = False
        again_at = max(t, tick(batch.taken + ROUND_TRIP))
        if failed is None:
            lane.again.append(batch)
            self._plan(place, tick(t + THROTTLED_AGAIN))
            return
        first = next((position for position, fails in enumerate(failed) if fails), None)
        if first is None:
            self._handled(batch.records)
        elif self._mapping.partial_failures and first:
            self._handled(batch.records[:first])
            self._again(lane, batch.records[first:], 0, split=False)
        else:
            self._again(lane, batch.records, batch.attempts, split=self._mapping.bisect and len(batch.records) > 1)
        if lane.again:
            self._plan(place, again_at)
        elif lane.records:
            full = len(lane.records) >= self._mapping.size
            self._plan(place, t if full else tick(t + self._mapping.window))

    def _again(self, lane: _Lane, records: list[Record], attempts: int, *, split: bool) -> None:
        """What becomes of `records` that failed together now, and `attempts` times before."""
        if split:
            half = len(records) // 2
            lane.again.append(BatchOfRecords(records=records[half:], attempts=attempts))
            lane.again.append(BatchOfRecords(records=records[:half], attempts=attempts))
        elif 0 <= self._mapping.attempts <= attempts:
            for record in records:
                self._lost(record, self._given_up)
        else:
            lane.again.append(BatchOfRecords(records=records, attempts=attempts + 1))

    def settle(self, t: float) -> None:
        """Records that wait behind a blocked one are too old only when they are looked at."""

    def wake(self) -> float:
        """When a lane goes on."""
        return self._ready[0][0] if self._ready else math.inf

    def visible(self) -> int:
        """Records that wait in their lanes."""
        return self._waiting

    def close(self, t: float) -> None:
        """Loses the records that wait in their lanes and are too old, those that failed as well; nothing goes on afterwards."""
        for lane in self._lanes:
            for records in (*(batch.records for batch in lane.again), lane.records):
                for record in records:
                    self._lost_if_old(record, t)

    def _lost_if_old(self, record: Record, t: float) -> bool:
        """Whether a record is too old at `t`; then it is lost."""
        if t >= tick(record.arrived + self._mapping.retention):
            self._lost(record, EXPIRED)
        elif t >= tick(record.arrived + self._limit):
            self._lost(record, self._given_up)
        return record.over

    def _plan(self, place: int, due: float) -> None:
        self._lanes[place].due = due
        heappush(self._ready, (due, place))

    @staticmethod
    def _handled(records: list[Record]) -> None:
        for record in records:
            record.over = True

    def _lost(self, record: Record, fate: int) -> None:
        record.over = True
        self.fates.append((record, fate))
