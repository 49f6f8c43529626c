"""Templates of every kind: what rolls out, with which values, called by whom, tested by which hooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import scenario
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stacks import cloudformation, imported, sam

from rollout_sim.cli.main import app
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.cloudformation import export_cloudformation, export_sam
from rollout_sim.formats.templates.sam import every, from_sam, stack_of
from rollout_sim.formats.templates.template import read_parameters
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.delivery import Delivery
from rollout_sim.traffic.source import CronArrivals

ERRORS: dict[str, Any] = {
    "Type": "AWS::CloudWatch::Alarm",
    "Properties": {
        "Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Dimensions": [
            {"Name": "FunctionName", "Value": {"Ref": "Orders"}}, {"Name": "Resource", "Value": {"Fn::Sub": "${Orders}:live"}},
        ],
    },
}  # fmt: skip


# --- plain CloudFormation ---------------------------------------------------------------------------------------------


def test_an_alias_with_its_deployment_group(tmp_path: Path) -> None:
    alarms = {"Enabled": True, "Alarms": [{"Name": {"Ref": "Watch"}}]}
    hooks = {"BeforeAllowTrafficHook": {"Ref": "Check"}}
    check = {"Type": "AWS::Lambda::Function", "Properties": {}}
    given = cloudformation(
        {"AlarmConfiguration": alarms}, {"Watch": ERRORS, "Check": check}, hooks, ReservedConcurrentExecutions=7
    )
    loaded, remarks = imported(tmp_path, given)
    assert (loaded.function.name, loaded.function.timeout, loaded.function.reserved_concurrency) == ("Orders", 20, 7)
    (strategy,) = loaded.strategies.values()
    assert strategy.type == "Linear10PercentEvery1Minute"
    hook = strategy.plan.before
    assert hook is not None
    assert (hook.invocations, hook.max_failures) == (1, 0)
    assert loaded.rollout is not None
    assert (loaded.rollout.alias, loaded.rollout.alarms) == ("live", ("watch",))
    assert loaded.alarms["watch"].of == "alias"
    assert remarks == [
        "what the hook Check does is not in the template: one call of the new version is a GUESS",
        "who calls the alias live is not in the template: http is a GUESS",
    ]


def test_a_hook_that_a_condition_takes_away(tmp_path: Path) -> None:
    hooks = {"PreTraffic": {"Fn::If": ["Never", {"Ref": "Check"}, {"Ref": "AWS::NoValue"}]}}
    given = sam({"Type": "AllAtOnce", "Hooks": hooks}) | {"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}}
    loaded, _ = imported(tmp_path, given)
    assert [strategy.plan.before for strategy in loaded.strategies.values()] == [None]


def test_what_matters_for_cold_starts_stands_beside_their_guess(tmp_path: Path) -> None:
    imported(
        tmp_path, sam(Runtime="java21", MemorySize=512, EphemeralStorage={"Size": 2048}, ReservedConcurrentExecutions=0)
    )
    written = (tmp_path / "scenario.yaml").read_text().replace("\n# ", " ")
    assert "of version 1 (java21, 512 MB of memory, 2048 MB of ephemeral storage)" in written
    assert "the function is switched off" in written


def test_the_names_of_cdk_and_of_the_serverless_framework(tmp_path: Path) -> None:
    """An alarm's Resource is split from the alias's ARN, a configuration's name comes by Fn::Sub with a mapping."""
    part = {"Fn::Select": [7, {"Fn::Split": [":", {"Ref": "OrdersLive"}]}]}
    of = [
        {"Name": "FunctionName", "Value": {"Ref": "Orders"}},
        {"Name": "Resource", "Value": {"Fn::Join": ["", [{"Ref": "Orders"}, ":", part]]}},
        {"Name": "ExecutedVersion", "Value": {"Fn::GetAtt": ["OrdersVersion", "Version"]}},
    ]
    watch = {**ERRORS, "Properties": {**ERRORS["Properties"], "Dimensions": of}}
    name = {"Fn::Sub": ["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": "Canary10Percent30Minutes"}]}
    group = {
        "DeploymentConfigName": name,
        "AlarmConfiguration": {"Alarms": [{"Name": {"Ref": "Watch"}}], "Enabled": True},
    }
    loaded, remarks = imported(tmp_path, cloudformation(group, {"Watch": watch}))
    assert [strategy.type for strategy in loaded.strategies.values()] == ["Canary10Percent30Minutes"]
    assert [alarm.of for alarm in loaded.alarms.values()] == ["new_version"]
    assert not any("left out" in remark or "us-east-1" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("enabled", "events", "what"),
    [
        (False, ["DEPLOYMENT_STOP_ON_ALARM"], "AlarmConfiguration is not enabled"),
        (True, ["DEPLOYMENT_FAILURE"], "has no DEPLOYMENT_STOP_ON_ALARM"),
    ],
)
def test_what_a_deployment_group_does_not_do(enabled: bool, events: list[str], what: str, tmp_path: Path) -> None:
    alarms = {"Enabled": enabled, "Alarms": [{"Name": {"Ref": "Watch"}}]}
    group = {"AlarmConfiguration": alarms, "AutoRollbackConfiguration": {"Enabled": True, "Events": events}}
    _, remarks = imported(tmp_path, cloudformation(group, {"Watch": ERRORS}))
    assert any(what in remark for remark in remarks)


def test_a_deployment_group_of_something_else_is_no_rollout(tmp_path: Path) -> None:
    servers = {"ApplicationName": "web", "DeploymentConfigName": "CodeDeployDefault.OneAtATime"}
    ecs = {"ApplicationName": {"Ref": "Web"}, "DeploymentConfigName": "own"}
    resources = {
        "Servers": {"Type": "AWS::CodeDeploy::DeploymentGroup", "Properties": servers},
        "Ecs": {"Type": "AWS::CodeDeploy::DeploymentGroup", "Properties": ecs},
        "Web": {"Type": "AWS::CodeDeploy::Application", "Properties": {"ComputePlatform": "ECS"}},
    }
    path = tmp_path / "template.json"
    path.write_text(json.dumps(cloudformation(None, resources)))
    assert list(stack_of(path).rollouts) == ["Orders"]


def test_a_version_called_by_its_number_sees_no_call_of_the_alias(tmp_path: Path) -> None:
    number = {"Fn::Join": ["", [{"Ref": "Orders"}, ":", {"Fn::GetAtt": ["OrdersVersion", "Version"]}]]}
    of = [{"Name": "FunctionName", "Value": {"Ref": "Orders"}}, {"Name": "Resource", "Value": number}]
    watch = {**ERRORS, "Properties": {**ERRORS["Properties"], "Dimensions": of}}
    group = {"AlarmConfiguration": {"Enabled": True, "Alarms": [{"Name": {"Ref": "Watch"}}]}}
    _, remarks = imported(tmp_path, cloudformation(group, {"Watch": watch}))
    assert any(
        "a version called by its number: calls of the alias are published as name:live" in remark for remark in remarks
    )


