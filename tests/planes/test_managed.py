"""Provisioned concurrency of an alias: the version that it points to alone has it, and a second one has none."""

from __future__ import annotations

from typing import Any

import pytest
from builders import scenario

from rollout_sim.run.simulate import simulate

VERSION = {"duration": "500 ms", "cold_start": "2 s"}
MOVED: dict[str, Any] = {
    "horizon": "20 min", "rollout__start": "5 min", "rollout__alarms": [], "function__keep_alive": "1 s",
    "function__versions": {"1": VERSION, "2": {"like": "1"}},
    "traffic": [{"source": "http", "alias": "prod", "arrivals": {"fixed": "2 s"}}],
    "strategies": {"canary": {"type": "canary", "percent": 50, "interval": "5 min"}},
}  # fmt: skip
OF_ALIAS = {"prod": {"environments": 2, "allocation": "90 s"}}


def cold(version: str, low: float, high: float, **changes: Any) -> tuple[int, int]:
    """Cold starts and invocations of a version in [low, high) (s), from the rollout's start."""
    events = simulate(scenario(engine="simpy", **(MOVED | changes)), "canary", events=True).events
    assert events is not None
    chosen = events[(events.version == version) & (events.start_s >= low) & (events.start_s < high)]
    return int(chosen.cold.sum()), len(chosen)


def test_the_second_version_of_a_weighted_alias_has_none_and_the_last_shift_takes_it_over() -> None:
    kept = {"function__provisioned": OF_ALIAS}
    starts, count = cold("1", -300, 300, **kept)
    assert (starts, count > 200) == (0, True)
    starts, count = cold("2", 0, 300, **kept)
    assert starts == count > 50
    starts, count = cold("2", 300, 390, **kept)
    assert starts == count == 45
    starts, count = cold("2", 390, 900, **kept)
    assert (starts, count) == (0, 255)


def test_of_versions_it_is_there_beforehand() -> None:
    own = {"function__versions": {"1": VERSION | {"provisioned": 2}, "2": {"like": "1"}}}
    assert cold("2", 0, 900, **own)[0] == 0


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
