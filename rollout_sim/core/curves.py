"""Curves: how long the invocations of each recorded minute took, as a distribution through what was measured of them.

CloudWatch has five figures of a minute's durations. A curve goes through its percentiles and its maximum, straight in the
logarithm between them but for a bend, the same in all parts, with which its mean is the recorded average. It is kept at the shares
`SHARES` and straight between those.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.minutes import Minutes
from rollout_sim.core.units import MAXIMA, tick
from rollout_sim.core.yaml_io import listed

MEASURED: Final = {
    "duration_p50_ms": 0.5, "duration_p90_ms": 0.9, "duration_p99_ms": 0.99, "duration_max_ms": 1.0,
}  # fmt: skip
"""The share of a minute's invocations whose longest duration a column of the recording holds."""
_AVERAGE: Final = "duration_average_ms"
FEWEST: Final = 2
"""Columns of `MEASURED` that a curve needs."""
_PARTS: Final = 4
"""Straight parts between two measured figures."""
_MARKS: Final = (0.0, *MEASURED.values())
SHARES: Final = (
    *(low + (high - low) * part / _PARTS for low, high in pairwise(_MARKS) for part in range(_PARTS)),
    1.0,
)  # fmt: skip
"""The shares at which a curve is kept."""
_MAX_AT: Final = 0.999
"""The share at which a maximum lies where it has to be found beyond the percentiles that were recorded."""
_SHORTEST: Final = 1e-6
_LONGEST: Final = MAXIMA["duration"]
_BENDS: Final = (-3.0, 3.0)
"""Logarithms, to the base 2, of the power that bends a curve, at most: beyond it an average does not fit its percentiles."""
_HALVINGS: Final = 16


def duration_at(curve: FloatArray, share: float) -> float:
    """The duration (s) below which a `share` in [0, 1) of a minute's invocations lies; `curve` has it at `SHARES`.

    Plain Python, so that the compiled plane takes it as it stands.
    """
    k = 1
    while share >= SHARES[k]:
        k += 1
    low = curve[k - 1]
    return tick(low + (curve[k] - low) * ((share - SHARES[k - 1]) / (SHARES[k] - SHARES[k - 1])))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DurationCurves:
    """The curve of each recorded minute: `seconds` at the shares `SHARES`, of shape (minutes, shares).

    `missing` says of each column that was recorded at all in how many minutes with invocations it was not.
    """

    seconds: FloatArray
    missing: dict[str, int]

    @property
    def means(self) -> FloatArray:
        """The mean duration (s) of each minute."""
        return _means(self.seconds)

    def longest(self, rows: IntArray, share: FloatArray) -> FloatArray:
        """The duration (s) below which a share of the invocations of each of the minutes `rows` lies: all of one shape."""
        shares = np.array(SHARES)
        k = np.clip(np.searchsorted(shares, share, side="right") - 1, 0, shares.size - 2)
        low, high = self.seconds[rows, k], self.seconds[rows, k + 1]
        return np.asarray(low + (high - low) * ((share - shares[k]) / np.diff(shares)[k]))

    def share_below(self, rows: IntArray, duration: FloatArray) -> FloatArray:
        """The share of the invocations of each of the minutes `rows` up to a duration (s): all of one shape."""
        result, curves, widths = np.zeros(rows.size), self.seconds[rows], np.diff(SHARES)
        for k, width in enumerate(widths.tolist()):
            low, high = curves[:, k], curves[:, k + 1]
            rises = high > low
            part = np.where(rises, (duration - low) / np.where(rises, high - low, 1.0), (duration >= low).astype(float))
            result += np.clip(part, 0.0, 1.0) * width
        return result


