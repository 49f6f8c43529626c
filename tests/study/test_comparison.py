"""Comparisons: the contract of the JSON, the twin, pairing, and independence of who does the work."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import data, scenario

from rollout_sim.control.slo import budget_events
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.batch import concatenate, run_batch
from rollout_sim.scenario.sections import Engine
from rollout_sim.study import comparison
from rollout_sim.study.comparison import Comparison, batches_of, compare, good_twin
from rollout_sim.study.executor import run_batches
from rollout_sim.theory import catch_probability


def same(one: Comparison, other: Comparison) -> bool:
    return json.dumps(one.to_json()) == json.dumps(other.to_json())


def test_the_keys_of_the_contract() -> None:
    document = compare(scenario(), 100).to_json()
    assert {"scenario", "seed", "replications", "engine", "engine_reason", "strategies", "twin"} <= set(document)
    assert document["engine"] == "aggregate"
    entry = document["strategies"][1]
    assert entry["strategy"] == "canary"
    assert {"mean", "low", "high"} <= set(entry["rolled_back"])
    assert {"mean", "low", "high", "p50", "p95"} <= set(entry["time_to_rollback_s"])
    for name in ("promoted", "time_to_full_s", "requests", "bad_requests", "bad_requests_new_version", "throttles"):
        assert name in entry
    assert set(entry["budget_spent"]) == {"availability"}
    assert (entry["cold_starts"], entry["users_affected"]) == (None, None)
    assert [one["strategy"] for one in document["twin"]["strategies"]] == ["instant", "canary", "linear"]
    json.dumps(document, allow_nan=False)


def test_what_never_happened_is_null() -> None:
    document = compare(scenario(rollout__alarms=[]), 50).to_json()
    assert document["strategies"][0]["time_to_rollback_s"] is None
    assert document["strategies"][0]["rolled_back"]["mean"] == 0


def test_the_twin_is_good_and_otherwise_the_same() -> None:
    given = scenario()
    good = good_twin(given)
    assert good is not None
    assert good.function.versions["2"].faults == ()
    assert replace(good, function=given.function) == given
    compared = compare(given, 300)
    assert compared.twin is not None
    for name in ("canary", "linear"):
        bad, fine = (one.estimates(name)["stopped"] for one in (compared, compared.twin))
        assert bad is not None
        assert fine is not None
        assert bad.mean > 0.9
        assert fine.mean < 0.4


def test_a_version_without_faults_has_no_twin() -> None:
    given = scenario(function__versions__2={"like": "1"})
    assert good_twin(given) is None
    assert compare(given, 20).to_json()["twin"] is None


def test_strategies_meet_the_same_arrivals() -> None:
    compared = compare(scenario(rollout__alarms=[]), 200, twin=False)
    requests = [columns["requests"] for columns in compared.columns.values()]
    # But for the few that are still running at the horizon.
    assert all(np.abs(one - requests[0]).max() <= 6 for one in requests)
    assert requests[0].std() > 50


def test_the_same_plan_comes_to_the_same() -> None:
    twice = {name: {"type": "canary", "percent": 10, "interval": "5 min"} for name in ("a", "b")}
    compared = compare(scenario(strategies=twice), 100, twin=False)
    for name in compared.columns["a"]:
        np.testing.assert_array_equal(compared.columns["a"][name], compared.columns["b"][name])


def test_a_strategy_does_not_depend_on_which_others_run() -> None:
    together, alone = compare(scenario(), 60), compare(scenario(), 60, ["linear"])
    for name, values in alone.columns["linear"].items():
        np.testing.assert_array_equal(values, together.columns["linear"][name])


def test_more_replications_only_add_to_fewer() -> None:
    few, many = compare(scenario(), 300, twin=False), compare(scenario(), 1500, twin=False)
    for name, values in few.columns["canary"].items():
        np.testing.assert_array_equal(values, many.columns["canary"][name][:300])


@pytest.mark.parametrize("engine", ["aggregate", "simpy"])
@pytest.mark.slow
def test_two_processes_give_the_same_bytes(engine: str) -> None:
    given = scenario(horizon="8 min")
    count = 1500 if engine == "aggregate" else 6
    assert same(compare(given, count, engine=engine), compare(given, count, engine=engine, jobs=2))


def test_the_order_of_the_work_does_not_matter() -> None:
    given = scenario()
    batches = batches_of(given, choose_engine(given), ("canary",), 3, 2500)
    forward = dict(run_batches(batches))
    backward = {number: run_batch(batches[number]) for number in reversed(range(len(batches)))}
    one, other = (concatenate([found[k]["canary"] for k in range(len(batches))]) for found in (forward, backward))
    assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)


def test_the_catch_probability_meets_its_closed_form() -> None:
    """One-minute periods, 1 of 1, errors above 2 on 10% of 5/s at 1 - 0.99 × 0.9: misses the chain's by 4 sigma at most."""
    given = scenario(
        strategies={"canary": {"type": "canary", "percent": 10, "interval": "5 min"}},
        function__versions__2={"like": "1", "faults": [{"errors": "10%"}]},
        alarms={"errors": {"metric": "errors", "of": "new_version", "threshold": "> 4", "missing": "not_breaching"}},
    )
    n = 20_000
    caught = compare(given, n, twin=False).columns["canary"]["outcome"] == 2
    truth = catch_probability(5, [(0, 0.1)], 1 - 0.99 * 0.9, 300, threshold_count=4)
    # Invocations last 0.1 s: the last period's late ones are seen a minute too late, which is 0.2% of its errors.
    assert abs(caught.mean() - truth) < 4 * math.sqrt(truth * (1 - truth) / n) + 0.002