STRATEGIES: dict[str, dict[str, Any]] = {
    "named": {"type": "Linear10PercentEvery2Minutes"},
    "own canary": {"type": "canary", "percent": 7, "interval": "4 min"},
    "own linear": {"type": "linear", "percent": 30, "interval": "3 min"},
}
ALARMS: dict[str, dict[str, Any]] = {
    "new-errors": {"metric": "errors", "of": "new_version", "threshold": "> 2", "datapoints": "2 of 3", "missing": "not_breaching"},
    "rate": {"metric": "error_rate", "of": "alias", "threshold": "> 2.5%", "period": "5 min"},
    "most": {"metric": "errors", "statistic": "maximum", "of": "function", "threshold": ">= 1"},
    "slow": {"metric": "duration", "statistic": "p99", "threshold": ">= 850 ms", "low_samples": "ignore"},
    "trimmed": {"metric": "duration", "statistic": "tm99", "threshold": ">= 850 ms"},
    "guard": {
        "expression": "IF(i >= 20, 100 * e / i, 0)", "threshold": "> 5", "period": "2 min",
        "metrics": {"e": {"metric": "errors", "of": "new_version"}, "i": {"metric": "invocations", "of": "new_version"}},
    },
    "band": {"metric": "invocations", "of": "alias", "band": 2.0, "threshold": "below", "datapoints": "3 of 3"},
    "clock": {"metric": "errors", "of": "alias", "threshold": "> 3", "period": "5 min", "window": "wall_clock"},
    "both": {"rule": 'ALARM(rate) AND NOT OK("most")'},
}  # fmt: skip
for name, alarm in ALARMS.items():
    if name != "both":
        alarm["lag"] = "1 min"  # what an import takes for granted


@pytest.mark.slow
@pytest.mark.parametrize("export", [export_sam, export_cloudformation])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_exported_passes_the_linter_and_comes_back(export: Any, strategy: str, tmp_path: Path) -> None:
    import cfnlint.api

    listed = [name for name in ALARMS if name not in ("rate", "most")]
    given = scenario(strategies=STRATEGIES, alarms=ALARMS, rollout__alarms=listed, horizon="3 h")
    snippet = export(given, strategy)
    assert [problem.message for problem in cfnlint.api.lint(snippet.text, regions=["us-east-1"])] == []
    path = tmp_path / "template.yaml"
    path.write_text(snippet.text)
    written, remarks = from_sam(path)
    assert not any("left out" in remark for remark in (*remarks, *snippet.remarks))
    (tmp_path / "scenario.yaml").write_text(written)
    back = Scenario.load(tmp_path / "scenario.yaml")
    assert [one.plan.steps for one in back.strategies.values()] == [given.strategies[strategy].plan.steps]
    assert back.rollout is not None
    assert (back.rollout.alias, back.function.name) == ("prod", "f")
    assert sorted(back.rollout.alarms) == sorted(listed)
    assert {name: back.alarms[name] for name in ALARMS if name != "both"} == {
        name: given.alarms[name] for name in ALARMS if name != "both"
    }
    assert back.alarms["both"].rule == "ALARM(rate) AND NOT OK(most)"


def test_a_guard_is_exported_as_metric_maths(tmp_path: Path) -> None:
    guarded = {"metric": "error_rate", "of": "alias", "threshold": "> 5%", "at_least": "20 requests"}
    given = scenario(alarms={"rate": guarded}, rollout__alarms=["rate"], strategies={"s": {"type": "AllAtOnce"}})
    path = tmp_path / "template.yaml"
    path.write_text(export_sam(given).text)
    (tmp_path / "scenario.yaml").write_text(from_sam(path)[0])
    assert (
        Scenario.load(tmp_path / "scenario.yaml").alarms["rate"].expression
        == "IF(invocations >= 20, errors / invocations, 0)"
    )
    lowest = scenario(
        alarms={"rate": guarded | {"threshold": ">= 0%"}},
        rollout__alarms=["rate"],
        strategies={"s": {"type": "AllAtOnce"}},
    )
    assert any(
        "left out: the alarm rate: at_least with the threshold >= 0%" in remark for remark in export_sam(lowest).remarks
    )
    low = scenario(
        alarms={"rate": guarded | {"threshold": "< 5%"}},
        rollout__alarms=["rate"],
        strategies={"s": {"type": "AllAtOnce"}},
    )
    assert "IF(invocations >= 20, errors / invocations, 1000000000)" in export_sam(low).text


# --- values -----------------------------------------------------------------------------------------------------------


def test_pseudo_parameters_have_values_and_can_be_given(tmp_path: Path) -> None:
    named = sam(FunctionName={"Fn::Sub": "${AWS::StackName}-orders-${AWS::Region}"})
    loaded, remarks = imported(tmp_path, named)
    assert loaded.function.name == "stack-orders-us-east-1"
    assert "AWS::StackName was taken as 'stack'; give it with --parameter AWS::StackName=VALUE" in remarks
    loaded, remarks = imported(tmp_path, named, parameters={"AWS::StackName": "shop", "AWS::Region": "eu-west-1"})
    assert loaded.function.name == "shop-orders-eu-west-1"
    assert not any("was taken as" in remark for remark in remarks)


@pytest.mark.parametrize(
    "resource", ["${AWS::StackName}-orders:live", "${Prefix}-orders:live", "${Prefix}${Suffix}:live"]
)
def test_only_the_alias_behind_the_colon_must_be_known(resource: str, tmp_path: Path) -> None:
    of = [{"Name": "FunctionName", "Value": {"Ref": "Orders"}}, {"Name": "Resource", "Value": {"Fn::Sub": resource}}]
    watch = {**ERRORS, "Properties": {**ERRORS["Properties"], "Dimensions": of}}
    given = sam({"Type": "AllAtOnce", "Alarms": [{"Ref": "Watch"}]}, resources={"Watch": watch})
    given["Parameters"] = {"Prefix": {"Type": "String"}, "Suffix": {"Type": "String"}}
    loaded, _ = imported(tmp_path, given)
    assert loaded.alarms["watch"].of == "alias"


def test_a_configuration_whose_name_is_not_known_keeps_its_routing(tmp_path: Path) -> None:
    routing = {"Type": "TimeBasedLinear", "TimeBasedLinear": {"LinearPercentage": 20, "LinearInterval": 3}}
    config = {"DeploymentConfigName": {"Ref": "Name"}, "ComputePlatform": "Lambda", "TrafficRoutingConfig": routing}
    resources = {"Slow": {"Type": "AWS::CodeDeploy::DeploymentConfig", "Properties": config}}
    for kind in ({"Ref": "Slow"}, {"Ref": "Name"}):
        given = sam({"Type": kind}, resources=resources)
        given["Parameters"] = {"Name": {"Type": "String"}}
        loaded, _ = imported(tmp_path, given)
        (strategy,) = loaded.strategies.values()
        assert (strategy.type, strategy.LinearPercentage, strategy.LinearInterval) == ("TimeBasedLinear", 20, 3)


PARAMETERS: dict[str, Any] = {
    "Stage": {"Type": "String", "AllowedValues": ["dev", "prod"], "Default": "prod"},
    "Timeout": {"Type": "Number", "MinValue": 1, "MaxValue": 60, "Default": 5},
    "Owner": {"Type": "String", "AllowedPattern": "[a-z]+", "MaxLength": 5, "Default": "shop"},
    "Names": {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"], "Default": "a,b"},
}


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("Stage", "prdo", "dev, prod"), ("Timeout", "61", "a number from 1 to 60"), ("Timeout", "x", "a number"),
        ("Owner", "A", "what matches [a-z]+"), ("Owner", "abcdef", "text of a length up to 5"), ("Names", "a,c", "a, b"),
    ],
)  # fmt: skip
def test_a_value_that_cloudformation_refuses(name: str, value: str, allowed: str, tmp_path: Path) -> None:
    given = sam() | {"Parameters": PARAMETERS}
    with pytest.raises(ScenarioError) as caught:
        imported(tmp_path, given, parameters={name: value})
    assert f"--parameter: {name}: got {value!r}; allowed {allowed}" in str(caught.value)


