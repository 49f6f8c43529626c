"""Whether what environments share can show: the limits on them, and the time that a new one takes to start.

The aggregate plane draws counts as if there were always a free environment. Here stands how often that would be wrong, as
an upper bound on what one run expects. Let rate be the highest arrival rate, W the mean seconds of a warm invocation and C
those of a cold one, every fault at its worst.

*All cold.* Where every invocation were cold, the number running would be that of an M/G/infinity queue, Poisson with mean
rate x C, and the true number is never above it. So it is right after a shift: the version has no environment yet.

*Warm.* Once a version has taken its traffic for a while, at least as many environments are warm as run on average,
rate x (W + p (C - W)), for each is used again long before it has idled for `keep_alive`. Only what exceeds them is cold.
Above that mean the number running then moves as the all-cold one does above its own mean: the same tail, moved down by the
distance of the two means, `rate x (C - W) x (1 - p)`. A shift of the share d leaves `1 - p - d` of the distance. The
share of cold starts p is bounded by what `keep_alive` allows: between two deaths of an environment it starts once, so that
no more start within `keep_alive` than ever run at once, apart from those that a crash or a timeout destroys.

That both are bounds is shown by simulation, in tests/planes/aggregate/test_limits.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final

import numpy as np

from rollout_sim.control.strategies import Hook, Plan
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.distributions import Times
from rollout_sim.core.statistics import poisson_beyond
from rollout_sim.function.environments import SCALE_UP_WINDOW
from rollout_sim.function.faults import CRASH_DURATION, Fault
from rollout_sim.function.spec import INIT_LIMIT, VersionSpec
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.processes import ArrivalProcess

UNLIKELY: Final = 1e-4
"""Throttles, or tests with another result, expected per run below which they do not count: one in 10,000 runs."""
UNSEEN: Final = 0.03
"""How many standard deviations of the number of answers may be wrong: three of its mean over 10,000 runs."""
_SETTLED: Final = 2.0
"""After so many mean cold invocations a version's environments are warm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the traffic asks of the environments at most, every fault at its worst.

    `rate` (1/s) is the highest of all sources together, `arrivals` how many are expected in all; `warm` and `cold` are the
    mean seconds of an invocation, `destroying` the share of them that end their environment. `even` says that no
    rate jumps.
    """

    rate: float
    arrivals: float
    warm: float
    cold: float
    destroying: float
    keep_alive: float
    even: bool

    @property
    def cold_share(self) -> float:
        """The share of cold starts that the keep-alive allows at most, apart from the time after a shift."""
        at_once = poisson_beyond(UNLIKELY / max(self.arrivals, 1.0), self.rate * self.cold)
        return min(at_once / (self.rate * self.keep_alive) + self.destroying, 1.0) if self.rate > 0 else 1.0

    def blocked(self, limit: int, shift: float = 0.0) -> float:
        """The share of arrivals that find `limit` invocations running, at most; after a shift of this share of the traffic."""
        from scipy.special import gammainc

        left = max(1.0 - self.cold_share - shift, 0.0) if self.even else 0.0
        mean = self.rate * self.cold
        moved = limit + self.rate * (self.cold - self.warm) * left
        # P(Poisson(mean) >= moved), which need not be whole; below the mean nothing is said about the number running.
        return float(gammainc(moved, mean)) if limit > 0 and moved > mean else 1.0

    def new_environments(self) -> float:
        """How many environments start within `SCALE_UP_WINDOW` at most, but in one of 1 / `UNLIKELY` runs."""
        within = self.rate * SCALE_UP_WINDOW
        mean = self.rate * self.cold * (1 + SCALE_UP_WINDOW / self.keep_alive) + within * self.destroying
        return poisson_beyond(UNLIKELY / max(self.arrivals, 1.0), min(mean, within))

    def starting(self) -> float:
        """Environments that start per second in the long run, at most."""
        usual = 1 / max(self.rate * self.keep_alive, 2.0)
        at_once = 1.0 + poisson_beyond(usual, self.rate * self.warm)
        return min(at_once / self.keep_alive + self.rate * self.destroying, self.rate)


def of_limits(scenario: Scenario, processes: list[ArrivalProcess]) -> list[str]:
    """The reasons why environments that are scarce, cold or still starting could show in what is counted."""
    demand = demand_of(scenario, processes)
    return [*_of_throttles(scenario, demand), *_of_hooks(scenario, demand), *_of_horizon(scenario, demand)]


def demand_of(scenario: Scenario, processes: list[ArrivalProcess]) -> Demand:
    """What the traffic of `processes` asks for at most, whichever version it meets."""
    function = scenario.function
    behaviours = [
        (spec, together)
        for number, spec in function.versions.items()
        for together in _at_once(scenario.faults_of(number))
    ]
    times = [_holding_times(function.timeout, spec, together) for spec, together in behaviours]
    warm = max(warm for warm, _ in times)
    return Demand(
        rate=math.fsum(process.highest_rate(scenario.horizon) for process in processes),
        arrivals=math.fsum(process.mean_count(0.0, scenario.horizon) for process in processes),
        warm=warm,
        cold=warm + max(cold - warm for warm, cold in times),
        destroying=min(max(_destroying(function.timeout, spec, together) for spec, together in behaviours), 1.0),
        keep_alive=function.keep_alive,
        even=all(source.arrivals.trace is None and source.arrivals.custom is None for source in scenario.traffic),
    )


def _of_throttles(scenario: Scenario, demand: Demand) -> list[str]:
    function, plans = scenario.function, _plans(scenario)
    tests = max((_tests_at_once(scenario, hook) for plan in plans for hook in _hooks(plan)), default=0)
    limit = function.concurrency - _provisioned(scenario)
    while_warming = demand.rate * demand.cold * _SETTLED
    throttles = demand.arrivals * demand.blocked(limit - tests) + while_warming * max(
        math.fsum(demand.blocked(limit - tests, shift) for shift in [*_upheavals(scenario), *shifts])
        for shifts in ([], *(_shifts(plan) for plan in plans))
    )
    reasons = []
    if throttles > UNLIKELY:
        load = demand.rate * demand.cold
        left = f", which leaves {limit} beside the provisioned environments," if limit < function.concurrency else ""
        reasons.append(
            f"the concurrency of {function.concurrency}{left} can bind (up to {load:.3g} would run on average)"
        )
    if demand.new_environments() + tests > function.scale_up:
        reasons.append(f"the scale-up rate of {function.scale_up} environments per {SCALE_UP_WINDOW:g} s can bind")
    return reasons


def _upheavals(scenario: Scenario) -> list[float]:
    """Shares of the traffic that may find no warm environment at once, apart from the plans' shifts.

    All of it at the start, after a rollback, a page or a promotion, and when a fault makes invocations longer or shorter.
    """
    lasting = {
        t
        for number in scenario.function.versions
        for fault in scenario.faults_of(number)
        for t in (fault.onset, fault.until)
        if fault.kind in ("latency", "crash", "hang") and t is not None
    }
    back = (scenario.rollout is not None) + (scenario.on_call is not None)
    return [1.0] * (1 + back + len(scenario.promotions) + len(lasting))


def _provisioned(scenario: Scenario) -> int:
    """Environments that are taken out of the concurrency, the versions' and aliases' own and those of the plan with the most."""
    own = sum(spec.provisioned for spec in scenario.function.versions.values())
    own += sum(provisioned.environments for provisioned in scenario.function.provisioned.values())
    return own + max((plan.provisioned for plan in _plans(scenario)), default=0)


def _shifts(plan: Plan) -> list[float]:
    """The share of the traffic that each step of a plan moves."""
    return [b - a for a, b in pairwise([0.0, *(step.weight for step in plan.steps)])]


def _plans(scenario: Scenario) -> list[Plan]:
    return [] if scenario.rollout is None else [strategy.plan for strategy in scenario.strategies.values()]


def _hooks(plan: Plan) -> list[Hook]:
    return [hook for hook in (plan.before, plan.after) if hook is not None]


def _tests_at_once(scenario: Scenario, hook: Hook) -> int:
    """How many of a hook's tests run at once at most."""
    return min(hook.invocations, math.ceil(_longest_test(scenario) * hook.invocations / hook.over) + 1)


