"""Terraform: a plan, whose versions only the deployment knows, and a state come to the same rollout."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from rollout_sim.errors import ScenarioError
from rollout_sim.formats.templates.sam import every, of_stack
from rollout_sim.formats.templates.terraform import read_terraform
from rollout_sim.scenario.scenario import Scenario


def resource(kind: str, label: str, /, **values: Any) -> dict[str, Any]:
    address = f"{kind}.{label}"
    return {"address": address, "mode": "managed", "type": kind, "name": label, "values": values}


FUNCTION = resource(
    "aws_lambda_function", "orders", function_name="orders-prod", timeout=20, reserved_concurrent_executions=50,
    snap_start=[], version="7",
)  # fmt: skip
ALIAS = resource("aws_lambda_alias", "live", name="live", function_name="orders-prod", function_version="7")
CONFIG = resource(
    "aws_codedeploy_deployment_config", "slow", deployment_config_name="slow", compute_platform="Lambda",
    traffic_routing_config=[
        {"type": "TimeBasedLinear", "time_based_canary": [], "time_based_linear": [{"interval": 3, "percentage": 20}]}
    ],
)  # fmt: skip
GROUP = resource(
    "aws_codedeploy_deployment_group", "orders", app_name="orders", deployment_group_name="orders",
    deployment_config_name="slow",
    alarm_configuration=[{"alarms": ["orders-errors", "orders-rate"], "enabled": True, "ignore_poll_alarm_failure": False}],
    auto_rollback_configuration=[{"enabled": True, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]}],
)  # fmt: skip
ERRORS = resource(
    "aws_cloudwatch_metric_alarm", "errors", alarm_name="orders-errors", namespace="AWS/Lambda", metric_name="Errors",
    statistic="Sum", period=60, evaluation_periods=3, datapoints_to_alarm=2, threshold=4,
    comparison_operator="GreaterThanThreshold", treat_missing_data="notBreaching", metric_query=[],
    dimensions={"FunctionName": "orders-prod", "Resource": "orders-prod:live", "ExecutedVersion": "7"},
)  # fmt: skip


def stat(identity: str, metric: str) -> dict[str, Any]:
    dimensions = {"FunctionName": "orders-prod", "Resource": "orders-prod:live"}
    inner = {
        "dimensions": dimensions,
        "metric_name": metric,
        "namespace": "AWS/Lambda",
        "period": 300,
        "stat": "Sum",
        "unit": None,
    }
    return {"id": identity, "expression": "", "metric": [inner], "return_data": None, "period": None}


RATE = resource(
    "aws_cloudwatch_metric_alarm", "rate", alarm_name="orders-rate", evaluation_periods=1, threshold=5, dimensions=None,
    comparison_operator="GreaterThanThreshold", treat_missing_data="missing",
    metric_query=[
        {"id": "rate", "expression": "100 * (e / i)", "metric": [], "return_data": True}, stat("e", "Errors"), stat("i", "Invocations")
    ],
)  # fmt: skip
MAPPING = resource(
    "aws_lambda_event_source_mapping", "jobs", function_name="arn:aws:lambda:eu-west-1:1:function:orders-prod",
    event_source_arn="arn:aws:sqs:eu-west-1:1:jobs", enabled=True,
)  # fmt: skip
RESOURCES = [FUNCTION, ALIAS, CONFIG, GROUP, ERRORS, RATE, MAPPING]


def saved(tmp_path: Path, data: Any) -> Path:
    path = tmp_path / "show.json"
    path.write_text(json.dumps(data))
    return path


def state(resources: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return {"format_version": "1.0", "values": {"root_module": {"resources": resources or RESOURCES, **more}}}


def plan() -> dict[str, Any]:
    """The same before anything exists: version and function of the alarm are known after apply."""
    resources = copy.deepcopy(RESOURCES)
    function, alias, _, _, errors, _, _ = (one["values"] for one in resources)
    del function["version"], alias["function_version"], alias["function_name"]
    errors["dimensions"] = {"FunctionName": "orders-prod", "Resource": "orders-prod:live"}
    unknown = {
        "aws_lambda_function.orders": {"version": True},
        "aws_lambda_alias.live": {"function_version": True, "function_name": True},
        "aws_cloudwatch_metric_alarm.errors": {"dimensions": {"ExecutedVersion": True}},
    }
    configured = {
        "aws_lambda_alias.live": {
            "function_name": {"references": ["aws_lambda_function.orders.arn", "aws_lambda_function.orders"]},
            "function_version": {"references": ["aws_lambda_function.orders.version", "aws_lambda_function.orders"]},
        },
        "aws_cloudwatch_metric_alarm.errors": {
            "dimensions": {
                "references": [
                    "aws_lambda_function.orders.function_name", "aws_lambda_function.orders", "aws_lambda_alias.live.name",
                    "aws_lambda_alias.live", "aws_lambda_function.orders.version",
                ]
            }
        },
    }  # fmt: skip
    return {
        "format_version": "1.2",
        "planned_values": {"root_module": {"resources": resources}},
        "resource_changes": [{"address": key, "change": {"after_unknown": value}} for key, value in unknown.items()],
        "configuration": {
            "root_module": {"resources": [{"address": key, "expressions": value} for key, value in configured.items()]}
        },
    }


def imported(tmp_path: Path, data: Any) -> tuple[Scenario, list[str]]:
    written, remarks = of_stack(read_terraform(saved(tmp_path, data)))
    (tmp_path / "scenario.yaml").write_text(written)
    return Scenario.load(tmp_path / "scenario.yaml"), remarks


@pytest.mark.parametrize("data", [state(), plan()], ids=["state", "plan"])
def test_a_plan_and_a_state_are_the_same_rollout(data: dict[str, Any], tmp_path: Path) -> None:
    scenario, remarks = imported(tmp_path, data)
    assert (scenario.function.name, scenario.function.timeout, scenario.function.reserved_concurrency) == (
        "orders-prod",
        20,
        50,
    )
    (plan,) = [one.plan for one in scenario.strategies.values()]
    assert [(round(step.weight, 9), step.hold) for step in plan.steps] == [
        (0.2, 180),
        (0.4, 180),
        (0.6, 180),
        (0.8, 180),
        (1, 0),
    ]
    assert scenario.rollout is not None
    assert scenario.rollout.alias == "live"
    errors, rate = (scenario.alarms[name] for name in scenario.rollout.alarms)
    assert (errors.metric, errors.of, errors.threshold, errors.datapoints, errors.missing) == (
        "errors", "new_version", "> 4", "2 of 3", "not_breaching",
    )  # fmt: skip
    assert (rate.metric, rate.of, rate.threshold, rate.period) == ("error_rate", "alias", "> 5%", 300)
    assert [one for one in remarks if "left out" in one] == []
    assert any("jobs: this event source mapping calls the function and not the alias live" in one for one in remarks)


def test_what_is_left_out_names_the_address(tmp_path: Path) -> None:
    queue = copy.deepcopy(ERRORS)
    queue["values"] |= {"namespace": "AWS/SQS", "metric_name": "Age", "dimensions": {"QueueName": "jobs"}}
    _, remarks = imported(tmp_path, state([FUNCTION, ALIAS, CONFIG, GROUP, queue, RATE]))
    assert "left out: errors: AWS/SQS Age is not simulated (show.json: aws_cloudwatch_metric_alarm.errors)" in remarks


def test_a_group_of_ecs_is_none_of_a_functions(tmp_path: Path) -> None:
    ecs = resource(
        "aws_codedeploy_deployment_group",
        "service",
        app_name="web",
        deployment_group_name="web",
        deployment_config_name="CodeDeployDefault.ECSAllAtOnce",
        ecs_service=[{"cluster_name": "c"}],
    )
    app = resource("aws_codedeploy_app", "orders", name="orders", compute_platform="Lambda")
    named = copy.deepcopy(GROUP)
    named["values"]["deployment_config_name"] = "elsewhere"
    stack = read_terraform(saved(tmp_path, state([ecs, *RESOURCES])))
    assert list(stack.rollouts) == ["orders"]
    stack = read_terraform(saved(tmp_path, state([ecs, app, named, FUNCTION, ALIAS, ERRORS])))
    assert list(stack.rollouts) == ["orders"]


def test_modules_and_several_functions(tmp_path: Path) -> None:
    def renamed(value: Any, module: str) -> Any:
        return json.loads(
            json.dumps(value).replace("orders", module).replace('"address": "', f'"address": "module.{module}.')
        )

    modules = [{"address": f"module.{name}", "resources": renamed(RESOURCES, name)} for name in ("shop", "bills")]
    results = every(read_terraform(saved(tmp_path, state([resource("null_resource", "x")], child_modules=modules))))
    assert [(one.identity, one.file) for one in results] == [("shop", "shop.yaml"), ("bills", "bills.yaml")]
    for result in results:
        assert result.deployed is not None
        assert len(result.deployed.acting) == 2
        assert result.deployed.name == f"{result.identity}-prod"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"values": 5}', '{"values": {}}', "[" * 100_000, '{"values": {"root_module": {}}}']
)
def test_what_is_no_terraform_is_one_message(text: str, tmp_path: Path) -> None:
    path = tmp_path / "show.json"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        of_stack(read_terraform(path))
    assert len(caught.value.problems) == 1
    assert str(path) in str(caught.value)


def in_modules(*names: str) -> dict[str, Any]:
    """A module for each function, whose resources are all called `this`, as terraform-aws-modules has them."""
    modules = []
    for name in names:
        inner = json.loads(json.dumps(RESOURCES).replace("orders", name))
        for entry in inner:
            kind = entry["type"]
            label = "this" if kind in ("aws_lambda_function", "aws_lambda_alias") else entry["name"]
            entry |= {"name": label, "index": 0, "address": f'module.service["{name}"].{kind}.{label}[0]'}
        modules.append({"address": f'module.service["{name}"]', "resources": inner})
    return {"child_modules": modules}


def test_functions_that_are_all_called_this_go_by_their_names(tmp_path: Path) -> None:
    stack = read_terraform(saved(tmp_path, state([resource("null_resource", "x")], **in_modules("bills", "carts"))))
    assert list(stack.rollouts) == ["bills_prod", "carts_prod"]
    assert [len(stack.read(name).acting) for name in stack.rollouts] == [2, 2]


PROVISIONED = resource(
    "aws_lambda_provisioned_concurrency_config", "orders", function_name="orders-prod", qualifier="live",
    provisioned_concurrent_executions=7,
)  # fmt: skip
ARN = "arn:aws:lambda:eu-west-1:1:function:orders-prod:live"
PATH = f"arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{ARN}/invocations"
CALLING: list[tuple[dict[str, Any], str]] = [
    (resource("aws_sfn_state_machine", "x", definition=json.dumps({"States": {"a": {"Resource": ARN}}})), "http"),
    (resource("aws_apigatewayv2_integration", "x", integration_uri=ARN), "http"),
    (resource("aws_api_gateway_integration", "x", uri=PATH), "http"),
    (resource("aws_lb_target_group_attachment", "x", target_id=ARN), "http"),
    (resource("aws_appsync_datasource", "x", lambda_config=[{"function_arn": ARN}]), "http"),
    (resource("aws_cognito_user_pool", "x", lambda_config=[{"pre_sign_up": ARN}]), "http"),
    (resource("aws_pipes_pipe", "x", source="q", target=ARN), "data"),
    (resource("aws_s3_bucket_notification", "x", lambda_function=[{"events": ["x"], "lambda_function_arn": ARN}]), "s3"),
    (resource("aws_cloudwatch_log_subscription_filter", "x", destination_arn=ARN), "data"),
    (resource("aws_iot_topic_rule", "x", **{"lambda": [{"function_arn": ARN}]}), "data"),
]  # fmt: skip


@pytest.mark.parametrize(("caller", "kind"), CALLING)
def test_who_calls_and_what_is_provisioned(caller: dict[str, Any], kind: str, tmp_path: Path) -> None:
    others = [one for one in RESOURCES if one["type"] != "aws_lambda_event_source_mapping"]
    stack = read_terraform(saved(tmp_path, state([*others, PROVISIONED, caller])))
    (name,) = stack.rollouts
    deployed = stack.read(name)
    assert [event.kind for event in deployed.events if event.arrivals is None] == [kind]
    assert deployed.provisioned == 7


@pytest.mark.parametrize(("field", "value"), [("timeout", 5e-324), ("reserved_concurrent_executions", 10**15)])
def test_absurd_limits_are_an_answer_at_once(field: str, value: float, tmp_path: Path) -> None:
    """The rate is guessed by both."""
    resources = copy.deepcopy(RESOURCES)
    resources[0]["values"][field] = value
    results = every(read_terraform(saved(tmp_path, state(resources))))
    assert len(results) == 1


def test_a_capacity_provider_makes_managed_instances(tmp_path: Path) -> None:
    inner = {"capacity_provider_arn": "arn", "per_execution_environment_max_concurrency": 12}
    function = copy.deepcopy(FUNCTION)
    function["values"]["capacity_provider_config"] = [{"lambda_managed_instances_capacity_provider_config": [inner]}]
    others = [one for one in RESOURCES if one is not FUNCTION]
    scenario, _ = imported(tmp_path, state([function, *others]))
    assert scenario.function.managed is not None
    assert scenario.function.managed.concurrency == 12


def test_an_empty_text_in_a_state_is_nothing(tmp_path: Path) -> None:
    """What a refreshed state has of an alarm on metric maths: no unit, no account, no datapoints to alarm."""
    rate = copy.deepcopy(RATE)
    rate["values"] |= {"datapoints_to_alarm": 0, "statistic": "", "unit": "", "period": 0, "threshold_metric_id": ""}
    for query in rate["values"]["metric_query"]:
        query["account_id"] = ""
        for metric in query["metric"]:
            metric["unit"] = ""
    loaded, remarks = imported(tmp_path, state([*RESOURCES[:5], rate]))
    assert (loaded.alarms["rate"].metric, loaded.alarms["rate"].threshold) == ("error_rate", "> 5%")
    rate["values"]["metric_query"][1]["account_id"] = "999999999999"
    _, remarks = imported(tmp_path, state([*RESOURCES[:5], rate]))
    assert any("left out: rate: it reads metrics of the account 999999999999" in remark for remark in remarks)
    rate["values"]["arn"] = "arn:aws:cloudwatch:eu-west-1:999999999999:alarm:orders-rate"
    loaded, _ = imported(tmp_path, state([*RESOURCES[:5], rate]))
    assert loaded.alarms["rate"].metric == "error_rate"


def test_the_retries_of_rules_and_schedules(tmp_path: Path) -> None:
    target = "arn:aws:lambda:eu-west-1:1:function:orders-prod:live"
    policy = [{"maximum_event_age_in_seconds": 60, "maximum_retry_attempts": 1}]
    more = [
        resource("aws_cloudwatch_event_rule", "tick", name="tick", schedule_expression="rate(5 minutes)"),
        resource("aws_cloudwatch_event_target", "tick", rule="tick", arn=target, retry_policy=policy),
        resource(
            "aws_scheduler_schedule", "tock", name="tock", schedule_expression="rate(5 minutes)",
            flexible_time_window=[{"mode": "FLEXIBLE", "maximum_window_in_minutes": 3}],
            target=[{"arn": target, "retry_policy": policy}],
        ),
    ]  # fmt: skip
    loaded, _ = imported(tmp_path, state([*RESOURCES[:6], *more]))
    rule, schedule = loaded.dump()["traffic"]
    assert rule["delivery"] == schedule["delivery"] == {"retries": 1, "max_age": "1 min"}
    assert schedule["arrivals"]["cron"]["within"] == "3 min"


def later(data: dict[str, Any], address: str, unknown: Any, expressions: Any) -> None:
    """Makes a part of a resource known after apply."""
    data["resource_changes"].append({"address": address, "change": {"after_unknown": unknown}})
    data["configuration"]["root_module"]["resources"].append({"address": address, "expressions": expressions})


def test_alarms_and_dimensions_that_are_known_after_apply(tmp_path: Path) -> None:
    data = plan()
    by_address = {part["address"]: part["values"] for part in data["planned_values"]["root_module"]["resources"]}
    by_address["aws_codedeploy_deployment_group.orders"]["alarm_configuration"] = [{"enabled": True}]
    references = [f"aws_cloudwatch_metric_alarm.{name}{end}" for name in ("errors", "rate") for end in (".id", "")]
    expressions = {"alarm_configuration": [{"alarms": {"references": references}}]}
    later(data, "aws_codedeploy_deployment_group.orders", {"alarm_configuration": [{"alarms": True}]}, expressions)
    by_address["aws_cloudwatch_metric_alarm.errors"]["dimensions"] = None
    for change in data["resource_changes"]:
        if change["address"] == "aws_cloudwatch_metric_alarm.errors":
            change["change"]["after_unknown"] = {"dimensions": True}
    loaded, _ = imported(tmp_path, data)
    assert {name: alarm.of for name, alarm in loaded.alarms.items()} == {"errors": "new_version", "rate": "alias"}


@pytest.mark.parametrize(
    ("references", "listed"),
    [
        (["aws_cloudwatch_metric_alarm.errors"], ["errors-a", "errors-b"]),
        (['aws_cloudwatch_metric_alarm.errors["b"].id', 'aws_cloudwatch_metric_alarm.errors["b"]',
          "aws_cloudwatch_metric_alarm.errors"], ["errors-b"]),
        (["local.alarms"], []),
        (["aws_cloudwatch_metric_alarm.gone.id", "aws_cloudwatch_metric_alarm.gone", "aws_cloudwatch_metric_alarm.rate"], ["rate"]),
    ],
)  # fmt: skip
def test_which_alarms_a_list_means_that_is_known_after_apply(
    references: list[str], listed: list[str], tmp_path: Path
) -> None:
    data = plan()
    resources = data["planned_values"]["root_module"]["resources"]
    resources[3]["values"]["alarm_configuration"] = [{"enabled": True}]
    expressions = {"alarm_configuration": [{"alarms": {"references": references}}]}
    later(data, "aws_codedeploy_deployment_group.orders", {"alarm_configuration": [{"alarms": True}]}, expressions)
    errors = resources.pop(4)
    for key in "ab":
        one = copy.deepcopy(errors) | {"address": f'aws_cloudwatch_metric_alarm.errors["{key}"]', "index": key}
        one["values"]["alarm_name"] = f"errors-{key}"
        resources.append(one)
    loaded, remarks = imported(tmp_path, data)
    assert list(loaded.alarms) == listed
    gone = [remark.partition(":")[2].partition(":")[0] for remark in remarks if "it is not in the template" in remark]
    shown = next((name for name in references if "local" in name or "gone" in name), "").removesuffix(".id")
    assert gone == ([f" {shown} (known after apply)"] if shown else [])


def test_a_dynamic_block_of_alarms_that_is_known_after_apply_is_said(tmp_path: Path) -> None:
    data = plan()
    group = data["planned_values"]["root_module"]["resources"][3]
    del group["values"]["alarm_configuration"]
    later(data, "aws_codedeploy_deployment_group.orders", {"alarm_configuration": True}, {})
    loaded, remarks = imported(tmp_path, data)
    assert not loaded.alarms
    assert any("a value (known after apply): it is not in the template" in remark for remark in remarks)
    assert any("nothing watches the rollout" in remark for remark in remarks)


def test_each_instance_of_a_module_has_its_own_version_and_alarm(tmp_path: Path) -> None:
    """What an instance refers to is inside of it: the other one's version would make an alarm that can have no data."""
    data = plan()
    references = ["aws_cloudwatch_metric_alarm.errors.alarm_name", "aws_cloudwatch_metric_alarm.errors"]
    expressions = {"alarm_configuration": [{"alarms": {"references": references}}]}
    later(data, "aws_codedeploy_deployment_group.orders", {"alarm_configuration": [{"alarms": True}]}, expressions)
    root, changes = data["planned_values"]["root_module"], data["resource_changes"]
    root["resources"][3]["values"]["alarm_configuration"] = [{"enabled": True}]
    plain = json.dumps(root.pop("resources"))
    root["child_modules"], data["resource_changes"] = [], []
    for key, threshold in (("a", 3), ("b", 9)):
        prefix = f'module.fn["{key}"]'
        resources = json.loads(plain.replace("orders-prod", f"orders-{key}").replace("orders-errors", f"errors-{key}"))
        for part in resources:
            part["address"] = f"{prefix}.{part['address']}"
        resources[4]["values"]["threshold"] = threshold
        root["child_modules"].append({"address": prefix, "resources": resources})
        data["resource_changes"] += [change | {"address": f"{prefix}.{change['address']}"} for change in changes]
    configured = data["configuration"]["root_module"]
    data["configuration"]["root_module"] = {"module_calls": {"fn": {"module": configured}}}
    read = every(read_terraform(saved(tmp_path, data)))
    alarms = [alarm for one in read if one.deployed is not None for alarm in one.deployed.alarms.values()]
    assert [(alarm["of"], alarm["threshold"]) for alarm in alarms] == [("new_version", "> 3"), ("new_version", "> 9")]


def test_a_rule_that_is_known_after_apply_is_said(tmp_path: Path) -> None:
    data = plan()
    resources = data["planned_values"]["root_module"]["resources"]
    resources.append(resource("aws_cloudwatch_composite_alarm", "both", alarm_name="both"))
    resources[3]["values"]["alarm_configuration"][0]["alarms"] = ["both"]
    expressions = {"alarm_rule": {"references": ["aws_cloudwatch_metric_alarm.errors.arn"]}}
    later(data, "aws_cloudwatch_composite_alarm.both", {"alarm_rule": True}, expressions)
    _, remarks = imported(tmp_path, data)
    what = "AlarmRule: aws_cloudwatch_metric_alarm.errors.arn, which is known after apply, is not known"
    assert any(remark.startswith(f"left out: both: {what}") for remark in remarks)
