"""Recipes: the file beside a command's results that makes the same files again, byte by byte.

A recipe is JSON: the versions of rollout_sim and numpy, the `command`, the `scenario` as plain data, and each choice
that the results depend on (`CHOICES`). Where the scenario reads files, `folder` says where their names begin and
`files` what they held (SHA-256).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import Field, TypeAdapter, ValidationError

from rollout_sim.core.files import digest, read_regular
from rollout_sim.core.yaml_io import YamlDocument, dotted
from rollout_sim.errors import ScenarioError
from rollout_sim.run.result import RunResult
from rollout_sim.scenario.goals import DeployWith
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.backtest import MAX_BYTES as MAX_MINUTES_BYTES
from rollout_sim.study.backtest import MINUTES_FILE, Backtest
from rollout_sim.study.comparison import Comparison
from rollout_sim.study.grid import Axis, SeverityAxis, document_at
from rollout_sim.study.recommend.recommendation import Recommendation
from rollout_sim.study.sweep import Sweep
from rollout_sim.study.when import Hours
from rollout_sim.traffic import traces

Result = Sequence[RunResult] | Comparison | Sweep | Recommendation | Backtest | Hours
"""What a command comes to; of `run` one result per strategy."""
_STRATEGIES = list[str]
_SEED = Annotated[int, Field(ge=0)]
_POSITIVE = Annotated[float, Field(gt=0)]
_RUNS = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
_COUNT = Annotated[int, Field(ge=1)]
_FORMAT = Literal["png", "svg", "pdf"]
CHOICES: Final[dict[str, dict[str, Any]]] = {
    "run": {"strategies": _STRATEGIES, "seed": _SEED, "engine": Engine, "events": bool, "format": _FORMAT},
    "compare": {
        "strategies": _STRATEGIES, "seed": _SEED, "engine": Engine, "replications": _COUNT, "twin": bool,
        "format": _FORMAT,
    },
    "sweep": {
        "axes": list[Axis | SeverityAxis], "strategies": _STRATEGIES, "seed": _SEED | None, "engine": Engine | None,
        "replications": _COUNT, "twin": bool, "format": _FORMAT,
    },
    "recommend": {
        "keep_alarms": bool, "deploy_with": DeployWith | None, "seed": _SEED, "engine": Engine, "time": _POSITIVE | None,
        "precision": _POSITIVE | None, "runs": _RUNS | None, "format": _FORMAT,
        "data": str | None, "minutes": str | None,
    },
    "when": {
        "strategies": _STRATEGIES, "seed": _SEED, "engine": Engine | None, "replications": _COUNT, "format": _FORMAT,
    },
    "backtest": {
        "data": str, "minutes": str, "strategies": _STRATEGIES, "seed": _SEED, "engine": Engine | None,
        "replications": _COUNT, "format": _FORMAT,
    },
}  # fmt: skip
"""What each command's recipe holds beside the scenario, and of which type."""
_LATER: Final = {
    "recommend": ("time", "precision", "runs", "data", "minutes"),
    "when": ("engine",),
    "backtest": ("engine",),
}
"""Choices that a recipe of an older version does not have; it has none of them."""
MAX_BYTES: Final = 1 << 24
_PACKAGES: Final = {"rollout_sim": "rollout-sim", "numpy": "numpy"}
_FILE_FIELDS: Final = (
    ("trace", "file"), ("empirical", "file"), ("error_rate", "minutes"), ("duration", "minutes"), ("throttled", "minutes"),
)  # fmt: skip
"""The parts of a scenario that name a file, each with the field that does."""
_FILES: Final = TypeAdapter(dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A recipe as read.

    `document` is its scenario, whose files are known to be there and unchanged. `choices` has the keys of `CHOICES`, a
    sweep's axes as `Axis` or `SeverityAxis`. `named` is the recipe's part about files, `remarks` what a reader should know.
    """

    document: YamlDocument
    choices: dict[str, Any]
    named: dict[str, Any]
    remarks: tuple[str, ...]


def recipe_of(result: Result, picture_format: str, named: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of a result: of runs (one per strategy), a comparison, a sweep or a recommendation.

    `picture_format` is a suffix, `named` the part about files (`named_files`).
    """
    command, scenario, chosen = _result_choices(result)
    choices = {
        name: chosen[name] if name in chosen else getattr(result, name) for name in CHOICES[command] if name != "format"
    }
    recipe = scenario.recipe(command=command, **choices, format=picture_format, **named)
    # An axis sets fields of the file, from which others may be inherited.
    return {**recipe, "scenario": result.described} if isinstance(result, Sweep) else recipe


def _result_choices(result: Result) -> tuple[str, Scenario, dict[str, Any]]:
    """The command, the scenario (a sweep's first), and the choices that are no attributes of the result with their names."""
    if isinstance(result, Comparison):
        engine, twin = result.asked or result.scenario.engine, result.twin is not None
        return "compare", result.scenario, {"strategies": list(result.columns), "engine": engine, "twin": twin}
    if isinstance(result, Sweep):  # a seed or an engine of None is each cell's own
        chosen: dict[str, Any] = {"axes": [asdict(axis) for axis in result.axes], "strategies": list(result.strategies)}
        return "sweep", result.cells[0].scenario, {**chosen, "seed": result.asked_seed, "engine": result.asked}
    if isinstance(result, Recommendation):
        runs = None if result.time is None else list(result.runs)
        chosen = {"engine": result.asked or result.scenario.engine, "runs": runs, **_recorded(result.data)}
        return "recommend", result.described or result.scenario, chosen
    if isinstance(result, Backtest):
        chosen = {**_recorded(result.folder), "strategies": list(result.good), "engine": result.asked}
        return "backtest", result.scenario, chosen
    if isinstance(result, Hours):
        return "when", result.scenario, {"strategies": list(result.columns), "engine": result.asked}
    first = result[0]
    chosen = {"strategies": [run.strategy for run in result], "seed": first.seed, "engine": first.scenario.engine}
    return "run", first.scenario, {**chosen, "events": first.events is not None}


def _recorded(folder: str | None) -> dict[str, str | None]:
    """A recipe's choices about the folder with recorded minutes: where it is, and what the file held (SHA-256)."""
    if folder is None:
        return {"data": None, "minutes": None}
    return {"data": Path(folder).as_posix(), "minutes": digest(Path(folder) / MINUTES_FILE, MAX_MINUTES_BYTES)}


def named_files(folder: Path, data: Any, axes: Sequence[Axis | SeverityAxis] = ()) -> dict[str, Any]:
    """A recipe's part about the files that a scenario's plain `data` or an axis names; empty where none is named.

    `folder` is where relative names begin. Raises ScenarioError for a file that cannot be read.
    """
    names = _names(data, axes)
    return {"folder": folder.as_posix(), "files": {name: _digest(folder / name) for name in names}} if names else {}


def read_recipe(path: Path, command: str) -> Recipe:
    """The recipe in the file `path`, to be run by `command`.

    The scenario's files are looked for in the recipe's `folder`, seen from the working directory, then beside the
    recipe. Raises ScenarioError with file, what is wrong and what would be right: for a file that is no recipe or
    another command's, a choice that is missing or none, and a file that is missing or has changed.
    """
    data = _read(path)
    written_by = data.get("command")
    if not isinstance(written_by, str) or written_by not in CHOICES:
        got = f"the command {written_by!r}" if "command" in data else "no command"
        _refuse(path, f"is no recipe, got {got}; allowed what {', '.join(CHOICES)} write")
    if written_by != command:
        _refuse(path, f"is a recipe of another command, got {written_by!r}; rollout-sim {written_by} --recipe runs it")
    if not isinstance(data.get("scenario"), dict):
        _refuse(
            path, f"scenario: got {'something else' if 'scenario' in data else 'none'}; allowed a mapping of fields"
        )
    named: dict[str, Any] = {name: data[name] for name in ("folder", "files") if name in data}
    choices = _choices(path, command, data)
    axes = choices.get("axes", ())
    document = YamlDocument(
        data=data["scenario"], lines={}, path=_folder(path, named, _names(data["scenario"], axes)) / path.name
    )
    _check_axes(path, document, axes)
    remarks = [
        f"{path} was written with {name} {data.get(name)}, this is {version(package)}: figures may differ"
        for name, package in _PACKAGES.items()
        if data.get(name) != version(package)
    ]
    return Recipe(document=document, choices=choices, named=named, remarks=tuple(remarks))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_regular(path, MAX_BYTES)
    except ValueError as error:
        raise ScenarioError([str(error)]) from None
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        what = getattr(error, "msg", None) or "not UTF-8 text, or nested too deeply"
        line = getattr(error, "lineno", 1)
        raise ScenarioError(
            [f"{path}:{line}: is damaged, not JSON: {what}; allowed a recipe as it was written"]
        ) from None
    if not isinstance(data, dict):
        kind = type(data).__name__
        _refuse(path, f"is no recipe, got {'a list' if kind == 'list' else 'a single value'}; allowed a mapping")
    return data


def _refuse(path: Path, what: str) -> NoReturn:
    raise ScenarioError([f"{path}: {what}"])


def _choices(path: Path, command: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The command's choices in a recipe's `data`, each of its type. Raises ScenarioError with all that is wrong."""
    kinds, choices = CHOICES[command], {}
    data = {**dict.fromkeys(_LATER.get(command, ())), **data}
    problems = [f"{name} is missing" for name in kinds if name not in data]
    unknown = set(data) - set(kinds) - {*_PACKAGES, "command", "scenario", "folder", "files"}
    problems += [f"{name} is no choice of {command}; allowed {', '.join(kinds)}" for name in sorted(unknown)]
    for name in set(kinds).intersection(data):
        try:
            choices[name] = TypeAdapter(kinds[name]).validate_json(json.dumps(data[name]), strict=True)
        except ValidationError as error:
            for problem in error.errors():
                place, text = ".".join(map(str, (name, *problem["loc"]))), problem["msg"]
                problems.append(f"{place}: {text[0].lower()}{text[1:]}, got {problem['input']!r}")
    if problems:
        raise ScenarioError([f"{path}: {problem}" for problem in sorted(problems)])
    return choices


def _check_axes(path: Path, document: YamlDocument, axes: Sequence[Axis | SeverityAxis]) -> None:
    """Raises ScenarioError for an axis that the document has no place for."""
    for axis in axes:
        try:
            if isinstance(axis, SeverityAxis):
                document.data["function"]["versions"][axis.version]["faults"][axis.position]
            else:
                for value in axis.values:
                    document_at(document, [axis], [value])
        except (ScenarioError, KeyError, IndexError, TypeError, ValueError, AttributeError):
            _refuse(path, f"axes: {axis.name} cannot set {dotted(axis.path)} in the recipe's scenario")


def _names(data: Any, axes: Sequence[Axis | SeverityAxis]) -> list[str]:
    """The files that a scenario's plain data or the values of an axis name, each once."""
    varied = [str(value) for axis in axes if axis.path[-2:] in _FILE_FIELDS for value in axis.values]
    return list(dict.fromkeys(_named_in(data) + varied))


def _named_in(data: Any) -> list[str]:
    if isinstance(data, Mapping):
        own = [
            part[name]
            for key, part in data.items()
            for holder, name in _FILE_FIELDS
            if key == holder and isinstance(part, Mapping) and isinstance(part.get(name), str)
        ]
        return own + [name for part in data.values() for name in _named_in(part)]
    return [name for part in data for name in _named_in(part)] if isinstance(data, list | tuple) else []


def _digest(path: Path) -> str:
    return digest(path, traces.MAX_BYTES)


def _folder(path: Path, named: Mapping[str, Any], names: Sequence[str]) -> Path:
    """Where the files of these `names` are as they were; the folder of the recipe in `path` where there are none."""
    if not names:
        return path.parent
    try:
        folder, files = (
            Path(TypeAdapter(str).validate_python(named.get("folder"))),
            _FILES.validate_python(named.get("files")),
        )
    except ValidationError:
        _refuse(path, "folder and files: allowed a folder, and the SHA-256 of each file below it")
    if lacking := sorted(set(names) - set(files)):
        _refuse(path, f"files: the scenario reads {', '.join(lacking)}; allowed the SHA-256 of each file")
    places = list(dict.fromkeys([folder, path.parent]))
    taken = cache(_digest)  # a file that has changed is looked at twice
    for place in places:
        if all((place / name).is_file() and taken(place / name) == expected for name, expected in files.items()):
            return place
    problems = []
    for name, expected in files.items():
        there = [place / name for place in places if (place / name).is_file()]
        if not there:
            wanted = " or ".join(str(place / name) for place in places)
            problems.append(f"{path}: files: {name} is missing; allowed {wanted}, seen from the working directory")
        problems += [
            f"{path}: files: {file} has changed, got SHA-256 {taken(file)[:12]}...; allowed {expected[:12]}..."
            for file in there
            if taken(file) != expected
        ]
    raise ScenarioError(
        problems or [f"{path}: files: they are there, but not all in one folder: {', '.join(map(str, places))}"]
    )
