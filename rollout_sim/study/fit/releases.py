"""Releases: how often a deployment was bad, how long until it was noticed and how bad it was, from the history of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from rollout_sim.core.arrays import IntArray
from rollout_sim.core.statistics import Estimate, quantile
from rollout_sim.study.fit.goodness import estimate

PRIOR: Final = (0.5, 0.5)
"""Jeffreys' prior of a probability, Beta(1/2, 1/2)."""
AFTERWARDS: Final = 86400
"""Seconds after its end within which an alarm is put down to a deployment."""
BEFORE: Final = 3600
"""Seconds before a deployment with which its errors are compared."""
Ending = Literal["rolled back", "failed", "alarm afterwards", "good", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One deployment: when it began and ended (s since 1970), and how.

    `noticed` is when something was seen to be wrong, by which `alarm`, and `over` when that alarm was quiet again; None where nothing
    tells.
    """

    name: str
    start: int
    end: int
    ending: Ending
    noticed: int | None = None
    alarm: str = ""
    over: int | None = None

    @property
    def lasted(self) -> int:
        """Until when (s since 1970) its errors are its own, as far as it is known."""
        return max(self.end, self.noticed or 0, self.over or 0)

    @property
    def bad(self) -> bool:
        """Whether it was stopped by an alarm or followed by one."""
        return self.ending in ("rolled back", "alarm afterwards")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFit:
    """The risk of a release: the posterior of its being bad, how long until that is noticed (s), and errors added (shares).

    `found_after` is of those that no deployment stopped; None where there are none. `severities` are the shares of errors above
    those before, of the bad ones that had any.
    """

    releases: tuple[Release, ...]
    p_bad: Estimate
    noticed: Estimate | None
    found_after: Estimate | None
    severities: tuple[float, ...]

    @property
    def bad(self) -> int:
        """How many were."""
        return sum(release.bad for release in self.releases)


def fit_releases(
    releases: Sequence[Release], times: IntArray, invocations: IntArray, errors: IntArray
) -> ReleaseFit | None:
    """The risk by the `releases` whose end is known, and by the errors in periods beginning at `times` (all of shape (n,)).

    The posterior is Beta by Jeffreys' prior. None without a release.
    """
    known = [release for release in releases if release.ending not in ("unknown", "failed")]
    if not known:
        return None
    bad = [release for release in known if release.bad]
    delays = [release.noticed - release.start for release in bad if release.noticed is not None]
    late = [
        release.noticed - release.start
        for release in bad
        if release.noticed is not None and release.ending == "alarm afterwards"
    ]
    severities = []
    for release in bad:
        added = _added(release, times, invocations, errors)
        if added is not None and added > 0:
            severities.append(added)
    return ReleaseFit(
        releases=tuple(known), p_bad=posterior(len(bad), len(known)), noticed=_median(delays), found_after=_median(late),
        severities=tuple(sorted(severities)),
    )  # fmt: skip


def posterior(bad: int, total: int) -> Estimate:
    """The mean and the central 95% of the Beta posterior of a probability, by Jeffreys' prior, after `bad` of `total`."""
    from scipy.special import betaincinv

    a, b = bad + PRIOR[0], total - bad + PRIOR[1]
    return estimate(a / (a + b), float(betaincinv(a, b, 0.025)), float(betaincinv(a, b, 0.975)), total)


def _median(delays: Sequence[float]) -> Estimate | None:
    """The median and, where there are enough, the order statistics around it."""
    if not delays:
        return None
    value, low, high = quantile(np.sort(np.array(delays, float)), 0.5)
    return Estimate(n=len(delays), mean=value, low=low, high=high, quantiles={})


def _added(release: Release, times: IntArray, invocations: IntArray, errors: IntArray) -> float | None:
    """The share of errors until a bad release was noticed, above that of the hour before; None where nothing is known."""
    if release.noticed is None:
        return None
    shares = []
    for start, end in (
        (release.start - BEFORE, release.start),
        (release.start, max(release.noticed, release.start + 60)),
    ):
        inside = (times >= start) & (times < end)
        total = int(invocations[inside].sum())
        if not total:
            return None
        shares.append(float(errors[inside].sum()) / total)
    return shares[1] - shares[0]


def spread(severities: Sequence[float]) -> tuple[float, float]:
    """The ends of a log-uniform distribution: a little beyond the severities; a factor of 3 around one that is alone."""
    if len(severities) == 1:
        return severities[0] / 3, min(severities[0] * 3, 1.0)
    logs = np.log(np.array(severities))
    low, high = float(logs.min()), float(logs.max())
    room = max((high - low) / (2 * len(severities)), math.log(1.5) / 2)
    return math.exp(low - room), min(math.exp(high + room), 1.0)
