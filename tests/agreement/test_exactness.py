"""The check of exactness: what it lets through agrees with every invocation simulated, and each of its rules is needed.

A family draws a scenario on either side of one rule's edge: of a limit, provisioned environments, a hook, a trace, an init.
What the check accepts must agree, each comparison at `LEVEL`. Then, rule by rule: without it the check accepts a scenario
whose counts are wrong, and the comparison is red. There are fewer than two hundred comparisons, so all of them together
raise a false alarm with a chance below 2%; the seeds are fixed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from agreement.test_aggregate import LEVEL, counted, reference, smallest_p
from builders import data

from rollout_sim.planes.aggregate import arrivals
from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.run.batch import Samples
from rollout_sim.scenario.scenario import Scenario

pytestmark = pytest.mark.long

Rng = np.random.Generator


def calls(times: dict[str, Any], alias: str = "prod") -> dict[str, Any]:
    return {"source": "http", "alias": alias, "arrivals": times}


def trace(folder: Path, counts: list[int], **fields: Any) -> dict[str, Any]:
    name = f"trace-{'-'.join(str(count) for count in counts[:9])}.csv"
    (folder / name).write_text("".join(f"{count}\n" for count in counts), encoding="utf-8")
    return {"trace": {"file": name, "layout": "counts", **fields}}


def versions(duration: Any = "300 ms", **more: Any) -> dict[str, Any]:
    return {"1": {"duration": duration, "error_rate": "1%", **more}, "2": {"like": "1"}}


def provisioned(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    del folder
    spec = versions()
    spec["1"]["provisioned"] = 30 - (2 if tight else int(rng.integers(16, 22)))
    spec["2"] = {"duration": "300 ms", "error_rate": "1%"}
    return {"function__reserved_concurrency": 30, "function__versions": spec, "traffic": [calls({"poisson": "3/s"})]}


def green(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    del folder
    plan = {
        "type": "blue_green",
        "provisioned": 40 - (2 if tight else int(rng.integers(20, 28))),
        "allocation": "60 s",
        "bake": "2 min",
    }
    return {
        "function__reserved_concurrency": 40, "function__versions": versions("700 ms"), "strategies": {"any": plan},
        "traffic": [calls({"poisson": "3/s"})],
    }  # fmt: skip


def fast_trace(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    times = trace(folder, [0] * 7 + [int(rng.integers(200, 300))], speed="8x", repeat=True)
    return {
        "function__reserved_concurrency": 12 if tight else 80, "function__versions": versions(), "traffic": [calls(times)]
    }  # fmt: skip


def periods(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    del rng
    times = trace(folder, [150, 300, 100] * 5, speed="1x" if tight else "0.5x")
    alarms = {
        "errors": {"metric": "errors", "of": "new_version", "period": "10 s" if tight else "20 s", "threshold": "> 5"}
    }
    return {"function__versions": versions(), "traffic": [calls(times)], "alarms": alarms, "horizon": "14 min"}


def hooks_take_room(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    del rng, folder
    hook = {"invocations": 100, "over": "30 s", "max_failures": 20}
    return {
        "function__reserved_concurrency": 6 if tight else 60, "function__versions": versions("2500 ms"),
        "strategies": {"any": {"type": "all_at_once", "hooks": {"before_allow_traffic": hook}}},
        "traffic": [calls({"poisson": "0.05/s"})],
    }  # fmt: skip


def hooks_meet_traffic(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    """Another alias keeps the new version warm, or not; a cold test is late, a warm one is not."""
    del rng, folder
    spec = versions("100 ms", cold_start="1500 ms" if tight else "100 ms")
    hook = {"invocations": 1, "over": "2 s"}
    return {
        "function__versions": spec, "function__aliases": {"prod": "1", "test": "2"},
        "strategies": {"any": {"type": "all_at_once", "hooks": {"before_allow_traffic": hook}}},
        "traffic": [calls({"poisson": "2/s"}), calls({"poisson": "1/s"}, "test")],
    }  # fmt: skip


def hooks_after_the_shift(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    """So little traffic that the test after the last shift finds nothing warm; an alarm may fire while it is waited for."""
    del rng, folder
    hook = {"invocations": 1, "over": "2 s"}
    return {
        "rollout__start": "117900 ms",
        "alarms": {"errors": {"metric": "invocations", "threshold": ">= 7", "missing": "not_breaching"}},
        "function__versions": versions("100 ms", cold_start="1500 ms" if tight else "100 ms"),
        "function__keep_alive": "5 s",
        "strategies": {"any": {"type": "all_at_once", "hooks": {"after_allow_traffic": hook}}},
        "traffic": [calls({"poisson": "0.1/s"})],
    }  # fmt: skip


def short_lived(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    """Environments die so soon that most starts are cold."""
    del rng, folder
    return {
        "function__versions": versions("50 ms", cold_start="4 s" if tight else "300 ms"), "function__keep_alive": "1 ms",
        "function__reserved_concurrency": 25 if tight else 40, "traffic": [calls({"poisson": "3/s"})],
    }  # fmt: skip


def cold_after_a_shift(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    del rng, folder
    return {
        "function__versions": versions("50 ms", cold_start="1 s"), "function__reserved_concurrency": 44 if tight else 75,
        "traffic": [calls({"poisson": "30/s"})], "horizon": "4 min", "rollout__start": "1 min",
    }  # fmt: skip


def bursts(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    del rng, folder
    return {
        "function__versions": versions("1 s"), "function__scale_up": 6 if tight else 40,
        "traffic": [calls({"poisson": "5/s"})],
    }  # fmt: skip


def slower(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    del rng, folder
    spec = versions("100 ms")
    spec["2"] = {"like": "1", "faults": [{"latency": "20x", "onset": "1 min"}]}
    return {
        "function__versions": spec, "function__reserved_concurrency": 8 if tight else 60,
        "traffic": [calls({"poisson": "4/s"})],
    }  # fmt: skip


def starting_at_the_end(rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]:
    """An init that may not be over at the horizon; the trace gives the number of requests."""
    del rng
    return {
        "function__versions": versions("100 ms", cold_start="8 s" if tight else "10 ms"), "function__keep_alive": "1 s",
        "traffic": [calls(trace(folder, [30] * 9))],
    }  # fmt: skip


class Family(Protocol):
    """Draws a scenario beside the edge of a rule, on its `tight` side or on the other."""

    def __call__(self, rng: Rng, folder: Path, *, tight: bool) -> dict[str, Any]: ...


FAMILIES: tuple[Family, ...] = (
    provisioned, green, fast_trace, periods, hooks_take_room, hooks_meet_traffic, hooks_after_the_shift, short_lived,
    cold_after_a_shift, bursts, slower, starting_at_the_end,
)  # fmt: skip
BASE: dict[str, Any] = {
    "horizon": "9 min", "rollout__start": "2 min", "rollout__alarms": ["errors"],
    "strategies": {"any": {"type": "canary", "percent": 20, "interval": "3 min", "bake": "2 min"}},
    "alarms": {
        "errors": {"metric": "errors", "of": "new_version", "threshold": "> 8", "missing": "not_breaching"},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@cache
def drawn(family: Family, folder: Path, *, tight: bool) -> Scenario:
    rng = np.random.default_rng([FAMILIES.index(family), tight])
    return Scenario.from_dict(data(**BASE | family(rng, folder, tight=tight)), path=folder / "drawn.yaml")


@cache
def simulated(family: Family, folder: Path, *, tight: bool) -> Samples:
    return reference(drawn(family, folder, tight=tight), "any")


def agreement(family: Family, folder: Path, *, tight: bool) -> float:
    """The smallest p-value of the comparison of a scenario that the check accepts; 1 of one that it refuses."""
    given = drawn(family, folder, tight=tight)
    if inexactness(given):
        return 1.0
    return smallest_p(simulated(family, folder, tight=tight), counted(given, "any"))[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_accepted_agrees(family: Family, folder: Path) -> None:
    assert not inexactness(drawn(family, folder, tight=False))
    # The counts of a trace are kept by how they are drawn, not by refusing them.
    assert bool(inexactness(drawn(family, folder, tight=True))) == (family is not periods)
    for tight in (False, True):
        assert agreement(family, folder, tight=tight) > LEVEL


def averaged(self: Any, horizon: float) -> float:
    """A trace's highest rate if it were averaged over minutes, whatever its speed."""
    return max(self.mean_count(t, t + 60) / 60 for t in np.arange(0, horizon, 60.0).tolist())


