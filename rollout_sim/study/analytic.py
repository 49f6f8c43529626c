"""Closed forms for scenarios: which of `theory`'s formulas a scenario's strategy meets, and what it says."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from rollout_sim.function import faults
from rollout_sim.function.faults import ERRORS
from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.planes.draws import NO_USER_QUANTILE
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.theory import catch_probability, no_request_probability

_RARE: Final = 1e-3
"""Chance that a period has no request, or an invocation a time-out, up to which the formula counts as meeting."""


def stop_probability(scenario: Scenario, strategy: str) -> float | None:
    """P(the alarm stops the deployment), taking invocations to last no time; None where no closed form exists.

    Where the phase is drawn it is the mean over `Sections.starts`.
    """
    if not scenario.phase_is_drawn:
        return _stop_probability(scenario, strategy)
    each = [_stop_probability(scenario.with_phase(start - scenario.start), strategy) for start in scenario.starts]
    known = [chance for chance in each if chance is not None]
    return math.fsum(known) / len(known) if len(known) == len(each) else None


def _stop_probability(scenario: Scenario, strategy: str) -> float | None:
    """The same for the phase that the scenario fixes.

    It exists for one Poisson source, one alarm on the new version's errors, faults that are errors without a ramp, an error
    rate that is always the same, no throttles by others and no hook: `theory.catch_probability`, with periods' expected errors
    from the fault rules. Not where periods slide by less than their length, for neighbouring evaluations then share minutes and
    are no chain of independent periods.
    """
    acting = scenario.rollout.alarms if scenario.rollout is not None else ()
    if len(acting) != 1 or scenario.new is None or inexactness(scenario):
        return None
    alarm, spec = scenario.alarms[acting[0]], scenario.function.versions[scenario.new]
    sources = [source for source in scenario.traffic if source.alias == scenario.alias]
    plan = scenario.strategies[strategy].plan
    rows = faults.rows_of(scenario.faults_of(scenario.new), scenario.start)
    rate = sources[0].arrivals.poisson
    timed_out = 1.0 - float(spec.duration.cdf(np.array([math.nextafter(scenario.function.timeout, 0.0)]))[0])
    if (
        len(sources) != 1
        or rate is None
        or (alarm.metric, alarm.statistic, alarm.of, alarm.missing) != ("errors", "sum", "new_version", "not_breaching")
        or alarm.comparator not in (">", ">=")
        or alarm.slides
        or alarm.least
        or alarm.history == "new"
        or not isinstance(alarm.lag, float | int)
        or plan.before is not None
        or plan.after is not None
        or plan.provisioned
        or plan.allocation
        or (scenario.rollout is not None and scenario.rollout.hold is not None)
        or any(row[0] != ERRORS or row[2] > 0 for row in rows)
        or timed_out > _RARE
        or not isinstance(spec.error_rate, float | int)
        or scenario.function.throttled
    ):
        return None
    if alarm.n > 1 and no_request_probability(rate, plan.steps[0].weight, alarm.period) > _RARE:
        return None
    end = scenario.start + plan.length
    shares = _failing(scenario, rows, end)
    worst = max(share for _, share in shares)
    weights = [
        (scenario.start + math.fsum(step.hold for step in plan.steps[:k]), step.weight)
        for k, step in enumerate(plan.steps)
    ]
    limit = math.floor(alarm.limit) if alarm.comparator == ">" else math.ceil(alarm.limit) - 1
    return catch_probability(
        rate,
        _scaled(weights, shares, worst),
        worst,
        min(end, scenario.horizon),
        period=alarm.period,
        threshold_count=limit,
        m=alarm.m,
        n=alarm.n,
        lag=math.ceil(alarm.lag / alarm.interval) * alarm.interval / alarm.period,
    )


def _failing(scenario: Scenario, rows: tuple[faults.FaultRow, ...], end: float) -> list[tuple[float, float]]:
    """From when on (s) which share of the new version's invocations fails."""
    assert scenario.new is not None
    spec = scenario.function.versions[scenario.new]
    times = sorted({scenario.start, *(t for row in rows for t in (row[1], row[3]) if scenario.start < t < end)})
    shares = [
        faults.failure_shares(rows, spec.mean_error_rate, spec.failed_responses, t, False, 0.0, 0, NO_USER_QUANTILE)
        for t in times
    ]
    return [(t, faults.error_share(share)) for t, share in zip(times, shares, strict=True)]


def _scaled(
    weights: list[tuple[float, float]], shares: list[tuple[float, float]], worst: float
) -> list[tuple[float, float]]:
    """The plan as if all invocations failed as often as at worst, and fewer came while they fail less."""

    def value(steps: list[tuple[float, float]], t: float) -> float:
        return next((height for at, height in reversed(steps) if at <= t), 0.0)

    times = sorted({t for t, _ in weights + shares})
    return [(t, value(weights, t) * (value(shares, t) / worst if worst else 0.0)) for t in times]
