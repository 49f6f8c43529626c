"""Hypotheses: the ways in which a release may be bad or good, and a candidate's expected outcome over all of them.

The severities of a risk are stratified: each stratum has the same probability, and the severities that are simulated are
drawn inside it. So the mean over the strata has no error of discretisation, and what the draws of a stratum differ by is
part of the intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.core.statistics import Estimate, share_of, weighted_mean, weighted_quantile
from rollout_sim.function.faults import Fault
from rollout_sim.run.batch import Samples, stopped
from rollout_sim.scenario.goals import Goal, Risk
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import added_to
from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.limits import Limit, names

STRATA: Final = 8
"""Parts of the risk's severities, of equal probability: where closed forms are asked, and where power is shown."""
TAIL: Final = 0.95
"""The quantile of the budget that a limit is about."""
GOOD, CATCH = "good", "catch"
"""The names of the release without a fault, and of the one with the fault that the goal wants caught."""
STOPPED: Final = {GOOD: "stops of the good", CATCH: "stops of the catch"}
"""Under which name the evidence has more rollouts of a hypothesis, of which only what stops them is known."""


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
    """An error rate (fraction) or a factor of the duration, the median of a stratum; None for the good release."""
    stratum: tuple[float, float] | None = None
    """The part of the risk's severities that it stands for, in probability; None where it stands for one severity."""

    def drawn(self, risk: Risk, share: float) -> Scenario:
        """The scenario with the severity at `share`, in [0, 1), of the stratum; of a single severity, always the same."""
        if self.stratum is None:
            return self.scenario
        low, high = self.stratum
        assert self.scenario.new is not None
        fault = risk.severity.fault(risk.severity.spread.quantile(low + share * (high - low)), risk.onset)
        return self.scenario.with_faults(self.scenario.new, (fault,))


def hypotheses_of(scenario: Scenario, goal: Goal, risk: Risk, strata: int = STRATA) -> dict[str, Hypothesis]:
    """By name the good release, the fault that must be caught, and so many `strata` of the risk's severities.

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
    count = strata if spread.high > spread.low else 1
    for k in range(count):
        value = spread.quantile((k + 0.5) / count)
        bad = hypothesis(f"bad {k}", risk.p_bad / count, value, risk.severity.fault(value, risk.onset))
        hypotheses.append(bad if count == 1 else replace(bad, stratum=(k / count, (k + 1) / count)))
    return {hypothesis.name: hypothesis for hypothesis in hypotheses}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What came out of a candidate's rollouts under one hypothesis: arrays of shape (draws, replications).

    The replications of a draw have the same severity.
    """

    stopped: BoolArray
    """Whether the deployment was stopped."""
    blocked: BoolArray
    """Whether an alarm kept it from beginning."""
    added: FloatArray
    """Bad requests that the rollout adds, until a bad version is found."""
    spent: FloatArray
    """The share of the first SLO's budget that it adds likewise."""

    @property
    def one_by_one(self) -> Outcomes:
        """Each replication as a draw of its own: so they are where the severity is the same in all."""
        return Outcomes(**{part.name: getattr(self, part.name).reshape(-1, 1) for part in fields(self)})

    @staticmethod
    def joined(parts: Sequence[Outcomes]) -> Outcomes:
        """The draws of several of them, one after the other; all have as many replications."""
        return Outcomes(
            **{array.name: np.concatenate([getattr(part, array.name) for part in parts]) for array in fields(Outcomes)}
        )


Evidence = dict[str, Outcomes]
"""A candidate's outcomes by hypothesis, and by the names in `STOPPED`."""


def joined(first: Evidence, second: Evidence) -> Evidence:
    """Both of a candidate's evidence."""
    return {
        name: Outcomes.joined([part[name] for part in (first, second) if name in part]) for name in {**first, **second}
    }


