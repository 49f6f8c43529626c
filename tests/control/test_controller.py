"""The controller: which weight when, what stops a deployment, and the order within one instant."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_sim.control.alarm_evaluator import AlarmEvaluator
from rollout_sim.control.alarms import Alarm
from rollout_sim.control.controller import OUTCOMES, Controller, Pager, Provision, Shift, StartTests, TestAnswers
from rollout_sim.control.metrics import Metrics, Target, scopes_of
from rollout_sim.control.strategies import AllAtOnce, BlueGreen, Canary, Hook, Hooks, Linear, Plan, Step, Steps
from rollout_sim.core.distributions import Constant
from rollout_sim.core.streams import Streams

MINUTE = 60.0
ALARM = Alarm(metric="errors", of="new_version", threshold="> 0", missing="not_breaching")
CANARY = Canary(percent=0.1, interval=5 * MINUTE).plan


@dataclass
class Deployment:
    """A controller on hand-written metrics: one invocation in every minute, errors where told."""

    controller: Controller
    metrics: Metrics
    decided: list[Shift] = field(default_factory=list)

    def go(self, until: float = 60 * MINUTE, fail_tests: int = 0, late: tuple[float, ...] = (0.0,)) -> list[Any]:
        """Runs to `until` and returns every command with its time; tests are answered `late` s after they are all sent."""
        commands: list[Any] = []
        size = self.metrics.replications
        failed = np.full(size, fail_tests)
        asked: dict[float, Any] = {}
        now = -1.0
        while (now := self.controller.next_time(now)) <= until:
            mask = asked.pop(now, None)
            at = now + np.resize(np.array(late), size)
            decision = self.controller.act(now, None if mask is None else TestAnswers(mask=mask, failed=failed, at=at))
            asked |= {command.end: command.mask for command in decision.commands if isinstance(command, StartTests)}
            self.decided += decision.shifts
            commands += [(now, command) for command in decision.commands]
        return commands

    @property
    def outcome(self) -> str:
        return OUTCOMES[self.controller.outcome[0]]

    @property
    def shifts(self) -> list[tuple[float, float]]:
        """(minutes, weight) of each shift of replication 0."""
        return [(s.at / MINUTE, s.weight) for s in self.decided if s.replications[0] == 0]


def deploy(
    plan: Plan | None, errors: dict[int, int] | None = None, *, replications: int = 1, **options: Any
) -> Deployment:
    """`errors` maps a minute to the new version's errors in it, in every replication."""
    targets = (Target("prod", "1"), Target("prod", "2"))
    metrics = Metrics(
        replications=replications,
        targets=targets,
        resolution=60,
        horizon=7200,
        scopes=scopes_of(targets, "prod", "1", "2"),
    )
    metrics.invocations[:] = 1
    for minute, count in (errors or {}).items():
        metrics.errors[:, 1, minute] = count
    evaluator = AlarmEvaluator({"errors": options.pop("alarm", ALARM)}, metrics=metrics, objectives={})
    streams = [Streams(seed=1, replication=r) for r in range(replications)]
    options = {"start": 10 * MINUTE, "watched": ("errors",)} | options
    return Deployment(Controller(plan, evaluator, replications=streams, **options), metrics)


def test_a_canary_that_nothing_stops() -> None:
    run = deploy(CANARY)
    run.go()
    assert run.shifts == [(10, 0.1), (15, 1)]
    assert run.outcome == "promoted"
    assert (run.controller.full_at[0], run.controller.over_at[0]) == (900, 900)
    assert math.isnan(run.controller.rolled_back_at[0])


def test_linear_reaches_full_weight_after_ninety_minutes() -> None:
    run = deploy(Linear(percent=0.1, interval=10 * MINUTE).plan, start=0.0)
    run.go(until=120 * MINUTE)
    assert run.shifts == [(10 * k, pytest.approx((k + 1) / 10)) for k in range(10)]


def test_an_alarm_rolls_back_at_once() -> None:
    run = deploy(CANARY, {12: 1})
    run.go()
    assert run.shifts == [(10, 0.1), (13, 0)]
    assert run.outcome == "rolled_back"
    assert run.controller.rolled_back_at[0] == 13 * MINUTE
    assert run.controller.reason(0) == "rolled back: errors in ALARM"


def test_revert_delays_the_rollback_and_no_shift_happens_meanwhile() -> None:
    run = deploy(CANARY, {13: 1}, revert=90.0)
    run.go()
    assert run.shifts == [(10, 0.1), (15.5, 0)]
    assert run.controller.rolled_back_at[0] == 15.5 * MINUTE


