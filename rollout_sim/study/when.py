"""When to deploy: what a bad version costs, and how soon it is found, by the hour at which its rollout begins.

Each hour is simulated by itself, at moments of the recorded traffic or of the day (`Scenario.at`), all with the same random
numbers. Few requests at night are few bad ones, but an alarm that needs requests is late then; so the two answers may differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.display import Plotted
from rollout_sim.core.files import FileReader
from rollout_sim.core.minutes import DAY, HOUR, moment_of
from rollout_sim.core.statistics import Estimate, mean_of, ratio_in_blocks, share_of
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.run.batch import Samples, stopped
from rollout_sim.run.simulate import Progress, part_of
from rollout_sim.scenario.scenario import Scenario, check_is_scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.comparison import approximations, compare
from rollout_sim.study.executor import one_plane

if TYPE_CHECKING:
    import pandas as pd

HOURS: Final = 24
_DAYS: Final = 7
"""Recorded days at most that each hour is simulated on, evenly spread."""
MEASURES: Final = ("bad_requests_added", "time_to_stop_s")
"""By which the best and the worst hour are told."""
_OFTEN: Final = 0.5
"""The share of the versions that must be stopped at an hour for its time to stop to count."""
_FRESH: Final = 1_000_003
"""Added to the seed for the figures of the hours that were chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours(Plotted):
    """What a bad version costs, and how soon it is stopped, by the hour of the day (UTC) at which its rollout begins."""

    scenario: Scenario
    """The scenario; its version with the fault is what is rolled out."""
    fault: str
    """The fault, in words."""
    seed: int
    """The seed of every hour."""
    replications: int
    """How many of each strategy and hour."""
    plane: EngineChoice
    """The data plane that ran them, and why it."""
    days: tuple[int, ...]
    """How many recorded days each hour was simulated on; 1 where traffic has no dates."""
    columns: dict[str, Samples]
    """By strategy: `bad_requests_added`, `time_to_stop_s` (s, NaN where it was not stopped), `stopped` (0 or 1), and the `hour` and
    `day` of each run: arrays of shape (runs,)."""
    fresh: dict[str, Samples]
    """The same once more, on random numbers of their own, of the hours that looked best and worst: those that chose them flatter."""
    asked: Engine | None = None
    """The engine that was asked for instead of the scenario's."""

    def estimates(self, strategy: str, measure: str) -> list[Estimate | None]:
        """A `measure` of `strategy` by hour: its mean, over the days where there are several; None where nothing was stopped."""
        return self._by_hour(self.columns[strategy], measure)

    @staticmethod
    def _by_hour(columns: Samples, measure: str) -> list[Estimate | None]:
        result: list[Estimate | None] = []
        for hour in range(HOURS):
            here = columns["hour"] == hour
            values, days = columns[measure][here], columns["day"][here]
            known = ~np.isnan(values)
            if not known.any():
                result.append(None)
            elif np.unique(days[known]).size > 1:
                blocks: IntArray = days[known].astype(np.int64)
                result.append(ratio_in_blocks(values[known], np.ones(int(known.sum())), blocks))
            elif measure == "stopped":
                result.append(share_of(values[known] > 0))
            else:
                result.append(mean_of(values, tail=False, unit=1.0 if measure == MEASURES[0] else 0.0))
        return result

    def extremes(self, strategy: str, measure: str) -> tuple[tuple[int, Estimate], tuple[int, Estimate]] | None:
        """The hour with the least of a `measure` of `strategy` and the one with the most, each with its fresh figure.

        None where no hour has it.
        """
        chosen, fresh = self.chosen(strategy, measure), self._by_hour(self.fresh[strategy], measure)
        if chosen is None:
            return None
        best, worst = chosen
        least, most = fresh[best], fresh[worst]
        return None if least is None or most is None else ((best, least), (worst, most))

    def chosen(self, strategy: str, measure: str) -> tuple[int, int] | None:
        """The hours with the least and the most of a `measure` of `strategy`, before they are looked at again; None if no hour has it.

        A time counts of hours at which at least half of the versions are stopped: elsewhere it is that of a lucky few.
        """
        stops = self.estimates(strategy, "stopped")
        often = [estimate is not None and estimate.mean >= _OFTEN for estimate in stops]
        known = {
            hour: estimate.mean
            for hour, estimate in enumerate(self.estimates(strategy, measure))
            if estimate is not None and (often[hour] or measure != "time_to_stop_s")
        }
        return (min(known, key=known.__getitem__), max(known, key=known.__getitem__)) if known else None

    def told_apart(self, strategy: str, measure: str) -> bool:
        """Whether the intervals of a `measure` of `strategy` do not touch in the best and in the worst hour."""
        extremes = self.extremes(strategy, measure)
        if extremes is None:
            return False
        (_, least), (_, most) = extremes
        return least.high is not None and most.low is not None and least.high < most.low

    @property
    def approximations(self) -> tuple[str, ...]:
        """What the figures assume beyond the scenario, a sentence each."""
        return approximations(self.scenario, self.plane)

    @property
    def frame(self) -> pd.DataFrame:
        """A row per strategy, hour and measure, with its interval."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"strategy": strategy, "hour": hour, "measure": measure} | estimate.to_json()
                for strategy in self.columns
                for measure in (*MEASURES, "stopped")
                for hour, estimate in enumerate(self.estimates(strategy, measure))
                if estimate is not None
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """What `when --json` prints: plain data."""
        entries = []
        for strategy in self.columns:
            entry: dict[str, Any] = {"strategy": strategy}
            for measure in MEASURES:
                entry[measure] = self._entry(strategy, measure)
            entries.append(entry)
        return {
            "scenario": self.scenario.name, "fault": self.fault, "seed": self.seed, "replications": self.replications,
            "engine": self.plane.engine, "engine_reason": self.plane.reason, "approximations": list(self.approximations),
            "days": list(self.days), "strategies": entries,
        }  # fmt: skip

    def _entry(self, strategy: str, measure: str) -> dict[str, Any] | None:
        """What `when --json` prints of a `measure` of `strategy`; None where no hour has it."""
        extremes = self.extremes(strategy, measure)
        if extremes is None:
            return None
        (best, least), (worst, most) = extremes
        estimates = self.estimates(strategy, measure)
        return {
            "best": {"hour": best, **least.to_json()},
            "worst": {"hour": worst, **most.to_json()},
            "told_apart": self.told_apart(strategy, measure),
            "by_hour": [None if estimate is None else estimate.to_json() for estimate in estimates],
        }

    def __repr__(self) -> str:
        return (
            f"{self.scenario.name}: {self.replications:,} runs of each strategy and hour of the day (UTC), {self.fault}"
        )


def when(
    scenario: Scenario,
    strategies: Sequence[str] = (),
    *,
    replications: int = 200,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Hours:
    """What a bad version costs, and how soon it is stopped, by the hour of the day (UTC) at which `scenario`'s rollout begins.

    Under each of its `strategies` (all by default), from so many `replications` of each hour with the `seed` on the `engine` (by
    default the scenario's). `jobs` processes share the work, and `progress` is called with the share that is done.
    The bad version has the goal's smallest fault that must be caught; without one, its own faults. Raises ScenarioError where
    neither traffic nor errors know the time of day, or no fault is given.
    """
    beginnings = prepare(scenario, strategies, replications=replications, seed=seed, engine=engine)
    return beginnings.run(jobs=jobs, progress=progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginnings:
    """The hours before they are simulated: the scenario with its fault at each moment at which a rollout begins."""

    scenario: Scenario
    fault: str
    seed: int
    replications: int
    asked: Engine | None
    """As in `Hours`."""
    strategies: tuple[str, ...]
    by_hour: tuple[tuple[Scenario, ...], ...]
    """By hour of the day the scenario with the fault that begins then, on each day."""
    plane: EngineChoice
    """The data plane that runs all of them."""

    def run(self, *, jobs: int = 1, progress: Progress | None = None) -> Hours:
        """Simulates all hours, and those that look best or worst once more; parameters are those of `when`."""
        columns = self._simulated(range(HOURS), self.seed, jobs, part_of(progress, 0.0, 0.8))
        result = Hours(
            scenario=self.scenario, fault=self.fault, seed=self.seed, replications=self.replications, plane=self.plane,
            days=tuple(map(len, self.by_hour)), columns=columns, fresh=columns, asked=self.asked,
        )  # fmt: skip
        hours = {hour for name in columns for measure in MEASURES for hour in result.chosen(name, measure) or ()}
        fresh = self._simulated(sorted(hours), self.seed + _FRESH, jobs, part_of(progress, 0.8, 1.0))
        return replace(result, fresh=fresh)

    def _simulated(self, hours: Sequence[int], seed: int, jobs: int, progress: Progress | None) -> dict[str, Samples]:
        """The runs of each strategy for each hour, spread over its days; hours share their random numbers, days do not."""
        columns: dict[str, dict[str, list[FloatArray]]] = {
            name: {key: [] for key in (*MEASURES, "stopped", "hour", "day")} for name in self.strategies
        }
        for number, hour in enumerate(hours):
            each = max(math.ceil(self.replications / len(self.by_hour[hour])), 2)
            for day, scenario in enumerate(self.by_hour[hour]):
                compared = compare(
                    scenario,
                    each,
                    self.strategies,
                    seed=seed + day,
                    twin=False,
                    jobs=jobs,
                    keep=False,
                    plane=self.plane,
                )
                for name, parts in columns.items():
                    samples = compared.columns[name]
                    parts["bad_requests_added"].append(samples["bad_requests_added"])
                    parts["time_to_stop_s"].append(samples["time_to_rollback_s"])
                    parts["stopped"].append(stopped(samples).astype(float))
                    parts["hour"].append(np.full(each, float(hour)))
                    parts["day"].append(np.full(each, float(day)))
            if progress is not None:
                progress((number + 1) / len(hours))
        return {name: {key: np.concatenate(arrays) for key, arrays in parts.items()} for name, parts in columns.items()}


def prepare(
    scenario: Scenario, strategies: Sequence[str] = (), *, replications: int = 200, seed: int | None = None,
    engine: Engine | None = None,
) -> Beginnings:  # fmt: skip
    """What `when` simulates, and the data plane that it takes; parameters and errors are those of `when`."""
    check_is_scenario(scenario)
    names = scenario.all_chosen(strategies or tuple(scenario.strategies))
    bad, fault = with_fault(scenario)
    moments = _moments(bad)
    if min(map(len, moments)) == 0:
        missing = ", ".join(f"{hour:02}:00" for hour, of_hour in enumerate(moments) if not of_hour)
        raise ScenarioError([f"{scenario.name}: the recording has no room for a rollout at {missing} UTC"])
    files = FileReader()
    by_hour = tuple(tuple(bad.at(moment, files) for moment in of_hour) for of_hour in moments)
    return Beginnings(
        scenario=scenario, fault=fault, seed=scenario.seed if seed is None else seed, replications=replications,
        strategies=names, by_hour=by_hour, asked=engine,
        plane=one_plane([choose_engine(moved, engine) for of_hour in by_hour for moved in of_hour]),
    )  # fmt: skip


def with_fault(scenario: Scenario) -> tuple[Scenario, str]:
    """The scenario with the goal's smallest fault that must be caught, else its own, and that in words. Raises ScenarioError."""
    new = scenario.deployment.new
    catch = scenario.goal.catch if scenario.goal is not None else None
    if catch is not None:
        severity = catch.of.spread.low
        return scenario.with_faults(new, [catch.of.fault(severity)]), catch.of.show(severity)
    own = scenario.function.versions[new].faults
    if not own:
        what = f"version {new} has none, and the goal catches none; nothing bad happens at any hour"
        raise ScenarioError([f"{scenario.name}: faults: {what}"])
    if len(own) == 1 and own[0].errors is not None:
        return scenario, f"{own[0].errors * 100:.3g}% errors"
    return scenario, f"the faults of version {new}" if len(own) > 1 else f"the fault of version {new}"


def _moments(scenario: Scenario) -> list[list[float]]:
    """For each hour of the day the moments (s since 1970) at which a rollout may begin, on several recorded days."""
    spans: list[tuple[float, float]] = []
    for source in scenario.traffic:
        trace = source.arrivals.trace
        if trace is None or trace.draw != "replay":
            continue
        recording = trace.recording
        if recording.start is None:
            raise ScenarioError([f"{scenario.name}: traffic: the trace {trace.file} has no dates, so it has no hours"])
        first, end = recording.start + scenario.start, recording.start + recording.length
        last = min(end, end + scenario.start - recording.period)  # the simulation, too, begins at a recorded moment
        spans.append((first, last if trace.repeat else end - (scenario.horizon - scenario.start)))
    for part in scenario.function.recorded().values():
        if part.draw == "replay":
            minutes = part.recording
            end = minutes.start + minutes.size * minutes.period
            spans.append((minutes.start + scenario.start, min(end, end + scenario.start - minutes.period)))
    if not spans:
        clocks = (source.arrivals.cron for source in scenario.traffic if source.arrivals.cron is not None)
        day = next((moment_of(clock.begin) // DAY * DAY for clock in clocks), DAY)  # any day where no calendar counts
        return [[hour * HOUR + day] for hour in range(HOURS)]
    first, last = max(first for first, _ in spans), min(last for _, last in spans)
    result = []
    for hour in range(HOURS):
        begin = math.ceil((first - hour * HOUR) / DAY) * DAY + hour * HOUR
        every = np.arange(begin, last + 1e-6, DAY)
        chosen = every[np.linspace(0, every.size - 1, min(_DAYS, every.size)).astype(np.int64)] if every.size else every
        result.append([float(moment) for moment in chosen])
    return result
