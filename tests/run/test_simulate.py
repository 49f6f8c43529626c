"""One run: conservation, common random numbers, the order of an instant, and closed forms.

The tests against closed forms compare one run of a fixed seed with 4.5 standard errors (false-alarm rate below
1 in 100,000 each), so a red one is a defect, not bad luck.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builders import scenario, steady
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rollout_sim.control.alarms import Alarm
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate, simulate_each
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import NO_ROLLOUT
from rollout_sim.study.backtest import backtest
from rollout_sim.study.comparison import compare
from rollout_sim.study.recommend.search import recommend
from rollout_sim.study.when import when
from rollout_sim.theory import erlang_b, no_request_probability

SIGMAS = 4.5


def ended(result: RunResult) -> pd.DataFrame:
    """The events that were over at the horizon."""
    assert result.events is not None
    end = result.events["start_s"] + result.scenario.start + result.events["init_s"] + result.events["duration_s"]
    return result.events[end < result.scenario.horizon - 1e-9]


def invocations(result: RunResult) -> int:
    return sum(one.invocations for one in result.versions.values())


def near(measured: float, expected: float, standard_error: float) -> None:
    assert abs(measured - expected) < SIGMAS * standard_error, (measured, expected, standard_error)


def test_a_bad_version_is_caught_by_the_canary() -> None:
    result = simulate(scenario(), "canary")
    assert result.outcome == "rolled_back"
    assert result.time_to_rollback_s is not None
    assert result.time_to_rollback_s % 60 == 0
    assert result.reason == "rolled back: errors in ALARM"
    last = result.history[-1]
    assert (last.alias, last.to_version, dict(last.to_routing)) == ("prod", "1", {})
    assert list(result.changes["to_routing"]) == ["", "2:0.1", ""]


def everything(result: RunResult) -> tuple[dict[str, Any], float | None, bytes, str]:
    """What there is in a run with events: its summary, its end, the bytes of its arrays, its events."""
    assert result.events is not None
    arrays = pickle.dumps((result.metrics, result.counts, result.shifts))
    return result.summary, result.time_to_end_s, arrays, result.events.to_csv()


@pytest.mark.parametrize(
    ("threshold", "interval", "taken"),
    [("> 2", "6 min", True), ("> 2", "2 min", False), ("> 100", "6 min", False)],
)  # fmt: skip
def test_a_strategy_that_begins_like_another_is_simulated_where_it_goes_on_otherwise(
    threshold: str, interval: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary is rolled back in its third minute or never; its like goes on after two or six minutes."""
    strategies = {
        "short": {"type": "canary", "percent": 10, "interval": interval},
        "canary": {"type": "canary", "percent": 10, "interval": "5 min"},
    }
    given = scenario(strategies=strategies, alarms__errors__threshold=threshold)
    alone = {name: simulate(given, name, events=True) for name in strategies}
    simulated: list[str] = []

    def counted(*arguments: Any, **named: Any) -> RunResult:
        simulated.append(arguments[1])
        return simulate(*arguments, **named)

    monkeypatch.setattr("rollout_sim.run.simulate.simulate", counted)
    together = {result.strategy: result for result in simulate_each(given, events=True)}
    assert list(together) == list(strategies)
    assert simulated == [NO_ROLLOUT, "short", *([] if taken else ["canary"])]
    for name, result in together.items():
        assert everything(replace(result, baseline=None)) == everything(alone[name])


@pytest.mark.parametrize(
    ("strategy", "changes", "outcome"),
    [
        ({"hooks": {"before_allow_traffic": {"invocations": 10, "over": "5 s"}}}, {}, "failed"),
        ({}, {"alarms__errors__of": "alias", "incident": {"errors": "60%", "onset": "-4 min"}}, "blocked"),
        ({"type": "linear", "interval": "1000000.4 us"}, {"rollout__alarms": []}, "promoted"),
    ],
    ids=["failed before its first shift", "blocked", "steps between microseconds"],
)  # fmt: skip
def test_strategies_that_begin_alike_end_as_they_do_alone(
    strategy: dict[str, Any], changes: dict[str, Any], outcome: str
) -> None:
    """Also those that never shift, or are told apart by their bake alone."""
    canary = {"type": "canary", "percent": 10, "interval": "5 min"} | strategy
    strategies = {"one": canary, "longer": canary | {"bake": "1 min"}}
    versions = {"1": {"duration": "100 ms"}, "2": {"duration": "100 ms", "error_rate": "60%"}}
    given = scenario(strategies=strategies, function__versions=versions, **changes)
    together = {result.strategy: replace(result, baseline=None) for result in simulate_each(given, events=True)}
    assert together["one"].outcome == outcome
    for name, result in together.items():
        assert everything(result) == everything(simulate(given, name, events=True))


