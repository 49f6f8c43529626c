"""Wording: what a change of a scenario is called in the file that the rollout was read from, in each format's own words.

CloudFormation's properties are the common ground: SAM has a `DeploymentPreference` besides, Terraform other names for all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.expressions import renamed
from rollout_sim.core.units import parse
from rollout_sim.core.yaml_io import Where
from rollout_sim.formats.cloudwatch import BANDS, LAMBDA_METRICS, MILLISECONDS, MIRRORED, MISSING, OPERATORS
from rollout_sim.formats.templates.deployed import Repair

_CODEDEPLOY: Final = ("TimeBasedCanary", "TimeBasedLinear")
_MAPPING: Final = {
    "partial_failures": "FunctionResponseTypes", "bisect": "BisectBatchOnFunctionError", "attempts": "MaximumRetryAttempts",
}  # fmt: skip
"""Settings of an event source mapping, and its properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """CloudFormation's words, as CDK and the Serverless Framework write them, too."""

    ids: Mapping[str, str] = field(default_factory=dict)
    """What the file calls each alarm, by its name in the scenario."""
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """For alarms whose metric maths were read as an error rate: the a and b of their a + b x rate."""

    def alarm(self, name: str, alarm: Alarm, field: Where, value: Any) -> str:
        """A change of one field of an alarm: `OrdersErrors: EvaluationPeriods 2, DatapointsToAlarm 2`."""
        return f"{self.called(name)}: {self._changed(name, alarm, field, value)}"

    def called(self, name: str) -> str:
        """What the file calls an alarm."""
        return self.ids.get(name, name)

    def new_alarm(self, name: str, fields: Mapping[str, Any]) -> str:
        """An alarm that the file does not have yet."""
        periods = {"period": parse(fields["period"], "duration")} if "period" in fields else {}
        alarm = Alarm(**{**fields, **periods})
        metric = LAMBDA_METRICS.get(str(alarm.metric), str(alarm.metric))
        properties = {**self._threshold(name, alarm, alarm.threshold), **_datapoints(alarm.datapoints)}
        properties["ComparisonOperator"] = OPERATORS[alarm.comparator]
        properties["TreatMissingData"] = MISSING[alarm.missing]
        dimensions = "the dimensions FunctionName, Resource and ExecutedVersion (the new version's number)"
        what = f"{self.called(name)}: instead" if name in self.ids else f"a new alarm {name}:"
        return f"{what} {alarm.statistic} of {metric} with {dimensions}, {self.properties(properties)}"

    def repaired(self, repairs: Sequence[Repair]) -> str:
        """What gives an alarm data that has none."""
        return "; ".join(
            self.dimensions(value) if name == "Dimensions" else self.properties({name: value})
            for name, value in repairs
        )

    def listed(self, names: Sequence[str]) -> str:
        """The alarms that stop the rollout."""
        return f"AlarmConfiguration.Alarms: {', '.join(map(self.called, names))}"

    def strategy(self, strategy: Mapping[str, Any]) -> str:
        """Another way to shift the traffic, with its hooks."""
        kind = str(strategy["type"])
        numbers = {key: value for key, value in strategy.items() if key not in ("type", "hooks")}
        parts = [self._custom(kind, numbers) if kind in _CODEDEPLOY else self._predefined(kind)]
        before = (strategy.get("hooks") or {}).get("before_allow_traffic")
        if before is not None:
            parts.append(f"{self._hook} {before['invocations']} calls over {before['over']}")
        return ", ".join(parts)

    def reserved(self, count: int) -> str:
        """The function's reserved concurrency."""
        return f"ReservedConcurrentExecutions: {count}"

    def provisioned(self, count: int) -> str:
        """The provisioned concurrency of a version."""
        return f"ProvisionedConcurrencyConfig.ProvisionedConcurrentExecutions: {count}"

    def source(self, called: str, field: Where, value: Any) -> str:
        """A change of an event that calls the function: `Jobs: FunctionResponseTypes ReportBatchItemFailures`."""
        if field == ("alias",):
            return f"{called}: the alias {value} behind the function's name or ARN"
        if field == ("visibility_timeout",):
            visible = f"{parse(value, 'duration'):g}"
            return f"the queue of {called}: {self.properties({self._visibility: visible})}"
        given = value if isinstance(value, Mapping) else {str(field[-1]): value}
        settings = {"partial_failures": ["ReportBatchItemFailures"], "bisect": True, "attempts": given.get("attempts")}
        return f"{called}: {self.properties({_MAPPING[key]: settings[key] for key in given if key in _MAPPING})}"

    _visibility = "VisibilityTimeout"

    def properties(self, properties: Mapping[str, Any]) -> str:
        """Properties with their values, by CloudFormation's names."""
        return ", ".join(f"{name} {_plain(value)}" for name, value in properties.items())

    def dimensions(self, dimensions: Mapping[str, str]) -> str:
        """All of an alarm's dimensions."""
        return f"the dimensions {self.properties(dimensions)}"

    _hook = "BeforeAllowTrafficHook:"

    def _predefined(self, kind: str) -> str:
        return f"DeploymentConfigName: CodeDeployDefault.Lambda{kind}"

    def _custom(self, kind: str, numbers: Mapping[str, Any]) -> str:
        inner = self.properties(numbers)
        return f"DeploymentConfigName: a deployment configuration of your own, {kind} with {inner}"

    def _changed(self, name: str, alarm: Alarm, field: Where, value: Any) -> str:
        if field[0] == "metrics":
            return f"{self._changed(name, alarm, (field[-1],), value)}, of its metric {field[1]}"
        known = str(field[0])
        if known == "of":
            return "the dimension ExecutedVersion, with the new version's number, besides FunctionName and Resource"
        if known == "threshold" and alarm.band is not None:
            return self.properties({"ComparisonOperator": BANDS[str(value)]})
        if known == "threshold":
            return self.properties(self._threshold(name, alarm, str(value)))
        if known == "datapoints":
            return self.properties(_datapoints(str(value)))
        words = {
            "missing": lambda: {"TreatMissingData": MISSING[str(value)]},
            "period": lambda: {"Period": str(value).removesuffix(" s")},
            "band": lambda: {"Expression": f"ANOMALY_DETECTION_BAND(..., {value:g})"},
            "rule": lambda: {"AlarmRule": self._rule(str(value))},
        }
        return self.properties(words[known]()) if known in words else f"{known}: {value}"

    def _threshold(self, name: str, alarm: Alarm, value: str) -> dict[str, Any]:
        """The properties of a threshold, in the unit of the file: milliseconds, and the scale of its own metric maths."""
        changed = Alarm(metric=alarm.metric, statistic=alarm.statistic, threshold=value) if alarm.metric else None
        comparator, limit = (alarm.comparator, 0.0) if changed is None else (changed.comparator, changed.limit)
        if changed is None:
            comparator, _, number = value.partition(" ")
            limit = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
        elif alarm.metric in MILLISECONDS and alarm.statistic != "sample_count":
            limit *= 1000
        base, slope = self.scales.get(name, (0.0, 1.0))
        properties: dict[str, Any] = {"Threshold": f"{base + slope * limit:.10g}"}
        if comparator != alarm.comparator:
            properties["ComparisonOperator"] = OPERATORS[comparator if slope > 0 else MIRRORED[comparator]]
        return properties

    def _rule(self, rule: str) -> str:
        """A rule over the alarms as the file calls them."""
        return renamed(rule, self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamWording(Wording):
    """SAM's words: the deployment preference of a function."""

    _hook = "Hooks.PreTraffic:"

    def listed(self, names: Sequence[str]) -> str:
        """`DeploymentPreference.Alarms: ...`."""
        return f"DeploymentPreference.Alarms: {', '.join(map(self.called, names))}"

    def _predefined(self, kind: str) -> str:
        return f"DeploymentPreference.Type: {kind}"

    def _custom(self, kind: str, numbers: Mapping[str, Any]) -> str:
        inner = self.properties(numbers)
        return f"DeploymentPreference.Type: a deployment configuration of your own, {kind} with {inner}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TerraformWording(Wording):
    """The words of Terraform's provider for AWS."""

    _visibility = "VisibilityTimeoutSeconds"
    _hook = "in the AppSpec BeforeAllowTraffic:"

    def listed(self, names: Sequence[str]) -> str:
        """`alarm_configuration.alarms = [...]`."""
        listed = (f"{self.ids[name]}.alarm_name" if name in self.ids else json.dumps(name) for name in names)
        return f"alarm_configuration.alarms = [{', '.join(listed)}]"

    def reserved(self, count: int) -> str:
        """The function's reserved concurrency."""
        return f"reserved_concurrent_executions = {count}"

    def provisioned(self, count: int) -> str:
        """The provisioned concurrency of a version."""
        return f"aws_lambda_provisioned_concurrency_config: provisioned_concurrent_executions = {count}"

    def properties(self, properties: Mapping[str, Any]) -> str:
        """Arguments with their values: `evaluation_periods = 2`."""
        return ", ".join(f"{_snake(name)} = {_literal(value)}" for name, value in properties.items())

    def dimensions(self, dimensions: Mapping[str, str]) -> str:
        """`dimensions = { FunctionName = "orders", Resource = "orders:live" }`."""
        return f"dimensions = {{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in dimensions.items())} }}"

    def _predefined(self, kind: str) -> str:
        return f'deployment_config_name = "CodeDeployDefault.Lambda{kind}"'

    def _custom(self, kind: str, numbers: Mapping[str, Any]) -> str:
        inner = {name.removeprefix("Canary").removeprefix("Linear"): value for name, value in numbers.items()}
        block = f"{_snake(kind)} {{ {self.properties(inner)} }}"
        return f"deployment_config_name: an aws_codedeploy_deployment_config of your own with {block}"


def _plain(value: Any) -> str:
    """A value as YAML has it."""
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _datapoints(value: str) -> dict[str, Any]:
    m, n = value.split(" of ")
    return {"EvaluationPeriods": n, "DatapointsToAlarm": m}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _literal(value: Any) -> str:
    """A value as Terraform has it: numbers and switches bare, text in quotes."""
    if isinstance(value, bool | list):
        return json.dumps(value)
    return str(value) if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", str(value)) else json.dumps(str(value))
