"""OpenSLO: what is imported loads; what cannot be, is left out in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import data

from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.formats import openslo
from rollout_sim.scenario.scenario import Scenario


def slo(window: str = "30d", metric: str = "ratioMetric", **objective: Any) -> dict[str, Any]:
    return {
        "apiVersion": openslo.VERSION, "kind": "SLO", "metadata": {"name": "a"},
        "spec": {
            "indicator": {"spec": {metric: {}}}, "timeWindow": [{"duration": window, "isRolling": True}],
            "objectives": [{"target": 0.99, **objective}],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        slo("1000001d"), slo("9" * 400 + "d"), slo(target=1e-30), slo(target=1.0), slo(target="2026-13-45"),
        slo(metric="thresholdMetric", op="lte", value=-1), slo(metric="thresholdMetric", op="lte", value="x"),
        slo(metric="thresholdMetric", op="lte", value=10**300), {"kind": 5}, slo(target=None),
    ],
)  # fmt: skip
def test_an_slo_that_no_scenario_takes_is_left_out(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "slos.yaml"
    path.write_text(to_yaml(document))
    with pytest.raises(ScenarioError, match="there is no SLO that can be read") as caught:
        openslo.read(path)
    assert len(caught.value.problems) >= 2
    path.write_text(to_yaml(document, slo()))
    entries, _ = openslo.read(path)
    assert len(Scenario.from_dict(data(slos=entries)).slos) == 1


@pytest.mark.parametrize("window", ["1 min", "90 min", "30 d", "4 d", "365 d"])
def test_a_window_that_is_exported_is_read_back(window: str, tmp_path: Path) -> None:
    given = Scenario.from_dict(data(slos=[{"name": "a", "objective": "99.9%", "window": window}]))
    path = tmp_path / "slos.yaml"
    path.write_text(openslo.export(given).text)
    entries, _ = openslo.read(path)
    assert Scenario.from_dict(data(slos=[{**entries[0], "alias": None}])).slos[0].window == given.slos[0].window


ALPHA = """
apiVersion: openslo/v1alpha
kind: SLO
metadata: {name: checkout, displayName: Checkout}
spec:
  service: shop
  budgetingMethod: Occurrences
  timeWindows: [{count: 4, unit: Week, isRolling: true}]
  objectives:
    - {displayName: Gold, target: 0.999, ratioMetrics: {good: {source: p, query: g}, total: {source: p, query: t}}}
    - {displayName: Silver, target: 0.99, ratioMetrics: {good: {source: p, query: g}, total: {source: p, query: t}}}
---
apiVersion: openslo/v1alpha
kind: SLO
metadata: {name: quick}
spec:
  service: shop
  indicator: {thresholdMetric: {source: p, queryType: promql, query: latency}}
  timeWindows: [{count: 1, unit: Month, isRolling: false, calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}}]
  objectives: [{op: lte, value: 250, target: 0.95}, {op: gte, value: 1, target: 0.9}]
