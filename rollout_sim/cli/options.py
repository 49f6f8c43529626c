"""What several commands share: the argument SCENARIO with its completion, `--recipe`, and options.

A command that can be run again takes `repeatable` and gets a `Task`: the scenario of a file, or of a recipe.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from rollout_sim.core.files import FORMATS

if TYPE_CHECKING:
    from rollout_sim.core.yaml_io import YamlDocument
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.study.grid import Axis, SeverityAxis

JobsT = TypeVar("JobsT", int, "int | None")
PROGRAM = "rollout-sim"
"""What the program is called, however it was started; shells complete by this name."""
INTERRUPTED = 130
"""The exit status of an interrupted command."""
TERMINATED = 143
"""The same where SIGTERM interrupted it."""
_SHOWN: Final = 12
_SECTIONS: Final = (rb"^function\s*:", rb"^traffic\s*:")
_HEAD: Final = 1 << 16


def scenario_files() -> list[Path]:
    """The scenarios in this folder and in `scenarios`: YAML files with a function and traffic."""
    return [path for folder in (Path(), Path("scenarios")) for path in sorted(folder.glob("*.y*ml")) if _looks(path)]


def _looks(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return all(re.search(section, head, re.MULTILINE) for section in _SECTIONS)


class ScenarioPath(click.Path):
    """The path of a scenario file."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """What to do where no file is given."""
        files = scenario_files()
        if not files or ctx is None:
            return "Pass a scenario file; `rollout-sim init` writes one to start from"
        others = [other for other in ctx.command.params if isinstance(other, click.Argument) and other is not param]
        arguments = [other.name for other in others]
        given = [str(ctx.params[name]) for name in arguments if name is not None and ctx.params.get(name)]
        program = " ".join([ctx.command_path, *given])
        lines = [f"  {program} {shlex.quote(str(path))}" for path in files[:_SHOWN]]
        more = f"\n  and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
        text = "\n".join(lines)
        return f"Pass a scenario file; `rollout-sim init` writes one to start from. There are:\n{text}{more}\n"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The scenario files around here, else any file."""
        names = [str(path) for path in scenario_files() if str(path).startswith(incomplete)]
        return [_item(name) for name in names] or [CompletionItem(incomplete, type="file")]


