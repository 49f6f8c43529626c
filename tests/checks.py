"""Rollouts to check, for tests: the example of the documentation, and those of each rule in place of its sections."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rollout_sim.core.yaml_io import read_yaml, to_yaml
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.check.checking import Checked, Subject, check
from rollout_sim.study.check.finding import Finding, ScenarioFile
from rollout_sim.study.check.rules import RULES

PAGE = Path(__file__).parents[1] / "docs" / "check.head.md"


def base() -> str:
    """The scenario of the documentation, in which nothing is found."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(block)


def example(code: str, folder: Path) -> Path:
    """A file with the example of a rule in place of the sections of `base`."""
    base_path, path = folder / "base.yaml", folder / "part.yaml"
    base_path.write_text(base(), encoding="utf-8")
    path.write_text(RULES[code].example, encoding="utf-8")
    return write(folder / f"{code}.yaml", {**read_yaml(base_path).data, **read_yaml(path).data})


def changed(folder: Path, **sections: Any) -> Path:
    """A file with some sections of `base` in place of others."""
    path = folder / "base.yaml"
    path.write_text(base(), encoding="utf-8")
    return write(folder / "changed.yaml", {**read_yaml(path).data, **sections})


def write(path: Path, data: Any) -> Path:
    """A scenario's data as a file."""
    path.write_text(to_yaml(data), encoding="utf-8")
    return path


def subject(path: Path, name: str = "orders") -> Subject:
    """The scenario in a file."""
    document = read_yaml(path)
    return Subject(name=name, scenario=Scenario.parse(document), origin=ScenarioFile(document=document))


def checked(path: Path, **options: Any) -> Checked:
    """What comes of the scenario in a file."""
    (result,) = check([subject(path)], **options).checked
    return result


def finding(result: Checked, code: str) -> Finding:
    """The first finding of a code."""
    return next(found for found in result.findings if found.code == code)


def codes(result: Checked) -> list[str]:
    """The codes of the findings, those that are notes excepted."""
    return [found.code for found in result.findings if found.severity != "note"]
