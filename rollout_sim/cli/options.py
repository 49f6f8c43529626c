"""What several commands share: the argument SCENARIO with its completion, `--recipe`, and options.

A command that can be run again takes `repeatable` and gets a `Task`: the scenario of a file, or of a recipe.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from rollout_sim.cli import console
from rollout_sim.core.files import FORMATS

if TYPE_CHECKING:
    from rollout_sim.core.yaml_io import YamlDocument
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.scenario.sections import Engine
    from rollout_sim.study.grid import Axis, SeverityAxis
    from rollout_sim.views.recipe import Result

PROGRAM = "rollout-sim"
"""What the program is called, however it was started; shells complete by this name."""
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


FILE: Final = click.Path(path_type=Path, dir_okay=False)
FOLDER: Final = click.Path(path_type=Path, file_okay=False)
SCENARIO = click.argument("scenario", type=ScenarioPath())
RUN_AGAIN = click.argument("scenario", type=ScenarioPath(), required=False)
RECIPE = click.option(
    "--recipe",
    type=FILE,
    metavar="FILE",
    help="Instead of SCENARIO: the recipe that the command wrote; makes the same files, in its folder unless --out is given.",
)
STRICT = click.option("--strict", is_flag=True, help="Treat warnings about the scenario as errors.")
STRATEGIES = click.option(
    "--strategy",
    "strategies",
    multiple=True,
    metavar="NAME",
    help="Only this strategy; may be given several times.",
    shell_complete=complete_strategy,
)
SEED = click.option("--seed", type=click.IntRange(0), help="Random seed instead of the scenario's.")
ENGINE = click.option(
    "--engine",
    type=click.Choice(["auto", "simpy", "compiled", "aggregate"]),
    help="Data plane instead of the scenario's.",
)
OUT = click.option("--out", type=FOLDER, help="Folder for the files  [default: results/<scenario>]")
OUT_FILE = click.option("--out", type=FILE, help="A file instead of standard output.")
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
    help="Format of the pictures; markdown prints the tables in Markdown.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
JOBS = click.option(
    "--jobs", type=int, default=1, show_default=True, help="Processes on this machine; -1: all processors."
)


def shared_jobs(alone: str = "where it takes only seconds") -> Callable[..., Any]:
    """The option `--jobs` of what takes all processors where nobody says, but for one where it runs `alone`."""
    return click.option("--jobs", type=int, help=f"Processes on this machine  [default: all processors; 1 {alone}]")


CLUSTER = click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler, tcp://host:port, instead of processes.")


def results(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of whatever writes results and prints them."""
    return OUT(FORMAT(JSON(command)))


def replications(help_text: str, default: int | None = None, least: int = 1) -> Callable[..., Any]:
    """The option `--replications`; one without a `default` tells in its help how many there are without it."""
    return click.option(
        "--replications", type=click.IntRange(least), default=default, show_default=default is not None, help=help_text
    )


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
    """A text that `read` makes a number of, which raises ValueError where it cannot."""

    def __init__(self, name: str, read: Callable[[str], float]) -> None:
        self.name = name
        self.read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number in a text."""
        try:
            return value if isinstance(value, float) else self.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def above_zero(kind: str, most: float | None = None) -> Quantity:
    """A text with a unit, such as `2 min`: a number above 0 and up to `most`, in the package's own unit."""

    def read(text: str) -> float:
        from rollout_sim.core.units import parse

        quantity = parse(text, kind, most)
        if quantity <= 0:
            raise ValueError(f"must be above 0, got {text!r}")
        return quantity

    return Quantity(kind, read)


