"""Event source mappings of templates, as sources that are polled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import scenario
from stacks import cloudformation, imported, sam

from rollout_sim.formats.cloudformation import export_cloudformation, export_sam
from rollout_sim.formats.templates.events import sources
from rollout_sim.formats.templates.sam import from_sam
from rollout_sim.formats.templates.terraform import read_terraform
from rollout_sim.scenario.scenario import Scenario

QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {
    "VisibilityTimeout": 90, "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 4},
    "MessageRetentionPeriod": 86400,
}}  # fmt: skip
DEAD = {"Type": "AWS::SQS::Queue"}
STREAM = {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": 3}}
OF_QUEUE = {
    "BatchSize": 20, "MaximumBatchingWindowInSeconds": 2, "FunctionResponseTypes": ["ReportBatchItemFailures"],
    "ScalingConfig": {"MaximumConcurrency": 7},
}  # fmt: skip
OF_STREAM = {
    "StartingPosition": "LATEST", "BatchSize": 50, "ParallelizationFactor": 2, "BisectBatchOnFunctionError": True,
    "MaximumRetryAttempts": 5, "MaximumRecordAgeInSeconds": 3600, "DestinationConfig": {"OnFailure": {"Destination": "arn:x"}},
}  # fmt: skip
READ_QUEUE = {
    "source": "queue", "batch": {"size": 20, "window": "2 s", "partial_failures": True}, "visibility_timeout": "90 s",
    "max_receives": 4, "retention": "1 d", "concurrency": {"maximum": 7},
}  # fmt: skip
READ_STREAM = {
    "source": "stream", "batch": {"size": 50, "parallelization": 2, "bisect": True}, "shards": 3,
    "retries": {"attempts": 5, "max_age": "1 h", "destination": True},
}  # fmt: skip


def traffic(tmp_path: Path, given: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The sources without alias, arrivals and name, and the remarks."""
    loaded, remarks = imported(tmp_path, given)
    dumped = loaded.dump()["traffic"]
    return [{k: v for k, v in source.items() if k not in ("alias", "arrivals", "name")} for source in dumped], remarks


@pytest.mark.parametrize(
    ("kind", "behind", "properties", "read"),
    [
        ("SQS", QUEUE, {"Queue": {"Fn::GetAtt": ["Behind", "Arn"]}, **OF_QUEUE}, READ_QUEUE),
        ("Kinesis", STREAM, {"Stream": {"Fn::GetAtt": ["Behind", "Arn"]}, **OF_STREAM}, READ_STREAM),
    ],
)  # fmt: skip
def test_a_sam_event_and_an_event_source_mapping_say_the_same(
    kind: str, behind: dict[str, Any], properties: dict[str, Any], read: dict[str, Any], tmp_path: Path
) -> None:
    resources = {"Behind": behind, "Dead": DEAD}
    of_event, _ = traffic(tmp_path, sam(None, {"Jobs": {"Type": kind, "Properties": properties}}, resources))
    assert of_event == [read]
    mapping = {name: value for name, value in properties.items() if name not in ("Queue", "Stream")}
    mapping |= {"FunctionName": {"Ref": "OrdersLive"}, "EventSourceArn": {"Fn::GetAtt": ["Behind", "Arn"]}}
    resources["Jobs"] = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping}
    of_mapping, _ = traffic(tmp_path, cloudformation(None, resources))
    assert of_mapping == [read]


def test_what_the_template_does_not_tell_is_a_guess(tmp_path: Path) -> None:
    events = {
        "Jobs": {"Type": "SQS", "Properties": {"Queue": {"Fn::ImportValue": "q"}}},
        "Changes": {"Type": "DynamoDB", "Properties": {"Stream": "arn:aws:dynamodb:eu-west-1:1:table/t/stream/1"}},
    }
    read, remarks = traffic(tmp_path, sam(None, events, Timeout=20))
    assert read == [{"source": "queue", "visibility_timeout": "2 min"}, {"source": "stream", "shards": 1}]
    assert "Jobs: its queue is not in the template; a visibility timeout of six timeouts is a GUESS" in remarks
    assert "Changes: its stream has one shard: a GUESS" in remarks


def test_what_aws_refuses_is_said_and_mended(tmp_path: Path) -> None:
    behind = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 5, "FifoQueue": True}}
    event = {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["Behind", "Arn"]}}}
    read, remarks = traffic(tmp_path, sam(None, {"Jobs": event}, {"Behind": behind}, Timeout=20))
    assert read == [{"source": "queue", "visibility_timeout": "20 s", "fifo": {"groups": 100}}]
    assert any(
        "the visibility timeout of 5 s is less than the function's timeout, which AWS refuses" in r for r in remarks
    )
    assert "Jobs: its FIFO queue has 100 message groups: a GUESS" in remarks


