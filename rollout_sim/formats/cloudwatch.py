"""CloudWatch alarms: an `Alarm` as the resource `AWS::CloudWatch::Alarm` or `CompositeAlarm`; `watching` is the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rollout_sim.control.alarms import COMPARE, Alarm
from rollout_sim.control.expressions import renamed
from rollout_sim.control.readings import TIMES
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.snippet import GetAtt, Ref, Sub, logical

OPERATORS: Final = {
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
}
BANDS: Final = {
    "above": "GreaterThanUpperThreshold",
    "below": "LessThanLowerThreshold",
    "outside": "LessThanLowerOrGreaterThanUpperThreshold",
}
"""The comparisons of anomaly alarms."""
MIRRORED: Final = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
"""The comparisons of the same values, the sides changed."""
MISSING: Final = {"missing": "missing", "ignore": "ignore", "breaching": "breaching", "not_breaching": "notBreaching"}
METRICS: Final = {"invocations": "Invocations", "errors": "Errors", "throttles": "Throttles", "duration": "Duration"}
QUEUE_METRICS: Final = {
    "messages_visible": "ApproximateNumberOfMessagesVisible", "oldest_message_age": "ApproximateAgeOfOldestMessage",
    "messages_in_dlq": "ApproximateNumberOfMessagesVisible of the dead-letter queue",
}  # fmt: skip
"""The metrics of a queue, which SQS publishes."""
STREAM_METRICS: Final = {"iterator_age": "IteratorAge"}
"""The metric of a stream, which Lambda publishes in milliseconds."""
STATISTICS: Final = {
    "sum": "Sum", "average": "Average", "minimum": "Minimum", "maximum": "Maximum", "sample_count": "SampleCount",
}  # fmt: skip
LAMBDA_METRICS: Final = METRICS | STREAM_METRICS
"""All that Lambda publishes of what a scenario has."""
MILLISECONDS: Final = (*TIMES, *STREAM_METRICS)
"""The metrics that Lambda and the front door publish in milliseconds; SQS's ages are in seconds."""
_RATE: Final = "errors / invocations"
_PARTS: Final = ("errors", "invocations")