def test_a_default_that_cloudformation_refuses_is_none(tmp_path: Path) -> None:
    stage = {"Type": "String", "AllowedValues": ["dev", "prod"], "Default": "staging"}
    fine = {"Type": "Number", "MinValue": 1, "Default": 3}
    given = sam(AutoPublishAlias={"Ref": "Stage"}, Timeout={"Ref": "Limit"}) | {
        "Parameters": {"Stage": stage, "Limit": fine}
    }
    loaded, remarks = imported(tmp_path, given)
    assert list(loaded.function.aliases) == ["live"]
    assert loaded.function.timeout == 3
    refused = (
        "the parameter Stage: its default 'staging' is refused by CloudFormation (allowed dev, prod), so it has none"
    )
    assert [remark for remark in remarks if remark.startswith("the parameter")] == [refused]
    loaded, _ = imported(tmp_path, given, parameters={"Stage": "dev"})
    assert list(loaded.function.aliases) == ["dev"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "p.json",
            '[{"ParameterKey": "Stage", "ParameterValue": "dev"}, {"ParameterKey": "Timeout", "ParameterValue": "9"}]',
        ),
        ("p.json", '{"Parameters": {"Stage": "dev", "Timeout": 9}}'),
        ("p.json", '{"Stage": "dev", "Timeout": "9"}'),
        ("p.json", '["Stage=dev", "Timeout=9"]'),
        ("samconfig.toml", '[default.deploy.parameters]\nparameter_overrides = "Stage=dev Timeout=\\"9\\""'),
        (
            "samconfig.toml",
            '[default.deploy.parameters]\nparameter_overrides = ["Stage=dev", "ParameterKey=Timeout,ParameterValue=9"]',
        ),
        ("samconfig.yaml", "version: 0.1\ndefault: {deploy: {parameters: {parameter_overrides: Stage=dev Timeout=9}}}"),
        (
            "samconfig.toml",
            (
                '[default.global.parameters]\nparameter_overrides = "A=1"\n[default.deploy.parameters]\n'
                'parameter_overrides = "Stage=dev Timeout=9"'
            ),
        ),
    ],
)
def test_files_of_parameters(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert read_parameters(tmp_path / name) == {"Stage": "dev", "Timeout": "9"}


def test_a_samconfig_has_environments_a_stack_and_a_region(tmp_path: Path) -> None:
    path = tmp_path / "samconfig.toml"
    path.write_text(
        '[prod.deploy.parameters]\nstack_name = "shop"\nregion = "eu-west-1"\nparameter_overrides = "Stage=prod"'
    )
    assert read_parameters(path, "prod") == {"Stage": "prod", "AWS::StackName": "shop", "AWS::Region": "eu-west-1"}
    with pytest.raises(ScenarioError, match="--environment: got 'default'; allowed prod"):
        read_parameters(path)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("p.json", "{", "is no JSON"), ("p.yaml", "- 1", "--environment: got 'default'; allowed none"),
        ("p.json", "5", "got 5; allowed"), ("p.json", '["Stage"]', "got 'Stage'; allowed"),
        ("p.json", "\xff", "is not UTF-8"), ("x.toml", "a", "is no TOML"), ("p.json", "[" * 99999, "is no JSON"),
        ("x.toml", '[default.deploy.parameters]\nparameter_overrides = "Stage"', "allowed NAME=VALUE"),
        ("x.toml", "[default.deploy.parameters]\nparameter_overrides = \"'x\"", "No closing quotation"),
    ],
)  # fmt: skip
def test_files_of_parameters_that_are_none(name: str, content: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ScenarioError, match=what) as caught:
        read_parameters(path)
    assert str(path) in str(caught.value)


# --- traffic ----------------------------------------------------------------------------------------------------------


def sources(loaded: Scenario) -> list[tuple[str, str]]:
    return [(source.name, source.source) for source in loaded.traffic]


def test_a_source_for_each_event(tmp_path: Path) -> None:
    events = {
        "Web": {"Type": "HttpApi", "Properties": {"Path": {"Fn::ImportValue": "x"}}},
        "Jobs": {"Type": "SQS", "Properties": {"Queue": {"Fn::ImportValue": "q"}}},
        "Warm": {"Type": "Schedule", "Properties": {"Schedule": "rate(5 minutes)"}},
        "Nightly": {"Type": "ScheduleV2", "Properties": {"ScheduleExpression": "cron(15 3 * * ? *)"}},
        "Off": {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)", "Enabled": False}},
        "Away": {"Type": "ScheduleV2", "Properties": {"ScheduleExpression": "rate(1 minute)", "State": "DISABLED"}},
        "News": {"Type": "EventBridgeRule", "Properties": {}},
    }
    loaded, remarks = imported(tmp_path, sam(None, events, FunctionUrlConfig={"AuthType": "NONE"}))
    assert sources(loaded) == [
        ("web", "http"), ("jobs", "queue"), ("warm", "schedule"), ("nightly", "schedule"), ("news", "eventbridge"), ("url", "http"),
    ]  # fmt: skip
    assert [source.arrivals.fixed for source in loaded.traffic] == [None, None, 300, None, None, None]
    nightly = loaded.traffic[3].arrivals.cron
    assert (nightly.expression, nightly.begin) == ("cron(15 3 * * ? *)", "2026-01-05 03:04")
    assert next(nightly.moments()) == loaded.start + 60
    for part in (
        "the event Off is switched off",
        "the event Away is switched off",
        "Jobs: its queue is not in the template",
    ):
        assert any(part in remark for remark in remarks)


def test_a_schedule_by_the_clock_keeps_its_zone_and_window(tmp_path: Path) -> None:
    """The simulation begins so that the rarer one comes a minute into the rollout."""
    often = {"Schedule": "cron(0/5 * * * ? *)"}
    by_night = {
        "ScheduleExpression": "cron(0 2 ? * SUN *)", "ScheduleExpressionTimezone": "Europe/Berlin",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
    }  # fmt: skip
    events = {
        "Often": {"Type": "Schedule", "Properties": often},
        "Weekly": {"Type": "ScheduleV2", "Properties": by_night},
    }
    loaded, remarks = imported(tmp_path, sam(None, events))
    frequent, weekly = (source.arrivals.cron for source in loaded.traffic)
    assert weekly == CronArrivals(
        expression="cron(0 2 ? * SUN *)", zone="Europe/Berlin", within=900.0, begin="2026-01-11 00:49"
    )
    assert (frequent.begin, frequent.within) == (weekly.begin, 60.0)
    assert not any("schedule" in remark for remark in remarks)
    _, remarks = imported(
        tmp_path, sam(None, {"Bad": {"Type": "Schedule", "Properties": {"Schedule": "cron(0 9 * * *)"}}})
    )
    assert any(remark.startswith("the schedule Bad: needs the six fields") for remark in remarks)


def test_retries_of_queued_events(tmp_path: Path) -> None:
    config = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    events = {"News": {"Type": "SNS", "Properties": {}}, "Web": {"Type": "Api", "Properties": {}}}
    loaded, _ = imported(tmp_path, sam(None, events, EventInvokeConfig=config))
    news, web = loaded.traffic
    assert (news.source, news.async_retries, news.max_event_age) == ("sns", 0, 60)
    assert (web.async_retries, web.max_event_age) == (2, 21600)
    invoke = {"FunctionName": {"Ref": "Orders"}, "Qualifier": "live", **config}
    resources = {
        "Invoke": {"Type": "AWS::Lambda::EventInvokeConfig", "Properties": invoke},
        "Topic": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {"Endpoint": {"Ref": "OrdersLive"}, "Protocol": "lambda"},
        },
    }
    loaded, _ = imported(tmp_path, cloudformation(None, resources))
    retries = [(source.source, source.async_retries, source.max_event_age) for source in loaded.traffic]
    assert retries == [("sns", 0, 60)]
    resources.pop("Topic")
    loaded, _ = imported(tmp_path, sam(None, {"News": {"Type": "SNS", "Properties": {}}}, resources))
    assert [(source.source, source.async_retries, source.max_event_age) for source in loaded.traffic] == retries


