"""A comparison for the terminal and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rollout_sim.estimates import Estimate
from rollout_sim.result import recipe_of
from rollout_sim.tables import interval_of, share, share_interval
from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rich.table import Table

    from rollout_sim.comparison import Comparison


def comparison_table(comparison: Comparison) -> Table:
    """One row per strategy; each cell an estimate with its 95% interval."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("strategy", no_wrap=True)
    headings = ["stopped\n[95%]"]
    if comparison.twin is not None:
        headings += ["good version\nstopped [95%]"]
    headings += ["rolled back after\nmedian / p95", "bad requests\nmean [95%]"]
    slos = comparison.scenario.slos
    headings += [f"{slo.name} budget\nmean [95%]" for slo in slos] + [f"{slo.name}\np95" for slo in slos]
    for heading in headings:
        table.add_column(heading.replace("[", "\\["), justify="right", no_wrap=True)
    for name in comparison.columns:
        found = comparison.estimates(name)
        cells = [_shares(found["stopped"])]
        if comparison.twin is not None:
            cells.append(_shares(comparison.twin.estimates(name)["stopped"]))
        back = found["time_to_rollback_s"]
        cells.append("-" if back is None else " / ".join(show_duration(back.quantiles[q][0]) for q in ("p50", "p95")))
        bad = found["bad_requests"]
        cells.append("-" if bad is None else interval_of(bad.mean, bad.low, bad.high))
        budgets = [found[f"budget_spent.{slo.name}"] for slo in slos]
        cells += [_shares(one) for one in budgets]
        cells += ["-" if one is None else share(one.quantiles["p95"][0]) for one in budgets]
        table.add_row(name, *(cell.replace("[", "\\[") for cell in cells))
    return table


def write_comparison(comparison: Comparison, out: Path) -> list[Path]:
    """Writes estimates, every replication, the picture and the recipe into the folder `out`; returns the files."""
    import matplotlib as mpl
    import pandas as pd

    mpl.use("Agg")
    from rollout_sim import comparison_plots
    from rollout_sim.plots import close

    out.mkdir(parents=True, exist_ok=True)
    comparison.frame.to_csv(out / "estimates.csv", index=False, lineterminator="\n")
    every = [
        pd.DataFrame({"version": label, "strategy": name, "replication": range(one.replications), **columns})
        for label, one in (("as described", comparison), ("good", comparison.twin))
        if one is not None
        for name, columns in one.columns.items()
    ]
    replications = pd.concat(every, ignore_index=True)
    replications["outcome"] = comparison.outcome_names(replications["outcome"].to_numpy(int))
    replications.to_csv(out / "replications.csv", index=False, lineterminator="\n")
    figure = comparison_plots.comparison_figure(comparison)
    figure.savefig(out / "comparison.png", metadata={"Software": None})
    close(figure)
    recipe = recipe_of(comparison.scenario, seed=comparison.seed, engine=comparison.plane.engine)
    recipe |= {"replications": comparison.replications, "strategies": list(comparison.columns)}
    (out / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return [out / name for name in ("estimates.csv", "replications.csv", "comparison.png", "recipe.json")]


def _shares(estimate: Estimate | None) -> str:
    return "-" if estimate is None else share_interval(estimate.mean, estimate.low, estimate.high)
