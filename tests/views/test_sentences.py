"""Sentences about a comparison: the strategy that they name is the one that a reader should look at first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import scenario

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.planes.selection import EngineChoice
from rollout_sim.run.batch import Samples
from rollout_sim.study.comparison import Comparison, best_strategy, compare
from rollout_sim.views.cells import EstimatedNumber, EstimatedShare, MedianDuration
from rollout_sim.views.sentences import conclusion, key_figures
from rollout_sim.views.tables import comparison_table

PLANE = EngineChoice(engine="aggregate", reason="", batch=1)
ROLLED_BACK, PROMOTED = OUTCOMES.index("rolled_back"), OUTCOMES.index("promoted")


def columns(stopped: float, bad: float, n: int = 400) -> Samples:
    """So often stopped, so many bad requests on average, with a little noise."""
    back = np.arange(n) < stopped * n
    noise = np.where(np.arange(n) % 2 == 0, -1.0, 1.0)
    return {
        "outcome": np.where(back, ROLLED_BACK, PROMOTED).astype(float),
        "time_to_rollback_s": np.where(back, 120.0, np.nan),
        "time_to_full_s": np.where(back, np.nan, 300.0),
        "requests": np.full(n, 1000.0),
        "bad_requests": bad + noise,
        "budget_spent.availability": (bad + noise) / 1e5,
    }


def compared(bad: dict[str, tuple[float, float]], good: dict[str, float] | None = None) -> Comparison:
    """A comparison with (share stopped, bad requests) of each strategy, and how often a good version is stopped."""

    def side(found: dict[str, Samples], twin: Comparison | None) -> Comparison:
        return Comparison(scenario=scenario(), seed=1, replications=400, plane=PLANE, columns=found, twin=twin)

    twin = None if good is None else side({name: columns(one, 0.0) for name, one in good.items()}, None)
    return side({name: columns(*one) for name, one in bad.items()}, twin)


def test_a_false_alarm_is_no_catch() -> None:
    """What stops every version costs the fewest bad requests, and tells nothing."""
    found = compared(
        {"instant": (0.0, 900.0), "canary": (1.0, 200.0), "linear": (1.0, 150.0)},
        {"instant": 0.0, "canary": 0.1, "linear": 1.0},
    )
    assert best_strategy(found) == "canary"
    first, _, last = conclusion(found)
    assert first.startswith("Of the 3 strategies, canary tells version 2 from a good one best")
    assert last.startswith("But it also stops a good version in 10% [")


def test_of_those_that_catch_alike_the_cheaper_one_then_the_faster_one() -> None:
    good = {"instant": 0.0, "canary": 0.0, "linear": 0.0}
    cheaper = compared({"instant": (0.0, 900.0), "canary": (1.0, 200.0), "linear": (1.0, 150.0)}, good)
    assert best_strategy(cheaper) == "linear"
    alike = compared({"instant": (0.0, 900.0), "canary": (1.0, 150.0), "linear": (1.0, 150.0)}, good)
    plans = alike.scenario.strategies
    assert plans["canary"].plan.time_to_full < plans["linear"].plan.time_to_full
    assert best_strategy(alike) == "canary"


def test_where_nothing_is_noticed_the_answer_is_that() -> None:
    found = compared({"instant": (0.0, 900.0), "canary": (0.02, 880.0)}, {"instant": 0.0, "canary": 0.01})
    assert conclusion(found)[0].startswith("None of the 2 strategies tells version 2 from a good one: canary")


def test_where_nothing_is_stopped_no_strategy_stops_it_most_often() -> None:
    found = compared({"instant": (0.0, 900.0), "canary": (0.0, 880.0)}, {"instant": 0.0, "canary": 0.0})
    assert ": none stops it in any of the rollouts, 0% [0%, " in conclusion(found)[0]
    alone = conclusion(compared({"canary": (0.0, 880.0)}, {"canary": 0.0}))[0]
    assert alone.startswith("canary does not tell version 2 from a good one: it stops it in 0% [")


def test_a_good_version_is_best_left_alone() -> None:
    found = compared({"instant": (0.0, 10.0), "canary": (0.4, 10.0)})
    assert best_strategy(found) == "instant"
    assert "canary does in 40% [" in conclusion(found)[0]


def test_strategies_that_leave_a_good_version_alone_alike() -> None:
    """No strategy is set against itself: "canary leaves it alone best; canary does in 0%"."""
    pair = compared({"instant": (0.0, 10.0), "canary": (0.0, 10.0)})
    assert conclusion(pair)[0].startswith(
        "Nothing is wrong with version 2; either of the 2 strategies stops it in 0% ["
    )
    three = compared({"instant": (0.1, 10.0), "canary": (0.1, 10.0), "linear": (0.1, 10.0)})
    assert conclusion(three)[0].startswith(
        "Nothing is wrong with version 2; each of the 3 strategies stops it in 10% ["
    )


@pytest.mark.parametrize("strategy", ["instant", "canary", "linear"])
def test_the_figures_are_the_comparisons(strategy: str) -> None:
    compared = compare(scenario(), 200, [strategy])
    assert compared.twin is not None
    assert best_strategy(compared) == strategy
    described, good = compared.estimates(strategy), compared.twin.estimates(strategy)
    back = described["time_to_rollback_s"]
    assert {figure.what: figure.value for figure in key_figures(compared)} == {
        "stops version 2": EstimatedShare(described["stopped"]),
        "stops a good version": EstimatedShare(good["stopped"]),
        **({} if back is None else {"rolled back after, median": MedianDuration(back)}),
        "bad requests added": EstimatedNumber(described["bad_requests_added"]),
        "of the availability budget": EstimatedShare(described["budget_spent.availability"]),
    }


@pytest.mark.parametrize(("share", "sentences"), [(0.0, 2), (0.25, 3), (1.0, 2)])
def test_rollouts_that_do_not_begin_are_told_with_the_alarm(share: float, sentences: int) -> None:
    """An alarm that is red before the start: "stopped in 0%" would hide that nothing was rolled out."""
    found = compared({"canary": (0.0, 200.0)}, {"canary": 0.0})
    found.columns["canary"]["outcome"][: round(share * 400)] = OUTCOMES.index("blocked")
    rollout = replace(found.scenario.rollout, alarms=("calm", "errors"))  # of which one is red
    found = replace(found, scenario=replace(found.scenario, rollout=rollout))
    found.columns["canary"] |= {"stopped_by.calm": np.zeros(400), "stopped_by.errors": np.ones(400)}
    told = conclusion(found)
    assert len(told) == sentences
    assert any(
        f"{share * 100:g}% [" in line and "are blocked and do not begin: errors is in ALARM" in line for line in told
    ) == (share > 0)
    found.columns["canary"]["pending"] = np.zeros(400)
    table = comparison_table(found)
    assert ("blocked\n[95%]" in table.headings) == (share > 0)
