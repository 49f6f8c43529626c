"""What the compiled plane keeps of queues and streams, in arrays: records that wait, their places, pollers, and their fates."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.metrics import GAUGES, Metrics
from rollout_sim.control.slo import judging
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.streams import Streams
from rollout_sim.function import faults
from rollout_sim.planes.compiled.state import NEVER, columns, padded_rows
from rollout_sim.planes.polling import (
    AGE_BINS,
    PolledTotals,
    label_of,
    lanes_of_keys,
    mean_age,
    sample_step,
)
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.pollers import FATES, Scaling, given_up, longest_age

ROOM: Final = 1024
_INTEGERS: Final = 12
(
    RECORD_FREE,  # how many entries of `free` there are
    NOW,  # the time of the latest event (us)
    POLLING,  # the source whose poller is at work, -1: none
    WAKE,  # when a poller is to be asked next (us)
    WAKER,  # the first source whose poller is
    OVER,  # the record that has met its fate last and is not counted yet, -1: none
    SAMPLE_AT,  # when the backlogs are looked at next (us)
    SAMPLE_UNTIL,  # up to when they are, this time (us)
    SAMPLE_STEP,  # from one look to the next (us)
    SAMPLES,  # looks so far
    KEPT,  # 1: all blocks of first attempts are held
    ENDING,  # 1: the pollers are to lose what is too old, 2: what has no fate is to be judged
) = range(_INTEGERS)
"""The integers of the whole, `Polls.n`."""

RECORD: Final = columns(
    "source number place user receives served first fate outcome next older newer size repeats attempts again",
    "arrived trait fault taken",
)
"""A record: whose it is, as `PolledRecord` has it; the `next` one of its list, those that came before and after it among those
without a fate; of the first one of a batch how many there are, how many of them come again, its failures, and the batch that
is tried `again` after it."""
PLACE: Final = columns("head tail waiting out ready next held again due", "")
"""A queue's message group or a stream's lane: its list, how many of a group are out or whether a lane is busy, whether a group
can be fetched and which one comes after it; of a lane the batch that is tried again first, and when it goes on (us)."""
POLLED: Final = columns(
    "polled stream queue size partial bisect groups max_receives attempts given_up first most interval place places "
    "in_flight rising credit at deadline changed wake order entries waiting head tail lead again lanes keys "
    "arrived bad age_sum oldest newest wrong_is_bad done",
    "window retention limit visibility",
)
"""A source's mapping, its poller and what it counts; of what is not polled all are 0."""
BATCHES: Final = columns("of_invocations of_records alike poisoned", "per_record")
"""Of a version: how many faults hit its invocations and how many their records, and how records fail."""


class Polls(NamedTuple):
    """Everything about queues and streams that the kernel reads and writes beside its state. A record's place is an index."""

    n: IntArray
    """Integers of the whole, by the names above."""
    sources: NDArray[Any]
    """A `POLLED` for each source of traffic."""
    places: NDArray[Any]
    """A `PLACE` for each group of a FIFO queue, each lane of a stream, one for each other queue."""
    records: NDArray[Any]
    """A `RECORD` for each that there is room for."""
    free: IntArray
    """The indices of those that are free, as a stack of `n[RECORD_FREE]`."""
    heap: IntArray
    """What is due: by source when (us), in which order, and which message or lane, the first one at 0: (sources, room, 3)."""
    fates: IntArray
    """How many records met each fate: shape (sources, FATES)."""
    ages: IntArray
    """Records that were handled, by `age_bin`: shape (sources, AGE_BINS)."""
    backlog: IntArray
    """Records without a fate at each look: shape (sources, looks)."""
    oldest: FloatArray
    """The age (s) of the oldest of them: same shape."""
    lanes: NDArray[np.int32]
    """The lane of each key of a stream, one stream after the other."""
    strict: NDArray[np.uint8]
    """1 where a wrong result is bad: shape (sources, objectives)."""
    versions: NDArray[Any]
    """A `BATCHES` for each version of the function."""
    invocation_rows: FloatArray
    """The faults that hit invocations: shape (versions, rows, 8)."""
    record_rows: FloatArray
    """Those that hit records, likewise."""
    gauges: FloatArray
    """`Metrics.gauges` in the order of `GAUGES`, of this replication: shape (gauges, queues, periods)."""
    iterator_batches: IntArray
    """By count index, as are the next two; part of the metrics themselves."""
    iterator_age_sum: FloatArray
    iterator_age_max: FloatArray


_OWN: Final = ("n", "sources", "places", "records", "free", "heap", "fates", "ages", "backlog", "oldest", "gauges")
"""The fields that change as a run goes on, apart from its counts."""


def _counts_in(metrics: Metrics, replication: int) -> dict[str, NDArray[Any]]:
    names = ("iterator_batches", "iterator_age_sum", "iterator_age_max")
    return {name: getattr(metrics, name)[replication].reshape(-1) for name in names}


def copied(polls: Polls, scenario: Scenario, metrics: Metrics, replication: int) -> Polls:
    """The same for another run, which goes on by itself, with that scenario's faults; its counts so far go into the new metrics."""
    counts = _counts_in(metrics, replication)
    for name, array in counts.items():
        array[:] = getattr(polls, name)
    return faulty(polls._replace(**{name: getattr(polls, name).copy() for name in _OWN}, **counts), scenario)


