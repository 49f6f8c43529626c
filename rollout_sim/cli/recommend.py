"""`rollout-sim recommend`: the rollout to use, and why."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollout_sim.cli import console, interruption, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_sim.scenario.goals import DeployWith
    from rollout_sim.study.recommend.recommendation import Recommendation
    from rollout_sim.study.recommend.recorded import Confirmation


@click.command()
@options.repeatable
@click.option("--keep-alarms", is_flag=True, help="Search strategies only, watched by the file's own alarms.")
@click.option(
    "--deploy-with",
    type=click.Choice(["codedeploy", "argo", "any"]),
    help="Which tool must be able to carry out the rollout.  [default: the goal's, which is codedeploy unless it says otherwise]",
)
@click.option("--codedeploy", is_flag=True, help="The same as --deploy-with codedeploy.")
@click.option(
    "--time",
    type=options.above_zero("duration", 86400.0),
    help="How long to search, by the clock, such as '2 min'; the recipe records how far it came.  [default: an amount of work "
    "that is the same on all machines, and takes seconds]",
)
@click.option(
    "--precision",
    type=options.above_zero("share", 0.5),
    help="Half-width wanted for the intervals of the goal's limits, such as 0.2%; takes up to an hour, or --time.  "
    "[default: until the limits are decided]",
)
@click.option(
    "--data",
    type=options.FOLDER,
    metavar="FOLDER",
    help="Search on the first two thirds of the recorded days in this folder's minutes.csv, and confirm on the rest.",
)
@options.SEED
@options.ENGINE
@options.shared_jobs("with a --time of less than 15 s")
@options.results
def recommend(
    task: options.Task,
    keep_alarms: bool,
    deploy_with: DeployWith | None,
    codedeploy: bool,
    time: float | None,
    precision: float | None,
    data: Path | None,
    runs: list[int] | None = None,
    minutes: str | None = None,
) -> None:
    """Recommend the rollout to use, and say why: percentage, bake, alarm.

    Goes by the scenario's `risk` and `goal`, or by defaults that it prints. Simulates until the answer is certain or the
    effort is spent; what is still open then, it names, with the replications that would decide it.
    """
    from rollout_sim.study.recommend.recorded import prepare_recorded
    from rollout_sim.study.recommend.search import prepare
    from rollout_sim.views.files import RECOMMENDATION_FILES

    if codedeploy and deploy_with not in (None, "codedeploy"):
        raise click.UsageError(f"--codedeploy and --deploy-with {deploy_with} exclude each other")
    loaded, named = task.prepare(RECOMMENDATION_FILES)
    confirmation = None
    chosen: dict[str, Any] = {
        "deploy_with": "codedeploy" if codedeploy else deploy_with,
        "seed": task.seed,
        "engine": task.engine,
        "jobs": task.jobs,
    }
    effort: dict[str, Any] = {"keep_alarms": keep_alarms, "time": time, "precision": precision, "runs": runs}
    if data is None:
        search = prepare(loaded, **chosen)
        with console.studying(loaded, search.plane) as progress:
            recommendation = search.recommend(**effort, progress=progress)
    else:
        recorded = prepare_recorded(loaded, options.data_folder(task, data, minutes), **chosen)
        with console.studying(loaded, recorded.search.plane) as progress:
            recommendation, confirmation = recorded.recommend(**effort, progress=progress)
    task.deliver(
        recommendation,
        named,
        lambda: _shown(task, recommendation, confirmation),
        lambda: _document(recommendation, confirmation),
    )
    if recommendation.interrupted:
        console.tell_interrupted(f" {recommendation.interrupted}")
        raise SystemExit(interruption.status())


def _shown(task: options.Task, recommendation: Recommendation, confirmation: Confirmation | None) -> Iterator[Any]:
    from rollout_sim.control.codedeploy import shortcoming
    from rollout_sim.views.backtest import confirmed
    from rollout_sim.views.sentences import assumed, remarks, sentence
    from rollout_sim.views.tables import contender_table

    yield from remarks(recommendation)
    yield from assumed(recommendation)
    yield contender_table(recommendation)
    plane = recommendation.plane
    yield f"{recommendation.searched:,} candidates, seed {recommendation.seed}, plane {plane.engine}: {plane.reason}"
    yield from (f"note: {note}" for note in recommendation.notes)
    if recommendation.winner is not None:
        target = "argo" if shortcoming(replace(recommendation.winner.plan, bake=0.0)) else "sam"
        yield f"to paste: rollout-sim export {target} {shlex.quote(str(task.folder / 'recommended.yaml'))}"
    if confirmation is not None:
        yield from confirmed(confirmation, recommendation.goal)
    yield f"{recommendation.scenario.name}: {sentence(recommendation)}"  # last: what is above may be longer than the screen


def _document(recommendation: Recommendation, confirmation: Confirmation | None) -> dict[str, Any]:
    from rollout_sim.views.backtest import confirmation_json
    from rollout_sim.views.output import to_json

    unseen = {} if confirmation is None else {"unseen": confirmation_json(confirmation, recommendation.goal)}
    return to_json(recommendation) | unseen
