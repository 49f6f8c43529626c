"""The recorded plane: what the alarms would have seen of recorded minutes, had a rollout begun then; a batch of beginnings at once.

A replication is a beginning. Nothing of the traffic is drawn: the requests, errors and throttles of each minute are those that
were recorded. What is drawn is which of them the new version would have served, by the alias's weight (a binomial number of
the invocations, of the errors among them a hypergeometric one), and what a fault of the new version would have added, by the
rules of `function.faults`. So a new version without faults is exactly as good as what served the recorded requests.

What a recorded minute does not tell is approximated, or `shortcomings` says that it cannot be done: invocations are over by the
end of their minute; durations lie on a curve through the minute's recorded figures (`core.curves`).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from rollout_sim.control.metrics import Metrics, Percentile
from rollout_sim.control.strategies import Hook
from rollout_sim.core.arrays import FloatArray, IntArray, Mask
from rollout_sim.core.curves import FEWEST, MEASURED, DurationCurves, curves_of
from rollout_sim.core.minutes import Minutes
from rollout_sim.core.units import TICK
from rollout_sim.function import faults
from rollout_sim.planes.base import Answers, PlaneTotals
from rollout_sim.planes.draws import NO_USER_QUANTILE
from rollout_sim.scenario.scenario import Scenario

_ROUNDING: Final = TICK / 2
_RECORDED: Final = ("invocations", "errors", "throttles", "error_rate", "duration", "responses_5xx", "burn_rate")
_STATEFUL: Final = {"leak": "leaks", "load": "load", "subset": "users", "init": "cold starts"}


def shortcomings(scenario: Scenario, recording: Minutes) -> tuple[str, ...]:
    """The reasons why recorded minutes do not tell what the scenario's alarms would have seen; none where they do."""
    assert scenario.new is not None
    reasons = [
        f"version {scenario.new}: its failures depend on {_STATEFUL[fault.kind]}"
        for fault in scenario.faults_of(scenario.new)
        if fault.kind in _STATEFUL
    ]
    period = recording.period
    slower = any(f.latency is not None and f.share < 1 for f in scenario.faults_of(scenario.new))
    for name in scenario.evaluated:
        alarm = scenario.alarms[name]
        if alarm.band is not None:
            reasons.append(f"alarm {name}: learns an anomaly band")
        if alarm.readings and any(length % period for length in (alarm.step, alarm.period)):
            reasons.append(f"alarm {name}: its periods are no whole number of recorded ones ({period:g} s)")
        if alarm.slo is not None and any(
            s.name == alarm.slo and s.alias not in (None, scenario.alias) for s in scenario.slos
        ):
            reasons.append(f"alarm {name}: reads the budget of another alias")
        if any(slo.name == alarm.slo and slo.slices is not None for slo in scenario.slos):
            reasons.append(f"alarm {name}: reads a budget of time slices, which begin at no recorded moment")
        for slo in scenario.slos:
            if slo.name == alarm.slo and slo.latency is not None:
                reasons += _unrecorded(name, recording, slo.objective)
        for reading in alarm.readings.values():
            wanted = reading.percentile
            if not reading.is_own and reading.metric not in _RECORDED:
                what = "the front door's latency" if reading.metric == "latency" else reading.metric
                reasons.append(f"alarm {name}: reads {what}, which is not among the recorded figures")
            if reading.of == "function" and any(source.alias != scenario.alias for source in scenario.traffic):
                reasons.append(f"alarm {name}: reads the function as a whole, with the traffic of other aliases")
            if reading.metric == "duration" and reading.statistic != "sample_count":
                reasons += _unrecorded(name, recording, None if wanted is None else wanted.share)
            if wanted is not None and (
                wanted.trimmed or wanted.period != period or wanted.share < min(MEASURED.values())
            ):
                reasons.append(
                    f"alarm {name}: reads more of durations than the percentiles of single minutes from p50 on"
                )
            if wanted is not None and slower:
                reasons.append(f"alarm {name}: reads durations of which a share is slower")
    return tuple(dict.fromkeys(reasons))


