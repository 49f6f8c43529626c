"""Every file in bad_scenarios/ opens with the exact messages that it must give, one comment line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.scenario import Scenario

FILES = sorted((Path(__file__).parents[1] / "bad_scenarios").glob("*.yaml"))


def expected(path: Path) -> list[str]:
    """The opening comment lines."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    return lines


def test_there_are_bad_scenarios() -> None:
    assert len(FILES) >= 40


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_bad_scenario_gives_its_message(path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path)
    assert [
        problem.removeprefix(f"{path}:").replace(f"{path.parent}/", "") for problem in caught.value.problems
    ] == expected(path)
