"""Alarms against exact calculations: sums that slide, guards, and the minutes that users report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from builders import scenario
from numpy.typing import NDArray
from scipy import stats
from validation.rows import Row, mean, share

from rollout_sim.study.comparison import compare

GROUP = "Alarms that slide, guards, delays"
MANY, FEW = 20_000, 300


def sliding_fired(per_minute: Sequence[float], limit: int, length: int) -> float:
    """P(a sum over the newest `length` minutes was ever above `limit`), minutes being independent Poisson counts.

    The exact chain on the last length - 1 counts: with no more than `limit` in all there are few of them.
    """
    states: dict[tuple[int, ...], float] = {(0,) * (length - 1): 1.0}
    for expected in per_minute:
        chances = stats.poisson.pmf(np.arange(limit + 1), expected).tolist()
        following: dict[tuple[int, ...], float] = {}
        for counts, probability in states.items():
            for count in range(limit - sum(counts) + 1):
                key = (*counts[1:], count)
                following[key] = following.get(key, 0.0) + probability * chances[count]
        states = following
    return 1.0 - math.fsum(states.values())


def share_breach(requests: float, failing: float, above: float, least: int) -> float:
    """P(more than a share `above` of a minute's Poisson number of requests fails, and there are at least so many)."""
    n = np.arange(max(least, 1), 200)
    return float((stats.poisson.pmf(n, requests) * stats.binom.sf(np.floor(above * n + 1e-9), n, failing)).sum())


@cache
def back(
    alarm: str, errors: str, start: float = 0.0, engine: str = "aggregate", strategy: str = "canary"
) -> NDArray[np.float64]:
    """The times (s) to the rollback of a version that fails so many calls, 10/s in all, NaN where there is none.

    `alarm` is what is written after the alarm's name in a file, on the new version; `strategy` `canary` holds 10% for half an
    hour, `linear` adds 10% every minute.
    """
    watch: dict[str, Any] = {"of": "new_version", "missing": "not_breaching"}
    watch |= dict(part.split(": ") for part in alarm.split("; "))
    strategies = {
        "canary": {"type": "canary", "percent": 10, "interval": "30 min"}, "linear": {"type": "Linear10PercentEvery1Minute"},
    }  # fmt: skip
    given = scenario(
        horizon="40 min", slos=[],
        function__versions={"1": {"duration": "1 ms"}, "2": {"duration": "1 ms", "error_rate": errors}},
        function__account_concurrency=1_000_000, function__scale_up=1_000_000,
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "10/s"}}],
        rollout={"alias": "prod", "to": "2", "start": f"{start} s", "alarms": ["a"]},
        alarms={"a": watch}, strategies={strategy: strategies[strategy]},
    )  # fmt: skip
    count = MANY if engine == "aggregate" else FEW
    return compare(given, count, engine=engine, twin=False, seed=11).columns[strategy]["time_to_rollback_s"]


@cache
def healed() -> NDArray[np.float64]:
    """Times to the rollback where Lambda retries the 5% of asynchronous events that fail: 5/s, 10% to the new version."""
    given = scenario(
        horizon="15 min", slos=[],
        function__versions={"1": {"duration": "100 ms"}, "2": {"duration": "100 ms", "error_rate": "5%"}},
        traffic=[{"source": "data", "alias": "prod", "arrivals": {"poisson": "5/s"}}],
        rollout={"alias": "prod", "to": "2", "start": "0 s", "alarms": ["a"]},
        alarms={"a": {"metric": "errors", "of": "new_version", "threshold": "> 0", "missing": "not_breaching"}},
        strategies={"s": {"type": "canary", "percent": 10, "interval": "10 min"}},
    )  # fmt: skip
    return compare(given, 10 * FEW, engine="compiled", twin=False, seed=11).columns["s"]["time_to_rollback_s"]


def rows() -> Iterator[Row]:
    """The rows of VALIDATION.md."""
    within = "10/s, weight 10%"
    for what, errors, limit, minutes in (
        ("a good version that fails 1%", "1%", 5, 30),
        ("a version that fails 3%", "3%", 12, 10),
    ):
        expected = sliding_fired([60 * float(errors[:-1]) / 100] * minutes, limit, 5)
        words = (f"metric: errors; period: 5 min; threshold: > {limit}", errors)
        for engine in ("aggregate", "compiled"):
            yield Row(
                group=GROUP, what=f"P(stopped within {minutes} min), {what}, sum over 5 min that slides > {limit}, {within}",
                expected=expected, decimals=None, plane=engine,
                ours=share(lambda words=words, e=engine, m=minutes: back(*words, engine=e) <= m * 60, expected),
            )  # fmt: skip
    for least in (1, 60, 70):
        # 60 requests a minute: a guard of 70 is rarely met.
        chance = share_breach(60, 0.02, 0.08, least)
        expected = 1 - (1 - chance) ** 30
        guard = f"; at_least: {least} requests" if least > 1 else ""
        words = (f"metric: error_rate; threshold: > 8%{guard}", "2%")
        yield Row(
            group=GROUP, what=f"P(stopped), a version that fails 2%, error rate > 8% of at least {least} requests, {within}",
            expected=expected, decimals=None, plane="aggregate",
            ours=share(lambda words=words: np.isfinite(back(*words)), expected),
        )  # fmt: skip
    for minute in range(5):
        words = ("metric: errors; period: 5 min; threshold: > 0", "50%", 600.0 + 60 * minute)
        yield Row(
            group=GROUP, what=f"seconds until an alarm over 5 min stops a version that fails 50%, begun {minute} min into five",
            expected=60, decimals=None, plane="aggregate", ours=mean(lambda words=words: back(*words)),
        )  # fmt: skip
    breaches = [1 - math.exp(-0.6 * weight / 10) for weight in range(1, 10)]
    for what, datapoints, expected in (
        ("one error in a minute", "1 of 1", 1 - math.prod(1 - breach for breach in breaches)),
        ("two minutes in a row with an error", "2 of 2", in_a_row(breaches)),
    ):
        words = (f"metric: errors; threshold: > 0; datapoints: {datapoints}", "0.1%", 600.0)
        yield Row(
            group=GROUP, what=f"P(stopped), a good version that fails 0.1%, Linear10PercentEvery1Minute, {what}, 10/s",
            expected=expected, decimals=None, plane="aggregate",
            ours=share(lambda words=words: np.isfinite(back(*words, strategy="linear")), expected),
        )  # fmt: skip
    words = ("metric: errors; threshold: > 2; lag: 3 min", "100%", 600.0)
    yield Row(
        group=GROUP, what="seconds until a version that fails 100% is stopped where datapoints come 3 min late",
        expected=240, decimals=None, plane="aggregate", ours=mean(lambda: back(*words)),
    )  # fmt: skip
    first = 1 - math.exp(-5 * 0.1 * 60 * 0.05)
    yield Row(
        group=GROUP, what="P(stopped after 1 min) by errors of which Lambda's own retries heal all but 1 in 400, 5/s, weight 10%",
        expected=first, decimals=None, plane="compiled", ours=share(lambda: healed() == 60, first),
    )  # fmt: skip


def in_a_row(breaches: Sequence[float]) -> float:
    """P(two neighbouring minutes breach)."""
    quiet, once = 1.0, 0.0
    for breach in breaches:
        quiet, once = (quiet + once) * (1 - breach), quiet * breach
    return 1 - quiet - once
