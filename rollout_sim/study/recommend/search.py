"""Search: which rollout to use. Candidates are screened by closed forms, the promising are simulated, the best confirmed.

All candidates are simulated on the same random numbers, so that they are compared as pairs. What is reported of the
recommended one comes from fresh replications: the estimates by which it was chosen are biased in its favour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.codedeploy import shortcoming
from rollout_sim.control.strategies import Predefined
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.display import Plotted, text
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import PLANES, EngineChoice, choose_engine
from rollout_sim.run.batch import Batch
from rollout_sim.run.simulate import Progress, part_of
from rollout_sim.scenario.goals import AtMost, AtMostTime, Catch, Goal, LogUniform, Risk, Severity
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import STEADY, Engine
from rollout_sim.study.executor import run_all
from rollout_sim.study.recommend.advice import Advice, advise, low_traffic
from rollout_sim.study.recommend.candidates import Candidate, alarms, strategies, with_candidates
from rollout_sim.study.recommend.hypotheses import CATCH, GOOD, Evaluation, evaluate, hypotheses_of
from rollout_sim.study.recommend.screening import Screen, Screened

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
"""Replications of a batch, where whole periods are drawn: of the promising, the contenders, the confirmed."""
RUNS: Final = (1, 2, 4)
"""How many of these batches there are of each hypothesis."""
STAGES: Final = (0.1, 0.5, 0.75, 1.0)
"""How much of the work is done, by experience, when a stage begins and ends."""
SINGLE: Final = (4, 12, 40)
"""Replications of each hypothesis, where every invocation is simulated."""
FRESH: Final = 1 << 20
"""The first replication of the confirmation."""
CLOSE: Final = 0.1
"""By how much more a simpler candidate may cost, where the replications cannot tell it from the best."""
OBVIOUS: Final = ("Canary10Percent5Minutes", "AllAtOnce")
"""CodeDeploy's names of the strategies that every recommendation is compared with."""
PENALTY: Final = 1e6
"""What a screened candidate is charged, in what is minimised, for missing limits by a probability of 1 in all."""


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
    codedeploy: bool
    asked: Engine | None
    """What was asked for: the file's alarms, what CodeDeploy can carry out, an engine instead of the scenario's."""

    @property
    def decided(self) -> bool:
        """Whether the replications are enough to say that the winner keeps every limit, or that no contender does."""
        if self.winner is not None:
            return not self.confirmed[0].open(self.goal)
        return all(evaluation.broken(self.goal) for evaluation in self.contenders)

    @property
    def chosen_scenario(self) -> Scenario:
        """The file's scenario with the recommended strategy as its only one, and its alarm.

        Raises ScenarioError where nothing is recommended.
        """
        if self.winner is None:
            raise ScenarioError([f"{self.scenario.name}: nothing is recommended: {self.advice.summary}"])
        return with_candidates(self.scenario, [self.winner])

    @property
    def frame(self) -> pd.DataFrame:
        """A row per contender, then one per confirmed candidate: `<estimate>_mean`, `_low` and `_high` of each estimate."""
        import pandas as pd

        rows = []
        for stage, evaluations in (("contender", self.contenders), ("confirmed", self.confirmed)):
            for evaluation in evaluations:
                candidate = evaluation.candidate
                row: dict[str, Any] = {"stage": stage, "strategy": candidate.name, "alarm": candidate.alarm_text}
                for name in ("caught", "false_rollback", "bad", "budget", "objective"):
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
    codedeploy: bool = False,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Recommendation:
    """The rollout to use for `scenario`, by its `risk` and `goal` or their defaults.

    With `keep_alarms` only strategies are searched, watched by the alarms of the file; with `codedeploy` only those that
    CodeDeploy can carry out. `seed` and `engine` replace the scenario's; `jobs` processes share the work. `progress` is
    called with the share that is done. Raises ScenarioError for a scenario without a rollout, an SLO or alarms.

    Examples:
        >>> answer = recommend(Scenario.load("scenarios/checkout.yaml"), keep_alarms=True, codedeploy=True)
        >>> answer.winner is None  # whatever the strategy, the file's alarm stops good versions too often
        True
    """
    search = prepare(scenario, seed=seed, engine=engine, jobs=jobs)
    return search.recommend(keep_alarms=keep_alarms, codedeploy=codedeploy, progress=progress)


