"""Readings: what an alarm reads of the metrics, which metric by which statistic, of whom, per how long a period."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

from rollout_sim.control.metrics import GAUGES, Percentile, Scope
from rollout_sim.core.fields import Codec, PositiveSeconds, PositiveShare, section
from rollout_sim.core.units import parse
from rollout_sim.core.yaml_io import suggest

MetricName = Literal[
    "invocations", "errors", "throttles", "error_rate", "duration", "responses_5xx", "latency", "burn_rate",
    "iterator_age", "messages_visible", "oldest_message_age", "messages_in_dlq",
]  # fmt: skip
Missing = Literal["missing", "ignore", "breaching", "not_breaching"]
_BASIC: Final = ("sum", "average", "minimum", "maximum", "sample_count")
STATISTICS: Final[dict[str, tuple[str, ...]]] = {
    "invocations": _BASIC,
    "errors": _BASIC,
    "throttles": _BASIC,
    "error_rate": ("average",),
    "duration": ("average", "minimum", "maximum", "sum", "sample_count"),
    "responses_5xx": _BASIC,
    "latency": ("average", "minimum", "maximum", "sum", "sample_count"),
    "burn_rate": (),
    "iterator_age": ("maximum", "average", "sample_count"),
    **dict.fromkeys(GAUGES, ("maximum", "average", "minimum")),
}
"""The statistics that a metric takes, its default first; times take percentiles and trimmed means as well."""
TIMES: Final = ("duration", "latency")
"""The metrics that are times: what Lambda calls Duration, and what the front door sees, inits included."""
AGES: Final = (*TIMES, "iterator_age", "oldest_message_age")
"""All metrics in seconds."""
POLLED: Final = ("iterator_age", *GAUGES)
"""The metrics of what Lambda polls: of streams, and of the queues themselves, which know no versions."""
FRONT_DOOR: Final = ("responses_5xx", "latency")
"""The metrics of the front door (API Gateway, a function URL), which does not know which version answered."""
_OWN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")
_SHARE: Final = re.compile(r"(p|tm)(\d{1,3}(?:\.\d{1,10})?)")


def plain(word: str) -> str:
    """A word as scenarios spell it: `sample_count` for CloudWatch's `SampleCount`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower()


class Word(Codec):
    """Marks a field that holds one of a few words; CloudWatch's own spelling of them is taken, too.

    Editors are told of that spelling only where a word is `cloudwatch`'s.
    """

    __slots__ = ("allowed", "cloudwatch")

    def __init__(self, kind: Any, *, cloudwatch: bool = False) -> None:
        self.allowed: tuple[str, ...] = get_args(kind)
        self.cloudwatch = cloudwatch

    def read(self, value: object) -> str:
        """The word as scenarios spell it. Raises ValueError for any other."""
        if isinstance(value, str) and plain(value) in self.allowed:
            return plain(value)
        meant = suggest(str(value), self.allowed) or ";"
        raise ValueError(f"is not known, got {value!r}{meant} allowed {', '.join(self.allowed)}")

    def write(self, value: str) -> str:
        """The word itself."""
        return value

    def schema(self) -> dict[str, Any]:
        """The words, in both spellings."""
        if not self.cloudwatch:
            return {"type": "string", "enum": list(self.allowed)}
        camel = [re.sub("_(.)", lambda match: match[1].upper(), word) for word in self.allowed]
        both = [*self.allowed, *camel, *(word[0].upper() + word[1:] for word in camel)]
        return {"type": "string", "enum": list(dict.fromkeys(both))}


class _MetricWord(Word):
    """Lambda's and the front door's metrics, and any other name, for one of the scenario's own `metrics`."""

    def read(self, value: object) -> str:
        """The metric as scenarios spell it, or the name of an own one. Raises ValueError for what is no name."""
        if isinstance(value, str) and plain(value) not in self.allowed and _OWN.fullmatch(value):
            return value
        return super().read(value)

    def schema(self) -> dict[str, Any]:
        """The words, and names."""
        return {"anyOf": [super().schema(), {"type": "string", "pattern": f"^{_OWN.pattern}$"}]}


Metric = Annotated[str, _MetricWord(MetricName, cloudwatch=True)]
Treatment = Annotated[Missing, Word(Missing, cloudwatch=True)]


@dataclass(frozen=True, slots=True)
class Reading:
    """One number for each period: a statistic of a metric, of a scope; `percentile` is what the metrics must hold for it."""

    metric: str
    statistic: str
    of: Scope
    period: float
    percentile: Percentile | None = None

    @property
    def kind(self) -> str:
        """What kind of quantity a threshold on it is: a number, a ratio, a share or a duration."""
        if self.statistic == "sample_count":
            return "number"
        special = {"error_rate": "share"}.get(self.metric) or ("duration" if self.metric in AGES else None)
        return special or ("number" if self.statistic == "sum" else "ratio")

    @property
    def is_own(self) -> bool:
        """Whether it is of one of the scenario's own metrics."""
        return self.metric not in STATISTICS

    @property
    def exact_by_counts(self) -> bool:
        """Whether the counts of invocations, errors, failed responses and throttles of a period say it."""
        return self.metric not in (*TIMES, *POLLED) or self.statistic == "sample_count"


