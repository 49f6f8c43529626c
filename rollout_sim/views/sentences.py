"""Results in sentences: what a comparison and a recommendation come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rollout_sim.control.codedeploy import shortcoming
from rollout_sim.control.controller import OUTCOMES
from rollout_sim.control.slo import FAST_BURN
from rollout_sim.control.strategies import Hold
from rollout_sim.core.formatting import number_with_interval, share, share_with_interval, show_duration
from rollout_sim.core.statistics import Estimate, difference
from rollout_sim.run.result import RunResult
from rollout_sim.scenario.goals import Goal
from rollout_sim.study.change import Change
from rollout_sim.study.comparison import Comparison, best_strategy
from rollout_sim.study.judgement import limits_of
from rollout_sim.study.recommend.hypotheses import Evaluation
from rollout_sim.study.recommend.limits import Limit
from rollout_sim.study.recommend.recommendation import Outstanding, Recommendation
from rollout_sim.views.cells import Cell, EstimatedNumber, EstimatedShare, MedianDuration

NOTICED: Final = 0.05
"""By how much more often than a good version a bad one must be stopped to be told from it at all."""
RARELY: Final = 0.01
"""Share of the rollouts of a good version that may be stopped without a remark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One of the figures that a reader looks at first: `what` it is, and its value."""

    what: str
    value: Cell


def conclusion(compared: Comparison, *, below_table: bool = False) -> tuple[str, ...]:
    """What a comparison comes to, in a few sentences about the best strategy (see `best_strategy`).

    Where a bad version cannot be told from a good one, the first sentence says that; before it, if there are too few
    replications to say much, which with `below_table` the table's caption has told already, and if rollouts do not begin.
    """
    best = best_strategy(compared)
    if compared.scenario.rollout is None:
        return _steady(compared, best)
    doubt: tuple[str, ...] = (
        (f"{compared.undecided[0].upper()}{compared.undecided[1:]}.",) if compared.undecided and not below_table else ()
    )
    blocked = blocked_rollouts(compared)
    if all((estimate := compared.estimates(name)["blocked"]) and estimate.mean == 1 for name in compared.columns):
        return (*blocked, _cost(compared, best, "There are"))
    doubt += blocked
    if compared.twin is None:
        return doubt + _good_version(compared, best)
    return doubt + _bad_version(compared, compared.twin, best)


def verdict(results: Sequence[RunResult]) -> tuple[str, ...]:
    """What one run of each strategy comes to: which of them did right by the version, and the one with the fewest bad requests.

    Empty without a rollout. One run is an example; the last sentence says how to learn how often.
    """
    new = results[0].scenario.new
    if new is None or results[0].outcome == "steady":
        return ()
    bad = bool(results[0].scenario.function.versions[new].faults)
    caught = [result for result in results if result.outcome in ("rolled_back", "failed")]
    missed = [result for result in results if result.outcome == "promoted"]
    right, wrong = (caught, missed) if bad else (missed, caught)
    best = min(right or results, key=lambda result: result.bad_requests)
    what = f"version {new}, which is {'bad' if bad else 'good'}"
    does, fails = ("stop", "lets it through") if bad else ("ship", "stops it")
    figures = _bad(best.bad_requests)
    if bad and best.time_to_rollback_s is not None:
        figures += f", {show_duration(best.time_to_rollback_s)} to the rollback"
    if not right:
        first = f"No strategy {does}s {what}, in this run; the fewest bad requests has {best.strategy}: {figures}."
    elif len(results) == 1:
        first = f"{best.strategy} {does}s {what}: {figures}."
    else:
        several = f"{len(right)} of {len(results)} strategies {does}{'s' if len(right) == 1 else ''} {what}"
        first = f"{several}; the fewest bad requests has {best.strategy}: {figures}."
    worst = max(wrong, key=lambda result: result.bad_requests, default=None)
    second = () if worst is None or not right else (f"{worst.strategy} {fails}: {_bad(worst.bad_requests)}.",)
    return (first, *second, "One run is an example; `rollout-sim compare` says how often.")


def _bad(requests: int) -> str:
    return f"{requests:,} bad request{'' if requests == 1 else 's'}"


def blocked_rollouts(compared: Comparison) -> tuple[str, ...]:
    """A sentence on how often deployments do not begin, because an alarm is red already; none where hardly any is blocked."""
    shares = {name: compared.estimates(name)["blocked"] for name in compared.columns}
    often = {name: estimate for name, estimate in shares.items() if estimate is not None and estimate.mean > RARELY}
    if not often or compared.scenario.rollout is None:
        return ()
    name = max(often, key=lambda each: often[each].mean)
    alike = len({estimate.mean for estimate in shares.values() if estimate is not None}) == 1
    whose = "" if alike else f" with {name}"
    columns = compared.columns[name]
    blocked = columns["outcome"] == OUTCOMES.index("blocked")
    red = [alarm for alarm in compared.scenario.rollout.alarms if columns[f"stopped_by.{alarm}"][blocked].any()]
    what = f"of the rollouts{whose} are blocked and do not begin: {' or '.join(red)} is in ALARM when they should."
    return (f"{share_with_interval(often[name])} {what}",)


def changes(change: Change, names: tuple[str, str]) -> tuple[str, ...]:
    """What the second of two files changes, a sentence for each strategy."""
    before, after = names
    told = []
    for strategy in change.strategies:
        apart = change.differences(strategy)
        clauses = []
        for key, what in (("stopped", "is stopped"), ("good_version_stopped", "stops a good version")):
            if (rate := apart[key]) is not None and _apart(rate):
                more = "more" if rate.mean > 0 else "less"
                ends = sorted(abs(end) * 100 for end in (rate.low or 0.0, rate.high or 0.0))
                clauses.append(
                    f"{what} {more} often by {abs(rate.mean) * 100:.3g} [{ends[0]:.3g}, {ends[1]:.3g}] points"
                )
        bad = apart["bad_requests"]
        if bad is not None and _apart(bad):
            clauses.append(f"bad requests change by {number_with_interval(bad)}")
        nothing = f"the replications show no difference between {before} and {after}"
        told.append(f"{strategy}: {'; '.join(clauses) if clauses else nothing}.")
    return tuple(told)


def _apart(estimate: Estimate) -> bool:
    """Whether a difference's interval lies on one side of zero."""
    return estimate.mean != 0 and not (estimate.low or 0.0) <= 0.0 <= (estimate.high or 0.0)


