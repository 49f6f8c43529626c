"""Template scenario: what a SAM template tells about a rollout as a scenario file, the unknown marked as such."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rollout_sim.artefacts.sam import Deployed, read
from rollout_sim.document import Document
from rollout_sim.scenario import Scenario
from rollout_sim.scenario_text import commented
from rollout_sim.units import text

START: Final = 600.0
"""Seconds of ordinary traffic before the rollout."""
AFTER: Final = 1800.0
"""Seconds that are simulated after the rollout."""
GUESS: Final = "GUESS: "


def from_sam(
    path: Path, function: str | None = None, parameters: Mapping[str, str] | None = None
) -> tuple[str, list[str]]:
    """The scenario file of a SAM template's function, and what was left out or assumed on the way.

    Raises ScenarioError for a template that cannot be read, or whose rollout no scenario can have.
    """
    deployed = read(path, function, parameters)
    fields = {key: value for _, part in sections(deployed, 0.0) for key, value in part.items()}
    scenario = Scenario.parse(Document(data=fields, lines={}, path=path))
    length = max(strategy.plan.length for strategy in scenario.strategies.values())
    return commented(sections(deployed, length)), deployed.remarks


def sections(deployed: Deployed, length: float) -> list[tuple[str, dict[str, Any]]]:
    """The comments and fields of the scenario; `length` is how long the rollout takes (s)."""
    first: dict[str, Any] = {
        "duration": {"lognormal": {"median": "100 ms", "p99": "1 s"}}, "cold_start": "500 ms", "error_rate": "0.1%",
    }  # fmt: skip
    if deployed.provisioned:
        first["provisioned"] = deployed.provisioned
    function: dict[str, Any] = {"name": deployed.name, "timeout": text(deployed.timeout, "duration")}
    if deployed.reserved is not None:
        function["reserved_concurrency"] = deployed.reserved
    function |= {
        "versions": {"1": first, "2": {"like": "1", "faults": [{"errors": "5%"}]}},
        "aliases": {deployed.alias: "1"},
    }
    rollout: dict[str, Any] = {"alias": deployed.alias, "to": "2", "start": text(START, "duration")}
    if deployed.alarms:
        rollout["alarms"] = list(deployed.alarms)
    strategies = {str(deployed.strategy["type"]): deployed.strategy}
    head = [
        f"The rollout of {deployed.identity}, as its SAM template has it. GUESS marks what the template cannot know."
    ]
    head += [f"- {remark}" for remark in deployed.remarks]
    horizon = START + math.ceil(length / 60) * 60 + AFTER
    slo = {"name": "availability", "sli": "errors", "objective": "99.9%", "window": "30 d"}
    return [
        (
            "\n".join(head),
            {
                "name": deployed.name,
                "seed": 1,
                "horizon": text(horizon, "duration"),
            },
        ),
        (
            f"{GUESS}duration, cold start and error rate of version 1, which runs; what is wrong with version 2, which is new.",
            {"function": function},
        ),
        (f"{GUESS}how many events come, unless a schedule tells.", {"traffic": [deployed.source]}),
        (f"{GUESS}the SLO.", {"slos": [slo]}),
        ("", {"alarms": deployed.alarms} if deployed.alarms else {}),
        ("", {"rollout": rollout, "strategies": strategies}),
    ]
