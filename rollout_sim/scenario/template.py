"""The commented scenario that a new user begins with, from a few answers about the function."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollout_sim.core.fields import Quantity
from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import commented


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What may be answered, and the unit of an answer that is a bare number."""

    quantity: Quantity
    unit: str

    def read(self, answer: str) -> float:
        """The answer in the package's own unit: `30`, `30/s` and `30 rps` are the same rate. Raises ValueError."""
        text = answer.strip()
        if re.fullmatch(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", text):
            text += self.unit
        if self.quantity.kind == "rate":
            text = _RATES.sub(lambda match: _PER[(match["per"] or match["minute"] or "s")[0].lower()], text)
        return self.quantity.read(text)

    def write(self, value: float) -> str:
        """A value as `read` takes it."""
        return self.quantity.write(value)


_RATES: Final = re.compile(
    r"\s*(?:rps|qps|tps|rp(?P<minute>m)|(?:req(?:uest)?s?)?\s*(?:/|per)\s*(?P<per>s|m|h|d)\w*)$", re.IGNORECASE
)
"""How people write requests per second, minute, hour and day."""
_PER: Final = {"s": "/s", "m": "/min", "h": "/h", "d": "/d"}
QUESTIONS: Final[Mapping[str, Question]] = {
    "rate": Question(quantity=Quantity(kind="rate", above=0.0, high=1e5), unit="/s"),
    "swing": Question(quantity=Quantity(kind="share", high=1.0), unit="%"),
    "error_rate": Question(quantity=Quantity(kind="share", high=0.5), unit="%"),
    "objective": Question(quantity=Quantity(kind="share", low=0.5, high=1 - 1e-6), unit="%"),
    "window": Question(quantity=Quantity(kind="duration", low=3600.0), unit="d"),
    "duration": Question(quantity=Quantity(kind="duration", low=1e-3, high=60.0), unit="ms"),
    "p99": Question(quantity=Quantity(kind="duration", low=1e-3, high=900.0), unit="ms"),
    "timeout": Question(quantity=Quantity(kind="duration", low=1.0, high=900.0), unit="s"),
}
"""What is asked, and what may be answered."""
_PERCENT: Final = 0.1
_INTERVAL: Final = 600.0
_ONSET: Final = 120.0
_LAG: Final = 60.0
_PEAK: Final = 7200.0
_STARTS: Final = {"start": "10 min", "phase": "random"}
_ABOUT_THE_ROLLOUT: Final = (
    "The rollout starts ten minutes in, or up to a minute later: nobody deploys by the clock of CloudWatch's minutes (`phase`).\n"
    "All times in the results count from there."
)
_TAIL: Final = 5.0
"""The 99th percentile of the duration over its median: a guess."""
_FEW: Final = 10.0
"""Expected failures in a canary below which seeing them is a matter of luck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioTemplate:
    """What is known of a function: requests (1/s), the share that fails, the SLO (share, s), durations and timeout (s).

    `swing` is the share by which the rate swings around its mean in a day; `concurrency` what is reserved, None for
    nothing. Without them the 99th percentile and the timeout follow from the median. `guessed` are the fields that nobody
    gave; the text says so. Raises ValueError for a 99th percentile that is not above the median.
    """

    name: str = "my-function"
    alias: str = "prod"
    rate: float = 50.0
    error_rate: float = 0.001
    objective: float = 0.999
    window: float = 30 * 86400.0
    duration: float = 0.08
    p99: float | None = None
    timeout: float | None = None
    swing: float = 0.0
    concurrency: int | None = None
    guessed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.p99 is None:
            object.__setattr__(self, "p99", _round(self.duration * _TAIL))
        if self.tail <= self.duration:
            shown = text(self.tail, "duration"), text(self.duration, "duration")
            raise ValueError(f"the 99th percentile must lie above the median, got {shown[0]} and {shown[1]}")
        if self.timeout is None:
            object.__setattr__(self, "timeout", 10.0 if self.tail < 5 else 900.0)

    @property
    def tail(self) -> float:
        """The 99th percentile of the duration (s)."""
        assert self.p99 is not None  # filled in above
        return self.p99

    @property
    def fault(self) -> float:
        """The share of requests that the bad version fails on top: a guess, ten times today's and at least 5%."""
        return _round(min(max(0.05, 10 * self.error_rate), 0.5))

    @property
    def threshold(self) -> float:
        """The error rate above which the alarm fires: between today's and the bad version's, well above the former."""
        return _round(max(0.01, math.sqrt(self.error_rate * (self.error_rate + self.fault))))

    def text(self) -> str:
        """The scenario file: sections, each below a comment that says what it means and what in it is a guess."""
        slo = {"objective": text(self.objective, "share"), "window": text(self.window, "duration")}
        alarm = {
            "metric": "error_rate", "of": "new_version", "period": "60 s", "datapoints": "2 of 3",
            "threshold": f"> {text(self.threshold, 'share')}", "missing": "not_breaching", "lag": text(_LAG, "duration"),
        }  # fmt: skip
        rate = text(self.rate, "rate")
        swing = {"diurnal": {"mean": rate, "amplitude": text(self.swing, "share"), "peak": text(_PEAK, "duration")}}
        source = {"source": "http", "alias": self.alias, "arrivals": swing if self.swing else {"poisson": rate}}
        strategies = {
            "instant": {"type": "all_at_once"},
            "blue/green": {"type": "blue_green", "bake": "10 min"},
            "canary 10%": {"type": "canary", "percent": 10, "interval": "10 min"},
            "SAM default": {"type": "Canary10Percent5Minutes"},
            "linear 10%": {"type": "linear", "percent": 10, "interval": "1 min"},
        }
        return commented(
            [
                (self._head(), {"name": self.name, "seed": 1, "horizon": "60 min"}),
                (self._about_the_function(), {"function": self._function()}),
                (self._about_the_traffic(), {"traffic": [source]}),
                (self._about_the_slo(), {"slos": [{"name": "availability", "sli": "errors", **slo}]}),
                (self._about_the_alarm(), {"alarms": {"new-version-errors": alarm}}),
                (
                    _ABOUT_THE_ROLLOUT,
                    {"rollout": {"alias": self.alias, "to": 2, **_STARTS, "alarms": ["new-version-errors"]}},
                ),
                (self._about_the_strategies(), {"strategies": strategies}),
            ]
        )

    def _head(self) -> str:
        return (
            f"Which rollout for version 2 of {self.name}?\n"
            "Every comment says what was given and what is a guess. Change anything, then:\n"
            "  rollout-sim validate FILE    is it understood?\n"
            "  rollout-sim run FILE         one run of each strategy\n"
            "  rollout-sim compare FILE     thousands of runs: how often is a bad version stopped?\n"
            "  rollout-sim recommend FILE   the rollout to use, and why\n"
            "The same seed gives the same result."
        )

    def _function(self) -> dict[str, Any]:
        version = {
            "duration": {
                "lognormal": {
                    "median": text(self.duration, "duration"),
                    "p99": text(self.tail, "duration"),
                }
            },
            "cold_start": "350 ms",
            "error_rate": text(self.error_rate, "share"),
        }
        faults = [{"errors": text(self.fault, "share"), "onset": "2 min"}]
        assert self.timeout is not None  # filled in above
        settings: dict[str, Any] = {"timeout": text(self.timeout, "duration")}
        if self.concurrency is not None:
            settings["reserved_concurrency"] = self.concurrency
        versions = {1: version, 2: {"like": 1, "faults": faults}}
        return {"name": self.name, **settings, "versions": versions, "aliases": {self.alias: 1}}

    def _about_the_function(self) -> str:
        return (
            "The function. Version 1 is what runs today; version 2 is version 1 with what may be wrong in it.\n"
            f"{self._origin('duration', 'The median duration', text(self.duration, 'duration'))}\n"
            f"{self._origin('p99', 'The 99th percentile', text(self.tail, 'duration'))}\n"
            f"{self._origin('timeout', 'The timeout', text(self.timeout or 0.0, 'duration'))}\n"
            f"{self._origin('error_rate', 'The error rate', text(self.error_rate, 'share'))}\n"
            "GUESS: the cold start (the init alone). CloudWatch knows it, Init Duration in the REPORT lines of the log, and "
            "the 99th percentile, p99 of Duration.\n"
            "A guess by its nature is the fault: two minutes after the rollout's start version 2 begins to fail "
            f"{_percent(self.fault)} of its requests."
        )

    def _about_the_traffic(self) -> str:
        return (
            f"The traffic. {self._origin('rate', 'The rate', text(self.rate, 'rate'))} "
            + (
                f"It swings by {_percent(self.swing)} in a day. GUESS: the peak is {text(_PEAK, 'duration')} after the start.\n"
                if self.swing
                else "Take that of the hour in which you deploy, not the day's mean.\n"
            )
            + "There are also `poisson` (steady), `diurnal`, `bursty`, `fixed`, and `trace`, which replays your own counts:\n"
            "  rollout-sim explain traffic.arrivals"
        )

    def _about_the_slo(self) -> str:
        allowed = 1 - self.objective
        words = (
            f"The SLO. {self._origin('objective', 'The objective', text(self.objective, 'share'))} "
            f"{self._origin('window', 'The window', text(self.window, 'duration'))}\n"
            f"The error budget is {_count(self.rate * self.window * allowed)} bad requests in "
            f"{text(self.window, 'duration')}."
        )
        if self.error_rate >= allowed:
            words += (
                f"\nNote: the ordinary error rate of {_percent(self.error_rate)} alone spends all of it; "
                "one of the two figures is probably not right."
            )
        return words

    def _about_the_alarm(self) -> str:
        return (
            "The alarm that stops the rollout. It looks at the new version alone (`of: alias` would dilute it), and two "
            "of three minutes must be above the threshold, so that one bad minute is not enough.\n"
            f"The threshold is a guess between {_percent(self.error_rate)}, the ordinary error rate, and "
            f"{_percent(self.error_rate + self.fault)}, the bad version's. Write here what your own alarm says.\n"
            "GUESS: the lag, the time from the end of a minute until CloudWatch shows it to the alarm."
        )

    def _about_the_strategies(self) -> str:
        seen = self.rate * _PERCENT * _INTERVAL
        bad = self.rate * _PERCENT * (_INTERVAL - _ONSET) * self.fault
        words = (
            "The strategies to set beside each other.\n"
            f"In its ten minutes the 10% canary serves {_count(seen)} requests on average, and the fault fails "
            f"{_count(bad)} of them."
        )
        if bad < _FEW:
            words += (
                "\nNote: with so few failures it is luck whether an alarm sees them. A higher percentage, hours instead of "
                "minutes, an alarm on the count of errors over a longer period, or tests in a hook (`type: blue_green` has "
                "them) help; `rollout-sim recommend` looks for what is enough."
            )
        return words

    def _origin(self, field: str, what: str, shown: str) -> str:
        return f"{what}, {shown}, is a guess." if field in self.guessed else f"{what}, {shown}, is what you gave."


def _round(share: float) -> float:
    """A share rounded to two digits, as people write thresholds."""
    return float(f"{share:.2g}")


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
