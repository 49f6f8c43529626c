"""SAM templates that are not what they seem: a message, never a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.templates.sam import from_sam


def template(routing: Any = None, **more: Any) -> dict[str, Any]:
    preference = {"Type": {"Ref": "Config"}} if routing is not None else {"Type": "AllAtOnce"}
    properties = {"AutoPublishAlias": "live", "DeploymentPreference": preference}
    config = {"Type": "AWS::CodeDeploy::DeploymentConfig", "Properties": {"TrafficRoutingConfig": routing}}
    resources = {"F": {"Type": "AWS::Serverless::Function", "Properties": properties}, "Config": config}
    return {"Resources": resources, **more}


@pytest.mark.parametrize("value", [{"x": 5}, [1], None, "x", 1e300, True])
def test_a_routing_that_is_no_number(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    inner = {"LinearInterval": value, "LinearPercentage": 10}
    path.write_text(to_yaml(template({"Type": "TimeBasedLinear", "TimeBasedLinear": inner})))
    if value is True:  # YAML's true is 1 to CloudFormation's whole numbers, too
        from_sam(path)
        return
    with pytest.raises(ScenarioError, match=r"LinearInterval|interval"):
        from_sam(path)


def test_conditions_in_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    conditions = {"A": {"Fn::Not": [{"Condition": "B"}]}, "B": {"Fn::Not": [{"Condition": "A"}]}}
    written = template(Conditions=conditions)
    written["Resources"]["F"]["Condition"] = "A"
    path.write_text(to_yaml(written))
    with pytest.raises(ScenarioError, match="the condition A refers to itself"):
        from_sam(path)


@pytest.mark.parametrize(("content", "what"), [(b"\xff\xfe", "is not UTF-8 text"), (b"[" * 9999, "nested too deeply")])
def test_files_that_cfn_lint_is_not_given(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=what):
        from_sam(path)
