"""Error rates that change: the aggregate plane draws the path first, and has then the distributions of the compiled plane.

Each comparison is one of `test_aggregate`'s, at its level; the compiled plane is the SimPy plane to the bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agreement.test_aggregate import FEW, LEVEL, alarm, counted, smallest_p
from builders import data

from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.run.batch import Batch, Samples, run_batch
from rollout_sim.scenario.scenario import Scenario

pytestmark = pytest.mark.long

SCATTERED: dict[str, Any] = {"mean": "4%", "dispersion": 0.05, "every": "1 min"}
SPELLS: dict[str, Any] = {"calm": "1%", "spells": "30%", "spell": "3 min", "every": "6 min"}
MINUTES = "time,of,invocations,errors\n" + "".join(
    f"2026-11-24T14:{k:02}:00Z,function,50,{errors}\n"
    for k, errors in enumerate([0, 0, 1, 20, 25, 15, 0, 2, 0, 0, 0, 9])
)
CASES: dict[str, tuple[Any, Any]] = {
    "scattered, and a fault": (SCATTERED, {"like": "1", "faults": [{"errors": "5%"}, {"hang": "2%"}]}),
    "scattered within odd spans": ({**SCATTERED, "every": "25 s"}, {"like": "1"}),
    "spells, of which the new version has more": (SPELLS, {"like": "1", "error_rate": {**SPELLS, "every": "3 min"}}),
    "spells that the new version does not have": (SPELLS, {"like": "1", "error_rate": "5%"}),
    "recorded minutes": ({"minutes": "minutes.csv"}, {"like": "1"}),
    "recorded minutes, drawn": ({"minutes": "minutes.csv", "draw": "blocks"}, {"like": "1"}),
}


def case(folder: Path, before: Any, after: Any) -> Scenario:
    (folder / "minutes.csv").write_text(MINUTES, encoding="utf-8")
    changes: dict[str, Any] = {
        **FEW, "function__versions__1__error_rate": before, "function__versions__1__cold_start": None,
        "function__versions__2": after, "alarms": alarm(threshold="> 4"),
        "slos": [{"name": "availability", "objective": "99%"}, {"name": "fast", "sli": {"latency": "400 ms"}, "objective": "90%"}],
        "strategies": {"tested": {
            "type": "canary", "percent": 30, "interval": "4 min", "bake": "2 min",
            "hooks": {"before_allow_traffic": {"invocations": 4, "over": "20 s", "max_failures": 1}}}},
    }  # fmt: skip
    return Scenario.from_dict(data(**changes), path=folder / "s.yaml")


def reference(given: Scenario) -> Samples:
    plane = EngineChoice(engine="compiled", reason="reference", batch=100)
    return run_batch(Batch(scenario=given, strategies=("tested",), plane=plane, seed=100, first=0, count=300))["tested"]


@pytest.mark.parametrize("name", CASES)
def test_the_aggregate_plane_agrees(tmp_path: Path, name: str) -> None:
    given = case(tmp_path, *CASES[name])
    assert choose_engine(given).engine == "aggregate"
    p, column = smallest_p(reference(given), counted(given, "tested"))
    assert p > LEVEL, f"{column}: p = {p:.2g}"


def test_the_comparison_would_notice(tmp_path: Path) -> None:
    """The same mean without the dispersion must turn it red."""
    scattered, even = (
        case(tmp_path, {**SCATTERED, "dispersion": 0.2}, {"like": "1"}),
        case(tmp_path, "4%", {"like": "1"}),
    )
    assert smallest_p(reference(scattered), counted(even, "tested"))[0] < LEVEL
