"""Faults: when they have set in, how they add up, and that a larger share only ever adds failures."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rollout_sim.function.faults import (
    CRASHED,
    ERROR,
    INIT_FAILED,
    KINDS,
    OK,
    Fault,
    Leak,
    Load,
    Slowdown,
    Subset,
    failure_shares,
    intensity,
    outcome_of,
    rows_of,
    slowdown,
)

shares = st.floats(0, 1)


@pytest.mark.parametrize(("t", "expected"), [(99.9, 0), (100, 0), (105, 0.5), (110, 1), (199.9, 1), (200, 0)])
def test_a_fault_rises_over_its_ramp_and_ends(t: float, expected: float) -> None:
    assert intensity(t, 100, 10, 200) == pytest.approx(expected)


def test_without_a_ramp_a_fault_is_there_at_its_onset() -> None:
    assert (intensity(99.999, 100, 0, math.inf), intensity(100, 100, 0, math.inf)) == (0, 1)


def share_of_failures(faults: tuple[Fault, ...], t: float = 0, **more: Any) -> tuple[float, float, float]:
    """Init failures, crashes and errors among invocations like this, version error rate 1%."""
    state = {"cold": False, "age": 0.0, "running": 1, "user_quantile": 2.0} | more
    return failure_shares(rows_of(faults, 0), 0.01, t, **state)


def test_faults_strike_independently() -> None:
    both = share_of_failures((Fault(errors=0.1), Fault(errors=0.2)))
    assert both == pytest.approx((0, 0, 1 - 0.99 * 0.9 * 0.8))


def test_times_count_from_the_rollout() -> None:
    rows = rows_of((Fault(errors=1.0, onset=120.0, until=180.0),), 600)
    strength = [failure_shares(rows, 0.0, t, False, 0, 1, 2)[2] for t in (719, 720, 779, 780)]
    assert strength == [0, 1, 1, 0]


def test_init_faults_touch_cold_starts_only() -> None:
    fault = (Fault(init=0.3),)
    assert share_of_failures(fault, cold=True)[0] == pytest.approx(0.3)
    assert share_of_failures(fault, cold=False)[0] == 0


def test_a_leak_grows_with_the_age_of_the_environment() -> None:
    leak = (Fault(leak=Leak(per=600, errors=0.02, latency=Slowdown(add=0.1))),)
    ages = [share_of_failures(leak, age=age)[2] for age in (0, 600, 1200, 1e9)]
    assert ages == pytest.approx([0.01, 1 - 0.99 * 0.98, 1 - 0.99 * 0.96, 1])
    assert slowdown(rows_of(leak, 0), 0, 1200, 1, 0.5) == pytest.approx((1, 0.2, 1, 0))


def test_load_begins_above_its_limit() -> None:
    load = (Fault(load=Load(above=10, errors=0.5, latency=Slowdown(factor=2))),)
    assert [share_of_failures(load, running=n)[2] for n in (10, 11)] == pytest.approx([0.01, 1 - 0.99 * 0.5])
    assert [slowdown(rows_of(load, 0), 0, 0, n, 0.5)[0] for n in (10, 11)] == [1, 2]


def test_a_subset_is_always_the_same_users() -> None:
    subset = (Fault(subset=Subset(users=0.05)),)
    assert [share_of_failures(subset, user_quantile=u)[2] for u in (0.0, 0.0499, 0.05, 2.0)] == pytest.approx(
        [1, 1, 0.01, 0.01]
    )


def test_latency_can_hit_a_share_and_ramps_up() -> None:
    rows = rows_of((Fault(latency=Slowdown(factor=3), share=0.2, ramp=10.0),), 0)
    assert slowdown(rows, 5, 0, 1, 0.19) == pytest.approx((2, 0, 1, 0))
    assert slowdown(rows, 5, 0, 1, 0.2) == (1, 0, 1, 0)


def test_many_slowdowns_together_are_still_a_number() -> None:
    rows = rows_of((Fault(latency=Slowdown(factor=1e6)), Fault(init=Slowdown(factor=1e6))) * 60, 0)
    factor, add, init_factor, init_add = slowdown(rows, 0, 0, 1, 0)
    assert (0 * factor + add, 0 * init_factor + init_add) == (0, 0)
    assert min(factor, init_factor) > 1e12


def test_init_can_be_slower() -> None:
    rows = rows_of((Fault(init=Slowdown(factor=2)), Fault(init=Slowdown(add=0.5))), 0)
    assert slowdown(rows, 0, 0, 1, 0) == (1, 0, 2, 0.5)


@given(shares, shares, shares)
def test_outcomes_have_their_shares(init: float, crash: float, error: float) -> None:
    n = 2000
    drawn = [outcome_of((k + 0.5) / n, init, crash, error) for k in range(n)]
    expected = {
        INIT_FAILED: init,
        CRASHED: (1 - init) * crash,
        ERROR: (1 - init) * (1 - crash) * error,
        OK: (1 - init) * (1 - crash) * (1 - error),
    }
    for code, share in expected.items():
        assert drawn.count(code) / n == pytest.approx(share, abs=2 / n)


@given(st.floats(0, 1, exclude_max=True), shares, shares, shares, shares)
def test_a_larger_share_never_heals(u: float, init: float, crash: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if outcome_of(u, init, crash, low) != OK:
        assert outcome_of(u, init, crash, high) != OK


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "exactly one of"),
        ({"errors": "4%", "crash": "1%"}, "errors and crash"),
        ({"errors": 4}, "needs a unit"),
        ({"errors": "120%"}, "at most 100%"),
        ({"errors": "4%", "share": "10%"}, "belongs to a latency fault"),
        ({"latency": "0x"}, "factor above 0"),
        ({"latency": "fast"}, "factor above 0"),
        ({"errors": "4%", "onset": "2 min", "until": "1 min"}, "must come after"),
        ({"leak": {"per": "10 min"}}, "does nothing"),
        ({"load": {"above": -1, "errors": "1%"}}, "0 or more"),
        ({"load": {"above": 3}}, "does nothing"),
    ],
)
def test_refusals(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Fault).validate_python(data)


@pytest.mark.parametrize(
    "data",
    [
        {"errors": "4%", "onset": "2 min"},
        {"latency": "2x", "share": "10%"},
        {"latency": "200 ms", "until": "1 h"},
        {"crash": "1%", "ramp": "5 min"},
        {"init": "5%"},
        {"init": "2x"},
        {"init": "500 ms"},
        {"leak": {"per": "10 min", "errors": "2%", "latency": "1.5x"}},
        {"load": {"above": 80, "latency": "100 ms"}},
        {"subset": {"users": "5%"}},
    ],
)
def test_every_kind_round_trips(data: dict[str, Any]) -> None:
    adapter = TypeAdapter(Fault)
    fault = adapter.validate_python(data)
    assert fault.kind in KINDS
    assert adapter.validate_python(adapter.dump_python(fault, exclude_defaults=True)) == fault
