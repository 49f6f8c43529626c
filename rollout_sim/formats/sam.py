"""SAM templates: a function with its alias, deployment preference, hooks and alarms, read into a scenario file.

CloudFormation's YAML is read by cfn-lint, the `Globals` section is merged by the SAM translator. What a template cannot
know (traffic, error rates, durations, SLO) gets a default and a comment that says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import check_limits, commented, shorten
from rollout_sim.errors import ScenarioError, legible
from rollout_sim.formats.cloudwatch import alarm_of
from rollout_sim.formats.codedeploy import strategy_of
from rollout_sim.formats.intrinsics import MISSING, Resolver, UnresolvedError
from rollout_sim.formats.snippet import dashed
from rollout_sim.scenario.scenario import Scenario

FUNCTION: Final = "AWS::Serverless::Function"
SYNCHRONOUS: Final = ("Api", "HttpApi", "AlexaSkill", "Cognito")
"""The events of a SAM function whose sender waits for the answer."""
POLLED: Final = ("SQS", "Kinesis", "DynamoDB", "MSK", "MQ", "SelfManagedKafka", "DocumentDB")
SCHEDULED: Final = ("Schedule", "ScheduleV2")


class Deployed:
    """One function of a template, as far as a rollout is concerned; `remarks` says what was left out or assumed."""

    def __init__(self, resolver: Resolver, identity: str, properties: Mapping[str, Any]) -> None:
        self.resolver = resolver
        self.identity = identity = str(identity)
        self.properties = properties
        self.remarks: list[str] = []
        self.name: str = self._take(properties, "FunctionName", str, identity)
        self.alias: str = self._take(properties, "AutoPublishAlias", str, "live")
        self.timeout: int = self._take(properties, "Timeout", int, 3)
        self.reserved: int | None = self._take(properties, "ReservedConcurrentExecutions", int, None)
        provisioned = self._take(properties, "ProvisionedConcurrencyConfig", _mapping, {})
        self.provisioned: int = self._take(provisioned, "ProvisionedConcurrentExecutions", int, 0)
        self.source = self._source()
        preference = self._preference()
        self.strategy = self._strategy(preference)
        self.alarms = self._alarms(preference)

    def _source(self) -> dict[str, Any]:
        """What the events of the function say about its traffic."""
        events = self._take(self.properties, "Events", _mapping, {})
        kinds = {
            str(name): (str(event.get("Type")), self._take(event, "Properties", _mapping, {}))
            for name, event in events.items()
            if isinstance(event, Mapping)
        }
        for name, (kind, properties) in kinds.items():
            if kind in SCHEDULED:
                match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", str(properties.get("Schedule", "")))
                if match is not None:
                    unit = {"minute": "min", "hour": "h", "day": "d"}[match[2]]
                    return {"source": "schedule", "alias": self.alias, "arrivals": {"fixed": f"{match[1]} {unit}"}}
                self.remarks.append(f"the schedule of {name} is no rate(...): its interval of 1 h is a guess")
                return {"source": "schedule", "alias": self.alias, "arrivals": {"fixed": "1 h"}}
        sources = {kind for kind, _ in kinds.values()}
        if sources & set(POLLED):
            self.remarks.append(
                "events that Lambda polls (queues, streams) are asynchronous ones here, without batches"
            )
        http = not sources or bool(sources & set(SYNCHRONOUS))
        return {"source": "http" if http else "data", "alias": self.alias, "arrivals": {"poisson": "10/s"}}

    def _take(self, properties: Mapping[str, Any], name: str, kind: Callable[[Any], Any], default: Any) -> Any:
        """The resolved property as `kind` reads it, or the default.

        The default comes silently where the property is not given, with a remark where it is not known or makes no sense.
        """
        if name not in properties:
            return default
        try:
            value = self.resolver.value(properties[name])
            return default if value is MISSING else kind(value)
        except UnresolvedError as error:
            what = str(error)
        except (TypeError, ValueError, OverflowError):
            what = f"cannot be read, got {shorten(str(properties[name]))}"
        self.remarks.append(f"{name}: {what}" + (f"; {default} is the default" if default else ""))
        return default

    def _preference(self) -> Mapping[str, Any]:
        """The fields of the deployment preference, each still unresolved; none where it is switched off."""
        given = self.properties.get("DeploymentPreference")
        if isinstance(given, Mapping) and len(given) == 1 and "Fn::If" in given:
            given = self._take(self.properties, "DeploymentPreference", _mapping, None)
        if not isinstance(given, Mapping):
            self.remarks.append("there is no DeploymentPreference: the alias moves all at once, and nothing watches")
            return {}
        if str(self._take(given, "Enabled", str, "true")).lower() == "false":
            self.remarks.append(
                "the DeploymentPreference is not enabled: the alias moves all at once, and nothing watches"
            )
            return {}
        return given

    def _strategy(self, preference: Mapping[str, Any]) -> dict[str, Any]:
        kind: str = self._take(preference, "Type", str, "AllAtOnce")
        config: Any = kind
        for identity, resource in self.resolver.resources.items():
            if resource.get("Type") == "AWS::CodeDeploy::DeploymentConfig":
                inner = self._take(resource, "Properties", _mapping, {})
                if kind in (identity, str(inner.get("DeploymentConfigName"))):
                    config = inner.get("TrafficRoutingConfig")
        try:
            strategy = strategy_of(config)
        except (ValueError, OverflowError) as error:
            raise UnresolvedError(f"DeploymentPreference.Type: {error}") from None
        hooks = self._take(preference, "Hooks", _mapping, {})
        named = {"PreTraffic": "before_allow_traffic", "PostTraffic": "after_allow_traffic"}
        tests = {named[name]: self._hook(str(hook)) for name, hook in hooks.items() if name in named}
        return strategy | ({"hooks": tests} if tests else {})

    def _hook(self, identity: str) -> dict[str, Any]:
        """How a hook tests, by the environment variables TESTS, SECONDS and MAX_FAILURES of its function."""
        properties = self.resolver.resources.get(identity, {}).get("Properties", {})
        environment = self._take(properties, "Environment", _mapping, {})
        variables = self._take(environment, "Variables", _mapping, {})
        try:
            return {
                "invocations": int(variables["TESTS"]),
                "over": f"{float(variables['SECONDS']):g} s",
                "max_failures": int(variables["MAX_FAILURES"]),
            }
        except (KeyError, ValueError, TypeError):
            self.remarks.append(
                f"how often the hook {identity} calls the new version is not in the template: 10 times in 30 s"
            )
            return {"invocations": 10, "over": "30 s", "max_failures": 0}

    def _alarms(self, preference: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        given = preference.get("Alarms") or []
        if not isinstance(given, list):
            given = self._take(preference, "Alarms", _items, [])
        alarms = {}
        for reference in given:
            name = reference
            try:
                name = self.resolver.value(reference)
                if name is not MISSING:
                    alarms[dashed(spaced(str(name)))] = self._alarm(str(name))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                what = f"{error.args[0]}: missing" if isinstance(error, KeyError) else str(error)
                self.remarks.append(f"left out: the alarm {name}: {what}")
        return alarms

    def _alarm(self, name: str) -> dict[str, Any]:
        """Raises ValueError or KeyError for an alarm that cannot be read."""
        for identity, resource in self.resolver.resources.items():
            properties = resource.get("Properties", {})
            if name != identity and ("AlarmName" not in properties or name != self._alarm_name(properties)):
                continue
            if resource.get("Type") != "AWS::CloudWatch::Alarm":
                raise ValueError(f"a {resource.get('Type')} is not read; allowed AWS::CloudWatch::Alarm")
            if "Condition" in resource and not self.resolver.condition(str(resource["Condition"])):
                raise ValueError(f"its condition {resource['Condition']} does not hold")
            wanted = {
                key: value for key, value in properties.items() if not key.endswith("Actions") and key not in _SAID
            }
            resolved = _mapping(self.resolver.value(wanted))
            self._check_dimensions(name, resolved)
            return alarm_of(resolved)
        raise ValueError("is not in the template")

    def _alarm_name(self, properties: Mapping[str, Any]) -> str | None:
        try:
            return str(self.resolver.value(properties["AlarmName"]))
        except UnresolvedError:
            return None

    def _check_dimensions(self, name: str, properties: Mapping[str, Any]) -> None:
        """Raises ValueError for an alarm on something else than this function's alias."""
        first: Any = next(
            (query["MetricStat"]["Metric"] for query in properties.get("Metrics", []) if "MetricStat" in query),
            properties,
        )
        dimensions = {str(dimension["Name"]): str(dimension["Value"]) for dimension in first.get("Dimensions", [])}
        function = dimensions.get("FunctionName")
        if function not in (self.identity, self.name):
            raise ValueError(f"it watches the function {function}, not {self.identity}")
        resource = dimensions.get("Resource")
        if resource is None:
            self.remarks.append(f"the alarm {name} watches all of the function; here it watches the alias {self.alias}")
        elif resource.partition(":")[2] != self.alias:
            raise ValueError(f"it watches {resource}, not the alias {self.alias}")


