"""The aggregate plane against the SimPy plane: the same distributions, not only the same means.

Each comparison is a test at `LEVEL`, and there are fewer than a hundred, so that all of them together raise a false
alarm with a chance below 1% for a seed; the seeds are fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import scenario
from scipy import stats

from rollout_sim.replications import Chunk, Columns, Plane, plane_of, run_chunk, stack
from rollout_sim.scenario import Scenario

LEVEL = 1e-4
REFERENCE = 150
"""Replications on the SimPy plane; the aggregate plane has 4096."""


def reference(given: Scenario, strategy: str) -> Columns:
    simpy = Plane(engine="simpy", reason="reference", batch=1)
    return run_chunk(Chunk(scenario=given, strategies=(strategy,), plane=simpy, seed=100, first=0, count=REFERENCE))[
        strategy
    ]


def counted(given: Scenario, strategy: str) -> Columns:
    plane = plane_of(given, "aggregate")
    chunks = [
        Chunk(scenario=given, strategies=(strategy,), plane=plane, seed=5, first=k * plane.batch, count=plane.batch)
        for k in range(max(1, 4096 // plane.batch))
    ]
    return stack([run_chunk(chunk)[strategy] for chunk in chunks])


def smallest_p(one: Columns, other: Columns) -> tuple[float, str]:
    """The smallest p-value of all columns' comparisons, and which column it is."""
    found = []
    for name in one:
        a, b = one[name], other[name]
        if np.isnan(b).all() and name in ("cold_starts", "users_affected"):
            continue
        values = np.unique(np.concatenate([a, b]))
        if values.size <= 12:  # a few values, NaN among them: compare how often each comes
            table = np.array([[np.sum((x == v) | (np.isnan(x) & np.isnan(v))) for v in values] for x in (a, b)])
            table = table[:, table.sum(axis=0) > 0]
            if table.shape[1] > 1:
                found.append((float(stats.chi2_contingency(table, lambda_="log-likelihood").pvalue), name))
        else:
            a, b = a[~np.isnan(a)], b[~np.isnan(b)]
            found.append((float(stats.ks_2samp(a, b, method="asymp").pvalue), name))
    return min(found)


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
            "function__versions__2": {"like": "1", "faults": [{"crash": "5%"}, {"latency": "1.5x", "share": "30%"}]},
            "alarms": alarm(of="alias", threshold="> 30", datapoints="1 of 2"),
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
