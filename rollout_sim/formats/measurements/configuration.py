"""Configuration: a deployed function, its alias, alarms and deployment group as AWS's answers describe them.

They are put together as the CloudFormation template that would have made them, and read as one: there is one copy of the rules
by which alarms, strategies and limits become a scenario's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rollout_sim.formats.measurements.amazon import entries, inside
from rollout_sim.formats.measurements.recording import Recording
from rollout_sim.formats.templates.deployed import Deployed
from rollout_sim.formats.templates.stack import Stack
from rollout_sim.formats.templates.template import Template

_FUNCTION: Final = "Function"
_ALIAS: Final = "Alias"
_GROUP: Final = "Group"
_CONFIG: Final = "Config"
_ALARM: Final = (
    "AlarmName", "MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit", "EvaluationPeriods",
    "DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData", "EvaluateLowSampleCountPercentile", "Metrics",
    "ThresholdMetricId", "AlarmRule",
)  # fmt: skip
"""What describe-alarms and a template call by the same names."""
_MAPPING: Final = (
    "EventSourceArn", "BatchSize", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes", "ParallelizationFactor",
    "BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "DestinationConfig", "ScalingConfig",
    "ProvisionedPollerConfig",
)  # fmt: skip
"""Likewise of list-event-source-mappings."""


def configured(recording: Recording, function: str, alias: str) -> Deployed | None:
    """The rollout of a function's alias as it is configured; None where nothing is known of the configuration.

    Raises ScenarioError for a deployment group whose strategy is not known.
    """
    if not any(recording.documents.get(kind) for kind in ("function", "aliases", "deployment group", "alarms")):
        return None
    group = next(entries(recording, "deployment group", "deploymentGroupInfo"), None)
    properties = _function(recording, function)
    resources: dict[str, Any] = {
        _FUNCTION: {"Type": "AWS::Lambda::Function", "Properties": properties},
        _ALIAS: {
            "Type": "AWS::Lambda::Alias",
            "Properties": {"Name": alias, "FunctionName": {"Ref": _FUNCTION}, **_provisioned(recording, alias)},
            "UpdatePolicy": {
                "CodeDeployLambdaAliasUpdate": {"ApplicationName": "a", "DeploymentGroupName": {"Ref": _GROUP}}
            },
        },
        _GROUP: {"Type": "AWS::CodeDeploy::DeploymentGroup", "Properties": _group(group)},
        **_configuration(recording),
        **dict(_alarms(recording)),
        **dict(_mappings(recording, function)),
    }
    data = {"Parameters": {}, "Conditions": {}, "Mappings": {}, "Resources": resources}
    addresses = dict.fromkeys(resources, "as it is deployed")
    stack = Stack(Template(path=Path("AWS"), data=data, lines={}, addresses=addresses), {}, "configuration in AWS")
    deployed = stack.read(stack.chosen(None))
    # Who calls it is not asked; the traffic's section says that its kind is a guess.
    deployed.remarks[:] = [
        remark.replace("is not in the template", "is not known")
        for remark in deployed.remarks
        if not remark.startswith("who calls the alias")
    ]
    deployed.name = function
    deployed.alias = alias
    if group is None:
        recording.remark(
            "no CodeDeploy deployment group is known: the strategies are a GUESS, and no alarm of AWS stops the rollout"
        )
    return deployed


def _function(recording: Recording, function: str) -> dict[str, Any]:
    given = next((entry for entry in recording.documents.get("function", []) if _is_of(entry, function)), {})
    properties: dict[str, Any] = {"FunctionName": function}
    taken = ("Timeout", "Runtime", "MemorySize", "EphemeralStorage", "CapacityProviderConfig")
    properties |= {key: given[key] for key in taken if key in given}
    snap = given.get("SnapStart")
    if isinstance(snap, Mapping):
        properties["SnapStart"] = {"ApplyOn": snap.get("ApplyOn", "None")}
    for document in recording.documents.get("reserved concurrency", []):
        properties["ReservedConcurrentExecutions"] = document["ReservedConcurrentExecutions"]
    return properties


def _is_of(entry: Mapping[str, Any], function: str) -> bool:
    return str(entry.get("FunctionName", function)) == function


def _provisioned(recording: Recording, alias: str) -> dict[str, Any]:
    for entry in entries(recording, "provisioned concurrency", "ProvisionedConcurrencyConfigs"):
        if str(entry.get("FunctionArn", "")).rpartition(":")[2] == alias:
            number = entry.get("RequestedProvisionedConcurrentExecutions", 0)
            return {"ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": number}}
    return {}


def _group(group: Mapping[str, Any] | None) -> dict[str, Any]:
    if group is None:
        return {"DeploymentConfigName": "CodeDeployDefault.LambdaAllAtOnce"}
    wanted = ("deploymentConfigName", "alarmConfiguration", "autoRollbackConfiguration")
    return {_capital(key): _capitals(group[key]) for key in wanted if key in group}


def _configuration(recording: Recording) -> dict[str, Any]:
    config = next(entries(recording, "deployment configuration", "deploymentConfigInfo"), None)
    if config is None or str(config.get("deploymentConfigName", "")).startswith("CodeDeployDefault."):
        return {}
    properties = {
        "DeploymentConfigName": config.get("deploymentConfigName"),
        "ComputePlatform": "Lambda",
        "TrafficRoutingConfig": _capitals(inside(config, "trafficRoutingConfig")),
    }
    routing = properties["TrafficRoutingConfig"]
    return {_CONFIG: {"Type": "AWS::CodeDeploy::DeploymentConfig", "Properties": properties}} if routing else {}


def _alarms(recording: Recording) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, kind in (
        ("MetricAlarms", "AWS::CloudWatch::Alarm"),
        ("CompositeAlarms", "AWS::CloudWatch::CompositeAlarm"),
    ):
        for number, entry in enumerate(entries(recording, "alarms", key)):
            properties = {name: entry[name] for name in _ALARM if entry.get(name) not in (None, [])}
            # The alarm keeps its name in the scenario by being called so in the template.
            name = str(entry.get("AlarmName") or f"{key}{number}")
            identity = f"{name} alarm" if name in (_FUNCTION, _ALIAS, _GROUP, _CONFIG) else name
            yield identity, {"Type": kind, "Properties": properties}


def _mappings(recording: Recording, function: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, entry in enumerate(entries(recording, "event source mappings", "EventSourceMappings")):
        source = str(entry.get("EventSourceArn", "")).rpartition(":")[2] or f"mapping{number}"
        called = str(entry.get("FunctionArn", function))
        target = called.partition(":function:")[2] or called
        # AWS answers with an empty OnFailure where there is none.
        given = {key: entry[key] for key in _MAPPING if entry.get(key) not in (None, {"OnFailure": {}})}
        properties = given | {
            "FunctionName": target,
            "Enabled": entry.get("State", "Enabled") in ("Enabled", "Enabling", "Creating", "Updating"),
        }
        yield f"{source} {number}", {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}


def _capital(key: str) -> str:
    return key[:1].upper() + key[1:]


def _capitals(value: Any) -> Any:
    """CodeDeploy's answer with the names that its templates have."""
    if isinstance(value, Mapping):
        return {_capital(str(key)): _capitals(inner) for key, inner in value.items()}
    return [_capitals(inner) for inner in value] if isinstance(value, list) else value
