"""What a scenario says of a function and of each of its versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Final, Literal

from rollout_sim.core.distributions import DurationDistribution
from rollout_sim.core.fields import PositiveSeconds, Seconds, Share, check_count, section
from rollout_sim.function.error_rates import ErrorRate, mean_of
from rollout_sim.function.faults import Fault
from rollout_sim.function.lambda_api import LATEST
from rollout_sim.function.managed import EnvironmentLimits, ManagedInstances
from rollout_sim.function.recorded import (
    RecordedDurations,
    RecordedMinutes,
    RecordedThrottles,
    ServiceTime,
)

MAX_VERSION: Final = 10_000
INIT_LIMIT: Final = 10.0
"""Seconds that Lambda gives an environment to initialise."""


@section
class VersionSpec:
    """How one version behaves: how long it runs, how long its cold starts take, how often it fails, its faults."""

    duration: ServiceTime
    """How long an invocation runs, without the init of a cold start: a distribution, or as recorded by the minute of its start,
    `{minutes: minutes.csv, of: "alias:prod"}`, with `draw`, `begin` and `end` as recorded errors have them."""
    cold_start: DurationDistribution | None = None
    """The init that a cold invocation waits for before its duration."""
    cold_duration: DurationDistribution | None = None
    """Instead of `cold_start`: the whole duration of a cold invocation, init included."""
    error_rate: ErrorRate = 0.0
    """The share of invocations (of what is polled: of records) that end in a handled exception: always the same (`0.1%`),
    scattered, in spells, or as recorded."""
    failed_responses: Share = 0.0
    """The share of invocations that succeed for Lambda and yet answer with a failure, such as a status 500; of what is polled, of
    records that are deleted and were handled wrongly."""
    per_mb: Seconds = 0.0
    """Added to the duration for every megabyte of the event, which a source with `size` sends."""
    per_record: Seconds = 0.0
    """Added to the duration for every record of a batch; `duration: {base: 20 ms, per_record: 5 ms}` says the same."""
    provisioned: int = 0
    """Environments of this version that are always warm."""
    environments: EnvironmentLimits | None = None
    """How many environments this version has on managed instances, instead of what `managed` says."""
    faults: tuple[Fault, ...] = ()
    """What is wrong with the version; may be empty."""

    def __post_init__(self) -> None:
        if self.cold_start is not None and self.cold_duration is not None:
            raise ValueError(
                "`cold_start` (the init alone) and `cold_duration` (the whole cold invocation) exclude each other"
            )
        check_count("provisioned", self.provisioned, 0, 100_000)
        if isinstance(self.duration, RecordedDurations) and (self.per_mb or self.per_record):
            raise ValueError("recorded durations hold what `per_mb` and `per_record` would add")

    @property
    def mean_error_rate(self) -> float:
        """The share of invocations that end in a handled exception, in the long run."""
        return mean_of(self.error_rate)


@section
class AliasProvisioned:
    """Provisioned concurrency of an alias: it is kept for the version that the alias points to alone."""

    environments: int
    """How many environments are kept warm."""
    allocation: Seconds = 90.0
    """How long allocating them takes after the alias has come to point to another version; one to two minutes are usual."""

    def __post_init__(self) -> None:
        check_count("environments", self.environments, 1, 100_000)


@section
class FunctionSpec:
    """A Lambda function: its limits, its versions (`$LATEST` among them) and what its aliases point to at time 0.

    Parameters that AWS does not document have the defaults of measurements: `keep_alive`, `reuse`, `propagation`.
    """

    name: str
    """The function's name."""
    versions: dict[str, VersionSpec]
    """How each version behaves, by number or `$LATEST`; `like: 1` copies another version's fields."""
    aliases: dict[str, str]
    """The version that each alias points to at time 0."""
    timeout: PositiveSeconds = 3.0
    """Longer invocations are stopped and count as errors; at most 15 min."""
    keep_alive: PositiveSeconds = 600.0
    """How long an idle environment lives. AWS does not document it; measured 5 to 15 min."""
    reserved_concurrency: int | None = None
    """Invocations that may run at once, all versions together; without it the account's limit holds."""
    account_concurrency: int = 1000
    """The account's limit of invocations that run at once."""
    scale_up: int = 1000
    """New environments that may start within 10 s."""
    reuse: Literal["newest", "most_recent"] = "newest"
    """Which idle environment takes the next request: the newest, or the one that was busy last."""
    propagation: Seconds = 0.0
    """How long an update of an alias takes to reach the router."""
    provisioned: dict[str, AliasProvisioned] = field(default_factory=dict)
    """Provisioned concurrency of aliases. While an alias has weights its second version has none of it; what the alias leaves
    loses it at once, and the version that it points to alone has it when it is allocated."""
    managed: ManagedInstances | None = None
    """Lambda Managed Instances: environments that take several invocations at once, scale with the load and have no cold starts.
    `keep_alive`, `scale_up`, `reuse`, `throttled` and concurrency cannot stand beside it."""
    throttled: Share | RecordedThrottles = 0.0
    """The share of attempts that are throttled whatever the function's own concurrency, because other functions use up the account's:
    always the same, or as recorded. A hook's tests are not."""

    def __post_init__(self) -> None:
        if self.timeout > 900:
            raise ValueError(f"`timeout` must be at most 15 min, got {self.timeout:g} s")
        if self.reserved_concurrency is not None:
            check_count("reserved_concurrency", self.reserved_concurrency, 0, 1_000_000)
        check_count("account_concurrency", self.account_concurrency, 1, 1_000_000)
        check_count("scale_up", self.scale_up, 1, 1_000_000)
        if not self.versions:
            raise ValueError("`versions` is empty; allowed 1, 2, ... and $LATEST")
        for number in self.versions:
            if number != LATEST and not re.fullmatch(r"[1-9][0-9]*", number):
                raise ValueError(f"a version is a whole number from 1 or $LATEST, got {number!r}")
            if number != LATEST and (len(number) > 6 or int(number) > MAX_VERSION):
                raise ValueError(f"a version's number is at most {MAX_VERSION}, got {number!r}")

    def limits_of(self, number: str) -> EnvironmentLimits:
        """How many environments a version has on the managed instances that there are."""
        assert self.managed is not None
        return self.versions[number].environments or self.managed.environments

    @property
    def mean_throttled(self) -> float:
        """The share of attempts that others' use of the account throttles, in the long run."""
        return self.throttled.mean if isinstance(self.throttled, RecordedThrottles) else self.throttled

    def recorded(self) -> dict[tuple[str, ...], RecordedMinutes]:
        """All that follows recorded minutes, by where it stands in the function."""
        parts: dict[tuple[str, ...], Any] = {("throttled",): self.throttled}
        for number, spec in self.versions.items():
            parts |= {
                ("versions", number, "duration"): spec.duration,
                ("versions", number, "error_rate"): spec.error_rate,
            }
        return {where: part for where, part in parts.items() if isinstance(part, RecordedMinutes)}

    def with_recorded(self, parts: Mapping[tuple[str, ...], Any]) -> FunctionSpec:
        """The same with other `parts` in place of those of `recorded`."""
        versions = {
            number: replace(
                spec, **{where[-1]: part for where, part in parts.items() if where[:-1] == ("versions", number)}
            )
            for number, spec in self.versions.items()
        }
        return replace(self, versions=versions, throttled=parts.get(("throttled",), self.throttled))

    def points_to(self, alias: str) -> str:
        """The version that an alias points to at time 0; what calls the function itself reaches `$LATEST`."""
        return LATEST if alias == LATEST else self.aliases[alias]

    @property
    def concurrency(self) -> int:
        """Invocations that may run at once: the reserved concurrency, or the account's where none is reserved.

        On managed instances 0, for there nothing but places in environments that are ready takes an invocation.
        """
        if self.managed is not None:
            return 0
        return self.account_concurrency if self.reserved_concurrency is None else self.reserved_concurrency
