"""Alarms: what one is, and CloudWatch's M of N evaluation with missing data, for a batch at once.

An alarm sees datapoints only: aligned periods, dated by the start of an invocation, visible `lag` after
the period ends. The leading axis of every array is the replication; one run is a batch of 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.metrics import Percentile, Scope
from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.core.fields import PositiveSeconds, Seconds
from rollout_sim.core.units import MAXIMA, parse

States = NDArray[np.int8]
Metric = Literal["invocations", "errors", "throttles", "error_rate", "duration", "burn_rate"]
Missing = Literal["missing", "ignore", "breaching", "not_breaching"]
STATES: Final = ("OK", "ALARM", "INSUFFICIENT_DATA")
"""The names of the state codes 0, 1 and 2."""
MAX_COUNT: Final = 1e12
"""The largest threshold of a count: what a billion requests a second come to in a quarter of an hour."""
OK: Final = 0
ALARM: Final = 1
INSUFFICIENT_DATA: Final = 2
COMPARE: Final = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
_LIMITS: Final = {
    "number": "a plain number, for example '> 5'",
    "ratio": "a plain number or a share, for example '> 5%'",
    "share": "a share, for example '> 5%'",
    "duration": "a duration, for example '> 800 ms'",
    "factor": "a plain factor, for example '> 14.4'",
}
_STATISTICS: Final[dict[str, tuple[str, ...]]] = {
    "invocations": ("sum",),
    "errors": ("sum", "average"),
    "throttles": ("sum", "average"),
    "error_rate": ("average",),
    "duration": ("average",),
    "burn_rate": (),
}
"""The statistics that a metric takes, its default first; `duration` takes percentiles as well."""
_PERCENTILE: Final = re.compile(r"p(\d{1,3}(?:\.\d{1,10})?)")
_LONG: Final = 3600.0
_SHORT: Final = 300.0


def evaluation_range(n: int) -> int:
    """How many of the newest periods an alarm over `n` looks at, to make up for missing ones: n + max(n // 3, 2)."""
    return n + max(n // 3, 2)


def evaluate_range(
    points: FloatArray, breaching: BoolArray, n: int, m: int, missing: Missing, previous: States
) -> States:
    """The states of an `m` of `n` alarm, given the datapoints of its evaluation range and the states it had.

    `points` has the shape (replications, range), oldest to newest, NaN where there is no datapoint; `breaching`,
    of the same shape, says which of them breach the threshold; `previous` and the result have the shape
    (replications,). With `n` real points the newest `n` decide and `missing` does not matter; else the gap is
    filled as `missing` says. Source: "Configuring how CloudWatch alarms treat missing data".
    """
    real = ~np.isnan(points)
    breaching = breaching & real
    # The rank of a point among the real ones, counted from the newest: 1, 2, 3, ...
    rank = real[:, ::-1].cumsum(axis=1)[:, ::-1]
    count = real.sum(axis=1)
    breaches = (breaching & (rank <= n)).sum(axis=1)
    enough = breaches >= m
    if missing == "breaching":
        enough |= breaches + np.maximum(n - count, 0) >= m
    states = np.where(enough, ALARM, OK).astype(np.int8)
    if missing in ("missing", "ignore"):
        # Only breaches, the oldest of them at least m periods old: had the gap breached too, m would be reached.
        age = points.shape[1] - breaching.argmax(axis=1)
        lasting = (breaching == real).all(axis=1) & (age >= m) & ~enough
        states = np.where(lasting, ALARM if missing == "missing" else previous, states)
        states = np.where(count == 0, INSUFFICIENT_DATA if missing == "missing" else previous, states)
    return states.astype(np.int8)


def alarm_state(
    points: Sequence[float | None],
    threshold: str = "> 5",
    datapoints: str = "2 of 3",
    missing: str = "not_breaching",
    previous: str = "OK",
) -> str:
    """The state that CloudWatch gives one alarm on `points`, oldest to newest, None or NaN for a missing one.

    Points older than the evaluation range are not looked at; where there are fewer, the older ones are missing.
    Raises ValueError for a threshold, datapoints, treatment or state that CloudWatch does not know.

    Examples:
        >>> alarm_state([0, 9, None, 9], threshold="> 5", datapoints="2 of 3")
        'ALARM'
    """
    comparator, limit = _threshold(threshold, "number")
    m, n = _datapoints(datapoints)
    if previous not in STATES:
        raise ValueError(f"previous: not an alarm state, got {previous!r}; allowed {', '.join(STATES)}")
    width = evaluation_range(n)
    newest = [math.nan if point is None else float(point) for point in points][-width:]
    row = np.array([[math.nan] * (width - len(newest)) + newest])
    before = np.array([STATES.index(previous)], np.int8)
    return STATES[evaluate_range(row, COMPARE[comparator](row, limit), n, m, _treatment(missing), before)[0]]


class _Parsed:
    """The numbers in an alarm's texts, read once; no fields, so that a file holds the texts alone."""

    comparator: str
    """How a datapoint is compared with the limit: `>`, `>=`, `<` or `<=`."""
    limit: float
    """The number in the threshold, in the package's own unit (counts, fractions, seconds, factors)."""
    m: int
    """How many datapoints must breach (CloudWatch's datapoints to alarm)."""
    n: int
    """Out of how many (CloudWatch's evaluation periods)."""
    percentile: Percentile | None
    """The percentile that the metrics must hold for this alarm, if it reads one."""


@dataclass(frozen=True, kw_only=True)  # no slots: what is parsed is kept beside the fields
class Alarm(_Parsed):
    """An alarm on one metric: in ALARM when `datapoints` (M of N) periods breach the `threshold`.

    `burn_rate` is how many times faster than allowed the error budget of `slo` burns, over the newest `long` and the
    newest `short` seconds.
    Raises ValueError where fields contradict each other or CloudWatch would refuse them.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    metric: Metric
    """What is watched. `error_rate` is metric maths, errors / invocations; `burn_rate` needs `slo`."""
    threshold: str
    """A comparison in quotes, such as `"> 0"`, `">= 1%"` or `"> 600 ms"`."""
    statistic: str | None = None
    """`sum` (the default for counts), `average` (for shares and `duration`) or a percentile of `duration`: `p99`."""
    of: Scope = "alias"
    """The alias as a whole, or one of the two versions behind it."""
    period: PositiveSeconds = 60.0
    """The length of a datapoint: 10, 20 or 30 s, or whole minutes."""
    datapoints: str = "1 of 1"
    """M of N: how many of the newest datapoints must breach."""
    missing: Literal["missing", "ignore", "breaching", "not_breaching", "notBreaching"] = "missing"
    """What a period without a datapoint counts as, in CloudWatch's four treatments."""
    lag: Seconds = 0.0
    """How long after its end a period becomes visible."""
    slo: str | None = None
    """With `burn_rate`: the name of the SLO."""
    long: PositiveSeconds = _LONG
    """With `burn_rate`: the long window."""
    short: PositiveSeconds = _SHORT
    """With `burn_rate`: the short window; both must breach."""

    def __post_init__(self) -> None:
        if self.metric not in get_args(Metric):
            raise ValueError(f"metric: unknown, got {self.metric!r}; allowed {', '.join(get_args(Metric))}")
        if self.of not in get_args(Scope):
            raise ValueError(f"of: unknown, got {self.of!r}; allowed {', '.join(get_args(Scope))}")
        object.__setattr__(self, "missing", _treatment(self.missing))
        m, n = _datapoints(self.datapoints)
        if self.period not in (10, 20, 30) and (self.period < 60 or self.period % 60):
            raise ValueError(f"period: got {self.period:g} s; allowed 10 s, 20 s, 30 s or a whole multiple of 60 s")
        days = 7 if self.period >= 3600 else 1
        if n * self.period > days * 86400:
            what = f"{n} periods of {self.period:g} s come to more than {days} d, got {self.datapoints!r}"
            raise ValueError(f"datapoints: {what}; allowed N up to {days * 86400 // self.period:g}")
        if self.metric == "burn_rate":
            self._check_burn_rate()
        else:
            self._check_statistic()
        comparator, limit = _threshold(self.threshold, self._limit_kind)
        share = None if self.metric != "duration" or self.statistic is None else _share(self.statistic)
        percentile = None if share is None else Percentile(of=self.of, share=share, period=self.period)
        parsed = {"comparator": comparator, "limit": limit, "m": m, "n": n, "percentile": percentile}
        for name, value in parsed.items():
            object.__setattr__(self, name, value)

    def _check_statistic(self) -> None:
        allowed = _STATISTICS[self.metric]
        if self.statistic is None:
            object.__setattr__(self, "statistic", allowed[0])
        elif self.statistic not in allowed and not (self.metric == "duration" and _share(self.statistic) is not None):
            percentiles = " and percentiles such as p50, p99 or p99.9" if self.metric == "duration" else ""
            raise ValueError(
                f"statistic: does not fit {self.metric}, got {self.statistic!r}; "
                f"allowed {', '.join(allowed)}{percentiles}"
            )
        if self.slo is not None or self.long != _LONG or self.short != _SHORT:
            raise ValueError(f"slo, long and short: only burn_rate takes them, got metric {self.metric!r}")

    def _check_burn_rate(self) -> None:
        if self.slo is None:
            raise ValueError("slo: burn_rate needs the name of an SLO, got none")
        if self.statistic is not None or self.period != 60 or self.datapoints != "1 of 1":
            raise ValueError(
                "statistic, period and datapoints: burn_rate does not take them, its windows are long and short; "
                f"got {self.statistic!r}, {self.period:g} s, {self.datapoints!r}"
            )
        if self.missing in ("ignore", "breaching"):
            raise ValueError(
                f"missing: a burn_rate window without requests burns nothing, got {self.missing!r}; "
                "allowed not_breaching"
            )
        for name, window in (("long", self.long), ("short", self.short)):
            if window < 60 or window % 60:
                raise ValueError(f"{name}: got {window:g} s; allowed whole multiples of 60 s")
        if self.short >= self.long:
            raise ValueError(f"short: must be less than long ({self.long:g} s), got {self.short:g} s")

    @property
    def _limit_kind(self) -> str:
        special = {"error_rate": "share", "duration": "duration", "burn_rate": "factor"}.get(self.metric)
        return special or ("ratio" if self.statistic == "average" else "number")

    @property
    def interval(self) -> float:
        """Seconds between evaluations: every minute, or every 10 s for periods below a minute."""
        return 60.0 if self.period >= 60 else 10.0


def _treatment(name: str) -> Missing:
    if name == "notBreaching":
        return "not_breaching"
    if name not in get_args(Missing):
        raise ValueError(f"missing: no such treatment, got {name!r}; allowed {', '.join(get_args(Missing))}")
    return cast(Missing, name)


def _datapoints(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,6})\s+of\s+(\d{1,6})\s*", text)
    m, n = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= m <= n:
        raise ValueError(f"datapoints: got {text!r}; allowed 'M of N' with 1 <= M <= N, for example '2 of 3'")
    return m, n


def _share(statistic: str) -> float | None:
    """The fraction that a percentile such as `p99.9` stands for; None for any other statistic."""
    match = _PERCENTILE.fullmatch(statistic)
    share = parse(f"{match[1]}%", "share") if match else 0.0
    return share if 0 < share <= 1 else None


def _threshold(text: str, kind: str) -> tuple[str, float]:
    """The comparator and the number of a threshold such as `>= 5%`; `kind` is a key of `_LIMITS`."""
    match = re.fullmatch(r"\s*(>=|<=|>|<)\s*(\S.*)", text)
    if match is None:
        raise ValueError(f"threshold: got {text!r}; allowed >, >=, < or <= and {_LIMITS[kind]}")
    number = match[2].strip()
    if kind == "ratio":
        kind_read = "share" if number.endswith("%") else "factor"
    else:
        kind_read = "factor" if kind == "number" else kind
    # A plain number is read as a factor, so that it obeys the same rules as every other quantity.
    plain = kind_read == "factor" and not (kind == "factor" and number.endswith("x"))
    most = MAX_COUNT if plain and kind != "factor" else MAXIMA[kind_read]
    try:
        return match[1], parse(f"{number}x" if plain else number, kind_read, most)
    except ValueError as error:
        if str(error).startswith("must be at most"):
            limit = f"{most:,.0f}" if plain else str(error).removeprefix("must be at most ").partition(",")[0]
            raise ValueError(f"threshold: got {text!r}; allowed at most {limit}") from None
        raise ValueError(f"threshold: got {text!r}; allowed >, >=, < or <= and {_LIMITS[kind]}") from None
