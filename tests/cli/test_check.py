"""`rollout-sim check` on the command line: statuses, files, templates with several functions, the workflow of the page."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import pytest
import yaml
from checks import PAGE, base, example
from click.testing import CliRunner
from command import call

from rollout_sim.cli.check import OUTPUTS
from rollout_sim.cli.main import app
from rollout_sim.study.check.rules import RULES
from rollout_sim.views.findings import FORMATS

ROOT = Path(__file__).parents[2]
HEAD = """\
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Runtime: python3.13, Handler: index.handler, Timeout: 10, AutoPublishAlias: live}
Resources:
"""
FUNCTION = """\
  NAME:
    Type: AWS::Serverless::Function
    Properties:
      DeploymentPreference: {Type: TYPE, Alarms: [!Ref NAMEErrors]}
      Events: {Api: {Type: HttpApi}}
  NAMEErrors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions:
        - {Name: FunctionName, Value: !Ref NAME}
        - {Name: Resource, Value: !Sub '${NAME}:live'}
        - {Name: ExecutedVersion, Value: !GetAtt NAME.Version.Version}
      Statistic: Sum
      Period: 60
      EvaluationPeriods: N
      Threshold: LIMIT
      ComparisonOperator: GreaterThanThreshold
      TreatMissingData: notBreaching
"""


def template(path: Path, *functions: tuple[str, str, int, int]) -> Path:
    """A template with functions, each with its type of deployment, and its alarm's periods and threshold."""
    parts = [HEAD]
    for name, kind, periods, limit in functions:
        words = {"NAME": name, "TYPE": kind, "N": str(periods), "LIMIT": str(limit)}
        parts.append(
            re.sub(r"\b(NAME(?=\b|Errors)|TYPE\b|N\b|LIMIT\b)", lambda match, words=words: words[match[1]], FUNCTION)
        )
    path.write_text("".join(parts), encoding="utf-8")
    return path


def run(*arguments):
    return CliRunner(catch_exceptions=False).invoke(app, ["check", *map(str, arguments)])


def test_statuses(tmp_path) -> None:
    good, bad = tmp_path / "good.yaml", example("RS201", tmp_path)
    good.write_text(base())
    warned = example("RS102", tmp_path)
    done = run(good)
    assert (done.exit_code, done.output) == (0, "1 rollout checked: nothing found\n")
    assert run(bad).exit_code == 1
    assert run(bad, "--fail-on", "never").exit_code == 0
    assert (run(warned).exit_code, run(warned, "--fail-on", "warning").exit_code) == (0, 1)