def _longest_test(scenario: Scenario) -> float:
    """Seconds that a test of a hook takes at most."""
    assert scenario.new is not None
    spec, timeout = scenario.function.versions[scenario.new], scenario.function.timeout
    longest = min(INIT_LIMIT, _highest(spec.cold_start)) + timeout
    if not any(f.hang for f in scenario.faults_of(scenario.new)):
        factor, add = _slowest(scenario.faults_of(scenario.new))
        whole = max(_highest(spec.duration), _highest(spec.cold_duration))
        longest += min(whole * factor + add - timeout, 0.0)
    return longest


def waiting_for_answers(scenario: Scenario, plan: Plan) -> float:
    """Seconds that the plan's hooks wait for answers after their time at most, but in one of 1 / `UNLIKELY` runs."""
    late = [hook for hook in _hooks(plan) if hook.answers == "always" and _late_tests(scenario, hook) > UNLIKELY]
    return len(late) * _longest_test(scenario)


def _of_hooks(scenario: Scenario, demand: Demand) -> list[str]:
    """Tests whose result depends on whether the environments that they find are warm, which the plane does not know."""
    if scenario.new is None:
        return []
    others = {alias for alias, version in scenario.function.aliases.items() if version == scenario.new}
    others |= {p.alias for p in scenario.promotions if p.to == scenario.new}
    called = any(source.alias in others for source in scenario.traffic)
    spec = scenario.function.versions[scenario.new]
    reasons = []
    for plan in _plans(scenario):
        # Without other traffic the plane itself knows which tests are cold, as long as no environment dies between them.
        before, after = plan.before, plan.after
        known = not called and not ((spec.provisioned or plan.provisioned) and demand.destroying)
        if before is not None and before.over / before.invocations > scenario.function.keep_alive:
            known = False
        if before is not None and not known and _late_tests(scenario, before) > UNLIKELY:
            reasons.append("which tests of a hook are cold is not known")
        if after is not None and demand.cold_share * _late_tests(scenario, after) > UNLIKELY:
            reasons.append("a hook's tests after the last shift may find no warm environment")
    return reasons