def laid_out(scenario: Scenario, metrics: Metrics, streams: Streams, replication: int, *, kept: bool) -> Polls | None:
    """All arrays, before anything has happened; None where nothing is polled. `kept` says whether all draws are."""
    if not scenario.polled:
        return None
    sources, ints, floats = scenario.traffic, np.int64, np.float64
    mappings = [source.mapping if source.polled else None for source in sources]
    numbers = [0 if m is None else m.lanes if m.stream else max(m.groups, 1) for m in mappings]
    lanes = [lanes_of_keys(source, streams, f"traffic/{i}") for i, source in enumerate(sources)]
    specs = scenario.function.versions
    step = sample_step(scenario)
    looks = math.floor(scenario.horizon / step) + 1
    room = max(ROOM, 1 << (max(numbers) - 1).bit_length())
    p = Polls(
        n=np.zeros(_INTEGERS, ints),
        sources=np.zeros(len(sources), POLLED),
        places=np.zeros(sum(numbers), PLACE),
        records=np.zeros(ROOM, RECORD),
        free=np.arange(ROOM),
        heap=np.zeros((len(sources), room, 3), ints),
        fates=np.zeros((len(sources), len(FATES)), ints),
        ages=np.zeros((len(sources), AGE_BINS), ints),
        backlog=np.zeros((len(sources), looks), ints),
        oldest=np.zeros((len(sources), looks), floats),
        lanes=np.concatenate(lanes).astype(np.int32),
        strict=np.zeros((len(sources), len(scenario.slos)), np.uint8),
        versions=np.zeros(len(specs), BATCHES),
        invocation_rows=np.zeros((len(specs), 1, 8), floats),
        record_rows=np.zeros((len(specs), 1, 8), floats),
        gauges=np.full((len(GAUGES), *metrics.gauges[GAUGES[0]].shape[1:]), math.nan),
        **_counts_in(metrics, replication),
    )
    p.n[RECORD_FREE] = ROOM
    p.n[POLLING] = p.n[OVER] = -1
    p.n[WAKE] = NEVER
    p.n[SAMPLE_STEP] = round(step * 1e6)
    p.n[KEPT] = kept
    p.places["due"] = NEVER
    p.places["again"] = -1
    p.versions["per_record"] = [spec.per_record for spec in specs.values()]
    queues = 0
    for number, (source, mapping) in enumerate(zip(sources, mappings, strict=True)):
        if mapping is None:
            continue
        row = p.sources[number]
        scaling = Scaling.of(mapping)
        row["polled"], row["stream"], row["queue"] = 1, mapping.stream, -1 if mapping.stream else queues
        queues += not mapping.stream
        row["size"], row["partial"], row["bisect"] = mapping.size, mapping.partial_failures, mapping.bisect
        row["groups"], row["attempts"], row["given_up"] = mapping.groups, mapping.attempts, given_up(mapping)
        row["max_receives"] = -1 if mapping.max_receives is None else mapping.max_receives
        row["first"], row["most"], row["interval"] = scaling.first, scaling.most, scaling.interval
        row["deadline"] = row["changed"] = row["wake"] = NEVER
        row["head"] = row["tail"] = row["lead"] = row["oldest"] = row["newest"] = -1
        row["place"], row["places"], row["lanes"] = sum(numbers[:number]), numbers[number], mapping.lanes
        row["keys"] = sum(its.size for its in lanes[:number]) if lanes[number].size else -1
        row["window"], row["retention"] = mapping.window, mapping.retention
        row["limit"], row["visibility"] = longest_age(mapping), mapping.visibility_timeout
        judged = judging(scenario.slos, source.alias, scenario.alias)
        strict = [j for j, _ in judged if scenario.slos[j].sli != "lost"]
        p.strict[number, strict] = 1
        row["wrong_is_bad"] = bool(strict) or not judged
    return faulty(p, scenario)


def faulty(polls: Polls, scenario: Scenario) -> Polls:
    """The same with the faults that the scenario's versions have."""
    versions = polls.versions.copy()
    of_batches = [
        faults.BatchFaults.of(faults.rows_of(scenario.faults_of(name), scenario.start))
        for name in scenario.function.versions
    ]
    for batches, its in zip(versions, of_batches, strict=True):
        batches["of_invocations"], batches["of_records"] = len(its.of_invocations), len(its.of_records)
        batches["alike"], batches["poisoned"] = its.alike, its.poisoned
    return polls._replace(
        versions=versions,
        invocation_rows=padded_rows([its.of_invocations for its in of_batches]),
        record_rows=padded_rows([its.of_records for its in of_batches]),
    )


def with_room(polls: Polls) -> Polls:
    """The same with room for twice as many records."""
    before = polls.free.size
    free = int(polls.n[RECORD_FREE])
    more = {
        name: np.concatenate([array, np.zeros_like(array)])
        for name in ("records", "free")
        for array in [getattr(polls, name)]
    }
    more["free"][free : free + before] = np.arange(before, 2 * before)
    polls.n[RECORD_FREE] += before
    return polls._replace(heap=np.concatenate([polls.heap, np.zeros_like(polls.heap)], axis=1), **more)


def totals(polls: Polls, scenario: Scenario) -> tuple[PolledTotals, ...]:
    """What became of the records of each polled source."""
    looks = int(polls.n[SAMPLES])
    times = np.arange(looks, dtype=np.float64) * sample_step(scenario)
    return tuple(
        PolledTotals(
            source=label_of(scenario, number),
            arrived=int(row["arrived"]),
            fates=dict(zip(FATES, polls.fates[number].tolist(), strict=True)),
            bad=int(row["bad"]),
            ages=polls.ages[number],
            mean_age=mean_age(int(row["age_sum"]), polls.ages[number]),
            times=times,
            backlog=polls.backlog[number, :looks],
            oldest=polls.oldest[number, :looks],
        )
        for number, row in enumerate(polls.sources)
        if row["polled"]
    )
