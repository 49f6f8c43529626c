"""Counts of arrivals: in cells that fit into periods and, of a trace, into its minutes, whose counts they keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rollout_sim.core.streams import Streams
from rollout_sim.planes.aggregate.arrivals import ArrivalCounts, cells_of
from rollout_sim.traffic.processes import arrival_process
from rollout_sim.traffic.source import Arrivals, TraceFile

COUNTS = [150, 300, 0, 100] * 6


def replayed(folder: Path, speed: float) -> Arrivals:
    (folder / "trace.csv").write_text("".join(f"{count}\n" for count in COUNTS), encoding="utf-8")
    return Arrivals(trace=TraceFile(file="trace.csv", layout="counts", speed=speed, folder=str(folder)))


@pytest.mark.parametrize("resolution", [10.0, 20.0, 30.0, 60.0])
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0, 4.0, 1.6])
def test_every_minute_of_a_trace_keeps_its_count(tmp_path: Path, resolution: float, speed: float) -> None:
    arrivals, streams = replayed(tmp_path, speed), Streams(seed=3)
    cells = cells_of(arrivals, resolution)
    assert cells is not None
    lasting = 60 / speed
    counts = ArrivalCounts(
        arrival_process(arrivals, streams, "trace"), streams, "counts",
        replications=3, cells=cells, horizon=len(COUNTS) * lasting,
    )  # fmt: skip
    for minute, count in enumerate(COUNTS):
        first, stop = round(minute * lasting / cells.width), round((minute + 1) * lasting / cells.width)
        assert np.array_equal(counts.between(first, stop), [count] * 3)


@pytest.mark.parametrize("speed", [7.0, 59.99, 0.7, 1 / 3 + 0.001])
def test_a_speed_whose_minutes_fit_into_no_cells_is_refused(tmp_path: Path, speed: float) -> None:
    assert cells_of(replayed(tmp_path, speed), 60.0) is None


def test_other_arrivals_are_counted_by_periods() -> None:
    cells = cells_of(Arrivals(poisson=3.0), 20.0)
    assert cells is not None
    assert (cells.width, cells.together) == (20.0, 64)
