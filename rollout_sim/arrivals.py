"""Arrival processes: when requests come. Poisson, diurnal, bursty, fixed, traces, and people's own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from rollout_sim.own_arrivals import Expected, Listed, check_own_arrivals
from rollout_sim.registry import ARRIVALS, ByType
from rollout_sim.streams import BLOCK, Streams
from rollout_sim.traces import MINUTE, Layout, Trace, read_trace
from rollout_sim.units import Factor, PositiveRate, PositiveSeconds, Seconds, Share, ticks

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diurnal:
    """A Poisson process whose rate swings around `mean` by the share `amplitude` as a cosine, highest at `peak` (s)."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    mean: PositiveRate
    """The rate on average."""
    amplitude: Share
    """How far the rate swings around the mean, as a share of it."""
    period: PositiveSeconds = 86400.0
    """The time from one peak to the next."""
    peak: Seconds = 0.0
    """When the first peak is, counted from the simulation's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursty:
    """A Markov-modulated Poisson process of two states with exponential stays, begun in its stationary state."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFile:
    """A trace to replay `speed` times as fast and `scale` times as dense; over at its end unless `repeat`.

    Counts are spread uniformly within their minute. A fractional scale keeps or adds each invocation by chance;
    copies of a time stamp are displaced by up to one second.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    file: str
    """The file's name, relative to the scenario."""
    layout: Layout
    """How the file is laid out: Azure's two, `counts` per minute, or `timestamps`."""
    function: str | None = None
    """The function's row in an Azure file."""
    column: str | None = None
    """The column to read."""
    speed: Factor = 1.0
    """How many times as fast it is replayed."""
    scale: Factor = 1.0
    """How many times as dense it is replayed."""
    repeat: bool = False
    """Begin again at the end."""
    folder: str = ""
    """Where relative names begin; the scenario's own folder."""

    def __post_init__(self) -> None:
        if self.speed <= 0 or self.scale <= 0:
            raise ValueError(f"`speed` and `scale` must be above 0, got {self.speed:g}x and {self.scale:g}x")

    def read(self) -> Trace:
        """The trace in the file. Raises ValueError, also where it is too dense at its `scale`."""
        path = Path(self.folder) / self.file
        trace = read_trace(path, self.layout, self.function, self.column)
        densest = float(trace.per_minute.max()) * self.scale
        if densest > MAX_PER_MINUTE:
            raise ValueError(
                f"{path}: makes {densest:,.4g} invocations in one minute at `scale: {self.scale:g}x`; "
                f"allowed {MAX_PER_MINUTE:,}"
            )
        return trace


MAX_PER_MINUTE = 20_000_000
"""Arrivals in one minute of a trace that fit into memory."""
KINDS = ("poisson", "diurnal", "bursty", "fixed", "trace", "own")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Exactly one kind of arrivals; `offset` (s) is when the first of `fixed` ones comes.

    `own` is a registered class, by its `type` (see `extensions`).
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    poisson: PositiveRate | None = None
    """A Poisson process of a constant rate."""
    diurnal: Diurnal | None = None
    """A rate that swings with the time of day."""
    bursty: Bursty | None = None
    """A rate that jumps between two states."""
    fixed: PositiveSeconds | None = None
    """The time from each arrival to the next, a fixed beat."""
    trace: TraceFile | None = None
    """Recorded traffic."""
    own: Annotated[Any, ByType(ARRIVALS)] | None = None
    """Arrivals of your own, by their `type`: a class registered with `extensions`."""
    offset: Seconds = 0.0
    """With `fixed`: when the first one comes."""

    def __post_init__(self) -> None:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"arrivals are exactly one of {', '.join(KINDS)}, got {' and '.join(given) or 'none'}")
        if self.offset and self.fixed is None:
            raise ValueError(f"`offset` belongs to fixed arrivals, got it with {given[0]}")
        if self.own is not None:
            check_own_arrivals(self.own)

    def with_files(self, folder: Path) -> Arrivals:
        """The same with the trace's file taken relative to `folder`."""
        return self if self.trace is None else replace(self, trace=replace(self.trace, folder=str(folder)))


class ArrivalProcess(Protocol):
    """When the requests of one source come, in one replication."""

    long_run_rate: float
    """Arrivals per second in the long run."""

    def block(self, number: int) -> Floats:
        """The times (s, whole microseconds) of arrivals [number x BLOCK, (number + 1) x BLOCK).

        They never fall; there are fewer of them at the end; blocks are asked for in order.
        """
        ...

    def mean_count(self, start: float, end: float) -> float:
        """Expected arrivals in [start, end)."""
        ...

    def counts(self, edges: Floats, replications: int, rng: np.random.Generator) -> Counts:
        """Arrivals between neighbouring `edges` (s), drawn at once: shape (replications, edges.size - 1).

        Given its count, the arrivals of a cell are independent draws from the cell's intensity. Raises ValueError
        where that is not so (`fixed` ones, time stamps, bursts that reach over cells, cells over several minutes).
        """
        ...


