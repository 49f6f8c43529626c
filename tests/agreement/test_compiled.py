"""The compiled plane equals the SimPy plane: every invocation, every count, every average, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from builders import scenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout_sim.core.streams import BLOCK
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.compiled import feed as loading
from rollout_sim.planes.compiled import state as layout
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine

pytest.importorskip("numba", reason="the extra `compiled` is not installed")
pytestmark = pytest.mark.long

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def runs(given_: Scenario, strategy: str, *, events: bool = True) -> list[RunResult]:
    engines: tuple[Engine, ...] = ("simpy", "compiled")
    return [simulate(replace(given_, engine=engine), strategy, events=events) for engine in engines]


def assert_equal(one: RunResult, other: RunResult) -> None:
    assert (one.engine, other.engine) == ("simpy", "compiled")
    assert_same(one, other)


def assert_same(one: RunResult, other: RunResult) -> None:
    assert one.events is not None
    assert other.events is not None
    pd.testing.assert_frame_equal(one.events, other.events, check_exact=True)
    np.testing.assert_array_equal(one.metrics.latency_sum, other.metrics.latency_sum)
    assert np.array_equal(one.metrics.failed_responses, other.metrics.failed_responses)
    pd.testing.assert_frame_equal(one.timeline, other.timeline, check_exact=True)
    assert one.summary == other.summary
    assert one.alarm_log == other.alarm_log
    assert one.history == other.history


def seconds(low: float, high: float) -> st.SearchStrategy[str]:
    return st.integers(round(low * 1000), round(high * 1000)).map(lambda ms: f"{ms} ms")


def percent(low: float, high: float) -> st.SearchStrategy[str]:
    return st.integers(round(low * 10), round(high * 10)).map(lambda x: f"{x / 10}%")


durations = st.one_of(
    seconds(0, 3),
    seconds(0.02, 2).map(lambda x: {"exponential": {"mean": x}}),
    st.just({"lognormal": {"median": "200 ms", "p99": "4 s"}}),
    st.just({"gamma": {"mean": "300 ms", "sd": "500 ms"}}),
    st.just({"uniform": {"low": "0 s", "high": "1 s"}}),
)
faults = st.fixed_dictionaries(
    {},
    optional={"onset": seconds(0, 60), "ramp": seconds(0, 60)},
).flatmap(
    lambda when: st.one_of(
        percent(1, 60).map(lambda x: {"errors": x}),
        st.sampled_from([{"latency": "2x"}, {"latency": "700 ms", "share": "40%"}]),
        percent(1, 30).map(lambda x: {"crash": x}),
        percent(1, 30).map(lambda x: {"hang": x}),
        percent(1, 30).map(lambda x: {"responses": x}),
        st.sampled_from([{"init": "40%"}, {"init": "3 s"}, {"init": "9 s"}]),
        st.just({"leak": {"per": "30 s", "errors": "20%", "latency": "100 ms"}}),
        st.just({"load": {"above": 2, "errors": "30%", "latency": "1.5x"}}),
        st.just({"subset": {"users": "20%", "errors": "50%"}}),
    ).map(lambda fault: fault | when)
)
error_rates = st.one_of(
    percent(0, 20),
    st.just({"mean": "10%", "dispersion": 0.2, "every": "7 s"}),
    st.just({"calm": "2%", "spells": "60%", "spell": "1 min", "every": "90 s"}),
)
arrivals = st.one_of(
    st.sampled_from(["1/s", "9/s", "40/s"]).map(lambda x: {"poisson": x}),
    st.sampled_from(["100 ms", "1 s", "333 ms"]).map(lambda x: {"fixed": x}),
    st.just({"diurnal": {"mean": "6/s", "amplitude": "90%", "period": "2 min"}}),
    st.just({"cron": {"expression": "* * * * ? *", "within": "3 min"}}),
    st.just({"bursty": {"low": "1/s", "high": "40/s", "stay_low": "20 s", "stay_high": "5 s"}}),
)
retries = st.one_of(
    st.none(),
    st.sampled_from(["standard", "legacy"]),
    st.just({"attempts": 4, "on": ["throttle"], "base": "300 ms", "jitter": "none"}),
    st.just({"attempts": 3, "on": ["error"], "base": "1 s"}),
    st.just({"attempts": 3, "on": ["failed_response", "throttle"], "base": "1 s"}),
)
services = st.sampled_from(
    [
        {"source": "data"},
        {"source": "sns", "delivery": {"outage": {"share": "70%", "until": "80 s"}}},
        {"source": "eventbridge", "delivery": {"retries": 3, "max_age": "1 min", "outage": {"share": "40%"}}},
        {"source": "s3", "delivery": {"permission": "missing"}},
    ]
)
sources = st.one_of(
    st.builds(
        lambda a, r, u: {"source": "http", "alias": "prod", "arrivals": a, "users": u} | ({"retry": r} if r else {}),
        arrivals, retries, st.just({"count": 40, "zipf": 0.9}),
    ),
    st.builds(
        lambda a, n, age, size, service: {"alias": "prod", "arrivals": a, "async_retries": n, "max_event_age": age} | service | (
            {"size": {"uniform": {"low": "0 MB", "high": "9 MB"}}} if size else {}),
        arrivals, st.integers(0, 2), st.sampled_from(["30 s", "6 h"]), st.booleans(), services,
    ),
)  # fmt: skip
strategies = st.sampled_from(
    [
        {"type": "canary", "percent": 20, "interval": "50 s"},
        {"type": "linear", "percent": 30, "interval": "20 s", "bake": "1 min"},
        {"type": "all_at_once", "bake": "2 min"},
        {"type": "blue_green", "provisioned": 2, "allocation": "15 s", "bake": "90 s"},
        {"type": "blue_green", "bake": "1 min",
         "hooks": {"before_allow_traffic": {"invocations": 7, "over": "9 s", "max_failures": 4},
                   "after_allow_traffic": {"invocations": 3, "over": "5 s", "max_failures": 2}}},
    ]
)  # fmt: skip
alarms = st.sampled_from(
    [
        {"metric": "errors", "of": "new_version", "threshold": "> 3"},
        {"metric": "throttles", "threshold": "> 20", "period": "10 s"},
        {"metric": "order-failed", "threshold": "> 4", "datapoints": "2 of 3"},
        {"metric": "responses_5xx", "threshold": "> 8", "period": "30 s"},
        {"metric": "latency", "statistic": "p90", "threshold": "> 1 s", "period": "30 s"},
        {"metric": "duration", "statistic": "p90", "of": "new_version", "threshold": "> 1 s", "period": "30 s"},
        {"metric": "burn_rate", "slo": "fast", "long": "2 min", "short": "1 min", "threshold": "> 8"},
    ]
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    version: dict[str, Any] = {
        "duration": draw(durations),
        "error_rate": draw(error_rates),
        "failed_responses": draw(percent(0, 20)),
    }
    version |= draw(st.sampled_from([{}, {"cold_start": "700 ms"}, {"cold_duration": {"exponential": {"mean": "2 s"}}},
                                     {"cold_start": {"gamma": {"mean": "1 s", "sd": "3 s"}}}]))  # fmt: skip
    version["provisioned"] = draw(st.sampled_from([0, 0, 2]))
    traffic = [draw(sources)]
    if not traffic[0].get("users"):
        traffic[0]["users"] = {"count": 5}
    traffic += draw(st.lists(sources, max_size=1))
    if any("size" in source for source in traffic):
        version["per_mb"] = draw(st.sampled_from(["0 s", "40 ms"]))
    return scenario(
        seed=draw(st.integers(0, 10_000)),
        horizon=draw(st.sampled_from(["4 min", "190 s"])),
        rollout__start=draw(st.sampled_from(["30 s", "61 s"])),
        rollout__revert=draw(st.sampled_from(["0 s", "7 s"])),
        function__versions={"1": version, "2": {"like": "1", "faults": draw(st.lists(faults, max_size=3))}
                             | draw(st.sampled_from([{}, {}, {"error_rate": {"mean": "5%", "dispersion": 0.1}}]))},
        function__timeout=draw(st.sampled_from(["900 ms", "3 s", "20 s"])),
        function__keep_alive=draw(st.sampled_from(["2 s", "40 s"])),
        function__reserved_concurrency=draw(st.sampled_from([None, 6, 15])),
        function__scale_up=draw(st.sampled_from([1000, 4])),
        function__reuse=draw(st.sampled_from(["newest", "most_recent"])),
        function__propagation=draw(st.sampled_from(["0 s", "4 s"])),
        incident=draw(st.sampled_from([None, [{"errors": "30%", "onset": "30 s", "until": "50 s"}]])),
        traffic=traffic,
        slos=[{"name": "availability", "objective": "99%"}, {"name": "fast", "sli": {"latency": "800 ms"}, "objective": "90%"}],
        alarms={"errors": draw(alarms)},
        metrics={"order-failed": {"share": "60%"}},
        on_call=draw(st.sampled_from([None, {"alarms": ["errors"], "response": "20 s"}])),
        strategies={"one": draw(strategies)},
    )  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(scenarios())
def test_equal_on_any_scenario(given_: Scenario) -> None:
    assert_equal(*runs(given_, "one"))


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_equal_on_every_shipped_scenario(path: Path) -> None:
    shipped = Scenario.load(path)
    for strategy in list(shipped.strategies)[-2:]:
        assert_equal(*runs(shipped, strategy))


def test_retries_far_off_after_the_traffic_has_ceased_are_not_lost(tmp_path: Path) -> None:
    """They wait alone, later than the queue of events reaches at a time."""
    (tmp_path / "hour.csv").write_text("\n".join(["count", "3000", *["0"] * 59]))
    source = {
        "source": "http", "alias": "prod", "retry": {"attempts": 3, "base": "29 min", "cap": "1 h", "jitter": "none"},
        "arrivals": {"trace": {"file": str(tmp_path / "hour.csv"), "layout": "counts"}},
    }  # fmt: skip
    found = scenario(traffic=[source], horizon="3 h", function__versions__1__error_rate="1%")
    simpy, compiled = runs(found, "canary")
    assert simpy.events is not None
    late = simpy.events.query("attempt > 1")["start_s"]
    assert late.max() - late.min() > 40 * 60
    assert_equal(simpy, compiled)


def test_equal_without_any_traffic(tmp_path: Path) -> None:
    """A recording of a quiet night: nothing but the tests of a hook."""
    (tmp_path / "night.csv").write_text("\n".join(["count", *["0"] * 20]))
    arrivals = {"trace": {"file": str(tmp_path / "night.csv"), "layout": "counts"}}
    found = scenario(
        traffic=[{"source": "http", "alias": "prod", "arrivals": arrivals}],
        strategies={"tested": {"type": "blue_green", "bake": "10 min"}},
    )
    simpy, compiled = runs(found, "tested")
    assert (simpy.requests, simpy.versions["2"].invocations) == (0, 10)
    assert_equal(simpy, compiled)


MANAGED = {
    "concurrency": 4, "environments": {"minimum": 2, "maximum": 30}, "every": "10 s", "launch": "25 s", "scale_down_after": "40 s",
}  # fmt: skip


def on_managed_instances(**changes: Any) -> Scenario:
    """Versions on managed instances that throttle, grow and shrink, with failures that would end an environment elsewhere."""
    faults = [{"crash": "2%"}, {"hang": "2%"}, {"leak": {"per": "30 s", "errors": "1%"}}]
    whole = {
        "horizon": "6 min", "rollout__start": "61 s", "rollout__alarms": [], "function__managed": MANAGED,
        "function__versions": {"1": {"duration": {"exponential": {"mean": "700 ms"}}}, "2": {"like": "1", "faults": faults}},
        "traffic": [
            {"source": "http", "alias": "prod", "retry": "standard", "users": {"count": 40},
             "arrivals": {"bursty": {"low": "9/s", "high": "60/s", "stay_low": "40 s", "stay_high": "20 s"}}},
            {"source": "data", "alias": "prod", "arrivals": {"poisson": "5/s"}},
        ],
        "strategies": {
            "canary": {"type": "canary", "percent": 20, "interval": "1 min"},
            "blue/green": {"type": "blue_green", "provisioned": 5, "allocation": "15 s",
                           "hooks": {"before_allow_traffic": {"invocations": 20, "over": "9 s", "max_failures": 19}}},
        },
    }  # fmt: skip
    return scenario(**(whole | changes))


@pytest.mark.parametrize("strategy", ["canary", "blue/green"])
def test_equal_on_managed_instances(strategy: str) -> None:
    simpy, compiled = runs(on_managed_instances(), strategy)
    assert simpy.summary["throttles"] > 100
    assert_equal(simpy, compiled)


def test_batches_on_managed_instances_are_equal() -> None:
    queue = {
        "source": "queue", "alias": "prod", "arrivals": {"poisson": "30/s"}, "batch": {"size": 3}, "visibility_timeout": "30 s",
    }  # fmt: skip
    found = on_managed_instances(traffic=[queue], horizon="3 min", function__timeout="3 s")
    simpy, compiled = runs(found, "canary")
    assert simpy.summary["throttles"] > 10
    assert_equal(simpy, compiled)


@pytest.mark.parametrize(
    "wrong",
    [{"concurrency": 5}, {"launch": "24 s"}, {"every": "11 s"}, {"scale_down_after": "30 s"}, {"target": "49%"},
     {"environments": {"minimum": 2, "maximum": 15}}],
    ids=lambda wrong: next(iter(wrong)),
)  # fmt: skip
def test_a_difference_in_the_law_of_managed_instances_would_be_noticed(wrong: dict[str, Any]) -> None:
    right = simulate(replace(on_managed_instances(), engine="simpy"), "canary", events=True)
    other = simulate(
        replace(on_managed_instances(function__managed=MANAGED | wrong), engine="compiled"), "canary", events=True
    )
    with pytest.raises(AssertionError):
        assert_equal(right, other)


@pytest.mark.parametrize("strategy", ["instant", "canary"])
def test_equal_with_provisioned_concurrency_of_an_alias(strategy: str) -> None:
    """It moves with the alias, and back: what runs when it goes comes to its end, what crashes then is not replaced."""
    found = scenario(
        horizon="6 min", rollout__start="61 s", rollout__revert="7 s",
        function__versions={
            "1": {"duration": {"exponential": {"mean": "800 ms"}}, "cold_start": "700 ms"},
            "2": {"like": "1", "faults": [{"crash": "9%"}]},
        },
        function__keep_alive="5 s", function__reserved_concurrency=10,
        function__provisioned={"prod": {"environments": 6, "allocation": "20 s"}},
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "10/s"}}],
        strategies={"instant": {"type": "all_at_once", "bake": "2 min"},
                    "canary": {"type": "canary", "percent": 30, "interval": "20 s", "bake": "2 min"}},
    )  # fmt: skip
    simpy, compiled = runs(found, strategy)
    assert simpy.outcome == "rolled_back"
    assert_equal(simpy, compiled)


def test_hooks_that_follow_one_another_at_once() -> None:
    """The last test of one may begin after the next one has started: at the same microsecond control comes first."""
    hooks = {
        "before_allow_traffic": {"invocations": 10, "over": "10 us", "max_failures": 9},
        "after_allow_traffic": {"invocations": 60, "over": "5 s", "max_failures": 59},
    }
    found = scenario(
        function__versions={"1": {"duration": "0 s"}, "2": {"duration": {"exponential": {"mean": "1 us"}}}},
        strategies={"one": {"type": "blue_green", "bake": "10 s", "hooks": hooks}},
    )
    simpy, compiled = runs(found, "one")
    assert simpy.events is not None
    assert len(simpy.events.query("source == 'hook test'")) == 70
    assert_equal(simpy, compiled)


def test_a_queue_that_grows_without_end_is_refused_at_the_same_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("compiled.state", "compiled.plane", "simpy_plane"):
        monkeypatch.setattr(f"rollout_sim.planes.{module}.MAX_PENDING", 500)
    source = {"source": "http", "alias": "prod", "arrivals": {"poisson": "50/s"}}
    found = scenario(traffic=[source], function__versions__1__duration="60 s", function__timeout="2 min")
    said = []
    for engine in ("simpy", "compiled"):
        with pytest.raises(ScenarioError, match="more than 500 requests wait for an answer at") as refused:
            simulate(replace(found, engine=engine), "canary")
        said.append(str(refused.value))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "retry",
    [None, {"attempts": 3}, {"attempts": 4, "base": "1 min", "cap": "5 min"}],
    ids=["once", "retried", "retried late"],
)
def test_blocks_drawn_ahead_on_another_core_change_nothing(
    retry: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (layout, loading):  # so few that those of blocks which are still asked for have to make room
        monkeypatch.setattr(module, "RETRY_SLOTS", 4)
    busy = {"source": "http", "alias": "prod", "users": {"count": 500}, **({"retry": retry} if retry else {})}
    found = scenario(
        traffic=[
            {**busy, "arrivals": {"poisson": "60/s"}},
            {"source": "data", "alias": "prod", "arrivals": {"bursty": {
                "low": "5/s", "high": "80/s", "stay_low": "1 min", "stay_high": "30 s"}}},
        ],
        horizon="15 min",
    )  # fmt: skip
    found, results = replace(found, engine="compiled"), []
    for ahead in (False, True):
        with (
            patch("rollout_sim.planes.compiled.feed.spare_core", return_value=ahead),
            patch.object(loading, "ThreadPoolExecutor", wraps=loading.ThreadPoolExecutor) as threads,
        ):
            results.append(simulate(found, "canary", events=True))
        assert threads.called == ahead
    alone, helped = results
    assert alone.requests > 10 * BLOCK
    assert_same(alone, helped)


@pytest.mark.parametrize(
    "wrong",
    [
        {"function__keep_alive": "39 s"},
        {"function__reuse": "most_recent"},
        {"function__reserved_concurrency": 5},
        {"function__scale_up": 5},
    ],
    ids=["keep-alive", "reuse", "concurrency", "scale-up"],
)
def test_a_difference_in_the_rules_would_be_noticed(wrong: dict[str, Any]) -> None:
    """The comparison is not blind: each of these is one wrong line of the kernel away."""
    right: dict[str, Any] = {
        "rollout__start": "1 min", "function__keep_alive": "40 s", "function__reserved_concurrency": 6,
        "function__scale_up": 4, "horizon": "4 min",
        "traffic": [{"source": "http", "alias": "prod", "arrivals": {"bursty": {
            "low": "1/s", "high": "60/s", "stay_low": "30 s", "stay_high": "9 s"}}}],
    }  # fmt: skip
    one = simulate(replace(scenario(**right), engine="simpy"), "canary", events=True)
    other = simulate(replace(scenario(**(right | wrong)), engine="compiled"), "canary", events=True)
    with pytest.raises(AssertionError):
        assert_equal(one, other)
