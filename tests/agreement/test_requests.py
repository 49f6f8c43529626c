"""How many requests come: the aggregate plane's counts against the arrivals that the per-invocation planes draw one by one.

For traces of every period, speed and scale, up to an instant in the middle of one of their periods. Where the number is
given it is the same; elsewhere it is compared at `LEVEL`: fewer than a hundred tests, whose false alarms together come with
a chance below 1% for a seed; the seeds are fixed. What comes at exact times is refused.
"""

from __future__ import annotations

from itertools import count, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import scenario
from scipy import stats

from rollout_sim.core.arrays import IntArray
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.aggregate.arrivals import ArrivalCounts, Cells, Cursor, cells_of
from rollout_sim.planes.selection import EngineChoice, choose_engine
from rollout_sim.run.batch import Batch, run_batch
from rollout_sim.traffic.processes import arrival_process
from rollout_sim.traffic.source import Arrivals, TraceFile

LEVEL = 1e-4
COUNTS = (30, 0, 17, 55, 8)
"""Requests in each period of the trace."""
EDGES = (0.0, 47.0, 60.0, 101.0, 170.0, 240.0)
"""Seconds between which requests are counted."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    (folder / "counts.csv").write_text("n,count\n" + "".join(f"{k},{n}\n" for k, n in enumerate(COUNTS)))
    times = np.sort(np.random.default_rng(3).uniform(0, 300, 90))
    (folder / "times.csv").write_text("time\n" + "".join(f"{time:.3f}\n" for time in times))
    return folder


def one_by_one(arrivals: Arrivals, replications: int) -> IntArray:
    """Arrivals between the `EDGES`: shape (replications, intervals)."""
    rows = []
    for replication in range(replications):
        process = arrival_process(arrivals, Streams(seed=11, replication=replication), "traffic")
        times = np.zeros(0)
        for number in count():
            block = process.block(number)
            times = np.concatenate([times, block])
            if not block.size or block[-1] >= EDGES[-1]:
                break
        rows.append(np.histogram(times[times < EDGES[-1]], EDGES)[0])
    return np.array(rows)


def counted(arrivals: Arrivals, cells: Cells, replications: int) -> IntArray:
    """The same of the aggregate plane."""
    streams = Streams(seed=5, replication=0)
    process = arrival_process(arrivals, streams, "traffic")
    drawn = ArrivalCounts(process, streams, "traffic", replications=replications, cells=cells, horizon=EDGES[-1])
    cursor = Cursor(drawn, streams.generator("cuts"))
    return np.array([cursor.take(start, end) for start, end in pairwise(EDGES)]).T


def p_value(ours: IntArray, others: IntArray) -> float:
    values = np.unique(np.concatenate([ours, others]))
    if values.size == 1:
        return 1.0
    if values.size > 12:
        return float(stats.ks_2samp(ours, others, method="asymp").pvalue)
    table = np.array([[np.sum(of == value) for value in values] for of in (ours, others)])
    return float(stats.chi2_contingency(table, lambda_="log-likelihood").pvalue)


@pytest.mark.slow
@pytest.mark.parametrize(("period", "speed"), list(product((10.0, 20.0, 60.0, 90.0), (1.0, 2.0))))
def test_a_trace_makes_as_many_requests_counted_as_one_by_one(period: float, speed: float, folder: Path) -> None:
    for scale, repeat in ((1.0, False), (2.0, True), (0.5, True)):
        file = TraceFile(
            file="counts.csv",
            layout="counts",
            folder=str(folder),
            period=period,
            speed=speed,
            scale=scale,
            repeat=repeat,
        )
        arrivals = Arrivals(trace=file)
        cells = cells_of(arrivals, 60.0)
        assert cells is not None
        ours, others = counted(arrivals, cells, 2000), one_by_one(arrivals, 100)
        lasting = period / speed
        for number, end in enumerate(EDGES[1:], 1):
            totals = [counts[:, :number].sum(axis=1) for counts in (ours, others)]
            if scale != 0.5 and not end % lasting:  # the whole periods until then are given
                periods = round(end / lasting)
                laps, rest = divmod(periods, len(COUNTS))
                expected = scale * (laps * sum(COUNTS) + sum(COUNTS[:rest]) if repeat else sum(COUNTS[:periods]))
                assert all((total == expected).all() for total in totals), (scale, end)
            else:
                assert p_value(*totals) > LEVEL, (scale, end, [float(total.mean()) for total in totals])


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["1x", "0.5x", "2.5x"])
def test_requests_of_a_whole_run_are_as_many(scale: str, folder: Path) -> None:
    trace = {"file": str(folder / "counts.csv"), "layout": "counts", "period": "20 s", "scale": scale, "repeat": True}
    given = scenario(
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"trace": trace}}], horizon="205 s", rollout__start="1 min",
        function__versions__1__cold_start=None,
    )  # fmt: skip

    def requests(plane: EngineChoice, replications: int) -> IntArray:
        batch = Batch(scenario=given, strategies=("canary",), plane=plane, seed=4, first=0, count=replications)
        columns = run_batch(batch)["canary"]
        return (columns["requests"] + columns["pending"]).astype(int)

    ours = requests(choose_engine(given, "aggregate"), 1000)
    others = requests(EngineChoice(engine="simpy", reason="reference", batch=1), 60)
    assert p_value(ours, others) > LEVEL, (ours.mean(), others.mean())


@pytest.mark.parametrize(
    ("arrivals", "reason"),
    [
        ({"trace": {"file": "times.csv", "layout": "timestamps", "scale": "0.5x"}}, "time stamps are exact times"),
        ({"fixed": "7 s"}, "fixed arrivals come at exact times"),
    ],
)
def test_what_comes_at_exact_times_is_not_counted(arrivals: dict[str, Any], reason: str, folder: Path) -> None:
    if "trace" in arrivals:
        arrivals = {"trace": arrivals["trace"] | {"file": str(folder / "times.csv")}}
    given = scenario(traffic=[{"source": "http", "alias": "prod", "arrivals": arrivals}])
    with pytest.raises(ScenarioError, match=reason):
        choose_engine(given, "aggregate")


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_time_stamps_make_as_many_requests_as_their_scale_says(scale: float, folder: Path) -> None:
    """Each is kept or copied by itself: between two edges a binomial number of them, which 4.5 standard errors hold."""
    arrivals = Arrivals(trace=TraceFile(file="times.csv", layout="timestamps", folder=str(folder), scale=scale))
    given = one_by_one(Arrivals(trace=TraceFile(file="times.csv", layout="timestamps", folder=str(folder))), 1)[0]
    totals = one_by_one(arrivals, 200).sum(axis=1)
    part = scale % 1
    error = 4.5 * np.sqrt(given.sum() * part * (1 - part) / totals.size) + scale  # the last copies may come later
    assert abs(totals.mean() - scale * given.sum()) <= error
    assert totals.var() == pytest.approx(given.sum() * part * (1 - part), rel=0.45, abs=0.01)
