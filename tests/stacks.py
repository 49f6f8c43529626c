"""Templates for tests, as data: a function of SAM, and one of plain CloudFormation, each with a rollout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rollout_sim.formats.templates.sam import from_sam
from rollout_sim.scenario.scenario import Scenario


def sam(preference: Any = None, events: Any = None, /, resources: Any = None, **function: Any) -> dict[str, Any]:
    given = {"DeploymentPreference": preference or {"Type": "Canary10Percent5Minutes"}, "Events": events or {}}
    properties = {"Handler": "a.b", "AutoPublishAlias": "live", **given, **function}
    return {
        "Resources": {"Orders": {"Type": "AWS::Serverless::Function", "Properties": properties}, **(resources or {})}
    }


def cloudformation(group: Any = None, /, resources: Any = None, hooks: Any = None, **function: Any) -> dict[str, Any]:
    """What CDK, the Serverless Framework and SAM's transform come to."""
    shift = {"ApplicationName": {"Ref": "App"}, "DeploymentGroupName": {"Ref": "Group"}, **(hooks or {})}
    version = {"Fn::GetAtt": ["OrdersVersion", "Version"]}
    style = {"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"}
    back = {"Enabled": True, "Events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]}
    deployment = {"ApplicationName": {"Ref": "App"}, "DeploymentStyle": style, "AutoRollbackConfiguration": back}
    return {
        "Resources": {
            "Orders": {"Type": "AWS::Lambda::Function", "Properties": {"Timeout": 20, **function}},
            "OrdersVersion": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Orders"}}},
            "OrdersLive": {
                "Type": "AWS::Lambda::Alias",
                "Properties": {"FunctionName": {"Ref": "Orders"}, "FunctionVersion": version, "Name": "live"},
                "UpdatePolicy": {"CodeDeployLambdaAliasUpdate": shift},
            },
            "App": {"Type": "AWS::CodeDeploy::Application", "Properties": {"ComputePlatform": "Lambda"}},
            "Group": {
                "Type": "AWS::CodeDeploy::DeploymentGroup",
                "Properties": {
                    **deployment,
                    "DeploymentConfigName": "CodeDeployDefault.LambdaLinear10PercentEvery1Minute",
                    **(group or {}),
                },
            },
            **(resources or {}),
        }
    }


def imported(tmp_path: Path, template: dict[str, Any], **options: Any) -> tuple[Scenario, list[str]]:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template, indent=1))
    written, remarks = from_sam(path, **options)
    (tmp_path / "scenario.yaml").write_text(written)
    return Scenario.load(tmp_path / "scenario.yaml"), remarks
