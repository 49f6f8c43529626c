"""Judgement: what a scenario's goal, or the one that stands in for it, says of a strategy's estimates."""

from __future__ import annotations

from rollout_sim.core.statistics import Estimate
from rollout_sim.function.faults import Fault
from rollout_sim.scenario.goals import Goal, Severity
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import Comparison
from rollout_sim.study.recommend.defaults import default_goal
from rollout_sim.study.recommend.limits import Limit


def goal_of(scenario: Scenario) -> Goal | None:
    """The goal of a scenario, or the default one; None where there is no rollout, or no SLO to have a default goal by."""
    if scenario.rollout is None:
        return None
    return scenario.goal or (default_goal(scenario) if scenario.slos else None)


def limits_of(compared: Comparison, strategy: str, goal: Goal | None) -> tuple[Limit, ...]:
    """The limits of a goal that a comparison can tell of a strategy, whose fault is the file's; none for no goal.

    How often it is caught, how often a good version is stopped, and how long that takes to full traffic: by the plan where
    no replication of a good version got there.
    """
    scenario, twin = compared.scenario, compared.twin
    good = twin or (None if _faults(scenario) else compared)
    full = good_stopped = None
    if good is not None:
        full, good_stopped = good.time_to_full(strategy), good.estimates(strategy)["stopped"]
    if full is None and strategy in scenario.strategies:
        takes = scenario.strategies[strategy].plan.time_to_full
        full = Estimate(n=1, mean=takes, low=takes, high=takes, quantiles={})
    return limits_by_name(scenario, goal, compared.estimates(strategy)["stopped"], good_stopped, full)


def limits_by_name(
    scenario: Scenario,
    goal: Goal | None,
    stopped: Estimate | None,
    good_stopped: Estimate | None,
    time_to_full: Estimate | None = None,
) -> tuple[Limit, ...]:
    """The limits of a goal that estimates of one strategy are about, each with its estimate.

    `stopped` is the share (fraction) of the rollouts of the version as described that are stopped, `good_stopped` that of a
    good version, and `time_to_full` the seconds until a good version has all traffic; None where it is not known. The limit
    on catching is about a fault of one size: it is left out where the described version is good, or has smaller faults only.
    """
    if goal is None:
        return ()
    limits = []
    faults = _faults(scenario)
    bad = bool(faults) and (goal.catch is None or not all(_smaller(fault, goal.catch.of) for fault in faults))
    if goal.catch is not None and stopped is not None and bad:
        limits.append(Limit(name="catch", estimate=stopped, at_least=goal.catch.at_least))
    if goal.false_rollback is not None and good_stopped is not None:
        limits.append(Limit(name="false_rollback", estimate=good_stopped, at_most=goal.false_rollback.at_most))
    if goal.time_to_full is not None and time_to_full is not None:
        limits.append(Limit(name="time_to_full", estimate=time_to_full, at_most=goal.time_to_full.at_most))
    return tuple(limits)


def _faults(scenario: Scenario) -> tuple[Fault, ...]:
    """The faults of the version that is rolled out."""
    return () if scenario.new is None else tuple(scenario.function.versions[scenario.new].faults)


def _smaller(fault: Fault, severity: Severity) -> bool:
    """Whether a fault is of the kind of a severity, and smaller."""
    if severity.error_rate is not None:
        shares = (fault.errors, fault.crash, fault.hang, fault.responses)
        return any(share is not None and share < severity.error_rate.low for share in shares)
    return fault.latency is not None and not fault.latency.add and fault.latency.factor < severity.spread.low
