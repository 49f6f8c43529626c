"""Wiring: what alarms assume of the time before the simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import scenario

from rollout_sim.control.readings import reading
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.run.simulate import simulate
from rollout_sim.run.wiring import build_alarms, build_metrics
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare

BURN = {"metric": "burn_rate", "slo": "availability", "threshold": "> 10", "long": "1 h", "short": "5 min"}
TROUGH: dict[str, Any] = {"diurnal": {"mean": "20/s", "amplitude": "90%", "period": "1 d", "peak": "12 h"}}


def watched(**changes: Any) -> Scenario:
    """A burn-rate alarm on a good version, from time zero on."""
    return scenario(
        alarms={"errors": BURN},
        rollout__start="1 min",
        horizon="2 h",
        function__versions__1__error_rate="0%",
        **changes,
    )


def history(given: Scenario, start: float, end: float) -> float:
    """The requests to the rollout's alias that a burn rate expects between two times before zero."""
    metrics = build_metrics(given)
    bank = build_alarms(given, metrics, given.rates, [])
    return bank._objectives["availability"].history(start, end)


def test_the_hour_before_the_start_has_the_traffic_of_that_hour() -> None:
    """rate(t) = 20 (1 - 0.9 cos(2 pi t / day)): at the trough a tenth of the mean, not the mean."""
    source = {"source": "http", "alias": "prod", "arrivals": TROUGH}
    turn = 2 * math.pi / 86400
    for start, end in ((-3600.0, 0.0), (-300.0, 0.0), (-7 * 86400.0 - 60, -6 * 86400.0)):
        integral = 20 * ((end - start) - 0.9 * (math.sin(turn * end) - math.sin(turn * start)) / turn)
        assert history(watched(traffic=[source]), start, end) == pytest.approx(integral, rel=1e-9)
    assert history(watched(traffic=[source]), -3600.0, 0.0) < 20 * 3600 * 0.12


def test_where_no_hour_is_known_the_mean_holds() -> None:
    for arrivals in (
        {"poisson": "3/s"},
        {"bursty": {"low": "1/s", "high": "5/s", "stay_low": "1 min", "stay_high": "1 min"}},
    ):
        source = {"source": "http", "alias": "prod", "arrivals": arrivals}
        assert history(watched(traffic=[source, {**source, "name": "b"}]), -3600.0, -60.0) == pytest.approx(6 * 3540)


