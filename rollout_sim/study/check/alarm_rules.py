"""Rules about alarms: those that cannot fire, fire at the wrong time, or look at the wrong thing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rollout_sim.control.alarms import Alarm
from rollout_sim.core.formatting import share, share_with_interval, show_duration
from rollout_sim.study.check.evidence import CLEARLY, OFTEN, Evidence, Runs, above, below, exposed, more, often
from rollout_sim.study.check.finding import Edit, Remedy, Unread
from rollout_sim.study.check.remedies import (
    HARDLY,
    KEEPS,
    MENDS,
    Edits,
    Verdict,
    alarm_and_strategy_changes,
    alarm_changes,
    narrowed,
    new_name,
    of_alarm,
    of_worst,
    replacing_changes,
    search,
)
from rollout_sim.study.check.rule import Match, among, rule


@rule(
    "RS101",
    "alarm-cannot-fire",
    "error",
    example="""
    alarms:
      errors: {metric: errors, of: new_version, period: 5 min, datapoints: 3 of 3, threshold: "> 0", missing: not_breaching}
    """,
    mend="""
    Make the alarm decide within the rollout: fewer or shorter periods, a threshold that the traffic can reach, the new
    version instead of the old one; or give the rollout more time.
    """,
)
def alarm_cannot_fire(evidence: Evidence) -> Iterator[Match]:
    """An alarm cannot stop the rollout, however bad the new version is.

    Its periods may take longer than the deployment, its threshold may be more than the traffic makes, or it may look at
    something that the new version does not change. CodeDeploy stops looking when the last shift is done, so an alarm
    that needs fifteen minutes does nothing for a canary of five. The rollout looks watched, and is not.

    Simulated are rollouts of a version that fails every request, and of one whose every request runs into the timeout.
    """
    for dead in evidence.dead:
        strategy = next(iter(evidence.plans))
        caught = often(evidence.bad(), strategy)
        yield Match(
            where=("alarms", dead.name),
            message=(
                f"{dead.name} cannot fire: {dead.why}; without it the rollout stops a version with {evidence.fault_text} in "
                f"{share_with_interval(caught)} of the rollouts"
            ),
            figures={"caught_without": caught},
            remedy=_dead_remedy(evidence, dead),
        )
    for name, alarm in evidence.alarms.items():
        silent = [
            strategy
            for strategy, plan in evidence.plans.items()
            if exposed(plan) > 0 and not _fires(evidence, name, strategy)
        ]
        if not silent:
            continue
        stopped = often(next(evidence.worst(name))[1], silent[0])
        reason = _why_silent(evidence, alarm, silent[0])
        yield Match(
            where=("alarms", name),
            message=(
                f"{name} cannot fire{among(evidence, silent)}{reason}: it stops a version that fails every request "
                f"in {share_with_interval(stopped)} of the rollouts"
            ),
            figures={"stopped": stopped},
            remedy=_alarm_remedy(evidence, name, silent),
        )


@rule(
    "RS102",
    "alarm-hardly-fires",
    "warning",
    example="""
    alarms:
      errors: {metric: errors, of: new_version, datapoints: 3 of 3, threshold: "> 5", missing: not_breaching}
    """,
    mend="""
    Lower the threshold, ask for fewer datapoints, or give the canary more requests: a larger share or more time.
    """,
)
def alarm_hardly_fires(evidence: Evidence) -> Iterator[Match]:
    """An alarm catches the goal's fault in less than half of the rollouts.

    The goal names the smallest fault that must be caught (by default one that burns the error budget fast enough to
    page somebody). An alarm that is about such faults and stops few of them gives false comfort. It is a note only
    where the rollout's other alarms catch the fault.
    """
    for name, alarm in evidence.alarms.items():
        if not evidence.watches(alarm) or _missing_decides(evidence, name):
            continue
        quiet = [
            strategy
            for strategy in _firing(evidence, name)
            if below(often(evidence.bad(name), strategy), HARDLY)
            and not _blocking(evidence, name, strategy)
            and not _diluted(evidence, name, strategy)
        ]
        if not quiet:
            continue
        quiet.sort(key=lambda strategy: often(evidence.bad(name), strategy).mean)
        caught = often(evidence.bad(name), quiet[0])
        others = all(often(evidence.bad(), strategy).mean >= evidence.catch.at_least for strategy in quiet)
        yield Match(
            where=("alarms", name),
            message=(
                f"{name} hardly fires{among(evidence, quiet)}: alone it stops a version with {evidence.fault_text} "
                f"in {share_with_interval(caught)} of the rollouts"
            ),
            figures={"caught": caught},
            remedy=None if others else _alarm_remedy(evidence, name, quiet),
            severity="note" if others else None,
        )


@rule(
    "RS103",
    "alarm-stops-good-versions",
    "warning",
    example="""
    alarms:
      errors: {metric: errors, of: alias, datapoints: 1 of 1, threshold: "> 0", missing: not_breaching}
    """,
    mend="""
    Ask for more datapoints or a higher threshold, and look at the new version alone; `datapoints: 2 of 2` keeps most
    single errors from stopping a rollout.
    """,
)
def alarm_stops_good_versions(evidence: Evidence) -> Iterator[Match]:
    """An alarm stops rollouts of a version that nothing is wrong with.

    Every function fails now and then. An alarm that a single ordinary error sets off stops good releases, and people
    learn to deploy again without looking. How often is too often says the goal (`false_rollback`, by default 1%).
    """
    for name in evidence.alarms:
        if _missing_decides(evidence, name):
            continue
        eager = [strategy for strategy in evidence.plans if above(often(evidence.good(name), strategy), evidence.limit)]
        if not eager:
            continue
        eager.sort(key=lambda strategy: -often(evidence.good(name), strategy).mean)
        false = often(evidence.good(name), eager[0])
        yield Match(
            where=("alarms", name),
            message=(
                f"{name} stops a good version in {share_with_interval(false)} of the rollouts{among(evidence, eager)}; "
                f"allowed {share(evidence.limit)}"
            ),
            figures={"false_rollback": false},
            remedy=_alarm_remedy(evidence, name, eager),
        )


@rule(
    "RS104",
    "alarm-diluted-on-the-alias",
    "warning",
    example="""
    alarms:
      errors: {metric: error_rate, of: alias, datapoints: 2 of 2, threshold: "> 2%", missing: not_breaching}
    """,
    mend="""
    Watch the new version alone: the dimension `ExecutedVersion` besides `Resource` (`of: new_version`).
    """,
)
def alarm_diluted_on_the_alias(evidence: Evidence) -> Iterator[Match]:
    """An alarm on the alias sees the new version's failures among the old version's successes.

    A canary of 10% that fails 5% of its requests moves the error rate of the alias by half a percent. The same alarm on
    the new version alone sees all five.
    """
    for name in evidence.alarms:
        diluted = [strategy for strategy in _firing(evidence, name) if _diluted(evidence, name, strategy)]
        if not diluted:
            continue
        caught, alone = (often(evidence.bad(name, edits), diluted[0]) for edits in ((), narrowed(evidence, name)))
        yield Match(
            where=("alarms", name),
            message=(
                f"{name} is diluted{among(evidence, diluted)}: on the whole alias it catches {evidence.fault_text} "
                f"in {share_with_interval(caught)} of the rollouts, on the new version alone in {share_with_interval(alone)}"
            ),
            figures={"caught": caught, "caught_of_new_version": alone},
            remedy=search(
                evidence,
                (edits for edits in alarm_changes(evidence, name) if any(edit.where[-1] == "of" for edit in edits)),
                of_alarm(name, diluted),
            ),
        )


@rule(
    "RS105",
    "missing-data-decides",
    "warning",
    example="""
    alarms:
      errors: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 2", missing: breaching}
    """,
    mend="""
    Set `missing: not_breaching` (`TreatMissingData: notBreaching`).
    """,
)
def missing_data_decides(evidence: Evidence) -> Iterator[Match]:
    """Periods without any request, not failures, decide whether an alarm fires.

    Lambda sends no datapoint for a minute without requests, and for a version that is not called there is none at all.
    With `breaching` such a minute counts as a failure: an alarm on the new version is red before the deployment starts,
    and CodeDeploy refuses to begin. With `missing` and `ignore` a single bad minute followed by silence may do.
    """
    for name, alarm in evidence.alarms.items():
        deciding = _missing_decides(evidence, name)
        if not deciding:
            continue
        edits = _not_breaching(name)
        false, otherwise = (often(evidence.good(name, changed), deciding[0], "hindered") for changed in ((), edits))
        yield Match(
            where=("alarms", name),
            message=(
                f"periods without data decide (missing: {alarm.missing}){among(evidence, deciding)}: {name} stops or blocks "
                f"a good version in {share_with_interval(false)} of the rollouts, with not_breaching in "
                f"{share_with_interval(otherwise)}"
            ),
            figures={"hindered": false, "hindered_if_not_breaching": otherwise},
            remedy=_missing_remedy(evidence, name, deciding),
        )


@rule(
    "RS106",
    "alarm-blocks-the-rollout",
    "error",
    example="""
    function:
      name: orders
      timeout: 10 s
      versions:
        1: {duration: 100 ms, cold_start: 300 ms, error_rate: 20%}
        2: {like: 1, error_rate: 0.1%}
      aliases: {live: 1}
    alarms:
      errors: {metric: errors, of: alias, datapoints: 2 of 2, threshold: "> 5", missing: not_breaching}
    """,
    mend="""
    Watch the new version alone, which has no failures before it is called.
    """,
)
def alarm_blocks_the_rollout(evidence: Evidence) -> Iterator[Match]:
    """An alarm is in ALARM already when the rollout is to start, so that it does not.

    CodeDeploy refuses a deployment while one of its alarms is in ALARM, the deployment of the fix included. An alarm on
    the alias tells of the version that runs.
    """
    for name in evidence.alarms:
        if _missing_decides(evidence, name):
            continue
        blocking = [strategy for strategy in evidence.plans if _blocking(evidence, name, strategy)]
        if not blocking:
            continue
        blocked = often(evidence.good(name), blocking[0], "blocked")
        yield Match(
            where=("alarms", name),
            message=(
                f"{name} is in ALARM before the rollout starts and blocks it{among(evidence, blocking)}, even that of a fix, "
                f"in {share_with_interval(blocked)} of the cases"
            ),
            figures={"blocked": blocked},
            remedy=_alarm_remedy(evidence, name, blocking),
        )


def _fires(evidence: Evidence, name: str, strategy: str) -> bool:
    """Whether any version at all is stopped or blocked by the alarm alone."""
    if evidence.metrics(evidence.alarms[name]) <= {"invocations"}:  # no version that we could make up has other traffic
        return True
    studies = (evidence.bad, evidence.good)
    return any(often(study(name), strategy, "hindered").mean > 0 for study in studies) or any(
        often(compared, strategy, "hindered").mean > 0 for _, compared in evidence.worst(name)
    )


def _firing(evidence: Evidence, name: str) -> list[str]:
    """The strategies in which the alarm has the time to fire, and can."""
    return [
        strategy for strategy, plan in evidence.plans.items() if exposed(plan) > 0 and _fires(evidence, name, strategy)
    ]


def blamed(evidence: Evidence, strategy: str) -> bool:
    """Whether a rule of this module says already why a strategy does not stop the goal's fault."""
    watching = [name for name, alarm in evidence.alarms.items() if evidence.watches(alarm)]
    return any(
        not _fires(evidence, name, strategy)
        or below(often(evidence.bad(name), strategy), HARDLY)
        or _diluted(evidence, name, strategy)
        or strategy in _missing_decides(evidence, name)
        or _blocking(evidence, name, strategy)
        for name in watching
    )


