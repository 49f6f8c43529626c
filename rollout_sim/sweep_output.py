"""A sweep for the terminal and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rollout_sim.folders import pictures, publishing
from rollout_sim.result import recipe_of
from rollout_sim.tables import Sheet, interval_of, share_interval

if TYPE_CHECKING:
    from rollout_sim.sweeps import Sweep

FILES: Final = ("sweep.csv", "sweep_recipe.json", *pictures("heat_maps", "power"))
SHOWN: Final = 40
"""Rows of the table in the terminal; the file has all of them."""


def sweep_sheet(swept: Sweep, rest: str = FILES[0]) -> Sheet:
    """One row per cell and strategy, the first `SHOWN`; `rest` says where all of them are."""
    names = [one.name for one in swept.axes]
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in swept.rows:
        cells = found.setdefault((*(row[name] for name in names), row["strategy"]), {"plane": row["engine"]})
        show = share_interval if row["estimate"] == "stopped" else interval_of
        cells[row["estimate"]] = show(row["mean"], row["low"], row["high"])
    rows = tuple(
        (*values, *(cells.get(name, "-") for name in ("stopped", "bad_requests", "plane")))
        for values, cells in found.items()
    )
    return Sheet(
        headings=(*names, "strategy", "stopped\n[95%]", "bad requests\nmean [95%]", "plane"),
        rows=rows[:SHOWN],
        left=len(names) + 1,
        caption=f"{len(rows) - SHOWN:,} more rows in {rest}" if len(rows) > SHOWN else "",
    )


def write_sweep(swept: Sweep, out: Path, suffix: str = "png") -> list[Path]:
    """Writes the tidy table, the pictures that the axes allow and the recipe into the folder `out`; returns the files.

    Pictures are of the format `suffix`, one of `folders.FORMATS`.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from rollout_sim import sweep_plots
    from rollout_sim.plots_style import save

    recipe = recipe_of(
        swept.cells[0].scenario,
        axes={one.name: [str(value) for value in one.values] for one in swept.axes},
        replications=swept.replications,
        seed=swept.seed,
    )
    with publishing(out, FILES) as folder:
        swept.frame.to_csv(folder / FILES[0], index=False, lineterminator="\n")
        for name, draw in (("heat_maps", sweep_plots.heat_map_figure), ("power", sweep_plots.power_figure)):
            figure = draw(swept)
            if figure is not None:
                save(figure, folder / f"{name}.{suffix}")
        (folder / FILES[1]).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return [out / name for name in FILES if (out / name).exists()]
