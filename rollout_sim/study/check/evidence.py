"""Evidence: what simulation says of one scenario's rollout; every study is made once, when a rule first asks for it.

Every study goes by the same seed, so that two of them are pairs of each other, replication by replication. Where no
state links the invocations there are `MANY` replications, else `FEW` of a run that ends with the deployment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.controller import OUTCOMES
from rollout_sim.control.readings import POLLED
from rollout_sim.control.slo import Objective
from rollout_sim.control.strategies import Plan
from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.core.statistics import Estimate, share_difference, share_of
from rollout_sim.core.streams import Streams
from rollout_sim.function.faults import Fault, Slowdown
from rollout_sim.planes.selection import EngineChoice, check_size, choose_engine
from rollout_sim.run.batch import stopped
from rollout_sim.scenario.goals import AtMost, Catch, Goal, Risk
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import STEADY
from rollout_sim.scenario.warning_checks import ABOUT_RECORDS, warnings_about
from rollout_sim.study.check.finding import Edit, Origin, Unread, edited
from rollout_sim.study.comparison import Comparison, compare
from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.defaults import default_goal, default_risk
from rollout_sim.study.recommend.search import Search
from rollout_sim.study.replications import counts_of, nominal_seconds
from rollout_sim.traffic.processes import arrival_process
from rollout_sim.traffic.source import Source

MANY: Final = 2048
"""Replications where no state links the invocations."""
QUICK: Final = 512
"""The same, where many changes are tried."""
FEWER: Final = 256
"""The same, of long rollouts."""
COUNTS: Final = 4_000_000
"""Periods x targets x replications from which on there are fewer."""
FEW: Final = 40
"""Replications where every invocation is simulated; half as many of runs with more than `LARGE` of them."""
LARGE: Final = 100_000
FEWEST: Final = 6
"""The same where each study takes longer than `SECONDS`: none of so few, and all of them, still lie beyond one half."""
SECONDS: Final = 8.0
"""Nominal seconds that a study is meant to take where every invocation is simulated."""
WORK: Final = 120.0
"""Nominal seconds after which no further changes are tried."""
FRESH: Final = 1_000_003
"""What is added to the seed for the figures of a change that was chosen by figures."""
TAIL: Final = 120.0
"""Seconds that are simulated after the deployment where every invocation is."""
OFTEN: Final = 0.01
"""How often a good version may be stopped where the goal does not say."""
CLEARLY: Final = 0.05
"""By how much two shares must differ for one change to be worth more than another."""


Runs = Literal["whole", "quick", "fresh"]
"""All replications; fewer, to look at many changes; all with other random numbers than those by which one was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Which study: of the whole rollout or of one alarm alone, with which fault, after which edits."""

    fault: str
    alarm: str | None = None
    edits: str = ""
    runs: Runs = "whole"
    names: tuple[str, ...] = ()


class Evidence:
    """What is known of the rollout of `scenario`, which stands in `origin`; `goal` is what it has to keep.

    `unread` are further alarms, of which the scenario says nothing. Without a goal, of the caller's or of the scenario's, the
    default of `recommend` holds. A scenario without an SLO is given one of 99.9%.
    """

    def __init__(
        self,
        scenario: Scenario,
        origin: Origin,
        *,
        goal: Goal | None = None,
        risk: Risk | None = None,
        unread: Sequence[Unread] = (),
    ) -> None:
        self.notes: list[str] = []
        self.dead = tuple(alarm for alarm in unread if alarm.dead)
        """The alarms that can never have data."""
        self.unread = tuple(alarm for alarm in unread if not alarm.dead)
        """Those of which nothing is known."""
        if self.unread:
            names = ", ".join(alarm.name for alarm in self.unread)
            self.notes.append(f"{names} could not be read, so nothing is said of what the rollout fails to catch")
        if not scenario.slos:
            scenario = replace(scenario, slos=(Objective(name="availability", objective=0.999),))
            self.notes.append("there is no SLO: one of 99.9% is taken")
        self.notes += [str(warning) for warning in warnings_about(scenario, ABOUT_RECORDS)]
        self.whole = scenario
        """The scenario with its queues and streams as they are."""
        if (plain := _without_batches(scenario)) is not None:
            scenario = plain
            self.notes.append(
                "queues and streams are taken as events without batches here: nothing in the scenario is about records, and "
                "`rollout-sim run` simulates them in full"
            )
        self.scenario = scenario
        self.origin = origin
        self.deployment = scenario.deployment
        usual = default_goal(scenario)
        own = goal or scenario.goal
        self.given = own is not None
        """Whether the goal is the user's."""
        self.goal: Goal = own or usual
        self.risk: Risk = risk or scenario.risk or default_risk(scenario)
        catch = self.goal.catch or usual.catch
        assert catch is not None  # the default goal has one
        self.catch: Catch = catch
        self.severity = catch.of.spread.low
        self.fault: Fault = catch.of.fault(self.severity, self.risk.onset)
        """The smallest fault that must be caught."""
        self.limit = (self.goal.false_rollback or AtMost(at_most=OFTEN)).at_most
        """How often a good version may be stopped."""
        self._studies: dict[Key, Comparison] = {}
        self._spent = 0.0  # nominal seconds

    @property
    def plans(self) -> dict[str, Plan]:
        """The plan of each strategy."""
        return {name: strategy.plan for name, strategy in self.scenario.strategies.items()}

    @property
    def alarms(self) -> dict[str, Alarm]:
        """The alarms that stop the rollout."""
        return {name: self.scenario.alarms[name] for name in self.deployment.alarms}

    @property
    def fault_text(self) -> str:
        """The goal's fault for people: `1.44% errors`."""
        return self.catch.of.show(self.severity)

    def called(self, k: int) -> str:
        """What a source is called in a sentence: its name, or what it is where it is the only one, or its place."""
        source = self.whole.traffic[k]
        alone = [other.source for other in self.whole.traffic].count(source.source) == 1
        return source.name or (f"the {source.source}" if alone and source.polled else f"traffic[{k}]")

    def label(self, strategy: str) -> str:
        """` (canary 10%)` where there are several strategies to tell apart."""
        return f" ({strategy})" if len(self.scenario.strategies) > 1 else ""

    def watches(self, alarm: Alarm) -> bool:
        """Whether the alarm is about what the goal's fault changes: failures, or durations."""
        errors = self.fault.errors is not None
        wanted = {"errors", "error_rate", "burn_rate", "responses_5xx"} if errors else {"duration", "latency"}
        wanted |= {name for name, own in self.scenario.metrics.items() if errors and own.counts == "bad_requests"}
        return bool(self.metrics(alarm) & wanted)

    def metrics(self, alarm: Alarm) -> set[str]:
        """The metrics that an alarm reads, by itself or by the alarms of its rule."""
        read = {reading.metric for reading in alarm.readings.values()}
        if alarm.metric is not None:
            read.add(alarm.metric)
        if alarm.composite is not None:
            read = read.union(*(self.metrics(self.scenario.alarms[name]) for name in alarm.composite.names))
        return read

    # ------------------------------------------------------------------ studies

    def good(
        self, alarm: str | None = None, edits: Sequence[Edit] = (), runs: Runs = "whole", names: Sequence[str] = ()
    ) -> Comparison:
        """A version that nothing is wrong with; `alarm` is the only one then, `edits` change the scenario.

        `names` are the strategies that are looked at, by default all.
        """
        return self._study("good", (), alarm, edits, runs, names)

    def bad(
        self, alarm: str | None = None, edits: Sequence[Edit] = (), runs: Runs = "whole", names: Sequence[str] = ()
    ) -> Comparison:
        """A version with the goal's fault, likewise."""
        return self._study("goal", (self.fault,), alarm, edits, runs, names)

    def worst(
        self, alarm: str, edits: Sequence[Edit] = (), runs: Runs = "whole", names: Sequence[str] = ()
    ) -> Iterator[tuple[str, Comparison]]:
        """Versions as bad as can be, after what is wrong with them: every request fails, or runs into the timeout.

        For an alarm on throttles the function has no concurrency in the second. The other parameters are those of `good`.
        """
        fails = self._study("errors", (Fault(errors=1.0),), alarm, edits, runs, names)
        yield "a version that fails every request", fails
        if self.metrics(self.varied(edits).alarms[alarm]) == {"throttles"}:
            none = Edit(where=("function", "reserved_concurrency"), value=self.provisioned)
            throttled = self._study("throttles", (), alarm, (*edits, none), runs, names)
            yield "a function without concurrency", throttled
            return
        slow = Fault(latency=Slowdown(add=self.scenario.function.timeout))
        yield "a version that runs into its timeout", self._study("timeout", (slow,), alarm, edits, runs, names)

    @property
    def provisioned(self) -> int:
        """Environments that are taken out of the concurrency."""
        own = sum(spec.provisioned for spec in self.scenario.function.versions.values())
        return own + max(plan.provisioned for plan in self.plans.values())

    def _study(
        self,
        name: str,
        faults: tuple[Fault, ...],
        alarm: str | None,
        edits: Sequence[Edit],
        runs: Runs = "whole",
        names: Sequence[str] = (),
    ) -> Comparison:
        if self.deployment.alarms == (alarm,) and self.scenario.on_call is None:
            alarm = None  # alone it is what the whole is, as long as the edits do not add another
            if any(edit.where == ("rollout", "alarms") for edit in edits):
                alarm = self.deployment.alarms[0]
        key = Key(fault=name, alarm=alarm, edits=repr(tuple(edits)), runs=runs, names=tuple(names))
        if key in self._studies:
            return self._studies[key]
        scenario = self.varied(edits).with_faults(self.deployment.new, faults)
        if alarm is not None:
            assert scenario.rollout is not None
            alone = replace(scenario, rollout=replace(scenario.rollout, alarms=(alarm,)), on_call=None)
            if not edits and scenario.on_call is None and choose_engine(alone).engine != "aggregate":
                together = self._study(name, faults, None, edits, runs, names)
                if _decides(together, alarm):
                    self._studies[key] = together
                    return together
            scenario = alone
        self._studies[key] = compared = self.compare(scenario, runs, names=names)
        return compared

    def varied(self, edits: Sequence[Edit]) -> Scenario:
        """The scenario with the changes, long enough for its deployments. Raises ScenarioError."""
        scenario = edited(self.scenario, edits, self.origin.path) if edits else self.scenario
        end = _end(scenario)
        return scenario if end <= scenario.horizon else replace(scenario, horizon=math.ceil(end / 60) * 60.0)

    def compare(
        self,
        scenario: Scenario,
        runs: Runs = "whole",
        replications: int | None = None,
        names: Sequence[str] = (),
    ) -> Comparison:
        """Many replications of a scenario that a rule has made up; quick ones all start in the middle of a period."""
        if runs == "quick" and scenario.phase_is_drawn:
            scenario = scenario.with_phase(scenario.period_of_phases / 2)
        plane = choose_engine(scenario)
        if plane.engine == "aggregate":
            few = self._count(scenario) if runs != "quick" else min(self._count(scenario), QUICK)
            plane = replace(plane, batch=min(plane.batch, few))
            count = replications or few
        else:
            scenario = _brief(scenario)
            each = nominal_seconds(scenario, plane, len(names or scenario.strategies or (STEADY,)))
            count = replications or (FEW if check_size(scenario) <= LARGE else FEW // 2)
            count = max(min(count, int(SECONDS / each)), min(count, FEWEST))
            self._spent += count * each
        return compare(scenario, count, names, seed=self._seed(runs), plane=plane, twin=False, keep=False, added=False)

    @property
    def exhausted(self) -> bool:
        """Whether so much has been simulated that no further changes are tried."""
        return self._spent >= WORK

    def _count(self, scenario: Scenario) -> int:
        """Replications where no state links the invocations: fewer for long rollouts."""
        affordable = max(int(COUNTS / counts_of(scenario)), 1)
        return min(MANY, max(FEWER, 1 << affordable.bit_length() - 1))

    def _seed(self, runs: Runs) -> int:
        return (self.scenario.seed + FRESH * (runs == "fresh")) % 2**63

    def one_by_one(self, scenario: Scenario) -> Comparison:
        """A few replications in which every invocation is simulated, which alone tells of cold starts."""
        brief = _brief(scenario)
        plane = choose_engine(brief, choose_engine(scenario, single=True).engine)
        return compare(brief, FEW // 2, seed=scenario.seed, plane=plane, twin=False, keep=False, added=False)

    def budget(self, strategy: str, edits: Sequence[Edit] = (), runs: Runs = "whole") -> Estimate | None:
        """The 95th percentile, over the risk, of the share of the first SLO's budget that a rollout spends.

        None where every invocation would have to be simulated.
        """
        scenario = self.varied(edits)
        search = Search(scenario, goal=self.goal, risk=self.risk, seed=self._seed(runs))
        if search.plane.engine != "aggregate":
            return None
        candidate = Candidate(name=strategy, strategy=scenario.strategies[strategy], alarm=None, complexity=0)
        return search.evaluations([candidate], search.sizes.contending)[0].budget

    @property
    def plane(self) -> EngineChoice:
        """The data plane that a good version is simulated on."""
        return self.good().plane

    # ------------------------------------------------------------------ figures

    def requests(self, plan: Plan) -> float:
        """How many requests the new version is expected to see before it has all of the traffic."""
        at = self.deployment.start + plan.allocation + (plan.before.over if plan.before is not None else 0.0)
        total = 0.0
        for step in plan.steps[:-1]:
            total += step.weight * (self.expected(at + step.hold) - self.expected(at))
            at += step.hold
        return total

    def expected(self, until: float) -> float:
        """How many requests are expected to come to the rollout's alias by then (s)."""
        streams = Streams(seed=self.scenario.seed)
        return math.fsum(
            arrival_process(source.arrivals, streams, f"traffic/{i}/arrivals").mean_count(0.0, until)
            for i, source in enumerate(self.scenario.traffic)
            if source.alias == self.deployment.alias and until > 0
        )


def _without_batches(scenario: Scenario) -> Scenario | None:
    """The scenario with each record as an event of its own, which a fast plane can simulate.

    None where nothing is polled, and where batches, ages or fates of records are what an alarm, a fault or an SLO is about.
    """
    read = {reading.metric for alarm in scenario.alarms.values() for reading in alarm.readings.values()}
    faults = [fault for version in scenario.function.versions for fault in scenario.faults_of(version)]
    about_records = (
        not read.isdisjoint(POLLED)
        or any(fault.poison is not None for fault in faults)
        or any(slo.sli != "errors" and slo.latency is None for slo in scenario.slos)
    )
    if not scenario.polled or about_records:
        return None
    return replace(
        scenario,
        traffic=tuple(
            Source(
                source="data",
                alias="" if source.function else source.alias,
                function=source.function,
                arrivals=source.arrivals,
                name=source.name,
                users=source.owners,
            )
            if source.polled
            else source
            for source in scenario.traffic
        ),
    )


def _brief(scenario: Scenario) -> Scenario:
    """The scenario until its deployments are over, where there is more: what a rule asks of it is decided by then."""
    if scenario.rollout is None or not scenario.strategies or scenario.on_call is not None:
        return scenario
    return replace(scenario, horizon=min(scenario.horizon, math.ceil(_end(scenario) / 60) * 60.0))


def _end(scenario: Scenario) -> float:
    """When (s) all deployments of the scenario are over and what they did is seen."""
    return max(scenario.over_by(strategy.plan) for strategy in scenario.strategies.values()) + TAIL


def exposed(plan: Plan) -> float:
    """Seconds for which the new version has traffic while alarms act, when nothing stops the rollout."""
    after = plan.after.over if plan.after is not None else 0.0
    return math.fsum(step.hold for step in plan.steps) + after + plan.bake


def hits(compared: Comparison, strategy: str, outcome: str = "stopped") -> BoolArray:
    """In which replications the rollout came to an outcome; to be `hindered` is to be stopped, or blocked from the start."""
    columns = compared.columns[strategy]
    if outcome == "stopped":
        return stopped(columns)
    if outcome == "hindered":
        return stopped(columns) | hits(compared, strategy, "blocked")
    result: BoolArray = columns["outcome"] == OUTCOMES.index(outcome)
    return result


def _decides(together: Comparison, alarm: str) -> bool:
    """Whether every rollout that the alarms hinder together is hindered by this one, which alone does the same then."""
    return all(
        bool((columns[f"stopped_by.{alarm}"][hits(together, strategy, "hindered")] == 1).all())
        for strategy, columns in together.columns.items()
    )


def often(compared: Comparison, strategy: str, outcome: str = "stopped") -> Estimate:
    """How often that is."""
    return share_of(hits(compared, strategy, outcome))


def more(one: Comparison, other: Comparison, strategy: str, outcome: str = "stopped") -> Estimate:
    """By how much more often it is in `one` than in `other`: by pairs where they have the same replications."""
    first, second = (hits(compared, strategy, outcome) for compared in (one, other))
    size = min(first.size, second.size)
    return share_difference(first[:size], second[:size])


def above(estimate: Estimate, limit: float) -> bool:
    """Whether the whole interval lies above the limit."""
    return estimate.low is not None and estimate.low > limit


def below(estimate: Estimate, limit: float) -> bool:
    """Whether the whole interval lies below the limit."""
    return estimate.high is not None and estimate.high < limit


def column(compared: Comparison, strategy: str, name: str) -> FloatArray:
    """The values of all replications."""
    values: FloatArray = np.asarray(compared.columns[strategy][name], float)
    return values
