"""Live: the same answers asked of AWS itself with boto3, by calls that read and change nothing.

What is not allowed, or not there, is a remark, and the rest is read: only the metrics are needed. botocore repeats what is
throttled; answers with PartialData are asked again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.yaml_io import shorten
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.measurements.amazon import inside, read_answer
from rollout_sim.formats.measurements.clock import Clock
from rollout_sim.formats.measurements.commands import DAY, pieces, queries, scopes, windows
from rollout_sim.formats.measurements.naming import Names
from rollout_sim.formats.measurements.recording import Recording

if TYPE_CHECKING:
    from botocore.client import BaseClient

ACTIONS: Final = (
    "cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarmHistory",
    "lambda:GetFunctionConfiguration", "lambda:GetFunctionConcurrency", "lambda:ListAliases", "lambda:ListEventSourceMappings",
    "lambda:ListProvisionedConcurrencyConfigs", "codedeploy:ListApplications", "codedeploy:ListDeploymentGroups",
    "codedeploy:GetDeploymentGroup", "codedeploy:GetDeploymentConfig", "codedeploy:ListDeployments",
    "codedeploy:BatchGetDeployments",
)  # fmt: skip
"""What the reader must be allowed (IAM)."""
_SHORT: Final = ("PartialData", "InternalError")
_AGAIN: Final = 2
"""How often an answer with partial data is asked again."""
_VERSIONS: Final = 5
"""The newest versions whose metrics are read."""
_BATCH: Final = 25
"""Deployments of one BatchGetDeployments."""
_ATTEMPTS: Final = 8
"""How often botocore tries a call that is throttled or fails."""
_METRICS: Final = 0.85
"""The share of the work that is done once the metrics are read."""
Report = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is read: a function, its alias, the last `days`; and where: Region, profile, endpoint, `APPLICATION/GROUP`."""

    function: str
    alias: str
    days: float
    region: str | None = None
    profile: str | None = None
    endpoint: str | None = None
    group: str | None = None


def read_live(wanted: Wanted, report: Report, now: Callable[[], float] = time.time) -> Recording:
    """What AWS has of a function; `report` is told the share that is done, `now` the clock (s since 1970).

    Raises ScenarioError where AWS cannot be reached, nobody may ask it, or there is no such function.
    """
    return _Reader(wanted, report, int(now())).read()


