"""Search: which rollout to use. Candidates are screened by closed forms, the promising are simulated, the best confirmed.

All candidates are simulated on the same random numbers, so that they are compared as pairs. What is reported of the
recommended one comes from fresh replications: the estimates by which it was chosen are biased in its favour.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.strategies import AllAtOnce, Predefined
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.display import Plotted, text
from rollout_sim.core.formatting import show_duration
from rollout_sim.core.statistics import Estimate
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import PHASED, EngineChoice, choose_engine
from rollout_sim.run.batch import Batch
from rollout_sim.run.simulate import Progress, part_of
from rollout_sim.scenario.goals import AtMost, AtMostTime, Catch, DeployWith, Goal, LogUniform, Risk, Severity
from rollout_sim.scenario.phases import PARTS
from rollout_sim.scenario.remarks import remarks_about
from rollout_sim.scenario.scenario import Scenario, check_is_scenario
from rollout_sim.scenario.sections import STEADY, Engine
from rollout_sim.study.executor import one_plane, run_all, worth_sharing
from rollout_sim.study.recommend.advice import HOUR, Advice, advise, few_counted, tests_help
from rollout_sim.study.recommend.candidates import Candidate, alarms, strategies, undeployable, with_candidates
from rollout_sim.study.recommend.effort import DECIDING, RACING, SHARES, WORK, Effort
from rollout_sim.study.recommend.hypotheses import (
    CATCH,
    GOOD,
    STOPPED,
    STRATA,
    Evaluation,
    Evidence,
    Exposure,
    Hypothesis,
    Outcomes,
    difference,
    evaluate,
    hypotheses_of,
    joined,
    outcomes_of,
    stops_of,
)
from rollout_sim.study.recommend.limits import Limit
from rollout_sim.study.recommend.screening import Screen, Screened, screenable
from rollout_sim.study.replications import NominalCost, nominal_cost

if TYPE_CHECKING:
    import pandas as pd


PROMISING: Final = ((12, 48), (5, 16))
"""Candidates that are simulated, at least and at most: where whole periods are drawn, and where every invocation is simulated."""
SIMPLE: Final = 4
"""Of so many of them with an alarm of their own, one more is tried as the file has it."""
CHOICES: Final = 3
"""Alarms of each strategy that may be promising."""
CONTENDERS: Final = ((3, 12), (2, 6))
"""Of these, the ones that are looked at closely, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How many replications of each hypothesis a stage has."""

    strata: int
    """Parts of the risk's severities, of equal probability."""
    draws: int
    """Severities that are drawn of each part, again in parts of equal probability."""
    each: int
    """Replications of each of them."""
    others: int
    """Replications of the hypotheses that are one severity, or none."""


