"""Sweeps: a grid of scenarios, each cell replicated; finished cells are kept, and the same command goes on from them."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.display import Plotted
from rollout_sim.core.files import FileReader, digest, read_regular, write_file
from rollout_sim.core.registry import fingerprint
from rollout_sim.core.yaml_io import YamlDocument, dotted, read_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.selection import EngineChoice, check_size, choose_engine
from rollout_sim.run.batch import Batch, Samples
from rollout_sim.run.simulate import Progress
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine
from rollout_sim.study.comparison import (
    Comparison,
    approximations,
    batches_of,
    check_memory,
    good_twin,
    nested,
    studied,
)
from rollout_sim.study.executor import run_all
from rollout_sim.study.grid import Axis, SeverityAxis, document_at, written_axes
from rollout_sim.traffic import traces

if TYPE_CHECKING:
    import pandas as pd


REPLICATIONS: Final = 1000
"""Of each cell and strategy, where nobody says."""
GOOD: Final = {"stopped": "good_version_stopped", "blocked": "good_version_blocked"}
"""What a cell says of its twin: the estimate and its name there."""
_ABOUT: Final = ("strategy", "engine", "estimate", "n")
"""Of the keys of a row those that say what its values are of, besides the axes."""
MAX_CELLS: Final = 50_000
"""Cells times strategies: their estimates take about 10 KB each in memory."""
MAX_CELL_BYTES: Final = 1 << 26
"""Of the file of a kept cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One point of the grid."""

    labels: tuple[str, ...]
    """Its values as text, in the order of the axes."""
    scenario: Scenario
    """The scenario at these values."""
    batches: tuple[Batch, ...]
    """Its work, in the order of the replications."""
    key: str
    """Its name on disk."""
    twin: Cell | None = None
    """The same with a good version; None where that was not asked for, or where the version is a good one itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Plotted):
    """Strategies over a grid of scenarios."""

    name: str
    """The scenario's name."""
    axes: tuple[Axis | SeverityAxis, ...]
    """What is varied; the last one varies fastest."""
    replications: int
    """How many of each cell and strategy."""
    seed: int
    """The seed of all replications."""
    cells: tuple[Cell, ...]
    """All combinations of the axes' values, in the order of the grid."""
    rows: tuple[dict[str, Any], ...]
    """An entry per cell, strategy and estimate, in the order of the grid: by its name the label of each axis; `strategy`,
    `engine`, `estimate`, and `n`, `mean`, `low`, `high` and quantiles as in `Estimate.to_json`. With `twin` the estimates
    `good_version_stopped` and `good_version_blocked` are those of the same cell with a good version."""
    sizes: tuple[int, ...]
    """How many of the `rows` each cell has, in the order of `cells`."""
    described: Mapping[str, Any]
    """The scenario file's data, of which the axes set fields."""
    strategies: tuple[str, ...]
    """The strategies that were asked for; empty for all of each cell's."""
    twin: bool
    """Whether a good version was asked for, too."""
    asked_seed: int | None
    asked: Engine | None
    """The seed and the engine that were asked for instead of each cell's."""
    notes: tuple[str, ...] = ()
    """What happened on the way: kept cells that were damaged."""

    @property
    def frame(self) -> pd.DataFrame:
        """The tidy table, a row for each of `rows`."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def by_cell(self) -> Iterator[tuple[Cell, tuple[dict[str, Any], ...]]]:
        """Each cell with its `rows`, which an axis named like one of their columns cannot tell apart."""
        rows = iter(self.rows)
        for cell, size in zip(self.cells, self.sizes, strict=True):
            yield cell, tuple(itertools.islice(rows, size))

    def to_json(self) -> dict[str, Any]:
        """What `sweep --json` prints: plain data, one of the `cells` for each point of the grid and strategy.

        With `twin`, `false_rollback` is how often the cell stops a good version, and `good_version_blocked` how often one
        does not begin.
        """
        names = [axis.name for axis in self.axes]
        unknown = dict.fromkeys(row["estimate"] for row in self.rows)
        cells = []
        points = itertools.product(*(axis.values for axis in self.axes))
        for point, (_, rows) in zip(points, self.by_cell(), strict=True):
            estimates: dict[str, dict[str, Any]] = {}
            for row in rows:
                estimate = {key: value for key, value in row.items() if key not in (*names, *_ABOUT)}
                estimates.setdefault(row["strategy"], dict(unknown))[row["estimate"]] = estimate
            engine = rows[0]["engine"]
            for strategy, of_strategy in estimates.items():
                if GOOD["stopped"] in of_strategy:
                    of_strategy["false_rollback"] = of_strategy.pop(GOOD["stopped"])
                about = {"strategy": strategy, "engine": engine}
                cells.append(dict(zip(names, point, strict=True)) | about | nested(of_strategy))
        return {
            "scenario": self.name,
            "seed": self.seed,
            "replications": self.replications,
            "axes": [{"name": axis.name, "path": dotted(axis.path), "values": list(axis.values)} for axis in self.axes],
            "cells": cells,
            "approximations": list(
                dict.fromkeys(
                    note for cell in self.cells for note in approximations(cell.scenario, cell.batches[0].plane)
                )
            ),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.replications:,} replications of each of {len(self.cells):,} cells (seed {self.seed})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A sweep before it runs: all cells, each of them checked."""

    cells: tuple[Cell, ...]
    axes: tuple[Axis | SeverityAxis, ...]
    replications: int
    described: Mapping[str, Any]
    strategies: tuple[str, ...]
    twin: bool
    asked_seed: int | None
    asked: Engine | None
    """As in `Sweep`."""

    @property
    def planes(self) -> tuple[EngineChoice, ...]:
        """The data planes that the cells and their twins run on, each once."""
        every = (part for cell in self.cells for part in (cell, cell.twin) if part is not None)
        return tuple(dict.fromkeys(part.batches[0].plane for part in every))

    def run(
        self,
        *,
        jobs: int = 1,
        cluster: str | None = None,
        out: Path | None = None,
        progress: Progress | None = None,
    ) -> Sweep:
        """Simulates all cells that are not kept in `out`; parameters are those of `sweep`."""
        folder = None if out is None else out / "cells"
        notes: list[str] = []
        # Cells that differ in the fault alone have the same twin.
        by_key = {part.key: part for cell in self.cells for part in (cell, cell.twin) if part is not None}
        kept = {key: rows for key in by_key if (rows := _read_cell(folder, key, notes)) is not None}
        waiting = {key: cell for key, cell in by_key.items() if key not in kept}
        work = {key: cell.batches for key, cell in waiting.items()}
        for key, columns in run_all(work, jobs=jobs, cluster=cluster, progress=progress):
            kept[key] = _write_cell(folder, key, _estimate_rows(waiting[key], columns))
        names = [axis.name for axis in self.axes]
        first = self.cells[0]
        parts = [_cell_rows(cell, kept, twin=self.twin) for cell in self.cells]
        return Sweep(
            name=first.scenario.name,
            axes=self.axes,
            replications=self.replications,
            seed=first.batches[0].seed,
            cells=self.cells,
            rows=tuple(
                dict(zip(names, cell.labels, strict=True)) | row
                for cell, part in zip(self.cells, parts, strict=True)
                for row in part
            ),
            sizes=tuple(map(len, parts)),
            twin=self.twin,
            described=self.described,
            strategies=self.strategies,
            asked_seed=self.asked_seed,
            asked=self.asked,
            notes=tuple(notes),
        )


