"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from rollout_sim.cli.scenario_files import ScenarioPath, complete_strategy
from rollout_sim.core.files import FORMATS

PROGRAM = "rollout-sim"
"""What the program is called, however it was started; shells complete by this name."""
INTERRUPTED = 130
"""The exit status of an interrupted command."""
SCENARIO = click.argument("scenario", type=ScenarioPath())
STRATEGIES = click.option(
    "--strategy",
    "strategies",
    multiple=True,
    metavar="NAME",
    help="Only this one; may be given several times.",
    shell_complete=complete_strategy,
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
FORMAT = click.option(
    "--format", "suffix", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="Of the pictures."
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


def checked_jobs(jobs: int) -> int:
    """Raises click's error for a number of processes that makes no sense."""
    if jobs == 0 or jobs < -1:
        raise click.BadParameter(f"got {jobs}; allowed 1, 2, ... or -1 for all processors", param_hint="--jobs")
    return jobs
