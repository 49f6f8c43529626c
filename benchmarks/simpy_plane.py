"""The SimPy plane beside a bare SimPy model of the same traffic, in turn, as a ratio.

The bare model is what one would write first: a process per invocation that draws, routes, sleeps and counts.
The ratio is taken pair by pair and its median printed; single times say little on a shared machine.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
import tracemalloc
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import simpy

from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.source import Arrivals

CHECKOUT = Path(__file__).parent.parent / "scenarios" / "checkout.yaml"


def bare(rate: float, horizon: float, seed: int) -> tuple[float, int]:
    """Seconds and invocations of the bare model: Poisson arrivals, 10% to the new version, lognormal durations."""
    rng = random.Random(seed)
    env = simpy.Environment()
    counts = [0, 0]

    def invocation() -> Generator[simpy.Event, None, None]:
        version = 1 if rng.random() < 0.1 else 0
        yield env.timeout(rng.lognormvariate(-2.5, 0.87))
        counts[version] += 1

    def traffic() -> Generator[simpy.Event, None, None]:
        while True:
            yield env.timeout(rng.expovariate(rate))
            env.process(invocation())

    env.process(traffic())
    began = time.perf_counter()
    env.run(until=horizon)
    return time.perf_counter() - began, sum(counts)


def ours(scenario: Scenario, strategy: str, seed: int) -> tuple[float, int]:
    """Seconds and invocations of one run on the SimPy plane, start to result."""
    began = time.perf_counter()
    result = simulate(replace(scenario, engine="simpy"), strategy, seed=seed)
    return time.perf_counter() - began, sum(version.invocations for version in result.versions.values())


def peak_memory(scenario: Scenario, strategy: str) -> float:
    """Peak of what Python holds during a run, in MB."""
    tracemalloc.start()
    simulate(replace(scenario, engine="simpy"), strategy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    """Prints the ratio, and the memory at one and at four times the horizon."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--strategy", default="canary 10%")
    parser.add_argument("--small", action="store_true", help="only see that it runs: sizes that take seconds")
    options = parser.parse_args()
    pairs = 1 if options.small else options.pairs
    scenario = Scenario.load(CHECKOUT)
    sources = (replace(scenario.traffic[0], arrivals=Arrivals(poisson=options.rate)),)
    scenario = replace(scenario, traffic=sources)
    if options.small:
        scenario = replace(scenario, horizon=900.0)
    simulate(replace(scenario, horizon=700.0, engine="simpy"), options.strategy)
    ratios, rates = [], []
    for pair in range(pairs):
        bare_time, bare_count = bare(options.rate, scenario.horizon, pair)
        our_time, our_count = ours(scenario, options.strategy, pair)
        ratios.append((our_time / our_count) / (bare_time / bare_count))
        rates.append(our_count / our_time)
    print(
        f"simpy plane / bare SimPy, time per invocation: median {statistics.median(ratios):.2f} "
        f"of {pairs} pairs "
        f"(min {min(ratios):.2f}, max {max(ratios):.2f}); bar 2.0"
    )
    print(f"simpy plane: {statistics.median(rates):,.0f} invocations/s at {options.rate:g} requests/s")
    short, long = (peak_memory(replace(scenario, horizon=scenario.horizon * k), options.strategy) for k in (1, 4))
    print(f"memory: peak {short:.1f} MB at {scenario.horizon:g} s, {long:.1f} MB at four times that")


if __name__ == "__main__":
    main()
