"""What the own classes of a scenario break of their protocols: found when it is loaded, not in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from rollout_sim.faults import Fault
from rollout_sim.own_arrivals import check_expected
from rollout_sim.own_faults import unfolded

if TYPE_CHECKING:
    from rollout_sim.document import Where
    from rollout_sim.scenario import Scenario


def own_problems(scenario: Scenario) -> list[tuple[Where, str]]:
    """Where and what, as the classes themselves (ValueError) or their protocols say it."""
    found: list[tuple[Where, str]] = []
    for where, check in _checks(scenario):
        try:
            check()
        except ValueError as error:
            found.append((where, str(error)))
    return found


def _checks(scenario: Scenario) -> Iterator[tuple[Where, Callable[[], object]]]:
    for i, source in enumerate(scenario.traffic):
        own = source.arrivals.own
        if hasattr(own, "expected"):
            yield ("traffic", i, "arrivals", "own"), partial(check_expected, own, scenario.horizon)
    faults: list[tuple[Where, tuple[Fault, ...]]] = [(("incident",), scenario.incident)]
    faults += [(("function", "versions", n, "faults"), spec.faults) for n, spec in scenario.function.versions.items()]
    for where, given in faults:
        for j, fault in enumerate(given):
            if fault.own is not None:
                yield (*where, j, "own"), partial(unfolded, [fault], scenario.horizon - scenario.start)
    for name, strategy in scenario.strategies.items():
        yield ("strategies", name), partial(getattr, strategy, "plan")
