"""Alarms of templates: each way to say one comes to the same alarm, and what cannot be said is named with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout_sim.cli.main import app
from rollout_sim.control.alarms import Alarm
from rollout_sim.formats.templates.sam import from_sam, stack_of
from rollout_sim.formats.templates.wording import Wording
from rollout_sim.scenario.scenario import Scenario

REF: dict[str, Any] = {"Ref": "Orders"}
ALIAS: dict[str, Any] = {"Fn::Sub": "${Orders}:live"}
VERSION: dict[str, Any] = {"Fn::GetAtt": ["Orders", "Version.Version"]}


def dimensions(**values: Any) -> list[dict[str, Any]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


OF_ALIAS = dimensions(FunctionName=REF, Resource=ALIAS)
OF_VERSION = dimensions(FunctionName=REF, Resource=ALIAS, ExecutedVersion=VERSION)


def stat(
    identity: str, name: str, of: Any = OF_ALIAS, *, returned: bool = False, statistic: str = "Sum", **more: Any
) -> dict[str, Any]:
    metric = {"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": of}
    return {
        "Id": identity,
        "ReturnData": returned,
        "MetricStat": {"Metric": metric, "Stat": statistic, "Period": 60} | more,
    }


def maths(*expressions: str) -> list[dict[str, Any]]:
    """Expressions x0, x1, ... over e (errors) and i (invocations), of which the last one is returned."""
    last = len(expressions) - 1
    shown = [{"Id": f"x{k}", "Expression": text, "ReturnData": k == last} for k, text in enumerate(expressions)]
    return [stat("e", "Errors"), stat("i", "Invocations"), *shown]


def plain(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": OF_VERSION, "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }  # fmt: skip
    return {key: value for key, value in (base | changes).items() if value is not None}


def of_maths(*expressions: str, **changes: Any) -> dict[str, Any]:
    gone = dict.fromkeys(("Namespace", "MetricName", "Dimensions", "Statistic", "Period"))
    return plain(**{**gone, "Metrics": maths(*expressions), "ComparisonOperator": "GreaterThanThreshold", **changes})


def template(alarms: dict[str, Any], listed: list[str] | None = None, **function: Any) -> dict[str, Any]:
    resources = {
        name: alarm if "Type" in alarm else {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm}
        for name, alarm in alarms.items()
    }
    preference = {"Type": "Canary10Percent5Minutes", "Alarms": [{"Ref": name} for name in listed or alarms]}
    properties = {"Handler": "a.b", "AutoPublishAlias": "live", "DeploymentPreference": preference} | function
    other = {"Type": "AWS::Serverless::Function", "Properties": {"FunctionName": "bills"}}
    orders = {"Type": "AWS::Serverless::Function", "Properties": properties}
    return {"Resources": {"Orders": orders, "Bills": other, **resources}}


def imported(tmp_path: Path, alarms: dict[str, Any], **options: Any) -> tuple[Scenario, list[str]]:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template(alarms, **options), indent=1))
    written, remarks = from_sam(path)
    (tmp_path / "scenario.yaml").write_text(written)
    return Scenario.load(tmp_path / "scenario.yaml"), remarks


def single(tmp_path: Path, alarm: dict[str, Any]) -> Alarm:
    loaded, remarks = imported(tmp_path, {"Watch": alarm})
    assert [remark for remark in remarks if "left out" in remark] == []
    (only,) = loaded.alarms.values()
    assert loaded.rollout is not None
    assert loaded.rollout.alarms == ("watch",)
    return only


# --- what comes through -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "statistic", "limit", "expected"),
    [
        ("Errors", {"Statistic": "Maximum"}, 1, ("errors", "maximum", ">= 1")),
        ("Errors", {"Statistic": "SampleCount"}, 9, ("errors", "sample_count", ">= 9")),
        ("Errors", {"Statistic": "Average"}, 0.05, ("errors", "average", ">= 0.05")),
        ("Throttles", {"Statistic": "Sum"}, 3, ("throttles", "sum", ">= 3")),
        ("Duration", {"Statistic": "Minimum"}, 250, ("duration", "minimum", ">= 250 ms")),
        ("Duration", {"Statistic": None, "ExtendedStatistic": "p99.9"}, 850, ("duration", "p99.9", ">= 850 ms")),
        ("Duration", {"Statistic": None, "ExtendedStatistic": "TM99"}, 850, ("duration", "tm99", ">= 850 ms")),
        ("Duration", {"Statistic": None, "ExtendedStatistic": "TM(0%:95%)"}, 850, ("duration", "tm95", ">= 850 ms")),
        ("Duration", {"Statistic": "SampleCount"}, 850, ("duration", "sample_count", ">= 850")),
    ],
)
def test_each_statistic(
    name: str, statistic: dict[str, Any], limit: float, expected: tuple[str, ...], tmp_path: Path
) -> None:
    only = single(tmp_path, plain(MetricName=name, Threshold=limit, **statistic))
    assert (only.metric, only.statistic, only.threshold) == expected
    assert only.lags == (60, 60)


@pytest.mark.parametrize(
    ("of", "expected"),
    [(OF_VERSION, "new_version"), (OF_ALIAS, "alias"), (dimensions(FunctionName=REF), "function")],
)
def test_each_scope(of: Any, expected: str, tmp_path: Path) -> None:
    assert single(tmp_path, plain(Dimensions=of)).of == expected


@pytest.mark.parametrize(
    ("expression", "sign", "limit", "expected"),
    [
        (["e / i"], "GreaterThanThreshold", 0.05, "> 5%"),
        (["(e / i) * 100"], "GreaterThanOrEqualToThreshold", 5, ">= 5%"),
        (["100 * e / i"], "GreaterThanThreshold", 0.5, "> 0.5%"),
        (["1 - (e / i)"], "LessThanThreshold", 0.95, "> 5%"),
        (["100 - 100 * (e / MAX([e, i]))"], "LessThanOrEqualToThreshold", 99, ">= 1%"),
        (["(i - e) / i"], "LessThanThreshold", 0.99, "> 1%"),
        (["e / i", "100 * x0"], "GreaterThanThreshold", 2, "> 2%"),
    ],
)
def test_an_error_rate_in_any_words(
    expression: list[str], sign: str, limit: float, expected: str, tmp_path: Path
) -> None:
    only = single(tmp_path, of_maths(*expression, ComparisonOperator=sign, Threshold=limit))
    assert (only.metric, only.of, only.threshold) == ("error_rate", "alias", expected)


@pytest.mark.parametrize(
    "expression", ["FILL(e, 0) / FILL(i, 1)", "e * 100", "e / (i + 1)", "i / e", "e - i", "IF(e > 2, i, 0)"]
)
def test_what_is_no_error_rate_stays_metric_maths(expression: str, tmp_path: Path) -> None:
    only = single(tmp_path, of_maths(expression))
    assert only.expression == expression
    assert {name: query.metric for name, query in only.metrics.items()} == {
        "e": "errors",
        "i": "invocations",
    } or expression == "e * 100"


def test_a_guard_around_a_rate_is_kept(tmp_path: Path) -> None:
    only = single(tmp_path, of_maths("e / i", "IF(i >= 20, x0, 0)", Threshold=0.05))
    assert only.expression == "IF(i >= 20, (e / i), 0)"
    assert only.limit == 0.05


def test_what_is_returned_is_watched_whatever_else_is_drawn(tmp_path: Path) -> None:
    queries = maths("e / i")
    queries[0]["ReturnData"], queries[2]["ReturnData"] = True, False
    only = single(tmp_path, of_maths(Metrics=queries, Threshold=5))
    assert (only.metric, only.threshold) == ("errors", "> 5")


def test_a_metric_alone_in_metrics_is_a_plain_alarm(tmp_path: Path) -> None:
    only = single(
        tmp_path, of_maths(Metrics=[stat("m", "Duration", returned=True, statistic="p90", Period=300)], Threshold=400)
    )
    assert (only.metric, only.statistic, only.period, only.threshold) == ("duration", "p90", 300, "> 0.4 s")


@pytest.mark.parametrize(
    ("operator", "word"),
    [
        ("GreaterThanUpperThreshold", "above"),
        ("LessThanLowerThreshold", "below"),
        ("LessThanLowerOrGreaterThanUpperThreshold", "outside"),
    ],
)
def test_an_anomaly_band(operator: str, word: str, tmp_path: Path) -> None:
    band = {"Id": "b", "Expression": "ANOMALY_DETECTION_BAND(m, 3)", "ReturnData": True}
    alarm = of_maths(
        Metrics=[stat("m", "Invocations", returned=True), band],
        ThresholdMetricId="b",
        ComparisonOperator=operator,
        Threshold=None,
    )
    only = single(tmp_path, alarm)
    assert (only.metric, only.band, only.threshold, only.of) == ("invocations", 3, word, "alias")


def test_a_composite_alarm_brings_the_alarms_that_it_reads(tmp_path: Path) -> None:
    rule = {"Fn::Sub": 'ALARM("${Errors}") AND NOT (ALARM("slow-one") OR OK(${Slow.Arn}))'}
    alarms = {
        "Both": {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmRule": rule}},
        "Errors": plain(),
        "Slow": plain(MetricName="Duration", Threshold=900, AlarmName="slow-one"),
    }
    loaded, remarks = imported(tmp_path, alarms, listed=["Both"])
    assert not any("left out" in remark for remark in remarks)
    assert loaded.rollout is not None
    assert loaded.rollout.alarms == ("both",)
    assert loaded.alarms["both"].rule == "ALARM(errors) AND NOT (ALARM(slow) OR OK(slow))"
    assert set(loaded.alarms) == {"both", "errors", "slow"}


def test_a_composite_alarm_that_is_left_out_leaves_nothing_of_it(tmp_path: Path) -> None:
    rule = "ALARM(Errors) AND ALARM(Age)"
    alarms = {
        "Both": {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmRule": rule}},
        "Errors": plain(), "Age": plain(Namespace="AWS/SQS", MetricName="Age", Dimensions=None),
    }  # fmt: skip
    loaded, remarks = imported(tmp_path, alarms, listed=["Both"])
    assert loaded.alarms == {}
    assert any(
        remark.startswith("left out: Both: its rule reads Age, which cannot be said: AWS/SQS Age is not")
        for remark in remarks
    )
    loaded, _ = imported(tmp_path, alarms, listed=["Errors", "Both"])
    assert list(loaded.alarms) == ["errors"]


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ('ALARM("Errors") OR ALARM(Age)', "ALARM(errors) OR FALSE"),
        ('ALARM("Errors") AND NOT ALARM("maintenance window")', "ALARM(errors) AND NOT FALSE"),
        ("OK(Age) AND (ALARM(Errors) OR INSUFFICIENT_DATA(Dead))", "TRUE AND (ALARM(errors) OR TRUE)"),
        ("ALARM(Errors) AND NOT INSUFFICIENT_DATA(Quiet)", "ALARM(errors) AND NOT FALSE"),
        ("ALARM(Errors) AND ALARM(Age)", None),
        ("ALARM(Errors) OR OK(Age)", None),
        ("AT_LEAST(1, ALARM, (Errors, Age))", None),
    ],
)
def test_what_is_left_of_a_rule_without_an_alarm_that_cannot_be_said(
    rule: str, left: str | None, tmp_path: Path
) -> None:
    without = dimensions(Alias="live")
    alarms = {
        "Both": {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmRule": rule}},
        "Errors": plain(), "Age": plain(Namespace="AWS/SQS", MetricName="Age", Dimensions=None),
        "Dead": plain(Dimensions=without, TreatMissingData="missing"), "Quiet": plain(Dimensions=without),
    }  # fmt: skip
    loaded, remarks = imported(tmp_path, alarms, listed=["Both"])
    said = next(remark for remark in remarks if "its rule reads" in remark)
    if left is None or left == "TRUE AND (ALARM(errors) OR TRUE)":  # it never holds, or always does, or counts alarms
        assert said.startswith("left out: Both: its rule reads ")
        assert loaded.alarms == {}
    else:
        assert loaded.alarms["both"].rule == left
        assert said.endswith(f"; what is left of the rule is {left}")


def test_a_threshold_in_percent_on_a_share_is_told(tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, {"Watch": of_maths("e / i", Threshold=5)})
    assert loaded.alarms["watch"].threshold == "> 500%"
    assert "Watch can never fire: no error rate is above 500%, its threshold" in remarks


def test_names_of_tools_lose_their_hash(tmp_path: Path) -> None:
    loaded, _ = imported(tmp_path, {"OrdersErrors1A2B3C4D": plain(), "Slow99AA88BB": plain(AlarmName="too-slow")})
    assert list(loaded.alarms) == ["orders-errors", "too-slow"]


def test_a_percentile_of_few_samples_and_missing_data(tmp_path: Path) -> None:
    alarm = plain(
        MetricName="Duration", Statistic=None, ExtendedStatistic="p99", EvaluateLowSampleCountPercentile="ignore",
        TreatMissingData=None, EvaluationPeriods=5, DatapointsToAlarm=3,
    )  # fmt: skip
    only = single(tmp_path, alarm)
    assert (only.low_samples, only.missing, only.datapoints) == ("ignore", "missing", "3 of 5")
    for statistic in ({"ExtendedStatistic": "tm99"}, {"Statistic": "Average", "ExtendedStatistic": None}):
        assert single(tmp_path, alarm | statistic).low_samples == "evaluate"  # of these the setting says nothing
    assert single(tmp_path, of_maths("e / i", EvaluateLowSampleCountPercentile="ignore")).metric == "error_rate"


def test_two_names_that_collide_are_both_kept(tmp_path: Path) -> None:
    loaded, _ = imported(tmp_path, {"Errors": plain(), "ErrorsAlarm": plain(Threshold=9), "errors": plain(Threshold=7)})
    assert {name: alarm.threshold for name, alarm in loaded.alarms.items()} == {
        "errors": ">= 1", "errors-2": ">= 9", "errors-3": ">= 7",
    }  # fmt: skip


def test_the_errors_of_two_functions_count_those_of_this_one(tmp_path: Path) -> None:
    bills = dimensions(FunctionName={"Ref": "Bills"})
    both = {"Id": "x", "Expression": "SUM([a, b])", "ReturnData": True}
    alarm = of_maths(Metrics=[stat("a", "Errors"), stat("b", "Errors", bills), both])
    loaded, remarks = imported(tmp_path, {"Watch": alarm})
    assert (loaded.alarms["watch"].metric, loaded.alarms["watch"].of) == ("errors", "alias")
    assert "Watch adds up what several functions count: here Bills counts nothing beside Orders" in remarks
    rate = {"Id": "x", "Expression": "b / a", "ReturnData": True}
    _, remarks = imported(
        tmp_path, {"Watch": of_maths(Metrics=[stat("a", "Errors"), stat("b", "Errors", bills), rate])}
    )
    what = "it reads what several functions count, Orders and Bills, and not as their sum"
    assert any(remark.startswith(f"left out: Watch: {what}") for remark in remarks)
    _, remarks = imported(tmp_path, {"Watch": plain(Dimensions=bills)})
    assert any(remark.startswith("left out: Watch: it watches the function Bills, not Orders (") for remark in remarks)


@pytest.mark.parametrize(
    ("namespace", "name", "metric", "limit"),
    [
        ("AWS/ApiGateway", "5XXError", "responses_5xx", ">= 9"), ("AWS/ApiGateway", "Latency", "latency", ">= 9 ms"),
        ("AWS/Lambda", "Url5xxCount", "responses_5xx", ">= 9"),
    ],
)  # fmt: skip
def test_what_stands_in_front_of_the_function(
    namespace: str, name: str, metric: str, limit: str, tmp_path: Path
) -> None:
    """An API's own metrics are taken as those of the alias behind it."""
    of = dimensions(ApiName="shop", Stage="prod")
    alarm = plain(Namespace=namespace, MetricName=name, Dimensions=of, Statistic="Maximum", Threshold=9)
    loaded, remarks = imported(tmp_path, {"Watch": alarm})
    only = loaded.alarms["watch"]
    assert (only.metric, only.of, only.threshold) == (metric, "alias", limit)
    assert any(
        remark.startswith(f"Watch is about {namespace} {name} of ApiName shop, Stage prod") for remark in remarks
    )


