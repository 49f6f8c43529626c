"""OpenSLO: SLOs as documents that other SLO tools read, and back into a scenario's `slos:`.

Source: the OpenSLO specification; version 1 is written, v1alpha (what sloth reads), Nobl9's form of it and the
proposal v2alpha are read, too.
All three budgeting methods: Occurrences, Timeslices and RatioTimeslices. A calendar window is read as a rolling one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from rollout_sim.control.slo import DAY, Objective
from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import MISSHAPEN, read_documents, shorten, what_is_wrong
from rollout_sim.errors import ScenarioError, legible
from rollout_sim.formats.snippet import Snippet, dashed, numbered, snippet_of
from rollout_sim.scenario.scenario import Scenario

VERSION: Final = "openslo/v1"
ALPHA: Final = "openslo/v1alpha"
NOBL9: Final = "n9/v1alpha"
"""Nobl9's own form, with a metric in each objective as v1alpha has it."""
VERSIONS: Final = (VERSION, ALPHA, NOBL9, "openslo.com/v2alpha", "openslo.com/v2alpha1", "openslo/v2alpha")
"""What is read."""
METHODS: Final = ("Occurrences", "Timeslices", "RatioTimeslices")
"""The budgeting methods, as OpenSLO calls them."""
QUICKEST: Final = 20.0
"""A limit below it is in seconds where nothing says its unit."""
ALPHA_SLICE: Final = "1m"
"""How long a time slice is in a version that does not say it: a guess."""
UNITS: Final = {"m": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY, "M": 30 * DAY, "Q": 90 * DAY, "Y": 365 * DAY}
"""Seconds of the units of OpenSLO's durations; a month, a quarter and a year have the usual round lengths."""
_WORDS: Final = {
    "Minute": "m", "Hour": "h", "Day": "d", "Week": "w", "Month": "M", "Quarter": "Q", "Year": "Y",
}  # fmt: skip
"""The units of v1alpha, as the letters of version 1."""
_EXACT: Final = ("w", "d", "h", "m")
_FIELDS: Final = ("sli", "latency", "objective", "window", "slices", "every", "target")


def export(scenario: Scenario) -> Snippet:
    """One document per SLO. Raises ScenarioError without an SLO, or for a window that is no whole number of minutes."""
    if not scenario.slos:
        raise ScenarioError([f"{scenario.name}: slos: there is none to export"])
    remarks = [
        "the metric sources name Lambda's metrics: failed invocations of the alias, throttled requests not among them"
    ]
    documents = []
    for slo in scenario.slos:
        if slo.sli == "lost" or slo.limit != slo.latency:
            what = "whether it was lost" if slo.sli == "lost" else "its age"
            remarks.append(
                f"left out: {slo.name}: it is about single records, and no metric of Lambda's says of one {what}"
            )
            continue
        if slo.spent:
            remarks.append(
                f"left out: {slo.name}: `spent`, the part of the budget that is gone already; OpenSLO has no such field"
            )
        if slo.latency is not None:
            remarks.append(
                f"{slo.name}: failed requests are bad too in the simulation; a threshold on the duration alone misses them"
            )
        documents.append(_document(scenario, slo))
    if not documents:
        raise ScenarioError([f"{scenario.name}: slos: none of them can be said in OpenSLO: {'; '.join(remarks[1:])}"])
    return snippet_of(*documents, remarks=remarks)


def _document(scenario: Scenario, slo: Objective) -> dict[str, Any]:
    function = scenario.function.name
    resource = f"{function}:{slo.alias or scenario.alias}"

    def source(metric: str) -> dict[str, Any]:
        dimensions = {"FunctionName": function, "Resource": resource}
        return {
            "type": "CloudWatch",
            "spec": {"namespace": "AWS/Lambda", "metricName": metric, "dimensions": dimensions},
        }

    objective: dict[str, Any] = {"target": slo.objective}
    if slo.slices is not None:
        if slo.slices.target is not None:
            objective["timeSliceTarget"] = slo.slices.target
        objective["timeSliceWindow"] = _shorthand(f"{slo.name}: slices.every", slo.slices.every)
    indicator: dict[str, Any]
    if slo.latency is None:
        indicator = {"ratioMetric": {"counter": True, **{k: {"metricSource": source(m)} for k, m in _RATIO.items()}}}
    else:
        objective = {"op": "lte", "value": round(slo.latency * 1000, 6), **objective}
        indicator = {"thresholdMetric": {"metricSource": source("Duration")}}
    return {
        "apiVersion": VERSION,
        "kind": "SLO",
        "metadata": {"name": dashed(slo.name), "displayName": slo.name},
        "spec": {
            "service": dashed(function),
            "indicator": {"metadata": {"name": f"{dashed(slo.name)}-sli"}, "spec": indicator},
            "timeWindow": [{"duration": _shorthand(f"{slo.name}: window", slo.window), "isRolling": True}],
            "budgetingMethod": _method(slo),
            "objectives": [objective],
        },
    }


