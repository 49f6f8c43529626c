"""Event sources: who calls the function, how often, with which users, and who retries what and when."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.distributions import SizeDistribution
from rollout_sim.core.fields import Factor, PositiveRate, PositiveSeconds, Seconds, Share, check_count, section
from rollout_sim.core.files import FileReader
from rollout_sim.core.minutes import iso_of, moment_of
from rollout_sim.core.registry import ARRIVALS, ByType
from rollout_sim.core.units import text
from rollout_sim.traffic.delivery import Delivery
from rollout_sim.traffic.polling import (
    DAY,
    LONGEST_VISIBILITY,
    Batch,
    Fifo,
    Mapping,
    MaximumConcurrency,
    ProvisionedPollers,
    StreamRetries,
    whole_batch,
)
from rollout_sim.traffic.schedules import Cron, Schedule, schedule_of
from rollout_sim.traffic.traces import MINUTE, Layout, Trace, read_trace

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


@section
class Diurnal:
    """A Poisson process whose rate swings around `mean` by the share `amplitude` as a cosine, highest at `peak` (s)."""

    mean: PositiveRate
    """The rate on average."""
    amplitude: Share
    """How far the rate swings around the mean, as a share of it."""
    period: PositiveSeconds = 86400.0
    """The time from one peak to the next."""
    peak: Seconds = 0.0
    """When the first peak is, counted from the simulation's start."""


@section
class Bursty:
    """A Markov-modulated Poisson process of two states with exponential stays, begun in its stationary state."""

    low: PositiveRate
    """The rate in the quiet state."""
    high: PositiveRate
    """The rate in a burst."""
    stay_low: PositiveSeconds
    """How long the quiet state lasts on average."""
    stay_high: PositiveSeconds
    """How long a burst lasts on average."""

    def __post_init__(self) -> None:
        if self.high <= self.low:
            raise ValueError(f"`high` must lie above `low`, got {self.high:g}/s and {self.low:g}/s")


