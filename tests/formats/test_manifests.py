"""Argo Rollouts and Flagger: steps, weights, pauses and analyses become strategies and alarms, or are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from builders import scenario
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout_sim.control.strategies import Hold
from rollout_sim.errors import ScenarioError
from rollout_sim.formats import kubernetes
from rollout_sim.formats.cloudformation import export_sam
from rollout_sim.formats.manifests import from_manifests
from rollout_sim.scenario.scenario import Scenario


def imported(tmp_path: Path, text: str, **options: Any) -> tuple[Scenario, list[str]]:
    path = tmp_path / "manifests.yaml"
    path.write_text(text)
    written, remarks = from_manifests(path, **options)
    (tmp_path / "scenario.yaml").write_text(written)
    return Scenario.load(tmp_path / "scenario.yaml"), remarks


def steps(loaded: Scenario) -> list[tuple[float, float]]:
    (strategy,) = loaded.strategies.values()
    return [(step.weight, step.hold) for step in strategy.plan.steps]


ROLLOUT = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec:
  strategy:
    canary:
      analysis: {templates: [{templateName: checks}, {templateName: elsewhere}], startingStep: 1}
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
  metrics:
    - name: success-rate
      interval: 5m
      failureLimit: 2
      successCondition: result[0] >= 0.95
      provider: {prometheus: {query: "sum(rate(ok[5m])) / sum(rate(all[5m]))"}}
    - name: latency
      interval: 60s
      failureCondition: "isNaN(result[0]) || result[0] > 0.5"
      provider: {prometheus: {query: "histogram_quantile(0.99, x)"}}
    - name: queue
      failureCondition: result[0] > 7
      provider: {prometheus: {query: depth}}
    - {name: job, provider: {job: {}}}
"""


def test_a_rollouts_steps_and_analyses(tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, ROLLOUT)
    assert steps(loaded) == [(0.05, 5400), (0.25, 600), (0.6, 90), (1, 0)]
    alarms = loaded.alarms
    assert list(alarms) == ["success-rate", "latency"]
    rate, slow = alarms.values()
    assert (rate.metric, rate.of, rate.threshold, rate.period, rate.datapoints) == (
        "error_rate",
        "new_version",
        "> 5%",
        300,
        "3 of 3",
    )
    assert (slow.metric, slow.statistic, slow.threshold, slow.datapoints) == ("duration", "p99", "> 0.5 s", "1 of 1")
    said = "\n".join(remarks)
    for part in (
        "step 4 pauses until somebody promotes: 10 min of it are a GUESS", "left out: step 5: setCanaryScale",
        "left out: elsewhere: the AnalysisTemplate elsewhere is not in the file", "left out: queue: nothing tells what it measures",
        "left out: job: it has no condition", "success-rate: its query is not read",
    ):  # fmt: skip
        assert part in said


def test_arguments_and_templates_in_other_files(tmp_path: Path) -> None:
    rollout, _, template = ROLLOUT.partition("---")
    given = "{templates: [{templateName: checks}], args: [{name: least, value: '0.9'}]}"
    rollout = rollout.replace(
        "{templates: [{templateName: checks}, {templateName: elsewhere}], startingStep: 1}", given
    )
    spec = "spec:\n  args: [{name: least, value: '0.5'}, {name: every, value: 2m}, {name: nothing}]"
    template = (
        template.replace("spec:", spec).replace(">= 0.95", ">= {{args.least}}").replace("5m\n", "'{{ args.every }}'\n")
    )
    (tmp_path / "analysis.yaml").write_text(
        template.replace("failureLimit: 2", "failureLimit: 2\n      count: '{{args.nothing}}'")
    )
    loaded, remarks = imported(tmp_path, rollout, others=[tmp_path / "analysis.yaml"])
    rate = loaded.alarms["success-rate"]
    assert (rate.threshold, rate.period) == ("> 10%", 120)
    assert not any("is not in the file" in remark for remark in remarks)


CANARY = """
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
"""


def test_a_canarys_weights_and_checks(tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, CANARY)
    assert steps(loaded) == [(0.2, 60), (0.4, 60), (0.5, 60), (1, 0)]
    rate, slow = loaded.alarms.values()
    assert (rate.metric, rate.threshold, rate.datapoints, rate.period) == ("error_rate", "> 1%", "1 of 1", 60)
    assert loaded.rollout is not None
    assert loaded.rollout.hold == Hold(every=60.0, failures=5)
    assert (slow.metric, slow.statistic, slow.threshold) == ("duration", "p99", "> 0.5 s")
    said = "\n".join(remarks)
    assert "webhooks are left out" in said
    assert "left out: 404s: nothing tells what it measures; its limit is > 5" in said