def check_alias(alias: str) -> None:
    """Raises click's error for a name that no alias may have."""
    from rollout_sim.errors import ValidationException
    from rollout_sim.function.lambda_api import check_alias_name

    try:
        check_alias_name(alias)
    except ValidationException:
        what = f"got {alias!r}; allowed letters, digits, - and _, not digits alone"
        raise click.BadParameter(what, param_hint="--alias") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a command works on, and what it is told by the options that several commands share.

    `path` is the file that it was read from, `document` the scenario's, `home` the folder for results where no other one is
    given as `out`; with `strict`, warnings are errors. `named` is the recipe's part about files and `axes` a sweep's, where a
    recipe is run again; None where a scenario file is. Of the pictures `suffix` is the format. Warnings with the names `untold`
    do not matter to the command.
    """

    path: Path
    document: YamlDocument
    home: Path
    strict: bool = False
    named: Mapping[str, Any] | None = None
    axes: tuple[Axis | SeverityAxis, ...] | None = None
    strategies: tuple[str, ...] = ()
    seed: int | None = None
    engine: Engine | None = None
    jobs: int | None = 1
    cluster: str | None = None
    out: Path | None = None
    suffix: str = FORMATS[0]
    as_json: bool = False
    untold: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out or self.home

    def beside(self, path: Path) -> Task:
        """The same task on another scenario file, told by the same options. Raises ScenarioError."""
        from rollout_sim.core.yaml_io import read_yaml

        return replace(self, path=path, document=read_yaml(path))

    def load(self) -> Scenario:
        """The scenario, with its warnings told. Raises ScenarioError, as `parse` does."""
        loaded = self.parse()
        self.tell_warnings(loaded)
        return loaded

    def parse(self) -> Scenario:
        """The scenario. Raises ScenarioError, which names `path` where a recipe's files are elsewhere."""
        from rollout_sim.errors import ScenarioError
        from rollout_sim.scenario.scenario import Scenario

        try:
            return Scenario.parse(self.document)
        except ScenarioError as error:
            prefix = f"{self.document.path}:"
            raise ScenarioError(
                [
                    text.replace(prefix, f"{self.path}:", 1) if text.startswith(prefix) else text
                    for text in error.problems
                ]
            ) from None

    def tell_warnings(self, loaded: Scenario) -> None:
        """Tells what is probably not meant in the scenario as it was parsed. Raises ScenarioError where warnings are errors."""
        tell_warnings(loaded, replace(self.document, path=self.path), strict=self.strict, untold=self.untold)

    def named_files(self, axes: tuple[Axis | SeverityAxis, ...] = ()) -> Mapping[str, Any]:
        """The new recipe's part about the files that the scenario or one of the `axes` names. Raises ScenarioError."""
        from rollout_sim.views.recipe import named_files

        return named_files(self.document.path.parent, self.document.data, axes) if self.named is None else self.named

    def prepare(self, files: Sequence[str]) -> tuple[Scenario, Mapping[str, Any]]:
        """The scenario with its warnings told and its `named_files`, once it is known that they can be dealt with (`check`)."""
        loaded, named = self.load(), self.named_files()
        self.check(files)
        return loaded, named

    def check(self, files: Sequence[str]) -> None:
        """Raises ScenarioError where the folder does not take `files`, or the computer `jobs`."""
        from rollout_sim.core.files import check_writable
        from rollout_sim.study.executor import check_jobs

        check_writable(self.folder, files)
        check_jobs(self.jobs)

    def deliver(
        self,
        result: Result,
        named: Mapping[str, Any],
        shown: Callable[[], Iterable[Any]],
        document: Callable[[], object] | None = None,
    ) -> None:
        """Writes the files of a result, and prints what is `shown` of it (lines and tables), or one JSON document."""
        import_output()
        from rollout_sim.views.output import to_json, write

        console.deliver(
            lambda: write(result, self.folder, self.suffix, named),
            lambda: (
                console.echo_json(document() if document else to_json(result))
                if self.as_json
                else console.show(*shown())
            ),
            None if self.as_json else f"files in {self.folder}",
        )


def import_output() -> None:
    """Loads what writes and draws results, which takes as long as many a study."""
    from importlib import import_module

    console.import_pictures()
    import_module("rollout_sim.views.output")


def tell_warnings(scenario: Scenario, document: YamlDocument, *, strict: bool, untold: Sequence[str] = ()) -> None:
    """Says on standard error what in the `document` of a scenario is probably not meant, but for warnings with the names `untold`.

    Raises ScenarioError with the same where `strict`.
    """
    from rollout_sim.core.yaml_io import locate
    from rollout_sim.errors import ScenarioError

    told = [
        f"{document.path}:{locate(document, warning.where)}: {warning}"
        for warning in scenario.warnings()
        if warning.name not in untold
    ]
    if strict and told:
        raise ScenarioError(told)
    for line in told:
        console.tell(f"warning: {line}")


_ELSEWHERE: Final = ("out", "jobs", "cluster", "as_json")
"""Options that change no file, and so may stand beside a recipe."""
_SHARED: Final = ("strategies", "seed", "engine", "jobs", "cluster", "out", "suffix", "as_json")
"""Options that are fields of the `Task`."""


