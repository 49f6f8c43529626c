"""Times that are equal on paper are equal in the simulation: whole microseconds, and the order within one instant."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import scenario, steady
from hypothesis import given
from hypothesis import strategies as st

from rollout_sim.control.alarm_evaluator import AlarmEvaluator
from rollout_sim.control.alarms import Alarm
from rollout_sim.control.metrics import Metrics, Target
from rollout_sim.core.units import tick, ticks
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.comparison import compare


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_ticks_are_tick_of_each(times: list[float]) -> None:
    assert ticks(np.array(times)).tolist() == [tick(t) for t in times]


@given(st.integers(0, 10**13), st.integers(0, 10**9))
def test_sums_of_microseconds_are_exact(a: int, b: int) -> None:
    assert tick(a / 1e6 + b / 1e6) == (a + b) / 1e6


@pytest.mark.parametrize(("latency", "bad"), [("300 ms", 0), ("299 ms", 1)])
@pytest.mark.parametrize("factor", ["1x", "1.1x"])
def test_a_request_as_long_as_its_objective_is_good(latency: str, bad: int, factor: str) -> None:
    """300 ms is not more than 300 ms, wherever on the clock it starts, and whether a fault made it so long or not."""
    duration = {"1x": "300 ms", "1.1x": "272.727273 ms"}[factor]
    changes: dict[str, Any] = {
        "slos": [{"name": "fast", "sli": {"latency": latency}, "objective": "99%"}],
        "incident": [{"latency": factor}],
        "function__versions": {"1": {"duration": duration}},
        "horizon": "100 s",
    }
    fixed = steady(traffic=[{"source": "http", "alias": "prod", "arrivals": {"fixed": "700 ms"}}], **changes)
    run = simulate(fixed)
    assert run.bad_requests == bad * run.requests
    poisson = steady(traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "2/s"}}], **changes)
    counted = compare(replace(poisson, engine="aggregate"), 3, twin=False)
    assert (counted.columns["steady"]["bad_requests"] == bad * counted.columns["steady"]["requests"]).all()


@pytest.mark.parametrize("every", ["100 ms", "700 ms", "1 s", "333 ms"])
def test_what_ends_when_the_next_request_comes_has_made_room_for_it(every: str) -> None:
    """At equal times completions come before arrivals: one environment serves everything, and nothing is throttled."""
    given_ = steady(
        function__versions={"1": {"duration": every, "cold_start": "0 s"}},
        function__reserved_concurrency=1,
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"fixed": every}}],
        horizon="10 min",
    )
    run = simulate(given_)
    assert run.throttles == 0
    assert run.cold_starts == 1


def test_a_mean_at_the_threshold_does_not_breach() -> None:
    metrics = Metrics(
        replications=1, targets=(Target("prod", "1"),), resolution=60.0, horizon=600.0, scopes={"alias": (0,)}
    )
    metrics.invocations[0, 0, 0] = 3
    metrics.duration_sum[0, 0, 0] = 0.1 + 0.1 + 0.1
    alarm = Alarm(metric="duration", threshold="> 100 ms")
    bank = AlarmEvaluator({"slow": alarm}, metrics=metrics, objectives={})
    bank.evaluate(60.0)
    assert bank.states[0, 0] == 0


def test_a_promotion_due_at_the_rollouts_start_comes_before_it() -> None:
    """Whatever alarms there are to be evaluated at that instant."""
    for alarms in ({}, scenario().alarms):
        given_ = scenario(
            function__versions__3={"like": "1"},
            promotions=[{"at": "5 min", "alias": "prod", "to": "3"}],
            rollout__alarms=list(alarms),
            alarms=None if not alarms else scenario().dump()["alarms"],
        )
        history = [entry for entry in simulate(given_, "canary").history if entry.alias == "prod" and entry.at == 300]
        assert history[0].reason == "promotion"
        assert history[1].to_routing == {"2": 0.1}
        assert history[1].to_version == "3"


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_control_acts_at_the_horizon_on_what_ends_there(engine: Engine) -> None:
    """A plan that ends at the horizon is over; the alarm of its last minute is evaluated, and sees what ends at that instant."""
    changes: dict[str, Any] = {
        "horizon": "10 min",
        "function__versions": {"1": {"duration": "1 s"}, "2": {"like": "1"}},
        "traffic": [{"source": "http", "alias": "prod", "arrivals": {"fixed": "1 s"}}],
        "alarms": {"errors": {"metric": "errors", "of": "new_version", "threshold": "> 0"}},
        "strategies": {"one": {"type": "all_at_once", "bake": "5 min"}},
    }
    good = simulate(replace(scenario(**changes), engine=engine), "one")
    assert (good.outcome, good.time_to_end_s, good.pending) == ("promoted", 300.0, 0)
    bad = scenario(**changes, function__versions__2__faults=[{"errors": "100%", "onset": "299 s"}])
    result = simulate(replace(bad, engine=engine), "one")
    assert (result.outcome, result.time_to_rollback_s, result.bad_requests) == ("rolled_back", 300.0, 1)


@pytest.mark.slow
def test_the_last_evaluation_counts_in_a_study() -> None:
    """Five minutes of a canary up to the horizon, an alarm of 1 of 1 on any error: 1 - exp(-5 minutes of errors)."""
    given_ = scenario(
        horizon="10 min",
        function__versions={"1": {"duration": "10 ms"}, "2": {"like": "1", "error_rate": "1%"}},
        alarms={"errors": {"metric": "errors", "of": "new_version", "threshold": "> 0", "missing": "not_breaching"}},
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "4/s"}}],
        strategies={"one": {"type": "canary", "percent": 10, "interval": "5 min"}},
    )
    caught = 1 - math.exp(-4 * 0.1 * 300 * 0.01)
    for engine, count in (("simpy", 60), ("aggregate", 20_000)):
        columns = compare(replace(given_, engine=engine), count, twin=False).columns["one"]
        assert set(columns["outcome"].tolist()) == {1.0, 2.0}, "none is still running"
        assert (columns["outcome"] == 2).mean() == pytest.approx(
            caught, abs=4 * math.sqrt(caught * (1 - caught) / count)
        )


def test_ticks_refuse_nothing_that_a_distribution_can_draw() -> None:
    far = {"1": {"duration": {"lognormal": {"median": "1 us", "p99": "36500 d"}}}}
    run = simulate(steady(function__versions=far, horizon="5 min"))
    assert run.requests + run.pending > 0
    assert math.isfinite(run.metrics.duration_sum.sum())
