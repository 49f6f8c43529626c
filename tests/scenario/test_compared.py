"""A field that compares with the old version does not exist; the message says what to write, and that does what was meant."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest
import yaml
from builders import data

from rollout_sim.errors import ScenarioError
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario

WORSE: dict[str, Any] = {
    "function__versions": {
        "1": {"duration": {"exponential": {"mean": "100 ms"}}, "error_rate": "2%"},
        "2": {"like": "1", "faults": [{"errors": "8%"}, {"latency": "3x"}]},
    },
    "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "60/s"}}],
}


@pytest.mark.parametrize(
    ("field", "watched"),
    [
        ("relative_to", {"metric": "error_rate"}),
        ("baseline", {"metric": "duration", "statistic": "p95"}),
        ("compared_to", {"metric": "duration"}),
    ],
)
def test_what_the_message_says_catches_a_worse_version_and_passes_an_equal_one(field: str, watched: Any) -> None:
    rest = {"datapoints": "3 of 3", "threshold": "> 2", "missing": "not_breaching"}
    alarm = {**watched, **rest, "of": "new_version", field: "old_version"}
    given = data(**deepcopy(WORSE), rollout__alarms=["watch"], alarms={"watch": alarm})
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_dict(given)
    (problem,) = caught.value.problems
    assert f"alarms.watch.{field}: unknown field; metric maths compare one version with another" in problem
    told = re.split("statistic and of write ", problem)[1]
    given["alarms"] = {"watch": {**yaml.safe_load(f"{{{told}}}"), **rest}}
    assert simulate(Scenario.from_dict(given), "canary").outcome == "rolled_back"
    given["function"]["versions"]["2"] = {"like": "1"}
    assert simulate(Scenario.from_dict(given), "canary").outcome == "promoted"
