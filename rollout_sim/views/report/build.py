"""Report: everything that the page says about one scenario, simulated."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.run.batch import Samples
from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import Progress, choose_for_runs, part_of, simulate_each
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.comparison import Comparison, compare
from rollout_sim.study.executor import starting, worth_sharing
from rollout_sim.study.recommend.candidates import Candidate
from rollout_sim.study.recommend.recommendation import Recommendation
from rollout_sim.study.recommend.search import Search, prepare
from rollout_sim.study.replications import nominal_seconds, nominally_affordable
from rollout_sim.study.sensitivity import Sensitivity, sensitivity

CELL: Final = 1_000
"""Replications of a severity at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the page says about a scenario."""

    scenario: Scenario
    """The file's scenario."""
    seed: int
    """The seed of everything."""
    command: str
    """What makes the same page again."""
    runs: tuple[RunResult, ...]
    """One run of each strategy, on the same random numbers; the recommended one last, where it is not one of the file's."""
    compared: Comparison
    """The file's strategies over many replications, and of the good version."""
    shown: Comparison
    """The same with the recommended strategy as the last, under the name `chosen`."""
    chosen: str | None
    """What the recommended strategy is called in `shown` and `runs`; None without one."""
    recommendation: Recommendation | None
    """What the search came to; None where there was none, see `why_not`."""
    recommended: Comparison | None
    """The recommended strategy, with its own alarm, under the scenario's own faults; None without one."""
    sensitivity: Sensitivity | None
    """How often the strategies stop the version, over severities; None where nothing is rolled out."""
    why_not: dict[str, str]
    """Why there is no `recommendation` or `sensitivity`, under these keys."""
    jobs: int = 1
    """The processes that made it, and draw it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """The data planes that a report's page needs."""

    study: EngineChoice
    """That of the comparison, and of what is simulated beside it."""
    single: EngineChoice
    """That of the runs that are drawn one by one."""


def choose_planes(scenario: Scenario, strategies: Sequence[str] = (), engine: Engine | None = None) -> Planes:
    """The data planes of a report with the same arguments. Raises ScenarioError for what cannot be run."""
    study = choose_engine(scenario, engine)
    return Planes(study=study, single=choose_for_runs(_for_single_runs(scenario, engine), strategies))


def _for_single_runs(scenario: Scenario, engine: Engine | None) -> Scenario:
    """The scenario with the engine of its single runs: the aggregate plane has none to look at."""
    asked = engine or scenario.engine
    return replace(scenario, engine="auto" if asked == "aggregate" else asked)


