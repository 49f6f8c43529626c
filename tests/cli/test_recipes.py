"""Recipes: run again, each makes every file again, byte by byte; one that cannot be run is one message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import data
from command import call

from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.views.recipe import named_files, read_recipe

RECIPES = {
    "run": "recipe.json",
    "compare": "comparison_recipe.json",
    "sweep": "sweep_recipe.json",
    "recommend": "recommendation_recipe.json",
}
COMMANDS = {
    "run": (("run",), {"strategies": ["instant", "canary", "linear"], "seed": 1, "engine": "auto", "events": False}),
    "run with choices": (
        ("run", "--strategy", "linear", "--strategy", "no rollout", "--seed", "9", "--engine", "simpy", "--events",
         "--format", "svg"),
        {"strategies": ["linear", "no rollout"], "seed": 9, "engine": "simpy", "events": True, "format": "svg"},
    ),
    "compare": (("compare", "--replications", "20"), {"replications": 20, "twin": True, "engine": "auto"}),
    "compare with choices": (
        ("compare", "--replications", "3", "--strategy", "linear", "--strategy", "canary", "--no-twin", "--seed", "5",
         "--engine", "simpy", "--format", "pdf"),
        {"strategies": ["linear", "canary"], "seed": 5, "engine": "simpy", "replications": 3, "twin": False,
         "format": "pdf"},
    ),
    "sweep of names": (
        ("sweep", "--percent", "5,10", "--interval", "5m", "--severity", "0%,1%", "--replications", "20"),
        {"replications": 20, "strategies": []},
    ),
    "sweep with choices": (
        ("sweep", "--replications", "5", "--axis", "seed=1,2", "--axis", "function.versions.1.error_rate=0.1%,1%",
         "--axis", "engine=simpy,auto", "--strategy", "canary", "--format", "svg"),
        {"seed": None, "engine": None, "replications": 5, "strategies": ["canary"], "format": "svg"},
    ),
    "recommend": (("recommend",), {"keep_alarms": False, "deploy_with": None}),
    "recommend with choices": (
        ("recommend", "--keep-alarms", "--codedeploy", "--seed", "3", "--engine", "aggregate", "--format", "svg",
         "--time", "2 s", "--precision", "0.3%"),
        {"time": 2.0, "precision": 0.003, "keep_alarms": True,
         "deploy_with": "codedeploy", "seed": 3, "engine": "aggregate", "format": "svg"},
    ),
}  # fmt: skip
"""The words of a command, and choices that its recipe holds."""


EASY = {"catch": {"at_least": "1%", "of": {"error_rate": "50%"}}}


def tree(folder: Path) -> dict[str, bytes]:
    """What every file below a folder holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_files(folder: Path) -> Path:
    """A scenario in `folder` that reads a trace and samples."""
    (folder / "traces").mkdir(parents=True)
    (folder / "traces" / "minutes.csv").write_text("count\n" + "300\n200\n" * 10)
    (folder / "durations.csv").write_text("0.1\n0.2\n0.05\n")
    path = folder / "replay.yaml"
    arrivals = {"trace": {"file": "traces/minutes.csv", "layout": "counts"}}
    changes: dict[str, Any] = {"function__versions__1__duration": {"empirical": {"file": "durations.csv"}}}
    changes["traffic"] = [{"source": "http", "alias": "prod", "arrivals": arrivals}]
    path.write_text(yaml.safe_dump(data(**changes), sort_keys=False))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "choices"),
    [
        pytest.param(*case, id=name, marks=[pytest.mark.long] if case[0][0] == "recommend" else [])
        for name, case in COMMANDS.items()
    ],
)
def test_a_recipe_makes_every_byte_again(words: tuple[str, ...], choices: dict[str, Any], small: Path) -> None:
    command, *options = words
    if command == "recommend":  # one that is found soon
        small.write_text(yaml.safe_dump(data(goal=EASY), sort_keys=False))
    first = call(command, small.name, *options, "--out", "a", cwd=small.parent)
    assert first.returncode == 0, first.stderr
    recipe = json.loads((small.parent / "a" / RECIPES[command]).read_text())
    assert {name: recipe[name] for name in choices} == choices
    small.unlink()
    again = call(command, "--recipe", f"a/{RECIPES[command]}", "--out", "b", cwd=small.parent)
    assert (again.returncode, again.stderr) == (0, "")
    made = tree(small.parent / "a")
    assert len(made) >= 3
    assert tree(small.parent / "b") == made


