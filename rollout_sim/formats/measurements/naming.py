"""Naming: which metric of which scope a series is, from what a tool calls it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rollout_sim.core.minutes import COLUMNS
from rollout_sim.core.yaml_io import shorten
from rollout_sim.formats.measurements.recording import RECORDS

LABEL: Final = re.compile(r"(?P<column>\w+) of (?P<of>function|alias:[\w-]+|version:\d+) every (?P<period>\d+) s")
"""The label of the queries that `commands` prints and `live` asks."""
_OTHERS: Final = re.compile(
    r"dead.?letter|async|provisioned|post.?runtime|unreserved|claimed|\binit\b|init.?duration|billed|iterator|offset|recursive|"
    r"delivery|url.?request|%|percent|(?<![a-z])(?:rate|ratio)(?![a-z])"
)
"""Metrics that are none of ours, however like one their names look; a rate of errors is no count."""
_METRICS: Final = (
    (RECORDS, re.compile(r"messages?.?(?:sent|added)|incoming.?records|polled.?event.?count")),
    ("concurrent_executions", re.compile(r"concurrent")),
    ("throttles", re.compile(r"throttle|\b429\b")),
    ("errors", re.compile(r"error|failure|\b5xx\b")),
    ("duration", re.compile(r"duration|latency|response.?time")),
    ("invocations", re.compile(r"invocation|request|\bhits\b|\bcalls\b")),
)
_STATISTICS: Final = (
    ("duration_p50_ms", re.compile(r"p50(?!\d)|(?<!\d)50(?:th|p)|median|(?<!\d)0\.50?(?!\d)")),
    ("duration_p90_ms", re.compile(r"p90(?!\d)|(?<!\d)90(?:th|p)|(?<!\d)0\.90?(?!\d)")),
    ("duration_p99_ms", re.compile(r"p99(?!\d|\.\d)|(?<!\d)99(?:th|p)|(?<!\d)0\.99(?!\d)")),
    ("duration_max_ms", re.compile(r"max")),
    ("duration_average_ms", re.compile(r"average|\bavg\b|(?<![a-z])avg|mean")),
)
_METRIC: Final = re.compile("|".join(pattern.pattern for _, pattern in _METRICS))
"""What names any of the metrics."""
_AVERAGED: Final = re.compile(r"average|(?<![a-z])avg|mean|minimum|max|p\d\d")


_AGGREGATOR: Final = re.compile(r"^\W*(?:avg|sum|min|max):(?=[a-z_.]+\.)")
"""How Datadog adds up several series of a metric, which is not the metric's statistic: `avg:aws.lambda.errors`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a name says: the column of the table, the scope, the period (s) and the factor to milliseconds; None where nothing."""

    column: str | None = None
    of: str | None = None
    period: int | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Knows the function and its alias; `given` says of series by their names which column they are (`--series NAME=COLUMN`).

    `period` (s) is that of series which do not say theirs (`--period`); None: it is told from their times.
    """

    function: str | None = None
    alias: str = "prod"
    given: tuple[tuple[str, str], ...] = ()
    period: int | None = None

    @property
    def scope(self) -> str:
        """What a series is taken to be of that does not say it."""
        return f"alias:{self.alias}"

    def told(self, *names: str, file: str = "", alone: bool = False) -> Named:
        """What the first of `names` that says something says, part by part.

        What none of them says the name of the `file` may: the scope, and the metric where the series is `alone` in it.
        """
        told = [self._one(name) for name in names if name]
        if file:
            of_file = self._one(file)
            told.append(of_file if alone else Named(of=of_file.of))
        column, of, period, scale = None, None, None, 1.0
        for named in told:
            if column is None and named.column is not None:
                column, scale = named.column, named.scale
            of, period = of or named.of, period or named.period
        return Named(column=column, of=of, period=period, scale=scale)

    def _one(self, name: str) -> Named:
        label = LABEL.fullmatch(name.strip())
        if label is not None and label["column"] in COLUMNS:
            return Named(column=label["column"], of=label["of"], period=int(label["period"]))
        column = next((column for text, column in self.given if text == name), None)
        # A function called error-handler or checkout-v2 says nothing of the metric or the version; one called Errors is all there is.
        rest = self._without_function(name)
        lowered = _lowered(rest)
        found = column_of(lowered)
        if found is None and not _METRIC.search(lowered):
            found = column_of(_lowered(name))
        return Named(column=column or found, of=self._scope(name, rest), scale=_scale(lowered))

    def _without_function(self, name: str) -> str:
        """A name without the function's own, where it stands by itself."""
        if self.function is None:
            return name
        return re.sub(rf"(?i)(?<![a-z0-9]){re.escape(self.function)}(?![a-z0-9])", "", name)

    def _scope(self, name: str, rest: str) -> str | None:
        """The scope that a `name` says; `rest` is the same without the function's name."""
        version = re.search(r"(?i)version[\s:=_\"'-]*(\d+)|\bv(\d+)\b", rest)
        if version is not None:
            return f"version:{version[1] or version[2]}"
        of_function = None if self.function is None else re.search(
            rf"(?<![\w-]){re.escape(self.function)}:([\w-]+)(?=[\s/,;|\"')}}\]]|$)", name
        )  # fmt: skip
        if of_function is not None and column_of(_lowered(of_function[1])) is None:
            return f"{'version' if of_function[1].isdigit() else 'alias'}:{of_function[1]}"
        alias = re.search(r"(?i)alias[:=]\s*[\"']?([\w-]+)", rest)
        if alias is not None:
            return f"alias:{alias[1]}"
        if re.search(r"(?i)(?<![a-z])alias(?![a-z])", rest) or re.search(
            rf"(?<!\w){re.escape(self.alias)}(?!\w)", rest
        ):
            return f"alias:{self.alias}"
        if re.search(r"(?i)(?<![a-z])function(?!_?name|:)(?![a-z])", rest):
            return "function"
        return None


def _lowered(name: str) -> str:
    """A name in small letters, its words apart."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def column_of(lowered: str) -> str | None:
    """The column that a name in small letters is about, None where it is about none of them or does not say which."""
    if _OTHERS.search(lowered):
        return None
    metric = next((column for column, pattern in _METRICS if pattern.search(lowered)), None)
    if metric == "duration":
        return next((column for column, pattern in _STATISTICS if pattern.search(lowered)), None)
    if metric in ("errors", "throttles", "invocations", RECORDS) and _AVERAGED.search(_AGGREGATOR.sub("", lowered)):
        return None
    return metric


def _scale(lowered: str) -> float:
    """Milliseconds of the unit of a duration that a name holds: seconds where it says so, else milliseconds."""
    if re.search(r"milli|(?<![a-z])ms(?![a-z])", lowered):
        return 1.0
    if re.search(r"micro|(?<![a-z])us(?![a-z])", lowered):
        return 0.001
    return 1000.0 if re.search(r"second|(?<![a-z])sec(?![a-z])|\(s\)", lowered) else 1.0


def not_used(name: str) -> str:
    """The remark that a series of a file is left out."""
    wanted = "a sum of invocations, errors or throttles, the concurrency, or an average, p50, p90, p99 or maximum of the duration"
    return f"left out: {shorten(name)}, which is not one of these: {wanted}"


def unknown_series(source: str, names: Iterable[str]) -> str:
    """The message that none of the series of a file is one of ours."""
    shown = ", ".join(sorted(set(names))[:10]) or "none"
    return (
        f"{source}: no series is known by its name, got {shown}; allowed names with invocations, errors, throttles, "
        "concurrent executions, or duration and average, p50, p90, p99 or max; or say it: --series NAME=COLUMN"
    )
