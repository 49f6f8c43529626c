"""Comparison: what the strategies of a scenario come to over many replications, for a bad version and for a good one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.controller import OUTCOMES
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.display import Plotted
from rollout_sim.core.statistics import Estimate, difference, mean_of, share_of
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice, check_size, choose_engine
from rollout_sim.run.batch import Batch, Samples, concatenate, run_batch, stopped
from rollout_sim.run.simulate import Progress
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import STEADY, Engine
from rollout_sim.study.executor import run_batches

if TYPE_CHECKING:
    import pandas as pd


MOST: Final = 10_000
"""Replications where their number is not given: as many as fit into `SECONDS`, at most this."""
FEWEST: Final = 10
SECONDS: Final = 10.0
PAIRED: Final = ("rolled_back", "promoted", "bad_requests", "bad_requests_new_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Plotted):
    """The replications of every strategy; `twin` is the same with the new version's faults removed, if it has any.

    `columns` holds each strategy's `Samples` in the scenario's order.
    """

    scenario: Scenario
    seed: int
    replications: int
    plane: EngineChoice
    columns: dict[str, Samples]
    twin: Comparison | None = None
    asked: Engine | None = None
    """The engine that was asked for instead of the scenario's."""

    def estimates(self, strategy: str) -> dict[str, Estimate | None]:
        """Each estimate of one strategy, None where it has no data (nothing was rolled back, or the plane cannot know)."""
        columns = self.columns[strategy]
        outcome = columns["outcome"]
        found: dict[str, Estimate | None] = {
            name: share_of(outcome == OUTCOMES.index(name))
            for name in ("rolled_back", "promoted", "failed", "blocked", "running")
        }
        found["stopped"] = share_of(stopped(columns))
        return found | {name: mean_of(values) for name, values in columns.items() if name != "outcome"}

    def differences(self, strategy: str) -> dict[str, Estimate | None]:
        """One strategy minus the first, replication by replication."""
        first, mine = (_comparable(self.columns[name]) for name in (next(iter(self.columns)), strategy))
        return {name: difference(mine[name], first[name]) for name in mine}

    @property
    def frame(self) -> pd.DataFrame:
        """One row per strategy and estimate, the twin's included (`version`: as described, or good)."""
        import pandas as pd

        rows = []
        for label, one in (("as described", self), ("good", self.twin)):
            for strategy in one.columns if one is not None else ():
                assert one is not None
                for name, estimate in one.estimates(strategy).items():
                    if estimate is not None:
                        row = {"strategy": strategy, "version": label, "estimate": name, "n": estimate.n}
                        rows.append(row | estimate.document)
        return pd.DataFrame(rows)

    @property
    def document(self) -> dict[str, Any]:
        """What `compare --json` prints."""
        head = {
            "scenario": self.scenario.name,
            "seed": self.seed,
            "replications": self.replications,
            "engine": self.plane.engine,
            "engine_reason": self.plane.reason,
            "approximations": list(approximations(self.scenario, self.plane)),
        }
        first = next(iter(self.columns))
        entries = []
        for strategy in self.columns:
            entry = {"strategy": strategy} | _nested(self.estimates(strategy))
            if strategy != first:
                entry["minus_first"] = _nested(self.differences(strategy))
            entries.append(entry)
        twin = None if self.twin is None else {k: v for k, v in self.twin.document.items() if k != "twin"}
        return head | {"strategies": entries, "twin": twin}

    @staticmethod
    def outcome_names(codes: IntArray) -> NDArray[np.object_]:
        """The names of the outcomes in a column of `columns`."""
        return np.array(OUTCOMES, object)[codes]

    def __repr__(self) -> str:
        count = f"{self.replications:,} replications of each strategy (seed {self.seed}, {self.plane.engine} plane)"
        return f"{self.scenario.name}: {count}"