def _why_silent(evidence: Evidence, alarm: Alarm, strategy: str) -> str:
    """Why it cannot fire, as far as the figures in the file say it: ` (it needs ...)`, or nothing."""
    plan = evidence.plans[strategy]
    if alarm.composite is not None:
        return ""
    window = alarm.short if alarm.slo is not None else alarm.m * alarm.period
    if alarm.slo is None and window + alarm.lags[0] > exposed(plan):
        needs = f"{alarm.m} x {show_duration(alarm.period)}" + (
            f" and {show_duration(alarm.lags[0])} of delay" if alarm.lags[0] else ""
        )
        return f" (it needs {needs}, the rollout is over after {show_duration(exposed(plan))})"
    if alarm.scopes == ("old_version",):
        return " (it watches the old version)"
    if alarm.comparator in ("<", "<="):
        return f" (failures do not make its metric {alarm.threshold})"
    if alarm.metric in ("errors", "throttles") and alarm.statistic == "sum":
        weight = max((step.weight for step in plan.steps if step.hold > 0), default=1.0)
        start = evidence.deployment.start
        most = (evidence.expected(start + exposed(plan)) - evidence.expected(start)) / exposed(plan) * alarm.period
        if alarm.of == "new_version":
            most *= weight
        if most + 4 * math.sqrt(most) < alarm.limit:
            return f" (about {most:,.3g} requests come in {show_duration(alarm.period)}, the threshold is {alarm.threshold})"
    if alarm.metric == "error_rate" and (alarm.limit > 1 or (alarm.limit == 1 and alarm.comparator == ">")):
        return f" (no error rate is {alarm.threshold})"
    return ""


