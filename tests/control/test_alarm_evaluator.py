"""What alarms see in the metrics, when, and the states that they go through."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rollout_sim.control.alarm_evaluator import AlarmEvaluator, BurnSource
from rollout_sim.control.alarms import STATES, Alarm, Metric, Missing
from rollout_sim.control.metrics import Metrics, Percentile, Scope, Target, scopes_of
from rollout_sim.theory import mean_run_length

OLD, NEW, OTHER = Target("prod", "1"), Target("prod", "2"), Target("test", "2")


def store(replications: int = 1, resolution: float = 60.0, horizon: float = 3600.0, **more: Any) -> Metrics:
    """Empty metrics of two versions behind `prod` and one behind `test`."""
    targets = (OLD, NEW, OTHER)
    scopes = scopes_of(targets, "prod", "1", "2")
    return Metrics(
        replications=replications, targets=targets, resolution=resolution, horizon=horizon, scopes=scopes, **more
    )


def bank(metrics: Metrics, objectives: dict[str, BurnSource] | None = None, **alarms: Alarm) -> AlarmEvaluator:
    """A bank that rolls `prod` from version 1 to version 2."""
    return AlarmEvaluator(alarms, metrics=metrics, objectives=objectives or {})


def state(watched: AlarmEvaluator, t: float) -> str:
    """The first alarm's state in the first replication, once evaluated at `t`."""
    watched.evaluate(t)
    return STATES[watched.states[0, 0]]


def history(watched: AlarmEvaluator, until: float) -> list[tuple[float, str]]:
    """Every change of the first alarm in the first replication."""
    changes, t = [], watched.next_time(0.0)
    while t <= until:
        if watched.evaluate(t)[0, 0]:
            changes.append((t, STATES[watched.states[0, 0]]))
        t = watched.next_time(t)
    return changes


def test_instants_are_aligned() -> None:
    slow = Alarm(metric="errors", threshold="> 0", period=300.0)
    fast = Alarm(metric="errors", threshold="> 0", period=30.0)
    metrics = store(resolution=10.0)
    assert bank(metrics).next_time(0) == math.inf
    assert bank(metrics, a=slow).next_time(0) == 60
    assert bank(metrics, a=slow).next_time(60) == 120
    assert bank(metrics, a=slow).next_time(59.99) == 60
    assert bank(metrics, a=slow).next_time(60 - 1e-9) == 120
    assert bank(metrics, a=slow, b=fast).next_time(60) == 70


def test_only_alarms_due_are_evaluated() -> None:
    fields: dict[str, Any] = {"metric": "errors", "threshold": "> 0", "missing": "not_breaching"}
    watched = bank(store(resolution=10.0), a=Alarm(**fields, period=60.0), b=Alarm(**fields, period=10.0))
    assert watched.evaluate(50.0).tolist() == [[False, True]]
    assert watched.evaluate(60.0).tolist() == [[True, False]]
    assert watched.names == ("a", "b")


def test_starts_without_data_and_stays_so_until_a_datapoint() -> None:
    metrics = store()
    metrics.invocations[0, 1, 2] = 5
    watched = bank(metrics, a=Alarm(metric="errors", threshold="> 0", of="new_version"))
    assert STATES[watched.states[0, 0]] == "INSUFFICIENT_DATA"
    # Minute 2 is seen at 180 s and leaves the range of 3 periods at 360 s.
    assert history(watched, 600.0) == [(180.0, "OK"), (360.0, "INSUFFICIENT_DATA")]


