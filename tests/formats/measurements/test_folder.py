"""The folder: its scenario loads, runs, says of each figure where it is from, and offers the recorded minutes if a fit is poor."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import call
from recorded import DURATION, HISTORY, START, columns, metric_data, write_csv, write_json

from rollout_sim.cli.measure import parts_of
from rollout_sim.core.minutes import COLUMNS
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.measurements.folder import Choices, Imported, imported, scenario_text, write
from rollout_sim.formats.measurements.history import releases
from rollout_sim.formats.measurements.naming import Names
from rollout_sim.formats.measurements.reading import read_files
from rollout_sim.formats.measurements.recording import stamp
from rollout_sim.function.error_rates import mean_of
from rollout_sim.function.recorded import RecordedDurations, RecordedErrors
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.fit.error_rates import Scattered, Spells

CHOICES = Choices(function="checkout", alias="prod")
MINUTES = 600
FOUND = columns(1, minutes=MINUTES)
FOUND["invocations"][[100, 101]] = 0


def result_of(*paths: Path, choices: Choices = CHOICES) -> Imported:
    return imported(read_files(paths, Names(function="checkout", alias="prod"), UTC, zone_named=False), choices)


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    return write_json(tmp_path / "m.json", metric_data(FOUND))


def written(result: Imported, out: Path) -> Scenario:
    return write(result, out, lambda _: None)


def test_minutes_csv_is_the_table_with_missing_minutes_missing(tmp_path: Path, metrics: Path) -> None:
    written(result_of(metrics), tmp_path / "out")
    with (tmp_path / "out" / "minutes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["time", "of", *COLUMNS, "period_s"]
    kept = np.flatnonzero(FOUND["invocations"] > 0)
    assert [row["time"] for row in rows] == [stamp(START + 60 * int(k)) for k in kept]
    assert {row["of"] for row in rows} == {"alias:prod"}
    assert [int(row["errors"]) for row in rows] == FOUND["errors"][kept].tolist()


def test_the_traffic_is_the_recorded_one(tmp_path: Path, metrics: Path) -> None:
    scenario = written(result_of(metrics), tmp_path / "out")
    trace = scenario.traffic[0].arrivals.trace
    assert trace is not None
    assert trace.repeat
    np.testing.assert_array_equal(trace.recording.per_period, FOUND["invocations"])
    run = simulate(scenario, "canary 10%")
    assert run.metrics.invocations[0, :, : int(scenario.horizon // 60)].sum() or run.metrics.invocations.sum()


def test_the_profile_is_poisson_around_the_hours_of_the_day(tmp_path: Path) -> None:
    found = columns(4, minutes=2 * 1440)
    hour = np.arange(2 * 1440) // 60 % 24
    found["invocations"] = np.random.default_rng(0).poisson(20 + 5 * hour)
    path = write_json(tmp_path / "m.json", metric_data(found))
    scenario = written(
        result_of(path, choices=Choices(function="checkout", alias="prod", rate="profile")), tmp_path / "out"
    )
    trace = scenario.traffic[0].arrivals.trace
    assert trace is not None
    expected = trace.recording.per_period * trace.scale / 60
    np.testing.assert_allclose(expected, 20 + 5 * np.arange(24), rtol=0.05)


def test_durations_and_cold_starts_are_those_that_were_planted(tmp_path: Path, metrics: Path) -> None:
    rng = np.random.default_rng(5)
    inits = 350 * np.exp(0.2 * rng.standard_normal(80))
    rows = [f"{d:.2f},{inits[k] if k < 80 else ''}" for k, d in enumerate(1000 * DURATION.ppf(rng.random(1500)))]
    reports = write_csv(tmp_path / "r.csv", "@duration,@initDuration", rows)
    for paths in ([metrics], [metrics, reports]):
        scenario = written(result_of(*paths), tmp_path / f"out{len(paths)}")
        version = scenario.function.versions["1"]
        np.testing.assert_allclose(version.duration.parameters, DURATION.parameters, rtol=0.1)
    assert version.cold_start is not None
    np.testing.assert_allclose(version.cold_start.parameters, (0.35, 0.35 * np.exp(0.2 * 2.326)), rtol=0.1)
    assert "cold_start: measured from 80 inits" in scenario_text(result_of(metrics, reports))
    assert "cold_start: GUESS" in scenario_text(result_of(metrics))


def test_durations_that_no_lognormal_describes_are_drawn_from_the_recorded_ones(tmp_path: Path, metrics: Path) -> None:
    rng = np.random.default_rng(5)
    two = np.where(rng.random(1500) < 0.5, 20.0, 400.0) * np.exp(0.1 * rng.standard_normal(1500))
    result = result_of(metrics, write_csv(tmp_path / "r.csv", "@duration,@initDuration", [f"{d:.3f}," for d in two]))
    assert any(
        remark.startswith("warning: durations: a lognormal distribution fits poorly") for remark in result.remarks
    )
    duration = written(result, tmp_path / "out").function.versions["1"].duration
    assert duration.kind == "empirical"
    np.testing.assert_allclose(duration.samples, np.sort(two) / 1000, rtol=1e-3)


@pytest.mark.parametrize(("without", "said"), [("errors", "error_rate: GUESS"), ("duration_p50_ms", "duration: GUESS")])
def test_what_was_not_measured_is_a_guess(tmp_path: Path, without: str, said: str) -> None:
    document = metric_data(FOUND)
    gone = ("duration_p50_ms", "duration_p90_ms", "duration_p99_ms") if without.startswith("duration") else (without,)
    document["MetricDataResults"] = [r for r in document["MetricDataResults"] if r["Label"].split()[0] not in gone]
    result = result_of(write_json(tmp_path / "m.json", document))
    assert said in " ".join(scenario_text(result).replace("# ", "").split())
    assert {"errors": "errors", "duration_p50_ms": "durations"}[without] not in [part for part, *_ in parts_of(result)]


def test_without_the_alias_the_function_is_taken_and_said(tmp_path: Path) -> None:
    result = result_of(write_json(tmp_path / "m.json", metric_data(FOUND, of="function")))
    assert result.used.of == "function"
    assert any("the alias prod has no invocations here" in remark for remark in result.remarks)
    with pytest.raises(ScenarioError, match="no invocations of the alias prod or of the function; got version:7"):
        result_of(write_json(tmp_path / "v.json", metric_data(FOUND, of="version:7")))


def test_nothing_invoked_and_no_metrics_at_all(tmp_path: Path) -> None:
    empty = {"MetricDataResults": [{"Id": "invocations_alias", "Label": "", "Timestamps": [], "Values": []}]}
    for document, what in (
        (empty, "there are no metrics in it"),
        ({"AlarmHistoryItems": []}, "there are no metrics in it"),
    ):
        with pytest.raises(ScenarioError, match=what):
            result_of(write_json(tmp_path / "m.json", document))


def test_a_silence_that_chance_does_not_explain_is_told(tmp_path: Path) -> None:
    found = columns(1, minutes=MINUTES)
    found["invocations"][200:230] = 0
    result = result_of(write_json(tmp_path / "m.json", metric_data(found)))
    silence = f"nothing from {stamp(START + 200 * 60)} to {stamp(START + 230 * 60)}, where"
    assert [
        remark.startswith(silence) for remark in result.remarks if "an outage, or data that are missing" in remark
    ] == [True]


def test_errors_that_nothing_describes_are_said_and_the_minutes_offered(tmp_path: Path) -> None:
    """Spells of two very different strengths: three states, and no two."""
    found = columns(2, minutes=3000)
    rates = np.full(3000, 0.001)
    for start in range(100, 3000, 300):
        rates[start : start + 30] = 0.02
    rates[1500:1530] = 0.6
    found["errors"] = np.random.default_rng(3).binomial(found["invocations"], rates)
    path = write_json(tmp_path / "m.json", metric_data(found))
    result = result_of(path)
    assert result.fitted.errors is not None
    assert result.fitted.errors.goodness.verdict == "poor"
    assert any("no description fits well" in remark and "--errors minutes" in remark for remark in result.remarks)


def test_history_becomes_risk_and_the_configuration_the_rollout(tmp_path: Path) -> None:
    found = columns(1, minutes=MINUTES)
    bad = np.arange(300, 310)
    found["errors"][bad] = np.round(found["invocations"][bad] * 0.21)
    paths = [write_json(tmp_path / name, document) for name, document in HISTORY.items()]
    result = result_of(write_json(tmp_path / "m.json", metric_data(found)), *paths)
    scenario = written(result, tmp_path / "out")
    fitted = result.fitted.releases
    assert fitted is not None
    assert [release.ending for release in fitted.releases].count("alarm afterwards") == 1
    assert scenario.risk is not None
    assert scenario.risk.p_bad == pytest.approx(1.5 / 7, rel=1e-3)  # 1 of 6 by Beta(1/2, 1/2)
    assert scenario.risk.found_after == 600
    # What the bad deployment did is its risk, and no spell of the old version.
    assert result.fitted.errors is not None
    assert result.fitted.errors.kind == "constant"
    assert result.fitted.left_out == 31  # from the start of d-3 until the alarm was quiet again
    (severity,) = fitted.severities
    assert severity == pytest.approx(0.2, abs=0.01)
    assert scenario.risk.severity.spread.low < severity < scenario.risk.severity.spread.high
    assert scenario.function.timeout == 7
    assert next(iter(scenario.strategies)) == "today"
    assert scenario.rollout is not None
    assert scenario.rollout.alarms == ("errors",)
    assert "p_bad: measured" in scenario_text(result)


@pytest.mark.slow
def test_the_command_from_files(tmp_path: Path, metrics: Path) -> None:
    ran = call(
        "import",
        "cloudwatch",
        "--data",
        metrics,
        "--function",
        "checkout",
        "--out",
        "out",
        cwd=tmp_path,
        env={"COLUMNS": "80"},
    )
    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "fit.png",
        "minutes.csv",
        "scenario.yaml",
        "traffic.csv",
    ]
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert call("validate", "out/scenario.yaml", cwd=tmp_path).returncode == 0
    again = call(
        "import", "cloudwatch", "--data", metrics, "--function", "checkout", "--out", "out", "--json", cwd=tmp_path
    )
    document = json.loads(again.stdout)
    assert document["fit"]["errors"]["mean"]["low"] < 0.01 < document["fit"]["errors"]["mean"]["high"]


def test_the_command_without_anything_and_the_commands_that_it_prints(tmp_path: Path) -> None:
    ran = call("import", "cloudwatch", cwd=tmp_path)
    assert ran.returncode == 2
    assert "say which --function to read from AWS, or give files with --data" in ran.stderr
    printed = call(
        "import", "cloudwatch", "--print-commands", "--function", "checkout", "--days", "20", cwd=tmp_path
    ).stdout
    assert "metrics-alias-60s.json" in printed
    assert "metrics-alias-300s.json" in printed
    assert "errors of alias:prod every 60 s" in printed
    assert printed.splitlines()[-1].startswith(
        "rollout-sim import cloudwatch --function checkout --alias prod --data metrics-"
    )
    assert list(tmp_path.iterdir()) == []


def test_how_errors_clump_is_written_as_the_scenario_has_it(tmp_path: Path) -> None:
    found = columns(1, minutes=4000)
    rng = np.random.default_rng(1)
    spells = Spells(calm=0.001, bad=0.08, spell=10, every=300)
    scattered = Scattered(mean=0.01, dispersion=0.03, span=5)
    fields = {}
    for truth in (spells, scattered):
        found["errors"] = rng.binomial(
            found["invocations"], truth.draw(found["invocations"], np.arange(4000), rng, 1)[0]
        )
        result = result_of(write_json(tmp_path / "m.json", metric_data(found)))
        rate = written(result, tmp_path / "out").function.versions["1"].error_rate
        fields[type(truth)] = rate
        assert mean_of(rate) == pytest.approx(found["errors"].sum() / found["invocations"].sum(), rel=0.1)
    assert 300 < fields[Spells].spell < 1200  # ten minutes of 4,000 with a dozen spells
    assert 9000 < fields[Spells].every < 36000
    assert fields[Scattered].every == 300
    assert fields[Scattered].dispersion == pytest.approx(0.03, rel=0.3)


def test_the_recorded_minutes_can_be_replayed_instead(tmp_path: Path, metrics: Path) -> None:
    scenario = written(
        result_of(metrics, choices=Choices(function="checkout", alias="prod", errors="minutes")), tmp_path / "out"
    )
    rate = scenario.function.versions["1"].error_rate
    assert isinstance(rate, RecordedErrors)
    assert rate.recording.errors.sum() == FOUND["errors"][FOUND["invocations"] > 0].sum()


MANAGED = {"LambdaManagedInstancesCapacityProviderConfig": {"PerExecutionEnvironmentMaxConcurrency": 16}}


@pytest.mark.parametrize("limits", [{}, {"ReservedConcurrentExecutions": 50}, {"CapacityProviderConfig": MANAGED}])
def test_recorded_throttles_and_durations_are_replayed_in_step_with_the_traffic(
    tmp_path: Path, limits: dict[str, Any]
) -> None:
    """Throttles are others' doing where the function has no limits of its own. The alias has errors before it has invocations."""
    found = columns(1, minutes=MINUTES) | {"throttles": np.full(MINUTES, 5.0)}
    document = metric_data(found)
    for result in document["MetricDataResults"]:
        if result["Label"].startswith("invocations"):
            result["Timestamps"], result["Values"] = result["Timestamps"][:-30], result["Values"][:-30]
    managed = "CapacityProviderConfig" in limits
    function, reserved = HISTORY["function.json"] | (limits if managed else {}), {} if managed else limits
    paths = [write_json(tmp_path / f"{k}.json", each) for k, each in enumerate([document, function, reserved]) if each]
    choices = Choices(function="checkout", alias="prod", errors="minutes", durations="minutes")
    scenario = written(result_of(*paths, choices=choices), tmp_path / "out")
    trace, first = scenario.traffic[0].arrivals.trace, scenario.function.versions["1"]
    assert trace is not None
    assert isinstance(first.duration, RecordedDurations)
    assert isinstance(first.error_rate, RecordedErrors)
    row = first.duration.rows(Streams(seed=1), 60.0)[0, 0]
    assert trace.recording.start == START + 30 * 60
    assert row == 30
    assert (scenario.function.managed is not None) == managed
    if not limits:
        assert trace.recording.per_period[0] == found["invocations"][30] + 5
        assert scenario.function.mean_throttled == pytest.approx(5 / (5 + found["invocations"].mean()), rel=0.1)
        assert simulate(scenario, "canary 10%").metrics.throttles.sum() > 50
    else:
        assert trace.recording.per_period[0] == found["invocations"][30]
        assert scenario.function.throttled == 0


