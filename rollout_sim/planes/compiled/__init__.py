"""The compiled plane: the model of `simpy_plane` as one loop compiled by Numba, equal to it in every bit.

The plane (`plane`), the loop (`kernel`), its state in arrays (`state`), environments, queue of events, attempts and requests
(`environments`, `queue`, `invocations`, `requests`), queues and streams (`pollers`, `records`, in arrays `polls`), what draws the
random variates ahead (`feed`) and their generators (`sfc64`), Numba (`jit`), and where its code is kept (`cache`).
Begin with `kernel`.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from typing import Final

from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.planes.base import DataPlane, PlaneSpec, SideBySide
from rollout_sim.planes.compiled import cache
from rollout_sim.planes.draws import COLUMNS, RETRY_SLOTS, expected_counts, later_attempts
from rollout_sim.scenario.scenario import Scenario

WORTH_RUNNING: Final = 2_000
"""Expected invocations of a run from which on this plane is the faster one in a study."""
WORTH_LOADING: Final = 20_000
"""Expected invocations of a study, or of each run that is looked at, from which on loading the compiled kernel takes less time."""
WORTH_COMPILING: Final = 1_500_000
"""Expected invocations in all, which take the SimPy plane as long as the compiler takes: where the kernel is not compiled yet."""

LARGEST: Final = 16
"""Replications that go forward together at most: more of them save nothing."""
MEMORY: Final = 1 << 28
"""Bytes for their draws."""
MOST_KEPT: Final = 1 << 26
"""Bytes of draws of one replication that are kept for all strategies; where there are more, each strategy draws its own."""


def _missing() -> str:
    return "" if _installed() else "Numba; pip install numba brings it"


def _installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def _ready(scenario: Scenario) -> bool:
    """Whether the kernel is compiled already; on a machine that has none, Numba is not loaded to say so."""
    if cache.is_empty():
        return False
    from rollout_sim.planes.compiled.kernel import ready

    return ready(polled=scenario.polled)


def _against(scenario: Scenario, expected: float, runs: int, study: bool) -> str:
    if study and expected < WORTH_RUNNING:
        return "runs are too small for the compiled plane"
    if not _installed():
        return "Numba is not installed"
    if expected * (runs if study else 1) < WORTH_LOADING:
        return "too small to be worth loading the compiled kernel"
    if expected * runs < WORTH_COMPILING and not _ready(scenario):
        return "too small to be worth compiling the kernel, which is not cached yet"
    return ""


def _advantage(_: Scenario) -> str:
    return "equal to the simpy plane, invocation by invocation"


def _single_run(
    scenario: Scenario, streams: Streams, metrics: Metrics, requests: RequestCounts, *, keep: float, events: bool
) -> DataPlane:
    from rollout_sim.planes.compiled.feed import spare_core
    from rollout_sim.planes.compiled.plane import CompiledPlane, Replications

    shared = Replications(scenario, [streams])
    return CompiledPlane(shared, metrics, requests, keep=keep, events=events, ahead=spare_core())


def _side_by_side(scenario: Scenario, replications: Sequence[Streams], strategies: int) -> SideBySide:
    from rollout_sim.planes.compiled.plane import Replications

    blocks = [math.ceil(count / BLOCK) + 2 for count in expected_counts(scenario)]
    keeps = max(blocks) if sum(blocks) * _block_bytes(scenario) <= MOST_KEPT else 0
    return Replications(scenario, replications, strategies, keeps=keeps)


def _together(scenario: Scenario, expected: float) -> int:
    """A power of two of replications."""
    first = min((expected / BLOCK + 2 * len(scenario.traffic)) * _block_bytes(scenario), MOST_KEPT)
    later = RETRY_SLOTS * _block_bytes(scenario) if later_attempts(scenario) else 0
    return 1 << max(0, min(LARGEST, math.floor(MEMORY / (first + later))).bit_length() - 1)


def _block_bytes(scenario: Scenario) -> int:
    """What a block of draws takes: when invocations come, their users, their uniforms, and their times on each version."""
    return 8 * BLOCK * (2 + COLUMNS + 2 * len(scenario.function.versions))


SPEC: Final = PlaneSpec(
    engine="compiled",
    speed=8_000_000,
    single_run=_single_run,
    side_by_side=_side_by_side,
    together=_together,
    against=_against,
    advantage=_advantage,
    ready=_ready,
    missing=_missing,
)
