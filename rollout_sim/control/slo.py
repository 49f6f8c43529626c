"""Service level objectives: what is bad, how much of it a budget holds, how fast it burns.

A budget counts bad requests, or bad time slices: a slice is bad by the requests that arrive in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.fields import PositiveSeconds, Share, section
from rollout_sim.core.units import text

DAY = 86400.0
MINUTE = 60.0
FAST_BURN = 14.4
"""The burn rate that people are paged for."""


@section
class LatencySli:
    """Requests that take longer than `latency` (s), waits and init included, are bad; so are failed ones."""

    latency: PositiveSeconds
    """The limit; waits and the init of a cold start count."""


@section
class Slices:
    """The budget counts time slices of `every` (s), one after the other from time 0, instead of requests.

    With a `target` a slice is bad where less than that share of its requests is good (OpenSLO's `Timeslices`); without one it is
    as bad as the share of its requests that is (`RatioTimeslices`). A slice without requests is good.
    """

    every: PositiveSeconds
    """How long a slice is, in whole minutes."""
    target: Share | None = None
    """The share of a slice's requests that must be good, or else all of the slice is bad."""

    def __post_init__(self) -> None:
        if self.every % MINUTE:
            raise ValueError(f"`every` must be whole minutes, got {text(self.every, 'duration')}")
        if self.target == 0:
            raise ValueError("`target` must be above 0%, or no slice is ever bad, got 0%")

    def badness(self, bad: FloatArray | IntArray, requests: FloatArray | IntArray) -> FloatArray:
        """How bad slices with these counts are, from 0 to 1, elementwise: 0 or 1 with a `target`."""
        share = np.divide(bad, requests, out=np.zeros(np.shape(bad)), where=np.asarray(requests) > 0)
        if self.target is None:
            return share
        # Rounded, because 1 - 0.99 is a hair above 1 / 100.
        missed: FloatArray = (np.round(share, 12) > round(1 - self.target, 12)).astype(np.float64)
        return missed


@section
class AgeSli:
    """Requests that are not handled within `age` (s) of their arrival are bad, however often they were tried; so are lost ones."""

    age: PositiveSeconds
    """The longest time from the arrival to the success."""


@section
class Objective:
    """An SLO: in every `window` (s) the share `objective` of the alias's requests, or of its time slices, is good.

    `spent` is the share of the error budget already gone when the simulation starts.
    """

    name: str
    """What the SLO is called."""
    sli: Literal["errors", "lost"] | LatencySli | AgeSli = "errors"
    """What makes a request bad: `errors` (failed or throttled), slower than `{latency: ...}`, or of a record later than
    `{age: ...}`; `lost` is a record that no version handled, be it with a wrong result."""
    objective: Share
    """The share of requests that must be good; with `slices`, of time slices."""
    window: PositiveSeconds = 30 * DAY
    """The time over which the budget counts."""
    slices: Slices | None = None
    """Makes the budget count time slices instead of requests."""
    spent: Share = 0.0
    """The share of the budget that is gone when the simulation starts."""
    alias: str | None = None
    """Whose requests count; without it, those of the rollout's alias."""

    def __post_init__(self) -> None:
        if not 0 < self.objective < 1:
            raise ValueError(f"`objective` must lie between 0% and 100%, both excluded, got {self.objective * 100:g}%")
        if self.slices is not None and self.slices.every > self.window:
            every, window = (text(time, "duration") for time in (self.slices.every, self.window))
            raise ValueError(f"slices.every: must not be longer than the window of {window}, got {every}")

    @property
    def latency(self) -> float | None:
        """The longest good latency (s), or None where only failures count."""
        return self.sli.latency if isinstance(self.sli, LatencySli) else None

    @property
    def counted(self) -> str:
        """What the budget counts, in words: `requests`, or `time slices of 5 min`."""
        return "requests" if self.slices is None else f"time slices of {text(self.slices.every, 'duration')}"

    @property
    def paging_share(self) -> float:
        """The share of requests that, when it is bad all the time, burns the budget fast enough to page somebody; at most a half.

        Of slices that are bad by a `target` it is what makes them so.
        """
        if self.slices is not None and self.slices.target is not None:
            return min(max(1 - self.slices.target, FAST_BURN * (1 - self.objective)), 0.5)
        return min(FAST_BURN * (1 - self.objective), 0.5)

    def budget(self, rate: float) -> float:
        """Bad requests that a whole window allows at a `rate` (1/s), or bad slices, whatever the rate."""
        if self.slices is None:
            return budget_events(self.objective, rate, self.window)
        return (1 - self.objective) * self.window / self.slices.every

    def losses(self, bad: FloatArray | IntArray, requests: FloatArray | IntArray, resolution: float) -> FloatArray:
        """What of the budget is lost, in what it counts, in each of the periods of `resolution` (s) on the last axis.

        `bad` and `requests` are counts of the same shape. A slice is lost in its last period; the last one, which the end of the
        run cuts off, by what it has.
        """
        if self.slices is None:
            return np.asarray(bad, np.float64)
        per, periods = round(self.slices.every / resolution), np.shape(bad)[-1]
        starts = np.arange(0, periods, per)
        counts = (np.add.reduceat(part, starts, axis=-1) for part in (bad, requests))
        lost = np.zeros(np.shape(bad))
        lost[..., np.minimum(starts + per, periods) - 1] = self.slices.badness(*counts)
        return lost

    @property
    def limit(self) -> float | None:
        """The longest good time (s) from a request's arrival to its answer, or None where only failures count."""
        return self.sli.age if isinstance(self.sli, AgeSli) else self.latency


def judging(objectives: Sequence[Objective], alias: str, default: str) -> list[tuple[int, float | None]]:
    """The objectives that judge requests to `alias`: index and longest good time (s) to the answer, None where only failures count.

    Objectives without an alias of their own are about the alias `default`.
    """
    return [(j, slo.limit) for j, slo in enumerate(objectives) if (slo.alias or default) == alias]


def budget_events(objective: float, rate: float, window: float) -> float:
    """Bad events that a whole `window` (s) allows: (1 - objective) x rate x window.

    `objective` is the share (fraction) of events that must be good, `rate` that of all events (1/s).

    Examples:
        >>> round(budget_events(0.999, rate=50, window=30 * DAY))
        129600
    """
    return (1 - objective) * rate * window


def burn_rate(bad: FloatArray, total: FloatArray, objective: float) -> FloatArray:
    """The bad share over the allowed one, 1 - `objective`, elementwise; NaN where there are no events.

    `bad` and `total` are counts of the same shape. At a rate of 1 the budget lasts exactly one window.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, bad / np.where(total > 0, total, 1), np.nan)
    result: FloatArray = share / (1 - objective)
    return result
