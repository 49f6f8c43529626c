"""What the simulator is checked against: each row a closed form or a published figure, and ours beside it.

`python tests/validation` writes VALIDATION.md; `test_validation.py` checks every row and that the page is current.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from builders import scenario
from numpy.typing import NDArray
from scipy import stats
from validation.alarms import rows as sliding_alarms
from validation.environments import MEASUREMENTS, environments, measured_table, measurements
from validation.own_data import own_data
from validation.polled import queues
from validation.recommendation import recommendations
from validation.rows import SIGMAS, Ours, Row, exact, mean, share
from validation.unseen import TRACE, unseen, unseen_real

from rollout_sim.control.slo import budget_events
from rollout_sim.run.batch import Samples
from rollout_sim.study.comparison import compare
from rollout_sim.theory import (
    alarm_fired,
    bad_requests_until,
    burn_alert_time,
    detection_probability,
    no_request_probability,
    time_to_detect,
)

PAGE = Path(__file__).parents[2] / "VALIDATION.md"
MANY, FEW = 20_000, 300
"""Replications on the aggregate and on the SimPy plane."""


@cache
def replicated(
    rate: str, error_rate: str, strategy: str, seconds: float, engine: str = "aggregate", alarm: str = ""
) -> Samples:
    """A rollout at time 0 of a version that fails `error_rate` of its requests; the old one never fails.

    `strategy` is `canary 10`, `linear 10 60` (percent, seconds) or `instant`; the horizon is `seconds`. `alarm` is
    `m n lag threshold` of the new version's errors, or `burn` for a burn rate of 14.4 over 1 h and 5 min.
    """
    kind, *numbers = strategy.split()
    hold = f"{numbers[1] if len(numbers) > 1 else seconds} s"
    shapes: dict[str, dict[str, Any]] = {
        "instant": {"type": "all_at_once", "bake": f"{seconds} s"},
        "canary": {"type": "canary", "percent": float((numbers or ["1"])[0]), "interval": hold, "bake": "1 d"},
        "linear": {"type": "linear", "percent": float((numbers or ["1"])[0]), "interval": hold, "bake": "1 d"},
    }
    alarms: dict[str, Any] | None = None
    if alarm == "burn":
        alarms = {"a": {"metric": "burn_rate", "slo": "availability", "threshold": "> 14.4"}}
    elif alarm:
        m, n, lag, threshold = alarm.split()
        alarms = {
            "a": {
                "metric": "errors", "of": "new_version", "missing": "not_breaching",
                "threshold": f"> {threshold}", "datapoints": f"{m} of {n}", "lag": f"{lag} s",
            }
        }  # fmt: skip
    given = scenario(
        horizon=f"{seconds} s",
        function__versions={
            "1": {"duration": "1 ms"},
            "2": {"duration": "1 ms", "error_rate": error_rate},
        },
        function__account_concurrency=1_000_000,
        function__scale_up=1_000_000,
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": rate}}],
        rollout={"alias": "prod", "to": "2", "start": "0 s", "alarms": ["a"] if alarms else []},
        alarms=alarms,
        strategies={"s": shapes[kind]},
    )
    count = MANY if engine == "aggregate" else FEW
    return compare(given, count, engine=engine, twin=False, seed=11).columns["s"]


def bad(*words: Any) -> NDArray[np.float64]:
    return replicated(*words)["bad_requests_new_version"]


def detection() -> Iterator[Row]:
    cases = [(10.0, 0.02, 1, 0.997521), (10.0, 0.02, 5, 0.714943), (10.0, 0.02, 10, 0.083924), (1.0, 0.01, 1, 0.259182)]
    for rate, error_rate, k, published in cases:
        what = f"P(at least {k} errors in 300 s), {rate:g}/s, weight 10%, error rate {error_rate:.0%}"
        yield Row(
            group="Detection", what=what, expected=published, decimals=6,
            ours=exact(detection_probability(rate, 0.1, 300, error_rate, k)),
        )  # fmt: skip
        for engine in ("aggregate", "simpy"):
            words = (f"{rate:g}/s", f"{error_rate:.0%}", "canary 10", 300, engine)
            yield Row(
                group="Detection", what=what, expected=published, decimals=6, plane=engine,
                ours=share(lambda words=words, k=k: bad(*words) >= k, published),
            )  # fmt: skip
    for k, minutes in ((1, 49.93), (3, 104.93), (5, 152.56)):
        what = f"minutes until at least {k} errors have come with 95%, 1/s, weight 10%, error rate 1%"
        yield Row(
            group="Detection", what=what, expected=minutes, decimals=2,
            ours=exact(time_to_detect(1, 0.1, 0.01, k, 0.95) / 60),
        )  # fmt: skip
        words = ("1/s", "1%", "canary 10", round(minutes * 60, 1))
        yield Row(
            group="Detection", what=f"P(at least {k} errors in {minutes} min), 1/s, weight 10%, error rate 1%",
            expected=0.95, decimals=4, plane="aggregate", ours=share(lambda words=words, k=k: bad(*words) >= k, 0.95),
        )  # fmt: skip
    for minutes, published in ((5, 0.6065), (30, 0.0498)):
        what = f"P(no canary request in {minutes} min), one request a minute, weight 10%"
        yield Row(
            group="Detection", what=what, expected=published, decimals=4,
            ours=exact(no_request_probability(1 / 60, 0.1, minutes * 60)),
        )  # fmt: skip
        for engine in ("aggregate", "simpy"):
            words = ("1/min", "100%", "canary 10", minutes * 60, engine)
            yield Row(
                group="Detection", what=what, expected=published, decimals=4, plane=engine,
                ours=share(lambda words=words: bad(*words) == 0, published),
            )  # fmt: skip


def budgets() -> Iterator[Row]:
    yield Row(
        group="Budgets", what="error budget of 99.9% over 30 d at 10/s, in bad requests", expected=25_920, decimals=None,
        ours=exact(budget_events(0.999, 10, 30 * 86400)),
    )  # fmt: skip
    plans = {
        "all at once": ("instant", [(0.0, 1.0)], 480),
        "linear 10% every minute": ("linear 10 60", [(60.0 * k, 0.1 * (k + 1)) for k in range(5)], 120),
        "canary 10%": ("canary 10", [(0.0, 0.1)], 48),
    }
    for name, (strategy, plan, published) in plans.items():
        what = f"bad requests until 240 s, 10/s, error rate 20%, {name}"
        yield Row(
            group="Budgets", what=what, expected=published, decimals=None,
            ours=exact(bad_requests_until(plan, 10, 0.2, 240)),
        )  # fmt: skip
        for engine in ("aggregate", "simpy"):
            words = ("10/s", "20%", strategy, 240, engine)
            yield Row(
                group="Budgets", what=what, expected=published, decimals=None, plane=engine,
                ours=mean(lambda words=words: bad(*words)),
            )  # fmt: skip


def alarms() -> Iterator[Row]:
    for weight, strategy, published in (
        (1.0, "instant", 259.2),
        (0.1, "canary 10", 2592.0),
        (0.05, "canary 5", math.inf),
    ):
        what = f"seconds until a 14.4 × burn alert (1 h), 99.9%, error rate 20%, weight {weight:g}"
        yield Row(
            group="Alarms", what=what, expected=published, decimals=1,
            ours=exact(burn_alert_time(14.4, 0.999, 0.2, weight, 3600)),
        )  # fmt: skip
        # Alarms look once a minute: the first look at or after.
        looked = math.ceil(published / 60) * 60 if math.isfinite(published) else math.inf
        words = ("100000/s", "20%", strategy, 7200, "aggregate", "burn")
        yield Row(
            group="Alarms", what=f"the same, at the first evaluation that can show it, 100,000/s (all of {MANY:,} runs)",
            expected=looked, decimals=1, plane="aggregate", ours=lambda words=words: latest(replicated(*words)),
        )  # fmt: skip
    breach = float(stats.poisson.sf(2, 60 * 0.1 * 0.25))
    for m, n in ((1, 1), (2, 2), (2, 3), (3, 5)):
        for lag in (0, 1, 3):
            expected = alarm_fired(breach, m, n, 10, lag)
            words = ("1/s", "25%", "canary 10", 601, "aggregate", f"{m} {n} {60 * lag} 2")
            yield Row(
                group="Alarms",
                what=f"P({m} of {n} has fired at evaluation 10, lag {lag} min), a minute breaching with {breach:.4f}",
                expected=expected, decimals=None, plane="aggregate",
                ours=share(lambda words=words: ~np.isnan(replicated(*words)["time_to_rollback_s"]), expected),
            )  # fmt: skip


def latest(columns: Samples) -> Ours:
    """The time to rollback where it is the same in all replications, infinite where none was rolled back."""
    times = columns["time_to_rollback_s"]
    if np.isnan(times).all():
        return Ours(value=math.inf)
    assert (times == times[0]).all()
    return Ours(value=float(times[0]))


ROWS = [
    *detection(),
    *budgets(),
    *alarms(),
    *sliding_alarms(),
    *recommendations(),
    *own_data(),
    *unseen(),
    *environments(),
    *queues(),
    *(measurements() if MEASUREMENTS.exists() else ()),
    *(unseen_real() if TRACE.exists() else ()),
]


def page() -> str:
    """The page in Markdown."""
    text = [
        "# Validation",
        "",
        "Each row is a closed form or a published figure, and what `rollout_sim` makes of it: its own closed form (exact), or",
        f"an estimate from {MANY:,} replications on the aggregate plane, {FEW} on the SimPy plane or a few long runs on the",
        "compiled plane (a few of minutes on the SimPy plane for queues), with its 95% interval.",
        f"A row is met when the expected figure lies within {SIGMAS:g} standard errors (and",
        "the uncertainty that it was published with), agrees to the published digits, or is a limit that is kept.",
        "",
        "Written by `python tests/validation`; `pytest` checks every row. That the planes agree with each other in",
        "distribution, on scenarios drawn at random and on chosen ones, is checked by `tests/agreement/test_aggregate.py`, and both",
        "files show that a wrong weight, a wrong lag and an M or N that is off by one turn them red.",
        "",
        "For `recommend`, every candidate of a small grid is simulated with many replications: what the search recommends is",
        "the best of them or within its interval. Its intervals hold the truth as often as they say, and the requests,",
        "minutes and tests that it advises where nothing satisfies the goal do what it says, in simulation.",
        "",
        *summary(
            {
                group: [row.met for row in ROWS if row.group == group]
                for group in dict.fromkeys(row.group for row in ROWS)
            }
        ),
    ]
    for group in dict.fromkeys(row.group for row in ROWS):
        text += ["", f"## {group}", "", "| what | expected | plane | ours | verdict |", "|---|---|---|---|---|"]
        for row in ROWS:
            if row.group == group:
                text.append(
                    f"| {row.what} | {number(row.expected)} | {row.plane} | {shown(row.ours())} | "
                    f"{'met' if row.met else 'MISSED'} |"
                )
    return "\n".join([*text, *measured_table(), ""])


def summary(verdicts: dict[str, list[bool]]) -> list[str]:
    """How many rows of each group are met, as the lines of a paragraph; `verdicts` has one for each row."""
    every = [met for group in verdicts.values() for met in group]
    lines = [f"**{sum(every)} of {len(every)} rows are met.** By part:", ""]
    return [*lines, *(f"- {group}: {sum(met)} of {len(met)}" for group, met in verdicts.items())]


def number(value: float) -> str:
    if math.isinf(value):
        return "never"
    return f"{value:,.0f}" if value == round(value) and abs(value) >= 10 else f"{value:.6g}"


def shown(ours: Ours) -> str:
    if ours.low is None or ours.high is None:
        return number(ours.value)
    return f"{ours.value:.4g} [{ours.low:.4g}, {ours.high:.4g}]"


def write() -> str | None:
    """Writes VALIDATION.md. Returns what is missed, one row a line, None where everything is met."""
    if not MEASUREMENTS.exists():
        return f"{MEASUREMENTS.name} is not there; the page holds what is measured, too"
    PAGE.write_text(page(), encoding="utf-8")
    return "\n".join(row.what for row in ROWS if not row.met) or None
