"""Sampling: simulates candidates under all hypotheses, in waves, and counts what that costs.

**Common random numbers.** All candidates of a wave meet the same arrivals, the same errors and the same severities, so that they are
compared as pairs: what differs between two of them is what they do, and not their luck.

**Which random numbers.** A replication's random numbers follow from the seed and its number (`core.streams`), so that numbers are
handed out like addresses: each wave has `PER_WAVE` of them, in it each hypothesis `PER_HYPOTHESIS`, and in that each draw of a
severity one, which is the number of its first batch. No two waves share any of a hypothesis, which makes the figures of the confirmed
independent of those by which they were chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.strategies import AllAtOnce
from rollout_sim.core.streams import Streams
from rollout_sim.planes.selection import PHASED
from rollout_sim.run.batch import Batch, Samples
from rollout_sim.run.simulate import Progress
from rollout_sim.scenario.phases import PARTS
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import STEADY
from rollout_sim.study.executor import run_all, worth_sharing
from rollout_sim.study.recommend.candidates import Candidate, with_candidates
from rollout_sim.study.recommend.hypotheses import Evidence, Exposure, Hypothesis, Outcomes, outcomes_of, stops_of
from rollout_sim.study.recommend.problem import SelectionProblem
from rollout_sim.study.recommend.stages import LARGEST, Stage, StagePlanner

EXPLORING, CONTENDING, FRESH = 0, 1, 1 << 8
"""The first waves of those that are explored, of the contenders and of the confirmed."""
PER_WAVE: Final = 1 << 17
PER_HYPOTHESIS: Final = 1 << 10
"""Numbers of batches that belong to a wave, and to a hypothesis in it."""
PER_PHASE: Final = 256
FEWEST_PHASES: Final = 4
"""Replications that share a phase where there are enough of them, and phases at least, of a hypothesis without severities."""
UNWATCHED: Final = "unwatched"
"""The strategy that shows what a version adds that nothing stops."""

_Key = tuple[int, Alarm | str | None]
"""Of a part of the work: a draw, by its place, and the alarm of a group of candidates, `STEADY` or `UNWATCHED`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Replications of one severity of a hypothesis."""

    hypothesis: Hypothesis
    scenario: Scenario
    number: int
    """Of its first batch, which no other draw of the search has."""
    count: int
    """How many replications."""


class Sampler:
    """Simulates the candidates of a problem on its plane, by `jobs` processes: None for all processors where it is worth that."""

    def __init__(self, problem: SelectionProblem, planner: StagePlanner, *, jobs: int | None) -> None:
        self.problem = problem
        self.planner = planner
        self._jobs = worth_sharing(planner.effort.planned) if jobs is None else jobs

    def sample(
        self, candidates: Sequence[Candidate], stage: Stage, wave: int, *, progress: Progress | None = None
    ) -> dict[str, Evidence]:
        """The outcomes of each candidate, by its label, under all hypotheses, with the random numbers of a wave.

        Candidates with the same alarm are strategies of one scenario. Of a hypothesis without a weight nothing is asked but
        whether it is stopped, so that it ends with the deployments.
        """
        until, over = self.problem.costs_known(candidates), self.problem.deployments_over(candidates)
        draws = self.draws(stage, wave, until, over)
        work = self._work(candidates, draws, until)
        self._spend(work.values())
        results = dict(run_all(work, jobs=self._jobs, together=True, progress=progress))
        outcomes: dict[str, dict[str, list[Outcomes]]] = {candidate.label: {} for candidate in candidates}
        for k, draw in enumerate(draws):
            baseline = results[k, STEADY][STEADY] if (k, STEADY) in results else None
            exposure = None
            if (k, UNWATCHED) in results:
                unwatched = results[k, UNWATCHED][UNWATCHED]
                exposure = self._exposure(draw, work[k, UNWATCHED], unwatched, baseline, until)
            for candidate in candidates:
                samples = results[k, candidate.alarm][candidate.name]
                if draw.hypothesis.weight:
                    drawn = outcomes_of(samples, baseline, exposure, self.problem.scenario.slos[0].name)
                else:
                    drawn = stops_of(samples)
                if draw.hypothesis.stratum is None:
                    drawn = drawn.one_by_one
                outcomes[candidate.label].setdefault(draw.hypothesis.name, []).append(drawn)
        return {
            label: {name: Outcomes.joined(several) for name, several in by_hypothesis.items()}
            for label, by_hypothesis in outcomes.items()
        }

    def sample_stops(self, candidate: Candidate, hypothesis: str, wave: int, count: int) -> Outcomes:
        """What stops so many more rollouts of a candidate under the hypothesis of that name, of which nothing else is asked."""
        hypotheses = self.problem.hypotheses
        scenario = replace(hypotheses[hypothesis].scenario, horizon=self.problem.deployments_over([candidate]))
        number = wave * PER_WAVE + list(hypotheses).index(hypothesis) * PER_HYPOTHESIS
        draw = Draw(hypothesis=hypotheses[hypothesis], scenario=scenario, number=number, count=count)
        batches = self._batches(with_candidates(scenario, [candidate]), draw)
        self._spend([batches])
        ((_, samples),) = run_all({hypothesis: batches}, jobs=self._jobs)
        return stops_of(samples[candidate.name]).one_by_one

    def draws(self, stage: Stage, wave: int, until: float, over: float) -> list[Draw]:
        """What is simulated of each hypothesis: its severities, and how often each.

        Until `until` (s); of a hypothesis without a weight until `over`. Where whole periods are drawn and the rollout's phase is,
        too, each draw is a batch of one phase: all phases in each batch would cost as much as sixteen.
        """
        problem = self.problem
        hypotheses = problem.stratified(stage.strata)
        shares = Streams(seed=problem.seed, replication=wave).generator("recommend/severities").random(
            (len(hypotheses), stage.draws)
        )  # fmt: skip
        draws = []
        one_phase = problem.whole_periods and problem.scenario.phase_is_drawn
        phased = min(max(stage.others // PER_PHASE, FEWEST_PHASES), PARTS) if one_phase else 1
        for k, hypothesis in enumerate(hypotheses.values()):
            number = wave * PER_WAVE + k * PER_HYPOTHESIS
            several, count = (stage.draws, stage.each) if hypothesis.stratum else (phased, -(-stage.others // phased))
            end = until if hypothesis.weight else over
            for r in range(several):
                share = (r + float(shares[k, r])) / several if hypothesis.stratum else 0.0
                scenario = replace(hypothesis.drawn(problem.risk, share), horizon=end)
                if one_phase:
                    place = np.array([(wave * len(hypotheses) + k) * several + r])
                    scenario = scenario.with_phase(float(scenario.phases(problem.seed, place)[0]))
                draws.append(Draw(hypothesis=hypothesis, scenario=scenario, number=number + r, count=count))
        return draws

    def _work(self, candidates: Sequence[Candidate], draws: Sequence[Draw], until: float) -> dict[_Key, list[Batch]]:
        """The batches of each draw: of the candidates by their alarms, without a rollout, and of a bad version that nothing stops."""
        groups: dict[Alarm | None, list[Candidate]] = {}
        for candidate in candidates:
            groups.setdefault(candidate.alarm, []).append(candidate)
        work: dict[_Key, list[Batch]] = {}
        for k, draw in enumerate(draws):
            for alarm, group in groups.items():
                work[k, alarm] = self._batches(with_candidates(draw.scenario, group), draw)
            if draw.hypothesis.weight and not self.problem.whole_periods:
                work[k, STEADY] = self._batches(replace(self.problem.baseline, horizon=until), draw)
            if draw.hypothesis.weight and draw.hypothesis.severity is not None:
                work[k, UNWATCHED] = self._batches(_unwatched(draw.scenario), draw)
        return work

    def _exposure(
        self, draw: Draw, batches: Sequence[Batch], unwatched: Samples, baseline: Samples | None, until: float
    ) -> Exposure:
        """What the version of a draw adds that nothing stops, from its samples in these batches."""
        numbers = np.concatenate([np.arange(batch.first, batch.first + batch.count) for batch in batches])
        return Exposure(
            unwatched=unwatched,
            baseline=baseline,
            onset=self.problem.risk.onset,
            until=until - draw.scenario.start - draw.scenario.phases(self.problem.seed, numbers),
            found_after=self.problem.risk.found_after,
        )

    def _batches(self, scenario: Scenario, draw: Draw) -> list[Batch]:
        """The replications of a draw, of a scenario that follows from the draw's, as batches of the plane's size."""
        plane, first, count = self.problem.plane, draw.number, draw.count
        size = plane.batch
        if self.problem.whole_periods:
            size = min(count, LARGEST * (PHASED if scenario.phase_is_drawn else 1), plane.batch)
            plane, first = replace(plane, batch=size), draw.number * size
        names = tuple(scenario.strategies) or (STEADY,)
        return [
            Batch(
                scenario=scenario, strategies=names, plane=plane, seed=self.problem.seed,
                first=first + at, count=min(size, count - at),
            )
            for at in range(0, count, size)
        ]  # fmt: skip

    def _spend(self, work: Iterable[Sequence[Batch]]) -> None:
        """Counts what these batches nominally cost; what replications of the same number share, once."""
        drawn: set[int] = set()
        for batches in work:
            for batch in batches:
                until = batch.scenario.horizon
                cost = len(batch.strategies) * self.planner.runs(until, batch.count, batch.plane.batch)
                if batch.first not in drawn:
                    drawn.add(batch.first)
                    cost += self.planner.shared(until, batch.count)
                self.planner.effort.spend(cost, batch.count * len(batch.strategies))


def _unwatched(scenario: Scenario) -> Scenario:
    """The new version for everybody from the rollout's start, and nothing that stops it."""
    assert scenario.rollout is not None
    rollout = replace(scenario.rollout, alarms=())
    return replace(scenario, rollout=rollout, on_call=None, strategies={UNWATCHED: AllAtOnce()})
