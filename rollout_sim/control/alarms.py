"""Alarms: what one is, and CloudWatch's M of N evaluation with missing data, for a batch at once.

An alarm sees datapoints only: of periods dated by the start of an invocation, visible `lag` after the period ends. The
periods slide: at each evaluation they end at the newest visible minute, one behind the other. The leading axis of every
array is the replication; one run is a batch of 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.expressions import Expression, Rule, parse_expression, parse_rule
from rollout_sim.control.metrics import Percentile, Scope
from rollout_sim.control.readings import (
    STATISTICS,
    Metric,
    MetricQuery,
    Missing,
    Reading,
    Treatment,
    Word,
    check_scope,
    metric_of,
    plain,
    reading,
    samples_needed,
    statistic_of,
    word_of,
)
from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.core.distributions import Distribution, DurationDistribution
from rollout_sim.core.fields import Codec, PositiveSeconds, Quantity, Seconds
from rollout_sim.core.units import MAXIMA, parse

States = NDArray[np.int8]
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
_BANDS: Final = ("outside", "above", "below")
_WALL_CLOCK: Final = (60.0, 300.0, 3600.0, 86400.0, 604800.0)
"""The periods (s) that a wall-clock window may have."""
_MINUTE: Final = 60.0
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
    minutes: int = 1,
) -> str:
    """The state that CloudWatch gives one alarm on `points`, oldest to newest, None or NaN for a missing one.

    Where the `previous` state (`OK`, `ALARM`, `INSUFFICIENT_DATA`) matters, it counts. `threshold` (`> 5`), `datapoints` (M of N)
    and what a `missing` point is taken for are those of a scenario file.
    With a period of several `minutes` the points are the sums of each minute, and the datapoints those of periods back to back
    that end with the newest one. Points older than the evaluation range are not looked at; where there are fewer, the older
    ones are missing. Raises ValueError for a threshold, datapoints, treatment or state that CloudWatch does not know.

    Examples:
        >>> alarm_state([0, 9, None, 9], threshold="> 5", datapoints="2 of 3")
        'ALARM'
        >>> alarm_state([0, 2, 2, 2, 0], threshold="> 5", datapoints="1 of 1", minutes=5)
        'ALARM'
    """
    if minutes < 1:
        raise ValueError(f"minutes: got {minutes}; allowed 1 or more")
    comparator, limit = _threshold(threshold, "number")
    m, n = _datapoints(datapoints)
    if previous not in STATES:
        raise ValueError(f"previous: not an alarm state, got {previous!r}; allowed {', '.join(STATES)}")
    width = evaluation_range(n)
    newest = [math.nan if point is None else float(point) for point in points][-width * minutes :]
    each = np.array([math.nan] * (width * minutes - len(newest)) + newest).reshape(width, minutes)
    row = np.where(np.isnan(each).all(axis=1), np.nan, np.nansum(each, axis=1))[None, :]
    before = np.array([STATES.index(previous)], np.int8)
    return STATES[evaluate_range(row, COMPARE[comparator](row, limit), n, m, _treatment(missing), before)[0]]


class _LagCodec(Codec):
    """`1 min`, or a distribution of delays."""

    _quantity = Quantity(kind="duration")
    _distribution = DurationDistribution.__metadata__[0]  # type: ignore[attr-defined]

    def read(self, value: object) -> float | Distribution:
        """A lag in seconds, or the distribution of lags. Raises ValueError for anything else."""
        if isinstance(value, dict | Distribution):
            lag: Distribution = self._distribution.read(value)
            if lag.kind == "empirical":
                raise ValueError("a lag is a duration or one of exponential, lognormal, gamma, uniform, got empirical")
            return lag
        return self._quantity.read(value)

    def write(self, value: float | Distribution) -> object:
        """What `read` turns back into the same."""
        return self._distribution.write(value) if isinstance(value, Distribution) else self._quantity.write(value)

    def schema(self) -> dict[str, Any]:
        """The schema of a distribution, which has a plain duration among its forms."""
        schema: dict[str, Any] = self._distribution.schema()
        return schema


Lag = Annotated[float | Distribution, _LagCodec()]


class _Parsed:
    """What an alarm's texts come to, read once; no fields, so that a file holds the texts alone."""

    comparator: str
    """How a datapoint is compared with the limit: `>`, `>=`, `<` or `<=`; with `band` `outside`, `above` or `below`."""
    limit: float
    """The number in the threshold, in the package's own unit (counts, fractions, seconds, factors); NaN without one."""
    m: int
    """How many datapoints must breach (CloudWatch's datapoints to alarm)."""
    n: int
    """Out of how many (CloudWatch's evaluation periods)."""
    step: float
    """Seconds from the end of one period to that of the next one that an evaluation may find: periods slide by it."""
    readings: dict[str, Reading]
    """What is read: of a metric its one reading, under no name; of an `expression` those of its metrics."""
    maths: Expression | None
    """The metric maths, if it is on an `expression`."""
    composite: Rule | None
    """The rule, if it is a composite alarm."""
    least: int
    """How many requests `at_least` asks for in a period; 0 without it."""


