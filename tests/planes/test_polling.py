"""What is polled, on the reference plane: records are conserved, and closed forms hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import scenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout_sim.core.statistics import share_of
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.polling import AGE_BINS, age_bin, age_quantile
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare
from rollout_sim.traffic.pollers import FATES, QueuePoller

QUEUE: dict[str, Any] = {"source": "queue", "alias": "prod", "arrivals": {"poisson": "20/s"}, "batch": {"size": 5}}
STREAM: dict[str, Any] = {"source": "stream", "alias": "prod", "arrivals": {"poisson": "20/s"}, "shards": 2}


def polled(source: dict[str, Any], *, old: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    """A scenario with this source, whose versions take 10 ms and 1 ms a record and never fail unless they are given."""
    plain = {"duration": {"base": "10 ms", "per_record": "1 ms"}}
    versions = {"1": old or plain, "2": {"like": "1"}}
    whole = {
        "horizon": "4 min",
        "rollout__start": "1 min",
        "function__versions": versions,
        "alarms": None,
        "rollout__alarms": None,
    }
    return scenario(**(whole | {"traffic": [source], "function__timeout": "5 s"} | changes))


def run(given_scenario: Scenario, strategy: str = "canary", *, events: bool = False) -> RunResult:
    """One run on the plane that `auto` takes."""
    return simulate(given_scenario, strategy, events=events)


@st.composite
def sources(draw: st.DrawFn) -> dict[str, Any]:
    """A queue, a FIFO queue or a stream with any settings."""
    partial = draw(st.booleans())
    if draw(st.booleans()):
        batch = {
            "size": draw(st.sampled_from([1, 7, 50])),
            "window": draw(st.sampled_from(["0 s", "2 s"])),
            "partial_failures": partial,
        }
        batch |= {"bisect": draw(st.booleans()), "parallelization": draw(st.sampled_from([1, 3]))}
        retries = {"attempts": draw(st.sampled_from([-1, 0, 2])), "destination": draw(st.booleans())}
        retries |= draw(st.sampled_from([{}, {"max_age": "1 min"}]))
        keys = draw(st.sampled_from([{}, {"keys": {"count": 20, "zipf": 1.0}}]))
        return STREAM | {"batch": batch, "retries": retries, "shards": draw(st.integers(1, 3))} | keys
    source = QUEUE | {"visibility_timeout": draw(st.sampled_from(["5 s", "20 s"])), "retention": "1 min"}
    source |= draw(st.sampled_from([{}, {"max_receives": 1}, {"max_receives": 3}]))
    source |= draw(
        st.sampled_from([{}, {"concurrency": {"maximum": 2}}, {"provisioned": {"minimum": 2, "maximum": 4}}])
    )
    fifo = draw(st.sampled_from([{}, {"fifo": {"groups": 5}}]))
    window = "0 s" if fifo else draw(st.sampled_from(["0 s", "1 s"]))
    return (
        source
        | fifo
        | {"batch": {"size": draw(st.sampled_from([1, 10])), "window": window, "partial_failures": partial}}
    )


FAULTS = st.sampled_from(
    [
        {"errors": "20%"},
        {"crash": "10%"},
        {"poison": "2%"},
        {"responses": "5%"},
        {"hang": "2%"},
        {"load": {"above": 2, "errors": "50%"}},
    ]
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(source=sources(), faults=st.lists(FAULTS, max_size=2), reserved=st.sampled_from([1, 3, 1000]))
def test_records_are_conserved(source: dict[str, Any], faults: list[dict[str, Any]], reserved: int) -> None:
    """Every record is handled once, lost once, or waits; whatever is counted anywhere adds up."""
    versions = {"1": {"duration": "50 ms", "cold_start": "100 ms"}, "2": {"like": "1", "faults": faults}}
    slos = [{"name": "any", "objective": "99%"}, {"name": "kept", "sli": "lost", "objective": "99%"}]
    result = run(polled(source, function__versions=versions, function__reserved_concurrency=reserved, slos=slos))
    totals = result.polled[0]
    assert totals.arrived == sum(totals.fates.values()) + totals.waiting
    assert result.pending == totals.waiting >= 0
    assert result.requests == sum(totals.fates.values())
    lost = sum(totals.fates[fate] for fate in FATES[2:])
    any_bad, kept_bad = (int(bad.sum()) for bad in result.counts.bad_by)
    assert (kept_bad, any_bad) == (lost, lost + totals.fates["wrong"])
    assert totals.ages.sum() == totals.fates["good"] + totals.fates["wrong"]
    assert not totals.ages.sum() or totals.mean_age >= 0
    assert (totals.backlog >= 0).all()
    assert (result.metrics.invocations >= result.metrics.errors).all()


def test_the_conservation_notices_a_record_that_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a poller that forgets a message the sums do not add up."""
    source = QUEUE | {"visibility_timeout": "5 s"}
    versions = {"1": {"duration": "50 ms", "error_rate": "20%"}, "2": {"like": "1"}}
    whole = run(polled(source, function__versions=versions)).polled[0]
    done = QueuePoller.done

    def forgetful(self: QueuePoller, t: float, batch: Any, failed: Any) -> None:
        done(self, t, batch, failed)
        if self._invisible:
            self._invisible.pop()

    monkeypatch.setattr(QueuePoller, "done", forgetful)
    dropped = run(polled(source, function__versions=versions)).polled[0]
    assert dropped.waiting > whole.waiting + 100


