"""Arrival processes: when requests come. Poisson, diurnal, bursty, fixed, traces, and user-defined ones."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any, Final, Protocol

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.minutes import drawn_rows
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import ticks
from rollout_sim.errors import ScenarioError
from rollout_sim.traffic.source import Arrivals, Bursty, CronArrivals, Diurnal, TraceFile
from rollout_sim.traffic.traces import MINUTE, Trace

PRECISE: Final = 1e-9
"""To how many seconds a diurnal count is inverted: a thousandth of a tick."""
NEWTON: Final = 6
"""Steps of Newton's method that are enough for all but a few."""
NODES: Final = 33


class ArrivalProcess(Protocol):
    """When the requests of one source come, in one replication."""

    long_run_rate: float
    """Arrivals per second in the long run."""

    def block(self, number: int) -> FloatArray:
        """The times (s, whole microseconds) of arrivals [number x BLOCK, (number + 1) x BLOCK).

        They never fall; there are fewer of them at the end; blocks are asked for in order.
        """
        ...

    def mean_count(self, start: float, end: float) -> float:
        """Expected arrivals in [start, end)."""
        ...

    def highest_rate(self, horizon: float) -> float:
        """Expected arrivals per second where they are densest in [0, horizon)."""
        ...

    def counts(self, edges: FloatArray, replications: int, rng: np.random.Generator) -> IntArray:
        """Arrivals between neighbouring `edges` (s), drawn at once: shape (replications, edges.size - 1).

        Given its count, the arrivals of a cell are independent draws from the cell's intensity. Raises ValueError
        where that is not so (`fixed` ones, time stamps, bursts that reach over cells, cells over several minutes).
        """
        ...


def arrival_process(arrivals: Arrivals, streams: Streams, name: str, horizon: float = math.inf) -> ArrivalProcess:
    """The process behind `arrivals`, drawing from the streams called `name`; custom ones end at the `horizon` (s).

    A trace is not read again: `arrivals.trace` keeps what it read.
    """
    if arrivals.custom is not None:
        if hasattr(arrivals.custom, "expected"):
            return _Warped(Expected(arrivals.custom, horizon), streams, name)
        return Listed(arrivals.custom, streams.generator(name), horizon)
    if arrivals.poisson is not None:
        return _Warped(_Constant(arrivals.poisson), streams, name)
    if arrivals.diurnal is not None:
        return _Warped(_Cosine(arrivals.diurnal), streams, name)
    if arrivals.bursty is not None:
        return _Warped(_Switching(arrivals.bursty, streams, f"{name}/states"), streams, name)
    if arrivals.fixed is not None:
        return _Fixed(arrivals.fixed, arrivals.offset)
    if arrivals.cron is not None:
        return _Scheduled(arrivals.cron, streams, name, horizon)
    assert arrivals.trace is not None
    return _Replay(arrivals.trace, arrivals.trace.recording, streams, name, horizon)


class _Intensity(Protocol):
    rate: float

    def count(self, t: float) -> float: ...

    def highest(self, horizon: float) -> float: ...

    def inverse(self, counts: FloatArray) -> FloatArray: ...


class _Warped:
    """A Poisson process of any intensity: unit-rate arrivals through the inverse of the expected count until t."""

    def __init__(self, intensity: _Intensity, streams: Streams, name: str) -> None:
        self.intensity = intensity
        self.long_run_rate = intensity.rate
        self._streams = streams
        self._name = name
        self._reached = 0.0

    def block(self, number: int) -> FloatArray:
        counts = self._streams.unit_arrivals(self._reached, self._name, number)
        self._reached = float(counts[-1])
        return ticks(self.intensity.inverse(counts))

    def mean_count(self, start: float, end: float) -> float:
        return self.intensity.count(end) - self.intensity.count(start)

    def highest_rate(self, horizon: float) -> float:
        return self.intensity.highest(horizon)

    def counts(self, edges: FloatArray, replications: int, rng: np.random.Generator) -> IntArray:
        if isinstance(self.intensity, _Switching):
            raise ValueError("bursts last from one period into the next")
        expected = np.maximum(np.diff([self.intensity.count(edge) for edge in edges.tolist()]), 0.0)
        return rng.poisson(expected, (replications, expected.size))


