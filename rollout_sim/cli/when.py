"""`rollout-sim when`: the best and the worst hour to deploy."""

from __future__ import annotations

from dataclasses import replace

import click

from rollout_sim.cli import console, options


@click.command()
@options.repeatable
@options.STRATEGIES
@options.replications("Replications of each strategy and hour.", default=200, least=2)
@options.SEED
@options.ENGINE
@options.JOBS
@options.results
def when(task: options.Task, replications: int) -> None:
    """Find the best and the worst hour to deploy, by bad requests and by the time until a bad version is stopped.

    Needs traffic or errors that depend on the time: a trace with dates, a daily swing, a schedule, or recorded minutes.
    """
    from rollout_sim.study.when import prepare
    from rollout_sim.views.files import WHEN_FILES
    from rollout_sim.views.when import answers, when_table

    loaded, named = replace(task, untold=("schedule",)).prepare(WHEN_FILES)  # the clock's begin moves with the hour
    begun = prepare(loaded, task.strategies, replications=replications, seed=task.seed, engine=task.engine)
    with console.studying(loaded, begun.plane) as progress:
        result = begun.run(jobs=task.jobs or 1, progress=progress)
    head = f"{loaded.name}  {result.fault}, {replications:,} runs of each strategy and hour, seed {result.seed}"
    plane = f"plane {result.plane.engine}: {result.plane.reason}"
    notes = [f"note: {note}" for note in result.approximations]
    task.deliver(result, named, lambda: (head, when_table(result), plane, *notes, *answers(result)))
