"""`rollout-sim backtest`: the rollouts of a scenario on recorded minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout_sim.cli import console, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_sim.study.backtest import Backtest


@click.command()
@options.repeatable
@click.option(
    "--data",
    type=options.FOLDER,
    metavar="FOLDER",
    help="The folder with minutes.csv, as `import cloudwatch` writes it.  [default: the scenario's own]",
)
@options.STRATEGIES
@options.replications("Replications of the prediction that stands beside the recording.", default=1000, least=2)
@options.SEED
@options.ENGINE
@options.JOBS
@options.results
def backtest(task: options.Task, data: Path | None, replications: int, minutes: str | None = None) -> None:
    """Play the rollouts on recorded minutes, and say how often they would have been stopped for nothing.

    From every recorded minute, as if a version exactly as good had been deployed; then with the goal's fault added. Beside it
    stands what the scenario predicts, and why it differs.
    """
    from rollout_sim.study.backtest import backtest as play
    from rollout_sim.study.backtest import predicting_planes
    from rollout_sim.views.files import BACKTEST_FILES

    loaded, named = task.prepare(BACKTEST_FILES)
    recorded = options.data_folder(task, data, minutes)
    with console.studying(loaded, *predicting_planes(loaded, task.engine)) as progress:
        result = play(
            loaded,
            recorded,
            task.strategies,
            seed=task.seed,
            engine=task.engine,
            replications=replications,
            jobs=task.jobs or 1,
            progress=progress,
        )
    task.deliver(result, named, lambda: _shown(result))


def _shown(result: Backtest) -> Iterator[Any]:
    from rollout_sim.views.backtest import backtest_table, heading, remarks, sentence

    yield from (heading(result), backtest_table(result), *remarks(result))
    yield from (f"note: {note}" for note in result.notes)
    yield sentence(result)
