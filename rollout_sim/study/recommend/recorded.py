"""A recommendation from recorded minutes: searched on the first part of the recording, confirmed on the rest.

The search simulates, with the errors of the first part an hour at a time and its mean rate of requests. What it recommends is then
played on the days that it has not seen, whose rates, hours and spells nobody has fitted (`study.backtest`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rollout_sim.core.files import FileReader
from rollout_sim.core.minutes import DAY, Minutes, iso_of
from rollout_sim.errors import ScenarioError
from rollout_sim.function.recorded import RecordedErrors
from rollout_sim.study.backtest import MINUTES_FILE, Backtest, backtest, recorded
from rollout_sim.study.recommend.candidates import with_candidates
from rollout_sim.study.recommend.limits import Limit
from rollout_sim.study.recommend.search import Recommendation, prepare
from rollout_sim.traffic.source import Arrivals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sim.run.simulate import Progress
    from rollout_sim.scenario.goals import DeployWith, Goal
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.scenario.sections import Engine

_LEARNT: Final = 2 / 3
_FEWEST: Final = 3
"""Recorded days that are needed to search on some and to confirm on others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What the recommended rollout does on the recorded days that the search has not seen."""

    played: Backtest
    """The recommended rollout on those days."""
    strategy: str
    """Its name."""
    until: str
    """Where the part of the recording ends that was searched on."""

    def limits(self, goal: Goal) -> tuple[Limit, ...]:
        """The limits of the goal that recorded days can tell of, each with its estimate."""
        limits = []
        if goal.catch is not None and (caught := self.played.caught(self.strategy)) is not None:
            limits.append(Limit(name="catch", estimate=caught, at_least=goal.catch.at_least))
        if goal.false_rollback is not None:
            stopped = self.played.stopped_for_nothing(self.strategy)
            limits.append(Limit(name="false_rollback", estimate=stopped, at_most=goal.false_rollback.at_most))
        return tuple(limits)


def recommend_recorded(
    scenario: Scenario,
    data: str | Path,
    *,
    keep_alarms: bool = False,
    deploy_with: DeployWith | None = None,
    seed: int | None = None,
    engine: Engine | None = None,
    time: float | None = None,
    precision: float | None = None,
    runs: Sequence[int] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[Recommendation, Confirmation | None]:
    """The rollout to use by the first two thirds of the recorded days in the folder `data`, and what it does on the rest.

    Nothing is confirmed where nothing is recommended. Parameters and errors besides are those of `recommend`.
    """
    recording = recorded(scenario, data)
    days = recording.size * recording.period / DAY
    if days < _FEWEST:
        what = (
            f"{days:.3g} days were recorded; at least {_FEWEST} are needed to search on some and to confirm on others"
        )
        raise ScenarioError([f"{data}: {what}"])
    split = math.floor(days * _LEARNT) * DAY / (recording.size * recording.period)
    end = recording.start + split * recording.size * recording.period
    search = prepare(
        on_recorded(scenario, recording, data, end), deploy_with=deploy_with, seed=seed, engine=engine, jobs=jobs
    )
    searched = search.recommend(keep_alarms=keep_alarms, time=time, precision=precision, runs=runs, progress=progress)
    found = replace(searched, described=scenario, data=str(data))
    if found.winner is None:
        return found, None
    chosen = with_candidates(replace(scenario, goal=search.goal), [found.winner])
    (strategy,) = chosen.strategies
    played = backtest(chosen, data, seed=seed, first=split, jobs=jobs)
    return found, Confirmation(played=played, strategy=strategy, until=iso_of(end))


def on_recorded(scenario: Scenario, recording: Minutes, data: str | Path, end: float) -> Scenario:
    """The scenario with the mean rate, and the errors an hour at a time, of what was recorded before `end` (s since 1970).

    A new version with the old one's error rate keeps having it. Other aliases' traffic is as it was.
    """
    learnt = recording.between(0, round((end - recording.start) / recording.period))
    rate = float(learnt.invocations.sum()) / (learnt.size * learnt.period)
    if rate == 0:
        raise ScenarioError([f"{data}: nobody called {recording.of} before {iso_of(end)}"])
    shares = [scenario.rates[scenario.alias], rate]
    sources = tuple(
        replace(source, arrivals=_at_rate(source.arrivals, shares[1] / shares[0]))
        if source.alias == scenario.alias
        else source
        for source in scenario.traffic
    )
    errors = RecordedErrors(minutes=MINUTES_FILE, of=recording.of, draw="blocks", end=iso_of(end))
    errors = errors.with_files(Path(data), FileReader())
    before = scenario.function.versions[scenario.old].error_rate
    versions = {
        number: replace(spec, error_rate=errors) if spec.error_rate == before or number == scenario.old else spec
        for number, spec in scenario.function.versions.items()
    }
    return replace(scenario, traffic=sources, function=replace(scenario.function, versions=versions))


def _at_rate(arrivals: Arrivals, factor: float) -> Arrivals:
    """Arrivals of `factor` times the mean rate: a recording's give way to a constant rate, the others keep their shape."""
    if arrivals.trace is None:
        return arrivals.scaled(factor)
    recording = arrivals.trace.recording
    rate = float(recording.per_period.sum()) * arrivals.trace.scale * arrivals.trace.speed / recording.length
    return Arrivals(poisson=rate * factor)
