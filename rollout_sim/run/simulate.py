"""A single run: one strategy, one replication, with everything that there is to look at."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np

from rollout_sim.control.controller import OUTCOMES, Shift
from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.control.strategies import Plan
from rollout_sim.core.streams import Streams
from rollout_sim.core.units import tick
from rollout_sim.function.faults import OUTCOMES as INVOCATION_OUTCOMES
from rollout_sim.function.lambda_api import LATEST, Function
from rollout_sim.planes.base import DataPlane, VersionTotals
from rollout_sim.planes.draws import EVENT_COLUMNS
from rollout_sim.planes.selection import PLANES, EngineChoice, choose_engine
from rollout_sim.run.driver import Driver, Progress
from rollout_sim.run.result import RunResult, VersionSummary
from rollout_sim.run.wiring import build_alarms, build_controller, build_metrics, kept_durations, notes_on_the_past
from rollout_sim.scenario.remarks import remarks_about
from rollout_sim.scenario.scenario import Scenario, check_is_scenario
from rollout_sim.scenario.sections import NO_ROLLOUT, Promotion

BANDS: Final = "anomaly bands are standard deviations around the traffic's forecast for the old version, not CloudWatch's own model"
"""What a result with anomaly alarms assumes."""
POLLERS: Final = (
    "how pollers slow down, gather and meet visibility timeouts is assumed where AWS does not say (see docs/model.md)"
)
"""What a result with queues or streams assumes."""
DELIVERIES: Final = (
    "how far jitter moves a service's deliveries, and EventBridge's longest back-off, are assumed: AWS does not say"
)
"""What a result with deliveries that Lambda does not take assumes."""
SCHEDULES: Final = "scheduled events come anywhere in their minute, independently of one another"
"""What a result with schedules by the clock assumes."""
__all__ = ["AliasHistory", "Progress", "part_of", "simulate", "simulate_each"]


def simulate(
    scenario: Scenario,
    strategy: str | None = None,
    *,
    seed: int | None = None,
    replication: int = 0,
    events: bool = False,
    progress: Progress | None = None,
    choice: EngineChoice | None = None,
) -> RunResult:
    """One run of `scenario` under one of its strategies.

    `strategy` None takes the only one, or none where the scenario has no rollout; `no rollout` leaves the alias where it is.
    `seed` replaces the scenario's, and `replication` numbers the runs with one seed. With `events` the result keeps every
    invocation. `progress` is called with the share of the horizon that is done. `choice` is the plane; by default
    `choose_engine` makes it. A phase that is drawn is fixed in the result's scenario.
    Raises ScenarioError for what cannot be run.

    Examples:
        >>> result = simulate(Scenario.load("scenarios/checkout.yaml"), "canary 10%")
        >>> result.outcome, result.time_to_rollback_s
        ('rolled_back', 240.0)
    """
    check_is_scenario(scenario)
    strategy = scenario.chosen(strategy)
    choice = choice or choose_engine(scenario, single=True, events=events)
    streams = Streams(seed=scenario.seed if seed is None else seed, replication=replication)
    if scenario.phase_is_drawn:
        scenario = scenario.with_phase(float(scenario.phases(streams.seed, np.array([replication]))[0]))
    metrics = build_metrics(scenario)
    counts = RequestCounts.empty(
        replications=1, targets=len(metrics.targets), periods=metrics.periods, objectives=len(scenario.slos)
    )
    rates = scenario.rates
    moving = scenario.rollout is not None and strategy != NO_ROLLOUT
    controller = build_controller(
        scenario,
        scenario.strategies[strategy].plan if moving else None,
        build_alarms(scenario, metrics, rates, [streams]),
        [streams],
    )
    history = AliasHistory(scenario)
    plane = _plane(choice, scenario, streams, metrics, counts, events=events)
    driver = Driver(plane, controller, scenario, log=history, progress=progress)
    totals = driver.run()
    return RunResult(
        scenario=scenario,
        strategy=strategy,
        seed=streams.seed,
        replication=replication,
        engine=choice.engine,
        engine_reason=choice.reason,
        outcome=OUTCOMES[controller.outcome[0]],
        reason=controller.reason(0),
        stopped_by=tuple(
            name for name, stopped in zip(controller.watched, controller.stopped_by[0], strict=True) if stopped
        ),
        time_to_rollback_s=_since(controller.rolled_back_at[0], scenario.start),
        time_to_full_s=_since(controller.full_at[0], scenario.start),
        time_to_end_s=_since(controller.over_at[0], scenario.start),
        on_call_rollback_s=_since(controller.paged_back_at[0], scenario.start),
        metrics=metrics,
        counts=counts,
        shifts=tuple(driver.shifts),
        alarm_log=tuple((at, name, old, new) for at, _, name, old, new in controller.alarm_log),
        history=tuple(history.function.history),
        versions=_versions(totals.versions[0], scenario.horizon),
        rates=rates,
        users=totals.users[0] if totals.users[0].active else None,
        approximations=_approximations(scenario),
        polled=totals.polled[0] if totals.polled else (),
        events=_event_frame(scenario, strategy, totals.events),
    )


def choose_for_runs(scenario: Scenario, strategies: Sequence[str] = (), *, events: bool = False) -> EngineChoice:
    """The plane for `simulate_each` with the same arguments. Raises ScenarioError for what cannot be run."""
    runs = 1 if scenario.rollout is None else len(_chosen(scenario, strategies)) + 1
    return choose_engine(scenario, single=True, runs=runs, events=events)


Name = str | None
"""A strategy's; None for the run without a rollout that every other one is paired with, besides which one may be asked for."""
Call = Callable[..., RunResult]
"""A run that is yet to be made; it takes a `progress`."""
Tasks = Iterator[tuple[Name, Call]]
"""Runs with their names; which one comes next may depend on those that are done."""
Share = Callable[[Tasks, dict[Name, RunResult], Progress | None, int], Iterator[Name]]
"""Makes runs, at most so many: each is put into the dictionary, and then its name is yielded."""


