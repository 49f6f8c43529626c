"""Event source mappings of templates, as sources that are polled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stacks import cloudformation, imported, sam

from rollout_sim.formats.templates.events import sources

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


def test_other_mappings_stay_events_without_batches(tmp_path: Path) -> None:
    mapping = {"FunctionName": {"Ref": "OrdersLive"}, "Topics": ["t"], "SelfManagedEventSource": {}}
    given = cloudformation(None, {"Kafka": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping}})
    read, remarks = traffic(tmp_path, given)
    assert read == [{"source": "data"}]
    assert any(remark.startswith("Kafka (an event source mapping) is polled by Lambda") for remark in remarks)
    assert sources([], "live", "10/s", {})[0]["source"] == "http"
