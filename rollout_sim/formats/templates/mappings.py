"""Mappings: an event source mapping of a template, and the queue or stream behind it, as the fields of a scenario's source."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from rollout_sim.core.units import text
from rollout_sim.formats.templates.intrinsics import Properties, Resolver, as_mapping, as_switch
from rollout_sim.traffic.polling import DAY, LONGEST_VISIBILITY, TIMEOUTS

QUEUES: Final = ("SQS",)
STREAMS: Final = ("Kinesis", "DynamoDB")
"""SAM's names for what scenarios know as a queue and as a stream."""
_TYPES: Final = {"AWS::SQS::Queue": "SQS", "AWS::Kinesis::Stream": "Kinesis", "AWS::DynamoDB::Table": "DynamoDB"}
_NAMED: Final = {"AWS::SQS::Queue": "QueueName", "AWS::Kinesis::Stream": "Name", "AWS::DynamoDB::Table": "TableName"}
_LEFT_OUT: Final = {
    "FilterCriteria": "all records come to the function here; give the rate of those that pass the filter",
    "TumblingWindowInSeconds": "batches of a window are handled each for itself, and its last call, with the result, is none",
}
"""Properties of a mapping that no scenario has, and what that means."""
_SERVICE: Final = re.compile(r"\b(sqs|kinesis|dynamodb)\b|_(sqs|kinesis|dynamodb)_")
_NAMES: Final = {"sqs": "SQS", "kinesis": "Kinesis", "dynamodb": "DynamoDB"}
_GROUPS: Final = 100
ON_DEMAND: Final = 4
"""Shards of a Kinesis stream on demand when it is made."""


def kind_of(resolver: Resolver, source: Any) -> str | None:
    """`SQS`, `Kinesis` or `DynamoDB`, by the resource or the ARN that `source` stands for; None where neither tells."""
    behind = resource_behind(resolver, source)
    if behind is not None:
        return _TYPES[str(resolver.resources[behind]["Type"])]
    service = _SERVICE.search(resolver.text(source))
    return _NAMES[service[1] or service[2]] if service else None


def resource_behind(resolver: Resolver, source: Any) -> str | None:
    """The logical id of the queue, stream or table that `source` (a reference, an ARN, a name) stands for; None elsewhere."""
    target = resolver.text(source)
    last = re.sub(r"^.*:table/([^/]*)/stream/.*$", r"\1", target)
    last = re.split(r"[:/]", last)[-1]
    for identity, resource in resolver.resources.items():
        kind = str(resource.get("Type")) if isinstance(resource, Mapping) else ""
        if kind not in _TYPES:
            continue
        own = Properties(resolver, resource.get("Properties", {}), [])
        names = {identity, own.text(_NAMED[kind]), own.text("Arn")} - {""}
        if target.partition(".")[0] == identity or {target, last, last.strip("⟨⟩").partition(".")[0]} & names:
            return str(identity)
    return None


def source_fields(name: str, kind: str, properties: Properties, source: Any, timeout: float) -> dict[str, Any] | None:
    """The fields of a source that is polled as the mapping's `properties` say, without its alias and its arrivals.

    `kind` is one of `QUEUES` or `STREAMS`, `source` what stands for the queue or stream, `timeout` the function's (s). None where
    the mapping is of another kind. What the template does not tell is said in the remarks, as a guess.
    """
    if kind not in (*QUEUES, *STREAMS):
        return None
    resolver = properties.resolver
    identity = resource_behind(resolver, source)
    given = None if identity is None else resolver.resources[identity].get("Properties", {})
    behind = Properties(resolver, given or {}, properties.remarks, f"{identity}.")
    _leave_out(name, properties)
    batch = _batch(properties)
    if kind in QUEUES:
        return {"source": "queue"} | _of_queue(name, properties, behind, batch, timeout, known=given is not None)
    return {"source": "stream"} | _of_stream(name, kind, properties, behind, batch, known=given is not None)


def same_queue(resolver: Resolver, source: Any, name: str) -> bool:
    """Whether a queue (a reference, an ARN) is the one of this `name`, or reference."""
    behind = resource_behind(resolver, source)
    last = re.split(r"[:/]", resolver.text(source))[-1]
    return resource_behind(resolver, name) == behind if behind is not None else last == name != ""


def dead_letter_queue(resolver: Resolver, source: Any) -> Any:
    """What stands for the dead-letter queue of a queue that is in the template; empty where there is none."""
    behind = resource_behind(resolver, source)
    policy = resolver.resources[behind].get("Properties", {}).get("RedrivePolicy") if behind is not None else None
    try:
        policy = json.loads(policy) if isinstance(policy, str) else policy
    except ValueError:
        return ""
    return policy.get("deadLetterTargetArn", "") if isinstance(policy, Mapping) else ""


def _leave_out(name: str, properties: Properties) -> None:
    """Says which settings of a mapping no scenario has, each with what follows from it."""
    for key, what in _LEFT_OUT.items():
        if properties.has(key):
            properties.remarks.append(f"left out: {name}: {key}: {what}")