def test_wrong_input_has_the_status_2_and_all_problems(tmp_path) -> None:
    (tmp_path / "a.yaml").write_text("name: x\n")
    (tmp_path / "b.yaml").write_text("Resources: {}\n")
    done = call("check", "a.yaml", "b.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "a.yaml:1: " in done.stderr
    assert "b.yaml: Resources: " in done.stderr
    assert "Traceback" not in done.stderr
    assert call("check", "missing.yaml", cwd=tmp_path).returncode == 2


def test_json_is_a_format_too(tmp_path) -> None:
    path = example("RS201", tmp_path)
    assert run(path, "--json").output == run(path, "--format", "json").output
    done = run(path, "--json", "--format", "sarif")
    assert (done.exit_code, "--json and --format sarif exclude each other" in done.output) == (2, True)


@pytest.mark.slow
def test_the_program_itself_ends_with_the_status(tmp_path) -> None:
    path = example("RS202", tmp_path)
    done = call("check", path.name, "--format", "github", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(f"::error file={path.name},line=")


@pytest.mark.slow
def test_a_template_is_checked_function_by_function(tmp_path) -> None:
    path = template(
        tmp_path / "template.yaml",
        ("Orders", "Canary10Percent5Minutes", 6, 0),
        ("Payments", "AllAtOnce", 2, 2),
        ("Mails", "Linear10PercentEvery2Minutes", 2, 2),
    )
    done = run(path, "--format", "json", "--jobs", "1")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    lines = path.read_text().splitlines()
    told = {one["subject"]: {found["code"]: found for found in one["findings"]} for one in document["checked"]}
    assert list(told) == ["Orders", "Payments", "Mails"]
    assert lines[told["Orders"]["RS101"]["line"] - 1] == "  OrdersErrors:"
    assert lines[told["Payments"]["RS202"]["line"] - 1] == "  Payments:"
    assert told["Mails"] == {}
    for found in (told["Orders"]["RS101"], told["Payments"]["RS202"]):
        assert found["remedy"]["change"].startswith("DeploymentPreference.Type: ")
    only = run(path, "--function", "Mails")
    assert (only.exit_code, "nothing found" in only.output) == (0, True)
    assert "--function: got 'Mail'; allowed Orders" in call("check", path, "--function", "Mail", cwd=tmp_path).stderr


@pytest.mark.slow
def test_an_alarm_on_a_metric_that_is_misspelt_cannot_fire(tmp_path) -> None:
    path = template(tmp_path / "t.yaml", ("Orders", "Canary10Percent10Minutes", 2, 2))
    path.write_text(path.read_text().replace("MetricName: Errors", "MetricName: Error"))
    (one,) = json.loads(run(path, "--format", "json").stdout)["checked"]
    assert {found["code"] for found in one["findings"]} == {"RS101", "RS201"}


@pytest.mark.slow
def test_an_alarm_whose_dimensions_never_have_data_cannot_fire(tmp_path) -> None:
    path = template(tmp_path / "t.yaml", ("Orders", "Canary10Percent10Minutes", 2, 2))
    text = path.read_text().replace("        - {Name: Resource, Value: !Sub '${Orders}:live'}\n", "")
    path.write_text(text)
    done = run(path, "--format", "json")
    assert done.exit_code == 1
    (one,) = json.loads(done.stdout)["checked"]
    told = {found["code"]: found for found in one["findings"]}
    assert set(told) == {"RS101", "RS201"}
    assert (
        "OrdersErrors cannot fire: it can never have data: Lambda publishes no metric with" in told["RS101"]["message"]
    )
    assert text.splitlines()[told["RS101"]["line"] - 1] == "  OrdersErrors:"
    assert told["RS101"]["figures"]["caught_without"]["mean"] == 0
    right = "FunctionName ${Orders}, Resource ${Orders}:live, ExecutedVersion the new version's number"
    remedy = told["RS101"]["remedy"]
    assert remedy["change"].startswith(f"OrdersErrors: the dimensions {right}")
    assert remedy["figures"]["caught"]["low"] > 0.9
    assert "OrdersErrors: listed, but without data for ever" in told["RS201"]["message"]


@pytest.mark.slow
def test_the_traffic_of_all_functions_can_be_given(tmp_path) -> None:
    """More than 99 errors in a minute: a canary of 10% has not as many requests of the guessed 10/s, and of 100/s it has."""
    path = template(tmp_path / "t.yaml", ("Orders", "Canary10Percent10Minutes", 2, 99))
    (guessed,) = json.loads(run(path, "--format", "json").stdout)["checked"]
    (given,) = json.loads(run(path, "--format", "json", "--rate", "100/s").stdout)["checked"]
    assert "RS101" in [found["code"] for found in guessed["findings"]]
    assert "RS101" not in [found["code"] for found in given["findings"]]
    assert any("how many events come" in note for note in guessed["notes"])
    assert not any("how many events come" in note for note in given["notes"])


@pytest.mark.parametrize(
    ("rate", "error"),
    [("80", "a rate needs a unit"), ("0/s", "must be above 0, got '0/s'"), ("5%", "Invalid value for '--rate'")],
)
def test_a_rate_that_is_none_is_refused(rate, error, tmp_path) -> None:
    done = run(template(tmp_path / "t.yaml", ("Orders", "AllAtOnce", 2, 2)), "--rate", rate)
    assert (done.exit_code, error in done.output) == (2, True)


def test_a_rate_is_for_templates(tmp_path) -> None:
    (tmp_path / "s.yaml").write_text(base())
    done = run(tmp_path / "s.yaml", "--rate", "5/s")
    assert (done.exit_code, "--rate is for templates" in done.output) == (2, True)


def planned(kind: str, label: str, /, **values):
    return {"address": f"{kind}.{label}", "mode": "managed", "type": kind, "name": label, "values": values}


@pytest.mark.slow
def test_a_plan_of_terraform_is_told_in_its_own_words(tmp_path) -> None:
    """An alarm without `Resource` in its dimensions, and a canary over 5 min: what mends it stands in Terraform's words."""
    group = {"alarm_configuration": [{"alarms": ["e"], "enabled": True}], "app_name": "a", "deployment_group_name": "g"}
    resources = [
        planned("aws_lambda_function", "orders", function_name="orders", timeout=10),
        planned("aws_lambda_alias", "live", name="live", function_name="orders"),
        planned(
            "aws_codedeploy_deployment_group", "g", **group,
            deployment_config_name="CodeDeployDefault.LambdaCanary10Percent5Minutes",
        ),
        planned(
            "aws_cloudwatch_metric_alarm", "errors", alarm_name="e", namespace="AWS/Lambda", metric_name="Errors",
            statistic="Sum", period=60, evaluation_periods=2, threshold=1, comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching", dimensions={"FunctionName": "orders", "ExecutedVersion": "3"},
        ),
    ]  # fmt: skip
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"planned_values": {"root_module": {"resources": resources}}}))
    (one,) = json.loads(run(path, "--format", "json").stdout)["checked"]
    change = next(found["remedy"]["change"] for found in one["findings"] if found["code"] == "RS101")
    address = "aws_cloudwatch_metric_alarm.errors"
    assert change.startswith(
        f'{address}: dimensions = {{ FunctionName = "orders", Resource = "orders:live", ExecutedVersion = '
    )
    assert f"{address}: threshold = " in change or 'deployment_config_name = "CodeDeployDefault.' in change
    assert any("`rollout-sim import terraform` writes them down" in note for note in one["notes"])


