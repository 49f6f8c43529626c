"""Templates that are written pass their own tools, say what they leave out, and come back as the same rollout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import scenario
from click.testing import CliRunner

from rollout_sim.cli.main import app
from rollout_sim.control.strategies import PREDEFINED
from rollout_sim.errors import ScenarioError
from rollout_sim.formats import codedeploy, kubernetes, openslo
from rollout_sim.formats.cloudformation import HOOK_CODE, export_cloudformation, export_sam
from rollout_sim.formats.templates.sam import from_sam
from rollout_sim.scenario.scenario import Scenario

HOOKS = {
    "before_allow_traffic": {"invocations": 20, "over": "2 min", "max_failures": 1},
    "after_allow_traffic": {"invocations": 5, "over": "10 s"},
}
STRATEGIES: dict[str, dict[str, Any]] = {
    **{name: {"type": name} for name in PREDEFINED},
    "own canary": {"type": "canary", "percent": 7, "interval": "4 min"},
    "own linear": {"type": "linear", "percent": 30, "interval": "3 min"},
    "time based": {"type": "TimeBasedCanary", "CanaryPercentage": 3, "CanaryInterval": 12},
    "hooked": {"type": "canary", "percent": 5, "interval": "6 min", "hooks": HOOKS},
    "blue/green": {"type": "blue_green"},
}
ALARMS: dict[str, dict[str, Any]] = {
    "new-errors": {"metric": "errors", "of": "new_version", "threshold": "> 2", "datapoints": "2 of 3", "missing": "not_breaching"},
    "error-rate": {"metric": "error_rate", "of": "new_version", "threshold": "> 2.5%", "period": "5 min", "missing": "breaching"},
    "slow": {"metric": "duration", "statistic": "p99", "of": "alias", "threshold": ">= 850 ms", "datapoints": "1 of 2"},
    "mean": {"metric": "duration", "of": "alias", "threshold": "> 250 ms", "missing": "ignore"},
    "throttled": {"metric": "throttles", "of": "alias", "threshold": "> 0"},
    "silent": {"metric": "invocations", "of": "alias", "threshold": "< 1", "period": "10 s", "missing": "breaching"},
}  # fmt: skip
for alarm in ALARMS.values():
    alarm["lag"] = "1 min"  # what an import takes for granted
EVERY = scenario(strategies=STRATEGIES, alarms=ALARMS, rollout__alarms=list(ALARMS), horizon="3 h")


def lint(text: str) -> list[str]:
    """What cfn-lint finds wrong with a template (a SAM template is translated by it first)."""
    import cfnlint.api

    return [f"{one.rule.id} {one.message}" for one in cfnlint.api.lint(text, regions=["us-east-1"])]


def translated(text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The CloudFormation template that the SAM translator makes of a SAM template. Raises for an invalid one."""
    from cfnlint.decode.cfn_yaml import loads
    from samtranslator.translator.transform import transform

    class Policies:
        def load(self) -> dict[str, str]:
            return {"AWSLambdaBasicExecutionRole": "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    plain = json.loads(json.dumps(loads(text)))
    return transform(plain, {"CodeBucket": "b", "CodeKey": "k"}, Policies())


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sam_passes_the_linter_and_the_translator_and_comes_back_as_the_same_rollout(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = export_sam(EVERY, strategy).text
    assert lint(text) == []
    resources = translated(text, monkeypatch)["Resources"]
    kinds = [resource["Type"] for resource in resources.values()]
    assert "AWS::CodeDeploy::DeploymentGroup" in kinds
    assert kinds.count("AWS::CloudWatch::Alarm") == len(ALARMS)
    alias = next(one for one in resources.values() if one["Type"] == "AWS::Lambda::Alias")
    assert alias["Properties"]["Name"] == "prod"
    assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]
    (tmp_path / "template.yaml").write_text(text)
    written, remarks = from_sam(tmp_path / "template.yaml")
    assert remarks == ["who calls the alias prod is not in the template: http is a GUESS"]
    (tmp_path / "scenario.yaml").write_text(written)
    back = Scenario.load(tmp_path / "scenario.yaml")
    assert back.rollout is not None
    assert back.rollout.alias == "prod"
    assert [one.plan for one in back.strategies.values()] == [EVERY.strategies[strategy].plan]
    assert {name: back.alarms[name] for name in back.rollout.alarms} == EVERY.alarms
    assert back.function.timeout == EVERY.function.timeout


def test_the_alarms_dimensions_are_the_alias_and_the_new_version_after_translation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resources = translated(export_sam(EVERY, "AllAtOnce").text, monkeypatch)["Resources"]
    found = {one["Name"]: one["Value"] for one in resources["NewErrorsAlarm"]["Properties"]["Dimensions"]}
    (version,) = [name for name, one in resources.items() if one["Type"] == "AWS::Lambda::Version"]
    assert found == {
        "FunctionName": {"Ref": "F"},
        "Resource": {"Fn::Sub": "${F}:prod"},
        "ExecutedVersion": {"Fn::GetAtt": [version, "Version"]},
    }
    assert "ExecutedVersion" not in str(resources["SlowAlarm"])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_cloudformation_passes_the_linter_and_describes_the_same_steps(strategy: str) -> None:
    text = export_cloudformation(EVERY, strategy).text
    assert lint(text) == []
    config = json.loads(codedeploy.export(EVERY, strategy).text)
    back = codedeploy.strategy_of(config["trafficRoutingConfig"])
    assert scenario(strategies={"x": back}).strategies["x"].plan.steps == EVERY.strategies[strategy].plan.steps


def test_a_predefined_configuration_is_called_by_its_name() -> None:
    template = yaml.safe_load(export_sam(EVERY, "Linear10PercentEvery2Minutes").text.replace("!", ""))
    assert template["Resources"]["F"]["Properties"]["DeploymentPreference"]["Type"] == "Linear10PercentEvery2Minutes"
    assert "DeploymentConfig" not in template["Resources"]
    assert any("LambdaAllAtOnce" in one for one in codedeploy.export(EVERY, "AllAtOnce").remarks)


@pytest.mark.parametrize(
    ("strategy", "why"),
    [
        ({"type": "steps", "steps": [{"weight": "1%", "hold": "2 min"}, {"weight": "10%", "hold": "2 min"}]}, "0.01, 0.1, 1"),
        ({"type": "canary", "percent": 0.5, "interval": "5 min"}, "0.5%"),
        ({"type": "canary", "percent": 5, "interval": "90 s"}, "90 s"),
        ({"type": "canary", "percent": 5, "interval": "49 h"}, "176400 s"),
    ],
)  # fmt: skip
def test_what_codedeploy_cannot_do_is_an_error_that_says_why(strategy: dict[str, Any], why: str) -> None:
    one = scenario(strategies={"s": strategy}, horizon="100 h")
    for export in (export_sam, export_cloudformation, codedeploy.export):
        with pytest.raises(ScenarioError, match="CodeDeploy shifts once") as caught:
            export(one)
        assert why in str(caught.value)


def test_what_a_target_cannot_express_is_said() -> None:
    burn = {"metric": "burn_rate", "slo": "availability", "threshold": "> 14.4"}
    old = {"metric": "errors", "of": "old_version", "threshold": "> 1"}
    one = scenario(
        alarms={"burn": burn, "old": old},
        rollout__alarms=["burn", "old"],
        strategies={"baked": {"type": "canary", "percent": 10, "interval": "5 min", "bake": "10 min", "hooks": HOOKS}},
    )
    for export in (export_sam, export_cloudformation):
        said = " ".join(export(one).remarks)
        assert "no bake" in said
        assert "left out: the alarm burn" in said
        assert "left out: the alarm old" in said
    assert "hooks are left out" in kubernetes.export_argo(one).text
    assert "left out: the alarm burn" in kubernetes.export_argo(one).text
    flagger = kubernetes.export_flagger(one).text
    assert "no bake" in flagger
    assert "webhook" in flagger


def test_names_that_lambda_refuses_are_left_to_cloudformation(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = scenario(function__name='a/b "c" ünï', strategies={"hooked": STRATEGIES["hooked"]})
    snippet = export_sam(odd)
    assert lint(snippet.text) == []
    assert "is no name for a function" in " ".join(snippet.remarks)
    functions = [
        one for one in translated(snippet.text, monkeypatch)["Resources"].values() if "Function" in one["Type"]
    ]
    names = [one["Properties"].get("FunctionName") for one in functions if one["Type"] == "AWS::Lambda::Function"]
    assert sorted(names, key=str) == ["CodeDeployHook_a-b-c-n_PostTraffic", "CodeDeployHook_a-b-c-n_PreTraffic", None]


def test_periods_that_lambdas_metrics_do_not_have_are_said() -> None:
    assert "once a minute" in " ".join(export_sam(EVERY, "AllAtOnce").remarks)


def test_a_hook_that_lambda_cannot_run_that_long_is_refused() -> None:
    long = {"type": "blue_green", "hooks": {"before_allow_traffic": {"invocations": 5, "over": "20 min"}}}
    with pytest.raises(ScenarioError, match="at most 870 s, got 1200 s"):
        export_sam(scenario(strategies={"x": long}))


@pytest.mark.parametrize(("failing", "status"), [(0, "Succeeded"), (1, "Succeeded"), (2, "Failed")])
def test_the_hooks_code_counts_failures_and_tells_codedeploy(
    failing: int, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    import types

    calls: list[Any] = []

    class ThrottledError(Exception):
        pass

    class Client:
        exceptions = types.SimpleNamespace(TooManyRequestsException=ThrottledError)

        def invoke(self, **given: str) -> dict[str, str]:
            calls.append(given["FunctionName"])
            if len(calls) == 1 and failing == 2:
                raise ThrottledError
            return {"FunctionError": "Unhandled"} if len(calls) <= failing else {}

        def put_lifecycle_event_hook_execution_status(self, **given: str) -> None:
            calls.append(given["status"])

    monkeypatch.setitem(sys.modules, "boto3", types.SimpleNamespace(client=lambda _: Client()))
    for name, value in {"TESTS": "4", "SECONDS": "0", "MAX_FAILURES": "1", "NEW_VERSION": "arn:2"}.items():
        monkeypatch.setenv(name, value)
    code: dict[str, Any] = {}
    exec(HOOK_CODE, code)
    code["handler"]({"DeploymentId": "d", "LifecycleEventHookExecutionId": "h"}, None)
    assert calls == ["arn:2"] * 4 + [status]


def test_argo_holds_each_step_and_judges_as_the_alarm_does() -> None:
    one = scenario(strategies={"s": {"type": "linear", "percent": 40, "interval": "2 min", "bake": "5 min"}})
    rollout, template = yaml.safe_load_all(kubernetes.export_argo(one).text)
    steps = rollout["spec"]["strategy"]["canary"]["steps"]
    pause = {"pause": {"duration": "120s"}}
    assert steps == [
        {"setWeight": 40}, pause, {"setWeight": 80}, pause, {"setWeight": 100}, {"pause": {"duration": "300s"}},
    ]  # fmt: skip
    (metric,) = template["spec"]["metrics"]
    assert metric["failureCondition"].endswith("Values[0] > 2")
    assert metric["failureLimit"] == 1  # the second failed measurement stops the rollout: 2 of 2
    arguments = {one["name"] for one in rollout["spec"]["strategy"]["canary"]["analysis"]["args"]}
    assert arguments == {one["name"] for one in template["spec"]["args"]}


def test_flagger_takes_equal_holds_and_shares() -> None:
    rate = {"metric": "error_rate", "of": "alias", "threshold": "> 1.5%", "datapoints": "2 of 3"}
    one = scenario(alarms={"rate": rate}, rollout__alarms=["rate"])
    analysis = yaml.safe_load(kubernetes.export_flagger(one, "linear").text)["spec"]["analysis"]
    assert analysis["stepWeights"] == [25, 50, 75]
    assert (analysis["interval"], analysis["threshold"]) == ("120s", 2)
    assert analysis["metrics"][0]["thresholdRange"] == {"min": 98.5}
    uneven = {"type": "steps", "steps": [{"weight": "1%", "hold": "1 min"}, {"weight": "10%", "hold": "2 min"}]}
    with pytest.raises(ScenarioError, match="same interval"):
        kubernetes.export_flagger(scenario(strategies={"s": uneven}))


def test_openslo_comes_back_as_the_same_objectives(tmp_path: Path) -> None:
    slos = [
        {"name": "availability", "sli": "errors", "objective": "99.95%", "window": "28 d"},
        {"name": "latency", "sli": {"latency": "450 ms"}, "objective": "99%", "window": "12 h", "alias": "prod"},
    ]
    one = scenario(slos=slos, alarms=None, rollout__alarms=[])
    (tmp_path / "slo.yaml").write_text(openslo.export(one).text)
    entries, remarks = openslo.read(tmp_path / "slo.yaml")
    back = scenario(slos=entries, alarms=None, rollout__alarms=[])
    for mine, theirs in zip(one.slos, back.slos, strict=True):
        assert (mine.name, mine.objective, mine.window, mine.latency) == (
            theirs.name, theirs.objective, theirs.window, theirs.latency,
        )  # fmt: skip
        assert theirs.alias == "prod"
    assert any("milliseconds" in remark for remark in remarks)


SLO = """
apiVersion: openslo/v1
kind: SLI
metadata: {name: good-answers}
spec: {ratioMetric: {counter: true, good: {metricSource: {type: P, spec: q}}, total: {metricSource: {type: P, spec: q}}}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: shop}
spec:
  service: shop
  indicatorRef: good-answers
  timeWindow: [{duration: 1M, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: Gold, targetPercent: 99.9}, {displayName: Silver, target: 0.98}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: slices}
spec:
  service: shop
  indicatorRef: good-answers
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Timeslices
  objectives: [{target: 0.99, timeSliceTarget: 0.9, timeSliceWindow: 1m}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: calendar}
spec:
  service: shop
  indicatorRef: good-answers
  timeWindow: [{duration: 1M, calendar: {startTime: 2020-01-21 12:30:00, timeZone: UTC}}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
---
apiVersion: openslo/v1
kind: Service
metadata: {name: shop}
"""


def test_openslo_reads_references_and_names_what_it_does_not_support(tmp_path: Path) -> None:
    path = tmp_path / "slo.yaml"
    path.write_text(SLO)
    entries, remarks = openslo.read(path)
    assert entries == [
        {"name": "gold", "sli": "errors", "objective": "99.9%", "window": "30 d"},
        {"name": "silver", "sli": "errors", "objective": "98%", "window": "30 d"},
        {
            "name": "slices", "sli": "errors", "objective": "99%", "window": "28 d",
            "slices": {"every": "1 min", "target": "90%"},
        },
        {"name": "calendar", "sli": "errors", "objective": "99%", "window": "30 d"},
    ]  # fmt: skip
    said = "\n".join(remarks)
    for part in (
        "slices: OpenSLO does not say what a time slice without requests is: it was taken as good",
        "calendar: the calendar window 1M was taken as a rolling one of 30 days",
        "a Service is not read",
        "30 days",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [", "not valid YAML"),
        ("a: 1", "openslo/v1"),
        ("", "no SLO that can be read"),
        (SLO.replace("slo/v1", "slo/v2"), "v2"),
    ],
)
def test_openslo_without_a_readable_slo_is_one_error(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "slo.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=what):
        openslo.read(path)


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_the_command_prints_the_text_and_says_on_standard_error_what_comments_cannot(tmp_path: Path) -> None:
    shown = call("export", "codedeploy", "scenarios/checkout.yaml", "--strategy", "canary 10%")
    assert json.loads(shown.stdout)["trafficRoutingConfig"]["type"] == "TimeBasedCanary"
    assert "note: alarms belong to the deployment group" in shown.stderr
    out = tmp_path / "template.yaml"
    shown = call("export", "sam", "scenarios/checkout.yaml", "--strategy", "SAM default", "--out", str(out))
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "placeholders" in shown.stderr
    back = call("import", "sam", str(out))
    assert "Canary10Percent5Minutes" in back.stdout
    assert isinstance(call("export", "sam", "scenarios/checkout.yaml").exception, ScenarioError)


def test_no_rollout_is_nothing_to_export() -> None:
    with pytest.raises(ScenarioError, match="'no rollout' moves nothing; allowed instant, canary, linear"):
        export_sam(scenario(), "no rollout")


def test_an_alarm_that_no_target_has_is_left_out_of_each_in_words() -> None:
    own = {"metric": "orders-failed", "threshold": "> 3"}
    burn = {"metric": "burn_rate", "slo": "availability", "threshold": "> 14.4"}
    given = scenario(
        alarms={"own": own, "burn": burn}, metrics={"orders-failed": {"counts": "bad_requests"}},
        rollout__alarms=["own", "burn"], strategies={"s": {"type": "AllAtOnce"}},
    )  # fmt: skip
    for export in (export_sam, export_cloudformation, kubernetes.export_argo, kubernetes.export_flagger):
        remarks = " ".join(export(given).remarks)
        assert "left out: the alarm own: " in remarks
        assert "left out: the alarm burn: " in remarks


def test_alarms_and_slos_about_records_come_out_where_a_metric_tells_them() -> None:
    stream = {"source": "stream", "alias": "prod", "arrivals": {"poisson": "5/s"}}
    queue = {"source": "queue", "alias": "prod", "arrivals": {"poisson": "5/s"}}
    alarms = {
        "behind": {"metric": "iterator_age", "threshold": "> 30 s"},
        "stale": {"metric": "oldest_message_age", "threshold": "> 1 min"},
    }
    slos = [
        {"name": "fresh", "sli": {"age": "30 s"}, "objective": "99%"},
        {"name": "kept", "sli": "lost", "objective": "99%"},
    ]
    slos.append({"name": "availability", "objective": "99%"})
    given = scenario(traffic=[stream, queue], alarms=alarms, rollout__alarms=list(alarms), slos=slos)
    snippet = export_cloudformation(given, "canary")
    properties = yaml.load(snippet.text, Loader=yaml.BaseLoader)["Resources"]["BehindAlarm"]["Properties"]
    assert (properties["MetricName"], properties["Threshold"], properties["Statistic"]) == (
        "IteratorAge",
        "30000",
        "Maximum",
    )
    stale = yaml.load(snippet.text, Loader=yaml.BaseLoader)["Resources"]["StaleAlarm"]["Properties"]
    assert (stale["MetricName"], stale["Threshold"]) == ("ApproximateAgeOfOldestMessage", "60")
    assert stale["Dimensions"] == [{"Name": "QueueName", "Value": "QueueSource.QueueName"}]
    two = scenario(traffic=[stream, queue, queue | {"name": "b"}], alarms=alarms, rollout__alarms=list(alarms))
    assert any(
        "AWS/SQS ApproximateAgeOfOldestMessage, whose dimension QueueName is not told" in r
        for r in export_cloudformation(two, "canary").remarks
    )
    objectives = openslo.export(given)
    assert [document["metadata"]["name"] for document in yaml.safe_load_all(objectives.text)] == ["availability"]
    assert sum(remark.startswith("left out") for remark in objectives.remarks) == 2
