"""Traces of real traffic, as counts per period or as start times: Azure 2019, Azure 2021 and plain CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Final, Literal

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.files import open_regular, quoted
from rollout_sim.core.minutes import moment_of, read_minutes, stamp_of
from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import suggest

Layout = Literal["azure2019", "azure2021", "counts", "timestamps", "minutes"]
MAX_BYTES: Final = 1 << 30
MAX_ROWS: Final = 10_000_000
MAX_INVOCATIONS: Final = 100_000_000
MAX_MINUTES: Final = 10 * 365 * 1440
MINUTE: Final = 60.0
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """A trace as read: `counts` per `period`, or sorted start `times` (s, the first minute begins at 0); one of them is None.

    `length` (s) is where it ends, a whole number of periods (s); those of time stamps are minutes. `start` is when it begins
    (s since 1970, UTC), None where the file does not say so.
    """

    counts: IntArray | None
    times: FloatArray | None
    length: float
    period: float = MINUTE
    start: float | None = None

    def __post_init__(self) -> None:
        for figures in (self.counts, self.times):
            if figures is not None:
                figures.flags.writeable = False  # every replication of every strategy reads the same ones

    @property
    def per_period(self) -> IntArray:
        """Invocations that start in each period."""
        if self.times is None:
            assert self.counts is not None
            return self.counts
        return np.diff(np.searchsorted(self.times, np.arange(round(self.length / self.period) + 1) * self.period))

    def ended(self, moment: float) -> Trace:
        """What was recorded before a `moment` (s since 1970).

        Raises ValueError for a trace without dates, or where that is nothing.
        """
        if self.start is None:
            raise ValueError("the trace has no dates, so it cannot `end` at one; needs rows with ISO 8601 time stamps")
        periods = math.floor((moment - self.start) / self.period)
        if not 0 < periods <= round(self.length / self.period):
            end = stamp_of(self.start + self.length)
            raise ValueError(f"`end` at {stamp_of(moment)}; allowed {stamp_of(self.start + self.period)} to {end}")
        counts = None if self.counts is None else self.counts[:periods].copy()
        times = None if self.times is None else self.times[self.times < periods * self.period].copy()
        return Trace(counts=counts, times=times, length=periods * self.period, period=self.period, start=self.start)

    def begun(self, moment: float, *, repeat: bool) -> Trace:
        """The same from a `moment` on (s since 1970); with `repeat` what came before it follows its end.

        Raises ValueError for a trace without dates, a moment outside of it, or within a period.
        """
        if self.start is None:
            raise ValueError(
                "the trace has no dates, so it cannot `begin` at one; needs rows with ISO 8601 time stamps"
            )
        first = round((moment - self.start) / self.period)
        if abs(self.start + first * self.period - moment) > _ROUNDING:
            raise ValueError(f"cannot begin within a period of {self.period:g} s, got {stamp_of(moment)}")
        if not 0 <= first < round(self.length / self.period):
            end = stamp_of(self.start + self.length)
            raise ValueError(f"{stamp_of(moment)} is not recorded; allowed {stamp_of(self.start)} to {end}")
        skipped = first * self.period
        counts = times = None
        if self.counts is not None:
            counts = np.concatenate([self.counts[first:], self.counts[:first] if repeat else self.counts[:0]])
        if self.times is not None:
            later = np.searchsorted(self.times, skipped)
            before = self.times[:later] + self.length if repeat else self.times[:0]
            times = np.concatenate([self.times[later:], before]) - skipped
        length = self.length if repeat else self.length - skipped
        return Trace(counts=counts, times=times, length=length, period=self.period, start=moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is to be read of a file: the function's rows, the column, and the period (s) of its counts, where given."""

    path: Path
    function: str | None
    column: str | None
    period: float | None


