"""The state of the compiled plane: arrays and records that the kernel reads and writes, and their columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.control.slo import judging
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.curves import SHARES
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import first_micro
from rollout_sim.function import faults
from rollout_sim.function.environments import SCALE_UP_MICROS, SWEEP
from rollout_sim.function.error_rates import paths_of, spans_of
from rollout_sim.function.recorded import RecordedDurations, step_of, throttles_of
from rollout_sim.planes.draws import (
    COLUMNS,
    MAX_PENDING,
    RETRY_SLOTS,
    later_attempts,
    tries_again,
    user_quantiles,
)
from rollout_sim.planes.exposure import ABSENT, MARKS
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.delivery import EVENTBRIDGE_DELAYS, SNS_DELAYS, law_of
from rollout_sim.traffic.source import async_error_delay, async_throttle_delay

BUCKETS_PER_REQUEST: Final = 8
"""Buckets of the queue for each request that there is room for."""
FENCE: Final = 8
"""Keys above all others before a row of idle environments: as many as may be moved without asking whether they have to."""
WORD: Final = 64
"""Buckets that share a word of bits."""
NEVER: Final = 1 << 62
"""When an event is due that does not come (µs)."""
Index = np.uint32
"""An index into an array, cast where it is used: of every signed one Numba asks whether it counts from the end."""
DONE, NEED_BLOCK, NEED_DRAWS, NEED_ALL_DRAWS, NEED_TIMES, NEED_INITS = range(6)
FULL_ENVIRONMENTS, FULL_REQUESTS, FULL_LOG, FULL_SAMPLES, FULL_RECORDS, TOO_MANY = range(6, 12)
"""Why the kernel came back: it reached the time, or `want` says what it needs before it can go on."""
_INTEGERS: Final = 22
(
    BUSY,  # running invocations outside provisioned environments, at most LIMIT
    RUNNING,  # all running invocations
    MADE,  # environments made so far
    LIMIT,  # the concurrency that provisioned environments leave
    SEQUENCE,  # events entered so far
    FIRST,  # the request whose event is the first, -1 while it is not known
    FREE,  # how many entries of `free` there are
    PENDING,  # requests without an answer
    ARRIVAL_SEQUENCE,  # SEQUENCE when the last request arrived
    LOGGED,  # rows of `log` that are used
    SAMPLED,  # entries of `samples` that are used
    TESTED,  # rows of `tests` that are used up
    MOST_RECENT,  # 1: an idle environment goes back on top, 0: below all that are newer
    MOST_PENDING,  # PENDING at most
    PERIOD,  # the period of the latest start
    CURSOR,  # the slice of time of the first event, or where the search for it goes on
    ENV_FREE,  # how many entries of `env_free` there are
    SLICE,  # bits of a time below its slice
    STARTED,  # environments whose start the scale-up limit counts
    MANAGED,  # 1: no failure ends an environment
    FIRST_DUE,  # when the first event is due (µs); before that nothing is, while it is not known
    LAST_DUE,  # the first microsecond that is not before the horizon
) = range(_INTEGERS)
"""The integers of the whole, `State.n`."""
_NUMBERS: Final = 6
(
    KEEP_ALIVE,  # seconds
    TIMEOUT,  # seconds
    RESOLUTION,  # seconds of a period
    START_AT,  # when the rollout starts (s)
    PERIOD_END,  # when PERIOD ends (s)
    THROTTLED_STEP,  # for how long a share of attempts is throttled by others (s); 0: none is
) = range(_NUMBERS)
"""The numbers of the whole, `State.x`."""


def columns(integers: str, numbers: str) -> np.dtype[np.void]:
    """A record of so many integers and numbers, by their names."""
    return np.dtype(
        [*((name, np.int64) for name in integers.split()), *((name, np.float64) for name in numbers.split())]
    )


REQUEST: Final = columns(
    "due next kind sequence source block index attempt errors throttles user version outcome cold env period "
    "first_period test served lead",
    "arrived began init duration jitter",
)
"""A request: what waits for it (`due` in µs, its `kind` of event), where it belongs, and its latest attempt."""
ENVIRONMENT: Final = columns("priority", "created since")
"""An environment; idle since then, unless it is busy."""
VERSION: Final = columns(
    "busy cold returns sweep_at idle leaving invocations errors cold_kind rows new good answered slow",
    "lived worked created_busy started_busy error_rate failed_responses span step",
)
"""A version: its environments and their seconds, what it has served, and what is special about it."""
SOURCE: Final = columns(
    "position length block primary additional synchronous attempts on_error on_throttle on_failed_response full_jitter users "
    "async_retries service slot delivery delivery_retries permitted",
    "weight max_age delivery_age refused refused_from refused_until",
)
"""A source: how far its requests have come, where its alias sends them, and how they are retried."""


class State(NamedTuple):
    """Everything that the kernel reads and writes.

    A *slot* holds a block of draws: the first `SLOTS` of each source, one for each of its blocks in turn, then those of
    second and later attempts. A *count index* stands for a target and a period (`planes.counts`). Seconds, unless the name
    of the field says otherwise.
    """

    n: IntArray
    """Integers of the whole, by the names above."""
    x: FloatArray
    """Numbers of the whole, by the names above."""
    want: IntArray
    """What is missing: source, attempt, block, slot, version; `want[0]` is the time (us) where too many requests wait."""
    versions: NDArray[Any]
    """A `VERSION` for each version of the function."""
    sources: NDArray[Any]
    """A `SOURCE` for each source of traffic."""
    first_counts: IntArray
    """The count index of the first period: shape (sources, versions)."""
    arrivals: IntArray
    """When the invocations of a block come (us): shape (slots of first attempts, BLOCK)."""
    users: IntArray
    """Their users: same shape, or one column where no source has users."""
    user_quantiles: FloatArray
    """By user."""
    marks: NDArray[np.uint8]
    """1 where a user carries a mark of `planes.exposure`: shape (MARKS, users)."""
    waits: FloatArray
    """How long a client waits after its k-th attempt, before jitter: shape (sources, attempts + 1)."""
    async_waits: FloatArray
    """How long Lambda waits after the k-th error (row 0) and the k-th throttle (row 1), and a service after its k-th refused
    delivery, before jitter (row 2 and on, one for each source)."""
    rows: FloatArray
    """The fault rows (`faults.FaultRow`): shape (versions, rows, 8)."""
    error_rates: FloatArray
    """Of a version whose share of errors changes every `span` (s, 0: never), those shares: shape (versions, spans)."""
    curves: FloatArray
    """Of a version whose durations are recorded, their curve in each `step` (s, 0: not recorded): shape (versions, steps, shares)."""
    throttled: FloatArray
    """The share of attempts that are throttled by others in each step of `x[THROTTLED_STEP]`."""
    uniforms: FloatArray
    """The draws of a block: shape (slots, COLUMNS, BLOCK)."""
    services: FloatArray
    """How long a block's invocations take: shape (slots, versions, BLOCK)."""
    inits: FloatArray
    """How long their cold starts take: same shape."""
    loaded: IntArray
    """1 where a slot has all its uniforms (column 0), times of a version (1 + v) and inits of one (1 + versions + v)."""
    keys: IntArray
    """What a slot of later attempts holds: source, attempt, block, and whether it has been used; -1: nothing."""
    idle: IntArray
    """The idle environments of each version behind a fence, the next one to be taken last: shape (versions, FENCE + room)."""
    environments: NDArray[Any]
    """An `ENVIRONMENT` for each that there is room for."""
    env_free: IntArray
    """The indices of those that are free, as a stack of `n[ENV_FREE]`."""
    starts: IntArray
    """When the newest environments started (us), as many as may within `SCALE_UP_WINDOW`: the k-th at k modulo their number."""
    buckets: IntArray
    """The first request of each bucket of the queue, -1: none."""
    filled: NDArray[np.uint64]
    """A bit for each bucket, `WORD` of them a word: 1 where it is not empty."""
    requests: NDArray[Any]
    """A `REQUEST` for each that there is room for."""
    free: IntArray
    """The indices of those that are free, as a stack of `n[FREE]`."""
    invocations: IntArray
    """By count index, as are the next five; part of the metrics themselves."""
    errors: IntArray
    failed_responses: IntArray
    throttles: IntArray
    cold_starts: IntArray
    durations: FloatArray
    """Added up."""
    latency_sums: FloatArray
    """Inits and durations, added up."""
    slow: IntArray
    """Invocations slower than each of `slow_limits`: shape (limits, count indices)."""
    slow_limits: FloatArray
    asked: IntArray
    """Answered requests by count index, dated by their arrival; part of the requests' counts themselves, as is `bad`."""
    bad: IntArray
    bad_by: IntArray
    """Bad ones for each objective: shape (objectives, count indices)."""
    latencies: FloatArray
    """The longest good latency, shape (sources, objectives); NaN: not judged by it, infinite: only failures are bad."""
    log: IntArray
    """Attempts that are kept, a row each: source, block, index, attempt, version, environment, cold, outcome, user."""
    log_times: FloatArray
    """Their start, init and duration."""
    sample_indices: IntArray
    """The count indices of durations that percentiles need and that have not been handed on."""
    samples: FloatArray
    """Those durations."""
    latency_samples: FloatArray
    """The same with the inits."""
    tests: FloatArray
    """What the coming tests of hooks draw, a row each: fault and slowness (uniform), duration, init."""