_SAID: Final = ("AlarmDescription", "AlarmName", "ActionsEnabled", "Tags")


def spaced(name: str) -> str:
    """`NewVersionErrorsAlarm` as words: `New Version Errors`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removesuffix("Alarm") or name)


def read(path: Path, function: str | None = None, parameters: Mapping[str, str] | None = None) -> Deployed:
    """The function of the template that is rolled out, or the one with the logical id `function`.

    `parameters` take the place of the template's defaults. Raises ScenarioError for a file that is no template, or where
    it is not clear which function is meant.
    """
    template = template_of(path, parameters or {})
    resolver = Resolver(template, parameters or {})
    resources = resolver.resources
    rolled = rolled_of(template)
    if function is not None and function not in rolled:
        raise ScenarioError([f"{path}: --function: got {function!r}; allowed {', '.join(rolled) or 'none'}"])
    if not rolled:
        raise ScenarioError([f"{path}: Resources: no {FUNCTION} has an AutoPublishAlias, so nothing is rolled out"])
    if function is None and len(rolled) > 1:
        raise ScenarioError(
            [f"{path}: several functions are rolled out; choose one with --function: {', '.join(rolled)}"]
        )
    identity = function or next(iter(rolled))
    try:
        deployed = Deployed(resolver, identity, rolled[identity])
        condition = resources[identity].get("Condition")
        if condition is not None and not resolver.condition(str(condition)):
            deployed.remarks.append(f"{identity} is not deployed at all while its condition {condition} does not hold")
    except UnresolvedError as error:
        raise ScenarioError([f"{path}: {identity}: {error}"]) from None
    deployed.remarks[:] = [legible(remark) for remark in (*resolver.taken, *deployed.remarks)]
    return deployed


def template_of(path: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template in a file, which has all of the `parameters`. Raises ScenarioError."""
    template = _template(path)
    unknown = sorted(set(parameters) - set(template.get("Parameters", {})))
    if unknown:
        allowed = ", ".join(template.get("Parameters", {})) or "none"
        raise ScenarioError([f"{path}: --parameter: there is no parameter {unknown[0]!r}; allowed {allowed}"])
    return template