def read_trace(
    path: Path,
    layout: Layout,
    function: str | None = None,
    column: str | None = None,
    period: float | None = None,
) -> Trace:
    """The trace in a CSV file. Raises ValueError with file, line and the offending figure.

    `azure2019`: HashOwner, HashApp, HashFunction, Trigger and one column per minute; rows are added up, or only those
    of `function`. `azure2021`: app, func, end_timestamp, duration (s); start = end - duration; `function` is `func` or
    `app/func`. `counts`: one count per row and `period` (s, a minute where None); where the first column holds ISO 8601
    time stamps they say which period a row is about, and periods without a row are empty. `timestamps`: seconds or
    ISO 8601. Time stamps are in UTC where no zone is named. These two take `column`. `minutes`: a `minutes.csv`, of which
    `function` is the scope; its counts are all attempts, those that were throttled among them.
    """
    if layout == "minutes":
        return _not_too_long(path, _minutes(path, function or "function"))
    wanted = _Wanted(path=path, function=function, column=column, period=period)
    try:
        # Excel puts a byte order mark before the first column's name.
        with TextIOWrapper(open_regular(path, MAX_BYTES), encoding="utf-8-sig", newline="") as file:
            trace = _READERS[layout](_numbered(csv.reader(file), path), wanted)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not a CSV file: no UTF-8 text") from None
    except csv.Error as error:
        raise ValueError(f"{path}: is not a CSV file: {error}") from None
    return _not_too_long(path, trace)


def _not_too_long(path: Path, trace: Trace) -> Trace:
    total = trace.counts.sum() if trace.counts is not None else len(trace.times if trace.times is not None else ())
    if total > MAX_INVOCATIONS:
        raise ValueError(f"{path}: holds {total:,} invocations; allowed {MAX_INVOCATIONS:,}")
    return trace


def _minutes(path: Path, of: str) -> Trace:
    recording = read_minutes(path, of)
    counts = (recording.invocations + recording.throttles).astype(np.int64)
    return Trace(
        counts=counts, times=None, length=counts.size * recording.period, period=recording.period, start=recording.start
    )


Rows = Iterator[tuple[int, list[str]]]


def _numbered(rows: Iterator[list[str]], path: Path) -> Rows:
    for number, row in enumerate(rows, start=1):
        if number > MAX_ROWS:
            raise ValueError(f"{path}: more than {MAX_ROWS:,} rows")
        if row:
            yield number, [cell.strip() for cell in row]


def _header(rows: Rows, path: Path, wanted: tuple[str, ...]) -> list[str]:
    _, header = next(rows, (0, []))
    missing = [name for name in wanted if name not in header]
    if missing:
        got = f"{len(header)} others" if header else "an empty file"
        raise ValueError(f"{path}:1: no column {', '.join(missing)}; got {got}{suggest(missing[0], header)}")
    return header


def _count(text: str, path: Path, line: int) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value <= MAX_INVOCATIONS and value == math.floor(value)):
        raise ValueError(f"{path}:{line}: a count is a whole number from 0 to {MAX_INVOCATIONS:,}, got {quoted(text)}")
    return int(value)


def _time(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        try:
            value = _stamp(text)
        except ValueError:
            value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{path}:{line}: a time is a number of seconds or ISO 8601, got {quoted(text)}")
    return value


def _stamp(text: str) -> float:
    """The seconds since 1970 of an ISO 8601 time stamp, also with `/` in its date. Raises ValueError for anything else."""
    return moment_of(text)


def _is_stamp(text: str) -> bool:
    """Whether the text is an ISO 8601 time stamp; a plain number is none."""
    try:
        _stamp(text)
    except ValueError:
        return False
    return not _is_number(text)


def _azure2019(rows: Rows, wanted: _Wanted) -> Trace:
    path, function = wanted.path, wanted.function
    header = _header(rows, path, ("HashOwner", "HashApp", "HashFunction", "Trigger", "1"))
    first, name = header.index("1"), header.index("HashFunction")
    counts = np.zeros(len(header) - first, np.int64)
    matched = False
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}:{line}: has {len(row)} columns; the header has {len(header)}")
        if function is None or row[name] == function:
            matched = True
            counts += [_count(text, path, line) for text in row[first:]]
    if not matched:
        raise ValueError(f"{path}: holds no function {function!r}" if function else f"{path}: holds no function at all")
    return Trace(counts=counts, times=None, length=counts.size * MINUTE)


def _azure2021(rows: Rows, wanted: _Wanted) -> Trace:
    path, function = wanted.path, wanted.function
    header = _header(rows, path, ("app", "func", "end_timestamp", "duration"))
    app, func, end, duration = (header.index(name) for name in ("app", "func", "end_timestamp", "duration"))
    starts = []
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}:{line}: has {len(row)} columns; the header has {len(header)}")
        if function is None or function in (row[func], f"{row[app]}/{row[func]}"):
            took = _time(row[duration], path, line)
            if took < 0:
                raise ValueError(f"{path}:{line}: a duration is at least 0 s, got {quoted(row[duration])}")
            starts.append(_time(row[end], path, line) - took)
    return _from_times(starts, path, function)