@pytest.mark.parametrize(
    ("lag", "period", "seen"),
    [
        (0.0, 60.0, 120.0),
        (0.1, 60.0, 180.0),
        (60.0, 60.0, 180.0),
        (61.0, 60.0, 240.0),
        (0.0, 10.0, 70.0),
        (0.1, 10.0, 80.0),
        (10.0, 10.0, 80.0),
        (0.0, 30.0, 90.0),
        (5.0, 30.0, 100.0),
        (0.0, 300.0, 300.0),
    ],
)
def test_a_period_is_seen_lag_after_its_end(lag: float, period: float, seen: float) -> None:
    metrics = store(resolution=10.0)
    metrics.invocations[0, 1, 6] = metrics.errors[0, 1, 6] = 1  # at 60 s
    watched = bank(metrics, a=Alarm(metric="errors", threshold="> 0", period=period, lag=lag, missing="not_breaching"))
    alarms = [t for t, name in history(watched, 1000.0) if name == "ALARM"]
    assert alarms == [seen]


def test_float_instants_and_lags_do_not_slip() -> None:
    metrics = store()
    metrics.invocations[0, 1, :] = 1
    metrics.errors[0, 1, 2] = 1
    watched = bank(metrics, a=Alarm(metric="errors", threshold="> 0", lag=60.00000000001))
    assert state(watched, 239.99999999999997) == "ALARM"


def test_late_completions_fill_earlier_periods() -> None:
    metrics = store()
    metrics.invocations[0, 1, :] = 10
    watched = bank(metrics, a=Alarm(metric="errors", threshold="> 0", datapoints="1 of 2"))
    assert state(watched, 120.0) == "OK"
    metrics.errors[0, 1, 1] = 1
    assert state(watched, 180.0) == "ALARM"


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("missing", [(60.0, "OK"), (180.0, "ALARM"), (420.0, "INSUFFICIENT_DATA")]),
        ("ignore", [(60.0, "OK"), (180.0, "ALARM")]),
        ("breaching", [(60.0, "OK"), (180.0, "ALARM")]),
        ("not_breaching", [(60.0, "OK"), (180.0, "ALARM"), (360.0, "OK")]),
    ],
)
def test_missing_minutes_follow_the_treatment(missing: Missing, expected: list[tuple[float, str]]) -> None:
    metrics = store()
    metrics.invocations[0, 1, :3] = 1
    metrics.errors[0, 1, :3] = [0, 1, 1]
    # The range holds 4 minutes: the first breach leaves it at 360 s, the second at 420 s.
    watched = bank(metrics, a=Alarm(metric="errors", threshold="> 0", datapoints="2 of 2", missing=missing))
    assert history(watched, 900.0) == expected


def test_scopes_take_only_their_targets() -> None:
    metrics = store()
    metrics.invocations[0, :, 0] = [1, 2, 4]
    counts: dict[Scope, int] = {"alias": 3, "old_version": 1, "new_version": 2}
    for of, count in counts.items():
        at, above = (Alarm(metric="invocations", threshold=f"{sign} {count}", of=of) for sign in (">=", ">"))
        watched = bank(metrics, at=at, above=above)
        watched.evaluate(60.0)
        assert [STATES[code] for code in watched.states[0]] == ["ALARM", "OK"], of


@pytest.mark.parametrize(
    "alarm",
    [
        Alarm(metric="invocations", threshold="> 0", of="old_version"),
        Alarm(metric="duration", threshold="> 0 s", statistic="p50", of="old_version"),
    ],
)
def test_a_version_without_target_has_no_datapoints(alarm: Alarm) -> None:
    scopes = scopes_of((NEW,), "prod", "1", None)
    metrics = Metrics(replications=1, targets=(NEW,), resolution=60.0, horizon=600.0, scopes=scopes)
    metrics.invocations[:] = 1
    alarms = {"none": alarm, "some": Alarm(metric="invocations", threshold="> 0")}
    watched = AlarmEvaluator(alarms, metrics=metrics, objectives={})
    watched.evaluate(60.0)
    assert [STATES[code] for code in watched.states[0]] == ["INSUFFICIENT_DATA", "ALARM"]


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"metric": "invocations"}, "8"),
        ({"metric": "errors"}, "2"),
        ({"metric": "errors", "statistic": "average"}, "25%"),
        ({"metric": "error_rate"}, "25%"),
        ({"metric": "throttles"}, "2"),
        ({"metric": "throttles", "statistic": "average"}, "0.2"),
        ({"metric": "duration"}, "500 ms"),
        ({"metric": "duration", "statistic": "p99"}, "3 s"),
    ],
)
def test_what_a_datapoint_is(fields: dict[str, Any], value: str) -> None:
    key = Percentile(of="new_version", share=0.99, period=60.0)
    metrics = store(resolution=10.0, percentiles=(key,))
    metrics.invocations[0, 1, 0:2] = [5, 3]
    metrics.errors[0, 1, 3] = 2
    metrics.throttles[0, 1, 5] = 2
    metrics.duration_sum[0, 1, 1] = 4.0
    metrics.percentiles[key][0, 0] = 3.0
    at, above = (Alarm(**fields, threshold=f"{sign} {value}", of="new_version") for sign in (">=", ">"))
    watched = bank(metrics, at=at, above=above)
    watched.evaluate(60.0)
    assert [STATES[code] for code in watched.states[0]] == ["ALARM", "OK"]


