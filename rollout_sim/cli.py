"""The command line: `rollout-sim run`, `compare`, `sweep`, `recommend`, `validate`, `schema`.

Exit status: 0 done, 2 the input is wrong, 130 interrupted. Heavy imports happen inside the commands, so that
`--help` answers at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from rollout_sim import console

if TYPE_CHECKING:
    from rollout_sim.result import RunResult
    from rollout_sim.scenario import Engine

INTERRUPTED = 130
SCENARIO = click.argument("scenario", type=click.Path(path_type=Path))

STRATEGIES = click.option(
    "--strategy", "strategies", multiple=True, metavar="NAME", help="Only this one; may be given several times."
)
SEED = click.option("--seed", type=click.IntRange(0), help="Instead of the scenario's.")
ENGINE = click.option(
    "--engine", type=click.Choice(["auto", "simpy", "compiled", "aggregate"]), help="Instead of the scenario's."
)
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files  [default: results/<scenario>]",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
REPLICATIONS = click.option(
    "--replications",
    type=click.IntRange(1),
    help="How many  [default: as many as take about ten seconds, at most 10,000]",
)
JOBS = click.option(
    "--jobs", type=int, default=1, show_default=True, help="Processes on this machine; -1: all processors."
)
CLUSTER = click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler, tcp://host:port, instead of processes.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rollout-sim")
def app() -> None:
    """Simulate rollouts of serverless functions before you deploy."""


@app.command()
@SCENARIO
@STRATEGIES
@SEED
@ENGINE
@OUT
@JSON
@click.option("--events", is_flag=True, help="Also write every invocation that started (events.csv).")
def run(
    scenario: Path,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    out: Path | None,
    as_json: bool,
    events: bool,
) -> None:
    """Run a scenario once per strategy: a table, plots and CSV files."""
    from rollout_sim.output import run_json, write_run
    from rollout_sim.scenario import Scenario
    from rollout_sim.simulation import check_size, engine_of, simulate_each

    loaded = Scenario.load(scenario)
    if engine is not None:
        loaded = replace(loaded, engine=engine)
    if loaded.engine != "aggregate":
        console.announce_compiling(engine_of(loaded, check_size(loaded))[0])
    results: list[RunResult] = []
    interrupted = False
    try:
        with console.progress(f"{loaded.name}") as progress:
            results.extend(simulate_each(loaded, strategies, seed=seed, events=events, progress=progress))
    except KeyboardInterrupt:
        interrupted = True
    if results:
        folder = out or Path("results") / scenario.stem
        write_run(results, folder)
        if as_json:
            click.echo(json.dumps(run_json(results), indent=1))
        else:
            _show(results, folder)
    if interrupted:
        click.echo(
            f"interrupted: {len(results)} of {len(strategies or loaded.strategies) or 1} strategies finished", err=True
        )
        raise SystemExit(INTERRUPTED)


@app.command()
@SCENARIO
@REPLICATIONS
@STRATEGIES
@SEED
@ENGINE
@click.option("--twin/--no-twin", default=True, help="Also run the same with a good version, for the false alarms.")
@JOBS
@CLUSTER
@OUT
@JSON
def compare(
    scenario: Path,
    replications: int | None,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    twin: bool,
    jobs: int,
    cluster: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare strategies over many replications: how often a bad version is stopped, and a good one."""
    from rollout_sim.comparison import compare as compare_strategies
    from rollout_sim.comparison_output import comparison_sheet, write_comparison
    from rollout_sim.replications import plane_of
    from rollout_sim.scenario import Scenario

    loaded = Scenario.load(scenario)
    console.announce_compiling(plane_of(loaded, engine).engine)
    with console.progress(loaded.name) as progress:
        compared = compare_strategies(
            loaded, replications, strategies,
            seed=seed, engine=engine, twin=twin, jobs=_jobs(jobs), cluster=cluster, progress=progress,
        )  # fmt: skip
    folder = out or Path("results") / scenario.stem
    write_comparison(compared, folder)
    if as_json:
        click.echo(json.dumps(compared.document, indent=1))
        return
    head = f"{loaded.name}  {loaded.description}"
    plane = f"{compared.replications:,} replications, seed {compared.seed}, plane {compared.plane.engine}: {compared.plane.reason}"
    notes = [f"note: {note}" for note in compared.document["approximations"]]
    console.show(head, comparison_sheet(compared), plane, *notes, f"files in {folder}")


