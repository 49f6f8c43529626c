"""Folders: `scenario.yaml`, `traffic.csv` and `minutes.csv` from a recording and what was fitted to it."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.files import atomic_folder, pictures
from rollout_sim.core.formatting import number_with_interval, share_with_interval, show_duration
from rollout_sim.core.minutes import COLUMNS
from rollout_sim.core.statistics import Estimate
from rollout_sim.core.units import parse, text
from rollout_sim.core.yaml_io import commented, suggest, to_yaml
from rollout_sim.errors import ScenarioError, legible
from rollout_sim.formats.measurements.amazon import entries, inside
from rollout_sim.formats.measurements.configuration import configured
from rollout_sim.formats.measurements.history import described, releases
from rollout_sim.formats.measurements.recording import COUNTS, MINUTE, RECORDS, Measured, Recording, span, stamp
from rollout_sim.formats.templates.deployed import AFTER, COLD_START, LAG, RESTORE, START, Deployed
from rollout_sim.formats.templates.events import Event
from rollout_sim.scenario.goals import FOUND_AFTER
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.template import ScenarioTemplate
from rollout_sim.study.fit.arrivals import DAY, MONDAY, WEEK
from rollout_sim.study.fit.durations import DurationFit
from rollout_sim.study.fit.error_rates import ErrorFit, Scattered, Spells
from rollout_sim.study.fit.fitted import Fitted, Observations, fit
from rollout_sim.study.fit.goodness import Goodness
from rollout_sim.study.fit.releases import PRIOR, Release, ReleaseFit, spread
from rollout_sim.traffic.traces import MAX_INVOCATIONS

SCENARIO: Final = "scenario.yaml"
TRAFFIC: Final = "traffic.csv"
MINUTES: Final = "minutes.csv"
DURATIONS: Final = "durations.csv"
COLD_STARTS: Final = "cold-starts.csv"
PICTURE: Final = "fit"
FILES: Final = (SCENARIO, TRAFFIC, MINUTES, DURATIONS, COLD_STARTS, *pictures(PICTURE))
"""All that an import may write into its folder."""
_OBJECTIVES: Final = (0.9999, 0.9995, 0.999, 0.995, 0.99, 0.95, 0.9, 0.8, 0.5)
_THINNED: Final = 100
"""How many times as dense a profile is written as it is, so that what is kept of it by chance is as good as Poisson."""
_MOST: Final = 40_000_000
"""Invocations of a profile's file."""
_TAIL: Final = 0.1
"""The share of the errors that a fitted tail may add by running into the timeout without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user decides: the function and its alias, the rate as `trace` or `profile`, the rest as the `fit` or the `minutes`.

    With the recorded minutes of the errors come those of the throttles.
    """

    function: str
    alias: str
    rate: Literal["trace", "profile"] = "trace"
    errors: Literal["fit", "minutes"] = "fit"
    durations: Literal["fit", "minutes"] = "fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import made: the fits, of the part `used` of the table; `remarks` are what was left out or assumed.

    `deployed` is the configuration, where anything of it is known; `known` are the kinds of AWS's answers that there were.
    """

    fitted: Fitted
    deployed: Deployed | None
    known: frozenset[str]
    table: Sequence[Measured]
    used: Measured
    remarks: tuple[str, ...]
    choices: Choices
    per_batch: float | None = None
    """Of what is polled: how many records came for each invocation; None where no metric of the queue or stream was there."""

    @property
    def polled(self) -> Event | None:
        """The queue or stream whose batches are all that was measured; None where others call the alias, too, or nothing is known."""
        events = [] if self.deployed is None else self.deployed.events
        return events[0] if len(events) == 1 and events[0].polled and events[0].fields else None

    def measured(self, column: str) -> bool:
        """Whether anything of a column is in the data that were used."""
        return not np.isnan(self.used.columns[column]).all()

    @property
    def records(self) -> float:
        """Records of a batch: as measured, or one for want of knowing."""
        return 1.0 if self.per_batch is None else self.per_batch


def imported(recording: Recording, choices: Choices) -> Imported:
    """The scenario of a recording. Raises ScenarioError for one without invocations."""
    table = recording.measured()
    used = _scope(table, choices, recording)
    deployed = configured(recording, choices.function, choices.alias)
    history = releases(recording, _watching(recording, choices.function))
    try:
        fitted = fit(_observations(recording, used, history))
    except ValueError as error:
        raise ScenarioError([str(error)]) from None
    if deployed is not None:
        for remark in deployed.remarks:
            recording.remark(remark)
    for remark in _remarks(fitted, used, table, choices, deployed, recording.documents):
        recording.remark(remark)
    return Imported(
        fitted=fitted, deployed=deployed, known=frozenset(recording.documents), table=table, used=used,
        remarks=tuple(map(legible, recording.remarks)), choices=choices, per_batch=recording.per_invocation(RECORDS, used),
    )  # fmt: skip


def _watching(recording: Recording, function: str) -> frozenset[str] | None:
    """The names of the alarms that tell of a deployment: those of the deployment group, else those on the function; None for all."""
    named = set()
    for group in entries(recording, "deployment group", "deploymentGroupInfo"):
        listed = inside(group, "alarmConfiguration").get("alarms")
        named |= {
            str(alarm.get("name")) for alarm in listed or [] if isinstance(listed, list) and isinstance(alarm, Mapping)
        }
    if named:
        return frozenset(named)
    if "alarms" in recording.documents:
        alarms = entries(recording, "alarms", "MetricAlarms")
        return frozenset(str(alarm.get("AlarmName")) for alarm in alarms if f"'{function}'" in repr(alarm))
    if "alarm history" in recording.documents and "deployments" in recording.documents:
        recording.remark(
            "which alarms watch the function is not known: every alarm of the history is put down to a deployment"
        )
    return None


def write(result: Imported, out: Path, picture: Callable[[Path], None]) -> Scenario:
    """The folder's files, and the scenario as it is read back from them; `picture` writes the picture of the fit into a folder.

    Raises ScenarioError and OSError for what cannot be written.
    """
    with atomic_folder(out, FILES) as folder:
        (folder / SCENARIO).write_text(scenario_text(result), encoding="utf-8", newline="\n")
        _write_minutes(folder / MINUTES, result.table)
        _write_traffic(folder / TRAFFIC, result)
        for name, column, samples in (
            (DURATIONS, "duration_ms", result.fitted.observed.samples), (COLD_STARTS, "init_ms", result.fitted.observed.inits),
        ):  # fmt: skip
            if samples.size:
                _write_samples(folder / name, column, samples)
        scenario = Scenario.load(folder / SCENARIO)
        picture(folder)
    return scenario


# --- which part of the recording ----------------------------------------------------------------------------------------


def _scope(table: Sequence[Measured], choices: Choices, recording: Recording) -> Measured:
    """The alias's periods in the finest resolution, or the function's where the alias has none. Raises ScenarioError."""
    usable = [measured for measured in table if np.nansum(measured.columns["invocations"]) > 0]
    if not usable:
        what = "there are no invocations in it" if table else "there are no metrics in it"
        reasons = [remark for remark in recording.remarks if "left out: " in remark or "is empty: " in remark]
        raise ScenarioError(
            [
                f"the recording cannot be used: {what}; allowed at least Invocations and Errors, see --print-commands",
                *reasons,
            ]
        )
    for of in (f"alias:{choices.alias}", "function"):
        best = min(
            (measured for measured in usable if measured.of == of), key=lambda measured: measured.period, default=None
        )
        if best is not None:
            if of == "function":
                recording.remark(
                    f"the alias {choices.alias} has no invocations here; what is fitted are those of the whole function"
                )
            return best
    others = sorted({measured.of for measured in usable})
    hint = suggest(f"alias:{choices.alias}", others).replace("'alias:", "'--alias ")
    raise ScenarioError(
        [f"no invocations of the alias {choices.alias} or of the function; got {', '.join(others)}{hint}"]
    )


def _observations(recording: Recording, used: Measured, history: tuple[Release, ...]) -> Observations:
    known = ~np.isnan(used.columns["invocations"])
    columns = {name: values[known] for name, values in used.columns.items()}
    empty = np.empty(0)
    return Observations(
        of=used.of, period=used.period, times=used.times[known],
        invocations=np.nan_to_num(columns["invocations"]).astype(np.int64),
        errors=np.nan_to_num(columns["errors"]).astype(np.int64),
        percentiles={name: columns[f"duration_{name}_ms"] / 1000 for name in ("p50", "p90", "p99")},
        average=columns["duration_average_ms"] / 1000,
        samples=np.concatenate([empty, *recording.durations]), inits=np.concatenate([empty, *recording.inits]),
        releases=history,
    )  # fmt: skip


def _remarks(
    fitted: Fitted,
    used: Measured,
    table: Sequence[Measured],
    choices: Choices,
    deployed: Deployed | None,
    known: Collection[str],
) -> Iterator[str]:
    """What is to be known of the data and the fits."""
    observed = fitted.observed
    if used.period > MINUTE:
        yield f"the data are by {show_duration(float(used.period))}, not by minutes: how errors clump within is not seen"
    if np.isnan(used.columns["errors"]).all():
        yield f"errors of {used.of} are not in the data: the error rate of 0 is a GUESS"
    else:
        missing = int((np.isnan(used.columns["errors"]) & (used.columns["invocations"] > 0)).sum())
        if missing:
            yield f"errors are missing in {missing:,} of {used.times.size:,} periods with invocations; there they count as 0"
    if (np.nan_to_num(used.columns["errors"]) > np.nan_to_num(used.columns["invocations"])).any():
        yield "some periods have more errors than invocations (of calls that began before); all of their invocations failed here"
    if fitted.left_out:
        yield f"{fitted.left_out:,} periods of bad deployments are left out of the fit of errors and durations: they are the risk"
    kept = _kept(used)
    if choices.rate == "trace" and kept.start:
        newest = stamp(int(used.times[kept][0]))
        yield f"{TRAFFIC} begins at {newest}: a trace takes at most {MAX_INVOCATIONS:,} invocations; --rate profile takes all of them"
    if deployed is not None and any(event.polled for event in deployed.events):
        yield "Lambda polls a queue or stream for it: what is measured are batches, not their records"
    throttled = float(np.nansum(used.columns["throttles"]))
    if throttled:
        if deployed is not None and deployed.reserved is not None:
            yield f"{throttled:,.0f} throttles were recorded; the scenario throttles by its concurrency limit alone"
        elif choices.errors == "fit":
            yield (
                f"{throttled:,.0f} throttles were recorded; the scenario throttles by its concurrency limit alone; where others use "
                "up the account's, replay them: --errors minutes"
            )
    for start, end in fitted.arrivals.silences[:5]:
        yield (
            f"nothing from {stamp(start)} to {stamp(end)}, where by the profile something would have come: an outage, or data "
            "that are missing; it is kept as it is"
        )
    if len(fitted.arrivals.silences) > 5:
        yield f"... and {len(fitted.arrivals.silences) - 5} more such silences"
    coarser = [measured for measured in table if measured.of == used.of and measured.period > used.period]
    if coarser:
        shown = ", ".join(f"{show_duration(float(measured.period))} ({span(measured)})" for measured in coarser)
        yield f"older data are coarser and stand in {MINUTES} alone: {shown}"
    finer = [measured for measured in table if measured.of == used.of and measured.period < used.period]
    for measured in finer:
        names = ", ".join(name for name, values in measured.columns.items() if not np.isnan(values).all())
        yield f"{names} by {show_duration(float(measured.period))} have no invocations beside them: they stand in {MINUTES} alone"
    if fitted.errors is not None and fitted.errors.goodness.verdict == "poor" and choices.errors == "fit":
        yield f"warning: errors: no description fits well ({_verdict(fitted.errors.goodness)}); replay them: --errors minutes"
    if fitted.arrivals.goodness.verdict == "poor" and choices.rate == "profile":
        yield f"warning: traffic: a profile fits poorly ({_verdict(fitted.arrivals.goodness)}); replay it: --rate trace"
    durations = fitted.durations
    if durations is not None:
        if durations.goodness.verdict == "poor" and choices.durations == "fit":
            yield f"warning: durations: a lognormal distribution fits poorly ({_verdict(durations.goodness)}); {_instead(durations)}"
        if durations.varies:
            yield "durations change over time, by more than chance; one distribution for all cannot say that"
        timeout = None if deployed is None or "function" not in known else deployed.timeout
        if timeout is not None and fitted.errors is not None:
            beyond = 1 - float(durations.distribution.cdf(np.array(timeout)))
            if beyond > max(_TAIL * float(observed.errors.sum()) / float(observed.invocations.sum()), 1e-6):
                share = f"{beyond * 100:.2g}% of the invocations"
                yield f"warning: the fitted durations run into the timeout of {show_duration(timeout)} in {share}"


def _instead(durations: DurationFit) -> str:
    if durations.source == "invocations":
        return f"the recorded ones are drawn instead ({DURATIONS})"
    return "replay the recorded minutes (--durations minutes), or give REPORT lines of Logs Insights, and the recorded ones are drawn"


def _verdict(goodness: Goodness) -> str:
    within = "" if goodness.low is None else f", {goodness.low:.3g} to {goodness.high:.3g} by the fit"
    return f"{goodness.figure} {goodness.value:.3g}{within}"


# --- scenario.yaml ------------------------------------------------------------------------------------------------------


def scenario_text(result: Imported) -> str:
    """The scenario file."""
    return commented(_Sections(result).all())


class _Sections:
    """The commented sections of `scenario.yaml`: what in them was measured, from when to when, and what is a GUESS."""

    def __init__(self, result: Imported) -> None:
        self.result = result
        self.fitted = result.fitted
        self.deployed = result.deployed
        self.choices = result.choices
        self.when = span(result.used)
        self.measured = f"measured {self.when}"
        self.timeout = "3 s"

    def all(self) -> list[tuple[str, dict[str, Any]]]:
        """All of them, in the order of a scenario file."""
        strategies = self._strategies()
        longest = max(self._length(strategy) for strategy in strategies.values())
        horizon = START + math.ceil(longest / 60) * 60 + AFTER
        alarms, acting, about = self._alarms()
        rollout: dict[str, Any] = {
            "alias": self.choices.alias,
            "to": "2",
            "start": text(START, "duration"),
            "alarms": acting,
        }
        name = {"name": self.choices.function, "seed": 1, "horizon": text(horizon, "duration")}
        sections = [
            (self._head(), name),
            self._function(),
            self._traffic(),
            self._slo(),
            (about, {"alarms": alarms}),
            (self._about_the_rollout(), {"rollout": rollout, "strategies": strategies}),
        ]
        if self.deployed is not None and self.deployed.metrics:
            sections.insert(4, ("GUESS: what the metrics of your own count.", {"metrics": self.deployed.metrics}))
        sections.append(self._risk())
        return sections

    def _head(self) -> str:
        used = self.result.used
        total = int(self.fitted.observed.invocations.sum())
        lines = [
            f"{self.choices.function}, alias {self.choices.alias}, as it was measured.",
            f"Measured: {self.when} ({used.of}, by {show_duration(float(used.period))}), {total:,} invocations.",
            "Each figure says whether it was measured, or is a GUESS. Intervals hold 95%.",
        ]
        return "\n".join([*lines, *(f"- {remark}" for remark in self.result.remarks)])

    # --- the function -------------------------------------------------------------------------------------------------

    def _function(self) -> tuple[str, dict[str, Any]]:
        duration, about_duration = self._duration()
        cold, about_cold = self._cold()
        errors, about_errors = self._errors()
        first: dict[str, Any] = {"duration": duration, "cold_start": cold, "error_rate": errors}
        fault = ScenarioTemplate(error_rate=min(self._mean, 0.5)).fault
        function: dict[str, Any] = {"name": self.choices.function}
        lines = [about_duration, about_cold, about_errors]
        deployed = self.deployed
        if deployed is not None and "function" in self.result.known:
            function["timeout"] = text(deployed.timeout, "duration")
            about = f" ({', '.join(deployed.described)})" if deployed.described else ""
            lines.append(f"timeout, concurrency: as configured{about}.")
        else:
            longest = self.result.used.columns["duration_max_ms"]
            slowest = float(longest[~np.isnan(longest)].max(initial=0.0)) / 1000
            function["timeout"] = text(
                float(next(limit for limit in (3, 10, 30, 60, 300, 900, math.inf) if limit > slowest or limit == 900)),
                "duration",
            )
            longest_known = f", above the longest that was measured ({show_duration(slowest)})" if slowest else ""
            lines.append(f"timeout: GUESS{longest_known}.")
        if self._throttled:
            function["throttled"] = self._recorded
            lines.append(
                f"throttled: {self.measured}, the share of each recorded minute: other functions use up the account's concurrency."
            )
        if deployed is not None and deployed.reserved is not None:
            function["reserved_concurrency"] = deployed.reserved
        if deployed is not None and deployed.provisioned:
            first["provisioned"] = deployed.provisioned
        if deployed is not None and deployed.managed:
            function["managed"] = deployed.managed
            del first["cold_start"]
        self.timeout = str(function["timeout"])
        lines.append(f"version 2: GUESS, version 1 with {text(fault, 'share')} more errors.")
        function |= {
            "versions": {"1": first, "2": {"like": "1", "faults": [{"errors": text(fault, "share")}]}},
            "aliases": {self.choices.alias: "1"},
        }
        return "\n".join(lines), {"function": function}

    @property
    def _mean(self) -> float:
        observed = self.fitted.observed
        return float(observed.errors.sum()) / float(observed.invocations.sum())

    def _duration(self) -> tuple[Any, str]:
        fitted = self.fitted.durations
        if fitted is None:
            return {
                "lognormal": {"median": "100 ms", "p99": "1 s"}
            }, "duration: GUESS; its percentiles were not in the data."
        source = (
            "percentiles of each period"
            if fitted.source == "percentiles"
            else f"{self.fitted.observed.samples.size:,} invocations"
        )
        about = (
            f"duration: {self.measured if fitted.source == 'percentiles' else 'measured'}, from {source}: median "
            f"{_milliseconds(fitted.parameters['median'])}, p99 {_milliseconds(fitted.parameters['p99'])}. "
            f"Fit: {fitted.goodness.verdict} ({_verdict(fitted.goodness)})."
        )
        if self.choices.durations == "minutes":
            return self._recorded, f"{about}\nHere each draws from the curve of its recorded minute."
        if fitted.goodness.verdict == "poor" and fitted.source == "invocations":
            return {
                "empirical": {"file": DURATIONS, "column": "duration_ms", "unit": "ms"}
            }, f"{about} So the recorded ones are drawn."
        return _lognormal(fitted), about

    def _cold(self) -> tuple[Any, str]:
        fitted, inits = self.fitted.cold_starts, self.fitted.observed.inits
        if fitted is None:
            guess = RESTORE if self.deployed is not None and self.deployed.snap_start else COLD_START
            return guess, "cold_start: GUESS; give REPORT lines of Logs Insights (@initDuration) to have it measured."
        share = inits.size / max(self.fitted.observed.samples.size, inits.size)
        about = (
            f"cold_start: measured from {inits.size:,} inits ({share * 100:.3g}% of the invocations there): median "
            f"{_milliseconds(fitted.parameters['median'])}, p99 {_milliseconds(fitted.parameters['p99'])}. "
            f"Fit: {fitted.goodness.verdict} ({_verdict(fitted.goodness)})."
        )
        if fitted.goodness.verdict == "poor":
            return {
                "empirical": {"file": COLD_STARTS, "column": "init_ms", "unit": "ms"}
            }, f"{about} So the recorded ones are drawn."
        return _lognormal(fitted), about

    def _errors(self) -> tuple[Any, str]:
        fitted = self.fitted.errors
        if fitted is None or not self.result.measured("errors"):
            return "0%", "error_rate: GUESS; errors were not in the data."
        about = (
            f"error_rate: {self.measured}, {int(self.fitted.observed.errors.sum()):,} errors. {_described(fitted)}, which was "
            f"chosen by {fitted.reason}. Fit: {fitted.goodness.verdict} ({_verdict(fitted.goodness)})."
        )
        if self.result.polled is not None:
            part = self.result.polled.fields.get("batch", {})
            apart = isinstance(part, Mapping) and bool(part.get("partial_failures"))
            of_records = 1.0 if apart else self.result.records
            what = (
                "only those that fail as a whole are counted"
                if apart
                else "a batch fails where one of its records does"
            )
            return _rate(fitted, of_records), f"{about}\nThese are errors of batches; {what}."
        recorded = self._recorded
        if self.choices.errors == "minutes":
            return recorded, f"{about}\nHere the recorded minutes themselves are replayed."
        instead = to_yaml({"error_rate": recorded}, layout="line")
        return _rate(fitted), f"{about}\nThe recorded minutes instead: {instead}"

    @property
    def _recorded(self) -> dict[str, Any]:
        """The recorded minutes, in step with the trace: they begin where it does."""
        used, start = self.result.used, _begin(self.result.used)
        recorded = {"minutes": MINUTES, "of": used.of}
        return recorded if start == used.times[0] else recorded | {"begin": stamp(start)}

    @property
    def _throttled(self) -> bool:
        """Whether the recorded throttles are replayed: those of others, where the function has no limits of its own."""
        own = self.deployed is not None and (self.deployed.reserved is not None or bool(self.deployed.managed))
        recorded = np.nansum(self.result.used.columns["throttles"]) > 0
        return bool(self.choices.errors == "minutes" and recorded and not own and self.result.polled is None)

    # --- the traffic --------------------------------------------------------------------------------------------------

    def _traffic(self) -> tuple[str, dict[str, Any]]:
        arrivals = self.fitted.arrivals
        dispersions = ", ".join(
            f"{number_with_interval(value)} over {show_duration(float(spans * arrivals.period))}"
            for spans, value in arrivals.dispersions.items()
        )
        rate, calls = arrivals.rate, "requests" if self.result.polled is None else "batches"
        about = (
            f"traffic: {self.measured}: {number_with_interval(rate)} {calls} a second on average. Index of dispersion around "
            f"its slow changes (Poisson: 1): {dispersions or 'too few periods'}."
        )
        kept = _kept(self.result.used)
        trace: dict[str, Any] = {"file": TRAFFIC, "layout": "counts", "column": "invocations", "repeat": True}
        if self.choices.rate == "profile":
            factor = _density(self.result)
            trace |= {"period": "60 min", "scale": f"{1 / factor:.12g}x"}
            about += (
                f"\nHere: Poisson arrivals by the mean of each hour of the {arrivals.cycle}, from "
                f"{'Monday ' if arrivals.cycle == 'week' else ''}midnight UTC on; {TRAFFIC} is {factor:g} times as dense, and each is "
                f"kept by chance. Fit: {arrivals.goodness.verdict} ({_verdict(arrivals.goodness)})."
            )
        else:
            if self.result.used.period != MINUTE:
                trace["period"] = text(float(self.result.used.period), "duration")
            start = stamp(_begin(self.result.used))
            about += (
                f"\nHere the recording is replayed from {start} on, and again from its beginning; the rollout starts "
                f"{text(START, 'duration')} later; `rollout-sim run --at` takes another moment. Periods without a datapoint "
                "had no request."
            )
        if self._throttled and self.choices.rate == "trace" and not kept.start:
            begin = {key: value for key, value in self._recorded.items() if key == "begin"}
            trace = {"file": MINUTES, "layout": "minutes", "function": self.result.used.of, "repeat": True} | begin
        if self.result.polled is not None:
            return self._polled(self.result.polled, about, trace)
        kinds = [] if self.deployed is None else list(dict.fromkeys(event.kind for event in self.deployed.events))
        kinds = [kind if kind in ("http", "schedule") else "data" for kind in kinds]
        kinds = [kind for kind in dict.fromkeys(kinds) if kind != "schedule"]
        source: dict[str, Any] = {"source": kinds[0] if len(kinds) == 1 else "http", "alias": self.choices.alias}
        about += f"\nsource: {'as configured' if len(kinds) == 1 else 'GUESS'}."
        return about, {"traffic": [source | {"arrivals": {"trace": trace}}]}

    def _polled(self, event: Event, about: str, trace: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The source of a queue or stream, whose records are the batches that were measured, times the records of each."""
        records, known = self.result.records, self.result.per_batch is not None
        factor = 1.0 / _density(self.result) if self.choices.rate == "profile" else 1.0
        if records * factor != 1:
            trace["scale"] = f"{records * factor:.12g}x"
        source = dict(event.fields) | {"alias": self.choices.alias, "arrivals": {"trace": trace}}
        if source["source"] == "queue" and "function" not in self.result.known:
            source["visibility_timeout"] = text(min(6 * parse(self.timeout, "duration"), 43_200.0), "duration")
        told = f"{records:.3g} records a batch, measured" if known else (
            "one record a batch, a GUESS; give NumberOfMessagesSent of the queue or IncomingRecords of the stream to have it measured"
        )  # fmt: skip
        about += f"\nsource: the event source mapping as configured; {told}. Batches are made anew from the records."
        return about, {"traffic": [source]}

    def _slo(self) -> tuple[str, dict[str, Any]]:
        objective = next((value for value in _OBJECTIVES[2:] if self._mean < (1 - value) / 2), _OBJECTIVES[-1])
        slo = {"name": "availability", "sli": "errors", "objective": text(objective, "share"), "window": "30 d"}
        return "slos: GUESS, an objective that the measured errors keep; write your own.", {"slos": [slo]}

    # --- the rollout --------------------------------------------------------------------------------------------------

    def _about_the_rollout(self) -> str:
        start = f"The rollout starts {text(START, 'duration')} into the simulation; all times in the results count from there."
        if "deployment group" in self.result.known:
            return f"{start}\nstrategies: `today` is as configured; the others are there to compare."
        return f"{start}\nstrategies: GUESS."

    def _strategies(self) -> dict[str, dict[str, Any]]:
        others: dict[str, dict[str, Any]] = {
            "all at once": {"type": "AllAtOnce"},
            "canary 10%": {"type": "Canary10Percent10Minutes"},
            "linear 10%": {"type": "Linear10PercentEvery1Minute"},
            "blue/green": {"type": "blue_green", "bake": "10 min"},
        }
        if "deployment group" not in self.result.known or self.deployed is None:
            return others
        mine = self.deployed.strategy
        return {"today": mine} | {name: strategy for name, strategy in others.items() if strategy != mine}

    def _length(self, strategy: Mapping[str, Any]) -> float:
        base: dict[str, Any] = {
            "name": "length", "horizon": "1 h",
            "function": {"name": "f", "versions": {"1": {"duration": "1 s"}, "2": {"like": "1"}}, "aliases": {"prod": "1"}},
            "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}}],
            "rollout": {"alias": "prod", "to": "2"}, "strategies": {"one": dict(strategy)},
        }  # fmt: skip
        return float(Scenario.from_dict(base).strategies["one"].plan.length)

    def _alarms(self) -> tuple[dict[str, Any], list[str], str]:
        deployed = self.deployed
        if deployed is not None and deployed.acting:
            lag = (
                " GUESS: how long after its end a period is visible (lag)."
                if any("lag" in alarm for alarm in deployed.alarms.values())
                else ""
            )
            return dict(deployed.alarms), list(deployed.acting), f"alarms: as configured.{lag}"
        threshold = ScenarioTemplate(error_rate=min(self._mean, 0.5)).threshold
        alarm = {
            "metric": "error_rate", "of": "new_version", "period": "60 s", "datapoints": "2 of 3",
            "threshold": f"> {text(threshold, 'share')}", "missing": "not_breaching", "lag": LAG,
        }  # fmt: skip
        about = (
            f"alarms: GUESS, an error rate between today's {self._mean * 100:.3g}% and the bad version's; GUESS: how long after "
            "its end a period is visible (lag)."
        )
        return {"new-version-errors": alarm}, ["new-version-errors"], about

    def _risk(self) -> tuple[str, dict[str, Any]]:
        fitted = self.fitted.releases
        if fitted is None:
            return "risk: GUESS; the history of deployments was not in the data.", {"risk": {"p_bad": "15%"}}
        return _risk(fitted)


