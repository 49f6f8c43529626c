"""Wiring: the metrics, alarms and controller that a scenario asks for, the same for every data plane."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from rollout_sim.control.alarm_evaluator import AlarmEvaluator, Before, BurnSource
from rollout_sim.control.alarms import Alarm, evaluation_range
from rollout_sim.control.controller import Controller, Pager
from rollout_sim.control.metrics import Metrics, scopes_of
from rollout_sim.control.slo import Objective
from rollout_sim.control.strategies import Plan
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.streams import Streams
from rollout_sim.function.spec import FunctionSpec, VersionSpec
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.processes import ArrivalProcess, arrival_process
from rollout_sim.traffic.source import Arrivals


def build_metrics(
    scenario: Scenario, names: Sequence[str] | None = None, *, replications: int = 1, horizon: float | None = None
) -> Metrics:
    """Empty metrics that hold what the alarms called `names` (by default all) read, up to `horizon` (s, by default the scenario's)."""
    targets = scenario.targets
    percentiles = dict.fromkeys(key for alarm in _chosen(scenario, names).values() for key in alarm.percentiles)
    return Metrics(
        replications=replications,
        targets=targets,
        resolution=scenario.resolution,
        horizon=scenario.horizon if horizon is None else horizon,
        scopes=scopes_of(targets, scenario.alias, scenario.old, scenario.new),
        percentiles=tuple(percentiles),
        slow_thresholds=tuple(sorted({slo.latency for slo in scenario.slos if slo.latency is not None})),
        queues=scenario.queues,
    )


def build_alarms(
    scenario: Scenario,
    metrics: Metrics,
    rates: Mapping[str, float],
    replications: Sequence[Streams],
    names: Sequence[str] | None = None,
) -> AlarmEvaluator:
    """The alarms called `names` (by default all); `rates` are the long-run arrivals per second by alias."""
    alarms = _chosen(scenario, names)
    objectives = {slo.name: _burn_source(scenario, slo, metrics) for slo in scenario.slos}
    return AlarmEvaluator(
        alarms,
        metrics=metrics,
        objectives=objectives,
        before=_before(scenario, rates, metrics),
        created=scenario.start,
        replications=replications,
        own=scenario.metrics,
    )


def _before(scenario: Scenario, rates: Mapping[str, float], metrics: Metrics) -> Before:
    """What alarms assume of the time before the simulation: each alias's first version has all of its traffic."""
    function = scenario.function
    first = [target.version == function.points_to(target.alias) for target in metrics.targets]
    specs = [function.versions[target.version] for target in metrics.targets]
    usual = np.array(
        [rates.get(target.alias, 0.0) if own else 0.0 for target, own in zip(metrics.targets, first, strict=True)]
    )

    expected, let_in = _expected(scenario), 1.0 - function.mean_throttled

    def forecast(start: float, end: float) -> FloatArray:
        counts = expected(start, end)
        return let_in * np.array(
            [counts[target.alias] if own else 0.0 for target, own in zip(metrics.targets, first, strict=True)]
        )

    run = usual * let_in
    return Before(
        invocations=run,
        errors=run * np.array([spec.mean_error_rate for spec in specs]),
        bad=usual * np.array([_mean_bad(function, spec) for spec in specs]),
        throttles=usual - run,
        durations=tuple(spec.duration for spec in specs),
        forecast=cache(forecast),
    )


def _mean_bad(function: FunctionSpec, version: VersionSpec) -> float:
    """The share of requests that fail for their clients in the long run, faults apart: throttles by others, errors, wrong answers."""
    return 1.0 - (1.0 - function.mean_throttled) * (1.0 - version.mean_error_rate) * (1.0 - version.failed_responses)


def _expected(scenario: Scenario) -> Callable[[float, float], dict[str, float]]:
    """The requests to each alias that are expected between two times (s), before time zero as well.

    They follow the time of day and the trace, before time zero where traffic comes back (a day, a trace that is repeated);
    else, and where bursts come by chance, the long-run rate holds.
    """

    @cache
    def processes() -> list[ArrivalProcess]:
        return [arrival_process(s.arrivals, Streams(seed=0), "forecast", scenario.horizon) for s in scenario.traffic]

    def between(start: float, end: float) -> dict[str, float]:
        counts = dict.fromkeys((source.alias for source in scenario.traffic), 0.0)
        for source, process in zip(scenario.traffic, processes(), strict=True):
            lap = _comes_back(source.arrivals)
            if lap is not None:
                ahead = max(math.ceil(-start / lap), 0) * lap
                counts[source.alias] += process.mean_count(start + ahead, end + ahead)
                continue
            past, low, high = max(min(end, 0.0) - start, 0.0), max(start, 0.0), max(end, 0.0)
            even = source.arrivals.bursty is not None
            ahead_of_zero = process.long_run_rate * (high - low) if even else process.mean_count(low, high)
            counts[source.alias] += process.long_run_rate * past + ahead_of_zero
        return counts

    return cache(between)


def _comes_back(arrivals: Arrivals) -> float | None:
    """Seconds after which the same traffic is expected again; None where it is not known of any time."""
    if arrivals.diurnal is not None:
        return arrivals.diurnal.period
    if arrivals.trace is not None and arrivals.trace.repeat:
        return arrivals.trace.recording.length / arrivals.trace.speed
    return None


def notes_on_the_past(scenario: Scenario) -> tuple[str, ...]:
    """What the alarms that act assume of the time before the simulation, a sentence each, as far as they look at it."""
    notes = []
    far = [
        scenario.alarms[name]
        for name in scenario.evaluated
        if lookback([scenario.alarms[name]], scenario.slos) > scenario.start
    ]
    if scenario.rollout is None:
        return ()
    if any(alarm.slo is not None for alarm in far):
        notes.append(
            "burn-rate windows that reach back before the start are filled with the old version's expected counts at that hour"
        )
    if any(alarm.slo is None for alarm in far):
        notes.append(
            "alarms that look back before the simulation's start find the old version's expected traffic there, "
            "but none that would turn them red by itself"
        )
    return tuple(notes)


def build_controller(
    scenario: Scenario,
    plan: Plan | None,
    evaluator: AlarmEvaluator,
    replications: Sequence[Streams],
    *,
    record: bool = True,
    watch_from: float = -math.inf,
) -> Controller:
    """The controller that follows `plan`, with the alarms that may stop it and whoever is paged afterwards."""
    on_call, rollout = scenario.on_call, scenario.rollout if plan is not None else None
    return Controller(
        plan,
        evaluator,
        replications=replications,
        start=scenario.start,
        watched=rollout.alarms if rollout is not None else (),
        revert=rollout.revert if rollout is not None else 0.0,
        hold=rollout.hold if rollout is not None else None,
        pager=Pager(alarms=on_call.alarms, response=on_call.response) if on_call and rollout is not None else None,
        record=record,
        watch_from=watch_from,
    )


def kept_durations(scenario: Scenario, names: Sequence[str] | None = None) -> float:
    """How long (s) durations are kept for the percentiles that the alarms called `names` (by default all) read."""
    percentiles = (alarm for alarm in _chosen(scenario, names).values() if alarm.percentiles)
    return lookback(percentiles, scenario.slos) + scenario.function.timeout


def lookback(alarms: Iterable[Alarm], slos: Sequence[Objective]) -> float:
    """How far back (s) the alarms look, whose burn rates are those of `slos`."""
    slices = {slo.name: 0.0 if slo.slices is None else slo.slices.every for slo in slos}
    looks = [
        (evaluation_range(alarm.n) + 1) * alarm.period + alarm.lags[1] + alarm.interval
        if alarm.slo is None
        else alarm.long + slices[alarm.slo] + 60.0 + alarm.lags[1] + alarm.interval
        for alarm in alarms
    ]
    return max(looks, default=0.0)


def _chosen(scenario: Scenario, names: Sequence[str] | None) -> dict[str, Alarm]:
    return {name: scenario.alarms[name] for name in (scenario.alarms if names is None else names)}


def _burn_source(scenario: Scenario, slo: Objective, metrics: Metrics) -> BurnSource:
    """What a burn-rate alarm assumes of the time before the simulation: the old version's expected counts at that hour."""
    alias = slo.alias or scenario.alias
    version = scenario.function.versions[
        scenario.old if alias == scenario.alias else scenario.function.points_to(alias)
    ]
    expected, targets = _expected(scenario), None

    def history(start: float, end: float) -> float:
        return expected(start, end).get(alias, 0.0)

    if alias != scenario.alias:
        targets = tuple(k for k, target in enumerate(metrics.targets) if target.alias == alias)
    if slo.latency is None:
        bad = _mean_bad(scenario.function, version)
        return BurnSource(objective=slo.objective, slices=slo.slices, history=history, history_bad=bad, targets=targets)
    let_in = 1.0 - scenario.function.mean_throttled
    late = 1.0 - float(version.duration.cdf(np.array([slo.latency]))[0])
    return BurnSource(
        objective=slo.objective, slices=slo.slices, slow=metrics.slow_thresholds.index(slo.latency),
        history=lambda start, end: let_in * history(start, end), history_bad=late, targets=targets,
    )  # fmt: skip
