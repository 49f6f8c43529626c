"""The arrays of the compiled plane: their columns, and the state that the kernel reads and writes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PER_PLACE: Final = 16
"""Buckets of the queue for each place of a request."""
WORD: Final = 64
"""Buckets that share a word of bits."""
Place = np.uint32
at = Place
"""A place in an array; Numba asks of every signed one whether it counts from the end."""

DONE, NEED_BLOCK, NEED_DRAWS, NEED_ALL_DRAWS, NEED_TIMES, NEED_INITS = range(6)
FULL_ENVIRONMENTS, FULL_REQUESTS, FULL_LOG, FULL_SAMPLES, TOO_MANY = range(6, 11)
"""Why the kernel came back: it reached the time, or `want` says what it needs before it can go on."""

# Columns of the integer and float state of the whole, of a version, of a lane, of a request and of an environment.
(
    BUSY,
    RUNNING,
    MADE,
    LIMIT,
    SEQUENCE,
    EVENTS,
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
) = range(18)
TOKENS, LAST, SCALE_UP, REFILL, KEEP_ALIVE, TIMEOUT, RESOLUTION, HORIZON, START_AT, PERIOD_END = range(10)
V_BUSY, V_COLD, V_RETURNS, V_SWEEP_AT, V_IDLE, V_INVOCATIONS, V_ERRORS, V_COLD_KIND, V_ROWS, V_NEW, V_GOOD, V_SLOW = (
    range(12)
)
V_LIVED, V_WORKED, V_CREATED_BUSY, V_STARTED_BUSY, V_ERROR_RATE = range(5)
(
    L_POSITION,
    L_LENGTH,
    L_BLOCK,
    L_PRIMARY,
    L_ADDITIONAL,
    L_SYNCHRONOUS,
    L_ATTEMPTS,
    L_ON_ERROR,
    L_ON_THROTTLE,
    L_FULL_JITTER,
    L_USERS,
    L_ASYNC_RETRIES,
    L_SERVICE,
    L_SLOT,
) = range(14)
L_WEIGHT, L_MAX_AGE = range(2)
E_CREATED, E_SINCE = range(2)


REQUEST: Final = np.dtype(
    [
        *((name, np.int64) for name in (
            "due", "next", "kind", "sequence", "lane", "block", "place", "attempt", "errors", "throttles", "user",
            "version", "outcome", "cold", "env", "period", "first_period", "test", "served",
        )),
        *((name, np.float64) for name in ("arrived", "began", "init", "duration", "jitter")),
    ]
)  # fmt: skip
"""A request: what waits for it (`due` in µs, its `kind` of event), where it belongs, and its latest attempt."""


class State(NamedTuple):
    """Everything that the kernel reads and writes; see the columns above. `n` and `x` are the whole's numbers."""

    n: Ints
    x: Floats
    want: Ints
    versions: Ints
    version_times: Floats
    lanes: Ints
    lane_times: Floats
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
    env_priority: Ints
    env_times: Floats
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