def one_by_one(tasks: Tasks, done: dict[Name, RunResult], progress: Progress | None, count: int) -> Iterator[Name]:
    """The `Share` of one process, which makes all runs in their order."""
    for name, call in tasks:
        done[name] = call(progress=part_of(progress, len(done) / count, (len(done) + 1) / count))
        yield name


def simulate_each(
    scenario: Scenario,
    strategies: Sequence[str] = (),
    *,
    seed: int | None = None,
    events: bool = False,
    progress: Progress | None = None,
    choice: EngineChoice | None = None,
    share: Share = one_by_one,
) -> Iterator[RunResult]:
    """One run for each of the `strategies` (all of the scenario's by default), each beside the paired run without a rollout.

    Yields each as soon as it is done; takes `seed`, `events` and `progress` and raises what `simulate` does. A `scenario`
    without a rollout is one run.
    `choice` is the plane; by default `choose_for_runs` makes it. `share` says who makes the runs, by default this process
    alone; others that help it begin when this is called.

    Examples:
        >>> checkout = Scenario.load("scenarios/checkout.yaml")
        >>> [result.outcome for result in simulate_each(checkout, ["instant", "canary 10%"])]
        ['promoted', 'rolled_back']
    """
    check_is_scenario(scenario)
    choice = choice or choose_for_runs(scenario, strategies, events=events)
    run = partial(simulate, scenario, seed=seed, choice=choice)
    calls: dict[Name, Call] = {None: partial(run, NO_ROLLOUT)}
    names: list[Name] = [None]
    if scenario.rollout is None:
        calls[None] = partial(run, *strategies, events=events)
    else:
        names = list(_chosen(scenario, strategies))
        calls |= {name: partial(run, name, events=events) for name in names}
    done: dict[Name, RunResult] = {}
    made = share(_needed(scenario, calls, done), done, progress, len(calls))
    return _in_order(names, made, done, paired=scenario.rollout is not None)


def _in_order(
    names: Sequence[Name], made: Iterator[Name], done: Mapping[Name, RunResult], *, paired: bool
) -> Iterator[RunResult]:
    """What is `done`, in the order of the `names`, as soon as it is there; where runs are `paired`, with the baseline."""
    waiting = list(names)
    for _ in itertools.chain(made, (None,)):
        while waiting and waiting[0] in done and (not paired or None in done):
            result = done[waiting.pop(0)]
            yield replace(result, baseline=done[None]) if paired else result


def _needed(scenario: Scenario, calls: Mapping[Name, Call], done: dict[Name, RunResult]) -> Tasks:
    """The `calls` in their order, but a strategy that begins like an earlier one comes last.

    It is not simulated where the earlier one's deployment is over, which `done` says, before anything tells the two apart.
    """
    plans = {name: strategy.plan for name, strategy in scenario.strategies.items() if name in calls}
    leaders = {
        name: [other for other in itertools.takewhile(name.__ne__, plans) if plan.agrees_with(plans[other]) > 0]
        for name, plan in plans.items()
    }
    yield from ((name, call) for name, call in calls.items() if name is None or not leaders.get(name))
    for name, plan in plans.items():
        if not leaders[name]:
            continue
        same = (
            done[other] for other in leaders[name] if other in done and _is_over_by(done[other], plan, plans[other])
        )
        if (result := next(same, None)) is not None:
            events = None if result.events is None else result.events.assign(strategy=name)
            done[name] = replace(result, strategy=name, events=events)
        else:
            yield name, calls[name]


def _is_over_by(result: RunResult, plan: Plan, other: Plan) -> bool:
    """Whether the deployment of a run by one plan is over before the other plan would have done anything else."""
    if result.time_to_end_s is None:
        return False
    if not result.shifts:  # blocked, or failed by the hook before the first shift
        return True
    return tick(result.time_to_end_s + result.scenario.start) < plan.agrees_with(other, result.shifts[0].at)


