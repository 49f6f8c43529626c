"""Discrete-event simulation of rollouts of serverless functions.

Floors
------
A file imports only from lower floors; tests hold it.

    0  units, streams, errors, traces, clock, estimates, folders
    1  aliases, distributions, metrics, slo
    1  registry, own_arrivals
    2  function, alarms, theory
    2  arrivals, faults, strategies
    3  alarm_bank, document
    3  traffic, specs, goals, own_faults
    4  scenario_file, axes, plots_style
    4  extensions, own_checks, tables
    4  scenario_text
    5  scenario, plots_traffic, starter
    6  schema
    6  controller, planes/__init__, planes/arrival_counts, planes/draws, planes/environments
    6  planes/arrays, planes/audience, planes/compiler, planes/obstacles, planes/samples
    6  plots_inside
    7  closed_forms, instruments, plots
    7  planes/array_environments, planes/array_events, planes/counts, planes/layout, planes/outcome_shares
    8  planes/array_requests, planes/loading, planes/simpy_plane
    9  planes/kernel, planes/hook_tests, result
    10  planes/aggregate, planes/compiled
    11  simulation
    12  output, replications
    12  candidates, artefacts/__init__, artefacts/snippets
    13  comparison_plots, experiments, screening, worlds
    13  sweep_plots
    13  artefacts/cloudwatch, artefacts/codedeploy, artefacts/intrinsics, artefacts/kubernetes, artefacts/openslo
    14  feasibility, recommendation_plots
    14  comparison_output, sweep_output
    14  artefacts/cloudformation, artefacts/sam
    15  artefacts/template_scenario
    15  comparison, recommendation_output
    16  recommendation, sweeps
    16  explorer
    15  commands/scenario_files
    16  console, commands/__init__, commands/options
    17  commands/run, commands/compare, commands/sweep, commands/recommend, commands/validate
    17  commands/export, commands/importing
    17  commands/init, commands/completion
    14  verdict
    17  sensitivity, report_figures
    18  report
    19  report_page
    20  commands/report
    21  cli
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollout_sim.comparison import Comparison, compare
    from rollout_sim.errors import ScenarioError
    from rollout_sim.function import Function
    from rollout_sim.recommendation import Recommendation, recommend
    from rollout_sim.result import RunResult
    from rollout_sim.scenario import Scenario
    from rollout_sim.simulation import simulate, simulate_each
    from rollout_sim.sweeps import Sweep, sweep

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
    "Comparison": "comparison",
    "compare": "comparison",
    "Recommendation": "recommendation",
    "recommend": "recommendation",
    "Function": "function",
    "RunResult": "result",
    "Scenario": "scenario",
    "ScenarioError": "errors",
    "simulate": "simulation",
    "simulate_each": "simulation",
    "Sweep": "sweeps",
    "sweep": "sweeps",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for, so that `rollout-sim --help` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