def test_the_function_keeps_the_history_of_a_linear_rollout() -> None:
    result = simulate(scenario(rollout__alarms=[]), "linear")
    changes = result.changes[result.changes["reason"].str.startswith("step")]
    assert list(changes["time_s"]) == [0, 120, 240, 360]
    assert list(changes["to_routing"]) == ["2:0.25", "2:0.5", "2:0.75", ""]
    assert list(changes["to_version"]) == ["1", "1", "1", "2"]
    assert result.time_to_full_s == 360


@given(
    st.fixed_dictionaries(
        {
            "seed": st.integers(0, 2**32),
            "function__reserved_concurrency": st.sampled_from([None, 0, 1, 3]),
            "function__keep_alive": st.sampled_from(["1 s", "10 min"]),
            "traffic": st.sampled_from(
                [
                    [{"source": "http", "alias": "prod", "arrivals": {"poisson": "4/s"}, "retry": "standard"}],
                    [{"source": "http", "alias": "prod", "arrivals": {"poisson": "4/s"}, "retry": {"attempts": 3}}],
                    [{"source": "data", "alias": "prod", "arrivals": {"poisson": "4/s"}}],
                    [{"source": "schedule", "alias": "prod", "arrivals": {"fixed": "1 s"}}],
                    [
                        {"source": "http", "alias": "prod", "arrivals": {"fixed": "500 ms"}, "users": {"count": 50}},
                        {"source": "data", "alias": "prod", "arrivals": {"fixed": "1 s"}},
                    ],
                ]
            ),
            "function__versions__2": st.sampled_from(
                [
                    {"like": "1", "faults": [{"crash": "10%"}]},
                    {"like": "1", "faults": [{"init": "30%"}, {"latency": "50x", "ramp": "1 min"}]},
                    {
                        "like": "1",
                        "faults": [{"leak": {"per": "1 min", "errors": "10%"}}, {"load": {"above": 1, "errors": "5%"}}],
                    },
                ]
            ),
        }
    ),
    st.sampled_from(["instant", "canary", "linear"]),
)
@settings(max_examples=15)
def test_counts_are_conserved(changes: dict[str, Any], strategy: str) -> None:
    """Every arrival is answered or pending, every attempt is in the metrics, and every event in both."""
    given_ = scenario(horizon="12 min", **changes)
    result = simulate(given_, strategy, events=True)
    events = result.events
    assert events is not None
    attempts = events.groupby(["source", "request"]).size()
    assert result.requests + result.pending >= len(attempts)
    assert result.pending >= len(events) - len(ended(result))
    events = ended(result)
    assert int(result.metrics.invocations.sum() + result.metrics.throttles.sum()) == len(events)
    assert result.throttles == (events["outcome"] == "throttled").sum()
    assert int(result.metrics.errors.sum()) == (~events["outcome"].isin(["ok", "throttled"])).sum()
    assert result.cold_starts == events["cold"].sum()
    assert 0 <= result.bad_requests_new_version <= result.bad_requests <= result.requests
    if given_.function.concurrency == 0:
        assert invocations(result) == 0
    timeline = result.timeline
    assert timeline["requests"].sum() == result.requests
    assert timeline["invocations"].sum() == result.metrics.invocations.sum()


def test_concurrency_is_never_exceeded() -> None:
    result = simulate(steady(function__reserved_concurrency=2, horizon="10 min"), events=True)
    assert result.events is not None
    done = result.events[result.events["outcome"] != "throttled"]
    ends = done["start_s"] + done["init_s"] + done["duration_s"]
    steps = pd.concat([pd.Series(1, index=done["start_s"]), pd.Series(-1, index=ends)]).sort_index(kind="stable")
    assert steps.groupby(level=0).sum().cumsum().max() == 2