@dataclass(frozen=True, kw_only=True)  # no slots: what is parsed is kept beside the fields
class Alarm(_Parsed):
    """An alarm: in ALARM when `datapoints` (M of N) periods breach the `threshold`.

    It is on one `metric`, on metric maths over several (`expression` and `metrics`), or on other alarms (`rule`).
    `burn_rate` is how many times faster than allowed the error budget of `slo` burns, over the newest `long` and the
    newest `short` seconds.
    Raises ValueError where fields contradict each other or CloudWatch would refuse them.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    metric: Metric | None = None
    """What is watched. `error_rate` is metric maths, errors / invocations; `responses_5xx` (errors, failed responses and
    throttles) and `latency` (inits included) are the front door's, of all versions; `burn_rate` needs `slo`. Any other name is
    one of the scenario's own `metrics`."""
    threshold: str = ""
    """A comparison in quotes, such as `"> 0"`, `">= 1%"` or `"> 600 ms"`; with `band` `outside`, `above` or `below`."""
    statistic: str | None = None
    """`sum` (the default for counts), `average` (for shares and times), `minimum`, `maximum`, `sample_count`; of
    `duration` and `latency` also a percentile such as `p99` or a trimmed mean such as `tm99`."""
    of: Scope = "alias"
    """The alias as a whole, one of the two versions behind it, or the function with all its aliases."""
    period: PositiveSeconds = 60.0
    """The length of a datapoint: 10, 20 or 30 s, or whole minutes."""
    window: Annotated[Literal["sliding", "wall_clock"], Word(Literal["sliding", "wall_clock"])] = "sliding"
    """Where periods end: at the newest visible minute, or at whole periods of the clock (UTC, the start being midnight)."""
    datapoints: str = "1 of 1"
    """M of N: how many of the newest datapoints must breach."""
    missing: Treatment = "missing"
    """What a period without a datapoint counts as, in CloudWatch's four treatments."""
    low_samples: Annotated[Literal["evaluate", "ignore"], Word(Literal["evaluate", "ignore"])] = "evaluate"
    """With a percentile: whether the alarm keeps its state (`ignore`) while the newest period has fewer samples than
    10 / (1 - percentile)."""
    at_least: str | int | None = None
    """A guard: below so many requests in a period, such as `20 requests`, the datapoint is not judged."""
    below: Annotated[Literal["ok", "missing"], Word(Literal["ok", "missing"])] = "ok"
    """With `at_least`: what a datapoint of too few requests counts as."""
    lag: Lag = 0.0
    """How long after its end a minute becomes visible: a duration, or a distribution of which each minute draws anew."""
    history: Annotated[Literal["expected", "new"], Word(Literal["expected", "new"])] = "expected"
    """What was before: the old version's expected traffic, or no alarm, for the deployment makes it when it begins."""
    warm_up: Seconds = 0.0
    """With `history: new`: how long it stays in INSUFFICIENT_DATA at most, until its N datapoints are there."""
    expression: str | None = None
    """CloudWatch's metric maths over `metrics`, such as `"IF(requests >= 20, 100 * errors / requests, 0)"`."""
    metrics: dict[str, MetricQuery] = field(default_factory=dict, hash=False)
    """With `expression`: the metrics that it calculates with, by name."""
    rule: str | None = None
    """A composite alarm: a rule over the states of other alarms, such as `"ALARM(errors) AND NOT ALARM(outage)"`."""
    band: float | None = None
    """An anomaly alarm: so many standard deviations around what is expected."""
    slo: str | None = None
    """With `burn_rate`: the name of the SLO."""
    long: PositiveSeconds = _LONG
    """With `burn_rate`: the long window."""
    short: PositiveSeconds = _SHORT
    """With `burn_rate`: the short window; both must breach."""

    def __post_init__(self) -> None:
        self._read_words()
        kinds = [name for name in ("metric", "expression", "rule") if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise ValueError(f"metric, expression, rule: exactly one of them, got {' and '.join(kinds) or 'none'}")
        parsed: dict[str, Any] = {"maths": None, "composite": None, "least": 0, "readings": {}, "step": _MINUTE}
        parsed |= {"comparator": ">", "limit": math.nan, "m": 1, "n": 1}
        if self.rule is not None:
            self._only("rule", ())
            parsed["composite"] = parse_rule(self.rule)
        else:
            parsed |= self._of_metrics()
        for name, value in parsed.items():
            object.__setattr__(self, name, value)

    def _read_words(self) -> None:
        """Takes CloudWatch's own spelling, too."""
        if self.metric is not None:
            object.__setattr__(self, "metric", metric_of(self.metric))
        words = {"missing": Missing, "of": Scope} | {
            name: Literal[allowed]
            for name, allowed in (
                ("window", ("sliding", "wall_clock")), ("low_samples", ("evaluate", "ignore")),
                ("below", ("ok", "missing")), ("history", ("expected", "new")),
            )
        }  # fmt: skip
        for name, kind in words.items():
            value = getattr(self, name)
            if value is None:
                continue
            object.__setattr__(self, name, _treatment(value) if name == "missing" else word_of(name, value, kind))

    def _only(self, what: str, taken: tuple[str, ...]) -> None:
        """Raises ValueError where a field other than these is given that such an alarm does not take."""
        given = [
            entry.name
            for entry in fields(self)
            if entry.name not in (what, *taken)
            and getattr(self, entry.name) != ({} if entry.name == "metrics" else entry.default)
        ]
        if given:
            raise ValueError(f"{', '.join(given)}: an alarm with `{what}` does not take this")

    def _of_metrics(self) -> dict[str, Any]:
        """What is parsed of an alarm on a metric or on metric maths."""
        m, n = _datapoints(self.datapoints)
        if self.expression is not None:
            self._take_period()
        if self.period not in (10, 20, 30) and (self.period < 60 or self.period % 60):
            raise ValueError(f"period: got {self.period:g} s; allowed 10 s, 20 s, 30 s or a whole multiple of 60 s")
        if self.window == "wall_clock" and self.period not in _WALL_CLOCK:
            raise ValueError(
                f"window: wall_clock takes a period of 1 min, 5 min, 1 h, 1 d or 7 d, got {self.period:g} s"
            )
        days = 7 if self.period >= 3600 else 1
        if n * self.period > days * 86400:
            what = f"{n} periods of {self.period:g} s come to more than {days} d, got {self.datapoints!r}"
            raise ValueError(f"datapoints: {what}; allowed N up to {days * 86400 // self.period:g}")
        sliding = _MINUTE if self.period >= _MINUTE else 10.0
        step = self.period if self.window == "wall_clock" else sliding
        if self.metric == "burn_rate":
            self._check_burn_rate()
        elif self.slo is not None or self.long != _LONG or self.short != _SHORT:
            raise ValueError(f"slo, long and short: only burn_rate takes them, got metric {self.metric!r}")
        readings = self._readings(step)
        comparator, limit = self._threshold()
        if self.low_samples == "ignore" and not (self.statistic and samples_needed(self.statistic)):
            raise ValueError(f"low_samples: is about percentiles, got the statistic {self.statistic!r}")
        if self.warm_up and self.history != "new":
            raise ValueError("warm_up: is of an alarm that the deployment makes; add `history: new`")
        if self.warm_up and not _MINUTE <= self.warm_up <= 2880 * _MINUTE:
            raise ValueError(f"warm_up: got {self.warm_up:g} s; allowed 1 min to 2 d")
        maths = None if self.expression is None else parse_expression(self.expression, tuple(self.metrics))
        return {
            "m": m, "n": n, "step": step, "readings": readings, "comparator": comparator, "limit": limit,
            "maths": maths, "least": _least(self.at_least, self.below),
        }  # fmt: skip

    def _take_period(self) -> None:
        """Gives an alarm on metric maths the period of its metrics, which is one."""
        if not self.metrics:
            raise ValueError("metrics: an expression needs metrics to calculate with, got none")
        if self.statistic is not None or self.low_samples != "evaluate" or self.band is not None:
            raise ValueError("statistic, low_samples and band: an alarm with `expression` does not take this")
        given = {query.period for query in self.metrics.values()} - {None}
        if self.period != _MINUTE or not given:
            given |= {self.period}
        if len(given) > 1:
            shown = ", ".join(f"{period:g} s" for period in sorted(filter(None, given)))
            raise ValueError(f"metrics: all periods of an alarm must be the same, got {shown}")
        object.__setattr__(self, "period", given.pop())

    def _readings(self, step: float) -> dict[str, Reading]:
        """What is read, by name."""
        if self.expression is not None:
            return {
                name: reading(query.metric, str(query.statistic), query.of, self.period, step)
                for name, query in self.metrics.items()
            }
        if self.metrics:
            raise ValueError("metrics: only an alarm with `expression` takes them")
        if self.metric is None or self.metric == "burn_rate":
            return {}
        object.__setattr__(self, "statistic", statistic_of(self.metric, self.statistic))
        check_scope(self.metric, self.of)
        return {"": reading(self.metric, str(self.statistic), self.of, self.period, step)}

    def _threshold(self) -> tuple[str, float]:
        """The comparator and the limit."""
        if self.band is None:
            return _threshold(self.threshold, self._limit_kind)
        if not 0 < self.band <= 100:
            raise ValueError(f"band: got {self.band:g}; allowed standard deviations above 0 up to 100")
        if self.threshold not in _BANDS:
            raise ValueError(f"threshold: with `band` got {self.threshold!r}; allowed {', '.join(_BANDS)}")
        if self.of == "new_version":
            raise ValueError(
                "band: a new version has no history that a band could be learned from; got of: new_version"
            )
        statistics = ("sum", "average", "sample_count")
        if self.metric not in ("invocations", "errors", "error_rate", "duration") or self.statistic not in statistics:
            what = f"{self.statistic} of {self.metric}"
            raise ValueError(
                f"band: is for {', '.join(statistics)} of invocations, errors, error_rate or duration, got {what}"
            )
        return self.threshold, math.nan

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
        self._only("metric", ("threshold", "of", "lag", "slo", "long", "short", "missing"))
        for name, window in (("long", self.long), ("short", self.short)):
            if window < 60 or window % 60:
                raise ValueError(f"{name}: got {window:g} s; allowed whole multiples of 60 s")
        if self.short >= self.long:
            raise ValueError(f"short: must be less than long ({self.long:g} s), got {self.short:g} s")

    @property
    def _limit_kind(self) -> str:
        if self.metric == "burn_rate":
            return "factor"
        if self.expression is not None or self.metric is None:
            return "ratio"
        return reading(self.metric, str(self.statistic), self.of, self.period, self.period).kind

    @property
    def interval(self) -> float:
        """Seconds between evaluations: every minute, or every 10 s for periods below a minute."""
        return _MINUTE if self.period >= _MINUTE else 10.0

    @property
    def percentiles(self) -> tuple[Percentile, ...]:
        """What the metrics must hold of durations for this alarm."""
        return tuple(
            dict.fromkeys(reading.percentile for reading in self.readings.values() if reading.percentile is not None)
        )

    @property
    def percentile(self) -> Percentile | None:
        """The percentile that an alarm on one metric reads, if it does."""
        return self.readings[""].percentile if "" in self.readings else None

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes of all that it reads, for the guard `at_least` as well."""
        own: tuple[Scope, ...] = (self.of,) if self.maths is None or self.least else ()
        return tuple(dict.fromkeys((*own, *(reading.of for reading in self.readings.values()))))

    @property
    def lags(self) -> tuple[float, float]:
        """The least and the greatest lag (s), the latter but for one minute in a million."""
        if isinstance(self.lag, Distribution):
            low, high = self.lag.ppf(np.array([0.0, 1 - 1e-6])).tolist()
            return low, high
        return self.lag, self.lag

    @property
    def slides(self) -> bool:
        """Whether neighbouring evaluations look at periods that overlap."""
        return self.step < self.period


def describe(alarm: Alarm) -> str:
    """An alarm in a few words: `errors > 2 of the new version, 2 of 3`."""
    if alarm.rule is not None:
        return f"composite: {alarm.rule}"
    guard = f", from {alarm.least} requests on" if alarm.least else ""
    if alarm.expression is not None:
        return f"{alarm.expression} {alarm.threshold}, {alarm.datapoints}{guard}"
    metric = str(alarm.metric).replace("_", " ")
    usual = STATISTICS.get(str(alarm.metric), ("sum",))[:1]  # a burn rate has none, an own metric is counted
    if alarm.statistic not in (None, *usual) or alarm.metric == "duration":
        metric = f"{str(alarm.statistic).replace('_', ' ')} {metric}"
    limit = alarm.threshold if alarm.band is None else f"{alarm.threshold} a band of {alarm.band:g} standard deviations"
    return f"{metric} {limit} of the {alarm.of.replace('_', ' ')}, {alarm.datapoints}{guard}"


def _least(text: str | int | None, below: str) -> int:
    """The number in `20 requests`; 0 where there is no such guard."""
    if text is None:
        if below != "ok":
            raise ValueError(f"below: is what `at_least` does with too few requests, got {below!r} without it")
        return 0
    match = re.fullmatch(r"\s*(\d{1,12})(\s+requests?)?\s*", str(text))
    if match is None or not int(match[1]):
        raise ValueError(f"at_least: got {text!r}; allowed a number of requests, for example '20 requests'")
    return int(match[1])


def _treatment(name: str) -> Missing:
    word: Missing
    for word in get_args(Missing):
        if plain(name) == word:
            return word
    raise ValueError(f"missing: no such treatment, got {name!r}; allowed {', '.join(get_args(Missing))}")


def _datapoints(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,6})\s+of\s+(\d{1,6})\s*", text)
    m, n = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= m <= n:
        raise ValueError(f"datapoints: got {text!r}; allowed 'M of N' with 1 <= M <= N, for example '2 of 3'")
    return m, n


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
