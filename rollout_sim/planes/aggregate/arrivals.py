"""Arrivals counted in the cells of a grid, for a whole batch of replications; every strategy meets the same ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from rollout_sim.core.arrays import IntArray
from rollout_sim.core.streams import Streams
from rollout_sim.core.units import TICK
from rollout_sim.traffic.processes import ArrivalProcess
from rollout_sim.traffic.source import Arrivals

_ROUNDING: Final = TICK / 2
CELLS: Final = 64
"""How many cells share one stream at most. Part of the model: changing it changes every result."""
_FINEST: Final = 1000
"""Milliseconds of a cell at least: finer ones cost more than they save."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """How a source's arrivals are counted: in cells of `width` seconds, so many `together` drawn from one stream."""

    width: float
    together: int


def cells_of(arrivals: Arrivals, resolution: float) -> Cells | None:
    """The cells that fit into the periods of `resolution` (s); None where a trace's own and these have none in common.

    The count of a trace's period is given, so all the cells of such a period are drawn together.
    """
    if arrivals.trace is None:
        return Cells(width=resolution, together=CELLS)
    lasting = arrivals.trace.recording.period * 1000 / arrivals.trace.speed
    width = math.gcd(round(resolution * 1000), round(lasting))
    if width < _FINEST or abs(lasting - round(lasting)) > _ROUNDING:
        return None
    cells = round(lasting) // width
    return Cells(width=width / 1000, together=cells * max(CELLS // cells, 1))


class ArrivalCounts:
    """The counts of one source in its `cells` up to the `horizon` (s), drawn when first asked for, then kept."""

    def __init__(
        self, process: ArrivalProcess, streams: Streams, name: str, *, replications: int, cells: Cells, horizon: float
    ) -> None:
        self.process = process
        self.grid = cells.width
        self.cells = math.ceil(horizon / cells.width)
        self._together = cells.together
        self._horizon = horizon
        self._streams = streams
        self._name = name
        self._replications = replications
        self._groups: dict[int, IntArray] = {}

    def edge(self, cell: int) -> float:
        """Where a cell begins (s)."""
        return min(cell * self.grid, self._horizon)

    def between(self, first: int, stop: int) -> IntArray:
        """Arrivals in the cells [first, stop) together: shape (replications,)."""
        total = np.zeros(self._replications, np.int64)
        together = self._together
        for group in range(first // together, (stop - 1) // together + 1):
            low = max(first - group * together, 0)
            total += self._group(group)[:, low : stop - group * together].sum(axis=1)
        return total

    def _group(self, group: int) -> IntArray:
        counts = self._groups.get(group)
        if counts is None:
            cells = np.arange(group * self._together, min((group + 1) * self._together, self.cells) + 1)
            edges = np.minimum(cells * self.grid, self._horizon)
            rng = self._streams.generator(self._name, group)
            counts = self._groups[group] = self.process.counts(edges, self._replications, rng)
        return counts


class Cursor:
    """One pass through the cells in the order of time; a cell that is cut is split by its expected arrivals."""

    def __init__(self, arrivals: ArrivalCounts, rng: np.random.Generator) -> None:
        self.arrivals = arrivals
        self._rng = rng
        self._cell = -1
        self._left: IntArray = np.zeros(0, np.int64)

    def take(self, start: float, end: float) -> IntArray:
        """Arrivals in [start, end): shape (replications,). The next call starts where this one ended."""
        arrivals = self.arrivals
        first, stop = cell_of(start, arrivals.grid), cell_of(end, arrivals.grid)
        if end >= arrivals.edge(arrivals.cells):
            stop = arrivals.cells
        if start - arrivals.edge(first) > _ROUNDING:
            if self._cell != first:
                raise ValueError(f"arrivals are taken in order, got a start at {start:g} s in the middle of a cell")
            if stop == first:
                return self._cut(start, end)
            total = self._left + arrivals.between(first + 1, stop)
        else:
            total = arrivals.between(first, stop)
        if end - arrivals.edge(stop) > _ROUNDING:
            self._cell, self._left = stop, arrivals.between(stop, stop + 1)
            total = total + self._cut(arrivals.edge(stop), end)
        return total

    def _cut(self, start: float, end: float) -> IntArray:
        """Takes what comes until `end` off what is left of the current cell from `start` on."""
        process, cell_end = self.arrivals.process, self.arrivals.edge(self._cell + 1)
        rest = process.mean_count(start, cell_end)
        share = min(process.mean_count(start, end) / rest, 1.0) if rest > 0 else 0.0
        taken = self._rng.binomial(self._left, share)
        self._left = self._left - taken
        return taken


def cell_of(t: float, grid: float) -> int:
    """The cell that contains `t`, a cell's end being the next one's."""
    return math.floor(t / grid + 1e-9)