def test_a_trace_holds_the_newest_that_it_may(tmp_path: Path) -> None:
    found = columns(1, minutes=300)
    found["invocations"] = np.full(300, 500_000)
    result = result_of(write_json(tmp_path / "m.json", metric_data(found)))
    assert any(f"begins at {stamp(START + 60 * 100)}" in remark for remark in result.remarks)
    trace = written(result, tmp_path / "out").traffic[0].arrivals.trace
    assert trace is not None
    assert trace.recording.per_period.sum() == 100_000_000


def test_how_deployments_end(tmp_path: Path, metrics: Path) -> None:
    day = 86400
    rows = [
        ("stopped by an alarm", {"status": "Stopped", "errorInformation": {"code": "ALARM_ACTIVE"}}, "rolled back"),
        (
            "failed in a hook and rolled back",
            {"status": "Failed", "rollbackInfo": {"rollbackDeploymentId": "d-9"}},
            "rolled back",
        ),
        ("by hand", {"status": "Stopped"}, "unknown"),
        ("failed", {"status": "Failed", "errorInformation": {"code": "INTERNAL_ERROR"}}, "failed"),
        ("still going", {"status": "InProgress"}, "unknown"),
        ("fine", {"status": "Succeeded"}, "good"),
    ]
    entries = [
        {
            "deploymentId": name,
            "createTime": stamp(START + 2 * day * k),
            "completeTime": stamp(START + 2 * day * k + 600),
            **told,
        }
        for k, (name, told, _) in enumerate(rows)
    ]
    path = write_json(tmp_path / "d.json", {"deploymentsInfo": entries[::-1]})
    recording = read_files([metrics, path], Names(function="checkout"), UTC, zone_named=False)
    assert [(release.name, release.ending) for release in releases(recording)] == [
        (name, ending) for name, _, ending in rows
    ]
    assert any(remark.startswith("3 deployments were stopped by hand") for remark in recording.remarks)
    assert any("history of the alarms is not known" in remark for remark in recording.remarks)
    fitted = imported(recording, CHOICES).fitted.releases
    assert fitted is not None
    assert (fitted.bad, len(fitted.releases)) == (2, 3)


