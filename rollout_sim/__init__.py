"""Discrete-event simulation of rollouts of serverless functions.

The map: a sub-package imports only from those below it (import-linter holds it, see pyproject.toml).

    cli                  commands
    views | formats      tables, sentences, pictures, the report | SAM, CodeDeploy, OpenSLO, Argo, ...
    study                many runs: compare, sweep, recommend
    run                  one run or one batch of replications: a plane and a controller
    planes               what the invocations did: simpy (the reference), compiled, aggregate
    scenario             one file as types: read, resolve, check, write
    control              strategies, alarms, SLOs, the controller: written once
    function | traffic   Lambda's function, faults, environments | who calls it, and when
    core                 units, distributions, random streams, statistics, YAML

Public: the names below, `errors`, `theory` (closed forms), `extensions` (classes of your own) and `alarms`. Begin with

    >>> from rollout_sim import Scenario, compare
    >>> compared = compare(Scenario.load("scenarios/checkout.yaml"), replications=256)
    >>> compared.estimates("canary 10%")["stopped"].mean
    1.0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollout_sim.errors import ScenarioError
    from rollout_sim.function.lambda_api import Function
    from rollout_sim.run.result import RunResult
    from rollout_sim.run.simulate import simulate, simulate_each
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.study.comparison import Comparison, compare
    from rollout_sim.study.recommend.search import Recommendation, recommend
    from rollout_sim.study.sweep import Sweep, sweep

__all__ = [
    "Comparison",
    "Function",
    "Recommendation",
    "RunResult",
    "Scenario",
    "ScenarioError",
    "Sweep",
    "compare",
    "recommend",
    "simulate",
    "simulate_each",
    "sweep",
]

_HOMES = {
    "Comparison": "study.comparison",
    "compare": "study.comparison",
    "Recommendation": "study.recommend.search",
    "recommend": "study.recommend.search",
    "Function": "function.lambda_api",
    "RunResult": "run.result",
    "Scenario": "scenario.scenario",
    "ScenarioError": "errors",
    "simulate": "run.simulate",
    "simulate_each": "run.simulate",
    "Sweep": "study.sweep",
    "sweep": "study.sweep",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for, so that `rollout-sim --help` stays quick."""
    if name == "__version__":
        from importlib.metadata import version

        return version("rollout-sim")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