def _diluted(evidence: Evidence, name: str, strategy: str) -> bool:
    """Whether the alarm would catch clearly more of the goal's fault if it looked at the new version alone."""
    alarm, alone = evidence.alarms[name], narrowed(evidence, name)
    if not alone or not {"alias", "function"} & set(alarm.scopes):
        return False
    if not evidence.watches(alarm) or _blocking(evidence, name, strategy):
        return False
    if often(evidence.bad(name), strategy).mean >= evidence.catch.at_least:
        return False
    gained = more(evidence.bad(name, alone), evidence.bad(name), strategy)
    return above(gained, CLEARLY)


def _not_breaching(name: str) -> Edits:
    return (Edit(where=("alarms", name, "missing"), value="not_breaching"),)


def _missing_decides(evidence: Evidence, name: str) -> list[str]:
    """The strategies in which the alarm hinders good versions that it would not if missing data were not breaching."""
    alarm = evidence.alarms[name]
    if alarm.slo is not None or alarm.composite is not None or alarm.missing == "not_breaching":
        return []
    good = evidence.good(name)
    if all(often(good, strategy, "hindered").mean <= OFTEN for strategy in evidence.plans):
        return []
    quiet = evidence.good(name, _not_breaching(name))
    return [strategy for strategy in evidence.plans if above(more(good, quiet, strategy, "hindered"), OFTEN)]


