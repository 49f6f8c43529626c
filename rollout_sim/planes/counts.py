"""What a per-invocation plane counts: by target and period, with the durations that percentile alarms read.

A *count index* stands for a target and a period: target x periods + period, with the targets and the periods of
`resolution` seconds that the metrics have.
"""

from __future__ import annotations

import math
from array import array
from itertools import pairwise
from typing import Any, Final

import numpy as np

from rollout_sim.control.metrics import Metrics, Percentile, RequestCounts
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.units import tick
from rollout_sim.function.faults import FAILED_RESPONSE, OK
from rollout_sim.planes.base import PlaneTotals, VersionTotals
from rollout_sim.planes.exposure import Users
from rollout_sim.planes.polling import PolledTotals
from rollout_sim.scenario.scenario import Scenario

ROUNDING: Final = 1e-6
"""The share of a period by which an instant may miss its end for want of float precision."""


class KeptDurations:
    """Times (s) of a replication by count index, kept for `keep` seconds: the durations, or the front door's latencies.

    Only those that percentiles need, and none of periods that are over before `first` (s).
    """

    def __init__(
        self, metrics: Metrics, keep: float, metric: str = "duration", *, replication: int = 0, first: float = 0.0
    ) -> None:
        self.metrics = metrics
        self._metric = metric
        self._replication = replication
        self._percentiles = {key: points for key, points in metrics.percentiles.items() if key.metric == metric}
        self._samples: dict[int, array[float]] = {}
        self._keep = keep
        self._forgotten = int(first // metrics.resolution)
        self._read = np.zeros(len(metrics.targets), bool)
        self._read[[target for key in self._percentiles for target in metrics.scopes[key.of]]] = True
        self._changed = metrics.periods  # the earliest period that has changed since the last `hand_over`
        self._shown = 0.0

    def copied(self, metrics: Metrics) -> KeptDurations:
        """The same for another run, whose percentiles go into those `metrics`."""
        other = KeptDurations(metrics, self._keep, self._metric, replication=self._replication)
        other._samples = {count_index: array("d", durations) for count_index, durations in self._samples.items()}
        other._forgotten, other._changed, other._shown = self._forgotten, self._changed, self._shown
        for key, points in other._percentiles.items():
            points[self._replication] = self._percentiles[key][self._replication]
        return other

    def __bool__(self) -> bool:
        """Whether an alarm reads any of them."""
        return bool(self._percentiles)

    def add(self, count_index: int, duration: float) -> None:
        """One more duration (s), unless its period is forgotten or no percentile needs it."""
        target, period = divmod(count_index, self.metrics.periods)
        if period >= self._forgotten and self._read[target]:
            self._samples.setdefault(count_index, array("d")).append(duration)
            self._changed = min(self._changed, period)

    def add_all(self, count_indices: IntArray, durations: FloatArray) -> None:
        """`add` for each of many: both of the same length."""
        targets, periods = np.divmod(count_indices, self.metrics.periods)
        kept = self._read[targets] & (periods >= self._forgotten)
        count_indices, durations = count_indices[kept], durations[kept]
        if not count_indices.size:
            return
        self._changed = min(self._changed, int(periods[kept].min()))
        order = np.argsort(count_indices, kind="stable")
        count_indices, durations = count_indices[order], durations[order]
        starts = [0, *(np.flatnonzero(count_indices[1:] != count_indices[:-1]) + 1).tolist(), count_indices.size]
        for start, stop in pairwise(starts):
            samples = self._samples.setdefault(int(count_indices[start]), array("d"))
            samples.frombytes(durations[start:stop].tobytes())

    def hand_over(self, now: float) -> None:
        """Writes the percentiles of the periods that ended by `now` (s) into the metrics; forgets what is too old then.

        Those that ended since the last time are new; of the others those that hold a duration which came since then.
        """
        resolution = self.metrics.resolution
        for key, points in self._percentiles.items():
            per, every = round(key.period / resolution), round(key.every / resolution)
            ended = min(math.floor(now / key.every + ROUNDING), points.shape[1])
            new = math.floor(self._shown / key.every + ROUNDING)
            for column in range(min(self._changed // every, new), ended):
                stop = (column + 1) * every
                start = max(stop - per, 0)
                if start < self._forgotten and column < new:
                    continue  # some of it is gone, and what was shown stays
                points[self._replication, column] = self._percentile(key, range(start, stop))
        self._changed, self._shown = self.metrics.periods, now
        self._forget(now)

    def _percentile(self, key: Percentile, periods: range) -> float:
        """The nearest-rank percentile: the smallest duration that at least the share `key.share` does not exceed.

        Of a trimmed one the mean of the durations up to that rank.
        """
        width = self.metrics.periods
        indices = [target * width + period for target in self.metrics.scopes[key.of] for period in periods]
        parts = [np.frombuffer(self._samples[index]) for index in indices if index in self._samples]
        if not parts:
            return math.nan
        samples = np.concatenate(parts)
        rank = max(math.ceil(key.share * samples.size - 1e-9), 1) - 1
        if key.trimmed:
            return float(np.round(np.sort(samples)[: rank + 1].mean(), 9))
        return float(np.partition(samples, rank)[rank])

    def _forget(self, now: float) -> None:
        """Drops durations that no alarm can look at any more; what still arrives for them is not kept either."""
        first = int((now - self._keep) // self.metrics.resolution)
        if not self._samples or first <= self._forgotten:
            return
        self._forgotten = first
        width = self.metrics.periods
        for count_index in [index for index in self._samples if index % width < first]:
            del self._samples[count_index]


class PeriodCounts:
    """Counts by count index, in lists, which are cheap to add to one by one; `first` is the index of a target's period 0.

    Durations that percentile alarms read are kept for `keep` seconds.
    """

    def __init__(self, metrics: Metrics, requests: RequestCounts, keep: float) -> None:
        size = len(metrics.targets) * metrics.periods
        self.metrics = metrics
        self.requests = requests
        self.resolution = metrics.resolution
        self._changed = metrics.periods  # the earliest period that has changed since the last `hand_over`
        self._invocations = [0] * size
        self._errors = [0] * size
        self._failed_responses = [0] * size
        self._throttles = [0] * size
        self._cold_starts = [0] * size
        self._duration_sum = [0.0] * size
        self._latency_sum = [0.0] * size
        self._iterator_batches = [0] * size
        self._iterator_age_sum = [0.0] * size
        self._iterator_age_max = [0.0] * size
        self._slow = [[0] * size for _ in metrics.slow_thresholds]
        self._answered = [0] * size
        self._bad = [0] * size
        self._overdue = [0] * size
        self._bad_by = [[0] * size for _ in requests.bad_by]
        self._overdue_by = [[0] * size for _ in requests.bad_by]
        self._durations_matter = bool(metrics.percentiles or metrics.slow_thresholds)
        self._samples = KeptDurations(metrics, keep)
        self._latencies = KeptDurations(metrics, keep, "latency")

    def throttle(self, first: int, period: int) -> None:
        """Counts an attempt that found no environment."""
        self._throttles[first + period] += 1
        self._changed = min(self._changed, period)

    def invocation(self, first: int, period: int, init: float, duration: float, outcome: int, cold: bool) -> None:
        """Counts an invocation that is over, dated by its start: it took `duration` seconds after its `init`."""
        count_index = first + period
        self._invocations[count_index] += 1
        self._duration_sum[count_index] += duration
        latency = tick(init + duration) if init else duration
        self._latency_sum[count_index] += latency
        if outcome == FAILED_RESPONSE:
            self._failed_responses[count_index] += 1
        elif outcome != OK:
            self._errors[count_index] += 1
        if cold:
            self._cold_starts[count_index] += 1
        if period < self._changed:  # noqa: PLR1730 - a call of `min` for each invocation
            self._changed = period
        if self._durations_matter:
            self._observe(count_index, duration, latency)

    def iterator_age(self, first: int, period: int, age: float) -> None:
        """Counts a batch of a stream, dated by when it is handed over; its last record is `age` (s) old then."""
        count_index = first + period
        self._iterator_batches[count_index] += 1
        self._iterator_age_sum[count_index] += age
        self._iterator_age_max[count_index] = max(self._iterator_age_max[count_index], age)
        self._changed = min(self._changed, period)

    def answer(self, first: int, arrived: float) -> None:
        """Counts a request that arrived at `arrived` (s) and got its last answer."""
        self._answered[first + int(arrived // self.resolution)] += 1

    def judge(
        self, first: int, arrived: float, t: float, failed: bool, judged: list[tuple[int, float | None]], *,
        waiting: bool = False,
    ) -> bool:  # fmt: skip
        """Counts a request that was answered at `t` (s), or is still `waiting` then, where it is bad; returns whether it is.

        `judged` are the objectives that it falls under, from `slo.judging`; where there is none, failures are bad.
        """
        count_index = first + int(arrived // self.resolution)
        bad = failed
        for j, latency in judged:
            if failed or (latency is not None and t > tick(arrived + latency)):
                self._bad_by[j][count_index] += 1
                self._overdue_by[j][count_index] += waiting
                bad = True
        if bad:
            self._bad[count_index] += 1
            self._overdue[count_index] += waiting
        return bad

    def _observe(self, count_index: int, duration: float, latency: float) -> None:
        """Keeps an invocation's times for the percentiles and counts it where it is too slow."""
        for threshold, slow in zip(self.metrics.slow_thresholds, self._slow, strict=True):
            if duration > threshold:
                slow[count_index] += 1
        if self._samples:
            self._samples.add(count_index, duration)
        if self._latencies:
            self._latencies.add(count_index, latency)

    def hand_over(self, now: float) -> None:
        """Copies what has changed since the last call, up to the period of `now`, into replication 0 of the metrics."""
        periods = self.metrics.periods
        low, high = self._changed, min(int(now // self.resolution) + 1, periods)
        self._changed = periods
        if low < high:
            self._copy(low, high)
        self._samples.hand_over(now)
        self._latencies.hand_over(now)

    def _copy(self, low: int, high: int) -> None:
        """Copies the periods [low, high)."""
        metrics, periods = self.metrics, self.metrics.periods
        for counts, totals in (
            (self._invocations, metrics.invocations),
            (self._errors, metrics.errors),
            (self._failed_responses, metrics.failed_responses),
            (self._throttles, metrics.throttles),
            (self._cold_starts, metrics.cold_starts),
            (self._iterator_batches, metrics.iterator_batches),
            *zip(self._slow, metrics.slow, strict=True),
        ):
            for k in range(len(metrics.targets)):
                totals[0, k, low:high] = counts[k * periods + low : k * periods + high]
        for k in range(len(metrics.targets)):
            metrics.duration_sum[0, k, low:high] = self._duration_sum[k * periods + low : k * periods + high]
            metrics.latency_sum[0, k, low:high] = self._latency_sum[k * periods + low : k * periods + high]
            metrics.iterator_age_sum[0, k, low:high] = self._iterator_age_sum[k * periods + low : k * periods + high]
            metrics.iterator_age_max[0, k, low:high] = self._iterator_age_max[k * periods + low : k * periods + high]

    def finish(self, horizon: float) -> None:
        """The last hand-over, with the requests' counts."""
        self._changed = 0
        self.hand_over(horizon)
        shape = self.requests.requests.shape[1:]
        self.requests.requests[0] = np.reshape(self._answered, shape)
        self.requests.bad[0] = np.reshape(self._bad, shape)
        self.requests.overdue[0] = np.reshape(self._overdue, shape)
        for counts, totals in (
            *zip(self._bad_by, self.requests.bad_by, strict=True),
            *zip(self._overdue_by, self.requests.overdue_by, strict=True),
        ):
            totals[0] = np.reshape(counts, shape)


def totals_of(
    scenario: Scenario,
    metrics: Metrics,
    requests: RequestCounts,
    users: tuple[Users, ...],
    versions: tuple[dict[str, VersionTotals], ...],
    events: list[tuple[Any, ...]] | None,
    polled: tuple[tuple[PolledTotals, ...], ...] = (),
) -> PlaneTotals:
    """The totals of replications of which every invocation was simulated, from their counts by period."""
    new = [k for k, t in enumerate(metrics.targets) if (t.alias, t.version) == (scenario.alias, scenario.new)]
    behind = [
        [k for k, target in enumerate(metrics.targets) if target.alias == (slo.alias or scenario.alias)]
        for slo in scenario.slos
    ]
    return PlaneTotals(
        requests=requests.judged.sum(axis=(1, 2)),
        pending=requests.pending,
        bad=requests.bad.sum(axis=(1, 2)),
        bad_new_version=requests.bad[:, new].sum(axis=(1, 2)),
        bad_by=tuple(bad.sum(axis=(1, 2)) for bad in requests.bad_by),
        lost_by=tuple(
            requests.losses(slo, j, behind[j], metrics.resolution).sum(axis=1) for j, slo in enumerate(scenario.slos)
        ),
        throttles=metrics.throttles.sum(axis=(1, 2)),
        cold_starts=metrics.cold_starts.sum(axis=(1, 2)),
        users=users,
        versions=versions,
        events=events,
        polled=polled,
    )