def _risk(fitted: ReleaseFit) -> tuple[str, dict[str, Any]]:
    """The section `risk` from the history of deployments."""
    first, last = stamp(fitted.releases[0].start)[:10], stamp(fitted.releases[-1].start)[:10]
    risk: dict[str, Any] = {"p_bad": _share(fitted.p_bad.mean)}
    counted = (
        f"{fitted.bad} of {len(fitted.releases)} deployments were stopped by an alarm or followed by one within a day"
    )
    prior = f"Jeffreys' prior, Beta({PRIOR[0]:g}, {PRIOR[1]:g})"
    lines = [f"p_bad: measured {first} to {last}: {counted}: {share_with_interval(fitted.p_bad)} by {prior}."]
    lines += [f"- {described(release)}" for release in fitted.releases if release.bad][:10]
    if fitted.noticed is not None:
        lines.append(
            f"Noticed after {show_duration(fitted.noticed.mean)} (median of {fitted.noticed.n}){_ends(fitted.noticed)}."
        )
    if fitted.found_after is not None:
        risk["found_after"] = text(float(round(max(fitted.found_after.mean, 60.0))), "duration")
        lines.append(
            f"found_after: measured, the median of {fitted.found_after.n} that no deployment stopped{_ends(fitted.found_after)}."
        )
    else:
        risk["found_after"] = text(FOUND_AFTER, "duration")
        lines.append("found_after: GUESS; none came through its deployment and was noticed later.")
    if fitted.severities:
        low, high = spread(fitted.severities)
        shown = ", ".join(f"{value * 100:.2g}%" for value in fitted.severities)
        risk["severity"] = {"error_rate": {"loguniform": [_share(low), _share(high)]}}
        lines.append(
            f"severity: measured, {shown} more errors than in the hour before; the ends of the range are a GUESS around them."
        )
    else:
        lines.append("severity: GUESS; no bad deployment had more errors than the hour before it.")
    return "\n".join(lines), {"risk": risk}


