"""The picture of a fit: what was measured beside what was fitted to it, a row for each part."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullFormatter

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.formatting import show_duration
from rollout_sim.study.fit.arrivals import whole
from rollout_sim.study.fit.durations import DurationFit
from rollout_sim.study.fit.fitted import Fitted
from rollout_sim.study.fit.goodness import Goodness
from rollout_sim.views.plots.style import COLOURS, GREY, headline, percent_axis, percent_ticks, styled, subtitle

MEASURED: Final = "#000000"
FITTED: Final = COLOURS[1]
_POINTS: Final = 1500
"""Points of a line over time; longer recordings are averaged over several periods."""


def fit(fitted: Fitted, name: str) -> Figure:
    """`fit.png`: the traffic, the errors, the durations, cold starts and deployments: measured (black) and fitted."""
    panels: list[list[Callable[[Axes], None] | None]] = [
        [lambda ax: _traffic(fitted, ax), lambda ax: _scatter(fitted, ax)],
        [lambda ax: _exceeded(fitted, ax), lambda ax: _clumping(fitted, ax)],
        [
            lambda ax: _durations(fitted.durations, fitted.observed.samples, ax, "Durations"),
            lambda ax: _durations(fitted.cold_starts, fitted.observed.inits, ax, "Cold starts (init)"),
        ],
    ]
    if fitted.releases is not None:
        panels.append([lambda ax: _risk(fitted, ax), lambda ax: _endings(fitted, ax)])
    with styled():
        figure, axes = plt.subplots(
            len(panels),
            2,
            figsize=(13.33, 3.3 * len(panels) + 0.4),
            layout="constrained",
            squeeze=False,
            width_ratios=(3, 2),
        )
        headline(figure, f"{name}: measured (black) and fitted")
        for row, places in zip(panels, axes, strict=True):
            for draw, ax in zip(row, places, strict=True):
                if draw is not None:
                    draw(ax)
    return figure


def _how_well(goodness: Goodness) -> str:
    within = "" if goodness.low is None or goodness.high is None else f" [{goodness.low:.3g}, {goodness.high:.3g}]"
    value = "" if math.isnan(goodness.value) else f" {goodness.value:.3g}{within}"
    return f"fit: {goodness.verdict}; {goodness.figure}{value}"


def _nothing(ax: Axes, title: str, why: str) -> None:
    ax.set_axis_off()
    subtitle(ax, title, why)


def _traffic(fitted: Fitted, ax: Axes) -> None:
    """Requests per second over time, and the profile."""
    times, counts = whole(fitted.observed.times, fitted.observed.invocations, fitted.observed.period)
    per = max(1, counts.size // _POINTS)
    expected = fitted.arrivals.expected(times)
    hours = np.array([datetime.fromtimestamp(int(time), UTC) for time in times[: counts.size // per * per : per]])
    seconds = per * fitted.observed.period
    for values, colour, label, width in ((counts, MEASURED, "measured", 0.7), (expected, FITTED, "profile", 1.4)):
        rates = np.asarray(values, float)[: counts.size // per * per].reshape(-1, per).sum(axis=1) / seconds
        ax.plot(hours, rates, color=colour, linewidth=width, label=label)
    ax.set_ylim(0, ax.get_ylim()[1] * 1.15)
    ax.set_ylabel("requests / s")
    ax.tick_params(axis="x", rotation=0)
    dates = AutoDateLocator(tz=UTC, minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(dates)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(dates, tz=UTC))  # type: ignore[no-untyped-call]
    ax.legend(loc="upper right", ncols=2, fontsize=9)
    subtitle(
        ax, "Traffic", f"by {show_duration(float(seconds))}, UTC; the profile is that of a {fitted.arrivals.cycle}"
    )


def _scatter(fitted: Fitted, ax: Axes) -> None:
    """The dispersion of the arrivals over several spans; Poisson arrivals have 1."""
    spans = list(fitted.arrivals.dispersions)
    if not spans:
        _nothing(ax, "Dispersion of the traffic", "too few periods")
        return
    values = [fitted.arrivals.dispersions[span] for span in spans]
    for place, value in enumerate(values):
        ax.errorbar(
            place, value.mean, [[value.mean - (value.low or 0.0)], [(value.high or 0.0) - value.mean]],
            fmt="o", color=MEASURED, capsize=4, label="measured" if place == 0 else None,
        )  # fmt: skip
    ax.axhline(1, color=FITTED, label="Poisson by the profile")
    ax.set_xlim(-0.5, len(spans) - 0.5)
    ax.set_ylim(bottom=0, top=max(2.0, *((value.high or 0.0) * 1.1 for value in values)))
    ax.set_xticks(range(len(spans)), [show_duration(float(span * fitted.arrivals.period)) for span in spans])
    ax.set_ylabel("index of dispersion")
    ax.legend(loc="upper right", fontsize=9)
    subtitle(ax, "Dispersion of the traffic", _how_well(fitted.arrivals.goodness))


def _exceeded(fitted: Fitted, ax: Axes) -> None:
    """How often a period's share of errors is at or above a level."""
    if fitted.errors is None or not fitted.observed.errors.sum():
        _nothing(ax, "Errors", "none were measured")
        return
    levels, measured, low, high = fitted.errors.exceeded
    ax.fill_between(
        levels,
        np.maximum(low, 1e-9),
        np.maximum(high, 1e-9),
        color=FITTED,
        alpha=0.35,
        linewidth=0,
        label="fitted, 95%",
    )
    ax.plot(levels, measured, color=MEASURED, marker=".", markersize=4, linewidth=0.8, label="measured")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(max(0.5 / fitted.observed.times.size, 1e-6), 1.5)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(percent_ticks))
    ax.xaxis.set_minor_formatter(NullFormatter())
    percent_axis(ax)
    ax.set_xlabel("share of errors in a period")
    ax.set_ylabel("share of periods\nwith at least so many")
    ax.legend(loc="upper right", fontsize=9)
    named = {
        "constant": "a constant rate",
        "scattered": "a scattered rate (beta-binomial)",
        "spells": "spells (two states)",
    }
    subtitle(ax, f"Errors: {named[fitted.errors.kind]}", f"chosen by {fitted.errors.reason}")


