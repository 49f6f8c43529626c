"""Finding: something that is wrong with a rollout, where it stands in the user's file, and the change that mends it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from rollout_sim.core.statistics import Estimate
from rollout_sim.core.yaml_io import Where, YamlDocument, dotted, locate, to_yaml
from rollout_sim.scenario.scenario import Scenario

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")
"""The gravest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line of a user's file, from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change of a scenario: the value that stands at `where` from then on, as a file has it; None takes it away."""

    where: Where
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """An alarm that the user's file lists for the rollout, and that the scenario does not have."""

    name: str
    why: str
    """Why not, in a few words."""
    dead: bool = False
    """Whether it can never have data, so that it does nothing for the rollout; else nothing is known of what it does."""
    mended: Mapping[str, Any] | None = None
    """The fields of the alarm that it would be after the `change` that gives it data, where one does."""
    change: str = ""
    """That change in the words of the file."""


class Origin(Protocol):
    """The file that a scenario comes from: where its parts stand in it, and how a change of it is written there."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def place(self, where: Where) -> Place:
        """The line of a part of the scenario, or of the nearest thing around it."""
        ...

    def spell(self, scenario: Scenario, edit: Edit) -> str:
        """A change of the scenario in the words of the file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioFile:
    """The origin of a scenario that stands in a file of its own."""

    document: YamlDocument

    @property
    def path(self) -> Path:
        """The file."""
        return self.document.path

    def place(self, where: Where) -> Place:
        """The line of the field."""
        return Place(path=self.document.path, line=locate(self.document, where))

    def spell(self, scenario: Scenario, edit: Edit) -> str:
        """`alarms.errors.datapoints: 2 of 2`."""
        return spelled(scenario, edit)


def spelled(_: Scenario, edit: Edit) -> str:
    """A change in the words of a scenario file: `alarms.errors.datapoints: 2 of 2`."""
    if edit.value is None:
        return f"without {dotted(edit.where)}"
    return f"{dotted(edit.where)}: {to_yaml(edit.value, layout='line')}"


def edited(scenario: Scenario, edits: Sequence[Edit], path: Path) -> Scenario:
    """The scenario with the changes; files that it names are looked for beside `path`. Raises ScenarioError."""
    data = json.loads(json.dumps(scenario.dump()))  # lists, which can be changed
    for edit in edits:
        at: Any = data
        for part in edit.where[:-1]:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        if edit.value is None:
            at.pop(edit.where[-1], None)
        else:
            at[edit.where[-1]] = edit.value
    return Scenario.from_dict(data, path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """The smallest change that mends a finding, and what it was simulated to come to."""

    edits: tuple[Edit, ...]
    """The changes of the scenario, all of them together."""
    text: str
    """The same in the words of the file."""
    effect: str
    """What comes of it, with figures."""
    figures: Mapping[str, Estimate]
    """The figures by name."""

    def to_json(self) -> dict[str, Any]:
        """The `remedy` of a finding in `check --format json`."""
        return {
            "change": self.text,
            "edits": [{"where": dotted(edit.where), "value": edit.value} for edit in self.edits],
            "effect": self.effect,
            "figures": {name: estimate.to_json() for name, estimate in self.figures.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a rollout, as the simulation shows."""

    code: str
    """The stable code of its rule, such as `RS101`."""
    name: str
    """The rule's name, such as `alarm-cannot-fire`."""
    severity: Severity
    subject: str
    """The function or scenario."""
    where: Where
    """The part of the scenario that it is about."""
    place: Place
    """Where that stands in the user's file."""
    message: str
    """One sentence, with the simulated figures."""
    figures: Mapping[str, Estimate] = field(default_factory=dict)
    """The figures by name."""
    remedy: Remedy | None = None
    """What mends it; None where nothing that was tried does."""
    silenced: str | None = None
    """The reason for which the user silences it."""

    def to_json(self) -> dict[str, Any]:
        """An entry of the `findings` of `check --format json`."""
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity,
            "subject": self.subject,
            "alarm": str(self.where[1]) if self.where[:1] == ("alarms",) and len(self.where) > 1 else None,
            "where": dotted(self.where),
            "file": str(self.place.path),
            "line": self.place.line,
            "message": self.message,
            "estimate": next((estimate.to_json() for estimate in self.figures.values()), None),
            "figures": {name: estimate.to_json() for name, estimate in self.figures.items()},
            "remedy": None if self.remedy is None else self.remedy.to_json(),
            "silenced": self.silenced,
        }
