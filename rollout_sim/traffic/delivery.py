"""Delivery: how SNS, EventBridge and S3 hand an event to Lambda's queue, and what they do where Lambda does not take it.

Lambda takes asynchronous events also while the function is throttled or fails; from then on its own retries act. Its refusal is
of another kind: a permission that is missing, which nobody tries again, or a fault of Lambda itself, which the service does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from rollout_sim.core.fields import Instant, PositiveSeconds, PositiveShare, check_count, section
from rollout_sim.core.minutes import DAY

SNS_DELAYS: Final = (0.0,) * 3 + (1.0,) * 2 + tuple(20.0 ** (k / 9) for k in range(10)) + (20.0,)
"""Seconds from each delivery of SNS to the next: 3 at once, 2 after 1 s, 10 from 1 s up to 20 s, then every 20 s."""
SNS_RETRIES: Final = 100_015
SNS_AGE: Final = 23 * DAY
EVENTBRIDGE_RETRIES: Final = 185
EVENTBRIDGE_AGE: Final = DAY
EVENTBRIDGE_DELAYS: Final = (*(2.0**k for k in range(9)), (DAY - 2**9 + 1) / (EVENTBRIDGE_RETRIES - 9))
"""The same of EventBridge: 1 s doubling up to a longest one with which its 185 retries take the 24 h that it states."""
SPREAD: Final = 0.5
"""By which share of a delay its jitter moves it at most, either way: assumed, for AWS states that there is one, not which."""
TAKEN: Final = -1.0
FOR_GOOD: Final = 2.0


@section
class Outage:
    """Lambda does not take a `share` of the deliveries from `onset` (counted from the rollout's start) until `until`."""

    share: PositiveShare = 1.0
    """Which share of the deliveries it refuses, each by chance."""
    onset: Instant = 0.0
    """When it begins."""
    until: Instant | None = None
    """When it ends; by default never."""

    def __post_init__(self) -> None:
        if self.until is not None and self.until <= self.onset:
            raise ValueError(f"`until` ({self.until:g} s) must come after `onset` ({self.onset:g} s)")


@section
class Delivery:
    """How a service delivers its events to Lambda, and what goes wrong with it."""

    retries: int | None = None
    """Of `eventbridge` and `schedule`: how often a refused delivery is tried again; 185 if not given. SNS's own number is fixed."""
    max_age: PositiveSeconds | None = None
    """Of the same: for how long, 1 min to 1 d (if not given). SNS tries for 23 days."""
    permission: Literal["kept", "missing"] = "kept"
    """`missing`: the deployment takes the service's permission to call the alias away, until it is rolled back. What comes then is
    lost at once, whichever version it would have met, and no metric of Lambda shows it."""
    outage: Outage | None = None
    """Of `sns`, `eventbridge` and `schedule`: a time in which Lambda does not take every delivery."""

    def check(self, service: str) -> None:
        """Raises ValueError for what the service does not have."""
        if service not in DELIVERED:
            raise ValueError(f"`delivery` is of {', '.join(DELIVERED)}, got it with {service}")
        for name in ("retries", "max_age"):
            if getattr(self, name) is not None and service not in ("eventbridge", "schedule"):
                raise ValueError(f"`delivery.{name}` is of eventbridge and schedule, got it with {service}")
        if self.outage is not None and service == "s3":
            raise ValueError(
                "`delivery.outage`: AWS does not say how S3 tries again; give sns or eventbridge for what it sends on"
            )
        if self.retries is not None:
            check_count("delivery.retries", self.retries, 0, EVENTBRIDGE_RETRIES)
        if self.max_age is not None and not 60 <= self.max_age <= EVENTBRIDGE_AGE:
            raise ValueError(f"`delivery.max_age` must be 1 min to 1 d, got {self.max_age:g} s")


DELIVERED: Final = ("sns", "eventbridge", "s3", "schedule")
"""The kinds of sources that deliver to Lambda's queue by a service of AWS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLaw:
    """What a plane needs to know of deliveries that may be refused; times in seconds of the simulation.

    `delays` are those before the first, second, ... retry, the last one for all further ones, `retries` at most, while the event
    is not older than `max_age`. Between `begin` and `end` each delivery is refused with probability `share`; `permitted` is
    False where nothing is taken while the new version takes part in the traffic.
    """

    delays: tuple[float, ...]
    retries: int
    max_age: float
    permitted: bool
    share: float
    begin: float
    end: float

    def delay(self, attempt: int, spread: float) -> float | None:
        """Seconds from the `attempt`-th refused delivery to the next, `spread` in [0, 1) its jitter; None where there is none."""
        if spread == FOR_GOOD or attempt > self.retries:
            return None
        return self.delays[min(attempt, len(self.delays)) - 1] * (1.0 - SPREAD + 2.0 * SPREAD * spread)


def law_of(delivery: Delivery | None, service: str, start: float, *, moves: bool) -> DeliveryLaw | None:
    """The law of a source of this kind; None where Lambda takes everything.

    `start` (s) is the rollout's, and `moves` says whether the source calls the alias that it moves.
    """
    if delivery is None:
        return None
    permitted = delivery.permission == "kept" or not moves
    outage = delivery.outage
    if permitted and outage is None:
        return None
    sns = service == "sns"
    return DeliveryLaw(
        delays=SNS_DELAYS if sns else EVENTBRIDGE_DELAYS,
        retries=SNS_RETRIES if sns else EVENTBRIDGE_RETRIES if delivery.retries is None else delivery.retries,
        max_age=SNS_AGE if sns else delivery.max_age or EVENTBRIDGE_AGE,
        permitted=permitted,
        share=0.0 if outage is None else outage.share,
        begin=0.0 if outage is None else start + outage.onset,
        end=0.0 if outage is None else math.inf if outage.until is None else start + outage.until,
    )


def refusal(u: float, t: float, permitted: bool, share: float, begin: float, end: float) -> float:
    """What becomes of a delivery at `t` (s) with the draw `u` in [0, 1): `TAKEN`, refused `FOR_GOOD`, or else the next delay's jitter.

    `permitted` is whether the service may call at `t`; the others are those of the law.
    """
    if not permitted:
        return FOR_GOOD
    if begin <= t < end and u < share:
        return u / share
    return TAKEN
