"""`rollout-sim recommend`: the rollout to use, and why."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import (
    ENGINE,
    FORMAT,
    INTERRUPTED,
    JSON,
    OUT,
    SEED,
    SHARED_JOBS,
    Quantity,
    Task,
    checked_jobs,
    data_folder,
    repeatable,
)

if TYPE_CHECKING:
    from rollout_sim.scenario.goals import DeployWith
    from rollout_sim.scenario.sections import Engine


@click.command()
@repeatable
@click.option("--keep-alarms", is_flag=True, help="Search strategies only, watched by the file's own alarms.")
@click.option(
    "--deploy-with",
    type=click.Choice(["codedeploy", "argo", "any"]),
    help="What has to be able to carry the rollout out.  [default: the goal's, which is codedeploy unless it says otherwise]",
)
@click.option("--codedeploy", is_flag=True, help="The same as --deploy-with codedeploy.")
@click.option(
    "--time",
    type=Quantity("duration", 86400.0),
    help="How long to search, by the clock, such as '2 min'; the recipe keeps where that ended.  [default: an amount of work "
    "that is the same on all machines, and takes seconds]",
)
@click.option(
    "--precision",
    type=Quantity("share", 0.5),
    help="Half-width that the intervals of the goal's limits are to have, such as 0.2%; takes up to an hour, or --time.  "
    "[default: until the limits are decided]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Search on the first two thirds of the recorded days in this folder's minutes.csv, and confirm on the rest.",
)
@SEED
@ENGINE
@SHARED_JOBS
@OUT
@FORMAT
@JSON
def recommend(
    task: Task,
    keep_alarms: bool,
    deploy_with: DeployWith | None,
    codedeploy: bool,
    time: float | None,
    precision: float | None,
    data: Path | None,
    seed: int | None,
    engine: Engine | None,
    jobs: int | None,
    out: Path | None,
    suffix: str,
    as_json: bool,
    runs: list[int] | None = None,
    minutes: str | None = None,
) -> None:
    """Recommend the rollout to use, and say why: percentage, bake, alarm.

    Goes by the scenario's `risk` and `goal`, or by defaults that it prints. Simulates until it is decided, or the effort is
    spent, and says what it would take.
    """
    console.import_pictures()
    from rollout_sim.control.codedeploy import shortcoming
    from rollout_sim.core.files import check_writable
    from rollout_sim.planes.selection import choose_engine
    from rollout_sim.study.recommend.recorded import recommend_recorded
    from rollout_sim.study.recommend.search import prepare
    from rollout_sim.views.backtest import confirmation_json, confirmed
    from rollout_sim.views.output import RECOMMENDATION_FILES, to_json, write
    from rollout_sim.views.sentences import assumed, remarks, sentence
    from rollout_sim.views.tables import contender_table

    loaded, named, folder = task.load(), task.named_files(), out or task.out
    check_writable(folder, RECOMMENDATION_FILES)
    confirmation = None
    chosen: DeployWith | None = "codedeploy" if codedeploy else deploy_with
    jobs = checked_jobs(jobs)
    if data is None:
        search = prepare(loaded, deploy_with=chosen, seed=seed, engine=engine, jobs=jobs)
        with console.studying(loaded, search.plane) as progress:
            recommendation = search.recommend(
                keep_alarms=keep_alarms, time=time, precision=precision, runs=runs, progress=progress
            )
    else:
        with console.studying(loaded, choose_engine(loaded, engine)) as progress:
            recommendation, confirmation = recommend_recorded(
                loaded, data_folder(task, data, minutes), keep_alarms=keep_alarms, deploy_with=chosen, seed=seed,
                engine=engine, time=time, precision=precision, runs=runs, jobs=jobs, progress=progress,
            )  # fmt: skip
    answer = f"{loaded.name}: {sentence(recommendation)}"
    plane = recommendation.plane
    planes = f"{recommendation.searched:,} candidates, seed {recommendation.seed}, plane {plane.engine}: {plane.reason}"
    notes = [f"note: {note}" for note in recommendation.notes]
    if recommendation.winner is not None:
        target = "argo" if shortcoming(replace(recommendation.winner.plan, bake=0.0)) else "sam"
        notes.append(f"to paste: rollout-sim export {target} {shlex.quote(str(folder / 'recommended.yaml'))}")
    parts = [
        *remarks(recommendation),
        *assumed(recommendation),
        contender_table(recommendation),
        planes,
        *notes,
        *([] if confirmation is None else confirmed(confirmation, recommendation.goal)),
        answer,  # last: a table and its notes may be longer than the screen
    ]

    def document() -> dict[str, Any]:
        unseen = {} if confirmation is None else {"unseen": confirmation_json(confirmation, recommendation.goal)}
        return to_json(recommendation) | unseen

    console.deliver(
        lambda: write(recommendation, folder, suffix, named),
        lambda: click.echo(json.dumps(document(), indent=1)) if as_json else console.show(*parts),
        None if as_json else f"files in {folder}",
    )
    if recommendation.interrupted:
        click.echo(f"interrupted {recommendation.interrupted}", err=True)
        raise SystemExit(INTERRUPTED)
