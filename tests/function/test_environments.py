"""Environments: which one takes an invocation, when one starts, when an idle one dies, and what is averaged over them."""

from __future__ import annotations

import pytest

from rollout_sim.core.units import tick
from rollout_sim.function.environments import SWEEP, EnvironmentPool, Fleet


def pool(
    *, concurrency: int = 10, scale_up: int = 1000, keep_alive: float = 60.0, most_recent: bool = False
) -> EnvironmentPool:
    return EnvironmentPool(Fleet(concurrency, scale_up), keep_alive, most_recent=most_recent)


def invoke(environments: EnvironmentPool, start: float, end: float) -> tuple[int, bool] | None:
    """Identity of the environment of an invocation in [start, end), and whether it was cold; None: throttled."""
    environment = environments.take(start)
    if environment is None:
        return None
    environments.give_back(environment, start, end)
    return environment[2], environment[3] < 0


def test_an_idle_environment_is_used_again_until_its_keep_alive_is_over() -> None:
    environments = pool(keep_alive=60)
    assert invoke(environments, 0, 1) == (0, True)
    assert invoke(environments, 61, 62) == (0, False)
    assert invoke(environments, 122.5, 123) == (1, True)


@pytest.mark.parametrize(("most_recent", "taken"), [(False, 1), (True, 0)])
def test_which_of_two_idle_ones_is_taken(most_recent: bool, taken: int) -> None:
    """The newest, or the one that was busy last: here the older one."""
    environments = pool(most_recent=most_recent)
    first, second = environments.take(0.0), environments.take(0.0)
    assert first is not None
    assert second is not None
    environments.give_back(second, 0, 1)
    environments.give_back(first, 0, 2)
    assert invoke(environments, 3, 4) == (taken, False)


def test_concurrency_counts_what_runs_not_what_is_idle() -> None:
    environments = pool(concurrency=2)
    running = [environments.take(0.0) for _ in range(3)]
    assert [environment is None for environment in running] == [False, False, True]
    assert running[0] is not None
    environments.give_back(running[0], 0, 1)
    assert invoke(environments, 1, 2) == (0, False)


def test_no_ten_seconds_have_more_starts_than_the_scale_up_rate() -> None:
    environments = pool(scale_up=4, concurrency=100)
    assert sum(environments.take(0.0) is not None for _ in range(3)) == 3
    assert sum(environments.take(2.5) is not None for _ in range(10)) == 1
    assert environments.take(9.999_999) is None
    assert sum(environments.take(10.0) is not None for _ in range(10)) == 3
    assert sum(environments.take(12.5) is not None for _ in range(10)) == 1
    assert sum(environments.take(1000.0) is not None for _ in range(10)) == 4


def test_a_start_is_allowed_at_the_very_microsecond() -> None:
    """One start in 10 s, a hundred times in a row, whatever the fraction of the second: times are whole microseconds."""
    for offset in (0.0, 0.1, 0.3, 1.1, 2.000_007):
        environments = pool(scale_up=1, concurrency=1000)
        assert all(environments.take(tick(offset + 10 * k)) is not None for k in range(100))
        assert environments.take(tick(offset + 999.999_999)) is None


def test_a_destroyed_environment_is_not_used_again() -> None:
    environments = pool()
    environment = environments.take(0.0)
    assert environment is not None
    environments.destroy(environment, 0, 1)
    assert invoke(environments, 2, 3) == (1, True)


def test_provisioned_ones_come_first_never_die_are_replaced_and_cost_concurrency() -> None:
    environments = pool(concurrency=3, keep_alive=1)
    environments.provision(2, 0.0)
    assert environments.fleet.limit == 1
    assert invoke(environments, 1000, 1001) == (0, False)
    taken = environments.take(2000.0)
    assert taken is not None
    environments.destroy(taken, 2000, 2001)
    assert [invoke(environments, 3000 + k, 3000.5 + k) for k in range(2)] == [(1, False), (1, False)]
    three = [environments.take(4000.0) for _ in range(4)]
    assert [environment is None for environment in three] == [False, False, False, True]
    assert {environment[2] for environment in three[:2] if environment} == {1, 2}, (
        "the replacement is provisioned as well"
    )


def test_seconds_count_lives_and_work() -> None:
    environments = pool(keep_alive=60)
    invoke(environments, 0, 10)
    assert environments.seconds(40) == (40, 10)
    assert environments.seconds(200) == (70, 10)
    environments.take(50.0)
    assert environments.seconds(55) == (55, 15)


def test_environments_that_died_unseen_are_dropped_and_counted() -> None:
    """The newest one is taken over and over, and nobody comes to see that those below it are dead."""
    environments = pool(concurrency=10_000, scale_up=10_000, keep_alive=5)
    *early, newest = (environments.take(0.0) for _ in range(SWEEP + 1))
    for environment in early:
        assert environment is not None
        environments.give_back(environment, 0, 1)
    assert len(environments.idle) == SWEEP
    assert newest is not None
    environments.give_back(newest, 0, 99)
    assert environments.idle == [(-SWEEP, 0.0, SWEEP, 99)]
    assert environments.seconds(100) == (SWEEP * 6 + 100, SWEEP * 1 + 99)


def test_provisioned_ones_that_are_taken_away_go_idle_first_and_the_others_when_they_are_done() -> None:
    environments = pool(concurrency=5, keep_alive=1)
    environments.provision(3, 0.0)
    taken = [environments.take(10.0) for _ in range(2)]
    environments.deprovision(3, 20.0)
    assert environments.fleet.limit == 3, "the two that are busy take up concurrency until they are done"
    assert environments.idle == []
    assert all(environment is not None for environment in taken)
    environments.destroy(taken[0], 10.0, 30.0)  # type: ignore[arg-type]
    assert environments.fleet.limit == 4
    environments.give_back(taken[1], 10.0, 40.0)  # type: ignore[arg-type]
    assert environments.fleet.limit == 5
    assert environments.seconds(50.0) == (20.0 + 30.0 + 40.0, 20.0 + 30.0)
    assert invoke(environments, 50, 51) == (3, True)
