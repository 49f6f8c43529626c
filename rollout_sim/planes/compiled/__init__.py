"""The compiled plane: the model of `simpy_plane` as one loop compiled by Numba, equal to it in every bit.

The plane (`plane`), the loop (`kernel`), its state in arrays (`state`), environments, queue of events and requests
(`environments`, `queue`, `requests`), what draws the random variates ahead (`feed`), and Numba (`jit`).
Begin with `kernel`.
"""

from __future__ import annotations

import importlib.util
from typing import Final

from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.core.streams import Streams
from rollout_sim.planes.base import DataPlane, PlaneSpec
from rollout_sim.scenario.scenario import Scenario

WORTH_RUNNING: Final = 2_000
"""Expected invocations of a run from which on this plane is the faster one in a study."""
WORTH_LOADING: Final = 20_000
WORTH_COMPILING: Final = 10_000_000
"""Expected invocations in all from which on it is taken: when the kernel is compiled already, and when not."""


def _missing() -> str:
    return "" if _installed() else "Numba; pip install numba brings it"


def _installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def _ready() -> bool:
    """Whether the kernel is compiled already."""
    from rollout_sim.planes.compiled.kernel import compiled_before

    return compiled_before()


def _against(expected: float, runs: int) -> str:
    if runs > 1 and expected < WORTH_RUNNING:
        return "runs are too small for the compiled plane"
    if not _installed():
        return "Numba is not installed"
    if expected * runs < WORTH_LOADING:
        return "too small to be worth loading the compiled kernel"
    if expected * runs < WORTH_COMPILING and not _ready():
        return "too small to be worth compiling the kernel, which is not cached yet"
    return ""


def _advantage() -> str:
    if _ready():
        return "equal to the simpy plane, invocation by invocation"
    return "equal to the simpy plane; the kernel was compiled first, which takes half a minute, once"


def _single_run(
    scenario: Scenario, streams: Streams, metrics: Metrics, requests: RequestCounts, *, keep: float, events: bool
) -> DataPlane:
    from rollout_sim.planes.compiled.plane import CompiledPlane

    return CompiledPlane(scenario, streams, metrics, requests, keep=keep, events=events)


SPEC: Final = PlaneSpec(
    engine="compiled", speed=3_000_000, single_run=_single_run, against=_against, advantage=_advantage, missing=_missing
)
