"""The JSON Schema: what editors are told is what `load` takes, and every field is explained."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from rollout_sim.core.yaml_io import read_yaml
from rollout_sim.scenario.json_schema import json_schema
from rollout_sim.scenario.template import ScenarioTemplate

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_a_scenario_is_valid_by_the_schema(path, validator) -> None:
    assert [f"{list(e.path)}: {e.message}" for e in validator.iter_errors(read_yaml(path).data)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("poisson: 50/s", "poisson: 50"),
        ("type: canary,", "type: canry,"),
        ("type: canary, ", ""),
        ("sli: errors", "sli: erors"),
        ("window: 30 d", "windows: 30 d"),
    ],
)
def test_a_mistake_is_invalid_by_the_schema(old, new, tmp_path, validator) -> None:
    text = ScenarioTemplate().text()
    assert old in text
    (tmp_path / "s.yaml").write_text(text.replace(old, new))
    assert not validator.is_valid(read_yaml(tmp_path / "s.yaml").data)


def test_every_field_is_explained_in_a_sentence() -> None:
    schema = json_schema()
    parts = {"Scenario": schema, **schema["$defs"]}
    assert [name for name, part in parts.items() if not part["description"]] == []
    # The text below the field in its dataclass.
    texts = {
        f"{name}.{key}": field["description"]
        for name, part in parts.items()
        for key, field in part["properties"].items()
    }
    assert len(texts) > 100
    assert [name for name, text in texts.items() if not (text[0].isupper() or text[0] == "`") or text[-1] != "."] == []


def test_defaults_are_written_as_a_file_writes_them() -> None:
    schema = json_schema()["$defs"]
    assert schema["FunctionSpec"]["properties"]["timeout"]["default"] == "3 s"
    assert schema["Objective"]["properties"]["window"]["default"] == "30 d"
    assert schema["Leak"]["properties"]["latency"]["default"] == "0 s"
    assert schema["Canary"]["properties"]["bake"]["description"].startswith("How long the alarms go on acting")