@pytest.mark.parametrize(
    ("quantile", "statistic"), [("0.99", "p99"), ("0.5", "p50"), ("0.999", "p99.9"), ("", "average")]
)
def test_the_guessed_duration_does_not_set_off_the_alarms_on_it(quantile: str, statistic: str, tmp_path: Path) -> None:
    query = f"histogram_quantile({quantile}, sum(rate(x_bucket[1m])) by (le))" if quantile else "avg(x_milliseconds)"
    metric = f"{{name: duration, query: '{query}', thresholdRange: {{max: 40}}}}"
    loaded, _ = imported(
        tmp_path, CANARY.replace("{name: request-duration, thresholdRange: {max: 500}, interval: 30s}", metric)
    )
    (slow,) = (alarm for alarm in loaded.alarms.values() if alarm.metric == "duration")
    assert slow.statistic == statistic
    duration = loaded.function.versions["1"].duration
    usual = duration.ppf(np.array([float(quantile)]))[0] if quantile else duration.mean
    assert usual == pytest.approx(slow.limit / 2, rel=1e-4)


def test_blue_green_of_both(tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, CANARY.replace("maxWeight: 50\n    stepWeight: 20", "iterations: 10"))
    (strategy,) = loaded.strategies.values()
    assert (strategy.type, strategy.bake) == ("blue_green", 600)
    assert any("10 iterations without weights" in remark for remark in remarks)
    green = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: shop}
