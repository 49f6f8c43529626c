"""From a template to scenario files: of one function, or of each that is rolled out.

SAM templates and plain CloudFormation alike; what a template cannot know (traffic, error rates, durations, SLO) gets a default
and a comment that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rollout_sim.errors import ScenarioError
from rollout_sim.formats.snippet import dashed
from rollout_sim.formats.templates.deployed import Deployed
from rollout_sim.formats.templates.stack import Stack
from rollout_sim.formats.templates.template import check_parameters, read_template


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One rollout of a file: its scenario file's name and text, or why there is none."""

    identity: str
    file: str
    text: str | None
    deployed: Deployed | None
    problems: tuple[str, ...] = ()


def stack_of(path: Path, parameters: Mapping[str, str] | None = None, rate: float | None = None) -> Stack:
    """The template in a file, with values for its parameters, and the `rate` (1/s) of each function's events where it is given.

    Raises ScenarioError.
    """
    template = read_template(path, parameters)
    check_parameters(template, parameters or {})
    return Stack(template, parameters or {}, f"template {path.name}", rate)


def from_sam(
    path: Path, function: str | None = None, parameters: Mapping[str, str] | None = None
) -> tuple[str, list[str]]:
    """The scenario file of a template's function, and what was left out or assumed on the way.

    `function` is its logical id, where several are rolled out; `parameters` take the place of the template's defaults. Raises
    ScenarioError for a file that is no template, for one whose rollout no scenario can have, and where it is not clear which
    function is meant.
    """
    stack = stack_of(path, parameters)
    return of_stack(stack, function)


def of_stack(stack: Stack, function: str | None = None) -> tuple[str, list[str]]:
    """The scenario file of one function, and the remarks. Raises ScenarioError."""
    deployed = stack.read(stack.chosen(function))
    return deployed.written(stack.template.path), deployed.remarks


def every(stack: Stack) -> list[Imported]:
    """The scenario file of each function that is rolled out; one that no scenario can have stops none of the others.

    Raises ScenarioError where nothing is rolled out.
    """
    if not stack.rollouts:
        stack.chosen(None)
    result: list[Imported] = []
    for identity in stack.rollouts:
        taken = {other.file for other in result}
        name = dashed(identity)
        file = f"{name}.yaml" if f"{name}.yaml" not in taken else f"{name}-{len(result) + 1}.yaml"
        try:
            deployed = stack.read(identity)
            result.append(
                Imported(identity=identity, file=file, text=deployed.written(stack.template.path), deployed=deployed)
            )
        except ScenarioError as error:
            result.append(Imported(identity=identity, file=file, text=None, deployed=None, problems=error.problems))
    return result