def test_retries_of_a_delivery(tmp_path: Path) -> None:
    policy = {"RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": 900}}
    events = {
        "News": {"Type": "EventBridgeRule", "Properties": policy},
        "Nightly": {"Type": "ScheduleV2", "Properties": {"ScheduleExpression": "rate(1 hour)", **policy}},
    }
    expected = Delivery(retries=5, max_age=900.0)
    loaded, _ = imported(tmp_path, sam(None, events))
    assert [source.delivery for source in loaded.traffic] == [expected] * 2
    target = {"Arn": {"Ref": "OrdersLive"}, "Id": "x", **policy}
    resources = {
        "Rule": {"Type": "AWS::Events::Rule", "Properties": {"Targets": [{"Arn": "other", "Id": "y"}, target]}},
        "Beat": {
            "Type": "AWS::Scheduler::Schedule",
            "Properties": {"ScheduleExpression": "rate(1 hour)", "Target": target},
        },
    }
    loaded, _ = imported(tmp_path, cloudformation(None, resources))
    assert [(source.source, source.delivery) for source in loaded.traffic] == [
        ("eventbridge", expected), ("schedule", expected),
    ]  # fmt: skip


def test_the_unit_of_a_rate_is_scheduler_s_or_a_rule_s(tmp_path: Path) -> None:
    window = {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5}}
    events = {
        "Beat": {"Type": "ScheduleV2", "Properties": {"ScheduleExpression": "rate(1 days)"}},
        "Tick": {"Type": "ScheduleV2", "Properties": {"ScheduleExpression": "rate(1 hours)", **window}},
        "Rule": {"Type": "Schedule", "Properties": {"Schedule": "rate(5 minute)"}},
    }
    loaded, remarks = imported(tmp_path, sam(None, events))
    beat, tick, rule = (source.arrivals for source in loaded.traffic)
    assert (beat.fixed, rule.fixed) == (86400.0, 3600.0)
    assert tick.cron is not None
    assert (tick.cron.expression, tick.cron.within) == ("rate(1 hour)", 300.0)
    (told,) = [remark for remark in remarks if "the schedule Rule: " in remark]
    assert "must be minutes, got 'rate(5 minute)'; its interval of 1 h is a GUESS" in told


MAPPING = "AWS::Lambda::EventSourceMapping"


def test_retries_of_queued_events_are_not_those_of_a_queue_that_is_polled(tmp_path: Path) -> None:
    config = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    events = {"Jobs": {"Type": "SQS", "Properties": {}}, "News": {"Type": "SNS", "Properties": {}}}
    mapping = {"Type": MAPPING, "Properties": {"FunctionName": {"Ref": "Orders.Alias"}}}
    loaded, _ = imported(tmp_path, sam(None, events, {"Stream": mapping}, EventInvokeConfig=config))
    assert {source.name: (source.async_retries, source.max_event_age) for source in loaded.traffic} == {
        "jobs": (2, 21600), "news": (0, 60), "stream": (2, 21600),
    }  # fmt: skip


def test_a_schedule_that_is_not_known(tmp_path: Path) -> None:
    events = {"Warm": {"Type": "Schedule", "Properties": {"Schedule": {"Ref": "Beat"}}}}
    given = sam(None, events) | {"Parameters": {"Beat": {"Type": "String"}}}
    loaded, remarks = imported(tmp_path, given)
    assert loaded.traffic[0].arrivals.fixed == 3600
    assert "the schedule Warm: Beat is not known before the deployment; its interval of 1 h is a GUESS" in remarks
    loaded, _ = imported(tmp_path, given, parameters={"Beat": "rate(5 minutes)"})
    assert loaded.traffic[0].arrivals.fixed == 300


@pytest.mark.parametrize("where", ["OrdersVersion", "OrdersLive"])
def test_provisioned_concurrency_of_a_version_or_an_alias(where: str, tmp_path: Path) -> None:
    given = cloudformation()
    given["Resources"][where]["Properties"]["ProvisionedConcurrencyConfig"] = {"ProvisionedConcurrentExecutions": 3}
    loaded, _ = imported(tmp_path, given)
    assert loaded.function.versions["1"].provisioned == 3


@pytest.mark.parametrize(
    ("target", "through"),
    [
        ({"Ref": "Orders.Alias"}, True), ({"Fn::Sub": "${Orders}:live"}, True), ({"Ref": "Orders"}, False),
        ({"Fn::GetAtt": ["Orders", "Arn"]}, False), ({"Fn::Sub": "${Orders.Arn}:live"}, True), ({"Ref": "Orders.Version"}, False),
        ({"Ref": "Other"}, None),
    ],
)  # fmt: skip
def test_a_mapping_calls_the_alias_or_past_it(target: Any, through: bool | None, tmp_path: Path) -> None:
    mapping = {"Type": MAPPING, "Properties": {"FunctionName": target, "EventSourceArn": "arn:aws:sqs:x"}}
    other = {"Type": "AWS::Lambda::Function", "Properties": {}}
    loaded, remarks = imported(tmp_path, sam(resources={"Mapping": mapping, "Other": other}))
    past = any("not the alias live: the rollout does not touch it" in remark for remark in remarks)
    assert (sources(loaded) == [("", "queue")], past) == (through is True, through is False)