def frames(result: RunResult) -> list[str]:
    return [frame.to_csv() for frame in (result.timeline, result.alarms, result.changes)] + [repr(result.summary)]


def test_same_seed_same_bytes() -> None:
    first, second = (simulate(scenario(), "canary") for _ in range(2))
    assert frames(first) == frames(second)
    assert frames(simulate(scenario(), "canary", seed=2)) != frames(first)
    assert frames(simulate(scenario(), "canary", replication=1)) != frames(first)


def test_the_horizon_does_not_change_what_happened_before_it() -> None:
    long = simulate(scenario(), "canary", events=True).events
    short = simulate(scenario(horizon="10 min"), "canary", events=True).events
    assert long is not None
    assert short is not None
    ended = short[short["start_s"] < 290]
    pd.testing.assert_frame_equal(ended.reset_index(drop=True), long.head(len(ended)).reset_index(drop=True))


def first_attempts(strategy: str, **changes: Any) -> pd.DataFrame:
    given_ = scenario(rollout__alarms=[], strategies={"low": {"type": "canary", "percent": 10, "interval": "10 min"},
                      "high": {"type": "canary", "percent": 30, "interval": "10 min"}}, **changes)  # fmt: skip
    events = simulate(given_, strategy, events=True).events
    assert events is not None
    return events[events["attempt"] == 1].set_index("request").sort_index()


def test_strategies_meet_the_same_chance_and_a_higher_weight_only_adds_to_the_new_version() -> None:
    low, high = first_attempts("low"), first_attempts("high")
    both = low.index.intersection(high.index)
    assert len(both) > 5000
    assert (low.loc[both, "start_s"] == high.loc[both, "start_s"]).all()
    moved = low.loc[both, "version"] != high.loc[both, "version"]
    assert moved.any()
    assert (high.loc[both[moved], "version"] == "2").all()
    assert (low.loc[both[~moved], "outcome"] == high.loc[both[~moved], "outcome"]).all()


def test_no_rollout_is_the_paired_baseline() -> None:
    runs = {result.strategy: result for result in simulate_each(scenario())}
    assert list(runs) == ["instant", "canary", "linear"]
    for run in runs.values():
        assert run.baseline is not None
        assert run.baseline.strategy == NO_ROLLOUT
        assert set(run.baseline.history) == {entry for entry in run.history if entry.at == 0}
        caused = run.summary["budget_spent_by_rollout"]["availability"]
        slo = run.scenario.slos[0]
        assert caused == pytest.approx((run.bad_requests - run.baseline.bad_requests) / run.budget(slo).whole)


def test_an_arrival_at_the_instant_of_a_shift_meets_the_new_weight() -> None:
    given_ = scenario(
        traffic=[{"source": "schedule", "alias": "prod", "arrivals": {"fixed": "1 min"}}], rollout__alarms=[]
    )
    events = simulate(given_, "instant", events=True).events
    assert events is not None
    by_minute = events[events["attempt"] == 1].set_index("start_s")["version"]
    assert by_minute.loc[-60.0] == "1"
    assert by_minute.loc[0.0] == "2"


def test_a_completion_at_the_instant_of_an_evaluation_is_seen_by_it() -> None:
    """Constant durations end exactly on the minute; the alarm of that minute counts them."""
    given_ = scenario(
        function__versions={
            "1": {"duration": "1 s"},
            "2": {"duration": "1 s", "faults": [{"errors": "100%"}]},
        },
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"fixed": "1 min", "offset": "59 s"}}],
        alarms__errors={"metric": "errors", "of": "new_version", "threshold": "> 0", "missing": "not_breaching"},
    )
    assert simulate(given_, "instant").time_to_rollback_s == 60


def test_in_flight_invocations_finish_on_the_old_version() -> None:
    given_ = scenario(
        function__versions={"1": {"duration": "4 s"}, "2": {"duration": "4 s"}},
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"fixed": "1 s", "offset": "500 ms"}}],
        rollout__alarms=[],
    )
    events = simulate(given_, "instant", events=True).events
    assert events is not None
    across = events[(events["start_s"] < 0) & (events["start_s"] + events["duration_s"] > 0)]
    assert len(across) == 4
    assert set(across["version"]) == {"1"}


