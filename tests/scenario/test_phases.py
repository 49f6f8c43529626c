"""Where in a minute of its alarms a rollout starts: drawn by parts, the same on all planes, and what it does to what is caught."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import data, scenario

from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.run.batch import Batch, run_batch, stopped
from rollout_sim.run.simulate import simulate, simulate_each
from rollout_sim.scenario.phases import BLOCK, PARTS, parts_of_period
from rollout_sim.scenario.remarks import remarks_about
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import NO_ROLLOUT
from rollout_sim.study.analytic import stop_probability
from rollout_sim.study.comparison import compare
from rollout_sim.study.recommend.search import prepare
from rollout_sim.views.output import to_json
from rollout_sim.views.story import story

LATE: dict[str, Any] = {
    "function__versions__2": {"like": "1", "error_rate": "0%", "faults": [{"errors": "4%"}]},
    "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "12/s"}}],
    "alarms__errors__lag": "2 min",
    "strategies": {"sam": {"type": "Canary10Percent5Minutes"}},
}
"""Some three errors a minute, of which more than two must come in two minutes that end in time."""


def caught(given: Scenario, replications: int) -> float:
    return float(stopped(compare(given, replications, twin=False).columns["sam"]).mean())


# ---------------------------------------------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("first", [0, 7, BLOCK - 5, 3 * BLOCK])
def test_any_sixteen_replications_start_in_sixteen_parts(first: int) -> None:
    shares = parts_of_period(3, np.arange(first, first + PARTS))
    if first != BLOCK - 5:
        assert set(np.floor(shares * PARTS).astype(int)) == set(range(PARTS))
    assert ((shares >= 0) & (shares < 1)).all()


def test_a_block_lies_in_the_middle_of_its_parts_and_the_next_ones_between() -> None:
    within = [float(parts_of_period(0, np.array([block * BLOCK]))[0]) * PARTS % 1 for block in range(4)]
    assert within == [0.5, 0.25, 0.75, 0.125]


def test_the_seed_turns_the_order() -> None:
    firsts = {float(parts_of_period(seed, np.array([0]))[0]) for seed in range(60)}
    assert len(firsts) > PARTS // 2  # so that `run` is not always in the same part


def test_four_replications_are_spread_over_the_period() -> None:
    for seed in range(20):
        parts = np.sort(np.floor(parts_of_period(seed, np.arange(4)) * PARTS))
        assert np.diff(np.append(parts, parts[0] + PARTS)).max() <= PARTS / 2


@pytest.mark.parametrize(
    ("rollout", "start", "drawn"),
    [
        ({"start": "5 min"}, 300.0, False),
        ({"start": "5 min", "phase": "20 s"}, 320.0, False),
        ({"phase": "20 s"}, 20.0, False),
        ({"start": "5 min", "phase": "random"}, 300.0, True),
        ({}, 0.0, True),
    ],
)
def test_the_file_fixes_the_phase_or_it_is_drawn(rollout: dict[str, Any], start: float, drawn: bool) -> None:
    found = scenario(rollout={"alias": "prod", "to": "2", "alarms": ["errors"], **rollout})
    assert (found.start, found.phase_is_drawn) == (start, drawn)
    assert Scenario.from_dict(found.dump()) == found
    assert len(set(found.starts)) == (PARTS if drawn else 1)
    assert found.with_phase(31.0).start == float(found.rollout.start or 0.0) + 31.0


def test_periods_on_the_clock_are_the_time_over_which_it_is_drawn() -> None:
    found = scenario(rollout__phase="random", alarms__errors__period="5 min", alarms__errors__window="wall_clock")
    assert found.period_of_phases == 300.0
    assert found.starts[-1] == 300.0 + 300.0 * (PARTS - 0.5) / PARTS
    assert scenario(rollout__phase="random", alarms__errors__period="5 min").period_of_phases == 60.0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rollout__phase": "sometimes"}, "or `random`"),
        ({"rollout__phase": 30}, "or `random`"),
        ({"rollout__phase": "random", "rollout__start": "19 min"}, "starts up to 1200 s, which must come before"),
    ],
)
def test_what_is_no_phase(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        Scenario.from_dict(data(**changes))


# ---------------------------------------------------------------------------------------------------- the same everywhere


def test_run_is_replication_0_of_compare_and_strategies_start_together() -> None:
    found = replace(scenario(rollout__phase="random", horizon="12 min"), engine="simpy")
    compared = compare(found, 2, twin=False)
    for k in range(2):
        results = [simulate(found, name, replication=k) for name in found.strategies]
        assert len({result.scenario.start for result in results}) == 1
        for result in results:
            columns = compared.columns[result.strategy]
            assert columns["bad_requests"][k] == result.bad_requests
            rolled_back = columns["time_to_rollback_s"][k]
            assert result.time_to_rollback_s == (None if np.isnan(rolled_back) else rolled_back)
    starts = {simulate(found, "canary", replication=k).scenario.start for k in range(4)}
    assert len(starts) == 4


@pytest.mark.parametrize("engine", ["simpy", "aggregate"])
def test_batches_are_cut_anywhere(engine: Any) -> None:
    found = scenario(rollout__phase="random", horizon="12 min")
    plane = EngineChoice(engine=engine, reason="", batch=4 if engine == "simpy" else 64)
    names, step = ("canary",), 4 if engine == "simpy" else 64

    def columns(first: int, count: int) -> dict[str, Any]:
        return run_batch(Batch(scenario=found, strategies=names, plane=plane, seed=5, first=first, count=count))[
            "canary"
        ]

    first, second, both = columns(0, step), columns(step, step // 4), columns(0, step + step // 4)
    if engine == "aggregate":  # whose batches are never longer, but may be shorter
        both = {name: np.append(first[name], second[name]) for name in first}
        np.testing.assert_array_equal(columns(0, 20)["bad_requests"], both["bad_requests"][:20])
        return
    for name in first:
        np.testing.assert_array_equal(np.append(first[name], second[name]), both[name], name)


def test_phases_of_a_batch_on_the_aggregate_plane_have_draws_of_their_own() -> None:
    found = scenario(rollout__phase="random", horizon="12 min")
    plane = EngineChoice(engine="aggregate", reason="", batch=PARTS)  # one replication of each phase
    drawn = run_batch(Batch(scenario=found, strategies=("canary",), plane=plane, seed=5, first=0, count=PARTS))[
        "canary"
    ]
    assert np.unique(drawn["requests"]).size > PARTS // 2


# ---------------------------------------------------------------------------------------------------- what it does


@pytest.mark.slow
def test_what_is_caught_is_the_mean_over_the_phases() -> None:
    """At four standard errors: one false alarm in 15,000."""
    drawn = caught(scenario(**LATE, rollout__phase="random"), 8192)
    fixed = [caught(scenario(**LATE, rollout__phase=f"{start - 300:g} s"), 1024) for start in
             scenario(**LATE, rollout__phase="random").starts]  # fmt: skip
    best, worst = caught(scenario(**LATE), 4096), caught(scenario(**LATE, rollout__phase="59 s"), 4096)
    error = np.sqrt(0.25 / 8192 + 0.25 / (1024 * PARTS))
    assert drawn == pytest.approx(np.mean(fixed), abs=4 * error)
    assert worst + 4 * error < drawn < best - 4 * error
    expected = stop_probability(scenario(**LATE, rollout__phase="random"), "sam")
    assert expected == pytest.approx(np.mean(fixed), abs=0.03)  # the closed form's invocations last no time
    assert caught(scenario(**LATE), 4096) == pytest.approx(stop_probability(scenario(**LATE), "sam"), abs=0.03)


@pytest.mark.slow
def test_planes_agree_where_it_is_drawn() -> None:
    """At four standard errors: one false alarm in 15,000."""
    rare = [{"source": "http", "alias": "prod", "arrivals": {"poisson": "2/s"}}]
    often = {"like": "1", "error_rate": "0%", "faults": [{"errors": "24%"}]}
    found = scenario(
        **LATE | {"traffic": rare, "function__versions__2": often, "horizon": "11 min"}, rollout__phase="random"
    )
    assert choose_engine(found).engine == "aggregate"
    counted = stopped(compare(found, 4096, twin=False).columns["sam"])
    plane = EngineChoice(engine="simpy", reason="", batch=4)
    batch = Batch(scenario=found, strategies=("sam",), plane=plane, seed=found.seed, first=0, count=96)
    single = stopped(run_batch(batch)["sam"])
    assert 0.2 < counted.mean() < 0.8
    assert single.mean() == pytest.approx(counted.mean(), abs=4 * np.sqrt(0.25 / 96))


def test_a_recommendation_draws_a_phase_for_each_severity() -> None:
    search = prepare(scenario(rollout__phase="random"))
    stage = search.sizes.brief
    draws = search.sampler().draws(stage, 0, 1200.0, 900.0)
    starts = [draw.scenario.start for draw in draws if draw.hypothesis.stratum is not None]
    assert len(starts) == stage.strata * stage.draws
    assert len(set(starts)) == PARTS
    good = [draw for draw in draws if draw.hypothesis.name == "good"]
    assert len({draw.scenario.start for draw in good}) == len(good) == 4
    assert sum(draw.count for draw in good) == stage.others


# ---------------------------------------------------------------------------------------------------- what is told


def test_a_run_tells_the_phase_that_was_drawn() -> None:
    found = scenario(rollout__phase="random", horizon="11 min")
    (result,) = simulate_each(found, ["canary"])
    told = result.scenario.start - 300.0
    assert 0 < told < 60
    assert result.phase_s == told
    assert json.loads(json.dumps(to_json([result])))["strategies"][0]["phase_s"] == told
    assert any("into a minute of the alarms" in line for line in story(result))
    again = simulate(Scenario.from_dict(result.recipe["scenario"]), "canary", seed=result.seed)
    assert again.bad_requests == result.bad_requests
    assert not any("into a minute" in line for line in story(simulate(scenario(horizon="11 min"), "canary")))


def test_best_cases_are_told() -> None:
    edge, lag = "`rollout.phase: random`", "no `lag` is given for errors"
    assert [edge in remarks_about(scenario())[0], lag in remarks_about(scenario())[1]] == [True, True]
    assert len(remarks_about(scenario(rollout__phase="random", alarms__errors__lag="1 min"))) == 0
    assert lag in "".join(remarks_about(scenario(rollout__phase="0 s")))
    assert edge not in "".join(remarks_about(scenario(rollout__phase="0 s")))  # written: it is meant
    assert edge not in "".join(remarks_about(scenario(rollout__start="310 s")))
    assert remarks_about(scenario(rollout__alarms=[])) == ()  # nothing acts
    for told in (compare(scenario(), 4, twin=False), simulate(scenario(horizon="11 min"), "canary")):
        assert sum(lag in note for note in told.approximations) == 1


def test_the_run_without_the_rollout_has_its_incident_at_the_same_time() -> None:
    other = {"source": "http", "alias": "test", "arrivals": {"poisson": "1/s"}}
    found = scenario(
        rollout__phase="random",
        incident=[{"errors": "20%", "onset": "1 min", "until": "3 min"}],
        function__aliases={"test": 1, "prod": 1},
        traffic=[other, {"source": "http", "alias": "prod", "arrivals": {"poisson": "2/s"}}],
    )
    still = prepare(found).problem.baseline
    (bad,) = [columns["bad_requests"] for columns in compare(still, 4, twin=False, engine="simpy").columns.values()]
    alone = [simulate(found, NO_ROLLOUT, replication=number).bad_requests for number in range(4)]
    assert still.alias == "prod"
    assert bad.tolist() == alone