def pooled(evidence: Mapping[str, Outcomes], hypothesis: str) -> list[Outcomes]:
    """All that is known of what stops a hypothesis."""
    return [evidence[name] for name in (hypothesis, STOPPED[hypothesis]) if name in evidence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What a bad version that nothing stops adds, and for how long: for one draw of a severity."""

    unwatched: Samples
    """Of the version that serves everybody from the start with no alarm, on the same random numbers."""
    baseline: Samples | None
    """Without a rollout; None where the plane says itself what a rollout adds."""
    onset: float
    """When the fault sets in (s), as all times counted from the rollout's start."""
    until: float | FloatArray
    """Where the simulated time ends; of shape (replications,) where the rollout's phase is drawn for each."""
    found_after: float
    """How long a bad version serves everybody until it is found."""


def outcomes_of(columns: Samples, baseline: Samples | None, exposure: Exposure | None, slo: str) -> Outcomes:
    """The outcomes in a candidate's samples of one draw, of shape (replications,).

    `baseline` are the samples without a rollout, None where the plane says itself what the rollout adds. With an `exposure`
    a bad version that serves everybody goes on doing so until it is found, wherever the simulated time ends: what it adds
    beyond (or has added too much by) is taken at the rate at which it adds from its onset to that end, unwatched.
    """
    added, spent = _added(columns, baseline, slo)
    if exposure is not None:
        lasting = _unseen(columns, exposure)
        per_request, per_budget = _added(exposure.unwatched, exposure.baseline, slo)
        seen = exposure.until - exposure.onset
        added, spent = added + per_request / seen * lasting, spent + per_budget / seen * lasting
    blocked = columns["outcome"] == OUTCOMES.index("blocked")
    return Outcomes(stopped=stopped(columns)[None], blocked=blocked[None], added=added[None], spent=spent[None])


def stops_of(columns: Samples) -> Outcomes:
    """The outcomes in a candidate's samples where nothing is asked but what stops it: nothing is added."""
    blocked = columns["outcome"] == OUTCOMES.index("blocked")
    nothing = np.zeros((1, blocked.size))
    return Outcomes(stopped=stopped(columns)[None], blocked=blocked[None], added=nothing, spent=nothing)


def _added(columns: Samples, baseline: Samples | None, slo: str) -> tuple[FloatArray, FloatArray]:
    """Bad requests, and the share of the budget of `slo`, that a rollout adds to what is bad without it."""
    added = columns if baseline is None else added_to(baseline, columns)
    return added["bad_requests_added"], added[f"budget_spent_by_rollout.{slo}"]


def _unseen(columns: Samples, exposure: Exposure) -> FloatArray:
    """For how many seconds after the simulated time a bad version serves everybody; negative where it was found before."""
    found_at = np.maximum(columns["time_to_full_s"], exposure.onset) + exposure.found_after
    paged_at = columns["on_call_rollback_s"]
    left = np.where(np.isnan(paged_at), found_at - exposure.until, np.minimum(found_at - paged_at, 0.0))
    outcome = columns["outcome"]
    missed = (outcome == OUTCOMES.index("promoted")) | (outcome == OUTCOMES.index("running"))
    return np.where(missed & ~np.isnan(found_at), left, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A candidate's expected figures, over the hypotheses with their probabilities."""

    candidate: Candidate
    """The strategy and its alarm."""
    caught: Estimate | None
    """The share of the rollouts of the goal's fault that are stopped; None where the goal names no fault."""
    false_rollback: Estimate
    """The share of the rollouts of a good version that are stopped, or kept from beginning by an alarm."""
    blocked: Estimate
    """The share of the rollouts of a good version that an alarm keeps from beginning."""
    bad: Estimate
    """Bad requests per release that the rollout adds to those that would be bad without it."""
    spent: Estimate
    """The share of the first SLO's budget that the rollout adds to what is spent without it, on average."""
    budget: Estimate
    """The 95th percentile of the share of the first SLO's budget that the rollout adds to what is spent without it."""
    time_to_full: float
    """Seconds from the start until all traffic is on the new version, where nothing stops the rollout."""
    objective: Estimate
    """What is minimised: bad requests, seconds, or costs in the unit of the goal's prices."""
    power: tuple[tuple[float, Estimate], ...]
    """For the median severity of each of up to `STRATA` parts of the risk, the share of that part's rollouts that are stopped."""

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
    candidate: Candidate, hypotheses: Mapping[str, Hypothesis], outcomes: Mapping[str, Outcomes], goal: Goal
) -> Evaluation:
    """The evaluation of a candidate from its outcomes under each hypothesis."""
    likely = [hypothesis for hypothesis in hypotheses.values() if hypothesis.weight]
    weights = [hypothesis.weight for hypothesis in likely]
    added = [_independent(hypothesis, outcomes[hypothesis.name].added) for hypothesis in likely]
    spent = [_independent(hypothesis, outcomes[hypothesis.name].spent) for hypothesis in likely]
    bad = weighted_mean(added, weights, unit=1.0)
    good, catch = pooled(outcomes, GOOD), pooled(outcomes, CATCH)
    return Evaluation(
        candidate=candidate,
        caught=share_of(np.concatenate([part.stopped.ravel() for part in catch])) if catch else None,
        false_rollback=share_of(np.concatenate([(part.stopped | part.blocked).ravel() for part in good])),
        blocked=share_of(np.concatenate([part.blocked.ravel() for part in good])),
        bad=bad,
        spent=weighted_mean(spent, weights),
        budget=weighted_quantile(spent, weights, TAIL),
        time_to_full=candidate.plan.time_to_full,
        objective=_objective(candidate, likely, outcomes, goal),
        power=_power([hypothesis for hypothesis in likely if hypothesis.severity is not None], outcomes),
    )


def difference(
    first: tuple[Candidate, Mapping[str, Outcomes]],
    second: tuple[Candidate, Mapping[str, Outcomes]],
    hypotheses: Mapping[str, Hypothesis],
    goal: Goal,
) -> Estimate:
    """By how much more the first candidate has of what is minimised than the second, pair by pair of their replications."""
    likely = [hypothesis for hypothesis in hypotheses.values() if hypothesis.weight]
    (parts, fixed), (other_parts, other_fixed) = (_costs(*outcome, likely, goal) for outcome in (first, second))
    # As many of each as both have: more are drawn of the good version alone, to decide a limit.
    pairs = [part[: len(other)] - other[: len(part)] for part, other in zip(parts, other_parts, strict=True)]
    return _shifted(weighted_mean(pairs, [hypothesis.weight for hypothesis in likely]), fixed - other_fixed)


def _independent(hypothesis: Hypothesis, values: FloatArray) -> FloatArray:
    """The values of shape (draws, replications), all replications alike where the hypothesis is one severity."""
    return values.ravel() if hypothesis.stratum is None else values


def _costs(
    candidate: Candidate, outcomes: Mapping[str, Outcomes], likely: Sequence[Hypothesis], goal: Goal
) -> tuple[list[FloatArray], float]:
    """What is minimised of each replication of each hypothesis, and what of it is the same in all."""
    added = [_independent(hypothesis, outcomes[hypothesis.name].added) for hypothesis in likely]
    if goal.minimise == "time_to_full":
        return [np.zeros_like(part) for part in added], candidate.plan.time_to_full
    if goal.prices is None:
        return added, 0.0
    price = goal.prices
    costs = [price.bad_request * part for part in added]
    for k, hypothesis in enumerate(likely):
        if hypothesis.name == GOOD:
            good = outcomes[GOOD]
            costs[k] = costs[k] + price.false_rollback * (good.stopped | good.blocked).ravel()
    return costs, price.minute_of_delay * candidate.plan.time_to_full / 60


def _objective(
    candidate: Candidate, likely: Sequence[Hypothesis], outcomes: Mapping[str, Outcomes], goal: Goal
) -> Estimate:
    """What is minimised, over the `likely` hypotheses with their probabilities."""
    parts, fixed = _costs(candidate, outcomes, likely, goal)
    if goal.minimise == "time_to_full":
        return _exact(fixed, sum(part.size for part in parts))
    unit = 1.0 if goal.prices is None else goal.prices.bad_request
    return _shifted(weighted_mean(parts, [hypothesis.weight for hypothesis in likely], unit=unit), fixed)


def _power(bad: Sequence[Hypothesis], outcomes: Mapping[str, Outcomes]) -> tuple[tuple[float, Estimate], ...]:
    """`Evaluation.power`: of neighbouring strata together, so that there are up to `STRATA` parts."""
    power, size = [], max(len(bad) // STRATA, 1)
    for first in range(0, len(bad), size):
        part = bad[first : first + size]
        severities = [hypothesis.severity for hypothesis in part if hypothesis.severity is not None]
        hits = np.concatenate([outcomes[hypothesis.name].stopped.ravel() for hypothesis in part])
        power.append((float(np.exp(np.mean(np.log(severities)))), share_of(hits)))
    return tuple(power)


def _exact(value: float, n: int) -> Estimate:
    """A value that is known without an error."""
    return Estimate(n=n, mean=value, low=value, high=value, quantiles={})


def _shifted(estimate: Estimate, by: float) -> Estimate:
    """An estimate with a constant added."""
    low, high = estimate.low, estimate.high
    return replace(
        estimate,
        mean=estimate.mean + by,
        low=None if low is None else low + by,
        high=None if high is None else high + by,
    )
