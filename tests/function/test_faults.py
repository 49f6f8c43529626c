"""Faults: when they have set in, how they add up, and that a larger share only ever adds failures."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rollout_sim.function.faults import (
    CRASH_DURATION,
    CRASHED,
    ERROR,
    FAILED_RESPONSE,
    INIT_FAILED,
    KINDS,
    OK,
    TIMED_OUT,
    Fault,
    Leak,
    Load,
    Slowdown,
    Subset,
    failure_shares,
    intensity,
    outcome_of,
    resolve_invocation,
    rows_of,
    slowdown,
)

shares = st.floats(0, 1)


@pytest.mark.parametrize(("t", "expected"), [(99.9, 0), (100, 0), (105, 0.5), (110, 1), (199.9, 1), (200, 0)])
def test_a_fault_rises_over_its_ramp_and_ends(t: float, expected: float) -> None:
    assert intensity(t, 100, 10, 200) == pytest.approx(expected)


def test_without_a_ramp_a_fault_is_there_at_its_onset() -> None:
    assert (intensity(99.999, 100, 0, math.inf), intensity(100, 100, 0, math.inf)) == (0, 1)


INIT, HANG, CRASH, ERRORS, RESPONSES = range(5)


def share_of_failures(faults: tuple[Fault, ...], t: float = 0, **more: Any) -> tuple[float, ...]:
    """Init failures, hangs, crashes, errors and failed responses like this, version error rate 1%, none of the last."""
    state = {"cold": False, "age": 0.0, "running": 1, "user_quantile": 2.0} | more
    return failure_shares(rows_of(faults, 0), 0.01, 0.0, t, **state)


def test_faults_strike_independently() -> None:
    both = share_of_failures((Fault(errors=0.1), Fault(errors=0.2)))
    assert both == pytest.approx((0, 0, 0, 1 - 0.99 * 0.9 * 0.8, 0))


def test_each_kind_of_failure_is_told_apart() -> None:
    every = share_of_failures(
        (Fault(hang=0.1), Fault(crash=0.2), Fault(errors=0.3), Fault(responses=0.4), Fault(responses=0.5))
    )
    assert every == pytest.approx((0, 0.1, 0.2, 1 - 0.99 * 0.7, 1 - 0.6 * 0.5))


def behave(u: float, *faults: Fault, timeout: float = 3.0) -> tuple[int, float, float]:
    """Outcome, init and duration of a warm invocation of 100 ms whose fault draw is `u`; 1% errors, 10% failed responses."""
    return resolve_invocation(rows_of(faults, 0), 0.01, 0.1, timeout, 10.0, u, 0.5, 60.0, False, 0.0, 1, 2.0, 0.1, 0.0)


def test_a_crash_is_over_at_once_and_a_hang_at_the_timeout() -> None:
    assert behave(0.1, Fault(crash=0.2)) == (CRASHED, 0.0, CRASH_DURATION)
    assert behave(0.1, Fault(hang=0.2)) == (TIMED_OUT, 0.0, 3.0)
    assert behave(0.1, Fault(crash=0.2), timeout=0.005) == (TIMED_OUT, 0.0, 0.005)


def test_a_failed_response_takes_as_long_as_a_success() -> None:
    assert [behave(u)[0] for u in (0.0099, 0.0101, 0.108, 0.110)] == [ERROR, FAILED_RESPONSE, FAILED_RESPONSE, OK]
    assert [behave(u, Fault(responses=0.5))[0] for u in (0.0099, 0.0101, 0.55, 0.56)] == [
        ERROR,
        *2 * [FAILED_RESPONSE],
        OK,
    ]
    assert behave(0.05)[1:] == behave(0.5)[1:] == (0.0, 0.1)
    assert behave(0.05, timeout=0.1) == (TIMED_OUT, 0.0, 0.1)


def test_times_count_from_the_rollout() -> None:
    rows = rows_of((Fault(errors=1.0, onset=120.0, until=180.0),), 600)
    strength = [failure_shares(rows, 0.0, 0.0, t, False, 0, 1, 2)[ERRORS] for t in (719, 720, 779, 780)]
    assert strength == [0, 1, 1, 0]


def test_init_faults_touch_cold_starts_only() -> None:
    fault = (Fault(init=0.3),)
    assert share_of_failures(fault, cold=True)[INIT] == pytest.approx(0.3)
    assert share_of_failures(fault, cold=False)[INIT] == 0


def test_a_leak_grows_with_the_age_of_the_environment() -> None:
    leak = (Fault(leak=Leak(per=600, errors=0.02, latency=Slowdown(add=0.1))),)
    ages = [share_of_failures(leak, age=age)[ERRORS] for age in (0, 600, 1200, 1e9)]
    assert ages == pytest.approx([0.01, 1 - 0.99 * 0.98, 1 - 0.99 * 0.96, 1])
    assert slowdown(rows_of(leak, 0), 0, 1200, 1, 0.5) == pytest.approx((1, 0.2, 1, 0))


def test_load_begins_above_its_limit() -> None:
    load = (Fault(load=Load(above=10, errors=0.5, latency=Slowdown(factor=2))),)
    assert [share_of_failures(load, running=n)[ERRORS] for n in (10, 11)] == pytest.approx([0.01, 1 - 0.99 * 0.5])
    assert [slowdown(rows_of(load, 0), 0, 0, n, 0.5)[0] for n in (10, 11)] == [1, 2]


def test_a_subset_is_always_the_same_users() -> None:
    subset = (Fault(subset=Subset(users=0.05)),)
    assert [share_of_failures(subset, user_quantile=u)[ERRORS] for u in (0.0, 0.0499, 0.05, 2.0)] == pytest.approx(
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


@given(shares, shares, shares, shares, shares)
def test_outcomes_have_their_shares(init: float, hang: float, crash: float, error: float, response: float) -> None:
    n = 2000
    drawn = [outcome_of((k + 0.5) / n, init, hang, crash, error, response) for k in range(n)]
    expected, left = {}, 1.0
    for code, share in (
        (INIT_FAILED, init), (TIMED_OUT, hang), (CRASHED, crash), (ERROR, error), (FAILED_RESPONSE, response), (OK, 1.0),
    ):  # fmt: skip
        expected[code], left = left * share, left * (1 - share)
    for code, share in expected.items():
        assert drawn.count(code) / n == pytest.approx(share, abs=2 / n)


@given(st.floats(0, 1, exclude_max=True), st.lists(shares, min_size=5, max_size=5), st.integers(0, 4), shares)
def test_a_larger_share_never_heals(u: float, kinds: list[float], which: int, other: float) -> None:
    low, high = sorted((kinds[which], other))
    less, more = ([*kinds[:which], share, *kinds[which + 1 :]] for share in (low, high))
    if outcome_of(u, *less) != OK:
        assert outcome_of(u, *more) != OK


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
        {"hang": "1%"},
        {"responses": "4%"},
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
