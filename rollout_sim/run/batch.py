"""A batch: replications of some strategies of a scenario, on the plane that was chosen for them.

Work comes in chunks of replications that depend on nothing but the scenario, the seed and their number, so
the results are the same whichever process draws them, and in whatever order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rollout_sim.control.controller import OUTCOMES, Controller
from rollout_sim.control.metrics import RequestCounts
from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray
from rollout_sim.core.streams import Streams
from rollout_sim.function.spec import FunctionSpec
from rollout_sim.planes.aggregate.limits import waiting_for_answers
from rollout_sim.planes.aggregate.plane import AggregatePlane, SharedTraffic
from rollout_sim.planes.base import PlaneTotals, SideBySide
from rollout_sim.planes.polling import age_quantile
from rollout_sim.planes.selection import PLANES, EngineChoice
from rollout_sim.run.backlog import Backlog
from rollout_sim.run.driver import Driver
from rollout_sim.run.wiring import build_alarms, build_controller, build_metrics, kept_durations, lookback
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
    """The columns of each strategy's replications in `batch`, as many at a time as its plane takes."""
    (result,) = run_alike([batch])
    return result


def run_alike(batches: Sequence[Batch]) -> list[dict[str, Samples]]:
    """The same of each of several batches that are `alike`: what their runs have in common is made once."""
    first = batches[0]
    size, end = first.plane.batch, first.first + first.count
    if PLANES[first.plane.engine].single_run is None:
        return [
            {name: {key: column[: batch.count] for key, column in columns.items()} for name, columns in result.items()}
            for batch in batches
            for result in _together([batch], size)
        ]
    parts = [
        _together([replace(batch, first=k, count=min(size, end - k)) for batch in batches], min(size, end - k))
        for k in range(first.first, end, size)
    ]
    return [
        {name: concatenate([part[number][name] for part in parts]) for name in batch.strategies}
        for number, batch in enumerate(batches)
    ]


def alike(one: Batch, other: Batch) -> bool:
    """Whether two batches are the same replications of the same traffic to the same function, but for its versions' faults.

    Their runs draw the same numbers. They may differ in what else there is: alarms, strategies, who is on call.
    """
    first, second = one.scenario, other.scenario
    return (
        (one.plane, one.seed, one.first, one.count) == (other.plane, other.seed, other.first, other.count)
        and (first.traffic, first.horizon, first.slos) == (second.traffic, second.horizon, second.slos)
        and (first.start, first.phase_is_drawn) == (second.start, second.phase_is_drawn)
        and (first.promotions, first.incident) == (second.promotions, second.incident)
        and _faultless(first.function) == _faultless(second.function)
    )


def _faultless(function: FunctionSpec) -> FunctionSpec:
    return replace(function, versions={number: replace(spec, faults=()) for number, spec in function.versions.items()})


