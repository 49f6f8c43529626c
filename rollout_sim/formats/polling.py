"""Polling: a scenario's queues and streams as event source mappings, with what is behind them; `templates.mappings` reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout_sim.formats.snippet import GetAtt, logical
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """One source as SAM's event, or the mapping that it comes to: its name, its kind and properties, and the resources behind it."""

    name: str
    kind: str
    """`SQS` or `Kinesis`."""
    properties: Mapping[str, Any]
    """Those of the mapping, without what it maps from and to."""
    resources: Mapping[str, Any]
    """The first is the queue or stream."""
    remarks: tuple[str, ...] = field(default=())

    @property
    def behind(self) -> str:
        """The logical id of the queue or stream."""
        return next(iter(self.resources))

    @property
    def event(self) -> dict[str, Any]:
        """The event of a SAM function."""
        source = {"SQS": "Queue", "Kinesis": "Stream"}[self.kind]
        return {"Type": self.kind, "Properties": {source: GetAtt(f"{self.behind}.Arn"), **self.properties}}

    def mapping(self, function: Any) -> dict[str, Any]:
        """The resource of CloudFormation; `function` names the alias."""
        target = {"FunctionName": function, "EventSourceArn": GetAtt(f"{self.behind}.Arn")}
        return {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {**target, **self.properties}}


def mapped(scenario: Scenario) -> tuple[Mapped, ...]:
    """The queues and streams behind the rollout's alias."""
    result: list[Mapped] = []
    for source in scenario.traffic:
        if source.polled and source.alias == scenario.alias:
            taken = {name for other in result for name in (other.name, *other.resources)}
            name = logical(source.name or source.source)
            if {name, f"{name}Source"} & taken:
                name = f"{name}{len(result) + 1}"
            result.append(_queue(name, source) if source.source == "queue" else _stream(name, source))
    return tuple(result)


def queues_of(every: tuple[Mapped, ...]) -> dict[str, str]:
    """The queue that each metric of a queue is of, where there is only one; the dead-letter queue of `messages_in_dlq`."""
    queues = [mapping for mapping in every if mapping.kind == "SQS"]
    if len(queues) != 1:
        return {}
    own, *dead = queues[0].resources
    return {"messages_visible": own, "oldest_message_age": own} | ({"messages_in_dlq": dead[0]} if dead else {})


def _batch(source: Source, remarks: list[str]) -> dict[str, Any]:
    mapping = source.mapping
    properties: dict[str, Any] = {"BatchSize": mapping.size}
    if mapping.window:
        properties["MaximumBatchingWindowInSeconds"] = _whole(mapping.window, "MaximumBatchingWindowInSeconds", remarks)
    if mapping.partial_failures:
        properties["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
    return properties


def _queue(name: str, source: Source) -> Mapped:
    mapping, remarks = source.mapping, list[str]()
    properties = _batch(source, remarks)
    if mapping.provisioned is not None:
        least, most = mapping.provisioned.minimum, mapping.provisioned.maximum
        properties["ProvisionedPollerConfig"] = {"MinimumPollers": least, "MaximumPollers": most}
    elif mapping.concurrency is not None:
        properties["ScalingConfig"] = {"MaximumConcurrency": mapping.concurrency}
    fifo = {"FifoQueue": True} if mapping.groups else {}
    queue: dict[str, Any] = {
        **fifo,
        "VisibilityTimeout": _whole(mapping.visibility_timeout, "VisibilityTimeout", remarks),
    }
    if source.retention is not None:
        queue["MessageRetentionPeriod"] = _whole(mapping.retention, "MessageRetentionPeriod", remarks)
    resources: dict[str, Any] = {f"{name}Source": {"Type": "AWS::SQS::Queue", "Properties": queue}}
    if mapping.max_receives is not None:
        dead = f"{name}DeadLetters"
        queue["RedrivePolicy"] = {"deadLetterTargetArn": GetAtt(f"{dead}.Arn"), "maxReceiveCount": mapping.max_receives}
        resources[dead] = {"Type": "AWS::SQS::Queue", **({"Properties": fifo} if fifo else {})}
    return Mapped(name=name, kind="SQS", properties=properties, resources=resources, remarks=tuple(remarks))


def _stream(name: str, source: Source) -> Mapped:
    mapping, remarks = source.mapping, ["left out: where a stream begins: StartingPosition LATEST is a placeholder"]
    properties = {**_batch(source, remarks), "StartingPosition": "LATEST"}
    if mapping.parallelization > 1:
        properties["ParallelizationFactor"] = mapping.parallelization
    if mapping.bisect:
        properties["BisectBatchOnFunctionError"] = True
    if mapping.attempts >= 0:
        properties["MaximumRetryAttempts"] = mapping.attempts
    if mapping.max_age is not None:
        properties["MaximumRecordAgeInSeconds"] = _whole(mapping.max_age, "MaximumRecordAgeInSeconds", remarks)
    stream: dict[str, Any] = {"ShardCount": mapping.shards}
    if source.retention is not None:
        stream["RetentionPeriodHours"] = math.ceil(mapping.retention / 3600)
    resources: dict[str, Any] = {f"{name}Source": {"Type": "AWS::Kinesis::Stream", "Properties": stream}}
    if mapping.destination:
        resources[f"{name}Failures"] = {"Type": "AWS::SQS::Queue"}
        properties["DestinationConfig"] = {"OnFailure": {"Destination": GetAtt(f"{name}Failures.Arn")}}
    return Mapped(name=name, kind="Kinesis", properties=properties, resources=resources, remarks=tuple(remarks))


def _whole(value: float, name: str, remarks: list[str]) -> int:
    """Whole seconds, as AWS takes them."""
    if value != math.ceil(value):
        remarks.append(f"{name} is whole seconds: {value:g} s became {math.ceil(value)} s")
    return math.ceil(value)
