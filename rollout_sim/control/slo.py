"""Service level objectives: which requests are bad, how many of them a budget holds, how fast it burns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.fields import PositiveSeconds, Share, section

DAY = 86400.0


@section
class LatencySli:
    """Requests that take longer than `latency` (s), waits and init included, are bad; so are failed ones."""

    latency: PositiveSeconds
    """The limit; waits and the init of a cold start count."""


@section
class AgeSli:
    """Requests that are not handled within `age` (s) of their arrival are bad, however often they were tried; so are lost ones."""

    age: PositiveSeconds
    """The longest time from the arrival to the success."""


@section
class Objective:
    """An SLO: in every `window` (s) the share `objective` of the alias's requests is good.

    `spent` is the share of the error budget already gone when the simulation starts.
    """

    name: str
    """What the SLO is called."""
    sli: Literal["errors", "lost"] | LatencySli | AgeSli = "errors"
    """What makes a request bad: `errors` (failed or throttled), slower than `{latency: ...}`, or of a record later than
    `{age: ...}`; `lost` is a record that no version handled, be it with a wrong result."""
    objective: Share
    """The share of requests that must be good."""
    window: PositiveSeconds = 30 * DAY
    """The time over which the budget counts."""
    spent: Share = 0.0
    """The share of the budget that is gone when the simulation starts."""
    alias: str | None = None
    """Whose requests count; without it, those of the rollout's alias."""

    def __post_init__(self) -> None:
        if not 0 < self.objective < 1:
            raise ValueError(f"`objective` must lie between 0% and 100%, both excluded, got {self.objective * 100:g}%")

    @property
    def latency(self) -> float | None:
        """The longest good latency (s), or None where only failures count."""
        return self.sli.latency if isinstance(self.sli, LatencySli) else None

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
    """Bad events that a whole window allows: (1 - objective) x rate (1/s) x window (s).

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
