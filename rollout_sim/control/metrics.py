"""Metrics: the counts that CloudWatch would hold, per replication, target and period.

A *target* is one executed version behind one alias. A count is dated by the start of its invocation
and recorded when the invocation ends, so a long call back-fills an earlier period.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from rollout_sim.control.slo import Objective
from rollout_sim.core.arrays import FloatArray, IntArray

COUNTS: Final = ("invocations", "errors", "throttles", "cold_starts")
GAUGES: Final = ("messages_visible", "oldest_message_age", "messages_in_dlq")
"""What CloudWatch samples of a queue once a minute."""
Scope = Literal["alias", "new_version", "old_version", "function"]


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One executed version behind one alias: CloudWatch's function + alias + executed version."""

    alias: str
    version: str


@dataclass(frozen=True, slots=True, order=True)
class Percentile:
    """A percentile of `Duration`, or of the front door's `latency`, that an alarm reads: whose, which, and per what `period` (s).

    `share` in [0, 1] says which.
    Periods end at every multiple of `step` (s), by default the period's own. `share` 0 is the shortest duration; `trimmed`
    stands for the mean of the durations up to the percentile.
    """

    of: Scope
    share: float
    period: float
    step: float | None = None
    trimmed: bool = False
    metric: Literal["duration", "latency"] = "duration"

    @property
    def every(self) -> float:
        """Seconds from one period's end to the next."""
        return self.period if self.step is None else self.step


class Metrics:
    """Everything that the alarms can see, of a batch of replications; the data plane writes, the alarms read.

    `scopes` says which targets (their indices) an alarm of that scope adds up. Arrays have the shape (replications,
    targets, periods of `resolution` seconds). `percentiles[key]` has the shape (replications, periods): column k is of the
    `key.period` seconds that end at (k + 1) x `key.every`, NaN where there is no datapoint.
    `slow[j]` counts invocations whose Duration exceeded `slow_thresholds[j]` seconds. `gauges[name]` are samples of the queues at
    the end of each period, of the shape (replications, queues, periods), NaN where there is none yet; `queues` says which of them
    an alarm of a scope reads. Of the batches of streams, `iterator_batches` many in a period, `iterator_age_sum` and
    `iterator_age_max` say how old their last records were (s).
    """

    def __init__(
        self,
        *,
        replications: int,
        targets: tuple[Target, ...],
        resolution: float,
        horizon: float,
        scopes: Mapping[Scope, tuple[int, ...]] = MappingProxyType({}),
        percentiles: tuple[Percentile, ...] = (),
        slow_thresholds: tuple[float, ...] = (),
        queues: Mapping[Scope, tuple[int, ...]] = MappingProxyType({}),
    ) -> None:
        self.replications = replications
        self.targets = targets
        self.scopes = scopes
        self.resolution = resolution
        self.horizon = horizon
        self.periods = math.ceil(horizon / resolution)
        shape = (replications, len(targets), self.periods)
        self.invocations: IntArray = np.zeros(shape, np.int64)
        self.errors: IntArray = np.zeros(shape, np.int64)
        self.failed_responses: IntArray = np.zeros(shape, np.int64)
        self.throttles: IntArray = np.zeros(shape, np.int64)
        self.cold_starts: IntArray = np.zeros(shape, np.int64)
        self.duration_sum: FloatArray = np.zeros(shape)
        self.latency_sum: FloatArray = np.zeros(shape)
        self.slow_thresholds = slow_thresholds
        self.slow: tuple[IntArray, ...] = tuple(np.zeros(shape, np.int64) for _ in slow_thresholds)
        self.iterator_batches: IntArray = np.zeros(shape, np.int64)
        self.iterator_age_sum: FloatArray = np.zeros(shape)
        self.iterator_age_max: FloatArray = np.zeros(shape)
        self.queues = queues
        number = len(set().union(*queues.values()))
        self.gauges: dict[str, FloatArray] = {
            name: np.full((replications, number, self.periods), np.nan) for name in GAUGES
        }
        self.percentiles: dict[Percentile, FloatArray] = {
            key: np.full((replications, math.ceil(horizon / key.every)), np.nan) for key in percentiles
        }

    def emptied(self) -> Metrics:
        """Metrics that hold the same, without anything in them."""
        return Metrics(
            replications=self.replications,
            targets=self.targets,
            resolution=self.resolution,
            horizon=self.horizon,
            scopes=self.scopes,
            percentiles=tuple(self.percentiles),
            slow_thresholds=self.slow_thresholds,
            queues=self.queues,
        )

    def total(
        self, counts: IntArray | FloatArray, targets: tuple[int, ...], period: float, end: float, number: int
    ) -> FloatArray:
        """Sums over `targets` in the `number` periods of `period` seconds, back to back, the newest of which ends at `end`.

        Shape (replications, number), oldest first. Both times are whole multiples of the resolution. Time before zero or after
        the horizon counts as 0.
        """
        per, stop = round(period / self.resolution), round(end / self.resolution)
        start = stop - number * per
        low, high = max(start, 0), min(stop, self.periods)
        if high <= low:
            return np.zeros((self.replications, number))
        chosen = counts[:, targets[0], low:high] if targets else np.zeros((self.replications, high - low))
        for target in targets[1:]:
            chosen = chosen + counts[:, target, low:high]
        if (low, high) != (start, stop):
            padded = np.zeros((self.replications, stop - start))
            padded[:, low - start : high - start] = chosen
            chosen = padded
        # Several times as fast as `sum` over so few columns.
        return np.asarray(np.einsum("rnp->rn", chosen.reshape(self.replications, number, per)), np.float64)

    def parts(
        self, values: FloatArray, chosen: tuple[int, ...], period: float, end: float, number: int, empty: float
    ) -> FloatArray:
        """The `values` of shape (replications, targets or queues, periods) in the periods that `total` adds up.

        Shape (replications, chosen, number, periods of the resolution in one); `empty` before zero and after the horizon.
        """
        per, stop = round(period / self.resolution), round(end / self.resolution)
        start = stop - number * per
        low, high = max(start, 0), min(stop, self.periods)
        result = np.full((self.replications, len(chosen), stop - start), empty)
        if high > low:
            result[:, :, low - start : high - start] = values[:, list(chosen), low:high]
        return result.reshape(self.replications, len(chosen), number, per)


