"""CloudWatch alarms: an `Alarm` as the properties of `AWS::CloudWatch::Alarm`, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollout_sim.control.alarms import Alarm
from rollout_sim.core.units import text
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.snippet import Ref, Sub, logical

OPERATORS: Final = {
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
}
MISSING: Final = {"missing": "missing", "ignore": "ignore", "breaching": "breaching", "not_breaching": "notBreaching"}
METRICS: Final = {"invocations": "Invocations", "errors": "Errors", "throttles": "Throttles", "duration": "Duration"}
STATISTICS: Final = {
    "sum": "Sum", "average": "Average", "minimum": "Minimum", "maximum": "Maximum", "sample_count": "SampleCount",
}  # fmt: skip
_RATE: Final = "errors / invocations"
_BANDS: Final = {
    "outside": "LessThanLowerOrGreaterThanUpperThreshold",
    "above": "GreaterThanUpperThreshold",
    "below": "LessThanLowerThreshold",
}


def alarm_resource(alarm: Alarm, function: Ref, alias: str, version: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The resource of one alarm, and remarks; `version` is the new version's number, or what stands for it.

    Raises ScenarioError for an alarm that CloudWatch has no single alarm for.
    """
    if alarm.metric == "burn_rate":
        raise ScenarioError(
            ["a burn_rate alarm is two windows on an SLO: export it with your SLO tool (see export openslo)"]
        )
    if alarm.rule is not None:
        raise ScenarioError(
            [
                f"a composite alarm is a resource of its own, AWS::CloudWatch::CompositeAlarm: write it with {alarm.rule!r}"
            ]
        )
    if "old_version" in alarm.scopes:
        raise ScenarioError(
            ["an alarm on the old version has no fixed dimension: its number changes with every release"]
        )

    def stat(metric: str, statistic: str, of: str) -> dict[str, Any]:
        return {
            "Metric": {
                "Namespace": "AWS/Lambda", "MetricName": METRICS[metric],
                "Dimensions": _dimensions(of, function, alias, version),
            },
            "Period": int(alarm.period), "Stat": STATISTICS.get(statistic, statistic),
        }  # fmt: skip

    properties: dict[str, Any] = {"ComparisonOperator": _BANDS.get(alarm.comparator) or OPERATORS[alarm.comparator]}
    properties |= {
        "EvaluationPeriods": alarm.n,
        "DatapointsToAlarm": alarm.m,
        "TreatMissingData": MISSING[alarm.missing],
    }
    queries = _queries(alarm)
    if alarm.band is None:
        limit = round(alarm.limit * 1000 if alarm.metric == "duration" else alarm.limit, 9)
        properties["Threshold"] = int(limit) if limit == int(limit) else limit
    else:
        properties["ThresholdMetricId"] = "band"
    if queries is None:
        statistic = str(alarm.statistic)
        which = {"Statistic": STATISTICS[statistic]} if statistic in STATISTICS else {"ExtendedStatistic": statistic}
        properties |= {
            "Namespace": "AWS/Lambda", "MetricName": METRICS[str(alarm.metric)],
            "Dimensions": _dimensions(alarm.of, function, alias, version), "Period": int(alarm.period), **which,
        }  # fmt: skip
        if alarm.low_samples == "ignore":
            properties["EvaluateLowSampleCountPercentile"] = "ignore"
    else:
        expressions, metrics = queries
        properties["Metrics"] = [
            *(
                {"Id": name, "Expression": text, "Label": label, "ReturnData": name != "band" or alarm.band is not None}
                for name, (text, label) in expressions.items()
            ),
            *(
                {"Id": name, "ReturnData": alarm.band is not None and name == "watched", "MetricStat": stat(*which)}
                for name, which in metrics.items()
            ),
        ]
    if alarm.window == "wall_clock":
        properties["EvaluationWindow"] = {"WallClockWindow": {"Timezone": "UTC"}}
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}, tuple(_remarks(alarm))


def _queries(alarm: Alarm) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str, str]]] | None:
    """The expressions (with a label) and the metrics (name, statistic, scope) of an alarm on metric maths, by their ids.

    None for an alarm that is on one metric.
    """
    of: str = alarm.of
    metrics: dict[str, tuple[str, str, str]]
    if alarm.maths is not None:
        result = {"result": (str(alarm.expression), "expression")}
        metrics = {name: (one.metric, one.statistic, one.of) for name, one in alarm.readings.items()}
        if not alarm.least:
            return result, metrics
        value = f"({alarm.expression})"
    elif alarm.metric == "error_rate":
        metrics = {name: (name, "sum", of) for name in ("errors", "invocations")}
        value = _RATE
        if alarm.band is None and not alarm.least:
            return {"rate": (_RATE, "error rate")}, metrics
    elif alarm.least or alarm.band is not None:
        metrics = {"watched": (str(alarm.metric), str(alarm.statistic), of)}
        value = "watched"
    else:
        return None
    if alarm.least:
        guard = "guard" if "guard" not in metrics else "guard_of_requests"
        metrics[guard] = ("invocations", "sum", of)
        fine = "" if alarm.below == "missing" else ", 0" if alarm.comparator in (">", ">=") else ", 1000000000"
        return {"guarded": (f"IF({guard} >= {alarm.least}, {value}{fine})", "guarded")}, metrics
    banded = "watched" if value == "watched" else "rate"
    expressions = {} if value == "watched" else {"rate": (_RATE, "error rate")}
    return expressions | {"band": (f"ANOMALY_DETECTION_BAND({banded}, {alarm.band:g})", "expected")}, metrics