def test_a_metric_of_the_users_own_is_a_stub(tmp_path: Path) -> None:
    alarms = {
        "Log": plain(Namespace="shop/logs", MetricName="Order failed", Dimensions=None, Threshold=3),
        "Again": plain(Namespace="shop/logs", MetricName="Order failed", Dimensions=None, Threshold=9, Period=300),
        "Other": plain(Namespace="shop/web", MetricName="Order failed", Dimensions=None),
        "Silent": plain(Namespace="shop", MetricName="Errors", Dimensions=None, ComparisonOperator="LessThanThreshold"),
    }
    loaded, remarks = imported(tmp_path, alarms)
    assert {name: (metric.counts, metric.of) for name, metric in loaded.metrics.items()} == {
        "Order-failed": ("bad_requests", "alias"), "Order-failed-2": ("bad_requests", "alias"), "own-Errors": ("requests", "alias"),
    }  # fmt: skip
    assert [(alarm.metric, alarm.threshold) for alarm in loaded.alarms.values()] == [
        ("Order-failed", ">= 3"), ("Order-failed", ">= 9"), ("Order-failed-2", ">= 1"), ("own-Errors", "< 1"),
    ]  # fmt: skip
    assert "Log: what shop/logs Order failed counts is a GUESS: each bad request of the alias, once" in remarks
    assert "# GUESS: what the metrics of your own count" in (tmp_path / "scenario.yaml").read_text()