@section
class OwnMetric:
    """A metric of your own, such as one that a filter makes of log lines: what it counts, and how much of that."""

    counts: Literal["bad_requests", "requests"] = "bad_requests"
    """Invocations that end in an error or a failed response, or all invocations, each at its start."""
    share: PositiveShare = 1.0
    """The share of them that it counts, each by chance."""
    of: Literal["alias", "new_version", "old_version"] = "alias"
    """The alias as a whole, or one of the two versions behind it."""


@section
class MetricQuery:
    """One metric of an `expression`."""

    metric: Metric
    """What is read. Durations are in milliseconds, as CloudWatch has them."""
    statistic: str | None = None
    """`sum` (the default for counts), `average`, `minimum`, `maximum`, `sample_count`; of durations also `p99` or `tm99`."""
    of: Scope = "alias"
    """The alias as a whole, one of the two versions behind it, or the function with all its aliases."""
    period: PositiveSeconds | None = None
    """The length of a datapoint, the same for all metrics of an alarm; by default the alarm's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", metric_of(self.metric))
        if self.metric == "burn_rate":
            raise ValueError("metric: burn_rate is an alarm of its own and nothing to calculate with")
        object.__setattr__(self, "of", word_of("of", self.of, Scope))
        object.__setattr__(self, "statistic", statistic_of(self.metric, self.statistic))
        check_scope(self.metric, self.of)


def check_scope(metric: str | None, of: Scope) -> None:
    """Raises ValueError for a metric of the front door or of a queue that is asked for of one version."""
    whose = "the queue's" if metric in GAUGES else "the front door's" if metric in FRONT_DOOR else None
    if whose is not None and of not in ("alias", "function"):
        raise ValueError(f"of: {metric} is {whose}, which knows no versions, got {of}; allowed alias, function")


def metric_of(name: str) -> str:
    """The metric as scenarios spell it, or the name of an own one. Raises ValueError for what is no name."""
    if plain(name) not in get_args(MetricName) and _OWN.fullmatch(name):
        return name
    return word_of("metric", name, MetricName)


def word_of(name: str, value: str, kind: Any) -> str:
    """The word for a field called `name` as scenarios spell it. Raises ValueError for one that is not of the `kind`."""
    allowed = get_args(kind)
    if plain(value) not in allowed:
        raise ValueError(f"{name}: unknown, got {value!r}; allowed {', '.join(allowed)}")
    return plain(value)


def statistic_of(metric: str, statistic: str | None) -> str:
    """The statistic as scenarios spell it, by default the metric's own. Raises ValueError for one that does not fit."""
    allowed = STATISTICS.get(metric, _BASIC)
    if statistic is None:
        return allowed[0]
    word = plain(statistic)
    if word in allowed or (metric in TIMES and _share(word) is not None):
        return word
    more = ", percentiles such as p50, p99 or p99.9 and trimmed means such as tm99" if metric in TIMES else ""
    raise ValueError(f"statistic: does not fit {metric}, got {statistic!r}; allowed {', '.join(allowed)}{more}")


def reading(metric: str, statistic: str, of: Scope, period: float, step: float) -> Reading:
    """The reading of periods that end at every multiple of `step` (s); `statistic` comes from `statistic_of`."""
    percentile = None
    if metric in TIMES:
        share = {"minimum": ("p", 0.0), "maximum": ("p", 1.0)}.get(statistic) or _share(statistic)
        if share is not None:
            percentile = Percentile(
                of=of,
                share=share[1],
                period=period,
                step=None if step == period else step,
                trimmed=share[0] == "tm",
                metric="latency" if metric == "latency" else "duration",
            )
    return Reading(metric, statistic, of, period, percentile)


def samples_needed(statistic: str) -> float:
    """How many samples CloudWatch wants for a percentile with `low_samples: ignore`: 10 / (1 - share), mirrored below p50."""
    shared = _share(statistic)
    if shared is None or shared[0] != "p":
        return 0.0
    tail = min(shared[1], 1 - shared[1])
    # Rounded, because 1 - 0.9 is a hair below 0.1.
    return round(10.0 / tail, 6) if tail > 0 else math.inf


def _share(statistic: str) -> tuple[str, float] | None:
    """What a statistic such as `p99.9` or `tm99` is, and its fraction; None for any other statistic."""
    match = _SHARE.fullmatch(statistic)
    share = parse(f"{match[2]}%", "share") if match else 0.0
    return (match[1], share) if match and 0 < share <= 1 else None