def choice(compared: Comparison, goal: Goal) -> tuple[str, tuple[str, ...]]:
    """The file's strategy that keeps the goal best, and those that the replications cannot tell from it.

    First those that break no limit, then those that leave none open, then the one with the fewest bad requests.
    """
    rank = {}
    for name in compared.columns:
        limits = limits_of(compared, name, goal)
        kept = [limit.kept for limit in limits]
        rank[name] = (kept.count("no"), kept.count("open"), float(compared.columns[name]["bad_requests"].mean()))
    best = min(rank, key=lambda name: rank[name])
    ties = []
    for name in compared.columns:
        apart = difference(compared.columns[name]["bad_requests"], compared.columns[best]["bad_requests"])
        same = apart is None or not _apart(apart)
        if name != best and rank[name][:2] == rank[best][:2] and same:
            ties.append(name)
    return best, tuple(ties)


def key_figures(compared: Comparison, best: str | None = None) -> tuple[KeyFigure, ...]:
    """The main figures of a strategy, by default the best: how often and when it stops the version, what the traffic suffers."""
    best = best_strategy(compared) if best is None else best
    estimates, scenario = compared.estimates(best), compared.scenario
    figures: list[KeyFigure] = []
    if scenario.rollout is not None:
        figures.append(KeyFigure(what=f"stops version {scenario.new}", value=EstimatedShare(estimates["stopped"])))
        if compared.twin is not None:
            good = EstimatedShare(compared.twin.estimates(best)["stopped"])
            figures.append(KeyFigure(what="stops a good version", value=good))
        if (back := estimates["time_to_rollback_s"]) is not None:
            figures.append(KeyFigure(what="rolled back after, median", value=MedianDuration(back)))
    if (added := estimates.get("bad_requests_added")) is not None and scenario.rollout is not None:
        figures.append(KeyFigure(what="bad requests added", value=EstimatedNumber(added)))
    else:
        figures.append(KeyFigure(what="bad requests in all", value=EstimatedNumber(estimates["bad_requests"])))
    for slo in scenario.slos:
        spent = EstimatedShare(estimates[f"budget_spent.{slo.name}"])
        figures.append(KeyFigure(what=f"of the {slo.name} budget", value=spent))
    return tuple(figures)


