"""Lambda Managed Instances: how many environments a version has, each of which takes many invocations at once.

AWS documents what the scaling does, not how: it follows the load and not the single request, so that no invocation waits for an
init; there is room for traffic to double within 5 minutes, and what grows faster is throttled until the environments are there.
The law here is the simplest that does so (target tracking); its parameters have the values that come to those 5 minutes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Final

from rollout_sim.core.fields import PositiveSeconds, PositiveShare, Seconds, check_count, section
from rollout_sim.core.units import tick

MAX_CONCURRENCY: Final = 1600
MAX_ENVIRONMENTS: Final = 15_000
MAX_PLACES: Final = 1_000_000
"""Invocations of one version that its environments may have places for: what fits into memory."""
PER_VCPU: Final = {"nodejs": 64, "java": 32, "dotnet": 32, "python": 16, "provided": 8}
"""By how a runtime's name begins, the `concurrency` that Lambda takes by default for each vCPU."""
_EVEN: Final = 9
"""Decimals of a number of environments: what is one too many by rounding alone is none."""


@section
class EnvironmentLimits:
    """How many execution environments a version on managed instances has: at least, and at most."""

    minimum: int = 3
    """So many are there before the version takes traffic, and stay (`MinExecutionEnvironments`)."""
    maximum: int = 400
    """AWS's `MaxExecutionEnvironments`; where that is not set, what the vCPUs of the capacity provider are enough for."""

    def __post_init__(self) -> None:
        check_count("minimum", self.minimum, 1, MAX_ENVIRONMENTS)
        check_count("maximum", self.maximum, 1, MAX_ENVIRONMENTS)
        if self.minimum > self.maximum:
            raise ValueError(f"`minimum` must be at most the `maximum` of {self.maximum}, got {self.minimum}")


@section
class ManagedInstances:
    """That a function runs on Lambda Managed Instances, and how their environments scale."""

    concurrency: int
    """Invocations that an environment takes at once (`PerExecutionEnvironmentMaxConcurrency`), 1 to 1,600."""
    environments: EnvironmentLimits = EnvironmentLimits()
    """How many environments a version has at least and at most, unless the version says it."""
    target: PositiveShare = 0.5
    """The share of their places in use that the environments are scaled for. AWS does not document it; half leaves room to double."""
    every: PositiveSeconds = 60.0
    """How often the load is looked at: the mean of the places in use since the last look."""
    launch: Seconds = 180.0
    """How long the environments that a look asks for take to be ready. AWS does not document it; with 3 min, a load that doubles in
    5 min just finds room."""
    scale_down_after: Seconds = 900.0
    """Environments go away only when no look asked for them for so long. AWS does not document it; it says that it is slow."""

    def __post_init__(self) -> None:
        check_count("concurrency", self.concurrency, 1, MAX_CONCURRENCY)
        if self.every < 1:
            raise ValueError(f"`every` must be at least 1 s, got {self.every:g} s")

    @property
    def reaction(self) -> float:
        """Seconds until a load that came just after a look has the environments that it is scaled to."""
        return self.every + self.launch

    def needed(self, load: float) -> int:
        """The environments that a `load` (mean invocations at once) is scaled to, whatever the limits."""
        return math.ceil(round(load / (self.target * self.concurrency), _EVEN))

    def instants(self, start: float, end: float) -> Iterator[float]:
        """The times (s) in (start, end) at which a look is due or environments can be ready, in order; then `end`."""
        grids = [
            {tick(offset + k * self.every) for k in range(max(1, math.floor((start - offset) / self.every)),
                                                          math.ceil((end - offset) / self.every) + 1)}
            for offset in (0.0, self.launch)
        ]  # fmt: skip
        yield from sorted(t for t in set().union(*grids) if start < t < end)
        yield end


class Scaling:
    """The environments of one version on managed instances, as its load changes.

    `ready` is their number. They begin at what the expected `load` (mean invocations at once) needs.
    """

    def __init__(self, managed: ManagedInstances, limits: EnvironmentLimits, load: float) -> None:
        self._managed = managed
        self._limits = limits
        self._minimum = limits.minimum
        self.ready = self._within(managed.needed(load))
        self._launching: deque[tuple[float, int]] = deque()  # when (s) how many more are ready
        self._looks = 1  # the number of the next look
        self._worked = 0.0
        self._asked: deque[tuple[float, int]] = deque([(0.0, self.ready)])  # by the looks within `scale_down_after`

    def raise_minimum(self, count: int) -> None:
        """So many environments more than the minimum are kept, and are there from now on."""
        self._minimum = min(self._minimum + count, self._limits.maximum)
        self.ready = max(self.ready, self._minimum)

    def goes_on(self, t: float, worked: float) -> None:
        """Comes to `t` (s), until when invocations have run for `worked` seconds in all: `ready` is what holds from then on."""
        managed = self._managed
        if t == tick(self._looks * managed.every):
            self._looks += 1
            load, self._worked = (worked - self._worked) / managed.every, worked
            self._look(t, self._within(managed.needed(load)))
        while self._launching and self._launching[0][0] <= t:
            self.ready = min(self.ready + self._launching.popleft()[1], self._limits.maximum)

    def _look(self, t: float, asked: int) -> None:
        """A look at `t` (s) asks for so many environments."""
        self._asked.append((t, asked))
        while self._asked[0][0] < t - self._managed.scale_down_after:
            self._asked.popleft()
        there = self.ready + sum(count for _, count in self._launching)
        if asked > there:
            self._launching.append((tick(t + self._managed.launch), asked - there))
        else:
            self.ready = min(self.ready, self._within(max(count for _, count in self._asked)))

    def _within(self, count: int) -> int:
        return min(max(count, self._minimum), self._limits.maximum)