def test_a_mapping_that_is_switched_off_and_one_that_does_not_exist(tmp_path: Path) -> None:
    alias = {"Ref": "Orders.Alias"}
    resources = {
        "Off": {"Type": MAPPING, "Properties": {"FunctionName": alias, "Enabled": False}},
        "Gone": {"Type": MAPPING, "Condition": "Never", "Properties": {"FunctionName": alias}},
    }
    loaded, remarks = imported(
        tmp_path, sam(resources=resources) | {"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}}
    )
    assert sources(loaded) == [("", "http")]
    assert "the event source mapping Off is switched off" in remarks


def test_who_calls_an_alias_in_plain_cloudformation(tmp_path: Path) -> None:
    def permission(service: str, target: Any, **more: Any) -> dict[str, Any]:
        properties = {
            "FunctionName": target,
            "Principal": f"{service}.amazonaws.com",
            "Action": "lambda:InvokeFunction",
            **more,
        }
        return {"Type": "AWS::Lambda::Permission", "Properties": properties}

    alias = {"Ref": "OrdersLive"}
    rule = {"ScheduleExpression": "rate(10 minutes)", "Targets": [{"Arn": alias, "Id": "x"}]}
    resources = {
        "Api": permission("apigateway", alias), "ApiTest": permission("apigateway", alias),
        "Bucket": permission("s3", {"Fn::GetAtt": ["Orders", "Arn"]}), "Rule": {"Type": "AWS::Events::Rule", "Properties": rule},
        "Allowed": permission("events", alias),
        "Url": {"Type": "AWS::Lambda::Url", "Properties": {"TargetFunctionArn": {"Ref": "Orders"}, "Qualifier": "live"}},
    }  # fmt: skip
    loaded, remarks = imported(tmp_path, cloudformation(None, resources))
    assert sorted(sources(loaded)) == [("apigateway", "http"), ("rule", "schedule"), ("url", "http")]
    assert any(
        remark.startswith("s3: this service, by its permission, calls the function and not the alias live")
        for remark in remarks
    )


@pytest.mark.parametrize("qualifier", [{}, {"Qualifier": "live"}, {"Qualifier": "3"}])
def test_a_permission_that_is_not_the_alias_s(qualifier: dict[str, str], tmp_path: Path) -> None:
    """A permission holds for the very ARN that it names, so a rule that calls the alias by one of the function is refused."""
    permission = {"FunctionName": {"Ref": "Orders"}, "Principal": "events.amazonaws.com", **qualifier}
    rule = {"EventPattern": {"source": ["shop"]}, "Targets": [{"Arn": {"Ref": "OrdersLive"}, "Id": "x"}]}
    resources = {
        "Allowed": {"Type": "AWS::Lambda::Permission", "Properties": permission},
        "Rule": {"Type": "AWS::Events::Rule", "Properties": rule},
    }
    loaded, remarks = imported(tmp_path, cloudformation(None, resources))
    assert sources(loaded) == [("", "eventbridge")]
    told = "Rule: events.amazonaws.com may not call the alias live, only the function itself or a version: Lambda refuses all"
    assert any(remark.startswith(told) for remark in remarks) == (qualifier.get("Qualifier") != "live")


@pytest.mark.parametrize(("reserved", "rate"), [(None, 10), (100, 10), (2, 0.2), (0, 10)])
def test_the_guessed_rate_fits_the_reserved_concurrency(reserved: int | None, rate: float, tmp_path: Path) -> None:
    function = {} if reserved is None else {"ReservedConcurrentExecutions": reserved}
    loaded, _ = imported(tmp_path, sam(**function))
    guessed = loaded.traffic[0].arrivals.poisson
    assert guessed is not None
    assert guessed == pytest.approx(rate, rel=0.9)
    assert guessed <= 10


def test_the_guessed_duration_fits_the_timeout(tmp_path: Path) -> None:
    loaded, _ = imported(tmp_path, sam(Timeout=1))
    assert loaded.function.versions["1"].duration.mean < 0.2
    assert "p99: 500 ms" in (tmp_path / "scenario.yaml").read_text()


def test_snap_start_is_a_restore(tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, sam(SnapStart={"ApplyOn": "PublishedVersions"}, MemorySize=512))
    cold = loaded.function.versions["1"].cold_start
    assert cold is not None
    assert cold.mean == pytest.approx(0.2)
    assert any(remark.startswith("SnapStart: a cold start is a restore") for remark in remarks)
    loaded, remarks = imported(tmp_path, sam(SnapStart={"ApplyOn": "None"}))
    assert not any("SnapStart" in remark for remark in remarks)


# --- all at once ------------------------------------------------------------------------------------------------------


def test_every_function_into_a_file_of_its_own(tmp_path: Path) -> None:
    given = sam()
    given["Resources"] |= cloudformation()["Resources"] | {"Orders": given["Resources"]["Orders"]}
    broken = sam({"Type": "Canary11Percent"})["Resources"]["Orders"]
    given["Resources"]["Broken"] = broken
    path = tmp_path / "template.json"
    path.write_text(json.dumps(given))
    results = every(stack_of(path))
    assert [(one.identity, one.file, one.text is not None) for one in results] == [
        ("Orders", "orders.yaml", True), ("OrdersLive", "orderslive.yaml", True), ("Broken", "broken.yaml", False),
    ]  # fmt: skip
    shown = CliRunner().invoke(app, ["import", "sam", str(path), "--all", "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["orders.yaml", "orderslive.yaml"]
    for file in (tmp_path / "out").iterdir():
        Scenario.load(file)
    assert "Canary11Percent" in shown.stderr
    for part in ("Orders", "orderslive.yaml", "Linear10PercentEvery1Minute", "not imported"):
        assert part in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--all"], "--out DIR"),
        (["--all", "--out", "x", "--function", "Orders"], "exclude each other"),
        (["--out", "."], "is a folder"),
    ],
)
def test_options_that_do_not_fit_together(arguments: list[str], what: str, tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(sam()))
    shown = CliRunner().invoke(app, ["import", "sam", str(path), *arguments])
    assert shown.exit_code == 2
    assert what in shown.output


# --- random templates of known parts ----------------------------------------------------------------------------------

EVENTS: dict[str, tuple[dict[str, Any], str, float | None]] = {
    "Web": ({"Type": "HttpApi", "Properties": {}}, "http", None),
    "Api": ({"Type": "Api", "Properties": {}}, "http", None),
    "Queue": ({"Type": "SQS", "Properties": {"Queue": {"Fn::ImportValue": "q"}}}, "queue", None),
    "Bucket": ({"Type": "S3", "Properties": {}}, "s3", None),
    "Often": ({"Type": "Schedule", "Properties": {"Schedule": "rate(3 minutes)"}}, "schedule", 180.0),
    "Daily": ({"Type": "ScheduleV2", "Properties": {"ScheduleExpression": "cron(0 4 * * ? *)"}}, "schedule", None),
}
CALLERS: dict[str, tuple[dict[str, Any], str]] = {
    "Flow": (
        {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionSubstitutions": {"A": "the alias"}}},
        "http",
    ),
    "Filter": ({"Type": "AWS::Logs::SubscriptionFilter", "Properties": {"DestinationArn": "the alias"}}, "data"),
    "Way": ({"Type": "AWS::Pipes::Pipe", "Properties": {"Source": "q", "Target": "the alias"}}, "data"),
}
SHIFTS: dict[str, list[tuple[float, float]]] = {
    "AllAtOnce": [(1.0, 0.0)],
    "Canary10Percent15Minutes": [(0.1, 900.0), (1.0, 0.0)],
    "Linear10PercentEvery3Minutes": [*((k / 10, 180.0) for k in range(1, 10)), (1.0, 0.0)],
    "own": [(0.3, 240.0), (0.6, 240.0), (0.9, 240.0), (1.0, 0.0)],
}
OWN = {"Type": "TimeBasedLinear", "TimeBasedLinear": {"LinearPercentage": 30, "LinearInterval": 4}}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shift=st.sampled_from(list(SHIFTS)),
    alias=st.sampled_from(["live", "prod", "x-1"]),
    timeout=st.integers(1, 900),
    reserved=st.none() | st.integers(8, 500),
    named=st.booleans(),
    events=st.lists(st.sampled_from(list(EVENTS)), unique=True, max_size=4),
    plain=st.booleans(),
    callers=st.lists(st.sampled_from(list(CALLERS)), unique=True, max_size=3),
    provisioned=st.integers(0, 4),
)
def test_a_template_of_known_parts_imports_to_what_it_was_made_of(
    shift: str,
    alias: str,
    timeout: int,
    reserved: int | None,
    named: bool,
    events: list[str],
    plain: bool,
    callers: list[str],
    provisioned: int,
    tmp_path: Path,
) -> None:
    config = {"ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": provisioned}} if provisioned else {}
    function: dict[str, Any] = {"Timeout": timeout} | ({"FunctionName": "orders-prod"} if named else {})
    function |= {} if reserved is None else {"ReservedConcurrentExecutions": reserved}
    resources: dict[str, Any] = {}
    if shift == "own":
        resources["Own"] = {"Type": "AWS::CodeDeploy::DeploymentConfig", "Properties": {"TrafficRoutingConfig": OWN}}
    watch = json.loads(json.dumps(ERRORS).replace(":live", f":{alias}"))
    resources["Watch"] = watch
    for caller in callers:
        reference = json.dumps({"Ref": "OrdersLive" if plain else "Orders.Alias"})
        resources[caller] = json.loads(json.dumps(CALLERS[caller][0]).replace('"the alias"', reference))
    kind: Any = {"Ref": "Own"} if shift == "own" else shift
    if plain:
        alarms = {"Enabled": True, "Alarms": [{"Name": {"Ref": "Watch"}}]}
        name = kind if shift == "own" else f"CodeDeployDefault.Lambda{kind}"
        given_ = cloudformation({"DeploymentConfigName": name, "AlarmConfiguration": alarms}, resources, **function)
        given_["Resources"]["OrdersLive"]["Properties"] |= {"Name": alias, **config}
    else:
        preference = {"Type": kind, "Alarms": [{"Ref": "Watch"}]}
        chosen = {name: EVENTS[name][0] for name in events}
        given_ = sam(preference, chosen, resources=resources, AutoPublishAlias=alias, **function, **config)
    loaded, remarks = imported(tmp_path, given_)
    assert not any("left out" in remark or "cannot be read" in remark for remark in remarks)
    assert (loaded.function.timeout, loaded.function.reserved_concurrency) == (timeout, reserved)
    assert loaded.function.name == ("orders-prod" if named else "Orders")
    (strategy,) = loaded.strategies.values()
    assert [(round(step.weight, 9), step.hold) for step in strategy.plan.steps] == SHIFTS[shift]
    assert loaded.rollout is not None
    assert (loaded.rollout.alias, loaded.rollout.alarms) == (alias, ("watch",))
    expected = [EVENTS[name][1:] for name in (() if plain else events)]
    expected += [(CALLERS[name][1], None) for name in callers]
    expected = expected or [("http", None)]
    assert loaded.function.versions["2"].provisioned == provisioned
    assert strategy.plan.allocation == (90.0 if provisioned else 0.0)
    assert [(source.source, source.arrivals.fixed) for source in loaded.traffic] == expected
    assert {source.alias for source in loaded.traffic} == {alias}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ({}, ["30/min"]),
        ({"Api": {"Type": "HttpApi"}}, ["30/min"]),
        ({"Api": {"Type": "HttpApi"}, "Topic": {"Type": "SNS", "Properties": {"Topic": "t"}}}, ["15/min", "15/min"]),
        ({"Api": {"Type": "Api", "Properties": {"Path": "/", "Method": "get"}},
          "Beat": {"Type": "Schedule", "Properties": {"Schedule": "rate(5 minutes)"}}}, ["30/min", None]),
    ],
)  # fmt: skip
def test_a_rate_is_shared_by_the_sources_that_have_none(
    events: dict[str, Any], expected: list[str | None], tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    function = {"AutoPublishAlias": "live", "DeploymentPreference": {"Type": "AllAtOnce"}, "Events": events}
    resources = {"Orders": {"Type": "AWS::Serverless::Function", "Properties": function}}
    path.write_text(json.dumps({"Resources": resources}))
    deployed = stack_of(path, rate=0.5).read("Orders")
    traffic = deployed.scenario(path).dump()["traffic"]
    assert [source["arrivals"].get("poisson") for source in traffic] == expected
    assert "As given: 30/min in all" in deployed.written(path)


# --- who calls, by the resources of other services --------------------------------------------------------------------

ORDERS = {"Type": "AWS::Serverless::Function", "Properties": {"AutoPublishAlias": "live"}}
OF_ALIAS = {"Ref": "Orders.Alias"}
OF_FUNCTION = {"Fn::GetAtt": ["Orders", "Arn"]}
IN_TEXT = {"Fn::Sub": '{"States": {"a": {"Type": "Task", "Resource": "${Orders.Arn}:live", "End": true}}}'}
URI = {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Orders.Alias}/invocations"}
CALLING: list[tuple[str, dict[str, Any], str]] = [
    ("AWS::StepFunctions::StateMachine", {"DefinitionString": IN_TEXT}, "http"),
    ("AWS::StepFunctions::StateMachine", {"DefinitionSubstitutions": {"Arn": OF_ALIAS}, "DefinitionUri": "x"}, "http"),
    ("AWS::Serverless::StateMachine", {"Definition": {"States": {"a": {"Parameters": {"FunctionName": OF_ALIAS}}}}}, "http"),
    ("AWS::AppSync::DataSource", {"LambdaConfig": {"LambdaFunctionArn": OF_ALIAS}}, "http"),
    ("AWS::ApiGateway::Method", {"Integration": {"Uri": URI}}, "http"),
    ("AWS::ApiGatewayV2::Integration", {"IntegrationUri": URI}, "http"),
    ("AWS::ElasticLoadBalancingV2::TargetGroup", {"Targets": [{"Id": OF_ALIAS}]}, "http"),
    ("AWS::Cognito::UserPool", {"LambdaConfig": {"PreSignUp": OF_ALIAS}}, "http"),
    ("AWS::Pipes::Pipe", {"Source": "q", "Target": OF_ALIAS}, "data"),
    ("AWS::S3::Bucket", {"NotificationConfiguration": {"LambdaConfigurations": [{"Event": "x", "Function": OF_ALIAS}]}}, "s3"),
    ("AWS::Logs::SubscriptionFilter", {"DestinationArn": OF_ALIAS}, "data"),
    ("AWS::SNS::Topic", {"Subscription": [{"Protocol": "lambda", "Endpoint": OF_ALIAS}]}, "sns"),
    ("AWS::ApiGateway::Authorizer", {"AuthorizerUri": URI}, "http"),
    ("AWS::Serverless::Api", {"Auth": {"Authorizers": {"Own": {"FunctionArn": OF_ALIAS}}}}, "http"),
    ("AWS::KinesisFirehose::DeliveryStream", {"ExtendedS3DestinationConfiguration": {"ProcessingConfiguration": {"Processors": [
        {"Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": OF_ALIAS}]}]}}}, "http"),
    ("AWS::IoT::TopicRule", {"TopicRulePayload": {"Actions": [{"Lambda": {"FunctionArn": OF_ALIAS}}]}}, "data"),
]  # fmt: skip