def repeatable(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command SCENARIO or `--recipe`: it is called with a `Task`, and the options that are its own.

    A recipe's choices take the place of options.
    """

    @RUN_AGAIN
    @RECIPE
    @STRICT
    @functools.wraps(command)
    def called(scenario: Path | None, recipe: Path | None, strict: bool, **options: Any) -> None:
        context = click.get_current_context()
        if options.get("cluster") is not None:
            refuse_given("counts processes of this machine; a cluster has its own", "jobs")
        if recipe is None:
            start(_task_of_file(context, scenario), strict, options)
            return
        if scenario is not None:
            raise click.UsageError(f"got both SCENARIO ({scenario}) and --recipe ({recipe}); allowed one of them")
        for parameter in context.command.params:
            name = str(parameter.name)
            if name in options and name not in _ELSEWHERE and given(name):
                what = f"a recipe holds every choice, got {parameter.opts[0]} beside it"
                raise click.UsageError(
                    f"--recipe: {what}; allowed --out, --jobs, --cluster, --json and --strict, where there are any"
                )
        task, choices = _task_of_recipe(recipe, str(context.command.name))
        start(task, strict, options | choices)

    def start(task: Task, strict: bool, options: dict[str, Any]) -> None:
        shared = {name: options.pop(name) for name in _SHARED if name in options}
        command(replace(task, strict=strict, **shared), **options)

    return called


def given(name: str) -> bool:
    """Whether the command that runs was given the option of this parameter, be it with its default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def refuse_given(why: str, *names: str) -> None:
    """Raises click's error for the first option of these parameters that was given: it would do nothing."""
    for parameter in click.get_current_context().command.params:
        if parameter.name in names and given(parameter.name):
            raise click.UsageError(f"{parameter.opts[0]} {why}")


def _task_of_file(context: click.Context, path: Path | None) -> Task:
    from rollout_sim.core.yaml_io import read_yaml

    if path is None:
        argument = next(parameter for parameter in context.command.params if parameter.name == "scenario")
        raise click.MissingParameter(ctx=context, param=argument, param_hint="'SCENARIO'")
    return Task(path=path, document=read_yaml(path), home=Path("results") / path.stem)


def _task_of_recipe(path: Path, command: str) -> tuple[Task, dict[str, Any]]:
    """The task and the options that the recipe in `path` stands for; its remarks go to standard error."""
    from rollout_sim.views.recipe import read_recipe

    recipe = read_recipe(path, command)
    for remark in recipe.remarks:
        console.tell(f"note: {remark}")
    choices = dict(recipe.choices)
    axes = choices.pop("axes", None)
    choices["suffix"] = choices.pop("format")
    if "strategies" in choices:
        choices["strategies"] = tuple(choices["strategies"])
    return Task(path=path, document=recipe.document, home=path.parent, named=recipe.named, axes=axes), choices


RATE: Final = click.option(
    "--rate", type=above_zero("rate"), metavar="RATE",
    help="Events that come to each function, such as 50/s, instead of a guess; schedules keep their own.",
)  # fmt: skip
PARAMETER: Final = click.option(
    "--parameter", "given", multiple=True, metavar="NAME=VALUE",
    help="A parameter of the template, instead of its default; also AWS::StackName and the like.",
)  # fmt: skip
PARAMETERS: Final = click.option(
    "--parameters", type=click.Path(path_type=Path), metavar="FILE",
    help="Several parameters: the JSON that the AWS command line takes, or a samconfig.toml.",
)  # fmt: skip
ENVIRONMENT: Final = click.option(
    "--environment",
    default="default",
    show_default=True,
    help="Which environment of a samconfig.toml to take the parameters of.",
)


def template_values(given: tuple[str, ...], parameters: Path | None, environment: str) -> dict[str, str]:
    """The values of a template's parameters: those of the file, and over them those that are `given` as NAME=VALUE."""
    from rollout_sim.formats.templates.template import read_parameters

    if parameters is None:
        refuse_given("chooses a part of the file of --parameters, which is not given", "environment")
    values = {} if parameters is None else read_parameters(parameters, environment)
    for parameter in given:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise click.BadParameter(f"got {parameter!r}; allowed NAME=VALUE", param_hint="--parameter")
        values[name] = value
    return values
