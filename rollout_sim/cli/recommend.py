"""`rollout-sim recommend`: the rollout to use, and why."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_sim.cli import console
from rollout_sim.cli.options import ENGINE, FORMAT, JOBS, JSON, OUT, SCENARIO, SEED, checked_jobs

if TYPE_CHECKING:
    from rollout_sim.scenario.sections import Engine


@click.command()
@SCENARIO
@click.option("--keep-alarms", is_flag=True, help="Search strategies only, watched by the file's own alarms.")
@click.option("--codedeploy", is_flag=True, help="Search only strategies that CodeDeploy can carry out.")
@SEED
@ENGINE
@JOBS
@OUT
@FORMAT
@JSON
def recommend(
    scenario: Path,
    keep_alarms: bool,
    codedeploy: bool,
    seed: int | None,
    engine: Engine | None,
    jobs: int,
    out: Path | None,
    suffix: str,
    as_json: bool,
) -> None:
    """Recommend the rollout to use, and say why: percentage, bake, alarm.

    Goes by the scenario's `risk` and `goal`, or by defaults that it prints.
    """
    from rollout_sim.control.codedeploy import shortcoming
    from rollout_sim.planes.selection import choose_engine
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.study.recommend.search import recommend as find
    from rollout_sim.views.output import to_json, write
    from rollout_sim.views.sentences import assumed, remarks, sentence
    from rollout_sim.views.tables import contender_table

    loaded = Scenario.load(scenario)
    console.announce_compiling(choose_engine(loaded, engine).engine)
    with console.progress(loaded.name) as progress:
        found = find(
            loaded, keep_alarms=keep_alarms, codedeploy=codedeploy,
            seed=seed, engine=engine, jobs=checked_jobs(jobs), progress=progress,
        )  # fmt: skip
    folder = out or Path("results") / scenario.stem
    write(found, folder, suffix)
    if as_json:
        click.echo(json.dumps(to_json(found), indent=1))
        return
    answer = f"{loaded.name}: {sentence(found)}"
    plane = f"{found.searched:,} candidates, seed {found.seed}, plane {found.plane.engine}: {found.plane.reason}"
    notes = [f"note: {note}" for note in found.notes]
    if found.winner is not None:
        target = "argo" if shortcoming(replace(found.winner.plan, bake=0.0)) else "sam"
        notes.append(f"to paste: rollout-sim export {target} {shlex.quote(str(folder / 'recommended.yaml'))}")
    parts = [answer, *remarks(found), *assumed(found), contender_table(found), plane, *notes, f"files in {folder}"]
    console.show(*parts)
