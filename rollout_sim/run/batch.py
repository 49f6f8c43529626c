"""A batch: replications of some strategies of a scenario, on the plane that was chosen for them.

Work comes in chunks of replications that depend on nothing but the scenario, the seed and their number, so
the results are the same whichever process draws them, and in whatever order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rollout_sim.control.controller import OUTCOMES, Controller
from rollout_sim.control.slo import budget_events
from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.core.streams import Streams
from rollout_sim.planes.aggregate.limits import waiting_for_answers
from rollout_sim.planes.aggregate.plane import AggregatePlane, SharedTraffic
from rollout_sim.planes.base import PlaneTotals
from rollout_sim.planes.selection import PLANES, EngineChoice
from rollout_sim.run.driver import Driver
from rollout_sim.run.simulate import simulate
from rollout_sim.run.wiring import build_alarms, build_controller, build_metrics, lookback
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
    if PLANES[batch.plane.engine].single_run is None:
        return _batch(batch)
    scenario, numbers = batch.scenario, range(batch.first, batch.first + batch.count)
    return {name: concatenate([_row(scenario, name, batch, number) for number in numbers]) for name in batch.strategies}


def concatenate(parts: Sequence[Mapping[str, FloatArray]]) -> Samples:
    """The columns of several batches, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def stopped(columns: Samples) -> BoolArray:
    """Whether the deployment was stopped: rolled back by an alarm, or failed in a hook."""
    return np.isin(columns["outcome"], [OUTCOMES.index("rolled_back"), OUTCOMES.index("failed")])


def _row(scenario: Scenario, strategy: str, batch: Batch, replication: int) -> Samples:
    result = simulate(scenario, strategy, seed=batch.seed, replication=replication, choice=batch.plane)
    numbers: dict[str, float | None] = {
        "outcome": OUTCOMES.index(result.outcome),
        "time_to_rollback_s": result.time_to_rollback_s,
        "time_to_full_s": result.time_to_full_s,
        "on_call_rollback_s": result.on_call_rollback_s,
        "requests": result.requests,
        "pending": result.pending,
        "bad_requests": result.bad_requests,
        "bad_requests_new_version": result.bad_requests_new_version,
        **{f"budget_spent.{slo.name}": result.budget(slo).spent for slo in scenario.slos},
        "cold_starts": result.cold_starts,
        "throttles": result.throttles,
        "users_affected": result.users_affected,
        **{f"stopped_by.{name}": name in result.stopped_by for name in _watched(scenario)},
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
        # All strategies draw from the same stream, so identical plans give identical results.
        controller, totals = _follow(scenario, name, traffic, streams, replications, rates)
        columns = _columns(scenario, controller, totals, rates)
        result[name] = {key: column[: batch.count] for key, column in columns.items()}
    return result


def _follow(
    scenario: Scenario,
    strategy: str,
    traffic: SharedTraffic,
    streams: Streams,
    replications: Sequence[Streams],
    rates: Mapping[str, float],
) -> tuple[Controller, PlaneTotals]:
    """One strategy from time 0 to the horizon, in all replications of a batch, on the aggregate plane."""
    plan = scenario.strategies[strategy].plan if scenario.rollout is not None else None
    alarms = tuple(scenario.alarms[name] for name in scenario.evaluated)
    start, horizon = scenario.start, scenario.horizon
    # A state that is kept through gaps depends on all that came before.
    remembered = any(alarm.missing == "ignore" or alarm.low_samples == "ignore" for alarm in alarms)
    first = 0.0 if remembered else max(start - lookback(alarms), 0.0)
    last = 0.0
    if plan is not None:
        revert = scenario.rollout.revert if scenario.rollout is not None else 0.0
        over = start + plan.length + waiting_for_answers(scenario, plan) + revert
        last = horizon if scenario.on_call is not None else min(over, horizon)
    metrics = build_metrics(scenario, replications=len(replications), horizon=max(last, scenario.resolution))
    controller = build_controller(
        scenario,
        plan,
        build_alarms(scenario, metrics, rates, replications, scenario.evaluated),
        replications,
        record=False,
        watch_from=-1.0 if remembered else start - 60.0,
    )
    rng, pairs = streams.generator("aggregate/outcomes"), streams.generator("aggregate/pairs")
    plane = AggregatePlane(traffic, rng, metrics, plan=plan, reads=alarms, window=(first, last), pairs=pairs)
    return controller, Driver(plane, controller, scenario).run()


def _columns(scenario: Scenario, controller: Controller, totals: PlaneTotals, rates: Mapping[str, float]) -> Samples:
    unknown = np.full(totals.requests.size, math.nan)
    # The plane knows how long invocations run, but not which of them are inside an init at the horizon.
    inits = any(spec.cold_start or spec.cold_duration for spec in scenario.function.versions.values())
    assert totals.added is not None
    budgets: Samples = {}
    for slo, bad, added in zip(scenario.slos, totals.bad_by, totals.added_by, strict=True):
        whole = budget_events(slo.objective, rates.get(slo.alias or scenario.alias, 0.0), slo.window)
        budgets[f"budget_spent.{slo.name}"] = slo.spent + bad / whole if whole else np.full(bad.size, slo.spent)
        budgets[f"budget_spent_by_rollout.{slo.name}"] = added / whole if whole else np.zeros(bad.size)
    return {
        "outcome": controller.outcome.astype(float),
        "time_to_rollback_s": controller.rolled_back_at - scenario.start,
        "time_to_full_s": controller.full_at - scenario.start,
        "on_call_rollback_s": controller.paged_back_at - scenario.start,
        "requests": totals.requests.astype(float),
        "pending": unknown if inits else totals.pending.astype(float),
        "bad_requests": totals.bad.astype(float),
        "bad_requests_added": totals.added.astype(float),
        "bad_requests_new_version": totals.bad_new_version.astype(float),
        **budgets,
        "cold_starts": unknown,
        "throttles": totals.throttles.astype(float),
        "users_affected": unknown,
        **{f"stopped_by.{name}": np.zeros(unknown.size) for name in _watched(scenario)},
        **{
            f"stopped_by.{name}": hits.astype(float)
            for name, hits in zip(controller.watched, controller.stopped_by.T, strict=True)
        },
    }


def _watched(scenario: Scenario) -> tuple[str, ...]:
    """The alarms that may stop the rollout."""
    return scenario.rollout.alarms if scenario.rollout is not None else ()