EXPLORE: Final = (Stage(strata=4, draws=2, each=64, others=256), Stage(strata=4, draws=4, each=1, others=8))
"""Of the promising: where whole periods are drawn, and where every invocation is simulated."""
BATCHED: Final = (
    Stage(strata=8, draws=2, each=128, others=512),
    Stage(strata=16, draws=2, each=128, others=2048),
    Stage(strata=64, draws=2, each=128, others=4096),
)
"""Where whole periods are drawn: of what is looked at briefly, and of the contenders and the confirmed at most (`_sized`)."""
SINGLE: Final = (
    Stage(strata=8, draws=4, each=1, others=4),
    Stage(strata=8, draws=8, each=1, others=16),
    Stage(strata=8, draws=32, each=1, others=64),
)
"""Likewise, where every invocation is simulated."""
SMALLEST: Final = (8, 4)
"""Strata of the confirmed at least, and draws of each: they have half as many, and again half, as far as the effort goes."""
EXPLORED, CONFIRMED, COMPARED = 0.25, 0.2, 0.1
"""Shares of the effort for the promising, for the first of the confirmed and for those that it is compared with."""
WAVES: Final = 8
"""How often the contenders that cannot be told from the best are drawn anew at most, with twice the draws from the third time on."""
LARGEST: Final = 1024
"""Replications of a batch at most."""
DECIDED: Final = ((1 << 15, 128), (1 << 20, 1 << 17))
"""Replications of a hypothesis at most to decide a limit of the goal: of a contender, and of what is recommended.

Each where whole periods are drawn, and where every invocation is simulated.
"""
LEAST: Final = (256, 8)
"""Replications that are drawn at a time to decide a limit, at least."""
SURE: Final = 1.5
"""By how many half-widths of its interval a candidate must lie behind the best to drop out, for it is looked at often."""
EXPLORING, CONTENDING, FRESH = 0, 1, 1 << 8
"""The numbers of the stages' first waves. Each wave has random numbers of its own, and so has each hypothesis in it."""
PER_TURN: Final = 16
"""Waves that may be needed to decide the limits after each of these, and numbers of them."""
PER_WAVE: Final = 1 << 17
PER_HYPOTHESIS: Final = 1 << 10
"""Numbers of batches that belong to a wave, and to a hypothesis in it."""
PER_PHASE: Final = 256
FEWEST_PHASES: Final = 4
"""Replications that share a phase where there are enough of them, and phases at least, of a hypothesis without severities."""
STAGES: Final = (0.1, 0.35, 0.7, 1.0)
"""How much of the work is done, by experience, when a stage begins and ends."""
CLOSE: Final = 0.1
"""By how much more a simpler candidate may cost, where the replications cannot tell it from the best."""
APART: Final = 0.02
"""A difference to the best, as a share of what that costs, that is not worth more replications."""
WINDOW: Final = 600.0
"""Seconds after the onset that are simulated at least, to see at which rate a bad version does harm."""
OBVIOUS: Final = ("Canary10Percent5Minutes", "AllAtOnce")
"""CodeDeploy's names of the strategies that every recommendation is compared with."""
PENALTY: Final = 1e6
"""What a screened candidate is charged, in what is minimised, for missing limits by a probability of 1 in all."""
UNWATCHED: Final = "unwatched"
"""The strategy that shows what a version adds that nothing stops."""
STOPS: Final = {"catch": CATCH, "false_rollback": GOOD}
"""The hypothesis that a limit on how often a rollout is stopped is about."""
MOST_DRAWS: Final = 512
"""Severities of each part of the risk that are drawn at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outstanding:
    """What it would take to decide a limit that is open."""

    limit: str
    """The limit's name, as the goal has it."""
    replications: int
    """How many replications more."""
    seconds: float
    """How long they take on one core, nominally."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"limit": self.limit, "replications": self.replications, "seconds": self.seconds}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation(Plotted):
    """The rollout to use, and the candidates among which it was found."""

    scenario: Scenario
    """The file's scenario."""
    goal: Goal
    """What had to be kept and minimised: the scenario's, or `default_goal`."""
    risk: Risk
    """How releases go wrong: the scenario's, or `default_risk`."""
    seed: int
    """The seed of all replications."""
    plane: EngineChoice
    """The data plane that ran everything, and why it."""
    searched: int
    """How many candidates there were."""
    winner: Candidate | None
    """The one to use; None where nothing keeps the goal, on average at least (see `decided`)."""
    explored: tuple[Evaluation, ...]
    """Those that were simulated at all, with few replications, in the order of preference."""
    contenders: tuple[Evaluation, ...]
    """The first of these, with more replications, in the order of preference."""
    confirmed: tuple[Evaluation, ...]
    """The winner, if there is one, and the obvious alternatives (`OBVIOUS`), on fresh replications.

    First with the file's alarms, then, unless they are over at once, with the winner's or one that suits them better.
    """
    ties: tuple[Candidate, ...]
    """Contenders that the estimates cannot tell from the winner."""
    advice: Advice
    """Why nothing keeps the goal, and what would help."""
    notes: tuple[str, ...]
    """What the answer assumes, a sentence each."""
    keep_alarms: bool
    deploy_with: DeployWith | None
    asked: Engine | None
    """What was asked for: the file's alarms, what has to carry the rollout out and an engine instead of the file's."""
    time: float | None = None
    """Seconds that the search was given, by the clock; None where it has the default effort."""
    precision: float | None = None
    """The half-width that was wanted for the intervals of the goal's limits; None where it is enough that they are decided."""
    runs: tuple[int, ...] = ()
    """How many runs were done when the contenders were told apart, and at the end."""
    outstanding: tuple[Outstanding, ...] = ()
    """What would be likely to decide the recommended one's open limits."""
    unexamined: int = 0
    """Where nothing is recommended, how many promising candidates were not looked at closely, because the effort was spent."""
    data: str | None = None
    """The folder with the recorded minutes that it was searched on."""
    described: Scenario | None = None
    """The file's scenario, where `scenario` has the recorded traffic and errors in place of its own."""
    interrupted: str = ""
    """Where the search was interrupted, in a few words, so that nothing is recommended yet; else empty."""

    @property
    def decided(self) -> bool:
        """Whether the replications are enough to say that the winner keeps every limit, or that no contender does."""
        if self.winner is not None:
            return not self.confirmed[0].open(self.goal)
        return not self.unexamined and all(evaluation.broken(self.goal) for evaluation in self.contenders)

    @property
    def alternatives(self) -> tuple[Evaluation, ...]:
        """The obvious alternatives on fresh replications: of `confirmed` all but the winner."""
        return self.confirmed[0 if self.winner is None else 1 :]

    @property
    def chosen_scenario(self) -> Scenario:
        """The file's scenario with the recommended strategy as its only one, and its alarm.

        Raises ScenarioError where nothing is recommended.
        """
        if self.winner is None:
            raise ScenarioError([f"{self.scenario.name}: nothing is recommended: {self.advice.summary}"])
        return with_candidates(self.described or self.scenario, [self.winner])

    @property
    def frame(self) -> pd.DataFrame:
        """A row per contender, then one per confirmed candidate: `<estimate>_mean`, `_low` and `_high` of each estimate."""
        import pandas as pd

        rows = []
        for stage, evaluations in (("contender", self.contenders), ("confirmed", self.confirmed)):
            for evaluation in evaluations:
                candidate = evaluation.candidate
                row: dict[str, Any] = {"stage": stage, "strategy": candidate.name, "alarm": candidate.alarm_text}
                for name in ("caught", "false_rollback", "blocked", "bad", "budget", "objective"):
                    estimate = getattr(evaluation, name)
                    for part in ("mean", "low", "high"):
                        row[f"{name}_{part}"] = None if estimate is None else getattr(estimate, part)
                row |= {"time_to_full_s": evaluation.time_to_full, "misses": " ".join(evaluation.broken(self.goal))}
                row["open"] = " ".join(evaluation.open(self.goal))
                rows.append(row)
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return text(self)


def recommend(
    scenario: Scenario,
    *,
    keep_alarms: bool = False,
    deploy_with: DeployWith | None = None,
    seed: int | None = None,
    engine: Engine | None = None,
    time: float | None = None,
    precision: float | None = None,
    runs: Sequence[int] | None = None,
    jobs: int | None = 1,
    progress: Progress | None = None,
) -> Recommendation:
    """The rollout to use for `scenario`, by its `risk` and `goal` or their defaults.

    With `keep_alarms` only strategies are searched, watched by the alarms of the file. `deploy_with`, `seed` and `engine`
    replace what the file says; `jobs` processes share the work (None: as many as there are processors, but for a `time` of a
    few seconds). The search does a nominal amount of work, the same on all machines; with a `time` (s) it goes on until then,
    by the clock, and `runs`, which such a recommendation has, make the same one again. A `precision` (a fraction) is the
    half-width that the intervals of the goal's limits are to have, for which it goes on as long as an hour nominally, or until
    the `time`. `progress` is called with the share that is done. What is interrupted from the keyboard returns what is known
    by then, and says so. Raises ScenarioError for a scenario without a rollout, an SLO or alarms.

    Examples:
        >>> answer = recommend(Scenario.load("scenarios/checkout.yaml"), keep_alarms=True)
        >>> answer.winner is None  # whatever the strategy, the file's alarm stops good versions too often
        True
    """
    search = prepare(scenario, deploy_with=deploy_with, seed=seed, engine=engine, jobs=jobs)
    return search.recommend(keep_alarms=keep_alarms, time=time, precision=precision, runs=runs, progress=progress)


def prepare(
    scenario: Scenario,
    *,
    deploy_with: DeployWith | None = None,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int | None = 1,
) -> Search:
    """The search for `scenario`, before anything is simulated; parameters and errors are those of `recommend`."""
    check_is_scenario(scenario)
    if problems := obstacles(scenario):
        raise ScenarioError([f"{scenario.name}: {problem}" for problem in problems])
    goal = scenario.goal or default_goal(scenario)
    return Search(
        scenario,
        goal=goal if deploy_with is None else replace(goal, deploy_with=deploy_with),
        risk=scenario.risk or default_risk(scenario),
        seed=scenario.seed if seed is None else seed,
        deploy_with=deploy_with,
        engine=engine,
        jobs=jobs,
    )


def default_risk(scenario: Scenario) -> Risk:
    """One release in seven is bad: by errors, or by its durations where the first SLO is about latency."""
    if scenario.slos[0].latency is None:
        return Risk()
    return Risk(severity=Severity(latency=LogUniform(1.2, 10.0)))


