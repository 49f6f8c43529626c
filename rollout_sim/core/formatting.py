"""Numbers, shares, intervals and durations as people read them."""

from __future__ import annotations

import math

from rollout_sim.core.statistics import Estimate

NONE = "-"
"""Stands for a value that does not exist."""
LEAST = 0.001
"""What is smaller, in the unit in which it is written, is only said to be less."""


def show_duration(seconds: float | None) -> str:
    """A time (s) with at most three digits, in the unit that reads best; `-` for None and NaN."""
    if seconds is None or math.isnan(seconds):
        return NONE
    size = abs(seconds)
    for unit, scale in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if size >= scale * (2 if unit in ("d", "h") else 1):
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms" if size else "0 s"


def percentage(value: float) -> str:
    """A share (fraction) in percent, without the sign: three digits, or what is missing to 100 with two digits."""
    if 0.99 < value < 1:
        return f"{100 - float(f'{(1 - value) * 100:.2g}'):.10g}"
    if 0 < abs(value) * 100 < LEAST:
        return _less(value)
    return f"{value * 100:.0f}" if abs(value) >= 0.995 else f"{value * 100:.3g}"


def share(value: float | None) -> str:
    """A share (fraction) as a percentage, `-` for None."""
    return NONE if value is None else f"{percentage(value)}%"


def number(value: float | None) -> str:
    """A number with three digits, or with its thousands marked; `-` for None."""
    if value is None:
        return NONE
    if 0 < abs(value) < LEAST:
        return _less(value)
    return f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.3g}"


def _less(value: float) -> str:
    """What there is of a value next to zero: that it is there, and on which side."""
    return f"<{LEAST:g}" if value > 0 else f"-<{LEAST:g}"


def share_with_interval(estimate: Estimate | None) -> str:
    """An estimated share and its interval, `4% [3%, 5%]`; `4%` where all three are written alike, `-` for None."""
    return NONE if estimate is None else _with_interval(*map(share, (estimate.mean, estimate.low, estimate.high)))


def number_with_interval(estimate: Estimate | None) -> str:
    """An estimated number and its interval, `120 [101, 139]`; `120` where all three are written alike, `-` for None."""
    return NONE if estimate is None else _with_interval(*map(number, (estimate.mean, estimate.low, estimate.high)))


def duration_with_interval(estimate: Estimate | None) -> str:
    """An estimated time (s) and its interval, `4 min [3.9 min, 4.1 min]`; `4 min` where all are written alike, `-` for None."""
    if estimate is None:
        return NONE
    return _with_interval(*map(show_duration, (estimate.mean, estimate.low, estimate.high)))


def _with_interval(mean: str, low: str, high: str) -> str:
    return mean if mean == low == high else f"{mean} [{low}, {high}]"
