"""Output: the files that a command writes, and the JSON that it prints, for each kind of result.

The files are tables as CSV, pictures, and the recipe that makes them again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, singledispatch
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rollout_sim.control.strategies import Hook, Plan
from rollout_sim.core.files import atomic_folder
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.run.result import RunResult
from rollout_sim.scenario.goals import Goal
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.backtest import Backtest
from rollout_sim.study.comparison import Comparison
from rollout_sim.study.recommend.hypotheses import Evaluation
from rollout_sim.study.recommend.recommendation import Recommendation
from rollout_sim.study.sweep import Sweep
from rollout_sim.study.when import Hours
from rollout_sim.views.files import (
    BACKTEST_FILES,
    COMPARISON_FILES,
    RECOMMENDATION_FILES,
    RUN_FILES,
    SWEEP_FILES,
    WHEN_FILES,
)
from rollout_sim.views.plots.backlog import backlog_figure
from rollout_sim.views.plots.backtest import prediction_figure, week_figure
from rollout_sim.views.plots.budget import burn_rate_figure, error_budget_figure
from rollout_sim.views.plots.comparison import comparison_figure
from rollout_sim.views.plots.recommendation import pareto, power
from rollout_sim.views.plots.style import save, styled
from rollout_sim.views.plots.sweep import heat_map_figure, power_figure, trade_off_figure, trend_figure
from rollout_sim.views.plots.traffic import traffic
from rollout_sim.views.plots.when import when_figure
from rollout_sim.views.recipe import Result, recipe_of
from rollout_sim.views.sentences import assumed, remarks, sentence

FIGURES: Final = ("caught", "false_rollback", "bad_requests_added", "budget_p95", "time_to_full_s")
"""What the JSON of a recommendation says of the recommended rollout at its top level."""


_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[-+]?[0-9.,]+(?:[eE][-+]?[0-9]+)?(?: ?(?:%|ms|s|min|h|d|/s|/min|/h))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    """What is written of a result.

    `names` are all files that its command may write, in the order in which they are listed; one of them is the recipe.
    """

    names: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame]
    pictures: Mapping[str, Callable[[Any], Figure | None]]
    """By the name without the suffix what draws the result; None for one that there is nothing to draw for."""
    scenarios: Mapping[str, Scenario] = field(default_factory=dict)


def write(result: Result, out: Path, suffix: str = "png", named: Mapping[str, Any] | None = None) -> list[Path]:
    """Writes the files of a result into the folder `out` (made if need be), all of them or none; returns them.

    Pictures have the format `suffix`, one of `core.files.FORMATS`. Files of an earlier result of the same kind go away.
    `named` is the recipe's part about the files that the scenario reads (`recipe.named_files`).
    """
    mpl.use("Agg")
    contents = _contents(result)
    with atomic_folder(out, contents.names) as folder:
        for name, table in contents.tables.items():
            _without_formulas(table).to_csv(folder / name, index=False, lineterminator="\n")
        for name, draw in pictures_of(result).items():
            if (figure := draw()) is not None:
                save(figure, folder / f"{name}.{suffix}")
        for name, scenario in contents.scenarios.items():
            (folder / name).write_text(to_yaml(scenario.dump()), encoding="utf-8")
        recipe = json.dumps(recipe_of(result, suffix, named or {}), indent=1) + "\n"
        (folder / next(name for name in contents.names if name.endswith("recipe.json"))).write_text(
            recipe, encoding="utf-8"
        )
    return [out / name for name in contents.names if (out / name).exists()]


def pictures_of(result: Result) -> Mapping[str, Callable[[], Figure | None]]:
    """The pictures of a result, each drawn when it is called, by the names of their files without the suffix."""
    return {name: partial(draw, result) for name, draw in _contents(result).pictures.items()}


def _without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """The table with text that a spreadsheet would take for a formula behind an apostrophe; numbers stay as they are."""

    def plain(value: object) -> object:
        return (
            f"'{value}" if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value) else value
        )

    texts: dict[str, Any] = {
        str(name): column.map(plain)
        for name, column in table.items()
        if not pd.api.types.is_numeric_dtype(column.dtype)
    }
    return table.assign(**texts).rename(columns=plain)


@singledispatch
def _contents(result: object) -> _Contents:
    raise TypeError(f"{type(result).__name__} has no files")


@_contents.register(Sequence)
def _(results: Sequence[RunResult]) -> _Contents:
    tables = {
        "summary.csv": pd.DataFrame([_flat(result.summary) for result in results]),
        "timeline.csv": pd.concat([result.timeline for result in results], ignore_index=True),
        "alarms.csv": pd.concat([result.alarms for result in results], ignore_index=True),
        "history.csv": pd.concat([result.changes for result in results], ignore_index=True),
    }
    events = [result.events for result in results if result.events is not None]
    if events:
        tables["events.csv"] = pd.concat(events, ignore_index=True)
    drawn: dict[str, Callable[[Any], Figure]] = {"traffic": traffic}
    if results[0].polled:
        drawn["backlog"] = backlog_figure
    if results[0].scenario.slos:
        drawn |= {"error_budget": error_budget_figure, "burn_rate": burn_rate_figure}
    return _Contents(names=RUN_FILES, tables=tables, pictures=drawn)


@_contents.register(Comparison)
def _(compared: Comparison) -> _Contents:
    sides = [("as described", compared)] + ([] if compared.twin is None else [("good", compared.twin)])
    every = [
        pd.DataFrame({"version": label, "strategy": name, "replication": range(side.replications), **columns})
        for label, side in sides
        for name, columns in side.columns.items()
    ]
    replications = pd.concat(every, ignore_index=True)
    replications["outcome"] = compared.outcome_names(replications["outcome"].to_numpy(int))
    return _Contents(
        names=COMPARISON_FILES,
        tables={"estimates.csv": compared.frame, "replications.csv": replications},
        pictures={"comparison": comparison_figure},
    )


@_contents.register(Sweep)
def _(swept: Sweep) -> _Contents:
    drawn = {"heat_maps": heat_map_figure, "power": power_figure, "trend": trend_figure, "trade_off": trade_off_figure}
    return _Contents(names=SWEEP_FILES, tables={"sweep.csv": swept.frame}, pictures=drawn)


@_contents.register(Backtest)
def _(result: Backtest) -> _Contents:
    drawn = {"week": week_figure, "prediction": prediction_figure}
    return _Contents(names=BACKTEST_FILES, tables={"backtest.csv": result.frame}, pictures=drawn)


@_contents.register(Hours)
def _(result: Hours) -> _Contents:
    return _Contents(names=WHEN_FILES, tables={"when.csv": result.frame}, pictures={"when": when_figure})


@_contents.register(Recommendation)
def _(recommendation: Recommendation) -> _Contents:
    chosen = {} if recommendation.winner is None else {"recommended.yaml": recommendation.chosen_scenario}
    return _Contents(
        names=RECOMMENDATION_FILES,
        tables={"contenders.csv": recommendation.frame},
        pictures={"pareto": partial(_alone, pareto), "recommended_power": partial(_alone, power)},
        scenarios=chosen,
    )


def _alone(draw: Callable[[Any], Axes], result: Result) -> Figure:
    """The figure of a picture that has it to itself."""
    with styled():
        figure = draw(result).figure
    assert isinstance(figure, Figure)
    return figure


@singledispatch
def to_json(result: object) -> dict[str, Any]:
    """What a command prints of its result with `--json`: plain data. Raises TypeError for a result without one."""
    raise TypeError(f"{type(result).__name__} has no JSON")


@to_json.register(Sequence)
def _(results: Sequence[RunResult]) -> dict[str, Any]:
    first = results[0]
    return {
        "scenario": first.scenario.name,
        "seed": first.seed,
        "replications": 1,
        "engine": first.engine,
        "engine_reason": first.engine_reason,
        "approximations": list(first.approximations),
        "strategies": [result.summary for result in results],
    }


@to_json.register(Comparison)
@to_json.register(Backtest)
@to_json.register(Hours)
@to_json.register(Sweep)
def _(result: Comparison | Backtest | Hours | Sweep) -> dict[str, Any]:
    return result.to_json()


@to_json.register(Recommendation)
def _(recommendation: Recommendation) -> dict[str, Any]:
    winner, goal = recommendation.winner, recommendation.goal
    chosen, best = None, None
    if winner is not None:
        dumped = recommendation.chosen_scenario.dump()
        chosen = {name: dumped[name] for name in ("rollout", "strategies", "alarms")}
        best = _entry(recommendation.confirmed[0], goal)
    return {
        "scenario": recommendation.scenario.name,
        "seed": recommendation.seed,
        "engine": recommendation.plane.engine,
        "engine_reason": recommendation.plane.reason,
        "approximations": list(recommendation.notes),
        "searched": recommendation.searched,
        "feasible": winner is not None,
        "decided": recommendation.decided,
        "interrupted": recommendation.interrupted or None,
        "effort": {
            "time_s": recommendation.time,
            "precision": recommendation.precision,
            "runs": list(recommendation.runs),
            "outstanding": [outstanding.to_json() for outstanding in recommendation.outstanding],
            "unexamined": recommendation.unexamined,
        },
        "limits": [] if best is None else best["limits"],
        "recommendation": sentence(recommendation),
        "winner": None if winner is None else {
            "strategy": winner.name, "alarm": winner.alarm_text, "plan": _plan(winner.plan),
        },
        "figures": None if best is None else {name: best[name] for name in FIGURES},
        "alternatives": [_entry(evaluation, goal) for evaluation in recommendation.alternatives],
        "advice": list(recommendation.advice.remedies),
        "notes": list(recommendation.notes),
        "strategy": None if winner is None else winner.name,
        "alarm": None if winner is None else winner.alarm_text,
        "binding": recommendation.advice.binding or None,
        "remarks": remarks(recommendation),
        "assumed": assumed(recommendation),
        "confirmed": [_entry(evaluation, goal) for evaluation in recommendation.confirmed],
        "contenders": [_entry(evaluation, goal) for evaluation in recommendation.contenders],
        "ties": [candidate.label for candidate in recommendation.ties],
        "chosen": chosen,
    }  # fmt: skip


def _plan(plan: Plan) -> dict[str, Any]:
    """A plan with its times in seconds; `length_s` is how long it takes where nothing stops it."""

    def tests(hook: Hook | None) -> dict[str, Any] | None:
        return None if hook is None else {
            "invocations": hook.invocations, "max_failures": hook.max_failures, "over_s": hook.over, "answers": hook.answers,
        }  # fmt: skip

    return {
        "steps": [{"weight": step.weight, "hold_s": step.hold} for step in plan.steps],
        "bake_s": plan.bake,
        "before_allow_traffic": tests(plan.before),
        "after_allow_traffic": tests(plan.after),
        "provisioned": plan.provisioned,
        "allocation_s": plan.allocation,
        "length_s": plan.length,
    }


def _entry(evaluation: Evaluation, goal: Goal) -> dict[str, Any]:
    return {
        "strategy": evaluation.candidate.name,
        "alarm": evaluation.candidate.alarm_text,
        "caught": None if evaluation.caught is None else evaluation.caught.to_json(),
        "false_rollback": evaluation.false_rollback.to_json(),
        "blocked": evaluation.blocked.to_json(),
        "bad_requests": evaluation.bad.to_json(),
        "bad_requests_added": evaluation.bad.to_json(),
        "budget_p95": evaluation.budget.to_json(),
        "time_to_full_s": evaluation.time_to_full,
        "objective": evaluation.objective.to_json(),
        "limits": [limit.to_json() for limit in evaluation.limits(goal)],
        "misses": evaluation.broken(goal),
        "power": [{"severity": severity, **estimate.to_json()} for severity, estimate in evaluation.power],
    }


def _flat(summary: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots, for one row of a CSV."""
    row: dict[str, Any] = {}
    for key, value in summary.items():
        if isinstance(value, dict):
            row |= _flat(value, f"{prefix}{key}.")
        else:
            row[f"{prefix}{key}"] = value
    return row
