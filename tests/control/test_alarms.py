"""CloudWatch's alarm evaluation: AWS's worked tables, a scalar twin, and what an alarm sees in the metrics."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rollout_sim.control import alarms
from rollout_sim.control.alarms import STATES, Alarm, Missing, alarm_state, evaluate_range, evaluation_range
from rollout_sim.control.metrics import Percentile

TREATMENTS: tuple[Missing, ...] = get_args(Missing)
VALUES = {"0": 0.0, "X": 9.0, "-": math.nan}
SHORT = {"INS": "INSUFFICIENT_DATA"}


def row(text: str) -> list[float | None]:
    """A row of AWS's notation: 0 is fine, X breaches, - is missing; oldest to newest."""
    return [VALUES[letter] for letter in text]


# --- M of N ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("previous", STATES)
@pytest.mark.parametrize(
    ("points", "datapoints", "expected"),
    [
        ("0-X-X", "3 of 3", "OK OK OK OK"),
        ("0----", "3 of 3", "OK OK OK OK"),
        ("-----", "3 of 3", "INS kept ALARM OK"),
        ("0XX-X", "3 of 3", "ALARM ALARM ALARM ALARM"),
        ("--X--", "3 of 3", "ALARM kept ALARM OK"),
        ("0-X-X", "2 of 3", "ALARM ALARM ALARM ALARM"),
        ("00X0X", "2 of 3", "ALARM ALARM ALARM ALARM"),
        ("0-X--", "2 of 3", "OK OK ALARM OK"),
        ("----0", "2 of 3", "OK OK ALARM OK"),
        ("---X-", "2 of 3", "ALARM kept ALARM OK"),
        ("--X-X", "2 of 3", "ALARM ALARM ALARM ALARM"),
    ],
)
def test_worked_examples_of_aws(points: str, datapoints: str, expected: str, previous: str) -> None:
    for treatment, state in zip(TREATMENTS, expected.split(), strict=True):
        wanted = previous if state == "kept" else SHORT.get(state, state)
        assert alarm_state(row(points), "> 5", datapoints, treatment, previous) == wanted, treatment


def scalar_twin(points: str, n: int, m: int, missing: str, previous: str) -> str:
    """The documented rules, one letter at a time: real points first, then a gap filled with letters."""
    real = [letter for letter in points if letter != "-"]
    if len(real) >= n:
        return "ALARM" if real[len(real) - n :].count("X") >= m else "OK"
    if not real:
        return {"missing": "INSUFFICIENT_DATA", "ignore": previous, "breaching": "ALARM", "not_breaching": "OK"}[
            missing
        ]
    filler = {"breaching": "X", "not_breaching": "0"}.get(missing, "")
    if (real + [filler] * (n - len(real))).count("X") >= m:
        return "ALARM"
    if missing in ("missing", "ignore") and "0" not in real:
        oldest = points.index("X")
        periods_old = len(points[oldest:])
        if periods_old >= m:
            return "ALARM" if missing == "missing" else previous
    return "OK"


@st.composite
def rules(draw: st.DrawFn) -> tuple[int, int, list[str]]:
    """N, M and some evaluation ranges."""
    n = draw(st.integers(1, 10))
    m = draw(st.integers(1, n))
    width = evaluation_range(n)
    return n, m, draw(st.lists(st.text("0X--", min_size=width, max_size=width), min_size=1, max_size=20))


@given(rules(), st.sampled_from(TREATMENTS), st.integers(0, 2))
def test_equals_the_scalar_twin(rule: tuple[int, int, list[str]], missing: Missing, previous: int) -> None:
    n, m, texts = rule
    points = np.array([row(text) for text in texts], float)
    before = np.full(len(texts), previous, np.int8)
    got = evaluate_range(points, points > 5, n, m, missing, before)
    assert got.dtype == np.int8
    assert [STATES[code] for code in got] == [scalar_twin(text, n, m, missing, STATES[previous]) for text in texts]


def test_range_is_longer_than_n() -> None:
    assert [evaluation_range(n) for n in (1, 2, 3, 6, 9, 10)] == [3, 4, 5, 8, 12, 13]


