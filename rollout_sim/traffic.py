"""Traffic sources: HTTP requests, data events and schedules; who retries what, and when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from rollout_sim.arrivals import Arrivals
from rollout_sim.distributions import SizeDistribution
from rollout_sim.units import Factor, PositiveSeconds, Seconds

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

ASYNC_ERROR_DELAYS: Final = (60.0, 120.0)
"""Seconds that Lambda waits before it retries an asynchronous event whose function failed, the first and second time."""
MAX_USERS: Final = 50_000_000


def async_error_delay(failures: int) -> float:
    """Seconds until an asynchronous event is tried again after its `failures`-th function error (1 or 2)."""
    return ASYNC_ERROR_DELAYS[failures - 1]


def async_throttle_delay(throttles: int) -> float:
    """Seconds until an asynchronous event is tried again after its `throttles`-th throttle: 1 s doubling up to 5 min."""
    return min(300.0, 2.0 ** min(throttles - 1, 9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Each request belongs to one of `count` users; the k-th most active is drawn with a weight of k^-`zipf`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    count: int
    """How many users there are."""
    zipf: float = 0.0
    """How unevenly they use it: 0 all alike, 1.1 as on the web."""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_USERS:
            raise ValueError(f"`count` must be 1 to {MAX_USERS}, got {self.count}")
        if not 0 <= self.zipf <= 10:
            raise ValueError(f"`zipf` must be 0 (all alike) to 10, got {self.zipf:g}")

    def shares(self) -> NDArray[np.float64]:
        """The cumulated share of the requests of users 0, 1, ...: shape (count,), ending at 1."""
        weights = np.arange(1, self.count + 1, dtype=float) ** -self.zipf
        cumulated: NDArray[np.float64] = np.cumsum(weights)
        cumulated /= cumulated[-1]
        return cumulated


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRetry:
    """How a synchronous client tries again: `attempts` in all, with exponential back-off from `base` up to `cap` (s).

    Full jitter draws the wait uniformly between 0 and the back-off. `on` says what is tried again.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    attempts: int = 3
    """Attempts in all, the first included."""
    on: tuple[Literal["throttle", "error"], ...] = ("throttle", "error")
    """What is tried again."""
    base: PositiveSeconds = 0.1
    """The back-off after the first attempt."""
    factor: Factor = 2.0
    """How much longer each further back-off is."""
    cap: Seconds = 20.0
    """The longest back-off."""
    jitter: Literal["full", "none"] = "full"
    """`full` draws the wait uniformly between 0 and the back-off."""

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 100:
            raise ValueError(f"`attempts` must be 1 to 100, got {self.attempts}")
        if self.factor < 1:
            raise ValueError(f"`factor` must be at least 1x, got {self.factor:g}x")

    def delay(self, attempt: int, u: float) -> float:
        """Seconds between the end of `attempt` (from 1) and the next; `u` in [0, 1) is the jitter's draw."""
        try:
            wait = min(self.cap, self.base * self.factor ** (attempt - 1))
        except OverflowError:
            wait = self.cap
        return wait * u if self.jitter == "full" else wait


PRESETS: Final = {"standard": ClientRetry(attempts=3), "legacy": ClientRetry(attempts=5)}
"""botocore's retry modes: attempts in all, back-off with jitter up to 20 s."""


class _Preset:
    """Lets `retry: standard` stand for the fields of botocore's mode."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        def unfold(value: object) -> object:
            if isinstance(value, str):
                if value not in PRESETS:
                    raise ValueError(f"needs {' or '.join(PRESETS)}, or fields such as attempts, got {value!r}")
                return PRESETS[value]
            return value

        return core_schema.no_info_before_validator_function(unfold, handler(source))


RetryField = Annotated[ClientRetry, _Preset()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One stream of events to one alias: calls of clients that wait, data events (an upload, say), or a schedule."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    source: Literal["http", "data", "schedule"]
    """`http` waits for its answer; `data` and `schedule` are queued and retried by Lambda."""
    alias: str
    """The alias that it calls."""
    arrivals: Arrivals
    """When the events come."""
    name: str = ""
    """What it is called in the results, where there are several."""
    users: Users | None = None
    """With it every request belongs to a user."""
    retry: RetryField | None = None
    """How an `http` client tries again; `standard` and `legacy` are botocore's modes."""
    size: SizeDistribution | None = None
    """The size of each event; see a version's `per_mb`."""
    async_retries: int = 2
    """How often Lambda retries a function error of a queued event."""
    max_event_age: Seconds = 21600.0
    """How long Lambda retries a throttled event."""

    def __post_init__(self) -> None:
        if self.retry is not None and self.source != "http":
            raise ValueError(
                f"`retry` is a synchronous client's; Lambda itself retries {self.source} events (`async_retries`)"
            )
        if not 0 <= self.async_retries <= 2:
            raise ValueError(f"`async_retries` must be 0 to 2, got {self.async_retries}")

    def with_files(self, folder: Path) -> Source:
        """The same with file names taken relative to `folder` and the files of distributions read."""
        size = None if self.size is None else self.size.with_files(folder, "MB")
        return replace(self, arrivals=self.arrivals.with_files(folder), size=size)
