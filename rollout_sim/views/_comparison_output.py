"""A comparison for the terminal and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.files import atomic_folder, pictures

if TYPE_CHECKING:
    from rollout_sim.study.comparison import Comparison


FILES: Final = ("estimates.csv", "replications.csv", "comparison_recipe.json", *pictures("comparison"))


def write_comparison(
    comparison: Comparison, out: Path, suffix: str = "png", named: Mapping[str, Any] | None = None
) -> list[Path]:
    """Writes estimates, every replication, the picture and the recipe into the folder `out`; returns the files.

    The picture is of the format `suffix`, one of `files.FORMATS`. `named` is the recipe's part about the files that the
    scenario reads (`recipe.named_files`).
    """
    import matplotlib as mpl
    import pandas as pd

    mpl.use("Agg")
    from rollout_sim.views.plots import comparison as comparison_plots
    from rollout_sim.views.plots.style import save
    from rollout_sim.views.recipe import recipe_of

    every = [
        pd.DataFrame({"version": label, "strategy": name, "replication": range(one.replications), **columns})
        for label, one in (("as described", comparison), ("good", comparison.twin))
        if one is not None
        for name, columns in one.columns.items()
    ]
    replications = pd.concat(every, ignore_index=True)
    replications["outcome"] = comparison.outcome_names(replications["outcome"].to_numpy(int))
    recipe = recipe_of(comparison, suffix, named or {})
    with atomic_folder(out, FILES) as folder:
        comparison.frame.to_csv(folder / FILES[0], index=False, lineterminator="\n")
        replications.to_csv(folder / FILES[1], index=False, lineterminator="\n")
        save(comparison_plots.comparison_figure(comparison), folder / f"comparison.{suffix}")
        (folder / FILES[2]).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return [out / name for name in FILES if (out / name).exists()]
