"""Sweeps: a grid of scenarios, each cell replicated; finished cells are kept, and the same command goes on from them."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.display import Plotted
from rollout_sim.core.registry import fingerprint
from rollout_sim.core.yaml_io import YamlDocument, read_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import check_size, choose_engine
from rollout_sim.run.batch import Batch, Samples, concatenate
from rollout_sim.run.simulate import Progress
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import STEADY, Engine
from rollout_sim.study.comparison import Comparison, batches_of
from rollout_sim.study.executor import run_batches
from rollout_sim.study.grid import Axis, at, written_axes

if TYPE_CHECKING:
    import pandas as pd


REPLICATIONS: Final = 1000
MAX_CELLS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One point of the grid: its values in the order of the axes, its scenario, its work, and its name on disk."""

    values: tuple[Any, ...]
    scenario: Scenario
    batches: tuple[Batch, ...]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Plotted):
    """A finished sweep: `rows` has one entry per cell, strategy and estimate, in the order of the grid."""

    name: str
    axes: tuple[Axis, ...]
    replications: int
    seed: int
    cells: tuple[Cell, ...]
    rows: tuple[dict[str, Any], ...]
    document: YamlDocument
    """What the axes set fields of."""
    strategies: tuple[str, ...]
    """The strategies that were asked for; empty for all of each cell's."""
    asked_seed: int | None
    asked: Engine | None
    """The seed and the engine that were asked for instead of each cell's."""

    @property
    def frame(self) -> pd.DataFrame:
        """The tidy table: the axes' columns, strategy, engine, estimate, n, mean, low, high, quantiles."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.replications:,} replications of each of {len(self.cells):,} cells (seed {self.seed})"
        )


def sweep(
    document: YamlDocument | str | Path,
    axes: Sequence[Axis] | Sequence[str],
    replications: int = REPLICATIONS,
    strategies: Sequence[str] = (),
    *,
    seed: int | None = None,
    engine: Engine | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Every combination of the `axes`' values, each replicated like a comparison without a twin.

    `document` may be the scenario file's path, and the axes texts: `percent=1,5,10`, `interval=5m,10m`, `severity=0%,1%`
    or any field's path, `alarms.errors.lag=0 s,2 min`.

    With `out`, each cell is written there (`cells/`) as soon as it is done and read back where it is there already, so
    that an interrupted sweep goes on. `progress` is called with the share of the work that is done.
    Raises ScenarioError for an axis or a cell that makes no sense, before anything runs.
    """
    if not isinstance(document, YamlDocument):
        document = read_yaml(Path(document))
    words = [one for one in axes if isinstance(one, str)]
    axes = tuple(one for one in axes if not isinstance(one, str))
    if words:
        document, written = written_axes(document, words, strategies)
        axes += written
        strategies = () if any(one.name in ("percent", "interval") for one in written) else strategies
    cells = _grid(document, axes, replications, tuple(strategies), seed, engine)
    folder = None if out is None else out / "cells"
    kept = {cell.key: rows for cell in cells if (rows := _read(folder, cell.key)) is not None}
    waiting = list({cell.key: cell for cell in cells if cell.key not in kept}.values())
    work = [(cell, batch) for cell in waiting for batch in cell.batches]
    found: dict[str, dict[int, dict[str, Samples]]] = {cell.key: {} for cell in waiting}
    for done, (number, result) in enumerate(run_batches([batch for _, batch in work], jobs=jobs, cluster=cluster), 1):
        cell, batch = work[number]
        found[cell.key][batch.first] = result
        if len(found[cell.key]) == len(cell.batches):
            kept[cell.key] = _keep(folder, cell.key, _rows(cell, found.pop(cell.key)))
        if progress is not None:
            progress(done / len(work))
    rows = [
        dict(zip([one.name for one in axes], map(str, cell.values), strict=True)) | row
        for cell in cells
        for row in kept[cell.key]
    ]
    first = cells[0]
    return Sweep(
        name=first.scenario.name,
        axes=tuple(axes),
        replications=replications,
        seed=first.batches[0].seed,
        cells=tuple(cells),
        rows=tuple(rows),
        document=document,
        strategies=tuple(strategies),
        asked_seed=seed,
        asked=engine,
    )