def test_a_timeout_destroys_the_environment() -> None:
    timed_out = simulate(steady(function__versions={"1": {"duration": "6 s"}}, horizon="5 min"))
    assert timed_out.versions["1"].errors == timed_out.versions["1"].invocations == timed_out.cold_starts
    kept = simulate(steady(function__versions={"1": {"duration": "4 s"}}, horizon="5 min"))
    assert kept.cold_starts < kept.versions["1"].invocations / 4


def test_an_asynchronous_error_is_retried_after_one_and_two_minutes() -> None:
    given_ = steady(
        function__versions={"1": {"duration": "1 s", "error_rate": "100%"}},
        traffic=[{"source": "data", "alias": "prod", "arrivals": {"fixed": "10 min"}}],
        horizon="9 min",
    )
    result = simulate(given_, events=True)
    assert result.events is not None
    assert list(result.events["start_s"]) == [0, 61, 182]
    assert (result.requests, result.bad_requests) == (1, 1)


def test_a_retry_that_succeeds_is_a_good_request_that_cost_two_invocations() -> None:
    given_ = steady(
        function__versions={"1": {"duration": "100 ms", "error_rate": "50%"}},
        traffic=[
            {
                "source": "http",
                "alias": "prod",
                "arrivals": {"poisson": "5/s"},
                "retry": {"attempts": 5, "jitter": "none"},
            }
        ],
    )
    result = simulate(given_)
    near(result.bad_requests / result.requests, 0.5**5, math.sqrt(0.5**5 / result.requests))
    near(invocations(result) / result.requests, 1.9375, 1.5 / math.sqrt(result.requests))


def test_throttles_are_bad_requests_but_no_errors() -> None:
    result = simulate(steady(function__reserved_concurrency=0))
    assert result.metrics.errors.sum() == 0
    assert result.throttles == result.bad_requests == result.requests > 0


@pytest.mark.parametrize("servers", [1, 2, 3, 5])
def test_throttling_follows_erlang_b(servers: int) -> None:
    """Poisson arrivals, exponential durations, no cold starts: an M/M/c/c queue at 0.9 x 1.991 erlang."""
    given_ = steady(
        function__versions={"1": {"duration": {"exponential": {"mean": "1.991 s"}}}},
        function__reserved_concurrency=servers,
        function__timeout="15 min",
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "0.9/s"}}],
        horizon="24 h",
    )
    result = simulate(given_)
    expected = erlang_b(servers, 0.9 * 1.991)
    # Throttles come in clumps: the variance of their share is at most (1 + 2 x mean stay) times the binomial one.
    standard_error = math.sqrt(3 * expected * (1 - expected) / result.requests)
    near(result.throttles / result.requests, expected, standard_error)


def test_occupancy_is_that_of_an_infinite_server_queue() -> None:
    """M/G/infinity: the mean number running is rate x mean duration, whatever the distribution."""
    given_ = steady(
        function__versions={"1": {"duration": {"gamma": {"mean": "2 s", "sd": "3 s"}}}},
        function__timeout="15 min",
        horizon="12 h",
    )
    running = simulate(given_).versions["1"].running
    assert running is not None
    near(running, 10.0, math.sqrt(5 * (2**2 + 3**2) / (12 * 3600)))


def test_a_quiet_canary_sees_nothing_as_often_as_theory_says() -> None:
    """One request a minute at 10%: no canary request in 5 minutes with probability exp(-0.5), over 120 replications."""
    given_ = scenario(
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "1/min"}}],
        horizon="10 min",
        rollout={"alias": "prod", "to": "2", "start": "0 s"},
    )
    runs = [simulate(given_, "canary", replication=r) for r in range(120)]
    unseen = np.mean([run.metrics.invocations[0, 1, :5].sum() == 0 for run in runs])
    p = no_request_probability(1 / 60, 0.1, 300)
    near(float(unseen), p, math.sqrt(p * (1 - p) / 120))


def test_provisioned_environments_are_warm_from_the_start() -> None:
    given_ = steady(function__versions={"1": {"duration": "100 ms", "cold_start": "1 s", "provisioned": 20}})
    result = simulate(given_)
    assert result.cold_starts == 0
    assert result.versions["1"].environments == pytest.approx(20)


