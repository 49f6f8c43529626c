"""Rollouts of a template: what a change of the scenario is called in it, and on which line its parts stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import scenario

from rollout_sim.formats.rollouts import TemplateFile, is_template
from rollout_sim.study.check.finding import Edit

ORIGIN = TemplateFile(path=Path("template.yaml"), line=7, alarms={"errors": 30})


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("alarms", "errors", "datapoints"), "2 of 3", "errors: EvaluationPeriods 3, DatapointsToAlarm 2"),
        (("alarms", "errors", "threshold"), "> 5", "errors: Threshold 5"),
        (("alarms", "errors", "threshold"), ">= 5", "errors: Threshold 5, ComparisonOperator GreaterThanOrEqualToThreshold"),
        (("alarms", "errors", "missing"), "not_breaching", "errors: TreatMissingData notBreaching"),
        (("alarms", "errors", "period"), "60 s", "errors: Period 60"),
        (
            ("alarms", "errors", "of"),
            "new_version",
            "errors: the dimension ExecutedVersion, with the new version's number, besides FunctionName and Resource",
        ),
        (("rollout", "alarms"), ["errors", "slow"], "DeploymentPreference.Alarms: errors, slow"),
        (("strategies", "x"), {"type": "Canary10Percent30Minutes"}, "DeploymentPreference.Type: Canary10Percent30Minutes"),
        (
            ("strategies", "x"),
            {"type": "TimeBasedCanary", "CanaryPercentage": 50, "CanaryInterval": 30},
            (
                "DeploymentPreference.Type: a deployment configuration of your own, TimeBasedCanary with CanaryPercentage 50, "
                "CanaryInterval 30"
            ),
        ),
        (
            ("strategies", "x"),
            {"type": "AllAtOnce", "hooks": {"before_allow_traffic": {"invocations": 30, "over": "1 min"}}},
            "DeploymentPreference.Type: AllAtOnce, Hooks.PreTraffic: 30 calls over 1 min",
        ),
        (("function", "reserved_concurrency"), 77, "ReservedConcurrentExecutions: 77"),
        (("function", "versions", "2", "provisioned"), 5, "ProvisionedConcurrencyConfig.ProvisionedConcurrentExecutions: 5"),
        (("traffic", 0, "alias"), "live", "traffic[0].alias: live"),
    ],
)  # fmt: skip
def test_a_change_in_the_words_of_cloudformation(where, value, words) -> None:
    assert ORIGIN.spell(scenario(), Edit(where=where, value=value)) == words


def test_a_new_alarm_is_described() -> None:
    alarm = {
        "metric": "errors",
        "of": "new_version",
        "threshold": "> 0",
        "datapoints": "2 of 3",
        "missing": "not_breaching",
    }
    text = ORIGIN.spell(scenario(), Edit(where=("alarms", "new-version"), value=alarm))
    assert text.startswith("a new alarm new-version: sum of errors > 0 with the dimensions FunctionName, Resource and")
    assert text.endswith("EvaluationPeriods 3, DatapointsToAlarm 2, TreatMissingData notBreaching")


def test_alarms_have_lines_of_their_own() -> None:
    assert ORIGIN.place(("alarms", "errors")).line == 30
    assert ORIGIN.place(("alarms", "other")).line == 7
    assert str(ORIGIN.place(("rollout",))) == "template.yaml:7"


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Resources:\n  A: {}\n", True),
        ('{"Resources": {}}', True),
        ('{\n "AWSTemplateFormatVersion": "2010-09-09",\n "Resources": {}\n}', True),
        ("name: x\nfunction: {}\n", False),
        ("name: Resources\n", False),
    ],
)
def test_a_template_is_told_from_a_scenario(text, template, tmp_path) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert is_template(path) is template
