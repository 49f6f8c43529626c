"""`rollout-sim report`: one page to send to a colleague."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rollout_sim.cli import console, options

if TYPE_CHECKING:
    from rollout_sim.scenario.sections import Engine


@click.command()
@options.SCENARIO
@options.replications("Replications of each strategy  [default: what takes seconds on the plane, at most 10,000]")
@options.STRATEGIES
@options.SEED
@options.ENGINE
@options.shared_jobs("where there is no rollout to recommend and it takes only seconds")
@options.STRICT
@click.option("--out", type=options.FILE, help="The file  [default: results/<scenario>/report.html]")
def report(
    scenario: Path,
    replications: int | None,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    jobs: int | None,
    strict: bool,
    out: Path | None,
) -> None:
    """Write one self-contained HTML page: the question, the answer, the figures, and how to make them again."""
    console.import_pictures()
    from rollout_sim.core.files import check_writable
    from rollout_sim.core.yaml_io import read_yaml
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.study.executor import check_jobs
    from rollout_sim.views.report.build import choose_planes, make_report
    from rollout_sim.views.report.page import write_report
    from rollout_sim.views.sentences import conclusion, sentence

    document, file = read_yaml(scenario), out or Path("results") / scenario.stem / "report.html"
    loaded = Scenario.parse(document)
    options.tell_warnings(loaded, document, strict=strict)
    check_writable(file.parent, [file.name])
    check_jobs(jobs)
    planes = choose_planes(loaded, strategies, engine)
    with console.studying(loaded, planes.study, planes.single) as progress:
        page = make_report(
            scenario, strategies=strategies, replications=replications,
            seed=seed, engine=engine, jobs=jobs, progress=progress, planes=planes,
        )  # fmt: skip
    lines = list(conclusion(page.compared))
    if page.recommendation is not None:
        lines.append(f"{loaded.name}: {sentence(page.recommendation)}")
    console.deliver(lambda: write_report(page, file), lambda: console.show(*lines), f"report in {file}")
