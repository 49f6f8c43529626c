"""The alarms of a rollout at work: what they see in the metrics, and the state they are in, for a batch at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from rollout_sim.control.alarms import (
    ALARM,
    COMPARE,
    INSUFFICIENT_DATA,
    OK,
    Alarm,
    Missing,
    States,
    evaluate_range,
    evaluation_range,
)
from rollout_sim.control.metrics import Metrics, Scope
from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray

ROUNDING: Final = 1e-6
"""Seconds by which an instant may miss a boundary for want of float precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnSource:
    """What a burn rate counts: an SLO's objective (a fraction), its bad events, and the traffic before time zero.

    Bad events are errors and throttles, over invocations and throttles; with `slow` they are the invocations above
    `metrics.slow_thresholds[slow]`, over invocations. The history is in expected events per second. `targets` are
    counted instead of the alarm's scope where the SLO is about another alias than the rollout's.
    """

    objective: float
    slow: int | None = None
    history_invocations: float = 0.0
    history_bad: float = 0.0
    targets: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.objective < 1:
            raise ValueError(f"objective: leaves no error budget, got {self.objective:g}; allowed 0 up to but not 1")


class AlarmEvaluator:
    """The alarms of a rollout, in every replication: what they see in the metrics, and the state they are in.

    `states` has the shape (replications, alarms), in the order of `names`, and holds codes of `STATES`.
    """

    def __init__(
        self,
        alarms: Mapping[str, Alarm],
        *,
        metrics: Metrics,
        objectives: Mapping[str, BurnSource],
    ) -> None:
        self.names = tuple(alarms)
        self.states: States = np.full((metrics.replications, len(alarms)), INSUFFICIENT_DATA, np.int8)
        self._alarms = tuple(alarms.values())
        self._metrics = metrics
        self._objectives = objectives
        for name, alarm in alarms.items():
            self._check(name, alarm)

    def _check(self, name: str, alarm: Alarm) -> None:
        ratio = alarm.period / self._metrics.resolution
        if ratio < 1 or abs(ratio - round(ratio)) > ROUNDING:
            raise ValueError(
                f"alarm {name!r}: the period must be a whole multiple of the metrics' resolution "
                f"({self._metrics.resolution:g} s), got {alarm.period:g} s"
            )
        if alarm.slo is not None and alarm.slo not in self._objectives:
            known = ", ".join(self._objectives) or "none"
            raise ValueError(f"alarm {name!r}: no such SLO, got {alarm.slo!r}; allowed {known}")
        wanted = alarm.percentile
        if wanted is not None and self._metrics.scopes[alarm.of] and wanted not in self._metrics.percentiles:
            raise ValueError(f"alarm {name!r}: the metrics do not hold {wanted}")

    def next_time(self, t: float) -> float:
        """The first instant after `t` at which an alarm is evaluated (s); infinity when there are no alarms."""
        return min(
            ((math.floor((t + ROUNDING) / alarm.interval) + 1) * alarm.interval for alarm in self._alarms),
            default=math.inf,
        )

    def evaluate(self, t: float, active: BoolArray | None = None) -> BoolArray:
        """Evaluates the alarms due at `t` and says which changed state: shape (replications, alarms).

        The newest period seen is the newest that ended, `lag` included, at or before `t`; the datapoints are
        those in the metrics now. Periods before time zero are missing. `active` of shape (replications,)
        leaves the other replications as they are.
        """
        before = self.states.copy()
        for column, alarm in enumerate(self._alarms):
            if abs(t - round(t / alarm.interval) * alarm.interval) <= ROUNDING:
                previous = before[:, column]
                states = self._burning(alarm, t) if alarm.slo is not None else self._m_of_n(alarm, t, previous)
                self.states[:, column] = states if active is None else np.where(active, states, previous)
        changed: BoolArray = self.states != before
        return changed

    def _m_of_n(self, alarm: Alarm, t: float, previous: States) -> States:
        stop = _ended(t - alarm.lag, alarm.period)
        points = self._points(alarm, stop - evaluation_range(alarm.n), stop)
        breaching = COMPARE[alarm.comparator](points, alarm.limit)
        return evaluate_range(points, breaching, alarm.n, alarm.m, cast(Missing, alarm.missing), previous)

    def _points(self, alarm: Alarm, first: int, stop: int) -> FloatArray:
        """The datapoints of the periods [first, stop): shape (replications, stop - first), NaN where there is none."""
        targets = self._metrics.scopes[alarm.of]
        if not targets:
            return np.full((self._metrics.replications, stop - first), np.nan)
        if alarm.percentile is not None:
            return _padded(self._metrics.percentiles[alarm.percentile], first, stop)

        def total(counts: IntArray | FloatArray) -> FloatArray:
            return self._metrics.total(counts, targets, alarm.period, first, stop)

        samples = total(self._metrics.invocations)
        if alarm.metric == "throttles":
            value = total(self._metrics.throttles)
            samples = samples + value
        elif alarm.metric == "duration":
            value = total(self._metrics.duration_sum)
        else:
            value = samples if alarm.metric == "invocations" else total(self._metrics.errors)
        samples = np.where(samples > 0, samples, np.nan)
        if alarm.statistic == "average":
            # Rounded, because the mean of three times 0.1 s is a hair above 0.1 s.
            return np.round(value / samples, 9)
        return np.where(np.isnan(samples), np.nan, value)

    def _burning(self, alarm: Alarm, t: float) -> States:
        """ALARM where the burn rates of both windows breach, else OK, also where there was no traffic."""
        source = self._objectives[cast(str, alarm.slo)]
        end = _ended(t - alarm.lag, 60.0) * 60.0
        states = np.full(self._metrics.replications, ALARM, np.int8)
        for window in (alarm.long, alarm.short):
            events, bad = self._events(alarm.of, source, end - window, end)
            share = np.divide(bad, events, out=np.full_like(bad, np.nan), where=events > 0)
            # Rounded, because 0.0144 / (1 - 0.999) is a hair below 14.4.
            rate = np.round(share / (1 - source.objective), 9)
            states[~COMPARE[alarm.comparator](rate, alarm.limit)] = OK
        return states

    def _events(self, of: Scope, source: BurnSource, start: float, end: float) -> tuple[FloatArray, FloatArray]:
        """Events and bad events in [start, end), each of shape (replications,), the time before zero included."""
        metrics = self._metrics
        low, high = (max(round(edge / metrics.resolution), 0) for edge in (start, end))

        def total(counts: IntArray) -> FloatArray:
            targets = metrics.scopes[of] if source.targets is None else source.targets
            parts = (counts[:, target, low:high].sum(axis=1) for target in targets)
            return sum(parts, np.zeros(metrics.replications))

        # Before time zero the old version had all the traffic.
        before = max(min(end, 0.0) - start, 0.0) if of != "new_version" else 0.0
        events = total(metrics.invocations) + source.history_invocations * before
        if source.slow is not None:
            return events, total(metrics.slow[source.slow]) + source.history_bad * before
        throttles = total(metrics.throttles)
        return events + throttles, total(metrics.errors) + throttles + source.history_bad * before


def _ended(t: float, period: float) -> int:
    """How many periods have ended at `t` (negative before time zero)."""
    return math.floor((t + ROUNDING) / period)


def _padded(values: FloatArray, first: int, stop: int) -> FloatArray:
    """The columns [first, stop) of `values`, NaN where there is no such column."""
    result = np.full((values.shape[0], stop - first), np.nan)
    low, high = max(first, 0), min(stop, values.shape[1])
    if high > low:
        result[:, low - first : high - first] = values[:, low:high]
    return result