def test_a_rollback_beats_a_promotion_due_at_the_same_instant() -> None:
    run = deploy(CANARY, {14: 1})
    run.go()
    assert run.shifts == [(10, 0.1), (15, 0)]
    assert run.outcome == "rolled_back"


def test_an_alarm_just_after_the_deployment_is_over_does_nothing() -> None:
    run = deploy(CANARY, {15: 5})
    run.go()
    assert run.outcome == "promoted"
    assert run.shifts[-1] == (15, 1)


@pytest.mark.parametrize(("minute", "outcome"), [(18, "rolled_back"), (19, "rolled_back"), (20, "promoted")])
def test_alarms_act_while_it_bakes(minute: int, outcome: str) -> None:
    run = deploy(Canary(percent=0.1, interval=5 * MINUTE, bake=5 * MINUTE).plan, {minute: 1})
    run.go()
    assert run.outcome == outcome
    assert run.controller.full_at[0] == 15 * MINUTE


def test_an_alarm_in_alarm_at_the_start_blocks() -> None:
    run = deploy(CANARY, {9: 1})
    run.go()
    assert run.outcome == "blocked"
    assert run.shifts == []
    assert "blocked: errors is in ALARM" in run.controller.reason(0)


def test_an_alarm_that_is_not_watched_stops_nothing() -> None:
    run = deploy(CANARY, {12: 1}, watched=())
    run.go()
    assert run.outcome == "promoted"
    assert [(at, new) for at, _, _, _, new in run.controller.alarm_log] == [(0, "OK"), (780, "ALARM"), (840, "OK")]


def test_a_failed_pre_traffic_hook_fails_before_any_shift() -> None:
    plan = BlueGreen(provisioned=5, allocation=60, hooks=Hooks(before_allow_traffic=Hook(invocations=4, over=30))).plan
    run = deploy(plan)
    commands = run.go(fail_tests=1)
    assert [(at, type(command)) for at, command in commands] == [(600, Provision), (660, StartTests)]
    assert commands[0][1].ready == 660
    assert commands[1][1].end == 690
    assert run.shifts == []
    assert run.outcome == "failed"
    assert run.controller.reason(0) == "failed: 1 of 4 pre-traffic tests"
    assert run.controller.over_at[0] == 690


def test_a_passed_pre_traffic_hook_lets_all_traffic_over() -> None:
    plan = BlueGreen(hooks=Hooks(before_allow_traffic=Hook(invocations=4, over=30, max_failures=1))).plan
    run = deploy(plan)
    run.go(fail_tests=1)
    assert run.shifts == [(10.5, 1)]
    assert run.outcome == "promoted"


def test_a_failed_post_traffic_hook_takes_the_traffic_back() -> None:
    plan = AllAtOnce(hooks=Hooks(after_allow_traffic=Hook(over=30))).plan
    run = deploy(plan)
    run.go(fail_tests=1)
    assert run.shifts == [(10, 1), (10.5, 0)]
    assert run.outcome == "failed"


@pytest.mark.parametrize("failed", [0, 1])
def test_a_hook_waits_for_its_answers(failed: int) -> None:
    """Of two replications the second one's last answer comes 45 s later; both are judged, and go on, when it is there."""
    plan = BlueGreen(hooks=Hooks(before_allow_traffic=Hook(invocations=4, over=30))).plan
    run = deploy(plan, replications=2)
    run.go(late=(0.0, 45.0), fail_tests=failed)
    ends = run.controller.over_at if failed else run.controller.full_at
    assert ends.tolist() == [630, 675]
    assert run.outcome == ("failed" if failed else "promoted")


@pytest.mark.parametrize("after", [False, True])
def test_a_hook_that_does_not_answer_fails_after_an_hour(after: bool) -> None:
    """Whether it never reports back, or a test lasts longer than that; after the last shift the traffic goes back."""
    silent = Hook(invocations=4, over=30, answers="never")
    for hook, late in ((silent, 0.0), (Hook(invocations=4, over=3600), 1.0), (Hook(invocations=4, over=30), 3570.1)):
        hooks = Hooks(after_allow_traffic=hook) if after else Hooks(before_allow_traffic=hook)
        run = deploy(AllAtOnce(hooks=hooks).plan)
        run.go(until=4 * 3600, late=(late,))
        assert run.outcome == "failed"
        assert run.controller.over_at[0] == 600 + 3600
        assert (
            run.controller.reason(0) == f"failed: no answer of the {'post' if after else 'pre'}-traffic hook in an hour"
        )
        assert run.shifts == ([(10, 1), (70, 0)] if after else [])


