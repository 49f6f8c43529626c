"""Watching: the CloudWatch alarms of a template that watch one function's rollout, as alarms of a scenario.

Nothing of an alarm is lost without being named: what the simulator cannot say is left out in words, with its place; an alarm
that can never have data is told so; what is taken instead of what the template says is a remark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.expressions import FUNCTIONS, parse_expression, parse_rule, renamed
from rollout_sim.control.readings import AGES, plain, samples_needed
from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import MISSHAPEN, nearest, shorten, what_is_wrong
from rollout_sim.formats.cloudwatch import (
    BANDS,
    LAMBDA_METRICS,
    MILLISECONDS,
    MIRRORED,
    MISSING,
    OPERATORS,
    QUEUE_METRICS,
    STREAM_METRICS,
)
from rollout_sim.formats.snippet import dashed, numbered
from rollout_sim.formats.templates.deployed import LAG, LeftOut, Repair, spaced
from rollout_sim.formats.templates.events import Callee, Event, exists
from rollout_sim.formats.templates.intrinsics import DYNAMIC, Resolver, Symbol, Unknown, as_mapping
from rollout_sim.formats.templates.intrinsics import MISSING as NO_VALUE
from rollout_sim.formats.templates.mappings import dead_letter_queue, same_queue
from rollout_sim.formats.templates.own_metrics import Own, OwnMetrics, Role, role_alone, roles
from rollout_sim.formats.templates.rules import decides, without_child

ALARM: Final = "AWS::CloudWatch::Alarm"
COMPOSITE: Final = "AWS::CloudWatch::CompositeAlarm"
UNITS: Final = {
    "invocations": "Count", "errors": "Count", "throttles": "Count", "duration": "Milliseconds", "iterator_age": "Milliseconds",
}  # fmt: skip
"""The unit with which Lambda publishes each metric: an alarm that asks for another one sees nothing."""
_FRONT: Final = {
    ("AWS/ApiGateway", "5XXError"): "responses_5xx", ("AWS/ApiGateway", "5xx"): "responses_5xx",
    ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"): "responses_5xx", ("AWS/Lambda", "Url5xxCount"): "responses_5xx",
    ("AWS/ApiGateway", "Latency"): "latency", ("AWS/ApiGateway", "IntegrationLatency"): "latency",
    ("AWS/Lambda", "UrlRequestLatency"): "latency",
    ("AWS/ApiGateway", "Count"): "responses_5xx", ("AWS/Lambda", "UrlRequestCount"): "responses_5xx",
}  # fmt: skip
"""The metrics of what stands in front of a function, and what a scenario calls them."""
_FOREIGN: Final = (
    "AWS/",
    "LambdaInsights",
    "CWAgent",
    "ContainerInsights",
    "ECS/",
    "CloudWatchSynthetics",
    "Prometheus",
)
"""Namespaces whose metrics are no counts of a user's own."""
_COUNTED: Final = ("Sum", "SampleCount", "Maximum")
"""The statistics of a metric that counts."""
_REQUESTS: Final = ("Count", "UrlRequestCount")
"""Those that count requests, of which a scenario has the number of samples of `responses_5xx`."""
OTHERS: Final = (
    "AsyncEventAge", "AsyncEventsDropped", "AsyncEventsReceived", "ClaimedAccountConcurrency", "ConcurrentExecutions",
    "DeadLetterErrors", "DestinationDeliveryFailures", "OffsetLag", "OversizedRecordCount",
    "PostRuntimeExtensionsDuration", "ProvisionedConcurrencyInvocations", "ProvisionedConcurrencySpilloverInvocations",
    "ProvisionedConcurrencyUtilization", "ProvisionedConcurrentExecutions", "RecursiveInvocationsDropped",
    "SignatureValidationErrors", "UnreservedConcurrentExecutions",
)  # fmt: skip
"""Lambda's metrics that no scenario has."""
_LAMBDA: Final = {name: word for word, name in LAMBDA_METRICS.items()}
_QUEUES: Final = {name: word for word, name in QUEUE_METRICS.items() if " " not in name}
"""SQS's metrics of a queue, and what a scenario calls them; those of a dead-letter queue have the same names."""
_SIGNS: Final = {name: sign for sign, name in OPERATORS.items()}
_BANDS: Final = {name: word for word, name in BANDS.items()}
_TREATMENTS: Final = {name: word for word, name in MISSING.items()}
_DIMENSIONS: Final = ("FunctionName", "Resource", "ExecutedVersion")
_BAND: Final = re.compile(r"\s*ANOMALY_DETECTION_BAND\(\s*(\w+)\s*(?:,\s*([\d.]+)\s*)?\)\s*")
_WORD: Final = re.compile(r"\"[^\"]*\"|'[^']*'|\b[a-z]\w*\b")
_SYMBOL: Final = re.compile(r"⟨([^⟩]*)⟩")
_UNREAD: Final = re.compile(rf"{_SYMBOL.pattern}|{DYNAMIC.pattern}")
"""A symbol, or a reference that only the deployment resolves."""
_ARNS: Final = (("AWS::Lambda::Alias", ""), ("AWS::Lambda::Alias", "AliasArn"), ("AWS::Lambda::Version", ""))
"""What is an ARN, by the type of a resource and its attribute; `!Ref` is none."""
_TRIMMED: Final = re.compile(r"TM\((?:0+(?:\.0*)?%)?:([\d.]+)%\)", re.IGNORECASE)
"""A trimmed mean from the least value on, which is also written TM99."""
_ALARM_ARN: Final = re.compile(r"arn:[^\"']*?:alarm:")


