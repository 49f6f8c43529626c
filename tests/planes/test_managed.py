"""Provisioned concurrency of an alias: the version that it points to alone has it, and a second one has none."""

from __future__ import annotations

from typing import Any

import pytest
from builders import scenario

from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.remarks import SCALING

VERSION = {"duration": "500 ms", "cold_start": "2 s"}
MOVED: dict[str, Any] = {
    "horizon": "20 min", "rollout__start": "5 min", "rollout__alarms": [], "function__keep_alive": "1 s",
    "function__versions": {"1": VERSION, "2": {"like": "1"}},
    "traffic": [{"source": "http", "alias": "prod", "arrivals": {"fixed": "2 s"}}],
    "strategies": {"canary": {"type": "canary", "percent": 50, "interval": "5 min"}},
}  # fmt: skip
OF_ALIAS = {"prod": {"environments": 2, "allocation": "90 s"}}


def ran(**changes: Any) -> Any:
    """Every invocation of the canary, timed from the rollout's start."""
    events = simulate(scenario(engine="simpy", **(MOVED | changes)), "canary", events=True).events
    assert events is not None
    return events


def cold(events: Any, version: str, low: float, high: float) -> tuple[int, int]:
    """Cold starts and invocations of a version in [low, high) (s)."""
    chosen = events[(events.version == version) & (events.start_s >= low) & (events.start_s < high)]
    return int(chosen.cold.sum()), len(chosen)


def test_the_second_version_of_a_weighted_alias_has_none_and_the_last_shift_takes_it_over() -> None:
    events = ran(function__provisioned=OF_ALIAS)
    starts, count = cold(events, "1", -300, 300)
    assert (starts, count > 200) == (0, True)
    starts, count = cold(events, "2", 0, 300)
    assert starts == count > 50
    assert cold(events, "2", 300, 390) == (45, 45)
    assert cold(events, "2", 390, 900) == (0, 255)


def test_allocated_in_no_time_it_is_there_with_the_shift() -> None:
    events = ran(function__provisioned={"prod": {"environments": 2, "allocation": "0 s"}})
    assert cold(events, "2", 300, 900) == (0, 300)


def test_what_still_runs_where_it_was_counts_against_the_concurrency() -> None:
    """Three calls of 10 s run in the old version's environments when the alias moves: a fourth finds room for itself alone."""
    events = ran(
        function__versions={"1": {"duration": "10 s"}, "2": {"like": "1"}}, function__reserved_concurrency=4,
        function__provisioned={"prod": {"environments": 3}}, function__timeout="1 min",
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"fixed": "1 s", "offset": "297.5 s"}}],
        strategies={"canary": {"type": "all_at_once"}},
    )  # fmt: skip
    outcomes = events[events.start_s < 7].outcome.tolist()
    assert outcomes == ["ok"] * 4 + ["throttled"] * 6


def test_of_versions_it_is_there_beforehand() -> None:
    events = ran(function__versions={"1": VERSION | {"provisioned": 2}, "2": {"like": "1"}})
    assert cold(events, "2", 0, 900)[0] == 0


def test_beyond_it_invocations_spill_over() -> None:
    """Two at once find a warm environment, a third one that comes while they run starts one."""
    busy = {"traffic": [{"source": "http", "alias": "prod", "arrivals": {"fixed": "200 ms"}}]}
    alone = {"rollout": None, "strategies": None, "horizon": "10 s", "alarms": None}
    result = simulate(
        scenario(**(busy | {"function__provisioned": OF_ALIAS, "function__versions": {"1": VERSION}} | alone)),
        events=True,
    )
    assert result.events is not None
    first = result.events.sort_values("start_s").head(3)
    assert first.cold.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "none of the 2 environments while the alias has weights (canary), and for 1.5 min after the last shift"),
        ({"strategies": {"instant": {"type": "all_at_once"}}}, "none of the 2 environments for 1.5 min after the last shift"),
    ],
)  # fmt: skip
def test_a_warning_says_so(changes: dict[str, Any], told: str) -> None:
    warnings = scenario(**(MOVED | {"function__provisioned": OF_ALIAS} | changes)).warnings()
    assert [told in warning.what for warning in warnings if warning.name == "alias-provisioned"] == [True]


def test_managed_instances_are_simulated_one_by_one_and_what_is_assumed_of_them_is_said() -> None:
    poisson = [{"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}}]
    plain = MOVED | {
        "traffic": poisson, "horizon": "6 min", "function__versions": {"1": {"duration": "500 ms"}, "2": {"like": "1"}},
    }  # fmt: skip
    managed = scenario(**(plain | {"function__managed": {"concurrency": 4}, "function__keep_alive": None}))
    assert inexactness(managed) == ("managed instances throttle what comes before they have scaled to it",)
    assert SCALING in simulate(managed, "canary").approximations
    assert inexactness(scenario(**plain)) == ()


@pytest.mark.slow
def test_a_roll_back_finds_few_environments_of_the_old_version() -> None:
    """Those of the old version went while the new one had the traffic; to go back is a step as large as the one before."""
    fault = {"errors": "50%", "onset": "25 min"}
    busy = {
        "engine": "simpy", "horizon": "45 min",
        "function__versions": {"1": {"duration": "1 s"}, "2": {"like": "1", "faults": [fault]}},
        "function__managed": {"concurrency": 4, "environments": {"minimum": 1, "maximum": 50}},
        "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "20/s"}}],
        "strategies": {"bake": {"type": "blue_green", "provisioned": 10, "allocation": "1 min", "bake": "30 min"}},
        "rollout__start": "5 min",
    }  # fmt: skip
    result = simulate(scenario(**busy), "bake")
    assert result.outcome == "rolled_back"
    back = int((300 + result.time_to_rollback_s) // 60)  # type: ignore[operator]
    throttles = result.metrics.throttles[0].sum(axis=0)
    assert throttles[:back].sum() == 0
    assert throttles[back + 1] / 1200 == pytest.approx(1 - 4 / 20, abs=0.05)
