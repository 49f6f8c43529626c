"""Recommendation: which rollout to use. Screens candidates, simulates the promising, confirms the best on fresh seeds.

All candidates meet the same random numbers, so that they are compared as pairs. What is reported of the recommended
one is drawn anew: the figures by which it was chosen would flatter it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout_sim.control.codedeploy import shortcoming
from rollout_sim.control.strategies import Predefined
from rollout_sim.core.display import Plotted, text
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice, choose_engine, inexactness
from rollout_sim.run.batch import Batch, Samples, concatenate
from rollout_sim.run.simulate import Progress
from rollout_sim.scenario.goals import AtMost, AtMostTime, Catch, Goal, LogUniform, Risk, Severity
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import STEADY, Engine
from rollout_sim.study.executor import run_batches
from rollout_sim.study.recommend.advice import Advice, advise, quiet
from rollout_sim.study.recommend.candidates import Candidate, alarms, strategies, with_candidates
from rollout_sim.study.recommend.hypotheses import CATCH, GOOD, Evaluation, evaluate, hypotheses_of
from rollout_sim.study.recommend.screening import Screen

if TYPE_CHECKING:
    import pandas as pd


FAST_BURN: Final = 14.4
"""The burn rate at which a page is due: what a rollout should catch unless the goal says otherwise."""
PROMISING: Final = (48, 10)
"""Candidates that are simulated at all: where whole periods are drawn, and where every invocation is simulated."""
CHOICES: Final = 3
"""Alarms of each strategy that may be promising."""
CONTENDERS: Final = (8, 4)
"""Of these, the ones that are looked at closely."""
BATCHES: Final = (256, 1024, 1024)
"""Replications at a time of each world, where whole periods are drawn: of the promising, the contenders, the confirmed."""
RUNS: Final = (1, 2, 4)
"""How many of these batches."""
STAGES: Final = (0.1, 0.5, 0.75, 1.0)
"""How much of the work is done, by experience, when a stage begins and ends."""
SINGLE: Final = (4, 12, 40)
"""Replications of each world, where every invocation is simulated."""
FRESH: Final = 1 << 20
"""The first replication of the confirmation."""
CLOSE: Final = 0.1
"""By how much more a simpler candidate may cost, where the replications cannot tell it from the best."""
OBVIOUS: Final = ("Canary10Percent5Minutes", "AllAtOnce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation(Plotted):
    """What came out: `winner` None where nothing keeps the goal.

    `explored` were simulated briefly, `contenders` more closely; both are in the order of preference.

    The first of `confirmed` is the winner, then the obvious alternatives. `ties` are contenders that the figures cannot
    tell from the winner.
    """

    scenario: Scenario
    goal: Goal
    risk: Risk
    seed: int
    plane: EngineChoice
    searched: int
    winner: Candidate | None
    explored: tuple[Evaluation, ...]
    contenders: tuple[Evaluation, ...]
    confirmed: tuple[Evaluation, ...]
    ties: tuple[Candidate, ...]
    advice: Advice
    notes: tuple[str, ...]
    keep_alarms: bool
    codedeploy: bool
    asked: Engine | None
    """What was asked for: the file's alarms, what CodeDeploy can carry out, an engine instead of the scenario's."""

    @property
    def chosen_scenario(self) -> Scenario:
        """The file's scenario with the recommended strategy as its only one, and its alarm. Raises without a winner."""
        if self.winner is None:
            raise ScenarioError([f"{self.scenario.name}: nothing is recommended: {self.advice.summary}"])
        return with_candidates(self.scenario, [self.winner])

    @property
    def frame(self) -> pd.DataFrame:
        """One row per contender, then one per confirmed candidate: figures with their intervals."""
        import pandas as pd

        rows = []
        for stage, figures in (("contender", self.contenders), ("confirmed", self.confirmed)):
            for one in figures:
                row: dict[str, Any] = {
                    "stage": stage,
                    "strategy": one.candidate.name,
                    "alarm": one.candidate.alarm_text,
                }
                for name in ("caught", "false_rollback", "bad", "budget", "objective"):
                    estimate = getattr(one, name)
                    for part in ("mean", "low", "high"):
                        row[f"{name}_{part}"] = None if estimate is None else getattr(estimate, part)
                rows.append({**row, "time_to_full_s": one.time_to_full, "misses": " ".join(one.misses(self.goal))})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return text(self)


