"""Replications: many runs of each strategy of a scenario, on the cheapest plane that is exact for it.

Work comes in chunks of replications that depend on nothing but the scenario, the seed and their number, so
the results are the same whichever process draws them, and in whatever order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rollout_sim.control.controller import OUTCOMES, Controller
from rollout_sim.control.slo import budget_events
from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.core.streams import Streams
from rollout_sim.planes.aggregate.plane import AggregatePlane, SharedTraffic, Truth
from rollout_sim.planes.selection import EngineChoice
from rollout_sim.run.simulate import simulate
from rollout_sim.run.wiring import build_alarms, build_controller, build_metrics, reach
from rollout_sim.scenario.scenario import Scenario

Samples = dict[str, FloatArray]
"""What came out, by name: each of shape (replications,), NaN where it did not happen or is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The replications [first, first + count) of some strategies of a scenario."""

    scenario: Scenario
    strategies: tuple[str, ...]
    plane: EngineChoice
    seed: int
    first: int
    count: int


def run_batch(batch: Batch) -> dict[str, Samples]:
    """The columns of each strategy's replications in `batch`."""
    if batch.plane.engine == "aggregate":
        return _batch(batch)
    scenario, numbers = batch.scenario, range(batch.first, batch.first + batch.count)
    return {name: concatenate([_row(scenario, name, batch, number) for number in numbers]) for name in batch.strategies}


def concatenate(parts: Sequence[Mapping[str, FloatArray]]) -> Samples:
    """The columns of several chunks, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def stopped(columns: Samples) -> BoolArray:
    """Whether the deployment was stopped: rolled back by an alarm, or failed in a hook."""
    return np.isin(columns["outcome"], [OUTCOMES.index("rolled_back"), OUTCOMES.index("failed")])


def _row(scenario: Scenario, strategy: str, batch: Batch, replication: int) -> Samples:
    result = simulate(replace(scenario, engine=batch.plane.engine), strategy, seed=batch.seed, replication=replication)
    numbers: dict[str, float | None] = {
        "outcome": OUTCOMES.index(result.outcome),
        "time_to_rollback_s": result.time_to_rollback_s,
        "time_to_full_s": result.time_to_full_s,
        "on_call_rollback_s": result.on_call_rollback_s,
        "requests": result.requests,
        "bad_requests": result.bad_requests,
        "bad_requests_new_version": result.bad_requests_new_version,
        **{f"budget_spent.{slo.name}": result.budget(slo).spent for slo in scenario.slos},
        "cold_starts": result.cold_starts,
        "throttles": result.throttles,
        "users_affected": result.users_affected,
    }
    return {name: np.array([math.nan if x is None else float(x)]) for name, x in numbers.items()}


def _batch(batch: Batch) -> dict[str, Samples]:
    """A whole batch on the aggregate plane, of which the first `count` replications are kept."""
    scenario, size = batch.scenario, batch.plane.batch
    streams = Streams(seed=batch.seed, replication=batch.first // size)
    replications = [Streams(seed=batch.seed, replication=batch.first + k) for k in range(size)]
    traffic = SharedTraffic(scenario, streams, replications=size, resolution=scenario.resolution)
    rates = scenario.rates
    result = {}
    for name in batch.strategies:
        # All strategies draw from the same stream: where they do the same, they meet the same.
        controller, truth = _follow(
            scenario, name, traffic, streams.generator("aggregate/outcomes"), replications, rates
        )
        columns = _columns(scenario, controller, truth, rates)
        result[name] = {key: column[: batch.count] for key, column in columns.items()}
    return result


def _follow(
    scenario: Scenario,
    strategy: str,
    traffic: SharedTraffic,
    rng: np.random.Generator,
    replications: Sequence[Streams],
    rates: Mapping[str, float],
) -> tuple[Controller, Truth]:
    """One strategy from time 0 to the horizon, in all replications of a batch."""
    plan = scenario.strategies[strategy].plan if scenario.rollout is not None else None
    alarms = tuple(scenario.alarms[name] for name in scenario.acting)
    start, horizon = scenario.start, scenario.horizon
    # A state that is kept through gaps depends on all that came before.
    remembered = any(alarm.missing == "ignore" for alarm in alarms)
    first = 0.0 if remembered else max(start - reach(alarms), 0.0)
    last = 0.0
    if plan is not None:
        revert = scenario.rollout.revert if scenario.rollout is not None else 0.0
        last = horizon if scenario.on_call is not None else min(start + plan.length + revert, horizon)
    metrics = build_metrics(scenario, replications=len(replications), horizon=max(last, scenario.resolution))
    controller = build_controller(
        scenario,
        plan,
        build_alarms(scenario, metrics, rates, scenario.acting),
        replications,
        record=False,
        watch_from=-1.0 if remembered else start - 60.0,
    )
    plane = AggregatePlane(traffic, rng, metrics, reads=alarms, window=(first, last))
    now = -1.0
    while (due := controller.next_time(now)) < horizon:
        plane.advance(due, controller.weight)
        now = due
        for command in controller.act(now):
            if command.hook is not None and plan is not None:
                # Before the first shift only provisioned environments are warm; afterwards traffic keeps them so.
                warm = plan.provisioned if command.hook is plan.before else math.inf
                plane.test(command.hook, now, command.mask, controller.failed_tests, warm=warm)
    return controller, plane.finish(controller.weight)


def _columns(scenario: Scenario, controller: Controller, truth: Truth, rates: Mapping[str, float]) -> Samples:
    unknown = np.full(truth.requests.size, math.nan)
    budgets: Samples = {}
    for slo, bad in zip(scenario.slos, truth.bad_by, strict=True):
        whole = budget_events(slo.objective, rates.get(slo.alias or scenario.alias, 0.0), slo.window)
        budgets[f"budget_spent.{slo.name}"] = slo.spent + bad / whole if whole else np.full(bad.size, slo.spent)
    return {
        "outcome": controller.outcome.astype(float),
        "time_to_rollback_s": controller.rolled_back_at - scenario.start,
        "time_to_full_s": controller.full_at - scenario.start,
        "on_call_rollback_s": controller.paged_back_at - scenario.start,
        "requests": truth.requests.astype(float),
        "bad_requests": truth.bad.astype(float),
        "bad_requests_new_version": truth.bad_new.astype(float),
        **budgets,
        "cold_starts": unknown,
        "throttles": np.zeros(unknown.size),
        "users_affected": unknown,
    }
