"""Delivery by SNS, EventBridge and S3: their retries by AWS's figures, what is lost, and what no version has a part in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import data, scenario

from rollout_sim.errors import ScenarioError
from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate, simulate_each
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.delivery import FOR_GOOD, Delivery, Outage, law_of

GOOD = {"1": {"duration": "10 ms"}, "2": {"like": "1"}}


def source(kind: str, **fields: Any) -> dict[str, Any]:
    return {"source": kind, "alias": "prod", "arrivals": {"poisson": "10/s"}} | fields


def run(given: dict[str, Any], strategy: str = "instant", **changes: Any) -> RunResult:
    whole = {"function__versions": GOOD, "traffic": [given], "rollout__alarms": [], "horizon": "15 min"}
    return simulate(scenario(**(whole | changes)), strategy, events=True)


def delays(service: str, number: int) -> np.ndarray:
    """The first delays at the middle of their jitter."""
    law = law_of(Delivery(outage=Outage()), service, 0.0, moves=True)
    assert law is not None
    return np.array([law.delay(attempt, 0.5) for attempt in range(1, number + 1)])


def test_the_retries_of_sns() -> None:
    """3 at once, 2 after 1 s, 10 with exponential back-off from 1 to 20 s, then every 20 s: 100,015 in all, over 23 days."""
    waits = delays("sns", 100_015)
    assert waits[:5].tolist() == [0, 0, 0, 1, 1]
    assert (waits[5], waits[14]) == (1, pytest.approx(20))
    np.testing.assert_allclose(waits[6:15] / waits[5:14], 20 ** (1 / 9))
    assert (waits[15:] == 20).all()
    assert 23 < waits.sum() / 86_400 < 24
    law = law_of(Delivery(outage=Outage()), "sns", 0.0, moves=True)
    assert law is not None
    assert law.delay(100_016, 0.5) is None


def test_the_retries_of_eventbridge() -> None:
    """185 in 24 h with exponential back-off; of one's own number fewer."""
    waits = delays("eventbridge", 185)
    assert waits[:9].tolist() == [2.0**k for k in range(9)]
    assert waits.sum() == pytest.approx(86_400)
    law = law_of(Delivery(retries=2, outage=Outage()), "eventbridge", 0.0, moves=True)
    assert law is not None
    assert [law.delay(attempt, 0.0) for attempt in (1, 2, 3)] == [0.5, 1.0, None]
    assert law.delay(1, FOR_GOOD) is None


def test_what_is_lost_of_an_outage_without_end() -> None:
    """With two retries an event is lost if three deliveries are refused: 0.6^3, within 4.5 standard errors of 1 in 100,000."""
    result = run(source("eventbridge", delivery={"retries": 2, "outage": {"share": "60%", "onset": "-5 min"}}))
    assert result.bad_requests == pytest.approx(
        0.216 * result.requests, abs=4.5 * np.sqrt(0.216 * 0.784 * result.requests)
    )
    refused = result.events[result.events["outcome"] == "refused"]
    assert refused.groupby("request").size().max() == 3
    assert result.metrics.invocations.sum() == result.requests - result.bad_requests
    assert not result.metrics.throttles.any()


def test_an_outage_that_ends_makes_events_late() -> None:
    """SNS tries on until Lambda takes them again: none is lost, those of the outage are late by up to it and one delay."""
    slos = [{"name": "all", "objective": "99%"}, {"name": "soon", "sli": {"latency": "1 s"}, "objective": "99%"}]
    result = run(source("sns", delivery={"outage": {"onset": "1 min", "until": "2 min"}}), slos=slos)
    lost, late = (int(bad.sum()) for bad in result.counts.bad_by)
    assert lost == 0
    outage = result.events[(result.events["attempt"] == 1) & (result.events["outcome"] == "refused")]
    assert outage["start_s"].between(60, 120).all()
    assert 0.95 * len(outage) < late <= len(outage)
    taken = result.events[result.events["request"].isin(outage["request"]) & (result.events["outcome"] == "ok")]
    assert taken["start_s"].between(120, 120 + 30).all()


@pytest.mark.parametrize(("kind", "strategy"), [("sns", "instant"), ("s3", "canary"), ("eventbridge", "canary")])
def test_a_permission_that_goes_with_the_deployment(kind: str, strategy: str) -> None:
    """Everything is lost from the rollout's start on, at 10% as at 100%, and Lambda's own metrics show nothing but silence."""
    alarms = {"silence": {"metric": "invocations", "threshold": "< 1", "datapoints": "2 of 2", "missing": "breaching"}}
    given = source(kind, delivery={"permission": "missing"})
    result = run(given, strategy, alarms=alarms, rollout__alarms=["silence"], horizon="20 min")
    assert result.time_to_rollback_s == 240  # two minutes of data are in its range of four until then
    events = result.events
    assert (events["outcome"] == "refused").equals(events["start_s"].between(0, 240, inclusive="left"))
    assert result.bad_requests == (events["outcome"] == "refused").sum()
    assert result.metrics.errors.sum() == 0


def test_without_the_rollout_the_permission_is_there() -> None:
    whole = scenario(
        function__versions=GOOD, traffic=[source("sns", delivery={"permission": "missing"})], rollout__alarms=[]
    )
    (instant,) = simulate_each(whole, ["instant"])
    assert instant.baseline is not None
    assert instant.baseline.bad_requests == 0
    assert instant.bad_requests_added == instant.bad_requests > 1000


def test_once_lambda_has_an_event_its_own_retries_act() -> None:
    """The function fails always; the event is taken at its first delivery, before the outage, and Lambda's two retries lie in it."""
    failing = {"1": {"duration": "10 ms", "error_rate": "100%"}, "2": {"like": "1"}}
    once = source("sns", arrivals={"fixed": "1 h", "offset": "299 s"}, delivery={"outage": {}})
    assert run(once, function__versions=failing).events["outcome"].tolist() == ["error"] * 3


@pytest.mark.parametrize("delivery", [{"outage": {"share": "5%"}}, {"permission": "missing"}])
def test_the_aggregate_plane_says_why_not(delivery: dict[str, Any]) -> None:
    given = scenario(traffic=[source("sns", async_retries=0, delivery=delivery)])
    assert "traffic[0]: Lambda does not take every delivery" in inexactness(given)
    assert not any("take" in reason for reason in inexactness(scenario(traffic=[source("sns", async_retries=0)])))


@pytest.mark.parametrize(
    ("kind", "delivery", "message"),
    [
        ("http", {}, "`delivery` is of sns, eventbridge, s3, schedule, got it with http"),
        ("data", {}, "got it with data"),
        ("sns", {"retries": 3}, "`delivery.retries` is of eventbridge and schedule, got it with sns"),
        ("s3", {"max_age": "1 h"}, "`delivery.max_age` is of eventbridge and schedule"),
        ("s3", {"outage": {}}, "AWS does not say how S3 tries again"),
        ("eventbridge", {"retries": 186}, "`delivery.retries` must be 0 to 185, got 186"),
        ("schedule", {"max_age": "25 h"}, "`delivery.max_age` must be 1 min to 1 d"),
        ("sns", {"outage": {"onset": "2 min", "until": "1 min"}}, "must come after `onset`"),
        ("sns", {"outage": {"share": "0%"}}, "must be more than 0%"),
    ],
)
def test_what_a_service_does_not_have(kind: str, delivery: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match="traffic") as told:
        Scenario.from_dict(data(traffic=[source(kind, delivery=delivery)]), path="test.yaml")
    assert len(told.value.problems) == 1
    assert message in told.value.problems[0]
