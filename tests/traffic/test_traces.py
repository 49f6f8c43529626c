"""Traces: each layout as its users bring it, and what is refused, with file, line and figure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout_sim.core.distributions import read_samples
from rollout_sim.traffic.traces import read_trace

SHARED = Path(os.environ.get("ROLLOUT_SIM_SHARED", Path(__file__).parents[3] / "shared"))
AZURE19 = "HashOwner,HashApp,HashFunction,Trigger,1,2,3\no,a,f,http,5,0,7\no,a,g,queue,1,1,1\n"
AZURE21 = "app,func,end_timestamp,duration\na,f,70.5,10.5\nb,f,3.0,1.0\na,g,200,5\n"


def test_azure_2019_adds_up_or_picks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(AZURE19)
    everything, one = read_trace(path, "azure2019"), read_trace(path, "azure2019", "f")
    assert everything.counts is not None
    assert everything.counts.tolist() == [6, 1, 8]
    assert one.counts is not None
    assert one.counts.tolist() == [5, 0, 7]
    assert everything.length == 180


def test_azure_2021_starts_are_ends_less_durations(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(AZURE21)
    times = read_trace(path, "azure2021").times
    assert times is not None
    assert times.tolist() == [2, 60, 195]
    for function, expected in (("f", [2, 60]), ("a/f", [0.0])):
        one = read_trace(path, "azure2021", function).times
        assert one is not None
        assert one.tolist() == expected


def test_plain_layouts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("3\n0\n9\n")
    counts = read_trace(path, "counts").counts
    assert counts is not None
    assert counts.tolist() == [3, 0, 9]
    path.write_text("when,who\n2026-01-01T00:00:01+00:00,x\n2026-01-01T00:02:00+00:00,y\n")
    stamps = read_trace(path, "timestamps", column="when")
    assert stamps.times is not None
    assert stamps.times.tolist() == [1, 120]
    assert stamps.length == 180


@pytest.mark.parametrize(
    ("layout", "text", "message"),
    [
        ("azure2019", "", "t.csv:1: no column HashOwner"),
        ("azure2019", "a,b\n1,2\n", "no column HashOwner, HashApp, HashFunction, Trigger, 1; got 2 others"),
        (
            "azure2019",
            AZURE19.replace("0,7", "-4,7"),
            r"t.csv:2: a count is a whole number from 0 to 100,000,000, got '-4'",
        ),
        ("azure2019", AZURE19.replace("0,7", "0.5,7"), "got '0.5'"),
        ("azure2019", AZURE19.replace("0,7", "nan,7"), "got 'nan'"),
        ("azure2019", AZURE19.replace("0,7", "7"), "t.csv:2: has 6 columns; the header has 7"),
        ("azure2019", AZURE19.split("\n", maxsplit=1)[0] + "\n", "holds no function at all"),
        ("azure2021", AZURE21.replace("10.5\n", "-1\n"), "t.csv:2: a duration is at least 0 s, got '-1'"),
        (
            "azure2021",
            AZURE21.replace("70.5", "soon"),
            "t.csv:2: a time is a number of seconds or ISO 8601, got text of 4 characters",
        ),
        ("counts", "", "holds no counts"),
        ("counts", "90000000\n90000000\n", "holds 180,000,000 invocations; allowed 100,000,000"),
        ("timestamps", "", "holds no invocation"),
        ("timestamps", "1\ninf\n", "t.csv:2"),
    ],
)
def test_bad_traces(tmp_path: Path, layout: str, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_trace(path, layout)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_trace(tmp_path / "none.csv", "counts")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_trace(tmp_path, "counts")
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not a CSV file"):
        read_trace(path, "counts")
    path.write_text(AZURE19)
    with pytest.raises(ValueError, match="holds no function 'h'"):
        read_trace(path, "azure2019", "h")


def test_no_message_tells_what_a_foreign_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text in ("root:$6$secret:19000\nroot:$6$secret:19000\n", "secret,secret\nsecret,secret\n", '"secret\n'):
        path.write_text(text)
        for layout in ("azure2019", "azure2021", "counts", "timestamps"):
            for column in (None, "c"):
                with pytest.raises(ValueError, match=r"t\.csv") as caught:
                    read_trace(path, layout, column=column)
                assert "secret" not in str(caught.value)
        for column in ("", "c"):
            with pytest.raises(ValueError, match=r"t\.csv") as caught:
                read_samples(path, column, "ms")
            assert "secret" not in str(caught.value)


@pytest.mark.parametrize("read", [lambda path: read_trace(path, "counts"), lambda path: read_samples(path, "", "ms")])
def test_what_never_ends_is_not_read(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (Path("/dev/zero"), tmp_path / "fifo"):
        with pytest.raises(ValueError, match="is a device, a pipe or a socket; allowed a regular file"):
            read(path)
    with (tmp_path / "large").open("wb") as file:
        file.truncate((1 << 30) + 1)  # takes no room on the disk
    with pytest.raises(ValueError, match="the file is too large; allowed 1024 MiB"):
        read(tmp_path / "large")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_time_stamps_without_a_zone_are_utc_wherever_the_machine_is(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    # In New York the first hour after the second time stamp is left out: there the two are an hour closer.
    path.write_text("2026-03-08T01:59:30\n2026-03-08T03:00:30\n2026-03-08T03:00:40+00:00\n")
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        times = read_trace(path, "timestamps").times
    finally:
        monkeypatch.undo()
        time.tzset()
    assert times is not None
    assert times.tolist() == [30, 3690, 3700]


@pytest.mark.parametrize("text", ["count\n3\n4\n", "minute, count\n0, 3\n1, 4\n", "3\n4\n"])
def test_the_mark_that_excel_puts_before_a_file_is_no_part_of_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8-sig")
    counts = read_trace(path, "counts", column="count" if "count" in text else None).counts
    assert counts is not None
    assert counts.tolist() == [3, 4]
    path.write_text("took\n3\n4\n", encoding="utf-8-sig")
    assert read_samples(path, "took", "s") == (3.0, 4.0)


EVERY_FIVE = "time,count\n2026/01/01 00:00:00,5\n2026/01/01 00:15:00,8\n2026/01/01 00:05:00,6\n"


def test_counts_stand_where_their_time_stamps_say(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(EVERY_FIVE)
    trace = read_trace(path, "counts", period=300.0)
    assert trace.counts is not None
    assert (trace.counts.tolist(), trace.length) == ([5, 6, 0, 8], 1200.0)


@pytest.mark.parametrize(
    ("text", "period", "message"),
    [
        (EVERY_FIVE, None, "t.csv: the time stamps are 5 min or more apart; .* `period: 5 min`"),
        (EVERY_FIVE, 240.0, "time stamps of the counts are no whole multiples of 4 min apart"),
        (EVERY_FIVE.replace("00:05", "00:00"), None, "time stamps of the counts are equal"),
        (EVERY_FIVE + "later,4\n", 300.0, "t.csv:5: no time stamp in the first column"),
    ],
)
def test_time_stamps_that_do_not_fit_the_period_are_refused(
    text: str, period: float | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_trace(path, "counts", period=period)


def test_a_row_of_several_columns_is_not_taken_for_one_time_stamp(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for text in ("timestamp,count\n2026-01-01T00:00:00,5\n", "1.5,5\n2.5,7\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"t.csv:1: has 2 columns; name the one .* `layout: counts`"):
            read_trace(path, "timestamps")


@pytest.mark.skipif(not (SHARED / "traces").is_dir(), reason="the real trace is not part of the project")
def test_a_slice_of_the_real_azure_trace() -> None:
    trace = read_trace(SHARED / "traces" / "azure2021_200.csv", "azure2021")
    assert trace.times is not None
    assert trace.times.size == 199
    assert trace.length == 21 * 60
