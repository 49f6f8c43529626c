"""SAM templates as people write them: globals, parameters, conditions, alarms elsewhere; and what is wrong with some."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rollout_sim.cli.main import app
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.cloudformation import export_sam
from rollout_sim.formats.templates.intrinsics import Resolver, UnresolvedError
from rollout_sim.formats.templates.sam import from_sam
from rollout_sim.function.spec import AliasProvisioned
from rollout_sim.scenario.scenario import Scenario

TEMPLATE = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: prod}
  Careful: {Type: String, Default: 'yes'}
  Owner: {Type: String}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsCareful: !And [!Condition IsProd, !Not [!Equals [!Ref Careful, 'no']]]
Mappings:
  Limits: {prod: {timeout: 12}, test: {timeout: 3}}
Globals:
  Function:
    Runtime: python3.13
    Timeout: !FindInMap [Limits, !Ref Stage, timeout]
    AutoPublishAlias: !Ref Stage
    DeploymentPreference:
      Type: !If [IsCareful, Canary10Percent15Minutes, AllAtOnce]
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub 'orders-${Stage}'
      Handler: index.handler
      ReservedConcurrentExecutions: 40
      ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 5}
      DeploymentPreference:
        Alarms:
          - !Ref OrdersErrors
          - !Sub '${AWS::StackName}-elsewhere'
          - !Join ['-', [orders, !Ref Stage, slow]]
          - !Ref Everything
          - !Ref AccountErrors
          - !If [IsProd, !Ref WholeFunction, !Ref 'AWS::NoValue']
        Hooks:
          PreTraffic: !Ref OrdersCheck
      Events:
        Api: {Type: HttpApi}
  OrdersCheck:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      DeploymentPreference: {Enabled: false}
  OrdersErrors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmActions: [!ImportValue pager]
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions:
        - {Name: FunctionName, Value: !Ref Orders}
        - {Name: Resource, Value: !Sub '${Orders}:${Stage}'}
        - {Name: ExecutedVersion, Value: !GetAtt Orders.Version.Version}
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 3
      DatapointsToAlarm: 2
      Threshold: 4
      ComparisonOperator: GreaterThanThreshold
      TreatMissingData: notBreaching
  OrdersSlow:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: !Sub 'orders-${Stage}-slow'
      Namespace: AWS/Lambda
      MetricName: Duration
      Dimensions:
        - {Name: FunctionName, Value: !Sub 'orders-${Stage}'}
        - {Name: Resource, Value: !Sub 'orders-${Stage}:${Stage}'}
      ExtendedStatistic: p95
      Period: 120
      EvaluationPeriods: 1
      Threshold: 900
      ComparisonOperator: GreaterThanOrEqualToThreshold
  WholeFunction:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Namespace: AWS/Lambda
      MetricName: Throttles
      Dimensions: [{Name: FunctionName, Value: !Ref Orders}]
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 0
      ComparisonOperator: GreaterThanThreshold
  AccountErrors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions: [{Name: FunctionName, Value: other}]
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 0
      ComparisonOperator: GreaterThanThreshold
  Everything:
    Type: AWS::CloudWatch::CompositeAlarm
    Properties: {AlarmRule: ALARM(x)}
"""


def imported(tmp_path: Path, text: str = TEMPLATE, **given: Any) -> tuple[Scenario, str, list[str]]:
    (tmp_path / "template.yaml").write_text(text)
    written, remarks = from_sam(tmp_path / "template.yaml", **given)
    (tmp_path / "scenario.yaml").write_text(written)
    return Scenario.load(tmp_path / "scenario.yaml"), written, remarks


def test_a_template_with_globals_parameters_and_conditions(tmp_path: Path) -> None:
    scenario, written, remarks = imported(tmp_path)
    assert scenario.function.name == "orders-prod"
    assert (scenario.function.timeout, scenario.function.reserved_concurrency) == (12, 40)
    assert scenario.function.versions["1"].provisioned == 5
    assert scenario.rollout is not None
    assert scenario.rollout.alias == "prod"
    (plan,) = [one.plan for one in scenario.strategies.values()]
    assert [(step.weight, step.hold) for step in plan.steps] == [(0.1, 900), (1, 0)]
    assert plan.before is not None
    alarms = [scenario.alarms[name] for name in scenario.rollout.alarms]
    assert [(one.metric, one.of, one.threshold, one.datapoints, one.statistic, one.period) for one in alarms] == [
        ("errors", "new_version", "> 4", "2 of 3", "sum", 60),
        ("duration", "alias", ">= 0.9 s", "1 of 1", "p95", 120),
        ("throttles", "function", "> 0", "1 of 1", "sum", 60),
    ]
    assert scenario.horizon >= scenario.start + plan.length
    said = "\n".join(remarks)
    for part in (
        "condition IsProd was taken as true", "condition IsCareful was taken as true", "OrdersCheck", "AWS::StackName",
        "left out: Everything: its rule reads x, which is not in the template", "watches the function other",
    ):  # fmt: skip
        assert part in said
        assert part.split()[0] in written.split("name:")[0]
    assert written.count("GUESS: ") == 5