OBSTACLES: list[tuple[dict[str, Any], str]] = [
    ({"traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "5/s"}, "retry": {"attempts": 3}}]}, "clients retry"),
    ({"traffic": [{"source": "data", "alias": "prod", "arrivals": {"poisson": "5/s"}}]}, "retries asynchronous"),
    ({"traffic": [{"source": "http", "alias": "prod", "arrivals": {"fixed": "1 s"}}]}, "exact times"),
    ({"function__reserved_concurrency": 2}, "concurrency of 2 can bind"),
    ({"function__scale_up": 3}, "scale-up rate of 3"),
    ({"function__propagation": "5 s"}, "propagate"),
    ({"function__versions__2": {"like": "1", "faults": [{"leak": {"per": "1 h", "errors": "5%"}}]}}, "leaks"),
    ({"function__versions__2": {"like": "1", "faults": [{"load": {"above": 3, "errors": "5%"}}]}}, "load"),
    ({"function__versions__2": {"like": "1", "faults": [{"init": "5%"}]}}, "cold starts"),
    ({"slos": [{"name": "fast", "sli": {"latency": "1 s"}, "objective": "99%"}]}, "latency SLO sees its cold starts"),
    ({"alarms": {"errors": {"metric": "duration", "threshold": "> 1 s"}}}, "mean duration"),
    ({"function__versions__1__cold_start": {"exponential": {"mean": "3 s"}}}, "init limit"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "reason"), OBSTACLES, ids=[reason for _, reason in OBSTACLES])
def test_state_that_something_reads_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    given = scenario(**changes)
    assert choose_engine(given).engine in ("simpy", "compiled")
    assert reason in choose_engine(given).reason
    with pytest.raises(ScenarioError, match=reason):
        choose_engine(given, "aggregate")


def test_state_that_nothing_reads_is_no_reason_to_refuse() -> None:
    """Cold starts, a warm pool, a reserved concurrency far away, percentiles of Duration."""
    given = scenario(
        function__reserved_concurrency=500,
        alarms={"errors": {"metric": "duration", "statistic": "p99", "of": "new_version", "threshold": "> 2 s"}},
    )
    assert choose_engine(given).engine == "aggregate"


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ScenarioError, match="needs a whole number from 1, got 0"):
        compare(scenario(), 0)
    with pytest.raises(ScenarioError, match="got 'canari'"):
        compare(scenario(), 10, ["canari"])
    with pytest.raises(ScenarioError, match=r"days on the simpy plane"):
        compare(scenario(), 10**9, engine="simpy")


def test_replications_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(ScenarioError, match="replications: got 1,000,000,000; allowed 1,333,333 of 3 strategies"):
        compare(scenario(), 10**9, engine="aggregate")


def test_the_run_without_a_rollout_is_no_strategy() -> None:
    with pytest.raises(ScenarioError, match="'no rollout' is what every strategy is set beside; allowed instant"):
        compare(scenario(), 5, ["no rollout"])


@pytest.mark.parametrize("engine", ["aggregate", "simpy"])
def test_what_the_rollout_adds_is_nothing_for_a_good_version(engine: Engine) -> None:
    """Request by request: the ordinary errors of a good version are those that the old one would have had."""
    count = 200 if engine == "aggregate" else 2
    given = scenario(function__versions__1__cold_start=None, horizon="12 min", rollout__start="2 min")
    compared = compare(given, count, ["instant"], engine=engine)
    assert compared.twin is not None
    good, bad = compared.twin.columns["instant"], compared.columns["instant"]
    assert not good["bad_requests_added"].any()
    assert not good["budget_spent_by_rollout.availability"].any()
    assert good["bad_requests"].all()
    whole = budget_events(0.999, 5.0, given.slos[0].window)
    assert bad["budget_spent_by_rollout.availability"] == pytest.approx(bad["bad_requests_added"] / whole)
    # Of 5 requests a second, 20% of the 99% that would have been good; until it is stopped after 2 min.
    served = np.where(np.isnan(bad["time_to_rollback_s"]), 600.0, bad["time_to_rollback_s"]) * 5
    assert bad["bad_requests_added"].mean() == pytest.approx(served.mean() * 0.198, rel=0.03 if count > 2 else 0.3)
    entry = json.loads(json.dumps(compared.to_json()))["strategies"][0]
    assert entry["bad_requests_added"]["mean"] == pytest.approx(bad["bad_requests_added"].mean())
    assert entry["budget_spent_by_rollout"]["availability"]["mean"] > 0


def test_the_planes_agree_on_what_a_rollout_adds() -> None:
    """Its mean over runs one by one, paired with runs without the rollout, and as the aggregate plane draws it."""
    given = scenario(
        function__versions__1__cold_start=None, function__versions__2={"like": "1", "faults": [{"errors": "2%"}]},
        horizon="12 min", rollout__start="2 min",
    )  # fmt: skip
    one = compare(given, 12, ["canary"], engine="simpy", twin=False).columns["canary"]["bad_requests_added"]
    many = compare(given, 2000, ["canary"], engine="aggregate", twin=False).columns["canary"]["bad_requests_added"]
    error = np.sqrt(one.var(ddof=1) / one.size + many.var(ddof=1) / many.size)
    assert abs(one.mean() - many.mean()) < 4 * error


@pytest.mark.parametrize("engine", ["aggregate", "simpy"])
def test_a_comparison_says_which_alarm_stopped_it(engine: Engine) -> None:
    """Of two alarms the one that can fire; neither where nothing is stopped."""
    quiet = {"metric": "errors", "of": "new_version", "threshold": "> 100000", "missing": "not_breaching"}
    alarms = {**data()["alarms"], "never": quiet}
    given = scenario(
        alarms=alarms, rollout__alarms=["never", "errors"], function__versions__1__error_rate="0%",
        function__versions__1__cold_start=None,
    )  # fmt: skip
    compared = compare(given, 40 if engine == "aggregate" else 2, ["instant"], engine=engine)
    estimates = compared.estimates("instant")
    assert estimates["stopped"] == estimates["stopped_by.errors"]
    assert estimates["stopped_by.never"] is not None
    assert estimates["stopped_by.never"].mean == 0
    assert compared.reasons == {"instant": "rolled back by errors in 100%"}
    assert compared.twin is not None
    assert compared.twin.reasons == {}
    entry = compared.to_json()["strategies"][0]
    assert set(entry["stopped_by"]) == {"never", "errors"}
    assert entry["reason"] == "rolled back by errors in 100%"


def test_what_hooks_and_blocks_come_to_is_said_too() -> None:
    always = {"metric": "errors", "of": "alias", "threshold": ">= 0", "missing": "breaching", "datapoints": "1 of 1"}
    blocked = compare(scenario(alarms={"errors": always}), 20, ["canary"], twin=False)
    assert blocked.reasons == {"canary": "blocked by an alarm at its start in 100%"}
    tests = {"before_allow_traffic": {"invocations": 50, "over": "1 min"}}
    tested = scenario(strategies={"tested": {"type": "blue_green", "hooks": tests}})
    assert compare(tested, 20, twin=False).reasons == {"tested": "failed in its hooks' tests in 100%"}


def test_an_interrupted_comparison_keeps_the_first_replications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: the replications that are done in all of its parts, the same as those of a comparison of so many."""
    given = scenario()
    whole = compare(given, 3000)
    size = whole.plane.batch
    assert size < 1500
    original, finished = comparison.run_all, [5]

    def interrupted(*args: Any, **options: Any) -> Iterator[Any]:
        for k, pair in enumerate(original(*args, **options)):
            if k in finished:
                raise KeyboardInterrupt
            yield pair

    monkeypatch.setattr(comparison, "run_all", interrupted)
    kept = compare(given, 3000)
    assert (kept.replications, kept.interrupted) == (2 * size, 3000)
    assert kept.to_json()["interrupted"] == 3000
    assert whole.interrupted is None
    with pytest.raises(KeyboardInterrupt):  # what is a part of a report or a backtest ends that
        compare(given, 3000, keep=False)
    assert kept.twin is not None
    assert whole.twin is not None
    for side, whole_side in ((kept, whole), (kept.twin, whole.twin)):
        for name, columns in side.columns.items():
            for label, column in columns.items():
                np.testing.assert_array_equal(column, whole_side.columns[name][label][: 2 * size])
    finished[0] = 1
    with pytest.raises(KeyboardInterrupt):
        compare(given, 3000)
    assert compare(given, 3000, twin=False).replications == size
    with pytest.raises(KeyboardInterrupt):  # a part of a larger study must not pass for the whole of it
        compare(given, 3000, seed=given.seed, twin=False, keep=False)
