"""`rollout-sim export` and `import`: rollouts and SLOs as files of other tools, and scenarios from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rollout_sim.cli import console, options
from rollout_sim.cli.measure import cloudwatch

if TYPE_CHECKING:
    from rollout_sim.formats.snippet import Snippet
    from rollout_sim.formats.templates.sam import Imported
    from rollout_sim.formats.templates.stack import Stack
    from rollout_sim.views.tables import Table

TARGETS: Final = ("sam", "cloudformation", "codedeploy", "argo", "flagger", "openslo")


@click.command()
@click.argument("target", type=click.Choice(TARGETS))
@options.SCENARIO
@click.option("--strategy", metavar="NAME", help="Which one, where the file has several.")
@options.OUT_FILE
def export(target: str, scenario: Path, strategy: str | None, out: Path | None) -> None:
    """Print a scenario's rollout for the tool that carries it out, or its SLOs as OpenSLO documents.

    What that tool cannot express is named in comments, and on standard error.
    """
    from rollout_sim.formats import cloudformation, codedeploy, kubernetes, openslo
    from rollout_sim.scenario.scenario import Scenario

    exports: dict[str, Callable[[Scenario, str | None], Snippet]] = {
        "sam": cloudformation.export_sam,
        "cloudformation": cloudformation.export_cloudformation,
        "codedeploy": codedeploy.export,
        "argo": kubernetes.export_argo,
        "flagger": kubernetes.export_flagger,
        "openslo": lambda loaded, _: openslo.export(loaded),
    }
    if target == "openslo":
        options.refuse_given("chooses a rollout, of which OpenSLO says nothing", "strategy")
    snippet = exports[target](Scenario.load(scenario), strategy)
    console.put(snippet.text, out)
    if out is not None or not snippet.text.startswith("#"):
        for remark in snippet.remarks:
            console.tell(f"note: {remark}")


WARNING: Final = "warning: "
FILE = click.argument("file", type=click.Path(path_type=Path))
FUNCTION = click.option("--function", metavar="NAME", help="Which function, where the file rolls out several.")
ALL = click.option(
    "--all", "every", is_flag=True, help="Each function that is rolled out, into a file of its own in --out."
)
OUT_OR_FOLDER = click.option(
    "--out", type=click.Path(path_type=Path), help="A file instead of standard output; with --all a folder."
)


def stack_options(command: Callable[..., None], *further: Callable[..., Any]) -> Callable[..., None]:
    """The options of whatever reads functions that are rolled out, with `further` ones of the file's format."""
    for option in reversed((FUNCTION, ALL, *further, options.RATE, OUT_OR_FOLDER)):
        command = option(command)
    return command


