"""AWS's own answers: what `aws cloudwatch get-metric-data` and its relatives print is what the APIs answer, and is read alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from rollout_sim.core.arrays import IntArray
from rollout_sim.core.yaml_io import shorten
from rollout_sim.formats.measurements.clock import Clock
from rollout_sim.formats.measurements.naming import Names, not_used, unknown_series
from rollout_sim.formats.measurements.recording import RECORDS, Recording, Series, checked, number, period_of

DOCUMENTS: Final[Mapping[str, str]] = {
    "MetricAlarms": "alarms",
    "CompositeAlarms": "alarms",
    "AlarmHistoryItems": "alarm history",
    "deploymentsInfo": "deployments",
    "deploymentInfo": "deployments",
    "deploymentGroupInfo": "deployment group",
    "deploymentConfigInfo": "deployment configuration",
    "Aliases": "aliases",
    "AliasArn": "aliases",
    "EventSourceMappings": "event source mappings",
    "ProvisionedConcurrencyConfigs": "provisioned concurrency",
    "ReservedConcurrentExecutions": "reserved concurrency",
    "Runtime": "function",
    "MemorySize": "function",
}
"""The kind of an answer by a key that only it has; the first that is there counts."""
_SHORT: Final = ("PartialData", "InternalError")
_SUMS: Final = {
    "invocations": "Sum",
    "errors": "Sum",
    "throttles": "Sum",
    "concurrent_executions": "Maximum",
    RECORDS: "Sum",
}
_DURATIONS: Final = {
    "Average": "duration_average_ms", "Maximum": "duration_max_ms", "p50": "duration_p50_ms", "p90": "duration_p90_ms",
    "p99": "duration_p99_ms",
}  # fmt: skip
_METRICS: Final = {
    "Invocations": "invocations", "Errors": "errors", "Throttles": "throttles", "Duration": "duration",
    "ConcurrentExecutions": "concurrent_executions", "NumberOfMessagesSent": RECORDS, "IncomingRecords": RECORDS,
    "PolledEventCount": RECORDS,
}  # fmt: skip


def is_answer(document: Mapping[str, Any]) -> bool:
    """Whether a JSON document is an answer of AWS that is read here."""
    return any(key in document for key in ("MetricDataResults", "Datapoints", *DOCUMENTS))


def read_answer(document: Mapping[str, Any], source: str, names: Names, clock: Clock) -> Recording:
    """What one answer says. Raises ValueError for one that does not have the API's form."""
    recording = Recording()
    if "MetricDataResults" in document:
        _metric_data(document, source, names, clock, recording)
    elif "Datapoints" in document:
        _statistics(document, source, names, clock, recording)
    else:
        kind = next(DOCUMENTS[key] for key in DOCUMENTS if key in document)
        recording.documents[kind] = [document]
    for token in ("NextToken", "nextToken", "NextMarker"):
        if document.get(token):
            recording.remark(f"{source}: it is one page of several ({token}); give the others, too")
    return recording


def _metric_data(document: Mapping[str, Any], source: str, names: Names, clock: Clock, recording: Recording) -> None:
    results = _list(document, "MetricDataResults", source)
    unknown = []
    for result in results:
        identity, label = str(result.get("Id", "")), str(result.get("Label", ""))
        for message in _list(result, "Messages", source) if result.get("Messages") else []:
            recording.remark(f"{source}: {identity}: CloudWatch says {shorten(str(message.get('Value', message)))}")
        status = result.get("StatusCode", "Complete")
        if status == "Forbidden":
            raise ValueError(
                f"{source}: {identity}: CloudWatch answered Forbidden: cloudwatch:GetMetricData is not allowed"
            )
        named = names.told(label, identity, file=source, alone=len(results) == 1)
        if named.column is None:
            unknown.append(f"{identity} ({label})")
            continue
        if status in _SHORT and not document.get("NextToken"):
            recording.remark(
                f"{source}: {label or identity}: CloudWatch answered {status}: some of its periods may be missing"
            )
        times, values = result.get("Timestamps") or [], result.get("Values") or []
        if not isinstance(times, list) or not isinstance(values, list):
            raise ValueError(f"{source}: {identity}: Timestamps and Values are lists, got {shorten(repr(times))}")
        if len(times) != len(values):
            raise ValueError(f"{source}: {identity}: has {len(times)} Timestamps and {len(values)} Values")
        _add(recording, named.column, named.of, named.period, clock.read(times), values, source, names)
    _left_out(recording, source, unknown, len(results))


