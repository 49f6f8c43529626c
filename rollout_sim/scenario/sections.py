"""The sections of a scenario as types: what a file holds, and what follows from it without reading anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.metrics import Scope, Target
from rollout_sim.control.readings import OwnMetric
from rollout_sim.control.slo import Objective
from rollout_sim.control.strategies import Hold, Plan, StrategyField
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.distributions import DurationDistribution
from rollout_sim.core.fields import PositiveSeconds, Seconds, check_count, section
from rollout_sim.core.streams import Streams
from rollout_sim.core.units import tick, ticks
from rollout_sim.core.yaml_io import suggest
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import Fault, unfolded
from rollout_sim.function.spec import FunctionSpec
from rollout_sim.scenario.goals import Goal, Risk
from rollout_sim.scenario.phases import PARTS, PhaseCodec, parts_of_period
from rollout_sim.traffic.processes import arrival_process
from rollout_sim.traffic.source import Source

Phase = Annotated[float | Literal["random"], PhaseCodec()]
_MINUTE: Final = 60.0


@section
class Rollout:
    """Which alias moves to which version, when, watched by which alarms."""

    alias: str
    """The alias that moves."""
    to: str
    """The version that it moves to."""
    start: Seconds | None = None
    """When the rollout starts, counted from the simulation's start; by default at once."""
    phase: Phase | None = None
    """By how much later than `start` it starts, to say where in a minute of the alarms: a duration, or `random`, drawn anew for
    each replication. By default 0 s where there is a `start`, else `random`."""
    alarms: tuple[str, ...] = ()
    """Names of the alarms that stop it; each in ALARM points the alias back."""
    revert: Seconds = 0.0
    """The delay from the alarm to the alias pointing back."""
    hold: Hold | None = None
    """Makes the alarms hold the weight instead of rolling back at once, as Flagger does."""


@section
class OnCall:
    """Who notices after the deployment is over: any of `alarms` pages, and `response` later the alias points back."""

    alarms: tuple[str, ...]
    """Names of the alarms that page somebody."""
    response: DurationDistribution
    """How long it takes from the page until the alias points back."""


@section
class Promotion:
    """Points `alias` to the version `to` at the simulation time `at`, all at once."""

    at: Seconds
    """When, counted from the simulation's start."""
    alias: str
    """The alias that moves."""
    to: str
    """The version that it moves to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What a scenario rolls out, with nothing left open: `Sections.deployment` makes it."""

    alias: str
    """The alias that moves."""
    old: str
    """The version that the alias points to when the rollout starts."""
    new: str
    """The version that it moves to."""
    start: float
    """When the rollout starts (s), counted from the simulation's start."""
    revert: float
    """The delay (s) from an alarm to the alias pointing back."""
    alarms: tuple[str, ...]
    """Names of the alarms that stop it."""


@section
class Check:
    """What `rollout-sim check` is told about this scenario."""

    ignore: dict[str, str] = field(default_factory=dict)
    """Codes of findings that are silenced, each with the reason."""

    def __post_init__(self) -> None:
        for code, reason in self.ignore.items():
            if not reason.strip():
                raise ValueError(f"`ignore` needs a reason for {code}, such as {{{code}: tested by hand}}")


NO_ROLLOUT: Final = "no rollout"
"""The name of the paired run that moves nothing."""
STEADY: Final = "steady"
"""The name of the run of a scenario without a rollout."""
Engine = Literal["auto", "simpy", "compiled", "aggregate"]


