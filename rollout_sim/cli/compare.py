"""`rollout-sim compare`: strategies over many replications."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import (
    CLUSTER,
    ENGINE,
    FORMAT,
    INTERRUPTED,
    JSON,
    OUT,
    REPLICATIONS,
    SEED,
    SHARED_JOBS,
    STRATEGIES,
    ScenarioPath,
    Task,
    checked_jobs,
    repeatable,
    task_of,
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
@SHARED_JOBS
@CLUSTER
@OUT
@FORMAT
@JSON
@click.argument("other", type=ScenarioPath(), required=False)
def compare(
    task: Task,
    other: Path | None,
    replications: int | None,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    twin: bool,
    jobs: int | None,
    cluster: str | None,
    out: Path | None,
    suffix: str,
    as_json: bool,
) -> None:
    """Compare strategies over many replications: how often a bad version is stopped, and a good one.

    With OTHER, the file after a change, both stand beside each other, with what the change makes of each strategy.
    """
    console.import_pictures()
    if other is not None:
        options: dict[str, Any] = {"seed": seed, "engine": engine, "twin": twin, "jobs": jobs, "cluster": cluster}
        _change(task, task_of(other), replications, strategies, out, suffix, as_json=as_json, **options)
        return
    from rollout_sim.core.files import check_writable
    from rollout_sim.planes.selection import choose_engine
    from rollout_sim.study.comparison import compare as compare_strategies
    from rollout_sim.views.output import COMPARISON_FILES, to_json, write
    from rollout_sim.views.sentences import conclusion
    from rollout_sim.views.tables import comparison_table

    loaded, named, folder = task.load(), task.named_files(), out or task.out
    check_writable(folder, COMPARISON_FILES)
    plane = choose_engine(loaded, engine)
    with console.studying(loaded, plane) as progress:
        compared = compare_strategies(
            loaded, replications, strategies,
            seed=seed, engine=engine, twin=twin, jobs=checked_jobs(jobs), cluster=cluster, progress=progress, plane=plane,
        )  # fmt: skip
    head = f"{loaded.name}  {loaded.description}"
    how = f"{compared.replications:,} replications, seed {compared.seed}, plane {compared.plane.engine}: {compared.plane.reason}"
    several = loaded.rollout is not None and len(loaded.rollout.alarms) > 1
    sides = [("", compared)] if compared.twin is None else [("", compared), (", good version", compared.twin)]
    notes = [
        f"{name}{which}: {words}"
        for which, side in sides
        for name, words in side.reasons.items()
        if several or ", " in words
    ]
    notes += [f"note: {note}" for note in compared.approximations]
    console.deliver(
        lambda: write(compared, folder, suffix, named),
        lambda: (
            click.echo(json.dumps(to_json(compared), indent=1))
            if as_json
            else console.show(head, how, *notes, comparison_table(compared), *conclusion(compared, below_table=True))
        ),
        None if as_json else f"files in {folder}",
    )
    if compared.interrupted is not None:
        kept = f"{compared.replications:,} of {compared.interrupted:,} replications are kept"
        click.echo(f"interrupted: {kept}", err=True)
        raise SystemExit(INTERRUPTED)


def _change(
    before: Task,
    after: Task,
    replications: int | None,
    strategies: tuple[str, ...],
    out: Path | None,
    suffix: str,
    *,
    jobs: int | None,
    as_json: bool,
    seed: int | None,
    **options: Any,
) -> None:
    """Sets two files beside each other: the same seed and as many replications, so that they are pairs."""
    from rollout_sim.core.files import check_writable
    from rollout_sim.planes.selection import choose_engine
    from rollout_sim.study.change import Change
    from rollout_sim.study.comparison import compare as compare_strategies
    from rollout_sim.views.output import COMPARISON_FILES, write
    from rollout_sim.views.sentences import changes
    from rollout_sim.views.tables import change_table

    tasks = (before, after)
    stems = (before.path.stem, after.path.stem)
    names = stems if stems[0] != stems[1] else (str(before.path), str(after.path))
    folder = out or Path("results") / "-".join(dict.fromkeys(stems))
    parts = [folder / part for part in ("before", "after")]
    for part in parts:
        check_writable(part, COMPARISON_FILES)
    loaded = [task.load() for task in tasks]
    shared = [name for name in loaded[0].strategies if name in loaded[1].strategies]
    chosen = strategies or tuple(shared) or tuple(loaded[0].strategies)
    sides = []
    for scenario in loaded:
        plane = choose_engine(scenario, options["engine"])
        with console.studying(scenario, plane) as progress:
            compared = compare_strategies(
                scenario, replications, chosen if shared or strategies else (), jobs=checked_jobs(jobs), progress=progress,
                seed=loaded[0].seed if seed is None else seed, plane=plane, **options,
            )  # fmt: skip
        replications = compared.replications if replications is None else replications
        sides.append(compared)
    change = Change(before=sides[0], after=sides[1])
    head = f"{names[0]} beside {names[1]}"
    planes = [
        f"{name}: {side.replications:,} replications, seed {side.seed}, plane {side.plane.engine}: {side.plane.reason}"
        for name, side in zip(names, sides, strict=True)
    ]
    console.deliver(
        lambda: [
            write(side, part, suffix, task.named_files()) for side, part, task in zip(sides, parts, tasks, strict=True)
        ],
        lambda: (
            click.echo(json.dumps(change.to_json(), indent=1))
            if as_json
            else console.show(head, *planes, change_table(change, names), *changes(change, names))
        ),
        None if as_json else f"files in {folder}",
    )
