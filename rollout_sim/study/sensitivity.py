"""Sensitivity: how often each strategy stops the new version, against how bad it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rollout_sim.core import units
from rollout_sim.core.yaml_io import YamlDocument
from rollout_sim.run.simulate import Progress
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.grid import Axis, severities
from rollout_sim.study.sweep import Sweep, sweep

SHARES: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Error rates, and shares of crashes, that are tried."""
FACTORS: Final = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0)
"""Slowdowns that are tried; what a fault adds to a duration is tried in multiples of these less one."""
COARSE: Final = 2
"""Every so many of these, where each invocation is simulated."""
NEAR: Final = 1.35
"""A value that is no further than this factor from the file's gives way to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The file's strategies over severities, the recommended one beside them, and the file's own severity, if it has one.

    `added` says that the file has no such fault: errors were put on top of what it describes.
    """

    swept: Sweep
    recommended: Sweep | None
    own: str | None
    added: bool


def severity_axis(scenario: Scenario, path: Path, *, coarse: bool) -> tuple[YamlDocument, Axis, str | None]:
    """What is varied of the new version: its first fault of errors, crashes or latency, else errors that are added.

    Returns the resolved scenario as a document, the axis, and the file's own severity (None where errors are added).
    Raises ScenarioError without a new version.
    """
    document = YamlDocument(
        data=json.loads(json.dumps(scenario.dump())), lines={}, path=path
    )  # with lists, as a file has
    faults = document.data["function"]["versions"].get(scenario.new or "", {}).get("faults", ())
    for kind in ("errors", "crash", "latency"):
        for k, fault in enumerate(faults):
            if kind in fault:
                where = ("function", "versions", str(scenario.new), "faults", k, kind)
                own = str(fault[kind])
                removes = None if kind == "latency" else "0%"
                axis = Axis(name="severity", path=where, values=_around(own, coarse=coarse), removes=removes)
                return document, axis, own
    changed, axis = severities(document, ",".join(_texts((0.0, *_thinned(SHARES, coarse=coarse)), "share")))
    return changed, axis, None


def sensitivity(
    scenario: Scenario,
    recommended: Scenario | None,
    path: Path,
    replications: int,
    strategies: Sequence[str] = (),
    *,
    coarse: bool = False,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Sensitivity:
    """The sweep over severities of the file's strategies and of the `recommended` scenario's one.

    Raises ScenarioError for what cannot be run.
    """
    document, axis, own = severity_axis(scenario, path, coarse=coarse)
    options: dict[str, Any] = {"seed": seed, "engine": engine, "jobs": jobs}
    swept = sweep(document, [axis], replications, strategies, progress=progress, **options)
    beside = None
    if recommended is not None:
        document, axis, _ = severity_axis(recommended, path, coarse=coarse)
        beside = sweep(document, [axis], replications, **options)
    return Sensitivity(swept=swept, recommended=beside, own=own, added=own is None)


def _around(own: str, *, coarse: bool) -> tuple[str, ...]:
    """The values that are tried, the file's own among them."""
    ladder: Sequence[float]
    if own.endswith("%"):
        kind, ladder = "share", SHARES
    elif own.endswith("x"):
        kind, ladder = "factor", FACTORS[1:]
    else:
        kind, step = "duration", units.parse(own, "duration")
        ladder = tuple(step * (factor - 1) for factor in FACTORS[1:])
    value = units.parse(own, kind)
    near = [one for one in _thinned(ladder, coarse=coarse) if not value / NEAR < one < value * NEAR]
    none = FACTORS[0] if kind == "factor" else 0.0
    return _texts(sorted({none, value, *near}), kind)


def _thinned(ladder: Sequence[float], *, coarse: bool) -> Sequence[float]:
    return ladder[:: COARSE if coarse else 1]


def _texts(values: Sequence[float], kind: str) -> tuple[str, ...]:
    return tuple(units.text(value, kind) for value in values)
