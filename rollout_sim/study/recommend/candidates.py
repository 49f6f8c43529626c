"""Candidates: the strategies and alarms among which `recommend` searches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from rollout_sim.control.alarms import Alarm, describe
from rollout_sim.control.codedeploy import shortcoming
from rollout_sim.control.metrics import Scope
from rollout_sim.control.readings import Metric
from rollout_sim.control.strategies import (
    HOOK_LIMIT,
    PREDEFINED,
    AllAtOnce,
    BlueGreen,
    Canary,
    Hook,
    Hooks,
    Linear,
    Plan,
    Predefined,
    Step,
    Steps,
)
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.formatting import show_duration
from rollout_sim.scenario.goals import DeployWith
from rollout_sim.scenario.scenario import Scenario

MINUTE: Final = 60.0
PERCENTS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
INTERVALS: Final = (2.0, 5.0, 10.0, 15.0, 30.0)
BAKES: Final = (5.0, 10.0, 30.0)
"""Minutes."""
TESTS: Final = ((30, 60.0, 0), (100, 120.0, 1), (300, 300.0, 3))
"""Tests before blue/green switches, besides its ten: how many, over how many seconds at least, and how many may fail."""
ERROR_COUNTS: Final = (0, 1, 2, 5, 10, 20, 50)
ERROR_SHARES: Final = (0.005, 0.01, 0.02, 0.05, 0.1)
SLOWER: Final = (1.2, 1.5, 2.0, 3.0)
"""Limits of a p99 alarm, as multiples of the old version's own p99."""
LONG: Final = 300.0
"""The period (s) that is tried besides a minute, where a minute has few requests to count."""
LONG_COUNTS: Final = (0, 1, 2, 5, 10)
GUARDS: Final = (20, 100)
"""Requests that a guard asks for, where a minute has few requests to count."""
DATAPOINTS: Final = ("1 of 1", "2 of 2", "2 of 3", "3 of 3")
SCOPES: Final[tuple[Scope, ...]] = ("new_version", "alias")
ALARM_NAME: Final = "recommended"
OBVIOUS: Final = ("Canary10Percent5Minutes", "AllAtOnce")
"""CodeDeploy's names of the strategies that every recommendation is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A strategy with the alarm that watches it."""

    name: str
    """The strategy's name, as `Scenario.strategies` would have it."""
    strategy: Any
    """The strategy, of one of the classes of `control.strategies` or a registered one."""
    alarm: Alarm | None
    """The only alarm that stops the rollout; None keeps the file's own alarms."""
    complexity: int
    """How much there is to set up: 0 for what the file has or what is a name to enter, more for each thing beyond that."""

    def watched_by(self, alarm: Alarm) -> Candidate:
        """The same strategy with an alarm of its own, which has to be set up too."""
        return replace(self, alarm=alarm, complexity=self.complexity + 1)

    @property
    def plan(self) -> Plan:
        """The strategy's plan."""
        plan: Plan = self.strategy.plan
        return plan

    @property
    def alarm_text(self) -> str:
        """The alarm for people."""
        return "as in the file" if self.alarm is None else describe(self.alarm)

    @property
    def label(self) -> str:
        """Strategy and alarm."""
        return self.name if self.alarm is None else f"{self.name}, {self.alarm_text}"


def strategies(scenario: Scenario, *, tested: bool = False) -> list[Candidate]:
    """The strategies to choose from, each with the file's own alarms, wherever the file's horizon lies.

    The file's own strategies come first, under their names. Where a canary sees too few failures (`tested`), there
    are more tests before a switch to choose from.
    """
    candidates = {
        name: Candidate(name=name, strategy=strategy, alarm=None, complexity=0)
        for name, strategy in scenario.strategies.items()
    }
    known = [candidate.plan for candidate in candidates.values()]
    for name, strategy, complexity in _grid(_longest(scenario) if tested else math.inf):
        plan = strategy.plan
        if plan not in known:
            known.append(plan)
            candidates[name] = Candidate(name=name, strategy=strategy, alarm=None, complexity=complexity)
    return list(candidates.values())


def obvious(scenario: Scenario) -> list[Candidate]:
    """The strategies that everybody thinks of, under the file's names for them, with the file's alarms."""
    candidates = []
    for predefined in OBVIOUS:
        strategy = Predefined(type=predefined)
        same = {name: own for name, own in scenario.strategies.items() if own.plan == strategy.plan}
        name, chosen = next(iter(same.items()), (predefined, strategy))
        candidates.append(Candidate(name=name, strategy=chosen, alarm=None, complexity=0))
    return candidates


