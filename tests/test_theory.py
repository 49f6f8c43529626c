"""Closed forms: published figures, brute force over all outcomes, and textbook formulas they must agree with."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sim.control.slo import budget_events
from rollout_sim.theory import (
    alarm_fired,
    alarm_run_chain,
    bad_requests_until,
    burn_alert_time,
    catch_probability,
    cold_burst,
    detection_probability,
    erlang_b,
    mean_run_length,
    mg_infinity_mean,
    mg_infinity_pmf,
    no_request_probability,
    time_to_detect,
)

DAY = 86400.0
ALARMS = [(m, n) for n in range(1, 6) for m in range(1, n + 1)]
SHARES = st.floats(0, 1)


def test_the_readme_says_how_often_the_alarm_of_checkout_stops_a_good_version() -> None:
    """SAM's default sends it 300 requests a minute for five minutes; 2 of 2 minutes with one of a thousand that fail."""
    share = alarm_fired(1 - math.exp(-300 * 0.001), 2, 2, 5)
    for page in ("README.md", "docs/comparing.md"):
        text = " ".join((Path(__file__).parents[1] / page).read_text(encoding="utf-8").split())
        intervals = re.findall(r"in [0-9.]+% \[([0-9.]+)%, ([0-9.]+)%\] of the rollouts", text)
        low, high = (float(end) / 100 for end in intervals[0])
        assert low < share < high


# --- detection ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "error_rate", "at_least", "probability"),
    [(10, 0.02, 1, 0.997521), (10, 0.02, 5, 0.714943), (10, 0.02, 10, 0.083924), (1, 0.01, 1, 0.259182)],
)
def test_detection_in_five_minutes_of_a_tenth(
    rate: float, error_rate: float, at_least: int, probability: float
) -> None:
    assert round(detection_probability(rate, 0.1, 300, error_rate, at_least), 6) == probability


@pytest.mark.parametrize(("at_least", "minutes"), [(1, 49.93), (3, 104.93), (5, 152.56)])
def test_time_to_detect_with_95_percent(at_least: int, minutes: float) -> None:
    assert round(time_to_detect(1, 0.1, 0.01, at_least, 0.95) / 60, 2) == minutes


@pytest.mark.parametrize(("minutes", "probability"), [(5, 0.6065), (30, 0.0498)])
def test_a_request_a_minute_leaves_a_canary_without_any(minutes: float, probability: float) -> None:
    assert round(no_request_probability(1 / 60, 0.1, minutes * 60), 4) == probability


@given(st.integers(0, 12), st.floats(0, 20))
def test_detection_is_the_poisson_tail(at_least: int, expected: float) -> None:
    below = sum(math.exp(-expected) * expected**k / math.factorial(k) for k in range(at_least))
    assert detection_probability(expected, 1, 1, 1, at_least) == pytest.approx(1 - below, abs=1e-12)


@given(st.integers(1, 50), st.floats(0.001, 0.999))
def test_time_to_detect_inverts_detection(at_least: int, probability: float) -> None:
    seconds = time_to_detect(3, 0.2, 0.05, at_least, probability)
    assert detection_probability(3, 0.2, seconds, 0.05, at_least) == pytest.approx(probability)


def test_detection_at_its_ends() -> None:
    assert detection_probability(1, 0, 60, 1) == 0
    assert detection_probability(1, 0, 60, 1, at_least=0) == 1
    assert time_to_detect(1, 0.1, 0, 1, 0.95) == math.inf
    assert time_to_detect(1, 0.1, 0, 1, 0) == 0
    assert time_to_detect(1, 0.1, 0.1, 0, 0.95) == 0
    assert time_to_detect(1, 0.1, 0.1, 1, 1) == math.inf


# --- budgets --------------------------------------------------------------------------------------------------


def test_budget_of_three_nines_over_thirty_days() -> None:
    assert budget_events(0.999, 10, 30 * DAY) == pytest.approx(25_920)


@pytest.mark.parametrize(
    ("plan", "bad"),
    [
        ([(0.0, 1.0)], 480),
        ([(0.0, 0.1), (60.0, 0.2), (120.0, 0.3), (180.0, 0.4), (240.0, 0.5)], 120),
        ([(0.0, 0.1)], 48),
        ([(0.0, 0.1), (300.0, 1.0)], 48),
        ([(240.0, 1.0)], 0),
        ([], 0),
    ],
    ids=["all at once", "linear", "canary", "promoted later", "shifted at the end", "nothing"],
)
def test_bad_requests_found_after_four_minutes(plan: list[tuple[float, float]], bad: float) -> None:
    assert bad_requests_until(plan, 10, 0.2, 240) == pytest.approx(bad)


@pytest.mark.parametrize(
    ("weight", "seconds"),
    [(1.0, 259.2), (0.1, 43.2 * 60), (0.05, math.inf), (0.072, math.inf), (0.0721, 3600 / 1.00138889)],
)
def test_a_fast_burn_alert_over_an_hour(weight: float, seconds: float) -> None:
    """A weight of 7.2% settles at exactly 14.4, which does not exceed it."""
    assert burn_alert_time(14.4, 0.999, 0.2, weight, 3600) == pytest.approx(seconds)


def test_cold_burst() -> None:
    assert cold_burst(50, 0.1, 0.35, 0.25) == pytest.approx(4)
    assert cold_burst(50, 0, 0.35, 0.25) == 1


# --- queues ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("servers", "refused"), [(1, 0.64182), (2, 0.36510), (3, 0.17903), (5, 0.02592)])
def test_erlang_b_at_the_load_of_the_simfaas_example(servers: int, refused: float) -> None:
    """By hand for one server: a / (1 + a) with a = 0.9 × 1.991 erlang is 1.7919 / 2.7919 = .64182."""
    assert round(erlang_b(servers, 0.9 * 1.991), 5) == refused


