"""The aggregate plane against the SimPy plane: the same distributions, not only the same means.

Each comparison is a test at `LEVEL`, and there are fewer than two hundred, so that all of them together raise a false
alarm with a chance below 2% for a seed; the seeds are fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import scenario
from scipy import stats

from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.run.batch import Batch, Samples, concatenate, run_batch
from rollout_sim.scenario.scenario import Scenario

pytestmark = pytest.mark.long

LEVEL = 1e-4
REFERENCE = 150
"""Replications on the SimPy plane; the aggregate plane has 4096."""


def reference(given: Scenario, strategy: str) -> Samples:
    simpy = EngineChoice(engine="simpy", reason="reference", batch=1)
    return run_batch(Batch(scenario=given, strategies=(strategy,), plane=simpy, seed=100, first=0, count=REFERENCE))[
        strategy
    ]


def counted(given: Scenario, strategy: str) -> Samples:
    plane = choose_engine(given, "aggregate")
    batches = [
        Batch(scenario=given, strategies=(strategy,), plane=plane, seed=5, first=k * plane.batch, count=plane.batch)
        for k in range(max(1, 4096 // plane.batch))
    ]
    return concatenate([run_batch(batch)[strategy] for batch in batches])


def smallest_p(one: Samples, other: Samples) -> tuple[float, str]:
    """The smallest p-value of all columns' comparisons, and which column it is."""
    found = []
    for name in one:
        a, b = one[name], other[name]
        if np.isnan(b).all() and name in ("cold_starts", "users_affected", "pending"):
            continue
        values = np.unique(np.concatenate([a, b]))
        if values.size <= 12:  # a few values, NaN among them: compare how often each comes
            table = np.array([[np.sum((x == v) | (np.isnan(x) & np.isnan(v))) for v in values] for x in (a, b)])
            table = table[:, table.sum(axis=0) > 0]
            if table.shape[1] > 1:
                found.append((float(stats.chi2_contingency(table, lambda_="log-likelihood").pvalue), name))
        else:
            gone = [np.isnan(a), np.isnan(b)]
            if gone[0].any() or gone[1].any():  # how often it happens at all
                counts = [[int(side.sum()), int((~side).sum())] for side in gone]
                found.append((float(stats.fisher_exact(counts).pvalue), name))
            a, b = a[~gone[0]], b[~gone[1]]
            if a.size and b.size:
                found.append((float(stats.ks_2samp(a, b, method="asymp").pvalue), name))
    return min(found, default=(1.0, "nothing that differs"))


V2: dict[str, Any] = {"like": "1", "faults": [{"errors": "6%", "onset": "1 min", "ramp": "3 min"}]}
FEW: dict[str, Any] = {"horizon": "14 min", "rollout__start": "3 min"}
POISSON = [{"source": "http", "alias": "prod", "arrivals": {"poisson": "3/s"}}]