def make_report(
    path: Path,
    *,
    strategies: Sequence[str] = (),
    replications: int | None = None,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int | None = 1,
    progress: Progress | None = None,
    planes: Planes | None = None,
) -> Report:
    """Simulates what the page of the scenario in `path` needs, for the `strategies` (all by default).

    Without `replications` as many as the plane manages in seconds by its nominal speed, so that the number, and with it
    every figure, is the same on all machines. `seed` and `engine` replace the scenario's; `jobs` processes share the work (None:
    as many as there are processors, where it is worth it). `progress` is called with the share that is done. `planes` is what
    `choose_planes` said of the same, where it was asked before. Raises ScenarioError for what cannot be run.
    """
    scenario = Scenario.load(path)
    command = _command(path, strategies, replications, seed, engine)
    seed = scenario.seed if seed is None else seed
    planes = choose_planes(scenario, strategies, engine) if planes is None else planes
    plane = planes.study
    names = len(strategies or scenario.strategies) or 1
    count = replications or nominally_affordable(scenario, plane, 2 * names)
    single = _for_single_runs(scenario, engine)
    search = _search(scenario, path, seed, engine)
    if jobs is None:
        work = nominal_seconds(scenario, plane, 2 * names * count) if isinstance(search, str) else search.sizes.work
        jobs = worth_sharing(work)
    with starting(jobs):
        runs = tuple(
            simulate_each(single, strategies, seed=seed, progress=part_of(progress, 0.0, 0.25), choice=planes.single)
        )
    compared = compare(
        scenario, count, strategies,
        seed=seed, engine=engine, jobs=jobs, progress=part_of(progress, 0.25, 0.5), plane=plane, keep=False,
    )  # fmt: skip
    why_not: dict[str, str] = {}
    recommendation = chosen = recommended = None
    if isinstance(search, str):
        why_not["recommendation"] = search
    else:
        search.jobs = jobs
        recommendation = search.recommend(progress=part_of(progress, 0.5, 0.85))
        if recommendation.winner is not None:
            chosen = recommendation.chosen_scenario
            recommended = compare(chosen, count, seed=seed, engine=engine, jobs=jobs, keep=False)
            if not _is_one_of(recommendation.winner, compared):
                alone = replace(chosen, engine=single.engine)
                runs += tuple(
                    replace(run, strategy=_called(run.strategy, compared)) for run in simulate_each(alone, seed=seed)
                )
    varied = None
    if scenario.new is None:
        why_not["sensitivity"] = "nothing is rolled out, so there is nothing that could be more or less bad"
    else:
        cells = min(count, nominally_affordable(scenario, plane, 12 * names, CELL))
        varied = sensitivity(
            scenario, chosen, cells, strategies,
            coarse=compared.plane.engine != "aggregate", seed=seed, engine=engine, jobs=jobs, progress=part_of(progress, 0.85, 1.0),
        )  # fmt: skip
    return Report(
        scenario=scenario,
        seed=seed,
        command=command,
        runs=runs,
        compared=compared,
        shown=_with_recommended(compared, recommended, recommendation),
        chosen=_chosen(compared, recommendation),
        recommendation=recommendation,
        recommended=recommended,
        sensitivity=varied,
        why_not=why_not,
        jobs=jobs,
    )


def _is_one_of(winner: Candidate, compared: Comparison) -> bool:
    """Whether the recommended strategy is one of the file's as it stands there, with the file's alarm."""
    return winner.alarm is None and winner.name in compared.columns


def _called(name: str, compared: Comparison) -> str:
    """What a recommended strategy that is not one of the file's is called beside them."""
    return f"{name}, other alarm" if name in compared.columns else name


def _chosen(compared: Comparison, recommendation: Recommendation | None) -> str | None:
    if recommendation is None or recommendation.winner is None:
        return None
    winner = recommendation.winner
    return winner.name if _is_one_of(winner, compared) else _called(winner.name, compared)


def _with_recommended(
    compared: Comparison, recommended: Comparison | None, recommendation: Recommendation | None
) -> Comparison:
    """The comparison with the recommended strategy as the last, where it is not one of its own."""
    name = _chosen(compared, recommendation)
    if recommended is None or name is None or name in compared.columns:
        return compared
    twin = None
    if compared.twin is not None and recommended.twin is not None:
        twin = compared.twin.beside(_same_columns(recommended.twin, compared.twin, name), None)
    return compared.beside(_same_columns(recommended, compared, name), twin)


def _same_columns(recommended: Comparison, compared: Comparison, name: str) -> dict[str, Samples]:
    """The only columns of `recommended` under that `name`, with what the others have: by an alarm of theirs it is not stopped."""
    (columns,) = recommended.columns.values()
    known = next(iter(compared.columns.values()))
    return {name: {key: columns[key] if key in columns else np.zeros_like(values) for key, values in known.items()}}


def _search(scenario: Scenario, path: Path, seed: int, engine: Engine | None) -> Search | str:
    """The search for a recommendation, or why none is made here."""
    if scenario.rollout is None:
        return "nothing is rolled out"
    if not scenario.rollout.alarms:
        return "no alarm watches the rollout, and a recommendation starts from one"
    if not scenario.slos:
        return "the scenario has no SLO, which says what requests are bad"
    if scenario.slos[0].alias not in (None, scenario.alias):
        return f"the first SLO is not about the alias {scenario.alias} that the rollout moves"
    try:
        search = prepare(scenario, seed=seed, engine=engine)
        slow = search.plane.reason if search.plane.engine != "aggregate" else ""
    except ScenarioError as error:
        return "; ".join(error.problems)
    if not slow:
        return search
    return f"a search takes half a minute here ({slow}); rollout-sim recommend {shlex.quote(_shown(path))} makes it"


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