def template_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of whatever reads a template with parameters."""
    return stack_options(command, options.PARAMETER, options.PARAMETERS, options.ENVIRONMENT)


@click.group("import")
def import_() -> None:
    """Turn a template, a plan, manifests or measurements of another tool into a scenario, or a part of one."""


@import_.command()
@FILE
@template_options
def sam(**chosen: Any) -> None:
    """Print a SAM template's rollout as a scenario file.

    It takes the function, its events, deployment preference, hooks and alarms. What the template cannot know is marked GUESS in the
    file; what of it is left out stands there, too.
    """
    _template(**chosen)


@import_.command()
@FILE
@template_options
def cloudformation(**chosen: Any) -> None:
    """Print a CloudFormation rollout as a scenario file.

    It takes an alias, its deployment group and alarms.
    What CDK, the Serverless Framework and SAM's transform write is such a template; SAM templates are read alike.
    """
    _template(**chosen)


@import_.command()
@FILE
@stack_options
def terraform(file: Path, rate: float | None, **chosen: Any) -> None:
    """Print a Terraform plan's rollout as a scenario file.

    It takes an alias, its deployment group and alarms. FILE is what `terraform show -json` prints of a plan or of the state.
    """
    from rollout_sim.formats.templates.terraform import read_terraform

    _import_stack(lambda: read_terraform(file, rate), **chosen)


def _template(
    file: Path, given: tuple[str, ...], parameters: Path | None, environment: str, rate: float | None, **chosen: Any
) -> None:
    from rollout_sim.formats.templates.sam import stack_of

    values = options.template_values(given, parameters, environment)
    _import_stack(lambda: stack_of(file, values, rate), **chosen)


def _import_stack(read: Callable[[], Stack], *, function: str | None, every: bool, out: Path | None) -> None:
    """The scenario file of one function of the stack that is `read`, or of each with a table of what came through."""
    from rollout_sim.core.files import atomic_folder
    from rollout_sim.errors import ScenarioError
    from rollout_sim.formats.templates import sam as reader

    if every and out is None:
        raise click.UsageError("--all writes several files and needs a folder for them: --out DIR")
    if every and function is not None:
        raise click.UsageError("--all and --function exclude each other")
    if not every and out is not None and out.is_dir():
        raise click.BadParameter(f"{out} is a folder; allowed a file, or a folder with --all", param_hint="--out")
    stack = read()
    if not every:
        _deliver(*reader.of_stack(stack, function), out)
        return
    assert out is not None
    results = reader.every(stack)
    problems = [problem for result in results for problem in result.problems]
    if all(result.text is None for result in results):
        raise ScenarioError(problems)
    with atomic_folder(out, [result.file for result in results]) as folder:
        for result in results:
            if result.text is not None:
                (folder / result.file).write_text(result.text, encoding="utf-8", newline="\n")
    for problem in problems:
        console.tell(f"left out: {problem}")
    console.show(_summary(results), f"what was left out or assumed stands at the head of each file in {out}")


def _summary(results: list[Imported]) -> Table:
    """What came through of each function."""
    from rollout_sim.views.tables import words_table

    rows = []
    for result in results:
        if result.deployed is None:
            rows.append((result.identity, "-", "not imported", "-", "-", "-"))
            continue
        deployed = result.deployed
        left = sum(remark.startswith("left out: ") for remark in deployed.remarks)
        alarms = f"{len(deployed.acting)} of {deployed.listed}" if deployed.listed else "none"
        sources = ", ".join(dict.fromkeys(event.kind for event in deployed.events)) or "http (GUESS)"
        rows.append((result.identity, result.file, deployed.shift, sources, alarms, str(left)))
    titles = ("function", "file", "shift", "traffic", "alarms", "left out")
    return words_table(titles, rows)


import_.add_command(cloudwatch)

FILES = click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)


def manifest_options(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options of whatever reads manifests."""
    return FILES(FUNCTION(options.RATE(options.OUT_FILE(command))))


@import_.command()
@manifest_options
def argo(**chosen: Any) -> None:
    """Print an Argo Rollout as a scenario file.

    It takes the steps and the analyses.
    Its AnalysisTemplates may stand in the same file or in others; what their queries measure is a GUESS.
    """
    _manifests(**chosen)


@import_.command()
@manifest_options
def flagger(**chosen: Any) -> None:
    """Print a Flagger Canary as a scenario file.

    It takes the weights and the checks.
    Its MetricTemplates may stand in the same file or in others; what their queries measure is a GUESS.
    """
    _manifests(**chosen)


def _manifests(files: tuple[Path, ...], function: str | None, rate: float | None, out: Path | None) -> None:
    from rollout_sim.formats.manifests import from_manifests

    _deliver(*from_manifests(files[0], function, files[1:], rate), out)


@import_.command()
@FILE
@options.OUT_FILE
def openslo(file: Path, out: Path | None) -> None:
    """Print OpenSLO documents as the `slos:` of a scenario file."""
    from rollout_sim.core.yaml_io import commented
    from rollout_sim.formats.openslo import read

    entries, remarks = read(file)
    _deliver(commented([("\n".join(remarks), {"slos": entries})]), remarks, out)


def _deliver(text: str, remarks: list[str], out: Path | None) -> None:
    console.put(text, out)
    for remark in remarks:
        if remark.startswith(WARNING):
            console.tell(remark)
        elif out is not None:  # else it stands in the text
            console.tell(f"note: {remark}")