def _statistics(document: Mapping[str, Any], source: str, names: Names, clock: Clock, recording: Recording) -> None:
    label = str(document.get("Label", ""))
    points = _list(document, "Datapoints", source)
    metric = _METRICS.get(label)
    if metric is None:
        raise ValueError(unknown_series(source, [label]))
    named = names.told(file=source)
    times = clock.read([point.get("Timestamp") for point in points])
    if metric == "duration":
        wanted: Mapping[str, str] = _DURATIONS
    else:
        wanted = {_SUMS[metric]: metric}
        if metric == "invocations":
            wanted = {"SampleCount": metric} | wanted
    known = 0
    for statistic, column in wanted.items():
        found = [(time, _statistic(point, statistic)) for time, point in zip(times, points, strict=True)]
        kept = [(time, value) for time, value in found if value is not None]
        if kept:
            known += 1
            scale = 1000.0 if metric == "duration" and points[0].get("Unit") == "Seconds" else 1.0
            values = [number(value) * scale for _, value in kept]
            _add(recording, column, named.of, named.period, [time for time, _ in kept], values, source, names)
    if points and not known:
        got = ", ".join(sorted({key for point in points for key in point} - {"Timestamp", "Unit"})) or "none"
        raise ValueError(f"{source}: {label} has no statistic that is used, got {got}; allowed {', '.join(wanted)}")
    if not points:
        recording.remark(f"{source}: {label} has no datapoints at all")


def _statistic(point: Mapping[str, Any], name: str) -> Any:
    return point.get(name, inside(point, "ExtendedStatistics").get(name))


def _add(
    recording: Recording, column: str, of: str | None, period: int | None, times: list[int], values: list[Any], source: str,
    names: Names,
) -> None:  # fmt: skip
    if of is None:
        recording.remark(f"{source}: {column} name no scope and are taken to be of {names.scope}")
    starts: IntArray = np.array(times, np.int64)
    series = Series(
        column=column, of=of or names.scope, period=period or names.period or period_of(starts), times=starts,
        values=np.array([number(value) for value in values], float), source=source,
    )  # fmt: skip
    if period is None and names.period is None:
        recording.remark_seldom(series)
    recording.series.append(checked(series, recording.remarks))


def _left_out(recording: Recording, source: str, unknown: list[str], total: int) -> None:
    if unknown and len(unknown) == total:
        raise ValueError(unknown_series(source, unknown))
    for name in unknown:
        recording.remark(f"{source}: {not_used(name)}")


def _list(document: Mapping[str, Any], key: str, source: str) -> list[Mapping[str, Any]]:
    entries = document[key]
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f"{source}: {key} is a list of mappings, got {shorten(repr(entries))}")
    return entries


def inside(entry: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The mapping at the end of the path of `keys`; an empty one where anything else stands on the way."""
    inner: Any = entry
    for key in keys:
        inner = inner.get(key) if isinstance(inner, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def entries(recording: Recording, kind: str, *keys: str) -> Iterator[Mapping[str, Any]]:
    """What the answers of one kind hold below the first of `keys` that is there: each entry of a list, or the one mapping."""
    for document in recording.documents.get(kind, []):
        for key in keys:
            inner = document.get(key)
            if isinstance(inner, Mapping):
                yield inner
            elif isinstance(inner, list):
                yield from (entry for entry in inner if isinstance(entry, Mapping))
