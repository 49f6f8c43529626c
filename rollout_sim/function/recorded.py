"""Recorded minutes in a scenario: the errors, throttles and durations of a version or a function, minute by minute.

They are replayed in step with time, or drawn an hour at a time, so that bad spells stay together. All that is drawn from recordings of
the same time, a trace of the traffic included, draws the same hours.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.curves import SHARES, DurationCurves, curves_of
from rollout_sim.core.distributions import Distribution, DistributionCodec
from rollout_sim.core.files import FileReader
from rollout_sim.core.minutes import Minutes, drawn_rows, iso_of, moment_of, read_minutes
from rollout_sim.core.streams import Streams
from rollout_sim.core.yaml_io import suggest

_QUANTILES: Final = 4096
"""Quantiles of the durations of a whole recording that are kept."""


@dataclass(frozen=True, kw_only=True)  # no slots: `recording` is kept beside the fields
class RecordedMinutes:
    """Recorded minutes, replayed from the first on (or from `begin`), or drawn in blocks of an hour; the first follows the last."""

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
                if moment_of(moment) % 1:
                    raise ValueError(f"`{name}` is a whole second, got {moment}")

    @cached_property
    def recording(self) -> Minutes:
        """What the file holds; no field: neither compared nor dumped. Raises ValueError."""
        return self._usable(read_minutes(Path(self.folder) / self.minutes, self.of))

    def _usable(self, recording: Minutes) -> Minutes:
        """As much of a recording as is used. Raises ValueError for one that does not hold what is asked for."""
        if self.begin is not None:
            recording.index(moment_of(self.begin))
        if self.end is None:
            return recording
        stop = recording.index(moment_of(self.end))
        if stop == 0:
            raise ValueError(f"{self.minutes}: nothing is recorded before `end`, {self.end}")
        return recording.between(0, stop)

    def with_files(self, folder: Path, files: FileReader) -> Self:
        """The same with its file name relative to `folder` and its `recording` read by `files`. Raises ValueError."""
        recorded = replace(self, folder=str(folder))
        object.__setattr__(
            recorded, "recording", self._usable(files.read(read_minutes, folder / self.minutes, self.of))
        )
        return recorded

    def beginning(self, moment: float, files: FileReader) -> Self:
        """The same from another recorded `moment` on (s since 1970), where it is replayed. Raises ValueError."""
        if self.draw != "replay":
            return self
        return replace(self, begin=iso_of(moment)).with_files(Path(self.folder), files)

    @property
    def step(self) -> float:
        """Seconds for which a simulated span is in one recorded minute; shorter than one where the simulation begins within one."""
        period = round(self.recording.period)
        return float(math.gcd(period, round(self._ahead) % period))

    @property
    def _ahead(self) -> float:
        """Seconds of the recording before the simulation's beginning."""
        return 0.0 if self.begin is None else moment_of(self.begin) - self.recording.start

    def rows(self, streams: Streams, horizon: float, replications: int = 1) -> IntArray:
        """The recorded minute of each span of `step` seconds up to the horizon (s): shape (replications, spans)."""
        size, period, spans = self.recording.size, self.recording.period, max(-int(-horizon // self.step), 1)
        if self.draw == "blocks":
            return drawn_rows(streams, spans, size, period, replications)
        places = (round(self._ahead) + np.arange(spans) * round(self.step)) // round(period) % size
        return np.broadcast_to(places, (replications, spans))


@dataclass(frozen=True, kw_only=True)
class RecordedErrors(RecordedMinutes):
    """The share of errors of recorded minutes.

    They are replayed from the first on (or from `begin`), or drawn in blocks of an hour; after the last comes the first. A minute
    without invocations has the recording's overall share.
    """

    @property
    def mean(self) -> float:
        """The share of all recorded invocations."""
        return self.recording.error_share

    def path(self, streams: Streams, horizon: float, replications: int = 1) -> FloatArray:
        """The share of each span up to the horizon (s): shape (replications, spans)."""
        return self.recording.error_shares[self.rows(streams, horizon, replications)]


@dataclass(frozen=True, kw_only=True)
class RecordedThrottles(RecordedMinutes):
    """The share of attempts that were throttled in recorded minutes.

    They are replayed from the first on (or from `begin`), or drawn in blocks of an hour; after the last comes the first.
    """

    @property
    def mean(self) -> float:
        """The share of all recorded attempts."""
        recording = self.recording
        return float(recording.throttles.sum() / max(recording.invocations.sum() + recording.throttles.sum(), 1.0))

    def path(self, streams: Streams, horizon: float, replications: int = 1) -> FloatArray:
        """The share of each span up to the horizon (s): shape (replications, spans)."""
        return self.recording.throttle_shares[self.rows(streams, horizon, replications)]

    def _usable(self, recording: Minutes) -> Minutes:
        used = super()._usable(recording)
        if np.isnan(used.columns["throttles"]).all():
            raise ValueError(f"{self.minutes}: no throttles of {self.of!r} were recorded")
        return used


@dataclass(frozen=True, kw_only=True)
class RecordedDurations(RecordedMinutes):
    """How long invocations took in recorded minutes: by the minute of its start, each draws from that minute's curve.

    They are replayed from the first on (or from `begin`), or drawn in blocks of an hour; after the last comes the first. A curve goes
    through the recorded percentiles, maximum and average.
    """

    @cached_property
    def curves(self) -> DurationCurves:
        """The curve of each recorded minute."""
        return curves_of(self.recording)

    def _usable(self, recording: Minutes) -> Minutes:
        used = super()._usable(recording)
        try:
            curves_of(used)
        except ValueError as error:
            raise ValueError(f"{self.minutes}: {error}") from None
        return used

    def path(self, streams: Streams, horizon: float) -> FloatArray:
        """The curve (s) of each span up to the horizon (s) in one replication: shape (spans, shares of `curves`)."""
        return np.asarray(self.curves.seconds[self.rows(streams, horizon)[0]])

    # What a `Distribution` has: all recorded invocations together.

    @property
    def mean(self) -> float:
        """The mean (s) of all recorded invocations."""
        weights = self.recording.invocations
        return float(np.average(self.curves.means, weights=weights if weights.any() else None))

    @cached_property
    def _together(self) -> tuple[FloatArray, FloatArray]:
        """Durations (s) in rising order, and which share of all recorded invocations each exceeds."""
        parts = np.array([1 / 8, 3 / 8, 5 / 8, 7 / 8])
        low, high = self.curves.seconds[:, :-1, None], self.curves.seconds[:, 1:, None]
        values = (low + (high - low) * parts).reshape(-1)
        weights = self.recording.invocations if self.recording.invocations.any() else np.ones(self.recording.size)
        masses = np.repeat(np.diff(SHARES) / parts.size, parts.size)
        order = np.argsort(values, kind="stable")
        below = np.cumsum((weights[:, None] * masses).reshape(-1)[order])
        kept = np.unique(np.linspace(0, order.size - 1, _QUANTILES).astype(np.int64))
        return values[order][kept], below[kept] / below[-1]

    def ppf(self, u: FloatArray) -> FloatArray:
        """The durations (s) below which the shares `u` in [0, 1) of all recorded invocations lie, elementwise."""
        values, below = self._together
        return np.asarray(np.interp(u, below, values))

    def cdf(self, x: FloatArray) -> FloatArray:
        """The shares of all recorded invocations that took up to `x` (s), elementwise."""
        values, below = self._together
        return np.asarray(np.interp(x, values, below, left=0.0, right=1.0))


def throttles_of(
    throttled: float | RecordedThrottles, streams: Streams, horizon: float, replications: int = 1
) -> FloatArray:
    """The share of attempts that others' use of the account throttles, by `step_of`: shape (replications, steps)."""
    if isinstance(throttled, RecordedThrottles):
        return throttled.path(streams, horizon, replications)
    return np.full((replications, 1), float(throttled))


def step_of(part: object) -> float:
    """Seconds for which each entry of a path holds; without an end where nothing is recorded."""
    return part.step if isinstance(part, RecordedMinutes) else math.inf


class _ServiceTimeCodec(DistributionCodec):
    """`350 ms`, `{lognormal: {...}}` or `{minutes: minutes.csv}`: how long an invocation runs."""

    def read(self, value: object) -> Any:
        """Raises ValueError naming the field that is wrong."""
        if isinstance(value, RecordedDurations):
            return value
        if not isinstance(value, dict) or "minutes" not in value:
            return super().read(value)
        allowed = [field.name for field in dataclasses.fields(RecordedDurations) if field.name != "folder"]
        for name, given in value.items():
            if name not in allowed:
                raise ValueError(
                    f"unknown field {name!r}{suggest(str(name), allowed) or ';'} allowed {', '.join(allowed)}"
                )
            if not isinstance(given, str):
                raise ValueError(f"`{name}` needs text, got {given!r}")
        if value.get("draw", "replay") not in ("replay", "blocks"):
            raise ValueError(f"`draw` is not known, got {value['draw']!r}; allowed replay, blocks")
        return RecordedDurations(**value)

    def write(self, value: Any) -> object:
        """What `read` turns back into an equal value; of recorded minutes the file, not the folder in which it was found."""
        if not isinstance(value, RecordedDurations):
            return super().write(value)
        fields = {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.name != "folder"
        }
        return {name: given for name, given in fields.items() if name == "minutes" or given not in (None, "replay")}

    def schema(self) -> dict[str, Any]:
        """A text, or a mapping with the parameters of one kind of distribution, or the fields of recorded minutes."""
        schema = super().schema()
        texts = {name: {"type": "string"} for name in ("minutes", "of", "begin", "end")}
        fields = {**texts, "draw": {"type": "string", "enum": ["replay", "blocks"]}}
        shape = {"type": "object", "additionalProperties": False, "required": ["minutes"], "properties": fields}
        return {"anyOf": [*schema["anyOf"], shape]}


ServiceTime = Annotated[Distribution | RecordedDurations, _ServiceTimeCodec("duration", "350 ms")]
