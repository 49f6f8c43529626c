"""The random variates of one source's invocations, by block and attempt, shared by the per-invocation planes.

Invocation `i` of a source has the same arrival, user, size, routing, failure and duration draws under every strategy, and
its second attempt again the same. So two strategies differ by what they do and not by luck: with common random numbers
the variance of a difference is Var(A) + Var(B) - 2 Cov(A, B), and the covariance is large where both see the same traffic
(A. M. Law, Simulation Modeling and Analysis, 5th ed., section 11.2). Two conditions make it work here. Each draw has one
purpose, a row of `ROUTE`, `FAULT`, `SERVICE`, `INIT`, `SLOW`, and is there whether it is used or not, so that nothing that a
strategy does shifts the draws of others. And every draw acts monotonically, by inverse transform or by comparison with a
probability: a higher weight, error rate or slowdown only ever moves invocations one way.

Variates are drawn in blocks of `BLOCK` invocations, each block and attempt from a stream of its own, in any order.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.normal import quantile
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import MAXIMA, ticks
from rollout_sim.function.faults import FAILED_RESPONSE, OK, THROTTLED
from rollout_sim.function.recorded import RecordedDurations
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.processes import ArrivalProcess, arrival_process
from rollout_sim.traffic.source import ClientRetry, Source

ROUTE, FAULT, SERVICE, INIT, SLOW = range(5)
COLUMNS: Final = 5
EVENT_COLUMNS: Final = (
    "source", "request", "attempt", "alias", "version", "environment", "cold", "start_s",
    "init_s", "duration_s", "outcome", "user",
)  # fmt: skip
"""An invocation as a row, where all are kept."""
HOOK_TEST: Final = "hook test"
"""The source of a hook's tests, which go to the version itself and have no alias."""
MAX_PENDING: Final = 5_000_000
"""Requests without an answer that fit into memory (about 2 KB each)."""
RETRY_SLOTS: Final = 64
"""Blocks of draws of second and later attempts that the compiled plane holds at a time."""
_KEPT_RETRY_BLOCKS: Final = 512
_HALF_OF_THE_DIGITS: Final = float(1 << 26)
_LONGEST: Final = MAXIMA["duration"]
NO_USER_QUANTILE: Final = 2.0
"""The quantile of an invocation without a user: above every share, so that no subset fault hits it."""


class AttemptDraws:
    """The draws of the `attempt`-th try of each invocation of a block: uniforms of shape (COLUMNS, BLOCK)."""

    __slots__ = ("_sizes", "fault", "route", "slow", "times", "uniforms")

    def __init__(self, uniforms: FloatArray, sizes: FloatArray | None) -> None:
        self.uniforms = uniforms
        self._sizes = sizes
        self.route: list[float] = uniforms[ROUTE].tolist()
        self.fault: list[float] = uniforms[FAULT].tolist()
        self.slow: list[float] = uniforms[SLOW].tolist()
        self.times: dict[tuple[str, bool], list[float]] = {}

    def durations(self, version: str, duration: Distribution | RecordedDurations, per_mb: float) -> list[float]:
        """Seconds that each invocation takes on `version`, before faults: `service_times`."""
        key = (version, False)
        times = self.times.get(key)
        if times is None:
            seconds = service_times(duration, per_mb, self.uniforms[SERVICE], self._sizes)
            times = self.times[key] = seconds.tolist()
        return times

    def inits(self, version: str, init: Distribution) -> list[float]:
        """Seconds that the cold start of each invocation takes on `version` (or the whole cold invocation)."""
        key = (version, True)
        times = self.times.get(key)
        if times is None:
            times = self.times[key] = init_times(init, self.uniforms[INIT]).tolist()
        return times