def calling(resources: dict[str, Any], tmp_path: Path) -> Any:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"Resources": {"Orders": ORDERS, **resources}}))
    return stack_of(path).read("Orders")


@pytest.mark.parametrize(("kind", "properties", "source"), CALLING)
def test_each_service_that_names_the_alias_is_a_source(
    kind: str, properties: dict[str, Any], source: str, tmp_path: Path
) -> None:
    deployed = calling({"Caller": {"Type": kind, "Properties": properties}}, tmp_path)
    assert [event.kind for event in deployed.events] == [source]
    assert not any("us-east-1" in remark for remark in deployed.remarks)
    past = json.loads(json.dumps(properties).replace('"Orders.Alias"', '"Orders"').replace("Arn}:live", "Arn}").replace(
        "${Orders.Alias}", "${Orders.Arn}"))  # fmt: skip
    deployed = calling({"Caller": {"Type": kind, "Properties": past}}, tmp_path)
    assert ([event.kind for event in deployed.events], [event.kind for event in deployed.past]) == ([], [source])
    assert any("and not the alias live" in remark for remark in deployed.remarks)


def test_the_methods_of_an_api_and_its_permission_are_one_source(tmp_path: Path) -> None:
    method = {"Type": "AWS::ApiGateway::Method", "Properties": {"Integration": {"Uri": URI}}}
    permission = {
        "Type": "AWS::Lambda::Permission", "Properties": {"FunctionName": OF_ALIAS, "Principal": "apigateway.amazonaws.com"},
    }  # fmt: skip
    other = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "orders"}}
    deployed = calling({"Get": method, "Post": method, "May": permission, "Bucket": other}, tmp_path)
    assert [event.name for event in deployed.events] == ["apigateway"]


def test_a_permission_alone_is_no_traffic_beside_events(tmp_path: Path) -> None:
    """Who may call past the alias is said; that half of all calls does is nothing that a permission tells."""
    may = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {"FunctionName": OF_FUNCTION, "Principal": "events.amazonaws.com"},
    }
    mapping = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": OF_ALIAS}}
    for others, past in (({}, ["events"]), ({"Queue": mapping}, [])):
        deployed = calling({"May": may, **others}, tmp_path)
        assert [event.name for event in deployed.past] == past
        assert any(remark.startswith("events: this service, by its permission, calls") for remark in deployed.remarks)


