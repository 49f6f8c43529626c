"""What the check of exactness accepts among random scenarios agrees with every invocation simulated.

The settings are drawn independently of one another: limits, provisioned environments, hooks, traces, other aliases, faults,
retries, cold starts, alarms, SLOs, phases. Whatever `inexactness` accepts is run on the aggregate plane and, invocation by
invocation, on the compiled one (which equals the simpy plane to the bit). Each figure is a two-sided test; the smallest p-value
of all is held to `LEVEL` over their number (Bonferroni), so a right check is called wrong at all with at most that chance.
The seeds are fixed, so a pass is a pass for ever.

The long form takes other seeds for as many seconds as EXACTNESS_SECONDS says, from EXACTNESS_SEED on:

    EXACTNESS_SECONDS=300 EXACTNESS_SEED=1 python -m pytest tests/agreement/test_random_exactness.py
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agreement.test_aggregate import counted, smallest_p
from agreement.test_exactness import Rng, calls, trace

from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.batch import Batch, Samples, run_batch
from rollout_sim.scenario.scenario import Scenario

pytest.importorskip("numba", reason="the extra `compiled` is not installed")
pytestmark = pytest.mark.long

LEVEL = 1e-3
REFERENCE = 250
"""Replications in which every invocation is simulated; the aggregate plane has 4096."""
SCENARIOS = 10
"""Accepted scenarios that are compared where nobody asks for more."""
FIGURES = 20
"""Columns that a comparison has at most: each is a test."""


def one_of(rng: Rng, *values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def often(rng: Rng, probability: float) -> bool:
    return bool(rng.random() < probability)


def duration(rng: Rng) -> Any:
    mean = float(np.exp(rng.uniform(np.log(20), np.log(1500))))
    return one_of(
        rng,
        f"{mean:.0f} ms",
        {"exponential": {"mean": f"{mean:.0f} ms"}},
        {"lognormal": {"median": f"{mean:.0f} ms", "p99": f"{mean * rng.uniform(2, 8):.0f} ms"}},
        {"gamma": {"mean": f"{mean:.0f} ms", "sd": f"{mean * rng.uniform(0.2, 1):.0f} ms"}},
    )


def fault(rng: Rng) -> dict[str, Any]:
    kind = one_of(
        rng, {"errors": one_of(rng, "2%", "10%", "40%")}, {"latency": one_of(rng, "2x", "6x", "400 ms")},
        {"latency": "5x", "share": "20%"}, {"crash": "3%"}, {"hang": "2%"}, {"responses": "8%"}, {"init": "20%"},
    )  # fmt: skip
    times: dict[str, Any] = {"onset": one_of(rng, "0 s", "50 s", "2 min")}
    if often(rng, 0.3) and "init" not in kind:
        times["ramp"] = "1 min"
    if often(rng, 0.3):
        times["until"] = "4 min"
    return kind | times


def version(rng: Rng) -> dict[str, Any]:
    spec = {"duration": duration(rng), "error_rate": one_of(rng, "0%", "1%", "5%")}
    if often(rng, 0.6):
        spec["cold_start"] = one_of(rng, "100 ms", "1 s", "4 s", {"lognormal": {"median": "300 ms", "p99": "2 s"}})
    elif often(rng, 0.2):
        spec["cold_duration"] = one_of(rng, "600 ms", "2 s")
    if often(rng, 0.2):
        spec["provisioned"] = int(rng.integers(1, 15))
    if often(rng, 0.15):
        spec["failed_responses"] = "2%"
    return spec


def arrivals(rng: Rng, folder: Path) -> dict[str, Any]:
    rate = float(np.exp(rng.uniform(np.log(0.02), np.log(8))))
    if often(rng, 0.5):
        return {"poisson": f"{rate:.3g}/s"}
    if often(rng, 0.3):
        return {"diurnal": {"mean": f"{rate:.3g}/s", "amplitude": "70%", "period": "7 min", "peak": "3 min"}}
    counts = [int(count) for count in rng.poisson(60 * rate * rng.choice([0, 0.5, 1, 3], size=6))]
    fields: dict[str, Any] = {"repeat": True, "speed": one_of(rng, "0.5x", "1x", "1x", "4x")}
    if often(rng, 0.4):
        fields["scale"] = one_of(rng, "0.6x", "1.5x")
    if often(rng, 0.3):
        fields["period"] = one_of(rng, "30 s", "2 min")
    return trace(folder, counts, **fields)


def hook(rng: Rng) -> dict[str, Any]:
    return {
        "invocations": one_of(rng, 1, 10, 60), "over": one_of(rng, "2 s", "30 s"), "max_failures": one_of(rng, 0, 2, 20),
    }  # fmt: skip


def strategy(rng: Rng) -> dict[str, Any]:
    plan = one_of(
        rng,
        {"type": "canary", "percent": int(rng.integers(5, 60)), "interval": "3 min", "bake": "1 min"},
        {"type": "linear", "percent": 30, "interval": "1 min"},
        {"type": "all_at_once", "bake": "3 min"},
        {"type": "blue_green", "bake": "2 min", "allocation": "50 s", "provisioned": int(rng.integers(1, 30))},
    )
    hooks = {name: hook(rng) for name in ("before_allow_traffic", "after_allow_traffic") if often(rng, 0.25)}
    return plan | ({"hooks": hooks} if hooks else {})


def alarm(rng: Rng) -> dict[str, Any]:
    metric, limit = one_of(
        rng, ("errors", "> 2"), ("errors", "> 15"), ("error_rate", "> 6%"), ("throttles", "> 0"), ("duration", "> 900 ms"),
        ("responses_5xx", "> 4"), ("invocations", "> 100"),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "metric": metric, "threshold": limit, "of": one_of(rng, "new_version", "alias"),
        "period": one_of(rng, "10 s", "60 s", "60 s", "2 min"), "datapoints": one_of(rng, "1 of 1", "2 of 2", "2 of 3"),
        "missing": one_of(rng, "not_breaching", "missing", "ignore"), "lag": one_of(rng, "0 s", "1 min"),
    }  # fmt: skip
    if metric == "duration":
        fields["statistic"] = one_of(rng, "p90", "p99", "average")
    if metric == "responses_5xx":
        fields["of"] = "alias"
    if fields["period"] == "2 min" and often(rng, 0.5):
        fields["window"] = "wall_clock"
    return fields


def drawn(rng: Rng, folder: Path) -> dict[str, Any]:
    """A scenario, most of whose settings do not know of one another."""
    versions = {"1": version(rng), "2": version(rng)}
    if often(rng, 0.6):
        versions["2"]["faults"] = [fault(rng) for _ in range(int(rng.integers(1, 3)))]
    function: dict[str, Any] = {
        "name": "f", "versions": versions, "aliases": {"prod": "1"}, "timeout": one_of(rng, "2 s", "6 s"),
        "keep_alive": one_of(rng, "5 s", "1 min", "10 min"),
    }  # fmt: skip
    if often(rng, 0.5):
        function["reserved_concurrency"] = int(np.exp(rng.uniform(np.log(4), np.log(90))))
    if often(rng, 0.2):
        function["scale_up"] = int(rng.integers(5, 60))
    if often(rng, 0.03):
        function["propagation"] = "20 s"
    source = calls(arrivals(rng, folder))
    if often(rng, 0.15):
        source["retry"] = {"attempts": 3, "on": one_of(rng, ["throttle"], ["error"]), "base": "1 s"}
    elif often(rng, 0.1):
        source |= {"source": "data", "async_retries": one_of(rng, 0, 0, 1)}
    traffic, promotions = [source], []
    if often(rng, 0.3):
        function["aliases"]["test"] = one_of(rng, "1", "2")
        traffic.append(calls({"poisson": "0.5/s"}, "test"))
        if often(rng, 0.4):
            promotions = [{"at": "4 min", "alias": "test", "to": one_of(rng, "1", "2")}]
    slos: list[dict[str, Any]] = [{"name": "availability", "objective": "99%"}]
    if often(rng, 0.25):
        slos.append({"name": "fast", "sli": {"latency": "500 ms"}, "objective": "90%"})
    alarms = {f"a{k}": alarm(rng) for k in range(int(rng.integers(1, 3)))}
    start = one_of(rng, {"start": "2 min"}, {"start": "137 s"}, {"start": "2 min", "phase": "random"})
    given: dict[str, Any] = {
        "name": "random", "seed": int(rng.integers(1 << 30)), "horizon": "9 min", "function": function, "traffic": traffic,
        "slos": slos, "alarms": alarms, "promotions": promotions, "strategies": {"any": strategy(rng)},
        "rollout": {"alias": "prod", "to": "2", "alarms": list(alarms), "revert": one_of(rng, "0 s", "40 s"), **start},
    }  # fmt: skip
    if often(rng, 0.15):
        given["on_call"] = {"alarms": ["a0"], "response": "90 s"}
    if often(rng, 0.1):
        given["incident"] = {"errors": "20%", "onset": "1 min", "until": "3 min"}
    return given


def accepted(seed: int, folder: Path) -> Scenario | None:
    """The scenario of a seed, where it is valid and the check accepts it."""
    try:
        given = Scenario.from_dict(drawn(np.random.default_rng([21, seed]), folder), path=folder / "drawn.yaml")
    except ScenarioError:
        return None
    return None if inexactness(given) else given


def simulated(given: Scenario) -> Samples:
    plane = choose_engine(given, "compiled")
    return run_batch(
        Batch(scenario=given, strategies=("any",), plane=plane, seed=100, first=0, count=REFERENCE)
    )["any"]  # fmt: skip


def test_random_scenarios_that_are_accepted_agree(tmp_path: Path) -> None:
    seconds = float(os.environ.get("EXACTNESS_SECONDS", "0"))
    seed = 1_000_000 * int(os.environ.get("EXACTNESS_SEED", "0"))
    ends, compared, worst = time.monotonic() + seconds, 0, []
    while compared < SCENARIOS or time.monotonic() < ends:
        given = accepted(seed, tmp_path)
        seed += 1
        if given is None:
            continue
        compared += 1
        p, name = smallest_p(simulated(given), counted(given, "any"))
        worst.append((p, name, seed - 1))
    worst.sort()
    limit = LEVEL / (FIGURES * compared)
    refused = [entry for entry in worst if entry[0] < limit]
    shown = "\n".join(to_yaml(drawn(np.random.default_rng([21, seed]), tmp_path)) for _, _, seed in refused[:2])
    assert not refused, f"{compared} scenarios; p-value, figure and seed {refused}\n{shown}"
    if seconds:
        print(f"{compared} scenarios accepted of {seed}; smallest p-values {worst[:4]}")  # noqa: T201 - for who asked