def test_ages_are_counted_to_within_a_thousandth() -> None:
    """A quantile of the counts is that of the ages, or a thousandth longer at most; short ages and their mean are exact."""
    rng = np.random.default_rng(7)
    ages = np.exp(rng.uniform(0, 32, 2000)).astype(np.int64)
    counts = np.bincount([age_bin(int(age)) for age in ages], minlength=AGE_BINS)
    for share in (0.01, 0.2, 0.5, 0.95, 1.0):
        exact = np.quantile(ages, share, method="inverted_cdf") / 1e6
        found = age_quantile(counts, share)
        assert found is not None
        assert exact <= found <= exact * 1.001
        assert found == exact or exact > 2047e-6
    assert age_quantile(np.zeros(AGE_BINS, np.int64), 0.5) is None


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_record_that_its_mapping_gives_up_is_not_handled_as_well(attempts: int) -> None:
    """With partial failures the invocation succeeds, and still what it could not handle may be out of retries then."""
    source = STREAM | {"batch": {"partial_failures": True}, "retries": {"attempts": attempts}}
    result = run(polled(source, old={"duration": "10 ms", "error_rate": "30%"}))
    totals = result.polled[0]
    assert totals.fates["discarded"] > 100
    assert totals.ages.sum() == totals.fates["good"]
    assert result.requests == totals.arrived - totals.waiting
    assert result.pending == totals.waiting >= 0


def test_bad_records_are_among_those_that_count() -> None:
    """Version 2 blocks its shard for good: what waits too long behind it is bad, and counts in the period of its arrival."""
    slos = [{"name": "in time", "sli": {"age": "10 s"}, "objective": "99%"}]
    versions = {"1": {"duration": "10 ms"}, "2": {"duration": "10 ms", "error_rate": "100%"}}
    result = run(polled(STREAM | {"shards": 1}, function__versions=versions, slos=slos), "instant")
    totals = result.polled[0]
    assert result.bad_requests > 3000 > sum(totals.fates.values())
    assert result.requests + result.pending == totals.arrived
    budget = result.budget(result.scenario.slos[0])
    assert (budget.bad <= budget.requests).all()
    assert (budget.bad == budget.requests)[7:-2].all()


def test_a_wrong_result_is_bad_unless_all_objectives_are_about_lost_records() -> None:
    versions = {"1": {"duration": "10 ms", "failed_responses": "10%"}, "2": {"like": "1"}}
    kept = {"name": "kept", "sli": "lost", "objective": "99%"}
    right = {"name": "right", "objective": "99%"}
    for slos, counts in (([], True), ([kept], False), ([kept, right], True)):
        result = run(polled(QUEUE, function__versions=versions, slos=slos))
        wrong = result.polled[0].fates["wrong"]
        assert wrong > 100
        assert result.records_bad == result.bad_requests == wrong * counts