@dataclass(frozen=True, kw_only=True)  # no slots: `recording` is kept beside the fields
class TraceFile:
    """A trace to replay `speed` times as fast and `scale` times as dense; over at its end unless `repeat`.

    With `draw: blocks` each hour is drawn from it by chance. Counts are spread uniformly within their period. A fractional scale
    keeps or adds each invocation by chance. Time stamps that are kept stay where they are; copies of one come up to a second of
    the recording later, within its minute.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    file: str
    """The file's name, relative to the scenario."""
    layout: Layout
    """How the file is laid out: Azure's two, `counts` per `period`, `timestamps`, or the `minutes` of an import."""
    function: str | None = None
    """The function's row in an Azure file; of `minutes` whose they are, such as `alias:prod` (`function` if not given)."""
    column: str | None = None
    """The column to read."""
    period: PositiveSeconds | None = None
    """With `counts`: the time that each count is of; a minute if not given."""
    speed: Factor = 1.0
    """How many times as fast it is replayed."""
    scale: Factor = 1.0
    """How many times as dense it is replayed."""
    repeat: bool = False
    """Begin again at the end."""
    draw: Literal["replay", "blocks"] = "replay"
    """`replay` goes through the recording as time does; `blocks` draws each hour from it by chance, the same hours as for recorded
    errors and durations of the same time."""
    begin: str | None = None
    """With `replay`: the recorded moment at which the simulation begins, such as `2026-11-24 14:00`, in UTC; the first one if not
    given."""
    end: str | None = None
    """With `blocks`: the recorded moment before which they are drawn from, in UTC; the last one if not given."""
    folder: str = ""
    """Where relative names begin; the scenario's own folder."""

    def __post_init__(self) -> None:
        if self.speed <= 0 or self.scale <= 0:
            raise ValueError(f"`speed` and `scale` must be above 0, got {self.speed:g}x and {self.scale:g}x")
        for name, moment, belongs in (("begin", self.begin, "replay"), ("end", self.end, "blocks")):
            if moment is not None:
                if self.draw != belongs:
                    raise ValueError(f"`{name}` belongs to `draw: {belongs}`")
                moment_of(moment)
        if self.draw == "blocks" and (self.speed != 1 or self.repeat):
            raise ValueError(
                "`draw: blocks` has no end and is as fast as it was recorded: leave out `repeat` and `speed`"
            )
        if self.period is not None and self.layout != "counts":
            raise ValueError(f"`period` belongs to `layout: counts`, got it with {self.layout}")

    @property
    def endless(self) -> bool:
        """Whether traffic goes on after all of it was replayed once."""
        return self.repeat or self.draw == "blocks"

    @property
    def path(self) -> Path:
        """The file, its name taken relative to `folder`."""
        return Path(self.folder) / self.file

    @cached_property
    def recording(self) -> Trace:
        """What the file holds. A loaded scenario has it already and takes it along to other processes.

        No field: neither compared nor dumped. Elsewhere it is read when it is first asked for. Raises ValueError for
        a file that cannot be read, or that is too dense at this `scale`.
        """
        trace = read_trace(self.path, self.layout, self.function, self.column, self.period)
        return self._usable(trace, self.path)

    def with_files(self, folder: Path, files: FileReader) -> TraceFile:
        """The same with its file name relative to `folder` and its `recording` read by `files`. Raises ValueError."""
        trace = replace(self, folder=str(folder))
        recording = files.read(read_trace, trace.path, self.layout, self.function, self.column, self.period)
        object.__setattr__(trace, "recording", self._usable(recording, trace.path))
        return trace

    def _usable(self, recording: Trace, path: Path) -> Trace:
        """The recording of `path` from where it is to begin. Raises ValueError where it cannot be used so."""
        try:
            if self.begin is not None:
                recording = recording.begun(moment_of(self.begin), repeat=self.repeat)
            if self.end is not None:
                recording = recording.ended(moment_of(self.end))
        except ValueError as error:
            raise ValueError(f"{path}: {'end' if self.begin is None else 'begin'}: {error}") from None
        return _not_too_dense(recording, self.scale, path)

    def beginning(self, moment: float) -> TraceFile:
        """The same from another recorded `moment` on (s since 1970). Raises ValueError for one that is not recorded."""
        return replace(self, begin=iso_of(moment))


class _Shorthand:
    """Lets a text stand for the fields that `unfold` makes of it."""

    def __init__(self, unfold: Callable[[str], object]) -> None:
        self.unfold = unfold

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        def unfolded(value: object) -> object:
            return self.unfold(value) if isinstance(value, str) else value

        return core_schema.no_info_before_validator_function(unfolded, handler(source))


@section
class CronArrivals:
    """Events at the moments of a schedule of EventBridge, each somewhere `within` a minute from then on.

    Clocks of the `zone` that leave an hour out skip what falls into it; an hour that they repeat counts once.
    """

    expression: str
    """Six fields as EventBridge has them (`0/5 8-17 ? * MON-FRI *`), or a `rate(5 minutes)`."""
    zone: str = "UTC"
    """The time zone of the clock, such as `Europe/Berlin`; EventBridge's rules go by UTC, its Scheduler by any."""
    begin: str = "2026-01-05 00:00"
    """The moment at which the simulation begins, in UTC unless it names a zone; by default a Monday at midnight."""
    within: Seconds = 60.0
    """How late an event may come, evenly: EventBridge promises the minute, not the second; or Scheduler's flexible window."""

    def __post_init__(self) -> None:
        try:
            schedule_of(self.expression)
        except ValueError as error:
            raise ValueError(f"`expression` {error}") from None
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"`zone` needs a time zone such as Europe/Berlin, got {self.zone!r}") from None
        moment_of(self.begin)
        if self.within > DAY:
            raise ValueError(f"`within` must be at most 1 d, got {self.within:g} s")

    @property
    def schedule(self) -> Schedule:
        """When its events come."""
        return schedule_of(self.expression)

    @property
    def long_run_rate(self) -> float:
        """Events per second, on average over years."""
        return self.schedule.mean_rate(moment_of(self.begin))

    def moments(self) -> Iterator[float]:
        """The moments of the schedule in seconds from the simulation's start, with those before it whose event may still come."""
        begin, schedule = moment_of(self.begin), self.schedule
        first = begin - self.within if isinstance(schedule, Cron) else begin
        for moment in schedule.moments(first, ZoneInfo(self.zone)):
            yield moment - begin