def prepare(scenario: Scenario, *, seed: int | None = None, engine: Engine | None = None, jobs: int = 1) -> Search:
    """The search for `scenario`, before anything is simulated; parameters and errors are those of `recommend`."""
    _check(scenario)
    return Search(
        scenario,
        goal=scenario.goal or default_goal(scenario),
        risk=scenario.risk or default_risk(scenario),
        seed=scenario.seed if seed is None else seed,
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

    Full traffic is reached within the hour or the horizon.
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


class Search:
    """The stages of a recommendation: all of them simulate the same hypotheses, on the same random numbers.

    One data plane runs all of them, so that they are pairs of one another and of the run without a rollout. Raises
    ScenarioError where the `engine` that is asked for does not run one of them.
    """

    def __init__(
        self, scenario: Scenario, *, goal: Goal, risk: Risk, seed: int, engine: Engine | None = None, jobs: int = 1
    ) -> None:
        self.scenario = scenario
        self.goal = goal
        self.risk = risk
        self.seed = seed
        self.engine = engine
        self.jobs = jobs
        self.hypotheses = hypotheses_of(scenario, goal, risk)
        self.latency = risk.severity.latency is not None
        self.rate = scenario.rates[scenario.alias]
        self.still = replace(
            self.hypotheses[GOOD].scenario, rollout=None, strategies={}, on_call=None, goal=None, risk=None
        )
        """The same traffic without a rollout. The alarms act no more, but their periods are what is counted by."""
        self.choices = alarms(scenario, latency=self.latency)
        """The alarms that are tried."""
        self.screen = Screen([hypothesis.scenario for hypothesis in self.hypotheses.values()], self.choices, self.rate)
        self.plane = self._one_plane()
        single = int(self.plane.engine != "aggregate")
        self.most, self.contenders = PROMISING[single], CONTENDERS[single]

    def recommend(
        self, *, keep_alarms: bool = False, codedeploy: bool = False, progress: Progress | None = None
    ) -> Recommendation:
        """All stages, one after the other."""
        promising, searched = self.promising(keep_alarms=keep_alarms, codedeploy=codedeploy)
        explored = self.rank(self.evaluations(promising, 0, progress=progress))
        closer = [evaluation.candidate for evaluation in explored[: self.contenders]]
        contenders = self.rank(self.evaluations(closer, 1, progress=progress))
        keeping = [evaluation for evaluation in contenders if not evaluation.missed_on_average(self.goal)]
        winner, ties, confirmed = self.confirm(keeping, progress)
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
            advice=advise(self.scenario, self.goal, contenders, rate=self.rate, feasible=winner is not None),
            notes=self.notes(winner),
            keep_alarms=keep_alarms,
            codedeploy=codedeploy,
            asked=self.engine,
        )

    def promising(self, *, keep_alarms: bool, codedeploy: bool) -> tuple[list[Candidate], int]:
        """The candidates that are worth simulating, by the closed forms; and how many there were."""
        allowed = [
            candidate
            for candidate in strategies(self.scenario, low_traffic=low_traffic(self.scenario, self.goal, self.rate))
            if self._in_time(candidate) and not (codedeploy and shortcoming(candidate.plan))
        ]
        if keep_alarms:
            return allowed if self.plane.engine == "aggregate" else allowed[: self.most], len(allowed)
        scored = [
            score
            for candidate in allowed
            for score in self._scores(candidate, self.choices, self.screen.screen(candidate.plan))
        ]
        scored.sort(key=lambda score: (score.misses, score.penalised))
        watched = [score.candidate for score in scored]
        simple = [candidate for candidate in allowed if candidate.complexity == 0]
        return watched[: self.most] + simple[: self.most], len(allowed) * (len(self.choices) + 1)

    def _in_time(self, candidate: Candidate) -> bool:
        """Whether full traffic is reached within the goal's limit; the obvious strategies are looked at in any case."""
        limit = self.goal.time_to_full
        return limit is None or candidate.plan.time_to_full <= limit.at_most or candidate.name in OBVIOUS

    def _scores(self, candidate: Candidate, choices: Sequence[Alarm], screened: Screened) -> list[_Score]:
        """A strategy with the `CHOICES` alarms that do best by the closed forms, those that miss the goal's limits last."""
        shortfall = self._shortfall(screened)
        value = self._screened_objective(candidate, screened)
        rounded = np.round(shortfall, 3)
        return [
            _Score(
                candidate=candidate.watched_by(choices[k]),
                misses=bool(rounded[k] > 0),
                penalised=float(value[k] + PENALTY * shortfall[k]),
            )
            for k in np.lexsort((value, rounded))[:CHOICES]
        ]

    def _shortfall(self, screened: Screened) -> FloatArray:
        """By how much each alarm misses the goal's limits of probabilities, added up: shape (alarms,); 0 keeps them."""
        names = list(self.hypotheses)
        false_limit = 1.0 if self.goal.false_rollback is None else self.goal.false_rollback.at_most
        shortfall: FloatArray = np.maximum(0.0, screened.stopped[:, names.index(GOOD)] - false_limit)
        if self.goal.catch is not None:
            shortfall = shortfall + np.maximum(0.0, self.goal.catch.at_least - screened.stopped[:, names.index(CATCH)])
        return shortfall

    def _screened_objective(self, candidate: Candidate, screened: Screened) -> FloatArray:
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
        self, candidates: Sequence[Candidate], stage: int, first: int = 0, progress: Progress | None = None
    ) -> list[Evaluation]:
        """The evaluation of each candidate, from as many replications of each hypothesis as the stage has.

        The replications are numbered from `first`. Candidates with the same alarm are strategies of one scenario.
        """
        groups: dict[Alarm | None, list[Candidate]] = {}
        for candidate in candidates:
            groups.setdefault(candidate.alarm, []).append(candidate)
        work: dict[tuple[str, Alarm | None], list[Batch]] = {}
        for alarm, group in groups.items():
            for name, hypothesis in self.hypotheses.items():
                watched = with_candidates(hypothesis.scenario, group)
                work[name, alarm] = self._batches(watched, stage, first)
        work[STEADY, None] = self._batches(self.still, stage, first)
        begin, end = STAGES[stage : stage + 2]
        results = dict(run_all(work, jobs=self.jobs, progress=part_of(progress, begin, end)))
        baseline = results[STEADY, None][STEADY]
        evaluations = []
        for candidate in candidates:
            columns = {name: results[name, candidate.alarm][candidate.name] for name in self.hypotheses}
            evaluations.append(evaluate(candidate, self.hypotheses, columns, baseline, self.goal))
        return evaluations

    def _one_plane(self) -> EngineChoice:
        """The fastest data plane that is exact for everything that is simulated, and its smallest batch.

        Neither the strategies nor an alarm's threshold and datapoints have a say in it, and the alarms that are tried
        differ in nothing else that has, so one of them stands for all.
        """
        watched = strategies(self.scenario)[0].watched_by(self.choices[0])
        scenarios = [self.still]
        for hypothesis in self.hypotheses.values():
            scenarios += [hypothesis.scenario, with_candidates(hypothesis.scenario, [watched])]
        choices = [choose_engine(scenario, self.engine) for scenario in scenarios]
        slowest = max(choices, key=lambda choice: list(PLANES).index(choice.engine))
        return replace(slowest, batch=min(choice.batch for choice in choices))

    def _batches(self, scenario: Scenario, stage: int, first: int) -> list[Batch]:
        plane = self.plane
        names = tuple(scenario.strategies) or (STEADY,)
        if plane.engine == "aggregate":
            size = min(BATCHES[stage], plane.batch)
            plane = replace(plane, batch=size)
            starts = [first + k * size for k in range(RUNS[stage] * BATCHES[stage] // size)]
        else:
            starts, size = [first], SINGLE[stage]
        return [
            Batch(scenario=scenario, strategies=names, plane=plane, seed=self.seed, first=start, count=size)
            for start in starts
        ]

    def rank(self, evaluations: Sequence[Evaluation]) -> list[Evaluation]:
        """The ones that keep the goal first, then by what is minimised, the simpler one first where it is the same."""
        return sorted(
            evaluations,
            key=lambda evaluation: (
                len(evaluation.missed_on_average(self.goal)),
                evaluation.objective.mean,
                evaluation.candidate.complexity,
                evaluation.time_to_full,
            ),
        )

    def confirm(
        self, keeping: Sequence[Evaluation], progress: Progress | None = None
    ) -> tuple[Candidate | None, list[Candidate], list[Evaluation]]:
        """The winner among those that keep the goal, what ties with it, and both beside the obvious alternatives.

        The winner is the simplest of those that cannot be told from the best, if it keeps the goal on fresh replications
        too; else the next.
        """
        obvious = self._obvious()
        remaining = list(keeping)
        while remaining:
            alike = [evaluation for evaluation in remaining if _alike(evaluation, remaining[0])]
            first = min(alike, key=lambda evaluation: (evaluation.candidate.complexity, evaluation.objective.mean))
            others = [candidate for candidate in obvious if candidate != first.candidate]
            if (alarm := first.candidate.alarm) is not None:
                others += self._better_watched(obvious, first.candidate, alarm)
            confirmed = self._best_watched(self.evaluations([first.candidate, *others], 2, FRESH, progress))
            failed = bool(confirmed[0].missed_on_average(self.goal))
            if not failed or len(remaining) == 1:
                ties = [evaluation.candidate for evaluation in alike if evaluation is not first]
                return None if failed else first.candidate, ties, confirmed
            remaining = [evaluation for evaluation in remaining if evaluation is not first]
        return None, [], self.evaluations(obvious, 2, FRESH, progress)

    def _obvious(self) -> list[Candidate]:
        """The strategies that everybody thinks of, under the file's names for them, with the file's alarms."""
        candidates = []
        for predefined in OBVIOUS:
            strategy = Predefined(type=predefined)
            same = {name: own for name, own in self.scenario.strategies.items() if own.plan == strategy.plan}
            name, chosen = next(iter(same.items()), (predefined, strategy))
            candidates.append(Candidate(name=name, strategy=chosen, alarm=None, complexity=0))
        return candidates

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
        return [first, *(one for one in others if one.candidate.alarm is None), *reversed(better.values())]

    def notes(self, winner: Candidate | None) -> tuple[str, ...]:
        """What the answer assumes."""
        severities = sum(1 for hypothesis in self.hypotheses.values() if hypothesis.weight) - 1
        between = "; the intervals do not cover what lies between them" if severities > 1 else ""
        notes = [
            f"the risk's severities are {severities} value(s), evenly spaced in probability{between}",
            "bad requests and budgets are what the rollout adds to a run without one, on paired arrivals",
        ]
        assert self.scenario.new is not None
        if self.scenario.function.versions[self.scenario.new].faults:
            notes.append("the faults of the new version in the file are set aside; `risk` says how releases go wrong")
        if self.plane.engine != "aggregate":
            notes.append(f"every invocation is simulated ({self.plane.reason}), so there are fewer replications")
        if winner is not None and (winner.plan.before is not None or winner.plan.after is not None):
            notes.append("tests in hooks are taken to fail as often as real requests would")
        if len(self.scenario.targets) > 2:
            notes.append("traffic to other aliases is part of the runs")
        return tuple(notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Score:
    """A screened candidate: whether it misses a limit, and what is minimised with `PENALTY` for that."""

    candidate: Candidate
    misses: bool
    penalised: float


def _alike(evaluation: Evaluation, best: Evaluation) -> bool:
    """Whether what is minimised cannot be told apart, or hardly: the intervals overlap, and the means are close."""
    low, high = evaluation.objective.low, best.objective.high
    close = evaluation.objective.mean <= best.objective.mean + CLOSE * abs(best.objective.mean)
    return evaluation is best or (low is not None and high is not None and low <= high and close)