class _Reader:
    """One import: the clients, and what was read so far."""

    def __init__(self, wanted: Wanted, report: Report, now: int) -> None:
        self.wanted = wanted
        self.report = report
        self.now = now
        self.since = datetime.fromtimestamp(now - wanted.days * DAY, UTC)
        self.recording = Recording()
        self.names = Names(function=wanted.function, alias=wanted.alias)
        self.clock = Clock(zone=UTC, named=True, remarks=self.recording.remarks, source="AWS")
        self.clients = _clients(wanted)

    def read(self) -> Recording:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            versions = self._function()
            self._metrics(versions)
            self.report(_METRICS)
            self._alarms()
            self._deployments()
        except ClientError as error:
            raise ScenarioError([f"AWS: {error.operation_name}: {_told(error)}"]) from None
        except BotoCoreError as error:
            raise ScenarioError([f"AWS: {error}"]) from None
        self.report(1.0)
        return self.recording

    # --- the function -------------------------------------------------------------------------------------------------

    def _function(self) -> list[str]:
        """The configuration; returns the versions behind the alias. Raises ScenarioError for a function that there is not."""
        lambda_, name = self.clients["lambda"], self.wanted.function
        configuration = self._asked(lambda_, "get_function_configuration", "function", FunctionName=name)
        if configuration is None and any("ResourceNotFound" in remark for remark in self.recording.remarks):
            raise ScenarioError([f"AWS: there is no function {name!r} in {lambda_.meta.region_name}"])
        self._asked(lambda_, "get_function_concurrency", "reserved concurrency", FunctionName=name)
        aliases = self._paged(lambda_, "list_aliases", "aliases", "Aliases", FunctionName=name)
        if aliases is not None and self.wanted.alias not in [alias.get("Name") for alias in aliases]:
            there = ", ".join(str(alias.get("Name")) for alias in aliases) or "none"
            self.recording.remark(f"{name} has no alias {self.wanted.alias}; it has {there}")
        self._paged(
            lambda_, "list_provisioned_concurrency_configs", "provisioned concurrency", "ProvisionedConcurrencyConfigs",
            FunctionName=name,
        )  # fmt: skip
        self._paged(
            lambda_, "list_event_source_mappings", "event source mappings", "EventSourceMappings",
            FunctionName=f"{name}:{self.wanted.alias}",
        )  # fmt: skip
        self.report(0.05)
        return self._versions()

    def _versions(self) -> list[str]:
        """The newest versions of which CloudWatch has invocations through the alias in the last two weeks."""
        dimensions = [
            {"Name": "FunctionName", "Value": self.wanted.function},
            {"Name": "Resource", "Value": f"{self.wanted.function}:{self.wanted.alias}"},
        ]
        metrics = self._paged(
            self.clients["cloudwatch"], "list_metrics", None, "Metrics",
            Namespace="AWS/Lambda", MetricName="Invocations", Dimensions=dimensions,
        )  # fmt: skip
        found = {
            str(dimension["Value"])
            for metric in metrics or []
            for dimension in metric.get("Dimensions", [])
            if dimension.get("Name") == "ExecutedVersion"
        }
        return sorted((version for version in found if version.isdigit()), key=int)[-_VERSIONS:]

    # --- the metrics --------------------------------------------------------------------------------------------------

    def _metrics(self, versions: list[str]) -> None:
        """All metrics of all scopes, piece by piece."""
        asked = [
            (piece, queries(of, dimensions, window.period))
            for window in windows(self.now, self.wanted.days)
            for of, dimensions in scopes(self.wanted.function, self.wanted.alias, versions).items()
            for piece in pieces(window, len(queries(of, dimensions, window.period)))
        ]
        for number, (piece, wanted) in enumerate(asked):
            self._piece(wanted, piece.start, piece.end)
            self.report(min(0.05 + 0.8 * (number + 1) / len(asked), _METRICS))

    def _piece(self, wanted: list[dict[str, Any]], start: int, end: int) -> None:
        """One piece of time, asked again for those metrics of which only a part came; what came last counts."""
        again = wanted
        for attempt in range(_AGAIN + 1):
            short: set[str] = set()
            for page in self._pages(again, start, end):
                results = page.get("MetricDataResults", [])
                ended = not page.get("NextToken")
                short |= {str(result.get("Id")) for result in results if result.get("StatusCode") in _SHORT and ended}
                for result in results:
                    if result.get("StatusCode") == "Forbidden":
                        what = result.get("Label") or result.get("Id")
                        self.recording.remark(f"AWS: {what}: CloudWatch answered Forbidden; it is left out")
                results = [result for result in results if result.get("StatusCode") != "Forbidden"]
                if attempt < _AGAIN:
                    results = [result | {"StatusCode": "Complete"} for result in results]
                told = {"MetricDataResults": results, "Messages": page.get("Messages")}
                with _legible("GetMetricData"):
                    self.recording.extend(read_answer(told, "AWS", self.names, self.clock))
            again = [query for query in wanted if query["Id"] in short]
            if not again:
                return

    def _pages(self, wanted: list[dict[str, Any]], start: int, end: int) -> Iterator[Mapping[str, Any]]:
        paginator = self.clients["cloudwatch"].get_paginator("get_metric_data")
        pages = iter(paginator.paginate(
            MetricDataQueries=wanted, ScanBy="TimestampAscending",
            StartTime=datetime.fromtimestamp(start, UTC), EndTime=datetime.fromtimestamp(end, UTC),
        ))  # fmt: skip
        while True:
            with _legible("GetMetricData"):
                page = next(pages, None)
                if page is None:
                    return
                if "MetricDataResults" not in page:
                    raise ValueError("there are no MetricDataResults in it")
            yield page

    # --- alarms and deployments ---------------------------------------------------------------------------------------

    def _alarms(self) -> None:
        cloudwatch = self.clients["cloudwatch"]
        kinds = ["MetricAlarm", "CompositeAlarm"]
        for key in ("MetricAlarms", "CompositeAlarms"):
            self._paged(cloudwatch, "describe_alarms", "alarms", key, AlarmTypes=kinds)
        self._paged(
            cloudwatch, "describe_alarm_history", "alarm history", "AlarmHistoryItems", HistoryItemType="StateUpdate",
            StartDate=self.since, EndDate=datetime.fromtimestamp(self.now, UTC), AlarmTypes=kinds,
        )  # fmt: skip

    def _deployments(self) -> None:
        """The deployment group, its configuration and its deployments."""
        codedeploy = self.clients["codedeploy"]
        place = self._group()
        if place is None:
            return
        application, group = place
        named = {"applicationName": application, "deploymentGroupName": group}
        answer = self._asked(codedeploy, "get_deployment_group", "deployment group", **named)
        if answer is None:
            return
        config = str(inside(answer, "deploymentGroupInfo").get("deploymentConfigName", ""))
        if not config.startswith("CodeDeployDefault."):
            self._asked(codedeploy, "get_deployment_config", "deployment configuration", deploymentConfigName=config)
        identities = self._paged(
            codedeploy, "list_deployments", None, "deployments", **named,
            createTimeRange={"start": self.since, "end": datetime.fromtimestamp(self.now, UTC)},
        )  # fmt: skip
        for first in range(0, len(identities or []), _BATCH):
            batch = (identities or [])[first : first + _BATCH]
            self._asked(codedeploy, "batch_get_deployments", "deployments", deploymentIds=batch)

    def _group(self) -> tuple[str, str] | None:
        """The application and the group: those that the user named, else the one of Lambda that has the function in its names."""
        if self.wanted.group is not None:
            application, _, group = self.wanted.group.partition("/")
            return application, group
        codedeploy, name = self.clients["codedeploy"], self.wanted.function
        found = []
        for application in self._paged(codedeploy, "list_applications", None, "applications") or []:
            groups = self._paged(
                codedeploy, "list_deployment_groups", None, "deploymentGroups", applicationName=application
            )
            found += [(str(application), str(group)) for group in groups or []]
        near = [place for place in found if name.lower() in "/".join(place).lower()]
        if len(near) == 1:
            return near[0]
        if found:
            names = ", ".join("/".join(place) for place in (near or found)[:10])
            self.recording.remark(f"which deployment group shifts {name} is not clear; say it with --group: {names}")
        return None

    # --- asking -------------------------------------------------------------------------------------------------------

    def _asked(self, client: BaseClient, operation: str, kind: str | None, **arguments: Any) -> dict[str, Any] | None:
        """One answer, kept as a document of its `kind`; None and a remark where it is refused."""
        from botocore.exceptions import ClientError

        try:
            with _legible(operation):
                answer: dict[str, Any] = getattr(client, operation)(**arguments)
        except ClientError as error:
            self.recording.remark(f"{error.operation_name}: {_told(error)}; it is left out")
            return None
        answer.pop("ResponseMetadata", None)
        if kind is not None and answer:
            self.recording.documents.setdefault(kind, []).append(answer)
        return answer

    def _paged(
        self, client: BaseClient, operation: str, kind: str | None, key: str, **arguments: Any
    ) -> list[Any] | None:
        """What all pages hold below `key`, kept as one document of its `kind`; None and a remark where it is refused."""
        from botocore.exceptions import ClientError

        try:
            with _legible(operation):
                pages = client.get_paginator(operation).paginate(**arguments)
                found = [entry for page in pages for entry in page.get(key) or []]
        except ClientError as error:
            self.recording.remark(f"{error.operation_name}: {_told(error)}; it is left out")
            return None
        if kind is not None and found:
            self.recording.documents.setdefault(kind, []).append({key: found})
        return found