BATCH: Final = 2
"""Blocks of a source's first attempts that are drawn at a time, where they are drawn on another core."""
SLOTS: Final = 2 * BATCH
"""Blocks of a source's first attempts that are held at a time: the one in use, those ready and those being drawn."""
_ASYNC_DELAYS: Final = 1 + max(12, len(SNS_DELAYS), len(EVENTBRIDGE_DELAYS))
"""The delays of one row of `async_waits`, the last of which stands for all further ones."""


_OWN: Final = (
    "n", "x", "want", "versions", "sources", "marks", "idle", "environments", "env_free", "starts", "buckets", "filled",
    "requests", "free", "slow", "bad_by", "log", "log_times", "sample_indices", "samples", "latency_samples", "tests",
)  # fmt: skip
"""The fields that change as a run goes on, apart from its counts."""


def counts_in(metrics: Metrics, counted: RequestCounts, replication: int) -> dict[str, NDArray[Any]]:
    """The fields that are part of the metrics and of the requests' counts of a replication."""
    arrays = {
        "invocations": metrics.invocations,
        "errors": metrics.errors,
        "failed_responses": metrics.failed_responses,
        "throttles": metrics.throttles,
        "cold_starts": metrics.cold_starts,
        "durations": metrics.duration_sum,
        "latency_sums": metrics.latency_sum,
        "asked": counted.requests,
        "bad": counted.bad,
    }
    return {name: array[replication].reshape(-1) for name, array in arrays.items()}


