"""`rollout-sim compare`: strategies over many replications."""

from __future__ import annotations

import json
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
    JSON,
    OUT,
    REPLICATIONS,
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
@REPLICATIONS
@STRATEGIES
@SEED
@ENGINE
@click.option("--twin/--no-twin", default=True, help="Also run the same with a good version, for the false alarms.")
@JOBS
@CLUSTER
@OUT
@FORMAT
@JSON
def compare(
    task: Task,
    replications: int | None,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    twin: bool,
    jobs: int,
    cluster: str | None,
    out: Path | None,
    suffix: str,
    as_json: bool,
) -> None:
    """Compare strategies over many replications: how often a bad version is stopped, and a good one."""
    console.import_pictures()
    from rollout_sim.core.files import check_writable
    from rollout_sim.study.comparison import compare as compare_strategies
    from rollout_sim.views.output import COMPARISON_FILES, to_json, write
    from rollout_sim.views.sentences import conclusion
    from rollout_sim.views.tables import comparison_table

    loaded, named, folder = task.load(), task.named_files(), out or task.out
    check_writable(folder, COMPARISON_FILES)
    with console.studying(loaded, engine) as progress:
        compared = compare_strategies(
            loaded, replications, strategies,
            seed=seed, engine=engine, twin=twin, jobs=checked_jobs(jobs), cluster=cluster, progress=progress,
        )  # fmt: skip
    head = f"{loaded.name}  {loaded.description}"
    plane = f"{compared.replications:,} replications, seed {compared.seed}, plane {compared.plane.engine}: {compared.plane.reason}"
    several = loaded.rollout is not None and len(loaded.rollout.alarms) > 1
    sides = [("", compared)] if compared.twin is None else [("", compared), (", good version", compared.twin)]
    notes = [
        f"{name}{which}: {words}"
        for which, side in sides
        for name, words in side.reasons.items()
        if several or ", " in words
    ]
    notes += [f"note: {note}" for note in compared.approximations]
    if compared.interrupted is not None:
        notes.append(f"interrupted: {compared.replications:,} of {compared.interrupted:,} replications are kept")
    console.deliver(
        lambda: write(compared, folder, suffix, named),
        lambda: (
            click.echo(json.dumps(to_json(compared), indent=1))
            if as_json
            else console.show(head, plane, *notes, comparison_table(compared), *conclusion(compared))
        ),
        None if as_json else f"files in {folder}",
    )
    if compared.interrupted is not None:
        raise SystemExit(INTERRUPTED)
