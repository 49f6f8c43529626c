"""A recommendation from recorded minutes: searched on the first part of the recording, confirmed on the rest.

The search simulates hours of the first part, drawn by chance: their traffic, errors, throttles and durations as they were together.
What it recommends is then played on the days that it has not seen, whose rates, hours and spells nobody has fitted (`study.backtest`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout_sim.core.curves import FEWEST, MEASURED
from rollout_sim.core.files import FileReader
from rollout_sim.core.minutes import DAY, Minutes, iso_of
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.function.recorded import RecordedDurations, RecordedErrors, RecordedThrottles
from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.study.backtest import MINUTES_FILE, Backtest, backtest, recorded
from rollout_sim.study.recommend.candidates import with_candidates
from rollout_sim.study.recommend.limits import Limit
from rollout_sim.study.recommend.recommendation import Recommendation
from rollout_sim.study.recommend.search import Search, prepare
from rollout_sim.traffic.processes import arrival_process
from rollout_sim.traffic.source import Arrivals, TraceFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_sim.run.simulate import Progress
    from rollout_sim.scenario.goals import DeployWith, Goal
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.scenario.sections import Engine

_LEARNT: Final = 2 / 3
"""The share of the recorded days that is searched on, in whole days."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSearch:
    """A search on the first two thirds of the recorded days in the folder `data`, and what plays its answer on the rest."""

    scenario: Scenario
    """The file's."""
    recording: Minutes
    data: str | Path
    split: float
    """The share of the recording that is searched on."""
    search: Search
    """The search on that part, with what was recorded in the place of the scenario's own."""

    def recommend(
        self, *, keep_alarms: bool = False, time: float | None = None, precision: float | None = None,
        runs: Sequence[int] | None = None, progress: Progress | None = None,
    ) -> tuple[Recommendation, Confirmation | None]:  # fmt: skip
        """The rollout to use by the first part, and what it does on the rest; parameters are those of `recommend`.

        Nothing is confirmed where nothing is recommended.
        """
        recording, search = self.recording, self.search
        end = iso_of(recording.start + self.split * recording.size * recording.period)
        searched = search.recommend(
            keep_alarms=keep_alarms, time=time, precision=precision, runs=runs, progress=progress
        )
        note = f"searched on hours of {recording.of} that were recorded before {end} UTC, drawn by chance"
        if searched.winner is None:
            note += "; nothing is recommended, so nothing is played on the days after"
        recommendation = replace(searched, described=self.scenario, data=str(self.data), notes=(*searched.notes, note))
        if recommendation.winner is None:
            return recommendation, None
        chosen = with_candidates(replace(self.scenario, goal=search.problem.goal), [recommendation.winner])
        (strategy,) = chosen.strategies
        played = backtest(chosen, self.data, seed=search.problem.seed, first=self.split, jobs=search.jobs)
        return recommendation, Confirmation(played=played, strategy=strategy, until=end)


def prepare_recorded(
    scenario: Scenario,
    data: str | Path,
    *,
    deploy_with: DeployWith | None = None,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int | None = 1,
) -> RecordedSearch:
    """The search on the first two thirds of the recorded days in the folder `data`.

    Parameters and errors are those of `recommend`; raises ScenarioError for fewer days than it takes.
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
    return RecordedSearch(scenario=scenario, recording=recording, data=data, split=split, search=search)


def on_recorded(scenario: Scenario, recording: Minutes, data: str | Path, end: float) -> Scenario:
    """The scenario with what was recorded before `end` (s since 1970), its hours drawn by chance.

    A new version with the old one's errors or durations keeps having them. Throttles are others' doing where the function has no
    limits of its own. Durations are recorded ones where anything depends on them. Other aliases' traffic is as it was, and so
    is what is polled: recorded invocations are batches, not records.
    """
    learnt = recording.between(0, round((end - recording.start) / recording.period))
    if not learnt.invocations.any():
        raise ScenarioError([f"{data}: nobody called {recording.of} before {iso_of(end)}"])
    hours: dict[str, Any] = {"of": recording.of, "draw": "blocks", "end": iso_of(end)}
    files, folder, function = FileReader(), Path(data), scenario.function
    called = [i for i, source in enumerate(scenario.traffic) if source.alias == scenario.alias and not source.polled]
    rates = [arrival_process(source.arrivals, Streams(seed=0), "rates").long_run_rate for source in scenario.traffic]
    sources, whole = list(scenario.traffic), math.fsum(rates[i] for i in called)
    for i in called:
        trace = TraceFile(
            file=MINUTES_FILE, layout="minutes", function=recording.of, draw="blocks", end=iso_of(end), scale=rates[i] / whole
        )  # fmt: skip
        sources[i] = replace(sources[i], arrivals=Arrivals(trace=trace.with_files(folder, files)))
    parts: dict[str, Any] = {"error_rate": RecordedErrors(minutes=MINUTES_FILE, **hours).with_files(folder, files)}
    if function.reserved_concurrency is None and function.managed is None and learnt.throttles.any():
        throttles = RecordedThrottles(minutes=MINUTES_FILE, **hours).with_files(folder, files)
        function = replace(function, throttled=throttles)

    def with_parts() -> Scenario:
        """With the recorded traffic, and with what is in `parts` in every version that had the old one's."""
        old = function.versions[scenario.old]
        versions = {
            number: replace(
                spec, **{name: part for name, part in parts.items() if getattr(spec, name) == getattr(old, name)}
            )
            for number, spec in function.versions.items()
        }
        return replace(scenario, traffic=tuple(sources), function=replace(function, versions=versions))

    recorded_scenario = with_parts()
    old = function.versions[scenario.old]
    if (
        sum(not np.isnan(learnt.columns[name]).all() for name in MEASURED) >= FEWEST
        and not (old.per_mb or old.per_record)
        and (_reads_durations(scenario) or inexactness(recorded_scenario))
    ):
        parts["duration"] = RecordedDurations(minutes=MINUTES_FILE, **hours).with_files(folder, files)
        recorded_scenario = with_parts()
    return recorded_scenario


def _reads_durations(scenario: Scenario) -> bool:
    """Whether an alarm, an objective or the goal looks at how long invocations take."""
    readings = [reading for alarm in scenario.alarms.values() for reading in alarm.readings.values()]
    goal, risk = scenario.goal, scenario.risk
    severities = [
        *([goal.catch.of] if goal is not None and goal.catch else []),
        *([risk.severity] if risk is not None else []),
    ]
    return (
        any(reading.kind == "duration" for reading in readings)
        or any(slo.latency is not None for slo in scenario.slos)
        or any(severity.latency is not None for severity in severities)
    )