spec: {strategy: {blueGreen: {activeService: a, previewService: b}}}
"""
    loaded, remarks = imported(tmp_path, green)
    assert [strategy.type for strategy in loaded.strategies.values()] == ["blue_green"]


@st.composite
def rising(draw: st.DrawFn) -> list[tuple[int, int]]:
    weights = sorted(draw(st.sets(st.integers(1, 99), min_size=1, max_size=6)))
    return [(weight, draw(st.integers(1, 7200))) for weight in weights]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=rising(), metric=st.sampled_from(["errors", "error_rate", "duration"]), m=st.integers(1, 4))
def test_argo_comes_back_as_the_same_steps_and_alarms(
    plan: list[tuple[int, int]], metric: str, m: int, tmp_path: Path
) -> None:
    threshold = {"errors": "> 3", "error_rate": "> 2.5%", "duration": ">= 850 ms"}[metric]
    statistic = {"statistic": "p95"} if metric == "duration" else {}
    alarm = {
        "metric": metric, "of": "new_version", "threshold": threshold, "datapoints": f"{m} of {m}", "missing": "not_breaching",
        "lag": "1 min", "period": "2 min", **statistic,
    }  # fmt: skip
    strategy = {"type": "steps", "steps": [{"weight": f"{weight}%", "hold": f"{hold} s"} for weight, hold in plan]}
    given_ = scenario(strategies={"s": strategy}, alarms={"watch": alarm}, rollout__alarms=["watch"], horizon="100 h")
    loaded, remarks = imported(tmp_path, kubernetes.export_argo(given_).text)
    assert steps(loaded) == steps(given_)
    assert loaded.alarms == given_.alarms
    assert not any("query" in remark for remark in remarks)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=rising(), interval=st.integers(1, 240), failures=st.integers(1, 9))
def test_flagger_comes_back_as_the_same_rollout(
    plan: list[tuple[int, int]], interval: int, failures: int, tmp_path: Path
) -> None:
    alarm = {
        "metric": "error_rate", "of": "new_version", "threshold": "> 1.5%", "period": "2 min",
        "missing": "not_breaching", "lag": "15 s",
    }  # fmt: skip
    strategy = {"type": "steps", "steps": [{"weight": f"{weight}%", "hold": f"{interval} s"} for weight, _ in plan]}
    hold = {"every": f"{interval} s", "failures": failures}
    given_ = scenario(
        strategies={"s": strategy},
        alarms={"rate": alarm},
        rollout__alarms=["rate"],
        rollout__hold=hold,
        horizon="100 h",
    )
    loaded, _ = imported(tmp_path, kubernetes.export_flagger(given_).text)
    assert steps(loaded) == steps(given_)
    assert loaded.rollout is not None
    assert given_.rollout is not None
    assert loaded.rollout.hold == given_.rollout.hold
    assert list(loaded.alarms.values()) == list(given_.alarms.values())


def test_flagger_holds_its_steps_as_long_as_it_waits_between_checks() -> None:
    given_ = scenario(rollout__hold={"every": "15 s"})
    (remark,) = [said for said in kubernetes.export_flagger(given_, "instant").remarks if "newest datapoint" in said]
    assert remark.startswith("left out: 2 of 2 of the alarm errors")
    with pytest.raises(ScenarioError, match="for the interval of its checks, got 300 s for steps and 15 s for checks"):
        kubernetes.export_flagger(given_, "canary")


def test_flagger_has_no_hold_after_the_last_step() -> None:
    steps = [{"weight": "10%", "hold": "1 min"}, {"weight": "100%", "hold": "5 min"}]
    given_ = scenario(strategies={"s": {"type": "steps", "steps": steps}, "all": {"type": "steps", "steps": steps[1:]}})
    assert any("no bake after the last step" in remark for remark in kubernetes.export_flagger(given_, "s").remarks)
    whole = scenario(
        strategies={"all": {"type": "steps", "steps": steps[1:]}}, rollout__hold={"every": "1 min", "failures": 3}
    )
    assert yaml.safe_load(kubernetes.export_flagger(whole).text)["spec"]["analysis"]["iterations"] == 5


def test_what_others_do_instead_of_holding_is_told() -> None:
    given_ = scenario(rollout__hold={"every": "1 min", "failures": 3})
    for export in (kubernetes.export_argo, export_sam):
        assert any("left out: hold: " in remark for remark in export(given_, "canary").remarks)


def test_flaggers_export_says_that_it_holds_and_asks_over_the_alarms_period() -> None:
    rate = {
        "metric": "error_rate",
        "of": "new_version",
        "threshold": "> 1%",
        "datapoints": "10 of 10",
        "period": "5 min",
    }
    strategy = {"type": "steps", "steps": [{"weight": f"{weight}%", "hold": "15 s"} for weight in (5, 10)]}
    snippet = kubernetes.export_flagger(
        scenario(strategies={"s": strategy}, alarms={"rate": rate}, rollout__alarms=["rate"])
    )
    assert yaml.safe_load(snippet.text)["spec"]["analysis"]["metrics"][0]["interval"] == "300s"
    said = "\n".join(snippet.remarks)
    assert "holds the weight while a check fails" in said
    assert "fires after 10 periods of 300 s; 10 failed checks of Flagger's, one every 15 s, take 150 s" in said


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "there is no Rollout"),
        ("a: 1", "there is no Rollout"),
        (ROLLOUT.replace("setWeight: 5\n", "setWeight: x\n"), "could not convert"),
        (ROLLOUT.replace("1h30m", "soon"), "got 'soon'; allowed such as 30s"),
        (ROLLOUT.replace("setWeight: 60", "setWeight: 600"), "a weight is 0 to 100, got 600"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: x}\nspec: 5", "x: "),
        ("apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: x}\nspec: {}", "canaryAnalysis: missing"),
        (ROLLOUT + "---" + CANARY, "choose one with --function: shop, podinfo"),
    ],
)
def test_what_is_wrong_is_one_message(text: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=what) as caught:
        imported(tmp_path, text)
    assert len(caught.value.problems) == 1
    assert "manifests.yaml" in str(caught.value)


def test_one_of_several_is_chosen(tmp_path: Path) -> None:
    loaded, _ = imported(tmp_path, ROLLOUT + "---" + CANARY, name="podinfo")
    assert loaded.name == "podinfo"


@pytest.mark.parametrize(
    ("limit", "query", "threshold"),
    [
        (1, "", "> 1%"), (5, "", "> 5%"), (0.02, "", "> 2%"),
        (0.5, "100 - sum(ok) / sum(all) * 100", "> 0.5%"), (0.5, "sum(bad) / sum(all)", "> 50%"),
    ],
)  # fmt: skip
def test_a_limit_in_percent_or_as_a_share(limit: float, query: str, threshold: str, tmp_path: Path) -> None:
    metric = {"name": "error-rate", "thresholdRange": {"max": limit}, "query": query}
    canary = yaml.safe_load(CANARY)
    canary["spec"]["analysis"]["metrics"] = [metric]
    loaded, _ = imported(tmp_path, yaml.safe_dump(canary))
    assert [alarm.threshold for alarm in loaded.alarms.values()] == [threshold]


def test_a_canary_that_skips_its_analysis_moves_all_at_once(tmp_path: Path) -> None:
    loaded, remarks = imported(tmp_path, CANARY.replace("spec:\n", "spec:\n  skipAnalysis: true\n", 1))
    assert ([strategy.type for strategy in loaded.strategies.values()], loaded.alarms) == (["all_at_once"], {})
    assert "skipAnalysis: the canary is promoted at once, and nothing watches it" in remarks


def test_what_is_otherwise_of_an_analysis_is_named(tmp_path: Path) -> None:
    template = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: t}
spec:
  dryRun: [{metricName: try.*}]
  metrics:
    - {name: try-latency, interval: 1m, successCondition: result < 500, provider: {}}
    - {name: success-rate, interval: 1m, count: 9, initialDelay: 1m, failureLimit: 2, successCondition: result >= 0.95,
       failureCondition: result < 0.9, provider: {}}
"""
    rollout = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: x}
