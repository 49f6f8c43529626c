"""Results in sentences: what a comparison and a recommendation come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.control.codedeploy import shortcoming
from rollout_sim.core.formatting import interval_of, share, shares, show_duration
from rollout_sim.core.statistics import Estimate
from rollout_sim.study.comparison import best_strategy

if TYPE_CHECKING:
    from rollout_sim.study.comparison import Comparison
    from rollout_sim.study.recommend.hypotheses import Evaluation
    from rollout_sim.study.recommend.search import Recommendation


NOTICED: Final = 0.05
"""By how much more often than a good version a bad one must be stopped to be told from it at all."""
RARELY: Final = 0.01
"""How often a good version may be stopped without a word about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The best strategy, the answer in sentences, and its figures: what, the estimate, and its interval or tail."""

    best: str
    sentences: tuple[str, ...]
    figures: tuple[tuple[str, str, str], ...]


def verdict(compared: Comparison) -> Verdict:
    """The strategy that tells the bad version from a good one best; of a good version, the one that leaves it alone.

    Where the replications cannot tell strategies apart, the one with fewer bad requests, then the faster one.
    """
    best = best_strategy(compared)
    if compared.scenario.rollout is None:
        sentences = _steady(compared, best)
    elif compared.twin is not None:
        sentences = _bad_version(compared, best)
    else:
        sentences = _good_version(compared, best)
    return Verdict(best=best, sentences=tuple(sentences), figures=tuple(_figures(compared, best)))


def _bad_version(compared: Comparison, best: str) -> list[str]:
    assert compared.twin is not None
    every, good = compared.estimates(best), compared.twin.estimates(best)
    caught, false = _there(every["stopped"]), _there(good["stopped"])
    version, count = compared.scenario.new, len(compared.columns)
    stops = f"it stops version {version} in {shares(caught)} of the rollouts"
    if caught.mean - false.mean < NOTICED:
        who = f"None of the {count} strategies tells" if count > 1 else f"{best} does not tell"
        most = max(compared.columns, key=lambda name: _there(compared.estimates(name)["stopped"]).mean)
        seen = f"{most} stops it most often, in {shares(compared.estimates(most)['stopped'])} of the rollouts"
        as_often = f"and a good version in {shares(compared.twin.estimates(most)['stopped'])}"
        return [
            f"{who} version {version} from a good one: {seen}, {as_often}.",
            _cost(compared, best, f"With {best} it"),
        ]
    if count > 1:
        first = f"Of the {count} strategies, {best} tells version {version} from a good one best: {stops}"
    else:
        first = f"{best} catches version {version}: {stops}"
    back = every["time_to_rollback_s"]
    when = "" if back is None else f", half of the time within {show_duration(back.quantiles['p50'][0])}"
    sentences = [f"{first}{when}.", _cost(compared, best, "That")]
    if false.mean > RARELY:
        sentences.append(f"But it also stops a good version in {shares(false)} of the rollouts.")
    else:
        sentences.append(f"It stops a good version in {shares(false)} of the rollouts.")
    return sentences


def _good_version(compared: Comparison, best: str) -> list[str]:
    version, count = compared.scenario.new, len(compared.columns)
    rate = _there(compared.estimates(best)["stopped"])
    good = f"Nothing is wrong with version {version}"
    if count == 1:
        sentences = [f"{good}; {best} stops it in {shares(rate)} of the rollouts."]
    else:
        worst = max(compared.columns, key=lambda name: _there(compared.estimates(name)["stopped"]).mean)
        highest = compared.estimates(worst)["stopped"]
        alone = f"Of the {count} strategies, {best} leaves it alone best: it stops it in {shares(rate)} of the rollouts"
        sentences = [f"{good}. {alone}; {worst} does in {shares(highest)}."]
    return [*sentences, _cost(compared, best, f"With {best} the traffic")]


def _steady(compared: Comparison, best: str) -> list[str]:
    scenario, found = compared.scenario, compared.estimates(best)
    requests = _there(found["requests"])
    answered = f"alias {scenario.alias} answers {_interval(requests)} requests in {show_duration(scenario.horizon)}"
    return [f"Nothing is rolled out: {answered}.", _cost(compared, best, "That")]


def _cost(compared: Comparison, name: str, subject: str) -> str:
    found = compared.estimates(name)
    bad, time = _interval(_there(found["bad_requests"])), show_duration(compared.scenario.horizon)
    text = f"{subject} comes to {bad} bad requests on average in {time}"
    spent = [
        f"{shares(found[f'budget_spent.{slo.name}'])} of the {slo.name} budget for {show_duration(slo.window)}"
        for slo in compared.scenario.slos
    ]
    return f"{text}, {' and '.join(spent)}." if spent else f"{text}."


def _figures(compared: Comparison, best: str) -> list[tuple[str, str, str]]:
    found, scenario = compared.estimates(best), compared.scenario
    rows: list[tuple[str, str, str]] = []
    if scenario.rollout is not None:
        rows.append((f"stops version {scenario.new}", *apart(shares(found["stopped"]))))
        if compared.twin is not None:
            rows.append(("stops a good version", *apart(shares(compared.twin.estimates(best)["stopped"]))))
        back = found["time_to_rollback_s"]
        if back is not None:
            median, tail = (show_duration(back.quantiles[q][0]) for q in ("p50", "p95"))
            rows.append(("rolled back after, median", median, f"95th percentile {tail}"))
    rows.append(("bad requests", *apart(_interval(_there(found["bad_requests"])))))
    for slo in scenario.slos:
        budget = _there(found[f"budget_spent.{slo.name}"])
        rows.append((f"of the {slo.name} budget", share(budget.mean), apart(shares(budget))[1]))
    return rows


def apart(text: str) -> tuple[str, str]:
    """The estimate and its interval."""
    mean, _, interval = text.partition(" [")
    low, _, high = interval.rstrip("]").partition(", ")
    return mean, f"{low.removesuffix('%') if high.endswith('%') else low}–{high}" if interval else ""


def _interval(estimate: Estimate) -> str:
    return interval_of(estimate.mean, estimate.low, estimate.high)


def _there(estimate: Any) -> Estimate:
    """An estimate that always has data."""
    assert isinstance(estimate, Estimate)
    return estimate


LIMITS: Final = {
    "catch": "does not catch the fault of the goal",
    "false_rollback": "rolls a good version back",
    "budget": "spends too much of the budget",
    "time_to_full": "takes too long",
}


def sentence(found: Recommendation) -> str:
    """The answer in one sentence."""
    if found.winner is None:
        return found.advice.summary
    one = found.confirmed[0]
    text = f"use {found.winner.name}"
    if found.winner.alarm is not None:
        text += f" with the alarm {found.winner.alarm_text}"
    text += f": full traffic after {show_duration(one.time_to_full)}, {_number(one.bad)} bad requests per release on average"
    if one.caught is not None and found.goal.catch is not None:
        severity = found.goal.catch.of
        text += f", catches {severity.show(severity.spread.low)} in {shares(one.caught)} of the rollouts"
    return f"{text}, rolls a good version back in {shares(one.false_rollback)}"


def assumed(found: Recommendation) -> list[str]:
    """The risk and the goal that the answer goes by, and where they come from."""
    risk, goal = found.risk, found.goal
    spread = risk.severity.spread
    ends = [risk.severity.show(end) for end in dict.fromkeys((spread.low, spread.high))]
    where = "the file" if found.scenario.risk is not None else "the default"
    lines = [f"risk ({where}): {share(risk.p_bad)} of the releases are bad, by {' to '.join(ends)} (log-uniform)"]
    limits = []
    if goal.catch is not None:
        of = goal.catch.of
        limits.append(f"catch {of.show(of.spread.low)} in at least {share(goal.catch.at_least)}")
    if goal.false_rollback is not None:
        limits.append(f"roll a good version back in at most {share(goal.false_rollback.at_most)}")
    if goal.budget is not None:
        limits.append(f"spend at most {share(goal.budget.at_most)} of the budget (95th percentile)")
    if goal.time_to_full is not None:
        limits.append(f"reach full traffic within {show_duration(goal.time_to_full.at_most)}")
    where = "the file" if found.scenario.goal is not None else "the default"
    return [*lines, f"goal ({where}): {'; '.join(limits)}; minimise {goal.minimise.replace('_', ' ')}"]


def remarks(found: Recommendation) -> list[str]:
    """Why the obvious alternatives lose, how sure the answer is, and what else would help."""
    lines = []
    for one in found.confirmed[1 if found.winner is not None else 0 :]:
        misses = [f"{LIMITS[name]} ({_missed(one, name)})" for name in one.misses(found.goal)]
        if misses:
            lines.append(f"not {one.candidate.name}: it {' and '.join(misses)}")
        elif found.winner is not None:
            lines.append(f"not {one.candidate.name}: {_number(one.bad)} bad requests per release on average")
    if found.ties:
        names = "; ".join(one.label for one in found.ties)
        lines.append(f"cannot be told apart in what is minimised, the simplest is recommended: {names}")
    if found.winner is not None and (why := shortcoming(found.winner.plan)) is not None:
        lines.append(f"CodeDeploy cannot carry it out: {why}; --codedeploy searches among what it can")
    return [*lines, *found.advice.remedies]


def _missed(one: Evaluation, name: str) -> str:
    if name == "catch":
        return shares(one.caught)
    if name == "false_rollback":
        return shares(one.false_rollback)
    return shares(one.budget) if name == "budget" else show_duration(one.time_to_full)


def _number(estimate: Estimate) -> str:
    return interval_of(estimate.mean, estimate.low, estimate.high)