def _remarks(alarm: Alarm) -> Iterator[str]:
    """What CloudWatch does otherwise, or on its own."""
    if alarm.lag:
        yield "the delay of datapoints (`lag`) is CloudWatch's own, not a setting"
    if alarm.period < 60:
        yield (
            f"Lambda's metrics come once a minute: an alarm with periods of {alarm.period:g} s misses data in most of them"
        )
    if alarm.band is not None:
        yield "CloudWatch learns its band from two weeks of data; the simulation's is a forecast of the traffic"
    if alarm.warm_up:
        yield f"the warm-up of {alarm.warm_up:g} s is not in the template: set WarmUpConfiguration where the alarm is made"
    if alarm.least and alarm.comparator in (">=", "<=") and alarm.below == "ok":
        yield "the guard's value for too few requests must not breach: see that it does not"


def _dimensions(of: str, function: Ref, alias: str, version: Any) -> list[dict[str, Any]]:
    dimensions: list[dict[str, Any]] = [{"Name": "FunctionName", "Value": function}]
    if of != "function":
        dimensions.append({"Name": "Resource", "Value": Sub(f"${{{function}}}:{alias}")})
    if of == "new_version":
        dimensions.append({"Name": "ExecutedVersion", "Value": version})
    return dimensions


def alarm_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an `Alarm`, as a scenario has them, from resolved properties.

    Raises ValueError for what the simulator does not know: another namespace, an anomaly band, other metric maths.
    """
    operators = {name: sign for sign, name in OPERATORS.items()}
    treatments = {name: word for word, name in MISSING.items()}
    operator = properties.get("ComparisonOperator")
    if operator not in operators:
        raise ValueError(f"comparison {operator!r} is not known; allowed {', '.join(operators)}")
    periods = int(properties.get("EvaluationPeriods", 1))
    fields: dict[str, Any] = {
        "datapoints": f"{int(properties.get('DatapointsToAlarm', periods))} of {periods}",
        "missing": treatments.get(str(properties.get("TreatMissingData", "missing")), "missing"),
    }
    metrics = properties.get("Metrics")
    if metrics:
        stats = {str(query.get("Id")): query["MetricStat"] for query in metrics if "MetricStat" in query}
        expression = next((str(query["Expression"]) for query in metrics if "Expression" in query), "")
        pair = re.fullmatch(r"\s*(\w+)\s*/\s*(\w+)\s*", expression)
        names = [stats[x]["Metric"]["MetricName"] for x in (pair.groups() if pair else ()) if x in stats]
        if names != ["Errors", "Invocations"]:
            raise ValueError(f"the expression {expression!r} is not known; allowed errors / invocations")
        stat = stats[pair[1]] if pair else {}
        metric, dimensions, period = "error_rate", stat["Metric"].get("Dimensions", []), stat.get("Period", 60)
        threshold = text(float(properties["Threshold"]), "share")
    else:
        known = {name: word for word, name in METRICS.items()}
        if properties.get("Namespace") != "AWS/Lambda" or properties.get("MetricName") not in known:
            what = f"{properties.get('Namespace')}/{properties.get('MetricName')}"
            raise ValueError(f"the metric {what} is not known; allowed AWS/Lambda {', '.join(known)}")
        metric, dimensions = known[str(properties["MetricName"])], properties.get("Dimensions", [])
        period = properties.get("Period", 60)
        statistic = str(properties.get("ExtendedStatistic", properties.get("Statistic", "Sum")))
        fields["statistic"] = statistic if statistic.startswith("p") else statistic.lower()
        limit = float(properties["Threshold"])
        threshold = text(limit / 1000, "duration") if metric == "duration" else f"{limit:.12g}"
    sides = {str(dimension.get("Name")) for dimension in dimensions}
    of = "new_version" if "ExecutedVersion" in sides else "alias"
    return {
        "metric": metric,
        "of": of,
        "period": f"{int(period)} s",
        "threshold": f"{operators[operator]} {threshold}",
        **fields,
    }


def alarm_ids(names: tuple[str, ...]) -> dict[str, str]:
    """A logical id for each alarm; names that differ only in signs are numbered."""
    ids: dict[str, str] = {}
    for name in names:
        identity = logical(f"{name} alarm")
        ids[name] = identity if identity not in ids.values() else f"{identity}{len(ids) + 1}"
    return ids