def apart(_: Any, resolution: float) -> arrivals.Cells:
    """Cells that are drawn together without regard to the minutes of a trace."""
    return arrivals.Cells(width=resolution, together=64)


AGGREGATE = "rollout_sim.planes.aggregate"
LIMITS = f"{AGGREGATE}.limits"
RULES: dict[str, tuple[Family, dict[str, Any]]] = {
    "the versions' provisioned environments": (provisioned, {f"{LIMITS}._provisioned": lambda _: 0}),
    "the plan's provisioned environments": (green, {f"{LIMITS}._provisioned": lambda _: 0}),
    "how fast a trace is": (fast_trace, {"rollout_sim.traffic.processes._Replay.highest_rate": averaged}),
    "a trace's minute drawn together": (
        periods, {f"{AGGREGATE}.exactness.cells_of": apart, f"{AGGREGATE}.plane.cells_of": apart}
    ),
    "the tests' own room": (hooks_take_room, {f"{LIMITS}._tests_at_once": lambda *_: 0}),
    "who keeps tests warm": (hooks_meet_traffic, {f"{LIMITS}._of_hooks": lambda *_: []}),
    "tests after the last shift": (hooks_after_the_shift, {f"{LIMITS}._of_hooks": lambda *_: []}),
    "cold starts by keep-alive": (
        short_lived, {
            f"{LIMITS}.Demand.cold_share": property(lambda _: 0.0), f"{LIMITS}._SETTLED": 0.0,
            f"{LIMITS}._of_horizon": lambda *_: [],
        },
    ),
    "shifts": (cold_after_a_shift, {f"{LIMITS}._SETTLED": 0.0}),
    "limits": (slower, {f"{LIMITS}._of_throttles": lambda *_: []}),
    "scale-up": (bursts, {f"{LIMITS}.Demand.new_environments": lambda _: 0.0}),
    "faults at their worst": (slower, {f"{LIMITS}._at_once": lambda _: [()]}),
    "inits at the horizon": (starting_at_the_end, {f"{LIMITS}._of_horizon": lambda *_: []}),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family, changes = RULES[rule]
    for name, without in changes.items():
        monkeypatch.setattr(name, without)
    assert agreement(family, folder, tight=True) < LEVEL
