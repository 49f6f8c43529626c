"""Rules about the goal: each of its limits that a strategy does not keep."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from rollout_sim.control.strategies import TYPES
from rollout_sim.core.formatting import share, share_with_interval, show_duration
from rollout_sim.core.statistics import Estimate, mean_of
from rollout_sim.study.check.alarm_rules import blamed
from rollout_sim.study.check.evidence import Evidence, Runs, above, below, column, exposed, often
from rollout_sim.study.check.finding import Edit, Severity
from rollout_sim.study.check.remedies import (
    KEEPS,
    KEPT,
    STRATEGIES,
    Edits,
    Judge,
    Verdict,
    alarm_changes,
    of_rollout,
    search,
    strategy_changes,
    tested_changes,
    watching_changes,
)
from rollout_sim.study.check.rule import Match, rule

TRIES: Final = 60
"""Changes that are tried at most where each needs a study of the whole risk."""


@rule(
    "RS401",
    "goal-fault-not-caught",
    "error",
    example="""
    alarms:
      errors: {metric: errors, of: new_version, datapoints: 2 of 2, threshold: "> 4", missing: not_breaching}
    """,
    mend="""
    A keener alarm, a larger or longer canary, tests before the first shift; `rollout-sim recommend` searches among all
    of them.
    """,
)
def goal_fault_not_caught(evidence: Evidence) -> Iterator[Match]:
    """The rollout does not stop the goal's fault as often as the goal asks.

    All alarms and hooks act together here. Without a goal of your own this is a warning: the default asks to catch what
    burns the error budget 14.4 times too fast in 95% of the rollouts.
    """
    if evidence.unread:
        return
    for name, plan in evidence.plans.items():
        if not evidence.given and (exposed(plan) == 0 or not evidence.alarms or blamed(evidence, name)):
            continue  # another rule says that already, and why
        caught = often(evidence.bad(), name)
        if evidence.goal.catch is None or not below(caught, evidence.catch.at_least):
            continue
        yield Match(
            where=_where(evidence, name),
            message=(
                f"{name} stops a version with {evidence.fault_text} in {share_with_interval(caught)} of the rollouts; "
                f"{_goal(evidence)} asks for {share(evidence.catch.at_least)}"
            ),
            figures={"caught": caught},
            remedy=search(evidence, _changes(evidence, name), of_rollout((name,), evidence.catch.at_least)),
            severity=_severity(evidence),
        )


@rule(
    "RS402",
    "goal-stops-good-versions",
    "error",
    example="""
    goal: {false_rollback: {at_most: 1%}}
    alarms:
      errors: {metric: errors, of: alias, datapoints: 1 of 1, threshold: "> 0", missing: not_breaching}
    """,
    mend="""
    More datapoints or a higher threshold; see RS103 for which alarm it is.
    """,
)
def goal_stops_good_versions(evidence: Evidence) -> Iterator[Match]:
    """The rollout stops a good version more often than the goal allows.

    All alarms and hooks act together here. Without a goal of your own this is a warning, made where no single alarm
    is to blame.
    """
    for name in evidence.plans:
        false = often(evidence.good(), name)
        if evidence.goal.false_rollback is None or not above(false, evidence.limit):
            continue
        alone = any(above(often(evidence.good(alarm), name), evidence.limit) for alarm in evidence.alarms)
        if alone and not evidence.given:
            continue  # RS103 or RS105 says that already, and of which alarm
        yield Match(
            where=_where(evidence, name),
            message=(
                f"{name} stops a good version in {share_with_interval(false)} of the rollouts; {_goal(evidence)} allows "
                f"{share(evidence.limit)}"
            ),
            figures={"false_rollback": false},
            remedy=search(evidence, _changes(evidence, name), of_rollout((name,))),
            severity=_severity(evidence),
        )


@rule(
    "RS403",
    "goal-budget-overspent",
    "error",
    example="""
    goal: {budget: {at_most: 0.15%}}
    """,
    mend="""
    A smaller canary first, a keener alarm; `rollout-sim recommend` searches among all of them.
    """,
)
def goal_budget_overspent(evidence: Evidence) -> Iterator[Match]:
    """The rollout spends more of the error budget than the goal allows.

    It is the 95th percentile over the risk, how bad releases are: one release in twenty may spend more. It is looked at
    only where whole periods are drawn.
    """
    if evidence.goal.budget is None or evidence.plane.engine != "aggregate":
        return
    if evidence.unread:
        return
    for name, plan in evidence.plans.items():
        if not evidence.given and (exposed(plan) == 0 or not evidence.alarms or blamed(evidence, name)):
            continue  # another rule says that already, and why
        spent = evidence.budget(name)
        if spent is None or not above(spent, evidence.goal.budget.at_most):
            continue
        yield Match(
            where=_where(evidence, name),
            message=(
                f"{name} spends {share_with_interval(spent)} of the budget (95th percentile); {_goal(evidence)} allows "
                f"{share(evidence.goal.budget.at_most)}"
            ),
            figures={"budget": spent},
            remedy=search(
                evidence,
                itertools.islice(_changes(evidence, name), TRIES),
                _of_budget(name, evidence.goal.budget.at_most),
            ),
            severity=_severity(evidence),
        )


@rule(
    "RS404",
    "goal-too-slow",
    "error",
    example="""
    goal: {time_to_full: {at_most: 20 min}}
    strategies:
      rollout: {type: Canary10Percent30Minutes}
    """,
    mend="""
    Shorter intervals, or larger steps.
    """,
)
def goal_too_slow(evidence: Evidence) -> Iterator[Match]:
    """A good version has all of the traffic later than the goal allows.

    Every minute of a rollout is a minute in which the next one waits, the fix of this one included.
    """
    limit = evidence.goal.time_to_full
    if limit is None:
        return
    for name, plan in evidence.plans.items():
        if plan.time_to_full <= limit.at_most:
            continue
        full = mean_of(column(evidence.good(), name, "time_to_full_s"), tail=False)
        shown = plan.time_to_full if full is None else full.mean
        yield Match(
            where=_where(evidence, name),
            message=(
                f"{name} gives a good version all of the traffic after {show_duration(shown)}; {_goal(evidence)} allows "
                f"{show_duration(limit.at_most)}"
            ),
            figures={} if full is None else {"time_to_full_s": full},
            remedy=search(evidence, _quicker(evidence, name, limit.at_most), of_rollout((name,))),
            severity=_severity(evidence),
        )


def _goal(evidence: Evidence) -> str:
    return "the goal" if evidence.given else "the default goal"


def _severity(evidence: Evidence) -> Severity | None:
    """A limit that nobody has set is nothing to fail a pipeline for."""
    return None if evidence.given else "warning"


def _where(evidence: Evidence, strategy: str) -> tuple[str, ...]:  # noqa: ARG001 - the same signature for all
    return ("strategies", strategy)


def _changes(evidence: Evidence, strategy: str) -> Iterator[Edits]:
    """Changes of an alarm, another strategy, both, then further alarms, then tests."""
    others = list(strategy_changes(evidence, strategy))
    small = [
        edits
        for name, alarm in evidence.alarms.items()
        if evidence.watches(alarm)
        for edits in itertools.islice(alarm_changes(evidence, name), 40)
    ]
    yield from small
    yield from others
    for other, edits in itertools.product(others, small[:8]):
        yield (*other, *edits)
    yield from tested_changes(evidence, strategy)
    yield from watching_changes(evidence, strategy)


def _of_budget(strategy: str, limit: float) -> Judge:
    whole = of_rollout((strategy,))

    def judge(evidence: Evidence, edits: Edits, runs: Runs) -> Verdict:
        verdict = whole(evidence, edits, runs)
        if verdict.grade < KEEPS:
            return Verdict(grade=0, effect="", figures={})
        spent: Estimate | None = evidence.budget(strategy, edits, runs)
        if spent is None or spent.mean > limit:
            return Verdict(grade=0, effect="", figures={})
        effect = f"{verdict.effect}, at {share_with_interval(spent)} of the budget"
        return Verdict(grade=KEEPS, effect=effect, figures={**verdict.figures, "budget": spent})

    return judge


def _quicker(evidence: Evidence, strategy: str, limit: float) -> Iterator[Edits]:
    """Strategies that are in time, the slowest of them first: it differs the least."""
    own = evidence.scenario.dump()["strategies"][strategy]
    kept = {key: own[key] for key in KEPT if own.get(key)}
    plans = [(TYPES[str(config["type"])](**config).plan.time_to_full, config) for config in STRATEGIES]
    for time, config in sorted(plans, key=lambda pair: -pair[0]):
        if time <= limit:
            yield (Edit(where=("strategies", strategy), value={**config, **kept}),)
    for time, config in sorted(plans, key=lambda pair: -pair[0]):
        if time <= limit:
            other = Edit(where=("strategies", strategy), value={**config, **kept})
            for name in evidence.alarms:
                for edits in itertools.islice(alarm_changes(evidence, name), 20):
                    yield (other, *edits)
