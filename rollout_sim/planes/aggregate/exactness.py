"""Where the aggregate plane is exact: where no state links the invocations in what is read.

Counts are drawn for whole periods, so whatever makes an invocation depend on another one (retries, environments that are
scarce, leaks) or on its own size stands against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from rollout_sim.core.distributions import Distribution
from rollout_sim.core.streams import Streams
from rollout_sim.function.faults import Fault
from rollout_sim.function.spec import INIT_LIMIT, VersionSpec
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.processes import ArrivalProcess, arrival_process

UNLIKELY: Final = 1e-6
"""Chance per run below which a limit does not count as one that can bind."""
_TAIL: Final = 1e-9


def inexactness(scenario: Scenario) -> tuple[str, ...]:
    """The reasons why the aggregate plane is not exact for `scenario`; none where it is.

    A limit on concurrency or scale-up counts where a throttle in one run is likelier than `UNLIKELY`, with every
    invocation cold and every fault at its worst (M/G/infinity in steady state).
    """
    processes = [arrival_process(source.arrivals, Streams(seed=0), "exactness") for source in scenario.traffic]
    reasons = [*_of_sources(scenario, processes), *_of_versions(scenario), *_of_alarms(scenario)]
    if not reasons:
        reasons += _of_limits(scenario, processes)
    if scenario.rollout is not None and scenario.function.propagation > 0:
        reasons.append("alias updates take time to propagate")
    return tuple(dict.fromkeys(reasons))


def _of_sources(scenario: Scenario, processes: Sequence[ArrivalProcess]) -> list[str]:
    reasons = []
    for i, (source, process) in enumerate(zip(scenario.traffic, processes, strict=True)):
        name = source.name or f"traffic[{i}]"
        if source.retry is not None and source.retry.attempts > 1 and "error" in source.retry.on:
            reasons.append(f"{name}: clients retry errors")
        if source.source != "http" and source.async_retries > 0:
            reasons.append(f"{name}: Lambda retries asynchronous events")
        if source.size is not None and any(spec.per_mb for spec in scenario.function.versions.values()):
            reasons.append(f"{name}: durations depend on the size of the event")
        trace = source.arrivals.trace
        grid = 60.0 if trace is None else math.gcd(60_000, round(60_000 / trace.speed)) / 1000
        if grid < 1:
            reasons.append(f"{name}: the trace's speed makes its minutes too odd to count by")
            continue
        try:
            process.counts(np.array([0.0, min(grid, scenario.horizon)]), 1, np.random.default_rng(0))
        except ValueError as error:
            reasons.append(f"{name}: {error}")
    return reasons


def _of_versions(scenario: Scenario) -> list[str]:
    reasons = []
    kinds = {"leak": "leaks", "load": "load", "subset": "users", "init": "cold starts"}
    latency = any(slo.latency is not None for slo in scenario.slos)
    durations = any(scenario.alarms[name].metric == "duration" for name in scenario.acting)
    for number, spec in scenario.function.versions.items():
        rows = scenario.faults_of(number)
        reasons += [f"version {number}: failures depend on {kinds[f.kind]}" for f in rows if f.kind in kinds]
        if latency and spec.cold_start is not None:
            reasons.append(f"version {number}: a latency SLO sees its cold starts")
        if spec.cold_start is not None and _above(spec.cold_start, INIT_LIMIT) > _TAIL:
            reasons.append(f"version {number}: cold starts can exceed the init limit of {INIT_LIMIT:g} s")
        if spec.cold_duration is not None and (
            latency or durations or _above(spec.cold_duration, scenario.function.timeout) > _TAIL
        ):
            reasons.append(f"version {number}: cold invocations have a duration of their own")
    return reasons


def _of_alarms(scenario: Scenario) -> list[str]:
    reasons = []
    for name in scenario.acting:
        alarm = scenario.alarms[name]
        if alarm.metric == "duration" and alarm.percentile is None:
            reasons.append(f"alarm {name}: reads a mean duration")
        aliases = {slo.alias or scenario.alias for slo in scenario.slos if slo.name == alarm.slo}
        if aliases - {scenario.alias}:
            reasons.append(f"alarm {name}: reads the budget of another alias")
    return reasons


def _of_limits(scenario: Scenario, processes: Sequence[ArrivalProcess]) -> list[str]:
    from scipy.special import gammainc
    from scipy.stats import poisson

    function = scenario.function
    highest, expected = _rates(scenario, processes)
    longest = max(
        _holding_time(function.timeout, spec, together)
        for number, spec in function.versions.items()
        for together in _at_once(scenario.faults_of(number))
    )
    load = highest * longest
    # P(Poisson(load) >= c): what an arrival sees of a system without limits.
    reasons = []
    if function.concurrency == 0 or expected * float(gammainc(function.concurrency, load)) > UNLIKELY:
        reasons.append(f"the concurrency of {function.concurrency} can bind (up to {load:.3g} would run on average)")
    crashing = max(
        sum(f.crash or 0.0 for f in together) + _above(spec.duration, function.timeout)
        for number, spec in function.versions.items()
        for together in _at_once(scenario.faults_of(number))
    )
    new = float(poisson.isf(UNLIKELY / max(expected, 1.0), load + 10 * highest * min(crashing, 1.0)))
    if new > function.scale_up:
        reasons.append(f"the scale-up rate of {function.scale_up} environments per 10 s can bind")
    return reasons


def _rates(scenario: Scenario, processes: Sequence[ArrivalProcess]) -> tuple[float, float]:
    """The highest arrival rate of any minute (1/s), and the arrivals expected in all."""
    edges = np.minimum(np.arange(0.0, scenario.horizon + 60.0, 60.0), scenario.horizon)
    edges = np.unique(edges)
    expected = np.zeros(edges.size - 1)
    for process in processes:
        expected += [process.mean_count(a, b) for a, b in zip(edges.tolist(), edges[1:].tolist(), strict=False)]
    return float((expected / np.diff(edges)).max()), float(expected.sum())


def _at_once(faults: tuple[Fault, ...]) -> list[tuple[Fault, ...]]:
    """The faults that are there at the same time, for each instant at which one sets in; once without any."""
    return [
        tuple(f for f in faults if f.onset <= t and (f.until is None or t < f.until))
        for t in sorted({f.onset for f in faults})
    ] or [()]


def _holding_time(timeout: float, spec: VersionSpec, faults: tuple[Fault, ...]) -> float:
    """Mean seconds that an invocation holds its environment at most: cold, and every one of these faults at its worst."""
    mean = spec.duration.mean
    for fault in faults:
        if fault.kind == "latency" and fault.latency is not None:
            mean += fault.share * (max(fault.latency.factor - 1, 0.0) * mean + fault.latency.add)
    crash = 1 - math.prod(1 - f.crash for f in faults if f.crash is not None)
    mean = (1 - crash) * min(mean, timeout) + crash * timeout
    init = 0.0 if spec.cold_start is None else spec.cold_start.mean
    whole = 0.0 if spec.cold_duration is None else spec.cold_duration.mean
    return max(mean + init, whole)


def _above(distribution: Distribution, limit: float) -> float:
    """P(a value above `limit`)."""
    return 1.0 - float(distribution.cdf(np.array([limit]))[0])
