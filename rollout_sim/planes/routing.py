"""Where the aliases send their traffic: what the scenario's promotions and the rollout's weight make of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from rollout_sim.function.lambda_api import LATEST, Alias, set_weights
from rollout_sim.scenario.scenario import Scenario


def pointing(scenario: Scenario, alias: str, t: float) -> str:
    """The version that an alias points to at `t` (s), a promotion of that instant included, apart from the rollout."""
    moved = sorted((p.at, i) for i, p in enumerate(scenario.promotions) if p.alias == alias and p.at <= t)
    return scenario.promotions[moved[-1][1]].to if moved else scenario.function.points_to(alias)


class Routing:
    """The aliases of one run, for a plane that routes invocation by invocation.

    `aliases` are live objects by name: a plane may keep them, and asks them where an invocation goes (`Alias.route`).
    """

    def __init__(self, scenario: Scenario) -> None:
        self.aliases = {
            name: Alias(name=name, function_version=scenario.function.points_to(name), description="", revision_id="")
            for name in (*scenario.function.aliases, *([LATEST] if scenario.bypassed else []))
        }
        self._scenario = scenario

    def stretches(self, start: float, end: float, weight: float) -> Iterator[float]:
        """Cuts [start, end) at the promotions and yields the end of each part while the aliases stand as they do in it.

        `weight` is the new version's share of the rollout's alias.
        """
        cuts = sorted({p.at for p in self._scenario.promotions if start < p.at < end})
        for begin, stop in pairwise([start, *cuts, end]):
            self._point(begin, weight)
            yield stop

    def _point(self, t: float, weight: float) -> None:
        scenario = self._scenario
        for name, alias in self.aliases.items():
            alias.function_version = pointing(scenario, name, t)
            set_weights(alias, {})
            if name == scenario.alias and weight > 0:
                assert scenario.new is not None
                alias.function_version = scenario.new if weight == 1 else scenario.old
                set_weights(alias, {} if weight == 1 else {scenario.new: weight})