MAX_PER_PERIOD = 20_000_000
"""Arrivals in one period of a trace that fit into memory."""


def _not_too_dense(recording: Trace, scale: float, path: Path) -> Trace:
    densest = float(recording.per_period.max()) * scale
    if densest > MAX_PER_PERIOD:
        period = "minute" if recording.period == MINUTE else text(recording.period, "duration")
        raise ValueError(
            f"{path}: makes {densest:,.4g} invocations in one {period} at `scale: {scale:g}x`; allowed {MAX_PER_PERIOD:,}"
        )
    return recording


KINDS = ("poisson", "diurnal", "bursty", "fixed", "cron", "trace", "custom")


@section
class Arrivals:
    """Exactly one kind of arrivals; `offset` (s) is when the first of `fixed` ones comes.

    `custom` is a registered class, by its `type` (see `extensions`).
    """

    poisson: PositiveRate | None = None
    """A Poisson process of a constant rate."""
    diurnal: Diurnal | None = None
    """A rate that swings with the time of day."""
    bursty: Bursty | None = None
    """A rate that jumps between two states."""
    fixed: PositiveSeconds | None = None
    """The time from each arrival to the next, a fixed beat."""
    cron: Annotated[CronArrivals, _Shorthand(lambda expression: {"expression": expression})] | None = None
    """A schedule by the clock: six fields as EventBridge has them, or `rate(5 minutes)`."""
    trace: TraceFile | None = None
    """Recorded traffic."""
    custom: Annotated[Any, ByType(ARRIVALS)] | None = None
    """Arrivals of your own, by their `type`: a class registered with `extensions`."""
    offset: Seconds = 0.0
    """With `fixed`: when the first one comes."""

    def __post_init__(self) -> None:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"arrivals are exactly one of {', '.join(KINDS)}, got {' and '.join(given) or 'none'}")
        if self.offset and self.fixed is None:
            raise ValueError(f"`offset` belongs to fixed arrivals, got it with {given[0]}")
        if self.custom is not None:
            check_custom_arrivals(self.custom)

    def scaled(self, factor: float) -> Arrivals:
        """The same, `factor` times as dense. Raises ValueError for arrivals of one's own and for schedules by the clock."""
        if self.poisson is not None:
            return replace(self, poisson=self.poisson * factor)
        if self.diurnal is not None:
            return replace(self, diurnal=replace(self.diurnal, mean=self.diurnal.mean * factor))
        if self.bursty is not None:
            low, high = self.bursty.low * factor, self.bursty.high * factor
            return replace(self, bursty=replace(self.bursty, low=low, high=high))
        if self.fixed is not None:
            return replace(self, fixed=self.fixed / factor)
        if self.trace is not None:
            trace = replace(self.trace, scale=self.trace.scale * factor)
            object.__setattr__(trace, "recording", self.trace.recording)  # not read again
            return replace(self, trace=trace)
        kind = getattr(self.custom, "type", "cron")
        raise ValueError(f"arrivals of the type {kind} cannot be made denser")

    def with_files(self, folder: Path, files: FileReader) -> Arrivals:
        """The same with the trace that `files` reads, its name relative to `folder`. Raises ValueError."""
        return self if self.trace is None else replace(self, trace=self.trace.with_files(folder, files))


class ExpectedArrivals(Protocol):
    """User-defined arrivals of any rate that changes in time: a Poisson process, given by its expected count.

    `mean_rate` (1/s) is the rate in the long run, from which the budget of a whole SLO window is forecast.
    """

    mean_rate: float

    def expected(self, t: FloatArray) -> FloatArray:
        """Expected arrivals in [0, t) at times `t` (s) of any shape: 0 at 0, never falling, the rate's integral."""
        ...