def test_blue_green_warms_green_before_traffic() -> None:
    strategies = {
        "warm": {"type": "blue_green", "provisioned": 15, "allocation": "1 min"},
        "cold": {"type": "blue_green"},
    }
    given_ = scenario(
        strategies=strategies, rollout__alarms=[], function__versions__2={"like": "1", "error_rate": "0%"}
    )
    warm, cold = simulate(given_, "warm"), simulate(given_, "cold")
    assert (warm.time_to_full_s, cold.time_to_full_s) == (90, 30)
    assert warm.versions["2"].cold_starts == 0
    assert (cold.versions["2"].cold_starts or 0) > 0


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_canary_waits_for_its_provisioned_environments(engine: Any) -> None:
    """They are allocated first, and none of its requests waits for an init; without them some do."""
    canary = {"type": "canary", "percent": 10, "interval": "2 min"}
    given_ = scenario(
        engine=engine, rollout__alarms=[], function__versions__2={"like": "1", "error_rate": "0%"},
        strategies={"warm": canary | {"provisioned": 15, "allocation": "4 min"}, "cold": canary},
    )  # fmt: skip
    warm, cold = simulate(given_, "warm"), simulate(given_, "cold")
    assert (warm.time_to_full_s, cold.time_to_full_s) == (360, 120)
    assert [shift.at - given_.start for shift in warm.shifts] == [240, 360]
    assert warm.versions["2"].cold_starts == 0
    assert (cold.versions["2"].cold_starts or 0) > 0


def test_a_failed_hook_fails_the_deployment_before_any_user_sees_it() -> None:
    given_ = scenario(strategies={"tested": {"type": "blue_green"}}, function__versions__2__faults=[{"errors": "100%"}])
    result = simulate(given_, "tested")
    assert result.outcome == "failed"
    assert result.bad_requests_new_version == 0
    assert result.versions["2"].errors == 10


def test_failed_responses_hide_from_lambda_and_not_from_the_front_door() -> None:
    """A framework that catches the exception and answers 500: no alarm on errors sees it, the budget and the front door do."""
    bad = {"like": "1", "error_rate": "0%", "faults": [{"responses": "30%"}]}
    given_ = scenario(
        function__versions={"1": {"duration": "100 ms"}, "2": bad},
        alarms={
            "errors": {"metric": "errors", "of": "new_version", "datapoints": "2 of 2", "threshold": "> 0",
                       "missing": "not_breaching"},
            "front": {"metric": "responses_5xx", "datapoints": "2 of 2", "threshold": "> 0", "missing": "not_breaching"},
        },
    )  # fmt: skip
    blind = simulate(given_, "canary")
    assert blind.outcome == "promoted"
    assert int(blind.metrics.errors.sum()) == 0
    assert blind.versions["2"].errors == 0
    new = int(blind.counts.requests[0, 1].sum())
    near(blind.bad_requests / new, 0.3, math.sqrt(0.21 / new))
    assert blind.bad_requests == int(blind.metrics.failed_responses.sum())
    assert blind.budget(given_.slos[0]).bad.sum() == blind.bad_requests
    assert given_.rollout is not None
    seeing = replace(given_, rollout=replace(given_.rollout, alarms=("front",)))
    assert simulate(seeing, "canary").time_to_rollback_s == 120
    columns = compare(replace(seeing, engine="aggregate"), 1000, twin=False).columns["canary"]
    share = 1 - math.exp(-0.1 * 5 * 60 * 0.3)  # a minute with a failed response, of the new version
    early = (columns["time_to_rollback_s"] == 120).mean()
    assert early == pytest.approx(share**2, abs=4 * math.sqrt(share**2 * (1 - share**2) / 1000))