def _grid(longest: float) -> Iterator[tuple[str, Any, int]]:
    """Names, strategies and complexities; a test before a switch takes at most `longest` (s)."""
    for name in PREDEFINED:
        yield name, Predefined(type=name), 0
    for percent, minutes, bake in itertools.product(PERCENTS, INTERVALS, (0.0, 10.0)):
        name = f"canary {percent:.0%} for {show_duration(minutes * MINUTE)}"
        watched = Canary(percent=percent, interval=minutes * MINUTE, bake=bake * MINUTE)
        yield name + _baking(bake), watched, 1 + bool(bake)
    for tests, least, failures in TESTS:
        over = max(least, 2 * tests * longest)  # the last test starts half a test's time before the hook is judged
        if over > HOOK_LIMIT:
            continue
        hooks = Hooks(before_allow_traffic=Hook(invocations=tests, over=over, max_failures=failures))
        few = f" (at most {failures} failed)" if failures else ""
        yield f"all at once with {tests} tests{few}", AllAtOnce(hooks=hooks), 1  # CodeDeploy has tests, and no bake
        for bake in BAKES:
            yield f"blue/green with {tests} tests{few}{_baking(bake)}", BlueGreen(hooks=hooks, bake=bake * MINUTE), 2
    for bake in BAKES:
        yield f"all at once{_baking(bake)}", AllAtOnce(bake=bake * MINUTE), 1
        yield f"blue/green{_baking(bake)}", BlueGreen(bake=bake * MINUTE), 2
    for percent, minutes in itertools.product((0.1, 0.2, 0.25), (1.0, 2.0, 5.0, 10.0)):
        name = f"linear {percent:.0%} every {show_duration(minutes * MINUTE)}"
        yield name, Linear(percent=percent, interval=minutes * MINUTE), 2
    for weights, minutes in itertools.product(((0.01, 0.1), (0.05, 0.25), (0.01, 0.1, 0.5)), (2.0, 5.0, 10.0)):
        name = f"steps {', '.join(f'{w:.0%}' for w in weights)}, {show_duration(minutes * MINUTE)} each"
        yield name, Steps(steps=tuple(Step(weight=w, hold=minutes * MINUTE) for w in weights)), 3


def _longest(scenario: Scenario) -> float:
    """Seconds that hardly any test of a good version takes, its cold start included."""
    spec = scenario.function.versions[scenario.old]
    parts = (spec.duration, spec.cold_duration or spec.cold_start)
    return math.fsum(float(part.ppf(_share(0.9999))[0]) for part in parts if part is not None)


def _baking(minutes: float) -> str:
    return f", bake {show_duration(minutes * MINUTE)}" if minutes else ""


def alarms(scenario: Scenario, *, latency: bool, few: bool = False) -> list[Alarm]:
    """The alarms to choose from: on errors, or (`latency`) on the p99 of the duration.

    Where a minute has few requests to count (`few`), also those with a period of five minutes, and with guards on shares.
    """
    lag = max((scenario.alarms[name].lag for name in scenario.evaluated), key=_mean, default=0.0)
    base = float(scenario.function.versions[scenario.old].duration.ppf(_share(0.99))[0]) if latency else 0.0
    slower = [f"> {round(base * times * 1000)} ms" for times in SLOWER]
    shares = [f"> {share * 100:g}%" for share in ERROR_SHARES]

    def limits(counts: tuple[int, ...]) -> Iterator[tuple[Metric, str, str, tuple[int, ...]]]:
        """Metric, statistic, threshold, and the guards that it may have."""
        guards = (0, *GUARDS) if few else (0,)
        if latency:
            yield from (("duration", "p99", threshold, guards) for threshold in slower)
            return
        yield from (("errors", "sum", f"> {count}", (0,)) for count in counts)
        yield from (("error_rate", "average", threshold, guards) for threshold in shares)

    long = [(LONG, "1 of 1", LONG_COUNTS)] if few else []
    return [
        Alarm(
            metric=metric, statistic=statistic, of=of, threshold=threshold, datapoints=datapoints, period=period,
            at_least=f"{guard} requests" if guard else None, missing="not_breaching", lag=lag,
        )
        for of in SCOPES
        for period, datapoints, counts in (*((MINUTE, points, ERROR_COUNTS) for points in DATAPOINTS), *long)
        for metric, statistic, threshold, guards in limits(counts)
        for guard in guards
    ]  # fmt: skip


def _mean(lag: float | Distribution) -> float:
    return lag.mean if isinstance(lag, Distribution) else lag


def _share(value: float) -> Any:
    import numpy as np

    return np.array([value])


def undeployable(plan: Plan, deploy_with: DeployWith) -> str | None:
    """Why `deploy_with` cannot carry out the plan as it is, or None where it can."""
    if deploy_with == "codedeploy":
        return shortcoming(plan)
    hooked = plan.before is not None or plan.after is not None
    return "Argo Rollouts has no hooks of its own" if deploy_with == "argo" and hooked else None


def with_candidates(scenario: Scenario, candidates: list[Candidate]) -> Scenario:
    """The scenario with the candidates' strategies, under their names, and the alarm that all of them share."""
    assert scenario.rollout is not None
    chosen = {candidate.name: candidate.strategy for candidate in candidates}
    alarm = candidates[0].alarm
    if alarm is None:
        return replace(scenario, strategies=chosen)
    return replace(
        scenario,
        strategies=chosen,
        alarms={**scenario.alarms, ALARM_NAME: alarm},
        rollout=replace(scenario.rollout, alarms=(ALARM_NAME,)),
    )
