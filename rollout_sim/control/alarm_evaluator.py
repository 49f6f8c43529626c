"""The alarms of a rollout at work: what they see in the metrics, and the state they are in, for a batch at once.

There is one evaluation for all kinds of alarms: which periods are visible, the datapoints of those periods, which of them
breach, and M of N. Only burn rates and composite alarms come to their state otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast

import numpy as np

from rollout_sim.control.alarms import (
    ALARM,
    COMPARE,
    INSUFFICIENT_DATA,
    OK,
    Alarm,
    States,
    evaluate_range,
    evaluation_range,
)
from rollout_sim.control.expressions import in_order
from rollout_sim.control.metrics import Metrics, Scope
from rollout_sim.control.readings import POLLED, STATISTICS, TIMES, OwnMetric, Reading, samples_needed
from rollout_sim.control.slo import Slices
from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray
from rollout_sim.core.distributions import Distribution, Times
from rollout_sim.core.streams import Streams

ROUNDING: Final = 1e-6
"""Seconds by which an instant may miss a boundary for want of float precision."""
_LIKELY: Final = math.log(2)
"""Expected requests in a period from which on one is more likely than none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnSource:
    """What a burn rate counts: an SLO's objective (a fraction), its bad events or slices, and the traffic before time zero.

    Bad events are errors, failed responses and throttles, over invocations and throttles; with `slow` they are the invocations above
    `metrics.slow_thresholds[slow]`, over invocations. `history(start, end)` are the invocations expected between two times (s)
    before zero, and `history_bad` the share of them that is bad. `targets` are counted instead of the alarm's scope where the
    SLO is about another alias than the rollout's.
    """

    objective: float
    slices: Slices | None = None
    slow: int | None = None
    history: Callable[[float, float], float] = lambda _start, _end: 0.0
    history_bad: float = 0.0
    targets: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.objective < 1:
            raise ValueError(f"objective: leaves no error budget, got {self.objective:g}; allowed 0 up to but not 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The traffic before time zero, as expected: events per second at that hour, of shape (targets,).

    `forecast(start, end)` are the invocations expected of each target between two times (s), of the same shape, as if nothing
    were rolled out; it is what anomaly bands go by.
    """

    invocations: FloatArray
    errors: FloatArray
    bad: FloatArray
    """Errors, failed responses and throttles."""
    throttles: FloatArray
    durations: tuple[Times | None, ...]
    """How long the invocations of each target take; None where there are none."""
    forecast: Callable[[float, float], FloatArray]

    @property
    def seconds(self) -> FloatArray:
        """Seconds of Duration per second of time."""
        means = np.array([0.0 if duration is None else duration.mean for duration in self.durations])
        seconds: FloatArray = self.invocations * means
        return seconds

    def each(self, per_second: FloatArray) -> FloatArray:
        """How much an invocation of each target makes of what comes `per_second`: both of shape (targets,); 0 without invocations."""
        rates = self.invocations
        return np.divide(per_second, rates, out=np.zeros_like(rates), where=rates > 0)

    def main(self, targets: tuple[int, ...]) -> Times | None:
        """The durations of that of the targets which has most of the traffic."""
        busiest = max(targets, key=lambda target: self.invocations[target])
        return self.durations[busiest] if self.invocations[busiest] > 0 else None


class AlarmEvaluator:
    """The alarms of a rollout, in every replication: what they see in the metrics, and the state they are in.

    `states` has the shape (replications, alarms), in the order of `names`, and holds codes of `STATES`. `before` is the traffic
    before time zero, without which there is none; `created` (s) is when the deployment makes the alarms that are new. Lags that
    vary are drawn from the streams of `replications`.
    """

    def __init__(
        self,
        alarms: Mapping[str, Alarm],
        *,
        metrics: Metrics,
        objectives: Mapping[str, BurnSource],
        before: Before | None = None,
        created: float = 0.0,
        replications: Sequence[Streams] = (),
        own: Mapping[str, OwnMetric] = MappingProxyType({}),
    ) -> None:
        self.names = tuple(alarms)
        self.states: States = np.full((metrics.replications, len(alarms)), INSUFFICIENT_DATA, np.int8)
        self._alarms = tuple(alarms.values())
        self._totals: dict[tuple[object, ...], FloatArray] = {}
        self._warm: BoolArray = np.zeros(self.states.shape, bool)
        self._metrics = metrics
        self._objectives = objectives
        self._before = before
        self._created = created
        self._own = own
        self._draws: dict[str, FloatArray] = {}
        for name, metric in own.items():
            if metric.share < 1 and any(r.metric == name for alarm in self._alarms for r in alarm.readings.values()):
                shape = metrics.invocations.shape[1:]
                drawn = [stream.generator(f"metrics/{name}").random(shape) for stream in replications]
                self._draws[name] = np.array(drawn).reshape(metrics.invocations.shape)
        for name, alarm in alarms.items():
            self._check(name, alarm)
        rules = {name: alarm.composite.names for name, alarm in alarms.items() if alarm.composite is not None}
        plain = [column for column, alarm in enumerate(self._alarms) if alarm.composite is None]
        self._order = (*plain, *(self.names.index(name) for name in in_order(rules)))
        self._remembers = tuple(self._is_remembered(alarm) for alarm in self._alarms)
        self._visible = {
            column: self._visibility(name, alarm, alarm.lag, replications)
            for column, (name, alarm) in enumerate(alarms.items())
            if isinstance(alarm.lag, Distribution)
        }

    def _check(self, name: str, alarm: Alarm) -> None:
        if alarm.composite is not None:
            for other in alarm.composite.names:
                if other not in self.names:
                    allowed = ", ".join(self.names)
                    raise ValueError(f"alarm {name!r}: no such alarm, got {other!r}; allowed {allowed}")
            return
        for length in (alarm.step, alarm.period):
            ratio = length / self._metrics.resolution
            if ratio < 1 or abs(ratio - round(ratio)) > ROUNDING:
                raise ValueError(
                    f"alarm {name!r}: the period must be a whole multiple of the metrics' resolution "
                    f"({self._metrics.resolution:g} s), got {length:g} s"
                )
        if alarm.slo is not None and alarm.slo not in self._objectives:
            known = ", ".join(self._objectives) or "none"
            raise ValueError(f"alarm {name!r}: no such SLO, got {alarm.slo!r}; allowed {known}")
        for reading in alarm.readings.values():
            if reading.is_own and reading.metric not in self._own:
                known = ", ".join([*STATISTICS, *self._own])
                raise ValueError(f"alarm {name!r}: no such metric, got {reading.metric!r}; allowed {known}")
        for wanted in alarm.percentiles:
            if self._metrics.scopes[wanted.of] and wanted not in self._metrics.percentiles:
                raise ValueError(f"alarm {name!r}: the metrics do not hold {wanted}")

    def _is_remembered(self, alarm: Alarm) -> bool:
        """Whether the alarm looks at the time before zero.

        Not if it is new, nor where what was expected then would turn it red: it would be so before the rollout, and by no more
        than an expectation.
        """
        if self._before is None or alarm.history == "new" or not alarm.readings:
            return False
        _, breaching, _ = self._points(alarm, 0.0, 1, remembered=True)
        return not breaching.any()

    def _visibility(self, name: str, alarm: Alarm, lag: Distribution, replications: Sequence[Streams]) -> FloatArray:
        """When (s) each step's end becomes visible: shape (replications, steps)."""
        if len(replications) != self._metrics.replications:
            raise ValueError(f"alarm {name!r}: a lag that varies needs the streams of every replication")
        steps = math.ceil(self._metrics.horizon / alarm.step)
        drawn = np.array([stream.generator(f"alarms/{name}/lag").random(steps) for stream in replications])
        visible: FloatArray = np.arange(1, steps + 1) * alarm.step + lag.ppf(drawn)
        return visible

    def next_time(self, t: float) -> float:
        """The first instant after `t` at which an alarm is evaluated (s); infinity when there are no alarms."""
        return min(
            (
                (math.floor((t + ROUNDING) / alarm.interval) + 1) * alarm.interval
                for alarm in self._alarms
                if alarm.composite is None
            ),
            default=math.inf,
        )

    def evaluate(self, t: float, active: BoolArray | None = None) -> BoolArray:
        """Evaluates the alarms due at `t` and says which changed state: shape (replications, alarms).

        The newest minute seen is the newest that ended, `lag` included, at or before `t`; the datapoints are those in the
        metrics now. Composite alarms follow the others in the same instant. `active` of shape (replications,) leaves the
        other replications as they are.
        """
        before = self.states.copy()
        self._totals.clear()
        for column in self._order:
            alarm = self._alarms[column]
            previous = before[:, column]
            if alarm.composite is not None:
                of = {name: self.states[:, self.names.index(name)] for name in alarm.composite.names}
                states = np.where(alarm.composite.holds(of), ALARM, OK).astype(np.int8)
            elif abs(t - round(t / alarm.interval) * alarm.interval) <= ROUNDING:
                states = self._settle(column, t, previous)
            else:
                continue
            self.states[:, column] = states if active is None else np.where(active, states, previous)
        changed: BoolArray = self.states != before
        return changed

    def _settle(self, column: int, t: float, previous: States) -> States:
        """The states of one alarm at `t`."""
        alarm = self._alarms[column]
        if alarm.history == "new" and t < self._created - ROUNDING:
            return np.full(previous.shape, INSUFFICIENT_DATA, np.int8)
        states = previous.copy()
        for rows, end in self._ends(column, t):
            settled = self._burning(alarm, end) if alarm.slo is not None else self._m_of_n(column, end, t, previous)
            states[rows] = settled[rows]
        return states

    def _ends(self, column: int, t: float) -> Iterator[tuple[BoolArray | slice, float]]:
        """When the newest visible period ends (s), and in which replications."""
        alarm = self._alarms[column]
        visible = self._visible.get(column)
        if visible is None:
            yield slice(None), math.floor((t - cast(float, alarm.lag) + ROUNDING) / alarm.step) * alarm.step
            return
        seen = visible <= t + ROUNDING
        newest = np.where(seen.any(axis=1), seen.shape[1] - seen[:, ::-1].argmax(axis=1), 0)
        for number in np.unique(newest).tolist():
            yield newest == number, number * alarm.step

    def _m_of_n(self, column: int, end: float, t: float, previous: States) -> States:
        alarm, remembered = self._alarms[column], self._remembers[column]
        points, breaching, samples = self._points(alarm, end, alarm.n, remembered=remembered)
        gaps = np.isnan(points)
        if gaps.any():
            points, breaching, samples = self._points(alarm, end, evaluation_range(alarm.n), remembered=remembered)
        states = evaluate_range(points, breaching, alarm.n, alarm.m, alarm.missing, previous)
        if alarm.low_samples == "ignore":
            states = np.where(samples[:, -1] < samples_needed(str(alarm.statistic)), previous, states)
        if alarm.warm_up:
            warm = self._warm[:, column]
            warm |= ~gaps.any(axis=1) | (t >= self._created + alarm.warm_up - ROUNDING)
            states = np.where(warm, states, INSUFFICIENT_DATA)
        return states.astype(np.int8)

    def _points(
        self, alarm: Alarm, end: float, number: int, *, remembered: bool
    ) -> tuple[FloatArray, BoolArray, FloatArray]:
        """The datapoints of the `number` periods back to back up to `end` (s), which of them breach, and their samples.

        All of the shape (replications, number), oldest first; NaN where there is no datapoint.
        """
        read = {
            name: self._series(reading, end, number, remembered=remembered) for name, reading in alarm.readings.items()
        }
        if alarm.maths is None:
            points, samples = read[""]
        else:
            # Durations in milliseconds, as CloudWatch has them.
            factors = {name: 1000.0 if reading.kind == "duration" else 1.0 for name, reading in alarm.readings.items()}
            points = alarm.maths.compute({name: values * factors[name] for name, (values, _) in read.items()})
            samples = np.zeros_like(points)
        if alarm.band is not None:
            breaching = self._outside(alarm, end, points, samples)
        else:
            breaching = COMPARE[alarm.comparator](points, alarm.limit)
        if alarm.least:
            guard = Reading("invocations", "sum", alarm.of, alarm.period)
            few = ~(self._series(guard, end, number, remembered=remembered)[0] >= alarm.least)
            breaching = breaching & ~few
            if alarm.below == "missing":
                points = np.where(few, np.nan, points)
        return points, breaching, samples

    def _series(self, reading: Reading, end: float, number: int, *, remembered: bool) -> tuple[FloatArray, FloatArray]:
        """The values of a reading and their numbers of samples, in the periods that `_points` has."""
        if reading.metric in POLLED:
            return self._polled(reading, end, number)
        own = self._own.get(reading.metric)
        scope: Scope = reading.of if own is None else own.of
        metrics, targets, period = self._metrics, self._metrics.scopes[scope], reading.period
        if not targets:
            nothing = np.zeros((metrics.replications, number))
            return np.full_like(nothing, np.nan), nothing

        def total(counts: IntArray | FloatArray) -> FloatArray:
            # Alarms that look at the same periods of the same counts add them up once.
            key = (id(counts), targets, period, end, number)
            if key not in self._totals:
                self._totals[key] = metrics.total(counts, targets, period, end, number)
            return self._totals[key]

        past = remembered and end - number * period < 0
        before = self._before
        samples = total(metrics.invocations)
        exists = samples > 0
        usual: FloatArray = np.zeros(number)
        then: FloatArray = np.zeros((number, 1))  # invocations expected before zero of each target, of that time of day
        if past and before is not None:
            starts = [end - period * (number - k) for k in range(number)]
            then = np.array([before.forecast(start, max(min(start + period, 0.0), start)) for start in starts])
            then = then[:, list(targets)] * np.array([start < 0 for start in starts])[:, None]
            usual = then.sum(axis=1)
            samples = samples + usual
            exists = exists | (usual >= _LIKELY)
        if reading.percentile is not None:
            values = self._columns(metrics.percentiles[reading.percentile], end, number, reading)
            if past and before is not None and (durations := before.main(targets)) is not None:
                filled = np.isnan(values) & (usual >= _LIKELY)
                values = np.where(filled, _usual_duration(durations, reading), values)
            return values, samples
        if own is not None:
            value = metrics.total(
                self._counted(reading.metric, own, end, number * period), targets, period, end, number
            )
            if past and before is not None:
                per_second = before.bad - before.throttles if own.counts == "bad_requests" else before.invocations
                value = value + then @ before.each(per_second)[list(targets)] * own.share
        elif reading.metric == "throttles":
            value = total(metrics.throttles)
            exists = exists | (value > 0)
            if past and before is not None:
                value = value + then @ before.each(before.throttles)[list(targets)]
            samples = samples + value
        elif reading.metric == "responses_5xx":
            refused = total(metrics.throttles)
            value = refused + total(metrics.errors) + total(metrics.failed_responses)
            exists = exists | (refused > 0)
            if past and before is not None:
                refused = refused + then @ before.each(before.throttles)[list(targets)]
                value = value + then @ before.each(before.bad)[list(targets)]
            samples = samples + refused
        elif reading.metric in TIMES:
            value = total(metrics.duration_sum if reading.metric == "duration" else metrics.latency_sum)
            if past and before is not None:
                value = value + then @ before.each(before.seconds)[list(targets)]
        elif reading.metric == "invocations":
            value = samples
        else:
            value = total(metrics.errors)
            if past and before is not None:
                value = value + then @ before.each(before.errors)[list(targets)]
        return np.where(exists, _statistic(reading.statistic, value, samples), np.nan), samples

    def _polled(self, reading: Reading, end: float, number: int) -> tuple[FloatArray, FloatArray]:
        """`_series` of a metric of what Lambda polls; before time zero there is nothing."""
        metrics, period = self._metrics, reading.period
        if reading.metric == "iterator_age":
            targets = metrics.scopes[reading.of]
            batches = metrics.total(metrics.iterator_batches, targets, period, end, number)
            if reading.statistic == "maximum":
                value = metrics.parts(metrics.iterator_age_max, targets, period, end, number, 0.0).max(
                    axis=(1, 3), initial=0.0
                )
            else:
                value = metrics.total(metrics.iterator_age_sum, targets, period, end, number)
                value = _statistic(reading.statistic, value, batches)
            return np.where(batches > 0, value, np.nan), batches
        queues = metrics.queues.get(reading.of, ())
        samples = metrics.parts(metrics.gauges[reading.metric], queues, period, end, number, np.nan)
        # Of several queues the oldest message counts, and the messages of all together.
        each = samples.max(axis=1, initial=-np.inf) if reading.metric == "oldest_message_age" else samples.sum(axis=1)
        there = ~np.isnan(each) & bool(queues)
        known = there.sum(axis=2)
        if reading.statistic == "average":
            value = np.divide(each.sum(axis=2, where=there), known, out=np.zeros(known.shape), where=known > 0)
        elif reading.statistic == "minimum":
            value = each.min(axis=2, initial=np.inf, where=there)
        else:
            value = each.max(axis=2, initial=-np.inf, where=there)
        return np.where(known > 0, value, np.nan), known.astype(float)

    def _counted(self, name: str, own: OwnMetric, end: float, length: float) -> IntArray:
        """What an own metric counts in each period of the metrics' resolution, up to `end` (s); before the `length` (s) nothing.

        Of n events it counts a binomial number, the quantile of one fixed uniform for each period and target: so the number
        never falls when late invocations come, and is the same on every data plane.
        """
        metrics = self._metrics
        counts = metrics.invocations
        if own.counts == "bad_requests":
            counts = metrics.errors + metrics.failed_responses
        if own.share == 1:
            return counts
        from scipy.stats import binom

        stop = max(min(round(end / metrics.resolution), metrics.periods), 0)
        low = min(max(round((end - length) / metrics.resolution), 0), stop)
        result, part = np.zeros_like(counts), counts[:, :, low:stop]
        occupied = part > 0
        draws = self._draws[name][:, :, low:stop]
        result[:, :, low:stop][occupied] = binom.ppf(draws[occupied], part[occupied], own.share)
        return result

    @staticmethod
    def _columns(values: FloatArray, end: float, number: int, reading: Reading) -> FloatArray:
        """What the metrics hold for the periods back to back up to `end` (s), NaN where they hold nothing."""
        assert reading.percentile is not None
        every = reading.percentile.every
        columns = round(end / every) - 1 - round(reading.period / every) * np.arange(number - 1, -1, -1)
        there = (columns >= 0) & (columns < values.shape[1])
        result = np.full((values.shape[0], number), np.nan)
        result[:, there] = values[:, columns[there]]
        return result

    def _outside(self, alarm: Alarm, end: float, points: FloatArray, samples: FloatArray) -> BoolArray:
        """Which points lie outside the band of what the traffic's forecast makes expect of the old version."""
        assert self._before is not None
        assert alarm.band is not None
        reading, number = alarm.readings[""], points.shape[1]
        targets = list(self._metrics.scopes[reading.of])
        before = self._before
        starts = [end - alarm.period * (number - k) for k in range(number)]
        counts = np.array([before.forecast(start, start + alarm.period)[targets] for start in starts])
        rates = before.invocations[targets]
        shares = np.divide(before.errors[targets], rates, out=np.zeros(len(targets)), where=rates > 0)
        if reading.statistic in ("sum", "sample_count"):
            mean = (counts * shares if reading.metric == "errors" and reading.statistic == "sum" else counts).sum(
                axis=1
            )
            spread = np.sqrt(mean) * np.ones_like(points)
        else:
            durations = before.main(tuple(targets))
            if reading.metric != "duration":
                mean = np.full(number, float((shares * rates).sum() / max(rates.sum(), 1e-300)))
                deviation = np.sqrt(mean * (1 - mean))
            else:
                quantiles = np.zeros(1) if durations is None else durations.ppf(np.arange(0.5, 2000) / 2000)
                mean, deviation = np.full(number, quantiles.mean()), np.full(number, quantiles.std())
            spread = deviation / np.sqrt(np.maximum(samples, 1.0))
        low, high = points < mean - alarm.band * spread, points > mean + alarm.band * spread
        outside: BoolArray = {"below": low, "above": high, "outside": low | high}[alarm.comparator]
        return outside

    def _burning(self, alarm: Alarm, end: float) -> States:
        """ALARM where the burn rates of both windows breach, else OK, also where there was no traffic."""
        source = self._objectives[cast(str, alarm.slo)]
        states = np.full(self._metrics.replications, ALARM, np.int8)
        for window in (alarm.long, alarm.short):
            if source.slices is not None:
                share = self._bad_slices(alarm.of, source, source.slices, window, end)
            else:
                events, bad = (counts[:, 0] for counts in self._events(alarm.of, source, end - window, end))
                share = np.divide(bad, events, out=np.full_like(bad, np.nan), where=events > 0)
            # Rounded, because 0.0144 / (1 - 0.999) is a hair below 14.4.
            rate = np.round(share / (1 - source.objective), 9)
            states[~COMPARE[alarm.comparator](rate, alarm.limit)] = OK
        return states

    def _bad_slices(self, of: Scope, source: BurnSource, slices: Slices, window: float, end: float) -> FloatArray:
        """How bad the newest slices that are over at `end` and make up the `window` (s) are on average: (replications,)."""
        number, newest = round(window / slices.every), math.floor(end / slices.every + ROUNDING) * slices.every
        events, bad = self._events(of, source, newest - window, newest, number)
        share: FloatArray = slices.badness(bad, events).mean(axis=1)
        return share

    def _events(
        self, of: Scope, source: BurnSource, start: float, end: float, number: int = 1
    ) -> tuple[FloatArray, FloatArray]:
        """Events and bad events in [start, end), cut into `number` parts of equal length, the time before zero included.

        Each has the shape (replications, number), oldest first.
        """
        metrics, length = self._metrics, (end - start) / number

        def total(counts: IntArray) -> FloatArray:
            targets = metrics.scopes[of] if source.targets is None else source.targets
            return metrics.total(counts, targets, length, end, number)

        before = np.zeros(number)
        if of != "new_version":  # before time zero the old version had all the traffic
            past = min(math.ceil(-start / length - ROUNDING), number)
            for k in range(past):
                before[k] = source.history(start + k * length, min(start + (k + 1) * length, 0.0))
        events = total(metrics.invocations) + before
        if source.slow is not None:
            return events, total(metrics.slow[source.slow]) + source.history_bad * before
        throttles = total(metrics.throttles)
        failed = total(metrics.errors) + total(metrics.failed_responses)
        return events + throttles, failed + throttles + source.history_bad * before


def _statistic(statistic: str, value: FloatArray, samples: FloatArray) -> FloatArray:
    """A statistic of events that are each 0 or 1, or of durations that add up to `value`."""
    if statistic == "sum":
        return value
    if statistic == "sample_count":
        return samples
    if statistic == "maximum":
        return (value > 0).astype(float)
    if statistic == "minimum":
        return (value >= samples).astype(float)
    # Rounded, because the mean of three times 0.1 s is a hair above 0.1 s.
    mean = np.divide(value, samples, out=np.full_like(value, np.nan), where=samples > 0)
    return np.asarray(np.round(mean, 9), np.float64)


def _usual_duration(durations: Times, reading: Reading) -> float:
    """The percentile or trimmed mean of a distribution that a reading asks for."""
    assert reading.percentile is not None
    share = reading.percentile.share
    if not reading.percentile.trimmed:
        return float(durations.ppf(np.array([min(share, 1 - 1e-6)]))[0])
    return float(durations.ppf(share * np.arange(0.5, 2000) / 2000).mean())
