"""CloudFormation and SAM: deployment preference, alarms with their dimensions, hooks that test the new version."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from rollout_sim.control.codedeploy import predefined_name, routing
from rollout_sim.control.strategies import Hook, Plan
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.cloudwatch import Resources, alarm_ids, needed
from rollout_sim.formats.codedeploy import config_name, remarks_of
from rollout_sim.formats.polling import mapped, queues_of
from rollout_sim.formats.snippet import GetAtt, Ref, Snippet, Sub, dashed, logical, snippet_of
from rollout_sim.scenario.scenario import Scenario

HOOK_CODE: Final = """\
import boto3, json, os, time

codedeploy, target = boto3.client("codedeploy"), boto3.client("lambda")
TESTS, SECONDS = int(os.environ["TESTS"]), float(os.environ["SECONDS"])


def handler(event, context):
    failures, start = 0, time.monotonic()
    for k in range(TESTS):
        time.sleep(max(0, start + k * SECONDS / TESTS - time.monotonic()))
        try:
            answer = target.invoke(FunctionName=os.environ["NEW_VERSION"], Payload=json.dumps({"test": True}))
            failures += "FunctionError" in answer
        except target.exceptions.TooManyRequestsException:
            failures += 1
    codedeploy.put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status="Failed" if failures > int(os.environ["MAX_FAILURES"]) else "Succeeded",
    )
"""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_HOOK: Final = 870.0
"""Seconds that a hook can test within Lambda's own limit of 15 minutes."""


def export_sam(scenario: Scenario, strategy: str | None = None) -> Snippet:
    """A SAM template: the function's `AutoPublishAlias` and `DeploymentPreference`, its alarms and its hooks."""
    name, chosen = scenario.exported(strategy)
    plan, function = chosen.plan, logical(scenario.function.name)
    assert scenario.rollout is not None
    mappings = mapped(scenario)
    alarms, acting, remarks = _alarms(
        scenario, Ref(function), GetAtt(f"{function}.Version.Version"), queues_of(mappings)
    )
    preference: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    known = predefined_name(plan)
    if known is not None:
        preference["Type"] = known
    else:
        resources["DeploymentConfig"] = _config(scenario, name, plan)
        preference["Type"] = Ref("DeploymentConfig")
    if acting:
        preference["Alarms"] = [Ref(identity) for identity in acting]
    hooks = {}
    for label, hook in (("PreTraffic", plan.before), ("PostTraffic", plan.after)):
        if hook is not None:
            resources[f"{label}Hook"] = _hook(scenario, label, hook, function)
            hooks[label] = Ref(f"{label}Hook")
    if hooks:
        preference["Hooks"] = hooks
    properties: dict[str, Any] = {
        "CodeUri": {"Bucket": Ref("CodeBucket"), "Key": Ref("CodeKey")},
        "Handler": "index.handler",
        "Runtime": "python3.13",
        "Timeout": math.ceil(scenario.function.timeout),
        "AutoPublishAlias": scenario.rollout.alias,
        "DeploymentPreference": preference,
    }
    if _NAME.fullmatch(scenario.function.name):
        properties = {"FunctionName": scenario.function.name, **properties}
    else:
        remarks.append(
            f"{scenario.function.name!r} is no name for a function; allowed letters, digits, - and _, at most 64"
        )
    if scenario.function.reserved_concurrency is not None:
        properties["ReservedConcurrentExecutions"] = scenario.function.reserved_concurrency
    if mappings:
        properties["Events"] = {mapping.name: mapping.event for mapping in mappings}
    for mapping in mappings:
        resources |= mapping.resources
        remarks += mapping.remarks
    parameters = {"CodeBucket": {"Type": "String"}, "CodeKey": {"Type": "String"}}
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": parameters,
        "Resources": {function: {"Type": "AWS::Serverless::Function", "Properties": properties}, **resources, **alarms},
    }
    of_alias = scenario.function.provisioned.get(scenario.rollout.alias)
    provisioned = scenario.function.versions[scenario.old].provisioned if of_alias is None else of_alias.environments
    if provisioned:
        properties["ProvisionedConcurrencyConfig"] = {"ProvisionedConcurrentExecutions": provisioned}
    managed = scenario.function.managed
    if managed is not None:
        limits = scenario.function.limits_of(scenario.rollout.to)
        parameters["CapacityProvider"] = {"Type": "String"}
        properties["CapacityProviderConfig"] = {
            "Arn": Ref("CapacityProvider"), "PerExecutionEnvironmentMaxConcurrency": managed.concurrency,
        }  # fmt: skip
        properties["FunctionScalingConfig"] = {
            "MinExecutionEnvironments": limits.minimum, "MaxExecutionEnvironments": limits.maximum,
        }  # fmt: skip
    if scenario.function.timeout != properties["Timeout"]:
        remarks.append(
            f"Lambda's Timeout is whole seconds: {scenario.function.timeout:g} s became {properties['Timeout']} s"
        )
    placeholders = "Handler, Runtime and CodeUri are placeholders: keep your function's own"
    return snippet_of(template, remarks=[*remarks_of(plan), *remarks, placeholders])


