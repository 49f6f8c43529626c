"""The arrays of the compiled plane: their columns, and the state that the kernel reads and writes."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.control.slo import judging
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.function import faults
from rollout_sim.function.environments import SCALE_UP_WINDOW, SWEEP
from rollout_sim.planes.draws import COLUMNS, MAX_PENDING, user_quantiles
from rollout_sim.planes.exposure import ABSENT, MARKS
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.source import async_error_delay, async_throttle_delay

PER_PLACE: Final = 8
"""Buckets of the queue for each place of a request."""
FENCE: Final = 8
"""Keys above all others before a row of idle environments: as many as may be moved without asking whether they have to."""
WORD: Final = 64
"""Buckets that share a word of bits."""
NEVER: Final = 1 << 62
"""When an event is due that does not come (µs)."""
Place = np.uint32
at = Place
"""A place in an array; Numba asks of every signed one whether it counts from the end."""
DONE, NEED_BLOCK, NEED_DRAWS, NEED_ALL_DRAWS, NEED_TIMES, NEED_INITS = range(6)
FULL_ENVIRONMENTS, FULL_REQUESTS, FULL_LOG, FULL_SAMPLES, TOO_MANY = range(6, 11)
"""Why the kernel came back: it reached the time, or `want` says what it needs before it can go on."""
# Columns of the integer and float state of the whole.
(
    BUSY,
    RUNNING,
    MADE,
    LIMIT,
    SEQUENCE,
    FIRST,
    FREE,
    PENDING,
    ARRIVAL_SEQUENCE,
    LOGGED,
    SAMPLED,
    TESTED,
    MOST,
    MOST_PENDING,
    PERIOD,
    CURSOR,
    ENV_FREE,
    SLICE,
    FIRST_DUE,
) = range(19)
TOKENS, LAST, SCALE_UP, REFILL, KEEP_ALIVE, TIMEOUT, RESOLUTION, HORIZON, START_AT, PERIOD_END = range(10)


def _record(integers: str, numbers: str) -> np.dtype[np.void]:
    return np.dtype(
        [*((name, np.int64) for name in integers.split()), *((name, np.float64) for name in numbers.split())]
    )


REQUEST: Final = _record(
    "due next kind sequence lane block place attempt errors throttles user version outcome cold env period "
    "first_period test served",
    "arrived began init duration jitter",
)
"""A request: what waits for it (`due` in µs, its `kind` of event), where it belongs, and its latest attempt."""
ENVIRONMENT: Final = _record("priority", "created since")
"""An environment; idle since then, unless it is busy."""
VERSION: Final = _record(
    "busy cold returns sweep_at idle invocations errors cold_kind rows new good slow",
    "lived worked created_busy started_busy error_rate",
)
"""A version: its environments and their seconds, what it has served, and what is special about it."""
LANE: Final = _record(
    "position length block primary additional synchronous attempts on_error on_throttle full_jitter users "
    "async_retries service slot",
    "weight max_age",
)
"""A source: how far its requests have come, where its alias sends them, and how they are retried."""


class State(NamedTuple):
    """Everything that the kernel reads and writes; see the records above. `n` and `x` are the whole's numbers.

    A row of `keys` says what a slot of draws holds: the lane, which attempt, the block, and whether it has been used.
    """

    n: IntArray
    x: FloatArray
    want: IntArray
    versions: NDArray[Any]
    lanes: NDArray[Any]
    bases: IntArray
    arrivals: FloatArray
    users: IntArray
    user_quantiles: FloatArray
    marks: NDArray[np.uint8]
    waits: FloatArray
    async_waits: FloatArray
    rows: FloatArray
    uniforms: FloatArray
    services: FloatArray
    inits: FloatArray
    loaded: IntArray
    keys: IntArray
    idle: IntArray
    environments: NDArray[Any]
    env_free: IntArray
    buckets: IntArray
    filled: NDArray[np.uint64]
    requests: NDArray[Any]
    free: IntArray
    invocations: IntArray
    errors: IntArray
    throttles: IntArray
    cold_starts: IntArray
    durations: FloatArray
    slow: IntArray
    slow_limits: FloatArray
    asked: IntArray
    bad: IntArray
    bad_by: IntArray
    latencies: FloatArray
    log: IntArray
    log_times: FloatArray
    sample_places: IntArray
    samples: FloatArray
    tests: FloatArray


BATCH: Final = 2
"""Blocks of a source's first attempts that are drawn at a time, where they are drawn on another core."""
SLOTS: Final = 2 * BATCH
"""Blocks of a source's first attempts that are held at a time: the one in use, those ready and those being drawn."""
RETRY_SLOTS: Final = 64
"""Blocks of draws of second and later attempts that are held at a time."""
_THROTTLE_DELAYS: Final = 12


