"""Deployed: what a template says of one function's rollout, whatever tool it is for, written as a scenario file.

What no template knows (traffic, error rates, durations, SLO) gets a default and a comment that says GUESS.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from rollout_sim.control.readings import TIMES, reading, statistic_of
from rollout_sim.control.strategies import ALLOCATION
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.minutes import MINUTE, iso_of
from rollout_sim.core.units import parse, text
from rollout_sim.core.yaml_io import commented
from rollout_sim.errors import legible
from rollout_sim.formats.templates.events import Event, first_call, sources
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.theory import erlang_b

START: Final = 600.0
"""Seconds of ordinary traffic before the rollout."""
AFTER: Final = 1800.0
"""Seconds that are simulated after the rollout."""
GUESS: Final = "GUESS: "
LAG: Final = "1 min"
"""How long after its end a period is visible: a guess, for no template says it."""
ACCOUNT: Final = 1000
"""The concurrency of an account, where a function has none of its own."""
HOOK: Final = {"invocations": 1, "over": "1 s", "max_failures": 0}
"""What a hook does whose code is not read: one call, which must succeed."""
COLD_START: Final = "500 ms"
RESTORE: Final = "200 ms"
"""The guessed cold start, and that of a function that is restored from a snapshot (SnapStart)."""
_SPREAD: Final = 10.0
"""How many times the median the 99th percentile of a guessed duration is."""
_SHAPE: Final = Distribution("lognormal", (1 / _SPREAD, 1.0))
"""A guessed duration, as a multiple of its 99th percentile."""
RATES: Final = (
    "10/s", "5/s", "2/s", "1/s", "30/min", "10/min", "5/min", "2/min", "1/min", "30/h", "10/h", "5/h", "2/h", "1/h",
)  # fmt: skip
"""What a rate is guessed as: the first that the reserved concurrency takes."""
_PER_SECOND: Final = {"s": 1.0, "min": 1 / 60, "h": 1 / 3600}
_THROTTLED: Final = 0.001
"""The share of requests that a guessed rate may throttle before anything goes wrong."""


Repair = tuple[str, Any]
"""A property of an alarm by CloudFormation's name, and the value with which it has data; dimensions are a mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An alarm that did not come through."""

    identity: str | None
    """Its logical id, if it is in the file."""
    why: str
    dead: bool = False
    """Whether nothing is ever published of what it watches."""
    mended: Mapping[str, Any] | None = None
    """What it would be after the `repairs` that give it data, where any do."""
    repairs: tuple[Repair, ...] = ()
    line: int | None = None


