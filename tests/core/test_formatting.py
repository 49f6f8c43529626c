"""Numbers as people read them."""

from __future__ import annotations

import pytest

from rollout_sim.core.formatting import number, number_with_interval, share, share_with_interval, show_duration
from rollout_sim.core.statistics import Estimate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0%"),
        (0.00123, "0.123%"),
        (0.5, "50%"),
        (0.99, "99%"),
        (0.99962, "99.962%"),
        (1.0, "100%"),
        (1.234, "123%"),
    ],
)
def test_shares_keep_three_digits_of_what_matters(value: float | None, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.12345, "0.123"), (99.4, "99.4"), (1234.5, "1,234"), (-250.0, "-250")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (float("nan"), "-"), (0.0, "0 s"), (0.08, "80 ms"), (90.0, "1.5 min"), (3600.0, "60 min"),
        (7200.0, "2 h"), (86400.0, "24 h"), (3e6, "34.7 d"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert show_duration(seconds) == text


def test_estimates_stand_before_their_intervals() -> None:
    estimate = Estimate(n=3, mean=0.04, low=0.03, high=None, quantiles={})
    assert share_with_interval(estimate) == "4% [3%, -]"
    assert number_with_interval(estimate) == "0.04 [0.03, -]"
    assert share_with_interval(None) == number_with_interval(None) == "-"
