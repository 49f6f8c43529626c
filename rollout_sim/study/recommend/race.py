"""The race: which of the contenders keeps the goal and costs the least, by replications that are drawn until that is plain.

**The procedure** is sequential elimination with common random numbers, the kind of Paulson (1964) and of Kim and Nelson (2001), in
machine learning a race. In each wave all contenders that are left are simulated on the same random numbers. Then the leader is found:
the one with the least of what is minimised whose limits are kept, the limits being decided first where they are open (`deciding`). A
contender drops out if it breaks a limit, or if it costs surely more than the leader: the interval of their paired difference, widened
by `ELIMINATION`, lies above zero. The rest is drawn anew, from the third wave on twice as often as in the last.

**When it stops.** One is left; or what the others cost more is at most a trifle (`INDIFFERENCE`, the indifference zone of the
literature), by the upper ends of the intervals; or the effort of the phase is spent; or `MAX_WAVES` are drawn. Whoever is left then
cannot be told from the leader, and the simplest of them may be preferred (`confirmation`).

**Its error.** The best is lost if, in some wave, its difference to a worse leader looks large by chance: for one pair in one wave with
0.16% (1.5 x 1.96 standard errors, normal, one-sided). Waves are looked at with all that was drawn before, so that looks depend on
each other; eight of them at eleven rivals come to at most 14% by Bonferroni's inequality, and to far less in truth. Unlike in those
papers no probability is promised: the margin is a fixed multiple. VALIDATION.md measures, on races of which the best is known, how
often another one is selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rollout_sim.core.statistics import Estimate
from rollout_sim.run.simulate import Progress, part_of
from rollout_sim.scenario.goals import Goal
from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.deciding import MOST_LOOKS, LimitDecider
from rollout_sim.study.recommend.effort import RACING
from rollout_sim.study.recommend.hypotheses import Evaluation, Evidence, difference, joined
from rollout_sim.study.recommend.sampling import CONTENDING, Sampler
from rollout_sim.study.recommend.stages import Stage, StagePlanner

MAX_WAVES: Final = 8
"""How often the contenders that cannot be told from the best are drawn anew at most, with twice the draws from the third time on."""
ELIMINATION: Final = 1.5
"""By how many half-widths of its interval a candidate must lie behind the best to drop out, for it is looked at often."""
INDIFFERENCE: Final = 0.02
"""A difference to the best, as a share of what that costs, that is not worth more replications."""


def rank(evaluations: Sequence[Evaluation], goal: Goal) -> list[Evaluation]:
    """The ones that do not break the goal first, then by what is minimised, the simpler one first where it is the same."""
    return sorted(
        evaluations,
        key=lambda evaluation: (
            len(evaluation.broken(goal)),
            evaluation.objective.mean,
            evaluation.candidate.complexity,
            evaluation.time_to_full,
        ),
    )


def left_in_queue(
    queue: Sequence[Candidate], raced: Sequence[Candidate], ranked: Sequence[Evaluation], goal: Goal
) -> list[Candidate]:
    """Who may race next where none of the `raced` keeps the goal: last those with an alarm that errs too often."""
    err = {evaluation.candidate.alarm for evaluation in ranked if "false_rollback" in evaluation.broken(goal)}
    return sorted(
        (candidate for candidate in queue if candidate not in raced), key=lambda candidate: candidate.alarm in err
    )


def entrants(planner: StagePlanner, queue: Sequence[Candidate]) -> list[Candidate]:
    """The first of a queue: as many as half of the effort that is left has room for, within limits."""
    least, most = planner.sizes.contenders
    room = planner.room(_smallest(planner, queue), queue, planner.share_left(RACING) / 2)
    return list(queue[: min(max(room, least), most)])


def affords_race(planner: StagePlanner, queue: Sequence[Candidate]) -> bool:
    """Whether there is effort left for a race of the next ones of a queue."""
    return planner.affords(RACING, _smallest(planner, queue), entrants(planner, queue))


def _smallest(planner: StagePlanner, candidates: Sequence[Candidate]) -> Stage:
    """The contenders' stage with the fewest replications."""
    return planner.fitted(planner.sizes.contending, candidates, len(candidates), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """How a race ended."""

    ranked: tuple[Evaluation, ...]
    """All contenders in the order of preference, the leader first."""
    undecided: frozenset[str]
    """The labels of those that cannot be told from the best, which is one of them."""


class Race:
    """One race between candidates, whose evidence grows from wave to wave."""

    def __init__(self, sampler: Sampler, candidates: Sequence[Candidate]) -> None:
        self._sampler = sampler
        self._problem = sampler.problem
        self._limits = LimitDecider(sampler, phase=RACING)
        self._remaining = list(candidates)
        planner = sampler.planner
        left = planner.share_left(RACING)
        self._stage = planner.fitted(planner.sizes.contending, candidates, len(candidates), left)
        """Of the first two waves."""
        self._evidence: dict[str, Evidence] = {}
        self._evaluations: dict[str, Evaluation] = {}
        """Both by the candidates' labels, and of all that was drawn until now."""

    def run(self, progress: Progress | None = None) -> Placing:
        """All waves."""
        leader = self._remaining[0]
        for wave in range(MAX_WAVES):
            grown = self._grown(wave)
            if wave and not self._sampler.planner.affords(RACING, grown, self._remaining):
                break
            self._draw(grown, CONTENDING + wave, part_of(progress, wave / MAX_WAVES, (wave + 1) / MAX_WAVES))
            leader = self._leader(CONTENDING + MOST_LOOKS * (wave + 1))
            behind = {candidate.label: self._behind(candidate, leader) for candidate in self._remaining}
            self._remaining = [
                candidate
                for candidate in self._remaining
                if candidate is leader or not (self._breaks(candidate) or _surely_costs_more(behind[candidate.label]))
            ]
            trifle = INDIFFERENCE * abs(self._evaluations[leader.label].objective.mean)
            if all((behind[candidate.label].high or 0.0) <= trifle for candidate in self._remaining):
                break
        ranked = rank(list(self._evaluations.values()), self._problem.goal)
        ranked.sort(key=lambda evaluation: evaluation.candidate is not leader)
        return Placing(ranked=tuple(ranked), undecided=frozenset(candidate.label for candidate in self._remaining))

    def _grown(self, wave: int) -> Stage:
        """The stage of a wave: from the third on with twice as many draws as the last."""
        doublings = max(wave - 1, 0)
        return replace(self._stage, draws=self._stage.draws << doublings, others=self._stage.others << doublings)

    def _draw(self, stage: Stage, wave: int, progress: Progress | None) -> None:
        """Adds a wave to what is known of those that remain."""
        new = self._sampler.sample(self._remaining, stage, wave, progress=progress)
        for candidate in self._remaining:
            old, more = self._evidence.get(candidate.label), new[candidate.label]
            self._tell(candidate, more if old is None else joined(old, more))

    def _tell(self, candidate: Candidate, evidence: Evidence) -> None:
        self._evidence[candidate.label] = evidence
        self._evaluations[candidate.label] = self._problem.evaluate(candidate, evidence, self._stage.strata)

    def _leader(self, wave: int) -> Candidate:
        """The candidate with the least of what is minimised whose limits are kept on average; the first where none's are.

        Limits that are open are decided on the way, with random numbers from the `wave` on.
        """
        ranked = rank([self._evaluations[candidate.label] for candidate in self._remaining], self._problem.goal)
        for evaluation in ranked:
            candidate = evaluation.candidate
            self._tell(candidate, self._limits.decide(candidate, self._evidence[candidate.label], self._stage, wave))
            if not self._evaluations[candidate.label].missed_on_average(self._problem.goal):
                return candidate
        return ranked[0].candidate

    def _breaks(self, candidate: Candidate) -> bool:
        """Whether a candidate breaks a limit of the goal."""
        return bool(self._evaluations[candidate.label].broken(self._problem.goal))

    def _behind(self, candidate: Candidate, leader: Candidate) -> Estimate:
        """By how much more a candidate has of what is minimised than the leader, pair by pair."""
        return difference(
            (candidate, self._evidence[candidate.label]),
            (leader, self._evidence[leader.label]),
            self._problem.stratified(self._stage.strata),
            self._problem.goal,
        )


def _surely_costs_more(behind: Estimate) -> bool:
    """Whether a difference is above zero with a margin, for it is looked at many times."""
    return behind.low is not None and behind.mean - ELIMINATION * (behind.mean - behind.low) > 0