@dataclass(slots=True, kw_only=True)
class Deployed:
    """One function with its alias, how its traffic is shifted, by what it is watched; `remarks` is what was left out or assumed."""

    identity: str
    """What the template calls it."""
    name: str
    """The function's name."""
    origin: str
    """What kind of file it comes from: `SAM template`, say."""
    alias: str = "live"
    timeout: float = 3.0
    reserved: int | None = None
    provisioned: int = 0
    managed: dict[str, Any] = field(default_factory=dict)
    """What `function.managed` is of a function on managed instances, empty for any other."""
    snap_start: bool = False
    described: list[str] = field(default_factory=list)
    """What else matters for durations and cold starts: runtime, memory, storage."""
    events: list[Event] = field(default_factory=list)
    past: list[Event] = field(default_factory=list)
    """Events that call the function past the alias, so that the rollout does not touch them."""
    retries: dict[str, Any] = field(default_factory=dict)
    """What Lambda does with queued events, as a source's fields."""
    given: float | None = None
    """How many events come per second to all sources together that do not say it themselves; None where it is guessed."""
    strategy: dict[str, Any] = field(default_factory=lambda: {"type": "AllAtOnce"})
    guessed_hooks: bool = False
    """Whether what a hook does is a guess."""
    alarms: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The alarms by name, those that only another one's rule reads among them."""
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The scenario's own metrics, which alarms read; what they count is a guess."""
    acting: list[str] = field(default_factory=list)
    """The names of those that stop the rollout."""
    hold: dict[str, Any] | None = None
    """How the alarms hold the weight instead of rolling back at once, where they do."""
    left: dict[str, LeftOut] = field(default_factory=dict)
    """The alarms that it lists and that did not come through, by what the file calls them."""
    listed: int = 0
    """How many alarms the template lists."""
    lines: dict[str, int] = field(default_factory=dict)
    """The line of each alarm of `alarms` in its file."""
    ids: dict[str, str] = field(default_factory=dict)
    """What the file calls each alarm of `alarms`."""
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of alarms whose metric maths were read as an error rate, the a and b of their a + b x rate."""
    has_preference: bool = False
    """Whether a `DeploymentPreference` of SAM's says how traffic is shifted."""
    line: int = 1
    """The line of the function in its file."""
    remarks: list[str] = field(default_factory=list)

    @property
    def shift(self) -> str:
        """How the traffic is shifted, in one word or two for a table."""
        numbers = [f"{value}" for key, value in self.strategy.items() if key not in ("type", "hooks")]
        return " ".join([str(self.strategy["type"]), *numbers])

    @property
    def duration(self) -> tuple[float, float]:
        """The guessed median and 99th percentile of the duration (s): within the timeout, and no alarm's reason to fire."""
        slow = min([1.0, self.timeout / 2, *self._quiet])
        return slow / _SPREAD, slow

    @property
    def _quiet(self) -> list[float]:
        """The 99th percentiles of the duration (s) that are half of what the alarms on it allow."""
        return [slow for fields in self.alarms.values() if (slow := _quiet_at(fields)) is not None]

    @property
    def rate(self) -> str:
        """The rate of each source whose own is not known: an equal part of what is given, or else a guess.

        It is guessed as what the reserved concurrency takes without throttling.
        """
        unknown = max(1, sum(event.arrivals is None for event in self.events))
        if self.given is not None:
            past = sum(event.arrivals is None for event in self.past)
            return text(round(self.given / (unknown + past), 9), "rate")
        if not self.reserved:
            return RATES[0]
        mean = self.duration[1] * _SHAPE.mean
        for rate in RATES:
            number, _, unit = rate.partition("/")
            load = float(number) * _PER_SECOND[unit] * unknown * mean
            if erlang_b(self.reserved, load) <= _THROTTLED:
                return rate
        return RATES[-1]

    @property
    def begin(self) -> str | None:
        """The moment at which the simulation begins, so that the rarest schedule by the clock comes a minute into the rollout."""
        first = first_call([*self.events, *self.past])
        return None if first is None else iso_of(first - START - MINUTE)

    @property
    def allocated(self) -> tuple[int, int]:
        """The provisioned environments of version 1 and of version 2, as far as the concurrency has room for both at once."""
        limit = ACCOUNT if self.reserved is None else self.reserved
        first = min(self.provisioned, limit)
        return first, min(first, limit - first)

    def warn(self) -> None:
        """Adds the warnings that are about the whole of it."""
        if self.managed:
            self.remarks.append(
                "how managed instances scale (managed.target, every, launch, scale_down_after) is a GUESS"
            )
            if self.provisioned or self.reserved is not None:
                self.provisioned, self.reserved = 0, None
                self.remarks.append("provisioned and reserved concurrency are not for managed instances: left out")
        first, second = self.allocated
        if second < self.provisioned:
            self.remarks.append(
                f"{self.provisioned} provisioned environments of each version do not fit into the concurrency: here version 1 "
                f"has {first} and version 2 has {second} of them"
            )
        if self.listed and not self.acting:
            what = "its alarm is" if self.listed == 1 else f"its {self.listed} alarms are"
            self.remarks.append(f"warning: nothing watches the rollout of {self.identity} here: {what} left out")
        elif not self.listed and self.strategy["type"] != "AllAtOnce":
            self.remarks.append(f"no alarm is listed: nothing watches the rollout of {self.identity}")
        if self.snap_start:
            self.remarks.append(
                f"SnapStart: a cold start is a restore from the snapshot; the {RESTORE} of it are a {GUESS.strip(': ')}"
            )

    def written(self, path: Path) -> str:
        """The scenario file. Raises ScenarioError, with `path` as the place, for a rollout that no scenario can have."""
        return commented(self._sections(_horizon(self._parsed(path))))

    def scenario(self, path: Path) -> Scenario:
        """The scenario that the file holds. Raises ScenarioError as `written` does."""
        parsed = self._parsed(path)
        return replace(parsed, horizon=_horizon(parsed))

    def _parsed(self, path: Path) -> Scenario:
        """The scenario with a horizon that knows nothing of how long the rollout takes."""
        fields = {key: value for _, part in self._sections(START + AFTER) for key, value in part.items()}
        return Scenario.from_dict(fields, path=path)

    def _sections(self, horizon: float) -> list[tuple[str, dict[str, Any]]]:
        """The comments and fields of the scenario; `horizon` is where the simulation ends (s)."""
        median, slow = (f"{value * 1000:.6g} ms" for value in self.duration)
        cold = {} if self.managed else {"cold_start": RESTORE if self.snap_start else COLD_START}
        first: dict[str, Any] = {
            "duration": {"lognormal": {"median": median, "p99": slow}}, **cold, "error_rate": "0.1%",
        }  # fmt: skip
        second: dict[str, Any] = {"like": "1"}
        if self.provisioned:
            first["provisioned"] = self.allocated[0]
            second |= {} if self.allocated[0] == self.allocated[1] else {"provisioned": self.allocated[1]}
        function: dict[str, Any] = {"name": self.name, "timeout": text(self.timeout, "duration")}
        if self.reserved is not None:
            function["reserved_concurrency"] = self.reserved
        if self.managed:
            function["managed"] = self.managed
        function |= {
            "versions": {"1": first, "2": {**second, "faults": [{"errors": "5%"}]}},
            "aliases": {self.alias: "1"},
        }
        rollout: dict[str, Any] = {"alias": self.alias, "to": "2", "start": text(START, "duration"), "phase": "random"}
        if self.acting:
            rollout["alarms"] = list(self.acting)
            rollout |= {} if self.hold is None else {"hold": self.hold}
        head = [f"The rollout of {self.identity}, as its {self.origin} has it. GUESS marks what the file cannot know."]
        head += [f"- {legible(remark)}" for remark in self.remarks]
        slo = {"name": "availability", "sli": "errors", "objective": "99.9%", "window": "30 d"}
        about = f" ({', '.join(self.described)})" if self.described else ""
        within = (
            " (half of what the alarms on it allow)" if min(self._quiet, default=math.inf) <= self.duration[1] else ""
        )
        guessed = f"duration{within}, cold start and error rate of version 1{about}, which runs; what is wrong with version 2."
        guesses = ["what the hooks do: one call of the new version, which must succeed"] if self.guessed_hooks else []
        strategy = dict(self.strategy)
        if self.provisioned and "allocation" not in strategy:
            strategy["allocation"] = text(ALLOCATION, "duration")
            guesses.append("how long allocating the provisioned environments of the new version takes (allocation)")
        return [
            ("\n".join(head), {"name": self.name, "seed": 1, "horizon": text(horizon, "duration")}),
            (f"{GUESS}{guessed}", {"function": function}),
            (
                f"{GUESS}how many events come, unless a schedule tells{'; the day on which the rollout starts' if self.begin else ''}."
                if self.given is None
                else f"As given: {text(self.given, 'rate')} in all, as much from each source; a schedule tells its own.",
                {"traffic": sources(self.events, self.alias, self.rate, self.retries, self.begin)},
            ),
            (f"{GUESS}the SLO.", {"slos": [slo]}),
            (
                f"{GUESS}what the metrics of your own count, and which share of it." if self.metrics else "",
                {"metrics": self.metrics} if self.metrics else {},
            ),
            (
                f"{GUESS}how long after its end a period is visible (lag)." if self._lagging else "",
                {"alarms": self.alarms} if self.alarms else {},
            ),
            (
                f"{GUESS}{'; '.join(guesses)}." if guesses else "",
                {"rollout": rollout, "strategies": {str(strategy["type"]): strategy}},
            ),
        ]

    @property
    def _lagging(self) -> bool:
        return any("lag" in alarm for alarm in self.alarms.values())


