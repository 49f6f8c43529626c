"""Mappings: an event source mapping of a template, and the queue or stream behind it, as the fields of a scenario's source."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from rollout_sim.core.units import text
from rollout_sim.formats.templates.intrinsics import Properties, Resolver, as_mapping, as_switch
from rollout_sim.traffic.polling import DAY

QUEUES: Final = ("SQS",)
STREAMS: Final = ("Kinesis", "DynamoDB")
"""SAM's names for what scenarios know as a queue and as a stream."""
_TYPES: Final = {"AWS::SQS::Queue": "SQS", "AWS::Kinesis::Stream": "Kinesis", "AWS::DynamoDB::Table": "DynamoDB"}
_SERVICE: Final = re.compile(r"\b(sqs|kinesis|dynamodb)\b|_(sqs|kinesis|dynamodb)_")
_NAMES: Final = {"sqs": "SQS", "kinesis": "Kinesis", "dynamodb": "DynamoDB"}
_SIX: Final = 6
"""Timeouts that AWS advises a visibility timeout to be."""
_LONGEST: Final = 43_200.0
_GROUPS: Final = 100


def kind_of(resolver: Resolver, source: Any) -> str | None:
    """`SQS`, `Kinesis` or `DynamoDB`, by the resource or the ARN that `source` stands for; None where neither tells."""
    target = resolver.text(source)
    resource = resolver.resources.get(target.partition(".")[0])
    if isinstance(resource, Mapping) and resource.get("Type") in _TYPES:
        return _TYPES[str(resource["Type"])]
    service = _SERVICE.search(target)
    return _NAMES[service[1] or service[2]] if service else None


def source_fields(name: str, kind: str, properties: Properties, source: Any, timeout: float) -> dict[str, Any] | None:
    """The fields of a source that is polled as the mapping's `properties` say, without its alias and its arrivals.

    `kind` is one of `QUEUES` or `STREAMS`, `source` what stands for the queue or stream, `timeout` the function's (s). None where
    the mapping is of another kind. What the template does not tell is said in the remarks, as a guess.
    """
    if kind not in (*QUEUES, *STREAMS):
        return None
    target = properties.resolver.text(source)
    resource = properties.resolver.resources.get(target.partition(".")[0])
    of_source = isinstance(resource, Mapping) and resource.get("Type") in _TYPES
    given = as_mapping(resource).get("Properties", {}) if of_source else None
    behind = Properties(properties.resolver, given or {}, properties.remarks, f"{target.partition('.')[0]}.")
    batch = _batch(properties)
    if kind in QUEUES:
        return {"source": "queue"} | _of_queue(name, properties, behind, batch, timeout, known=given is not None)
    return {"source": "stream"} | _of_stream(name, kind, properties, behind, batch, known=given is not None)


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
        visible = min(_SIX * timeout, _LONGEST)
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
    shards = stream.take("ShardCount", int, 1) if kind == "Kinesis" else 1
    if kind == "DynamoDB" or not known or not stream.has("ShardCount"):
        properties.remarks.append(f"{name}: its stream has one shard: a GUESS")
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
    return ({"batch": batch} if batch else {}) | {"shards": shards} | ({"retries": retries} if retries else {})
