"""The aggregate plane: replications and invocations per second beside the SimPy plane's, and what its cost depends on.

All comparisons are ratios of runs that alternate, medians of several; single times say little on a shared machine.
The last part, two processes against one on a sweep of a minute, is left out unless `--jobs` is given.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

from rollout_sim.control.strategies import Canary
from rollout_sim.core.yaml_io import read_yaml
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.batch import Batch, run_batch
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare
from rollout_sim.study.grid import chosen_axes
from rollout_sim.study.sweep import sweep
from rollout_sim.traffic.source import Arrivals

CHECKOUT = Path(__file__).parent.parent / "scenarios" / "checkout.yaml"
PERCENTS = (1, 2, 5, 10, 25)
MINUTES = (1, 2, 3, 5, 8, 10, 15, 20, 30, 45)


def study(rate: float, *, quiet: bool = False, hours: float = 1.0) -> Scenario:
    """Checkout with 50 canaries over some hours at `rate` requests per second, and no limit that a high rate could meet.

    With `quiet` the alarm looks but never fires, so that every rollout goes to its end at any rate.
    """
    scenario = Scenario.load(CHECKOUT)
    source = replace(scenario.traffic[0], arrivals=Arrivals(poisson=rate), users=None)
    function = replace(scenario.function, account_concurrency=1_000_000, scale_up=1_000_000)
    strategies = {f"{p}% {m} min": Canary(percent=p / 100, interval=m * 60.0) for p in PERCENTS for m in MINUTES}
    alarms = scenario.alarms
    if quiet:
        alarms = {name: replace(alarm, threshold="> 1000000") for name, alarm in alarms.items()}
    return replace(
        scenario, traffic=(source,), function=function, strategies=strategies, alarms=alarms, horizon=3600 * hours
    )


def seconds(scenario: Scenario, replications: int = 1000, first: int = 0) -> float:
    """Time of all strategies' replications on one core, after imports."""
    plane = choose_engine(scenario, "aggregate")
    began = time.perf_counter()
    run_batch(
        Batch(
            scenario=scenario,
            strategies=tuple(scenario.strategies),
            plane=plane,
            seed=1,
            first=first,
            count=replications,
        )
    )
    return time.perf_counter() - began


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="pairs per comparison")
    parser.add_argument("--jobs", action="store_true", help="also two processes against one, for several minutes")
    parser.add_argument("--small", action="store_true", help="only see that it runs: sizes that take seconds")
    options = parser.parse_args()
    size = 100 if options.small else 1000
    repeat = 1 if options.small else options.repeat
    thousand = study(1000.0)
    seconds(thousand)  # imports and caches

    times, simpy = [], []
    horizon = 360.0 if options.small else 660.0
    for _ in range(repeat):
        times.append(seconds(thousand))
        began = time.perf_counter()
        result = simulate(replace(thousand, horizon=horizon, engine="simpy"), "10% 1 min")
        simpy.append(result.requests / (time.perf_counter() - began))
    took, runs = statistics.median(times), 1000 * len(thousand.strategies)
    invocations = runs * 1000 * thousand.horizon / took
    print(f"50 strategies x 1,000 replications x 60 periods at 1,000/s: {took:.2f} s of work on one core")
    print(f"  {runs / took:,.0f} replications/s, {invocations:.3g} simulated invocations/s")
    other = statistics.median(simpy)
    print(f"  SimPy plane beside it: {other:,.0f} invocations/s, {invocations / other:,.0f} times fewer")

    slow, fast = study(10.0, quiet=True), study(100_000.0, quiet=True)
    ratios = [seconds(fast) / seconds(slow) for _ in range(repeat)]
    print(f"cost at 100,000/s over cost at 10/s: {statistics.median(ratios):.2f} (allowed 1.2)")

    for name, given, count in (
        ("10/s", study(10.0), size),
        ("100,000/s", study(100_000.0), size),
        ("1,000/s, 10 times the replications", study(1000.0), 10 * size),
        ("1,000/s, 24 times the horizon", study(1000.0, hours=24), size),
        ("1,000/s, 240 times the horizon", study(1000.0, hours=240), size),
    )[: 2 if options.small else None]:
        tracemalloc.start()
        compare(given, count, ["10% 10 min"], twin=False)
        print(f"peak memory at {name}: {tracemalloc.get_traced_memory()[1] / 1e6:.1f} MB")
        tracemalloc.stop()

    if options.jobs:
        words = {"percent": ",".join(map(str, range(1, 51))), "interval": "5m,10m,20m", "severity": "0.5%,1%,2%,5%"}
        document, axes = chosen_axes(read_yaml(CHECKOUT), **words)
        pairs = []
        for _ in range(3):
            spent = []
            for jobs in (1, 2):
                began = time.perf_counter()
                sweep(document, axes, 10_240, jobs=jobs)
                spent.append(time.perf_counter() - began)
            pairs.append(spent[0] / spent[1])
            print(f"  one process {spent[0]:.1f} s, two {spent[1]:.1f} s")
        print(f"two processes over one: {statistics.median(pairs):.2f} x (asked for 1.7)")


if __name__ == "__main__":
    main()
