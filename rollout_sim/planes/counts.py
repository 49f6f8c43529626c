"""What a per-invocation plane counts: by period and target, with the durations that percentile alarms read."""

from __future__ import annotations

import math
from array import array

import numpy as np

from rollout_sim.control.metrics import Metrics, Percentile, RequestCounts
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.units import tick


class KeptDurations:
    """The durations of replication 0 by place (place = target x periods + period), kept for `keep` seconds."""

    def __init__(self, metrics: Metrics, keep: float) -> None:
        self.metrics = metrics
        self._samples: dict[int, array[float]] = {}
        self._keep = keep
        self._forgotten = 0

    def add(self, place: int, duration: float) -> None:
        """One more duration (s), unless its period is forgotten."""
        if place % self.metrics.periods >= self._forgotten:
            self._samples.setdefault(place, array("d")).append(duration)

    def add_all(self, places: IntArray, durations: FloatArray) -> None:
        """`add` for each of many."""
        order = np.argsort(places, kind="stable")
        places, durations = places[order], durations[order]
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), places.size], strict=True):
            place = int(places[start])
            if place % self.metrics.periods >= self._forgotten:
                self._samples.setdefault(place, array("d")).frombytes(durations[start:stop].tobytes())

    def hand_over(self, low: int, high: int, now: float) -> None:
        """Writes the percentiles of the periods [low, high) into the metrics; forgets what is too old at `now`."""
        for key, points in self.metrics.percentiles.items():
            per = round(key.period / self.metrics.resolution)
            for period in range(max(low, self._forgotten) // per, (high - 1) // per + 1):
                if period * per >= self._forgotten:
                    points[0, period] = self._percentile(key, range(period * per, (period + 1) * per))
        self._forget(now)

    def _percentile(self, key: Percentile, periods: range) -> float:
        """The nearest-rank percentile: the smallest duration that at least the share `key.share` does not exceed."""
        width = self.metrics.periods
        places = [target * width + period for target in self.metrics.scopes[key.of] for period in periods]
        parts = [np.frombuffer(self._samples[place]) for place in places if place in self._samples]
        if not parts:
            return math.nan
        samples = np.concatenate(parts)
        rank = max(math.ceil(key.share * samples.size - 1e-9), 1) - 1
        return float(np.partition(samples, rank)[rank])

    def _forget(self, now: float) -> None:
        """Drops durations that no alarm can look at any more; what still arrives for them is not kept either."""
        first = int((now - self._keep) // self.metrics.resolution)
        if not self._samples or first <= self._forgotten:
            return
        self._forgotten = first
        width = self.metrics.periods
        for place in [place for place in self._samples if place % width < first]:
            del self._samples[place]


class PeriodCounts:
    """Lists with one place per target and period (place = target x periods + period), cheap to add to one by one.

    `dirty` is the earliest period that has changed since the last `hand_over`. `watch` says whether durations
    have to be looked at one by one (`observe`): for percentiles and for latency burn rates; samples are kept
    for `keep` seconds.
    """

    def __init__(self, metrics: Metrics, requests: RequestCounts, keep: float) -> None:
        size = len(metrics.targets) * metrics.periods
        self.metrics = metrics
        self.requests = requests
        self.resolution = metrics.resolution
        self.dirty = metrics.periods
        self.invocations = [0] * size
        self.errors = [0] * size
        self.throttles = [0] * size
        self.cold_starts = [0] * size
        self.duration_sum = [0.0] * size
        self.slow = [[0] * size for _ in metrics.slow_thresholds]
        self.asked = [0] * size
        self.bad = [0] * size
        self.bad_by = [[0] * size for _ in requests.bad_by]
        self.watch = bool(metrics.percentiles or metrics.slow_thresholds)
        self.samples = KeptDurations(metrics, keep)

    def answer(self, base: int, arrived: float, t: float, failed: bool, judged: list[tuple[int, float | None]]) -> bool:
        """Counts a request that arrived at `arrived` and got its last answer at `t`; returns whether it is bad.

        `judged` are the objectives that it falls under, from `slo.judging`; where there is none, failures are bad.
        """
        place = base + int(arrived // self.resolution)
        self.asked[place] += 1
        bad = failed
        for j, latency in judged:
            if failed or (latency is not None and t > tick(arrived + latency)):
                self.bad_by[j][place] += 1
                bad = True
        if bad:
            self.bad[place] += 1
        return bad

    def observe(self, place: int, duration: float) -> None:
        """Keeps an invocation's duration for the percentiles and counts it where it is too slow."""
        for threshold, slow in zip(self.metrics.slow_thresholds, self.slow, strict=True):
            if duration > threshold:
                slow[place] += 1
        if self.metrics.percentiles:
            self.samples.add(place, duration)

    def hand_over(self, now: float) -> None:
        """Copies what has changed since the last call, up to the period of `now`, into replication 0 of the metrics."""
        metrics, periods = self.metrics, self.metrics.periods
        low, high = self.dirty, min(int(now // self.resolution) + 1, periods)
        self.dirty = periods
        if low >= high:
            return
        for counts, totals in (
            (self.invocations, metrics.invocations),
            (self.errors, metrics.errors),
            (self.throttles, metrics.throttles),
            (self.cold_starts, metrics.cold_starts),
            *zip(self.slow, metrics.slow, strict=True),
        ):
            for k in range(len(metrics.targets)):
                totals[0, k, low:high] = counts[k * periods + low : k * periods + high]
        for k in range(len(metrics.targets)):
            metrics.duration_sum[0, k, low:high] = self.duration_sum[k * periods + low : k * periods + high]
        self.samples.hand_over(low, high, now)

    def finish(self, horizon: float) -> None:
        """The last hand-over, with the requests' counts."""
        self.dirty = 0
        self.hand_over(horizon)
        shape = self.requests.requests.shape[1:]
        self.requests.requests[0] = np.reshape(self.asked, shape)
        self.requests.bad[0] = np.reshape(self.bad, shape)
        for counts, totals in zip(self.bad_by, self.requests.bad_by, strict=True):
            totals[0] = np.reshape(counts, shape)