def _bad_version(compared: Comparison, twin: Comparison, best: str) -> tuple[str, ...]:
    estimates = compared.estimates(best)
    caught, false = _stopped(compared, best), _stopped(twin, best)
    version, count = compared.scenario.new, len(compared.columns)
    if caught.mean - false.mean < NOTICED:
        who = f"None of the {count} strategies tells" if count > 1 else f"{best} does not tell"
        most = max(compared.columns, key=lambda name: _stopped(compared, name).mean)
        often = share_with_interval(_stopped(compared, most))
        as_often = f"and a good version in {share_with_interval(_stopped(twin, most))}"
        if count > 1 and _stopped(compared, most).mean == 0:
            stops = f"none stops it in any of the rollouts, {often}"
        else:
            stops = f"{f'{most} stops it most often,' if count > 1 else 'it stops it'} in {often} of the rollouts, {as_often}"
        return (
            f"{who} version {version} from a good one: {stops}.",
            _cost(compared, best, f"With {best} there are"),
        )
    stops = f"it stops version {version} in {share_with_interval(caught)} of the rollouts"
    if count > 1:
        first = f"Of the {count} strategies, {best} tells version {version} from a good one best: {stops}"
    else:
        first = f"{best} catches version {version}: {stops}"
    back = estimates["time_to_rollback_s"]
    when = "" if back is None else f", half of the time within {show_duration(back.quantiles['p50'][0])}"
    also = "But it also stops" if false.mean > RARELY else "It stops"
    return (
        f"{first}{when}.",
        _cost(compared, best, "There are then"),
        f"{also} a good version in {share_with_interval(false)} of the rollouts.",
    )


def _good_version(compared: Comparison, best: str) -> tuple[str, ...]:
    version, count = compared.scenario.new, len(compared.columns)
    often = share_with_interval(_stopped(compared, best))
    good = f"Nothing is wrong with version {version}"
    if count == 1:
        first = f"{good}; {best} stops it in {often} of the rollouts."
    else:
        worst = max(compared.columns, key=lambda name: _stopped(compared, name).mean)
        if _stopped(compared, worst).mean == _stopped(compared, best).mean:
            each = "each of the" if count > 2 else "either of the"
            first = f"{good}; {each} {count} strategies stops it in {often} of the rollouts."
            return (first, _cost(compared, best, f"With {best} there are"))
        alone = f"Of the {count} strategies, {best} stops it least often: in {often} of the rollouts"
        first = f"{good}. {alone}; {worst} does in {share_with_interval(_stopped(compared, worst))}."
    return (first, _cost(compared, best, f"With {best} there are"))


def _steady(compared: Comparison, best: str) -> tuple[str, ...]:
    scenario = compared.scenario
    requests = number_with_interval(compared.estimates(best)["requests"])
    answered = f"alias {scenario.alias} answers {requests} requests in {show_duration(scenario.horizon)}"
    return (f"Nothing is rolled out: {answered}.", _cost(compared, best, "There are"))


def _cost(compared: Comparison, name: str, subject: str) -> str:
    estimates = compared.estimates(name)
    bad, time = number_with_interval(estimates["bad_requests"]), show_duration(compared.scenario.horizon)
    text = f"{subject} {bad} bad requests on average in {time}"
    added = estimates.get("bad_requests_added")
    if added is not None and added.mean > 0 and compared.scenario.rollout is not None:
        text += f" ({number_with_interval(added)} of them added by the rollout)"
    spent = [
        f"{share_with_interval(estimates[f'budget_spent.{slo.name}'])} of the {slo.name} budget for {show_duration(slo.window)}"
        for slo in compared.scenario.slos
    ]
    return f"{text}, which spend {' and '.join(spent)}." if spent else f"{text}."


def _stopped(compared: Comparison, name: str) -> Estimate:
    """How often a strategy stops the version, which every replication says."""
    estimate = compared.estimates(name)["stopped"]
    assert estimate is not None
    return estimate