def _clumping(fitted: Fitted, ax: Axes) -> None:
    """The dispersion of the errors over several spans, and what the fit gives."""
    if fitted.errors is None or not fitted.errors.dispersions or not fitted.observed.errors.sum():
        _nothing(ax, "Dispersion of the errors", "none, or too few periods")
        return
    spans = fitted.errors.dispersions
    places = np.arange(len(spans))
    values = np.array(list(spans.values()))
    ax.vlines(places, values[:, 1], values[:, 2], color=FITTED, linewidth=9, alpha=0.35, label="fitted, 95%")
    ax.plot(places, values[:, 0], "o", color=MEASURED, label="measured")
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), label="a constant rate")
    ax.set_xticks(places, [show_duration(float(span * fitted.errors.period)) for span in spans])
    ax.set_xlim(-0.5, len(spans) - 0.5)
    ax.set_ylim(0, max(2.0, float(values.max())) * 1.25)  # room for the legend
    ax.set_ylabel("index of dispersion")
    ax.legend(loc="upper right", ncols=3, fontsize=9)
    subtitle(ax, "Dispersion of the errors", _how_well(fitted.errors.goodness))


def _durations(fitted: DurationFit | None, samples: FloatArray, ax: Axes, title: str) -> None:
    """The distribution function: single invocations where there are some, else the percentiles."""
    if fitted is None:
        _nothing(ax, title, "not in the data")
        return
    shares = np.linspace(0.001, 0.999, 400)
    values = fitted.distribution.ppf(shares)
    ax.plot(values, shares, color=FITTED, label="fitted (lognormal)")
    if fitted.source == "invocations":
        ordered = np.sort(samples)
        ax.plot(
            ordered, (np.arange(ordered.size) + 0.5) / ordered.size, color=MEASURED, linewidth=0.9, label="measured"
        )
    else:
        known = [
            (measured, float(name[1:]) / 100, name)
            for name, (measured, _) in fitted.quantiles.items()
            if name != "average"
        ]
        ax.plot([at for at, _, _ in known], [share for _, share, _ in known], "o", color=MEASURED, label="measured")
        for at, share, name in known:
            ax.annotate(name, (at, share), xytext=(6, -12), textcoords="offset points", fontsize=9)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(_ticks(ax))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show_duration(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(0, 1.02)
    percent_axis(ax)
    ax.set_ylabel("share as short or shorter")
    ax.legend(loc="lower right", fontsize=9)
    subtitle(ax, title, _how_well(fitted.goodness))


def _ticks(ax: Axes) -> Locator:
    """Where a logarithmic axis of durations has figures: few, but some even within a decade."""
    low, high = ax.get_xlim()
    decades = math.log10(high / low)
    if decades < 1:
        return MaxNLocator(3)
    return LogLocator(subs=(1, 3)) if decades < 3 else LogLocator(numticks=7)


def _risk(fitted: Fitted, ax: Axes) -> None:
    """The posterior of a release's being bad."""
    from scipy.stats import beta

    from rollout_sim.study.fit.releases import PRIOR

    assert fitted.releases is not None
    bad, total = fitted.releases.bad, len(fitted.releases.releases)
    grid = np.linspace(0, 1, 500)[1:-1]
    density = beta.pdf(grid, bad + PRIOR[0], total - bad + PRIOR[1])
    prior = beta.pdf(grid, *PRIOR)
    ax.plot(grid, prior, color=GREY, linewidth=0.9, linestyle=(0, (2, 2)), label="prior (Jeffreys)")
    ax.plot(grid, density, color=FITTED, label="posterior")
    ax.axvline(bad / total, color=MEASURED, linewidth=1, label=f"measured, {bad} of {total}")
    ax.set_ylim(0, min(float(density.max()) * 1.15, 40.0))
    ax.set_yticks([])
    ax.xaxis.set_major_formatter(FuncFormatter(percent_ticks))
    ax.legend(loc="upper right", fontsize=9)
    ax.set_xlabel("share of the deployments that are bad")
    subtitle(ax, "Deployments", f"{bad} of {total} were stopped by an alarm or followed by one within a day")


def _endings(fitted: Fitted, ax: Axes) -> None:
    """How the deployments ended."""
    assert fitted.releases is not None
    endings = ("good", "alarm afterwards", "rolled back")
    counts = [sum(release.ending == ending for release in fitted.releases.releases) for ending in endings]
    ax.barh(range(len(endings)), counts, color=(COLOURS[2], COLOURS[4], COLOURS[1]))
    for place, count in enumerate(counts):
        ax.annotate(str(count), (count, place), xytext=(4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(endings)), endings)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlim(0, max(counts) * 1.15 + 0.5)
    ax.grid(visible=False, axis="y")
    noticed = fitted.releases.noticed
    subtitle(
        ax,
        "How they ended",
        "" if noticed is None else f"noticed after {show_duration(noticed.mean)} (median of {noticed.n})",
    )