def test_throttled_minutes_have_only_a_throttles_datapoint() -> None:
    metrics = store()
    metrics.throttles[0, 1, 0] = 4
    names: tuple[Metric, ...] = ("invocations", "errors", "throttles", "error_rate")
    alarms = {name: Alarm(metric=name, threshold=">= 0%" if name == "error_rate" else ">= 0") for name in names}
    watched = bank(metrics, None, **alarms)
    watched.evaluate(60.0)
    assert [STATES[code] for code in watched.states[0]] == ["INSUFFICIENT_DATA"] * 2 + ["ALARM", "INSUFFICIENT_DATA"]


def test_percentiles_are_read_at_their_period() -> None:
    key = Percentile(of="alias", share=0.5, period=120.0)
    metrics = store(percentiles=(key,), horizon=600.0)
    metrics.percentiles[key][0, 1] = 2.0
    alarm = Alarm(metric="duration", threshold="> 1 s", statistic="p50", period=120.0, missing="not_breaching")
    assert history(bank(metrics, a=alarm), 900.0) == [(60.0, "OK"), (240.0, "ALARM"), (600.0, "OK")]


def test_percentiles_keep_their_place_near_time_zero() -> None:
    key = Percentile(of="alias", share=0.5, period=60.0)
    metrics = store(percentiles=(key,))
    metrics.percentiles[key][0, 0] = 2.0
    # A lone breach must be 2 periods old to fire.
    alarm = Alarm(metric="duration", threshold="> 1 s", statistic="p50", datapoints="2 of 2")
    assert history(bank(metrics, a=alarm), 120.0) == [(60.0, "OK"), (120.0, "ALARM")]


def test_inactive_replications_stay_as_they_are() -> None:
    metrics = store(replications=2)
    metrics.invocations[:] = 1
    watched = bank(metrics, a=Alarm(metric="invocations", threshold="> 0"))
    assert watched.evaluate(60.0, np.array([False, True])).tolist() == [[False], [True]]
    assert watched.states.tolist() == [[2], [1]]


def test_the_bank_refuses_what_the_metrics_cannot_answer() -> None:
    with pytest.raises(ValueError, match=r"alarm 'a': the metrics do not hold Percentile\(of='alias', share=0.99"):
        bank(store(), a=Alarm(metric="duration", threshold="> 1 s", statistic="p99"))
    with pytest.raises(ValueError, match="alarm 'a': no such SLO, got 'b'; allowed none"):
        bank(store(), a=Alarm(metric="burn_rate", threshold="> 1", slo="b"))
    with pytest.raises(ValueError, match=r"alarm 'a': the period must be a whole multiple .*\(20 s\), got 30 s"):
        bank(store(resolution=20.0), a=Alarm(metric="errors", threshold="> 1", period=30.0))
    with pytest.raises(ValueError, match="objective: leaves no error budget, got 1"):
        BurnSource(objective=1.0)


# --- burn rates -----------------------------------------------------------------------------------------------

