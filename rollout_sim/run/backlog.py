"""The backlog of a run's queues and streams: how long it was at a rollback, and how long it took to drain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.planes.polling import PolledTotals
from rollout_sim.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Backlog:
    """Records without a fate, those in flight included, of all queues and streams: `records` at each of the `times` (s)."""

    times: FloatArray
    records: IntArray
    usual: int
    """As long as it ever was before the rollout, a batch at least."""

    @classmethod
    def of(cls, scenario: Scenario, polled: Sequence[PolledTotals]) -> Backlog:
        """The backlog of a run, of which each polled source's totals are given; there is one at least."""
        times = polled[0].times
        records: IntArray = np.sum([source.backlog for source in polled], axis=0, dtype=np.int64)
        sizes = [source.mapping.size for source in scenario.traffic if source.polled]
        return cls(times, records, max(int(records[times <= scenario.start].max(initial=0)), *sizes))

    def at(self, t: float) -> int:
        """How long it was when it was last looked at by `t` (s)."""
        return int(self.records[np.searchsorted(self.times, t, side="right") - 1])

    def drained(self, t: float) -> float | None:
        """Seconds from `t` (s) to the first look at which it is not longer than usual; None where that is after the horizon."""
        short = np.flatnonzero((self.times >= t) & (self.records <= self.usual))
        return float(self.times[short[0]] - t) if short.size else None
