"""`rollout-sim import`: a SAM template as a scenario file, OpenSLO documents as its `slos:`."""

from __future__ import annotations

from pathlib import Path

import click

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
    from rollout_sim.artefacts.template_scenario import from_sam

    given = {}
    for one in parameters:
        name, equals, value = one.partition("=")
        if not equals:
            raise click.BadParameter(f"got {one!r}; allowed NAME=VALUE", param_hint="--parameter")
        given[name] = value
    text, remarks = from_sam(file, function, given)
    _deliver(text, remarks, out)


@import_.command()
@FILE
@OUT
def openslo(file: Path, out: Path | None) -> None:
    """Print OpenSLO documents as the `slos:` of a scenario file."""
    from rollout_sim.artefacts.openslo import read
    from rollout_sim.scenario_text import commented

    entries, remarks = read(file)
    _deliver(commented([("\n".join(remarks), {"slos": entries})]), remarks, out)


def _deliver(text: str, remarks: list[str], out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    for remark in remarks:
        click.echo(f"note: {remark}", err=True)
