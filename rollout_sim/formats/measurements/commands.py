"""Commands: what to ask AWS, as requests for boto3 and as lines for the `aws` command whose output is read here.

CloudWatch keeps minutes for 15 days, five minutes for 63 and hours for 455: each part of the time is asked in the finest
resolution that is still there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout_sim.formats.measurements.recording import stamp

DAY: Final = 86400
KEPT_FOR: Final = ((60, 15 * DAY), (300, 63 * DAY), (3600, 455 * DAY))
"""The periods (s) that CloudWatch keeps, and for how long (s)."""
SETTLED: Final = 120
"""Seconds after which a minute is taken to be complete."""
MOST_POINTS: Final = 100_800
"""Datapoints of one answer of GetMetricData."""
STATISTICS: Final = {
    "invocations": ("Invocations", "Sum"), "errors": ("Errors", "Sum"), "throttles": ("Throttles", "Sum"),
    "duration_average_ms": ("Duration", "Average"), "duration_p50_ms": ("Duration", "p50"),
    "duration_p90_ms": ("Duration", "p90"), "duration_p99_ms": ("Duration", "p99"), "duration_max_ms": ("Duration", "Maximum"),
    "concurrent_executions": ("ConcurrentExecutions", "Maximum"),
}  # fmt: skip
"""Lambda's metric and statistic behind each column."""
_INSIGHTS: Final = 'fields @timestamp, @duration, @initDuration | filter @type = "REPORT" | limit 10000'


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of the time, [start, end) in s since 1970, and the period (s) that is still kept of it."""

    start: int
    end: int
    period: int


def windows(now: int, days: float) -> list[Window]:
    """The last `days` before `now` (s since 1970) in the finest resolution that is kept, the oldest part first.

    Edges are whole periods; a part begins a period after the data before it have gone, and minutes that may still grow are left.
    """
    oldest = now - int(days * DAY)
    result: list[Window] = []
    end = (now - SETTLED) // 60 * 60
    for period, kept in KEPT_FOR:
        first = -(-max(oldest, now - kept + period) // period) * period
        stop = end // period * period
        if first < stop:
            result.append(Window(start=first, end=stop, period=period))
            end = first
    return result[::-1]


def scopes(function: str, alias: str, versions: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """The dimensions of each scope: the function, its alias, and the versions behind the alias."""
    base = [{"Name": "FunctionName", "Value": function}]
    behind = [*base, {"Name": "Resource", "Value": f"{function}:{alias}"}]
    return {"function": base, f"alias:{alias}": behind} | {
        f"version:{version}": [*behind, {"Name": "ExecutedVersion", "Value": version}] for version in versions
    }


def queries(of: str, dimensions: list[dict[str, str]], period: int) -> list[dict[str, Any]]:
    """The metric queries of one scope; their labels are what `naming` knows."""
    return [
        {
            "Id": f"m{number}_{of.partition(':')[0]}",
            "Label": f"{column} of {of} every {period} s",
            "MetricStat": {
                "Metric": {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions},
                "Period": period,
                "Stat": statistic,
            },
        }
        for number, (column, (metric, statistic)) in enumerate(STATISTICS.items())
    ]


def pieces(window: Window, count: int) -> Iterator[Window]:
    """A window in pieces of which `count` queries fit into one answer."""
    step = max(MOST_POINTS // count, 1) * window.period
    for start in range(window.start, window.end, step):
        yield Window(start=start, end=min(start + step, window.end), period=window.period)


def command_lines(
    function: str, alias: str, days: float, now: int, region: str | None = None, profile: str | None = None
) -> list[str]:
    """The `aws` commands, each writing a file, and at the end the command that reads them."""
    where = ["--region", region] if region else []
    where += ["--profile", profile] if profile else []
    common = ["--output", "json", *where]
    lines, files = [], []

    def line(file: str, *words: str) -> None:
        files.append(file)
        lines.append(f"{shlex.join(['aws', *words, *common])} > {shlex.quote(file)}")

    for window in windows(now, days):
        for of, dimensions in scopes(function, alias, ()).items():
            asked = queries(of, dimensions, window.period)
            span = ["--start-time", stamp(window.start), "--end-time", stamp(window.end)]
            file = f"metrics-{of.partition(':')[0]}-{window.period}s.json"
            line(file, "cloudwatch", "get-metric-data", *span, "--metric-data-queries", json.dumps(asked))
    line("function.json", "lambda", "get-function-configuration", "--function-name", function)
    line("concurrency.json", "lambda", "get-function-concurrency", "--function-name", function)
    line("aliases.json", "lambda", "list-aliases", "--function-name", function)
    line("provisioned.json", "lambda", "list-provisioned-concurrency-configs", "--function-name", function)
    line("mappings.json", "lambda", "list-event-source-mappings", "--function-name", f"{function}:{alias}")
    line("alarms.json", "cloudwatch", "describe-alarms", "--alarm-types", "MetricAlarm", "CompositeAlarm")
    line(
        "alarm-history.json", "cloudwatch", "describe-alarm-history", "--history-item-type", "StateUpdate",
        "--start-date", stamp(now - int(days * DAY)), "--end-date", stamp(now),
    )  # fmt: skip
    lines.append("# APPLICATION and GROUP: what CodeDeploy calls them; without CodeDeploy leave the next four out.")
    line(
        "group.json",
        "deploy",
        "get-deployment-group",
        "--application-name",
        "APPLICATION",
        "--deployment-group-name",
        "GROUP",
    )
    line("config.json", "deploy", "get-deployment-config", "--deployment-config-name", "CONFIG")
    lines.append(
        "aws deploy list-deployments --application-name APPLICATION --deployment-group-name GROUP "
        f"{shlex.join([*where, '--query', 'deployments[]', '--output', 'text'])} | tr '\\t' '\\n' | xargs -n 25 "
        f"aws deploy batch-get-deployments {shlex.join(common)} --deployment-ids > deployments.json"
    )
    files.append("deployments.json")
    lines.append("# Cold starts: the answer of the second command, once the query is complete.")
    lines.append(
        f"aws logs start-query --log-group-name {shlex.quote(f'/aws/lambda/{function}')} --start-time {now - DAY} --end-time {now} "
        f"--query-string {shlex.quote(_INSIGHTS)}"
    )
    lines.append("aws logs get-query-results --query-id ID > reports.json")
    files.append("reports.json")
    told = shlex.join(["rollout-sim", "import", "cloudwatch", "--function", function, "--alias", alias])
    lines.append(f"{told} {' '.join(f'--data {shlex.quote(file)}' for file in files)}")
    return lines