class Draws:
    """Everything random about one source, in the order in which it is asked for or out of it."""

    def __init__(
        self, source: Source, process: ArrivalProcess, streams: Streams, name: str, like: Draws | None = None
    ) -> None:
        self.source = source
        self.process = process
        self.streams = streams
        self.name = name
        self.shares: FloatArray = np.zeros(0)
        self._owners = source.owners
        if self._owners is not None:
            self.shares = self._owners.shares() if like is None else like.shares
        self._retries: OrderedDict[tuple[int, int], AttemptDraws] = OrderedDict()

    @classmethod
    def of(cls, source: Source, streams: Streams, name: str, horizon: float, like: Draws | None = None) -> Draws:
        """The draws of a source whose streams begin with `name`, as far as the `horizon` (s).

        `like` are those of another replication, with which they share what is no draw.
        """
        return cls(source, arrival_process(source.arrivals, streams, f"{name}/arrivals", horizon), streams, name, like)

    def attempt(self, block: int, attempt: int) -> AttemptDraws:
        """The draws of a block's first, second, ... attempts (`attempt` from 1); retries are kept for a while."""
        if attempt == 1:
            return self._make(block, 1)
        key = (block, attempt)
        draws = self._retries.get(key)
        if draws is None:
            draws = self._retries[key] = self._make(block, attempt)
            if len(self._retries) > _KEPT_RETRY_BLOCKS:
                self._retries.popitem(last=False)
        return draws

    def users(self, block: int) -> list[int] | None:
        """The user of each invocation of a block (of a record its key or group), or None where the source has no users."""
        if self._owners is None:
            return None
        u = self.streams.generator(f"{self.name}/users", block).random(BLOCK)
        numbers: list[int] = np.searchsorted(self.shares, u, side="right").tolist()
        return numbers

    def _make(self, block: int, attempt: int) -> AttemptDraws:
        rng = self.streams.generator(f"{self.name}/attempt", attempt, block)
        return AttemptDraws(rng.random((COLUMNS, BLOCK)), self.sizes(block))

    def entropy(self, block: int, attempt: int) -> NDArray[np.uint32]:
        """What that stream of a block's `attempt`-th tries begins with: it has `COLUMNS` rows of `BLOCK` uniforms."""
        return self.streams.entropy(f"{self.name}/attempt", attempt, block)

    def sizes(self, block: int) -> FloatArray | None:
        """The size (MB) of each event of a block, None where events have none."""
        if self.source.size is None:
            return None
        return self.source.size.ppf(self.streams.generator(f"{self.name}/size", block).random(BLOCK))


def service_times(
    duration: Distribution | RecordedDurations,
    per_mb: float,
    u: FloatArray,
    sizes: FloatArray | None,
    normal: Callable[[FloatArray], FloatArray] = quantile,
) -> FloatArray:
    """Seconds (whole microseconds) that invocations with the uniforms `u` and `sizes` (MB) take, before faults.

    Of recorded durations the uniforms themselves: how long it takes is known when it starts (`curves.duration_at`).
    `normal` is that of `Distribution.ppf`.
    """
    if isinstance(duration, RecordedDurations):
        return u
    seconds = duration.ppf(u, normal)
    return ticks(np.minimum(seconds + per_mb * sizes if per_mb and sizes is not None else seconds, _LONGEST))


def init_times(init: Distribution, u: FloatArray) -> FloatArray:
    """Seconds (whole microseconds) that cold starts with the uniforms `u` take, before faults."""
    return ticks(np.minimum(init.ppf(u), _LONGEST))


def jitter(u: float) -> float:
    """The draw in [0, 1) of a retry's jitter: the lower half of the digits of the attempt's routing draw `u`.

    A routing weight looks at the upper ones, so the two are independent, and one number serves for both.
    """
    digits = u * _HALF_OF_THE_DIGITS
    return digits - math.floor(digits)


def is_refused(share: float, u: float) -> bool:
    """Whether an attempt is throttled by others, as a `share` of them is: by the lower half of the digits of its service draw `u`.

    How long it takes looks at the upper ones, and nobody needs them where it does not start.
    """
    return share > 0.0 and jitter(u) < share


def tries_again(retry: ClientRetry, outcome: int) -> bool:
    """Whether a client that retries so tries again after that `outcome` of an attempt (`function.faults`)."""
    kind = {FAILED_RESPONSE: "failed_response", THROTTLED: "throttle"}.get(outcome, "error")
    return outcome != OK and kind in retry.on


def user_quantiles(streams: Streams, users: int) -> FloatArray:
    """A number in [0, 1) for each user, always the same: below a subset fault's share the user belongs to it."""
    return streams.generator("users/traits").random(users)


def expected_counts(scenario: Scenario) -> list[float]:
    """Requests of each source that are expected up to the horizon."""
    streams = Streams(seed=scenario.seed)
    processes = (
        arrival_process(source.arrivals, streams, f"traffic/{i}/arrivals") for i, source in enumerate(scenario.traffic)
    )
    return [process.mean_count(0.0, scenario.horizon) for process in processes]


def later_attempts(scenario: Scenario) -> bool:
    """Whether anything is ever tried again, by clients or by Lambda."""
    return any(source.source != "http" or source.retry is not None for source in scenario.traffic)