def copied(state: State, metrics: Metrics, counted: RequestCounts, replication: int) -> State:
    """The same state for another run, which goes on by itself; what it has counted goes into the new places."""
    counts = counts_in(metrics, counted, replication)
    for name, array in counts.items():
        array[:] = getattr(state, name)
    return state._replace(**{name: getattr(state, name).copy() for name in _OWN}, **counts)


def empty_draws(scenario: Scenario, slots: int) -> dict[str, NDArray[Any]]:
    """The fields of a `State` that hold draws, with room for so many blocks of each source's first attempts.

    What `loaded` does not name is left as the memory was.
    """
    sources, versions = scenario.traffic, len(scenario.function.versions)
    first = slots * len(sources)
    every = first + (RETRY_SLOTS if later_attempts(scenario) else 0)
    users = any(source.owners is not None for source in sources)
    ints, floats = np.int64, np.float64
    return {
        "arrivals": np.empty((first, BLOCK), ints),
        "users": np.empty((first, BLOCK if users else 1), ints),
        "uniforms": np.empty((every, COLUMNS, BLOCK), floats),
        "services": np.empty((every, versions, BLOCK), floats),
        "inits": np.empty((every, versions, BLOCK), floats),
        "loaded": np.zeros((every, 1 + 2 * versions), ints),
        "keys": np.full((every, 4), -1, ints),
    }