_RATIO: Final = {"bad": "Errors", "total": "Invocations"}


def _method(slo: Objective) -> str:
    if slo.slices is None:
        return "Occurrences"
    return "RatioTimeslices" if slo.slices.target is None else "Timeslices"


def _shorthand(where: str, time: float) -> str:
    for unit in _EXACT:
        if time % UNITS[unit] == 0:
            return f"{time / UNITS[unit]:.0f}{unit}"
    raise ScenarioError([f"slos: {where}: OpenSLO's durations are whole minutes, got {time:g} s"])


def read(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The SLOs of a file of OpenSLO documents, as entries of a scenario's `slos:`, and what is not supported or assumed.

    Raises ScenarioError for a file that is no YAML, or without an SLO that can be read.
    """
    documents = [document for document in read_documents(path) if document is not None]
    flat = [_current(document) for part in documents for document in (part if isinstance(part, list) else [part])]
    named = {
        (str(document.get("kind")), _name(document)): document for document in flat if isinstance(document, Mapping)
    }
    entries: list[dict[str, Any]] = []
    remarks: list[str] = []
    for number, document in enumerate(flat, 1):
        if not isinstance(document, Mapping) or document.get("apiVersion") not in VERSIONS:
            version = document.get("apiVersion") if isinstance(document, Mapping) else document
            allowed = ", ".join(VERSIONS)
            remarks.append(f"document {number}: apiVersion: got {shorten(repr(version))}; allowed {allowed}")
        elif document.get("kind") == "SLO":
            try:
                for entry in _entries(document, named, remarks):
                    name = numbered(str(entry["name"]), [other["name"] for other in entries])
                    entries.append(entry | {"name": name})
            except MISSHAPEN as error:
                remarks.append(f"document {number}, {_name(document)}: {what_is_wrong(error)}")
        elif document.get("kind") != "SLI":
            remarks.append(f"document {number}: a {document.get('kind')} is not read; allowed SLO, SLI")
    if not entries:
        raise ScenarioError([f"{path}: there is no SLO that can be read", *(f"{path}: {remark}" for remark in remarks)])
    return entries, [legible(remark) for remark in remarks]


def _name(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    return (
        str(metadata.get("name")) if isinstance(metadata, Mapping) and "name" in metadata else "an SLO without a name"
    )


def _current(document: Any) -> Any:
    """A document with the field names of version 1, where it is of another version; anything else as it is."""
    if not isinstance(document, Mapping) or not isinstance(document.get("spec"), Mapping):
        return document
    spec = dict(document["spec"])
    for old, new in (("sli", "indicator"), ("sliRef", "indicatorRef")):
        if old in spec:
            spec[new] = spec.pop(old)
    windows = spec.pop("timeWindows", None)
    if isinstance(windows, list):
        spec["timeWindow"] = [_window_of_alpha(window) for window in windows]
    indicator = spec.get("indicator")
    if isinstance(indicator, Mapping) and "spec" not in indicator:  # v1alpha has the metric at once
        spec["indicator"] = {"spec": indicator}
    return {**document, "spec": spec}


def _window_of_alpha(window: Any) -> Any:
    """A window of v1alpha, `{count: 30, unit: Day}`, with a duration; anything else as it is."""
    if not isinstance(window, Mapping) or str(window.get("unit")).title() not in _WORDS or "duration" in window:
        return window
    return {**window, "duration": f"{window.get('count', 1)}{_WORDS[str(window['unit']).title()]}"}


def _entries(document: Mapping[str, Any], named: Mapping[Any, Any], remarks: list[str]) -> Iterator[dict[str, Any]]:
    """The entries of one SLO document, one per objective; an objective that is not supported is a remark.

    Raises ValueError or KeyError for what is not supported of all of them.
    """
    spec, name = document["spec"], _name(document)
    if sum("indicator" in objective or "indicatorRef" in objective for objective in spec["objectives"]) > 1:
        remarks.append(
            f"{name}: its objectives with indicators of their own are one composite SLO; here each is an SLO"
        )
    if spec.get("alertPolicies"):
        remarks.append(f"{name}: alertPolicies are not read; write `alarms:` with the metric burn_rate")
    objectives = spec["objectives"]
    problems: list[str] = []
    for number, objective in enumerate(objectives, 1):
        label = name if len(objectives) == 1 else dashed(str(objective.get("displayName", f"{name}-{number}")))
        try:
            version = document.get("apiVersion")
            assumed = {"timeSliceWindow": ALPHA_SLICE} if version in (ALPHA, NOBL9) else {}
            entry = _entry(spec, {**assumed, **objective}, label, named, remarks)
            if assumed and "slices" in entry and "timeSliceWindow" not in objective:
                remarks.append(f"{label}: {version} does not say how long a time slice is: 1 min is a GUESS")
        except MISSHAPEN as error:
            problems.append(what_is_wrong(error))
            continue
        yield entry
    if len(problems) == len(objectives):
        raise ValueError("; ".join(dict.fromkeys(problems)) or "objectives: there is none")
    remarks += [f"{name}: left out: {problem}" for problem in problems]


def _entry(
    spec: Mapping[str, Any], objective: Mapping[str, Any], label: str, named: Mapping[Any, Any], remarks: list[str]
) -> dict[str, Any]:
    """The entry of one objective. Raises ValueError or KeyError for what is not supported."""
    measured = _measured(spec, objective, named)
    target = objective["target"] if "target" in objective else objective["targetPercent"] / 100
    if not 0 < float(target) < 1:
        percent = "; in percent it is targetPercent" if 1 < float(target) < 100 and "target" in objective else ""
        raise ValueError(f"objectives: the target must lie between 0 and 1, got {target}{percent}")
    entry: dict[str, Any] = {"name": label, "sli": "errors", "objective": text(round(float(target), 12), "share")}
    assumed: list[str] = []
    if "thresholdMetric" in measured:
        if objective.get("op") not in ("lte", "lt"):
            raise ValueError(f"objectives: op: got {objective.get('op')!r}; allowed lte, lt (a longest good latency)")
        value = float(objective["value"])
        seconds = in_seconds(measured["thresholdMetric"], value)
        entry["sli"] = {"latency": text(round(value if seconds else value / 1000, 9), "duration")}
        assumed.append(
            f"{label}: the threshold {objective['value']} was taken as {'seconds' if seconds else 'milliseconds'}"
        )
    elif (limit := _bucket(measured["ratioMetric"])) is not None:
        entry["sli"] = {"latency": text(round(limit, 9), "duration")}
        assumed.append(
            f"{label}: good are requests within {text(limit, 'duration')}, by the bucket that its query counts: a GUESS"
        )
    else:
        late = ", though its name speaks of how long they take" if re.search("latenc|duration|slow", label) else ""
        assumed.append(f"{label}: the query is not read: bad are requests that fail{late}")
    entry["window"] = _window(spec, label, assumed)
    entry |= _slices(spec, objective, label, assumed)
    _check(entry)
    alias = _alias(measured)
    remarks += assumed
    return entry | ({"alias": alias} if alias else {})


def _bucket(ratio: Any) -> float | None:
    """The longest good latency (s) where what is good are the calls in a bucket of Prometheus' histogram; None elsewhere."""
    good = str(ratio.get("good")) if isinstance(ratio, Mapping) else ""
    match = re.search(r"(\w*)_bucket\b[^}]*\ble\s*=~?\s*\\*[\"']([\d.]+)", good)
    if match is None:
        return None
    value = float(match[2])
    return value if in_seconds(match[1], value) else value / 1000


def in_seconds(metric: Any, value: float) -> bool:
    """Whether a limit of a duration is in seconds: by what its query says, else because nothing is as quick as that many ms."""
    query = str(metric).lower()
    if "aws/lambda" in query or re.search(r"milli|_ms\b|\bms\b", query):
        return False
    return re.search(r"seconds|_s\b", query) is not None or value < QUICKEST


def _slices(spec: Mapping[str, Any], objective: Mapping[str, Any], label: str, remarks: list[str]) -> dict[str, Any]:
    """The field `slices` where the budget counts time slices; nothing where it counts occurrences. Raises ValueError or KeyError."""
    method = objective.get("budgetingMethod", spec.get("budgetingMethod", "Occurrences"))
    if method not in METHODS:
        raise ValueError(f"budgetingMethod: got {method!r}; allowed {', '.join(METHODS)}")
    if method == "Occurrences":
        return {}
    window = objective["timeSliceWindow"]
    minutes = isinstance(window, int | float) and not isinstance(window, bool)
    match = re.fullmatch(r"([1-9]\d*)([mhdw])", f"{window:g}m" if minutes else str(window))
    if match is None:
        raise ValueError(f"timeSliceWindow: got {window!r}; allowed such as 1m, 5m, 1h")
    if minutes:
        remarks.append(f"{label}: timeSliceWindow {window:g} was taken as minutes")
    slices = {"every": text(int(match[1]) * UNITS[match[2]], "duration")}
    if method == "Timeslices":
        target = float(objective["timeSliceTarget"])
        if not 0 < target <= 1:
            raise ValueError(f"timeSliceTarget: must be above 0 and at most 1, got {objective['timeSliceTarget']}")
        slices["target"] = text(round(target, 12), "share")
    remarks.append(f"{label}: OpenSLO does not say what a time slice without requests is: it was taken as good")
    return {"slices": slices}


def _measured(spec: Mapping[str, Any], objective: Mapping[str, Any], named: Mapping[Any, Any]) -> Mapping[str, Any]:
    """The metric of one objective: its own, that of the SLO, or that of an SLI in this file. Raises ValueError or KeyError."""
    for ratio in ("ratioMetrics", "countMetrics"):  # of v1alpha, of Nobl9
        if ratio in objective:
            return {"ratioMetric": objective[ratio]}
    if "rawMetric" in objective:
        return {"thresholdMetric": objective["rawMetric"]}
    own = _current({"spec": objective})["spec"]
    holder = own if "indicator" in own or "indicatorRef" in own else spec
    indicator = holder.get("indicator")
    if indicator is None:
        reference = str(holder["indicatorRef"])
        if ("SLI", reference) not in named:
            raise ValueError(f"indicatorRef: no SLI {reference!r} in this file")
        indicator = named["SLI", reference]
    measured: Mapping[str, Any] = indicator["spec"]
    if "ratioMetric" not in measured and "thresholdMetric" not in measured:
        raise ValueError("indicator: needs a ratioMetric or a thresholdMetric")
    return measured


def _check(entry: dict[str, Any]) -> None:
    """Raises ValueError for an SLO that no scenario takes."""
    try:
        TypeAdapter(Objective).validate_python(entry)
    except ValidationError as error:
        first = max(
            error.errors(), key=lambda detail: len(detail["loc"])
        )  # of `errors` and a latency, about the latency
        where = ".".join(str(part) for part in first["loc"] if part in _FIELDS)
        raise ValueError(f"{where or 'objective'}: {first.get('ctx', {}).get('error', first['msg'])}") from None


def _alias(measured: Mapping[str, Any]) -> str | None:
    """The alias that a CloudWatch source of Lambda names, if one does."""
    metric = measured.get("ratioMetric", {}).get("total") or measured.get("thresholdMetric") or {}
    source = metric.get("metricSource", {}).get("spec", {})
    dimensions = source.get("dimensions", {}) if isinstance(source, Mapping) else {}
    resource = dimensions.get("Resource", "") if isinstance(dimensions, Mapping) else ""
    return str(resource).partition(":")[2] or None


def _window(spec: Mapping[str, Any], label: str, remarks: list[str]) -> str:
    windows = spec.get("timeWindow") or []
    if not windows:
        remarks.append(f"{label}: there is no timeWindow; 30 d is the default")
        return "30 d"
    window = windows[0]
    if len(windows) > 1:
        remarks.append(f"{label}: left out: all but the first of its {len(windows)} time windows")
    calendar = not window.get("isRolling", False)
    match = re.fullmatch(r"([1-9]\d*)([mhdwMQY])", str(window["duration"]))
    if match is None:
        raise ValueError(f"timeWindow: got {window['duration']!r}; allowed such as 30d, 4w, 24h")
    if calendar:
        long = int(match[1]) * UNITS[match[2]]
        shown = f"{long / DAY:g} days" if long >= DAY else text(long, "duration")
        month = "; a month is 1M" if match[2] == "m" else ""
        remarks.append(
            f"{label}: the calendar window {window['duration']} was taken as a rolling one of {shown}{month}"
        )
    elif match[2] not in _EXACT:
        remarks.append(f"{label}: {window['duration']} was taken as {int(match[1]) * UNITS[match[2]] / DAY:g} days")
    return text(int(match[1]) * UNITS[match[2]], "duration")