def _grid(
    document: YamlDocument,
    axes: tuple[Axis, ...],
    replications: int,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
) -> list[Cell]:
    """All cells, each of them checked."""
    if not axes or any(not one.values for one in axes):
        raise ScenarioError(["sweep: needs at least one axis with at least one value, such as --percent 1,5,10"])
    twice = {one.name for one in axes if sum(one.path == other.path for other in axes) > 1}
    if twice:
        raise ScenarioError([f"sweep: two axes vary the same field: {', '.join(sorted(twice))}"])
    if replications < 1:
        raise ScenarioError([f"replications: at least 1, got {replications}"])
    size = 1
    for one in axes:
        size *= len(one.values)
    if size > MAX_CELLS:
        raise ScenarioError([f"sweep: {size} cells; allowed {MAX_CELLS}"])
    cells = []
    for values in itertools.product(*(one.values for one in axes)):
        scenario = _parsed(document, axes, values)
        names = tuple(dict.fromkeys(scenario.chosen(name) for name in (strategies or scenario.strategies or (STEADY,))))
        its_seed = scenario.seed if seed is None else seed
        plane = choose_engine(scenario, engine)
        if plane.engine != "aggregate":
            check_size(replace(scenario, engine=plane.engine), runs=replications * len(names) * size)
        batches = tuple(batches_of(scenario, names, plane, its_seed, replications))
        cells.append(
            Cell(values=values, scenario=scenario, batches=batches, key=_key(scenario, batches[0], replications))
        )
    return cells


def _parsed(document: YamlDocument, axes: tuple[Axis, ...], values: tuple[Any, ...]) -> Scenario:
    """The scenario of one cell. Raises ScenarioError that says at which values the file stops making sense."""
    try:
        return Scenario.parse(at(document, axes, values))
    except ScenarioError as error:
        place = ", ".join(f"{one.name} {value}" for one, value in zip(axes, values, strict=True))
        raise ScenarioError([f"sweep: with {place}: {problem}" for problem in error.problems]) from None


def _key(scenario: Scenario, batch: Batch, replications: int) -> str:
    """A name for a cell's work: whatever its result depends on, and nothing else."""
    described = {
        "rollout_sim": version("rollout-sim"),
        "numpy": version("numpy"),
        "scenario": scenario.dump(),
        "files": _files(scenario),
        "strategies": batch.strategies,
        "engine": batch.plane.engine,
        "seed": batch.seed,
        "replications": replications,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]


def _files(scenario: Scenario) -> list[str]:
    """What the files say that the scenario reads, and the code of the own classes that it names."""
    owned: list[object] = [*scenario.strategies.values(), *(source.arrivals.own for source in scenario.traffic)]
    owned += [f.own for spec in scenario.function.versions.values() for f in (*spec.faults, *scenario.incident)]
    said = fingerprint(owned)
    for source in scenario.traffic:
        if (trace := source.arrivals.trace) is not None:
            said.append(hashlib.sha256((Path(trace.folder) / trace.file).read_bytes()).hexdigest())
        said += [repr(source.size.samples)] if source.size is not None and source.size.samples else []
    for spec in scenario.function.versions.values():
        for one in (spec.duration, spec.cold_start, spec.cold_duration):
            if one is not None and one.samples:
                said.append(hashlib.sha256(repr(one.samples).encode()).hexdigest())
    return said


def _rows(cell: Cell, found: dict[int, dict[str, Samples]]) -> list[dict[str, Any]]:
    first = cell.batches[0]
    columns = {name: concatenate([found[batch.first][name] for batch in cell.batches]) for name in first.strategies}
    compared = Comparison(
        scenario=cell.scenario,
        seed=first.seed,
        replications=sum(batch.count for batch in cell.batches),
        plane=first.plane,
        columns=columns,
    )
    return [
        {"strategy": name, "engine": first.plane.engine, "estimate": label, "n": estimate.n} | estimate.document
        for name in first.strategies
        for label, estimate in compared.estimates(name).items()
        if estimate is not None
    ]


def _read(folder: Path | None, key: str) -> list[dict[str, Any]] | None:
    """A cell that was finished before, None where there is none."""
    if folder is None or not (path := folder / f"{key}.json").exists():
        return None
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def _keep(folder: Path | None, key: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Writes a finished cell, all of it or nothing, and returns what a later sweep would read."""
    text = json.dumps(rows)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{key}.{os.getpid()}.part"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(folder / f"{key}.json")
    back: list[dict[str, Any]] = json.loads(text)
    return back