def compare(
    scenario: Scenario,
    replications: int | None = None,
    strategies: Sequence[str] = (),
    *,
    seed: int | None = None,
    engine: Engine | None = None,
    twin: bool = True,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Many replications of each strategy (all by default), and of its good-version twin.

    Without `replications` as many as the plane manages in about ten seconds on one process, at most `MOST`. `progress`
    is called with the share that is done. Raises ScenarioError for what cannot be run.
    """
    if replications is not None and replications < 1:
        raise ScenarioError([f"replications: at least 1, got {replications}"])
    names = tuple(dict.fromkeys(scenario.chosen(name) for name in (strategies or scenario.strategies or (STEADY,))))
    seed = scenario.seed if seed is None else seed
    plane = choose_engine(scenario, engine)
    good = good_twin(scenario) if twin else None
    sides = [(scenario, plane)] if good is None else [(scenario, plane), (good, choose_engine(good, engine))]
    if plane.engine != "aggregate":
        check_size(replace(scenario, engine=plane.engine), runs=len(names) * len(sides) * (replications or FEWEST))
    if replications is None:
        replications = _affordable(sides, names, seed)
    batches = [batch for one, its_plane in sides for batch in batches_of(one, names, its_plane, seed, replications)]
    results: dict[int, dict[str, Samples]] = {}
    for number, result in run_batches(batches, jobs=jobs, cluster=cluster):
        results[number] = result
        if progress is not None:
            progress(len(results) / len(batches))
    ordered = iter([results[number] for number in range(len(batches))])
    compared = [
        Comparison(
            scenario=one,
            seed=seed,
            replications=replications,
            plane=its_plane,
            columns=_gather(ordered, names, len(batches_of(one, names, its_plane, seed, replications))),
            asked=engine,
        )
        for one, its_plane in sides
    ]
    return compared[0] if good is None else replace(compared[0], twin=compared[1])


def good_twin(scenario: Scenario) -> Scenario | None:
    """The same scenario with the new version's faults removed; None where it has none, or nothing is rolled out."""
    if scenario.new is None or not scenario.function.versions[scenario.new].faults:
        return None
    return scenario.with_faults(scenario.new, ())


def batches_of(
    scenario: Scenario, strategies: tuple[str, ...], plane: EngineChoice, seed: int, replications: int
) -> list[Batch]:
    """The work of so many replications, in pieces that do not depend on who does them."""
    return [
        Batch(
            scenario=scenario,
            strategies=strategies,
            plane=plane,
            seed=seed,
            first=first,
            count=min(plane.batch, replications - first),
        )
        for first in range(0, replications, plane.batch)
    ]


def approximations(scenario: Scenario, plane: EngineChoice) -> tuple[str, ...]:
    """What the estimates assume beyond the scenario."""
    notes = (
        ["the budget of the whole SLO window is a forecast from the traffic's expected rate"] if scenario.slos else []
    )
    if plane.engine == "aggregate":
        if len(scenario.strategies) > 1:
            notes.append("strategies are paired by their arrivals only")
        if any(source.arrivals.own is not None for source in scenario.traffic):
            notes.append("what becomes of own arrivals within a period is integrated numerically over their rate")
        cold = any(spec.cold_start or spec.cold_duration for spec in scenario.function.versions.values())
        if cold and scenario.acting:
            notes.append("a cold start's init does not delay when its datapoint becomes visible")
        if cold and any(strategy.plan.after for strategy in scenario.strategies.values()):
            notes.append("tests of the post-traffic hook find a warm environment")
    return tuple(notes)


def _affordable(sides: Sequence[tuple[Scenario, EngineChoice]], names: tuple[str, ...], seed: int) -> int:
    """How many replications take about `SECONDS`, from the time that a chunk of each side takes.

    Not the first one, which pays for what is loaded and compiled once.
    """
    each = 0.0
    for one, plane in sides:
        batch = Batch(scenario=one, strategies=names, plane=plane, seed=seed, first=0, count=plane.batch)
        times = []
        for _ in range(2):
            began = time.perf_counter()
            run_batch(batch)
            times.append(time.perf_counter() - began)
        each += min(times) / plane.batch
    count = int(min(max(SECONDS / each, FEWEST), MOST))
    digits: int = 10 ** (len(str(count)) - 1)
    return count // digits * digits


def _gather(results: Iterator[dict[str, Samples]], names: tuple[str, ...], batches: int) -> dict[str, Samples]:
    mine = [next(results) for _ in range(batches)]
    return {name: concatenate([one[name] for one in mine]) for name in names}


def _comparable(columns: Samples) -> Samples:
    """The columns that differences are taken of."""
    outcome = columns["outcome"]
    shares = {name: (outcome == OUTCOMES.index(name)).astype(float) for name in ("rolled_back", "promoted")}
    spent = {name: values for name, values in columns.items() if name.startswith("budget_spent.")}
    return {**shares, **{name: columns[name] for name in PAIRED if name in columns}, **spent}


def _nested(estimates: dict[str, Estimate | None]) -> dict[str, Any]:
    """Plain data, with `budget_spent.x` under `budget_spent`."""
    entry: dict[str, Any] = {"budget_spent": {}}
    for name, estimate in estimates.items():
        value = None if estimate is None else estimate.document
        outer, _, inner = name.partition(".")
        if inner:
            entry[outer][inner] = value
        else:
            entry[name] = value
    return entry


def best_strategy(compared: Comparison) -> str:
    """The name of the best strategy, as `verdict` says."""
    caught: dict[str, FloatArray] = {}
    for name, columns in compared.columns.items():
        mine = stopped(columns).astype(float)
        caught[name] = -mine if compared.twin is None else mine - stopped(compared.twin.columns[name])
    names = _leading(caught, list(compared.columns))
    names = _leading({name: -compared.columns[name]["bad_requests"] for name in names}, names)
    plans = compared.scenario.strategies
    return min(names, key=lambda name: plans[name].plan.time_to_full if name in plans else 0.0)


def _leading(scores: Mapping[str, FloatArray], names: Sequence[str]) -> list[str]:
    """The one with the highest mean, and those whose paired difference to it could be none."""
    best = max(names, key=lambda name: float(scores[name].mean()))
    found = []
    for name in names:
        apart = difference(scores[name], scores[best])
        if name == best or apart is None or apart.high is None or apart.high >= 0:
            found.append(name)
    return found
