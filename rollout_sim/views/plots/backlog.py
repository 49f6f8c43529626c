"""The pictures of queues and streams by strategy: how many records waited over time, how old the oldest was, what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.formatting import show_duration
from rollout_sim.traffic.pollers import LOST
from rollout_sim.views.plots.moments import mark_onsets
from rollout_sim.views.plots.style import (
    COLOURS,
    SLIDE,
    axes_or_new,
    caption,
    headline,
    legend_below,
    look,
    narrow,
    same,
    strategy_index,
    styled,
    subtitle,
    time_axis,
    time_unit,
    wrapped,
)

if TYPE_CHECKING:
    from rollout_sim.run.result import RunResult


def backlog(results: Sequence[RunResult], *, ax: Axes | None = None) -> Axes:
    """Records without a fate over time, those in flight included, crossed where the new version was taken back."""
    ax = axes_or_new(ax)
    _lines(ax, results, [np.sum([source.backlog for source in result.polled], axis=0) for result in results], 1.0)
    ax.set_ylabel("records")
    drained = [
        f"{result.strategy}: {result.backlog_at_rollback:,} at the rollback, "
        + ("not drained" if result.drain_time_s is None else f"drained in {show_duration(result.drain_time_s)}")
        for result in results
        if result.backlog_at_rollback is not None
    ]
    subtitle(ax, "Backlog: records without a fate", "; ".join(drained))
    return ax


def oldest(results: Sequence[RunResult], *, ax: Axes | None = None) -> Axes:
    """The age of the oldest record without a fate over time, of all queues and streams."""
    ax = axes_or_new(ax)
    ages = [np.max([source.oldest for source in result.polled], axis=0) for result in results]
    scale, unit = (60.0, "minutes") if max(float(age.max()) for age in ages) > 300 else (1.0, "seconds")
    _lines(ax, results, ages, scale)
    ax.set_ylabel(unit)
    limits = {slo.limit for slo in results[0].scenario.slos if slo.limit is not None}
    for limit in sorted(limits):
        if limit / scale < ax.get_ylim()[1]:
            ax.axhline(
                limit / scale, color="black", linewidth=0.9, linestyle=(0, (5, 2)), label="SLO: limit of the age"
            )
    subtitle(ax, "Age of the oldest record", "")
    return ax


def fates(results: Sequence[RunResult], *, ax: Axes | None = None) -> Axes:
    """The bad records of each strategy as a bar, by what became of them."""
    ax = axes_or_new(ax)
    places, counts = np.arange(len(results))[::-1], [bad_by_fate(result) for result in results]
    left = np.zeros(len(results))
    for label, colour in zip(counts[0], _OF_FATES, strict=True):
        widths = np.array([count[label] for count in counts])
        if widths.any():
            ax.barh(places, widths, left=left, height=0.6, color=colour, label=label)
            left = left + widths
    for place, end, result in zip(places, left, results, strict=True):
        told = f"{result.records_bad:,} of {result.records:,}"
        ax.annotate(told, (end, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(places, [wrapped(result.strategy, 14 if narrow(ax) else 24) for result in results])
    ax.set_xlim(0, max(float(left.max()), 1.0) * (1.9 if narrow(ax) else 1.5))
    ax.set_xlabel("records")
    ax.xaxis.set_major_locator(MaxNLocator(3 if narrow(ax) else 6, integer=True))
    ax.grid(visible=False, axis="y")
    subtitle(ax, "Bad records, by what became of them", "")
    return ax


_OF_FATES: Final = tuple(COLOURS[k] for k in (5, 6, 7, 3, 4))  # the first ones are those of strategies


def bad_by_fate(result: RunResult) -> dict[str, int]:
    """How many records of all sources are bad, by what became of them; they add up to `records_bad`.

    What still waits, too long for an SLO, is told apart from what was handled late unless other requests come to the same alias.
    """
    traffic = result.scenario.traffic
    own = {source.alias for source in traffic if source.polled} - {s.alias for s in traffic if not s.polled}
    chosen = [k for k, target in enumerate(result.metrics.targets) if target.alias in own]
    waiting = int(result.counts.overdue[0, chosen].sum())
    lost = {fate.replace("_", " "): sum(source.fates[fate] for source in result.polled) for fate in LOST}
    others = result.records_bad - sum(lost.values()) - waiting
    return {"handled late or wrong": others, **lost, "waiting too long": waiting}


def backlog_figure(results: Sequence[RunResult]) -> Figure:
    """`backlog.png`: the backlog and the age of the oldest record over time, and the records by fate, by strategy."""
    with styled():
        figure = plt.figure(figsize=SLIDE, layout="constrained")
        above, below, bars = figure.subplots(3, 1, height_ratios=[3, 3, 0.8 + 0.35 * len(results)])
        backlog(results, ax=above)
        oldest(results, ax=below)
        fates(results, ax=bars)
        if bars.get_legend_handles_labels()[1]:
            bars.legend(loc="center right", fontsize=9)
        above.set_xlabel("")
        handles, labels = below.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        legend_below(figure, list(named.values()), list(named), figure.get_figwidth())
        headline(figure, f"{results[0].scenario.name}: what waited to be handled")
    return figure


def _lines(ax: Axes, results: Sequence[RunResult], values: Sequence[FloatArray], scale: float) -> None:
    """A line for each strategy; of those with the same one the first is drawn, and the others are named after it."""
    first = results[0]
    seconds, _ = time_unit(first)
    alike = same({result.strategy: value for result, value in zip(results, values, strict=True)})
    highest = 0.0
    for position, (result, value) in enumerate(zip(results, values, strict=True)):
        drawn = look(strategy_index(first.scenario, result.strategy))
        times = (result.polled[0].times - first.scenario.start) / seconds
        own = alike[result.strategy] == result.strategy
        label = caption(result) if own else f"{caption(result)}: line of {alike[result.strategy]}"
        shown = slice(None) if own else slice(0)
        width = max(2.4 - 0.4 * position, 1.2)
        ax.plot(times[shown], value[shown] / scale, label=label, **drawn, linewidth=width)
        highest = max(highest, float(value.max()) / scale)
        back = result.rolled_back_at
        if back is not None and own:
            at = (back - first.scenario.start) / seconds
            level = float(np.interp(at, times, value / scale))
            ax.plot(at, level, marker="X", markersize=9, color=drawn["color"], markeredgecolor="white", zorder=4)
    ax.set_ylim(0, max(highest, 1.0) * 1.05)
    time_axis(ax, first)
    mark_onsets(ax, first)
