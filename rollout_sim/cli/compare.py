"""`rollout-sim compare`: strategies over many replications."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout_sim.cli import console, interruption, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_sim.study.comparison import Comparison


@click.command()
@options.repeatable
@options.replications(
    "Replications of each strategy  [default: as many as take about ten seconds, at most 10,000; up to 400 even if that takes longer]"
)
@options.STRATEGIES
@options.SEED
@options.ENGINE
@click.option("--twin/--no-twin", default=True, help="Also run the same with a good version, for the false alarms.")
@options.shared_jobs()
@options.CLUSTER
@options.results
@click.argument("other", type=options.ScenarioPath(), required=False)
def compare(task: options.Task, other: Path | None, replications: int | None, twin: bool) -> None:
    """Compare strategies over many replications: how often a bad version is stopped, and a good one.

    With OTHER, the file after a change, both are shown side by side, with what changes for each strategy.
    """
    if other is not None:
        _change(task, task.beside(other), replications, twin=twin)
        return
    from rollout_sim.planes.selection import choose_engine
    from rollout_sim.study.comparison import compare as compare_strategies
    from rollout_sim.views.files import COMPARISON_FILES

    loaded, named = task.prepare(COMPARISON_FILES)
    plane = choose_engine(loaded, task.engine)
    with console.studying(loaded, plane) as progress:
        compared = compare_strategies(
            loaded, replications, task.strategies, seed=task.seed, engine=task.engine, twin=twin, jobs=task.jobs,
            cluster=task.cluster, progress=progress, plane=plane,
        )  # fmt: skip
    task.deliver(compared, named, lambda: _shown(compared))
    if compared.interrupted is not None:
        kept = f"{compared.replications:,} of {compared.interrupted:,} replications are kept"
        console.tell_interrupted(f": {kept}")
        raise SystemExit(interruption.status())


def _shown(compared: Comparison) -> Iterator[Any]:
    from rollout_sim.views.sentences import conclusion
    from rollout_sim.views.tables import comparison_table

    scenario = compared.scenario
    yield f"{scenario.name}  {scenario.description}"
    yield _how(compared)
    several = scenario.rollout is not None and len(scenario.rollout.alarms) > 1
    for which, side in (("", compared), (", good version", compared.twin)):
        for name, words in side.reasons.items() if side is not None else ():
            if several or ", " in words:
                yield f"{name}{which}: {words}"
    yield from (f"note: {note}" for note in compared.approximations)
    yield comparison_table(compared)
    yield from conclusion(compared, below_table=True)


def _how(compared: Comparison) -> str:
    plane = compared.plane
    return f"{compared.replications:,} replications, seed {compared.seed}, plane {plane.engine}: {plane.reason}"


def _change(before: options.Task, after: options.Task, replications: int | None, *, twin: bool) -> None:
    """Sets two files beside each other: the same seed and as many replications, so that they are pairs."""
    from rollout_sim.core.files import check_writable
    from rollout_sim.planes.selection import choose_engine
    from rollout_sim.study.change import Change
    from rollout_sim.study.comparison import compare as compare_strategies
    from rollout_sim.study.executor import check_jobs
    from rollout_sim.views.files import COMPARISON_FILES
    from rollout_sim.views.sentences import changes
    from rollout_sim.views.tables import change_table

    tasks = (before, after)
    stems = (before.path.stem, after.path.stem)
    names = stems if stems[0] != stems[1] else (str(before.path), str(after.path))
    folder = before.out or Path("results") / "-".join(dict.fromkeys(stems))
    parts = [folder / part for part in ("before", "after")]
    for part in parts:
        check_writable(part, COMPARISON_FILES)
    loaded = [task.load() for task in tasks]
    check_jobs(before.jobs)
    shared = [name for name in loaded[0].strategies if name in loaded[1].strategies]
    chosen = before.strategies or tuple(shared)
    sides = []
    for scenario in loaded:
        plane = choose_engine(scenario, before.engine)
        with console.studying(scenario, plane) as progress:
            compared = compare_strategies(
                scenario, replications, chosen, seed=loaded[0].seed if before.seed is None else before.seed,
                engine=before.engine, twin=twin, jobs=before.jobs, cluster=before.cluster, progress=progress, plane=plane,
                keep=False,
            )  # fmt: skip
        replications = compared.replications if replications is None else replications
        sides.append(compared)
    change = Change(before=sides[0], after=sides[1])

    def write_both() -> None:
        console.import_pictures()
        from rollout_sim.views.output import write

        for side, part, task in zip(sides, parts, tasks, strict=True):
            write(side, part, before.suffix, task.named_files())

    def show() -> None:
        planes = [f"{name}: {_how(side)}" for name, side in zip(names, sides, strict=True)]
        head = f"{names[0]} beside {names[1]}"
        console.show(head, *planes, change_table(change, names), *changes(change, names))

    where = None if before.as_json else f"files in {folder}"
    console.deliver(write_both, (lambda: console.echo_json(change.to_json())) if before.as_json else show, where)
