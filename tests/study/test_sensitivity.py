"""What is varied of a scenario's new version, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from builders import scenario

from rollout_sim.core import units
from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.sensitivity import sensitivity, severity_axis


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
    axis, value = severity_axis(given, coarse=False)
    labels = dict(zip(axis.values, axis.labels, strict=True))
    assert some <= set(axis.labels)
    assert sorted(axis.values) == list(axis.values)
    if own is None:
        assert value is None
    else:
        assert labels[value] == own
        assert "4%" not in axis.labels or "5%" not in axis.labels  # the file's value in place of its neighbour
        assert axis.applied(given, value) == given
    for level, label in labels.items():
        cell = axis.applied(given, level).function.versions["2"].faults
        assert len(cell) == len(faults) + (own is None) - (label == "0%")


@pytest.mark.parametrize(
    "fault", [{"errors": "4%", "onset": "1 min"}, {"crash": "5%"}, {"latency": "2x", "share": "10%"}]
)
def test_a_severity_is_what_the_file_would_say(fault: dict[str, str]) -> None:
    """As if the text of the fault had been edited, and everything else about it left alone."""
    given = scenario(function__versions__2={"like": "1", "faults": [fault]})
    axis, _ = severity_axis(given, coarse=False)
    kind = next(iter(fault))
    for value, label in zip(axis.values[1:], axis.labels[1:], strict=True):
        written = scenario(function__versions__2={"like": "1", "faults": [{**fault, kind: label}]})
        assert axis.applied(given, value) == written


def test_the_files_own_severity_gives_the_comparisons_figures() -> None:
    result = sensitivity(scenario(), None, 300)
    assert (result.described, result.described_label) == (0.2, "20%")
    stopped = {
        (row["severity"], row["strategy"]): row["mean"] for row in result.swept.rows if row["estimate"] == "stopped"
    }
    assert stopped["0%", "canary"] < 0.05
    assert stopped["20%", "canary"] > 0.9
    assert result.recommended is None


def test_nothing_is_written_as_text_to_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given = scenario()

    def refuse(*_: object) -> None:
        raise AssertionError("text")

    monkeypatch.setattr(units, "parse", refuse)
    monkeypatch.setattr(Scenario, "parse", refuse)
    monkeypatch.setattr(YamlDocument, "__init__", refuse)
    assert len(sensitivity(given, given, 20).swept.cells) > 8


def test_without_a_new_version_there_is_nothing_to_vary() -> None:
    with pytest.raises(ScenarioError, match="severities need a new version"):
        severity_axis(scenario(rollout=None, strategies=None, alarms=None), coarse=False)
