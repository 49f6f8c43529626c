"""The short form of the campaign with fixed seeds: the same inputs in every run, few enough for every change."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from campaign import agreement, fuzz, kill, twin
from campaign.inputs import Answer, Kind
from campaign.laws import check_comparison, check_runs
from campaign.scenarios import scenario as random_scenario

from rollout_sim.scenario.scenario import Scenario

pytestmark = pytest.mark.long


def told(tally: fuzz.Tally) -> list[str]:
    return [f"{finding.kind}/{finding.number}: {finding.what}: {finding.detail}" for finding in tally.findings.values()]


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("scenario", 60), ("schema", 40), ("sam", 40), ("cloudformation", 25), ("terraform", 40), ("manifest", 40),
        ("openslo", 60), ("trace", 60), ("axis", 40), ("command", 12),
        ("study", 6), ("check", 3),
    ],
)  # fmt: skip
def test_no_input_ends_in_anything_but_an_answer_or_a_message(kind: str, count: int) -> None:
    tally = fuzz.Tally()
    for number in range(count):
        fuzz.attempt(1, kind, number, tally)
    assert tally.inputs == count
    assert told(tally) == []


@pytest.mark.parametrize("number", range(4))
def test_random_scenarios_keep_the_laws(number: int, tmp_path: Path) -> None:
    data = random_scenario(random.Random(f"laws/{number}"), tmp_path)
    loaded = Scenario.from_dict(data, path=tmp_path / "random.yaml")
    check_runs(loaded)
    check_comparison(loaded)


def test_a_killed_sweep_goes_on_to_the_same_bytes() -> None:
    for seed in range(2, 6):
        kills = kill.campaign(seed, 1.0, most=1)
        assert kills.sweeps == 1
        assert kills.problems == []
        if kills.kills:  # on a busy machine the first signal may come when the sweep is done
            return
    raise AssertionError("every signal came too late")


SCENARIOS = (1, 2, 3, 5, 9, 13)


def test_the_planes_agree_with_the_twin() -> None:
    result = agreement.Agreement()
    for number in SCENARIOS:
        agreement.agree(result, 1, number, runs=40, many=256)
    assert result.planes["simpy"] == len(SCENARIOS)
    assert result.planes["aggregate"] >= 1
    assert [agreement.told(check, 1) for check in result.rejected()] == []


def test_the_twin_knows_nothing_of_the_package() -> None:
    assert twin.__file__ is not None
    source = Path(twin.__file__).read_text(encoding="utf-8")
    assert "rollout_sim" not in source
    assert "from ." not in source


def test_examples_of_missing_data_from_cloudwatch() -> None:
    """The worked examples of the user guide: 3 of 3, an evaluation range of 5, oldest to newest."""
    rows = {
        "0-X-X": ("OK", "OK", "OK", "OK"), "0----": ("OK", "OK", "OK", "OK"),
        "-----": ("INSUFFICIENT_DATA", "kept", "ALARM", "OK"), "0XX-X": ("ALARM", "ALARM", "ALARM", "ALARM"),
        "--X--": ("ALARM", "kept", "ALARM", "OK"),
    }  # fmt: skip
    for points, states in rows.items():
        for missing, state in zip(("missing", "ignore", "breaching", "not_breaching"), states, strict=True):
            alarm = twin.Alarm({"metric": "errors", "threshold": "> 0", "datapoints": "3 of 3", "missing": missing})
            alarm.state = "kept"
            read: Any = [{"0": 0.0, "X": 1.0, "-": None}[point] for point in points]
            assert alarm.settle(read) == state, (points, missing)


PLAIN: dict[str, Any] = {
    "name": "plain", "horizon": "757 s",
    "function": {
        "name": "f", "aliases": {"prod": "1"},
        "versions": {
            "1": {"duration": "100 ms", "error_rate": "1%"},
            "2": {"duration": "100 ms", "error_rate": "1%", "faults": [{"errors": "15%"}]},
        },
    },
    "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "2/s"}}],
    "slos": [{"name": "availability", "objective": "99%"}],
    "alarms": {"errors": {"metric": "errors", "of": "new_version", "datapoints": "2 of 3", "threshold": "> 4", "missing": "ignore"}},
    "rollout": {"alias": "prod", "to": "2", "start": "60 s", "alarms": ["errors"]},
    "strategies": {"canary": {"type": "canary", "percent": 20, "interval": "5 min", "bake": "5 min"}},
}  # fmt: skip
MISTAKES = {
    "a weight too large": lambda run: setattr(
        run, "route", lambda weight: setattr(run, "routed", min(weight * 1.5, 1.0))
    ),
    "an alarm a period late": lambda run: [
        setattr(alarm, "lag", alarm.lag + 60_000_000) for alarm in run.alarms.values()
    ],
    "a fault that is weaker": lambda run: [
        setattr(fault, "share", fault.share * 0.6) for version in run.versions.values() for fault in version.faults
    ],
}


def test_what_waits_too_long_at_the_horizon_is_bad_for_the_twin_too(tmp_path: Path) -> None:
    """A tenth of the requests has no answer by then, and most of them are late already."""
    slow = {"duration": {"exponential": {"mean": "20 s"}}}
    late = PLAIN | {
        "horizon": "200 s", "function": PLAIN["function"] | {"timeout": "2 min", "versions": {"1": slow, "2": slow}},
        "slos": [{"name": "fast", "objective": "99%", "sli": {"latency": "5 s"}}],
    }  # fmt: skip
    result = agreement.Agreement()
    agreement.agree_on(result, late, 1, 0, tmp_path, {"simpy": 60}, 60)
    assert {check.figure for check in result.checks} >= {"requests", "bad_requests", "bad_requests_new_version"}
    assert result.rejected() == []


def plain(folder: Path) -> agreement.Agreement:
    result = agreement.Agreement()
    agreement.agree_on(result, PLAIN, 1, 0, folder, {"aggregate": 512}, 100)
    return result


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_turns_the_comparison_red(mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain(tmp_path).rejected() == []
    right = twin.Run.deployment

    def wrong(run: twin.Run) -> Iterator[int]:
        MISTAKES[mistake](run)
        return right(run)

    monkeypatch.setattr(twin.Run, "deployment", wrong)
    assert plain(tmp_path).rejected()


@pytest.mark.parametrize(
    ("message", "fault"),
    [("fine: got 5\n  allowed 6", None), ("x" * 2001, "longer"), ("a\x1b[31m", "control"), ("a\ud800", "control")],
)
def test_faulty_messages_are_told(message: str, fault: str | None) -> None:
    assert (fault or "None") in str(fuzz.faulty(message))


def test_an_input_that_takes_too_long_or_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_rng: random.Random, _folder: Path) -> Answer:
        while True:
            pass

    def failing(_rng: random.Random, folder: Path) -> Answer:
        Scenario.from_dict({"horizon": object()}, path=folder)
        return Answer()

    for attempt, what in ((endless, "time"), (failing, "TypeError in scenario.py, from_dict")):
        monkeypatch.setitem(fuzz.KINDS, "trial", Kind(attempt, 0.2, 0.0))
        tally = fuzz.Tally()
        fuzz.attempt(1, "trial", 0, tally)
        assert len(tally.findings) == 1
        assert next(iter(tally.findings)).startswith(what)
