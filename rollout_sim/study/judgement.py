"""Judgement: what a scenario's goal, or the one that stands in for it, says of a strategy's estimates."""

from __future__ import annotations

from rollout_sim.core.statistics import Estimate
from rollout_sim.function.faults import Fault
from rollout_sim.scenario.goals import Goal, Severity
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.recommend.limits import Limit
from rollout_sim.study.recommend.search import default_goal


def goal_of(scenario: Scenario) -> Goal | None:
    """The goal of a scenario, or the default one; None where there is no rollout, or no SLO to have a default goal by."""
    if scenario.rollout is None:
        return None
    return scenario.goal or (default_goal(scenario) if scenario.slos else None)


def limits_of(
    scenario: Scenario,
    stopped: Estimate | None,
    good_stopped: Estimate | None,
    time_to_full: Estimate | None = None,
) -> dict[str, Limit]:
    """By name the limits of a scenario's goal that estimates of one strategy are about, each with its estimate.

    `stopped` is the share (fraction) of the rollouts of the version as described that are stopped, `good_stopped` that of a
    good version, and `time_to_full` the seconds until a good version has all traffic; None where it is not known. The limit
    on catching is about a fault of one size: it is left out where the described version is not at least as bad.
    """
    goal, new = goal_of(scenario), scenario.new
    if goal is None or new is None:
        return {}
    limits = []
    faults = scenario.function.versions[new].faults
    if goal.catch is not None and stopped is not None and any(_as_bad(fault, goal.catch.of) for fault in faults):
        limits.append(Limit(name="catch", estimate=stopped, at_least=goal.catch.at_least))
    if goal.false_rollback is not None and good_stopped is not None:
        limits.append(Limit(name="false_rollback", estimate=good_stopped, at_most=goal.false_rollback.at_most))
    if goal.time_to_full is not None and time_to_full is not None:
        limits.append(Limit(name="time_to_full", estimate=time_to_full, at_most=goal.time_to_full.at_most))
    return {limit.name: limit for limit in limits}


def _as_bad(fault: Fault, severity: Severity) -> bool:
    """Whether a fault is of the kind of a severity, at least as large, and stays."""
    if fault.until is not None:
        return False
    if severity.error_rate is not None:
        return fault.errors is not None and fault.errors >= severity.error_rate.low
    return fault.latency is not None and fault.share == 1 and fault.latency.factor >= severity.spread.low