def test_a_redrive_policy_without_a_count_is_said(tmp_path: Path) -> None:
    behind = {"Type": "AWS::SQS::Queue", "Properties": {"RedrivePolicy": {"deadLetterTargetArn": "arn:x"}}}
    event = {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["Behind", "Arn"]}}}
    read, remarks = traffic(tmp_path, sam(None, {"Jobs": event}, {"Behind": behind}))
    assert "max_receives" not in read[0]
    assert any(remark.startswith("Behind.RedrivePolicy: cannot be read") for remark in remarks)


def test_other_mappings_stay_events_without_batches(tmp_path: Path) -> None:
    mapping = {"FunctionName": {"Ref": "OrdersLive"}, "Topics": ["t"], "SelfManagedEventSource": {}}
    given = cloudformation(None, {"Kafka": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping}})
    read, remarks = traffic(tmp_path, given)
    assert read == [{"source": "data"}]
    assert any(remark.startswith("Kafka (an event source mapping) is polled by Lambda") for remark in remarks)
    assert sources([], "live", "10/s", {})[0]["source"] == "http"


SOURCES: dict[str, dict[str, Any]] = {
    "plain": {"source": "queue"},
    "queue": {"source": "queue", "batch": {"size": 500, "window": "20 s", "partial_failures": True}, "visibility_timeout": "11 min",
              "max_receives": 7, "retention": "14 d", "concurrency": {"maximum": 33}},
    "provisioned": {"source": "queue", "provisioned": {"minimum": 3, "maximum": 44}, "retention": "60 s"},
    "fifo": {"source": "queue", "fifo": {"groups": 100}, "max_receives": 2},
    "stream": {"source": "stream", "shards": 12, "retention": "7 d",
               "retries": {"attempts": 0, "max_age": "5 min", "destination": True},
               "batch": {"size": 3, "window": "300 s", "partial_failures": True, "parallelization": 10, "bisect": True}},
    "endless": {"source": "stream", "shards": 1},
}  # fmt: skip
ALARMS = {
    "behind": {"metric": "iterator_age", "threshold": "> 90 s"},
    "stale": {"metric": "oldest_message_age", "threshold": "> 5 min"},
    "many": {"metric": "messages_visible", "threshold": "> 1000"},
    "dead": {"metric": "messages_in_dlq", "threshold": "> 0"},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_comes_back_as_it_was_exported(kind: str, tmp_path: Path) -> None:
    """And CloudFormation's mapping says what SAM's event says."""
    source = SOURCES[kind] | {"alias": "prod", "arrivals": {"poisson": "5/s"}}
    given = scenario(traffic=[source], alarms=None, rollout__alarms=[])
    (tmp_path / "template.yaml").write_text(export_sam(given, "canary").text)
    written, _ = from_sam(tmp_path / "template.yaml")
    (tmp_path / "s.yaml").write_text(written)
    (again,) = Scenario.load(tmp_path / "s.yaml").traffic
    (first,) = given.traffic
    assert again.mapping == first.mapping
    mapping, behind = (
        {name: resource["Properties"] for name, resource in yaml.load(text, yaml.BaseLoader)["Resources"].items()
         if resource["Type"].startswith(("AWS::SQS", "AWS::Kin", "AWS::Lambda::Ev")) and "Properties" in resource}
        for text in (export_cloudformation(given, "canary").text, export_sam(given, "canary").text)
    )  # fmt: skip
    own = next(mapping.pop(name) for name in list(mapping) if name not in behind)
    assert mapping == behind
    assert own.pop("FunctionName").endswith(":prod")
    (event,) = yaml.load(export_sam(given, "canary").text, yaml.BaseLoader)["Resources"]["F"]["Properties"][
        "Events"
    ].values()
    assert sorted(map(str, own.values())) == sorted(map(str, event["Properties"].values()))


def test_alarms_of_queues_and_streams_come_back_as_they_were_exported(tmp_path: Path) -> None:
    traffic = [SOURCES[kind] | {"alias": "prod", "arrivals": {"poisson": "5/s"}} for kind in ("queue", "stream")]
    given = scenario(traffic=traffic, alarms=ALARMS, rollout__alarms=list(ALARMS))
    (tmp_path / "template.yaml").write_text(export_sam(given, "canary").text)
    written, remarks = from_sam(tmp_path / "template.yaml")
    (tmp_path / "s.yaml").write_text(written)
    again = Scenario.load(tmp_path / "s.yaml")
    assert [remark for remark in remarks if remark.startswith("left out")] == []
    assert {name: (alarm.metric, alarm.statistic, alarm.limit) for name, alarm in again.alarms.items()} == {
        name: (alarm.metric, alarm.statistic, alarm.limit) for name, alarm in given.alarms.items()
    }
    assert again.rollout is not None
    assert set(again.rollout.alarms) == set(ALARMS)


ARN = "arn:aws:lambda:eu-west-1:1:function:orders"
SQS = "arn:aws:sqs:eu-west-1:1:"


def of_queue(metric: str, queue: str, name: str) -> tuple[str, str, dict[str, Any]]:
    return ("aws_cloudwatch_metric_alarm", name, {
        "alarm_name": name, "namespace": "AWS/SQS", "metric_name": metric, "statistic": "Maximum", "period": 60,
        "evaluation_periods": 1, "threshold": 120, "comparison_operator": "GreaterThanThreshold",
        "dimensions": {"QueueName": queue},
    })  # fmt: skip


def test_a_terraform_state_says_all_of_it_too(tmp_path: Path) -> None:
    """The queue by its ARN, its redrive policy as a resource of its own, alarms by the queue's name; other queues are not ours."""
    oldest, visible = "ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"
    names = ["stale", "dead", "deadage", "other"]
    every = [
        ("aws_lambda_function", "orders", {"function_name": "orders", "timeout": 20, "arn": ARN}),
        ("aws_lambda_alias", "live", {"name": "live", "function_name": ARN, "arn": f"{ARN}:live"}),
        ("aws_sqs_queue", "q", {"arn": f"{SQS}jobs", "name": "jobs", "url": "https://sqs/1/jobs", "visibility_timeout_seconds": 130}),
        ("aws_sqs_queue", "dlq", {"arn": f"{SQS}jobs-dlq", "name": "jobs-dlq"}),
        ("aws_sqs_queue_redrive_policy", "q", {
            "queue_url": "https://sqs/1/jobs",
            "redrive_policy": json.dumps({"deadLetterTargetArn": f"{SQS}jobs-dlq", "maxReceiveCount": 6})}),
        ("aws_kinesis_stream", "s", {"arn": "arn:aws:kinesis:eu-west-1:1:stream/s", "name": "s", "retention_period": 48,
                                     "stream_mode_details": [{"stream_mode": "ON_DEMAND"}]}),
        ("aws_lambda_event_source_mapping", "jobs", {
            "function_name": f"{ARN}:live", "event_source_arn": f"{SQS}jobs", "enabled": True, "batch_size": 7,
            "function_response_types": ["ReportBatchItemFailures"], "scaling_config": [{"maximum_concurrency": 9}],
            "filter_criteria": [{"filter": [{"pattern": "{}"}]}]}),
        ("aws_lambda_event_source_mapping", "s", {
            "function_name": f"{ARN}:live", "event_source_arn": "arn:aws:kinesis:eu-west-1:1:stream/s", "parallelization_factor": 3,
            "bisect_batch_on_function_error": True, "maximum_retry_attempts": 2, "maximum_record_age_in_seconds": 120,
            "destination_config": [{"on_failure": [{"destination_arn": "arn:x"}]}], "tumbling_window_in_seconds": 30}),
        ("aws_lambda_event_source_mapping", "off", {
            "function_name": f"{ARN}:live", "event_source_arn": f"{SQS}jobs", "enabled": False}),
        of_queue(oldest, "jobs", "stale"), of_queue(visible, "jobs-dlq", "dead"), of_queue(oldest, "jobs-dlq", "deadage"),
        of_queue(visible, "mails", "other"),
        ("aws_codedeploy_app", "app", {"name": "app", "compute_platform": "Lambda"}),
        ("aws_codedeploy_deployment_group", "group", {
            "app_name": "app", "deployment_config_name": "CodeDeployDefault.LambdaAllAtOnce",
            "alarm_configuration": [{"enabled": True, "alarms": names}]}),
    ]  # fmt: skip
    resources = [
        {"address": f"{kind}.{name}", "mode": "managed", "type": kind, "name": name, "values": values}
        for kind, name, values in every
    ]
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"values": {"root_module": {"resources": resources}}}))
    deployed = read_terraform(path).read("orders")
    queue, stream = (event.fields for event in deployed.events)
    assert queue == {
        "batch": {"size": 7, "partial_failures": True}, "source": "queue", "visibility_timeout": "130 s", "max_receives": 6,
        "concurrency": {"maximum": 9},
    }  # fmt: skip
    assert stream == {
        "source": "stream", "batch": {"parallelization": 3, "bisect": True}, "shards": 4, "retention": "2 d",
        "retries": {"attempts": 2, "max_age": "2 min", "destination": True},
    }  # fmt: skip
    assert {name: (fields["metric"], fields["threshold"]) for name, fields in deployed.alarms.items()} == {
        "stale": ("oldest_message_age", "> 2 min"), "dead": ("messages_in_dlq", "> 120"),
    }  # fmt: skip
    said = " ".join(deployed.remarks)
    for remark in (
        "left out: jobs: FilterCriteria: ", ": TumblingWindowInSeconds: ", "off is switched off",
        "how old messages are in a dead-letter queue is not simulated",
        "it watches the queue mails, which does not feed the alias live",
        "its stream is on demand; the 4 shards of its start are a GUESS",
    ):  # fmt: skip
        assert remark in said, remark