def rolled_of(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The properties of each function of a template that is rolled out, by logical id."""
    return {
        identity: resource.get("Properties", {})
        for identity, resource in template["Resources"].items()
        if resource.get("Type") == FUNCTION and "AutoPublishAlias" in resource.get("Properties", {})
        and not _off(resource["Properties"].get("DeploymentPreference"))
    }  # fmt: skip


def _mapping(value: Any) -> Mapping[str, Any]:
    """Raises TypeError for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"not a mapping, got {value!r}")
    return value


def _items(value: Any) -> list[Any]:
    """Raises TypeError for anything but a list."""
    if not isinstance(value, list):
        raise TypeError(f"not a list, got {value!r}")
    return value


def _has_properties(resource: Any) -> bool:
    return isinstance(resource, Mapping) and isinstance(resource.get("Properties") or {}, Mapping)


def _off(preference: Any) -> bool:
    return isinstance(preference, Mapping) and str(preference.get("Enabled", True)).lower() == "false"


def _template(path: Path) -> dict[str, Any]:
    """The template with its `Globals` merged into its functions. Raises ScenarioError."""
    try:
        from cfnlint.decode import decode
        from samtranslator.plugins.globals.globals import Globals, InvalidGlobalsSectionException
    except ModuleNotFoundError:
        raise ScenarioError(["import sam: needs cfn-lint; install it with: pip install 'rollout-sim[aws]'"]) from None
    check_limits(path)
    template, errors = decode(str(path))
    if errors:
        raise ScenarioError([f"{path}:{problem.linenumber}: {problem.message}" for problem in errors])
    resources = template.get("Resources") if isinstance(template, Mapping) else None
    if not isinstance(resources, Mapping) or not all(map(_has_properties, resources.values())):
        raise ScenarioError([f"{path}: Resources: a template needs them as a mapping of resources with `Properties`"])
    complete = dict(template)
    for section in ("Parameters", "Conditions", "Mappings"):
        complete[section] = complete.get(section) or {}
        if not isinstance(complete[section], Mapping):
            raise ScenarioError([f"{path}: {section}: must be a mapping, got {shorten(str(complete[section]))}"])
    try:
        merged = Globals(complete)
        complete["Resources"] = {
            identity: {**resource, "Properties": merged.merge(FUNCTION, resource.get("Properties") or {}, identity)}
            if resource.get("Type") == FUNCTION
            else {**resource, "Properties": resource.get("Properties") or {}}
            for identity, resource in resources.items()
        }
    except InvalidGlobalsSectionException as error:
        raise ScenarioError([f"{path}: {error.message}"]) from None
    return complete


