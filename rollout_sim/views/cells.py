"""Cells: the values of a table, each of which knows how it is written.

A cell holds a value, not its text. `text` is what stands in a table of the terminal or a notebook; `lines` is the same
for a page with more room: the value on the first line, its interval or its tail below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from rollout_sim.core.formatting import (
    NONE,
    duration_with_interval,
    number,
    number_with_interval,
    percentage,
    share,
    share_with_interval,
    show_duration,
)
from rollout_sim.core.statistics import Estimate
from rollout_sim.errors import escaped
from rollout_sim.study.recommend.limits import Kept, Limit, names

Tone = Literal["", "good", "bad", "open"]
"""What a cell's value means to the reader: nothing in itself, that all is well, that it is not, or that it is not decided."""


class Cell(ABC):
    """A value of a table."""

    __slots__ = ()

    @property
    @abstractmethod
    def text(self) -> str:
        """The value on one line; `-` for one that does not exist."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The value, and below it what else is known of it."""
        return (self.text,)

    @property
    def tone(self) -> Tone:
        """How the value is judged, which a terminal shows as a colour."""
        return ""

    @property
    def values(self) -> dict[str, object]:
        """The value itself, and what else is known of it, by the ending of the column's heading in a DataFrame."""
        return {"": getattr(self, "value", self.text)}


@dataclass(frozen=True, slots=True)
class Text(Cell):
    """Words."""

    value: str

    @property
    def text(self) -> str:
        """The words, on one line whatever they hold."""
        return escaped(self.value)


@dataclass(frozen=True, slots=True)
class Count(Cell):
    """A whole number."""

    value: int | None

    @property
    def text(self) -> str:
        """With its thousands marked."""
        return NONE if self.value is None else f"{self.value:,}"


@dataclass(frozen=True, slots=True)
class Average(Cell):
    """A mean over time, such as the environments of a version."""

    value: float | None

    @property
    def text(self) -> str:
        """With three digits."""
        return number(self.value)


@dataclass(frozen=True, slots=True)
class Share(Cell):
    """A share (fraction)."""

    value: float | None

    @property
    def text(self) -> str:
        """As a percentage."""
        return share(self.value)


@dataclass(frozen=True, slots=True)
class Duration(Cell):
    """A time in seconds."""

    seconds: float | None

    @property
    def text(self) -> str:
        """In the unit that reads best."""
        return show_duration(self.seconds)

    @property
    def values(self) -> dict[str, object]:
        """In seconds."""
        return {"": self.seconds}


_TONES: dict[Kept, Tone] = {"yes": "good", "no": "bad", "open": "open"}


@dataclass(frozen=True, slots=True)
class _Limited(Cell):
    """An estimate, and the limit of the goal that is about it, if there is one."""

    estimate: Estimate | None
    limit: Limit | None = None

    @property
    def tone(self) -> Tone:
        """Whether the limit is kept."""
        return "" if self.limit is None else _TONES[self.limit.kept]

    @property
    def values(self) -> dict[str, object]:
        """The mean and its interval, in the unit of the value."""
        parts = (("", "mean"), (" low", "low"), (" high", "high"))
        return {ending: getattr(self.estimate, part, None) for ending, part in parts}


@dataclass(frozen=True, slots=True)
class EstimatedShare(_Limited):
    """An estimate of a share (fraction)."""

    @property
    def text(self) -> str:
        """The percentage and its interval."""
        return share_with_interval(self.estimate)

    @property
    def lines(self) -> tuple[str, ...]:
        """The percentage; below it its interval, whose lower end has no sign of its own."""
        if self.estimate is None:
            return (NONE,)
        mean, low, high = self.estimate.mean, self.estimate.low, self.estimate.high
        if low is None or high is None:
            return (share(mean), f"{share(low)}–{share(high)}")
        if share(low) == share(mean) == share(high):
            return (share(mean),)
        return (share(mean), f"{share(low)} to {share(high)}" if low < 0 else f"{percentage(low)}–{share(high)}")


