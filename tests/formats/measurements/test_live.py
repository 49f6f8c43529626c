"""What is asked of AWS, over HTTP: all pages, again after throttling and partial data, and without a right what is left."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amazon import CREDENTIALS, Refusal, answering, moto
from command import call
from recorded import START, columns, write_csv

from rollout_sim.errors import ScenarioError
from rollout_sim.formats.measurements.folder import Choices, imported
from rollout_sim.formats.measurements.live import Wanted, read_live
from rollout_sim.formats.measurements.recording import Measured, Recording

MINUTES = 600
END = START + 60 * MINUTES
FOUND = columns(1, minutes=MINUTES)
FOUND["invocations"][[5, 6, 300]] = 0


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's back-off


class Amazon:
    """CloudWatch with the minutes of `FOUND` of the alias and nothing of other scopes, in pages of a hundred periods."""

    def __init__(self) -> None:
        self.throttled = 3
        self.partial = 2
        self.periods: set[tuple[int, str]] = set()

    def get_metric_data(self, given: dict[str, Any]) -> dict[str, Any]:
        if self.throttled:
            self.throttled -= 1
            raise Refusal("ThrottlingException")
        start, end = (int(float(given[key])) for key in ("StartTime", "EndTime"))
        first = int(given.get("NextToken", 0))
        results = []
        more = False
        for query in given["MetricDataQueries"]:
            stat = query["MetricStat"]
            dimensions = {part["Name"]: part["Value"] for part in stat["Metric"]["Dimensions"]}
            self.periods.add((stat["Period"], dimensions.get("Resource", "function")))
            column = query["Label"].split()[0]
            when = START + 60 * np.arange(MINUTES)
            there = (when >= start) & (when < end) & (FOUND["invocations"] > 0)
            kept = np.flatnonzero(there & (dimensions.get("Resource") == "checkout:prod") & (stat["Period"] == 60))
            page = kept[first : first + 100]
            more |= kept.size > first + 100
            status = "Complete"
            if column == "errors" and self.partial and page.size and kept.size <= first + 100:
                self.partial -= 1
                page, status = page[:20], "PartialData"
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query["Label"],
                    "Timestamps": [int(when[k]) for k in page],
                    "Values": [float(FOUND[column][k]) for k in page],
                    "StatusCode": status,
                }
            )
        return {"MetricDataResults": results} | ({"NextToken": str(first + 100)} if more else {})


def answers(amazon: Amazon) -> dict[str, Any]:
    return {
        "GetMetricData": amazon.get_metric_data,
        "GET configuration": lambda _: {"FunctionName": "checkout", "Timeout": 12, "MemorySize": 512, "Runtime": "python3.12"},
        "GET concurrency": lambda _: {"ReservedConcurrentExecutions": 40},
        "GET aliases": lambda given: (
            {"Aliases": [{"Name": "prod", "FunctionVersion": "7"}]}
            if given.get("Marker")
            else {"Aliases": [{"Name": "test"}], "NextMarker": "x"}
        ),
        "ListMetrics": lambda _: {"Metrics": []},
    }  # fmt: skip


def read(url: str, **wanted: Any) -> Recording:
    asked = Wanted(function="checkout", alias="prod", endpoint=url, **{"days": 0.5, **wanted})
    return read_live(asked, lambda _: None, now=lambda: END + 130)


def of_the_alias(recording: Recording) -> Measured:
    (measured,) = [measured for measured in recording.measured() if measured.of == "alias:prod"]
    return measured


@pytest.mark.slow
def test_pages_throttling_partial_data_and_missing_rights() -> None:
    amazon = Amazon()
    reports: list[float] = []
    with answering(answers(amazon)) as (url, asked):
        wanted = Wanted(function="checkout", alias="prod", endpoint=url, days=0.5)
        recording = read_live(wanted, reports.append, now=lambda: END + 130)
    assert amazon.throttled == 0
    assert asked.count("GET aliases") == 2
    kept = FOUND["invocations"] > 0
    measured = of_the_alias(recording)
    assert measured.times.size == kept.sum()
    for name in ("invocations", "errors", "duration_p99_ms"):
        np.testing.assert_allclose(measured.columns[name], FOUND[name][kept])
    assert [remark.partition(":")[0] for remark in recording.remarks] == [
        "ListProvisionedConcurrencyConfigs", "ListEventSourceMappings", "DescribeAlarms", "DescribeAlarmHistory", "ListApplications",
    ]  # fmt: skip
    assert reports == sorted(reports)
    assert reports[-1] == 1.0
    result = imported(recording, Choices(function="checkout", alias="prod"))
    assert result.deployed is not None
    assert (result.deployed.timeout, result.deployed.reserved) == (12.0, 40)


@pytest.mark.parametrize(
    "results",
    [
        None,
        "nothing",
        [{"Id": "m1", "Timestamps": ["yesterday"], "Values": [1.0]}],
        [{"Id": "m1", "Timestamps": [START], "Values": ["many"]}],
        [{"Id": "m1", "Label": "errors of alias:prod every 60 s", "Timestamps": [START, START + 60], "Values": [1.0]}],
        [{"Id": "m1", "Label": "errors of alias:prod every 60 s", "Timestamps": [START], "Values": [-1.0]}],
    ],
)  # fmt: skip
def test_an_answer_that_is_not_as_described_is_one_clear_error(results: Any) -> None:
    answer = {} if results is None else {"MetricDataResults": results}
    with (
        answering({**answers(Amazon()), "GetMetricData": lambda _: answer}) as (url, _),
        pytest.raises(ScenarioError, match="AWS: GetMetricData: the answer cannot be read: "),
    ):
        read(url)


@pytest.mark.parametrize("aliases", ["none", [{"Name": "prod"}, 7], {"Name": "prod"}])
def test_so_it_is_of_other_operations(aliases: Any) -> None:
    with (
        answering({**answers(Amazon()), "GET aliases": lambda _: {"Aliases": aliases}}) as (url, _),
        pytest.raises(ScenarioError, match="AWS: list_aliases: the answer cannot be read: "),
    ):
        read(url)


def test_data_that_stay_partial_are_told() -> None:
    amazon = Amazon()
    amazon.throttled, amazon.partial = 0, 10**9
    with answering(answers(amazon)) as (url, _):
        recording = read(url)
    assert (
        "AWS: errors of alias:prod every 60 s: CloudWatch answered PartialData: some of its periods may be missing"
        in recording.remarks
    )


def test_a_metric_that_is_forbidden_is_told() -> None:
    amazon = Amazon()
    amazon.throttled = amazon.partial = 0

    def refusing(given: dict[str, Any]) -> dict[str, Any]:
        answer = amazon.get_metric_data(given)
        for result in answer["MetricDataResults"]:
            if result["Label"].startswith("errors of alias:prod"):
                result |= {"StatusCode": "Forbidden", "Timestamps": [], "Values": []}
        return answer

    with answering(answers(amazon) | {"GetMetricData": refusing}) as (url, _):
        recording = read(url)
    told = [remark for remark in recording.remarks if "Forbidden" in remark]
    assert told == ["AWS: errors of alias:prod every 60 s: CloudWatch answered Forbidden; it is left out"]


def test_the_finest_resolution_that_is_still_kept_is_asked() -> None:
    amazon = Amazon()
    amazon.throttled = amazon.partial = 0
    with answering(answers(amazon)) as (url, _):
        read(url, days=70)
    assert {period for period, of in amazon.periods if of == "checkout:prod"} == {60, 300, 3600}


def test_a_function_that_is_not_there_and_credentials_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> dict[str, Any]:
        raise Refusal("ResourceNotFoundException", 404)

    there_is_none = "AWS: there is no function 'checkout' in eu-west-1"
    with answering({"GET configuration": gone}) as (url, _), pytest.raises(ScenarioError, match=there_is_none):
        read(url)
    with answering({}) as (url, _), pytest.raises(ScenarioError, match="AWS: GetMetricData: AccessDeniedException"):
        read(url)
    with pytest.raises(ScenarioError, match="AWS: The config profile"):
        read("http://127.0.0.1:9", profile="nobody")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(ScenarioError, match="AWS: Unable to locate credentials"):
        read("http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ScenarioError, match="reading from AWS needs boto3; install it with: pip install 'rollout-sim"):
        read("http://127.0.0.1:9")


@pytest.mark.slow
def test_the_command_asks_aws_and_takes_cold_starts_from_a_file(tmp_path: Path) -> None:
    amazon = Amazon()
    amazon.throttled = amazon.partial = 0
    rows = [f"80,{300 + k}" for k in range(40)]
    write_csv(tmp_path / "r.csv", "@duration,@initDuration", rows)
    ended = int(time.time()) // 60 * 60 - 600
    with pytest.MonkeyPatch.context() as patch, answering(answers(amazon)) as (url, _):
        patch.setattr(sys.modules[__name__], "START", ended - 60 * MINUTES)
        words = ("--function", "checkout", "--days", "0.6", "--endpoint-url", url, "--reports", "r.csv")
        ran = call("import", "cloudwatch", *words, cwd=tmp_path, env=CREDENTIALS)
    assert ran.returncode == 0, ran.stderr
    text = (tmp_path / "checkout" / "scenario.yaml").read_text()
    assert "cold_start: measured from 40 inits" in text
    assert "timeout: 12 s" in text


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[str]:
    with moto(tmp_path / "moto.log") as url:
        yield url


@pytest.mark.slow
def test_against_moto(simulated: str) -> None:
    """Counts by dimensions, alarms, aliases, a deployment group of its own configuration."""
    import boto3

    lambda_, cloudwatch, deploy, iam = (
        boto3.client(name, endpoint_url=simulated) for name in ("lambda", "cloudwatch", "codedeploy", "iam")
    )
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.py", "def f(event, context): pass")
    lambda_.create_function(
        FunctionName="checkout", Runtime="python3.12", Role=role, Handler="a.f", Code={"ZipFile": packed.getvalue()}, Timeout=9,
        Publish=True,
    )  # fmt: skip
    lambda_.create_alias(FunctionName="checkout", Name="prod", FunctionVersion="1")
    lambda_.put_function_concurrency(FunctionName="checkout", ReservedConcurrentExecutions=25)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    base = [{"Name": "FunctionName", "Value": "checkout"}, {"Name": "Resource", "Value": "checkout:prod"}]
    counts = [(7 * k % 40 + 10, k % 3) for k in range(150)]
    for first in range(0, 150, 50):
        data = [
            {
                "MetricName": name, "Dimensions": base, "Timestamp": now - timedelta(minutes=200 - k), "Unit": "Count",
                "StatisticValues": {"SampleCount": n, "Sum": value, "Minimum": 0, "Maximum": 1},
            }
            for k, (n, failed) in list(enumerate(counts))[first : first + 50]
            for name, value in (("Invocations", n), ("Errors", failed))
        ]  # fmt: skip
        cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=data)
    cloudwatch.put_metric_alarm(
        AlarmName="checkout-errors", Namespace="AWS/Lambda", MetricName="Errors", Dimensions=base, Statistic="Sum", Period=60,
        EvaluationPeriods=3, DatapointsToAlarm=2, Threshold=5, ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )  # fmt: skip
    deploy.create_application(applicationName="checkout-app", computePlatform="Lambda")
    deploy.create_deployment_group(
        applicationName="checkout-app", deploymentGroupName="checkout", serviceRoleArn=role,
        deploymentConfigName="CodeDeployDefault.LambdaCanary10Percent5Minutes",
        alarmConfiguration={"enabled": True, "alarms": [{"name": "checkout-errors"}]},
        autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_STOP_ON_ALARM"]},
    )  # fmt: skip
    wanted = Wanted(function="checkout", alias="prod", days=0.5, endpoint=simulated)
    # moto answers percentiles with status 500; they are asked of a server of our own above.
    recording = _without_percentiles(wanted)
    measured = of_the_alias(recording)
    assert measured.columns["invocations"].tolist() == [n for n, _ in counts]
    assert measured.columns["errors"].tolist() == [failed for _, failed in counts]
    # moto forgets the alarms of a deployment group.
    group = recording.documents["deployment group"][0]["deploymentGroupInfo"]
    group["alarmConfiguration"] = {"enabled": True, "alarms": [{"name": "checkout-errors"}]}
    result = imported(recording, Choices(function="checkout", alias="prod"))
    assert result.deployed is not None
    assert (result.deployed.timeout, result.deployed.reserved) == (9.0, 25)
    assert result.deployed.strategy == {"type": "Canary10Percent5Minutes"}
    (alarm,) = result.deployed.alarms.values()
    assert alarm["threshold"] == "> 5"
    assert alarm["datapoints"] == "2 of 3"
    assert alarm["of"] == "alias"


def _without_percentiles(wanted: Wanted) -> Recording:
    from rollout_sim.formats.measurements import commands

    every = dict(commands.STATISTICS)
    for name in ("duration_p50_ms", "duration_p90_ms", "duration_p99_ms"):
        del commands.STATISTICS[name]
    try:
        return read_live(wanted, lambda _: None)
    finally:
        commands.STATISTICS.clear()
        commands.STATISTICS.update(every)


def test_a_history_of_deployments_is_read_as_it_is_answered() -> None:
    """CodeDeploy's and CloudWatch's answers, with times as numbers, become releases."""
    amazon = Amazon()
    amazon.throttled = amazon.partial = 0
    item = {
        "AlarmName": "errors", "Timestamp": START + 7200, "HistoryItemType": "StateUpdate",
        "HistoryData": json.dumps({"newState": {"stateValue": "ALARM"}}),
    }  # fmt: skip
    deployments = [
        {"deploymentId": "d-1", "status": "Succeeded", "createTime": START, "startTime": START, "completeTime": START + 600},
        {
            "deploymentId": "d-2", "status": "Stopped", "createTime": START + 7000, "startTime": START + 7000,
            "completeTime": START + 7260, "errorInformation": {"code": "ALARM_ACTIVE", "message": ""},
        },
        {"deploymentId": "d-3", "status": "Succeeded", "creator": "codeDeployRollback", "createTime": START + 7300},
    ]  # fmt: skip
    group = {
        "alarmConfiguration": {"enabled": True, "alarms": [{"name": "errors"}]},
        "deploymentConfigName": "CodeDeployDefault.LambdaAllAtOnce",
    }
    history = {
        "DescribeAlarms": lambda _: {"MetricAlarms": []},
        "DescribeAlarmHistory": lambda _: {"AlarmHistoryItems": [item]},
        "ListApplications": lambda _: {"applications": ["shop"]},
        "ListDeploymentGroups": lambda _: {"deploymentGroups": ["checkout-group", "other"]},
        "GetDeploymentGroup": lambda _: {"deploymentGroupInfo": group},
        "ListDeployments": lambda given: (
            {"deployments": ["d-2", "d-3"]} if given.get("nextToken") else {"deployments": ["d-1"], "nextToken": "more"}
        ),
        "BatchGetDeployments": lambda given: {
            "deploymentsInfo": [each for each in deployments if each["deploymentId"] in given["deploymentIds"]]
        },
    }  # fmt: skip
    with answering(answers(amazon) | history) as (url, _):
        recording = read(url)
    fitted = imported(recording, Choices(function="checkout", alias="prod")).fitted.releases
    assert fitted is not None
    assert [(release.name, release.ending, release.noticed) for release in fitted.releases] == [
        ("d-1", "good", None), ("d-2", "rolled back", START + 7200),
    ]  # fmt: skip
    assert fitted.p_bad.mean == 0.5
