"""The shortlist: of all candidates, those that are worth simulating, by the closed forms of `screening`.

Screening is the first step of a selection among thousands: a rough figure for each leaves out what is far from the best. The closed
forms leave out much (`screening` says what), so nothing is judged by them: they decide who is simulated, and a candidate that they
are wrong about is lost. That is why each strategy may have several alarms in the list, and why some of the simplest candidates, with
the file's own alarms, are in it whatever the closed forms say of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.formatting import show_duration
from rollout_sim.errors import ScenarioError
from rollout_sim.study.recommend.advice import tests_help
from rollout_sim.study.recommend.candidates import OBVIOUS, Candidate, strategies, undeployable
from rollout_sim.study.recommend.hypotheses import CATCH, GOOD
from rollout_sim.study.recommend.problem import SelectionProblem
from rollout_sim.study.recommend.screening import Screen, Screened, screenable
from rollout_sim.study.recommend.stages import EXPLORED, StagePlanner

SIMPLE: Final = 4
"""Of so many of them with an alarm of their own, one more is tried as the file has it."""
CHOICES: Final = 3
"""Alarms of each strategy that may be promising."""
PENALTY: Final = 1e6
"""What a screened candidate is charged, in what is minimised, for missing limits by a probability of 1 in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A screened candidate: whether it misses a limit, and what is minimised with `PENALTY` for that."""

    candidate: Candidate
    misses: bool
    penalised: float

    @property
    def rank(self) -> tuple[bool, float]:
        """By which candidates are sorted, the best first."""
        return self.misses, self.penalised


class Shortlist:
    """Screens the candidates of a problem."""

    def __init__(self, problem: SelectionProblem) -> None:
        self.problem = problem

    @cached_property
    def screen(self) -> Screen:
        """The closed forms of the alarms that are tried."""
        return self._screen(self.problem.alarms)

    def promising(self, planner: StagePlanner, *, keep_alarms: bool) -> tuple[list[Candidate], int]:
        """The candidates that are worth simulating, by the closed forms; and how many there were.

        As many as a part of the effort (`EXPLORED`) has room for, within limits. With `keep_alarms` only the file's alarms are
        looked at. Raises ScenarioError where no strategy ends before the traffic's trace does.
        """
        problem, sizes = self.problem, planner.sizes
        allowed = [candidate for candidate in self._deployable if problem.ends_within_trace(candidate)]
        if not allowed:
            what = f"no strategy that {problem.goal.deploy_with} can carry out ends before the traffic's trace does"
            raise ScenarioError([f"{problem.scenario.name}: {what} ({show_duration(problem.trace_end)})"])
        least, most = sizes.promising
        room = max(planner.room(sizes.explore, allowed, EXPLORED), least)
        own = self._best_first_with_own_alarm(allowed)
        if keep_alarms:
            return own[:room], len(allowed)
        scores = [score for candidate in allowed for score in self.scores(candidate)]
        scores.sort(key=lambda score: score.rank)
        watched = [score.candidate for score in scores][: min(room, most)]
        simple = [candidate for candidate in own if candidate.complexity == 0]
        return watched + simple[: max(len(watched) // SIMPLE, 1)], len(allowed) * (len(problem.alarms) + 1)

    @property
    def left_out(self) -> list[str]:
        """Strategies that need more traffic than a trace has, by name."""
        return [candidate.name for candidate in self._deployable if not self.problem.ends_within_trace(candidate)]

    @cached_property
    def _deployable(self) -> list[Candidate]:
        """The strategies that can be carried out, and in time, with the file's alarms; the obvious ones in any case."""
        problem = self.problem
        limit, deploy_with = problem.goal.time_to_full, problem.goal.deploy_with
        return [
            candidate
            for candidate in strategies(problem.scenario, tested=tests_help(problem.goal, problem.rate))
            if limit is None or candidate.plan.time_to_full <= limit.at_most or candidate.name in OBVIOUS
            if undeployable(candidate.plan, deploy_with) is None
        ]

    def _best_first_with_own_alarm(self, allowed: Sequence[Candidate]) -> list[Candidate]:
        """The strategies as they do by the closed forms with the file's alarm; in the given order where those do not know it."""
        scenario = self.problem.scenario
        own = [scenario.alarms[name] for name in scenario.evaluated]
        if len(own) != 1 or not screenable(own[0]):
            return list(allowed)
        screen = self._screen(own)
        ranks = {
            candidate.label: self._scored(candidate, own, screen.screen(candidate.plan))[0].rank
            for candidate in allowed
        }
        return sorted(allowed, key=lambda candidate: ranks[candidate.label])

    def _screen(self, tried: Sequence[Alarm]) -> Screen:
        scenarios = [hypothesis.scenario for hypothesis in self.problem.hypotheses.values()]
        return Screen(scenarios, tried, self.problem.rate, found_after=self.problem.risk.found_after)

    def scores(self, candidate: Candidate) -> list[Score]:
        """A strategy with the `CHOICES` alarms that do best by the closed forms, those that miss the goal's limits last.

        Of those that do the very same, such as with a guard that never binds, the first alone.
        """
        return self._scored(candidate, self.problem.alarms, self.screen.screen(candidate.plan))

    def best_watched(self, candidate: Candidate) -> Candidate:
        """A strategy with the alarm that suits it best by the closed forms."""
        return min(self.scores(candidate), key=lambda score: score.rank).candidate

    def _scored(self, candidate: Candidate, tried: Sequence[Alarm], screened: Screened) -> list[Score]:
        shortfall = self._shortfall(screened)
        value = self.objective(candidate, screened)
        rounded = np.round(shortfall, 3)
        different: dict[bytes, int] = {}
        for k in np.lexsort((value, rounded)).tolist():
            different.setdefault(np.round([screened.stopped[k], screened.bad[k]], 9).tobytes(), k)
            if len(different) == CHOICES:
                break
        return [
            Score(
                candidate=candidate.watched_by(tried[k]),
                misses=bool(rounded[k] > 0),
                penalised=float(value[k] + PENALTY * shortfall[k]),
            )
            for k in different.values()
        ]

    def _shortfall(self, screened: Screened) -> FloatArray:
        """By how much each alarm misses the goal's limits of probabilities, added up: shape (alarms,); 0 keeps them."""
        names, goal = list(self.problem.hypotheses), self.problem.goal
        false_limit = 1.0 if goal.false_rollback is None else goal.false_rollback.at_most
        shortfall: FloatArray = np.maximum(0.0, screened.stopped[:, names.index(GOOD)] - false_limit)
        if goal.catch is not None:
            shortfall = shortfall + np.maximum(0.0, goal.catch.at_least - screened.stopped[:, names.index(CATCH)])
        return shortfall

    def objective(self, candidate: Candidate, screened: Screened) -> FloatArray:
        """What is minimised, by the closed forms, for each alarm: shape (alarms,)."""
        hypotheses, goal = self.problem.hypotheses, self.problem.goal
        weights = np.array([hypothesis.weight for hypothesis in hypotheses.values()])
        bad: FloatArray = screened.bad @ weights
        minutes = candidate.plan.time_to_full / 60
        if (prices := goal.prices) is not None:
            good = list(hypotheses).index(GOOD)
            false = weights[good] * screened.stopped[:, good]
            costs: FloatArray = (
                prices.bad_request * bad + prices.minute_of_delay * minutes + prices.false_rollback * false
            )
            return costs
        return np.full(bad.size, minutes) if goal.minimise == "time_to_full" else bad
