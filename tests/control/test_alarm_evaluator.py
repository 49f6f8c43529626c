"""What alarms see in the metrics, when, and the states that they go through."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rollout_sim.control.alarm_evaluator import AlarmEvaluator, Before, BurnSource
from rollout_sim.control.alarms import STATES, Alarm
from rollout_sim.control.metrics import Metrics, Percentile, Scope, Target, scopes_of
from rollout_sim.control.readings import Metric, MetricQuery, Missing
from rollout_sim.core.distributions import Constant, Distribution
from rollout_sim.core.streams import Streams
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
        (0.0, 30.0, 70.0),
        (5.0, 30.0, 80.0),
        (0.0, 300.0, 120.0),
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
    key = Percentile(of="alias", share=0.5, period=120.0, step=60.0)
    metrics = store(percentiles=(key,), horizon=600.0)
    metrics.percentiles[key][0, 3:5] = 2.0  # of the minute from 180 s on
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
    with pytest.raises(ValueError, match=r"alarm 'a': the period must be a whole multiple .*\(20 s\), got 10 s"):
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
    source = BurnSource(objective=0.999, slow=slow, history=lambda start, end: per_second * (end - start))
    assert history(bank(metrics, {"availability": source}, a=BURN), 7200.0) == expected


def test_burn_rate_needs_both_windows_and_recovers() -> None:
    metrics = store(horizon=7200.0)
    metrics.invocations[0, 0, :] = 1000
    metrics.errors[0, 0, :10] = 1000
    source = BurnSource(objective=0.999, history=lambda start, end: 1000 / 60 * (end - start))
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
    source = BurnSource(objective=0.9, slow=slow, history=lambda start, end: end - start, history_bad=0.5)
    expected: dict[Scope, str] = {"alias": "ALARM", "old_version": "ALARM", "new_version": "OK"}
    for of, name in expected.items():
        alarm = Alarm(metric="burn_rate", threshold="> 4", slo="s", of=of, lag=90.0)
        assert state(bank(store(slow_thresholds=(1.0,)), {"s": source}, a=alarm), 60.0) == name


def test_burn_rate_waits_for_the_lag() -> None:
    metrics = store()
    metrics.invocations[0, 0, :] = metrics.errors[0, 0, :] = 60
    source = BurnSource(objective=0.999, history=lambda start, end: end - start)
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
    objectives = {"availability": BurnSource(objective=0.9, history=lambda start, end: 0.1 * (end - start))}
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


# --- periods that slide -----------------------------------------------------------------------------------------------


def minutes(metrics: Metrics, errors: list[int], target: int = 1, invocations: int = 10) -> None:
    """So many errors of a target in each minute of the metrics, from the first one on."""
    per = round(60 / metrics.resolution)
    for minute, count in enumerate(errors):
        metrics.invocations[0, target, minute * per] = invocations
        metrics.errors[0, target, minute * per] = count


def test_periods_end_at_the_newest_visible_minute() -> None:
    """5 min at the end of minute 5 are minutes 1 to 5, at the end of minute 6 minutes 2 to 6."""
    metrics = store()
    minutes(metrics, [1, 1, 1, 1, 1, 0, 0, 5, *[0] * 8])
    alarm = Alarm(metric="errors", threshold=">= 5", period=300.0, missing="not_breaching")
    assert history(bank(metrics, a=alarm), 900.0) == [
        (60.0, "OK"),
        (300.0, "ALARM"),  # minutes 0 to 4
        (360.0, "OK"),
        (480.0, "ALARM"),
        (780.0, "OK"),  # minute 7 has left
    ]


def test_datapoints_are_back_to_back() -> None:
    metrics = store()
    minutes(metrics, [0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    # Periods [t - 4 min, t - 2 min) and [t - 2 min, t): one error in each of them.
    alarm = Alarm(metric="errors", threshold="> 0", period=120.0, datapoints="2 of 2")
    assert [t for t, name in history(bank(metrics, a=alarm), 600.0) if name == "ALARM"] == []
    metrics.errors[0, 1, 4] = 1
    assert history(bank(metrics, a=alarm), 600.0)[-2:] == [(300.0, "ALARM"), (540.0, "OK")]


@pytest.mark.parametrize(
    ("window", "fired"),
    [("sliding", {600.0 + 60 * k: 660.0 + 60 * k for k in range(6)}), ("wall_clock", dict.fromkeys(range(600, 900, 60), 900.0))],
)  # fmt: skip
def test_a_window_of_five_minutes_sees_an_error_after_a_minute_or_at_the_clocks_five(
    window: str, fired: dict[float, float]
) -> None:
    for start, at in fired.items():
        metrics = store()
        metrics.invocations[0, 1, round(start / 60)] = metrics.errors[0, 1, round(start / 60)] = 1
        alarm: Any = Alarm(metric="errors", threshold="> 0", period=300.0, window=window, missing="not_breaching")
        assert [t for t, name in history(bank(metrics, a=alarm), 1800.0) if name == "ALARM"] == [at]


def test_an_hour_fires_in_the_minute_of_its_first_error() -> None:
    metrics = store()
    minutes(metrics, [0, 0, 0, 1, 0])
    alarm = Alarm(metric="errors", threshold="> 0", period=3600.0, missing="not_breaching")
    assert history(bank(metrics, a=alarm), 600.0) == [(60.0, "OK"), (240.0, "ALARM")]


# --- statistics, guards, metric maths ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"metric": "errors", "statistic": "maximum"}, [0, 1, 1]),
        ({"metric": "errors", "statistic": "minimum"}, [0, 0, 1]),
        ({"metric": "errors", "statistic": "sample_count"}, [10, 10, 10]),
        ({"metric": "errors", "statistic": "SampleCount"}, [10, 10, 10]),
        ({"metric": "Errors", "statistic": "Sum"}, [0, 3, 10]),
        ({"metric": "invocations", "statistic": "maximum"}, [1, 1, 1]),
        ({"expression": "100 * e / n", "metrics": {"e": MetricQuery(metric="errors"), "n": MetricQuery(metric="invocations")}},
         [0, 30, 100]),
    ],
)  # fmt: skip
def test_what_a_statistic_of_counts_is(fields: dict[str, Any], expected: list[float]) -> None:
    metrics = store()
    minutes(metrics, [0, 3, 10])
    for minute, value in enumerate(expected):
        for threshold, state_name in ((f">= {value}", "ALARM"), (f"> {value}", "OK")):
            watched = bank(metrics, a=Alarm(**fields, threshold=threshold))
            assert state(watched, 60.0 * (minute + 1)) == state_name, (minute, threshold)


@pytest.mark.parametrize(("below", "expected"), [("ok", "OK"), ("missing", "INSUFFICIENT_DATA")])
def test_a_guard_asks_for_requests(below: str, expected: str) -> None:
    metrics = store()
    for count, name in ((19, expected), (20, "ALARM")):
        metrics.invocations[0, 1, 0] = metrics.errors[0, 1, 0] = count
        alarm: Any = Alarm(metric="error_rate", threshold="> 5%", at_least="20 requests", below=below)
        assert state(bank(metrics, a=alarm), 60.0) == name


def test_a_version_is_set_against_the_other() -> None:
    queries = {
        "new_errors": MetricQuery(metric="errors", of="new_version"), "new": MetricQuery(metric="invocations", of="new_version"),
        "old_errors": MetricQuery(metric="errors", of="old_version"), "old": MetricQuery(metric="invocations", of="old_version"),
    }  # fmt: skip
    text = "IF(new >= 20, (new_errors / new) / (old_errors / old), 0)"
    metrics = store()
    metrics.invocations[0, :2, 0] = [900, 100]
    metrics.errors[0, :2, 0] = [18, 4]
    alarm = Alarm(expression=text, metrics=queries, threshold=">= 2")
    assert state(bank(metrics, a=alarm), 60.0) == "ALARM"
    metrics.errors[0, 1, 0] = 3
    assert state(bank(metrics, a=alarm), 60.0) == "OK"


def test_durations_in_metric_maths_are_milliseconds() -> None:
    metrics = store()
    metrics.invocations[0, 1, 0], metrics.duration_sum[0, 1, 0] = 2, 1.0
    for threshold, name in ((">= 500", "ALARM"), ("> 500", "OK")):
        alarm = Alarm(expression="d + 0", metrics={"d": MetricQuery(metric="duration")}, threshold=threshold)
        assert state(bank(metrics, a=alarm), 60.0) == name


def test_the_function_is_all_its_aliases() -> None:
    metrics = store()
    metrics.invocations[0, :, 0] = [1, 2, 4]
    assert state(bank(metrics, a=Alarm(metric="invocations", threshold=">= 7", of="function")), 60.0) == "ALARM"


def test_few_samples_keep_the_state() -> None:
    """10 / (1 - 0.9) = 100 samples."""
    key = Percentile(of="alias", share=0.9, period=60.0)
    metrics = store(percentiles=(key,))
    metrics.percentiles[key][0, :3] = 2.0
    metrics.invocations[0, 1, :3] = [99, 100, 100]
    fields: dict[str, Any] = {"metric": "duration", "statistic": "p90", "threshold": "> 1 s"}
    assert history(bank(metrics, a=Alarm(**fields)), 120.0) == [(60.0, "ALARM")]
    assert history(bank(metrics, a=Alarm(**fields, low_samples="ignore")), 120.0) == [(120.0, "ALARM")]


# --- before time zero -------------------------------------------------------------------------------------------------


def before(per_second: float, errors: float = 0.0) -> Before:
    """All traffic to the old version."""
    usual = np.array([per_second, 0.0, 0.0])
    return Before(
        invocations=usual, errors=usual * errors, bad=usual * errors, throttles=usual * 0.0, durations=(Constant(0.2),) * 3,
        forecast=lambda start, end: usual * (end - start),
    )  # fmt: skip


def remembering(metrics: Metrics, then: Before, alarm: Alarm) -> AlarmEvaluator:
    """A bank of one alarm with a history."""
    return AlarmEvaluator({"a": alarm}, metrics=metrics, objectives={}, before=then)


def test_expected_counts_fill_the_time_before_zero() -> None:
    """60 requests a minute of which 1% fail: an hour expects 36 errors, and one minute more than expected changes little."""
    metrics = store()
    minutes(metrics, [4] * 3, target=0, invocations=60)
    alarm = Alarm(metric="errors", threshold="> 40", period=3600.0)
    assert history(remembering(metrics, before(1.0, 0.01), alarm), 180.0) == [(60.0, "OK"), (120.0, "ALARM")]
    assert history(remembering(metrics, before(1.0, 0.01), replace(alarm, history="new")), 180.0) == [(60.0, "OK")]


def test_a_low_count_is_not_low_because_the_simulation_has_begun() -> None:
    metrics = store()
    minutes(metrics, [0] * 9, target=0, invocations=60)
    alarm = Alarm(metric="invocations", threshold="< 250", period=300.0)
    assert [t for t, name in history(bank(metrics, a=alarm), 540.0) if name == "ALARM"] == [60.0]
    assert history(remembering(metrics, before(1.0), alarm), 540.0) == [(60.0, "OK")]


@pytest.mark.parametrize("threshold", ["> 0", "> 35", ">= 36"])
def test_history_alone_turns_no_alarm_red(threshold: str) -> None:
    metrics = store()
    minutes(metrics, [0] * 9, target=0, invocations=60)
    alarm = Alarm(metric="errors", threshold=threshold, period=3600.0)
    assert history(remembering(metrics, before(1.0, 0.01), alarm), 540.0) == [(60.0, "OK")]


def test_a_new_version_has_no_history_and_an_alias_does() -> None:
    for of, name in (("new_version", "INSUFFICIENT_DATA"), ("old_version", "OK"), ("alias", "OK"), ("function", "OK")):
        alarm: Any = Alarm(metric="errors", threshold="> 5", of=of)
        assert state(remembering(store(), before(1.0), alarm), 0.0) == name
    sparse = remembering(store(), before(0.01), Alarm(metric="errors", threshold="> 5"))
    assert state(sparse, 0.0) == "INSUFFICIENT_DATA", "a minute of 0.6 requests has none, more likely than not"


def test_percentiles_have_a_history_too() -> None:
    key = Percentile(of="alias", share=0.99, period=60.0)
    for limit, name in (("> 100 ms", "INSUFFICIENT_DATA"), ("> 300 ms", "OK")):
        alarm = Alarm(metric="duration", statistic="p99", threshold=limit)
        assert state(remembering(store(percentiles=(key,)), before(10.0), alarm), 0.0) == name


def test_a_new_alarm_begins_with_the_deployment_and_may_warm_up() -> None:
    metrics = store()
    minutes(metrics, [1] * 20)
    metrics.invocations[0, :, 11] = metrics.errors[0, :, 11] = 0
    fields: dict[str, Any] = {"metric": "errors", "threshold": "> 0", "datapoints": "1 of 5", "history": "new"}

    def changes(**more: Any) -> list[tuple[float, str]]:
        alarms = {"a": Alarm(**fields, **more)}
        return history(AlarmEvaluator(alarms, metrics=metrics, objectives={}, created=630.0), 1200.0)

    assert changes() == [(660.0, "ALARM")]
    assert changes(warm_up=180.0) == [(660.0, "ALARM")], "its five datapoints are there, so the warm-up is over"
    metrics.invocations[0, :, 8] = metrics.errors[0, :, 8] = 0
    assert changes(warm_up=180.0) == [(840.0, "ALARM")]
    assert changes(warm_up=600.0) == [(1020.0, "ALARM")], "the gap at minute 11 has left the five newest"


# --- composite alarms, lags that vary, bands --------------------------------------------------------------------------


def test_composite_alarms_follow_in_the_same_instant() -> None:
    metrics = store()
    minutes(metrics, [0, 1, 1, 0, 0])
    alarms = {
        "both": Alarm(rule="ALARM(one) AND ALARM(two)"),
        "top": Alarm(rule="NOT OK(both)"),
        "one": Alarm(metric="errors", threshold="> 0"),
        "two": Alarm(metric="errors", threshold="> 0", datapoints="2 of 2"),
    }
    watched = bank(metrics, None, **alarms)
    seen = []
    for minute in range(1, 6):
        watched.evaluate(60.0 * minute)
        seen.append([STATES[code] for code in watched.states[0]])
    assert [row[0] for row in seen] == [row[1] for row in seen] == ["OK", "OK", "ALARM", "OK", "OK"]
    assert watched.next_time(0.0) == 60.0
    with pytest.raises(ValueError, match="alarm 'a': no such alarm, got 'x'; allowed a"):
        bank(metrics, a=Alarm(rule="ALARM(x)"))


def test_a_lag_may_vary_and_is_the_same_for_the_same_stream() -> None:
    size = 2000
    metrics = store(replications=size)
    metrics.invocations[:, 1] = 1
    metrics.errors[:, 1, 10] = 1
    streams = [Streams(seed=1, replication=r) for r in range(size)]
    alarm = Alarm(metric="errors", threshold="> 0", lag=Distribution("uniform", (60.0, 240.0)), datapoints="1 of 5")
    fired = []
    for _ in range(2):
        watched = AlarmEvaluator({"a": alarm}, metrics=metrics, objectives={}, replications=streams)
        first = np.full(size, np.nan)
        for t in np.arange(60.0, 1800.0, 60.0).tolist():
            watched.evaluate(t)
            first = np.where(np.isnan(first) & (watched.states[:, 0] == STATES.index("ALARM")), t, first)
        fired.append(first - 660.0)
    np.testing.assert_array_equal(*fired)
    # Seen with a later minute at the latest: three lags of which the first that has run out shows the minute.
    assert set(np.unique(fired[0]).tolist()) == {120.0, 180.0, 240.0}
    assert abs((fired[0] == 120.0).mean() - 1 / 3) < 0.04  # four standard errors
    with pytest.raises(ValueError, match="alarm 'a': a lag that varies needs the streams of every replication"):
        bank(store(), a=alarm)


@pytest.mark.parametrize(
    ("count", "expected"), [(60, ()), (74, ()), (76, ("above", "outside")), (46, ()), (44, ("below", "outside"))]
)
def test_a_band_is_standard_deviations_around_the_forecast(count: int, expected: tuple[str, ...]) -> None:
    """60 requests expected: 2 standard deviations are 15.5."""
    metrics = store()
    metrics.invocations[0, 0, 0] = count
    for threshold in ("above", "below", "outside"):
        alarm = Alarm(metric="invocations", threshold=threshold, band=2)
        assert (state(remembering(metrics, before(1.0), alarm), 60.0) == "ALARM") == (threshold in expected)


def test_a_band_of_a_rate_is_as_narrow_as_there_are_samples() -> None:
    """1% expected of 10,000: a standard deviation is 0.1%."""
    alarm = Alarm(metric="error_rate", threshold="above", band=3)
    metrics = store()
    for errors, samples, name in ((129, 10_000, "OK"), (131, 10_000, "ALARM"), (3, 100, "OK")):
        metrics.invocations[0, 0, 0], metrics.errors[0, 0, 0] = samples, errors
        assert state(remembering(metrics, before(1.0, 0.01), alarm), 60.0) == name
