"""A study where state matters: all strategies in many replications beside the kernel's own rate in one long run.

Every invocation is simulated on the compiled plane. Ratios of runs that alternate, by the time that all cores spend, medians of
several; single times say little on a shared machine. `--jobs` adds two processes against one, on the clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

from compiled_plane import peak_resident_memory

from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare

SCENARIOS = Path(__file__).parent.parent / "scenarios"


def kernel_rate(scenario: Scenario, invocations: float) -> float:
    """Invocations per second of CPU of one long run of the scenario's traffic, without a rollout and without alarms."""
    rate = sum(scenario.rates.values())
    steady = replace(
        scenario, rollout=None, strategies={}, alarms={}, on_call=None, goal=None, risk=None, promotions=(),
        engine="compiled", horizon=max(invocations / rate, 3600.0),
    )  # fmt: skip
    began = time.process_time()
    result = simulate(steady)
    return sum(version.invocations for version in result.versions.values()) / (time.process_time() - began)


def study_rate(scenario: Scenario, replications: int, jobs: int = 1) -> tuple[float, float]:
    """Requests per second of CPU, and seconds on the clock, of all strategies in so many replications."""
    plane = choose_engine(scenario, "compiled")
    spent, began = time.process_time(), time.perf_counter()
    compared = compare(scenario, replications, twin=False, engine="compiled", plane=plane, jobs=jobs)
    spent, passed = time.process_time() - spent, time.perf_counter() - began
    return sum(float(columns["requests"].sum()) for columns in compared.columns.values()) / spent, passed


def one_by_one_rate(scenario: Scenario, replications: int) -> float:
    """The same from runs that are looked at one by one."""
    given, requests, began = replace(scenario, engine="compiled"), 0, time.process_time()
    for k in range(replications):
        requests += sum(simulate(given, name, replication=k).requests for name in scenario.strategies)
    return requests / (time.process_time() - began)


def memory(name: str, replications: int) -> float:
    """Peak resident memory of a process that runs the study, in MB."""
    return peak_resident_memory(
        "from stateful_study import SCENARIOS, Scenario, study_rate;"
        f"study_rate(Scenario.load(SCENARIOS / '{name}.yaml'), {replications})"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scenario", action="append", help="a shipped scenario (default: latency-regression, image-resize)"
    )
    parser.add_argument("--replications", type=int, default=200, help="of each strategy")
    parser.add_argument("--repeat", type=int, default=5, help="runs per figure")
    parser.add_argument("--jobs", action="store_true", help="also two processes against one")
    parser.add_argument("--small", action="store_true", help="only see that it runs: sizes that take seconds")
    options = parser.parse_args()
    replications, repeat = (4, 1) if options.small else (options.replications, options.repeat)
    print(f"load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    for name in options.scenario or ["latency-regression", "image-resize"]:
        scenario = Scenario.load(SCENARIOS / f"{name}.yaml")
        memories = [memory(name, count) for count in (replications, 2 * replications)]  # compiles, if need be
        study_rate(scenario, 1)
        kernel, study, single, clock = [], [], [], []
        for _ in range(repeat):
            kernel.append(kernel_rate(scenario, 1e5 if options.small else 1e7))
            study.append(study_rate(scenario, replications)[0])
            single.append(one_by_one_rate(scenario, max(replications // 20, 1)))
            if options.jobs:
                one, two = (study_rate(scenario, 4 * replications, jobs)[1] for jobs in (1, 2))
                clock.append(one / two)
        twice = study_rate(scenario, 2 * replications)[0]
        print(f"{name}: {len(scenario.strategies)} strategies x {replications} replications")
        print(f"  kernel in one long run: {statistics.median(kernel):12,.0f} invocations per second of CPU")
        for words, rates in (("study", study), ("runs one by one", single)):
            ratio = statistics.median(rate / own for rate, own in zip(rates, kernel, strict=True))
            aim = " (aim 0.7)" if words == "study" else ""
            print(f"  {words}: {statistics.median(rates):12,.0f}, {ratio:.2f} of the kernel's own rate{aim}")
        print(f"  twice the replications: {study[-1] / twice:.2f} times the cost each (aim 1)")
        print(f"  peak memory: {memories[0]:.0f} MB, of twice the replications {memories[1]:.0f} MB")
        if clock:
            print(f"  two processes over one: {statistics.median(clock):.2f} x (aim 1.7)")


if __name__ == "__main__":
    main()
