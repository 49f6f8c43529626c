"""Prometheus: the JSON of `query_range`. A value is about the step before its time; counters are differenced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.yaml_io import shorten
from rollout_sim.formats.measurements.amazon import inside
from rollout_sim.formats.measurements.clock import Clock
from rollout_sim.formats.measurements.naming import Names, not_used, unknown_series
from rollout_sim.formats.measurements.recording import COUNTS, MINUTE, Recording, Series, checked, number

_FEW: Final = 10
"""Values from which on a series that never falls is taken for a counter."""


def is_matrix(document: Any) -> bool:
    """Whether a JSON document is an answer of Prometheus."""
    if not isinstance(document, Mapping):
        return False
    return (
        "resultType" in document
        or isinstance(document.get("data"), Mapping)
        or "errorType" in document
        or "error" in document
    )


def read_matrix(document: Mapping[str, Any], source: str, names: Names, clock: Clock) -> Recording:
    """The series of an answer. Raises ValueError for one that is no matrix."""
    if document.get("status", "success") != "success":
        raise ValueError(f"{source}: Prometheus answered {shorten(str(document.get('error', document['status'])))}")
    data = document.get("data", document)
    if not isinstance(data, Mapping) or data.get("resultType") != "matrix" or not isinstance(data.get("result"), list):
        got = data.get("resultType") if isinstance(data, Mapping) else type(data).__name__
        raise ValueError(
            f"{source}: needs a range of values, resultType matrix, got {got!r}; ask query_range, not query"
        )
    recording, unknown = Recording(), []
    for warning in document.get("warnings") or []:
        recording.remark(f"{source}: Prometheus warns: {shorten(str(warning))}")
    for entry in data["result"]:
        if not isinstance(entry, Mapping) or not _is_series(entry):
            raise ValueError(f"{source}: a series has a metric and values, got {shorten(repr(entry))}")
    step = _step(data["result"], clock)
    for entry in data["result"]:
        labels = {str(key): str(value) for key, value in inside(entry, "metric").items()}
        name = labels.get("__name__", "")
        written = " ".join([name, *(f"{key}={value}" for key, value in labels.items() if key != "__name__")])
        named = names.told(*_texts(labels, written), file=source, alone=len(data["result"]) == 1)
        if named.column is None:
            unknown.append(written or "a series without labels")
            continue
        of = _scope(labels) or named.of
        if of is None:
            recording.remark(f"{source}: {name or named.column} names no scope and is taken to be of {names.scope}")
        times: IntArray = np.array(clock.read([pair[0] for pair in entry["values"]]), np.int64)
        values = np.array([number(pair[1]) for pair in entry["values"]], float) * named.scale
        if not times.size:
            continue
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
        if step < MINUTE and name.startswith("aws_"):
            what = "an exporter of CloudWatch repeats each of its minutes"
            raise ValueError(f"{source}: {name} comes every {step} s, and {what}; ask query_range with step=60")
        if named.column in COUNTS and _is_counter(name, values):
            recording.remark(f"{source}: {name or named.column} is a counter; it is differenced step by step")
            times, values = _differenced(times, values, step)
        series = Series(
            column=named.column, of=of or names.scope, period=step, times=times - step, values=values, source=source
        )
        recording.series.append(checked(series, recording.remarks))
    if unknown and not recording.series:
        raise ValueError(unknown_series(source, unknown))
    for written in unknown:
        recording.remark(f"{source}: {not_used(written)}")
    if not data["result"]:
        recording.remark(f"{source}: the query found no series")
    return _added_up(recording)


def _step(entries: list[Mapping[str, Any]], clock: Clock) -> int:
    """The step (s) of the query, which is that of all series: one that is seldom there does not show it."""
    times = np.unique([time for entry in entries for time in clock.read([pair[0] for pair in entry["values"]])])
    return int(np.diff(times).min()) if times.size > 1 else MINUTE


def _is_series(entry: Mapping[str, Any]) -> bool:
    values = entry.get("values")
    return isinstance(values, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in values)


def _texts(labels: Mapping[str, str], written: str) -> tuple[str, ...]:
    """What may say which metric a series is: its name, with a quantile where it has one, then all of it."""
    quantile = labels.get("quantile", "")
    return (f"{labels.get('__name__', '')} {quantile}".strip(), written)


def _scope(labels: Mapping[str, str]) -> str | None:
    """The scope by the labels that exporters of CloudWatch's metrics give."""
    lowered = {key.lower().removeprefix("dimension_").replace("_", ""): value for key, value in labels.items()}
    if lowered.get("executedversion"):
        return f"version:{lowered['executedversion']}"
    resource = lowered.get("resource", "")
    if ":" in resource:
        return f"alias:{resource.rpartition(':')[2]}"
    return "function" if resource and resource == lowered.get("functionname") else None


def _is_counter(name: str, values: FloatArray) -> bool:
    if name.endswith(("_total", "_count")):
        return True
    known = values[~np.isnan(values)]
    return name == "" and known.size >= _FEW and bool((np.diff(known) >= 0).all()) and known[-1] > known[0]


def _differenced(times: IntArray, values: FloatArray, step: int) -> tuple[IntArray, FloatArray]:
    """The increments of a counter over each step; after a reset the counter itself, over a gap nothing.

    Of an increment over a gap nobody knows in which of its steps it came about: they stay missing.
    """
    known = ~np.isnan(values)
    times, values = times[known], values[known]
    increments = np.where(np.diff(values) < 0, values[1:], np.diff(values))
    beside = np.diff(times) == step
    return times[1:][beside], increments[beside]


def _added_up(recording: Recording) -> Recording:
    """Counts of several instances or outcomes, which Prometheus keeps as series of their own, added up at each time."""
    groups: dict[tuple[str, str, int], list[Series]] = {}
    for series in recording.series:
        groups.setdefault((series.column, series.of, series.period), []).append(series)
    result = []
    for (column, of, period), group in groups.items():
        if len(group) == 1 or column not in COUNTS:
            result += group
            continue
        times, places = np.unique(np.concatenate([series.times for series in group]), return_inverse=True)
        values = np.bincount(places, np.concatenate([series.values for series in group]), times.size).astype(float)
        recording.remark(f"{group[0].source}: {len(group)} series of {column} of {of} are added up")
        result.append(Series(column=column, of=of, period=period, times=times, values=values, source=group[0].source))
    recording.series = result
    return recording
