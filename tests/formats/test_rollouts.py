"""Rollouts of a template: what a change of the scenario is called in it, and on which line its parts stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import scenario

from rollout_sim.formats.rollouts import TemplateFile, is_template
from rollout_sim.formats.templates.wording import SamWording, TerraformWording, Wording
from rollout_sim.study.check.finding import Edit

OWN = (
    "DeploymentPreference.Type: a deployment configuration of your own, TimeBasedCanary with CanaryPercentage 50, "
    "CanaryInterval 30"
)
ORIGIN = TemplateFile(path=Path("template.yaml"), line=7, alarms={"errors": 30})


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("alarms", "errors", "datapoints"), "2 of 3", "errors: EvaluationPeriods 3, DatapointsToAlarm 2"),
        (("alarms", "errors", "threshold"), "> 5", "errors: Threshold 5"),
        (("alarms", "errors", "threshold"), ">= 5", "errors: Threshold 5, ComparisonOperator GreaterThanOrEqualToThreshold"),
        (("alarms", "errors", "missing"), "not_breaching", "errors: TreatMissingData notBreaching"),
        (("alarms", "errors", "period"), "60 s", "errors: Period 60"),
        (
            ("alarms", "errors", "of"),
            "new_version",
            "errors: the dimension ExecutedVersion, with the new version's number, besides FunctionName and Resource",
        ),
        (("rollout", "alarms"), ["errors", "slow"], "DeploymentPreference.Alarms: errors, slow"),
        (("strategies", "x"), {"type": "Canary10Percent30Minutes"}, "DeploymentPreference.Type: Canary10Percent30Minutes"),
        (
            ("strategies", "x"),
            {"type": "TimeBasedCanary", "CanaryPercentage": 50, "CanaryInterval": 30},
            OWN,
        ),
        (
            ("strategies", "x"),
            {"type": "AllAtOnce", "hooks": {"before_allow_traffic": {"invocations": 30, "over": "1 min"}}},
            "DeploymentPreference.Type: AllAtOnce, Hooks.PreTraffic: 30 calls over 1 min",
        ),
        (("function", "reserved_concurrency"), 77, "ReservedConcurrentExecutions: 77"),
        (("function", "versions", "2", "provisioned"), 5, "ProvisionedConcurrencyConfig.ProvisionedConcurrentExecutions: 5"),
        (("traffic", 0, "alias"), "live", "the caller: the alias live behind the function's name or ARN"),
    ],
)  # fmt: skip
def test_a_change_in_the_words_of_cloudformation(where, value, words) -> None:
    assert ORIGIN.spell(scenario(), Edit(where=where, value=value)) == words


def test_a_new_alarm_is_described() -> None:
    alarm = {
        "metric": "errors",
        "of": "new_version",
        "threshold": "> 0",
        "datapoints": "2 of 3",
        "missing": "not_breaching",
    }
    text = ORIGIN.spell(scenario(), Edit(where=("alarms", "new-version"), value=alarm))
    assert text.startswith(
        "a new alarm new-version: sum of Errors with the dimensions FunctionName, Resource and Executed"
    )
    assert "Threshold 0, EvaluationPeriods 3, DatapointsToAlarm 2, ComparisonOperator GreaterThanThreshold" in text


CONFIG = "an aws_codedeploy_deployment_config"
NAMES = {"errors": "OrdersErrorsAlarm5F3A", "slow": "Slow"}
CLOUDFORMATION = replace(ORIGIN, wording=Wording(ids=NAMES))
TERRAFORM = replace(ORIGIN, wording=TerraformWording(ids={"errors": "aws_cloudwatch_metric_alarm.errors"}))
QUICK = ("strategies", "x"), {"type": "Linear10PercentEvery1Minute"}
OWN_CONFIG = ("strategies", "x"), {"type": "TimeBasedCanary", "CanaryPercentage": 50, "CanaryInterval": 30}
TESTED = (
    ("strategies", "x"), {"type": "AllAtOnce", "hooks": {"before_allow_traffic": {"invocations": 30, "over": "1 min"}}},
)  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "where", "value", "words"),
    [
        (CLOUDFORMATION, ("rollout", "alarms"), ["errors", "slow"], "AlarmConfiguration.Alarms: OrdersErrorsAlarm5F3A, Slow"),
        (CLOUDFORMATION, *QUICK, "DeploymentConfigName: CodeDeployDefault.LambdaLinear10PercentEvery1Minute"),
        (
            CLOUDFORMATION, *TESTED,
            "DeploymentConfigName: CodeDeployDefault.LambdaAllAtOnce, BeforeAllowTrafficHook: 30 calls over 1 min",
        ),
        (
            CLOUDFORMATION, ("alarms", "errors", "datapoints"), "2 of 3",
            "OrdersErrorsAlarm5F3A: EvaluationPeriods 3, DatapointsToAlarm 2",
        ),
        (
            TERRAFORM, ("alarms", "errors", "datapoints"), "2 of 3",
            "aws_cloudwatch_metric_alarm.errors: evaluation_periods = 3, datapoints_to_alarm = 2",
        ),
        (
            TERRAFORM, ("alarms", "errors", "missing"), "not_breaching",
            'aws_cloudwatch_metric_alarm.errors: treat_missing_data = "notBreaching"',
        ),
        (
            TERRAFORM, ("alarms", "errors", "threshold"), "<= 5",
            'aws_cloudwatch_metric_alarm.errors: threshold = 5, comparison_operator = "LessThanOrEqualToThreshold"',
        ),
        (
            TERRAFORM, ("rollout", "alarms"), ["errors", "new"],
            'alarm_configuration.alarms = [aws_cloudwatch_metric_alarm.errors.alarm_name, "new"]',
        ),
        (TERRAFORM, *QUICK, 'deployment_config_name = "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"'),
        (
            TERRAFORM, *OWN_CONFIG,
            f"deployment_config_name: {CONFIG} of your own with time_based_canary {{ percentage = 50, interval = 30 }}",
        ),
        (TERRAFORM, ("function", "reserved_concurrency"), 77, "reserved_concurrent_executions = 77"),
        (
            TERRAFORM, ("function", "versions", "2", "provisioned"), 5,
            "aws_lambda_provisioned_concurrency_config: provisioned_concurrent_executions = 5",
        ),
    ],
)  # fmt: skip
def test_a_change_in_the_words_of_each_format(origin, where, value, words) -> None:
    assert origin.spell(scenario(), Edit(where=where, value=value)) == words


BAND = {"metric": "errors", "band": 3, "threshold": "outside"}
MATHS = {"expression": "e + 1", "threshold": "> 9", "metrics": {"e": {"metric": "errors"}}}


@pytest.mark.parametrize(
    ("alarm", "where", "value", "words"),
    [
        ({"metric": "duration", "statistic": "p99", "threshold": "> 1 s"}, ("threshold",), "> 0.6 s", "x: Threshold 600"),
        ({"metric": "errors", "statistic": "average", "threshold": "> 0.1"}, ("threshold",), "> 2%", "x: Threshold 0.02"),
        (BAND, ("threshold",), "above", "x: ComparisonOperator GreaterThanUpperThreshold"),
        (BAND, ("band",), 2.5, "x: Expression ANOMALY_DETECTION_BAND(..., 2.5)"),
        (
            MATHS, ("metrics", "e", "of"), "new_version",
            "x: the dimension ExecutedVersion, with the new version's number, besides FunctionName and Resource, of its metric e",
        ),
        (MATHS, ("threshold",), "> 4.5", "x: Threshold 4.5"),
        ({"rule": "ALARM(errors)"}, ("rule",), "ALARM(errors) OR ALARM(x)", "x: AlarmRule ALARM(errors) OR ALARM(x)"),
    ],
)  # fmt: skip
def test_a_change_of_each_kind_of_alarm(alarm, where, value, words) -> None:
    given = scenario(alarms={"errors": {"metric": "errors", "threshold": "> 1"}, "x": alarm}, rollout__alarms=[])
    assert ORIGIN.spell(given, Edit(where=("alarms", "x", *where), value=value)) == words


@pytest.mark.parametrize(
    ("scale", "words"),
    [((0.0, 1.0), "Threshold 0.02"), ((0.0, 100.0), "Threshold 2"), ((100.0, -100.0), "Threshold 98")],
)
def test_a_rate_in_the_scale_of_its_own_metric_maths(scale, words) -> None:
    origin = replace(ORIGIN, wording=SamWording(scales={"x": scale}))
    given = scenario(alarms={"x": {"metric": "error_rate", "threshold": "> 5%"}}, rollout__alarms=[])
    assert origin.spell(given, Edit(where=("alarms", "x", "threshold"), value="> 2%")) == f"x: {words}"


def test_alarms_have_lines_of_their_own() -> None:
    assert ORIGIN.place(("alarms", "errors")).line == 30
    assert ORIGIN.place(("alarms", "other")).line == 7
    assert str(ORIGIN.place(("rollout",))) == "template.yaml:7"


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Resources:\n  A: {}\n", True),
        ('{"Resources": {}}', True),
        ('{\n "AWSTemplateFormatVersion": "2010-09-09",\n "Resources": {}\n}', True),
        ('{"format_version": "1.2", "planned_values": {"root_module": {}}}', True),
        ("name: x\nfunction: {}\n", False),
        ("name: Resources\n", False),
    ],
)
def test_a_template_is_told_from_a_scenario(text, template, tmp_path) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert is_template(path) is template