class Resources:
    """The alarms of one scenario as resources; `function` and `version` stand for the function's name and the new version."""

    def __init__(
        self,
        alarms: Mapping[str, Alarm],
        function: Ref,
        alias: str,
        version: Any,
        queues: Mapping[str, str] | None = None,
    ) -> None:
        self.alarms = alarms
        self.queues = queues or {}
        """By the metric of a queue, the logical id of the only queue that it may be of."""
        self.function = function
        self.alias = alias
        self.version = version

    def resource(self, name: str, ids: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The resource of one alarm, and remarks; `ids` are the logical ids of the alarms that there are.

        Raises ScenarioError for an alarm that CloudWatch has no single alarm for.
        """
        alarm = self.alarms[name]
        if alarm.composite is not None:
            return self._composite(alarm, ids)
        if alarm.metric == "burn_rate":
            raise ScenarioError(
                ["a burn_rate alarm is two windows on an SLO: export it with your SLO tool (see export openslo)"]
            )
        if "old_version" in alarm.scopes:
            raise ScenarioError(
                ["an alarm on the old version has no fixed dimension: its number changes with every release"]
            )
        queued = sorted({reading.metric for reading in alarm.readings.values()} & {*QUEUE_METRICS})
        if queued and (set(queued) - {*self.queues} or alarm.expression is not None or alarm.band is not None):
            what = f"AWS/SQS {QUEUE_METRICS[queued[0]]}, whose dimension QueueName is not told: write it yourself"
            raise ScenarioError([f"an alarm on {queued[0]} is one on {what}"])
        others = sorted(
            {reading.metric for reading in alarm.readings.values()} - {*LAMBDA_METRICS, *self.queues, "error_rate"}
        )
        if others:
            what = "a metric of your own: write it with that metric's namespace and dimensions"
            raise ScenarioError([f"an alarm on {others[0]}, {what}"])
        properties: dict[str, Any] = {
            "EvaluationPeriods": alarm.n,
            "DatapointsToAlarm": alarm.m,
            "TreatMissingData": MISSING[alarm.missing],
        }
        if alarm.band is None:
            duration = alarm.metric in ("duration", *STREAM_METRICS) and alarm.statistic != "sample_count"
            limit = round(alarm.limit * 1000 if duration else alarm.limit, 9)
            properties["Threshold"] = int(limit) if limit == int(limit) else limit
            properties["ComparisonOperator"] = OPERATORS[alarm.comparator]
        if alarm.low_samples == "ignore":
            properties["EvaluateLowSampleCountPercentile"] = "ignore"
        if alarm.window == "wall_clock":
            properties["EvaluationWindow"] = {"WallClockWindow": {"Timezone": "UTC"}}
        properties |= self._watched(alarm)
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}, _remarks(name, alarm)

    def _composite(self, alarm: Alarm, ids: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
        assert alarm.composite is not None
        gone = [name for name in alarm.composite.names if name not in ids]
        if gone:
            raise ScenarioError([f"its rule reads {gone[0]}, which is left out"])
        rule = Sub(renamed(alarm.composite.text, {name: f'"${{{identity}}}"' for name, identity in ids.items()}))
        return {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmRule": rule}}, ()

    def _watched(self, alarm: Alarm) -> dict[str, Any]:
        """What an alarm reads: one metric, metric maths, or a metric with a band."""
        period = int(alarm.period)
        if alarm.expression is not None:
            stats = [
                self._stat(name, query.metric, str(query.statistic), query.of, period)
                for name, query in alarm.metrics.items()
            ]
            return self._maths(alarm, alarm.expression, stats)
        if alarm.metric == "error_rate" and alarm.band is None:
            return self._maths(alarm, _RATE, [self._stat(name, name, "sum", alarm.of, period) for name in _PARTS])
        if alarm.band is not None:
            if alarm.metric == "error_rate":
                stats = [self._stat(name, name, "sum", alarm.of, period) for name in _PARTS]
                watched = [{"Id": "m", "Expression": _RATE, "ReturnData": True}, *stats]
            else:
                watched = [
                    self._stat("m", str(alarm.metric), str(alarm.statistic), alarm.of, period) | {"ReturnData": True}
                ]
            band = {"Id": "band", "Expression": f"ANOMALY_DETECTION_BAND(m, {alarm.band:g})", "ReturnData": True}
            return {
                "ComparisonOperator": BANDS[alarm.threshold], "ThresholdMetricId": "band", "Metrics": [*watched, band],
            }  # fmt: skip
        if alarm.least:
            return self._maths(alarm, "m", [self._stat("m", str(alarm.metric), str(alarm.statistic), alarm.of, period)])
        statistic = str(alarm.statistic)
        which = {"Statistic": STATISTICS[statistic]} if statistic in STATISTICS else {"ExtendedStatistic": statistic}
        if (metric := str(alarm.metric)) in self.queues:
            queue = {"Name": "QueueName", "Value": GetAtt(f"{self.queues[metric]}.QueueName")}
            named = QUEUE_METRICS[metric].partition(" ")[0]
            return {"Namespace": "AWS/SQS", "MetricName": named, "Dimensions": [queue], "Period": period, **which}
        return {
            "Namespace": "AWS/Lambda", "MetricName": LAMBDA_METRICS[str(alarm.metric)], "Dimensions": self._dimensions(alarm.of),
            "Period": period, **which,
        }  # fmt: skip

    def _maths(self, alarm: Alarm, expression: str, stats: list[dict[str, Any]]) -> dict[str, Any]:
        """Metric maths, behind the guard `at_least` where there is one. Raises ScenarioError for a guard that maths has not."""
        if alarm.least:
            fine = next((value for value in (0, 1_000_000_000) if _is_ok(alarm, value)), None)
            if alarm.below == "ok" and fine is None:
                what = f"at_least with the threshold {alarm.threshold}: every number that metric maths could put in breaches it"
                raise ScenarioError([what])
            counted = next((stat["Id"] for stat in stats if stat["Id"] == "invocations"), None)
            if counted is None:
                counted = "requests_seen"
                stats = [*stats, self._stat(counted, "invocations", "sum", alarm.of, int(alarm.period))]
            otherwise = f", {fine}" if alarm.below == "ok" else ""
            expression = f"IF({counted} >= {alarm.least}, {expression}{otherwise})"
        label = {"Label": "error rate"} if alarm.metric == "error_rate" else {}
        return {"Metrics": [{"Id": _free(stats), "Expression": expression, **label, "ReturnData": True}, *stats]}

    def _stat(self, identity: str, metric: str, statistic: str, of: str, period: int) -> dict[str, Any]:
        named = {"Namespace": "AWS/Lambda", "MetricName": LAMBDA_METRICS[metric], "Dimensions": self._dimensions(of)}
        stat = {"Metric": named, "Period": period, "Stat": STATISTICS.get(statistic, statistic)}
        return {"Id": identity, "ReturnData": False, "MetricStat": stat}

    def _dimensions(self, of: str) -> list[dict[str, Any]]:
        dimensions: list[dict[str, Any]] = [{"Name": "FunctionName", "Value": self.function}]
        if of != "function":
            dimensions.append({"Name": "Resource", "Value": Sub(f"${{{self.function}}}:{self.alias}")})
        if of == "new_version":
            dimensions.append({"Name": "ExecutedVersion", "Value": self.version})
        return dimensions


def _is_ok(alarm: Alarm, value: float) -> bool:
    """Whether a datapoint of this value does not breach."""
    return not COMPARE[alarm.comparator](value, alarm.limit)


def _free(stats: list[dict[str, Any]]) -> str:
    """An id for the expression that no metric has."""
    taken = {stat["Id"] for stat in stats}
    return next(
        name
        for name in ("rate", "result", "watched_result", *(f"r{k}" for k in range(len(stats) + 1)))
        if name not in taken
    )


def _remarks(name: str, alarm: Alarm) -> tuple[str, ...]:
    """What of an alarm CloudWatch does in its own way, or has no setting for that CloudFormation knows."""
    remarks = ["the delay of datapoints (`lag`) is CloudWatch's own, not a setting"] if alarm.lag else []
    if alarm.period < 60:
        remarks.append(
            f"Lambda's metrics come once a minute: an alarm with periods of {alarm.period:g} s misses data in most of them"
        )
    if alarm.band is not None:
        remarks.append(
            "CloudWatch learns its band from two weeks of data; the simulation's is a forecast of the traffic"
        )
    if alarm.warm_up:
        remarks.append(
            f"the alarm {name}: the warm-up of {alarm.warm_up:g} s is not in the template: set WarmUpConfiguration where it is made"
        )
    return tuple(remarks)


def needed(alarms: Mapping[str, Alarm], names: Iterable[str]) -> tuple[str, ...]:
    """The alarms with these names, each after those that its rule reads."""
    result: dict[str, None] = {}
    for name in names:
        rule = alarms[name].composite
        for inner in needed(alarms, rule.names) if rule is not None else ():
            result[inner] = None
        result[name] = None
    return tuple(result)


def alarm_ids(names: tuple[str, ...]) -> dict[str, str]:
    """A logical id for each alarm; names that differ only in signs are numbered."""
    ids: dict[str, str] = {}
    for name in names:
        identity = logical(f"{name} alarm")
        ids[name] = identity if identity not in ids.values() else f"{identity}{len(ids) + 1}"
    return ids