@pytest.mark.parametrize(
    ("names", "expression", "sign", "limit", "shown"),
    [
        # Both guessed as the same, a success rate is 0 for ever and an error rate 100%.
        ({"bad": "Failed", "all": "Placed"}, "1 - bad / all", "LessThanThreshold", 0.99, "1 - BAD / ALL"),
        ({"bad": "5XXCount", "all": "Responses"}, "100 * bad / all", "GreaterThanThreshold", 5, "100 * BAD / ALL"),
        ({"x": "Refused", "y": "Sold"}, "IF(x + y > 9, x / (x + y), 0)", "GreaterThanThreshold", 0.1,
         "IF(BAD + (ALL - BAD) > 9, BAD / (BAD + (ALL - BAD)), 0)"),
        ({"some": "TotalCount", "bad": "ErrorCount"}, "some - bad", "LessThanThreshold", 5, "ALL - BAD"),
        ({"cold": "ColdStarts", "all": "Runs"}, "cold / all", "GreaterThanThreshold", 0.5, "BAD / ALL"),
        ({"a": "Http5XX", "b": "Http2XX", "c": "Http4XX"}, "a / (a + b + c)", "GreaterThanThreshold", 0.05,
         "BAD / (BAD + (ALL - BAD) + BAD)"),
        ({"seen": "Requests"}, "FILL(seen, 0)", "LessThanThreshold", 10, "FILL(ALL, 0)"),
        ({"ok": "Succeeded"}, "ok / invocations", "GreaterThanThreshold", 0.5, None),
        ({"done": "Done", "begun": "Begun"}, "IF(begun - done > 5, done / begun)", "LessThanThreshold", 0.8,
         "IF(ALL - (ALL - BAD) > 5, (ALL - BAD) / ALL)"),
        ({"ok": "Completed"}, "invocations - ok", "GreaterThanThreshold", 5, "invocations - (ALL - BAD)"),
        ({"ok": "Succeeded", "failed": "Failed"}, "100 * ok / (ok + failed)", "LessThanThreshold", 95,
         "100 * (ALL - BAD) / ((ALL - BAD) + BAD)"),
        ({"bad": "Failed"}, "IF(invocations > 100, bad, 0)", "GreaterThanThreshold", 5, "IF(invocations > 100, BAD, 0)"),
        ({"a": "Height", "b": "Width"}, "a / a + b / b", "GreaterThanThreshold", 5, None),
    ],
)  # fmt: skip
def test_metric_maths_tells_what_own_metrics_count(
    names: dict[str, str], expression: str, sign: str, limit: float, shown: str | None, tmp_path: Path
) -> None:
    def own(identity: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": "shop", "MetricName": name, "Dimensions": []}
        return {"Id": identity, "ReturnData": False, "MetricStat": {"Metric": metric, "Stat": "Sum", "Period": 60}}

    queries = [*(own(key, name) for key, name in names.items()), stat("invocations", "Invocations")]
    alarm = of_maths(
        Metrics=[*queries, {"Id": "r", "Expression": expression}], ComparisonOperator=sign, Threshold=limit
    )
    loaded, remarks = imported(tmp_path, {"Watch": alarm})
    if shown is None:
        assert loaded.alarms == {}
        assert any(re.search("what .* counts? is not known", remark) for remark in remarks)
        return
    only = loaded.alarms["watch"]
    text = str(only.expression)
    for key, query in only.metrics.items():
        counts = loaded.metrics[query.metric].counts if query.metric in loaded.metrics else None
        text = re.sub(rf"\b{key}\b", {"bad_requests": "BAD", "requests": "ALL"}.get(str(counts), key), text)
    assert text == shown


@pytest.mark.parametrize(
    ("name", "statistic", "sign", "limit", "shown"),
    [
        ("Succeeded", "Sum", "LessThanThreshold", 10, "count - count_bad"),
        ("Requests", "Sum", "LessThanThreshold", 10, "Requests"),
        ("Succeeded", "Maximum", "LessThanThreshold", 1, "Succeeded"),
        ("Succeeded", "Sum", "GreaterThanThreshold", 10, "what Succeeded counts is not known"),
        ("Overrides", "Maximum", "GreaterThanOrEqualToThreshold", 1, "Overrides"),
        ("Seconds", "Maximum", "GreaterThanThreshold", 3, "what Seconds measures is not known"),
    ],
)
def test_what_an_alarms_only_metric_counts_fits_its_name(
    name: str, statistic: str, sign: str, limit: float, shown: str, tmp_path: Path
) -> None:
    alarm = plain(Namespace="shop", MetricName=name, Dimensions=None, Statistic=statistic, ComparisonOperator=sign)
    loaded, remarks = imported(tmp_path, {"Watch": alarm | {"Threshold": limit}})
    if loaded.alarms:
        assert shown in (loaded.alarms["watch"].metric, str(loaded.alarms["watch"].expression).strip("()"))
    else:
        assert any(shown in remark for remark in remarks)


@pytest.mark.parametrize(
    "name",
    [
        {"Fn::ImportValue": "orders"}, {"Fn::FindInMap": ["A", "b", "c"]},
        "{{resolve:ssm:/orders/name:1}}", {"Fn::Sub": "{{resolve:ssm:/${AWS::StackName}/name}}"},
    ],
)  # fmt: skip
def test_a_function_that_is_not_known_is_not_dead(name: Any, tmp_path: Path) -> None:
    """The reason why it is not known has colons in it, and no alias."""
    only = single(tmp_path, plain(Dimensions=dimensions(FunctionName=name)))
    assert only.of == "function"


def test_the_namespace_lambda_may_be_a_users_own(tmp_path: Path) -> None:
    own = plain(Namespace="Lambda", Dimensions=dimensions(Service="orders"))
    loaded, remarks = imported(tmp_path, {"Own": own, "Meant": plain(Namespace="Lambda")})
    assert (list(loaded.alarms), list(loaded.metrics)) == (["own"], ["own-Errors"])
    assert any("left out: Meant: it can never have data: the namespace is AWS/Lambda" in remark for remark in remarks)


def test_a_band_around_an_own_metric_cannot_be_said(tmp_path: Path) -> None:
    own = {"Namespace": "shop", "MetricName": "Failed", "Dimensions": []}
    query = {"Id": "m", "ReturnData": True, "MetricStat": {"Metric": own, "Stat": "Sum", "Period": 60}}
    band = {"Id": "b", "Expression": "ANOMALY_DETECTION_BAND(m, 3)", "ReturnData": True}
    alarm = of_maths(
        Metrics=[query, band], ThresholdMetricId="b", ComparisonOperator="GreaterThanUpperThreshold", Threshold=None
    )
    loaded, remarks = imported(tmp_path, {"Watch": alarm})
    assert loaded.alarms == {}
    assert any("left out: Watch: its band is around Failed, a metric of your own" in remark for remark in remarks)


def test_an_own_metric_of_the_version_that_is_deployed(tmp_path: Path) -> None:
    of = dimensions(Service="orders", Version=VERSION)
    loaded, remarks = imported(tmp_path, {"Watch": plain(Namespace="shop", MetricName="Failed", Dimensions=of)})
    assert [(metric.counts, metric.of) for metric in loaded.metrics.values()] == [("bad_requests", "new_version")]
    assert any(remark.endswith("counts is a GUESS: each bad request of the new version, once") for remark in remarks)
    other = dimensions(Version={"Fn::GetAtt": ["Bills", "Version.Version"]})
    loaded, _ = imported(tmp_path, {"Watch": plain(Namespace="shop", MetricName="Failed", Dimensions=other)})
    assert [metric.of for metric in loaded.metrics.values()] == ["alias"]


def test_own_metrics_with_other_dimensions_are_others(tmp_path: Path) -> None:
    def outcome(identity: str, result: str) -> dict[str, Any]:
        metric = {"Namespace": "shop", "MetricName": "Outcome", "Dimensions": dimensions(Result=result)}
        return {"Id": identity, "ReturnData": False, "MetricStat": {"Metric": metric, "Stat": "Sum", "Period": 60}}

    queries = [outcome("a", "started"), outcome("b", "failed"), {"Id": "r", "Expression": "b / a"}]
    loaded, remarks = imported(tmp_path, {"Watch": of_maths(Metrics=queries, Threshold=0.1)})
    assert [metric.counts for metric in loaded.metrics.values()] == ["requests", "bad_requests"]
    assert "Watch: what shop Outcome, Result failed counts is a GUESS: each bad request of the alias, once" in remarks


def test_the_share_of_failed_responses_of_an_api(tmp_path: Path) -> None:
    def gateway(identity: str, name: str) -> dict[str, Any]:
        metric = {"Namespace": "AWS/ApiGateway", "MetricName": name, "Dimensions": dimensions(ApiName="shop")}
        return {"Id": identity, "ReturnData": False, "MetricStat": {"Metric": metric, "Stat": "Sum", "Period": 60}}

    share = {"Id": "s", "Expression": "IF(n > 10, bad / n * 100, 0)", "ReturnData": True}
    only = single(tmp_path, of_maths(Metrics=[gateway("bad", "5XXError"), gateway("n", "Count"), share]))
    assert only.expression == "IF(n > 10, bad / n * 100, 0)"
    assert {name: (query.metric, query.statistic) for name, query in only.metrics.items()} == {
        "bad": ("responses_5xx", "sum"), "n": ("responses_5xx", "sample_count"),
    }  # fmt: skip


# --- what can never have data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (dimensions(Resource=ALIAS, ExecutedVersion=VERSION), "with the dimension Resource and without FunctionName"),
        (dimensions(FunctionName=REF, ExecutedVersion=VERSION), "with the dimension ExecutedVersion and without Resource"),
        (dimensions(FunctionName=REF, Resource=ALIAS, Region="eu-west-1"), "with the dimension Region"),
        (dimensions(FunctionName="Orders"), "Orders is a logical id and not a name: ${Orders} is meant"),
        (dimensions(FunctionName={"Fn::Sub": "Orders"}, Resource={"Fn::Sub": "Orders:live"}), "${Orders} is meant"),
        (dimensions(FunctionName=REF, Resource={"Fn::Sub": "Orders:live"}), "Resource is the text Orders:live"),
        (dimensions(FunctionName=REF, Resource="live"), "Resource is the alias's name alone, live"),
        (dimensions(FunctionName=REF, Resource="${Orders}:live"), "in which nothing is put in: there is no !Sub"),
        (dimensions(FunctionName={"Fn::GetAtt": "Orders.Arn"}), "FunctionName is an ARN"),
        (dimensions(FunctionName=REF, Resource={"Ref": "Orders.Alias"}), "Resource is an ARN, where the metrics have name:alias"),
        (dimensions(FunctionName=REF, Resource={"Fn::Sub": "${Orders.Arn}:live"}), "Resource is an ARN"),
        (dimensions(FunctionName=REF, Resource=ALIAS, ExecutedVersion={"Ref": "Orders.Version"}), "ExecutedVersion is an ARN"),
    ],
)  # fmt: skip
def test_dimensions_that_lambda_never_publishes_together(of: Any, why: str, tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, {"Dead": plain(Dimensions=of), "Errors": plain()})
    assert list(loaded.alarms) == ["errors"]
    (left,) = [remark for remark in remarks if remark.startswith("left out: ")]
    assert left.startswith("left out: Dead: it can never have data: ")
    assert why in left
    assert not any("nothing watches" in remark for remark in remarks)


