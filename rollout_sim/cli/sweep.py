"""`rollout-sim sweep`: a grid of percentages, intervals, severities or any field."""

from __future__ import annotations

import click

from rollout_sim.cli import console, interruption, options


@click.command()
@options.repeatable
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
@options.replications("Replications of each cell.", default=1000)
@options.STRATEGIES
@click.option("--twin/--no-twin", default=True, help="Also run each cell with a good version, for the false alarms.")
@options.SEED
@options.ENGINE
@options.JOBS
@options.CLUSTER
@options.results
def sweep(
    task: options.Task,
    percent: str | None,
    interval: str | None,
    severity: str | None,
    axes: tuple[str, ...],
    replications: int,
    twin: bool,
) -> None:
    """Sweep a grid of percentages, intervals, severities or any other field: a table, heat maps, power curves.

    Finished cells are kept in the folder; the same command goes on where it was interrupted.
    """
    from rollout_sim.core.files import check_writable
    from rollout_sim.scenario.remarks import remarks_about
    from rollout_sim.study.executor import check_jobs
    from rollout_sim.study.grid import chosen_axes
    from rollout_sim.study.sweep import prepare
    from rollout_sim.views.files import SWEEP_FILES
    from rollout_sim.views.tables import sweep_table

    document, varied, strategies = task.document, task.axes, task.strategies
    if varied is None:
        document, varied = chosen_axes(
            document, percent=percent, interval=interval, severity=severity, axes=axes, strategies=strategies
        )
        strategies = () if percent or interval else strategies
    cells = task.folder / "cells"
    check_writable(task.folder, SWEEP_FILES)
    check_writable(cells, ())
    check_jobs(task.jobs)
    try:
        loaded = task.load()
        grid = prepare(document, varied, replications, strategies, seed=task.seed, engine=task.engine, twin=twin)
        with console.studying(loaded, *grid.planes) as progress:
            swept = grid.run(jobs=task.jobs or 1, cluster=task.cluster, out=task.folder, progress=progress)
    except KeyboardInterrupt:
        kept = f"{len(list(cells.glob('*.json')))} cells are kept in {task.folder}"
        console.tell_interrupted(f": {kept}; the same command goes on from there")
        raise SystemExit(interruption.status()) from None
    head = f"{swept.name}  {swept.replications:,} replications of each of {len(swept.cells):,} cells, seed {swept.seed}"
    notes = [f"note: {note}" for note in (*swept.notes, *remarks_about(loaded))]
    task.deliver(swept, task.named_files(swept.axes), lambda: (head, sweep_table(swept), *notes))