def test_the_alias_that_sam_makes_is_an_arn(tmp_path: Path) -> None:
    """`!Ref OrdersAliaslive` calls the alias, and is no dimension of its metrics."""
    mapping = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"FunctionName": {"Ref": "OrdersAliaslive"}}}
    assert [event.name for event in calling({"Queue": mapping}, tmp_path).events] == ["Queue"]


CALL = {
    "service": "CodeDeploy", "action": "createDeploymentConfig",
    "parameters": {
        "deploymentConfigName": "c", "computePlatform": "Lambda",
        "trafficRoutingConfig": {"type": "TimeBasedLinear", "timeBasedLinear": {"linearInterval": "3", "linearPercentage": "20"}},
    },
}  # fmt: skip


def test_cdks_call_for_a_configuration_of_its_own_is_read(tmp_path: Path) -> None:
    function = {**ORDERS["Properties"], "DeploymentPreference": {"Type": {"Ref": "Config1A2B3C4D"}}}
    custom = {"Type": "Custom::AWS", "Properties": {"ServiceToken": "t", "Create": json.dumps(CALL)}}
    deployed = calling({"Orders": {**ORDERS, "Properties": function}, "Config1A2B3C4D": custom}, tmp_path)
    assert deployed.strategy == {"type": "TimeBasedLinear", "LinearInterval": 3, "LinearPercentage": 20}


def test_an_event_of_a_type_that_is_not_known_is_a_guess(tmp_path: Path) -> None:
    events = {
        "Odd": {"Type": "Strange"},
        "Topic": {"Type": "SNS", "Properties": {"Topic": "t", "SqsSubscription": True}},
    }
    function = {**ORDERS["Properties"], "Events": events}
    deployed = calling({"Orders": {**ORDERS, "Properties": function}}, tmp_path)
    assert [event.kind for event in deployed.events] == ["data", "sns"]
    assert "the event Odd: what a Strange is, is not known: asynchronous is a GUESS" in deployed.remarks
    assert (
        "Topic comes through a queue (SqsSubscription), which is not read; here it is asynchronous" in deployed.remarks
    )


@pytest.mark.parametrize(
    ("reserved", "provisioned", "expected"), [(10, 8, (8, 2)), (10, 5, (5, 5)), (4, 9, (4, 0)), (None, 700, (700, 300))]
)
def test_what_is_provisioned_twice_fits_into_the_concurrency(
    reserved: int | None, provisioned: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    limits = {"ReservedConcurrentExecutions": reserved} if reserved else {}
    config = {"ProvisionedConcurrentExecutions": provisioned}
    properties = {**ORDERS["Properties"], **limits, "ProvisionedConcurrencyConfig": config}
    deployed = calling({"Orders": {**ORDERS, "Properties": properties}}, tmp_path)
    versions = deployed.scenario(tmp_path).function.versions
    assert (versions["1"].provisioned, versions["2"].provisioned) == expected
    assert any("do not fit into the concurrency" in remark for remark in deployed.remarks) == (
        expected[1] < provisioned
    )


@pytest.mark.parametrize(
    ("resource", "dimension", "count"),
    [
        ({"Fn::Sub": "function:${Orders}:live"}, "lambda:function:ProvisionedConcurrency", 20),
        ({"Fn::Join": [":", ["function", {"Ref": "Orders"}, "live"]]}, "lambda:function:ProvisionedConcurrency", 20),
        ({"Fn::Sub": "function:${Orders}:other"}, "lambda:function:ProvisionedConcurrency", 5),
        ({"Fn::Sub": "function:${Orders}:live"}, "dynamodb:table:ReadCapacityUnits", 5),
    ],
)
def test_provisioned_concurrency_that_scales_has_its_least(
    resource: Any, dimension: str, count: int, tmp_path: Path
) -> None:
    scaled = {"MinCapacity": 20, "MaxCapacity": 90, "ResourceId": resource, "ScalableDimension": dimension}
    target = {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": scaled}
    given = sam(None, None, {"Target": target}, ProvisionedConcurrencyConfig={"ProvisionedConcurrentExecutions": 5})
    loaded, remarks = imported(tmp_path, given)
    assert [version.provisioned for version in loaded.function.versions.values()] == [count, count]
    scaled["MaxCapacity"] = {"Fn::ImportValue": "most"}
    if count == 20:
        what = "Target: provisioned concurrency scales from 20 to ? environments; here it is always 20"
        assert what in imported(tmp_path, given)[1]
    what = "Target: provisioned concurrency scales from 20 to 90 environments; here it is always 20"
    assert (what in remarks) is (count == 20)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Team.Canary25Percent7Minutes", ("TimeBasedCanary", 25, 7)),
        ("team-linear-20-percent-every-3-minutes", None),
        ("TeamLinear20PercentEvery3Minutes", ("TimeBasedLinear", 20, 3)),
        ("CodeDeployDefault.LambdaCanary25Percent7Minutes", None),
        ("CodeDeployDefault.ECSCanary10Percent5Minutes", None),
        ("Slow", None),
    ],
)
def test_a_configuration_of_another_stack_by_its_name(
    name: str, shape: tuple[str, int, int] | None, tmp_path: Path
) -> None:
    given = sam({"Type": name})
    if shape is None:
        with pytest.raises(ScenarioError, match="is not known; allowed Canary10Percent5Minutes"):
            imported(tmp_path, given)
        return
    loaded, remarks = imported(tmp_path, given)
    (strategy,) = loaded.dump()["strategies"].values()
    assert tuple(strategy.values())[:3] == shape
    what = f"the deployment configuration {name} is not in the template: what it does is a GUESS by its name"
    assert f"DeploymentPreference.Type: {what}" in remarks


def test_a_function_whose_condition_is_not_known_is_read(tmp_path: Path) -> None:
    given = sam() | {
        "Parameters": {"Stage": {"Type": "String"}},
        "Conditions": {"Deployed": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}},
    }
    given["Resources"]["Orders"]["Condition"] = "Deployed"
    _, remarks = imported(tmp_path, given)
    what = "whether it is deployed at all is not known, for its condition Deployed is not: the parameter Stage has no default"
    assert any(remark.startswith(f"Orders: {what}") for remark in remarks)


def test_a_preference_that_is_switched_off_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError, match="the DeploymentPreference of Orders is not enabled, so nothing is rolled out"
    ):
        imported(tmp_path, sam({"Type": "AllAtOnce", "Enabled": False}))


LOOPED = """
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters:
  Functions: {Type: CommaDelimitedList, Default: "Orders,Bills"}
Globals: {Function: {Timeout: 9}}
Resources:
  Fn::ForEach::Functions:
    - Name
    - !Ref Functions
    - ${Name}:
        Type: AWS::Serverless::Function
        Properties:
          Handler: !Sub "${Name}.handler"
          AutoPublishAlias: live
          DeploymentPreference: {Type: Canary10Percent5Minutes, Alarms: [!Ref "{0}ErrorsAlarm", !Ref "{0}ThrottlesAlarm"]}
      Fn::ForEach::Alarms:
        - Metric
        - [Errors, Throttles]
        - "${Name}${Metric}Alarm":
            Type: AWS::CloudWatch::Alarm
            Properties:
              Namespace: AWS/Lambda
              MetricName: !Ref Metric
              Dimensions: [{Name: FunctionName, Value: !Ref "${Name}"}]
              Statistic: Sum
              Period: 60
              EvaluationPeriods: 2
              Threshold: 3
              ComparisonOperator: GreaterThanThreshold
  Fn::Transform: {Name: AWS::Include, Parameters: {Location: "s3://shared/alarms.yaml"}}
  Fn::ForEach::Later: [Part, !ImportValue parts, {"${Part}": {Type: "AWS::SNS::Topic"}}]
""".replace("{0}", "${Name}")