def sweep(
    source: YamlDocument | Scenario | str | Path,
    axes: Sequence[Axis | SeverityAxis | str] | Mapping[str, Sequence[Any]],
    replications: int = REPLICATIONS,
    strategies: Sequence[str] = (),
    *,
    seed: int | None = None,
    engine: Engine | None = None,
    twin: bool = True,
    jobs: int = 1,
    cluster: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Every combination of the `axes`' values, each replicated like a comparison; with `twin` with a good version, too.

    `source` is the scenario file's path, its document, or a scenario. `axes` is a mapping from `percent`, `interval`,
    `severity` or a field's path to the values that a file would hold there, or the same as texts: `percent=1,5,10`,
    `interval=5m,10m`, `severity=0%,1%`, `alarms.errors.lag=0 s,2 min`. There are `replications` of each cell, of each of
    the `strategies` (by default all); `seed` and `engine` replace the scenario's. The work goes to `jobs` processes, or to
    the Dask scheduler at the address `cluster`.

    With `out`, each cell is written there (`cells/`) as soon as it is done and read back where it is there already, so
    that an interrupted sweep goes on. `progress` is called with the share of the work that is done.
    Raises ScenarioError for an axis or a cell that makes no sense, before anything runs.

    Examples:
        >>> scenario = Scenario.load("scenarios/checkout.yaml")
        >>> swept = sweep(scenario, {"percent": [1, 10], "severity": ["0%", "4%"]}, replications=256)
        >>> swept.frame.query("estimate == 'stopped'")[["percent", "severity", "mean"]].round(1).values.tolist()
        [['1', '0%', 0.0], ['1', '4%', 1.0], ['10', '0%', 0.5], ['10', '4%', 1.0]]
    """
    grid = prepare(source, axes, replications, strategies, seed=seed, engine=engine, twin=twin)
    return grid.run(jobs=jobs, cluster=cluster, out=out, progress=progress)


def prepare(
    source: YamlDocument | Scenario | str | Path,
    axes: Sequence[Axis | SeverityAxis | str] | Mapping[str, Sequence[Any]],
    replications: int = REPLICATIONS,
    strategies: Sequence[str] = (),
    *,
    seed: int | None = None,
    engine: Engine | None = None,
    twin: bool = True,
) -> Grid:
    """The grid of a sweep, before anything is simulated; parameters and errors are those of `sweep`."""
    if isinstance(source, str | Path):
        source = read_yaml(Path(source))
    texts = axes if isinstance(axes, Mapping) else [axis for axis in axes if isinstance(axis, str)]
    chosen = () if isinstance(axes, Mapping) else tuple(axis for axis in axes if not isinstance(axis, str))
    if texts:
        source, written = written_axes(_document(source), texts, strategies)
        chosen += written
        strategies = () if any(axis.name in ("percent", "interval") for axis in written) else strategies
    return Grid(
        cells=tuple(_checked_cells(source, chosen, replications, tuple(strategies), seed, engine, twin=twin)),
        axes=chosen,
        replications=replications,
        described=source.dump() if isinstance(source, Scenario) else source.data,
        strategies=tuple(strategies),
        twin=twin,
        asked_seed=seed,
        asked=engine,
    )


def _checked_cells(
    source: YamlDocument | Scenario,
    axes: tuple[Axis | SeverityAxis, ...],
    replications: int,
    strategies: tuple[str, ...],
    seed: int | None,
    engine: Engine | None,
    *,
    twin: bool,
) -> list[Cell]:
    """All cells, each of them checked, with their twins where they are asked for."""
    if not axes or any(not axis.values for axis in axes):
        raise ScenarioError(["sweep: needs at least one axis with at least one value, such as --percent 1,5,10"])
    twice = {axis.name for axis in axes if sum(axis.path == other.path for other in axes) > 1}
    if twice:
        raise ScenarioError([f"sweep: two axes vary the same field: {', '.join(sorted(twice))}"])
    size = math.prod(len(axis.values) for axis in axes)
    if size > MAX_CELLS:
        raise ScenarioError([f"sweep: {size} cells; allowed {MAX_CELLS}"])
    cells, reader = [], FileReader()
    for labels, scenario in _scenarios(source, axes):
        names = studied(scenario, strategies, replications)
        if size * len(names) > MAX_CELLS:
            raise ScenarioError(
                [f"sweep: {size} cells of {len(names)} strategies; allowed {MAX_CELLS // len(names)} cells"]
            )
        check_memory(len(names), replications)

        def cell(varied: Scenario, labels: tuple[str, ...] = labels, names: tuple[str, ...] = names) -> Cell:
            plane = choose_engine(varied, engine)
            if plane.engine != "aggregate":
                check_size(varied, plane.engine, runs=replications * len(names) * size * (2 if twin else 1))
            batches = batches_of(varied, plane, names, varied.seed if seed is None else seed, replications)
            key = _key(varied, batches[0], replications, reader)
            return Cell(labels=labels, scenario=varied, batches=batches, key=key)

        good = good_twin(scenario) if twin else None
        cells.append(cell(scenario) if good is None else replace(cell(scenario), twin=cell(good)))
    return cells


def _cell_rows(cell: Cell, kept: Mapping[str, list[dict[str, Any]]], *, twin: bool) -> list[dict[str, Any]]:
    """A cell's part of `Sweep.rows`, its twin's estimates after its own."""
    rows = kept[cell.key]
    if not twin or cell.scenario.new is None:
        return rows
    good = kept[cell.key if cell.twin is None else cell.twin.key]
    of_twin = [row | {"estimate": GOOD[row["estimate"]]} for row in good if row["estimate"] in GOOD]
    return [*rows, *of_twin]


def _scenarios(
    source: YamlDocument | Scenario, axes: tuple[Axis | SeverityAxis, ...]
) -> Iterator[tuple[tuple[str, ...], Scenario]]:
    """The labels and the scenario of each cell; a file is read once for all severities of the same fields.

    Raises ScenarioError that says at which values the file stops making sense.
    """
    fields = [axis for axis in axes if isinstance(axis, Axis)]
    if fields:
        source = _document(source)
    read: dict[tuple[str, ...], Scenario] = {}
    for levels in itertools.product(*(zip(axis.labels, axis.values, strict=True) for axis in axes)):
        labels = tuple(label for label, _ in levels)
        chosen = list(zip(axes, labels, (value for _, value in levels), strict=True))
        written = tuple(label for axis, label, _ in chosen if isinstance(axis, Axis))
        if isinstance(source, YamlDocument) and written not in read:
            values = [value for axis, _, value in chosen if isinstance(axis, Axis)]
            try:
                read[written] = Scenario.parse(document_at(source, fields, values))
            except ScenarioError as error:
                where = ", ".join(f"{axis.name} {label}" for axis, label, _ in chosen)
                raise ScenarioError([f"sweep: with {where}: {problem}" for problem in error.problems]) from None
        scenario = source if isinstance(source, Scenario) else read[written]
        for axis, _, value in chosen:
            if isinstance(axis, SeverityAxis):
                scenario = axis.applied(scenario, value)
        yield labels, scenario


def _document(source: YamlDocument | Scenario) -> YamlDocument:
    """The document whose fields are varied. Raises ScenarioError for a scenario that names files of samples.

    A scenario keeps the folder of its traces and of its recorded minutes, not that of its samples.
    """
    if isinstance(source, YamlDocument):
        return source
    times = [(spec.duration, spec.cold_start, spec.cold_duration) for spec in source.function.versions.values()]
    sampled = [time for spec in times for time in spec if getattr(time, "samples", ())]
    if sampled or any(traffic.size is not None and traffic.size.samples for traffic in source.traffic):
        what = "fields are varied in a file where there are samples, got a scenario; allowed the file's path"
        raise ScenarioError([f"{source.name}: sweep: {what}"])
    folders = [traffic.arrivals.trace.folder for traffic in source.traffic if traffic.arrivals.trace is not None]
    folders += [part.folder for part in source.function.recorded().values()]
    plain = json.loads(json.dumps(source.dump()))
    return YamlDocument(data=plain, lines={}, path=Path(*folders[:1]) / "scenario")


def _key(scenario: Scenario, batch: Batch, replications: int, reader: FileReader) -> str:
    """A name for a cell's work: whatever its result depends on, and nothing else. `reader` is shared by all cells."""
    described = {
        "rollout_sim": version("rollout-sim"),
        "numpy": version("numpy"),
        "scenario": scenario.dump(),
        "files": _files(scenario, reader),
        "strategies": batch.strategies,
        "engine": batch.plane.engine,
        "seed": batch.seed,
        "replications": replications,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]


def _files(scenario: Scenario, reader: FileReader) -> list[str]:
    """Fingerprints of the files that the scenario reads, and of the code of the user-defined classes that it names."""
    owned: list[object] = [*scenario.strategies.values(), *(source.arrivals.custom for source in scenario.traffic)]
    owned += [f.custom for spec in scenario.function.versions.values() for f in (*spec.faults, *scenario.incident)]
    prints = fingerprint(owned)
    for source in scenario.traffic:
        if (trace := source.arrivals.trace) is not None:
            prints.append(reader.read(digest, Path(trace.folder) / trace.file, traces.MAX_BYTES))
        prints += [repr(source.size.samples)] if source.size is not None and source.size.samples else []
    for part in scenario.function.recorded().values():
        prints.append(reader.read(digest, Path(part.folder) / part.minutes, traces.MAX_BYTES))
    for spec in scenario.function.versions.values():
        sampled = [getattr(time, "samples", ()) for time in (spec.duration, spec.cold_start, spec.cold_duration)]
        prints += [hashlib.sha256(repr(samples).encode()).hexdigest() for samples in sampled if samples]
    return prints


def _estimate_rows(cell: Cell, columns: dict[str, Samples]) -> list[dict[str, Any]]:
    """A cell's part of `Sweep.rows`, without the axes."""
    first = cell.batches[0]
    compared = Comparison(
        scenario=cell.scenario,
        seed=first.seed,
        replications=sum(batch.count for batch in cell.batches),
        plane=first.plane,
        columns=columns,
    )
    return [
        {"strategy": name, "engine": first.plane.engine, "estimate": label, "n": estimate.n} | estimate.to_json()
        for name in first.strategies
        for label, estimate in compared.estimates(name).items()
        if estimate is not None
    ]


def _read_cell(folder: Path | None, key: str, notes: list[str]) -> list[dict[str, Any]] | None:
    """A cell that was finished before, None where there is none or where it is not as it was written, which `notes` tell."""
    if folder is None or not (path := folder / f"{key}.json").exists():
        return None
    try:
        kept = json.loads(read_regular(path, MAX_CELL_BYTES), object_pairs_hook=_interned)
        rows: list[dict[str, Any]] = kept["rows"]
        if kept["sha256"] == _checksum(rows):
            return rows
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    notes.append(f"{path}: is not as it was written; the cell was drawn anew")
    return None


def _write_cell(folder: Path | None, key: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Writes a finished cell, all of it or nothing, and returns what a later sweep would read."""
    text = json.dumps({"sha256": _checksum(rows), "rows": rows})
    if folder is not None:
        write_file(folder / f"{key}.json", text)
    back: list[dict[str, Any]] = json.loads(text, object_pairs_hook=_interned)["rows"]
    return back


def _interned(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping whose texts are the same objects as those of all other rows."""
    return {sys.intern(key): sys.intern(value) if isinstance(value, str) else value for key, value in pairs}


def _checksum(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