MAPPING = """\
  Queue: {Type: AWS::SQS::Queue}
  OrdersFromQueue:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {FunctionName: !Ref Orders, EventSourceArn: !GetAtt Queue.Arn}
"""


@pytest.mark.slow
def test_a_queue_that_calls_the_function_and_not_its_alias(tmp_path) -> None:
    path = template(tmp_path / "t.yaml", ("Orders", "Linear10PercentEvery2Minutes", 2, 2))
    path.write_text(path.read_text() + MAPPING)
    (one,) = json.loads(run(path, "--format", "json").stdout)["checked"]
    (found,) = [found for found in one["findings"] if found["code"] == "RS302"]
    assert path.read_text().splitlines()[found["line"] - 1] == "  OrdersFromQueue:"
    assert found["figures"]["bypassing"]["mean"] == pytest.approx(0.5, abs=0.01)
    assert found["remedy"]["change"] == "OrdersFromQueue: the alias live behind the function's name or ARN"
    path.write_text(path.read_text().replace("FunctionName: !Ref Orders,", "FunctionName: !Sub '${Orders}:live',"))
    (one,) = json.loads(run(path, "--format", "json").stdout)["checked"]
    assert "RS302" not in [found["code"] for found in one["findings"]]


def test_nothing_is_said_of_what_an_alarm_does_that_could_not_be_read(tmp_path) -> None:
    path = template(tmp_path / "t.yaml", ("Orders", "Canary10Percent5Minutes", 2, 2), ("Mails", "AllAtOnce", 2, 2))
    path.write_text(path.read_text().replace("MetricName: Errors", "MetricName: Bananas"))
    document = json.loads(run(path, "--format", "json").stdout)
    told = {one["subject"]: [found["code"] for found in one["findings"]] for one in document["checked"]}
    assert told == {"Orders": [], "Mails": ["RS202"]}
    assert any("could not be read" in note for note in document["checked"][0]["notes"])


@pytest.mark.slow
def test_what_a_template_cannot_tell_is_said_once(tmp_path) -> None:
    path = template(tmp_path / "t.yaml", *((name, "Linear10PercentEvery2Minutes", 2, 2) for name in ("One", "Two")))
    output = " ".join(run(path).output.split())
    assert output.count("guessed, for no template tells") == 1
    assert "note: One, Two: guessed" in output


@pytest.mark.long
def test_nine_functions_are_checked_in_a_third_of_a_minute_of_two_cores(tmp_path) -> None:
    """A third of the twenty-six that take less than a minute."""
    kinds = ("Canary10Percent5Minutes", "Linear10PercentEvery1Minute", "AllAtOnce", "Canary10Percent30Minutes")
    functions = [(f"F{k:02}", kinds[k % 4], 1 + k % 3, (0, 1, 2, 5, 10)[k % 5]) for k in range(9)]
    path = template(tmp_path / "template.yaml", *functions)
    before = time.process_time()
    done = run(path, "--format", "json", "--fail-on", "never")
    assert len(json.loads(done.stdout)["checked"]) == 9  # on standard error a slow machine tells how far it is
    assert time.process_time() - before < 2 * 20


def test_the_formats_of_the_command_are_those_of_the_views() -> None:
    assert tuple(FORMATS) == OUTPUTS


@pytest.mark.slow
def test_the_workflow_and_the_hook_of_the_page_work_from_the_repository(tmp_path) -> None:
    blocks = [
        yaml.safe_load(block)
        for block in re.findall(r"^```yml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    ]
    workflow = next(block for block in blocks if "jobs" in block)
    template(tmp_path / "template.yaml", ("Orders", "AllAtOnce", 2, 2))
    steps = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    commands = [shlex.split(step)[1:] for step in steps if step.startswith("rollout-sim ")]
    assert [call(*command, cwd=tmp_path).returncode for command in commands] == [0, 1]
    assert json.loads((tmp_path / "rollouts.sarif").read_text())["version"] == "2.1.0"
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    used = next(block for block in blocks if "repos" in block)["repos"][0]["hooks"][0]
    assert used["id"] == hook["id"]
    assert shlex.split(hook["entry"])[1] in app.commands
    assert re.search(hook["files"], "infra/template.yaml")


def test_the_page_of_the_site_has_every_code(tmp_path) -> None:
    source = (ROOT / "docs" / "pages.py").read_text(encoding="utf-8")
    assert "RULES.values()" in source
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\bRS\d{3}\b", text)) <= set(RULES)