@given(st.integers(0, 40), st.floats(0.01, 50))
def test_erlang_b_is_the_truncated_poisson(servers: int, load: float) -> None:
    terms = [load**k / math.factorial(k) for k in range(servers + 1)]
    assert erlang_b(servers, load) == pytest.approx(terms[-1] / sum(terms))


def test_erlang_b_neither_overflows_nor_divides_by_zero() -> None:
    assert erlang_b(5000, 5000) == pytest.approx(math.sqrt(2 / (math.pi * 5000)), rel=0.02)
    assert (erlang_b(0, 3), erlang_b(0, 0), erlang_b(3, 0)) == (1, 1, 0)
    assert erlang_b(10**15, 40.0) == 0  # at once


def test_infinite_servers_hold_a_poisson_number() -> None:
    shares = [mg_infinity_pmf(k, 5, 0.7) for k in range(60)]
    assert sum(shares) == pytest.approx(1)
    assert np.average(range(60), weights=shares) == pytest.approx(mg_infinity_mean(5, 0.7)) == pytest.approx(3.5)
    assert shares[0] == pytest.approx(math.exp(-3.5))
    assert shares[2] == pytest.approx(math.exp(-3.5) * 3.5**2 / 2)


# --- alarms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "n"), ALARMS)
@pytest.mark.parametrize("lag", [0, 1, 3])
def test_an_alarm_fires_as_often_as_over_all_sequences(m: int, n: int, lag: int) -> None:
    breach, periods = 0.3, 8
    fired = 0.0
    for sequence in itertools.product((0, 1), repeat=periods - lag):
        windows = (sequence[max(0, end - n) : end] for end in range(1, len(sequence) + 1))
        if any(sum(window) >= m for window in windows):
            fired += math.prod(breach if x else 1 - breach for x in sequence)
    assert alarm_fired(breach, m, n, periods, lag) == pytest.approx(fired, abs=1e-12)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 3), (3, 5), (5, 5)])
def test_the_mean_run_length_is_the_sum_of_its_tail(m: int, n: int) -> None:
    tail = 1.0 + sum(1 - alarm_fired(0.8, m, n, k) for k in range(1, 250))
    assert mean_run_length(0.8, m, n) == pytest.approx(tail, rel=1e-9)
    assert mean_run_length(0.8, m, n, lag=2) == pytest.approx(tail + 2, rel=1e-9)


@given(st.floats(0.001, 0.9), st.integers(1, 6))
def test_mean_run_length_of_n_in_a_row(p: float, n: int) -> None:
    assert mean_run_length(p, n, n) == pytest.approx((1 - p**n) / ((1 - p) * p**n))


def test_a_rare_false_alarm_keeps_its_digits() -> None:
    assert mean_run_length(1e-6, 3, 3) == pytest.approx((1 + 1e-6 + 1e-12) / 1e-18, rel=1e-12)
    assert mean_run_length(0, 1, 1) == math.inf
    assert mean_run_length(1, 3, 5) == 3


def test_chain_of_two_of_three_by_hand() -> None:
    """States: nothing, breach just now, breach one before."""
    assert alarm_run_chain(2, 3) == ([0, 2, 0], [1, -1, -1])


@pytest.mark.parametrize(("m", "n"), [(0, 1), (2, 1), (10, 30)])
def test_impossible_and_endless_chains_are_refused(m: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"got {m} of {n}|{m} of {n} has too many histories"):
        alarm_run_chain(m, n)


def test_catching_in_single_periods_is_detection_of_the_first_breach() -> None:
    """Five minutes that each breach above 2 errors, of Poisson(6): the alarm misses when none does."""
    quiet = sum(math.exp(-6) * 6**k / math.factorial(k) for k in range(3))
    caught = catch_probability(10, [(0, 0.1)], 0.1, 300, threshold_count=2)
    assert caught == pytest.approx(1 - quiet**5)
    # A minute's lag costs the last period; two in a row need the chain.
    assert catch_probability(10, [(0, 0.1)], 0.1, 300, threshold_count=2, lag=1) == pytest.approx(1 - quiet**4)
    two = catch_probability(10, [(0, 0.1)], 0.1, 300, threshold_count=2, m=2, n=2)
    assert two == pytest.approx(alarm_fired(1 - quiet, 2, 2, 5))


def test_a_rollout_between_the_ends_of_periods_fills_its_first_one_partly() -> None:
    caught = catch_probability(1, [(90, 0.5)], 0.1, 180)
    assert caught == pytest.approx(1 - math.exp(-1 * 0.5 * 0.1 * 90))
    assert catch_probability(1, [(90, 0.5)], 0.1, 179) == pytest.approx(1 - math.exp(-1 * 0.5 * 0.1 * 30))


@pytest.mark.parametrize(
    "call",
    [
        lambda: catch_probability(1, [], 0.1, 60),
        lambda: catch_probability(1, [(0, 0.1)], 0.1, 60, period=0),
        lambda: catch_probability(1, [(60, 0.1), (0, 0.2)], 0.1, 60),
        lambda: bad_requests_until([(math.nan, 0.1)], 1, 0.1, 60),
        lambda: detection_probability(1, 10, 60, 0.1),
        lambda: burn_alert_time(14.4, 1, 0.2, 1, 3600),
        lambda: erlang_b(-1, 1),
    ],
)
def test_impossible_input_is_refused(call: Callable[[], float]) -> None:
    with pytest.raises(ValueError, match=r"must|leaves no"):
        call()