BURN = Alarm(metric="burn_rate", threshold="> 14.4", slo="availability")


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.20, [(60.0, "OK"), (300.0, "ALARM")]),  # the long window crosses after 14.4 * 0.1% * 1 h / 20% = 259.2 s
        (0.02, [(60.0, "OK"), (2640.0, "ALARM")]),  # after 43.2 min
        (0.0144, [(60.0, "OK")]),  # exactly 14.4 in the end, which is not more
        (0.01, [(60.0, "OK")]),
    ],
)
@pytest.mark.parametrize("slow", [None, 0])
@pytest.mark.parametrize("resolution", [10.0, 60.0])
def test_burn_rate_alert_fires_when_the_closed_form_says(
    share: float, expected: list[tuple[float, str]], slow: int | None, resolution: float
) -> None:
    metrics = store(resolution=resolution, horizon=7200.0, slow_thresholds=(0.5,))
    per_second = 1000
    metrics.invocations[0, 0, :] = round(per_second * resolution)
    bad = metrics.errors if slow is None else metrics.slow[slow]
    bad[0, 0, :] = round(per_second * resolution * share)
    source = BurnSource(objective=0.999, slow=slow, history_invocations=per_second)
    assert history(bank(metrics, {"availability": source}, a=BURN), 7200.0) == expected


def test_burn_rate_needs_both_windows_and_recovers() -> None:
    metrics = store(horizon=7200.0)
    metrics.invocations[0, 0, :] = 1000
    metrics.errors[0, 0, :10] = 1000
    source = BurnSource(objective=0.999, history_invocations=1000 / 60)
    watched = bank(metrics, {"availability": source}, a=BURN)
    # The last bad minute ends at 600 s and leaves the short window at 900 s.
    assert history(watched, 7200.0) == [(60.0, "ALARM"), (900.0, "OK")]


def test_burn_rate_counts_throttles_as_bad_requests() -> None:
    metrics = store()
    metrics.invocations[0, 0, :] = 90
    metrics.throttles[0, 0, :] = 10
    source = BurnSource(objective=0.5)
    limits = {"at": ">= 0.2", "above": "> 0.2"}
    alarms = {name: Alarm(metric="burn_rate", threshold=limit, slo="s") for name, limit in limits.items()}
    watched = bank(metrics, {"s": source}, **alarms)
    watched.evaluate(60.0)
    assert [STATES[code] for code in watched.states[0]] == ["ALARM", "OK"]


@pytest.mark.parametrize("slow", [None, 0])
def test_burn_rate_remembers_history_but_not_of_a_new_version(slow: int | None) -> None:
    source = BurnSource(objective=0.9, slow=slow, history_invocations=1.0, history_bad=0.5)
    expected: dict[Scope, str] = {"alias": "ALARM", "old_version": "ALARM", "new_version": "OK"}
    for of, name in expected.items():
        alarm = Alarm(metric="burn_rate", threshold="> 4", slo="s", of=of, lag=90.0)
        assert state(bank(store(slow_thresholds=(1.0,)), {"s": source}, a=alarm), 60.0) == name


def test_burn_rate_waits_for_the_lag() -> None:
    metrics = store()
    metrics.invocations[0, 0, :] = metrics.errors[0, 0, :] = 60
    source = BurnSource(objective=0.999, history_invocations=1.0)
    # The long window needs 14.4 * 0.1% * 1 h = 51.84 s of failure: the first bad minute, seen 61 s after its end.
    late = replace(BURN, lag=61.0)
    assert history(bank(metrics, {"availability": source}, a=late), 600.0) == [(60.0, "OK"), (180.0, "ALARM")]


def test_burn_rate_of_exactly_the_limit_is_at_the_limit() -> None:
    metrics = store()
    metrics.invocations[0, 0, :] = 10000
    metrics.errors[0, 0, :] = 144
    at = replace(BURN, threshold=">= 14.4")
    assert state(bank(metrics, {"availability": BurnSource(objective=0.999)}, a=at), 3600.0) == "ALARM"


