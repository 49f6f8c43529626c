"""Backtest: the rollouts of a scenario played on recorded minutes, from every minute of the recording.

First as if a version exactly as good had been deployed: what stops that one stops it for nothing. Then with a fault added to the
recorded requests. The controller and the alarms are those of every simulation; the data plane is `planes.recorded`, whose
replications are the beginnings. Neighbouring beginnings see the same minutes, so intervals come from whole days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.controller import BLOCKED, FAILED, ROLLED_BACK
from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray
from rollout_sim.core.display import Plotted
from rollout_sim.core.files import FileReader
from rollout_sim.core.minutes import DAY, HOUR, Minutes, iso_of, read_minutes, stamp_of
from rollout_sim.core.statistics import Estimate, mean_of, ratio_in_blocks, share_in_blocks
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.aggregate.limits import waiting_for_answers
from rollout_sim.planes.recorded import RecordedPlane, approximated, shortcomings
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.run.batch import stopped
from rollout_sim.run.driver import Driver
from rollout_sim.run.simulate import Progress
from rollout_sim.run.wiring import build_alarms, build_controller, build_metrics, lookback
from rollout_sim.scenario.scenario import Scenario, check_is_scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.clumping import clumping
from rollout_sim.study.comparison import Comparison, compare, good_twin
from rollout_sim.study.when import with_fault

if TYPE_CHECKING:
    import pandas as pd

MINUTES_FILE: Final = "minutes.csv"
"""The file of a folder of recorded data that a backtest reads."""
MAX_BYTES: Final = 1 << 29
"""Of that file."""
_MEMORY: Final = 2**27
"""Cells of the metrics that are held at a time."""
_MOMENTS: Final = 24
"""Moments of the recording at which the model predicts, where its traffic follows the recording or the time of day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What became of one strategy from each beginning: arrays of shape (beginnings,)."""

    stopped: BoolArray
    """Rolled back by an alarm, or failed in a hook."""
    blocked: BoolArray
    """Did not begin, because an alarm was in ALARM already."""
    time_to_stop: FloatArray
    """Seconds from the rollout's start until the alias was back; NaN where it was not rolled back."""
    stopped_by: dict[str, BoolArray]
    """By alarm: in ALARM when the deployment was rolled back."""
    added: IntArray
    """Bad requests that the fault added, up to the end of the deployment."""
    requests: IntArray
    """Requests in the time that was played."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest(Plotted):
    """The rollouts of a scenario on recorded minutes, beside what the scenario itself predicts."""

    scenario: Scenario
    """The scenario whose strategies and alarms were played."""
    folder: str
    """The folder with the recorded minutes."""
    recording: Minutes
    """What was recorded of the rollout's alias."""
    begins: FloatArray
    """When each rollout began (s since 1970): shape (beginnings,)."""
    seed: int
    """The seed of the thinning, and of the prediction."""
    replications: int
    """How many runs of each strategy the prediction rests on."""
    good: dict[str, Played]
    """By strategy, a version exactly as good as what was recorded."""
    bad: dict[str, Played]
    """By strategy, with `fault` added; empty where the scenario has no fault to look for."""
    fault: str
    """The fault that was added, in words."""
    predicted: Comparison
    """What the scenario says, of the version with the fault where there is one; its twin is the good version."""
    moments: tuple[str, ...] = ()
    """The recorded moments at which it predicts; empty where they do not matter to it."""
    left_out: int = 0
    """Recorded minutes from which nothing could be played: too near to the beginning or the end."""
    notes: tuple[str, ...] = ()
    """What was assumed, a sentence each."""
    differences: tuple[str, ...] = ()
    """In what the recording differs from the scenario, as far as it bears on alarms, a sentence each."""
    asked: Engine | None = None
    """The engine of the prediction that was asked for instead of the scenario's."""

    @property
    def days(self) -> IntArray:
        """The day of each beginning, counted from the first: shape (beginnings,)."""
        return np.floor((self.begins - self.recording.start) / DAY).astype(np.int64)

    @property
    def hours(self) -> IntArray:
        """The hour of the day, in UTC, of each beginning."""
        return (self.begins % DAY // HOUR).astype(np.int64)

    @property
    def weekdays(self) -> IntArray:
        """The weekday of each beginning: 0 is Monday."""
        return ((self.begins // DAY + 3) % 7).astype(np.int64)

    def stopped_for_nothing(self, strategy: str) -> Estimate:
        """How often `strategy` would have stopped a version exactly as good."""
        return self._share(self.good[strategy].stopped, strategy)

    def blocked(self, strategy: str) -> Estimate:
        """How often the deployment of a `strategy` would not have begun."""
        return self._share(self.good[strategy].blocked, strategy)

    def caught(self, strategy: str) -> Estimate | None:
        """How often `strategy` would have caught the fault; one that does not begin catches nothing. None without a fault."""
        if not self.bad:
            return None
        return self._share(self.bad[strategy].stopped, strategy)

    def time_to_stop(self, strategy: str) -> Estimate | None:
        """Seconds until `strategy` stopped the version with the fault; None where it never did."""
        if not self.bad:
            return None
        times = self.bad[strategy].time_to_stop
        known = ~np.isnan(times)
        if not known.any():
            return None
        mean = ratio_in_blocks(times[known], np.ones(int(known.sum())), self.days[known])
        whole = mean_of(times)
        assert mean is not None
        assert whole is not None
        # Those of the quantiles would take neighbouring beginnings for independent ones.
        return replace(mean, quantiles={name: (value, None, None) for name, (value, _, _) in whole.quantiles.items()})

    def predicted_stops(self, strategy: str, *, good: bool) -> Estimate | None:
        """What the scenario itself says of that: how often `strategy` stops a `good` version, or else the one with the fault."""
        side = (self.predicted.twin or self.predicted) if good else self.predicted
        if not self.moments:
            return side.estimates(strategy)["stopped"]
        hits = stopped(side.columns[strategy])
        return share_in_blocks(hits, np.arange(hits.size) * len(self.moments) // hits.size, hits.size)

    def by_hour(self, strategy: str, *, good: bool = True) -> FloatArray:
        """The share of the beginnings of each weekday and hour (UTC) that `strategy` stopped: shape (7, 24), NaN without a beginning.

        Of the `good` version, or of the one with the fault.
        """
        ended = (self.good if good else self.bad)[strategy].stopped
        hour_of_week = self.weekdays * 24 + self.hours
        total = np.bincount(hour_of_week, minlength=168).astype(float)
        hits = np.bincount(hour_of_week, weights=ended.astype(float), minlength=168)
        shares: FloatArray = np.divide(hits, total, out=np.full(168, math.nan), where=total > 0)
        return shares.reshape(7, 24)

    def by_day(self, strategy: str) -> dict[str, float]:
        """By date the share of the day's beginnings at which `strategy` would have stopped a good version, where it stopped any."""
        dates = np.floor(self.begins / DAY).astype(np.int64)
        ended = self.good[strategy].stopped
        shares = {int(date): float(ended[dates == date].mean()) for date in np.unique(dates)}
        return {stamp_of(date * DAY)[:10]: share for date, share in shares.items() if share > 0}

    def by_alarm(self, strategy: str) -> dict[str, float]:
        """By alarm the share of the good version's stops under `strategy` at which it was in ALARM; empty without a stop."""
        played = self.good[strategy]
        total = int(played.stopped.sum())
        return {name: float(hits.sum()) / total for name, hits in played.stopped_by.items()} if total else {}

    def disagreements(self, strategy: str) -> tuple[str, ...]:
        """Where the recording and the scenario differ of a `strategy` beyond both intervals, in words, with what they differ in.

        Empty where they do not.
        """
        compared = [
            ("a good version is stopped", self.stopped_for_nothing(strategy), self.predicted_stops(strategy, good=True))
        ]
        if (caught := self.caught(strategy)) is not None:
            compared.append(("the fault is caught", caught, self.predicted_stops(strategy, good=False)))
        sentences = []
        for what, measured, predicted in compared:
            if predicted is not None and _apart(measured, predicted):
                word = "less" if predicted.mean < measured.mean else "more"
                sentences.append(f"the scenario makes it {word} likely than the recording that {what}")
        return tuple(sentences)

    def _share(self, hits: BoolArray, strategy: str) -> Estimate:
        plan = self.scenario.strategies[strategy].plan
        apart = max(plan.length + _lookback(self.scenario), HOUR / 2)
        independent = max(self.begins.size * self.recording.period / apart, 1.0)
        return share_in_blocks(hits, self.days, independent)

    @property
    def frame(self) -> pd.DataFrame:
        """A row per strategy and beginning: `begin`, whether it was stopped for nothing, blocked, and caught, and when."""
        import pandas as pd

        parts = []
        for strategy, played in self.good.items():
            part = {
                "strategy": strategy, "begin": [iso_of(t) for t in self.begins.tolist()],
                "stopped_for_nothing": played.stopped, "blocked": played.blocked,
            }  # fmt: skip
            if self.bad:
                part |= {"caught": self.bad[strategy].stopped, "time_to_stop_s": self.bad[strategy].time_to_stop}
            parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    def to_json(self) -> dict[str, Any]:
        """What `backtest --json` prints: plain data."""
        return {
            "scenario": self.scenario.name,
            "folder": self.folder,
            "of": self.recording.of,
            "from": iso_of(self.recording.start),
            "to": iso_of(self.recording.start + self.recording.size * self.recording.period),
            "beginnings": int(self.begins.size),
            "left_out": self.left_out,
            "seed": self.seed,
            "fault": self.fault or None,
            "strategies": [self._entry(strategy) for strategy in self.good],
            "differences": list(self.differences),
            "notes": list(self.notes),
        }

    def _entry(self, strategy: str) -> dict[str, Any]:
        def plain(estimate: Estimate | None) -> dict[str, float | None] | None:
            return None if estimate is None else estimate.to_json()

        table = self.by_hour(strategy)
        counts = np.bincount(self.hours, minlength=24)
        hits = np.bincount(self.hours, weights=self.good[strategy].stopped.astype(float), minlength=24)
        return {
            "strategy": strategy,
            "stopped_for_nothing": plain(self.stopped_for_nothing(strategy)),
            "predicted": plain(self.predicted_stops(strategy, good=True)),
            "blocked": plain(self.blocked(strategy)),
            "by_hour": [hits[k] / counts[k] if counts[k] else None for k in range(24)],
            "by_weekday_and_hour": [[None if math.isnan(x) else x for x in row] for row in table.tolist()],
            "by_day": self.by_day(strategy),
            "by_alarm": self.by_alarm(strategy),
            "caught": plain(self.caught(strategy)),
            "predicted_caught": plain(self.predicted_stops(strategy, good=False) if self.bad else None),
            "time_to_stop_s": plain(self.time_to_stop(strategy)),
            "disagreements": list(self.disagreements(strategy)),
        }

    def __repr__(self) -> str:
        days = self.recording.size * self.recording.period / DAY
        return (
            f"{self.scenario.name}: {self.begins.size:,} beginnings in {days:.3g} recorded days of {self.recording.of}"
        )


def backtest(
    scenario: Scenario,
    data: str | Path,
    strategies: Sequence[str] = (),
    *,
    seed: int | None = None,
    engine: Engine | None = None,
    replications: int = 1000,
    first: float = 0.0,
    last: float = 1.0,
    jobs: int | None = 1,
    progress: Progress | None = None,
) -> Backtest:
    """The rollouts of a `scenario`'s `strategies` (all by default) from every minute of the recording in the folder `data`.

    The fault that is added is the goal's smallest one that must be caught; without one, the new version's own. `first` and
    `last` are the shares of the recording between which rollouts begin. The model's prediction rests on so many `replications`
    with the `seed` on the `engine` (by default the scenario's). `jobs` processes share the work (None: as many as there are
    processors, where it is worth it), and `progress` is called with the share that is done. Raises ScenarioError for what cannot
    be played on recorded minutes.
    """
    check_is_scenario(scenario)
    seed = scenario.seed if seed is None else seed
    names = scenario.all_chosen(strategies or tuple(scenario.strategies))
    recording = recorded(scenario, data)
    good, bad, fault = _versions(scenario)
    played = [good] if bad is None else [good, bad]
    reasons = tuple(dict.fromkeys(reason for version in played for reason in shortcomings(version, recording)))
    if reasons:
        raise ScenarioError([f"{scenario.name}: cannot be played on recorded minutes: {reason}" for reason in reasons])
    usable = _beginnings(recording, _lead(good), max(_length(good, name) for name in names), first, last, data)
    parts = len(names) * len(played)
    results: list[dict[str, Played]] = []
    for number, version in enumerate(played):
        results.append({})
        for k, name in enumerate(names):
            results[-1][name] = _play(version, name, recording, usable, seed)
            if progress is not None:
                progress(0.7 * (number * len(names) + k + 1) / parts)
    predicted, moments, why_no_moments = _predict(
        bad or good, names, recording, usable, seed=seed, engine=engine, replications=replications, jobs=jobs
    )
    if progress is not None:
        progress(1.0)
    return Backtest(
        scenario=scenario, folder=str(data), recording=recording, seed=seed, replications=replications,
        begins=np.asarray(recording.start + usable * recording.period, np.float64), good=results[0],
        bad=results[1] if bad is not None else {},
        fault=fault, predicted=predicted, moments=moments, left_out=recording.size - usable.size,
        notes=_notes(scenario, recording, why_no_moments),
        differences=clumping(recording).against(scenario), asked=engine,
    )  # fmt: skip


def _beginnings(
    recording: Minutes, before: float, after: float, first: float, last: float, data: str | Path
) -> IntArray:
    """The recorded minutes at which a rollout may begin: with `before` seconds ahead of them in the recording, and `after` behind.

    They lie between the shares `first` and `last` of it. Raises ScenarioError, about the folder `data`, where there is none.
    """
    minutes = np.arange(recording.size)
    room = (minutes * recording.period >= before) & ((recording.size - minutes) * recording.period >= after)
    usable: IntArray = minutes[room & (minutes >= first * recording.size) & (minutes < last * recording.size)]
    if not usable.size:
        lasts, needs = recording.size * recording.period / HOUR, (before + after) / HOUR
        raise ScenarioError([f"{data}: {lasts:.3g} h were recorded; alarms and rollouts together need {needs:.3g} h"])
    return usable


def _notes(scenario: Scenario, recording: Minutes, why_no_moments: str) -> tuple[str, ...]:
    """What a backtest assumes, a sentence each, with that about the recorded moments at which nothing is predicted, if any."""
    notes = [*approximated(scenario, recording), *([why_no_moments] if why_no_moments else [])]
    if scenario.incident:
        notes.append("the scenario's incident is left out: what happened is in the recording")
    if scenario.on_call is not None:
        notes.append("on-call is left out: a rollout is played until its alarms no longer act")
    if recording.of != f"alias:{scenario.alias}":
        notes.append(
            f"the alias {scenario.alias} is not in the recording: the minutes of the whole function are played"
        )
    if recording.coarser:
        notes.append(f"{recording.coarser:,} rows of other periods were passed over")
    return tuple(notes)


def predicting_planes(scenario: Scenario, engine: Engine | None = None) -> tuple[EngineChoice, ...]:
    """The data planes on which the model predicts, beside the recording, what becomes of a `scenario`'s bad and good version.

    `engine` is asked for instead of the scenario's. Raises ScenarioError where that is not exact.
    """
    good, bad, _ = _versions(scenario)
    return tuple(choose_engine(side, engine) for side in _with_twin(bad or good))


def recorded(scenario: Scenario, data: str | Path) -> Minutes:
    """What the folder `data` has of the rollout's alias, or of the function where the alias is not in it. Raises ScenarioError."""
    path = Path(data) / MINUTES_FILE
    try:
        try:
            return read_minutes(path, f"alias:{scenario.alias}")
        except ValueError as error:
            if "holds no row of" not in str(error):
                raise
            return read_minutes(path, "function")
    except ValueError as error:
        raise ScenarioError([str(error)]) from None


def _versions(scenario: Scenario) -> tuple[Scenario, Scenario | None, str]:
    """The scenario with a good version and with the fault to look for, played alone; and that fault in words."""
    new = scenario.deployment.new
    alone = replace(scenario, incident=(), on_call=None, promotions=(), goal=None, risk=None)
    good = alone.with_faults(new, ())
    goal = replace(scenario, incident=(), on_call=None, promotions=())
    if not scenario.function.versions[new].faults and (scenario.goal is None or scenario.goal.catch is None):
        return good, None, ""
    bad, words = with_fault(goal)
    return good, replace(bad, goal=None, risk=None), words


def _lookback(scenario: Scenario) -> float:
    """How far the acting alarms and the objectives look back (s)."""
    return lookback([scenario.alarms[name] for name in scenario.evaluated], scenario.slos)


def _lead(scenario: Scenario) -> float:
    """Seconds before the rollout's start that are played, because the alarms look at them: whole hours where states are kept."""
    needed: float = math.ceil((_lookback(scenario) + 60.0) / 60.0) * 60.0
    return max(needed, HOUR) if _keeps_states(scenario) else needed


def _keeps_states(scenario: Scenario) -> bool:
    """Whether an acting alarm may keep the state that it had, whatever happened before it looks back."""
    acting = [scenario.alarms[name] for name in scenario.evaluated]
    return any("ignore" in (alarm.missing, alarm.low_samples) for alarm in acting)


def _length(scenario: Scenario, strategy: str) -> float:
    """Seconds from the rollout's start until its alarms no longer act, whatever happens."""
    plan = scenario.strategies[strategy].plan
    assert scenario.rollout is not None
    phase = scenario.period_of_phases if scenario.phase_is_drawn else scenario.start - (scenario.rollout.start or 0.0)
    end = phase + scenario.latest_end(plan) + waiting_for_answers(scenario, plan) + scenario.deployment.revert
    length: float = math.ceil((end + 60.0) / 60.0) * 60.0
    return length


def _play(scenario: Scenario, strategy: str, recording: Minutes, starts: IntArray, seed: int) -> Played:
    """One strategy from each of the recorded minutes `starts`, some of them at a time as memory has it."""
    assert scenario.rollout is not None
    lead = math.ceil(_lead(scenario) / recording.period) * recording.period
    moved = replace(
        scenario,
        rollout=replace(
            scenario.rollout, start=lead, phase="random" if scenario.phase_is_drawn else scenario.rollout.phase
        ),
        horizon=lead + _length(scenario, strategy),
        engine="auto",
    )
    cells = max(math.ceil(moved.horizon / moved.resolution), 1) * 10
    size = max(_MEMORY // cells, 1)
    # Beginnings whose phase is drawn are played with those of the same phase.
    phases = moved.phases(seed, starts)
    groups = [
        (moved.with_phase(phase) if moved.phase_is_drawn else moved, np.flatnonzero(phases == phase))
        for phase in np.unique(phases).tolist()
    ]
    parts = [(phased, members[k : k + size]) for phased, members in groups for k in range(0, members.size, size)]
    played = [
        _play_part(phased, strategy, recording, starts[members], Streams(seed=seed, replication=number))
        for number, (phased, members) in enumerate(parts)
    ]
    order = np.argsort(np.concatenate([members for _, members in parts]))

    def together(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(arrays)[order]

    return Played(
        stopped=together([part.stopped for part in played]),
        blocked=together([part.blocked for part in played]),
        time_to_stop=together([part.time_to_stop for part in played]),
        stopped_by={name: together([part.stopped_by[name] for part in played]) for name in played[0].stopped_by},
        added=together([part.added for part in played]),
        requests=together([part.requests for part in played]),
    )


def _play_part(scenario: Scenario, strategy: str, recording: Minutes, starts: IntArray, streams: Streams) -> Played:
    """The same for as many as fit into memory; `scenario` begins so long before its rollout as the alarms look back."""
    names, size = scenario.evaluated, starts.size
    replications = [Streams(seed=streams.seed, replication=int(start)) for start in starts]
    metrics = build_metrics(scenario, names, replications=size)
    evaluator = build_alarms(scenario, metrics, scenario.rates, replications, names)
    controller = build_controller(
        scenario, scenario.strategies[strategy].plan, evaluator, replications,
        record=False, watch_from=-1.0 if _keeps_states(scenario) else scenario.start - 60.0,
    )  # fmt: skip
    assert scenario.rollout is not None
    begins = starts - round((scenario.rollout.start or 0.0) / recording.period)
    plane = RecordedPlane(scenario, recording, begins, metrics, streams.generator("backtest"))
    totals = Driver(plane, controller, scenario).run()
    assert totals.added is not None
    return Played(
        stopped=(controller.outcome == ROLLED_BACK) | (controller.outcome == FAILED),
        blocked=controller.outcome == BLOCKED,
        time_to_stop=controller.rolled_back_at - scenario.start,
        stopped_by={name: hits.copy() for name, hits in zip(controller.watched, controller.stopped_by.T, strict=True)},
        added=totals.added,
        requests=totals.requests,
    )


def _predict(
    scenario: Scenario, names: tuple[str, ...], recording: Minutes, starts: IntArray,
    *, seed: int, engine: Engine | None, replications: int, jobs: int | None,
) -> tuple[Comparison, tuple[str, ...], str]:  # fmt: skip
    """What the scenario predicts, and the recorded moments at which: several where its traffic or errors follow them, else why not."""
    moments, why = _moments(scenario, recording, starts)
    if not moments:
        return compare(scenario, replications, names, seed=seed, engine=engine, jobs=jobs, keep=False), (), why
    each = max(replications // len(moments), 2)
    parts = [
        _compared(moved, names, each, seed=seed + number, engine=engine, jobs=jobs)
        for number, (moved, _) in enumerate(moments)
    ]
    return _joined(parts), tuple(stamp for _, stamp in moments), ""


def _compared(
    scenario: Scenario, names: tuple[str, ...], replications: int,
    *, seed: int, engine: Engine | None, jobs: int | None,
) -> Comparison:  # fmt: skip
    """So few replications with their good twin, in batches of no more than these."""
    compared = []
    for side in _with_twin(scenario):
        plane = choose_engine(side, engine)
        plane = replace(plane, batch=min(plane.batch, replications))
        compared.append(compare(side, replications, names, seed=seed, twin=False, jobs=jobs, plane=plane, keep=False))
    return replace(compared[0], twin=compared[1] if len(compared) > 1 else None)


def _with_twin(scenario: Scenario) -> list[Scenario]:
    """The scenario, and the same with a good version where its own is not one."""
    return [side for side in (scenario, good_twin(scenario)) if side is not None]


def _moments(scenario: Scenario, recording: Minutes, starts: IntArray) -> tuple[list[tuple[Scenario, str]], str]:
    """The scenario at moments that are spread over those from which rollouts begin; none, and why, where it cannot begin at them."""
    if not scenario.knows_time:
        return [], ""
    assert scenario.rollout is not None
    after = starts[starts * recording.period >= (scenario.rollout.start or 0.0)]
    if not after.size:
        return [], "the recording is too short for the scenario's own beginning"
    chosen = after[np.linspace(0, after.size - 1, min(_MOMENTS, after.size)).astype(np.int64)]
    files, moved = FileReader(), []
    try:
        for start in chosen.tolist():
            moment = recording.start + start * recording.period
            moved.append((scenario.at(moment, files), iso_of(moment)))
    except ScenarioError as error:
        return [], f"predicted at the scenario's own beginning, not at recorded moments: {error}"
    return moved, ""


def _joined(parts: Sequence[Comparison]) -> Comparison:
    """Comparisons of the same strategies as one, whose replications are those of all."""
    first = parts[0]
    columns = {
        name: {key: np.concatenate([part.columns[name][key] for part in parts]) for key in first.columns[name]}
        for name in first.columns
    }
    twins = [part.twin for part in parts if part.twin is not None]
    return replace(
        first, replications=sum(part.replications for part in parts), columns=columns,
        twin=_joined(twins) if twins else None,
    )  # fmt: skip


def _apart(first: Estimate, second: Estimate) -> bool:
    """Whether two intervals do not touch."""
    return _wholly_below(first, second) or _wholly_below(second, first)


def _wholly_below(first: Estimate, second: Estimate) -> bool:
    """Whether the first interval ends before the second begins, both of these ends being known."""
    return first.high is not None and second.low is not None and first.high < second.low