START: Final = 600.0
"""Seconds of ordinary traffic before the rollout."""
AFTER: Final = 1800.0
"""Seconds that are simulated after the rollout."""
GUESS: Final = "GUESS: "


def from_sam(
    path: Path, function: str | None = None, parameters: Mapping[str, str] | None = None
) -> tuple[str, list[str]]:
    """The scenario file of a SAM template's function, and what was left out or assumed on the way.

    Raises ScenarioError for a template that cannot be read, or whose rollout no scenario can have.
    """
    deployed = read(path, function, parameters)
    fields = {key: value for _, part in sections(deployed, 0.0) for key, value in part.items()}
    scenario = Scenario.from_dict(fields, path=path)
    length = max(strategy.plan.length for strategy in scenario.strategies.values())
    return commented(sections(deployed, length)), deployed.remarks


def sections(deployed: Deployed, length: float) -> list[tuple[str, dict[str, Any]]]:
    """The comments and fields of the scenario; `length` is how long the rollout takes (s)."""
    first: dict[str, Any] = {
        "duration": {"lognormal": {"median": "100 ms", "p99": "1 s"}}, "cold_start": "500 ms", "error_rate": "0.1%",
    }  # fmt: skip
    if deployed.provisioned:
        first["provisioned"] = deployed.provisioned
    function: dict[str, Any] = {"name": deployed.name, "timeout": text(deployed.timeout, "duration")}
    if deployed.reserved is not None:
        function["reserved_concurrency"] = deployed.reserved
    function |= {
        "versions": {"1": first, "2": {"like": "1", "faults": [{"errors": "5%"}]}},
        "aliases": {deployed.alias: "1"},
    }
    rollout: dict[str, Any] = {"alias": deployed.alias, "to": "2", "start": text(START, "duration")}
    if deployed.alarms:
        rollout["alarms"] = list(deployed.alarms)
    strategies = {str(deployed.strategy["type"]): deployed.strategy}
    head = [
        f"The rollout of {deployed.identity}, as its SAM template has it. GUESS marks what the template cannot know."
    ]
    head += [f"- {remark}" for remark in deployed.remarks]
    horizon = START + math.ceil(length / 60) * 60 + AFTER
    slo = {"name": "availability", "sli": "errors", "objective": "99.9%", "window": "30 d"}
    return [
        (
            "\n".join(head),
            {
                "name": deployed.name,
                "seed": 1,
                "horizon": text(horizon, "duration"),
            },
        ),
        (
            f"{GUESS}duration, cold start and error rate of version 1, which runs; what is wrong with version 2, which is new.",
            {"function": function},
        ),
        (f"{GUESS}how many events come, unless a schedule tells.", {"traffic": [deployed.source]}),
        (f"{GUESS}the SLO.", {"slos": [slo]}),
        ("", {"alarms": deployed.alarms} if deployed.alarms else {}),
        ("", {"rollout": rollout, "strategies": strategies}),
    ]