def _horizon(scenario: Scenario) -> float:
    """Where a simulation ends (s) that shows all of the rollout, and some time after it."""
    length: float = max(strategy.plan.length for strategy in scenario.strategies.values())
    return START + math.ceil(length / 60) * 60 + AFTER


def _quiet_at(fields: Mapping[str, Any]) -> float | None:
    """The 99th percentile of a guessed duration (s) of which an alarm with these fields sees half of its limit.

    None for an alarm that is not on times, or that does not fire for long ones. A maximum is taken for the p99.99.
    """
    comparator, _, limit = str(fields.get("threshold", "")).partition(" ")
    if fields.get("metric") not in TIMES or comparator not in (">", ">="):
        return None
    statistic = statistic_of(fields["metric"], fields.get("statistic"))
    percentile = reading(fields["metric"], statistic, "alias", MINUTE, MINUTE).percentile
    if statistic == "average" or (percentile is not None and percentile.trimmed):
        seen = _SHAPE.mean
    elif percentile is not None and percentile.share > 0:
        seen = float(_SHAPE.ppf(np.array([min(percentile.share, 0.9999)]))[0])
    else:
        return None
    return parse(limit, "duration") / 2 / seen


def spaced(name: str) -> str:
    """`NewVersionErrorsAlarm` as words: `New Version Errors`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removesuffix("Alarm") or name)
