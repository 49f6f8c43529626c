"""Effort: the default counts work, a time counts the clock, and what was reached is enough to do the very same again."""

from __future__ import annotations

import pytest

from rollout_sim.study.recommend.effort import DECIDING, PATIENCE, RACING, SHARES, Effort


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def steps(effort: Effort, clock: Clock, pace: float) -> list[object]:
    """What a search is told that asks for rounds and for replications; nominal seconds take `pace` seconds."""

    def spend(work: float, runs: int) -> None:
        effort.spend(work, runs)
        clock.now += pace * work

    told: list[object] = []
    spend(2.0, 100)
    for _ in range(4):
        allowed = effort.allows(RACING, 1.0)
        told.append(allowed)
        if allowed:
            spend(1.0, 30)
    effort.end(RACING)
    for wanted in (40, 80, 160, 320):
        count = effort.affordable(DECIDING, 0.02, wanted, 8)
        told.append(count)
        spend(0.02 * count, count)
        told.append(allowed := effort.allows(DECIDING, 0.2))
        if allowed:
            spend(0.2, 6)
    return told


def test_the_default_counts_work_and_never_the_clock() -> None:
    told = [steps(Effort(10.0, clock=clock), clock, pace) for clock, pace in ((Clock(), 0.01), (Clock(), 50.0))]
    assert told[0] == told[1]
    # 55% of 10 s are for the first phase, 90% for both: 5 + 0.8 + 0.2 + 1.6 + 0.2 s, and the 1.2 s that are left buy 60 of 160.
    assert told[0] == [True, True, True, False, 40, True, 80, True, 60, False, 0, False]


@pytest.mark.parametrize("pace", [0.3, 0.7, 1.0, 2.4, 9.0])
def test_what_the_clock_allowed_is_allowed_again_whatever_the_clock(pace: float) -> None:
    clock, later = Clock(), Clock()
    first = Effort(10.0, seconds=8.0, clock=clock)
    told = steps(first, clock, pace)
    again = Effort(10.0, seconds=8.0, runs=first.reached, clock=later)
    assert steps(again, later, 77.0) == told
    assert again.reached == first.reached


def test_a_time_ends_by_the_clock() -> None:
    clock = Clock()
    effort = Effort(10.0, seconds=8.0, clock=clock)
    effort.spend(1.0, 10)
    clock.now = 2.0  # twice the nominal pace: of 7.2 s there are 5.2 s left, for 2.6 nominal ones
    assert SHARES[DECIDING] * 8.0 == pytest.approx(7.2)
    assert effort.affordable(DECIDING, 0.01, 1000, 1) == 260
    assert effort.affordable(DECIDING, 0.01, 1000, 1) == 0


def test_fewer_than_the_least_are_none() -> None:
    effort = Effort(10.0)
    effort.spend(8.9, 10)
    assert effort.affordable(DECIDING, 0.05, 100, 8) == 0


def test_precision_has_patience_in_the_last_phase_alone() -> None:
    effort = Effort(10.0, precise=True)
    effort.spend(20.0, 10)
    assert not effort.allows(RACING, 0.1)
    assert effort.allows(DECIDING, PATIENCE - 21.0)
    assert not effort.allows(DECIDING, PATIENCE)
