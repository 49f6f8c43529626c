"""Every shipped scenario opens with a question, loads, resolves, round-trips and runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rollout_sim.run.simulate import simulate, simulate_each
from rollout_sim.scenario.json_schema import json_schema
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.views.output import to_json, write

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))
assert FILES
OUTCOMES = {"promoted", "rolled_back", "failed", "blocked", "running", "steady"}


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_scenario_opens_with_its_question_and_round_trips(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Question: ")
    assert "\n# Answer: " in text
    scenario = Scenario.load(path)
    assert str(FOLDER) not in str(scenario.dump())
    again = yaml.safe_load(yaml.safe_dump(scenario.dump(), sort_keys=False))
    assert Scenario.from_dict(again, path=path) == scenario


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_scenario_runs_and_writes_its_files(path: Path, tmp_path: Path) -> None:
    scenario = Scenario.load(path)
    chosen = list(scenario.strategies)[-1:]
    results = list(simulate_each(scenario, chosen))
    written = {file.name for file in write(results, tmp_path)}
    assert written >= {
        "summary.csv",
        "timeline.csv",
        "alarms.csv",
        "history.csv",
        "error_budget.png",
        "burn_rate.png",
        "traffic.png",
    }
    document = json.loads(json.dumps(to_json(results), allow_nan=False))
    (entry,) = document["strategies"]
    assert entry["outcome"] in OUTCOMES
    assert set(entry["budget_spent"]) == {slo.name for slo in scenario.slos}
    assert entry["requests"] > 0
    for name in ("summary.csv", "timeline.csv"):
        assert len((tmp_path / name).read_text(encoding="utf-8").splitlines()) > 1


def test_the_schema_names_every_field_of_the_top_level() -> None:
    schema = json_schema()
    assert set(schema["properties"]) >= {
        "name",
        "function",
        "traffic",
        "slos",
        "alarms",
        "rollout",
        "strategies",
        "incident",
        "on_call",
    }
    json.dumps(schema)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "strategy", "told"),
    [
        ("orders-queue", "instant", ("a backlog of {backlog_at_rollback}", "takes {drain_time_s:.0f} s", "{records_lost} orders")),
        ("managed-instances", "SAM default", ("{throttles:,} are throttled in 8 min",)),
        ("managed-instances", "linear 10%", ("({throttles} request is throttled)",)),
        ("ledger-stream", "SAM default", ("{records_bad:,} of {records:,} entries", "{versions[2][errors]:,} errors")),
    ],
)  # fmt: skip
def test_the_answers_are_what_comes_out(stem: str, strategy: str, told: tuple[str, ...]) -> None:
    path = FOLDER / f"{stem}.yaml"
    summary = simulate(Scenario.load(path), strategy).summary
    summary["versions"] = {int(number): version for number, version in summary["versions"].items()}
    answer = " ".join(
        line.removeprefix("# ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    )
    for sentence in told:
        assert sentence.format(**summary) in answer
