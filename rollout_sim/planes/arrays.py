"""The arrays of the compiled plane: their columns, and the state that the kernel reads and writes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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

    n: Ints
    x: Floats
    want: Ints
    versions: NDArray[Any]
    lanes: NDArray[Any]
    bases: Ints
    arrivals: Floats
    users: Ints
    traits: Floats
    marks: NDArray[np.uint8]
    waits: Floats
    async_waits: Floats
    rows: Floats
    uniforms: Floats
    services: Floats
    inits: Floats
    loaded: Ints
    keys: Ints
    idle: Ints
    environments: NDArray[Any]
    env_free: Ints
    buckets: Ints
    filled: NDArray[np.uint64]
    requests: NDArray[Any]
    free: Ints
    invocations: Ints
    errors: Ints
    throttles: Ints
    cold_starts: Ints
    durations: Floats
    slow: Ints
    slow_limits: Floats
    asked: Ints
    bad: Ints
    bad_by: Ints
    latencies: Floats
    log: Ints
    log_times: Floats
    sample_places: Ints
    samples: Floats
    tests: Floats