@dataclass(frozen=True, slots=True)
class EstimatedNumber(_Limited):
    """An estimate of a number."""

    @property
    def text(self) -> str:
        """The number and its interval."""
        return number_with_interval(self.estimate)

    @property
    def lines(self) -> tuple[str, ...]:
        """The number; below it its interval."""
        if self.estimate is None:
            return (NONE,)
        mean, low, high = map(number, (self.estimate.mean, self.estimate.low, self.estimate.high))
        between = " to " if low.startswith("-") and low != NONE else "–"
        return (mean,) if mean == low == high else (mean, f"{low}{between}{high}")


@dataclass(frozen=True, slots=True)
class EstimatedDuration(_Limited):
    """An estimate of a time (s)."""

    @property
    def text(self) -> str:
        """The time and its interval."""
        return duration_with_interval(self.estimate)

    @property
    def lines(self) -> tuple[str, ...]:
        """The time; below it its interval."""
        if self.estimate is None:
            return (NONE,)
        mean, low, high = map(show_duration, (self.estimate.mean, self.estimate.low, self.estimate.high))
        return (mean,) if mean == low == high else (mean, f"{low}–{high}")


@dataclass(frozen=True, slots=True)
class MedianDuration(Cell):
    """An estimate of a time (s) by its median and its 95th percentile: it needs the quantiles `p50` and `p95`."""

    estimate: Estimate | None

    @property
    def values(self) -> dict[str, object]:
        """The quantiles, in seconds."""
        quantiles = {} if self.estimate is None else self.estimate.quantiles
        return {f" {name}": quantiles[name][0] if quantiles else None for name in ("p50", "p95")}

    @property
    def text(self) -> str:
        """The median and the 95th percentile."""
        return " / ".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """The median; below it the 95th percentile."""
        if self.estimate is None:
            return (NONE,)
        return tuple(show_duration(self.estimate.quantiles[name][0]) for name in ("p50", "p95"))


@dataclass(frozen=True, slots=True)
class Verdict(Cell):
    """Whether the limits of a goal are kept, broken, or open because there are too few replications."""

    limits: tuple[Limit, ...]

    @property
    def text(self) -> str:
        """`broken: catch; open: budget`; `kept` where every limit is, `-` where the goal has none."""
        return "; ".join(self.lines)

    @property
    def tone(self) -> Tone:
        """Bad where a limit is broken, open where one is, good where all are kept."""
        kept = {limit.kept for limit in self.limits}
        return "bad" if "no" in kept else "open" if "open" in kept else "good" if kept else ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What is broken; below it what is open."""
        words: tuple[tuple[str, Kept], ...] = (("broken", "no"), ("open", "open"))
        listed = [(word, ", ".join(names(self.limits, kept)).replace("_", " ")) for word, kept in words]
        return tuple(f"{word}: {which}" for word, which in listed if which) or ("kept" if self.limits else NONE,)


@dataclass(frozen=True, slots=True)
class Judgement(Cell):
    """Whether an outcome is the right one for the version that was rolled out; `bad` says whether it has faults.

    An outcome says what happened; whether that is good news depends on the version: promoted is the worst for a bad one.
    """

    outcome: str
    bad: bool

    @property
    def text(self) -> str:
        """In two or three words; `-` where the rollout was not over."""
        return _JUDGEMENTS.get((self.outcome, self.bad), (NONE, ""))[0]

    @property
    def lines(self) -> tuple[str, ...]:
        """What it is; below it of which version, where that has to be said."""
        version, _, verb = self.text.partition(" version ")
        return (verb, f"a {version} version") if verb else (self.text,)

    @property
    def tone(self) -> Tone:
        """Good where it is right."""
        return _JUDGEMENTS.get((self.outcome, self.bad), (NONE, ""))[1]


_JUDGEMENTS: dict[tuple[str, bool], tuple[str, Tone]] = {
    ("rolled_back", True): ("bad version caught", "good"),
    ("failed", True): ("bad version caught", "good"),
    ("promoted", True): ("bad version missed", "bad"),
    ("promoted", False): ("good version shipped", "good"),
    ("rolled_back", False): ("false alarm", "bad"),
    ("failed", False): ("false alarm", "bad"),
}