def paths_in(scenario: Scenario, streams: Streams) -> dict[str, NDArray[Any]]:
    """The fields that change from minute to minute in one replication: `error_rates`, `curves`, `throttled`."""
    function, horizon = scenario.function, scenario.horizon
    specs = function.versions.values()
    nothing = np.zeros((1, len(SHARES)))
    curves = [
        s.duration.path(streams, horizon) if isinstance(s.duration, RecordedDurations) else nothing for s in specs
    ]
    return {
        "error_rates": _stacked([paths_of(spec.error_rate, streams, horizon)[0] for spec in specs]),
        "curves": _stacked(curves),
        "throttled": throttles_of(function.throttled, streams, horizon)[0].copy(),
    }


def _stacked(paths: Sequence[FloatArray]) -> FloatArray:
    """Paths of different lengths as one array, zeros behind the shorter ones."""
    stacked = np.zeros((len(paths), max(map(len, paths)), *paths[0].shape[1:]))
    for row, path in zip(stacked, paths, strict=True):
        row[: len(path)] = path
    return stacked


def laid_out(scenario: Scenario, metrics: Metrics, counted: RequestCounts, streams: Streams, *, events: bool) -> State:
    """All arrays, before anything has happened; counts go straight into `metrics` and `counted` (replication 0)."""
    function, sources = scenario.function, scenario.traffic
    names, specs = tuple(function.versions), tuple(function.versions.values())
    counts = len(metrics.targets) * metrics.periods
    users = [source.owners.count if source.owners is not None else 0 for source in sources]
    attempts = max((source.retry.attempts for source in sources if source.retry is not None), default=1)
    room = 1024  # a power of two, which the number of buckets is
    ints, floats = np.int64, np.float64
    s = State(
        n=np.zeros(_INTEGERS, ints),
        x=np.zeros(_NUMBERS, floats),
        want=np.zeros(5, ints),
        versions=np.zeros(len(names), VERSION),
        sources=np.zeros(len(sources), SOURCE),
        first_counts=np.zeros((len(sources), len(names)), ints),
        user_quantiles=user_quantiles(streams, max(users)),
        marks=np.zeros((MARKS, max(users)), np.uint8),
        waits=np.zeros((len(sources), attempts + 1), floats),
        async_waits=np.zeros((2 + len(sources), _ASYNC_DELAYS), floats),
        rows=np.zeros((len(names), 1, 8), floats),
        idle=np.zeros((len(names), FENCE + room), ints),
        environments=np.zeros(room, ENVIRONMENT),
        env_free=np.arange(room),
        starts=np.full(function.scale_up, -SCALE_UP_MICROS, ints),
        buckets=np.full(BUCKETS_PER_REQUEST * room, -1, np.int32),
        filled=np.zeros(BUCKETS_PER_REQUEST * room // WORD, np.uint64),
        requests=np.zeros(room, REQUEST),
        free=np.arange(room),
        slow=np.zeros((len(metrics.slow_thresholds), counts), ints),
        slow_limits=np.array(metrics.slow_thresholds, floats),
        bad_by=np.zeros((len(scenario.slos), counts), ints),
        latencies=np.full((len(sources), len(scenario.slos)), math.nan),
        log=np.zeros((BLOCK if events else 0, 9), ints),
        log_times=np.zeros((BLOCK if events else 0, 3), floats),
        sample_indices=np.zeros(BLOCK if metrics.percentiles else 0, ints),
        samples=np.zeros(BLOCK if metrics.percentiles else 0, floats),
        latency_samples=np.zeros(BLOCK if metrics.percentiles else 0, floats),
        tests=np.zeros((0, 4), floats),
        **empty_draws(scenario, SLOTS),
        **counts_in(metrics, counted, 0),
        **paths_in(scenario, streams),
    )
    s.idle[:, :FENCE] = np.iinfo(ints).max
    s.n[FIRST] = -1
    s.n[LIMIT] = function.concurrency
    s.n[FREE] = s.n[ENV_FREE] = room
    s.n[MOST_RECENT] = function.reuse == "most_recent"
    s.n[MOST_PENDING] = MAX_PENDING
    s.n[MANAGED] = function.managed is not None
    s.x[KEEP_ALIVE] = function.keep_alive
    s.x[TIMEOUT] = function.timeout
    s.x[RESOLUTION] = metrics.resolution
    s.n[LAST_DUE] = first_micro(scenario.horizon)
    s.x[START_AT] = scenario.start
    if s.throttled.any():
        s.x[THROTTLED_STEP] = min(step_of(function.throttled), scenario.horizon)
    for v, (name, spec) in enumerate(zip(names, specs, strict=True)):
        version = s.versions[v]
        version["sweep_at"] = SWEEP
        version["cold_kind"] = 2 if spec.cold_duration is not None else int(spec.cold_start is not None)
        version["new"] = name == scenario.new
        version["error_rate"], version["failed_responses"] = spec.mean_error_rate, spec.failed_responses
        span = spans_of(spec.error_rate, scenario.horizon)[1]
        version["span"] = span if math.isfinite(span) else 0.0
        version["step"] = spec.duration.step if isinstance(spec.duration, RecordedDurations) else 0.0
    for number, (source, count) in enumerate(zip(sources, users, strict=True)):
        retry, state = source.retry, s.sources[number]
        state["position"] = state["length"] = BLOCK  # the block before the first one is used up
        state["block"], state["slot"] = -1, number
        state["primary"], state["additional"], state["weight"] = 0, -1, 0.0
        state["service"] = ABSENT
        state["users"] = count
        state["synchronous"] = source.source == "http"
        state["attempts"] = 1 if retry is None else retry.attempts
        for name, outcome in (
            ("error", faults.ERROR),
            ("throttle", faults.THROTTLED),
            ("failed_response", faults.FAILED_RESPONSE),
        ):
            state[f"on_{name}"] = retry is not None and tries_again(retry, outcome)
        state["full_jitter"] = retry is not None and retry.jitter == "full"
        state["async_retries"], state["max_age"] = source.async_retries, source.max_event_age
        moves = scenario.new is not None and source.alias == scenario.alias
        law = law_of(source.delivery, source.source, scenario.start, moves=moves)
        if law is not None:
            state["delivery"], state["delivery_retries"], state["permitted"] = 2 + number, law.retries, law.permitted
            state["delivery_age"] = law.max_age
            state["refused"], state["refused_from"], state["refused_until"] = law.share, law.begin, law.end
            s.async_waits[2 + number, 1:] = law.delays[-1]
            s.async_waits[2 + number, 1 : 1 + len(law.delays)] = law.delays
        for j, latency in judging(scenario.slos, source.alias, scenario.alias):
            s.latencies[number, j] = math.inf if latency is None else latency
        for attempt in range(1, retry.attempts + 1) if retry is not None else ():
            s.waits[number, attempt] = retry.delay(attempt, 1.0) if retry is not None else 0.0
        for k, target in enumerate(metrics.targets):
            if target.alias == source.alias:
                s.first_counts[number, names.index(target.version)] = k * metrics.periods
    s.async_waits[0, 1:3] = [async_error_delay(failures) for failures in (1, 2)]
    s.async_waits[1, 1:] = [async_throttle_delay(throttles) for throttles in range(1, _ASYNC_DELAYS)]
    return faulty(s, scenario)


def faulty(state: State, scenario: Scenario) -> State:
    """The same state with the faults that the scenario's versions have."""
    rows = [faults.rows_of(scenario.faults_of(name), scenario.start) for name in scenario.function.versions]
    for version, its_rows in zip(state.versions, rows, strict=True):
        version["rows"] = len(its_rows)
        version["slow"] = any(row[0] == faults.LATENCY for row in its_rows)
    return state._replace(rows=padded_rows(rows))


def padded_rows(rows: Sequence[Sequence[faults.FaultRow]]) -> FloatArray:
    """The fault rows of each version as an array of shape (versions, rows, 8), zeros behind those of versions with fewer."""
    padded = np.zeros((len(rows), max(map(len, rows)) or 1, 8))
    for its_rows, its_padded in zip(rows, padded, strict=True):
        its_padded[: len(its_rows)] = np.reshape(its_rows, (-1, 8))
    return padded
