"""Recordings: series of a function's metrics, from whatever source, as one table of minutes and scopes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.files import quoted
from rollout_sim.core.formatting import show_duration
from rollout_sim.core.minutes import COLUMNS
from rollout_sim.errors import ScenarioError

MINUTE: Final = 60
KEPT: Final = (60, 300, 3600)
"""The periods (s) in which CloudWatch keeps a metric: for 15, 63 and 455 days."""
_SELDOM: Final = 2.0
"""Invocations of a period up to which they may be those of a job that runs once in each."""
RECORDS: Final = "records"
"""What a queue or stream took in, beside the columns of the table: it tells how many records a batch held."""
COUNTS: Final = ("invocations", "errors", "throttles", RECORDS)
"""Columns that are whole numbers, and that add up over time."""
_ROUNDED: Final = 0.1
"""The share of all that a series counts by which rounding may change it: shares and rates per second would be lost."""
LARGEST: Final = 1e9
"""No count and no duration (ms) of a period is larger."""
FIRST: Final = 1_000_000_000
"""The earliest time stamp (s since 1970) that is taken for one: 2001."""
LAST: Final = 4_102_444_800
"""The first one that is none any more: 2100."""
MOST: Final = 2 * 366 * 1440
"""Periods at most from the first to the last of a scope; CloudWatch keeps minutes for 15 days, and hours for 455."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One metric of one scope: `values` at the starts `times` (s since 1970, UTC) of periods of `period` s, in any order.

    `column` is one of `COLUMNS`; `of` is `function`, `alias:NAME` or `version:NUMBER`; `source` is where it was read.
    """

    column: str
    of: str
    period: int
    times: IntArray
    values: FloatArray
    source: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """All that is known of one scope in one resolution: rising `times` (s since 1970) and each column beside them.

    The columns are of the shape of `times`, NaN where nothing was recorded; a period of which nothing is known is absent.
    """

    of: str
    period: int
    times: IntArray
    columns: Mapping[str, FloatArray]

    def counts(self, column: str) -> IntArray:
        """The counts of a column, 0 where none was recorded: of an error or a throttle that there was none."""
        return np.nan_to_num(self.columns[column]).astype(np.int64)

    @property
    def end(self) -> int:
        """When the last period ends (s since 1970)."""
        return int(self.times[-1]) + self.period


@dataclass(slots=True, kw_only=True)
class Recording:
    """What was read so far; `remarks` is what of it was left out, assumed or odd."""

    series: list[Series] = field(default_factory=list)
    durations: list[FloatArray] = field(default_factory=list)
    """Durations (s) of single invocations, from REPORT lines."""
    inits: list[FloatArray] = field(default_factory=list)
    """Inits (s) of the cold ones among them."""
    documents: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """Answers of AWS's other calls by their kind: configurations, alarms, deployments."""
    remarks: list[str] = field(default_factory=list)

    def remark(self, text: str) -> None:
        """Keeps a remark, once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def remark_seldom(self, series: Series) -> None:
        """Remarks that a series whose period was told from its times may be that of a job that runs so seldom, and is by minutes."""
        seldom = series.values.size > 1 and float(np.nanmean(series.values)) <= _SELDOM
        if series.column == "invocations" and series.period > MINUTE and seldom:
            self.remark(
                f"{series.source}: invocations lie {show_duration(float(series.period))} apart and are taken as counts of so long; "
                "of a job that runs so seldom say --period 1min"
            )

    def extend(self, other: Recording) -> None:
        """Takes in what another one holds."""
        self.series += other.series
        self.durations += other.durations
        self.inits += other.inits
        for kind, documents in other.documents.items():
            self.documents.setdefault(kind, []).extend(documents)
        for remark in other.remarks:
            self.remark(remark)

    def measured(self) -> list[Measured]:
        """The table by scope and resolution: duplicates are merged, and at each time the finest resolution is kept.

        Raises ScenarioError for one that spans more periods than anybody keeps: a time stamp is wrong then.
        """
        groups: dict[tuple[str, int], list[Series]] = {}
        for series in self.series:
            if series.times.size and series.column in COLUMNS:
                groups.setdefault((series.of, series.period), []).append(series)
        merged = [self._merged(of, period, groups[of, period]) for of, period in sorted(groups)]
        for minutes in merged:
            count = (minutes.end - int(minutes.times[0])) // minutes.period
            if count > MOST:
                what = (
                    f"{minutes.of} spans {count:,} periods of {show_duration(float(minutes.period))}, {span(minutes)}"
                )
                raise ScenarioError([f"the recording cannot be used: {what}; allowed {MOST:,}"])
        return [minutes for minutes in self._finest(merged) if minutes.times.size]

    def per_invocation(self, column: str, used: Measured) -> float | None:
        """How many of what a series beside the table counts came for each invocation of `used`, over its time; None without any."""
        start, end = int(used.times[0]), used.end
        counted = {
            time: value
            for series in self.series
            if series.column == column
            for time, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
            if start <= time < end
        }
        calls = float(np.nansum(used.columns["invocations"]))
        return sum(counted.values()) / calls if counted and calls else None

    def _merged(self, of: str, period: int, group: list[Series]) -> Measured:
        times = np.unique(np.concatenate([series.times for series in group]))
        columns = {column: np.full(times.size, np.nan) for column in COLUMNS}
        different: dict[str, int] = {}
        for series in group:
            # Of two values for one time within a series the later one in the file counts, as between two series.
            places = np.searchsorted(times, series.times)
            column = columns[series.column]
            known = column[places]
            differing = ~np.isnan(known) & ~np.isclose(known, series.values, rtol=1e-9)
            inside = _contradictions(series)
            different[series.column] = different.get(series.column, 0) + int(differing.sum()) + inside
            column[places] = series.values
        for name, count in different.items():
            if count:
                periods = "1 period was" if count == 1 else f"{count:,} periods were"
                self.remark(f"{name} of {of}: {periods} recorded twice with different values; the later one counts")
        return Measured(of=of, period=period, times=times, columns=columns)

    def _finest(self, merged: list[Measured]) -> Iterator[Measured]:
        """Without the values of a scope that lie in the span of a finer resolution of the same column, which tells more."""
        spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for minutes in merged:  # in each scope the finest first
            columns = {}
            for name, values in minutes.columns.items():
                known = ~np.isnan(values)
                keep = known.copy()
                for start, end in spans.get((minutes.of, name), []):
                    keep &= (minutes.times + minutes.period <= start) | (minutes.times >= end)
                columns[name] = np.where(keep, values, np.nan)
                if known.any():
                    times = minutes.times[known]
                    spans.setdefault((minutes.of, name), []).append((int(times[0]), int(times[-1]) + minutes.period))
            some = np.any([~np.isnan(values) for values in columns.values()], axis=0)
            yield Measured(
                of=minutes.of, period=minutes.period, times=minutes.times[some],
                columns={name: values[some] for name, values in columns.items()},
            )  # fmt: skip


def _contradictions(series: Series) -> int:
    """How often a series says two different things of one time."""
    order = np.argsort(series.times, kind="stable")
    times, values = series.times[order], series.values[order]
    return int(((np.diff(times) == 0) & ~np.isclose(np.diff(values), 0.0)).sum())


def checked(series: Series, remarks: list[str]) -> Series:
    """A series as the table takes it: whole counts, times at whole periods, at least a minute each.

    What had to be changed is added to `remarks`. Raises ValueError, which names the source, for values that are no measurements.
    """
    times, values = series.times, series.values
    known = ~np.isnan(values)
    times, values = times[known], values[known]
    beyond = (times < FIRST) | (times >= LAST)
    if beyond.any():
        first = int(times[np.argmax(beyond)])
        what = "lies before 2001" if first < FIRST else "lies after 2099"
        raise ValueError(
            f"{series.source}: {series.column}: the time {first} {what}; allowed UTC or seconds or milliseconds since 1970"
        )
    wrong = ~np.isfinite(values) | (values < 0) | (values > LARGEST)
    if wrong.any():
        first = int(np.argmax(wrong))
        what = f"{series.column} of {series.of} is {values[first]:g} at {stamp(int(times[first]))}"
        raise ValueError(f"{series.source}: {what}; allowed 0 to {LARGEST:,.0f}")
    period = series.period
    if period < MINUTE:
        remarks.append(f"{series.source}: {series.column} comes every {period} s; here it is by minutes")
        times, values = _by_minutes(series.column, times, values)
        period = MINUTE
    off = times % period
    if off.any():
        remarks.append(
            f"{series.source}: {series.column}: time stamps lie beside whole periods of {show_duration(float(period))}; "
            "each counts for the period that it lies in"
        )
        times = times - off
    if series.column in COUNTS:
        whole = np.round(values)
        if abs(float(whole.sum() - values.sum())) > _ROUNDED * float(values.sum()):
            first = int(np.argmax(np.abs(whole - values)))
            what = f"{series.column} of {series.of} is {values[first]:g} at {stamp(int(times[first]))}"
            allowed = "whole numbers, the Sum of each period, not shares, averages or rates per second"
            raise ValueError(f"{series.source}: {what}; allowed {allowed}")
        if not np.allclose(values, whole, atol=1e-6):
            remarks.append(
                f"{series.source}: {series.column} are no whole numbers (interpolated, averages, or rates per second?); they "
                "are rounded; the Sum of each period is wanted"
            )
        values = whole
    return Series(column=series.column, of=series.of, period=period, times=times, values=values, source=series.source)


def _by_minutes(column: str, times: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Values of shorter periods by minutes: counts are added up, of maxima and concurrency the largest, else the mean."""
    minutes, places = np.unique(times - times % MINUTE, return_inverse=True)
    if column in COUNTS:
        return minutes, np.bincount(places, values, minutes.size).astype(float)
    if column in ("duration_max_ms", "concurrent_executions"):
        result = np.zeros(minutes.size)
        np.maximum.at(result, places, values)
        return minutes, result
    return minutes, np.bincount(places, values, minutes.size) / np.bincount(places, minlength=minutes.size)