def _unrecorded(alarm: str, recording: Minutes, share: float | None) -> list[str]:
    """Why an `alarm` cannot read the duration of a `share` of the invocations, or their average (None); empty where it can."""

    def known(column: str) -> bool:
        return not np.isnan(recording.columns[column]).all()

    missing = ["duration_p50_ms"] if not known("duration_p50_ms") else []
    if share is None and not known("duration_average_ms"):
        missing.append("duration_average_ms")
    above = [column for column, at in MEASURED.items() if share is not None and at >= share]
    if above and not any(map(known, above)):
        missing.append(" or ".join(above))
    return [f"alarm {alarm}: reads durations, of which {column} was not recorded" for column in dict.fromkeys(missing)]


def approximated(scenario: Scenario, recording: Minutes) -> tuple[str, ...]:
    """What recorded minutes leave open and is assumed, a sentence each."""
    notes = ["a recorded invocation counts as over by the end of its minute"]
    if any(source.polled and source.alias == scenario.alias for source in scenario.traffic):
        notes.append(
            "a recorded invocation of what is polled is a batch; a fault hits it as it would a batch of one record"
        )
    alarms = [scenario.alarms[name] for name in scenario.evaluated]
    readings = [reading for alarm in alarms for reading in alarm.readings.values()]
    late = {slo.name for slo in scenario.slos if slo.latency is not None}
    if any(reading.kind == "duration" for reading in readings) or any(alarm.slo in late for alarm in alarms):
        notes.append("durations lie on a curve through each minute's recorded figures")
        if (curves := _curves(recording)) is not None:
            called = int((recording.invocations > 0).sum())
            notes += [
                f"{column} is missing in {count:,} of {called:,} minutes with invocations, and taken from what else is known of them"
                for column, count in curves.missing.items()
            ]
    if any(reading.metric == "responses_5xx" for reading in readings):
        notes.append("failed responses are not among the recorded figures: 5xx counts errors and throttles")
    return tuple(notes)