def arrival_process(arrivals: Arrivals, streams: Streams, name: str, horizon: float = math.inf) -> ArrivalProcess:
    """The process behind `arrivals`, drawing from the streams called `name`; own ones end at the `horizon` (s)."""
    if arrivals.own is not None:
        if hasattr(arrivals.own, "expected"):
            return _Warped(Expected(arrivals.own, horizon), streams, name)
        return Listed(arrivals.own, streams.generator(name), horizon)
    if arrivals.poisson is not None:
        return _Warped(_Constant(arrivals.poisson), streams, name)
    if arrivals.diurnal is not None:
        return _Warped(_Cosine(arrivals.diurnal), streams, name)
    if arrivals.bursty is not None:
        return _Warped(_Switching(arrivals.bursty, streams, f"{name}/states"), streams, name)
    if arrivals.fixed is not None:
        return _Fixed(arrivals.fixed, arrivals.offset)
    assert arrivals.trace is not None
    return _Replay(arrivals.trace, arrivals.trace.read(), streams, name)


class _Intensity(Protocol):
    rate: float

    def count(self, t: float) -> float: ...

    def inverse(self, counts: Floats) -> Floats: ...


class _Warped:
    """A Poisson process of any intensity: unit-rate arrivals through the inverse of the expected count until t."""

    def __init__(self, intensity: _Intensity, streams: Streams, name: str) -> None:
        self.intensity = intensity
        self.long_run_rate = intensity.rate
        self._streams = streams
        self._name = name
        self._reached = 0.0

    def block(self, number: int) -> Floats:
        gaps = self._streams.generator(self._name, number).standard_exponential(BLOCK)
        gaps[0] += self._reached
        counts = np.cumsum(gaps)
        self._reached = float(counts[-1])
        return ticks(self.intensity.inverse(counts))

    def mean_count(self, start: float, end: float) -> float:
        return self.intensity.count(end) - self.intensity.count(start)

    def counts(self, edges: Floats, replications: int, rng: np.random.Generator) -> Counts:
        if isinstance(self.intensity, _Switching):
            raise ValueError("bursts last from one period into the next")
        expected = np.maximum(np.diff([self.intensity.count(edge) for edge in edges.tolist()]), 0.0)
        return rng.poisson(expected, (replications, expected.size))


class _Constant:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def count(self, t: float) -> float:
        return self.rate * t

    def inverse(self, counts: Floats) -> Floats:
        return counts / self.rate


class _Cosine:
    """rate(t) = mean (1 + a cos(2 pi (t - peak) / period)); its integral is inverted by bisection to a nanosecond."""

    def __init__(self, spec: Diurnal) -> None:
        self.rate = spec.mean
        self.turn = 2 * math.pi / spec.period
        self.swing = spec.amplitude / self.turn
        self.peak = spec.peak

    def _count(self, t: Floats) -> Floats:
        wave = np.sin(self.turn * (t - self.peak)) + math.sin(self.turn * self.peak)
        result: Floats = self.rate * (t + self.swing * wave)
        return result

    def count(self, t: float) -> float:
        return float(self._count(np.array(t)))

    def inverse(self, counts: Floats) -> Floats:
        low = np.maximum(counts / self.rate - 2 * self.swing, 0.0)
        high = counts / self.rate + 2 * self.swing
        for _ in range(max(1, math.ceil(math.log2(4 * self.swing / 1e-9 + 2)))):
            middle = (low + high) / 2
            below = self._count(middle) < counts
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.maximum.accumulate(high)


class _Switching:
    """The path of the two states, drawn as far as it is asked for; the expected count is piecewise linear in time."""

    def __init__(self, spec: Bursty, streams: Streams, name: str) -> None:
        self.spec = spec
        share_high = spec.stay_high / (spec.stay_low + spec.stay_high)
        self.rate = spec.low + (spec.high - spec.low) * share_high
        self._rng = streams.generator(name)
        self._high = bool(self._rng.random() < share_high)
        self._times, self._counts = [0.0], [0.0]

    def _extend(self) -> None:
        """A thousand more stays."""
        for stay in self._rng.standard_exponential(1000).tolist():
            lasting = stay * (self.spec.stay_high if self._high else self.spec.stay_low)
            rate = self.spec.high if self._high else self.spec.low
            self._times.append(self._times[-1] + lasting)
            self._counts.append(self._counts[-1] + lasting * rate)
            self._high = not self._high

    def count(self, t: float) -> float:
        while self._times[-1] < t:
            self._extend()
        return float(np.interp(t, self._times, self._counts))

    def inverse(self, counts: Floats) -> Floats:
        while self._counts[-1] < counts[-1]:
            self._extend()
        return np.interp(counts, self._counts, self._times)