def test_a_loop_is_written_out(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(LOOPED)
    for parameters, names in ({}, ["Orders", "Bills"]), ({"Functions": "Carts"}, ["Carts"]):
        stack = stack_of(path, parameters)
        assert list(stack.rollouts) == names
        for name in names:
            deployed = stack.read(name)
            assert (deployed.timeout, deployed.line) == (9, 7)
            assert {alarm["metric"]: alarm["threshold"] for alarm in deployed.alarms.values()} == {
                "errors": "> 3", "throttles": "> 3",
            }  # fmt: skip
            what = "left out: Fn::ForEach::Later: what it expands to is not read: Fn::ImportValue of parts is not known"
            assert any(remark.startswith(what) for remark in deployed.remarks)
            assert "left out: Fn::Transform: what it expands to is not read" in deployed.remarks


def test_a_bomb_of_loops_is_left_out(tmp_path: Path) -> None:
    given: dict[str, Any] = {"Topic${L0}x${L1}x${L2}x${L3}x${L4}": {"Type": "AWS::SNS::Topic"}}
    values = [str(k) for k in range(100)]
    for k in range(5):
        given = {f"Fn::ForEach::Loop{k}": [f"L{k}", values, given]}
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"Resources": {**sam()["Resources"], **given}}))
    remarks = stack_of(path).read("Orders").remarks
    assert any("what it expands to is not read: it takes more than 2000 turns" in remark for remark in remarks)


def test_of_a_condition_that_is_not_known_the_alternative_with_alarms_is_taken(tmp_path: Path) -> None:
    alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": {
        "Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": [{"Name": "FunctionName", "Value": {"Ref": "Orders"}}],
        "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold",
    }}  # fmt: skip
    nothing, slowly = {"Ref": "AWS::NoValue"}, "Canary10Percent5Minutes"
    watched = {"Type": slowly, "Alarms": [{"Ref": "Watch"}]}

    def chosen(one: Any, other: Any) -> dict[str, Any]:
        return {"Fn::If": ["Canary", one, other]}

    for name, preference, strategy in (
        ("Alarms", watched | {"Alarms": chosen([{"Ref": "Watch"}], nothing)}, slowly),
        ("Alarms", watched | {"Alarms": chosen(nothing, [{"Ref": "Watch"}])}, slowly),
        ("Alarms", watched | {"Alarms": [chosen({"Ref": "Watch"}, nothing)]}, slowly),
        ("Alarms", {"Type": chosen("AllAtOnce", slowly), "Alarms": chosen(nothing, [{"Ref": "Watch"}])}, slowly),
        # one condition is not both true and false
        ("Alarms", {"Type": chosen("AllAtOnce", slowly), "Alarms": chosen([{"Ref": "Watch"}], nothing)}, "AllAtOnce"),
        ("Type", watched | {"Type": chosen(nothing, slowly)}, slowly),
        ("Type", watched | {"Type": chosen({"Ref": "Stage"}, slowly)}, slowly),
        ("", chosen({"Type": "AllAtOnce", "Enabled": True}, watched), slowly),
        ("", chosen(watched, nothing), slowly),
    ):
        given = sam(preference, None, {"Watch": alarm}) | {
            "Parameters": {"Stage": {"Type": "String"}},
            "Conditions": {"Canary": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}},
        }
        loaded, remarks = imported(tmp_path, given)
        assert (list(loaded.alarms), list(loaded.strategies)) == (["watch"], [strategy]), preference
        what = "the parameter Stage has no default; give it with --parameter Stage=VALUE; the condition Canary was taken as"
        where = f"DeploymentPreference.{name}".removesuffix(".")
        assert [
            remark.partition(" Canary was taken as")[0] for remark in remarks if "Canary was taken as" in remark
        ] == [f"{where}: {what}".removesuffix(" Canary was taken as")]


def test_the_alarms_of_a_group_decide_before_its_shift(tmp_path: Path) -> None:
    watched = {"Enabled": True, "Alarms": [{"Name": {"Ref": "Watch"}}]}
    alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": {
        "Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": [{"Name": "FunctionName", "Value": {"Ref": "Orders"}}],
        "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold",
    }}  # fmt: skip
    shift = {"Fn::If": ["Prod", "CodeDeployDefault.LambdaAllAtOnce", "CodeDeployDefault.LambdaCanary10Percent5Minutes"]}
    group = {
        "DeploymentConfigName": shift,
        "AlarmConfiguration": {"Fn::If": ["Prod", watched, {"Ref": "AWS::NoValue"}]},
    }
    given = cloudformation(group, {"Watch": alarm}) | {
        "Parameters": {"Stage": {"Type": "String"}},
        "Conditions": {"Prod": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}},
    }
    loaded, _ = imported(tmp_path, given)
    assert (list(loaded.alarms), list(loaded.strategies)) == (["watch"], ["AllAtOnce"])


def test_a_condition_that_something_else_asked_first_is_said(tmp_path: Path) -> None:
    kind = {"Fn::If": ["Canary", "Canary10Percent5Minutes", "AllAtOnce"]}
    auth = {"Authorizers": {"Own": {"FunctionArn": {"Fn::If": ["Canary", "a", "b"]}}}}
    web = {"Type": "AWS::Serverless::Api", "Properties": {"StageName": "v1", "Auth": auth}}
    given = sam({"Type": kind}, None, {"Web": web}) | {"Conditions": {"Canary": {"Fn::Equals": ["a", "a"]}}}
    assert "the condition Canary was taken as true" in imported(tmp_path, given)[1]


def test_loops_make_conditions_and_nothing_twice(tmp_path: Path) -> None:
    kind = {"Fn::If": ["Is1", "Canary10Percent5Minutes", "AllAtOnce"]}
    queue = {"Type": "AWS::SQS::Queue"}
    given = sam({"Type": kind}, None, {
        "Jobs": queue, "Fn::ForEach::Same": ["N", ["a"], {"Jobs": {"Type": "AWS::SNS::Topic"}}],
        "Fn::ForEach::Twice": ["N", ["a", "b"], {"More": queue}],
    }) | {"Conditions": {"Fn::ForEach::Ones": ["N", ["1"], {"Is${N}": {"Fn::Equals": ["1", {"Ref": "N"}]}}]}}  # fmt: skip
    loaded, remarks = imported(tmp_path, given)
    assert list(loaded.strategies) == ["Canary10Percent5Minutes"]
    assert "left out: Fn::ForEach::Same: Jobs would be there twice, which CloudFormation refuses" in remarks
    assert "left out: Fn::ForEach::Twice: what it expands to is not read: More would be there twice" in remarks


def test_two_functions_may_share_a_deployment_group(tmp_path: Path) -> None:
    given = cloudformation()
    twin = json.loads(json.dumps(given["Resources"]).replace("Orders", "Bills"))
    given["Resources"] |= {name: twin[name] for name in ("Bills", "BillsVersion", "BillsLive")}
    path = tmp_path / "template.json"
    path.write_text(json.dumps(given))
    read = every(stack_of(path))
    assert [one.identity for one in read] == ["Orders", "Bills"]
    assert all(one.deployed is not None and one.deployed.shift == "Linear10PercentEvery1Minute" for one in read)


def test_numbers_that_lambda_refuses_are_said(tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, sam(Timeout=-5, ReservedConcurrentExecutions=-1))
    assert (loaded.function.timeout, loaded.function.reserved_concurrency) == (3, None)
    assert "Timeout: cannot be read, got -5; 3 is the default" in remarks
    assert "ReservedConcurrentExecutions: cannot be read, got -1" in remarks
