"""Events: who calls a function of a template, as sources of a scenario; and who calls the function past its alias.

A template tells what kind of traffic comes, and of a schedule how often; how much of the rest is a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from rollout_sim.core.minutes import moment_of
from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import shorten
from rollout_sim.formats.snippet import dashed
from rollout_sim.formats.templates.intrinsics import Properties, Resolver, Symbol, Unknown, as_switch
from rollout_sim.formats.templates.mappings import kind_of, source_fields
from rollout_sim.traffic.schedules import Rate, schedule_of
from rollout_sim.traffic.source import CronArrivals

Kind = Literal["http", "data", "sns", "eventbridge", "s3", "schedule"]
SYNCHRONOUS: Final = ("Api", "HttpApi", "AlexaSkill", "Cognito", "WebSocketApi")
"""The events of a SAM function whose sender waits for the answer."""
POLLED: Final = ("SQS", "Kinesis", "DynamoDB", "MSK", "MQ", "SelfManagedKafka", "DocumentDB")
"""Those that Lambda polls and hands over in batches."""
QUEUED: Final[Mapping[str, Kind]] = {
    "S3": "s3", "SNS": "sns", "EventBridgeRule": "eventbridge", "CloudWatchEvent": "eventbridge", "CloudWatchLogs": "data",
    "IoTRule": "data",
}  # fmt: skip
"""Those that Lambda queues, and how they call."""
SCHEDULED: Final = ("Schedule", "ScheduleV2")
PRINCIPALS: Final[Mapping[str, Kind]] = {
    "apigateway": "http", "elasticloadbalancing": "http", "alexa-appkit": "http", "cognito-idp": "http", "lex": "http",
    "lexv2": "http", "bedrock": "http", "s3": "s3", "sns": "sns", "logs": "data", "iot": "data", "ses": "data",
    "config": "data", "codecommit": "data", "events": "eventbridge",
}  # fmt: skip
"""Services that are permitted to call a function, and how they call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a function: what it is called, how it calls, and when where a schedule tells."""

    name: str
    kind: Kind
    arrivals: Mapping[str, Any] | None = None
    """Of a schedule: the `arrivals` of its source, for one by the clock without the moment at which the simulation begins."""
    polled: bool = False
    """Whether Lambda fetches it from a queue or stream: what the function says of retries is not about these."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What else is known: of a queue or stream the fields of its source, of a rule or schedule how it delivers."""
    behind: str = ""
    """Of a queue or stream: what stands for it, as `mappings.resource_behind` takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """A function with its alias as the resources around it may name them."""

    function: str
    """The function's logical id, or its name where it is not in the template."""
    alias: str
    """The alias's name."""
    aliases: tuple[str, ...]
    """Symbols that stand for the alias: `Orders.Alias` in SAM, the logical id of an `AWS::Lambda::Alias`."""
    timeout: float = 3.0
    """The function's timeout (s), which the visibility timeout of a queue is held against."""

    def called(self, resolver: Resolver, value: Any, qualifier: str = "") -> str | None:
        """`alias`, `function` or `version`, if `value` (a name, an ARN, a reference) names one of these; else None."""
        target = resolver.text(value)
        if isinstance(target, Symbol):
            target = target.shown
        for symbol in self.aliases:
            if Symbol(symbol).shown in target or Symbol(f"{symbol}.AliasArn").shown in target:
                return "alias"
        own = [
            resolver.physical(self.function),
            self.function,
            *(Symbol(f"{self.function}{end}").shown for end in ("", ".Arn")),
        ]
        name = re.sub(r"^.*:function:|^.*/functions/|/invocations$", "", target)
        base, _, behind = name.partition(":")
        behind = behind or qualifier
        if base in own:
            return "alias" if behind == self.alias else "version" if behind else "function"
        return "version" if Symbol(f"{self.function}.Version").shown in target else None

    def named(self, text: str, resolver: Resolver) -> str | None:
        """The same of a longer text, such as a state machine's definition, in which an ARN of it stands."""
        name = re.escape(resolver.physical(self.function))
        arn = re.search(
            rf"(?:⟨{re.escape(self.function)}\.Arn⟩|:function:{name})(?::([A-Za-z0-9_-]+))?(?![A-Za-z0-9_-])", text
        )
        if arn is None:
            return None
        return "function" if arn[1] is None else "alias" if arn[1] == self.alias else "version"