class RecordedPlane:
    """A `DataPlane` whose time 0 is, in each replication, the beginning of another recorded minute: `begins` (replications,).

    The minutes that it goes through are all in the `recording`. What is drawn comes from `rng`.
    """

    def __init__(
        self, scenario: Scenario, recording: Minutes, begins: IntArray, metrics: Metrics, rng: np.random.Generator
    ) -> None:
        assert scenario.new is not None
        self._scenario = scenario
        self._recording = recording
        self._begins = begins
        self._metrics = metrics
        self._rng = rng
        self._now = 0.0
        places = {(target.alias, target.version): k for k, target in enumerate(metrics.targets)}
        self._old, self._new = (places[scenario.alias, version] for version in (scenario.old, scenario.new))
        self._rows = faults.rows_of(scenario.faults_of(scenario.new), scenario.start)
        self._counts = tuple(
            np.nan_to_num(recording.columns[name]).astype(np.int64) for name in ("invocations", "errors", "throttles")
        )
        self._curves = _curves(recording)
        average = recording.columns["duration_average_ms"] / 1000
        self._means = average if self._curves is None else np.where(np.isnan(average), self._curves.means, average)
        self._left: tuple[IntArray, ...] = ()
        size = begins.size
        self._requests, self._bad, self._bad_new, self._added = (np.zeros(size, np.int64) for _ in range(4))

    def advance(self, until: float, weights: FloatArray) -> None:
        """Goes through the recorded minutes up to `until` (s), with the new version's `weights` (replications,)."""
        period = self._recording.period
        changes = [
            t
            for row in self._rows
            for t in (row[faults.ONSET], row[faults.ONSET] + row[faults.RAMP], row[faults.UNTIL])
        ]
        while self._now < until - _ROUNDING:
            minute = math.floor(self._now / period + 1e-9)
            end = (minute + 1) * period
            if self._now - minute * period < _ROUNDING:
                self._left = tuple(counts[self._begins + minute] for counts in self._counts)
            stop = min([end, until, *(t for t in changes if t > self._now + _ROUNDING)])
            taken = self._left
            if end - stop > _ROUNDING:
                share = (stop - self._now) / (end - self._now)
                invocations = self._rng.binomial(self._left[0], share)
                errors = _among(self._rng, np.minimum(self._left[1], self._left[0]), self._left[0], invocations)
                taken = invocations, errors, self._rng.binomial(self._left[2], share)
                self._left = tuple(left - part for left, part in zip(self._left, taken, strict=True))
            self._serve(minute, (self._now + stop) / 2, weights, *taken)
            self._now = stop

    def provision(self, count: int, mask: Mask) -> None:
        """Warm environments have no bearing on what is recorded."""

    def test(self, hook: Hook, mask: Mask) -> Answers:
        """Each test fails as often as the requests of the minute in which it begins, and by the new version's faults."""
        size = mask.size
        minutes = self._begins + math.floor(self._now / self._recording.period + 1e-9)
        share = self._recording.error_shares[np.minimum(minutes, self._recording.size - 1)]
        failed = np.zeros(size, np.int64)
        for start in hook.starts(self._now):
            bad = faults.bad_share(self._shares(start))
            failed += self._rng.random(size) < 1 - (1 - share) * (1 - bad)
        at = np.full(size, hook.end(self._now))
        return lambda: (failed, at)

    def finish(self) -> PlaneTotals:
        """What happened in all."""
        none = np.zeros(self._begins.size, np.int64)
        return PlaneTotals(
            requests=self._requests, pending=none, bad=self._bad, bad_new_version=self._bad_new,
            bad_by=tuple(self._bad for _ in self._scenario.slos),
            lost_by=tuple(self._bad.astype(np.float64) for _ in self._scenario.slos), added=self._added,
            added_by=tuple(self._added for _ in self._scenario.slos), throttles=none,
        )  # fmt: skip

    def _shares(self, t: float) -> tuple[float, float, float, float, float]:
        """What the new version's faults make fail at `t` (s), besides what failed anyway."""
        return faults.failure_shares(self._rows, 0.0, 0.0, t, False, 0.0, 0, NO_USER_QUANTILE)

    def _serve(
        self, minute: int, middle: float, weights: FloatArray, invocations: IntArray, errors: IntArray, throttles: IntArray
    ) -> None:  # fmt: skip
        """Requests of one minute, whose faults are those of its `middle` (s), go to the two versions."""
        metrics, rng = self._metrics, self._rng
        errors = np.minimum(errors, invocations)
        served = np.where(weights == 1, invocations, 0)
        failed = np.where(weights == 1, errors, 0)
        refused = np.where(weights == 1, throttles, 0)
        part = np.flatnonzero((weights > 0) & (weights < 1) & (invocations + throttles > 0))
        if part.size:
            served[part] = rng.binomial(invocations[part], weights[part])
            failed[part] = _among(rng, errors[part], invocations[part], served[part])
            refused[part] = rng.binomial(throttles[part], weights[part])
        shares = self._shares(middle)
        more = rng.binomial(served - failed, faults.error_share(shares)) if faults.error_share(shares) else 0 * served
        answered_badly = rng.binomial(served - failed - more, shares[-1]) if shares[-1] else 0 * served
        for target, n, wrong, thrown in (
            (self._new, served, failed + more, refused),
            (self._old, invocations - served, errors - failed, throttles - refused),
        ):
            metrics.invocations[:, target, minute] += n
            metrics.errors[:, target, minute] += wrong
            metrics.throttles[:, target, minute] += thrown
        metrics.failed_responses[:, self._new, minute] += answered_badly
        self._requests += invocations + throttles
        self._added += more + answered_badly
        self._bad += errors + throttles + more + answered_badly
        self._bad_new += failed + more + answered_badly + refused
        self._durations(minute, middle, served, invocations)

    def _durations(self, minute: int, t: float, served: IntArray, invocations: IntArray) -> None:
        """How long they take, as far as anything is read of it; what a fault slows down, it slows down on the new version."""
        metrics, curves = self._metrics, self._curves
        factor, add, _, _ = faults.slowdown(self._rows, t, 0.0, 0, 0.0)
        rows = self._begins + minute
        mean = np.nan_to_num(self._means[rows])
        parts = ((self._new, served, factor, add), (self._old, invocations - served, 1.0, 0.0))
        for target, n, times, more in parts:
            metrics.duration_sum[:, target, minute] += n * (mean * times + more)
        if curves is None or not (metrics.percentiles or metrics.slow):
            return
        for j, limit in enumerate(metrics.slow_thresholds):
            for target, n, times, more in parts:
                above = 1 - curves.share_below(rows, np.full(n.size, (limit - more) / times))
                metrics.slow[j][:, target, minute] += self._rng.binomial(n, np.clip(above, 0.0, 1.0))
        for key, column in metrics.percentiles.items():
            members = metrics.scopes[key.of]
            some = [p for p in parts if p[0] in members]
            column[:, minute] = self._percentile(key, curves, rows, some, invocations, minute)

    def _percentile(
        self, key: Percentile, curves: DurationCurves, rows: IntArray, parts: list[tuple[int, IntArray, float, float]],
        all_of_it: IntArray, minute: int,
    ) -> FloatArray:  # fmt: skip
        """A percentile of the durations of some versions' invocations: as recorded, where it is that of all of them unslowed.

        Of n of them, the share below which the k-th lies is Beta(k, n - k + 1).
        """
        total = sum((n for _, n, _, _ in parts), np.zeros_like(all_of_it))
        rank = np.maximum(np.ceil(key.share * total - 1e-9), 1)
        drawn = self._rng.beta(rank, np.maximum(total - rank + 1, 1))
        slowed = np.zeros(total.size, bool)
        for _, n, times, more in parts:
            slowed |= (n > 0) & ((times, more) != (1.0, 0.0))
        complete = (self._metrics.invocations[:, [self._old, self._new], minute].sum(axis=1) == total) & ~slowed
        share = np.where(complete, key.share, drawn)
        if len({(times, more) for _, n, times, more in parts if n.any()}) <= 1:
            _, _, times, more = next((p for p in parts if p[1].any()), (0, total, 1.0, 0.0))
            value = curves.longest(rows, share) * times + more
        else:
            low, high = (
                np.zeros(total.size),
                curves.longest(rows, np.ones(total.size)) * max(p[2] for p in parts) + max(p[3] for p in parts),
            )
            for _ in range(40):
                middle = (low + high) / 2
                below = sum(n * curves.share_below(rows, (middle - more) / times) for _, n, times, more in parts)
                inside = below >= share * total
                low, high = np.where(inside, low, middle), np.where(inside, middle, high)
            value = high
        return np.where(total > 0, value, np.nan)


def _curves(recording: Minutes) -> DurationCurves | None:
    """The recording's curves of durations; None where too little of them was recorded, which `shortcomings` tells where it matters."""
    if sum(not np.isnan(recording.columns[name]).all() for name in MEASURED) < FEWEST:
        return None
    return curves_of(recording)


def _among(rng: np.random.Generator, marked: IntArray, total: IntArray, taken: IntArray) -> IntArray:
    """How many of the `marked` ones of `total` are among those `taken` at random: shape (replications,)."""
    result = np.zeros_like(taken)
    some = np.flatnonzero((marked > 0) & (taken > 0))
    result[some] = rng.hypergeometric(marked[some], total[some] - marked[some], taken[some])
    return result
