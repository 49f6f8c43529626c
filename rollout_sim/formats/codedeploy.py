"""CodeDeploy: a strategy as a deployment configuration, by a predefined name where there is one, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rollout_sim.control.codedeploy import NO_BAKE, predefined_name, routing
from rollout_sim.control.strategies import PREDEFINED, Plan
from rollout_sim.core.yaml_io import shorten
from rollout_sim.formats.snippet import Snippet, dashed
from rollout_sim.scenario.scenario import Scenario


def config_name(scenario: Scenario, strategy: str) -> str:
    """The name of the custom configuration for a strategy."""
    return dashed(f"{scenario.function.name} {strategy}")


def remarks_of(plan: Plan) -> tuple[str, ...]:
    """What the plan asks for and CodeDeploy does not do."""
    remarks = [NO_BAKE] if plan.bake else []
    if plan.provisioned:
        remarks.append(
            f"warm up {plan.provisioned} provisioned environments of the new version yourself, before the deployment"
        )
    return tuple(remarks)


def export(scenario: Scenario, strategy: str | None = None) -> Snippet:
    """The JSON for `aws deploy create-deployment-config --cli-input-json`."""
    name, chosen = scenario.exported(strategy)
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
    lowered = {str(key)[:1].lower() + str(key)[1:]: value for key, value in config.items()}
    kind = lowered.get("type")
    inner = lowered.get(f"{str(kind)[:1].lower()}{str(kind)[1:]}", {})
    if not isinstance(inner, Mapping):
        inner = {}
    numbers = {str(key)[:1].upper() + str(key)[1:]: _whole(str(key), value) for key, value in inner.items()}
    if kind == "AllAtOnce":
        return {"type": "AllAtOnce"}
    if kind not in ("TimeBasedCanary", "TimeBasedLinear") or not numbers:
        raise ValueError(
            f"the traffic routing {kind!r} is not known; allowed AllAtOnce, TimeBasedCanary, TimeBasedLinear"
        )
    return {"type": kind, **numbers}


def _whole(name: str, value: Any) -> int:
    """The value of the field `name` as a whole number. Raises ValueError for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} is a whole number, got {shorten(repr(value))}") from None
