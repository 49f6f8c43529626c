"""Backtests: held against a slow twin in plain Python, against planted truth, and against the model that made the recording.

Comparisons of random counts are tests at `LEVEL`; there are three of them, and the seeds are fixed.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import data
from click.testing import CliRunner
from command import call

from rollout_sim.cli.main import app
from rollout_sim.core.minutes import stamp_of
from rollout_sim.core.streams import Streams
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.function.error_rates import Dispersed, ErrorRate, paths_of
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.backtest import Backtest, backtest
from rollout_sim.views.backtest import remarks, sentence

LEVEL = 1e-4
START = 1_763_337_600  # Monday, 2025-11-17, 00:00 UTC
HEAD = "time,of,invocations,errors,throttles,duration_average_ms,duration_p50_ms,duration_p90_ms,duration_p99_ms,duration_max_ms\n"
ALARM = {
    "metric": "error_rate",
    "of": "new_version",
    "datapoints": "2 of 3",
    "threshold": "> 4%",
    "missing": "not_breaching",
}

P99 = {"metric": "duration", "statistic": "p99", "threshold": "> 300 ms"}
BURN = {"metric": "burn_rate", "slo": "fast", "long": "10 min", "short": "5 min", "threshold": "> 3"}


def record(folder: Path, counts: list[tuple[int, int] | None], p99: float = 600.0) -> None:
    """Writes minutes with so many invocations and errors; None is a minute without a row."""
    rows = [
        f"{stamp_of(START + 60 * k)},alias:prod,{n},{e},0,110,80,220,{p99},1500\n"
        for k, entry in enumerate(counts)
        if entry is not None
        for n, e in [entry]
    ]
    (folder / "minutes.csv").write_text(HEAD + "".join(rows), encoding="utf-8")


def given(folder: Path, **changes: Any) -> Scenario:
    base: dict[str, Any] = {
        "horizon": "40 min", "function__versions__1__error_rate": "1%", "function__versions__1__cold_start": None,
        "function__versions__2": {"like": "1", "faults": [{"errors": "10%"}]}, "alarms": {"errors": ALARM},
        "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "60/min"}}],
        "strategies": {"instant": {"type": "all_at_once", "bake": "10 min"},
                       "canary": {"type": "canary", "percent": 25, "interval": "8 min"}},
    }  # fmt: skip
    return Scenario.from_dict(data(**{**base, **changes}), path=folder / "s.yaml")


def drawn(rate: ErrorRate, minutes: int, seed: int = 1, mean: float = 60.0) -> list[tuple[int, int] | None]:
    """A recording of that error rate, with Poisson traffic; every 500th minute has no row."""
    rng = np.random.default_rng(seed)
    shares = np.resize(paths_of(rate, Streams(seed=seed), minutes * 60.0)[0], minutes)
    n = rng.poisson(mean, minutes)
    errors = rng.binomial(n, shares)
    return [None if k % 500 == 499 else (int(n[k]), int(errors[k])) for k in range(minutes)]


def twin(
    counts: list[tuple[int, int] | None], start: int, weights: list[float], chance: random.Random, fault: float = 0.0
) -> float | None:
    """When (s) the alarm stops a rollout that begins at a minute and has these weights in the minutes that follow; by hand."""
    seen: list[bool] = []
    for k, weight in enumerate(weights):
        n, errors = counts[start + k] or (0, 0)
        fails = [True] * errors + [False] * (n - errors)
        served = [failed for failed in fails if weight == 1 or chance.random() < weight]
        served = [failed or chance.random() < fault for failed in served]
        if served:
            seen.append(sum(served) / len(served) > 0.04)
        else:
            seen.append(False)  # not breaching
        if sum(seen[-3:]) >= 2:
            return 60.0 * (k + 1)
    return None


def test_all_traffic_at_once_is_what_a_slow_twin_finds(tmp_path: Path) -> None:
    counts = drawn(Dispersed(mean=0.02, dispersion=0.02), 1200)
    record(tmp_path, counts)
    result = backtest(given(tmp_path), tmp_path, ["instant"], replications=20)
    starts = np.round((result.begins - START) / 60).astype(int).tolist()
    slow = [twin(counts, start, [1.0] * 10, random.Random(1)) for start in starts]
    played = result.good["instant"]
    assert 50 < played.stopped.sum() < 1100
    np.testing.assert_array_equal(played.stopped, [at is not None for at in slow])
    np.testing.assert_array_equal(played.time_to_stop, [math.nan if at is None else at for at in slow])
    assert len(starts) + result.left_out == 1200


@pytest.mark.parametrize("fault", [0.0, 0.02])
def test_a_canary_is_stopped_as_often_as_by_a_slow_twin(tmp_path: Path, fault: float) -> None:
    counts = drawn(Dispersed(mean=0.02, dispersion=0.02), 900)
    record(tmp_path, counts)
    version = {"like": "1", "faults": [{"errors": "2%"}]}
    result = backtest(given(tmp_path, function__versions__2=version), tmp_path, ["canary"], replications=20)
    chance = random.Random(2)
    starts = np.round((result.begins - START) / 60).astype(int).tolist()
    slow = sum(twin(counts, start, [0.25] * 8, chance, fault) is not None for start in starts)
    played = (result.bad if fault else result.good)["canary"].stopped.sum()
    z = (played - slow) / math.sqrt(2 * len(starts) * 0.25)  # given the recording, beginnings are independent
    assert 20 < slow < len(starts) - 20
    assert abs(z) < 3.9


def test_a_phase_that_is_drawn_is_another_one_at_each_beginning(tmp_path: Path) -> None:
    """Every minute is bad, so the alarm fires at the second whole minute after the shift that has bad requests of the new version."""
    record(tmp_path, [(60_000, 6_000)] * 300)
    drawn_phase = {"alias": "prod", "to": "2", "alarms": ["errors"]}
    result = backtest(given(tmp_path, rollout=drawn_phase), tmp_path, ["instant"], replications=4)
    times = result.good["instant"].time_to_stop
    assert result.good["instant"].stopped.all()
    assert ((times > 60) & (times < 120)).all()
    assert np.unique(times).size > 8
    fixed = backtest(given(tmp_path, rollout={**drawn_phase, "phase": "15 s"}), tmp_path, ["instant"], replications=4)
    assert (fixed.good["instant"].time_to_stop == 105).all()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    """Four days in which half of the requests fail on Tuesday from 03:00 to 04:00, and none else."""
    folder = tmp_path_factory.mktemp("planted")
    counts: list[tuple[int, int] | None] = [(60, 30) if 27 * 60 <= k < 28 * 60 else (60, 0) for k in range(4 * 1440)]
    record(folder, counts)
    return backtest(given(folder), folder, replications=40)


def test_the_bad_hour_is_found(planted: Backtest) -> None:
    table = planted.by_hour("instant")
    assert np.unravel_index(np.nanargmax(table), table.shape) == (1, 3)
    assert table[1, 3] > 0.9
    assert np.nansum(np.delete(table.ravel(), [26, 27])) == 0  # the hour before it begins rollouts that reach into it
    assert list(planted.by_day("instant")) == ["2025-11-18"]
    assert planted.by_alarm("instant") == {"errors": 1.0}
    estimate = planted.stopped_for_nothing("instant")
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.mean == pytest.approx(67 / planted.begins.size, rel=0.05)
    assert estimate.low < estimate.mean < estimate.high


def test_the_fault_is_caught_at_once(planted: Backtest) -> None:
    caught, after = planted.caught("instant"), planted.time_to_stop("instant")
    assert caught is not None
    assert after is not None
    assert caught.mean > 0.95
    assert 110 < after.mean < 200
    assert (planted.bad["instant"].added >= 0).all()


def test_the_answer_names_a_strategy_that_catches_the_fault(tmp_path: Path) -> None:
    """All at once is over before an alarm can act: it is never stopped for nothing, and never catches anything."""
    record(tmp_path, drawn(Dispersed(mean=0.02, dispersion=0.02), 600))
    strategies = {"at once": {"type": "all_at_once"}, "bake": {"type": "all_at_once", "bake": "10 min"}}
    result = backtest(given(tmp_path, strategies=strategies), tmp_path, replications=4)
    assert result.good["at once"].stopped.mean() < result.good["bake"].stopped.mean()
    assert sentence(result).startswith("bake would have caught 10% errors in 100%")
    alone = backtest(given(tmp_path, strategies={"at once": {"type": "all_at_once"}}), tmp_path, replications=4)
    assert sentence(alone).startswith("no strategy would have caught 10% errors in 95%")
    lines = [
        line for line in remarks(result) if line.startswith("bake: stopped for nothing by the alarm errors (100%)")
    ]
    assert len(lines) == 1


def test_a_day_does_not_tell_in_what_it_differs(tmp_path: Path) -> None:
    record(tmp_path, [(60, 60)] * 200)
    result = backtest(given(tmp_path), tmp_path, ["instant"], replications=8)
    assert remarks(result)[-2:] == [
        "instant: the scenario makes it less likely than the recording that a good version is stopped",
        "a day was recorded at most, too little to tell in what it differs from the scenario",
    ]


def test_minutes_of_the_function_in_place_of_the_alias_are_told(tmp_path: Path) -> None:
    record(tmp_path, [(60, 0)] * 100)
    of_alias = backtest(given(tmp_path), tmp_path, ["instant"], replications=4)
    path = tmp_path / "minutes.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("alias:prod", "function"), encoding="utf-8")
    of_function = backtest(given(tmp_path), tmp_path, ["instant"], replications=4)
    told = "the alias prod is not in the recording: the minutes of the whole function are played"
    assert told in of_function.notes
    assert told not in of_alias.notes


@pytest.mark.slow
@pytest.mark.parametrize("assumed", [{"mean": "2%", "dispersion": 0.03}, "2%"])
def test_the_scenario_that_made_the_recording_agrees_with_it_and_an_even_one_does_not(
    tmp_path: Path, assumed: Any
) -> None:
    record(tmp_path, drawn(Dispersed(mean=0.02, dispersion=0.03), 5 * 1440, seed=3))
    result = backtest(given(tmp_path, function__versions__1__error_rate=assumed), tmp_path, replications=400)
    said = [words for name in result.good for words in result.disagreements(name)]
    if assumed == "2%":
        assert "the scenario makes it less likely than the recording that a good version is stopped" in said
        assert any("errors clump within a minute" in words for words in result.differences)
    else:
        assert said == []
        assert not any("clump" in words or "follow" in words for words in result.differences)


def test_percentiles_of_all_requests_are_those_recorded(tmp_path: Path) -> None:
    """A p99 of the alias stands above the limit in every minute, and below another in none; slower versions cross it."""
    record(tmp_path, [(100, 0)] * 200, p99=600.0)

    def stops(limit: str, fault: dict[str, Any], of: str = "alias") -> float:
        alarm = {"metric": "duration", "statistic": "p99", "of": of, "datapoints": "1 of 1", "threshold": f"> {limit}"}
        scenario = given(tmp_path, alarms={"errors": alarm}, function__versions__2={"like": "1", "faults": [fault]})
        result = backtest(scenario, tmp_path, ["instant"], replications=4)
        return float(
            result.bad["instant"].stopped.mean() if fault.get("latency") else result.good["instant"].blocked.mean()
        )

    assert stops("590 ms", {"errors": "1%"}) == 1
    assert stops("610 ms", {"errors": "1%"}) == 0
    assert stops("610 ms", {"latency": "3x"}, "new_version") == 1


def test_a_recorded_invocation_of_a_queue_is_a_batch(tmp_path: Path) -> None:
    record(tmp_path, [(60, 0)] * 60)
    queue = {"source": "queue", "alias": "prod", "arrivals": {"poisson": "1/min"}}
    result = backtest(given(tmp_path, traffic=[queue]), tmp_path, ["instant"], replications=2)
    assert any("a fault hits it as it would a batch of one record" in note for note in result.notes)


@pytest.mark.slow
def test_figures_that_single_minutes_lack_are_said_and_taken_from_the_rest(tmp_path: Path) -> None:
    """Every tenth minute has no p99 and no average: there it is as long as in the others, not missing, and not 0."""
    record(tmp_path, [(60, 0)] * 200)
    path = tmp_path / "minutes.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1::10] = [line.replace(",110,", ",,").replace(",600.0,", ",,") for line in lines[1::10]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fast = {"metric": "duration", "of": "alias", "datapoints": "1 of 1", "missing": "breaching"}
    alarms = {
        "errors": {**fast, "statistic": "p99", "threshold": "< 550 ms"},
        "mean": {**fast, "statistic": "average", "threshold": "< 90 ms"},
    }
    scenario = given(tmp_path, alarms=alarms, rollout__alarms=["errors", "mean"], on_call=None)
    result = backtest(scenario, tmp_path, ["instant"], replications=4)
    assert result.stopped_for_nothing("instant").mean == 0
    for column in ("duration_p99_ms", "duration_average_ms"):
        told = f"{column} is missing in 20 of 200 minutes with invocations, and taken from what else is known of them"
        assert told in result.notes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alarms": {"errors": {**ALARM, "period": "10 s"}}}, "alarm errors: its periods are no whole number of recorded ones"),
        ({"function__versions__2": {"like": "1", "faults": [{"leak": {"per": "1 min", "errors": "1%"}}]}}, "depend on leaks"),
        ({"alarms": {"errors": {"metric": "latency", "statistic": "p99", "threshold": "> 1 s"}}}, "the front door's latency"),
    ],
)  # fmt: skip
def test_what_minutes_do_not_tell_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    record(tmp_path, [(60, 0)] * 100)
    with pytest.raises(ScenarioError, match=message):
        backtest(given(tmp_path, **changes), tmp_path)


@pytest.mark.parametrize(
    ("recorded", "alarm", "missing"),
    [
        (",80,220,600,1500", {"metric": "duration", "threshold": "> 50 ms"}, "duration_average_ms was"),
        ("110,80,220,,", P99, "duration_p99_ms or duration_max_ms was"),
        ("110,,,600,", P99, "duration_p50_ms was"),
        ("110,,,,", BURN, "duration_p50_ms was"),
    ],
)  # fmt: skip
def test_durations_that_were_not_recorded_are_not_taken_for_short_ones(
    tmp_path: Path, recorded: str, alarm: dict[str, Any], missing: str
) -> None:
    rows = [f"{stamp_of(START + 60 * k)},alias:prod,60,0,0,{recorded}\n" for k in range(100)]
    (tmp_path / "minutes.csv").write_text(HEAD + "".join(rows), encoding="utf-8")
    slos = [{"name": "fast", "sli": {"latency": "100 ms"}, "objective": "99%", "window": "30 d"}]
    with pytest.raises(ScenarioError, match=f"alarm errors: reads durations, of which {missing} not recorded"):
        backtest(given(tmp_path, alarms={"errors": alarm}, slos=slos), tmp_path, ["instant"], replications=4)


def test_a_recording_that_is_too_short_is_refused(tmp_path: Path) -> None:
    record(tmp_path, [(60, 0)] * 12)
    with pytest.raises(ScenarioError, match=r"0.2 h were recorded; alarms and rollouts together need 0.\d+ h"):
        backtest(given(tmp_path), tmp_path)


def test_the_command_says_when_its_prediction_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def enough(_: str) -> None:
        raise ScenarioError(["enough"])

    monkeypatch.setattr("rollout_sim.planes.compiled.kernel.ready", lambda **_: False)
    monkeypatch.setattr("rollout_sim.cli.console.progress", enough)
    record(tmp_path, [(60, 0)] * 12)
    compiling = "compiling the kernel of the compiled plane: about ten seconds, once\n"
    for engine, options, told in (
        ("compiled", [], compiling),
        ("simpy", [], ""),
        ("simpy", ["--engine", "compiled"], compiling),
    ):
        (tmp_path / "s.yaml").write_text(to_yaml(given(tmp_path, engine=engine).dump()), encoding="utf-8")
        done = CliRunner().invoke(app, ["backtest", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "o"), *options])
        assert "enough" in str(done.exception)
        assert done.stderr == told


@pytest.mark.long
def test_the_command_and_its_recipe(tmp_path: Path) -> None:
    record(tmp_path, drawn(Dispersed(mean=0.02, dispersion=0.02), 600))
    (tmp_path / "s.yaml").write_text(to_yaml(given(tmp_path).dump()), encoding="utf-8")
    arguments = ["backtest", "s.yaml", "--replications", "20", "--engine", "simpy", "--out", "out"]
    printed = call(*arguments, "--json", cwd=tmp_path)
    entry = json.loads(printed.stdout)["strategies"][0]
    assert {"strategy", "stopped_for_nothing", "predicted", "by_hour", "caught", "time_to_stop_s"} <= entry.keys()
    again = call("backtest", "--recipe", "out/backtest_recipe.json", "--out", "again", cwd=tmp_path)
    assert "stopped for nothing" in again.stdout
    assert json.loads((tmp_path / "again" / "backtest_recipe.json").read_text(encoding="utf-8"))["engine"] == "simpy"
    for name in ("backtest.csv", "backtest_recipe.json", "week.png", "prediction.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
