"""Risk and goal: how releases go wrong, what a rollout must keep, and what it is to minimise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from rollout_sim.core.fields import Codec, PositiveSeconds, PositiveShare, Quantity, Seconds, Share, section
from rollout_sim.function.faults import Fault, Slowdown


@dataclass(frozen=True, slots=True)
class LogUniform:
    """A log-uniform distribution between `low` and `high`; one number where they are the same."""

    low: float
    high: float

    def quantile(self, share: float) -> float:
        """The value below which `share` of the distribution lies."""
        return float(self.low * (self.high / self.low) ** share)


class _LogUniformCodec(Codec):
    """`5%` or `{loguniform: [0.2%, 50%]}` (factors alike) for a `LogUniform`."""

    def __init__(self, kind: str, low: float, high: float) -> None:
        self.quantity = Quantity(kind=kind, above=low, high=high)

    def read(self, value: object) -> LogUniform:
        """One value, or the two ends of a distribution. Raises ValueError for anything else."""
        if isinstance(value, LogUniform):
            return value
        if not isinstance(value, dict):
            number = self.quantity.read(value)
            return LogUniform(number, number)
        ends = value.get("loguniform")
        if len(value) != 1 or not isinstance(ends, list) or len(ends) != 2:
            raise ValueError(f"needs one value or {{loguniform: [lowest, highest]}}, got {value!r}")
        low, high = (self.quantity.read(end) for end in ends)
        if low >= high:
            raise ValueError(f"`loguniform` needs the lower end first, got {ends[0]} and {ends[1]}")
        return LogUniform(low, high)

    def write(self, value: LogUniform) -> object:
        """One text where both ends are the same, else a mapping."""
        low, high = (self.quantity.write(end) for end in (value.low, value.high))
        return low if value.low == value.high else {"loguniform": [low, high]}

    def schema(self) -> dict[str, Any]:
        """A text, or a mapping with the two ends."""
        text = {"type": "string"}
        ends = {"type": "array", "items": text, "minItems": 2, "maxItems": 2}
        return {
            "anyOf": [
                text,
                {"type": "object", "additionalProperties": False, "required": ["loguniform"], "properties": {"loguniform": ends}},
            ]
        }  # fmt: skip


ErrorRates = Annotated[LogUniform, _LogUniformCodec("share", 0.0, 1.0)]
Latencies = Annotated[LogUniform, _LogUniformCodec("factor", 1.0, 1000.0)]


@section
class Severity:
    """How bad a bad version is: errors on top of the version's own, or a factor on its durations; exactly one."""

    error_rate: ErrorRates | None = None
    """More invocations that fail: one share, or `{loguniform: [0.2%, 50%]}`."""
    latency: Latencies | None = None
    """How many times as long invocations take: one factor, or `{loguniform: [1.2x, 5x]}`."""

    def __post_init__(self) -> None:
        if (self.error_rate is None) == (self.latency is None):
            raise ValueError("a severity is exactly one of error_rate, latency")

    @property
    def spread(self) -> LogUniform:
        """The one that is given."""
        spread = self.error_rate if self.error_rate is not None else self.latency
        assert spread is not None  # exactly one is given
        return spread

    def fault(self, value: float, onset: float = 0.0) -> Fault:
        """The fault of that severity: an error rate, or a factor."""
        if self.error_rate is not None:
            return Fault(errors=value, onset=onset)
        return Fault(latency=Slowdown(factor=value), onset=onset)

    def show(self, value: float) -> str:
        """The severity for people."""
        if self.error_rate is not None:
            return f"{value * 100:.3g}% errors"
        return f"{value:.3g} times the duration"


FOUND_AFTER: Final = 7200.0
"""Seconds until a bad version that nothing stopped is found: a guess, to be replaced by one's own."""


@section
class Risk:
    """How releases go wrong: the share that is bad, how bad, when that sets in, and when it is found at the latest."""

    p_bad: PositiveShare = 0.15
    """The share of releases that are bad."""
    severity: Severity = Severity(error_rate=LogUniform(0.002, 0.5))
    """How bad a bad one is."""
    onset: Seconds = 0.0
    """When that sets in, counted from the rollout's start."""
    found_after: PositiveSeconds = FOUND_AFTER
    """How long a bad version serves everybody until somebody finds it, where neither an alarm nor on-call does."""


@section
class Catch:
    """The smallest fault that must be caught, and how often."""

    of: Severity
    """The smallest fault that matters."""
    at_least: PositiveShare = 0.95
    """The probability with which it must be stopped."""

    def __post_init__(self) -> None:
        if self.of.spread.low != self.of.spread.high:
            raise ValueError("`of` is one severity, such as {error_rate: 1%}, not a distribution")


@section
class AtMost:
    """A limit on a share."""

    at_most: Share
    """The limit."""


@section
class AtMostTime:
    """A limit on a time (s)."""

    at_most: PositiveSeconds
    """The limit."""


@section
class Prices:
    """What things cost, in any one currency."""

    bad_request: float = 0.0
    """Of one bad request."""
    minute_of_delay: float = 0.0
    """Of every minute until a good version serves everybody."""
    false_rollback: float = 0.0
    """Of stopping a good version."""

    def __post_init__(self) -> None:
        for name in ("bad_request", "minute_of_delay", "false_rollback"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be a price from 0, got {getattr(self, name)}")


Minimise = Literal["expected_bad_requests", "time_to_full", "cost"]
DeployWith = Literal["codedeploy", "argo", "any"]
"""What carries the rollout out, and so limits which ones there are to choose from."""


@section
class Goal:
    """What a rollout must keep, and what it is to minimise; a limit that is not given does not bind.

    `budget` limits the share of the first SLO's budget that the rollout spends, at the 95th percentile over the risk.
    """

    catch: Catch | None = None
    """Which fault must be caught, and how often."""
    false_rollback: AtMost | None = None
    """How often a good version may be stopped."""
    budget: AtMost | None = None
    """The share of the first SLO's budget that the rollout may spend, at the 95th percentile over the risk."""
    time_to_full: AtMostTime | None = None
    """How long until a good version serves everybody."""
    deploy_with: DeployWith = "codedeploy"
    """What has to be able to carry it out: CodeDeploy, Argo Rollouts, or nothing in particular."""
    minimise: Minimise = "expected_bad_requests"
    """What is the least among the candidates that keep the limits; `cost` needs `prices`."""
    prices: Prices | None = None
    """What things cost, in any one currency."""

    def __post_init__(self) -> None:
        if (self.minimise == "cost") != (self.prices is not None):
            raise ValueError("`prices` are needed to minimise cost, and only then")