class _Fixed:
    def __init__(self, every: float, offset: float) -> None:
        self.every = every
        self.offset = offset
        self.long_run_rate = 1 / every

    def block(self, number: int) -> Floats:
        index = np.arange(number * BLOCK, (number + 1) * BLOCK, dtype=np.float64)
        return ticks(self.offset + index * self.every)

    def mean_count(self, start: float, end: float) -> float:
        until_start, until_end = (max(0, math.ceil((t - self.offset) / self.every)) for t in (start, end))
        return float(until_end - until_start)

    def counts(self, edges: Floats, replications: int, rng: np.random.Generator) -> Counts:
        del edges, replications, rng
        raise ValueError("fixed arrivals come at exact times")


class _Replay:
    """A trace, pass by pass and minute by minute; each minute has its own stream."""

    def __init__(self, spec: TraceFile, trace: Trace, streams: Streams, name: str) -> None:
        self.spec = spec
        self._streams = streams
        self._name = name
        self._length = trace.length
        self._minutes = round(trace.length / MINUTE)
        self._counts = trace.counts
        self._times = trace.times
        self._per_minute = trace.per_minute
        self._edges = np.concatenate([[0], np.cumsum(self._per_minute)])
        self._busy = np.flatnonzero(self._per_minute)
        self.long_run_rate = float(self._per_minute.sum()) * spec.scale * spec.speed / trace.length
        self._served = 0
        self._left: Floats = np.zeros(0)

    def block(self, number: int) -> Floats:
        del number  # asked in order
        parts = [self._left]
        held = self._left.size
        while held < BLOCK and self._busy.size and (self.spec.repeat or self._served < self._busy.size):
            lap, place = divmod(self._served, self._busy.size)
            times = self._of_minute(lap * self._minutes + int(self._busy[place]))
            self._served += 1
            parts.append(times)
            held += times.size
        everything = np.concatenate(parts)
        self._left = everything[BLOCK:]
        return everything[:BLOCK]

    def _of_minute(self, minute: int) -> Floats:
        lap, place = divmod(minute, self._minutes)
        rng = self._streams.generator(self._name, minute)
        whole, part = divmod(self.spec.scale, 1.0)
        count = int(self._per_minute[place])
        copies = int(whole) + (rng.random(count) < part)
        if self._times is None:
            times = place * MINUTE + MINUTE * rng.random(int(copies.sum()))
        else:
            given = self._times[self._edges[place] : self._edges[place + 1]]
            times = np.repeat(given, copies)
            again = (
                np.concatenate([[False], times[1:] == times[:-1]]) if whole > 1 or part else np.zeros(times.size, bool)
            )
            room = (place + 1) * MINUTE - times
            times = times + again * rng.random(times.size) * np.minimum(1.0, room)
        return ticks(np.sort(lap * self._length + times) / self.spec.speed)

    def mean_count(self, start: float, end: float) -> float:
        edges = np.arange(self._minutes + 1) * MINUTE
        counts = np.concatenate([[0.0], np.cumsum(self._per_minute)]) * self.spec.scale

        def until(t: float) -> float:
            lap, rest = divmod(max(t, 0.0) * self.spec.speed, self._length)
            if not self.spec.repeat and lap >= 1:
                return float(counts[-1])
            return float(lap * counts[-1] + np.interp(rest, edges, counts))

        return until(end) - until(start)

    def counts(self, edges: Floats, replications: int, rng: np.random.Generator) -> Counts:
        if self._times is not None:
            raise ValueError("time stamps are exact times")
        result = np.zeros((replications, edges.size - 1), np.int64)
        lasting = MINUTE / self.spec.speed
        minutes = np.floor(edges[:-1] / lasting + 1e-9).astype(int)
        if (edges[1:] > (minutes + 1) * lasting + 1e-6).any():
            raise ValueError(
                f"a minute of the trace ({lasting:g} s at its speed) and a period do not divide each other"
            )
        whole, part = divmod(self.spec.scale, 1.0)
        for minute in np.unique(minutes):
            lap, place = divmod(int(minute), self._minutes)
            if lap and not self.spec.repeat:
                break
            given = int(self._per_minute[place])
            copies = given * int(whole) + rng.binomial(given, part, replications)
            mine = np.flatnonzero(minutes == minute)
            shares = (edges[mine + 1] - edges[mine]) / lasting
            result[:, mine] = rng.multinomial(copies, [*shares, max(0.0, 1.0 - shares.sum())])[:, :-1]
        return result
