"""`rollout-sim when`: the best and the worst hour to deploy."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import FORMAT, JOBS, JSON, OUT, SEED, STRATEGIES, Task, checked_jobs, repeatable


@click.command()
@repeatable
@STRATEGIES
@click.option(
    "--replications", type=click.IntRange(2), default=200, show_default=True, help="Of each strategy and hour."
)
@SEED
@JOBS
@OUT
@FORMAT
@JSON
def when(
    task: Task,
    strategies: tuple[str, ...],
    replications: int,
    seed: int | None,
    jobs: int,
    out: Path | None,
    suffix: str,
    as_json: bool,
) -> None:
    """Find the best and the worst hour to deploy, by bad requests and by the time until a bad version is stopped.

    Needs traffic or errors that know the time: a trace with dates, a daily swing, or recorded minutes.
    """
    console.import_pictures()
    from rollout_sim.core.files import check_writable
    from rollout_sim.planes.selection import choose_engine
    from rollout_sim.study.when import when as by_hours
    from rollout_sim.views.output import WHEN_FILES, write
    from rollout_sim.views.when import answers, when_table

    loaded, named, folder = task.load(), task.named_files(), out or task.out
    check_writable(folder, WHEN_FILES)
    with console.studying(loaded, choose_engine(loaded)) as progress:
        result = by_hours(
            loaded, strategies, replications=replications, seed=seed, jobs=checked_jobs(jobs), progress=progress
        )
    head = f"{loaded.name}  {result.fault}, {replications:,} runs of each strategy and hour, seed {result.seed}"
    plane = f"plane {result.plane.engine}: {result.plane.reason}"
    console.deliver(
        lambda: write(result, folder, suffix, named),
        lambda: (
            click.echo(json.dumps(result.to_json(), indent=1))
            if as_json
            else console.show(head, when_table(result), plane, *answers(result))
        ),
        None if as_json else f"files in {folder}",
    )
