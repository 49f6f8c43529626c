"""Documents of other tools that the campaign changes: each with as much in it as its reader knows."""

from __future__ import annotations

from typing import Any

SAM = """
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: live}
  Minutes: {Type: Number, Default: 5}
Conditions:
  IsLive: {'Fn::Equals': [{Ref: Stage}, live]}
  IsOdd: {'Fn::And': [{Condition: IsLive}, {'Fn::Not': [{'Fn::Or': [{'Fn::Equals': [a, b]}, {Condition: IsLive}]}]}]}
Mappings:
  Limits: {live: {timeout: 12}}
Globals:
  Function: {Runtime: python3.13, AutoPublishAlias: {Ref: Stage}, Timeout: {'Fn::FindInMap': [Limits, {Ref: Stage}, timeout]}}
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Condition: IsLive
    Properties:
      FunctionName: {'Fn::Sub': 'orders-${Stage}'}
      Handler: index.handler
      ReservedConcurrentExecutions: 40
      ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 2}
      Events: {Api: {Type: HttpApi}, Tick: {Type: Schedule, Properties: {Schedule: rate(5 minutes)}}}
      DeploymentPreference:
        Type: {'Fn::If': [IsLive, Canary10Percent5Minutes, Slow]}
        Alarms: [{Ref: OrdersErrors}, {'Fn::Join': ['-', [orders, {Ref: Stage}, slow]]}]
        Hooks: {PreTraffic: {Ref: Check}}
  Check:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      DeploymentPreference: {Enabled: false}
      Environment: {Variables: {TESTS: '5', SECONDS: '30', MAX_FAILURES: '1'}}
  Slow:
    Type: AWS::CodeDeploy::DeploymentConfig
    Properties:
      ComputePlatform: Lambda
      TrafficRoutingConfig: {Type: TimeBasedLinear, TimeBasedLinear: {LinearInterval: {Ref: Minutes}, LinearPercentage: 20}}
  OrdersErrors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions:
        - {Name: FunctionName, Value: {Ref: Orders}}
        - {Name: Resource, Value: {'Fn::Sub': ['${Orders}:${S}', {S: {Ref: Stage}}]}}
        - {Name: ExecutedVersion, Value: {'Fn::GetAtt': [Orders, Version.Version]}}
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 3
      DatapointsToAlarm: 2
      Threshold: 4
      ComparisonOperator: GreaterThanThreshold
      TreatMissingData: notBreaching
  Rate:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: {'Fn::Sub': 'orders-${Stage}-slow'}
      EvaluationPeriods: 1
      Threshold: 0.01
      ComparisonOperator: GreaterThanOrEqualToThreshold
      Metrics:
        - {Id: rate, Expression: errors / invocations}
        - Id: errors
          MetricStat:
            Stat: Sum
            Period: 60
            Metric: {Namespace: AWS/Lambda, MetricName: Errors, Dimensions: [{Name: FunctionName, Value: {Ref: Orders}}]}
          ReturnData: false
        - Id: invocations
          MetricStat:
            Stat: Sum
            Period: 60
            Metric: {Namespace: AWS/Lambda, MetricName: Invocations, Dimensions: [{Name: FunctionName, Value: {Ref: Orders}}]}
          ReturnData: false
"""

SAM_PARTS = {
    "a": {"Ref": "AWS::NoValue"}, "b": {"Ref": "Orders"}, "c": {"Condition": "IsOdd"}, "d": {"Fn::If": ["IsLive", 1, 2]},
    "e": {"Fn::ImportValue": "x"}, "f": {"Fn::GetAtt": "Orders.Arn"}, "g": {"Fn::Sub": "${A${B}}"}, "h": {"Fn::Select": [9, ["a"]]},
    "i": {"Fn::Split": ["", "a"]}, "j": {"Fn::Base64": "x"}, "k": {"Fn::Transform": {"Name": "x"}}, "l": {"Fn::Equals": ["a"]},
    "m": {"Fn::Not": []}, "n": {"Fn::FindInMap": ["Limits"]}, "o": {"Fn::Cidr": ["10.0.0.0/8", 1, 1]}, "p": {"Fn::Join": ["", 5]},
}  # fmt: skip

OPENSLO = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: availability, displayName: Availability}
spec:
  service: checkout
  indicator:
    metadata: {name: errors}
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {type: CloudWatch, spec: {namespace: AWS/Lambda, metricName: Errors}}}
        total:
          metricSource:
            type: CloudWatch
            spec: {namespace: AWS/Lambda, metricName: Invocations, dimensions: {FunctionName: f, Resource: 'f:prod'}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: a, target: 0.999}, {displayName: b, targetPercent: 99.5}]
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: slow}
spec: {thresholdMetric: {metricSource: {type: CloudWatch, spec: {}}}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: latency}
spec:
  indicatorRef: slow
  timeWindow: [{duration: 4w, isRolling: true}]
  alertPolicies: [{kind: AlertPolicy}]
  objectives: [{op: lte, value: 800, target: 0.99}]
"""

ARGO = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  strategy:
    canary:
      analysis:
        templates: [{templateName: checks}, {templateName: elsewhere}]
        startingStep: 1
        args: [{name: least, value: '0.95'}]
      steps:
        - setWeight: 5
        - pause: {duration: 1h30m}
        - setWeight: 25
        - pause: {}
        - setCanaryScale: {replicas: 3}
        - setWeight: 60
        - pause: {duration: 90}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: checks}
spec:
  args: [{name: least, value: '0.5'}, {name: every, value: 2m}, {name: nothing}]
  metrics:
    - name: success-rate
      interval: '{{ args.every }}'
      failureLimit: 2
      successCondition: result[0] >= {{args.least}}
      provider: {prometheus: {query: "sum(rate(ok[5m])) / sum(rate(all[5m]))"}}
    - name: latency
      interval: 60s
      failureCondition: "isNaN(result[0]) || result[0] > 0.5"
      provider: {prometheus: {query: "histogram_quantile(0.99, x)"}}
    - name: queue
      failureCondition: result[0] > 7
      provider: {prometheus: {query: depth}}
    - {name: job, provider: {job: {}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: blue}
spec:
  strategy:
    blueGreen:
      activeService: a
      previewService: b
      scaleDownDelaySeconds: 600
      prePromotionAnalysis: {templates: [{templateName: checks}]}
      postPromotionAnalysis: {templates: [{templateName: checks}]}
"""

