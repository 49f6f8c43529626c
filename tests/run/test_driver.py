"""The driver: what is done when, in which order of an instant, for one run and for a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from builders import scenario

from rollout_sim.control.controller import Controller, Decision, Provision, Shift, StartTests, TestAnswers
from rollout_sim.control.strategies import Hook
from rollout_sim.core.arrays import FloatArray, Mask
from rollout_sim.planes.base import Answers, DataPlane, PlaneTotals
from rollout_sim.run.driver import Driver
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.sections import Promotion

EVERYWHERE = np.array([True, True])
HOOK = Hook(invocations=4, over=30.0)


class Told:
    """A plane, and a log of aliases, that write down what they are told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.failed = np.array([3, 4])

    def advance(self, until: float, weights: FloatArray) -> None:
        self.calls.append(("advance", until, *weights.tolist()))

    def provision(self, count: int, mask: Mask) -> None:
        self.calls.append(("provision", count, *mask.tolist()))

    def test(self, hook: Hook, mask: Mask) -> Answers:
        self.calls.append(("test", hook.invocations, *mask.tolist()))
        return lambda: (self.failed, np.array([41.0, 42.0]))

    def finish(self) -> PlaneTotals:
        self.calls.append("finish")
        return cast(PlaneTotals, "totals")

    def shift(self, at: float, shift: Shift) -> None:
        self.calls.append(("shift", at, shift.weight))

    def promote(self, at: float, promotion: Promotion) -> None:
        self.calls.append(("promote", at, promotion.to))


class Script:
    """A controller that decides what it was told to, at the times it was told."""

    def __init__(self, decisions: dict[float, Decision]) -> None:
        self.decisions = decisions
        self.weight = np.zeros(2)
        self.seen: list[tuple[float, Any]] = []

    def next_time(self, now: float) -> float:
        return min((t for t in self.decisions if t > now), default=np.inf)

    def act(self, now: float, tests: TestAnswers | None) -> Decision:
        told = None
        if tests is not None:
            told = [row if there else None for there, *row in zip(tests.mask, tests.failed, tests.at, strict=True)]
        self.seen.append((now, told))
        return self.decisions[now]


def decide(*weights: float, commands: tuple[Any, ...] = (), moved: Mask = EVERYWHERE) -> Decision:
    shift = Shift(at=0.0, before=0.0, weight=weights[0], replications=np.array([0]), reason="told")
    return Decision(weights=np.array(weights), moved=moved, shifts=(shift,), commands=commands)


STAY = Decision(weights=np.zeros(2), moved=~EVERYWHERE)


def drive(decisions: dict[float, Decision], **changes: Any) -> tuple[list[Any], Script]:
    plane, controller = Told(), Script(decisions)
    given = replace(scenario(**changes), horizon=100.0)
    driver = Driver(cast(DataPlane, plane), cast(Controller, controller), given, log=plane)
    assert driver.run() == "totals"
    return plane.calls, controller


def test_a_weight_holds_from_the_instant_on_at_which_it_is_decided() -> None:
    calls, _ = drive({10.0: decide(0.1, 0.2), 20.0: decide(0.9, 0.0, moved=np.array([True, False]))})
    assert calls == [
        ("advance", 10.0, 0.0, 0.0), ("shift", 10.0, 0.1), ("advance", 20.0, 0.1, 0.2), ("shift", 20.0, 0.9),
        ("advance", 100.0, 0.9, 0.2), "finish",
    ]  # fmt: skip


def test_what_propagates_takes_effect_later_and_nothing_does_after_the_horizon() -> None:
    calls, _ = drive({10.0: decide(0.1, 0.1), 95.0: decide(1.0, 1.0)}, function__propagation="7 s")
    assert calls == [
        ("advance", 10.0, 0.0, 0.0), ("advance", 17.0, 0.0, 0.0), ("shift", 17.0, 0.1), ("advance", 95.0, 0.1, 0.1),
        ("advance", 100.0, 0.1, 0.1), "finish",
    ]  # fmt: skip


def test_the_horizon_is_the_last_instant_of_control() -> None:
    calls, controller = drive({100.0: decide(1.0, 1.0), 100.000_001: decide(0.0, 0.0)})
    assert calls == [("advance", 100.0, 0.0, 0.0), ("shift", 100.0, 1.0), ("advance", 100.0, 1.0, 1.0), "finish"]
    assert controller.seen == [(100.0, None)]


def test_promotions_come_first_in_their_instant() -> None:
    promotions = [{"at": "10 s", "alias": "dev", "to": "2"}, {"at": "5 s", "alias": "dev", "to": "1"}]
    calls, _ = drive({10.0: decide(0.5, 0.5)}, function__aliases={"prod": "1", "dev": "1"}, promotions=promotions)
    told = [call for call in calls if call[0] in ("promote", "shift")]
    assert told == [("promote", 5.0, "1"), ("promote", 10.0, "2"), ("shift", 10.0, 0.5)]


def test_environments_are_provisioned_when_they_are_ready_and_before_the_next_decision() -> None:
    ready = Provision(count=3, ready=40.0, mask=np.array([True, False]))
    tests = StartTests(hook=HOOK, end=70.0, mask=EVERYWHERE)
    calls, _ = drive({10.0: replace(STAY, commands=(ready,)), 40.0: replace(STAY, commands=(tests,))})
    assert [call for call in calls if call[0] != "advance"] == [
        ("provision", 3, True, False), ("test", 4, True, True), "finish"
    ]  # fmt: skip


def test_answers_are_asked_for_once_all_tests_have_started_and_only_where_there_are_any() -> None:
    tests = StartTests(hook=HOOK, end=40.0, mask=np.array([False, True]))
    _, controller = drive({10.0: replace(STAY, commands=(tests,)), 20.0: STAY, 40.0: STAY, 50.0: STAY})
    assert controller.seen == [(10.0, None), (20.0, None), (40.0, [None, [4, 42.0]]), (50.0, None)]


def test_an_unknown_command_is_an_error() -> None:
    with pytest.raises(AssertionError, match="unknown"):
        drive({10.0: replace(STAY, commands=(cast(Provision, "unknown"),))})


def test_progress_rises_and_changes_nothing() -> None:
    """The instants at which a run says how far it is cut no invocation short, percentiles included."""
    slow = {"metric": "duration", "statistic": "p90", "threshold": "> 1 s"}
    given = scenario(alarms={"errors": scenario().dump()["alarms"]["errors"], "slow": slow}, horizon="10 min")
    told: list[float] = []
    quiet, watched = (simulate(given, "canary", events=True, progress=progress) for progress in (None, told.append))
    assert told == [k / 400 for k in range(1, 401)]
    assert quiet.summary == watched.summary
    assert quiet.history == watched.history
    for key, values in quiet.metrics.percentiles.items():
        np.testing.assert_array_equal(values, watched.metrics.percentiles[key])
    assert quiet.events is not None
    assert quiet.events.equals(watched.events)