class _Constant:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def count(self, t: float) -> float:
        return self.rate * t

    def highest(self, horizon: float) -> float:
        del horizon  # the same at all times
        return self.rate

    def inverse(self, counts: FloatArray) -> FloatArray:
        return counts / self.rate


class _Cosine:
    """rate(t) = mean (1 + a cos(2 pi (t - peak) / period)); its integral is inverted to a nanosecond."""

    def __init__(self, spec: Diurnal) -> None:
        self.rate = spec.mean
        self.turn = 2 * math.pi / spec.period
        self.swing = spec.amplitude / self.turn
        self.peak = spec.peak

    def _count(self, t: FloatArray) -> FloatArray:
        wave = np.sin(self.turn * (t - self.peak)) + math.sin(self.turn * self.peak)
        result: FloatArray = self.rate * (t + self.swing * wave)
        return result

    def count(self, t: float) -> float:
        return float(self._count(np.array(t)))

    def highest(self, horizon: float) -> float:
        del horizon  # the peak, whether or not it comes before
        return self.rate * (1 + self.swing * self.turn)

    def inverse(self, counts: FloatArray) -> FloatArray:
        """Newton's method, and bisection where a hair decides which tick the time is rounded to, or Newton's is not there yet.

        So the ticks are those of bisection alone, at a sixth of its cost. It begins between `NODES` of the rising `counts`.
        """
        nodes = counts[np.linspace(0, counts.size - 1, NODES).astype(int)]
        times, _ = self._newton(nodes, nodes / self.rate)
        times, step = self._newton(counts, np.interp(counts, nodes, times))
        hair = 3 * PRECISE + 32 * np.spacing(times)
        unsure = (np.abs(step) > PRECISE) | (ticks(times - hair) != ticks(times + hair))
        times[unsure] = self._bisected(counts[unsure])
        return np.maximum.accumulate(times)

    def _newton(self, counts: FloatArray, times: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The times of `counts` from nearby ones, and the last step of each."""
        low, high = self._ends(counts)
        for _ in range(NEWTON):
            missing = counts - self._count(times)
            steepness = self.rate * (1 + self.swing * self.turn * np.cos(self.turn * (times - self.peak)))
            step = np.divide(missing, steepness, out=np.zeros_like(times), where=steepness > 0)
            times = np.clip(times + step, low, high)
            if np.abs(step).max() <= PRECISE:
                break
        return times, step

    def _ends(self, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Between which times `counts` are reached."""
        near = counts / self.rate
        return np.maximum(near - 2 * self.swing, 0.0), near + 2 * self.swing

    def _bisected(self, counts: FloatArray) -> FloatArray:
        low, high = self._ends(counts)
        for _ in range(max(1, math.ceil(math.log2(4 * self.swing / PRECISE + 2)))):
            middle = (low + high) / 2
            below = self._count(middle) < counts
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return high


class _Switching:
    """The path of the two states, drawn as far as it is asked for; the expected count is piecewise linear in time."""

    def __init__(self, spec: Bursty, streams: Streams, name: str) -> None:
        self.spec = spec
        share_high = spec.stay_high / (spec.stay_low + spec.stay_high)
        self.rate = spec.low + (spec.high - spec.low) * share_high
        self._rng = streams.generator(name)
        self._high = bool(self._rng.random() < share_high)
        self._times: FloatArray = np.zeros(1)
        self._counts: FloatArray = np.zeros(1)

    def _extend(self) -> None:
        """A thousand more stays, in turn in the one state and in the other."""
        spec, stays = self.spec, self._rng.standard_exponential(1000)
        high = (np.arange(stays.size) % 2 == 0) == self._high
        lasting = stays * np.where(high, spec.stay_high, spec.stay_low)
        expected = lasting * np.where(high, spec.high, spec.low)
        self._times = np.concatenate([self._times, np.cumsum(np.append(self._times[-1], lasting))[1:]])
        self._counts = np.concatenate([self._counts, np.cumsum(np.append(self._counts[-1], expected))[1:]])

    def count(self, t: float) -> float:
        while self._times[-1] < t:
            self._extend()
        return float(np.interp(t, self._times, self._counts))

    def highest(self, horizon: float) -> float:
        del horizon  # a burst may come at any time
        return self.spec.high

    def inverse(self, counts: FloatArray) -> FloatArray:
        while self._counts[-1] < counts[-1]:
            self._extend()
        return np.interp(counts, self._counts, self._times)


class _Fixed:
    def __init__(self, every: float, offset: float) -> None:
        self.every = every
        self.offset = offset
        self.long_run_rate = 1 / every

    def block(self, number: int) -> FloatArray:
        index = np.arange(number * BLOCK, (number + 1) * BLOCK, dtype=np.float64)
        return ticks(self.offset + index * self.every)

    def mean_count(self, start: float, end: float) -> float:
        until_start, until_end = (max(0, math.ceil((t - self.offset) / self.every)) for t in (start, end))
        return float(until_end - until_start)

    def highest_rate(self, horizon: float) -> float:
        del horizon  # the same at all times
        return self.long_run_rate

    def counts(self, edges: FloatArray, replications: int, rng: np.random.Generator) -> IntArray:
        del edges, replications, rng
        raise ValueError("fixed arrivals come at exact times")


class _Scheduled:
    """A schedule by the clock: the k-th of its moments makes one event, at most `within` later, in the order in which they come."""

    def __init__(self, spec: CronArrivals, streams: Streams, name: str, horizon: float) -> None:
        self.spec = spec
        self.long_run_rate = spec.long_run_rate
        self._streams = streams
        self._name = name
        self._moments = itertools.takewhile(lambda moment: moment < horizon, spec.moments())
        self._due: list[float] = []
        self._next = next(self._moments, math.inf)
        self._taken = 0
        self._delays: FloatArray = np.zeros(0)

    def block(self, number: int) -> FloatArray:
        del number  # asked in order
        times: list[float] = []
        while len(times) < BLOCK:
            if self._next < math.inf and (not self._due or self._due[0] >= self._next):
                heapq.heappush(self._due, self._next + self._delay())
                self._next = next(self._moments, math.inf)
            elif self._due:
                t = heapq.heappop(self._due)
                times += [t] if t >= 0 else []
            else:
                break
        return ticks(np.array(times))

    def _delay(self) -> float:
        """How long after its moment the next event comes (s)."""
        number, place = divmod(self._taken, BLOCK)
        if not place:
            self._delays = self._streams.generator(self._name, number).random(BLOCK) * self.spec.within
        self._taken += 1
        return float(self._delays[place])

    def mean_count(self, start: float, end: float) -> float:
        within = self.spec.within
        total = 0.0
        for moment in self.spec.moments():
            if moment >= end:
                break
            if within > 0:
                total += max(min(moment + within, end) - max(moment, start), 0.0) / within
            else:
                total += moment >= start
        return total

    def highest_rate(self, horizon: float) -> float:
        """The events that may come in the densest `within`, a minute at least, over that time."""
        span = max(self.spec.within, MINUTE)
        moments = list(itertools.takewhile(lambda moment: moment < horizon, self.spec.moments()))
        until = np.searchsorted(moments, np.array(moments) + span)
        return float((until - np.arange(len(moments))).max(initial=0)) / span

    def counts(self, edges: FloatArray, replications: int, rng: np.random.Generator) -> IntArray:
        del edges, replications, rng
        raise ValueError("scheduled events come one by one")


class _Replay:
    """A trace, period by period, each with its own stream: pass by pass, or hours of it as `drawn_rows` draws them."""

    def __init__(self, spec: TraceFile, trace: Trace, streams: Streams, name: str, horizon: float) -> None:
        self.spec = spec
        self._streams = streams
        self._name = name
        self._horizon = horizon
        self._length = trace.length
        self._period = trace.period
        self._periods = round(trace.length / trace.period)
        self._counts = trace.counts
        self._times = trace.times
        self._per_period = trace.per_period
        self._edges = np.concatenate([[0], np.cumsum(self._per_period)])
        self._busy = np.flatnonzero(self._per_period)
        self.long_run_rate = float(self._per_period.sum()) * spec.scale * spec.speed / trace.length
        self._served = 0
        self._left: FloatArray = np.zeros(0)
        self._drawn: IntArray = np.zeros((0, 0), np.int64)

    def block(self, number: int) -> FloatArray:
        del number  # asked in order
        parts = [self._left]
        held = self._left.size
        while held < BLOCK and (period := self._next()) is not None:
            times = self._of_period(*period)
            parts.append(times)
            held += times.size
        everything = np.concatenate(parts)
        self._left = everything[BLOCK:]
        return everything[:BLOCK]

    def _next(self) -> tuple[int, int, float] | None:
        """The next period in which anything may come: its number, which recorded one it is, and by how many seconds it comes later."""
        self._served += 1
        if self.spec.draw == "blocks":
            rows = self._rows(1)[0]
            while self._served <= rows.size:
                place = int(rows[self._served - 1])
                if self._per_period[place]:
                    return self._served - 1, place, (self._served - 1 - place) * self._period
                self._served += 1
            return None
        if not self._busy.size or (self._served > self._busy.size and not self.spec.repeat):
            return None
        lap, which = divmod(self._served - 1, self._busy.size)
        place = int(self._busy[which])
        return lap * self._periods + place, place, lap * self._length

    def _rows(self, replications: int) -> IntArray:
        """With `draw: blocks`, which recorded period each one up to the horizon is: shape (replications, periods)."""
        if self._drawn.shape[0] != replications:
            periods = max(math.ceil(self._horizon / self._period), 1)
            self._drawn = drawn_rows(self._streams, periods, self._periods, self._period, replications)
        return self._drawn

    def _of_period(self, number: int, place: int, later: float) -> FloatArray:
        rng = self._streams.generator(self._name, number)
        whole, part = divmod(self.spec.scale, 1.0)
        count = int(self._per_period[place])
        copies = int(whole) + (rng.random(count) < part)
        if self._times is None:
            times = place * self._period + self._period * rng.random(int(copies.sum()))
        else:
            given = self._times[self._edges[place] : self._edges[place + 1]]
            times = np.repeat(given, copies)
            copied = np.arange(times.size) > np.repeat(np.cumsum(copies) - copies, copies)
            room = (place + 1) * self._period - times
            times = times + copied * rng.random(times.size) * np.minimum(1.0, room)
        return ticks(np.sort(later + times) / self.spec.speed)

    def mean_count(self, start: float, end: float) -> float:
        if self.spec.draw == "blocks":
            return self.long_run_rate * (end - start)
        edges = np.arange(self._periods + 1) * self._period
        counts = np.concatenate([[0.0], np.cumsum(self._per_period)]) * self.spec.scale

        def until(t: float) -> float:
            lap, rest = divmod(max(t, 0.0) * self.spec.speed, self._length)
            if not self.spec.repeat and lap >= 1:
                return float(counts[-1])
            return float(lap * counts[-1] + np.interp(rest, edges, counts))

        return until(end) - until(start)

    def highest_rate(self, horizon: float) -> float:
        last = None if self.spec.draw == "blocks" else math.ceil(horizon * self.spec.speed / self._period)
        return float(self._per_period[:last].max(initial=0)) * self.spec.scale * self.spec.speed / self._period

    def counts(self, edges: FloatArray, replications: int, rng: np.random.Generator) -> IntArray:
        if self._times is not None:
            raise ValueError("time stamps are exact times")
        result = np.zeros((replications, edges.size - 1), np.int64)
        lasting = self._period / self.spec.speed
        periods = np.floor(edges[:-1] / lasting + 1e-9).astype(int)
        if (edges[1:] > (periods + 1) * lasting + 1e-6).any():
            raise ValueError(
                f"a period of the trace ({lasting:g} s at its speed) and one of the metrics do not divide each other"
            )
        whole, part = divmod(self.spec.scale, 1.0)
        for number in np.unique(periods):
            given: Any
            if self.spec.draw == "blocks":
                given = self._per_period[self._rows(replications)[:, number]]
            else:
                lap, place = divmod(int(number), self._periods)
                if lap and not self.spec.repeat:
                    break
                given = int(self._per_period[place])
            copies = given * int(whole) + rng.binomial(given, part, replications)
            bins = np.flatnonzero(periods == number)
            shares = (edges[bins + 1] - edges[bins]) / lasting
            result[:, bins] = rng.multinomial(copies, [*shares, max(0.0, 1.0 - shares.sum())])[:, :-1]
        return result


_CHECKED = 10_000
"""Times up to the horizon at which an expected count is looked at before it is used."""
_FINEST = 1_000_000
"""Parts of the horizon at most in which its highest rate is looked for."""
_ROUNDING = 1e-9


def check_expected(custom: Any, horizon: float) -> None:
    """Raises ValueError unless `expected` begins at 0 and rises over the times up to `horizon` (s)."""
    times = np.linspace(0.0, horizon, _CHECKED)
    counts = np.asarray(custom.expected(times), np.float64)
    name = f"expected() of {custom.type}"
    if counts.shape != times.shape:
        got = f"got the shape {counts.shape} for times of the shape {times.shape}"
        raise ValueError(f"{name} returns a count for each time, {got}; use numpy's functions, such as np.clip")
    if counts[0] != 0 or not np.isfinite(counts).all():
        raise ValueError(f"{name} must be 0 at 0 s and finite, got {counts[0]:g} to {counts[-1]:g}")
    falls = np.diff(counts) < -_ROUNDING * max(float(counts[-1]), 1.0)
    if falls.any():
        raise ValueError(f"{name} must never fall, got a fall after {times[int(np.argmax(falls))]:g} s")


class Expected:
    """The intensity of user-defined arrivals with `expected`: its inverse is found by bisection to a nanosecond.

    Arrivals after the `horizon` (s), which nothing reads, are put at it.
    """

    def __init__(self, custom: Any, horizon: float) -> None:
        self.custom = custom
        self.rate = float(custom.mean_rate)
        self.horizon = horizon

    def count(self, t: float) -> float:
        """Expected arrivals in [0, t)."""
        return float(self.custom.expected(np.array([t]))[0])

    def highest(self, horizon: float) -> float:
        """The highest rate (1/s) before the horizon (s), on average over a second, or over a part of a very long one."""
        cells = min(max(math.ceil(horizon), _CHECKED), _FINEST)
        counts = np.asarray(self.custom.expected(np.linspace(0.0, horizon, cells + 1)), np.float64)
        return float(np.diff(counts).max()) * cells / horizon

    def inverse(self, counts: FloatArray) -> FloatArray:
        """The times (s) until which `counts` arrivals are expected, elementwise; at most the horizon."""
        low, high = np.zeros(counts.shape), np.full(counts.shape, self.horizon)
        for _ in range(math.ceil(math.log2(self.horizon / 1e-9 + 2))):
            middle = (low + high) / 2
            below = self.custom.expected(middle) < counts
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.maximum.accumulate(high)


class Listed:
    """User-defined arrivals with `times`, taken from their generator one by one until the `horizon` (s)."""

    def __init__(self, custom: Any, rng: np.random.Generator, horizon: float) -> None:
        self.name = custom.type
        self.long_run_rate = float(custom.mean_rate)
        self._times = itertools.takewhile(lambda t: t < horizon, custom.times(rng))
        self._last = 0.0

    def block(self, number: int) -> FloatArray:
        """As `ArrivalProcess` has it; raises ScenarioError for times that fall."""
        del number  # asked in order
        times = np.fromiter(itertools.islice(self._times, BLOCK), np.float64)
        steps = np.diff(times, prepend=self._last)
        if not (steps >= 0).all():
            late = int(np.argmin(steps >= 0))
            before = self._last if late == 0 else times[late - 1]
            problem = f"times() of {self.name} must never fall, got {times[late]:g} s after {before:g} s"
            raise ScenarioError([f"traffic: arrivals.custom: {problem}"])
        self._last = float(times[-1]) if times.size else self._last
        return ticks(times)

    def mean_count(self, start: float, end: float) -> float:
        """Expected arrivals in [start, end) at the long-run rate: the generator tells nothing finer."""
        return self.long_run_rate * (end - start)

    def highest_rate(self, horizon: float) -> float:
        """The long-run rate: the generator tells nothing finer."""
        del horizon
        return self.long_run_rate

    def counts(self, edges: FloatArray, replications: int, rng: np.random.Generator) -> IntArray:
        """Raises ValueError: counts cannot be drawn where arrivals are not independent given their number."""
        del edges, replications, rng
        raise ValueError(f"{self.name} gives its arrivals one by one")