def test_a_resource_of_another_function_than_the_name(tmp_path: Path) -> None:
    of = dimensions(FunctionName="orders-prod", Resource="orders-test:live")
    _, remarks = imported(tmp_path, {"Dead": plain(Dimensions=of)}, FunctionName="orders-prod")
    assert any(
        "Resource is about the function orders-test, FunctionName about orders-prod" in remark for remark in remarks
    )


@pytest.mark.parametrize(
    ("name", "meant"), [("Error", "Errors"), ("errors", "Errors"), ("Throttle", "Throttles"), ("duration", "Duration")]
)
def test_a_metric_that_is_misspelt(name: str, meant: str, tmp_path: Path) -> None:
    _, remarks = imported(tmp_path, {"Dead": plain(MetricName=name)})
    said = f"left out: Dead: it can never have data: Lambda publishes no metric {name}; did you mean {meant!r}? (template.json:"
    assert any(remark.startswith(said) for remark in remarks)


def test_a_unit_that_is_not_published(tmp_path: Path) -> None:
    _, remarks = imported(tmp_path, {"Dead": plain(Unit="Percent")})
    assert any(
        "it can never have data: Lambda publishes Errors in Count, not in Percent" in remark for remark in remarks
    )


# --- what is left out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alarm", "what"),
    [
        (plain(Namespace="AWS/SQS", MetricName="Age", Dimensions=dimensions(QueueName="q")), "AWS/SQS Age is not simulated"),
        (plain(Namespace="shop", MetricName="Depth", Dimensions=None, Statistic="Average"), "shop Depth is not simulated"),
        (plain(Namespace="LambdaInsights", MetricName="memory", Dimensions=None), "LambdaInsights memory is not simulated"),
        (plain(MetricName="ConcurrentExecutions"), "AWS/Lambda ConcurrentExecutions is not simulated"),
        (plain(Dimensions=dimensions(FunctionName={"Ref": "Bills"})), "it watches the function Bills, not Orders"),
        (plain(Dimensions=dimensions(FunctionName="bills")), "it watches the function Bills, not Orders"),
        (plain(Dimensions=dimensions(FunctionName=REF, Resource={"Fn::Sub": "${Orders}:test"})), "not the alias live"),
        (plain(Dimensions=dimensions(FunctionName=REF, Resource=REF)), "calls without an alias"),
        (plain(Dimensions=dimensions(FunctionName=REF, Resource=ALIAS, ExecutedVersion="3")), "it watches the version 3"),
        (plain(ComparisonOperator="Bigger"), "ComparisonOperator: got 'Bigger'"),
        (plain(Threshold={"Ref": "Limit"}), "Threshold: there is no parameter or resource 'Limit'"),
        (plain(Statistic="Sum", MetricName="Duration", Period=90), "allowed 10 s, 20 s, 30 s"),
        (plain(Threshold=None), "Threshold is missing"),
        (of_maths("SEARCH('{AWS/Lambda} Errors', 'Sum', 60)"), "SEARCH() in SEARCH"),
        (of_maths("e / nobody"), "there is no metric 'nobody'"),
        (of_maths("x1", "x0"), "in a circle"),
        (of_maths("RATE(e)"), "RATE"),
        (of_maths(Metrics=[stat("e", "Errors"), stat("i", "Invocations")]), "0 of its metrics return data (none)"),
        (of_maths(Metrics=[stat("m", "Errors", returned=True)], ThresholdMetricId="m"), "allowed ANOMALY_DETECTION_BAND"),
        ({"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmRule": "ALARM(nobody)"}}, "nobody, which is not in"),
        ({"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmRule": "ALARM(Odd)"}}, "refers to itself"),
        ({"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {}}, "AlarmRule is missing"),
        ({"Type": "AWS::SNS::Topic", "Properties": {}}, "a AWS::SNS::Topic is no alarm"),
        ({"Type": "AWS::CloudWatch::Alarm", "Properties": plain(Dimensions=[5])}, "not a mapping"),
    ],
)  # fmt: skip
def test_an_odd_alarm_is_named_with_its_place_and_stops_nothing(
    alarm: dict[str, Any], what: str, tmp_path: Path
) -> None:
    loaded, remarks = imported(tmp_path, {"Odd": alarm, "Errors": plain()}, listed=["Odd", "Errors"])
    assert list(loaded.alarms) == ["errors"]
    (left,) = [remark for remark in remarks if remark.startswith("left out: ")]
    assert left.startswith("left out: Odd: ")
    assert what in left
    line = next(
        k for k, text in enumerate((tmp_path / "template.json").read_text().splitlines(), 1) if '"Odd": {' in text
    )
    assert left.endswith(f"(template.json:{line})")