def test_alarm_state_takes_the_newest_range() -> None:
    assert alarm_state(row("XXX" + "-----"), missing="missing") == "INSUFFICIENT_DATA"
    assert alarm_state(row("X" + "X----"), datapoints="2 of 3", missing="not_breaching") == "OK"
    assert alarm_state([None, 9], missing="missing") == "OK"
    assert alarm_state([9, None], missing="missing") == "ALARM"
    assert alarm_state([9, None], missing="notBreaching") == "OK"
    assert alarm_state([], missing="breaching") == "ALARM"
    assert alarm_state([], missing="missing") == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("threshold", "state"), [("> 5", "OK"), (">= 5", "ALARM"), ("< 5", "OK"), ("<=5", "ALARM"), ("> -1", "ALARM")]
)
def test_alarm_state_compares_as_written(threshold: str, state: str) -> None:
    assert alarm_state([5], threshold, "1 of 1") == state


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": "5"}, r"threshold: got '5'; allowed >, >=, < or <= and a plain number"),
        ({"threshold": "> 5%"}, "threshold: got '> 5%'"),
        ({"threshold": "> nan"}, "threshold: got '> nan'"),
        ({"threshold": "> 1e999"}, "threshold: got '> 1e999'"),
        ({"threshold": "> "}, "threshold: got '> '"),
        ({"datapoints": "3 of 2"}, "datapoints: got '3 of 2'; allowed 'M of N'"),
        ({"datapoints": "0 of 2"}, "datapoints: got '0 of 2'"),
        ({"datapoints": "2"}, "datapoints: got '2'"),
        (
            {"missing": "bad"},
            "missing: no such treatment, got 'bad'; allowed missing, ignore",
        ),
        ({"previous": "ok"}, "previous: not an alarm state, got 'ok'; allowed OK, ALARM, INSUFFICIENT_DATA"),
    ],
)
def test_alarm_state_refuses(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        alarm_state([1.0], **arguments)


# --- the specification ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "comparator", "limit", "statistic"),
    [
        ({"metric": "errors", "threshold": "> 0"}, ">", 0.0, "sum"),
        ({"metric": "errors", "threshold": ">= 5%", "statistic": "average"}, ">=", 0.05, "average"),
        ({"metric": "throttles", "threshold": "> 0.25", "statistic": "average"}, ">", 0.25, "average"),
        ({"metric": "invocations", "threshold": "< 3"}, "<", 3.0, "sum"),
        ({"metric": "error_rate", "threshold": "<= 5%"}, "<=", 0.05, "average"),
        ({"metric": "duration", "threshold": "> 800 ms"}, ">", 0.8, "average"),
        ({"metric": "duration", "threshold": ">1.5 s", "statistic": "p99.9"}, ">", 1.5, "p99.9"),
        ({"metric": "burn_rate", "threshold": "> 14.4", "slo": "a"}, ">", 14.4, None),
        ({"metric": "burn_rate", "threshold": "> 6x", "slo": "a"}, ">", 6.0, None),
    ],
)
def test_thresholds_and_statistics(
    fields: dict[str, Any], comparator: str, limit: float, statistic: str | None
) -> None:
    alarm = Alarm(**fields)
    assert (alarm.comparator, alarm.limit, alarm.statistic) == (comparator, limit, statistic)


def test_derived_properties() -> None:
    alarm = Alarm(metric="duration", threshold="> 1 s", statistic="p99.9", of="new_version", datapoints="2 of 3")
    assert (alarm.m, alarm.n) == (2, 3)
    assert alarm.percentile == Percentile(of="new_version", share=0.999, period=60.0)
    assert Alarm(metric="duration", threshold="> 1 s").percentile is None
    assert Alarm(metric="errors", threshold="> 1").percentile is None
    assert {p: Alarm(metric="errors", threshold="> 0", period=p).interval for p in (10, 20, 30, 60, 300)} == {
        10: 10,
        20: 10,
        30: 10,
        60: 60,
        300: 60,
    }
    assert Alarm(metric="errors", threshold="> 0", missing="notBreaching").missing == "not_breaching"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "bad weather"}, "metric: unknown, got 'bad weather'; allowed invocations, errors"),
        ({"of": "v2"}, "of: unknown, got 'v2'; allowed alias"),
        (
            {"statistic": "p99"},
            "statistic: does not fit errors, got 'p99'; allowed sum, average, minimum, maximum, sample_count$",
        ),
        (
            {"metric": "duration", "threshold": "> 1 s", "statistic": "median"},
            r"does not fit duration, got 'median'.*percentiles.*trimmed means",
        ),
        ({"metric": "duration", "threshold": "> 1 s", "statistic": "p0"}, "got 'p0'"),
        ({"metric": "duration", "threshold": "> 1 s", "statistic": "p101"}, "got 'p101'"),
        ({"metric": "error_rate", "threshold": "> 5%", "statistic": "sum"}, "does not fit error_rate"),
        ({"metric": "error_rate", "threshold": "> 0.05"}, "threshold: got '> 0.05'.*a share"),
        ({"metric": "duration", "threshold": "> 5"}, "threshold: got '> 5'.*a duration"),
        ({"metric": "burn_rate", "threshold": "> 5%", "slo": "a"}, "threshold: got '> 5%'.*a plain factor"),
        ({"threshold": "> 5x"}, "threshold: got '> 5x'"),
        ({"threshold": "= 5"}, "threshold: got '= 5'"),
        ({"period": 15.0}, "period: got 15 s; allowed 10 s, 20 s, 30 s or a whole multiple of 60 s"),
        ({"period": 90.0}, "period: got 90 s"),
        ({"datapoints": "2 of 1"}, "datapoints: got '2 of 1'"),
        ({"missing": "breach"}, "missing: no such treatment, got 'breach'"),
        ({"slo": "a"}, "only burn_rate takes them, got metric 'errors'"),
        ({"long": 7200.0}, "only burn_rate takes them"),
        ({"short": 60.0}, "only burn_rate takes them"),
        ({"metric": "burn_rate"}, "slo: burn_rate needs the name of an SLO"),
        ({"metric": "burn_rate", "slo": "a", "short": 3600.0}, r"short: must be less than long \(3600 s\), got 3600 s"),
        ({"metric": "burn_rate", "slo": "a", "short": 90.0}, "short: got 90 s; allowed whole multiples of 60 s"),
        ({"metric": "burn_rate", "slo": "a", "long": 1000.0}, "long: got 1000 s"),
        ({"metric": "burn_rate", "slo": "a", "statistic": "sum"}, "burn_rate does not take them"),
        ({"metric": "burn_rate", "slo": "a", "period": 300.0}, "burn_rate does not take them"),
        ({"metric": "burn_rate", "slo": "a", "datapoints": "2 of 2"}, "burn_rate does not take them"),
        ({"metric": "burn_rate", "slo": "a", "missing": "breaching"}, "missing: a burn_rate window without requests"),
    ],
)
def test_alarm_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Alarm(**{"metric": "errors", "threshold": "> 0", **fields})


