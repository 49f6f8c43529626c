"""Terraform: `terraform show -json` of a plan or a state, as the CloudFormation resources that it comes to.

What a plan does not know yet is told by its configuration: which attribute of which resource stands there. An alias and its
deployment group are not tied to each other in Terraform; they belong together where the group's alarms watch the alias's
function, or where there is one of each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rollout_sim.core.files import read_regular
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.templates.intrinsics import Resolver
from rollout_sim.formats.templates.mappings import resource_behind
from rollout_sim.formats.templates.stack import Stack, is_of_lambda
from rollout_sim.formats.templates.template import Template

MAX_BYTES: Final = 64 << 20
_KINDS: Final = {
    "aws_lambda_function": "AWS::Lambda::Function",
    "aws_lambda_alias": "AWS::Lambda::Alias",
    "aws_lambda_event_source_mapping": "AWS::Lambda::EventSourceMapping",
    "aws_sqs_queue": "AWS::SQS::Queue",
    "aws_kinesis_stream": "AWS::Kinesis::Stream",
    "aws_lambda_permission": "AWS::Lambda::Permission",
    "aws_lambda_function_url": "AWS::Lambda::Url",
    "aws_lambda_function_event_invoke_config": "AWS::Lambda::EventInvokeConfig",
    "aws_codedeploy_app": "AWS::CodeDeploy::Application",
    "aws_codedeploy_deployment_group": "AWS::CodeDeploy::DeploymentGroup",
    "aws_codedeploy_deployment_config": "AWS::CodeDeploy::DeploymentConfig",
    "aws_cloudwatch_metric_alarm": "AWS::CloudWatch::Alarm",
    "aws_cloudwatch_composite_alarm": "AWS::CloudWatch::CompositeAlarm",
    "aws_cloudwatch_event_rule": "AWS::Events::Rule",
    "aws_scheduler_schedule": "AWS::Scheduler::Schedule",
    "aws_appautoscaling_target": "AWS::ApplicationAutoScaling::ScalableTarget",
    "aws_sns_topic_subscription": "AWS::SNS::Subscription",
    "aws_sfn_state_machine": "AWS::StepFunctions::StateMachine",
    "aws_appsync_datasource": "AWS::AppSync::DataSource",
    "aws_api_gateway_integration": "AWS::ApiGateway::Method",
    "aws_apigatewayv2_integration": "AWS::ApiGatewayV2::Integration",
    "aws_lb_target_group_attachment": "AWS::ElasticLoadBalancingV2::TargetGroup",
    "aws_cognito_user_pool": "AWS::Cognito::UserPool",
    "aws_pipes_pipe": "AWS::Pipes::Pipe",
    "aws_s3_bucket_notification": "AWS::S3::Bucket",
    "aws_cloudwatch_log_subscription_filter": "AWS::Logs::SubscriptionFilter",
    "aws_iot_topic_rule": "AWS::IoT::TopicRule",
}
"""Terraform's types that matter here, and CloudFormation's names for them."""
_RENAMED: Final = {
    ("aws_sqs_queue", "name"): "QueueName",
    ("aws_kinesis_stream", "retention_period"): "RetentionPeriodHours",
    ("aws_sqs_queue", "visibility_timeout_seconds"): "VisibilityTimeout",
    ("aws_sqs_queue", "message_retention_seconds"): "MessageRetentionPeriod",
    ("aws_lambda_function_url", "function_name"): "TargetFunctionArn",
    ("aws_codedeploy_deployment_group", "app_name"): "ApplicationName",
    ("aws_api_gateway_integration", "uri"): "Integration",
    ("aws_lb_target_group_attachment", "target_id"): "Targets",
    ("aws_s3_bucket_notification", "lambda_function"): "NotificationConfiguration",
    ("aws_iot_topic_rule", "lambda"): "TopicRulePayload",
    ("aws_cloudwatch_metric_alarm", "evaluate_low_sample_count_percentiles"): "EvaluateLowSampleCountPercentile",
}
"""Attributes whose names differ from CloudFormation's by more than their spelling."""
_BLOCKS: Final = (
    "snap_start", "alarm_configuration", "auto_rollback_configuration", "traffic_routing_config", "time_based_canary",
    "time_based_linear", "target", "scaling_config", "provisioned_poller_config", "destination_config", "on_failure",
    "stream_mode_details", "retry_policy", "flexible_time_window", "ephemeral_storage",
    "capacity_provider_config", "lambda_managed_instances_capacity_provider_config",
)  # fmt: skip
"""Blocks that Terraform has as lists, and CloudFormation once."""
_ATTRIBUTES: Final = {"arn": "Arn", "invoke_arn": "Arn", "version": "Version.Version", "qualified_arn": "Version"}
"""Attributes of a function as the symbols of a template."""
_PROVISIONED: Final = "aws_lambda_provisioned_concurrency_config"
_NAMELESS: Final = ("this", "main", "default", "function", "lambda")
"""What modules call their only resource of a kind."""
_TARGET: Final = "aws_cloudwatch_event_target"
_REDRIVE: Final = "aws_sqs_queue_redrive_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resource:
    """One managed resource: its values, which of them only the deployment knows, and what stands there instead."""

    address: str
    module: str
    kind: str
    name: str
    values: Mapping[str, Any]
    unknown: Mapping[str, Any] = field(default_factory=dict)
    expressions: Mapping[str, Any] = field(default_factory=dict)


