"""Rules about the deployment: whether anything watches it, and whether CodeDeploy takes it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Final

from rollout_sim.control.strategies import CODEDEPLOY_LIMIT, Plan
from rollout_sim.core.formatting import number_with_interval, share_with_interval, show_duration
from rollout_sim.core.statistics import mean_of
from rollout_sim.study.check.evidence import Evidence, below, column, exposed, often
from rollout_sim.study.check.finding import Edit
from rollout_sim.study.check.remedies import (
    Edits,
    alarm_changes,
    catching,
    of_rollout,
    search,
    strategy_changes,
    tested_changes,
    watching_changes,
)
from rollout_sim.study.check.rule import Match, among, rule

MOST_ALARMS: Final = 10
"""Alarms that a deployment group of CodeDeploy takes."""
MINUTE: Final = 60.0


@rule(
    "RS201",
    "nothing-watches",
    "error",
    example="""
    alarms: {}
    rollout: {alias: live, to: 2, start: 10 min}
    """,
    mend="""
    List an alarm on the new version's errors in `rollout.alarms` (`DeploymentPreference.Alarms`).
    """,
)
def nothing_watches(evidence: Evidence) -> Iterator[Match]:
    """The rollout has no alarm and no hook: nothing can stop it.

    Moving the traffic in steps limits how many requests a bad version gets at first, but somebody has to look. Without
    an alarm the next step comes whatever happens. Alarms that are defined but not listed do nothing either.
    """
    if evidence.alarms or evidence.unread:
        return
    group = [
        name
        for name, plan in evidence.plans.items()
        if not _hooked(plan) and below(often(evidence.bad(), name), evidence.catch.at_least)
    ]
    if not group:
        return
    bad = evidence.bad()
    promoted = often(bad, group[0], "promoted")
    cost = mean_of(column(bad, group[0], "bad_requests_new_version"), unit=1.0)
    assert cost is not None
    within = show_duration(bad.scenario.horizon - evidence.deployment.start)
    unlisted = [name for name in evidence.scenario.alarms if name not in evidence.deployment.alarms]
    idle = f" ({', '.join(unlisted)}: defined, but not listed in rollout.alarms)" if unlisted else ""
    if evidence.dead:
        idle = f" ({', '.join(alarm.name for alarm in evidence.dead)}: listed, but without data for ever)"
    timed = [name for name in group if exposed(evidence.plans[name]) > 0] or group[:1]
    yield Match(
        where=("rollout",),
        message=(
            f"nothing watches the rollout{among(evidence, group)}{idle}: a version with {evidence.fault_text} is promoted in "
            f"{share_with_interval(promoted)} of the rollouts, at {number_with_interval(cost)} bad requests within {within} of "
            "the start"
        ),
        figures={"promoted": promoted, "bad_requests": cost},
        remedy=search(evidence, watching_changes(evidence, timed[0]), of_rollout(timed)),
    )


@rule(
    "RS202",
    "all-at-once-with-alarms",
    "error",
    example="""
    strategies:
      rollout: {type: AllAtOnce}
    """,
    mend="""
    Use a canary or linear configuration, so that there is a time in which an alarm can act.
    """,
)
def all_at_once_with_alarms(evidence: Evidence) -> Iterator[Match]:
    """The rollout is over before one of its alarms can act.

    With `AllAtOnce` CodeDeploy shifts everything and is done in the same moment; alarms act only while a deployment
    runs. They can keep it from starting, but never roll it back.
    """
    for name, plan in evidence.plans.items():
        if not (evidence.alarms or evidence.unread) or exposed(plan) > 0:
            continue
        caught = often(evidence.bad(), name)
        if not below(caught, evidence.catch.at_least):
            continue
        alarms = ", ".join([*evidence.alarms, *(alarm.name for alarm in evidence.unread)])
        yield Match(
            where=("strategies", name),
            message=(
                f"{name} is over before an alarm ({alarms}) can act: a version with {evidence.fault_text} is stopped in "
                f"{share_with_interval(caught)} of the rollouts"
            ),
            figures={"caught": caught},
            remedy=search(evidence, _slower(evidence, name), of_rollout((name,))),
        )


@rule(
    "RS203",
    "hooks-only",
    "warning",
    example="""
    alarms: {}
    rollout: {alias: live, to: 2, start: 10 min}
    strategies:
      rollout: {type: Canary10Percent5Minutes, hooks: {before_allow_traffic: {invocations: 1, over: 10 s}}}
    """,
    mend="""
    List an alarm on the new version's errors, or let the hook call the new version often enough to meet the fault.
    """,
)
def hooks_only(evidence: Evidence) -> Iterator[Match]:
    """Hooks test the new version, but no alarm watches it, and the tests are too few for the goal's fault.

    A hook that calls the new version once finds a version that does not start. A fault of a few percent it meets in a
    few percent of the deployments.
    """
    if evidence.alarms or evidence.unread:
        return
    for name, plan in evidence.plans.items():
        if not _hooked(plan):
            continue
        caught = often(evidence.bad(), name)
        if not below(caught, evidence.catch.at_least):
            continue
        how_many = sum(hook.invocations for hook in (plan.before, plan.after) if hook is not None)
        calls = "1 call finds" if how_many == 1 else f"{how_many:,} calls find"
        yield Match(
            where=("strategies", name),
            message=(
                f"only hooks test the new version{evidence.label(name)}, no alarm watches it: {calls} "
                f"{evidence.fault_text} in {share_with_interval(caught)} of the rollouts"
            ),
            figures={"caught": caught},
            remedy=search(
                evidence,
                itertools.chain(watching_changes(evidence, name), tested_changes(evidence, name)),
                of_rollout((name,)),
            ),
        )


@rule(
    "RS204",
    "too-many-alarms",
    "error",
    example="""
    alarms:
      a01: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a02: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a03: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a04: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a05: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a06: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a07: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a08: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a09: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a10: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
      a11: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: not_breaching}
    rollout: {alias: live, to: 2, start: 10 min, alarms: [a01, a02, a03, a04, a05, a06, a07, a08, a09, a10, a11]}
    """,
    mend="""
    Leave out the alarms that catch the least, or put several into one composite alarm.
    """,
)
def too_many_alarms(evidence: Evidence) -> Iterator[Match]:
    """The rollout lists more alarms than CodeDeploy takes.

    A deployment group has at most ten alarms; with more the stack fails to deploy. Most lists that long hold several
    alarms on the same failures, of which the keenest alone decides.
    """
    if len(evidence.alarms) <= MOST_ALARMS:
        return
    strategy = max(evidence.plans, key=lambda name: exposed(evidence.plans[name]))
    caught = often(evidence.bad(), strategy)

    def worth(name: str) -> float:
        return often(evidence.bad(name), strategy).mean - often(evidence.good(name), strategy, "hindered").mean

    kept = set(sorted(evidence.alarms, key=worth, reverse=True)[:MOST_ALARMS])
    edits = (Edit(where=("rollout", "alarms"), value=[name for name in evidence.alarms if name in kept]),)
    yield Match(
        where=("rollout", "alarms"),
        message=(
            f"{len(evidence.alarms)} alarms are listed, CodeDeploy takes {MOST_ALARMS}; together they would catch "
            f"{evidence.fault_text} in {share_with_interval(caught)} of the rollouts{among(evidence, [strategy])}"
        ),
        figures={"caught": caught},
        remedy=search(evidence, [edits], catching(strategy)),
    )


@rule(
    "RS205",
    "too-long-for-codedeploy",
    "error",
    example="""
    strategies:
      rollout: {type: canary, percent: 10, interval: 50 h}
    """,
    mend="""
    Shorten the interval: at most 2,880 min from the first to the last shift.
    """,
)
def too_long_for_codedeploy(evidence: Evidence) -> Iterator[Match]:
    """The rollout takes longer than CodeDeploy allows.

    From the first to the last shift CodeDeploy allows 2,880 min, two days; it refuses a configuration with more.
    """
    for name, plan in evidence.plans.items():
        if _shifting(plan) <= CODEDEPLOY_LIMIT * MINUTE:
            continue
        full = mean_of(column(evidence.good(), name, "time_to_full_s"), tail=False)
        shown = (
            ""
            if full is None
            else f"; a good version has all of the traffic {show_duration(full.mean)} after the start"
        )
        shortened = _shortened(evidence, name, plan)
        yield Match(
            where=("strategies", name),
            message=(
                f"{name} takes {_shifting(plan) / MINUTE:,.0f} min from the first to the last shift, CodeDeploy allows "
                f"{CODEDEPLOY_LIMIT:,}{shown}"
            ),
            figures={} if full is None else {"time_to_full_s": full},
            remedy=search(evidence, [shortened], catching(name)) if shortened else None,
        )


def _hooked(plan: Plan) -> bool:
    return plan.before is not None or plan.after is not None


def _shifting(plan: Plan) -> float:
    """Seconds from the first to the last shift."""
    return math.fsum(step.hold for step in plan.steps[:-1])


def _slower(evidence: Evidence, strategy: str) -> Iterator[Edits]:
    """Strategies that leave alarms time to act, then with a change of an alarm as well."""
    others = list(strategy_changes(evidence, strategy))
    yield from others
    for name in evidence.alarms:
        for other, edits in itertools.product(others, itertools.islice(alarm_changes(evidence, name), 12)):
            yield (*other, *edits)


def _shortened(evidence: Evidence, strategy: str, plan: Plan) -> Edits:
    """Edits that make the steps of a strategy shorter by the same factor; none where it has no interval of its own."""
    own = evidence.scenario.dump()["strategies"][strategy]
    factor = CODEDEPLOY_LIMIT * MINUTE / _shifting(plan)
    where = ("strategies", strategy)
    if "interval" in own:
        minutes = math.floor(plan.steps[0].hold * factor / MINUTE)
        return (Edit(where=(*where, "interval"), value=f"{minutes} min"),)
    if "steps" in own:
        steps = [
            {**step, "hold": f"{math.floor(taken.hold * factor / MINUTE)} min"}
            for step, taken in zip(own["steps"], plan.steps, strict=False)
        ]
        return (Edit(where=(*where, "steps"), value=steps),)
    return ()
