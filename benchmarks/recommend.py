"""`recommend` on shipped scenarios: how long a search takes, on one core and on several, and beside what its plane could do.

CPU seconds of the whole search beside those that its runs take alone, in large batches of one candidate under the good version:
the ratio says what screening, small batches and the arithmetic cost. Medians of searches that alternate; the bars hold on the
clock, on two cores that are free. Whether every limit is decided, and how far the nominal work is from the time it takes, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from unittest.mock import patch

from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.recommend.candidates import strategies
from rollout_sim.study.recommend.search import Search, prepare

SCENARIOS = Path(__file__).parent.parent / "scenarios"
BARS = {"aggregate": 10.0}
STATEFUL = 30.0
"""Seconds on two cores: where whole periods are drawn, and where every invocation is simulated."""


def alone(search: Search, runs: int) -> float:
    """CPU seconds that so many runs take where they are stops of one candidate, by those of a part of them."""
    sampler = search.sampler()
    candidate = search.shortlist.promising(sampler.planner, keep_alarms=True)[0][0]
    count = min(runs, 1 << 14 if search.problem.whole_periods else 64)
    began = time.process_time()
    sampler.sample_stops(candidate, "good", 1 << 12, count)
    return (time.process_time() - began) * runs / count


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", help="a shipped scenario (default: all)")
    parser.add_argument("--repeat", type=int, default=3, help="searches per figure")
    parser.add_argument("--jobs", type=int, default=2, help="processes on the clock")
    parser.add_argument("--small", action="store_true", help="only see that it runs: one scenario, once")
    options = parser.parse_args()
    names = options.scenario or sorted(path.stem for path in SCENARIOS.glob("*.yaml"))
    repeat = options.repeat
    if options.small:
        names, repeat, options.jobs = ["quiet-service"], 1, 1
    print(f"load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())} on {os.cpu_count()} cores")
    for name in names:
        scenario = Scenario.load(SCENARIOS / f"{name}.yaml")
        search = prepare(scenario)
        search.evaluations(strategies(scenario)[:1], search.sizes.explore)  # compiles, if need be
        ratios, clock, spent = [], [], []
        for _ in range(repeat):
            search = prepare(scenario)
            began = time.process_time()
            with patch.object(search, "sampler", wraps=search.sampler) as sampler:
                answer = search.recommend()
            (effort,) = sampler.call_args.args
            spent.append(time.process_time() - began)
            nominal, runs = effort.spent, effort.runs
            ratios.append(spent[-1] / alone(prepare(scenario), runs))
            if options.jobs > 1:
                began = time.perf_counter()
                prepare(scenario, jobs=options.jobs).recommend()
                clock.append(time.perf_counter() - began)
        cpu, bar = statistics.median(spent), BARS.get(search.plane.engine, STATEFUL)
        text = "every limit decided" if answer.decided else "some limits open, and said to be"
        print(f"{name}, {search.plane.engine}: {cpu:.1f} CPU s, {cpu / nominal:.2f} of the nominal work; {text}")
        print(f"  {statistics.median(ratios):.1f} times what its {runs:,} runs take in large batches of one candidate")
        if clock:
            print(f"  {statistics.median(clock):.1f} s on the clock with {options.jobs} processes (at most {bar:.0f})")


if __name__ == "__main__":
    main()
