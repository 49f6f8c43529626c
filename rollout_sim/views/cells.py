"""Cells: the values of a table, each of which knows how it is written.

A cell holds a value, not its text. `text` is what stands in a table of the terminal or a notebook; `lines` is the same
for a page with more room: the value on the first line, its interval or its tail below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from rollout_sim.core.formatting import (
    NONE,
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
        """With four digits."""
        return NONE if self.value is None else f"{self.value:.4g}"


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


@dataclass(frozen=True, slots=True)
class EstimatedShare(Cell):
    """An estimate of a share (fraction)."""

    estimate: Estimate | None

    @property
    def values(self) -> dict[str, object]:
        """The mean and its interval."""
        return _interval(self.estimate)

    @property
    def text(self) -> str:
        """The percentage and its interval."""
        return share_with_interval(self.estimate)

    @property
    def lines(self) -> tuple[str, ...]:
        """The percentage; below it its interval, whose lower end has no sign of its own."""
        if self.estimate is None:
            return (NONE,)
        low, high = self.estimate.low, self.estimate.high
        if low is None or high is None:
            return (share(self.estimate.mean), f"{share(low)}–{share(high)}")
        return (share(self.estimate.mean), f"{percentage(low)}–{share(high)}")


@dataclass(frozen=True, slots=True)
class EstimatedNumber(Cell):
    """An estimate of a number."""

    estimate: Estimate | None

    @property
    def values(self) -> dict[str, object]:
        """The mean and its interval."""
        return _interval(self.estimate)

    @property
    def text(self) -> str:
        """The number and its interval."""
        return number_with_interval(self.estimate)

    @property
    def lines(self) -> tuple[str, ...]:
        """The number; below it its interval."""
        if self.estimate is None:
            return (NONE,)
        return (number(self.estimate.mean), f"{number(self.estimate.low)}–{number(self.estimate.high)}")


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
    def lines(self) -> tuple[str, ...]:
        """What is broken; below it what is open."""
        words: tuple[tuple[str, Kept], ...] = (("broken", "no"), ("open", "open"))
        listed = [(word, ", ".join(names(self.limits, kept)).replace("_", " ")) for word, kept in words]
        return tuple(f"{word}: {which}" for word, which in listed if which) or ("kept" if self.limits else NONE,)


def _interval(estimate: Estimate | None) -> dict[str, object]:
    return {
        ending: getattr(estimate, part, None) for ending, part in (("", "mean"), (" low", "low"), (" high", "high"))
    }
