"""The compiled plane beside the SimPy plane and a bare SimPy model of the same traffic: checkout with a limit and retries.

Ratios of runs that alternate, medians of several; single times say little on a shared machine. Against SimPy by the time that
passes, against NumPy by the time that all cores spend.
Where a core is free the compiled plane draws its next blocks there: the rates per core count what both spend.
The same traffic as messages of a queue and entries of a stream beside it over HTTP: records for invocations.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from simpy_plane import CHECKOUT, bare

from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.traffic.polling import Batch
from rollout_sim.traffic.source import Arrivals, ClientRetry, Source


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


def polled(scenario: Scenario, source: Source) -> Scenario:
    """The scenario with the traffic as records of that queue or stream."""
    (http,) = scenario.traffic
    return replace(scenario, traffic=(replace(source, alias=http.alias, arrivals=http.arrivals),))


BEAT: Final = Arrivals(poisson=1.0)
POLLED: Final = {
    "a queue, batches of 10": Source(source="queue", alias="prod", arrivals=BEAT),
    "a queue, batches of 1": Source(source="queue", alias="prod", arrivals=BEAT, batch=Batch(size=1)),
    "a stream of 20 shards": Source(source="stream", alias="prod", arrivals=BEAT, shards=20),
}
QUEUE: Final = POLLED["a queue, batches of 10"]


def rate_of(scenario: Scenario, engine: Engine, clock: Callable[[], float] = time.perf_counter) -> float:
    """Invocations, or records, per second of one run by the `clock`: time that passes, or time that all cores spend."""
    began = clock()
    result = simulate(replace(scenario, engine=engine), "canary 10%")
    return (result.records or sum(version.invocations for version in result.versions.values())) / (clock() - began)


@contextmanager
def one_core() -> Iterator[None]:
    """This process has one core alone, where that can be said: then there is no second thread that draws ahead."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


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


def memory(invocations: float, *, queue: bool = False) -> float:
    """Peak resident memory of a process that runs so many invocations, or records of a queue, in MB."""
    scenario = f"production(10_000.0, {invocations / 10_000}, retry={not queue})"
    return peak_resident_memory(
        "from dataclasses import replace; from compiled_plane import QUEUE, polled, production, simulate;"
        f"scenario = {f'polled({scenario}, QUEUE)' if queue else scenario};"
        "simulate(replace(scenario, engine='compiled'), 'canary 10%')"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="runs per figure")
    parser.add_argument("--small", action="store_true", help="only see that it runs: sizes that take seconds")
    options = parser.parse_args()
    repeat, part = (1, 0.1) if options.small else (options.repeat, 1.0)
    for queue in (False, True):
        memory(1e4, queue=queue)  # compiles, where nothing is cached
    for invocations in (
        1e6,
        1e7 if options.small else 1e8,
    ):  # before the rest: a child's peak counts what its parent holds
        print(f"peak memory of {invocations:.0e} invocations: {memory(invocations):.0f} MB (aim below 400)")
        print(
            f"peak memory of {invocations:.0e} records of a queue: {memory(invocations, queue=True):.0f} MB (aim below 400)"
        )
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
    http = production(1000.0, 900.0 * part, retry=False)
    rate_of(polled(http, QUEUE), "compiled")  # loads what is cached
    for name, source in POLLED.items():
        ratios = [
            rate_of(polled(http, source), "compiled", time.process_time) / rate_of(http, "compiled", time.process_time)
            for _ in range(repeat)
        ]
        print(f"records/s of {name} over invocations/s over HTTP, per core: {statistics.median(ratios):.2f} (aim 0.5)")
    long, short = production(1000.0, 3600.0 * part, retry=False), production(1000.0, 400.0 * part + 60.0, retry=False)
    pairs = []
    for k in range(repeat):
        compiled, simpy = rate_of(long, "compiled"), rate_of(short, "simpy")
        took, count = bare(1000.0, 300.0 * part, k)
        with one_core():
            single = rate_of(long, "compiled", time.process_time)
            numpy_alone = numpy_rate(3_000_000, k)
        pairs.append((compiled / simpy, compiled / (count / took), single / numpy_alone))
    names = (
        "the SimPy plane (aim 100)",
        "a bare SimPy model (aim 50)",
        "NumPy drawing the same numbers, one core (aim 0.3)",
    )
    for column, name in enumerate(names):
        print(f"times as fast as {name}: {statistics.median(pair[column] for pair in pairs):.3g}")


if __name__ == "__main__":
    main()
