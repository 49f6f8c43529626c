"""Which data plane runs a scenario, and why: the fastest one that is exact, and worth loading.

`choose_engine` is the only place that decides. It is asked once, and its `EngineChoice` is handed down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from rollout_sim.errors import ScenarioError
from rollout_sim.planes import aggregate, compiled, simpy_plane
from rollout_sim.planes.base import PlaneSpec
from rollout_sim.planes.draws import expected_counts
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine

PLANES: Final[dict[str, PlaneSpec]] = {
    spec.engine: spec
    for spec in sorted((aggregate.SPEC, compiled.SPEC, simpy_plane.SPEC), key=lambda spec: -spec.speed)
}
"""All planes by the names of their engines, the fastest first; the last one runs everything."""
MAX_WAIT: Final = 86_400.0
"""Seconds of computing, by a plane's nominal speed, that nobody waits for any more."""
MAX_COUNTS: Final = 20_000_000
"""Periods x targets x runs whose counts fit into memory."""
MAX_EVENTS: Final = 5_000_000
"""Invocations that can be kept one by one (about 500 bytes each)."""
STUDY: Final = 600
"""Runs that a study has where nobody says how many, for deciding whether a plane is worth its start."""
LARGEST_BATCH: Final = 1024
"""Replications of one batch at most."""
PHASED: Final = 4
"""How many times as many where the phase is drawn, which cuts a batch into sixteen."""
BATCH_COUNTS: Final = 1 << 23
"""Replications x targets x periods of one batch at most: what bounds the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Which plane runs, why, and how many replications it takes at a time."""

    engine: Engine
    reason: str
    batch: int


def choose_engine(
    scenario: Scenario, engine: Engine | None = None, *, single: bool = False, runs: int = 1, events: bool = False
) -> EngineChoice:
    """The plane that `engine` (by default the scenario's) stands for.

    `auto` is the fastest plane that is exact for the scenario, installed, and worth its start. `single` asks for runs that
    are looked at one by one, so many `runs` in all, with all their `events` kept or not; otherwise for a study of many
    replications. Raises ScenarioError where the plane that is asked for is not exact, not installed or has no single runs,
    and where the runs are too large.
    """
    asked: Engine = engine or scenario.engine
    if asked not in ("auto", *PLANES):
        allowed = ", ".join(["auto", *PLANES])
        raise ScenarioError([f"{scenario.name}: engine: choose one, got {asked!r}; allowed {allowed}"])
    expected = check_size(scenario, asked, runs=runs, events=events) if single else math.nan
    if asked != "auto":
        return _asked_for(scenario, PLANES[asked], single=single)
    reasons: list[str] = []
    for plane in PLANES.values():
        if single and plane.single_run is None:
            continue
        if inexact := plane.exact_for(scenario):
            reasons.append(f"{plane.engine} would not be exact: {'; '.join(inexact)}")
            continue
        if plane.single_run is not None and math.isnan(expected):
            expected = check_size(scenario, asked)
        if against := plane.against(scenario, expected, runs if single else STUDY, not single):
            reasons.append(against)
            continue
        if advantage := plane.advantage(scenario):
            reasons.append(advantage)
        return EngineChoice(engine=plane.engine, reason="; ".join(reasons), batch=_batch(scenario, plane))
    raise AssertionError("the last plane runs everything")


def check_size(scenario: Scenario, engine: Engine | None = None, *, runs: int = 1, events: bool = False) -> float:
    """Expected invocations of one run of `scenario`, on the plane of `engine` (by default the scenario's).

    Raises ScenarioError where so many `runs` would take longer than a day, or their counts, and with `events` their
    invocations, do not fit into memory.
    """
    expected = sum(expected_counts(scenario))
    able = [plane for plane in PLANES.values() if plane.single_run is not None and not plane.missing()]
    plane = next((plane for plane in able if plane.engine == (engine or scenario.engine)), able[0])
    wait = expected * runs / plane.speed
    if wait > MAX_WAIT:
        problem = (
            f"{scenario.name}: about {expected * runs:.3g} invocations ({expected:.3g} in each of {runs} runs) would "
            f"take {wait / 86400:.3g} days on the {plane.engine} plane; allowed {MAX_WAIT * plane.speed:.3g}. "
            "Lower the rate or the horizon"
        )
        raise ScenarioError([problem])
    if events and expected * runs > MAX_EVENTS:
        problem = f"{scenario.name}: about {expected * runs:.3g} invocations are too many to keep (--events)"
        raise ScenarioError(
            [f"{problem}; allowed {MAX_EVENTS:.3g}. Choose one strategy, or lower the rate or the horizon"]
        )
    _check_counts(scenario, runs)
    return expected


def _check_counts(scenario: Scenario, runs: int) -> None:
    """Raises ScenarioError where the counts of so many `runs` at a time do not fit into memory."""
    counts = _counts(scenario) * runs
    if counts > MAX_COUNTS:
        problem = (
            f"{scenario.name}: horizon {scenario.horizon:g} s in periods of {scenario.resolution:g} s for "
            f"{len(scenario.targets)} targets in {runs} runs makes {counts:.3g} counts; allowed {MAX_COUNTS:.3g}"
        )
        raise ScenarioError([problem])


def _asked_for(scenario: Scenario, plane: PlaneSpec, *, single: bool) -> EngineChoice:
    """The choice where the scenario or the command line names the plane."""
    where = f"{scenario.name}: engine: {plane.engine}"
    if single and plane.single_run is None:
        allowed = ", ".join(
            ["auto", *(other.engine for other in reversed(PLANES.values()) if other.single_run is not None)]
        )
        raise ScenarioError([f"{where} draws counts for compare and sweep, not single runs; allowed {allowed}"])
    if missing := plane.missing():
        raise ScenarioError([f"{where} needs {missing}"])
    if inexact := plane.exact_for(scenario):
        exact = [
            other.engine for other in reversed(PLANES.values()) if not (other.missing() or other.exact_for(scenario))
        ]
        raise ScenarioError([f"{where} is not exact here: {'; '.join(inexact)}; allowed {', '.join(exact)}"])
    reason = plane.asked_for if single or plane.single_run is None else "asked for"
    return EngineChoice(engine=plane.engine, reason=reason, batch=_batch(scenario, plane))


def _batch(scenario: Scenario, plane: PlaneSpec) -> int:
    """How many replications the plane takes at a time: a power of two that memory bounds, or 1.

    Where the phase is drawn only the replications of one phase are held at a time, so a batch has more of them.
    Raises ScenarioError where not even one fits.
    """
    more = PHASED if scenario.phase_is_drawn else 1
    if plane.single_run is not None:
        most = min(BATCH_COUNTS / max(_counts(scenario), 1), plane.together(scenario, sum(expected_counts(scenario))))
        return more << max(0, math.floor(most).bit_length() - 1)
    _check_counts(scenario, 1)
    most = math.floor(BATCH_COUNTS / _counts(scenario))
    return more << max(0, min(LARGEST_BATCH, most).bit_length() - 1)


def _counts(scenario: Scenario) -> float:
    """Periods x targets of one run."""
    return len(scenario.targets) * scenario.horizon / scenario.resolution
