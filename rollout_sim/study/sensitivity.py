"""Sensitivity: how often each strategy stops the new version, against how bad it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout_sim.core import units
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import Fault
from rollout_sim.run.simulate import Progress
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.grid import SEVERITY_UNITS, Severity, SeverityAxis
from rollout_sim.study.sweep import Sweep, sweep

SHARES: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Error rates, and shares of what fails otherwise, that are tried."""
FACTORS: Final = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 8.0)
"""Slowdowns that are tried; what a fault adds to a duration is tried in multiples of these less one."""
COARSE: Final = 2
"""Every so many of these, where each invocation is simulated."""
NEAR: Final = 1.35
"""A value that is no further than this factor from the file's gives way to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The strategies of a scenario over severities of a fault of its new version."""

    swept: Sweep
    """The scenario's strategies; `SeverityAxis` says in which unit the severities are."""
    recommended: Sweep | None
    """The recommended strategy over the same severities, if there is one."""
    described: float | None
    """The scenario's own severity, None where it has no such fault: errors are put on top of what it describes."""

    @property
    def axis(self) -> SeverityAxis:
        """The severities."""
        (axis,) = self.swept.axes
        assert isinstance(axis, SeverityAxis)
        return axis

    @property
    def described_label(self) -> str | None:
        """The scenario's own severity as text."""
        return None if self.described is None else self.axis.labels[self.axis.values.index(self.described)]


def severity_axis(scenario: Scenario, *, coarse: bool) -> tuple[SeverityAxis, float | None]:
    """What is varied of the new version: its first fault of a share or of latency, else errors that are added.

    Returns the axis and the scenario's own severity, which is one of its values (None where errors are added). With
    `coarse` there are half as many values. Raises ScenarioError without a new version.
    """
    new = scenario.new
    if new is None:
        raise ScenarioError([f"{scenario.name}: rollout.to: severities need a new version, got none"])
    faults = scenario.function.versions[new].faults
    for kind in ("errors", "crash", "hang", "responses", "latency"):
        for position, fault in enumerate(faults):
            if fault.kind == kind:
                severity, described = _severity_of(fault)
                values = _around(severity, described, coarse=coarse)
                return _axis(new, position, severity, values), described
    return _axis(new, len(faults), "errors", (0.0, *_thinned(SHARES, coarse=coarse))), None


def sensitivity(
    scenario: Scenario,
    recommended: Scenario | None,
    replications: int,
    strategies: Sequence[str] = (),
    *,
    coarse: bool = False,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Sensitivity:
    """The sweep over severities of the `strategies` (all by default), and of the `recommended` scenario's one.

    `replications` are those of each severity; `coarse` halves the number of severities. Raises ScenarioError for what
    cannot be run.
    """
    axis, described = severity_axis(scenario, coarse=coarse)
    options: dict[str, Any] = {"seed": seed, "engine": engine, "jobs": jobs, "twin": False}
    swept = sweep(scenario, [axis], replications, strategies, progress=progress, **options)
    beside = None
    if recommended is not None:
        axis, _ = severity_axis(recommended, coarse=coarse)
        beside = sweep(recommended, [axis], replications, **options)
    return Sensitivity(swept=swept, recommended=beside, described=described)


def _severity_of(fault: Fault) -> tuple[Severity, float]:
    """What is bad about a fault of errors, crashes, hangs, failed responses or latency, and how much."""
    kinds: tuple[Severity, ...] = ("errors", "crash", "hang", "responses")
    for kind in kinds:
        if (share := getattr(fault, kind)) is not None:
            return kind, share
    assert fault.latency is not None
    return ("factor", fault.latency.factor) if fault.latency.factor != 1 else ("delay", fault.latency.add)


def _around(severity: Severity, described: float, *, coarse: bool) -> tuple[float, ...]:
    """The values that are tried, rising, the scenario's own and none at all among them."""
    ladder: Sequence[float] = SHARES
    if severity == "factor":
        ladder = FACTORS[1:]
    elif severity == "delay":
        ladder = tuple(described * (factor - 1) for factor in FACTORS[1:])
    near = [value for value in _thinned(ladder, coarse=coarse) if not described / NEAR < value < described * NEAR]
    none = FACTORS[0] if severity == "factor" else 0.0
    return tuple(sorted({none, described, *near}))


def _thinned(ladder: Sequence[float], *, coarse: bool) -> Sequence[float]:
    return ladder[:: COARSE if coarse else 1]


def _axis(version: str, position: int, severity: Severity, values: tuple[float, ...]) -> SeverityAxis:
    labels = tuple(units.text(value, SEVERITY_UNITS[severity]) for value in values)
    return SeverityAxis(version=version, position=position, severity=severity, values=values, labels=labels)
