"""What is varied of a scenario's new version, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import scenario

from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.grid import at
from rollout_sim.study.sensitivity import sensitivity, severity_axis

HERE = Path("test.yaml")


@pytest.mark.parametrize(
    ("faults", "own", "some"),
    [
        ([{"errors": "4%"}], "4%", {"0%", "4%", "0.1%", "50%"}),
        ([{"latency": "2x"}, {"errors": "3%", "onset": "1 min"}], "3%", {"0%", "3%"}),
        ([{"init": "2x"}, {"crash": "5%"}], "5%", {"0%", "5%"}),
        ([{"latency": "2.5x"}], "2.5x", {"1x", "2.5x", "8x"}),
        ([{"latency": "20 ms"}], "20 ms", {"0 s", "20 ms", "40 ms"}),
        ([{"leak": {"per": "5 min", "errors": "1%"}}], None, {"0%", "1%"}),
        ([], None, {"0%", "1%"}),
    ],
)
def test_the_first_fault_that_can_be_varied_is(faults: list[Any], own: str | None, some: set[str]) -> None:
    given = scenario(function__versions__2={"like": "1", "faults": faults})
    document, axis, found = severity_axis(given, HERE, coarse=False)
    assert found == own
    assert some <= set(axis.values)
    if own is not None:
        assert "4%" not in axis.values or "5%" not in axis.values  # the file's value in place of its neighbour
        assert Scenario.parse(at(document, [axis], [own])) == given
    for value in axis.values:
        cell = Scenario.parse(at(document, [axis], [value])).function.versions["2"].faults
        assert len(cell) == len(faults) + (own is None) - (value == "0%")


def test_the_files_own_severity_gives_the_comparisons_figures() -> None:
    found = sensitivity(scenario(), None, HERE, 300)
    assert found.own == "20%"
    stopped = {
        (row["severity"], row["strategy"]): row["mean"] for row in found.swept.rows if row["estimate"] == "stopped"
    }
    assert stopped["0%", "canary"] < 0.05
    assert stopped["20%", "canary"] > 0.9
    assert found.recommended is None