class _OthersError(ValueError):
    """The metric is another function's, which the scenario does not have."""

    def __init__(self, other: str, own: str) -> None:
        super().__init__(f"it watches the function {other}, not {own}")
        self.other = other


class _DeadError(ValueError):
    """Nothing is ever published of what the alarm watches."""

    def __init__(self, why: str) -> None:
        super().__init__(f"it can never have data: {why}")


class Watching:
    """The alarms of one function's rollout."""

    def __init__(
        self, resolver: Resolver, callee: Callee, place: Callable[..., str], events: Iterable[Event] = ()
    ) -> None:
        self.resolver = resolver
        self.callee = callee
        self.place = place
        """File and line of what stands at `Resources`, a logical id and what is inside of it."""
        self.events = tuple(events)
        """Who calls the alias: queues and streams have metrics of their own."""
        self.remarks: list[str] = []
        self.alarms: dict[str, dict[str, Any]] = {}
        self.acting: list[str] = []
        self.names: dict[str, str] = {}
        """The name in the scenario of each alarm that came through, by logical id."""
        self.own = OwnMetrics()
        self.left: dict[str, LeftOut] = {}
        """The alarms that the rollout lists and that did not come through, by what the template calls them."""
        self.scales: dict[str, tuple[float, float]] = {}
        """Of alarms whose metric maths are an error rate: a and b of their a + b x rate."""
        self._rates: dict[str, tuple[float, float]] = {}
        self._reading: list[str] = []
        self._mends: list[Repair] | None = None
        """While an alarm without data is read as it should be: the changes that this takes."""

    def read(self, references: Iterable[Any], *where: str) -> int:
        """Reads the alarms that a list refers to, which stands at `where`; returns how many it lists."""
        listed = 0
        for number, reference in enumerate(references):
            name = self._referred(reference)
            if name is None:
                continue
            listed += 1
            identity = self.identity(name)
            if identity is None:
                what = (
                    f"it is not in the template ({self.place(*where, number)})"
                    if where
                    else "it is not in the template"
                )
                self._leave(name, None, ValueError(what))
                continue
            if name == identity and not isinstance(name, Symbol) and not self._has_name(identity):
                self.remarks.append(
                    f"{identity} is listed as text, and no alarm has that name: it was taken as the alarm with that logical id, "
                    "which !Ref gives"
                )
            try:
                own = self.alarm(identity)
                if own not in self.acting:
                    self.acting.append(own)
            except MISSHAPEN as error:
                self._leave(identity, identity, error)
        return listed

    def _has_name(self, identity: str) -> bool:
        """Whether an alarm is called by its own logical id, or by a name that is not known."""
        own = self.resolver.resources[identity].get("Properties", {}).get("AlarmName")
        text = "" if own is None else self.resolver.text(own)
        return isinstance(text, Symbol) or text == identity

    def _referred(self, reference: Any) -> str | None:
        """The text of a reference; None where a condition leaves nothing."""
        try:
            if self.resolver.value(reference) is NO_VALUE:
                return None
        except ValueError as error:
            if isinstance(reference, Mapping) and "Fn::If" in reference:
                return Unknown(str(error))
        return self.resolver.text(reference)

    def _leave(self, name: str, identity: str | None, error: Exception) -> None:
        what = what_is_wrong(error, " is missing")
        where = f" ({self.place('Resources', identity)})" if identity is not None else ""
        self.remarks.append(f"left out: {name}: {what}{where}")
        dead = isinstance(error, _DeadError)
        mended, repairs = self._mended(identity) if dead and identity is not None else (None, ())
        self.left[name] = LeftOut(identity=identity, why=what, dead=dead, mended=mended, repairs=repairs)

    def _mended(self, identity: str) -> tuple[dict[str, Any] | None, tuple[Repair, ...]]:
        """The fields of an alarm that can have no data, with the least change that gives it some, and that change."""
        before, self._mends = len(self.remarks), []
        try:
            properties = as_mapping(self.resolver.resources[identity].get("Properties", {}))
            fields = {key: value for key, value in self._plain(identity, properties).items() if value is not None}
            check(fields)
        except MISSHAPEN:
            return None, ()
        else:
            return fields, tuple(repair for k, repair in enumerate(self._mends) if repair not in self._mends[:k])
        finally:
            del self.remarks[before:]
            self._mends = None

    def _without_data(self, why: str, name: str, value: Any) -> None:
        """Says that an alarm can have no data, or notes the value of a property that gives it some. Raises _DeadError."""
        if self._mends is None:
            raise _DeadError(why)
        self._mends.append((name, value))

    def identity(self, name: str) -> str | None:
        """The logical id of the alarm that a reference, a name or an ARN is about."""
        wanted = _ALARM_ARN.sub("", name)
        symbol = re.fullmatch(r"⟨(.+?)(\.Arn)?⟩", wanted)
        if symbol is not None:
            wanted = symbol[1]
        elif isinstance(name, Symbol):
            wanted = wanted.removesuffix(".Arn")
        if (symbol is not None or isinstance(name, Symbol)) and wanted in self.resolver.resources:
            return wanted
        for identity, resource in self.resolver.resources.items():
            if resource.get("Type") in (ALARM, COMPOSITE) and "AlarmName" in resource.get("Properties", {}):
                own = self.resolver.text(resource["Properties"]["AlarmName"])
                if wanted in (own, own.shown if isinstance(own, Symbol) else own):
                    return str(identity)
        return wanted if wanted in self.resolver.resources else None

    def alarm(self, identity: str) -> str:
        """The name in the scenario of one alarm, which is read if it was not before.

        Raises ValueError, KeyError or TypeError with the reason why it is left out.
        """
        if identity in self.names:
            return self.names[identity]
        if identity in self._reading:
            raise ValueError("its rule refers to itself")
        resource = self.resolver.resources[identity]
        kind = resource.get("Type")
        if kind not in (ALARM, COMPOSITE):
            raise ValueError(f"a {kind} is no alarm")
        if not exists(self.resolver, resource):
            raise ValueError(f"its condition {resource['Condition']} does not hold")
        self._reading.append(identity)
        before, names = len(self.remarks), dict(self.names)
        try:
            properties = as_mapping(resource.get("Properties", {}))
            fields = self._composite(identity, properties) if kind == COMPOSITE else self._plain(identity, properties)
            fields = {key: value for key, value in fields.items() if value is not None}
            check(fields)
        except Exception:
            del self.remarks[before:]  # what is said of an alarm that is left out is that alone
            for child in [child for child in self.names if child not in names]:
                del self.alarms[self.names.pop(child)]  # what only its rule reads goes with it
            raise
        finally:
            self._reading.pop()
        self.names[identity] = name = numbered(self._called(identity, properties), self.alarms)
        if identity in self._rates:
            self.scales[name] = self._rates[identity]
        self.alarms[name] = fields
        return name

    def _called(self, identity: str, properties: Mapping[str, Any]) -> str:
        """The name that people know: the logical id, or the alarm's own where the id is a tool's (with a hash at its end)."""
        bare = re.sub(r"(?<=.)[0-9A-F]{8}$", "", identity)
        own = self.resolver.text(properties.get("AlarmName", "")) if bare != identity else ""
        named = own and "⟨" not in own and not isinstance(own, Symbol)
        return dashed(spaced(own if named else bare))

    # --- composite alarms ---------------------------------------------------------------------------------------------

    def _composite(self, identity: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        rule = self.resolver.text(properties["AlarmRule"])
        if isinstance(rule, Unknown):
            raise ValueError(f"AlarmRule: {rule} is not known")
        names: dict[str, str] = {}
        unsaid: dict[str, str] = {}
        for child in parse_rule(rule).names:
            inner = self.identity(child)
            if inner is None:
                unsaid[child] = f"its rule reads {child}, which is not in the template"
                rule = without_child(rule, child, "OK", unsaid[child])
                continue
            try:
                names[child] = self.alarm(inner)
            except MISSHAPEN as error:
                why = what_is_wrong(error, " is missing")
                unsaid[child] = (
                    f"its rule reads {inner}, which cannot be said: {why} ({self.place('Resources', inner)})"
                )
                state = self._state_without_data(inner) if isinstance(error, _DeadError) else "OK"
                rule = without_child(rule, child, state, unsaid[child])
        if unsaid:
            reasons = "; ".join(unsaid.values())
            if not decides(rule, names):
                raise ValueError(reasons)
            self.remarks.append(f"{identity}: {reasons}; what is left of the rule is {renamed(rule, names).strip()}")
        if "ActionsSuppressor" in properties:
            self.remarks.append(
                f"{identity}: ActionsSuppressor is left out: it mutes actions, and CodeDeploy goes by states"
            )
        return {"rule": renamed(rule, names).strip()}

    def _state_without_data(self, identity: str) -> str:
        """The state in which an alarm stays that never has data."""
        properties = as_mapping(self.resolver.resources[identity].get("Properties", {}))
        treatment = str(self._value(properties, "TreatMissingData") or "missing")
        return {"notBreaching": "OK", "breaching": "ALARM"}.get(treatment, "INSUFFICIENT_DATA")

    # --- alarms on metrics --------------------------------------------------------------------------------------------

    def _plain(self, identity: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of an alarm on one metric, on metric maths or on a band."""
        fields: dict[str, Any] = {}
        queries = self._queries(properties)
        if queries:
            fields |= self._of_queries(identity, properties, queries)
        else:
            stat = {key: self._value(properties, key) for key in ("Namespace", "MetricName", "Dimensions", "Unit")}
            statistic = self._value(properties, "ExtendedStatistic") or self._value(properties, "Statistic") or "Sum"
            metric = self._metric(identity, stat, statistic, self._value(properties, "Period") or 60)
            sign, limit = self._sign(properties), self._limit(properties)
            fields |= self._alone(identity, metric, sign, limit)
        periods = int(self._value(properties, "EvaluationPeriods") or 1)
        fields["datapoints"] = f"{int(self._value(properties, 'DatapointsToAlarm') or periods)} of {periods}"
        treatment = str(self._value(properties, "TreatMissingData") or "missing")
        if treatment not in _TREATMENTS:
            raise ValueError(f"TreatMissingData: got {treatment!r}; allowed {', '.join(_TREATMENTS)}")
        fields["missing"] = _TREATMENTS[treatment]
        few = self._value(properties, "EvaluateLowSampleCountPercentile")
        if few == "ignore" and samples_needed(str(fields.get("statistic"))):  # of other statistics it says nothing
            fields["low_samples"] = "ignore"
        if "WarmUpConfiguration" in properties:
            self.remarks.append(
                f"{identity}: WarmUpConfiguration is left out: for an alarm that the deployment makes, give `history: new`, `warm_up`"
            )
        window = self._value(properties, "EvaluationWindow")
        if isinstance(window, Mapping) and "WallClockWindow" in window:
            fields["window"] = "wall_clock"
        return fields | {"lag": LAG}

    def _value(self, properties: Mapping[str, Any], name: str) -> Any:
        """A property's value, None where there is none. Raises ValueError with the property's name."""
        if name not in properties:
            return None
        if name == "Dimensions":
            return properties[name]
        try:
            value = self.resolver.value(properties[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return None if value is NO_VALUE else value

    def _limit(self, properties: Mapping[str, Any]) -> float:
        value = self._value(properties, "Threshold")
        if value is None:
            raise KeyError("Threshold")
        return float(value)

    def _queries(self, properties: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """The `Metrics` by their ids, still unresolved inside."""
        given = properties.get("Metrics")
        if isinstance(given, Mapping):
            given = self.resolver.value(given)
        queries = {}
        for number, query in enumerate(map(as_mapping, given or [])):
            queries[str(self._value(query, "Id") or f"query{number}")] = query
        return queries

    def _of_queries(
        self, identity: str, properties: Mapping[str, Any], queries: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        band = self._value(properties, "ThresholdMetricId")
        if band is not None:
            return self._of_band(identity, properties, queries, str(band))
        returned = [key for key, query in queries.items() if _switched(self._value(query, "ReturnData"))]
        if len(returned) != 1:
            what = f"{len(returned)} of its metrics return data ({', '.join(returned) or 'none'})"
            raise ValueError(f"{what}, where CloudWatch wants one")
        sign, limit = self._sign(properties), self._limit(properties)
        if "MetricStat" in queries[returned[0]]:
            return self._alone(identity, self._of_stat(identity, queries[returned[0]]), sign, limit)
        expression = self._inlined(returned[0], queries, [])
        reads = _names(expression)
        everything = "METRICS(" in expression.replace(" ", "")
        metrics: dict[str, dict[str, Any]] = {}
        others: dict[str, _OthersError] = {}
        for key, query in queries.items():
            if "MetricStat" in query and (everything or key in reads):
                try:
                    metrics[key] = self._of_stat(identity, query)
                except _OthersError as error:
                    others[key] = error
        if others:
            expression = self._without(expression, metrics, others, identity)
        if expression in metrics:
            return self._alone(identity, metrics[expression], sign, limit)
        told = roles(expression, metrics, sign, limit)
        expression, metrics = self._counted(identity, expression, metrics, told)
        known = parse_expression(expression, tuple(metrics))
        rate = _as_rate(known, metrics)
        if rate is not None:
            base, slope, errors = rate
            share = round((limit - base) / slope, 12)
            sign = sign if slope > 0 else MIRRORED[sign]
            of = {key: errors[key] for key in ("of", "period")}
            self._rates[identity] = (base, slope)
            if share > 1 and sign in (">", ">="):
                self.remarks.append(
                    f"{identity} can never fire: no error rate is above {text(share, 'share')}, its threshold"
                )
            return {"metric": "error_rate", **of, "threshold": f"{sign} {text(share, 'share')}"}
        return _maths(expression, metrics, sign, limit)

    def _inlined(self, key: str, queries: Mapping[str, Mapping[str, Any]], asked: list[str]) -> str:
        """An expression with those that it refers to written out in it."""
        if key in asked or len(asked) > 20:
            raise ValueError("its expressions refer to each other in a circle")
        expression = str(self._value(queries[key], "Expression") or "")
        if re.match(r"\s*SELECT\b", expression, re.IGNORECASE):
            raise ValueError(f"the query of Metrics Insights {shorten(repr(expression))} cannot be said")
        if not expression:
            raise ValueError(f"{key} has neither a MetricStat nor an Expression")

        def part(match: re.Match[str]) -> str:
            inner = queries.get(match[0])
            if inner is None or "Expression" not in inner:
                return match[0]
            return f"({self._inlined(match[0], queries, [*asked, key])})"

        result = _WORD.sub(part, expression).strip()
        for name in re.findall(r"\b([A-Z][A-Z_0-9]*)\s*\(", result):
            if name not in (*FUNCTIONS, "AND", "OR"):
                raise ValueError(f"{name}() in {shorten(result)} cannot be said")
        if len(result) > 2000:
            raise ValueError("its expressions, written out, are too long")
        return result

    def _without(
        self, expression: str, metrics: Mapping[str, dict[str, Any]], others: Mapping[str, _OthersError], identity: str
    ) -> str:
        """The expression with the counts of other functions taken as 0, where it is a sum. Raises ValueError elsewhere."""
        if not metrics:
            raise next(iter(others.values()))
        elsewhere = ", ".join(dict.fromkeys(error.other for error in others.values()))
        names = (*metrics, *others)
        probes = np.random.default_rng(1).integers(1, 100, (len(names), 8)).astype(float)
        known = parse_expression(expression, names)
        if not np.allclose(known.compute(dict(zip(names, probes, strict=True))), probes.sum(axis=0)):
            what = f"{self.callee.function} and {elsewhere}, and not as their sum"
            raise ValueError(
                f"it reads what several functions count, {what}: the scenario has {self.callee.function} alone"
            )
        self.remarks.append(
            f"{identity} adds up what several functions count: here {elsewhere} counts nothing beside {self.callee.function}"
        )
        return " + ".join(metrics)

    def _of_band(
        self, identity: str, properties: Mapping[str, Any], queries: Mapping[str, Mapping[str, Any]], band: str
    ) -> dict[str, Any]:
        """An alarm on an anomaly detection band."""
        expression = str(self._value(queries[band], "Expression") or "") if band in queries else ""
        match = _BAND.fullmatch(expression)
        if match is None:
            raise ValueError(
                f"ThresholdMetricId: {band} is {shorten(repr(expression))}; allowed ANOMALY_DETECTION_BAND(m, width)"
            )
        operator = self._value(properties, "ComparisonOperator")
        if operator not in _BANDS:
            raise ValueError(f"ComparisonOperator: got {operator!r}; with a band allowed {', '.join(_BANDS)}")
        query = queries[match[1]]
        if "MetricStat" not in query:
            raise ValueError(f"its band is around the expression {match[1]}, which cannot be said")
        metric = self._of_stat(identity, query)
        if isinstance(metric["metric"], Own):
            raise ValueError(f"its band is around {metric['metric'].name}, a metric of your own, which cannot be said")
        return metric | {"band": float(match[2] or 2), "threshold": _BANDS[str(operator)]}

    def _of_stat(self, identity: str, query: Mapping[str, Any]) -> dict[str, Any]:
        account = self.resolver.text(query.get("AccountId", ""))
        if account and account != self.resolver.text({"Ref": "AWS::AccountId"}):
            raise ValueError(f"it reads metrics of the account {account}")
        stat = as_mapping(query["MetricStat"])
        metric = as_mapping(stat["Metric"])
        given = {key: self._value(metric, key) for key in ("Namespace", "MetricName", "Dimensions")}
        given["Unit"] = self._value(stat, "Unit")
        period = self._value(stat, "Period") or self._value(query, "Period") or 60
        return self._metric(identity, given, self._value(stat, "Stat") or "Sum", period)

    def _metric(self, identity: str, given: Mapping[str, Any], statistic: Any, period: Any) -> dict[str, Any]:
        """One metric as a scenario has it: `metric`, `statistic`, `of` and `period`."""
        namespace, name = given["Namespace"], given["MetricName"]
        statistic = _TRIMMED.sub(r"tm\1", str(statistic))
        if namespace is None or name is None:
            raise KeyError("MetricName" if name is None else "Namespace")
        dimensions = self._dimensions(given.get("Dimensions"))
        if (
            namespace != "AWS/Lambda"
            and str(namespace).lower() in ("aws/lambda", "lambda")
            and name in (*_LAMBDA, *OTHERS)
            and (
                namespace != "Lambda" or (dimensions and dimensions.keys() <= {*_DIMENSIONS})
            )  # else it may be a user's own
        ):
            self._without_data(f"the namespace is AWS/Lambda, not {namespace}", "Namespace", "AWS/Lambda")
            namespace = "AWS/Lambda"
        if namespace == "AWS/SQS" and str(name) in _QUEUES:
            metric = self._of_queue(_QUEUES[str(name)], dimensions)
            return {"metric": metric, "statistic": plain(statistic), "of": "alias", "period": f"{int(period)} s"}
        front = _FRONT.get((str(namespace), str(name)))
        if str(name) in _REQUESTS and statistic not in ("Sum", "SampleCount"):
            front = None
        if front is None and namespace == "AWS/Lambda" and name not in (*_LAMBDA, *OTHERS):
            meant = nearest(str(name), _LAMBDA)
            if meant is not None:
                self._without_data(f"Lambda publishes no metric {name}; did you mean {meant!r}?", "MetricName", meant)
                name = meant
        if front is None and (namespace != "AWS/Lambda" or name not in _LAMBDA):
            if str(namespace).startswith(_FOREIGN) or statistic not in _COUNTED:
                raise ValueError(f"{namespace} {name} is not simulated")
            if "FunctionName" in dimensions:
                self._check_function(identity, dimensions["FunctionName"])
            own = Own(str(namespace), str(name), tuple(sorted(dimensions.items())))
            return {"metric": own, "statistic": plain(statistic), "of": "alias", "period": f"{int(period)} s"}
        word = plain(statistic)
        if front is not None:
            shown = (
                ", ".join(f"{key} {self._shown(value)}" for key, value in dimensions.items()) or "all of the account"
            )
            what = f"it was taken as that of the alias {self.callee.alias}, whoever else answers there"
            self.remarks.append(f"{identity} is about {namespace} {name} of {shown}: {what}")
            counted = {"statistic": "sample_count"} if str(name) in _REQUESTS else {"statistic": word}
            return {"metric": front, **counted, "of": "alias", "period": f"{int(period)} s"}
        metric = _LAMBDA[str(name)]
        unit = given.get("Unit")
        if unit not in (None, UNITS[metric]):
            self._without_data(f"Lambda publishes {name} in {UNITS[metric]}, not in {unit}", "Unit", UNITS[metric])
        scope = self._scope(identity, dimensions)
        if metric in STREAM_METRICS and all(event.fields.get("source") != "stream" for event in self.events):
            raise ValueError(f"{name} is of streams, and none feeds the alias {self.callee.alias}")
        return {"metric": metric, "statistic": word, "of": scope, "period": f"{int(period)} s"}

    def _of_readings(self, identity: str, metric: dict[str, Any], sign: str, limit: float) -> dict[str, Any]:
        """The Sum of a queue's readings, of which there is one a minute, as their maximum where that comes to the same."""
        if metric["metric"] not in QUEUE_METRICS or metric["statistic"] != "sum":
            return metric
        if metric["period"] != "60 s" and (sign, limit) not in ((">", 0.0), (">=", 1.0)):
            return metric
        self.remarks.append(
            f"{identity}: a queue is read once a minute: the Sum of its readings was taken as their Maximum"
        )
        return metric | {"statistic": "maximum"}

    def _of_queue(self, metric: str, dimensions: Mapping[str, str]) -> str:
        """The metric of a queue that feeds the alias, or of its dead-letter queue. Raises ValueError for other queues."""
        name = dimensions.get("QueueName", "")
        for event in self.events:
            if event.fields.get("source") != "queue":
                continue
            if same_queue(self.resolver, event.behind, name):
                return metric
            if same_queue(self.resolver, dead_letter_queue(self.resolver, event.behind), name):
                if metric != "messages_visible":
                    raise ValueError("how old messages are in a dead-letter queue is not simulated")
                return "messages_in_dlq"
        raise ValueError(
            f"it watches the queue {self._shown(name) or '(none)'}, which does not feed the alias {self.callee.alias}"
        )

    def _alone(self, identity: str, metric: dict[str, Any], sign: str, limit: float) -> dict[str, Any]:
        """The fields of an alarm on one metric; what one of the user's own counts is a guess."""
        if not isinstance(metric["metric"], Own):
            metric = self._of_readings(identity, metric, sign, limit)
            return metric | {"threshold": _threshold(sign, limit, metric)}
        role = role_alone(metric, sign, limit)
        expression, metrics = self._counted(identity, "count", {"count": metric}, {"count": role})
        if expression == "count":
            return metrics["count"] | {"threshold": _threshold(sign, limit, metrics["count"])}
        return _maths(expression, metrics, sign, limit)

    def _counted(
        self, identity: str, expression: str, metrics: Mapping[str, dict[str, Any]], told: Mapping[str, Role]
    ) -> tuple[str, dict[str, dict[str, Any]]]:
        """Metric maths in which the user's own metrics count what is `told`, a guess that is said."""
        for name, role in told.items():
            self._guess(identity, metrics[name]["metric"], role)
        return self.own.counted(expression, metrics, told, self._of_version)

    def _guess(self, identity: str, own: Own, role: Role) -> None:
        counted = {
            "requests": "each request",
            "bad_requests": "each bad request",
            "good_requests": "each good request",
        }
        of = "".join(f", {name} {self._shown(value)}" for name, value in own.dimensions if name != "FunctionName")
        what = f"what {own.namespace} {own.name}{of} counts is a GUESS"
        whose = self._of_version(own).replace("_", " ")
        self.remarks.append(f"{identity}: {what}: {counted[role]} of the {whose}, once")

    def _of_version(self, own: Own) -> str:
        """`new_version` where a dimension of a user's own metric is the version that is deployed, else `alias`."""
        versions = (_SYMBOL.fullmatch(self._shown(value)) for _, value in own.dimensions)
        mine = any(
            match is not None
            and re.search(r"\.Version\b", match[1])
            and self._is_own(self._function_of(match[1].partition(".")[0]) or "")
            for match in versions
        )
        return "new_version" if mine else "alias"

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """The scenario's own metrics that an alarm reads."""
        read = {str(fields.get("metric")) for fields in self.alarms.values()}
        read |= {
            str(query["metric"]) for fields in self.alarms.values() for query in fields.get("metrics", {}).values()
        }
        return {name: fields for name, fields in self.own.fields.items() if name in read}

    def _dimensions(self, given: Any) -> dict[str, str]:
        """The dimensions as text, in which symbols stand for what is not known."""
        if isinstance(given, Mapping):
            given = self.resolver.value(given)
        result = {}
        for dimension in given or []:
            chosen = isinstance(dimension, Mapping) and "Fn::If" in dimension
            entry = self.resolver.value(dimension) if chosen else as_mapping(dimension)
            if entry is NO_VALUE:
                continue
            result[str(self.resolver.text(entry["Name"]))] = self.resolver.text(entry["Value"])
        return result

    def _scope(self, identity: str, dimensions: Mapping[str, str]) -> str:
        """The scope (`of`) of an alarm with these dimensions. Raises ValueError where they are another function's, or nobody's."""
        dead = self._dead(dimensions)
        if dead is not None:
            return self._revived(identity, dimensions, dead)
        if not dimensions:
            self.remarks.append(
                f"{identity} watches all functions of the account; here it watches {self.callee.function} alone"
            )
            return "function"
        self._check_function(identity, dimensions["FunctionName"])
        if "Resource" not in dimensions:
            return "function"
        resource = dimensions["Resource"]
        alias = self._shown(resource).rpartition(":")[2]
        if ":" not in self._shown(resource):
            if isinstance(resource, Unknown):
                self.remarks.append(
                    f"{identity}: {resource} is not known: it was taken as the alias {self.callee.alias}"
                )
            else:
                if resource == self.callee.alias:
                    why = f"Resource is the alias's name alone, {resource}, where the metrics have name:alias"
                    return self._revived(identity, dimensions, why)
                raise ValueError(f"it watches calls without an alias ({resource}), and no call of a rollout is one")
        elif "⟨" in alias and alias.strip("⟨⟩").partition(".")[0] not in self.resolver.resources:
            self.remarks.append(f"{identity}: {alias} is not known: it was taken as the alias {self.callee.alias}")
        elif "⟨" in alias or alias == "$LATEST" or alias.isdigit():
            what = "a version called by its number" if alias != "$LATEST" else "$LATEST"
            raise ValueError(
                f"it watches {resource}, {what}: calls of the alias are published as name:{self.callee.alias}"
            )
        elif alias != self.callee.alias:
            raise ValueError(f"it watches {resource}, not the alias {self.callee.alias}")
        if "ExecutedVersion" not in dimensions:
            return "alias"
        version = dimensions["ExecutedVersion"]
        if not isinstance(version, Symbol) and "⟨" not in version:
            raise ValueError(f"it watches the version {version}, whatever is rolled out")
        other = self._function_of(version.strip("⟨⟩").partition(".")[0])
        if other is not None and not self._is_own(other):
            why = f"ExecutedVersion is a version of {other}, FunctionName {self.callee.function}"
            return self._revived(identity, dimensions, why)
        return "new_version"

    def _is_own(self, identity: str) -> bool:
        """Whether the function with this logical id is the one that is rolled out, which only its name may tell."""
        return self.callee.function in (identity, self.resolver.physical(identity))

    def _function_of(self, identity: str) -> str | None:
        """The function that a logical id stands for, or that it is a version of; None where neither is in the template."""
        if self._type(identity) == "AWS::Lambda::Version":
            named = self.resolver.text(self.resolver.resources[identity].get("Properties", {}).get("FunctionName", ""))
            identity = named.partition(".")[0] if isinstance(named, Symbol) else ""
        return identity if self._type(identity).endswith("::Function") else None

    def _revived(self, identity: str, dimensions: Mapping[str, str], why: str) -> str:
        """The scope that an alarm has once its dimensions, which can have no data, are set right.

        Raises _DeadError where alarms are read as they are, and not as they should be.
        """
        function, alias = self.callee.function, self.callee.alias
        own = self.resolver.physical(function).replace("⟨", "${").replace("⟩", "}")
        right = {"FunctionName": own}
        scope = "function"
        named = self._shown(dimensions.get("FunctionName", ""))
        qualified = _is_qualified(named) and not named.startswith("arn:")
        if qualified or dimensions.keys() & {"Resource", "ExecutedVersion"} or "FunctionName" not in dimensions:
            right["Resource"], scope = f"{own}:{alias}", "alias"
        if "ExecutedVersion" in dimensions:
            right["ExecutedVersion"], scope = "the new version's number", "new_version"
        if self._mends is not None:
            self._check_named(identity, dimensions)
        self._without_data(why, "Dimensions", right)
        return scope

    def _check_named(self, identity: str, dimensions: Mapping[str, str]) -> None:
        """Checks that wrong dimensions are meant for this function. Raises _OthersError where they name another one."""
        base = self._shown(dimensions.get("FunctionName", dimensions.get("Resource", ""))).partition(":")[0]
        candidates = [
            other
            for other, resource in self.resolver.resources.items()
            if str(resource.get("Type")).endswith("::Function") and other != self.callee.function
        ]
        for other in candidates:
            if base in (other, f"${{{other}}}", f"⟨{other}⟩", f"⟨{other}.Arn⟩", self.resolver.physical(other)):
                raise _OthersError(other, self.callee.function)
        if base and not any(mark in base for mark in ("⟨", "${", "arn")) and base not in (
            self.callee.function, self.callee.alias, self.resolver.physical(self.callee.function),
        ):  # fmt: skip
            self._check_function(identity, base)

    def _check_function(self, identity: str, name: str) -> None:
        """Checks that a name is this function's, or may be. Raises _OthersError where it is another function's."""
        function = self.callee.function
        shown, own = self._shown(name), self.resolver.physical(function)
        if shown in (own, Symbol(function).shown) or (function not in self.resolver.resources and name == function):
            return
        inner = shown.strip("⟨⟩")
        other = inner if shown.startswith("⟨") and inner in self.resolver.resources else None
        for candidate, resource in self.resolver.resources.items():
            if str(resource.get("Type")).endswith("::Function") and self.resolver.physical(candidate) == shown:
                other = candidate
        if other is None and "⟨" in shown:
            self.remarks.append(f"{identity}: the function {shown} is not known: it was taken as {function}")
        elif other is None and "⟨" in own and function in self.resolver.resources and own != Symbol(function).shown:
            self.remarks.append(f"{identity}: the name of {function} is not known: {shown} was taken as it")
        else:
            raise _OthersError(other or shown, function)

    def _dead(self, dimensions: Mapping[str, str]) -> str | None:
        """Why no metric of Lambda ever has these dimensions, in a sentence; None where one may."""
        strange = [name for name in dimensions if name not in _DIMENSIONS]
        if strange:
            return f"Lambda publishes none of its metrics with the dimension {strange[0]}"
        for name, needed in (
            ("Resource", "FunctionName"), ("ExecutedVersion", "FunctionName"), ("ExecutedVersion", "Resource"),
        ):  # fmt: skip
            if name in dimensions and needed not in dimensions:
                return f"Lambda publishes no metric with the dimension {name} and without {needed}"
        for name, value in dimensions.items():
            why = self._dead_value(name, self._shown(value))
            if why is not None:
                return why
        if "Resource" in dimensions:
            base, own = (self._shown(dimensions[name]) for name in ("Resource", "FunctionName"))
            base = base.rpartition(":")[0]
            if base and "⟨" not in base + own and base != own:
                return f"Resource is about the function {base}, FunctionName about {own}"
        return None

    def _dead_value(self, name: str, shown: str) -> str | None:
        """Why no metric has this value of a dimension; None where one may."""
        if "${" in shown:
            return f"{name} is the text {shown}, in which nothing is put in: there is no !Sub"
        if shown.startswith("arn:") or any(map(self._is_arn, _SYMBOL.findall(shown))):
            form = {"FunctionName": "the function's name", "Resource": "name:alias"}.get(name, "the version's number")
            return f"{name} is an ARN, where the metrics have {form}"
        base = shown.partition(":")[0]
        if name == "FunctionName" and _is_qualified(shown):
            return (
                f"FunctionName is {shown}, where the metrics have the function's name alone, and name:alias as Resource"
            )
        if name != "ExecutedVersion" and self._type(base).endswith("::Function"):
            own = self.resolver.physical(base)
            if own != base and (own == Symbol(base).shown or "⟨" not in own):
                return f"{name} is the text {shown}, and {base} is a logical id and not a name: ${{{base}}} is meant"
        return None

    def _is_arn(self, symbol: str) -> bool:
        identity, _, attribute = symbol.partition(".")
        kind = self._type(identity)
        if kind.endswith("::Function"):
            return attribute in ("Arn", "Alias", "Version", "AliasArn")
        return (kind, attribute) in _ARNS

    def _type(self, identity: str) -> str:
        resource = self.resolver.resources.get(identity)
        return str(resource.get("Type")) if isinstance(resource, Mapping) else ""

    def _shown(self, value: str) -> str:
        """The text of a dimension, a symbol as it looks inside other text."""
        return self.resolver.physical(value) if isinstance(value, Symbol) else value

    def _sign(self, properties: Mapping[str, Any]) -> str:
        """The sign of the comparison. Raises ValueError for one that is none of CloudWatch's."""
        operator = self._value(properties, "ComparisonOperator")
        if operator not in _SIGNS:
            raise ValueError(f"ComparisonOperator: got {operator!r}; allowed {', '.join(_SIGNS)}")
        return _SIGNS[str(operator)]


def _is_qualified(name: str) -> bool:
    """Whether a function's name has an alias or a version behind it; what stands for a value that is not known has none."""
    return ":" in _UNREAD.sub("", name)


def _switched(value: Any) -> bool:
    """ReturnData, which is true where nobody says it."""
    return str(value).lower() not in ("false", "no", "off")


def _names(expression: str) -> set[str]:
    return {match[0] for match in _WORD.finditer(expression) if match[0][0] not in "\"'"}


def _threshold(sign: str, limit: float, metric: Mapping[str, Any]) -> str:
    if metric["metric"] not in AGES or metric["statistic"] == "sample_count":
        return f"{sign} {limit:.12g}"
    return f"{sign} {text(limit / 1000 if metric['metric'] in MILLISECONDS else limit, 'duration')}"


def _maths(expression: str, metrics: dict[str, dict[str, Any]], sign: str, limit: float) -> dict[str, Any]:
    """The fields of an alarm on metric maths. Raises ValueError where its metrics have different periods."""
    periods = {metric.pop("period") for metric in metrics.values()}
    if len(periods) > 1:
        raise ValueError(f"its metrics have different periods ({', '.join(sorted(periods))})")
    return {
        "expression": expression, "metrics": metrics, "period": periods.pop(), "threshold": f"{sign} {limit:.12g}",
    }  # fmt: skip


def _as_rate(known: Any, metrics: Mapping[str, dict[str, Any]]) -> tuple[float, float, dict[str, Any]] | None:
    """Where an expression is a + b × errors / invocations, in whatever way it is written: a, b and the metric of the errors.

    It is asked at points: for all counts with no more errors than invocations, and where there is no datapoint.
    """
    kinds = {metric["metric"]: key for key, metric in metrics.items() if metric["statistic"] == "sum"}
    if len(metrics) != 2 or set(kinds) != {"errors", "invocations"}:
        return None
    errors, invocations = (metrics[kinds[name]] for name in ("errors", "invocations"))
    if (errors["of"], errors["period"]) != (invocations["of"], invocations["period"]):
        return None
    total = np.array([1.0, 1.0, 2.0, 7.0, 20.0, 1000.0, 1e6, np.nan])
    bad = np.array([0.0, 1.0, 1.0, 3.0, 0.0, 400.0, 1.0, np.nan])
    result = known.compute({kinds["errors"]: bad, kinds["invocations"]: total})
    base, slope = float(result[0]), float(result[1] - result[0])
    if not np.isfinite([base, slope]).all() or slope == 0 or not np.isnan(result[-1]):
        return None
    fits = np.allclose(result[:-1], base + slope * bad[:-1] / total[:-1], rtol=1e-9, atol=2e-9 * abs(slope))
    return (base, slope, errors) if fits else None


def check(fields: Mapping[str, Any]) -> None:
    """Raises ValueError for an alarm that no scenario takes."""
    try:
        TypeAdapter(Alarm).validate_python(json.loads(json.dumps(fields)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = str(first.get("ctx", {}).get("error", first["msg"]))
        raise ValueError(f"{where}: {what}" if where else what) from None
