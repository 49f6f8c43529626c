"""What CodeDeploy can carry out of a strategy: its predefined names, its time-based routing, its limits."""

from __future__ import annotations

from typing import Any, Final

from rollout_sim.control.strategies import CODEDEPLOY_LIMIT, PREDEFINED, Plan, Predefined
from rollout_sim.errors import ScenarioError

MINUTE: Final = 60.0
NO_BAKE: Final = (
    "CodeDeploy has no bake after the last shift: its alarms stop acting there; "
    "a canary of 99% for that long comes nearest"
)


def predefined_name(plan: Plan) -> str | None:
    """The name of CodeDeploy's predefined configuration with the same steps as `plan`, None where there is none."""
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
    return NO_BAKE if plan.bake else None
