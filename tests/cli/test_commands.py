"""The command line as a person meets it: output, files, exit status, and messages instead of tracebacks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from builders import data
from click.testing import CliRunner
from command import COMMAND, call, hold

from rollout_sim.cli.main import app
from rollout_sim.planes import selection
from rollout_sim.run import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study import comparison, sweep
from rollout_sim.study.executor import run_all
from rollout_sim.study.recommend import problem, search
from rollout_sim.views.output import COMPARISON_FILES, RECOMMENDATION_FILES, RUN_FILES, SWEEP_FILES
from rollout_sim.views.report import build


def http(**arrivals: object) -> dict[str, object]:
    return {"source": "http", "alias": "prod", "arrivals": arrivals}


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_sweep_prints_one_document_too(small: Path) -> None:
    done = call("sweep", small, "--percent", "5,25", "--replications", "4", "--json", "--out", "o", cwd=small.parent)
    assert [cell["percent"] for cell in json.loads(done.stdout)["cells"]] == [5, 25]
    assert (small.parent / "o" / "sweep.csv").exists()


@pytest.mark.slow
def test_events_writes_every_invocation(small: Path) -> None:
    call("run", small, "--strategy", "canary", "--events", "--out", "o", cwd=small.parent)
    events = pd.read_csv(small.parent / "o" / "events.csv")
    timeline = pd.read_csv(small.parent / "o" / "timeline.csv")
    running = events["start_s"] + events["init_s"] + events["duration_s"] >= (20 - 5) * 60
    ended = timeline["invocations"].sum() + timeline["throttles"].sum()
    assert len(events) == ended + running.sum()


@pytest.mark.slow
def test_the_same_seed_writes_the_same_bytes(small: Path) -> None:
    for out, jobs in (("a", "1"), ("b", "2")):
        call("run", small, "--jobs", jobs, "--out", out, cwd=small.parent)
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
@pytest.mark.slow
def test_wrong_input_is_status_2_one_message_and_nothing_written(
    small: Path, arguments: list[str], message: str
) -> None:
    (small.parent / "broken.yaml").write_text("nam: x\n")
    done = call(*arguments, cwd=small.parent)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (small.parent / "results").exists()


@pytest.mark.slow
def test_validate_and_schema(small: Path) -> None:
    assert call("validate", small, cwd=small.parent).stdout.strip() == f"{small}: valid"
    resolved = yaml.safe_load(call("validate", small, "--resolved", cwd=small.parent).stdout)
    assert resolved["function"]["versions"]["2"]["error_rate"] == "1%"
    assert json.loads(call("schema", cwd=small.parent).stdout)["title"] == "Scenario"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_an_interrupt_keeps_what_was_finished(small: Path) -> None:
    small.write_text(yaml.safe_dump(data(horizon="40 min", traffic=[http(poisson="20/s")]), sort_keys=False))
    process = hold("done > 0.5", "run", small, "--engine", "simpy", "--jobs", "1", "--out", "o", cwd=small.parent)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == "interrupted: 1 of 3 strategies finished\n"
    assert list(pd.read_csv(small.parent / "o" / "summary.csv")["strategy"]) == ["instant"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["compare", "SMALL", "--jobs", "2", "--cluster", "tcp://x:1"], "--jobs counts processes of this machine"),
        (["run", "SMALL", "--explain", "canary", "--strategy", "linear"], "--strategy chooses what to run, and --exp"),
        (["run", "SMALL", "--explain", "canary", "--json"], "--json prints a document, and --explain a run in words"),
        (["recommend", "SMALL", "--codedeploy", "--deploy-with", "argo"], "--deploy-with argo exclude each other"),
        (["check", "SMALL", "--function", "Orders"], "--function is for templates, and none of the files is one"),
        (["check", "SMALL", "--parameter", "A=b"], "--parameter is for templates, and none of the files is one"),
        (["import", "sam", "SMALL", "--environment", "default"], "--environment chooses a part of the file of --param"),
        (["export", "openslo", "SMALL", "--strategy", "canary"], "--strategy chooses a rollout, of which OpenSLO says"),
        (["import", "cloudwatch", "SMALL", "--days", "14"], "--days is about what is asked of AWS, not about files"),
        (["import", "cloudwatch", "--function", "f", "--period", "1 h"], "--period is about files, and none is given"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words: list[str], why: str, small: Path) -> None:
    """Also with its default: whoever gives it means something."""
    done = CliRunner().invoke(app, [str(small) if word == "SMALL" else word for word in words])
    assert done.exit_code == 2
    assert why in " ".join(done.stderr.split())


def test_strict_is_about_the_second_of_two_files_too(small: Path) -> None:
    other = small.parent / "quiet.yaml"
    other.write_text(yaml.safe_dump(data(alarms__errors__threshold="> 100000")))
    done = CliRunner().invoke(app, ["compare", str(small), str(other), "--strict", "--out", str(small.parent / "o")])
    assert str(done.exception).startswith(f"{other}:")
    assert "> 100000 is never reached" in str(done.exception)
    assert not (small.parent / "o").exists()


def test_an_interrupt_ends_the_comparison_of_two_files(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done of the first has no pair."""
    begun = []

    def cut(work: Any, **named: Any) -> Iterator[Any]:
        begun.append(work)
        yield from run_all(work, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "run_all", cut)
    words = ["compare", str(small), str(small), "--replications", "4", "--out", str(small.parent / "o")]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, len(begun)) == (1, 1)
    assert not (small.parent / "o").exists()