@app.command()
@SCENARIO
@click.option("--percent", help="Percentages of the canary or linear strategy, such as 1,2,5,10.")
@click.option("--interval", help="Its intervals, such as 5m,10m,30m.")
@click.option("--severity", help="Error rates of the new version's fault, such as 0%,0.5%,1%,5%; 0% is a good version.")
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="PATH=VALUES",
    help="Any field of the scenario, such as alarms.errors.lag=0 s,60 s; may be given several times.",
)
@click.option("--replications", type=click.IntRange(1), default=1000, show_default=True, help="Of each cell.")
@STRATEGIES
@SEED
@ENGINE
@JOBS
@CLUSTER
@OUT
def sweep(
    scenario: Path,
    percent: str | None,
    interval: str | None,
    severity: str | None,
    axes: tuple[str, ...],
    replications: int,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    jobs: int,
    cluster: str | None,
    out: Path | None,
) -> None:
    """Sweep a grid of percentages, intervals, severities or any other field: a table, heat maps, power curves.

    Finished cells are kept in the folder; the same command goes on where it was interrupted.
    """
    from rollout_sim.axes import chosen_axes
    from rollout_sim.replications import plane_of
    from rollout_sim.scenario import Scenario
    from rollout_sim.scenario_file import read_yaml
    from rollout_sim.sweep_output import sweep_sheet, write_sweep
    from rollout_sim.sweeps import sweep as run_sweep

    document, varied = chosen_axes(
        read_yaml(scenario), percent=percent, interval=interval, severity=severity, axes=axes, strategies=strategies
    )
    console.announce_compiling(plane_of(Scenario.load(scenario), engine).engine)
    folder = out or Path("results") / scenario.stem
    alone = () if percent or interval else strategies
    try:
        with console.progress(scenario.stem) as progress:
            swept = run_sweep(
                document, varied, replications, alone,
                seed=seed, engine=engine, jobs=_jobs(jobs), cluster=cluster, out=folder, progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        kept = len(list((folder / "cells").glob("*.json")))
        click.echo(f"interrupted: {kept} cells are kept in {folder}; the same command goes on from there", err=True)
        raise SystemExit(INTERRUPTED) from None
    write_sweep(swept, folder)
    head = f"{swept.name}  {swept.replications:,} replications of each of {len(swept.cells):,} cells, seed {swept.seed}"
    console.show(head, sweep_sheet(swept), f"files in {folder}")


@app.command()
@SCENARIO
@click.option("--keep-alarms", is_flag=True, help="Search strategies only, watched by the file's own alarms.")
@SEED
@ENGINE
@JOBS
@OUT
@JSON
def recommend(
    scenario: Path,
    keep_alarms: bool,
    seed: int | None,
    engine: Engine | None,
    jobs: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Recommend the rollout to use, and say why: percentage, bake, alarm.

    Goes by the scenario's `risk` and `goal`, or by defaults that it prints.
    """
    from rollout_sim.recommendation import recommend as find
    from rollout_sim.recommendation_output import (
        assumed,
        contender_sheet,
        document,
        remarks,
        sentence,
        write_recommendation,
    )
    from rollout_sim.replications import plane_of
    from rollout_sim.scenario import Scenario

    loaded = Scenario.load(scenario)
    console.announce_compiling(plane_of(loaded, engine).engine)
    with console.progress(loaded.name) as progress:
        found = find(loaded, keep_alarms=keep_alarms, seed=seed, engine=engine, jobs=_jobs(jobs), progress=progress)
    folder = out or Path("results") / scenario.stem
    write_recommendation(found, folder)
    if as_json:
        click.echo(json.dumps(document(found), indent=1))
        return
    answer = f"{loaded.name}: {sentence(found)}"
    plane = f"{found.searched:,} candidates, seed {found.seed}, plane {found.plane.engine}: {found.plane.reason}"
    notes = [f"note: {note}" for note in found.notes]
    parts = [answer, *remarks(found), *assumed(found), contender_sheet(found), plane, *notes, f"files in {folder}"]
    console.show(*parts)


@app.command()
@click.argument("scenarios", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--resolved", is_flag=True, help="Print each scenario as it is understood, with nothing left to inherit.")
def validate(scenarios: tuple[Path, ...], resolved: bool) -> None:
    """Check scenario files, and do nothing else."""
    import yaml

    from rollout_sim.errors import ScenarioError
    from rollout_sim.scenario import Scenario

    problems: list[str] = []
    for path in scenarios:
        try:
            loaded = Scenario.load(path)
        except ScenarioError as error:
            problems += error.problems
            continue
        if resolved:
            click.echo(yaml.safe_dump(loaded.dump(), sort_keys=False, allow_unicode=True, width=100), nl=False)
        else:
            click.echo(f"{path}: valid")
    if problems:
        raise ScenarioError(problems)


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from rollout_sim.scenario import json_schema

    click.echo(json.dumps(json_schema(), indent=1))


def main() -> None:
    """The entry point: every error that a user can cause becomes one message and a status, never a traceback."""
    from rollout_sim.errors import ScenarioError

    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        app(standalone_mode=False)
    except ScenarioError as error:
        _fail(str(error))
    except click.ClickException as error:
        error.show()
        raise SystemExit(2) from None
    except (click.Abort, KeyboardInterrupt):
        _interrupted()
    except BrokenPipeError:
        # The reader of our output went away; nothing is wrong with us, and nothing is left to flush at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if interrupted:  # an extension module may make an error of its own out of the interruption
            _interrupted()
        if isinstance(error, OSError):
            _fail(f"{error.filename or 'output'}: {error.strerror or error}")
        raise


def _interrupted() -> NoReturn:
    click.echo("interrupted", err=True)
    raise SystemExit(INTERRUPTED) from None


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(2)


def _show(results: list[RunResult], folder: Path) -> None:
    from rollout_sim.tables import run_sheet, version_sheet

    first = results[0]
    head = f"{first.scenario.name}  {first.scenario.description}"
    plane = f"seed {first.seed}, plane {first.engine}: {first.engine_reason}"
    notes = [f"note: {note}" for note in first.approximations]
    console.show(head, run_sheet(results), version_sheet(results), plane, *notes, f"files in {folder}")


def _jobs(jobs: int) -> int:
    """Raises click's error for a number of processes that makes no sense."""
    if jobs == 0 or jobs < -1:
        raise click.BadParameter(f"got {jobs}; allowed 1, 2, ... or -1 for all processors", param_hint="--jobs")
    return jobs


if __name__ == "__main__":
    main()
