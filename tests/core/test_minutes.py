"""Recorded minutes: gaps stay gaps, order and time zones do not matter, and what is wrong is told with its line."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from rollout_sim.core.minutes import moment_of, read_minutes, stamp_of

HEAD = "time,of,invocations,errors,throttles,duration_p99_ms,period_s\n"


def write(folder: Path, rows: str, head: str = HEAD) -> Path:
    path = folder / "minutes.csv"
    path.write_text(head + rows, encoding="utf-8")
    return path


def test_rows_in_any_order_and_zone_become_minutes_without_a_gap(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "2026-11-24T14:03:00Z,alias:prod,10,1,0,80,60\n"
        "2026-11-24T15:00:00+01:00,alias:prod,40,2,1,90.5,60\n"  # 14:00 UTC
        "2026-11-24T14:01:00Z,alias:prod,,,,,60\n"
        "2026-11-24T14:01:00Z,function,70,7,0,,60\n",
    )
    minutes = read_minutes(path, "alias:prod")
    assert stamp_of(minutes.start) == "2026-11-24 14:00"
    np.testing.assert_array_equal(minutes.columns["invocations"], [40, math.nan, math.nan, 10])
    np.testing.assert_array_equal(minutes.invocations, [40, 0, 0, 10])
    np.testing.assert_array_equal(minutes.columns["duration_p99_ms"], [90.5, math.nan, math.nan, 80])
    assert np.isnan(minutes.columns["duration_max_ms"]).all()  # no such column
    assert minutes.error_share == pytest.approx(3 / 50)
    np.testing.assert_allclose(minutes.error_shares, [0.05, 0.06, 0.06, 0.1])
    assert minutes.index(moment_of("2026-11-24 14:02:59")) == 2


def test_of_rows_with_several_periods_the_shortest_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "2026-11-24T13:55:00Z,function,500,1,0,,300\n2026-11-24T14:00:00Z,function,9,0,0,,60\n"
        "2026-11-24T14:01:00Z,function,8,0,0,,\n",
    )
    minutes = read_minutes(path, "function")
    assert (minutes.size, minutes.period, minutes.coarser) == (2, 60.0, 1)


@pytest.mark.parametrize(
    ("head", "rows", "message"),
    [
        ("", "", r"minutes.csv:1: no column time, of, invocations, errors; got an empty file"),
        (HEAD, "", r"holds no row of 'function'$"),
        (HEAD, "2026-11-24T14:00:00Z,alias:prod,1,0,0,,60\n", r"holds no row of 'function'; allowed alias:prod"),
        (HEAD, "24 November,function,1,0,0,,60\n", r"csv:2: time: needs a moment in ISO 8601"),
        (HEAD, "2026-11-24T14:00:30Z,function,1,0,0,,60\n", r"csv:2: time: needs a whole multiple of 60 s"),
        (HEAD, "2026-11-24T14:00:00Z,function,1.5,0,0,,60\n", r"csv:2: invocations: needs a whole number from 0, got '1.5'"),
        (HEAD, "2026-11-24T14:00:00Z,function,1,-1,0,,60\n", r"csv:2: errors: needs a whole number from 0, got '-1'"),
        (HEAD, "2026-11-24T14:00:00Z,function,1\n", r"csv:2: has 3 columns; the header has 7"),
        (HEAD, "2026-11-24T14:00:00Z,function,1,0,0,,60\n" * 2, r"csv:3: a second row of 'function'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, head: str, rows: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_minutes(write(tmp_path, rows, head), "function")


def test_a_moment_outside_of_the_recording_is_refused(tmp_path: Path) -> None:
    minutes = read_minutes(write(tmp_path, "2026-11-24T14:00:00Z,function,1,0,0,,60\n"), "function")
    with pytest.raises(
        ValueError, match=r"2026-11-24 14:01 is not recorded; allowed 2026-11-24 14:00 to 2026-11-24 14:01"
    ):
        minutes.index(moment_of("2026-11-24 14:01"))


def test_of_several_periods_the_shortest_with_invocations_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "2026-11-24T14:00:00Z,alias:prod,,,,80,60\n"
        "2026-11-24T14:01:00Z,alias:prod,,,,90,60\n"
        "2026-11-24T14:00:00Z,alias:prod,50,1,0,,300\n",
    )
    minutes = read_minutes(path, "alias:prod")
    assert (minutes.period, minutes.invocations.tolist(), minutes.coarser) == (300, [50], 2)
