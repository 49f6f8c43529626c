"""Stages: how many replications each stage of a search has, and how many candidates, by what that nominally costs.

A search has four stages: many candidates are explored with few replications, the first of them contend with more, the winner is
confirmed on fresh ones, and so are those that it is compared with. Each may spend a share of the search's effort, and is made as
large as that has room for: first in candidates, then in replications.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.effort import SHARES, Effort
from rollout_sim.study.recommend.hypotheses import CATCH, GOOD
from rollout_sim.study.recommend.problem import SelectionProblem
from rollout_sim.study.replications import NominalCost, nominal_cost

EXPLORED, CONFIRMED, COMPARED = 0.25, 0.2, 0.1
"""Shares of the effort for the promising, for the first of the confirmed and for those that it is compared with."""
LARGEST: Final = 1024
"""Replications of a batch at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How many replications of each hypothesis a stage has."""

    strata: int
    """Parts of the risk's severities, of equal probability."""
    draws: int
    """Severities that are drawn of each part, again in parts of equal probability."""
    each: int
    """Replications of each of them."""
    others: int
    """Replications of the hypotheses that are one severity, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSizes:
    """How much a search simulates, which depends on how dear a replication is."""

    work: float
    """Nominal seconds of one core in all, where nobody says."""
    promising: tuple[int, int]
    """Candidates that are explored, at least and at most."""
    contenders: tuple[int, int]
    """Of these, the ones that are looked at closely, likewise."""
    explore: Stage
    """Of the promising."""
    brief: Stage
    """Of what is looked at briefly, outside a search."""
    contending: Stage
    """Of the contenders at most (`StagePlanner.fitted`)."""
    confirming: Stage
    """Of the confirmed at most, and of those that they are compared with."""
    fewest_strata: int
    """Strata of the confirmed at least: they have half as many draws or strata, and again half, as far as the effort goes."""
    least: int
    """Replications of the hypotheses that are one severity at least, and that are drawn at a time to decide a limit."""
    decided: tuple[int, int]
    """Replications of a hypothesis at most to decide a limit of the goal: of a contender, and of what is recommended."""


WHOLE_PERIODS: Final = SampleSizes(
    work=16.0,
    promising=(12, 48),
    contenders=(3, 12),
    explore=Stage(strata=4, draws=2, each=64, others=256),
    brief=Stage(strata=8, draws=2, each=128, others=512),
    contending=Stage(strata=16, draws=2, each=128, others=2048),
    confirming=Stage(strata=64, draws=2, each=128, others=4096),
    fewest_strata=8,
    least=256,
    decided=(1 << 15, 1 << 20),
)
"""Where whole periods are drawn."""
EVERY_INVOCATION: Final = SampleSizes(
    work=48.0,
    promising=(5, 16),
    contenders=(2, 6),
    explore=Stage(strata=4, draws=4, each=1, others=8),
    brief=Stage(strata=8, draws=4, each=1, others=4),
    contending=Stage(strata=8, draws=8, each=1, others=16),
    confirming=Stage(strata=8, draws=32, each=1, others=64),
    fewest_strata=4,
    least=8,
    decided=(128, 1 << 17),
)
"""Where every invocation is simulated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """Nominal seconds of a stage."""

    each: float
    """For each candidate."""
    beside: float
    """Beside that, for what all candidates have in common and are set against."""

    def of(self, candidates: int) -> float:
        """With so many candidates."""
        return self.each * candidates + self.beside


class StagePlanner:
    """Says what a stage would cost, and how large it may be, by the `effort` that is left."""

    def __init__(self, problem: SelectionProblem, sizes: SampleSizes, effort: Effort) -> None:
        self.problem = problem
        self.sizes = sizes
        self.effort = effort
        self._costs: dict[float, NominalCost] = {}

    def _nominal(self, until: float) -> NominalCost:
        """What a candidate costs that is simulated until then (s)."""
        if until not in self._costs:
            good = self.problem.hypotheses[GOOD].scenario
            self._costs[until] = nominal_cost(replace(good, horizon=until), self.problem.plane)
        return self._costs[until]

    def runs(self, until: float, replications: int, size: int | None = None) -> float:
        """Nominal seconds of so many replications of a candidate, in batches of `size`, by default the plane's.

        Without what all candidates share (`shared`).
        """
        cost = self._nominal(until)
        batches = math.ceil(replications / (size or min(self.problem.plane.batch, LARGEST)))
        return batches * cost.batch + replications * cost.run

    def shared(self, until: float, replications: int) -> float:
        """Nominal seconds of what all candidates have in common in so many replications."""
        return replications * self._nominal(until).shared

    def stops(self, candidate: Candidate, replications: int) -> float:
        """Nominal seconds of so many replications of one candidate alone, each until its deployment is over."""
        over = self.problem.deployments_over([candidate])
        return self.runs(over, replications) + self.shared(over, replications)

    def cost(self, stage: Stage, candidates: Sequence[Candidate]) -> StageCost:
        """What a stage costs whose simulated time is long enough for all of these candidates."""
        until, over = self.problem.costs_known(candidates), self.problem.deployments_over(candidates)
        spread = self.problem.risk.severity.spread
        one_severity = spread.high == spread.low
        draws, each = (1, stage.others) if one_severity else (stage.strata * stage.draws, stage.each)
        bad, good = draws * self.runs(until, each), self.runs(until, stage.others)
        shared = self.shared(until, draws * each + stage.others)
        stops = 0.0
        if CATCH in self.problem.hypotheses:
            stops = self.runs(over, stage.others)
            shared += self.shared(over, stage.others)
        baseline = 0.0 if self.problem.whole_periods else bad + good
        return StageCost(each=bad + good + stops, beside=shared + bad + baseline)

    def room(self, stage: Stage, candidates: Sequence[Candidate], share: float) -> int:
        """How many of the candidates a stage can have in a share of the effort."""
        cost = self.cost(stage, candidates)
        return int((share * self.effort.planned - cost.beside) / cost.each)

    def fitted(self, stage: Stage, candidates: Sequence[Candidate], number: int, share: float) -> Stage:
        """The stage for so many of the candidates, as large as a share of the effort has room for, down to the smallest."""
        while self.room(stage, candidates, share) < number and stage.strata > self.sizes.fewest_strata:
            halved = {"draws": stage.draws // 2} if stage.draws > 2 else {"strata": stage.strata // 2}
            stage = replace(stage, **halved, others=max(stage.others // 2, self.sizes.least))
        return stage

    def share_left(self, phase: int) -> float:
        """The share of the effort that may still be spent until a phase ends; below 0 where more was."""
        return SHARES[phase] - self.effort.spent / self.effort.planned

    def affords(self, phase: int, stage: Stage, candidates: Sequence[Candidate]) -> bool:
        """Whether a phase has room for the stage with all of these candidates; where not, it ends."""
        return self.effort.allows(phase, self.cost(stage, candidates).of(len(candidates)))
