"""The problem: what a search decides between, over which hypotheses, on which data plane, and how much time is simulated.

It is a problem of *ranking and selection*, as the literature calls it: of many candidates, find the best whose constraints are kept,
where each can only be simulated. Everything here is fixed before the first replication.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from rollout_sim.control.alarms import Alarm
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.scenario.goals import Goal, Risk
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.executor import one_plane
from rollout_sim.study.recommend.advice import few_counted
from rollout_sim.study.recommend.candidates import Candidate, alarms, strategies, with_candidates
from rollout_sim.study.recommend.hypotheses import (
    GOOD,
    STRATA,
    Evaluation,
    Evidence,
    Hypothesis,
    evaluate,
    hypotheses_of,
)

WINDOW: Final = 600.0
"""Seconds after the onset that are simulated at least, to see at which rate a bad version does harm."""


@dataclass(frozen=True, kw_only=True)
class SelectionProblem:
    """Which rollout of a scenario is to be selected, and by what.

    Every candidate meets the same hypotheses on the same random numbers, and one data plane runs all of them, so that their
    replications are pairs of one another and of the run without a rollout. What is simulated lasts as long as the longest of
    the candidates, wherever the file's horizon lies.
    """

    scenario: Scenario
    """With a rollout, alarms and an SLO (`defaults.obstacles`)."""
    goal: Goal
    risk: Risk
    seed: int
    asked: Engine | None = None
    """The engine that was asked for instead of the file's."""

    @cached_property
    def hypotheses(self) -> dict[str, Hypothesis]:
        """The hypotheses by name, with as many strata as closed forms are asked for."""
        return self.stratified(STRATA)

    def stratified(self, strata: int) -> dict[str, Hypothesis]:
        """The hypotheses by name, with the risk's severities in so many strata."""
        return hypotheses_of(self.scenario, self.goal, self.risk, strata)

    def evaluate(self, candidate: Candidate, evidence: Evidence, strata: int) -> Evaluation:
        """The evaluation of a candidate from evidence that has so many strata."""
        return evaluate(candidate, self.stratified(strata), evidence, self.goal)

    @cached_property
    def latency(self) -> bool:
        """Whether bad releases are slow ones, and alarms look at durations; else they fail."""
        return self.risk.severity.latency is not None

    @cached_property
    def rate(self) -> float:
        """Requests per second to the rollout's alias."""
        return self.scenario.rates[self.scenario.alias]

    @cached_property
    def alarms(self) -> list[Alarm]:
        """The alarms that are tried."""
        few = few_counted(self.goal, self.rate, latency=self.latency)
        return alarms(self.scenario, latency=self.latency, few=few)

    @cached_property
    def baseline(self) -> Scenario:
        """The same traffic without a rollout. The alarms act no more, but their periods are what is counted by."""
        return self.hypotheses[GOOD].scenario.without_rollout()

    @cached_property
    def plane(self) -> EngineChoice:
        """The fastest data plane that is exact for everything that is simulated, and its smallest batch.

        Neither the strategies nor an alarm's threshold and datapoints have a say in it, and the alarms that are tried
        differ in nothing else that has, so one of them stands for all; of a part of the severities the highest does.
        Raises ScenarioError where the engine that was asked for does not run one of the hypotheses.
        """
        watched = strategies(self.scenario)[0].watched_by(self.alarms[0])
        scenarios = [self.baseline]
        for hypothesis in self.hypotheses.values():
            worst = hypothesis.drawn(self.risk, 1.0)
            scenarios += [worst, with_candidates(worst, [watched])]
        return one_plane([choose_engine(scenario, self.asked) for scenario in scenarios])

    @property
    def whole_periods(self) -> bool:
        """Whether whole periods are drawn, so that replications are cheap; else every invocation is simulated."""
        return self.plane.engine == "aggregate"

    # ------------------------------------------------------------------ times, in seconds from the start of the simulation

    @cached_property
    def trace_end(self) -> float:
        """Where the traffic to the rollout's alias ends (s): with the first of its traces, else never."""
        traces = [
            source.arrivals.trace
            for source in self.scenario.traffic
            if source.alias == self.scenario.alias and source.arrivals.trace is not None
        ]
        return min((trace.recording.length / trace.speed for trace in traces if not trace.endless), default=math.inf)

    def deployment_end(self, candidate: Candidate) -> float:
        """When the candidate's deployment is over at the latest (s)."""
        return self.scenario.over_by(candidate.plan)

    def ends_within_trace(self, candidate: Candidate) -> bool:
        """Whether there is traffic until the candidate's deployment is over."""
        return self.deployment_end(candidate) <= self.trace_end

    def deployments_over(self, candidates: Sequence[Candidate]) -> float:
        """Where the deployments of all of these candidates are over (s): what stops is known, if not what it costs."""
        resolution = self.scenario.resolution
        until = max(self.deployment_end(candidate) for candidate in candidates)
        return min((math.floor(until / resolution) + 1) * resolution, self.trace_end)

    def costs_known(self, candidates: Sequence[Candidate]) -> float:
        """Where the simulated time of these candidates ends (s): all are over, and a bad version has shown what it does.

        Where there is somebody on call, a bad version that nothing stops would have been found by then.
        """
        latest = self.scenario.starts[-1]
        until = max([*map(self.deployment_end, candidates), latest + self.risk.onset + WINDOW])
        if self.scenario.on_call is not None:
            full = max(candidate.plan.time_to_full for candidate in candidates)
            until = max(until, latest + max(full, self.risk.onset) + self.risk.found_after)
        resolution = self.scenario.resolution
        return min(math.ceil(until / resolution) * resolution, self.trace_end)