@lru_cache(maxsize=8)
def curves_of(recording: Minutes) -> DurationCurves:
    """The curve of every minute of a recording.

    What is missing in a minute is taken to stand to what is known of it as in the whole recording; a minute of which nothing is
    known is like the whole. A column that was not recorded at all lies where a lognormal distribution has it. Raises ValueError where
    fewer than two of `MEASURED` were.
    """
    known = [name for name in MEASURED if not np.isnan(recording.columns[name]).all()]
    if len(known) < FEWEST:
        have = listed(known) if known else "none of them"
        raise ValueError(f"a curve of durations needs two of {listed(MEASURED)}, and there is {have}")
    weights = recording.invocations
    figures = {name: np.clip(recording.columns[name] / 1000, _SHORTEST, _LONGEST) for name in (*known, _AVERAGE)}
    typical = {name: _overall(values, weights) for name, values in figures.items()}
    scale = np.full(recording.size, np.nan)
    for name in (*known, _AVERAGE):
        if typical[name] > 0:
            scale = np.where(np.isnan(scale), figures[name] / typical[name], scale)
    scale = np.nan_to_num(scale, nan=1.0)
    missing = {}
    for name, values in figures.items():
        if name in known or typical[name] > 0:
            missing[name] = int((np.isnan(values) & (weights > 0)).sum())
    percentiles = {name: np.where(np.isnan(figures[name]), typical[name] * scale, figures[name]) for name in known}
    marks = np.log(np.vstack([_between(percentiles, name) for name in MEASURED]))
    marks = np.maximum.accumulate(marks, axis=0)
    marks = np.vstack([2 * marks[0] - marks[1], marks])  # below the median as far as above it
    seconds = _bent(marks, figures[_AVERAGE])
    seconds.flags.writeable = False
    return DurationCurves(seconds=seconds, missing={name: count for name, count in missing.items() if count})


def _overall(values: FloatArray, weights: FloatArray) -> float:
    """The mean of what is known of a column, by invocations; 0 where nothing is."""
    known = ~np.isnan(values)
    total = float(weights[known].sum())
    if total > 0:
        return float(values[known] @ weights[known]) / total
    return float(values[known].mean()) if known.any() else 0.0


def _between(known: dict[str, FloatArray], name: str) -> FloatArray:
    """A column (s) that was recorded, or where a lognormal distribution through its two nearest neighbours has it."""
    from scipy.special import ndtri

    if name in known:
        return known[name]
    score = {each: float(ndtri(min(share, _MAX_AT))) for each, share in MEASURED.items()}
    below, above = sorted(sorted(known, key=lambda each: abs(score[each] - score[name]))[:2], key=score.__getitem__)
    part = (score[name] - score[below]) / (score[above] - score[below])
    return np.asarray(known[below] ** (1 - part) * known[above] ** part)


def _bent(marks: FloatArray, average: FloatArray) -> FloatArray:
    """Curves (s) of shape (minutes, shares) through `marks` (logarithms, (figures, minutes)), with the `average` (s) where known."""
    low, high = (np.full(average.size, bend) for bend in _BENDS)
    bend = np.zeros(average.size)
    wanted = ~np.isnan(average)
    if wanted.any():
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            longer = _means(_curves(marks, middle)) > average  # a higher power keeps a curve low for longer
            low, high = np.where(longer, middle, low), np.where(longer, high, middle)
        bend = np.where(wanted, (low + high) / 2, 0.0)
    return _curves(marks, bend)


def _curves(marks: FloatArray, bend: FloatArray) -> FloatArray:
    parts = (np.arange(_PARTS) / _PARTS)[None, :] ** (2.0 ** bend[:, None])
    logs = marks[:-1].T[:, :, None] + np.diff(marks, axis=0).T[:, :, None] * parts[:, None, :]
    curves = np.exp(np.hstack([logs.reshape(bend.size, -1), marks[-1][:, None]]))
    return np.asarray(np.minimum(curves, _LONGEST))


def _means(curves: FloatArray) -> FloatArray:
    return np.asarray((curves[:, :-1] + curves[:, 1:]) / 2 @ np.diff(SHARES))
