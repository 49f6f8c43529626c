"""Queues and streams on the compiled plane: equal to the SimPy plane to the last bit, alone and beside what calls the function."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import test_compiled
from agreement.test_compiled import error_rates, faults, percent, retries, runs
from builders import scenario
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from planes.test_polling import QUEUE, STREAM
from planes.test_polling import sources as mappings

from rollout_sim.control.metrics import GAUGES
from rollout_sim.run.result import RunResult
from rollout_sim.scenario.scenario import Scenario

pytest.importorskip("numba", reason="the extra `compiled` is not installed")
pytestmark = pytest.mark.long

arrivals = st.one_of(
    st.sampled_from(["1/s", "15/s", "30/s"]).map(lambda x: {"poisson": x}),
    st.sampled_from(["100 ms", "1 s", "40 ms"]).map(lambda x: {"fixed": x}),
    st.just({"bursty": {"low": "1/s", "high": "60/s", "stay_low": "20 s", "stay_high": "5 s"}}),
)
polled = st.builds(
    lambda mapping, comes, bypasses: mapping | {"arrivals": comes} | ({"function": True} if bypasses else {}),
    mappings(), arrivals, st.sampled_from([False, False, False, True]),
).map(lambda source: {k: v for k, v in source.items() if not (k == "alias" and "function" in source)})  # fmt: skip
others = st.one_of(
    st.builds(
        lambda comes, retry: {"source": "http", "alias": "prod", "arrivals": comes, "users": {"count": 30}}
        | ({"retry": retry} if retry else {}),
        arrivals, retries,
    ),
    arrivals.map(lambda comes: {"source": "data", "alias": "prod", "arrivals": comes}),
)  # fmt: skip
alarms = st.sampled_from(
    [
        {"metric": "errors", "of": "new_version", "threshold": "> 3"},
        {"metric": "oldest_message_age", "threshold": "> 8 s", "period": "60 s"},
        {"metric": "messages_visible", "threshold": "> 20", "period": "60 s"},
        {"metric": "messages_in_dlq", "threshold": "> 5", "period": "60 s"},
        {"metric": "iterator_age", "of": "new_version", "threshold": "> 4 s", "period": "60 s"},
        {"metric": "duration", "statistic": "p90", "threshold": "> 300 ms", "period": "30 s"},
    ]
)
durations = st.sampled_from(
    [
        {"duration": {"base": "50 ms", "per_record": "3 ms"}},
        {"duration": {"exponential": {"mean": "200 ms"}}, "cold_start": "400 ms"},
        {"duration": {"lognormal": {"median": "80 ms", "p99": "4 s"}}, "per_record": "10 ms",
         "cold_duration": {"exponential": {"mean": "1 s"}}},
        {"duration": "0 s", "provisioned": 2},
    ]
)  # fmt: skip


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    version = draw(durations) | {"error_rate": draw(error_rates), "failed_responses": draw(percent(0, 20))}
    traffic = [draw(polled), *draw(st.lists(st.one_of(polled, others), max_size=2))]
    metric = draw(alarms)
    needed = {"iterator_age": STREAM}.get(metric["metric"], QUEUE if metric["metric"] in GAUGES else None)
    if needed is not None:
        traffic.append(needed | {"fifo": {"groups": 9}} if needed is QUEUE else needed)
    if any("function" in source for source in traffic):
        latest = {"$LATEST": {"like": "1", "provisioned": 0}}
    else:
        latest = {}
    traffic.append(STREAM | {"keys": {"count": 9}})
    return scenario(
        seed=draw(st.integers(0, 10_000)),
        horizon=draw(st.sampled_from(["4 min", "190 s"])),
        rollout__start=draw(st.sampled_from(["30 s", "61 s"])),
        rollout__revert=draw(st.sampled_from(["0 s", "7 s"])),
        function__versions={"1": version, **latest, "2": {"like": "1", "faults": draw(st.lists(
            st.one_of(faults, st.just({"poison": "3%"})), max_size=3))}},
        function__timeout=draw(st.sampled_from(["900 ms", "5 s"])),
        function__keep_alive=draw(st.sampled_from(["2 s", "40 s"])),
        function__reserved_concurrency=draw(st.sampled_from([None, 7, 15])),
        function__scale_up=draw(st.sampled_from([1000, 4])),
        incident=draw(st.sampled_from([None, [{"poison": "4%", "onset": "10 s", "until": "70 s"}]])),
        traffic=traffic,
        slos=draw(st.sampled_from([[], [{"name": "kept", "sli": "lost", "objective": "99%"}], [
            {"name": "any", "objective": "99%"}, {"name": "fresh", "sli": {"age": "6 s"}, "objective": "90%"},
            {"name": "kept", "sli": "lost", "objective": "99%"}]])),
        alarms={"errors": metric},
        strategies={"one": draw(test_compiled.strategies)},
    )  # fmt: skip


def assert_equal(one: RunResult, other: RunResult) -> None:
    test_compiled.assert_equal(one, other)
    for mine, its in zip(one.polled, other.polled, strict=True):
        for name in ("source", "arrived", "fates", "bad"):
            assert getattr(mine, name) == getattr(its, name)
        for name in ("ages", "mean_age", "times", "backlog", "oldest"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(its, name), name)
    for name in GAUGES:
        np.testing.assert_array_equal(one.metrics.gauges[name], other.metrics.gauges[name], name)
    for name in ("iterator_batches", "iterator_age_sum", "iterator_age_max"):
        np.testing.assert_array_equal(getattr(one.metrics, name), getattr(other.metrics, name), name)
    for mine, its in zip(one.counts.overdue_by, other.counts.overdue_by, strict=True):
        np.testing.assert_array_equal(mine, its)


@settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
@given(scenarios())
def test_equal_on_any_scenario(given_: Scenario) -> None:
    assert_equal(*runs(given_, "one"))