def test_nothing_watches_any_more_is_a_warning(tmp_path: Path) -> None:
    sqs = plain(Namespace="AWS/SQS", MetricName="Age")
    _, remarks = imported(tmp_path, {"One": sqs, "Two": sqs})
    warning = "warning: nothing watches the rollout of Orders here: its 2 alarms are left out"
    assert warning in remarks
    shown = CliRunner().invoke(app, ["import", "sam", str(tmp_path / "template.json")])
    assert shown.stderr == f"{warning}\n"


# --- random alarms of known parts -------------------------------------------------------------------------------------

SCOPES = {"new_version": OF_VERSION, "alias": OF_ALIAS, "function": dimensions(FunctionName=REF)}
TREATMENTS = {"missing": "missing", "ignore": "ignore", "breaching": "breaching", "not_breaching": "notBreaching"}
SIGNS = {
    ">": "GreaterThanThreshold", ">=": "GreaterThanOrEqualToThreshold", "<": "LessThanThreshold", "<=": "LessThanOrEqualToThreshold",
}  # fmt: skip


@st.composite
def alarms(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """An alarm's properties, and what they must come to."""
    of, treatment, sign = (draw(st.sampled_from(list(table))) for table in (SCOPES, TREATMENTS, SIGNS))
    n = draw(st.integers(1, 9))
    m = draw(st.integers(1, n))
    period = 60 * draw(st.integers(1, 10))
    limit = draw(st.integers(0, 5000)) / 10
    expected = {"of": of, "missing": treatment, "comparator": sign, "m": m, "n": n, "period": period}
    common = {
        "EvaluationPeriods": n, "DatapointsToAlarm": m, "TreatMissingData": TREATMENTS[treatment], "ComparisonOperator": SIGNS[sign],
        "Threshold": limit,
    }  # fmt: skip
    kind = draw(st.sampled_from(["Errors", "Invocations", "Throttles", "Duration", "rate"]))
    if kind == "rate":
        scale = draw(st.sampled_from([1, 100]))
        queries = [stat("e", "Errors", SCOPES[of], Period=period), stat("i", "Invocations", SCOPES[of], Period=period)]
        common |= {
            "Metrics": [*queries, {"Id": "r", "Expression": f"{scale} * e / i", "ReturnData": True}],
            "Threshold": limit / 1000 * scale,
        }
        return common, expected | {"metric": "error_rate", "limit": limit / 1000}
    inside = draw(st.booleans())
    if inside:
        common["Metrics"] = [stat("m", kind, SCOPES[of], Period=period, returned=True)]
    else:
        common |= {
            "Namespace": "AWS/Lambda",
            "MetricName": kind,
            "Dimensions": SCOPES[of],
            "Statistic": "Sum",
            "Period": period,
        }
    return common, expected | {
        "metric": kind.lower(),
        "statistic": "sum",
        "limit": limit / 1000 if kind == "Duration" else limit,
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(alarms(), min_size=1, max_size=3))
def test_a_template_of_known_parts_imports_to_what_it_was_made_of(made: list[Any], tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, {f"Watch{k}": properties for k, (properties, _) in enumerate(made)})
    assert [remark for remark in remarks if "left out" in remark] == []
    for alarm, (_, expected) in zip(loaded.alarms.values(), made, strict=True):
        assert {name: getattr(alarm, name) for name in expected} == pytest.approx(expected)


# --- alarms that can have no data, and what gives them some ------------------------------------------------------------

BARE = dimensions(Resource=ALIAS)
DEAD = [
    (plain(Dimensions=BARE), "the dimensions FunctionName ${Orders}, Resource ${Orders}:live", "alias"),
    (plain(Dimensions=dimensions(FunctionName=REF, ExecutedVersion=VERSION)), "Version the new version's number", "new_version"),
    (plain(Dimensions=[*OF_ALIAS, {"Name": "Region", "Value": "x"}]), "FunctionName ${Orders}, Resource ${Orders}:live", "alias"),
    (plain(Dimensions=dimensions(FunctionName=REF, Resource="${Orders}:live")), "Resource ${Orders}:live", "alias"),
    (plain(Dimensions=dimensions(FunctionName="Orders")), "the dimensions FunctionName ${Orders}", "function"),
    (plain(Dimensions=dimensions(FunctionName=REF, Resource="live")), "Resource ${Orders}:live", "alias"),
    (plain(Dimensions=dimensions(FunctionName={"Fn::GetAtt": ["Orders", "Arn"]})), "FunctionName ${Orders}", "function"),
    (plain(Dimensions=dimensions(FunctionName=ALIAS)), "FunctionName ${Orders}, Resource ${Orders}:live", "alias"),
    (plain(Dimensions=dimensions(FunctionName=REF, Resource=ALIAS, ExecutedVersion={"Fn::GetAtt": "Bills.Version.Version"})),
     "ExecutedVersion the new version's number", "new_version"),
    (plain(Namespace="AWS/lambda"), "Namespace AWS/Lambda", "new_version"),
    (plain(MetricName="Error"), "MetricName Errors", "new_version"),
    (plain(Unit="Percent"), "Unit Count", "new_version"),
    (plain(MetricName="Throttle", Unit="Bytes"), "MetricName Throttles; Unit Count", "new_version"),
    (of_maths("e / i", Metrics=[stat("e", "Errors", BARE), stat("i", "Invocations"), {"Id": "x", "Expression": "100 * e / i"}]),
     "the dimensions FunctionName ${Orders}, Resource ${Orders}:live", "alias"),
]  # fmt: skip


@pytest.mark.parametrize(("alarm", "change", "of"), DEAD)
def test_an_alarm_without_data_is_read_as_it_should_be(
    alarm: dict[str, Any], change: str, of: str, tmp_path: Path
) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template({"Watch": alarm}), indent=1))
    deployed = stack_of(path).read("Orders")
    left = deployed.left["Watch"]
    assert left.dead
    assert Wording().repaired(left.repairs).endswith(change)
    assert left.mended is not None
    assert left.mended["of"] == of
    assert deployed.alarms == {}
    assert all("Watch" not in remark or "left out" in remark for remark in deployed.remarks)


