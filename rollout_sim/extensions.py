"""Extension points: an arrival process, a fault and a strategy of your own, used by name from a scenario file.

Each is a frozen dataclass with its name as the field `type`, and one or two members more. Its other fields are the
fields of the file; annotated with `Seconds`, `Share`, ... they take quantities with a unit, and mistakes in them get the
usual messages.

    @register_strategy
    @dataclass(frozen=True, kw_only=True)
    class Doubling:
        type: Literal["doubling"] = "doubling"
        first: Percent
        hold: Seconds

        # Weights that rise to 1, and how long each is held.
        @property
        def plan(self) -> Plan: ...

    @register_arrivals
    @dataclass(frozen=True, kw_only=True)
    class LunchPeak:
        type: Literal["lunch_peak"] = "lunch_peak"
        ...

        # Requests per second in the long run: a field or a property.
        @property
        def mean_rate(self) -> float: ...

        # Expected requests in [0, t), for an array of times in seconds;
        # or instead `times(self, rng)`, which yields the times.
        def expected(self, t): ...

    @register_fault
    @dataclass(frozen=True, kw_only=True)
    class Flapping:
        type: Literal["flapping"] = "flapping"
        step: ClassVar[float] = 10.0

        # What is wrong so long after the onset: built-in faults.
        # Each answer holds for `step` seconds.
        def at(self, seconds):
            return [Fault(errors=0.2)] if seconds % 180 < 30 else []

In the file they stand where the built-in ones do:

    strategies: {doubling: {type: doubling, first: 1%, hold: 2 min}}
    traffic: [{source: http, alias: prod, arrivals: {custom: {type: lunch_peak, ...}}}]
    faults: [{custom: {type: flapping}, onset: 2 min}]

The decorator makes a class known to this process, which is what a notebook needs. For the command line an installed
package names it as an entry point: `[project.entry-points."rollout_sim.strategies"] doubling = "my_package:Doubling"`, in
the same way `rollout_sim.arrivals` and `rollout_sim.faults`.

All three data planes take them, with one exception: arrivals given by `times` come one by one, while the aggregate plane
draws counts, so it refuses them and says so. A fault of your own becomes built-in ones, at most `MAX_PIECES` of them.
"""

from __future__ import annotations

from rollout_sim.control.strategies import Hook, Plan, Step, Strategy
from rollout_sim.core.fields import Factor, Percent, PositiveRate, PositiveSeconds, PositiveShare, Seconds, Share
from rollout_sim.core.registry import ARRIVALS, FAULTS, STRATEGIES
from rollout_sim.function.faults import MAX_PIECES, CustomFault, Fault, Slowdown
from rollout_sim.traffic.source import ArrivalTimes, ExpectedArrivals

__all__ = [
    "MAX_PIECES",
    "ArrivalTimes",
    "CustomFault",
    "ExpectedArrivals",
    "Factor",
    "Fault",
    "Hook",
    "Percent",
    "Plan",
    "PositiveRate",
    "PositiveSeconds",
    "PositiveShare",
    "Seconds",
    "Share",
    "Slowdown",
    "Step",
    "Strategy",
    "register_arrivals",
    "register_fault",
    "register_strategy",
]

register_strategy = STRATEGIES
"""Registers a `Strategy`: anything with a `plan`."""
register_arrivals = ARRIVALS
"""Registers an `ExpectedArrivals` or `ArrivalTimes`."""
register_fault = FAULTS
"""Registers a `CustomFault`."""