def _ends(value: Estimate) -> str:
    """The interval of a time, as far as there is one."""
    if value.low is None or value.high is None:
        return ", too few for an interval"
    return f" [{show_duration(value.low)}, {show_duration(value.high)}]"


def _lognormal(fitted: DurationFit) -> dict[str, Any]:
    median, tail = fitted.distribution.parameters
    return {"lognormal": {"median": f"{median * 1000:.4g} ms", "p99": f"{max(tail, median * 1.001) * 1000:.4g} ms"}}


def _milliseconds(value: Estimate) -> str:
    shown = [value.mean, value.low or 0.0, value.high or 0.0]
    middle, low, high = (f"{part * 1000:.4g}" for part in shown)
    return f"{middle} [{low}, {high}] ms"


def _share(value: float) -> str:
    return text(float(f"{value:.4g}"), "share")


def _described(fitted: ErrorFit) -> str:
    """A description of the errors in words, with intervals."""
    part = fitted.parameters
    if fitted.kind == "constant":
        return f"A constant rate of {share_with_interval(part['mean'])}"
    if fitted.kind == "scattered":
        return (
            f"A rate of {share_with_interval(part['mean'])} that scatters (beta-binomial, intra-class correlation "
            f"{number_with_interval(part['dispersion'])}) from {_every(fitted)} to the next"
        )
    return (
        f"Spells of {share_with_interval(part['bad'])} for {_time(part['spell'])}, and {share_with_interval(part['calm'])} for "
        f"{_time(part['every'])} between them"
    )


