"""CloudWatch alarms: an `Alarm` as the properties of `AWS::CloudWatch::Alarm`, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
_RATE: Final = "errors / invocations"


def alarm_resource(alarm: Alarm, function: Ref, alias: str, version: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The resource of one alarm, and remarks; `version` is the new version's number, or what stands for it.

    Raises ScenarioError for an alarm that CloudWatch has no single alarm for.
    """
    if alarm.metric == "burn_rate":
        raise ScenarioError(
            ["a burn_rate alarm is two windows on an SLO: export it with your SLO tool (see export openslo)"]
        )
    if alarm.of == "old_version":
        raise ScenarioError(
            ["an alarm on the old version has no fixed dimension: its number changes with every release"]
        )
    dimensions = _dimensions(alarm, function, alias, version)
    properties: dict[str, Any] = {
        "ComparisonOperator": OPERATORS[alarm.comparator],
        "Threshold": alarm.limit * 1000 if alarm.metric == "duration" else alarm.limit,
        "EvaluationPeriods": alarm.n,
        "DatapointsToAlarm": alarm.m,
        "TreatMissingData": MISSING[alarm.missing],
    }
    period, rounded = int(alarm.period), round(properties["Threshold"], 9)
    properties["Threshold"] = int(rounded) if rounded == int(rounded) else rounded
    if alarm.metric == "error_rate":
        properties["Metrics"] = [
            {"Id": "rate", "Expression": _RATE, "Label": "error rate", "ReturnData": True},
            *(
                {
                    "Id": name, "ReturnData": False,
                    "MetricStat": {
                        "Metric": {"Namespace": "AWS/Lambda", "MetricName": METRICS[name], "Dimensions": dimensions},
                        "Period": period, "Stat": "Sum",
                    },
                }
                for name in ("errors", "invocations")
            ),
        ]  # fmt: skip
    else:
        statistic = str(alarm.statistic)
        which = (
            {"Statistic": statistic.capitalize()}
            if statistic in ("sum", "average")
            else {"ExtendedStatistic": statistic}
        )
        properties |= {
            "Namespace": "AWS/Lambda", "MetricName": METRICS[alarm.metric], "Dimensions": dimensions,
            "Period": period, **which,
        }  # fmt: skip
    remarks = ["the delay of datapoints (`lag`) is CloudWatch's own, not a setting"] if alarm.lag else []
    if period < 60:
        remarks.append(
            f"Lambda's metrics come once a minute: an alarm with periods of {period} s misses data in most of them"
        )
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}, tuple(remarks)


def _dimensions(alarm: Alarm, function: Ref, alias: str, version: Any) -> list[dict[str, Any]]:
    dimensions: list[dict[str, Any]] = [
        {"Name": "FunctionName", "Value": function},
        {"Name": "Resource", "Value": Sub(f"${{{function}}}:{alias}")},
    ]
    if alarm.of == "new_version":
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
