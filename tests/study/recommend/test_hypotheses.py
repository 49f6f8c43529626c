"""Hypotheses: what a candidate comes to over good and bad releases, by hand from a few samples."""

from __future__ import annotations

import numpy as np
import pytest
from builders import scenario

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.run.batch import Samples
from rollout_sim.scenario.goals import Goal, LogUniform, Prices, Risk, Severity
from rollout_sim.study.recommend.candidates import strategies
from rollout_sim.study.recommend.hypotheses import evaluate, hypotheses_of


def samples(outcome: str, bad: list[float]) -> Samples:
    return {
        "outcome": np.full(len(bad), float(OUTCOMES.index(outcome))),
        "bad_requests": np.array(bad),
        "budget_spent.availability": np.array(bad) / 1000,
    }


@pytest.mark.parametrize(("p_bad", "expected"), [(0.25, 0.25 * 20.0 + 0.75 * 500.0), (1.0, 20.0)])
def test_a_false_rollback_costs_only_where_releases_may_be_good(p_bad: float, expected: float) -> None:
    """20 bad requests of a bad release at 1 each; a good one, always rolled back, at 500."""
    given = scenario()
    risk = Risk(p_bad=p_bad, severity=Severity(error_rate=LogUniform(0.1, 0.1)))
    goal = Goal(minimise="cost", prices=Prices(bad_request=1.0, false_rollback=500.0))
    hypotheses = hypotheses_of(given, goal, risk)
    columns = {"good": samples("rolled_back", [3.0] * 4), "bad 0": samples("promoted", [23.0] * 4)}
    candidate = next(one for one in strategies(given) if one.plan.time_to_full == 0)
    evaluation = evaluate(candidate, hypotheses, columns, samples("promoted", [3.0] * 4), goal)
    assert evaluation.false_rollback.mean == 1.0
    assert evaluation.objective.mean == pytest.approx(expected)
