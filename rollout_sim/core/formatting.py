"""Numbers, shares, intervals and durations as people read them."""

from __future__ import annotations

import math

from rollout_sim.core.statistics import Estimate


def show_duration(seconds: float | None) -> str:
    """A time for people: three digits at most, in the unit that reads best; `-` for none."""
    if seconds is None or math.isnan(seconds):
        return "-"
    size = abs(seconds)
    for unit, scale in (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if size >= scale * (2 if unit in ("d", "h") else 1):
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1000:.3g} ms" if size else "0 s"


def share(value: float | None) -> str:
    """A share as a percentage with three digits, of what it misses 100% by where that is little; `-` for none."""
    if value is None:
        return "-"
    if 0.99 < value < 1:
        return f"{100 - float(f'{(1 - value) * 100:.2g}'):.10g}%"
    return f"{value * 100:.0f}%" if abs(value) >= 0.995 else f"{value * 100:.3g}%"


def share_interval(mean: float, low: float | None, high: float | None) -> str:
    """A share and its interval."""
    return f"{share(mean)} [{share(low)}, {share(high)}]"


def shares(estimate: Estimate | None) -> str:
    """An estimated share and its interval, `-` for none."""
    return "-" if estimate is None else share_interval(estimate.mean, estimate.low, estimate.high)


def interval_of(mean: float, low: float | None, high: float | None) -> str:
    """A number and its interval."""
    return f"{number(mean)} [{number(low)}, {number(high)}]"


def number(value: float | None) -> str:
    """A number with three digits or its thousands marked, `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