def _every(fitted: ErrorFit) -> str:
    return text(float(getattr(fitted.description, "span", 1) * fitted.period), "duration")


def _time(value: Estimate) -> str:
    return f"{show_duration(value.mean)} [{show_duration(value.low)}, {show_duration(value.high)}]"


def _rate(fitted: ErrorFit, records: float = 1.0) -> Any:
    """The field `error_rate` of a version, of which one in so many `records` that fails makes an error."""

    def of_record(share: float) -> str:
        return _share(share if records == 1 else 1 - (1 - share) ** (1 / records))

    described = fitted.description
    if isinstance(described, Scattered):
        dispersion = float(f"{described.dispersion:.4g}")
        return {"mean": of_record(described.mean), "dispersion": dispersion, "every": _every(fitted)}
    if isinstance(described, Spells):
        lengths = {"spell": described.spell * fitted.period, "every": described.every * fitted.period}
        written = {name: text(float(max(round(length), MINUTE)), "duration") for name, length in lengths.items()}
        return {"calm": of_record(described.calm), "spells": of_record(described.bad), **written}
    return of_record(described.mean) if described.mean else "0%"


# --- the other files ----------------------------------------------------------------------------------------------------


def _write_minutes(path: Path, table: Sequence[Measured]) -> None:
    """`minutes.csv`: a row for each period and scope of which something is known; an empty cell is missing."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time", "of", *COLUMNS, "period_s"])
        for measured in table:
            cells = [_cells(name, measured.columns[name]) for name in COLUMNS]
            times = [stamp(int(time)) for time in measured.times]
            same = [measured.of] * len(times), [str(measured.period)] * len(times)
            writer.writerows(zip(times, same[0], *cells, same[1], strict=True))


def _cells(name: str, values: FloatArray) -> list[str]:
    if name in COUNTS:
        return ["" if math.isnan(value) else str(int(value)) for value in values]
    return ["" if math.isnan(value) else f"{value:.6g}" for value in values]


def _kept(used: Measured) -> slice:
    """The newest periods whose invocations a trace may hold."""
    counts = used.counts("invocations")
    beyond = np.flatnonzero(np.cumsum(counts[::-1]) > MAX_INVOCATIONS)
    return slice(counts.size - int(beyond[0]) if beyond.size else 0, None)


def _begin(used: Measured) -> int:
    """When the trace begins (s since 1970): with the first of those periods that was measured."""
    kept = _kept(used)
    return int(used.times[kept][~np.isnan(used.columns["invocations"][kept])][0])


def _density(result: Imported) -> int:
    arrivals = result.fitted.arrivals
    total = float(arrivals.profile.sum()) * 3600 / arrivals.period
    return int(max(1, min(_THINNED, _MOST // max(total, 1.0))))


def _write_traffic(path: Path, result: Imported) -> None:
    """`traffic.csv`: the recorded counts with their times, or the profile by hours."""
    if result.choices.rate == "trace":
        kept = _kept(result.used)
        known = ~np.isnan(result.used.columns["invocations"][kept])
        times = result.used.times[kept][known]
        counts = result.used.counts("invocations")[kept][known]
    else:
        times, counts = _profile(result)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time", "invocations"])
        writer.writerows((stamp(int(time)), int(count)) for time, count in zip(times, counts, strict=True))


def _profile(result: Imported) -> tuple[IntArray, IntArray]:
    arrivals = result.fitted.arrivals
    cycle = WEEK if arrivals.cycle == "week" else DAY
    last = int(result.used.times[-1])
    start = last - (last - MONDAY) % cycle
    hours: IntArray = start + np.arange(arrivals.profile.size) * 3600
    counts = np.round(arrivals.profile * 3600 / arrivals.period * _density(result)).astype(np.int64)
    return hours, counts


def _write_samples(path: Path, column: str, samples: FloatArray) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column])
        writer.writerows([f"{value * 1000:.6g}"] for value in samples)