@contextmanager
def _legible(operation: str) -> Iterator[None]:
    """While an answer is taken in: one that is not as AWS describes it raises ScenarioError, which names the operation."""
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError, ResponseParserError) as error:
        what = str(error).removeprefix("AWS: ")
        raise ScenarioError([f"AWS: {operation}: the answer cannot be read: {shorten(what)}"]) from None


def _told(error: Any) -> str:
    inner = error.response.get("Error", {})
    message = " ".join(str(inner.get("Message", "")).split())
    return f"{inner.get('Code', 'an error')}: {shorten(message)}".rstrip(": ")


def _clients(wanted: Wanted) -> dict[str, BaseClient]:
    """A client of each service. Raises ScenarioError without boto3, a Region or a profile of that name."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError:
        raise ScenarioError(
            ["reading from AWS needs boto3; install it with: pip install 'rollout-sim[aws]', or give files with --data"]
        ) from None
    config = Config(retries={"mode": "standard", "total_max_attempts": _ATTEMPTS}, user_agent_extra="rollout-sim")
    try:
        session = boto3.Session(profile_name=wanted.profile, region_name=wanted.region)
        return {
            name: session.client(name, config=config, endpoint_url=wanted.endpoint)
            for name in ("cloudwatch", "lambda", "codedeploy")
        }
    except (BotoCoreError, ValueError) as error:
        raise ScenarioError([f"AWS: {error}; see --region, --profile and --endpoint-url"]) from None
