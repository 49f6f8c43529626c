"""`rollout-sim export` and `import`: rollouts and SLOs as files of other tools, and scenarios from them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from rollout_sim.cli.options import SCENARIO
from rollout_sim.core.files import write_file

TARGETS: Final = ("sam", "cloudformation", "codedeploy", "argo", "flagger", "openslo")


@click.command()
@click.argument("target", type=click.Choice(TARGETS))
@SCENARIO
@click.option("--strategy", metavar="NAME", help="Which one, where the file has several.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of standard output.")
def export(target: str, scenario: Path, strategy: str | None, out: Path | None) -> None:
    """Print a scenario's rollout for the tool that carries it out, or its SLOs as OpenSLO documents.

    What TARGET cannot express is said: as comments, and on standard error.
    """
    from rollout_sim.formats import cloudformation, codedeploy, kubernetes, openslo
    from rollout_sim.scenario.scenario import Scenario

    loaded = Scenario.load(scenario)
    if target == "openslo":
        snippet = openslo.export(loaded)
    else:
        snippet = {
            "sam": cloudformation.export_sam,
            "cloudformation": cloudformation.export_cloudformation,
            "codedeploy": codedeploy.export,
            "argo": kubernetes.export_argo,
            "flagger": kubernetes.export_flagger,
        }[target](loaded, strategy)
    if out is None:
        click.echo(snippet.text, nl=False)
    else:
        write_file(out, snippet.text)
    if out is not None or not snippet.text.startswith("#"):
        for remark in snippet.remarks:
            click.echo(f"note: {remark}", err=True)


FILE = click.argument("file", type=click.Path(path_type=Path))
OUT = click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of standard output.")


@click.group("import")
def import_() -> None:
    """Turn a SAM template or OpenSLO documents into a scenario, or a part of one."""


@import_.command()
@FILE
@click.option("--function", metavar="LOGICAL_ID", help="Which one, where the template rolls out several.")
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Of the template, instead of its default."
)
@OUT
def sam(file: Path, function: str | None, parameters: tuple[str, ...], out: Path | None) -> None:
    """Print a SAM template's function, deployment preference and alarms as a scenario file.

    What the template cannot know is marked GUESS in the file.
    """
    from rollout_sim.formats.sam import from_sam

    given = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise click.BadParameter(f"got {parameter!r}; allowed NAME=VALUE", param_hint="--parameter")
        given[name] = value
    text, remarks = from_sam(file, function, given)
    _deliver(text, remarks, out)


@import_.command()
@FILE
@OUT
def openslo(file: Path, out: Path | None) -> None:
    """Print OpenSLO documents as the `slos:` of a scenario file."""
    from rollout_sim.core.yaml_io import commented
    from rollout_sim.formats.openslo import read

    entries, remarks = read(file)
    _deliver(commented([("\n".join(remarks), {"slos": entries})]), remarks, out)


def _deliver(text: str, remarks: list[str], out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    write_file(out, text)
    for remark in remarks:
        click.echo(f"note: {remark}", err=True)