def test_parameters_take_the_place_of_defaults(tmp_path: Path) -> None:
    scenario, _, remarks = imported(tmp_path, parameters={"Stage": "test"})
    assert scenario.function.timeout == 3
    (plan,) = [one.plan for one in scenario.strategies.values()]
    assert [step.weight for step in plan.steps] == [1]
    assert "the condition IsProd was taken as false" in remarks
    assert scenario.rollout is not None
    assert "whole-function" not in scenario.rollout.alarms
    with pytest.raises(ScenarioError, match="no parameter 'Stagee'; allowed Stage, Careful, Owner"):
        imported(tmp_path, parameters={"Stagee": "test"})


def test_json_templates_are_read_alike(tmp_path: Path) -> None:
    from cfnlint.decode.cfn_yaml import loads

    without_lines = (
        re.sub(r"yaml:\d+", "", imported(tmp_path, text)[1]) for text in (json.dumps(loads(TEMPLATE)), TEMPLATE)
    )
    assert len(set(without_lines)) == 1


@pytest.mark.parametrize(
    ("event", "source", "arrivals"),
    [
        ("{Type: Schedule, Properties: {Schedule: rate(5 minutes)}}", "schedule", 300.0),
        ("{Type: S3}", "s3", None),
        ("{Type: SQS}", "queue", None),
        ("{Type: MSK}", "data", None),
        ("{Type: Api}", "http", None),
    ],
)
def test_events_tell_what_kind_of_traffic_comes(
    event: str, source: str, arrivals: float | None, tmp_path: Path
) -> None:
    scenario, _, _ = imported(tmp_path, TEMPLATE.replace("{Type: HttpApi}", event))
    assert scenario.traffic[0].source == source
    if arrivals is not None:
        assert scenario.traffic[0].arrivals.fixed == arrivals


SECOND = """
  Second:
    Type: AWS::Serverless::Function
    Properties: {Handler: index.handler}
"""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [", "not valid YAML"),
        ("Resources: []", "needs them as a mapping"),
        (TEMPLATE.replace("AutoPublishAlias: !Ref Stage", ""), "nothing is rolled out"),
        (TEMPLATE + SECOND, "several functions are rolled out; choose one with --function: Orders, Second"),
        (
            TEMPLATE.replace("Canary10Percent15Minutes", "Canary11Percent"),
            "'Canary11Percent' is not known; allowed Canary10Per",
        ),
        (TEMPLATE.replace("Runtime:", "Runtimes:"), "'Runtimes' is not a supported property"),
        (TEMPLATE.replace("!Ref Stage\n    Depl", "!Ref Owner\n    Depl"), None),
    ],
)
def test_what_is_wrong_is_one_clear_error(text: str, what: str | None, tmp_path: Path) -> None:
    if what is None:  # an alias that only the deployment knows has a default, and a remark
        scenario, _, remarks = imported(tmp_path, text)
        assert "live" in scenario.function.aliases
        assert any("AutoPublishAlias: the parameter Owner has no default" in one for one in remarks)
        return
    with pytest.raises(ScenarioError) as caught:
        imported(tmp_path, text)
    assert what in str(caught.value)
    assert "template.yaml" in str(caught.value)