def sam_events(function: Properties, remarks: list[str], timeout: float) -> list[Event]:
    """The `Events` of a SAM function, which call its alias, and its URL; its `timeout` is in seconds."""
    events = []
    for name, event in function.inside("Events").given.items():
        if not isinstance(event, Mapping):
            continue
        kind = str(event.get("Type"))
        properties = Properties(function.resolver, event, remarks).inside("Properties")
        properties.label = f"{name}."
        if _off(properties):
            remarks.append(f"the event {name} is switched off")
        elif kind in SCHEDULED:
            expression = properties.text("Schedule" if "Schedule" in properties.given else "ScheduleExpression")
            events += _scheduled(name, expression, properties, _delivery(properties), scheduler=kind == "ScheduleV2")
        else:
            source = properties.given.get("Queue" if kind == "SQS" else "Stream", "")
            fields = source_fields(name, kind, properties, source, timeout)
            if kind in POLLED and fields is None:
                remarks.append(_polled(name, kind))
            if kind not in (*SYNCHRONOUS, *POLLED, *QUEUED):
                remarks.append(f"the event {name}: what a {kind} is, is not known: asynchronous is a GUESS")
            if kind == "SNS" and properties.text("SqsSubscription") not in ("", "False", "false"):
                remarks.append(
                    f"{name} comes through a queue (SqsSubscription), which is not read; here it is asynchronous"
                )
            called: Kind = "http" if kind in SYNCHRONOUS else QUEUED.get(kind, "data")
            fields = fields or (_delivery(properties) if called == "eventbridge" else {})
            behind = function.resolver.text(source)
            events.append(Event(name=name, kind=called, polled=kind in POLLED, fields=fields, behind=behind))
    if function.has("FunctionUrlConfig"):
        events.append(Event(name="url", kind="http"))
    return events


def _polled(name: str, kind: str) -> str:
    return f"{name} ({kind}) is polled by Lambda; here its messages are asynchronous events, without batches"


def _off(properties: Properties) -> bool:
    if "Enabled" in properties.given:
        return not properties.take("Enabled", as_switch, True)
    return properties.text("State").upper() == "DISABLED"


def _delivery(target: Properties) -> dict[str, Any]:
    """The `RetryPolicy` of EventBridge's target as fields of a source."""
    policy = target.inside("RetryPolicy")
    retries, oldest = (
        policy.take("MaximumRetryAttempts", int, None),
        policy.take("MaximumEventAgeInSeconds", float, None),
    )
    fields = ({} if retries is None else {"retries": retries}) | (
        {} if oldest is None else {"max_age": text(oldest, "duration")}
    )
    return {"delivery": fields} if fields else {}


