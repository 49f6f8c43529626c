"""CodeDeploy: a strategy as a deployment configuration, by a predefined name where there is one, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from rollout_sim.artefacts.snippets import Snippet, chosen_strategy, dashed
from rollout_sim.errors import ScenarioError
from rollout_sim.scenario import Scenario
from rollout_sim.strategies import CODEDEPLOY_LIMIT, PREDEFINED, Plan, Predefined

MINUTE: Final = 60.0
_BAKE: Final = "CodeDeploy has no bake after the last shift: its alarms stop acting there; a canary of 99% for that long comes nearest"


def predefined_name(plan: Plan) -> str | None:
    """The predefined configuration with the same steps, if there is one."""
    for name in PREDEFINED:
        if Predefined(type=name).plan.steps == plan.steps:
            return name
    return None


def routing(name: str, plan: Plan) -> dict[str, Any]:
    """CodeDeploy's `trafficRoutingConfig` for the steps of a plan. Raises ScenarioError for other shapes."""
    steps, problem = plan.steps, f"strategies.{name}: CodeDeploy shifts once (canary) or in equal steps (linear)"
    if len(steps) == 1:
        return {"type": "AllAtOnce"}
    percent, hold = steps[0].weight * 100, steps[0].hold
    whole = round(percent)
    if (
        abs(percent - whole) > 1e-9
        or not 1 <= whole <= 99
        or hold % MINUTE
        or not MINUTE <= hold <= CODEDEPLOY_LIMIT * MINUTE
    ):
        raise ScenarioError(
            [f"{problem} by whole percents of 1 to 99 and whole minutes, got {percent:g}% for {hold:g} s"]
        )
    interval = round(hold / MINUTE)
    if len(steps) == 2 and steps[1].weight == 1:
        return {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": whole, "canaryInterval": interval}}
    even = all(
        abs(step.weight - min(1.0, (k + 1) * steps[0].weight)) < 1e-9 and (step.hold == hold or k == len(steps) - 1)
        for k, step in enumerate(steps)
    )
    if not even:
        weights = ", ".join(f"{step.weight:.6g}" for step in steps)
        raise ScenarioError([f"{problem}, got the weights {weights}; Argo takes any steps"])
    if (len(steps) - 1) * interval > CODEDEPLOY_LIMIT:
        raise ScenarioError([f"{problem}, within {CODEDEPLOY_LIMIT} min from the first shift to the last"])
    return {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": whole, "linearInterval": interval}}


def shortcoming(plan: Plan) -> str | None:
    """Why CodeDeploy cannot carry out the plan as it is, or None where it can."""
    try:
        routing("it", plan)
    except ScenarioError as error:
        return error.problems[0].partition(": ")[2]
    return _BAKE if plan.bake else None


def config_name(scenario: Scenario, strategy: str) -> str:
    """The name of a configuration of one's own."""
    return dashed(f"{scenario.function.name} {strategy}")


def remarks_of(plan: Plan) -> tuple[str, ...]:
    """What CodeDeploy does not do."""
    found = [_BAKE] if plan.bake else []
    if plan.provisioned:
        found.append(
            f"warm up {plan.provisioned} provisioned environments of the new version yourself, before the deployment"
        )
    return tuple(found)


def export(scenario: Scenario, strategy: str | None = None) -> Snippet:
    """The JSON for `aws deploy create-deployment-config --cli-input-json`."""
    name, chosen = chosen_strategy(scenario, strategy)
    plan = chosen.plan
    document = {
        "deploymentConfigName": config_name(scenario, name),
        "computePlatform": "Lambda",
        "trafficRoutingConfig": routing(name, plan),
    }
    remarks = list(remarks_of(plan))
    known = predefined_name(plan)
    if known is not None:
        remarks.append(f"CodeDeployDefault.Lambda{known} is the same and exists already")
    if plan.before is not None or plan.after is not None:
        remarks.append("hooks belong to the deployment's AppSpec, not to its configuration: see export sam")
    if scenario.rollout is not None and scenario.rollout.alarms:
        remarks.append("alarms belong to the deployment group, not to its configuration: see export cloudformation")
    return Snippet(text=json.dumps(document, indent=2) + "\n", remarks=tuple(remarks))


def strategy_of(config: Mapping[str, Any] | str) -> dict[str, Any]:
    """A scenario's strategy from a configuration's name or its routing. Raises ValueError for what is not known."""
    if not isinstance(config, str | Mapping):
        raise ValueError(f"the deployment configuration is a name or a routing, got {config!r}")
    if isinstance(config, str):
        name = config.removeprefix("CodeDeployDefault.Lambda").removeprefix("CodeDeployDefault.")
        if name not in PREDEFINED:
            raise ValueError(f"the deployment configuration {config!r} is not known; allowed {', '.join(PREDEFINED)}")
        return {"type": name}
    lowered = {key[:1].lower() + key[1:]: value for key, value in config.items()}
    kind = lowered.get("type")
    inner = lowered.get(f"{str(kind)[:1].lower()}{str(kind)[1:]}", {})
    if not isinstance(inner, Mapping):
        inner = {}
    numbers = {key[:1].upper() + key[1:]: int(value) for key, value in inner.items()}
    if kind == "AllAtOnce":
        return {"type": "AllAtOnce"}
    if kind not in ("TimeBasedCanary", "TimeBasedLinear") or not numbers:
        raise ValueError(
            f"the traffic routing {kind!r} is not known; allowed AllAtOnce, TimeBasedCanary, TimeBasedLinear"
        )
    return {"type": kind, **numbers}
