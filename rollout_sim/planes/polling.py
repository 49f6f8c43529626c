"""What a per-invocation plane keeps of a source that Lambda polls: records by fate, their ages, and the backlog in time."""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from rollout_sim.control.metrics import Metrics
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import TICK, micros, seconds
from rollout_sim.planes.draws import AttemptDraws, Draws, jitter
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.pollers import DEAD_LETTER, FATES, GOOD, LOST, PASSED_OVER, WRONG, Poller, Record, poller_of
from rollout_sim.traffic.source import Source

MOST_SAMPLES: Final = 20_000
"""Samples of a backlog in a run, about."""
AGE_DIGITS: Final = 10
"""Binary digits to which ages are told apart from 2,048 us on: to a thousandth of them."""
AGE_BINS: Final = 48 << AGE_DIGITS
"""Bins of ages, the longest of which are 2,000 years."""
_KEPT_BLOCKS: Final = 64
AGAIN: Final = 2
"""The attempt whose draws serve, one after the other, whatever is handed over again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledTotals:
    """What became of one source's records up to the horizon, and how the backlog went."""

    source: str
    """What the source is called, from `label_of`: no other polled source of the scenario is called so."""
    arrived: int
    """Records that came."""
    fates: dict[str, int]
    """How many met each of `pollers.FATES`."""
    bad: int
    """Records that are bad for any objective (lost or wrong, where there is none), with those that have waited too long."""
    ages: IntArray
    """How many records were handled in each bin of ages (`age_bin`), from arrival to success: shape (AGE_BINS,)."""
    mean_age: float
    """Seconds from arrival to success, on average; NaN without any."""
    times: FloatArray
    """When the backlog was looked at (s)."""
    backlog: IntArray
    """Records without a fate then, those in flight included: the shape of `times`."""
    oldest: FloatArray
    """The age (s) of the oldest of them, 0 where there is none: the shape of `times`."""

    @property
    def lost(self) -> int:
        """Records that no version handled, and none will."""
        return sum(self.fates[fate] for fate in LOST)

    def age_quantile(self, share: float) -> float | None:
        """`age_quantile` of its own records."""
        return age_quantile(self.ages, share)

    @property
    def waiting(self) -> int:
        """Records without a fate at the horizon."""
        return self.arrived - sum(self.fates.values())


def age_bin(age: int) -> int:
    """The bin of an age (us): each up to 2,047 us has its own, later ones share theirs with others within a thousandth."""
    shift = max(math.frexp(age)[1] - (AGE_DIGITS + 1), 0)
    return (shift << AGE_DIGITS) + (age >> shift)


def mean_age(total: int, ages: IntArray) -> float:
    """Seconds on average of the records counted in `ages`, whose ages (us) come to a `total`; NaN without any."""
    handled = int(ages.sum())
    return total / handled * TICK if handled else math.nan


def age_quantile(ages: IntArray, share: float) -> float | None:
    """The age (s) that this share of the records counted in `ages` (AGE_BINS,) does not exceed; None without any.

    The end of its bin: at most a thousandth too long.
    """
    counted = ages.cumsum()
    if not counted[-1]:
        return None
    number = int(np.searchsorted(counted, share * counted[-1]))
    shift = max((number >> AGE_DIGITS) - 1, 0)
    return seconds(((number - (shift << AGE_DIGITS) + 1) << shift) - 1)


def label_of(scenario: Scenario, index: int) -> str:
    """What a polled source is called in the results: its name, or its kind; its place where several are called so."""
    called = [source.name or source.source for source in scenario.traffic if source.polled]
    own = scenario.traffic[index].name or scenario.traffic[index].source
    return own if called.count(own) == 1 else f"traffic[{index}]"


def sample_step(scenario: Scenario) -> float:
    """Seconds from one look at the backlogs to the next: whole ones that divide the metrics' resolution."""
    resolution = round(scenario.resolution)
    steps = (step for step in range(1, resolution + 1) if resolution % step == 0)
    return float(next((step for step in steps if scenario.horizon / step <= MOST_SAMPLES), resolution))


def lanes_of_keys(source: Source, streams: Streams, name: str) -> IntArray:
    """The lane of each key of a stream whose random streams begin with `name`; empty where there are none."""
    if source.keys is None:
        return np.zeros(0, np.int64)
    lanes = source.mapping.lanes
    quantiles = streams.generator(f"{name}/keys").random(source.keys.count)
    return np.minimum(quantiles * lanes, lanes - 1).astype(np.int64)


@dataclass(slots=True, eq=False, kw_only=True)
class PolledRecord(Record):
    """A record with what the plane knows of it beside the poller.

    `user` is -1 and `user_quantile` above 1 where it belongs to nobody. `first` is the count index (`planes.counts`) of the
    first period of the version that was last given it, -1 before. `trait` in [0, 1) says whether it is poison.
    """

    user: int
    user_quantile: float
    trait: float
    fault: float
    """The fault draw of its first handling."""
    served: int = 0
    first: int = -1


