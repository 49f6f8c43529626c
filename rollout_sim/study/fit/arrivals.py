"""Arrivals: how the traffic follows the day and the week, and how much it scatters around that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from rollout_sim.core.arrays import BoolArray, FloatArray, IntArray
from rollout_sim.core.statistics import Estimate, student_t
from rollout_sim.study.fit.goodness import Goodness, Verdict, estimate

DAY: Final = 86400
WEEK: Final = 7 * DAY
HOUR: Final = 3600
MONDAY: Final = 4 * DAY
"""The first Monday (s since 1970), in UTC."""
SPANS: Final = (1, 5, 15)
"""Periods over which the dispersion is measured."""
_FAIR, _POOR = 1.5, 3.0
"""Indices of dispersion from which on a profile's Poisson arrivals are another traffic than the recorded one."""
_SURE: Final = 1e-9
"""How improbable silence must be to be no matter of chance."""
_BLOCKS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalFit:
    """The traffic of a recording.

    `rate` is in requests per second; `profile` the mean count of a period in each hour of the day or of the week (from Monday,
    UTC), of shape (24,) or (168,). `dispersions` are the indices of dispersion over so many periods, 1 for a Poisson
    process; `goodness` is about Poisson arrivals by the profile. `silences` are gaps (start and end, s since 1970) in
    which by the profile something should have come.
    """

    period: int
    rate: Estimate
    cycle: Literal["day", "week"]
    profile: FloatArray
    dispersions: Mapping[int, Estimate]
    goodness: Goodness
    silences: tuple[tuple[int, int], ...]

    def expected(self, times: IntArray) -> FloatArray:
        """The profile's mean count of the periods that begin at `times` (s since 1970)."""
        result: FloatArray = self.profile[_hour(times, self.cycle)]
        return result


def whole(times: IntArray, counts: IntArray, period: int) -> tuple[IntArray, IntArray]:
    """The recording without gaps, from its first to its last period: a period without a datapoint had no invocation."""
    places = (times - times[0]) // period
    full = np.zeros(int(places[-1]) + 1, np.int64)
    full[places] = counts
    return times[0] + np.arange(full.size) * period, full


def fit_arrivals(times: IntArray, counts: IntArray, period: int) -> ArrivalFit:
    """The traffic of `counts` in periods of `period` s that begin at `times` (rising, both (n,)); missing periods count as 0."""
    times, counts = whole(times, counts, period)
    length = counts.size * period
    cycle: Literal["day", "week"] = "week" if length >= 2 * WEEK else "day"
    hours = _hour(times, cycle)
    size = 168 if cycle == "week" else 24
    profile = _profile(hours, counts, size, np.ones(counts.size, bool))
    silences = _silences(times, counts, profile[hours], period)
    heard = np.ones(counts.size, bool)
    for start, end in silences:
        heard[(times >= start) & (times < end)] = False
    profile = _profile(hours, counts, size, heard)
    dispersions = {}
    for span in SPANS:
        if counts.size // span >= 2 * _BLOCKS:
            whole_spans = counts[: counts.size // span * span].reshape(-1, span).sum(axis=1)
            dispersions[span] = dispersion(whole_spans.astype(float))
    return ArrivalFit(
        period=period, rate=_rate(counts, period), cycle=cycle, profile=profile, dispersions=dispersions,
        goodness=_goodness(dispersions, period), silences=silences,
    )  # fmt: skip


def _profile(hours: IntArray, counts: IntArray, size: int, heard: BoolArray) -> FloatArray:
    """The mean count of the periods in each of `size` hours, of those that were `heard`; where there is none, that of all."""
    periods = np.bincount(hours[heard], minlength=size)
    sums = np.bincount(hours[heard], counts[heard], size)
    overall = float(counts[heard].mean()) if heard.any() else 0.0
    return np.where(periods > 0, sums / np.maximum(periods, 1), overall)


def dispersion(counts: FloatArray) -> Estimate:
    """The index of dispersion of counts around a mean that moves slowly: a sixth of the squared second differences over the mean.

    It is 1 for Poisson arrivals, also where their rate rises or falls evenly. The interval is a jackknife's, by blocks.
    """
    squares = np.diff(counts, 2) ** 2 / 6
    means = (counts[2:] + 4 * counts[1:-1] + counts[:-2]) / 6
    blocks = min(max(_BLOCKS, squares.size // 60), 200)
    edges = np.linspace(0, squares.size, blocks + 1).astype(int)[:-1]
    above, below = np.add.reduceat(squares, edges), np.add.reduceat(means, edges)
    if below.sum() == 0:
        return estimate(1.0, 0.0, math.inf, counts.size)
    value = float(above.sum() / below.sum())
    rest = below.sum() - below
    without = np.where(rest > 0, (above.sum() - above) / np.maximum(rest, 1e-300), value)
    error = math.sqrt((blocks - 1) / blocks * float(((without - without.mean()) ** 2).sum()))
    half = student_t(blocks - 1) * error
    return estimate(value, max(value - half, 0.0), value + half, counts.size)


def _rate(counts: IntArray, period: int) -> Estimate:
    """The mean rate (1/s), whose interval takes the days as what varies, or as many parts where there are few days."""
    days = counts.size * period // DAY
    blocks = days if days >= _BLOCKS else min(_BLOCKS, counts.size)
    parts = np.array([part.mean() for part in np.array_split(counts, blocks)]) / period
    mean = float(counts.mean()) / period
    half = student_t(blocks - 1) * float(parts.std(ddof=1)) / math.sqrt(blocks) if blocks > 1 else 0.0
    return estimate(mean, max(mean - half, 0.0), mean + half, counts.size)


def _goodness(dispersions: Mapping[int, Estimate], period: int) -> Goodness:
    """Whether counts scatter as Poisson arrivals would, by the span (periods) that is surest that they do not."""
    if not dispersions:
        return Goodness(verdict="fair", figure="too few periods to tell", value=math.nan)
    span = max(dispersions, key=lambda span: dispersions[span].low or 0.0)
    worst = dispersions[span]
    low = worst.low or 0.0
    verdict: Verdict = "poor" if low > _POOR else "fair" if low > _FAIR else "good"
    figure = f"dispersion over {span * period // 60} min (Poisson: 1)"
    return Goodness(verdict=verdict, figure=figure, value=worst.mean, low=worst.low, high=worst.high)


def _silences(times: IntArray, counts: IntArray, expected: FloatArray, period: int) -> tuple[tuple[int, int], ...]:
    """Runs of periods without anything that Poisson arrivals by the profile would hardly ever leave empty."""
    empty = np.concatenate([[False], counts == 0, [False]])
    starts, ends = np.flatnonzero(~empty[:-1] & empty[1:]), np.flatnonzero(empty[:-1] & ~empty[1:])
    cumulated = np.concatenate([[0.0], np.cumsum(expected)])
    return tuple(
        (int(times[start]), int(times[end - 1]) + period)
        for start, end in zip(starts, ends, strict=True)
        if math.exp(-min(cumulated[end] - cumulated[start], 700.0)) * counts.size < _SURE
    )


def _hour(times: IntArray, cycle: Literal["day", "week"]) -> IntArray:
    """The hour of the day, or of the week from Monday, in UTC, of `times` (s since 1970)."""
    since = (times - MONDAY) % (WEEK if cycle == "week" else DAY)
    return np.asarray(since // HOUR, np.int64)