def export_cloudformation(scenario: Scenario, strategy: str | None = None) -> Snippet:
    """A CloudFormation template: deployment configuration, application, deployment group and alarms."""
    name, chosen = scenario.exported(strategy)
    plan = chosen.plan
    assert scenario.rollout is not None
    mappings = mapped(scenario)
    alarms, acting, remarks = _alarms(scenario, Ref("FunctionName"), Ref("NewVersion"), queues_of(mappings))
    polled: dict[str, Any] = {}
    for mapping in mappings:
        polled |= {mapping.name: mapping.mapping(Sub(f"${{FunctionName}}:{scenario.alias}")), **mapping.resources}
        remarks += mapping.remarks
    group: dict[str, Any] = {
        "ApplicationName": Ref("Application"),
        "ServiceRoleArn": Ref("ServiceRoleArn"),
        "DeploymentConfigName": Ref("DeploymentConfig"),
        "DeploymentStyle": {"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"},
        "AutoRollbackConfiguration": {
            "Enabled": True, "Events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
        },
    }  # fmt: skip
    if acting:
        group["AlarmConfiguration"] = {"Enabled": True, "Alarms": [{"Name": Ref(identity)} for identity in acting]}
    parameters: dict[str, Any] = {
        "FunctionName": {"Type": "String", "Default": scenario.function.name},
        "ServiceRoleArn": {"Type": "String"},
    }
    if any("new_version" in scenario.alarms[name].scopes for name in needed(scenario.alarms, scenario.rollout.alarms)):
        parameters["NewVersion"] = {"Type": "String", "Description": "Number of the version that is rolled out"}
    if not alarms and not polled:
        parameters.pop("FunctionName")
    template: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Parameters": parameters,
        "Resources": {
            "DeploymentConfig": _config(scenario, name, plan),
            "Application": {"Type": "AWS::CodeDeploy::Application", "Properties": {"ComputePlatform": "Lambda"}},
            "DeploymentGroup": {"Type": "AWS::CodeDeploy::DeploymentGroup", "Properties": group},
            **polled,
            **alarms,
        },
    }
    all_remarks = [
        *remarks_of(plan), *remarks,
        f"name Application and DeploymentGroup in the UpdatePolicy (CodeDeployLambdaAliasUpdate) of the alias {scenario.alias}",
    ]  # fmt: skip
    if plan.before is not None or plan.after is not None:
        all_remarks.append(
            "hooks belong there too (BeforeAllowTrafficHook, AfterAllowTrafficHook): see export sam for their code"
        )
    return snippet_of(template, remarks=all_remarks)


def _config(scenario: Scenario, name: str, plan: Plan) -> dict[str, Any]:
    return {
        "Type": "AWS::CodeDeploy::DeploymentConfig",
        "Properties": {
            "DeploymentConfigName": config_name(scenario, name),
            "ComputePlatform": "Lambda",
            "TrafficRoutingConfig": _capital(routing(name, plan)),
        },
    }


def _capital(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: _capital(inner) for key, inner in value.items()}
    return value


def _alarms(
    scenario: Scenario, function: Any, version: Any, queues: Mapping[str, str]
) -> tuple[dict[str, Any], list[str], list[str]]:
    """The alarm resources of the rollout by logical id, the ids of those that act, and remarks on what is left out."""
    assert scenario.rollout is not None
    exported = Resources(scenario.alarms, function, scenario.rollout.alias, version, queues)
    names = needed(scenario.alarms, scenario.rollout.alarms)
    ids = alarm_ids(names)
    there: dict[str, str] = {}
    resources: dict[str, Any] = {}
    remarks = (
        [] if scenario.rollout.hold is None else ["left out: hold: an alarm in ALARM rolls CodeDeploy back at once"]
    )
    for name in names:
        try:
            resource, notes = exported.resource(name, there)
        except ScenarioError as error:
            remarks.append(f"left out: the alarm {name}: {error.problems[0]}")
            continue
        there[name] = ids[name]
        resources[ids[name]] = resource
        remarks += [note for note in notes if note not in remarks]
    return resources, [there[name] for name in scenario.rollout.alarms if name in there], remarks


def _hook(scenario: Scenario, label: str, hook: Hook, function: str) -> dict[str, Any]:
    """A function that tests the new version and tells CodeDeploy."""
    if hook.answers == "never":
        raise ScenarioError(["hooks: a hook that never answers is not exported; allowed answers: always"])
    if hook.over > LONGEST_HOOK:
        raise ScenarioError([f"hooks: a hook's function runs at most {LONGEST_HOOK:g} s, got {hook.over:g} s"])
    variables = {"TESTS": hook.invocations, "SECONDS": hook.over, "MAX_FAILURES": hook.max_failures}
    return {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "FunctionName": f"CodeDeployHook_{dashed(scenario.function.name)[:36]}_{label}",
            "InlineCode": HOOK_CODE,
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Timeout": round(hook.over) + 30,
            "DeploymentPreference": {"Enabled": False},
            "Environment": {
                "Variables": {"NEW_VERSION": Ref(f"{function}.Version"), **{key: f"{value:g}" for key, value in variables.items()}}
            },
            "Policies": [
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow", "Action": "codedeploy:PutLifecycleEventHookExecutionStatus",
                            "Resource": Sub("arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:*"),
                        },
                        {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": Ref(f"{function}.Version")},
                    ],
                }
            ],
        },
    }  # fmt: skip
