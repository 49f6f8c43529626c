"""Effort: how much a recommendation simulates: so much nominal work by default, so long by the clock where a time is given.

Nominal work is what a batch costs by the nominal speed of its plane, so that the default answer is the same on all machines.
With a time it depends on the clock; the runs by which its phases ended are kept, and given back make the same answer again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

PATIENCE: Final = 3600.0
"""Nominal seconds at most to reach the precision that is asked for."""
RACING, DECIDING = 0, 1
"""The phases that go on as long as there is time: telling the contenders apart, deciding the limits of what is recommended."""
SHARES: Final = (0.55, 0.9)
"""The share of the effort that may be spent when each phase ends."""


class Effort:
    """What a search has spent, and whether it may go on.

    `work` is in nominal seconds (`planned`); with a `seconds` it ends by the clock, and with `runs`, one number for each
    phase, where so many are done. A `precise` search has `PATIENCE` in its last phase, unless it ends by the clock.
    """

    def __init__(
        self, work: float, *, seconds: float | None = None, precise: bool = False, runs: Sequence[int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.planned = work if seconds is None else seconds
        self.spent = 0.0
        """Nominal seconds."""
        self.runs = 0
        """How many runs of a strategy have been simulated."""
        self._seconds = seconds
        self._precise = precise
        self._given = None if runs is None else tuple(runs)
        self._ended: dict[int, int] = {}
        self._clock = clock
        self._began = clock()

    @property
    def reached(self) -> tuple[int, ...]:
        """The runs that were done when each phase ended."""
        return tuple(self._ended.get(phase, self.runs) for phase in (RACING, DECIDING))

    def spend(self, work: float, runs: int) -> None:
        """Tells of runs that have been simulated, and of their nominal seconds."""
        self.spent += work
        self.runs += runs

    def allows(self, phase: int, work: float) -> bool:
        """Whether a phase may spend so many nominal seconds more; where not, it ends."""
        if self._given is not None:
            allowed = phase not in self._ended and self.runs < self._given[phase]
        else:
            allowed = work <= self._left(phase)
        if not allowed:
            self.end(phase)
        return allowed

    def affordable(self, phase: int, each: float, wanted: int, least: int) -> int:
        """Of the runs that are `wanted`, of `each` nominal seconds, those that a phase may still do; where not all, it ends.

        None rather than fewer than `least`.
        """
        left = self._given[phase] - self.runs if self._given is not None else int(self._left(phase) / each + 1e-9)
        count = 0 if phase in self._ended else max(min(wanted, left), 0)
        if count < min(wanted, least):
            count = 0
        if count < wanted:
            self._ended.setdefault(phase, self.runs + count)
        return count

    def _left(self, phase: int) -> float:
        """Nominal seconds that a phase may still spend."""
        if phase in self._ended:
            return 0.0
        if self._seconds is not None:
            passed = self._clock() - self._began
            pace = passed / self.spent if self.spent else 1.0
            return (SHARES[phase] * self._seconds - passed) / max(pace, 1e-9)
        return (PATIENCE if self._precise and phase == DECIDING else SHARES[phase] * self.planned) - self.spent

    def end(self, phase: int) -> None:
        """Ends a phase, once: where there is no time for more, or nothing more to do."""
        self._ended.setdefault(phase, self.runs)
