"""The rows of VALIDATION.md about environments: cold starts, occupancy and blocking, published and measured."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from builders import steady
from numpy.typing import NDArray
from validation.rows import Row, mean

from rollout_sim.core.statistics import mean_of
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate
from rollout_sim.theory import erlang_b

MEASUREMENTS = Path(__file__).parents[3] / "shared" / "measurements" / "aws_lambda_experiments.csv"
"""Ten experiments on the real AWS Lambda, kept beside the project; what needs them is left out where they are not."""
RUNS = 20
GROUP = "Environments"


def distribution(words: str) -> Any:
    """`2 s` as it stands, `exponential 2` and `gamma 2 4` (seconds) as a file has them."""
    kind, *numbers = words.split()
    if kind not in ("exponential", "gamma"):
        return words
    return {kind: {name: f"{number} s" for name, number in zip(("mean", "sd"), numbers, strict=False)}}


@cache
def runs(
    rate: float, warm: str, cold: str | None = None, *, limit: int = 1000, horizon: str = "100000 s", count: int = RUNS,
    places: int = 0,
) -> tuple[RunResult, ...]:  # fmt: skip
    """Steady runs of one version from empty; `warm` and `cold` as `distribution` takes them.

    With `places` its environments are that large and run on managed instances, as many of them as the `limit` has room for.
    """

    version: dict[str, Any] = {"duration": distribution(warm)}
    if cold is not None:
        version["cold_duration"] = distribution(cold)
    managed = None
    if places:
        managed = {"concurrency": places, "environments": {"minimum": limit // places, "maximum": limit // places}}
    given = steady(
        function__versions={"1": version},
        function__timeout="15 min",
        function__account_concurrency=None if places else max(limit, 1000),
        function__reserved_concurrency=None if places else limit,
        function__managed=managed,
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": f"{rate}/s"}}],
        slos=[],
        horizon=horizon,
    )
    given = replace(given, engine="compiled")
    return tuple(simulate(given, replication=k, seed=5) for k in range(count))


def of_version(results: tuple[RunResult, ...], name: str) -> NDArray[np.float64]:
    return np.array([getattr(result.versions["1"], name) for result in results])


def throttled(results: tuple[RunResult, ...]) -> NDArray[np.float64]:
    return np.array(
        [result.throttles / (result.throttles + result.requests - result.bad_requests) for result in results]
    )


def environments() -> Iterator[Row]:
    example = (0.9, "exponential 1.991", "exponential 2.244")
    published = (
        ("cold_start_probability", "P(cold start)", 0.001333, 0.00007),
        ("environments", "environments", 7.691, 0.042),
        ("running", "running environments", 1.792, 0.005),
    )
    for name, text, expected, room in published:
        yield Row(
            group=GROUP, expected=expected, decimals=None, tolerance=room, plane="compiled",
            what=f"{text} of SimFaaS's example: 0.9/s, warm 1.991 s, cold 2.244 s, keep-alive 600 s, 1e6 s from empty",
            ours=mean(lambda name=name: of_version(runs(*example, horizon="1000000 s"), name)),
        )  # fmt: skip
    simulated = {1: 0.64162, 2: 0.36509, 3: 0.17914, 5: 0.02595}
    for servers, other in simulated.items():
        yield Row(
            group=GROUP, expected=erlang_b(servers, 0.9 * 1.991), decimals=None, plane="compiled",
            what=f"Erlang B: share throttled by a concurrency of {servers} at 0.9 × 1.991 erlang (simulated elsewhere: {other})",
            ours=mean(lambda servers=servers: throttled(runs(0.9, "exponential 1.991", limit=servers))),
        )  # fmt: skip
    for servers, places in ((6, 3), (40, 20)):
        load = 0.8 * servers
        yield Row(
            group=GROUP, expected=erlang_b(servers, load), decimals=None, plane="compiled",
            what=f"Erlang B: share throttled by {servers // places} managed environments of {places} places at {load:.3g} erlang",
            ours=mean(lambda servers=servers, load=load, places=places: throttled(
                runs(load, "exponential 1", limit=servers, places=places, horizon="20000 s"))),
        )  # fmt: skip
    busy = mean(
        lambda: np.array([run.throttles for run in runs(212.2, "60 s", limit=10_000, horizon="10 s", count=200)])
    )
    yield Row(
        group=GROUP, expected=212.2 * 10 - 1000, decimals=None, plane="compiled",
        what="scale-up of 1,000 per 10 s from a cold start: throttles of the first 10 s at 212.2/s, durations of a minute",
        ours=busy,
    )  # fmt: skip
    for shape, warm in (("constant", "2 s"), ("exponential", "exponential 2"), ("gamma, sd 4 s", "gamma 2 4")):
        yield Row(
            group=GROUP, expected=20.0, decimals=None, plane="compiled",
            what=f"M/G/∞: running at 10/s with durations of 2 s on average, {shape}",
            ours=mean(lambda warm=warm: of_version(runs(10, warm, horizon="20000 s"), "running")),
        )  # fmt: skip


@cache
def measured() -> tuple[dict[str, float], ...]:
    """The experiments: rate (1/s), measured cold start probability, its standard error, and mean environments."""
    with MEASUREMENTS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {
        "rate": "ArrivalRate", "cold": "ColdStartProbability", "error": "ColdStartProbabilitySE",
        "environments": "AverageInstanceCount", "warm": "ServiceTimeWarm", "first": "ServiceTimeCold",
    }  # fmt: skip
    return tuple({name: float(row[column]) for name, column in names.items()} for row in rows)


def simulated(rate: float) -> tuple[RunResult, ...]:
    """Ours at one of the rates, with the mean durations over all experiments, as the measurement's authors did."""
    warm, first = (float(np.mean([one[name] for one in measured()])) / 1000 for name in ("warm", "first"))
    return runs(round(rate, 6), f"exponential {warm:.6f}", f"exponential {first:.6f}", horizon="1000000 s", count=5)


def errors(name: str, of: str) -> NDArray[np.float64]:
    """The mean absolute percentage error of each run over all experiments."""
    off = [np.abs(of_version(simulated(one["rate"]), of) / one[name] - 1) for one in measured()]
    return np.mean(off, axis=0)


def measurements() -> Iterator[Row]:
    for name, of, text, limit in (
        ("cold", "cold_start_probability", "cold start probability", 0.13),
        ("environments", "environments", "mean environments", 0.032),
    ):
        yield Row(
            group="Measurements on AWS Lambda", expected=limit, decimals=None, at_most=True, plane="compiled",
            what=f"mean absolute percentage error of the {text} over ten experiments, at most",
            ours=mean(lambda name=name, of=of: errors(name, of)),
        )  # fmt: skip


def measured_table() -> list[str]:
    """Ours beside each measurement, as lines of Markdown."""
    lines = [
        "", "| requests/s | P(cold) measured | ours [95%] | off by | environments measured | ours [95%] | off by |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for one in measured():
        found = simulated(one["rate"])
        cells = [f"{one['rate']:.4f}", f"{one['cold']:.4%} ± {one['error']:.4%}"]
        for name, of, form in (("cold", "cold_start_probability", ".4%"), ("environments", "environments", ".4g")):
            estimate = mean_of(of_version(found, of))
            assert estimate is not None
            low, high = estimate.low or math.nan, estimate.high or math.nan
            cells += [f"{one[name]:{form}}"] if name == "environments" else []
            cells += [f"{estimate.mean:{form}} [{low:{form}}, {high:{form}}]", f"{estimate.mean / one[name] - 1:+.1%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