def laid_out(scenario: Scenario, metrics: Metrics, counted: RequestCounts, streams: Streams, *, events: bool) -> State:
    """All arrays, before anything has happened; counts go straight into `metrics` and `counted` (replication 0)."""
    function, sources = scenario.function, scenario.traffic
    names, specs = tuple(function.versions), tuple(function.versions.values())
    lanes, versions, places = len(sources), len(names), len(metrics.targets) * metrics.periods
    retries = any(source.source != "http" or source.retry is not None for source in sources)
    slots = SLOTS * lanes + (RETRY_SLOTS if retries else 0)
    rows = [faults.rows_of(scenario.faults_of(name), scenario.start) for name in names]
    users = [source.users.count if source.users is not None else 0 for source in sources]
    attempts = max((source.retry.attempts for source in sources if source.retry is not None), default=1)
    whole = 1024  # a power of two, which the number of buckets is
    ints, floats = np.int64, np.float64
    s = State(
        n=np.zeros(19, ints),
        x=np.zeros(10, floats),
        want=np.zeros(5, ints),
        versions=np.zeros(versions, VERSION),
        lanes=np.zeros(lanes, LANE),
        bases=np.zeros((lanes, versions), ints),
        arrivals=np.zeros((SLOTS * lanes, BLOCK), floats),
        users=np.zeros((SLOTS * lanes, BLOCK if any(users) else 1), ints),
        user_quantiles=user_quantiles(streams, max(users)),
        marks=np.zeros((MARKS, max(users)), np.uint8),
        waits=np.zeros((lanes, attempts + 1), floats),
        async_waits=np.zeros((2, _THROTTLE_DELAYS), floats),
        rows=np.zeros((versions, max(map(len, rows)) or 1, 8), floats),
        uniforms=np.zeros((slots, COLUMNS, BLOCK), floats),
        services=np.zeros((slots, versions, BLOCK), floats),
        inits=np.zeros((slots, versions, BLOCK), floats),
        loaded=np.zeros((slots, 1 + 2 * versions), ints),
        keys=np.full((slots, 4), -1, ints),
        idle=np.zeros((versions, FENCE + whole), ints),
        environments=np.zeros(whole, ENVIRONMENT),
        env_free=np.arange(whole),
        buckets=np.full(PER_PLACE * whole, -1, np.int32),
        filled=np.zeros(PER_PLACE * whole // WORD, np.uint64),
        requests=np.zeros(whole, REQUEST),
        free=np.arange(whole),
        invocations=metrics.invocations[0].reshape(-1),
        errors=metrics.errors[0].reshape(-1),
        throttles=metrics.throttles[0].reshape(-1),
        cold_starts=metrics.cold_starts[0].reshape(-1),
        durations=metrics.duration_sum[0].reshape(-1),
        slow=np.zeros((len(metrics.slow_thresholds), places), ints),
        slow_limits=np.array(metrics.slow_thresholds, floats),
        asked=counted.requests[0].reshape(-1),
        bad=counted.bad[0].reshape(-1),
        bad_by=np.zeros((len(scenario.slos), places), ints),
        latencies=np.full((lanes, len(scenario.slos)), math.nan),
        log=np.zeros((BLOCK if events else 0, 9), ints),
        log_times=np.zeros((BLOCK if events else 0, 3), floats),
        sample_places=np.zeros(BLOCK if metrics.percentiles else 0, ints),
        samples=np.zeros(BLOCK if metrics.percentiles else 0, floats),
        tests=np.zeros((0, 4), floats),
    )
    s.idle[:, :FENCE] = np.iinfo(ints).max
    s.n[FIRST] = -1
    s.n[[LIMIT, FREE, ENV_FREE, MOST, MOST_PENDING]] = (
        function.concurrency, whole, whole, function.reuse == "most_recent", MAX_PENDING,
    )  # fmt: skip
    s.x[:9] = (
        function.scale_up, 0.0, function.scale_up, function.scale_up / SCALE_UP_WINDOW, function.keep_alive,
        function.timeout, metrics.resolution, scenario.horizon, scenario.start,
    )  # fmt: skip
    for v, (name, spec, its_rows) in enumerate(zip(names, specs, rows, strict=True)):
        kind = 2 if spec.cold_duration is not None else int(spec.cold_start is not None)
        slow = any(row[0] == faults.LATENCY for row in its_rows)
        s.versions[["sweep_at", "cold_kind", "rows", "new", "slow", "error_rate"]][v] = (
            SWEEP, kind, len(its_rows), name == scenario.new, slow, spec.error_rate,
        )  # fmt: skip
        s.rows[v, : len(its_rows)] = np.reshape(its_rows, (-1, 8))
    for number, (source, count) in enumerate(zip(sources, users, strict=True)):
        retry = source.retry
        s.lanes[number] = (
            BLOCK, BLOCK, -1, 0, -1, source.source == "http", 1 if retry is None else retry.attempts,
            retry is not None and "error" in retry.on, retry is not None and "throttle" in retry.on,
            retry is not None and retry.jitter == "full", count, source.async_retries, ABSENT, number,
            0.0, source.max_event_age,
        )  # fmt: skip
        for j, latency in judging(scenario.slos, source.alias, scenario.alias):
            s.latencies[number, j] = math.inf if latency is None else latency
        for attempt in range(1, retry.attempts + 1) if retry is not None else ():
            s.waits[number, attempt] = retry.delay(attempt, 1.0) if retry is not None else 0.0
        for place, target in enumerate(metrics.targets):
            if target.alias == source.alias:
                s.bases[number, names.index(target.version)] = place * metrics.periods
    s.async_waits[0, 1:3] = [async_error_delay(failures) for failures in (1, 2)]
    s.async_waits[1, 1:] = [async_throttle_delay(throttles) for throttles in range(1, _THROTTLE_DELAYS)]
    return s
