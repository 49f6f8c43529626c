"""`rollout-sim report`: one page about a scenario's rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_sim import console
from rollout_sim.commands.options import ENGINE, JOBS, REPLICATIONS, SCENARIO, SEED, STRATEGIES, checked_jobs

if TYPE_CHECKING:
    from rollout_sim.scenario import Engine


@click.command()
@SCENARIO
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file  [default: results/<scenario>/report.html]"
)
@REPLICATIONS
@STRATEGIES
@SEED
@ENGINE
@JOBS
def report(
    scenario: Path,
    out: Path | None,
    replications: int | None,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    jobs: int,
) -> None:
    """Write one self-contained HTML page: which rollout, why, and what that rests on."""
    from rollout_sim.replications import plane_of
    from rollout_sim.report import report as made
    from rollout_sim.report_page import page
    from rollout_sim.scenario import Scenario
    from rollout_sim.scenario_file import read_yaml

    loaded = Scenario.load(scenario)
    console.announce_compiling(plane_of(loaded, engine).engine)
    with console.progress(loaded.name) as progress:
        found = made(
            read_yaml(scenario), replications=replications, strategies=strategies,
            seed=seed, engine=engine, jobs=checked_jobs(jobs), progress=progress,
        )  # fmt: skip
    html = page(found)
    path = out or Path("results") / scenario.stem / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    console.show(f"{loaded.name}: {' '.join(found.answer)}", f"page in {path}")
