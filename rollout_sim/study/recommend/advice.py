"""Advice: which limit keeps all candidates from the goal, and what would help, in figures from the closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rollout_sim.core.formatting import share_with_interval, show_duration
from rollout_sim.scenario.goals import Goal
from rollout_sim.study.recommend.hypotheses import Evaluation
from rollout_sim.theory import detection_probability, time_to_detect

HOUR: Final = 3600.0
"""How long (s) a rollout may take where the goal does not say."""
HANDFUL: Final = 5.0
"""Requests to a canary below which no percentage helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Why nothing keeps the goal, and what would help."""

    binding: str
    """The limit of the goal that most candidates miss, by its name; empty where one keeps all of them."""
    summary: str
    """A sentence about it; empty likewise."""
    remedies: tuple[str, ...]
    """What would help, a sentence each; with low traffic there are some in any case."""


def advise(goal: Goal, ranked: Sequence[Evaluation], *, rate: float, feasible: bool) -> Advice:
    """What stands between the candidates and the goal.

    `ranked` are the contenders, `rate` the requests per second to the alias; `feasible` says that one keeps the goal.
    """
    remedies = _for_low_traffic(goal, rate)
    if feasible:
        return Advice(binding="", summary="", remedies=tuple(remedies))
    binding = _binding(goal, ranked)
    texts = {
        "catch": "the fault is not caught often enough",
        "false_rollback": "a good version is rolled back too often",
        "budget": "the rollout spends too much of the budget",
        "time_to_full": "the rollout takes too long",
    }
    if goal.catch is not None and goal.catch.of.error_rate is not None:
        remedies += _for_catching(goal, goal.catch.of.spread.low, rate)
    if binding == "budget":
        least = min((evaluation.budget for evaluation in ranked), key=lambda budget: budget.mean)
        remedies.append(f"the thriftiest contender spends {share_with_interval(least)} of the budget (95th percentile)")
    if binding == "false_rollback":
        best = min(ranked, key=lambda evaluation: evaluation.false_rollback.mean)
        remedies.append(
            f"the alarm `{best.candidate.alarm_text}` errs least, in {share_with_interval(best.false_rollback)} of the rollouts; "
            "more datapoints or a higher threshold err less and catch later"
        )
    text = texts.get(binding, "no candidate")
    summary = f"infeasible: {text}"
    if not all(evaluation.broken(goal) for evaluation in ranked):
        summary = f"too few replications to decide whether a rollout keeps the goal: on average {text}"
    return Advice(binding=binding, summary=summary, remedies=tuple(remedies))


def _binding(goal: Goal, ranked: Sequence[Evaluation]) -> str:
    """The limit that the most candidates miss on average alone, or else that the most miss at all."""
    alone: dict[str, int] = {}
    for evaluation in ranked:
        misses = evaluation.missed_on_average(goal)
        for name in misses:
            alone[name] = alone.get(name, 0) + (100 if len(misses) == 1 else 1)
    return max(alone, key=lambda name: alone[name], default="")


def needed_requests(error_rate: float, probability: float, at_least: int = 1) -> float:
    """Requests to the new version until at least so many errors have come with that probability."""
    return time_to_detect(1.0, 1.0, error_rate, at_least, probability)


def needed_tests(error_rate: float, probability: float) -> int:
    """Tests of a version until at least one fails with that probability."""
    return math.ceil(math.log1p(-probability) / math.log1p(-error_rate)) if error_rate < 1 else 1


def _for_catching(goal: Goal, error_rate: float, rate: float) -> list[str]:
    assert goal.catch is not None
    share, sentences = goal.catch.at_least, []
    for errors in (1, 3):
        requests = needed_requests(error_rate, share, errors)
        if math.isinf(requests):
            sentences.append(
                f"no number of requests shows {error_rate:.2%} errors with certainty, so ask for less than {share:.0%}"
            )
            break
        times = ", ".join(f"{show_duration(requests / rate / weight)} at {weight:.0%}" for weight in (0.1, 0.5, 1.0))
        word = "an error" if errors == 1 else f"{errors} errors"
        sentences.append(
            f"to see {word} of {error_rate:.2%} with {share:.0%}, the new version needs {requests:,.0f} requests: {times}"
        )
    if goal.time_to_full is not None:
        most = goal.time_to_full.at_most
        seen = detection_probability(rate, 0.5, most, error_rate)
        sentences.append(
            f"within {show_duration(most)}, half of the traffic shows it an error with {seen:.1%} at best; "
            "an alarm on the new version sees it undiluted, one on the alias among the old version's errors"
        )
    return sentences


def low_traffic(goal: Goal, rate: float) -> bool:
    """Whether even the longest 10% canary is expected to see fewer than `HANDFUL` requests, at `rate` per second."""
    return rate * 0.1 * _longest(goal) < HANDFUL


def tests_help(goal: Goal, rate: float) -> bool:
    """Whether that canary is expected to see fewer than `HANDFUL` failures of the goal's fault, so that tests tell more."""
    fault = None if goal.catch is None else goal.catch.of.error_rate
    return low_traffic(goal, rate if fault is None else rate * fault.low)


def few_counted(goal: Goal, rate: float, *, latency: bool) -> bool:
    """Whether a minute has fewer than `HANDFUL` requests that an alarm would count, if all had the goal's fault.

    Of a p99 the slowest hundredth is counted. Then periods of several minutes and guards help.
    """
    fault = None if latency or goal.catch is None else goal.catch.of.error_rate
    return rate * 60.0 * (0.01 if fault is None else fault.low) < HANDFUL


def _longest(goal: Goal) -> float:
    """Seconds that a canary may take at most."""
    return HOUR if goal.time_to_full is None else goal.time_to_full.at_most


def _for_low_traffic(goal: Goal, rate: float) -> list[str]:
    """Advice where a canary sees hardly any requests; none where it sees enough."""
    if not low_traffic(goal, rate):
        return []
    most = _longest(goal)
    expected = rate * 0.1 * most
    error_rate = goal.catch.of.spread.low if goal.catch is not None and goal.catch.of.error_rate else 0.05
    tests = needed_tests(error_rate, 0.95)
    tested = (
        f"synthetic traffic through the pre-traffic hook waits for nobody: {tests:,} tests, as blue/green has them, find "
        f"{error_rate:.2%} errors with 95%"
    )
    return [
        f"a 10% canary of {show_duration(most)} is expected to see {expected:.2g} requests: no percentage helps",
        f"a longer bake sees more: {show_duration(HANDFUL / rate)} at full traffic for a handful of requests",
        tested,
    ]
