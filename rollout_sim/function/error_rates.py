"""Error rates that change from minute to minute: scattered, in spells, or as recorded.

An alarm's rate of false alarms depends on how errors clump more than on how many there are. Each kind here is a path of
shares, one for each span of `step` seconds, the same whatever serves the request; given its path, invocations fail
independently. The path is drawn once for each replication, before anything else happens, from one uniform a span (a recorded one
by the hours of `core.minutes.drawn_rows`): so strategies, and the planes that simulate every invocation, meet the same bad minutes.

All versions that draw share these uniforms, because what makes a minute bad is mostly outside of the code (a dependency, the
network, a caller): versions with the same figures have the same share in every span, and of two that scatter alike the one
with the higher mean has the higher share in each.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.fields import PositiveSeconds, PositiveShare, Share, section
from rollout_sim.core.minutes import MINUTE
from rollout_sim.core.streams import Streams
from rollout_sim.function.recorded import RecordedErrors

STREAM: Final = "error rates"
"""The stream of the uniforms, from which every version's path is made."""


@section
class Dispersed:
    """A share that is drawn anew for each `every` from a Beta distribution: the errors of such a span are beta-binomial."""

    mean: PositiveShare
    """The share of invocations that end in a handled exception, in the long run."""
    dispersion: float
    """How far spans differ, from 0 to 1: the intra-class correlation of the invocations of one span."""
    every: PositiveSeconds = MINUTE
    """How long a share holds until the next one is drawn."""

    def __post_init__(self) -> None:
        if not 0 < self.dispersion < 1:
            raise ValueError(f"`dispersion` is a correlation above 0 and below 1, got {self.dispersion:g}")
        if self.mean >= 1:
            raise ValueError("`mean` must be less than 100%: where every invocation fails nothing scatters")
        if self.every < 1:
            raise ValueError(f"`every` must be at least 1 s, got {self.every:g} s")

    @property
    def step(self) -> float:
        """Seconds for which a share holds."""
        return self.every

    def path(self, uniforms: FloatArray) -> FloatArray:
        """The share of each span by inverse transform; both of shape (..., spans).

        The variance is dispersion × mean × (1 - mean): a Beta distribution whose parameters add up to 1 / dispersion - 1.
        """
        from scipy.special import betaincinv

        weight = 1.0 / self.dispersion - 1.0
        shares: FloatArray = betaincinv(self.mean * weight, (1.0 - self.mean) * weight, uniforms)
        return shares


@section
class Spells:
    """Two states, calm and in a spell, each with a share of its own; they change at whole minutes, without memory."""

    calm: Share
    """The share of invocations that end in a handled exception outside of spells."""
    spells: PositiveShare
    """The same during a spell."""
    spell: PositiveSeconds
    """How long a spell lasts on average; at least a minute."""
    every: PositiveSeconds
    """How long it is calm on average, from the end of a spell to the beginning of the next; at least a minute."""

    def __post_init__(self) -> None:
        for name, length in (("spell", self.spell), ("every", self.every)):
            if length < MINUTE:
                raise ValueError(f"`{name}` must be at least 1 min, got {length:g} s")

    @property
    def step(self) -> float:
        """Seconds for which a state holds at least."""
        return MINUTE

    @property
    def mean(self) -> float:
        """The share in the long run."""
        inside = self.spell / (self.spell + self.every)
        return self.calm * (1 - inside) + self.spells * inside

    def path(self, uniforms: FloatArray) -> FloatArray:
        """The share of each minute: a two-state Markov chain that begins in the long run's state; shapes (..., spans)."""
        begins, stays = MINUTE / self.every, 1.0 - MINUTE / self.spell
        inside = np.empty(uniforms.shape, bool)
        now = uniforms[..., 0] < self.spell / (self.spell + self.every)
        inside[..., 0] = now
        for k in range(1, uniforms.shape[-1]):
            now = inside[..., k] = uniforms[..., k] < np.where(now, stays, begins)
        return np.where(inside, self.spells, self.calm)


ErrorRate = Dispersed | Spells | RecordedErrors | Share  # the share last: pydantic writes by the first that fits


def mean_of(rate: ErrorRate) -> float:
    """The share of invocations that fail in the long run."""
    return rate if isinstance(rate, float | int) else rate.mean


def spans_of(rate: ErrorRate, horizon: float) -> tuple[int, float]:
    """How many spans there are up to the horizon (s), and how long each is (s); one without an end where nothing changes."""
    if isinstance(rate, float | int):
        return 1, float("inf")
    return max(-int(-horizon // rate.step), 1), rate.step


def paths_of(rate: ErrorRate, streams: Streams, horizon: float, replications: int = 1) -> FloatArray:
    """The share of each span up to the horizon (s) for each replication: shape (replications, spans)."""
    if isinstance(rate, float | int):
        return np.full((replications, 1), float(rate))
    if isinstance(rate, RecordedErrors):
        return rate.path(streams, horizon, replications)
    count, _ = spans_of(rate, horizon)
    return rate.path(streams.generator(STREAM).random((replications, count)))
