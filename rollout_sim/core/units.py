"""Quantities as people write them, "80 ms", "50/s", "4%", to plain floats and back.

This is the one place where text becomes a number. Inside the package times are seconds, rates are
events per second, shares are fractions and sizes are megabytes; the annotated types at the end
(`Seconds`, `PerSecond`, `Share`, ...) let a plain dataclass say which of these a field is.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation, Overflow
from typing import Final

from rollout_sim.core.arrays import FloatArray, IntArray

UNITS: Final[dict[str, dict[str, Decimal]]] = {
    "duration": {
        "us": Decimal("1e-6"),
        "ms": Decimal("1e-3"),
        "s": Decimal(1),
        "min": Decimal(60),
        "h": Decimal(3600),
        "d": Decimal(86400),
        "m": Decimal(60),
    },
    "rate": {"/s": Decimal(1), "/min": 1 / Decimal(60), "/h": 1 / Decimal(3600), "/d": 1 / Decimal(86400)},
    "share": {"%": Decimal("0.01")},
    "factor": {"x": Decimal(1)},
    "size": {"KB": Decimal("1e-3"), "MB": Decimal(1), "GB": Decimal(1000)},
}
"""Every unit that a kind of quantity takes, and its value in the package's own unit."""
MAXIMA: Final = {"duration": 36_500 * 86400.0, "rate": 1e9, "share": 1e6, "factor": 1e6, "size": 1e6}
"""The largest value of each kind, in the package's own unit: a hundred years, a billion a second, a terabyte."""
TICK: Final = 1e-6
"""Seconds by which times are told apart: everything happens at a whole microsecond."""
_TICKS: Final = 1e6
_EXAMPLES: Final = {"duration": "80 ms", "rate": "50/s", "share": "4%", "factor": "2x", "size": "3 MB"}
_ARTICLES: Final = {
    "duration": "a duration",
    "rate": "a rate",
    "share": "a share",
    "factor": "a factor",
    "size": "a size",
}
_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


def _decimal(text: str) -> Decimal:
    """The number in a text; one that not even a Decimal can hold counts as infinite."""
    try:
        return Decimal(text)
    except (Overflow, InvalidOperation):
        return Decimal("Infinity")


def parse(value: object, kind: str, most: float | None = None) -> float:
    """The number that a text such as `80 ms` stands for, in the package's own unit.

    `kind` is a key of `UNITS`. Raises ValueError for anything that is not a number up to `most` (by default
    that of `MAXIMA`) followed by one of the kind's units; a bare number is refused unless it is zero.

    Examples:
        >>> parse("80 ms", "duration"), parse("4%", "share"), parse("30/min", "rate")
        (0.08, 0.04, 0.5)
    """
    result = _value(value, kind)
    most = MAXIMA[kind] if most is None else most
    if abs(result) > most:
        raise ValueError(f"must be at most {text(most, kind)}, got {value!r}")
    return result


def _wanted(kind: str) -> str:
    units = ", ".join(unit for unit in UNITS[kind] if unit != "m")
    return f"{_ARTICLES[kind]} needs a unit: {units} (for example {_EXAMPLES[kind]})"


def _value(value: object, kind: str) -> float:
    wanted = _wanted(kind)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{wanted}, got {value!r}")
    if not isinstance(value, str):
        if value == 0:
            return 0.0
        raise ValueError(f"{wanted}, got the bare number {value!r}")
    match = _NUMBER.fullmatch(value)
    if match is None:
        raise ValueError(f"{wanted}, got {value!r}")
    number, unit = _decimal(match[1]), match[2]
    if unit == "" and number == 0:
        return 0.0
    if unit not in UNITS[kind]:
        raise ValueError(f"{wanted}, got {value!r}")
    try:
        result = float(number * UNITS[kind][unit])
    except (Overflow, InvalidOperation):
        result = math.inf
    return result


def micros(t: float) -> int:
    """`t` (s) in whole microseconds, to the nearest one."""
    return math.floor(t * _TICKS + 0.5)


def seconds(due: int) -> float:
    """The time (s) of so many microseconds."""
    return due / _TICKS


def first_micro(t: float) -> int:
    """The first whole microsecond whose time is not before `t` (s)."""
    due = micros(t)
    return due + 1 if seconds(due) < t else due


def tick(t: float) -> float:
    """`t` (s) to the nearest microsecond, so that times that are equal on paper are equal: 3 x 0.1 s is 0.3 s."""
    return math.floor(t * _TICKS + 0.5) / _TICKS  # `seconds(micros(t))`, written out: several of these per invocation


def ticks(times: FloatArray) -> FloatArray:
    """`tick` of each of `times` (s), to the same bit."""
    import numpy as np

    result: FloatArray = times * _TICKS  # one array for all steps: a new one for each takes longer than the step
    result += 0.5
    np.floor(result, out=result)
    result /= _TICKS
    return result


def all_micros(times: FloatArray) -> IntArray:
    """`micros` of each of `times` (s), rising `ticks`; those beyond all horizons as the largest of `MAXIMA`."""
    import numpy as np

    if times.size and times[-1] > MAXIMA["duration"]:
        times = np.minimum(times, MAXIMA["duration"])
    whole = times * _TICKS
    np.rint(whole, out=whole)
    return whole.astype(np.int64)


def text(value: float, kind: str) -> str:
    """`value`, in the package's own unit, as the shortest text that `parse` turns back into it.

    Examples:
        >>> text(0.08, "duration"), text(0.04, "share"), text(5400.0, "duration")
        ('80 ms', '4%', '90 min')
    """
    if value == 0:
        return {"duration": "0 s", "rate": "0/s", "share": "0%", "factor": "0x", "size": "0 MB"}[kind]
    gap = " " if kind in ("duration", "size") else ""
    written = []
    for unit, scale in UNITS[kind].items():
        number = Decimal(repr(value)) / scale
        for digits in range(1, 29):
            candidate = f"{number:.{digits}g}"
            if "e" in candidate:
                candidate = f"{Decimal(candidate):f}"
            if unit != "m" and _value(f"{candidate}{gap}{unit}", kind) == value:
                written.append((len(candidate), f"{candidate}{gap}{unit}"))
                break
    return min(written)[1]
