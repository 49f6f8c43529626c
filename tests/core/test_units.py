from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sim.core import fields
from rollout_sim.core.fields import Quantity
from rollout_sim.core.formatting import show_duration
from rollout_sim.core.units import MAXIMA, UNITS, parse, text


@pytest.mark.parametrize(
    ("written", "kind", "value"),
    [
        ("80 ms", "duration", 0.08),
        ("80ms", "duration", 0.08),
        (" 1.5 s ", "duration", 1.5),
        ("10 min", "duration", 600.0),
        ("10 m", "duration", 600.0),
        ("30 d", "duration", 2_592_000.0),
        ("5 us", "duration", 5e-6),
        ("1e3 s", "duration", 1000.0),
        ("-2 min", "duration", -120.0),
        (".5 h", "duration", 1800.0),
        ("0", "duration", 0.0),
        (0, "duration", 0.0),
        (0.0, "share", 0.0),
        ("50/s", "rate", 50.0),
        ("50 /s", "rate", 50.0),
        ("6/min", "rate", 0.1),
        ("36/h", "rate", 0.01),
        ("4%", "share", 0.04),
        ("99.9%", "share", 0.999),
        ("99.99%", "share", 0.9999),
        ("0.1%", "share", 0.001),
        ("2x", "factor", 2.0),
        ("3 MB", "size", 3.0),
        ("250 KB", "size", 0.25),
        ("1.5 GB", "size", 1500.0),
    ],
)
def test_reads_the_nearest_float(written: object, kind: str, value: float) -> None:
    assert parse(written, kind) == value


@pytest.mark.parametrize(
    ("written", "kind", "complaint"),
    [
        (80, "duration", "got the bare number 80"),
        (0.5, "share", "got the bare number 0.5"),
        ("80", "duration", "got '80'"),
        ("80 ms ago", "duration", "got '80 ms ago'"),
        ("80 sec", "duration", "got '80 sec'"),
        ("4%", "duration", "got '4%'"),
        ("4 s", "share", "got '4 s'"),
        ("10:30", "duration", "got '10:30'"),
        ("1_000 s", "duration", "got '1_000 s'"),
        ("nan s", "duration", "got 'nan s'"),
        ("inf s", "duration", "got 'inf s'"),
        ("1e400 s", "duration", "at most 36500 d"),
        ("", "rate", "got ''"),
        (True, "duration", "got True"),
        (False, "share", "got False"),
        (None, "rate", "got None"),
        ([1], "size", r"got \[1\]"),
    ],
)
def test_refuses_what_is_no_quantity(written: object, kind: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(written, kind)


def test_a_refusal_lists_the_units() -> None:
    with pytest.raises(ValueError, match=r"a duration needs a unit: us, ms, s, min, h, d \(for example 80 ms\)"):
        parse("80", "duration")


@given(kind=st.sampled_from(list(UNITS)), share=st.floats(min_value=-1, max_value=1))
def test_text_is_read_back_to_the_very_same_float(kind: str, share: float) -> None:
    value = share * MAXIMA[kind]
    assert parse(text(value, kind), kind) == value


@given(
    kind=st.sampled_from(list(UNITS)),
    number=st.decimals(min_value=-1000, max_value=1000, places=3, allow_nan=False),
    data=st.data(),
)
def test_what_people_write_survives_a_round_trip(kind: str, number: object, data: st.DataObject) -> None:
    value = parse(f"{number} {data.draw(st.sampled_from(list(UNITS[kind])))}", kind)
    assert parse(text(value, kind), kind) == value


@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        (0.08, "duration", "80 ms"),
        (600.0, "duration", "10 min"),
        (2_592_000.0, "duration", "30 d"),
        (0.0, "duration", "0 s"),
        (0.999, "share", "99.9%"),
        (0.04, "share", "4%"),
        (50.0, "rate", "50/s"),
        (2.0, "factor", "2x"),
        (3.0, "size", "3 MB"),
    ],
)
def test_text_is_what_people_would_write(value: float, kind: str, written: str) -> None:
    assert text(value, kind) == written


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (math.nan, "-"),
        (0.0, "0 s"),
        (0.0805, "80.5 ms"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (5400.0, "90 min"),
        (7200.0, "2 h"),
        (172_800.0, "2 d"),
        (-90.0, "-1.5 min"),
    ],
)
def test_durations_for_people(seconds: float | None, shown: str) -> None:
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(
    ("quantity", "written", "complaint"),
    [
        (Quantity(kind="duration"), "-1 s", "must be at least 0 s, got '-1 s'"),
        (Quantity(kind="share", high=1.0), "101%", "must be at most 100%, got '101%'"),
        (Quantity(kind="duration", above=0.0), "0 s", "must be more than 0 s, got '0 s'"),
        (Quantity(kind="share", bare=True, high=1.0), 101, "must be at most 100%, got 101"),
        (Quantity(kind="share", bare=True), math.inf, "needs a finite number, got inf"),
        (Quantity(kind="share", bare=True), True, "got True"),
    ],
)
def test_bounds(quantity: Quantity, written: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        quantity.read(written)


def test_ends_of_the_bounds_are_allowed() -> None:
    assert Quantity(kind="share", high=1.0).read("100%") == 1.0
    assert Quantity(kind="share", high=1.0).read("0%") == 0.0


def test_a_percent_may_be_bare() -> None:
    percent: Quantity = fields.Percent.__metadata__[0]
    assert percent.read(10) == percent.read("10%") == 0.1
    assert percent.read(33.3) == pytest.approx(0.333, rel=1e-15)
