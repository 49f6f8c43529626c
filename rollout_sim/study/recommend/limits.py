"""Limits: whether an estimate keeps a limit of the goal, breaks it, or leaves it open."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from rollout_sim.core.statistics import Estimate

Kept = Literal["yes", "no", "open"]
NORMAL: Final = 1.96
"""Standard errors to either side of a mean that a 95% interval reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit of the goal beside the estimate that has to keep it; exactly one of `at_most` and `at_least` is given."""

    name: str
    """`catch`, `false_rollback`, `budget` or `time_to_full`, as the goal has it."""
    estimate: Estimate
    """A share, or seconds for `time_to_full`, which is known without an error."""
    at_most: float | None = None
    """What the estimated value may be at most, itself included."""
    at_least: float | None = None
    """What it has to be at least, itself included."""

    @property
    def on_stops(self) -> bool:
        """Whether it is about how often rollouts are stopped, a probability."""
        return self.name in ("catch", "false_rollback")

    @property
    def kept(self) -> Kept:
        """`yes` where the whole interval is within the limit, `no` where none of it is, else `open`.

        An end that is not known may lie anywhere.
        """
        low, high = self.estimate.low, self.estimate.high
        if self.at_most is not None:
            inside, outside = high is not None and high <= self.at_most, low is not None and low > self.at_most
        else:
            assert self.at_least is not None
            inside, outside = low is not None and low >= self.at_least, high is not None and high < self.at_least
        return "yes" if inside else "no" if outside else "open"

    @property
    def kept_on_average(self) -> bool:
        """Whether the mean is within the limit: what a search goes by where the interval leaves it open."""
        if self.at_most is not None:
            return self.estimate.mean <= self.at_most
        assert self.at_least is not None
        return self.estimate.mean >= self.at_least

    @property
    def enough(self) -> int | None:
        """How many replications are likely to decide an open limit on a probability; None for others, and where none would.

        So many that the interval, as wide as a normal one around the mean, no longer reaches the limit.
        """
        bound = self.at_most if self.at_least is None else self.at_least
        assert bound is not None
        share = self.estimate.mean
        if self.kept != "open" or not self.on_stops or share == bound:
            return None
        spread = max(share * (1 - share), bound * (1 - bound))
        return math.ceil(NORMAL**2 * spread / (share - bound) ** 2)

    @property
    def fewest(self) -> int:
        """How many replications it takes at least to say that a limit on a probability is kept: if none of them speaks against it.

        0 for other limits. Looked at before, it could only be found broken, by chance as well.
        """
        if not self.on_stops:
            return 0
        against = self.at_most if self.at_least is None else 1 - self.at_least
        assert against is not None
        return math.ceil(NORMAL**2 * (1 - against) / against) if against > 0 else 0

    @property
    def undecidable(self) -> bool:
        """Whether it is about all rollouts, or none: broken by a single one, and kept by no number of replications for sure."""
        return self.on_stops and (self.at_least == 1 or self.at_most == 0)

    def settled(self, precision: float | None = None) -> bool:
        """Whether the interval decides the limit, if any can, and, with a `precision`, is no wider than that to either side."""
        decided = self.kept != "open" or self.undecidable
        if not decided or precision is None or self.name == "time_to_full":
            return decided
        low, high = self.estimate.low, self.estimate.high
        return low is not None and high is not None and high - low <= 2 * precision

    def needed(self, precision: float | None = None) -> int:
        """How many replications are likely to settle a limit on a probability; twice as many as there are where nobody knows."""
        enough = self.enough if self.kept == "open" else 0
        needed = max(2 * self.estimate.n if enough is None else enough, self.fewest)
        if precision is None:
            return needed
        share = self.estimate.mean
        return max(needed, math.ceil(NORMAL**2 * max(share * (1 - share) / precision, 1.0) / precision))

    def to_json(self) -> dict[str, Any]:
        """An entry of the `limits` of `recommend --json`."""
        bound = {"at_most": self.at_most} if self.at_most is not None else {"at_least": self.at_least}
        estimate = self.estimate.to_json()
        return {
            "limit": self.name,
            **bound,
            "estimate": estimate,
            "kept": self.kept,
            "replications_needed": self.enough,
        }


def names(limits: Iterable[Limit], kept: Kept) -> list[str]:
    """The limits with that verdict, by name."""
    return [limit.name for limit in limits if limit.kept == kept]
