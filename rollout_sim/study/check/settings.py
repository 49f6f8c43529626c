"""Settings: the goal and the silences that a user keeps in files of their own, beside what is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollout_sim.core.fields import section
from rollout_sim.core.yaml_io import YamlDocument, read_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.goals import Goal, Risk
from rollout_sim.scenario.messages import problems_of
from rollout_sim.study.check.checking import EVERYWHERE, Silences


@section
class GoalFile:
    """A file with the sections `goal` and `risk` of a scenario."""

    goal: Goal
    """What has to be kept."""
    risk: Risk | None = None
    """How releases go wrong."""


@section
class Config:
    """A file that silences findings by their codes."""

    ignore: dict[str, str | dict[str, str]]
    """By code the reason, or the reason by the name of each function or scenario."""


def read_goal(path: Path) -> GoalFile:
    """The goal in a file: its sections `goal` and `risk`, or the fields of a goal alone. Raises ScenarioError."""
    document = read_yaml(path)
    if "goal" in document.data:
        read: GoalFile = _read(document, GoalFile)
        return read
    return GoalFile(goal=_read(document, Goal))


def read_silences(path: Path) -> Silences:
    """What a file silences. Raises ScenarioError."""
    config: Config = _read(read_yaml(path), Config)
    silences = {code: {EVERYWHERE: given} if isinstance(given, str) else given for code, given in config.ignore.items()}
    empty = [code for code, reasons in silences.items() if not all(reason.strip() for reason in reasons.values())]
    if empty:
        raise ScenarioError([f"{path}: ignore.{code}: needs a reason" for code in empty])
    return silences


def _read(document: YamlDocument, kind: type[Any]) -> Any:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(document.data)
    except ValidationError as error:
        raise ScenarioError(problems_of(error, document, kind)) from None