class ArrivalTimes(Protocol):
    """User-defined arrivals of any other kind, one after the other. `mean_rate` is that of `ExpectedArrivals`."""

    mean_rate: float

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        """The times (s) at which requests come, never falling; asked until the horizon, random by `rng` alone."""
        ...


def check_custom_arrivals(custom: Any) -> None:
    """Raises ValueError unless the rate in the long run is one."""
    if not 0 < custom.mean_rate < math.inf:
        raise ValueError(f"`mean_rate` of {custom.type} must be a rate above 0, got {custom.mean_rate:g}/s")


ASYNC_ERROR_DELAYS: Final = (60.0, 120.0)
"""Seconds that Lambda waits before it retries an asynchronous event whose function failed, the first and second time."""
MAX_USERS: Final = 50_000_000


def async_error_delay(failures: int) -> float:
    """Seconds until an asynchronous event is tried again after its `failures`-th function error (1 or 2)."""
    return ASYNC_ERROR_DELAYS[failures - 1]


def async_throttle_delay(throttles: int) -> float:
    """Seconds until an asynchronous event is tried again after its `throttles`-th throttle: 1 s doubling up to 5 min."""
    return min(300.0, 2.0 ** min(throttles - 1, 9))


@section
class Users:
    """Each request belongs to one of `count` users; the k-th most active is drawn with a weight of k^-`zipf`."""

    count: int
    """How many users there are."""
    zipf: float = 0.0
    """How unevenly they use it: 0 all alike, 1.1 as on the web."""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_USERS:
            raise ValueError(f"`count` must be 1 to {MAX_USERS}, got {self.count}")
        if not 0 <= self.zipf <= 10:
            raise ValueError(f"`zipf` must be 0 (all alike) to 10, got {self.zipf:g}")

    def shares(self) -> FloatArray:
        """The cumulated share of the requests of users 0, 1, ...: shape (count,), ending at 1."""
        weights = np.arange(1, self.count + 1, dtype=float) ** -self.zipf
        cumulated: FloatArray = np.cumsum(weights)
        cumulated /= cumulated[-1]
        return cumulated


@section
class Keys(Users):
    """A stream's record has one of `count` keys, which decides its shard; the k-th most frequent has a weight of k^-`zipf`."""


@section
class ClientRetry:
    """How a synchronous client tries again: `attempts` in all, with exponential back-off from `base` up to `cap` (s).

    Full jitter draws the wait uniformly between 0 and the back-off. `on` says what is tried again.
    """

    attempts: int = 3
    """Attempts in all, the first included."""
    on: tuple[Literal["throttle", "error", "failed_response"], ...] = ("throttle", "error")
    """What is tried again: a throttle (429), an invocation that Lambda counts as an error, or a failed response."""
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


PRESETS: Final = {
    "standard": ClientRetry(attempts=3, on=("throttle",), base=1.0),
    "legacy": ClientRetry(attempts=5, on=("throttle",), base=1.0),
}
"""botocore's retry modes, as of version 1.44 (`retries/standard.py`; `retryhandler.py` and `data/_retry.json`).

Of what the model knows they retry throttles alone (429, TooManyRequestsException), after a back-off drawn from 0 up to 1 s,
doubling. Invoke answers the errors of a function, crashes and timeouts included, with status 200, which is a success for
botocore. A client that reaches the function over HTTP, through API Gateway or a function URL, sees a status 500 or 502 instead:
`on` with `error` and `failed_response` is for those.
"""


def _preset(name: str) -> ClientRetry:
    """What `retry: standard` stands for. Raises ValueError."""
    if name not in PRESETS:
        raise ValueError(f"needs {' or '.join(PRESETS)}, or fields such as attempts, got {name!r}")
    return PRESETS[name]


RetryField = Annotated[ClientRetry, _Shorthand(_preset)]