@section
class Sections:
    """The fields of a scenario, and what follows from them; `Scenario` adds reading and writing."""

    name: str
    """What the function or the question is called; results carry it."""
    function: FunctionSpec
    """The Lambda function: its versions and aliases."""
    traffic: tuple[Source, ...]
    """Who calls it: one or more sources."""
    horizon: PositiveSeconds
    """How long the simulation lasts."""
    description: str = ""
    """One line for people; printed above the results."""
    seed: int = 0
    """The number from which all chance is drawn; the same seed gives the same bytes."""
    engine: Engine = "auto"
    """The data plane; `auto` takes the cheapest one that is exact for the scenario."""
    slos: tuple[Objective, ...] = ()
    """The objectives whose error budgets are counted."""
    alarms: dict[str, Alarm] = field(default_factory=dict)
    """CloudWatch's alarms by name; `rollout` and `on_call` say which of them act."""
    metrics: dict[str, OwnMetric] = field(default_factory=dict)
    """Metrics of your own by name, for alarms: such as what a filter counts in log lines."""
    rollout: Rollout | None = None
    """What is rolled out, when, and watched by what. Without it the run is a steady state."""
    strategies: dict[str, StrategyField] = field(default_factory=dict)
    """The strategies to compare, by a name of your own; `type` says which kind each is."""
    incident: tuple[Fault, ...] = ()
    """Faults that hit every version alike, such as a dependency that fails; one fault or a list."""
    on_call: OnCall | None = None
    """Who reacts to a page after the deployment is over; without it nobody does."""
    promotions: tuple[Promotion, ...] = ()
    """Moves of other aliases on the way, each all at once."""
    risk: Risk | None = None
    """How releases go wrong; `recommend` weighs candidates by it."""
    goal: Goal | None = None
    """What `recommend` must keep and minimise."""
    check: Check | None = None
    """What `rollout-sim check` is told, such as the findings that it is to pass over."""

    def __post_init__(self) -> None:
        check_count("seed", self.seed, 0, 2**63 - 1)

    @property
    def alias(self) -> str:
        """The alias that the rollout moves, or the first source's."""
        return self.rollout.alias if self.rollout is not None else self.traffic[0].alias

    @property
    def start(self) -> float:
        """The rollout's start (s), 0 without one; faults, incidents and reported times count from here.

        Where the phase is drawn it is the earliest that may be: `with_phase` has that of a replication.
        """
        if self.rollout is None:
            return 0.0
        phase = self.rollout.phase
        return tick((self.rollout.start or 0.0) + (0.0 if phase is None or phase == "random" else phase))

    @property
    def phase_is_drawn(self) -> bool:
        """Whether each replication starts somewhere else in a period of the alarms."""
        if self.rollout is None:
            return False
        return self.rollout.phase == "random" or (self.rollout.phase is None and self.rollout.start is None)

    @property
    def period_of_phases(self) -> float:
        """The time (s) over which the phase is drawn: a minute, or the longest step of an alarm's periods on the clock."""
        return max([_MINUTE, *(alarm.step for alarm in self.alarms.values() if alarm.composite is None)])

    def phases(self, seed: int, replications: IntArray) -> FloatArray:
        """The phase (s) that is drawn for each of the `replications` of a `seed`, 0 where the file fixes it: of their shape."""
        if not self.phase_is_drawn:
            return np.zeros(replications.shape)
        return ticks(self.period_of_phases * parts_of_period(seed, replications))

    @property
    def starts(self) -> tuple[float, ...]:
        """The starts (s), all equally likely, that stand for those which are drawn; the only one where the file fixes it."""
        if not self.phase_is_drawn:
            return (self.start,)
        return tuple(tick(self.start + (k + 0.5) / PARTS * self.period_of_phases) for k in range(PARTS))

    def latest_end(self, plan: Plan) -> float:
        """Seconds from the rollout's start to the end of the deployment of a `plan` at the latest, when no hook waits for answers."""
        hold = self.rollout.hold if self.rollout is not None else None
        return plan.length + (0.0 if hold is None else hold.longest(plan))

    def over_by(self, plan: Plan) -> float:
        """When (s) the deployment of a `plan` is over at the latest, whatever its phase, a roll back at its end included."""
        return self.starts[-1] + self.latest_end(plan) + (self.rollout.revert if self.rollout is not None else 0.0)

    @property
    def acting(self) -> tuple[str, ...]:
        """The alarms that do something: those that stop the rollout and those that page."""
        stopping = self.rollout.alarms if self.rollout is not None else ()
        paging = self.on_call.alarms if self.rollout is not None and self.on_call is not None else ()
        return tuple(dict.fromkeys(stopping + paging))

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The alarms that act, and those whose states composite ones among them read."""
        names = dict.fromkeys(self.acting)
        queue = list(names)
        for name in queue:
            rule = self.alarms[name].composite if name in self.alarms else None
            queue += [other for other in (rule.names if rule is not None else ()) if other not in names]
            names |= dict.fromkeys(queue)
        return tuple(names)

    def faults_of(self, version: str) -> tuple[Fault, ...]:
        """What is wrong with a `version`, incidents included; custom faults as the built-in ones that they come to."""
        return unfolded(self.function.versions[version].faults + self.incident, self.horizon - self.start)

    @property
    def old(self) -> str:
        """The version that the rollout's alias points to when the rollout starts."""
        moved = [
            p.to for p in sorted(self.promotions, key=lambda p: p.at) if p.alias == self.alias and p.at <= self.start
        ]
        return moved[-1] if moved else self.function.points_to(self.alias)

    @property
    def new(self) -> str | None:
        """The version that is rolled out, if any is."""
        return self.rollout.to if self.rollout is not None else None

    @property
    def deployment(self) -> Deployment:
        """What is rolled out, for whoever needs a rollout. Raises ScenarioError where there is none."""
        if self.rollout is None:
            raise ScenarioError([f"{self.name}: rollout: there is none, so no version to roll out"])
        return Deployment(
            alias=self.rollout.alias,
            old=self.old,
            new=self.rollout.to,
            start=self.start,
            revert=self.rollout.revert,
            alarms=self.rollout.alarms,
        )

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every version that an alias with traffic can point to, in the scenario's order."""
        targets: list[Target] = []
        for alias in dict.fromkeys(source.alias for source in self.traffic):
            behind = [self.function.points_to(alias), *(p.to for p in self.promotions if p.alias == alias)]
            if self.rollout is not None and alias == self.alias:
                behind.append(self.rollout.to)
            targets += [Target(alias, version) for version in dict.fromkeys(behind)]
        return tuple(targets)

    @property
    def bypassed(self) -> bool:
        """Whether a source calls the function itself, past all aliases."""
        return any(source.function for source in self.traffic)

    @property
    def polled(self) -> bool:
        """Whether any source is a queue or stream."""
        return any(source.polled for source in self.traffic)

    @property
    def queues(self) -> dict[Scope, tuple[int, ...]]:
        """The queues that alarms of each scope read, numbered in the order of the sources; none where there is no queue."""
        aliases = [source.alias for source in self.traffic if source.source == "queue"]
        if not aliases:
            return {}
        behind = tuple(k for k, alias in enumerate(aliases) if alias == self.alias)
        return {"alias": behind, "function": tuple(range(len(aliases)))}

    @property
    def resolution(self) -> float:
        """The longest time (s) of which every alarm's periods, and what they slide by, are whole multiples; at most a minute."""
        return float(math.gcd(60, *(round(alarm.step) for alarm in self.alarms.values())))

    @property
    def rates(self) -> dict[str, float]:
        """Long-run arrivals per second by alias."""
        rates: dict[str, float] = {}
        for source in self.traffic:
            process = arrival_process(source.arrivals, Streams(seed=0), "rates")
            rates[source.alias] = rates.get(source.alias, 0.0) + process.long_run_rate
        return rates

    @property
    def load_at_start(self) -> float:
        """How many invocations of the new version are expected to run at once where the rollout starts with all of the traffic."""
        assert self.new is not None
        window = (self.start, self.start + _MINUTE)
        behind = (source for source in self.traffic if source.alias == self.alias)
        return math.fsum(self.expected_load(source, self.new, *window) for source in behind)

    def expected_load(self, source: Source, version: str, start: float, end: float) -> float:
        """How many invocations of a `version` that all of a `source` goes to run at once, by what comes in [`start`, `end`) (s).

        The mean that is expected without faults; batches count as full.
        """
        process, spec = arrival_process(source.arrivals, Streams(seed=0), "load"), self.function.versions[version]
        even = source.arrivals.bursty is not None
        rate = process.long_run_rate if even else process.mean_count(start, end) / (end - start)
        duration = spec.duration.mean
        if source.polled:
            size = source.mapping.size
            rate, duration = rate / size, duration + size * spec.per_record
        elif source.size is not None:
            duration += spec.per_mb * source.size.mean
        return rate * min(duration, self.function.timeout)

    def all_chosen(self, strategies: Sequence[str]) -> tuple[str, ...]:
        """The names of the `strategies`, each once. Raises ScenarioError for one that there is not, and for a text in their place."""
        if isinstance(strategies, str):
            raise ScenarioError([f"{self.name}: strategies: needs a list of names, got {strategies!r}"])
        return tuple(dict.fromkeys(self.chosen(name) for name in strategies))

    def chosen(self, strategy: str | None) -> str:
        """The name of the `strategy`, the only one for None. Raises ScenarioError naming those that there are."""
        if self.rollout is None or not self.strategies:
            if strategy not in (None, STEADY):
                raise ScenarioError([f"{self.name}: there is no rollout, so no strategy {strategy!r}"])
            return STEADY
        if strategy is None and len(self.strategies) == 1:
            return next(iter(self.strategies))
        if strategy == NO_ROLLOUT or strategy in self.strategies:
            return str(strategy)
        got = "none" if strategy is None else repr(strategy)
        allowed = f"allowed {', '.join(self.strategies)}{suggest(strategy or '', self.strategies)}"
        raise ScenarioError([f"{self.name}: strategy: choose one, got {got}; {allowed}"])

    def exported(self, strategy: str | None) -> tuple[str, StrategyField]:
        """The name and the `strategy` that an export is about: the only one for None. Raises ScenarioError without one."""
        if self.rollout is None:
            raise ScenarioError([f"{self.name}: rollout: there is none to export"])
        name = self.chosen(strategy)
        if name == NO_ROLLOUT:
            raise ScenarioError(
                [f"{self.name}: strategy: {name!r} moves nothing; allowed {', '.join(self.strategies)}"]
            )
        return name, self.strategies[name]