def test_reads_and_writes_the_scenario_file() -> None:
    adapter = TypeAdapter(Alarm)
    alarm = adapter.validate_python(
        {
            "metric": "errors",
            "of": "new_version",
            "period": "1 min",
            "threshold": "> 0",
            "missing": "notBreaching",
            "lag": "5 s",
        }
    )
    assert alarm == Alarm(metric="errors", of="new_version", threshold="> 0", missing="not_breaching", lag=5.0)
    assert adapter.validate_python(adapter.dump_python(alarm)) == alarm
    with pytest.raises(ValidationError, match="short: must be less than long"):
        adapter.validate_python(
            {"metric": "burn_rate", "threshold": "> 1", "slo": "a", "long": "1 min", "short": "2 min"}
        )
    with pytest.raises(ValidationError, match=r"Unexpected keyword|Extra inputs"):
        adapter.validate_python({"metric": "errors", "threshold": "> 0", "colour": "red"})
    adapter.json_schema()


def test_texts_are_read_once_and_stay_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"metric": "duration", "threshold": ">  0.8 s", "statistic": "p99.0", "datapoints": "2  of 3"}
    alarm = TypeAdapter(Alarm).validate_python(fields)
    for name in ("_threshold", "_datapoints", "reading", "parse_expression"):
        monkeypatch.setattr(alarms, name, lambda *_, name=name: pytest.fail(f"{name} again"))
    for same in (alarm, copy.deepcopy(alarm), pickle.loads(pickle.dumps(alarm))):
        assert (same.comparator, same.limit, same.m, same.n) == (">", 0.8, 2, 3)
        assert same.percentile == Percentile(of="alias", share=0.99, period=60.0)
        assert same == alarm
    assert TypeAdapter(Alarm).dump_python(alarm, exclude_defaults=True) == fields
    assert "limit" not in repr(alarm)


def test_numbers_follow_the_texts() -> None:
    alarm = Alarm(metric="errors", threshold="> 5", datapoints="2 of 3")
    changed = replace(alarm, threshold="<= 7", datapoints="1 of 4")
    assert (changed.comparator, changed.limit, changed.m, changed.n) == ("<=", 7.0, 1, 4)
    assert changed != alarm


def test_large_counts_are_thresholds_up_to_a_limit_that_is_named() -> None:
    assert Alarm(metric="invocations", threshold="> 1500000").limit == 1_500_000
    for metric, threshold, limit in (
        ("invocations", "> 1e13", "1,000,000,000,000"), ("burn_rate", "> 1e7", "1,000,000"), ("duration", "> 1e9 d", "36500 d"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"threshold: got '{threshold}'; allowed at most {limit}"):
            Alarm(metric=metric, threshold=threshold, **({"slo": "a"} if metric == "burn_rate" else {}))


@pytest.mark.parametrize(("period", "most"), [(60, 1440), (300, 288), (3600, 168)])
def test_periods_come_to_a_day_at_most_and_to_a_week_where_they_are_hours(period: int, most: int) -> None:
    assert Alarm(metric="errors", threshold="> 0", period=period, datapoints=f"1 of {most}").n == most
    with pytest.raises(ValueError, match=rf"datapoints: {most + 1} periods .* allowed N up to {most}"):
        Alarm(metric="errors", threshold="> 0", period=period, datapoints=f"1 of {most + 1}")
