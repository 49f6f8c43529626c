"""Discrete-event simulation of rollouts of serverless functions.

    >>> from rollout_sim import Scenario, compare
    >>> compared = compare(Scenario.load("scenarios/checkout.yaml"), replications=256)
    >>> compared.estimates("canary 10%")["stopped"].mean
    1.0
    >>> list(compared.table.index)
    ['instant', 'blue/green', 'canary 10%', 'SAM default', 'linear 10%']

Public, and all of it in `help(rollout_sim)`:

    Scenario             a scenario file as a value: load, from_dict, dump, warnings
    simulate             one strategy once: a RunResult; simulate_each: all of them
    compare              strategies over many replications: a Comparison
    sweep                a grid of fields: a Sweep
    recommend            the rollout to use, and why: a Recommendation
    when                 the best and the worst hour to deploy: Hours
    backtest             the rollouts on recorded minutes: a Backtest
    Function             Lambda's versions and aliases, with the API's errors
    ScenarioError        what is wrong with the input, problem by problem

Each result draws itself (`.plot()`), shows itself in a notebook, and has its table as a DataFrame (`.table`). Public besides:
`errors`, `theory` (closed forms), `extensions` (classes of your own) and `alarms`.

The map, for those who read the code: a sub-package imports only from those below it (import-linter holds it).

    cli                  commands
    views | formats      tables, sentences, pictures, the report | SAM, CodeDeploy, OpenSLO, Argo, ...
    study                many runs: compare, sweep, recommend, backtest, check
    run                  one run or one batch of replications: a plane and a controller
    planes               what the invocations did: simpy (the reference), compiled, aggregate
    scenario             one file as types: read, resolve, check, write
    control              strategies, alarms, SLOs, the controller: written once
    function | traffic   Lambda's function, faults, environments | who calls it, and when
    core                 units, distributions, random streams, statistics, YAML
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
    from rollout_sim.study.backtest import Backtest, backtest
    from rollout_sim.study.comparison import Comparison, compare
    from rollout_sim.study.recommend.recommendation import Recommendation
    from rollout_sim.study.recommend.search import recommend
    from rollout_sim.study.sweep import Sweep, sweep
    from rollout_sim.study.when import Hours, when

__all__ = [
    "Backtest",
    "Comparison",
    "Function",
    "Hours",
    "Recommendation",
    "RunResult",
    "Scenario",
    "ScenarioError",
    "Sweep",
    "backtest",
    "compare",
    "recommend",
    "simulate",
    "simulate_each",
    "sweep",
    "when",
]

_HOMES = {
    "Backtest": "study.backtest",
    "backtest": "study.backtest",
    "Comparison": "study.comparison",
    "compare": "study.comparison",
    "Recommendation": "study.recommend.recommendation",
    "recommend": "study.recommend.search",
    "Function": "function.lambda_api",
    "RunResult": "run.result",
    "Scenario": "scenario.scenario",
    "ScenarioError": "errors",
    "simulate": "run.simulate",
    "simulate_each": "run.simulate",
    "Sweep": "study.sweep",
    "sweep": "study.sweep",
    "Hours": "study.when",
    "when": "study.when",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for, so that `rollout-sim --help` stays quick."""
    if name == "__version__":
        from importlib.metadata import version

        return version("rollout-sim")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names besides what is loaded, for `help` and completion."""
    return sorted({*globals(), *__all__})
