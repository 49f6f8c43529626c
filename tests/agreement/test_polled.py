"""Queues and streams on the compiled plane: equal to the SimPy plane to the last bit, alone and beside what calls the function."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agreement import test_batches, test_compiled
from agreement.test_compiled import error_rates, faults, percent, retries, runs
from builders import scenario
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from planes.test_polling import FAULTS, QUEUE, STREAM
from planes.test_polling import sources as mappings

from rollout_sim.control.metrics import GAUGES
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.planes.compiled import polls
from rollout_sim.planes.compiled.plane import Run
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate
from rollout_sim.run.wiring import build_metrics
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.traffic.pollers import QueuePoller

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

PLACES: list[dict[str, Any]] = [
    {}, {"function__managed": test_compiled.MANAGED},
    {"function__provisioned": {"prod": {"environments": 3, "allocation": "20 s"}}},
]  # fmt: skip
"""Where versions run, besides environments of their own."""


def _apart(strategy: dict[str, Any], provisioned: object) -> dict[str, Any]:
    """The strategy, which provisions nothing beside what is `provisioned` for an alias."""
    return {name: x for name, x in strategy.items() if not provisioned or name not in ("provisioned", "allocation")}


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    where = draw(st.sampled_from(PLACES))
    version = draw(durations) | {"error_rate": draw(error_rates), "failed_responses": draw(percent(0, 20))}
    if where:
        version.pop("provisioned", None)
    if "function__managed" in where:
        version = {name: value for name, value in version.items() if not name.startswith("cold")}
    traffic = [draw(polled), *draw(st.lists(st.one_of(polled, others), max_size=1))]
    metric = draw(alarms)
    needed = {"iterator_age": STREAM}.get(metric["metric"], QUEUE if metric["metric"] in GAUGES else None)
    if needed is not None:
        traffic.append(needed | {"fifo": {"groups": 9}} if needed is QUEUE else needed)
    if any("function" in source for source in traffic):
        latest = {"$LATEST": {"like": "1"} | ({"provisioned": 0} if "provisioned" in version else {})}
    else:
        latest = {}
    traffic.append(STREAM | {"keys": {"count": 9}})
    strategy = _apart(draw(test_compiled.strategies), "function__provisioned" in where)
    hits = draw(st.lists(st.one_of(faults, st.just({"poison": "3%"})), max_size=3))
    if "function__managed" in where:
        hits = [fault for fault in hits if "init" not in fault]
    else:
        where = where | {
            "function__reserved_concurrency": draw(st.sampled_from([None, 7, 15])),
            "function__keep_alive": draw(st.sampled_from(["2 s", "40 s"])),
            "function__scale_up": draw(st.sampled_from([1000, 4])),
        }
    return scenario(
        **where,
        seed=draw(st.integers(0, 10_000)),
        horizon=draw(st.sampled_from(["3 min", "130 s"])),
        rollout__start=draw(st.sampled_from(["30 s", "61 s"])),
        rollout__revert=draw(st.sampled_from(["0 s", "7 s"])),
        function__versions={"1": version, **latest, "2": {"like": "1", "faults": hits}},
        function__timeout=draw(st.sampled_from(["900 ms", "5 s"])),
        incident=draw(st.sampled_from([None, [{"poison": "4%", "onset": "10 s", "until": "70 s"}]])),
        traffic=traffic,
        slos=draw(st.sampled_from([[], [{"name": "kept", "sli": "lost", "objective": "99%"}], [
            {"name": "any", "objective": "99%"}, {"name": "fresh", "sli": {"age": "6 s"}, "objective": "90%"},
            {"name": "kept", "sli": "lost", "objective": "99%"}]])),
        alarms={"errors": metric},
        strategies={"one": strategy},
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
    max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
@given(scenarios())
def test_equal_on_any_scenario(given_: Scenario) -> None:
    assert_equal(*runs(given_, "one"))


RULES: dict[str, Any] = {
    "queue": QUEUE | {"batch": {"size": 5, "window": "1 s", "partial_failures": True}, "visibility_timeout": "5 s",
                      "max_receives": 2, "concurrency": {"maximum": 2}},
    "stream": STREAM | {"batch": {"size": 9, "bisect": True}, "retries": {"attempts": 3}},
}  # fmt: skip
VERSIONS: dict[str, Any] = {
    "1": {"duration": {"base": "90 ms", "per_record": "9 ms"}, "error_rate": "8%"},
    "2": {"like": "1", "faults": [{"poison": "3%"}]},
}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("queue", {"visibility_timeout": "5001 ms"}),
        ("queue", {"max_receives": 3}),
        ("queue", {"concurrency": {"maximum": 3}}),
        ("queue", {"batch": {"size": 5, "window": "99 ms", "partial_failures": True}}),
        ("stream", {"batch": {"size": 9}}),
        ("stream", {"retries": {"attempts": 0}}),
        ("stream", {"shards": 3}),
    ],
    ids=["visibility", "receives", "concurrency", "window", "bisect", "attempts", "shards"],
)
def test_a_difference_in_the_rules_would_be_noticed(kind: str, wrong: dict[str, Any]) -> None:
    """The comparison is not blind: each of these is one wrong line of the kernel away."""
    right, other = (
        simulate(
            replace(scenario(traffic=[source], horizon="3 min", rollout__start="1 min", function__versions=VERSIONS), engine=engine),
            "canary", events=True,
        )
        for source, engine in ((RULES[kind], "simpy"), (RULES[kind] | wrong, "compiled"))
    )  # fmt: skip
    with pytest.raises(AssertionError):
        assert_equal(right, other)


@pytest.mark.parametrize(
    "beat",
    [pytest.param("310007 us", id="as its retention ends"), pytest.param("250 ms", id="as others arrive")],
)
def test_what_comes_back_at_the_moment_of_something_else(beat: str) -> None:
    """The retention is 60 s to the microsecond, however their sum with an arrival is rounded."""
    source = QUEUE | {"arrivals": {"fixed": beat}, "batch": {"size": 1}, "visibility_timeout": "10 s"}
    versions = {"1": {"duration": "1 s"}, "2": {"like": "1"}}
    given_ = scenario(
        traffic=[source | {"retention": "60 s"}], horizon="100 s", rollout__start="1 min",
        function__versions=versions, function__reserved_concurrency=1,
    )  # fmt: skip
    one, other = runs(given_, "canary")
    assert one.events is not None
    assert one.events["attempt"].max() == 6
    assert_equal(one, other)


def ceasing(tmp_path: Path, source: dict[str, Any], **changes: Any) -> Scenario:
    """A minute of traffic, and then none, in which all that is left is handled or grows too old."""
    (tmp_path / "minute.csv").write_text("\n".join(["count", "600", *["0"] * 9]))
    trace = {"trace": {"file": str(tmp_path / "minute.csv"), "layout": "counts"}}
    return scenario(
        **{"traffic": [source | {"arrivals": trace}], "horizon": "6 min", "rollout__start": "1 min", **changes}
    )


@settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
@given(mapping=mappings(), faulty=st.lists(FAULTS, max_size=2), reserved=st.sampled_from([1, 3, 1000]))
@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_all_that_came_meets_its_fate(
    engine: Engine, mapping: dict[str, Any], faulty: list[dict[str, Any]], reserved: int, tmp_path: Path
) -> None:
    """Conservation: arrived = good + bad, and nothing waits, once no more comes and what is left is too old."""
    if mapping["source"] == "stream":
        mapping = mapping | {"retries": mapping["retries"] | {"max_age": "1 min"}}
    versions = {"1": {"duration": "50 ms", "faults": faulty}, "2": {"like": "1"}}
    given_ = ceasing(tmp_path, mapping, function__versions=versions, function__reserved_concurrency=reserved)
    result = simulate(replace(given_, engine=engine), "canary")
    totals = result.polled[0]
    assert totals.arrived == 600 == sum(totals.fates.values()) == result.requests
    assert totals.ages.sum() == totals.fates["good"] + totals.fates["wrong"]
    assert totals.waiting == result.pending == 0


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_message_that_is_forgotten_would_be_noticed(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "simpy":
        done = QueuePoller.done

        def forget(self: QueuePoller, t: float, batch: Any, failed: Any) -> None:
            done(self, t, batch, failed)
            if self._invisible:
                self._invisible.pop()

        monkeypatch.setattr(QueuePoller, "done", forget)
    else:
        go_on = Run._go_on

        def forgetful(self: Run, until: float) -> None:
            go_on(self, until)
            assert self.polls is not None
            self.polls.sources["entries"] = np.maximum(self.polls.sources["entries"] - 1, 0)

        monkeypatch.setattr(Run, "_go_on", forgetful)
    given_ = ceasing(tmp_path, RULES["queue"] | {"retention": "1 min"}, function__versions=VERSIONS)
    totals = simulate(replace(given_, engine=engine), "canary").polled[0]
    assert totals.waiting > 0


@st.composite
def with_two_strategies(draw: st.DrawFn) -> Scenario:
    found = draw(scenarios())
    assert found.rollout is not None
    other = scenario(strategies={"two": _apart(draw(test_compiled.strategies), found.function.provisioned)}).strategies
    rollout = replace(found.rollout, start=draw(st.sampled_from([61.0, 130.0])))
    return replace(found, rollout=rollout, strategies=found.strategies | other)


@settings(
    max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
@given(with_two_strategies(), st.sampled_from([1, 2]))
def test_a_batch_equals_its_runs_one_by_one(given_: Scenario, size: int) -> None:
    test_batches.assert_same(test_batches.in_batches(given_, size, 2), test_batches.one_by_one(given_, 2))


BUSY: dict[str, Any] = {
    "traffic": [*RULES.values(), STREAM | {"keys": {"count": 9}, "name": "keyed"}, {"source": "http", "alias": "prod",
                "arrivals": {"poisson": "40/s"}}],
    "horizon": "8 min", "function__versions": VERSIONS,
}  # fmt: skip


def test_a_copied_run_shares_only_what_no_run_changes() -> None:
    given_ = scenario(**BUSY)
    metrics = build_metrics(given_)
    first = polls.laid_out(given_, metrics, Streams(seed=1), 0, kept=False)
    assert first is not None
    other = polls.copied(first, given_, metrics.emptied(), 0)
    shared = {name for name in polls.Polls._fields if getattr(first, name) is getattr(other, name)}
    assert shared == {"lanes", "strict"}


def test_a_past_that_is_not_copied_as_a_whole_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "_OWN", tuple(name for name in polls._OWN if name != "fates"))
    given_ = scenario(**BUSY)
    with pytest.raises(AssertionError):
        test_batches.assert_same(test_batches.in_batches(given_, 2, 2), test_batches.one_by_one(given_, 2, "compiled"))


def test_room_that_grows_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog that is longer than what there is room for at first, and records of blocks that are no longer held."""
    slow = {"1": {"duration": "900 ms"}, "2": {"like": "1"}}
    source = QUEUE | {"arrivals": {"poisson": "70/s"}, "batch": {"size": 1}, "concurrency": {"maximum": 40}}
    given_ = scenario(traffic=[source], horizon="4 min", rollout__start="1 min", function__versions=slow)
    monkeypatch.setattr(polls, "ROOM", 16)
    one, other = runs(given_, "instant")
    assert one.polled[0].backlog.max() > BLOCK
    assert_equal(one, other)