def test_an_answer_in_the_last_instant_of_the_hour_counts() -> None:
    run = deploy(AllAtOnce(hooks=Hooks(before_allow_traffic=Hook(invocations=4, over=30))).plan)
    run.go(until=4 * 3600, late=(3570.0,))
    assert run.outcome == "promoted"
    assert run.controller.full_at[0] == 600 + 3600


@pytest.mark.parametrize("over", [1e-7, 1e-6, 1e-5, 30.0])
@pytest.mark.parametrize("count", [1, 3, 60])
def test_tests_start_within_their_time(over: float, count: int) -> None:
    hook = Hook(invocations=count, over=over)
    starts, end = hook.starts(600.1), hook.end(600.1)
    assert all(600.1 <= start < end for start in starts)
    assert starts == sorted(starts)
    assert end == pytest.approx(600.1 + over, abs=1.1e-6)
    if over == 30.0:
        assert starts == pytest.approx([600.1 + (k + 0.5) * over / count for k in range(count)], abs=1e-6)


def test_steps_without_a_hold_happen_at_once() -> None:
    run = deploy(Steps(steps=(Step(weight=0.1), Step(weight=0.5))).plan)
    run.go()
    assert run.shifts == [(10, 0.1), (10, 0.5), (10, 1)]


def test_on_call_answers_a_page_after_the_deployment() -> None:
    run = deploy(AllAtOnce().plan, {20: 1}, pager=Pager(alarms=("errors",), response=Constant(value=150.0)))
    run.go()
    assert run.outcome == "promoted"
    assert run.shifts == [(10, 1), (23.5, 0)]
    assert run.controller.paged_back_at[0] == 23.5 * MINUTE
    assert run.controller.reason(0) == "rolled back by on-call"


@pytest.mark.parametrize(("red", "shifts"), [
    ({9: 1, 10: 1, 11: 1}, []), ({9: 1, 10: 1, 11: 1, 13: 1}, [(16.5, 0)]), ({10: 1}, [(13.5, 0)]),
], ids=["red since before", "red again", "red in the instant of the promotion"])  # fmt: skip
def test_on_call_answers_a_change_into_alarm_and_not_an_old_page(red: dict[int, int], shifts: list[Any]) -> None:
    """The deployment, which no alarm stops, lasts from 10 to 11 min; a page is answered after 2.5 min."""
    plan = AllAtOnce(bake=MINUTE).plan
    run = deploy(plan, red, watched=(), pager=Pager(alarms=("errors",), response=Constant(value=150.0)))
    run.go()
    assert run.outcome == "promoted"
    assert run.shifts == [(10, 1), *shifts]


def test_on_call_is_not_paged_for_a_deployment_that_rolled_back() -> None:
    run = deploy(CANARY, {12: 1, 20: 1}, pager=Pager(alarms=("errors",), response=Constant(value=150.0)))
    run.go()
    assert run.shifts == [(10, 0.1), (13, 0)]
    assert math.isnan(run.controller.paged_back_at[0])


def test_without_a_plan_alarms_are_watched_and_nothing_moves() -> None:
    run = deploy(None, {12: 1})
    run.go()
    assert run.outcome == "steady"
    assert run.shifts == []
    assert (780, 0, "errors", "OK", "ALARM") in run.controller.alarm_log


@given(
    st.lists(st.dictionaries(st.integers(0, 40), st.integers(0, 2), max_size=4), min_size=2, max_size=5),
    st.sampled_from([0.0, 45.0]),
)
@settings(max_examples=40)
def test_every_replication_of_a_batch_goes_as_it_would_alone(errors: list[dict[int, int]], revert: float) -> None:
    plan = Linear(percent=0.3, interval=3 * MINUTE, bake=4 * MINUTE).plan
    batch = deploy(plan, replications=len(errors), revert=revert, record=False)
    for r, minutes in enumerate(errors):
        for minute, count in minutes.items():
            batch.metrics.errors[r, 1, minute] = count
    batch.go()
    for r, minutes in enumerate(errors):
        alone = deploy(plan, minutes, revert=revert)
        alone.go()
        assert batch.controller.outcome[r] == alone.controller.outcome[0]
        for name in ("weight", "rolled_back_at", "full_at", "over_at"):
            np.testing.assert_array_equal(getattr(batch.controller, name)[r], getattr(alone.controller, name)[0])


def test_a_batch_whose_deployments_are_over_needs_no_more_instants() -> None:
    batch = deploy(CANARY, replications=3, record=False)
    batch.go()
    assert batch.controller.next_time(15 * MINUTE) == math.inf
