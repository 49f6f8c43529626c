"""Hypotheses: the ways in which a release may be bad or good, and a candidate's expected outcome over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from rollout_sim.core.statistics import Estimate, share_of, weighted_mean, weighted_quantile
from rollout_sim.function.faults import Fault
from rollout_sim.run.batch import Samples, stopped
from rollout_sim.scenario.goals import Goal, Risk
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.limits import Limit, names

STRATA: Final = 8
"""Severities, evenly spaced in probability, that stand for the risk's distribution."""
TAIL: Final = 0.95
GOOD, CATCH = "good", "catch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One way a release can be (a state of nature, in the words of decision theory)."""

    name: str
    """`GOOD`, `CATCH`, or `bad` and a number."""
    scenario: Scenario
    """The file's scenario with the faults that the new version has under this hypothesis."""
    weight: float
    """Its probability under the risk; 0 for `CATCH`, the fault that the goal wants caught."""
    severity: float | None
    """An error rate (fraction) or a factor of the duration; None for the good release."""


def hypotheses_of(scenario: Scenario, goal: Goal, risk: Risk) -> dict[str, Hypothesis]:
    """By name the good release, the fault that must be caught, and `STRATA` severities of the risk.

    The file's own faults of the new version are set aside.
    """

    def hypothesis(name: str, weight: float, severity: float | None, *faults: Fault) -> Hypothesis:
        assert scenario.new is not None
        changed = scenario.with_faults(scenario.new, faults)
        return Hypothesis(name=name, scenario=changed, weight=weight, severity=severity)

    hypotheses = [hypothesis(GOOD, 1 - risk.p_bad, None)]
    if goal.catch is not None:
        value = goal.catch.of.spread.low
        hypotheses.append(hypothesis(CATCH, 0.0, value, goal.catch.of.fault(value, risk.onset)))
    spread = risk.severity.spread
    count = STRATA if spread.high > spread.low else 1
    for k in range(count):
        value = spread.quantile((k + 0.5) / count)
        hypotheses.append(hypothesis(f"bad {k}", risk.p_bad / count, value, risk.severity.fault(value, risk.onset)))
    return {hypothesis.name: hypothesis for hypothesis in hypotheses}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a candidate's rollout comes to, over the hypotheses with their probabilities."""

    candidate: Candidate
    """The strategy and its alarm."""
    caught: Estimate | None
    """The share of the rollouts of the goal's fault that are stopped; None where the goal names no fault."""
    false_rollback: Estimate
    """The share of the rollouts of a good version that are stopped."""
    bad: Estimate
    """Bad requests per release that the rollout adds to those that would be bad without it."""
    budget: Estimate
    """The 95th percentile of the share of the first SLO's budget that the rollout adds to what is spent without it."""
    time_to_full: float
    """Seconds from the start until all traffic is on the new version, where nothing stops the rollout."""
    objective: Estimate
    """What is minimised: bad requests, seconds, or costs in the unit of the goal's prices."""
    power: tuple[tuple[float, Estimate], ...]
    """For each severity of the risk the share of the rollouts that are stopped."""

    def limits(self, goal: Goal) -> tuple[Limit, ...]:
        """The limits of the goal, each beside the estimate that has to keep it."""
        limits = []
        if goal.catch is not None and self.caught is not None:
            limits.append(Limit(name="catch", estimate=self.caught, at_least=goal.catch.at_least))
        if goal.false_rollback is not None:
            at_most = goal.false_rollback.at_most
            limits.append(Limit(name="false_rollback", estimate=self.false_rollback, at_most=at_most))
        if goal.budget is not None:
            limits.append(Limit(name="budget", estimate=self.budget, at_most=goal.budget.at_most))
        if goal.time_to_full is not None:
            known = _exact(self.time_to_full, self.bad.n)
            limits.append(Limit(name="time_to_full", estimate=known, at_most=goal.time_to_full.at_most))
        return tuple(limits)

    def broken(self, goal: Goal) -> list[str]:
        """The limits of the goal that the estimates break, by name: their whole interval lies beyond."""
        return names(self.limits(goal), "no")

    def open(self, goal: Goal) -> list[str]:
        """The limits of the goal of which too few replications say whether they are kept, by name."""
        return names(self.limits(goal), "open")

    def missed_on_average(self, goal: Goal) -> list[str]:
        """The limits of the goal that the means do not keep, by name: what a search prefers the others to.

        A judgement goes by `limits`, and by their intervals.
        """
        return [limit.name for limit in self.limits(goal) if not limit.kept_on_average]


def evaluate(
    candidate: Candidate,
    hypotheses: Mapping[str, Hypothesis],
    columns: Mapping[str, Samples],
    baseline: Samples,
    goal: Goal,
) -> Evaluation:
    """The evaluation of a candidate from its samples (of shape (replications,)) under each hypothesis.

    `baseline` are the samples without a rollout, on the same random numbers.
    """
    likely = [hypothesis for hypothesis in hypotheses.values() if hypothesis.weight]
    slo = hypotheses[GOOD].scenario.slos[0].name
    extra = [columns[hypothesis.name]["bad_requests"] - baseline["bad_requests"] for hypothesis in likely]
    spent = [columns[hypothesis.name][f"budget_spent.{slo}"] - baseline[f"budget_spent.{slo}"] for hypothesis in likely]
    weights = [hypothesis.weight for hypothesis in likely]
    bad = weighted_mean(extra, weights, unit=1.0)
    false = share_of(stopped(columns[GOOD]))
    minutes = candidate.plan.time_to_full / 60
    objective = bad
    if goal.minimise == "time_to_full":
        objective = _exact(candidate.plan.time_to_full, bad.n)
    elif goal.prices is not None:
        price = goal.prices
        costs = [price.bad_request * x for x in extra]
        for k, hypothesis in enumerate(likely):
            if hypothesis.name == GOOD:
                costs[k] = costs[k] + price.false_rollback * stopped(columns[GOOD])
        objective = _shifted(weighted_mean(costs, weights, unit=price.bad_request), price.minute_of_delay * minutes)
    return Evaluation(
        candidate=candidate,
        caught=share_of(stopped(columns[CATCH])) if CATCH in columns else None,
        false_rollback=false,
        bad=bad,
        budget=weighted_quantile(spent, weights, TAIL),
        time_to_full=candidate.plan.time_to_full,
        objective=objective,
        power=tuple(
            (hypothesis.severity, share_of(stopped(columns[hypothesis.name])))
            for hypothesis in likely
            if hypothesis.severity is not None
        ),
    )


def _exact(value: float, n: int) -> Estimate:
    return Estimate(n=n, mean=value, low=value, high=value, quantiles={})


def _shifted(estimate: Estimate, by: float) -> Estimate:
    low, high = estimate.low, estimate.high
    return replace(
        estimate,
        mean=estimate.mean + by,
        low=None if low is None else low + by,
        high=None if high is None else high + by,
    )
