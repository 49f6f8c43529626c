"""Report: one page about a scenario's rollouts, for whoever has to decide: the answer first, then what it rests on."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rollout_sim.comparison import Comparison, approximations, compare
from rollout_sim.document import Document
from rollout_sim.errors import ScenarioError
from rollout_sim.recommendation import Recommendation, recommend
from rollout_sim.replications import plane_of, rates_of
from rollout_sim.scenario import Engine, Scenario
from rollout_sim.simulation import simulate_each
from rollout_sim.tables import interval_of, shares
from rollout_sim.units import show_duration, text

if TYPE_CHECKING:
    from rollout_sim.result import RunResult
    from rollout_sim.sweeps import Sweep

Progress = Callable[[float], None]

SEVERITIES: Final = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0)
"""How bad the version is in the sensitivity, as multiples of the file's own fault."""
PACKAGES: Final = ("rollout-sim", "numpy", "scipy", "simpy", "matplotlib")
OFTEN: Final = 0.05
"""A good version that is stopped more often than this is worth a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the page is made of; `swept` and `recommended` are None where `omitted` says why."""

    path: Path
    scenario: Scenario
    comparison: Comparison
    results: tuple[RunResult, ...]
    swept: Sweep | None
    recommended: Recommendation | None
    omitted: tuple[str, ...]
    command: str

    @property
    def question(self) -> str:
        """What is to be decided."""
        given = self.scenario
        assert given.rollout is not None
        watched = ", ".join(given.rollout.alarms) or "no alarm"
        return (
            f"The alias {given.rollout.alias} of {given.function.name} is to move from version {given.old} to version "
            f"{given.new}, at {rates_of(given)[given.alias]:.4g} requests a second, watched by {watched}. "
            f"Which of {len(self.comparison.columns)} rollouts?"
        )

    @property
    def answer(self) -> list[str]:
        """The strategy of the file that costs the fewest bad requests, in sentences with intervals."""
        compared = self.comparison
        bad = {name: compared.estimates(name)["bad_requests"] for name in compared.columns}
        known = {name: one for name, one in bad.items() if one is not None}
        best = min(known, key=lambda name: known[name].mean)
        first, found = known[best], compared.estimates(best)
        within = show_duration(self.scenario.horizon)
        cost = interval_of(first.mean, first.low, first.high)
        said = [
            f"Of the {len(known)} rollouts in the file, {best} costs the fewest bad requests: {cost} within {within}."
        ]
        stops = f"It stops version {self.scenario.new} in {shares(found['stopped'])} of the rollouts"
        if compared.twin is None:
            said.append(f"{stops}.")
        else:
            good = compared.twin.estimates(best)["stopped"]
            said.append(f"{stops}, and would stop a good version in {shares(good)}.")
            if good is not None and good.low is not None and good.low > OFTEN:
                said.append("That is often: look at the alarm before the strategy.")
        near = [
            name
            for name, one in known.items()
            if name != best and one.low is not None and first.high is not None and one.low <= first.high
        ]
        if near:
            said.append(f"The figures cannot tell it from {', '.join(near)}.")
        return said

    @property
    def assumptions(self) -> list[str]:
        """What the figures assume beyond the file."""
        compared = self.comparison
        plane = f"Drawn on the {compared.plane.engine} plane: {compared.plane.reason}."
        found = [f"{note[:1].upper()}{note[1:]}." for note in approximations(self.scenario, compared.plane)]
        return [plane, *found, *self.omitted]

    @property
    def versions(self) -> dict[str, str]:
        """The versions that made the page."""
        from importlib.metadata import version

        return {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def report(
    document: Document,
    *,
    replications: int | None = None,
    strategies: Sequence[str] = (),
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Compares the file's strategies, varies how bad the version is, searches for a better rollout, and runs each once.

    Raises ScenarioError for a scenario without a rollout, and for what cannot be run.
    """
    scenario = Scenario.parse(document)
    if scenario.rollout is None or not scenario.strategies:
        raise ScenarioError(
            [
                f"{document.path}: a report compares rollouts, and there is none; `rollout-sim run` describes a steady run"
            ]
        )
    steps = progress or (lambda _: None)
    seed = scenario.seed if seed is None else seed
    compared = compare(
        scenario, replications, strategies, seed=seed, engine=engine, jobs=jobs,
        progress=lambda done: steps(0.4 * done),
    )  # fmt: skip
    omitted: list[str] = []
    swept = _sensitivity(document, compared, strategies, seed, engine, jobs, omitted)
    steps(0.6)
    found = _search(scenario, seed, engine, jobs, omitted)
    steps(0.85)
    shown = replace(scenario, engine="auto") if scenario.engine == "aggregate" else scenario
    results = tuple(simulate_each(shown, tuple(compared.columns), seed=seed))
    steps(1.0)
    options = [f"--replications {compared.replications}", f"--seed {seed}"]
    options += [f"--engine {engine}"] if engine else []
    options += [f"--strategy {shlex.quote(name)}" for name in strategies]
    return Report(
        path=document.path, scenario=scenario, comparison=compared, results=results, swept=swept, recommended=found,
        omitted=tuple(omitted),
        command=f"rollout-sim report {shlex.quote(str(document.path))} {' '.join(options)}",
    )  # fmt: skip


def _sensitivity(
    document: Document,
    compared: Comparison,
    strategies: Sequence[str],
    seed: int,
    engine: Engine | None,
    jobs: int,
    omitted: list[str],
) -> Sweep | None:
    """The same strategies for a better and a worse version, in a fifth of the comparison's replications each."""
    from rollout_sim.axes import chosen_axes
    from rollout_sim.sweeps import sweep

    scenario = compared.scenario
    assert scenario.new is not None
    own = next((fault.errors for fault in scenario.function.versions[scenario.new].faults if fault.errors), None)
    if own is None:
        omitted.append(f"No sensitivity to the severity: version {scenario.new} of the file has no fault of `errors`.")
        return None
    values = dict.fromkeys(text(round(min(1.0, own * times), 6), "share") for times in SEVERITIES)
    varied, axes = chosen_axes(document, severity=",".join(values), strategies=strategies)
    count = max(10, compared.replications // 5)
    return sweep(varied, axes, count, tuple(strategies), seed=seed, engine=engine, jobs=jobs)


def _search(
    scenario: Scenario, seed: int, engine: Engine | None, jobs: int, omitted: list[str]
) -> Recommendation | None:
    """What `recommend` says, where whole periods can be drawn: elsewhere the search takes minutes."""
    plane = plane_of(scenario, engine)
    if plane.engine != "aggregate":
        omitted.append(
            f"No search for a better rollout, which takes minutes here; `rollout-sim recommend` does it: {plane.reason}."
        )
        return None
    try:
        return recommend(scenario, seed=seed, engine=engine, jobs=jobs)
    except ScenarioError as error:
        omitted.append(f"No search for a better rollout: {'; '.join(error.problems)}.")
        return None
