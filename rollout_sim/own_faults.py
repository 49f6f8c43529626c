"""Own faults: what a class of other people's says is wrong at each moment, as the built-in faults that it comes to.

They become pieces of built-in faults before any data plane sees them, so that all planes take them and agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from rollout_sim.faults import Fault
from rollout_sim.units import TICK, tick

MAX_PIECES: Final = 500
"""Built-in faults that an own one may come to: each invocation looks at all of them."""
MAX_ANSWERS: Final = 1_000_000


class OwnFault(Protocol):
    """A fault of one's own: at each moment some built-in ones. `step` is for how long (s) each answer of `at` holds."""

    step: float

    def at(self, seconds: float) -> Sequence[Fault]:
        """What is wrong `seconds` after the onset (0, `step`, 2 `step`, ...): faults without times of their own."""
        ...


def unfolded(faults: Sequence[Fault], length: float) -> tuple[Fault, ...]:
    """The same with own faults as the built-in ones that they come to within `length` (s) from the rollout's start.

    Answers that stay the same from step to step are one piece. Raises ValueError for an own fault that breaks its
    protocol, or comes to more than `MAX_PIECES`.
    """
    found: list[Fault] = []
    for fault in faults:
        found += [fault] if fault.own is None else _pieces(fault, length)
    return tuple(found)


def _pieces(fault: Fault, length: float) -> list[Fault]:
    own: Any = fault.own
    name = own.type
    if not own.step >= TICK:
        raise ValueError(f"`step` of {name} must be a time above 0, got {own.step:g} s")
    end = length if fault.until is None else min(fault.until, length)
    if end - fault.onset > MAX_ANSWERS * own.step:
        raise ValueError(
            f"`step` of {name} makes {(end - fault.onset) / own.step:.3g} answers; allowed {MAX_ANSWERS:,}"
        )
    found: list[Fault] = []
    begins: float = fault.onset
    holds: tuple[Fault, ...] = ()
    for k in itertools.count():
        at = tick(fault.onset + k * own.step)
        now = tuple(own.at(at - fault.onset)) if at < end else ()
        if now != holds or at >= end:
            # Where the own fault lasts, so does its last piece, and the horizon is none of its instants.
            until = fault.until if at >= end else at
            found += [replace(one, onset=begins, until=until) for one in holds]
            begins, holds = at, now
        if at >= end:
            return found
        for one in now:
            if (
                not isinstance(one, Fault)
                or one.own is not None
                or (one.onset, one.ramp, one.until) != (0.0, 0.0, None)
            ):
                raise ValueError(f"at() of {name} returns built-in faults without onset, ramp and until, got {one!r}")
        if len(found) > MAX_PIECES:
            raise ValueError(f"{name} comes to more than {MAX_PIECES} pieces; a longer `step` makes fewer")
    raise AssertionError
