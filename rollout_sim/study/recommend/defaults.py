"""Defaults: the risk and the goal where a file has none, and what a recommendation needs of a file in any case."""

from __future__ import annotations

from rollout_sim.scenario.goals import AtMost, AtMostTime, Catch, Goal, LogUniform, Risk, Severity
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.recommend.advice import HOUR


def default_risk(scenario: Scenario) -> Risk:
    """One release in seven is bad: by errors, or by its durations where the first SLO is about latency."""
    if scenario.slos[0].latency is None:
        return Risk()
    return Risk(severity=Severity(latency=LogUniform(1.2, 10.0)))


def default_goal(scenario: Scenario) -> Goal:
    """Catch what burns the budget fast enough to page (for a latency SLO: twice the duration), with few false rollbacks.

    Full traffic is reached within the hour.
    """
    share = scenario.slos[0].paging_share
    errors = Severity(error_rate=LogUniform(share, share))
    return Goal(
        catch=Catch(of=errors if scenario.slos[0].latency is None else Severity(latency=LogUniform(2.0, 2.0))),
        false_rollback=AtMost(at_most=0.01),
        budget=AtMost(at_most=0.05),
        time_to_full=AtMostTime(at_most=HOUR),
    )


def obstacles(scenario: Scenario) -> list[str]:
    """Why there is no recommendation for `scenario`: what it lacks, or what is not searched; empty where nothing is."""
    problems = []
    if scenario.rollout is None:
        problems.append("rollout: recommend needs one, to say which alias moves to which version")
    elif not scenario.rollout.alarms:
        problems.append("rollout.alarms: recommend needs an alarm to start from")
    if not scenario.slos:
        problems.append("slos: recommend needs one, to know which requests are bad")
    if scenario.rollout is not None and scenario.rollout.hold is not None:
        problems.append("rollout.hold: recommend searches rollouts whose alarms roll back at once; leave it out")
    if scenario.slos and scenario.slos[0].alias not in (None, scenario.alias):
        problems.append(f"slos[0].alias: recommend goes by the first SLO, which must be about {scenario.alias!r}")
    return problems
