"""The command line as a person meets it: output, files, exit status, and messages instead of tracebacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from builders import data

COMMAND = [sys.executable, "-m", "rollout_sim.cli"]


def call(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(data(), sort_keys=False))
    return path


def test_run_prints_a_table_and_writes_into_results(small: Path) -> None:
    done = call("run", small, cwd=small.parent)
    assert done.returncode == 0, done.stderr
    for word in ("instant", "canary", "linear", "rolled back", "budget spent", "availability"):
        assert word in done.stdout
    summary = pd.read_csv(small.parent / "results" / "small" / "summary.csv")
    assert list(summary["strategy"]) == ["instant", "canary", "linear"]
    timeline = pd.read_csv(small.parent / "results" / "small" / "timeline.csv")
    per_strategy = timeline.groupby("strategy")["requests"].sum()
    assert summary.set_index("strategy")["requests"].to_dict() == per_strategy.to_dict()


def test_json_is_one_document_and_nothing_else(small: Path) -> None:
    done = call("run", small, "--json", "--strategy", "canary", "--seed", "3", "--out", "o", cwd=small.parent)
    document = json.loads(done.stdout)
    assert (document["scenario"], document["seed"], document["engine"]) == ("small", 3, "simpy")
    (entry,) = document["strategies"]
    keys = {
        "strategy", "outcome", "rolled_back", "promoted", "time_to_rollback_s", "time_to_full_s", "requests", "bad_requests",
        "bad_requests_new_version", "budget_spent", "cold_starts", "throttles", "users_affected", "versions",
    }  # fmt: skip
    assert keys <= set(entry)
    assert {"invocations", "errors", "cold_starts", "cold_start_probability", "environments", "running", "idle"} == set(
        entry["versions"]["1"]
    )


def test_events_writes_every_invocation(small: Path) -> None:
    call("run", small, "--strategy", "canary", "--events", "--out", "o", cwd=small.parent)
    events = pd.read_csv(small.parent / "o" / "events.csv")
    timeline = pd.read_csv(small.parent / "o" / "timeline.csv")
    assert len(events) == timeline["invocations"].sum() + timeline["throttles"].sum()


def test_the_same_seed_writes_the_same_bytes(small: Path) -> None:
    for out in ("a", "b"):
        call("run", small, "--out", out, cwd=small.parent)
    names = sorted(path.name for path in (small.parent / "a").iterdir())
    assert len(names) == 8
    for name in names:
        assert (small.parent / "a" / name).read_bytes() == (small.parent / "b" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.yaml"], "none.yaml"),
        (["run"], "Missing argument 'SCENARIO'"),
        (["run", "small.yaml", "--strategy", "canari"], "got 'canari'; allowed instant, canary, linear"),
        (["run", "small.yaml", "--seed", "-1"], "-1"),
        (["run", "small.yaml", "--out", "small.yaml"], "small.yaml"),
        (["run", "small.yaml", "--out", "small.yaml/below"], "small.yaml"),
        (["run", "broken.yaml"], "broken.yaml:1: "),
        (["run", "."], ""),
        (["rum"], "rum"),
        (["validate"], "Missing argument"),
        (["validate", "small.yaml", "broken.yaml"], "broken.yaml:1: "),
    ],
)
def test_wrong_input_is_status_2_one_message_and_nothing_written(
    small: Path, arguments: list[str], message: str
) -> None:
    (small.parent / "broken.yaml").write_text("nam: x\n")
    done = call(*arguments, cwd=small.parent)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (small.parent / "results").exists()


def test_validate_and_schema(small: Path) -> None:
    assert call("validate", small, cwd=small.parent).stdout.strip() == f"{small}: valid"
    resolved = yaml.safe_load(call("validate", small, "--resolved", cwd=small.parent).stdout)
    assert resolved["function"]["versions"]["2"]["error_rate"] == "1%"
    assert json.loads(call("schema", cwd=small.parent).stdout)["title"] == "Scenario"


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_an_interrupt_keeps_what_was_finished(small: Path) -> None:
    slow = data(horizon="12 h", traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "100/s"}}])
    small.write_text(yaml.safe_dump(slow))
    with subprocess.Popen(
        [*COMMAND, "run", str(small)], cwd=small.parent, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors


def test_help_comes_without_the_heavy_libraries() -> None:
    heavy = ["numpy", "pandas", "matplotlib", "simpy", "scipy", "pydantic"]
    script = f"import sys, rollout_sim.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "serves [/api/v1]", "name": "[/x]"},
        {"strategies": {"a [/b] $_$": {"type": "all_at_once"}}, "slos": [{"name": "$_$", "objective": "99%"}]},
    ],
)
def test_names_that_look_like_markup_are_printed_as_they_stand(changes: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump(data(horizon="6 min", **changes)))
    done = call("run", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("[/api/v1]", "[/x]") if "name" in changes else ("a [/b] $_$", "$_$"):
        assert text in done.stdout


@pytest.mark.parametrize(
    "changes",
    [
        {"function__aliases": {"2024": "1"}, "rollout__alias": "2024"},
        {"horizon": "1e9999999999999999999 ms"},
        {"horizon": "1e-9999999999999999999 ms"},
    ],
)
def test_odd_input_is_one_message(changes: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump(data(**changes)))
    done = call("run", path, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "got" in done.stderr
