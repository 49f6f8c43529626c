"""Alarms that hold the weight, as Flagger's checks do: followed slowly, look by look, and the same on every plane."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from builders import scenario

from rollout_sim.control.strategies import Hold, Plan
from rollout_sim.errors import ScenarioError
from rollout_sim.planes import compiled
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.batch import Batch, run_batch
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.recommend.search import recommend

SINGLE = [
    "simpy",
    pytest.param(
        "compiled",
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(bool(compiled.SPEC.missing()), reason="Numba is not installed"),
        ],
    ),
]
WEIGHTS = tuple(range(5, 55, 5))
FLAGGER: dict[str, Any] = {"type": "steps", "steps": [{"weight": f"{weight}%", "hold": "15 s"} for weight in WEIGHTS]}


def held(
    *, failing: str = "20%", failures: int = 10, onset: str = "0 s", until: str = "1 h", **changes: Any
) -> Scenario:
    """The canary of Flagger's documentation: 5% to 50% in steps of 15 s, and ten failed checks."""
    fault = {"errors": failing, "onset": onset, "until": until}
    rate = {
        "metric": "error_rate",
        "of": "new_version",
        "threshold": "> 1%",
        "period": "10 s",
        "missing": "not_breaching",
    }
    given: dict[str, Any] = {
        "horizon": "6 min", "rollout__start": "1 min", "rollout__alarms": ["rate"], "alarms": {"rate": rate},
        "strategies": {"flagger": FLAGGER},
        "rollout__hold": {"every": "15 s", "failures": failures}, "function__timeout": "1 s",
        "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "100/s"}}],
        "function__versions": {"1": {"duration": "10 ms", "error_rate": "0%"}, "2": {"like": "1", "faults": [fault]}},
    }  # fmt: skip
    return scenario(**given | changes)


def slowly(states: list[tuple[float, bool]], plan: Plan, hold: Hold) -> tuple[list[tuple[float, float]], float | None]:
    """The shifts (s, weight) and the rollback (s) for an alarm that is in ALARM, or not, from each of some times on."""

    def alarmed(t: float) -> bool:
        return [state for at, state in states if at <= t][-1]

    shifts, failed, step, due = [(0.0, plan.steps[0].weight)], 0, 0, plan.steps[0].hold
    for look in itertools.count(1):
        t = look * hold.every
        while due < t and not alarmed(due):  # steps between looks
            step += 1
            if step == len(plan.steps):
                return shifts, None
            shifts.append((due, plan.steps[step].weight))
            due += plan.steps[step].hold
        failed += alarmed(t)
        if failed == hold.failures:
            return [*shifts, (t, 0.0)], t
        while due <= t and not alarmed(t):
            step += 1
            if step == len(plan.steps):
                return shifts, None
            shifts.append((t, plan.steps[step].weight))
            due = t + plan.steps[step].hold
    raise AssertionError


SOME = {"source": "http", "alias": "prod", "arrivals": {"poisson": "40/s"}}
CASES: dict[str, dict[str, Any]] = {
    "it fails from the start": {},
    "it fails for a while": {"onset": "40 s", "until": "100 s"},
    "two failures are enough": {"failures": 2, "onset": "1 min"},
    "it fails now and then": {"failing": "0.9%", "failures": 4},
    "nothing is wrong": {"failing": "0.001%"},
    "holds that are no looks": {
        "strategies": {"s": {"type": "canary", "percent": 20, "interval": "50 s"}}, "onset": "45 s", "until": "75 s",
    },
    "it fails in the bake": {
        "strategies": {"s": {"type": "canary", "percent": 20, "interval": "1 min", "bake": "2 min"}}, "onset": "100 s", "failures": 3,
    },
}  # fmt: skip


@pytest.mark.parametrize("engine", SINGLE)
@pytest.mark.parametrize("case", CASES)
def test_looks_hold_the_weight_and_are_counted(case: str, engine: Any) -> None:
    given = held(engine=engine, traffic=[SOME], **CASES[case])
    (name,) = given.strategies
    result = simulate(given, name)
    states = [(-1.0, False), *((at - given.start, new == "ALARM") for at, _, _, new in result.alarm_log)]
    assert given.rollout is not None
    assert given.rollout.hold is not None
    plan = given.strategies[name].plan
    if plan.bake:  # as a last step that leads nowhere
        steps = (*plan.steps[:-1], Plan(steps=plan.steps[-1:]).steps[0])
        plan = Plan(steps=(*steps[:-1], type(steps[-1])(weight=1.0, hold=plan.bake)))
    shifts, rolled_back = slowly(states, plan, given.rollout.hold)
    assert [(shift.at - given.start, shift.weight) for shift in result.shifts] == shifts
    assert result.time_to_rollback_s == rolled_back
    assert result.outcome == ("promoted" if rolled_back is None else "rolled_back")
    if rolled_back is not None:
        assert result.stopped_by == ("rate",)


def test_a_bad_version_is_held_and_rolled_back_after_its_failed_checks() -> None:
    """The scenario of the report: ten failed looks, 15 s apart, where it used to go on to all of the traffic."""
    result = simulate(held(), "flagger")
    assert result.outcome == "rolled_back"
    assert max(shift.weight for shift in result.shifts) <= 0.1
    assert result.time_to_rollback_s is not None
    assert 150 <= result.time_to_rollback_s <= 165
    assert "rate in ALARM, look 10 that finds it" in result.reason
    promoted = simulate(held(rollout__hold=None, alarms={"rate": {
        "metric": "error_rate", "of": "new_version", "threshold": "> 1%", "datapoints": "10 of 10"}}), "flagger")  # fmt: skip
    assert promoted.outcome == "promoted"


def test_the_aggregate_plane_holds_alike() -> None:
    given = held()
    plane = choose_engine(given, "aggregate")
    columns = run_batch(
        Batch(scenario=given, strategies=("flagger",), plane=plane, seed=1, first=0, count=plane.batch)
    )["flagger"]
    assert set(columns["time_to_rollback_s"].tolist()) <= {150.0, 165.0}


def test_an_alarm_that_is_red_before_does_not_block() -> None:
    red = {"metric": "invocations", "of": "alias", "threshold": "> 1", "missing": "not_breaching"}
    blocked = simulate(held(alarms={"rate": red}, rollout__hold=None), "flagger")
    assert blocked.outcome == "blocked"
    result = simulate(held(alarms={"rate": red}, failures=4), "flagger")
    assert (result.outcome, result.time_to_rollback_s) == ("rolled_back", 60.0)
    assert [shift.weight for shift in result.shifts] == [0.05, 0.0]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"rollout__alarms": []}, "rollout.hold: there is no alarm in `alarms` that could hold the weight"),
        ({"rollout__hold": {"every": "15 s", "failures": 0}}, "`failures` must be 1 to 100000, got 0"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ScenarioError, match=error):
        held(**changes)


def test_recommend_says_that_it_does_not_search_these() -> None:
    with pytest.raises(
        ScenarioError, match=r"rollout\.hold: recommend searches rollouts whose alarms roll back at once"
    ):
        recommend(held())