def recommend(
    scenario: Scenario,
    *,
    keep_alarms: bool = False,
    codedeploy: bool = False,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Recommendation:
    """The rollout to use for `scenario`, by its `risk` and `goal` or their defaults.

    With `keep_alarms` only strategies are searched, watched by the alarms of the file; with `codedeploy` only those that
    CodeDeploy can carry out. `progress` is called with the share that is done.
    Raises ScenarioError for a scenario without a rollout, an SLO or alarms.
    """
    _check(scenario)
    risk = scenario.risk or default_risk(scenario)
    goal = scenario.goal or default_goal(scenario)
    seed = scenario.seed if seed is None else seed
    search = _Search(scenario, goal, risk, seed, engine, jobs, progress or (lambda _: None))
    promising, searched = search.promising(keep_alarms=keep_alarms, codedeploy=codedeploy)
    explored = search.rank(search.figures(promising, 0))
    ranked = search.rank(search.figures([one.candidate for one in explored[: search.contenders]], 1))
    keeping = [one for one in ranked if not one.misses(goal)]
    winner, ties, confirmed = search.confirm(keeping)
    return Recommendation(
        scenario=scenario,
        goal=goal,
        risk=risk,
        seed=seed,
        plane=search.plane,
        searched=searched,
        winner=winner,
        explored=tuple(explored),
        contenders=tuple(ranked),
        confirmed=tuple(confirmed),
        ties=tuple(ties),
        advice=advise(scenario, goal, ranked, rate=search.rate, found=winner is not None),
        notes=search.notes(winner),
        keep_alarms=keep_alarms,
        codedeploy=codedeploy,
        asked=engine,
    )


def default_risk(scenario: Scenario) -> Risk:
    """One release in seven is bad: by errors, or by its durations where the first SLO is about latency."""
    if scenario.slos[0].latency is None:
        return Risk()
    return Risk(severity=Severity(latency=LogUniform(1.2, 10.0)))


def default_goal(scenario: Scenario) -> Goal:
    """Catch what burns the budget fast enough to page (twice the duration, for a latency SLO), and rarely err.

    Done within the hour or the horizon.
    """
    share = min(FAST_BURN * (1 - scenario.slos[0].objective), 0.5)
    errors = Severity(error_rate=LogUniform(share, share))
    return Goal(
        catch=Catch(of=errors if scenario.slos[0].latency is None else Severity(latency=LogUniform(2.0, 2.0))),
        false_rollback=AtMost(at_most=0.01),
        budget=AtMost(at_most=0.05),
        time_to_full=AtMostTime(at_most=min(3600.0, scenario.horizon - scenario.start)),
    )


def _check(scenario: Scenario) -> None:
    problems = []
    if scenario.rollout is None:
        problems.append("rollout: recommend needs one, to say which alias moves to which version")
    elif not scenario.rollout.alarms:
        problems.append("rollout.alarms: recommend needs an alarm to start from")
    if not scenario.slos:
        problems.append("slos: recommend needs one, to know which requests are bad")
    elif scenario.slos[0].alias not in (None, scenario.alias):
        problems.append(f"slos[0].alias: recommend goes by the first SLO, which must be about {scenario.alias!r}")
    if problems:
        raise ScenarioError([f"{scenario.name}: {problem}" for problem in problems])


class _Search:
    """What all stages share."""

    def __init__(
        self, scenario: Scenario, goal: Goal, risk: Risk, seed: int, engine: Engine | None, jobs: int,
        report: Progress = lambda _: None,
    ) -> None:  # fmt: skip
        self.scenario = scenario
        self.report = report
        self.goal = goal
        self.seed = seed
        self.engine = engine
        self.jobs = jobs
        self.hypotheses = hypotheses_of(scenario, goal, risk)
        self.latency = risk.severity.latency is not None
        self.plane = choose_engine(self.hypotheses[GOOD].scenario, engine)
        single = int(self.plane.engine != "aggregate")
        self.most, self.contenders = PROMISING[single], CONTENDERS[single]
        self.rate = scenario.rates[scenario.alias]

    def promising(self, *, keep_alarms: bool, codedeploy: bool) -> tuple[list[Candidate], int]:
        """The candidates that are worth simulating, by the closed forms; and how many there were."""
        found = strategies(self.scenario, quiet=quiet(self.scenario, self.goal, self.rate))
        limit = self.goal.time_to_full
        found = {
            name: one
            for name, one in found.items()
            if (limit is None or one[0].plan.time_to_full <= limit.at_most or name in OBVIOUS)
            and not (codedeploy and shortcoming(one[0].plan))
        }
        if keep_alarms:
            every = [Candidate(name=n, strategy=s, alarm=None, complexity=e) for n, (s, e) in found.items()]
            return every if self.plane.engine == "aggregate" else every[: self.most], len(every)
        choices = alarms(self.scenario, latency=self.latency)
        names = list(self.hypotheses)
        screen = Screen([hypothesis.scenario for hypothesis in self.hypotheses.values()], choices, self.rate)
        weights = np.array([hypothesis.weight for hypothesis in self.hypotheses.values()])
        scored: list[tuple[bool, float, Candidate]] = []
        for name, (strategy, complexity) in found.items():
            seen = screen.screen(strategy.plan)
            bad = seen.bad @ weights
            short = np.maximum(0.0, seen.stopped[:, names.index(GOOD)] - self._false_limit())
            if CATCH in names:
                assert self.goal.catch is not None
                short = short + np.maximum(0.0, self.goal.catch.at_least - seen.stopped[:, names.index(CATCH)])
            minutes = strategy.plan.time_to_full / 60
            value = bad if self.goal.minimise != "time_to_full" else np.full(bad.size, minutes)
            if self.goal.prices is not None:
                price = self.goal.prices
                false = weights[names.index(GOOD)] * seen.stopped[:, names.index(GOOD)]
                value = price.bad_request * bad + price.minute_of_delay * minutes + price.false_rollback * false
            order = np.lexsort((value, np.round(short, 3)))
            for k in order[:CHOICES]:
                candidate = Candidate(name=name, strategy=strategy, alarm=choices[k], complexity=complexity + 1)
                scored.append((round(float(short[k]), 3) > 0, float(value[k] + 1e6 * short[k]), candidate))
        scored.sort(key=lambda one: one[:2])
        kept = [Candidate(name=n, strategy=s, alarm=None, complexity=e) for n, (s, e) in found.items() if e == 0]
        return [one for *_, one in scored[: self.most]] + kept[: self.most], len(found) * (len(choices) + 1)

    def _false_limit(self) -> float:
        limit = self.goal.false_rollback
        return 1.0 if limit is None else limit.at_most

    def figures(self, candidates: Sequence[Candidate], stage: int, first: int = 0) -> list[Evaluation]:
        """The figures of each candidate, from so many replications of each world as the stage has."""
        groups: dict[Any, list[Candidate]] = {}
        for one in candidates:
            groups.setdefault(one.alarm, []).append(one)
        work: list[tuple[Candidate | None, str, Batch]] = []
        for group in groups.values():
            for hypothesis in self.hypotheses.values():
                changed = with_candidates(hypothesis.scenario, group)
                work += [(group[0], hypothesis.name, batch) for batch in self._chunks(changed, stage, first)]
        still = replace(
            self.hypotheses[GOOD].scenario, rollout=None, strategies={}, alarms={}, on_call=None, goal=None, risk=None
        )
        work += [(None, "", batch) for batch in self._chunks(still, stage, first)]
        results: dict[int, dict[str, Samples]] = {}
        begin, end = STAGES[stage : stage + 2]
        for number, result in run_batches([batch for *_, batch in work], jobs=self.jobs):
            results[number] = result
            self.report(begin + (end - begin) * len(results) / len(work))
        parts: dict[tuple[Any, str, str], list[Samples]] = {}
        for number, (leader, world_name, _) in enumerate(work):
            for name, columns in results[number].items():
                parts.setdefault((None if leader is None else leader.alarm, world_name, name), []).append(columns)
        baseline = concatenate(parts[None, "", STEADY])
        return [
            evaluate(
                one, self.hypotheses,
                {name: concatenate(parts[one.alarm, name, one.name]) for name in self.hypotheses}, baseline, self.goal,
            )
            for one in candidates
        ]  # fmt: skip

    def _chunks(self, scenario: Scenario, stage: int, first: int) -> list[Batch]:
        plane = choose_engine(scenario, self.engine)
        names = tuple(scenario.strategies) or (STEADY,)
        if plane.engine == "aggregate":
            batch = min(BATCHES[stage], plane.batch)
            plane, count = replace(plane, batch=batch), RUNS[stage] * BATCHES[stage] // batch
            starts, size = [first + k * batch for k in range(count)], batch
        else:
            starts, size = [first], SINGLE[stage]
        return [
            Batch(scenario=scenario, strategies=names, plane=plane, seed=self.seed, first=at, count=size)
            for at in starts
        ]

    def rank(self, figures: list[Evaluation]) -> list[Evaluation]:
        """The ones that keep the goal first, then by what is minimised, the simpler one first where it is the same."""
        return sorted(
            figures,
            key=lambda one: (
                len(one.misses(self.goal)), one.objective.mean, one.candidate.complexity, one.time_to_full,
            ),
        )  # fmt: skip

    def confirm(self, keeping: list[Evaluation]) -> tuple[Candidate | None, list[Candidate], list[Evaluation]]:
        """The simplest of those that cannot be told from the best, drawn anew beside the obvious alternatives."""
        obvious = []
        for name in OBVIOUS:
            plan = Predefined(type=name).plan
            own = {n: one for n, one in self.scenario.strategies.items() if one.plan == plan}
            known = next(iter(own.items()), (name, Predefined(type=name)))
            obvious.append(Candidate(name=known[0], strategy=known[1], alarm=None, complexity=0))
        while keeping:
            best = keeping[0]
            alike = [one for one in keeping if _alike(one, best)]
            first = min(alike, key=lambda one: (one.candidate.complexity, one.objective.mean))
            others = [one for one in obvious if one != first.candidate]
            confirmed = self.figures([first.candidate, *others], 2, FRESH)
            if not confirmed[0].misses(self.goal) or len(keeping) == 1:
                failed = bool(confirmed[0].misses(self.goal))
                ties = [one.candidate for one in alike if one is not first]
                return None if failed else first.candidate, ties, confirmed
            keeping = [one for one in keeping if one is not first]
        return None, [], self.figures(obvious, 2, FRESH)

    def notes(self, winner: Candidate | None) -> tuple[str, ...]:
        """What the answer assumes."""
        severities = sum(1 for hypothesis in self.hypotheses.values() if hypothesis.weight) - 1
        found = [
            f"the risk's severities are {severities} value(s), evenly spaced in probability",
            "bad requests and budgets are what the rollout adds to a run without one, on paired arrivals",
        ]
        assert self.scenario.new is not None
        if self.scenario.function.versions[self.scenario.new].faults:
            found.append("the faults of the new version in the file are set aside; `risk` says how releases go wrong")
        if reasons := inexactness(self.hypotheses[GOOD].scenario):
            found.append(f"every invocation is simulated ({reasons[0]}), so there are fewer replications")
        if winner is not None and (winner.plan.before is not None or winner.plan.after is not None):
            found.append("tests in hooks are taken to fail as often as real requests would")
        if len(self.scenario.targets) > 2:
            found.append("traffic to other aliases is part of the runs")
        return tuple(found)


def _alike(one: Evaluation, best: Evaluation) -> bool:
    """Whether what is minimised cannot be told apart, or hardly: the intervals overlap, and the means are close."""
    low, high = one.objective.low, best.objective.high
    close = one.objective.mean <= best.objective.mean * (1 + CLOSE)
    return low is not None and high is not None and low <= high and close