def test_latency_is_what_the_front_door_sees_inits_included() -> None:
    """Every 20 s a request of 100 ms; environments live for 5 s, so that each of them waits for an init of 400 ms."""
    given_ = steady(
        function__versions={"1": {"duration": "100 ms", "cold_start": "400 ms"}},
        function__keep_alive="5 s",
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"fixed": "20 s"}}],
        horizon="5 min",
    )
    alarms = {
        name: Alarm(metric="latency", statistic=statistic, threshold=threshold)
        for name, (statistic, threshold) in {
            "mean": ("average", "> 499 ms"), "at most": ("average", "> 500 ms"), "p99": ("p99", "> 499 ms"),
            "p99 at most": ("p99", "> 500 ms"),
        }.items()
    }  # fmt: skip
    alarms["Duration"] = Alarm(metric="duration", threshold="> 101 ms")
    for engine in ("simpy", "compiled"):
        result = simulate(replace(given_, alarms=alarms, engine=engine))
        assert {name for _, name, _, new in result.alarm_log if new == "ALARM"} == {"mean", "p99"}
    study = replace(scenario(), alarms={"errors": Alarm(metric="latency", statistic="p99", threshold="> 1 s")})
    assert "an alarm on latency sees its cold starts" in choose_engine(study).reason
    warm = replace(study, function=replace(study.function, versions={
        number: replace(spec, cold_start=None) for number, spec in study.function.versions.items()}))  # fmt: skip
    assert choose_engine(warm).engine == "aggregate"


@pytest.mark.parametrize("metric", ["responses_5xx", "latency"])
def test_the_front_door_knows_no_versions(metric: str) -> None:
    for of in ("new_version", "old_version"):
        with pytest.raises(ValueError, match=f"of: {metric} is the front door's, which knows no versions, got {of}"):
            Alarm(metric=metric, of=of, threshold="> 1 s" if metric == "latency" else "> 1")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_good_version_passes_the_default_hook_of_blue_green() -> None:
    """With a median of 1 s, the last of the ten tests, sent after 28.5 s, is answered after 30 s in one of five rollouts."""
    given_ = scenario(
        function__timeout="20 s",
        function__versions={"1": {"duration": {"lognormal": {"median": "1 s", "p99": "4 s"}}}, "2": {"like": "1"}},
        strategies={"tested": {"type": "blue_green"}},
        rollout__alarms=[],
        alarms=None,
    )
    simulated = compare(replace(given_, engine="simpy"), 60, twin=False).columns["tested"]
    drawn = compare(replace(given_, engine="aggregate"), 1000, twin=False).columns["tested"]
    for columns in (simulated, drawn):
        assert (columns["outcome"] == 1).all()
    z = (math.log(1.5) - 0.0) / (math.log(4) / 2.3263478740408408)
    late = math.erfc(z / math.sqrt(2)) / 2
    assert 0.15 < late < 0.3
    assert (drawn["time_to_full_s"] > 30).mean() == pytest.approx(late, abs=0.07)  # and a few of those sent before it
    assert stats.ks_2samp(simulated["time_to_full_s"], drawn["time_to_full_s"]).pvalue > 1e-4


def test_a_hook_that_never_answers_fails_after_an_hour() -> None:
    hooks = {"before_allow_traffic": {"answers": "never"}}
    given_ = scenario(horizon="3 h", strategies={"canary": {"type": "Canary10Percent10Minutes", "hooks": hooks}})
    result = simulate(given_, "canary")
    assert (result.outcome, result.time_to_end_s) == ("failed", 3600)
    assert result.reason == "failed: no answer of the pre-traffic hook in an hour"
    columns = compare(replace(given_, engine="aggregate"), 3, twin=False).columns["canary"]
    assert (columns["outcome"] == 3).all()


@pytest.mark.parametrize(
    ("scale_up", "gap", "throttled"), [(10, "100 ms", 450), (1000, "5 ms", 5000), (1000, "2 ms", 20000)]
)
def test_scale_up_is_limited(scale_up: int, gap: str, throttled: int) -> None:
    """Of a stream of invocations that never end, each 10 s start as many as the limit says, the first 10 s included."""
    given_ = steady(
        function__versions={"1": {"duration": "60 s"}},
        function__timeout="2 min",
        function__scale_up=scale_up,
        function__account_concurrency=100_000,
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"fixed": gap}}],
        horizon="50 s",
    )
    result = simulate(given_)
    assert result.throttles == throttled
    assert result.pending == 5 * scale_up
    assert result.versions["1"].cold_starts == 0  # none of them has ended


