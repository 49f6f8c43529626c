"""Axes: any field by its path, and the three that have names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import data, scenario

from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.grid import Axis, axis, chosen_axes, document_at, read_values
from rollout_sim.study.sweep import sweep


def document(**changes: Any) -> YamlDocument:
    return YamlDocument(data=data(**changes), lines={}, path=Path("test.yaml"))


def cell(given: YamlDocument, *texts: str, **named: str) -> Scenario:
    """The scenario at the last value of every axis."""
    changed, axes = chosen_axes(given, axes=texts, **named)  # type: ignore[arg-type]
    return sweep(changed, axes, 1).cells[-1].scenario


def test_fields_are_reached_through_names_numbers_and_dots() -> None:
    dotted = document(alarms={"a.b": {"metric": "errors", "threshold": "> 1"}}, rollout__alarms=["a.b"])
    assert cell(dotted, "alarms.a.b.threshold=> 0,> 2").alarms["a.b"].limit == 2
    assert cell(document(), "traffic[0].arrivals.poisson=5/s,9/s").traffic[0].arrivals.poisson == 9
    assert cell(document(), "traffic.0.arrivals.poisson=7/s").traffic[0].arrivals.poisson == 7
    assert cell(document(), "function.versions.2.error_rate=3%").function.versions["2"].error_rate == 0.03


def test_a_field_left_at_its_default_can_be_varied() -> None:
    assert cell(document(), "alarms.errors.lag=0 s,60 s").alarms["errors"].lag == 60


def test_values_are_numbers_truths_or_text() -> None:
    assert read_values("1, 2.5,true,5m,> 0, 5m") == (1, 2.5, True, "5m", "> 0")


def test_percentages_and_intervals_vary_one_strategy() -> None:
    given = cell(document(), percent="1,2%,25", interval="5m,10m")
    assert {name: (one.percent, one.interval) for name, one in given.strategies.items()} == {"canary": (0.25, 600)}
    linear, (percent,) = chosen_axes(document(), percent="10,50", strategies=["linear"])
    assert isinstance(percent, Axis)
    assert Scenario.parse(document_at(linear, [percent], [50])).strategies["linear"].interval == 120


def test_without_a_canary_there_is_a_new_one() -> None:
    given = cell(document(strategies={"instant": {"type": "all_at_once"}}), percent="5")
    assert (given.strategies["canary"].percent, given.strategies["canary"].interval) == (0.05, 600)


def test_severity_is_the_error_rate_of_the_fault_and_zero_is_none() -> None:
    assert cell(document(), severity="1%,7%").function.versions["2"].faults[0].errors == 0.07
    assert cell(document(), severity="7%,0%").function.versions["2"].faults == ()
    plain = cell(document(function__versions__2={"like": "1"}), severity="7%")
    assert plain.function.versions["2"].faults[0].errors == 0.07
    slow = document(function__versions__2={"like": "1", "faults": [{"latency": "2x"}, {"errors": "1%"}]})
    assert [fault.kind for fault in cell(slow, severity="0%").function.versions["2"].faults] == ["latency"]


def test_the_fault_that_a_severity_adds_has_fields_to_vary() -> None:
    plain = document(function__versions__2={"like": "1"})
    given = cell(plain, "function.versions.2.faults[0].onset=1 min,2 min", severity="1%,7%")
    (fault,) = given.function.versions["2"].faults
    assert (fault.errors, fault.onset) == (0.07, 120)


def test_a_file_is_read_once_for_all_severities(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[YamlDocument] = []
    parse = Scenario.parse
    monkeypatch.setattr(Scenario, "parse", lambda given: read.append(given) or parse(given))
    changed, axes = chosen_axes(document(), axes=["horizon=8 min,9 min"], severity="0%,1%,2%,5%")
    assert len(sweep(changed, axes, 1).cells) == 8
    assert len(read) == 2


def test_the_document_itself_stays_as_it_is() -> None:
    given = document()
    cell(given, "horizon=15 min", percent="1", severity="0%")
    assert given.data == data()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alarms.error.lag=1 s", "alarms has no 'error'; did you mean 'errors'?"),
        ("traffic.1.alias=prod", "traffic has no '1'"),
        ("horizon", "got 'horizon'; allowed PATH=VALUE"),
        ("horizon=", "allowed PATH=VALUE"),
        ("seed.x=1", "seed has no 'x'"),
    ],
)
def test_paths_that_lead_nowhere(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        axis(document(), text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"severity": "5"}, "needs a unit"),
        ({"severity": "1%,150%"}, "from 0% to 100%, got 150%"),
        ({"percent": "5", "strategies": ["instant"]}, "'instant' has no percent and interval"),
        ({"percent": "5", "strategies": ["linear", "canary"]}, "vary one strategy, got 2"),
    ],
)
def test_words_that_make_no_sense(named: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        chosen_axes(document(), **named)


@pytest.mark.parametrize(
    "axes",
    [
        ["traffic[0].arrivals=5", "traffic[0].arrivals.poisson=1/s"],
        ["traffic=5", "traffic[0].alias=prod"],
        ["function.versions.2.faults=5", "severity=1%"],
        ["function.versions=5", "severity=1%"],
    ],
)
def test_an_axis_that_another_one_takes_away_is_refused(axes: list[str], small: Path) -> None:
    with pytest.raises(ScenarioError, match="sweep: with "):
        sweep(small, axes, 5)


def test_axes_may_be_a_mapping_and_the_source_a_scenario() -> None:
    values = {"percent": [1, 5], "severity": ["0%", "20%"], "alarms.errors.lag": ["0 s", "1 min"]}
    texts = [f"{name}={','.join(map(str, given))}" for name, given in values.items()]
    document = YamlDocument(data=data(), lines={}, path=Path("test.yaml"))
    swept = sweep(scenario(), values, 10)
    assert swept.rows == sweep(document, texts, 10).rows == sweep(document, values, 10).rows
    # A value may be what no text can be: a list, a mapping.
    faults = [[{"errors": "1%"}], [{"errors": "1%"}, {"latency": "2x"}]]
    swept = sweep(scenario(), {"function.versions.2.faults": faults}, 10, ["instant"])
    assert [len(cell.scenario.function.versions["2"].faults) for cell in swept.cells] == [1, 2]


def test_a_scenario_takes_its_trace_along_and_says_that_it_cannot_its_samples(tmp_path: Path) -> None:
    (tmp_path / "minutes.csv").write_text("300\n" * 20)
    arrivals = {"trace": {"file": "minutes.csv", "layout": "counts"}}
    traffic = [{"source": "http", "alias": "prod", "arrivals": arrivals}]
    traced = Scenario.from_dict(data(traffic=traffic), path=tmp_path / "test.yaml")
    assert len(sweep(traced, {"percent": [1, 5]}, 10).cells) == 2
    (tmp_path / "times.csv").write_text("0.1\n0.2\n")
    sampled = data(function__versions__1={"duration": {"empirical": {"file": "times.csv"}}})
    with pytest.raises(ScenarioError, match="allowed the file's path"):
        sweep(Scenario.from_dict(sampled, path=tmp_path / "test.yaml"), {"percent": [1, 5]}, 10)


def test_more_cells_than_memory_holds_are_refused_before_they_are_made() -> None:
    with pytest.raises(ScenarioError, match="200000 cells; allowed 50000"):
        sweep(scenario(), {"seed": range(200_000)}, 1)
    with pytest.raises(ScenarioError, match="40000 cells of 3 strategies; allowed 16666 cells"):
        sweep(scenario(), {"seed": range(40_000)}, 1)