def test_what_is_polled_is_counted_in_batches(tmp_path: Path, metrics: Path) -> None:
    mapping = {
        "EventSourceArn": "arn:aws:sqs:eu-west-1:1:orders",
        "FunctionArn": "arn:aws:lambda:eu-west-1:1:function:checkout:prod",
    }
    for state, polled in (("Enabled", True), ("Disabled", False)):
        documents = {"EventSourceMappings": [mapping | {"State": state}]}, HISTORY["function.json"]
        paths = [write_json(tmp_path / f"{k}.json", document) for k, document in enumerate(documents)]
        result = result_of(metrics, *paths)
        assert any("are batches, not their records" in remark for remark in result.remarks) == polled
        assert written(result, tmp_path / state).traffic[0].source == ("queue" if polled else "http")


@pytest.mark.parametrize("partial", [False, True])
def test_a_queue_or_a_stream_is_polled_as_its_mapping_says(tmp_path: Path, metrics: Path, partial: bool) -> None:
    """Three records came for each batch, and a batch fails where one of them does, unless the function tells them apart."""
    arn = {"FunctionArn": "arn:aws:lambda:eu-west-1:1:function:checkout:prod", "State": "Enabled"}
    queue = {
        **arn, "EventSourceArn": "arn:aws:sqs:eu-west-1:1:orders", "BatchSize": 20, "MaximumBatchingWindowInSeconds": 5,
        "ScalingConfig": {"MaximumConcurrency": 7}, "FunctionResponseTypes": ["ReportBatchItemFailures"] if partial else [],
    }  # fmt: skip
    stream = {
        **arn, "EventSourceArn": "arn:aws:kinesis:eu-west-1:1:stream/orders", "BatchSize": 50, "ParallelizationFactor": 2,
        "MaximumRetryAttempts": 3, "MaximumRecordAgeInSeconds": -1, "DestinationConfig": {"OnFailure": {}},
    }  # fmt: skip
    points = [{"Timestamp": START + 60 * k, "Sum": 3.0 * n} for k, n in enumerate(FOUND["invocations"].tolist())]
    records = write_json(tmp_path / "sent.json", {"Label": "NumberOfMessagesSent", "Datapoints": points})
    paths = [write_json(tmp_path / "function.json", HISTORY["function.json"]), records]
    found = {}
    for name, mapping in (("queue", queue), ("stream", stream)):
        mappings = write_json(tmp_path / f"{name}.json", {"EventSourceMappings": [mapping]})
        scenario = written(result_of(metrics, mappings, *paths), tmp_path / name)
        (found[name],) = scenario.traffic
        assert found[name].arrivals.trace is not None
        assert found[name].arrivals.trace.scale == pytest.approx(3)
        of_batches = FOUND["errors"].sum() / FOUND["invocations"].sum()
        apart = name == "queue" and partial
        of_records = of_batches if apart else 1 - (1 - of_batches) ** (1 / 3)
        assert mean_of(scenario.function.versions["1"].error_rate) == pytest.approx(of_records, rel=0.01)
        assert simulate(replace(scenario, horizon=700.0), "all at once").polled is not None
    batch = found["queue"].batch
    assert batch is not None
    assert (batch.size, batch.window, batch.partial_failures) == (20, 5.0, partial)
    assert found["queue"].mapping.concurrency == 7
    assert found["queue"].mapping.visibility_timeout == 42.0
    assert found["stream"].mapping.parallelization == 2
    assert found["stream"].mapping.attempts == 3
    assert not found["stream"].mapping.destination


