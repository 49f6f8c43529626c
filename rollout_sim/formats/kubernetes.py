"""Argo Rollouts and Flagger: the same steps for workloads on Kubernetes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from rollout_sim.control.alarms import Alarm, describe
from rollout_sim.control.strategies import Plan
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.cloudwatch import STATISTICS
from rollout_sim.formats.snippet import Snippet, dashed, snippet_of
from rollout_sim.scenario.scenario import Scenario

_ANALYSED: Final = ("errors", "error_rate", "duration")
"""The metrics that an analysis of these tools can be about."""
_HOOKS: Final = "hooks are left out: use a pre-promotion analysis with your own test job"


def export_argo(scenario: Scenario, strategy: str | None = None) -> Snippet:
    """An Argo Rollout's canary steps, with an analysis of CloudWatch's error rate for each alarm that has one."""
    name, chosen = scenario.exported(strategy)
    plan: Plan = chosen.plan
    steps: list[dict[str, Any]] = []
    for step in plan.steps:
        steps.append({"setWeight": _percent(name, step.weight)})
        if step.hold:
            steps.append({"pause": {"duration": f"{round(step.hold)}s"}})
    if plan.bake:
        steps.append({"pause": {"duration": f"{round(plan.bake)}s"}})
    metrics, remarks = _argo_metrics(scenario)
    if scenario.rollout is not None and scenario.rollout.hold is not None:
        remarks.append(
            "left out: hold: Argo goes on to the next step while a measurement fails, up to its failureLimit"
        )
    canary: dict[str, Any] = {"steps": steps}
    template = f"{dashed(scenario.function.name)}-alarms"
    documents: list[dict[str, Any]] = []
    if metrics:
        canary["analysis"] = {
            "templates": [{"templateName": template}],
            "startingStep": 1,
            "args": _arguments(scenario),
        }
        documents.append(
            {
                "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": template},
                "spec": {"args": [{"name": argument["name"]} for argument in _arguments(scenario)], "metrics": metrics},
            }
        )  # fmt: skip
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": dashed(scenario.function.name)},
        "spec": {"strategy": {"canary": canary}},
    }  # fmt: skip
    remarks += [_HOOKS] if plan.before or plan.after else []
    remarks += ["the queries read Lambda's metrics: put in the namespace and dimensions of yours"] if metrics else []
    return snippet_of(rollout, *documents, remarks=["selector and pod template of the Rollout are yours", *remarks])


def export_flagger(scenario: Scenario, strategy: str | None = None) -> Snippet:
    """A Flagger Canary's analysis."""
    name, chosen = scenario.exported(strategy)
    plan: Plan = chosen.plan
    held = [step for step in plan.steps if step.weight < 1]
    holds = {step.hold for step in held}
    if len(holds) > 1:
        raise ScenarioError(
            [f"strategies.{name}: Flagger holds every step for the same interval, got {sorted(holds)} s; use argo"]
        )
    alarms = {alarm: scenario.alarms[alarm] for alarm in (scenario.rollout.alarms if scenario.rollout else ())}
    hold = scenario.rollout.hold if scenario.rollout is not None else None
    m = hold.failures if hold is not None else max((alarm.m for alarm in alarms.values()), default=1)
    after = plan.bake + plan.steps[-1].hold if plan.steps[-1].weight == 1 else plan.bake
    interval = min(holds or {after or 60.0})
    if hold is not None and holds and hold.every != interval:
        what = f"Flagger holds every step for the interval of its checks, got {interval:g} s for steps and {hold.every:g} s for checks"
        raise ScenarioError([f"strategies.{name}: {what}"])
    interval = interval if hold is None else hold.every
    metrics, remarks = [], []
    for label, alarm in alarms.items():
        window = f"{round(alarm.period)}s"
        if alarm.band is not None or alarm.statistic not in ("sum", "average", *_percentiles(alarm)):
            remarks.append(f"left out: the alarm {label}: Flagger has no {describe(alarm)}")
            continue
        remarks += [f"the alarm {label}: {what}" for what in _left_behind(alarm)]
        if hold is not None and alarm.n > 1:
            remarks.append(
                f"left out: {alarm.datapoints} of the alarm {label}: a check of Flagger's looks at the newest datapoint alone"
            )
        if hold is None and alarm.m > 1 and alarm.period != interval and alarm.metric in _ANALYSED:
            remarks.append(
                f"the alarm {label} fires after {alarm.m} periods of {alarm.period:g} s; {m} failed checks of Flagger's, one every "
                f"{interval:g} s, take {m * interval:g} s"
            )
        if alarm.metric in ("errors", "error_rate"):
            share = alarm.limit if alarm.metric == "error_rate" else None
            if share is None:
                remarks.append(
                    f"the alarm {label} counts errors; Flagger's request-success-rate is a share: 99 is a start"
                )
            lowest = 99.0 if share is None else round(100 * (1 - share), 6)
            metrics.append({"name": "request-success-rate", "thresholdRange": {"min": lowest}, "interval": window})
        elif alarm.metric == "duration":
            most = round(alarm.limit * 1000)
            metrics.append({"name": "request-duration", "thresholdRange": {"max": most}, "interval": window})
            if alarm.statistic != "p99":
                remarks.append(f"the alarm {label} reads {alarm.statistic}; Flagger's request-duration is the p99")
        else:
            remarks.append(f"left out: the alarm {label}: Flagger has no {alarm.metric}")
    analysis: dict[str, Any] = {"interval": f"{round(interval)}s", "threshold": m}
    if held:
        analysis["stepWeights"] = [_percent(name, step.weight) for step in held]
    else:
        analysis["iterations"] = max(1, math.ceil(after / interval))
    analysis["metrics"] = metrics
    document = {
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": dashed(scenario.function.name)},
        "spec": {"analysis": analysis},
    }  # fmt: skip
    if metrics and hold is None:
        remarks.append(
            "Flagger checks once per interval, holds the weight while a check fails, and rolls back after `threshold` failed "
            "checks: M of N becomes M in all, and a bad version stays at its weight until then; the simulation goes on to the "
            "next step, unless `rollout.hold` makes its alarms hold the weight, too"
        )
    remarks += ["there is no bake after the last step: Flagger promotes at once"] if after and held else []
    remarks += ["hooks are left out: add a pre-rollout webhook"] if plan.before or plan.after else []
    return snippet_of(document, remarks=["targetRef and service of the Canary are yours", *remarks])