def scopes_of(targets: tuple[Target, ...], alias: str, old: str, new: str | None) -> dict[Scope, tuple[int, ...]]:
    """The indices of the targets that alarms of each scope read: all versions behind `alias`, one of them, or all there are."""
    behind = {target.version: k for k, target in enumerate(targets) if target.alias == alias}
    return {
        "alias": tuple(behind.values()),
        "old_version": (behind[old],) if old in behind else (),
        "new_version": (behind[new],) if new is not None and new in behind else (),
        "function": tuple(range(len(targets))),
    }


@dataclass(slots=True, kw_only=True)
class RequestCounts:
    """The truth that alarms never see: requests by replication, target and period of their arrival.

    A request counts once, when it is answered for good, at the version of its last attempt. `bad` holds
    requests that are bad for any objective; `bad_by[j]` those that are bad for objective j. Shapes:
    (replications, targets, periods). `unanswered` (replications,) counts requests without an answer at the horizon; `overdue`
    and `overdue_by` are those of `bad` and `bad_by` among them, which are bad already since they have waited too long.
    """

    requests: IntArray
    bad: IntArray
    bad_by: tuple[IntArray, ...]
    overdue: IntArray
    overdue_by: tuple[IntArray, ...]
    unanswered: IntArray = field(default_factory=lambda: np.zeros(1, np.int64))

    @classmethod
    def empty(cls, *, replications: int, targets: int, periods: int, objectives: int) -> RequestCounts:
        """All zero."""
        shape = (replications, targets, periods)
        return cls(
            requests=np.zeros(shape, np.int64),
            bad=np.zeros(shape, np.int64),
            bad_by=tuple(np.zeros(shape, np.int64) for _ in range(objectives)),
            overdue=np.zeros(shape, np.int64),
            overdue_by=tuple(np.zeros(shape, np.int64) for _ in range(objectives)),
            unanswered=np.zeros(replications, np.int64),
        )

    @property
    def judged(self) -> IntArray:
        """Requests that are known to be good or bad: answered, or overdue at the horizon. The shape of `requests`."""
        return self.requests + self.overdue

    @property
    def pending(self) -> IntArray:
        """Requests without an answer at the horizon that may still be good: shape (replications,)."""
        pending: IntArray = self.unanswered - self.overdue.sum(axis=(1, 2))
        return pending

    def judged_for(self, number: int, targets: Sequence[int]) -> IntArray:
        """Requests behind `targets` that count for the objective of that `number`, by period: (replications, periods)."""
        judged: IntArray = (self.requests[:, targets] + self.overdue_by[number][:, targets]).sum(axis=1)
        return judged

    def losses(self, objective: Objective, number: int, targets: Sequence[int], resolution: float) -> FloatArray:
        """What the budget of the objective of that `number` loses by period to requests behind `targets`: (replications, periods)."""
        bad = self.bad_by[number][:, targets].sum(axis=1)
        return objective.losses(bad, self.judged_for(number, targets), resolution)

    def emptied(self) -> RequestCounts:
        """Counts of the same shape, all zero."""
        replications, targets, periods = self.requests.shape
        return RequestCounts.empty(
            replications=replications, targets=targets, periods=periods, objectives=len(self.bad_by)
        )