def test_without_the_function_s_configuration_its_timeout_is_a_guess(tmp_path: Path, metrics: Path) -> None:
    group = write_json(tmp_path / "group.json", HISTORY["group.json"])
    text = scenario_text(result_of(metrics, group))
    assert "timeout: GUESS, above the longest that was measured (900 ms)" in text
    assert "today: {type: Canary10Percent5Minutes}" in text


@pytest.mark.parametrize(("known", "bad"), [(("alarms.json",), 1), ((), 2)])
def test_without_a_deployment_group_the_alarms_on_the_function_tell(
    tmp_path: Path, metrics: Path, known: tuple[str, ...], bad: int
) -> None:
    names = ("alarm-history.json", "deployments.json", *known)
    result = result_of(metrics, *(write_json(tmp_path / name, HISTORY[name]) for name in names))
    assert result.fitted.releases is not None
    assert result.fitted.releases.bad == bad  # without any of them somebody else's alarm counts, too
    assert any("every alarm of the history is put down" in remark for remark in result.remarks) == (not known)


def test_minutes_csv_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    files = [
        write_json(
            tmp_path / f"{period}-{of[:3]}.json",
            metric_data(FOUND, of=of, period=period, start=START - 3600 * 700 * (period > 60)),
        )
        for of in ("function", "alias:prod", "version:7")
        for period in (60, 3600)
    ]
    first = result_of(*files)
    written(first, tmp_path / "out")
    again = result_of(tmp_path / "out" / "minutes.csv")
    assert [(part.of, part.period) for part in again.table] == [(part.of, part.period) for part in first.table]
    for one, other in zip(first.table, again.table, strict=True):
        np.testing.assert_array_equal(one.times, other.times)
        for name in COLUMNS:
            np.testing.assert_allclose(one.columns[name], other.columns[name], rtol=1e-5)
    assert again.remarks == first.remarks
    broken = tmp_path / "m.csv"
    broken.write_text("time,of,invocations,errors\n2026-11-24T14:00:00Z,everything,5,0\n")
    with pytest.raises(ScenarioError, match=r"m\.csv:2: `of` is function, alias:NAME or version:NUMBER"):
        result_of(broken)
