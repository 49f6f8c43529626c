"""The compiled plane beside its peers, each on the work that it can do: `pip install '.[compiled,peers]'` first.

Rates of runs that alternate, medians of several; of one core, but against the bare SimPy model on the clock. A peer that is not
installed is named and left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from compiled_plane import one_core, production, rate_of
from simpy_plane import CHECKOUT, bare

from rollout_sim.core.distributions import Distribution
from rollout_sim.function.spec import VersionSpec
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.source import Arrivals

SERVERS, LOAD = 10, 9.0


def timed(work: Callable[[], float]) -> float:
    """Requests per second of CPU, of all threads together: `work` returns how many there were."""
    began = time.process_time()
    count = work()
    return count / (time.process_time() - began)


def steady(rate: float, horizon: float, version: VersionSpec, concurrency: int) -> Scenario:
    """One version, no rollout, no SLO: what the peers can model."""
    given = Scenario.load(CHECKOUT)
    function = replace(
        given.function, versions={"1": version}, reserved_concurrency=concurrency, scale_up=1_000_000, timeout=900.0
    )
    source = replace(given.traffic[0], arrivals=Arrivals(poisson=rate), users=None)
    return replace(
        given, function=function, traffic=(source,), horizon=horizon, slos=(), alarms={}, rollout=None, strategies={},
        engine="compiled",
    )  # fmt: skip


def exponential(mean: float) -> Distribution:
    """Exponential durations of so many seconds on average."""
    return Distribution("exponential", (mean,))


def ours_of(scenario: Scenario) -> Callable[[], float]:
    """Our requests, throttled ones included."""
    return lambda: float(simulate(scenario).requests)


def simfaas() -> float:
    """Requests that SimFaaS simulates of its own example."""
    from simfaas.ServerlessSimulator import ServerlessSimulator

    simulator = ServerlessSimulator(
        arrival_rate=0.9,
        warm_service_rate=1 / 1.991,
        cold_service_rate=1 / 2.244,
        expiration_threshold=600,
        max_time=2e5,
    )
    simulator.generate_trace(debug_print=False, progress=False)
    return float(simulator.total_req_count)


def ciw() -> float:
    """Customers that Ciw serves in M/M/10."""
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(LOAD)], service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[SERVERS],
    )  # fmt: skip
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(10_000)
    return float(len(simulation.get_all_records()))


def cimba() -> float:
    """Customers that come in Cimba's M/M/10."""
    import cimba as cb
    from cimba_model import MM10

    duration = 300_000.0
    cb.Experiment(MM10(), replications=1, window=cb.Window(warmup=0, duration=duration), seed=1).run()
    return LOAD * duration


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="runs per figure")
    parser.add_argument("--small", action="store_true", help="only see that it runs: sizes that take seconds")
    options = parser.parse_args()
    repeat, part = (1, 0.1) if options.small else (options.repeat, 1.0)
    example = VersionSpec(duration=exponential(1.991), cold_duration=exponential(2.244))
    queue = VersionSpec(duration=exponential(1.0))
    checkout = production(1000.0, 600.0 * part + 60.0, retry=False)
    work = {
        "SimFaaS's example, 0.9/s": (ours_of(steady(0.9, 2e6 * part, example, 1000)), {"simfaas": simfaas}),
        "M/M/10 at 0.9 (ours throttles, does not queue)": (
            ours_of(steady(LOAD, 300_000.0 * part, queue, SERVERS)), {"ciw": ciw, "cimba": cimba},
        ),
    }  # fmt: skip
    if importlib.util.find_spec("cimba") is not None:
        cimba()  # compiles; before ours, because Numba learns Cimba's types only while it has compiled nothing else
    rate_of(production(50, 60, retry=False), "compiled")  # compiles, or loads what is cached
    print(f"{'work':48} {'peer':12} {'requests/s':>12} {'ours':>12} {'ratio':>7}")
    for name, (ours, peers) in work.items():
        for peer, run in peers.items():
            if importlib.util.find_spec(peer) is None:
                print(f"{name:48} {peer:12} is not installed: pip install '.[peers]'")
                continue
            with one_core():
                report(name, peer, [(timed(run), timed(ours)) for _ in range(repeat)])
    pairs = []
    for k in range(repeat):
        took, count = bare(1000.0, 300.0 * part, k)
        pairs.append((count / took, rate_of(checkout, "compiled")))
    report("checkout, 1,000/s, limit and canary", "bare SimPy", pairs)


def report(name: str, peer: str, pairs: list[tuple[float, float]]) -> None:
    """One line: medians of (theirs, ours) and of the ratio."""
    theirs, ours, ratio = (statistics.median(x) for x in zip(*((a, b, b / a) for a, b in pairs), strict=True))
    print(f"{name:48} {peer:12} {theirs:12,.0f} {ours:12,.0f} {ratio:6.1f}x")


if __name__ == "__main__":
    main()
