"""Tables: CSV of Grafana, Datadog and their like, with a column of times and one for each series, or a row for each value."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.files import quoted
from rollout_sim.core.formatting import show_duration
from rollout_sim.core.minutes import COLUMNS
from rollout_sim.core.units import UNITS
from rollout_sim.core.yaml_io import shorten
from rollout_sim.formats.measurements.clock import Clock
from rollout_sim.formats.measurements.insights import read_reports
from rollout_sim.formats.measurements.naming import Named, Names, not_used, unknown_series
from rollout_sim.formats.measurements.recording import MINUTE, Recording, Series, checked, number, period_of

_TIMES: Final = ("time", "timestamp", "date", "datetime", "@timestamp", "_time")
_FILLED: Final = 0.9
"""The share of the periods of its own grid that a series holds which is coarser than the table that it is in."""
_LONG: Final = (("series", "metric", "name", "label", "scope", "group"), ("value", "values"))
_FIGURE: Final = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*(us|µs|ms|s|min)")


def read_table(text: str, source: str, names: Names, clock: Clock) -> Recording:
    """What a CSV file holds. Raises ValueError for one without times or without a series that is known."""
    rows, line = _rows(text)
    if not rows:
        raise ValueError(f"{source}: is empty")
    header = [cell.strip() for cell in rows[0]]
    if len(rows) == 1:
        raise ValueError(f"{source}: has a header and no rows")
    short = next((number for number, row in enumerate(rows[1:], start=line + 1) if len(row) != len(header)), None)
    if short is not None:
        what = f"has {len(rows[short - line])} columns, the header {len(header)}"
        raise ValueError(f"{source}:{short}: {what}: the file is cut off, or it is no table")
    if "@duration" in header or "@message" in header:
        return read_reports((dict(zip(header, row, strict=True)) for row in rows[1:]), source)
    lowered = [name.lower() for name in header]
    place = next((lowered.index(name) for name in _TIMES if name in lowered), None)
    if place is None:
        raise ValueError(
            f"{source}:1: no column of times; allowed one called {', '.join(_TIMES)}; got {shorten(', '.join(header))}"
        )
    if "of" in lowered and "invocations" in lowered:
        return _tidy(rows, lowered, place, source, line, clock)
    long = _long(lowered)
    columns = _pivoted(rows, place, *long) if long is not None else _wide(rows, header, place)
    recording, unknown = Recording(), []
    found: list[tuple[str, Named, IntArray, FloatArray]] = []
    for name, cells in columns.items():
        named = names.told(name, file=source, alone=len(columns) == 1)
        if named.column is None:
            unknown.append(name)
            continue
        kept = [(number, when, value) for number, when, value in cells if value.strip()]
        try:
            times: IntArray = np.array(clock.read([when for _, when, _ in kept]), np.int64)
        except ValueError as error:
            raise ValueError(f"{source}: {header[place]}: {error}") from None
        values = [
            _value(value, named.column, named.scale, f"{source}:{number + line - 1}") for number, _, value in kept
        ]
        found.append((name, named, times, np.array(values, float)))
    every = np.unique(np.concatenate([times for _, _, times, _ in found])) if found else np.empty(0, np.int64)
    for name, named, times, numbers in found:
        if named.of is None:
            recording.remark(f"{source}: {name} names no scope and is taken to be of {names.scope}")
        period = named.period or names.period or _period(times, every, f"{source}: {name}", recording)
        series = Series(
            column=str(named.column),
            of=named.of or names.scope,
            period=period,
            times=times,
            values=numbers,
            source=source,
        )
        if named.period is None and names.period is None:
            recording.remark_seldom(series)
        recording.series.append(checked(series, recording.remarks))
    if not recording.series:
        raise ValueError(unknown_series(source, unknown))
    for name in unknown:
        recording.remark(f"{source}: {not_used(name)}")
    return recording


def _period(times: IntArray, every: IntArray, what: str, recording: Recording) -> int:
    """The period of a series at `times`, of a table with values at `every` time.

    Errors that are only there where there were any may lie on hours or five minutes by chance: a series is coarser than the
    table where it fills its own grid.
    """
    own, common = period_of(times), period_of(every)
    if own <= common or (times.size > 1 and times.size >= _FILLED * ((every[-1] - every[0]) // own + 1)):
        return own if times.size > 1 else common
    if times.size > 1:
        recording.remark(
            f"{what} has values at {times.size:,} of {every.size:,} times, and is taken to be by "
            f"{show_duration(float(common))} as the others are"
        )
    return common


def _tidy(rows: list[list[str]], header: list[str], place: int, source: str, line: int, clock: Clock) -> Recording:
    """`minutes.csv` itself: a row for each period and scope, with its metrics in columns."""
    recording = Recording()
    of = header.index("of")
    lasting = header.index("period_s") if "period_s" in header else None
    parts: dict[tuple[str, int], list[int]] = {}
    for index, row in enumerate(rows[1:], start=1):
        text = "" if lasting is None else row[lasting].strip()
        if re.fullmatch(r"function|alias:[\w-]+|version:\d+", row[of].strip()) is None or (text and not text.isdigit()):
            what = (
                f"`of` is function, alias:NAME or version:NUMBER and `period_s` a whole number, got {quoted(row[of])}"
            )
            raise ValueError(f"{source}:{index + line}: {what} and {quoted(text)}")
        parts.setdefault((row[of].strip(), int(text or MINUTE)), []).append(index)
    for (scope, period), numbers in parts.items():
        if period == 0:
            raise ValueError(f"{source}: period_s is 0; allowed seconds from 1")
        try:
            times: IntArray = np.array(clock.read([rows[index][place] for index in numbers]), np.int64)
        except ValueError as error:
            raise ValueError(f"{source}: {header[place]}: {error}") from None
        for column in COLUMNS:
            if column in header:
                cells = [(index, rows[index][header.index(column)]) for index in numbers]
                values = np.array([_value(text, column, 1.0, f"{source}:{index + line}") for index, text in cells])
                series = Series(column=column, of=scope, period=period, times=times, values=values, source=source)
                recording.series.append(checked(series, recording.remarks))
    return recording


def _rows(text: str) -> tuple[list[list[str]], int]:
    """The rows that hold something, and the line of the first; the delimiter is the one that the header has most of."""
    line = 1
    if text.lower().startswith("sep="):  # Grafana's word to Excel
        text, line = text.partition("\n")[2], 2
    head = text.partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=head.count)
    return [
        row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)
    ], line


def _long(lowered: Sequence[str]) -> tuple[int, int] | None:
    """The places of the series' name and of the value, where each row is one value."""
    if len(lowered) > 4:
        return None
    places = [next((lowered.index(name) for name in options if name in lowered), None) for options in _LONG]
    return None if places[0] is None or places[1] is None else (places[0], places[1])


def _pivoted(rows: list[list[str]], place: int, name: int, value: int) -> Mapping[str, list[tuple[int, str, str]]]:
    columns: dict[str, list[tuple[int, str, str]]] = {}
    for line, row in enumerate(rows[1:], start=2):
        columns.setdefault(row[name], []).append((line, row[place], row[value]))
    return columns


def _wide(rows: list[list[str]], header: list[str], place: int) -> Mapping[str, list[tuple[int, str, str]]]:
    return {
        name: [(line, row[place], row[column]) for line, row in enumerate(rows[1:], start=2)]
        for column, name in enumerate(header)
        if column != place
    }


def _value(text: str, column: str, scale: float, where: str) -> float:
    """A cell, in milliseconds where it is a duration; `12.3 ms` and `1.2 s` are, too. Raises ValueError."""
    try:
        return number(text) * scale
    except ValueError:
        pass
    figure = _FIGURE.fullmatch(text.strip())
    if figure is not None and column.startswith("duration"):
        return float(figure[1]) * float(UNITS["duration"][figure[2].replace("µ", "u")]) * 1000
    what = f"{where}: {column} is a number, got {quoted(text)}"
    raise ValueError(f"{what}; export the data as they are, without formatting")
