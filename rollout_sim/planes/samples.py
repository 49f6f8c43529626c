"""Durations of single invocations, kept as long as an alarm's percentile may look at them."""

from __future__ import annotations

import math
from array import array

import numpy as np
from numpy.typing import NDArray

from rollout_sim.metrics import Metrics, Percentile


class Samples:
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

    def add_all(self, places: NDArray[np.int64], durations: NDArray[np.float64]) -> None:
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