@pytest.mark.slow
def test_without_out_the_files_go_where_the_recipe_is(small: Path) -> None:
    call("run", small.name, "--out", "a", cwd=small.parent)
    made = tree(small.parent / "a")
    (small.parent / "a" / "summary.csv").unlink()
    done = call("run", "--recipe", "a/recipe.json", cwd=small.parent)
    assert (done.returncode, tree(small.parent / "a")) == (0, made)
    assert not (small.parent / "results").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("compare", "--replications", "4"),
        ("sweep", "--replications", "4", "--axis", "traffic[0].arrivals.trace.file=traces/minutes.csv,other.csv"),
    ],
    ids=lambda words: words[0],
)
def test_the_files_of_the_scenario_are_found_again(words: tuple[str, ...], tmp_path: Path) -> None:
    path = with_files(tmp_path / "scenarios")
    (path.parent / "other.csv").write_text("count\n" + "400\n" * 20)
    command, *options = words
    first = call(command, "scenarios/replay.yaml", *options, "--out", "a/b", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    recipe = json.loads((tmp_path / "a" / "b" / RECIPES[command]).read_text())
    assert recipe["folder"] == "scenarios"
    names = {"traces/minutes.csv", "durations.csv"} | ({"other.csv"} if command == "sweep" else set())
    assert set(recipe["files"]) == names
    again = call(command, "--recipe", f"a/b/{RECIPES[command]}", "--out", "c", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert tree(tmp_path / "c") == tree(tmp_path / "a" / "b")
    # Anywhere else they may lie beside the recipe.
    path.parent.rename(tmp_path / "elsewhere")
    (tmp_path / "a" / "b" / RECIPES[command]).rename(tmp_path / "elsewhere" / "r.json")
    beside = call(command, "--recipe", "elsewhere/r.json", "--out", "d", cwd=tmp_path)
    assert (beside.returncode, beside.stderr) == (0, "")
    assert tree(tmp_path / "d") == tree(tmp_path / "c")


def test_every_recorded_part_is_a_file_of_the_recipe(tmp_path: Path) -> None:
    """Of a scenario as it is written: a part whose file is unknown is looked for beside the recipe, and not found."""
    columns = "time,of,invocations,errors,throttles,duration_average_ms,duration_p50_ms,duration_p99_ms"
    rows = [f"2025-11-17T{k // 60:02}:{k % 60:02}:00Z,function,60,1,3,100,90,200\n" for k in range(120)]
    names = {"durations.csv", "errors.csv", "throttles.csv"}
    for name in names:
        (tmp_path / name).write_text(f"{columns}\n{''.join(rows)}")
    version = {"duration": {"minutes": "durations.csv"}, "error_rate": {"minutes": "errors.csv"}}
    content = data(function__versions__1=version, function__throttled={"minutes": "throttles.csv"})
    loaded = Scenario.from_dict(content, path=tmp_path / "s.yaml")
    parts = set(loaded.function.recorded())
    assert {where[-1] for where in parts} == {"duration", "error_rate", "throttled"}
    assert set(named_files(tmp_path, json.loads(json.dumps(loaded.dump())))["files"]) == names


@pytest.mark.slow
def test_a_file_that_is_missing_or_has_changed_is_said(tmp_path: Path) -> None:
    path = with_files(tmp_path / "scenarios")
    call("run", path.relative_to(tmp_path), "--out", "a", cwd=tmp_path)
    trace = path.parent / "traces" / "minutes.csv"
    trace.write_text("count\n" + "301\n200\n" * 10)
    changed = call("run", "--recipe", "a/recipe.json", "--out", "b", cwd=tmp_path)
    assert changed.returncode == 2
    assert "a/recipe.json: files: scenarios/traces/minutes.csv has changed, got SHA-256 " in changed.stderr
    assert changed.stderr.count("\n") == 1
    trace.unlink()
    missing = call("run", "--recipe", "a/recipe.json", "--out", "b", cwd=tmp_path)
    assert missing.returncode == 2
    allowed = "allowed scenarios/traces/minutes.csv or a/traces/minutes.csv, seen from the working directory"
    assert missing.stderr == f"a/recipe.json: files: traces/minutes.csv is missing; {allowed}\n"
    assert not (tmp_path / "b").exists()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The recipe of a run."""
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "s.yaml").write_text(yaml.safe_dump(data(), sort_keys=False))
    call("run", "s.yaml", "--strategy", "canary", "--out", ".", cwd=folder)
    written: dict[str, Any] = json.loads((folder / "recipe.json").read_text())
    return written


def changed(**changes: Any) -> Callable[[dict[str, Any]], str]:
    return lambda recipe: json.dumps(recipe | changes)


def without(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda recipe: json.dumps({key: value for key, value in recipe.items() if key != name})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda recipe: json.dumps(recipe)[:-9], "r.json:1: is damaged, not JSON: "),
        (lambda recipe: "", "r.json:1: is damaged, not JSON: Expecting value"),
        (lambda recipe: "[" * 100_000, "r.json:1: is damaged, not JSON: "),
        (lambda recipe: "\ud800", "r.json:1: is damaged, not JSON: "),
        (lambda recipe: json.dumps([recipe]), "r.json: is no recipe, got a list; allowed a mapping"),
        (
            lambda recipe: "{}",
            "r.json: is no recipe, got no command; allowed what run, compare, sweep, recommend, when, backtest write",
        ),
        (changed(command=["run"]), "r.json: is no recipe, got the command ['run']; allowed what run, "),
        (changed(command="compare"), "of another command, got 'compare'; rollout-sim compare --recipe runs it"),
        (without("scenario"), "r.json: scenario: got none; allowed a mapping of fields"),
        (changed(scenario=[]), "r.json: scenario: got something else; allowed a mapping of fields"),
        (without("seed"), "r.json: seed is missing"),
        (changed(seed=1.5), "r.json: seed: input should be a valid integer, got 1.5"),
        (changed(seed=-1), "r.json: seed: input should be greater than or equal to 0, got -1"),
        (changed(events=1), "r.json: events: input should be a valid boolean, got 1"),
        (changed(format="gif"), "r.json: format: input should be 'png', 'svg' or 'pdf', got 'gif'"),
        (changed(strategies="canary"), "r.json: strategies: input should be a valid array, got 'canary'"),
        (changed(twin=True), "r.json: twin is no choice of run; allowed strategies, seed, engine, events, format"),
    ],
)
def test_a_damaged_recipe_is_one_message(damage: Any, message: str, recipe: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(damage(recipe).encode("utf-8", "surrogatepass"))
    with pytest.raises(ScenarioError) as caught:
        read_recipe(path, "run")
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}")
    assert message in problem


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda recipe: "[1", "r.json:1: is damaged, not JSON: "),
        (changed(scenario={"name": "x"}), "r.json:1: function: "),
        (changed(strategies=["canry"]), "got 'canry'; allowed instant, canary, linear; did you mean 'canary'?"),
    ],
)
@pytest.mark.slow
def test_a_damaged_recipe_is_status_2_and_nothing_written(
    damage: Any, message: str, recipe: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "r.json").write_text(damage(recipe))
    done = call("run", "--recipe", "r.json", "--out", "o", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "axis",
    [
        {"path": ["functions", "timeout"]},
        {"path": ["strategies", 3, "percent"]},
        {"path": ["name", "x"]},
    ],
)
def test_an_axis_that_leads_nowhere_is_one_message(axis: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "sweep_recipe.json"
    choices: dict[str, Any] = {
        "strategies": [],
        "seed": None,
        "engine": None,
        "replications": 2,
        "twin": True,
        "format": "png",
    }
    choices["axes"] = [{"name": "x", "values": ["much"]} | axis]
    path.write_text(json.dumps({"command": "sweep", "scenario": data(), **choices}))
    with pytest.raises(ScenarioError, match=f"axes: x cannot set {axis['path'][0]}"):
        read_recipe(path, "sweep")


@pytest.mark.parametrize("command", RECIPES)
def test_scenario_and_recipe_exclude_each_other_and_so_do_choices(command: str, small: Path) -> None:
    both = call(command, small.name, "--recipe", "r.json", cwd=small.parent)
    assert both.returncode == 2
    assert "got both SCENARIO (small.yaml) and --recipe (r.json); allowed one of them" in both.stderr
    choice = call(command, "--recipe", "r.json", "--seed", "0", cwd=small.parent)
    assert choice.returncode == 2
    assert "a recipe holds every choice, got --seed beside it; allowed --out, --jobs" in choice.stderr
    missing = call(command, "--recipe", "r.json", cwd=small.parent)
    assert (missing.returncode, missing.stderr) == (2, "r.json: cannot be read: No such file or directory\n")


@pytest.mark.slow
def test_another_versions_recipe_is_run_with_a_remark(recipe: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(recipe | {"rollout_sim": "0.0.1"}))
    done = call("run", "--recipe", "r.json", "--json", "--out", "o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("note: r.json was written with rollout_sim 0.0.1, this is ")
    assert json.loads(done.stdout)["seed"] == recipe["seed"]
    assert json.loads((tmp_path / "o" / "recipe.json").read_text()) == recipe


def test_a_recipe_from_before_a_choice_has_none_of_it(tmp_path: Path) -> None:
    chosen = {"keep_alarms": False, "deploy_with": None, "seed": 3, "engine": "auto", "format": "png"}
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"command": "recommend", "scenario": data(), "rollout_sim": "0.0.1", **chosen}))
    later = dict.fromkeys(("time", "precision", "runs", "data", "minutes"))
    assert read_recipe(path, "recommend").choices == chosen | later
