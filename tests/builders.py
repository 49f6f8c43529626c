"""Small scenarios for tests, as the data that a file would hold."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from rollout_sim.scenario.scenario import Scenario

BASE: dict[str, Any] = {
    "name": "small",
    "seed": 1,
    "horizon": "20 min",
    "function": {
        "name": "f",
        "timeout": "5 s",
        "versions": {
            "1": {"duration": {"exponential": {"mean": "100 ms"}}, "cold_start": "200 ms", "error_rate": "1%"},
            "2": {"like": "1", "faults": [{"errors": "20%"}]},
        },
        "aliases": {"prod": "1"},
    },
    "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "5/s"}}],
    "slos": [{"name": "availability", "objective": "99.9%"}],
    "alarms": {
        "errors": {
            "metric": "errors",
            "of": "new_version",
            "datapoints": "2 of 2",
            "threshold": "> 2",
            "missing": "not_breaching",
        }
    },
    "rollout": {"alias": "prod", "to": "2", "start": "5 min", "alarms": ["errors"]},
    "strategies": {
        "instant": {"type": "all_at_once", "bake": "5 min"},
        "canary": {"type": "canary", "percent": 10, "interval": "5 min"},
        "linear": {"type": "linear", "percent": 25, "interval": "2 min"},
    },
}


def data(**changes: Any) -> dict[str, Any]:
    """`BASE` with other values; a key such as `function__timeout` reaches inside, None removes."""
    result = deepcopy(BASE)
    for key, value in changes.items():
        *path, last = key.split("__")
        place = result
        for part in path:
            place = place[part]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return result


def scenario(**changes: Any) -> Scenario:
    """The scenario of `data(**changes)`."""
    return Scenario.from_dict(data(**changes), path="test.yaml")


def steady(**changes: Any) -> Scenario:
    """The same without a rollout: what the alias points to at the start, for the whole horizon."""
    return scenario(rollout=None, strategies=None, alarms=None, **changes)
