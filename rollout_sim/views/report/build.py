"""Report: everything that the page says about one scenario, simulated."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import RATES, check_size, choose_engine
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import Progress, part_of, simulate_each
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.comparison import Comparison, compare
from rollout_sim.study.recommend.hypotheses import hypotheses_of
from rollout_sim.study.recommend.search import Recommendation, default_goal, default_risk, recommend
from rollout_sim.study.sensitivity import Sensitivity, sensitivity

MOST: Final = 10_000
FEWEST: Final = 20
CELL: Final = 1_000
"""Replications of a comparison at most and at least, and of a severity at most."""
SECONDS: Final = 10.0
"""What the comparison is meant to take at most, and so is the sensitivity, by the planes' nominal speed."""
PER_PLACE, PER_BATCHED, PER_RUN = 5e-8, 3e-6, 0.02
"""Nominal seconds: of a period of a target, of a replication and of a run."""
SEARCHABLE: Final = 4_000.0
"""Periods x targets up to which a recommendation takes seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run per strategy, the comparison, and what is recommended.

    `recommended` is the recommended strategy in the scenario as described. Where something was left out, `why_not` says why:
    by `recommendation` and `sensitivity`. `command` makes the same page again.
    """

    scenario: Scenario
    seed: int
    command: str
    runs: tuple[RunResult, ...]
    compared: Comparison
    found: Recommendation | None
    recommended: Comparison | None
    sensitivity: Sensitivity | None
    why_not: dict[str, str]


def make_report(
    path: Path,
    *,
    strategies: Sequence[str] = (),
    replications: int | None = None,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Simulates what the page of the scenario in `path` needs.

    Without `replications` as many as the plane manages in seconds by its nominal speed, so that the number, and with it
    every figure, is the same on all machines. `progress` is called with the share that is done. Raises ScenarioError
    for what cannot be run.
    """
    scenario = Scenario.load(path)
    command = _command(path, strategies, replications, seed, engine)
    seed = scenario.seed if seed is None else seed
    count = replications or affordable(scenario, engine, len(strategies or scenario.strategies) or 1, MOST)
    single = replace(scenario, engine=engine or scenario.engine)
    if single.engine == "aggregate":  # it has no single runs to look at
        single = replace(single, engine="auto")
    runs = tuple(simulate_each(single, strategies, seed=seed, progress=part_of(progress, 0.0, 0.25)))
    compared = compare(
        scenario, count, strategies, seed=seed, engine=engine, jobs=jobs, progress=part_of(progress, 0.25, 0.5)
    )
    why_not: dict[str, str] = {}
    found = chosen = recommended = None
    if reason := _unsearchable(scenario, path, engine):
        why_not["recommendation"] = reason
    else:
        found = recommend(scenario, seed=seed, engine=engine, jobs=jobs, progress=part_of(progress, 0.5, 0.85))
        if found.winner is not None:
            chosen = found.chosen_scenario
            recommended = compare(chosen, count, seed=seed, engine=engine, jobs=jobs)
    varied = None
    if scenario.new is None:
        why_not["sensitivity"] = "nothing is rolled out, so there is nothing that could be more or less bad"
    else:
        cells = min(count, affordable(scenario, engine, 6 * (len(strategies or scenario.strategies) or 1), CELL))
        varied = sensitivity(
            scenario, chosen, cells, strategies,
            coarse=compared.plane.engine != "aggregate", seed=seed, engine=engine, jobs=jobs, progress=part_of(progress, 0.85, 1.0),
        )  # fmt: skip
    return Report(
        scenario=scenario, seed=seed, command=command, runs=runs, compared=compared, found=found, recommended=recommended,
        sensitivity=varied, why_not=why_not,
    )  # fmt: skip


def affordable(scenario: Scenario, engine: Engine | None, strategies: int, most: int) -> int:
    """Replications of so many strategies, with their good twins, that take about `SECONDS` at the plane's nominal speed."""
    plane = choose_engine(scenario, engine)
    if plane.engine == "aggregate":
        each = PER_BATCHED + PER_PLACE * _places(scenario)
    else:
        each = PER_RUN + check_size(scenario) / RATES[plane.engine]
    count = int(min(max(SECONDS / (2 * strategies * each), FEWEST), most))
    digits: int = 10 ** (len(str(count)) - 1)
    return count // digits * digits


def _places(scenario: Scenario) -> float:
    return len(scenario.targets) * scenario.horizon / scenario.resolution


def _unsearchable(scenario: Scenario, path: Path, engine: Engine | None) -> str:
    """Why no recommendation is made here; empty where one is."""
    if scenario.rollout is None:
        return "nothing is rolled out"
    if not scenario.rollout.alarms:
        return "no alarm watches the rollout, and a recommendation starts from one"
    if not scenario.slos:
        return "the scenario has no SLO, which says what requests are bad"
    if scenario.slos[0].alias not in (None, scenario.alias):
        return f"the first SLO is not about the alias {scenario.alias} that the rollout moves"
    hypotheses = hypotheses_of(
        scenario, scenario.goal or default_goal(scenario), scenario.risk or default_risk(scenario)
    )
    try:
        planes = [choose_engine(hypothesis.scenario, engine) for hypothesis in hypotheses.values()]
    except ScenarioError as error:
        return "; ".join(error.problems)
    slow = next((plane.reason for plane in planes if plane.engine != "aggregate"), "")
    if not slow and _places(scenario) > SEARCHABLE:
        slow = "the horizon is long"
    if not slow:
        return ""
    return f"a search takes minutes here ({slow}); rollout-sim recommend {shlex.quote(_shown(path))} makes it"


def _command(
    path: Path, strategies: Sequence[str], replications: int | None, seed: int | None, engine: Engine | None
) -> str:
    """The command as it was given."""
    words = ["rollout-sim", "report", _shown(path)]
    for name in strategies:
        words += ["--strategy", name]
    for option, value in (("--seed", seed), ("--replications", replications), ("--engine", engine)):
        words += [] if value is None else [option, str(value)]
    return shlex.join(words)


def _shown(path: Path) -> str:
    """The path as it was given, without the folders of this machine where it was absolute."""
    return path.name if path.is_absolute() else path.as_posix()