def alarm(**changes: Any) -> dict[str, Any]:
    return {
        "errors": {"metric": "errors", "of": "new_version", "threshold": "> 1", "missing": "not_breaching", **changes}
    }


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "two of two on the new version": ("linear", {"alarms": alarm(datapoints="2 of 2")}),
    "missing data, slow invocations, no lag": (
        "canary",
        {
            "alarms": alarm(threshold="> 0", datapoints="2 of 3", missing="missing"),
            "function__versions__1__duration": {"exponential": {"mean": "12 s"}},
            "function__timeout": "70 s",
            "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "0.5/s"}}],
        },
    ),
    "error rate of the alias": (
        "instant",
        {"alarms": {"errors": {"metric": "error_rate", "threshold": "> 4%", "datapoints": "3 of 3", "lag": "20 s"}}},
    ),
    "state kept through gaps, ten seconds": (
        "canary",
        {"alarms": alarm(period="10 s", threshold="> 0", datapoints="2 of 3", missing="ignore")},
    ),
    "incident, time-outs, crashes": (
        "linear",
        {
            "incident": [{"errors": "10%", "onset": "90 s", "until": "3 min"}],
            "function__timeout": "400 ms",
            "function__versions__2": {"like": "1", "faults": [{"hang": "5%"}, {"latency": "1.5x", "share": "30%"}]},
            "alarms": alarm(of="alias", threshold="> 30", datapoints="1 of 2"),
        },
    ),
    "crashes and failed responses": (
        "linear",
        {
            "function__versions__1__cold_start": None,
            "function__versions__2": {"like": "1", "failed_responses": "2%", "faults": [
                {"crash": "5%"}, {"responses": "20%", "onset": "90 s", "ramp": "1 min"}]},
            "slos": [{"name": "fast", "sli": {"latency": "300 ms"}, "objective": "99%"},
                     {"name": "right", "objective": "99%"}],
            "alarms": alarm(metric="responses_5xx", of="alias", threshold="> 6", datapoints="1 of 2"),
        },
    ),
    "percentile of the new version": (
        "linear",
        {
            "function__versions__2": {"like": "1", "faults": [{"latency": "2x", "share": "50%", "onset": "100 s"}]},
            "alarms": {
                "errors": {
                    "metric": "duration", "statistic": "p90", "of": "new_version", "threshold": "> 350 ms",
                    "datapoints": "2 of 3", "missing": "breaching",
                }
            },
        },
    ),
    "a daily swing and two sources": (
        "instant",
        {
            "traffic": [
                {"source": "http", "alias": "prod",
                 "arrivals": {"diurnal": {"mean": "3/s", "amplitude": "80%", "period": "10 min", "peak": "2 min"}}},
                {"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}},
            ],
            "alarms": alarm(threshold="> 9", datapoints="1 of 1"),
        },
    ),
    "latency objective, burn rate, on-call": (
        "canary",
        {
            "function__versions__1": {"duration": {"gamma": {"mean": "200 ms", "sd": "100 ms"}}, "error_rate": "1%"},
            "function__versions__2": {"like": "1", "faults": [{"latency": "200 ms", "ramp": "2 min"}]},
            "slos": [{"name": "availability", "objective": "99%"},
                     {"name": "fast", "sli": {"latency": "400 ms"}, "objective": "90%"}],
            "alarms": {**alarm(threshold="> 40"),
                       "page": {"metric": "burn_rate", "slo": "fast", "long": "5 min", "short": "1 min", "threshold": "> 3"}},
            "on_call": {"alarms": ["page"], "response": {"exponential": {"mean": "1 min"}}},
        },
    ),
    "tested before and after": (
        "tested",
        {
            "strategies": {
                "tested": {
                    "type": "canary", "percent": 30, "interval": "90 s", "bake": "2 min",
                    "hooks": {"before_allow_traffic": {"invocations": 5, "over": "20 s"},
                              "after_allow_traffic": {"invocations": 3, "over": "10 s"}},
                }
            },
            "alarms": alarm(datapoints="1 of 1"),
            "rollout__revert": "25 s",
        },
    ),
}  # fmt: skip


def case(name: str, **more: Any) -> tuple[str, Scenario]:
    strategy, changes = CASES[name]
    return strategy, scenario(**{**FEW, "function__versions__2": V2, "traffic": POISSON, **changes, **more})


@pytest.mark.parametrize("name", CASES)
def test_the_aggregate_plane_agrees_with_every_invocation_simulated(name: str) -> None:
    strategy, given = case(name)
    p, column = smallest_p(reference(given, strategy), counted(given, strategy))
    assert p > LEVEL, f"{column}: p = {p:.2g}"


