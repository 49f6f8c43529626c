"""A sweep for the terminal and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rollout_sim.result import recipe_of
from rollout_sim.tables import interval_of, share_interval

if TYPE_CHECKING:
    from rich.table import Table

    from rollout_sim.sweeps import Sweep

SHOWN: Final = 40
"""Rows of the table in the terminal; the file has all of them."""


def sweep_table(swept: Sweep) -> Table:
    """One row per cell and strategy, the first `SHOWN`."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    names = [one.name for one in swept.axes]
    for heading in (*names, "strategy"):
        table.add_column(heading, no_wrap=True)
    for heading in ("stopped\n\\[95%]", "bad requests\nmean \\[95%]", "plane"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in swept.rows:
        cells = rows.setdefault((*(row[name] for name in names), row["strategy"]), {"plane": row["engine"]})
        show = share_interval if row["estimate"] == "stopped" else interval_of
        cells[row["estimate"]] = show(row["mean"], row["low"], row["high"])
    for k, (values, cells) in enumerate(rows.items()):
        if k == SHOWN:
            table.caption = f"{len(rows) - SHOWN:,} more rows in sweep.csv"
            break
        table.add_row(
            *values, *(cells.get(name, "-").replace("[", "\\[") for name in ("stopped", "bad_requests", "plane"))
        )
    return table


def write_sweep(swept: Sweep, out: Path) -> list[Path]:
    """Writes the tidy table, the pictures that the axes allow and the recipe into the folder `out`; returns the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    from rollout_sim import sweep_plots
    from rollout_sim.plots import close

    out.mkdir(parents=True, exist_ok=True)
    swept.frame.to_csv(out / "sweep.csv", index=False, lineterminator="\n")
    written = [out / "sweep.csv"]
    for name, draw in (("heat_maps.png", sweep_plots.heat_map_figure), ("power.png", sweep_plots.power_figure)):
        figure = draw(swept)
        if figure is not None:
            figure.savefig(out / name, metadata={"Software": None})
            close(figure)
            written.append(out / name)
    recipe = recipe_of(
        swept.cells[0].scenario,
        axes={one.name: [str(value) for value in one.values] for one in swept.axes},
        replications=swept.replications,
        seed=swept.seed,
    )
    (out / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    return [*written, out / "recipe.json"]