def period_of(times: IntArray) -> int:
    """The period (s) of a series with these starts (s): the longest one that CloudWatch keeps on whose grid all of them lie.

    Where none of them fits, the largest time that all distances are whole multiples of. With a single start nothing tells: a minute.
    """
    apart = np.diff(np.unique(times))
    if not apart.size:
        return MINUTE
    on_grid = [period for period in KEPT if not (times % period).any()]
    return max(on_grid, default=int(np.gcd.reduce(apart)))


def stamp(time: int) -> str:
    """A time (s since 1970) as ISO 8601 in UTC: `2026-11-24T14:00:00Z`."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(minutes: Measured) -> str:
    """From when to when something was measured, for people."""
    return f"{stamp(int(minutes.times[0]))[:16]}Z to {stamp(minutes.end)[:16]}Z"


def number(text: object) -> float:
    """A value of a file: NaN for what is empty or says that there is nothing. Raises ValueError for what is no number."""
    if text is None:
        return math.nan
    if isinstance(text, bool):
        raise ValueError(f"{text!r} is no number")
    if isinstance(text, int | float):
        return float(text)
    stripped = str(text).strip()
    if stripped.lower() in ("", "nan", "null", "none", "undefined", "-"):
        return math.nan
    try:
        return float(stripped)
    except ValueError:
        raise ValueError(f"needs a number, got {quoted(stripped)}") from None