def _chosen(scenario: Scenario, strategies: Sequence[str]) -> list[str]:
    """The names of the `strategies` (all by default), each once. Raises ScenarioError for one that there is not."""
    return list(scenario.all_chosen(strategies or tuple(scenario.strategies)))


def part_of(progress: Progress | None, start: float, end: float) -> Progress | None:
    """The progress of a part that leads the whole's from `start` to `end`."""
    return None if progress is None else lambda done: progress(start + (end - start) * done)


class AliasHistory:
    """The function behind a single run: every change of an alias goes through its own calls, which keep the history.

    A `run.driver.AliasLog`.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._now = 0.0
        self.function = Function(scenario.function.name, clock=lambda: self._now)
        numbers = {int(number) for number in scenario.function.versions if number != LATEST}
        for number in range(1, max(numbers, default=0) + 1):
            self.function.update_code(f"code of version {number}")
            self.function.publish_version()
        for number in set(range(1, max(numbers, default=0) + 1)) - numbers:
            self.function.delete_version(str(number))
        for alias, version in scenario.function.aliases.items():
            self.function.create_alias(alias, function_version=version)

    def shift(self, at: float, shift: Shift) -> None:
        """Points the rollout's alias as the controller wants it."""
        self._now, scenario, weight = at, self._scenario, shift.weight
        assert scenario.new is not None
        self.function.update_alias(
            scenario.alias,
            function_version=scenario.new if weight == 1 else scenario.old,
            routing_config={scenario.new: weight} if 0 < weight < 1 else {},
            reason=shift.reason,
        )

    def promote(self, at: float, promotion: Promotion) -> None:
        """Moves an alias as the scenario says."""
        self._now = at
        self.function.update_alias(
            promotion.alias, function_version=promotion.to, routing_config={}, reason="promotion"
        )


def _plane(
    choice: EngineChoice, scenario: Scenario, streams: Streams, metrics: Metrics, counts: RequestCounts, *, events: bool
) -> DataPlane:
    """The chosen plane for one replication. Raises ValueError for one that has no single runs."""
    single_run = PLANES[choice.engine].single_run
    if single_run is None:
        allowed = ", ".join(engine for engine, plane in PLANES.items() if plane.single_run is not None)
        raise ValueError(f"engine: no plane for single runs, got {choice.engine!r}; allowed {allowed}")
    return single_run(scenario, streams, metrics, counts, keep=kept_durations(scenario), events=events)


def _versions(totals: dict[str, VersionTotals], horizon: float) -> dict[str, VersionSummary]:
    return {
        number: VersionSummary(
            invocations=version.invocations,
            errors=version.errors,
            cold_starts=version.cold_starts,
            cold_start_probability=version.cold_starts / version.invocations if version.invocations else None,
            environments=version.environment_seconds / horizon,
            running=version.running_seconds / horizon,
            idle=(version.environment_seconds - version.running_seconds) / horizon,
        )
        for number, version in totals.items()
    }


def _event_frame(scenario: Scenario, strategy: str, events: list[tuple[Any, ...]] | None) -> Any:
    """The invocations as a DataFrame, times from the rollout's start; None where they were not kept."""
    if events is None:
        return None
    import pandas as pd

    frame = pd.DataFrame(events, columns=list(EVENT_COLUMNS))
    frame["start_s"] -= scenario.start
    frame["outcome"] = np.array(INVOCATION_OUTCOMES, object)[frame["outcome"].to_numpy(int)]
    frame.insert(0, "strategy", strategy)
    return frame


def _since(at: float, start: float) -> float | None:
    return None if math.isnan(at) else float(at - start)


def notes_on_sources(scenario: Scenario) -> list[str]:
    """What results assume of the ways in which events come to the function, a sentence each, as far as there are any."""
    traffic = scenario.traffic
    outages = any(source.delivery is not None and source.delivery.outage is not None for source in traffic)
    clocks = any(source.arrivals.cron is not None and source.arrivals.cron.within > 0 for source in traffic)
    notes = ((POLLERS, bool(scenario.polled)), (DELIVERIES, outages), (SCHEDULES, clocks))
    return [note for note, needed in notes if needed]


def _approximations(scenario: Scenario) -> tuple[str, ...]:
    """What this run assumes where AWS does not say, as far as the scenario depends on it."""
    notes = [*notes_on_the_past(scenario), *remarks_about(scenario)]
    latency = {slo.name for slo in scenario.slos if slo.latency is not None}
    if any(alarm.slo in latency for alarm in scenario.alarms.values()):
        notes.append("a burn-rate alarm on a latency SLO counts slow invocations, without init, failures and throttles")
    if any(scenario.alarms[name].band is not None for name in scenario.evaluated):
        notes.append(BANDS)
    notes += notes_on_sources(scenario)
    if any(slo.slices is None for slo in scenario.slos):
        notes.append("the budget of the whole SLO window is a forecast from the traffic's expected rate")
    if any(spec.cold_duration is not None for spec in scenario.function.versions.values()):
        notes.append("a cold invocation given by cold_duration counts its init as Duration")
    return tuple(notes)