def test_a_typo_in_a_strategys_name_finds_the_right_one(small: Path) -> None:
    done = call("run", small, "--strategy", "canry", cwd=small.parent)
    assert done.returncode == 2
    assert "did you mean 'canary'?" in done.stderr


@pytest.mark.slow
def test_what_an_earlier_run_left_goes_away(small: Path) -> None:
    call("run", small, "--strategy", "canary", "--events", "--out", "o", cwd=small.parent)
    assert (small.parent / "o" / "events.csv").exists()
    call("run", small, "--strategy", "canary", "--strategy", "canary", "--out", "o", cwd=small.parent)
    assert not (small.parent / "o" / "events.csv").exists()
    assert len(pd.read_csv(small.parent / "o" / "summary.csv")) == 1
    assert not [path for path in (small.parent / "o").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_events_that_do_not_fit_are_refused(small: Path) -> None:
    small.write_text(yaml.safe_dump(data(horizon="30 d", traffic=[http(poisson="90/s")])))
    done = call("run", small, "--events", cwd=small.parent)
    assert done.returncode == 2
    assert "too many to keep (--events); allowed 5e+06" in done.stderr


@pytest.mark.parametrize("words", ["schema", "check --help", "run SMALL --jobs 1", "check SMALL"])
@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(words: str, small: Path) -> None:
    """The status of `check` says what it has found, whoever reads it."""
    if words == "check SMALL":
        small.write_text(yaml.safe_dump(data(alarms__errors__threshold="> 100000"), sort_keys=False))
    script = f"{' '.join(COMMAND)} {words.replace('SMALL', small.name)} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=small.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1 if words == "check SMALL" else 0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize(
    ("redirected", "status", "errors"),
    [
        (">/dev/full", 2, "output: No space left on device\n"),
        (">/dev/full 2>/dev/full", 2, ""),
        (">&- 2>&- <&-", 0, ""),
    ],
)
def test_what_cannot_be_told_is_told_by_the_status(redirected: str, status: int, errors: str, small: Path) -> None:
    script = f"{' '.join(COMMAND)} validate {small.name} {redirected}"
    done = subprocess.run(["bash", "-c", script], cwd=small.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, errors)


def test_no_command_overwrites_what_another_one_wrote_into_the_same_folder() -> None:
    names = [*RUN_FILES, *COMPARISON_FILES, *SWEEP_FILES, *RECOMMENDATION_FILES]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"function__aliases": {"2024": "1"}, "rollout__alias": "2024"},
        {"horizon": "1e9999999999999999999 ms"},
        {"horizon": "1e-9999999999999999999 ms"},
        {"name": "\ud800x"},
        {"function__versions": {"20240101": {"duration": "1 s"}}, "function__aliases": {"prod": "20240101"}},
        {"traffic": [http(bursty={"low": "1/s", "high": "2/s", "stay_low": "1 us", "stay_high": "1 us"})]},
        {"traffic": [http(trace={"file": "far.csv", "layout": "timestamps"})]},
        {"traffic": [http(trace={"file": "dense.csv", "layout": "counts", "scale": "1000000x"})]},
        {"traffic": [http(trace={"file": "a\0b", "layout": "counts"})]},
        {"traffic": [http(trace={"file": "inf.csv", "layout": "counts"})]},
        {"function__versions__1__per_mb": "10 ms"},
        {"function__versions__2": {"duration": "1 s", "faults": [{"init": "2x"}]}},
        {"function__versions__2": {"like": "1", "faults": [{"latency": "1e300x"}]}},
        {"strategies": {"no rollout": {"type": "all_at_once"}}},
        {"strategies": {"green": {"type": "blue_green", "provisioned": 5000}}},
        {"function__versions__$LATEST": {"duration": "1 s", "provisioned": 1}},
    ],
)
def test_odd_input_is_one_message(changes: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    (tmp_path / "far.csv").write_text("t\n0\n1e15\n")
    (tmp_path / "dense.csv").write_text("n\n1000000\n")
    (tmp_path / "inf.csv").write_text("n\n1e400\n")
    path.write_text(yaml.safe_dump(data(**changes)))
    done = call("run", path, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.match(r".*odd\.yaml:\d+: ", done.stderr)
    assert any(word in done.stderr for word in ("got", "allowed", "does nothing", "belongs to", "stands for", "null"))
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "options", "pictures"),
    [
        ("run", [], {"traffic", "error_budget", "burn_rate"}),
        ("compare", ["--replications", "20"], {"comparison"}),
        (
            "sweep",
            ["--replications", "20", "--severity", "1%,5%", "--percent", "5,10"],
            {"heat_maps", "power", "trade_off"},
        ),
    ],
)
def test_pictures_come_in_the_format_asked_for_and_the_others_go(
    command: str, options: list[str], pictures: set[str], small: Path
) -> None:
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        done = call(command, small, *options, "--format", suffix, "--out", "o", cwd=small.parent)
        assert done.returncode == 0, done.stderr
        drawn = [path for path in (small.parent / "o").iterdir() if path.suffix in (".png", ".svg", ".pdf")]
        assert {path.name for path in drawn} == {f"{name}.{suffix}" for name in pictures}
        assert all(path.read_bytes().startswith(start) for path in drawn)
    refused = call(command, small, *options, "--format", "gif", cwd=small.parent)
    assert (refused.returncode, refused.stdout) == (2, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [b"\xff\xfe no text", b"text.usetex: true\nbackend: none such\nfont.family: no such font\n"]
)
def test_a_matplotlibrc_of_the_folder_changes_nothing(small, settings) -> None:
    assert call("run", small, "--out", "before", cwd=small.parent).returncode == 0
    (small.parent / "matplotlibrc").write_bytes(settings)
    done = call("run", small, "--out", "after", cwd=small.parent)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("traffic.png", "error_budget.png"):
        assert (small.parent / "after" / name).read_bytes() == (small.parent / "before" / name).read_bytes()