"""


def test_v1alpha_has_its_metric_in_each_objective_and_its_window_in_words(tmp_path: Path) -> None:
    path = tmp_path / "slos.yaml"
    path.write_text(ALPHA)
    entries, remarks = openslo.read(path)
    assert entries == [
        {"name": "gold", "sli": "errors", "objective": "99.9%", "window": "28 d"},
        {"name": "silver", "sli": "errors", "objective": "99%", "window": "28 d"},
        {"name": "quick-1", "sli": {"latency": "250 ms"}, "objective": "95%", "window": "30 d"},
    ]
    assert "quick-1: the calendar window 1M was taken as a rolling one of 30 days" in remarks
    assert any(remark.startswith("quick: left out: objectives: op: got 'gte'") for remark in remarks)
    assert len(Scenario.from_dict(data(slos=entries)).slos) == 3


@pytest.mark.parametrize("version", ["openslo.com/v2alpha", "openslo.com/v2alpha1", "openslo/v2alpha"])
def test_v2alpha_calls_an_indicator_sli(version: str, tmp_path: Path) -> None:
    document = slo()
    document["apiVersion"] = version
    spec = document["spec"]
    spec["sli"] = spec.pop("indicator")
    named = {"apiVersion": version, "kind": "SLI", "metadata": {"name": "good"}, "spec": {"thresholdMetric": {}}}
    referring = slo(op="lt", value=300)
    referring["apiVersion"] = version
    referring["spec"] = {**referring["spec"], "sliRef": "good"}
    del referring["spec"]["indicator"]
    path = tmp_path / "slos.yaml"
    path.write_text(to_yaml(named, document, referring))
    entries, _ = openslo.read(path)
    assert [(entry["name"], entry["sli"]) for entry in entries] == [("a", "errors"), ("a-2", {"latency": "0.3 s"})]
    assert len(Scenario.from_dict(data(slos=entries)).slos) == 2


def test_objectives_with_indicators_of_their_own(tmp_path: Path) -> None:
    document = slo()
    del document["spec"]["indicator"]
    document["spec"]["objectives"] = [
        {"displayName": "ok", "target": 0.99, "indicator": {"spec": {"ratioMetric": {}}}},
        {
            "displayName": "fast",
            "target": 0.9,
            "op": "lte",
            "value": 100,
            "indicator": {"spec": {"thresholdMetric": {}}},
        },
        {"displayName": "lost", "target": 0.9, "indicatorRef": "nowhere"},
    ]
    path = tmp_path / "slos.yaml"
    path.write_text(to_yaml(document))
    entries, remarks = openslo.read(path)
    assert [(entry["name"], entry["sli"]) for entry in entries] == [("ok", "errors"), ("fast", {"latency": "0.1 s"})]
    assert "a: left out: indicatorRef: no SLI 'nowhere' in this file" in remarks


@pytest.mark.parametrize(
    "slices", [None, {"every": "1 min", "target": "95%"}, {"every": "90 min"}, {"every": "1 d", "target": "100%"}]
)
def test_budgets_of_time_slices_go_both_ways(slices: dict[str, Any] | None, tmp_path: Path) -> None:
    given = Scenario.from_dict(data(slos=[{"name": "a", "objective": "99.9%", "slices": slices}]))
    path = tmp_path / "slos.yaml"
    path.write_text(openslo.export(given).text)
    entries, _ = openslo.read(path)
    assert Scenario.from_dict(data(slos=[{**entries[0], "alias": None}])).slos == given.slos


@pytest.mark.parametrize(
    ("method", "objective", "slices"),
    [
        ("Timeslices", {"timeSliceTarget": 0.9, "timeSliceWindow": "5m"}, {"every": "5 min", "target": "90%"}),
        ("Timeslices", {"timeSliceTarget": 1, "timeSliceWindow": 2}, {"every": "2 min", "target": "100%"}),
        ("RatioTimeslices", {"timeSliceTarget": 0.9, "timeSliceWindow": "1h"}, {"every": "1 h"}),
        ("Occurrences", {"timeSliceWindow": "1h"}, None),
        ("Timeslices", {"timeSliceWindow": "5m"}, "timeSliceTarget: missing"),
        ("Timeslices", {"timeSliceTarget": 0.9}, "timeSliceWindow: missing"),
        ("Timeslices", {"timeSliceTarget": 1.5, "timeSliceWindow": "5m"}, "timeSliceTarget: must be above 0 and at most 1, got 1.5"),
        ("Timeslices", {"timeSliceTarget": 0.9, "timeSliceWindow": "1M"}, "timeSliceWindow: got '1M'; allowed such as 1m, 5m, 1h"),
        ("RatioTimeslices", {"timeSliceWindow": "8w"}, "slices.every: must not be longer than the window of 30 d, got 56 d"),
        ("Budget", {}, "budgetingMethod: got 'Budget'; allowed Occurrences, Timeslices, RatioTimeslices"),
    ],
)  # fmt: skip
def test_each_budgeting_method_of_openslo(
    method: str, objective: dict[str, Any], slices: dict[str, str] | str | None, tmp_path: Path
) -> None:
    document = slo(**objective)
    document["spec"]["budgetingMethod"] = method
    path = tmp_path / "slos.yaml"
    path.write_text(to_yaml(document))
    if isinstance(slices, str):
        with pytest.raises(ScenarioError) as caught:
            openslo.read(path)
        assert slices in "\n".join(caught.value.problems)
        return
    entries, remarks = openslo.read(path)
    assert entries[0].get("slices") == slices
    assert any("without requests" in remark for remark in remarks) == (slices is not None)


@pytest.mark.parametrize(
    ("metric", "value", "latency"),
    [
        ({"metricSource": {"spec": {"query": "histogram_quantile(0.99, http_request_duration_seconds)"}}}, 50, "50 s"),
        ({"metricSource": {"spec": {"query": "p99:latency"}}}, 0.3, "0.3 s"),
        ({"metricSource": {"spec": {"query": "p99:latency"}}}, 300, "0.3 s"),
        ({"metricSource": {"spec": {"query": "p99:latency_ms"}}}, 5, "5 ms"),
        (
            {"metricSource": {"type": "CloudWatch", "spec": {"namespace": "AWS/Lambda", "metricName": "Duration"}}},
            5,
            "5 ms",
        ),
    ],
)
def test_the_unit_of_a_threshold_is_told_by_its_query(metric: Any, value: float, latency: str, tmp_path: Path) -> None:
    document = slo(metric="thresholdMetric", op="lte", value=value)
    document["spec"]["indicator"]["spec"]["thresholdMetric"] = metric
    path = tmp_path / "slos.yaml"
    path.write_text(to_yaml(document))
    entries, remarks = openslo.read(path)
    assert entries[0]["sli"] == {"latency": latency}
    assert any("was taken as" in remark for remark in remarks)


def test_a_time_slice_of_v1alpha_has_no_length_and_a_composite_is_taken_apart(tmp_path: Path) -> None:
    alpha = ALPHA.replace("budgetingMethod: Occurrences", "budgetingMethod: Timeslices").replace(
        "target: 0.999,", "target: 0.999, timeSliceTarget: 0.9,"
    )
    own = [{"target": 0.9, "displayName": name, "indicator": {"spec": {"ratioMetric": {}}}} for name in ("x", "y")]
    composite = slo()
    composite["spec"]["objectives"] = own
    path = tmp_path / "slos.yaml"
    path.write_text(f"{alpha}---\n{to_yaml(composite)}")
    entries, remarks = openslo.read(path)
    assert entries[0]["slices"] == {"every": "1 min", "target": "90%"}
    assert "gold: openslo/v1alpha does not say how long a time slice is: 1 min is a GUESS" in remarks
    assert "a: its objectives with indicators of their own are one composite SLO; here each is an SLO" in remarks


@pytest.mark.parametrize(
    ("query", "latency"),
    [
        ('sum(rate(http_request_duration_seconds_bucket{job="x", le="0.4"}[5m]))', "0.4 s"),
        ("sum(rate(latency_ms_bucket{le='800'}[5m]))", "0.8 s"),
        ('sum(rate(apiserver_request_duration_seconds_bucket{le="5"}[{{.window}}]))', "5 s"),
        ('sum(rate(requests_total{code!~"5.."}[5m]))', None),
        ("sum(rate(queue_bucket[5m]))", None),
    ],
)
def test_a_ratio_of_a_histogram_is_a_latency(query: str, latency: str | None, tmp_path: Path) -> None:
    given = slo()
    source = {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}
    given["spec"]["indicator"]["spec"] = {"ratioMetric": {"good": source, "total": {}}}
    path = tmp_path / "slos.yaml"
    path.write_text(to_yaml(given))
    ((entry,), remarks) = openslo.read(path)
    assert entry["sli"] == ("errors" if latency is None else {"latency": latency})
    assert any("by the bucket that its query counts: a GUESS" in remark for remark in remarks) is (latency is not None)


def test_what_of_a_window_and_a_name_is_not_taken_is_said(tmp_path: Path) -> None:
    given = slo("1m")
    given["metadata"]["name"] = "checkout-latency"
    given["spec"]["timeWindow"] = [{"duration": "1m", "isRolling": False}, {"duration": "7d", "isRolling": True}]
    path = tmp_path / "slos.yaml"
    path.write_text(to_yaml(given))
    _, remarks = openslo.read(path)
    assert remarks == [
        "checkout-latency: the query is not read: bad are requests that fail, though its name speaks of how long they take",
        "checkout-latency: left out: all but the first of its 2 time windows",
        "checkout-latency: the calendar window 1m was taken as a rolling one of 1 min; a month is 1M",
    ]
    path.write_text(to_yaml(slo(target=99.9)))
    with pytest.raises(ScenarioError, match=r"between 0 and 1, got 99\.9; in percent it is targetPercent"):
        openslo.read(path)


NOBL9 = """
apiVersion: n9/v1alpha
kind: SLO
metadata: {name: checkout, project: shop}
spec:
  service: shop
  budgetingMethod: Timeslices
  indicator: {metricSource: {name: prometheus, project: shop}}
  timeWindows: [{unit: Day, count: 28, isRolling: true}]
  objectives:
    - {displayName: Good, target: 0.99, timeSliceTarget: 0.9, value: 1,
       countMetrics: {incremental: true, good: {prometheus: {promql: ok}}, total: {prometheus: {promql: all}}}}
    - {displayName: Fast, target: 0.95, timeSliceTarget: 0.9, op: lte, value: 0.3, rawMetric: {query: {prometheus: {promql: x}}}}
---
apiVersion: n9/v1alpha
kind: Service
metadata: {name: shop}
"""


def test_nobl9_has_its_metrics_in_the_objectives(tmp_path: Path) -> None:
    path = tmp_path / "slos.yaml"
    path.write_text(NOBL9)
    entries, remarks = openslo.read(path)
    slices = {"every": "1 min", "target": "90%"}
    assert entries == [
        {"name": "good", "sli": "errors", "objective": "99%", "window": "28 d", "slices": slices},
        {"name": "fast", "sli": {"latency": "0.3 s"}, "objective": "95%", "window": "28 d", "slices": slices},
    ]
    assert "document 2: a Service is not read; allowed SLO, SLI" in remarks
    assert len(Scenario.from_dict(data(slos=entries)).slos) == 2
