"""`rollout-sim validate` and `schema`: scenario files as such."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rollout_sim.commands.scenario_files import ScenarioPath


@click.command()
@click.argument("scenarios", type=ScenarioPath(), nargs=-1, required=True)
@click.option("--resolved", is_flag=True, help="Print each scenario as it is understood, with nothing left to inherit.")
def validate(scenarios: tuple[Path, ...], resolved: bool) -> None:
    """Check scenario files, and do nothing else."""
    from rollout_sim.errors import ScenarioError
    from rollout_sim.scenario import Scenario
    from rollout_sim.scenario_text import plain

    problems: list[str] = []
    for path in scenarios:
        try:
            loaded = Scenario.load(path)
        except ScenarioError as error:
            problems += error.problems
            continue
        if resolved:
            click.echo(plain(loaded.dump()), nl=False)
        else:
            click.echo(f"{path}: valid")
    if problems:
        raise ScenarioError(problems)


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from rollout_sim.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=1))