POLLED: Final = ("queue", "stream")
"""The kinds of sources that Lambda polls."""
UNQUALIFIED: Final = "$LATEST"
"""What stands for the alias of a source that calls the function itself."""
_OF_QUEUES: Final = ("visibility_timeout", "max_receives", "concurrency", "provisioned", "fifo")
_OF_STREAMS: Final = ("shards", "retries", "keys")
_OF_POLLED: Final = ("batch", "retention", *_OF_QUEUES, *_OF_STREAMS)


@section
class Source:
    """One stream of events to one alias: calls of clients, data events (an upload, say), a schedule, a queue or a stream."""

    source: Literal["http", "data", "sns", "eventbridge", "s3", "schedule", "queue", "stream"]
    """`http` waits for its answer; `data` (any asynchronous call), `sns`, `eventbridge`, `s3` and `schedule` are queued and retried
    by Lambda; `queue` (SQS) and `stream` (Kinesis, DynamoDB) are polled, and their records come in batches."""
    alias: str = ""
    """The alias that it calls."""
    function: bool = False
    """Instead of `alias`: it calls the function itself, which is `$LATEST`, and no rollout touches it."""
    arrivals: Arrivals
    """When the events come."""
    name: str = ""
    """What it is called in the results, where there are several."""
    users: Users | None = None
    """With it every request belongs to a user."""
    retry: RetryField | None = None
    """How an `http` client tries again; `standard` and `legacy` are botocore's modes, which retry throttles alone."""
    size: SizeDistribution | None = None
    """The size of each event; see a version's `per_mb`."""
    async_retries: int = 2
    """How often Lambda retries a function error of a queued event."""
    max_event_age: Seconds = 21600.0
    """How long Lambda retries a throttled event."""
    delivery: Delivery | None = None
    """Of `sns`, `eventbridge`, `s3` and `schedule`: how they deliver to Lambda, and when it does not take what they deliver."""
    batch: Batch | None = None
    """Of a `queue` or `stream`: how its records come to an invocation."""
    retention: PositiveSeconds | None = None
    """How long records are kept: of a `queue` 1 min to 14 d (4 d if not given), of a `stream` 1 d (if not given) to 365 d."""
    visibility_timeout: PositiveSeconds | None = None
    """Of a `queue`: how long after it was handed over a message that is not deleted comes back; 30 s if not given, at most 12 h."""
    max_receives: int | None = None
    """Of a `queue`: how often a message is handed over before it goes to the dead-letter queue; without it there is none."""
    concurrency: MaximumConcurrency | None = None
    """Of a `queue`: the most batches that run at once."""
    provisioned: ProvisionedPollers | None = None
    """Of a `queue`: event pollers in provisioned mode."""
    fifo: Fifo | None = None
    """Of a `queue`: makes it a FIFO queue."""
    shards: int | None = None
    """Of a `stream`: in how many parts it comes, each in order; 1 if not given."""
    retries: StreamRetries | None = None
    """Of a `stream`: how long a failing batch is tried again."""
    keys: Keys | None = None
    """Of a `stream`: which shard a record is in; its key counts as its user. Without it records are spread evenly."""

    def __post_init__(self) -> None:
        if self.function:
            if self.alias not in ("", UNQUALIFIED):
                raise ValueError(f"`alias` and `function: true` exclude each other, got the alias {self.alias!r}")
            object.__setattr__(self, "alias", UNQUALIFIED)
        elif not self.alias:
            raise ValueError("`alias` is missing; for example alias: prod")
        if self.retry is not None and self.source != "http":
            own = {"queue": "max_receives", "stream": "retries"}.get(self.source, "async_retries")
            raise ValueError(f"`retry` is a synchronous client's; Lambda itself retries {self.source} events (`{own}`)")
        if not 0 <= self.async_retries <= 2:
            raise ValueError(f"`async_retries` must be 0 to 2, got {self.async_retries}")
        if self.delivery is not None:
            self.delivery.check(self.source)
        taken = {"queue": ("batch", "retention", *_OF_QUEUES), "stream": ("batch", "retention", *_OF_STREAMS)}
        for name in _OF_POLLED:
            if getattr(self, name) is not None and name not in taken.get(self.source, ()):
                kinds = " or ".join(kind for kind, names in taken.items() if name in names)
                raise ValueError(f"`{name}` is of a {kinds}, got it with {self.source}")
        if self.source in POLLED:
            self._check_polled()

    def _check_polled(self) -> None:
        """Raises ValueError where an event source mapping would be refused."""
        batch, stream = whole_batch(self.batch, stream=self.source == "stream"), self.source == "stream"
        assert batch.size is not None
        if self.size is not None:
            raise ValueError(
                f"`size` is of single events, got it with {self.source}; a version's `per_record` counts records"
            )
        if self.async_retries != 2 or self.max_event_age != 21600.0:
            raise ValueError(f"`async_retries` and `max_event_age` are of queued events, got them with {self.source}")
        if self.users is not None and (stream or self.fifo is not None):
            raise ValueError(f"`users`: a record's user is its {'key (`keys`)' if stream else 'group (`fifo`)'} here")
        if stream:
            check_count("shards", self.mapping.shards, 1, 10_000)
            if not DAY <= self.mapping.retention <= 365 * DAY:
                raise ValueError(
                    f"`retention` of a stream must be 1 d to 365 d, got {self.retention:g} s; see `retries.max_age`"
                )
            return
        if batch.parallelization != 1 or batch.bisect:
            raise ValueError("`parallelization` and `bisect` are of a stream's batches, got them with queue")
        if self.fifo is not None and (batch.size > 10 or batch.window):
            raise ValueError(
                f"a FIFO queue takes batches of up to 10 without a window, got {batch.size}, {batch.window:g} s"
            )
        if batch.size > 10 and batch.window < 1:
            raise ValueError(f"a batch of more than 10 messages needs a `window` of 1 s at least, got {batch.size}")
        if self.concurrency is not None and self.provisioned is not None:
            raise ValueError("`concurrency` and `provisioned` exclude each other")
        if self.max_receives is not None:
            check_count("max_receives", self.max_receives, 1, 1000)
        if self.visibility_timeout is not None and self.visibility_timeout > LONGEST_VISIBILITY:
            raise ValueError(f"`visibility_timeout` must be at most 12 h, got {self.visibility_timeout:g} s")
        if not 60 <= self.mapping.retention <= 14 * DAY:
            raise ValueError(f"`retention` of a queue must be 1 min to 14 d, got {self.retention:g} s")

    @property
    def polled(self) -> bool:
        """Whether Lambda polls it."""
        return self.source in POLLED

    @property
    def owners(self) -> Users | None:
        """Whom its requests belong to: users, the keys of a stream, or the groups of a FIFO queue; None where to nobody."""
        if self.fifo is not None:
            return Users(count=self.fifo.groups, zipf=self.fifo.zipf)
        return self.users if self.keys is None else self.keys

    @property
    def mapping(self) -> Mapping:
        """Its event source mapping with nothing left open; for what is not polled there is none."""
        stream = self.source == "stream"
        batch, retries = whole_batch(self.batch, stream=stream), self.retries or StreamRetries()
        assert batch.size is not None
        return Mapping(
            stream=stream,
            size=batch.size,
            window=batch.window,
            partial_failures=batch.partial_failures,
            retention=self.retention or (DAY if stream else 4 * DAY),
            visibility_timeout=self.visibility_timeout or 30.0,
            max_receives=self.max_receives,
            concurrency=None if self.concurrency is None else self.concurrency.maximum,
            provisioned=self.provisioned,
            groups=0 if self.fifo is None else self.fifo.groups,
            shards=1 if self.shards is None else self.shards,
            parallelization=batch.parallelization,
            bisect=batch.bisect,
            attempts=retries.attempts,
            max_age=retries.max_age,
            destination=retries.destination,
        )

    def with_files(self, folder: Path, files: FileReader) -> Source:
        """The same with its trace and its sample of sizes read by `files`; names are relative to `folder`.

        Raises ValueError for a file that cannot be read or does not hold what it should.
        """
        size = None if self.size is None else self.size.with_files(folder, "MB", files)
        return replace(self, arrivals=self.arrivals.with_files(folder, files), size=size)
