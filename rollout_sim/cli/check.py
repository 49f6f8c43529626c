"""`rollout-sim check`: what is wrong with the rollouts in templates and scenarios, for a pipeline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from rollout_sim.cli import console, options

if TYPE_CHECKING:
    from rollout_sim.study.check.finding import Severity

FOUND: Final = 1
"""The exit status where there is a finding that `--fail-on` names."""
OF_TEMPLATES: Final = ("function", "given", "parameters", "environment")
"""Parameters that say something of templates alone."""
OUTPUTS: Final = ("text", "github", "sarif", "junit", "markdown", "json")


@click.command()
@click.argument("files", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1, required=True)
@click.option(
    "--goal", "goal_file", type=options.FILE, metavar="FILE",
    help="What rollouts must keep, instead of the scenarios' own: YAML with the section `goal`, and `risk`.",
)  # fmt: skip
@click.option(
    "--config", type=options.FILE, metavar="FILE",
    help="Silences findings: YAML with `ignore: {RS103: reason}`, or for one function {RS103: {Orders: reason}}.",
)  # fmt: skip
@click.option(
    "--format", "output", type=click.Choice(OUTPUTS), default="text", show_default=True, help="Format of the output."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--fail-on", type=click.Choice(["error", "warning", "never"]), default="error", show_default=True,
    help="From which severity on the exit status is 1.",
)  # fmt: skip
@click.option("--function", metavar="LOGICAL_ID", help="Only this function of a template.")
@options.PARAMETER
@options.PARAMETERS
@options.ENVIRONMENT
@options.RATE
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes; -1: all processors.")
@options.OUT_FILE
def check(
    files: tuple[Path, ...],
    goal_file: Path | None,
    config: Path | None,
    output: str,
    as_json: bool,
    fail_on: str,
    function: str | None,
    given: tuple[str, ...],
    parameters: Path | None,
    environment: str,
    rate: float | None,
    jobs: int,
    out: Path | None,
) -> None:
    """Say what is wrong with the rollouts in FILES: templates (each function that is rolled out) and scenarios.

    Each finding is confirmed by simulation and has a stable code, its place in the file, and the smallest change that
    fixes it, simulated as well. A scenario silences a code with `check: {ignore: {RS103: reason}}`.

    Exit status: 0 nothing that --fail-on names is found, 1 something is found, 2 the input is wrong.
    """
    from rollout_sim.errors import ScenarioError
    from rollout_sim.formats.rollouts import is_template, subjects_of
    from rollout_sim.study.check.checking import Subject
    from rollout_sim.study.check.checking import check as check_all
    from rollout_sim.study.check.settings import read_goal, read_silences
    from rollout_sim.study.executor import check_jobs
    from rollout_sim.views.findings import FORMATS, WIDTH, text

    if as_json and output not in (OUTPUTS[0], "json"):
        raise click.UsageError(f"--json and --format {output} exclude each other")
    if not any(map(is_template, files)):
        options.refuse_given("is for templates; a scenario says how many events come", "rate")
        options.refuse_given("is for templates, and none of the files is one", *OF_TEMPLATES)
    values = options.template_values(given, parameters, environment)
    goal = None if goal_file is None else read_goal(goal_file)
    silences = None if config is None else read_silences(config)
    subjects: list[Subject] = []
    problems: list[str] = []
    for path in dict.fromkeys(files):
        try:
            subjects += subjects_of(path, values, function, rate)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    check_jobs(jobs)
    with console.progress("checking") as progress:
        report = check_all(
            subjects,
            goal=None if goal is None else goal.goal,
            risk=None if goal is None else goal.risk,
            silences=silences,
            jobs=jobs,
            progress=progress,
        )
    told = "json" if as_json else output
    width = console.width_of(sys.stdout) if out is None and told == OUTPUTS[0] else None
    console.put(FORMATS[told](report) if width is None else text(report, min(width, WIDTH)), out)
    if report.fails(None if fail_on == "never" else cast("Severity", fail_on)):
        raise SystemExit(FOUND)
