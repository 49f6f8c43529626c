"""Every form in which people have their data gives the same table; what is wrong with a file is one clear message."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from recorded import HISTORY, START, columns, metric_data, times, write_csv, write_json

from rollout_sim.errors import ScenarioError
from rollout_sim.formats.measurements.configuration import configured
from rollout_sim.formats.measurements.folder import Choices, imported
from rollout_sim.formats.measurements.history import releases
from rollout_sim.formats.measurements.naming import Names
from rollout_sim.formats.measurements.reading import read_files
from rollout_sim.formats.measurements.recording import Measured, Recording, stamp

NAMES = Names(function="checkout", alias="prod")
FOUND = columns(1, minutes=40)
FOUND["invocations"][[3, 4, 20]] = 0


def read(*paths: Path, names: Names = NAMES, zone: str | None = None) -> Recording:
    return read_files(paths, names, ZoneInfo(zone) if zone else UTC, zone_named=zone is not None)


def alone(recording: Recording) -> Measured:
    (measured,) = recording.measured()
    return measured


def check(measured: Measured, *names: str) -> None:
    """The minutes with invocations, and nothing of the others."""
    kept = FOUND["invocations"] > 0
    np.testing.assert_array_equal(measured.times, times(40)[kept])
    for name in names or ("invocations", "errors", "duration_p99_ms", "concurrent_executions"):
        np.testing.assert_allclose(measured.columns[name], FOUND[name][kept], rtol=1e-6)


def test_get_metric_data(tmp_path: Path) -> None:
    recording = read(write_json(tmp_path / "m.json", metric_data(FOUND)))
    check(alone(recording))
    assert alone(recording).of == "alias:prod"
    assert alone(recording).period == 60
    assert recording.remarks == []


def test_pages_in_one_file_and_in_several_overlapping_and_unsorted(tmp_path: Path) -> None:
    whole = metric_data(FOUND)
    pages = []
    for first, last in ((20, 40), (0, 22)):
        page = json.loads(json.dumps(whole))
        for result in page["MetricDataResults"]:
            result["Timestamps"], result["Values"] = result["Timestamps"][first:last], result["Values"][first:last]
        pages.append(page)
    pages[1]["NextToken"] = "abc"
    appended = tmp_path / "appended.json"
    appended.write_text("".join(map(json.dumps, pages)))
    check(alone(read(appended)))
    apart = [write_json(tmp_path / f"{number}.json", page) for number, page in enumerate(pages)]
    recording = read(*apart)
    check(alone(recording))
    assert recording.remarks == ["1.json: it is one page of several (NextToken); give the others, too"]


def test_a_period_with_two_values_is_told(tmp_path: Path) -> None:
    other = columns(2, minutes=40)
    recording = read(
        write_json(tmp_path / "a.json", metric_data(other)), write_json(tmp_path / "b.json", metric_data(FOUND))
    )
    measured = alone(recording)
    kept = FOUND["invocations"] > 0
    np.testing.assert_array_equal(measured.columns["invocations"][kept], FOUND["invocations"][kept])
    assert any("recorded twice with different values" in remark for remark in recording.remarks)


def test_get_metric_statistics(tmp_path: Path) -> None:
    kept = np.random.default_rng(0).permutation(np.flatnonzero(FOUND["invocations"] > 0))  # the API gives no order
    when = times(40)
    counts = [
        {"Timestamp": f"{stamp(int(when[k]))[:-1]}+00:00", "Sum": float(FOUND["invocations"][k]), "Unit": "Count"}
        for k in kept
    ]
    tails = [
        {
            "Timestamp": stamp(int(when[k])),
            "ExtendedStatistics": {"p99": float(FOUND["duration_p99_ms"][k])},
            "Unit": "Milliseconds",
        }
        for k in kept
    ]
    files = [
        write_json(tmp_path / "alias-invocations.json", {"Label": "Invocations", "Datapoints": counts}),
        write_json(tmp_path / "alias-duration.json", {"Label": "Duration", "Datapoints": tails}),
    ]
    check(alone(read(*files)), "invocations", "duration_p99_ms")


@pytest.mark.parametrize(("zone", "offset"), [(None, 0), ("Europe/Berlin", 3600)])
def test_grafana_in_any_zone(tmp_path: Path, zone: str | None, offset: int) -> None:
    rows = [
        f'"{stamp(int(t) + offset)[:19].replace("T", " ")}",{FOUND["invocations"][k] or ""},{FOUND["duration_p99_ms"][k]:.6f} ms'
        for k, t in enumerate(times(40))
    ]
    rows = [row if FOUND["invocations"][k] else row.rpartition(",")[0] + "," for k, row in enumerate(rows)]
    path = write_csv(tmp_path / "grafana.csv", 'sep=,\n"Time","Invocations prod","Duration p99 prod"', rows)
    recording = read(path, zone=zone)
    check(alone(recording), "invocations", "duration_p99_ms")
    assert (
        "grafana.csv: its times name no zone and are taken as UTC; say another one with --timezone" in recording.remarks
    ) == (zone is None)


def test_the_hour_that_comes_twice(tmp_path: Path) -> None:
    """Summer time ended in Berlin on 2026-10-25 at 3:00, which is 1:00 UTC."""
    local = [f"2026-10-25 {hour:02}:{minute:02}:00" for hour in (1, 2, 2, 3) for minute in range(0, 60, 10)]
    path = write_csv(tmp_path / "a.csv", "time,prod invocations", [f"{when},7" for when in local])
    measured = alone(read(path, zone="Europe/Berlin"))
    assert stamp(int(measured.times[0])) == "2026-10-24T23:00:00Z"
    assert np.diff(measured.times).tolist() == [600] * 23


def test_the_hour_that_does_not_exist_is_said_once(tmp_path: Path) -> None:
    """Summer time began in Berlin on 2026-03-29 at 2:00."""
    local = [f"2026-03-29 {hour:02}:{minute:02}:00" for hour in (1, 2) for minute in range(60)]
    path = write_csv(tmp_path / "a.csv", "time,prod invocations", [f"{when},7" for when in local])
    said = [remark for remark in read(path, zone="Europe/Berlin").remarks if "do not exist" in remark]
    assert said == [
        "a.csv: 2026-03-29 has times that do not exist in its zone (summer time begins); they are taken an hour later"
    ]


def test_datadog_in_milliseconds_and_rows_of_series(tmp_path: Path) -> None:
    kept = np.flatnonzero(FOUND["invocations"] > 0)
    wide = [f"{1000 * t},{FOUND['invocations'][k]},{FOUND['errors'][k]}" for k, t in enumerate(times(40)) if k in kept]
    header = "timestamp,aws.lambda.invocations{alias:prod},aws.lambda.errors{alias:prod}"
    check(alone(read(write_csv(tmp_path / "wide.csv", header, wide))), "invocations", "errors")
    long = [
        f"prod {name};{stamp(int(times(40)[k]))};{FOUND[name][k]}" for name in ("invocations", "errors") for k in kept
    ]
    check(alone(read(write_csv(tmp_path / "long.csv", "Series;Time;Value", long))), "invocations", "errors")


def test_prometheus_gauges_and_counters(tmp_path: Path) -> None:
    when, n = times(40), FOUND["invocations"].astype(float)
    counter = np.cumsum(n)
    counter[25:] -= counter[24]  # a reset
    alias = {"dimension_FunctionName": "checkout", "dimension_Resource": "checkout:prod"}
    series = [
        {
            "metric": {"__name__": "requests_total", **alias},
            "values": [[float(t) + 60, f"{v:g}"] for t, v in zip(when, counter, strict=True)],
        },
        {
            "metric": {"__name__": "aws_lambda_duration_p99", **alias},
            "values": [[int(t) + 60, str(v)] for t, v in zip(when, FOUND["duration_p99_ms"], strict=True)],
        },
    ]
    path = write_json(tmp_path / "p.json", {"status": "success", "data": {"resultType": "matrix", "result": series}})
    measured = alone(read(path))
    assert measured.of == "alias:prod"
    np.testing.assert_array_equal(measured.times, when)
    np.testing.assert_array_equal(measured.columns["invocations"][1:], n[1:])
    assert np.isnan(measured.columns["invocations"][0])  # the first value of a counter tells no increment
    np.testing.assert_allclose(measured.columns["duration_p99_ms"], FOUND["duration_p99_ms"])


def test_a_gap_of_a_counter_stays_missing(tmp_path: Path) -> None:
    values = [[START + 60 * k, str(10 * k)] for k in range(30) if k not in (11, 12)]
    document = {
        "data": {"resultType": "matrix", "result": [{"metric": {"__name__": "invocations_total"}, "values": values}]}
    }
    measured = alone(read(write_json(tmp_path / "p.json", document)))
    assert set(measured.columns["invocations"]) == {10.0}
    assert sorted(set(range(29)) - set(((measured.times - START) // 60).tolist())) == [10, 11, 12]


@pytest.mark.parametrize("form", ["csv", "query", "export", "message"])
def test_reports_of_logs_insights(tmp_path: Path, form: str) -> None:
    rows = [(101.5, 350.25), (80.0, None)]
    fields = [{"@duration": str(d)} | ({"@initDuration": str(i)} if i else {}) for d, i in rows]
    line = (
        "REPORT RequestId: a\tDuration: {} ms\tBilled Duration: 102 ms\tMemory Size: 128 MB\tMax Memory Used: 70 MB\t{}"
    )
    if form == "csv":
        path = write_csv(
            tmp_path / "r.csv", "@timestamp,@duration,@initDuration", [f"x,{d},{i or ''}" for d, i in rows]
        )
    elif form == "query":
        results = [[{"field": key, "value": value} for key, value in row.items()] for row in fields]
        path = write_json(tmp_path / "r.json", {"results": results, "status": "Complete"})
    elif form == "export":
        path = write_json(tmp_path / "r.json", fields)
    else:
        lines = [{"@message": line.format(d, f"Init Duration: {i} ms" if i else "")} for d, i in rows]
        path = write_json(tmp_path / "r.json", lines)
    recording = read(path)
    np.testing.assert_allclose(np.concatenate(recording.durations), [0.1015, 0.08])
    np.testing.assert_allclose(np.concatenate(recording.inits), [0.35025])


def test_coarser_data_stay_what_they_are_and_the_finest_is_kept(tmp_path: Path) -> None:
    hours = columns(3, minutes=10, rate=5000)
    old = write_json(tmp_path / "h.json", metric_data(hours, period=3600, start=START - 9 * 3600))
    fine, coarse = read(write_json(tmp_path / "m.json", metric_data(FOUND)), old).measured()
    assert (fine.period, coarse.period) == (60, 3600)
    check(fine)
    assert coarse.end <= START  # the hour that has minutes is not there twice


def test_finer_durations_do_not_take_the_place_of_coarser_invocations(tmp_path: Path) -> None:
    rows = [f"{stamp(START + 300 * k)},50,1" for k in range(12)]
    counts = write_csv(tmp_path / "counts.csv", "time,prod invocations,prod errors", rows)
    minutes = write_csv(
        tmp_path / "p50.csv", "time,prod duration p50", [f"{stamp(START + 60 * k)},80" for k in range(60)]
    )
    fine, coarse = read(counts, minutes).measured()
    assert (fine.period, np.nansum(fine.columns["duration_p50_ms"])) == (60, 60 * 80)
    assert (coarse.period, np.nansum(coarse.columns["invocations"]), np.nansum(coarse.columns["errors"])) == (
        300,
        600,
        12,
    )


def _data(**result: object) -> str:
    return json.dumps({"MetricDataResults": [result]})


MATRIX = {"status": "success", "data": {"resultType": "vector", "result": []}}
CUT = "time,invocations,errors\n2026-11-24T14:00:00Z,5,0\n2026-11-24T14:01:0"
WRONG = {
    "blank.csv": ("sep=,\n", "is empty"),
    "cut.json": (json.dumps(metric_data(FOUND))[:-200], "is cut off: the JSON ends too early"),
    "broken.json": ('{"MetricDataResults": [}', "is no JSON"),
    "other.json": ('{"Buckets": []}', "is none of the forms that are read, got Buckets; allowed the JSON of aws cloudwatch"),
    "instant.json": (json.dumps(MATRIX), "resultType matrix, got 'vector'; ask query_range"),
    "failed.json": ('{"status": "error", "error": "parse error"}', "Prometheus answered parse error"),
    "names.json": (_data(Id="m1", Label="CPU", Timestamps=[], Values=[]), "no series is known by its name, got m1 (CPU)"),
    "uneven.json": (_data(Id="errors", Timestamps=[1], Values=[]), "has 1 Timestamps and 0 Values"),
    "forbidden.json": (_data(Id="errors", StatusCode="Forbidden"), "cloudwatch:GetMetricData is not allowed"),
    "header.csv": ("time,invocations\n", "has a header and no rows"),
    "cut.csv": (CUT, ":3: has 1 columns, the header 3: the file is cut off"),
    "times.csv": ("when?,invocations\n2026-11-24T14:00:00Z,5\n", "no column of times; allowed one called time"),
    "stamp.csv": ("time,invocations\nyesterday,5\n", "'yesterday' is no time; allowed ISO 8601"),
    "text.csv": ("time,invocations\n2026-11-24T14:00:00Z,many\n", ":2: invocations is a number, got text of 4 characters"),
    "minus.csv": ("time,invocations\n2026-11-24T14:00:00Z,-5\n", "invocations of alias:prod is -5 at 2026-11-24T14:00:00Z"),
    "binary.csv": ("\udcff\udcfd", "is no UTF-8 text; allowed the JSON of aws cloudwatch"),
    "windows.csv": ("\udcff\udcfet", "is UTF-16 text; save it as UTF-8; allowed the JSON of aws cloudwatch"),
    "packed.csv.gz": ("\x1f\udc8b", "is compressed (gzip); unpack it; allowed the JSON of aws cloudwatch"),
    "shares.csv": (
        "time,invocations,errors\n2026-11-24T14:00:00Z,500,0.002\n2026-11-24T14:01:00Z,500,0.004\n",
        "errors of alias:prod is 0.004 at 2026-11-24T14:01:00Z; allowed whole numbers, the Sum of each period",
    ),
    "words.json": ('[{"@duration": "abc"}]', "needs a number, got text of 3 characters"),
    "reports.json": ('[{"@timestamp": "x"}]', "no row has @duration; ask Logs Insights for: fields"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_message_that_names_the_file(tmp_path: Path, name: str) -> None:
    text, message = WRONG[name]
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path / name)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{tmp_path / name}:")
    assert message in problem


@pytest.mark.parametrize("time", ["9998-11-01 00:00", "900000000000000"])
def test_a_time_that_nobody_has_seen_yet_is_refused(tmp_path: Path, time: str) -> None:
    path = write_csv(tmp_path / "a.csv", "time,prod invocations", ["2026-11-24T14:00:00Z,5", f"{time},5"])
    with pytest.raises(ScenarioError, match=r"a.csv: invocations: the time \d+ lies after 2099"):
        read(path)


def test_a_recording_without_invocations_tells_what_was_left_out(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "time,prod invocations average,prod errors", ["2026-11-24T14:01:00Z,1,0"])
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(ScenarioError) as caught:
        imported(read(path, tmp_path / "b.csv"), Choices(function="orders", alias="prod"))
    cannot, average, empty = caught.value.problems
    assert "there are no invocations in it" in cannot
    assert "a.csv: left out: prod invocations average, which is not one of these: a sum of invocations" in average
    assert empty == "b.csv: is empty: nothing is read of it"


def test_a_recording_longer_than_anybody_keeps_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "time,prod invocations", ["2026-11-24T14:01:00Z,5", "2016-11-24T14:00:00Z,5"])
    with pytest.raises(ScenarioError, match=r"alias:prod spans 5,\d+,\d+ periods of 1 min"):
        read(path).measured()


def test_all_files_are_read_before_anything_is_said(tmp_path: Path) -> None:
    paths = [tmp_path / "cut.csv", tmp_path / "broken.json", tmp_path / "missing.json"]
    for path in paths[:2]:
        path.write_text(WRONG[path.name][0])
    with pytest.raises(ScenarioError) as caught:
        read(*paths)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("name", "column", "of"),
    [
        ("checkout:prod Errors", "errors", "alias:prod"),
        ("Duration p99 version 7", "duration_p99_ms", "version:7"),
        ("duration_max_function", "duration_max_ms", "function"),
        ("p99.9 duration", None, None),
        ("error rate", None, None),
        ("DeadLetterErrors", None, None),
        ("ProvisionedConcurrencyInvocations", None, None),
        ("Average of Errors", None, None),
        ("Errors/min", "errors", None),
        ("avg:aws.lambda.errors{functionname:checkout}.as_count()", "errors", None),
        ("sum:aws.lambda.errors{functionname:checkout}.as_rate()", None, None),
        ("avg:aws.lambda.duration.p99{functionname:checkout}", "duration_p99_ms", None),
        ("aws_lambda_invocations_sum", "invocations", None),
        ("Invocations_Average", None, None),
        ("speed of function every 60 s", None, "function"),
        ("Concurrent executions", "concurrent_executions", None),
        ('http_requests{env="prod"}', "invocations", "alias:prod"),
    ],
)
def test_names(name: str, column: str | None, of: str | None) -> None:
    told = NAMES.told(name)
    assert (told.column, told.of) == (column, of)


@pytest.mark.parametrize(
    ("function", "name", "column", "of"),
    [
        ("error-handler", "error-handler Invocations", "invocations", None),
        ("async-worker", "async-worker:prod Errors", "errors", "alias:prod"),
        ("checkout-v2", "checkout-v2:prod Errors", "errors", "alias:prod"),
        ("checkout-v2", "Resource: checkout-v2:prod, ExecutedVersion: 7, Errors", "errors", "version:7"),
        ("orders-prod", "orders-prod Errors of function", "errors", "function"),
        ("Errors", "Errors", "errors", None),
        ("orders", "orders:live Errors", "errors", "alias:live"),
        ("orders", "Errors (orders:live)", "errors", "alias:live"),
        ("orders", 'Errors{Resource="orders:prod"}', "errors", "alias:prod"),
        ("orders", "orders:7 Errors", "errors", "version:7"),
        ("orders", "orders:Errors", "errors", None),
    ],
)
def test_the_name_of_the_function_says_nothing_of_the_metric_or_the_scope(
    function: str, name: str, column: str | None, of: str | None
) -> None:
    told = Names(function=function, alias="prod").told(name)
    assert (told.column, told.of) == (column, of)


def test_a_series_of_any_name_can_be_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "time,A-series", ["2026-11-24T14:00:00Z,5", "2026-11-24T14:01:00Z,6"])
    with pytest.raises(ScenarioError, match="A-series"):
        read(path)
    given = Names(function="checkout", alias="prod", given=(("A-series", "invocations"),))
    assert alone(read(path, names=given)).columns["invocations"].tolist() == [5, 6]


def test_the_name_of_a_file_tells_the_metric_of_a_series_only_where_it_is_alone(tmp_path: Path) -> None:
    rows = ["2026-11-24T14:00:00Z,5,6", "2026-11-24T14:01:00Z,6,7"]
    path = write_csv(tmp_path / "errors-and-invocations.csv", "time,prod Duration Minimum,prod Invocations", rows)
    recording = read(path)
    assert [series.column for series in recording.series] == ["invocations"]
    assert any("left out: prod Duration Minimum" in remark for remark in recording.remarks)
    alone_in_it = write_csv(tmp_path / "prod-errors.csv", "time,A", ["2026-11-24T14:00:00Z,5"])
    assert [(series.column, series.of) for series in read(alone_in_it).series] == [("errors", "alias:prod")]


def test_seconds_of_a_quantile_of_prometheus_become_milliseconds(tmp_path: Path) -> None:
    metric = {"__name__": "request_duration_seconds", "quantile": "0.99", "alias": "prod"}
    series = [{"metric": metric, "values": [[START + 60 * k, "0.25"] for k in range(3)]}]
    path = write_json(tmp_path / "p.json", {"data": {"resultType": "matrix", "result": series}})
    assert alone(read(path)).columns["duration_p99_ms"].tolist() == [250.0] * 3


@pytest.mark.parametrize("form", ["table", "prometheus"])
def test_errors_that_are_seldom_there_are_by_minutes_like_their_invocations(tmp_path: Path, form: str) -> None:
    seldom = (60, 120, 180)  # whole hours
    if form == "table":
        rows = [f"{stamp(START + 60 * k)},10,{3 if k in seldom else ''}" for k in range(240)]
        path = write_csv(tmp_path / "a.csv", "time,checkout:prod Invocations,checkout:prod Errors", rows)
    else:
        result = [
            {
                "metric": {"__name__": name, "resource": "checkout:prod"},
                "values": [[START + 60 * (k + 1), value] for k in at],
            }
            for name, at, value in (
                ("aws_lambda_invocations_sum", range(240), "10"),
                ("aws_lambda_errors_sum", seldom, "3"),
            )
        ]
        path = write_json(tmp_path / "a.json", {"data": {"resultType": "matrix", "result": result}})
    measured = alone(read(path))
    assert measured.period == 60
    assert np.flatnonzero(measured.columns["errors"] > 0).tolist() == list(seldom)


def test_minutes_that_an_exporter_repeats_are_not_added_up(tmp_path: Path) -> None:
    series = [
        {"metric": {"__name__": "aws_lambda_invocations_sum"}, "values": [[START + 15 * k, "8"] for k in range(8)]}
    ]
    path = write_json(tmp_path / "p.json", {"data": {"resultType": "matrix", "result": series}})
    with pytest.raises(
        ScenarioError, match="comes every 15 s, and an exporter of CloudWatch repeats each of its minutes"
    ):
        read(path)
    series[0]["metric"]["__name__"] = "http_requests"
    recording = read(write_json(path, {"data": {"resultType": "matrix", "result": series}}))
    assert alone(recording).columns["invocations"].sum() == 64
    assert any("comes every 15 s; here it is by minutes" in remark for remark in recording.remarks)


def test_answers_in_a_list(tmp_path: Path) -> None:
    check(alone(read(write_json(tmp_path / "m.json", [metric_data(FOUND)]))))


def test_an_empty_file_is_a_note(tmp_path: Path) -> None:
    """The aws command prints nothing of a function without reserved concurrency."""
    (tmp_path / "concurrency.json").write_text("\n")
    (tmp_path / "provisioned.json").write_text("{}")
    recording = read(
        write_json(tmp_path / "m.json", metric_data(FOUND)),
        tmp_path / "concurrency.json",
        tmp_path / "provisioned.json",
    )
    check(alone(recording))
    assert recording.remarks == [
        f"{name}.json: is empty: nothing is read of it" for name in ("concurrency", "provisioned")
    ]


def _mutated(document: object, chance: random.Random) -> object:
    """The document with one of its values replaced by something else, or taken out."""
    result = json.loads(json.dumps(document))
    node = result
    while isinstance(node, dict | list) and node:
        key = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
        if not isinstance(node[key], dict | list) or chance.random() < 0.25:
            other = chance.choice([None, True, -1, 0, "", "x", [], {}, [1], {"a": 1}, 1e30, "2026-13-45"])
            if isinstance(node, dict) and chance.random() < 0.3:
                del node[key]
            else:
                node[key] = other
            break
        node = node[key]
    return result


MATRIX_OF_COUNTS = {
    "data": {"resultType": "matrix", "result": [{"metric": {"__name__": "errors_total"}, "values": [[START, "1"]]}]}
}
STATISTICS = {"Label": "Errors", "Datapoints": [{"Timestamp": stamp(START), "Sum": 1.0, "Unit": "Count"}]}
INSIGHTS = {"results": [[{"field": "@duration", "value": "12"}, {"field": "@initDuration", "value": "300"}]]}


@pytest.mark.parametrize(
    "document",
    [metric_data(columns(1, minutes=4)), MATRIX_OF_COUNTS, STATISTICS, INSIGHTS, *HISTORY.values()],
    ids=["metric data", "prometheus", "statistics", "insights", *HISTORY],
)
def test_whatever_stands_in_a_file_is_read_or_refused_in_words(tmp_path: Path, document: object) -> None:
    whole = write_json(tmp_path / "whole.json", metric_data(FOUND))
    refused = 0
    for seed in range(60):
        path = write_json(tmp_path / "mutated.json", _mutated(document, random.Random(seed)))
        try:
            recording = read(path, whole)
            recording.measured()
            configured(recording, "checkout", "prod")
            releases(recording)
        except ScenarioError:
            refused += 1
    assert refused < 60


def test_a_job_that_runs_once_an_hour_is_asked_for_and_taken_by_minutes_where_that_is_said(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "g.csv", "time,orders:prod Invocations", [f"{stamp(START + 3600 * k)},1" for k in range(30)]
    )
    names = Names(function="orders", alias="prod")
    by_hours = read(path, names=names)
    assert alone(by_hours).period == 3600
    assert any("say --period 1min" in remark for remark in by_hours.remarks)
    by_minutes = read(path, names=replace(names, period=60))
    assert alone(by_minutes).period == 60
    assert not any("--period" in remark for remark in by_minutes.remarks)
    busy = write_csv(
        tmp_path / "b.csv", "time,orders:prod Invocations", [f"{stamp(START + 3600 * k)},90" for k in range(30)]
    )
    assert not read(busy, names=names).remarks
