"""Strategies: when each shift happens, and what CodeDeploy's names and limits come down to."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from builders import scenario

from rollout_sim.control.strategies import (
    PREDEFINED,
    TYPES,
    AllAtOnce,
    BlueGreen,
    Canary,
    Hook,
    Hooks,
    Linear,
    Plan,
    Predefined,
    Step,
    Steps,
    TimeBasedCanary,
    TimeBasedLinear,
)
from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.scenario import Scenario

MINUTE = 60.0


def shifts(plan: Plan) -> list[tuple[float, float]]:
    """(minutes after the start, weight) of each shift of a plan without hooks."""
    starts = [0.0, *accumulate(step.hold for step in plan.steps)]
    return [(start / MINUTE, step.weight) for start, step in zip(starts, plan.steps, strict=False)]


def test_instant_is_one_shift() -> None:
    assert shifts(AllAtOnce().plan) == [(0, 1)]


def test_canary_shifts_at_the_start_and_after_the_interval() -> None:
    assert shifts(Canary(percent=0.1, interval=5 * MINUTE).plan) == [(0, 0.1), (5, 1)]


def test_linear_ten_percent_every_ten_minutes_is_full_after_ninety() -> None:
    plan = Linear(percent=0.1, interval=10 * MINUTE).plan
    assert shifts(plan) == [(10 * k, pytest.approx((k + 1) / 10)) for k in range(10)]
    assert plan.steps[-1].weight == 1
    assert plan.time_to_full == 90 * MINUTE


@pytest.mark.parametrize(
    ("percent", "weights"), [(0.3, [0.3, 0.6, 0.9, 1]), (0.25, [0.25, 0.5, 0.75, 1]), (0.99, [0.99, 1])]
)
def test_linear_ends_with_what_remains(percent: float, weights: list[float]) -> None:
    assert [step.weight for step in Linear(percent=percent, interval=1).plan.steps] == weights


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Canary10Percent5Minutes", [(0, 0.1), (5, 1)]),
        ("Canary10Percent10Minutes", [(0, 0.1), (10, 1)]),
        ("Canary10Percent15Minutes", [(0, 0.1), (15, 1)]),
        ("Canary10Percent30Minutes", [(0, 0.1), (30, 1)]),
        ("Linear10PercentEvery1Minute", [(k, pytest.approx((k + 1) / 10)) for k in range(10)]),
        ("Linear10PercentEvery2Minutes", [(2 * k, pytest.approx((k + 1) / 10)) for k in range(10)]),
        ("Linear10PercentEvery3Minutes", [(3 * k, pytest.approx((k + 1) / 10)) for k in range(10)]),
        ("Linear10PercentEvery10Minutes", [(10 * k, pytest.approx((k + 1) / 10)) for k in range(10)]),
        ("AllAtOnce", [(0, 1)]),
    ],
)
def test_every_predefined_codedeploy_name(name: str, expected: list[Any]) -> None:
    assert name in PREDEFINED
    assert shifts(Predefined(type=name).plan) == expected
    assert shifts(Predefined(type=f"CodeDeployDefault.Lambda{name}").plan) == expected
    assert TYPES[f"CodeDeployDefault.Lambda{name}"] is Predefined


def test_predefined_names_are_all_there() -> None:
    assert len(PREDEFINED) == 9


def test_steps_end_at_full_weight() -> None:
    steps = Steps(steps=(Step(weight=0.01, hold=60), Step(weight=0.5, hold=120)))
    assert shifts(steps.plan) == [(0, 0.01), (1, 0.5), (3, 1)]
    assert shifts(Steps(steps=(Step(weight=0.5, hold=60), Step(weight=1.0))).plan) == [(0, 0.5), (1, 1)]


def test_blue_green_warms_and_tests_before_one_shift() -> None:
    plan = BlueGreen(provisioned=20, allocation=90, bake=600, hooks=Hooks(before_allow_traffic=Hook(over=30))).plan
    assert (plan.provisioned, plan.time_to_full, plan.length) == (20, 120, 720)
    assert [step.weight for step in plan.steps] == [1]
    assert BlueGreen().plan.before is not None
    assert BlueGreen().plan.allocation == 0


def test_custom_codedeploy_configurations_speak_percent_and_minutes() -> None:
    assert shifts(TimeBasedCanary(CanaryPercentage=15, CanaryInterval=7).plan) == [(0, 0.15), (7, 1)]
    assert shifts(TimeBasedLinear(LinearPercentage=40, LinearInterval=3).plan) == [(0, 0.4), (3, 0.8), (6, 1)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TimeBasedCanary(CanaryPercentage=100, CanaryInterval=5), "1 to 99, got 100"),
        (lambda: TimeBasedCanary(CanaryPercentage=0, CanaryInterval=5), "1 to 99, got 0"),
        (lambda: TimeBasedCanary(CanaryPercentage=5, CanaryInterval=2881), "1 to 2880, got 2881"),
        (lambda: TimeBasedLinear(LinearPercentage=1, LinearInterval=30), "are 2970 min; CodeDeploy allows 2880"),
        (lambda: Canary(percent=1.0, interval=60), "below 100"),
        (lambda: Linear(percent=0.0001, interval=60), "at least 0.1"),
        (lambda: Steps(steps=()), "at least one step"),
        (lambda: Steps(steps=(Step(weight=0.5), Step(weight=0.2))), "must rise"),
        (lambda: Plan(steps=(Step(weight=0.5),)), "ends with a step at 100%"),
        (lambda: Hook(invocations=0), "1 to 100000, got 0"),
        (lambda: Hook(invocations=3, max_failures=3), "0 to 2, got 3"),
        (lambda: Hook(over=3601), "at most 1 h"),
        (lambda: BlueGreen(provisioned=-1), "0 to 100000"),
        (lambda: Predefined(type="Canary20Percent5Minutes").plan, "unknown CodeDeploy configuration"),
    ],
)
def test_refusals_say_what_is_allowed(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_longest_linear_configuration_that_codedeploy_takes() -> None:
    assert TimeBasedLinear(LinearPercentage=1, LinearInterval=29).plan.time_to_full == 99 * 29 * MINUTE


@pytest.mark.parametrize(
    "strategy",
    [
        {"type": "canary", "percent": 10, "interval": "5 min"}, {"type": "linear", "percent": 50, "interval": "5 min"},
        {"type": "Canary10Percent5Minutes"}, {"type": "AllAtOnce"}, {"type": "all_at_once"}, {"type": "blue_green"},
        {"type": "steps", "steps": [{"weight": "5%", "hold": "2 min"}]},
        {"type": "TimeBasedCanary", "CanaryPercentage": 10, "CanaryInterval": 5},
        {"type": "TimeBasedLinear", "LinearPercentage": 50, "LinearInterval": 5},
    ],
)  # fmt: skip
def test_every_strategy_allocates_before_it_shifts(strategy: dict[str, Any]) -> None:
    """15 environments that take a quarter of an hour, and those of the version itself, which take as long."""
    given = scenario(
        strategies={
            "plain": strategy, "own": strategy | {"provisioned": 15, "allocation": "15 min"},
            "of the version": strategy | {"allocation": "15 min"}, "usual": strategy | {"provisioned": 1},
        }
    )  # fmt: skip
    plain, own, version, usual = (given.strategies[name].plan for name in ("plain", "own", "of the version", "usual"))
    assert own == replace(plain, provisioned=15, allocation=900.0)
    assert version == replace(plain, allocation=900.0)
    assert usual == replace(plain, provisioned=1, allocation=90.0)
    assert own.time_to_full - plain.time_to_full == own.length - plain.length == 900
    assert Scenario.from_dict(given.dump()).strategies == given.strategies


def test_more_environments_than_there_can_be_are_refused() -> None:
    with pytest.raises(ScenarioError, match="`provisioned` must be 0 to 100000 environments, got -1"):
        scenario(strategies={"canary": {"type": "canary", "percent": 10, "interval": "5 min", "provisioned": -1}})


@pytest.mark.parametrize(
    ("one", "other", "seconds"),
    [
        (Canary(percent=0.1, interval=600), Canary(percent=0.1, interval=300), 300),
        (Canary(percent=0.1, interval=600), Canary(percent=0.2, interval=600), 0),
        (Canary(percent=0.1, interval=600), Canary(percent=0.1, interval=600, bake=60), 600),
        (Canary(percent=0.1, interval=600), Canary(percent=0.1, interval=600, provisioned=3), -math.inf),
        (Canary(percent=0.1, interval=600), Linear(percent=0.1, interval=600), -math.inf),
        (Linear(percent=0.5, interval=60), Canary(percent=0.5, interval=60, bake=60), 60),
        (AllAtOnce(bake=60), AllAtOnce(), 0),
    ],
)  # fmt: skip
def test_how_long_two_plans_are_the_same(one: Any, other: Any, seconds: float) -> None:
    assert one.plan.agrees_with(other.plan) == other.plan.agrees_with(one.plan) == seconds