@pytest.mark.slow
def test_a_batch_fails_as_a_whole_with_one_record() -> None:
    """1 - (1 - p)^size of the batches, the invocation failing where one of its records does."""
    source = QUEUE | {
        "batch": {"size": 5, "window": "2 s"},
        "arrivals": {"poisson": "100/s"},
        "visibility_timeout": "30 min",
    }
    source |= {"provisioned": {"minimum": 2, "maximum": 2}}
    once = {"duration": "10 ms", "error_rate": "5%"}
    result = run(polled(source, old=once), "instant", events=True)
    assert result.events is not None
    first = result.events[result.events["attempt"] == 1]
    estimate = share_of((first["outcome"] == "error").to_numpy())
    assert estimate is not None
    assert estimate.low < 1 - 0.95**5 < estimate.high


def test_with_partial_failures_no_invocation_is_an_error() -> None:
    """So an alarm on Errors sees nothing of records that fail."""
    source = QUEUE | {"batch": {"size": 5, "partial_failures": True}, "visibility_timeout": "5 s", "max_receives": 1}
    result = run(polled(source, old={"duration": "10 ms", "error_rate": "5%"}), "instant")
    assert result.metrics.errors.sum() == 0
    assert result.polled[0].fates["dead_letter"] > 100


def test_a_record_meets_the_bad_version_every_time_with_the_kth_power_of_its_weight() -> None:
    """w^k of the messages that the bad version fails: each retry draws the version anew."""
    source = QUEUE | {
        "batch": {"size": 1},
        "max_receives": 2,
        "visibility_timeout": "5 s",
        "arrivals": {"poisson": "50/s"},
    }
    versions = {"1": {"duration": "10 ms"}, "2": {"like": "1", "faults": [{"errors": "100%"}]}}
    steps = {"type": "steps", "steps": [{"weight": "30%", "hold": "60 min"}]}
    result = run(polled(source, function__versions=versions, strategies={"third": steps}), "third")
    records = result.counts.requests[0, :, 1:3].sum()  # those that arrive from 1 min to 3 min
    bad = result.counts.bad[0, :, 1:3].sum()
    estimate = share_of(np.arange(records) < bad)
    assert estimate is not None
    assert estimate.low < 0.3**2 < estimate.high


@pytest.mark.slow
def test_the_backlog_drains_as_the_fluid_limit_says() -> None:
    """B / (mu - lambda), within 2%: 40 batches of one a second against 30 messages a second, after an outage of two minutes."""
    source = QUEUE | {
        "batch": {"size": 1},
        "concurrency": {"maximum": 2},
        "arrivals": {"fixed": "0.04 s"},
        "visibility_timeout": "5 s",
    }
    versions = {"1": {"duration": "50 ms"}, "2": {"like": "1", "faults": [{"latency": "40x"}]}}
    alarms = {"old": {"metric": "oldest_message_age", "threshold": "> 60 s"}}
    given_scenario = polled(
        source, function__versions=versions, horizon="20 min", alarms=alarms, rollout__alarms=["old"],
        strategies={"instant": {"type": "all_at_once", "bake": "10 min"}},
    )  # fmt: skip
    result = run(given_scenario, "instant")
    assert result.outcome == "rolled_back"
    assert result.time_to_rollback_s is not None
    assert result.backlog_at_rollback is not None
    # The two batches that run at the rollback hold their places for up to 2 s longer.
    fluid = result.backlog_at_rollback / (40.0 - 25.0)
    assert result.drain_time_s == pytest.approx(fluid, rel=0.02)


@pytest.mark.slow
def test_a_blocked_shard_loses_what_passes_its_age_limit() -> None:
    """From when on the bad version fails everything, records are lost at the rate at which they come, a limit later."""
    source = STREAM | {"retries": {"max_age": "1 min"}, "arrivals": {"fixed": "0.1 s"}, "shards": 1}
    versions = {"1": {"duration": "10 ms"}, "2": {"like": "1", "faults": [{"errors": "100%"}]}}
    result = run(polled(source, function__versions=versions), "instant")
    # Lost by 240 s is what came from 60 s (the rollout) to 180 s: 10 a second.
    assert result.polled[0].fates["discarded"] == pytest.approx(10 * 120, abs=12)
    assert result.polled[0].oldest.max() == pytest.approx(60.0, abs=1.0)


