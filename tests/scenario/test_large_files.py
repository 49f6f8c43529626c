"""A file of a hundred kilobytes loads in a second or is refused, whatever is in it, and its message can be read."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from builders import data

from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.scenario import Scenario

SECONDS = 6.0
"""CPU seconds: a second on an idle machine, and room for a busy one, whose processors are shared."""


def many(count: int, value: Any, first: int = 0) -> dict[str, Any]:
    return {str(number): value for number in range(first, first + count)}


CHAIN = {"1": {"duration": "1 s"}} | {str(number): {"like": str(number - 1)} for number in range(2, 4000)}
WATCH = {"metric": "errors", "threshold": "> 2"}
LARGE: dict[str, dict[str, Any]] = {
    "strategies": {"strategies": many(1500, {"type": "canary", "percent": 10, "interval": "5 min"})},
    "misspelt strategies": {"strategies": many(1500, {"type": "canary", "percnt": 10, "interval": "5 min"})},
    "unknown strategies": {"strategies": many(1500, {"type": "canry"})},
    "faults": {"function__versions__2": {"like": "1", "faults": [{"errors": "20%"}] * 4500}},
    "misspelt faults": {"incident": [{"errrors": "20%"}] * 4500},
    "versions like one another": {"function__versions": CHAIN},
    "the same backwards": {"function__versions": dict(reversed(CHAIN.items()))},
    "unknown alarms": {"alarms": many(1000, WATCH), "rollout__alarms": list(many(4000, 0, 10_000))},
    "unknown fields": many(5000, {"a": 1}),
    "SLOs": {"slos": [{"name": str(number), "objective": "99%"} for number in range(2500)]},
    "misspelt SLIs": {"slos": [{"name": "a", "objective": "99%", "sli": {"latncy": "1 s"}}] * 1800},
}
FLOWS = {
    "flow lists": "a: [" + "[[[[[[[[1]]]]]]]]," * 5200 + "]",
    "deep flow lists": "a: [" + ("[" * 40 + "]" * 40 + ",") * 1200 + "]",
    "single values": "a: [" + "1," * 50_000 + "]",
    "flow mappings": "a: [" + "{errors: 4%, onset: 2 min}, " * 3500 + "]",
    "open brackets": "a: " + "{" * 100_000,
}


def load(path: Path) -> str:
    """The message; empty where the file loads."""
    Scenario.from_dict(data())  # what is made once
    began = time.process_time()
    try:
        Scenario.load(path)
        message = ""
    except ScenarioError as error:
        message = str(error)
    assert time.process_time() - began < SECONDS
    return message


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.slow
def test_many_of_everything(name: str, tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(json.dumps(data(**LARGE[name])))
    message = load(path)
    assert len(message.splitlines()) <= 101
    assert ("more problems" in message) == any(word in name for word in ("misspelt", "unknown"))


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.slow
def test_many_brackets(name: str, tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(FLOWS[name])
    assert load(path).startswith(f"{path}:1: ")
