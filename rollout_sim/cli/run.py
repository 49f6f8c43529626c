"""`rollout-sim run`: a scenario once per strategy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import (
    ENGINE,
    FORMAT,
    INTERRUPTED,
    JSON,
    OUT,
    SEED,
    STRATEGIES,
    Task,
    complete_strategy,
    moment,
    repeatable,
)

if TYPE_CHECKING:
    from rollout_sim.run.result import RunResult
    from rollout_sim.scenario.sections import Engine


@click.command()
@repeatable
@STRATEGIES
@SEED
@ENGINE
@OUT
@FORMAT
@JSON
@click.option(
    "--explain",
    metavar="STRATEGY",
    help="Tell the run of this one in ten lines: what happened when, what the alarm saw, why it ended so.",
    shell_complete=complete_strategy,
)
@click.option(
    "--at",
    metavar="MOMENT",
    help='Begin the rollout at this moment of the recorded traffic, such as "2026-11-24 14:00", in UTC unless it names a zone.',
)
@click.option("--events", is_flag=True, help="Also write every invocation that started (events.csv).")
def run(
    task: Task,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    out: Path | None,
    suffix: str,
    as_json: bool,
    explain: str | None,
    at: str | None,
    events: bool,
) -> None:
    """Run a scenario once per strategy: a table, plots and CSV files."""
    console.import_pictures()
    from rollout_sim.core.files import check_writable
    from rollout_sim.run.simulate import choose_for_runs, simulate_each
    from rollout_sim.views.output import RUN_FILES, to_json, write

    loaded, named, folder = task.load(), task.named_files(), out or task.out
    check_writable(folder, RUN_FILES)
    if explain is not None:
        strategies = (explain,)
    if at is not None:
        loaded = loaded.at(moment(at))
    if engine is not None:
        loaded = replace(loaded, engine=engine)
    choice = choose_for_runs(loaded, strategies, events=events)
    console.announce_compiling(loaded, choice.engine)
    results: list[RunResult] = []
    interrupted = False
    try:
        with console.progress(loaded.name) as progress:
            results.extend(
                simulate_each(loaded, strategies, seed=seed, events=events, progress=progress, choice=choice)
            )
    except KeyboardInterrupt:
        interrupted = True
    if results:
        console.deliver(
            lambda: write(results, folder, suffix, named),
            lambda: click.echo(json.dumps(to_json(results), indent=1)) if as_json else _show(results, explain),
            None if as_json else f"files in {folder}",
        )
    if interrupted:
        click.echo(
            f"interrupted: {len(results)} of {len(strategies or loaded.strategies) or 1} strategies finished", err=True
        )
        raise SystemExit(INTERRUPTED)


def _show(results: list[RunResult], explain: str | None) -> None:
    from rollout_sim.views.sentences import verdict
    from rollout_sim.views.story import story
    from rollout_sim.views.tables import record_table, run_table, version_table

    if explain is not None:
        console.show(*story(results[0]))
        return
    first = results[0]
    head = f"{first.scenario.name}  {first.scenario.description}"
    plane = f"seed {first.seed}, plane {first.engine}: {first.engine_reason}"
    notes = [f"note: {note}" for note in first.approximations]
    tables = [run_table(results), *([record_table(results)] if first.polled else [])]
    console.show(head, version_table(results), plane, *notes, *tables, *verdict(results))
