"""Stacks: the functions of a CloudFormation document whose aliases are shifted by CodeDeploy, however the document says it.

SAM's functions have an `AutoPublishAlias` and a `DeploymentPreference`. In plain CloudFormation, which CDK, the Serverless
Framework and SAM's own transform write, an `AWS::Lambda::Alias` names its deployment group in its `UpdatePolicy`. A deployment
group that no alias names, as `export cloudformation` writes it, is told apart by what its alarms watch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import suggest
from rollout_sim.errors import ScenarioError, legible
from rollout_sim.formats.codedeploy import strategy_of
from rollout_sim.formats.templates.deployed import HOOK, Deployed
from rollout_sim.formats.templates.events import Around, Callee, exists, sam_events
from rollout_sim.formats.templates.intrinsics import (
    BrokenError,
    Properties,
    Resolver,
    Symbol,
    Unknown,
    UnresolvedError,
    as_switch,
)
from rollout_sim.formats.templates.template import SAM_FUNCTION, Template
from rollout_sim.formats.templates.watching import Watching
from rollout_sim.function.managed import PER_VCPU, EnvironmentLimits

ALIAS: Final = "AWS::Lambda::Alias"
GROUP: Final = "AWS::CodeDeploy::DeploymentGroup"
CUSTOM: Final = ("Custom::AWS", "AWS::CloudFormation::CustomResource")
"""What CDK makes a configuration of its own with: a call of CodeDeploy's API."""
CONFIG: Final = "AWS::CodeDeploy::DeploymentConfig"
SCALED: Final = "AWS::ApplicationAutoScaling::ScalableTarget"
STOP_ON_ALARM: Final = "DEPLOYMENT_STOP_ON_ALARM"
_SAM_HOOKS: Final = {"PreTraffic": "before_allow_traffic", "PostTraffic": "after_allow_traffic"}
_HOOKS: Final = {"BeforeAllowTrafficHook": "before_allow_traffic", "AfterAllowTrafficHook": "after_allow_traffic"}