@pytest.mark.parametrize(
    "given",
    [
        dimensions(Resource="bills:live"),
        dimensions(Resource={"Fn::Sub": "${Bills}:live"}),
        dimensions(Resource="other:live"),
    ],
)
def test_the_dead_alarm_of_another_function_is_not_made_ones_own(given: Any, tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template({"Watch": plain(Dimensions=given)}), indent=1))
    left = stack_of(path).read("Orders").left["Watch"]
    assert (left.dead, left.mended) == (True, None)


def test_what_does_not_come_through_of_an_alarm_is_named(tmp_path: Path) -> None:
    of_other = {**stat("e", "Errors", returned=True), "AccountId": "999999999999"}
    select = {"Id": "q", "Expression": 'SELECT SUM(Errors) FROM SCHEMA("AWS/Lambda", FunctionName)', "Period": 60}
    alarms = {
        "Watch": plain(),
        "Other": of_maths(Metrics=[of_other]),
        "Query": of_maths(Metrics=[select]),
        "Both": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "Properties": {"AlarmRule": "ALARM(Watch)", "ActionsSuppressor": "Watch"},
        },
    }
    loaded, remarks = imported(tmp_path, alarms)
    assert list(loaded.alarms) == ["watch", "both"]
    said = "\n".join(remarks)
    for part in (
        "left out: Other: it reads metrics of the account 999999999999",
        "left out: Query: the query of Metrics Insights",
        "Both: ActionsSuppressor is left out: it mutes actions, and CodeDeploy goes by states",
    ):
        assert part in said