def _blocking(evidence: Evidence, name: str, strategy: str) -> bool:
    return above(often(evidence.good(name), strategy, "blocked"), evidence.limit)


def _alarm_remedy(evidence: Evidence, name: str, strategies: Sequence[str]) -> Remedy | None:
    """The smallest change of the alarm, and where no change of it does, a new alarm in its place."""
    changes = alarm_and_strategy_changes(evidence, name, strategies)
    if not evidence.watches(evidence.scenario.alarms[name]):
        return search(evidence, changes, of_worst(name, strategies))
    remedy = search(evidence, changes, of_alarm(name, strategies))
    if remedy is None:
        replaced = replacing_changes(evidence, name, strategies)
        remedy = search(evidence, replaced, of_alarm(new_name(evidence), strategies))
    return remedy


def _dead_remedy(evidence: Evidence, dead: Unread) -> Remedy | None:
    """What gives an alarm data, with what else it takes to catch the goal's fault; None where nothing does."""
    if dead.mended is None:
        return None
    revived = (
        Edit(where=("alarms", dead.name), value=dict(dead.mended)),
        Edit(where=("rollout", "alarms"), value=[*evidence.deployment.alarms, dead.name]),
    )
    alive = Evidence(evidence.varied(revived), evidence.origin, goal=evidence.goal, risk=evidence.risk)
    strategies = list(alive.plans)[:1]
    changes: list[Edits] = [(), *alarm_and_strategy_changes(alive, dead.name, strategies)]
    remedy = search(alive, changes, of_alarm(dead.name, strategies)) if alive.watches(alive.alarms[dead.name]) else None
    remedy = remedy or search(alive, changes, of_worst(dead.name, strategies))
    if remedy is None:
        return None
    text = "; ".join(filter(None, (f"{dead.name}: {dead.change}", remedy.text)))
    return replace(remedy, edits=(*revived, *remedy.edits), text=text)


def _missing_remedy(evidence: Evidence, name: str, strategies: Sequence[str]) -> Remedy | None:
    """The other treatment of missing data, with what else it takes to keep the goal where anything does."""
    edits = _not_breaching(name)

    def judge(of: Evidence, tried: Edits, runs: Runs) -> Verdict:
        verdict = of_alarm(name, strategies)(of, tried, runs)
        if verdict.grade:
            return Verdict(grade=KEEPS, effect=verdict.effect, figures=verdict.figures)
        false = max(
            (often(of.good(name, tried, runs), strategy, "hindered") for strategy in strategies),
            key=lambda estimate: estimate.mean,
        )
        effect = f"then it stops a good version in {share_with_interval(false)} of the rollouts"
        return Verdict(grade=MENDS, effect=effect, figures={"false_rollback": false})

    return search(evidence, [edits], judge)