def test_burn_rate_without_traffic_is_ok() -> None:
    alarm = Alarm(metric="burn_rate", threshold="< 1", slo="s")
    assert state(bank(store(), {"s": BurnSource(objective=0.9)}, a=alarm), 60.0) == "OK"


# --- batches --------------------------------------------------------------------------------------------------


def test_a_batch_is_its_rows() -> None:
    generator = np.random.default_rng(1)
    key = Percentile(of="new_version", share=0.9, period=60.0)
    batch = store(replications=5, resolution=10.0, horizon=1800.0, percentiles=(key,))
    batch.invocations[:] = generator.poisson(0.5, batch.invocations.shape)
    batch.errors[:] = generator.binomial(batch.invocations, 0.3)
    batch.throttles[:] = generator.poisson(0.1, batch.invocations.shape)
    batch.percentiles[key][:] = generator.choice([0.1, 2.0, np.nan], batch.percentiles[key].shape)
    alarms = {
        "errors": Alarm(metric="errors", threshold="> 1", of="new_version", datapoints="2 of 3", period=20.0),
        "kept": Alarm(metric="error_rate", threshold="> 30%", of="old_version", missing="ignore", lag=7.0),
        "slow": Alarm(metric="duration", statistic="p90", threshold="> 1 s", of="new_version", datapoints="2 of 2"),
        "burn": Alarm(metric="burn_rate", threshold="> 3.2", slo="availability", long=600.0, short=60.0),
    }
    objectives = {"availability": BurnSource(objective=0.9, history_invocations=0.1)}
    together = bank(batch, objectives, **alarms)
    singles = []
    for r in range(batch.replications):
        single = store(resolution=10.0, horizon=1800.0, percentiles=(key,))
        for name in ("invocations", "errors", "throttles"):
            getattr(single, name)[:] = getattr(batch, name)[r : r + 1]
        single.percentiles[key][:] = batch.percentiles[key][r : r + 1]
        singles.append(bank(single, objectives, **alarms))
    t, changes = together.next_time(0.0), np.zeros(len(alarms), int)
    while t <= 1800.0:
        changed = together.evaluate(t)
        assert changed.tolist() == [single.evaluate(t)[0].tolist() for single in singles]
        assert together.states.tolist() == [single.states[0].tolist() for single in singles]
        changes += changed.sum(axis=0)
        t = together.next_time(t)
    assert changes.min() > 5  # every alarm really moves, beyond its first evaluation


@pytest.mark.parametrize(("m", "n", "lag"), [(1, 1, 0), (2, 2, 0), (2, 3, 0), (3, 5, 1), (3, 3, 2)])
def test_run_lengths_meet_their_expectation(m: int, n: int, lag: int) -> None:
    """4,000 alarms on independent minutes that breach with 0.4: mean run length within 4 standard errors, one in 16,000."""
    size, periods, breach = 4000, 600, 0.4
    metrics = store(replications=size, horizon=60.0 * periods)
    metrics.invocations[:, 1] = 1
    metrics.errors[:, 1] = np.random.default_rng(m * 10 + n).random((size, periods)) < breach
    watched = bank(
        metrics,
        a=Alarm(
            metric="errors", threshold="> 0", of="new_version", datapoints=f"{m} of {n}", lag=60.0 * lag,
            missing="not_breaching",
        ),
    )  # fmt: skip
    fired = np.zeros(size)
    for k in range(1, periods + 1):
        watched.evaluate(60.0 * k)
        fired[(watched.states[:, 0] == STATES.index("ALARM")) & (fired == 0)] = k
    assert (fired > 0).all()
    assert abs(fired.mean() - mean_run_length(breach, m, n, lag)) < 4 * fired.std() / math.sqrt(size)
    # The test can fail: one more in M and N is further away.
    assert abs(fired.mean() - mean_run_length(breach, m + 1, n + 1, lag)) > 4 * fired.std() / math.sqrt(size)
