"""Confirmation: the winner's figures are drawn anew, beside those of the strategies that everybody thinks of.

**Why anew.** The winner was chosen because its estimates were the best of many: chance has helped, and those estimates flatter it
(the winner's curse, or selection bias). So what is reported of it comes from replications that had no part in the choice.

**Who wins.** Of the contenders that the race could not tell from the best, the simplest that costs hardly more. If it does not keep
the goal on fresh replications, the next is looked at, while there is effort left. Looking at several has a price: with each, a
candidate that truly misses a limit has a chance to keep it by luck. It is small where the limits are decided on the way
(`deciding`), and what is open is said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rollout_sim.control.alarms import Alarm
from rollout_sim.run.simulate import Progress
from rollout_sim.study.recommend.candidates import Candidate, obvious
from rollout_sim.study.recommend.deciding import LimitDecider
from rollout_sim.study.recommend.effort import DECIDING
from rollout_sim.study.recommend.hypotheses import Evaluation
from rollout_sim.study.recommend.race import rank
from rollout_sim.study.recommend.recommendation import Outstanding
from rollout_sim.study.recommend.sampling import FRESH, Sampler
from rollout_sim.study.recommend.shortlist import Shortlist
from rollout_sim.study.recommend.stages import COMPARED, CONFIRMED

HARDLY_MORE: Final = 0.1
"""By how much more a simpler candidate may cost, where the replications cannot tell it from the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What fresh replications say."""

    winner: Candidate | None = None
    """The one to use; None where nothing keeps the goal."""
    ties: tuple[Candidate, ...] = ()
    """Contenders that the estimates cannot tell from the winner."""
    evaluations: tuple[Evaluation, ...] = ()
    """The last one that was looked at for the winner, if it is the winner or the only one left, and the obvious alternatives."""
    unconfirmed: int = 0
    """Contenders that keep the goal, where there was no effort left to look at them on fresh replications."""


class Confirmation:
    """Confirms one of the contenders that keep the goal; a half-width `precision` (a fraction) may be asked of its intervals."""

    def __init__(self, sampler: Sampler, shortlist: Shortlist, *, precision: float | None = None) -> None:
        self._sampler = sampler
        self._shortlist = shortlist
        self._planner = sampler.planner
        self._problem = sampler.problem
        self._limits = LimitDecider(sampler, phase=DECIDING, precision=precision)

    def confirm(
        self, keeping: Sequence[Evaluation], undecided: Collection[str], progress: Progress | None = None
    ) -> Confirmed:
        """The winner among those that keep the goal, what ties with it, and both beside the obvious alternatives.

        The winner is the simplest of those that cannot be told from the best, whose labels are `undecided`, if it keeps the
        goal on fresh replications too; else the next.
        """
        effort = self._planner.effort
        alternatives = [
            candidate for candidate in obvious(self._problem.scenario) if self._problem.ends_within_trace(candidate)
        ]
        remaining = list(keeping)
        while remaining and (len(remaining) == len(keeping) or self._has_room_for(remaining[0].candidate)):
            alike = [
                evaluation
                for evaluation in remaining
                if evaluation.candidate.label in undecided and costs_hardly_more(evaluation, remaining[0])
            ]
            alike = alike or remaining[:1]
            first = min(alike, key=lambda evaluation: (evaluation.candidate.complexity, evaluation.objective.mean))
            fresh = self.evaluate(first.candidate, progress)
            failed = bool(fresh.missed_on_average(self._problem.goal))
            if not failed or len(remaining) == 1:
                others = [candidate for candidate in alternatives if candidate != first.candidate]
                if (alarm := first.candidate.alarm) is not None:
                    others += self._better_watched(alternatives, first.candidate, alarm)
                effort.end(DECIDING)
                return Confirmed(
                    winner=None if failed else first.candidate,
                    ties=tuple(evaluation.candidate for evaluation in alike if evaluation is not first),
                    evaluations=(fresh, *self._best_watched(self.compare(others))),
                )
            remaining = [evaluation for evaluation in remaining if evaluation is not first]
        if remaining:
            effort.end(DECIDING)
        return Confirmed(evaluations=tuple(self.compare(alternatives)), unconfirmed=len(remaining))

    def _has_room_for(self, candidate: Candidate) -> bool:
        """Whether there is effort left to look at one more on fresh replications."""
        sizes = self._planner.sizes
        least = replace(sizes.confirming, strata=sizes.fewest_strata, draws=2, others=sizes.least)
        cost = self._planner.cost(least, [candidate])
        return self._planner.effort.spent + cost.each + cost.beside <= self._planner.effort.planned

    def evaluate(self, candidate: Candidate, progress: Progress | None = None) -> Evaluation:
        """A candidate on fresh replications, with as many as its open limits take."""
        share = min(CONFIRMED, max(self._planner.share_left(DECIDING), 0.0))
        stage = self._planner.fitted(self._planner.sizes.confirming, [candidate], 1, share)
        evidence = self._sampler.sample([candidate], stage, FRESH, progress=progress)[candidate.label]
        evidence = self._limits.decide(candidate, evidence, stage, FRESH + 1)
        return self._problem.evaluate(candidate, evidence, stage.strata)

    def compare(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Those that the recommended one is set beside, on the same fresh replications."""
        if not candidates:
            return []
        stage = self._planner.fitted(self._planner.sizes.confirming, candidates, len(candidates), COMPARED)
        evidence = self._sampler.sample(candidates, stage, FRESH)
        return [self._problem.evaluate(candidate, evidence[candidate.label], stage.strata) for candidate in candidates]

    def _better_watched(self, strategies: Sequence[Candidate], winner: Candidate, alarm: Alarm) -> list[Candidate]:
        """The obvious strategies with the recommended alarm, and with the one that suits each best by the closed forms.

        They say whether a strategy loses, or the file's alarm.
        """
        watched: list[Candidate] = []
        for candidate in strategies:
            if candidate.plan == winner.plan or candidate.plan.length == 0:  # over before an alarm can act
                continue
            choices = (candidate.watched_by(alarm), self._shortlist.best_watched(candidate))
            watched += {choice.label: choice for choice in choices}.values()
        return watched

    def _best_watched(self, alternatives: Sequence[Evaluation]) -> list[Evaluation]:
        """Those with the file's alarms, then each strategy that has an alarm of its own with the better one."""
        better = {
            evaluation.candidate.name: evaluation
            for evaluation in reversed(rank(alternatives, self._problem.goal))
            if evaluation.candidate.alarm
        }
        return [
            *(evaluation for evaluation in alternatives if evaluation.candidate.alarm is None),
            *reversed(better.values()),
        ]

    def outstanding(self, evaluation: Evaluation) -> list[Outstanding]:
        """What would be likely to decide each open limit of the one that is recommended, where that can be said."""
        outstanding = []
        for limit in evaluation.limits(self._problem.goal):
            if limit.enough is not None:
                more = max(limit.enough - limit.estimate.n, self._planner.sizes.least)
                seconds = self._planner.stops(evaluation.candidate, more)
                outstanding.append(Outstanding(limit=limit.name, replications=more, seconds=seconds))
        return outstanding


def costs_hardly_more(evaluation: Evaluation, best: Evaluation) -> bool:
    """Whether what is minimised is hardly more than the best's."""
    return evaluation.objective.mean <= best.objective.mean + HARDLY_MORE * abs(best.objective.mean)