class Stack:
    """One template with the values of its parameters: which functions it rolls out, and each of them.

    `rate` (1/s) is that of each function's events, where it is not to be guessed.
    """

    def __init__(
        self, template: Template, parameters: Mapping[str, str], origin: str = "template", rate: float | None = None
    ) -> None:
        self.template = template = _with_sam_aliases(template, parameters)
        self.parameters = parameters
        self.origin = origin
        self.rate = rate
        self.resources: Mapping[str, Any] = template.data["Resources"]
        self.rollouts = self._rollouts()
        """What makes each rollout's `Deployed`, by the name that `--function` takes."""

    def _rollouts(self) -> dict[str, Callable[[], Deployed]]:
        """SAM's functions, aliases with a deployment group, and groups without an alias."""
        rollouts: dict[str, Callable[[], Deployed]] = {}
        resolver = Resolver(self.template.data, self.parameters)
        groups: dict[str, None] = {
            identity: None for identity, resource in self.resources.items() if resource.get("Type") == GROUP
        }
        loose = set(groups)
        for identity, resource in self.resources.items():
            properties = resource["Properties"]
            if resource.get("Type") == SAM_FUNCTION:
                if "AutoPublishAlias" in properties and not _switched_off(properties.get("DeploymentPreference")):
                    rollouts[str(identity)] = partial(self._sam, str(identity))
            elif resource.get("Type") == ALIAS:
                policy = resource.get("UpdatePolicy")
                shift = policy.get("CodeDeployLambdaAliasUpdate") if isinstance(policy, Mapping) else None
                if isinstance(shift, Mapping):
                    group = self._group_of(resolver, shift, groups)
                    loose.discard(str(group))
                    function = self._function_of(resolver, properties)
                    name = function if function in self.resources and function not in rollouts else str(identity)
                    rollouts[name] = partial(self._alias, str(identity), function, group)
        for group in groups:
            if group in loose and is_of_lambda(self.resources, resolver, group):
                rollouts[group] = partial(self._loose, group)
        return rollouts

    def chosen(self, function: str | None) -> str:
        """The rollout of that name, the only one for None. Raises ScenarioError naming those that there are."""
        path, names = self.template.path, list(self.rollouts)
        if function is not None and function not in names:
            hint = suggest(function, names)
            raise ScenarioError([f"{path}: --function: got {function!r}; allowed {', '.join(names) or 'none'}{hint}"])
        if not names:
            off = [identity for identity, given in self.resources.items() if _is_off(given)]
            what = f"no {SAM_FUNCTION} has an AutoPublishAlias, no {ALIAS} an UpdatePolicy with CodeDeploy"
            what = f"the DeploymentPreference of {', '.join(off)} is not enabled" if off else what
            raise ScenarioError([f"{path}: Resources: {what}, so nothing is rolled out"])
        if function is None and len(names) > 1:
            what = f"several functions are rolled out; choose one with --function: {', '.join(names)}"
            raise ScenarioError([f"{path}: {what}; or take each with --all"])
        return function or names[0]

    def read(self, function: str) -> Deployed:
        """One rollout, by its name. Raises ScenarioError for one that no scenario can have."""
        try:
            deployed = self.rollouts[function]()
        except UnresolvedError as error:
            raise ScenarioError([f"{self.template.path}: {function}: {error}"]) from None
        deployed.line, deployed.given = self.template.line("Resources", deployed.identity), self.rate
        if not deployed.events:
            deployed.remarks.append(f"who calls the alias {deployed.alias} is not in the template: http is a GUESS")
        if deployed.reserved == 0:
            deployed.remarks.append(
                "ReservedConcurrentExecutions is 0: the function is switched off, and every call is throttled"
            )
        deployed.warn()
        deployed.remarks[:] = [legible(remark) for remark in dict.fromkeys((*self.template.remarks, *deployed.remarks))]
        return deployed

    # --- the three ways to say it -------------------------------------------------------------------------------------

    def _sam(self, identity: str) -> Deployed:
        """A SAM function with its alias and its deployment preference."""
        remarks: list[str] = []
        resource, resolver = self.resources[identity], Resolver(self.template.data, self.parameters)
        function = Properties(resolver, resource["Properties"], remarks)
        deployed = self._function(identity, function)
        deployed.alias, deployed.has_preference = function.take("AutoPublishAlias", str, "live"), True
        aliases = (f"{identity}.Alias", f"{identity}Alias{deployed.alias}")
        callee = Callee(function=identity, alias=deployed.alias, timeout=deployed.timeout, aliases=aliases)
        own = sam_events(function, remarks, deployed.timeout)
        services = ("apigateway",) if any(event.kind == "http" for event in own) else ()
        around = Around(resolver, callee, remarks, services, called=bool(own))
        deployed.events, deployed.past = [*own, *around.read()], around.past
        deployed.retries = self._invoke_config(callee, resolver, remarks) | _retries(
            function.inside("EventInvokeConfig")
        )
        self._scale(deployed, callee, resolver, remarks)
        function.prefer("DeploymentPreference", _watched_by)
        if not function.has("DeploymentPreference"):
            remarks.append("there is no DeploymentPreference: the alias moves all at once, and nothing watches")
        preference = function.inside("DeploymentPreference")
        if not preference.take("Enabled", as_switch, True):
            remarks.append("the DeploymentPreference is not enabled: the alias moves all at once, and nothing watches")
            preference = Properties(resolver, {}, remarks)
        preference.prefer("Alarms", _watched_by)
        self._shift(deployed, preference, "Type", "DeploymentPreference.Type")
        hooks = preference.inside("Hooks")
        self._hooks(deployed, {name: hooks.text(key) for key, name in _SAM_HOOKS.items() if hooks.has(key)}, resolver)
        where = ("Resources", identity, "Properties", "DeploymentPreference", "Alarms")
        self._watch(deployed, callee, resolver, preference.items("Alarms"), *where)
        return self._finished(deployed, resource, resolver, remarks)

    def _alias(self, identity: str, function: str, group: str | None) -> Deployed:
        """An alias whose updates CodeDeploy carries out."""
        remarks: list[str] = []
        alias, resolver = self.resources[identity], Resolver(self.template.data, self.parameters)
        resource = self.resources.get(function, {"Properties": {}})
        properties = Properties(resolver, alias["Properties"], remarks)
        deployed = self._function(function, Properties(resolver, resource["Properties"], remarks))
        deployed.alias = properties.take("Name", str, "live")
        deployed.provisioned = self._provisioned(properties, resolver, remarks)
        callee = Callee(function=function, alias=deployed.alias, timeout=deployed.timeout, aliases=(identity,))
        around = Around(resolver, callee, remarks)
        deployed.events, deployed.past = around.read(), around.past
        deployed.retries = self._invoke_config(callee, resolver, remarks)
        self._scale(deployed, callee, resolver, remarks)
        shift = Properties(resolver, alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"], remarks)
        hooks = {name: shift.text(key) for key, name in _HOOKS.items() if shift.has(key)}
        if group is None:
            remarks.append(
                f"the deployment group {shift.text('DeploymentGroupName')} is not in the template: what it does is a GUESS"
            )
        self._group(deployed, group, callee, resolver, remarks)
        self._hooks(deployed, hooks, resolver)
        return self._finished(deployed, resource, resolver, remarks)

    def _loose(self, group: str) -> Deployed:
        """A deployment group without an alias in the template: its alarms tell the function and the alias."""
        remarks: list[str] = []
        resolver = Resolver(self.template.data, self.parameters)
        properties = Properties(resolver, self.resources[group]["Properties"], remarks)
        names, aliases = self._watched(properties, resolver)
        function = names[0] if names else group
        deployed = Deployed(identity=group, name=function.strip("⟨⟩"), origin=self.origin)
        if aliases:
            deployed.alias = aliases[0]
        else:
            remarks.append(
                f"which alias the deployment group {group} shifts is not in the template: {deployed.alias} is a GUESS"
            )
        remarks.append("timeout and limits of the function are not in the template: Lambda's defaults are a GUESS")
        callee = Callee(function=function, alias=deployed.alias, aliases=())
        self._group(deployed, group, callee, resolver, remarks)
        return self._finished(deployed, self.resources[group], resolver, remarks)

    def _watched(self, group: Properties, resolver: Resolver) -> tuple[list[str], list[str]]:
        """The functions and aliases in the dimensions of a group's alarms, the first ones first."""
        watching = Watching(resolver, Callee(function="", alias="", aliases=()), self.template.place)
        names, aliases = [], []
        for entry in group.inside("AlarmConfiguration").items("Alarms"):
            identity = watching.identity(resolver.text(entry.get("Name"))) if isinstance(entry, Mapping) else None
            stack: list[Any] = [self.resources[identity]["Properties"]] if identity is not None else []
            while stack:
                part = stack.pop()
                if isinstance(part, Mapping) and part.get("Name") == "FunctionName":
                    names.append(resolver.inside(part.get("Value")))
                elif isinstance(part, Mapping) and part.get("Name") == "Resource":
                    aliases.append(resolver.inside(part.get("Value")).rpartition(":")[2])
                elif isinstance(part, Mapping | list):
                    stack += part.values() if isinstance(part, Mapping) else part
        return names, [alias for alias in aliases if re.fullmatch(r"[A-Za-z0-9_-]+", alias)]

    # --- parts --------------------------------------------------------------------------------------------------------

    def _function(self, identity: str, function: Properties) -> Deployed:
        """The function itself: its name, its limits, what its cold starts are."""
        resource = self.resources.get(identity)
        generated = identity if resource is not None else identity.strip("⟨⟩")
        snap = function.inside("SnapStart").text("ApplyOn")
        sam = isinstance(resource, Mapping) and resource.get("Type") == SAM_FUNCTION
        provisioned = function.inside("ProvisionedConcurrencyConfig") if sam else Properties(function.resolver, {}, [])
        if function.has("DurableConfig"):
            function.remarks.append(
                "left out: DurableConfig: executions that began on a version stay on it, and a rollback does not move them"
            )
        return Deployed(
            identity=str(identity),
            name=function.take("FunctionName", str, str(generated)),
            origin="SAM template" if sam else self.origin,
            timeout=float(function.take("Timeout", lambda value: _count(value, least=1), 3)),
            reserved=function.take("ReservedConcurrentExecutions", _count, None),
            provisioned=provisioned.take("ProvisionedConcurrentExecutions", _count, 0),
            managed=_managed(function),
            snap_start=snap == "PublishedVersions",
            described=_described(function),
        )

    def _group(
        self, deployed: Deployed, group: str | None, callee: Callee, resolver: Resolver, remarks: list[str]
    ) -> None:
        """The deployment group: its configuration, its alarms, and whether it rolls back."""
        given = self.resources[group]["Properties"] if group is not None else {}
        properties = Properties(resolver, given, remarks)
        properties.prefer("AlarmConfiguration", _watched_by)
        alarms = properties.inside("AlarmConfiguration")
        alarms.prefer("Alarms", _watched_by)
        self._shift(deployed, properties, "DeploymentConfigName", "DeploymentConfigName")
        entries = [
            entry.get("Name") if isinstance(entry, Mapping) and "Name" in entry else entry
            for entry in alarms.items("Alarms")
        ]
        if alarms.given and not alarms.take("Enabled", as_switch, True):
            remarks.append("the AlarmConfiguration is not enabled: nothing watches")
            entries = []
        back = properties.inside("AutoRollbackConfiguration")
        events = [resolver.text(event) for event in back.items("Events")]
        if entries and (STOP_ON_ALARM not in events or not back.take("Enabled", as_switch, True)):
            remarks.append(
                f"the AutoRollbackConfiguration has no {STOP_ON_ALARM}: an alarm stops the deployment, and nothing rolls it back; "
                "here it is rolled back"
            )
        where = ("Resources", group or deployed.identity, "Properties", "AlarmConfiguration", "Alarms")
        self._watch(deployed, callee, resolver, entries, *where)

    def _shift(self, deployed: Deployed, properties: Properties, name: str, where: str) -> None:
        """The strategy: a configuration by its name, or one of the template. Raises UnresolvedError for one that is neither."""
        properties.prefer(name, partial(_gradual, properties.resolver))
        kind = properties.text(name) if name in properties.given else ""
        own = self._own_config(kind, properties) if kind else None
        if own is not None:
            config: Any = own
        elif isinstance(kind, Unknown):
            config = properties.take(name, str, "AllAtOnce")
        else:
            config = str(kind) or "AllAtOnce"
        try:
            deployed.strategy = strategy_of(config)
        except (ValueError, OverflowError) as error:
            by_name = _by_name(config) if isinstance(config, str) else None
            if by_name is None:
                raise UnresolvedError(f"{where}: {error}") from None
            deployed.strategy = strategy_of(by_name)
            properties.remarks.append(
                f"{where}: the deployment configuration {config} is not in the template: what it does is a GUESS by its name"
            )

    def _own_config(self, kind: str, properties: Properties) -> Any:
        """The routing of the configuration of the template that a reference or a name is about, if there is one."""
        for identity, resource in self.resources.items():
            if resource.get("Type") == CONFIG:
                inner = Properties(properties.resolver, resource["Properties"], properties.remarks)
                if kind == identity or (
                    "DeploymentConfigName" in inner.given and kind == inner.text("DeploymentConfigName")
                ):
                    return properties.resolver.value(inner.inside("TrafficRoutingConfig").given)
            elif kind == identity and resource.get("Type") in CUSTOM:
                return _of_call(properties.resolver.text(resource["Properties"].get("Create", "")))
        return None

    def _hooks(self, deployed: Deployed, hooks: Mapping[str, str], resolver: Resolver) -> None:
        """The hooks, by the scenario's names for them."""
        tests = {}
        for name, hook in hooks.items():
            tests[name] = self._hook(deployed, hook, resolver)
        if tests:
            deployed.strategy |= {"hooks": tests}

    def _hook(self, deployed: Deployed, hook: str, resolver: Resolver) -> dict[str, Any]:
        """How a hook tests: by the variables TESTS, SECONDS and MAX_FAILURES of its function, else one call, a guess."""
        identity = hook.partition(".")[0] if isinstance(hook, Symbol) else hook
        resource = self.resources.get(identity, {})
        variables = Properties(resolver, resource.get("Properties", {}), []).inside("Environment").inside("Variables")
        try:
            return {
                "invocations": int(variables.text("TESTS")),
                "over": text(float(variables.text("SECONDS")), "duration"),
                "max_failures": int(variables.text("MAX_FAILURES")),
            }
        except (ValueError, OverflowError):
            deployed.guessed_hooks = True
            deployed.remarks.append(
                f"what the hook {identity} does is not in the template: one call of the new version is a GUESS"
            )
            return dict(HOOK)

    def _watch(
        self, deployed: Deployed, callee: Callee, resolver: Resolver, references: list[Any], *where: str
    ) -> None:
        """The alarms that stop the rollout, whose list stands at `where`."""
        watching = Watching(resolver, callee, self.template.place, deployed.events)
        deployed.listed = watching.read(references, *where)
        deployed.alarms, deployed.acting, deployed.metrics = watching.alarms, watching.acting, watching.metrics
        deployed.lines = {name: self.template.line("Resources", identity) for identity, name in watching.names.items()}
        deployed.scales = watching.scales
        deployed.ids = {
            name: self.template.addresses.get(identity, identity) for identity, name in watching.names.items()
        }
        deployed.left = {
            name: left if left.identity is None else replace(left, line=self.template.line("Resources", left.identity))
            for name, left in watching.left.items()
        }
        deployed.remarks += watching.remarks
        if len(deployed.acting) > 10:
            deployed.remarks.append(
                f"warning: {len(deployed.acting)} alarms; CodeDeploy takes at most 10 for a deployment group"
            )

    def _invoke_config(self, callee: Callee, resolver: Resolver, remarks: list[str]) -> dict[str, Any]:
        """What Lambda does with queued events of the alias, where the template says it."""
        for resource in self.resources.values():
            if resource.get("Type") == "AWS::Lambda::EventInvokeConfig":
                properties = Properties(resolver, resource["Properties"], remarks)
                if (
                    callee.called(resolver, properties.given.get("FunctionName"), properties.text("Qualifier"))
                    == "alias"
                ):
                    return _retries(properties)
        return {}

    def _finished(
        self, deployed: Deployed, resource: Mapping[str, Any], resolver: Resolver, remarks: list[str]
    ) -> Deployed:
        """The rollout with all its remarks: first what was decided about conditions and values."""
        condition = resource.get("Condition")
        try:
            deployed_at_all = condition is None or resolver.condition(str(condition))
        except BrokenError:
            raise
        except UnresolvedError as error:
            deployed_at_all = True
            what = f"whether it is deployed at all is not known, for its condition {condition} is not: {error}"
            remarks.append(f"{deployed.identity}: {what}")
        if not deployed_at_all:
            what = f"is not deployed at all while its condition {condition} does not hold"
            remarks.append(f"{deployed.identity} {what}")
        deployed.remarks[:] = [*resolver.taken, *remarks, *deployed.remarks]
        return deployed

    def _provisioned(self, alias: Properties, resolver: Resolver, remarks: list[str]) -> int:
        """The provisioned concurrency of an alias, or of the version that it points to."""
        named = resolver.text(alias.given.get("FunctionVersion", "")).partition(".")[0]
        version = self.resources.get(named, {})
        given = version["Properties"] if version.get("Type") == "AWS::Lambda::Version" else {}
        holders = (alias, Properties(resolver, given, remarks, f"{named}."))
        configs = [holder.inside("ProvisionedConcurrencyConfig") for holder in holders]
        return max(int(config.take("ProvisionedConcurrentExecutions", int, 0)) for config in configs)

    def _scale(self, deployed: Deployed, callee: Callee, resolver: Resolver, remarks: list[str]) -> None:
        """Takes the least provisioned concurrency that Application Auto Scaling gives the alias, which it has at quiet times."""
        for identity, resource in self.resources.items():
            if resource.get("Type") != SCALED or not exists(resolver, resource):
                continue
            target = Properties(resolver, resource["Properties"], remarks, f"{identity}.")
            named = resolver.inside(target.given.get("ResourceId", "")).removeprefix("function:")
            of_lambda = target.text("ScalableDimension") == "lambda:function:ProvisionedConcurrency"
            if of_lambda and callee.called(resolver, named) == "alias":
                least, most = (target.take(f"{end}Capacity", int, None) for end in ("Min", "Max"))
                deployed.provisioned = max(deployed.provisioned, least or 0)
                shown = " to ".join("?" if end is None else str(end) for end in (least, most))
                remarks.append(
                    f"{identity}: provisioned concurrency scales from {shown} environments; here it is always {deployed.provisioned}"
                )

    def _group_of(self, resolver: Resolver, shift: Mapping[str, Any], groups: Mapping[str, None]) -> str | None:
        """The logical id of the deployment group that an alias names."""
        named = resolver.text(shift.get("DeploymentGroupName", ""))
        if named in groups:
            return str(named)
        for group in groups:
            own = self.resources[group]["Properties"].get("DeploymentGroupName")
            if own is not None and resolver.text(own) == named:
                return group
        return None

    def _function_of(self, resolver: Resolver, alias: Mapping[str, Any]) -> str:
        """The logical id of an alias's function, or its name where it is not in the template."""
        named = resolver.text(alias.get("FunctionName", ""))
        identity = named.partition(".")[0] if isinstance(named, Symbol) else re.sub(r"^.*:function:", "", named)
        if identity in self.resources and isinstance(named, Symbol):
            return identity
        for candidate, resource in self.resources.items():
            if resource.get("Type") == "AWS::Lambda::Function" and resolver.physical(candidate) == identity:
                return str(candidate)
        return str(identity)


def _with_sam_aliases(template: Template, parameters: Mapping[str, str]) -> Template:
    """The template with the aliases that SAM makes of `AutoPublishAlias`, such as `OrdersAliaslive`, which others may refer to."""
    resources = template.data["Resources"]
    resolver, made = Resolver(template.data, parameters), {}
    for identity, resource in resources.items():
        if resource.get("Type") == SAM_FUNCTION and "AutoPublishAlias" in resource["Properties"]:
            name = resolver.text(resource["Properties"]["AutoPublishAlias"])
            generated = f"{identity}Alias{re.sub(r'[^0-9A-Za-z]', '', name)}"
            if not isinstance(name, Symbol) and generated not in resources:
                made[generated] = {"Type": ALIAS, "Properties": {"FunctionName": {"Ref": identity}, "Name": name}}
    return replace(template, data={**template.data, "Resources": {**resources, **made}})


def is_of_lambda(resources: Mapping[str, Any], resolver: Resolver, group: str) -> bool:
    """Whether something says that a deployment group shifts a function, and not a service of ECS or servers."""
    properties = Properties(resolver, resources[group]["Properties"], [])
    config, application = (properties.text(name) for name in ("DeploymentConfigName", "ApplicationName"))
    if config.startswith("CodeDeployDefault."):
        return config.startswith("CodeDeployDefault.Lambda")
    names = {"AWS::CodeDeploy::Application": application, CONFIG: config}
    for identity, resource in resources.items():
        kind = str(resource.get("Type"))
        inner = Properties(resolver, resource["Properties"], [])
        own = inner.text("ApplicationName" if kind != CONFIG else "DeploymentConfigName") or inner.text("Name")
        if (
            kind in names
            and names[kind] in (identity, own)
            and names[kind]
            and inner.text("ComputePlatform") == "Lambda"
        ):
            return True
    return False


def _by_name(config: str) -> dict[str, Any] | None:
    """The routing that the name of a configuration of another stack tells: `Team.Canary25Percent10Minutes`; None elsewhere."""
    match = re.search(r"(canary|linear)_?-?(\d{1,2})percent_?-?(?:every)?_?-?(\d{1,4})minutes?$", config, re.IGNORECASE)
    if match is None or config.startswith("CodeDeployDefault.") or "ECS" in config:
        return None
    kind = match[1].title()
    inner = {f"{kind}Percentage": int(match[2]), f"{kind}Interval": int(match[3])}
    return {"Type": f"TimeBased{kind}", f"TimeBased{kind}": inner}


def _watched_by(value: Any) -> int:
    """How many alarms a list in a template has, or what holds one; a function may stand for one, or choose among several."""
    if isinstance(value, list):
        return sum(map(_watched_by, value))
    if not isinstance(value, Mapping):
        return 1
    if "Fn::If" in value and isinstance(value["Fn::If"], list):
        return max(map(_watched_by, value["Fn::If"][1:]), default=0)
    if "Alarms" in value:
        return _watched_by(value["Alarms"])
    return int(
        any(
            key == "Name" or (key == "Ref" and named != "AWS::NoValue") or key.startswith("Fn::")
            for key, named in value.items()
        )
    )


def _gradual(resolver: Resolver, value: Any) -> bool:
    """Whether a deployment configuration is known, and shifts in more than one step as far as its name tells."""
    if isinstance(value, Mapping) and isinstance(value.get("Fn::If"), list):
        return any(_gradual(resolver, inner) for inner in value["Fn::If"][1:])
    kind = resolver.text(value)
    return not isinstance(kind, Unknown) and not kind.endswith("AllAtOnce")


def _count(value: Any, least: int = 0) -> int:
    """A whole number of at least `least`. Raises ValueError."""
    count = int(value)
    if count < least:
        raise ValueError(f"must be at least {least}, got {count}")
    return count


def _of_call(create: str) -> Any:
    """The routing in CDK's call of `createDeploymentConfig`; None where it is another call."""
    try:
        call = json.loads(create)
    except ValueError:
        return None
    parameters = call.get("parameters") if isinstance(call, Mapping) else None
    return parameters.get("trafficRoutingConfig") if isinstance(parameters, Mapping) else None


def _managed(function: Properties) -> dict[str, Any]:
    """`function.managed` of a function with a capacity provider, as far as the template says it; empty without one."""
    provider = function.inside("CapacityProviderConfig")
    if not provider.given:
        return {}
    whole = "LambdaManagedInstancesCapacityProviderConfig"  # what SAM writes without it
    given, scaling = (
        provider.inside(whole) if provider.has(whole) else provider,
        function.inside("FunctionScalingConfig"),
    )
    concurrency = given.take("PerExecutionEnvironmentMaxConcurrency", int, None)
    if concurrency is None:
        runtime = function.text("Runtime")
        concurrency = next(
            (number for name, number in PER_VCPU.items() if runtime.startswith(name)), min(PER_VCPU.values())
        )
        function.remarks.append(
            f"PerExecutionEnvironmentMaxConcurrency is not given: {concurrency}, Lambda's default for one vCPU, is a GUESS"
        )
    limits = EnvironmentLimits()
    minimum = max(1, scaling.take("MinExecutionEnvironments", int, limits.minimum))
    maximum = max(minimum, scaling.take("MaxExecutionEnvironments", int, limits.maximum))
    return {"concurrency": concurrency, "environments": {"minimum": minimum, "maximum": maximum}}


def _described(function: Properties) -> list[str]:
    """What matters for durations and cold starts and is no figure of a scenario: runtime, memory, storage."""
    parts = (
        (function, "Runtime", ""), (function, "MemorySize", " MB of memory"),
        (function.inside("EphemeralStorage"), "Size", " MB of ephemeral storage"),
    )  # fmt: skip
    return [
        f"{place.text(name)}{unit}"
        for place, name, unit in parts
        if place.has(name) and not isinstance(place.text(name), Symbol)
    ]


def _retries(config: Properties) -> dict[str, Any]:
    """`EventInvokeConfig` as fields of a source."""
    fields: dict[str, Any] = {}
    retries = config.take("MaximumRetryAttempts", int, None)
    age = config.take("MaximumEventAgeInSeconds", int, None)
    if retries is not None:
        fields["async_retries"] = retries
    if age is not None:
        fields["max_event_age"] = text(float(age), "duration")
    return fields


def _is_off(resource: Mapping[str, Any]) -> bool:
    """Whether a SAM function would be rolled out if its deployment preference were enabled."""
    properties = resource["Properties"]
    aliased = resource.get("Type") == SAM_FUNCTION and "AutoPublishAlias" in properties
    return aliased and _switched_off(properties.get("DeploymentPreference"))


def _switched_off(preference: Any) -> bool:
    """Whether a deployment preference is switched off, in so many words."""
    return isinstance(preference, Mapping) and str(preference.get("Enabled", True)).lower() in ("false", "no", "off")
