"""`rollout-sim backtest`: the rollouts of a scenario on recorded minutes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import (
    FORMAT,
    JOBS,
    JSON,
    OUT,
    SEED,
    STRATEGIES,
    Task,
    checked_jobs,
    data_folder,
    repeatable,
)

if TYPE_CHECKING:
    from rollout_sim.study.backtest import Backtest


@click.command()
@repeatable
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="The folder with minutes.csv, as `import cloudwatch` writes it.  [default: the scenario's own]",
)
@STRATEGIES
@click.option(
    "--replications",
    type=click.IntRange(2),
    default=1000,
    show_default=True,
    help="Of the prediction that stands beside the recording.",
)
@SEED
@JOBS
@OUT
@FORMAT
@JSON
def backtest(
    task: Task,
    data: Path | None,
    strategies: tuple[str, ...],
    replications: int,
    seed: int | None,
    jobs: int,
    out: Path | None,
    suffix: str,
    as_json: bool,
    minutes: str | None = None,
) -> None:
    """Play the rollouts on recorded minutes, and say how often they would have been stopped for nothing.

    From every recorded minute, as if a version exactly as good had been deployed; then with the goal's fault added. Beside it
    stands what the scenario predicts, and why it differs.
    """
    console.import_pictures()
    from rollout_sim.core.files import check_writable
    from rollout_sim.study.backtest import backtest as play
    from rollout_sim.views.output import BACKTEST_FILES, write

    loaded, named, folder = task.load(), task.named_files(), out or task.out
    recorded = data_folder(task, data, minutes)
    check_writable(folder, BACKTEST_FILES)
    with console.progress(loaded.name) as progress:
        result = play(
            loaded,
            recorded,
            strategies,
            seed=seed,
            replications=replications,
            jobs=checked_jobs(jobs),
            progress=progress,
        )
    console.deliver(
        lambda: write(result, folder, suffix, named),
        lambda: click.echo(json.dumps(result.to_json(), indent=1)) if as_json else _show(result),
        None if as_json else f"files in {folder}",
    )


def _show(result: Backtest) -> None:
    from rollout_sim.views.backtest import backtest_table, heading, remarks, sentence

    notes = [f"note: {note}" for note in result.notes]
    console.show(heading(result), backtest_table(result), *remarks(result), *notes, sentence(result))
