"""Managed instances: the law by which a version's environments follow its load, and the places in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from rollout_sim.function.environments import Fleet, ManagedPool
from rollout_sim.function.managed import EnvironmentLimits, ManagedInstances, Scaling
from rollout_sim.theory import managed_recovery_time

TEN = ManagedInstances(concurrency=10, environments=EnvironmentLimits(minimum=1, maximum=10_000))


def followed(managed: ManagedInstances, load: Callable[[float], float], until: float) -> list[tuple[float, int, float]]:
    """When (s) how many environments there are, and the greatest share of a fluid `load` that they throttle until the next time."""
    scaling = Scaling(managed, managed.environments, load(0.0))
    worked, now, history = 0.0, 0.0, []
    for t in managed.instants(0.0, until):
        places, throttled = scaling.ready * managed.concurrency, 0.0
        for k in range(100):  # the middle of each hundredth of the stretch
            wanted = load(now + (k + 0.5) / 100 * (t - now))
            worked += min(wanted, places) * (t - now) / 100
            throttled = max(throttled, 1 - places / wanted)
        history.append((now, scaling.ready, throttled))
        scaling.goes_on(t, worked)
        now = t
    return history


def doubling(minutes: float) -> Callable[[float], float]:
    return lambda t: 100.0 * 2.0 ** (t / 60 / minutes)


def test_traffic_that_doubles_in_5_minutes_is_never_throttled_and_quicker_is() -> None:
    """What AWS says of it: throttles may come if traffic more than doubles within 5 minutes."""
    assert max(throttled for *_, throttled in followed(TEN, doubling(5), 1800)) == 0
    assert max(throttled for *_, throttled in followed(TEN, doubling(4), 1800)) > 0.02


@pytest.mark.parametrize("target", [0.5, 0.25, 1.0])
def test_the_greatest_step_that_finds_room_is_one_over_the_target(target: float) -> None:
    managed = ManagedInstances(concurrency=10, environments=TEN.environments, target=target)
    for step, throttled in ((1 / target, 0.0), (1.25 / target, 0.2)):
        history = followed(managed, lambda t, step=step: 100.0 * (step if t >= 600 else 1.0), 660)  # type: ignore[misc]
        assert history[-1][2] == pytest.approx(throttled)


@pytest.mark.parametrize(("step", "target"), [(10.0, 0.5), (4.0, 0.5), (5.0, 0.5), (10.0, 0.25), (2.0, 0.5)])
def test_what_is_throttled_is_over_when_theory_says_it(step: float, target: float) -> None:
    """The environments grow by 1 / target with each reaction, since throttled requests load nobody."""
    managed = ManagedInstances(concurrency=10, environments=TEN.environments, target=target)
    history = followed(managed, lambda t: 100.0 * (step if t >= 600 else 1.0), 3600)
    over = max((t for t, _, throttled in history if throttled > 0), default=None)
    end = 600.0 if over is None else next(t for t, *_ in history if t > over)
    assert end - 600 == managed_recovery_time(step, target=target, reaction=managed.reaction)


def test_they_stay_after_a_load_for_as_long_as_it_takes_to_be_sure() -> None:
    managed = ManagedInstances(concurrency=10, environments=EnvironmentLimits(minimum=3), scale_down_after=300.0)
    history = followed(managed, lambda t: 100.0 if t < 600 else 1.0, 1200)
    assert [count for t, count, _ in history if t < 960] == [20] * 16  # the look at 600 s asked for 20 of them
    assert {count for t, count, _ in history if t >= 960} == {3}


def test_limits_hold_and_a_minimum_can_be_raised() -> None:
    limits = EnvironmentLimits(minimum=3, maximum=7)
    scaling = Scaling(TEN, limits, load=1000.0)
    assert scaling.ready == 7
    scaling = Scaling(TEN, limits, load=0.0)
    assert scaling.ready == 3
    scaling.raise_minimum(2)
    assert scaling.ready == 5
    scaling.raise_minimum(100)
    assert scaling.ready == 7
    for t in TEN.instants(0.0, 3600.0):
        scaling.goes_on(t, 0.0)
    assert scaling.ready == 7


def test_what_is_launched_while_the_minimum_is_raised_stays_within_the_maximum() -> None:
    scaling = Scaling(TEN, EnvironmentLimits(minimum=3, maximum=7), load=0.0)
    scaling.goes_on(60.0, 60.0 * 30)  # 30 at once need six of ten places each, half of them in use
    scaling.raise_minimum(2)
    scaling.goes_on(240.0, 60.0 * 30)
    assert scaling.ready == 7


def test_looks_and_launches_are_instants_of_their_own() -> None:
    managed = ManagedInstances(concurrency=1, every=60.0, launch=150.0)
    assert list(managed.instants(0.0, 300.0)) == [60.0, 120.0, 180.0, 210.0, 240.0, 270.0, 300.0]
    assert list(managed.instants(210.0, 239.0)) == [239.0]


def pool(environments: int, places: int) -> ManagedPool:
    managed = ManagedPool(Fleet(0, 1000), places)
    managed.scale_to(environments, 0.0)
    return managed


def test_an_environment_takes_as_many_as_it_has_places_and_then_one_is_throttled() -> None:
    environments = pool(2, 3)
    taken = [environments.take(1.0) for _ in range(7)]
    assert [None if each is None else (each[2], each[3] < 0) for each in taken] == [
        (0, False), (1, False), (0, False), (1, False), (0, False), (1, False), None,
    ]  # fmt: skip


def test_a_failure_frees_its_place_and_ends_nothing() -> None:
    environments = pool(1, 1)
    taken = environments.take(1.0)
    assert taken is not None
    assert environments.take(1.5) is None
    environments.destroy(taken, 1.0, 2.0)
    assert environments.take(2.0) == taken


def test_the_newest_go_first_and_what_runs_in_them_comes_to_its_end() -> None:
    environments = pool(1, 2)
    environments.scale_to(2, 10.0)
    taken = [environments.take(10.0) for _ in range(2)]
    assert [each[2] for each in taken if each is not None] == [0, 1]
    environments.scale_to(1, 20.0)
    assert taken[1] is not None
    environments.give_back(taken[1], 10.0, 30.0)
    assert [each[2] for each in (environments.take(40.0), environments.take(40.0)) if each is not None] == [0]
    lived, full = environments.seconds(40.0)
    assert lived == 40.0 + (10.0 + 20.0) / 2, "one place of the second went at 20 s, the other at 30 s"
    assert full == (20.0 + 30.0) / 2


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"concurrency": 0}, "`concurrency` must be 1 to 1600"),
        ({"concurrency": 1, "every": 0.5}, "`every` must be at least 1 s"),
    ],
)
def test_what_managed_instances_cannot_be(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ManagedInstances(**fields)
    with pytest.raises(ValueError, match="at most the `maximum` of 2"):
        EnvironmentLimits(minimum=3, maximum=2)


def test_recovery_needs_no_reaction_where_there_is_room() -> None:
    assert managed_recovery_time(2.0, target=0.5, reaction=240.0) == 0
    assert managed_recovery_time(2.01, target=0.5, reaction=240.0) == 240
    assert managed_recovery_time(10.0, target=0.5, reaction=240.0) == 720
    assert managed_recovery_time(10.0, target=1.0, reaction=240.0) == math.inf
