"""What is wrong with event source mappings is found in each format, at its line, and mended in its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stacks import cloudformation, sam

from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.formats.rollouts import subjects_of
from rollout_sim.study.check import polling_rules
from rollout_sim.study.check.evidence import Evidence
from rollout_sim.study.check.finding import edited
from rollout_sim.study.check.rule import Match
from rollout_sim.study.check.rules import RULES

CODES = ("RS302", "RS306", "RS307", "RS308", "RS309")
RATE = 6.0
QUEUE = {"VisibilityTimeout": 60, "RedrivePolicy": {"deadLetterTargetArn": "arn:x", "maxReceiveCount": 3}}
ALARM = {
    "Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 2, "Threshold": 2,
    "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching", "AlarmName": "errors",
}  # fmt: skip
AROUND = {
    "Queue": {"Type": "AWS::SQS::Queue", "Properties": QUEUE},
    "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 2}},
    "Past": {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {"FunctionName": {"Ref": "Orders"}, "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]}, "BatchSize": 1},
    },
}  # fmt: skip
OF_QUEUE, OF_STREAM = {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 5}, {"StartingPosition": "LATEST"}


def of_sam() -> Any:
    events = {
        "Jobs": {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["Queue", "Arn"]}, **OF_QUEUE}},
        "Changes": {"Type": "Kinesis", "Properties": {"Stream": {"Fn::GetAtt": ["Stream", "Arn"]}, **OF_STREAM}},
    }
    return sam(
        {"Type": "Canary10Percent5Minutes", "Alarms": [{"Ref": "Errors"}]}, events, Timeout=20,
        resources=AROUND | {"Errors": {"Type": "AWS::CloudWatch::Alarm", "Properties": ALARM}},
    )  # fmt: skip


def of_cloudformation() -> Any:
    resources = dict(AROUND)
    for name, source, own in (("Jobs", "Queue", OF_QUEUE), ("Changes", "Stream", OF_STREAM)):
        target = {"FunctionName": {"Ref": "OrdersLive"}, "EventSourceArn": {"Fn::GetAtt": [source, "Arn"]}}
        resources[name] = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": target | own}
    resources["Errors"] = {"Type": "AWS::CloudWatch::Alarm", "Properties": ALARM}
    return cloudformation({"AlarmConfiguration": {"Enabled": True, "Alarms": [{"Name": {"Ref": "Errors"}}]}}, resources)


def of_terraform() -> Any:
    arn = "arn:aws:lambda:eu-west-1:1:function:orders"
    queue, stream = "arn:aws:sqs:eu-west-1:1:jobs", "arn:aws:kinesis:eu-west-1:1:stream/changes"
    alarm = {
        "namespace": "AWS/Lambda", "metric_name": "Errors", "statistic": "Sum", "period": 60, "evaluation_periods": 2,
        "threshold": 2, "comparison_operator": "GreaterThanThreshold", "treat_missing_data": "notBreaching", "alarm_name": "errors",
    }  # fmt: skip
    every = [
        ("aws_lambda_function", "Orders", {"function_name": "orders", "timeout": 20, "arn": arn}),
        ("aws_lambda_alias", "live", {"name": "live", "function_name": arn, "arn": f"{arn}:live"}),
        ("aws_sqs_queue", "Queue", {"arn": queue, "name": "jobs", "visibility_timeout_seconds": 60,
                                    "redrive_policy": json.dumps(QUEUE["RedrivePolicy"])}),
        ("aws_kinesis_stream", "Stream", {"arn": stream, "name": "changes", "shard_count": 2}),
        ("aws_lambda_event_source_mapping", "Jobs", {"function_name": f"{arn}:live", "event_source_arn": queue, "batch_size": 10,
                                                     "maximum_batching_window_in_seconds": 5}),
        ("aws_lambda_event_source_mapping", "Changes", {"function_name": f"{arn}:live", "event_source_arn": stream}),
        ("aws_lambda_event_source_mapping", "Past", {"function_name": arn, "event_source_arn": queue, "batch_size": 1}),
        ("aws_cloudwatch_metric_alarm", "Errors", alarm),
        ("aws_codedeploy_app", "app", {"name": "app", "compute_platform": "Lambda"}),
        ("aws_codedeploy_deployment_group", "group", {
            "app_name": "app", "deployment_config_name": "CodeDeployDefault.LambdaCanary10Percent5Minutes",
            "alarm_configuration": [{"enabled": True, "alarms": ["errors"]}]}),
    ]  # fmt: skip
    resources = [
        {"address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name, "values": values}
        for kind, name, values in every
    ]
    return {"values": {"root_module": {"resources": resources}}}


def of_scenario() -> Any:
    poisson = {"arrivals": {"poisson": f"{RATE / 3:g}/s"}}
    queue = {"source": "queue", **poisson, "visibility_timeout": "60 s", "max_receives": 3}
    return {
        "name": "orders", "seed": 1, "horizon": "40 min",
        "function": {"name": "orders", "timeout": "20 s", "aliases": {"live": "1"}, "versions": {
            "1": {"duration": "100 ms"}, "2": {"like": "1", "faults": [{"errors": "5%"}]}, "$LATEST": {"like": "1"}}},
        "traffic": [
            {"name": "jobs", "alias": "live", **queue, "batch": {"size": 10, "window": "5 s"}},
            {"name": "changes", "source": "stream", "alias": "live", **poisson, "shards": 2},
            {"name": "past", "function": True, **queue, "batch": {"size": 1}},
        ],
        "alarms": {"errors": {"metric": "errors", "of": "alias", "datapoints": "2 of 2", "threshold": "> 2",
                              "missing": "not_breaching"}},
        "rollout": {"alias": "live", "to": "2", "start": "10 min", "alarms": ["errors"]},
        "strategies": {"canary": {"type": "canary", "percent": 10, "interval": "5 min"}},
    }  # fmt: skip


FORMS: dict[str, Any] = {
    "sam": (of_sam, {
        "RS302": ("Past", "Past: the alias live behind the function's name or ARN"),
        "RS306": ("Jobs", "Jobs: FunctionResponseTypes [ReportBatchItemFailures]"),
        "RS307": ("Jobs", "the queue of Jobs: VisibilityTimeout 125"),
        "RS308": ("Errors", "Errors: instead maximum of IteratorAge"),
        "RS309": ("Changes", "Changes: MaximumRetryAttempts 3; Changes: BisectBatchOnFunctionError true"),
    }),
    "terraform": (of_terraform, {
        "RS302": ("", "aws_lambda_event_source_mapping.Past: the alias live behind the function's name or ARN"),
        "RS306": ("", 'aws_lambda_event_source_mapping.Jobs: function_response_types = ["ReportBatchItemFailures"]'),
        "RS307": ("", "the queue of aws_lambda_event_source_mapping.Jobs: visibility_timeout_seconds = 125"),
        "RS308": ("", "aws_cloudwatch_metric_alarm.Errors: instead maximum of IteratorAge"),
        "RS309": ("", "aws_lambda_event_source_mapping.Changes: maximum_retry_attempts = 3; "),
    }),
    "scenario": (of_scenario, {
        "RS302": ("- name: past", "traffic[2].alias: live; without traffic[2].function"),
        "RS306": ("- name: jobs", "traffic[0].batch.partial_failures: true"),
        "RS307": ("visibility_timeout", "traffic[0].visibility_timeout:"),
        "RS308": ("errors", "alarms.errors: {metric: iterator_age"),
        "RS309": ("- name: changes", "traffic[1].retries: {attempts: 3}; traffic[1].batch: {bisect: true}"),
    }),
}  # fmt: skip
FORMS["cloudformation"] = (of_cloudformation, FORMS["sam"][1])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_each_mistake_with_a_mapping_is_found_once_at_its_line(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling_rules, "LOOKS", 3)
    make, expected = FORMS[form]
    path = tmp_path / ("s.yaml" if form == "scenario" else "t.json")
    path.write_text(to_yaml(make()) if form == "scenario" else json.dumps(make(), indent=1), encoding="utf-8")
    (given,) = subjects_of(path, {}, rate=None if form == "scenario" else RATE)
    evidence = Evidence(given.scenario, given.origin, unread=given.unread)
    lines = path.read_text(encoding="utf-8").splitlines()
    for code in CODES:
        matches: list[Match] = list(RULES[code].look(evidence))
        where, change = expected[code]
        assert len(matches) == (2 if code == "RS307" else 1), code  # both mappings of the queue
        assert matches[0].remedy is not None
        assert matches[0].remedy.text.startswith(change), code
        line = lines[given.origin.place(matches[0].where).line - 1]
        assert where.lower() in line.lower(), (code, line)
        mended = edited(given.scenario, [e for match in matches for e in match.remedy.edits], path)  # type: ignore[union-attr]
        assert not [*RULES[code].look(Evidence(mended, given.origin))], code