def drawn(seed: int) -> Scenario:
    """A scenario that nobody chose: arrivals, durations, faults, strategy and alarm at random."""
    rng = np.random.default_rng(seed)

    def one(*options: Any) -> Any:
        return options[int(rng.integers(len(options)))]

    rate, mean = round(float(rng.uniform(1, 5)), 2), round(float(np.exp(rng.uniform(np.log(0.05), np.log(6)))), 3)
    durations = [
        {"exponential": {"mean": f"{mean} s"}}, {"lognormal": {"median": f"{mean} s", "p99": f"{5 * mean} s"}},
        {"gamma": {"mean": f"{mean} s", "sd": f"{mean / 2} s"}}, {"uniform": {"low": "0 s", "high": f"{2 * mean} s"}},
        f"{mean} s",
    ]  # fmt: skip
    faults = [
        {
            "errors": f"{rng.uniform(2, 30):.1f}%",
            "onset": f"{rng.uniform(-60, 120):.0f} s",
            "ramp": one("0 s", "100 s"),
        },
        {"latency": one("2x", "1 s"), "share": one("40%", "100%"), "until": f"{rng.uniform(100, 400):.0f} s"},
        {one("crash", "hang", "responses"): f"{rng.uniform(1, 9):.1f}%", "ramp": "1 min"},
    ]
    strategies = [
        {"type": "canary", "percent": round(float(rng.uniform(5, 60)), 1), "interval": one("90 s", "4 min")},
        {"type": "linear", "percent": one(20, 34), "interval": one("45 s", "2 min")},
        {"type": "all_at_once", "bake": "5 min"},
        {"type": "blue_green", "bake": "4 min"},
    ]
    kind = one("errors", "error_rate", "duration", "invocations")
    watched: dict[str, Any] = {
        "metric": kind, "of": one("alias", "new_version", "old_version"), "period": one("10 s", "30 s", "60 s", "2 min"),
        "datapoints": one("1 of 1", "2 of 2", "2 of 3", "3 of 4"), "lag": one("0 s", "20 s", "60 s"),
        "missing": one("missing", "ignore", "breaching", "not_breaching"),
        "threshold": {"errors": f"> {one(0, 2, 6)}", "error_rate": f">= {one(5, 12)}%", "duration": f"> {2 * mean} s",
                      "invocations": f"< {one(5, 20)}"}[kind],
    }  # fmt: skip
    if kind == "duration":
        watched["statistic"] = one("p50", "p90", "p99")
    chance = rng.uniform(size=2)
    return scenario(
        horizon="11 min", rollout__start=f"{rng.integers(100, 240)} s", rollout__revert=one("0 s", "40 s"),
        function__timeout=f"{max(1.0, 4 * mean):.1f} s",
        function__versions__1={"duration": one(*durations), "error_rate": f"{rng.uniform(0, 3):.2f}%", "cold_start": "100 ms"},
        function__versions__2={"like": "1", "faults": [one(*faults), *([one(*faults)] if chance[0] < 0.5 else [])]},
        incident=[{"errors": "15%", "onset": "1 min", "until": "150 s"}] if chance[1] < 0.3 else None,
        traffic=[{"source": "http", "alias": "prod", "arrivals": one(
            {"poisson": f"{rate}/s"}, {"diurnal": {"mean": f"{rate}/s", "amplitude": "60%", "period": "7 min"}})}],
        strategies={"any": one(*strategies)}, alarms={"errors": watched},
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_the_planes_agree_on_scenarios_drawn_at_random(seed: int) -> None:
    given = drawn(seed)
    p, column = smallest_p(reference(given, "any"), counted(given, "any"))
    assert p > LEVEL, f"{column}: p = {p:.2g}"


BALANCED: dict[str, Any] = {
    "strategies": {"canary": {"type": "canary", "percent": 25, "interval": "8 min"}},
    "function__versions__2": {"like": "1", "faults": [{"errors": "6%"}]},
    "alarms": alarm(threshold="> 3", datapoints="2 of 2"),
    "traffic": POISSON,
    **FEW,
}
"""Rolled back about as often as not, so that a small mistake shows."""


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategies": {"canary": {"type": "canary", "percent": 20, "interval": "8 min"}}},
        {"alarms": alarm(threshold="> 3", datapoints="2 of 2", lag="60 s")},
        {"alarms": alarm(threshold="> 3", datapoints="1 of 2")},
        {"alarms": alarm(threshold="> 3", datapoints="2 of 3")},
    ],
    ids=["weight", "lag", "M", "N"],
)
def test_the_comparison_would_notice(wrong: dict[str, Any]) -> None:
    """A weight of 20 instead of 25%, a minute of lag, one off in M or in N: each must turn the comparison red."""
    right = reference(scenario(**BALANCED), "canary")
    assert smallest_p(right, counted(scenario(**BALANCED), "canary"))[0] > LEVEL
    assert smallest_p(right, counted(scenario(**{**BALANCED, **wrong}), "canary"))[0] < LEVEL
