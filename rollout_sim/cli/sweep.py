"""`rollout-sim sweep`: a grid of percentages, intervals, severities or any field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import (
    CLUSTER,
    ENGINE,
    FORMAT,
    INTERRUPTED,
    JOBS,
    OUT,
    SEED,
    STRATEGIES,
    Task,
    checked_jobs,
    repeatable,
)

if TYPE_CHECKING:
    from rollout_sim.scenario.sections import Engine


@click.command()
@repeatable
@click.option("--percent", help="Percentages of the canary or linear strategy, such as 1,2,5,10.")
@click.option("--interval", help="Its intervals, such as 5m,10m,30m.")
@click.option("--severity", help="Error rates of the new version's fault, such as 0%,0.5%,1%,5%; 0% is a good version.")
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="PATH=VALUES",
    help="Any field of the scenario, such as alarms.errors.lag=0 s,60 s; may be given several times.",
)
@click.option("--replications", type=click.IntRange(1), default=1000, show_default=True, help="Of each cell.")
@STRATEGIES
@click.option("--twin/--no-twin", default=True, help="Also run each cell with a good version, for the false alarms.")
@SEED
@ENGINE
@JOBS
@CLUSTER
@OUT
@FORMAT
def sweep(
    task: Task,
    percent: str | None,
    interval: str | None,
    severity: str | None,
    axes: tuple[str, ...],
    replications: int,
    strategies: tuple[str, ...],
    twin: bool,
    seed: int | None,
    engine: Engine | None,
    jobs: int,
    cluster: str | None,
    out: Path | None,
    suffix: str,
) -> None:
    """Sweep a grid of percentages, intervals, severities or any other field: a table, heat maps, power curves.

    Finished cells are kept in the folder; the same command goes on where it was interrupted.
    """
    console.import_pictures()
    from rollout_sim.core.files import check_writable
    from rollout_sim.scenario.remarks import remarks_about
    from rollout_sim.study.grid import chosen_axes
    from rollout_sim.study.sweep import prepare
    from rollout_sim.views.output import SWEEP_FILES, write
    from rollout_sim.views.tables import sweep_table

    document, varied = task.document, task.axes
    if varied is None:
        document, varied = chosen_axes(
            document, percent=percent, interval=interval, severity=severity, axes=axes, strategies=strategies
        )
        strategies = () if percent or interval else strategies
    folder = out or task.out
    check_writable(folder, SWEEP_FILES)
    check_writable(folder / "cells", ())
    try:
        loaded = task.load()
        grid = prepare(document, varied, replications, strategies, seed=seed, engine=engine, twin=twin)
        with console.studying(loaded, *grid.planes) as progress:
            swept = grid.run(jobs=checked_jobs(jobs), cluster=cluster, out=folder, progress=progress)
    except KeyboardInterrupt:
        kept = len(list((folder / "cells").glob("*.json")))
        click.echo(f"interrupted: {kept} cells are kept in {folder}; the same command goes on from there", err=True)
        raise SystemExit(INTERRUPTED) from None
    head = f"{swept.name}  {swept.replications:,} replications of each of {len(swept.cells):,} cells, seed {swept.seed}"
    console.deliver(
        lambda: write(swept, folder, suffix, task.named_files(swept.axes)),
        lambda: console.show(
            head, sweep_table(swept), *(f"note: {note}" for note in (*swept.notes, *remarks_about(loaded)))
        ),
        f"files in {folder}",
    )
