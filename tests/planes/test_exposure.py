"""Users: whom the new version reaches and hurts, counted while it takes part in the traffic of the rollout's alias."""

from __future__ import annotations

from typing import Any

import pytest
from builders import scenario, steady

from rollout_sim.planes.exposure import ABSENT, SPLIT, WHOLE, UserExposure, Users, service
from rollout_sim.planes.routing import Routing
from rollout_sim.run.simulate import simulate

WEB: dict[str, Any] = {"source": "http", "alias": "prod", "arrivals": {"poisson": "20/s"}, "users": {"count": 300}}


def good(**changes: Any) -> Any:
    return scenario(function__versions__2={"like": "1"}, rollout__alarms=[], **changes)


def test_a_user_counts_once_under_each_mark() -> None:
    exposure = UserExposure(5)
    for user in (0, 0, 1):
        exposure.active(user, SPLIT)
    exposure.active(2, WHOLE)
    exposure.exposed(3, SPLIT)  # came before the new version did, and meets it on a retry
    exposure.exposed(2, WHOLE)
    exposure.affected(0)
    assert exposure.users() == Users(active=4, exposed=2, affected=1, split_active=3, split_exposed=1)


@pytest.mark.parametrize(("weight", "part"), [(0.0, ABSENT), (0.5, SPLIT), (1.0, WHOLE)])
def test_what_an_alias_sends_to_the_new_version(weight: float, part: int) -> None:
    routing = Routing(scenario())
    list(routing.stretches(600.0, 660.0, weight))
    assert service(routing.aliases["prod"], "2") == part
    assert service(routing.aliases["prod"], None) == WHOLE


@pytest.mark.parametrize("engine", ["simpy", "auto"])
def test_only_users_that_the_new_version_serves_are_exposed(engine: str) -> None:
    run = simulate(good(traffic=[WEB], engine=engine, strategies={"few": {"type": "canary", "percent": 1, "interval": "1 min"}},
                        horizon="6 min"))  # fmt: skip
    assert run.users is not None
    assert 0 < run.users.split_exposed < 0.2 * run.users.split_active


def test_a_split_reaches_far_more_users_than_requests() -> None:
    """With n requests per user during the split, 1 - 0.9^n of the users meet a 10% canary: 20/s x 5 min / 300 = 20."""
    run = simulate(good(traffic=[WEB]), "canary")
    assert run.users is not None
    assert run.users_reached_while_split == pytest.approx(1 - 0.9**20, abs=0.05)
    assert run.users_reached == 1  # promoted in the end
    assert run.users.split_exposed <= run.users.split_active <= run.users.active


def test_users_are_counted_while_the_new_version_takes_part() -> None:
    """A rollout that is stopped after a while leaves out everybody who came later."""
    wide = {**WEB, "users": {"count": 1_000_000}}
    run = simulate(scenario(traffic=[wide]), "canary")
    assert run.outcome == "rolled_back"
    assert run.users is not None
    assert run.time_to_rollback_s is not None
    assert run.users.active == pytest.approx(20 * run.time_to_rollback_s, rel=0.15)
    assert run.users.exposed == pytest.approx(0.1 * run.users.active, rel=0.3)


def test_other_aliases_have_users_of_their_own() -> None:
    """Nobody on `dev`, however bad it is there, is a user of the rollout's alias."""
    dev = {**WEB, "alias": "dev", "users": {"count": 5000}}
    changes: dict[str, Any] = {"function__aliases": {"prod": "1", "dev": "1"}}
    assert (
        simulate(good(traffic=[WEB, dev], **changes), "canary").users == simulate(good(traffic=[WEB]), "canary").users
    )


def test_user_k_is_the_same_person_in_every_source() -> None:
    run = simulate(good(traffic=[WEB, WEB]), "instant")
    assert run.users is not None
    assert run.users.active == 300


FAILING: dict[str, Any] = {"duration": "10 ms", "error_rate": "100%"}
WRONG: dict[str, Any] = {"duration": "10 ms", "failed_responses": "100%"}


@pytest.mark.parametrize(
    ("source", "old", "engine"),
    [
        ({"source": "data", "users": {"count": 9}}, FAILING, "simpy"),
        ({"source": "data", "users": {"count": 9}}, FAILING, "auto"),
        ({"source": "stream", "keys": {"count": 9}}, WRONG, "auto"),
    ],
)
def test_who_came_before_the_rollout_and_meets_the_new_version_counts(
    source: dict[str, Any], old: dict[str, Any], engine: str
) -> None:
    """One request, half a second before version 2 has all traffic, which is the first to give it a (wrong) answer."""
    only = {"alias": "prod", "arrivals": {"fixed": "20 min", "offset": "299.5 s"}}
    versions = {"1": old, "2": WRONG}
    run = simulate(
        scenario(function__versions=versions, traffic=[source | only], rollout__alarms=[], engine=engine), "instant"
    )
    assert run.bad_requests_new_version == 1
    assert run.users == Users(active=1, exposed=1, affected=1, split_active=0, split_exposed=0)


def test_without_a_rollout_everybody_counts() -> None:
    run = simulate(steady(traffic=[WEB]))
    assert run.users is not None
    assert run.users.active == 300
    assert run.users_reached is None
    assert run.users_affected is not None


def test_requests_are_judged_by_the_objectives_of_their_own_alias() -> None:
    """A strict latency SLO of `dev` neither makes requests to `prod` bad nor moves its burn-rate alarm."""
    dev = {"source": "http", "alias": "dev", "arrivals": {"poisson": "5/s"}}
    slos = [
        {"name": "availability", "objective": "99%"},
        {"name": "dev fast", "sli": {"latency": "1 us"}, "objective": "99%", "alias": "dev"},
    ]
    burn = {"metric": "burn_rate", "slo": "dev fast", "long": "2 min", "short": "1 min", "threshold": "> 50"}
    given_ = scenario(
        function__versions__2={"like": "1"},
        function__aliases={"prod": "1", "dev": "1"},
        traffic=[WEB, dev],
        slos=slos,
        alarms={"burn": burn, "prod": {**burn, "slo": "availability"}},
        rollout__alarms=[],
    )
    run = simulate(given_, "canary")
    by_alias = run.timeline.groupby("alias")[["requests", "bad_requests", "bad_dev fast", "bad_availability"]].sum()
    assert by_alias.loc["dev", "bad_requests"] == by_alias.loc["dev", "bad_dev fast"]
    assert by_alias.loc["dev", "bad_requests"] > 0.99 * by_alias.loc["dev", "requests"]
    assert by_alias.loc["prod", "bad_dev fast"] == by_alias.loc["dev", "bad_availability"] == 0
    assert by_alias.loc["prod", "bad_requests"] < 0.05 * by_alias.loc["prod", "requests"]
    assert {name for _, name, _, to in run.alarm_log if to == "ALARM"} == {"burn"}
