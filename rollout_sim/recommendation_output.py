"""A recommendation for the terminal and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.artefacts.codedeploy import shortcoming
from rollout_sim.estimates import Estimate
from rollout_sim.folders import pictures, publishing
from rollout_sim.result import recipe_of
from rollout_sim.tables import Sheet, interval_of, share, shares
from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rollout_sim.goals import Goal
    from rollout_sim.recommendation import Recommendation
    from rollout_sim.worlds import Figures

FILES: Final = (
    "contenders.csv",
    "recommended.yaml",
    "recommendation_recipe.json",
    *pictures("pareto", "recommended_power"),
)
LIMITS: Final = {
    "catch": "does not catch the fault of the goal",
    "false_rollback": "rolls a good version back",
    "budget": "spends too much of the budget",
    "time_to_full": "takes too long",
}


def sentence(found: Recommendation) -> str:
    """The answer in one sentence."""
    if found.winner is None:
        return found.advice.summary
    one = found.confirmed[0]
    text = f"use {found.winner.name}"
    if found.winner.alarm is not None:
        text += f" with the alarm {found.winner.alarm_text}"
    text += f": full traffic after {show_duration(one.time_to_full)}, {_number(one.bad)} bad requests per release on average"
    if one.caught is not None and found.goal.catch is not None:
        severity = found.goal.catch.of
        text += f", catches {severity.show(severity.spread.low)} in {shares(one.caught)} of the rollouts"
    return f"{text}, rolls a good version back in {shares(one.false_rollback)}"


def assumed(found: Recommendation) -> list[str]:
    """The risk and the goal that the answer goes by, and where they come from."""
    risk, goal = found.risk, found.goal
    spread = risk.severity.spread
    ends = [risk.severity.show(end) for end in dict.fromkeys((spread.low, spread.high))]
    where = "the file" if found.scenario.risk is not None else "the default"
    lines = [f"risk ({where}): {share(risk.p_bad)} of the releases are bad, by {' to '.join(ends)} (log-uniform)"]
    limits = []
    if goal.catch is not None:
        of = goal.catch.of
        limits.append(f"catch {of.show(of.spread.low)} in at least {share(goal.catch.at_least)}")
    if goal.false_rollback is not None:
        limits.append(f"roll a good version back in at most {share(goal.false_rollback.at_most)}")
    if goal.budget is not None:
        limits.append(f"spend at most {share(goal.budget.at_most)} of the budget (95th percentile)")
    if goal.time_to_full is not None:
        limits.append(f"reach full traffic within {show_duration(goal.time_to_full.at_most)}")
    where = "the file" if found.scenario.goal is not None else "the default"
    return [*lines, f"goal ({where}): {'; '.join(limits)}; minimise {goal.minimise.replace('_', ' ')}"]


def remarks(found: Recommendation) -> list[str]:
    """Why the obvious alternatives lose, how sure the answer is, and what else would help."""
    lines = []
    for one in found.confirmed[1 if found.winner is not None else 0 :]:
        misses = [f"{LIMITS[name]} ({_missed(one, name)})" for name in one.misses(found.goal)]
        if misses:
            lines.append(f"not {one.candidate.name}: it {' and '.join(misses)}")
        elif found.winner is not None:
            lines.append(f"not {one.candidate.name}: {_number(one.bad)} bad requests per release on average")
    if found.ties:
        names = "; ".join(one.label for one in found.ties)
        lines.append(f"cannot be told apart in what is minimised, the simplest is recommended: {names}")
    if found.winner is not None and (why := shortcoming(found.winner.plan)) is not None:
        lines.append(f"CodeDeploy cannot carry it out: {why}; --codedeploy searches among what it can")
    return [*lines, *found.advice.remedies]


def contender_sheet(found: Recommendation) -> Sheet:
    """The confirmed candidates and the contenders, each figure with its 95% interval."""
    headings = (
        "strategy", "alarm", "caught\n[95%]", "good version\nstopped [95%]", "bad requests added\nmean [95%]",
        "budget\np95 [95%]", "full after", "misses",
    )  # fmt: skip
    fresh = {one.candidate.label for one in found.confirmed}
    shown = (*found.confirmed, *(one for one in found.contenders if one.candidate.label not in fresh))
    return Sheet(headings=headings, rows=tuple(_cells(one, found.goal) for one in shown), left=2)


def document(found: Recommendation) -> dict[str, Any]:
    """The document of `recommend --json`."""
    return {
        "scenario": found.scenario.name,
        "seed": found.seed,
        "engine": found.plane.engine,
        "engine_reason": found.plane.reason,
        "approximations": list(found.notes),
        "searched": found.searched,
        "feasible": found.winner is not None,
        "recommendation": sentence(found),
        "strategy": None if found.winner is None else found.winner.name,
        "alarm": None if found.winner is None else found.winner.alarm_text,
        "binding": found.advice.binding or None,
        "remarks": remarks(found),
        "assumed": assumed(found),
        "confirmed": [_entry(one, found.goal) for one in found.confirmed],
        "contenders": [_entry(one, found.goal) for one in found.contenders],
        "ties": [one.label for one in found.ties],
        "chosen": None if found.winner is None else _chosen(found),
    }


def write_recommendation(found: Recommendation, out: Path, suffix: str = "png") -> list[Path]:
    """Writes the table, the pictures, the chosen scenario and the recipe into the folder `out`; returns the files.

    Pictures are of the format `suffix`, one of `folders.FORMATS`.
    """
    import matplotlib as mpl
    import yaml

    mpl.use("Agg")
    from rollout_sim import recommendation_plots
    from rollout_sim.plots_style import save

    with publishing(out, FILES) as folder:
        found.frame.to_csv(folder / FILES[0], index=False, lineterminator="\n")
        save(recommendation_plots.pareto_figure(found), folder / f"pareto.{suffix}")
        save(recommendation_plots.power_figure(found), folder / f"recommended_power.{suffix}")
        if found.winner is not None:
            text = yaml.safe_dump(found.chosen_scenario.dump(), sort_keys=False, allow_unicode=True, width=100)
            (folder / FILES[1]).write_text(text, encoding="utf-8")
        recipe = recipe_of(found.scenario, seed=found.seed, engine=found.plane.engine)
        (folder / FILES[2]).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return [out / name for name in FILES if (out / name).exists()]


def _cells(one: Figures, goal: Goal) -> tuple[str, ...]:
    caught = shares(one.caught)
    budget = shares(one.budget)
    bad = interval_of(one.bad.mean, one.bad.low, one.bad.high)
    return (
        one.candidate.name, one.candidate.alarm_text, caught, shares(one.false_rollback), bad, budget,
        show_duration(one.time_to_full), ", ".join(name.replace("_", " ") for name in one.misses(goal)) or "-",
    )  # fmt: skip


def _entry(one: Figures, goal: Goal) -> dict[str, Any]:
    return {
        "strategy": one.candidate.name,
        "alarm": one.candidate.alarm_text,
        "caught": None if one.caught is None else one.caught.document,
        "false_rollback": one.false_rollback.document,
        "bad_requests": one.bad.document,
        "budget_p95": one.budget.document,
        "time_to_full_s": one.time_to_full,
        "objective": one.objective.document,
        "misses": one.misses(goal),
        "power": [{"severity": severity, **estimate.document} for severity, estimate in one.power],
    }


def _chosen(found: Recommendation) -> dict[str, Any]:
    dumped = found.chosen_scenario.dump()
    return {name: dumped[name] for name in ("rollout", "strategies", "alarms")}


def _missed(one: Figures, name: str) -> str:
    if name == "catch":
        return shares(one.caught)
    if name == "false_rollback":
        return shares(one.false_rollback)
    return shares(one.budget) if name == "budget" else show_duration(one.time_to_full)


def _number(estimate: Estimate) -> str:
    return interval_of(estimate.mean, estimate.low, estimate.high)