def _late_tests(scenario: Scenario, hook: Hook) -> float:
    """How many of a hook's tests are expected to be answered after its time if they are cold, so that it waits for them."""
    assert scenario.new is not None
    spec, timeout = scenario.function.versions[scenario.new], scenario.function.timeout
    factor, add = _slowest(scenario.faults_of(scenario.new))
    left: FloatArray = np.arange(0.5, hook.invocations) * (hook.over / hook.invocations)
    left = left[left < timeout + INIT_LIMIT]
    init = min(_highest(spec.cold_start), INIT_LIMIT)
    late = _late(spec.duration, left - init, factor, add, timeout)
    if spec.cold_duration is not None:
        late = np.maximum(late, _late(spec.cold_duration, left, factor, add, timeout))
    late = np.maximum(late, (left < timeout + init) * _hanging(scenario.faults_of(scenario.new)))
    return float(late.sum())


def _hanging(faults: tuple[Fault, ...]) -> float:
    """The share of invocations that run into the timeout because they hang, at most."""
    return 1.0 - math.prod(1.0 - fault.hang for fault in faults if fault.hang is not None)


def _late(duration: Times, left: FloatArray, factor: float, add: float, timeout: float) -> FloatArray:
    """P(an invocation takes longer than each of the seconds `left`), at most."""
    slower = 1.0 - duration.cdf((left - add) / factor) if factor > 0 else (left < add).astype(float)
    return np.where(left < timeout, slower, 0.0)


def _of_horizon(scenario: Scenario, demand: Demand) -> list[str]:
    """Cold starts that are not over at the horizon, though the plane counts their answers."""
    init = demand.cold - demand.warm
    starting = demand.starting()
    last = scenario.horizon - _SETTLED * demand.cold
    moves = [(p.at, 1.0) for p in scenario.promotions]
    for plan, start in product(_plans(scenario), scenario.starts):
        at = start + plan.allocation + (plan.before.length if plan.before is not None else 0.0)
        held = scenario.latest_end(plan) - plan.length
        for shift, step in zip(_shifts(plan), plan.steps, strict=True):
            # A step that is held may come at any time from then on.
            moves.append((max(at, min(at + held, math.nextafter(scenario.horizon, 0.0))), shift))
            at += step.hold
    starting += demand.rate * max((shift for at, shift in moves if last < at < scenario.horizon), default=0.0)
    spread = demand.rate * demand.warm if any(s.arrivals.trace for s in scenario.traffic) else demand.arrivals
    if starting * init > UNSEEN * math.sqrt(spread):
        return [f"cold starts may still run at the horizon ({starting * init:.2g} on average)"]
    return []


def _at_once(faults: tuple[Fault, ...]) -> Iterator[tuple[Fault, ...]]:
    """The faults that are there at the same time, for each instant at which one sets in; once none at all."""
    yield ()
    for t in sorted({f.onset for f in faults}):
        yield tuple(f for f in faults if f.onset <= t and (f.until is None or t < f.until))


def _holding_times(timeout: float, spec: VersionSpec, faults: tuple[Fault, ...]) -> tuple[float, float]:
    """Mean seconds that an invocation holds its environment at most, warm and cold, each of these faults at its worst."""
    hang = _hanging(faults)
    shortest = CRASH_DURATION if any(f.crash for f in faults) else 0.0

    def held(mean: float) -> float:
        for fault in faults:
            if fault.kind == "latency" and fault.latency is not None:
                mean += fault.share * (max(fault.latency.factor - 1, 0.0) * mean + fault.latency.add)
        return (1 - hang) * min(max(mean, shortest), timeout) + hang * timeout

    warm = held(spec.duration.mean)
    init = 0.0 if spec.cold_start is None else spec.cold_start.mean
    whole = 0.0 if spec.cold_duration is None else held(spec.cold_duration.mean)
    return warm, max(warm + init, whole)


def _destroying(timeout: float, spec: VersionSpec, faults: tuple[Fault, ...]) -> float:
    """The share of invocations that end their environment at most: those that crash, hang, or run into the timeout."""
    factor, add = _slowest(faults)
    late = _late(spec.duration, np.array([math.nextafter(timeout, 0.0)]), factor, add, timeout)
    return math.fsum(f.crash or f.hang or 0.0 for f in faults) + float(late[0])


def _slowest(faults: tuple[Fault, ...]) -> tuple[float, float]:
    """Factor and seconds by which these faults lengthen a duration at most."""
    factor, add = 1.0, 0.0
    for fault in faults:
        if fault.kind == "latency" and fault.latency is not None:
            factor *= max(fault.latency.factor, 1.0)
            add += fault.latency.add
    return factor, add


def _highest(distribution: Times | None) -> float:
    """The longest time (s) that a run is likely to see; 0 where there is none."""
    return 0.0 if distribution is None else float(distribution.ppf(np.array([1 - 1e-9]))[0])
