"""Replications: their default number follows from the scenario, and too few are called that."""

from __future__ import annotations

import time
from pathlib import Path
from unittest.mock import patch

import pytest
from builders import scenario

from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study import replications
from rollout_sim.study.comparison import WIDE, compare, good_twin
from rollout_sim.study.replications import (
    ENOUGH,
    FEWEST,
    MOST,
    PATIENCE,
    compared_by_default,
    nominal_cost,
    nominal_seconds,
    nominally_affordable,
)
from rollout_sim.views.sentences import conclusion
from rollout_sim.views.tables import comparison_table

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def test_the_number_of_replications_does_not_depend_on_the_machine() -> None:
    checkout = Scenario.load(Path(__file__).parents[2] / "scenarios" / "checkout.yaml")
    counts = {
        engine: nominally_affordable(checkout, choose_engine(checkout, engine), runs)
        for engine, runs in (("aggregate", 10), ("compiled", 2), ("simpy", 2))
    }
    assert counts["aggregate"] == MOST
    assert FEWEST < counts["compiled"] < MOST
    assert counts["compiled"] % 10 == 0
    assert counts["simpy"] == FEWEST  # not fewer, however slow


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_comparison_of_each_shipped_scenario_has_enough_replications_by_default(path: Path) -> None:
    given = Scenario.load(path)
    plane = choose_engine(given)
    runs = len(given.strategies) * (1 if good_twin(given) is None else 2)
    count = compared_by_default(given, plane, runs)
    assert count >= (1000 if plane.engine == "aggregate" else ENOUGH)
    assert nominal_seconds(given, plane, runs * count) <= PATIENCE


def test_what_all_strategies_share_is_counted_once() -> None:
    """Draws and a past are shared where runs stand side by side; more of them where the rollout starts late."""
    costs = {
        engine: nominal_cost(scenario(), EngineChoice(engine=engine, reason="", batch=1))
        for engine in ("aggregate", "compiled", "simpy")
    }
    assert costs["aggregate"].shared == costs["simpy"].shared == 0
    late = nominal_cost(scenario(rollout__start="10 min"), EngineChoice(engine="compiled", reason="", batch=1))
    assert late.shared > costs["compiled"].shared > 0
    assert late.run + late.shared == pytest.approx(costs["compiled"].run + costs["compiled"].shared)


def test_nobody_waits_for_more_than_enough() -> None:
    """What is over in seconds has more than enough; beyond them, nothing is simulated that does not lead there."""
    given = scenario()
    plane = EngineChoice(engine="compiled", reason="", batch=1)
    counts = [compared_by_default(given, plane, runs) for runs in (1, 10, 20, 40, 10_000)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > ENOUGH == counts[2]
    assert counts[-1] == FEWEST


@pytest.mark.parametrize("speed", [1.0, 1000.0])
def test_the_default_of_compare_looks_at_no_clock(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is a thousand times as slow makes as many replications."""
    calls = [{"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}}]
    given = scenario(horizon="8 min", rollout__start="1 min", traffic=calls)
    plane = choose_engine(given, "simpy")
    monkeypatch.setattr(replications, "PER_RUN", 0.1)
    monkeypatch.setattr(replications, "ENOUGH", FEWEST)
    with patch.object(time, "perf_counter", side_effect=lambda: time.time() * speed):
        compared = compare(given, strategies=["canary"], engine="simpy")
    assert compared.replications == compared_by_default(given, plane, 2)


def test_too_few_replications_are_called_that_everywhere() -> None:
    given = scenario()
    few, many = compare(given, 20), compare(given, 2000)
    assert few.undecided.startswith("too few to decide: 20 replications leave open by up to ")
    assert comparison_table(few).caption.splitlines()[-1] == few.undecided
    assert few.to_json()["undecided"] == few.undecided
    assert conclusion(few)[0] == f"T{few.undecided[1:]}."
    assert conclusion(few, below_table=True) == conclusion(few)[1:]  # a terminal shows the caption, too
    assert (many.undecided, many.to_json()["undecided"]) == ("", None)
    assert "too few" not in comparison_table(many).caption
    assert "Too few" not in " ".join(conclusion(many))


def test_as_many_as_are_said_to_be_enough_are() -> None:
    few = compare(scenario(), 20)
    enough = int(few.undecided.partition("about ")[2].split()[0].replace(",", ""))
    assert f"leave {WIDE * 100:.0f}" in few.undecided
    assert compare(scenario(), 2 * enough).undecided == ""
