"""A comparison for the terminal and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rollout_sim.folders import pictures, publishing
from rollout_sim.result import recipe_of
from rollout_sim.tables import Sheet, interval_of, share, shares
from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rollout_sim.comparison import Comparison


FILES: Final = ("estimates.csv", "replications.csv", "comparison_recipe.json", *pictures("comparison"))


def comparison_sheet(comparison: Comparison) -> Sheet:
    """One row per strategy; each cell an estimate with its 95% interval."""
    slos, twin = comparison.scenario.slos, comparison.twin
    headings = ["strategy", "stopped\n[95%]"]
    headings += [] if twin is None else ["good version\nstopped [95%]"]
    headings += ["rolled back after\nmedian / p95", "bad requests\nmean [95%]"]
    for slo in slos:
        headings += [f"{slo.name} budget\nmean [95%]", f"{slo.name}\np95"]
    rows = []
    for name in comparison.columns:
        found = comparison.estimates(name)
        cells = [name, shares(found["stopped"])]
        cells += [] if twin is None else [shares(twin.estimates(name)["stopped"])]
        back, bad = found["time_to_rollback_s"], found["bad_requests"]
        cells.append("-" if back is None else " / ".join(show_duration(back.quantiles[q][0]) for q in ("p50", "p95")))
        cells.append("-" if bad is None else interval_of(bad.mean, bad.low, bad.high))
        for slo in slos:
            budget = found[f"budget_spent.{slo.name}"]
            cells += [shares(budget), "-" if budget is None else share(budget.quantiles["p95"][0])]
        rows.append(tuple(cells))
    return Sheet(headings=tuple(headings), rows=tuple(rows))


def write_comparison(comparison: Comparison, out: Path, suffix: str = "png") -> list[Path]:
    """Writes estimates, every replication, the picture and the recipe into the folder `out`; returns the files.

    The picture is of the format `suffix`, one of `folders.FORMATS`.
    """
    import matplotlib as mpl
    import pandas as pd

    mpl.use("Agg")
    from rollout_sim import comparison_plots
    from rollout_sim.plots_style import save

    every = [
        pd.DataFrame({"version": label, "strategy": name, "replication": range(one.replications), **columns})
        for label, one in (("as described", comparison), ("good", comparison.twin))
        if one is not None
        for name, columns in one.columns.items()
    ]
    replications = pd.concat(every, ignore_index=True)
    replications["outcome"] = comparison.outcome_names(replications["outcome"].to_numpy(int))
    recipe = recipe_of(comparison.scenario, seed=comparison.seed, engine=comparison.plane.engine)
    recipe |= {"replications": comparison.replications, "strategies": list(comparison.columns)}
    with publishing(out, FILES) as folder:
        comparison.frame.to_csv(folder / FILES[0], index=False, lineterminator="\n")
        replications.to_csv(folder / FILES[1], index=False, lineterminator="\n")
        save(comparison_plots.comparison_figure(comparison), folder / f"comparison.{suffix}")
        (folder / FILES[2]).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return [out / name for name in FILES if (out / name).exists()]