def default_goal(scenario: Scenario) -> Goal:
    """Catch what burns the budget fast enough to page (for a latency SLO: twice the duration), with few false rollbacks.

    Full traffic is reached within the hour.
    """
    share = scenario.slos[0].paging_share
    errors = Severity(error_rate=LogUniform(share, share))
    return Goal(
        catch=Catch(of=errors if scenario.slos[0].latency is None else Severity(latency=LogUniform(2.0, 2.0))),
        false_rollback=AtMost(at_most=0.01),
        budget=AtMost(at_most=0.05),
        time_to_full=AtMostTime(at_most=HOUR),
    )


def obstacles(scenario: Scenario) -> list[str]:
    """Why there is no recommendation for `scenario`: what it lacks, or what is not searched; empty where nothing is."""
    problems = []
    if scenario.rollout is None:
        problems.append("rollout: recommend needs one, to say which alias moves to which version")
    elif not scenario.rollout.alarms:
        problems.append("rollout.alarms: recommend needs an alarm to start from")
    if not scenario.slos:
        problems.append("slos: recommend needs one, to know which requests are bad")
    if scenario.rollout is not None and scenario.rollout.hold is not None:
        problems.append("rollout.hold: recommend searches rollouts whose alarms roll back at once; leave it out")
    if scenario.slos and scenario.slos[0].alias not in (None, scenario.alias):
        problems.append(f"slos[0].alias: recommend goes by the first SLO, which must be about {scenario.alias!r}")
    return problems


