"""Polling: what a scenario says of an event source mapping, by which Lambda fetches records and hands them over in batches.

A *record* is one message of a queue or one entry of a stream. The laws by which they come to invocations stand in `pollers`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout_sim.core.fields import Seconds, check_count, section

DAY: Final = 86_400.0
MAX_KEYS: Final = 50_000_000
QUEUE_BATCH: Final = 10
"""Messages in a batch of a queue at most, where nothing is said."""
STREAM_BATCH: Final = 100
"""Entries in a batch of a stream at most, where nothing is said."""
LARGEST_BATCH: Final = 10_000
LONGEST_VISIBILITY: Final = 43_200.0
"""Seconds of a visibility timeout at most."""
TIMEOUTS: Final = 6
"""Timeouts of the function that AWS advises a visibility timeout to be, beside the window."""
LONGEST_WINDOW: Final = 300.0
"""Seconds for which Lambda gathers a batch at most."""


@section
class Batch:
    """How records come to an invocation: up to `size` at a time, gathered for up to `window`."""

    size: int | None = None
    """Records in a batch at most; 10 of a queue and 100 of a stream if not given."""
    window: Seconds = 0.0
    """How long records are gathered before a batch that is not full goes; at most 5 min."""
    partial_failures: bool = False
    """Whether the function reports which records failed (`ReportBatchItemFailures`); else one failure fails the whole batch."""
    parallelization: int = 1
    """Of a stream: batches of one shard that run at once, each of keys of its own."""
    bisect: bool = False
    """Of a stream: a batch that fails is split in two (`BisectBatchOnFunctionError`), which counts as no retry."""

    def __post_init__(self) -> None:
        if self.size is not None:
            check_count("size", self.size, 1, LARGEST_BATCH)
        check_count("parallelization", self.parallelization, 1, 10)
        if self.window > LONGEST_WINDOW:
            raise ValueError(f"`window` must be at most 5 min, got {self.window:g} s")


@section
class MaximumConcurrency:
    """The most batches of a queue that run at once."""

    maximum: int
    """Lambda's MaximumConcurrency, 2 to 1,000."""

    def __post_init__(self) -> None:
        check_count("maximum", self.maximum, 2, 1000)


@section
class ProvisionedPollers:
    """Event pollers of a queue in provisioned mode; each hands over up to 10 batches at once."""

    minimum: int = 2
    """Pollers that are always there, 2 to 200."""
    maximum: int = 200
    """Pollers at most, 2 to 2,000."""

    def __post_init__(self) -> None:
        check_count("minimum", self.minimum, 2, 200)
        check_count("maximum", self.maximum, 2, 2000)
        if self.maximum < self.minimum:
            raise ValueError(f"`maximum` must be at least `minimum`, got {self.maximum} and {self.minimum}")


@section
class Fifo:
    """Makes a queue a FIFO queue: messages of one group are handled in order, and a group that fails waits."""

    groups: int
    """How many message groups there are; a message's group is its user."""
    zipf: float = 0.0
    """How unevenly messages belong to them: 0 all alike."""

    def __post_init__(self) -> None:
        check_count("groups", self.groups, 1, MAX_KEYS)
        if not 0 <= self.zipf <= 10:
            raise ValueError(f"`zipf` must be 0 (all alike) to 10, got {self.zipf:g}")


@section
class StreamRetries:
    """How long a stream's batch that fails is tried again, at once each time, while its shard waits."""

    attempts: int = -1
    """Retries of a batch (MaximumRetryAttempts): 0 to 10,000; -1 until its records expire."""
    max_age: Seconds | None = None
    """Records older than that are given up (MaximumRecordAgeInSeconds), 1 min to 7 d; without it when they expire."""
    destination: bool = False
    """Whether what is given up goes to an on-failure destination: its fate is `dead_letter` then and not `discarded`."""

    def __post_init__(self) -> None:
        check_count("attempts", self.attempts, -1, 10_000)
        if self.max_age is not None and not 60 <= self.max_age <= 7 * DAY:
            raise ValueError(f"`max_age` must be 1 min to 7 d, got {self.max_age:g} s")


@section
class Mapping:
    """An event source mapping with nothing left open, as the pollers' laws read it; made by `Source.mapping`."""

    stream: bool
    """Whether the records come from a stream, and not from a queue."""
    size: int
    """Records in a batch at most."""
    window: float
    """How long a batch that is not full is gathered (s)."""
    partial_failures: bool
    """Whether records that fail are told apart."""
    retention: float
    """How long a record is kept (s)."""
    visibility_timeout: float = 30.0
    """Of a queue: how long after its batch was handed over a message that is not deleted comes back (s)."""
    max_receives: int | None = None
    """Of a queue: how often a message is handed over before it goes to the dead-letter queue; None without one."""
    concurrency: int | None = None
    """Of a queue: the most batches that run at once; None for Lambda's own limit."""
    provisioned: ProvisionedPollers | None = None
    """Of a queue: its event pollers in provisioned mode."""
    groups: int = 0
    """Of a FIFO queue: its message groups; 0 for a standard queue."""
    shards: int = 1
    """Of a stream: its shards."""
    parallelization: int = 1
    """Of a stream: batches of a shard that run at once."""
    bisect: bool = False
    """Of a stream: whether a failing batch is split in two."""
    attempts: int = -1
    """Of a stream: retries of a batch; -1 without a limit."""
    max_age: float | None = None
    """Of a stream: the age (s) from which records are given up; None without one."""
    destination: bool = False
    """Of a stream: whether what is given up goes to an on-failure destination."""

    def advised_visibility(self, timeout: float) -> float:
        """Of a queue: the visibility timeout (s) that AWS advises at least where the function has this `timeout` (s)."""
        return min(TIMEOUTS * timeout + self.window, LONGEST_VISIBILITY)

    @property
    def lanes(self) -> int:
        """Of a stream: batches that may run at once."""
        return self.shards * self.parallelization


def whole_batch(batch: Batch | None, *, stream: bool) -> Batch:
    """The batch with its size, which depends on what is polled."""
    batch = batch or Batch()
    return batch if batch.size is not None else replace(batch, size=STREAM_BATCH if stream else QUEUE_BATCH)
