"""`rollout-sim init`: what it writes loads and runs, says what is a guess, and never overwrites."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import call
from terminal import at_terminal

from rollout_sim import Scenario, compare, simulate
from rollout_sim.scenario.template import QUESTIONS, ScenarioTemplate


def loaded(starter: ScenarioTemplate, folder: Path) -> Scenario:
    path = folder / "s.yaml"
    path.write_text(starter.text(), encoding="utf-8")
    return Scenario.load(path)


@pytest.mark.parametrize("rate", [1 / 86400, 1 / 60, 50.0, 1e5])
@pytest.mark.parametrize("error_rate", [0.0, 0.001, 0.5])
@pytest.mark.parametrize("duration", [0.001, 0.08, 60.0])
def test_every_answer_makes_a_scenario_that_loads_and_whose_alarm_lies_between_good_and_bad(
    rate, error_rate, duration, tmp_path
) -> None:
    scenario = loaded(ScenarioTemplate(rate=rate, error_rate=error_rate, duration=duration), tmp_path)
    bad = sum(fault.errors or 0.0 for fault in scenario.function.versions["2"].faults)
    threshold = float(scenario.alarms["new-version-errors"].threshold.split()[1].rstrip("%")) / 100
    assert scenario.traffic[0].arrivals.poisson == pytest.approx(rate)
    assert scenario.function.versions["1"].error_rate == error_rate
    assert error_rate < threshold < error_rate + bad <= 1


def test_the_starter_runs_and_tells_a_bad_version_from_a_good_one(tmp_path) -> None:
    scenario = loaded(ScenarioTemplate(rate=5), tmp_path)
    assert {simulate(scenario, name).outcome for name in scenario.strategies} >= {"promoted", "rolled_back"}
    compared = compare(loaded(ScenarioTemplate(), tmp_path), 500, ("canary 10%",))
    back = compared.frame.query("estimate == 'rolled_back'").set_index("version")
    assert back.loc["as described", "low"] > 0.98
    assert back.loc["good", "high"] < 0.02


def test_answers_are_in_the_file_and_guesses_are_said(tmp_path) -> None:
    done = call(
        "init",
        "a.yaml",
        "--rate",
        "120/min",
        "--objective",
        "99.5%",
        "--name",
        "search",
        "--alias",
        "live",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "guessed: --swing 0%, --error-rate 0.1%, --window 30 d, --duration 80 ms, --p99 0.4 s" in done.stdout
    assert "--rate" not in done.stdout
    scenario = Scenario.load(tmp_path / "a.yaml")
    assert (scenario.name, scenario.alias, scenario.slos[0].objective) == ("search", "live", 0.995)
    assert scenario.traffic[0].arrivals.poisson == 2
    text = " ".join((tmp_path / "a.yaml").read_text().replace("\n#", "").split())
    assert "The rate, 2/s, is what you gave." in text
    assert "The error rate, 0.1%, is a guess." in text
    # 2/s for 30 days, of which 0.5% may be bad; a tenth of the traffic for ten minutes.
    assert "The error budget is 25,920 bad requests in 30 d." in text
    assert "serves 120 requests on average" in text


@pytest.mark.parametrize(
    ("question", "written", "value"),
    [
        *[("rate", text, 30.0) for text in ("30", "30/s", "30 rps", "30 req/s", "30 requests per second", "1800/min", "1800 rpm")],
        ("objective", "99.5", 0.995), ("error_rate", "0.3", 0.003), ("error_rate", "0.3%", 0.003), ("swing", "40", 0.4),
        ("duration", "120", 0.12), ("duration", "1.5 s", 1.5), ("timeout", "10", 10.0), ("window", "30", 30 * 86400.0),
    ],
)  # fmt: skip
def test_an_answer_may_leave_out_the_unit_that_the_question_has(question, written, value) -> None:
    assert QUESTIONS[question].read(written) == pytest.approx(value, rel=1e-12)


def test_what_is_known_of_the_function_is_in_the_file(tmp_path) -> None:
    known = ScenarioTemplate(rate=30, swing=0.4, p99=1.2, timeout=30, concurrency=50)
    scenario = loaded(known, tmp_path)
    assert (scenario.function.timeout, scenario.function.reserved_concurrency) == (30, 50)
    assert scenario.function.versions["1"].duration.parameters == (0.08, 1.2)
    diurnal = scenario.traffic[0].arrivals.diurnal
    assert diurnal is not None
    assert (diurnal.mean, diurnal.amplitude) == (30, 0.4)
    # Nobody knows it: a guess, and the file says so beside it.
    assert scenario.alarms["new-version-errors"].lag == 60
    assert "GUESS: the lag" in known.text()


def test_few_failures_and_a_budget_that_is_spent_already_are_said(tmp_path) -> None:
    quiet = " ".join(ScenarioTemplate(rate=1 / 60, error_rate=0.05).text().replace("\n#", "").split())
    assert "it is luck whether an alarm sees them" in quiet
    assert "ordinary error rate of 5% alone spends all of it" in quiet
    busy = ScenarioTemplate().text()
    assert "Note:" not in busy


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text("mine")
    done = call("init", "--yes", cwd=tmp_path)
    assert (done.returncode, path.read_text()) == (2, "mine")
    assert "Error: scenario.yaml is there already; choose another name, or overwrite it with --force" in done.stderr
    assert call("init", "--yes", "--force", cwd=tmp_path).returncode == 0
    assert Scenario.load(path).name == "my-function"
    assert [one.name for one in tmp_path.iterdir()] == ["scenario.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "fast"), "a rate needs a unit: /s, /min, /h, /d (for example 50/s), got 'fast'"),
        (("--p99", "50"), "--p99: the 99th percentile must lie above the median, got 50 ms and 80 ms"),
        (("--concurrency", "0"), "0 is not in the range x>=1"),
        (("--rate", "-1/s"), "must be more than 0/s, got '-1/s'"),
        (("--objective", "100%"), "must be at most 99.9999%, got '100%'"),
        (("--error-rate", "60%"), "must be at most 50%, got '60%'"),
        (("--alias", "12"), "--alias: got '12'; allowed letters, digits, - and _, not digits alone"),
        (("--name", " "), "--name: got ' '; allowed printable text"),
    ],
)
def test_a_wrong_answer_is_one_error_and_no_file(arguments, message, tmp_path) -> None:
    done = call("init", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_at_a_terminal_it_asks_and_asks_again(tmp_path) -> None:
    answers = [
        ("called", "search\n"), ("requests", "many\n"), ("requests", "12 rps\n"), ("swing", "\n"), ("fails", "\n"),
        ("must be good", "99.5\n"), ("every", "7\n"), ("median", "\n"), ("99%", "\n"), ("timeout", "12\n"),
        ("concurrency", "40\n"),
    ]  # fmt: skip
    session = at_terminal("init", cwd=tmp_path, answers=answers, columns=100)
    assert session.status == 0, session.raw
    assert "a rate needs a unit" in session.raw
    assert "guessed" not in session.raw
    scenario = Scenario.load(tmp_path / "scenario.yaml")
    assert (scenario.name, scenario.slos[0].objective, scenario.slos[0].window) == ("search", 0.995, 7 * 86400)
    assert scenario.traffic[0].arrivals.poisson == 12
    assert (scenario.function.timeout, scenario.function.reserved_concurrency) == (12, 40)
    # What was confirmed with Enter was given.
    assert ", is a guess." not in (tmp_path / "scenario.yaml").read_text()


def test_ctrl_c_while_it_asks_writes_nothing(tmp_path) -> None:
    session = at_terminal("init", cwd=tmp_path, answers=[("called", "search\n"), ("requests", "\x03")])
    assert session.status == 130
    assert session.lines[-2].endswith("interrupted")
    assert list(tmp_path.iterdir()) == []
