"""Rollouts: every rollout in a file, be it a scenario or a template with several functions, as subjects of `check`.

Each comes with the lines on which its parts stand, and with what a change of it is called in its own file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rollout_sim.core.yaml_io import MAX_BYTES, Where, read_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.templates import sam
from rollout_sim.formats.templates.deployed import Deployed
from rollout_sim.formats.templates.events import sources
from rollout_sim.formats.templates.template import Template
from rollout_sim.formats.templates.terraform import read_terraform
from rollout_sim.formats.templates.wording import SamWording, TerraformWording, Wording
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.check.checking import Subject
from rollout_sim.study.check.finding import Edit, Place, ScenarioFile, Unread, spelled

_GUESSED: Final = (
    "guessed, for no template tells: {events}how long they take, how often they fail, the SLO; "
    "`rollout-sim import {command}` writes them down, so that they can be put right and checked"
)


def is_template(path: Path) -> bool:
    """Whether a file looks like a template of CloudFormation's, or like what `terraform show -json` prints."""
    head = _head(path)
    return _is_terraform(head) or (
        any(line.startswith((b"Resources:", b'"Resources"', b"Resources :")) for line in head.splitlines())
        or (head.lstrip().startswith(b"{") and b'"Resources"' in head)
    )


def _is_terraform(head: bytes) -> bool:
    return head.lstrip().startswith(b"{") and b'"root_module"' in head


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return b""


def subjects_of(
    path: Path, parameters: Mapping[str, str], function: str | None = None, rate: float | None = None
) -> list[Subject]:
    """What is rolled out in a file: its scenario, or each function of its template, or the `function` alone.

    `rate` (1/s) is that of the events of each of a template's functions, where it is not to be guessed. Raises ScenarioError for
    a file that is neither.
    """
    if not is_template(path):
        document = read_yaml(path)
        scenario = Scenario.parse(document)
        return [Subject(name=scenario.name, scenario=scenario, origin=ScenarioFile(document=document))]
    return _of_template(path, parameters, function, rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """The origin of a scenario that was read from a function of a template."""

    path: Path
    line: int
    """The line of the function."""
    alarms: Mapping[str, int]
    """The lines of the alarms, by their names in the scenario."""
    sources: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """What the file calls each source that it tells of, and its line, by its number in the scenario."""
    wording: Wording = field(default_factory=SamWording)
    """The words of its format."""

    def place(self, where: Where) -> Place:
        """The line of the alarm or source, or of the function."""
        line = None
        if where[:1] == ("alarms",) and len(where) > 1:
            line = self.alarms.get(str(where[1]))
        elif where[:1] == ("traffic",) and len(where) > 1:
            _, line = self.sources.get(int(where[1]), ("", None))
        return Place(path=self.path, line=self.line if line is None else line)

    def spell(self, scenario: Scenario, edit: Edit) -> str:
        """`OrdersErrors: EvaluationPeriods 2, DatapointsToAlarm 2`."""
        where, value, wording = edit.where, edit.value, self.wording
        if where[:1] == ("alarms",) and len(where) > 2:
            return wording.alarm(str(where[1]), scenario.alarms[str(where[1])], where[2:], value)
        if where == ("rollout", "alarms"):
            return wording.listed(value)
        if where[:1] == ("alarms",):
            return wording.new_alarm(str(where[1]), value)
        if where[:1] == ("strategies",) and len(where) == 2:
            return wording.strategy(value)
        if where[:1] == ("traffic",):
            called, _ = self.sources.get(int(where[1]), (scenario.traffic[int(where[1])].name or "the caller", 0))
            return wording.source(called, where[2:], value)
        if where == ("function", "reserved_concurrency"):
            return wording.reserved(value)
        if where[-1:] == ("provisioned",):
            return wording.provisioned(value)
        if where[-2:] == ("environments", "minimum"):
            return f"FunctionScalingConfig: {wording.properties({'MinExecutionEnvironments': value})}"
        return spelled(scenario, edit)


def _with_calls_past(deployed: Deployed, scenario: Scenario, path: Path) -> Scenario:
    """The scenario with what calls the function past the alias: an alias of its own stands for no alias at all."""
    if not deployed.past:
        return scenario
    data = json.loads(json.dumps(scenario.dump()))
    names = [alias for alias in ("unqualified", "unqualified-2") if alias not in scenario.function.aliases]
    data["function"]["versions"]["$LATEST"] = data["function"]["versions"][scenario.old]
    data["function"]["aliases"][names[0]] = "$LATEST"
    for event in deployed.past:
        (source,) = sources([event], names[0], deployed.rate, {"async_retries": 0}, deployed.begin)
        data["traffic"].append({**source, "name": event.name})
    return Scenario.from_dict(data, path=path)


def _named(template: Template, function: str, event: str) -> tuple[str, int]:
    """What a template calls an event of a function, and its line: that of a resource, or of a part of the function."""
    own = event in template.data["Resources"]
    where = ("Resources", event) if own else ("Resources", function, "Properties", "Events", event)
    return template.addresses.get(event, event), template.line(*where)


def _of_template(path: Path, parameters: Mapping[str, str], function: str | None, rate: float | None) -> list[Subject]:
    terraform = _is_terraform(_head(path))
    stack = read_terraform(path, rate) if terraform else sam.stack_of(path, parameters, rate)
    if function is not None or not stack.rollouts:
        stack.chosen(function)
    events = "how many events come, " if rate is None else ""
    subjects: list[Subject] = []
    problems: list[str] = []
    for identity in stack.rollouts:
        if function not in (None, identity):
            continue
        try:
            deployed = stack.read(identity)
            scenario = _with_calls_past(deployed, deployed.scenario(path), path)
        except ScenarioError as error:
            problems += error.problems
            continue
        left_out = {
            stack.template.addresses.get(str(left.identity), name): left for name, left in deployed.left.items()
        }
        lines = {name: left.line for name, left in left_out.items() if left.line is not None}
        first = len(scenario.traffic) - len(deployed.past)
        called = [*enumerate(deployed.events), *enumerate(deployed.past, first)]
        named = {k: _named(stack.template, identity, event.name) for k, event in called}
        words = TerraformWording if terraform else SamWording if deployed.has_preference else Wording
        wording = words(ids=deployed.ids, scales=deployed.scales)
        unread = tuple(
            Unread(name=name, why=left.why, dead=left.dead, mended=left.mended, change=wording.repaired(left.repairs))
            for name, left in left_out.items()
        )
        origin = TemplateFile(
            path=path, line=deployed.line, alarms=lines | deployed.lines, sources=named, wording=wording,
        )  # fmt: skip
        command = "terraform" if terraform else "sam" if deployed.has_preference else "cloudformation"
        remarks = (*deployed.remarks, _GUESSED.format(events=events, command=command))
        subjects.append(Subject(name=identity, scenario=scenario, origin=origin, remarks=remarks, unread=unread))
    if problems:
        raise ScenarioError(problems)
    return subjects