@pytest.mark.slow
def test_iterator_age_and_the_queue_s_metrics_stop_a_rollout() -> None:
    versions = {"1": {"duration": "10 ms"}, "2": {"like": "1", "faults": [{"poison": "5%"}]}}
    strategies = {"instant": {"type": "all_at_once", "bake": "3 min"}}
    for source, metric, threshold in (
        (STREAM, "iterator_age", "> 20 s"),
        (QUEUE | {"visibility_timeout": "30 s"}, "oldest_message_age", "> 20 s"),
        (QUEUE | {"visibility_timeout": "5 s", "max_receives": 1}, "messages_in_dlq", "> 3"),
    ):
        alarms = {"watch": {"metric": metric, "threshold": threshold}}
        given_scenario = polled(
            source, function__versions=versions, alarms=alarms, rollout__alarms=["watch"], strategies=strategies
        )
        assert run(given_scenario, "instant").outcome == "rolled_back", metric
        good = replace(given_scenario, function=replace(given_scenario.function, versions={
            number: replace(spec, faults=()) for number, spec in given_scenario.function.versions.items()
        }))  # fmt: skip
        assert run(good, "instant").outcome == "promoted", metric


@pytest.mark.parametrize(("fifo", "ages"), [({}, [60, 0, 0, 0]), ({"fifo": {"groups": 1}}, [60, 120, 180, 240])])
def test_the_oldest_message_s_age_passes_over_what_was_received_three_times(
    fifo: dict[str, Any], ages: list[int]
) -> None:
    """One message that fails for ever: received at 0 s, 50 s and 100 s. A FIFO queue's blocks its group and counts on."""
    source = QUEUE | {"batch": {"size": 1}, "arrivals": {"fixed": "1 h"}, "visibility_timeout": "50 s"} | fifo
    given_scenario = polled(
        source, function__versions={"1": {"duration": "10 ms", "error_rate": "100%"}}, horizon="4 min",
        rollout=None, strategies=None, alarms={"old": {"metric": "oldest_message_age", "threshold": "> 1 s"}},
    )  # fmt: skip
    gauge = run(given_scenario, "steady").metrics.gauges["oldest_message_age"][0, 0]
    assert gauge.tolist() == ages


