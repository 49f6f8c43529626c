"""Environments that come and go by themselves in one run of a per-invocation plane: managed instances, provisioned concurrency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollout_sim.core.units import tick
from rollout_sim.function.lambda_api import Alias
from rollout_sim.function.managed import Scaling
from rollout_sim.scenario.scenario import Scenario


class Allocations:
    """Whose the provisioned concurrency of the aliases is in one run.

    `held` says which version has that of an alias, `due` when (s) which version has what is being allocated.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._given = scenario.function.provisioned
        self.held: dict[str, str] = {}
        self.due = {alias: (0.0, scenario.function.points_to(alias)) for alias in self._given}

    def taken_away(self, t: float, aliases: Mapping[str, Alias]) -> Iterator[tuple[str, int]]:
        """The versions that lose so many environments at `t` (s), when the aliases come to stand so; what they left for is due.

        An alias with weights keeps what its first version has.
        """
        for name, given in self._given.items():
            alias, version = aliases[name], aliases[name].function_version
            has = self.due[name][1] if name in self.due else self.held[name]
            if alias.additional_version is not None or version == has:
                continue
            if name in self.held:
                yield self.held.pop(name), given.environments
            self.due[name] = (tick(t + given.allocation), version)

    def allocated(self, t: float) -> Iterator[tuple[str, int]]:
        """The versions that have so many environments more from `t` (s) on."""
        for name, (due, version) in list(self.due.items()):
            if due <= t:
                del self.due[name]
                self.held[name] = version
                yield version, self._given[name].environments


def instants(scenario: Scenario, start: float, end: float, allocations: Allocations) -> Iterator[float]:
    """The times (s) in (start, end) at which the number of environments may change, in order; then `end`."""
    managed = scenario.function.managed
    if managed is not None:
        yield from managed.instants(start, end)
        return
    yield from sorted({due for due, _ in allocations.due.values() if start < due < end})
    yield end


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
