"""Which data plane runs a scenario, and why: what makes the aggregate plane inexact, what fits into time and memory."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from rollout_sim.core.distributions import Distribution
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import Fault
from rollout_sim.function.spec import INIT_LIMIT, VersionSpec
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.traffic.processes import arrival_process

if TYPE_CHECKING:
    pass


UNLIKELY: Final = 1e-6
"""Chance per run below which a limit does not count as one that can bind."""
_TAIL: Final = 1e-9


def inexactness(scenario: Scenario) -> tuple[str, ...]:
    """The reasons why the aggregate plane is not exact for `scenario`; none where it is.

    A limit on concurrency or scale-up counts where a throttle in one run is likelier than `UNLIKELY`, with every
    invocation cold and every fault at its worst (M/G/infinity in steady state).
    """
    found = [*_of_sources(scenario), *_of_versions(scenario), *_of_alarms(scenario)]
    if not found:
        found += _of_limits(scenario)
    if scenario.rollout is not None and scenario.function.propagation > 0:
        found.append("alias updates take time to propagate")
    return tuple(dict.fromkeys(found))


def _of_sources(scenario: Scenario) -> list[str]:
    found = []
    for i, source in enumerate(scenario.traffic):
        name = source.name or f"traffic[{i}]"
        if source.retry is not None and source.retry.attempts > 1 and "error" in source.retry.on:
            found.append(f"{name}: clients retry errors")
        if source.source != "http" and source.async_retries > 0:
            found.append(f"{name}: Lambda retries asynchronous events")
        if source.size is not None and any(spec.per_mb for spec in scenario.function.versions.values()):
            found.append(f"{name}: durations depend on the size of the event")
        process = arrival_process(source.arrivals, Streams(seed=0), "obstacles")
        trace = source.arrivals.trace
        grid = 60.0 if trace is None else math.gcd(60_000, round(60_000 / trace.speed)) / 1000
        if grid < 1:
            found.append(f"{name}: the trace's speed makes its minutes too odd to count by")
            continue
        try:
            process.counts(np.array([0.0, min(grid, scenario.horizon)]), 1, np.random.default_rng(0))
        except ValueError as error:
            found.append(f"{name}: {error}")
    return found


def _of_versions(scenario: Scenario) -> list[str]:
    found = []
    kinds = {"leak": "leaks", "load": "load", "subset": "users", "init": "cold starts"}
    latency = any(slo.latency is not None for slo in scenario.slos)
    durations = any(scenario.alarms[name].metric == "duration" for name in scenario.acting)
    for number, spec in scenario.function.versions.items():
        rows = scenario.faults_of(number)
        found += [f"version {number}: failures depend on {kinds[f.kind]}" for f in rows if f.kind in kinds]
        if latency and spec.cold_start is not None:
            found.append(f"version {number}: a latency SLO sees its cold starts")
        if spec.cold_start is not None and _above(spec.cold_start, INIT_LIMIT) > _TAIL:
            found.append(f"version {number}: cold starts can exceed the init limit of {INIT_LIMIT:g} s")
        if spec.cold_duration is not None and (
            latency or durations or _above(spec.cold_duration, scenario.function.timeout) > _TAIL
        ):
            found.append(f"version {number}: cold invocations have a duration of their own")
    return found


def _of_alarms(scenario: Scenario) -> list[str]:
    found = []
    for name in scenario.acting:
        alarm = scenario.alarms[name]
        if alarm.metric == "duration" and alarm.percentile is None:
            found.append(f"alarm {name}: reads a mean duration")
        aliases = {slo.alias or scenario.alias for slo in scenario.slos if slo.name == alarm.slo}
        if aliases - {scenario.alias}:
            found.append(f"alarm {name}: reads the budget of another alias")
    return found


def _of_limits(scenario: Scenario) -> list[str]:
    from scipy.special import gammainc
    from scipy.stats import poisson

    function = scenario.function
    highest, expected = _rates(scenario)
    longest = max(
        _holding_time(function.timeout, spec, together)
        for number, spec in function.versions.items()
        for together in _at_once(scenario.faults_of(number))
    )
    load = highest * longest
    # P(Poisson(load) >= c): what an arrival sees of a system without limits.
    found = []
    if function.concurrency == 0 or expected * float(gammainc(function.concurrency, load)) > UNLIKELY:
        found.append(f"the concurrency of {function.concurrency} can bind (up to {load:.3g} would run on average)")
    crashing = max(
        sum(f.crash or 0.0 for f in together) + _above(spec.duration, function.timeout)
        for number, spec in function.versions.items()
        for together in _at_once(scenario.faults_of(number))
    )
    new = float(poisson.isf(UNLIKELY / max(expected, 1.0), load + 10 * highest * min(crashing, 1.0)))
    if new > function.scale_up:
        found.append(f"the scale-up rate of {function.scale_up} environments per 10 s can bind")
    return found


def _rates(scenario: Scenario) -> tuple[float, float]:
    """The highest arrival rate of any minute (1/s), and the arrivals expected in all."""
    edges = np.minimum(np.arange(0.0, scenario.horizon + 60.0, 60.0), scenario.horizon)
    edges = np.unique(edges)
    expected = np.zeros(edges.size - 1)
    for source in scenario.traffic:
        process = arrival_process(source.arrivals, Streams(seed=0), "obstacles")
        expected += [process.mean_count(a, b) for a, b in zip(edges.tolist(), edges[1:].tolist(), strict=False)]
    return float((expected / np.diff(edges)).max()), float(expected.sum())


def _at_once(faults: tuple[Fault, ...]) -> list[tuple[Fault, ...]]:
    """The faults that are there at the same time, for each instant at which one sets in; once without any."""
    return [
        tuple(f for f in faults if f.onset <= t and (f.until is None or t < f.until))
        for t in sorted({f.onset for f in faults})
    ] or [()]


def _holding_time(timeout: float, spec: VersionSpec, faults: tuple[Fault, ...]) -> float:
    """Mean seconds that an invocation holds its environment at most: cold, and every one of these faults at its worst."""
    mean = spec.duration.mean
    for fault in faults:
        if fault.kind == "latency" and fault.latency is not None:
            mean += fault.share * (max(fault.latency.factor - 1, 0.0) * mean + fault.latency.add)
    crash = 1 - math.prod(1 - f.crash for f in faults if f.crash is not None)
    mean = (1 - crash) * min(mean, timeout) + crash * timeout
    init = 0.0 if spec.cold_start is None else spec.cold_start.mean
    whole = 0.0 if spec.cold_duration is None else spec.cold_duration.mean
    return max(mean + init, whole)


def _above(distribution: Distribution, limit: float) -> float:
    """P(a value above `limit`)."""
    return 1.0 - float(distribution.cdf(np.array([limit]))[0])


RATES: Final = {"simpy": 100_000, "compiled": 3_000_000}
"""Invocations per second of computing that a plane manages, for refusing what cannot be waited for."""
WORTH_LOADING: Final = 20_000
WORTH_COMPILING: Final = 10_000_000
"""Expected invocations from which on `auto` takes the compiled plane: when it is compiled already, and when not."""
MAX_WAIT: Final = 86_400.0
MAX_PLACES: Final = 20_000_000
"""Periods x targets x runs whose counts fit into memory."""
MAX_EVENTS: Final = 5_000_000
"""Invocations that can be kept one by one (about 500 bytes each)."""


def check_size(scenario: Scenario, *, runs: int = 1, events: bool = False) -> float:
    """Expected invocations of one run. Raises ScenarioError where they or the counts exceed a day or the memory.

    With `events` all of them are kept.
    """
    streams = Streams(seed=scenario.seed)
    expected = 0.0
    for i, source in enumerate(scenario.traffic):
        process = arrival_process(source.arrivals, streams, f"traffic/{i}/arrivals")
        expected += process.mean_count(0.0, scenario.horizon)
    engine = "simpy" if scenario.engine == "simpy" or not compiled_available() else "compiled"
    wait = expected * runs / RATES[engine]
    if wait > MAX_WAIT:
        problem = (
            f"{scenario.name}: about {expected * runs:.3g} invocations ({expected:.3g} in each of {runs} runs) would "
            f"take {wait / 86400:.3g} days on the {engine} plane; allowed {MAX_WAIT * RATES[engine]:.3g}. "
            "Lower the rate or the horizon"
        )
        raise ScenarioError([problem])
    if events and expected * runs > MAX_EVENTS:
        problem = f"{scenario.name}: about {expected * runs:.3g} invocations are too many to keep (--events)"
        raise ScenarioError(
            [f"{problem}; allowed {MAX_EVENTS:.3g}. Choose one strategy, or lower the rate or the horizon"]
        )
    places = len(scenario.targets) * scenario.horizon / scenario.resolution * runs
    if places > MAX_PLACES:
        problem = (
            f"{scenario.name}: horizon {scenario.horizon:g} s in periods of {scenario.resolution:g} s for "
            f"{len(scenario.targets)} targets in {runs} runs makes {places:.3g} counts; allowed {MAX_PLACES:.3g}"
        )
        raise ScenarioError([problem])
    return expected


def compiled_available() -> bool:
    """Whether Numba is installed."""
    return importlib.util.find_spec("numba") is not None


def engine_of(scenario: Scenario, expected: float) -> tuple[Engine, str]:
    """The plane for a run of so many expected invocations, and why; the results are the same on both.

    Raises ScenarioError for the compiled plane without Numba, and for the aggregate plane, which has no single runs.
    """
    if scenario.engine == "aggregate":
        problem = f"{scenario.name}: engine: aggregate draws counts for compare and sweep, not single runs"
        raise ScenarioError([f"{problem}; allowed auto, simpy, compiled"])
    if scenario.engine == "simpy":
        return "simpy", "the reference plane: every invocation is a process"
    if not compiled_available():
        if scenario.engine == "compiled":
            problem = f"{scenario.name}: engine: compiled needs Numba"
            raise ScenarioError([f"{problem}; pip install 'rollout-sim[compiled]' brings it"])
        return "simpy", "Numba is not installed"
    if scenario.engine == "compiled":
        return "compiled", "asked for"
    if expected < WORTH_LOADING:
        return "simpy", "too small to be worth loading the compiled kernel"
    from rollout_sim.planes.compiled.jit import compiled_before

    if compiled_before():
        return "compiled", "equal to the simpy plane, invocation by invocation"
    if expected < WORTH_COMPILING:
        return "simpy", "too small to be worth compiling the kernel, which is not cached yet"
    return "compiled", "equal to the simpy plane; the kernel was compiled first, which takes a minute, once"


LARGEST_BATCH: Final = 1024
WORTH_COMPILED: Final = 2_000
"""Expected invocations of a run from which on the compiled plane is the faster one."""
STUDY: Final = 100
"""Runs that a study has at least, for deciding whether the kernel is worth compiling."""
BATCH_PLACES: Final = 1 << 23
"""Replications x targets x periods of one batch: what bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Which plane runs the replications, why, and how many of them at a time."""

    engine: Engine
    reason: str
    batch: int


def choose_engine(scenario: Scenario, engine: Engine | None = None) -> EngineChoice:
    """The plane that `engine` (by default the scenario's) stands for. Raises ScenarioError where it is not exact."""
    engine = engine or scenario.engine
    if engine in ("simpy", "compiled"):
        return EngineChoice(engine=engine, reason="asked for", batch=1)
    found = inexactness(scenario)
    if not found:
        places = len(scenario.targets) * scenario.horizon / scenario.resolution
        batch = 1 << max(0, min(LARGEST_BATCH, math.floor(BATCH_PLACES / places)).bit_length() - 1)
        return EngineChoice(engine="aggregate", reason="no state links the invocations in what is read", batch=batch)
    if engine == "aggregate":
        raise ScenarioError(
            [f"{scenario.name}: engine: aggregate is not exact here: {'; '.join(found)}; allowed simpy"]
        )
    single, why = _single(scenario)
    return EngineChoice(engine=single, reason=f"aggregate would not be exact: {'; '.join(found)}; {why}", batch=1)


def _single(scenario: Scenario) -> tuple[Engine, str]:
    """The per-invocation plane for a study, and why; the results are the same on both."""
    expected = check_size(scenario)
    if expected < WORTH_COMPILED:
        return "simpy", "runs are too small for the compiled plane"
    return engine_of(replace(scenario, engine="auto"), expected * STUDY)
