"""Hypotheses: what a candidate comes to over good and bad releases, by hand from a few samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import scenario

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.core.statistics import weighted_mean, weighted_quantile
from rollout_sim.run.batch import Samples
from rollout_sim.scenario.goals import Goal, LogUniform, Prices, Risk, Severity
from rollout_sim.study.recommend.candidates import Candidate, strategies
from rollout_sim.study.recommend.hypotheses import Exposure, Outcomes, difference, evaluate, hypotheses_of, outcomes_of


def samples(outcome: str, bad: list[float], *, full_at: float = math.nan, paged_at: float = math.nan) -> Samples:
    return {
        "outcome": np.full(len(bad), float(OUTCOMES.index(outcome))),
        "time_to_full_s": np.full(len(bad), full_at),
        "on_call_rollback_s": np.full(len(bad), paged_at),
        "bad_requests_added": np.array(bad),
        "budget_spent_by_rollout.availability": np.array(bad) / 1000,
    }


def outcomes(outcome: str, bad: list[float]) -> Outcomes:
    return outcomes_of(samples(outcome, bad), None, None, "availability").one_by_one


@pytest.mark.parametrize(("p_bad", "expected"), [(0.25, 0.25 * 20.0 + 0.75 * 500.0), (1.0, 20.0)])
@pytest.mark.parametrize("ended", ["rolled_back", "blocked"])
def test_a_false_rollback_costs_only_where_releases_may_be_good(p_bad: float, expected: float, ended: str) -> None:
    """20 bad requests of a bad release at 1 each; a good one, always rolled back or not even begun, at 500."""
    given = scenario()
    risk = Risk(p_bad=p_bad, severity=Severity(error_rate=LogUniform(0.1, 0.1)))
    goal = Goal(minimise="cost", prices=Prices(bad_request=1.0, false_rollback=500.0))
    hypotheses = hypotheses_of(given, goal, risk)
    came_out = {"good": outcomes(ended, [0.0] * 4), "bad 0": outcomes("promoted", [20.0] * 4)}
    evaluation = evaluate(at_once(), hypotheses, came_out, goal)
    assert evaluation.false_rollback.mean == 1.0
    assert evaluation.blocked.mean == (ended == "blocked")
    assert evaluation.objective.mean == pytest.approx(expected)


def at_once() -> Candidate:
    return next(one for one in strategies(scenario()) if one.plan.time_to_full == 0)


@pytest.mark.parametrize(
    ("columns", "seconds"),
    [
        # 100 s at one bad request a second are simulated; found 500 s after it serves everybody.
        (samples("promoted", [80.0], full_at=20.0), 520.0 - 100.0),
        (samples("promoted", [80.0], full_at=0.0), 500.0 - 100.0),
        (samples("running", [80.0], full_at=20.0), 520.0 - 100.0),
        (samples("rolled_back", [80.0], full_at=20.0), 0.0),
        (samples("blocked", [0.0]), 0.0),
        (samples("failed", [0.0]), 0.0),
        # The person on call was there first.
        (samples("promoted", [30.0], full_at=20.0, paged_at=50.0), 0.0),
    ],
)
def test_a_missed_fault_costs_until_it_is_found(columns: Samples, seconds: float) -> None:
    exposure = Exposure(
        unwatched=samples("promoted", [100.0]), baseline=None, onset=0.0, until=100.0, found_after=500.0
    )
    came_out = outcomes_of(columns, None, exposure, "availability")
    assert came_out.added.tolist() == [[columns["bad_requests_added"][0] + seconds]]
    assert came_out.spent[0, 0] == pytest.approx((columns["bad_requests_added"][0] + seconds) / 1000)


def test_what_was_found_within_the_simulated_time_costs_no_more_after_that() -> None:
    """Found 10 s after it serves everybody, of 100 s: the 90 s at one bad request a second are taken off again."""
    exposure = Exposure(unwatched=samples("promoted", [100.0]), baseline=None, onset=0.0, until=100.0, found_after=10.0)
    came_out = outcomes_of(samples("promoted", [100.0], full_at=0.0), None, exposure, "availability")
    assert came_out.added.tolist() == [[10.0]]
    late = samples("promoted", [60.0], full_at=0.0, paged_at=60.0)
    assert outcomes_of(late, None, exposure, "availability").added.tolist() == [[10.0]]


def test_the_strata_cover_the_severities_and_their_draws_stay_inside() -> None:
    risk = Risk(severity=Severity(error_rate=LogUniform(0.002, 0.5)))
    hypotheses = [one for one in hypotheses_of(scenario(), Goal(), risk, 16).values() if one.stratum is not None]
    assert len(hypotheses) == 16
    last = 0.002
    for hypothesis in hypotheses:
        drawn = [hypothesis.drawn(risk, share).function.versions["2"].faults[0].errors for share in (0.0, 1.0)]
        assert drawn[0] == pytest.approx(last)
        last = drawn[1] or 0.0
    assert last == pytest.approx(0.5)


def test_the_interval_of_a_mixture_covers_what_the_draws_of_its_parts_differ_by() -> None:
    """The mean of a log-uniform distribution from two draws in each of 8 parts, without any other noise."""
    spread, hits = LogUniform(0.002, 0.5), 0
    truth = (0.5 - 0.002) / math.log(0.5 / 0.002)
    for seed in range(200):
        shares = np.random.default_rng(seed).random((8, 2))
        parts = [
            np.repeat([[spread.quantile((k + (r + shares[k, r]) / 2) / 8)] for r in range(2)], 50, axis=1)
            for k in range(8)
        ]
        estimate = weighted_mean(parts, [1 / 8] * 8)
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= truth <= estimate.high
        quantile = weighted_quantile(parts, [1 / 8] * 8, 0.7)
        assert quantile.low is not None
        assert quantile.high is not None
        assert quantile.low <= spread.quantile(0.7) <= quantile.high
        assert weighted_quantile(parts, [1 / 8] * 8, 0.95).high is None
    assert hits >= 184  # of 200 at 95%, with the error of a binomial


def test_pairs_of_candidates_differ_by_what_differs_in_their_replications() -> None:
    goal, risk = Goal(), Risk(severity=Severity(error_rate=LogUniform(0.1, 0.1)))
    hypotheses = hypotheses_of(scenario(), goal, risk)
    noise = np.random.default_rng(1).normal(0, 100, 50).tolist()
    first = {"good": outcomes("promoted", [0.0] * 50), "bad 0": outcomes("promoted", [x + 3 for x in noise])}
    # More replications of the good version, as where one of its limits was open: the pairs are the ones that both have.
    second = {"good": outcomes("promoted", [0.0] * 70), "bad 0": outcomes("promoted", noise)}
    found = difference((at_once(), first), (at_once(), second), hypotheses, goal)
    assert found.mean == pytest.approx(0.15 * 3)
    assert found.low == pytest.approx(found.high)