def _together(batches: Sequence[Batch], count: int) -> list[dict[str, Samples]]:
    """The first `count` replications of batches that are `alike`, those that start at the same phase side by side.

    On the aggregate plane they are a whole batch, and each phase of it draws from streams of its own.
    """
    first = batches[0]
    numbers = np.arange(first.first, first.first + count)
    streams = Streams(seed=first.seed, replication=first.first // first.plane.batch)
    counted = PLANES[first.plane.engine].single_run is None
    if not first.scenario.phase_is_drawn:
        return [_counted(first, numbers, streams)] if counted else _simulated(batches, numbers)
    phases = first.scenario.phases(first.seed, numbers)
    results: list[dict[str, Samples]] = [{name: {} for name in batch.strategies} for batch in batches]
    for k, phase in enumerate(np.unique(phases)):
        members = phases == phase
        started = [replace(batch, scenario=batch.scenario.with_phase(float(phase))) for batch in batches]
        if counted:
            several = [_counted(started[0], numbers[members], replace(streams, prefix=f"phase {k}/"))]
        else:
            several = _simulated(started, numbers[members])
        for result, samples in zip(results, several, strict=True):
            for name, columns in samples.items():
                for key, column in columns.items():
                    result[name].setdefault(key, np.empty(count))[members] = column
    return results


def concatenate(parts: Sequence[Mapping[str, FloatArray]]) -> Samples:
    """The columns of several batches, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def stopped(columns: Samples) -> BoolArray:
    """Whether the deployment was stopped: rolled back by an alarm, or failed in a hook."""
    return np.isin(columns["outcome"], [OUTCOMES.index("rolled_back"), OUTCOMES.index("failed")])


def _counted(batch: Batch, numbers: IntArray, streams: Streams) -> dict[str, Samples]:
    """The replications of these `numbers` on the aggregate plane, drawn together from `streams`."""
    scenario = batch.scenario
    replications = [Streams(seed=batch.seed, replication=int(number)) for number in numbers]
    traffic = SharedTraffic(scenario, streams, replications=numbers.size, resolution=scenario.resolution)
    rates = scenario.rates
    result = {}
    for name in batch.strategies:
        control = _Control(scenario, name, replications, rates, horizon=None)
        # All strategies draw from the same stream, so identical plans give identical results.
        plane = AggregatePlane(
            traffic, streams.generator("aggregate/outcomes"), control.metrics, plan=control.plan, reads=control.alarms,
            window=(control.unread, control.over), pairs=streams.generator("aggregate/pairs"),
        )  # fmt: skip
        totals = Driver(plane, control.controller, scenario).run()
        result[name] = _columns(scenario, control.controller, totals, rates)
    return result


def _simulated(batches: Sequence[Batch], numbers: IntArray) -> list[dict[str, Samples]]:
    """The replications of these `numbers` of batches that are `alike`, of which every invocation is simulated, side by side."""
    first = batches[0]
    replications = [Streams(seed=first.seed, replication=int(number)) for number in numbers]
    side_by_side = PLANES[first.plane.engine].side_by_side
    runs = sum(len(batch.strategies) for batch in batches)
    shared = None if side_by_side is None else side_by_side(first.scenario, replications, runs)
    return [_each_simulated(batch, replications, shared) for batch in batches]


def _each_simulated(batch: Batch, replications: Sequence[Streams], shared: SideBySide | None) -> dict[str, Samples]:
    """The replications of one of them, with what they have in common."""
    scenario, rates, spec = batch.scenario, batch.scenario.rates, PLANES[batch.plane.engine]
    result = {}
    for name in batch.strategies:
        control = _Control(scenario, name, replications, rates, horizon=scenario.horizon)
        metrics = control.metrics
        requests = RequestCounts.empty(
            replications=len(replications),
            targets=len(metrics.targets),
            periods=metrics.periods,
            objectives=len(scenario.slos),
        )
        keep = control.keep
        if shared is not None:
            plane = shared.plane(scenario, metrics, requests, keep=keep, quiet=control.quiet, unread=control.unread)
        else:
            assert spec.single_run is not None
            (streams,) = replications  # such a plane has batches of one
            plane = spec.single_run(scenario, streams, metrics, requests, keep=keep, events=False)
        totals = Driver(plane, control.controller, scenario).run()
        result[name] = _columns(scenario, control.controller, totals, rates)
    return result


class _Control:
    """The control plane of one strategy in a batch of replications: only what decides, and only while it can.

    The metrics reach to the `horizon` (s), by default to where the rollout is `over` at the latest. Nothing is decided
    until `quiet` (s); of periods that are over by `unread` (s) nothing is read.
    """

    def __init__(
        self,
        scenario: Scenario,
        strategy: str,
        replications: Sequence[Streams],
        rates: Mapping[str, float],
        *,
        horizon: float | None,
    ) -> None:
        moving = scenario.rollout is not None and strategy in scenario.strategies
        self.plan = scenario.strategies[strategy].plan if moving else None
        self.alarms = tuple(scenario.alarms[name] for name in scenario.evaluated)
        start = scenario.start
        # A state that is kept through gaps depends on all that came before.
        remembered = any(alarm.missing == "ignore" or alarm.low_samples == "ignore" for alarm in self.alarms)
        self.quiet = 0.0 if remembered else max(start - 60.0, 0.0)
        self.unread = 0.0 if remembered else max(start - lookback(self.alarms, scenario.slos), 0.0)
        self.over = 0.0
        if self.plan is not None:
            revert = scenario.rollout.revert if scenario.rollout is not None else 0.0
            over = start + scenario.latest_end(self.plan) + waiting_for_answers(scenario, self.plan) + revert
            self.over = scenario.horizon if scenario.on_call is not None else min(over, scenario.horizon)
        self.metrics = build_metrics(
            scenario,
            scenario.evaluated,
            replications=len(replications),
            horizon=max(self.over, scenario.resolution) if horizon is None else horizon,
        )
        self.controller = build_controller(
            scenario,
            self.plan,
            build_alarms(scenario, self.metrics, rates, replications, scenario.evaluated),
            replications,
            record=False,
            watch_from=-1.0 if remembered else start - 60.0,
        )
        self.keep = kept_durations(scenario, scenario.evaluated)


def _columns(scenario: Scenario, controller: Controller, totals: PlaneTotals, rates: Mapping[str, float]) -> Samples:
    unknown = np.full(totals.requests.size, math.nan)
    # The aggregate plane knows how long invocations run, but not which of them are inside an init at the horizon.
    inits = totals.cold_starts is None and any(
        spec.cold_start or spec.cold_duration for spec in scenario.function.versions.values()
    )
    affected = [users.affected / users.active if users.active else math.nan for users in totals.users]
    budgets: Samples = {}
    added: Samples = {} if totals.added is None else {"bad_requests_added": totals.added.astype(float)}
    for j, (slo, lost) in enumerate(zip(scenario.slos, totals.lost_by, strict=True)):
        whole = slo.budget(rates.get(slo.alias or scenario.alias, 0.0))
        budgets[f"budget_spent.{slo.name}"] = slo.spent + lost / whole if whole else np.full(lost.size, slo.spent)
        if added:
            by_rollout = totals.added_lost_by[j] / whole if whole else np.zeros(lost.size)
            budgets[f"budget_spent_by_rollout.{slo.name}"] = by_rollout
    return {
        "outcome": controller.outcome.astype(float),
        "time_to_rollback_s": controller.rolled_back_at - scenario.start,
        "time_to_full_s": controller.full_at - scenario.start,
        "on_call_rollback_s": controller.paged_back_at - scenario.start,
        "requests": totals.requests.astype(float),
        "pending": unknown if inits else totals.pending.astype(float),
        "bad_requests": totals.bad.astype(float),
        **added,
        "bad_requests_new_version": totals.bad_new_version.astype(float),
        **budgets,
        "cold_starts": unknown if totals.cold_starts is None else totals.cold_starts.astype(float),
        "throttles": totals.throttles.astype(float),
        "users_affected": np.array(affected) if affected else unknown,
        **_of_records(scenario, controller, totals),
        **{f"stopped_by.{name}": np.zeros(unknown.size) for name in _watched(scenario)},
        **{
            f"stopped_by.{name}": hits.astype(float)
            for name, hits in zip(controller.watched, controller.stopped_by.T, strict=True)
        },
    }


def _of_records(scenario: Scenario, controller: Controller, totals: PlaneTotals) -> Samples:
    """The columns about queues and streams; none where nothing is polled."""
    if not totals.polled or not scenario.polled:
        return {}
    rows = []
    backs = np.where(np.isnan(controller.rolled_back_at), controller.paged_back_at, controller.rolled_back_at)
    for polled, back in zip(totals.polled, backs.tolist(), strict=True):
        backlog = Backlog.of(scenario, polled)
        drained = None if math.isnan(back) else backlog.drained(back)
        ages = np.sum([source.ages for source in polled], axis=0)
        median, late = (age_quantile(ages, share) for share in (0.5, 0.95))
        rows.append((
            sum(source.arrived for source in polled), sum(source.bad for source in polled),
            sum(source.lost for source in polled), int(backlog.records.max()),
            math.nan if math.isnan(back) else backlog.at(back), math.nan if drained is None else drained,
            math.nan if median is None else median, math.nan if late is None else late,
        ))  # fmt: skip
    names = (
        "records", "records_bad", "records_lost", "backlog", "backlog_at_rollback", "drain_time_s", "age_s.p50",
        "age_s.p95",
    )  # fmt: skip
    return dict(zip(names, np.array(rows, float).T, strict=True))


def _watched(scenario: Scenario) -> tuple[str, ...]:
    """The alarms that may stop the rollout."""
    return scenario.rollout.alarms if scenario.rollout is not None else ()
