"""A batch of replications, whose strategies share draws and past, equals its runs one by one, on the SimPy plane, to the last bit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement.test_compiled import on_managed_instances, scenarios, strategies
from builders import scenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.control.metrics import RequestCounts
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.planes import compiled
from rollout_sim.planes.selection import EngineChoice
from rollout_sim.run.batch import Batch, Samples, alike, run_alike, run_batch
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate
from rollout_sim.run.wiring import build_metrics
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import NO_ROLLOUT, Engine

pytest.importorskip("numba", reason="the extra `compiled` is not installed")
pytestmark = pytest.mark.long


def in_batches(given_: Scenario, size: int, count: int, engine: Engine = "compiled") -> dict[str, Samples]:
    choice = EngineChoice(engine=engine, reason="", batch=size)
    names = tuple(given_.strategies) or ("steady",)
    return run_batch(Batch(scenario=given_, strategies=names, plane=choice, seed=5, first=2, count=count))


def one_by_one(given_: Scenario, count: int, engine: Engine = "simpy") -> dict[str, list[RunResult]]:
    given_ = replace(given_, engine=engine)
    return {
        name: [simulate(given_, name, seed=5, replication=2 + k) for k in range(count)]
        for name in (tuple(given_.strategies) or ("steady",))
    }


def figures(result: RunResult) -> dict[str, float]:
    """What a study keeps of a run."""
    values: dict[str, Any] = {
        "outcome": OUTCOMES.index(result.outcome),
        "time_to_rollback_s": result.time_to_rollback_s,
        "time_to_full_s": result.time_to_full_s,
        "on_call_rollback_s": result.on_call_rollback_s,
        "requests": result.requests,
        "pending": result.pending,
        "bad_requests": result.bad_requests,
        "bad_requests_new_version": result.bad_requests_new_version,
        **{f"budget_spent.{slo.name}": result.budget(slo).spent for slo in result.scenario.slos},
        "cold_starts": result.cold_starts,
        "throttles": result.throttles,
        "users_affected": result.users_affected,
    }
    if result.scenario.polled:
        names = ("records", "records_bad", "records_lost", "backlog", "backlog_at_rollback", "drain_time_s")
        values |= {name: result.summary[name] for name in names}
        values |= {f"age_s.{name}": value for name, value in result.summary["age_s"].items()}
    if result.scenario.rollout is not None:
        values |= {f"stopped_by.{name}": name in result.stopped_by for name in result.scenario.rollout.alarms}
    return {name: math.nan if value is None else float(value) for name, value in values.items()}


def assert_same(batched: dict[str, Samples], single: dict[str, list[RunResult]]) -> None:
    assert batched.keys() == single.keys()
    for strategy, results in single.items():
        rows = [figures(result) for result in results]
        assert rows[0].keys() <= batched[strategy].keys()
        for name in rows[0]:
            np.testing.assert_array_equal(batched[strategy][name], [row[name] for row in rows], f"{strategy}: {name}")


@st.composite
def with_several_strategies(draw: st.DrawFn) -> Scenario:
    found = draw(scenarios())
    assert found.rollout is not None
    others = scenario(strategies={"two": draw(strategies), "three": draw(strategies)}).strategies
    alarms = {
        name: alarm
        if alarm.slo
        else replace(alarm, missing=draw(st.sampled_from(["not_breaching", "missing", "ignore"])))
        for name, alarm in found.alarms.items()
    }
    start = draw(st.sampled_from([30.0, 61.0, 130.0]))
    rollout = replace(found.rollout, start=start, phase=draw(st.sampled_from([None, "random"])))
    return replace(found, rollout=rollout, strategies=found.strategies | others, alarms=alarms)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(with_several_strategies(), st.sampled_from([1, 2, 3]))
def test_equal_on_any_scenario(given_: Scenario, size: int) -> None:
    assert_same(in_batches(given_, size, 3), one_by_one(given_, 3))


def test_equal_on_managed_instances() -> None:
    """Their scaling goes on from the past that the strategies share, each with its own."""
    given_ = on_managed_instances()
    assert_same(in_batches(given_, 2, 2), one_by_one(given_, 2))


BUSY: dict[str, Any] = {
    "traffic": [
        {"source": "http", "alias": "prod", "users": {"count": 500}, "retry": {"attempts": 4, "base": "20 s", "cap": "1 min"},
         "arrivals": {"poisson": "60/s"}},
        {"source": "data", "alias": "prod",
         "arrivals": {"bursty": {"low": "5/s", "high": "80/s", "stay_low": "1 min", "stay_high": "30 s"}}},
    ],
    "horizon": "15 min",
    "alarms__errors": {"metric": "duration", "statistic": "p90", "of": "alias", "threshold": "> 300 ms"},
    "function__versions__1__provisioned": 2,
    "function__reserved_concurrency": 30,
}  # fmt: skip


@pytest.mark.parametrize("kept", ["all", "none"])
@pytest.mark.parametrize("room", ["enough", "grows"])
def test_draws_that_are_kept_for_all_strategies_change_nothing(
    kept: str, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = scenario(**BUSY)
    if kept == "none":
        monkeypatch.setattr(compiled, "MOST_KEPT", 1)
    if room == "grows":
        monkeypatch.setattr(compiled, "expected_counts", lambda _: [1.0, 1.0])
    batched = in_batches(found, 2, 3)
    single = one_by_one(found, 3, "compiled")
    assert single["canary"][0].requests > 15 * BLOCK
    assert_same(batched, single)


def test_the_simpy_plane_runs_the_same_batches() -> None:
    found = scenario(horizon="8 min")
    assert_same(in_batches(found, 1, 2, "simpy"), one_by_one(found, 2))


def test_without_a_rollout() -> None:
    found = scenario(rollout=None, strategies=None, alarms=None, horizon="8 min")
    assert_same(in_batches(found, 2, 3), one_by_one(found, 3))


def test_a_copied_run_shares_only_what_no_run_changes() -> None:
    from rollout_sim.planes.compiled import state

    given_ = scenario(**BUSY)
    metrics = build_metrics(given_)
    requests = RequestCounts.empty(replications=1, targets=len(metrics.targets), periods=metrics.periods, objectives=1)
    first = state.laid_out(given_, metrics, requests, Streams(seed=1), events=False)
    other = state.copied(first, metrics.emptied(), requests.emptied(), 0)
    shared = {name for name in state.State._fields if getattr(first, name) is getattr(other, name)}
    constant = {
        "first_counts", "user_quantiles", "error_rates", "curves", "throttled", "waits", "async_waits", "rows", "slow_limits",
        "latencies",
    }  # fmt: skip
    assert shared == constant | set(state.empty_draws(given_, 1))


@pytest.mark.parametrize("forgotten", ["marks", "bad_by"])
def test_a_past_that_is_not_copied_as_a_whole_would_be_noticed(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rollout_sim.planes.compiled import state

    monkeypatch.setattr(state, "_OWN", tuple(name for name in state._OWN if name != forgotten))
    with pytest.raises(AssertionError):
        assert_same(in_batches(scenario(**BUSY), 2, 2), one_by_one(scenario(**BUSY), 2, "compiled"))


def test_a_past_that_reaches_into_the_rollout_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from rollout_sim.run import batch

    real = batch._Control.__init__

    def late(self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        self.quiet = 420.0

    monkeypatch.setattr(batch._Control, "__init__", late)
    with pytest.raises(AssertionError):
        assert_same(in_batches(scenario(**BUSY), 2, 2), one_by_one(scenario(**BUSY), 2, "compiled"))


def variants(given_: Scenario) -> list[Batch]:
    """The scenario with faults, without, with another alarm, and another fault: batches of the same replications."""
    choice = EngineChoice(engine="compiled", reason="", batch=2)
    slower = scenario(function__versions__2={"like": "1", "faults": [{"latency": "3x"}]}).function.versions["2"]
    others = [
        given_,
        given_.with_faults("2", ()),
        replace(given_, alarms=scenario(**BUSY | {"alarms__errors": {"metric": "errors", "threshold": "> 2"}}).alarms),
        given_.with_faults("2", slower.faults),
    ]
    names = (tuple(given_.strategies), (NO_ROLLOUT, "canary"), ("canary",), ("canary",))
    return [
        Batch(scenario=other, strategies=chosen, plane=choice, seed=5, first=2, count=2)
        for other, chosen in zip(others, names, strict=True)
    ]


def assert_alone_the_same(batches: list[Batch]) -> None:
    assert all(alike(batches[0], batch) for batch in batches)
    for batch, together in zip(batches, run_alike(batches), strict=True):
        alone = run_batch(batch)
        assert together.keys() == alone.keys()
        for strategy, columns in alone.items():
            for name, values in columns.items():
                np.testing.assert_array_equal(together[strategy][name], values, f"{strategy}: {name}")


SERVED_BEFORE: dict[str, Any] = {
    "function__versions__2": {"like": "1", "faults": [{"errors": "20%", "onset": "-4 min"}]},
    "function__aliases": {"prod": "1", "test": "2"},
    "traffic": [*BUSY["traffic"], {"source": "http", "alias": "test", "arrivals": {"poisson": "5/s"}}],
}
"""Another alias has version 2 all along, whose faults set in before the rollout."""
QUEUED: dict[str, Any] = {
    "traffic": [
        *BUSY["traffic"],
        {"source": "queue", "alias": "prod", "arrivals": {"poisson": "20/s"}, "visibility_timeout": "30 s", "max_receives": 2},
    ],
    "function__versions__2": {"like": "1", "faults": [{"errors": "10%"}, {"poison": "1%"}]},
}  # fmt: skip
"""A queue beside the other sources, with faults of single records."""


@pytest.mark.parametrize(
    "more", [{}, {"rollout__phase": "random"}, SERVED_BEFORE, QUEUED], ids=["plain", "phase", "served", "queue"]
)
def test_batches_of_other_faults_and_alarms_share_what_they_have_in_common(more: dict[str, Any]) -> None:
    assert_alone_the_same(variants(scenario(**BUSY | more)))


def test_faults_that_are_at_work_before_the_rollout_are_part_of_its_past(monkeypatch: pytest.MonkeyPatch) -> None:
    from rollout_sim.planes.compiled import plane

    monkeypatch.setattr(plane, "_faults_of_the_past", lambda _: ())
    with pytest.raises(AssertionError):
        assert_alone_the_same(variants(scenario(**BUSY | SERVED_BEFORE)))


@pytest.mark.parametrize(
    "other",
    [
        {"traffic": BUSY["traffic"][:1]}, {"horizon": "16 min"}, {"rollout__start": "6 min"},
        {"function__versions__2__duration": "77 ms"},
    ],
    ids=["traffic", "horizon", "start", "durations"],
)  # fmt: skip
def test_batches_of_other_draws_are_not_alike(other: dict[str, Any]) -> None:
    choice = EngineChoice(engine="compiled", reason="", batch=2)
    given_, changed = (
        Batch(scenario=scenario(**BUSY | more), strategies=("canary",), plane=choice, seed=5, first=0, count=2)
        for more in ({}, other)
    )
    assert alike(given_, given_)
    assert not alike(given_, changed)
    assert not alike(given_, replace(given_, first=2))
