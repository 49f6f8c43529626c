"""The recommendation: the rollout to use, and the figures of those among which it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollout_sim.core.display import Plotted, text
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice
from rollout_sim.scenario.goals import DeployWith, Goal, Risk
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.recommend.advice import Advice
from rollout_sim.study.recommend.candidates import Candidate, with_candidates
from rollout_sim.study.recommend.hypotheses import Evaluation

if TYPE_CHECKING:
    import pandas as pd


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
    """The winner, if there is one, and the obvious alternatives (`candidates.OBVIOUS`), on fresh replications.

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
