"""A recommendation for the terminal and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.files import atomic_folder, pictures
from rollout_sim.views.sentences import assumed, remarks, sentence

if TYPE_CHECKING:
    from rollout_sim.scenario.goals import Goal
    from rollout_sim.study.recommend.hypotheses import Evaluation
    from rollout_sim.study.recommend.search import Recommendation


FILES: Final = (
    "contenders.csv",
    "recommended.yaml",
    "recommendation_recipe.json",
    *pictures("pareto", "recommended_power"),
)


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


def write_recommendation(
    found: Recommendation, out: Path, suffix: str = "png", named: Mapping[str, Any] | None = None
) -> list[Path]:
    """Writes the table, the pictures, the chosen scenario and the recipe into the folder `out`; returns the files.

    Pictures are of the format `suffix`, one of `files.FORMATS`. `named` is the recipe's part about the files that the
    scenario reads (`recipe.named_files`).
    """
    import matplotlib as mpl
    import yaml

    mpl.use("Agg")
    from rollout_sim.views.plots import recommendation as recommendation_plots
    from rollout_sim.views.plots.style import save
    from rollout_sim.views.recipe import recipe_of

    with atomic_folder(out, FILES) as folder:
        found.frame.to_csv(folder / FILES[0], index=False, lineterminator="\n")
        save(recommendation_plots.pareto_figure(found), folder / f"pareto.{suffix}")
        save(recommendation_plots.power_figure(found), folder / f"recommended_power.{suffix}")
        if found.winner is not None:
            text = yaml.safe_dump(found.chosen_scenario.dump(), sort_keys=False, allow_unicode=True, width=100)
            (folder / FILES[1]).write_text(text, encoding="utf-8")
        recipe = recipe_of(found, suffix, named or {})
        (folder / FILES[2]).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return [out / name for name in FILES if (out / name).exists()]


def _entry(one: Evaluation, goal: Goal) -> dict[str, Any]:
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
