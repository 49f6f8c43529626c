"""Deciding: draws replications until intervals say whether a candidate keeps the limits of the goal.

**The procedure** is a group-sequential test of each limit. It looks at the 95% interval of the estimate: wholly on one side of the
limit, that is decided; else it estimates how many replications would decide it, draws those, and looks again. It stops when every
limit is decided, or at the most replications that are allowed for one, or when the effort of its phase is spent; a limit that is
open then is reported as open.

**Its error.** Each look may find a limit kept or broken by chance, on one side with 2.5%, and the chances of several looks add up:
intervals are not widened for that. So there are few looks: each at least doubles the replications, while the effort lasts, and of
what is recommended no limit counts as decided before as many are drawn as could show it to be kept (`Limit.fewest`). How often the
reported intervals hold the truth after all that is measured in VALIDATION.md. The estimate itself is biased, as with all optional
stopping: close to a limit, drawing ends sooner where the estimate happens to lie far from it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Final

from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.effort import DECIDING, RACING
from rollout_sim.study.recommend.hypotheses import CATCH, GOOD, STOPPED, Evidence, Outcomes, joined
from rollout_sim.study.recommend.limits import Limit
from rollout_sim.study.recommend.sampling import Sampler
from rollout_sim.study.recommend.stages import Stage

STOPS: Final = {"catch": CATCH, "false_rollback": GOOD}
"""The hypothesis that a limit on how often a rollout is stopped is about."""
MOST_DRAWS: Final = 512
"""Severities of each part of the risk that are drawn at most."""
MOST_LOOKS: Final = 16
"""Waves that the limits of a contender may take, one for each look at them."""
SPARE: Final = 1.1
"""So many times the replications that are likely to decide a limit are drawn."""
GROWTH: Final = 8
"""By how many times what there is a look may add at most, for the first estimate of what it takes is rough."""


class LimitDecider:
    """Decides the limits of one candidate after another, as far as the effort of its `phase` goes.

    Of what is recommended (`DECIDING`), it also draws as many replications as it takes to be as precise as was asked for (the
    half-width `precision` of the intervals, a fraction), and as the limit of the budget takes.
    """

    def __init__(self, sampler: Sampler, *, phase: int, precision: float | None = None) -> None:
        self._sampler = sampler
        self._planner = sampler.planner
        self._problem = sampler.problem
        self._phase = phase
        self._precision = precision

    def decide(self, candidate: Candidate, evidence: Evidence, stage: Stage, wave: int) -> Evidence:
        """The evidence of a candidate, from replications of that stage, with as many more as its open limits take.

        The first look draws with the random numbers of the `wave`, the next with those of the following.
        """
        final = self._phase == DECIDING
        for look in itertools.count():
            before = evidence
            unsettled = self._unsettled(candidate, evidence, stage)
            for limit in unsettled:
                if limit.name in STOPS:
                    evidence = self._with_more_stops(candidate, evidence, limit, wave + look)
            if evidence is before and final and any(limit.name == "budget" for limit in unsettled):
                evidence = self._with_more_severities(candidate, evidence, stage, wave + look)
            if evidence is before or (self._phase == RACING and look == MOST_LOOKS - 1):
                break
        return evidence

    def _unsettled(self, candidate: Candidate, evidence: Evidence, stage: Stage) -> list[Limit]:
        """The limits that more replications may settle."""
        limits = self._problem.evaluate(candidate, evidence, stage.strata).limits(self._problem.goal)
        return [
            limit
            for limit in limits
            if not limit.settled(self._precision) or (self._phase == DECIDING and limit.estimate.n < limit.fewest)
        ]

    def _with_more_stops(self, candidate: Candidate, evidence: Evidence, limit: Limit, wave: int) -> Evidence:
        """With more replications of the hypothesis that a limit is about: as many as are likely to be enough, within limits."""
        sizes = self._planner.sizes
        hypothesis, drawn, least = STOPS[limit.name], limit.estimate.n, sizes.least
        needed = math.ceil(SPARE * limit.needed(self._precision)) - drawn
        # Few looks, each with at least twice as many as the last: every look is another chance to err.
        wanted = min(max(needed, drawn, least), GROWTH * drawn, sizes.decided[self._phase] - drawn)
        if wanted <= 0:
            return evidence
        each = self._planner.stops(candidate, least) / least
        count = self._planner.effort.affordable(self._phase, each, wanted, least)
        if not count:
            return evidence
        more, key = self._sampler.sample_stops(candidate, hypothesis, wave, count), STOPPED[hypothesis]
        return evidence | {key: Outcomes.joined([evidence[key], more]) if key in evidence else more}

    def _with_more_severities(self, candidate: Candidate, evidence: Evidence, stage: Stage, wave: int) -> Evidence:
        """With as many draws of the severities again, which say what a release costs."""
        bad = [name for name in self._problem.stratified(stage.strata) if name not in (GOOD, CATCH)]
        drawn = max(evidence[name].added.shape[0] for name in bad)
        again = replace(stage, draws=min(drawn, MOST_DRAWS))
        if drawn >= MOST_DRAWS or not self._planner.affords(DECIDING, again, [candidate]):
            return evidence
        return joined(evidence, self._sampler.sample([candidate], again, wave)[candidate.label])
