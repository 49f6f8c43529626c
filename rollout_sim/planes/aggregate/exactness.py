"""Where the aggregate plane is exact: where no state links the invocations in what is read.

Counts are drawn for whole periods, so whatever makes an invocation depend on another one (retries, environments that are
scarce, leaks) or on its own size stands against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from rollout_sim.control.readings import Reading
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.streams import Streams
from rollout_sim.function.recorded import RecordedDurations
from rollout_sim.function.spec import INIT_LIMIT
from rollout_sim.planes.aggregate.arrivals import cells_of
from rollout_sim.planes.aggregate.limits import of_limits
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.processes import ArrivalProcess, arrival_process

_TAIL: Final = 1e-9


def inexactness(scenario: Scenario) -> tuple[str, ...]:
    """The reasons why the aggregate plane is not exact for `scenario`; none where it is.

    Environments that are scarce, cold or still starting count where `limits` says that they could be seen.
    """
    processes = [
        arrival_process(source.arrivals, Streams(seed=0), "exactness", scenario.horizon) for source in scenario.traffic
    ]
    reasons = [*_of_sources(scenario, processes), *_of_versions(scenario), *_of_alarms(scenario)]
    if scenario.function.managed is not None:
        reasons.append("managed instances throttle what comes before they have scaled to it")
    if not reasons:
        reasons += of_limits(scenario, processes)
    if scenario.rollout is not None and scenario.function.propagation > 0:
        reasons.append("alias updates take time to propagate")
    return tuple(dict.fromkeys(reasons))


def _of_sources(scenario: Scenario, processes: Sequence[ArrivalProcess]) -> list[str]:
    reasons = []
    for i, (source, process) in enumerate(zip(scenario.traffic, processes, strict=True)):
        name = source.name or f"traffic[{i}]"
        if source.polled:
            reasons.append(f"{name}: batches and their retries link the records of a {source.source}")
            continue
        if source.retry is not None and source.retry.attempts > 1:
            happens = {
                "error": True,
                "failed_response": _fails(scenario),
                "throttle": bool(scenario.function.throttled),
            }
            again = [kind for kind in source.retry.on if happens[kind]]
            if again:
                reasons.append(f"{name}: clients retry {' and '.join(f'{kind}s' for kind in again).replace('_', ' ')}")
        if source.source != "http" and source.async_retries > 0:
            reasons.append(f"{name}: Lambda retries asynchronous events")
        elif source.source != "http" and scenario.function.throttled:
            reasons.append(f"{name}: Lambda retries events that are throttled")
        if source.delivery is not None and (
            source.delivery.outage is not None or source.delivery.permission == "missing"
        ):
            reasons.append(f"{name}: Lambda does not take every delivery")
        if source.size is not None and any(spec.per_mb for spec in scenario.function.versions.values()):
            reasons.append(f"{name}: durations depend on the size of the event")
        cells = cells_of(source.arrivals, scenario.resolution)
        if cells is None:
            reasons.append(f"{name}: the trace's periods at its speed are too odd to count by")
            continue
        try:
            process.counts(np.array([0.0, min(cells.width, scenario.horizon)]), 1, np.random.default_rng(0))
        except ValueError as error:
            reasons.append(f"{name}: {error}")
    return reasons


def _of_versions(scenario: Scenario) -> list[str]:
    reasons = []
    kinds = {"leak": "leaks", "load": "load", "subset": "users", "init": "cold starts"}
    latency = any(slo.latency is not None for slo in scenario.slos)
    waits = any(reading.metric == "latency" and not reading.exact_by_counts for reading in _readings(scenario))
    durations = any(
        not reading.exact_by_counts
        for name in scenario.evaluated
        for reading in scenario.alarms[name].readings.values()
    )
    for number, spec in scenario.function.versions.items():
        rows = scenario.faults_of(number)
        if isinstance(spec.duration, RecordedDurations):
            reasons.append(f"version {number}: durations change from one recorded minute to the next")
        reasons += [f"version {number}: failures depend on {kinds[f.kind]}" for f in rows if f.kind in kinds]
        if latency and spec.cold_start is not None:
            reasons.append(f"version {number}: a latency SLO sees its cold starts")
        if waits and spec.cold_start is not None:
            reasons.append(f"version {number}: an alarm on latency sees its cold starts")
        if spec.cold_start is not None and _above(spec.cold_start, INIT_LIMIT) > _TAIL:
            reasons.append(f"version {number}: cold starts can exceed the init limit of {INIT_LIMIT:g} s")
        if spec.cold_duration is not None and (
            latency or durations or _above(spec.cold_duration, math.nextafter(scenario.function.timeout, 0.0)) > _TAIL
        ):
            reasons.append(f"version {number}: cold invocations have a duration of their own")
    return reasons


def _readings(scenario: Scenario) -> list[Reading]:
    """What the alarms read that are evaluated."""
    return [reading for name in scenario.evaluated for reading in scenario.alarms[name].readings.values()]


def _of_alarms(scenario: Scenario) -> list[str]:
    reasons = []
    for name in scenario.evaluated:
        alarm = scenario.alarms[name]
        for reading in alarm.readings.values():
            if reading.exact_by_counts:
                continue
            if reading.percentile is None:
                reasons.append(
                    f"alarm {name}: reads a {'mean' if reading.statistic == 'average' else 'total'} duration"
                )
            elif reading.percentile.trimmed:
                reasons.append(f"alarm {name}: reads a trimmed mean duration")
            elif alarm.maths is not None:
                reasons.append(f"alarm {name}: calculates with a percentile of durations")
        aliases = {slo.alias or scenario.alias for slo in scenario.slos if slo.name == alarm.slo}
        if aliases - {scenario.alias}:
            reasons.append(f"alarm {name}: reads the budget of another alias")
    return reasons


def _fails(scenario: Scenario) -> bool:
    """Whether any version answers with failures that Lambda does not count."""
    versions = scenario.function.versions
    return any(
        spec.failed_responses > 0 or any(fault.responses for fault in scenario.faults_of(number))
        for number, spec in versions.items()
    )


def _above(distribution: Distribution, limit: float) -> float:
    """P(a value above `limit`)."""
    return 1.0 - float(distribution.cdf(np.array([limit]))[0])