BREAKS: Final = {
    "catch": "does not catch the fault of the goal",
    "false_rollback": "rolls a good version back",
    "budget": "spends too much of the budget",
    "time_to_full": "takes too long",
}
"""What a candidate does that breaks a limit of the goal."""
KEEPS: Final = {
    "catch": "catches the fault of the goal often enough",
    "false_rollback": "rolls a good version back rarely enough",
    "budget": "spends little enough of the budget",
    "time_to_full": "has full traffic early enough",
}
"""What one does that keeps it."""
DEPLOYED_WITH: Final = {"codedeploy": "CodeDeploy", "argo": "Argo Rollouts"}
"""What carries a rollout out, by its name in the file."""
BOUNDS: Final = {
    "catch": "the fault of the goal caught in",
    "false_rollback": "a good version rolled back in",
    "budget": "of the budget spent (95th percentile)",
    "time_to_full": "full traffic after",
}
"""What a limit of the goal is about, before its bound."""


def sentence(recommendation: Recommendation) -> str:
    """The answer in one sentence."""
    if recommendation.winner is None:
        return recommendation.advice.summary
    best = recommendation.confirmed[0]
    text = f"use {recommendation.winner.name}"
    if recommendation.winner.alarm is not None:
        text += f" with the alarm {recommendation.winner.alarm_text}"
    bad = number_with_interval(best.bad)
    text += f": full traffic after {show_duration(best.time_to_full)}, {bad} bad requests per release on average"
    if best.caught is not None and recommendation.goal.catch is not None:
        severity = recommendation.goal.catch.of
        text += f", catches {severity.show(severity.spread.low)} in {share_with_interval(best.caught)} of the rollouts"
    text += f", rolls a good version back in {share_with_interval(best.false_rollback)}"
    limits = best.limits(recommendation.goal)
    if not limits:
        return text
    needed = {outstanding.limit: _needed(outstanding) for outstanding in recommendation.outstanding}
    undecided = [limit for limit in limits if limit.kept == "open"]
    for which, why in ((False, "too few replications decide it"), (True, "no number of replications can show it")):
        bounds = [
            f"{BOUNDS[limit.name]} {_bound(limit)}{needed.get(limit.name, '')}"
            for limit in undecided
            if limit.undecidable is which
        ]
        text += f"; open, because {why}: {' and '.join(bounds)}" if bounds else ""
    return text if undecided else f"{text}; every limit of the goal is kept"


def _needed(outstanding: Outstanding) -> str:
    """How many replications more would be likely to decide an open limit, and how long they take."""
    count, seconds = (float(f"{value:.2g}") for value in (outstanding.replications, outstanding.seconds))
    return f" (about {count:,.0f} replications more would, in about {show_duration(seconds)})"


def holding(hold: Hold) -> str:
    """What alarms do that hold the weight: `they hold the weight, ...`."""
    times = "a look" if hold.failures == 1 else f"look {hold.failures:,}"
    return (
        f"they hold the weight, looked at every {show_duration(hold.every)}; {times} that finds one in ALARM rolls back"
    )


def assumed(recommendation: Recommendation) -> list[str]:
    """The risk and the goal that the answer goes by, and where they come from."""
    risk, goal = recommendation.risk, recommendation.goal
    spread = risk.severity.spread
    ends = [risk.severity.show(end) for end in dict.fromkeys((spread.low, spread.high))]
    where = "the file" if recommendation.scenario.risk is not None else "the default"
    released = f"risk ({where}): {share(risk.p_bad)} of the releases are bad, by {' to '.join(ends)} (log-uniform)"
    lines = [f"{released}; what nothing stops is found {show_duration(risk.found_after)} after it serves everybody"]
    limits = []
    if goal.catch is not None:
        of = goal.catch.of
        slo = recommendation.scenario.slos[0]
        paged = recommendation.scenario.goal is None and of.error_rate is not None and of.spread.low == slo.paging_share
        burns = f"{FAST_BURN:g} times what the objective allows" if slo.slices is None else "enough to make slices bad"
        why = f" ({burns}, which people are paged for)" if paged else ""
        limits.append(f"catch {of.show(of.spread.low)}{why} in at least {share(goal.catch.at_least)}")
    if goal.false_rollback is not None:
        limits.append(f"roll a good version back in at most {share(goal.false_rollback.at_most)}")
    if goal.budget is not None:
        limits.append(f"spend at most {share(goal.budget.at_most)} of the budget (95th percentile)")
    if goal.time_to_full is not None:
        limits.append(f"reach full traffic within {show_duration(goal.time_to_full.at_most)}")
    where = "the file" if recommendation.scenario.goal is not None else "the default"
    carried = "" if goal.deploy_with == "any" else f"; deploy with {DEPLOYED_WITH[goal.deploy_with]}"
    return [*lines, f"goal ({where}): {'; '.join(limits)}; minimise {goal.minimise.replace('_', ' ')}{carried}"]