def _scheduled(
    name: str, expression: str, properties: Properties, delivery: Mapping[str, Any], *, scheduler: bool
) -> list[Event]:
    """A schedule as an event; none for one that comes once. `properties` are those of the rule, or of Scheduler's schedule."""
    remarks = properties.remarks
    known = Event(name=name, kind="schedule", arrivals={"fixed": "1 h"}, fields=delivery)
    if expression.startswith("at("):
        remarks.append(f"the schedule {name} comes once: {shorten(expression)}; it is left out")
        return []
    if isinstance(expression, Unknown):
        remarks.append(
            f"the schedule {name}: {expression} is not known before the deployment; its interval of 1 h is a GUESS"
        )
        return [known]
    zone = properties.text("ScheduleExpressionTimezone")
    window = properties.inside("FlexibleTimeWindow").take("MaximumWindowInMinutes", float, 0.0)
    try:
        schedule = schedule_of(expression, scheduler=scheduler)
        if isinstance(schedule, Rate):
            if not window:
                return [replace(known, arrivals={"fixed": text(schedule.every, "duration")})]
            expression = schedule.expression
        CronArrivals(expression=expression, zone=zone or "UTC")
    except ValueError as error:
        remarks.append(f"the schedule {name}: {shorten(str(error))}; its interval of 1 h is a GUESS")
        return [known]
    cron = {"expression": expression} | ({"zone": zone} if zone else {})
    cron |= {"within": text(window * 60, "duration")} if window else {}
    return [replace(known, arrivals={"cron": cron})]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A kind of resource that calls functions: where in its properties it says which, and how it calls.

    `service` is the principal of the permission that goes with it; resources of one service with `together` are one source.
    """

    service: str
    kind: Kind
    where: tuple[str, ...] = ()
    polled: bool = False
    together: bool = False


CALLERS: Final[Mapping[str, Caller]] = {
    "AWS::StepFunctions::StateMachine": Caller(service="states", kind="http"),
    "AWS::Serverless::StateMachine": Caller(service="states", kind="http"),
    "AWS::AppSync::DataSource": Caller(service="appsync", kind="http", where=("LambdaConfig",)),
    "AWS::ApiGateway::Method": Caller(service="apigateway", kind="http", where=("Integration",), together=True),
    "AWS::ApiGateway::RestApi": Caller(service="apigateway", kind="http", where=("Body",), together=True),
    "AWS::ApiGatewayV2::Integration": Caller(
        service="apigateway", kind="http", where=("IntegrationUri",), together=True
    ),
    "AWS::ApiGatewayV2::Api": Caller(service="apigateway", kind="http", where=("Body", "Target"), together=True),
    "AWS::Serverless::Api": Caller(service="apigateway", kind="http", where=("DefinitionBody", "Auth"), together=True),
    "AWS::Serverless::HttpApi": Caller(
        service="apigateway", kind="http", where=("DefinitionBody", "Auth"), together=True
    ),
    "AWS::ApiGateway::Authorizer": Caller(service="apigateway", kind="http", where=("AuthorizerUri",), together=True),
    "AWS::ApiGatewayV2::Authorizer": Caller(service="apigateway", kind="http", where=("AuthorizerUri",), together=True),
    "AWS::KinesisFirehose::DeliveryStream": Caller(service="firehose", kind="http"),
    "AWS::Bedrock::Agent": Caller(service="bedrock", kind="http", where=("ActionGroups",)),
    "AWS::ElasticLoadBalancingV2::TargetGroup": Caller(service="elasticloadbalancing", kind="http", where=("Targets",)),
    "AWS::Cognito::UserPool": Caller(service="cognito-idp", kind="http", where=("LambdaConfig",)),
    "AWS::Pipes::Pipe": Caller(service="pipes", kind="data", where=("Target", "Enrichment"), polled=True),
    "AWS::S3::Bucket": Caller(service="s3", kind="s3", where=("NotificationConfiguration",)),
    "AWS::Logs::SubscriptionFilter": Caller(service="logs", kind="data", where=("DestinationArn",)),
    "AWS::IoT::TopicRule": Caller(service="iot", kind="data", where=("TopicRulePayload",)),
    "AWS::SES::ReceiptRule": Caller(service="ses", kind="data", where=("Rule",)),
}
"""Resources that name a function somewhere among their properties, or in the `where` of them; the first that do count."""


class Around:
    """The resources of a template that call one function: event source mappings, rules, subscriptions, permissions.

    Of the `services` given it is known already how they call; `called` tells whether events of the function's own do.
    """

    def __init__(
        self,
        resolver: Resolver,
        callee: Callee,
        remarks: list[str],
        services: Iterable[str] = (),
        *,
        called: bool = False,
    ) -> None:
        self.called = called
        self.resolver = resolver
        self.callee = callee
        self.remarks = remarks
        self.events: list[Event] = []
        self.pushed: dict[str, str] = {}
        """The service that sends each event, of those that need a permission to call."""
        self.past: list[Event] = []
        """Those that call the function without a qualifier, past the alias."""
        self.services = set(services)
        """Services whose own resources told already, so that their permissions say nothing new."""

    def read(self) -> list[Event]:
        """The events that call the alias; those that call past it are said."""
        kinds: Mapping[str, Callable[[str, Properties], None]] = {
            "AWS::Lambda::EventSourceMapping": self._mapping, "AWS::Events::Rule": self._rule,
            "AWS::Scheduler::Schedule": self._schedule, "AWS::SNS::Subscription": self._subscription,
            "AWS::SNS::Topic": self._topic, "AWS::Lambda::Url": self._url,
        }  # fmt: skip
        for identity, resource in self.resolver.resources.items():
            read = kinds.get(str(resource.get("Type")))
            if read is not None and exists(self.resolver, resource):
                read(identity, Properties(self.resolver, resource.get("Properties", {}), self.remarks, f"{identity}."))
        self._callers()
        self._permissions()
        return self.events

    def _callers(self) -> None:
        """Resources of other services that name the function: those of a service that is told already say nothing new."""
        told, together = frozenset(self.services), dict[str, list[str]]()
        for identity, resource in self.resolver.resources.items():
            caller = CALLERS.get(str(resource.get("Type")))
            if caller is None or caller.service in told or not exists(self.resolver, resource):
                continue
            properties = resource.get("Properties", {})
            parts = [properties.get(name) for name in caller.where] if caller.where else [properties]
            before = len(self.resolver.taken)
            reached = {target for part in parts for target in self._named(part)}
            del self.resolver.taken[before:]  # a Region or an account in an ARN has no bearing
            target = next((target for target in ("alias", "function", "version") if target in reached), None)
            if target is None:
                continue
            self.services.add(caller.service)
            self.pushed |= {identity: caller.service} if caller.service in ("s3", "logs", "iot", "ses") else {}
            if caller.together:
                together.setdefault(caller.service, []).append(target)
                continue
            if caller.polled and target == "alias":
                self.remarks.append(_polled(identity, str(resource["Type"]).rpartition(":")[2]))
            event = Event(name=identity, kind=caller.kind, polled=caller.polled)
            self._add(event, target, f"this {str(resource['Type']).rpartition(':')[2]}")
        for service, targets in together.items():
            of_alias = "alias" if "alias" in targets else targets[0]
            self._add(Event(name=service, kind=PRINCIPALS[service]), of_alias, "this service")

    def _named(self, part: Any) -> Iterator[str]:
        """How the values in a part of a resource call the function: `alias`, `function` or `version`, each time that one does."""
        if isinstance(part, Mapping) and not (len(part) == 1 and str(next(iter(part))).startswith(("Ref", "Fn::"))):
            part = list(part.values())
        if isinstance(part, list):
            for inner in part:
                yield from self._named(inner)
            return
        text = self.resolver.text(part)
        target = None if re.search(r'[\s"{}]', text) else self.callee.called(self.resolver, part)
        target = target or self.callee.named(text, self.resolver)
        if target is not None:
            yield target

    def _add(self, event: Event, target: str | None, what: str) -> None:
        """The event, if it calls the alias; a remark, if it calls past it."""
        if target == "alias":
            self.events.append(event)
        elif target is not None:
            if target == "function":
                self.past.append(event)
            reached = "the function" if target == "function" else "a version or another alias"
            self.remarks.append(
                f"{event.name}: {what} calls {reached} and not the alias {self.callee.alias}: the rollout does not touch "
                "it, and the canary gets nothing of it"
            )

    def _mapping(self, name: str, properties: Properties) -> None:
        target = self.callee.called(self.resolver, properties.given.get("FunctionName"))
        if target is not None and _off(properties):
            self.remarks.append(f"the event source mapping {name} is switched off")
            return
        if target is None:
            return
        source = properties.given.get("EventSourceArn", "")
        kind = kind_of(self.resolver, source)
        fields = source_fields(name, kind, properties, source, self.callee.timeout) if kind is not None else None
        event = Event(name=name, kind="data", polled=True, fields=fields or {}, behind=self.resolver.text(source))
        self._add(event, target, "this event source mapping")
        if target == "alias" and fields is None:
            self.remarks.append(_polled(name, "an event source mapping"))

    def _rule(self, name: str, properties: Properties) -> None:
        self.services.add("events")
        self.pushed[name] = "events"
        self._beats(name, properties, properties.items("Targets"), "rule")

    def _schedule(self, name: str, properties: Properties) -> None:
        self._beats(name, properties, [properties.given.get("Target")], "schedule")

    def _beats(
        self, name: str, properties: Properties, targets: Iterable[Any], what: Literal["rule", "schedule"]
    ) -> None:
        named = [
            (self.callee.called(self.resolver, item.get("Arn")), item) for item in targets if isinstance(item, Mapping)
        ]
        target, given = next(((target, item) for target, item in named if target is not None), (None, {}))
        if target is None:
            return
        if _off(properties):
            self.remarks.append(f"the event {name} is switched off")
            return
        expression = properties.text("ScheduleExpression")
        delivery = _delivery(Properties(self.resolver, given, self.remarks, f"{name}."))
        rule = Event(name=name, kind="eventbridge", fields=delivery)
        events = [rule]
        if expression:
            events = _scheduled(name, expression, properties, delivery, scheduler=what == "schedule")
        for event in events:
            self._add(event, target, f"this {what}")

    def _subscription(self, name: str, properties: Properties) -> None:
        self.services.add("sns")
        self.pushed[name] = "sns"
        target = self.callee.called(self.resolver, properties.given.get("Endpoint"))
        self._add(Event(name=name, kind="sns"), target, "this subscription")

    def _topic(self, name: str, properties: Properties) -> None:
        """The subscriptions that a topic has in itself."""
        for entry in properties.items("Subscription"):
            if isinstance(entry, Mapping):
                self._subscription(name, Properties(self.resolver, entry, self.remarks, f"{name}."))

    def _url(self, name: str, properties: Properties) -> None:
        target = properties.given.get("TargetFunctionArn")
        reached = self.callee.called(self.resolver, target, properties.text("Qualifier"))
        self._add(Event(name=name, kind="http"), reached, "this URL")

    def _permissions(self) -> None:
        """Services that may call, each once: those that may call the alias do. What is sent to the alias without one is refused."""
        reached: dict[str, list[str]] = {}
        permitted: dict[str, set[str]] = {}
        for resource in self.resolver.resources.values():
            if resource.get("Type") == "AWS::Lambda::Permission" and exists(self.resolver, resource):
                properties = Properties(self.resolver, resource.get("Properties", {}), self.remarks)
                service = properties.text("Principal").partition(".")[0]
                target = self.callee.called(
                    self.resolver, properties.given.get("FunctionName"), properties.text("Qualifier")
                )
                if target is not None and service in PRINCIPALS and service not in self.services:
                    reached.setdefault(service, []).append(target)
                if target is not None:
                    permitted.setdefault(service, set()).add(target)
        for event in self.events:
            service = self.pushed.get(event.name, "")
            if permitted.get(service) and "alias" not in permitted[service]:
                self.remarks.append(
                    f"{event.name}: {service}.amazonaws.com may not call the alias {self.callee.alias}, only the function itself or a "
                    "version: Lambda refuses all that it sends, before and after the rollout; give its permission a Qualifier"
                )
        for service, targets in reached.items():
            target = "alias" if "alias" in targets else targets[0]
            known = self.called or bool(self.events)  # then a permission alone is no sign of as much traffic as theirs
            self._add(Event(name=service, kind=PRINCIPALS[service]), target, "this service, by its permission,")
            if known and target == "function":
                self.past.pop()


def exists(resolver: Resolver, resource: Mapping[str, Any]) -> bool:
    """Whether the resource's condition holds, if it has one; what is unknown is taken to."""
    condition = resource.get("Condition")
    if condition is None:
        return True
    try:
        return resolver.condition(str(condition))
    except ValueError:
        return True


