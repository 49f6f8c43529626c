"""A sweep for the terminal and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.files import atomic_folder, pictures

if TYPE_CHECKING:
    from rollout_sim.study.sweep import Sweep


FILES: Final = ("sweep.csv", "sweep_recipe.json", *pictures("heat_maps", "power"))


def write_sweep(swept: Sweep, out: Path, suffix: str = "png", named: Mapping[str, Any] | None = None) -> list[Path]:
    """Writes the tidy table, the pictures that the axes allow and the recipe into the folder `out`; returns the files.

    Pictures are of the format `suffix`, one of `files.FORMATS`. `named` is the recipe's part about the files that the
    scenario reads (`recipe.named_files`).
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from rollout_sim.views.plots import sweep as sweep_plots
    from rollout_sim.views.plots.style import save
    from rollout_sim.views.recipe import recipe_of

    recipe = recipe_of(swept, suffix, named or {})
    with atomic_folder(out, FILES) as folder:
        swept.frame.to_csv(folder / FILES[0], index=False, lineterminator="\n")
        for name, draw in (("heat_maps", sweep_plots.heat_map_figure), ("power", sweep_plots.power_figure)):
            figure = draw(swept)
            if figure is not None:
                save(figure, folder / f"{name}.{suffix}")
        (folder / FILES[1]).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return [out / name for name in FILES if (out / name).exists()]