def test_the_alias_that_sam_makes_is_no_name(tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    alarm = plain(Dimensions=dimensions(FunctionName=REF, Resource={"Ref": "OrdersAliaslive"}))
    path.write_text(json.dumps(template({"Watch": alarm}), indent=1))
    left = stack_of(path).read("Orders").left["Watch"]
    assert (left.dead, "Resource is an ARN" in left.why) == (True, True)


@pytest.mark.parametrize(
    ("period", "sign", "limit", "through"),
    [(60, "GreaterThanThreshold", 7, True), (300, "GreaterThanThreshold", 0, True), (300, "GreaterThanThreshold", 7, False)],
)  # fmt: skip
def test_the_sum_of_a_queue_s_readings(period: int, sign: str, limit: float, through: bool, tmp_path: Path) -> None:
    """A queue is read once a minute: one reading is its own sum, and whether a sum is above 0 its maximum tells."""
    alarm = plain(
        Namespace="AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible", Period=period, Threshold=limit,
        ComparisonOperator=sign, Dimensions=dimensions(QueueName={"Fn::GetAtt": ["Jobs", "QueueName"]}),
    )  # fmt: skip
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 3}
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 60, "RedrivePolicy": redrive}}
    event = {"Type": "SQS", "Properties": {"Queue": {"Fn::GetAtt": ["Jobs", "Arn"]}}}
    dead = alarm | {"Dimensions": dimensions(QueueName={"Fn::GetAtt": ["Dead", "QueueName"]})}
    named = {key: alarm[key] for key in ("Namespace", "MetricName", "Dimensions")}
    query = {"Id": "m", "ReturnData": True, "MetricStat": {"Metric": named, "Stat": "Sum", "Period": period}}
    same = of_maths(Metrics=[query], ComparisonOperator=sign, Threshold=limit)
    resources = {"Watch": alarm, "WatchDead": dead, "Same": same, "Jobs": queue, "Dead": {"Type": "AWS::SQS::Queue"}}
    loaded, remarks = imported(tmp_path, resources, listed=["Watch", "WatchDead", "Same"], Events={"Jobs": event})
    assert [alarm.statistic for alarm in loaded.alarms.values()] == ["maximum"] * 3 * through
    assert any("the Sum of its readings was taken as their Maximum" in remark for remark in remarks) is through