def test_a_mapping_that_names_the_function_is_not_touched_by_a_rollout() -> None:
    source = {name: value for name, value in QUEUE.items() if name != "alias"} | {"function": True}
    versions = {
        "1": {"duration": "10 ms"},
        "2": {"like": "1", "faults": [{"errors": "100%"}]},
        "$LATEST": {"like": "1"},
    }
    other = {"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}}
    given_scenario = polled(source, function__versions=versions, traffic=[other, source])
    written = given_scenario.dump()
    assert "alias" not in written["traffic"][1]
    assert Scenario.from_dict(written) == given_scenario
    result = run(given_scenario, "instant")
    assert result.versions["$LATEST"].errors == 0
    assert result.polled[0].fates["good"] > 4000
    assert result.versions["2"].invocations < 400  # those over HTTP alone


def test_the_aggregate_plane_refuses_with_the_reason() -> None:
    given_scenario = polled(QUEUE)
    assert choose_engine(given_scenario).engine in ("simpy", "compiled")
    with pytest.raises(ScenarioError, match="batches and their retries link the records of a queue"):
        choose_engine(given_scenario, "aggregate")


def test_zipf_keys_make_a_hot_shard() -> None:
    """A shard gets the share of its keys; one that gets more than it can handle falls behind, the others do not."""
    keys = {"keys": {"count": 50, "zipf": 1.5}, "shards": 4, "arrivals": {"poisson": "40/s"}}
    slow = {"duration": {"base": "10 ms", "per_record": "45 ms"}}
    hot = run(polled(STREAM | keys, old=slow), "instant").polled[0]
    even = run(polled(STREAM | keys | {"keys": {"count": 50}}, old=slow), "instant").polled[0]
    assert hot.oldest.max() > 5 * even.oldest.max()
    assert math.isclose(hot.arrived, even.arrived)


def test_results_tell_records_by_fate_the_backlog_and_when_it_is_drained() -> None:
    """In the summary, and in the columns of a comparison, which are the same numbers."""
    source = QUEUE | {"visibility_timeout": "30 s", "max_receives": 3}
    versions = {"1": {"duration": "10 ms"}, "2": {"like": "1", "faults": [{"errors": "100%"}]}}
    alarms = {"old": {"metric": "oldest_message_age", "threshold": "> 20 s"}}
    given_scenario = polled(source, function__versions=versions, alarms=alarms, rollout__alarms=["old"], slos=[
        {"name": "fresh", "sli": {"age": "20 s"}, "objective": "99%"}
    ], strategies={"instant": {"type": "all_at_once", "bake": "2 min"}})  # fmt: skip
    summary = run(given_scenario, "instant").summary
    fates = summary["records_by_fate"]["queue"]
    # All that comes in the minute between the shift and the rollback fails, and is handled half a minute later.
    assert summary["time_to_rollback_s"] == 60.0
    assert summary["records_bad"] == summary["bad_requests"] == pytest.approx(20 * 60, rel=0.1)
    assert (fates["dead_letter"], summary["records_lost"]) == (0, 0)
    assert summary["backlog_at_rollback"] == pytest.approx(20 * 60, rel=0.1)
    assert summary["drain_time_s"] == 30.0
    assert summary["age_s"]["p50"] < 1
    assert summary["age_s"]["p95"] > 30
    comparison = compare(given_scenario, 1, twin=False)
    compared = comparison.columns["instant"]
    (entry,) = comparison.to_json()["strategies"]
    assert {name: age["mean"] for name, age in entry["age_s"].items()} == summary["age_s"]
    for name in ("records", "records_bad", "records_lost", "backlog", "backlog_at_rollback", "drain_time_s"):
        assert compared[name].tolist() == [summary[name]], name


def test_queues_without_names_are_told_apart_in_the_results() -> None:
    """By their places, and what became of the records of each stands in the summary."""
    result = run(polled(QUEUE, traffic=[QUEUE, QUEUE, QUEUE | {"name": "late"}]))
    fates = result.summary["records_by_fate"]
    assert list(fates) == ["traffic[0]", "traffic[1]", "late"]
    assert sum(sum(of_source.values()) for of_source in fates.values()) == result.records


@pytest.mark.parametrize(("sli", "instead"), [("lost", "messages_in_dlq"), ({"age": "30 s"}, "oldest_message_age")])
def test_no_burn_rate_is_told_of_what_no_invocation_shows(sli: Any, instead: str) -> None:
    burning = {"metric": "burn_rate", "slo": "kept", "threshold": "> 14.4", "long": "1 h", "short": "5 min"}
    with pytest.raises(ScenarioError, match=instead):
        polled(QUEUE, slos=[{"name": "kept", "sli": sli, "objective": "99%"}], alarms={"errors": burning})


def test_batches_take_places_on_managed_instances() -> None:
    """Two places for batches that each run for a second: a third one is throttled, and its messages come back."""
    version = {"duration": "1 s"}
    settled = run(
        polled(
            QUEUE | {"arrivals": {"fixed": "100 ms"}, "batch": {"size": 1}, "visibility_timeout": "30 s"},
            old=version,
            function__managed={"concurrency": 2, "environments": {"minimum": 1, "maximum": 1}},
        ),
        "canary",
        events=True,
    )
    assert settled.events is not None
    ran = settled.events[settled.events.outcome != "throttled"]
    assert not ran.cold.any()
    for _, starts in ran.start_s.groupby(ran.version):
        assert (starts.to_numpy()[2:] - starts.to_numpy()[:-2]).min() > 1 - 1e-6
    assert settled.summary["throttles"] > 0
