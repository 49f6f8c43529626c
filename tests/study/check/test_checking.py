"""Checking: silences, goals in files, the same bytes again, and on several processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import scenario
from checks import changed, checked, codes, example, finding, subject

from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.goals import AtMost, Goal
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.check.checking import check
from rollout_sim.study.check.evidence import FEWEST, Evidence, often
from rollout_sim.study.check.finding import ScenarioFile
from rollout_sim.study.check.settings import read_goal, read_silences

EAGER = {"metric": "errors", "of": "new_version", "threshold": "> 0", "missing": "not_breaching"}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_on_any_number_of_processes(tmp_path) -> None:
    paths = [example(code, tmp_path) for code in ("RS102", "RS203")]
    reports = [check([subject(path) for path in paths], jobs=jobs) for jobs in (1, 1, 2)]
    first, again, parallel = (json.dumps(report.to_json()) for report in reports)
    assert first == again == parallel


def test_another_seed_gives_other_figures(tmp_path) -> None:
    alarm = EAGER | {"datapoints": "3 of 3", "threshold": "> 5"}
    results = [checked(changed(tmp_path, alarms={"errors": alarm}, seed=seed)) for seed in (1, 2)]
    first, second = (finding(result, "RS102").figures["caught"].mean for result in results)
    assert first != second


def test_a_scenario_silences_a_code_with_a_reason(tmp_path) -> None:
    path = changed(
        tmp_path,
        alarms={},
        rollout={"alias": "live", "to": 2, "start": "10 min"},
        check={"ignore": {"RS201": "by hand"}},
    )
    report = check([subject(path)])
    (found,) = report.findings
    assert (found.code, found.silenced) == ("RS201", "by hand")
    assert (report.count("error"), report.fails("warning")) == (0, False)


def test_a_silence_that_is_not_needed_is_told(tmp_path) -> None:
    result = checked(changed(tmp_path, check={"ignore": {"RS201": "by hand"}}))
    assert result.notes == ("RS201 is silenced (by hand), and is not found",)


def test_a_file_silences_for_all_or_for_one(tmp_path) -> None:
    path = changed(tmp_path, alarms={}, rollout={"alias": "live", "to": 2, "start": "10 min"})
    config = tmp_path / "check.yaml"
    config.write_text("ignore: {RS201: {payments: by hand}}")
    assert checked(path, silences=read_silences(config)).loud
    config.write_text("ignore: {RS201: {orders: by hand}}")
    assert checked(path, silences=read_silences(config)).loud == ()
    config.write_text("ignore: {RS201: by hand}")
    assert checked(path, silences=read_silences(config)).loud == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ignore: {RS201: ''}", "ignore.RS201: needs a reason"),
        ("silence: {RS201: x}", "unknown field"),
        ("ignore: [RS201]", "ignore"),
    ],
)
def test_a_file_of_silences_says_what_is_wrong(text, problem, tmp_path) -> None:
    config = tmp_path / "check.yaml"
    config.write_text(text)
    with pytest.raises(ScenarioError, match=problem):
        read_silences(config)


def test_a_code_that_there_is_not_is_refused(tmp_path) -> None:
    path = changed(tmp_path, check={"ignore": {"RS999": "x"}})
    with pytest.raises(ScenarioError, match=r"there is no code 'RS999'; allowed RS101"):
        checked(path)
    with pytest.raises(ScenarioError, match=r"there is no code 'RS1'"):
        check([], silences={"RS1": {"*": "x"}})


def test_a_section_without_a_reason_is_refused(tmp_path) -> None:
    with pytest.raises(ScenarioError, match="needs a reason for RS201"):
        Scenario.load(changed(tmp_path, check={"ignore": {"RS201": " "}}))


def test_a_goal_stands_in_a_file_of_its_own_or_in_a_scenario(tmp_path) -> None:
    path = tmp_path / "goal.yaml"
    path.write_text("false_rollback: {at_most: 2%}")
    assert read_goal(path).goal == Goal(false_rollback=AtMost(at_most=0.02))
    path.write_text("goal: {false_rollback: {at_most: 2%}}\nrisk: {p_bad: 30%}")
    read = read_goal(path)
    assert (read.goal.false_rollback, read.risk and read.risk.p_bad) == (AtMost(at_most=0.02), 0.3)
    path.write_text("goal: {false_rollback: {at_most: 2}}")
    with pytest.raises(ScenarioError, match=r"goal\.yaml:1: goal\.false_rollback\.at_most: "):
        read_goal(path)


def test_the_goal_that_is_given_takes_the_place_of_the_scenarios(tmp_path) -> None:
    path = changed(tmp_path, goal={"time_to_full": {"at_most": "1 h"}})
    assert codes(checked(path)) == []
    strict = tmp_path / "goal.yaml"
    strict.write_text("time_to_full: {at_most: 5 min}")
    assert codes(checked(path, goal=read_goal(strict).goal)) == ["RS404"]


def test_severities_decide_what_fails(tmp_path) -> None:
    report = check([subject(example("RS102", tmp_path))])
    assert (report.count("warning"), report.fails("error"), report.fails("warning"), report.fails(None)) == (
        1,
        False,
        True,
        False,
    )


def test_a_queue_of_which_nothing_is_about_records_is_taken_as_events_and_said() -> None:
    """Its batches are simulated message by message, which takes minutes; a poison record is about them."""
    origin = ScenarioFile(document=YamlDocument(data={}, lines={}, path=Path("test.yaml")))
    queue = {"source": "queue", "alias": "prod", "arrivals": {"poisson": "5/s"}}
    plain = Evidence(scenario(traffic=[queue]), origin=origin)
    assert [source.source for source in plain.scenario.traffic] == ["data"]
    assert any("taken as events without batches" in note for note in plain.notes)
    versions = {"1": {"duration": "100 ms"}, "2": {"like": "1", "faults": [{"poison": "1%"}]}}
    whole = Evidence(scenario(traffic=[queue], function__versions=versions), origin=origin)
    assert [source.source for source in whole.scenario.traffic] == ["queue"]
    assert not any("without batches" in note for note in whole.notes)


@pytest.mark.slow
def test_an_alarm_that_decides_alone_is_not_simulated_again(tmp_path) -> None:
    """Of a queue's alarms the one that is in ALARM whenever the rollout is stopped stops it alone, too; another one does not."""
    alarm = {"period": "60 s", "datapoints": "1 of 1", "missing": "not_breaching"}
    path = changed(
        tmp_path,
        traffic=[{"source": "queue", "alias": "live", "arrivals": {"poisson": "1/s"}, "visibility_timeout": "60 s"}],
        alarms={"old": alarm | {"metric": "oldest_message_age", "threshold": "> 50 s"},
                "errors": alarm | {"metric": "errors", "of": "new_version", "threshold": "> 20"}},
        rollout={"alias": "live", "to": 2, "start": "2 min", "alarms": ["old", "errors"]},
        strategies={"canary": {"type": "canary", "percent": 20, "interval": "3 min"}},
    )  # fmt: skip
    given = subject(path)
    evidence = Evidence(given.scenario, given.origin)
    assert evidence.bad("old") is evidence.bad()
    alone = evidence.bad("errors")
    assert alone is not evidence.bad()
    only = evidence.scenario.with_faults("2", (evidence.fault,))
    only = replace(only, rollout=replace(only.rollout, alarms=("old",)))
    again = evidence.compare(only)
    for label in ("outcome", "time_to_rollback_s", "bad_requests"):
        np.testing.assert_array_equal(again.columns["canary"][label], evidence.bad("old").columns["canary"][label])
    assert often(again, "canary").mean > often(alone, "canary").mean


def test_what_takes_long_is_simulated_less_often() -> None:
    """A study of a large queue has fewer replications, and after so much computing no further changes are tried."""
    origin = ScenarioFile(document=YamlDocument(data={}, lines={}, path=Path("test.yaml")))
    queue = {"source": "queue", "alias": "prod", "arrivals": {"poisson": "5/s"}}
    versions = {"1": {"duration": "100 ms"}, "2": {"like": "1", "faults": [{"poison": "1%"}]}}
    counts = []

    def counted(given: Scenario, replications: int, *_: object, **__: object) -> None:
        counts.append(replications)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("rollout_sim.study.check.evidence.compare", counted)
        for rate in ("1/s", "20/s", "2000/s"):
            source = queue | {"arrivals": {"poisson": rate}}
            evidence = Evidence(scenario(engine="simpy", traffic=[source], function__versions=versions), origin=origin)
            evidence.good()
    few, fewer, fewest = counts
    assert few > fewer > fewest == FEWEST
    assert evidence.exhausted
