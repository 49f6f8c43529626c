"""OpenSLO: what is imported loads; what cannot be, is left out in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import data

from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.formats import openslo
from rollout_sim.scenario.scenario import Scenario


def slo(window: str = "30d", metric: str = "ratioMetric", **objective: Any) -> dict[str, Any]:
    return {
        "apiVersion": openslo.VERSION, "kind": "SLO", "metadata": {"name": "a"},
        "spec": {
            "indicator": {"spec": {metric: {}}}, "timeWindow": [{"duration": window, "isRolling": True}],
            "objectives": [{"target": 0.99, **objective}],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        slo("1000001d"), slo("9" * 400 + "d"), slo(target=1e-30), slo(target=1.0), slo(target="2026-13-45"),
        slo(metric="thresholdMetric", op="lte", value=-1), slo(metric="thresholdMetric", op="lte", value="x"),
        slo(metric="thresholdMetric", op="lte", value=10**300), {"kind": 5}, slo(target=None),
    ],
)  # fmt: skip
def test_an_slo_that_no_scenario_takes_is_left_out(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "slos.yaml"
    path.write_text(to_yaml(document))
    with pytest.raises(ScenarioError, match="there is no SLO that can be read") as caught:
        openslo.read(path)
    assert len(caught.value.problems) >= 2
    path.write_text(to_yaml(document, slo()))
    entries, _ = openslo.read(path)
    assert len(Scenario.from_dict(data(slos=entries)).slos) == 1


@pytest.mark.parametrize("window", ["1 min", "90 min", "30 d", "4 d", "365 d"])
def test_a_window_that_is_exported_is_read_back(window: str, tmp_path: Path) -> None:
    given = Scenario.from_dict(data(slos=[{"name": "a", "objective": "99.9%", "window": window}]))
    path = tmp_path / "slos.yaml"
    path.write_text(openslo.export(given).text)
    entries, _ = openslo.read(path)
    assert Scenario.from_dict(data(slos=[{**entries[0], "alias": None}])).slos[0].window == given.slos[0].window