def _batch(properties: Properties) -> dict[str, Any]:
    batch: dict[str, Any] = {}
    if (size := properties.take("BatchSize", int, 0)) > 0:
        batch["size"] = size
    if (window := properties.take("MaximumBatchingWindowInSeconds", float, 0.0)) > 0:
        batch["window"] = text(window, "duration")
    if "ReportBatchItemFailures" in map(str, properties.take("FunctionResponseTypes", list, [])):
        batch["partial_failures"] = True
    return batch


def _of_queue(
    name: str, properties: Properties, queue: Properties, batch: dict[str, Any], timeout: float, *, known: bool
) -> dict[str, Any]:
    remarks = properties.remarks
    visible = queue.take("VisibilityTimeout", float, 30.0)
    if not known:
        visible = min(TIMEOUTS * timeout, LONGEST_VISIBILITY)
        remarks.append(f"{name}: its queue is not in the template; a visibility timeout of six timeouts is a GUESS")
    elif visible < timeout:
        remarks.append(
            f"{name}: the visibility timeout of {visible:g} s is less than the function's timeout, which AWS refuses; "
            f"taken as {timeout:g} s"
        )
        visible = timeout
    fields: dict[str, Any] = {"visibility_timeout": text(visible, "duration")}
    named_so = properties.text("EventSourceArn").endswith(".fifo")  # which AWS asks of a FIFO queue's name
    fifo = queue.take("FifoQueue", as_switch, False) or named_so
    if fifo:
        fields["fifo"] = {"groups": _GROUPS}
        remarks.append(f"{name}: its FIFO queue has {_GROUPS} message groups: a GUESS")
        batch.pop("window", None)
    elif batch.get("size", 0) > 10 and "window" not in batch:
        remarks.append(f"{name}: a batch of {batch['size']} messages needs a window, which AWS asks for; taken as 1 s")
        batch["window"] = "1 s"
    if (receives := _redrive(queue)) is not None:
        fields["max_receives"] = receives
    retention = queue.take("MessageRetentionPeriod", float, 4 * DAY)
    if retention != 4 * DAY:
        fields["retention"] = text(retention, "duration")
    maximum = properties.inside("ScalingConfig").take("MaximumConcurrency", int, 0)
    pollers = properties.inside("ProvisionedPollerConfig")
    if pollers.given:
        least = pollers.take("MinimumPollers", int, 2)
        fields["provisioned"] = {"minimum": least, "maximum": max(least, pollers.take("MaximumPollers", int, 200))}
    elif maximum:
        fields["concurrency"] = {"maximum": maximum}
    return ({"batch": batch} if batch else {}) | fields


def _redrive(queue: Properties) -> int | None:
    """How often a message is received before it goes to the dead-letter queue; None without one."""
    if not queue.has("RedrivePolicy"):
        return None

    def receives(value: Any) -> int:
        policy = as_mapping(json.loads(value) if isinstance(value, str) else value)
        return int(policy["maxReceiveCount"])

    given = queue.given["RedrivePolicy"]
    if isinstance(given, Mapping) and "maxReceiveCount" in given:  # the rest may not be known before the deployment
        return int(queue.inside("RedrivePolicy").take("maxReceiveCount", int, 1))
    count: int | None = queue.take("RedrivePolicy", receives, None)
    return count


def _of_stream(
    name: str, kind: str, properties: Properties, stream: Properties, batch: dict[str, Any], *, known: bool
) -> dict[str, Any]:
    on_demand = stream.inside("StreamModeDetails").text("StreamMode") == "ON_DEMAND"
    shards = stream.take("ShardCount", int, 1) if kind == "Kinesis" else 1
    if on_demand:
        shards = ON_DEMAND
        properties.remarks.append(f"{name}: its stream is on demand; the {ON_DEMAND} shards of its start are a GUESS")
    elif kind == "DynamoDB" or not known or not stream.has("ShardCount"):
        properties.remarks.append(f"{name}: its stream has one shard: a GUESS")
    hours = stream.take("RetentionPeriodHours", float, 24.0) if kind == "Kinesis" else 24.0
    kept = {} if hours == 24 else {"retention": text(hours * 3600, "duration")}
    if (parallel := properties.take("ParallelizationFactor", int, 1)) > 1:
        batch["parallelization"] = parallel
    if properties.take("BisectBatchOnFunctionError", as_switch, False):
        batch["bisect"] = True
    retries: dict[str, Any] = {}
    if (attempts := properties.take("MaximumRetryAttempts", int, -1)) >= 0:
        retries["attempts"] = attempts
    if (oldest := properties.take("MaximumRecordAgeInSeconds", float, -1.0)) >= 0:
        retries["max_age"] = text(oldest, "duration")
    if properties.inside("DestinationConfig").has("OnFailure"):
        retries["destination"] = True
    return ({"batch": batch} if batch else {}) | {"shards": shards} | kept | ({"retries": retries} if retries else {})
