"""Replications: how many a study has where nobody says, by what a run nominally costs and never by a clock.

The number, and with it every figure, is the same on all machines. There are two models of what a run nominally takes:

    `nominal_seconds`   one constant, and what its plane simulates: for the default number of replications of a comparison, and for
                        whether work is worth sharing
    `nominal_cost`      that of a batch, of a run in it, and of what all strategies share: for the stages of `recommend`, whose
                        batches are small, so that the steps of the control plane are most of what they cost

The second is closer to the clock. The first stays because figures hang on it: a comparison that is run without `--replications` has
other replications if the model changes. By the second one three of the shipped scenarios would: `quiet-service` 2,000 instead of
10,000, `nightly-report` 200 instead of 500, `image-resize` 500 instead of 400.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from rollout_sim.planes.draws import expected_counts
from rollout_sim.planes.selection import PLANES, EngineChoice, check_size
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.executor import affordable

MOST: Final = 10_000
FEWEST: Final = 20
"""Replications at most and at least."""
SECONDS: Final = 10.0
"""What a study is meant to take, by the planes' nominal speed."""
ENOUGH, PATIENCE = 400, 100.0
"""Replications that tell most strategies apart, and the nominal seconds at most that a comparison takes to have as many.

Its runs share draws and a past, which no nominal speed knows of: half a minute on two cores.
"""

# By `nominal_seconds`:
PER_COUNT, PER_BATCHED, PER_RUN = 5e-8, 3e-6, 0.002
"""Nominal seconds: of a period of a target and of a replication on the aggregate plane, and of a run on the others."""

# By `nominal_cost`:
PER_STEP: Final = 1.2e-4
"""Nominal seconds of the control plane in a period of a batch."""
PER_DRAWN, PER_SIMULATED = 2.5e-7, 1e-3
"""Beside that, of a period of a target of a replication on the aggregate plane, and of a run on the others."""
PER_ARRIVAL, PER_WARPED = 3e-8, 1.5e-7
"""Of an arrival's draws, and beside that of one whose time follows from a rate that swings."""


def nominally_affordable(
    scenario: Scenario, plane: EngineChoice, runs: int, most: int = MOST, *, seconds: float = SECONDS
) -> int:
    """Replications, each of so many `runs` (strategies, with their good twins), that take so many `nominal_seconds`.

    From `FEWEST` to `most`, rounded down to one digit.
    """
    return affordable(seconds, runs * _seconds_of_a_run(scenario, plane), fewest=FEWEST, most=most)


def compared_by_default(scenario: Scenario, plane: EngineChoice, runs: int) -> int:
    """Replications of a comparison: those of `SECONDS`, but up to `ENOUGH` as many as `PATIENCE` has room for."""
    patient = nominally_affordable(scenario, plane, runs, ENOUGH, seconds=PATIENCE)
    return max(nominally_affordable(scenario, plane, runs), patient)


def nominal_seconds(scenario: Scenario, plane: EngineChoice, runs: int) -> float:
    """What so many runs nominally take (s) on one core, by the model that the default number of replications follows."""
    return runs * _seconds_of_a_run(scenario, plane)


def _seconds_of_a_run(scenario: Scenario, plane: EngineChoice) -> float:
    """By the same model, as if nothing were shared and no batch had a beginning."""
    if plane.engine == "aggregate":
        return PER_BATCHED + PER_COUNT * counts_of(scenario)
    return PER_RUN + check_size(scenario) / PLANES[plane.engine].speed


@dataclass(frozen=True, slots=True, kw_only=True)
class NominalCost:
    """What one core nominally takes (s) for a strategy, by the model that stages of a search follow: measured on the shipped ones."""

    batch: float
    """For a batch of its replications. In small ones most of it is the control plane, a step each period."""
    run: float
    """Beside that for each replication."""
    shared: float
    """Of each replication once for all strategies that are simulated together: its draws, and what comes before the rollout."""


def nominal_cost(scenario: Scenario, plane: EngineChoice) -> NominalCost:
    """What a strategy of the scenario nominally costs on a plane, until the scenario's horizon."""
    per_batch = PER_STEP * scenario.horizon / scenario.resolution
    if plane.engine == "aggregate":
        return NominalCost(batch=per_batch, run=PER_DRAWN * counts_of(scenario), shared=0.0)
    counts = expected_counts(scenario)
    warped = [
        count for source, count in zip(scenario.traffic, counts, strict=True) if source.arrivals.diurnal is not None
    ]
    simulated = math.fsum(counts) / PLANES[plane.engine].speed
    if PLANES[plane.engine].side_by_side is None:
        return NominalCost(batch=per_batch, run=PER_SIMULATED + simulated + math.fsum(warped) * PER_WARPED, shared=0.0)
    drawn = math.fsum(counts) * PER_ARRIVAL  # of what a run takes by itself
    past = (simulated - drawn) * min(scenario.start / scenario.horizon, 1.0)
    shared = drawn + past + math.fsum(warped) * PER_WARPED
    return NominalCost(batch=per_batch, run=PER_SIMULATED + simulated - drawn - past, shared=shared)


def counts_of(scenario: Scenario) -> float:
    """Periods x targets of one replication."""
    return len(scenario.targets) * scenario.horizon / scenario.resolution
