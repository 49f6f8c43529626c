"""Where aliases send their traffic between two instants."""

from __future__ import annotations

import pytest
from builders import scenario

from rollout_sim.planes.routing import Routing, pointing

MOVED = scenario(
    function__versions__3={"like": "1"},
    function__aliases={"prod": "1", "dev": "1"},
    promotions=[{"at": "4 min", "alias": "dev", "to": "3"}, {"at": "2 min", "alias": "dev", "to": "2"}],
)


def test_a_promotion_counts_from_its_own_instant() -> None:
    assert [pointing(MOVED, "dev", t) for t in (0.0, 119.9, 120.0, 239.9, 240.0)] == ["1", "1", "2", "2", "3"]
    assert pointing(MOVED, "prod", 240.0) == "1"


def test_stretches_end_at_promotions() -> None:
    routing = Routing(MOVED)
    seen = [(stop, routing.aliases["dev"].function_version) for stop in routing.stretches(60.0, 300.0, 0.0)]
    assert seen == [(120.0, "1"), (240.0, "2"), (300.0, "3")]


def test_nothing_lies_between_an_instant_and_itself() -> None:
    assert list(Routing(MOVED).stretches(120.0, 120.0, 0.0)) == [120.0]


@pytest.mark.parametrize(
    ("weight", "primary", "additional"), [(0.0, "1", {}), (0.25, "1", {"2": 0.25}), (1.0, "2", {})]
)
def test_the_weight_splits_the_alias_of_the_rollout(weight: float, primary: str, additional: dict[str, float]) -> None:
    routing = Routing(MOVED)
    list(routing.stretches(600.0, 660.0, weight))
    alias = routing.aliases["prod"]
    assert (alias.function_version, alias.routing_config) == (primary, additional)
    assert routing.aliases["dev"].function_version == "3"
