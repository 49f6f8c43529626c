"""Recordings with a planted truth, as the files in which people have them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rollout_sim.core.distributions import Distribution
from rollout_sim.formats.measurements.commands import queries, scopes
from rollout_sim.formats.measurements.recording import stamp
from rollout_sim.study.fit.durations import SHARES, _order_statistics

START = 1_794_009_600
"""2026-11-07, midnight UTC."""
DURATION = Distribution("lognormal", (0.08, 0.6))


def columns(seed: int, minutes: int = 600, rate: float = 120.0, errors: float = 0.01) -> dict[str, np.ndarray]:
    """A steady function: Poisson arrivals, a constant rate of errors, lognormal durations whose percentiles are order statistics."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(rate, minutes)
    found = {"invocations": n, "errors": rng.binomial(n, errors), "throttles": np.zeros(minutes)}
    found["duration_average_ms"] = np.full(minutes, 1000 * DURATION.mean)
    for name, share in SHARES.items():
        scores, variances = _order_statistics(np.maximum(n, 1), share)
        drawn = scores + np.sqrt(variances) * rng.standard_normal(minutes)
        found[f"duration_{name}_ms"] = 1000 * DURATION.parameters[0] * np.exp(DURATION.sigma * drawn)
    return found | {"duration_max_ms": np.full(minutes, 900.0), "concurrent_executions": np.full(minutes, 12.0)}


def times(minutes: int, period: int = 60) -> np.ndarray:
    return START + period * np.arange(minutes)


def metric_data(found: dict[str, np.ndarray], of: str = "alias:prod", period: int = 60, start: int = START) -> dict:
    """The answer of GetMetricData, the newest first as the API gives it; a minute without invocations has no datapoint."""
    when = start + period * np.arange(found["invocations"].size)
    kept = np.flatnonzero(found["invocations"] > 0)[::-1]
    results = []
    for query in queries(of, scopes("checkout", "prod", ["7"])[of], period):
        values = found[query["Label"].split()[0]]
        results.append(
            {
                "Id": query["Id"],
                "Label": query["Label"],
                "Timestamps": [stamp(int(when[k])) for k in kept],
                "Values": [float(values[k]) for k in kept],
                "StatusCode": "Complete",
            }
        )
    return {"MetricDataResults": results, "Messages": []}


def write_json(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def write_csv(path: Path, header: str, rows: Iterable[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


HISTORY = {
    "alarm-history.json": {"AlarmHistoryItems": [
        {"AlarmName": "errors", "Timestamp": stamp(START + 60 * 310), "HistoryItemType": "StateUpdate",
         "HistorySummary": "Alarm updated from OK to ALARM"},
        {"AlarmName": "errors", "Timestamp": stamp(START + 60 * 330), "HistoryItemType": "StateUpdate",
         "HistorySummary": "Alarm updated from ALARM to OK"},
        {"AlarmName": "somebody-else", "Timestamp": stamp(START + 60 * 5), "HistoryItemType": "StateUpdate",
         "HistorySummary": "Alarm updated from OK to ALARM"},
    ]},
    "group.json": {"deploymentGroupInfo": {
        "deploymentConfigName": "CodeDeployDefault.LambdaCanary10Percent5Minutes",
        "alarmConfiguration": {"enabled": True, "alarms": [{"name": "errors"}]},
        "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_STOP_ON_ALARM"]},
    }},
    "alarms.json": {"MetricAlarms": [{
        "AlarmName": "errors", "Namespace": "AWS/Lambda", "MetricName": "Errors", "Statistic": "Sum", "Period": 60,
        "Dimensions": [{"Name": "FunctionName", "Value": "checkout"}, {"Name": "Resource", "Value": "checkout:prod"}],
        "EvaluationPeriods": 3, "DatapointsToAlarm": 2, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }]},
    "deployments.json": {"deploymentsInfo": [
        {"deploymentId": f"d-{k}", "status": "Succeeded", "createTime": stamp(START + 60 * start),
         "completeTime": stamp(START + 60 * (start + 5))}
        for k, start in enumerate((0, 100, 200, 300, 400, 500))
    ]},
    "function.json": {"FunctionName": "checkout", "Runtime": "python3.12", "MemorySize": 512, "Timeout": 7},
}  # fmt: skip
"""Answers of AWS about a function, its alarm and six deployments, one of which the alarm followed, by the names of their files."""