class PolledSource:
    """One polled source at work: its poller, its records' places and draws, and what became of them."""

    def __init__(self, source: Source, draws: Draws, streams: Streams, name: str, label: str) -> None:
        self.source = source
        self.label = label
        self.mapping = source.mapping
        self.poller: Poller = poller_of(self.mapping)
        self.arrived = 0
        self.bad = 0
        self.fates = [0] * len(FATES)
        self.woken_at = math.inf
        """When the plane asks the poller next."""
        self._draws = draws
        self._again = 0
        self._firsts: dict[int, AttemptDraws] = {}
        self._ages = np.zeros(AGE_BINS, np.int64)
        self._age_sum = 0  # us
        self._unfinished: deque[PolledRecord] = deque()  # in the order of their arrivals, with some that are over
        self._times = array("d")
        self._backlog = array("q")
        self._oldest = array("d")
        self._lanes: list[int] = lanes_of_keys(source, streams, name).tolist()

    def place(self, user: int, slow: float) -> int:
        """The lane or message group of a record of this key; without keys that of the draw `slow` of its first handling."""
        if not self.mapping.stream:
            return user if self.mapping.groups else 0
        return self._lanes[user] if self._lanes else min(int(jitter(slow) * self.mapping.lanes), self.mapping.lanes - 1)

    def arrive(self, record: PolledRecord) -> None:
        """A record comes."""
        self.arrived += 1
        self._unfinished.append(record)
        self.poller.arrive(record.arrived, record)

    def draws_of(self, record: PolledRecord) -> tuple[AttemptDraws, int]:
        """The draws of an invocation whose first record this is, and the place in them.

        Those of the record itself where it is handed over for the first time, so that strategies share them; else the next
        ones that nothing was handed over again with.
        """
        if record.receives == 1:
            block, index = divmod(record.number, BLOCK)
            return self._first_tries(block), index
        return self._next_again()

    def _first_tries(self, block: int) -> AttemptDraws:
        """The draws of the first handlings of a block; the blocks that were asked for last are kept."""
        draws = self._firsts.pop(block, None) or self._draws.attempt(block, 1)
        self._firsts[block] = draws
        if len(self._firsts) > _KEPT_BLOCKS:
            del self._firsts[next(iter(self._firsts))]
        return draws

    def fault_of(self, record: PolledRecord) -> float:
        """The draw in [0, 1) that decides whether a record fails, this time."""
        if record.receives == 1:
            return record.fault
        draws, index = self._next_again()
        return draws.fault[index]

    def _next_again(self) -> tuple[AttemptDraws, int]:
        block, index = divmod(self._again, BLOCK)
        self._again += 1
        return self._draws.attempt(block, AGAIN), index

    def handled(self, t: float, record: PolledRecord, *, wrong: bool) -> None:
        """A record was handled at `t`, with a wrong result or a good one."""
        self.fates[WRONG if wrong else GOOD] += 1
        age = micros(t) - micros(record.arrived)
        self._ages[age_bin(age)] += 1
        self._age_sum += age

    def lost(self) -> list[tuple[PolledRecord, int]]:
        """The records that were lost since the last time, each with its fate."""
        lost = self.poller.fates
        if not lost:
            return []
        self.poller.fates = []
        for _, fate in lost:
            self.fates[fate] += 1
        return lost  # type: ignore[return-value]  # the poller hands back the records that it was given

    def sample(self, t: float) -> None:
        """Looks at the backlog at `t`, up to which the poller has settled everything."""
        while self._unfinished and self._unfinished[0].over:
            self._unfinished.popleft()
        self._times.append(t)
        self._backlog.append(self.arrived - sum(self.fates))
        self._oldest.append(t - self._unfinished[0].arrived if self._unfinished else 0.0)

    def gauge(self, metrics: Metrics, queue: int, period: int) -> None:
        """Writes what CloudWatch samples of a queue at the end of a period, after `sample`, into replication 0."""
        if queue >= 0 and period < metrics.periods:
            metrics.gauges["messages_visible"][0, queue, period] = self.poller.visible()
            metrics.gauges["oldest_message_age"][0, queue, period] = self._age_of_oldest_message()
            metrics.gauges["messages_in_dlq"][0, queue, period] = self.fates[DEAD_LETTER]

    def _age_of_oldest_message(self) -> float:
        """As SQS has it at the newest look (s): without those that were received too often, but for a FIFO queue's."""
        for record in self._unfinished:
            if not record.over and (self.mapping.groups or record.receives < PASSED_OVER):
                return self._times[-1] - record.arrived
        return 0.0

    def unfinished(self) -> list[PolledRecord]:
        """The records without a fate."""
        return [record for record in self._unfinished if not record.over]

    def totals(self) -> PolledTotals:
        """What became of the records."""
        return PolledTotals(
            source=self.label,
            arrived=self.arrived,
            fates=dict(zip(FATES, self.fates, strict=True)),
            bad=self.bad,
            ages=self._ages,
            mean_age=mean_age(self._age_sum, self._ages),
            times=np.array(self._times),
            backlog=np.array(self._backlog, np.int64),
            oldest=np.array(self._oldest),
        )