def first_call(events: Iterable[Event]) -> float | None:
    """When the rarest schedule by the clock among the events first comes (s since 1970); None where there is none."""
    schedules = [event.arrivals["cron"] for event in events if event.arrivals is not None and "cron" in event.arrivals]
    clocks = [
        CronArrivals(expression=cron["expression"], zone=cron.get("zone", "UTC"), within=0.0) for cron in schedules
    ]
    if not clocks:
        return None
    rarest = min(clocks, key=lambda clock: clock.long_run_rate)
    return moment_of(rarest.begin) + next(rarest.moments())


def sources(
    events: list[Event], alias: str, rate: str, retries: Mapping[str, Any], begin: str | None = None
) -> list[dict[str, Any]]:
    """The `traffic` of a scenario: a source for each event, by name where there are several.

    `rate` is that of each source whose own is not known; `begin` is the moment at which the simulation begins, for schedules by
    the clock; `retries` is what Lambda does with asynchronous events, which polled
    ones are not.
    """
    result: list[dict[str, Any]] = []
    for event in events or [Event(name="", kind="http")]:
        arrivals: dict[str, Any] = {"poisson": rate} if event.arrivals is None else dict(event.arrivals)
        if "cron" in arrivals and begin is not None:
            arrivals["cron"] = {**arrivals["cron"], "begin": begin}
        source = {"source": event.kind, "alias": alias, "arrivals": arrivals} | dict(event.fields)
        taken = [other.get("name") for other in result]
        name = dashed(event.name)
        named = {"name": name if name not in taken else f"{name}-{len(result) + 1}"} if len(events) > 1 else {}
        asynchronous = event.kind != "http" and not event.polled
        result.append(named | source | (dict(retries) if asynchronous else {}))
    return result
