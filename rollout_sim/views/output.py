"""The files of a run: tables as CSV, pictures, and the recipe that makes them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.files import atomic_folder, pictures
from rollout_sim.run.result import RunResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FILES: Final = (
    "summary.csv", "timeline.csv", "alarms.csv", "history.csv", "events.csv",
    *pictures("traffic", "error_budget", "burn_rate"), "recipe.json",
)  # fmt: skip


def write_run(
    results: Sequence[RunResult], out: Path, suffix: str = "png", named: Mapping[str, Any] | None = None
) -> list[Path]:
    """Writes everything about one run per strategy into the folder `out` (made if need be); returns the files.

    Pictures are of the format `suffix`, one of `files.FORMATS`. `named` is the recipe's part about the files that the
    scenario reads (`recipe.named_files`).
    """
    import matplotlib as mpl
    import pandas as pd

    mpl.use("Agg")
    from rollout_sim.views.plots import budget as plots
    from rollout_sim.views.recipe import recipe_of

    frames = {
        "summary.csv": pd.DataFrame([_flat(result.summary) for result in results]),
        "timeline.csv": pd.concat([result.timeline for result in results], ignore_index=True),
        "alarms.csv": pd.concat([result.alarms for result in results], ignore_index=True),
        "history.csv": pd.concat([result.changes for result in results], ignore_index=True),
    }
    events = [result.events for result in results if result.events is not None]
    if events:
        frames["events.csv"] = pd.concat(events, ignore_index=True)
    drawn: dict[str, Callable[[Sequence[RunResult]], Figure]] = {"traffic": plots.traffic}
    if results[0].scenario.slos:
        drawn |= {"error_budget": plots.error_budget_figure, "burn_rate": plots.burn_rate_figure}
    with atomic_folder(out, FILES) as folder:
        for name, frame in frames.items():
            frame.to_csv(folder / name, index=False, lineterminator="\n")
        for name, draw in drawn.items():
            plots.save(draw(results), folder / f"{name}.{suffix}")
        recipe = json.dumps(recipe_of(results, suffix, named or {}), indent=1)
        (folder / "recipe.json").write_text(recipe + "\n", encoding="utf-8")
    return [out / name for name in FILES if (out / name).exists()]


def run_json(results: Sequence[RunResult]) -> dict[str, Any]:
    """The document of `run --json`."""
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


def _flat(summary: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots, for one row of a CSV."""
    row: dict[str, Any] = {}
    for key, value in summary.items():
        if isinstance(value, dict):
            row |= _flat(value, f"{prefix}{key}.")
        else:
            row[f"{prefix}{key}"] = value
    return row
