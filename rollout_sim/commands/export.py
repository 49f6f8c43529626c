"""`rollout-sim export`: the rollout as a template or setting of the tool that carries it out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from rollout_sim.commands.options import SCENARIO

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
    from rollout_sim.artefacts import cloudformation, codedeploy, kubernetes, openslo
    from rollout_sim.scenario import Scenario

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
        out.write_text(snippet.text, encoding="utf-8")
    if out is not None or not snippet.text.startswith("#"):
        for remark in snippet.remarks:
            click.echo(f"note: {remark}", err=True)
