"""Versions on managed instances in one run of a per-invocation plane: the environments that each of them has."""

from __future__ import annotations

from collections.abc import Iterator

from rollout_sim.function.managed import Scaling
from rollout_sim.scenario.scenario import Scenario


def instants(scenario: Scenario, start: float, end: float) -> Iterator[float]:
    """The times (s) in (start, end) at which the number of environments may change, in order; then `end`."""
    managed = scenario.function.managed
    return iter((end,)) if managed is None else managed.instants(start, end)


def scalings_of(scenario: Scenario) -> dict[str, Scaling]:
    """The environments of each version at time 0; empty where the function does not run on managed instances."""
    function = scenario.function
    if function.managed is None:
        return {}
    loads = dict.fromkeys(function.versions, 0.0)
    for source in scenario.traffic:
        version = function.points_to(source.alias)
        loads[version] += scenario.expected_load(source, version, 0.0, function.managed.every)
    return {version: Scaling(function.managed, function.limits_of(version), load) for version, load in loads.items()}