def complete_strategy(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The strategies of the scenario that stands before the option."""
    # An option that still lacks its value keeps click from giving the arguments before it their names.
    given = ctx.params.get("scenario") or next(iter(ctx.args), None)
    return [_item(name) for name in _strategies(given) if name.startswith(incomplete)] if given else []


def _strategies(path: str | Path) -> Iterator[str]:
    from rollout_sim.core.yaml_io import read_yaml
    from rollout_sim.errors import ScenarioError

    try:
        strategies = read_yaml(Path(path)).data.get("strategies")
    except ScenarioError:  # no place to complain: the command will, once it runs
        return
    if isinstance(strategies, dict):
        yield from strategies


def _item(text: str) -> CompletionItem:
    """Bash takes a completion as it is; zsh and fish put it into quotes themselves."""
    bash = any(name.endswith("_COMPLETE") and value == "bash_complete" for name, value in os.environ.items())
    return CompletionItem(shlex.quote(text) if bash else text)


SCENARIO = click.argument("scenario", type=ScenarioPath())
RUN_AGAIN = click.argument("scenario", type=ScenarioPath(), required=False)
RECIPE = click.option(
    "--recipe",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Instead of SCENARIO: the recipe that the command wrote; makes the same files, into its folder if without --out.",
)
STRICT = click.option("--strict", is_flag=True, help="Take warnings about the scenario for errors.")
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
MARKDOWN: Final = "markdown"


def _chosen_format(context: click.Context, _param: click.Parameter, value: str) -> str:
    """The format of the pictures; `markdown` is about the tables that are printed, and leaves the pictures as usual."""
    if value != MARKDOWN:
        return value
    context.meta[MARKDOWN] = True
    return FORMATS[0]


def in_markdown() -> bool:
    """Whether the command that runs is to print its tables in Markdown."""
    context = click.get_current_context(silent=True)
    return context is not None and MARKDOWN in context.meta


FORMAT = click.option(
    "--format",
    "suffix",
    type=click.Choice((*FORMATS, MARKDOWN)),
    default=FORMATS[0],
    show_default=True,
    callback=_chosen_format,
    help="Of the pictures; markdown prints the tables in Markdown.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
REPLICATIONS = click.option(
    "--replications",
    type=click.IntRange(1),
    help="How many  [default: as many as take about ten seconds, at most 10,000; compare takes longer for up to 400]",
)
JOBS = click.option(
    "--jobs", type=int, default=1, show_default=True, help="Processes on this machine; -1: all processors."
)
SHARED_JOBS = click.option(
    "--jobs", type=int, help="Processes on this machine  [default: all processors, 1 where it is over in seconds]"
)
CLUSTER = click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler, tcp://host:port, instead of processes.")


def moment(text: str) -> float:
    """The seconds since 1970 of an option's moment. Raises ScenarioError for what is none."""
    from rollout_sim.core.minutes import moment_of
    from rollout_sim.errors import ScenarioError

    try:
        return moment_of(text)
    except ValueError as error:
        raise ScenarioError([f"--at: {error}"]) from None


def data_folder(task: Task, data: Path | str | None, minutes: str | None) -> Path:
    """The folder with the recorded minutes: the one that is given, or the scenario's own where they are there.

    `minutes` is the digest of the file that a recipe was written with. Raises ScenarioError where there is none, or another.
    """
    from rollout_sim.core.files import digest
    from rollout_sim.errors import ScenarioError
    from rollout_sim.study.backtest import MAX_BYTES, MINUTES_FILE

    folder = task.document.path.parent if data is None else Path(data)
    file = folder / MINUTES_FILE
    if data is None and not file.is_file():
        raise ScenarioError([f"--data: names the folder with {MINUTES_FILE}, got none, and there is none in {folder}"])
    if minutes is not None and (got := digest(file, MAX_BYTES)) != minutes:
        raise ScenarioError([f"{file} has changed, got SHA-256 {got[:12]}...; allowed {minutes[:12]}..."])
    return folder


class Quantity(click.ParamType):  # type: ignore[type-arg]  # generic in newer click only
    """A text with a unit, such as `2 min`: a number above zero and up to `most`, in the package's own unit."""

    def __init__(self, kind: str, most: float) -> None:
        self.name = kind
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The quantity in a text."""
        from rollout_sim.core.units import parse

        if isinstance(value, float):
            return value
        try:
            quantity = parse(value, self.name, self.most)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return quantity if quantity > 0 else self.fail(f"must be above zero, got {value!r}", param, ctx)


def checked_jobs(jobs: JobsT) -> JobsT:
    """Raises ScenarioError for a number of processes that makes no sense; None says none."""
    from rollout_sim.study.executor import check_jobs

    if jobs is not None:
        check_jobs(jobs)
    return jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a command works on.

    `path` is the file that it was read from, `document` the scenario's, `out` the folder for results where none is
    given; with `strict`, warnings are errors. `named` is the recipe's part about files and `axes` a sweep's, where a
    recipe is run again; None where a scenario file is.
    """

    path: Path
    document: YamlDocument
    out: Path
    strict: bool = False
    named: Mapping[str, Any] | None = None
    axes: tuple[Axis | SeverityAxis, ...] | None = None

    def load(self) -> Scenario:
        """The scenario, with its warnings told. Raises ScenarioError, which names `path` where a recipe's files are elsewhere."""
        from rollout_sim.errors import ScenarioError
        from rollout_sim.scenario.scenario import Scenario

        try:
            loaded = Scenario.parse(self.document)
        except ScenarioError as error:
            prefix = f"{self.document.path}:"
            raise ScenarioError(
                [
                    text.replace(prefix, f"{self.path}:", 1) if text.startswith(prefix) else text
                    for text in error.problems
                ]
            ) from None
        tell_warnings(loaded, replace(self.document, path=self.path), strict=self.strict)
        return loaded

    def named_files(self, axes: tuple[Axis | SeverityAxis, ...] = ()) -> Mapping[str, Any]:
        """The new recipe's part about the files that the scenario or one of the `axes` names. Raises ScenarioError."""
        from rollout_sim.views.recipe import named_files

        return named_files(self.document.path.parent, self.document.data, axes) if self.named is None else self.named


def tell_warnings(scenario: Scenario, document: YamlDocument, *, strict: bool) -> None:
    """Says on standard error what in the `document` of a scenario is probably not meant.

    Raises ScenarioError with the same where `strict`.
    """
    from rollout_sim.core.yaml_io import locate
    from rollout_sim.errors import ScenarioError, legible

    told = [f"{document.path}:{locate(document, warning.where)}: {warning}" for warning in scenario.warnings()]
    if strict and told:
        raise ScenarioError(told)
    for line in told:
        click.echo(f"warning: {legible(line)}", err=True)


_ELSEWHERE: Final = ("out", "jobs", "cluster", "as_json")
"""Options that change no file, and so may stand beside a recipe."""


def repeatable(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command SCENARIO or `--recipe`: it is called with a `Task`, and a recipe's choices are its options."""

    @RUN_AGAIN
    @RECIPE
    @STRICT
    @functools.wraps(command)
    def called(scenario: Path | None, recipe: Path | None, strict: bool, **options: Any) -> None:
        context = click.get_current_context()
        if recipe is None:
            command(replace(_task_of_file(context, scenario), strict=strict), **options)
            return
        if scenario is not None:
            raise click.UsageError(f"got both SCENARIO ({scenario}) and --recipe ({recipe}); allowed one of them")
        for parameter in context.command.params:
            name = str(parameter.name)
            if name in options and name not in _ELSEWHERE and _given(context, name):
                what = f"a recipe holds every choice, got {parameter.opts[0]} beside it"
                raise click.UsageError(
                    f"--recipe: {what}; allowed --out, --jobs, --cluster, --json and --strict, where there are any"
                )
        task, choices = _task_of_recipe(recipe, str(context.command.name))
        command(replace(task, strict=strict), **options | choices)

    return called


def task_of(path: Path) -> Task:
    """What a command works on that takes another scenario file besides the first. Raises ScenarioError."""
    return _task_of_file(click.get_current_context(), path)


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _task_of_file(context: click.Context, path: Path | None) -> Task:
    from rollout_sim.core.yaml_io import read_yaml

    if path is None:
        argument = next(parameter for parameter in context.command.params if parameter.name == "scenario")
        raise click.MissingParameter(ctx=context, param=argument, param_hint="'SCENARIO'")
    return Task(path=path, document=read_yaml(path), out=Path("results") / path.stem)


def _task_of_recipe(path: Path, command: str) -> tuple[Task, dict[str, Any]]:
    """The task and the options that the recipe in `path` stands for; its remarks go to standard error."""
    from rollout_sim.errors import legible
    from rollout_sim.views.recipe import read_recipe

    recipe = read_recipe(path, command)
    for remark in recipe.remarks:
        click.echo(f"note: {legible(remark)}", err=True)
    choices = dict(recipe.choices)
    axes = choices.pop("axes", None)
    choices["suffix"] = choices.pop("format")
    if "strategies" in choices:
        choices["strategies"] = tuple(choices["strategies"])
    return Task(path=path, document=recipe.document, out=path.parent, named=recipe.named, axes=axes), choices


def _rate(_context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A rate per second. Raises BadParameter."""
    from rollout_sim.core.units import parse

    try:
        rate = None if value is None else parse(value, "rate")
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None
    if rate == 0:
        raise click.BadParameter(f"must be above 0, got {value!r}", param=parameter)
    return rate


RATE: Final = click.option(
    "--rate", callback=_rate, metavar="RATE",
    help="Events that come to each function, such as 50/s, instead of a guess; schedules keep their own.",
)  # fmt: skip
PARAMETER: Final = click.option(
    "--parameter", "given", multiple=True, metavar="NAME=VALUE",
    help="Of the template, instead of its default; AWS::StackName and its like, too.",
)  # fmt: skip
PARAMETERS: Final = click.option(
    "--parameters", type=click.Path(path_type=Path), metavar="FILE",
    help="Several: the JSON that the AWS command line takes, or a samconfig.toml.",
)  # fmt: skip
ENVIRONMENT: Final = click.option(
    "--environment", default="default", show_default=True, help="Whose parameters, in a samconfig.toml."
)


def template_values(given: tuple[str, ...], parameters: Path | None, environment: str) -> dict[str, str]:
    """The values of a template's parameters: those of the file, and over them those that are `given` as NAME=VALUE."""
    from rollout_sim.formats.templates.template import read_parameters

    values = {} if parameters is None else read_parameters(parameters, environment)
    for parameter in given:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise click.BadParameter(f"got {parameter!r}; allowed NAME=VALUE", param_hint="--parameter")
        values[name] = value
    return values