def read_terraform(path: Path, rate: float | None = None) -> Stack:
    """The rollouts of a plan or a state, with the `rate` (1/s) of each function's events where it is given.

    Raises ScenarioError for a file that is neither.
    """
    try:
        data = json.loads(read_regular(path, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        what = str(error) if str(error).startswith(str(path)) else f"{path}: is no JSON: {error}"
        raise ScenarioError([f"{what}; write it with: terraform show -json"]) from None
    values = _inner(data, "planned_values") or _inner(data, "values")
    if not values:
        raise ScenarioError([f"{path}: has neither planned_values nor values; write it with: terraform show -json"])
    resources = list(_resources(_inner(values, "root_module"), _unknown(data), _configured(data)))
    translation = _Translation(resources)
    template = {"Parameters": {}, "Conditions": {}, "Mappings": {}, "Resources": translation.translated}
    addresses = {translation.names[resource.address]: resource.address for resource in resources}
    kind = "plan" if "planned_values" in data else "state"
    return Stack(Template(path=path, data=template, lines={}, addresses=addresses), {}, f"Terraform {kind}", rate)


def _inner(value: Any, key: str) -> Mapping[str, Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _listed(value: Any, key: str) -> list[Mapping[str, Any]]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return [item for item in inner if isinstance(item, Mapping)] if isinstance(inner, list) else []


def _unknown(data: Any) -> dict[str, Mapping[str, Any]]:
    """What is known after apply only, by address."""
    changes = _listed(data, "resource_changes")
    return {str(change.get("address")): _inner(_inner(change, "change"), "after_unknown") for change in changes}


def _configured(data: Any) -> dict[str, Mapping[str, Any]]:
    """The expressions of each resource's configuration, by address without indices."""
    result: dict[str, Mapping[str, Any]] = {}
    waiting = [("", _inner(_inner(data, "configuration"), "root_module"))]
    while waiting:
        prefix, module = waiting.pop()
        for resource in _listed(module, "resources"):
            result[prefix + str(resource.get("address"))] = _inner(resource, "expressions")
        for name, call in _inner(module, "module_calls").items():
            waiting.append((f"{prefix}module.{name}.", _inner(call, "module")))
    return result


def _resources(
    root: Mapping[str, Any], unknown: Mapping[str, Mapping[str, Any]], configured: Mapping[str, Mapping[str, Any]]
) -> Iterator[_Resource]:
    """The managed resources of a module and of those inside it."""
    waiting = [root]
    while waiting:
        module = waiting.pop(0)
        prefix = f"{module['address']}." if "address" in module else ""
        for resource in _listed(module, "resources"):
            if resource.get("mode", "managed") == "managed" and resource.get("type") in (
                *_KINDS,
                _TARGET,
                _PROVISIONED,
                _REDRIVE,
            ):
                address = str(resource.get("address"))
                index = f"_{resource['index']}" if "index" in resource else ""
                yield _Resource(
                    address=address, module=prefix, kind=str(resource["type"]), name=f"{resource.get('name')}{index}",
                    values=_inner(resource, "values"), unknown=unknown.get(address, {}),
                    expressions=configured.get(re.sub(r"\[[^]]*\]", "", address), {}),
                )  # fmt: skip
        waiting += _listed(module, "child_modules")


def _names(resources: list[_Resource]) -> dict[str, str]:
    """A short name for each address: the resource's own, where it is the only one; functions first.

    A function that is `this`, as in most modules, is called by the name that it is given.
    """
    names: dict[str, str] = {}
    for resource in sorted(resources, key=lambda resource: resource.kind != "aws_lambda_function"):
        nameless = resource.kind == "aws_lambda_function" and re.sub(r"_\d+$", "", resource.name) in _NAMELESS
        own = resource.values.get("function_name") if nameless else None
        plain = re.sub(r"\W+", "_", str(own or resource.name)).strip("_") or "resource"
        longer = re.sub(r"\W+", "_", resource.address).strip("_")
        names[resource.address] = next(
            name for name in (plain, f"{resource.kind.removeprefix('aws_')}_{plain}", longer, f"{longer}_{len(names)}")
            if name not in names.values()
        )  # fmt: skip
    return names


def _camel(key: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in key.split("_"))


def _converted(key: str, value: Any) -> Any:
    """A value with CloudFormation's names inside."""
    if key in _BLOCKS and isinstance(value, list):
        value = value[0] if value else {}
    if isinstance(value, Mapping):
        return {_camel(str(name)): _converted(str(name), inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_converted("", item) for item in value]
    return value


def _routing(properties: dict[str, Any]) -> None:
    routing = properties.get("TrafficRoutingConfig")
    if isinstance(routing, dict):
        for kind in ("Canary", "Linear"):
            inner = routing.get(f"TimeBased{kind}")
            if isinstance(inner, dict):
                routing[f"TimeBased{kind}"] = {
                    f"{kind}{name}": inner[name] for name in ("Percentage", "Interval") if name in inner
                }
            else:
                routing.pop(f"TimeBased{kind}", None)


def _references(expression: Any) -> list[str]:
    """The references in a configuration's expression, wherever they stand in it."""
    if isinstance(expression, Mapping):
        own = expression.get("references")
        if isinstance(own, list):
            return [str(reference) for reference in own]
        return [reference for inner in expression.values() for reference in _references(inner)]
    if isinstance(expression, list):
        return [reference for inner in expression for reference in _references(inner)]
    return []


def _any(attribute: str) -> bool:
    """Wants each attribute that there is."""
    return attribute != ""


def _none(attribute: str) -> bool:  # noqa: ARG001 - as a wish of `_reference`
    """Wants no attribute: what stands there is not known."""
    return False


class _Translation:
    """Resources as CloudFormation has them: `translated` by the short `names` that each address has."""

    def __init__(self, resources: list[_Resource]) -> None:
        self.resources = resources
        self.names = _names(resources)
        arns = (str(resource.values.get("arn")).split(":") for resource in resources)
        self._accounts = {parts[4] for parts in arns if len(parts) > 5}
        self.translated = {self.names[resource.address]: self._translate(resource) for resource in resources}
        self._targets()
        self._provisioned()
        self._redriven()
        self._couple()

    def _translate(self, resource: _Resource) -> dict[str, Any]:
        """One resource as CloudFormation has it."""
        properties: dict[str, Any] = {}
        known = {key: value for key, value in resource.values.items() if value is not None and value not in ("", [])}
        for key in {**known, **resource.unknown}:
            name = _RENAMED.get((resource.kind, key), _camel(key))
            if key == "dimensions":
                continue
            if key in known:
                properties[name] = _converted(key, known[key])
            elif key in resource.expressions:
                wanted = _none if key == "alarm_rule" else _any  # of a text around references none is all of it
                properties[name] = self._reference(resource, _references(resource.expressions[key]), wanted)
        if resource.kind == "aws_cloudwatch_metric_alarm":
            references = _references(resource.expressions.get("dimensions"))
            later = resource.unknown.get("dimensions")
            properties["Dimensions"] = self._dimensions(resource, known.get("dimensions"), later, references)
            if "metric_query" in known:
                queries = enumerate(_listed(known, "metric_query"))
                properties["Metrics"] = [self._query(resource, number, query) for number, query in queries]
            properties.pop("MetricQuery", None)
            if not properties["Dimensions"]:
                properties.pop("Dimensions")
        if resource.kind == "aws_lambda_function" and properties.get("ReservedConcurrentExecutions") == -1:
            properties.pop("ReservedConcurrentExecutions")
        if resource.kind == "aws_codedeploy_deployment_group":
            if "AlarmConfiguration" not in properties and resource.unknown.get("alarm_configuration") is True:
                # A dynamic block, of which a plan does not even have the expressions.
                properties["AlarmConfiguration"] = {"Alarms": self._alarms(resource, [])}
            alarms = properties.get("AlarmConfiguration")
            if isinstance(alarms, dict) and "Alarms" not in alarms:  # their names are known after apply
                later = next(iter(_listed(resource.unknown, "alarm_configuration")), {})
                block = next(iter(_listed(resource.expressions, "alarm_configuration")), {})
                if later.get("alarms"):
                    alarms["Alarms"] = self._alarms(resource, _references(block.get("alarms")))
            if isinstance(alarms, dict) and isinstance(alarms.get("Alarms"), list):
                alarms["Alarms"] = [{"Name": name} for name in alarms["Alarms"]]
        if resource.kind == "aws_codedeploy_deployment_config":
            _routing(properties)
        if resource.kind == "aws_cloudwatch_event_rule" and properties.get("IsEnabled") is False:
            properties["State"] = "DISABLED"
        return {"Type": _KINDS.get(resource.kind, resource.kind), "Properties": properties}

    def _reference(
        self,
        resource: _Resource,
        references: list[str],
        wanted: Callable[[str], bool] = _any,
    ) -> Any:
        """What the first reference with a wanted attribute stands for: a value that is known, or a symbol of the resource."""
        for reference in references:
            base = re.sub(r"\[[^]]*\]", "", resource.module + reference)
            for other in self._meant(resource, reference):
                start = re.sub(r"\[[^]]*\]", "", other.address)
                attribute = base.removeprefix(f"{start}.")
                if attribute == base or "." in attribute or not wanted(attribute):
                    continue
                if other.values.get(attribute) is not None:
                    return other.values[attribute]
                if other.kind == "aws_lambda_function":
                    symbol = _ATTRIBUTES.get(attribute)
                    return (
                        {"Fn::GetAtt": [self.names[other.address], symbol]}
                        if symbol
                        else {"Ref": self.names[other.address]}
                    )
                if other.kind == "aws_lambda_alias" and attribute == "function_version":
                    return {"Fn::GetAtt": [self.names[other.address], "Version"]}
                return {"Ref": self.names[other.address]}
        shown = next((reference for reference in references if "." in reference), "a value")
        return {"Ref": f"{shown}, which is known after apply,"}

    def _meant(self, resource: _Resource, reference: str) -> list[_Resource]:
        """What a reference may be to, inside its own module: first the instance that it names, then that of the same key."""
        index = re.search(r"\[[^]]*\]$", resource.address)

        def distance(other: _Resource) -> int:
            if f"{resource.module}{reference}.".startswith(f"{other.address}."):
                return 0
            return 1 if index is not None and other.address.endswith(index[0]) else 2

        return sorted((other for other in self.resources if other.module == resource.module), key=distance)

    def _alarms(self, resource: _Resource, references: list[str]) -> list[Any]:
        """The alarms that a list refers to, each once, in their order: of several instances those that are meant, or all.

        What else it refers to is the name of an alarm that is not there, so that it is said.
        """
        named = [re.sub(r"\.(id|arn|alarm_name)$", "", reference) for reference in references]
        alarms = [name for name in dict.fromkeys(named) if name.startswith("aws_cloudwatch_")]
        # Terraform names the whole of a resource beside each instance of it.
        whole = {re.sub(r"\[[^]]*\]$", "", name) for name in alarms if name.endswith("]")}
        index = re.search(r"\[[^]]*\]$", resource.address)
        own = index[0] if index and any(name.startswith(("each.", "count.")) for name in named) else ""
        result: list[Any] = []
        inside = {
            other.address.removeprefix(resource.module): self.names[other.address]
            for other in self.resources if other.module == resource.module
        }  # fmt: skip
        for name in (name for name in alarms if name not in whole):
            meant = [inside[exact] for exact in (name + own, name) if exact in inside][:1]
            meant = meant or [
                identity for address, identity in inside.items() if re.sub(r"\[[^]]*\]$", "", address) == name
            ]
            result += [{"Ref": identity} for identity in meant or [f"{name} (known after apply)"]]
        if not alarms:
            shown = next((name for name in named if "." in name), "a value")
            result.append({"Ref": f"{shown} (known after apply)"})
        return result

    def _dimensions(self, resource: _Resource, known: Any, unknown: Any, references: list[str]) -> list[dict[str, Any]]:
        """Dimensions as a list; those that are known after apply by what the configuration refers to."""
        values: dict[str, Any] = dict(known) if isinstance(known, Mapping) else {}
        wanted: Mapping[str, Callable[[str], bool]] = {
            "FunctionName": lambda attribute: attribute in ("function_name", "id"),
            "ExecutedVersion": lambda attribute: attribute in ("version", "function_version"),
            "QueueName": lambda attribute: attribute == "name",
        }
        later = unknown if isinstance(unknown, Mapping) else {}
        for name in later:
            if values.get(name) is None:
                values[name] = self._reference(resource, references, wanted.get(name, _none))
        if unknown is True:
            values["FunctionName"] = self._reference(resource, references, wanted["FunctionName"])
            if any("aws_lambda_alias." in reference for reference in references):
                values["Resource"] = self._reference(resource, references, _none)
            if any(reference.endswith((".version", ".function_version")) for reference in references):
                values["ExecutedVersion"] = self._reference(resource, references, wanted["ExecutedVersion"])
        for other in self.resources:
            own = other.kind == "aws_lambda_function" and other.values.get("function_name") == values.get(
                "FunctionName"
            )
            version = values.get("ExecutedVersion")
            if own and version is not None and version == other.values.get("version"):  # a state has the number
                values["ExecutedVersion"] = {"Fn::GetAtt": [self.names[other.address], "Version.Version"]}
        return [{"Name": name, "Value": value} for name, value in values.items() if value is not None]

    def _query(self, resource: _Resource, number: int, query: Mapping[str, Any]) -> dict[str, Any]:
        """One `metric_query` as an entry of `Metrics`."""
        result: dict[str, Any] = {"Id": query.get("id"), "ReturnData": query.get("return_data") is True}
        if query.get("account_id") and query["account_id"] not in self._accounts:
            result["AccountId"] = query["account_id"]
        if query.get("expression"):
            return result | {"Expression": query["expression"]}
        metric = next(iter(_listed(query, "metric")), {})
        later = resource.unknown.get("metric_query")
        unknown = later[number] if isinstance(later, list) and number < len(later) else {}
        inner = next(iter(_listed(unknown, "metric")), {})
        configured = resource.expressions.get("metric_query")
        own = configured[number] if isinstance(configured, list) and number < len(configured) else configured
        dimensions = self._dimensions(resource, metric.get("dimensions"), inner.get("dimensions"), _references(own))
        named = {
            "Namespace": metric.get("namespace"),
            "MetricName": metric.get("metric_name"),
            "Dimensions": dimensions,
        }
        stat = {"Metric": named, "Period": metric.get("period"), "Stat": metric.get("stat"), "Unit": metric.get("unit")}
        return result | {"MetricStat": {key: value for key, value in stat.items() if value not in (None, "")}}

    def _targets(self) -> None:
        """Puts the targets of rules, which are resources of their own, into their rules."""
        for resource in self.resources:
            if resource.kind == _TARGET:
                target = self.translated.pop(self.names[resource.address])["Properties"]
                for candidate in self.translated.values():
                    rule = candidate["Properties"]
                    if candidate["Type"] == "AWS::Events::Rule" and target.get("Rule") in (
                        rule.get("Name"),
                        rule.get("Id"),
                    ):
                        known = {key: target[key] for key in ("Arn", "RetryPolicy") if key in target}
                        rule.setdefault("Targets", []).append(known)

    def _provisioned(self) -> None:
        """Puts provisioned concurrency, which is a resource of its own, to the alias that it names."""
        resolver = Resolver({"Resources": self.translated}, {})
        for resource in self.resources:
            if resource.kind == _PROVISIONED:
                given = self.translated.pop(self.names[resource.address])["Properties"]
                wanted = [resolver.text(given.get(key, "")) for key in ("FunctionName", "Qualifier")]
                for name, candidate in self.translated.items():
                    own = candidate["Properties"]
                    function, alias = (resolver.text(own.get(key, "")) for key in ("FunctionName", "Name"))
                    same = function.rpartition(":function:")[2] == wanted[0].rpartition(":function:")[2]
                    if candidate["Type"] == _KINDS["aws_lambda_alias"] and same and wanted[1] in (alias, name):
                        count = given.get("ProvisionedConcurrentExecutions")
                        own["ProvisionedConcurrencyConfig"] = {"ProvisionedConcurrentExecutions": count}

    def _redriven(self) -> None:
        """Puts redrive policies, which may be resources of their own, to their queues."""
        resolver = Resolver({"Resources": self.translated}, {})
        for resource in self.resources:
            if resource.kind == _REDRIVE:
                given = self.translated.pop(self.names[resource.address])["Properties"]
                queue = resource_behind(resolver, given.get("QueueUrl", ""))
                if queue is not None:
                    self.translated[queue]["Properties"]["RedrivePolicy"] = given.get("RedrivePolicy")

    def _couple(self) -> None:
        """Ties each deployment group to its alias, as CloudFormation's `UpdatePolicy` does."""
        translated = self.translated
        resolver = Resolver({"Resources": translated}, {})
        kind = _KINDS["aws_codedeploy_deployment_group"]
        groups = {
            name: resource
            for name, resource in translated.items()
            if resource["Type"] == kind and is_of_lambda(translated, resolver, name)
        }
        aliases = {
            name: resource for name, resource in translated.items() if resource["Type"] == _KINDS["aws_lambda_alias"]
        }
        alarms = {
            str(resource["Properties"].get("AlarmName")): resource
            for resource in translated.values()
            if "AlarmName" in resource["Properties"]
        }
        for group, resource in groups.items():
            listed = [
                str(entry.get("Name")) for entry in _listed(resource["Properties"].get("AlarmConfiguration"), "Alarms")
            ]
            watched = json.dumps([alarms[name]["Properties"] for name in listed if name in alarms], default=str)
            scores = {}
            for name, alias in aliases.items():
                function, label = (str(alias["Properties"].get(key)) for key in ("FunctionName", "Name"))
                plain = function.rpartition(":function:")[2]
                scores[name] = 2 * (f'"{plain}:{label}"' in watched) + (f'"{plain}"' in watched)
            best = max(scores.values(), default=0)
            likely = [name for name, score in scores.items() if score == best]
            if len(likely) == 1 and (best > 0 or len(groups) == 1) and "UpdatePolicy" not in aliases[likely[0]]:
                policy = {"CodeDeployLambdaAliasUpdate": {"DeploymentGroupName": {"Ref": group}}}
                translated[likely[0]]["UpdatePolicy"] = policy