@pytest.mark.slow
def test_two_files_stand_beside_each_other_before_and_after_a_change(small: Path) -> None:
    changed = small.parent / "changed.yaml"
    given = yaml.safe_load(small.read_text())
    for alarm in given["alarms"].values():
        alarm["threshold"] = "> 9"
    changed.write_text(yaml.safe_dump(given))
    narrow = {"COLUMNS": "80"}
    done = call("compare", small, changed, "--replications", "20", "--out", "o", cwd=small.parent, env=narrow)
    assert (done.returncode, done.stderr) == (0, "")
    assert "small beside changed" in done.stdout
    for part in ("before", "after"):
        assert {path.name for path in (small.parent / "o" / part).iterdir()} <= set(COMPARISON_FILES)
    rows = [line.split()[1] for line in done.stdout.splitlines() if re.match("canary +[^:]", line)]
    parts, rest = divmod(len(rows), 3)  # what did not fit beside the rest has the same names
    assert parts >= 2
    assert (rest, rows) == (0, ["small", "changed", "change"] * parts)


@pytest.mark.slow
def test_tables_come_in_markdown_on_demand_and_the_verdict_comes_last(small) -> None:
    for command, last in (("run", "One run is an example"), ("compare", "It stops a good version in")):
        extra = ["--replications", "20"] if command == "compare" else []
        done = call(command, small, *extra, "--format", "markdown", cwd=small.parent)
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line for line in done.stdout.splitlines() if line]
        assert sum(line.startswith("| canary |") for line in lines) == (3 if command == "run" else 1)
        assert last in lines[-2]
        assert lines[-1].startswith("files in")
        assert (
            (small.parent / "results" / "small")
            .joinpath("traffic.png" if command == "run" else "comparison.png")
            .exists()
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "of_the_file"),
    [
        (["run"], 1),
        (["compare", "--replications", "20"], 1),
        (["sweep", "--replications", "4", "--percent", "5,10"], 0),  # of its cells
        (["recommend"], 0),  # of its hypotheses
        (["report"], 2),  # for the study, and for the runs that are drawn one by one
    ],
)
def test_a_command_asks_once_which_plane_runs_a_scenario(
    arguments: list[str], of_the_file: int, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the notice that the kernel compiles, too: the choice is handed down."""
    asked: list[Scenario] = []

    def counted(scenario: Scenario, *more: Any, **others: Any) -> selection.EngineChoice:
        asked.append(scenario)
        return choose_engine(scenario, *more, **others)

    choose_engine = selection.choose_engine
    for module in (selection, simulate, comparison, sweep, problem, build):
        monkeypatch.setattr(module, "choose_engine", counted)
    handed: list[object] = []

    def longer(*_: object, planes: object = None, **_others: object) -> None:
        handed.append(planes)
        raise KeyboardInterrupt  # what comes then has tests of its own

    monkeypatch.setattr(build, "make_report", longer)
    monkeypatch.setattr(search.Search, "recommend", longer)
    monkeypatch.chdir(small.parent)
    CliRunner().invoke(app, [arguments[0], str(small), *arguments[1:]], standalone_mode=False)
    assert asked
    assert len({id(scenario) for scenario in asked}) == len(asked)
    assert asked.count(Scenario.load(small)) == of_the_file
    assert [type(planes) for planes in handed] == {"report": [build.Planes], "recommend": [type(None)]}.get(
        arguments[0], []
    )
