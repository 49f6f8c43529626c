"""A scenario from plain data, its files read once, and what is made from it again."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import BASE, data, scenario, steady

from rollout_sim import compare, simulate
from rollout_sim.core.minutes import moment_of
from rollout_sim.core.yaml_io import read_yaml, to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import Fault
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Deployment
from rollout_sim.study.sweep import sweep

TRACE = {"file": "t.csv", "layout": "counts", "repeat": True}
EMPIRICAL = {"empirical": {"file": "ms.csv", "unit": "ms"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scenario that reads a trace and a sample of durations, which its second version inherits."""
    (tmp_path / "t.csv").write_text("120\n0\n300\n")
    (tmp_path / "ms.csv").write_text("80\n120\n90\n")
    (tmp_path / "s.yaml").write_text(to_yaml(reading()))
    return tmp_path


def reading(**changes: Any) -> dict[str, Any]:
    traffic = [{"source": "http", "alias": "prod", "arrivals": {"trace": TRACE}}]
    return data(traffic=traffic, function__versions__1__duration=EMPIRICAL, **changes)


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each CSV file of `folder` was opened."""
    counts: Counter[str] = Counter()
    original = Path.open

    def counting(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.suffix == ".csv" and path.parent == folder:
            counts[path.name] += 1
        return original(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", counting)
    return counts


ONCE = {"t.csv": 1, "ms.csv": 1}


def test_files_are_read_once_and_when_the_scenario_is_loaded(folder: Path, opened: Counter[str]) -> None:
    loaded = Scenario.load(folder / "s.yaml")
    assert opened == ONCE
    for replication in range(3):
        simulate(loaded, "canary", replication=replication)
    compare(loaded, 3)
    compare(replace(loaded, seed=2), 3, engine="simpy")
    loaded.dump()
    assert opened == ONCE


def test_the_cells_of_a_sweep_share_what_was_read(folder: Path, opened: Counter[str]) -> None:
    document = read_yaml(folder / "s.yaml")
    cells = sweep(document, ["percent=5,10,20"], 2).cells
    assert len({id(cell.scenario.traffic[0].arrivals.trace.recording) for cell in cells}) == 1
    assert opened["ms.csv"] == 1


@pytest.mark.slow
def test_a_scenario_keeps_what_it_read_on_the_way_to_another_process(folder: Path) -> None:
    loaded = Scenario.load(folder / "s.yaml")
    (folder / "t.csv").unlink()
    (folder / "ms.csv").unlink()
    copy = pickle.loads(pickle.dumps(loaded))
    assert copy == loaded
    assert copy.traffic[0].arrivals.trace.recording.counts.tolist() == [120, 0, 300]
    assert simulate(copy, "canary").summary == simulate(loaded, "canary").summary
    alone, together = (compare(loaded, 4, engine="simpy", jobs=jobs).columns["canary"] for jobs in (1, 2))
    assert all(np.array_equal(alone[key], together[key], equal_nan=True) for key in alone)


def test_what_was_read_is_neither_compared_nor_dumped_nor_shown(folder: Path) -> None:
    loaded = Scenario.load(folder / "s.yaml")
    trace = loaded.traffic[0].arrivals.trace
    assert loaded.dump()["traffic"][0]["arrivals"] == {"trace": TRACE}
    assert "recording" not in repr(trace)
    assert replace(trace) == trace
    with pytest.raises(ValueError, match="read-only"):
        trace.recording.counts[0] = 1


def test_plain_data_is_read_as_a_file_is(folder: Path) -> None:
    loaded = Scenario.load(folder / "s.yaml")
    assert Scenario.from_dict(reading(), path=folder / "s.yaml") == loaded
    assert Scenario.from_dict(loaded.dump(), path=folder / "s.yaml") == loaded


def test_plain_data_may_hold_tuples_and_numbers_as_keys() -> None:
    given = data()
    given["function"]["versions"] = {int(number): spec for number, spec in given["function"]["versions"].items()}
    given["traffic"] = tuple(given["traffic"])
    assert Scenario.from_dict(given) == scenario()


def test_plain_data_is_left_as_it_is() -> None:
    given = data()
    Scenario.from_dict(given)
    assert given == BASE


def test_mistakes_in_plain_data_name_its_path_and_all_of_them() -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_dict(data(horizon="20", function__timeout="x"), path="api")
    assert [problem.split(": ")[:2] for problem in caught.value.problems] == [
        ["api:1", "function.timeout"],
        ["api:1", "horizon"],
    ]


def test_files_are_looked_for_beside_the_path_of_plain_data(folder: Path) -> None:
    with pytest.raises(ScenarioError, match=r"traffic\[0\]: .*elsewhere/t.csv: cannot be read"):
        Scenario.from_dict(reading(), path=folder / "elsewhere" / "s.yaml")


def test_a_deployment_says_what_is_rolled_out() -> None:
    rollout = {"alias": "prod", "to": "2", "start": "5 min", "alarms": ["errors"], "revert": "9 s"}
    promotions = [{"at": "1 min", "alias": "prod", "to": "3"}]
    given = scenario(rollout=rollout, promotions=promotions, function__versions__3={"like": "1"})
    assert given.deployment == Deployment(alias="prod", old="3", new="2", start=300.0, revert=9.0, alarms=("errors",))


def test_without_a_rollout_there_is_no_deployment() -> None:
    with pytest.raises(ScenarioError, match="small: rollout: there is none"):
        _ = steady().deployment


def test_other_faults_take_the_place_of_a_versions_own() -> None:
    given = scenario(incident={"latency": "2x"})
    changed = given.with_faults("2", [Fault(crash=0.1)])
    assert changed == scenario(
        incident={"latency": "2x"}, function__versions__2={"like": "1", "faults": [{"crash": "10%"}]}
    )
    with pytest.raises(ScenarioError, match="small: there is no version '7'; allowed 1, 2"):
        given.with_faults("7", [])


def test_users_of_all_sources_together_fit_into_memory() -> None:
    source = data()["traffic"][0] | {"users": {"count": 30_000_000}}
    with pytest.raises(ScenarioError, match="traffic: has 60,000,000 users in all; allowed 50,000,000"):
        Scenario.from_dict(data(traffic=[source, source]))


def dated(folder: Path, **trace: Any) -> Scenario:
    """A recording of four minutes with 10, 20, 30 and 40 requests, from 14:00 on, and a rollout that begins a minute in."""
    rows = "".join(f"2026-11-24T14:0{k}:00Z,{10 * (k + 1)}\n" for k in range(4))
    (folder / "counts.csv").write_text("time,invocations\n" + rows, encoding="utf-8")
    arrivals = {"trace": {"file": "counts.csv", "layout": "counts", **trace}}
    changes: dict[str, Any] = {
        "traffic": [{"source": "http", "alias": "prod", "arrivals": arrivals}],
        "horizon": "3 min",
        "rollout__start": "1 min",
    }
    return Scenario.from_dict(data(**changes), path=folder / "s.yaml")


def test_a_rollout_at_a_moment_meets_the_traffic_of_that_moment(tmp_path: Path) -> None:
    later = dated(tmp_path).at(moment_of("2026-11-24 14:02"))
    trace = later.traffic[0].arrivals.trace
    assert trace is not None
    assert trace.recording.per_period.tolist() == [20, 30, 40]
    assert Scenario.from_dict(later.dump(), path=tmp_path / "s.yaml") == later
    again = dated(tmp_path, repeat=True).at(moment_of("2026-11-24 14:03")).traffic[0].arrivals.trace
    assert again is not None
    assert again.recording.per_period.tolist() == [30, 40, 10, 20]


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("2026-11-24 14:00", "2026-11-24 13:59 is not recorded; allowed 2026-11-24 14:00 to 2026-11-24 14:04"),
        ("2026-11-24 14:02:30", "cannot begin within a period of 60 s"),
    ],
)
def test_a_moment_without_recorded_traffic_is_refused(tmp_path: Path, moment: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        dated(tmp_path).at(moment_of(moment))


def test_the_time_of_day_moves_the_peak_and_constant_traffic_knows_none() -> None:
    daily = {"diurnal": {"mean": "5/s", "amplitude": "50%", "peak": "14 h"}}
    given = scenario(traffic=[{"source": "http", "alias": "prod", "arrivals": daily}])
    swing = given.at(moment_of("2026-11-24 10:05")).traffic[0].arrivals.diurnal  # the rollout begins 5 min in
    assert swing is not None
    assert swing.peak == 4 * 3600.0
    with pytest.raises(ScenarioError, match="no moment differs from another"):
        scenario().at(moment_of("2026-11-24 10:05"))