@pytest.mark.parametrize(("name", "told"), [(None, True), ("Watch", False), ({"Ref": "Name"}, False)])
def test_a_logical_id_as_text_is_no_name(name: Any, told: bool, tmp_path: Path) -> None:
    given = template({"Watch": plain(AlarmName=name)})
    given["Resources"]["Orders"]["Properties"]["DeploymentPreference"]["Alarms"] = ["Watch"]
    path = tmp_path / "template.json"
    path.write_text(json.dumps(given))
    deployed = stack_of(path).read("Orders")
    assert deployed.acting == ["watch"]
    assert any("Watch is listed as text, and no alarm has that name" in remark for remark in deployed.remarks) is told


def test_an_alarm_of_another_stack_is_named_with_the_place_of_its_name(tmp_path: Path) -> None:
    given = template({"Watch": plain()})
    alarms = given["Resources"]["Orders"]["Properties"]["DeploymentPreference"]["Alarms"]
    alarms += [{"Fn::GetAtt": ["Nested", "Outputs.Alarm"]}, {"Fn::ImportValue": "shared-alarm"}, "elsewhere"]
    path = tmp_path / "template.json"
    path.write_text(text := json.dumps(given, indent=1))
    places = {
        "Nested.Outputs.Alarm": '"Fn::GetAtt"', "elsewhere": '"elsewhere"',
        "Fn::ImportValue of shared-alarm is not known before the deployment": '"Fn::ImportValue"',
    }  # fmt: skip
    remarks = stack_of(path).read("Orders").remarks
    for name, mark in places.items():
        (said,) = (remark for remark in remarks if remark.startswith(f"left out: {name}: it is not in the template ("))
        line = int(said.rpartition(":")[2].rstrip(")"))
        assert any(mark in shown for shown in text.splitlines()[line - 1 : line + 1])
