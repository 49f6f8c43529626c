"""Counts of one replication as it runs: plain lists that a simulation adds to, handed over to the metrics' arrays."""

from __future__ import annotations

import numpy as np

from rollout_sim.metrics import Metrics
from rollout_sim.planes.samples import Samples
from rollout_sim.slo import RequestCounts
from rollout_sim.units import tick


class Counts:
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
        self.samples = Samples(metrics, keep)

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
        for counts, array in (
            (self.invocations, metrics.invocations),
            (self.errors, metrics.errors),
            (self.throttles, metrics.throttles),
            (self.cold_starts, metrics.cold_starts),
            *zip(self.slow, metrics.slow, strict=True),
        ):
            for k in range(len(metrics.targets)):
                array[0, k, low:high] = counts[k * periods + low : k * periods + high]
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
        for counts, array in zip(self.bad_by, self.requests.bad_by, strict=True):
            array[0] = np.reshape(counts, shape)