FLAGGER = """
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  analysis:
    interval: 1m
    threshold: 5
    maxWeight: 50
    stepWeight: 20
    metrics:
      - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
      - {name: request-duration, thresholdRange: {max: 500}, interval: 30s}
      - {name: 404s, templateRef: {name: not-found}, thresholdRange: {max: 5}}
      - {name: odd, thresholdRange: {min: 1, max: 9}}
    webhooks: [{name: load, url: http://x}]
---
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: not-found}
spec: {provider: {type: prometheus}, query: "100 - sum(rate(ok[1m])) / sum(rate(all[1m])) * 100"}
"""


def _resource(kind: str, label: str, /, **values: Any) -> dict[str, Any]:
    return {"address": f"{kind}.{label}", "mode": "managed", "type": kind, "name": label, "values": values}


def _stat(identity: str, metric: str) -> dict[str, Any]:
    of = {"FunctionName": "orders", "Resource": "orders:live"}
    inner = {
        "dimensions": of,
        "metric_name": metric,
        "namespace": "AWS/Lambda",
        "period": 300,
        "stat": "Sum",
        "unit": None,
    }
    return {"id": identity, "expression": "", "metric": [inner], "return_data": None, "period": None}


_CONFIGURED = {
    "aws_lambda_alias.live": {
        "function_name": {"references": ["aws_lambda_function.orders.arn", "aws_lambda_function.orders"]},
        "function_version": {"references": ["aws_lambda_function.orders.version", "aws_lambda_function.orders"]},
    },
    "aws_cloudwatch_metric_alarm.errors": {
        "dimensions": {
            "references": [
                "aws_lambda_function.orders.function_name", "aws_lambda_alias.live.name", "aws_lambda_function.orders.version",
            ]
        }
    },
}  # fmt: skip
TERRAFORM: dict[str, Any] = {
    "format_version": "1.2",
    "planned_values": {"root_module": {"resources": [
        _resource(
            "aws_lambda_function", "orders", function_name="orders", timeout=20, reserved_concurrent_executions=50, snap_start=[],
        ),
        _resource("aws_lambda_alias", "live", name="live", routing_config=[{"additional_version_weights": {"8": 0.1}}]),
        _resource(
            "aws_codedeploy_deployment_config", "slow", deployment_config_name="slow", compute_platform="Lambda",
            traffic_routing_config=[
                {"type": "TimeBasedLinear", "time_based_canary": [], "time_based_linear": [{"interval": 3, "percentage": 20}]}
            ],
        ),
        _resource(
            "aws_codedeploy_deployment_group", "orders", app_name="orders", deployment_group_name="orders",
            deployment_config_name="slow",
            alarm_configuration=[{"alarms": ["orders-errors", "orders-rate"], "enabled": True, "ignore_poll_alarm_failure": False}],
            auto_rollback_configuration=[{"enabled": True, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]}],
        ),
        _resource(
            "aws_cloudwatch_metric_alarm", "errors", alarm_name="orders-errors", namespace="AWS/Lambda", metric_name="Errors",
            statistic="Sum", period=60, evaluation_periods=3, datapoints_to_alarm=2, threshold=4,
            comparison_operator="GreaterThanThreshold", treat_missing_data="notBreaching", metric_query=[],
            dimensions={"FunctionName": "orders", "Resource": "orders:live"},
        ),
        _resource(
            "aws_cloudwatch_metric_alarm", "rate", alarm_name="orders-rate", evaluation_periods=1, threshold=5, dimensions=None,
            comparison_operator="GreaterThanThreshold", treat_missing_data="missing",
            metric_query=[
                {"id": "rate", "expression": "100 * (e / i)", "metric": [], "return_data": True}, _stat("e", "Errors"),
                _stat("i", "Invocations"),
            ],
        ),
        _resource(
            "aws_lambda_event_source_mapping", "jobs", function_name="arn:aws:lambda:eu-west-1:1:function:orders",
            event_source_arn="arn:aws:sqs:eu-west-1:1:jobs", enabled=True,
        ),
        _resource("aws_cloudwatch_event_rule", "tick", name="tick", schedule_expression="rate(5 minutes)", is_enabled=True),
        _resource("aws_cloudwatch_event_target", "tick", rule="tick", arn="arn:aws:lambda:eu-west-1:1:function:orders:live"),
        _resource("aws_lambda_provisioned_concurrency_config", "warm", qualifier="live", provisioned_concurrent_executions=3),
    ]}},
    "resource_changes": [
        {"address": key, "change": {"after_unknown": value}}
        for key, value in {
            "aws_lambda_function.orders": {"version": True},
            "aws_lambda_alias.live": {"function_version": True, "function_name": True},
            "aws_cloudwatch_metric_alarm.errors": {"dimensions": {"ExecutedVersion": True}},
        }.items()
    ],
    "configuration": {
        "root_module": {"resources": [{"address": key, "expressions": value} for key, value in _CONFIGURED.items()]}
    },
}  # fmt: skip
"""What `terraform show -json` prints of a plan: versions and references are known after apply."""