def _counts(rows: Rows, wanted: _Wanted) -> Trace:
    path = wanted.path
    place, counts = None, []
    stamps: list[float] = []
    for line, row in rows:
        if place is None:
            headed = not _is_number(row[-1])
            place = _place(row, wanted.column, path) if headed else len(row) - 1
            if headed:
                continue
        counts.append(_count(row[place] if place < len(row) else "", path, line))
        if place > 0 and (stamps or len(counts) == 1) and _is_stamp(row[0]):
            stamps.append(_stamp(row[0]))
        elif stamps:
            raise ValueError(f"{path}:{line}: no time stamp in the first column; the rows before it have one")
    if not counts:
        raise ValueError(f"{path}: holds no counts")
    period = MINUTE if wanted.period is None else wanted.period
    figures = np.array(counts, np.int64)
    if len(stamps) > 1:
        figures = _dated(figures, np.array(stamps), period, wanted)
    start = min(stamps) if stamps else None
    return Trace(counts=figures, times=None, length=figures.size * period, period=period, start=start)


def _dated(counts: IntArray, stamps: FloatArray, period: float, wanted: _Wanted) -> IntArray:
    """The counts in the order of their time stamps (s), with zeros for the periods that have none.

    Raises ValueError where the time stamps do not fit the period (s).
    """
    path = wanted.path
    order = np.argsort(stamps, kind="stable")
    since = stamps[order] - stamps[order[0]]
    closest = float(np.diff(since).min())
    if wanted.period is None and closest > period:
        apart = text(closest, "duration")
        raise ValueError(
            f"{path}: the time stamps are {apart} or more apart; say what a count is of, such as `period: {apart}`"
        )
    places = np.round(since / period).astype(np.int64)
    if closest <= 0 or (np.abs(since - places * period) > _ROUNDING).any():
        apart = "equal" if closest <= 0 else f"no whole multiples of {text(period, 'duration')} apart"
        raise ValueError(f"{path}: time stamps of the counts are {apart}; give the `period` of a count")
    if places[-1] >= MAX_MINUTES:
        raise ValueError(f"{path}: spans {places[-1] + 1:,} periods; allowed {MAX_MINUTES:,}")
    result = np.zeros(int(places[-1]) + 1, np.int64)
    result[places] = counts[order]
    return result


def _timestamps(rows: Rows, wanted: _Wanted) -> Trace:
    path, column = wanted.path, wanted.column
    place, times, dated = None, [], True
    for line, row in rows:
        if place is None:
            headed = column is not None or not (_is_number(row[0]) or row[0][:1].isdigit())
            if column is None and len(row) > 1:
                what = f"has {len(row)} columns; name the one that holds the time stamps (`column`)"
                raise ValueError(f"{path}:{line}: {what}; a count in each row is `layout: counts`")
            place = _place(row, column, path) if headed else 0
            if headed:
                continue
        text_of_time = row[place] if place < len(row) else ""
        dated = dated and _is_stamp(text_of_time)
        times.append(_time(text_of_time, path, line))
    return _from_times(times, path, wanted.function, dated=dated)


def _place(header: list[str], column: str | None, path: Path) -> int:
    if column is None:
        return len(header) - 1
    if column not in header:
        raise ValueError(f"{path}:1: no column {column!r}; got {len(header)} others{suggest(column, header)}")
    return header.index(column)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _from_times(times: list[float], path: Path, function: str | None, *, dated: bool = False) -> Trace:
    if not times:
        raise ValueError(f"{path}: holds no invocation" + (f" of {function!r}" if function else ""))
    starts = np.sort(np.array(times))
    begin = math.floor(starts[0] / MINUTE) * MINUTE
    starts -= begin
    minutes = math.floor(starts[-1] / MINUTE) + 1
    if minutes > MAX_MINUTES:
        days = minutes / 1440
        raise ValueError(f"{path}: spans {days:,.4g} days from the first to the last invocation; allowed 3,650")
    return Trace(counts=None, times=starts, length=minutes * MINUTE, start=begin if dated else None)


_READERS: Final[dict[Layout, Callable[[Rows, _Wanted], Trace]]] = {
    "azure2019": _azure2019,
    "azure2021": _azure2021,
    "counts": _counts,
    "timestamps": _timestamps,
}
