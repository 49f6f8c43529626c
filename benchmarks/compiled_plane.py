"""The compiled plane beside the SimPy plane and a bare SimPy model of the same traffic: checkout with a limit and retries.

Ratios of runs that alternate, medians of several; single times say little on a shared machine. Against SimPy by the time that
passes, against NumPy by the time that all cores spend.
Where a core is free the compiled plane draws its next blocks there: the rates per core count what both spend.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from simpy_plane import CHECKOUT, bare

from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.traffic.source import Arrivals, ClientRetry


def production(rate: float, seconds: float, *, retry: bool) -> Scenario:
    """Checkout at `rate` requests per second for some time, with cold starts, keep-alive, a limit and a canary."""
    scenario = Scenario.load(CHECKOUT)
    source = replace(
        scenario.traffic[0], arrivals=Arrivals(poisson=rate), users=None, retry=ClientRetry() if retry else None
    )
    function = replace(
        scenario.function, reserved_concurrency=round(0.3 * rate) + 50, scale_up=100_000, account_concurrency=100_000
    )
    assert scenario.rollout is not None
    rollout = replace(scenario.rollout, start=60.0)
    return replace(scenario, traffic=(source,), function=function, rollout=rollout, horizon=seconds)


def rate_of(scenario: Scenario, engine: Engine, clock: Callable[[], float] = time.perf_counter) -> float:
    """Invocations per second of one run by the `clock`: time that passes, or time that all cores spend."""
    began = clock()
    result = simulate(replace(scenario, engine=engine), "canary 10%")
    return sum(version.invocations for version in result.versions.values()) / (clock() - began)


def numpy_rate(count: int, seed: int) -> float:
    """How many invocations' random numbers NumPy draws per second of CPU: gap, routing, failure and a lognormal duration."""
    rng, block = np.random.Generator(np.random.SFC64(seed)), 4096
    began = time.process_time()
    for _ in range(count // block):
        rng.standard_exponential(block)
        rng.random((2, block))
        rng.lognormal(0.0, 1.0, block)
    return count / (time.process_time() - began)


def peak_resident_memory(code: str) -> float:
    """Peak resident memory of a process of its own that runs the `code`, in MB."""
    script = f"{code}; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def memory(invocations: float) -> float:
    """Peak resident memory of a process that runs so many invocations, in MB."""
    return peak_resident_memory(
        "from dataclasses import replace; from compiled_plane import production, simulate;"
        f"simulate(replace(production(10_000.0, {invocations / 10_000}, retry=True), engine='compiled'), 'canary 10%')"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="runs per figure")
    parser.add_argument("--small", action="store_true", help="only see that it runs: sizes that take seconds")
    options = parser.parse_args()
    repeat, part = (1, 0.1) if options.small else (options.repeat, 1.0)
    memory(1e4)  # compiles, where nothing is cached
    for invocations in (
        1e6,
        1e7 if options.small else 1e8,
    ):  # before the rest: a child's peak counts what its parent holds
        print(f"peak memory of {invocations:.0e} invocations: {memory(invocations):.0f} MB (aim below 400)")
    rate_of(production(50, 60, retry=False), "compiled")  # loads what is cached
    for retry in (False, True):
        for rate, seconds in ((50.0, 3600.0), (1000.0, 900.0), (10_000.0, 300.0)):
            scenario = production(rate, max(seconds * part, 100.0), retry=retry)
            per_core, passed = (
                statistics.median(rate_of(scenario, "compiled", clock) for _ in range(repeat))
                for clock in (time.process_time, time.perf_counter)
            )
            words = "with" if retry else "without"
            print(
                f"{rate:8,.0f}/s {words:7s} retries: {per_core:12,.0f} invocations/s per core, {passed:12,.0f}/s on the clock"
            )
    long, short = production(1000.0, 3600.0 * part, retry=False), production(1000.0, 400.0 * part + 60.0, retry=False)
    pairs = []
    for k in range(repeat):
        compiled, simpy = rate_of(long, "compiled"), rate_of(short, "simpy")
        took, count = bare(1000.0, 300.0 * part, k)
        per_core = rate_of(long, "compiled", time.process_time)
        pairs.append((compiled / simpy, compiled / (count / took), per_core / numpy_rate(3_000_000, k)))
    names = (
        "the SimPy plane (aim 100)",
        "a bare SimPy model (aim 50)",
        "NumPy drawing the same numbers, per core (aim 0.3)",
    )
    for column, name in enumerate(names):
        print(f"times as fast as {name}: {statistics.median(pair[column] for pair in pairs):.3g}")


if __name__ == "__main__":
    main()