class Search:
    """The stages of a recommendation: all of them simulate the same hypotheses, each candidate on the same random numbers.

    One data plane runs all of them, so that they are pairs of one another and of the run without a rollout. What is
    simulated lasts as long as the longest of the candidates, wherever the file's horizon lies. Raises ScenarioError where
    the `engine` that is asked for does not run one of them.
    """

    def __init__(
        self, scenario: Scenario, *, goal: Goal, risk: Risk, seed: int,
        deploy_with: DeployWith | None = None, engine: Engine | None = None, jobs: int | None = 1,
    ) -> None:  # fmt: skip
        self.scenario = scenario
        self.goal = goal
        self.risk = risk
        self.seed = seed
        self.deploy_with = deploy_with
        self.engine = engine
        self.hypotheses = self._stratified(STRATA)
        self.latency = risk.severity.latency is not None
        self.rate = scenario.rates[scenario.alias]
        self.still = self.hypotheses[GOOD].scenario.without_rollout()
        """The same traffic without a rollout. The alarms act no more, but their periods are what is counted by."""
        self.choices = alarms(scenario, latency=self.latency, few=few_counted(goal, self.rate, latency=self.latency))
        """The alarms that are tried."""
        self.screen = self._screen(self.choices)
        self.plane = self._one_plane()
        self.single = int(self.plane.engine != "aggregate")
        """1 where every invocation is simulated, 0 where whole periods are drawn: which one of a pair of constants holds."""
        self.most, self.contenders = PROMISING[self.single], CONTENDERS[self.single]
        self.stages = SINGLE if self.single else BATCHED
        self.effort = Effort(WORK[self.single])
        self.jobs = jobs
        self.precision: float | None = None
        self._costs: dict[float, NominalCost] = {}
        self.unconfirmed = 0
        """Contenders that keep the goal, where there was no time to look at them on fresh replications."""
        self.left_out: list[str] = []
        """Strategies that need more traffic than a trace has."""

    def recommend(
        self, *, keep_alarms: bool = False, time: float | None = None, precision: float | None = None,
        runs: Sequence[int] | None = None, progress: Progress | None = None,
    ) -> Recommendation:  # fmt: skip
        """All stages, one after the other; what is known by then where it is interrupted. Parameters are those of `recommend`."""
        for name, given in (("time", time), ("precision", precision)):
            if given is not None and not given > 0:
                raise ScenarioError([f"{name}: must be above 0, got {given!r}"])
        self.precision = precision
        self.effort = Effort(WORK[self.single], seconds=time, precise=precision is not None, runs=runs)
        promising, searched = self.promising(keep_alarms=keep_alarms)
        explored: list[Evaluation] = []
        contenders: list[Evaluation] = []
        queue: list[Candidate] = []
        winner, ties, confirmed, interrupted = None, list[Candidate](), list[Evaluation](), ""
        try:
            interrupted = "while the promising candidates were simulated"
            explored = self.rank(self.explore(promising, progress))
            interrupted = "while the contenders were told apart"
            undecided: set[str] = set()
            keeping = [evaluation for evaluation in explored if not evaluation.broken(self.goal)]
            queue = [evaluation.candidate for evaluation in keeping or explored[:1]]
            while queue:
                group = self._contenders(queue)
                ranked, undecided = self.compete(group, progress)
                contenders = [*ranked, *contenders]
                queue = self._next(queue, group, ranked)
                if any(not evaluation.missed_on_average(self.goal) for evaluation in ranked):
                    break
                if queue and not self._affords(self._smallest(queue), self._contenders(queue)):
                    break
            self.effort.end(RACING)
            interrupted = "before the best was confirmed on fresh replications"
            keeping = [evaluation for evaluation in contenders if not evaluation.missed_on_average(self.goal)]
            winner, ties, confirmed = self.confirm(keeping, undecided, progress)
            interrupted = ""
        except KeyboardInterrupt:
            if not explored:
                raise
            contenders = contenders or explored[: self.contenders[1]]
        advice = advise(self.goal, contenders, rate=self.rate, feasible=winner is not None or bool(interrupted))
        unexamined = len(queue) + self.unconfirmed if winner is None else 0
        if interrupted:
            advice = replace(advice, summary=f"interrupted {interrupted}")
        elif unexamined:
            more = f"{unexamined} more promising candidates were not looked at closely, for which --time has room"
            advice = replace(advice, summary=f"{advice.summary}; {more}")
        return Recommendation(
            scenario=self.scenario,
            goal=self.goal,
            risk=self.risk,
            seed=self.seed,
            plane=self.plane,
            searched=searched,
            winner=winner,
            explored=tuple(explored),
            contenders=tuple(contenders),
            confirmed=tuple(confirmed),
            ties=tuple(ties),
            advice=advice,
            notes=self.notes(winner, confirmed),
            keep_alarms=keep_alarms,
            deploy_with=self.deploy_with,
            asked=self.engine,
            time=time,
            precision=precision,
            runs=self.effort.reached,
            outstanding=() if winner is None else tuple(self._outstanding(confirmed[0])),
            unexamined=unexamined,
            interrupted=interrupted,
        )

    @property
    def _processes(self) -> int:
        """How many share the work: all processors by default, but for a time of a few seconds."""
        return worth_sharing(self.effort.planned) if self.jobs is None else self.jobs

    def promising(self, *, keep_alarms: bool) -> tuple[list[Candidate], int]:
        """The candidates that are worth simulating, by the closed forms; and how many there were.

        As many as a part of the effort (`EXPLORED`) has room for, within limits.
        """
        allowed = [
            candidate
            for candidate in strategies(self.scenario, tested=tests_help(self.goal, self.rate))
            if self._in_time(candidate) and undeployable(candidate.plan, self.goal.deploy_with) is None
        ]
        self.left_out = [candidate.name for candidate in allowed if self._end(candidate) > self._last]
        allowed = [candidate for candidate in allowed if self._end(candidate) <= self._last]
        if not allowed:
            what = f"no strategy that {self.goal.deploy_with} can carry out ends before the traffic's trace does"
            raise ScenarioError([f"{self.scenario.name}: {what} ({show_duration(self._last)})"])
        room = self._room(EXPLORE[self.single], allowed, EXPLORED)
        own = self._own_alarms_first(allowed)
        if keep_alarms:
            return own[: max(room, self.most[0])], len(allowed)
        scored = [
            score
            for candidate in allowed
            for score in self._scores(candidate, self.choices, self.screen.screen(candidate.plan))
        ]
        scored.sort(key=lambda score: (score.misses, score.penalised))
        least, most = self.most
        watched = [score.candidate for score in scored][: min(max(room, least), most)]
        simple = [candidate for candidate in own if candidate.complexity == 0]
        return watched + simple[: max(len(watched) // SIMPLE, 1)], len(allowed) * (len(self.choices) + 1)

    def _own_alarms_first(self, allowed: Sequence[Candidate]) -> list[Candidate]:
        """The strategies as they do by the closed forms with the file's alarm; in the given order where those do not know it."""
        own = [self.scenario.alarms[name] for name in self.scenario.evaluated]
        if len(own) != 1 or not screenable(own[0]):
            return list(allowed)
        screen = self._screen(own)
        scores = {
            candidate.label: self._scores(candidate, own, screen.screen(candidate.plan))[0] for candidate in allowed
        }
        return sorted(
            allowed, key=lambda candidate: (scores[candidate.label].misses, scores[candidate.label].penalised)
        )

    def _screen(self, choices: Sequence[Alarm]) -> Screen:
        scenarios = [hypothesis.scenario for hypothesis in self.hypotheses.values()]
        return Screen(scenarios, choices, self.rate, found_after=self.risk.found_after)

    def _contenders(self, queue: Sequence[Candidate]) -> list[Candidate]:
        """The first of those that were explored: as many as there is room for, within limits."""
        left = SHARES[RACING] - self.effort.spent / self.effort.planned
        least, most = self.contenders
        return list(queue[: min(max(self._room(self._smallest(queue), queue, left / 2), least), most)])

    def _smallest(self, candidates: Sequence[Candidate]) -> Stage:
        """The contenders' stage with the fewest replications."""
        return self._sized(1, candidates, len(candidates), 0.0)

    def _next(
        self, queue: Sequence[Candidate], group: Sequence[Candidate], ranked: Sequence[Evaluation]
    ) -> list[Candidate]:
        """Who is left in the queue where nobody in the group keeps the goal: last those with an alarm that errs too often."""
        err = {evaluation.candidate.alarm for evaluation in ranked if "false_rollback" in evaluation.broken(self.goal)}
        return sorted(
            (candidate for candidate in queue if candidate not in group), key=lambda candidate: candidate.alarm in err
        )

    def _nominal(self, until: float) -> NominalCost:
        if until not in self._costs:
            self._costs[until] = nominal_cost(replace(self.hypotheses[GOOD].scenario, horizon=until), self.plane)
        return self._costs[until]

    def _cost(self, until: float, replications: int, size: int | None = None) -> float:
        """Nominal seconds of so many replications of a candidate, in batches of `size`, by default the plane's.

        Without what all candidates share (`_shared`).
        """
        cost = self._nominal(until)
        return math.ceil(replications / (size or min(self.plane.batch, LARGEST))) * cost.batch + replications * cost.run

    def _shared(self, until: float, replications: int) -> float:
        """Nominal seconds of what all candidates have in common in so many replications."""
        return replications * self._nominal(until).shared

    def _stage_costs(self, sizes: Stage, candidates: Sequence[Candidate]) -> tuple[float, float]:
        """Nominal seconds of a stage for each candidate, and beside that for what all of them are set against."""
        until, over = self._until(candidates), self._over(candidates)
        spread = self.risk.severity.spread
        draws, each = (1, sizes.others) if spread.high == spread.low else (sizes.strata * sizes.draws, sizes.each)
        bad, good = draws * self._cost(until, each), self._cost(until, sizes.others)
        shared = self._shared(until, draws * each + sizes.others)
        stops = 0.0
        if CATCH in self.hypotheses:
            stops = self._cost(over, sizes.others)
            shared += self._shared(over, sizes.others)
        return bad + good + stops, shared + bad + self.single * (bad + good)

    def _room(self, sizes: Stage, candidates: Sequence[Candidate], share: float) -> int:
        """How many candidates a stage can have in a share of the effort."""
        each, shared = self._stage_costs(sizes, candidates)
        return int((share * self.effort.planned - shared) / each)

    def _sized(self, stage: int, candidates: Sequence[Candidate], number: int, share: float) -> Stage:
        """The stage for so many of the candidates, as large as a share of the effort has room for, down to the smallest."""
        sizes, least = self.stages[stage], SMALLEST[self.single]
        while self._room(sizes, candidates, share) < number and sizes.strata > least:
            strata, draws = (sizes.strata, sizes.draws // 2) if sizes.draws > 2 else (sizes.strata // 2, sizes.draws)
            sizes = replace(sizes, strata=strata, draws=draws, others=max(sizes.others // 2, LEAST[self.single]))
        return sizes

    @cached_property
    def _last(self) -> float:
        """Where the traffic to the rollout's alias ends (s): with the first of its traces, else never."""
        traces = [
            source.arrivals.trace
            for source in self.scenario.traffic
            if source.alias == self.scenario.alias and source.arrivals.trace is not None
        ]
        return min((trace.recording.length / trace.speed for trace in traces if not trace.endless), default=math.inf)

    def _end(self, candidate: Candidate) -> float:
        """When the candidate's deployment is over at the latest (s)."""
        return self.scenario.over_by(candidate.plan)

    def _until(self, candidates: Sequence[Candidate]) -> float:
        """Where the simulated time of these candidates ends (s): all are over, and a bad version has shown what it does.

        Where there is somebody on call, a bad version that nothing stops would have been found by then.
        """
        latest = self.scenario.starts[-1]
        until = max([*map(self._end, candidates), latest + self.risk.onset + WINDOW])
        if self.scenario.on_call is not None:
            full = max(candidate.plan.time_to_full for candidate in candidates)
            until = max(until, latest + max(full, self.risk.onset) + self.risk.found_after)
        resolution = self.scenario.resolution
        return min(math.ceil(until / resolution) * resolution, self._last)

    def _over(self, candidates: Sequence[Candidate]) -> float:
        """Where the deployments of all of these candidates are over (s): what stops is known, if not what it costs."""
        resolution = self.scenario.resolution
        until = max(self._end(candidate) for candidate in candidates)
        return min((math.floor(until / resolution) + 1) * resolution, self._last)

    def _in_time(self, candidate: Candidate) -> bool:
        """Whether full traffic is reached within the goal's limit; the obvious strategies are looked at in any case."""
        limit = self.goal.time_to_full
        return limit is None or candidate.plan.time_to_full <= limit.at_most or candidate.name in OBVIOUS

    def _scores(self, candidate: Candidate, choices: Sequence[Alarm], screened: Screened) -> list[_Score]:
        """A strategy with the `CHOICES` alarms that do best by the closed forms, those that miss the goal's limits last.

        Of those that do the very same, such as with a guard that never binds, the first alone.
        """
        shortfall = self._shortfall(screened)
        value = self.screened_objective(candidate, screened)
        rounded = np.round(shortfall, 3)
        different: dict[bytes, int] = {}
        for k in np.lexsort((value, rounded)).tolist():
            different.setdefault(np.round([screened.stopped[k], screened.bad[k]], 9).tobytes(), k)
            if len(different) == CHOICES:
                break
        return [
            _Score(
                candidate=candidate.watched_by(choices[k]),
                misses=bool(rounded[k] > 0),
                penalised=float(value[k] + PENALTY * shortfall[k]),
            )
            for k in different.values()
        ]

    def _shortfall(self, screened: Screened) -> FloatArray:
        """By how much each alarm misses the goal's limits of probabilities, added up: shape (alarms,); 0 keeps them."""
        names = list(self.hypotheses)
        false_limit = 1.0 if self.goal.false_rollback is None else self.goal.false_rollback.at_most
        shortfall: FloatArray = np.maximum(0.0, screened.stopped[:, names.index(GOOD)] - false_limit)
        if self.goal.catch is not None:
            shortfall = shortfall + np.maximum(0.0, self.goal.catch.at_least - screened.stopped[:, names.index(CATCH)])
        return shortfall

    def screened_objective(self, candidate: Candidate, screened: Screened) -> FloatArray:
        """What is minimised, by the closed forms, for each alarm: shape (alarms,)."""
        weights = np.array([hypothesis.weight for hypothesis in self.hypotheses.values()])
        bad: FloatArray = screened.bad @ weights
        minutes = candidate.plan.time_to_full / 60
        if (prices := self.goal.prices) is not None:
            good = list(self.hypotheses).index(GOOD)
            false = weights[good] * screened.stopped[:, good]
            costs: FloatArray = (
                prices.bad_request * bad + prices.minute_of_delay * minutes + prices.false_rollback * false
            )
            return costs
        return np.full(bad.size, minutes) if self.goal.minimise == "time_to_full" else bad

    def evaluations(
        self, candidates: Sequence[Candidate], stage: int, wave: int = EXPLORING, progress: Progress | None = None
    ) -> list[Evaluation]:
        """The evaluation of each candidate, from as many replications of each hypothesis as the stage has.

        Waves have random numbers of their own.
        """
        sizes = self.stages[stage]
        evidence = self._simulate(candidates, sizes, wave, progress=part_of(progress, *STAGES[stage : stage + 2]))
        return [self._evaluate(candidate, evidence[candidate.label], sizes.strata) for candidate in candidates]

    def explore(self, candidates: Sequence[Candidate], progress: Progress | None = None) -> list[Evaluation]:
        """The evaluations of the promising candidates, from few replications."""
        sizes = EXPLORE[self.single]
        evidence = self._simulate(candidates, sizes, EXPLORING, progress=part_of(progress, *STAGES[:2]))
        return [self._evaluate(candidate, evidence[candidate.label], sizes.strata) for candidate in candidates]

    def _evaluate(self, candidate: Candidate, evidence: Evidence, strata: int) -> Evaluation:
        return evaluate(candidate, self._stratified(strata), evidence, self.goal)

    def _stratified(self, strata: int) -> dict[str, Hypothesis]:
        return hypotheses_of(self.scenario, self.goal, self.risk, strata)

    def _simulate(
        self, candidates: Sequence[Candidate], sizes: Stage, wave: int, *, progress: Progress | None = None
    ) -> dict[str, Evidence]:
        """The outcomes of each candidate, by its label, under all hypotheses.

        Candidates with the same alarm are strategies of one scenario. Of a hypothesis without a weight nothing is asked but
        whether it is stopped, so that it ends with the deployments.
        """
        groups: dict[Alarm | None, list[Candidate]] = {}
        for candidate in candidates:
            groups.setdefault(candidate.alarm, []).append(candidate)
        until, over = self._until(candidates), self._over(candidates)
        work: dict[tuple[int, Alarm | str | None], list[Batch]] = {}
        draws = self._draws(sizes, wave, until, over)
        for k, draw in enumerate(draws):
            for alarm, group in groups.items():
                work[k, alarm] = self._batches(with_candidates(draw.scenario, group), draw)
            if draw.hypothesis.weight and self.single:
                work[k, STEADY] = self._batches(replace(self.still, horizon=until), draw)
            if draw.hypothesis.weight and draw.hypothesis.severity is not None:
                work[k, UNWATCHED] = self._batches(_unwatched(draw.scenario), draw)
        self._spend(work.values())
        results = dict(run_all(work, jobs=self._processes, together=True, progress=progress))
        parts: dict[str, dict[str, list[Outcomes]]] = {candidate.label: {} for candidate in candidates}
        for k, draw in enumerate(draws):
            still = results[k, STEADY][STEADY] if (k, STEADY) in results else None
            exposure = None
            if (k, UNWATCHED) in results:
                numbers = np.concatenate(
                    [np.arange(batch.first, batch.first + batch.count) for batch in work[k, UNWATCHED]]
                )
                exposure = Exposure(
                    unwatched=results[k, UNWATCHED][UNWATCHED],
                    still=still,
                    onset=self.risk.onset,
                    until=until - draw.scenario.start - draw.scenario.phases(self.seed, numbers),
                    found_after=self.risk.found_after,
                )
            for candidate in candidates:
                columns = results[k, candidate.alarm][candidate.name]
                if draw.hypothesis.weight:
                    outcomes = outcomes_of(columns, still, exposure, self.scenario.slos[0].name)
                else:
                    outcomes = stops_of(columns)
                if draw.hypothesis.stratum is None:
                    outcomes = outcomes.one_by_one
                parts[candidate.label].setdefault(draw.hypothesis.name, []).append(outcomes)
        return {
            label: {name: Outcomes.joined(several) for name, several in by_name.items()}
            for label, by_name in parts.items()
        }

    def _spend(self, work: Iterable[Sequence[Batch]]) -> None:
        """Counts what these batches nominally cost."""
        drawn: set[int] = set()
        for batches in work:
            for batch in batches:
                until = batch.scenario.horizon
                cost = len(batch.strategies) * self._cost(until, batch.count, batch.plane.batch)
                if batch.first not in drawn:
                    drawn.add(batch.first)
                    cost += self._shared(until, batch.count)
                self.effort.spend(cost, batch.count * len(batch.strategies))

    def stops(self, candidate: Candidate, name: str, wave: int, count: int) -> Outcomes:
        """What stops so many more rollouts of a candidate under the hypothesis, of which nothing else is asked."""
        hypothesis, over = self.hypotheses[name], self._over([candidate])
        number = wave * PER_WAVE + list(self.hypotheses).index(name) * PER_HYPOTHESIS
        scenario = replace(hypothesis.scenario, horizon=over)
        draw = _Draw(hypothesis=hypothesis, scenario=scenario, number=number, count=count)
        batches = self._batches(with_candidates(scenario, [candidate]), draw)
        self._spend([batches])
        ((_, result),) = run_all({name: batches}, jobs=self._processes)
        return stops_of(result[candidate.name]).one_by_one

    def _draws(self, sizes: Stage, wave: int, until: float, over: float) -> list[_Draw]:
        """What is simulated of each hypothesis: its severities, and how often each.

        Where whole periods are drawn and the rollout's phase is, too, each draw is a batch of one phase: all phases in
        each batch would cost as much as sixteen.
        """
        hypotheses = self._stratified(sizes.strata)
        shares = Streams(seed=self.seed, replication=wave).generator("recommend/severities").random(
            (len(hypotheses), sizes.draws)
        )  # fmt: skip
        draws = []
        one_phase = self.plane.engine == "aggregate" and self.scenario.phase_is_drawn
        phased = min(max(sizes.others // PER_PHASE, FEWEST_PHASES), PARTS) if one_phase else 1
        for k, hypothesis in enumerate(hypotheses.values()):
            number = wave * PER_WAVE + k * PER_HYPOTHESIS
            several, count = (sizes.draws, sizes.each) if hypothesis.stratum else (phased, -(-sizes.others // phased))
            end = until if hypothesis.weight else over
            for r in range(several):
                share = (r + float(shares[k, r])) / several if hypothesis.stratum else 0.0
                scenario = replace(hypothesis.drawn(self.risk, share), horizon=end)
                if one_phase:
                    place = np.array([(wave * len(hypotheses) + k) * several + r])
                    scenario = scenario.with_phase(float(scenario.phases(self.seed, place)[0]))
                draws.append(_Draw(hypothesis=hypothesis, scenario=scenario, number=number + r, count=count))
        return draws

    def _one_plane(self) -> EngineChoice:
        """The fastest data plane that is exact for everything that is simulated, and its smallest batch.

        Neither the strategies nor an alarm's threshold and datapoints have a say in it, and the alarms that are tried
        differ in nothing else that has, so one of them stands for all; of a part of the severities the highest does.
        """
        watched = strategies(self.scenario)[0].watched_by(self.choices[0])
        scenarios = [self.still]
        for hypothesis in self.hypotheses.values():
            worst = hypothesis.drawn(self.risk, 1.0)
            scenarios += [worst, with_candidates(worst, [watched])]
        return one_plane([choose_engine(scenario, self.engine) for scenario in scenarios])

    def _batches(self, scenario: Scenario, draw: _Draw) -> list[Batch]:
        plane, first, count = self.plane, draw.number, draw.count
        size = plane.batch
        if plane.engine == "aggregate":
            size = min(count, LARGEST * (PHASED if scenario.phase_is_drawn else 1), plane.batch)
            plane, first = replace(plane, batch=size), draw.number * size
        names = tuple(scenario.strategies) or (STEADY,)
        return [
            Batch(
                scenario=scenario, strategies=names, plane=plane, seed=self.seed,
                first=first + at, count=min(size, count - at),
            )
            for at in range(0, count, size)
        ]  # fmt: skip

    def rank(self, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
        """The ones that do not break the goal first, then by what is minimised, the simpler one first where it is the same."""
        return sorted(
            evaluations,
            key=lambda evaluation: (
                len(evaluation.broken(self.goal)),
                evaluation.objective.mean,
                evaluation.candidate.complexity,
                evaluation.time_to_full,
            ),
        )

    def compete(
        self, candidates: Sequence[Candidate], progress: Progress | None = None
    ) -> tuple[list[Evaluation], set[str]]:
        """The contenders in the order of preference, and the labels of those that cannot be told from the best.

        A sequential procedure: all are simulated; those that break the goal, or cost more than the best that keeps it, pair by
        pair and with a margin (`SURE`), drop out; the rest is drawn anew, with more and more replications, until one is left,
        or what the others cost more is known to be a trifle (`APART`), or the effort for it is spent.
        """
        sizes = self._sized(1, candidates, len(candidates), SHARES[RACING] - self.effort.spent / self.effort.planned)
        evidence: dict[str, Evidence] = {}
        evaluated: dict[str, Evaluation] = {}
        remaining = list(candidates)
        for turn in range(WAVES):
            grown = replace(sizes, draws=sizes.draws << max(turn - 1, 0), others=sizes.others << max(turn - 1, 0))
            if turn and not self._affords(grown, remaining):
                break
            share = STAGES[1] + (STAGES[2] - STAGES[1]) * turn / WAVES
            new = self._simulate(
                remaining, grown, CONTENDING + turn,
                progress=part_of(progress, share, STAGES[1] + (STAGES[2] - STAGES[1]) * (turn + 1) / WAVES),
            )  # fmt: skip
            for candidate in remaining:
                old = evidence.get(candidate.label)
                evidence[candidate.label] = new[candidate.label] if old is None else joined(old, new[candidate.label])
                evaluated[candidate.label] = self._evaluate(candidate, evidence[candidate.label], sizes.strata)
            best = self._leader(remaining, evidence, evaluated, sizes, CONTENDING + PER_TURN * (turn + 1))
            behind = {
                candidate.label: difference(
                    (candidate, evidence[candidate.label]),
                    (best, evidence[best.label]),
                    self._stratified(sizes.strata),
                    self.goal,
                )
                for candidate in remaining
            }
            remaining = [
                candidate
                for candidate in remaining
                if candidate is best
                or not (evaluated[candidate.label].broken(self.goal) or _surely_more(behind[candidate.label]))
            ]
            trifle = APART * abs(evaluated[best.label].objective.mean)
            if all((behind[candidate.label].high or 0.0) <= trifle for candidate in remaining):
                break
        labels = {candidate.label for candidate in remaining}
        ranked = self.rank(list(evaluated.values()))
        first = [evaluation for evaluation in ranked if evaluation.candidate is best]
        return first + [evaluation for evaluation in ranked if evaluation.candidate is not best], labels

    def _affords(self, sizes: Stage, candidates: Sequence[Candidate]) -> bool:
        """Whether there is time to draw the candidates anew."""
        each, shared = self._stage_costs(sizes, candidates)
        return self.effort.allows(RACING, each * len(candidates) + shared)

    def _leader(
        self, candidates: Sequence[Candidate], evidence: dict[str, Evidence], evaluated: dict[str, Evaluation],
        sizes: Stage, wave: int,
    ) -> Candidate:  # fmt: skip
        """The candidate with the least of what is minimised whose limits are kept, deciding them on the way where they are open."""
        ranked = self.rank([evaluated[candidate.label] for candidate in candidates])
        for evaluation in ranked:
            candidate = evaluation.candidate
            label = candidate.label
            evidence[label] = self._decided(candidate, evidence[label], sizes, wave, RACING)
            evaluated[label] = self._evaluate(candidate, evidence[label], sizes.strata)
            if not evaluated[label].missed_on_average(self.goal):
                return candidate
        return ranked[0].candidate

    def _decided(self, candidate: Candidate, evidence: Evidence, sizes: Stage, wave: int, phase: int) -> Evidence:
        """The evidence with as many replications more as the open limits of the goal take, as far as the effort goes.

        In the last phase also as many as it takes to be as precise as was asked for, and for the limit of the budget.
        """
        precision = self.precision if phase == DECIDING else None
        for turn in itertools.count():
            before = evidence
            unsettled = {
                limit.name: limit
                for limit in self._evaluate(candidate, evidence, sizes.strata).limits(self.goal)
                if not limit.settled(precision) or (phase == DECIDING and limit.estimate.n < limit.fewest)
            }
            for limit in unsettled.values():
                if limit.name in STOPS:
                    evidence = self._more_stops(candidate, evidence, limit, wave + turn, phase)
            if evidence is before and "budget" in unsettled and phase == DECIDING:
                evidence = self._more_costs(candidate, evidence, sizes, wave + turn)
            if evidence is before or (phase == RACING and turn == PER_TURN - 1):
                break
        return evidence

    def _more_stops(self, candidate: Candidate, evidence: Evidence, limit: Limit, wave: int, phase: int) -> Evidence:
        """More replications of the hypothesis that a limit is about: as many as are likely to be enough, within limits."""
        name, drawn, least = STOPS[limit.name], limit.estimate.n, LEAST[self.single]
        needed = math.ceil(1.1 * limit.needed(self.precision if phase == DECIDING else None))
        # Few looks, each with at least twice as many as the last: every look is another chance to err.
        wanted = min(max(needed - drawn, drawn, least), 8 * drawn, DECIDED[phase][self.single] - drawn)
        if wanted <= 0:
            return evidence
        over = self._over([candidate])
        each = (self._cost(over, least) + self._shared(over, least)) / least
        count = self.effort.affordable(phase, each, wanted, least)
        if not count:
            return evidence
        more, key = self.stops(candidate, name, wave, count), STOPPED[name]
        return evidence | {key: Outcomes.joined([evidence[key], more]) if key in evidence else more}

    def _more_costs(self, candidate: Candidate, evidence: Evidence, sizes: Stage, wave: int) -> Evidence:
        """As many draws of the severities again, which say what a release costs."""
        drawn = max(evidence[hypothesis.name].added.shape[0] for hypothesis in self._bad(sizes.strata))
        again = replace(sizes, draws=min(drawn, MOST_DRAWS))
        each, shared = self._stage_costs(again, [candidate])
        if drawn >= MOST_DRAWS or not self.effort.allows(DECIDING, each + shared):
            return evidence
        return joined(evidence, self._simulate([candidate], again, wave)[candidate.label])

    def _bad(self, strata: int) -> list[Hypothesis]:
        return [hypothesis for hypothesis in self._stratified(strata).values() if hypothesis.name not in (GOOD, CATCH)]

    def confirm(
        self, keeping: Sequence[Evaluation], undecided: Collection[str], progress: Progress | None = None
    ) -> tuple[Candidate | None, list[Candidate], list[Evaluation]]:
        """The winner among those that keep the goal, what ties with it, and both beside the obvious alternatives.

        The winner is the simplest of those that cannot be told from the best, whose labels are `undecided`, if it keeps the
        goal on fresh replications too; else the next.
        """
        obvious = self._obvious()
        remaining = list(keeping)
        while remaining and self._may_confirm([evaluation.candidate for evaluation in remaining], len(keeping)):
            alike = [
                evaluation
                for evaluation in remaining
                if evaluation.candidate.label in undecided and _close(evaluation, remaining[0])
            ]
            alike = alike or remaining[:1]
            first = min(alike, key=lambda evaluation: (evaluation.candidate.complexity, evaluation.objective.mean))
            confirmed = self.confirmed(first.candidate, progress)
            failed = bool(confirmed.missed_on_average(self.goal))
            if not failed or len(remaining) == 1:
                others = [candidate for candidate in obvious if candidate != first.candidate]
                if (alarm := first.candidate.alarm) is not None:
                    others += self._better_watched(obvious, first.candidate, alarm)
                ties = [evaluation.candidate for evaluation in alike if evaluation is not first]
                self.effort.end(DECIDING)
                beside = self._best_watched([confirmed, *self._compared(others)])
                return None if failed else first.candidate, ties, beside
            remaining = [evaluation for evaluation in remaining if evaluation is not first]
        self.unconfirmed = len(remaining)
        if remaining:
            self.effort.end(DECIDING)
        return None, [], self._compared(obvious)

    def _may_confirm(self, remaining: Sequence[Candidate], at_first: int) -> bool:
        """Whether there is time to look at one more on fresh replications; the first is looked at in any case."""
        sizes = replace(self.stages[2], strata=SMALLEST[self.single], draws=2, others=LEAST[self.single])
        each, shared = self._stage_costs(sizes, remaining[:1])
        return len(remaining) == at_first or self.effort.spent + each + shared <= self.effort.planned

    def confirmed(self, candidate: Candidate, progress: Progress | None = None) -> Evaluation:
        """A candidate on fresh replications, with as many as its open limits take."""
        left = max(SHARES[DECIDING] - self.effort.spent / self.effort.planned, 0.0)
        sizes = self._sized(2, [candidate], 1, min(CONFIRMED, left))
        part = part_of(progress, *STAGES[2:])
        evidence = self._simulate([candidate], sizes, FRESH, progress=part)[candidate.label]
        evidence = self._decided(candidate, evidence, sizes, FRESH + 1, DECIDING)
        return self._evaluate(candidate, evidence, sizes.strata)

    def _compared(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Those that the recommended one is set beside, on fresh replications."""
        if not candidates:
            return []
        sizes = self._sized(2, candidates, len(candidates), COMPARED)
        evidence = self._simulate(candidates, sizes, FRESH)
        return [self._evaluate(candidate, evidence[candidate.label], sizes.strata) for candidate in candidates]

    def _obvious(self) -> list[Candidate]:
        """The strategies that everybody thinks of, under the file's names for them, with the file's alarms."""
        candidates = []
        for predefined in OBVIOUS:
            strategy = Predefined(type=predefined)
            same = {name: own for name, own in self.scenario.strategies.items() if own.plan == strategy.plan}
            name, chosen = next(iter(same.items()), (predefined, strategy))
            candidates.append(Candidate(name=name, strategy=chosen, alarm=None, complexity=0))
        return [candidate for candidate in candidates if self._end(candidate) <= self._last]

    def _better_watched(self, obvious: Sequence[Candidate], first: Candidate, alarm: Alarm) -> list[Candidate]:
        """The obvious strategies with the recommended alarm, and with the one that suits each best by the closed forms.

        They say whether a strategy loses, or the file's alarm.
        """
        watched: list[Candidate] = []
        for candidate in obvious:
            if candidate.plan == first.plan or candidate.plan.length == 0:  # over before an alarm can act
                continue
            scores = self._scores(candidate, self.choices, self.screen.screen(candidate.plan))
            best = min(scores, key=lambda score: (score.misses, score.penalised)).candidate
            watched += {choice.label: choice for choice in (candidate.watched_by(alarm), best)}.values()
        return watched

    def _best_watched(self, confirmed: Sequence[Evaluation]) -> list[Evaluation]:
        """The first, then the others, each strategy that has an alarm of its own with the better one."""
        first, *others = confirmed
        better = {
            evaluation.candidate.name: evaluation
            for evaluation in reversed(self.rank(others))
            if evaluation.candidate.alarm
        }
        return [
            first,
            *(evaluation for evaluation in others if evaluation.candidate.alarm is None),
            *reversed(better.values()),
        ]

    def _outstanding(self, evaluation: Evaluation) -> Iterator[Outstanding]:
        """What would be likely to decide each open limit of the one that is recommended, where that can be said."""
        for limit in evaluation.limits(self.goal):
            if limit.enough is not None:
                more = max(limit.enough - limit.estimate.n, LEAST[self.single])
                over = self._over([evaluation.candidate])
                yield Outstanding(
                    limit=limit.name,
                    replications=more,
                    seconds=self._cost(over, more) + self._shared(over, more),
                )

    def notes(self, winner: Candidate | None, confirmed: Sequence[Evaluation] = ()) -> tuple[str, ...]:
        """What the answer assumes."""
        notes = [
            "the risk's severities are drawn at random in parts of equal probability; the intervals cover it",
            "bad requests and budgets are what the rollout adds to a run without one, on paired arrivals",
            (
                f"a bad version that nothing stops is found {show_duration(self.risk.found_after)} after it serves everybody "
                "(risk.found_after), and costs until then at the rate at which it does while it is simulated"
            ),
        ]
        notes += remarks_about(self.scenario)
        if self.left_out:
            last = f"the traffic's trace ends at {show_duration(self._last)}"
            notes.append(f"left out, because {last}: {', '.join(self.left_out)}")
        assert self.scenario.new is not None
        if self.scenario.function.versions[self.scenario.new].faults:
            notes.append("the faults of the new version in the file are set aside; `risk` says how releases go wrong")
        if self.plane.engine != "aggregate":
            notes.append(f"every invocation is simulated ({self.plane.reason}), so there are fewer replications")
        if winner is not None and (winner.plan.before is not None or winner.plan.after is not None):
            notes.append("tests in hooks are taken to fail as often as real requests would")
        if winner is not None and self.precision is not None:
            limits = confirmed[0].limits(self.goal)
            wide = [limit.name.replace("_", " ") for limit in limits if not limit.settled(self.precision)]
            if wide:
                notes.append(f"the effort was spent before the precision asked for was reached: {', '.join(wide)}")
        if len(self.scenario.targets) > 2:
            notes.append("traffic to other aliases is part of the runs")
        return tuple(notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Score:
    """A screened candidate: whether it misses a limit, and what is minimised with `PENALTY` for that."""

    candidate: Candidate
    misses: bool
    penalised: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """Replications of one severity of a hypothesis."""

    hypothesis: Hypothesis
    scenario: Scenario
    number: int
    """Of its first batch, which no other draw of the search has."""
    count: int
    """How many replications."""


def _unwatched(scenario: Scenario) -> Scenario:
    """The new version for everybody from the rollout's start, and nothing that stops it."""
    assert scenario.rollout is not None
    rollout = replace(scenario.rollout, alarms=())
    return replace(scenario, rollout=rollout, on_call=None, strategies={UNWATCHED: AllAtOnce()})


def _surely_more(behind: Estimate) -> bool:
    """Whether a difference is above zero with a margin, for it is looked at many times."""
    return behind.low is not None and behind.mean - SURE * (behind.mean - behind.low) > 0


def _close(evaluation: Evaluation, best: Evaluation) -> bool:
    """Whether what is minimised is hardly more than the best's."""
    return evaluation.objective.mean <= best.objective.mean + CLOSE * abs(best.objective.mean)
