"""Arrival processes: the same arrivals whatever the horizon, and the counts that theory expects.

Statistical tests use fixed seeds and 4.5 standard errors: a false alarm in fewer than 1 of 100,000 seeds each.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import ticks
from rollout_sim.traffic.processes import _Cosine, arrival_process
from rollout_sim.traffic.source import Arrivals, Bursty, Diurnal, TraceFile

STREAMS = Streams(seed=5)
POISSON_LIKE = [
    Arrivals(poisson=3.0),
    Arrivals(diurnal=Diurnal(mean=3.0, amplitude=0.8, period=3600.0, peak=900.0)),
    Arrivals(diurnal=Diurnal(mean=3.0, amplitude=1.0, period=3600.0)),
    Arrivals(bursty=Bursty(low=0.5, high=9.0, stay_low=60.0, stay_high=20.0)),
]


def draw(arrivals: Arrivals, blocks: int = 4) -> np.ndarray:
    process = arrival_process(arrivals, STREAMS, "t")
    return np.concatenate([process.block(b) for b in range(blocks)])


@pytest.mark.parametrize("arrivals", POISSON_LIKE)
def test_arrivals_rise_and_repeat(arrivals: Arrivals) -> None:
    first = draw(arrivals)
    assert (np.diff(first) >= 0).all()
    assert first[0] >= 0
    np.testing.assert_array_equal(first, draw(arrivals))


@pytest.mark.parametrize("arrivals", POISSON_LIKE)
def test_arrivals_are_a_poisson_process_of_the_expected_count(arrivals: Arrivals) -> None:
    """Mapped through the expected count, the gaps are exponential of mean 1 (Kolmogorov-Smirnov at 1e-5)."""
    times = draw(arrivals)
    process = arrival_process(arrivals, STREAMS, "t")
    counts = np.array([process.mean_count(0.0, t) for t in times[:4000]])
    assert kstest(np.diff(counts, prepend=0.0), "expon").pvalue > 1e-5


@pytest.mark.parametrize("arrivals", POISSON_LIKE)
def test_long_run_rate(arrivals: Arrivals) -> None:
    process = arrival_process(arrivals, STREAMS, "t")
    assert process.mean_count(0, 3e6) / 3e6 == pytest.approx(process.long_run_rate, rel=0.02)


def test_the_rate_of_a_day_is_highest_at_its_peak() -> None:
    process = arrival_process(POISSON_LIKE[1], STREAMS, "t")
    hours = [process.mean_count(900 + k - 1, 900 + k + 1) / 2 for k in (0, 900, 1800)]
    assert hours == pytest.approx([3 * 1.8, 3.0, 3 * 0.2], rel=1e-4)


@pytest.mark.parametrize(
    ("amplitude", "period", "start"), [(0.4, 86400.0, 0.0), (1.0, 3600.0, 0.0), (0.99, 40.0, 3e6), (0.0, 60.0, 10.0)]
)
def test_the_times_of_a_day_are_those_of_bisection(amplitude: float, period: float, start: float) -> None:
    """Tick by tick: the quick way is no other process."""
    curve = _Cosine(Diurnal(mean=20.0, amplitude=amplitude, period=period, peak=0.3 * period))
    counts = curve.count(start) + np.cumsum(np.random.default_rng(1).standard_exponential(50_000))
    for block in np.split(counts, 5):
        np.testing.assert_array_equal(ticks(curve.inverse(block)), ticks(curve._bisected(block)))


def test_a_burst_raises_the_variance_of_counts() -> None:
    times = draw(POISSON_LIKE[3], 20)
    counts = np.histogram(times, np.arange(0, times[-1], 20.0))[0]
    assert counts.var() > 5 * counts.mean()


def test_fixed_arrivals() -> None:
    process = arrival_process(Arrivals(fixed=10.0, offset=3.0), STREAMS, "t")
    assert process.block(0)[:3].tolist() == [3, 13, 23]
    assert process.block(1)[0] == 3 + 10 * BLOCK
    assert [process.mean_count(0, t) for t in (3, 4, 13, 13.5)] == [0, 1, 1, 2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "counts.csv").write_text("minute,count\n0,600\n1,0\n2,300\n")
    (tmp_path / "times.csv").write_text("5\n1.5\n61\n61\n")
    return tmp_path


def trace(folder: Path, file: str, layout: str, **more: object) -> Arrivals:
    return Arrivals(trace=TraceFile(file=file, layout=layout, folder=str(folder), **more))


def test_counts_are_kept_minute_by_minute(folder: Path) -> None:
    times = draw(trace(folder, "counts.csv", "counts"))
    assert np.histogram(times, [0, 60, 120, 180])[0].tolist() == [600, 0, 300]
    assert kstest(times[:600] / 60, "uniform").pvalue > 1e-5


def test_scale_and_speed(folder: Path) -> None:
    arrivals = trace(folder, "counts.csv", "counts", scale=2.5, speed=2.0)
    process = arrival_process(arrivals, STREAMS, "t")
    counts = np.histogram(process.block(0), [0, 30, 60, 90])[0]
    assert abs(counts[0] - 1500) < 4.5 * math.sqrt(600 * 0.25)
    assert counts[1] == 0
    assert process.long_run_rate == pytest.approx(900 * 2.5 / 90)
    assert process.mean_count(0, 90) == process.mean_count(0, 1e9) == 2250


def test_a_trace_repeats_when_told(folder: Path) -> None:
    arrivals = trace(folder, "counts.csv", "counts", repeat=True)
    times = draw(arrivals, 1)
    assert times.size == BLOCK
    assert np.histogram(times, np.arange(0, 361, 60))[0].tolist() == [600, 0, 300, 600, 0, 300]
    assert arrival_process(arrivals, STREAMS, "t").mean_count(0, 360) == 1800


def test_time_stamps_are_replayed_exactly(folder: Path) -> None:
    assert draw(trace(folder, "times.csv", "timestamps"), 1).tolist() == [1.5, 5, 61, 61]
    copies = draw(trace(folder, "times.csv", "timestamps", scale=2.0), 1)
    assert copies.size == 8
    assert np.histogram(copies, [1.5, 2.5, 5, 6, 61, 62])[0].tolist() == [2, 0, 2, 0, 4]


@pytest.mark.parametrize("scale", [0.5, 0.99, 1.0, 1.01, 2.0, 3.7])
def test_time_stamps_that_are_kept_stay_where_they_are(tmp_path: Path, scale: float) -> None:
    """Bursts of 20 equal time stamps: thinned, they are bursts still; copies come up to a second later."""
    given = np.repeat(np.arange(1.0, 600.0, 3.0), 20)
    (tmp_path / "bursts.csv").write_text("\n".join(map(str, given)))
    times = draw(trace(tmp_path, "bursts.csv", "timestamps", scale=scale))
    kept = np.isin(times, given)
    assert abs(kept.sum() - given.size * min(scale, 1.0)) <= 4.5 * math.sqrt(given.size * 0.25)
    assert scale < 1 or kept.sum() == given.size
    assert abs(times.size - given.size * scale) <= 4.5 * math.sqrt(given.size * 0.25)
    assert ((times - 1.0) % 3.0 < 1.0 + 1e-6).all()


def test_counts_of_any_period(folder: Path) -> None:
    arrivals = trace(folder, "counts.csv", "counts", column="count", period=300.0, repeat=True)
    process = arrival_process(arrivals, STREAMS, "t")
    assert np.histogram(process.block(0), np.arange(0, 1801, 300))[0].tolist() == [600, 0, 300, 600, 0, 300]
    assert process.long_run_rate == process.mean_count(0, 900) / 900 == 1.0
    assert process.highest_rate(900.0) == 2.0
    counts = arrival_process(arrivals, STREAMS, "t").counts(np.arange(0, 901, 60.0), 50, np.random.default_rng(1))
    assert (counts[:, :5].sum(axis=1) == 600).all()
    assert (counts[:, 5:10] == 0).all()
    with pytest.raises(ValueError, match="do not divide each other"):
        process.counts(np.array([240.0, 360.0]), 1, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Arrivals, "exactly one of poisson, diurnal, bursty, fixed, cron, trace, custom, got none"),
        (lambda: Arrivals(poisson=1.0, fixed=1.0), "got poisson and fixed"),
        (lambda: Arrivals(poisson=1.0, offset=1.0), "`offset` belongs to fixed arrivals"),
        (lambda: Bursty(low=2.0, high=1.0, stay_low=1.0, stay_high=1.0), "`high` must lie above `low`"),
        (lambda: TraceFile(file="x", layout="counts", scale=0.0), "must be above 0"),
        (lambda: TraceFile(file="x", layout="azure2019", period=300.0), "`period` belongs to `layout: counts`"),
    ],
)
def test_refusals(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
