"""`rollout-sim validate`, `explain`, `schema` and `completion`: what checks or describes files and simulates nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from rollout_sim.cli import console
from rollout_sim.cli.options import PROGRAM, STRICT, ScenarioPath, tell_warnings


@click.command()
@click.argument("scenarios", type=ScenarioPath(), nargs=-1, required=True)
@click.option("--resolved", is_flag=True, help="Print each scenario as it is understood, with nothing left to inherit.")
@STRICT
def validate(scenarios: tuple[Path, ...], resolved: bool, strict: bool) -> None:
    """Check scenario files, and do nothing else.

    Warnings name what is allowed but probably not meant, notes the defaults that are guesses; both go to standard error.
    """
    from rollout_sim.core.yaml_io import read_yaml, to_yaml
    from rollout_sim.errors import ScenarioError
    from rollout_sim.scenario.remarks import remarks_about
    from rollout_sim.scenario.scenario import Scenario

    problems: list[str] = []
    noted: dict[str, None] = {}
    for path in scenarios:
        try:
            document = read_yaml(path)
            loaded = Scenario.parse(document)
            tell_warnings(loaded, document, strict=strict)
            noted |= dict.fromkeys(remarks_about(loaded))
        except ScenarioError as error:
            problems += error.problems
            continue
        if resolved:
            console.echo(to_yaml(loaded.dump()), end="")
        else:
            console.echo(f"{path}: valid")
    for note in noted:
        console.tell(f"note: {note}")
    if problems:
        raise ScenarioError(problems)


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from rollout_sim.scenario.json_schema import json_schema

    console.echo(json.dumps(json_schema(), indent=1))


@click.command()
@click.argument("field", default="")
def explain(field: str) -> None:
    """Explain a FIELD of scenario files, such as traffic.arrivals or alarms.datapoints, with an example.

    Without FIELD: the sections of a file.
    """
    from rollout_sim.scenario.reference import explained

    console.echo("\n".join(explained(field, shutil.get_terminal_size((100, 24)).columns)))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, scenario files and strategies.

    \b
    bash   rollout-sim completion bash > ~/.local/share/bash-completion/completions/rollout-sim
    zsh    rollout-sim completion zsh > a folder of your fpath/_rollout-sim
    fish   rollout-sim completion fish > ~/.config/fish/completions/rollout-sim.fish

    Or for this session, in bash and zsh: eval "$(rollout-sim completion bash)"
    """  # noqa: D301 - click's sign for lines that are kept, a backspace
    kind = get_completion_class(shell)
    assert kind is not None, shell
    variable = f"_{PROGRAM}_COMPLETE".replace("-", "_").upper()
    console.echo(kind(context.find_root().command, {}, PROGRAM, variable).source())
