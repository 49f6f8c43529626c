"""Each part of a scenario file has an example that is valid, and every field can be explained by its path."""

from __future__ import annotations

import json

import jsonschema
import pytest
from builders import data
from command import call

from rollout_sim.errors import ScenarioError
from rollout_sim.scenario import reference
from rollout_sim.scenario.json_schema import json_schema
from rollout_sim.scenario.reference import explained
from rollout_sim.scenario.scenario import Scenario

SCHEMA = json_schema()


@pytest.mark.parametrize("name", SCHEMA["$defs"])
def test_a_part_has_an_example_that_is_valid(name: str) -> None:
    (example,) = json.loads(json.dumps(SCHEMA["$defs"][name]["examples"]))
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})
    assert [error.message for error in validator.iter_errors(example)] == []


@pytest.mark.parametrize("name", SCHEMA["$defs"])
def test_every_field_of_every_part_can_be_explained(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the path to the part, over all ways that lead from the root."""
    monkeypatch.setattr(reference, "json_schema", lambda: SCHEMA)
    paths = {
        "Scenario": "", "Rollout": "rollout", "Users": "traffic[0].users", "VersionSpec": "function.versions.2",
        "Leak": "function.versions.1.faults.leak", "Alarm": "alarms.my-alarm", "LatencySli": "slos.sli",
        "Hook": "strategies.hooks.before_allow_traffic", "Severity": "goal.catch.of",
    }  # fmt: skip
    if name not in paths:
        return
    for field, shown in SCHEMA["$defs"][name]["properties"].items():
        text = " ".join(" ".join(explained(f"{paths[name]}.{field}", 100)).split())
        assert text.startswith(f"{paths[name]}.{field}: {' '.join(shown['description'].replace('`', '').split())}")


def test_an_explanation_says_meaning_default_type_and_example() -> None:
    assert explained("traffic.arrivals.diurnal.peak", 100) == [
        "traffic.arrivals.diurnal.peak: When the first peak is, counted from the simulation's start. (default",
        "  0 s: duration)",
        "  peak: 14 h",
    ]
    assert max(map(len, explained("strategies", 70))) <= 70


@pytest.mark.parametrize(
    "path", ["bogus", "traffic.arival", "horizon.x", "alarms.a.b.c", "traffic[0].arrivals.poisson.5"]
)
def test_a_field_that_there_is_not_is_refused_with_those_that_there_are(path: str) -> None:
    if path.endswith("5"):
        assert explained(path, 100)  # numbers of a list may stand anywhere
        return
    with pytest.raises(ScenarioError, match=r"has no field .*; allowed "):
        explained(path, 100)


def test_the_command_explains(small) -> None:
    done = call("explain", "traffic.arrivals", cwd=small.parent)
    assert done.returncode == 0
    assert "diurnal  A rate that swings" in done.stdout
    assert "{poisson: 50/s}" in done.stdout
    wrong = call("explain", "traffic.arival", cwd=small.parent)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean 'arrivals'?" in wrong.stderr


@pytest.mark.parametrize(
    ("arrivals", "message"),
    [
        (
            {"diurnal": "30/s"},
            "needs a mapping of fields, got '30/s'; for example {mean: 30/s, amplitude: 40%, peak: 14 h}",
        ),
        ({"diurnal": {}}, "amplitude: is missing; for example amplitude: 40%"),
        ({"trace": {"file": "x"}}, "layout: is missing; allowed azure2019, azure2021, counts, timestamps"),
    ],
)
def test_messages_say_what_would_be_right(arrivals: dict[str, object], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_dict(data(traffic=[{"source": "http", "alias": "prod", "arrivals": arrivals}]))
    assert message in str(caught.value)
