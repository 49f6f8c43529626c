"""Error rates that change from minute to minute: scattered, in spells, or as recorded.

An alarm's rate of false alarms depends on how errors clump more than on how many there are. Each kind here is a path of
shares, one for each span of `step` seconds, the same whatever serves the request; given its path, invocations fail
independently. The path is drawn once for each replication, before anything else happens, from one uniform a span: so
strategies, and the planes that simulate every invocation, meet the same bad minutes.

All versions that draw share these uniforms, because what makes a minute bad is mostly outside of the code (a dependency, the
network, a caller): versions with the same figures have the same share in every span, and of two that scatter alike the one
with the higher mean has the higher share in each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.fields import PositiveSeconds, PositiveShare, Share, section
from rollout_sim.core.files import FileReader
from rollout_sim.core.minutes import HOUR, MINUTE, Minutes, iso_of, moment_of, read_minutes
from rollout_sim.core.streams import Streams

STREAM: Final = "error rates"
"""The stream of the uniforms, from which every version's path is made."""
MAX_SPANS: Final = 5_000_000


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


@dataclass(frozen=True, kw_only=True)  # no slots: `recording` is kept beside the fields
class RecordedErrors:
    """The share of errors of recorded minutes, replayed from the first on (or from `begin`), or drawn in blocks of an hour.

    A minute without invocations has the recording's overall share. After the last minute the first one follows.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    minutes: str
    """The file of recorded minutes, relative to the scenario."""
    of: str = "function"
    """Whose minutes: `function`, `alias:prod`, `version:7`."""
    draw: Literal["replay", "blocks"] = "replay"
    """`replay` goes through the recording as time does, as a trace does; `blocks` draws each hour from it by chance."""
    begin: str | None = None
    """With `replay`: the recorded moment at which the simulation begins, in UTC; the first one if not given."""
    end: str | None = None
    """With `blocks`: the recorded moment before which they are drawn from, in UTC; the last one if not given."""
    folder: str = ""
    """Where relative names begin; the scenario's own folder."""

    def __post_init__(self) -> None:
        for name, moment, belongs in (("begin", self.begin, "replay"), ("end", self.end, "blocks")):
            if moment is not None:
                if self.draw != belongs:
                    raise ValueError(f"`{name}` belongs to `draw: {belongs}`")
                moment_of(moment)

    @cached_property
    def recording(self) -> Minutes:
        """What the file holds; no field: neither compared nor dumped. Raises ValueError."""
        return self._ended(read_minutes(Path(self.folder) / self.minutes, self.of))

    def _ended(self, recording: Minutes) -> Minutes:
        return recording if self.end is None else recording.between(0, recording.index(moment_of(self.end)))

    def with_files(self, folder: Path, files: FileReader) -> RecordedErrors:
        """The same with its file name relative to `folder` and its `recording` read by `files`. Raises ValueError."""
        recorded = replace(self, folder=str(folder))
        recording = files.read(read_minutes, folder / self.minutes, self.of)
        if self.begin is not None:
            recording.index(moment_of(self.begin))
        if self.end is not None and recording.index(moment_of(self.end)) == 0:
            raise ValueError(f"{self.minutes}: nothing is recorded before `end`, {self.end}")
        object.__setattr__(recorded, "recording", self._ended(recording))
        return recorded

    def beginning(self, moment: float) -> RecordedErrors:
        """The same from another recorded `moment` on (s since 1970), where it is replayed."""
        return replace(self, begin=iso_of(moment)) if self.draw == "replay" else self

    @property
    def step(self) -> float:
        """Seconds of a recorded minute."""
        return self.recording.period

    @property
    def mean(self) -> float:
        """The share of all recorded invocations."""
        return self.recording.error_share

    def path(self, uniforms: FloatArray) -> FloatArray:
        """The share of each span; shapes (..., spans). A block is as likely to begin at any recorded minute as at any other."""
        shares, spans = self.recording.error_shares, np.arange(uniforms.shape[-1])
        if self.draw == "replay":
            first = 0 if self.begin is None else self.recording.index(moment_of(self.begin))
            return np.broadcast_to(shares[(first + spans) % shares.size], uniforms.shape)
        together = max(round(HOUR / self.step), 1)
        begins = (uniforms[..., ::together] * shares.size).astype(np.int64)
        drawn: FloatArray = shares[(begins[..., spans // together] + spans % together) % shares.size]
        return drawn


VaryingErrors = Dispersed | Spells | RecordedErrors
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
    count, _ = spans_of(rate, horizon)
    return rate.path(streams.generator(STREAM).random((replications, count)))