def remarks(recommendation: Recommendation) -> list[str]:
    """Why the obvious alternatives lose, how sure the answer is, and what else would help."""
    lines = []
    alternatives = recommendation.alternatives
    own = {evaluation.candidate.name: evaluation for evaluation in alternatives if evaluation.candidate.alarm is None}
    lines += [_against(recommendation, evaluation) for evaluation in own.values()]
    for watched in alternatives:
        if watched.candidate.alarm is not None and watched.candidate.name not in own:
            lines.append(_against(recommendation, watched))
    if recommendation.ties and (winner := recommendation.winner) is not None:
        names = "; ".join(candidate.label for candidate in recommendation.ties)
        simplest = all(candidate.complexity > winner.complexity for candidate in recommendation.ties)
        how = "it is the simplest of them" if simplest else "none of them is simpler"
        minimised = recommendation.goal.minimise.replace("_", " ")
        lines.append(
            f"in {minimised} there is no significant difference between the recommended rollout and {names}; {how}"
        )
    if recommendation.winner is not None and (why := shortcoming(recommendation.winner.plan)) is not None:
        lines.append(f"CodeDeploy cannot carry it out: {why}; --deploy-with codedeploy searches among what it can")
    return [*lines, *recommendation.advice.remedies]


def _against(recommendation: Recommendation, loser: Evaluation) -> str:
    """Why an alternative is not recommended, and whether its strategy or the file's alarm is to blame."""
    name, goal = loser.candidate.name, recommendation.goal
    broken, doubt = _judged(loser, goal)
    if not broken and recommendation.winner is None:
        return f"{name}{doubt.replace('; ', ': ', 1) or ': it keeps the goal'}"
    bad = f"{number_with_interval(loser.bad)} bad requests per release on average"
    text = f"not {name}: it {broken}{doubt}" if broken else f"not {name}: {bad}{doubt}"
    same = [other for other in recommendation.alternatives if other.candidate.name == name and other is not loser]
    if not same or recommendation.winner is None:
        over = recommendation.winner is not None and loser.candidate.plan.length == 0 and bool(broken)
        return f"{text}. The cause is the strategy: it is over before an alarm can act" if over else text
    (watched,) = same
    otherwise, still_in_doubt = _judged(watched, goal)
    costs = f"{number_with_interval(watched.bad)} bad requests per release on average"
    if not broken:
        outcome = f"it {otherwise}" if otherwise else costs
        return f"{text} with the file's alarm; with {watched.candidate.alarm_text} {outcome}{still_in_doubt}"
    if not otherwise:
        return (
            f"{text}. The cause is the file's alarm: with {watched.candidate.alarm_text} it breaks no limit of the goal "
            f"and adds {costs}{still_in_doubt}"
        )
    if watched.broken(goal) == loser.broken(goal):
        return f"{text}. The cause is the strategy: the best alarm for it does not change that"
    return f"{text}. The cause is the strategy: with {watched.candidate.alarm_text} it {otherwise}{still_in_doubt}"


def _judged(evaluation: Evaluation, goal: Goal) -> tuple[str, str]:
    """What a candidate does that breaks limits of the goal, and of which limits it is open; each may be empty."""
    limits = evaluation.limits(goal)
    broken = [f"{BREAKS[limit.name]} ({_estimated(limit)})" for limit in limits if limit.kept == "no"]
    doubt = ""
    for which, who in ((False, "too few replications to decide"), (True, "no number of replications shows")):
        undecided = [
            f"{KEEPS[limit.name]} ({_estimated(limit)})"
            for limit in limits
            if limit.kept == "open" and limit.undecidable is which
        ]
        doubt += f"; {who} whether it {' and '.join(undecided)}" if undecided else ""
    return " and ".join(broken), doubt


def _estimated(limit: Limit) -> str:
    """The estimate that a limit of the goal is about."""
    return show_duration(limit.estimate.mean) if limit.name == "time_to_full" else share_with_interval(limit.estimate)


def _bound(limit: Limit) -> str:
    """`at most 1%`."""
    value = limit.at_least if limit.at_most is None else limit.at_most
    text = show_duration(value) if limit.name == "time_to_full" else share(value)
    return f"at {'least' if limit.at_most is None else 'most'} {text}"