def test_a_file_that_is_not_there_and_a_parameter_without_a_value(tmp_path: Path) -> None:
    runner = CliRunner()
    assert isinstance(runner.invoke(app, ["import", "sam", str(tmp_path / "no.yaml")]).exception, ScenarioError)
    refused = runner.invoke(app, ["import", "sam", "x.yaml", "--parameter", "Stage"])
    assert refused.exit_code == 2
    assert "NAME=VALUE" in refused.output


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"Fn::Join": ["-", ["a", {"Ref": "P"}]]}, "a-1"),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b,c"]}]}, "b"),
        ({"Fn::Sub": ["${x}-${!y}-${P}", {"x": {"Ref": "P"}}]}, "1-${y}-1"),
        ({"Fn::GetAtt": "R.Arn"}, "R.Arn"),
        ({"Fn::Or": [{"Fn::Equals": ["a", "b"]}, {"Condition": "C"}]}, True),
        ([{"Ref": "AWS::NoValue"}, {"Ref": "R"}], ["R"]),
        ({"a": {"Fn::If": ["C", {"Ref": "AWS::NoValue"}, 1]}}, {}),
    ],
)
def test_intrinsics(value: Any, result: Any) -> None:
    template = {
        "Parameters": {"P": {"Type": "String", "Default": "1"}},
        "Conditions": {"C": {"Fn::Equals": [{"Ref": "P"}, 1]}},
        "Resources": {"R": {"Type": "AWS::S3::Bucket"}},
    }
    assert Resolver(template, {}).value(value) == result


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"Ref": "Nothing"}, "no parameter or resource 'Nothing'"),
        ({"Fn::ImportValue": "x"}, "Fn::ImportValue of x is not known"),
        ({"Fn::Select": [7, ["a"]]}, "Fn::Select cannot be read"),
        ({"Fn::FindInMap": ["M", "a", "b"]}, "finds no 'M'"),
        ({"Ref": "S"}, "read from SSM"),
    ],
)
def test_what_cannot_be_resolved_says_why(value: Any, what: str) -> None:
    template = {"Parameters": {"S": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/x"}}}
    with pytest.raises(UnresolvedError, match=what):
        Resolver(template, {}).value(value)


NONSENSE = (
    None,
    [],
    {},
    "x",
    5,
    -1,
    True,
    ["a", {"b": 1}],
    {"Ref": "Nope"},
    {"Fn::If": ["A", "b"]},
    "NaN",
    float("inf"),
)


@pytest.mark.slow
def test_nonsense_anywhere_in_a_template_is_a_message_or_a_remark_never_a_crash(tmp_path: Path) -> None:
    from cfnlint.decode.cfn_yaml import loads

    path = tmp_path / "template.yaml"
    template = json.loads(json.dumps(loads(TEMPLATE)))
    refused: list[str] = []
    for k, where in enumerate(list(places(template))):
        changed = copy.deepcopy(template)
        place = changed
        for part in where[:-1]:
            place = place[part]
        place[where[-1]] = NONSENSE[k % len(NONSENSE)]
        path.write_text(json.dumps(changed).replace("Infinity", "1e999"))
        try:
            from_sam(path)
        except ScenarioError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert [one for one in refused if "template.yaml" not in one] == []


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything inside a template."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*way, key)
        yield from places(inner, (*way, key))


PROVIDER = {"Arn": "arn", "PerExecutionEnvironmentMaxConcurrency": 20}


@pytest.mark.parametrize(
    ("provider", "scaling", "expected", "guessed"),
    [
        (PROVIDER, {"MinExecutionEnvironments": 5, "MaxExecutionEnvironments": 50}, (20, 5, 50), False),
        ({"LambdaManagedInstancesCapacityProviderConfig": PROVIDER}, {}, (20, 3, 400), False),
        ({"Arn": "arn"}, {"MinExecutionEnvironments": 0, "MaxExecutionEnvironments": 0}, (16, 1, 1), True),
    ],
    ids=["SAM", "CloudFormation", "defaults"],
)
def test_a_function_with_a_capacity_provider_runs_on_managed_instances(
    provider: dict[str, Any], scaling: dict[str, int], expected: tuple[int, int, int], guessed: bool, tmp_path: Path
) -> None:
    properties = {
        "Runtime": "python3.13", "AutoPublishAlias": "live", "DeploymentPreference": {"Type": "Canary10Percent5Minutes"},
        "CapacityProviderConfig": provider, "FunctionScalingConfig": scaling, "ReservedConcurrentExecutions": 7,
    }  # fmt: skip
    resources = {"F": {"Type": "AWS::Serverless::Function", "Properties": properties}}
    scenario, _, remarks = imported(tmp_path, json.dumps({"Resources": resources}))
    managed = scenario.function.managed
    assert managed is not None
    assert (managed.concurrency, managed.environments.minimum, managed.environments.maximum) == expected
    assert any("PerExecutionEnvironmentMaxConcurrency" in remark for remark in remarks) == guessed
    assert any("reserved concurrency are not for managed instances" in remark for remark in remarks)
    again, *_ = imported(tmp_path, export_sam(scenario).text)
    assert again.function.managed == managed


def test_provisioned_concurrency_of_an_alias_is_exported_to_it(tmp_path: Path) -> None:
    scenario, *_ = imported(tmp_path, TEMPLATE.replace("ProvisionedConcurrencyConfig:", "X:"))
    function = replace(scenario.function, provisioned={"prod": AliasProvisioned(environments=7)})
    again, *_ = imported(tmp_path, export_sam(replace(scenario, function=function)).text)
    assert [spec.provisioned for spec in again.function.versions.values()] == [7, 7]