def test_subset_faults_hit_the_same_users_under_every_strategy() -> None:
    given_ = scenario(
        function__versions__2={"like": "1", "error_rate": "0%", "faults": [{"subset": {"users": "10%"}}]},
        function__versions__1__error_rate="0%",
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "20/s"}, "users": {"count": 100}}],
        rollout__alarms=[],
    )
    hurt = []
    for strategy in ("instant", "linear"):
        events = simulate(given_, strategy, events=True).events
        assert events is not None
        hurt.append(set(events[events["outcome"] == "error"]["user"]))
    assert hurt[0] == hurt[1]
    assert 1 <= len(hurt[0]) <= 25


def test_a_ten_percent_canary_reaches_far_more_than_ten_percent_of_the_users() -> None:
    given_ = scenario(
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "20/s"}, "users": {"count": 200}}],
        rollout__alarms=[],
        horizon="10 min",
    )
    result = simulate(given_, "canary")
    assert result.users_reached is not None
    assert result.users_reached > 0.9
    assert result.users_affected is not None


def test_on_call_ends_what_the_deployment_let_through() -> None:
    given_ = scenario(
        strategies={"instant": {"type": "all_at_once"}},
        on_call={"alarms": ["errors"], "response": "3 min"},
        horizon="15 min",
    )
    result = simulate(given_, "instant")
    assert result.outcome == "promoted"
    assert result.on_call_rollback_s == 2 * 60 + 180
    assert result.history[-1].reason == "rolled back by on-call"


def test_propagation_delays_what_the_router_does_not_what_the_controller_decides() -> None:
    given_ = scenario(function__propagation="30 s", rollout__alarms=[])
    events = simulate(given_, "instant", events=True).events
    assert events is not None
    assert events[events["version"] == "2"]["start_s"].min() >= 30


def test_a_run_that_would_take_days_is_refused_with_the_figure() -> None:
    with pytest.raises(ScenarioError, match=r"5\.26e\+13 invocations"):
        simulate(
            steady(horizon="36500 d", traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "16667/s"}}])
        )


def test_unknown_strategies_are_named() -> None:
    with pytest.raises(ScenarioError, match="got 'canari'; allowed instant, canary, linear"):
        simulate(scenario(), "canari")
    with pytest.raises(ScenarioError, match="choose one, got none"):
        simulate(scenario())


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda _: simulate("scenarios/checkout.yaml"), "scenario: needs a Scenario, got 'scenarios/checkout.yaml'"),
        (lambda _: list(simulate_each("checkout.yaml")), "scenario: needs a Scenario, got 'checkout.yaml'"),
        (lambda _: compare("checkout.yaml", 2), "scenario: needs a Scenario, got 'checkout.yaml'"),
        (lambda _: recommend("checkout.yaml"), "scenario: needs a Scenario, got 'checkout.yaml'"),
        (lambda _: when("checkout.yaml"), "scenario: needs a Scenario, got 'checkout.yaml'"),
        (lambda _: backtest("checkout.yaml", "."), "scenario: needs a Scenario, got 'checkout.yaml'"),
        (lambda given: compare(given, 2, "canary"), "strategies: needs a list of names, got 'canary'"),
        (lambda given: compare(given, "2"), "replications: needs a whole number from 1, got '2'"),
        (lambda given: compare(given, 2, engine="fast"), "engine: choose one, got 'fast'; allowed auto, aggregate"),
        (lambda given: simulate(given, "canary", seed=-1), "seed: needs a whole number from 0, got -1"),
        (lambda given: simulate(given, "canary", seed=1.5), "seed: needs a whole number from 0, got 1.5"),
        (lambda given: recommend(given, time=-1), "time: must be above 0, got -1"),
        (lambda _: Scenario.from_dict("checkout.yaml"), "scenario: needs a mapping of fields, got 'checkout.yaml'"),
    ],
)
def test_what_python_is_given_by_mistake_is_told_as_an_error_of_the_scenario(
    call: Callable[[Scenario], Any], told: str
) -> None:
    with pytest.raises(ScenarioError, match=re.escape(told)):
        call(scenario())


def test_a_scenario_shows_itself_in_a_line() -> None:
    assert repr(scenario(name="small")).startswith("small: prod from version 1 to 2, ")
