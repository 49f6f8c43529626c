"""Search: which rollout to use. Candidates are screened by closed forms, the promising are simulated, the best confirmed.

The stages, each in a module of its own, and what is handed from one to the next:

    shortlist       thousands of candidates -> the promising, by the closed forms of `screening`
    sampling        simulates candidates under all hypotheses, on common random numbers -> evidence
    race            tells the promising apart, group by group -> contenders in the order of preference
    deciding        draws until a limit of the goal is known to be kept or broken
    confirmation    the winner on fresh replications, beside the obvious alternatives

What they go by is fixed before (`problem`). How large each stage is follows from what it nominally costs (`stages`) and from what the
search may spend (`effort`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice
from rollout_sim.run.simulate import Progress, part_of
from rollout_sim.scenario.goals import DeployWith, Goal, Risk
from rollout_sim.scenario.scenario import Scenario, check_is_scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.recommend.advice import Advice, advise
from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.confirmation import Confirmation, Confirmed
from rollout_sim.study.recommend.defaults import default_goal, default_risk, obstacles
from rollout_sim.study.recommend.effort import RACING, Effort
from rollout_sim.study.recommend.hypotheses import Evaluation
from rollout_sim.study.recommend.notes import notes_on
from rollout_sim.study.recommend.problem import SelectionProblem
from rollout_sim.study.recommend.race import Race, affords_race, entrants, left_in_queue, rank
from rollout_sim.study.recommend.recommendation import Outstanding, Recommendation
from rollout_sim.study.recommend.sampling import EXPLORING, Sampler
from rollout_sim.study.recommend.shortlist import Shortlist
from rollout_sim.study.recommend.stages import EVERY_INVOCATION, WHOLE_PERIODS, Stage, StagePlanner

DONE: Final = (0.1, 0.35, 0.7, 1.0)
"""How much of the work is done, by experience, when the exploration begins, when it ends, after the races, and at the end."""


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


@dataclass(slots=True, kw_only=True)
class _Findings:
    """What a search knows so far: what is left of it where it is interrupted."""

    doing: str = "while the promising candidates were simulated"
    """What it is about to find out, in words that follow "interrupted"; empty at the end."""
    explored: list[Evaluation] = field(default_factory=list)
    """The promising in the order of preference, with few replications."""
    queue: list[Candidate] = field(default_factory=list)
    """Of these, those that have not raced, the next first."""
    contenders: list[Evaluation] = field(default_factory=list)
    """Those that have raced, in the order of preference, the last group first."""
    confirmed: Confirmed = field(default_factory=Confirmed)
    """What fresh replications say."""
    outstanding: tuple[Outstanding, ...] = ()
    """What would decide the open limits of the winner."""


class Search:
    """A search that is prepared: what is to be selected, and how much may be simulated for it.

    Raises ScenarioError where the `engine` that is asked for does not run one of the hypotheses.
    """

    def __init__(
        self, scenario: Scenario, *, goal: Goal, risk: Risk, seed: int,
        deploy_with: DeployWith | None = None, engine: Engine | None = None, jobs: int | None = 1,
    ) -> None:  # fmt: skip
        self.problem = SelectionProblem(scenario=scenario, goal=goal, risk=risk, seed=seed, asked=engine)
        self.shortlist = Shortlist(self.problem)
        self.sizes = WHOLE_PERIODS if self.problem.whole_periods else EVERY_INVOCATION
        """How large the stages are."""
        self.jobs = jobs
        """Processes that share the work; None for all, where it is worth that."""
        self._deploy_with = deploy_with

    @property
    def plane(self) -> EngineChoice:
        """The data plane that runs everything."""
        return self.problem.plane

    def sampler(self, effort: Effort | None = None) -> Sampler:
        """What simulates candidates, within an effort: by default as much as nobody says."""
        planner = StagePlanner(self.problem, self.sizes, effort or Effort(self.sizes.work))
        return Sampler(self.problem, planner, jobs=self.jobs)

    def evaluations(self, candidates: Sequence[Candidate], stage: Stage, wave: int = EXPLORING) -> list[Evaluation]:
        """The evaluation of each candidate, from as many replications of each hypothesis as the stage has.

        Waves have random numbers of their own.
        """
        return _explored(self.sampler(), candidates, stage, wave)

    def recommend(
        self, *, keep_alarms: bool = False, time: float | None = None, precision: float | None = None,
        runs: Sequence[int] | None = None, progress: Progress | None = None,
    ) -> Recommendation:  # fmt: skip
        """All stages, one after the other; what is known by then where it is interrupted. Parameters are those of `recommend`."""
        for name, given in (("time", time), ("precision", precision)):
            if given is not None and not given > 0:
                raise ScenarioError([f"{name}: must be above 0, got {given!r}"])
        effort = Effort(self.sizes.work, seconds=time, precise=precision is not None, runs=runs)
        sampler = self.sampler(effort)
        promising, searched = self.shortlist.promising(sampler.planner, keep_alarms=keep_alarms)
        findings = _Findings()
        try:
            self._find(findings, sampler, promising, precision, progress)
        except KeyboardInterrupt:
            if not findings.explored:
                raise
            findings.contenders = findings.contenders or findings.explored[: self.sizes.contenders[1]]
        problem, confirmed = self.problem, findings.confirmed
        unexamined = len(findings.queue) + confirmed.unconfirmed if confirmed.winner is None else 0
        return Recommendation(
            scenario=problem.scenario,
            goal=problem.goal,
            risk=problem.risk,
            seed=problem.seed,
            plane=problem.plane,
            searched=searched,
            winner=confirmed.winner,
            explored=tuple(findings.explored),
            contenders=tuple(findings.contenders),
            confirmed=confirmed.evaluations,
            ties=confirmed.ties,
            advice=self._advice(findings, unexamined),
            notes=notes_on(
                problem,
                left_out=self.shortlist.left_out,
                winner=None if confirmed.winner is None else confirmed.evaluations[0],
                precision=precision,
            ),
            keep_alarms=keep_alarms,
            deploy_with=self._deploy_with,
            asked=problem.asked,
            time=time,
            precision=precision,
            runs=effort.reached,
            outstanding=findings.outstanding,
            unexamined=unexamined,
            interrupted=findings.doing,
        )

    def _find(
        self, findings: _Findings, sampler: Sampler, promising: Sequence[Candidate], precision: float | None,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        """All stages from the promising candidates on; each tells its `findings` as soon as it has them."""
        goal, planner = self.problem.goal, sampler.planner
        explored = _explored(sampler, promising, self.sizes.explore, EXPLORING, part_of(progress, *DONE[:2]))
        findings.explored = rank(explored, goal)
        findings.doing = "while the contenders were told apart"
        undecided: frozenset[str] = frozenset()
        keeping = [evaluation for evaluation in findings.explored if not evaluation.broken(goal)]
        findings.queue = [evaluation.candidate for evaluation in keeping or findings.explored[:1]]
        while findings.queue:
            group = entrants(planner, findings.queue)
            placing = Race(sampler, group).run(part_of(progress, *DONE[1:3]))
            undecided = placing.undecided
            findings.contenders = [*placing.ranked, *findings.contenders]
            findings.queue = left_in_queue(findings.queue, group, placing.ranked, goal)
            if any(not evaluation.missed_on_average(goal) for evaluation in placing.ranked):
                break
            if findings.queue and not affords_race(planner, findings.queue):
                break
        planner.effort.end(RACING)
        findings.doing = "before the best was confirmed on fresh replications"
        keeping = [evaluation for evaluation in findings.contenders if not evaluation.missed_on_average(goal)]
        confirmation = Confirmation(sampler, self.shortlist, precision=precision)
        findings.confirmed = confirmation.confirm(keeping, undecided, part_of(progress, *DONE[2:]))
        if findings.confirmed.winner is not None:
            findings.outstanding = tuple(confirmation.outstanding(findings.confirmed.evaluations[0]))
        findings.doing = ""

    def _advice(self, findings: _Findings, unexamined: int) -> Advice:
        """Why nothing keeps the goal; or that it is not known yet, where it was interrupted or some are `unexamined`."""
        feasible = findings.confirmed.winner is not None or bool(findings.doing)
        advice = advise(self.problem.goal, findings.contenders, rate=self.problem.rate, feasible=feasible)
        if findings.doing:
            return replace(advice, summary=f"interrupted {findings.doing}")
        if unexamined:
            more = f"{unexamined} more promising candidates were not looked at closely, for which --time has room"
            return replace(advice, summary=f"{advice.summary}; {more}")
        return advice


def _explored(
    sampler: Sampler, candidates: Sequence[Candidate], stage: Stage, wave: int, progress: Progress | None = None
) -> list[Evaluation]:
    """The evaluation of each candidate from one wave, all of them simulated together."""
    evidence = sampler.sample(candidates, stage, wave, progress=progress)
    return [sampler.problem.evaluate(candidate, evidence[candidate.label], stage.strata) for candidate in candidates]
