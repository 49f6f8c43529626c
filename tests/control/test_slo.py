"""Budgets that count time slices: counted slowly from every invocation, the same on every plane."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from builders import data, scenario
from scipy import stats

from rollout_sim.control.slo import Objective, Slices
from rollout_sim.errors import ScenarioError
from rollout_sim.planes import compiled
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.batch import Batch, Samples, run_batch
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario

SINGLE = [
    "simpy",
    pytest.param("compiled", marks=pytest.mark.skipif(bool(compiled.SPEC.missing()), reason="Numba is not installed")),
]


def sliced(**changes: Any) -> Scenario:
    """Two budgets of the same traffic: of slices that are good or bad, and of slices as bad as their requests."""
    slos = [
        {"name": "uptime", "objective": "99%", "window": "1 d", "slices": {"every": "2 min", "target": "90%"}},
        {"name": "quality", "objective": "98%", "window": "1 d", "slices": {"every": "5 min"}, "spent": "10%"},
        {
            "name": "fast", "sli": {"latency": "300 ms"}, "objective": "95%", "window": "2 d",
            "slices": {"every": "1 min", "target": "80%"},
        },
    ]  # fmt: skip
    return scenario(**{"slos": slos, "horizon": "19 min"} | changes)


def slowly(result: RunResult, every: float, target: float | None, latency: float = math.inf) -> float:
    """Bad slices, counted from the table of all invocations, where each of them is a request of its own."""
    assert result.events is not None
    good: defaultdict[int, int] = defaultdict(int)
    total: defaultdict[int, int] = defaultdict(int)
    for event in result.events.to_dict("records"):
        start, took = event["start_s"] + result.scenario.start, event["init_s"] + event["duration_s"]
        if start + min(took, latency) > result.scenario.horizon:
            continue  # it is neither answered nor late yet
        total[int(start // every)] += 1
        good[int(start // every)] += event["outcome"] == "ok" and took <= latency
    if target is None:
        return sum(1 - good[number] / total[number] for number in total)
    return sum(good[number] < target * total[number] - 1e-9 for number in total)


@pytest.mark.parametrize("engine", SINGLE)
@pytest.mark.parametrize("rate", ["0.05/s", "3/s"])
def test_slices_are_counted_as_from_the_table_of_all_invocations(engine: Any, rate: str) -> None:
    given = sliced(engine=engine, traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": rate}}])
    result = simulate(given, "instant", events=True)
    uptime, quality, fast = (result.budget(slo) for slo in given.slos)
    assert uptime.whole == pytest.approx(0.01 * 720)
    assert uptime.spent == pytest.approx(slowly(result, 120, 0.9) / (0.01 * 720))
    assert quality.spent == pytest.approx(0.1 + slowly(result, 300, None) / (0.02 * 288))
    assert fast.spent == pytest.approx(slowly(result, 60, 0.8, 0.3) / (0.05 * 2880))
    assert min(uptime.spent, quality.spent - 0.1, fast.spent) > 0


@pytest.mark.skipif(bool(compiled.SPEC.missing()), reason="Numba is not installed")
def test_batches_lose_the_same_slices_as_single_runs() -> None:
    given = sliced(engine="compiled")
    plane = choose_engine(given, "compiled")
    columns = run_batch(Batch(scenario=given, strategies=("canary",), plane=plane, seed=3, first=0, count=3))["canary"]
    for k in range(3):
        result = simulate(given, "canary", seed=3, replication=k)
        for slo in given.slos:
            assert columns[f"budget_spent.{slo.name}"][k] == pytest.approx(result.budget(slo).spent, abs=1e-12)


def counted(given: Scenario, strategy: str) -> Samples:
    plane = choose_engine(given, "aggregate")
    return run_batch(Batch(scenario=given, strategies=(strategy,), plane=plane, seed=5, first=0, count=plane.batch))[
        strategy
    ]


def bad_slice(rate: float, share: float, target: float) -> float:
    """P(a slice with Poisson(`rate`) requests, of which each is bad with chance `share`, misses its target)."""
    numbers = np.arange(1, int(rate + 12 * math.sqrt(rate)) + 12)
    allowed = np.floor((1 - target) * numbers + 1e-9)
    return float((stats.poisson.pmf(numbers, rate) * stats.binom.sf(allowed, numbers, share)).sum())


@pytest.mark.parametrize("rate", [0.05, 2.0])
def test_the_aggregate_plane_loses_slices_as_the_closed_form_says(rate: float) -> None:
    """Steady traffic of the old version for 8 minutes, then of the new one, of which 20.8% is bad, for 12."""
    given = scenario(
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": f"{rate}/s"}}], horizon="20 min",
        rollout__start="8 min", rollout__alarms=[], alarms=None, function__timeout="1 s",
        function__versions={"1": {"duration": "10 ms", "error_rate": "1%"}, "2": {"like": "1", "faults": [{"errors": "20%"}]}},
        slos=[
            {"name": "uptime", "objective": "99%", "window": "1 d", "slices": {"every": "2 min", "target": "80%"}},
            {"name": "quality", "objective": "99%", "window": "1 d", "slices": {"every": "2 min"}},
        ],
    )  # fmt: skip
    columns = counted(given, "instant")
    whole, new, per = 0.01 * 720, 1 - 0.99 * 0.8, 120 * rate
    before, after = bad_slice(per, 0.01, 0.8), bad_slice(per, new, 0.8)
    some = 1 - math.exp(-per)
    expected = {
        "budget_spent.uptime": 4 * before + 6 * after,
        "budget_spent_by_rollout.uptime": 6 * (after - before),
        "budget_spent.quality": some * (4 * 0.01 + 6 * new),
        "budget_spent_by_rollout.quality": some * 6 * (new - 0.01),
    }
    for name, mean in expected.items():
        values = columns[name] * whole
        assert values.mean() == pytest.approx(mean, abs=4 * values.std() / math.sqrt(values.size) + 1e-9), name
    slices = columns["budget_spent.uptime"] * whole
    np.testing.assert_allclose(slices, np.round(slices), atol=1e-9)


def test_a_burn_rate_of_slices_is_that_of_the_newest_whole_ones() -> None:
    """All is well until minute 8, then a quarter of the requests fails: every slice of 2 min is bad from there on."""
    page = {
        "metric": "burn_rate",
        "slo": "uptime",
        "threshold": "> 40",
        "long": "4 min",
        "short": "2 min",
        "of": "alias",
    }
    given = scenario(
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "20/s"}}], function__timeout="1 s",
        function__versions={"1": {"duration": "10 ms"}, "2": {"like": "1", "faults": [{"errors": "25%"}]}},
        slos=[{"name": "uptime", "objective": "99%", "slices": {"every": "2 min", "target": "90%"}}],
        alarms={"page": page}, rollout__alarms=["page"], rollout__start="8 min",
        strategies={"instant": {"type": "all_at_once", "bake": "10 min"}},
    )  # fmt: skip
    result = simulate(given, "instant")
    # Half of the slices of the long window are bad after one of them: 50 x the budget's 1%.
    assert result.time_to_rollback_s == 120.0
    assert counted(given, "instant")["time_to_rollback_s"].tolist() == [120.0] * choose_engine(given, "aggregate").batch
    rates = result.budget(given.slos[0]).burn_rate(4)
    assert rates[[0, 1, 8, 9, 10]].tolist() == pytest.approx([math.nan, 0.0, 0.0, 50.0, 50.0], nan_ok=True)


def test_a_slice_that_just_meets_its_target_is_good() -> None:
    slices = Slices(every=60.0, target=0.99)
    assert slices.badness(np.array([1, 2, 0]), np.array([100, 100, 0])).tolist() == [0.0, 1.0, 0.0]


def test_the_last_slice_counts_by_what_it_has() -> None:
    slo = Objective(name="a", objective=0.9, slices=Slices(every=180.0, target=0.5))
    bad, requests = np.array([0, 0, 9, 0, 0, 0, 3]), np.array([1, 1, 9, 5, 5, 5, 3])
    assert slo.losses(bad, requests, 60.0).tolist() == [0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("slices", "error"),
    [
        ({"every": "90 s"}, "slices: `every` must be whole minutes, got 90 s"),
        ({"every": "1 min", "target": "0%"}, "slices: `target` must be above 0%, or no slice is ever bad, got 0%"),
        ({"every": "31 d"}, r"slices.every: must not be longer than the window of 30 d, got 31 d"),
    ],
)
def test_slices_that_make_no_sense_are_refused(slices: dict[str, Any], error: str) -> None:
    with pytest.raises(ScenarioError, match=error):
        scenario(slos=[{"name": "a", "objective": "99%", "slices": slices}])


def test_the_windows_of_a_burn_rate_hold_whole_slices() -> None:
    page = {"metric": "burn_rate", "slo": "a", "threshold": "> 1", "long": "1 h", "short": "7 min"}
    given = data(
        slos=[{"name": "a", "objective": "99%", "slices": {"every": "5 min"}}],
        alarms={"page": page},
        rollout__alarms=[],
    )
    error = r"alarms.page.short: the budget of 'a' counts slices of 5 min; got 7 min; allowed whole slices"
    with pytest.raises(ScenarioError, match=error):
        Scenario.from_dict(given)