@pytest.mark.parametrize(
    ("metric", "statistic", "expected"),
    [
        ("invocations", "sum", 48.0), ("errors", "sum", 4.8), ("errors", "average", 0.1), ("throttles", "sum", 12.0),
        ("throttles", "average", 0.2), ("responses_5xx", "sum", 18.96), ("responses_5xx", "average", 0.316),
        ("own", "sum", 6.96),
    ],
)  # fmt: skip
def test_what_others_throttle_was_throttled_before_the_start_as_well(
    metric: str, statistic: str, expected: float
) -> None:
    """Of 60 requests a minute 12 are throttled; of the 48 others 4.8 end in an error and 2.16 in a failed response."""
    given = scenario(
        function__throttled="20%", function__versions__1__error_rate="10%", function__versions__1__failed_responses="5%",
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}}],
        metrics={"own": {"counts": "bad_requests"}},
    )  # fmt: skip
    bank = build_alarms(given, build_metrics(given), given.rates, [])
    read = reading(metric, statistic, "alias", 60.0, 60.0)
    values, _ = bank._series(read, 0.0, 1, remembered=True)
    assert values[0, 0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("engine", ["simpy", "aggregate"])
@pytest.mark.slow
def test_a_burn_at_the_trough_is_found_when_the_closed_form_says(engine: Any) -> None:
    """All fail from 0 s on. At the trough a minute has 1.7% of the hour, and 1% is too much; at the mean rate it would have 0.17%."""
    source = {"source": "http", "alias": "prod", "arrivals": TROUGH}
    broken = watched(
        traffic=[source],
        incident=[{"errors": "100%", "onset": "-1 min"}],
        strategies={"one": {"type": "all_at_once", "bake": "1 h"}},
    )
    broken = replace(
        broken,
        rollout=replace(broken.rollout, start=0.0),
        incident=tuple(replace(f, onset=0.0) for f in broken.incident),
    )
    columns = compare(replace(broken, engine=engine), 5, twin=False).columns["one"]
    assert columns["time_to_rollback_s"].tolist() == [60.0] * 5


@pytest.mark.slow
def test_an_own_metric_counts_its_share_on_every_plane() -> None:
    """80% of the new version's failures leave a line in the log: so often is a minute of them seen, whichever plane runs."""
    own = {"order-failed": {"counts": "bad_requests", "share": "80%", "of": "new_version"}}
    given = scenario(
        metrics=own,
        alarms={"errors": {"metric": "order-failed", "threshold": "> 0", "missing": "not_breaching"}},
        function__versions={"1": {"duration": "10 ms", "error_rate": "3%"}, "2": {"like": "1", "error_rate": "0%", "faults": [
            {"errors": "1%"}, {"responses": "1%"}]}},
        strategies={"one": {"type": "canary", "percent": 20, "interval": "2 min"}},
    )  # fmt: skip
    caught = 1 - math.exp(-5 * 0.2 * 120 * (1 - 0.99 * 0.99) * 0.8)
    assert 0.7 < caught < 0.9
    rows = {}
    for engine, count in (("simpy", 40), ("compiled", 200), ("aggregate", 10_000)):
        rows[engine] = compare(replace(given, engine=engine), count, twin=False).columns["one"]
        error = math.sqrt(caught * (1 - caught) / count)
        assert (rows[engine]["outcome"] == 2).mean() == pytest.approx(caught, abs=4.5 * error)
    assert rows["simpy"]["outcome"].tolist() == rows["compiled"]["outcome"][:40].tolist()


def test_an_own_metric_of_all_is_the_metric_itself() -> None:
    """All requests of the alias, and all bad ones, are invocations and errors; a share counts no more than there are."""
    names = {"metric": "order", "same": "invocations", "failed": "order-failed", "errors": "errors", "some": "half"}
    given = scenario(
        metrics={"order": {"counts": "requests"}, "order-failed": {"counts": "bad_requests"},
                 "half": {"counts": "requests", "share": "50%"}},
        alarms={key: {"metric": name, "threshold": "> 1"} for key, name in names.items()},
        rollout__alarms=["errors"],
    )  # fmt: skip
    metrics = build_metrics(given, replications=3)
    metrics.invocations[:] = 400
    metrics.errors[:, 1] = [[3], [0], [1]]
    bank = build_alarms(given, metrics, given.rates, [Streams(seed=1, replication=r) for r in range(3)])
    series = {key: bank._series(given.alarms[key].readings[""], 600.0, 10, remembered=False)[0] for key in names}
    assert series["metric"].tolist() == series["same"].tolist()
    assert series["failed"].tolist() == series["errors"].tolist()
    assert len(np.unique(series["some"])) > 20
    assert series["some"].mean() == pytest.approx(400, abs=4 * math.sqrt(200 / 30))
    metrics.invocations += 1
    more = bank._series(given.alarms["some"].readings[""], 600.0, 10, remembered=False)[0]
    assert ((more - series["some"] >= 0) & (more - series["some"] <= 2)).all(), "late invocations take nothing away"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alarms__errors__metric": "order-faild"}, "no metric 'order-faild'.*did you mean 'order-failed'"),
        (
            {"alarms__errors__of": "old_version"},
            "the metric 'order-failed' is of new_version, got old_version; allowed new_version",
        ),
        ({"metrics__Errors": {"counts": "requests"}}, "'Errors' is a metric already"),
    ],
)
def test_own_metrics_are_checked(changes: dict[str, Any], message: str) -> None:
    changes = {
        "metrics": {"order-failed": {"of": "new_version"}},
        "alarms": {"errors": {"metric": "order-failed", "threshold": "> 0"}},
        **changes,
    }
    with pytest.raises(ScenarioError, match=message):
        scenario(**changes)


def test_a_study_says_what_it_assumes_of_the_past() -> None:
    given = watched()
    said = "burn-rate windows that reach back before the start are filled with the old version's expected counts at that hour"
    assert said in compare(given, 3, twin=False).approximations
    assert said in simulate(given, "canary").approximations
    assert said not in compare(scenario(), 3, twin=False).approximations