spec:
  strategy:
    canary: {steps: [{setWeight: 20}, {pause: {duration: 5m}}], analysis: {startingStep: 1, templates: [{templateName: t}]}}
"""
    loaded, remarks = imported(tmp_path, f"{rollout}---{template}")
    assert list(loaded.alarms) == ["success-rate"]
    said = "\n".join(remarks)
    for part in (
        "left out: try-latency: it is a dry run, which stops nothing", "startingStep of the analysis is left out",
        "success-rate: what neither fails nor succeeds is inconclusive", "success-rate: its failures count in all in Argo",
        "success-rate: count is left out", "success-rate: initialDelay is left out",
    ):  # fmt: skip
        assert part in said


@pytest.mark.parametrize(
    ("name", "condition", "query", "expected"),
    [
        ("success-rate", "result[0] >= 1", "", ("error_rate", None, "> 0%")),  # nobody asks for a success of 1%
        ("success-rate", "result[0] == 1", "", ("error_rate", None, "> 0%")),
        ("errors", "result[0] == 0", "sum(increase(requests{code=~'5..'}[1m]))", ("errors", "sum", "> 0")),
        ("errors", "result[0] <= 5", "sum(increase(requests{code=~'5..'}[2m]))", ("errors", "sum", "> 5")),
        ("errors", "result[0] < 0.5", "sum(rate(requests{code=~'5..'}[2m]))", ("errors", "sum", ">= 60")),  # a second
        ("errors", "result[0] < 0.5", "sum(rate(bad[2m])) / sum(rate(query_total[2m]))", ("error_rate", None, ">= 50%")),
        ("latency", "result[0] < 0.2", "histogram_quantile(0.5, sum(rate(x_seconds_bucket[5m])) by (le))",
         ("duration", "p50", ">= 0.2 s")),
        ("latency", "result[0] < 25", "histogram_quantile(0.999, sum(rate(x_seconds_bucket[5m])))", ("duration", "p99.9", ">= 25 s")),
        ("latency", "result[0] < 15", "avg(x_milliseconds) * 1000", ("duration", "average", ">= 15 ms")),
        ("p95_latency", "result[0] < 500", "x", ("duration", "p95", ">= 0.5 s")),
        ("latency-p999", "result[0] < 500", "x", ("duration", "p99.9", ">= 0.5 s")),
    ],
)  # fmt: skip
def test_what_a_query_measures_is_guessed_by_its_words(
    name: str, condition: str, query: str, expected: tuple[str, str | None, str], tmp_path: Path
) -> None:
    metric = {
        "name": name, "interval": "2m", "successCondition": condition,
        "provider": {"prometheus": {"address": "http://a/b", "query": query}},
    }  # fmt: skip
    template = {"kind": "AnalysisTemplate", "metadata": {"name": "checks"}, "spec": {"metrics": [metric]}}
    rollout = next(iter(yaml.safe_load_all(ROLLOUT)))
    loaded, _ = imported(tmp_path, yaml.safe_dump_all([rollout, template]))
    (alarm,) = loaded.alarms.values()
    metric_of, statistic, threshold = expected
    assert (alarm.metric, alarm.threshold) == (metric_of, threshold)
    assert statistic is None or alarm.statistic == statistic
