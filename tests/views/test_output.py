"""The files of each kind of result: which they are, that pictures show something, and all of them or none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from builders import data, scenario

from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.run.simulate import simulate_each
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare
from rollout_sim.study.recommend.search import recommend
from rollout_sim.study.sweep import sweep
from rollout_sim.views import output
from rollout_sim.views.output import Result, to_json, write

mpl.use("Agg")
DOCUMENT = YamlDocument(data=data(), lines={}, path=Path("test.yaml"))
EASY = {"catch": {"at_least": "1%", "of": {"error_rate": "50%"}}}
FILES = {
    "run": [
        "summary.csv", "timeline.csv", "alarms.csv", "history.csv", "traffic.png", "error_budget.png", "burn_rate.png",
        "recipe.json",
    ],
    "comparison": ["estimates.csv", "replications.csv", "comparison_recipe.json", "comparison.png"],
    "sweep": ["sweep.csv", "sweep_recipe.json", "heat_maps.png", "power.png", "trade_off.png"],
    "recommendation": [
        "contenders.csv", "recommended.yaml", "recommendation_recipe.json", "pareto.png", "recommended_power.png",
    ],
}  # fmt: skip
FIGURES = (
    "strategy rolled_back promoted time_to_rollback_s time_to_full_s requests bad_requests bad_requests_new_version "
    "budget_spent cold_starts throttles users_affected"
)
KEYS: dict[str, tuple[Any, ...]] = {
    "run": (
        "scenario seed replications engine engine_reason strategies",
        ("strategies", f"{FIGURES} outcome versions"),
    ),
    "comparison": (
        "scenario seed replications engine engine_reason strategies",
        ("strategies", FIGURES),
    ),
    "sweep": (
        "scenario seed axes cells", ("cells", "percent severity strategy rolled_back false_rollback budget_spent"),
        ("axes", "name path values"),
    ),
    "recommendation": (
        "scenario seed engine engine_reason decided winner figures limits contenders alternatives advice notes",
        ("winner", "strategy alarm plan"), ("limits", "limit estimate kept"),
        ("figures", "caught false_rollback bad_requests_added budget_p95 time_to_full_s"),
    ),
}  # fmt: skip
"""The keys of the JSON of each kind of result that programs may rely on: at the top level, then within its parts."""


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    given = scenario()
    return {
        "run": list(simulate_each(given)),
        "comparison": compare(given, 30),
        "sweep": sweep(DOCUMENT, ["percent=5,25", "severity=0%,20%"], 20),
        "recommendation": recommend(scenario(goal=EASY), keep_alarms=True),
    }


def ink(path: Path) -> float:
    """The share of a picture's pixels that are not nearly white."""
    pixels: Any = plt.imread(path)
    return float((pixels[..., :3] < 0.8).any(axis=-1).mean())


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.slow
def test_the_files_of_a_result(kind: str, results: dict[str, Result], tmp_path: Path) -> None:
    files = write(results[kind], tmp_path / "made")
    assert [file.name for file in files] == FILES[kind]
    assert {file.name for file in (tmp_path / "made").iterdir()} == set(FILES[kind])
    figure, _ = plt.subplots(figsize=(13, 6))
    figure.savefig(tmp_path / "blank.png")
    plt.close(figure)
    blank = ink(tmp_path / "blank.png")
    for file in files:
        assert file.stat().st_size > 100
        if file.suffix == ".png":
            assert ink(file) > 3 * blank, file.name
    assert not plt.get_fignums()


@pytest.mark.slow
def test_pictures_have_the_format_that_is_asked_for_and_others_go(results: dict[str, Result], tmp_path: Path) -> None:
    write(results["comparison"], tmp_path)
    files = write(results["comparison"], tmp_path, "svg")
    assert (tmp_path / "comparison.svg") in files
    assert not (tmp_path / "comparison.png").exists()


@pytest.mark.slow
def test_what_fails_halfway_leaves_the_folder_as_it_was(
    results: dict[str, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweep.csv").write_text("old")

    def broken(_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(output, "power_figure", broken)
    with pytest.raises(OSError, match="no room"):
        write(results["sweep"], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["sweep.csv"]
    assert (tmp_path / "sweep.csv").read_text() == "old"


@pytest.mark.slow
def test_tables_hold_the_results_numbers(results: dict[str, Result], tmp_path: Path) -> None:
    compared = results["comparison"]
    write(compared, tmp_path)
    table = pd.read_csv(tmp_path / "replications.csv").query("version == 'good' and strategy == 'canary'")
    np.testing.assert_array_equal(table["bad_requests"], compared.twin.columns["canary"]["bad_requests"])  # type: ignore[union-attr]
    write(results["recommendation"], tmp_path)
    chosen = Scenario.load(tmp_path / "recommended.yaml")
    assert list(chosen.strategies) == [results["recommendation"].winner.name]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.slow
def test_the_json_of_a_result(kind: str, results: dict[str, Result]) -> None:
    printed = to_json(results[kind])
    assert printed["scenario"] == "small"
    assert set(json.loads(json.dumps(printed, allow_nan=False))) == set(printed)
    top, *inner = KEYS[kind]
    assert set(top.split()) <= set(printed)
    for part, keys in inner:
        entry = printed[part][0] if isinstance(printed[part], list) else printed[part]
        assert set(keys.split()) <= set(entry), part


@pytest.mark.slow
def test_the_json_of_a_recommendation_says_the_same_at_the_top_and_below(results: dict[str, Result]) -> None:
    printed, found = to_json(results["recommendation"]), results["recommendation"]
    best = printed["confirmed"][0]
    assert printed["figures"] == {name: best[name] for name in printed["figures"]}
    assert [best, *printed["alternatives"]] == printed["confirmed"]
    assert printed["winner"]["strategy"] == printed["strategy"]
    plan = printed["winner"]["plan"]
    assert plan["steps"][-1]["weight"] == 1
    assert plan["length_s"] == found.winner.plan.length  # type: ignore[union-attr]
    assert printed["notes"] == list(found.notes)  # type: ignore[union-attr]
    none = to_json(replace(found, winner=None))  # type: ignore[type-var]
    assert (none["winner"], none["figures"]) == (None, None)
    assert none["alternatives"] == printed["confirmed"]


@pytest.mark.slow
def test_the_json_of_a_sweep_has_a_cell_for_each_point_and_strategy(results: dict[str, Result]) -> None:
    swept = results["sweep"]
    printed = to_json(swept)
    assert [axis["name"] for axis in printed["axes"]] == ["percent", "severity"]
    points = [(cell["percent"], cell["severity"]) for cell in printed["cells"]]
    assert "strategies are paired by their arrivals only" not in printed["approximations"]  # there is one strategy
    assert any("no `lag` is given for errors" in note for note in printed["approximations"])
    assert points == [(5, 0.0), (5, 0.2), (25, 0.0), (25, 0.2)]
    frame = swept.frame.set_index(["percent", "severity", "estimate"])["mean"]  # type: ignore[union-attr]
    assert printed["cells"][3]["stopped"]["mean"] == frame["25", "20%", "stopped"]
    assert printed["cells"][3]["false_rollback"]["mean"] == frame["25", "20%", "good_version_stopped"]


def test_what_has_no_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="int has no files"):
        write(5, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int has no JSON"):
        to_json(5)