def _argo_metrics(scenario: Scenario) -> tuple[list[dict[str, Any]], list[str]]:
    assert scenario.rollout is not None
    metrics, remarks = [], []
    for name in scenario.rollout.alarms:
        alarm = scenario.alarms[name]
        if alarm.band is not None or alarm.metric not in _ANALYSED or "old_version" in alarm.scopes:
            remarks.append(f"left out: the alarm {name}: an analysis of {describe(alarm)} is yours to write")
            continue
        remarks += [f"the alarm {name}: {what}" for what in _left_behind(alarm)]
        metrics.append(
            {
                "name": dashed(name), "interval": f"{round(alarm.period)}s", "failureLimit": alarm.m - 1,
                "failureCondition": f"len(result[0].Values) > 0 && result[0].Values[0] {alarm.comparator} {_limit(alarm)}",
                "provider": {"cloudWatch": {"interval": f"{round(alarm.period)}s", "metricDataQueries": _queries(alarm)}},
            }
        )  # fmt: skip
        remarks.append(
            f"the alarm {name}: Argo stops after {alarm.m} failed measurements in all, CloudWatch after {alarm.datapoints}"
        )
    return metrics, remarks


def _arguments(scenario: Scenario) -> list[dict[str, Any]]:
    """What the queries are about; Argo knows its new version by the hash of the pod template."""
    function = scenario.function.name
    return [
        {"name": "function", "value": function},
        {"name": "resource", "value": f"{function}:{scenario.alias}"},
        {"name": "version", "valueFrom": {"podTemplateHashValue": "Latest"}},
    ]


def _percentiles(alarm: Alarm) -> tuple[str, ...]:
    """The statistic of an alarm on a percentile of durations."""
    return (str(alarm.statistic),) if alarm.metric == "duration" and str(alarm.statistic).startswith("p") else ()


def _left_behind(alarm: Alarm) -> Iterator[str]:
    """What of an alarm an analysis does not have."""
    if alarm.least:
        yield f"it asks for {alarm.least} requests, which the analysis does not"
    if alarm.low_samples == "ignore":
        yield "few samples count here, too"
    if alarm.warm_up:
        yield "its warm-up is left out"


def _limit(alarm: Alarm) -> str:
    milliseconds = alarm.metric == "duration" and alarm.statistic != "sample_count"
    return f"{alarm.limit * 1000:.15g}" if milliseconds else f"{alarm.limit:.15g}"


def _queries(alarm: Alarm) -> list[dict[str, Any]]:
    def query(identity: str, metric: str, stat: str, *, shown: bool) -> dict[str, Any]:
        dimensions = [{"name": "FunctionName", "value": "{{args.function}}"}]
        if alarm.of != "function":
            dimensions.append({"name": "Resource", "value": "{{args.resource}}"})
        if alarm.of == "new_version":
            dimensions.append({"name": "ExecutedVersion", "value": "{{args.version}}"})
        inner = {"metric": {"namespace": "AWS/Lambda", "metricName": metric, "dimensions": dimensions}}
        return {
            "id": identity,
            "returnData": shown,
            "metricStat": {**inner, "period": round(alarm.period), "stat": stat},
        }

    if alarm.metric == "error_rate":
        rate = {"id": "rate", "expression": "errors / invocations", "returnData": True}
        return [
            rate,
            query("errors", "Errors", "Sum", shown=False),
            query("invocations", "Invocations", "Sum", shown=False),
        ]
    if alarm.metric == "duration":
        return [query("duration", "Duration", STATISTICS.get(str(alarm.statistic), str(alarm.statistic)), shown=True)]
    return [query("errors", "Errors", STATISTICS.get(str(alarm.statistic), "Sum"), shown=True)]


def _percent(name: str, weight: float) -> int:
    percent = round(weight * 100)
    if abs(percent - weight * 100) > 1e-9:
        raise ScenarioError([f"strategies.{name}: weights are whole percents on Kubernetes, got {weight * 100:g}%"])
    return percent
